/* SPDX-License-Identifier: ISC */
/* Credentials: SMTP users and their keys. */
#include <stdio.h>
#include <string.h>

#include "base/ascii.h"
#include "daemon/control_private.h"
#include "daemon/control_sweep.h"
#include "registry/config_set.h"
#include "registry/policy.h"

/* -- as JSON --------------------------------------------------------------- */

static json_t *
key_json(const struct credential_key *k, struct wall now)
{
	json_t *used = json_null();

	if (k->last_used.ms != 0)
		used = json_pack("{s:o, s:o, s:s, s:o}", "Time",
		    json_of_wall(k->last_used), "Ip",
		    json_of_text(k->last_ip), "Service", "smtp", "Listener",
		    json_of_text(k->last_listener));
	return json_pack("{s:s, s:s, s:[s], s:[s], s:o, s:o, s:o}",
	    "AccessKeyId", k->id, "Status", credential_key_state(k, now),
	    "Uses", "SMTP", "Regions", k->region, "Created",
	    json_of_wall(k->created), "ExpiresAt", json_of_wall(k->expires),
	    "LastUsed", used);
}

static void
set_texts(json_t *out, const char *name, const char *first, size_t step,
    unsigned n)
{
	json_t	*list;
	unsigned i;

	if (n == 0)
		return;
	list = json_array();
	for (i = 0; i < n; i++)
		json_array_append_new(list,
		    json_of_bytes(bytes_of(first + i * step)));
	json_object_set_new(out, name, list);
}

static json_t *
restriction_tags_json(const struct credential_restrictions *r)
{
	json_t	*out = json_object();
	unsigned i;

	for (i = 0; i < r->tag_count; i++)
		json_object_set_new(out, r->tags[i].name,
		    json_string(r->tags[i].value));
	return out;
}

static json_t *
restrictions_json(const struct credential_restrictions *r)
{
	char	 text[CREDENTIAL_LIST_MAX][CIDR_TEXT_MAX];
	json_t	*out = json_object();
	unsigned i;

	for (i = 0; i < r->cidr_count; i++)
		conf_cidr_to_text(&r->cidrs[i], text[i]);
	set_texts(out, "SourceCidrs", text[0], sizeof(text[0]),
	    r->cidr_count);
	set_texts(out, "Listeners", r->listeners[0], sizeof(r->listeners[0]),
	    r->listener_count);
	if (r->min_tls != 0)
		json_object_set_new(out, "MinTls",
		    json_string(r->min_tls == 13 ? "1.3" : "1.2"));
	set_texts(out, "FromAddresses", r->from[0], sizeof(r->from[0]),
	    r->from_count);
	set_texts(out, "Recipients", r->rcpt[0], sizeof(r->rcpt[0]),
	    r->rcpt_count);
	if (r->max_recipients != 0)
		json_object_set_new(out, "MaxRecipients",
		    json_integer(r->max_recipients));
	if (r->max_size != 0)
		json_object_set_new(out, "MaxMessageSize",
		    json_integer((json_int_t)r->max_size));
	if (r->max_24h >= 0)
		json_object_set_new(out, "Max24HourSend",
		    json_real(r->max_24h));
	if (r->rate >= 0)
		json_object_set_new(out, "MaxSendRate", json_real(r->rate));
	if (r->max_sessions != 0)
		json_object_set_new(out, "MaxSessions",
		    json_integer(r->max_sessions));
	if (r->config_set[0] != '\0') {
		json_object_set_new(out, "ConfigurationSet",
		    json_string(r->config_set));
		json_object_set_new(out, "ForceConfigurationSet",
		    json_boolean(r->force_config_set));
	}
	if (r->tag_count > 0)
		json_object_set_new(out, "Tags", restriction_tags_json(r));
	if (r->expires.ms != 0)
		json_object_set_new(out, "ExpiresAt",
		    json_of_wall(r->expires));
	return out;
}

