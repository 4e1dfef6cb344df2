/* SPDX-License-Identifier: ISC */
/* Configuration sets (configuration-sets.md). */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "daemon/control_private.h"
#include "daemon/control_sweep.h"
#include "mail/address.h"
#include "registry/config_set.h"
#include "registry/identity.h"

enum { SET_ARENA = 512 * 1024, SET_JSON_MAX = 256 * 1024 };

/* The set at hand, on its way through a command. */
struct set_work {
	struct config_set      s;
	struct resource_tags tags;
	struct config_set_input in; /* of --json-file */
	struct arena	      *arena;
	bool		       is_released; /* held mail goes on */
	bool		       was_sending;
};

static void
set_work_wipe(void *work)
{
	arena_free(((struct set_work *)work)->arena);
}

/* NULL: refused, the request has its error. */
static struct set_work *
set_work_new(struct request *q)
{
	struct set_work *w = request_state(q, sizeof(*w), set_work_wipe);
	const char	*document = arg_text(q, "document");

	w->arena = arena_new(SET_ARENA);
	if (document != NULL && config_set_read_json(bytes_of(document),
		w->arena, &w->in, &q->err) != 0)
		return NULL;
	return w;
}

/* Of the argument, or of the document; 0 / -1. */
static int
set_name(struct request *q, const char **out)
{
	struct set_work *w = q->state;

	*out = arg_text(q, "name");
	if (*out == NULL && w->in.name[0] != '\0')
		*out = w->in.name;
	if (*out == NULL)
		return request_misuse(q, "which configuration set?");
	if (w->in.name[0] != '\0' && strcmp(*out, w->in.name) != 0)
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "ConfigurationSetName: is not %.64s", *out);
	return 0;
}

static int
set_find(struct request *q, struct db_txn *t)
{
	struct set_work *w = q->state;
	const char	*name;
	int		 found;

	if (set_name(q, &name) != 0)
		return -1;
	found = config_set_get(t, q->account.id, bytes_of(name), &w->s,
	    &q->err);
	if (found == 0)
		return request_refuse(q, BOOK_NOT_FOUND,
		    "no such configuration set: %.64s", name);
	w->was_sending = w->s.sending;
	return found < 0 ? -1 : config_set_tags_get(t, &w->s, w->arena,
				      &w->tags, &q->err);
}

static const char *
set_actor(const struct request *q, char out[CONFIG_SET_ACTOR_SIZE])
{
	if (q->user[0] != '\0')
		return bytes_text(bytes_of(q->user), out,
		    CONFIG_SET_ACTOR_SIZE);
	snprintf(out, CONFIG_SET_ACTOR_SIZE, "uid:%u", (unsigned)q->uid);
	return out;
}

static void
set_switch(struct request *q, struct config_set *s, bool on)
{
	char actor[CONFIG_SET_ACTOR_SIZE];

	if (on)
		(void)config_set_resume(s, q->now);
	else
		(void)config_set_pause(s, "manual", set_actor(q, actor),
		    q->now);
}

/* -- options -------------------------------------------------------------- */

/* 1 = given: the index of a word, or -1 for an empty text; 0, -1. */
static int
arg_word_or_none(struct request *q, const char *name,
    const char *const *words, int *out)
{
	const char *text = arg_text(q, name);

	*out = -1;
	if (text != NULL && text[0] == '\0')
		return 1;
	return arg_word(q, name, words, out);
}

static int
take_delivery(struct request *q, struct config_set *s)
{
	static const char *const words[] = { "optional", "require", NULL };
	int64_t ms = 0;
	int	i, rc;

	rc = arg_word_or_none(q, "tls", words, &i);
	if (rc == 1)
		s->require_tls = i == 1;
	if (rc < 0 || arg_copy(q, "pool", s->pool, sizeof(s->pool)) < 0)
		return -1;
	rc = arg_int(q, "max-delivery", 0, INT64_C(366) * 86400000, &ms);
	if (rc != 1)
		return rc;
	if (ms % 1000 != 0)
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "max-delivery: not in whole seconds");
	s->max_delivery_s = (unsigned)(ms / 1000);
	return 0;
}

