/* SPDX-License-Identifier: ISC */
/* Part of registry/config_set.h: the form of CreateConfigurationSet. */
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "mail/address.h"
#include "registry/config_set.h"

enum { PLACE_SIZE = 160, DOCUMENT_MAX = 1024 * 1024 };

const char config_set_skeleton[] =
    "{ \"ConfigurationSetName\": null,"
    " \"TrackingOptions\": { \"CustomRedirectDomain\": null,"
    " \"HttpsPolicy\": null },"
    " \"DeliveryOptions\": { \"TlsPolicy\": null, \"SendingPoolName\": null,"
    " \"MaxDeliverySeconds\": null },"
    " \"ReputationOptions\": { \"ReputationMetricsEnabled\": null,"
    " \"LastFreshStart\": null },"
    " \"SendingOptions\": { \"SendingEnabled\": null },"
    " \"Tags\": null,"
    " \"SuppressionOptions\": null,"
    " \"VdmOptions\": { \"DashboardOptions\": {"
    " \"EngagementMetrics\": null },"
    " \"GuardianOptions\": { \"OptimizedSharedDelivery\": null } } }";

static const char *const https_names[] = { "OPTIONAL", "REQUIRE",
	"REQUIRE_OPEN_ONLY", NULL };
static const char *const tls_names[] = { "OPTIONAL", "REQUIRE", NULL };
static const char *const vdm_names[] = { "", "ENABLED", "DISABLED", NULL };

/* Index of a word, without regard to case; -1 = it is none of them. */
static int
word_index(const char *const *words, const char *s)
{
	int i;

	for (i = 0; words[i] != NULL; i++)
		if (s[0] != '\0' && strcasecmp(words[i], s) == 0)
			return i;
	return -1;
}

const char *
https_policy_to_text(enum https_policy p)
{
	return https_names[p];
}

bool
https_policy_from_text(const char *s, enum https_policy *out)
{
	int i = word_index(https_names, s);

	if (i >= 0)
		*out = (enum https_policy)i;
	return i >= 0;
}

/* -- reading -------------------------------------------------------------- */

struct reader {
	struct config_set_input *in;
	struct arena		*arena;
	struct err		*err;
	char			 place[PLACE_SIZE]; /* "DeliveryOptions" */
};
struct member {
	const char *name;
	int (*read)(struct reader *r, const json_t *v);
};

