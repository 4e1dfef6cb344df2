/* SPDX-License-Identifier: ISC */
#include "fake_thread.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alarm.h"
#include "base/mem.h"
#include "base/pass.h"
#include "fake_clock.h"

enum {
	LOOP_NAME_MAX = 32,
	WATCHES_MAX = 256,
	PASSES_MAX = 200000, /* without coming to rest */
	SKIP_STRIDE_MS = 600000
};

struct watch {
	struct loop  *loop;
	struct watch *next;
	watch_fn     *fn;
	void	     *arg;
	int	      fd, what;
	bool	      is_closed;
};

struct loop {
	struct loop   *next; /* in the order they were made */
	char	       name[LOOP_NAME_MAX];
	bool	       is_started; /* would have a thread of its own */
	bool	       is_running, stop_asked, is_halted;
	size_t	       feed_max, reserved;
	struct calls   feed, feed_running;
	struct pass    pass;
	struct alarms  alarms;
	struct watch  *watches;
};

static struct {
	struct loop *first;
	struct loop *current; /* being stepped */
	unsigned     generation; /* of the list */
	bool	     is_killed;
} the_threads;

/* -- life of a loop ---------------------------------------------------------- */

struct loop *
loop_new(const char *name, size_t feed_max, struct err *e)
{
	struct loop *l = mem_alloc(sizeof(*l)), **p = &the_threads.first;

	(void)e;
	must(feed_max > 0);
	snprintf(l->name, sizeof(l->name), "%s", name);
	l->feed_max = feed_max;
	alarms_init(&l->alarms);
	while (*p != NULL)
		p = &(*p)->next;
	*p = l;
	the_threads.generation++;
	return l;
}

void
loop_free(struct loop *l)
{
	struct loop **p = &the_threads.first;

	if (l == NULL)
		return;
	must(!l->is_started && !l->is_running);
	pass_bury(&l->pass);
	alarms_wipe(&l->alarms);
	while (*p != l)
		p = &(*p)->next;
	*p = l->next;
	the_threads.generation++;
	free(l->feed.v);
	free(l->feed_running.v);
	pass_wipe(&l->pass);
	free(l);
}

int
loop_start(struct loop *l, struct err *e)
{
	(void)e;
	must(!l->is_started && !l->is_running);
	l->is_started = l->is_running = true;
	return 0;
}

void
fake_threads_begin(struct loop *l)
{
	must(!l->is_running);
	l->is_running = true;
}

void
fake_threads_end(struct loop *l)
{
	l->is_running = l->stop_asked = false;
}

bool
fake_threads_has_stopped(const struct loop *l)
{
	return !l->is_running;
}

void
fake_threads_kill(bool on)
{
	the_threads.is_killed = on;
}

void
fake_threads_halt(struct loop *l, bool on)
{
	l->is_halted = on;
}

void
loop_stop(struct loop *l)
{
	l->stop_asked = true;
}

void
loop_must_own(const struct loop *l)
{
	must(the_threads.current == NULL || the_threads.current == l ||
	    !l->is_running);
}

const char *
loop_name(const struct loop *l)
{
	return l->name;
}

struct event_base *
loop_event_base(struct loop *l)
{
	(void)l;
	return NULL; /* nobody asks who is part of a replay */
}

int
loop_on_signal(struct loop *l, int signo, loop_fn *fn, void *arg,
    struct err *e)
{
	(void)l;
	(void)signo;
	(void)fn;
	(void)arg;
	(void)e;
	return 0;
}

int
thread_create(pthread_t *t, const char *name, void *(*run)(void *), void *arg)
{
	(void)t;
	(void)name;
	(void)run;
	(void)arg;
	must_fail(__FILE__, __LINE__, "a thread in a replay");
}

struct mono
loop_now(const struct loop *l)
{
	(void)l;
	return clock_mono();
}

struct wall
loop_wall(const struct loop *l)
{
	(void)l;
	return clock_wall();
}

/* -- what waits for a pass ---------------------------------------------------- */