static int
take_reasons(struct request *q, struct config_set *s)
{
	json_t	   *list = arg_list(q, "suppress"), *v;
	const char *word;
	size_t	    i;

	if (list == NULL)
		return 0;
	word = json_string_value(json_array_get(list, 0));
	s->own_suppression = word == NULL || strcasecmp(word, "account") != 0;
	s->suppress_bounce = s->suppress_complaint = false;
	json_array_foreach(list, i, v) {
		word = json_string_value(v);
		if (strcasecmp(word, "bounce") == 0)
			s->suppress_bounce = true;
		else if (strcasecmp(word, "complaint") == 0)
			s->suppress_complaint = true;
		else if ((strcasecmp(word, "account") != 0 &&
			     strcasecmp(word, "none") != 0) ||
		    json_array_size(list) > 1)
			return request_refuse(q, BOOK_BAD_REQUEST, "suppress: "
			    "%.40s is not account, none or reasons "
			    "(bounce, complaint)", word);
	}
	return 0;
}

static int
take_tracking(struct request *q, struct config_set *s)
{
	const char  *domain = arg_text(q, "redirect-domain");
	const char  *policy = arg_text(q, "https-policy");
	char	     normal[DOMAIN_TEXT_MAX];
	struct bytes d = BYTES("");

	if (domain != NULL && domain[0] != '\0' &&
	    (!domain_normal(bytes_of(domain), 0, normal, &d) ||
		d.n >= sizeof(s->redirect_domain)))
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "redirect-domain: not a host name: %.100s", domain);
	if (domain != NULL)
		bytes_text(d, s->redirect_domain,
		    sizeof(s->redirect_domain));
	if (policy != NULL && policy[0] == '\0')
		s->https = HTTPS_OPTIONAL;
	else if (policy != NULL && !https_policy_from_text(policy, &s->https))
		return request_refuse(q, BOOK_BAD_REQUEST, "https-policy: "
		    "%.40s is not one of OPTIONAL, REQUIRE, "
		    "REQUIRE_OPEN_ONLY", policy);
	return 0;
}

static int
take_switches(struct request *q, struct config_set *s)
{
	static const char *const on_off[] = { "off", "on", NULL };
	static const char *const words[] = { "enabled", "disabled", NULL };
	int i, rc;

	rc = arg_word_or_none(q, "reputation", on_off, &i);
	if (rc == 1)
		config_set_switch_reputation(s, i == 1, q->now);
	if (rc < 0)
		return -1;
	rc = arg_word_or_none(q, "engagement", words, &i);
	if (rc == 1)
		s->engagement = i < 0 ? VDM_ABSENT
				      : i == 0 ? VDM_ENABLED : VDM_DISABLED;
	return rc < 0 ? -1 : 0;
}

/* The document first, then what is typed beside it. */
static int
set_take_options(struct request *q, struct db_txn *t, struct set_work *w)
{
	struct config_set *s = &w->s;

	config_set_apply(s, &w->in, q->now);
	if (w->in.has_sending)
		set_switch(q, s, w->in.given.sending);
	if (w->in.has_tags)
		w->tags = w->in.tags;
	if (take_delivery(q, s) != 0 || take_reasons(q, s) != 0 ||
	    take_tracking(q, s) != 0 || take_switches(q, s) != 0 ||
	    arg_tags(q, &w->tags, &q->err) != 0)
		return -1;
	if (arg_has(q, "redirect-domain") || w->in.has_tracking)
		return config_set_check_redirect(t, s, q->now, &q->err);
	return 0;
}

/* -- create, set ---------------------------------------------------------- */

static int
set_create_write(struct request *q, struct db_txn *t)
{
	struct set_work *w = q->state;
	const char	*name;

	if (set_name(q, &name) != 0)
		return -1;
	/* a name too long must not become one that is not */
	if (!config_set_name_is_valid(bytes_of(name)))
		return request_refuse(q, BOOK_BAD_REQUEST, "the name of a "
		    "configuration set is 1 to 64 of A-Z a-z 0-9 - _");
	config_set_init(&w->s, q->account.id, name, q->now);
	if (set_take_options(q, t, w) != 0 ||
	    config_set_create(t, &w->s, &q->err) != 0)
		return -1;
	request_would(q, "create configuration set %s", w->s.name);
	return config_set_tags_put(t, &w->s, &w->tags, &q->err);
}

static void
set_create(struct request *q)
{
	if (set_work_new(q) == NULL)
		request_end(q);
	else
		request_write(q, set_create_write, NULL);
}

