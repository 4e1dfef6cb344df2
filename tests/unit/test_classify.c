/* SPDX-License-Identifier: ISC */
/* classify: the vectors of bounces-and-feedback.md 3.4 and section 4. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mail/classify.h"

#define RECIPIENT "jane@sink.example"
#define SOURCE "203.0.113.10"

struct vector {
	enum classify_stage stage;
	const char	   *reply, *rule, *type, *subtype;
	bool		    ip_block;
};

static int
set_up(void **state)
{
	struct err e;

	*state = classify_new(&e);
	return *state == NULL ? -1 : 0;
}

static int
tear_down(void **state)
{
	classify_free(*state);
	return 0;
}

/* "550 5.1.1 text" of a reply; recipient and source as in the tables. */
static struct classify_input
input_of(enum classify_stage stage, const char *reply)
{
	struct classify_input in = { .stage = stage };

	in.code = (unsigned)strtoul(reply, NULL, 10);
	in.text = bytes_of(reply + 4);
	in.recipient = BYTES(RECIPIENT);
	in.source_ip = BYTES(SOURCE);
	return in;
}

static const struct vector finals[] = {
	{ CLASSIFY_RCPT, "550 5.1.1 <jane@sink.example>... User", "N1",
	    "Permanent", "General", false },
	{ CLASSIFY_RCPT, "550 5.1.1 user unknown", "N1", "Permanent",
	    "General", false },
	{ CLASSIFY_RCPT,
	    "550 Requested action not taken: mailbox unavailable", "N2",
	    "Permanent", "General", false },
	{ CLASSIFY_RCPT, "550 no", "N3", "Permanent", "General", false },
	{ CLASSIFY_RCPT, "551 User not local", "N3", "Permanent", "General",
	    false },
	{ CLASSIFY_RCPT, "553 5.1.3 invalid address", "N1", "Permanent",
	    "General", false },
	{ CLASSIFY_RCPT,
	    "550 5.4.1 Recipient address rejected: Access denied", "N2",
	    "Permanent", "General", false },
	{ CLASSIFY_RCPT,
	    "554 delivery error: dd This user doesn't have a sink.example "
	    "account (jane@sink.example) [0]",
	    "N2", "Permanent", "General", false },
	{ CLASSIFY_RCPT,
	    "550 5.2.1 The email account that you tried to reach is disabled",
	    "N1", "Permanent", "General", false },
	{ CLASSIFY_RCPT,
	    "554 5.7.1 <jane@sink.example>: Relay access denied", "N2",
	    "Permanent", "General", false },
	{ CLASSIFY_RCPT, "521 5.3.2 Host does not accept mail", "N1",
	    "Permanent", "General", false },
	{ CLASSIFY_RCPT, "552 5.2.2 mailbox full", "F1", "Transient",
	    "MailboxFull", false },
	{ CLASSIFY_DOT,
	    "552 requested mail action aborted: exceeded storage allocation",
	    "F2", "Transient", "MailboxFull", false },
	{ CLASSIFY_DOT, "552 5.3.4 message too big", "L1", "Transient",
	    "MessageTooLarge", false },
	{ CLASSIFY_DOT, "552 message rejected", "L3", "Transient",
	    "MessageTooLarge", false },
	{ CLASSIFY_DOT, "500 5.6.1 content rejected", "C1", "Transient",
	    "ContentRejected", false },
	{ CLASSIFY_DOT, "550 5.6.1 content rejected", "C1", "Transient",
	    "ContentRejected", false },
	{ CLASSIFY_DOT, "550 High probability of spam", "C2", "Transient",
	    "ContentRejected", false },
	{ CLASSIFY_DOT,
	    "550 5.7.1 [203.0.113.10 12] Our system has detected that this "
	    "message is likely unsolicited mail. message has been blocked.",
	    "C2", "Transient", "ContentRejected", false },
	{ CLASSIFY_DOT, "550 5.7.1 Message refused", "C3", "Transient",
	    "ContentRejected", false },
	{ CLASSIFY_DOT,
	    "550 5.7.26 Unauthenticated email from example.com is not "
	    "accepted due to domain's DMARC policy",
	    "P1", "Transient", "ContentRejected", false },
	{ CLASSIFY_DOT,
	    "552 5.7.0 This message was blocked because its content presents "
	    "a potential security issue (attached executable)",
	    "A1", "Transient", "AttachmentRejected", false },
	{ CLASSIFY_GREETING,
	    "554 5.7.1 Service unavailable; Client host [192.0.2.0] blocked "
	    "using DNSBLName; See: http://www.example.com/query/ip/192.0.2.0",
	    "B2", "Transient", "General", true },
	{ CLASSIFY_RCPT,
	    "550 5.7.1 Unfortunately, messages from [203.0.113.10] weren't "
	    "sent. Please contact your provider since part of their network "
	    "is on our block list (S3150)",
	    "B1", "Transient", "General", true },
	{ CLASSIFY_RCPT,
	    "550 5.7.25 Client host rejected: cannot find your reverse "
	    "hostname, [203.0.113.10]",
	    "B3", "Transient", "General", true },
	{ CLASSIFY_MAIL, "550 5.7.1 Sender address rejected: not owned", "S1",
	    "Undetermined", "Undetermined", false },
	{ CLASSIFY_RCPT,
	    "550 5.2.1 The user you are trying to contact is receiving mail "
	    "at a rate that prevents additional messages",
	    "R1", "Transient", "General", false },
	{ CLASSIFY_RCPT, "550 5.7.1 Access denied", "X3", "Undetermined",
	    "Undetermined", false },
	{ CLASSIFY_RCPT, "554 5.0.0 unknown failure", "X3", "Undetermined",
	    "Undetermined", false },
	{ CLASSIFY_DOT, "554 5.3.0 internal error", "X2", "Transient",
	    "General", false },

	/* beyond the table: one for each rule that it leaves out */
	{ CLASSIFY_MAIL, "550 5.1.8 no", "S1", "Undetermined",
	    "Undetermined", false },
	{ CLASSIFY_RCPT, "550 refused (S3140)", "B4", "Transient", "General",
	    true },
	{ CLASSIFY_GREETING, "553 5.7.2 [TSS09] All messages will be refused",
	    "B4", "Transient", "General", true },
	{ CLASSIFY_DOT, "550 The message exceeds the maximum", "L2",
	    "Transient", "MessageTooLarge", false },
	{ CLASSIFY_RCPT, "550 5.4.4 unroutable", "X1", "Permanent", "General",
	    false },
	{ CLASSIFY_DOT, "550 no", "X3", "Undetermined", "Undetermined",
	    false },
	{ CLASSIFY_ASYNC, "550 5.7.1 refused", "C3", "Transient",
	    "ContentRejected", false },
	{ CLASSIFY_RCPT, "550 The mailbox of this user is full", "F2",
	    "Transient", "MailboxFull", false },
	{ CLASSIFY_RCPT, "556 domain takes no mail", "N1", "Permanent",
	    "General", false },
	/* an address that only begins like ours is not ours */
	{ CLASSIFY_RCPT, "550 5.7.1 [203.0.113.109] denied", "X3",
	    "Undetermined", "Undetermined", false },
	{ CLASSIFY_RCPT, "550 5.7.1 denied to 203.0.113.10.", "B1",
	    "Transient", "General", true },
	/* 5.1.10 is no 5.1.1, and 5.1.10x is no status */
	{ CLASSIFY_DOT, "550 5.1.10 refused", "N1", "Permanent", "General",
	    false },
	{ CLASSIFY_DOT, "550 5.1.10x refused", "X3", "Undetermined",
	    "Undetermined", false },
	/* blanks and letter case */
	{ CLASSIFY_DOT, "550 USER\t \r\n UNKNOWN", "N2", "Permanent",
	    "General", false },
};

