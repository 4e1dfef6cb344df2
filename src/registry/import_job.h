/* SPDX-License-Identifier: ISC */
/*
 * import_job.h - a file of suppressed addresses on its way into the list:
 * what its lines mean, and how far it has come (suppression.md 7).
 *
 * Use:    import_job_check() looks at the whole file; import_job_put() makes
 *         the job known; import_job_run() takes up to IMPORT_BATCH records in
 *         each transaction, until the status is no longer PROCESSING.
 * Owner:  struct import_job is plain data; the file is the caller's.
 * Thread: that of the transaction; import_line_parse() any, pure.
 * Fails:  1 found, 0 not there, -1 and *e.  A record that is bad is counted
 *         and told to the caller, and stops nothing.
 *
 * What a batch did and the place in the file up to which it went are in one
 * transaction: after a crash the job goes on behind the last one.
 */
#ifndef REGISTRY_IMPORT_JOB_H
#define REGISTRY_IMPORT_JOB_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "registry/suppression.h"

enum {
	IMPORT_BATCH = 1000,
	IMPORT_PUT_MAX = 100000,
	IMPORT_DELETE_MAX = 10000,
	IMPORT_LINE_MAX = 4096,
	IMPORT_ID_SIZE = 37, /* UUID, lower case */
	IMPORT_KEEP_DAYS = 90
};

/* -- a line ------------------------------------------------------------------ */
enum import_format { IMPORT_CSV, IMPORT_JSON };
struct import_record {
	char			address[ADDRESS_TEXT_MAX];
	enum suppression_reason reason; /* of an entry to be added */
	bool			has_more; /* of one to be removed: a column
					     that says nothing */
};
/* line: without its end.  NULL, or what is wrong with it. */
const char *import_line_parse(struct bytes line, enum import_format format,
    bool removes, struct import_record *out);

/* -- a job ------------------------------------------------------------------- */
enum import_status {
	IMPORT_CREATED,
	IMPORT_PROCESSING,
	IMPORT_COMPLETED,
	IMPORT_FAILED
};
const char *import_status_to_text(enum import_status s); /* "PROCESSING" */
struct import_job {
	char		   id[IMPORT_ID_SIZE];
	char		   account[ACCOUNT_ID_SIZE];
	bool		   removes; /* DELETE; else PUT */
	enum import_format format;
	enum import_status status;
	struct wall	   created, completed; /* completed 0 = not yet */
	uint64_t	   processed, failed;  /* processed counts both */
	uint64_t	   line;	       /* lines looked at */
	uint64_t	   offset;	       /* octets looked at */
	uint64_t	   rejected;	       /* octets of rejects */
	char		   error[ERR_TEXT_MAX]; /* of FAILED */
};
void import_job_make_id(char out[IMPORT_ID_SIZE]);
int import_job_put(struct db_txn *t, const struct import_job *j,
    struct err *e);
int import_job_get(struct db_txn *t, const char *id, struct import_job *out,
    struct err *e);
int import_job_delete(struct db_txn *t, const char *id, struct err *e);
int import_job_each(struct db_txn *t,
    bool (*fn)(void *arg, const struct import_job *j), void *arg,
    struct err *e);

/*
 * The whole file before anything is changed: 0, or -1 with what is wrong (too
 * many records, a JSON array, unreadable).  data stays open.  *ignored: lines
 * with .has_more.
 */
int import_job_check(FILE *data, enum import_format format, bool removes,
    uint64_t *ignored, struct err *e);
/*
 * One batch, from j->offset on; *j moves on and is put.  reject() is told of
 * each bad record.  0 / -1 (nothing was done; the store's, or the file's).
 */
struct import_reject {
	uint64_t     line;
	struct bytes record;
	const char  *error;
};
int import_job_run(struct db_txn *t, struct import_job *j, FILE *data,
    void (*reject)(void *arg, const struct import_reject *r), void *arg,
    struct wall now, struct err *e);

#endif