/* Mail that the pause has held goes on; a pause is met by the scheduler. */
static void
set_after_switch(struct request *q)
{
	struct set_work *w = q->state;
	const char	*reason = arg_text(q, "reason");
	bool		 on = w->is_released || w->s.sending;
	char quoted[LOG_QUOTE_SIZE], text[CONFIG_SET_NAME_SIZE + 512];

	if (w->is_released || w->s.sending != w->was_sending) {
		log_warn(on ? "config-set-resumed" : "config-set-paused",
		    "account=%s set=%s reason=%s", q->account.id, w->s.name,
		    log_quote(bytes_of(reason), quoted));
		snprintf(text, sizeof(text), "set %s, %.500s", w->s.name,
		    reason != NULL ? reason : "manual");
		(void)reporter_post_news(q->relay->reporter,
		    &(struct bulletin_news){ on ? "Sending Status Enabled" :
		    "Sending Status Disabled", q->account.id, NULL, text });
	}
	if (w->is_released || (w->s.sending && !w->was_sending))
		control_release_set(q->control, &w->s.id);
	request_end(q);
}

static int
set_set_write(struct request *q, struct db_txn *t)
{
	struct set_work *w = q->state;

	if (set_find(q, t) != 0 || set_take_options(q, t, w) != 0 ||
	    config_set_put(t, &w->s, &q->err) != 0)
		return -1;
	request_would(q, "change configuration set %s", w->s.name);
	return config_set_tags_put(t, &w->s, &w->tags, &q->err);
}

static void
set_set(struct request *q)
{
	/* "name" is one of them */
	if (json_object_size(q->args) < (arg_has(q, "name") ? 2u : 1u)) {
		(void)request_misuse(q, "nothing to set");
		request_end(q);
	} else if (set_work_new(q) == NULL)
		request_end(q);
	else
		request_write(q, set_set_write, set_after_switch);
}

/* -- pause, resume -------------------------------------------------------- */

static int
set_switch_write(struct request *q, struct db_txn *t)
{
	struct set_work *w = q->state;
	bool on = strcmp(q->command->verb, "config-set resume") == 0;

	if (set_find(q, t) != 0)
		return -1;
	set_switch(q, &w->s, on);
	request_would(q, "%s configuration set %s", on ? "resume" : "pause",
	    w->s.name);
	return config_set_put(t, &w->s, &q->err);
}

static void
set_pause_run(struct request *q)
{
	if (set_work_new(q) == NULL)
		request_end(q);
	else
		request_write(q, set_switch_write, set_after_switch);
}

static void
set_resume_run(struct request *q)
{
	const char *reason = arg_text(q, "reason");

	if (reason == NULL || reason[0] == '\0') {
		(void)request_misuse(q, "--reason is needed");
		request_end(q);
		return;
	}
	set_pause_run(q);
}

/* -- whose default it is -------------------------------------------------- */

struct defaults {
	json_t *of; /* set -> list of identities */
};

static bool
on_default(void *arg, const struct identity *i)
{
	struct defaults *d = arg;
	json_t		*list;

	if (i->config_set[0] == '\0')
		return true;
	list = json_object_get(d->of, i->config_set);
	if (list == NULL) {
		list = json_array();
		json_object_set_new(d->of, i->config_set, list);
	}
	json_array_append_new(list, json_of_bytes(bytes_of(i->name)));
	return true;
}

static int
defaults_read(struct request *q, struct db_txn *t, struct defaults *d)
{
	d->of = json_object();
	return identity_each(t, q->account.id, on_default, d, &q->err);
}

/* -- delete --------------------------------------------------------------- */

static int
delete_refuse(struct request *q, const char *name, const json_t *identities)
{
	struct buf list;
	json_t	  *v;
	size_t	   i;

	buf_init(&list, 4096);
	json_array_foreach((json_t *)(uintptr_t)identities, i, v) {
		if (list.n > 300) {
			buf_printf(&list, " and %zu more",
			    json_array_size(identities) - i);
			break;
		}
		buf_printf(&list, "%s%s", i > 0 ? ", " : "",
		    json_string_value(v));
	}
	q->error_code = "ConflictException";
	request_refuse(q, BOOK_BAD_REQUEST, "configuration set %s is the "
	    "default of %.*s; use --force", name, (int)list.n, list.p);
	buf_wipe(&list);
	return -1;
}

static int
set_delete_write(struct request *q, struct db_txn *t)
{
	struct set_work *w = q->state;
	struct defaults	 d = { NULL };
	const json_t	*identities;
	int		 rc;

	if (set_find(q, t) != 0)
		return -1;
	rc = defaults_read(q, t, &d);
	identities = json_object_get(d.of, w->s.name);
	if (rc == 0 && identities != NULL && !arg_is_true(q, "force"))
		rc = delete_refuse(q, w->s.name, identities);
	json_decref(d.of);
	if (rc != 0)
		return -1;
	request_would(q, "delete configuration set %s", w->s.name);
	w->is_released = !w->s.sending;
	return config_set_delete(t, q->account.id, w->s.name, &q->err) < 0 ?
		-1 : 0;
}

