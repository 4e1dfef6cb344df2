/* SPDX-License-Identifier: ISC */
/* The verbs: one row each, permission before effect (smtp-interface 5). */
#include "submission/session.h"

#include <stdio.h>
#include <string.h>

#include "submission/admission.h"
#include "submission/desk_private.h"
#include "submission/intake.h"
#include "submission/listener.h"
#include "submission/posting.h"
#include "submission/standing.h"

enum {
	/* arena, besides the header block */
	MESSAGE_ROOM = 1024 * 1024,
	ENVELOPE_ROOM = 512 /* the longest address, and its place in a list
			       that was doubled */
};

/* Bits of states, for the table. */
enum {
	IN_NEW = 1 << SESSION_NEW,
	IN_CLEAR = 1 << SESSION_CLEAR,
	IN_READY = 1 << SESSION_READY,
	IN_IDLE = 1 << SESSION_IDLE,
	IN_MAIL = 1 << SESSION_MAIL,
	IN_RCPT = 1 << SESSION_RCPT,
	IN_BDAT = 1 << SESSION_BDAT,
	IN_INTAKE = 1 << SESSION_INTAKE,
	IN_ALL = IN_NEW | IN_CLEAR | IN_READY | IN_IDLE | IN_MAIL | IN_RCPT |
	    IN_BDAT | IN_INTAKE
};

struct session_rule {
	unsigned states;     /* where it is allowed */
	bool	 needs_tls;  /* refused with 530 in clear text */
	bool	 needs_auth; /* refused with 530 before login */
	bool	 by_intake;  /* there without TLS and login, too */
	bool	 ends_group; /* nothing may be pipelined behind it */
	/* no effect; false and the reply */
	bool (*check)(const struct session *s, const struct command *cmd,
	    struct reply *re);
	void (*act)(struct session *s, const struct command *cmd);
};

/* -- EHLO ----------------------------------------------------------------- */

/* The credential that the peer of the local socket stands for, read anew. */
static bool
session_log_in_local(struct session *s)
{
	const struct conf_local *local;
	struct stream_cred	 cred;
	struct db_txn		*t;
	struct err		 e;
	enum posting_standing	 standing = STANDING_UNKNOWN;
	uint32_t		 gids[65];
	unsigned		 i;

	if (s->is_authenticated || !stream_credentials(s->stream, &cred))
		return true;
	gids[0] = cred.gid;
	for (i = 0; i < cred.group_count && i < 64; i++)
		gids[i + 1] = cred.groups[i];
	local = conf_local_find(session_conf(s), cred.uid, gids, i + 1);
	if (local == NULL)
		return true; /* MAIL will be refused */
	t = book_read(s->desk->setup.book, &e);
	if (t != NULL)
		standing = posting_check_standing(s->desk, t, local->account,
		    local->credential, "");
	book_end(t);
	if (standing == STANDING_UNKNOWN) {
		session_bye(s, 451, "4.3.0", "Temporary service failure",
		    "error");
		return false;
	}
	for (i = 0; standing == STANDING_OK &&
	     i < s->desk->credential->limits.listener_count; i++)
		if (strcmp(s->desk->credential->limits.listeners[i],
			s->listener->name) == 0)
			break;
	if (standing == STANDING_REVOKED || (i > 0 &&
		i == s->desk->credential->limits.listener_count)) {
		session_bye(s, 421, "4.7.0", "Credentials revoked", "error");
		return false;
	}
	s->local_sender = local->sender;
	return session_log_in(s, s->desk->credential, "");
}

static uint64_t
session_size_shown(const struct session *s)
{
	const struct conf *c = session_conf(s);
	uint64_t	   size = c->message.max_size_bytes;

	if (s->is_authenticated)
		return s->size_max;
	if (session_is_intake(s) &&
	    (!session_has_role(s, CONF_ROLE_SUBMISSION) ||
		c->intake.max_message_size_bytes > size))
		size = c->intake.max_message_size_bytes;
	return size;
}

