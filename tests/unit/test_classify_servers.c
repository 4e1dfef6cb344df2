/* SPDX-License-Identifier: ISC */
/*
 * classify: what the servers that most mail goes to answer, every alternative
 * of every expression, and what holds for all replies.
 * bounces-and-feedback.md 3.2, 3.3 and 4.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mail/classify.h"

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

/* "550 5.1.1 text" of a reply */
static struct classify_input
input_of(enum classify_stage stage, const char *reply)
{
	struct classify_input in = { .stage = stage,
		.recipient = BYTES("jane@sink.example"),
		.source_ip = BYTES("203.0.113.10") };

	in.code = (unsigned)strtoul(reply, NULL, 10);
	in.text = bytes_of(reply + 4);
	return in;
}

/* "Permanent/General" */
static const char *
class_text(const struct classification *k, char out[80])
{
	snprintf(out, 80, "%s/%s", bounce_type_to_text(k->type),
	    bounce_subtype_to_text(k->subtype));
	return out;
}

/* -- replies of known servers ------------------------------------------ */

static const struct sample {
	enum classify_stage stage;
	const char	   *reply, *rule, *class;
	const char	   *delay; /* of a 4xx; class: when it expires */
} samples[] = {
	/* Gmail */
	{ CLASSIFY_RCPT,
	    "550 5.1.1 The email account that you tried to reach does not "
	    "exist. Please try double-checking the recipient's email address "
	    "for typos or unnecessary spaces.",
	    "N1", "Permanent/General", NULL },
	{ CLASSIFY_RCPT,
	    "552 5.2.2 The email account that you tried to reach is over "
	    "quota.",
	    "F1", "Transient/MailboxFull", NULL },
	{ CLASSIFY_RCPT,
	    "452 4.2.2 The email account that you tried to reach is over "
	    "quota.",
	    "F1", "Transient/MailboxFull", "MailboxFull" },
	{ CLASSIFY_DOT,
	    "550 5.7.1 [203.0.113.10 19] Our system has detected that this "
	    "message is likely suspicious due to the very low reputation of "
	    "the sending IP address.",
	    "B1", "Transient/General", NULL },
	{ CLASSIFY_DOT,
	    "421 4.7.0 [203.0.113.10 15] Our system has detected that this "
	    "message is suspicious due to the very low reputation of the "
	    "sending IP address.",
	    "B1", "Transient/General", "IPFailure" },
	{ CLASSIFY_DOT,
	    "550 5.7.26 This mail has been blocked because the sender is "
	    "unauthenticated. Gmail requires all senders to authenticate with "
	    "either SPF or DKIM.",
	    "P1", "Transient/ContentRejected", NULL },
	{ CLASSIFY_DOT,
	    "552 5.7.0 This message was blocked because its content presents "
	    "a potential security issue.",
	    "C2", "Transient/ContentRejected", NULL },
	{ CLASSIFY_RCPT,
	    "450 4.2.1 The user you are trying to contact is receiving email "
	    "at a rate that prevents additional messages from being delivered.",
	    "R1", "Transient/General", "General" },
	{ CLASSIFY_DOT,
	    "552 5.3.4 Your message exceeded Google's message size limits.",
	    "L1", "Transient/MessageTooLarge", NULL },
	{ CLASSIFY_DOT,
	    "550 5.7.25 The IP address sending this message does not have a "
	    "PTR record setup",
	    "B3", "Transient/General", NULL },
	{ CLASSIFY_DOT,
	    "421 4.7.28 Our system has detected an unusual rate of "
	    "unsolicited mail originating from your IP Netblock",
	    "C2", "Transient/ContentRejected", "SpamDetected" },
	/* Outlook, Microsoft 365 */
	{ CLASSIFY_RCPT,
	    "550 5.5.0 Requested action not taken: mailbox unavailable "
	    "(S2017062302).",
	    "N2", "Permanent/General", NULL },
	{ CLASSIFY_RCPT,
	    "550 5.4.1 Recipient address rejected: Access denied. "
	    "[XX1NAM01FT000.eop-nam01.prod.protection.outlook.com]",
	    "N2", "Permanent/General", NULL },
	{ CLASSIFY_RCPT,
	    "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found "
	    "by SMTP address lookup",
	    "N1", "Permanent/General", NULL },
	{ CLASSIFY_RCPT,
	    "550 5.7.1 Unfortunately, messages from [203.0.113.10] weren't "
	    "sent. Please contact your Internet service provider since part "
	    "of their network is on our block list (S3150).",
	    "B1", "Transient/General", NULL },
	{ CLASSIFY_MAIL,
	    "550 5.7.606 Access denied, banned sending IP [203.0.113.10].",
	    "B1", "Transient/General", NULL },
	{ CLASSIFY_MAIL,
	    "451 4.7.650 The mail server [203.0.113.10] has been temporarily "
	    "rate limited due to IP reputation.",
	    "B1", "Transient/General", "IPFailure" },
	{ CLASSIFY_DOT,
	    "550 5.7.509 Access denied, sending domain EXAMPLE.COM does not "
	    "pass DMARC verification and has a DMARC policy of reject.",
	    "P1", "Transient/ContentRejected", NULL },
	{ CLASSIFY_DOT,
	    "550 5.7.515 Access denied, sending domain example.com doesn't "
	    "meet the required authentication level.",
	    "X3", "Undetermined/Undetermined", NULL },
	/* Yahoo */
	{ CLASSIFY_GREETING,
	    "421 4.7.0 [TSS04] Messages from 203.0.113.10 temporarily "
	    "deferred due to unexpected volume or user complaints - 4.16.55.1",
	    "B1", "Transient/General", "IPFailure" },
	{ CLASSIFY_MAIL,
	    "553 5.7.2 [TSS09] All messages from 203.0.113.10 will be "
	    "permanently deferred; Retrying will NOT succeed.",
	    "B1", "Transient/General", NULL },
	{ CLASSIFY_RCPT,
	    "554 delivery error: dd Not a valid recipient - atlas.mail.example",
	    "N2", "Permanent/General", NULL },
	{ CLASSIFY_RCPT,
	    "552 1 Requested mail action aborted, mailbox not found",
	    "N2", "Permanent/General", NULL },
	{ CLASSIFY_DOT,
	    "554 5.7.9 Message not accepted for policy reasons. See "
	    "https://postmaster.example/error-codes",
	    "C2", "Transient/ContentRejected", NULL },
	/* Postfix */
	{ CLASSIFY_RCPT,
	    "550 5.1.1 <jane@sink.example>: Recipient address rejected: User "
	    "unknown in virtual mailbox table",
	    "N1", "Permanent/General", NULL },
	{ CLASSIFY_RCPT,
	    "550 5.1.1 <jane@sink.example>: Recipient address rejected: User "
	    "unknown in local recipient table",
	    "N1", "Permanent/General", NULL },
	{ CLASSIFY_RCPT,
	    "554 5.7.1 <jane@sink.example>: Relay access denied",
	    "N2", "Permanent/General", NULL },
	{ CLASSIFY_RCPT,
	    "554 5.7.1 Service unavailable; Client host [203.0.113.10] "
	    "blocked using zen.spamhaus.org; "
	    "https://www.spamhaus.org/query/ip/203.0.113.10",
	    "B1", "Transient/General", NULL },
	{ CLASSIFY_RCPT,
	    "450 4.1.8 <bob@example.com>: Sender address rejected: Domain not "
	    "found",
	    "S1", "Transient/General", "General" },
	{ CLASSIFY_RCPT,
	    "450 4.7.1 <jane@sink.example>: Recipient address rejected: "
	    "Greylisted for 300 seconds",
	    "N2", "Transient/General", "General" },
	{ CLASSIFY_MAIL,
	    "552 5.3.4 Message size exceeds fixed limit",
	    "L1", "Transient/MessageTooLarge", NULL },
	{ CLASSIFY_DOT,
	    "554 5.7.1 Message rejected due to content restrictions",
	    "C2", "Transient/ContentRejected", NULL },
	{ CLASSIFY_RCPT,
	    "452 4.3.1 Insufficient system storage",
	    "X2", "Transient/General", "RecipientServerError" },
	{ CLASSIFY_DOT,
	    "550 5.7.1 Command rejected",
	    "C3", "Transient/ContentRejected", NULL },
	/* Exim */
	{ CLASSIFY_RCPT,
	    "550 Unrouteable address",
	    "N3", "Permanent/General", NULL },
	{ CLASSIFY_RCPT,
	    "550 relay not permitted",
	    "N2", "Permanent/General", NULL },
	{ CLASSIFY_RCPT,
	    "550 Sender verify failed",
	    "S1", "Undetermined/Undetermined", NULL },
	{ CLASSIFY_DOT,
	    "550 This message was classified as SPAM and may not be delivered",
	    "C2", "Transient/ContentRejected", NULL },
	{ CLASSIFY_RCPT,
	    "451 Temporary local problem - please try later",
	    "X3", "Transient/General", "General" },
	{ CLASSIFY_DOT,
	    "552 Message size exceeds maximum permitted",
	    "L2", "Transient/MessageTooLarge", NULL },
	/* Sendmail */
	{ CLASSIFY_RCPT,
	    "550 5.1.1 <jane@sink.example>... User unknown",
	    "N1", "Permanent/General", NULL },
	{ CLASSIFY_RCPT,
	    "550 5.7.1 <jane@sink.example>... Relaying denied. Proper "
	    "authentication required.",
	    "N2", "Permanent/General", NULL },
	{ CLASSIFY_MAIL,
	    "553 5.1.8 <bob@example.com>... Domain of sender address "
	    "bob@example.com does not exist",
	    "S1", "Undetermined/Undetermined", NULL },
	{ CLASSIFY_DOT,
	    "552 5.2.3 Message exceeds maximum fixed size (1000000)",
	    "L1", "Transient/MessageTooLarge", NULL },
	{ CLASSIFY_MAIL,
	    "550 5.7.1 Access denied",
	    "X3", "Undetermined/Undetermined", NULL },
	/* Exchange */
	{ CLASSIFY_RCPT,
	    "550 5.1.1 User unknown",
	    "N1", "Permanent/General", NULL },
	{ CLASSIFY_RCPT,
	    "550 5.7.1 Unable to relay",
	    "X3", "Undetermined/Undetermined", NULL },
	{ CLASSIFY_RCPT,
	    "550 5.2.1 Mailbox disabled, not accepting messages",
	    "N1", "Permanent/General", NULL },
	{ CLASSIFY_DOT,
	    "550 5.2.3 RESOLVER.RST.RecipSizeLimit; message too large for "
	    "this recipient",
	    "L1", "Transient/MessageTooLarge", NULL },
	{ CLASSIFY_DOT,
	    "554 5.4.14 Hop count exceeded - possible mail loop",
	    "X2", "Transient/General", NULL },
	{ CLASSIFY_DOT,
	    "550 5.7.1 Unable to deliver: attachment type not permitted",
	    "A1", "Transient/AttachmentRejected", NULL },
	/* Barracuda */
	{ CLASSIFY_DOT,
	    "554 rejected due to spam content",
	    "C2", "Transient/ContentRejected", NULL },
	{ CLASSIFY_GREETING,
	    "554 Service unavailable; Client host [203.0.113.10] blocked "
	    "using Barracuda Reputation; "
	    "http://www.barracudanetworks.com/reputation/?r=1&ip=203.0.113.10",
	    "B1", "Transient/General", NULL },
	{ CLASSIFY_RCPT,
	    "550 permanent failure for one or more recipients "
	    "(jane@sink.example:550 No such user)",
	    "N2", "Permanent/General", NULL },
	{ CLASSIFY_DOT,
	    "550 5.7.0 Local Policy Violation",
	    "C2", "Transient/ContentRejected", NULL },
	/* Proofpoint */
	{ CLASSIFY_GREETING,
	    "554 Blocked - see https://ipcheck.proofpoint.com/?ip=203.0.113.10",
	    "B1", "Transient/General", NULL },
	{ CLASSIFY_DOT,
	    "554 5.7.1 Message cannot be accepted, spam rejection",
	    "C2", "Transient/ContentRejected", NULL },
	{ CLASSIFY_RCPT,
	    "550 5.1.1 User Unknown - Proofpoint",
	    "N1", "Permanent/General", NULL },
	/* Mimecast */
	{ CLASSIFY_RCPT,
	    "550 Invalid Recipient - "
	    "https://community.mimecast.com/docs/DOC-1369#550",
	    "N2", "Permanent/General", NULL },
	{ CLASSIFY_DOT,
	    "554 Email rejected due to security policies - "
	    "https://community.mimecast.com/docs/DOC-1369#554",
	    "X3", "Undetermined/Undetermined", NULL },
	{ CLASSIFY_MAIL,
	    "550 Rejected by header based Anti-Spoofing policy: "
	    "bob@example.com - https://community.mimecast.com",
	    "X3", "Undetermined/Undetermined", NULL },
	{ CLASSIFY_RCPT,
	    "451 Internal resource temporarily unavailable - "
	    "https://community.mimecast.com/docs/DOC-1369#451",
	    "X3", "Transient/General", "General" },
	{ CLASSIFY_RCPT,
	    "550 csi.mimecast.org Poor Reputation Sender. - "
	    "https://community.mimecast.com/docs/DOC-1369#550",
	    "B2", "Transient/General", NULL },
};

