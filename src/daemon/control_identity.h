/* SPDX-License-Identifier: ISC */
/*
 * control_identity.h - what the commands of identities and of their DKIM
 * keys share.
 * Use:    w = identity_work_new(q); then in a transaction
 *         identity_work_load(), a command of registry/identity_check.h,
 *         identity_work_store(); afterwards identity_work_finish(), which
 *         has the keys made that the command asks for, and answers.
 * Owner:  the work belongs to the request (its state).
 * Thread: as the request.
 * Fails:  -1 and q->err.
 */
#ifndef DAEMON_CONTROL_IDENTITY_H
#define DAEMON_CONTROL_IDENTITY_H

#include "daemon/control_private.h"
#include "registry/identity_check.h"
#include "registry/notification.h"

struct identity_work {
	char			 name[IDENTITY_NAME_SIZE];
	struct identity		 i;
	struct identity_keys	 ks;
	struct identity_keys	 fresh; /* made or imported for this command */
	unsigned		 wanted; /* of fresh */
	unsigned		 bits;
	enum dkim_switch	 dual;
	struct signing_choice	 choice;
	struct identity_decision d;
	unsigned		 made; /* of d.make */
	char			 token[IDENTITY_TOKEN_SIZE];
	struct notification	 notification;
	bool			 is_new_topic[NOTIFICATION_KINDS];
	request_fn		*next; /* when fresh is complete */
	bool			 show; /* the answer has the records */
};
/* NULL = refused (q->err): the argument "name" is not one. */
struct identity_work *identity_work_new(struct request *q);
int identity_work_load(struct request *q, struct db_txn *t);
int identity_work_store(struct request *q, struct db_txn *t);
void identity_work_finish(struct request *q);
void identity_input(const struct request *q, struct identity_check_input *in);

/* Keys by the keys process; they end the request when that fails. */
void identity_make_fresh(struct request *q, unsigned count, unsigned bits,
    request_fn *next);
void identity_import_fresh(struct request *q, request_fn *next);
/* --bits: 1, 0, -1; *bits has the default */
int arg_bits(struct request *q, unsigned *bits);

/* control_notification.c: to which topics its events are told, into the
 * answer; 0 / -1 */
int identity_show_notifications(struct request *q, struct db_txn *t,
    const struct identity *i);

/* -- as JSON --------------------------------------------------------------- */
json_t *identity_records_json(struct request *q,
    const struct identity *i, const struct identity_keys *ks);
json_t *identity_dkim_json(const struct request *q, const struct identity *i,
    const struct identity_keys *ks);
/* "v=DKIM1; k=rsa; p=..." */
json_t *dkim_record_json(const struct dkim_key *k);
/* "rsa", "ed25519" */
const char *dkim_key_kind(const struct dkim_key *k);
bool identity_has_rsa(const struct identity_keys *ks);
/* That many receivers cannot verify an own Ed25519 key alone (dkim.md 6.1). */
void identity_warn_alone(struct request *q, const struct identity_keys *ks);
/* control_mail_from.c: MailFromAttributes, the records to publish, and the
 * value of the SPF record: "v=spf1 include:spf.relay.example ~all" */
json_t *mail_from_json(const struct identity *i);
void mail_from_add_records(struct request *q, const struct identity *i,
    json_t *list);
json_t *mail_from_spf_json(struct request *q);

#endif
