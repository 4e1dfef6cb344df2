/* SPDX-License-Identifier: ISC */
/*
 * No open relay: what has made others relay, at every door, without login.
 * One table of recipients, one of senders, one of doors; nothing but a
 * refusal may come, and nothing may be stored.
 */
#include "desk_bed.h"

struct door {
	const char *listener;
	bool	    tls;   /* before the first command */
	bool	    starts_tls;
	bool	    takes_mail; /* MAIL is answered 250: intake */
	const char *tried; /* a login that fails, before; NULL = none */
};

static const struct door doors[] = {
	{ .listener = "plain" },
	{ .listener = "starttls" },
	{ .listener = "starttls", .starts_tls = true },
	{ .listener = "wrapper", .tls = true },
	{ .listener = "wrapper", .tls = true,
	    .tried = "AUTH PLAIN AEFLSUFJT1NGT0ROTjdFWEFNUExFAHg=" },
	{ .listener = "shared", .takes_mail = true },
	{ .listener = "shared", .starts_tls = true, .takes_mail = true },
	{ .listener = "shared", .starts_tls = true, .takes_mail = true,
	    .tried = "AUTH PLAIN AABudWxs" },
	{ .listener = "intake", .takes_mail = true },
	{ .listener = "intake", .starts_tls = true, .takes_mail = true }
};

/* Of nobody, of a verified domain, of a served one, of a stranger. */
static const char *const senders[] = { "<>", "<sender@example.com>",
	"<postmaster@relay.example>", "<spam@foreign.example>",
	"<@relay.example:spam@foreign.example>" };

/* Domains: relay.example and mail.relay.example are ours. */
static const char *const recipients[] = {
	/* plain */
	"<victim@foreign.example>", "<victim@FOREIGN.EXAMPLE>",
	"<victim@foreign.example.>",
	/* the percent hack, at each of our names */
	"<victim%foreign.example@relay.example>",
	"<victim%foreign.example@mail.relay.example>",
	"<victim%foreign.example@[127.0.0.1]>",
	"<victim%foreign.example@localhost>", "<victim%foreign.example>",
	"<victim%foreign.example%relay.example@relay.example>",
	/* bang paths */
	"<foreign.example!victim>", "<relay.example!foreign.example!victim>",
	"<foreign.example!victim@relay.example>",
	"<foreign.example!victim@[127.0.0.1]>",
	"<relay.example!victim@foreign.example>",
	/* source routes */
	"<@relay.example:victim@foreign.example>",
	"<@relay.example,@foreign.example:victim@relay.example>",
	"<@mail.relay.example:victim@foreign.example>",
	"<@[127.0.0.1]:victim@foreign.example>",
	"<@foreign.example:postmaster%foreign.example@relay.example>",
	/* quoted local parts */
	"<\"victim@foreign.example\"@relay.example>",
	"<\"victim%foreign.example\"@relay.example>",
	"<\"victim@foreign.example\">", "<\"victim\"@foreign.example>",
	"<\"foreign.example!victim\"@relay.example>",
	/* two ats, wrong ends */
	"<victim@foreign.example@relay.example>",
	"<victim@relay.example@foreign.example>",
	"<victim@foreign.example:relay.example>",
	"<victim@foreign.example relay.example>",
	"<victim@foreign.example,postmaster@relay.example>",
	"<postmaster@relay.example> <victim@foreign.example>",
	"victim@foreign.example", "<victim@foreign.example",
	"<<victim@foreign.example>>",
	/* literals, also of ourselves */
	"<victim@[127.0.0.1]>", "<victim@[192.0.2.1]>",
	"<victim@[IPv6:::1]>", "<victim@[IPv6:2001:db8::1]>",
	"<victim@127.0.0.1>", "<victim@2130706433>", "<victim@0x7f.1>",
	"<postmaster@[127.0.0.1]>",
	/* names for ourselves, and none */
	"<victim@localhost>", "<victim@localhost.localdomain>", "<victim>",
	"<victim@>", "<@relay.example>", "<victim@relay.example>",
	"<root@mail.relay.example>", "<victim@.relay.example>",
	"<victim@relay.example.foreign.example>",
	"<victim@foreign.example\\@relay.example>",
	/* an address that wants to be two commands or a header */
	"<victim@foreign.example\rRCPT TO:<x@foreign.example>",
	"<victim@foreign.example\tx>", "<\"a\\\"@foreign.example>",
	"<success@simulator.amazonses.com>",
	/* RFC 822 forms, and what scripts of scanners ask for */
	"<victim@foreign.example (relay.example)>",
	"<mailto:victim@foreign.example>", "<|/bin/true>", "</dev/null>",
	"<victim@\xc2\xa0""foreign.example>"
};

enum { SENDERS = sizeof(senders) / sizeof(senders[0]),
	RECIPIENTS = sizeof(recipients) / sizeof(recipients[0]) };

