/* SPDX-License-Identifier: ISC */
/*
 * session.h - SMTP server: one conversation.  session.c has the life, lines
 * and time, session_command.c the verbs, session_auth.c the login,
 * session_data.c the content.  For src/submission only.
 *
 * Use:    session_begin(&place, fd) for an accepted client; from then on it
 *         lives by its stream's callbacks.
 * Owner:  itself; session_close() detaches everything, the storage goes at
 *         the end of the pass.
 * Thread: the desk's loop.
 * Fails:  by replies and by closing the connection.
 */
#ifndef SUBMISSION_SESSION_H
#define SUBMISSION_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/thread.h"
#include "mail/message.h"
#include "mail/smtp.h"
#include "net/stream.h"
#include "registry/conf.h"
#include "registry/credential.h"
#include "registry/ledger.h"

struct desk;
struct desk_rules;
struct posting;
struct receive;

enum session_state {
	SESSION_GREETING, /* nothing said yet */
	SESSION_TLS,	  /* handshake */
	SESSION_NEW,	  /* no EHLO yet, or none since TLS began */
	SESSION_CLEAR,	  /* EHLO given, not protected */
	SESSION_READY,	  /* EHLO given, protected, no login */
	SESSION_AUTH,	  /* a line of an AUTH exchange is expected */
	SESSION_DELAY,	  /* a failed AUTH is answered late */
	SESSION_IDLE,	  /* logged in, no transaction */
	SESSION_MAIL,
	SESSION_RCPT,
	SESSION_DATA,	/* between 354 and end of data */
	SESSION_BDAT,	/* a chunk was taken, LAST not seen */
	SESSION_CHUNK,	/* octets of BDAT */
	SESSION_INTAKE, /* MAIL without login, on an intake listener */
	SESSION_SETTLE, /* a posting is under way */
	SESSION_CLOSED
};
const char *session_state_to_text(enum session_state s);

/* Where a client came in, and what the listener counted for it. */
enum {
	SESSION_SID_SIZE = 21,
	SESSION_IP_KEY_SIZE = 64,
	/* input that is kept before login, and later; the longest line fits */
	SESSION_PREAUTH_INPUT_MAX = 16 * 1024,
	SESSION_INPUT_MAX = 64 * 1024
};
struct session_place {
	struct desk *desk;
	size_t	     listener; /* index in conf->listeners */
	bool	     is_trusted;
	bool	     is_unix;
	enum turn_rank rank; /* of the address, without EHLO */
	char	     ip_key[SESSION_IP_KEY_SIZE]; /* IPv4, or IPv6 /64 */
};

enum session_auth_step { AUTH_PLAIN, AUTH_USER, AUTH_PASSWORD };
enum { AUTH_USER_MAX = 512 };

struct session {
	struct session	     *next, **link;
	struct desk	     *desk;
	struct desk_rules    *rules;
	struct session_place  place;
	const struct conf_listener *listener; /* of rules */
	struct stream	     *stream;
	enum session_state    state;
	char		      sid[SESSION_SID_SIZE];

	/* turns and time */
	bool	     in_turn, is_deferred;
	struct turn  turn; /* to go on, after a full one */
	struct timer clock; /* the deadline of the state */
	int64_t	     deadline_ms, armed_ms; /* 0 = none */
	struct timer wait;  /* greeting, late answer, bandwidth */
	struct mono  began;
	bool	     skipping; /* a line over the limit, up to its end */
	bool	     skips_auth;

	/* what was said */
	struct stream_tls tls;
	bool	    has_looked;	 /* for input before the greeting */
	bool	    has_greeted; /* a first line was read */
	bool	    is_preauth;	 /* counted as such */
	bool	    is_authenticated;
	struct buf  ehlo;
	unsigned    command; /* that is being answered (desk_private.h) */
	char	    account[ACCOUNT_ID_SIZE];
	struct ledger_page *page; /* of the account; NULL before AUTH */
	char	    user[CREDENTIAL_NAME_SIZE];
	char	    key_id[CREDENTIAL_KEY_SIZE];
	char	    login_key[CREDENTIAL_NAME_SIZE + ACCOUNT_ID_SIZE + 8];
	uint64_t    size_max;
	unsigned    rcpt_max;
	uint64_t    book_seen; /* book_version() at the last look */
	struct wall expires;   /* of key or credential; 0 = never */
	const char *local_sender; /* of the local block, or NULL */

