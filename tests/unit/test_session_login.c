/* SPDX-License-Identifier: ISC */
/*
 * Who may talk, and for how long: login, wrong passwords, the local socket,
 * limits, time-outs, shutdown.  Over real sockets.
 */
#include <fcntl.h>

#include "desk_bed.h"

/* -- login ---------------------------------------------------------------- */

/* smtp-interface#8; credentials#8 */
static void
test_login_forms(void **state)
{
	struct client *c;

	(void)state;
	bed_open(&bed, "smtp.max_errors 50\nsmtp.preauth_max_commands 50\n");
	c = client_ready("plain");
	say(c, "AUTH CRAM-MD5", "504 Unrecognized authentication type");
	say(c, "AUTH PLAIN", "334 ");
	say(c, "*", "501 Authentication cancelled");
	say(c, "AUTH PLAIN =", "501 Cannot decode response");
	say(c, "AUTH PLAIN ????", "501 Cannot decode response");
	say(c, "AUTH PLAIN AGE=", "501 Cannot decode response");
	client_close(c);
	c = client_ready("plain");
	say(c, "AUTH LOGIN", "334 VXNlcm5hbWU6");
	say(c, "QUtJQUlPU0ZPRE5ON0VYQU1QTEU=", "334 UGFzc3dvcmQ6");
	say(c, "*", "501 Authentication cancelled");
	say(c, "AUTH LOGIN QUtJQUlPU0ZPRE5ON0VYQU1QTEU=",
	    "334 UGFzc3dvcmQ6");
	say(c, "QkxCTS85aFNVRUxmcThHdytyVTFZY0Jqa094R2JoVDJYRzc2M3hWTEdXTDk=",
	    "235 Authentication successful");
	client_close(c);
	c = client_ready("plain");
	say(c, "AUTH PLAIN", "334 ");
	say(c, strchr(BED_AUTH, 'A') + 11, "235 Authentication successful");
	client_close(c);
	bed_await_log(&bed, "user=app1");
	assert_false(bed_has_logged(&bed, "BLBM"));
	assert_int_equal(meter_get(&bed.meters.auth[DESK_LOGIN][LOGIN_OK]), 1);
	assert_int_equal(meter_get(&bed.meters.auth[DESK_PLAIN][LOGIN_OK]), 1);
	/* authzid must be the user or nothing: a NUL user NUL password */
	c = client_ready("plain");
	say(c, "AUTH PLAIN QUtJQUlPU0ZPRE5ON0VYQU1QTEUAQUtJQUlPU0ZPRE5ON0VYQU1"
	    "QTEUAQkxCTS85aFNVRUxmcThHdytyVTFZY0Jqa094R2JoVDJYRzc2M3hWTEdXTDk=",
	    "235 Authentication successful");
	client_close(c);
	c = client_ready("plain");
	say(c, "AUTH PLAIN eABBS0lBSU9TRk9ETk43RVhBTVBMRQBCTEJNLzloU1VFTGZxOEd3"
	    "K3JVMVljQmprT3hHYmhUMlhHNzYzeFZMR1dMOQ==",
	    "535 Authentication Credentials Invalid");
	client_close(c);
	assert_int_equal(meter_get(
	    &bed.meters.auth[DESK_PLAIN][LOGIN_BAD_FORMAT]), 1);
}

static void
tweak_delay(struct conf *c)
{
	c->auth.fail_delay_ms = 60;
}

