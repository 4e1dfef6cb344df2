/* SPDX-License-Identifier: ISC */
#include "registry/snds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/source.h"
#include "store/db.h"
#include "store/pack.h"

enum {
	SNDS_RECORD = 1,
	RECORD_MAX = 256,
	KEY_SIZE = 64 + 1 + 8,
	FIELD_SIZE = 64,
	DAY_MS = 24 * 60 * 60 * 1000,
	MILLION = 1000000
};
/* The fields of a line that are looked at. */
enum { F_ADDRESS, F_BEGIN, F_END, F_RCPTS, F_DATAS, F_RECIPIENTS, F_FILTER,
	F_COMPLAINTS, F_TRAPS_BEGIN, F_TRAPS_END, F_TRAPS, FIELDS };

double
snds_spam_rate(enum snds_filter f)
{
	return f == SNDS_GREEN ? 0 : f == SNDS_YELLOW ? 0.5 : 1;
}

const char *
snds_complaints_to_text(unsigned complaints, char out[SNDS_SHOWN_SIZE])
{
	if (complaints == 0)
		snprintf(out, SNDS_SHOWN_SIZE, "< 0.1 %%");
	else
		snprintf(out, SNDS_SHOWN_SIZE, "%g %%",
		    (double)complaints / (MILLION / 100));
	return out;
}

/* -- lines ----------------------------------------------------------------- */

/* The next field, without its quotes, cut to what a field needs; *rest is
 * behind its comma. */
