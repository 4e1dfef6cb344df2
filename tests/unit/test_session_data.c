/* SPDX-License-Identifier: ISC */
/*
 * Content: DATA, BDAT, big messages, what is stored; over real sockets.  What
 * follows it: test_posting.c.
 */
#include "desk_bed.h"

/* -- DATA ----------------------------------------------------------------- */

/* smtp-interface#12: one reply each, no second transaction */
static void
test_smuggling(void **state)
{
	static const struct {
		const char *seq;
		bool	    refused;
	} cases[] = { { "\n.\n", false }, { "\n.\r\n", false },
		{ "\r\n.\n", false }, { "\r.\r", true }, { "\r\n.\r", true },
		{ "\r.\r\n", true } };
	struct client *c;
	char	       text[300];
	size_t	       i;

	(void)state;
	bed_open(&bed, "");
	c = client_in(&bed);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text), "From: sender@example.com\r\n\r\n"
		    "a%sMAIL FROM:<x@example.com>", cases[i].seq);
		post_text(c, "sender@example.com", "r@example.org", text);
		if (cases[i].refused)
			assert_string_equal(c->last, "550 Message contains a "
			    "bare carriage return");
		else
			assert_non_null(strstr(stored_message(&bed, c->last),
			    "MAIL FROM:<x@example.com>\r\n"));
		say(c, "RCPT TO:<x@example.org>",
		    "503 Bad sequence of commands: need MAIL");
	}
	client_close(c);
}

/* smtp-interface#13,17,18: what is stored */
static void
test_stored_message(void **state)
{
	struct client *c;
	const char    *m;
	char	       want[200], reply[100];

	(void)state;
	bed_open(&bed, "");
	c = client_in(&bed);
	post_text(c, "sender@example.com", "r@example.org",
	    "Return-Path: <feedback@example.com>\r\n"
	    "Date: Mon, 1 Jan 2001 00:00:00 +0900\r\n"
	    "Message-ID: <my@id>\r\nX-SES-FOO: 1\r\nBcc: x@example.com\r\n"
	    "From: sender@example.com\r\n\r\n..x\r\na\n.b");
	strcpy(reply, c->last);
	m = stored_message(&bed, reply);
	assert_ptr_equal(strstr(m, "Received: by mail.relay.example with "
	    "ESMTPA\r\n id "), m); /* the listener has no TLS */
	snprintf(want, sizeof(want), "\r\nMessage-ID: <%s@relay.example>\r\n",
	    reply + 7);
	assert_non_null(strstr(m, want));
	assert_null(strstr(m, "Return-Path"));
	assert_null(strstr(m, "X-SES"));
	assert_null(strstr(m, "Bcc"));
	assert_null(strstr(m, "0900"));
	assert_non_null(strstr(m, "\r\nFeedback-ID: 1.us-east-1."));
	assert_non_null(strstr(m, "=:posthorn\r\n\r\n.x\r\na\r\n.b\r\n"));
	client_close(c);
}

/* smtp-interface#27 */
static void
test_content_behind_refused_data(void **state)
{
	struct client *c;

	(void)state;
	bed_open(&bed, "");
	c = client_in(&bed);
	say(c, "MAIL FROM:<sender@example.com>", "250 Ok");
	send_text(c, "RCPT TO:<x>\r\nDATA\r\nMAIL FROM:<x@example.com>\r\n");
	expect_line(c, "553 <x> address unknown");
	expect_line(c, "554 No valid recipients");
	expect_line(c, "421 Protocol error");
	expect_closed(c);
	client_close(c);
	/* without anything behind it the session goes on */
	c = client_in(&bed);
	say(c, "MAIL FROM:<sender@example.com>", "250 Ok");
	send_text(c, "RCPT TO:<x>\r\nDATA\r\n");
	expect_line(c, "553 <x> address unknown");
	expect_line(c, "554 No valid recipients");
	say(c, "RCPT TO:<x@example.org>", "250 Ok");
	client_close(c);
}

/* A whole transaction, and the next, in one segment. */
static void
test_pipelined_transactions(void **state)
{
	static const char one[] = "MAIL FROM:<sender@example.com>\r\n"
	    "RCPT TO:<r@example.org>\r\nDATA\r\n" BED_MESSAGE "\r\n.\r\n";
	struct client *c;
	int	       i;

	(void)state;
	bed_open(&bed, "");
	c = client_in(&bed);
	for (i = 0; i < 20; i++)
		send_text(c, one);
	send_text(c, "QUIT\r\n");
	shutdown(c->fd, SHUT_WR);
	for (i = 0; i < 20; i++) {
		expect_line(c, "250 Ok");
		expect_line(c, "250 Ok");
		expect_line(c, "354 End data with <CR><LF>.<CR><LF>");
		expect_line(c, "250 Ok 0100*");
	}
	expect_line(c, "221 Bye");
	expect_closed(c);
	client_close(c);
	assert_int_equal(stored_count(), 20);
}

