/* SPDX-License-Identifier: ISC */
#include "submission/receive.h"

#include <string.h>

#include "mail/address.h"
#include "mail/event.h"
#include "mail/mime.h"
#include "submission/desk_private.h"
#include "submission/receive_private.h"

enum {
	FEED_SLICE = 32 * 1024,
	HEADER_ARENA_MAX = 8 * 1024 * 1024, /* fields of the worst section */
	LINE_MAX_OCTETS = 998,		    /* RFC 5322 2.1.1 */
	HEADER_SMALL = 16 * 1024,	    /* always has room */
	FIELD_LINE_MAX = 980, /* one line with its name, 998 at most */
	MEMORY_STEP = CHUNK_OCTETS,	    /* counted in steps of this */
	STAGE_RETRY_MS = 20
};

static void receive_on_piece(void *arg, struct bytes piece);
static bool receive_check_framing(const struct receive *r, struct reply *re);
static void receive_on_retry(void *receive, void *unused);
static void receive_on_receipt(void *desk, void *stage);

/* -- life ----------------------------------------------------------------- */

struct receive *
receive_new(const struct receive_setup *s, struct err *e)
{
	struct receive *r = mem_alloc(sizeof(*r));

	r->setup = *s;
	r->setup.blocked = NULL; /* used here only */
	framing_init(&r->framing, s->kind);
	buf_init(&r->head, s->conf->message.max_header_size_bytes +
	    2 * FEED_SLICE);
	timer_init(&r->retry, s->desk->setup.loop, receive_on_retry, r);
	r->blocked = s->conf->attachments.blocked;
	if (s->blocked != NULL && s->blocked[0] != '\0') {
		r->own_blocked = mime_blocked_new(bytes_of(s->blocked), e);
		if (r->own_blocked == NULL) {
			receive_free(r);
			return NULL;
		}
		r->blocked = r->own_blocked;
	}
	return r;
}

/* Memory of the content, as the shared tally has it. */
static void
receive_count_memory(struct receive *r)
{
	int64_t now = (int64_t)(message_memory(r->setup.message) +
	    r->stage_octets + r->head.cap +
	    (r->arena != NULL ? arena_used(r->arena) : 0));

	now = now / MEMORY_STEP * MEMORY_STEP;
	if (now != r->counted) {
		desk_memory_add(r->setup.desk, now - r->counted);
		r->counted = now;
	}
}

void
receive_free(struct receive *r)
{
	if (r == NULL)
		return;
	if (r->counted != 0)
		desk_memory_add(r->setup.desk, -r->counted);
	timer_clear(&r->retry);
	/* a receipt that comes later finds nobody and discards by itself */
	if (r->stage_ticket != 0)
		desk_ticket_take(r->setup.desk->stages, r->stage_ticket);
	else if (!r->released && r->setup.message->content != 0)
		spool_discard(r->setup.desk->setup.spool,
		    r->setup.message->content);
	if (r->stage_waiting != NULL) {
		chunk_free_all(r->stage_waiting->chunks);
		mem_free(r->stage_waiting);
	}
	signer_hash_free(r->hash);
	mime_free(r->mime);
	mime_blocked_free(r->own_blocked);
	arena_free(r->arena);
	buf_wipe(&r->head);
	mem_free(r);
}

void
receive_hand_over(struct receive *r, void (*on_room)(void *arg), void *arg)
{
	r->setup.on_room = on_room;
	r->setup.arg = arg;
}

void
receive_release(struct receive *r)
{
	must(receive_is_settled(r));
	r->released = true;
}

/* -- the header section --------------------------------------------------- */

static struct bytes
receive_value(const struct receive *r, const char *name)
{
	const struct field *f = header_find(&r->header, name);

	return f == NULL ? BYTES("") : f->value;
}

/*
 * Addresses at server.name are names of users of this host that were made
 * whole; nobody can answer to them (credentials 8.2).  The relay knows the uid
 * of the caller but asks nobody for his name: that of any user is meant.
 */
