/* SPDX-License-Identifier: ISC */
/*
 * The master asks whether relay is alive (daemon/master_watch.c).  The answer
 * is that of all loops: main asks each of them by its feed, and says PONG
 * when the last one has run what it was sent.  A loop whose feed is full is
 * asked again at the next PING: it may be busy.
 * Thread: main; pulse_on_loop() is all that runs on the others.
 */
#include "daemon/relay.h"

#include "daemon/child_proto.h"

static void
pulse_on_main(void *pulse, void *unused)
{
	struct relay_pulse *p = pulse;
	struct relay	   *r = p->relay;

	(void)unused;
	p->is_out = false;
	p->came = true;
	if (--r->pulse_missing == 0 && r->master != NULL)
		(void)child_send(r->master, CHILD_PONG, 0, BYTES(""), -1);
}

static void
pulse_on_loop(void *pulse, void *unused)
{
	struct relay_pulse *p = pulse;

	(void)unused;
	loop_post_reserved(p->relay->main, pulse_on_main, p, NULL);
}

static void
pulse_send(struct relay_pulse *p)
{
	struct loop *l = p->relay->main;

	if (p->is_out || p->came || !loop_reserve(l))
		return;
	p->is_out = loop_post(p->loop, pulse_on_loop, p, NULL);
	if (!p->is_out)
		loop_unreserve(l);
}

static void
pulse_add(struct relay *r, struct loop *l)
{
	struct relay_pulse *p = &r->pulses[r->pulse_count++];

	p->relay = r;
	p->loop = l;
}

void
relay_on_ping(struct relay *r)
{
	unsigned i;

	loop_must_own(r->main);
	if (r->pulse_count == 0) {
		for (i = 0; i < r->desk_count; i++)
			pulse_add(r, r->desks[i].loop);
		pulse_add(r, r->delivery);
		pulse_add(r, r->reporting);
	}
	if (r->pulse_missing == 0) {
		r->pulse_missing = r->pulse_count;
		for (i = 0; i < r->pulse_count; i++)
			r->pulses[i].came = false;
	}
	for (i = 0; i < r->pulse_count; i++)
		pulse_send(&r->pulses[i]);
}
