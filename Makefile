# SPDX-License-Identifier: ISC
# posthorn: one Makefile, not recursive.  ./configure writes config.mk.
#
#	make			build the programs into $(O)
#	make check		unit tests, replay, configuration files, fuzz corpus
#	make check-long		the long proofs
#	make check-tsan		races between threads: unit, replay, load
#	make bench bench-flood	figures, no verdict
#	make fuzz		libFuzzer binaries (clang)
#	make fuzz-campaign	hours of them, and docs/fuzzing.md
#	make layers headers lint	structure, headers alone, documents
#	make install DESTDIR= prefix=
#
# O=DIR puts all that is built into another folder.

O ?= build
-include config.mk

.DEFAULT_GOAL := all
.SUFFIXES:
.PHONY: all check check-long check-unit check-replay check-conf check-fuzz \
	check-integration check-build bench fuzz crash layers headers lint docs-check \
	conformance \
	install install-systemd uninstall dist clean distclean

# again when configure has changed, with the same options
config.mk: configure config.mk.in
	@if [ -x config.status ]; then ./config.status --recheck && \
	    ./config.status; else ./configure; fi
# configure and config.h.in are kept in the tree, so that a clone builds
# without autoconf; whoever changes configure.ac runs "make autoconf".
.PHONY: autoconf
autoconf:
	autoheader
	autoconf

# -- modules: what each folder holds, one line a module with its parts --------
# "make layers" checks that the lists and the folders agree.
base_MODULES = \
	err failpoint \
	mem utf8 reserve \
	clock clock_text \
	log \
	table heap \
	thread alarm pass turns workers \
	process sandbox channel \
	tally

net_MODULES = \
	stream stream_block stream_io stream_socket stream_text \
	    sockaddr \
	tls tls_session tls_trust \
	url http \
	resolver resolver_answer resolver_cache resolver_parse \
	    resolver_servers dnsbl spf_macro spf_result spf_term

mail_MODULES = \
	address \
	smtp smtp_reply \
	framing \
	header header_words \
	mime mime_name eicar \
	message msgid \
	classify classify_names \
	dkim_record dmarc spf_record \
	report report_read returned \
	event event_json event_string

store_MODULES = \
	db db_redo \
	record record_event record_intake pack \
	statistic \
	gather redo \
	spool spool_batch spool_change spool_client_id spool_counter \
	    spool_intake spool_read \
	    spool_redo \
	    spool_room spool_scan spool_sweep spool_write

registry_MODULES = \
	conf conf_addr conf_apply conf_check conf_parse conf_render conf_show \
	    conf_table conf_value \
	book \
	account account_purge account_review \
	credential credential_book login \
	identity identity_check identity_command identity_name identity_plan \
	identity_sign \
	policy policy_condition policy_judge identity_policy permission \
	mail_from spf_state ip_filter \
	glob cidr \
	ledger quota provider \
	alarm finding level listing snds \
	source pool json_reader resource_tags config_set config_set_json \
	    destination destination_filter destination_json \
	    destination_metrics destination_show destination_webhook \
	    rotated_name \
	topic notification \
	suppression suppression_global import_job \
	keys_proto verify_job

submission_MODULES = \
	listener standing \
	session session_auth session_command session_data intake \
	admission admission_address admission_apply admission_permission \
	    admission_tags \
	receive receive_close \
	signer keys_client \
	posting posting_sign \
	desk notice

delivery_MODULES = \
	carrier carrier_attempt carrier_batch carrier_settle \
	    carrier_simulate carrier_suppress carrier_view \
	scheduler scheduler_read lane due \
	route site group \
	egress rota patience connection dial \
	transport transaction attempt \
	outcome \
	simulator

reporting_MODULES = \
	reporter publisher event_mail \
	feedback feedback_channel notices withdrawal suppressor \
	inbox inbox_judge inbox_events forwarder simulated_return \
	outbox outbox_ask outbox_file outbox_metrics outbox_read outbox_result \
	    outbox_webhook outlet \
	    routes series sns \
	    event_file webhook \
	statistics statistics_facts statistics_rows rates reputation \
	    reputation_alarm reputation_detect reputation_threshold \
	blocklist blocklist_round levels detector \
	verification verification_check operator_record inquiry spf_watch \
	bulletin

