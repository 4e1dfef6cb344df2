/* SPDX-License-Identifier: ISC */
/*
 * desk.h - where mail is handed in: all that the sessions of one submission
 * loop share, and the door for mail that posthorn makes itself.
 *
 * Use:    d = desk_new(&setup, &e); desk_listen(d, listener, fd, &e);
 *         desk_reload(d, conf, tls) on the desk's loop; desk_shut(d, ...).
 * Owner:  the wiring; desk_free() after the loop was joined.
 * Thread: the loop's, but for desk_post_notice() and the figures: any.
 * Fails:  desk_new() and desk_listen() with *e; later trouble is answered to
 *         the client and logged.
 * Parts:  listener.c accepts and applies per-client limits, session.c holds
 *         the conversation, admission.c decides, receive.c takes the content
 *         and closes the message, signer.c signs, notice.c is the door for
 *         mail without session.
 */
#ifndef SUBMISSION_DESK_H
#define SUBMISSION_DESK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/meter.h"
#include "base/tally.h"
#include "base/thread.h"
#include "net/spf_result.h"
#include "net/tls.h"
#include "registry/book.h"
#include "registry/conf.h"
#include "registry/ledger.h"
#include "store/spool.h"
#include "submission/signer.h"

struct desk;
struct intake_errand;
struct keys_client;

/* TLS contexts of this snapshot: one a listener, in the order of
 * conf->listeners; NULL where no certificate is loaded. Counted as a whole. */
struct desk_tls {
	_Atomic unsigned    refs;
	size_t		    count;
	struct tls_server **v;
};
struct desk_tls *desk_tls_new(size_t count);
struct desk_tls *desk_tls_ref(struct desk_tls *t);
void desk_tls_unref(struct desk_tls *t);

/* Figures of all desks together (events.md 11), shared by the wiring. */
enum { DESK_AUTH_RESULTS = 16, DESK_LISTENERS_MAX = 64 };
enum desk_handshake {
	DESK_TLS_1_2,
	DESK_TLS_1_3,
	DESK_TLS_FAILED, /* or given up */
	DESK_HANDSHAKES
};
enum desk_mechanism { DESK_PLAIN, DESK_LOGIN, DESK_MECHANISMS };
struct desk_meters {
	struct meter connections[DESK_LISTENERS_MAX]; /* open now */
	struct meter connections_total[DESK_LISTENERS_MAX];
	struct meter refused_limit[DESK_LISTENERS_MAX]; /* in place of them */
	struct meter refused_filter[DESK_LISTENERS_MAX];
	struct meter handshakes[DESK_LISTENERS_MAX][DESK_HANDSHAKES];
	/* by enum login_result */
	struct meter auth[DESK_MECHANISMS][DESK_AUTH_RESULTS];
	struct meter dkim_ok[SIGN_ALGORITHMS], dkim_error[SIGN_ALGORITHMS];
	struct meter dkim_disabled, dkim_no_identity;
	struct meter dkim_not_verified, dkim_client;
	struct meter_histogram accept_seconds, sign_seconds;
};
void desk_meters_init(struct desk_meters *m);

/* May this host send for this domain (RFC 7208)?  done(ctx, question) comes
 * on asker, once, where its place is reserved; until then it is lent. */
enum { SENDER_NAME_SIZE = 256, SENDER_LOCAL_SIZE = 65 };
struct sender_question {
	struct loop *asker;
	loop_fn	    *done;
	void	    *ctx;
	char	     ip[64];
	char	     domain[SENDER_NAME_SIZE]; /* "" = null sender: of helo */
	char	     local[SENDER_LOCAL_SIZE];
	char	     helo[SENDER_NAME_SIZE];
	enum spf_result result;
};

