/* SPDX-License-Identifier: ISC */
#include "submission/intake.h"

#include <string.h>

#include "base/log.h"
#include "registry/mail_from.h"
#include "submission/admission.h"
#include "submission/desk_private.h"
#include "submission/receive.h"

enum { ROW_ARENA = 8 << 20, DAY_MS = 86400000 };

/* -- recipients ------------------------------------------------------------ */

/* Domains of the installation itself. */
static bool
intake_is_home(const struct conf *c, struct bytes domain)
{
	return bytes_eq_nocase(domain, bytes_of(c->server.name)) ||
	    bytes_eq_nocase(domain, bytes_of(c->server.domain)) ||
	    bytes_eq_nocase(domain, bytes_of(c->mail_from.default_domain)) ||
	    bytes_eq_nocase(domain, bytes_of(c->mail_from.mx_host));
}

/*
 * Is it served: one of these, or the MAIL FROM domain of an identity, whatever
 * its state: its MX may point here before and after it is in use, and where
 * mail comes in there is a postmaster (RFC 5321 4.5.1).  1, 0, -1.
 */
static int
intake_serves(struct desk *d, const struct conf *c, struct bytes domain)
{
	char	       room[DOMAIN_TEXT_MAX], account[ACCOUNT_ID_SIZE];
	struct bytes   normal;
	struct db_txn *t;
	struct err     e;
	int	       rc = -1;

	if (intake_is_home(c, domain))
		return 1;
	if (!domain_normal(domain, ADDRESS_ALLOW_UNDERSCORE, room, &normal))
		return 0;
	t = book_read(d->setup.book, &e);
	if (t != NULL) {
		rc = mail_from_owner(t, normal, account, &e);
		book_end(t);
	}
	if (rc < 0)
		log_error("intake-failed", "reason=\"%s\"", e.text);
	return rc;
}

/*
 * A return address of ours: of a message that is known, went out under this
 * domain, and not longer ago than its record is kept.
 */
static enum intake_answer
intake_judge_return(struct desk *d, const struct conf *c,
    const struct address *a, const struct msgid *id, unsigned recipient)
{
	int64_t		   keep_ms = (int64_t)c->feedback.index_days * DAY_MS;
	struct arena	  *arena;
	struct mail_row	   m;
	struct err	   e;
	enum intake_answer answer = INTAKE_UNKNOWN_HERE;
	int		   rc;

	if (loop_wall(d->setup.loop).ms - msgid_time(id).ms > keep_ms)
		return INTAKE_UNKNOWN_HERE;
	arena = arena_new(ROW_ARENA);
	rc = spool_read_facts(d->setup.spool, id, arena, &m, &e);
	if (rc < 0) {
		log_error("intake-failed", "reason=\"%s\"", e.text);
		answer = INTAKE_TROUBLE;
	} else if (rc == 1 && !m.system && recipient <= m.recipient_count &&
	    (bytes_eq_nocase(a->domain, m.mail_from_domain) ||
		bytes_eq_nocase(a->domain,
		    bytes_of(c->mail_from.default_domain)))) {
		answer = INTAKE_TAKEN;
	}
	arena_free(arena);
	return answer;
}

static bool
intake_is_report_address(const struct conf *c, const struct address *a)
{
	size_t i;

	if (!bytes_eq_nocase(a->domain, bytes_of(c->mail_from.default_domain)))
		return false;
	for (i = 0; i < c->intake.fbl_addresses.n; i++)
		if (bytes_eq_nocase(a->local,
			bytes_of(c->intake.fbl_addresses.v[i])))
			return true;
	return false;
}

enum intake_answer
intake_judge(struct desk *d, const struct conf *c, const struct address *a)
{
	struct msgid id;
	unsigned     recipient;
	int	     is_ours = intake_serves(d, c, a->domain);

	if (is_ours < 0)
		return INTAKE_TROUBLE;
	if (a->local.n == MSGID_TEXT &&
	    msgid_from_text(a->local, &id, &recipient)) {
		enum intake_answer answer = intake_judge_return(d, c, a, &id,
		    recipient);

		if (answer != INTAKE_UNKNOWN_HERE || is_ours)
			return answer;
	}
	if (is_ours && (intake_is_report_address(c, a) ||
		bytes_eq_nocase(a->local, BYTES("postmaster")) ||
		bytes_eq_nocase(a->local, BYTES("abuse"))))
		return INTAKE_TAKEN;
	return is_ours || conf_is_simulator(c, a->domain) ?
	    INTAKE_UNKNOWN_HERE : INTAKE_FOREIGN;
}

/* -- who sent it ----------------------------------------------------------- */

struct sender_check {
	struct sender_question q; /* first: cast back from it */
	struct message	      *message;
	void		     (*done)(void *arg);
	void		      *arg;
};

/* A name that DNS can be asked for; else "". */
static bool
sender_set_name(struct bytes name, char out[SENDER_NAME_SIZE])
{
	char	     room[DOMAIN_TEXT_MAX];
	struct bytes normal;

	out[0] = '\0';
	if (!domain_normal(name, ADDRESS_ALLOW_UNDERSCORE, room, &normal) ||
	    domain_is_dotted_quad(normal))
		return false;
	bytes_text(normal, out, SENDER_NAME_SIZE);
	return true;
}

