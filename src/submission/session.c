/* SPDX-License-Identifier: ISC */
/*
 * One conversation.
 *
 *   GREETING --> TLS --> NEW --> CLEAR --> TLS --> NEW --> READY
 *                                                           |  ^
 *                                                     AUTH <+  | DELAY
 *                                                      |       |
 *                 +----------------- IDLE <------------+-------+
 *                 v                  ^  ^
 *               MAIL --> RCPT --> DATA  |
 *                         |        |    |
 *                         |        +--> SETTLE <--+
 *                         +--> CHUNK <--> BDAT ---+
 *
 *   from -> to                    by
 *   GREETING -> TLS, NEW          session_begin, session_greet
 *   TLS -> NEW                    session_on_ready
 *   NEW -> CLEAR, READY, IDLE     session_act_ehlo (IDLE: local socket)
 *   CLEAR -> TLS                  session_act_starttls
 *   READY -> AUTH                 session_begin_auth
 *   READY, AUTH -> DELAY, IDLE    session_judge_login
 *   DELAY -> READY                session_on_auth_delay
 *   IDLE -> MAIL                  session_act_mail
 *   CLEAR, READY -> INTAKE        session_act_mail, on intake listeners;
 *                                 it takes the place of MAIL and RCPT
 *   MAIL -> RCPT                  session_act_rcpt
 *   RCPT -> DATA                  session_begin_data
 *   RCPT, BDAT -> CHUNK           session_begin_chunk
 *   CHUNK -> BDAT                 session_end_chunk
 *   DATA, CHUNK -> SETTLE         session_settle
 *   SETTLE -> home                session_on_posted
 *   any transaction -> home       session_go_home (RSET, EHLO, refusals)
 *   any -> CLOSED                 session_close
 *
 * In every state but DATA and CHUNK input is lines.  In DELAY and SETTLE the
 * stream is paused and input stays in its buffer.
 */
#include "submission/session.h"

#include <stdio.h>
#include <string.h>

#include "submission/desk_private.h"
#include "submission/listener.h"
#include "submission/posting.h"
#include "submission/receive.h"
#include "submission/standing.h"

enum {
	/* commands of one turn, and the time that begins no more of them: then
	 * others have theirs */
	TURN_MAX = 64,
	TURN_US = 250,
	LINE_MAX_OCTETS = 2048,
	AUTH_LINE_MAX = 12288,
	FINISH_MS = 5000,
	EHLO_MAX = 256
};

static void session_on_ready(void *arg);
static void session_on_input(void *arg);
static void session_on_end(void *arg, enum stream_end why);
static void session_on_clock(void *session, void *unused);
static void session_on_wait(void *session, void *unused);
static void session_on_defer(void *session, void *unused);

static const struct stream_events session_events = {
	.on_ready = session_on_ready,
	.on_input = session_on_input,
	.on_end = session_on_end
};

const char *
session_state_to_text(enum session_state s)
{
	static const char *const names[] = { "greeting", "tls", "new", "clear",
		"ready", "auth", "delay", "idle", "mail", "rcpt", "data",
		"bdat", "chunk", "intake", "settle", "closed" };

	must((size_t)s < sizeof(names) / sizeof(names[0]));
	return names[s];
}

/* -- questions ------------------------------------------------------------ */

const struct conf *
session_conf(const struct session *s)
{
	return s->rules->conf;
}

bool
session_has_role(const struct session *s, unsigned role)
{
	return (s->listener->roles & role) != 0;
}

bool
session_is_protected(const struct session *s)
{
	return s->listener->tls == CONF_TLS_CLEAR || s->tls.active;
}

bool
session_is_intake(const struct session *s)
{
	return session_has_role(s, CONF_ROLE_INTAKE) && !s->is_authenticated;
}

enum session_state
session_home(const struct session *s)
{
	if (s->is_authenticated)
		return SESSION_IDLE;
	return session_is_protected(s) ? SESSION_READY : SESSION_CLEAR;
}

static bool
session_has_transaction(const struct session *s)
{
	return s->message != NULL || s->posting != NULL ||
	    s->state == SESSION_CHUNK;
}

