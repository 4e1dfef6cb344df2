/* SPDX-License-Identifier: ISC */
#include "submission/keys_client.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/heap.h"
#include "base/process.h"
#include "registry/keys_proto.h"

enum {
	SIGN_LIMIT_MS = 5000,
	MAKE_LIMIT_MS = 30000,
	ASKED_MAX = 65536,  /* out at once; what is more is given up */
	AGAIN_MS = 100,	    /* a key that may come with a reload */
	SPARE_MAX = 256,    /* requests that are kept for the next one */
	SLOT_BITS = 20	    /* of a ticket; above it: how often it was used */
};

/* A request that is out.  Its ticket says in which slot it is. */
struct asked {
	struct heap_node     node; /* by deadline */
	struct asked	    *next; /* spare */
	size_t		     slot;
	uint64_t	     ticket;
	keys_fn		    *fn;
	void		    *arg;
	enum keys_ask	     ask;
	bool		     is_sent;
	bool		     was_repeated; /* to a second keys process */
	bool		     came_unknown;
	bool		     waits; /* to be asked again */
	const char	    *trouble; /* what is said at the deadline */
	char		     domain[KEYS_DOMAIN_MAX + 1];
	char		     selector[KEYS_SELECTOR_MAX + 1];
	unsigned char	     digest[KEYS_DIGEST_SIZE];
	struct bytes	     sealed; /* lent */
	unsigned	     bits, min_bits, max_bits;
	int		     fd; /* kept to be sent once more; -1 = none */
};

struct keys_client {
	struct loop	   *loop;
	struct channel	   *channel; /* NULL = no keys process now */
	struct timer	    timer, again;
	struct timer	    probe_again;
	uint64_t	    probe; /* its ticket; 0 = none is out */
	size_t		    slow_count; /* requests that may take long */
	struct heap	    heap;
	struct asked	  **slots; /* NULL = free */
	size_t		    slot_count, asked_count, next_slot;
	struct asked	   *spare;
	size_t		    spare_count;
	uint64_t	    turn;
	int64_t		    sign_limit_ms, make_limit_ms;
	struct buf	    out;
	struct keys_answer  answer; /* one at a time */
};

/* -- requests ------------------------------------------------------------- */

static size_t
client_find_slot(struct keys_client *k)
{
	size_t n, i;

	if (k->asked_count == k->slot_count) {
		must(k->slot_count >> SLOT_BITS == 0);
		n = k->slot_count == 0 ? 64 : k->slot_count * 2;
		k->slots = mem_realloc(k->slots, n * sizeof(*k->slots));
		for (i = k->slot_count; i < n; i++)
			k->slots[i] = NULL;
		k->next_slot = k->slot_count;
		k->slot_count = n;
	}
	while (k->slots[k->next_slot % k->slot_count] != NULL)
		k->next_slot++;
	return k->next_slot++ % k->slot_count;
}

static void
client_arm(struct keys_client *k)
{
	struct heap_node *first = heap_first(&k->heap);

	if (first == NULL)
		timer_clear(&k->timer);
	else
		timer_set(&k->timer, first->key - loop_now(k->loop).ms);
}

static bool
asked_is_slow(const struct asked *a)
{
	return a->ask == KEYS_ASK_MAKE || a->ask == KEYS_ASK_IMPORT ||
	    a->ask == KEYS_ASK_EXPORT;
}

static int64_t
asked_limit_ms(const struct keys_client *k, const struct asked *a)
{
	return asked_is_slow(a) ? k->make_limit_ms : k->sign_limit_ms;
}

static struct asked *
asked_new(struct keys_client *k, enum keys_ask ask, keys_fn *fn, void *arg)
{
	struct asked *a = k->spare;

	if (a != NULL) {
		k->spare = a->next;
		k->spare_count--;
		memset(a, 0, sizeof(*a));
	} else {
		a = mem_alloc(sizeof(*a));
	}
	a->ask = ask;
	a->fn = fn;
	a->arg = arg;
	a->fd = -1;
	a->trouble = "the keys process does not answer";
	return a;
}

static void
asked_end(struct keys_client *k, struct asked *a)
{
	heap_remove(&k->heap, &a->node);
	k->slots[a->slot] = NULL;
	k->asked_count--;
	k->slow_count -= asked_is_slow(a);
	if (a->fd >= 0)
		close(a->fd);
	if (k->spare_count < SPARE_MAX) {
		a->next = k->spare;
		k->spare = a;
		k->spare_count++;
	} else {
		mem_free(a);
	}
}

