/* SPDX-License-Identifier: ISC */
#include "submission/signer.h"

#include <opendkim/dkim.h>
#include <stdio.h>
#include <string.h>

#include "base/ascii.h"
#include "registry/conf.h"
#include "submission/keys_client.h"

enum {
	FIELD_COLUMNS = 76,
	FIELD_MAX = 8192, /* one DKIM-Signature field */
	/* The library copies h= into 4096 octets and loses the rest. */
	NAMES_MAX = 3500,
	/* A canonical field has to fit the library's 64 KiB. */
	SIGNED_FIELD_MAX = 60000,
	NAME_LIST_MAX = 128 /* names in dkim.headers that are looked at */
};

/* 20 years: the clock of a test may differ from the library's, which takes
 * this from t= without a look at the sign. */
static const uint64_t clock_drift_s = 20 * 365 * 86400;

struct signer {
	DKIM_LIB	   *lib;
	struct keys_client *keys;
	struct signing	   *signings; /* waiting for answers */
};

struct signer_hash {
	DKIM *handle;
	bool  failed;
};

/* One of the at most three signatures of a message. */
struct signature {
	struct signing	   *of;
	enum sign_algorithm algorithm;
	bool		    wanted, done;
	uint64_t	    ticket; /* at the keys client */
	struct buf	    field;
	/* of the identity */
	char		    domain[256], selector[64];
	struct buf	    sealed;
};
enum { SIGNATURES_MAX = 1 + SIGN_KEYS_MAX };

struct signing {
	struct signing	   *next, **link;
	struct signer	   *signer;
	signing_fn	   *fn;
	void		   *arg;
	struct signature    all[SIGNATURES_MAX]; /* the first: operator's */
	struct sign_answer  answer;
};

static DKIM_CBSTAT signer_on_key_lookup(DKIM *d, DKIM_SIGINFO *sig,
    unsigned char *buf, size_t size);
static void signing_on_answer(void *arg, const struct keys_answer *a);

/* -- the library ---------------------------------------------------------- */

/* There is no key: the handle is there for its hashes. */
static DKIM_CBSTAT
signer_on_key_lookup(DKIM *d, DKIM_SIGINFO *sig, unsigned char *buf,
    size_t size)
{
	(void)d;
	(void)sig;
	(void)buf;
	(void)size;
	return DKIM_CBSTAT_NOTFOUND;
}

struct signer *
signer_new(struct keys_client *keys, struct err *e)
{
	struct signer *s = mem_alloc(sizeof(*s));
	unsigned int   flags = DKIM_LIBFLAGS_DELAYSIGPROC |
	    DKIM_LIBFLAGS_BADSIGHANDLES;
	uint64_t drift = clock_drift_s;

	s->keys = keys;
	s->lib = dkim_init(NULL, NULL);
	if (s->lib == NULL) {
		mem_free(s);
		err_set(e, "libopendkim cannot be initialised");
		return NULL;
	}
	if (dkim_options(s->lib, DKIM_OP_SETOPT, DKIM_OPTS_FLAGS, &flags,
		sizeof(flags)) != DKIM_STAT_OK ||
	    dkim_options(s->lib, DKIM_OP_SETOPT, DKIM_OPTS_CLOCKDRIFT, &drift,
		sizeof(drift)) != DKIM_STAT_OK ||
	    dkim_set_key_lookup(s->lib, signer_on_key_lookup) !=
		DKIM_STAT_OK) {
		err_set(e, "libopendkim does not take its options");
		signer_free(s);
		return NULL;
	}
	return s;
}

void
signer_free(struct signer *s)
{
	if (s == NULL)
		return;
	while (s->signings != NULL)
		signing_cancel(s->signings);
	dkim_close(s->lib);
	mem_free(s);
}

const char *
sign_algorithm_to_text(enum sign_algorithm a)
{
	return a == SIGN_ED25519 ? "ed25519-sha256" : "rsa-sha256";
}

bool
signer_has_ed25519(void)
{
	DKIM_LIB *lib = dkim_init(NULL, NULL);
	bool	  has = lib != NULL &&
	    dkim_libfeature(lib, DKIM_FEATURE_ED25519);

	if (lib != NULL)
		dkim_close(lib);
	return has;
}

