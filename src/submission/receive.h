/* SPDX-License-Identifier: ISC */
/*
 * receive.h - from DATA to a closed message: framing, header section, MIME
 * scan, body hash and chunks while the content streams in; its staging when
 * it is big; at the end the checks on form and the final header block.
 *
 * Use:    r = receive_new(&setup, &e);
 *         used = receive_feed(r, input);      again and again, until
 *         receive_has_ended(r) (DATA), or receive_end(r) after BDAT LAST;
 *         when receive_may_read(r) is false, stop reading until on_room();
 *         receive_is_settled(r) (else wait for on_room()), then the checks
 *         in the order of smtp-interface 8, then receive_close().
 * Owner:  the asker; receive_free() discards what was staged unless
 *         receive_release() said that the message was handed over.
 *         message, desk and conf are lent for its life.
 * Thread: the desk's loop.
 * Fails:  what is wrong with the content is a reply of the checks; the rest
 *         of the content is then read and thrown away.
 */
#ifndef SUBMISSION_RECEIVE_H
#define SUBMISSION_RECEIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "mail/framing.h"
#include "mail/header.h"
#include "mail/message.h"
#include "mail/smtp.h"
#include "registry/account.h"
#include "registry/conf.h"

struct desk;
struct receive;

struct receive_setup {
	struct desk	   *desk;
	const struct conf  *conf;
	struct message	   *message;
	enum framing_kind   kind;
	uint64_t	    size_max; /* of conf, or less of the credential */
	bool		    lenient;  /* a malformed line begins the body */
	const char	   *blocked;  /* the account's list; "" = conf's */
	bool		    raw; /* kept as it comes: nothing is looked for
				    in it (intake) */
	const char	   *local_sender; /* stands for the addresses of this
					     host in From, Sender, Reply-To;
					     NULL = they stay */
	void (*on_room)(void *arg);
	void *arg;
};
struct receive *receive_new(const struct receive_setup *s, struct err *e);
void receive_free(struct receive *r); /* NULL is allowed */
/* Another asker waits now; NULL = nobody. */
void receive_hand_over(struct receive *r, void (*on_room)(void *arg),
    void *arg);
/* The message is the spool's now, its staged content with it. */
void receive_release(struct receive *r);

/* Octets used; less than given only when data ended. */
size_t receive_feed(struct receive *r, struct bytes in);
void receive_end(struct receive *r); /* no more comes */
bool receive_has_ended(const struct receive *r);
bool receive_may_read(const struct receive *r);
bool receive_is_settled(const struct receive *r);
uint64_t receive_octets(const struct receive *r); /* so far, as counted */
bool receive_is_too_long(const struct receive *r);
bool receive_is_flooded(const struct receive *r); /* over twice the limit */

/* -- checks: true = passed; else the reply -------------------------------- */
bool receive_check_content(struct receive *r, struct reply *re); /* step 1 */
/* RAW: all there is to check; "Received" fields in it are counted. */
bool receive_check_raw(struct receive *r, unsigned hops_max,
    struct reply *re);
struct bytes receive_raw_head(const struct receive *r); /* as it came */
bool receive_check_header(struct receive *r, struct reply *re);	 /* 3, 4 */
bool receive_is_readable(const struct receive *r, struct reply *re);
bool receive_check_parts(struct receive *r, struct reply *re);	 /* 11 */
/* After receive_check_header(): as received, until receive_close(). */
const struct header *receive_header(const struct receive *r);
struct arena *receive_arena(struct receive *r);
/* message->snapshot, step 6; false = no memory. */
bool receive_snapshot(struct receive *r);

/* -- closing -------------------------------------------------------------- */
struct receive_close {
	const struct conf *conf;
	/* the first that has a rule decides; NULL = none */
	const struct account_overrides *of_credential, *of_account;
	bool	     as_it_is; /* no field is written anew */
	const char  *with; /* of Received: "ESMTPSA", "ESMTPA", "local"; NULL = none */
	struct bytes feedback_id; /* value; "" = none is added */
};
/* Final header block into head (without DKIM-Signature of posthorn). */
bool receive_close(struct receive *r, const struct receive_close *c,
    struct buf *head);
/* The name the client gave, which can hold anything but blanks, for a trace
 * field. */
enum { RECEIVE_EHLO_SIZE = 256 };
void receive_clean_ehlo(struct bytes ehlo, char out[RECEIVE_EHLO_SIZE]);
/* Of the body as it will be sent. */
int receive_body_hash(struct receive *r, unsigned char digest[32],
    struct err *e);

#endif