/* smtp-interface#7, credentials#5: the log line of section 15 */
static void
test_wrong_password(void **state)
{
	static const char wrong[] =
	    "AUTH PLAIN AEFLSUFJT1NGT0ROTjdFWEFNUExFAHdKYWxyWFV0bkZFTUkvSzdNRE"
	    "VORy9iUHhSZmlDWUVYQU1QTEVLRVk=";
	struct client *c;
	char	       want[200];
	int64_t	       began;
	int	       i;

	(void)state;
	bed_open_with(&bed, "", tweak_delay);
	c = client_ready("plain");
	for (i = 0; i < 3; i++) {
		began = clock_mono_us();
		say(c, wrong, "535 Authentication Credentials Invalid");
		assert_true(clock_mono_us() - began >= 59000);
	}
	expect_line(c, "421 Too many authentication failures");
	expect_closed(c);
	client_close(c);
	snprintf(want, sizeof(want), "ip=127.0.0.1 port=%u user=" BED_USER
	    " reason=bad-format", ntohs(((struct sockaddr_in *)
	    &bed.addresses[bed_listener(&bed, "plain")])->sin_port));
	assert_true(bed_has_logged(&bed, "auth-failure sid="));
	assert_true(bed_has_logged(&bed, want));
	assert_false(bed_has_logged(&bed, "wJalr"));
	c = client_ready("plain");
	/* the password of us-west-2 */
	say(c, "AUTH PLAIN AEFLSUFJT1NGT0ROTjdFWEFNUExFAEJGMlB5bnpiU0NBalgwOHpo"
	    "WlpuUC9rVytUOVA1enMvMUVyMHBpNXZURW1k",
	    "535 Authentication Credentials Invalid");
	assert_true(bed_has_logged(&bed, "reason=bad-password"));
	/* credentials#8: a name in lower case is not printed */
	say(c, "AUTH PLAIN AGFraWFpb3Nmb2Rubjd4ZXhhbXBsZQB4",
	    "535 Authentication Credentials Invalid");
	assert_true(bed_has_logged(&bed, "user=- reason=bad-format"));
	/* success clears the counter of the session */
	say(c, BED_AUTH, "235 Authentication successful");
	client_close(c);
}

/* credentials 6: AUTH lines are hidden in the conversation, too. */
static void
test_debug_log_hides_logins(void **state)
{
	struct client *c;

	(void)state;
	bed_open(&bed, "");
	log_open_fd(open("/dev/null", O_WRONLY), LOG_DEBUG_, LOG_TEXT);
	c = client_ready("plain");
	say(c, "AUTH LOGIN", "334 VXNlcm5hbWU6");
	say(c, "QUtJQUlPU0ZPRE5ON0VYQU1QTEU=", "334 UGFzc3dvcmQ6");
	say(c, "*", "501 Authentication cancelled");
	say(c, BED_AUTH, "235 Authentication successful");
	say(c, "MAIL FROM:<a@example.com>", "250 Ok");
	client_close(c);
	bed_await_log(&bed, "MAIL FROM:<a@example.com>");
	assert_true(bed_has_logged(&bed, "line=[hidden]"));
	assert_false(bed_has_logged(&bed, "AEFLSUFJ"));
	assert_false(bed_has_logged(&bed, "QUtJQUlP"));
	log_close();
}

/* What comes behind a wrong password waits, and then has its answer. */
static void
test_input_waits_for_the_delay(void **state)
{
	struct client *c;

	(void)state;
	bed_open_with(&bed, "", tweak_delay);
	c = client_ready("plain");
	send_text(c, "AUTH PLAIN AEFLSUFJT1NGT0ROTjdFWEFNUExFAHdyb25n\r\n"
	    "NOOP\r\nQUIT\r\n");
	shutdown(c->fd, SHUT_WR);
	expect_line(c, "535 Authentication Credentials Invalid");
	expect_line(c, "250 Ok");
	expect_line(c, "221 Bye");
	expect_closed(c);
	client_close(c);
}

static void
tweak_block(struct conf *c)
{
	c->auth.block_threshold = 2;
	c->auth.max_failures_per_session = 10;
}

static void
test_blocked_address(void **state)
{
	struct client *c;
	char	       key[DESK_BLOCK_KEY_SIZE];

	(void)state;
	bed_open_with(&bed, "", tweak_block);
	c = client_ready("plain");
	say(c, "AUTH PLAIN AHgAeQ==",
	    "535 Authentication Credentials Invalid");
	say(c, "AUTH PLAIN AHgAeQ==",
	    "535 Authentication Credentials Invalid");
	client_close(c);
	c = client_open(&bed, "plain");
	expect_line(c, "421 Too many authentication failures");
	expect_closed(c);
	client_close(c);
	c = client_open(&bed, "wrapper");
	expect_closed(c);
	client_close(c);
	desk_block_key((struct sockaddr *)&bed.addresses[0], key);
	assert_string_equal(key, "block/127.0.0.1");
	assert_true(tally_unblock(bed.tally, bytes_of(key)));
	c = client_ready("plain");
	client_close(c);
}

static void
close_account(struct db_txn *t)
{
	struct account a;
	struct err     e;

	assert_int_equal(account_get(t, world_account, &a, &e), 1);
	a.closed.ms = world_time;
	assert_true(account_put(t, &a, &e) >= 0);
}