int
signer_check_conf(const struct conf *c, struct err *e)
{
	if (!c->dkim.dual_sign || signer_has_ed25519())
		return 0;
	return err_set(e, "dkim.dual_sign: the linked libopendkim has no "
	    "Ed25519 (RFC 8463)");
}

static const char *
signer_canonicalization(const struct conf *c)
{
	return c->dkim.canonicalization == CONF_RELAXED_RELAXED ?
	    "relaxed/relaxed" : "relaxed/simple";
}

static DKIM *
signer_open(struct signer *s, struct err *e)
{
	DKIM_STAT status;
	DKIM	 *d;

	d = dkim_verify(s->lib, (const unsigned char *)"posthorn", NULL,
	    &status);
	if (d == NULL)
		err_set(e, "libopendkim: %s", dkim_getresultstr(status));
	return d;
}

static bool
signer_add_header(DKIM *d, struct bytes field)
{
	/* the library takes a copy and does not write to ours */
	return dkim_header(d, (u_char *)(uintptr_t)field.p, field.n) ==
	    DKIM_STAT_OK;
}

/* header or body hash of a handle that has seen everything */
static int
signer_take_hash(DKIM *d, bool of_body, unsigned char digest[SIGNER_DIGEST],
    struct err *e)
{
	DKIM_SIGINFO **sigs = NULL;
	DKIM_STAT      status;
	int	       count = 0;
	void	      *hh = NULL, *bh = NULL;
	size_t	       hh_n = 0, bh_n = 0;

	status = dkim_eom(d, NULL);
	if (status != DKIM_STAT_NOKEY)
		return err_set(e, "libopendkim: end of message: %s",
		    dkim_getresultstr(status));
	if (dkim_getsiglist(d, &sigs, &count) != DKIM_STAT_OK || count != 1 ||
	    dkim_sig_gethashes(sigs[0], &hh, &hh_n, &bh, &bh_n) !=
		DKIM_STAT_OK ||
	    hh_n != SIGNER_DIGEST || bh_n != SIGNER_DIGEST)
		return err_set(e, "libopendkim gives no hashes");
	memcpy(digest, of_body ? bh : hh, SIGNER_DIGEST);
	return 0;
}

/* -- body hash ------------------------------------------------------------ */

/*
 * Without memory dkim_eoh() leaves a handle behind at which dkim_free() falls
 * (2.11.0~beta2): it is given up with what it holds.
 */
static bool
signer_end_header(DKIM **d)
{
	DKIM_STAT st = dkim_eoh(*d);

	if (st == DKIM_STAT_NORESOURCE)
		*d = NULL;
	return st == DKIM_STAT_OK;
}

struct signer_hash *
signer_hash_new(struct signer *s, const struct conf *c, struct err *e)
{
	struct signer_hash *h;
	char		    draft[200];
	DKIM		   *d = signer_open(s, e);

	if (d == NULL)
		return NULL;
	/* d=, s= and h= do not touch the body hash; they come later */
	snprintf(draft, sizeof(draft), "DKIM-Signature: v=1; a=rsa-sha256; "
	    "c=%s; s=s; d=draft.invalid; h=from; bh=AAAA; b=AAAA",
	    signer_canonicalization(c));
	if (!signer_add_header(d, BYTES("From: a@draft.invalid")) ||
	    !signer_add_header(d, bytes_of(draft)) ||
	    !signer_end_header(&d)) {
		err_set(e, "libopendkim does not take the draft");
		if (d != NULL)
			dkim_free(d);
		return NULL;
	}
	h = mem_alloc(sizeof(*h));
	h->handle = d;
	return h;
}

void
signer_hash_feed(struct signer_hash *h, struct bytes body)
{
	if (body.n > 0 && !h->failed &&
	    dkim_body(h->handle, (u_char *)(uintptr_t)body.p, body.n) !=
		DKIM_STAT_OK)
		h->failed = true;
}