static bool
receive_use_local_sender(struct receive *r)
{
	static const char *const names[] = { "From", "Sender", "Reply-To" };
	struct bytes	   host = bytes_of(r->setup.conf->server.name);
	struct bytes	   sender = bytes_of(r->setup.local_sender);
	struct field	  *f;
	struct buf	   value;
	size_t		   i;
	bool		   ok = true;

	for (i = 0; ok && i < sizeof(names) / sizeof(names[0]); i++) {
		f = header_find(&r->header, names[i]);
		if (f == NULL || header_is_signed(&r->header, names[i]))
			continue;
		buf_init(&value, FIELD_LINE_MAX);
		/* ": " is written anew; a field that would become longer
		 * than a line may be stays as it is */
		if (mailbox_list_replace(bytes_trim(f->value), host, sender,
			r->arena, &value) > 0 && !value.failed)
			ok = header_replace(&r->header, f, names[i],
			    buf_bytes(&value));
		buf_wipe(&value);
	}
	return ok;
}

/* The section is complete in r->head (with what stands behind it or not). */
static void
receive_take_header(struct receive *r)
{
	const struct conf  *c = r->setup.conf;
	struct header_rules rules = {
		.section_max = c->message.max_header_size_bytes,
		.lenient = r->setup.lenient };
	struct mime_rules   parts = { .parts_max = c->message.max_mime_parts,
		.blocked = r->blocked,
		.seeks_test = c->filter.eicar_test };

	r->has_header = true;
	r->arena = arena_new(HEADER_ARENA_MAX);
	r->header_result = header_parse(buf_bytes(&r->head), &rules, r->arena,
	    &r->header);
	if (r->header_result != HEADER_OK) {
		r->dropping = true;
		return;
	}
	r->mime = mime_new(&parts);
	r->no_memory = r->mime == NULL || (r->setup.local_sender != NULL &&
	    !receive_use_local_sender(r));
	if (r->no_memory) {
		r->dropping = true;
		return;
	}
	mime_outer_encoding(r->mime,
	    receive_value(r, "Content-Transfer-Encoding"));
	mime_outer(r->mime, receive_value(r, "Content-Type"),
	    receive_value(r, "Content-Disposition"));
	receive_count_memory(r);
}

static void receive_add_body(struct receive *r, struct bytes piece);

/*
 * A section cannot be laid down ahead as a body can, and its fields need more
 * memory than its text.  Where there is no more, the big ones give way.
 */
static bool
receive_gives_way(struct receive *r)
{
	receive_count_memory(r);
	if (r->head.n <= HEADER_SMALL ||
	    !desk_is_overloaded(r->setup.desk, r->setup.conf))
		return false;
	buf_wipe(&r->head);
	r->has_header = r->no_memory = r->dropping = true;
	receive_count_memory(r);
	return true;
}

/*
 * Finds the end of the section; what stands behind it goes on as body.  A
 * section that arrives in one piece is found before it is copied.
 */
static void
receive_add_header(struct receive *r, struct bytes piece)
{
	size_t	     before = r->head.n;
	size_t	     max = r->setup.conf->message.max_header_size_bytes;
	struct bytes sofar = piece;
	ptrdiff_t    at;

	if (before > 0) {
		buf_add_bytes(&r->head, piece);
		sofar = buf_bytes(&r->head);
	}
	at = header_end(sofar, &r->scanned, r->setup.lenient);
	/* raw: what is longer than a section may be is body from there on */
	if (r->setup.raw && (at < 0 || (size_t)at > max) && sofar.n >= max)
		at = (ptrdiff_t)max;
	if (before == 0)
		buf_add_bytes(&r->head,
		    at < 0 ? piece : bytes_head(piece, (size_t)at));
	if (r->head.failed || (at < 0 && r->head.n > max)) {
		r->has_header = true;
		r->header_result = HEADER_TOO_LONG;
		r->dropping = true;
		return;
	}
	if (receive_gives_way(r) || at < 0)
		return;
	/* what is behind the section stays in the memory of sofar */
	r->head.n = (size_t)at;
	if (r->setup.raw)
		r->has_header = true;
	else
		receive_take_header(r);
	if (!r->dropping)
		receive_add_body(r, bytes_from(sofar, (size_t)at));
}

/* -- body ----------------------------------------------------------------- */

static void
receive_drop(struct receive *r)
{
	struct message *m = r->setup.message;

	r->dropping = true;
	chunk_free_all(m->body_first);
	m->body_first = m->body_last = NULL;
	receive_count_memory(r);
}

