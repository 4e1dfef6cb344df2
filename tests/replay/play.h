/* SPDX-License-Identifier: ISC */
/*
 * play.h - one play: its file, where it stands, and all that it has set up.
 *
 * Use:    play_open(path, dir, verbose); play_run(p); play_close(p).
 *         The language is described in README.
 * Owner:  the runner; a play runs in a process of its own.
 * Thread: one.
 * Fails:  play_fail() says file and line and ends the process: the first
 *         difference ends a play.
 */
#ifndef REPLAY_PLAY_H
#define REPLAY_PLAY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/table.h"
#include "text.h"

struct client;
struct sink;
struct world;

/* What the set-up section asks for, until the first start. */
struct order {
	struct order *next;
	struct words  words;
	unsigned      line;
};

struct play {
	const char *path;
	bool	    verbose;
	char	  **lines;
	size_t	    line_count;
	unsigned    line; /* being played, from 1 on */
	struct table *vars;  /* name -> text */
	struct table *texts; /* messages by name -> struct buf */
	struct world *world;
	struct client *clients;
	struct sink   *sinks;
	struct order  *orders, **orders_last;
	bool	    is_holding; /* nothing is stepped until "go" */
	struct wall mark;	/* times of expectations count from here */

	/* what the daemon has said */
	char  **log;
	size_t	log_count, log_cap, log_seen;
	char   *answer; /* of the last control command */
	uint64_t gathered; /* events: expect_json.h */
	uint64_t event_seen[16]; /* by type: the last one that was expected */
};

struct play *play_open(const char *path, const char *dir, bool verbose);
void play_run(struct play *p);
void play_close(struct play *p);

_Noreturn void play_fail(struct play *p, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void play_note(struct play *p, const char *who, struct bytes text);
/* Steps everything until it is at rest. */
void play_settle(struct play *p);
/* Lines up to the one that is "}" alone; each gets end behind it. */
void play_read_block(struct play *p, const char *end, struct buf *out);
const char *play_var(struct play *p, const char *name); /* fails if unknown */
void play_set_var(struct play *p, const char *name, const char *value);
int64_t play_duration(struct play *p, const char *text);
double play_number(struct play *p, const char *text);

/* expect.c: "expect ..." */
void expect(struct play *p, const struct words *w);
/* setup.c: the orders become rows of the book. */
void setup_write(struct play *p);

#endif