int
signer_hash_end(struct signer_hash *h, unsigned char digest[SIGNER_DIGEST],
    struct err *e)
{
	if (h->failed)
		return err_set(e, "libopendkim does not take the body");
	return signer_take_hash(h->handle, true, digest, e);
}

void
signer_hash_free(struct signer_hash *h)
{
	if (h == NULL)
		return;
	dkim_free(h->handle);
	mem_free(h);
}

/* -- which fields are signed ---------------------------------------------- */

/* A name of dkim.headers and how often it stands in h=. */
struct signed_name {
	const char *text;
	bool	    left_out; /* a field the library would not hash right */
	unsigned    present;  /* in the header block */
	unsigned    fed;      /* of them signed: the lowest ones */
	unsigned    seen;     /* while feeding */
};
struct signed_names {
	struct signed_name v[NAME_LIST_MAX];
	size_t		   n;
	bool		   oversigned[NAME_LIST_MAX];
};

/*
 * The next field of the block, without its line end; false at the empty line.
 */
static bool
signer_next_field(struct bytes *rest, struct bytes *name, struct bytes *field)
{
	ptrdiff_t at, colon;
	size_t	  end = 0;

	if (rest->n == 0 || rest->p[0] == '\r')
		return false;
	do {
		at = bytes_find(*rest, end, '\n');
		end = at < 0 ? rest->n : (size_t)at + 1;
	} while (end < rest->n &&
	    ascii_is_blank(rest->p[end]));
	*field = bytes_head(*rest, end);
	*rest = bytes_from(*rest, end);
	while (field->n > 0 && (field->p[field->n - 1] == '\n' ||
	    field->p[field->n - 1] == '\r'))
		field->n--;
	colon = bytes_find(*field, 0, ':');
	*name = bytes_trim(bytes_head(*field, colon < 0 ? 0 : (size_t)colon));
	return true;
}

static struct signed_name *
signer_find_name(struct signed_names *names, struct bytes name)
{
	size_t i;

	for (i = 0; i < names->n; i++)
		if (bytes_eq_nocase(name, bytes_of(names->v[i].text)))
			return &names->v[i];
	return NULL;
}

static bool
signer_is_listed(const struct conf_list *list, const char *name)
{
	size_t i;

	for (i = 0; i < list->n; i++)
		if (bytes_eq_nocase(bytes_of(list->v[i]), bytes_of(name)))
			return true;
	return false;
}

/*
 * Vertical tab and form feed are blanks for the library's relaxed form, but
 * not for RFC 6376: such a field would not verify elsewhere.
 */
static bool
signer_is_odd(struct bytes field)
{
	return field.n > SIGNED_FIELD_MAX ||
	    memchr(field.p, '\v', field.n) != NULL ||
	    memchr(field.p, '\f', field.n) != NULL;
}

static void
signer_count_names(const struct conf *c, struct bytes head,
    struct signed_names *names)
{
	struct signed_name *found;
	struct bytes	    name, field;
	size_t		    i;

	memset(names, 0, sizeof(*names));
	for (i = 0; i < c->dkim.headers.n && names->n < NAME_LIST_MAX; i++) {
		if (signer_find_name(names, bytes_of(c->dkim.headers.v[i])))
			continue;
		names->oversigned[names->n] = signer_is_listed(
		    &c->dkim.oversign, c->dkim.headers.v[i]);
		names->v[names->n++].text = c->dkim.headers.v[i];
	}
	while (signer_next_field(&head, &name, &field)) {
		found = signer_find_name(names, name);
		if (found == NULL)
			continue;
		found->present++;
		if (signer_is_odd(field))
			found->left_out = true;
	}
}

/* Each name once first, then repetitions as far as h= has room. */
static void
signer_choose(struct signed_names *names)
{
	struct signed_name *v;
	size_t		    i, used = 0, each;

	for (i = 0; i < names->n; i++) {
		v = &names->v[i];
		if (v->left_out || v->present == 0)
			continue;
		v->fed = 1;
		used += 2 * (strlen(v->text) + 1);
	}
	for (i = 0; i < names->n; i++) {
		v = &names->v[i];
		each = strlen(v->text) + 1;
		while (v->fed > 0 && v->fed < v->present &&
		    used + each <= NAMES_MAX) {
			v->fed++;
			used += each;
		}
	}
}

