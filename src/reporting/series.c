/* SPDX-License-Identifier: ISC */
#include "reporting/series.h"

#include <string.h>

#include "base/tally.h"

enum {
	TALLY_ENTRIES = 128 * 1024, /* more than have room by their octets */
	LABELS_MAX = 16 * 1024
};
#define SERIES_OTHER "_other_"

/*
 * Keys of the tally:
 *	account="...",...	a series: its labels
 *	c account="...",...	a combination that has its own series
 *	n account="...",...	how many of them a destination has
 *	a, t account="...",...	octets of its labels: of the account, in all
 *	o ACCOUNT		octets of labels of an account; "o" of all
 */
struct series {
	struct tally *tally;
};

/* The values of one event. */
struct values {
	struct bytes v[DESTINATION_DIMENSIONS_MAX];
	unsigned     n;
};

struct series *
series_new(void)
{
	struct series *s = mem_alloc(sizeof(*s));

	s->tally = tally_new(TALLY_ENTRIES);
	return s;
}

void
series_free(struct series *s)
{
	if (s == NULL)
		return;
	tally_free(s->tally);
	mem_free(s);
}

/* -- values ---------------------------------------------------------------- */

static struct bytes
tag_value(const struct message_tag *tags, size_t n, struct bytes name)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (bytes_eq(tags[i].name, name))
			return tags[i].value;
	return BYTES("");
}

/* Two tags belong to the event, not to its message (events.md 3). */
static struct bytes
message_tag_value(const struct event *ev, const struct event_mail *mail,
    struct bytes name)
{
	if (bytes_eq(name, BYTES("ses:outgoing-ip")))
		return ev->outgoing_ip;
	if (bytes_eq(name, BYTES("ses:outgoing-tls-version")))
		return ev->outgoing_tls;
	return tag_value(mail->tags, mail->tag_count, name);
}

static struct bytes
header_value(const struct event_mail *mail, struct bytes name)
{
	struct bytes field, value;
	size_t	     at = 0;

	while (event_snapshot_next(mail->snapshot, &at, &field, &value))
		if (bytes_eq_nocase(field, name))
			return value;
	return BYTES("");
}

/* Automatic tags may have what message tags cannot: an address, "TLSv1.3". */
static bool
tag_is_possible(struct bytes value)
{
	size_t i;

	for (i = 0; i < value.n; i++)
		if (value.p[i] < 0x20 || value.p[i] > 0x7e)
			return false;
	return value.n <= DIMENSION_TEXT_MAX;
}

/* false = nothing that can be a label. */
static bool
value_of(const struct dimension *d, const struct event *ev,
    const struct event_mail *mail, struct bytes *out)
{
	bool is_possible = true;

	*out = BYTES("");
	if (mail == NULL) {
		*out = d->value;
		return true;
	}
	switch (d->source) {
	case DIMENSION_TAG:
		*out = message_tag_value(ev, mail, d->name);
		is_possible = tag_is_possible(*out);
		break;
	case DIMENSION_HEADER:
		*out = header_value(mail, d->name);
		is_possible = out->n == 0 || dimension_value_is_valid(*out);
		break;
	case DIMENSION_LINK:
		if (ev->type != EVENT_CLICK || ev->tracking == NULL)
			break;
		*out = tag_value(ev->tracking->link_tags,
		    ev->tracking->link_tag_count, d->name);
		is_possible = out->n == 0 || dimension_value_is_valid(*out);
		break;
	}
	if (out->n == 0)
		*out = d->value;
	return is_possible;
}

static bool
values_of(const struct destination *d, const struct event *ev,
    const struct event_mail *mail, struct values *out)
{
	struct dimension x;
	size_t		 at = 0;

	out->n = 0;
	while (dimension_next(d->metrics.dimensions, &at, &x))
		if (!value_of(&x, ev, mail, &out->v[out->n++]))
			return false;
	return true;
}

/* -- labels ---------------------------------------------------------------- */

static void
label_add(struct buf *b, const char *name, struct bytes value)
{
	size_t i;

	buf_printf(b, "%s=\"", name);
	for (i = 0; i < value.n; i++) {
		if (value.p[i] == '"' || value.p[i] == '\\')
			buf_add_char(b, '\\');
		buf_add_char(b, value.p[i]);
	}
	buf_add_char(b, '"');
}

static void
labels_begin(struct buf *b, char kind, const struct destination *d)
{
	buf_clear(b);
	if (kind != '\0')
		buf_printf(b, "%c ", kind);
	label_add(b, "account", bytes_of(d->account));
	label_add(b, ",configuration_set", bytes_of(d->set_name));
	label_add(b, ",destination", bytes_of(d->name));
	buf_add_char(b, ',');
}

/* values NULL: all of them are "_other_". */
static void
labels_end(struct buf *b, const struct destination *d,
    const struct values *values)
{
	char		 label[DIMENSION_LABEL_SIZE];
	struct dimension x;
	size_t		 at = 0;
	unsigned	 i = 0;

	while (dimension_next(d->metrics.dimensions, &at, &x)) {
		dimension_label(x.name, label);
		if (i > 0)
			buf_add_char(b, ',');
		label_add(b, label, values != NULL ? values->v[i] :
			BYTES(SERIES_OTHER));
		i++;
	}
}

