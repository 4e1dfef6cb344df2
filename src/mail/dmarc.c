/* SPDX-License-Identifier: ISC */
#include "mail/dmarc.h"

#include <string.h>

const char *
dmarc_policy_to_text(enum dmarc_policy p)
{
	switch (p) {
	case DMARC_NONE:
		return "none";
	case DMARC_QUARANTINE:
		return "quarantine";
	case DMARC_REJECT:
		break;
	}
	return "reject";
}

/* -- tags ------------------------------------------------------------------ */

struct dmarc_tag {
	struct bytes name, value;
};

/* The next tag of the list; 1, 0 = no more, -1 = it is none. */
static int
tag_next(struct bytes *rest, struct dmarc_tag *out)
{
	struct bytes one;
	ptrdiff_t    end, equals;

	do {
		if (rest->n == 0)
			return 0;
		end = bytes_find(*rest, 0, ';');
		one = bytes_trim(end < 0 ? *rest :
		    bytes_head(*rest, (size_t)end));
		*rest = end < 0 ? BYTES("") : bytes_from(*rest,
		    (size_t)end + 1);
	} while (one.n == 0);
	equals = bytes_find(one, 0, '=');
	if (equals <= 0)
		return -1;
	out->name = bytes_trim(bytes_head(one, (size_t)equals));
	out->value = bytes_trim(bytes_from(one, (size_t)equals + 1));
	return out->name.n > 0 ? 1 : -1;
}

static bool
tag_is(const struct dmarc_tag *t, const char *name)
{
	return bytes_eq_nocase(t->name, bytes_of(name));
}

static bool
tag_is_version(const struct dmarc_tag *t)
{
	return tag_is(t, "v") && bytes_eq_text(t->value, "DMARC1");
}

static bool
policy_read(struct bytes value, enum dmarc_policy *out)
{
	static const enum dmarc_policy all[] = { DMARC_NONE,
		DMARC_QUARANTINE, DMARC_REJECT };
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (bytes_eq_nocase(value,
			bytes_of(dmarc_policy_to_text(all[i])))) {
			*out = all[i];
			return true;
		}
	return false;
}

/* -- one record ------------------------------------------------------------ */

static const char *const known[] = { "v", "p", "sp", "adkim", "aspf", "pct" };
enum { TAG_V, TAG_P, TAG_SP, TAG_ADKIM, TAG_ASPF, TAG_PCT, TAGS_KNOWN };

/* false: it makes the record unreadable.  Where a wrong value has a default,
 * that is taken (RFC 7489 6.3). */
static bool
record_take(struct dmarc_record *r, int which, struct bytes value)
{
	uint64_t n;

	switch (which) {
	case TAG_P:
		return policy_read(value, &r->policy);
	case TAG_SP:
		r->has_sub_policy = true;
		return policy_read(value, &r->sub_policy);
	case TAG_ADKIM:
		r->strict_dkim = bytes_eq_nocase(value, BYTES("s"));
		break;
	case TAG_ASPF:
		r->strict_spf = bytes_eq_nocase(value, BYTES("s"));
		break;
	case TAG_PCT:
		if (bytes_to_u64(value, &n) && n <= 100)
			r->percent = (unsigned)n;
		break;
	default:
		break;
	}
	return true;
}

static bool
record_read(struct bytes text, struct dmarc_record *r)
{
	struct dmarc_tag t;
	struct bytes	 rest = text;
	unsigned	 seen = 0, tags = 0;
	int		 rc, k;

	r->text = text;
	r->percent = 100;
	while ((rc = tag_next(&rest, &t)) == 1) {
		if (tags++ == DMARC_TAGS_MAX ||
		    (tags == 1 && !tag_is_version(&t)))
			return false;
		for (k = 0; k < TAGS_KNOWN && !tag_is(&t, known[k]); k++)
			;
		if (k == TAGS_KNOWN)
			continue;
		if ((seen & 1u << k) != 0 || !record_take(r, k, t.value))
			return false;
		seen |= 1u << k;
	}
	return rc == 0 && (seen & 1u << TAG_P) != 0;
}

/* Does it want to be one, with its version at the front, or anywhere? */
static bool
record_begins(struct bytes text)
{
	struct dmarc_tag t;

	return tag_next(&text, &t) == 1 && tag_is_version(&t);
}

static bool
record_mentions(struct bytes text)
{
	struct dmarc_tag t;
	unsigned	 tags;

	for (tags = 0; tags < DMARC_TAGS_MAX &&
	     tag_next(&text, &t) == 1; tags++)
		if (tag_is_version(&t))
			return true;
	return false;
}

enum dmarc_finding
dmarc_read(const struct bytes *texts, size_t count, struct dmarc_record *out)
{
	const struct bytes *one = NULL, *misplaced = NULL;
	size_t		    i, n = 0;

	memset(out, 0, sizeof(*out));
	out->text = BYTES("");
	for (i = 0; i < count; i++) {
		if (record_begins(texts[i])) {
			one = &texts[i];
			n++;
		} else if (record_mentions(texts[i]))
			misplaced = &texts[i];
	}
	if (n > 1 || (n == 0 && misplaced == NULL))
		return DMARC_ABSENT;
	if (n == 0) {
		out->text = *misplaced;
		return DMARC_MALFORMED;
	}
	return record_read(*one, out) ? DMARC_FOUND : DMARC_MALFORMED;
}

enum dmarc_policy
dmarc_policy_of(const struct dmarc_record *r, bool inherited)
{
	return inherited && r->has_sub_policy ? r->sub_policy : r->policy;
}

bool
dmarc_is_aligned(const struct dmarc_domain *from,
    const struct dmarc_domain *passed, bool strict)
{
	if (from->name.n == 0 || passed->name.n == 0)
		return false;
	return strict ? bytes_eq_nocase(from->name, passed->name) :
	    bytes_eq_nocase(from->organisation, passed->organisation);
}

void
dmarc_relax(struct bytes record, const char *tag, struct buf *out)
{
	struct dmarc_tag t;
	unsigned	 tags;

	for (tags = 0; tags < DMARC_TAGS_MAX && tag_next(&record, &t) == 1;
	     tags++) {
		if (tags > 0)
			buf_add_char(out, ';');
		buf_printf(out, "%.*s=", (int)t.name.n, t.name.p);
		if (tag_is(&t, tag))
			buf_add_char(out, 'r');
		else
			buf_add(out, t.value.p, t.value.n);
	}
}