struct desk_setup {
	struct loop	   *loop;
	struct spool	   *spool;
	struct book	   *book;
	struct tally	   *tally; /* shared by all desks */
	struct keys_client *keys;  /* of this loop */
	struct conf	   *conf;  /* a reference is taken */
	struct desk_tls	   *tls;   /* a reference is taken */
	struct desk_meters *meters;
	struct ledger	   *ledger; /* the same by account, shared by all */
	/* Warnings that become mail by the reporting loop (quota 80/100 %,
	 * credential attack): posted there; may be NULL. */
	void (*on_warning)(void *arg, const char *account, const char *what,
	    const char *text);
	void *on_warning_arg;
	/* An authenticated key was used (LastUsed, at most once per 60 s). */
	void (*on_used)(void *arg, const char *key_id, const char *ip,
	    const char *listener, struct wall when);
	void *on_used_arg;
	/* false = too many are asked already.  NULL = nobody is asked. */
	bool (*ask_sender)(void *arg, struct sender_question *q);
	void *ask_sender_arg;
};
struct desk *desk_new(const struct desk_setup *s, struct err *e);
void desk_free(struct desk *d);
/* index: place in conf->listeners; fd stays the caller's. */
int desk_listen(struct desk *d, size_t index, int fd, struct err *e);
/* Listens there no more; what was accepted lives on. */
void desk_unlisten(struct desk *d, int fd);
/* Sessions go on under the snapshot they began with (credentials are read
 * anew at each decision). */
void desk_reload(struct desk *d, struct conf *conf, struct desk_tls *tls);
/* Listeners close at once; sessions without transaction get 421; the others
 * may finish within grace_ms; on_idle(arg, NULL) when all have gone.  A second
 * call gives them another time; its on_idle takes the place of the first, and
 * is called at once when they have gone already. */
void desk_shut(struct desk *d, int64_t grace_ms, loop_fn *on_idle, void *arg);
/*
 * Replies so far by command and code.  Each desk counts its own, so that a
 * reply costs a plain addition.  Commands are numbered from 0; their names are
 * "MAIL" ..., "OTHER" for what is none of ours, "CONNECT" for what is said
 * before the first; NULL = there are no more.  Any thread.
 */
enum { DESK_CODE_MIN = 200, DESK_CODE_END = 600 };
uint64_t desk_replies(const struct desk *d, unsigned command, unsigned code);
const char *desk_command_to_text(unsigned command);

/*
 * Key of a client address in the blocks of the tally (tally_fail(),
 * tally_each_block()): "block/192.0.2.1", "block/2001:db8:0:1::/64".
 */
struct sockaddr;
enum { DESK_BLOCK_KEY_SIZE = 64 };
char *desk_block_key(const struct sockaddr *client,
    char out[DESK_BLOCK_KEY_SIZE]);

/*
 * Mail made by posthorn: DSNs, verification mail, notices.  The desk closes,
 * signs and submits it as class system, without session, quota or policy.
 * done(arg, result) comes on asker.  false = the desk's feed is full.
 */
struct notice {
	struct loop *asker;
	void (*done)(void *notice, void *unused); /* frees it */
	char	     account[ACCOUNT_ID_SIZE];	  /* for the log; may be "" */
	char	     to[321];
	struct buf   text; /* header section, empty line, body; CRLF */
	const char  *cursor; /* moved in the same transaction; NULL = none */
	uint64_t     cursor_to;
	/* A copy of what came back; NULL = it is not.  Its fields stay as they
	 * are, and no key signs for a stranger. */
	const struct intake_errand *errand;
	void	    *context;
	enum receipt_result result;
	struct msgid id;
};
bool desk_post_notice(struct desk *d, struct notice *n);

/*
 * posthornctl send: text is a whole message; goes through all checks of a
 * submission with the principal root. done(arg) on asker with the reply.
 * check_only: 250 without an id when it would be taken; nothing is kept.
 */
struct desk_injection {
	struct loop *asker;
	void (*done)(void *injection, void *unused); /* frees it */
	char	     account[ACCOUNT_ID_SIZE];
	char	     from[321];
	char	   (*to)[321];
	unsigned     to_count;
	struct buf   text;
	bool	     check_only;
	void	    *context;
	unsigned     recipients; /* each counted once */
	unsigned     code; /* of the reply */
	char	     reply[513];
};
bool desk_inject(struct desk *d, struct desk_injection *i);

#endif
