/* SPDX-License-Identifier: ISC */
/* Event destinations of configuration sets (events.md 8). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "daemon/control_destination.h"
#include "daemon/control_topic.h"

enum { DESTINATION_JSON_MAX = 64 * 1024 };

void
destination_wipe(void *work)
{
	mem_wipe(work, sizeof(struct destination_work));
}

/* -- which ---------------------------------------------------------------- */

int
destination_find_set(struct request *q, struct db_txn *t)
{
	struct destination_work *w = q->state;
	const char		*name = arg_text(q, "set");
	int			 found;

	if (name == NULL)
		return request_misuse(q, "which configuration set?");
	found = config_set_get(t, q->account.id, bytes_of(name), &w->set,
	    &q->err);
	return found != 0 ? found < 0 ? -1 : 0 :
		request_refuse(q, BOOK_NOT_FOUND,
		    "no such configuration set: %.64s", name);
}

int
destination_find(struct request *q, struct db_txn *t)
{
	struct destination_work *w = q->state;
	const char		*name = arg_text(q, "name");
	int			 found;

	if (destination_find_set(q, t) != 0)
		return -1;
	if (name == NULL)
		return request_misuse(q, "which event destination?");
	found = destination_get(t, &w->set.id, bytes_of(name), &w->d,
	    &q->err);
	return found != 0 ? found < 0 ? -1 : 0 :
		request_refuse(q, BOOK_NOT_FOUND,
		    "no such event destination: %.64s", name);
}

/* dest: SET/NAME */
int
destination_find_named(struct request *q, struct db_txn *t)
{
	const char *dest = arg_text(q, "dest");
	const char *slash = dest != NULL ? strchr(dest, '/') : NULL;

	if (slash == NULL)
		return request_misuse(q, "which event destination? (SET/NAME "
		    "or the ARN of a topic)");
	json_object_set_new(q->args, "set",
	    json_stringn(dest, (size_t)(slash - dest)));
	json_object_set_new(q->args, "name", json_string(slash + 1));
	return destination_find(q, t);
}

/* What waits for one that was disabled need not wait for the next event. */
static void
destination_after(struct request *q)
{
	(void)loop_post(q->relay->reporting, reporter_on_events,
	    q->relay->reporter, NULL);
	request_end(q);
}

static void
destination_run(struct request *q, request_txn_fn *fn)
{
	(void)request_state(q, sizeof(struct destination_work),
	    destination_wipe);
	request_write(q, fn, destination_after);
}

/* -- options -------------------------------------------------------------- */

int
destination_take_types(struct request *q, unsigned *types)
{
	json_t	       *list = arg_list(q, "types"), *v;
	enum event_type type;
	const char     *word;
	size_t		i;

	*types = 0;
	json_array_foreach(list, i, v) {
		word = json_string_value(v);
		if (strcasecmp(word, "all") == 0)
			*types = DESTINATION_ALL_TYPES;
		else if (event_type_from_text(bytes_of(word), &type))
			*types |= 1u << type;
		else
			return request_refuse(q, BOOK_BAD_REQUEST,
			    "types: no such event type: %.40s", word);
	}
	return 0;
}

static int
take_types(struct request *q, struct destination *d)
{
	unsigned types;

	if (destination_take_types(q, &types) != 0)
		return -1;
	if (arg_has(q, "types"))
		d->types = types;
	return 0;
}

static int
take_file(struct request *q, struct destination_file *f)
{
	int64_t n = 0;
	int	i, rc;

	if (arg_copy(q, "file", f->name, sizeof(f->name)) < 0)
		return -1;
	rc = arg_int(q, "rotate-size", 0, INT64_MAX, &n);
	if (rc == 1)
		f->rotate_octets = (uint64_t)n;
	if (rc < 0)
		return -1;
	rc = arg_int(q, "keep", 0, DESTINATION_KEEP_MAX, &n);
	if (rc == 1)
		f->keep = (unsigned)n;
	if (rc < 0)
		return -1;
	rc = arg_word(q, "rotate", rotate_interval_names, &i);
	if (rc == 1)
		f->rotate = (enum rotate_interval)i;
	if (rc < 0)
		return -1;
	rc = arg_word(q, "sync", file_sync_names, &i);
	if (rc == 1)
		f->sync = (enum file_sync)i;
	return rc < 0 || arg_switch(q, "compress", &f->compress) < 0 ? -1 : 0;
}

