/* SPDX-License-Identifier: ISC */
#include "registry/destination.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "registry/account.h"
#include "registry/rotated_name.h"
#include "store/pack.h"

enum {
	DESTINATION_RECORD = 3, /* version */
	DESTINATION_RECORD_MAX = 8192
};

const char *const destination_kind_names[] = { "file", "webhook", "metrics",
	"topic", NULL };

const char *const rotate_interval_names[] = { "NONE", "HOURLY", "DAILY",
	NULL };
const char *const webhook_format_names[] = { "RECORD", "SNS", NULL };
const char *const file_sync_names[] = { "NONE", "INTERVAL", "EACH", NULL };

/* -- values --------------------------------------------------------------- */

bool
destination_name_is_valid(struct bytes name)
{
	return config_set_name_is_valid(name); /* the same letters */
}

/* One name in the account's own directory: no path, nothing hidden, and not
 * one that rotation gives, compresses and removes. */
static bool
file_name_is_valid(const char *s)
{
	struct rotated_name rotated;

	return bytes_is_word(bytes_of(s), "-_.") && s[0] != '.' &&
	    strlen(s) < DESTINATION_FILE_SIZE &&
	    !rotated_name_read(bytes_of(s), &rotated);
}

/* Of all kinds: what a destination is may change. */
static void
destination_kinds_init(struct destination *d)
{
	d->file.rotate_octets = 104857600;
	d->file.rotate = ROTATE_DAILY;
	d->file.keep = 14;
	d->file.sync = SYNC_INTERVAL;
	d->webhook.timeout_s = 15;
	d->webhook.in_flight = 4;
}

void
destination_init(struct destination *d, const struct config_set *s,
    const char *name, struct wall now)
{
	memset(d, 0, sizeof(*d));
	d->set = s->id;
	mem_random(d->id.b, sizeof(d->id.b));
	bytes_text(bytes_of(s->account), d->account, sizeof(d->account));
	bytes_text(bytes_of(s->name), d->set_name, sizeof(d->set_name));
	bytes_text(bytes_of(name), d->name, sizeof(d->name));
	d->enabled = true;
	d->since = d->created = d->updated = now;
	destination_kinds_init(d);
}

bool
destination_is_subscription(const struct destination *d)
{
	return d->set_name[0] == '\0';
}

const char *
destination_target(const struct destination *d)
{
	switch (d->kind) {
	case DESTINATION_WEBHOOK:
		return d->webhook.url;
	case DESTINATION_METRICS:
		return DESTINATION_METRIC;
	case DESTINATION_TOPIC:
		return d->topic.name;
	case DESTINATION_FILE:
		break;
	}
	return d->file.name;
}

bool
destination_switch(struct destination *d, bool on, struct wall now)
{
	if (d->enabled == on)
		return false;
	d->enabled = on;
	d->updated = now;
	if (!on) {
		d->until = now;
		return true;
	}
	/* an earlier gap is forgotten, with what was before it */
	if (d->gap_to.ms != 0)
		d->since = d->gap_to;
	d->gap_from = d->until;
	d->gap_to = now;
	d->until.ms = 0;
	d->reason[0] = '\0';
	return true;
}

void
destination_disable(struct destination *d, const char *reason,
    struct wall now)
{
	(void)destination_switch(d, false, now);
	bytes_text(bytes_of(reason), d->reason, sizeof(d->reason));
}

/* The time stamp that records show may be a reporter's, long ago: the id's
 * counts. */
bool
destination_wants(const struct destination *d, const struct event *ev)
{
	struct wall at = event_id_time(&ev->id);

	return (d->types & (1u << ev->type)) != 0 && at.ms >= d->since.ms &&
	    (d->until.ms == 0 || at.ms < d->until.ms) &&
	    (at.ms < d->gap_from.ms || at.ms >= d->gap_to.ms);
}

char *
destination_cursor(const struct destination_id *id,
    char out[DESTINATION_CURSOR_SIZE])
{
	size_t i;

	memcpy(out, "dest/", 5);
	for (i = 0; i < sizeof(id->b); i++)
		snprintf(out + 5 + 2 * i, 3, "%02x", id->b[i]);
	return out;
}

/* -- the record ----------------------------------------------------------- */

static void
pack_webhook(struct buf *out, const struct destination_webhook *w)
{
	pack_text(out, w->url);
	pack_u64(out, w->timeout_s);
	pack_u64(out, w->in_flight);
	pack_text(out, w->headers);
	pack_raw(out, w->key, sizeof(w->key));
	pack_raw(out, w->old_key, sizeof(w->old_key));
	pack_i64(out, w->rotated.ms);
}