static int reader_refuse(struct reader *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static int
reader_refuse(struct reader *r, const char *fmt, ...)
{
	char	why[PLACE_SIZE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return book_refuse(r->err, BOOK_BAD_REQUEST, "%s: %s",
	    r->place[0] != '\0' ? r->place : "the document", why);
}

/* Goes in; the length of the place before is given back. */
static size_t
reader_enter(struct reader *r, const char *name)
{
	size_t n = strlen(r->place);

	snprintf(r->place + n, sizeof(r->place) - n, "%s%.64s",
	    n > 0 && name[0] != '[' ? "." : "", name);
	return n;
}

static int
read_object(struct reader *r, const json_t *v, const struct member *members)
{
	const struct member *m;
	const char	    *name;
	json_t		    *value;
	size_t		     before;
	int		     rc;

	if (!json_is_object(v))
		return reader_refuse(r, "is not an object");
	json_object_foreach((json_t *)(uintptr_t)v, name, value) {
		before = reader_enter(r, name);
		for (m = members; m->name != NULL; m++)
			if (strcmp(m->name, name) == 0)
				break;
		if (m->name == NULL)
			return reader_refuse(r, "unknown member");
		/* null: as if it were not there */
		rc = json_is_null(value) ? 0 : m->read(r, value);
		if (rc != 0)
			return rc;
		r->place[before] = '\0';
	}
	return 0;
}

/* As a skeleton has it: null, or an object with nothing else in it. */
static bool
is_unfilled(const json_t *v)
{
	const char *name;
	json_t	   *value;

	if (!json_is_object(v) || json_object_size(v) == 0)
		return json_is_null(v);
	json_object_foreach((json_t *)(uintptr_t)v, name, value)
		if (!is_unfilled(value))
			return false;
	return true;
}

/* A group of options; {} puts all of it back. */
static int
read_group(struct reader *r, const json_t *v, const struct member *members,
    bool *given)
{
	*given = !is_unfilled(v);
	return read_object(r, v, members);
}

static int
read_text(struct reader *r, const json_t *v, const char **out)
{
	*out = json_string_value(v);
	if (*out == NULL || strlen(*out) != json_string_length(v))
		return reader_refuse(r, "is not a text");
	return 0;
}

static int
read_word(struct reader *r, const json_t *v, const char *const *words,
    int *out)
{
	const char *s;

	if (read_text(r, v, &s) != 0)
		return -1;
	*out = word_index(words, s);
	return *out >= 0 ? 0 : reader_refuse(r, "%.40s is not one of its "
	    "values", s);
}

static int
read_bool(struct reader *r, const json_t *v, bool *out)
{
	if (!json_is_boolean(v))
		return reader_refuse(r, "is not true or false");
	*out = json_is_true(v);
	return 0;
}

static int
read_name(struct reader *r, const json_t *v)
{
	const char *s;

	if (read_text(r, v, &s) != 0)
		return -1;
	if (!config_set_name_is_valid(bytes_of(s)))
		return reader_refuse(r, "is not 1 to 64 of A-Z a-z 0-9 - _");
	strcpy(r->in->name, s);
	return 0;
}

/* -- the groups ----------------------------------------------------------- */

static int
read_redirect(struct reader *r, const json_t *v)
{
	struct config_set *s = &r->in->given;
	const char	  *text;
	char		   normal[DOMAIN_TEXT_MAX];
	struct bytes	   d;

	if (read_text(r, v, &text) != 0)
		return -1;
	if (!domain_normal(bytes_of(text), 0, normal, &d) ||
	    d.n >= sizeof(s->redirect_domain))
		return reader_refuse(r, "is not a host name");
	bytes_text(d, s->redirect_domain, sizeof(s->redirect_domain));
	return 0;
}

static int
read_https(struct reader *r, const json_t *v)
{
	int i;

	if (read_word(r, v, https_names, &i) != 0)
		return -1;
	r->in->given.https = (enum https_policy)i;
	return 0;
}

static int
read_tracking(struct reader *r, const json_t *v)
{
	static const struct member members[] = {
		{ "CustomRedirectDomain", read_redirect },
		{ "HttpsPolicy", read_https }, { NULL, NULL } };

	return read_group(r, v, members, &r->in->has_tracking);
}

static int
read_tls(struct reader *r, const json_t *v)
{
	int i;

	if (read_word(r, v, tls_names, &i) != 0)
		return -1;
	r->in->given.require_tls = i == 1;
	return 0;
}

static int
read_pool(struct reader *r, const json_t *v)
{
	struct config_set *s = &r->in->given;
	const char	  *text;

	if (read_text(r, v, &text) != 0)
		return -1;
	if (strlen(text) >= sizeof(s->pool))
		return reader_refuse(r, "is too long");
	strcpy(s->pool, text);
	return 0;
}

static int
read_max_delivery(struct reader *r, const json_t *v)
{
	json_int_t n = json_integer_value(v);

	if (!json_is_integer(v) || n < CONFIG_SET_DELIVERY_MIN_S ||
	    n > CONFIG_SET_DELIVERY_MAX_S)
		return reader_refuse(r, "is not a number from %d to %d",
		    CONFIG_SET_DELIVERY_MIN_S, CONFIG_SET_DELIVERY_MAX_S);
	r->in->given.max_delivery_s = (unsigned)n;
	return 0;
}

static int
read_delivery(struct reader *r, const json_t *v)
{
	static const struct member members[] = { { "TlsPolicy", read_tls },
		{ "SendingPoolName", read_pool },
		{ "MaxDeliverySeconds", read_max_delivery }, { NULL, NULL } };

	return read_group(r, v, members, &r->in->has_delivery);
}

static int
read_metrics_switch(struct reader *r, const json_t *v)
{
	return read_bool(r, v, &r->in->given.reputation);
}

/* What an answer has, and nobody can set. */
static int
read_ignored(struct reader *r, const json_t *v)
{
	(void)r;
	(void)v;
	return 0;
}

static int
read_reputation(struct reader *r, const json_t *v)
{
	static const struct member members[] = {
		{ "ReputationMetricsEnabled", read_metrics_switch },
		{ "LastFreshStart", read_ignored }, { NULL, NULL } };

	return read_group(r, v, members, &r->in->has_reputation);
}

static int
read_sending_switch(struct reader *r, const json_t *v)
{
	return read_bool(r, v, &r->in->given.sending);
}

static int
read_sending(struct reader *r, const json_t *v)
{
	static const struct member members[] = {
		{ "SendingEnabled", read_sending_switch }, { NULL, NULL } };

	return read_group(r, v, members, &r->in->has_sending);
}

static int
read_reasons(struct reader *r, const json_t *v)
{
	static const char *const names[] = { "BOUNCE", "COMPLAINT", NULL };
	struct config_set	*s = &r->in->given;
	json_t			*item;
	size_t			 k;
	int			 i;

	if (!json_is_array(v))
		return reader_refuse(r, "is not a list");
	s->own_suppression = true;
	json_array_foreach((json_t *)(uintptr_t)v, k, item) {
		if (read_word(r, item, names, &i) != 0)
			return -1;
		s->suppress_bounce |= i == 0;
		s->suppress_complaint |= i == 1;
	}
	return 0;
}

/* Without its member: the account's reasons again. */
static int
read_suppression(struct reader *r, const json_t *v)
{
	static const struct member members[] = {
		{ "SuppressedReasons", read_reasons }, { NULL, NULL } };

	return read_group(r, v, members, &r->in->has_suppression);
}

static int
read_engagement(struct reader *r, const json_t *v)
{
	int i;

	if (read_word(r, v, vdm_names, &i) != 0)
		return -1;
	r->in->given.engagement = (enum vdm_switch)i;
	return 0;
}

static int
read_shared(struct reader *r, const json_t *v)
{
	int i;

	if (read_word(r, v, vdm_names, &i) != 0)
		return -1;
	r->in->given.shared_delivery = (enum vdm_switch)i;
	return 0;
}

static int
read_dashboard(struct reader *r, const json_t *v)
{
	static const struct member members[] = {
		{ "EngagementMetrics", read_engagement }, { NULL, NULL } };

	return read_object(r, v, members);
}

static int
read_guardian(struct reader *r, const json_t *v)
{
	static const struct member members[] = {
		{ "OptimizedSharedDelivery", read_shared }, { NULL, NULL } };

	return read_object(r, v, members);
}

static int
read_vdm(struct reader *r, const json_t *v)
{
	static const struct member members[] = {
		{ "DashboardOptions", read_dashboard },
		{ "GuardianOptions", read_guardian }, { NULL, NULL } };

	return read_group(r, v, members, &r->in->has_vdm);
}

/* -- labels --------------------------------------------------------------- */

static int
read_tag(struct reader *r, const json_t *v)
{
	const json_t *key = json_object_get(v, "Key");
	const json_t *value = json_object_get(v, "Value");
	struct bytes  k, w;
	struct err    e;

	if (!json_is_string(key) ||
	    (value != NULL && !json_is_null(value) && !json_is_string(value)))
		return reader_refuse(r, "is no tag with Key and Value");
	if (json_object_size(v) > (value != NULL ? 2u : 1u))
		return reader_refuse(r, "unknown member beside Key and Value");
	k = arena_bytes(r->arena, (struct bytes){ json_string_value(key),
	    json_string_length(key) });
	w = arena_bytes(r->arena, value == NULL || json_is_null(value) ?
	    BYTES("") : (struct bytes){ json_string_value(value),
		json_string_length(value) });
	if (k.p == NULL || w.p == NULL)
		return err_set(r->err, "no memory for the tags of a set");
	return config_set_tags_add(&r->in->tags, k, w, &e) == 0 ? 0 :
		reader_refuse(r, "%.120s", e.text);
}

static int
read_tags(struct reader *r, const json_t *v)
{
	json_t *item;
	size_t	i, before;
	char	at[24];

	if (!json_is_array(v))
		return reader_refuse(r, "is not a list");
	r->in->has_tags = true;
	json_array_foreach((json_t *)(uintptr_t)v, i, item) {
		snprintf(at, sizeof(at), "[%zu]", i);
		before = reader_enter(r, at);
		if (read_tag(r, item) != 0)
			return -1;
		r->place[before] = '\0';
	}
	return 0;
}

int
config_set_read_json(struct bytes text, struct arena *a,
    struct config_set_input *out, struct err *e)
{
	static const struct member members[] = {
		{ "ConfigurationSetName", read_name },
		{ "TrackingOptions", read_tracking },
		{ "DeliveryOptions", read_delivery },
		{ "ReputationOptions", read_reputation },
		{ "SendingOptions", read_sending }, { "Tags", read_tags },
		{ "SuppressionOptions", read_suppression },
		{ "VdmOptions", read_vdm },
		/* of config-set show */
		{ "CreatedTimestamp", read_ignored },
		{ "LastUpdatedTimestamp", read_ignored },
		{ "PauseReason", read_ignored },
		{ "PausedSince", read_ignored },
		{ "PausedBy", read_ignored }, { NULL, NULL } };
	struct reader r = { .in = out, .arena = a, .err = e };
	json_error_t  why;
	json_t	     *root = NULL;
	int	      rc;

	memset(out, 0, sizeof(*out));
	out->given.sending = true;
	if (text.n > DOCUMENT_MAX)
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "the document is longer than 1 MB");
	root = json_loadb(text.n > 0 ? text.p : "", text.n,
	    JSON_REJECT_DUPLICATES, &why);
	if (root == NULL)
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "line %d, column %d: %.120s", why.line, why.column,
		    why.text);
	rc = read_object(&r, root, members);
	json_decref(root);
	return rc;
}

