/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/ascii.h"
#include "base/utf8.h"
#include "daemon/control_private.h"

enum {
	ARG_NAME_MAX = 64,
	ARG_TEXT_MAX = 4096,
	ARG_ITEMS_MAX = 100000,
	/* as the audit log shows them */
	AUDIT_TEXT_MAX = 10240, /* of one value */
	AUDIT_ARGS_MAX = 32768, /* of all; a line has six times as much */
	AUDIT_ITEM_COST = 8,
	AUDIT_ARG_COST = 128
};

/* -- rights ---------------------------------------------------------------- */

static void
control_right_of_admin(const struct conf_admin *a, struct control_right *out)
{
	static const enum control_role roles[] = {
		[CONF_ADMIN_FULL] = CONTROL_FULL,
		[CONF_ADMIN_READ_ONLY] = CONTROL_READ,
		[CONF_ADMIN_SEND] = CONTROL_SEND,
	};

	out->role = roles[a->role];
	if (a->account != NULL)
		bytes_text(bytes_of(a->account), out->account,
		    sizeof(out->account));
	if (a->user.kind == CONF_PRINCIPAL_USER)
		out->name = a->user.name;
}

void
control_right_of(const struct conf *c, const struct control_peer *p,
    uint32_t own_uid, struct control_right *out)
{
	size_t i;

	memset(out, 0, sizeof(*out));
	if (p->uid == 0 || p->uid == own_uid) {
		out->role = CONTROL_FULL;
		out->name = p->uid == 0 ? "root" : c->server.user;
		return;
	}
	for (i = 0; i < c->admin_count; i++)
		if (conf_principal_fits(&c->admins[i].user, p->uid, p->gids,
			p->gid_count)) {
			control_right_of_admin(&c->admins[i], out);
			return;
		}
	if (!c->server.admin_group_known)
		return;
	for (i = 0; i < p->gid_count; i++)
		if (p->gids[i] == c->server.admin_gid)
			out->role = CONTROL_FULL;
}

bool
control_may(const struct control_right *r, const struct command *c)
{
	if (c->scope == SCOPE_NONE && r->account[0] != '\0')
		return false;
	switch (c->need) {
	case NEED_ANY:
		return r->role != CONTROL_NOBODY;
	case NEED_READ:
		return r->role == CONTROL_READ || r->role == CONTROL_FULL;
	case NEED_SEND:
		return r->role == CONTROL_SEND || r->role == CONTROL_FULL;
	case NEED_FULL:
		return r->role == CONTROL_FULL;
	case NEED_OPERATOR:
		return r->role == CONTROL_FULL && r->account[0] == '\0';
	}
	return false;
}

/* -- arguments ------------------------------------------------------------- */

/* Texts that may have several lines. */
static bool
arg_is_long(const char *name)
{
	return strcmp(name, "policy") == 0 || strcmp(name, "document") == 0;
}

static bool
arg_text_is_clean(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return false;
	return true;
}

static int
arg_check_text(struct request *q, const char *name, const json_t *v)
{
	size_t max = arg_is_long(name) ? CONTROL_REQUEST_MAX : ARG_TEXT_MAX;

	if (!arg_is_long(name) && !arg_text_is_clean(json_string_value(v)))
		return request_misuse(q, "%s: control characters", name);
	if (json_string_length(v) > max)
		return request_misuse(q, "%s: too long", name);
	return 0;
}

static int
arg_check_items(struct request *q, const char *name, const json_t *v)
{
	json_t *item;
	size_t	i;

	if (json_array_size(v) > ARG_ITEMS_MAX)
		return request_misuse(q, "%s: too many", name);
	json_array_foreach(v, i, item) {
		if (!json_is_string(item))
			return request_misuse(q, "%s: not a list of texts",
			    name);
		if (arg_check_text(q, name, item) != 0)
			return -1;
	}
	return 0;
}

int
args_check(struct request *q)
{
	const char *name;
	json_t	   *v;

	if (!json_is_object(q->args))
		return request_misuse(q, "arguments are not an object");
	json_object_foreach(q->args, name, v) {
		if (strlen(name) >= ARG_NAME_MAX)
			return request_misuse(q, "unknown argument");
		if (json_is_object(v) || json_is_null(v))
			return request_misuse(q, "%s: wrong type", name);
		if (json_is_string(v) && arg_check_text(q, name, v) != 0)
			return -1;
		if (json_is_array(v) && arg_check_items(q, name, v) != 0)
			return -1;
	}
	return 0;
}

