/* SPDX-License-Identifier: ISC */
/* DATA and BDAT: content into receive.c, back-pressure, the end of data. */
#include "submission/session.h"

#include <stdio.h>

#include "base/reserve.h"
#include "submission/admission.h"
#include "submission/desk_private.h"
#include "submission/posting.h"
#include "submission/receive.h"

enum { BANDWIDTH_WAIT_MS = 20 };

static void session_on_room(void *session);
static void session_on_posted(void *session, const struct reply *re,
    const struct msgid *id);

uint64_t
session_octets_max(const struct session *s)
{
	return s->is_authenticated ? s->size_max :
	    session_conf(s)->intake.max_message_size_bytes;
}

/* -- pauses --------------------------------------------------------------- */

/* Time during which we do not read is none of the client's. */
static void
session_pause(struct session *s)
{
	if (s->paused_ms != 0)
		return;
	s->paused_ms = loop_now(s->desk->setup.loop).ms;
	stream_pause(s->stream);
	session_arm(s);
}

static void
session_unpause(struct session *s)
{
	if (s->paused_ms == 0)
		return;
	s->data_until_ms += loop_now(s->desk->setup.loop).ms - s->paused_ms;
	s->paused_ms = 0;
	session_arm(s);
	stream_resume(s->stream);
	session_turn(s);
}

static bool
session_pay_bandwidth(struct session *s)
{
	const struct conf *c = session_conf(s);
	double		   rate = (double)c->message.large_bandwidth_bytes;
	char		   key[DESK_KEY_MAX];

	if (s->large_owed == 0)
		return true;
	snprintf(key, sizeof(key), "large/%s", s->account);
	if (!tally_bucket_take(s->desk->setup.tally, bytes_of(key),
		(double)s->large_owed, rate, rate,
		loop_now(s->desk->setup.loop)))
		return false;
	s->large_owed = 0;
	return true;
}

/* Whether more may be read now; if not, what wakes the session is wired. */
static bool
session_may_read(struct session *s)
{
	bool paid = session_pay_bandwidth(s);

	if (!paid)
		timer_set(&s->wait, BANDWIDTH_WAIT_MS);
	if (paid && (s->receive == NULL || receive_may_read(s->receive)))
		return true;
	session_pause(s);
	return false;
}

static void
session_on_room(void *session)
{
	struct session *s = session;

	if (!timer_is_set(&s->wait))
		session_unpause(s);
}

void
session_on_bandwidth(struct session *s)
{
	if (s->paused_ms != 0 && session_may_read(s))
		session_unpause(s);
}

/* Octets beyond the threshold of a large message are paid for. */
static void
session_count_large(struct session *s, uint64_t before)
{
	uint64_t threshold = session_conf(s)->message.large_threshold_bytes;
	uint64_t now = receive_octets(s->receive);

	if (now > threshold)
		s->large_owed += now - (before > threshold ? before :
							     threshold);
}

/* -- begin ---------------------------------------------------------------- */

/* Account and credential as they are now; false = answered. */
static bool
session_look_ahead(struct session *s, struct reply *re)
{
	struct desk	     *d = s->desk;
	struct quota_limits   limits;
	enum posting_standing standing = STANDING_UNKNOWN;
	struct err	      e;
	struct db_txn	     *t = book_read(d->setup.book, &e);

	if (t != NULL)
		standing = posting_check_standing(d, t, s->account, s->user,
		    s->key_id);
	book_end(t);
	if (standing == STANDING_UNKNOWN)
		return reply_refuse(re, 451, "4.3.0",
		    "Temporary service failure");
	if (standing == STANDING_REVOKED)
		return reply_refuse(re, 421, "4.7.0", "Credentials revoked");
	admission_limits(d->account, d->credential, &limits);
	if (posting_check_quota(d, &limits, s->message, s->page, re))
		return true;
	session_count(s, LEDGER_THROTTLED);
	return false;
}

static bool
session_open_receive(struct session *s, enum framing_kind kind,
    struct reply *re)
{
	struct receive_setup rs = { .desk = s->desk, .conf = session_conf(s),
		.message = s->message, .kind = kind,
		.size_max = session_octets_max(s),
		.raw = !s->is_authenticated,
		.lenient = session_conf(s)->message.lenient_headers ||
		    s->place.is_unix,
		.local_sender = s->local_sender,
		.on_room = session_on_room, .arg = s };
	struct err e;