static void
session_add_keyword(struct session *s, const char *fmt, unsigned long long a,
    unsigned long long b)
{
	char text[160];

	snprintf(text, sizeof(text), fmt, a, b);
	reply_write_line(250, false, text, &s->desk->line);
}

static void
session_write_ehlo(struct session *s)
{
	const struct conf *c = session_conf(s);
	struct buf	  *line = &s->desk->line;
	bool		   open = session_is_protected(s);
	unsigned	   rcpts = c->smtp.max_recipients;

	if (s->is_authenticated)
		rcpts = s->rcpt_max;
	else if (!session_has_role(s, CONF_ROLE_SUBMISSION))
		rcpts = INTAKE_RECIPIENTS_MAX;
	buf_clear(line);
	reply_write_line(250, false, c->server.name, line);
	reply_write_line(250, false, "PIPELINING", line);
	session_add_keyword(s, "SIZE %llu", session_size_shown(s), 0);
	reply_write_line(250, false, "8BITMIME", line);
	if (!open && s->rules->tls->v[s->place.listener] != NULL)
		reply_write_line(250, false, "STARTTLS", line);
	if (open && session_has_role(s, CONF_ROLE_SUBMISSION))
		reply_write_line(250, false, "AUTH PLAIN LOGIN", line);
	if (open)
		reply_write_line(250, false, "CHUNKING", line);
	if (open)
		reply_write_line(250, false, "DSN", line);
	if (c->smtp.enhanced_status_codes)
		reply_write_line(250, false, "ENHANCEDSTATUSCODES", line);
	if (open && c->smtp.max_messages_per_connection > 0)
		session_add_keyword(s, "LIMITS MAILMAX=%llu RCPTMAX=%llu",
		    c->smtp.max_messages_per_connection, rcpts);
	else if (open)
		session_add_keyword(s, "LIMITS RCPTMAX=%llu", rcpts, 0);
	reply_write_line(250, true, "Ok", line);
	session_write(s, buf_bytes(line));
}

static void
session_act_ehlo(struct session *s, const struct command *cmd)
{
	buf_clear(&s->ehlo);
	buf_add_bytes(&s->ehlo, cmd->argument);
	session_drop_transaction(s);
	if (session_has_role(s, CONF_ROLE_LOCAL) && !session_log_in_local(s))
		return;
	session_enter(s, session_home(s));
	if (cmd->verb == VERB_EHLO) {
		session_write_ehlo(s);
	} else {
		buf_clear(&s->desk->line);
		reply_write_line(250, true, session_conf(s)->server.name,
		    &s->desk->line);
		session_write(s, buf_bytes(&s->desk->line));
	}
}

/* -- STARTTLS ------------------------------------------------------------- */

static bool
session_check_starttls(const struct session *s, const struct command *cmd,
    struct reply *re)
{
	(void)cmd;
	if (s->rules->tls->v[s->place.listener] == NULL)
		return reply_refuse(re, 454, "4.7.0",
		    "TLS not available due to temporary reason");
	return true;
}

static void
session_act_starttls(struct session *s, const struct command *cmd)
{
	enum turn_rank rank = standing_rank(&s->place, buf_bytes(&s->ehlo));
	struct reply   re;

	(void)cmd;
	/* commands in clear text behind it could be somebody else's */
	if (stream_peek(s->stream).n > 0) {
		session_bye(s, 554, "5.5.1", "Command data after STARTTLS",
		    "error");
		return;
	}
	if (!standing_may_handshake(&s->place, rank)) {
		reply_set(&re, 454, "4.7.0",
		    "TLS not available due to temporary reason");
		session_refuse(s, &re);
		return;
	}
	session_say(s, 220, "2.0.0", "Ready to start TLS");
	session_drop_transaction(s);
	buf_clear(&s->ehlo);
	session_begin_tls(s, rank);
}

/* -- AUTH ----------------------------------------------------------------- */