static void
credential_show_set(struct request *q, const struct credential *c)
{
	json_t	*policies = json_array(), *keys = json_array();
	char	 arn[256];
	unsigned i;

	snprintf(arn, sizeof(arn), "arn:aws:iam::%s:user/%s", c->account,
	    c->name);
	for (i = 0; i < c->policy_count; i++)
		json_array_append_new(policies, json_pack("{s:s, s:o}",
		    "PolicyName", c->policies[i].name, "PolicyDocument",
		    json_of_bytes(bytes_of(c->policies[i].text))));
	for (i = 0; i < c->key_count; i++)
		json_array_append_new(keys, key_json(&c->keys[i], q->now));
	request_set(q, "Account", json_string(c->account));
	request_set(q, "UserName", json_string(c->name));
	request_set(q, "Arn", json_string(arn));
	request_set(q, "Status",
	    json_string(c->enabled ? "ENABLED" : "DISABLED"));
	request_set(q, "Role", json_string(credential_role_to_text(c->role)));
	if (c->description[0] != '\0')
		request_set(q, "Description",
		    json_of_bytes(bytes_of(c->description)));
	request_set(q, "Created", json_of_wall(c->created));
	request_set(q, "Policies", policies);
	request_set(q, "Restrictions", restrictions_json(&c->limits));
	request_set(q, "Overrides", json_of_overrides(&c->overrides));
	request_set(q, "Keys", keys);
}

/* -- finding --------------------------------------------------------------- */

/* *key: CREDENTIAL_KEYS_MAX = the name is that of the user. 0 / -1 */
static int
credential_find(struct request *q, struct db_txn *t, struct credential *c,
    unsigned *key)
{
	const char *name = arg_text(q, "name");
	int	    found;

	*key = CREDENTIAL_KEYS_MAX; /* also where it is refused */
	if (name == NULL)
		return request_misuse(q, "which credential?");
	found = credential_get(t, q->account.id, name, c, &q->err);
	if (found == 0 && credential_key_id_is_valid(name)) {
		found = credential_find_key(t, name, c, key, &q->err);
		if (found == 1 && strcmp(c->account, q->account.id) != 0)
			found = 0;
	}
	if (found == 0)
		return request_refuse(q, BOOK_NOT_FOUND,
		    "no such credential: %s", name);
	return found < 0 ? -1 : 0;
}

/* -- arguments ------------------------------------------------------------- */

static int
arg_texts(struct request *q, const char *name, char *first, size_t size,
    unsigned max, unsigned *count)
{
	json_t *list = arg_list(q, name), *v;
	size_t	i;

	if (list == NULL)
		return 0;
	*count = 0;
	json_array_foreach(list, i, v) {
		if (json_string_length(v) == 0)
			continue;
		if (*count == max)
			return request_refuse(q, BOOK_BAD_REQUEST,
			    "%s: at most %u", name, max);
		if (json_string_length(v) >= size)
			return request_refuse(q, BOOK_BAD_REQUEST,
			    "%s: too long", name);
		strcpy(first + (*count)++ * size, json_string_value(v));
	}
	return 0;
}

static int
arg_cidrs(struct request *q, struct credential_restrictions *r)
{
	json_t *list = arg_list(q, "allow-cidr"), *v;
	size_t	i;

	if (list == NULL)
		return 0;
	r->cidr_count = 0;
	json_array_foreach(list, i, v) {
		if (json_string_length(v) == 0)
			continue;
		if (r->cidr_count == CREDENTIAL_LIST_MAX)
			return request_refuse(q, BOOK_BAD_REQUEST,
			    "allow-cidr: at most %d", CREDENTIAL_LIST_MAX);
		if (!conf_cidr_parse(bytes_of(json_string_value(v)),
			&r->cidrs[r->cidr_count]))
			return request_refuse(q, BOOK_BAD_REQUEST,
			    "not an address range: %s", json_string_value(v));
		r->cidr_count++;
	}
	return 0;
}

static int
arg_listeners(struct request *q, struct credential_restrictions *r)
{
	unsigned i;

	if (arg_texts(q, "listener", r->listeners[0], sizeof(r->listeners[0]),
		sizeof(r->listeners) / sizeof(r->listeners[0]),
		&r->listener_count) != 0)
		return -1;
	for (i = 0; i < r->listener_count; i++)
		if (conf_listener_find(q->conf, bytes_of(r->listeners[i])) ==
		    NULL)
			return request_refuse(q, BOOK_BAD_REQUEST,
			    "no such listener: %s", r->listeners[i]);
	return 0;
}

