/* SPDX-License-Identifier: ISC */
#include "store/record.h"

#include <string.h>

#include "base/err.h"
#include "store/db.h"
#include "store/record_private.h"

/* -- keys ------------------------------------------------------------------ */

struct bytes
record_key_id(const struct msgid *id)
{
	return (struct bytes){ (const char *)id->b, sizeof(id->b) };
}

static struct bytes
key_bytes(const struct record_key *k)
{
	return (struct bytes){ k->p, k->n };
}

struct bytes
record_key_numbered(struct record_key *k, const struct msgid *id, uint32_t n)
{
	memcpy(k->p, id->b, KEY_ID_SIZE);
	db_put_be32(k->p + KEY_ID_SIZE, n);
	k->n = KEY_RECIPIENT_SIZE;
	return key_bytes(k);
}

struct bytes
record_key_due(struct record_key *k, const struct due_key *d)
{
	db_put_be64(k->p, (uint64_t)d->due.ms);
	memcpy(k->p + 8, d->id.b, KEY_ID_SIZE);
	db_put_be32(k->p + 8 + KEY_ID_SIZE, d->n);
	k->n = KEY_DUE_SIZE;
	return key_bytes(k);
}

struct bytes
record_key_chunk(struct record_key *k, uint64_t content, uint32_t piece)
{
	db_put_be64(k->p, content);
	db_put_be32(k->p + 8, piece);
	k->n = KEY_CHUNK_SIZE;
	return key_bytes(k);
}

struct bytes
record_key_number(struct record_key *k, uint64_t n)
{
	db_put_be64(k->p, n);
	k->n = 8;
	return key_bytes(k);
}

struct bytes
record_key_counter(struct record_key *k, struct bytes scope, int64_t minute)
{
	must(scope.n > 0 && scope.n + 9 <= KEY_SIZE_MAX);
	memcpy(k->p, scope.p, scope.n);
	k->p[scope.n] = '\0';
	db_put_be64(k->p + scope.n + 1, (uint64_t)minute);
	k->n = scope.n + 9;
	return key_bytes(k);
}

bool
record_split_numbered(struct bytes key, struct msgid *id, uint32_t *n)
{
	if (key.n != KEY_RECIPIENT_SIZE)
		return false;
	memcpy(id->b, key.p, KEY_ID_SIZE);
	*n = db_get_be32(key.p + KEY_ID_SIZE);
	return true;
}

bool
record_split_due(struct bytes key, struct due_key *d)
{
	if (key.n != KEY_DUE_SIZE)
		return false;
	d->due.ms = (int64_t)db_get_be64(key.p);
	memcpy(d->id.b, key.p + 8, KEY_ID_SIZE);
	d->n = db_get_be32(key.p + 8 + KEY_ID_SIZE);
	return true;
}

bool
record_split_chunk(struct bytes key, uint64_t *content, uint32_t *piece)
{
	if (key.n != KEY_CHUNK_SIZE)
		return false;
	*content = db_get_be64(key.p);
	*piece = db_get_be32(key.p + 8);
	return true;
}

bool
record_split_counter(struct bytes key, struct bytes *scope, int64_t *minute)
{
	if (key.n < 10 || key.p[key.n - 9] != '\0')
		return false;
	*scope = bytes_head(key, key.n - 9);
	*minute = (int64_t)db_get_be64(key.p + key.n - 8);
	return true;
}

/* -- parts of values ------------------------------------------------------ */

void
record_put_time(struct buf *b, struct wall w)
{
	pack_u64(b, (uint64_t)w.ms);
}

struct wall
record_get_time(struct unpack *u)
{
	return unpack_wall_of(u, (int64_t)unpack_u64(u));
}

unsigned
record_get_small(struct unpack *u, unsigned max)
{
	uint64_t v = unpack_u64(u);

	if (v <= max)
		return (unsigned)v;
	u->failed = true;
	return 0;
}