static bool
session_check_auth(const struct session *s, const struct command *cmd,
    struct reply *re)
{
	(void)s;
	if (!bytes_eq_nocase(cmd->mechanism, BYTES("PLAIN")) &&
	    !bytes_eq_nocase(cmd->mechanism, BYTES("LOGIN")))
		return reply_refuse(re, 504, "5.5.4",
		    "Unrecognized authentication type");
	return true;
}

/* -- MAIL ----------------------------------------------------------------- */

static bool
session_check_mail(const struct session *s, const struct command *cmd,
    struct reply *re)
{
	const struct conf *c = session_conf(s);
	uint64_t	   size_max = s->size_max;

	if (!s->is_authenticated)
		size_max = c->intake.max_message_size_bytes;
	else if (cmd->null && !c->smtp.allow_null_sender)
		return reply_refuse(re, 553, "5.1.7",
		    "<> Invalid email address");
	if (cmd->has_size && cmd->size > size_max)
		return reply_refuse(re, 552, "5.3.4", "Message is too long.");
	switch (spool_has_room(s->desk->setup.spool,
	    cmd->has_size ? cmd->size : 0)) {
	case RECEIPT_FULL:
		return reply_refuse(re, 452, "4.3.1",
		    "Insufficient system storage");
	case RECEIPT_BUSY:
		return reply_refuse(re, 454, "4.3.1",
		    "Throttling failure: System capacity exceeded");
	case RECEIPT_DOWN:
		return reply_refuse(re, 451, "4.3.0",
		    "Temporary service failure");
	default:
		break;
	}
	if (desk_is_overloaded(s->desk, session_conf(s)))
		return reply_refuse(re, 454, "4.3.1",
		    "Throttling failure: System capacity exceeded");
	return true;
}

/* The local block's sender stands for addresses of this host. */
static struct bytes
session_sender(const struct session *s, const struct command *cmd, char *text)
{
	struct bytes normal;

	if (cmd->null)
		return BYTES("");
	if (s->local_sender != NULL && bytes_eq_nocase(cmd->address.domain,
		bytes_of(session_conf(s)->server.name)) &&
	    address_normal_text(bytes_of(s->local_sender),
		conf_address_flags(session_conf(s)), text, &normal))
		return normal;
	return address_normal(&cmd->address, text);
}

static bool
session_open_message(struct session *s, const struct command *cmd)
{
	const struct conf *c = session_conf(s);
	struct message	  *m;
	char		   text[ADDRESS_TEXT_MAX];
	unsigned	   rcpts = s->is_authenticated ? s->rcpt_max :
	    INTAKE_RECIPIENTS_MAX;

	m = message_new(c->message.max_header_size_bytes + MESSAGE_ROOM +
	    (size_t)rcpts * ENVELOPE_ROOM);
	s->message = m;
	m->class = s->is_authenticated ? MESSAGE_NORMAL : MESSAGE_INTAKE;
	bytes_text(bytes_of(s->account), m->account, sizeof(m->account));
	m->declared_8bit = cmd->body == BODY_8BITMIME;
	m->ret = (uint8_t)cmd->ret;
	return message_set(m, &m->envid, cmd->envid) && message_set(m, &m->credential, bytes_of(s->user)) &&
	    message_set(m, &m->access_key, bytes_of(s->key_id)) &&
	    message_set(m, &m->sid, bytes_of(s->sid)) &&
	    message_set(m, &m->client_ip, s->place.is_unix ?
		BYTES("127.0.0.1") :
		bytes_of(stream_peer_text(s->stream))) &&
	    message_set(m, &m->ehlo, buf_bytes(&s->ehlo)) &&
	    message_set(m, &m->listener, bytes_of(s->listener->name)) &&
	    message_set(m, &m->tls_version, bytes_of(s->tls.version)) &&
	    message_set(m, &m->sender, session_sender(s, cmd, text));
}