static void
pack_filter(struct buf *out, const struct destination_filter *f)
{
	pack_bool(out, f->is_set);
	if (!f->is_set)
		return;
	pack_text(out, f->tags);
	pack_text(out, f->identities);
	pack_text(out, f->domains);
	pack_u64(out, f->bounce_types);
	pack_bool(out, f->no_simulator);
}

static void
pack_file(struct buf *out, const struct destination_file *f)
{
	pack_text(out, f->name);
	pack_u64(out, f->rotate_octets);
	pack_u64(out, (uint64_t)f->rotate);
	pack_u64(out, f->keep);
	pack_bool(out, f->compress);
	pack_u64(out, (uint64_t)f->sync);
}

bool
destination_write_record(const struct destination *d, struct buf *out)
{
	pack_u64(out, DESTINATION_RECORD);
	pack_raw(out, d->set.b, sizeof(d->set.b));
	pack_raw(out, d->id.b, sizeof(d->id.b));
	pack_text(out, d->account);
	pack_text(out, d->set_name);
	pack_text(out, d->name);
	pack_text(out, d->topic.account);
	pack_text(out, d->topic.name);
	pack_u64(out, (d->enabled ? 1 : 0) | (d->extensions ? 2 : 0) |
	    (d->sns ? 4 : 0));
	pack_u64(out, d->types);
	pack_i64(out, d->since.ms);
	pack_i64(out, d->until.ms);
	pack_i64(out, d->gap_from.ms);
	pack_i64(out, d->gap_to.ms);
	pack_i64(out, d->created.ms);
	pack_i64(out, d->updated.ms);
	pack_text(out, d->reason);
	pack_filter(out, &d->filter);
	pack_u64(out, (uint64_t)d->kind);
	if (d->kind == DESTINATION_WEBHOOK)
		pack_webhook(out, &d->webhook);
	else if (d->kind == DESTINATION_METRICS)
		pack_text(out, d->metrics.dimensions);
	else if (d->kind == DESTINATION_FILE)
		pack_file(out, &d->file);
	return !out->failed;
}

static unsigned
unpack_upto(struct unpack *u, unsigned max)
{
	uint64_t v = unpack_u64(u);

	if (v > max)
		u->failed = true;
	return v > max ? 0 : (unsigned)v;
}

static void
unpack_webhook(struct unpack *u, struct destination_webhook *w)
{
	unpack_text(u, w->url, sizeof(w->url));
	w->timeout_s = unpack_upto(u, DESTINATION_TIMEOUT_MAX_S);
	w->in_flight = unpack_upto(u, DESTINATION_IN_FLIGHT_MAX);
	unpack_text(u, w->headers, sizeof(w->headers));
	unpack_raw(u, w->key, sizeof(w->key));
	unpack_raw(u, w->old_key, sizeof(w->old_key));
	w->rotated = unpack_wall(u);
	/* they become lines of a request */
	if (!destination_headers_are_valid(w->headers))
		u->failed = true;
}

/* Items with their ends; of tags each with a name. */
static bool
list_is_whole(const char *list, bool is_tags)
{
	const char *end, *equals;

	for (; *list != '\0'; list = end + 1) {
		end = strchr(list, '\n');
		equals = strchr(list, '=');
		if (end == NULL || end == list ||
		    (is_tags && (equals == NULL || equals == list ||
			equals > end)))
			return false;
	}
	return true;
}

static void
unpack_filter(struct unpack *u, struct destination_filter *f)
{
	f->is_set = unpack_bool(u);
	if (!f->is_set)
		return;
	unpack_text(u, f->tags, sizeof(f->tags));
	unpack_text(u, f->identities, sizeof(f->identities));
	unpack_text(u, f->domains, sizeof(f->domains));
	f->bounce_types = unpack_upto(u, DESTINATION_ALL_BOUNCES);
	f->no_simulator = unpack_bool(u);
	if (!list_is_whole(f->tags, true) ||
	    !list_is_whole(f->identities, false) ||
	    !list_is_whole(f->domains, false))
		u->failed = true;
}

/* They become labels of the metrics page. */
static void
unpack_metrics(struct unpack *u, struct destination_metrics *m)
{
	unpack_text(u, m->dimensions, sizeof(m->dimensions));
	if (!dimensions_are_valid(m->dimensions))
		u->failed = true;
}

static void
unpack_file(struct unpack *u, struct destination_file *f)
{
	unpack_text(u, f->name, sizeof(f->name));
	f->rotate_octets = unpack_u64(u);
	f->rotate = (enum rotate_interval)unpack_upto(u, ROTATE_DAILY);
	f->keep = unpack_upto(u, DESTINATION_KEEP_MAX);
	f->compress = unpack_bool(u);
	f->sync = (enum file_sync)unpack_upto(u, SYNC_EACH);
	/* the name becomes a part of a path */
	if (!file_name_is_valid(f->name) || f->rotate_octets > INT64_MAX)
		u->failed = true;
}

