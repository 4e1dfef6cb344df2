/* SPDX-License-Identifier: ISC */
/* suppression.md 7: what the lines of a file mean, and how far a job comes. */
#include "book_world.h"

#include "registry/import_job.h"

static struct book_world w;
static struct import_job job;
static FILE		*data;
static unsigned		 rejects;
static uint64_t		 reject_line;
static char		 reject_error[80];

static int
make(void **state)
{
	(void)state;
	world_open(&w);
	data = tmpfile();
	assert_non_null(data);
	memset(&job, 0, sizeof(job));
	import_job_make_id(job.id);
	strcpy(job.account, world_account);
	job.status = IMPORT_PROCESSING;
	rejects = 0;
	return 0;
}

static int
unmake(void **state)
{
	(void)state;
	fclose(data);
	world_close(&w);
	return 0;
}

/* -- lines ----------------------------------------------------------------- */

static void
lines(void **state)
{
	static const struct {
		const char	  *line;
		enum import_format format;
		bool		   removes;
		const char	  *address; /* NULL = refused */
		int		   reason;
	} cases[] = {
		{ "r@example.com,BOUNCE", IMPORT_CSV, false, "r@example.com",
		    SUPPRESS_BOUNCE },
		{ " r@example.com , complaint ", IMPORT_CSV, false,
		    "r@example.com", SUPPRESS_COMPLAINT },
		{ "\"r@example.com\",\"Bounce\"", IMPORT_CSV, false,
		    "r@example.com", SUPPRESS_BOUNCE },
		{ "r@example.com", IMPORT_CSV, true, "r@example.com", 0 },
		{ "r@example.com,anything", IMPORT_CSV, true,
		    "r@example.com", 0 },
		{ "emailAddress,reason", IMPORT_CSV, false, NULL, 0 },
		{ "bad line", IMPORT_CSV, false, NULL, 0 },
		{ "r@example.com", IMPORT_CSV, false, NULL, 0 },
		{ "r@example.com,NEITHER", IMPORT_CSV, false, NULL, 0 },
		{ "r@example.com,BOUNCE,more", IMPORT_CSV, false, NULL, 0 },
		{ "\"r@example.com,BOUNCE", IMPORT_CSV, false, NULL, 0 },
		{ "\"r@example.com\"x,BOUNCE", IMPORT_CSV, false, NULL, 0 },
		{ "{\"emailAddress\":\"r@example.com\",\"reason\":"
		  "\"bounce\"}", IMPORT_JSON, false, "r@example.com",
		    SUPPRESS_BOUNCE },
		{ "{\"emailAddress\":\"r@example.com\"}", IMPORT_JSON, true,
		    "r@example.com", 0 },
		{ "{\"emailAddress\":\"r@example.com\",\"reason\":\"BOUNCE\","
		  "\"x\":1}", IMPORT_JSON, false, NULL, 0 },
		{ "{\"emailAddress\":1,\"reason\":\"BOUNCE\"}", IMPORT_JSON,
		    false, NULL, 0 },
		{ "[]", IMPORT_JSON, false, NULL, 0 },
		{ "{\"emailAddress\":\"r@example.com\"", IMPORT_JSON, true,
		    NULL, 0 },
	};
	struct import_record r;
	const char	    *error;
	size_t		     i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		error = import_line_parse(bytes_of(cases[i].line),
		    cases[i].format, cases[i].removes, &r);
		if (cases[i].address == NULL) {
			assert_non_null(error);
			continue;
		}
		assert_null(error);
		assert_string_equal(r.address, cases[i].address);
		if (!cases[i].removes)
			assert_int_equal(r.reason, cases[i].reason);
	}
}

static void
a_line_too_long_is_refused(void **state)
{
	static char	     line[IMPORT_LINE_MAX + 1];
	struct import_record r;

	(void)state;
	memset(line, 'a', sizeof(line));
	assert_string_equal(import_line_parse((struct bytes){ line,
	    sizeof(line) }, IMPORT_CSV, true, &r), "too long");
	assert_non_null(import_line_parse((struct bytes){ line,
	    sizeof(line) - 1 }, IMPORT_CSV, true, &r));
}

/* -- jobs ------------------------------------------------------------------ */

static void
on_reject(void *arg, const struct import_reject *r)
{
	(void)arg;
	rejects++;
	reject_line = r->line;
	snprintf(reject_error, sizeof(reject_error), "%s", r->error);
}