/* One that the verifier would not read is left out: only the macros of a
 * record ask for it. */
static void
sender_set_local(struct bytes local, char out[SENDER_LOCAL_SIZE])
{
	size_t i;

	for (i = 0; i < local.n; i++)
		if (local.p[i] < 0x20 || local.p[i] > 0x7e)
			return;
	if (local.n < SENDER_LOCAL_SIZE)
		bytes_text(local, out, SENDER_LOCAL_SIZE);
}

/* The domain that is looked at: of the sender, or of the EHLO of a null one
 * (RFC 7208 2.4); false = there is none. */
static bool
sender_domain(const struct message *m, char out[SENDER_NAME_SIZE])
{
	struct address a;

	if (m->sender.n == 0)
		return sender_set_name(m->ehlo, out);
	return address_split(m->sender, &a) &&
	    sender_set_name(a.domain, out);
}

static void
sender_on_answer(void *check, void *question)
{
	struct sender_check *k = check;

	(void)question;
	k->message->spf = (uint8_t)(k->q.result + 1);
	k->done(k->arg);
	mem_free(k);
}

static bool
sender_ask(struct desk *d, struct sender_check *k)
{
	k->q.asker = d->setup.loop;
	k->q.done = sender_on_answer;
	k->q.ctx = k;
	if (!loop_reserve(d->setup.loop))
		return false;
	if (d->setup.ask_sender(d->setup.ask_sender_arg, &k->q))
		return true;
	loop_unreserve(d->setup.loop);
	return false;
}

void
intake_check_sender(struct desk *d, struct message *m,
    void (*done)(void *arg), void *arg)
{
	struct sender_check *k;
	struct address	     a;
	char		     domain[SENDER_NAME_SIZE];

	m->spf = 0;
	if (d->setup.ask_sender == NULL || !sender_domain(m, domain)) {
		if (d->setup.ask_sender != NULL)
			m->spf = SPF_OUTCOME_NONE + 1;
		done(arg);
		return;
	}
	k = mem_alloc(sizeof(*k));
	k->message = m;
	k->done = done;
	k->arg = arg;
	bytes_text(m->client_ip, k->q.ip, sizeof(k->q.ip));
	if (!sender_set_name(m->ehlo, k->q.helo))
		bytes_text(BYTES("unknown"), k->q.helo, sizeof(k->q.helo));
	if (m->sender.n > 0 && address_split(m->sender, &a)) {
		memcpy(k->q.domain, domain, sizeof(domain));
		sender_set_local(a.local, k->q.local);
	}
	if (sender_ask(d, k))
		return;
	mem_free(k);
	m->spf = SPF_OUTCOME_TEMPERROR + 1;
	done(arg);
}

/* RFC 8601.  It stands above all that came: of several in our name the first
 * is ours. */
static void
write_results(const struct conf *c, const struct message *m, struct buf *out)
{
	char domain[SENDER_NAME_SIZE];

	buf_add_text(out, "Authentication-Results: ");
	buf_add_text(out, c->server.name);
	if (m->spf == 0) {
		buf_add_text(out, "; none\r\n");
		return;
	}
	buf_add_text(out, ";\r\n spf=");
	buf_add_text(out, spf_result_to_text((enum spf_result)(m->spf - 1)));
	if (sender_domain(m, domain)) {
		buf_add_text(out, m->sender.n > 0 ? " smtp.mailfrom=" :
						    " smtp.helo=");
		buf_add_text(out, domain);
	}
	buf_add_text(out, "\r\n");
}

/* -- trace ----------------------------------------------------------------- */

bool
intake_write_trace(const struct conf *c, const struct message *m,
    struct buf *out)
{
	char ehlo[RECEIVE_EHLO_SIZE], id[MSGID_TEXT + 1];
	char date[CLOCK_TEXT_MAX];

	receive_clean_ehlo(m->ehlo, ehlo);
	msgid_to_text(&m->id, c->server.id_prefix, 0, id);
	wall_rfc5322(m->accepted, date);
	buf_add_text(out, "Return-Path: <");
	buf_add_bytes(out, m->sender);
	buf_add_text(out, ">\r\n");
	write_results(c, m, out);
	buf_add_text(out, "Received: from ");
	buf_add_text(out, ehlo);
	buf_add_text(out, bytes_find(m->client_ip, 0, ':') >= 0 ? " ([IPv6:" :
		" ([");
	buf_add_bytes(out, m->client_ip);
	buf_add_text(out, "])\r\n by ");
	buf_add_text(out, c->server.name);
	buf_add_text(out, m->tls_version.n > 0 ? " with ESMTPS\r\n id " :
		" with ESMTP\r\n id ");
	buf_add_text(out, id);
	buf_add_text(out, ";\r\n ");
	buf_add_text(out, date);
	buf_add_text(out, "\r\n");
	return !out->failed;
}
