/* SPDX-License-Identifier: ISC */
#include "base/thread.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/alarm.h"
#include "base/mem.h"
#include "base/pass.h"
#include "base/reserve.h"

enum {
	LOOP_NAME_MAX = 32,
	LOOP_SCRATCH = 64 * 1024
};

/* Ten years: far enough, and no sum overflows. */
static const int64_t timer_after_max_ms = (int64_t)10 * 366 * 86400 * 1000;

struct signal_hook {
	struct signal_hook *next;
	struct event	   *ev;
	loop_fn		   *fn;
	void		   *arg;
};

struct pass_time {
	struct mono mono;
	struct wall wall;
	bool	    is_read;
};

struct loop {
	char		    name[LOOP_NAME_MAX];
	struct event_base  *base;
	pthread_t	    thread;
	bool		    is_started; /* has a thread of its own */
	_Atomic pthread_t   owner;	/* 0 = not running */
	struct pass_time   *time; /* apart, since asking for it is const */
	bool		    is_stopping;
	struct pass	    pass;
	struct signal_hook *signals;
	char		   *scratch; /* made when first asked for */
	struct guest	   *guests;
	struct alarms	    alarms;
	int		    alarm_fd;
	int64_t		    armed_ms; /* when alarm_fd rings; INT64_MAX never */
	struct event	   *alarm_event, *wake_event;
	/*
	 * The feed: two arrays of feed_max places, one being filled under the
	 * lock, the other being run.  Filled and reserved places together
	 * never exceed feed_max, so that a reserved place is always there.
	 */
	pthread_mutex_t lock;
	int		wake_fd;
	size_t		feed_max, feed_count, feed_reserved;
	struct call    *feed, *feed_running;
	size_t		run_next, run_end; /* of feed_running */
	bool		stop_asked;
	/* see loop_limit_pass(); 0 = none */
	int64_t limit_us;
	int64_t began_us, part_us; /* of the pass, of this part; 0 = not yet */
	bool	is_cut;
};

struct watch {
	struct loop  *loop;
	struct event *ev;
	watch_fn     *fn;
	void	     *arg;
	int	      fd, what;
};

static void loop_on_wake(evutil_socket_t fd, short what, void *arg);
static void loop_on_alarm(evutil_socket_t fd, short what, void *arg);
static void loop_run_passes(struct loop *l);

/* -- life of a loop ------------------------------------------------------- */

/* libevent's own, for timers and watches: as small and needed as ours. */
static void *
loop_realloc(void *p, size_t n)
{
	void *q = realloc(p, n);

	return q == NULL && n > 0 && reserve_spend() ? realloc(p, n) : q;
}

static void *
loop_malloc(size_t n)
{
	return loop_realloc(NULL, n);
}

/* Before anything else is asked of libevent. */
__attribute__((constructor)) static void
loop_set_memory(void)
{
	event_set_mem_functions(loop_malloc, loop_realloc, free);
}

static struct event_base *
loop_make_base(void)
{
	struct event_config *cfg = event_config_new();
	struct event_base   *base;

	must(cfg != NULL);
	/* one thread for each base: no locks; no tuning by the environment */
	event_config_set_flag(cfg,
	    EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV);
	base = event_base_new_with_config(cfg);
	event_config_free(cfg);
	return base;
}

static struct event *
loop_add_internal(struct loop *l, int fd, event_callback_fn fn)
{
	struct event *ev;

	ev = event_new(l->base, fd, EV_READ | EV_PERSIST, fn, l);
	must(ev != NULL);
	must(event_add(ev, NULL) == 0);
	return ev;
}

