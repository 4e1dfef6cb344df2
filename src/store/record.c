/* SPDX-License-Identifier: ISC */
/*
 * Values are rows of numbers (7 bits an octet, low ones first) and counted
 * strings in a fixed order.
 */
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

/* -- writing --------------------------------------------------------------- */

void
record_put_number(struct buf *b, uint64_t v)
{
	unsigned char t[10];
	size_t	      n = 0;

	while (v >= 0x80) {
		t[n++] = (unsigned char)(v | 0x80);
		v >>= 7;
	}
	t[n++] = (unsigned char)v;
	buf_add(b, t, n);
}

void
record_put_time(struct buf *b, struct wall w)
{
	record_put_number(b, (uint64_t)w.ms);
}

void
record_put_text(struct buf *b, struct bytes s)
{
	record_put_number(b, s.n);
	buf_add_bytes(b, s);
}

/* -- reading --------------------------------------------------------------- */

struct record_reader
record_reader_of(struct bytes in)
{
	const unsigned char *p = (const unsigned char *)in.p;

	if (in.n == 0)
		p = (const unsigned char *)"";
	return (struct record_reader){ p, p + in.n, false };
}

uint64_t
record_get_number(struct record_reader *r)
{
	uint64_t v = 0;
	unsigned shift;

	for (shift = 0; shift < 64 && r->p < r->end; shift += 7) {
		/* the tenth octet has room for one bit */
		if (shift == 63 && *r->p > 1)
			break;
		v |= (uint64_t)(*r->p & 0x7f) << shift;
		if ((*r->p++ & 0x80) == 0)
			return v;
	}
	r->is_bad = true;
	return 0;
}

/* A number of at most max. */
unsigned
record_get_small(struct record_reader *r, unsigned max)
{
	uint64_t v = record_get_number(r);

	if (v > max) {
		r->is_bad = true;
		return 0;
	}
	return (unsigned)v;
}

struct wall
record_get_time(struct record_reader *r)
{
	return (struct wall){ (int64_t)record_get_number(r) };
}

struct bytes
record_get_text(struct record_reader *r)
{
	uint64_t     n = record_get_number(r);
	struct bytes b = { "", 0 };

	if (r->is_bad || n > (uint64_t)(r->end - r->p)) {
		r->is_bad = true;
		return b;
	}
	b.p = (const char *)r->p;
	b.n = (size_t)n;
	r->p += n;
	return b;
}

void
record_get_account(struct record_reader *r, char out[ACCOUNT_ID_SIZE])
{
	struct bytes b = record_get_text(r);

	if (b.n >= ACCOUNT_ID_SIZE)
		r->is_bad = true;
	bytes_text(b, out, ACCOUNT_ID_SIZE);
}

bool
record_reader_is_done(const struct record_reader *r)
{
	return !r->is_bad && r->p == r->end;
}

/* A count of things that take at least one octet each, as an array. */
void *
record_get_array(struct record_reader *r, struct arena *a, size_t size,
    unsigned *count)
{
	uint64_t n = record_get_number(r);
	void	*v;

	*count = 0;
	if (r->is_bad || n > (uint64_t)(r->end - r->p)) {
		r->is_bad = true;
		return NULL;
	}
	if (n == 0)
		return NULL;
	v = arena_alloc(a, (size_t)n * size);
	if (v == NULL)
		r->is_bad = true;
	else
		*count = (unsigned)n;
	return v;
}

/* -- message --------------------------------------------------------------- */

enum { MESSAGE_HAS_8BIT = 1, MESSAGE_IS_SYSTEM = 2 };

bool
record_write_message(const struct message_row *r, struct buf *out)
{
	record_put_number(out, (r->has_8bit ? MESSAGE_HAS_8BIT : 0) |
	    (r->system ? MESSAGE_IS_SYSTEM : 0));
	record_put_number(out, r->tls_policy);
	record_put_number(out, r->open);
	record_put_number(out, r->content);
	record_put_number(out, r->head_octets);
	record_put_number(out, r->body_octets);
	record_put_text(out, bytes_of(r->account));
	record_put_text(out, r->mail_from_domain);
	return !out->failed;
}