/* Out of the way first: fn may ask for the next thing. */
static void
asked_answer(struct keys_client *k, struct asked *a)
{
	keys_fn *fn = a->fn;
	void	*arg = a->arg;

	asked_end(k, a);
	fn(arg, &k->answer);
}

static void
asked_fail(struct keys_client *k, struct asked *a, enum keys_result result,
    struct bytes reason)
{
	k->answer.result = result;
	k->answer.signature_n = k->answer.public_n = k->answer.sealed_n = 0;
	k->answer.bits = 0;
	bytes_text(reason, k->answer.reason, sizeof(k->answer.reason));
	asked_answer(k, a);
}

/* The answer never comes from inside the call: the timer brings it. */
static void
asked_give_up(struct keys_client *k, struct asked *a, const char *why)
{
	a->trouble = why;
	heap_move(&k->heap, &a->node, loop_now(k->loop).ms);
	client_arm(k);
}

static void
asked_send(struct keys_client *k, struct asked *a)
{
	struct keys_request q = { .ask = a->ask,
		.ticket = a->ticket,
		.domain = bytes_of(a->domain),
		.selector = bytes_of(a->selector),
		.bits = a->bits,
		.min_bits = a->min_bits,
		.max_bits = a->max_bits };
	int		    fd = -1;

	if (k->channel == NULL)
		return; /* the next keys process gets it */
	if (a->ask == KEYS_ASK_SIGN && a->came_unknown)
		q.ask = KEYS_ASK_SIGN_SEALED;
	if (a->ask != KEYS_ASK_SIGN || a->came_unknown)
		q.sealed = a->sealed;
	keys_tag_of(a->sealed, q.tag);
	memcpy(q.digest, a->digest, sizeof(q.digest));
	if (!keys_request_encode(&q, &k->out)) {
		asked_give_up(k, a, "the key is too long");
		return;
	}
	if (a->fd >= 0) {
		fd = fcntl(a->fd, F_DUPFD_CLOEXEC, 0);
		if (fd < 0) {
			asked_give_up(k, a, "no descriptor left");
			return;
		}
	}
	if (!channel_send(k->channel, buf_bytes(&k->out), fd)) {
		if (fd >= 0)
			close(fd);
		asked_give_up(k, a, "the keys process does not keep up");
		return;
	}
	a->is_sent = true;
}

/* Gives it a ticket and a limit, and sends it. */
static uint64_t
asked_begin(struct keys_client *k, struct asked *a)
{
	int64_t now = loop_now(k->loop).ms;

	a->slot = client_find_slot(k);
	k->slots[a->slot] = a;
	k->asked_count++;
	k->slow_count += asked_is_slow(a);
	a->ticket = ++k->turn << SLOT_BITS | a->slot;
	must(heap_push(&k->heap, &a->node, now + asked_limit_ms(k, a)));
	if (k->asked_count > ASKED_MAX)
		asked_give_up(k, a, "too many requests wait for the keys "
				    "process");
	else
		asked_send(k, a);
	if (heap_first(&k->heap) == &a->node)
		client_arm(k);
	return a->ticket;
}

/* -- is the keys process there, while it takes its time? ------------------- */

/* Any answer says that it is. */
static void
client_on_probe(void *arg, const struct keys_answer *answer)
{
	struct keys_client *k = arg;
	struct asked	   *a;
	size_t		    i;

	k->probe = 0;
	if (answer->result != KEYS_DOWN) {
		timer_set(&k->probe_again, k->sign_limit_ms);
		return;
	}
	for (i = 0; i < k->slot_count; i++) {
		a = k->slots[i];
		if (a != NULL && asked_is_slow(a))
			asked_give_up(k, a, a->trouble);
	}
}

static void
client_probe(struct keys_client *k)
{
	if (k->probe == 0 && k->slow_count > 0)
		k->probe = asked_begin(k, asked_new(k, KEYS_ASK_OPERATOR,
		    client_on_probe, k));
}

static void
client_on_probe_again(void *arg, void *unused)
{
	(void)unused;
	client_probe(arg);
}

/* What may take long goes with a question that may not. */
static uint64_t
asked_begin_slow(struct keys_client *k, struct asked *a)
{
	uint64_t ticket = asked_begin(k, a);

	client_probe(k);
	return ticket;
}

static struct asked *
client_find(struct keys_client *k, uint64_t ticket)
{
	size_t	      slot = ticket & ((1u << SLOT_BITS) - 1);
	struct asked *a = slot < k->slot_count ? k->slots[slot] : NULL;

	return a != NULL && a->ticket == ticket ? a : NULL;
}

/* -- replies -------------------------------------------------------------- */