static void
session_count_overload(struct session *s)
{
	session_count(s, LEDGER_THROTTLED);
	if (s->page != NULL)
		meter_add(&s->page->throttled[LEDGER_OVERLOAD], 1);
}

static void
session_act_mail(struct session *s, const struct command *cmd)
{
	if (!session_open_message(s, cmd)) {
		session_drop_transaction(s);
		session_count_overload(s);
		session_say(s, 454, "4.3.1",
		    "Throttling failure: System capacity exceeded");
		return;
	}
	if (s->is_preauth)
		listener_promote(&s->place);
	s->is_preauth = false;
	session_enter(s, s->is_authenticated ? SESSION_MAIL : SESSION_INTAKE);
	session_say(s, 250, "2.1.0", "Ok");
}

/* -- RCPT ----------------------------------------------------------------- */

/* Without login: each recipient is judged alone, and nothing is relayed. */
static bool
session_check_intake_rcpt(const struct session *s, const struct command *cmd,
    struct reply *re)
{
	enum intake_answer answer = INTAKE_TAKEN;
	char		   path[SMTP_QUOTED_MAX];

	if (!cmd->postmaster)
		answer = intake_judge(s->desk, session_conf(s),
		    &cmd->address);
	if (answer == INTAKE_TROUBLE)
		return reply_refuse(re, 451, "4.3.0",
		    "Temporary service failure");
	if (answer == INTAKE_TAKEN) {
		if (s->message->envelope_count < INTAKE_RECIPIENTS_MAX)
			return true;
		return reply_refuse(re, 452, "4.5.3", "Too many recipients");
	}
	if (answer == INTAKE_FOREIGN &&
	    session_has_role(s, CONF_ROLE_SUBMISSION))
		return reply_refuse(re, 530, "5.7.0",
		    "Authentication required");
	/* its enhanced code stands in the text, in both modes */
	return reply_refuse(re, 550, NULL, "5.1.1 %s unknown recipient",
	    smtp_quote_path(cmd->path, path));
}

static struct bytes
session_recipient(const struct session *s, const struct command *cmd,
    char *text)
{
	int n;

	if (!cmd->postmaster)
		return address_normal(&cmd->address, text);
	n = snprintf(text, ADDRESS_TEXT_MAX, "postmaster@%s",
	    session_conf(s)->server.domain);
	return (struct bytes){ text,
		n < ADDRESS_TEXT_MAX ? (size_t)n : ADDRESS_TEXT_MAX - 1 };
}

static bool
session_check_rcpt(const struct session *s, const struct command *cmd,
    struct reply *re)
{
	char text[ADDRESS_TEXT_MAX];

	if (s->state == SESSION_INTAKE)
		return session_check_intake_rcpt(s, cmd, re);
	if (s->message->envelope_count < s->rcpt_max ||
	    session_conf(s)->smtp.recipient_limit_mode == CONF_LIMIT_REJECT ||
	    message_find_envelope(s->message,
		session_recipient(s, cmd, text)) != NULL)
		return true;
	return reply_refuse(re, 452, "4.5.3", "Too many recipients");
}

static void
session_act_rcpt(struct session *s, const struct command *cmd)
{
	char		 text[ADDRESS_TEXT_MAX];
	struct bytes	 address = session_recipient(s, cmd, text);
	struct envelope *env;
	bool		 intake = s->state == SESSION_INTAKE;

	s->rcpt_tried++;
	if (message_find_envelope(s->message, address) == NULL) {
		if (!intake && s->message->envelope_count >= s->rcpt_max) {
			s->rcpt_over = true; /* told at the end of data */
			session_say(s, 250, "2.1.5", "Ok");
			return;
		}
		env = message_add_envelope(s->message, address);
		if (env == NULL) {
			/* the message has no more room: as over the limit */
			session_say(s, 452, "4.5.3", "Too many recipients");
			return;
		}
		env->simulator = conf_is_simulator(session_conf(s),
		    env->domain);
		env->notify = (uint8_t)cmd->notify;
		if (!message_set(s->message, &env->orcpt, cmd->orcpt))
			env->orcpt = BYTES(""); /* no room: not kept */
	}
	session_enter(s, intake ? SESSION_INTAKE : SESSION_RCPT);
	session_say(s, 250, "2.1.5", "Ok");
}

