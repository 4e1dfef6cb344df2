/* SPDX-License-Identifier: ISC */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/thread.h"

static struct loop *
new_loop(const char *name, size_t feed_max)
{
	struct err   e;
	struct loop *l = loop_new(name, feed_max, &e);

	assert_non_null(l);
	return l;
}

static void
stop(void *ctx, void *load)
{
	(void)load;
	loop_stop(ctx);
}

/* A record of what ran, in order. */
struct trace {
	struct loop *loop;
	char	     text[128];
	int	     passes;
};
static struct trace trace;

static void
trace_start(size_t feed_max)
{
	memset(&trace, 0, sizeof(trace));
	trace.loop = new_loop("trace", feed_max);
}

static void
note(const char *word)
{
	strncat(trace.text, word, sizeof(trace.text) - strlen(trace.text) - 1);
}

static void
say(void *ctx, void *load)
{
	note(ctx);
	note(load == NULL ? "" : load);
}

/* -- feed ----------------------------------------------------------------- */

enum { POSTERS = 4, POSTS = 20000 };

struct counter {
	struct loop *loop;
	int	     next[POSTERS]; /* expected of each poster */
	int	     posters_done;
};
struct poster {
	struct counter *counter;
	pthread_t	thread;
	int		number, refused;
};
struct parcel {
	int poster, number;
};

static void
count(void *ctx, void *load)
{
	struct counter *c = ctx;
	struct parcel  *p = load;

	loop_must_own(c->loop);
	assert_int_equal(p->number, c->next[p->poster]);
	c->next[p->poster]++;
	free(p);
}

static void
poster_done(void *ctx, void *load)
{
	struct counter *c = ctx;

	(void)load;
	if (++c->posters_done == POSTERS)
		loop_stop(c->loop);
}

static void *
post_many(void *arg)
{
	struct poster *me = arg;
	struct loop   *l = me->counter->loop;
	struct parcel *p;
	int	       i;

	for (i = 0; i < POSTS; i++) {
		p = mem_alloc(sizeof(*p));
		p->poster = me->number;
		p->number = i;
		while (!loop_post(l, count, me->counter, p)) {
			me->refused++;
			sched_yield();
		}
	}
	loop_post_reserved(l, poster_done, me->counter, NULL);
	return NULL;
}

static void
thread_many_post_in_order(void **state)
{
	struct counter c = { 0 };
	struct poster  posters[POSTERS];
	struct err     e;
	int	       i;

	(void)state;
	c.loop = new_loop("counter", 64);
	for (i = 0; i < POSTERS; i++)
		assert_true(loop_reserve(c.loop)); /* for poster_done() */
	assert_int_equal(loop_start(c.loop, &e), 0);
	for (i = 0; i < POSTERS; i++) {
		posters[i] = (struct poster){ &c, 0, i, 0 };
		assert_int_equal(pthread_create(&posters[i].thread, NULL,
				     post_many, &posters[i]), 0);
	}
	for (i = 0; i < POSTERS; i++)
		pthread_join(posters[i].thread, NULL);
	loop_join(c.loop);
	for (i = 0; i < POSTERS; i++)
		assert_int_equal(c.next[i], POSTS);
	assert_int_equal(loop_feed_depth(c.loop), 0);
	loop_free(c.loop);
}

static void
thread_feed_is_bounded_and_reserves(void **state)
{
	(void)state;
	trace_start(3);
	assert_string_equal(loop_name(trace.loop), "trace");
	assert_true(loop_post(trace.loop, say, "a", "1"));
	assert_true(loop_reserve(trace.loop));
	assert_true(loop_reserve(trace.loop));
	assert_false(loop_reserve(trace.loop));
	assert_false(loop_post(trace.loop, say, "x", NULL));
	loop_unreserve(trace.loop);
	assert_true(loop_post(trace.loop, say, "b", NULL));
	assert_false(loop_post(trace.loop, say, "x", NULL));
	assert_int_equal(loop_feed_depth(trace.loop), 2);
	loop_post_reserved(trace.loop, say, "c", NULL);
	assert_int_equal(loop_feed_depth(trace.loop), 3);
	loop_stop(trace.loop); /* seen after what was posted before it */
	loop_run(trace.loop);
	assert_string_equal(trace.text, "a1bc");
	assert_int_equal(loop_feed_depth(trace.loop), 0);
	/* and once more */
	assert_true(loop_post(trace.loop, say, "d", NULL));
	assert_true(loop_post(trace.loop, stop, trace.loop, NULL));
	loop_run(trace.loop);
	assert_string_equal(trace.text, "a1bcd");
	loop_free(trace.loop);
}