	if (reserve_is_short())
		return reply_refuse(re, 454, "4.3.1",
		    "Throttling failure: System capacity exceeded");
	if (s->is_authenticated) {
		if (!session_look_ahead(s, re))
			return false;
		rs.blocked = s->desk->account->attachments;
	}
	s->receive = receive_new(&rs, &e);
	if (s->receive == NULL) {
		log_error("receive-failed", "sid=%s reason=\"%s\"", s->sid,
		    e.text);
		return reply_refuse(re, 451, "4.3.0",
		    "Temporary service failure");
	}
	s->data_until_ms = loop_now(s->desk->setup.loop).ms +
	    session_conf(s)->smtp.timeout_data_total_ms;
	return true;
}

void
session_begin_data(struct session *s)
{
	struct reply re;

	if (session_open_receive(s, FRAMING_DATA, &re)) {
		session_enter(s, SESSION_DATA);
		session_write(s,
		    BYTES("354 End data with <CR><LF>.<CR><LF>\r\n"));
		return;
	}
	session_reply(s, &re); /* quota: no error of the client */
	if (re.code == 421)
		session_close(s, "limit");
	else if (stream_peek(s->stream).n > 0)
		session_bye(s, 421, "4.7.0", "Protocol error", "error");
	else
		session_go_home(s);
}

/* -- the end of data ------------------------------------------------------ */

static void
session_on_posted(void *session, const struct reply *re,
    const struct msgid *id)
{
	struct session *s = session;

	s->posting = NULL;
	s->messages++;
	if (id == NULL && re->code == 421) {
		session_reply(s, re);
		session_close(s, "limit");
		return;
	}
	session_reply(s, re);
	session_go_home(s);
	if (s->state == SESSION_CLOSED)
		return;
	stream_resume(s->stream);
	session_turn(s);
}

/* How it came, for Received (RFC 3848): who sends has logged in. */
static const char *
session_with(const struct session *s)
{
	if (s->place.is_unix)
		return "local";
	return s->message->tls_version.n > 0 ? "ESMTPSA" : "ESMTPA";
}

/* From here on the message is the posting's. */
static void
session_settle(struct session *s)
{
	struct posting_setup p = { .desk = s->desk, .rules = s->rules,
		.kind = s->is_authenticated ? POSTING_MAIL : POSTING_INTAKE,
		.receive = s->receive,
		.message = s->message, .account = s->account,
		.page = s->page, .is_local = s->place.is_unix,
		.credential = s->user, .key_id = s->key_id,
		.with = session_with(s),
		.on_reply = session_on_posted, .arg = s };

	s->recipients += s->message->envelope_count;
	s->receive = NULL;
	s->message = NULL;
	session_enter(s, SESSION_SETTLE);
	stream_pause(s->stream);
	s->posting = posting_new(&p);
	posting_begin(s->posting);
}

/* What is known to be wrong before anybody has to look at the content. */
static void
session_end_content(struct session *s)
{
	struct reply re;

	s->large_owed = 0;
	if (!s->rcpt_over) {
		session_settle(s);
		return;
	}
	if (receive_check_content(s->receive, &re))
		reply_set(&re, 554, "5.5.3",
		    "Transaction failed: Recipient count exceeds %u.",
		    s->rcpt_max);
	s->messages++;
	session_count(s, LEDGER_REFUSED);
	session_reply(s, &re);
	session_go_home(s);
}

static void
session_refuse_flood(struct session *s)
{
	session_count(s, LEDGER_REFUSED);
	session_bye(s, 552, "5.3.4", "Message is too long.", "error");
}

bool
session_step_data(struct session *s)
{
	struct bytes in = stream_peek(s->stream);
	uint64_t     before = receive_octets(s->receive);
	size_t	     used;

	if (in.n == 0 || !session_may_read(s))
		return false;
	used = receive_feed(s->receive, in);
	stream_take(s->stream, used);
	session_count_large(s, before);
	if (receive_has_ended(s->receive))
		session_end_content(s);
	else if (receive_is_flooded(s->receive))
		session_refuse_flood(s);
	else
		session_arm(s);
	return true;
}