static int
arg_credential_numbers(struct request *q, struct credential_restrictions *r)
{
	static const char *const versions[] = { "1.2", "1.3", NULL };
	int64_t n;
	int	i, rc;

	rc = arg_int(q, "max-recipients", 0, q->conf->smtp.max_recipients,
	    &n);
	if (rc == 1)
		r->max_recipients = (unsigned)n;
	if (rc < 0)
		return -1;
	rc = arg_int(q, "max-size", 0,
	    (int64_t)q->conf->message.max_size_bytes, &n);
	if (rc == 1)
		r->max_size = (uint64_t)n;
	if (rc < 0)
		return -1;
	rc = arg_int(q, "max-sessions", 0, 1000000, &n);
	if (rc == 1)
		r->max_sessions = (unsigned)n;
	if (rc < 0)
		return -1;
	rc = arg_word(q, "min-tls", versions, &i);
	if (rc == 1)
		r->min_tls = i == 0 ? 12 : 13;
	if (rc < 0 || arg_amount(q, "max-24h", &r->max_24h) < 0 ||
	    arg_amount(q, "rate", &r->rate) < 0)
		return -1;
	/* unlimited: the account's limits alone hold */
	if (r->max_24h == -1)
		r->max_24h = -2;
	if (r->rate == -1)
		r->rate = -2;
	return 0;
}

/* Lists of NAME=TEXT; an empty text removes. */
static int
arg_policies(struct request *q, struct credential *c)
{
	json_t	   *list = arg_list(q, "policy"), *v;
	const char *text, *eq;
	char	    name[POLICY_NAME_MAX + 1];
	size_t	    i;

	json_array_foreach(list, i, v) {
		text = json_string_value(v);
		eq = strchr(text, '=');
		if (eq == NULL || (size_t)(eq - text) > POLICY_NAME_MAX)
			return request_refuse(q, BOOK_BAD_REQUEST,
			    "policy: NAME=DOCUMENT is wanted");
		bytes_text(bytes_head(bytes_of(text), (size_t)(eq - text)),
		    name, sizeof(name));
		if (credential_set_policy(c, name, bytes_of(eq + 1),
			&q->err) != 0)
			return -1;
	}
	return 0;
}

/* The set has to be there now; it is looked up again for each message. */
static int
arg_config_set(struct request *q, struct db_txn *t,
    struct credential_restrictions *r)
{
	const char	 *name = arg_text(q, "config-set");
	bool		  force = arg_is_true(q, "force-config-set");
	struct config_set s;
	int		  found;

	if (name == NULL && force && r->config_set[0] == '\0')
		return request_misuse(q,
		    "--force-config-set needs --config-set");
	r->force_config_set = name != NULL ? force
					   : force || r->force_config_set;
	if (name == NULL)
		return 0;
	found = name[0] == '\0' ? 1 : config_set_get(t, q->account.id,
	    bytes_of(name), &s, &q->err);
	if (found == 0)
		return request_refuse(q, BOOK_NOT_FOUND,
		    "no such configuration set: %.64s", name);
	if (found < 0)
		return -1;
	bytes_text(bytes_of(name), r->config_set, sizeof(r->config_set));
	r->force_config_set = force && name[0] != '\0';
	return 0;
}

static int
arg_tag(struct request *q, struct credential_restrictions *r,
    struct bytes text)
{
	ptrdiff_t    equals = bytes_find(text, 0, '=');
	struct bytes name = bytes_head(text, equals < 0 ? 0 : (size_t)equals);
	struct bytes value = bytes_from(text, (size_t)(equals + 1));
	unsigned     i;

	if (equals < 0 || !message_tag_is_valid(name) ||
	    !message_tag_is_valid(value))
		return request_refuse(q, BOOK_BAD_REQUEST, "tag: NAME=VALUE "
		    "is wanted, each 1 to 256 of A-Z a-z 0-9 - _");
	for (i = 0; i < r->tag_count; i++)
		if (bytes_eq_text(name, r->tags[i].name))
			return request_refuse(q, BOOK_BAD_REQUEST,
			    "tag: %s is given twice", r->tags[i].name);
	if (r->tag_count == CREDENTIAL_LIST_MAX)
		return request_refuse(q, BOOK_BAD_REQUEST, "tag: at most %d",
		    CREDENTIAL_LIST_MAX);
	bytes_text(name, r->tags[i].name, sizeof(r->tags[i].name));
	bytes_text(value, r->tags[i].value, sizeof(r->tags[i].value));
	r->tag_count++;
	return 0;
}

static int
arg_given_tags(struct request *q, struct credential_restrictions *r)
{
	json_t *list = arg_list(q, "tag"), *v;
	size_t	i;

	if (list == NULL)
		return 0;
	r->tag_count = 0;
	json_array_foreach(list, i, v)
		if (json_string_length(v) > 0 &&
		    arg_tag(q, r, bytes_of(json_string_value(v))) != 0)
			return -1;
	return 0;
}

