# SPDX-License-Identifier: ISC
"""What the tests against real peers share.

sink.py   a receiving SMTP server that refuses, delays, drops, breaks TLS
dns.py    knot with the zones of a test, on a free loopback port
gate.py   in front of it: answers that are late, or lost
relay.py  posthornd in a folder of its own, and posthornctl beside it
wire.py   a line-by-line SMTP client
*_world.py  what several files of tests of one subject begin with

Nothing here sleeps to wait: wait_for() watches a condition.
"""
