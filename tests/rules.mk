# SPDX-License-Identifier: ISC
# How the tests other than the unit tests and the fuzz corpus are run.

# Configuration files: each good one loads, each bad one says what it expects.
check-conf: $(O)/posthornctl
	tests/conf/run $(O)/posthornctl

# Replay: the whole daemon on fake net, clock and threads.
check-replay:
	@true

# Real peers on loopback.
check-integration: all
	tests/integration/run $(O)

check-long: check
	tests/crash/run $(O)
crash: all
	tests/crash/run $(O)
bench: all
	tests/bench/run $(O)