/* 0 = nothing came, or more than there is room for. */
static size_t
answer_take(struct bytes from, unsigned char *to, size_t size)
{
	size_t n = from.n <= size ? from.n : 0;

	if (n > 0)
		memcpy(to, from.p, n);
	return n;
}

/* Has it all that was asked for?  What is too long was not taken. */
static bool
answer_is_whole(const struct keys_answer *x, enum keys_ask a)
{
	switch (a) {
	case KEYS_ASK_SIGN:
	case KEYS_ASK_SIGN_SEALED:
	case KEYS_ASK_SIGN_OPERATOR:
		return x->signature_n > 0;
	case KEYS_ASK_MAKE:
	case KEYS_ASK_IMPORT:
		return x->public_n > 0 && x->sealed_n > 0;
	case KEYS_ASK_OPERATOR:
		return x->public_n > 0;
	case KEYS_ASK_EXPORT:
	case KEYS_ASK_CHECK:
		break;
	}
	return true;
}

static void
client_on_done(struct keys_client *k, struct asked *a,
    const struct keys_reply *r)
{
	struct keys_answer *x = &k->answer;

	x->result = KEYS_OK;
	x->reason[0] = '\0';
	x->signature_n = answer_take(r->signature, x->signature,
	    sizeof(x->signature));
	x->public_n = answer_take(r->public_key, x->public_key,
	    sizeof(x->public_key));
	x->sealed_n = answer_take(r->sealed, x->sealed, sizeof(x->sealed));
	x->bits = r->bits;
	if (answer_is_whole(x, a->ask))
		asked_answer(k, a);
	else
		asked_fail(k, a, KEYS_FAILED,
		    BYTES("the keys process gave an answer that is not "
			  "whole"));
}

static void
client_on_again(void *arg, void *unused)
{
	struct keys_client *k = arg;
	struct asked	   *a;
	size_t		    i;

	(void)unused;
	for (i = 0; i < k->slot_count; i++) {
		a = k->slots[i];
		if (a == NULL || !a->waits)
			continue;
		a->waits = false;
		asked_send(k, a);
	}
}

static void
client_on_unknown(struct keys_client *k, struct asked *a)
{
	if (a->ask == KEYS_ASK_SIGN_OPERATOR) {
		a->waits = true;
		a->trouble = "the keys process has another operator key";
		timer_set(&k->again, AGAIN_MS);
		return;
	}
	if (a->ask != KEYS_ASK_SIGN || a->came_unknown) {
		asked_fail(k, a, KEYS_FAILED,
		    BYTES("the keys process does not take the key"));
		return;
	}
	a->came_unknown = true;
	asked_send(k, a);
}

static void
client_on_message(void *arg, struct bytes message, int fd)
{
	struct keys_client *k = arg;
	struct keys_reply   r;
	struct asked	   *a;

	if (fd >= 0)
		close(fd);
	if (!keys_reply_decode(message, &r))
		return;
	a = client_find(k, r.ticket);
	if (a == NULL)
		return; /* too late, or cancelled */
	if (r.say == KEYS_SAY_DONE)
		client_on_done(k, a, &r);
	else if (r.say == KEYS_SAY_FAILED)
		asked_fail(k, a, KEYS_FAILED, r.reason);
	else
		client_on_unknown(k, a);
}

/* What is out waits for the next keys process, or for its deadline. */
static void
client_on_close(void *arg)
{
	struct keys_client *k = arg;

	channel_close(k->channel);
	k->channel = NULL;
}

static void
client_on_deadline(void *arg, void *unused)
{
	struct keys_client *k = arg;
	struct heap_node   *first;
	struct asked	   *a;

	(void)unused;
	while ((first = heap_first(&k->heap)) != NULL &&
	    first->key <= loop_now(k->loop).ms) {
		a = heap_entry(first, struct asked, node);
		asked_fail(k, a, KEYS_DOWN, bytes_of(a->trouble));
	}
	client_arm(k);
}

/* -- life ----------------------------------------------------------------- */

static const struct channel_events client_events = { client_on_message,
	client_on_close };

struct keys_client *
keys_client_new(struct loop *l, int fd, struct err *e)
{
	struct keys_client *k = mem_alloc(sizeof(*k));

	k->loop = l;
	timer_init(&k->timer, l, client_on_deadline, k);
	timer_init(&k->again, l, client_on_again, k);
	timer_init(&k->probe_again, l, client_on_probe_again, k);
	heap_init(&k->heap);
	buf_init(&k->out, KEYS_MESSAGE_MAX);
	keys_client_set_limits(k, SIGN_LIMIT_MS, MAKE_LIMIT_MS);
	if (fd < 0)
		return k;
	k->channel = channel_open(l, fd, &client_events, k, e);
	if (k->channel == NULL) {
		keys_client_free(k);
		return NULL;
	}
	return k;
}