/* -- order within a pass -------------------------------------------------- */

static void
bury(void *p)
{
	note(p);
	if (strcmp(p, "R1 ") == 0)
		loop_reap(trace.loop, bury, "R2 ");
}

static void
defer_again(void *ctx, void *load)
{
	(void)load;
	say("D2 ", NULL);
	loop_defer(trace.loop, say, "D3 ");
	loop_stop(ctx);
}

static void
do_all(void *ctx, void *load)
{
	(void)load;
	say("F1 ", NULL);
	loop_reap(ctx, bury, "R1 ");
	loop_defer(ctx, say, "D1 ");
	loop_defer(ctx, defer_again, ctx);
}

static void
end_of_pass(void *ctx, void *load)
{
	(void)load;
	say(ctx, NULL);
	trace.passes++;
}

static void
thread_pass_has_its_order(void **state)
{
	(void)state;
	trace_start(8);
	loop_on_pass_end(trace.loop, end_of_pass, "P ");
	loop_post(trace.loop, do_all, trace.loop, NULL);
	loop_post(trace.loop, say, "F2 ", NULL);
	loop_run(trace.loop);
	assert_string_equal(trace.text, "F1 F2 D1 D2 P R1 R2 D3 P ");
	loop_reap(trace.loop, bury, "last");
	loop_free(trace.loop);
	assert_non_null(strstr(trace.text, "last"));
}

static void
compare_times(void *ctx, void *load)
{
	struct loop *l = ctx;
	int64_t	     mono = loop_now(l).ms, wall = loop_wall(l).ms;

	(void)load;
	while (clock_mono().ms < mono + 3)
		;
	assert_true(loop_now(l).ms == mono);
	assert_true(loop_wall(l).ms == wall);
	loop_stop(l);
}

static void
thread_pass_has_one_time(void **state)
{
	struct loop *l = new_loop("time", 8);
	int64_t	     before = clock_mono().ms, at;

	(void)state;
	loop_post(l, compare_times, l, NULL);
	loop_run(l);
	at = loop_now(l).ms;
	assert_true(at >= before + 3);
	assert_true(llabs(loop_wall(l).ms - clock_wall().ms) < 1000);
	loop_free(l);
}

/* -- timers --------------------------------------------------------------- */

struct ring {
	struct timer t;
	int64_t	     due, late;
	int	     count;
};
static struct ring rings[6];

static void
on_ring(void *arg, void *unused)
{
	struct ring *r = arg;

	assert_null(unused);
	assert_false(timer_is_set(&r->t));
	r->late = loop_now(r->t.loop).ms - r->due;
	assert_true(r->late >= 0);
	r->count++;
}

static void
ring_set(struct ring *r, int64_t after)
{
	r->due = loop_now(r->t.loop).ms + (after < 0 ? 0 : after);
	timer_set(&r->t, after);
	assert_true(timer_is_set(&r->t));
}

static void
on_zero(void *arg, void *unused)
{
	struct ring *r = arg;

	on_ring(arg, unused);
	if (r->count < 3)
		ring_set(r, 0);
}

/* Due at the same time as rings[3], and clears it or is cleared by it. */
static void
on_rival(void *arg, void *unused)
{
	struct ring *r = arg, *other = r == &rings[3] ? &rings[4] : &rings[3];

	on_ring(arg, unused);
	timer_clear(&other->t);
	timer_clear(&other->t);
}

