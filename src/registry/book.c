/* SPDX-License-Identifier: ISC */
#include "registry/book.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/mem.h"

enum {
	BOOK_FORMAT = 1,
	BOOK_FEED_MAX = 1024,
	BOOK_PATH_MAX = 4096,
	REGION_SIZE = 33,
	FEEDBACK_KEY_OCTETS = 32
};

static const char *const book_table_names[BOOK_TABLES] = {
	[BOOK_ACCOUNT] = "account",
	[BOOK_CREDENTIAL] = "credential",
	[BOOK_KEY] = "key",
	[BOOK_IDENTITY] = "identity",
	[BOOK_POLICY] = "identity_policy",
	[BOOK_DKIM_KEY] = "dkim_key",
	[BOOK_SELECTOR] = "selector",
	[BOOK_TOKEN] = "token",
	[BOOK_SOURCE] = "source",
	[BOOK_CHECK] = "check",
	[BOOK_CONFIG_SET] = "config_set",
	[BOOK_SET_ID] = "config_set_id",
	[BOOK_SET_TAGS] = "config_set_tags",
	[BOOK_IDENTITY_TAGS] = "identity_tags",
	[BOOK_DESTINATION] = "event_destination",
	[BOOK_SUPPRESSED] = "suppressed",
	[BOOK_SUPPRESSED_TIME] = "suppressed_time",
	[BOOK_SUPPRESSED_ALL] = "suppressed_all",
	[BOOK_IMPORT] = "import",
	[BOOK_MAIL_FROM] = "mail_from",
	[BOOK_IP_FILTER] = "ip-filter",
	[BOOK_ALARM] = "alarm",
	[BOOK_ALARM_PAST] = "alarm_past",
	[BOOK_FINDING] = "finding",
	[BOOK_POOL] = "pool",
	[BOOK_LEVEL] = "level",
	[BOOK_LISTING] = "listing",
	[BOOK_SNDS] = "snds",
	[BOOK_SPF] = "spf",
	[BOOK_TOPIC] = "topic",
	[BOOK_NOTIFICATION] = "notification",
};

struct book {
	struct db	*db;
	struct loop	*writer; /* NULL until book_start() */
	_Atomic uint64_t version;
	struct loop	*down_to; /* NULL = nobody, or told */
	loop_fn		*on_down;
	void		*on_down_arg;
};

int
book_refuse(struct err *e, enum book_refusal code, const char *fmt, ...)
{
	char	text[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	err_set(e, "%s", text);
	e->code = (int)code;
	return -1;
}

bool
book_is_refusal(const struct err *e)
{
	return e->code >= BOOK_BAD_REQUEST && e->code <= BOOK_TOO_MANY;
}

const char *
book_refusal_to_text(const struct err *e)
{
	switch (e->code) {
	case BOOK_BAD_REQUEST:
		return "BadRequestException";
	case BOOK_NOT_FOUND:
		return "NotFoundException";
	case BOOK_EXISTS:
		return "AlreadyExistsException";
	case BOOK_LIMIT:
		return "LimitExceededException";
	case BOOK_TOO_MANY:
		return "TooManyRequestsException";
	default:
		return "InternalServiceErrorException";
	}
}

/* -- life ----------------------------------------------------------------- */

static int
book_make_feedback_key(struct book *b, struct err *e)
{
	unsigned char  key[FEEDBACK_KEY_OCTETS];
	struct db_txn *t;
	int	       found;

	t = db_read(b->db, e);
	if (t == NULL)
		return -1;
	found = book_feedback_key(t, key, e);
	db_end(t);
	if (found != 0)
		return found < 0 ? -1 : 0;
	t = db_write(b->db, e);
	if (t == NULL)
		return -1;
	mem_random(key, sizeof(key));
	if (db_meta_put(t, "feedback_key",
		(struct bytes){ (const char *)key, sizeof(key) }, e) < 0) {
		db_end(t);
		return -1;
	}
	return db_commit(t, e);
}

struct book *
book_open(const char *dir, uint64_t map_bytes, struct err *e)
{
	char		path[BOOK_PATH_MAX];
	struct db_setup setup = {
		.dir = path,
		.map_bytes = map_bytes,
		.tables = book_table_names,
		.table_count = BOOK_TABLES,
		.format = BOOK_FORMAT,
		.kind = "state",
	};
	struct book *b;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
		err_sys(e, "make %s", dir);
		return NULL;
	}
	if ((size_t)snprintf(path, sizeof(path), "%s/state", dir) >=
	    sizeof(path)) {
		err_set(e, "%s: path too long", dir);
		return NULL;
	}
	b = mem_alloc(sizeof(*b));
	atomic_init(&b->version, 1);
	b->db = db_open(&setup, e);
	if (b->db == NULL || book_make_feedback_key(b, e) < 0) {
		book_close(b);
		return NULL;
	}
	return b;
}