void
keys_client_set_limits(struct keys_client *k, int64_t sign_ms,
    int64_t make_ms)
{
	k->sign_limit_ms = sign_ms;
	k->make_limit_ms = make_ms;
}

/*
 * What waited unsent goes out; what the old one had goes out once more, but
 * not a third time: a request may be what ends them.
 */
void
keys_client_replace(struct keys_client *k, int fd)
{
	struct asked *a;
	struct err    unused;
	size_t	      i;

	channel_close(k->channel);
	k->channel = channel_open(k->loop, fd, &client_events, k, &unused);
	for (i = 0; i < k->slot_count && k->channel != NULL; i++) {
		a = k->slots[i];
		if (a == NULL || (a->is_sent && a->was_repeated))
			continue;
		a->was_repeated = a->is_sent;
		asked_send(k, a);
	}
}

void
keys_client_free(struct keys_client *k)
{
	struct heap_node *first;
	struct asked	 *a;

	if (k == NULL)
		return;
	channel_close(k->channel);
	k->channel = NULL;
	while ((first = heap_first(&k->heap)) != NULL)
		asked_fail(k, heap_entry(first, struct asked, node),
		    KEYS_FAILED, BYTES("shutting down"));
	timer_clear(&k->timer);
	timer_clear(&k->again);
	timer_clear(&k->probe_again);
	while ((a = k->spare) != NULL) {
		k->spare = a->next;
		mem_free(a);
	}
	heap_wipe(&k->heap);
	mem_free(k->slots);
	buf_wipe(&k->out);
	mem_free(k);
}

/* -- asking --------------------------------------------------------------- */

static void
asked_name(struct asked *a, const char *domain, const char *selector)
{
	bytes_text(bytes_of(domain), a->domain, sizeof(a->domain));
	bytes_text(bytes_of(selector), a->selector, sizeof(a->selector));
}

uint64_t
keys_client_sign(struct keys_client *k, const struct keys_sign *r,
    keys_fn *fn, void *arg)
{
	struct asked *a = asked_new(k, KEYS_ASK_SIGN, fn, arg);

	asked_name(a, r->domain, r->selector);
	memcpy(a->digest, r->digest, sizeof(a->digest));
	a->sealed = r->sealed;
	return asked_begin(k, a);
}

uint64_t
keys_client_sign_operator(struct keys_client *k, const struct keys_sign *r,
    keys_fn *fn, void *arg)
{
	struct asked *a = asked_new(k, KEYS_ASK_SIGN_OPERATOR, fn, arg);

	asked_name(a, r->domain, r->selector);
	memcpy(a->digest, r->digest, sizeof(a->digest));
	return asked_begin(k, a);
}

uint64_t
keys_client_make(struct keys_client *k, const char *domain,
    const char *selector, unsigned bits, keys_fn *fn, void *arg)
{
	struct asked *a = asked_new(k, KEYS_ASK_MAKE, fn, arg);

	asked_name(a, domain, selector);
	a->bits = bits;
	return asked_begin_slow(k, a);
}

uint64_t
keys_client_import(struct keys_client *k, const struct keys_import *r,
    keys_fn *fn, void *arg)
{
	struct asked *a = asked_new(k, KEYS_ASK_IMPORT, fn, arg);

	asked_name(a, r->domain, r->selector);
	a->min_bits = r->min_bits;
	a->max_bits = r->max_bits;
	a->fd = r->fd;
	return asked_begin_slow(k, a);
}

uint64_t
keys_client_export(struct keys_client *k, const struct keys_sign *r, int fd,
    keys_fn *fn, void *arg)
{
	struct asked *a = asked_new(k, KEYS_ASK_EXPORT, fn, arg);

	asked_name(a, r->domain, r->selector);
	a->sealed = r->sealed;
	a->fd = fd;
	return asked_begin_slow(k, a);
}

uint64_t
keys_client_check(struct keys_client *k, const struct keys_sign *r,
    keys_fn *fn, void *arg)
{
	struct asked *a = asked_new(k, KEYS_ASK_CHECK, fn, arg);

	asked_name(a, r->domain, r->selector);
	a->sealed = r->sealed;
	return asked_begin(k, a);
}

uint64_t
keys_client_operator(struct keys_client *k, keys_fn *fn, void *arg)
{
	return asked_begin(k, asked_new(k, KEYS_ASK_OPERATOR, fn, arg));
}

void
keys_client_cancel(struct keys_client *k, uint64_t ticket)
{
	struct asked *a = client_find(k, ticket);

	if (a != NULL)
		asked_end(k, a);
}