static int
credential_take_options(struct request *q, struct db_txn *t,
    struct credential *c)
{
	struct credential_restrictions *r = &c->limits;
	const char		       *role = arg_text(q, "role");

	if (role != NULL && !credential_role_from_text(role, &c->role))
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "no such role: %s", role);
	if (arg_copy(q, "description", c->description,
		sizeof(c->description)) < 0 ||
	    arg_cidrs(q, r) != 0 || arg_listeners(q, r) != 0 ||
	    arg_texts(q, "from", r->from[0], sizeof(r->from[0]),
		CREDENTIAL_LIST_MAX, &r->from_count) != 0 ||
	    arg_texts(q, "rcpt", r->rcpt[0], sizeof(r->rcpt[0]),
		CREDENTIAL_LIST_MAX, &r->rcpt_count) != 0 ||
	    arg_credential_numbers(q, r) != 0 ||
	    arg_config_set(q, t, r) != 0 || arg_given_tags(q, r) != 0 ||
	    arg_overrides(q, &c->overrides) != 0 || arg_policies(q, c) != 0)
		return -1;
	return 0;
}

/* -- create, import, rotate ------------------------------------------------ */

static void
credential_show_secret(struct request *q, const struct credential *c,
    const struct credential_key *k, const char *password)
{
	request_would(q, "make a key of credential %s", c->name);
	if (q->dry_run)
		return; /* it opens nothing */
	request_set(q, "UserName", json_string(c->name));
	request_set(q, "AccessKeyId", json_string(k->id));
	request_set(q, "SmtpPassword", json_string(password));
	request_set(q, "Region", json_string(k->region));
}

static int
credential_begin(struct request *q, struct db_txn *t, struct credential *c)
{
	const char *name = arg_text(q, "name");

	credential_init(c);
	memcpy(c->account, q->account.id, sizeof(c->account));
	c->created = c->updated = q->now;
	if (name == NULL)
		credential_default_name(q->now, c->name);
	else if (!credential_name_is_valid(name))
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "not a user name: %s", name);
	else
		strcpy(c->name, name);
	return credential_take_options(q, t, c);
}

static int
credential_create_write(struct request *q, struct db_txn *t)
{
	struct credential *c = mem_alloc(sizeof(*c));
	char		   password[CREDENTIAL_PASSWORD_SIZE];
	int		   rc;

	rc = credential_begin(q, t, c);
	if (rc == 0 && arg_time(q, "expires", &c->limits.expires) < 0)
		rc = -1;
	if (rc == 0) {
		credential_make_key(&c->keys[0], q->conf->server.region,
		    q->now, password);
		c->key_count = 1;
		rc = credential_create(t, c, q->conf->limits.credentials,
		    &q->err);
	}
	if (rc == 0)
		credential_show_secret(q, c, &c->keys[0], password);
	mem_wipe(password, sizeof(password));
	mem_wipe(c, sizeof(*c));
	mem_free(c);
	return rc;
}

static void
credential_create_run(struct request *q)
{
	request_write(q, credential_create_write, NULL);
}

static int
credential_import_key(struct request *q, struct credential_key *k)
{
	const char *password = arg_text(q, "smtp-password");
	const char *secret = arg_text(q, "secret");
	const char *id = arg_text(q, "access-key-id");

	if (id == NULL || (password == NULL) == (secret == NULL))
		return request_misuse(q, "--access-key-id and one of "
		    "--smtp-password-stdin and --secret-stdin are needed");
	if (!credential_key_id_is_valid(id))
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "not an access key id: %s", id);
	strcpy(k->id, id);
	k->created = q->now;
	if (password != NULL)
		return credential_import_password(k, q->conf->server.region,
		    bytes_of(password), &q->err);
	return credential_import_secret(k, q->conf->server.region,
	    bytes_of(secret), &q->err);
}

static int
credential_import_write(struct request *q, struct db_txn *t)
{
	struct credential *c = mem_alloc(sizeof(*c));
	int		   rc;

	rc = credential_begin(q, t, c);
	if (rc == 0)
		rc = credential_import_key(q, &c->keys[0]);
	if (rc == 0) {
		c->key_count = 1;
		rc = credential_create(t, c, q->conf->limits.credentials,
		    &q->err);
	}
	request_would(q, "import credential %s", c->name);
	mem_wipe(c, sizeof(*c));
	mem_free(c);
	return rc;
}

static void
credential_import(struct request *q)
{
	request_write(q, credential_import_write, NULL);
}

