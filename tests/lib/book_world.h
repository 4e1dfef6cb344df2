/* SPDX-License-Identifier: ISC */
/*
 * book_world.h - a book of its own for a test, in a folder that goes away.
 * Use:    struct book_world w; world_open(&w); world_run(&w, body);
 *         world_close(&w).  body works inside one write transaction.
 * Owner:  the test.
 * Thread: one.
 * Fails:  by the test's assertions.
 */
#ifndef TESTS_BOOK_WORLD_H
#define TESTS_BOOK_WORLD_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "registry/book.h"
#include "temp_folder.h"

static const char world_account[] = "123456789012";
static const char world_other[] = "888888888888";
static const int64_t world_time = 1714564800000; /* 2024-05-01T12:00:00Z */

struct book_world {
	char	     dir[TEMP_FOLDER_SIZE];
	struct book *book;
};

static inline void
world_reopen(struct book_world *w)
{
	struct err e;

	book_close(w->book);
	w->book = book_open(w->dir, 64 << 20, &e);
	if (w->book == NULL)
		fail_msg("%s", e.text);
}

static inline void
world_open(struct book_world *w)
{
	temp_folder_make(w->dir, "book");
	w->book = NULL;
	world_reopen(w);
}

static inline void
world_close(struct book_world *w)
{
	book_close(w->book);
	temp_folder_remove(w->dir);
}

struct world_job {
	struct book_job job;
	void (*body)(struct db_txn *t);
};

static inline int
world_on_job(struct book_job *j, struct db_txn *t)
{
	((struct world_job *)(void *)j)->body(t);
	return 0;
}

static inline void
world_run(struct book_world *w, void (*body)(struct db_txn *t))
{
	struct world_job j = { .job = { .run = world_on_job },
		.body = body };

	if (book_write_now(w->book, &j.job) < 0)
		fail_msg("%s", j.job.err.text);
}

/* One test = one book and one body. */
static inline void
world_test(void (*body)(struct db_txn *t))
{
	struct book_world w;

	world_open(&w);
	world_run(&w, body);
	world_close(&w);
}

#endif