void
book_on_down(struct book *b, struct loop *to, loop_fn *fn, void *ctx)
{
	must(b->writer == NULL && b->down_to == NULL);
	if (!loop_reserve(to))
		return;
	b->down_to = to;
	b->on_down = fn;
	b->on_down_arg = ctx;
}

int
book_start(struct book *b, struct err *e)
{
	must(b->writer == NULL);
	b->writer = loop_new("state-writer", BOOK_FEED_MAX, e);
	if (b->writer == NULL)
		return -1;
	if (loop_start(b->writer, e) < 0) {
		loop_free(b->writer);
		b->writer = NULL;
		return -1;
	}
	return 0;
}

/* What was posted before a stop is still run by the loop. */
void
book_stop(struct book *b)
{
	if (b->writer == NULL)
		return;
	loop_stop(b->writer);
	loop_join(b->writer);
	loop_free(b->writer);
	b->writer = NULL;
}

void
book_close(struct book *b)
{
	if (b == NULL)
		return;
	must(b->writer == NULL);
	if (b->down_to != NULL)
		loop_unreserve(b->down_to);
	db_close(b->db);
	mem_free(b);
}

/* -- reading -------------------------------------------------------------- */

struct db_txn *
book_read(struct book *b, struct err *e)
{
	return db_read(b->db, e);
}

void
book_end(struct db_txn *t)
{
	db_end(t);
}

void
book_rows_open(struct book_rows *r, struct db_txn *t, enum book_table table,
    struct bytes prefix, struct err *e)
{
	memset(r, 0, sizeof(*r));
	r->prefix = prefix;
	r->err = e;
	r->cursor = db_cursor(t, table, e);
	r->status = r->cursor == NULL ? -1 : 1;
}

bool
book_rows_next(struct book_rows *r)
{
	if (r->status != 1)
		return false;
	r->status = r->is_begun
		? db_next(r->cursor, &r->key, &r->value, r->err)
		: db_seek(r->cursor, r->prefix, &r->key, &r->value, r->err);
	r->is_begun = true;
	if (r->status == 1 && !bytes_starts(r->key, r->prefix))
		r->status = 0;
	return r->status == 1;
}

int
book_rows_close(struct book_rows *r)
{
	if (r->cursor != NULL)
		db_cursor_close(r->cursor);
	r->cursor = NULL;
	return r->status < 0 ? -1 : 0;
}

int
book_walk(struct db_txn *t, enum book_table table, struct bytes prefix,
    bool (*fn)(void *arg, struct bytes key, struct bytes value), void *arg,
    struct err *e)
{
	struct book_rows r;

	book_rows_open(&r, t, table, prefix, e);
	while (book_rows_next(&r) && fn(arg, r.key, r.value))
		;
	return book_rows_close(&r);
}

int
book_count(struct db_txn *t, enum book_table table, struct bytes prefix,
    struct err *e)
{
	struct book_rows r;
	int		 n = 0;

	book_rows_open(&r, t, table, prefix, e);
	while (book_rows_next(&r))
		n++;
	return book_rows_close(&r) < 0 ? -1 : n;
}

int
book_purge(struct db_txn *t, enum book_table table, struct bytes prefix,
    unsigned max, struct err *e)
{
	struct book_rows r;
	unsigned	 n = 0;

	book_rows_open(&r, t, table, prefix, e);
	/* behind the one that goes is the first again */
	while (n < max && book_rows_next(&r)) {
		r.is_begun = false;
		if (db_cursor_delete(r.cursor, e) < 0)
			r.status = -1;
		else
			n++;
	}
	return book_rows_close(&r) < 0 ? -1 : (int)n;
}

