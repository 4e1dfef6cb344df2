/* SPDX-License-Identifier: ISC */
/*
 * suppression import: a file becomes entries, a batch in each transaction.
 *
 *	worker: copies the caller's file to store.dir/import/ID, and looks at
 *		the whole of it
 *	writer: makes the job known, then a batch after the other
 *	main:	answers when the last one is done
 *
 * A job that was under way when the relay died goes on at the next start, of
 * no request then; what it refuses is in store.dir/import/ID.rejects.  What
 * ends one early (a file that is too large or cannot be read, the store) is in
 * its row, as FAILED; only where that cannot be written it stays PROCESSING.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/control_private.h"
#include "registry/import_job.h"

enum {
	IMPORT_FILE_MAX = 64 * 1024 * 1024,
	IMPORT_PIECE = 65536,
	IMPORT_PATH_SIZE = 1100,
	REJECT_MAX = 8 * IMPORT_LINE_MAX,
	SWEEP_MAX = 100,
	STATUS_PARTLY = 4
};
static const int64_t day_ms = 24 * 60 * 60 * 1000;

struct import {
	struct book_job	  job; /* first: cast back from it */
	struct import	 *next; /* of those of no request */
	struct control	 *control;
	struct request	 *q; /* owns it; NULL: of no request */
	struct import_job state;
	bool		  known; /* the job is in the store */
	struct err	  why;	 /* of FAILED */
	FILE		 *data;
	int		  given, rejects_to; /* of the caller; -1 = none */
	int		  rejects; /* store.dir/import/ID.rejects */
};

static void import_step(struct import *m);

/* -- files ----------------------------------------------------------------------- */

static void
import_path(const struct control *k, const char *id, const char *end,
    char out[IMPORT_PATH_SIZE])
{
	snprintf(out, IMPORT_PATH_SIZE, "%s/import/%s%s",
	    k->relay->conf->store.dir, id, end);
}

static int
import_open(const struct control *k, const char *id, const char *end,
    int flags, struct err *e)
{
	char path[IMPORT_PATH_SIZE];
	int  fd;

	import_path(k, id, end, path);
	fd = open(path, flags | O_CLOEXEC, 0600);
	return fd < 0 ? err_sys(e, "open %s", path) : fd;
}

/* unreadable: what it is that from cannot be read; 0 = our own trouble. */
static int
copy_all(int from, int to, enum book_refusal unreadable, struct err *e)
{
	char	 piece[IMPORT_PIECE];
	uint64_t all = 0;
	ssize_t	 n, done;

	while ((n = read(from, piece, sizeof(piece))) > 0) {
		all += (uint64_t)n;
		if (all > IMPORT_FILE_MAX)
			return book_refuse(e, BOOK_LIMIT,
			    "the file has more than %d MB",
			    IMPORT_FILE_MAX >> 20);
		done = write(to, piece, (size_t)n);
		if (done != n)
			return err_sys(e, "write the copy of the file");
	}
	if (n < 0 && unreadable != 0)
		return book_refuse(e, unreadable,
		    "the file cannot be read: %s", strerror(errno));
	return n < 0 ? err_sys(e, "read the file") : 0;
}

/* Of a job that is known the copy is there. */
static int
import_open_files(struct import *m, struct err *e)
{
	int flags = m->known ? O_RDWR : O_RDWR | O_CREAT;
	int fd = import_open(m->control, m->state.id, "", flags, e);

	if (fd < 0)
		return -1;
	m->data = fdopen(fd, "r+");
	if (m->data == NULL) {
		close(fd);
		return err_sys(e, "open the copy of the file");
	}
	m->rejects = import_open(m->control, m->state.id, ".rejects",
	    O_RDWR | O_CREAT, e);
	return m->rejects < 0 ? -1 : 0;
}

static void
import_remove_files(const struct control *k, const char *id, bool rejects)
{
	char path[IMPORT_PATH_SIZE];

	import_path(k, id, "", path);
	(void)unlink(path);
	import_path(k, id, ".rejects", path);
	if (rejects)
		(void)unlink(path);
}

