/* SPDX-License-Identifier: ISC */
/* Of which message an event tells, and whose mailboxes they were. */
#include <string.h>

#include "base/ascii.h"
#include "base/log.h"
#include "mail/address.h"
#include "registry/account.h"
#include "registry/config_set.h"
#include "registry/identity.h"
#include "registry/provider.h"
#include "reporting/rates.h"
#include "reporting/statistics_private.h"

enum {
	FACTS_ARENA = 1 << 20,
	FACTS_ARENA_KEPT = 256 * 1024, /* then a new one */
	HOSTS_MAX = 20000,
	OWN_MAX = 1000,
	OWN_PAUSE_MS = 5000,
	FRESH_PAUSE_MS = 1000
};

/* -- names as numbers ------------------------------------------------------ */

static uint32_t
names_add(struct names *n, struct bytes name)
{
	if (n->n == n->cap) {
		n->cap = n->cap * 2 + 64;
		n->v = mem_realloc(n->v, n->cap * sizeof(*n->v));
	}
	n->v[n->n] = mem_dup_bytes(name);
	if (n->n != NAME_NONE) /* the table takes no zero */
		must(table_put(n->by_name, name, (void *)(uintptr_t)n->n));
	return n->n++;
}

uint32_t
names_number(struct names *n, struct bytes name, bool is_kept)
{
	void *there;

	if (name.n == 0)
		return NAME_NONE;
	if (n->by_name == NULL) {
		n->by_name = table_new(0);
		must(names_add(n, BYTES("")) == NAME_NONE);
	}
	name = bytes_head(name, STATISTIC_NAME_MAX / 2);
	there = table_get(n->by_name, name);
	if (there != NULL)
		return (uint32_t)(uintptr_t)there;
	if (is_kept || bytes_eq_text(name, NAME_OTHER))
		return names_add(n, name);
	if (n->others == STATISTICS_NAMES_MAX)
		return names_number(n, BYTES(NAME_OTHER), true);
	n->others++;
	return names_add(n, name);
}

void
names_free(struct names *n)
{
	uint32_t i;

	for (i = 0; i < n->n; i++)
		mem_free(n->v[i]);
	mem_free(n->v);
	table_free(n->by_name);
	memset(n, 0, sizeof(*n));
}

/* -- senders --------------------------------------------------------------- */

static struct bytes
sender_text(char **at, struct bytes s)
{
	struct bytes out = { *at, s.n };

	if (s.n > 0)
		memcpy(*at, s.p, s.n);
	*at += s.n;
	return out;
}

static struct sender *
sender_new(const struct sender *like)
{
	struct sender *x = mem_alloc(sizeof(*x) + like->identity.n +
	    like->set.n + like->credential.n);
	char	      *at = (char *)(x + 1);

	*x = *like;
	x->identity = sender_text(&at, like->identity);
	x->set = sender_text(&at, like->set);
	x->credential = sender_text(&at, like->credential);
	return x;
}

static struct sender *
sender_find(struct statistics *s, const struct sender *like)
{
	struct sender *x;
	struct buf     key;

	buf_init(&key, 4096);
	buf_printf(&key, "%s%s", like->account, like->owner);
	buf_add_bytes(&key, like->identity);
	buf_add_char(&key, '\0');
	buf_add_bytes(&key, like->set);
	buf_add_char(&key, '\0');
	buf_add_bytes(&key, like->credential);
	x = table_get(s->senders, buf_bytes(&key));
	if (x == NULL) {
		x = sender_new(like);
		x->number = s->sender_count++;
		s->sender_of = mem_realloc(s->sender_of,
		    s->sender_count * sizeof(struct sender *));
		s->sender_of[x->number] = x;
		must(table_put(s->senders, buf_bytes(&key), x));
	}
	buf_wipe(&key);
	return x;
}

static void
sender_of_mail(const struct mail_row *m, struct sender *out)
{
	memset(out, 0, sizeof(*out));
	memcpy(out->account, m->account, sizeof(out->account));
	out->identity = bytes_head(m->identity, STATISTIC_NAME_MAX);
	out->set = m->config_set;
	out->credential = bytes_head(m->credential, STATISTIC_NAME_MAX);
	bytes_text(m->identity_account, out->owner, sizeof(out->owner));
	if (out->owner[0] == '\0')
		memcpy(out->owner, m->account, sizeof(out->owner));
	out->is_delegate = strcmp(out->owner, out->account) != 0;
}

static bool
domain_on_identity(void *arg, const struct identity *i)
{
	struct sender *x = arg;

	if (!i->is_address)
		bytes_text(bytes_of(i->name), x->domain, sizeof(x->domain));
	return i->is_address;
}