static void
replies_of_known_servers(void **state)
{
	struct classification k;
	struct classify_input in;
	const char	     *delay;
	char		      text[80];
	size_t		      i;

	for (i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		const struct sample *s = &samples[i];

		in = input_of(s->stage, s->reply);
		assert_int_equal(in.code < 500, s->delay != NULL);
		if (s->delay != NULL) {
			delay = delay_type_to_text(
			    classify_delay(*state, &in, &k));
			if (strcmp(delay, s->delay) != 0)
				fail_msg("%s: %s", s->reply, delay);
		} else {
			classify_final(*state, &in, &k);
		}
		if (strcmp(k.rule, s->rule) != 0 ||
		    strcmp(class_text(&k, text), s->class) != 0)
			fail_msg("%s: %s %s", s->reply, k.rule, text);
	}
}

/* -- each alternative of each expression ------------------------------- */

static const struct {
	const char *rule, *texts; /* divided by | */
} alternatives[] = {
	{ "S1",
	    "sender rejected|sender address denied|sender blocked|"
	    "sender verify failed|sender address verification failed|"
	    "sender verify|mail from <x@y> was rejected|"
	    "mail from x denied|sender domain" },
	{ "R1",
	    "receiving mail at a rate|receiving email too quickly|"
	    "receiving messages at a rate|at a rate that prevents" },
	{ "B3",
	    "no reverse dns|reverse hostname|reverse lookup|"
	    "a ptr record is missing|no ptr|cannot find your hostname|"
	    "cannot find your reverse hostname|fcrdns|bad rdns" },
	{ "B1",
	    "203.0.113.10 is blocked|203.0.113.10 is on a blacklist|"
	    "203.0.113.10 is on a black list|203.0.113.10 is banned|"
	    "203.0.113.10 is denied|203.0.113.10 is listed|"
	    "reputation of 203.0.113.10|unusual rate from 203.0.113.10|"
	    "rate limit for 203.0.113.10|203.0.113.10 is throttled|"
	    "203.0.113.10 is deferred" },
	{ "B2",
	    "blocked using x|dnsbl|listed in our rbl|spamhaus|spamcop|"
	    "barracudacentral|sorbs|uceprotect|senderbase|ivmsip|"
	    "blocklist|block list|blacklist|black list|poor reputation" },
	{ "B4",
	    "(S3140)|(S3150)|(S775)|[TS01]|[TSS09]" },
	{ "P1",
	    "dmarc|not authenticated|unauthenticated|"
	    "authentication failed|authentication checks failed|"
	    "authentication required by policy|spf check failed|"
	    "spf validation error|bad dkim signature" },
	{ "F2",
	    "the mailbox is full|inbox full|account full.|"
	    "user is out of storage|recipient out of space|overquota|"
	    "over quota|quota exceeded|quota is full|"
	    "exceeds its storage|exceeded their mailbox|"
	    "exceed the disk" },
	{ "L2",
	    "message too large|mail is too big|the message is too long|"
	    "size exceeds the maximum|mail exceed any limit|size limit|"
	    "too large" },
	{ "A1",
	    "attachment|filetype|file type|file extension|blocked file|"
	    "prohibited file|banned file|forbidden file|executable" },
	{ "C2",
	    "spam|junk|unsolicited|bulk mail|content|virus|malware|"
	    "infected|phishing|surbl|uribl|policy reasons|"
	    "policy violation|blocked by policy" },
	{ "N2",
	    "user unknown|unknown user|unknown recipient|"
	    "unknown mailbox|unknown local part|unknown address|"
	    "no such user|no such mailbox|no such recipient|"
	    "no such address|no such person|no such account|"
	    "user is unknown|mailbox was unavailable|"
	    "recipient not found|account is disabled|address inactive|"
	    "addressee suspended|account deactivated|mailbox closed|"
	    "user invalid|user does not exist|address doesn't exist|"
	    "mailbox not available|it does not exist|it doesn't exist|"
	    "invalid recipient|invalid mailbox|invalid address|"
	    "invalid user|not a valid mailbox|not a valid recipient|"
	    "not a valid user|recipient rejected|address rejected|"
	    "doesn't have an x.example account|doesn't have a account|"
	    "no mailbox|not our customer|relay denied|"
	    "relaying not permitted|relay access prohibited|"
	    "not permitted to relay|mailbox unavailable" },
};