bool
loop_post(struct loop *l, loop_fn *fn, void *ctx, void *load)
{
	if (l->feed.n + l->reserved >= l->feed_max)
		return false;
	calls_add(&l->feed, (struct call){ fn, ctx, load });
	return true;
}

bool
loop_reserve(struct loop *l)
{
	if (l->feed.n + l->reserved >= l->feed_max)
		return false;
	l->reserved++;
	return true;
}

void
loop_unreserve(struct loop *l)
{
	must(l->reserved > 0);
	l->reserved--;
}

void
loop_post_reserved(struct loop *l, loop_fn *fn, void *ctx, void *load)
{
	loop_unreserve(l);
	calls_add(&l->feed, (struct call){ fn, ctx, load });
}

/* Time stands still in a pass of a replay. */
void
loop_limit_pass(struct loop *l, int64_t us)
{
	(void)l;
	(void)us;
}

bool
loop_is_over_time(struct loop *l)
{
	(void)l;
	return false;
}

size_t
loop_feed_depth(const struct loop *l)
{
	return l->feed.n;
}

void
loop_defer(struct loop *l, loop_fn *fn, void *ctx)
{
	loop_must_own(l);
	pass_defer(&l->pass, fn, ctx);
}

void
loop_on_pass_end(struct loop *l, loop_fn *fn, void *ctx)
{
	loop_must_own(l);
	pass_hook(&l->pass, fn, ctx);
}

void
loop_reap(struct loop *l, void (*free_fn)(void *), void *p)
{
	loop_must_own(l);
	pass_reap(&l->pass, free_fn, p);
}

void
timer_set(struct timer *t, int64_t after_ms)
{
	loop_must_own(t->loop);
	alarms_set(&t->loop->alarms, t,
	    clock_mono().ms + (after_ms < 0 ? 0 : after_ms));
}

void
timer_clear(struct timer *t)
{
	if (t->impl == NULL)
		return;
	loop_must_own(t->loop);
	alarms_clear(&t->loop->alarms, t);
}

/* -- descriptors ------------------------------------------------------------- */

struct watch *
watch_open(struct loop *l, int fd, int what, watch_fn *fn, void *arg)
{
	struct watch *w, **p = &l->watches;

	loop_must_own(l);
	w = mem_alloc(sizeof(*w));
	w->loop = l;
	w->fd = fd;
	w->what = what;
	w->fn = fn;
	w->arg = arg;
	while (*p != NULL)
		p = &(*p)->next;
	*p = w;
	return w;
}

void
watch_change(struct watch *w, int what)
{
	loop_must_own(w->loop);
	w->what = what;
}

void
watch_close(struct watch *w)
{
	struct watch **p;

	if (w == NULL)
		return;
	loop_must_own(w->loop);
	w->is_closed = true;
	for (p = &w->loop->watches; *p != w; p = &(*p)->next)
		;
	*p = w->next;
	loop_reap(w->loop, mem_free, w);
}

static size_t
loop_poll(const struct loop *l, struct pollfd *v, struct watch **of)
{
	struct watch *w;
	size_t	      n = 0;

	for (w = l->watches; w != NULL; w = w->next) {
		if (w->what == 0)
			continue;
		must(n < WATCHES_MAX);
		of[n] = w;
		v[n].fd = w->fd;
		v[n].revents = 0;
		v[n++].events = (short)((w->what & WATCH_READ ? POLLIN : 0) |
		    (w->what & WATCH_WRITE ? POLLOUT : 0));
	}
	if (n == 0 || poll(v, n, 0) <= 0)
		return 0;
	return n;
}

static void
loop_run_watches(struct loop *l)
{
	struct pollfd v[WATCHES_MAX];
	struct watch *of[WATCHES_MAX];
	size_t	      i, n = loop_poll(l, v, of);
	int	      what;

	for (i = 0; i < n; i++) {
		/* the reaper has not run: a closed one is still there */
		if (v[i].revents == 0 || of[i]->is_closed)
			continue;
		what = (v[i].revents & (POLLIN | POLLHUP | POLLERR) ?
			WATCH_READ : 0) |
		    (v[i].revents & (POLLOUT | POLLERR) ? WATCH_WRITE : 0);
		what &= of[i]->what;
		if (what != 0)
			of[i]->fn(of[i]->arg, of[i]->fd, what);
	}
}