static void
must_refuse(const struct door *d, const char *from, const char *to,
    const char *reply)
{
	static const char *const texts[] = { "530 ", "550 5.1.1 ", "553 ",
		"501 ", "503 ", "554 No valid recipients", "555 " };
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (strncmp(reply, texts[i], strlen(texts[i])) == 0)
			return;
	fail_msg("listener %s, from %s, to %s: %s", d->listener, from, to,
	    reply);
}

static struct client *
enter(const struct door *d)
{
	struct client *c = client_open(&bed, d->listener);
	char	       text[1024];

	if (d->tls)
		client_tls(c);
	greeted(c);
	hello(c, text, sizeof(text));
	if (d->starts_tls) {
		say(c, "STARTTLS", "220 Ready to start TLS");
		client_tls(c);
		hello(c, text, sizeof(text));
	}
	if (d->tried != NULL)
		say(c, d->tried, "535 Authentication Credentials Invalid");
	return c;
}

/* The reply; after too many errors from a new connection. */
static const char *
ask(const struct door *d, struct client **c, const char *verb,
    const char *argument)
{
	int i;

	for (i = 0; i < 2; i++) {
		if (*c == NULL)
			*c = enter(d);
		send_text(*c, verb);
		send_text(*c, argument);
		send_text(*c, "\r\n");
		if (!read_line(*c))
			fail_msg("%s%s: closed", verb, argument);
		if (strcmp((*c)->last, "421 Too many errors") != 0)
			return (*c)->last;
		client_close(*c);
		*c = NULL;
	}
	fail_msg("%s%s: refused at once", verb, argument);
	return NULL;
}

static void
try_sender(const struct door *d, struct client **c, const char *from)
{
	const char *reply;
	size_t	    i;

	reply = ask(d, c, "MAIL FROM:", from);
	if ((strncmp(reply, "250 ", 4) == 0) != d->takes_mail)
		fail_msg("listener %s, from %s: %s", d->listener, from, reply);
	for (i = 0; i < RECIPIENTS; i++)
		must_refuse(d, from, recipients[i],
		    ask(d, c, "RCPT TO:", recipients[i]));
	must_refuse(d, from, "DATA", ask(d, c, "DATA", ""));
	must_refuse(d, from, "BDAT", ask(d, c, "BDAT 0 LAST", ""));
	assert_string_equal(ask(d, c, "RSET", ""), "250 Ok");
}

static void
test_no_relay(void **state)
{
	struct client *c;
	size_t	       i, k;

	(void)state;
	bed_open(&bed, "smtp.max_errors 1000000\n"
	    "smtp.max_rcpt_errors 1000000\n"
	    "smtp.preauth_max_commands 1000000\n"
	    "smtp.preauth_max_octets 1g\n");
	for (i = 0; i < sizeof(doors) / sizeof(doors[0]); i++) {
		c = NULL;
		/* where no sender is taken they are all alike */
		for (k = doors[i].takes_mail ? 0 : SENDERS - 1; k < SENDERS;
		     k++)
			try_sender(&doors[i], &c, senders[k]);
		client_close(c);
	}
	assert_int_equal(stored_count(), 0);
}

/* VRFY, EXPN and RCPT say of addresses that are there what they say of all. */
static void
test_no_address_is_told(void **state)
{
	static const char *const names[] = { "alerts@example.com",
		"postmaster@relay.example", "AKIAIOSFODNN7EXAMPLE", "app1",
		"nobody@example.com", "root", "\"x y\"@relay.example", "app2" };
	struct client *c;
	char	       first[16];
	size_t	       i, k;

	(void)state;
	bed_open(&bed, "smtp.max_errors 1000000\n"
	    "smtp.preauth_max_commands 1000000\n");
	for (i = 0; i < sizeof(doors) / sizeof(doors[0]); i++) {
		if (doors[i].tried != NULL)
			continue;
		c = NULL;
		for (k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
			assert_string_equal(ask(&doors[i], &c, "VRFY ",
			    names[k]), "252 Cannot verify, but will accept "
			    "message and attempt delivery");
			assert_string_equal(ask(&doors[i], &c, "EXPN ",
			    names[k]), "502 Command not implemented");
		}
		if (doors[i].takes_mail)
			(void)ask(&doors[i], &c, "MAIL FROM:", "<>");
		/* one local part is as good as another */
		snprintf(first, sizeof(first), "%.10s", ask(&doors[i], &c,
		    "RCPT TO:", "<sender@example.com>"));
		assert_memory_equal(ask(&doors[i], &c, "RCPT TO:",
		    "<nobody@example.com>"), first, 10);
		client_close(c);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_no_relay, bed_teardown),
		cmocka_unit_test_teardown(test_no_address_is_told,
		    bed_teardown),
	};

	return cmocka_run_group_tests(tests, bed_group_setup,
	    bed_group_teardown);
}
