/* SPDX-License-Identifier: ISC */
/*
 * webhook.h - one record to one endpoint: looked up, approved, signed, posted
 * (events.md 10.3, 10.4).
 *
 * Use:    w = webhook_new(&setup, &e); t = webhook_post(w, &call); done comes
 *         exactly once, never from inside webhook_post(), unless
 *         webhook_cancel(w, t) was called before.
 * Owner:  a webhook belongs to its maker; a call's destination is copied, its
 *         body has to live until done or the cancel.
 * Thread: the loop's; webhook_sign() and webhook_class_of() are pure.
 * Fails:  in the result, with a reason for the log.
 */
#ifndef REPORTING_WEBHOOK_H
#define REPORTING_WEBHOOK_H

#include "base/thread.h"
#include "net/tls.h"
#include "registry/conf.h"
#include "registry/destination.h"

struct webhook;

struct webhook_setup {
	struct loop	 *loop;
	struct conf	 *conf;	 /* a reference is taken */
	struct tls_trust *trust; /* a reference is taken; NULL: no TLS */
};
struct webhook *webhook_new(const struct webhook_setup *s, struct err *e);
void webhook_free(struct webhook *w); /* NULL is allowed */
/* The one of the loop, for others on it as well; lives as long as w. */
struct resolver *webhook_resolver(struct webhook *w);
/* trust NULL = as it was. */
void webhook_reload(struct webhook *w, struct conf *conf,
    struct tls_trust *trust);

enum webhook_class {
	WEBHOOK_TAKEN,
	WEBHOOK_FAILED, /* again later */
	WEBHOOK_REFUSED, /* the same, and it is counted: 10.5 */
	WEBHOOK_GONE	/* never again */
};
struct webhook_result {
	enum webhook_class class;
	unsigned status;	 /* 0 = there was no answer */
	int64_t	 retry_after_ms; /* at most one hour; -1 = it has not said */
	int64_t	 took_ms;
	char	 reason[200];
};
struct webhook_call {
	const struct destination *destination;
	/* of a subscription: the one that names its topic; NULL = none does */
	const struct destination *via;
	bool	     notification; /* of an identity */
	const struct event_id *event_id;
	const char  *type;     /* "Delivery" */
	unsigned     attempt;  /* from 1 on */
	struct bytes body;
	void (*done)(void *arg, const struct webhook_result *r);
	void	    *arg;
};
uint64_t webhook_post(struct webhook *w, const struct webhook_call *c);
void webhook_cancel(struct webhook *w, uint64_t ticket);

enum webhook_class webhook_class_of(unsigned status);
/* The value of webhook-signature: "v1,..." or two of them. */
bool webhook_sign(const struct destination_webhook *w, struct wall now,
    const char *id, struct bytes body, struct buf *out);

#endif