/* -- stepping ---------------------------------------------------------------- */

static bool
loop_has_work(const struct loop *l)
{
	struct pollfd v[WATCHES_MAX];
	struct watch *of[WATCHES_MAX];

	return l->feed.n > 0 || l->pass.deferred.n > 0 || l->stop_asked ||
	    alarms_next(&l->alarms) <= clock_mono().ms ||
	    loop_poll(l, v, of) > 0;
}

static void
loop_pass(struct loop *l)
{
	bool stops = l->stop_asked;

	must(the_threads.current == NULL);
	the_threads.current = l;
	l->stop_asked = false;
	calls_run(&l->feed, &l->feed_running);
	loop_run_watches(l);
	alarms_run(&l->alarms, clock_mono().ms, NULL, NULL);
	pass_end(&l->pass);
	the_threads.current = NULL;
	if (stops)
		l->is_running = false;
}

/* A turn of each loop that has something to do; false = none had. */
static bool
threads_round(void)
{
	struct loop *l;
	unsigned     generation = the_threads.generation;
	bool	     busy = false;

	for (l = the_threads.first; l != NULL; l = l->next) {
		if (!l->is_running || l->is_halted || !loop_has_work(l))
			continue;
		loop_pass(l);
		busy = true;
		if (generation != the_threads.generation)
			break; /* the list has changed: from the start */
	}
	return busy;
}

bool
fake_threads_settle(void)
{
	unsigned n;

	must(the_threads.current == NULL);
	for (n = 0; n < PASSES_MAX; n++)
		if (the_threads.is_killed || !threads_round())
			return true;
	return false;
}

static int64_t
threads_next(void)
{
	struct loop *l;
	int64_t	     at, first = INT64_MAX;

	for (l = the_threads.first; l != NULL; l = l->next) {
		if (!l->is_running || l->is_halted)
			continue;
		at = alarms_next(&l->alarms);
		if (at < first)
			first = at;
	}
	return first;
}

bool
fake_threads_advance(int64_t ms)
{
	int64_t target = clock_mono().ms + ms, next;

	for (;;) {
		if (!fake_threads_settle())
			return false;
		next = threads_next();
		if (next > target)
			break;
		fake_clock_move(next - clock_mono().ms);
	}
	fake_clock_move(target - clock_mono().ms);
	return true;
}

bool
fake_threads_skip(int64_t ms)
{
	int64_t stride;

	for (; ms > 0; ms -= stride) {
		stride = ms < SKIP_STRIDE_MS ? ms : SKIP_STRIDE_MS;
		fake_clock_move(stride);
		if (!fake_threads_settle())
			return false;
	}
	return true;
}

void
loop_run(struct loop *l)
{
	fake_threads_begin(l);
	while (l->is_running) {
		must(fake_threads_settle());
		if (l->is_running)
			fake_clock_move(threads_next() - clock_mono().ms);
	}
}

/* Runs what is left until it has stopped; the others go on as well. */
void
loop_join(struct loop *l)
{
	unsigned n;

	if (!l->is_started)
		return;
	for (n = 0; l->is_running && !the_threads.is_killed; n++)
		must(n < PASSES_MAX && threads_round());
	l->is_running = l->is_started = false;
}

/* -- workers ------------------------------------------------------------------ */

struct workers {
	size_t queue_max;
};

struct workers *
workers_new(unsigned threads, size_t queue_max, struct err *e)
{
	struct workers *w = mem_alloc(sizeof(*w));

	(void)e;
	must(threads > 0 && queue_max > 0);
	w->queue_max = queue_max;
	return w;
}

bool
workers_post(struct workers *w, struct job *j)
{
	(void)w;
	if (!loop_reserve(j->asker))
		return false;
	j->run(j);
	loop_post_reserved(j->asker, j->done, j, NULL);
	return true;
}

void
workers_free(struct workers *w)
{
	free(w);
}
