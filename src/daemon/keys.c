/* SPDX-License-Identifier: ISC */
/*
 * A request becomes a job: looked at on the loop, done on a worker, answered
 * on the loop again.  Only the loop touches the table of kept keys; a job
 * that uses one holds a count on it, so that it may leave the table meanwhile.
 */
#include "daemon/keys.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/process.h"
#include "base/table.h"
#include "daemon/child_proto.h"
#include "daemon/keys_private.h"

enum {
	KEYS_FEED_MAX = 2 * KEYS_QUEUE_MAX,
	KEYS_SLOW_MAX = 256,  /* keys to be made or read that may wait */
	KEYS_SPARE_MAX = 512,  /* jobs that are kept for the next request */
	KEYS_THREADS_MAX = 256
};

struct keys_peer {
	struct keys_peer *next;
	struct keys	 *keys;
	struct channel	 *channel; /* NULL = has gone */
	unsigned	  jobs;	   /* that will want to answer */
};

struct keys {
	struct loop	 *loop;
	struct channel	 *control;
	struct keys_peer *peers;
	struct workers	 *signers, *makers;
	struct sealer	 *sealer; /* NULL = no master key */
	struct table	 *table;
	struct kept_key	 *newest, *oldest; /* by last use */
	struct timer	  idle;
	int64_t		  keep_ms;
	size_t		  keep_max;
	struct kept_key	 *operator_key; /* NULL = none */
	struct kept_key	 *operator_before; /* the last reload */
	struct keys_job	 *spare, *busy;
	size_t		  spare_count;
	struct buf	  out;
	struct keys_figures figures;
	unsigned	  relay_uid;
	bool		  ends_with_peers;
	void (*on_control)(void *arg, struct keys *k,
	    const struct child_message *m, int fd);
	void *on_control_arg;
};

/* -- kept keys ------------------------------------------------------------ */

static struct kept_key *
kept_new(struct signing_key *key)
{
	struct kept_key *x = mem_alloc(sizeof(*x));

	x->key = key;
	x->uses = 1;
	return x;
}

static void
kept_release(struct kept_key *x)
{
	if (x == NULL || --x->uses > 0)
		return;
	signing_key_free(x->key);
	mem_wipe(x, sizeof(*x));
	mem_free(x);
}

static void
kept_unlink(struct keys *k, struct kept_key *x)
{
	if (x->newer != NULL)
		x->newer->older = x->older;
	else
		k->newest = x->older;
	if (x->older != NULL)
		x->older->newer = x->newer;
	else
		k->oldest = x->newer;
	x->newer = x->older = NULL;
}

static void
kept_link(struct keys *k, struct kept_key *x)
{
	x->older = k->newest;
	if (k->newest != NULL)
		k->newest->newer = x;
	else
		k->oldest = x;
	k->newest = x;
}

static void
kept_drop(struct keys *k, struct kept_key *x)
{
	table_take(k->table, (struct bytes){ x->name, x->name_n });
	kept_unlink(k, x);
	kept_release(x);
}

/* A key under the same name with another tag is another key. */
static struct kept_key *
kept_find(struct keys *k, struct bytes name,
    const unsigned char tag[KEYS_TAG_SIZE])
{
	struct kept_key *x = table_get(k->table, name);

	if (x == NULL || memcmp(x->tag, tag, KEYS_TAG_SIZE) != 0)
		return NULL;
	x->used = loop_now(k->loop);
	if (x != k->newest) {
		kept_unlink(k, x);
		kept_link(k, x);
	}
	return x;
}

/* Those that nobody has used for a while are wiped. */
static void
kept_on_idle(void *keys, void *unused)
{
	struct keys *k = keys;
	int64_t	     now = loop_now(k->loop).ms;

	(void)unused;
	while (k->oldest != NULL && now - k->oldest->used.ms >= k->keep_ms)
		kept_drop(k, k->oldest);
	if (k->oldest != NULL)
		timer_set(&k->idle, k->oldest->used.ms + k->keep_ms - now);
}

