/* SPDX-License-Identifier: ISC */
/*
 * identity check: check_run() > check_read() in the book > check_ask() the
 * verifier > check_on_answers() > a connection to the MX host > judge.
 */
#include "daemon/control_check.h"

#include <stdio.h>
#include <string.h>

#include "mail/address.h"
#include "net/stream.h"
#include "registry/conf.h"
#include "registry/pool.h"

enum { QUIT_MS = 2000, SMTP_PORT = 25 };

const struct verify_result *
preflight_result_of(const struct preflight *p, size_t job)
{
	return job == NO_JOB ? NULL : &p->results[job];
}

/* -- what is known --------------------------------------------------------- */

static bool
check_on_source(void *preflight, const struct source *s)
{
	struct preflight	*p = preflight;
	const char		*own = p->q->account.id;
	struct preflight_source *to;

	if (!s->enabled || !source_is_in_pool(s, own,
		p->pool != NULL ? p->pool : source_pool(s)))
		return true;
	to = &p->sources[p->source_count++];
	bytes_text(bytes_of(s->address), to->address, sizeof(to->address));
	bytes_text(bytes_of(s->ehlo[0] != '\0' ? s->ehlo :
	    p->q->conf->server.name), to->ehlo, sizeof(to->ehlo));
	return p->source_count < PREFLIGHT_SOURCES_MAX;
}

/* The addresses that the system would take. */
static void
check_add_own(struct preflight *p)
{
	static const int	 families[] = { AF_INET, AF_INET6 };
	struct preflight_source *to;
	size_t			 k;

	for (k = 0; k < sizeof(families) / sizeof(families[0]); k++) {
		to = &p->sources[p->source_count];
		if (!control_ip_of_system(families[k], to->address))
			continue;
		bytes_text(bytes_of(p->q->conf->server.name), to->ehlo,
		    sizeof(to->ehlo));
		p->source_count++;
	}
}

/* What the domain of the key says: where it is published, is there another? */
static int
check_read_owner(struct preflight *p, struct db_txn *t,
    struct signing_keys *room)
{
	struct request *q = p->q;
	struct identity owner;
	int		found;

	found = identity_get(t, q->account.id, p->key.domain, &owner, &q->err);
	if (found != 1)
		return found;
	p->key_status = p->key.previous ? owner.previous.status :
	    owner.dkim.status;
	p->key_is_cname = owner.cname && !p->key.external &&
	    q->conf->dkim.cname_base != NULL;
	if (!identity_is_dual(&owner, q->conf->dkim.dual_sign))
		return 0;
	if (dkim_keys_active(t, &owner, p->key.previous ? SET_PREVIOUS :
		SET_CURRENT, room, &q->err) < 0)
		return -1;
	/* also while its record is not seen: then it is a finding */
	p->has_second = room->has_second;
	if (p->has_second)
		p->second = room->second;
	return 0;
}

/* The keys of whose records are missing. */
static int
check_read_missing(struct preflight *p, struct db_txn *t,
    struct signing_keys *room)
{
	struct identity owner;
	int found = identity_get(t, p->q->account.id, p->decided_by, &owner,
	    &p->q->err);

	return found != 1 ? found :
	    dkim_keys_active(t, &owner, SET_CURRENT, room, &p->q->err);
}

/* The key that signs mail of it, or would once its record is seen. */
static int
check_read_key(struct preflight *p, struct db_txn *t)
{
	struct request	       *q = p->q;
	struct signing_question ask = { t, q->account.id, bytes_of(p->from),
		q->conf->dkim.dual_sign };
	struct signing_choice *choice = mem_alloc(sizeof(*choice));
	int		       rc;

	rc = identity_signing(&ask, choice, &q->err);
	p->signing = choice->result;
	memcpy(p->decided_by, choice->decided_by, sizeof(p->decided_by));
	p->has_key = rc == 0 && p->signing == SIGNING_KEY;
	if (rc == 0 && p->signing == SIGNING_NOT_VERIFIED) {
		rc = check_read_missing(p, t, &choice->keys);
		p->has_key = rc == 1;
	}
	if (rc >= 0 && p->has_key) {
		p->key = choice->keys.key;
		rc = check_read_owner(p, t, &choice->keys);
	}
	mem_free(choice);
	return rc < 0 ? -1 : 0;
}

/* Which MAIL FROM domain is looked at: its own, also while it waits. */
static int
check_read_mail_from(struct preflight *p, struct db_txn *t)
{
	struct request *q = p->q;
	struct identity by;
	const char     *own = "";
	int		found = 0;

	if (mail_from_choose(t, q->account.id, bytes_of(p->from), q->now,
		&p->choice, &q->err) < 0)
		return -1;
	if (p->choice.identity[0] != '\0')
		found = identity_get(t, q->account.id, p->choice.identity,
		    &by, &q->err);
	if (found < 0)
		return -1;
	if (found == 1) {
		own = by.mail_from.domain;
		p->mail_from_status = by.mail_from.check.status;
		p->mail_from_rejects = by.mail_from.reject;
	}
	snprintf(p->mail_from, sizeof(p->mail_from), "%s", own[0] != '\0' ?
		own : q->conf->mail_from.default_domain);
	snprintf(p->used, sizeof(p->used), "%s",
	    p->choice.use == MAIL_FROM_DEFAULT ?
		q->conf->mail_from.default_domain : p->mail_from);
	return 0;
}

