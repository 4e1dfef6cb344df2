/* SPDX-License-Identifier: ISC */
/* AUTH: the exchange, the login, wrong passwords (smtp-interface 6, 15). */
#include "submission/session.h"

#include <stdio.h>
#include <string.h>

#include "submission/desk_private.h"
#include "submission/listener.h"
#include "submission/standing.h"

enum {
	DECODED_MAX = 12288 / 4 * 3,
	ATTACK_FAILURES = 100,
	ATTACK_WINDOW_MS = 60 * 60 * 1000
};

/* One login as it was decoded; wiped after its use. */
struct session_login {
	unsigned char text[DECODED_MAX];
	size_t	      n;
	struct bytes  user, password;
};

static void session_judge_login(struct session *s, struct session_login *in,
    bool well_formed);

bool
session_has_come_in(const struct session *s)
{
	return s->is_authenticated || !s->is_preauth;
}

/* -- the exchange --------------------------------------------------------- */

static void
session_fail_exchange(struct session *s, unsigned code, const char *enhanced,
    const char *text)
{
	struct reply re;

	mem_wipe(s->auth_user, sizeof(s->auth_user));
	s->auth_user_n = 0;
	if (s->state == SESSION_AUTH)
		session_enter(s, SESSION_READY);
	reply_set(&re, code, enhanced, "%s", text);
	session_refuse(s, &re);
}

/* base64 of one line; "=" as initial response is the empty one */
static bool
session_decode(struct session *s, struct bytes line, bool initial,
    struct session_login *in)
{
	in->n = 0;
	if (initial && bytes_eq_text(line, "="))
		return true;
	if (base64_decode(line, in->text, sizeof(in->text), &in->n))
		return true;
	session_fail_exchange(s, 501, "5.5.2", "Cannot decode response");
	return false;
}

/*
 * None acts for another: empty, or the user himself.  "root" is nobody here,
 * and is what Sendmail sends of a login by the recipe of the SES interface
 * ("U:root"); it gives no right that the user has not.
 */
static bool
session_is_own_authzid(struct bytes authzid, struct bytes user)
{
	return authzid.n == 0 || bytes_eq(authzid, user) ||
	    bytes_eq_text(authzid, "root");
}

/* [authzid] NUL authcid NUL password */
static void
session_take_plain(struct session *s, struct session_login *in)
{
	struct bytes all = { (const char *)in->text, in->n }, authzid;
	ptrdiff_t    first = bytes_find(all, 0, '\0'), second = -1;

	if (first >= 0)
		second = bytes_find(all, (size_t)first + 1, '\0');
	if (second < 0 || bytes_find(all, (size_t)second + 1, '\0') >= 0) {
		session_fail_exchange(s, 501, "5.5.2",
		    "Cannot decode response");
		return;
	}
	authzid = bytes_head(all, (size_t)first);
	in->user = bytes_from(bytes_head(all, (size_t)second),
	    (size_t)first + 1);
	in->password = bytes_from(all, (size_t)second + 1);
	session_judge_login(s, in,
	    session_is_own_authzid(authzid, in->user));
}

static void
session_take_user(struct session *s, struct session_login *in)
{
	/* one that is too long is as wrong as any other */
	s->auth_user_n = in->n < sizeof(s->auth_user) ? in->n : 0;
	memcpy(s->auth_user, in->text, s->auth_user_n);
	s->auth_step = AUTH_PASSWORD;
	session_enter(s, SESSION_AUTH);
	session_write(s, BYTES("334 UGFzc3dvcmQ6\r\n"));
}

static void
session_take_response(struct session *s, struct session_login *in)
{
	switch (s->auth_step) {
	case AUTH_PLAIN:
		session_take_plain(s, in);
		break;
	case AUTH_USER:
		session_take_user(s, in);
		break;
	case AUTH_PASSWORD:
		in->user = (struct bytes){ s->auth_user, s->auth_user_n };
		in->password = (struct bytes){ (const char *)in->text, in->n };
		session_judge_login(s, in, true);
		break;
	}
}

void
session_begin_auth(struct session *s, const struct command *cmd)
{
	struct session_login in;

	s->auth_step = bytes_eq_nocase(cmd->mechanism, BYTES("PLAIN")) ?
	    AUTH_PLAIN : AUTH_USER;
	if (cmd->has_initial) {
		if (session_decode(s, cmd->initial, true, &in))
			session_take_response(s, &in);
		mem_wipe(&in, sizeof(in));
		return;
	}
	session_enter(s, SESSION_AUTH);
	session_write(s, s->auth_step == AUTH_PLAIN ? BYTES("334 \r\n") :
	    BYTES("334 VXNlcm5hbWU6\r\n"));
}