/* All of them: what was there goes. */
static int
take_headers(struct request *q, struct destination_webhook *w)
{
	json_t	  *list = arg_list(q, "header"), *v;
	struct buf b;
	size_t	   i;
	bool	   ok;

	if (list == NULL)
		return 0;
	buf_init(&b, sizeof(w->headers) - 1);
	json_array_foreach(list, i, v)
		if (json_string_length(v) > 0)
			buf_printf(&b, "%s\n", json_string_value(v));
	bytes_text(buf_bytes(&b), w->headers, sizeof(w->headers));
	ok = !b.failed && destination_headers_are_valid(w->headers);
	buf_wipe(&b);
	return ok ? 0 : request_refuse(q, BOOK_BAD_REQUEST, "header: more "
	    "than %d, too long, or none that a request may have "
	    "(\"Name: value\")", DESTINATION_HEADERS_MAX);
}

int
destination_take_format(struct request *q, struct destination *d)
{
	int i, rc = arg_word(q, "format", webhook_format_names, &i);

	if (rc == 1)
		d->sns = i == 1;
	return rc < 0 ? -1 : 0;
}

static int
take_webhook(struct request *q, struct destination *d)
{
	struct destination_webhook *w = &d->webhook;
	int64_t			    n = 0;
	int			    rc;

	if (arg_copy(q, "webhook", w->url, sizeof(w->url)) < 0 ||
	    take_headers(q, w) < 0 || destination_take_format(q, d) < 0)
		return -1;
	rc = arg_int(q, "timeout", 1, DESTINATION_TIMEOUT_MAX_S, &n);
	if (rc == 1)
		w->timeout_s = (unsigned)n;
	if (rc < 0)
		return -1;
	rc = arg_int(q, "in-flight", 1, DESTINATION_IN_FLIGHT_MAX, &n);
	if (rc == 1)
		w->in_flight = (unsigned)n;
	return rc < 0 ? -1 : 0;
}

/* "DIM=SOURCE:NAME:DEFAULT"; the name of a tag or field is that of its
 * dimension, as in the records that SES tools write. */
static int
take_dimension(struct request *q, struct bytes s,
    struct destination_metrics *m)
{
	struct dimension d;
	ptrdiff_t	 equals = bytes_find(s, 0, '=');
	ptrdiff_t	 colon = equals < 0 ? -1 :
		   bytes_find(s, (size_t)equals, ':');
	size_t		 last = s.n;
	const char	*why;

	while (last > 0 && s.p[last - 1] != ':')
		last--;
	if (colon < 0 || last <= (size_t)colon + 1)
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "metrics: not NAME=SOURCE:NAME:DEFAULT: %.80s", s.p);
	d.name = bytes_head(s, (size_t)equals);
	d.value = bytes_from(s, last);
	s = bytes_head(s, last - 1); /* "NAME=SOURCE:NAME" */
	if (!dimension_source_from_text(bytes_from(
		bytes_head(s, (size_t)colon), (size_t)equals + 1), &d.source))
		return request_refuse(q, BOOK_BAD_REQUEST, "metrics: a source "
		    "is MESSAGE_TAG, EMAIL_HEADER or LINK_TAG");
	s = bytes_from(s, (size_t)colon + 1);
	if (s.n > 0 && !bytes_eq(s, d.name))
		return request_refuse(q, BOOK_BAD_REQUEST, "metrics: a "
		    "dimension has the name of its tag or field");
	why = dimension_add(m->dimensions, &d);
	return why == NULL ? 0 :
		request_refuse(q, BOOK_BAD_REQUEST, "metrics: %s", why);
}

/* All of them: what was there goes. */
static int
take_metrics(struct request *q, struct destination_metrics *m)
{
	json_t *list = arg_list(q, "metrics"), *v;
	size_t	i;

	if (list != NULL)
		m->dimensions[0] = '\0';
	json_array_foreach(list, i, v)
		if (take_dimension(q, bytes_of(json_string_value(v)), m) != 0)
			return -1;
	return 0;
}

/* What is said about one kind says nothing about the others. */
static const struct kind_option {
	const char	     *name;
	enum destination_kind kind;
	bool		      chooses; /* it says what the kind is */
} kind_options[] = { { "file", DESTINATION_FILE, true },
	{ "rotate-size", DESTINATION_FILE, false },
	{ "rotate", DESTINATION_FILE, false },
	{ "keep", DESTINATION_FILE, false },
	{ "compress", DESTINATION_FILE, false },
	{ "sync", DESTINATION_FILE, false },
	{ "webhook", DESTINATION_WEBHOOK, true },
	{ "format", DESTINATION_WEBHOOK, false },
	{ "timeout", DESTINATION_WEBHOOK, false },
	{ "in-flight", DESTINATION_WEBHOOK, false },
	{ "header", DESTINATION_WEBHOOK, false },
	{ "metrics", DESTINATION_METRICS, true },
	{ "topic", DESTINATION_TOPIC, true } };