/* -- DATA, BDAT ----------------------------------------------------------- */

static bool
session_check_data(const struct session *s, const struct command *cmd,
    struct reply *re)
{
	(void)cmd;
	if (s->state == SESSION_RCPT || s->state == SESSION_BDAT ||
	    (s->state == SESSION_INTAKE && s->message->envelope_count > 0))
		return true;
	if (s->rcpt_tried > 0)
		return reply_refuse(re, 554, "5.5.1", "No valid recipients");
	return reply_refuse(re, 503, "5.5.1",
	    "Bad sequence of commands: need RCPT");
}

static void
session_act_data(struct session *s, const struct command *cmd)
{
	(void)cmd;
	session_begin_data(s);
}

static void
session_act_bdat(struct session *s, const struct command *cmd)
{
	session_begin_chunk(s, cmd, NULL);
}

/* -- the small ones ------------------------------------------------------- */

static void
session_act_rset(struct session *s, const struct command *cmd)
{
	(void)cmd;
	session_say(s, 250, "2.0.0", "Ok");
	if (s->state != SESSION_NEW)
		session_go_home(s);
}

static void
session_act_noop(struct session *s, const struct command *cmd)
{
	(void)cmd;
	session_say(s, 250, "2.0.0", "Ok");
}

static void
session_act_vrfy(struct session *s, const struct command *cmd)
{
	(void)cmd;
	session_say(s, 252, "2.5.0", "Cannot verify, but will accept message "
	    "and attempt delivery");
}

static void
session_act_help(struct session *s, const struct command *cmd)
{
	(void)cmd;
	session_say(s, 214, "2.0.0",
	    "posthorn: see the documentation of this service");
}

static void
session_act_quit(struct session *s, const struct command *cmd)
{
	(void)cmd;
	session_bye(s, 221, "2.0.0", "Bye", "quit");
}

static bool
session_check_known(const struct session *s, const struct command *cmd,
    struct reply *re)
{
	(void)s;
	(void)cmd;
	return reply_refuse(re, 502, "5.5.1", "Command not implemented");
}

static bool
session_check_unknown(const struct session *s, const struct command *cmd,
    struct reply *re)
{
	(void)s;
	(void)cmd;
	return reply_refuse(re, 500, "5.5.2", "Unrecognized command");
}

/* -- the table ------------------------------------------------------------ */

static const struct session_rule session_rules[VERB_COUNT] = {
	[VERB_UNKNOWN] = { .states = IN_ALL, .check = session_check_unknown },
	[VERB_HTTP] = { .states = IN_ALL, .check = session_check_unknown },
	[VERB_KNOWN] = { .states = IN_ALL, .check = session_check_known },
	[VERB_EHLO] = { .states = IN_ALL, .act = session_act_ehlo },
	[VERB_HELO] = { .states = IN_ALL, .act = session_act_ehlo },
	[VERB_STARTTLS] = { .states = IN_CLEAR | IN_INTAKE,
	    .ends_group = true, .check = session_check_starttls,
	    .act = session_act_starttls },
	[VERB_AUTH] = { .states = IN_READY, .needs_tls = true,
	    .check = session_check_auth, .act = session_begin_auth },
	[VERB_MAIL] = { .states = IN_IDLE, .needs_tls = true,
	    .needs_auth = true, .by_intake = true,
	    .check = session_check_mail, .act = session_act_mail },
	[VERB_RCPT] = { .states = IN_MAIL | IN_RCPT | IN_INTAKE,
	    .needs_tls = true, .needs_auth = true,
	    .check = session_check_rcpt, .act = session_act_rcpt },
	[VERB_DATA] = { .states = IN_MAIL | IN_RCPT | IN_INTAKE,
	    .needs_tls = true, .needs_auth = true, .ends_group = true,
	    .check = session_check_data, .act = session_act_data },
	[VERB_BDAT] = { .states = IN_MAIL | IN_RCPT | IN_BDAT | IN_INTAKE,
	    .needs_tls = true, .needs_auth = true,
	    .check = session_check_data, .act = session_act_bdat },
	[VERB_RSET] = { .states = IN_ALL, .act = session_act_rset },
	[VERB_NOOP] = { .states = IN_ALL, .act = session_act_noop },
	[VERB_VRFY] = { .states = IN_ALL, .act = session_act_vrfy },
	[VERB_HELP] = { .states = IN_ALL, .act = session_act_help },
	[VERB_QUIT] = { .states = IN_ALL, .act = session_act_quit },
};