void
session_take_auth_line(struct session *s, struct bytes line)
{
	struct session_login in;

	if (bytes_eq_text(line, "*")) {
		session_fail_exchange(s, 501, "5.7.0",
		    "Authentication cancelled");
		return;
	}
	if (session_decode(s, line, false, &in))
		session_take_response(s, &in);
	mem_wipe(&in, sizeof(in));
}

/* -- wrong ones ----------------------------------------------------------- */

static void
session_log_failure(const struct session *s, struct bytes user,
    enum login_result why)
{
	char text[CREDENTIAL_KEY_SIZE] = "-";

	/* people type passwords into the wrong field */
	if (user.n < sizeof(text)) {
		bytes_text(user, text, sizeof(text));
		if (!credential_key_id_is_valid(text))
			strcpy(text, "-");
	}
	log_info("auth-failure", "sid=%s ip=%s port=%u user=%s reason=%s",
	    s->sid, stream_peer_text(s->stream),
	    (unsigned)stream_local_port(s->stream), text,
	    login_result_to_text(why));
}

/*
 * Many failures for one key from anywhere: somebody guesses.  Those for no key
 * are counted together, so that they take as long.
 */
static void
session_count_attack(struct session *s, const struct credential *c,
    struct bytes user)
{
	struct desk *d = s->desk;
	bool	     is_known = c->name[0] != '\0';
	char	     key[DESK_KEY_MAX], text[200];
	int64_t	     failures;

	/* the id of a known key is short */
	snprintf(key, sizeof(key), "guess/%.*s",
	    is_known ? (int)user.n : 0, user.p);
	failures = tally_window_add(d->setup.tally, bytes_of(key), 1,
	    loop_now(d->setup.loop), ATTACK_WINDOW_MS);
	if (!is_known || failures != ATTACK_FAILURES)
		return;
	snprintf(text, sizeof(text), "%d wrong passwords within an hour for "
	    "access key %.*s of %s", ATTACK_FAILURES, (int)user.n, user.p,
	    c->name);
	log_warn("credential-attack", "account=%s user=%s key=%.*s",
	    c->account, c->name, (int)user.n, user.p);
	desk_warn(d, c->account, "credential-attack", text);
}

static void
session_count_failure(struct session *s)
{
	const struct conf *c = session_conf(s);
	struct desk	  *d = s->desk;
	char		   key[DESK_BLOCK_KEY_SIZE];

	s->auth_failures++;
	if (s->place.is_trusted || s->place.is_unix)
		return;
	desk_block_key(stream_peer(s->stream), key);
	if (tally_fail(d->setup.tally, bytes_of(key), c->auth.block_threshold,
		c->auth.block_window_ms, c->auth.block_time_ms,
		loop_now(d->setup.loop)))
		log_warn("address-blocked", "ip=%s",
		    stream_peer_text(s->stream));
}

static void
session_count_login(struct session *s, enum login_result r)
{
	enum desk_mechanism m = s->auth_step == AUTH_PLAIN ? DESK_PLAIN :
	    DESK_LOGIN;

	must((size_t)r < DESK_AUTH_RESULTS);
	meter_add(&s->desk->setup.meters->auth[m][r], 1);
}

/* The answer waits; nobody else does. */
static void
session_refuse_login(struct session *s, const struct session_login *in,
    const struct credential *c, enum login_result why)
{
	session_log_failure(s, in->user, why);
	session_count_login(s, why);
	if (why == LOGIN_STORE_ERROR) {
		session_fail_exchange(s, 454, "4.7.0",
		    "Temporary authentication failure");
		return;
	}
	session_count_failure(s);
	session_count_attack(s, c, in->user);
	if (why == LOGIN_ACCOUNT_CLOSED)
		reply_set(&s->late, 535, "5.7.13",
		    "Account not subscribed to SES");
	else
		reply_set(&s->late, 535, "5.7.8",
		    "Authentication Credentials Invalid");
	session_enter(s, SESSION_DELAY);
	stream_pause(s->stream);
	timer_set(&s->wait, session_conf(s)->auth.fail_delay_ms);
}

void
session_on_auth_delay(struct session *s)
{
	session_enter(s, SESSION_READY);
	/* a count of its own, which may be set higher than that of errors */
	session_reply(s, &s->late);
	if (s->auth_failures >= session_conf(s)->auth.max_failures_per_session) {
		session_bye(s, 421, "4.7.0",
		    "Too many authentication failures", "limit");
		return;
	}
	stream_resume(s->stream);
	session_turn(s);
}

/* -- right ones ----------------------------------------------------------- */

static struct wall
session_earlier(struct wall a, struct wall b)
{
	if (a.ms == 0 || (b.ms != 0 && b.ms < a.ms))
		return b;
	return a;
}

void
session_remember_expiry(struct session *s, const struct credential *c,
    const char *key_id)
{
	unsigned i;

	s->expires = c->limits.expires;
	for (i = 0; i < c->key_count; i++)
		if (strcmp(c->keys[i].id, key_id) == 0)
			s->expires = session_earlier(s->expires,
			    c->keys[i].expires);
}