struct loop *
loop_new(const char *name, size_t feed_max, struct err *e)
{
	struct loop *l = mem_alloc(sizeof(*l));

	must(feed_max > 0);
	signal(SIGPIPE, SIG_IGN); /* a peer that goes away is an EPIPE */
	bytes_text(bytes_of(name), l->name, sizeof(l->name));
	l->time = mem_alloc(sizeof(*l->time));
	l->feed_max = feed_max;
	l->feed = mem_alloc(feed_max * sizeof(*l->feed));
	l->feed_running = mem_alloc(feed_max * sizeof(*l->feed));
	l->armed_ms = INT64_MAX;
	alarms_init(&l->alarms);
	must(pthread_mutex_init(&l->lock, NULL) == 0);
	l->alarm_fd = -1;
	l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (l->wake_fd < 0) {
		err_sys(e, "loop %s: eventfd", name);
		goto fail;
	}
	l->alarm_fd = timerfd_create(CLOCK_MONOTONIC,
	    TFD_NONBLOCK | TFD_CLOEXEC);
	if (l->alarm_fd < 0) {
		err_sys(e, "loop %s: timerfd", name);
		goto fail;
	}
	l->base = loop_make_base();
	if (l->base == NULL) {
		err_set(e, "loop %s: no event base", name);
		goto fail;
	}
	l->wake_event = loop_add_internal(l, l->wake_fd, loop_on_wake);
	l->alarm_event = loop_add_internal(l, l->alarm_fd, loop_on_alarm);
	return l;
fail:
	loop_free(l);
	return NULL;
}

void
loop_free(struct loop *l)
{
	struct signal_hook *s;

	if (l == NULL)
		return;
	must(!l->is_started && atomic_load(&l->owner) == 0);
	while (l->guests != NULL)
		l->guests->end(l->guests->arg, NULL);
	pass_bury(&l->pass);
	alarms_wipe(&l->alarms);
	while ((s = l->signals) != NULL) {
		l->signals = s->next;
		event_free(s->ev);
		free(s);
	}
	if (l->base != NULL) {
		event_free(l->wake_event);
		event_free(l->alarm_event);
		event_base_free(l->base);
	}
	if (l->wake_fd >= 0)
		close(l->wake_fd);
	if (l->alarm_fd >= 0)
		close(l->alarm_fd);
	pthread_mutex_destroy(&l->lock);
	pass_wipe(&l->pass);
	free(l->scratch);
	free(l->feed);
	free(l->feed_running);
	free(l->time);
	free(l);
}

static void *
loop_thread(void *arg)
{
	struct loop *l = arg;

	atomic_store(&l->owner, pthread_self());
	loop_run_passes(l);
	return NULL; /* the owner until the join */
}

int
loop_start(struct loop *l, struct err *e)
{
	must(!l->is_started && atomic_load(&l->owner) == 0);
	errno = thread_create(&l->thread, l->name, loop_thread, l);
	if (errno != 0)
		return err_sys(e, "loop %s: thread", l->name);
	l->is_started = true;
	/* what the thread stores too: from here on the caller is no owner */
	atomic_store(&l->owner, l->thread);
	return 0;
}

static void
loop_wake(struct loop *l)
{
	static const uint64_t one = 1;
	ssize_t		      n;

	do
		n = write(l->wake_fd, &one, sizeof(one));
	while (n < 0 && errno == EINTR);
	must(n == sizeof(one) || errno == EAGAIN);
}

void
loop_stop(struct loop *l)
{
	/* under the lock: once it is let go, the loop may end and be freed */
	pthread_mutex_lock(&l->lock);
	l->stop_asked = true;
	loop_wake(l);
	pthread_mutex_unlock(&l->lock);
}

void
loop_join(struct loop *l)
{
	if (!l->is_started)
		return;
	must(pthread_join(l->thread, NULL) == 0);
	l->is_started = false;
	atomic_store(&l->owner, 0);
}

void
loop_must_own(const struct loop *l)
{
	pthread_t owner = atomic_load(&((struct loop *)(uintptr_t)l)->owner);

	must(owner == 0 || pthread_equal(owner, pthread_self()));
}

const char *
loop_name(const struct loop *l)
{
	return l->name;
}

struct event_base *
loop_event_base(struct loop *l)
{
	return l->base;
}

