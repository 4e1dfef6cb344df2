# SPDX-License-Identifier: ISC
# Fuzzing with clang: the sources are compiled again, once with libFuzzer and
# sanitizers ($(O)/fuzz), once to see which lines a corpus reaches
# ($(O)/fuzz-coverage).  A campaign keeps what it did in $(O)/fuzz-results.
FUZZ_PARTS = $(filter-out $(POSTHORND) tools/posthornctl tools/sendmail, \
	$(ALL_PARTS))
FUZZ_FAKES = $(patsubst tests/lib/%.c,%,$(wildcard tests/lib/fake_*.c))
FUZZ_FAKED = auth command keys session spool transport verifier

# FOLDER, flags, what a target is linked with
define FUZZ_RULES
$(O)/$(1)/obj/%.o: src/%.c | config.mk
	@mkdir -p $$(@D)
	clang $$(CPPFLAGS_ALL) $(2) -MMD -MP -c -o $$@ $$<
$(O)/$(1)/obj/fake/%.o: tests/lib/%.c | config.mk
	@mkdir -p $$(@D)
	clang $$(CPPFLAGS_ALL) -Itests/lib $(2) -MMD -MP -c -o $$@ $$<
$(O)/$(1)/libfuzzed.a: $(FUZZ_PARTS:%=$(O)/$(1)/obj/%.o)
	@rm -f $$@
	$$(AR) rcs $$@ $$^
$(O)/$(1)/libfakes.a: $(FUZZ_FAKES:%=$(O)/$(1)/obj/fake/%.o)
	@rm -f $$@
	$$(AR) rcs $$@ $$^
$(FUZZ_FAKED:%=$(O)/$(1)/fuzz_%): FUZZ_EXTRA = $(O)/$(1)/libfakes.a
$(FUZZ_FAKED:%=$(O)/$(1)/fuzz_%): $(O)/$(1)/libfakes.a
$(O)/$(1)/fuzz_command: FUZZ_EXTRA = -Wl$$(comma)--whole-archive \
	$(O)/$(1)/libfakes.a -Wl$$(comma)--no-whole-archive
$(O)/$(1)/fuzz_%: tests/fuzz/fuzz_%.c $(O)/$(1)/libfuzzed.a
	clang $$(CPPFLAGS_ALL) -Itests/lib $(2) -MMD -MP -MF $$@.d -o $$@ \
	    $$< $(3) $$(FUZZ_EXTRA) $(O)/$(1)/libfuzzed.a $$(LIBS_ALL)
$(1): $(FUZZ_SRC:tests/fuzz/%.c=$(O)/$(1)/%)
endef
FUZZ_BASE = -std=c11 -g -O1 -pthread
$(eval $(call FUZZ_RULES,fuzz,$(FUZZ_BASE) \
	-fsanitize=fuzzer-no-link$(comma)address$(comma)undefined \
	-fno-sanitize-recover=undefined,-fsanitize=fuzzer))
$(eval $(call FUZZ_RULES,fuzz-coverage,$(FUZZ_BASE) \
	-fprofile-instr-generate -fcoverage-mapping,tests/fuzz/replay_main.c))

# Seeds that the registers make, anew when a record has changed.
.PHONY: fuzz-seeds
$(O)/fuzz/seed_book: tests/fuzz/seed_book.c $(LINK_LIBS)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) -Itests/lib $(CFLAGS_ALL) -MMD -MP -MF $@.d \
	    $(LDFLAGS_ALL) -o $@ $< $(LINK_LIBS) $(LIBS_ALL)
fuzz-seeds: $(O)/fuzz/seed_book
	$(O)/fuzz/seed_book tests/fuzz/corpus/book

# CAMPAIGN="--jobs 4 --only smtp,reply": see the script
.PHONY: fuzz-coverage fuzz-campaign
fuzz-campaign: fuzz fuzz-coverage
	tests/fuzz/campaign $(O) --merge --document $(CAMPAIGN)