static void
kept_add(struct keys *k, struct keys_job *j)
{
	struct bytes	 name = { j->name, j->name_n };
	struct kept_key *x = table_get(k->table, name);

	/* several jobs may have brought it at once */
	if (x != NULL && memcmp(x->tag, j->tag, KEYS_TAG_SIZE) == 0)
		return;
	if (x != NULL)
		kept_drop(k, x);
	while (table_count(k->table) >= k->keep_max)
		kept_drop(k, k->oldest);
	x = kept_new(j->opened);
	j->opened = NULL;
	memcpy(x->name, j->name, j->name_n);
	x->name_n = j->name_n;
	memcpy(x->tag, j->tag, sizeof(x->tag));
	x->used = loop_now(k->loop);
	must(table_put(k->table, name, x));
	if (k->oldest == NULL)
		timer_set(&k->idle, k->keep_ms);
	kept_link(k, x);
	k->figures.unsealed++;
}

/* -- answers -------------------------------------------------------------- */

static void
peer_release(struct keys_peer *p)
{
	struct keys	 *k = p->keys;
	struct keys_peer **at;

	if (p->channel != NULL || p->jobs > 0)
		return;
	for (at = &k->peers; *at != p; at = &(*at)->next)
		;
	*at = p->next;
	mem_free(p);
	if (k->peers == NULL && k->ends_with_peers)
		loop_stop(k->loop);
}

/* What cannot be sent is not: the asker has a limit of time. */
static void
peer_say(struct keys_peer *p, const struct keys_reply *r)
{
	struct keys *k = p->keys;

	if (p->channel != NULL && keys_reply_encode(r, &k->out))
		(void)channel_send(p->channel, buf_bytes(&k->out), -1);
}

static void
peer_refuse(struct keys_peer *p, uint64_t ticket, const char *reason)
{
	struct keys_reply r = { .say = KEYS_SAY_FAILED,
		.ticket = ticket,
		.reason = bytes_of(reason) };

	p->keys->figures.refused++;
	peer_say(p, &r);
}

static struct keys_job *
job_new(struct keys *k, struct keys_peer *p, const struct keys_request *q)
{
	struct keys_job *j = k->spare;

	if (j != NULL) {
		k->spare = j->next;
		k->spare_count--;
	} else {
		j = mem_alloc(sizeof(*j));
	}
	j->previous = NULL;
	j->next = k->busy;
	if (k->busy != NULL)
		k->busy->previous = j;
	k->busy = j;
	j->keys = k;
	j->peer = p;
	j->sealer = k->sealer;
	j->ask = q->ask;
	j->ticket = q->ticket;
	j->kept = NULL;
	j->opened = NULL;
	memcpy(j->tag, q->tag, sizeof(j->tag));
	memcpy(j->digest, q->digest, sizeof(j->digest));
	j->bits = q->bits;
	j->min_bits = q->min_bits;
	j->max_bits = q->max_bits;
	j->fd = -1;
	j->sealed_n = q->sealed.n;
	if (q->sealed.n > 0)
		memcpy(j->sealed, q->sealed.p, q->sealed.n);
	j->name_n = j->signature_n = j->public_n = 0;
	j->failed = false;
	p->jobs++;
	return j;
}

static void
job_free(struct keys_job *j)
{
	struct keys *k = j->keys;

	if (j->fd >= 0)
		close(j->fd);
	kept_release(j->kept);
	signing_key_free(j->opened);
	j->peer->jobs--;
	if (j->previous != NULL)
		j->previous->next = j->next;
	else
		k->busy = j->next;
	if (j->next != NULL)
		j->next->previous = j->previous;
	if (k->spare_count < KEYS_SPARE_MAX) {
		j->next = k->spare;
		k->spare = j;
		k->spare_count++;
	} else {
		mem_free(j);
	}
}