static void
unpack_kind(struct unpack *u, struct destination *out)
{
	out->kind = (enum destination_kind)unpack_upto(u, DESTINATION_TOPIC);
	switch (out->kind) {
	case DESTINATION_FILE:
		unpack_file(u, &out->file);
		break;
	case DESTINATION_WEBHOOK:
		unpack_webhook(u, &out->webhook);
		break;
	case DESTINATION_METRICS:
		unpack_metrics(u, &out->metrics);
		break;
	case DESTINATION_TOPIC:
		break;
	}
}

/* Those that have a topic: of that kind, and its subscriptions, which are
 * files and webhooks. */
static bool
topic_is_right(const struct destination *d)
{
	bool has = account_id_is_valid(d->topic.account) &&
	    topic_name_is_valid(bytes_of(d->topic.name));

	if (destination_is_subscription(d))
		return has && (d->kind == DESTINATION_FILE ||
				  d->kind == DESTINATION_WEBHOOK);
	return d->kind == DESTINATION_TOPIC ? has : d->topic.name[0] == '\0';
}

bool
destination_read_record(struct bytes in, struct destination *out)
{
	struct unpack u = unpack_of(in);
	unsigned      bits;

	memset(out, 0, sizeof(*out));
	destination_kinds_init(out);
	if (unpack_u64(&u) != DESTINATION_RECORD)
		u.failed = true;
	unpack_raw(&u, out->set.b, sizeof(out->set.b));
	unpack_raw(&u, out->id.b, sizeof(out->id.b));
	unpack_text(&u, out->account, sizeof(out->account));
	unpack_text(&u, out->set_name, sizeof(out->set_name));
	unpack_text(&u, out->name, sizeof(out->name));
	unpack_text(&u, out->topic.account, sizeof(out->topic.account));
	unpack_text(&u, out->topic.name, sizeof(out->topic.name));
	bits = unpack_upto(&u, 7);
	out->enabled = (bits & 1) != 0;
	out->extensions = (bits & 2) != 0;
	out->sns = (bits & 4) != 0;
	out->types = unpack_upto(&u, DESTINATION_ALL_TYPES);
	out->since = unpack_wall(&u);
	out->until = unpack_wall(&u);
	out->gap_from = unpack_wall(&u);
	out->gap_to = unpack_wall(&u);
	out->created = unpack_wall(&u);
	out->updated = unpack_wall(&u);
	unpack_text(&u, out->reason, sizeof(out->reason));
	unpack_filter(&u, &out->filter);
	unpack_kind(&u, out);
	return unpack_done(&u) && account_id_is_valid(out->account) &&
	    destination_name_is_valid(bytes_of(out->name)) &&
	    !config_set_id_is_none(&out->set) && topic_is_right(out);
}

/* -- the register --------------------------------------------------------- */

struct destination_key {
	char p[sizeof(struct config_set_id) + DESTINATION_NAME_SIZE];
};

static struct bytes
set_prefix(const struct config_set_id *set)
{
	return (struct bytes){ (const char *)set->b, sizeof(set->b) };
}

static struct bytes
key_of(struct destination_key *room, const struct config_set_id *set,
    struct bytes name)
{
	memcpy(room->p, set->b, sizeof(set->b));
	memcpy(room->p + sizeof(set->b), name.p, name.n);
	return (struct bytes){ room->p, sizeof(set->b) + name.n };
}

/* A row that stands where another belongs is damaged: what is done to it
 * would be done to the other. */
static bool
destination_read_row(struct bytes key, struct bytes value,
    struct destination *out)
{
	struct destination_key room;

	return destination_read_record(value, out) &&
	    bytes_eq(key_of(&room, &out->set, bytes_of(out->name)), key);
}

int
destination_get(struct db_txn *t, const struct config_set_id *set,
    struct bytes name, struct destination *out, struct err *e)
{
	struct destination_key room;
	struct bytes	       key, value;
	int		       found;

	if (!destination_name_is_valid(name))
		return 0;
	key = key_of(&room, set, name);
	found = db_get(t, BOOK_DESTINATION, key, &value, e);
	if (found == 1 && !destination_read_row(key, value, out))
		return err_set(e, "event destination %.*s: the record is "
		    "damaged", (int)name.n, name.p);
	return found;
}