bool
arg_has(const struct request *q, const char *name)
{
	return json_object_get(q->args, name) != NULL;
}

bool
arg_is_true(const struct request *q, const char *name)
{
	return json_is_true(json_object_get(q->args, name));
}

const char *
arg_text(const struct request *q, const char *name)
{
	return json_string_value(json_object_get(q->args, name));
}

int
arg_copy(struct request *q, const char *name, char *out, size_t size)
{
	const char *text = arg_text(q, name);

	if (text == NULL)
		return 0;
	if (strlen(text) >= size)
		return request_refuse(q, BOOK_BAD_REQUEST, "%s: too long",
		    name);
	strcpy(out, text);
	return 1;
}

int
arg_int(struct request *q, const char *name, int64_t min, int64_t max,
    int64_t *out)
{
	json_t *v = json_object_get(q->args, name);

	if (v == NULL)
		return 0;
	if (!json_is_integer(v) || json_integer_value(v) < min ||
	    json_integer_value(v) > max)
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "%s: not a number from %lld to %lld", name,
		    (long long)min, (long long)max);
	*out = json_integer_value(v);
	return 1;
}

int
arg_amount(struct request *q, const char *name, double *out)
{
	json_t *v = json_object_get(q->args, name);

	if (v == NULL)
		return 0;
	if (!json_is_number(v) || !(json_number_value(v) == -1 ||
	    (json_number_value(v) >= 0 && json_number_value(v) < 1e15)))
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "%s: not an amount", name);
	*out = json_number_value(v);
	return 1;
}

int
arg_switch(struct request *q, const char *name, bool *out)
{
	json_t	   *v = json_object_get(q->args, name);
	const char *text = json_string_value(v);

	if (v == NULL)
		return 0;
	if (json_is_boolean(v))
		*out = json_is_true(v);
	else if (text != NULL && strcmp(text, "on") == 0)
		*out = true;
	else if (text != NULL && strcmp(text, "off") == 0)
		*out = false;
	else
		return request_refuse(q, BOOK_BAD_REQUEST, "%s: not on or off",
		    name);
	return 1;
}

int
arg_file(struct request *q, const char *name, int *fd)
{
	struct stat st;
	int64_t	    index = -1;
	int	    rc = arg_int(q, name, 0, CONTROL_FDS_MAX - 1, &index);

	if (rc <= 0)
		return rc;
	*fd = request_take_fd(q, index);
	if (*fd < 0 || fstat(*fd, &st) != 0 || !S_ISREG(st.st_mode))
		return request_misuse(q, "%s: not a file", name);
	return 1;
}

int
arg_word(struct request *q, const char *name, const char *const *words,
    int *out)
{
	const char *text = arg_text(q, name);
	struct buf  list;
	int	    i;

	if (!arg_has(q, name))
		return 0;
	for (i = 0; text != NULL && words[i] != NULL; i++)
		if (strcasecmp(text, words[i]) == 0) {
			*out = i;
			return 1;
		}
	buf_init(&list, 1024);
	for (i = 0; words[i] != NULL; i++)
		buf_printf(&list, "%s%s", i > 0 ? ", " : "", words[i]);
	request_refuse(q, BOOK_BAD_REQUEST, "%s: %.60s is not one of %.*s",
	    name, text != NULL ? text : "it", (int)list.n, list.p);
	buf_wipe(&list);
	return -1;
}

int
arg_time(struct request *q, const char *name, struct wall *out)
{
	/* year 9999: ISO texts have four digits */
	return arg_int(q, name, 0, INT64_C(253402300799000), &out->ms);
}

json_t *
arg_list(const struct request *q, const char *name)
{
	json_t *v = json_object_get(q->args, name);

	return json_is_array(v) ? v : NULL;
}