static void
job_on_done(void *job, void *unused)
{
	struct keys_job	 *j = job;
	struct keys_peer *p = j->peer;
	struct keys_reply r = { .say = KEYS_SAY_DONE, .ticket = j->ticket };

	(void)unused;
	if (j->opened != NULL)
		kept_add(j->keys, j);
	if (j->failed) {
		peer_refuse(p, j->ticket, j->err.text);
	} else {
		j->keys->figures.signatures += j->signature_n > 0;
		r.signature = (struct bytes){ (char *)j->signature,
			j->signature_n };
		r.public_key = (struct bytes){ (char *)j->public_key,
			j->public_n };
		r.sealed = (struct bytes){ (char *)j->sealed, j->sealed_n };
		r.bits = j->bits;
		peer_say(p, &r);
	}
	job_free(j);
	peer_release(p);
}

/* -- requests ------------------------------------------------------------- */

static void
job_hand_over(struct keys_job *j, struct workers *w)
{
	j->job.asker = j->keys->loop;
	j->job.run = keys_job_run;
	j->job.done = job_on_done;
	if (workers_post(w, &j->job))
		return;
	peer_refuse(j->peer, j->ticket, "the keys process is overloaded");
	job_free(j);
}

static size_t
request_name(const struct keys_request *q, char out[SEAL_NAME_MAX])
{
	memcpy(out, q->domain.p, q->domain.n);
	out[q->domain.n] = '\0';
	memcpy(out + q->domain.n + 1, q->selector.p, q->selector.n);
	return q->domain.n + 1 + q->selector.n;
}

static void
keys_sign(struct keys *k, struct keys_peer *p, const struct keys_request *q)
{
	char		  name[SEAL_NAME_MAX];
	size_t		  n = request_name(q, name);
	struct kept_key	 *kept;
	struct keys_reply unknown = { .say = KEYS_SAY_UNKNOWN,
		.ticket = q->ticket };
	struct keys_job	 *j;

	kept = kept_find(k, (struct bytes){ name, n }, q->tag);
	if (kept == NULL && q->ask == KEYS_ASK_SIGN) {
		peer_say(p, &unknown);
		return;
	}
	j = job_new(k, p, q);
	memcpy(j->name, name, n);
	j->name_n = n;
	if (kept != NULL) {
		kept->uses++;
		j->kept = kept;
		j->ask = KEYS_ASK_SIGN;
	}
	job_hand_over(j, k->signers);
}

static bool
kept_is_named(const struct kept_key *x, struct bytes name)
{
	return x != NULL &&
	    bytes_eq((struct bytes){ x->name, x->name_n }, name);
}

/* Messages under way at a reload may still want the key of before. */
static void
keys_sign_operator(struct keys *k, struct keys_peer *p,
    const struct keys_request *q)
{
	char		  text[SEAL_NAME_MAX];
	struct bytes	  name = { text, request_name(q, text) };
	struct kept_key	 *kept = k->operator_key;
	struct keys_reply unknown = { .say = KEYS_SAY_UNKNOWN,
		.ticket = q->ticket };
	struct keys_job	 *j;

	if (!kept_is_named(kept, name))
		kept = k->operator_before;
	if (!kept_is_named(kept, name)) {
		peer_say(p, &unknown);
		return;
	}
	j = job_new(k, p, q);
	kept->uses++;
	j->kept = kept;
	job_hand_over(j, k->signers);
}

static void
keys_tell_operator(struct keys *k, struct keys_peer *p, uint64_t ticket)
{
	unsigned char	  der[KEYS_PUBLIC_SIZE];
	struct keys_reply r = { .say = KEYS_SAY_DONE, .ticket = ticket };

	if (k->operator_key == NULL) {
		peer_refuse(p, ticket, "no operator key configured "
		    "(dkim.operator_key)");
		return;
	}
	r.public_key = (struct bytes){ (char *)der,
		signing_key_public(k->operator_key->key, der, sizeof(der)) };
	r.bits = signing_key_bits(k->operator_key->key);
	peer_say(p, &r);
}