	/* AUTH exchange */
	enum session_auth_step auth_step;
	char		       auth_user[AUTH_USER_MAX];
	size_t		       auth_user_n;
	unsigned	       auth_failures;
	struct reply	       late; /* sent when the delay is over */

	/* transaction */
	struct message *message;
	struct receive *receive;
	struct posting *posting;
	unsigned	rcpt_tried;
	bool		rcpt_over; /* mode reject: more than the limit */
	uint64_t	chunk_left;
	bool		chunk_last;
	struct reply	chunk_reply; /* code != 0: the chunk is discarded */
	uint64_t	chunk_size;
	enum session_state chunk_back; /* state after a discarded chunk */
	int64_t		data_until_ms; /* smtp.timeout_data_total */
	int64_t		paused_ms;     /* since when; 0 = is not */
	uint64_t	large_owed;    /* octets not yet paid for */

	/* counts */
	unsigned commands_preauth, errors, rcpt_errors;
	uint64_t octets_preauth;
	unsigned messages, recipients;
	const char *end_reason;
};

void session_begin(const struct session_place *p, int fd);
/* Shutdown: 421 unless a transaction is under way. */
void session_shut(struct session *s);
/* The grace is over: 421, or without a word inside data. */
void session_cut(struct session *s);

/* -- for the session_*.c files -------------------------------------------- */

void session_enter(struct session *s, enum session_state to);
void session_close(struct session *s, const char *reason);
/* Says something and goes. */
void session_bye(struct session *s, unsigned code, const char *enhanced,
    const char *text, const char *reason);
/* A reply as it is; errors are counted by session_refuse() only. */
void session_reply(struct session *s, const struct reply *re);
void session_say(struct session *s, unsigned code, const char *enhanced,
    const char *text);
void session_write(struct session *s, struct bytes line);
void session_refuse(struct session *s, const struct reply *re);
/* A message that was not taken in, on the page of its account. */
void session_count(struct session *s, enum ledger_result r);
/* Lack of room, quota, failure: no error of the client, and not counted. */
bool session_is_our_trouble(const struct reply *re);
void session_turn(struct session *s); /* goes on with what is there */
/* The handshake, when its turn has come. */
void session_begin_tls(struct session *s, enum turn_rank rank);
void session_arm(struct session *s);  /* deadline of the state, anew */
/* Where a session without transaction stands. */
enum session_state session_home(const struct session *s);
bool session_is_protected(const struct session *s);
bool session_is_intake(const struct session *s);
/* Logged in, or has sent MAIL to the intake: the limits of strangers are
 * over. */
bool session_has_come_in(const struct session *s);
/* Octets of a message, as they hold for it now. */
uint64_t session_octets_max(const struct session *s);
bool session_has_role(const struct session *s, unsigned role);
const struct conf *session_conf(const struct session *s);
void session_drop_transaction(struct session *s);
/* After a transaction: the next one, or goodbye when shutting down. */
void session_go_home(struct session *s);

/* session_command.c */
void session_obey(struct session *s, const struct command *cmd);

/* session_auth.c */
void session_begin_auth(struct session *s, const struct command *cmd);
void session_take_auth_line(struct session *s, struct bytes line);
void session_on_auth_delay(struct session *s);
bool session_log_in(struct session *s, const struct credential *c,
    const char *key_id);
void session_log_out(struct session *s);
/* Of the credential or the key it came with, whichever is earlier. */
void session_remember_expiry(struct session *s, const struct credential *c,
    const char *key_id);

/* session_data.c */
void session_begin_data(struct session *s);
/* refusal: the chunk is read and thrown away, then answered so */
void session_begin_chunk(struct session *s, const struct command *cmd,
    const struct reply *refusal);
bool session_step_data(struct session *s);
bool session_step_chunk(struct session *s);
void session_on_bandwidth(struct session *s);

#endif
