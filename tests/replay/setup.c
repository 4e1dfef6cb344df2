/* SPDX-License-Identifier: ISC */
/*
 * Accounts, credentials, identities and source addresses of a play, written
 * into the book before the first start.  What a play does not name gets what
 * the examples of the specification use.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "play.h"
#include "registry/config_set.h"
#include "registry/source.h"
#include "world.h"

static const char setup_account[] = "123456789012";
static const char setup_key[] = "AKIAIOSFODNN7EXAMPLE";
/* of credentials.md section 3: every credential has this secret */
static const char setup_secret[] = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

struct setup_job {
	struct book_job job;
	struct play    *play;
};

static const char *
setup_value(const struct words *w, const char *name, const char *otherwise)
{
	const char *v = words_value(w, 1, name);

	return v != NULL ? v : otherwise;
}

static double
setup_amount(struct play *p, const struct words *w, const char *name,
    const char *otherwise)
{
	return play_number(p, setup_value(w, name, otherwise));
}

static bool
setup_is_yes(const struct words *w, const char *name, bool otherwise)
{
	return strcmp(setup_value(w, name, otherwise ? "yes" : "no"),
		   "yes") == 0;
}

/* account [ID] [production=] [max-24h=] [rate=] [burst=] [contact=] ... */
static int
setup_put_account(struct play *p, const struct words *w, struct db_txn *t,
    struct err *e)
{
	struct account a;
	const char    *contact = words_value(w, 1, "contact");
	bool	       named = w->n > 1 && strchr(w->v[1], '=') == NULL;

	memset(&a, 0, sizeof(a));
	snprintf(a.id, sizeof(a.id), "%s", named ? w->v[1] : setup_account);
	snprintf(a.name, sizeof(a.name), "%s%s", named ? "other-" : "main",
	    named ? a.id : "");
	a.production = setup_is_yes(w, "production", true);
	a.created = clock_wall();
	a.max_24h = setup_amount(p, w, "max-24h", "unlimited");
	a.rate = setup_amount(p, w, "rate", "unlimited");
	a.burst = setup_amount(p, w, "burst", "0");
	if (contact != NULL)
		snprintf(a.contacts[a.contact_count++], ACCOUNT_TEXT_MAX, "%s",
		    contact);
	if (account_create(t, &a, e) < 0)
		return -1;
	if (!setup_is_yes(w, "closed", false))
		return 0;
	a.closed = clock_wall();
	return account_put(t, &a, e);
}

static void
setup_add_text(char (*list)[256], unsigned *n, const char *value)
{
	if (value != NULL)
		snprintf(list[(*n)++], 256, "%s", value);
}

static void
setup_fill_limits(struct play *p, const struct words *w,
    struct credential_restrictions *r)
{
	const char *v;

	r->max_24h = setup_amount(p, w, "max-24h", "-2");
	r->rate = setup_amount(p, w, "rate", "-2");
	r->max_recipients = (unsigned)setup_amount(p, w, "max-recipients",
	    "0");
	r->max_size = (uint64_t)setup_amount(p, w, "max-size", "0");
	r->max_sessions = (unsigned)setup_amount(p, w, "max-sessions", "0");
	setup_add_text(r->from, &r->from_count, words_value(w, 1, "from"));
	setup_add_text(r->rcpt, &r->rcpt_count, words_value(w, 1, "rcpt"));
	v = words_value(w, 1, "cidr");
	if (v != NULL && !conf_cidr_parse(bytes_of(v), &r->cidrs[0]))
		play_fail(p, "bad cidr %s", v);
	r->cidr_count = v != NULL;
	v = words_value(w, 1, "listener");
	if (v != NULL)
		snprintf(r->listeners[r->listener_count++], 64, "%s", v);
	v = words_value(w, 1, "min-tls");
	if (v != NULL)
		r->min_tls = strcmp(v, "1.3") == 0 ? 13 : 12;
}

/* credential NAME [key=] [role=] [account=] [expires=DURATION] limits */
static int
setup_put_credential(struct play *p, const struct words *w, struct db_txn *t,
    struct err *e)
{
	struct credential     c;
	struct credential_key *k = &c.keys[0];
	const char	     *v;

	credential_init(&c);
	snprintf(c.account, sizeof(c.account), "%s",
	    setup_value(w, "account", setup_account));
	snprintf(c.name, sizeof(c.name), "%s", w->v[1]);
	c.created = c.updated = clock_wall();
	if (!credential_role_from_text(setup_value(w, "role", "smtp"),
		&c.role))
		play_fail(p, "no such role");
	setup_fill_limits(p, w, &c.limits);
	snprintf(k->id, sizeof(k->id), "%s",
	    setup_value(w, "key", setup_key));
	k->active = true;
	k->created = clock_wall();
	v = words_value(w, 1, "expires");
	if (v != NULL)
		k->expires.ms = clock_wall().ms + play_duration(p, v);
	c.key_count = 1;
	if (credential_import_secret(k, p->world->conf->server.region,
		bytes_of(setup_secret), e) != 0)
		return -1;
	return credential_create(t, &c, 0, e);
}