/* Why a command is out of place: the cells 503 of 5.2. */
static const char *
session_hint(const struct session *s, enum verb verb)
{
	if (verb == VERB_STARTTLS)
		return "TLS already active";
	if (verb == VERB_AUTH)
		return s->state == SESSION_IDLE ? "already authenticated" :
		    "transaction in progress";
	if (s->state == SESSION_BDAT)
		return "BDAT in progress";
	if (verb == VERB_MAIL)
		return "sender already given";
	return "need MAIL";
}

/* Verbs that this listener does not have at all. */
static bool
session_lacks(const struct session *s, enum verb verb)
{
	if (verb == VERB_STARTTLS)
		return s->listener->tls == CONF_TLS_CLEAR;
	return verb == VERB_AUTH && !session_has_role(s, CONF_ROLE_SUBMISSION);
}

/* Is the verb in its place?  false and the reply. */
static bool
session_permit(const struct session *s, enum verb verb, struct reply *re)
{
	const struct session_rule *rule = &session_rules[verb];
	bool at_home = s->state == SESSION_CLEAR || s->state == SESSION_READY;
	bool intake = session_is_intake(s);

	if (session_lacks(s, verb))
		return session_check_known(s, NULL, re);
	if (rule->by_intake && at_home && intake)
		return true;
	if ((rule->states >> s->state & 1) != 0 &&
	    !(verb == VERB_STARTTLS && session_is_protected(s)))
		return true;
	if (s->state == SESSION_NEW)
		return reply_refuse(re, 503, "5.5.1",
		    "Bad sequence of commands: send EHLO first");
	if (rule->needs_tls && !session_is_protected(s) &&
	    (!intake || verb == VERB_AUTH))
		return reply_refuse(re, 530, "5.7.0",
		    "Must issue a STARTTLS command first");
	if (rule->needs_auth && s->state == SESSION_READY && !intake)
		return reply_refuse(re, 530, "5.7.0",
		    "Authentication required");
	return reply_refuse(re, 503, "5.5.1", "Bad sequence of commands: %s",
	    session_hint(s, verb));
}

static bool
session_judge(const struct session *s, const struct command *cmd,
    struct reply *re)
{
	const struct session_rule *rule = &session_rules[cmd->verb];

	if (!session_permit(s, cmd->verb, re))
		return false;
	if (cmd->syntax != COMMAND_OK) {
		smtp_command_refuse(cmd, re);
		return false;
	}
	return rule->check == NULL || rule->check(s, cmd, re);
}

/* -- before each command -------------------------------------------------- */

/*
 * Within a second of a change in the book a session notices that its
 * credential may not be used any more: here, at its next command.
 */
