/* SPDX-License-Identifier: ISC */
/* Custom MAIL FROM domains (mail-from-spf-dmarc.md 4, 5). */
#include <stdio.h>
#include <string.h>

#include "daemon/control_identity.h"
#include "registry/mail_from.h"
#include "registry/source.h"
#include "registry/spf_state.h"

enum { SPF_TEXT_MAX = 4096 };

/* -- as JSON --------------------------------------------------------------- */

json_t *
mail_from_json(const struct identity *i)
{
	const struct identity_mail_from *m = &i->mail_from;

	if (m->opted_out)
		return json_pack("{s:s}", "MailFromDomain", "none");
	return json_pack("{s:s, s:s, s:s}", "MailFromDomain", m->domain,
	    "MailFromDomainStatus", identity_status_to_text(m->check.status),
	    "BehaviorOnMxFailure", mail_from_behavior_to_text(m->reject));
}

static bool
spf_on_source(void *spf, const struct source *s)
{
	if (s->enabled)
		buf_printf(spf, " %s:%s", s->family == AF_INET ? "ip4" :
		    "ip6", s->address);
	return true;
}

/* Without one the system chooses among the addresses of this host. */
static void
spf_add_sources(struct request *q, struct buf *spf)
{
	struct err     e;
	struct db_txn *t = book_read(q->relay->book, &e);
	size_t	       begin = spf->n;

	if (t != NULL)
		(void)source_each(t, spf_on_source, spf, &e);
	book_end(t);
	if (spf->n == begin)
		buf_printf(spf, " a:%s", q->conf->server.name);
}

json_t *
mail_from_spf_json(struct request *q)
{
	const char *include = q->conf->mail_from.spf_include;
	struct buf  spf;
	json_t	   *out;

	buf_init(&spf, SPF_TEXT_MAX);
	buf_add_text(&spf, "v=spf1");
	if (include != NULL)
		buf_printf(&spf, " include:%s", include);
	else
		spf_add_sources(q, &spf);
	buf_add_text(&spf, " ~all");
	out = json_of_bytes(buf_bytes(&spf));
	buf_wipe(&spf);
	return out;
}

/* What its owner publishes (5.1), appended to a list of records. */
void
mail_from_add_records(struct request *q, const struct identity *i,
    json_t *list)
{
	const char *domain = i->mail_from.domain;
	char	    mx[300];

	if (domain[0] == '\0')
		return;
	snprintf(mx, sizeof(mx), "10 %s", q->conf->mail_from.mx_host);
	json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "Type",
	    "MX", "Name", domain, "Value", mx, "Status", "publish"));
	json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:s}", "Type",
	    "TXT", "Name", domain, "Value", mail_from_spf_json(q), "Status",
	    "publish"));
}

/* -- set ------------------------------------------------------------------- */

static const char *const behavior_words[] = { "use-default", "reject",
	"USE_DEFAULT_VALUE", "REJECT_MESSAGE", NULL };

/* The MX that are there now, before the write. */
struct mail_from_work {
	struct identity_work	 w; /* first: the request's state */
	const struct dns_answer *mx;
};

static void
mail_from_work_wipe(void *work)
{
	struct mail_from_work *m = work;

	dns_answer_unref(m->mx);
	mem_wipe(&m->w, sizeof(m->w));
}

/* It may be about to go: no more than a warning. */
static void
mail_from_warn_foreign(struct request *q, const char *domain)
{
	const struct mail_from_work *m = q->state;
	const char *own = q->conf->mail_from.mx_host;
	size_t	    k;

	for (k = 0; m->mx != NULL && k < m->mx->count; k++)
		if (m->mx->mx[k].host[0] != '\0' &&
		    !bytes_eq_nocase(bytes_of(m->mx->mx[k].host),
			bytes_of(own))) {
			request_warn(q, "%s has MX records of another host",
			    domain);
			return;
		}
}

static void
mail_from_answer(struct request *q, const struct identity *i)
{
	json_t *records = json_array();

	request_set(q, "Identity", json_of_bytes(bytes_of(i->name)));
	request_set(q, "MailFromAttributes", mail_from_json(i));
	mail_from_add_records(q, i, records);
	request_set(q, "Records", records);
}