/* Has the message so much in memory that some of it should be laid down? */
static bool
receive_is_heavy(const struct receive *r)
{
	size_t n = message_memory(r->setup.message);

	return n >= MESSAGE_MEMORY_MAX || (n >= CHUNK_OCTETS &&
	    desk_is_half_loaded(r->setup.desk, r->setup.conf));
}

/* Hands the waiting chunks to the writer; a full feed is asked again. */
static void
receive_submit_stage(struct receive *r)
{
	struct stage *st = r->stage_waiting;

	if (!spool_stage(r->setup.desk->setup.spool, st)) {
		timer_set(&r->retry, STAGE_RETRY_MS);
		return;
	}
	r->setup.desk->stage_count++;
	r->stage_waiting = NULL;
	r->stage_ticket = st->ticket;
	if (!desk_ticket_put(r->setup.desk->stages, st->ticket, r))
		must(false); /* the table is as big as there are messages */
}

static void
receive_on_retry(void *receive, void *unused)
{
	(void)unused;
	receive_submit_stage(receive);
}

/*
 * The body hash of what has come so far.  Most messages end before anything
 * is laid down, and many of them are not signed: so it is reckoned when a
 * signature is asked for, or when chunks are about to leave the memory.
 */
static void
receive_catch_up(struct receive *r)
{
	const struct message *m = r->setup.message;
	const struct chunk   *c;
	uint64_t	      at = m->body_octets;
	struct bytes	      b;

	if (r->hash == NULL && r->hashed == 0)
		r->hash = signer_hash_new(r->setup.desk->signer,
		    r->setup.conf, &r->hash_err);
	for (c = m->body_first; c != NULL; c = c->next)
		at -= c->n;
	must(r->hashed >= at);
	for (c = m->body_first; c != NULL; c = c->next) {
		b = bytes_from((struct bytes){ c->data, c->n },
		    r->hashed > at ? (size_t)(r->hashed - at) : 0);
		if (r->hash != NULL)
			signer_hash_feed(r->hash, b);
		at += c->n;
		r->hashed += b.n;
	}
}

/* Lays full chunks down ahead of the message, one batch at a time. */
static void
receive_stage(struct receive *r)
{
	struct desk    *d = r->setup.desk;
	struct message *m = r->setup.message;
	struct stage   *st;
	struct chunk   *c;

	if (r->stage_ticket != 0 || r->stage_waiting != NULL ||
	    !receive_is_heavy(r))
		return;
	if (!r->setup.raw)
		receive_catch_up(r);
	c = message_take_full(m);
	if (c == NULL)
		return;
	st = mem_alloc(sizeof(*st));
	st->from = d->setup.loop;
	st->on_receipt = receive_on_receipt;
	st->ctx = d;
	st->ticket = desk_ticket(d);
	st->content = m->content;
	st->offset = m->body_staged;
	st->chunks = c;
	r->stage_octets = 0;
	for (; c != NULL; c = c->next)
		r->stage_octets += c->n;
	r->stage_waiting = st;
	receive_submit_stage(r);
}

static void
receive_take_receipt(struct receive *r, const struct stage *st)
{
	struct message *m = r->setup.message;

	r->stage_ticket = 0;
	if (st->content != 0)
		m->content = st->content;
	if (st->result == RECEIPT_OK) {
		m->body_staged += r->stage_octets;
	} else {
		r->stage_result = st->result;
		receive_drop(r);
	}
	r->stage_octets = 0;
	if (!r->dropping)
		receive_stage(r);
	receive_count_memory(r);
	if (receive_may_read(r) && r->setup.on_room != NULL)
		r->setup.on_room(r->setup.arg);
}

/* The chunks are the writer's own and gone. */
static void
receive_on_receipt(void *desk, void *stage)
{
	struct desk    *d = desk;
	struct stage   *st = stage;
	struct receive *r = desk_ticket_take(d->stages, st->ticket);

	if (r != NULL)
		receive_take_receipt(r, st);
	else if (st->content != 0)
		spool_discard(d->setup.spool, st->content);
	mem_free(st);
	d->stage_count--;
	desk_look_idle(d);
}

static void
receive_add_body(struct receive *r, struct bytes piece)
{
	if (piece.n == 0)
		return;
	if (r->mime != NULL)
		mime_feed(r->mime, piece);
	if (!message_add_body(r->setup.message, piece)) {
		r->no_memory = true;
		receive_drop(r);
		return;
	}
	/* bounded pieces: the other sessions of the loop wait meanwhile */
	if (r->setup.message->body_octets - r->hashed >= CHUNK_OCTETS &&
	    !r->setup.raw)
		receive_catch_up(r);
	receive_stage(r);
	receive_count_memory(r);
}