char *
loop_scratch(struct loop *l, size_t *size)
{
	loop_must_own(l);
	if (l->scratch == NULL)
		l->scratch = mem_alloc(LOOP_SCRATCH);
	*size = LOOP_SCRATCH;
	return l->scratch;
}

/* -- a pass --------------------------------------------------------------- */

/*
 * The clock is read when the first callback of the pass asks: reading it
 * before the wait would give all of them a time that is long past.
 */
static const struct pass_time *
loop_time(const struct loop *l)
{
	struct pass_time *t = l->time;

	if (!t->is_read ||
	    atomic_load(&((struct loop *)(uintptr_t)l)->owner) == 0) {
		t->mono = clock_mono();
		t->wall = clock_wall();
		t->is_read = true;
	}
	return t;
}

struct mono
loop_now(const struct loop *l)
{
	return loop_time(l)->mono;
}

struct wall
loop_wall(const struct loop *l)
{
	return loop_time(l)->wall;
}

static void loop_arm_alarm(struct loop *l);
static void loop_run_feed(struct loop *l);

void
loop_limit_pass(struct loop *l, int64_t us)
{
	l->limit_us = us;
}

bool
loop_is_over_time(struct loop *l)
{
	int64_t now_us;

	if (l->limit_us == 0 || l->is_cut)
		return l->is_cut;
	now_us = clock_mono_us();
	if (l->began_us == 0)
		l->began_us = now_us;
	return now_us - l->began_us >= l->limit_us;
}

/* After each call of a part of the pass; true = the rest must wait. */
static bool
loop_part_is_over(void *loop)
{
	struct loop *l = loop;
	int64_t	     now_us;

	if (l->limit_us == 0)
		return false;
	now_us = clock_mono_us();
	if (l->part_us == 0)
		l->part_us = now_us;
	if (now_us - l->part_us < l->limit_us)
		return false;
	l->is_cut = true;
	return true;
}

/* A part begins with its first call; the wait does not count. */
static void
loop_begin_part(struct loop *l)
{
	if (l->limit_us == 0 || l->part_us != 0)
		return;
	l->part_us = clock_mono_us();
	if (l->began_us == 0)
		l->began_us = l->part_us;
}

static void
loop_pass(struct loop *l)
{
	bool is_due;

	/* the time is still that of the pass before */
	is_due = l->pass.deferred.n > 0 || l->run_next < l->run_end ||
	    (l->time->is_read &&
		alarms_next(&l->alarms) <= l->time->mono.ms);
	if (!is_due)
		loop_arm_alarm(l);
	l->time->is_read = false;
	l->is_cut = false;
	l->began_us = l->part_us = 0;
	/* descriptors that are ready by the hundred do not keep it waiting */
	if (l->limit_us > 0)
		loop_run_feed(l);
	l->part_us = 0;
	/* once in any case: else it would stay while anything is ready */
	must(event_base_loop(l->base, is_due ? EVLOOP_ONCE | EVLOOP_NONBLOCK
					     : EVLOOP_ONCE) >= 0);
	l->part_us = 0;
	if (alarms_next(&l->alarms) != INT64_MAX) {
		loop_begin_part(l);
		alarms_run(&l->alarms, loop_now(l).ms, loop_part_is_over, l);
	}
	pass_end(&l->pass);
}

/* The owner is set before and cleared after by who knows what thread it is */
static void
loop_run_passes(struct loop *l)
{
	l->time->is_read = false;
	while (!l->is_stopping)
		loop_pass(l);
	l->is_stopping = false;
}

