/* SPDX-License-Identifier: ISC */
/* Part of registry/config_set.h: the form of CreateConfigurationSet. */
#include <jansson.h>
#include <string.h>

#include "mail/address.h"
#include "registry/config_set.h"
#include "registry/json_reader.h"

enum { DOCUMENT_MAX = 1024 * 1024 };

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

const char *
https_policy_to_text(enum https_policy p)
{
	return https_names[p];
}

bool
https_policy_from_text(const char *s, enum https_policy *out)
{
	int i = json_word_index(https_names, s);

	if (i >= 0)
		*out = (enum https_policy)i;
	return i >= 0;
}

/* -- reading -------------------------------------------------------------- */

/* What is read into. */
struct set_reader {
	struct config_set_input *in;
	struct arena		*arena;
};

static struct config_set_input *
input_of(const struct json_reader *r)
{
	return ((struct set_reader *)r->into)->in;
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
read_group(struct json_reader *r, const json_t *v,
    const struct json_member *members, bool *given)
{
	*given = !is_unfilled(v);
	return json_read_object(r, v, members);
}

static int
read_name(struct json_reader *r, const json_t *v)
{
	const char *s;

	if (json_read_text(r, v, &s) != 0)
		return -1;
	if (!config_set_name_is_valid(bytes_of(s)))
		return json_refuse(r, "is not 1 to 64 of A-Z a-z 0-9 - _");
	strcpy(input_of(r)->name, s);
	return 0;
}

/* -- the groups ----------------------------------------------------------- */

static int
read_redirect(struct json_reader *r, const json_t *v)
{
	struct config_set *s = &input_of(r)->given;
	const char	  *text;
	char		   normal[DOMAIN_TEXT_MAX];
	struct bytes	   d;

	if (json_read_text(r, v, &text) != 0)
		return -1;
	if (!domain_normal(bytes_of(text), 0, normal, &d) ||
	    d.n >= sizeof(s->redirect_domain))
		return json_refuse(r, "is not a host name");
	bytes_text(d, s->redirect_domain, sizeof(s->redirect_domain));
	return 0;
}

static int
read_https(struct json_reader *r, const json_t *v)
{
	int i;

	if (json_read_word(r, v, https_names, &i) != 0)
		return -1;
	input_of(r)->given.https = (enum https_policy)i;
	return 0;
}

static int
read_tracking(struct json_reader *r, const json_t *v)
{
	static const struct json_member members[] = {
		{ "CustomRedirectDomain", read_redirect },
		{ "HttpsPolicy", read_https }, { NULL, NULL } };

	return read_group(r, v, members, &input_of(r)->has_tracking);
}

static int
read_tls(struct json_reader *r, const json_t *v)
{
	int i;

	if (json_read_word(r, v, tls_names, &i) != 0)
		return -1;
	input_of(r)->given.require_tls = i == 1;
	return 0;
}

static int
read_pool(struct json_reader *r, const json_t *v)
{
	struct config_set *s = &input_of(r)->given;

	return json_read_copy(r, v, s->pool, sizeof(s->pool));
}

static int
read_max_delivery(struct json_reader *r, const json_t *v)
{
	uint64_t n = 0;

	if (json_read_number(r, v, CONFIG_SET_DELIVERY_MIN_S,
		CONFIG_SET_DELIVERY_MAX_S, &n) != 0)
		return -1;
	input_of(r)->given.max_delivery_s = (unsigned)n;
	return 0;
}

static int
read_delivery(struct json_reader *r, const json_t *v)
{
	static const struct json_member members[] = { { "TlsPolicy", read_tls },
		{ "SendingPoolName", read_pool },
		{ "MaxDeliverySeconds", read_max_delivery }, { NULL, NULL } };

	return read_group(r, v, members, &input_of(r)->has_delivery);
}

static int
read_metrics_switch(struct json_reader *r, const json_t *v)
{
	return json_read_bool(r, v, &input_of(r)->given.reputation);
}

static int
read_reputation(struct json_reader *r, const json_t *v)
{
	static const struct json_member members[] = {
		{ "ReputationMetricsEnabled", read_metrics_switch },
		{ "LastFreshStart", json_read_nothing }, { NULL, NULL } };

	return read_group(r, v, members, &input_of(r)->has_reputation);
}

static int
read_sending_switch(struct json_reader *r, const json_t *v)
{
	return json_read_bool(r, v, &input_of(r)->given.sending);
}

static int
read_sending(struct json_reader *r, const json_t *v)
{
	static const struct json_member members[] = {
		{ "SendingEnabled", read_sending_switch }, { NULL, NULL } };

	return read_group(r, v, members, &input_of(r)->has_sending);
}

static int
read_reason(struct json_reader *r, const json_t *v)
{
	static const char *const names[] = { "BOUNCE", "COMPLAINT", NULL };
	struct config_set	*s = &input_of(r)->given;
	int			 i;

	if (json_read_word(r, v, names, &i) != 0)
		return -1;
	s->suppress_bounce |= i == 0;
	s->suppress_complaint |= i == 1;
	return 0;
}

static int
read_reasons(struct json_reader *r, const json_t *v)
{
	input_of(r)->given.own_suppression = true;
	return json_read_list(r, v, read_reason);
}

/* Without its member: the account's reasons again. */
static int
read_suppression(struct json_reader *r, const json_t *v)
{
	static const struct json_member members[] = {
		{ "SuppressedReasons", read_reasons }, { NULL, NULL } };

	return read_group(r, v, members, &input_of(r)->has_suppression);
}

static int
read_engagement(struct json_reader *r, const json_t *v)
{
	int i;

	if (json_read_word(r, v, vdm_names, &i) != 0)
		return -1;
	input_of(r)->given.engagement = (enum vdm_switch)i;
	return 0;
}

static int
read_shared(struct json_reader *r, const json_t *v)
{
	int i;

	if (json_read_word(r, v, vdm_names, &i) != 0)
		return -1;
	input_of(r)->given.shared_delivery = (enum vdm_switch)i;
	return 0;
}

static int
read_dashboard(struct json_reader *r, const json_t *v)
{
	static const struct json_member members[] = {
		{ "EngagementMetrics", read_engagement }, { NULL, NULL } };

	return json_read_object(r, v, members);
}

static int
read_guardian(struct json_reader *r, const json_t *v)
{
	static const struct json_member members[] = {
		{ "OptimizedSharedDelivery", read_shared }, { NULL, NULL } };

	return json_read_object(r, v, members);
}

static int
read_vdm(struct json_reader *r, const json_t *v)
{
	static const struct json_member members[] = {
		{ "DashboardOptions", read_dashboard },
		{ "GuardianOptions", read_guardian }, { NULL, NULL } };

	return read_group(r, v, members, &input_of(r)->has_vdm);
}

/* -- labels --------------------------------------------------------------- */

static int
read_tag(struct json_reader *r, const json_t *v)
{
	const json_t *key = json_object_get(v, "Key");
	const json_t *value = json_object_get(v, "Value");
	struct set_reader *in = r->into;
	struct bytes  k, w;
	struct err    e;

	if (!json_is_string(key) ||
	    (value != NULL && !json_is_null(value) && !json_is_string(value)))
		return json_refuse(r, "is no tag with Key and Value");
	if (json_object_size(v) > (value != NULL ? 2u : 1u))
		return json_refuse(r, "unknown member beside Key and Value");
	k = arena_bytes(in->arena, (struct bytes){ json_string_value(key),
	    json_string_length(key) });
	w = arena_bytes(in->arena, value == NULL || json_is_null(value) ?
	    BYTES("") : (struct bytes){ json_string_value(value),
		json_string_length(value) });
	if (k.p == NULL || w.p == NULL)
		return err_set(r->err, "no memory for the tags of a set");
	return resource_tags_add(&in->in->tags, k, w, &e) == 0 ? 0 :
		json_refuse(r, "%.120s", e.text);
}

static int
read_tags(struct json_reader *r, const json_t *v)
{
	input_of(r)->has_tags = true;
	return json_read_list(r, v, read_tag);
}

int
config_set_read_json(struct bytes text, struct arena *a,
    struct config_set_input *out, struct err *e)
{
	static const struct json_member members[] = {
		{ "ConfigurationSetName", read_name },
		{ "TrackingOptions", read_tracking },
		{ "DeliveryOptions", read_delivery },
		{ "ReputationOptions", read_reputation },
		{ "SendingOptions", read_sending }, { "Tags", read_tags },
		{ "SuppressionOptions", read_suppression },
		{ "VdmOptions", read_vdm },
		/* of config-set show */
		{ "CreatedTimestamp", json_read_nothing },
		{ "LastUpdatedTimestamp", json_read_nothing },
		{ "PauseReason", json_read_nothing },
		{ "PausedSince", json_read_nothing },
		{ "PausedBy", json_read_nothing }, { NULL, NULL } };
	struct set_reader in = { out, a };
	struct json_reader r = { .err = e, .into = &in };

	memset(out, 0, sizeof(*out));
	out->given.sending = true;
	return json_read_document(&r, text, DOCUMENT_MAX, members);
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
	json_object_set_new(o, "PausedSince", json_of_time(s->paused_since));
	json_object_set_new(o, "PausedBy", json_string(s->paused_by));
}

static json_t *
set_json(const struct config_set *s, const struct resource_tags *tags)
{
	json_t *o = json_pack("{s:s}", "ConfigurationSetName", s->name);

	if (s->redirect_domain[0] != '\0' || s->https != HTTPS_OPTIONAL)
		json_object_set_new(o, "TrackingOptions", tracking_json(s));
	json_object_set_new(o, "DeliveryOptions", delivery_json(s));
	json_object_set_new(o, "ReputationOptions", json_pack("{s:b, s:o}",
	    "ReputationMetricsEnabled", s->reputation, "LastFreshStart",
	    json_of_time(s->fresh_start)));
	json_object_set_new(o, "SendingOptions", json_pack("{s:b}",
	    "SendingEnabled", s->sending));
	json_object_set_new(o, "Tags", resource_tags_json(tags));
	if (s->own_suppression)
		json_object_set_new(o, "SuppressionOptions", reasons_json(s));
	if (s->engagement != VDM_ABSENT || s->shared_delivery != VDM_ABSENT)
		json_object_set_new(o, "VdmOptions", vdm_json(s));
	add_pause(o, s);
	json_object_set_new(o, "CreatedTimestamp", json_of_time(s->created));
	json_object_set_new(o, "LastUpdatedTimestamp",
	    json_of_time(s->updated));
	return o;
}

bool
config_set_write_json(const struct config_set *s,
    const struct resource_tags *tags, struct buf *out)
{
	return json_write(set_json(s, tags), out);
}