static void
receive_on_piece(void *arg, struct bytes piece)
{
	struct receive *r = arg;
	struct reply	later;

	if (r->dropping)
		return;
	if (!receive_check_framing(r, &later)) {
		receive_drop(r); /* nothing of it is laid down any more */
		return;
	}
	if (r->has_header)
		receive_add_body(r, piece);
	else
		receive_add_header(r, piece);
}

/* -- feeding -------------------------------------------------------------- */

/* A message without an empty line is all header (raw: as far as it came). */
static void
receive_finish(struct receive *r)
{
	if (!r->has_header && !r->dropping && !r->setup.raw)
		receive_take_header(r);
	r->setup.message->has_8bit = r->framing.has_eight_bit;
}

size_t
receive_feed(struct receive *r, struct bytes in)
{
	struct bytes slice;
	size_t	     used = 0, n;

	while (used < in.n && !r->framing.ended) {
		slice = bytes_head(bytes_from(in, used), FEED_SLICE);
		n = framing_feed(&r->framing, slice, receive_on_piece, r);
		used += n;
	}
	if (r->framing.ended)
		receive_finish(r);
	return used;
}

void
receive_end(struct receive *r)
{
	framing_end(&r->framing, receive_on_piece, r);
	receive_finish(r);
}

bool
receive_has_ended(const struct receive *r)
{
	return r->framing.ended;
}

bool
receive_may_read(const struct receive *r)
{
	return receive_is_settled(r) || !receive_is_heavy(r);
}

bool
receive_is_settled(const struct receive *r)
{
	return r->stage_ticket == 0 && r->stage_waiting == NULL;
}

uint64_t
receive_octets(const struct receive *r)
{
	return r->framing.size;
}

bool
receive_is_too_long(const struct receive *r)
{
	return r->framing.size > r->setup.size_max;
}

bool
receive_is_flooded(const struct receive *r)
{
	return r->framing.size / 2 > r->setup.size_max;
}

/* -- checks --------------------------------------------------------------- */

/* Fields that begin a line, however the rest of the section looks. */
static unsigned
receive_count_hops(struct bytes head)
{
	unsigned  n = 0;
	ptrdiff_t lf = -1;

	do {
		head = bytes_from(head, (size_t)(lf + 1));
		n += bytes_starts_nocase(head, BYTES("Received:"));
		lf = bytes_find(head, 0, '\n');
	} while (lf >= 0);
	return n;
}

/* What is seen while the octets come; told at the end of data only. */
static bool
receive_check_framing(const struct receive *r, struct reply *re)
{
	const struct conf    *c = r->setup.conf;
	const struct framing *f = &r->framing;

	if (receive_is_too_long(r))
		return reply_refuse(re, 552, "5.3.4", "Message is too long.");
	if (r->setup.raw)
		return true;
	if (f->has_bare_lf && c->smtp.bare_lf == CONF_BARE_LF_REJECT)
		return reply_refuse(re, 550, "5.6.0",
		    "Message contains a bare line feed");
	if (f->has_bare_cr && c->smtp.bare_cr == CONF_BARE_CR_REJECT)
		return reply_refuse(re, 550, "5.6.0",
		    "Message contains a bare carriage return");
	if (f->has_nul)
		return reply_refuse(re, 550, "5.6.0",
		    "Message contains a NUL octet");
	if (f->longest > LINE_MAX_OCTETS &&
	    c->message.long_lines == CONF_LONG_LINES_REJECT)
		return reply_refuse(re, 554, "5.6.0",
		    "Transaction failed: Line too long.");
	return true;
}

bool
receive_check_raw(struct receive *r, unsigned hops_max, struct reply *re)
{
	if (receive_is_too_long(r))
		return reply_refuse(re, 552, "5.3.4", "Message is too long.");
	if (r->stage_result == RECEIPT_FULL)
		return reply_refuse(re, 452, "4.3.1",
		    "Insufficient system storage");
	if (r->stage_result != RECEIPT_OK || r->no_memory)
		return reply_refuse(re, 451, "4.3.0",
		    "Temporary service failure");
	if (receive_count_hops(buf_bytes(&r->head)) > hops_max)
		return reply_refuse(re, 554, NULL, "5.4.6 Too many hops");
	return true;
}

