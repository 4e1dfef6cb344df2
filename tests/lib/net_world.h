/* SPDX-License-Identifier: ISC */
/*
 * net_world.h - a loop for tests, and a probe that notes what a stream says.
 * Use:    struct world w; world_open(&w); ... world_run(&w, until, arg);
 *         world_close(&w).  A run that takes more than ten seconds fails.
 */
#ifndef TESTS_NET_WORLD_H
#define TESTS_NET_WORLD_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/thread.h"
#include "net/stream.h"

struct world {
	struct loop *loop;
	bool (*until)(void *arg);
	void	    *arg;
	struct timer guard;
	bool	     is_stopping, is_late;
};

static inline void
world_on_pass_end(void *ctx, void *unused)
{
	struct world *w = ctx;

	(void)unused;
	if (w->until != NULL && !w->is_stopping && w->until(w->arg)) {
		w->is_stopping = true;
		loop_stop(w->loop);
	}
}

static inline void
world_on_guard(void *arg, void *unused)
{
	struct world *w = arg;

	(void)unused;
	w->is_late = true;
	loop_stop(w->loop);
}

static inline void
world_open(struct world *w)
{
	struct err e;

	memset(w, 0, sizeof(*w));
	w->loop = loop_new("test", 64, &e);
	assert_non_null(w->loop);
	timer_init(&w->guard, w->loop, world_on_guard, w);
	loop_on_pass_end(w->loop, world_on_pass_end, w);
}

static inline void
world_run(struct world *w, bool (*until)(void *arg), void *arg)
{
	w->until = until;
	w->arg = arg;
	w->is_stopping = w->is_late = false;
	timer_set(&w->guard, 10000);
	loop_run(w->loop);
	timer_clear(&w->guard);
	assert_false(w->is_late);
}

static inline bool
world_is_done(void *arg)
{
	return *(bool *)arg;
}

static inline void
world_on_rest(void *arg, void *unused)
{
	(void)unused;
	*(bool *)arg = true;
}

/* Lets the loop run for ms: for what must not happen meanwhile. */
static inline void
world_rest(struct world *w, int64_t ms)
{
	struct timer t;
	bool	     done = false;

	timer_init(&t, w->loop, world_on_rest, &done);
	timer_set(&t, ms);
	world_run(w, world_is_done, &done);
}

static inline void
world_close(struct world *w)
{
	world_rest(w, 0);
	loop_free(w->loop);
}

struct probe {
	struct stream *s;
	struct buf     got;
	int	       ready, inputs, drained, ended;
	enum stream_end why;
	bool keep; /* leaves the input in the stream */
	void (*on_ready)(struct probe *p);
	void (*on_input)(struct probe *p);
	void (*on_drained)(struct probe *p);
	void	     *arg;
	uint64_t      left;
	struct bytes  last; /* what the last on_input showed */
};

static inline void
probe_on_ready(void *arg)
{
	struct probe *p = arg;

	p->ready++;
	if (p->on_ready != NULL)
		p->on_ready(p);
}

static inline void
probe_on_input(void *arg)
{
	struct probe *p = arg;
	struct bytes  in = stream_peek(p->s);

	p->inputs++;
	p->last = in;
	if (!p->keep) {
		assert_true(buf_add_bytes(&p->got, in));
		stream_take(p->s, in.n);
	}
	if (p->on_input != NULL)
		p->on_input(p);
}

static inline void
probe_on_drained(void *arg)
{
	struct probe *p = arg;

	p->drained++;
	if (p->on_drained != NULL)
		p->on_drained(p);
}

static inline void
probe_on_end(void *arg, enum stream_end why)
{
	struct probe *p = arg;

	p->ended++;
	p->why = why;
}

static const struct stream_events probe_events = { probe_on_ready,
	probe_on_input, probe_on_drained, probe_on_end };

static inline void
probe_init(struct probe *p)
{
	memset(p, 0, sizeof(*p));
	buf_init(&p->got, 64 * 1024 * 1024);
}

static inline void
probe_close(struct probe *p)
{
	stream_close(p->s);
	p->s = NULL;
	buf_wipe(&p->got);
}

static inline bool
probe_has_ended(void *arg)
{
	return ((struct probe *)arg)->ended > 0;
}

static inline bool
probe_is_ready(void *arg)
{
	struct probe *p = arg;

	return p->ready > 0 || p->ended > 0;
}

static inline bool
probe_has_input(void *arg)
{
	struct probe *p = arg;

	return p->inputs > 0 || p->ended > 0;
}

static inline void
probe_assert_got(const struct probe *p, const char *text)
{
	assert_int_equal(p->got.n, strlen(text));
	assert_memory_equal(p->got.p, text, p->got.n);
}

/* A listening socket on a loopback port of the kernel's choice. */
static inline int
world_listen(struct sockaddr_storage *addr, bool is_v6)
{
	struct sockaddr_in  *in = (struct sockaddr_in *)addr;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)addr;
	struct err	     e;
	int		     fd;

	memset(addr, 0, sizeof(*addr));
	if (is_v6) {
		in6->sin6_family = AF_INET6;
		in6->sin6_addr = in6addr_loopback;
	} else {
		in->sin_family = AF_INET;
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	}
	fd = stream_bind(addr, is_v6 ? sizeof(*in6) : sizeof(*in), false,
	    false, &e);
	assert_true(fd >= 0);
	return fd;
}

#endif