/* credentials#15 */
static void
test_closed_account(void **state)
{
	struct client *c;

	(void)state;
	bed_open(&bed, "");
	bed_change(&bed, close_account);
	c = client_ready("plain");
	say(c, BED_AUTH, "535 Account not subscribed to SES");
	say(c, "AUTH PLAIN AEFLSUFJT1NGT0ROTjdFWEFNUExFAHdyb25n",
	    "535 Authentication Credentials Invalid");
	client_close(c);
	assert_true(bed_has_logged(&bed, "reason=account-closed"));
}

static void
restrict_credential(struct db_txn *t)
{
	struct credential c;
	struct err	  e;

	assert_int_equal(credential_get(t, world_account, "app1", &c, &e), 1);
	c.limits.max_sessions = 1;
	c.limits.max_size = 1000;
	c.limits.max_recipients = 1;
	assert_true(credential_put(t, &c, &e) >= 0);
}

static void
test_limits_of_a_credential(void **state)
{
	struct client *c, *d;
	char	       text[1024];

	(void)state;
	bed_open(&bed, "");
	bed_change(&bed, restrict_credential);
	c = client_in(&bed);
	d = client_ready("plain");
	say(d, BED_AUTH, "421 Too many concurrent SMTP connections");
	expect_closed(d);
	client_close(d);
	hello(c, text, sizeof(text));
	assert_non_null(strstr(text, "|SIZE 1000|"));
	assert_non_null(strstr(text, " RCPTMAX=1|"));
	say(c, "MAIL FROM:<a@example.com> SIZE=1001",
	    "552 Message is too long.");
	say(c, "MAIL FROM:<a@example.com>", "250 Ok");
	say(c, "RCPT TO:<a@example.org>", "250 Ok");
	say(c, "RCPT TO:<b@example.org>", "452 Too many recipients");
	say(c, "QUIT", "221 Bye");
	client_close(c);
	bed_await_log(&bed, "reason=quit");
	client_close(client_in(&bed));
}

static void
disable_credential(struct db_txn *t)
{
	struct credential c;
	struct err	  e;

	assert_int_equal(credential_get(t, world_account, "app1", &c, &e), 1);
	c.enabled = false;
	assert_true(credential_put(t, &c, &e) >= 0);
}

/* credentials#12,13 */
static void
test_credential_disabled_in_session(void **state)
{
	struct client *c, *d;

	(void)state;
	bed_open(&bed, "");
	c = client_in(&bed);
	say(c, "MAIL FROM:<sender@example.com>", "250 Ok");
	say(c, "RCPT TO:<a@example.org>", "250 Ok");
	d = client_in(&bed);
	say(d, "MAIL FROM:<sender@example.com>", "250 Ok");
	say(d, "RCPT TO:<a@example.org>", "250 Ok");
	say(d, "DATA", "354 End data with <CR><LF>.<CR><LF>");
	bed_change(&bed, disable_credential);
	say(c, "DATA", "421 Credentials revoked");
	expect_closed(c);
	client_close(c);
	send_text(d, BED_MESSAGE "\r\n.\r\n");
	expect_line(d, "421 Credentials revoked");
	expect_closed(d);
	client_close(d);
	c = client_ready("plain");
	say(c, BED_AUTH, "535 Authentication Credentials Invalid");
	client_close(c);
	assert_true(bed_has_logged(&bed, "reason=disabled"));
}

/* -- local socket --------------------------------------------------------- */

/* The block's sender in fields that name a user of this host (8.2). */
static void
check_local_fields(struct client *c)
{
	const char *m;

	post_text(c, "root@mail.relay.example", "a@example.org",
	    "From: root@mail.relay.example (Cron Daemon)\n"
	    "Sender: \"W\" <www-data@MAIL.relay.example>\n"
	    "Reply-To: x@other.example, root@mail.relay.example\n"
	    "To: root@mail.relay.example\n\nhi");
	m = stored_message(&bed, c->last);
	assert_non_null(strstr(m,
	    "\r\nFrom: alerts@example.com (Cron Daemon)\r\n"
	    "Sender: \"W\" <alerts@example.com>\r\n"
	    "Reply-To: x@other.example, alerts@example.com\r\n"
	    "To: root@mail.relay.example\r\n"));
	/* what the client has signed is not touched, and so refused */
	post_text(c, "root@mail.relay.example", "a@example.org",
	    "From: root@mail.relay.example\n"
	    "DKIM-Signature: v=1; h=from; d=example.com; s=x\n\nhi");
	assert_non_null(strstr(c->last, "554 Message rejected: Email address "
	    "is not verified. The following identities failed the check in "
	    "region US-EAST-1: root@mail.relay.example"));
	/* an address elsewhere stays what it is */
	post_text(c, "root@example.com", "a@example.org",
	    "From: root@example.com\n\nhi");
	assert_non_null(strstr(stored_message(&bed, c->last),
	    "\r\nFrom: root@example.com\r\n"));
}