/*
 * Whoever asks holds no private key, and is not to get one: it goes into a
 * pipe alone, and not into one that relay has made.
 */
static bool
keys_may_export(const struct keys *k, const struct keys_request *q, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode) ||
	    (k->relay_uid != 0 && st.st_uid == k->relay_uid)) {
		log_error("key-export-refused", "d=%.*s s=%.*s",
		    (int)q->domain.n, q->domain.p, (int)q->selector.n,
		    q->selector.p);
		return false;
	}
	log_warn("key-export", "d=%.*s s=%.*s uid=%u", (int)q->domain.n,
	    q->domain.p, (int)q->selector.n, q->selector.p,
	    (unsigned)st.st_uid);
	return true;
}

static void
keys_do_slowly(struct keys *k, struct keys_peer *p,
    const struct keys_request *q, int fd)
{
	struct keys_job *j = job_new(k, p, q);

	j->fd = fd;
	j->name_n = request_name(q, j->name);
	job_hand_over(j, k->makers);
}

static void
keys_take(struct keys *k, struct keys_peer *p, const struct keys_request *q,
    int fd)
{
	bool wants_fd = q->ask == KEYS_ASK_IMPORT || q->ask == KEYS_ASK_EXPORT;

	if (!wants_fd && fd >= 0) {
		close(fd);
		fd = -1;
	}
	if (q->ask == KEYS_ASK_SIGN_OPERATOR) {
		keys_sign_operator(k, p, q);
	} else if (q->ask == KEYS_ASK_OPERATOR) {
		keys_tell_operator(k, p, q->ticket);
	} else if (k->sealer == NULL) {
		if (fd >= 0)
			close(fd);
		peer_refuse(p, q->ticket,
		    "no master key configured (store.master_key)");
	} else if (q->ask == KEYS_ASK_SIGN ||
	    q->ask == KEYS_ASK_SIGN_SEALED) {
		keys_sign(k, p, q);
	} else if (wants_fd && fd < 0) {
		peer_refuse(p, q->ticket, "no file came with the request");
	} else if (q->ask == KEYS_ASK_EXPORT && !keys_may_export(k, q, fd)) {
		close(fd);
		peer_refuse(p, q->ticket, "a private key is given to a pipe "
		    "of the caller alone, who is not server.user");
	} else {
		keys_do_slowly(k, p, q, fd);
	}
}

static void
peer_on_message(void *arg, struct bytes message, int fd)
{
	struct keys_peer   *p = arg;
	struct keys_request q;

	if (keys_request_decode(message, &q)) {
		if (q.ask == KEYS_ASK_SIGN_SEALED)
			keys_tag_of(q.sealed, q.tag);
		keys_take(p->keys, p, &q, fd);
		return;
	}
	log_warn("keys-request-unreadable", "octets=%zu", message.n);
	if (fd >= 0)
		close(fd);
}

static void
peer_on_close(void *arg)
{
	struct keys_peer *p = arg;

	channel_close(p->channel);
	p->channel = NULL;
	peer_release(p);
}

static const struct channel_events peer_events = { peer_on_message,
	peer_on_close };

bool
keys_add_peer(struct keys *k, int fd)
{
	struct keys_peer *p = mem_alloc(sizeof(*p));
	struct err	  e;

	p->keys = k;
	p->channel = channel_open(k->loop, fd, &peer_events, p, &e);
	if (p->channel == NULL) {
		log_warn("keys-peer-lost", "reason=\"%s\"", e.text);
		mem_free(p);
		return false;
	}
	p->next = k->peers;
	k->peers = p;
	return true;
}

/* -- life ----------------------------------------------------------------- */

static struct kept_key *
keys_name_operator(struct signing_key *key, const char *domain,
    const char *selector)
{
	struct kept_key	   *x = kept_new(key);
	struct keys_request q = { .domain = bytes_of(domain),
		.selector = bytes_of(selector) };

	must(q.domain.n <= KEYS_DOMAIN_MAX &&
	    q.selector.n <= KEYS_SELECTOR_MAX);
	x->name_n = request_name(&q, x->name);
	return x;
}