static int
check_pool(struct preflight *p, struct db_txn *t)
{
	struct request *q = p->q;
	int found = p->pool == NULL ? 1 : pool_exists(t, q->account.id,
		    p->pool, &q->err);

	return found != 0 ? found < 0 ? -1 : 0 :
		request_refuse(q, BOOK_NOT_FOUND, "no such pool: %.64s",
		    p->pool);
}

static int
check_read(struct request *q, struct db_txn *t)
{
	struct preflight *p = q->state;
	struct identity	  by;
	int found = identity_get(t, q->account.id, p->name, &p->i, &q->err);

	if (found < 0)
		return -1;
	p->is_there = found == 1;
	found = identity_resolve(t, q->account.id, bytes_of(p->from), q->now,
	    &by, &q->err);
	if (found < 0)
		return -1;
	p->may_send = found == 1;
	if (found == 1 && strcmp(by.name, p->name) != 0)
		memcpy(p->covered_by, by.name, sizeof(p->covered_by));
	if (check_read_key(p, t) != 0 || check_read_mail_from(p, t) != 0)
		return -1;
	if (check_pool(p, t) != 0)
		return -1;
	p->spf_rows = control_spf_rows(q, t);
	if (p->spf_rows == NULL)
		return -1;
	return source_each(t, check_on_source, p, &q->err);
}

/* -- questions ------------------------------------------------------------- */

static struct verify_job *
check_job(struct preflight *p, enum verify_kind kind, const char *domain,
    size_t *index)
{
	struct verify_job *j = &p->jobs[p->inquiry.n];

	*index = p->inquiry.n++;
	j->kind = kind;
	bytes_text(bytes_of(domain), j->domain, sizeof(j->domain));
	return j;
}

static void
check_ask_spf(struct preflight *p, const struct preflight_source *s,
    const char *domain, size_t *index)
{
	const char	  *include = p->q->conf->mail_from.spf_include;
	struct verify_job *j = check_job(p, VERIFY_SPF, domain, index);

	bytes_text(bytes_of(s->address), j->ip, sizeof(j->ip));
	bytes_text(bytes_of(s->ehlo), j->helo, sizeof(j->helo));
	if (include != NULL)
		bytes_text(bytes_of(include), j->include, sizeof(j->include));
}

static void
check_ask_key(struct preflight *p, const struct dkim_key *k, size_t *index)
{
	struct verify_job *j = check_job(p, VERIFY_DKIM, k->domain, index);

	bytes_text(bytes_of(k->selector), j->selector, sizeof(j->selector));
	j->key_kind = k->ed25519 ? DKIM_KEY_ED25519 : DKIM_KEY_RSA;
	must(base64_encode(k->public_key, k->public_n, j->public_key) <
	    sizeof(j->public_key));
	if (p->key_is_cname)
		snprintf(j->cname_target, sizeof(j->cname_target), "%s.%.180s",
		    k->selector, p->q->conf->dkim.cname_base);
}

static void
check_jobs(struct preflight *p)
{
	const struct conf	*c = p->q->conf;
	struct preflight_source *s;
	struct verify_job	*j;
	struct bytes		 above;
	size_t			 k, n;

	n = p->source_count * PREFLIGHT_SOURCE_JOBS + PREFLIGHT_OWN_JOBS;
	p->jobs = mem_alloc(n * sizeof(*p->jobs));
	p->results = mem_alloc(n * sizeof(*p->results));
	p->dkim = p->dkim_second = NO_JOB;
	if (p->has_key)
		check_ask_key(p, &p->key, &p->dkim);
	if (p->has_second)
		check_ask_key(p, &p->second, &p->dkim_second);
	j = check_job(p, VERIFY_MX, p->mail_from, &p->mx);
	bytes_text(bytes_of(c->mail_from.mx_host), j->mx_host,
	    sizeof(j->mx_host));
	check_job(p, VERIFY_HOST, c->mail_from.mx_host, &p->host);
	j = check_job(p, VERIFY_DMARC, p->from_domain, &p->dmarc);
	above = identity_organisation(bytes_of(p->from_domain));
	bytes_text(above, j->organisation, sizeof(j->organisation));
	check_job(p, VERIFY_REPLY, p->from_domain, &p->reply);
	for (k = 0; k < p->source_count; k++) {
		s = &p->sources[k];
		check_ask_spf(p, s, p->mail_from, &s->spf);
		s->used = s->spf;
		if (strcmp(p->mail_from, p->used) != 0)
			check_ask_spf(p, s, p->used, &s->used);
		check_ask_spf(p, s, "", &s->helo);
	}
}