void *
record_get_array(struct unpack *u, struct arena *a, size_t size,
    unsigned *count)
{
	uint64_t n = unpack_u64(u);
	void	*v = NULL;

	*count = 0;
	if (n > u->rest.n)
		u->failed = true;
	if (u->failed || n == 0)
		return NULL;
	v = arena_alloc(a, (size_t)n * size);
	if (v == NULL)
		u->failed = true;
	else
		*count = (unsigned)n;
	return v;
}

/*
 * Behind the members of a row: the id of its configuration set, and where
 * it matters the pool that was named by it.  A bit in front says whether they
 * are there, as rows of the first release have none.
 */
static void
record_put_set(struct buf *b, const struct config_set_id *id)
{
	if (!config_set_id_is_none(id))
		pack_raw(b, id->b, sizeof(id->b));
}

static void
record_get_set(struct unpack *u, bool has, struct config_set_id *id)
{
	memset(id, 0, sizeof(*id));
	if (!has)
		return;
	unpack_raw(u, id->b, sizeof(id->b));
	if (config_set_id_is_none(id))
		u->failed = true;
}

static void
record_put_set_pool(struct buf *b, const struct config_set_id *id,
    struct bytes pool)
{
	record_put_set(b, id);
	if (!config_set_id_is_none(id))
		pack_bytes(b, pool);
}

static void
record_get_set_pool(struct unpack *u, bool has, struct config_set_id *id,
    struct bytes *pool)
{
	record_get_set(u, has, id);
	*pool = has ? unpack_bytes(u) : BYTES("");
}

/* -- message --------------------------------------------------------------- */

enum {
	MESSAGE_HAS_8BIT = 1,
	MESSAGE_IS_SYSTEM = 2,
	MESSAGE_HAS_SET = 4,
	MESSAGE_HAS_WISH = 8, /* RFC 3461 */
	MESSAGE_BITS = 15
};

bool
record_write_message(const struct message_row *r, struct buf *out)
{
	bool has_wish = r->ret != 0 || r->envid.n > 0;

	pack_u64(out, (has_wish ? MESSAGE_HAS_WISH : 0) |
	    (r->has_8bit ? MESSAGE_HAS_8BIT : 0) |
	    (r->system ? MESSAGE_IS_SYSTEM : 0) |
	    (config_set_id_is_none(&r->config_set) ? 0 : MESSAGE_HAS_SET));
	pack_u64(out, r->tls_policy);
	pack_u64(out, r->open);
	pack_u64(out, r->content);
	pack_u64(out, r->head_octets);
	pack_u64(out, r->body_octets);
	pack_bytes(out, bytes_of(r->account));
	pack_bytes(out, r->mail_from_domain);
	if (has_wish) {
		pack_u64(out, r->ret);
		pack_bytes(out, r->envid);
	}
	record_put_set(out, &r->config_set);
	return !out->failed;
}

bool
record_read_message(struct bytes in, struct message_row *out)
{
	struct unpack r = unpack_of(in);
	unsigned      bits = record_get_small(&r, MESSAGE_BITS);

	out->has_8bit = (bits & MESSAGE_HAS_8BIT) != 0;
	out->system = (bits & MESSAGE_IS_SYSTEM) != 0;
	out->tls_policy = (uint8_t)record_get_small(&r, UINT8_MAX);
	out->open = record_get_small(&r, MSGID_RECIPIENT_MAX);
	out->content = unpack_u64(&r);
	out->head_octets = unpack_u64(&r);
	out->body_octets = unpack_u64(&r);
	unpack_text(&r, out->account, sizeof(out->account));
	out->mail_from_domain = unpack_bytes(&r);
	out->ret = 0;
	out->envid = BYTES("");
	if ((bits & MESSAGE_HAS_WISH) != 0) {
		out->ret = (uint8_t)record_get_small(&r, UINT8_MAX);
		out->envid = unpack_bytes(&r);
		if (out->ret == 0 && out->envid.n == 0)
			r.failed = true;
	}
	record_get_set(&r, (bits & MESSAGE_HAS_SET) != 0, &out->config_set);
	return unpack_done(&r);
}

/* -- recipient ------------------------------------------------------------- */

/* A fresh one, never tried, has none of the members behind its address. */
enum {
	RECIPIENT_SIMULATOR = 1,
	RECIPIENT_TRIED = 2,
	RECIPIENT_HAS_WISH = 4, /* RFC 3461 */
	RECIPIENT_STATE = 8
};