/* How often the name stands in h=. */
static unsigned
signer_named(const struct signed_names *names, size_t i)
{
	const struct signed_name *v = &names->v[i];

	if (v->left_out)
		return 0;
	/* once more than present: a later addition breaks the signature */
	return v->fed == v->present && names->oversigned[i] ? v->fed + 1 :
	    v->fed;
}

/* -- the field ------------------------------------------------------------ */

struct folder {
	struct buf *out;
	size_t	    column;
};

/* A piece that is not divided; glued to the one before, or behind a blank. */
static void
folder_add(struct folder *f, const char *piece, bool glued)
{
	size_t n = strlen(piece);

	if (f->column + n + (glued ? 0 : 1) > FIELD_COLUMNS &&
	    f->column > 1) {
		buf_add_text(f->out, "\r\n\t");
		f->column = 1;
	} else if (!glued) {
		buf_add_char(f->out, ' ');
		f->column++;
	}
	buf_add_text(f->out, piece);
	f->column += n;
}

static void
folder_add_names(struct folder *f, const struct signed_names *names)
{
	char	 piece[100];
	unsigned k, count, left = 0;
	size_t	 i, j;
	bool	 first = true;

	for (i = 0; i < names->n; i++)
		left += signer_named(names, i);
	for (i = 0; i < names->n; i++) {
		count = signer_named(names, i);
		for (k = 0; k < count; k++, first = false) {
			snprintf(piece, sizeof(piece), "%s%s%s",
			    first ? "h=" : "", names->v[i].text,
			    --left == 0 ? ";" : ":");
			for (j = first ? 2 : 0; piece[j] != '\0'; j++)
				piece[j] = ascii_lower(piece[j]);
			folder_add(f, piece, !first);
		}
	}
}

static void
signer_write_field(const struct signer_field *f,
    const struct signed_names *names, struct buf *out)
{
	struct folder fold = { out, 0 };
	char	      piece[300], hash[4 * ((SIGNER_DIGEST + 2) / 3) + 1];

	buf_add_text(out, "DKIM-Signature:");
	fold.column = out->n;
	folder_add(&fold, "v=1;", false);
	snprintf(piece, sizeof(piece), "a=%s;",
	    sign_algorithm_to_text(f->algorithm));
	folder_add(&fold, piece, false);
	folder_add(&fold, "q=dns/txt;", false);
	snprintf(piece, sizeof(piece), "c=%s;",
	    signer_canonicalization(f->conf));
	folder_add(&fold, piece, false);
	snprintf(piece, sizeof(piece), "s=%s;", f->selector);
	folder_add(&fold, piece, false);
	snprintf(piece, sizeof(piece), "d=%s;", f->domain);
	folder_add(&fold, piece, false);
	snprintf(piece, sizeof(piece), "t=%lld;",
	    (long long)(f->when.ms / 1000));
	folder_add(&fold, piece, false);
	folder_add_names(&fold, names);
	base64_encode(f->body_hash, SIGNER_DIGEST, hash);
	snprintf(piece, sizeof(piece), "bh=%s;", hash);
	folder_add(&fold, piece, false);
	folder_add(&fold, "b=", false);
}

/* Only what h= names: a client's own signature would be taken for one that
 * is to be verified.  Of a repeated name the lowest ones. */
static int
signer_feed_fields(DKIM *d, struct signed_names *names, struct bytes head,
    struct err *e)
{
	struct signed_name *v;
	struct bytes	    name, field;

	while (signer_next_field(&head, &name, &field)) {
		v = signer_find_name(names, name);
		if (v == NULL || v->seen++ < v->present - v->fed)
			continue;
		if (!signer_add_header(d, field))
			return err_set(e, "libopendkim does not take %s",
			    v->text);
	}
	return 0;
}

int
signer_digest(struct signer *s, const struct signer_field *f,
    struct buf *field, unsigned char digest[SIGNER_DIGEST], struct err *e)
{
	struct signed_names names;
	struct signed_name *from;
	DKIM		   *d = NULL;
	size_t		    at;
	int		    rc = -1;

