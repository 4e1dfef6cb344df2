/* SPDX-License-Identifier: ISC */
/*
 * message.h - what is carried: a message, its envelopes, its content.
 *
 * Use:    m = message_new(budget); the session fills sender and envelopes,
 *         receive.c the content; receive_close() makes it final: from then
 *         on it is const until it is freed.
 * Owner:  the session, then lent to the spool writer until the receipt;
 *         message_free() frees the arena and the chunks: everything.
 * Thread: the owner's; one at a time.
 * Fails:  adding says NULL/false when the budget is used up (452).
 */
#ifndef MAIL_MESSAGE_H
#define MAIL_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/mem.h"
#include "mail/msgid.h"

enum {
	ACCOUNT_ID_SIZE = 13, /* 12 digits and a NUL */
	/* one stored page less LMDB's overflow header, see architecture.md 5 */
	CONTENT_PIECE = 4080,
	CHUNK_OCTETS = 16 * CONTENT_PIECE,
	MESSAGE_MEMORY_MAX = 256 * 1024 /* beyond it, chunks are staged */
};

/* One recipient of one message. */
struct envelope {
	unsigned     index;    /* 1 ... in the order of RCPT; VERP number */
	struct bytes address;  /* normal form, as it will be sent */
	struct bytes domain;   /* slice of address, lower case, A-labels */
	bool	     simulator; /* goes nowhere (simulator.md) */
	/* on a list at acceptance: looked at before DNS (suppression.md 3) */
	bool	     suppressed;
	uint8_t	     notify; /* enum dsn_notify of smtp.h, or-ed; 0 = none */
	struct bytes orcpt;  /* "rfc822;..." in xtext; "" = none */
};

/* A piece of content in memory; all but the last are full. */
struct chunk {
	struct chunk *next;
	size_t	      n;
	size_t	      cap; /* at most CHUNK_OCTETS */
	char	      data[];
};

enum message_class {
	MESSAGE_NORMAL,
	MESSAGE_SYSTEM, /* made by posthorn: no quota, no bounce, 24 h */
	MESSAGE_INTAKE	/* came back: kept and read, never sent */
};

/* Of a configuration set: 16 random octets; all 0 = none.  A set that is made
 * again under the name of a deleted one is another one. */
struct config_set_id {
	unsigned char b[16];
};
bool config_set_id_is_none(const struct config_set_id *id);
bool config_set_id_eq(const struct config_set_id *a,
    const struct config_set_id *b);

enum { POOL_NAME_SIZE = 65 }; /* of source addresses (registry/pool.h) */

/* name -> value; a name may stand several times, values in order */
struct message_tag {
	struct bytes name, value;
};
/* A name or a value: 1 to 256 of A-Z a-z 0-9 - _ (configuration-sets 3.2) */
enum { MESSAGE_TAG_MAX = 256 };
bool message_tag_is_valid(struct bytes s);
bool account_id_is_valid(const char *id); /* 12 digits */

/* For tls_policy: what a configuration set can demand, as a number of
 * delivery's (enum tls_demand of delivery/attempt.h). */
enum { MESSAGE_TLS_CONFIGURED = 0, MESSAGE_TLS_REQUIRE = 2 };

struct message {
	struct arena *arena;

	/* given at the end of data */
	struct msgid id;
	struct wall  accepted;
	struct wall  expires;

	/* who handed it in; texts live in the arena */
	char	     account[ACCOUNT_ID_SIZE];
	struct bytes credential; /* user name; "" for class system */
	struct bytes access_key;
	struct bytes sid;
	struct bytes client_ip;
	struct bytes ehlo;
	struct bytes listener;
	struct bytes tls_version; /* "" = clear */
	enum message_class class;
	uint8_t	     spf; /* INTAKE, of the client: enum spf_result + 1;
			     0 = nobody was asked */

	/* envelope */
	struct bytes	 sender; /* client MAIL FROM, normal form; "" = null */
	uint8_t		 ret;	/* enum dsn_return of smtp.h */
	struct bytes	 envid; /* xtext; "" = none */
	bool		 declared_8bit; /* BODY=8BITMIME */
	bool		 has_8bit;
	bool		 client_signed;
	bool		 bad_content; /* accepted, and rejected at once */
	bool		 keeps_id; /* goes out with the client's Message-ID */
	struct envelope *envelopes;
	unsigned	 envelope_count, envelope_cap;

	/* decided by admission */
	struct bytes	    identity; /* name of the settings identity */
	struct bytes	    identity_account; /* owner, 12 digits */
	struct bytes	    from_domain; /* of the first From mailbox */
	struct bytes	    forward; /* feedback address; "" = events only */
	struct bytes	    config_set; /* "" = none */
	struct config_set_id config_set_id;
	struct bytes	    pool; /* of source addresses; "" = none named */
	int64_t		    max_delivery_ms; /* 0 = as configured */
	struct bytes	    mail_from_domain; /* of the outgoing envelope */
	uint8_t		    tls_policy; /* MESSAGE_TLS_* */
	/* what .suppressed of the envelopes rests on; 0 = nothing */
	uint64_t	    lists_seen;
	struct message_tag *tags;
	unsigned	    tag_count;

	/* content */
	struct bytes  snapshot; /* header section as handed in, encoded by
				   event_snapshot_headers() */
	struct bytes  head;	/* final header block with its empty line */
	struct chunk *body_first, *body_last; /* what is in memory */
	uint64_t      body_octets;  /* all of the body, staged part too */
	uint64_t      body_staged;  /* octets already laid down */
	uint64_t      content;	    /* content id when anything was staged */
};

struct message *message_new(size_t arena_budget);
void message_free(struct message *m); /* NULL is allowed */
/* NULL: out of budget.  The address is copied. */
struct envelope *message_add_envelope(struct message *m, struct bytes address);
/* Local part equal to the letter, domain without case (5.3). */
struct envelope *message_find_envelope(const struct message *m,
    struct bytes address);
bool message_set(struct message *m, struct bytes *field, struct bytes value);
bool message_add_tag(struct message *m, struct bytes name, struct bytes value);
/* Appends to the body in memory; false = no memory. */
bool message_add_body(struct message *m, struct bytes b);
/* Takes the full chunks off the front (for staging); NULL = none.  When they
 * are laid down the caller adds their octets to body_staged. */
struct chunk *message_take_full(struct message *m);
void chunk_free_all(struct chunk *c);
size_t message_memory(const struct message *m); /* octets of chunks held */
/* Octets that will be sent: head and body. */
uint64_t message_octets(const struct message *m);
unsigned message_simulator_count(const struct message *m);

#endif