/* What the session has to remember of its credential. */
static void
session_remember(struct session *s, const struct credential *c,
    const char *key_id)
{
	const struct conf *f = session_conf(s);

	bytes_text(bytes_of(c->account), s->account, sizeof(s->account));
	s->page = ledger_page(s->desk->setup.ledger, s->account);
	bytes_text(bytes_of(c->name), s->user, sizeof(s->user));
	bytes_text(bytes_of(key_id), s->key_id, sizeof(s->key_id));
	s->size_max = f->message.max_size_bytes;
	if (c->limits.max_size != 0 && c->limits.max_size < s->size_max)
		s->size_max = c->limits.max_size;
	s->rcpt_max = f->smtp.max_recipients;
	if (c->limits.max_recipients != 0 &&
	    c->limits.max_recipients < s->rcpt_max)
		s->rcpt_max = c->limits.max_recipients;
	session_remember_expiry(s, c, key_id);
	s->book_seen = book_version(s->desk->setup.book);
}

bool
session_log_in(struct session *s, const struct credential *c,
    const char *key_id)
{
	unsigned max = session_conf(s)->smtp.max_connections_per_credential;

	if (c->limits.max_sessions != 0 && c->limits.max_sessions < max)
		max = c->limits.max_sessions;
	snprintf(s->login_key, sizeof(s->login_key), "login/%s/%s",
	    c->account, c->name);
	if (!tally_add_below(s->desk->setup.tally, bytes_of(s->login_key), 1,
		max)) {
		session_bye(s, 421, "4.3.2",
		    "Too many concurrent SMTP connections", "limit");
		return false;
	}
	session_remember(s, c, key_id);
	s->is_authenticated = true;
	if (s->is_preauth)
		listener_promote(&s->place);
	s->is_preauth = false;
	stream_set_input_max(s->stream, SESSION_INPUT_MAX);
	return true;
}

void
session_log_out(struct session *s)
{
	if (s->is_authenticated)
		tally_add(s->desk->setup.tally, bytes_of(s->login_key), -1);
	s->is_authenticated = false;
}

/* LastUsed is written at most once in 60 s for a key, by whichever desk. */
static void
session_tell_use(struct session *s)
{
	struct desk *d = s->desk;
	char	     key[DESK_KEY_MAX];

	if (d->setup.on_used == NULL)
		return;
	snprintf(key, sizeof(key), "used/%s", s->key_id);
	if (tally_bucket_take(d->setup.tally, bytes_of(key), 1, 1.0 / 60, 1,
		loop_now(d->setup.loop)))
		d->setup.on_used(d->setup.on_used_arg, s->key_id,
		    stream_peer_text(s->stream), s->listener->name,
		    loop_wall(d->setup.loop));
}

static int
session_tls_number(const struct session *s)
{
	if (!s->tls.active)
		return 0;
	return strcmp(s->tls.version, "TLSv1.3") == 0 ? 13 : 12;
}

static enum login_result
session_ask_login(struct session *s, const struct session_login *in,
    unsigned *key)
{
	struct desk	 *d = s->desk;
	struct login	  l = { .user = in->user, .password = in->password,
			 .region = session_conf(s)->server.region,
			 .peer = stream_peer(s->stream),
			 .listener = s->listener->name,
			 .tls = session_tls_number(s),
			 .now = loop_wall(d->setup.loop) };
	enum login_result result;
	struct err	  e;
	struct db_txn	 *t = book_read(d->setup.book, &e);

	if (t == NULL) {
		log_error("book-failed", "reason=\"%s\"", e.text);
		return LOGIN_STORE_ERROR;
	}
	result = credential_check_login(t, &l, d->credential, d->account, key);
	book_end(t);
	return result;
}

/* well_formed: false = refused whatever the password is */
static void
session_judge_login(struct session *s, struct session_login *in,
    bool well_formed)
{
	struct desk	  *d = s->desk;
	unsigned	   key = 0;
	enum login_result  result = session_ask_login(s, in, &key);
	struct credential *c = d->credential;

	if (!well_formed && result != LOGIN_STORE_ERROR)
		result = LOGIN_BAD_FORMAT;
	if (result != LOGIN_OK) {
		session_refuse_login(s, in, c, result);
		mem_wipe(s->auth_user, sizeof(s->auth_user));
		return;
	}
	mem_wipe(s->auth_user, sizeof(s->auth_user));
	if (!session_log_in(s, c, c->keys[key].id))
		return;
	s->auth_failures = 0;
	session_count_login(s, LOGIN_OK);
	session_tell_use(s);
	standing_earn(&s->place, buf_bytes(&s->ehlo));
	session_enter(s, SESSION_IDLE);
	session_say(s, 235, "2.7.0", "Authentication successful");
}