/* bounces-and-feedback#2: section 3.4 */
static void
test_vectors_of_final_replies(void **state)
{
	struct classification out;
	struct classify_input in;
	size_t		      i;

	for (i = 0; i < sizeof(finals) / sizeof(finals[0]); i++) {
		const struct vector *v = &finals[i];

		in = input_of(v->stage, v->reply);
		classify_final(*state, &in, &out);
		if (strcmp(out.rule, v->rule) != 0)
			fail_msg("%s: %s, not %s", v->reply, out.rule,
			    v->rule);
		assert_string_equal(bounce_type_to_text(out.type), v->type);
		assert_string_equal(bounce_subtype_to_text(out.subtype),
		    v->subtype);
		assert_int_equal(out.ip_block, v->ip_block);
		assert_int_equal(out.auth_alert, strcmp(v->rule, "P1") == 0);
	}
}

/* bounces-and-feedback#2: section 4 */
static void
test_vectors_of_delays(void **state)
{
	static const struct {
		enum classify_stage stage;
		const char	   *reply, *delay;
	} cases[] = {
		{ CLASSIFY_RCPT, "450 4.7.1 greylisted", "General" },
		{ CLASSIFY_RCPT, "451 4.3.0 try later",
		    "RecipientServerError" },
		{ CLASSIFY_RCPT, "452 4.2.2 mailbox full", "MailboxFull" },
		{ CLASSIFY_RCPT, "452 4.3.1 Insufficient system storage",
		    "RecipientServerError" },
		{ CLASSIFY_RCPT,
		    "421 4.7.28 [203.0.113.10] Our system has detected an "
		    "unusual rate of unsolicited mail originating from your "
		    "IP address",
		    "IPFailure" },
		{ CLASSIFY_RCPT,
		    "451 4.7.1 message looks like spam, try later",
		    "SpamDetected" },
		{ CLASSIFY_RCPT,
		    "450 4.7.25 Client host rejected: cannot find your "
		    "hostname, [203.0.113.10]",
		    "BYOIPHostNameLookupUnavailable" },
		{ CLASSIFY_RCPT, "421 4.3.2 service shutting down",
		    "RecipientServerError" },
		/* the rows that the vectors leave out */
		{ CLASSIFY_GREETING, "421 busy", "RecipientServerError" },
		{ CLASSIFY_EHLO, "421 busy", "RecipientServerError" },
		{ CLASSIFY_RCPT, "421 busy", "General" },
		{ CLASSIFY_RCPT, "452 later", "RecipientServerError" },
		{ CLASSIFY_RCPT, "452 4.1.1 later", "General" },
		{ CLASSIFY_RCPT, "451 4.4.2 time-out",
		    "TransientCommunicationFailure" },
		{ CLASSIFY_DOT, "451 dkim lookup", "SpamDetected" },
		{ CLASSIFY_RCPT, "000 ", "Undetermined" },
	};
	struct classification out;
	struct classify_input in;
	enum delay_type	      d;
	size_t		      i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		in = input_of(cases[i].stage, cases[i].reply);
		d = classify_delay(*state, &in, &out);
		if (strcmp(delay_type_to_text(d), cases[i].delay) != 0)
			fail_msg("%s: %s, not %s", cases[i].reply,
			    delay_type_to_text(d), cases[i].delay);
		assert_int_equal(out.type, BOUNCE_TRANSIENT);
		assert_int_equal(out.ip_block, d == DELAY_IP_FAILURE ||
			d == DELAY_HOST_NAME_LOOKUP);
	}
}

