/* SPDX-License-Identifier: ISC */
/* Part of registry/destination.h: dimensions of metrics (events.md 11.2). */
#include <string.h>
#include <strings.h>

#include "registry/destination.h"

const char *const dimension_source_names[] = { "MESSAGE_TAG", "EMAIL_HEADER",
	"LINK_TAG", NULL };
static const char source_letters[] = "THL";

static bool
is_of(struct bytes s, const char *marks)
{
	return bytes_is_word(s, marks) && s.n <= DIMENSION_TEXT_MAX;
}

bool
dimension_value_is_valid(struct bytes value)
{
	return is_of(value, "_-@.");
}

/* "messageTag" and "message-tag" are older spellings of MESSAGE_TAG. */
bool
dimension_source_from_text(struct bytes s, enum dimension_source *out)
{
	char   word[32];
	size_t i, n = 0;

	for (i = 0; i < s.n && n + 1 < sizeof(word); i++)
		if (s.p[i] != '_' && s.p[i] != '-')
			word[n++] = s.p[i];
	word[n] = '\0';
	if (strcasecmp(word, "messagetag") == 0)
		*out = DIMENSION_TAG;
	else if (strcasecmp(word, "emailheader") == 0)
		*out = DIMENSION_HEADER;
	else if (strcasecmp(word, "linktag") == 0)
		*out = DIMENSION_LINK;
	else
		return false;
	return i == s.n;
}

/* -- the list: "name=Tdefault\n" of each ----------------------------------- */

bool
dimension_next(const char *list, size_t *at, struct dimension *out)
{
	const char *p = list + *at, *end = strchr(p, '\n');
	const char *equals = strchr(p, '='), *letter;

	if (end == NULL || equals == NULL || equals + 1 >= end)
		return false;
	letter = strchr(source_letters, equals[1]);
	if (letter == NULL)
		return false;
	out->name = (struct bytes){ p, (size_t)(equals - p) };
	out->source = (enum dimension_source)(letter - source_letters);
	out->value = (struct bytes){ equals + 2, (size_t)(end - equals - 2) };
	*at += (size_t)(end - p) + 1;
	return true;
}

void
dimension_label(struct bytes name, char out[DIMENSION_LABEL_SIZE])
{
	size_t i, n = name.n < DIMENSION_TEXT_MAX ? name.n :
		DIMENSION_TEXT_MAX;

	memcpy(out, "dim_", 4);
	for (i = 0; i < n; i++)
		out[4 + i] = name.p[i] == '-' || name.p[i] == ':' ? '_' :
			name.p[i];
	out[4 + n] = '\0';
}

/* Automatic tags are named in full, others have no colon. */
static bool
name_is_valid(const struct dimension *d)
{
	struct bytes name = d->name;

	if (d->source == DIMENSION_TAG && bytes_starts(name, BYTES("ses:")))
		name = bytes_from(name, 4);
	return is_of(name, "_-") && d->name.n <= DIMENSION_TEXT_MAX;
}

static bool
header_is_possible(struct bytes name)
{
	static const char *const never[] = { "Received", "To", "From",
		"DKIM-Signature", "CC", "Message-ID", "Return-Path", NULL };
	const char *const *n;

	for (n = never; *n != NULL; n++)
		if (bytes_eq_nocase(name, bytes_of(*n)))
			return false;
	return true;
}

/* Two of them in one series would be one label with two values. */
static bool
label_is_there(const char *list, struct bytes name)
{
	char		 label[DIMENSION_LABEL_SIZE];
	char		 other[DIMENSION_LABEL_SIZE];
	struct dimension d;
	size_t		 at = 0;

	dimension_label(name, label);
	while (dimension_next(list, &at, &d)) {
		dimension_label(d.name, other);
		if (strcmp(label, other) == 0)
			return true;
	}
	return false;
}

static unsigned
dimension_count(const char *list)
{
	struct dimension d;
	unsigned	 n = 0;
	size_t		 at = 0;

	while (dimension_next(list, &at, &d))
		n++;
	return n;
}

const char *
dimension_add(char list[DESTINATION_DIMENSIONS_SIZE],
    const struct dimension *d)
{
	size_t n = strlen(list);

	if (!name_is_valid(d))
		return "the name of a dimension is 1 to 256 of A-Z a-z 0-9 "
		       "_ -, of an automatic tag with ses: in front";
	if (!dimension_value_is_valid(d->value))
		return "the default value of a dimension is 1 to 256 of "
		       "A-Z a-z 0-9 _ - @ .";
	if (d->source == DIMENSION_HEADER && !header_is_possible(d->name))
		return "this header field cannot be a dimension";
	if (label_is_there(list, d->name))
		return "two dimensions have one label";
	if (dimension_count(list) >= DESTINATION_DIMENSIONS_MAX)
		return "a metrics destination has at most 10 dimensions";
	must(n + d->name.n + d->value.n + 4 <= DESTINATION_DIMENSIONS_SIZE);
	memcpy(list + n, d->name.p, d->name.n);
	n += d->name.n;
	list[n++] = '=';
	list[n++] = source_letters[d->source];
	memcpy(list + n, d->value.p, d->value.n);
	n += d->value.n;
	memcpy(list + n, "\n", 2);
	return NULL;
}

bool
dimensions_are_valid(const char *list)
{
	char		 again[DESTINATION_DIMENSIONS_SIZE] = "";
	struct dimension d;
	size_t		 at = 0;

	while (dimension_next(list, &at, &d))
		if (dimension_add(again, &d) != NULL)
			return false;
	return list[0] != '\0' && list[at] == '\0';
}
