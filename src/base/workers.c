/* SPDX-License-Identifier: ISC */
/* The second half of base/thread.h: threads, and those for heavy jobs. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/thread.h"

enum { THREAD_NAME_MAX = 16 };

struct thread_start {
	void *(*run)(void *);
	void *arg;
	char  name[THREAD_NAME_MAX];
};

/* It names itself: to name another one a file is opened, which the sandbox
 * forbids. */
static void *
thread_begin(void *arg)
{
	struct thread_start s = *(struct thread_start *)arg;

	free(arg);
	pthread_setname_np(pthread_self(), s.name);
	return s.run(s.arg);
}

/* Signals go to the main thread alone, whose loop has asked for them. */
int
thread_create(pthread_t *t, const char *name, void *(*run)(void *), void *arg)
{
	struct thread_start *s = mem_alloc(sizeof(*s));
	sigset_t	     all, old;
	int		     rc;

	s->run = run;
	s->arg = arg;
	bytes_text(bytes_of(name), s->name, sizeof(s->name));
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(t, NULL, thread_begin, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0)
		free(s);
	return rc;
}

struct workers {
	pthread_mutex_t lock;
	pthread_cond_t	cond;
	struct job     *first, *last;
	size_t		count, max;
	bool		is_ending;
	unsigned	thread_count;
	pthread_t	threads[];
};

/* At the end, jobs still queued are run too: their askers wait for them. */
static void *
workers_thread(void *arg)
{
	struct workers *w = arg;
	struct job     *j;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		while (w->first == NULL && !w->is_ending)
			pthread_cond_wait(&w->cond, &w->lock);
		j = w->first;
		if (j == NULL)
			break;
		w->first = j->next;
		if (w->first == NULL)
			w->last = NULL;
		w->count--;
		pthread_mutex_unlock(&w->lock);
		j->run(j);
		loop_post_reserved(j->asker, j->done, j, NULL);
		pthread_mutex_lock(&w->lock);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

struct workers *
workers_new(unsigned threads, size_t queue_max, struct err *e)
{
	struct workers *w;
	unsigned	i;

	must(threads > 0 && queue_max > 0);
	w = mem_alloc(sizeof(*w) + threads * sizeof(w->threads[0]));
	w->max = queue_max;
	must(pthread_mutex_init(&w->lock, NULL) == 0);
	must(pthread_cond_init(&w->cond, NULL) == 0);
	for (i = 0; i < threads; i++) {
		errno = thread_create(&w->threads[i], "worker",
		    workers_thread, w);
		if (errno != 0) {
			err_sys(e, "workers: thread");
			workers_free(w);
			return NULL;
		}
		w->thread_count++;
	}
	return w;
}

bool
workers_post(struct workers *w, struct job *j)
{
	bool has_room;

	if (!loop_reserve(j->asker))
		return false;
	j->next = NULL;
	pthread_mutex_lock(&w->lock);
	has_room = w->count < w->max;
	if (has_room) {
		if (w->last != NULL)
			w->last->next = j;
		else
			w->first = j;
		w->last = j;
		w->count++;
		pthread_cond_signal(&w->cond);
	}
	pthread_mutex_unlock(&w->lock);
	if (!has_room)
		loop_unreserve(j->asker);
	return has_room;
}

void
workers_free(struct workers *w)
{
	unsigned i;

	if (w == NULL)
		return;
	pthread_mutex_lock(&w->lock);
	w->is_ending = true;
	pthread_cond_broadcast(&w->cond);
	pthread_mutex_unlock(&w->lock);
	for (i = 0; i < w->thread_count; i++)
		must(pthread_join(w->threads[i], NULL) == 0);
	pthread_cond_destroy(&w->cond);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