daemon_MODULES = \
	master master_files master_reload master_setup master_sockets \
	    master_watch \
	child \
	relay relay_listen relay_mail_from relay_operator relay_pulse relay_purge \
	    relay_reload relay_reserve relay_sender relay_setup relay_wiring \
	control control_account control_alarm control_args control_audit control_automatic \
	    control_blocklist control_snds \
	    control_config_set control_credential control_destination \
	    control_destination_test control_topic control_notification \
	    control_dkim control_doctor \
	    control_doctor_dns control_doctor_host control_doctor_judge \
	    control_doctor_port control_doctor_spf \
	    control_event control_identity control_ip control_ip_filter \
	    control_json control_key control_level control_outbox \
	    control_pool \
	    control_policy control_mail_from control_check control_check_dmarc \
	    control_check_judge control_check_remedy control_remedy \
	    control_feedback \
	    control_queue control_queue_change control_queue_list \
	    control_queue_sum \
	    control_import control_reputation control_request control_send control_suppression \
	    control_stats control_stats_table control_sweep control_system \
	    control_trace control_trace_search \
	audit \
	metrics metrics_page metrics_account metrics_outbox \
	keys_main verifier_main
# Libraries of their own in the same folder: the processes beside relay, and
# what they say to the master.  "make layers" proves that they link little.
child_MODULES = child_proto
keys_MODULES = keys keys_job keys_seal
verifier_MODULES = verifier verifier_authority verifier_check verifier_policy
# libspf2, which verifier alone may call
spf_MODULES = spf spf_look

# Programs: the first has main().
POSTHORND = daemon/posthornd
POSTHORNCTL = tools/posthornctl \
	$(addprefix tools/ctl/, account args backup call check commands \
	    config_set destination doctor finding identity \
	    init ip json offline output policy queue reputation row send stats \
	    store stream suppression system topic trace value)
SENDMAIL = tools/sendmail \
	$(addprefix tools/sendmail_, address body conf link message options \
	    smtp tls)

# in the order of the layers
LIBRARIES = base net mail store registry submission delivery reporting \
	child keys spf verifier daemon
folder_of = $(if $(filter child keys verifier,$(1)),daemon,$(subst spf,net,$(1)))
parts_of = $(addprefix $(call folder_of,$(1))/,$($(1)_MODULES))
obj_of = $(patsubst %,$(O)/%.o,$(call parts_of,$(1)))
lib_of = $(O)/lib$(1).a
ALL_PARTS = $(foreach l,$(LIBRARIES),$(call parts_of,$(l))) \
	$(POSTHORND) $(POSTHORNCTL) $(SENDMAIL)

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
	-Wl,--as-needed -pthread

PROGRAMS = $(O)/posthornd $(O)/posthornctl $(O)/sendmail
all: $(PROGRAMS)

# reversed: what uses stands before what is used
libs_of = $(foreach l,$(1),$(call lib_of,$(l)))
LINK_LIBS = $(call libs_of,daemon verifier spf keys child reporting delivery \
	submission registry store mail net base)
TOOL_LIBS = $(call libs_of,registry store mail net base)

# also when only its list has changed
define LIB_RULE
$(call lib_of,$(1)): $(call obj_of,$(1)) Makefile
	@mkdir -p $$(@D); rm -f $$@
	$$(AR) rcs $$@ $$(filter %.o,$$^)
endef
$(foreach l,$(LIBRARIES),$(eval $(call LIB_RULE,$(l))))

$(O)/%.o: src/%.c | config.mk
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