static void
set_delete(struct request *q)
{
	if (set_work_new(q) == NULL)
		request_end(q);
	else
		request_write(q, set_delete_write, set_after_switch);
}

/* -- show, list ----------------------------------------------------------- */

static int
set_show_read(struct request *q, struct db_txn *t)
{
	struct set_work *w = q->state;
	struct buf	 out;

	if (set_find(q, t) != 0)
		return -1;
	buf_init(&out, SET_JSON_MAX);
	(void)config_set_write_json(&w->s, &w->tags, &out);
	return request_set_document(q, &out);
}

static void
set_show(struct request *q)
{
	if (set_work_new(q) == NULL)
		request_end(q);
	else
		request_read(q, set_show_read);
}

struct set_list {
	struct request *q;
	struct db_txn  *t;
	struct page	page;
	json_t	       *names;
	struct defaults defaults;
};

static const char *
suppression_text(const struct config_set *s)
{
	if (!s->own_suppression)
		return "account";
	if (s->suppress_bounce)
		return s->suppress_complaint ? "BOUNCE,COMPLAINT" : "BOUNCE";
	return s->suppress_complaint ? "COMPLAINT" : "none";
}

static bool
on_list(void *arg, const struct config_set *s)
{
	struct set_list *l = arg;
	json_t		*of = json_object_get(l->defaults.of, s->name);
	int		 n;

	if (!page_wants(&l->page, s->name))
		return !page_is_full(&l->page);
	n = config_set_count_destinations(l->t, &s->id, &l->q->err);
	if (n < 0)
		return false;
	json_array_append_new(l->names, json_string(s->name));
	json_array_append_new(l->page.rows, json_pack("{s:s, s:b, s:s, s:o, "
	    "s:b, s:s, s:i, s:O}", "ConfigurationSetName", s->name,
	    "SendingEnabled", s->sending, "TlsPolicy",
	    s->require_tls ? "REQUIRE" : "OPTIONAL", "SendingPoolName",
	    json_of_text(s->pool), "ReputationMetricsEnabled", s->reputation,
	    "Suppression", suppression_text(s), "EventDestinations", n,
	    "DefaultOf", of != NULL ? of : json_null()));
	return true;
}

static int
set_list_read(struct request *q, struct db_txn *t)
{
	struct set_list l = { .q = q, .t = t };
	int		rc;

	if (page_open(q, &l.page) != 0)
		return -1;
	l.names = json_array();
	request_set(q, "ConfigurationSets", l.names);
	rc = defaults_read(q, t, &l.defaults);
	if (rc == 0)
		rc = config_set_each(t, q->account.id, on_list, &l, &q->err);
	page_close(q, &l.page, "ConfigurationSetSummaries");
	json_decref(l.defaults.of);
	return rc < 0 || q->err.text[0] != '\0' ? -1 : 0;
}

static void
set_list(struct request *q)
{
	request_read(q, set_list_read);
}

const struct command control_config_set_commands[] = {
	{ "config-set create", NEED_FULL, SCOPE_ACCOUNT,
	    "CreateConfigurationSet", "configurationSetName", set_create },
	{ "config-set list", NEED_READ, SCOPE_ACCOUNT, NULL, NULL, set_list },
	{ "config-set show", NEED_READ, SCOPE_ACCOUNT, NULL, NULL, set_show },
	{ "config-set set", NEED_FULL, SCOPE_ACCOUNT,
	    "UpdateConfigurationSet", "configurationSetName", set_set },
	{ "config-set pause", NEED_FULL, SCOPE_ACCOUNT,
	    "PutConfigurationSetSendingOptions", "configurationSetName",
	    set_pause_run },
	{ "config-set resume", NEED_FULL, SCOPE_ACCOUNT,
	    "PutConfigurationSetSendingOptions", "configurationSetName",
	    set_resume_run },
	{ "config-set delete", NEED_FULL, SCOPE_ACCOUNT,
	    "DeleteConfigurationSet", "configurationSetName", set_delete },
	{ NULL, NEED_ANY, SCOPE_ANY, NULL, NULL, NULL }
};