/* -- time ----------------------------------------------------------------- */

/* When the client must have done something; 0 = it has all the time. */
static int64_t
session_deadline(const struct session *s, int64_t now)
{
	const struct conf *c = session_conf(s);
	int64_t		   at, total;

	switch (s->state) {
	case SESSION_GREETING:
	case SESSION_TLS: /* the stream's own deadline */
	case SESSION_DELAY:
	case SESSION_SETTLE:
	case SESSION_CLOSED:
		return 0;
	case SESSION_DATA:
	case SESSION_BDAT: /* half a message is held, whatever is said */
	case SESSION_CHUNK:
		at = now + c->smtp.timeout_data_ms;
		return at < s->data_until_ms ? at : s->data_until_ms;
	default:
		break;
	}
	if (session_has_come_in(s))
		return now + c->smtp.timeout_command_ms;
	at = now + s->listener->preauth_idle_ms;
	total = s->began.ms + c->smtp.timeout_preauth_total_ms;
	return at < total ? at : total;
}

/*
 * The timer is not moved each time the deadline moves on: it looks when it
 * rings.
 */
void
session_arm(struct session *s)
{
	int64_t now = loop_now(s->desk->setup.loop).ms;

	s->deadline_ms = s->paused_ms != 0 ? 0 : session_deadline(s, now);
	if (s->deadline_ms == 0)
		return;
	if (timer_is_set(&s->clock) && s->armed_ms <= s->deadline_ms)
		return;
	s->armed_ms = s->deadline_ms;
	timer_set(&s->clock, s->deadline_ms - now);
}

static void
session_on_clock(void *session, void *unused)
{
	struct session *s = session;
	int64_t		now = loop_now(s->desk->setup.loop).ms;

	(void)unused;
	if (s->deadline_ms == 0)
		return;
	if (now < s->deadline_ms) {
		s->armed_ms = s->deadline_ms;
		timer_set(&s->clock, s->deadline_ms - now);
		return;
	}
	session_bye(s, 451, "4.4.2", "Timeout waiting for data from client",
	    "timeout");
}

/* -- states --------------------------------------------------------------- */

static void
session_check(const struct session *s)
{
	switch (s->state) {
	case SESSION_IDLE:
		must(s->is_authenticated && s->message == NULL);
		break;
	case SESSION_MAIL:
	case SESSION_RCPT:
	case SESSION_INTAKE:
		must(s->message != NULL && s->receive == NULL);
		break;
	case SESSION_DATA:
	case SESSION_BDAT:
		must(s->message != NULL && s->receive != NULL);
		break;
	case SESSION_SETTLE:
		must(s->message == NULL && s->receive == NULL);
		break;
	case SESSION_NEW:
	case SESSION_CLEAR:
	case SESSION_READY:
		must(s->receive == NULL);
		break;
	default:
		break;
	}
}

void
session_enter(struct session *s, enum session_state to)
{
	log_debug("session", "sid=%s from=%s to=%s", s->sid,
	    session_state_to_text(s->state), session_state_to_text(to));
	s->state = to;
	session_check(s);
	session_arm(s);
}

/* -- replies -------------------------------------------------------------- */

void
session_write(struct session *s, struct bytes line)
{
	if (s->state == SESSION_CLOSED)
		return;
	desk_count_reply(s->desk, s->command, line);
	stream_write(s->stream, line);
}

void
session_reply(struct session *s, const struct reply *re)
{
	struct buf *line = &s->desk->line;

	if (s->state == SESSION_CLOSED)
		return;
	buf_clear(line);
	log_debug("server", "sid=%s reply=\"%u %s\"", s->sid, re->code,
	    re->text);
	if (reply_write(re, session_conf(s)->smtp.enhanced_status_codes,
		line))
		session_write(s, buf_bytes(line));
}

void
session_say(struct session *s, unsigned code, const char *enhanced,
    const char *text)
{
	struct reply re;

	reply_set(&re, code, enhanced, "%s", text);
	session_reply(s, &re);
}

void
session_bye(struct session *s, unsigned code, const char *enhanced,
    const char *text, const char *reason)
{
	session_say(s, code, enhanced, text);
	session_close(s, reason);
}