struct bytes
receive_raw_head(const struct receive *r)
{
	return buf_bytes(&r->head);
}

bool
receive_check_content(struct receive *r, struct reply *re)
{
	if (!receive_check_framing(r, re))
		return false;
	if (r->framing.size == 0)
		return reply_refuse(re, 554, "5.6.0",
		    "Transaction failed: Message is empty.");
	if (r->stage_result == RECEIPT_FULL)
		return reply_refuse(re, 452, "4.3.1",
		    "Insufficient system storage");
	if (r->stage_result != RECEIPT_OK || r->no_memory)
		return reply_refuse(re, 454, "4.3.0",
		    "Temporary service failure");
	return true;
}

bool
receive_is_readable(const struct receive *r, struct reply *re)
{
	switch (r->header_result) {
	case HEADER_OK:
		break;
	case HEADER_MALFORMED:
		return reply_refuse(re, 554, "5.6.0",
		    "Transaction failed: Malformed header line.");
	case HEADER_TOO_LONG:
	case HEADER_NO_MEMORY:
		return reply_refuse(re, 554, "5.6.0",
		    "Transaction failed: Header section too long.");
	}
	return true;
}

bool
receive_check_header(struct receive *r, struct reply *re)
{
	const struct conf  *c = r->setup.conf;
	const struct field *f;
	const char	   *name;

	if (!receive_is_readable(r, re))
		return false;
	if (header_count(&r->header, "Received") > c->message.max_hops)
		return reply_refuse(re, 554, "5.4.6",
		    "Transaction failed: Too many hops.");
	f = header_first_eight_bit(&r->header);
	if (f != NULL && c->message.header_8bit == CONF_HEADER_8BIT_REJECT)
		return reply_refuse(re, 554, "5.6.0",
		    "Transaction failed: Non-ASCII header '%.*s'.",
		    (int)(f->name.n < 200 ? f->name.n : 200), f->name.p);
	name = header_first_duplicate(&r->header,
	    c->message.unique_headers == CONF_UNIQUE_RFC5322 ?
		HEADER_UNIQUE_RFC5322 : HEADER_UNIQUE_SES,
	    c->message.allow_multiple_dkim);
	if (name != NULL)
		return reply_refuse(re, 554, "5.6.0",
		    "Transaction failed: Duplicate header '%s'.", name);
	return true;
}

bool
receive_check_parts(struct receive *r, struct reply *re)
{
	struct mime_result m;

	mime_end(r->mime, &m);
	r->setup.message->bad_content = m.has_test;
	switch (m.verdict) {
	case MIME_OK:
		return true;
	case MIME_TOO_MANY_PARTS:
		return reply_refuse(re, 554, "5.6.0",
		    "Transaction failed: Number of MIME parts exceeds %u.",
		    r->setup.conf->message.max_mime_parts);
	case MIME_TOO_DEEP:
		return reply_refuse(re, 554, "5.6.0",
		    "Transaction failed: MIME nesting is too deep.");
	case MIME_BLOCKED_NAME:
		return reply_refuse(re, 554, "5.7.1", "Transaction failed: "
		    "Illegal attachment file name '%s'.", m.name);
	case MIME_NO_MEMORY:
		break;
	}
	return reply_refuse(re, 454, "4.3.0", "Temporary service failure");
}

const struct header *
receive_header(const struct receive *r)
{
	return &r->header;
}

struct arena *
receive_arena(struct receive *r)
{
	return r->arena;
}

bool
receive_snapshot(struct receive *r)
{
	struct message *m = r->setup.message;
	struct buf	b;
	bool		ok;

	buf_init(&b, EVENT_SNAPSHOT_MAX);
	ok = event_snapshot_headers(buf_bytes(&r->head), &b) &&
	    message_set(m, &m->snapshot, buf_bytes(&b));
	buf_wipe(&b);
	return ok;
}

int
receive_body_hash(struct receive *r, unsigned char digest[32], struct err *e)
{
	receive_catch_up(r);
	if (r->hash == NULL) {
		*e = r->hash_err;
		return -1;
	}
	return signer_hash_end(r->hash, digest, e);
}