void
loop_run(struct loop *l)
{
	must(!l->is_started && atomic_load(&l->owner) == 0);
	atomic_store(&l->owner, pthread_self());
	loop_run_passes(l);
	atomic_store(&l->owner, 0);
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
loop_add_guest(struct loop *l, struct guest *g, loop_fn *end, void *arg)
{
	loop_must_own(l);
	must(g->loop == NULL);
	g->loop = l;
	g->end = end;
	g->arg = arg;
	g->next = l->guests;
	g->self = &l->guests;
	if (g->next != NULL)
		g->next->self = &g->next;
	l->guests = g;
}

void
loop_remove_guest(struct guest *g)
{
	if (g->loop == NULL)
		return;
	loop_must_own(g->loop);
	*g->self = g->next;
	if (g->next != NULL)
		g->next->self = g->self;
	g->loop = NULL;
}

/* -- the feed ------------------------------------------------------------- */

/* With the lock held, and a place known to be there. */
static void
loop_feed_add(struct loop *l, struct call c)
{
	l->feed[l->feed_count++] = c;
	if (l->feed_count == 1)
		loop_wake(l);
}

bool
loop_post(struct loop *l, loop_fn *fn, void *ctx, void *load)
{
	bool has_room;

	pthread_mutex_lock(&l->lock);
	has_room = l->feed_count + l->feed_reserved < l->feed_max;
	if (has_room)
		loop_feed_add(l, (struct call){ fn, ctx, load });
	pthread_mutex_unlock(&l->lock);
	return has_room;
}

bool
loop_reserve(struct loop *l)
{
	bool has_room;

	pthread_mutex_lock(&l->lock);
	has_room = l->feed_count + l->feed_reserved < l->feed_max;
	if (has_room)
		l->feed_reserved++;
	pthread_mutex_unlock(&l->lock);
	return has_room;
}

void
loop_unreserve(struct loop *l)
{
	pthread_mutex_lock(&l->lock);
	must(l->feed_reserved > 0);
	l->feed_reserved--;
	pthread_mutex_unlock(&l->lock);
}

void
loop_post_reserved(struct loop *l, loop_fn *fn, void *ctx, void *load)
{
	pthread_mutex_lock(&l->lock);
	must(l->feed_reserved > 0);
	l->feed_reserved--;
	loop_feed_add(l, (struct call){ fn, ctx, load });
	pthread_mutex_unlock(&l->lock);
}

size_t
loop_feed_depth(const struct loop *l)
{
	struct loop *lockable = (struct loop *)(uintptr_t)l;
	size_t	     n;

	pthread_mutex_lock(&lockable->lock);
	n = l->feed_count;
	pthread_mutex_unlock(&lockable->lock);
	return n;
}

/*
 * All that has come so far is taken at once, when what was taken before has
 * run.  A stop is seen here and not elsewhere: what was posted before it still
 * runs.
 */
static void
loop_take_feed(struct loop *l)
{
	struct call *run;

	pthread_mutex_lock(&l->lock);
	run = l->feed;
	l->run_next = 0;
	l->run_end = l->feed_count;
	l->feed = l->feed_running;
	l->feed_count = 0;
	l->feed_running = run;
	if (l->stop_asked) {
		l->stop_asked = false;
		l->is_stopping = true;
	}
	pthread_mutex_unlock(&l->lock);
}

static void
loop_run_feed(struct loop *l)
{
	struct call *c;

	if (l->run_next == l->run_end)
		loop_take_feed(l);
	while (l->run_next < l->run_end) {
		loop_begin_part(l);
		c = &l->feed_running[l->run_next++];
		c->fn(c->ctx, c->load);
		if (loop_part_is_over(l) && !l->is_stopping)
			break;
	}
}

static void
loop_on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;
	uint64_t     unused;

	(void)what;
	if (read(fd, &unused, sizeof(unused)) < 0)
		must(errno == EAGAIN || errno == EINTR);
	loop_run_feed(l);
}

/* -- timers --------------------------------------------------------------- */

void
timer_set(struct timer *t, int64_t after_ms)
{
	struct loop *l = t->loop;

	loop_must_own(l);
	if (after_ms < 0)
		after_ms = 0;
	if (after_ms > timer_after_max_ms)
		after_ms = timer_after_max_ms;
	alarms_set(&l->alarms, t, loop_now(l).ms + after_ms);
}

void
timer_clear(struct timer *t)
{
	if (t->impl == NULL)
		return;
	loop_must_own(t->loop);
	alarms_clear(&t->loop->alarms, t);
}