/* An identity that is an address is of the domain above it, if any. */
static void
sender_read_domain(struct statistics *s, struct db_txn *t, struct sender *x)
{
	struct identity *room;
	struct err	 e;

	x->domain[0] = '\0';
	if (!s->setup.conf->reputation.levels || x->identity.n == 0)
		return;
	if (bytes_find(x->identity, 0, '@') < 0) {
		bytes_text(x->identity, x->domain, sizeof(x->domain));
		return;
	}
	room = mem_alloc(sizeof(*room));
	(void)identity_each_covering(t, x->owner, x->identity,
	    loop_wall(s->setup.loop), room, domain_on_identity, x, &e);
	mem_free(room);
}

void
statistics_look_fresh(struct statistics *s, struct sender *x)
{
	struct mono	  now = loop_now(s->setup.loop);
	struct account	  a;
	struct config_set set;
	struct db_txn	 *t;
	struct err	  e;

	if (x->read.ms != 0 && (x->version == book_version(s->setup.book) ||
		now.ms - x->read.ms < FRESH_PAUSE_MS))
		return;
	x->version = book_version(s->setup.book);
	x->read.ms = now.ms != 0 ? now.ms : 1;
	t = book_read(s->setup.book, &e);
	if (t == NULL)
		return;
	if (account_get(t, x->account, &a, &e) == 1)
		x->account_start = a.review.fresh_start;
	if (x->set.n > 0 && config_set_get(t, x->account, x->set, &set,
		&e) == 1)
		x->set_start = config_set_counts_from(&set);
	sender_read_domain(s, t, x);
	book_end(t);
}

/* -- mailboxes ------------------------------------------------------------- */

static struct bytes
lower(struct bytes s, char out[ADDRESS_TEXT_MAX])
{
	size_t i;

	s = bytes_head(s, ADDRESS_TEXT_MAX - 1);
	for (i = 0; i < s.n; i++)
		out[i] = ascii_lower(s.p[i]);
	return (struct bytes){ out, s.n };
}

bool
statistics_is_simulated(const struct statistics *s, struct bytes address)
{
	return conf_is_simulator(s->setup.conf, address_domain(address));
}

/* The groups that are configured, built-in ones as well, and those that send
 * reports are few: they do not depend on who came first. */
static void
kept_read(struct statistics *s)
{
	const struct conf *c = s->setup.conf;
	struct bytes	   name;
	struct err	   e;
	size_t		   i;

	s->kept = table_new(0);
	for (i = 0; i < c->provider_count; i++) {
		name = bytes_of(c->providers[i].title != NULL
		    ? c->providers[i].title : c->providers[i].name);
		must(table_put(s->kept, name, s));
	}
	s->loops = loops_read(s->setup.spool, c, loop_wall(s->setup.loop),
	    &e);
	if (s->loops == NULL)
		log_error("statistics-failed", "reason=\"%s\"", e.text);
}

static bool
is_kept(struct statistics *s, struct bytes group)
{
	if (s->kept == NULL)
		kept_read(s);
	return table_get(s->kept, group) != NULL || (s->loops != NULL &&
	    loops_has(s->loops, bytes_head(group, STATISTIC_NAME_MAX / 2)));
}

void
statistics_forget_groups(struct statistics *s)
{
	table_free(s->hosts);
	s->hosts = table_new(0);
	table_free(s->kept);
	s->kept = NULL;
	loops_free(s->loops);
	s->loops = NULL;
}

/* What answered once tells of later feedback, which names no server. */
uint32_t
statistics_provider(struct statistics *s, struct bytes address,
    struct bytes host)
{
	char	     text[ADDRESS_TEXT_MAX];
	struct bytes domain = lower(address_domain(address), text), title;
	uint32_t     n;
	void	    *there;

	if (host.n == 0) {
		there = table_get(s->hosts, domain);
		if (there != NULL)
			return (uint32_t)(uintptr_t)there;
	}
	title = provider_title(s->setup.conf, domain, host);
	if (title.n == 0)
		title = BYTES(NAME_OTHER);
	n = names_number(&s->providers, title, is_kept(s, title));
	if (host.n == 0 || domain.n == 0)
		return n;
	if (table_count(s->hosts) >= HOSTS_MAX) {
		table_free(s->hosts);
		s->hosts = table_new(0);
	}
	must(table_put(s->hosts, domain, (void *)(uintptr_t)n));
	return n;
}

/* -- identities of the account --------------------------------------------- */

struct own_reading {
	struct table *names;
	struct wall   now;
};