enum { KIND_OPTIONS = sizeof(kind_options) / sizeof(kind_options[0]) };

static int
choose_kind(struct request *q, struct destination *d)
{
	static const char *const  kinds[] = { "a file", "a webhook",
		"metrics", "a topic" };
	const struct kind_option *o, *end = kind_options + KIND_OPTIONS;
	unsigned		  n = 0;

	for (o = kind_options; o < end; o++)
		if (o->chooses && arg_has(q, o->name)) {
			d->kind = o->kind;
			n++;
		}
	if (n > 1)
		return request_refuse(q, BOOK_BAD_REQUEST, "--file, "
		    "--webhook, --topic and --metrics exclude each other");
	for (o = kind_options; o < end; o++)
		if (o->kind != d->kind && arg_has(q, o->name))
			return request_refuse(q, BOOK_BAD_REQUEST,
			    "--%s is not for %s", o->name, kinds[d->kind]);
	return 0;
}

static int
take_kind(struct request *q, struct destination *d)
{
	if (choose_kind(q, d) != 0)
		return -1;
	if (d->kind != DESTINATION_WEBHOOK)
		d->sns = false;
	if (d->kind != DESTINATION_TOPIC)
		memset(&d->topic, 0, sizeof(d->topic));
	switch (d->kind) {
	case DESTINATION_WEBHOOK:
		return take_webhook(q, d);
	case DESTINATION_METRICS:
		return take_metrics(q, &d->metrics);
	case DESTINATION_TOPIC:
		return arg_has(q, "topic") ? topic_take_ref(q,
		    arg_text(q, "topic"), &d->topic) : 0;
	case DESTINATION_FILE:
		break;
	}
	return take_file(q, &d->file);
}

/* A webhook that has no key yet gets one, and shows it this once. */
int
destination_finish_webhook(struct request *q, struct destination *d,
    json_t *show)
{
	static const uint8_t none[WEBHOOK_KEY_OCTETS];
	char		     secret[WEBHOOK_SECRET_SIZE];

	if (destination_check_url(d->webhook.url,
		q->conf->events.webhook_allow_http,
		q->conf->events.webhook_allow_private, &q->err) != 0)
		return -1;
	if (memcmp(d->webhook.key, none, sizeof(none)) != 0)
		return 0;
	destination_new_key(&d->webhook, q->now);
	if (!q->dry_run)
		json_object_set_new(show, "Secret",
		    json_string(destination_secret(&d->webhook, secret)));
	return 0;
}

static int
finish_kind(struct request *q, struct db_txn *t, struct destination *d)
{
	if (d->kind == DESTINATION_WEBHOOK)
		return destination_finish_webhook(q, d, q->result);
	return d->kind == DESTINATION_TOPIC ?
		topic_may_take(q, t, &d->topic) : 0;
}

static int
take_filter(struct request *q, struct destination *d)
{
	const char *filter = arg_text(q, "filter");

	return filter == NULL ? 0 :
		destination_read_filter(bytes_of(filter), d, &q->err);
}

/* The document first, then what is typed beside it. */
static int
take_options(struct request *q, struct db_txn *t, struct destination *d)
{
	const char *document = arg_text(q, "document");
	int	    rc;

	if (document != NULL && destination_read_json(bytes_of(document), d,
		q->now, &q->err) != 0)
		return -1;
	if (take_types(q, d) != 0 || take_kind(q, d) != 0 ||
	    take_filter(q, d) != 0)
		return -1;
	rc = arg_switch(q, "extensions", &d->extensions);
	d->updated = q->now;
	return rc < 0 ? -1 : finish_kind(q, t, d);
}

/* A file that cannot be written is found out here, not by the first event. */
void
destination_warn_of_folder(struct request *q)
{
	if (access(q->conf->events.dir, W_OK) != 0)
		request_warn(q, "events.dir %s: is not there, or not writable "
		    "for the daemon: make it, then restart",
		    q->conf->events.dir);
}

/* -- add, set, enable, disable, delete ------------------------------------ */