static void
import_init(struct import *m, struct control *k)
{
	m->control = k;
	m->given = m->rejects_to = m->rejects = -1;
}

static void
import_close(struct import *m)
{
	if (m->data != NULL)
		fclose(m->data);
	if (m->given >= 0)
		close(m->given);
	if (m->rejects_to >= 0)
		close(m->rejects_to);
	if (m->rejects >= 0)
		close(m->rejects);
}

/* One of no request. */
static void
import_free(struct import *m)
{
	struct import **at = &m->control->imports;

	while (*at != m)
		at = &(*at)->next;
	*at = m->next;
	import_close(m);
	mem_free(m);
}

/* -- a batch, on the book's writer --------------------------------------------------- */

struct rejecting {
	struct import *m;
	bool	       failed;
};

/* {"line":3,"record":"foo,BAR","error":"unknown reason"} */
static void
import_on_reject(void *arg, const struct import_reject *x)
{
	struct rejecting *r = arg;
	struct import	 *m = r->m;
	struct buf	  line;

	buf_init(&line, REJECT_MAX);
	buf_printf(&line, "{\"line\":%llu,\"record\":",
	    (unsigned long long)x->line);
	(void)event_write_string(x->record, &line);
	buf_printf(&line, ",\"error\":\"%s\"}\n", x->error);
	if (line.failed || pwrite(m->rejects, line.p, line.n,
		(off_t)m->state.rejected) != (ssize_t)line.n)
		r->failed = true;
	m->state.rejected += line.n;
	buf_wipe(&line);
}

static int
import_write_batch(struct import *m, struct db_txn *t, struct err *e)
{
	struct rejecting r = { m, false };
	uint64_t	 rejected = m->state.rejected;
	struct account	 a;
	int		 found;

	found = account_get(t, m->state.account, &a, e);
	if (found == 0)
		return book_refuse(e, BOOK_NOT_FOUND, "no such account: %s",
		    m->state.account);
	if (found < 0 || import_job_run(t, &m->state, m->data,
			     import_on_reject, &r, clock_wall(), e) < 0)
		return -1;
	if (r.failed || (m->state.rejected > rejected &&
			    fdatasync(m->rejects) != 0))
		return err_sys(e, "write the rejects");
	return 0;
}

/* A batch that fails leaves the state where it was. */
static int
import_write(struct book_job *job, struct db_txn *t)
{
	struct import	 *m = (struct import *)(void *)job;
	struct import_job was = m->state;

	if (m->state.status == IMPORT_CREATED)
		m->state.status = IMPORT_PROCESSING;
	if (!m->known || m->state.status == IMPORT_FAILED) {
		m->known = true;
		return import_job_put(t, &m->state, &job->err);
	}
	if (import_write_batch(m, t, &job->err) == 0)
		return 0;
	m->state = was;
	return -1;
}

/* -- the end --------------------------------------------------------------------------- */

static int
import_copy_rejects(struct request *q)
{
	struct import *m = q->state;

	if (lseek(m->rejects, 0, SEEK_SET) != 0)
		return err_sys(&q->err, "read the rejects");
	return copy_all(m->rejects, m->rejects_to, 0, &q->err);
}

static void
import_answer(struct request *q)
{
	struct import *m = q->state;
	char	       path[IMPORT_PATH_SIZE];

	json_object_update_new(q->result, json_pack(
	    "{s:s, s:s, s:I, s:I}", "JobId", m->state.id, "JobStatus",
	    import_status_to_text(m->state.status), "ProcessedRecordsCount",
	    (json_int_t)m->state.processed, "FailedRecordsCount",
	    (json_int_t)m->state.failed));
	import_path(m->control, m->state.id, ".rejects", path);
	if (m->state.failed > 0 && m->rejects_to < 0)
		request_set(q, "FailedRecordsFile", json_string(path));
	if (m->state.failed > 0)
		q->status = STATUS_PARTLY;
	request_end(q);
}