	signer_count_names(f->conf, f->head, &names);
	signer_choose(&names);
	from = signer_find_name(&names, BYTES("From"));
	if (from == NULL || from->fed == 0)
		return err_set(e, "From cannot be signed");
	buf_clear(field);
	signer_write_field(f, &names, field);
	at = field->n;
	/* the library wants a value and leaves it out of the hash */
	buf_add_text(field, "AAAA");
	if (field->failed)
		return err_set(e, "no room for the signature field");
	d = signer_open(s, e);
	if (d == NULL)
		return -1;
	if (signer_feed_fields(d, &names, f->head, e) < 0)
		goto out;
	if (!signer_add_header(d, buf_bytes(field)) ||
	    !signer_end_header(&d)) {
		err_set(e, "libopendkim does not take the header");
		goto out;
	}
	rc = signer_take_hash(d, false, digest, e);
	field->n = at;
out:
	if (d != NULL)
		dkim_free(d);
	return rc;
}

bool
signer_finish(struct buf *field, const void *signature, size_t n)
{
	char	     text[4 * ((KEYS_SIGNATURE_MAX + 2) / 3) + 1];
	struct bytes rest;
	size_t	     column = 0, room;
	const char  *p;

	if (n > KEYS_SIGNATURE_MAX)
		return false;
	for (p = field->p + field->n; p > field->p && p[-1] != '\n'; p--)
		column++;
	rest.n = base64_encode(signature, n, text);
	rest.p = text;
	while (rest.n > 0) {
		room = column < FIELD_COLUMNS ? FIELD_COLUMNS - column : 0;
		if (room > rest.n)
			room = rest.n;
		buf_add(field, rest.p, room);
		rest = bytes_from(rest, room);
		if (rest.n > 0)
			buf_add_text(field, "\r\n\t");
		column = 1;
	}
	return buf_add_text(field, "\r\n");
}

/* -- all signatures of a message ------------------------------------------ */

static bool
signer_has_operator(const struct conf *c)
{
	return c->dkim.operator_key != NULL &&
	    c->dkim.operator_domain != NULL &&
	    c->dkim.operator_selector != NULL;
}

bool
signer_has_work(const struct sign_request *r)
{
	return r->key_count > 0 || signer_has_operator(r->conf);
}

static void
signing_unlink(struct signing *g)
{
	if (g->link == NULL)
		return;
	*g->link = g->next;
	if (g->next != NULL)
		g->next->link = g->link;
	g->link = NULL;
}

static void
signing_free(struct signing *g)
{
	unsigned i;

	signing_unlink(g);
	for (i = 0; i < SIGNATURES_MAX; i++) {
		buf_wipe(&g->all[i].field);
		buf_wipe(&g->all[i].sealed);
	}
	mem_free(g);
}

void
signing_cancel(struct signing *g)
{
	unsigned i;

	if (g == NULL)
		return;
	for (i = 0; i < SIGNATURES_MAX; i++)
		if (g->all[i].wanted && !g->all[i].done)
			keys_client_cancel(g->signer->keys, g->all[i].ticket);
	signing_free(g);
}

static struct signing *
signing_new(struct signer *s, signing_fn *fn, void *arg)
{
	struct signing *g = mem_alloc(sizeof(*g));
	unsigned	i;

	g->signer = s;
	g->fn = fn;
	g->arg = arg;
	for (i = 0; i < SIGNATURES_MAX; i++) {
		g->all[i].of = g;
		buf_init(&g->all[i].field, FIELD_MAX);
		buf_init(&g->all[i].sealed, KEYS_SEALED_MAX);
	}
	/* the fields of all end in the first buffer */
	buf_init(&g->all[0].field, SIGNATURES_MAX * FIELD_MAX);
	g->answer.ok = true;
	g->next = s->signings;
	g->link = &s->signings;
	if (g->next != NULL)
		g->next->link = &g->next;
	s->signings = g;
	return g;
}