static int
add_write(struct request *q, struct db_txn *t)
{
	struct destination_work *w = q->state;
	const char		*name = arg_text(q, "name");

	if (destination_find_set(q, t) != 0)
		return -1;
	/* a name too long must not become one that is not */
	if (name == NULL || !destination_name_is_valid(bytes_of(name)))
		return request_refuse(q, BOOK_BAD_REQUEST, "the name of an "
		    "event destination is 1 to 64 of A-Z a-z 0-9 - _");
	destination_init(&w->d, &w->set, name, q->now);
	if (take_options(q, t, &w->d) != 0)
		return -1;
	if (arg_is_true(q, "disabled"))
		(void)destination_switch(&w->d, false, q->now);
	if (destination_create(t, &w->d, &q->err) != 0)
		return -1;
	request_would(q, "create event destination %s of %s", w->d.name,
	    w->set.name);
	return 0;
}

static void
dest_add(struct request *q)
{
	if (arg_has(q, "file"))
		destination_warn_of_folder(q);
	destination_run(q, add_write);
}

static int
set_write(struct request *q, struct db_txn *t)
{
	struct destination_work *w = q->state;

	if (destination_find(q, t) != 0 || take_options(q, t, &w->d) != 0 ||
	    destination_put(t, &w->d, &q->err) != 0)
		return -1;
	request_would(q, "change event destination %s of %s", w->d.name,
	    w->set.name);
	return 0;
}

static void
dest_set(struct request *q)
{
	/* set and name are two of them */
	if (json_object_size(q->args) < 3) {
		(void)request_misuse(q, "nothing to set");
		request_end(q);
		return;
	}
	destination_run(q, set_write);
}

static int
switch_write(struct request *q, struct db_txn *t)
{
	struct destination_work *w = q->state;
	bool on = strcmp(q->command->verb, "config-set dest enable") == 0;

	if (destination_find(q, t) != 0)
		return -1;
	(void)destination_switch(&w->d, on, q->now);
	request_would(q, "%s event destination %s of %s",
	    on ? "enable" : "disable", w->d.name, w->set.name);
	return destination_put(t, &w->d, &q->err);
}

static void
dest_switch(struct request *q)
{
	destination_run(q, switch_write);
}

static int
delete_write(struct request *q, struct db_txn *t)
{
	struct destination_work *w = q->state;

	if (destination_find(q, t) != 0)
		return -1;
	request_would(q, "delete event destination %s of %s", w->d.name,
	    w->set.name);
	return destination_delete(t, &w->d, &q->err) < 0 ? -1 : 0;
}

static void
dest_delete(struct request *q)
{
	destination_run(q, delete_write);
}

/* -- list, show ----------------------------------------------------------- */

static json_t *
types_of(const struct destination *d)
{
	json_t *list = json_array();
	int	i;

	if (d->types == DESTINATION_ALL_TYPES) {
		json_array_append_new(list, json_string("all"));
		return list;
	}
	for (i = 0; i < EVENT_TYPES; i++)
		if ((d->types & (1u << i)) != 0)
			json_array_append_new(list, json_string(
			    event_type_to_text((enum event_type)i)));
	return list;
}

/* Records that wait for it: none before the first, and -1 = nobody counts
 * them, because others came before it. */
int64_t
destination_backlog(struct request *q, const struct destination *d)
{
	const struct outbox_meters *all = &q->relay->outbox_meters;
	const struct outlet_meter  *m = outbox_meter_find(all, d);

	if (m != NULL)
		return (int64_t)meter_get(&m->entries);
	return outbox_meters_are_full(all) ? -1 : 0;
}

json_t *
json_of_backlog(int64_t n)
{
	return n < 0 ? json_null() : json_integer((json_int_t)n);
}

const char *
destination_result(struct request *q, const struct destination *d,
    char out[16])
{
	const struct outlet_meter *m = outbox_meter_find(
	    &q->relay->outbox_meters, d);
	unsigned		   status;

	if (m == NULL || (meter_get(&m->success) == 0 &&
			     meter_get(&m->failure) == 0))
		return NULL;
	status = (unsigned)meter_get(&m->status);
	if (meter_get(&m->failing) == 0)
		return "ok";
	if (status == 0)
		return "failed";
	snprintf(out, 16, "%u", status);
	return out;
}

struct destination_list {
	struct request *q;
	struct db_txn  *txn;
	json_t	       *rows;
};