/*
 * Only an earlier time is told to the kernel: a deadline that is moved on
 * with each line of a peer costs nothing but one idle pass now and then.
 */
static void
loop_arm_alarm(struct loop *l)
{
	int64_t		  first = alarms_next(&l->alarms);
	struct itimerspec at;

	if (first >= l->armed_ms)
		return;
	memset(&at, 0, sizeof(at));
	at.it_value.tv_sec = (time_t)(first / 1000);
	at.it_value.tv_nsec = (long)(first % 1000) * 1000000;
	must(timerfd_settime(l->alarm_fd, TFD_TIMER_ABSTIME, &at, NULL) == 0);
	l->armed_ms = first;
}

static void
loop_on_alarm(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;
	uint64_t     unused;

	(void)what;
	if (read(fd, &unused, sizeof(unused)) < 0)
		must(errno == EAGAIN || errno == EINTR);
	l->armed_ms = INT64_MAX;
}

/* -- descriptors and signals ---------------------------------------------- */

static void
watch_on_event(evutil_socket_t fd, short what, void *arg)
{
	struct watch *w = arg;
	struct loop  *l = w->loop;

	loop_begin_part(l);
	w->fn(w->arg, fd, (what & EV_READ ? WATCH_READ : 0) |
	    (what & EV_WRITE ? WATCH_WRITE : 0));
	/* those that are ready stay so, in their order */
	if (loop_part_is_over(l))
		event_base_loopbreak(l->base);
}

static int
watch_apply(struct watch *w)
{
	int what = EV_PERSIST;

	if (w->what == 0)
		return 0;
	if (w->what & WATCH_READ)
		what |= EV_READ;
	if (w->what & WATCH_WRITE)
		what |= EV_WRITE;
	must(event_assign(w->ev, w->loop->base, w->fd, (short)what,
		 watch_on_event, w) == 0);
	return event_add(w->ev, NULL);
}

struct watch *
watch_open(struct loop *l, int fd, int what, watch_fn *fn, void *arg)
{
	struct watch *w;

	loop_must_own(l);
	w = mem_alloc(sizeof(*w));
	w->loop = l;
	w->fd = fd;
	w->what = what;
	w->fn = fn;
	w->arg = arg;
	w->ev = event_new(l->base, fd, EV_READ, watch_on_event, w);
	must(w->ev != NULL);
	if (watch_apply(w) < 0) {
		event_free(w->ev);
		free(w);
		return NULL;
	}
	return w;
}

void
watch_change(struct watch *w, int what)
{
	loop_must_own(w->loop);
	if (what == w->what)
		return;
	event_del(w->ev);
	w->what = what;
	must(watch_apply(w) == 0);
}

static void
watch_free(void *p)
{
	struct watch *w = p;

	event_free(w->ev);
	free(w);
}

void
watch_close(struct watch *w)
{
	if (w == NULL)
		return;
	loop_must_own(w->loop);
	event_del(w->ev);
	loop_reap(w->loop, watch_free, w);
}

static void
signal_on_event(evutil_socket_t signo, short what, void *arg)
{
	struct signal_hook *s = arg;

	(void)what;
	s->fn(s->arg, (void *)(intptr_t)signo);
}

int
loop_on_signal(struct loop *l, int signo, loop_fn *fn, void *arg,
    struct err *e)
{
	struct signal_hook *s;

	loop_must_own(l);
	s = mem_alloc(sizeof(*s));
	s->fn = fn;
	s->arg = arg;
	s->ev = evsignal_new(l->base, signo, signal_on_event, s);
	if (s->ev == NULL || event_add(s->ev, NULL) < 0) {
		if (s->ev != NULL)
			event_free(s->ev);
		free(s);
		return err_set(e, "loop %s: cannot watch signal %d", l->name,
		    signo);
	}
	s->next = l->signals;
	l->signals = s;
	return 0;
}

const char *
loop_library(void)
{
	return event_get_version();
}