static void
thread_timers_ring_in_time(void **state)
{
	struct loop *l = new_loop("timers", 8);
	int	     i;

	(void)state;
	memset(rings, 0, sizeof(rings));
	for (i = 0; i < 6; i++)
		timer_init(&rings[i].t, l,
		    i == 1 ? on_zero : i == 3 || i == 4 ? on_rival : on_ring,
		    &rings[i]);
	ring_set(&rings[0], 3);
	ring_set(&rings[1], -5);
	ring_set(&rings[2], 5);
	ring_set(&rings[2], 30); /* later */
	ring_set(&rings[3], 10);
	rings[4].due = rings[3].due;
	timer_set(&rings[4].t, rings[3].due - loop_now(l).ms);
	timer_set(&rings[5].t, INT64_MAX);
	ring_set(&rings[5], 40); /* sooner */
	rings[5].t.fn = stop;
	rings[5].t.arg = l;
	loop_run(l);
	assert_int_equal(rings[0].count, 1);
	assert_int_equal(rings[1].count, 3);
	assert_int_equal(rings[2].count, 1);
	assert_int_equal(rings[3].count + rings[4].count, 1);
	assert_false(timer_is_set(&rings[5].t));
	assert_true(clock_mono().ms >= rings[5].due);
	/* generous: the machine may be busy */
	assert_true(rings[0].late < 1000);
	ring_set(&rings[0], 1000000);
	timer_clear(&rings[0].t);
	assert_false(timer_is_set(&rings[0].t));
	loop_free(l);
}

/* -- descriptors and signals ---------------------------------------------- */

struct pipe_end {
	struct loop  *l;
	struct watch *in, *out;
	int	      fds[2];
	int	      writes, reads;
};

static void
on_writable(void *arg, int fd, int what)
{
	struct pipe_end *p = arg;

	assert_int_equal(what, WATCH_WRITE);
	assert_int_equal(write(fd, "x", 1), 1);
	p->writes++;
	watch_change(p->out, 0); /* paused until the other side has read */
}

static void
on_readable(void *arg, int fd, int what)
{
	struct pipe_end *p = arg;
	char		 c;

	assert_int_equal(what, WATCH_READ);
	assert_int_equal(read(fd, &c, 1), 1);
	p->reads++;
	assert_int_equal(p->writes, p->reads);
	watch_change(p->out, WATCH_WRITE);
	if (p->reads == 5) {
		watch_close(p->in);
		watch_close(p->out);
		loop_stop(p->l);
	}
}

static void
thread_watches_descriptors(void **state)
{
	struct pipe_end p = { 0 };

	(void)state;
	p.l = new_loop("watch", 8);
	assert_int_equal(pipe(p.fds), 0);
	p.in = watch_open(p.l, p.fds[0], WATCH_READ, on_readable, &p);
	p.out = watch_open(p.l, p.fds[1], 0, on_writable, &p);
	assert_non_null(p.in);
	assert_non_null(p.out);
	watch_change(p.out, WATCH_WRITE);
	loop_run(p.l);
	assert_int_equal(p.reads, 5);
	watch_close(NULL);
	close(p.fds[0]);
	close(p.fds[1]);
	assert_null(watch_open(p.l, p.fds[0], WATCH_READ, on_readable, &p));
	loop_free(p.l);
}

static void
on_signal(void *arg, void *signo)
{
	assert_int_equal((intptr_t)signo, SIGUSR1);
	loop_stop(arg);
}

static void
look_at_mask(void *ctx, void *load)
{
	sigset_t mask;

	assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &mask), 0);
	assert_true(sigismember(&mask, SIGTERM));
	assert_true(sigismember(&mask, SIGUSR1));
	*(bool *)load = true;
	loop_stop(ctx);
}

static void
thread_hears_signals(void **state)
{
	bool	     has_looked = false;
	struct loop *main_loop = new_loop("main", 8);
	struct loop *other = new_loop("other", 8);
	struct err   e;

	(void)state;
	assert_int_equal(loop_on_signal(main_loop, SIGUSR1, on_signal,
			     main_loop, &e), 0);
	assert_int_equal(loop_on_signal(main_loop, 4711, on_signal, main_loop,
			     &e), -1);
	assert_int_equal(loop_start(other, &e), 0);
	kill(getpid(), SIGUSR1); /* other has it blocked */
	loop_run(main_loop);
	assert_true(loop_post(other, look_at_mask, other, &has_looked));
	loop_join(other);
	assert_true(has_looked);
	loop_free(other);
	loop_free(main_loop);
}

/* -- a pass that is limited ------------------------------------------------ */

enum { CROWD = 12 };
static struct crowd {
	struct loop *l;
	int	     fd[CROWD][2];
	unsigned     done, at_feed, at_timer, feeds;
	bool	     was_late;
	struct timer timer;
} crowd;

