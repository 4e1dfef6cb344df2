/* SPDX-License-Identifier: ISC */
#include "mail/msgid.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"

enum {
	TIME_OCTETS = 6,
	UUID_OCTETS = 16,
	PREFIX_DIGITS = 4,
	NUMBER_DIGITS = 6,
	NUMBER_AT = MSGID_TEXT - NUMBER_DIGITS,
};

/* Digits of each group of the time and the UUID, a hyphen behind each. */
static const unsigned char groups[] = { 16, 8, 4, 4, 4, 12 };
enum { GROUPS = sizeof(groups) };

void
msgid_make(struct wall now, struct msgid *out)
{
	uint64_t ms = now.ms > 0 ? (uint64_t)now.ms : 0;
	int	 i;

	for (i = 0; i < TIME_OCTETS; i++)
		out->b[i] = (uint8_t)(ms >> (8 * (TIME_OCTETS - 1 - i)));
	mem_random(out->b + TIME_OCTETS, UUID_OCTETS);
	/* RFC 9562 5.4: version 4 and the variant */
	out->b[TIME_OCTETS + 6] = (out->b[TIME_OCTETS + 6] & 0x0f) | 0x40;
	out->b[TIME_OCTETS + 8] = (out->b[TIME_OCTETS + 8] & 0x3f) | 0x80;
}

char *
msgid_to_text(const struct msgid *id, const char prefix[5],
    unsigned recipient, char out[MSGID_TEXT + 1])
{
	char   hex[PREFIX_DIGITS + 2 * sizeof(id->b) + 1];
	size_t from = 0, to = 0, i;

	must(recipient <= MSGID_RECIPIENT_MAX);
	must(strlen(prefix) == PREFIX_DIGITS);
	memcpy(hex, prefix, PREFIX_DIGITS);
	hex_encode(id->b, sizeof(id->b), hex + PREFIX_DIGITS);
	for (i = 0; i < GROUPS; i++) {
		memcpy(out + to, hex + from, groups[i]);
		from += groups[i];
		to += groups[i];
		out[to++] = '-';
	}
	snprintf(out + NUMBER_AT, NUMBER_DIGITS + 1, "%06u", recipient);
	return out;
}

bool
msgid_from_text(struct bytes text, struct msgid *out, unsigned *recipient)
{
	uint8_t	 raw[PREFIX_DIGITS / 2 + sizeof(out->b)];
	char	 hex[2 * sizeof(raw)];
	size_t	 from = 0, to = 0, i;
	uint64_t number;

	if (text.n != MSGID_TEXT)
		return false;
	for (i = 0; i < GROUPS; i++) {
		memcpy(hex + to, text.p + from, groups[i]);
		from += groups[i];
		to += groups[i];
		if (text.p[from++] != '-')
			return false;
	}
	if (!hex_decode((struct bytes){ hex, sizeof(hex) }, raw, sizeof(raw)))
		return false;
	if (!bytes_to_u64(bytes_from(text, NUMBER_AT), &number))
		return false;
	memcpy(out->b, raw + PREFIX_DIGITS / 2, sizeof(out->b));
	if (recipient != NULL)
		*recipient = (unsigned)number;
	return true;
}

int
msgid_cmp(const struct msgid *a, const struct msgid *b)
{
	return memcmp(a->b, b->b, sizeof(a->b));
}

struct wall
msgid_time(const struct msgid *id)
{
	uint64_t ms = 0;
	int	 i;

	for (i = 0; i < TIME_OCTETS; i++)
		ms = ms << 8 | id->b[i];
	return (struct wall){ (int64_t)ms };
}
