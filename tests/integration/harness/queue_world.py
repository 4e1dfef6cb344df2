# SPDX-License-Identifier: ISC
"""What the tests of the queue share: a relay whose messages wait, and what posthornctl says of them."""
import json
import os
import re
import unittest

from harness.dns import Dns
from harness.relay import Relay
from harness.sink import Sink
from harness.waiting import wait_for

BODY = "From: bob@example.com\nTo: x\nSubject: test\n\nHello, world.\n"
ID = r"[0-9a-f]{16}-[0-9a-f-]{36}-000000"
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"
SPAN = r"(?:\d\d:\d\d:\d\d|\d+d \d\d:\d\d)"


def columns(line):
    return re.split(r"\s{2,}", line.strip())


def table(text):
    lines = text.splitlines()
    heading = columns(lines[0])
    return [dict(zip(heading, columns(l))) for l in lines[1:]]


class World(unittest.TestCase):
    """A relay with knot and two sinks, the second one for mail to the sender; a failed recipient waits for
    minutes."""
    extra = "delivery {\n    allow_private yes\n    retry_jitter 0\n    retry_schedule 5m\n}\n"

    @classmethod
    def setUpClass(cls):
        cls.relay = Relay(extra=cls.extra)
        cls.addClassCleanup(cls.relay.cleanup)
        first = Sink("127.0.0.2")
        cls.sinks = [first, Sink("127.0.0.3", first.port)]
        for s in cls.sinks:
            s.start()
            cls.addClassCleanup(s.stop)
        cls.sink = first
        cls.dns = Dns(cls.relay.folder)
        cls.dns.zone("sink.example", "@ MX 10 a\na A 127.0.0.2\n")
        cls.dns.zone("other.example", "@ MX 10 a.sink.example.\n")
        cls.dns.zone("example.com", "@ MX 10 b\nb A 127.0.0.3\n")
        cls.dns.start()
        cls.addClassCleanup(cls.dns.stop)
        cls.relay.dns, cls.relay.sink_port = cls.dns, first.port
        cls.relay.write_conf()
        cls.relay.start()
        cls.account, cls.key, cls.password = cls.relay.sender(config_set="main")

    def setUp(self):
        for s in self.sinks:
            with s.lock:
                s.rules.__init__()
                s.messages.clear()
                s.sessions.clear()

    def tearDown(self):
        wait_for(self.is_emptied, "the queue to be empty")

    def is_emptied(self):
        ids = {r["id"] for r in self.listed()}
        if ids:
            self.relay.run_ctl("queue", "delete", *ids, "--yes")
        return not ids

    def send(self, to="rcpt@sink.example", data=BODY, sender="bob@example.com"):
        w = self.relay.session(self.key, self.password)
        answer = w.message(sender, to, data)
        self.assertRegex(answer, "^250 Ok " + ID)
        w.cmd("QUIT")
        w.close()
        return answer.split()[2]

    def listed(self, *args):
        return table(self.relay.ctl("queue", "list", *args))

    def row(self, mid):
        return next((r for r in self.listed() if r["id"] == mid), None)

    def wait_state(self, mid, state):
        return wait_for(lambda: (lambda r: r if r and r["state"] == state else None)(self.row(mid)),
                        f"{mid} to be {state}")

    def of(self, mid, kind=None):
        return [e for e in self.relay.events("--message-id", mid) if kind is None or e["eventType"] == kind]

    def wait_of(self, mid, kind, count=1):
        return wait_for(lambda: (lambda f: f if len(f) >= count else None)(self.of(mid, kind)),
                        f"{count} {kind} of {mid}")

    def deferred(self, to="rcpt@sink.example", reply="451 4.3.0 try later", **more):
        """A message that was refused for now and waits."""
        self.sink.rules.rcpt = reply
        mid = self.send(to, **more)
        self.wait_state(mid, "DEFERRED")
        self.sink.rules.rcpt = None
        return mid

    def audit(self, name):
        with open(os.path.join(self.relay.folder, "audit.jsonl")) as f:
            return [r for r in map(json.loads, f) if r["eventName"] == name]

    def refused(self, *args, status=1):
        r = self.relay.run_ctl(*args)
        self.assertEqual(r.returncode, status, r.stdout + r.stderr)
        self.assertRegex(r.stderr, "^error: ")
        return r.stderr