/* The name of the event as posthorn_events_total has it: without blank. */
static void
labels_of(struct buf *b, const struct destination *d, const struct event *ev,
    const struct values *values)
{
	labels_begin(b, '\0', d);
	label_add(b, "event", ev == NULL ? BYTES("Test") :
		ev->type == EVENT_RENDERING_FAILURE ?
		BYTES("RenderingFailure") :
		bytes_of(event_type_to_wire(ev->type)));
	buf_add_char(b, ',');
	labels_end(b, d, values);
}

/* -- bounds ---------------------------------------------------------------- */

/* Octets of a destination's labels, so that they can be given back. */
static void
series_note_room(struct series *s, const struct destination *d, char kind,
    int64_t n)
{
	struct buf b;

	buf_init(&b, LABELS_MAX);
	labels_begin(&b, kind, d);
	(void)tally_add(s->tally, buf_bytes(&b), n);
	buf_wipe(&b);
}

static struct bytes
account_key(const struct destination *d, char out[2 + ACCOUNT_ID_SIZE])
{
	memcpy(out, "o ", 2);
	memcpy(out + 2, d->account, ACCOUNT_ID_SIZE);
	return bytes_of(out);
}

/* Room for so many octets more, in all and, unless it is "_other_", where the
 * rest goes, of the account. */
static bool
series_take_room(struct series *s, const struct destination *d, size_t octets,
    bool is_other)
{
	int64_t	     n = (int64_t)octets;
	char	     room[2 + ACCOUNT_ID_SIZE];
	struct bytes account = account_key(d, room);

	if (!is_other &&
	    !tally_add_below(s->tally, account, n, SERIES_ACCOUNT_OCTETS))
		return false;
	if (!tally_add_below(s->tally, BYTES("o"), n, SERIES_OCTETS)) {
		if (!is_other)
			(void)tally_add(s->tally, account, -n);
		return false;
	}
	series_note_room(s, d, 't', n);
	if (!is_other)
		series_note_room(s, d, 'a', n);
	return true;
}

/* Has this combination series of its own, or may it have them? */
static bool
series_admits(struct series *s, const struct destination *d,
    const struct values *values, struct buf *b)
{
	struct buf count;
	bool	   is_below;

	labels_begin(b, 'c', d);
	labels_end(b, d, values);
	if (tally_get(s->tally, buf_bytes(b)) > 0)
		return true;
	buf_init(&count, LABELS_MAX);
	labels_begin(&count, 'n', d);
	is_below = tally_add_below(s->tally, buf_bytes(&count), 1,
	    SERIES_COMBINATIONS);
	if (is_below && !series_take_room(s, d, b->n, false)) {
		(void)tally_add(s->tally, buf_bytes(&count), -1);
		is_below = false;
	}
	buf_wipe(&count);
	return is_below && tally_add(s->tally, buf_bytes(b), 1) > 0;
}

/* false = a new one, and it has no room. */
static bool
series_add(struct series *s, const struct destination *d, struct bytes labels,
    bool is_other)
{
	if (tally_get(s->tally, labels) == 0 &&
	    !series_take_room(s, d, labels.n, is_other))
		return false;
	return tally_add(s->tally, labels, 1) > 0;
}

enum series_answer
series_count(struct series *s, const struct destination *d,
    const struct event *ev, const struct event_mail *mail)
{
	struct values values;
	struct buf    b;
	bool	      done = false;

	if (!values_of(d, ev, mail, &values))
		return SERIES_BAD;
	buf_init(&b, LABELS_MAX);
	if (series_admits(s, d, &values, &b)) {
		labels_of(&b, d, ev, &values);
		done = series_add(s, d, buf_bytes(&b), false);
	}
	if (!done) {
		labels_of(&b, d, ev, NULL);
		done = series_add(s, d, buf_bytes(&b), true);
	}
	buf_wipe(&b);
	return done ? SERIES_COUNTED : SERIES_FULL;
}

/* -- all of them ----------------------------------------------------------- */

static void
forget_one(void *series, struct bytes key, int64_t n)
{
	struct series *s = series;

	(void)tally_add(s->tally, key, -n);
}

void
series_forget(struct series *s, const struct destination *d)
{
	static const char kinds[] = { '\0', 'c', 'n', 'a', 't' };
	char	   room[2 + ACCOUNT_ID_SIZE];
	struct buf b;
	size_t	   i;

	buf_init(&b, LABELS_MAX);
	labels_begin(&b, 'a', d);
	(void)tally_add(s->tally, account_key(d, room),
	    -tally_get(s->tally, buf_bytes(&b)));
	labels_begin(&b, 't', d);
	(void)tally_add(s->tally, BYTES("o"),
	    -tally_get(s->tally, buf_bytes(&b)));
	for (i = 0; i < sizeof(kinds); i++) {
		labels_begin(&b, kinds[i], d);
		tally_each_count(s->tally, buf_bytes(&b), forget_one, s);
	}
	buf_wipe(&b);
}

struct walk {
	void (*fn)(void *arg, struct bytes labels, uint64_t n);
	void *arg;
};

static void
walk_one(void *arg, struct bytes key, int64_t n)
{
	struct walk *w = arg;

	w->fn(w->arg, key, (uint64_t)n);
}

void
series_each(struct series *s,
    void (*fn)(void *arg, struct bytes labels, uint64_t n), void *arg)
{
	struct walk w = { fn, arg };

	tally_each_count(s->tally, BYTES("account="), walk_one, &w);
}
