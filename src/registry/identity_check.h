/* SPDX-License-Identifier: ISC */
/*
 * identity_check.h - how identities and their DKIM keys move: pure decisions
 * on an identity, its keys, the results of a check and the time (dkim.md 8
 * to 10, identities-and-policies.md 4).
 *
 * Use:    a due identity (identity_each_due):
 *             identity_keys_load(); identity_check_time(&i, &ks, &in, &d);
 *             ask DNS for every key with identity_check_wants(), and for the
 *             token when identity_check_wants_token(); then
 *             identity_check_apply(&i, &ks, &results, &in, &d);
 *             identity_put(), identity_keys_store(); send d.notices, make
 *             d.make with the keys process and add them in a later job by
 *             identity_add_standby().
 *         The commands (verify, rotate, managed, set-key, new-key) work on
 *         the same structs and end the same way.
 * Owner:  plain data, the caller's.  struct identity_keys has 64 KB.
 * Thread: any; nothing is read or written here.
 * Fails:  commands: -1 and *e with code BOOK_*; nothing has changed then.
 * What is still to be made is found from the keys alone, so a key whose
 * making was lost in a crash is asked for again at the next check.
 */
#ifndef REGISTRY_IDENTITY_CHECK_H
#define REGISTRY_IDENTITY_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "registry/identity.h"

struct conf;

/* Time and settings of one decision. */
struct identity_check_input {
	struct wall now;
	int64_t	    recheck_ms;	    /* dkim.recheck_interval */
	int64_t	    mail_from_recheck_ms; /* mail_from.recheck_interval */
	int64_t	    retire_after_ms; /* dkim.retire_after */
	int64_t	    min_visible_ms; /* dkim.min_visible */
	int64_t	    rotate_every_ms; /* dkim.rotate_every; 0 = off */
	bool	    dual_sign; /* dkim.dual_sign */
	double	    jitter; /* -1 ... 1: spreads periodic checks by 10 % */
};

void identity_check_input_init(struct identity_check_input *in,
    const struct conf *c, struct wall now);

enum identity_machine {
	MACHINE_DKIM,	  /* the keys in force */
	MACHINE_PREVIOUS, /* those that sign until the new ones are seen */
	MACHINE_TOKEN,
	MACHINE_LINK,
	MACHINE_MAIL_FROM /* mail-from-spf-dmarc.md 5.3 */
};
/* A change of state that somebody is told about. */
struct identity_notice {
	enum identity_machine machine;
	enum identity_status  from, to;
	struct wall	      deadline; /* of TEMPORARY_FAILURE; else 0 */
	bool		      previous_signs; /* FAILED, the old ones sign */
	/* of the identity as a whole, before and after */
	enum identity_status  whole_from, whole_to;
};
enum {
	IDENTITY_NOTICES_MAX = 5,
	IDENTITY_MAKE_MAX = 6,
	IDENTITY_CONFIRM_MS = 15 * 60 * 1000,
	IDENTITY_GRACE_MS = 72 * 60 * 60 * 1000
};
struct identity_decision {
	struct identity_notice notices[IDENTITY_NOTICES_MAX];
	unsigned	       notice_count;
	struct identity_make { /* keys that are wanted */
		char	 selector[SELECTOR_SIZE]; /* "" = a new one */
		unsigned bits; /* DKIM_ED25519_BITS: such a key */
	} make[IDENTITY_MAKE_MAX];
	unsigned make_count;
	bool	 operator_alarm; /* a slot of our own zone is missing, stale */
	char	 operator_selector[SELECTOR_SIZE];
	bool	 zone_changed;	/* event DKIM Zone Change */
	/* sign from now on; "" = none */
	char	 activated[SELECTOR_SIZE];
	char	 activated_ed25519[SELECTOR_SIZE];
	bool	 confirm; /* a check in 15 min decides */
};
void identity_decision_init(struct identity_decision *d);

