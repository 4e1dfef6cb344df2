/* SPDX-License-Identifier: ISC */
#include "mail/dkim_record.h"

#include <string.h>

#include "base/ascii.h"

enum { RECORD_NAMES_MAX = 32 };

/* A record as a tag list; the tags that count, .p == NULL when not there. */
struct record {
	bool	     is_list; /* RFC 6376 3.2 */
	bool	     v_is_first;
	struct bytes v, k, h, s, t, p;
};

const char *
dkim_record_outcome_to_text(enum dkim_record_outcome o)
{
	switch (o) {
	case DKIM_RECORD_MATCH:
		return "MATCH";
	case DKIM_RECORD_ABSENT:
		return "ABSENT";
	case DKIM_RECORD_MISMATCH:
		return "MISMATCH";
	case DKIM_RECORD_REVOKED:
		return "REVOKED";
	case DKIM_RECORD_MULTIPLE:
		return "MULTIPLE";
	case DKIM_RECORD_MALFORMED:
		return "MALFORMED";
	}
	return "UNKNOWN";
}

const char *
dkim_key_kind_to_text(enum dkim_key_kind k)
{
	return k == DKIM_KEY_ED25519 ? "ed25519" : "rsa";
}

/* -- the tag list --------------------------------------------------------- */

static bool
is_tag_name(struct bytes s)
{
	return bytes_is_word(s, "_") && ascii_is_letter(s.p[0]);
}

static bool
is_tag_value(struct bytes s)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		if ((s.p[i] < 0x21 || s.p[i] > 0x7e) && !ascii_is_white(s.p[i]))
			return false;
	return true;
}

static struct bytes *
record_tag(struct record *r, struct bytes name)
{
	if (name.n != 1)
		return NULL;
	switch (name.p[0]) {
	case 'v':
		return &r->v;
	case 'k':
		return &r->k;
	case 'h':
		return &r->h;
	case 's':
		return &r->s;
	case 't':
		return &r->t;
	case 'p':
		return &r->p;
	default:
		return NULL;
	}
}

/* A tag that stands twice makes the list invalid (RFC 6376 3.2). */
static bool
names_add(struct bytes *names, size_t *count, struct bytes name)
{
	size_t i;

	for (i = 0; i < *count; i++)
		if (bytes_eq(names[i], name))
			return false;
	if (*count == RECORD_NAMES_MAX)
		return false;
	names[(*count)++] = name;
	return true;
}

/*
 * Reads on after a mistake: whether a damaged record was meant to hold a key
 * matters for counting them.
 */
static void
record_read(struct record *r, struct bytes text)
{
	struct bytes names[RECORD_NAMES_MAX], piece, name, value, *tag;
	size_t	     count = 0, at = 0;
	ptrdiff_t    semicolon, equals;

	memset(r, 0, sizeof(*r));
	r->is_list = true;
	while (at < text.n) {
		semicolon = bytes_find(text, at, ';');
		piece = bytes_from(text, at);
		if (semicolon >= 0)
			piece = bytes_head(piece, (size_t)semicolon - at);
		at += piece.n + 1;
		piece = bytes_trim(piece);
		if (piece.n == 0 && semicolon < 0 && count > 0)
			break; /* blanks behind the last semicolon */
		equals = bytes_find(piece, 0, '=');
		if (equals < 0) {
			r->is_list = false;
			continue;
		}
		name = bytes_trim(bytes_head(piece, (size_t)equals));
		value = bytes_trim(bytes_from(piece, (size_t)equals + 1));
		if (!is_tag_name(name) || !is_tag_value(value) ||
		    !names_add(names, &count, name))
			r->is_list = false;
		tag = record_tag(r, name);
		if (tag == NULL || tag->p != NULL)
			continue;
		tag->p = value.n > 0 ? value.p : "";
		tag->n = value.n;
		if (tag == &r->v)
			r->v_is_first = count == 1;
	}
	if (count == 0)
		r->is_list = false;
}

/* Is one of the words, between colons, in the value? */
static bool
value_has(struct bytes value, const char *word, const char *other)
{
	struct bytes piece;
	ptrdiff_t    colon;
	size_t	     at = 0;

	while (at <= value.n) {
		colon = bytes_find(value, at, ':');
		piece = bytes_from(value, at);
		if (colon >= 0)
			piece = bytes_head(piece, (size_t)colon - at);
		at += piece.n + 1;
		piece = bytes_trim(piece);
		if (bytes_eq_text(piece, word) ||
		    (other != NULL && bytes_eq_text(piece, other)))
			return true;
	}
	return false;
}