# The tools use the lower layers only; posthornctl has one file per noun.
POSTHORND_OBJ = $(POSTHORND:%=$(O)/%.o)
POSTHORNCTL_OBJ = $(POSTHORNCTL:%=$(O)/%.o)
SENDMAIL_OBJ = $(SENDMAIL:%=$(O)/%.o)
$(O)/posthornd: $(POSTHORND_OBJ) $(LINK_LIBS)
$(O)/posthornctl: $(POSTHORNCTL_OBJ) $(TOOL_LIBS)
$(O)/sendmail: $(SENDMAIL_OBJ) $(TOOL_LIBS)
$(PROGRAMS):
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS_ALL)

# -- unit tests -------------------------------------------------------------
UNIT_SRC = $(wildcard tests/unit/test_*.c)
UNIT_BIN = $(UNIT_SRC:tests/unit/%.c=$(O)/tests/%)
$(O)/tests/test_%: tests/unit/test_%.c $(LINK_LIBS) | config.mk
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) -Itests/lib $(CFLAGS_ALL) -MMD -MP -MF $@.d \
	    $(LDFLAGS_ALL) -o $@ $< $(TOOL_PARTS) $(LINK_LIBS) \
	    $(LIBS_ALL) $(CMOCKA_LIBS)
# Tests of a program link its parts, all but main.
SENDMAIL_PARTS = $(filter-out $(O)/tools/sendmail.o, $(SENDMAIL_OBJ))
SENDMAIL_TESTS = $(addprefix $(O)/,tests/test_sendmail \
	$(patsubst %,fuzz/fuzz_%-replay,sendmail sendmail_options))
$(SENDMAIL_TESTS): TOOL_PARTS = $(SENDMAIL_PARTS)
$(SENDMAIL_TESTS): $(SENDMAIL_PARTS)
# another link stands in the place of theirs
DIALOG_PARTS = $(filter-out $(addprefix $(O)/tools/sendmail_,link.o tls.o), \
	$(SENDMAIL_PARTS))
$(O)/fuzz/fuzz_dialog-replay: TOOL_PARTS = $(DIALOG_PARTS)
$(O)/fuzz/fuzz_dialog-replay: $(DIALOG_PARTS)
CTL_PARTS = $(filter-out $(O)/tools/posthornctl.o, $(POSTHORNCTL_OBJ))
CTL_TESTS = $(addprefix $(O)/,tests/test_ctl tests/test_row \
	$(patsubst %,fuzz/fuzz_%-replay,ctl ctl_args value row))
$(CTL_TESTS): TOOL_PARTS = $(CTL_PARTS)
$(CTL_TESTS): $(CTL_PARTS)
unit-binaries: $(UNIT_BIN)
check-unit: $(UNIT_BIN)
	tests/in-memory tests/run-unit $(UNIT_BIN)

# -- fuzz targets: with clang for fuzzing, with any compiler for the corpus --
FUZZ_SRC = $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_REPLAY = $(FUZZ_SRC:tests/fuzz/%.c=$(O)/fuzz/%-replay)
# the source that stands last is the one whose headers are in the .d
$(O)/fuzz/%-replay: tests/fuzz/%.c tests/fuzz/replay_main.c $(LINK_LIBS)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) -Itests/lib $(CFLAGS_ALL) -MMD -MP -MF $@.d \
	    $(LDFLAGS_ALL) -o $@ tests/fuzz/replay_main.c $< $(TOOL_PARTS) \
	    $(LINK_LIBS) $(LIBS_ALL)
check-fuzz: $(FUZZ_REPLAY)
	tests/in-memory tests/fuzz/run-corpus $(FUZZ_REPLAY)
comma = ,
include tests/fuzz/rules.mk

include tests/rules.mk
check: check-unit check-conf check-replay check-fuzz

# -- structure --------------------------------------------------------------
layers: $(PROGRAMS) $(call libs_of,$(LIBRARIES))
	contrib/dev/layers $(ALL_PARTS)
	CC="$(CC) $(LDFLAGS_ALL)" contrib/dev/links $(O)
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
	contrib/dev/conformance -c
# docs/conformance.md from docs/conformance/
conformance:
	contrib/dev/conformance