void
config_set_apply(struct config_set *s, const struct config_set_input *in,
    struct wall now)
{
	const struct config_set *g = &in->given;

	if (in->has_tracking) {
		memcpy(s->redirect_domain, g->redirect_domain,
		    sizeof(s->redirect_domain));
		s->https = g->https;
	}
	if (in->has_delivery) {
		s->require_tls = g->require_tls;
		memcpy(s->pool, g->pool, sizeof(s->pool));
		s->max_delivery_s = g->max_delivery_s;
	}
	if (in->has_reputation)
		config_set_switch_reputation(s, g->reputation, now);
	if (in->has_suppression) {
		s->own_suppression = g->own_suppression;
		s->suppress_bounce = g->suppress_bounce;
		s->suppress_complaint = g->suppress_complaint;
	}
	if (in->has_vdm) {
		s->engagement = g->engagement;
		s->shared_delivery = g->shared_delivery;
	}
	s->updated = now;
}

/* -- writing -------------------------------------------------------------- */

static json_t *
time_json(struct wall w)
{
	char text[CLOCK_TEXT_MAX];

	return w.ms == 0 ? json_null() : json_string(wall_iso(w, text));
}

static json_t *
delivery_json(const struct config_set *s)
{
	json_t *o = json_pack("{s:s}", "TlsPolicy",
	    tls_names[s->require_tls]);

	if (s->pool[0] != '\0')
		json_object_set_new(o, "SendingPoolName",
		    json_string(s->pool));
	if (s->max_delivery_s != 0)
		json_object_set_new(o, "MaxDeliverySeconds",
		    json_integer(s->max_delivery_s));
	return o;
}