int
keys_set_operator(struct keys *k, int fd, const char *domain,
    const char *selector, struct err *e)
{
	struct signing_key *key = NULL;

	if (fd >= 0) {
		key = keys_read_key(fd, SIGNING_BITS_MIN, SIGNING_BITS_MAX, e);
		close(fd);
		if (key == NULL)
			return err_wrap(e, "dkim.operator_key");
		if (signing_key_bits(key) == SIGNING_BITS_ED25519) {
			signing_key_free(key);
			return err_set(e, "dkim.operator_key: the private key "
			    "must be RSA");
		}
	}
	kept_release(k->operator_before);
	k->operator_before = k->operator_key;
	k->operator_key = NULL;
	if (key == NULL)
		return 0;
	k->operator_key = keys_name_operator(key, domain, selector);
	log_info("operator-key", "d=%s s=%s bits=%u", domain, selector,
	    signing_key_bits(key));
	return 0;
}

static int
keys_load(struct keys *k, const struct keys_setup *s, struct err *e)
{
	if (s->master_key_fd >= 0) {
		k->sealer = sealer_open(s->master_key_fd, e);
		close(s->master_key_fd);
	}
	if (keys_set_operator(k, s->operator_key_fd, s->operator_domain,
		s->operator_selector, e) < 0)
		return -1;
	return s->master_key_fd >= 0 && k->sealer == NULL ? -1 : 0;
}

static unsigned
keys_threads(unsigned wanted)
{
	long n = wanted > 0 ? (long)wanted : sysconf(_SC_NPROCESSORS_ONLN);

	if (n < 1)
		return 1;
	return n > KEYS_THREADS_MAX ? KEYS_THREADS_MAX : (unsigned)n;
}

struct keys *
keys_open(struct loop *l, const struct keys_setup *s, struct err *e)
{
	struct keys *k = mem_alloc(sizeof(*k));
	size_t	     i = 0;

	k->loop = l;
	k->relay_uid = s->relay_uid;
	k->keep_max = s->keep_max > 0 ? s->keep_max : KEYS_TABLE_MAX;
	k->table = table_new(k->keep_max);
	k->keep_ms = s->keep_ms > 0 ? s->keep_ms : KEYS_KEEP_MS;
	timer_init(&k->idle, l, kept_on_idle, k);
	buf_init(&k->out, KEYS_MESSAGE_MAX);
	if (keys_load(k, s, e) < 0)
		goto fail;
	k->signers = workers_new(keys_threads(s->threads), KEYS_QUEUE_MAX, e);
	if (k->signers == NULL)
		goto fail;
	k->makers = workers_new(1, KEYS_SLOW_MAX, e);
	if (k->makers == NULL)
		goto fail;
	for (i = 0; i < s->peer_count; i++) {
		if (!keys_add_peer(k, s->peers[i])) {
			i++;
			err_set(e, "a channel cannot be used");
			goto fail;
		}
	}
	return k;
fail:
	for (; i < s->peer_count; i++)
		close(s->peers[i]);
	keys_close(k);
	return NULL;
}

void
keys_close(struct keys *k)
{
	struct keys_peer *p;
	struct keys_job	 *j;

	/* they finish; what they post is not run any more */
	workers_free(k->signers);
	workers_free(k->makers);
	while (k->busy != NULL)
		job_free(k->busy);
	while ((p = k->peers) != NULL) {
		k->peers = p->next;
		channel_close(p->channel);
		mem_free(p);
	}
	channel_close(k->control);
	timer_clear(&k->idle);
	while (k->newest != NULL)
		kept_drop(k, k->newest);
	kept_release(k->operator_key);
	kept_release(k->operator_before);
	table_free(k->table);
	while ((j = k->spare) != NULL) {
		k->spare = j->next;
		mem_free(j);
	}
	sealer_free(k->sealer);
	buf_wipe(&k->out);
	mem_free(k);
}