static void
test_client_goes_before_the_answer(void **state)
{
	struct client *c;

	(void)state;
	bed_open(&bed, "");
	c = client_in(&bed);
	send_envelope(c);
	say(c, "DATA", "354 End data with <CR><LF>.<CR><LF>");
	send_text(c, "From: sender@example.com\r\n\r\nhalf");
	client_close(c); /* inside data: nothing is left behind */
	bed_await_log(&bed, "reason=eof");
	assert_int_equal(stored_count(), 0);
	c = client_in(&bed);
	send_envelope(c);
	say(c, "DATA", "354 End data with <CR><LF>.<CR><LF>");
	send_text(c, BED_MESSAGE "\r\n.\r\n");
	client_close(c); /* behind it: it has submitted */
	bed_await_log(&bed, "accepted sid=");
	assert_int_equal(stored_count(), 1);
}

static void
tweak_data_timeout(struct conf *c)
{
	c->smtp.timeout_data_ms = 60;
}

/* smtp-interface#23 */
static void
test_timeout_in_data(void **state)
{
	struct client *c;

	(void)state;
	bed_open_with(&bed, "", tweak_data_timeout);
	c = client_in(&bed);
	send_envelope(c);
	say(c, "DATA", "354 End data with <CR><LF>.<CR><LF>");
	send_text(c, "From: sender@example.com\r\n");
	expect_line(c, "451 Timeout waiting for data from client");
	expect_closed(c);
	client_close(c);
	assert_int_equal(stored_count(), 0);
}

static void
tweak_data_total(struct conf *c)
{
	c->smtp.timeout_data_total_ms = 100;
}

static void
test_timeout_of_the_whole(void **state)
{
	struct client *c;
	struct pollfd  p;

	(void)state;
	bed_open_with(&bed, "", tweak_data_total);
	c = client_in(&bed);
	send_envelope(c);
	say(c, "DATA", "354 End data with <CR><LF>.<CR><LF>");
	p = (struct pollfd){ .fd = c->fd, .events = POLLIN };
	do
		send_text(c, "drip\r\n");
	while (poll(&p, 1, 10) == 0);
	expect_line(c, "451 Timeout waiting for data from client");
	client_close(c);
}

/* -- size ----------------------------------------------------------------- */

/* smtp-interface#15, with a smaller limit */
static void
test_size_limits(void **state)
{
	static const char head[] = "From: sender@example.com\r\n\r\n";
	struct client *c;

	(void)state;
	bed_open(&bed, "message.max_size 2m\n");
	c = client_in(&bed);
	send_envelope(c);
	say(c, "DATA", "354 End data with <CR><LF>.<CR><LF>");
	send_text(c, head);
	send_body(c, 2097152 - strlen(head));
	send_text(c, ".\r\n");
	expect_line(c, "250 Ok 0100*");
	send_envelope(c);
	say(c, "DATA", "354 End data with <CR><LF>.<CR><LF>");
	send_text(c, head);
	send_body(c, 2097153 - strlen(head));
	send_text(c, ".\r\n");
	expect_line(c, "552 Message is too long.");
	send_envelope(c); /* the session is usable */
	say(c, "DATA", "354 End data with <CR><LF>.<CR><LF>");
	send_body(c, 5 << 20);
	expect_line(c, "552 Message is too long.");
	expect_closed(c);
	client_close(c);
}

/* Bigger than what a message may have in memory: laid down ahead. */
static void
test_big_message_is_staged(void **state)
{
	struct client *c;
	const char    *m, *body;
	size_t	       i;

	(void)state;
	bed_open(&bed, "");
	c = client_in(&bed);
	send_envelope(c);
	say(c, "DATA", "354 End data with <CR><LF>.<CR><LF>");
	send_text(c, "From: sender@example.com\r\n\r\n");
	for (i = 0; i < 50000; i++) {
		char line[20];

		snprintf(line, sizeof(line), "line %09zu\r\n", i);
		send_text(c, line);
	}
	send_text(c, ".\r\n");
	expect_line(c, "250 Ok 0100*");
	m = stored_message(&bed, c->last);
	body = strstr(m, "\r\n\r\n") + 4;
	assert_int_equal(strlen(body), 50000 * 16);
	for (i = 0; i < 50000; i++)
		assert_int_equal(atol(body + i * 16 + 5), i);
	/* one that ends in the middle leaves nothing */
	send_envelope(c);
	say(c, "DATA", "354 End data with <CR><LF>.<CR><LF>");
	send_text(c, "From: sender@example.com\r\n\r\n");
	send_body(c, 1 << 20);
	client_close(c);
	bed_await_log(&bed, "reason=eof");
	assert_int_equal(stored_count(), 1);
}