static void
run_batch(struct db_txn *t)
{
	struct wall now = { world_time };
	struct err  e;

	assert_int_equal(import_job_run(t, &job, data, on_reject, NULL, now,
	    &e), 0);
}

static void
find_last(struct db_txn *t)
{
	struct suppression s;
	struct err	   e;

	assert_int_equal(suppression_get(t, world_account,
	    BYTES("r2499@example.com"), &s, &e), 1);
	assert_int_equal(s.source, SUPPRESSION_IMPORT);
	assert_int_equal(suppression_get(t, world_account,
	    BYTES("r2500@example.com"), &s, &e), 0);
}

static void
find_job(struct db_txn *t)
{
	struct import_job there;
	struct err	  e;

	assert_int_equal(import_job_get(t, job.id, &there, &e), 1);
	assert_int_equal(there.status, IMPORT_PROCESSING);
	assert_int_equal(there.processed, 1000);
	job = there; /* what a new process knows of it */
}

/* suppression#20: counted, told, and the rest goes on. */
static void
a_bad_record_stops_nothing(void **state)
{
	struct err e;
	uint64_t   ignored;

	(void)state;
	fputs("\xef\xbb\xbfrecipient1@example.com,BOUNCE\r\nbad line\n\n"
	      "recipient2@example.com,complaint", data);
	assert_int_equal(import_job_check(data, IMPORT_CSV, false, &ignored,
	    &e), 0);
	world_run(&w, run_batch);
	assert_int_equal(job.status, IMPORT_COMPLETED);
	assert_int_equal(job.processed, 3);
	assert_int_equal(job.failed, 1);
	assert_int_equal(rejects, 1);
	assert_int_equal(reject_line, 2);
	assert_string_not_equal(reject_error, "");
}

static void
a_job_goes_on_behind_its_last_batch(void **state)
{
	struct err e;
	uint64_t   ignored;
	unsigned   i;

	(void)state;
	for (i = 0; i < 2500; i++)
		fprintf(data, "r%u@example.com,BOUNCE\n", i);
	assert_int_equal(import_job_check(data, IMPORT_CSV, false, &ignored,
	    &e), 0);
	world_run(&w, run_batch);
	world_reopen(&w);
	world_run(&w, find_job);
	world_run(&w, run_batch);
	assert_int_equal(job.status, IMPORT_PROCESSING);
	world_run(&w, run_batch);
	assert_int_equal(job.status, IMPORT_COMPLETED);
	assert_int_equal(job.processed, 2500);
	assert_int_equal(rejects, 0);
	world_run(&w, find_last);
}

/* suppression#21, suppression#22 on this level */
static void
a_file_is_looked_at_before(void **state)
{
	struct err e;
	uint64_t   ignored;
	unsigned   i;

	(void)state;
	for (i = 0; i < IMPORT_DELETE_MAX; i++)
		fprintf(data, "r%u@example.com\n", i);
	assert_int_equal(import_job_check(data, IMPORT_CSV, true, &ignored,
	    &e), 0);
	fputs("one@more.example\n", data);
	assert_int_equal(import_job_check(data, IMPORT_CSV, true, &ignored,
	    &e), -1);
	assert_string_equal(e.text, "10001 records; at most 10000 per import");
	assert_int_equal(import_job_check(data, IMPORT_CSV, false, &ignored,
	    &e), 0);
	/* 7.1: of a removal the second column is passed over, and told */
	rewind(data);
	fputs("a@x.example,BOUNCE\nb@x.example\nc@x.example,\nbad,x\n", data);
	fflush(data);
	assert_int_equal(ftruncate(fileno(data), ftello(data)), 0);
	assert_int_equal(import_job_check(data, IMPORT_CSV, true, &ignored,
	    &e), 0);
	assert_int_equal(ignored, 2);
	rewind(data);
	fputs("\n [{\"emailAddress\":\"x@y.example\"}]", data);
	assert_int_equal(import_job_check(data, IMPORT_JSON, false, &ignored,
	    &e), -1);
	assert_int_equal(e.code, BOOK_BAD_REQUEST);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(a_line_too_long_is_refused),
		cmocka_unit_test_setup_teardown(a_bad_record_stops_nothing,
		    make, unmake),
		cmocka_unit_test_setup_teardown(
		    a_job_goes_on_behind_its_last_batch, make, unmake),
		cmocka_unit_test_setup_teardown(a_file_is_looked_at_before,
		    make, unmake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