static void
import_end_failed(struct import *m)
{
	struct request *q = m->q;
	char		quoted[LOG_QUOTE_SIZE];

	if (book_is_refusal(&m->why))
		log_info("import", "job=%s account=%s status=FAILED reason=%s",
		    m->state.id, m->state.account,
		    log_quote(bytes_of(m->state.error), quoted));
	else
		log_error("import-failed", "job=%s account=%s reason=%s",
		    m->state.id, m->state.account,
		    log_quote(bytes_of(m->state.error), quoted));
	if (q == NULL) {
		import_free(m);
		return;
	}
	err_set(&q->err, "%s (import job %s)", m->state.error, m->state.id);
	q->err.code = m->why.code; /* a refusal stays one */
	request_end(q);
}

static void
import_end(struct import *m)
{
	struct request *q = m->q;

	import_remove_files(m->control, m->state.id, m->state.failed == 0);
	if (m->state.status == IMPORT_FAILED) {
		import_end_failed(m);
		return;
	}
	log_info("import", "job=%s account=%s status=COMPLETED "
	    "processed=%llu failed=%llu", m->state.id, m->state.account,
	    (unsigned long long)m->state.processed,
	    (unsigned long long)m->state.failed);
	if (q == NULL)
		import_free(m);
	else if (m->state.failed > 0 && m->rejects_to >= 0)
		request_work(q, import_copy_rejects, import_answer);
	else
		import_answer(q);
}

/* Not even that can be written: the next start goes on with it. */
static void
import_leave(struct import *m)
{
	char quoted[LOG_QUOTE_SIZE];

	log_error("import-failed", "job=%s account=%s reason=%s", m->state.id,
	    m->state.account,
	    log_quote(bytes_of(m->job.err.text), quoted));
	if (m->q == NULL) {
		import_free(m);
		return;
	}
	m->q->err = m->job.err;
	request_end(m->q);
}

static void
import_set_failed(struct import *m, const struct err *why, struct wall now)
{
	m->why = *why;
	m->state.status = IMPORT_FAILED;
	m->state.completed = now;
	bytes_text(bytes_of(why->text), m->state.error,
	    sizeof(m->state.error));
}

static void
import_on_written(void *job, void *unused)
{
	struct import *m = job;

	(void)unused;
	if (m->job.failed && m->state.status == IMPORT_FAILED) {
		import_leave(m);
	} else if (m->job.failed) {
		import_set_failed(m, &m->job.err, clock_wall());
		import_step(m);
	} else if (m->state.status == IMPORT_PROCESSING) {
		import_step(m);
	} else {
		import_end(m);
	}
}

static void
import_step(struct import *m)
{
	memset(&m->job, 0, sizeof(m->job));
	m->job.asker = m->control->relay->main;
	m->job.run = import_write;
	m->job.done = import_on_written;
	if (book_write(m->control->relay->book, &m->job))
		return;
	err_set(&m->job.err, "the store is busy");
	import_leave(m);
}

/* -- the command --------------------------------------------------------------------------- */

/* On a worker. */
static int
import_copy(struct request *q)
{
	struct import *m = q->state;
	uint64_t       ignored;

	if (import_open_files(m, &q->err) < 0 ||
	    copy_all(m->given, fileno(m->data), BOOK_BAD_REQUEST,
		&q->err) < 0 ||
	    import_job_check(m->data, m->state.format, m->state.removes,
		&ignored, &q->err) < 0)
		return -1;
	if (ignored > 0)
		request_warn(q, "the second column of %llu lines is ignored",
		    (unsigned long long)ignored);
	return fdatasync(fileno(m->data)) == 0 ? 0 :
	    err_sys(&q->err, "write the copy of the file");
}

/* The copy is whole and on disk before the job is known; what is in the way of
 * that makes it a job that has FAILED. */
static int
import_work(struct request *q)
{
	struct import *m = q->state;
	char	       dir[IMPORT_PATH_SIZE];

	import_path(m->control, "", "", dir);
	if (mkdir(dir, 0700) != 0 && errno != EEXIST)
		return err_sys(&q->err, "make %s", dir);
	if (import_copy(q) == 0)
		return 0;
	import_set_failed(m, &q->err, q->now);
	q->err.text[0] = '\0';
	q->err.code = 0;
	return 0;
}

static void
import_begin(struct request *q)
{
	import_step(q->state);
}