bool
session_is_our_trouble(const struct reply *re)
{
	return re->code == 451 || re->code == 452 || re->code == 454;
}

/* What comes in by intake has no account. */
void
session_count(struct session *s, enum ledger_result r)
{
	enum ledger_interface i = s->place.is_unix ? LEDGER_LOCAL : LEDGER_SMTP;

	if (s->page != NULL)
		meter_add(&s->page->submissions[i][r], 1);
}

/* An error of the client; too many of them end the session. */
void
session_refuse(struct session *s, const struct reply *re)
{
	const struct conf *c = session_conf(s);
	unsigned	   max = c->smtp.max_errors;

	if (!session_has_come_in(s) && max > 5)
		max = 5;
	if (re->code == 421) {
		session_reply(s, re);
		session_close(s, "limit");
	} else if (++s->errors > max) {
		session_bye(s, 421, "4.7.0", "Too many errors", "error");
	} else {
		session_reply(s, re);
	}
}

/* -- life ----------------------------------------------------------------- */

static void
session_make_sid(char out[SESSION_SID_SIZE])
{
	static const char letters[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	unsigned char	  r[64];
	size_t		  i, n = 0;

	while (n < SESSION_SID_SIZE - 1) {
		mem_random(r, sizeof(r));
		for (i = 0; i < sizeof(r) && n < SESSION_SID_SIZE - 1; i++)
			if (r[i] < 248) /* 4 x 62: each letter as likely */
				out[n++] = letters[r[i] % 62];
	}
	out[n] = '\0';
}

static void
session_greet(struct session *s)
{
	const struct conf *c = session_conf(s);
	char		   line[REPLY_LINE_MAX + 1];
	int		   n;

	/* who talks before it is greeted does not speak SMTP */
	if (session_has_role(s, CONF_ROLE_INTAKE) &&
	    stream_peek(s->stream).n > 0) {
		session_bye(s, 554, "5.5.1", "Protocol error", "error");
		return;
	}
	n = snprintf(line, sizeof(line), "220 %s ESMTP posthorn-%s %s\r\n",
	    c->server.name, c->server.node, s->sid);
	must(n > 0 && (size_t)n < sizeof(line));
	session_write(s, (struct bytes){ line, (size_t)n });
	session_enter(s, SESSION_NEW);
	session_turn(s);
}

void
session_begin_tls(struct session *s, enum turn_rank rank)
{
	session_enter(s, SESSION_TLS);
	stream_deadline(s->stream, session_conf(s)->smtp.timeout_tls_ms);
	stream_take_turns(s->stream, s->desk->turns, rank, s->place.ip_key);
	stream_tls_server(s->stream, s->rules->tls->v[s->place.listener]);
}

void
session_begin(const struct session_place *p, int fd)
{
	struct session *s = mem_alloc(sizeof(*s));
	struct desk    *d = p->desk;
	struct loop    *l = d->setup.loop;

	s->desk = d;
	s->rules = desk_rules_ref(d->rules);
	s->place = *p;
	s->listener = &s->rules->conf->listeners[p->listener];
	s->state = SESSION_GREETING;
	s->command = DESK_CONNECT;
	s->is_preauth = true;
	s->began = loop_now(l);
	s->end_reason = "eof";
	session_make_sid(s->sid);
	buf_init(&s->ehlo, EHLO_MAX);
	timer_init(&s->clock, l, session_on_clock, s);
	timer_init(&s->wait, l, session_on_wait, s);
	turn_init(&s->turn, session_on_defer, s);
	s->next = d->sessions;
	s->link = &d->sessions;
	if (s->next != NULL)
		s->next->link = &s->next;
	d->sessions = s;
	d->session_count++;
	s->stream = stream_accept(l, fd, &session_events, s);
	stream_take_turns(s->stream, d->turns, p->rank, s->place.ip_key);
	stream_set_input_max(s->stream, SESSION_PREAUTH_INPUT_MAX);
	stream_set_write_timeout(s->stream,
	    s->rules->conf->smtp.timeout_write_ms);
	if (s->listener->tls == CONF_TLS_WRAPPER &&
	    s->rules->tls->v[p->listener] == NULL) {
		session_close(s, "error"); /* no certificate is loaded */
	} else if (s->listener->tls == CONF_TLS_WRAPPER) {
		session_begin_tls(s, p->rank);
	} else if (session_has_role(s, CONF_ROLE_INTAKE)) {
		timer_set(&s->wait, 0); /* what came too early is read first */
	} else {
		session_greet(s);
	}
}

static void
session_free(void *session)
{
	mem_free(session);
}

static void
session_log_end(const struct session *s, const char *reason)
{
	char quoted[LOG_QUOTE_SIZE];

	log_info("session-end", "sid=%s ip=%s listener=%s tls=%s cipher=%s "
	    "ehlo=%s user=%s messages=%u recipients=%u in=%llu reason=%s",
	    s->sid, stream_peer_text(s->stream), s->listener->name,
	    s->tls.active ? s->tls.version : "-",
	    s->tls.active ? s->tls.cipher : "-",
	    log_quote(buf_bytes(&s->ehlo), quoted),
	    s->is_authenticated ? s->user : "-", s->messages, s->recipients,
	    (unsigned long long)stream_octets_in(s->stream), reason);
}

void
session_close(struct session *s, const char *reason)
{
	struct desk *d = s->desk;

	if (s->state == SESSION_CLOSED)
		return;
	session_log_end(s, reason);
	session_drop_transaction(s);
	posting_abandon(s->posting);
	session_log_out(s);
	listener_forget(&s->place, s->is_preauth);
	s->state = SESSION_CLOSED;
	timer_clear(&s->clock);
	timer_clear(&s->wait);
	turn_leave(&s->turn);
	stream_finish(s->stream, FINISH_MS);
	mem_wipe(s->auth_user, sizeof(s->auth_user));
	buf_wipe(&s->ehlo);
	*s->link = s->next;
	if (s->next != NULL)
		s->next->link = s->link;
	d->session_count--;
	desk_rules_unref(s->rules);
	s->rules = NULL;
	loop_reap(d->setup.loop, session_free, s);
	desk_look_idle(d);
}

void
session_drop_transaction(struct session *s)
{
	receive_free(s->receive);
	s->receive = NULL;
	message_free(s->message);
	s->message = NULL;
	s->rcpt_tried = 0;
	s->rcpt_over = false;
	s->large_owed = 0;
}

void
session_go_home(struct session *s)
{
	session_drop_transaction(s);
	session_enter(s, session_home(s));
	if (s->desk->is_shutting)
		session_bye(s, 421, "4.3.2", "Service shutting down",
		    "shutdown");
}

void
session_shut(struct session *s)
{
	if (s->state == SESSION_GREETING || s->state == SESSION_TLS)
		session_close(s, "shutdown");
	else if (!session_has_transaction(s))
		session_bye(s, 421, "4.3.2", "Service shutting down",
		    "shutdown");
}

void
session_cut(struct session *s)
{
	/* a message that is being laid down gets its true answer first */
	if (s->state == SESSION_SETTLE)
		return;
	if (s->state == SESSION_DATA || s->state == SESSION_CHUNK)
		session_close(s, "shutdown");
	else
		session_bye(s, 421, "4.3.2", "Service shutting down",
		    "shutdown");
}

/* -- callbacks ------------------------------------------------------------ */

static void
session_count_handshake(struct session *s, enum desk_handshake h)
{
	size_t i = listener_meter(s->place.listener);

	meter_add(&s->desk->setup.meters->handshakes[i][h], 1);
}

/* TLS is there: what was known before is forgotten. */
static void
session_on_ready(void *arg)
{
	struct session *s = arg;

	stream_deadline(s->stream, 0);
	stream_tls_describe(s->stream, &s->tls);
	session_count_handshake(s, strcmp(s->tls.version, "TLSv1.3") == 0 ?
	    DESK_TLS_1_3 : DESK_TLS_1_2);
	if (s->listener->tls == CONF_TLS_WRAPPER)
		session_greet(s);
	else
		session_enter(s, SESSION_NEW);
}

static void
session_on_input(void *arg)
{
	session_turn(arg);
}

static void
session_on_end(void *arg, enum stream_end why)
{
	struct session *s = arg;
	char		quoted[LOG_QUOTE_SIZE];

	if (s->state == SESSION_TLS)
		session_count_handshake(s, DESK_TLS_FAILED);
	switch (why) {
	case STREAM_TLS_FAILED:
		log_info("tls-failed", "sid=%s ip=%s listener=%s reason=%s",
		    s->sid, stream_peer_text(s->stream), s->listener->name,
		    log_quote(bytes_of(stream_error_text(s->stream)),
			quoted));
		session_close(s, "error");
		break;
	case STREAM_TIMEOUT:
	case STREAM_STUCK:
		session_close(s, "timeout");
		break;
	case STREAM_LOST:
	case STREAM_EOF:
	case STREAM_SHORT: /* only of streams that we open */
		session_close(s, "eof");
		break;
	}
}

static void
session_on_wait(void *session, void *unused)
{
	struct session *s = session;

	(void)unused;
	if (s->state == SESSION_GREETING && !s->has_looked) {
		/* once more: the first time is before any input was read */
		s->has_looked = true;
		timer_set(&s->wait, 0);
	} else if (s->state == SESSION_GREETING) {
		session_greet(s);
	} else if (s->state == SESSION_DELAY) {
		session_on_auth_delay(s);
	} else {
		session_on_bandwidth(s);
	}
}

/* -- lines ---------------------------------------------------------------- */

static size_t
session_line_max(const struct session *s, struct bytes in)
{
	if (s->state == SESSION_AUTH ||
	    bytes_starts_nocase(in, BYTES("AUTH ")))
		return AUTH_LINE_MAX;
	return LINE_MAX_OCTETS;
}

/* Limits of a client that has not logged in. */
static bool
session_is_over_preauth(struct session *s, size_t octets)
{
	const struct conf *c = session_conf(s);

	if (session_has_come_in(s))
		return false;
	s->octets_preauth += octets;
	return s->octets_preauth > c->smtp.preauth_max_octets ||
	    s->commands_preauth > c->smtp.preauth_max_commands;
}

/*
 * The rest of a line that was too long has gone; now it is answered.  It is a
 * line like any other: it counts, and the client has its time anew.
 */
static void
session_refuse_long_line(struct session *s, bool of_auth, size_t octets)
{
	struct reply re;

	s->commands_preauth += !s->is_authenticated;
	if (session_is_over_preauth(s, octets)) {
		session_bye(s, 421, "4.7.0", "Too many errors", "limit");
		return;
	}
	if (of_auth)
		reply_set(&re, 500, "5.5.6",
		    "Authentication exchange line is too long");
	else
		reply_set(&re, 500, "5.5.2", "Line too long");
	if (s->state == SESSION_AUTH)
		session_enter(s, session_home(s));
	session_refuse(s, &re);
	if (s->state != SESSION_CLOSED)
		session_arm(s);
}

static void
session_take_command(struct session *s, struct bytes line)
{
	struct command cmd;

	smtp_command_parse(line, conf_address_flags(session_conf(s)), &cmd);
	if (cmd.verb == VERB_HTTP && !s->has_greeted) {
		session_bye(s, 421, "4.7.0", "Protocol error", "error");
		return;
	}
	s->has_greeted = true;
	session_obey(s, &cmd);
}

static void
session_show_line(const struct session *s, struct bytes line, bool is_auth)
{
	char quoted[LOG_QUOTE_SIZE];

	if (log_wants(LOG_DEBUG_))
		log_line(LOG_DEBUG_, "client", "sid=%s line=%s", s->sid,
		    is_auth ? "[hidden]" : log_quote(line, quoted));
}

/*
 * A line is used up before its effect: what acts on it may close the stream
 * or begin TLS.  So it is copied; lines are short.
 */
static void
session_take_line(struct session *s, struct bytes line, size_t used)
{
	char   text[AUTH_LINE_MAX];
	bool   is_auth = s->state == SESSION_AUTH ||
	    bytes_starts_nocase(line, BYTES("AUTH "));
	size_t n = line.n;

	must(n <= sizeof(text));
	session_show_line(s, line, is_auth);
	memcpy(text, line.p, n);
	if (is_auth)
		mem_wipe((void *)(uintptr_t)line.p, n);
	stream_take(s->stream, used);
	s->commands_preauth += !s->is_authenticated &&
	    s->state != SESSION_AUTH;
	if (session_is_over_preauth(s, used))
		session_bye(s, 421, "4.7.0", "Too many errors", "limit");
	else if (s->state == SESSION_AUTH)
		session_take_auth_line(s, (struct bytes){ text, n });
	else
		session_take_command(s, (struct bytes){ text, n });
	if (is_auth)
		mem_wipe(text, n);
	if (s->state != SESSION_CLOSED)
		session_arm(s);
}

/* No line end is there: wait for it, or skip a line that is too long. */
static bool
session_lack_line(struct session *s, struct bytes in, size_t max)
{
	if (!s->skipping && in.n <= max)
		return false;
	if (!s->skipping)
		s->skips_auth = max == AUTH_LINE_MAX;
	s->skipping = true;
	if (session_is_over_preauth(s, in.n)) {
		session_bye(s, 421, "4.7.0", "Too many errors", "limit");
		return false;
	}
	stream_take(s->stream, in.n);
	return false;
}

static bool
session_step_line(struct session *s)
{
	struct bytes in = stream_peek(s->stream), line;
	ptrdiff_t    lf = bytes_find(in, 0, '\n');
	size_t	     max = session_line_max(s, in), used;
	bool	     of_auth;

	if (in.n == 0)
		return false;
	if (lf < 0)
		return session_lack_line(s, in, max);
	used = (size_t)lf + 1;
	if (s->skipping || used > max) {
		stream_take(s->stream, used);
		of_auth = s->skipping ? s->skips_auth : max == AUTH_LINE_MAX;
		s->skipping = false;
		session_refuse_long_line(s, of_auth, used);
		return true;
	}
	line = bytes_head(in, (size_t)lf);
	if (line.n > 0 && line.p[line.n - 1] == '\r') {
		line.n--;
	} else if (session_conf(s)->smtp.bare_lf == CONF_BARE_LF_REJECT) {
		session_bye(s, 500, "5.5.2", "Line must end with <CR><LF>",
		    "error");
		return false;
	}
	session_take_line(s, line, used);
	return true;
}

/* -- turns ---------------------------------------------------------------- */

/* One command, or a piece of content; false = there is nothing to do now. */
static bool
session_step(struct session *s)
{
	switch (s->state) {
	case SESSION_GREETING:
	case SESSION_TLS:
	case SESSION_DELAY:
	case SESSION_SETTLE:
	case SESSION_CLOSED:
		return false;
	case SESSION_DATA:
		return session_step_data(s);
	case SESSION_CHUNK:
		return session_step_chunk(s);
	default:
		return session_step_line(s);
	}
}

static void
session_on_defer(void *session, void *unused)
{
	struct session *s = session;

	(void)unused;
	s->is_deferred = false;
	if (s->state == SESSION_CLOSED)
		return;
	if (s->paused_ms == 0 && s->state != SESSION_SETTLE &&
	    s->state != SESSION_DELAY)
		stream_resume(s->stream);
	session_turn(s);
}

void
session_turn(struct session *s)
{
	int64_t	 until_us;
	unsigned n = 0;
	bool	 goes_on = true;

	if (s->in_turn || s->is_deferred)
		return;
	s->in_turn = true;
	until_us = clock_mono_us() + TURN_US;
	while (goes_on && n++ < TURN_MAX) {
		goes_on = session_step(s);
		if (goes_on && clock_mono_us() >= until_us)
			break;
	}
	s->in_turn = false;
	if (!goes_on || s->state == SESSION_CLOSED)
		return;
	/* the others first; input waits, and an end behind it too */
	s->is_deferred = true;
	stream_pause(s->stream);
	turn_ask(s->desk->turns, &s->turn, TURN_GREEDY,
	    bytes_of(s->place.ip_key));
}