static json_t *
tags_json(const struct config_set_tags *tags)
{
	json_t	*list = json_array();
	unsigned i;

	for (i = 0; i < tags->n; i++)
		json_array_append_new(list, json_pack("{s:s%, s:s%}", "Key",
		    tags->v[i].key.p, tags->v[i].key.n, "Value",
		    tags->v[i].value.p, tags->v[i].value.n));
	return list;
}

static json_t *
reasons_json(const struct config_set *s)
{
	json_t *list = json_array();

	if (s->suppress_bounce)
		json_array_append_new(list, json_string("BOUNCE"));
	if (s->suppress_complaint)
		json_array_append_new(list, json_string("COMPLAINT"));
	return json_pack("{s:o}", "SuppressedReasons", list);
}

static json_t *
tracking_json(const struct config_set *s)
{
	json_t *o = json_object();

	if (s->redirect_domain[0] != '\0')
		json_object_set_new(o, "CustomRedirectDomain",
		    json_string(s->redirect_domain));
	json_object_set_new(o, "HttpsPolicy",
	    json_string(https_names[s->https]));
	return o;
}

static json_t *
vdm_json(const struct config_set *s)
{
	json_t *o = json_object();

	if (s->engagement != VDM_ABSENT)
		json_object_set_new(o, "DashboardOptions", json_pack("{s:s}",
		    "EngagementMetrics", vdm_names[s->engagement]));
	if (s->shared_delivery != VDM_ABSENT)
		json_object_set_new(o, "GuardianOptions", json_pack("{s:s}",
		    "OptimizedSharedDelivery",
		    vdm_names[s->shared_delivery]));
	return o;
}

