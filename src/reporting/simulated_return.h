/* SPDX-License-Identifier: ISC */
/*
 * simulated_return.h - what recipients of the simulator send back after their
 * delivery: automatic replies, complaints, late bounces (simulator.md 2, 3).
 *
 * Use:    kind = simulated_return_of(ev); when it is not NONE,
 *         simulated_return_begin(s, &order): done() comes after the delay,
 *         when the mail lies in the spool as if it had come by the intake.
 * Owner:  the asker; one order at a time, its texts are copied.
 * Thread: the loop's; _of() and _write() any, pure.
 * Fails:  done() says so; the asker shows the event again.
 *
 * The order's cursor moves in the same transaction: one mail for each
 * delivery, also across a crash.
 */
#ifndef REPORTING_SIMULATED_RETURN_H
#define REPORTING_SIMULATED_RETURN_H

#include "mail/event.h"
#include "registry/conf.h"
#include "store/spool.h"

struct simulated_return;

enum simulated_kind {
	SIMULATED_NONE,
	SIMULATED_AUTOREPLY, /* ooto@ */
	SIMULATED_COMPLAINT,
	SIMULATED_NOT_SPAM,
	SIMULATED_BOUNCE     /* asyncbounce@ */
};
/* Of a Delivery to the simulator; else NONE. */
enum simulated_kind simulated_return_of(const struct event *ev);

struct simulated_order {
	enum simulated_kind kind;
	const struct conf  *conf; /* outlives the order */
	const struct mail_row *mail;
	struct bytes	    recipient;
	struct bytes	    headers; /* section of the message as sent */
	struct bytes	    sent_id; /* its Message-ID, with <> */
	struct wall	    delivered;
	const char	   *cursor;
	uint64_t	    cursor_to;
};
struct simulated_setup {
	struct loop  *loop;
	struct spool *spool;
	void (*done)(void *arg, enum receipt_result result);
	void *arg;
};
struct simulated_return *simulated_return_new(const struct simulated_setup *s);
void simulated_return_free(struct simulated_return *s); /* NULL is allowed */
/* false = it cannot be made; nothing will come. */
bool simulated_return_begin(struct simulated_return *s,
    const struct simulated_order *o);
/* What has only waited for its time is let go; true = done() is not to come */
bool simulated_return_stop(struct simulated_return *s);

/* The mail; token: of its boundary.  false = no room. */
bool simulated_return_write(const struct simulated_order *o,
    struct bytes return_path, struct wall now, struct buf *out);

#endif