int
book_put(struct db_txn *t, enum book_table table, struct bytes key,
    struct buf *record, struct err *e)
{
	int rc = record->failed ? err_set(e, "a record: no memory")
	    : db_put(t, table, key, buf_bytes(record), false, e);

	buf_wipe(record);
	return rc < 0 ? -1 : 0;
}

struct bytes
book_key(struct book_key *room, const char *account, struct bytes name)
{
	size_t n = strlen(account);

	must(n < sizeof(room->p));
	name = bytes_head(name, sizeof(room->p) - n);
	memcpy(room->p, account, n);
	memcpy(room->p + n, name.p, name.n);
	return (struct bytes){ room->p, n + name.n };
}

/* -- writing -------------------------------------------------------------- */

/* After a commit that the disk refused nobody knows what is on it. */
static void
book_look_down(struct book *b, const struct err *e)
{
	struct loop *to = b->down_to;
	char	     quoted[LOG_QUOTE_SIZE];

	if (e->code != DB_DOWN || to == NULL)
		return;
	log_error("store-down", "store=state error=%s",
	    log_quote(bytes_of(e->text), quoted));
	b->down_to = NULL;
	loop_post_reserved(to, b->on_down, b->on_down_arg, NULL);
}

static void
book_run_job(struct book *b, struct book_job *j)
{
	struct db_txn *t;

	j->failed = true;
	j->err.text[0] = '\0';
	j->err.code = 0;
	t = db_write(b->db, &j->err);
	if (t == NULL) {
		book_look_down(b, &j->err);
		return;
	}
	if (j->run(j, t) < 0) {
		db_end(t);
		return;
	}
	if (db_commit(t, &j->err) < 0) {
		book_look_down(b, &j->err);
		return;
	}
	j->failed = false;
	atomic_fetch_add(&b->version, 1);
}

static void
book_on_job(void *ctx, void *load)
{
	struct book_job *j = load;

	book_run_job(ctx, j);
	loop_post_reserved(j->asker, j->done, j, NULL);
}

bool
book_write(struct book *b, struct book_job *j)
{
	must(b->writer != NULL && j->asker != NULL && j->done != NULL);
	if (!loop_reserve(j->asker))
		return false;
	if (!loop_post(b->writer, book_on_job, b, j)) {
		loop_unreserve(j->asker);
		return false;
	}
	return true;
}

int
book_write_now(struct book *b, struct book_job *j)
{
	must(b->writer == NULL);
	book_run_job(b, j);
	return j->failed ? -1 : 0;
}

/* -- the store as a whole ------------------------------------------------- */

int
book_region(struct db_txn *t, char out[33], struct err *e)
{
	struct bytes value;
	int	     found = db_meta_get(t, "region", &value, e);

	out[0] = '\0';
	if (found != 1)
		return found;
	if (value.n >= REGION_SIZE)
		return err_set(e, "state: the region is damaged");
	bytes_text(value, out, REGION_SIZE);
	return 1;
}

int
book_set_region(struct db_txn *t, const char *region, struct err *e)
{
	must(strlen(region) < REGION_SIZE);
	return db_meta_put(t, "region", bytes_of(region), e) < 0 ? -1 : 0;
}

int
book_feedback_key(struct db_txn *t, unsigned char out[32], struct err *e)
{
	struct bytes value;
	int	     found = db_meta_get(t, "feedback_key", &value, e);

	if (found != 1)
		return found;
	if (value.n != FEEDBACK_KEY_OCTETS)
		return err_set(e, "state: the feedback key is damaged");
	memcpy(out, value.p, FEEDBACK_KEY_OCTETS);
	return 1;
}

int
book_figures(struct book *b, struct db_figures *out, struct err *e)
{
	return db_figures(b->db, out, e);
}

void
book_check_readers(struct book *b)
{
	db_reader_check(b->db);
}

int
book_backup(struct book *b, int fd, struct err *e)
{
	return db_copy(b->db, fd, e);
}

uint64_t
book_version(const struct book *b)
{
	return atomic_load(&((struct book *)(uintptr_t)b)->version);
}