static void
each_alternative_is_enough(void **state)
{
	struct classification k;
	char		      reply[100];
	const char	     *p;
	size_t		      i, n;

	for (i = 0; i < sizeof(alternatives) / sizeof(alternatives[0]); i++)
		for (p = alternatives[i].texts; *p != '\0'; p += n) {
			struct classify_input in;

			p += *p == '|';
			n = strcspn(p, "|");
			snprintf(reply, sizeof(reply), "554 %.*s", (int)n, p);
			in = input_of(CLASSIFY_RCPT, reply);
			classify_final(*state, &in, &k);
			if (strcmp(k.rule, alternatives[i].rule) != 0)
				fail_msg("%s: %s", reply, k.rule);
		}
}

/* -- precedence -------------------------------------------------------- */

/* Two rules hold: the upper one of the table counts. */
static void
the_first_rule_counts(void **state)
{
	static const struct {
		enum classify_stage stage;
		const char	   *reply, *rule;
	} cases[] = {
		{ CLASSIFY_RCPT, "550 5.1.1 sender rejected", "S1" },
		{ CLASSIFY_RCPT, "550 5.1.7 too large", "S1" },
		{ CLASSIFY_RCPT, "550 5.2.1 rate that prevents dnsbl", "R1" },
		{ CLASSIFY_RCPT, "550 5.7.25 203.0.113.10 is listed", "B3" },
		{ CLASSIFY_RCPT, "550 203.0.113.10 listed by spamhaus", "B1" },
		{ CLASSIFY_DOT, "550 203.0.113.10 listed by spamhaus", "B2" },
		{ CLASSIFY_ASYNC, "550 203.0.113.10 sent spam: denied", "C2" },
		{ CLASSIFY_MAIL, "550 203.0.113.10 sent spam: denied", "B1" },
		{ CLASSIFY_DOT, "550 5.7.26 spamhaus", "B2" },
		{ CLASSIFY_DOT, "552 5.7.23 mailbox full", "P1" },
		{ CLASSIFY_DOT, "552 5.2.2 message too large", "F1" },
		{ CLASSIFY_DOT, "552 5.3.4 mailbox is full", "F2" },
		{ CLASSIFY_DOT, "552 5.3.4 attachment", "L1" },
		{ CLASSIFY_DOT, "552 attachment too large", "L2" },
		{ CLASSIFY_DOT, "550 5.1.1 attachment", "A1" },
		{ CLASSIFY_DOT, "550 5.1.1 spam", "N1" },
		{ CLASSIFY_DOT, "521 5.6.0 no", "N1" },
		{ CLASSIFY_DOT, "552 5.6.7 user unknown", "C1" },
		{ CLASSIFY_DOT, "552 content: no such user", "C2" },
		{ CLASSIFY_DOT, "552 5.7.1 no such user", "N2" },
		{ CLASSIFY_DOT, "552 5.7.1 no", "L3" },
		{ CLASSIFY_DATA, "550 5.7.0 no", "C3" },
		{ CLASSIFY_RCPT, "550 5.4.4 no", "X1" },
		{ CLASSIFY_RCPT, "550 5.4.40 no", "X2" },
		{ CLASSIFY_RCPT, "550 5.3.5 no", "X2" },
		{ CLASSIFY_RCPT, "550 5.2.4 no", "N3" },
		{ CLASSIFY_RCPT, "550 5.7.0 no", "X3" },
		{ CLASSIFY_MAIL, "550 no", "X3" },
		{ CLASSIFY_RCPT, "554 no", "X3" },
	};
	struct classification k;
	struct classify_input in;
	size_t		      i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		in = input_of(cases[i].stage, cases[i].reply);
		classify_final(*state, &in, &k);
		if (strcmp(k.rule, cases[i].rule) != 0)
			fail_msg("%s: %s", cases[i].reply, k.rule);
	}
}