void
keys_figures(const struct keys *k, struct keys_figures *out)
{
	*out = k->figures;
	out->kept = table_count(k->table);
}

/* -- the process ---------------------------------------------------------- */

static void
keys_on_control(void *arg, struct bytes message, int fd)
{
	struct keys	    *k = arg;
	struct child_message m;

	if (child_read(message, &m)) {
		if (m.kind == CHILD_PEER_KEYS && fd >= 0) {
			(void)keys_add_peer(k, fd);
			return;
		}
		if (m.kind == CHILD_STOP)
			loop_stop(k->loop);
		else if (m.kind == CHILD_PING)
			(void)child_send(k->control, CHILD_PONG, 0, BYTES(""),
			    -1);
		else if (k->on_control != NULL) {
			k->on_control(k->on_control_arg, k, &m, fd);
			return;
		}
	}
	if (fd >= 0)
		close(fd);
}

static void
keys_on_control_gone(void *arg)
{
	struct keys *k = arg;

	channel_close(k->control);
	k->control = NULL;
	loop_stop(k->loop);
}

static const struct channel_events keys_control_events = { keys_on_control,
	keys_on_control_gone };

static int
keys_open_control(struct keys *k, const struct keys_setup *s, struct err *e)
{
	k->ends_with_peers = s->control_fd < 0;
	k->on_control = s->on_control;
	k->on_control_arg = s->on_control_arg;
	if (s->control_fd < 0)
		return 0;
	k->control = channel_open(k->loop, s->control_fd,
	    &keys_control_events, k, e);
	if (k->control == NULL)
		return -1;
	(void)child_send(k->control, CHILD_READY, 0, BYTES(""), -1);
	return 0;
}

static void
keys_say_fatal(struct loop *l, int control_fd, const char *text)
{
	static const struct channel_events none = { NULL, NULL };
	struct channel			  *c;
	struct err			   e;

	log_error("keys-failed", "reason=\"%s\"", text);
	if (control_fd < 0)
		return;
	c = channel_open(l, control_fd, &none, NULL, &e);
	if (c != NULL)
		(void)child_send(c, CHILD_FATAL, 0, bytes_of(text), -1);
	channel_close(c);
}

/* No files at all, no network: a local socket for the log. */
static int
keys_enclose(enum sandbox_mode mode, struct err *e)
{
	static const struct sandbox sandbox = { NULL, NULL, SANDBOX_LOCAL };
	struct sandbox_got	    got;
	const char		   *lacks;

	if (!seal_init())
		log_warn("keys-unwiped", "reason=\"OpenSSL was in use\"");
	if (process_harden(e) < 0 ||
	    sandbox_enter(&sandbox, mode, &got, e) < 0)
		return -1;
	lacks = sandbox_lacks(&got, mode);
	if (lacks != NULL)
		log_warn("no-sandbox", "reason=\"%s\"", lacks);
	return 0;
}

int
keys_run(const struct keys_setup *s)
{
	struct loop *l;
	struct keys *k;
	struct err   e;
	int	     status = 0;

	l = loop_new("keys", KEYS_FEED_MAX, &e);
	if (l == NULL) {
		log_error("keys-failed", "reason=\"%s\"", e.text);
		return 1;
	}
	k = keys_enclose(s->sandbox, &e) < 0 ? NULL : keys_open(l, s, &e);
	if (k == NULL) {
		keys_say_fatal(l, s->control_fd, e.text);
		loop_free(l);
		return KEYS_EXIT_SETUP;
	}
	if (keys_open_control(k, s, &e) < 0) {
		log_error("keys-failed", "reason=\"%s\"", e.text);
		status = 1;
	} else {
		loop_run(l);
	}
	keys_close(k);
	loop_free(l);
	return status;
}