static void
crowd_on_feed(void *ctx, void *load)
{
	(void)ctx;
	(void)load;
	if (crowd.feeds++ == 0)
		crowd.at_feed = crowd.done;
}

static void
crowd_on_timer(void *ctx, void *load)
{
	(void)ctx;
	(void)load;
	crowd.at_timer = crowd.done;
}

static void
crowd_on_end(void *ctx, void *load)
{
	(void)ctx;
	(void)load;
	crowd.was_late = crowd.was_late || loop_is_over_time(crowd.l);
	if (crowd.done == CROWD)
		loop_stop(crowd.l);
}

static void
crowd_on_input(void *arg, int fd, int what)
{
	int64_t until = clock_mono_us() + 2000;
	char	octet;

	(void)arg;
	(void)what;
	assert_int_equal(read(fd, &octet, 1), 1);
	while (clock_mono_us() < until)
		;
	if (crowd.done++ > 0)
		return;
	assert_true(loop_post(crowd.l, crowd_on_feed, NULL, NULL));
	assert_true(loop_post(crowd.l, crowd_on_feed, NULL, NULL));
	timer_set(&crowd.timer, 0);
}

/* Descriptors that are ready by the dozen keep neither the feed waiting nor
 * timers, and each of them has its turn. */
static void
run_crowd(int64_t limit_us)
{
	struct watch *w[CROWD];
	unsigned      i;

	memset(&crowd, 0, sizeof(crowd));
	crowd.l = new_loop("crowd", 8);
	if (limit_us > 0)
		loop_limit_pass(crowd.l, limit_us);
	timer_init(&crowd.timer, crowd.l, crowd_on_timer, NULL);
	loop_on_pass_end(crowd.l, crowd_on_end, NULL);
	for (i = 0; i < CROWD; i++) {
		assert_int_equal(pipe(crowd.fd[i]), 0);
		assert_int_equal(write(crowd.fd[i][1], "x", 1), 1);
		w[i] = watch_open(crowd.l, crowd.fd[i][0], WATCH_READ,
		    crowd_on_input, NULL);
		assert_non_null(w[i]);
	}
	loop_run(crowd.l);
	for (i = 0; i < CROWD; i++) {
		watch_close(w[i]);
		close(crowd.fd[i][0]);
		close(crowd.fd[i][1]);
	}
	loop_free(crowd.l);
	assert_int_equal(crowd.done, CROWD);
}

static void
thread_pass_is_limited(void **state)
{
	(void)state;
	run_crowd(1000);
	assert_int_equal(crowd.feeds, 2);
	assert_int_equal(crowd.at_timer, 1);
	assert_int_equal(crowd.at_feed, 1);
	assert_true(crowd.was_late);
	run_crowd(0);
	assert_int_equal(crowd.at_timer, CROWD);
	assert_false(crowd.was_late);
}

/* What stays ready keeps nothing else from its turn. */
static void
deaf_on_input(void *arg, int fd, int what)
{
	(void)arg;
	(void)fd;
	(void)what;
	assert_true(trace.passes++ < 1000);
}

static void
deaf_on_deferred(void *loop, void *unused)
{
	(void)unused;
	loop_stop(loop);
}

static void
deaf_on_feed(void *loop, void *unused)
{
	(void)unused;
	loop_defer(loop, deaf_on_deferred, loop); /* the next pass has no wait */
	timer_set(&crowd.timer, 0);
}

static void
thread_hears_more_than_one_descriptor(void **state)
{
	struct watch *w;
	int	      fd[2];

	(void)state;
	trace_start(8);
	assert_int_equal(pipe(fd), 0);
	assert_int_equal(write(fd[1], "x", 1), 1);
	w = watch_open(trace.loop, fd[0], WATCH_READ, deaf_on_input, NULL);
	timer_init(&crowd.timer, trace.loop, deaf_on_feed, trace.loop);
	timer_set(&crowd.timer, 0);
	loop_run(trace.loop);
	timer_clear(&crowd.timer);
	watch_close(w);
	close(fd[0]);
	close(fd[1]);
	loop_free(trace.loop);
}