static int
mail_from_set_write(struct request *q, struct db_txn *t)
{
	struct identity_work *w = q->state;
	struct mail_from_wish wish = { arg_text(q, "domain"), false,
		arg_is_true(q, "force") };
	int		      word = -1;

	if (arg_word(q, "on-mx-failure", behavior_words, &word) < 0 ||
	    identity_work_load(q, t) != 0)
		return -1;
	wish.reject = word >= 0 ? word % 2 == 1 : false;
	if (mail_from_set(t, &w->i, &wish, q->now, &q->err) != 0)
		return -1;
	mail_from_warn_foreign(q, w->i.mail_from.domain);
	if (wish.reject && w->i.mail_from.check.status != IDENTITY_SUCCESS)
		request_warn(q, "mail from %s is refused until the MX record "
		    "is seen", w->name);
	request_would(q, "send mail of %s with MAIL FROM domain %s", w->name,
	    w->i.mail_from.domain);
	return identity_put(t, &w->i, &q->err);
}

static void
mail_from_after_set(struct request *q)
{
	struct identity_work *w = q->state;

	mail_from_answer(q, &w->i);
	(void)reporter_post_check(q->relay->reporter);
	request_end(q);
}

static void
mail_from_set_last(void *request, void *unused)
{
	struct request *q = request;

	(void)unused;
	request_write(q, mail_from_set_write, mail_from_after_set);
}

static void
mail_from_on_mx(void *request, const struct dns_answer *a)
{
	struct request	      *q = request;
	struct mail_from_work *m = q->state;

	m->mx = dns_answer_ref(a);
	loop_post_reserved(q->relay->main, mail_from_set_last, q, NULL);
}

/* The delivery loop has the resolver. */
static void
mail_from_ask_mx(void *request, void *unused)
{
	struct request *q = request;

	(void)unused;
	if (resolver_ask_fresh(q->relay->resolver, RESOLVER_MX,
		arg_text(q, "domain"), mail_from_on_mx, q) == 0)
		loop_post_reserved(q->relay->main, mail_from_set_last, q,
		    NULL);
}

static struct identity_work *
mail_from_work_new(struct request *q)
{
	struct mail_from_work *m;
	const char	      *name = arg_text(q, "name");

	if (name == NULL) {
		(void)request_misuse(q, "which identity?");
		return NULL;
	}
	m = request_state(q, sizeof(*m), mail_from_work_wipe);
	if (identity_normalize(name, m->w.name, &q->err))
		return &m->w;
	q->err.code = BOOK_BAD_REQUEST;
	return NULL;
}

static void
mail_from_set_run(struct request *q)
{
	if (mail_from_work_new(q) == NULL) {
		request_end(q);
		return;
	}
	if (arg_text(q, "domain") == NULL) {
		(void)request_misuse(q, "which MAIL FROM domain?");
		request_end(q);
		return;
	}
	if (arg_is_true(q, "force") && !q->operator) {
		q->error_code = "AccessDeniedException";
		request_end_refused(q, BOOK_BAD_REQUEST, "permission denied");
		return;
	}
	if (!loop_reserve(q->relay->main)) {
		mail_from_set_last(q, NULL);
	} else if (!loop_post(q->relay->delivery, mail_from_ask_mx, q,
		       NULL)) {
		loop_unreserve(q->relay->main);
		mail_from_set_last(q, NULL);
	}
}

/* -- clear, none, verify --------------------------------------------------- */

static int
mail_from_change_write(struct request *q, struct db_txn *t)
{
	struct identity_work *w = q->state;
	const char	     *verb = q->command->verb;

	if (identity_work_load(q, t) != 0)
		return -1;
	if (strcmp(verb, "identity mail-from verify") == 0) {
		if (mail_from_verify(t, &w->i, q->now, &q->err) != 0)
			return -1;
		request_would(q, "check the MAIL FROM domain of %s anew",
		    w->name);
	} else if (strcmp(verb, "identity mail-from none") == 0) {
		mail_from_opt_out(&w->i);
		request_would(q, "send mail of %s with the default MAIL FROM "
		    "domain", w->name);
	} else {
		mail_from_clear(&w->i);
		request_would(q, "remove the MAIL FROM domain of %s",
		    w->name);
	}
	return identity_put(t, &w->i, &q->err);
}

static void
mail_from_after_change(struct request *q)
{
	(void)reporter_post_check(q->relay->reporter);
	request_end(q);
}