/* bounces-and-feedback#3 */
static void
test_words_of_the_address_trigger_nothing(void **state)
{
	static const char *const replies[] = {
		"550 5.1.1 spam@sink.example: user unknown",
		"550 <SPAM@sink.example>: user unknown",
		"550 user unknown to=spam@sink.example.",
		"550 'spam@sink.example' no such user",
	};
	struct classification out;
	struct classify_input in;
	size_t		      i;

	for (i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		in = input_of(CLASSIFY_RCPT, replies[i]);
		in.recipient = BYTES("spam@sink.example");
		classify_final(*state, &in, &out);
		assert_string_equal(out.rule, i == 0 ? "N1" : "N2");
	}
	/* another address that only ends so is left as it is */
	in = input_of(CLASSIFY_RCPT, "550 x-spam@sink.example");
	in.recipient = BYTES("spam@sink.example");
	classify_final(*state, &in, &out);
	assert_string_equal(out.rule, "C2");
}

/* bounces-and-feedback#4 */
static void
test_class_of_the_code_counts(void **state)
{
	struct classification out;
	struct classify_input in =
	    input_of(CLASSIFY_RCPT, "450 5.2.2 mailbox full");

	assert_int_equal(classify_delay(*state, &in, &out),
	    DELAY_MAILBOX_FULL);
	classify_expired(*state, &in, &out);
	assert_string_equal(out.rule, "F1");
	assert_int_equal(out.type, BOUNCE_TRANSIENT);
	assert_int_equal(out.subtype, BOUNCE_SUB_MAILBOX_FULL);
}