/* credentials 8.1, credentials#26 */
static void
test_local_socket(void **state)
{
	struct client *c;
	char	       text[1024];

	(void)state;
	bed_open(&bed, "local others {\n match *\n"
	    " credential 123456789012/local-users\n"
	    " sender alerts@example.com\n}\n");
	c = client_open(&bed, "local");
	greeted(c);
	hello(c, text, sizeof(text));
	assert_string_equal(text, "mail.relay.example|PIPELINING|"
	    "SIZE 41943040|8BITMIME|CHUNKING|DSN|"
	    "LIMITS MAILMAX=1000 RCPTMAX=50|Ok|");
	say(c, "AUTH PLAIN x", "502 Command not implemented");
	post_text(c, "root@mail.relay.example", "a@example.org",
	    "To: a@example.org\n\nhi");
	assert_non_null(strstr(stored_message(&bed, c->last),
	    "From: <alerts@example.com>\r\n"));
	assert_non_null(strstr(stored_message(&bed, c->last),
	    "by mail.relay.example with local\r\n"));
	check_local_fields(c);
	client_close(c);
	bed_await_log(&bed, "user=local-users");
	bed_close(&bed);
	bed_open(&bed, "");
	c = client_open(&bed, "local");
	greeted(c);
	hello(c, text, sizeof(text));
	say(c, "MAIL FROM:<a@example.com>", "530 Authentication required");
	client_close(c);
	bed_close(&bed);
	bed_open(&bed, "local others {\n match *\n"
	    " credential 123456789012/nobody\n}\n");
	c = client_open(&bed, "local");
	greeted(c);
	say(c, "EHLO x", "421 Credentials revoked");
	expect_closed(c);
	client_close(c);
}

/* -- limits --------------------------------------------------------------- */

static void
test_too_many_errors(void **state)
{
	struct client *c;
	int	       i;

	(void)state;
	bed_open(&bed, "");
	c = client_ready("plain");
	for (i = 0; i < 5; i++)
		say(c, "FOO", "500 Unrecognized command");
	say(c, "FOO", "421 Too many errors");
	expect_closed(c);
	client_close(c);
	c = client_in(&bed);
	say(c, "MAIL FROM:<a@example.com>", "250 Ok");
	for (i = 0; i < 30; i++) /* these are counted apart */
		say(c, "RCPT TO:<x>", "553 <x> address unknown");
	for (i = 0; i < 20; i++)
		say(c, "FOO", "500 Unrecognized command");
	say(c, "FOO", "421 Too many errors");
	expect_closed(c);
	client_close(c);
	bed_close(&bed);
	bed_open(&bed, "smtp.max_rcpt_errors 3\n");
	c = client_in(&bed);
	say(c, "MAIL FROM:<a@example.com>", "250 Ok");
	for (i = 0; i < 3; i++)
		say(c, "RCPT TO:<x>", "553 <x> address unknown");
	say(c, "RCPT TO:<x>", "421 Too many errors");
	expect_closed(c);
	client_close(c);
}

static void
test_preauth_limits(void **state)
{
	struct client *c;
	char	       line[2000];
	int	       i;

	(void)state;
	bed_open(&bed, "");
	c = client_ready("plain");
	for (i = 1; i < 20; i++)
		say(c, "NOOP", "250 Ok");
	say(c, "NOOP", "421 Too many errors");
	expect_closed(c);
	client_close(c);
	c = client_ready("plain");
	memset(line, 'x', sizeof(line));
	memcpy(line, "NOOP ", 5);
	line[1998] = '\0';
	for (i = 0; i < 8; i++)
		say(c, line, "250 Ok");
	say(c, line, "421 Too many errors");
	expect_closed(c);
	client_close(c);
	/* chunks that are thrown away are octets, too */
	c = client_ready("plain");
	send_text(c, "BDAT 4000000000\r\n");
	for (i = 0; i < 20; i++)
		send_text(c, line);
	expect_line(c, "421 Too many errors");
	client_close(c);
}