static bool
recipient_is_fresh(const struct recipient_row *r)
{
	return r->attempts == 0 && r->first_attempt.ms == 0 &&
	    r->last_attempt.ms == 0 && r->flags == 0 &&
	    r->last_reply.n == 0 && r->last_remote.n == 0 &&
	    r->last_source_ip.n == 0 && r->last_stage.n == 0;
}

bool
record_write_recipient(const struct recipient_row *r, struct buf *out)
{
	bool is_fresh = recipient_is_fresh(r);
	bool has_wish = r->notify != 0 || r->orcpt.n > 0;

	pack_u64(out, (r->simulator ? RECIPIENT_SIMULATOR : 0) |
	    (has_wish ? RECIPIENT_HAS_WISH : 0) |
	    (is_fresh ? 0 : RECIPIENT_TRIED) |
	    (unsigned)r->state * RECIPIENT_STATE);
	pack_u64(out, r->held_by);
	record_put_time(out, r->next);
	record_put_time(out, r->expires);
	pack_bytes(out, r->address);
	if (has_wish) {
		pack_u64(out, r->notify);
		pack_bytes(out, r->orcpt);
	}
	if (is_fresh)
		return !out->failed;
	pack_u64(out, r->attempts);
	pack_u64(out, r->flags);
	record_put_time(out, r->first_attempt);
	record_put_time(out, r->last_attempt);
	pack_bytes(out, r->last_reply);
	pack_bytes(out, r->last_remote);
	pack_bytes(out, r->last_source_ip);
	pack_bytes(out, r->last_stage);
	return !out->failed;
}

bool
record_read_recipient(struct bytes in, struct recipient_row *out)
{
	struct unpack r = unpack_of(in);
	struct msgid  id = out->id;
	unsigned      n = out->n, bits;

	memset(out, 0, sizeof(*out));
	out->id = id;
	out->n = n;
	bits = record_get_small(&r, ENVELOPE_HELD * RECIPIENT_STATE +
	    RECIPIENT_STATE - 1);
	out->simulator = (bits & RECIPIENT_SIMULATOR) != 0;
	out->state = (enum envelope_state)(bits / RECIPIENT_STATE);
	out->held_by = (uint8_t)record_get_small(&r, UINT8_MAX);
	out->next = record_get_time(&r);
	out->expires = record_get_time(&r);
	out->address = unpack_bytes(&r);
	if ((bits & RECIPIENT_HAS_WISH) != 0) {
		out->notify = (uint8_t)record_get_small(&r, UINT8_MAX);
		out->orcpt = unpack_bytes(&r);
		if (out->notify == 0 && out->orcpt.n == 0)
			r.failed = true;
	}
	if ((bits & RECIPIENT_TRIED) == 0)
		return unpack_done(&r);
	out->attempts = record_get_small(&r, UINT32_MAX);
	out->flags = record_get_small(&r, UINT32_MAX);
	out->first_attempt = record_get_time(&r);
	out->last_attempt = record_get_time(&r);
	out->last_reply = unpack_bytes(&r);
	out->last_remote = unpack_bytes(&r);
	out->last_source_ip = unpack_bytes(&r);
	out->last_stage = unpack_bytes(&r);
	return unpack_done(&r);
}

/* -- due and held ---------------------------------------------------------- */

enum {
	DUE_SYSTEM = 1,
	DUE_SIMULATOR = 2,
	DUE_HAS_SET = 4,
	DUE_SUPPRESSED = 8,
	DUE_BITS = 15
};

bool
record_write_due(const struct due_row *r, struct buf *out)
{
	pack_u64(out, (r->system ? DUE_SYSTEM : 0) |
	    (r->simulator ? DUE_SIMULATOR : 0) |
	    (r->suppressed ? DUE_SUPPRESSED : 0) |
	    (config_set_id_is_none(&r->config_set) ? 0 : DUE_HAS_SET));
	pack_u64(out, r->tls_policy);
	pack_u64(out, r->held_by);
	pack_u64(out, r->size);
	pack_bytes(out, bytes_of(r->account));
	pack_bytes(out, r->domain);
	record_put_set_pool(out, &r->config_set, r->pool);
	return !out->failed;
}