/* -- checks --------------------------------------------------------------- */
struct identity_result {
	char		  selector[SELECTOR_SIZE];
	enum dkim_outcome outcome;
	enum identity_error error;
	char		  hint[256];
};
struct identity_results {
	struct identity_result v[IDENTITY_KEYS_MAX];
	unsigned	       n;
	enum dkim_outcome      token; /* DKIM_UNCHECKED = was not asked */
	enum identity_error    token_error;
	enum dkim_outcome      mail_from; /* DKIM_UNCHECKED = was not asked */
	enum identity_error    mail_from_error;
	char		       mail_from_hint[256];
	bool		       only_mail_from; /* nothing else was asked */
};
/* What an answer of DNS means; host_found: the name is there. */
enum identity_error identity_error_of(enum dkim_outcome o, bool host_found);
bool identity_check_wants(const struct identity *i, const struct dkim_key *k);
bool identity_check_wants_token(const struct identity *i);
/* Keys and token, or the MX of the MAIL FROM domain: are they due? */
bool identity_check_keys_due(const struct identity *i, struct wall now);
bool identity_check_mail_from_due(const struct identity *i, struct wall now);
/* Needed for SUCCESS? (else its absence is only a warning; an Ed25519 key
 * beside an RSA key never is) */
bool identity_check_requires(const struct identity *i,
    const struct identity_keys *ks, const struct dkim_key *k);
/* Ask the zone's own servers: not yet verified, or the confirming check. */
bool identity_check_authoritative(const struct identity *i);
bool identity_check_mail_from_authoritative(const struct identity *i);
/* Deadlines, expired links, keys whose time is over. */
void identity_check_time(struct identity *i, struct identity_keys *ks,
    const struct identity_check_input *in, struct identity_decision *d);
void identity_check_apply(struct identity *i, struct identity_keys *ks,
    const struct identity_results *r, const struct identity_check_input *in,
    struct identity_decision *d);
/* Milliseconds to the next regular check; 0 = none is made. */
int64_t identity_check_interval(const struct identity_check_state *s,
    const struct identity_check_input *in);

/* -- commands ------------------------------------------------------------- */
/* identity verify, dkim verify: PENDING again, check at once.  token: the TXT
 * token's machine (makes the token when there is none). */
int identity_verify(struct identity *i, struct identity_keys *ks, bool token,
    const struct identity_check_input *in, struct err *e);
/* How many keys a managed domain starts with; the first is the active one. */
unsigned identity_managed_count(bool cname);
/* A new domain, or one that had an own key: the fresh keys take over as soon
 * as they are seen; what signed before signs meanwhile. */
int identity_use_managed(struct identity *i, struct identity_keys *ks,
    const struct identity_keys *fresh, const struct identity_check_input *in,
    struct err *e);
/* Back to the managed keys that still sign?  Then none have to be made. */
bool identity_can_return(const struct identity *i, bool external);
/* dkim set-key: an Ed25519 key stands beside an RSA key, either of them is
 * replaced by its like; two of them switch dual signing on */
int identity_use_external(struct identity *i, struct identity_keys *ks,
    const struct dkim_key *fresh, const struct identity_check_input *in,
    struct err *e);
/* dkim managed --bits N of a managed domain */
int identity_set_length(struct identity *i, struct identity_keys *ks,
    unsigned bits, const struct identity_check_input *in,
    struct identity_decision *d, struct err *e);
/* dkim dual: Ed25519 as well, or not; INHERIT = as dkim.dual_sign says */
int identity_set_dual(struct identity *i, struct identity_keys *ks,
    enum dkim_switch to, const struct identity_check_input *in,
    struct identity_decision *d, struct err *e);
/* What is to be made now, after identity_use_managed(). */
void identity_want_keys(struct identity *i, struct identity_keys *ks,
    const struct identity_check_input *in, struct identity_decision *d);
/* dkim rotate.  The Ed25519 key goes along when its standby is visible, too,
 * or with force; dkim.rotate_every does the same. */
int identity_rotate(struct identity *i, struct identity_keys *ks, bool force,
    const struct identity_check_input *in, struct identity_decision *d,
    struct err *e);
/* dkim new-key: drops the standby keys, so that others are wanted. */
int identity_new_standby(struct identity *i, struct identity_keys *ks,
    const struct identity_check_input *in, struct identity_decision *d,
    struct err *e);
/* A key that was in d.make has come; false = it is not wanted any more. */
bool identity_add_standby(struct identity *i, struct identity_keys *ks,
    const struct dkim_key *fresh, const struct identity_check_input *in,
    struct identity_decision *d);
/* Names of the managed keys in the operator's zone: "s1.dkim.x, s2.dkim.x". */
char *identity_zone_names(const struct identity_keys *ks, const char *base,
    char *out, size_t size);
/* "RSA_2048_BIT" */
const char *identity_length_to_text(unsigned bits);

#endif
