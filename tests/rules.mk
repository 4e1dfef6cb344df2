# SPDX-License-Identifier: ISC
# How the tests other than the unit tests and the fuzz corpus are run.

# Configuration files: each good one loads, each bad one says what it expects.
check-conf: $(O)/posthornctl
	tests/conf/run $(O)/posthornctl

# Replay: the whole daemon on fake net, clock and threads.  The fakes stand
# before the libraries: what they define is not taken from there.
REPLAY_OBJ = $(patsubst tests/%.c,$(O)/tests/%.o, \
	$(wildcard tests/replay/*.c tests/lib/fake_*.c))
$(REPLAY_OBJ): $(O)/tests/%.o: tests/%.c | config.mk
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) -Itests/lib -Itests/replay $(CFLAGS_ALL) -MMD \
	    -MP -c -o $@ $<
$(O)/replay/replay: $(REPLAY_OBJ) $(LINK_LIBS)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $(REPLAY_OBJ) $(LINK_LIBS) $(LIBS_ALL)
# Unit tests on fake net, clock and threads: what a fake defines is taken from
# it, because it stands before the libraries.
$(O)/libfakes.a: $(patsubst tests/%.c,$(O)/tests/%.o, \
	$(wildcard tests/lib/fake_*.c))
	@rm -f $@
	$(AR) rcs $@ $^
FAKED = $(addprefix $(O)/tests/test_,carrier carrier_held connection dial \
	egress egress_turns route scheduler site spf transport turns webhook \
	webhook_places) \
	$(patsubst %,$(O)/fuzz/fuzz_%-replay,auth command keys session \
	spool transport verifier)
$(FAKED): TOOL_PARTS = $(O)/libfakes.a
$(FAKED): $(O)/libfakes.a
# all of them: it has no reference to the net, only the libraries do
$(O)/fuzz/fuzz_command-replay: TOOL_PARTS = -Wl,--whole-archive \
	$(O)/libfakes.a -Wl,--no-whole-archive
# Counts what a refused login does.
$(O)/tests/test_login: TOOL_PARTS = $(addprefix -Wl$(COMMA)--wrap=,SHA256 \
	mem_same_secret db_get db_seek)
# Stands for a libopendkim without Ed25519.
$(O)/tests/test_signer_plain: TOOL_PARTS = \
	-Wl$(COMMA)--wrap=dkim_libfeature
COMMA = ,
# every event record they make is as the schema says
check-replay: $(O)/replay/replay
	@rm -f $(O)/replay/events.jsonl
	REPLAY_EVENTS=$(O)/replay/events.jsonl \
	    tests/in-memory $(O)/replay/replay \
	    $(wildcard tests/replay/*.play)
	schemas/validate $(O)/replay/events.jsonl

# Real peers on loopback.
# test_identity has messages signed by a unit test
check-integration: all $(O)/tests/test_signer_forms
	tests/integration/run $(O)

# What configure says when a library is missing; install and uninstall.
check-build: all
	tests/build/run $(O)

# Processes killed under load.  check-crash is the short tier.
$(O)/tests/crash-image: tests/crash/image.c $(LINK_LIBS)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -MF $@.d $(LDFLAGS_ALL) \
	    -o $@ $< $(LINK_LIBS) $(LIBS_ALL)
# Stands between relay and the disk; never instrumented itself.
$(O)/tests/crash-shim.so: tests/crash/shim.c | config.mk
	@mkdir -p $(@D)
	$(CC) -std=c11 $(WARNINGS) $(USER_CFLAGS) -fPIC -shared -o $@ $< -ldl
$(O)/tests/crash-starve.so: tests/crash/starve.c | config.mk
	@mkdir -p $(@D)
	$(CC) -std=c11 $(WARNINGS) $(USER_CFLAGS) -fPIC -shared -o $@ $<
CRASH_PARTS = $(O)/tests/crash-image $(O)/tests/crash-shim.so \
	$(O)/tests/crash-starve.so
# KILLS=, IMAGES=, PARTS="kills faults ..." choose
KILLS ?= 500
IMAGES ?= 1200
check-long:
	O=$(O) contrib/check-long -k $(KILLS) -i $(IMAGES) $(PARTS)
crash: all $(CRASH_PARTS)
	tests/crash/run $(O)
	tests/crash/failpoints $(O)
	tests/crash/powercut $(O) --images 1200
	tests/crash/powercut $(O) --images 30 --messages 100 --drop-syncs data
	tests/crash/powercut $(O) --images 30 --messages 100 --drop-syncs all
	tests/crash/faults $(O)
# The short tier.
.PHONY: check-crash
check-crash: all $(CRASH_PARTS)
	tests/crash/run $(O) --kills 20
	tests/crash/powercut $(O) --images 40 --messages 40 --starts 1
bench: all
	tests/bench/run $(O)
.PHONY: bench-memory bench-idle bench-flood bench-scale bench-compare \
	bench-events
# What event publishing costs the mail path.
bench-events: all
	tests/bench/events $(O)
# The good client beside hostile ones; check-long has a short round of it.
bench-flood: all
	tests/bench/flood $(O)
.PHONY: check-flood
check-flood: all
	tests/bench/flood $(O) --rounds 1 --seconds 2
bench-scale: all $(O)/bench/spool_fill $(O)/bench/spool_bench \
	$(O)/bench/turns.so
	tests/bench/scale $(O)
$(O)/bench/turns.so: tests/bench/turns.c | config.mk
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE $(WARNINGS) $(USER_CFLAGS) -fPIC -shared \
	    -o $@ $< -ldl
$(O)/bench/spool_%: tests/bench/spool_%.c $(LINK_LIBS) | config.mk
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -MF $@.d $(LDFLAGS_ALL) \
	    -o $@ $< $(LINK_LIBS) $(LIBS_ALL)
# Beside other mail servers, where contrib/dev/peers has unpacked them.
bench-compare: all
	tests/bench/compare $(O)
bench-idle: all
	tests/bench/idle $(O)
bench-memory: all
	tests/bench/memory $(O)

# Races between threads: unit tests, plays, a load run, in a build of its own.
.PHONY: check-tsan tsan-tests
TSAN_SUPP = $(abspath tests/tsan.supp)
check-tsan:
	$(MAKE) O=build-tsan tsan-tests \
	    "VARIANT_CFLAGS=-fsanitize=thread -fno-omit-frame-pointer"
tsan-tests: export TSAN_OPTIONS = suppressions=$(TSAN_SUPP)
tsan-tests: export UNIT_LIMIT_S = 1200
tsan-tests: all $(UNIT_BIN) $(O)/replay/replay
	tests/in-memory tests/run-unit $(UNIT_BIN)
	tests/in-memory $(O)/replay/replay $(wildcard tests/replay/*.play)
	tests/tsan/load $(O)

# The time of refused logins; looked at from outside: testssl.sh, nmap.
.PHONY: bench-login scan
$(O)/bench/login: tests/bench/login.c $(LINK_LIBS)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -MF $@.d $(LDFLAGS_ALL) \
	    -o $@ $< $(LINK_LIBS) $(LIBS_ALL) -lm
bench-login: $(O)/bench/login
	dir=$$(mktemp -d) && $(O)/bench/login $$dir; rm -rf $$dir
# A million suppressed addresses, 10,000 identities, sets and credentials.
.PHONY: bench-registry
$(O)/bench/registry_bench: tests/bench/registry_bench.c $(LINK_LIBS)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -MF $@.d $(LDFLAGS_ALL) \
	    -o $@ $< $(LINK_LIBS) $(LIBS_ALL)
bench-registry: $(O)/bench/registry_bench
	dir=$$(mktemp -d) && $(O)/bench/registry_bench $$dir; rm -rf $$dir
scan: all
	tests/scan/run $(O)
