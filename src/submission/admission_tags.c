/* SPDX-License-Identifier: ISC */
/* Tags of a message: X-SES-MESSAGE-TAGS, configuration-sets 3.2; those of the
 * credential, credentials.md 9.2. */
#include "submission/admission.h"

enum {
	TAG_NAMES_MAX = 50,
	TAGS_MAX = 200 /* values of all names */
};

struct tagging {
	struct message *m;
	unsigned	given;	 /* by the credential: the first ones */
	unsigned	dropped;
};

static bool
tag_is_given(const struct tagging *t, struct bytes name)
{
	unsigned i;

	for (i = 0; i < t->given; i++)
		if (bytes_eq(t->m->tags[i].name, name))
			return true;
	return false;
}

/* Is there room for one more?  *there: it has this very value already. */
static bool
tag_fits(const struct message *m, struct bytes name, struct bytes value,
    bool *there)
{
	unsigned i, j, names = 0;
	bool	 known = false;

	*there = false;
	for (i = 0; i < m->tag_count; i++) {
		if (bytes_eq(m->tags[i].name, name)) {
			known = true;
			*there |= bytes_eq(m->tags[i].value, value);
		}
		for (j = 0; j < i; j++)
			if (bytes_eq(m->tags[j].name, m->tags[i].name))
				break;
		names += j == i;
	}
	return (known || names < TAG_NAMES_MAX) && m->tag_count < TAGS_MAX;
}

/* false = no memory */
static bool
tag_take(struct tagging *t, struct bytes piece)
{
	ptrdiff_t    eq = bytes_find(piece, 0, '=');
	struct bytes name, value;
	bool	     there = false;

	name = bytes_trim(bytes_head(piece, eq < 0 ? 0 : (size_t)eq));
	value = bytes_trim(bytes_from(piece, (size_t)(eq + 1)));
	if (eq < 0 || !message_tag_is_valid(name) ||
	    !message_tag_is_valid(value)) {
		t->dropped++;
		return true;
	}
	if (tag_is_given(t, name))
		return true; /* the credential's stands for it */
	if (tag_fits(t->m, name, value, &there) && !there)
		return message_add_tag(t->m, name, value);
	t->dropped += !there;
	return true;
}

/* An empty piece is one that is dropped, but for the one behind the last
 * comma, which the grammar allows. */
static bool
tags_take_value(struct tagging *t, struct bytes rest)
{
	ptrdiff_t    comma;
	struct bytes piece;

	for (;;) {
		comma = bytes_find(rest, 0, ',');
		piece = bytes_trim(bytes_head(rest,
		    comma < 0 ? rest.n : (size_t)comma));
		if ((piece.n > 0 || comma >= 0) && !tag_take(t, piece))
			return false;
		if (comma < 0)
			return true;
		rest = bytes_from(rest, (size_t)comma + 1);
	}
}

static bool
tags_of_credential(struct tagging *t, const struct credential *c)
{
	unsigned i;

	for (i = 0; c != NULL && i < c->limits.tag_count; i++)
		if (!message_add_tag(t->m, bytes_of(c->limits.tags[i].name),
			bytes_of(c->limits.tags[i].value)))
			return false;
	t->given = t->m->tag_count;
	return true;
}

bool
admission_read_tags(const struct admission_question *q, struct message *m,
    unsigned *dropped)
{
	static const char name[] = "X-SES-MESSAGE-TAGS";
	const struct header *h = q->header;
	struct tagging	     t = { .m = m };
	struct field	    *f;
	struct bytes	     value;

	*dropped = 0;
	if (!tags_of_credential(&t, q->credential))
		return false;
	for (f = header_find(h, name); f != NULL;
	     f = header_next(h, f, name)) {
		value = header_unfold(f->value, q->arena);
		if (value.p == NULL || !tags_take_value(&t, value))
			return false;
	}
	*dropped = t.dropped;
	return true;
}