bool
record_read_due(struct bytes in, struct due_row *out)
{
	struct unpack r = unpack_of(in);
	unsigned      bits = record_get_small(&r, DUE_BITS);

	out->system = (bits & DUE_SYSTEM) != 0;
	out->simulator = (bits & DUE_SIMULATOR) != 0;
	out->suppressed = (bits & DUE_SUPPRESSED) != 0;
	out->tls_policy = (uint8_t)record_get_small(&r, UINT8_MAX);
	out->held_by = (uint8_t)record_get_small(&r, UINT8_MAX);
	out->size = unpack_u64(&r);
	unpack_text(&r, out->account, sizeof(out->account));
	out->domain = unpack_bytes(&r);
	record_get_set_pool(&r, (bits & DUE_HAS_SET) != 0,
	    &out->config_set, &out->pool);
	return unpack_done(&r);
}

/* -- mail ------------------------------------------------------------------ */

enum { MAIL_SYSTEM = 1, MAIL_HAS_SET = 2, MAIL_HAS_WISH = 4, MAIL_BITS = 7 };

/* The texts of a mail row in the order in which they are stored. */
enum { MAIL_TEXTS = 14 };

static void
mail_texts(struct mail_row *r, struct bytes *texts[MAIL_TEXTS])
{
	struct bytes *in_order[MAIL_TEXTS] = { &r->credential, &r->access_key,
		&r->client_ip, &r->listener, &r->sid, &r->tls_version,
		&r->sender, &r->identity, &r->identity_account,
		&r->from_domain, &r->forward, &r->config_set,
		&r->mail_from_domain, &r->message_id };

	memcpy(texts, in_order, sizeof(in_order));
}

static void
mail_put_wishes(struct buf *b, const struct mail_row *r)
{
	unsigned i;

	pack_bytes(b, r->envid);
	for (i = 0; i < r->recipient_count; i++) {
		pack_u64(b, r->wishes[i].notify);
		pack_bytes(b, r->wishes[i].orcpt);
	}
}

static void
mail_get_wishes(struct unpack *u, struct arena *a, struct mail_row *out)
{
	unsigned i;

	out->envid = unpack_bytes(u);
	out->wishes = arena_alloc(a, (out->recipient_count + 1) *
	    sizeof(*out->wishes));
	if (out->wishes == NULL)
		u->failed = true;
	for (i = 0; !u->failed && i < out->recipient_count; i++) {
		out->wishes[i].notify = (uint8_t)record_get_small(u,
		    UINT8_MAX);
		out->wishes[i].orcpt = unpack_bytes(u);
	}
}

bool
record_write_mail(const struct mail_row *r, struct buf *out)
{
	struct mail_row row = *r;
	struct bytes   *texts[MAIL_TEXTS];
	unsigned	i;

	pack_u64(out, (r->system ? MAIL_SYSTEM : 0) |
	    (r->wishes != NULL ? MAIL_HAS_WISH : 0) |
	    (config_set_id_is_none(&r->config_set_id) ? 0 : MAIL_HAS_SET));
	record_put_time(out, r->accepted);
	record_put_time(out, r->expires);
	pack_u64(out, r->size);
	pack_bytes(out, bytes_of(r->account));
	mail_texts(&row, texts);
	for (i = 0; i < MAIL_TEXTS; i++)
		pack_bytes(out, *texts[i]);
	pack_bytes(out, r->subject);
	pack_u64(out, r->recipient_count);
	for (i = 0; i < r->recipient_count; i++)
		pack_bytes(out, r->recipients[i]);
	if (r->wishes != NULL)
		mail_put_wishes(out, r);
	pack_u64(out, r->tag_count);
	for (i = 0; i < r->tag_count; i++) {
		pack_bytes(out, r->tags[i].name);
		pack_bytes(out, r->tags[i].value);
	}
	record_put_set_pool(out, &r->config_set_id, r->pool);
	return !out->failed;
}