/* config-set NAME [account=] [tls=require] [pool=] [max-delivery=TIME] */
static int
setup_put_config_set(struct play *p, const struct words *w, struct db_txn *t,
    struct err *e)
{
	struct config_set s;
	const char	 *v = words_value(w, 1, "max-delivery");

	config_set_init(&s, setup_value(w, "account", setup_account),
	    w->v[1], clock_wall());
	s.require_tls = strcmp(setup_value(w, "tls", "optional"),
	    "require") == 0;
	snprintf(s.pool, sizeof(s.pool), "%s", setup_value(w, "pool", ""));
	if (v != NULL)
		s.max_delivery_s = (unsigned)(play_duration(p, v) / 1000);
	return config_set_create(t, &s, e);
}

/* identity NAME [account=] [config-set=] : verified by the operator, does not
 * sign */
static int
setup_put_identity(struct play *p, const struct words *w, struct db_txn *t,
    struct err *e)
{
	struct identity i;

	(void)p;
	identity_init(&i, setup_value(w, "account", setup_account), w->v[1],
	    clock_wall());
	i.method = METHOD_OVERRIDE;
	i.link.status = IDENTITY_SUCCESS;
	i.link.since = i.link.last_success = clock_wall();
	i.signing = DKIM_OFF;
	snprintf(i.config_set, sizeof(i.config_set), "%s",
	    setup_value(w, "config-set", ""));
	return identity_create(t, &i, e);
}

/* source ADDRESS [ehlo=] [dedicated=yes] [enabled=no] */
static int
setup_put_source(struct play *p, const struct words *w, struct db_txn *t,
    struct err *e)
{
	struct source s;

	memset(&s, 0, sizeof(s));
	if (!source_address_normal(w->v[1], s.address, &s.family))
		play_fail(p, "bad address %s", w->v[1]);
	snprintf(s.ehlo, sizeof(s.ehlo), "%s", setup_value(w, "ehlo", ""));
	s.dedicated = setup_is_yes(w, "dedicated", false);
	s.enabled = setup_is_yes(w, "enabled", true);
	s.created = clock_wall();
	return source_put(t, &s, e);
}

static const struct {
	const char *name, *otherwise; /* NULL = none unless it is named */
	int (*put)(struct play *p, const struct words *w, struct db_txn *t,
	    struct err *e);
} setup_kinds[] = {
	{ "account", "account", setup_put_account },
	{ "credential", "credential app1", setup_put_credential },
	{ "identity", "identity example.com", setup_put_identity },
	{ "config-set", NULL, setup_put_config_set },
	{ "source", NULL, setup_put_source },
};

static int
setup_put_kind(struct play *p, size_t kind, struct db_txn *t, struct err *e)
{
	struct order *o;
	struct words  w;
	bool	      any = false;
	int	      rc = 0;

	for (o = p->orders; o != NULL && rc == 0; o = o->next) {
		if (strcmp(o->words.v[0], setup_kinds[kind].name) != 0)
			continue;
		any = true;
		p->line = o->line;
		if (o->words.n == 1 && kind != 0)
			play_fail(p, "%s: who?", o->words.v[0]);
		rc = setup_kinds[kind].put(p, &o->words, t, e);
	}
	if (any || setup_kinds[kind].otherwise == NULL)
		return rc;
	must(words_split(setup_kinds[kind].otherwise, &w));
	rc = setup_kinds[kind].put(p, &w, t, e);
	words_wipe(&w);
	return rc;
}

static int
setup_run(struct book_job *j, struct db_txn *t)
{
	struct setup_job *s = (struct setup_job *)(void *)j;
	size_t		  i;

	for (i = 0; i < sizeof(setup_kinds) / sizeof(setup_kinds[0]); i++)
		if (setup_put_kind(s->play, i, t, &j->err) < 0)
			return -1;
	return 0;
}

void
setup_write(struct play *p)
{
	const struct conf *c = p->world->conf;
	struct setup_job   s;
	struct book	  *b;
	struct err	   e;
	unsigned	   line = p->line;

	b = book_open(c->store.dir, c->store.map_size_bytes / 16, &e);
	if (b == NULL)
		play_fail(p, "book: %s", e.text);
	memset(&s, 0, sizeof(s));
	s.play = p;
	s.job.run = setup_run;
	if (book_write_now(b, &s.job) != 0)
		play_fail(p, "set-up: %s", s.job.err.text);
	book_close(b);
	p->line = line;
}
