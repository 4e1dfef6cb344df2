/* SPDX-License-Identifier: ISC */
/* Clients that may not connect (receiving.md 4). */
#include <string.h>

#include "daemon/control_private.h"
#include "registry/ip_filter.h"

static json_t *
filter_json(const struct ip_filter *f)
{
	char cidr[CIDR_TEXT_MAX];

	return json_pack("{s:s, s:s, s:s, s:o, s:o}", "Name", f->name, "Cidr",
	    conf_cidr_to_text(&f->cidr, cidr), "Policy",
	    f->allow ? "Allow" : "Block", "Listener",
	    json_of_text(f->listener), "Created", json_of_wall(f->created));
}

static bool
filter_on_list(void *arg, const struct ip_filter *f)
{
	json_array_append_new(arg, filter_json(f));
	return true;
}

static int
filter_list_read(struct request *q, struct db_txn *t)
{
	json_t *rows = json_array();

	request_set(q, "Filters", rows);
	return ip_filter_each(t, filter_on_list, rows, &q->err);
}

static void
filter_list(struct request *q)
{
	request_read(q, filter_list_read);
}

static int
filter_name(struct request *q, char *out)
{
	const char *name = arg_text(q, "name");

	if (name == NULL || !ip_filter_name_is_valid(name))
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "not a filter name: %s", name != NULL ? name : "");
	memcpy(out, name, strlen(name) + 1);
	return 0;
}

static int
filter_take(struct request *q, struct ip_filter *f)
{
	static const char *const words[] = { "allow", "block", NULL };
	const char *cidr = arg_text(q, "cidr");
	int	    word = -1;

	if (filter_name(q, f->name) != 0)
		return -1;
	if (cidr == NULL || !conf_cidr_parse(bytes_of(cidr), &f->cidr))
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "not an address or range: %s", cidr != NULL ? cidr : "");
	if (arg_word(q, "policy", words, &word) < 0 ||
	    arg_copy(q, "listener", f->listener, sizeof(f->listener)) < 0)
		return -1;
	if (word < 0)
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "allow or block is missing");
	if (f->listener[0] != '\0' &&
	    conf_listener_find(q->conf, bytes_of(f->listener)) == NULL)
		return request_refuse(q, BOOK_NOT_FOUND,
		    "no such listener: %s", f->listener);
	f->allow = word == 0;
	f->created = q->now;
	return 0;
}

static int
filter_add_write(struct request *q, struct db_txn *t)
{
	struct ip_filter f, before;
	int		 found;

	memset(&f, 0, sizeof(f));
	if (filter_take(q, &f) != 0)
		return -1;
	found = ip_filter_get(t, f.name, &before, &q->err);
	if (found == 1)
		return request_refuse(q, BOOK_EXISTS,
		    "filter %s exists already", f.name);
	if (found < 0)
		return -1;
	request_would(q, "add filter %s", f.name);
	return ip_filter_put(t, &f, &q->err);
}

static void
filter_add(struct request *q)
{
	request_write(q, filter_add_write, request_end);
}

static int
filter_delete_write(struct request *q, struct db_txn *t)
{
	char name[IP_FILTER_NAME_SIZE];
	int  found;

	if (filter_name(q, name) != 0)
		return -1;
	request_would(q, "delete filter %s", name);
	found = ip_filter_delete(t, name, &q->err);
	if (found == 0)
		return request_refuse(q, BOOK_NOT_FOUND, "no such filter: %s",
		    name);
	return found < 0 ? -1 : 0;
}

static void
filter_delete(struct request *q)
{
	request_write(q, filter_delete_write, request_end);
}

const struct command control_ip_filter_commands[] = {
	{ "ip-filter add", NEED_OPERATOR, SCOPE_NONE, "IpFilterAdd",
	    "ip-filter", filter_add },
	{ "ip-filter list", NEED_OPERATOR, SCOPE_NONE, NULL, NULL,
	    filter_list },
	{ "ip-filter delete", NEED_OPERATOR, SCOPE_NONE, "IpFilterDelete",
	    "ip-filter", filter_delete },
	{ NULL, NEED_ANY, SCOPE_ANY, NULL, NULL, NULL }
};