bool
record_read_mail(struct bytes in, struct arena *a, struct mail_row *out)
{
	struct unpack r = unpack_of(in);
	struct bytes *texts[MAIL_TEXTS];
	unsigned      i, bits = record_get_small(&r, MAIL_BITS);

	out->system = (bits & MAIL_SYSTEM) != 0;
	out->accepted = record_get_time(&r);
	out->expires = record_get_time(&r);
	out->size = unpack_u64(&r);
	unpack_text(&r, out->account, sizeof(out->account));
	mail_texts(out, texts);
	for (i = 0; i < MAIL_TEXTS; i++)
		*texts[i] = unpack_bytes(&r);
	out->subject = unpack_bytes(&r);
	out->recipients = record_get_array(&r, a, sizeof(*out->recipients),
	    &out->recipient_count);
	for (i = 0; i < out->recipient_count; i++)
		out->recipients[i] = unpack_bytes(&r);
	out->wishes = NULL;
	out->envid = BYTES("");
	if ((bits & MAIL_HAS_WISH) != 0)
		mail_get_wishes(&r, a, out);
	out->tags = record_get_array(&r, a, sizeof(*out->tags), &out->tag_count);
	for (i = 0; i < out->tag_count; i++) {
		out->tags[i].name = unpack_bytes(&r);
		out->tags[i].value = unpack_bytes(&r);
	}
	record_get_set_pool(&r, (bits & MAIL_HAS_SET) != 0,
	    &out->config_set_id, &out->pool);
	return unpack_done(&r);
}

/* -- counter and state ----------------------------------------------------- */

/* Beyond it a number is damage: all buckets of a scope can be added up. */
#define MINUTE_MAX INT64_C(4223371680) /* the end of year 9999 */
#define COUNT_MAX (INT64_C(1) << 40)
#define SUM_MAX (INT64_C(1) << 52)

static bool
is_between(int64_t n, int64_t min, int64_t max)
{
	return n >= min && n <= max;
}

bool
record_write_counter(const struct counter_row *r, struct buf *out)
{
	pack_u64(out, (uint64_t)r->floor);
	pack_u64(out, (uint64_t)r->newest);
	pack_u64(out, (uint64_t)r->sum);
	return !out->failed;
}

bool
record_read_counter(struct bytes in, struct counter_row *out)
{
	struct unpack r = unpack_of(in);

	out->floor = (int64_t)unpack_u64(&r);
	out->newest = (int64_t)unpack_u64(&r);
	out->sum = (int64_t)unpack_u64(&r);
	return unpack_done(&r) && is_between(out->floor, 0, MINUTE_MAX) &&
	    is_between(out->newest, 0, MINUTE_MAX) &&
	    is_between(out->sum, -SUM_MAX, SUM_MAX);
}

bool
record_read_count(struct bytes in, int64_t *out)
{
	if (in.n != 8)
		return false;
	*out = (int64_t)db_get_be64(in.p);
	return is_between(*out, -COUNT_MAX, COUNT_MAX);
}

bool
record_write_state(const struct state_row *r, struct buf *out)
{
	pack_u64(out, r->messages);
	pack_u64(out, r->recipients);
	pack_u64(out, r->held);
	pack_u64(out, r->deferred);
	pack_u64(out, r->bytes);
	pack_u64(out, r->sequence);
	pack_u64(out, r->content);
	pack_u64(out, (uint64_t)r->committed);
	pack_u64(out, r->redo);
	pack_u64(out, r->intake_bytes);
	return !out->failed;
}

bool
record_read_state(struct bytes in, struct state_row *out)
{
	struct unpack r = unpack_of(in);

	out->messages = unpack_u64(&r);
	out->recipients = unpack_u64(&r);
	out->held = unpack_u64(&r);
	out->deferred = unpack_u64(&r);
	out->bytes = unpack_u64(&r);
	out->sequence = unpack_u64(&r);
	out->content = unpack_u64(&r);
	out->committed = (int64_t)unpack_u64(&r);
	out->redo = unpack_u64(&r);
	out->intake_bytes = unpack_u64(&r);
	return unpack_done(&r);
}
