/* SPDX-License-Identifier: ISC */
/*
 * attempt.h - one try to deliver envelopes of one message, and how it ended.
 *
 * Use:    egress makes an attempt, a transport (or the simulator) carries it
 *         and fills the result of each envelope, outcome.c turns results
 *         into changes.
 * Owner:  egress while waiting, the transport while travelling; freed by
 *         attempt_free() when the receipt of its change has come.
 * Thread: the delivery loop's.
 * Fails:  every way of ending is a value of enum result_kind.
 */
#ifndef DELIVERY_ATTEMPT_H
#define DELIVERY_ATTEMPT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/mem.h"
#include "mail/classify.h"
#include "store/spool.h"

/* How far it came when nobody answered, or what was answered. */
enum result_kind {
	RESULT_NONE,	     /* not tried yet */
	RESULT_REPLY,	     /* code, enhanced and text are the receiver's */
	RESULT_CONNECT,	     /* refused, unreachable, time-out: 4.4.1 */
	RESULT_TIMEOUT,	     /* inside a dialogue: 4.4.2 */
	RESULT_LOST,	     /* connection lost before the final dot: 4.4.2 */
	RESULT_UNSURE,	     /* lost or timed out after the final dot */
	RESULT_PROTOCOL,     /* no reply that could be read */
	RESULT_TLS_MISSING,  /* demanded, not offered */
	RESULT_TLS_FAILED,   /* demanded, handshake or certificate: 4.7.5 */
	RESULT_TOO_LARGE,    /* announced SIZE is smaller: 5.3.4 */
	RESULT_NOT_8BIT,     /* delivery.eightbit = bounce: 5.6.3 */
	RESULT_NULL_MX,	     /* 5.1.10 */
	RESULT_LOOP,	     /* 5.4.6 */
	RESULT_NXDOMAIN,     /* retried 12 h, then 5.1.2 */
	RESULT_NO_ADDRESS,   /* the same, then 5.4.4 */
	RESULT_DNS,	     /* SERVFAIL and the like: 4.4.3 */
	RESULT_RESOLVER,     /* own resolver unreachable: 4.3.0 */
	RESULT_LOCAL,	     /* store or descriptors: 4.3.0, InternalFailure */
	RESULT_CANCELLED     /* shut down before it began: nothing happened */
};
const char *result_kind_to_text(enum result_kind k);

/* More than EVENT_REPLY_MAX: a record shows that a reply was cut. */
enum { RESULT_TEXT_MAX = 2304, RESULT_HOST_MAX = 256 };
struct result {
	enum result_kind    kind;
	enum classify_stage stage;
	unsigned	    code;	  /* of REPLY */
	char		    enhanced[12]; /* "" = none */
	/* The reply as events show it: code, text, lines joined; or OpenSSL's
	 * or the system's words for the log. */
	char		    text[RESULT_TEXT_MAX];
	char		    remote_host[RESULT_HOST_MAX];
	char		    remote_ip[64]; /* "" = never connected */
	char		    local_ip[64];
	char		    tls_version[12]; /* "" = clear */
	bool		    tls_verified;
	bool		    knows_dsn; /* it tells by itself what was asked */
	/* a 5xx of one host (greeting, EHLO) while others did not say so */
	bool		    not_final;
	int64_t		    dns_ms, connect_ms, talk_ms;
};

/* What a message demands of the connection, ascending. */
enum tls_demand { TLS_NEVER, TLS_TRY, TLS_REQUIRE, TLS_VERIFY };

struct attempt_envelope {
	unsigned      n; /* recipient number */
	struct bytes  address;
	struct result result;
	bool	      accepted; /* RCPT was, in this transaction */
	uint8_t	      notify;	/* as in struct recipient_row */
	struct bytes  orcpt;
	/* as the row had it */
	unsigned      attempts;
	struct wall   expires, first_attempt;
	uint32_t      flags;
};
struct attempt {
	struct arena	   *arena; /* holds the texts below */
	struct msgid	    id;
	struct message_row  message; /* content, sizes, 8bit, system */
	struct wall	    accepted; /* from the id */
	struct bytes	    sender;   /* outgoing envelope, "" = null */
	enum tls_demand	    tls;
	unsigned	    rcpts, datas; /* commands said */
	struct attempt_envelope *envelopes;
	unsigned	    count;    /* 1, or up to 100 with verp = message */
	struct mono	    begun;
	struct wall	    queued;   /* when it became due: queue= */
	/* X-SES-Outgoing line that is sent before the content; "" = none */
	struct bytes	    prefix;
	void		   *owner;    /* of egress */
};
struct attempt *attempt_new(void);
void attempt_free(struct attempt *a); /* NULL is allowed */

#endif
