/* SPDX-License-Identifier: ISC */
/* Tags of a message: X-SES-MESSAGE-TAGS, configuration-sets 3.2. */
#include "submission/admission.h"

enum {
	TAG_TEXT_MAX = 256, /* of a name, of a value */
	TAG_NAMES_MAX = 50,
	TAGS_MAX = 200 /* values of all names */
};

static bool
tag_is_valid(struct bytes s)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		if (!((s.p[i] >= '0' && s.p[i] <= '9') ||
			(s.p[i] >= 'A' && s.p[i] <= 'Z') ||
			(s.p[i] >= 'a' && s.p[i] <= 'z') || s.p[i] == '-' ||
			s.p[i] == '_'))
			return false;
	return s.n > 0 && s.n <= TAG_TEXT_MAX;
}

/* false = no memory; *kept: the piece is a tag, or one already there */
static bool
tag_take(struct message *m, struct bytes piece, bool *kept)
{
	ptrdiff_t    eq = bytes_find(piece, 0, '=');
	struct bytes name, value;
	unsigned     i, j, names = 0;
	bool	     known = false;

	*kept = false;
	if (eq < 0)
		return true;
	name = bytes_trim(bytes_head(piece, (size_t)eq));
	value = bytes_trim(bytes_from(piece, (size_t)eq + 1));
	if (!tag_is_valid(name) || !tag_is_valid(value))
		return true;
	for (i = 0; i < m->tag_count; i++) {
		if (bytes_eq(m->tags[i].name, name)) {
			known = true;
			if (bytes_eq(m->tags[i].value, value)) {
				*kept = true;
				return true;
			}
		}
		for (j = 0; j < i; j++)
			if (bytes_eq(m->tags[j].name, m->tags[i].name))
				break;
		names += j == i;
	}
	if (!known && names == TAG_NAMES_MAX)
		return true;
	*kept = m->tag_count < TAGS_MAX;
	return !*kept || message_add_tag(m, name, value);
}

bool
admission_read_tags(const struct header *h, struct message *m,
    struct arena *a, unsigned *dropped)
{
	static const char name[] = "X-SES-MESSAGE-TAGS";
	struct field	 *f;
	struct bytes	  rest, piece;
	ptrdiff_t	  comma;
	bool		  kept;

	*dropped = 0;
	for (f = header_find(h, name); f != NULL;
	     f = header_next(h, f, name)) {
		rest = header_unfold(f->value, a);
		if (rest.p == NULL)
			return false;
		while (rest.n > 0) {
			comma = bytes_find(rest, 0, ',');
			piece = bytes_trim(bytes_head(rest,
			    comma < 0 ? rest.n : (size_t)comma));
			rest = comma < 0 ? BYTES("") :
			    bytes_from(rest, (size_t)comma + 1);
			if (piece.n == 0)
				continue;
			if (!tag_take(m, piece, &kept))
				return false;
			*dropped += !kept;
		}
	}
	return true;
}