static int
credential_rotate_write(struct request *q, struct db_txn *t)
{
	struct credential    *c = mem_alloc(sizeof(*c));
	struct credential_key k;
	char		      password[CREDENTIAL_PASSWORD_SIZE];
	int64_t		      keep = CREDENTIAL_KEY_KEEP_MS;
	unsigned	      key;
	int		      rc;

	rc = credential_find(q, t, c, &key);
	if (rc == 0 && key != CREDENTIAL_KEYS_MAX)
		rc = request_refuse(q, BOOK_BAD_REQUEST,
		    "rotate takes the name of a user");
	if (rc == 0 &&
	    arg_int(q, "keep", 0, INT64_C(366) * 86400000, &keep) < 0)
		rc = -1;
	if (rc == 0) {
		credential_make_key(&k, q->conf->server.region, q->now,
		    password);
		rc = credential_rotate(c, &k, keep, q->now, &q->err);
	}
	if (rc == 0)
		rc = credential_put(t, c, &q->err);
	if (rc == 0)
		credential_show_secret(q, c, &k, password);
	mem_wipe(password, sizeof(password));
	mem_free(c);
	return rc;
}

static void
credential_rotate_run(struct request *q)
{
	request_write(q, credential_rotate_write, NULL);
}

/* -- list, show, set ------------------------------------------------------- */

struct credential_list {
	struct request *q;
	struct page	page;
};

static bool
credential_on_list(void *arg, const struct credential *c)
{
	struct credential_list *l = arg;
	json_t		       *keys;
	char			name[CREDENTIAL_NAME_SIZE];
	unsigned		i;

	memcpy(name, c->name, sizeof(name));
	ascii_lower_text(name);
	if (!page_wants(&l->page, name))
		return !page_is_full(&l->page);
	keys = json_array();
	for (i = 0; i < c->key_count; i++)
		json_array_append_new(keys, key_json(&c->keys[i], l->q->now));
	json_array_append_new(l->page.rows, json_pack(
	    "{s:s, s:s, s:s, s:o, s:o}", "UserName", c->name, "Status",
	    c->enabled ? "ENABLED" : "DISABLED", "Role",
	    credential_role_to_text(c->role), "Created",
	    json_of_wall(c->created), "Keys", keys));
	return true;
}

static int
credential_list_read(struct request *q, struct db_txn *t)
{
	struct credential_list l = { q, { 0 } };
	int		       rc;

	if (page_open(q, &l.page) != 0)
		return -1;
	rc = credential_each(t, q->account.id, credential_on_list, &l,
	    &q->err);
	page_close(q, &l.page, "Credentials");
	return rc;
}

static void
credential_list(struct request *q)
{
	request_read(q, credential_list_read);
}

static int
credential_show_read(struct request *q, struct db_txn *t)
{
	struct credential *c = mem_alloc(sizeof(*c));
	unsigned	   key;
	int		   rc = credential_find(q, t, c, &key);

	if (rc == 0)
		credential_show_set(q, c);
	mem_free(c);
	return rc;
}

static void
credential_show(struct request *q)
{
	request_read(q, credential_show_read);
}

static int
credential_change(struct request *q, struct db_txn *t, struct credential *c,
    unsigned key)
{
	struct wall *expires = key == CREDENTIAL_KEYS_MAX
		? &c->limits.expires : &c->keys[key].expires;

	/* "name" is one of them */
	if (json_object_size(q->args) < 2)
		return request_misuse(q, "nothing to set");
	if (key != CREDENTIAL_KEYS_MAX && (json_object_size(q->args) > 2 ||
		!arg_has(q, "expires")))
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "a key has no options but --expires");
	if (arg_time(q, "expires", expires) < 0)
		return -1;
	return credential_take_options(q, t, c);
}

static int
credential_set_write(struct request *q, struct db_txn *t)
{
	struct credential *c = mem_alloc(sizeof(*c));
	unsigned	   key;
	int		   rc = credential_find(q, t, c, &key);

	if (rc == 0)
		rc = credential_change(q, t, c, key);
	if (rc == 0) {
		c->updated = q->now;
		rc = credential_put(t, c, &q->err);
	}
	request_would(q, "change credential %s", c->name);
	mem_free(c);
	return rc;
}

static void
credential_set(struct request *q)
{
	request_write(q, credential_set_write, NULL);
}

/* -- enable, disable, delete ----------------------------------------------- */