bool
record_read_message(struct bytes in, struct message_row *out)
{
	struct record_reader r = record_reader_of(in);
	unsigned bits = record_get_small(&r,
	    MESSAGE_HAS_8BIT | MESSAGE_IS_SYSTEM);

	out->has_8bit = (bits & MESSAGE_HAS_8BIT) != 0;
	out->system = (bits & MESSAGE_IS_SYSTEM) != 0;
	out->tls_policy = (uint8_t)record_get_small(&r, UINT8_MAX);
	out->open = record_get_small(&r, MSGID_RECIPIENT_MAX);
	out->content = record_get_number(&r);
	out->head_octets = record_get_number(&r);
	out->body_octets = record_get_number(&r);
	record_get_account(&r, out->account);
	out->mail_from_domain = record_get_text(&r);
	return record_reader_is_done(&r);
}

/* -- recipient ------------------------------------------------------------- */

/* A fresh one, never tried, has none of the members behind its address. */
enum { RECIPIENT_SIMULATOR = 1, RECIPIENT_TRIED = 2, RECIPIENT_STATE = 4 };

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

	record_put_number(out, (r->simulator ? RECIPIENT_SIMULATOR : 0) |
	    (is_fresh ? 0 : RECIPIENT_TRIED) |
	    (unsigned)r->state * RECIPIENT_STATE);
	record_put_number(out, r->held_by);
	record_put_time(out, r->next);
	record_put_time(out, r->expires);
	record_put_text(out, r->address);
	if (is_fresh)
		return !out->failed;
	record_put_number(out, r->attempts);
	record_put_number(out, r->flags);
	record_put_time(out, r->first_attempt);
	record_put_time(out, r->last_attempt);
	record_put_text(out, r->last_reply);
	record_put_text(out, r->last_remote);
	record_put_text(out, r->last_source_ip);
	record_put_text(out, r->last_stage);
	return !out->failed;
}

bool
record_read_recipient(struct bytes in, struct recipient_row *out)
{
	struct record_reader r = record_reader_of(in);
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
	out->address = record_get_text(&r);
	if ((bits & RECIPIENT_TRIED) == 0)
		return record_reader_is_done(&r);
	out->attempts = record_get_small(&r, UINT32_MAX);
	out->flags = record_get_small(&r, UINT32_MAX);
	out->first_attempt = record_get_time(&r);
	out->last_attempt = record_get_time(&r);
	out->last_reply = record_get_text(&r);
	out->last_remote = record_get_text(&r);
	out->last_source_ip = record_get_text(&r);
	out->last_stage = record_get_text(&r);
	return record_reader_is_done(&r);
}

/* -- due and held ---------------------------------------------------------- */

enum { DUE_SYSTEM = 1, DUE_SIMULATOR = 2 };

bool
record_write_due(const struct due_row *r, struct buf *out)
{
	record_put_number(out, (r->system ? DUE_SYSTEM : 0) |
	    (r->simulator ? DUE_SIMULATOR : 0));
	record_put_number(out, r->tls_policy);
	record_put_number(out, r->held_by);
	record_put_number(out, r->size);
	record_put_text(out, bytes_of(r->account));
	record_put_text(out, r->domain);
	return !out->failed;
}

bool
record_read_due(struct bytes in, struct due_row *out)
{
	struct record_reader r = record_reader_of(in);
	unsigned      bits = record_get_small(&r, DUE_SYSTEM | DUE_SIMULATOR);

	out->system = (bits & DUE_SYSTEM) != 0;
	out->simulator = (bits & DUE_SIMULATOR) != 0;
	out->tls_policy = (uint8_t)record_get_small(&r, UINT8_MAX);
	out->held_by = (uint8_t)record_get_small(&r, UINT8_MAX);
	out->size = record_get_number(&r);
	record_get_account(&r, out->account);
	out->domain = record_get_text(&r);
	return record_reader_is_done(&r);
}