/* bounces-and-feedback#5 */
static void
test_expired_4xx_is_never_permanent(void **state)
{
	static const char *const replies[] = {
		"450 4.1.1 unverified address",
		"450 4.7.1 greylisted",
		"451 sender verify failed",
		"450 user unknown",
	};
	struct classification out;
	struct classify_input in;
	size_t		      i;

	for (i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		in = input_of(CLASSIFY_RCPT, replies[i]);
		classify_expired(*state, &in, &out);
		assert_int_equal(out.type, BOUNCE_TRANSIENT);
		assert_int_equal(out.subtype, BOUNCE_SUB_GENERAL);
		assert_false(bounce_suppresses(out.type, out.subtype));
		assert_false(bounce_counts(out.type, out.subtype));
	}
}

/* bounces-and-feedback#20 */
static void
test_block_list_is_recorded(void **state)
{
	static const struct {
		const char *reply, *list, *url;
	} cases[] = {
		{ "554 5.7.1 Service unavailable; Client host [192.0.2.0] "
		  "blocked using DNSBLName; See: "
		  "http://www.example.com/query/ip/192.0.2.0",
		    "DNSBLName", "http://www.example.com/query/ip/192.0.2.0" },
		{ "550 5.7.1 rejected by zen.spamhaus.org. "
		  "(HTTPS://www.spamhaus.org/query).",
		    "zen.spamhaus.org", "HTTPS://www.spamhaus.org/query" },
		{ "550 203.0.113.10 is listed", "", "" },
		{ "550 our block list, ftp://x.example", "", "" },
	};
	struct classification out;
	struct classify_input in;
	size_t		      i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		in = input_of(CLASSIFY_RCPT, cases[i].reply);
		classify_final(*state, &in, &out);
		assert_true(out.ip_block);
		assert_true(out.spam);
		assert_string_equal(out.list, cases[i].list);
		assert_string_equal(out.url, cases[i].url);
		assert_false(bounce_suppresses(out.type, out.subtype));
		assert_false(bounce_counts(out.type, out.subtype));
	}
}

static void
test_spam_counter(void **state)
{
	static const struct {
		const char *reply;
		bool	    spam;
	} cases[] = {
		{ "550 High probability of spam", true },
		{ "550 this is junk", true },
		{ "550 looks like bulk mail", true },
		{ "550 virus found", false },
		{ "550 content refused", false },
		{ "550 5.1.1 no spam here", false },
	};
	struct classification out;
	struct classify_input in;
	size_t		      i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		in = input_of(CLASSIFY_DOT, cases[i].reply);
		classify_final(*state, &in, &out);
		assert_int_equal(out.spam, cases[i].spam);
	}
}

/* bounces-and-feedback#8,9 (the classification in them) */
static void
test_reports(void **state)
{
	static const struct {
		const char *diagnostic, *status, *rule, *type;
	} cases[] = {
		{ "X-Postfix; unknown user", "5.1.1", "N1", "Permanent" },
		{ "smtp; 550 5.1.1 user unknown", "5.0.0", "N1",
		    "Permanent" },
		{ "smtp; 550-5.7.1 refused", "5.1.1", "C3", "Transient" },
		{ "smtp; 552 5.2.2 full", "", "F1", "Transient" },
		{ "", "5.1.1", "N1", "Permanent" },
		{ "", "4.1.1", "N1", "Transient" },
		{ "smtp; 450 4.1.1 later", "5.1.1", "N1", "Transient" },
		{ "no prefix; user unknown", "", "N2", "Permanent" },
		{ "", "", "X3", "Undetermined" },
	};
	struct classification out;
	size_t		      i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		classify_report(*state, bytes_of(cases[i].diagnostic),
		    bytes_of(cases[i].status), BYTES(RECIPIENT), &out);
		assert_string_equal(out.rule, cases[i].rule);
		assert_string_equal(bounce_type_to_text(out.type),
		    cases[i].type);
	}
}