# -- install ----------------------------------------------------------------
# every file, so that uninstall takes away what install has put there
MANUALS = $(wildcard man/*.[1578])
manual_dir = $(mandir)/man$(subst .,,$(suffix $(1)))
examplesdir = $(datadir)/posthorn/examples
schemasdir = $(datadir)/posthorn/schemas
install: all
	install -d "$(DESTDIR)$(sbindir)" "$(DESTDIR)$(bindir)" \
	    "$(DESTDIR)$(examplesdir)"
	install -m 755 $(O)/posthornd "$(DESTDIR)$(sbindir)/posthornd"
	install -m 755 $(O)/posthornctl "$(DESTDIR)$(bindir)/posthornctl"
	install -m 755 $(O)/sendmail "$(DESTDIR)$(sbindir)/posthorn-sendmail"
	for n in mailq newaliases; do \
	    ln -srf "$(DESTDIR)$(sbindir)/posthorn-sendmail" \
		"$(DESTDIR)$(bindir)/posthorn-$$n" || exit 1; done
	install -m 644 conf/*.conf "$(DESTDIR)$(examplesdir)/"
	install -d "$(DESTDIR)$(schemasdir)"
	install -m 644 schemas/*.json "$(DESTDIR)$(schemasdir)/"
	$(foreach m,$(MANUALS),install -D -m 644 $(m) \
	    "$(DESTDIR)$(call manual_dir,$(m))/$(notdir $(m))" &&) :
# The service: users, folders, unit.  The first configuration is written by
# "posthornctl init", which leaves one that is there alone.
unitdir ?= /usr/lib/systemd/system
sysusersdir ?= /usr/lib/sysusers.d
tmpfilesdir ?= /usr/lib/tmpfiles.d
install-systemd:
	install -d "$(DESTDIR)$(unitdir)" "$(DESTDIR)$(sysusersdir)" \
	    "$(DESTDIR)$(tmpfilesdir)"
	sed -e 's|@sbindir@|$(sbindir)|' -e 's|@bindir@|$(bindir)|' \
	    contrib/systemd/posthorn.service \
	    > "$(DESTDIR)$(unitdir)/posthorn.service"
	install -m 644 contrib/systemd/posthorn.sysusers \
	    "$(DESTDIR)$(sysusersdir)/posthorn.conf"
	install -m 644 contrib/systemd/posthorn.tmpfiles \
	    "$(DESTDIR)$(tmpfilesdir)/posthorn.conf"
uninstall:
	rm -f "$(DESTDIR)$(sbindir)/posthornd" \
	    "$(DESTDIR)$(bindir)/posthornctl" \
	    "$(DESTDIR)$(sbindir)/posthorn-sendmail" \
	    "$(DESTDIR)$(bindir)/posthorn-mailq" \
	    "$(DESTDIR)$(bindir)/posthorn-newaliases" \
	    "$(DESTDIR)$(unitdir)/posthorn.service" \
	    "$(DESTDIR)$(sysusersdir)/posthorn.conf" \
	    "$(DESTDIR)$(tmpfilesdir)/posthorn.conf" \
	    $(foreach j,$(notdir $(wildcard schemas/*.json)), \
	    "$(DESTDIR)$(schemasdir)/$(j)") \
	    $(foreach c,$(notdir $(wildcard conf/*.conf)), \
	    "$(DESTDIR)$(examplesdir)/$(c)") $(foreach m,$(MANUALS), \
	    "$(DESTDIR)$(call manual_dir,$(m))/$(notdir $(m))")
	-rmdir "$(DESTDIR)$(examplesdir)" "$(DESTDIR)$(schemasdir)" \
	    "$(DESTDIR)$(datadir)/posthorn"
dist:
	git archive --prefix=posthorn-$(VERSION)/ \
	    -o posthorn-$(VERSION).tar.gz HEAD
clean:
	rm -rf $(O)
distclean: clean
	rm -rf config.mk config.h config.log config.status autom4te.cache

-include $(shell find $(O) -name '*.d' 2>/dev/null)