/* -- BDAT ----------------------------------------------------------------- */

/* What stands behind a chunk that was refused: its transaction is dead. */
static void
session_refuse_chunk(struct session *s)
{
	struct reply re = s->chunk_reply;

	if (s->message != NULL || s->chunk_back == SESSION_INTAKE) {
		session_drop_transaction(s);
		s->chunk_back = session_home(s);
	}
	session_enter(s, s->chunk_back);
	if (re.code == 552 || session_is_our_trouble(&re))
		session_reply(s, &re);
	else
		session_refuse(s, &re);
	if (s->state != SESSION_CLOSED && s->desk->is_shutting)
		session_go_home(s);
}

static void
session_end_chunk(struct session *s)
{
	char text[64];

	if (s->chunk_reply.code != 0) {
		session_refuse_chunk(s);
	} else if (s->chunk_last) {
		receive_end(s->receive);
		session_end_content(s);
	} else {
		snprintf(text, sizeof(text), "Ok %llu octets received",
		    (unsigned long long)s->chunk_size);
		session_enter(s, SESSION_BDAT);
		session_say(s, 250, "2.0.0", text);
	}
}

/* Why this chunk is only read and thrown away: code 0 = it is taken. */
static void
session_judge_chunk(struct session *s, const struct command *cmd,
    const struct reply *refusal)
{
	s->chunk_reply.code = 0;
	if (refusal != NULL)
		s->chunk_reply = *refusal;
	else if (s->receive == NULL &&
	    !session_open_receive(s, FRAMING_CHUNK, &s->chunk_reply))
		return;
	else if (cmd->chunk > session_octets_max(s) ||
	    receive_octets(s->receive) > session_octets_max(s) - cmd->chunk)
		reply_set(&s->chunk_reply, 552, "5.3.4",
		    "Message is too long.");
}

void
session_begin_chunk(struct session *s, const struct command *cmd,
    const struct reply *refusal)
{
	if (cmd->syntax != COMMAND_OK) {
		/* nobody knows where the next command begins */
		session_bye(s, 501, "5.5.4", "Syntax error in parameters",
		    "error");
		return;
	}
	s->chunk_back = s->state;
	s->chunk_left = s->chunk_size = cmd->chunk;
	s->chunk_last = cmd->last;
	session_judge_chunk(s, cmd, refusal);
	if (s->chunk_reply.code != 0)
		s->data_until_ms = loop_now(s->desk->setup.loop).ms +
		    session_conf(s)->smtp.timeout_data_total_ms;
	session_enter(s, SESSION_CHUNK);
	if (s->chunk_left == 0)
		session_end_chunk(s);
}

/* false = the connection was closed */
static bool
session_discard(struct session *s, size_t n)
{
	const struct conf *c = session_conf(s);
	uint64_t	   max = session_octets_max(s);

	if (!session_has_come_in(s)) {
		s->octets_preauth += n;
		if (s->octets_preauth > c->smtp.preauth_max_octets) {
			session_bye(s, 421, "4.7.0", "Too many errors",
			    "limit");
			return false;
		}
	} else if ((s->chunk_size - s->chunk_left) / 2 > max) {
		session_refuse_flood(s);
		return false;
	}
	return true;
}

bool
session_step_chunk(struct session *s)
{
	struct bytes in = stream_peek(s->stream);
	bool	     taken = s->chunk_reply.code == 0;
	uint64_t     before;

	if (in.n == 0 || (taken && !session_may_read(s)))
		return false;
	if (in.n > s->chunk_left)
		in = bytes_head(in, (size_t)s->chunk_left);
	if (taken) {
		before = receive_octets(s->receive);
		receive_feed(s->receive, in);
		session_count_large(s, before);
	}
	stream_take(s->stream, in.n);
	s->chunk_left -= in.n;
	if (!taken && !session_discard(s, in.n))
		return false;
	if (s->chunk_left == 0)
		session_end_chunk(s);
	else
		session_arm(s);
	return true;
}