static void
tweak_bandwidth(struct conf *c)
{
	c->message.large_threshold_bytes = 100000;
	c->message.large_bandwidth_bytes = 1000000;
}

/* smtp-interface 11: beyond the threshold tokens are needed */
static void
test_bandwidth_of_large_messages(void **state)
{
	struct client *c;
	int64_t	       began;

	(void)state;
	bed_open_with(&bed, "", tweak_bandwidth);
	c = client_in(&bed);
	send_envelope(c);
	say(c, "DATA", "354 End data with <CR><LF>.<CR><LF>");
	began = clock_mono_us();
	send_text(c, "From: sender@example.com\r\n\r\n");
	send_body(c, 1500000);
	send_text(c, ".\r\n");
	expect_line(c, "250 Ok 0100*");
	/* 1.4 MB to pay, 1 MB is there */
	assert_in_range(clock_mono_us() - began, 200000, 8000000);
	client_close(c);
}

/* -- BDAT ----------------------------------------------------------------- */

/* smtp-interface#14 */
static void
test_bdat(void **state)
{
	struct client *c;

	(void)state;
	bed_open(&bed, "");
	c = client_in(&bed);
	send_envelope(c);
	send_text(c, "BDAT 10\r\nFrom: send");
	expect_line(c, "250 Ok 10 octets received");
	say(c, "DATA", "503 Bad sequence of commands: BDAT in progress");
	say(c, "MAIL FROM:<a@example.com>",
	    "503 Bad sequence of commands: BDAT in progress");
	send_text(c, "BDAT 0\r\nBDAT 19\r\ner@example.com\r\n\r\n.");
	expect_line(c, "250 Ok 0 octets received");
	expect_line(c, "250 Ok 19 octets received");
	send_text(c, "BDAT 5 LAST\r\n\n..\r\nNOOP\r\n");
	expect_line(c, "250 Ok 0100*");
	assert_non_null(strstr(stored_message(&bed, c->last),
	    "\r\n\r\n.\r\n..\r\n"));
	expect_line(c, "250 Ok");
	send_envelope(c);
	say(c, "BDAT 0 LAST", "554 Transaction failed: Message is empty.");
	client_close(c);
}

static void
tweak_size(struct conf *c)
{
	c->message.max_size_bytes = 1000;
}

static void
test_bdat_refusals(void **state)
{
	struct client *c;

	(void)state;
	bed_open_with(&bed, "", tweak_size);
	c = client_in(&bed);
	/* octets are no commands, wherever they come */
	send_text(c, "BDAT 6\r\nQUIT\r\nNOOP\r\n");
	expect_line(c, "503 Bad sequence of commands: need MAIL");
	expect_line(c, "250 Ok");
	say(c, "MAIL FROM:<sender@example.com>", "250 Ok");
	send_text(c, "BDAT 6\r\nQUIT\r\n");
	expect_line(c, "503 Bad sequence of commands: need RCPT");
	say(c, "RCPT TO:<a@example.org>",
	    "503 Bad sequence of commands: need MAIL"); /* it is dead */
	send_envelope(c);
	send_text(c, "BDAT 26\r\nFrom: sender@example.com\r\n");
	expect_line(c, "250 Ok 26 octets received");
	send_text(c, "BDAT 975\r\n");
	send_body(c, 975);
	expect_line(c, "552 Message is too long.");
	send_text(c, "BDAT 6 LAST\r\nQUIT\r\n");
	expect_line(c, "503 Bad sequence of commands: need MAIL");
	send_envelope(c);
	say(c, "BDAT x", "501 Syntax error in parameters");
	expect_closed(c);
	client_close(c);
	c = client_in(&bed);
	send_text(c, "BDAT 4000000000\r\n");
	send_body(c, 10000);
	expect_line(c, "552 Message is too long.");
	expect_closed(c);
	client_close(c);
	assert_int_equal(stored_count(), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_teardown(f, bed_teardown)
		T(test_smuggling),
		T(test_stored_message),
		T(test_content_behind_refused_data),
		T(test_pipelined_transactions),
		T(test_client_goes_before_the_answer),
		T(test_timeout_in_data),
		T(test_timeout_of_the_whole),
		T(test_size_limits),
		T(test_big_message_is_staged),
		T(test_bandwidth_of_large_messages),
		T(test_bdat),
		T(test_bdat_refusals),
	};

	return cmocka_run_group_tests(tests, bed_group_setup,
	    bed_group_teardown);
}
