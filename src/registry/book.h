/* SPDX-License-Identifier: ISC */
/*
 * book.h - the store of what operators decide: state/.
 *
 * Use:    reading, from any thread:
 *             t = book_read(b, &e); credential_find_key(t, ...); book_end(t);
 *         writing: a job that runs inside one write transaction on the
 *         book's own writer thread; done() comes to the asker's loop after
 *         the commit (or its failure).
 * Owner:  a job is lent until done(); done() frees it.
 * Thread: book_write() from any loop; run() on the writer: it touches the
 *         transaction and the job only.
 * Fails:  book_write() false = feed full.  job->failed with job->err; the
 *         transaction was aborted whole.  When that was trouble of the disk
 *         the store gives no promise any more (LMDB refuses reads, too):
 *         book_on_down() tells, once, and the process has to begin anew.  book_stop() runs what is in the
 *         feed; the askers' loops have to live until their done() came.
 * The registers (account.h, credential.h, identity.h, source.h,
 * config_set.h) take the transaction as first argument; db.h's errors apply: 1 found, 0 not, -1.
 */
#ifndef REGISTRY_BOOK_H
#define REGISTRY_BOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/thread.h"
#include "store/db.h"

struct book;

enum book_table {
	BOOK_ACCOUNT,	 /* id */
	BOOK_CREDENTIAL, /* account, lower-case user name */
	BOOK_KEY,	 /* access key id */
	BOOK_IDENTITY,	 /* account, normal name */
	BOOK_POLICY,	 /* account, identity, 0, name */
	BOOK_DKIM_KEY,	 /* account, domain, 0, selector */
	BOOK_SELECTOR,	 /* domain, 0, selector -> account */
	BOOK_TOKEN,	 /* SHA-256 of a confirmation token -> identity */
	BOOK_SOURCE,	 /* source address */
	BOOK_CHECK,	 /* time of the next check, account, identity */
	BOOK_CONFIG_SET, /* account, name */
	BOOK_SET_ID,	 /* id of a configuration set -> account, name */
	BOOK_SET_TAGS,	 /* id of a configuration set */
	BOOK_DESTINATION, /* id of a configuration set or topic, name */
	BOOK_SUPPRESSED, /* account, address as it is compared */
	BOOK_SUPPRESSED_TIME, /* account, time of the last change, address */
	BOOK_SUPPRESSED_ALL,  /* address: the installation's list */
	BOOK_IMPORT,	 /* id of an import job */
	BOOK_MAIL_FROM,	 /* MAIL FROM domain, 0, account, identity */
	BOOK_IP_FILTER,	 /* name of a filter of clients */
	BOOK_ALARM,	 /* account, name */
	BOOK_ALARM_PAST, /* account, name: transitions */
	BOOK_FINDING,	 /* account, id; 0 = the installation's */
	BOOK_POOL,	 /* account, name of a pool of source addresses */
	BOOK_LEVEL,	 /* account, sender domain */
	BOOK_LISTING,	 /* source address, who says so, block list */
	BOOK_SNDS,	 /* source address, 0, day */
	BOOK_IDENTITY_TAGS, /* account, normal name */
	BOOK_SPF,	 /* account, MAIL FROM domain; 0 = the default one */
	BOOK_TOPIC,	 /* account, name */
	BOOK_NOTIFICATION, /* account, normal name of an identity */
	BOOK_TABLES
};

/*
 * e->code of what a register refuses (the asker's fault, the store is well);
 * every other -1 is trouble of the store.  Codes of http-api.md 2.
 */
enum book_refusal {
	BOOK_BAD_REQUEST = 10101,
	BOOK_NOT_FOUND,
	BOOK_EXISTS,
	BOOK_LIMIT,
	BOOK_TOO_MANY
};
int book_refuse(struct err *e, enum book_refusal code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4))); /* -1 */
bool book_is_refusal(const struct err *e);
/* "AlreadyExistsException"; what is no refusal is the store's:
 * "InternalServiceErrorException" */
const char *book_refusal_to_text(const struct err *e);

/* dir: store.dir; state/ lies below it and is made when absent. */
struct book *book_open(const char *dir, uint64_t map_bytes, struct err *e);
/* Before the start: fn(ctx, NULL) on that loop when the store is down. */
void book_on_down(struct book *b, struct loop *to, loop_fn *fn, void *ctx);
int book_start(struct book *b, struct err *e);
void book_stop(struct book *b);
void book_close(struct book *b);

struct db_txn *book_read(struct book *b, struct err *e);
void book_end(struct db_txn *t); /* NULL is allowed */
/*
 * Rows of a table whose keys begin with prefix, in order:
 *     book_rows_open(&r, t, BOOK_POOL, prefix, &e);
 *     while (book_rows_next(&r)) ... r.key, r.value
 *     return book_rows_close(&r);			0 / -1
 * Whoever finds a damaged one sets r.status to -1: it ends the walk, and is
 * what close says.  Nothing may be written before that.
 */
struct book_rows {
	struct bytes	  key, value;
	int		  status; /* 1 = there are rows, 0 = no more, -1 */
	struct db_cursor *cursor;
	struct bytes	  prefix;
	bool		  is_begun;
	struct err	 *err;
};
void book_rows_open(struct book_rows *r, struct db_txn *t,
    enum book_table table, struct bytes prefix, struct err *e);
bool book_rows_next(struct book_rows *r);
int book_rows_close(struct book_rows *r);
/* The same with a function, until it says false. */
int book_walk(struct db_txn *t, enum book_table table, struct bytes prefix,
    bool (*fn)(void *arg, struct bytes key, struct bytes value), void *arg,
    struct err *e);
int book_count(struct db_txn *t, enum book_table table, struct bytes prefix,
    struct err *e); /* how many, or -1 */
/* Removes the first of them, max at most: how many that were, or -1. */
int book_purge(struct db_txn *t, enum book_table table, struct bytes prefix,
    unsigned max, struct err *e);
/* Stores what was packed, and wipes the buffer: 0 / -1. */
int book_put(struct db_txn *t, enum book_table table, struct bytes key,
    struct buf *record, struct err *e);
/*
 * The key of a row of "account, name", in room.  A name that is longer than
 * any may be is cut: it is not found.
 */
struct book_key {
	char p[DB_KEY_MAX];
};
struct bytes book_key(struct book_key *room, const char *account,
    struct bytes name);

struct book_job {
	struct loop *asker;
	int (*run)(struct book_job *j, struct db_txn *t); /* 0, or -1: abort */
	void (*done)(void *job, void *unused); /* on asker */
	bool	   failed;
	struct err err;
};
bool book_write(struct book *b, struct book_job *j);
/* Before the threads run (init, start-up, tests): 0 / -1. */
int book_write_now(struct book *b, struct book_job *j);

/* Region the store was made for, and the installation's random key (32
 * octets) of Feedback-ID: made at the first open. */
int book_region(struct db_txn *t, char out[33], struct err *e); /* 1, 0, -1 */
int book_set_region(struct db_txn *t, const char *region, struct err *e);
int book_feedback_key(struct db_txn *t, unsigned char out[32], struct err *e);
int book_figures(struct book *b, struct db_figures *out, struct err *e);
/* Once a minute, any thread: db_reader_check(). */
void book_check_readers(struct book *b);
/* A copy into a file that the caller made and syncs; any thread. */
int book_backup(struct book *b, int fd, struct err *e);
/* Grows with each commit: caches compare it. */
uint64_t book_version(const struct book *b);

#endif