/* -- what holds for all replies ---------------------------------------- */

/* Types and sub-types that a reply can have, of section 2. */
static bool
is_class_of_a_reply(const struct classification *k)
{
	static const char *const classes[] = { "Undetermined/Undetermined",
		"Permanent/General", "Transient/General",
		"Transient/MailboxFull", "Transient/MessageTooLarge",
		"Transient/ContentRejected", "Transient/AttachmentRejected" };
	char   text[80];
	size_t i;

	class_text(k, text);
	for (i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		if (strcmp(text, classes[i]) == 0)
			return true;
	return false;
}

static void
check_reply(const struct classify *c, const struct classify_input *in)
{
	struct classify_input other = *in;
	struct classification k, again, expired, delayed;
	char		      enh[12];

	classify_final(c, in, &k);
	assert_true(is_class_of_a_reply(&k));
	assert_int_equal(k.ip_block, k.rule[0] == 'B');
	assert_int_equal(k.auth_alert, strcmp(k.rule, "P1") == 0);
	assert_int_equal(bounce_suppresses(k.type, k.subtype),
	    k.type == BOUNCE_PERMANENT);
	/* the class of the status does not count */
	if (in->enh.n > 0) {
		snprintf(enh, sizeof(enh), "2%.*s", (int)in->enh.n - 1,
		    in->enh.p + 1);
		other.enh = bytes_of(enh);
	}
	classify_final(c, &other, &again);
	assert_ptr_equal(again.rule, k.rule);
	classify_expired(c, in, &expired);
	assert_ptr_equal(expired.rule, k.rule);
	assert_int_equal(expired.type, BOUNCE_TRANSIENT);
	assert_int_equal(expired.subtype, k.type == BOUNCE_TRANSIENT ?
	    k.subtype : BOUNCE_SUB_GENERAL);
	assert_in_range(classify_delay(c, in, &delayed), 0, DELAY_TYPES - 1);
	assert_int_equal(delayed.type, BOUNCE_TRANSIENT);
}

/* Every fourth status and text of a code; neighbouring codes and other stages
 * see the other ones. */
static void
check_code(const struct classify *c, enum classify_stage stage, unsigned code)
{
	static const char *const texts[] = { "", "no", "user unknown",
		"203.0.113.10 is listed", "spam" };
	struct classify_input in = input_of(stage, "550 ");
	char		      enh[16];
	unsigned	      subject, detail, n;

	in.code = code;
	for (subject = 0; subject <= 8; subject++)
		for (detail = 0; detail <= 30; detail++) {
			n = (unsigned)stage + code + subject * 31 + detail;
			if (n % 4 != 0)
				continue;
			in.text = bytes_of(texts[n / 4 % 5]);
			snprintf(enh, sizeof(enh), "%u.%u.%u", code / 100,
			    subject, detail);
			in.enh = subject == 8 ? BYTES("") : bytes_of(enh);
			check_reply(c, &in);
		}
}

static void
every_reply_has_one_class(void **state)
{
	unsigned code;
	int	 stage;

	for (stage = CLASSIFY_GREETING; stage <= CLASSIFY_ASYNC; stage++)
		for (code = 0; code < 60; code++) {
			check_code(*state, (enum classify_stage)stage,
			    400 + code);
			check_code(*state, (enum classify_stage)stage,
			    500 + code);
		}
}

/* Figures are kept by the number of a rule. */
static void
rules_have_numbers(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < CLASSIFY_RULES; i++)
		assert_int_equal(classify_rule_find(classify_rule_id(i)), i);
	assert_string_equal(classify_rule_id(0), "S1");
	assert_string_equal(classify_rule_id(CLASSIFY_RULES - 1), "X3");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies_of_known_servers),
		cmocka_unit_test(each_alternative_is_enough),
		cmocka_unit_test(the_first_rule_counts),
		cmocka_unit_test(every_reply_has_one_class),
		cmocka_unit_test(rules_have_numbers),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