static bool
own_on_identity(void *arg, const struct identity *i)
{
	struct own_reading *r = arg;
	char		    text[ADDRESS_TEXT_MAX];

	if (identity_may_send(i, r->now))
		must(table_put(r->names, lower(bytes_of(i->name), text),
		    r->names));
	return true;
}

static void
own_free(struct own_names *o)
{
	if (o == NULL)
		return;
	table_free(o->names);
	mem_free(o);
}

static void
own_free_one(void *arg, struct bytes key, void *value)
{
	(void)arg;
	(void)key;
	own_free(value);
}

static void
own_forget(struct statistics *s)
{
	table_each(s->own, own_free_one, NULL);
	table_free(s->own);
	s->own = table_new(0);
}

static void
own_read(struct statistics *s, const char *account, struct own_names *o)
{
	struct own_reading r = { NULL, loop_wall(s->setup.loop) };
	struct db_txn	  *t;
	struct err	   e;

	o->version = book_version(s->setup.book);
	o->read = loop_now(s->setup.loop);
	table_free(o->names);
	r.names = o->names = table_new(0);
	t = book_read(s->setup.book, &e);
	if (t == NULL || identity_each(t, account, own_on_identity, &r,
		&e) < 0)
		log_error("book-failed", "reason=\"%s\"", e.text);
	book_end(t);
}

bool
statistics_is_own(struct statistics *s, const char *account,
    struct bytes address)
{
	struct own_names *o = table_get(s->own, bytes_of(account));
	char		  text[ADDRESS_TEXT_MAX];
	struct bytes	  name = lower(address, text);
	ptrdiff_t	  dot;

	if (o == NULL) {
		if (table_count(s->own) >= OWN_MAX)
			own_forget(s);
		o = mem_alloc(sizeof(*o));
		must(table_put(s->own, bytes_of(account), o));
	}
	if (o->names == NULL || (o->version != book_version(s->setup.book) &&
		loop_now(s->setup.loop).ms - o->read.ms >= OWN_PAUSE_MS))
		own_read(s, account, o);
	if (table_count(o->names) == 0)
		return false;
	if (table_get(o->names, name) != NULL)
		return true;
	for (name = address_domain(name); name.n > 0;
	    name = bytes_from(name, (size_t)dot + 1)) {
		if (table_get(o->names, name) != NULL)
			return true;
		dot = bytes_find(name, 0, '.');
		if (dot < 0)
			break;
	}
	return false;
}

/* -- messages -------------------------------------------------------------- */

static void
facts_fill(struct statistics *s, const struct mail_row *m, struct facts *f)
{
	struct sender like;
	unsigned      i;

	f->is_system = m->system;
	if (m->system)
		return;
	sender_of_mail(m, &like);
	f->sender = sender_find(s, &like);
	f->recipients = m->recipient_count;
	for (i = 0; i < m->recipient_count; i++) {
		if (statistics_is_simulated(s, m->recipients[i]))
			f->simulated++;
		else if (statistics_is_own(s, m->account, m->recipients[i]))
			f->own++;
	}
}

int
statistics_find(struct statistics *s, const struct msgid *id,
    struct facts **out)
{
	struct facts   *f;
	struct mail_row m;
	struct err	e;
	int		found;

	/* the last octets are random */
	f = &s->facts[((unsigned)id->b[sizeof(id->b) - 1] * 256u +
	    id->b[sizeof(id->b) - 2]) % FACTS_KEPT];
	*out = f;
	if (f->known && msgid_cmp(&f->id, id) == 0)
		return f->sender != NULL || f->is_system;
	if (s->arena == NULL || arena_used(s->arena) > FACTS_ARENA_KEPT) {
		arena_free(s->arena);
		s->arena = arena_new(FACTS_ARENA);
	}
	found = spool_read_facts(s->setup.spool, id, s->arena, &m, &e);
	if (found < 0) {
		log_error("statistics-failed", "reason=\"%s\"", e.text);
		return -1;
	}
	memset(f, 0, sizeof(*f));
	f->id = *id;
	f->known = true;
	if (found == 1)
		facts_fill(s, &m, f);
	return found;
}

static void
sender_free(void *arg, struct bytes key, void *value)
{
	(void)arg;
	(void)key;
	mem_free(value);
}

void
statistics_free_facts(struct statistics *s)
{
	table_each(s->senders, sender_free, NULL);
	table_free(s->senders);
	mem_free(s->sender_of);
	table_each(s->own, own_free_one, NULL);
	table_free(s->own);
	table_free(s->hosts);
	table_free(s->kept);
	loops_free(s->loops);
	names_free(&s->providers);
	names_free(&s->sources);
	arena_free(s->arena);
}