static void
add_pause(json_t *o, const struct config_set *s)
{
	if (s->sending)
		return;
	json_object_set_new(o, "PauseReason", json_string(s->pause_reason));
	json_object_set_new(o, "PausedSince", time_json(s->paused_since));
	json_object_set_new(o, "PausedBy", json_string(s->paused_by));
}

static json_t *
set_json(const struct config_set *s, const struct config_set_tags *tags)
{
	json_t *o = json_pack("{s:s}", "ConfigurationSetName", s->name);

	if (s->redirect_domain[0] != '\0' || s->https != HTTPS_OPTIONAL)
		json_object_set_new(o, "TrackingOptions", tracking_json(s));
	json_object_set_new(o, "DeliveryOptions", delivery_json(s));
	json_object_set_new(o, "ReputationOptions", json_pack("{s:b, s:o}",
	    "ReputationMetricsEnabled", s->reputation, "LastFreshStart",
	    time_json(s->fresh_start)));
	json_object_set_new(o, "SendingOptions", json_pack("{s:b}",
	    "SendingEnabled", s->sending));
	json_object_set_new(o, "Tags", tags_json(tags));
	if (s->own_suppression)
		json_object_set_new(o, "SuppressionOptions", reasons_json(s));
	if (s->engagement != VDM_ABSENT || s->shared_delivery != VDM_ABSENT)
		json_object_set_new(o, "VdmOptions", vdm_json(s));
	add_pause(o, s);
	json_object_set_new(o, "CreatedTimestamp", time_json(s->created));
	json_object_set_new(o, "LastUpdatedTimestamp",
	    time_json(s->updated));
	return o;
}

static int
on_piece(const char *p, size_t n, void *out)
{
	return buf_add(out, p, n) ? 0 : -1;
}

bool
config_set_write_json(const struct config_set *s,
    const struct config_set_tags *tags, struct buf *out)
{
	json_t *o = set_json(s, tags);
	int	rc = json_dump_callback(o, on_piece, out, JSON_COMPACT);

	json_decref(o);
	return rc == 0 && !out->failed;
}
