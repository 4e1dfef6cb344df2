/* SPDX-License-Identifier: ISC */
#include "registry/import_job.h"

#include <jansson.h>
#include <string.h>

#include "base/ascii.h"
#include "store/pack.h"

enum { IMPORT_RECORD = 1, IMPORT_RECORD_MAX = 2048 };

/* -- a line ------------------------------------------------------------------ */

static const char *
record_take(struct import_record *out, struct bytes address,
    struct bytes reason, bool removes)
{
	char	     key[ADDRESS_TEXT_MAX];
	struct bytes ignored;

	if (address.n >= sizeof(out->address) ||
	    !suppression_key(address, key, &ignored))
		return "not an address";
	bytes_text(address, out->address, sizeof(out->address));
	if (!removes && !suppression_reason_from_text(reason, &out->reason))
		return reason.n == 0 ? "no reason" : "unknown reason";
	return NULL;
}

/* One field, with or without quotes (RFC 4180), trimmed; *at moves behind
 * its comma, NULL behind the last one. */
static const char *
csv_take(struct bytes line, size_t *at, char *out, size_t size,
    struct bytes *field)
{
	size_t n = 0;
	bool   quoted;

	while (*at < line.n && ascii_is_blank(line.p[*at]))
		++*at;
	quoted = *at < line.n && line.p[*at] == '"';
	*at += quoted;
	for (; *at < line.n && (quoted || line.p[*at] != ','); ++*at) {
		if (quoted && line.p[*at] == '"') {
			if (*at + 1 == line.n || line.p[*at + 1] != '"')
				break;
			++*at;
		}
		if (n == size)
			return "too long";
		out[n++] = line.p[*at];
	}
	*field = (struct bytes){ out, n };
	if (!quoted) {
		*field = bytes_trim(*field);
		return NULL;
	}
	if (*at == line.n)
		return "a quote is not closed";
	++*at;
	while (*at < line.n && ascii_is_blank(line.p[*at]))
		++*at;
	return *at < line.n && line.p[*at] != ',' ? "text behind a quote"
						  : NULL;
}

static const char *
csv_parse(struct bytes line, bool removes, struct import_record *out)
{
	char	     text[2][IMPORT_LINE_MAX];
	struct bytes field[2] = { { "", 0 }, { "", 0 } };
	const char  *error;
	size_t	     at = 0, i;

	for (i = 0; i < 2; i++) {
		error = csv_take(line, &at, text[i], sizeof(text[i]),
		    &field[i]);
		if (error != NULL)
			return error;
		if (at == line.n)
			break;
		at++; /* the comma */
	}
	if (i == 2 && !removes)
		return "more than two columns";
	out->has_more = removes && i > 0;
	return record_take(out, field[0], field[1], removes);
}

static const char *
json_parse(struct bytes line, bool removes, struct import_record *out)
{
	json_t	    *o = json_loadb(line.p, line.n, JSON_REJECT_DUPLICATES,
		   NULL), *v;
	const char  *name, *error = NULL;
	struct bytes address = { "", 0 }, reason = { "", 0 };

	if (!json_is_object(o))
		error = "not a JSON object";
	json_object_foreach(o, name, v) {
		if (strcmp(name, "emailAddress") == 0 && json_is_string(v))
			address = (struct bytes){ json_string_value(v),
				json_string_length(v) };
		else if (strcmp(name, "reason") == 0 && json_is_string(v) &&
		    !removes)
			reason = (struct bytes){ json_string_value(v),
				json_string_length(v) };
		else if (strcmp(name, "lastUpdateTime") != 0) /* export */
			error = "unknown member";
	}
	if (error == NULL)
		error = record_take(out, address, reason, removes);
	json_decref(o);
	return error;
}

const char *
import_line_parse(struct bytes line, enum import_format format, bool removes,
    struct import_record *out)
{
	memset(out, 0, sizeof(*out));
	if (line.n > IMPORT_LINE_MAX)
		return "too long";
	return format == IMPORT_CSV ? csv_parse(line, removes, out) :
				      json_parse(line, removes, out);
}

/* -- the file ----------------------------------------------------------------- */

/*
 * The next line without its end, cut behind IMPORT_LINE_MAX + 1 octets, which
 * is too long for all that read it.  *octets: what it took of the file.
 */
static bool
file_line(FILE *data, char line[IMPORT_LINE_MAX + 1], struct bytes *out,
    uint64_t *octets)
{
	size_t n = 0;
	int    c;

	*octets = 0;
	while ((c = getc(data)) != EOF) {
		++*octets;
		if (c == '\n')
			break;
		if (n <= IMPORT_LINE_MAX)
			line[n++] = (char)c;
	}
	if (n > 0 && line[n - 1] == '\r')
		n--;
	*out = (struct bytes){ line, n };
	return *octets > 0;
}

static struct bytes
line_content(struct bytes line, bool first)
{
	return bytes_trim(first ? bytes_without_bom(line) : line);
}

/* Of a file that removes: is there a column that is passed over? */
static bool
line_has_more(struct bytes line, enum import_format format)
{
	struct import_record r;

	return format == IMPORT_CSV &&
	    import_line_parse(line, format, true, &r) == NULL && r.has_more;
}

int
import_job_check(FILE *data, enum import_format format, bool removes,
    uint64_t *ignored, struct err *e)
{
	char	     text[IMPORT_LINE_MAX + 1];
	struct bytes line;
	uint64_t     octets, n, records = 0;
	unsigned     max = removes ? IMPORT_DELETE_MAX : IMPORT_PUT_MAX;

	*ignored = 0;
	rewind(data);
	for (n = 0; file_line(data, text, &line, &octets); n++) {
		line = line_content(line, n == 0);
		if (line.n == 0)
			continue;
		if (records++ == 0 && format == IMPORT_JSON &&
		    line.p[0] == '[')
			return book_refuse(e, BOOK_BAD_REQUEST,
			    "a JSON array: one object a line is expected");
		*ignored += removes && line_has_more(line, format);
	}
	if (ferror(data))
		return err_sys(e, "read");
	if (records > max)
		return book_refuse(e, BOOK_LIMIT,
		    "%llu records; at most %u per import",
		    (unsigned long long)records, max);
	return 0;
}