int
arg_tags(const struct request *q, struct resource_tags *tags, struct err *e)
{
	json_t	    *list = arg_list(q, "tag"), *v;
	struct bytes text, key;
	ptrdiff_t    equals;
	size_t	     i;

	if (list == NULL)
		return 0;
	tags->n = 0;
	json_array_foreach(list, i, v) {
		text = bytes_of(json_string_value(v));
		if (text.n == 0)
			continue;
		equals = bytes_find(text, 0, '=');
		key = equals < 0 ? text : bytes_head(text, (size_t)equals);
		if (resource_tags_add(tags, key, equals < 0 ? BYTES("") :
			bytes_from(text, (size_t)equals + 1), e) != 0)
			return -1;
	}
	return 0;
}

/* -- the audit log --------------------------------------------------------- */

/* "max-24h" as "max24h", "key-file" as "keyFile". */
static void
args_camel(const char *name, char out[ARG_NAME_MAX])
{
	size_t n = 0;

	for (; *name != '\0' && n + 1 < ARG_NAME_MAX; name++) {
		if (*name == '-' && name[1] >= 'a' && name[1] <= 'z') {
			name++;
			out[n++] = ascii_upper(*name);
		} else if (*name != '-')
			out[n++] = *name;
	}
	out[n] = '\0';
}

/* At most n octets of it, never a part of a letter. */
static json_t *
args_cut_text(const json_t *v, size_t n)
{
	const char *text = json_string_value(v);
	struct buf  b;
	json_t	   *out;

	while (n > 0 && utf8_is_inner(text[n]))
		n--;
	buf_init(&b, n + 8);
	buf_add(&b, text, n);
	buf_add_text(&b, "...");
	out = json_stringn(b.p, b.n);
	buf_wipe(&b);
	return out;
}

/* A value, as long as there is room: a command too long for a line of the
 * log must stand there all the same. */
static json_t *
args_cut(json_t *v, size_t *room)
{
	size_t	n, i;
	json_t *out, *item;
	char	more[40];

	if (json_is_string(v)) {
		n = json_string_length(v);
		if (n > AUDIT_TEXT_MAX || n > *room)
			n = *room < AUDIT_TEXT_MAX ? *room : AUDIT_TEXT_MAX;
		*room -= n;
		return n < json_string_length(v) ? args_cut_text(v, n)
						 : json_incref(v);
	}
	if (!json_is_array(v))
		return json_incref(v);
	out = json_array();
	json_array_foreach(v, i, item) {
		if (*room < AUDIT_ITEM_COST + json_string_length(item) &&
		    i > 0) {
			snprintf(more, sizeof(more), "and %zu more",
			    json_array_size(v) - i);
			json_array_append_new(out, json_string(more));
			break;
		}
		json_array_append_new(out, args_cut(item, room));
		*room -= *room < AUDIT_ITEM_COST ? *room : AUDIT_ITEM_COST;
	}
	return out;
}

/* The document of a webhook: its headers may be tokens. */
static bool
args_has_headers(const struct request *q, const char *name, const json_t *v)
{
	return strcmp(name, "document") == 0 &&
	    strncmp(q->command->verb, "config-set dest ", 16) == 0 &&
	    json_is_string(v) &&
	    strstr(json_string_value(v), "Headers") != NULL;
}

json_t *
args_for_audit(const struct request *q)
{
	static const struct {
		const char *name, *shown;
	} secrets[] = { { "smtp-password", "smtpPassword" },
		{ "secret", "secretAccessKey" },
		{ "key-file", "domainSigningPrivateKey" },
		{ "token", "token" }, { "header", "headers" } };
	char	    camel[ARG_NAME_MAX];
	json_t	   *out = json_object(), *v;
	const char *name;
	size_t	    i, n = sizeof(secrets) / sizeof(secrets[0]);
	size_t	    room = AUDIT_ARGS_MAX;

	json_object_foreach(q->args, name, v) {
		if (room < AUDIT_ARG_COST)
			break;
		room -= AUDIT_ARG_COST;
		for (i = 0; i < n && strcmp(secrets[i].name, name) != 0; i++)
			;
		/* a switch of that name is none */
		if ((i < n && !json_is_boolean(v)) ||
		    args_has_headers(q, name, v)) {
			json_object_set_new(out, i < n ? secrets[i].shown :
			    name, json_string("***"));
			continue;
		}
		args_camel(name, camel);
		json_object_set_new(out, strcmp(name, "name") == 0 &&
			q->command->object != NULL ? q->command->object
						   : camel,
		    args_cut(v, &room));
	}
	return out;
}