/* Whether its URL may be used is for those who know the configuration. */
static int
webhook_check(const struct destination_webhook *w, struct err *e)
{
	if (w->url[0] == '\0')
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "a webhook needs a URL");
	if (w->timeout_s < 1 || w->timeout_s > DESTINATION_TIMEOUT_MAX_S ||
	    w->in_flight < 1 || w->in_flight > DESTINATION_IN_FLIGHT_MAX)
		return book_refuse(e, BOOK_BAD_REQUEST, "a webhook waits 1 to "
		    "%d seconds and has 1 to %d requests in flight",
		    DESTINATION_TIMEOUT_MAX_S, DESTINATION_IN_FLIGHT_MAX);
	if (!destination_headers_are_valid(w->headers))
		return book_refuse(e, BOOK_BAD_REQUEST, "a webhook has at "
		    "most %d headers, each \"Name: value\", and none that the "
		    "request has anyway", DESTINATION_HEADERS_MAX);
	return 0;
}

static int
destination_check(const struct destination *d, struct err *e)
{
	must(account_id_is_valid(d->account) &&
	    !config_set_id_is_none(&d->set));
	if (!destination_name_is_valid(bytes_of(d->name)))
		return book_refuse(e, BOOK_BAD_REQUEST, "the name of an event "
		    "destination is 1 to 64 of A-Z a-z 0-9 - _");
	if (d->types == 0 || d->types > DESTINATION_ALL_TYPES)
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "an event destination needs types of events");
	if (d->kind == DESTINATION_WEBHOOK)
		return webhook_check(&d->webhook, e);
	if (d->kind == DESTINATION_METRICS)
		return dimensions_are_valid(d->metrics.dimensions) ? 0 :
			book_refuse(e, BOOK_BAD_REQUEST,
			    "a metrics destination needs dimensions");
	if (d->kind == DESTINATION_TOPIC)
		return topic_name_is_valid(bytes_of(d->topic.name)) ? 0 :
			book_refuse(e, BOOK_BAD_REQUEST,
			    "a destination of this kind needs a topic");
	if (!file_name_is_valid(d->file.name))
		return book_refuse(e, BOOK_BAD_REQUEST, "the name of a file "
		    "is 1 to %d of A-Z a-z 0-9 - _ . without a dot in front, "
		    "and not that of a rotated file", DESTINATION_FILE_SIZE - 1);
	if (d->file.keep > DESTINATION_KEEP_MAX)
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "at most %d rotated files are kept, 0 = all",
		    DESTINATION_KEEP_MAX);
	return 0;
}

int
destination_put(struct db_txn *t, const struct destination *d, struct err *e)
{
	struct destination_key room;
	struct buf	       b;

	if (destination_check(d, e) < 0)
		return -1;
	buf_init(&b, DESTINATION_RECORD_MAX);
	destination_write_record(d, &b);
	return book_put(t, BOOK_DESTINATION, key_of(&room, &d->set,
	    bytes_of(d->name)), &b, e);
}

int
destination_create(struct db_txn *t, const struct destination *d,
    struct err *e)
{
	struct destination unused;
	int		   found, count;

	if (destination_check(d, e) < 0)
		return -1;
	found = destination_get(t, &d->set, bytes_of(d->name), &unused, e);
	if (found < 0)
		return -1;
	if (found == 1)
		return book_refuse(e, BOOK_EXISTS,
		    "event destination %s exists already", d->name);
	count = config_set_count_destinations(t, &d->set, e);
	if (count < 0)
		return -1;
	if (count >= DESTINATIONS_MAX)
		return destination_is_subscription(d) ?
			book_refuse(e, BOOK_LIMIT, "a topic can have at most "
			    "%d subscriptions", DESTINATIONS_MAX) :
			book_refuse(e, BOOK_LIMIT, "a configuration set can "
			    "have at most %d event destinations",
			    DESTINATIONS_MAX);
	return destination_put(t, d, e);
}

int
destination_delete(struct db_txn *t, const struct destination *d,
    struct err *e)
{
	struct destination_key room;

	return db_delete(t, BOOK_DESTINATION, key_of(&room, &d->set,
	    bytes_of(d->name)), e);
}

int
destination_delete_all(struct db_txn *t, const struct config_set_id *set,
    struct err *e)
{
	return book_purge(t, BOOK_DESTINATION, set_prefix(set), UINT_MAX, e) <
	    0 ? -1 : 0;
}

int
destination_each(struct db_txn *t, const struct config_set_id *set,
    bool (*fn)(void *arg, const struct destination *d), void *arg,
    struct err *e)
{
	struct book_rows   r;
	struct destination d;

	book_rows_open(&r, t, BOOK_DESTINATION, set != NULL ?
		set_prefix(set) : BYTES(""), e);
	while (book_rows_next(&r))
		if (!destination_read_row(r.key, r.value, &d))
			r.status = err_set(e,
			    "an event destination is damaged");
		else if (!fn(arg, &d))
			break;
	return book_rows_close(&r);
}