/* -- mail ------------------------------------------------------------------ */

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

bool
record_write_mail(const struct mail_row *r, struct buf *out)
{
	struct mail_row row = *r;
	struct bytes   *texts[MAIL_TEXTS];
	unsigned	i;

	record_put_number(out, r->system);
	record_put_time(out, r->accepted);
	record_put_time(out, r->expires);
	record_put_number(out, r->size);
	record_put_text(out, bytes_of(r->account));
	mail_texts(&row, texts);
	for (i = 0; i < MAIL_TEXTS; i++)
		record_put_text(out, *texts[i]);
	record_put_text(out, r->subject);
	record_put_number(out, r->recipient_count);
	for (i = 0; i < r->recipient_count; i++)
		record_put_text(out, r->recipients[i]);
	record_put_number(out, r->tag_count);
	for (i = 0; i < r->tag_count; i++) {
		record_put_text(out, r->tags[i].name);
		record_put_text(out, r->tags[i].value);
	}
	return !out->failed;
}

bool
record_read_mail(struct bytes in, struct arena *a, struct mail_row *out)
{
	struct record_reader r = record_reader_of(in);
	struct bytes *texts[MAIL_TEXTS];
	unsigned      i;

	out->system = record_get_small(&r, 1) != 0;
	out->accepted = record_get_time(&r);
	out->expires = record_get_time(&r);
	out->size = record_get_number(&r);
	record_get_account(&r, out->account);
	mail_texts(out, texts);
	for (i = 0; i < MAIL_TEXTS; i++)
		*texts[i] = record_get_text(&r);
	out->subject = record_get_text(&r);
	out->recipients = record_get_array(&r, a, sizeof(*out->recipients),
	    &out->recipient_count);
	for (i = 0; i < out->recipient_count; i++)
		out->recipients[i] = record_get_text(&r);
	out->tags = record_get_array(&r, a, sizeof(*out->tags), &out->tag_count);
	for (i = 0; i < out->tag_count; i++) {
		out->tags[i].name = record_get_text(&r);
		out->tags[i].value = record_get_text(&r);
	}
	return record_reader_is_done(&r);
}

/* -- counter and state ----------------------------------------------------- */

bool
record_write_counter(const struct counter_row *r, struct buf *out)
{
	record_put_number(out, (uint64_t)r->floor);
	record_put_number(out, (uint64_t)r->newest);
	record_put_number(out, (uint64_t)r->sum);
	return !out->failed;
}

bool
record_read_counter(struct bytes in, struct counter_row *out)
{
	struct record_reader r = record_reader_of(in);

	out->floor = (int64_t)record_get_number(&r);
	out->newest = (int64_t)record_get_number(&r);
	out->sum = (int64_t)record_get_number(&r);
	return record_reader_is_done(&r);
}

bool
record_write_state(const struct state_row *r, struct buf *out)
{
	record_put_number(out, r->messages);
	record_put_number(out, r->recipients);
	record_put_number(out, r->held);
	record_put_number(out, r->deferred);
	record_put_number(out, r->bytes);
	record_put_number(out, r->sequence);
	record_put_number(out, r->content);
	record_put_number(out, (uint64_t)r->committed);
	return !out->failed;
}

bool
record_read_state(struct bytes in, struct state_row *out)
{
	struct record_reader r = record_reader_of(in);

	out->messages = record_get_number(&r);
	out->recipients = record_get_number(&r);
	out->held = record_get_number(&r);
	out->deferred = record_get_number(&r);
	out->bytes = record_get_number(&r);
	out->sequence = record_get_number(&r);
	out->content = record_get_number(&r);
	out->committed = (int64_t)record_get_number(&r);
	return record_reader_is_done(&r);
}