static int
credential_switch_write(struct request *q, struct db_txn *t)
{
	struct credential *c = mem_alloc(sizeof(*c));
	bool		   on = q->command->verb[strlen("credential ")] == 'e';
	unsigned	   key;
	int		   rc = credential_find(q, t, c, &key);

	if (rc == 0) {
		if (key == CREDENTIAL_KEYS_MAX)
			c->enabled = on;
		else
			c->keys[key].active = on;
		c->updated = q->now;
		rc = credential_put(t, c, &q->err);
	}
	request_would(q, "%s credential %s", on ? "enable" : "disable",
	    key == CREDENTIAL_KEYS_MAX ? c->name : c->keys[key].id);
	mem_free(c);
	return rc;
}

static void
credential_on_held(struct sweep *s)
{
	struct request *q = s->q;

	request_set(q, "Jobs", json_integer((json_int_t)s->changed));
	if (s->err.text[0] != '\0')
		q->err = s->err;
	request_end(q);
}

static void
credential_after_switch(struct request *q)
{
	struct sweep *s;

	if (!arg_is_true(q, "hold-queue")) {
		request_end(q);
		return;
	}
	s = sweep_new(q->control, q);
	memcpy(s->filter.account, q->account.id, sizeof(s->filter.account));
	s->filter.credential = bytes_of(arg_text(q, "name"));
	s->kind = CHANGE_HOLD;
	s->held_by = HELD_OPERATOR;
	s->done = credential_on_held;
	sweep_start(s);
}

static void
credential_switch(struct request *q)
{
	request_write(q, credential_switch_write, credential_after_switch);
}

/* A credential of that name that is made later would be named again. */
static int
credential_check_naming(struct request *q, struct db_txn *t, const char *name)
{
	struct buf list;
	int	   n = 0;

	buf_init(&list, ERR_TEXT_MAX);
	if (!arg_is_true(q, "yes"))
		n = control_policies_naming(q, t, name, &list);
	if (n > 0) {
		q->error_code = "ConflictException";
		request_refuse(q, BOOK_BAD_REQUEST, "policies of identities "
		    "name %s: %.*s; use --yes", name,
		    (int)(list.n < 300 ? list.n : 300), list.p);
	}
	buf_wipe(&list);
	return n != 0 ? -1 : 0;
}

static int
credential_delete_write(struct request *q, struct db_txn *t)
{
	struct credential *c = mem_alloc(sizeof(*c));
	unsigned	   key;
	int		   rc = credential_find(q, t, c, &key);

	if (rc == 0 && key == CREDENTIAL_KEYS_MAX) {
		rc = credential_check_naming(q, t, c->name);
		if (rc == 0 && credential_delete(t, c->account, c->name,
			&q->err) < 0)
			rc = -1;
	} else if (rc == 0) {
		c->key_count--;
		memmove(&c->keys[key], &c->keys[key + 1],
		    (c->key_count - key) * sizeof(c->keys[0]));
		c->updated = q->now;
		rc = credential_put(t, c, &q->err);
	}
	request_would(q, "delete %s", arg_text(q, "name") != NULL ?
	    arg_text(q, "name") : "");
	mem_free(c);
	return rc;
}

static void
credential_delete_run(struct request *q)
{
	request_write(q, credential_delete_write, NULL);
}

const struct command control_credential_commands[] = {
	{ "credential create", NEED_FULL, SCOPE_ACCOUNT, "CredentialCreate",
	    "userName", credential_create_run },
	{ "credential import", NEED_FULL, SCOPE_ACCOUNT, "CredentialImport",
	    "userName", credential_import },
	{ "credential list", NEED_READ, SCOPE_ACCOUNT, NULL, NULL,
	    credential_list },
	{ "credential show", NEED_READ, SCOPE_ACCOUNT, NULL, NULL,
	    credential_show },
	{ "credential set", NEED_FULL, SCOPE_ACCOUNT, "CredentialSet",
	    "userName", credential_set },
	{ "credential enable", NEED_FULL, SCOPE_ACCOUNT, "CredentialEnable",
	    "userName", credential_switch },
	{ "credential disable", NEED_FULL, SCOPE_ACCOUNT, "CredentialDisable",
	    "userName", credential_switch },
	{ "credential delete", NEED_FULL, SCOPE_ACCOUNT, "CredentialDelete",
	    "userName", credential_delete_run },
	{ "credential rotate", NEED_FULL, SCOPE_ACCOUNT, "CredentialRotate",
	    "userName", credential_rotate_run },
	{ NULL, NEED_ANY, SCOPE_ANY, NULL, NULL, NULL }
};
