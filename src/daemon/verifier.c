/* SPDX-License-Identifier: ISC */
#include "daemon/verifier.h"

#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/process.h"
#include "daemon/child_proto.h"
#include "daemon/verifier_check.h"

enum { VERIFIER_FEED = 64 };

struct verifier_job {
	struct verifier_job   *next, *prev;
	struct verifier	      *verifier;
	struct verifier_check *check;
};

struct verifier {
	struct loop	       *loop;
	struct verifier_setup	setup;
	struct sockaddr_storage *servers; /* of the setup */
	struct resolver	       *resolver;
	struct channel	       *channel;
	struct verifier_job    *jobs;
	size_t			job_count;
	void (*on_gone)(void *arg);
	void *arg;
};

static void verifier_on_message(void *arg, struct bytes message, int fd);
static void verifier_on_close(void *arg);

static const struct channel_events verifier_events = { verifier_on_message,
	verifier_on_close };

struct verifier *
verifier_open(struct loop *l, int channel_fd, const struct verifier_setup *s,
    void (*on_gone)(void *arg), void *arg, struct err *e)
{
	struct verifier *v = mem_alloc(sizeof(*v));
	size_t		 n = s->resolver.server_count;

	v->loop = l;
	v->on_gone = on_gone;
	v->arg = arg;
	v->setup = *s;
	v->servers = mem_alloc((n + 1) * sizeof(*v->servers));
	if (n > 0)
		memcpy(v->servers, s->resolver.servers,
		    n * sizeof(*v->servers));
	v->setup.resolver.servers = v->servers;
	v->resolver = resolver_new(l, &v->setup.resolver, e);
	if (v->resolver != NULL)
		v->channel = channel_open(l, channel_fd, &verifier_events, v,
		    e);
	else
		close(channel_fd);
	if (v->channel == NULL) {
		verifier_close(v);
		return NULL;
	}
	return v;
}

static void
verifier_end_job(struct verifier_job *j)
{
	struct verifier *v = j->verifier;

	if (j->prev != NULL)
		j->prev->next = j->next;
	else
		v->jobs = j->next;
	if (j->next != NULL)
		j->next->prev = j->prev;
	v->job_count--;
	verifier_check_free(j->check);
	mem_free(j);
}

static void
verifier_free(void *p)
{
	struct verifier *v = p;

	mem_free(v->servers);
	mem_free(v);
}

void
verifier_close(struct verifier *v)
{
	if (v == NULL)
		return;
	while (v->jobs != NULL)
		verifier_end_job(v->jobs);
	channel_close(v->channel);
	resolver_free(v->resolver);
	loop_reap(v->loop, verifier_free, v);
}

static void
verifier_answer(struct verifier *v, const struct verify_result *r)
{
	struct buf b;

	buf_init(&b, VERIFY_MESSAGE_MAX);
	if (!verify_result_encode(r, &b) ||
	    !channel_send(v->channel, buf_bytes(&b), -1))
		log_warn("check-unanswered", "kind=%s",
		    verify_kind_to_text(r->kind));
	buf_wipe(&b);
}

static void
verifier_on_done(void *arg, const struct verify_result *r)
{
	struct verifier_job *j = arg;

	verifier_answer(j->verifier, r);
	verifier_end_job(j);
}

static void
verifier_refuse(struct verifier *v, const struct verify_job *job)
{
	struct verify_result r;

	memset(&r, 0, sizeof(r));
	r.ticket = job->ticket;
	r.kind = job->kind;
	r.outcome = DKIM_DNS_ERROR;
	strcpy(r.hint, "too many checks at once");
	verifier_answer(v, &r);
}

static void
verifier_on_message(void *arg, struct bytes message, int fd)
{
	struct verifier	     *v = arg;
	struct verifier_tools tools = { v->loop, v->resolver, &v->setup };
	struct verify_job     job;
	struct verifier_job  *j;

	if (fd >= 0)
		close(fd);
	if (!verify_job_decode(message, &job)) {
		log_warn("check-unreadable", "octets=%zu", message.n);
		return;
	}
	if (v->job_count == VERIFIER_JOBS_MAX) {
		verifier_refuse(v, &job);
		return;
	}
	j = mem_alloc(sizeof(*j));
	j->verifier = v;
	j->next = v->jobs;
	if (v->jobs != NULL)
		v->jobs->prev = j;
	v->jobs = j;
	v->job_count++;
	j->check = verifier_check_new(&tools, &job, verifier_on_done, j);
}

static void
verifier_on_close(void *arg)
{
	struct verifier *v = arg;

	if (v->on_gone != NULL)
		v->on_gone(v->arg);
}

/* -- the process ----------------------------------------------------------- */

struct verifier_process {
	struct loop	*loop;
	struct channel	*control;
	struct verifier *verifier; /* NULL = no relay now */
	const struct verifier_setup *setup;
	int		 status;
};

static void
process_on_relay_gone(void *arg)
{
	struct verifier_process *p = arg;

	verifier_close(p->verifier);
	p->verifier = NULL;
}

static void
process_take_relay(struct verifier_process *p, int fd)
{
	struct err e;

	verifier_close(p->verifier);
	p->verifier = verifier_open(p->loop, fd, p->setup,
	    process_on_relay_gone, p, &e);
	if (p->verifier != NULL)
		return;
	log_error("start-failed", "reason=\"%s\"", e.text);
	p->status = 1;
	loop_stop(p->loop);
}

static void
process_on_control(void *arg, struct bytes message, int fd)
{
	struct verifier_process *p = arg;
	struct child_message	 m;

	if (child_read(message, &m)) {
		if (m.kind == CHILD_PEER_VERIFIER && fd >= 0) {
			process_take_relay(p, fd);
			return;
		}
		if (m.kind == CHILD_STOP)
			loop_stop(p->loop);
		else if (m.kind == CHILD_PING)
			(void)child_send(p->control, CHILD_PONG, 0, BYTES(""),
			    -1);
	}
	if (fd >= 0)
		close(fd);
}

static void
process_on_control_gone(void *arg)
{
	struct verifier_process *p = arg;

	channel_close(p->control);
	p->control = NULL;
	loop_stop(p->loop);
}

int
verifier_run(int channel_fd, int control_fd, const struct verifier_setup *s)
{
	static const struct channel_events control_events = {
		process_on_control, process_on_control_gone
	};
	struct verifier_process p = { .setup = s };
	struct err		e;

	p.loop = loop_new("verifier", VERIFIER_FEED, &e);
	if (p.loop != NULL)
		p.control = channel_open(p.loop, control_fd, &control_events,
		    &p, &e);
	else
		close(control_fd);
	if (p.control == NULL) {
		log_error("start-failed", "reason=\"%s\"", e.text);
		if (channel_fd >= 0)
			close(channel_fd);
		loop_free(p.loop);
		return 1;
	}
	if (channel_fd >= 0)
		process_take_relay(&p, channel_fd);
	loop_run(p.loop);
	verifier_close(p.verifier);
	channel_close(p.control);
	loop_free(p.loop);
	return p.status;
}
