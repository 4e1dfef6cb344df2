/* SPDX-License-Identifier: ISC */
/*
 * thread.h - loops and workers: who may run where.
 *
 * A loop is a thread with an event base, a feed, timers and a reaper.  What
 * belongs to a loop is touched by its thread alone; others reach it by
 * posting to its feed.  A pass is one turn of a loop: the clock is read once,
 * then feed items, descriptors and timers run, then the "end of pass" hooks
 * (writers commit there), then the reaper frees what was closed.
 *
 * Use:    l = loop_new("submission-1", 4096, &e); set things up; then
 *         loop_start(l, &e) (own thread) or loop_run(l) (this thread).
 *         Other threads: loop_post(l, fn, ctx, load).
 *         loop_stop(l); loop_join(l); loop_free(l).
 *         What was posted before the stop still runs; what is posted after
 *         the last pass does not.  loop_new() ignores SIGPIPE.
 * Owner:  the maker frees a loop, after all that lives on it is closed.
 * Thread: loop_post, loop_stop from any thread; all else on the loop's own
 *         thread, or before it has been started / after it was joined.
 * Fails:  a full feed: loop_post() says false and nothing happened.
 * The only file besides net/stream.c and daemon/metrics.c that sees libevent.
 * Replaced by tests/lib/fake_thread.c in the replay tests: there all loops
 * are stepped in one thread in a fixed order, timers follow the fake clock.
 */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"

struct loop;
struct event_base;

struct loop *loop_new(const char *name, size_t feed_max, struct err *e);
void loop_free(struct loop *l); /* runs the reaper; NULL is allowed */
int loop_start(struct loop *l, struct err *e);
void loop_run(struct loop *l); /* until loop_stop() */
void loop_stop(struct loop *l);
void loop_join(struct loop *l);
/* must(): the caller is this loop's thread (or the loop is not running). */
void loop_must_own(const struct loop *l);
const char *loop_name(const struct loop *l);
const char *loop_library(void); /* version of libevent */
/* Time as read at the start of this pass. */
struct mono loop_now(const struct loop *l);
struct wall loop_wall(const struct loop *l);
/* For net/stream.c and daemon/metrics.c only. */
struct event_base *loop_event_base(struct loop *l);

/*
 * Feed: bounded, one way, in order.  fn runs on the loop's thread with ctx
 * and load.  What a false means is the caller's decision (layout.md 5).
 */
typedef void loop_fn(void *ctx, void *load);
bool loop_post(struct loop *l, loop_fn *fn, void *ctx, void *load);
/*
 * A receipt always has room: its place is reserved when the loan begins.
 * Every true loop_reserve() is followed by exactly one loop_post_reserved()
 * or loop_unreserve().
 */
bool loop_reserve(struct loop *l);
void loop_unreserve(struct loop *l);
void loop_post_reserved(struct loop *l, loop_fn *fn, void *ctx, void *load);
size_t loop_feed_depth(const struct loop *l); /* any thread */

/*
 * Memory for the length of one callback: 64 KiB that all users of the loop
 * share, one after the other.
 */
char *loop_scratch(struct loop *l, size_t *size);

/*
 * For loops with many peers: descriptors have so many microseconds of a pass,
 * timers too, and what the feed brings; what is left over has its turn first
 * in the next.  loop_is_over_time() for who has work of his own to begin: the
 * pass has lasted that long, or has left something over.  Without a limit
 * never.
 */
void loop_limit_pass(struct loop *l, int64_t us);
bool loop_is_over_time(struct loop *l);

/* fn(ctx, NULL) once at the end of this pass, in the order of the calls. */
void loop_defer(struct loop *l, loop_fn *fn, void *ctx);
/* fn(ctx, NULL) at the end of every pass; at most 8 hooks. */
void loop_on_pass_end(struct loop *l, loop_fn *fn, void *ctx);
/* Nothing is freed inside its own callback: free_fn(p) after this pass. */
void loop_reap(struct loop *l, void (*free_fn)(void *), void *p);

/*
 * Guests: embedded in what lives on a loop without an owner until it ends by
 * itself (a stream that says its last words).  Those that are left when the
 * loop is freed are told to end then: end(arg, NULL), which removes the guest.
 */
struct guest {
	struct loop  *loop; /* NULL while it is none */
	loop_fn	     *end;
	void	     *arg;
	struct guest *next, **self;
};
void loop_add_guest(struct loop *l, struct guest *g, loop_fn *end, void *arg);
void loop_remove_guest(struct guest *g); /* nothing when it is none */

/*
 * Timers: embedded, not to be moved in memory; the owner clears it before
 * its storage goes.  A timer runs once, in a pass whose loop_now() is at
 * least that of the setting plus after_ms; set from a timer, in a later pass.
 */
struct timer {
	struct loop *loop;
	loop_fn	    *fn; /* fn(arg, NULL) */
	void	    *arg;
	void	    *impl; /* NULL while not set */
};
void timer_init(struct timer *t, struct loop *l, loop_fn *fn, void *arg);
void timer_set(struct timer *t, int64_t after_ms); /* again = moved; min 0 */
void timer_clear(struct timer *t);
bool timer_is_set(const struct timer *t);

/* Watched descriptors (level triggered). */
enum { WATCH_READ = 1, WATCH_WRITE = 2 };
struct watch;
typedef void watch_fn(void *arg, int fd, int what);
struct watch *watch_open(struct loop *l, int fd, int what, watch_fn *fn,
    void *arg); /* NULL = not a descriptor that can be watched */
void watch_change(struct watch *w, int what); /* 0 = paused */
void watch_close(struct watch *w); /* not the descriptor; NULL is allowed */

/*
 * Signals for the main loop of a process (SIGTERM, SIGHUP, SIGCHLD ...):
 * fn(arg, (void *)(intptr_t)signo) on that loop.
 */
int loop_on_signal(struct loop *l, int signo, loop_fn *fn, void *arg,
    struct err *e);

/*
 * Workers: threads for heavy or blocking jobs.  run() on a worker, then
 * done() on the asker's loop (its place is reserved).  A job owns itself:
 * done() frees it.  workers_post() false = queue full, nothing happened.
 */
struct workers;
struct job {
	struct loop *asker;
	void (*run)(struct job *j);
	void (*done)(void *job, void *unused);
	struct job *next; /* used by the workers */
};
struct workers *workers_new(unsigned threads, size_t queue_max,
    struct err *e);
bool workers_post(struct workers *w, struct job *j);
void workers_free(struct workers *w); /* after all jobs, queued ones too */

/* A thread with all signals blocked, for base only: 0 or an errno value. */
int thread_create(pthread_t *t, const char *name, void *(*run)(void *),
    void *arg);

#endif