static void
test_given_status_goes_before_text(void **state)
{
	struct classification out;
	struct classify_input in = input_of(CLASSIFY_DOT, "550 no");

	in.enh = BYTES("5.2.2");
	classify_final(*state, &in, &out);
	assert_string_equal(out.rule, "F1");
	in.enh = BYTES("nonsense");
	classify_final(*state, &in, &out);
	assert_string_equal(out.rule, "X3");
}

static void
test_source_of_version_6(void **state)
{
	static const struct {
		const char *reply, *rule;
	} cases[] = {
		{ "550 [2001:DB8::19] denied", "B1" },
		{ "550 denied 2001:db8::19: see", "B1" },
		{ "550 [2001:db8::19a] denied", "X3" },
		{ "550 [2001:db8::19:1] denied", "X3" },
	};
	struct classification out;
	struct classify_input in;
	size_t		      i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		in = input_of(CLASSIFY_DOT, cases[i].reply);
		in.source_ip = BYTES("2001:db8::19");
		classify_final(*state, &in, &out);
		assert_string_equal(out.rule, cases[i].rule);
	}
}

static void
test_long_text_is_cut(void **state)
{
	struct classification out;
	struct classify_input in = { .stage = CLASSIFY_DOT, .code = 550 };
	struct buf	      b;
	int		      i;

	buf_init(&b, 1 << 20);
	for (i = 0; i < 40000; i++)
		buf_add_text(&b, "user \xff");
	buf_add_text(&b, "spam");
	assert_false(b.failed);
	in.text = buf_bytes(&b);
	in.recipient = BYTES("user");
	classify_final(*state, &in, &out);
	assert_string_equal(out.rule, "X3");
	buf_wipe(&b);
}

static void
test_stage_names(void **state)
{
	(void)state;
	assert_string_equal(classify_stage_to_text(CLASSIFY_GREETING),
	    "greeting");
	assert_string_equal(classify_stage_to_text(CLASSIFY_ASYNC), "async");
}

/* The table of section 2. */
static void
test_what_a_bounce_leads_to(void **state)
{
	(void)state;
	assert_true(
	    bounce_suppresses(BOUNCE_PERMANENT, BOUNCE_SUB_GENERAL));
	assert_true(bounce_counts(BOUNCE_PERMANENT, BOUNCE_SUB_GENERAL));
	assert_false(
	    bounce_suppresses(BOUNCE_PERMANENT, BOUNCE_SUB_NO_EMAIL));
	assert_true(bounce_counts(BOUNCE_PERMANENT, BOUNCE_SUB_NO_EMAIL));
	assert_false(
	    bounce_suppresses(BOUNCE_PERMANENT, BOUNCE_SUB_SUPPRESSED));
	assert_true(bounce_counts(BOUNCE_PERMANENT, BOUNCE_SUB_SUPPRESSED));
	assert_false(
	    bounce_counts(BOUNCE_PERMANENT, BOUNCE_SUB_ON_ACCOUNT_LIST));
	assert_false(
	    bounce_counts(BOUNCE_PERMANENT, BOUNCE_SUB_UNSUBSCRIBED));
	assert_false(
	    bounce_suppresses(BOUNCE_TRANSIENT, BOUNCE_SUB_GENERAL));
	assert_false(bounce_counts(BOUNCE_TRANSIENT, BOUNCE_SUB_GENERAL));
	assert_false(bounce_counts(BOUNCE_UNDETERMINED,
	    BOUNCE_SUB_UNDETERMINED));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors_of_final_replies),
		cmocka_unit_test(test_vectors_of_delays),
		cmocka_unit_test(test_words_of_the_address_trigger_nothing),
		cmocka_unit_test(test_class_of_the_code_counts),
		cmocka_unit_test(test_expired_4xx_is_never_permanent),
		cmocka_unit_test(test_block_list_is_recorded),
		cmocka_unit_test(test_spam_counter),
		cmocka_unit_test(test_reports),
		cmocka_unit_test(test_given_status_goes_before_text),
		cmocka_unit_test(test_source_of_version_6),
		cmocka_unit_test(test_long_text_is_cut),
		cmocka_unit_test(test_stage_names),
		cmocka_unit_test(test_what_a_bounce_leads_to),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