static bool
on_list(void *arg, const struct destination *d)
{
	struct destination_list *l = arg;
	char			 room[16];
	int64_t			 backlog;
	const char		*result;

	if (d->kind == DESTINATION_TOPIC) {
		result = topic_figures(l->q, l->txn, &d->topic, &backlog,
		    room);
	} else {
		result = destination_result(l->q, d, room);
		backlog = destination_backlog(l->q, d);
	}
	json_array_append_new(l->rows, json_pack("{s:s, s:b, s:s, s:s, s:o, "
	    "s:o, s:s?}", "Name", d->name, "Enabled", d->enabled, "Kind",
	    destination_kind_names[d->kind], "Target", destination_target(d),
	    "MatchingEventTypes", types_of(d), "Backlog",
	    json_of_backlog(backlog), "LastResult", result));
	return true;
}

static int
list_read(struct request *q, struct db_txn *t)
{
	struct destination_work *w = q->state;
	struct destination_list	 l = { .q = q, .txn = t };

	if (destination_find_set(q, t) != 0)
		return -1;
	l.rows = json_array();
	request_set(q, "EventDestinations", l.rows);
	return destination_each(t, &w->set.id, on_list, &l, &q->err);
}

static void
dest_list(struct request *q)
{
	(void)request_state(q, sizeof(struct destination_work),
	    destination_wipe);
	request_read(q, list_read);
}

static int
show_read(struct request *q, struct db_txn *t)
{
	struct destination_work *w = q->state;
	struct buf		 out;

	if (destination_find(q, t) != 0)
		return -1;
	buf_init(&out, DESTINATION_JSON_MAX);
	(void)destination_write_json(&w->d, q->conf->server.region, &out);
	return request_set_document(q, &out);
}

static void
dest_show(struct request *q)
{
	(void)request_state(q, sizeof(struct destination_work),
	    destination_wipe);
	request_read(q, show_read);
}

/* -- rotate-secret --------------------------------------------------- */

static int
rotate_write(struct request *q, struct db_txn *t)
{
	struct destination_work *w = q->state;
	char			 secret[WEBHOOK_SECRET_SIZE];

	if (destination_find(q, t) != 0)
		return -1;
	if (w->d.kind != DESTINATION_WEBHOOK)
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "%s is no webhook: it has no secret", w->d.name);
	request_would(q, "make a new secret for %s of %s", w->d.name,
	    w->set.name);
	destination_new_key(&w->d.webhook, q->now);
	w->d.updated = q->now;
	if (destination_put(t, &w->d, &q->err) != 0)
		return -1;
	if (!q->dry_run)
		request_set(q, "Secret",
		    json_string(destination_secret(&w->d.webhook, secret)));
	return 0;
}

static void
dest_rotate(struct request *q)
{
	destination_run(q, rotate_write);
}

const struct command control_destination_commands[] = {
	{ "config-set dest add", NEED_FULL, SCOPE_ACCOUNT,
	    "CreateConfigurationSetEventDestination", "eventDestinationName",
	    dest_add },
	{ "config-set dest list", NEED_READ, SCOPE_ACCOUNT, NULL, NULL,
	    dest_list },
	{ "config-set dest show", NEED_READ, SCOPE_ACCOUNT, NULL, NULL,
	    dest_show },
	{ "config-set dest set", NEED_FULL, SCOPE_ACCOUNT,
	    "UpdateConfigurationSetEventDestination", "eventDestinationName",
	    dest_set },
	{ "config-set dest enable", NEED_FULL, SCOPE_ACCOUNT,
	    "UpdateConfigurationSetEventDestination", "eventDestinationName",
	    dest_switch },
	{ "config-set dest disable", NEED_FULL, SCOPE_ACCOUNT,
	    "UpdateConfigurationSetEventDestination", "eventDestinationName",
	    dest_switch },
	{ "config-set dest delete", NEED_FULL, SCOPE_ACCOUNT,
	    "DeleteConfigurationSetEventDestination", "eventDestinationName",
	    dest_delete },
	{ "config-set dest test", NEED_FULL, SCOPE_ACCOUNT,
	    "TestConfigurationSetEventDestination", "eventDestinationName",
	    destination_test },
	{ "config-set dest rotate-secret", NEED_FULL, SCOPE_ACCOUNT,
	    "UpdateConfigurationSetEventDestination", "eventDestinationName",
	    dest_rotate },
	{ NULL, NEED_ANY, SCOPE_ANY, NULL, NULL, NULL }
};