static void
test_connection_limits(void **state)
{
	struct client *v[3];

	(void)state;
	bed_open(&bed, "smtp.max_connections_per_ip 3\n"
	    "smtp.max_preauth_per_ip 2\n");
	v[0] = client_ready("plain");
	v[1] = client_ready("starttls");
	v[2] = client_open(&bed, "plain");
	expect_line(v[2], "421 Too many concurrent SMTP connections");
	expect_closed(v[2]);
	client_close(v[2]);
	v[2] = client_open(&bed, "wrapper");
	expect_closed(v[2]);
	client_close(v[2]);
	assert_int_equal(meter_get(&bed.meters.refused_limit[bed_listener(&bed,
	    "plain")]), 1);
	assert_int_equal(meter_get(&bed.meters.refused_limit[bed_listener(&bed,
	    "wrapper")]), 1);
	say(v[0], BED_AUTH, "235 Authentication successful");
	v[2] = client_ready("plain"); /* a login makes room */
	say(v[2], BED_AUTH, "235 Authentication successful");
	client_close(v[0]);
	bed_await_log(&bed, "reason=eof");
	v[0] = client_ready("plain");
	client_close(v[0]);
	client_close(v[1]);
	client_close(v[2]);
	bed_close(&bed);
	bed_open(&bed, "smtp.max_connections 1\n");
	v[0] = client_ready("plain");
	v[1] = client_open(&bed, "plain");
	expect_line(v[1], "421 Too many concurrent SMTP connections");
	client_close(v[0]);
	client_close(v[1]);
	bed_close(&bed);
	bed_open(&bed, "smtp.max_connect_rate_per_ip 2\n");
	client_close(client_ready("plain"));
	client_close(client_ready("plain"));
	v[0] = client_open(&bed, "plain");
	expect_line(v[0], "421 Too many concurrent SMTP connections");
	client_close(v[0]);
}

static void
deny_all(struct conf *c)
{
	static struct conf_cidr one;

	assert_true(conf_cidr_parse(BYTES("127.0.0.0/8"), &one));
	c->listeners[0].deny = (struct conf_cidrs){ &one, 1 };
	c->listeners[2].deny = c->listeners[0].deny;
	c->smtp.trusted_networks = c->listeners[0].deny;
}

static void
test_address_filter(void **state)
{
	struct client *c;

	(void)state;
	bed_open_with(&bed, "", deny_all);
	c = client_open(&bed, bed.conf->listeners[0].name);
	expect_line(c, "554 5.7.1 Access denied");
	expect_closed(c);
	client_close(c);
	c = client_open(&bed, "wrapper");
	expect_closed(c);
	client_close(c);
	assert_true(bed_has_logged(&bed, "connection-refused ip=127.0.0.1"));
	assert_int_equal(meter_get(&bed.meters.refused_filter[0]), 1);
	assert_int_equal(meter_get(&bed.meters.refused_limit[0]), 0);
}

/* smtp-interface#26 */
static void
test_messages_per_connection(void **state)
{
	struct client *c;

	(void)state;
	bed_open(&bed, "smtp.max_messages_per_connection 2\n");
	c = client_in(&bed);
	post_text(c, "sender@example.com", "a@example.org", BED_MESSAGE);
	post_text(c, "sender@example.com", "a@example.org", BED_MESSAGE);
	say(c, "RSET", "421 Connection limit reached, please reconnect");
	expect_closed(c);
	client_close(c);
}

static void
tweak_age(struct conf *c)
{
	c->smtp.max_connection_age_ms = 1;
}

static void
test_connection_age(void **state)
{
	struct client *c;

	(void)state;
	bed_open_with(&bed, "", tweak_age);
	c = client_open(&bed, "plain");
	greeted(c);
	poll(NULL, 0, 3);
	say(c, "NOOP", "421 Connection limit reached, please reconnect");
	client_close(c);
	c = client_open(&bed, "plain");
	greeted(c);
	poll(NULL, 0, 3);
	say(c, "QUIT", "221 Bye");
	client_close(c);
}

static void
tweak_times(struct conf *c)
{
	size_t i;

	/* long enough to log in on a busy machine; to the millisecond they
	 * are in smtp-timeouts.play */
	c->smtp.timeout_command_ms = 120;
	c->smtp.timeout_preauth_total_ms = 900;
	c->smtp.timeout_tls_ms = 80;
	for (i = 0; i < c->listener_count; i++)
		c->listeners[i].preauth_idle_ms = 500;
}

