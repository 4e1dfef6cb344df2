/* SPDX-License-Identifier: ISC */
/* transport_private.h - shared by transport.c and transaction.c alone. */
#ifndef DELIVERY_TRANSPORT_PRIVATE_H
#define DELIVERY_TRANSPORT_PRIVATE_H

#include "delivery/transport.h"
#include "mail/framing.h"
#include "mail/smtp.h"
#include "net/stream.h"

enum transport_state {
	TRANSPORT_CONNECT,
	TRANSPORT_GREETING,
	TRANSPORT_EHLO,
	TRANSPORT_HELO,
	TRANSPORT_STARTTLS,
	TRANSPORT_HANDSHAKE,
	TRANSPORT_READY,
	TRANSPORT_ENVELOPE,
	TRANSPORT_CONTENT,
	TRANSPORT_DOT,
	TRANSPORT_GONE
};

enum transport_verb { VERB_SENT_RSET, VERB_SENT_MAIL, VERB_SENT_RCPT,
	VERB_SENT_DATA, VERB_SENT_BDAT };
enum { TRANSPORT_COMMANDS_MAX = 128, TRANSPORT_HOST_SIZE = 256 };

struct transport_command {
	enum transport_verb verb;
	unsigned	    envelope; /* of RCPT */
};

struct transport {
	struct loop		*loop;
	struct spool		*spool;
	struct tls_client	*tls;
	struct stream		*stream;
	struct reply_reader	 reader;
	struct capabilities	 caps;
	struct transport_events	 ev;
	void			*arg;
	enum transport_state	 state;
	enum tls_demand		 demand;
	bool			 no_starttls, use_bdat, bounce_8bit;
	char			 host[TRANSPORT_HOST_SIZE];
	char			 ehlo[TRANSPORT_HOST_SIZE];
	struct stream_tls	 session; /* after a handshake */
	char			 remote_ip[64], local_ip[64];
	struct mono		 opened, connected;
	unsigned		 count; /* transactions begun */
	bool			 need_rset;

	/* the transaction: commands, next to send, next to be answered */
	struct attempt		*a;
	struct mono		 talk_began;
	struct transport_command commands[TRANSPORT_COMMANDS_MAX];
	unsigned		 command_count, sent, answered;
	unsigned		 accepted; /* recipients */
	bool			 refused;  /* MAIL was */
	bool			 all_sent; /* content and its end are queued */
	bool			 bdat;
	uint64_t		 offset; /* of the content read so far */
	struct stuffing		 stuffing;
};

/* transport.c */
void transport_enter(struct transport *t, enum transport_state s);
/* In ENVELOPE: each reply has its own time, from the one before it on. */
void transport_await(struct transport *t);
/* In READY: tells the owner, or ends a peer that has spoken already. */
void transport_become_ready(struct transport *t);
/* Ends the connection; an attempt under way gets its results first. */
void transport_end(struct transport *t, const struct result *r,
    bool handshake);
void transport_fill(const struct transport *t, struct result *r,
    enum result_kind k, enum classify_stage stage);
void transport_fill_reply(struct transport *t, struct result *r,
    enum classify_stage stage);
bool transport_say(struct transport *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* transaction.c */
void transaction_begin(struct transport *t);
/* A reply in ENVELOPE, CONTENT or DOT. */
void transaction_on_reply(struct transport *t);
void transaction_on_drained(struct transport *t);
/* Where the transaction stands, for results of lost connections. */
enum classify_stage transaction_stage(const struct transport *t);
/* All envelopes without a result get this one. */
void transaction_settle(struct transport *t, const struct result *r);

#endif