static void
import_wipe(void *import)
{
	struct import *m = import;

	import_close(m);
}

static int
import_take(struct request *q, struct import *m)
{
	static const char *const actions[] = { "put", "delete", NULL };
	static const char *const formats[] = { "csv", "json", NULL };
	int			 action = 0, format = 0;

	if (arg_word(q, "action", actions, &action) < 0 ||
	    arg_word(q, "format", formats, &format) < 0 ||
	    arg_file(q, "file", &m->given) < 0 ||
	    arg_file(q, "rejects", &m->rejects_to) < 0)
		return -1;
	if (m->given < 0)
		return request_misuse(q, "file: is missing");
	m->state.removes = action == 1;
	m->state.format = format == 1 ? IMPORT_JSON : IMPORT_CSV;
	return 0;
}

static void
suppression_import(struct request *q)
{
	struct import *m = request_state(q, sizeof(*m), import_wipe);

	import_init(m, q->control);
	m->q = q;
	import_job_make_id(m->state.id);
	memcpy(m->state.account, q->account.id, sizeof(m->state.account));
	m->state.created = q->now;
	request_would(q, "import a file into the suppression list");
	if (control_check_production(q) != 0 || import_take(q, m) < 0 ||
	    q->dry_run)
		request_end(q);
	else
		request_work(q, import_work, import_begin);
}

/* -- what is known of jobs --------------------------------------------------------------------- */

/* What went wrong: null = nothing. */
static json_t *
import_failure_json(const struct control *k, const struct import_job *j)
{
	char path[IMPORT_PATH_SIZE];

	if (j->failed == 0 && j->status != IMPORT_FAILED)
		return json_null();
	import_path(k, j->id, ".rejects", path);
	return json_pack("{s:o, s:o}", "FailedRecordsS3Url",
	    json_of_text(j->failed > 0 ? path : ""), "ErrorMessage",
	    json_of_text(j->error));
}

static json_t *
import_json(const struct control *k, const struct import_job *j)
{
	return json_pack("{s:s, s:s, s:{s:{s:s}}, s:{s:s}, s:I, s:I, s:o, "
	    "s:o, s:o}", "JobId", j->id, "JobStatus",
	    import_status_to_text(j->status), "ImportDestination",
	    "SuppressionListDestination", "SuppressionListImportAction",
	    j->removes ? "DELETE" : "PUT", "ImportDataSource", "DataFormat",
	    j->format == IMPORT_JSON ? "JSON" : "CSV",
	    "ProcessedRecordsCount", (json_int_t)j->processed,
	    "FailedRecordsCount", (json_int_t)j->failed, "CreatedTimestamp",
	    json_of_wall(j->created), "CompletedTimestamp",
	    json_of_wall(j->completed), "FailureInfo",
	    import_failure_json(k, j));
}

struct import_listing {
	struct request *q;
	json_t	       *rows;
};

static bool
import_on_list(void *arg, const struct import_job *j)
{
	struct import_listing *l = arg;

	if (strcmp(j->account, l->q->account.id) == 0)
		json_array_append_new(l->rows,
		    import_json(l->q->control, j));
	return true;
}

static int
import_list_read(struct request *q, struct db_txn *t)
{
	struct import_listing l = { q, json_array() };

	request_set(q, "ImportJobs", l.rows);
	return import_job_each(t, import_on_list, &l, &q->err);
}

static void
import_list(struct request *q)
{
	request_read(q, import_list_read);
}

static int
import_show_read(struct request *q, struct db_txn *t)
{
	const char	 *id = arg_text(q, "id");
	struct import_job j;
	int		  found;

	if (id == NULL)
		return request_misuse(q, "id: is missing");
	found = import_job_get(t, id, &j, &q->err);
	if (found == 0 ||
	    (found == 1 && strcmp(j.account, q->account.id) != 0))
		return request_refuse(q, BOOK_NOT_FOUND,
		    "no such import job: %s", id);
	if (found == 1)
		json_object_update_new(q->result,
		    import_json(q->control, &j));
	return found < 0 ? -1 : 0;
}

static void
import_show(struct request *q)
{
	request_read(q, import_show_read);
}