static void
mail_from_change(struct request *q)
{
	if (identity_work_new(q) == NULL)
		request_end(q);
	else
		request_write(q, mail_from_change_write,
		    mail_from_after_change);
}

/* -- show ------------------------------------------------------------------ */

/* What the last round found about the domain in use; NULL: the default. */
static int
mail_from_show_spf(struct request *q, struct db_txn *t, const char *domain)
{
	struct spf_state s;
	int found = spf_state_get(t, domain != NULL ? q->account.id : "",
	    domain != NULL ? domain : q->conf->mail_from.default_domain, &s,
	    &q->err);

	if (found < 0)
		return -1;
	request_set(q, "SpfStatus", found == 0 ? json_null() :
	    json_string(spf_standing_to_text(s.standing)));
	request_set(q, "SpfFinding", json_of_text(found ? s.finding : ""));
	request_set(q, "SpfDetail", json_of_text(found ? s.detail : ""));
	request_set(q, "SpfSince", found && s.last.ms != 0 ?
	    json_of_wall(s.since) : json_null());
	request_set(q, "SpfLastChecked", found ? json_of_wall(s.last) :
	    json_null());
	return 0;
}

/* What its mail goes out with now, and by whose setting. */
static int
mail_from_show_used(struct request *q, struct db_txn *t, const char *name)
{
	struct mail_from_choice c;
	char			from[IDENTITY_NAME_SIZE + 16];

	snprintf(from, sizeof(from), "%s%s",
	    strchr(name, '@') != NULL ? "" : "postmaster@", name);
	if (mail_from_choose(t, q->account.id, bytes_of(from), q->now, &c,
		&q->err) < 0)
		return -1;
	request_set(q, "DecidedBy", json_of_text(c.identity));
	if (c.use == MAIL_FROM_REFUSED)
		request_set(q, "InUse", json_null());
	else
		request_set(q, "InUse", json_string(
		    c.use == MAIL_FROM_CUSTOM ? c.domain :
			q->conf->mail_from.default_domain));
	return c.use == MAIL_FROM_REFUSED ? 0 : mail_from_show_spf(q, t,
	    c.use == MAIL_FROM_CUSTOM ? c.domain : NULL);
}

static int
mail_from_show_read(struct request *q, struct db_txn *t)
{
	struct identity_work		*w = q->state;
	const struct identity_mail_from *m = &w->i.mail_from;

	if (identity_work_load(q, t) != 0)
		return -1;
	request_set(q, "Identity", json_of_bytes(bytes_of(w->name)));
	json_object_update_new(q->result, mail_from_json(&w->i));
	if (m->domain[0] != '\0') {
		request_set(q, "Since", json_of_wall(m->check.since));
		request_set(q, "Deadline", json_of_wall(m->check.deadline));
		request_set(q, "NextCheck",
		    json_of_wall(m->check.next_check));
		request_set(q, "LastChecked",
		    json_of_wall(m->check.last_check));
		request_set(q, "LastOutcome", m->check.last_check.ms == 0 ?
			json_null() : json_string(
			    mail_from_outcome_to_text(m->last_outcome)));
		request_set(q, "Hint", json_of_text(m->hint));
	}
	return mail_from_show_used(q, t, w->name);
}

static void
mail_from_show(struct request *q)
{
	if (identity_work_new(q) == NULL)
		request_end(q);
	else
		request_read(q, mail_from_show_read);
}

const struct command control_mail_from_commands[] = {
	{ "identity mail-from set", NEED_FULL, SCOPE_ACCOUNT,
	    "PutEmailIdentityMailFromAttributes", "emailIdentity",
	    mail_from_set_run },
	{ "identity mail-from clear", NEED_FULL, SCOPE_ACCOUNT,
	    "PutEmailIdentityMailFromAttributes", "emailIdentity",
	    mail_from_change },
	{ "identity mail-from none", NEED_FULL, SCOPE_ACCOUNT,
	    "PutEmailIdentityMailFromAttributes", "emailIdentity",
	    mail_from_change },
	{ "identity mail-from verify", NEED_FULL, SCOPE_ACCOUNT,
	    "MailFromVerify", "emailIdentity", mail_from_change },
	{ "identity mail-from show", NEED_READ, SCOPE_ACCOUNT, NULL, NULL,
	    mail_from_show },
	{ NULL, NEED_ANY, SCOPE_ANY, NULL, NULL, NULL }
};
