# SPDX-License-Identifier: ISC
# posthorn: one Makefile, not recursive.  ./configure writes config.mk.
#
#	make			build the programs into $(O)
#	make check		unit tests, replay, configuration files, fuzz corpus
#	make check-long		the long proofs
#	make bench		figures, no verdict
#	make fuzz		libFuzzer binaries (clang)
#	make layers headers lint	structure, headers alone, documents
#	make install DESTDIR= prefix=
#
# O=DIR puts all that is built into another folder.

O ?= build
-include config.mk

.DEFAULT_GOAL := all
.SUFFIXES:
.PHONY: all check check-long check-unit check-replay check-conf check-fuzz \
	check-integration bench fuzz crash layers headers lint docs-check \
	install install-systemd uninstall dist clean distclean

config.mk:
	./configure
# configure and config.h.in are kept in the tree, so that a clone builds
# without autoconf; whoever changes configure.ac runs "make autoconf".
.PHONY: autoconf
autoconf:
	autoheader
	autoconf

# -- modules: every .c file of a layer is one ----------------------------
# keys.c and verifier.c speak only to their channels; libraries of their own
LAYERS = base net mail store registry submission delivery reporting daemon

src_of = $(sort $(wildcard src/$(1)/*.c))
obj_of = $(patsubst src/%.c,$(O)/%.o,$(call src_of,$(1)))
lib_of = $(O)/lib$(1).a
PROGRAM_MAINS = src/daemon/posthornd.c

CPPFLAGS_ALL = -Isrc -I$(O) -I. -D_GNU_SOURCE $(LIB_CFLAGS) $(USER_CPPFLAGS)
WARNINGS = -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes \
	-Wmissing-prototypes -Wpointer-arith -Wundef -Wvla
HARDEN = -fstack-protector-strong -fPIE -D_FORTIFY_SOURCE=2
ifneq ($(findstring fsanitize,$(VARIANT_CFLAGS)),)
HARDEN = -fPIE -U_FORTIFY_SOURCE
endif
CFLAGS_ALL = -std=c11 $(WARNINGS) $(USER_CFLAGS) $(HARDEN) $(VARIANT_CFLAGS) \
	-pthread
LDFLAGS_ALL = $(USER_LDFLAGS) $(VARIANT_CFLAGS) -pie -Wl,-z,relro,-z,now \
	-pthread

PROGRAMS = $(O)/posthornd $(O)/posthornctl $(O)/sendmail
all: $(PROGRAMS)

LAYER_LIBS = $(foreach l,$(LAYERS),$(call lib_of,$(l)))
# reversed: what uses stands before what is used
LINK_LIBS = $(call lib_of,daemon) $(call lib_of,reporting) \
	$(call lib_of,delivery) $(call lib_of,submission) \
	$(call lib_of,registry) $(call lib_of,store) $(call lib_of,mail) \
	$(call lib_of,net) $(call lib_of,base)

define LIB_RULE
$(call lib_of,$(1)): $(filter-out $(O)/daemon/posthornd.o,$(call obj_of,$(1)))
	@mkdir -p $$(@D); rm -f $$@
	$$(AR) rcs $$@ $$^
endef
$(foreach l,$(LAYERS),$(eval $(call LIB_RULE,$(l))))

$(O)/%.o: src/%.c | config.mk
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

$(O)/posthornd: $(O)/daemon/posthornd.o $(LINK_LIBS)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS_ALL)
# The tools use the lower layers only; posthornctl/ holds one file per noun.
CTL_SRC = $(wildcard src/tools/posthornctl.c src/tools/ctl/*.c)
SENDMAIL_SRC = $(wildcard src/tools/sendmail.c src/tools/sendmail_*.c)
TOOL_LIBS = $(call lib_of,registry) $(call lib_of,store) $(call lib_of,mail) \
	$(call lib_of,net) $(call lib_of,base)
$(O)/posthornctl: $(CTL_SRC:src/%.c=$(O)/%.o) $(TOOL_LIBS)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS_ALL)
$(O)/sendmail: $(SENDMAIL_SRC:src/%.c=$(O)/%.o) $(TOOL_LIBS)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS_ALL)

# -- unit tests -------------------------------------------------------------
UNIT_SRC = $(wildcard tests/unit/test_*.c)
UNIT_BIN = $(UNIT_SRC:tests/unit/%.c=$(O)/tests/%)
$(O)/tests/test_%: tests/unit/test_%.c $(LINK_LIBS) | config.mk
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) -Itests/lib $(CFLAGS_ALL) -MMD -MP -MF $@.d \
	    $(LDFLAGS_ALL) -o $@ $< $(TOOL_PARTS) -Wl,--start-group \
	    $(LINK_LIBS) -Wl,--end-group $(LIBS_ALL) $(CMOCKA_LIBS)
# Tests of a program link its parts, all but main.
SENDMAIL_PARTS = $(filter-out $(O)/tools/sendmail.o, \
	$(SENDMAIL_SRC:src/%.c=$(O)/%.o))
$(O)/tests/test_sendmail $(O)/fuzz/fuzz_sendmail-replay: \
	TOOL_PARTS = $(SENDMAIL_PARTS)
$(O)/tests/test_sendmail $(O)/fuzz/fuzz_sendmail-replay: $(SENDMAIL_PARTS)
CTL_PARTS = $(filter-out $(O)/tools/posthornctl.o, $(CTL_SRC:src/%.c=$(O)/%.o))
$(O)/tests/test_ctl: TOOL_PARTS = $(CTL_PARTS)
$(O)/tests/test_ctl: $(CTL_PARTS)
unit-binaries: $(UNIT_BIN)
check-unit: $(UNIT_BIN)
	tests/run-unit $(UNIT_BIN)

# -- fuzz targets: with clang for fuzzing, with any compiler for the corpus --
FUZZ_SRC = $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_REPLAY = $(FUZZ_SRC:tests/fuzz/%.c=$(O)/fuzz/%-replay)
$(O)/fuzz/%-replay: tests/fuzz/%.c tests/fuzz/replay_main.c $(LINK_LIBS)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) -Itests/lib $(CFLAGS_ALL) -MMD -MP -MF $@.d \
	    $(LDFLAGS_ALL) -o $@ $< $(TOOL_PARTS) tests/fuzz/replay_main.c \
	    -Wl,--start-group $(LINK_LIBS) -Wl,--end-group $(LIBS_ALL)
check-fuzz: $(FUZZ_REPLAY)
	tests/fuzz/run-corpus $(FUZZ_REPLAY)
# Sources are compiled again with coverage; needs clang.
FUZZ_FLAGS = -std=c11 -g -O1 -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize-recover=undefined -pthread
FUZZ_LAYERS = base net mail store registry submission delivery reporting daemon
FUZZ_PARTS = $(filter-out $(O)/fuzz/obj/daemon/posthornd.o \
	$(O)/fuzz/obj/tools/sendmail.o, \
	$(patsubst src/%.c,$(O)/fuzz/obj/%.o,$(SENDMAIL_SRC) \
	$(foreach l,$(FUZZ_LAYERS),$(call src_of,$(l)))))
FUZZ_LIB = $(O)/fuzz/libfuzzed.a
fuzz: $(FUZZ_SRC:tests/fuzz/%.c=$(O)/fuzz/%)
$(O)/fuzz/obj/%.o: src/%.c | config.mk
	@mkdir -p $(@D)
	clang $(CPPFLAGS_ALL) $(FUZZ_FLAGS) -MMD -MP -c -o $@ $<
$(FUZZ_LIB): $(FUZZ_PARTS)
	@rm -f $@
	$(AR) rcs $@ $^
$(O)/fuzz/fuzz_%: tests/fuzz/fuzz_%.c $(FUZZ_LIB)
	clang $(CPPFLAGS_ALL) -Itests/lib $(FUZZ_FLAGS) -fsanitize=fuzzer \
	    -MMD -MP -MF $@.d -o $@ $< $(FUZZ_LIB) $(LIBS_ALL)

include tests/rules.mk

check: check-unit check-conf check-replay check-fuzz

# -- structure --------------------------------------------------------------
layers:
	contrib/dev/layers
HEADER_LIST = $(wildcard src/*/*.h src/tools/ctl/*.h)
headers: | config.mk
	@for h in $(HEADER_LIST); do \
	    echo "#include \"$$h\"" | $(CC) $(CPPFLAGS_ALL) -std=c11 \
		-Wall -Wextra -fsyntax-only -x c - || exit 1; done; \
	echo "headers: $(words $(HEADER_LIST)) compile alone"
lint:
	contrib/dev/lint
docs-check: $(O)/posthornctl
	contrib/dev/docs-check $(O)/posthornctl

# -- install ----------------------------------------------------------------
install: all
	install -d $(DESTDIR)$(sbindir) $(DESTDIR)$(bindir) \
	    $(DESTDIR)$(mandir)/man1 $(DESTDIR)$(mandir)/man5 \
	    $(DESTDIR)$(mandir)/man7 $(DESTDIR)$(mandir)/man8 \
	    $(DESTDIR)$(datadir)/posthorn/examples
	install -m 755 $(O)/posthornd $(DESTDIR)$(sbindir)/posthornd
	install -m 755 $(O)/posthornctl $(DESTDIR)$(bindir)/posthornctl
	install -m 755 $(O)/sendmail $(DESTDIR)$(sbindir)/posthorn-sendmail
	for f in conf/*.conf; do install -m 644 $$f \
	    $(DESTDIR)$(datadir)/posthorn/examples/; done
	for s in 1 5 7 8; do for f in man/*.$$s; do [ ! -e $$f ] || \
	    install -m 644 $$f $(DESTDIR)$(mandir)/man$$s/; done; done
# The service: users, folders, unit.  The first configuration is written by
# "posthornctl init", which leaves one that is there alone.
unitdir ?= /usr/lib/systemd/system
sysusersdir ?= /usr/lib/sysusers.d
tmpfilesdir ?= /usr/lib/tmpfiles.d
install-systemd:
	install -d $(DESTDIR)$(unitdir) $(DESTDIR)$(sysusersdir) \
	    $(DESTDIR)$(tmpfilesdir)
	sed -e 's|@sbindir@|$(sbindir)|' -e 's|@bindir@|$(bindir)|' \
	    contrib/systemd/posthorn.service \
	    > $(DESTDIR)$(unitdir)/posthorn.service
	install -m 644 contrib/systemd/posthorn.sysusers \
	    $(DESTDIR)$(sysusersdir)/posthorn.conf
	install -m 644 contrib/systemd/posthorn.tmpfiles \
	    $(DESTDIR)$(tmpfilesdir)/posthorn.conf
uninstall:
	rm -f $(DESTDIR)$(sbindir)/posthornd $(DESTDIR)$(bindir)/posthornctl \
	    $(DESTDIR)$(sbindir)/posthorn-sendmail
	for s in 1 5 7 8; do for f in man/*.$$s; do [ ! -e $$f ] || rm -f \
	    $(DESTDIR)$(mandir)/man$$s/$$(basename $$f); done; done
dist:
	git archive --prefix=posthorn-$(VERSION)/ -o posthorn-$(VERSION).tar.gz HEAD
clean:
	rm -rf $(O)
distclean: clean
	rm -rf config.mk config.h config.log config.status autom4te.cache

-include $(shell find $(O) -name '*.d' 2>/dev/null)