static bool
field_next(struct bytes *rest, char out[FIELD_SIZE])
{
	bool   quoted = rest->n > 0 && rest->p[0] == '"';
	size_t i = quoted, n = 0;

	for (; i < rest->n; i++) {
		if (quoted && rest->p[i] == '"') {
			if (i + 1 >= rest->n || rest->p[i + 1] != '"')
				break;
			i++; /* a quote in quotes is doubled */
		} else if (!quoted && rest->p[i] == ',') {
			break;
		}
		if (rest->p[i] == '\0')
			return false;
		if (n + 1 < FIELD_SIZE)
			out[n++] = rest->p[i];
	}
	if (quoted) {
		if (i >= rest->n)
			return false; /* no end */
		i++;
	}
	while (n > 0 && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
	if (i < rest->n && rest->p[i] != ',')
		return false;
	*rest = bytes_from(*rest, i < rest->n ? i + 1 : rest->n);
	return true;
}

/* At most ten digits, nothing else. */
static bool
number_read(const char *text, uint64_t *out)
{
	size_t n = strspn(text, "0123456789");

	if (n == 0 || n > 10 || text[n] != '\0')
		return false;
	*out = strtoull(text, NULL, 10);
	return true;
}

/* Days from 1970 to a date of the Gregorian calendar. */
static int64_t
days_of(unsigned y, unsigned m, unsigned d)
{
	unsigned era, year, day;

	y -= m <= 2;
	era = y / 400;
	year = y - era * 400;
	day = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
	return (int64_t)era * 146097 + year * 365 + year / 4 - year / 100 +
	    day - 719468;
}

/* "12/31/2019 10:00 AM": the time of day says nothing. */
static bool
day_read(const char *text, int64_t *out)
{
	static const unsigned last[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30,
		31, 30, 31 };
	unsigned m, d, y;
	int	 end = 0;

	if (sscanf(text, "%2u/%2u/%4u%n", &m, &d, &y, &end) != 3 ||
	    (text[end] != '\0' && text[end] != ' '))
		return false;
	/* sscanf takes blanks and signs */
	if (strspn(text, "0123456789/") < (size_t)end)
		return false;
	if (m < 1 || m > 12 || d < 1 || d > last[m - 1] || y < 2000)
		return false;
	if (m == 2 && d == 29 && days_of(y, 3, 1) - days_of(y, 2, 28) != 2)
		return false;
	*out = days_of(y, m, d);
	return true;
}

/* When it was, and whether that can be; NULL, or why not. */
static const char *
period_read(const char *begin, const char *end, struct wall now, int64_t *out)
{
	int64_t last = 0, today = now.ms / DAY_MS;

	if (!day_read(begin, out) || (*end != '\0' && !day_read(end, &last)))
		return "not a date";
	if (*end != '\0' && last < *out)
		return "it ends before it begins";
	if (*out > today)
		return "the day is yet to come";
	if (*out < today - SNDS_DAYS)
		return "the day is too long ago to be kept";
	return NULL;
}

/* "< 0.1%", "0.3%", "0"; without a sign of per cent it is a fraction. */
static bool
complaints_read(const char *text, unsigned *out)
{
	double v;
	char  *end;

	text += strspn(text, " ");
	if (*text == '<') {
		*out = 0;
		return strlen(text) > 1;
	}
	if (*text < '0' || *text > '9')
		return false;
	v = strtod(text, &end);
	end += strspn(end, " ");
	if (*end == '%') {
		v /= 100;
		end++;
	}
	if (*end != '\0' || !(v >= 0 && v <= 1))
		return false;
	*out = (unsigned)(v * MILLION + 0.5);
	return true;
}

static bool
filter_read(const char *text, enum snds_filter *out)
{
	static const char *const names[] = { "GREEN", "YELLOW", "RED" };
	unsigned i;

	for (i = 0; i < 3; i++)
		if (bytes_eq_nocase(bytes_of(text), bytes_of(names[i]))) {
			*out = (enum snds_filter)i;
			return true;
		}
	return false;
}

bool
snds_is_heading(struct bytes line)
{
	return bytes_starts_nocase(line, BYTES("IP Address,")) ||
	    bytes_starts_nocase(line, BYTES("\"IP Address\","));
}

const char *
snds_parse(struct bytes line, struct wall now, struct snds_row *out)
{
	char	    f[FIELDS][FIELD_SIZE];
	const char *why;
	size_t	    i;
	int	    family;

	memset(out, 0, sizeof(*out));
	if (line.n > SNDS_LINE_MAX)
		return "the line is too long";
	for (i = 0; i < FIELDS; i++) {
		if (line.n == 0 && i > F_COMPLAINTS)
			f[i][0] = '\0'; /* no traps */
		else if (line.n == 0 || !field_next(&line, f[i]))
			return "not a line of SNDS data";
	}
	if (!source_address_normal(f[F_ADDRESS], out->address, &family))
		return "not an IP address";
	why = period_read(f[F_BEGIN], f[F_END], now, &out->day);
	if (why != NULL)
		return why;
	if (!number_read(f[F_RCPTS], &out->rcpts) ||
	    !number_read(f[F_DATAS], &out->datas) ||
	    !number_read(f[F_RECIPIENTS], &out->recipients) ||
	    (f[F_TRAPS][0] != '\0' && !number_read(f[F_TRAPS], &out->traps)))
		return "not a number";
	if (!filter_read(f[F_FILTER], &out->filter))
		return "neither GREEN nor YELLOW nor RED";
	if (!complaints_read(f[F_COMPLAINTS], &out->complaints))
		return "not a complaint rate";
	return NULL;
}

/* -- the store ------------------------------------------------------------- */

bool
snds_write_record(const struct snds_row *r, struct buf *out)
{
	pack_u64(out, SNDS_RECORD);
	pack_text(out, r->address);
	pack_i64(out, r->day);
	pack_u64(out, r->rcpts);
	pack_u64(out, r->datas);
	pack_u64(out, r->recipients);
	pack_u64(out, r->traps);
	pack_u64(out, (uint64_t)r->filter);
	pack_u64(out, r->complaints);
	return !out->failed;
}

bool
snds_read_record(struct bytes in, struct snds_row *out)
{
	struct unpack u = unpack_of(in);
	uint64_t      filter, complaints;

	memset(out, 0, sizeof(*out));
	u.failed |= unpack_u64(&u) != SNDS_RECORD;
	unpack_text(&u, out->address, sizeof(out->address));
	out->day = unpack_i64(&u);
	out->rcpts = unpack_u64(&u);
	out->datas = unpack_u64(&u);
	out->recipients = unpack_u64(&u);
	out->traps = unpack_u64(&u);
	filter = unpack_u64(&u);
	complaints = unpack_u64(&u);
	u.failed |= filter > SNDS_RED || complaints > MILLION;
	out->filter = u.failed ? 0 : (enum snds_filter)filter;
	out->complaints = u.failed ? 0 : (unsigned)complaints;
	return unpack_done(&u);
}

/* address, 0, day */
static struct bytes
snds_key(const char *address, int64_t day, char out[KEY_SIZE])
{
	size_t n = strnlen(address, 63);

	memcpy(out, address, n);
	out[n++] = '\0';
	db_put_be64(out + n, (uint64_t)day);
	return (struct bytes){ out, n + 8 };
}

int
snds_each(struct db_txn *t, const char *address,
    bool (*fn)(void *arg, const struct snds_row *r), void *arg,
    struct err *e)
{
	struct book_rows r;
	struct snds_row	 row;
	char		 own[KEY_SIZE];

	/* with its NUL */
	book_rows_open(&r, t, BOOK_SNDS, (struct bytes){ address,
	    strlen(address) + 1 }, e);
	while (book_rows_next(&r))
		/* one of another day would be looked for there when it is
		 * old */
		if (!snds_read_record(r.value, &row) ||
		    !bytes_eq(snds_key(row.address, row.day, own), r.key))
			r.status = err_set(e, "a row of SNDS data is damaged");
		else if (!fn(arg, &row))
			break;
	return book_rows_close(&r);
}

static bool
first_on_row(void *arg, const struct snds_row *r)
{
	*(int64_t *)arg = r->day;
	return false;
}

/* Days that are too old, the oldest first. */
static int
snds_prune(struct db_txn *t, const char *address, int64_t from,
    struct err *e)
{
	char	key[KEY_SIZE];
	int64_t day;

	for (;;) {
		day = from;
		if (snds_each(t, address, first_on_row, &day, e) < 0)
			return -1;
		if (day >= from)
			return 0;
		if (db_delete(t, BOOK_SNDS, snds_key(address, day, key), e) <
		    0)
			return -1;
	}
}

int
snds_put(struct db_txn *t, const struct snds_row *r, struct wall now,
    bool *has_traps, struct err *e)
{
	struct snds_row before;
	struct bytes	value;
	struct buf	b;
	char		key[KEY_SIZE];
	int64_t		from = now.ms / DAY_MS - SNDS_DAYS;
	int rc = db_get(t, BOOK_SNDS, snds_key(r->address, r->day, key),
	    &value, e);

	*has_traps = false;
	if (rc < 0)
		return -1;
	if (r->day < from)
		return 0; /* it would go at once */
	*has_traps = r->traps > 0 && (rc == 0 ||
	    !snds_read_record(value, &before) || before.traps < r->traps);
	buf_init(&b, RECORD_MAX);
	snds_write_record(r, &b);
	if (book_put(t, BOOK_SNDS, snds_key(r->address, r->day, key), &b,
		e) < 0)
		return -1;
	return snds_prune(t, r->address, from, e);
}
