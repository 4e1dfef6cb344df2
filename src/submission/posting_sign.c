/* SPDX-License-Identifier: ISC */
/* Part of posting.h: which keys sign, and the signatures (step 14). */
#include <stdio.h>
#include <string.h>

#include "submission/posting_private.h"

/* -- keys ------------------------------------------------------------------ */

static void
posting_set_key(struct posting_key *to, const struct dkim_key *k)
{
	to->signs = true;
	to->ed25519 = k->ed25519;
	snprintf(to->domain, sizeof(to->domain), "%s", k->domain);
	snprintf(to->selector, sizeof(to->selector), "%s", k->selector);
	buf_add(&to->sealed, k->sealed, k->sealed_n);
}

void
posting_set_keys(struct posting *p, const struct signing_keys *k)
{
	posting_set_key(&p->keys[0], &k->key);
	if (k->has_second)
		posting_set_key(&p->keys[1], &k->second);
}

const struct posting_key *
posting_first_key(const struct posting *p)
{
	unsigned i;

	for (i = 0; i < SIGN_KEYS_MAX; i++)
		if (p->keys[i].signs)
			return &p->keys[i];
	return NULL;
}

void
posting_choose_key(struct posting *p, const struct admission *a)
{
	struct desk_meters *m = p->desk->setup.meters;

	switch (a->signing.result) {
	case SIGNING_KEY:
		posting_set_keys(p, &a->signing.keys);
		break;
	case SIGNING_DISABLED:
		meter_add(&m->dkim_disabled, 1);
		break;
	case SIGNING_NO_IDENTITY:
		meter_add(&m->dkim_no_identity, 1);
		break;
	case SIGNING_NOT_VERIFIED:
		meter_add(&m->dkim_not_verified, 1);
		break;
	}
}

void
posting_drop_same_key(struct posting *p, struct posting_key *k)
{
	const struct header *h = receive_header(p->receive);
	struct field	    *f = header_find(h, "DKIM-Signature");
	struct bytes	     d, s;

	for (; k->signs && f != NULL; f = header_next(h, f, "DKIM-Signature"))
		if (header_tag(f->value, "d", &d) &&
		    header_tag(f->value, "s", &s) &&
		    bytes_eq_nocase(d, bytes_of(k->domain)) &&
		    bytes_eq_nocase(s, bytes_of(k->selector))) {
			k->signs = false;
			meter_add(&p->desk->setup.meters->dkim_client, 1);
		}
}

/* -- signatures ------------------------------------------------------------ */

bool
posting_set_head(struct posting *p, struct bytes fields)
{
	char *to = arena_alloc(p->message->arena, fields.n + p->head.n);

	if (to == NULL)
		return false;
	if (fields.n > 0)
		memcpy(to, fields.p, fields.n);
	memcpy(to + fields.n, p->head.p, p->head.n);
	p->message->head = (struct bytes){ to, fields.n + p->head.n };
	return true;
}

void
posting_cannot_sign(struct posting *p, enum sign_algorithm failed,
    const char *reason)
{
	const struct posting_key *k = posting_first_key(p);
	struct reply		  re;

	meter_add(&p->desk->setup.meters->dkim_error[failed], 1);
	log_error("dkim:", "cannot sign sid=%.*s account=%s d=%s s=%s "
	    "reason=\"%s\"", (int)p->message->sid.n, p->message->sid.p,
	    p->account, k != NULL ? k->domain : "-",
	    k != NULL ? k->selector : "-", reason);
	reply_set(&re, 451, "4.3.0", "Temporary service failure");
	posting_refuse(p, &re);
}

static void
posting_on_signed(void *arg, const struct sign_answer *a)
{
	struct posting	   *p = arg;
	struct desk_meters *m = p->desk->setup.meters;
	unsigned	    i;

	p->signing = NULL;
	if (!a->ok) {
		posting_cannot_sign(p, a->failed, a->reason);
		return;
	}
	for (i = 0; i < SIGN_ALGORITHMS; i++)
		meter_add(&m->dkim_ok[i], a->counts[i]);
	meter_observe(&m->sign_seconds,
	    (double)(clock_mono_us() - p->sign_began_us) / 1e6);
	if (posting_set_head(p, a->fields))
		posting_submit(p);
	else
		posting_fail_text(p, "no room for the header block");
}

void
posting_sign(struct posting *p)
{
	unsigned char	    hash[SIGNER_DIGEST];
	struct sign_request r = { .conf = p->rules->conf,
		.when = p->message->accepted, .head = buf_bytes(&p->head),
		.body_hash = hash };
	struct posting_key *k;
	struct err	    e;
	unsigned	    i;

	for (i = 0; i < SIGN_KEYS_MAX; i++) {
		k = &p->keys[i];
		if (k->signs)
			r.keys[r.key_count++] = (struct sign_key){
				k->ed25519 ? SIGN_ED25519 : SIGN_RSA,
				k->domain, k->selector,
				buf_bytes(&k->sealed) };
	}
	if (!signer_has_work(&r)) {
		if (posting_set_head(p, BYTES("")))
			posting_submit(p);
		else
			posting_fail_text(p, "no room for the header block");
		return;
	}
	p->sign_began_us = clock_mono_us();
	if (receive_body_hash(p->receive, hash, &e) == 0)
		p->signing = signer_sign(p->desk->signer, &r,
		    posting_on_signed, p, &e);
	if (p->signing == NULL)
		posting_cannot_sign(p, SIGN_RSA, e.text);
}