static void
thread_knows_its_owner(void **state)
{
	struct loop *l = new_loop("owner", 8);
	struct err   e;
	pid_t	     pid;
	int	     status;

	(void)state;
	loop_must_own(l);
	assert_int_equal(loop_start(l, &e), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (freopen("/dev/null", "w", stderr) == NULL)
			_exit(3);
		signal(SIGABRT, SIG_DFL);
		loop_must_own(l); /* as one who is not the owner */
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	loop_stop(l);
	loop_join(l);
	loop_must_own(l);
	loop_free(l);
}

/* -- workers -------------------------------------------------------------- */

enum { JOBS = 40, QUEUE = 4 };

struct office {
	struct loop    *l;
	struct workers *w;
	int		asked, answered, refused;
	long		sum;
};
struct square {
	struct job     job;
	struct office *office;
	pthread_t      ran_on;
	long	       n, result;
};

static void
square_run(struct job *j)
{
	struct square *s = (struct square *)(void *)j;

	s->result = s->n * s->n;
	s->ran_on = pthread_self();
}

static void office_ask(struct office *o);

static void
square_done(void *job, void *unused)
{
	struct square *s = job;
	struct office *o = s->office;

	assert_null(unused);
	loop_must_own(o->l);
	assert_false(pthread_equal(s->ran_on, pthread_self()));
	o->sum += s->result;
	free(s);
	if (++o->answered == JOBS)
		loop_stop(o->l);
	office_ask(o);
}

static void
office_ask(struct office *o)
{
	struct square *s;

	while (o->asked < JOBS) {
		s = mem_alloc(sizeof(*s));
		s->job.asker = o->l;
		s->job.run = square_run;
		s->job.done = square_done;
		s->office = o;
		s->n = o->asked;
		if (!workers_post(o->w, &s->job)) {
			free(s);
			o->refused++;
			break;
		}
		o->asked++;
	}
}

static void
thread_workers_answer(void **state)
{
	struct office o = { 0 };
	struct err    e;
	int	      i;

	(void)state;
	o.l = new_loop("office", QUEUE + 2);
	o.w = workers_new(2, QUEUE, &e);
	assert_non_null(o.w);
	office_ask(&o);
	assert_true(o.asked >= QUEUE);
	assert_true(o.refused == 1);
	loop_run(o.l);
	assert_int_equal(o.answered, JOBS);
	assert_int_equal(o.sum, 20540); /* 0 + 1 + 4 + ... + 39 * 39 */
	workers_free(o.w);
	workers_free(NULL);
	assert_int_equal(loop_feed_depth(o.l), 0);
	for (i = 0; i < QUEUE + 2; i++) /* no place is lost */
		assert_true(loop_reserve(o.l));
	loop_free(o.l);
}

static void
thread_workers_end_with_all_done(void **state)
{
	struct office o = { 0 };
	struct err    e;

	(void)state;
	o.l = new_loop("office", JOBS);
	o.w = workers_new(1, JOBS, &e);
	assert_non_null(o.w);
	office_ask(&o);
	assert_int_equal(o.asked, JOBS);
	assert_false(loop_reserve(o.l));
	workers_free(o.w);
	assert_int_equal(loop_feed_depth(o.l), JOBS);
	loop_run(o.l);
	assert_int_equal(o.answered, JOBS);
	assert_true(loop_reserve(o.l));
	loop_unreserve(o.l);
	loop_free(o.l);
}

static void *
note_name(void *name)
{
	assert_int_equal(pthread_getname_np(pthread_self(), name, 16), 0);
	return NULL;
}

/* From its first instruction on, and without opening a file. */
static void
a_thread_names_itself(void **state)
{
	char	  name[16] = "";
	pthread_t t;

	(void)state;
	assert_int_equal(thread_create(&t, "worker", note_name, name), 0);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_string_equal(name, "worker");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thread_names_itself),
		cmocka_unit_test(thread_many_post_in_order),
		cmocka_unit_test(thread_feed_is_bounded_and_reserves),
		cmocka_unit_test(thread_pass_has_its_order),
		cmocka_unit_test(thread_pass_has_one_time),
		cmocka_unit_test(thread_timers_ring_in_time),
		cmocka_unit_test(thread_watches_descriptors),
		cmocka_unit_test(thread_hears_signals),
		cmocka_unit_test(thread_pass_is_limited),
		cmocka_unit_test(thread_hears_more_than_one_descriptor),
		cmocka_unit_test(thread_knows_its_owner),
		cmocka_unit_test(thread_workers_answer),
		cmocka_unit_test(thread_workers_end_with_all_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