/* -- a batch ------------------------------------------------------------------ */

static int
record_apply(struct db_txn *t, const struct import_job *j,
    const struct import_record *r, struct wall now, struct err *e)
{
	struct suppression s = { .last = r->reason, .updated = now,
		.source = SUPPRESSION_IMPORT };

	if (j->removes)
		return suppression_remove(t, j->account,
		    bytes_of(r->address), e);
	memcpy(s.account, j->account, sizeof(s.account));
	memcpy(s.address, r->address, sizeof(s.address));
	return suppression_add(t, &s, e);
}

int
import_job_run(struct db_txn *t, struct import_job *j, FILE *data,
    void (*reject)(void *arg, const struct import_reject *r), void *arg,
    struct wall now, struct err *e)
{
	char		     text[IMPORT_LINE_MAX + 1];
	struct import_record record;
	struct import_reject x;
	uint64_t	     octets;
	unsigned	     n = 0;
	bool		     more = true;

	if (fseeko(data, (off_t)j->offset, SEEK_SET) != 0)
		return err_sys(e, "seek");
	while (n < IMPORT_BATCH &&
	    (more = file_line(data, text, &x.record, &octets))) {
		j->offset += octets;
		x.record = line_content(x.record, j->line++ == 0);
		if (x.record.n == 0)
			continue;
		n++;
		j->processed++;
		x.line = j->line;
		x.error = import_line_parse(x.record, j->format, j->removes,
		    &record);
		if (x.error == NULL) {
			if (record_apply(t, j, &record, now, e) < 0)
				return -1;
			continue;
		}
		j->failed++;
		reject(arg, &x);
	}
	if (ferror(data))
		return err_sys(e, "read");
	j->status = more ? IMPORT_PROCESSING : IMPORT_COMPLETED;
	if (!more)
		j->completed = now;
	return import_job_put(t, j, e);
}

/* -- records ------------------------------------------------------------------ */

const char *
import_status_to_text(enum import_status s)
{
	static const char *const names[] = { "CREATED", "PROCESSING",
		"COMPLETED", "FAILED" };

	return names[s];
}

/* RFC 9562, version 4 */
void
import_job_make_id(char out[IMPORT_ID_SIZE])
{
	(void)mem_uuid(out);
}

int
import_job_put(struct db_txn *t, const struct import_job *j, struct err *e)
{
	struct buf b;

	buf_init(&b, IMPORT_RECORD_MAX);
	pack_u64(&b, IMPORT_RECORD);
	pack_text(&b, j->account);
	pack_bool(&b, j->removes);
	pack_u64(&b, (uint64_t)j->format);
	pack_u64(&b, (uint64_t)j->status);
	pack_i64(&b, j->created.ms);
	pack_i64(&b, j->completed.ms);
	pack_u64(&b, j->processed);
	pack_u64(&b, j->failed);
	pack_u64(&b, j->line);
	pack_u64(&b, j->offset);
	pack_u64(&b, j->rejected);
	pack_text(&b, j->error);
	return book_put(t, BOOK_IMPORT, bytes_of(j->id), &b, e);
}

static int
import_unpack(struct bytes key, struct bytes value, struct import_job *j,
    struct err *e)
{
	struct unpack u = unpack_of(value);

	memset(j, 0, sizeof(*j));
	bytes_text(key, j->id, sizeof(j->id));
	if (unpack_u64(&u) != IMPORT_RECORD)
		u.failed = true;
	unpack_text(&u, j->account, sizeof(j->account));
	j->removes = unpack_bool(&u);
	j->format = (enum import_format)unpack_u64(&u);
	j->status = (enum import_status)unpack_u64(&u);
	j->created = unpack_wall(&u);
	j->completed = unpack_wall(&u);
	j->processed = unpack_u64(&u);
	j->failed = unpack_u64(&u);
	j->line = unpack_u64(&u);
	j->offset = unpack_u64(&u);
	j->rejected = unpack_u64(&u);
	unpack_text(&u, j->error, sizeof(j->error));
	if (!unpack_done(&u) || !bytes_eq_text(key, j->id) ||
	    j->format > IMPORT_JSON ||
	    j->status > IMPORT_FAILED)
		return err_set(e, "import job %s: the record is damaged",
		    j->id);
	return 1;
}

int
import_job_get(struct db_txn *t, const char *id, struct import_job *out,
    struct err *e)
{
	struct bytes value;
	int	     found;

	if (strlen(id) != IMPORT_ID_SIZE - 1)
		return 0;
	found = db_get(t, BOOK_IMPORT, bytes_of(id), &value, e);
	return found == 1 ? import_unpack(bytes_of(id), value, out, e) : found;
}

int
import_job_delete(struct db_txn *t, const char *id, struct err *e)
{
	return db_delete(t, BOOK_IMPORT, bytes_of(id), e);
}

int
import_job_each(struct db_txn *t,
    bool (*fn)(void *arg, const struct import_job *j), void *arg,
    struct err *e)
{
	struct book_rows r;
	struct import_job j;

	book_rows_open(&r, t, BOOK_IMPORT, BYTES(""), e);
	while (book_rows_next(&r)) {
		r.status = import_unpack(r.key, r.value, &j, e);
		if (r.status < 0 || !fn(arg, &j))
			break;
	}
	return book_rows_close(&r);
}