static void
test_timeouts(void **state)
{
	struct client *c;
	int64_t	       began;

	(void)state;
	bed_open_with(&bed, "", tweak_times);
	c = client_open(&bed, "plain");
	greeted(c);
	began = clock_mono_us();
	/* single octets are no progress */
	send_text(c, "N");
	poll(NULL, 0, 40);
	send_text(c, "O");
	expect_line(c, "451 Timeout waiting for data from client");
	assert_in_range(clock_mono_us() - began, 490000, 5000000);
	expect_closed(c);
	client_close(c);
	c = client_in(&bed);
	expect_line(c, "451 Timeout waiting for data from client");
	expect_closed(c);
	client_close(c);
	bed_await_log(&bed, "reason=timeout");
	c = client_open(&bed, "wrapper");
	expect_closed(c); /* a handshake that does not come */
	client_close(c);
	/* the time until login is limited as a whole */
	c = client_open(&bed, "plain");
	greeted(c);
	began = clock_mono_us();
	while (strncmp(c->last, "451", 3) != 0) {
		send_text(c, "NOOP\r\n");
		assert_true(read_line(c));
		poll(NULL, 0, 100);
	}
	assert_in_range(clock_mono_us() - began, 800000, 5000000);
	client_close(c);
}

/* -- shutdown ------------------------------------------------------------- */

struct shutting {
	int64_t	     grace_ms;
	_Atomic bool is_idle;
};

static void
on_idle(void *arg, void *unused)
{
	struct shutting *s = arg;

	(void)unused;
	s->is_idle = true;
}

static void
on_shut(void *arg, void *unused)
{
	struct shutting *s = arg;

	(void)unused;
	desk_shut(bed.desk, s->grace_ms, on_idle, s);
}

static void
await_idle(struct shutting *s)
{
	int64_t until = clock_mono_us() + BED_WAIT_MS * 1000;

	while (!s->is_idle) {
		assert_true(clock_mono_us() < until);
		poll(NULL, 0, 1);
	}
}

static void
test_shutdown(void **state)
{
	struct shutting s = { .grace_ms = 60000 };
	struct client  *idle, *busy, *data;

	(void)state;
	bed_open(&bed, "");
	idle = client_in(&bed);
	busy = client_in(&bed);
	say(busy, "MAIL FROM:<sender@example.com>", "250 Ok");
	data = client_in(&bed);
	say(data, "MAIL FROM:<sender@example.com>", "250 Ok");
	say(data, "RCPT TO:<a@example.org>", "250 Ok");
	say(data, "DATA", "354 End data with <CR><LF>.<CR><LF>");
	assert_true(loop_post(bed.loop, on_shut, &s, NULL));
	expect_line(idle, "421 Service shutting down");
	expect_closed(idle);
	send_text(data, BED_MESSAGE "\r\n.\r\n");
	expect_line(data, "250 Ok 0100*");
	expect_line(data, "421 Service shutting down");
	expect_closed(data);
	say(busy, "RSET", "250 Ok");
	expect_line(busy, "421 Service shutting down");
	await_idle(&s);
	client_close(idle);
	client_close(busy);
	client_close(data);
}

static void
test_end_of_grace(void **state)
{
	struct shutting s = { .grace_ms = 50 };
	struct client  *busy, *data;

	(void)state;
	bed_open(&bed, "");
	busy = client_in(&bed);
	say(busy, "MAIL FROM:<sender@example.com>", "250 Ok");
	data = client_in(&bed);
	say(data, "MAIL FROM:<sender@example.com>", "250 Ok");
	say(data, "RCPT TO:<a@example.org>", "250 Ok");
	say(data, "DATA", "354 End data with <CR><LF>.<CR><LF>");
	assert_true(loop_post(bed.loop, on_shut, &s, NULL));
	expect_line(busy, "421 Service shutting down");
	expect_closed(data); /* without a word */
	await_idle(&s);
	client_close(busy);
	client_close(data);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_teardown(f, bed_teardown)
		T(test_login_forms),
		T(test_wrong_password),
		T(test_debug_log_hides_logins),
		T(test_input_waits_for_the_delay),
		T(test_blocked_address),
		T(test_closed_account),
		T(test_limits_of_a_credential),
		T(test_credential_disabled_in_session),
		T(test_local_socket),
		T(test_too_many_errors),
		T(test_preauth_limits),
		T(test_connection_limits),
		T(test_address_filter),
		T(test_messages_per_connection),
		T(test_connection_age),
		T(test_timeouts),
		T(test_shutdown),
		T(test_end_of_grace),
	};

	return cmocka_run_group_tests(tests, bed_group_setup,
	    bed_group_teardown);
}