/* -- the connection -------------------------------------------------------- */

static void
check_end(struct preflight *p)
{
	preflight_judge(p);
	request_end(p->q);
}

static void
probe_on_ready(void *preflight)
{
	(void)preflight; /* the greeting is waited for */
}

static void
probe_on_input(void *preflight)
{
	struct preflight *p = preflight;
	struct bytes	  in = stream_peek(p->stream);
	ptrdiff_t	  end = bytes_find(in, 0, '\n');

	if (end < 0 && in.n < sizeof(p->said))
		return;
	bytes_text(bytes_trim(bytes_head(in, end < 0 ? in.n : (size_t)end)),
	    p->said, sizeof(p->said));
	p->is_greeted = strncmp(p->said, "220", 3) == 0;
	(void)stream_write(p->stream, BYTES("QUIT\r\n"));
	stream_finish(p->stream, QUIT_MS);
	p->stream = NULL;
	check_end(p);
}

static void
probe_on_end(void *preflight, enum stream_end why)
{
	struct preflight *p = preflight;
	const char	 *text = stream_error_text(p->stream);

	snprintf(p->said, sizeof(p->said), "%s", text[0] != '\0' ? text
		: stream_end_to_text(why));
	stream_close(p->stream);
	p->stream = NULL;
	check_end(p);
}

static const struct stream_events probe_events = { probe_on_ready,
	probe_on_input, NULL, probe_on_end };

/* To the first address of the MX host; false = there is none. */
static bool
probe_open(struct preflight *p)
{
	const struct verify_result *host = preflight_result_of(p, p->host);
	struct conf_addr	    to;
	struct bytes		    first = bytes_of(host->text);
	ptrdiff_t		    blank = bytes_find(first, 0, ' ');

	if (blank > 0)
		first = bytes_head(first, (size_t)blank);
	if (arg_is_true(p->q, "no-probe") || first.n == 0 ||
	    !conf_addr_parse(first, SMTP_PORT, &to))
		return false;
	p->is_tried = true;
	p->stream = stream_connect(p->q->relay->main, &to.u.sa, NULL,
	    &probe_events, p);
	stream_deadline(p->stream, PREFLIGHT_PROBE_MS);
	return true;
}

static void
check_on_answers(void *preflight, void *unused)
{
	(void)unused;
	if (!probe_open(preflight))
		check_end(preflight);
}

/* -- the order ------------------------------------------------------------- */

static void
check_free(void *preflight)
{
	struct preflight *p = preflight;

	stream_close(p->stream);
	mem_free(p->jobs);
	mem_free(p->results);
	json_decref(p->spf_rows);
	mem_wipe(&p->key, sizeof(p->key));
}

/* The From address: --from, or one of the identity. */
static int
check_from(struct preflight *p)
{
	struct request *q = p->q;
	const char     *given = arg_text(q, "from");
	struct address	a;
	struct err	e;

	if (given == NULL) {
		snprintf(p->from, sizeof(p->from), "%s%s",
		    strchr(p->name, '@') != NULL ? "" : "postmaster@",
		    p->name);
	} else if (strchr(given, '@') == NULL ||
	    !identity_normalize(given, p->from, &e)) {
		return request_misuse(q, "not an address: %.254s", given);
	}
	must(address_split(bytes_of(p->from), &a));
	bytes_text(a.domain, p->from_domain, sizeof(p->from_domain));
	p->pool = arg_text(q, "pool");
	return 0;
}

static void
check_ask(struct preflight *p)
{
	struct relay *r = p->q->relay;

	check_jobs(p);
	p->inquiry.jobs = p->jobs;
	p->inquiry.results = p->results;
	p->inquiry.asker = r->main;
	p->inquiry.done = check_on_answers;
	p->inquiry.arg = p;
	if (loop_reserve(r->main)) {
		if (reporter_post_inquiry(r->reporter, &p->inquiry))
			return;
		loop_unreserve(r->main);
	}
	request_end_refused(p->q, BOOK_TOO_MANY,
	    "too much is under way; try it again later");
}

static void
check_run(struct request *q)
{
	struct preflight *p = request_state(q, sizeof(*p), check_free);
	const char	 *name = arg_text(q, "name");

	p->q = q;
	if (name == NULL)
		(void)request_misuse(q, "which identity?");
	else if (!identity_normalize(name, p->name, &q->err))
		q->err.code = BOOK_BAD_REQUEST;
	else if (check_from(p) == 0 && request_look(q, check_read) == 0) {
		if (p->source_count == 0 && p->pool == NULL)
			check_add_own(p);
		check_ask(p);
		return;
	}
	request_end(q);
}

const struct command control_check_commands[] = {
	{ "identity check", NEED_READ, SCOPE_ACCOUNT, NULL, NULL, check_run },
	{ NULL, NEED_ANY, SCOPE_ANY, NULL, NULL, NULL }
};