static bool
session_has_standing(struct session *s)
{
	struct desk	     *d = s->desk;
	uint64_t	      version = book_version(d->setup.book);
	enum posting_standing standing;
	struct db_txn	     *t;
	struct err	      e;

	if (!s->is_authenticated || (version == s->book_seen &&
		(s->expires.ms == 0 ||
		    loop_wall(d->setup.loop).ms < s->expires.ms)))
		return true;
	t = book_read(d->setup.book, &e);
	if (t == NULL)
		return true; /* the end of data will tell */
	standing = posting_check_standing(d, t, s->account, s->user,
	    s->key_id);
	book_end(t);
	if (standing == STANDING_OK) {
		s->book_seen = version;
		session_remember_expiry(s, d->credential, s->key_id);
	}
	return standing != STANDING_REVOKED;
}

/* A connection is used for so many messages and so long. */
static bool
session_is_worn(const struct session *s)
{
	const struct conf *c = session_conf(s);
	int64_t		   age;

	if (s->state != SESSION_IDLE && s->state != SESSION_READY &&
	    s->state != SESSION_CLEAR && s->state != SESSION_NEW)
		return false;
	age = loop_now(s->desk->setup.loop).ms - s->began.ms;
	return (c->smtp.max_messages_per_connection > 0 &&
		   s->messages >= c->smtp.max_messages_per_connection) ||
	    (c->smtp.max_connection_age_ms > 0 &&
		age >= c->smtp.max_connection_age_ms);
}

/* A refused RCPT counts by itself; that there are too many of them for one
 * message is no fault of a client, which sends the rest in another. */
static void
session_refuse_rcpt(struct session *s, const struct reply *re)
{
	s->rcpt_tried++;
	if (re->code != 452 &&
	    ++s->rcpt_errors > session_conf(s)->smtp.max_rcpt_errors)
		session_bye(s, 421, "4.7.0", "Too many errors", "error");
	else
		session_reply(s, re);
}

/*
 * Who has logged in has a name to look for, and only so many errors; of others
 * the line at the end of the session tells enough.  Lack of room and of quota
 * is no error of his.
 */
static void
session_log_refusal(const struct session *s, const struct reply *re)
{
	char quoted[LOG_QUOTE_SIZE];

	if (!s->is_authenticated || session_is_our_trouble(re))
		return;
	log_info("command-refused", "sid=%s account=%s user=%s command=%s "
	    "code=%u reply=%s", s->sid, s->account, s->user,
	    desk_command_to_text(s->command), re->code,
	    log_quote(bytes_of(re->text), quoted));
}

static void
session_refuse_command(struct session *s, const struct command *cmd,
    const struct reply *re)
{
	const struct session_rule *rule = &session_rules[cmd->verb];

	session_log_refusal(s, re);
	if (cmd->verb == VERB_MAIL && re->code == 454)
		session_count_overload(s);
	if (cmd->verb == VERB_BDAT) {
		session_begin_chunk(s, cmd, re); /* its octets come anyway */
		return;
	}
	if (cmd->verb == VERB_RCPT && (s->state == SESSION_MAIL ||
		s->state == SESSION_RCPT || s->state == SESSION_INTAKE))
		session_refuse_rcpt(s, re);
	else if (session_is_our_trouble(re))
		session_reply(s, re);
	else
		session_refuse(s, re);
	/* content that was pipelined behind a refused DATA is no command */
	if (rule->ends_group && cmd->verb == VERB_DATA &&
	    s->state != SESSION_CLOSED && stream_peek(s->stream).n > 0)
		session_bye(s, 421, "4.7.0", "Protocol error", "error");
}

void
session_obey(struct session *s, const struct command *cmd)
{
	struct reply re;

	s->command = cmd->verb <= VERB_QUIT ? cmd->verb : VERB_UNKNOWN;
	if (!session_has_standing(s)) {
		session_bye(s, 421, "4.7.0", "Credentials revoked", "limit");
		return;
	}
	if (cmd->verb != VERB_QUIT && session_is_worn(s)) {
		session_bye(s, 421, "4.3.2",
		    "Connection limit reached, please reconnect", "limit");
		return;
	}
	if (session_judge(s, cmd, &re))
		session_rules[cmd->verb].act(s, cmd);
	else
		session_refuse_command(s, cmd, &re);
}