/* -- after a start -------------------------------------------------------------------------------- */

static bool
import_on_open(void *control, const struct import_job *j)
{
	struct control *k = control;
	struct import  *m;

	if (j->status == IMPORT_COMPLETED || j->status == IMPORT_FAILED)
		return true;
	m = mem_alloc(sizeof(*m));
	import_init(m, k);
	m->state = *j;
	m->known = true;
	m->next = k->imports;
	k->imports = m;
	return true;
}

/* Of a relay that died before the job was known. */
static void
import_remove_orphans(struct control *k, struct db_txn *t)
{
	struct import_job j;
	struct dirent	 *d;
	struct err	  e;
	char		  path[IMPORT_PATH_SIZE], id[IMPORT_ID_SIZE];
	DIR		 *dir;

	import_path(k, "", "", path);
	dir = opendir(path);
	while (dir != NULL && (d = readdir(dir)) != NULL) {
		bytes_text(bytes_of(d->d_name), id, sizeof(id));
		if (d->d_name[0] != '.' &&
		    import_job_get(t, id, &j, &e) == 0)
			import_remove_files(k, id, true);
	}
	if (dir != NULL)
		closedir(dir);
}

void
control_resume_imports(struct control *k)
{
	struct import *m, *next;
	struct db_txn *t;
	struct err     e;

	t = book_read(k->relay->book, &e);
	if (t == NULL || import_job_each(t, import_on_open, k, &e) < 0)
		log_error("import-failed", "reason=\"%s\"", e.text);
	else
		import_remove_orphans(k, t);
	book_end(t);
	for (m = k->imports; m != NULL; m = next) {
		next = m->next;
		if (import_open_files(m, &m->job.err) < 0)
			import_set_failed(m, &m->job.err, clock_wall());
		import_step(m);
	}
}

void
control_free_imports(struct control *k)
{
	while (k->imports != NULL)
		import_free(k->imports);
}

/* -- forgetting -------------------------------------------------------------------------------------- */

struct import_sweep {
	struct book_job job; /* first */
	struct control *control;
	struct wall	now;
	char		ids[SWEEP_MAX][IMPORT_ID_SIZE];
	unsigned	count;
};

static bool
import_on_old(void *arg, const struct import_job *j)
{
	struct import_sweep *s = arg;

	if (s->now.ms - j->created.ms > IMPORT_KEEP_DAYS * day_ms)
		memcpy(s->ids[s->count++], j->id, IMPORT_ID_SIZE);
	return s->count < SWEEP_MAX;
}

static int
import_sweep_write(struct book_job *job, struct db_txn *t)
{
	struct import_sweep *s = (struct import_sweep *)(void *)job;
	unsigned	     i;

	for (i = 0; i < s->count; i++) {
		if (import_job_delete(t, s->ids[i], &job->err) < 0)
			return -1;
		import_remove_files(s->control, s->ids[i], true);
	}
	return 0;
}

static void
import_on_swept(void *job, void *unused)
{
	(void)unused;
	mem_free(job);
}

void
control_sweep_imports(struct control *k)
{
	struct import_sweep *s = mem_alloc(sizeof(*s));
	struct db_txn	    *t;
	struct err	     e;
	int		     rc = -1;

	s->control = k;
	s->now = clock_wall();
	s->job.asker = k->relay->main;
	s->job.run = import_sweep_write;
	s->job.done = import_on_swept;
	t = book_read(k->relay->book, &e);
	if (t != NULL)
		rc = import_job_each(t, import_on_old, s, &e);
	book_end(t);
	if (rc < 0 || s->count == 0 || !book_write(k->relay->book, &s->job))
		mem_free(s);
}

const struct command control_import_commands[] = {
	{ "suppression import", NEED_FULL, SCOPE_ACCOUNT, "CreateImportJob",
	    NULL, suppression_import },
	{ "import-job list", NEED_READ, SCOPE_ACCOUNT, NULL, NULL,
	    import_list },
	{ "import-job show", NEED_READ, SCOPE_ACCOUNT, NULL, NULL,
	    import_show },
	{ NULL, NEED_ANY, SCOPE_ANY, NULL, NULL, NULL }
};