static int
signing_ask_operator(struct signing *g, const struct sign_request *r,
    struct err *e)
{
	struct signature   *sig = &g->all[0];
	struct signer_field f = { .conf = r->conf,
		.domain = r->conf->dkim.operator_domain,
		.selector = r->conf->dkim.operator_selector,
		.when = r->when, .head = r->head, .body_hash = r->body_hash };
	struct keys_sign k = { .domain = f.domain, .selector = f.selector };

	if (signer_digest(g->signer, &f, &sig->field, k.digest, e) < 0)
		return -1;
	sig->ticket = keys_client_sign_operator(g->signer->keys, &k,
	    signing_on_answer, sig);
	sig->wanted = true;
	return 0;
}

static int
signing_ask_identity(struct signing *g, const struct sign_request *r,
    unsigned i, struct err *e)
{
	const struct sign_key *key = &r->keys[i];
	struct signature      *sig = &g->all[1 + i];
	struct signer_field    f = { .conf = r->conf,
		   .algorithm = key->algorithm, .domain = key->domain,
		   .selector = key->selector, .when = r->when,
		   .head = r->head, .body_hash = r->body_hash };
	struct keys_sign k = { .domain = sig->domain,
		.selector = sig->selector };

	sig->algorithm = key->algorithm;
	bytes_text(bytes_of(key->domain), sig->domain, sizeof(sig->domain));
	bytes_text(bytes_of(key->selector), sig->selector,
	    sizeof(sig->selector));
	if (!buf_add_bytes(&sig->sealed, key->sealed))
		return err_set(e, "sealed key is too long");
	if (signer_digest(g->signer, &f, &sig->field, k.digest, e) < 0)
		return -1;
	k.sealed = buf_bytes(&sig->sealed);
	sig->ticket = keys_client_sign(g->signer->keys, &k, signing_on_answer,
	    sig);
	sig->wanted = true;
	return 0;
}

struct signing *
signer_sign(struct signer *s, const struct sign_request *r, signing_fn *fn,
    void *arg, struct err *e)
{
	struct signing *g = signing_new(s, fn, arg);
	unsigned	i;
	int		rc = 0;

	must(signer_has_work(r) && r->key_count <= SIGN_KEYS_MAX);
	if (signer_has_operator(r->conf))
		rc = signing_ask_operator(g, r, e);
	for (i = 0; rc == 0 && i < r->key_count; i++)
		rc = signing_ask_identity(g, r, i, e);
	if (rc == 0)
		return g;
	signing_cancel(g);
	return NULL;
}

static void
signing_end(struct signing *g)
{
	struct buf *all = &g->all[0].field;
	unsigned    i;

	if (!g->all[0].wanted)
		buf_clear(all);
	for (i = 0; i < SIGNATURES_MAX; i++) {
		if (!g->all[i].wanted)
			continue;
		g->answer.counts[g->all[i].algorithm]++;
		if (i > 0 && g->answer.ok)
			buf_add_bytes(all, buf_bytes(&g->all[i].field));
	}
	if (all->failed) {
		g->answer.ok = false;
		snprintf(g->answer.reason, sizeof(g->answer.reason),
		    "no room for the signature fields");
	}
	g->answer.fields = buf_bytes(all);
	signing_unlink(g);
	g->fn(g->arg, &g->answer);
	signing_free(g);
}

static bool
signing_is_complete(const struct signing *g)
{
	unsigned i;

	for (i = 0; i < SIGNATURES_MAX; i++)
		if (g->all[i].wanted != g->all[i].done)
			return false;
	return true;
}

static void
signing_on_answer(void *arg, const struct keys_answer *a)
{
	struct signature   *sig = arg;
	struct signing	   *g = sig->of;
	struct sign_answer *out = &g->answer;
	const char	   *reason = NULL;

	sig->done = true;
	if (a->result != KEYS_OK)
		reason = a->reason[0] != '\0' ? a->reason
					      : "keys process failed";
	else if (!signer_finish(&sig->field, a->signature, a->signature_n))
		reason = "no room for the signature";
	if (reason != NULL && out->ok) {
		out->ok = false;
		out->failed = sig->algorithm;
		snprintf(out->reason, sizeof(out->reason), "%s", reason);
	}
	if (signing_is_complete(g))
		signing_end(g);
}