/* -- the key -------------------------------------------------------------- */

enum { KEY_TEXT_MAX = 4 * ((DKIM_RECORD_DER_MAX + 2) / 3) };

/* Without the white space; false when longer than any key. */
static bool
key_text(struct bytes value, char *out, size_t *n)
{
	size_t i;

	*n = 0;
	for (i = 0; i < value.n; i++) {
		if (ascii_is_white(value.p[i]))
			continue;
		if (*n == KEY_TEXT_MAX)
			return false;
		out[(*n)++] = value.p[i];
	}
	return true;
}

static enum dkim_record_outcome
judge_key(struct bytes value, struct bytes want,
    struct dkim_record_verdict *out)
{
	unsigned char der[DKIM_RECORD_DER_MAX], want_der[DKIM_RECORD_DER_MAX];
	char	      text[KEY_TEXT_MAX];
	size_t	      n, der_n, want_n;

	out->reason = "the record holds another public key";
	if (!key_text(value, text, &n))
		return DKIM_RECORD_MISMATCH;
	if (!base64_decode((struct bytes){ text, n }, der, sizeof(der),
		&der_n)) {
		out->reason = "p= is not base64";
		return DKIM_RECORD_MALFORMED;
	}
	if (!base64_decode(want, want_der, sizeof(want_der), &want_n))
		return DKIM_RECORD_MISMATCH;
	if (der_n == want_n && memcmp(der, want_der, der_n) == 0) {
		out->reason = "";
		return DKIM_RECORD_MATCH;
	}
	out->case_folded = bytes_eq_nocase((struct bytes){ text, n }, want);
	if (out->case_folded)
		out->reason = "the key differs in letter case only";
	return DKIM_RECORD_MISMATCH;
}

static enum dkim_record_outcome
judge_record(const struct record *r, const struct dkim_record_key *want,
    struct dkim_record_verdict *out)
{
	if (!r->is_list) {
		out->reason = "the record is not a list of tags";
		return DKIM_RECORD_MALFORMED;
	}
	out->test_mode = value_has(r->t, "y", NULL);
	if (r->p.n == 0) {
		out->reason = "p= is empty: the key is revoked";
		return DKIM_RECORD_REVOKED;
	}
	if (r->v.p != NULL &&
	    (!r->v_is_first || !bytes_eq_text(r->v, "DKIM1"))) {
		out->reason = "v= is not DKIM1 in the first place";
		return DKIM_RECORD_MISMATCH;
	}
	if (!bytes_eq_text(r->k.p == NULL ? BYTES("rsa") : r->k,
		dkim_key_kind_to_text(want->kind))) {
		out->reason = "k= is another kind of key";
		return DKIM_RECORD_MISMATCH;
	}
	if (r->h.p != NULL && !value_has(r->h, "sha256", NULL)) {
		out->reason = "h= does not allow sha256";
		return DKIM_RECORD_MISMATCH;
	}
	if (r->s.p != NULL && !value_has(r->s, "*", "email")) {
		out->reason = "s= does not allow email";
		return DKIM_RECORD_MISMATCH;
	}
	return judge_key(r->p, want->public_key, out);
}

void
dkim_record_judge(const struct bytes *texts, size_t count,
    const struct dkim_record_key *want, struct dkim_record_verdict *out)
{
	struct record r, key;
	size_t	      i, keys = 0, lists = 0;

	memset(out, 0, sizeof(*out));
	memset(&key, 0, sizeof(key));
	for (i = 0; i < count; i++) {
		record_read(&r, texts[i]);
		if (r.is_list)
			lists++;
		if (r.p.p != NULL && keys++ == 0)
			key = r;
	}
	if (keys == 1) {
		out->outcome = judge_record(&key, want, out);
		return;
	}
	out->outcome = DKIM_RECORD_MISMATCH;
	out->reason = "the record has no p= tag";
	if (keys > 1) {
		out->outcome = DKIM_RECORD_MULTIPLE;
		out->reason = "there is more than one key record";
	} else if (count == 0) {
		out->outcome = DKIM_RECORD_ABSENT;
		out->reason = "there is no TXT record";
	} else if (lists == 0) {
		out->outcome = DKIM_RECORD_MALFORMED;
		out->reason = "the record is not a list of tags";
	}
}
