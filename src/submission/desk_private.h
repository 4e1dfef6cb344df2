/* SPDX-License-Identifier: ISC */
/*
 * desk_private.h - what the parts of a desk share; for src/submission only.
 *
 * Use:    a part takes struct desk *; rules are held by desk_rules_ref() for
 *         as long as a session or a posting lives.
 * Owner:  desk.c makes and frees the desk; lists and tables in it hold what
 *         others own.
 * Thread: the desk's loop.
 * Fails:  -
 */
#ifndef SUBMISSION_DESK_PRIVATE_H
#define SUBMISSION_DESK_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/table.h"
#include "base/turns.h"
#include "mail/smtp.h"
#include "registry/credential.h"
#include "submission/desk.h"
#include "submission/signer.h"

struct ip_filter_list;
struct listener;
struct newcomer;
struct permissions;
struct posting;
struct receive;
struct session;

/* The configuration a session began with.  Counted, on this loop only. */
struct desk_rules {
	unsigned	 refs;
	struct conf	*conf;
	struct desk_tls *tls;
};
struct desk_rules *desk_rules_ref(struct desk_rules *r);
void desk_rules_unref(struct desk_rules *r); /* NULL is allowed */

enum {
	DESK_KEY_MAX = 200	    /* a tally key with NUL */
};

/* Who a reply answers: an enum verb up to QUIT, VERB_UNKNOWN for others. */
enum { DESK_CONNECT = VERB_QUIT + 1, DESK_COMMANDS };

struct desk {
	struct desk_setup  setup; /* pointers of the wiring; conf, tls: ours */
	struct desk_rules *rules; /* of sessions that begin now */
	struct signer	  *signer;
	unsigned char	   feedback_key[32];

	struct ip_filter_list *filters; /* of clients, as last read */
	uint64_t	 filters_version; /* book_version() then */
	struct turns	*turns;	    /* handshakes, sessions to begin */
	struct listener *listeners; /* linked */
	struct newcomer *newcomers; /* linked; listener.c */
	struct session	*sessions;  /* linked */
	size_t		 session_count;
	struct posting	*postings; /* linked */
	size_t		 posting_count;

	/* late receipts find their asker here, by ticket, or nobody */
	uint64_t      last_ticket;
	struct table *stages; /* struct receive */
	size_t	      stage_count; /* receipts to come, wanted or not */

	/* read anew inside each callback that needs them; too big for a
	 * session or a stack that is deep already */
	struct credential *credential;
	struct account	  *account;
	struct permissions *permissions; /* documents that were read */
	struct buf	   line; /* a reply on its way to the stream */

	struct meter (*replies)[DESK_CODE_END - DESK_CODE_MIN]; /* by command */

	bool	     is_shutting;
	struct timer grace;
	loop_fn	    *on_idle;
	void	    *on_idle_arg;
};

/* A number that no other asker of this desk has or had. */
uint64_t desk_ticket(struct desk *d);
bool desk_ticket_put(struct table *t, uint64_t ticket, void *asker);
void *desk_ticket_take(struct table *t, uint64_t ticket);
/* line: a whole reply, of one or more lines. */
void desk_count_reply(struct desk *d, unsigned command, struct bytes line);
/* A session or posting has gone: perhaps the desk is idle now. */
void desk_look_idle(struct desk *d);
void desk_warn(struct desk *d, const char *account, const char *what,
    const char *text);
/* Content in memory: counted in all desks' shared tally. */
void desk_memory_add(struct desk *d, int64_t octets);
int64_t desk_memory(struct desk *d);
/*
 * More than smtp.max_memory, or the system gives no more (base/reserve.h):
 * MAIL is answered 454.  From half of it on messages are staged early, so
 * that each session holds about one chunk and can always go on.
 */
bool desk_is_overloaded(struct desk *d, const struct conf *c);
bool desk_is_half_loaded(struct desk *d, const struct conf *c);

#endif
