/* SPDX-License-Identifier: ISC */
/* Own addresses that mail leaves from (delivery.md 11). */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/control_private.h"
#include "mail/address.h"
#include "net/stream.h"
#include "registry/listing.h"
#include "registry/pool.h"

enum { SPF_LINE_MAX = 450, IP_LIST_MAX = 4096, DAY_MS = 86400000 };

static void
ip_changed(struct request *q)
{
	(void)carrier_post_wake(q->relay->carrier);
	(void)reporter_post_senders(q->relay->reporter);
	request_end(q);
}

static int
ip_name(struct request *q, char out[64], int *family)
{
	const char *name = arg_text(q, "name");

	if (name == NULL || !source_address_normal(name, out, family))
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "not an IP address: %s", name != NULL ? name : "");
	return 0;
}

static json_t *
ip_json(const struct request *q, const struct source *s)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:o, s:o, "
			 "s:o}",
	    "Ip", s->address, "EhloName",
	    s->ehlo[0] != '\0' ? s->ehlo : q->conf->server.name, "Kind",
	    s->dedicated ? "dedicated" : "shared", "PoolName", source_pool(s),
	    "Status", s->enabled ? "enabled" : "disabled",
	    /* all of them: addresses are warm from the start */
	    "WarmupStatus", "Complete", "WarmupPercentage", 100, "Account",
	    json_of_text(s->pool_account[0] != '\0' ? s->pool_account :
		s->account), "BlockedBy", json_of_text(s->blocked_by),
	    "Created", json_of_wall(s->created));
}

/* -- list and show --------------------------------------------------------- */

struct ip_list {
	struct request *q;
	json_t	       *rows; /* those of the answer */
	uint64_t       *sent;
};

static void
ip_list_wipe(void *list)
{
	struct ip_list *l = list;

	json_decref(l->rows);
	mem_free(l->sent);
}

static bool
ip_on_listing(void *arg, const struct listing *l)
{
	if (l->listed)
		json_array_append_new(arg, json_string(l->list));
	return true;
}

/* Which lists name it, and which of them keeps it out of use. */
static int
ip_add_lists(struct request *q, struct db_txn *t, json_t *ip)
{
	json_t *lists = json_array();

	json_object_set_new(ip, "Blocklists", lists);
	return listing_each(t,
	    json_string_value(json_object_get(ip, "Ip")), ip_on_listing,
	    lists, &q->err);
}

static bool
ip_on_list(void *arg, const struct source *s)
{
	struct ip_list *l = arg;

	json_array_append_new(l->rows, ip_json(l->q, s));
	return json_array_size(l->rows) < IP_LIST_MAX;
}

static int
ip_list_read(struct request *q, struct db_txn *t)
{
	struct ip_list *l = q->state;
	json_t	       *v;
	size_t		i;

	request_set(q, "DedicatedIps", json_incref(l->rows));
	if (source_each(t, ip_on_list, l, &q->err) < 0)
		return -1;
	json_array_foreach(l->rows, i, v)
		if (ip_add_lists(q, t, v) < 0)
			return -1;
	return 0;
}

/* What left from each address is known by the events of its deliveries. */
static bool
ip_on_event(void *arg, uint64_t sequence, const struct event *ev)
{
	struct ip_list *l = arg;
	json_t	       *v;
	size_t		i;

	(void)sequence;
	if (ev->type != EVENT_DELIVERY)
		return true;
	json_array_foreach(l->rows, i, v)
		if (bytes_eq_text(ev->outgoing_ip,
			json_string_value(json_object_get(v, "Ip")))) {
			l->sent[i] += ev->recipient_count;
			break;
		}
	return true;
}

static int
ip_count_work(struct request *q)
{
	struct ip_list *l = q->state;
	struct spool   *spool = q->relay->spool;
	uint64_t	first = spool_first_event_since(spool,
		   (struct wall){ q->now.ms - DAY_MS });
	json_t	       *v;
	size_t		i;

	l->sent = mem_alloc((json_array_size(l->rows) + 1) *
	    sizeof(*l->sent));
	if (json_array_size(l->rows) > 0 && spool_scan_events(spool,
		first > 0 ? first - 1 : 0, SIZE_MAX, ip_on_event, l,
		&q->err) < 0)
		return -1;
	json_array_foreach(l->rows, i, v)
		json_object_set_new(v, "SentLast24Hours",
		    json_integer((json_int_t)l->sent[i]));
	return 0;
}

static struct ip_list *
ip_list_new(struct request *q)
{
	struct ip_list *l = request_state(q, sizeof(*l), ip_list_wipe);

	l->q = q;
	l->rows = json_array();
	return l;
}

static void
ip_list(struct request *q)
{
	(void)ip_list_new(q);
	if (request_look(q, ip_list_read) != 0)
		request_end(q);
	else
		request_work(q, ip_count_work, request_end);
}

static int
ip_find(struct request *q, struct db_txn *t, struct source *s)
{
	char address[64];
	int  family, found;

	if (ip_name(q, address, &family) != 0)
		return -1;
	found = source_get(t, address, s, &q->err);
	if (found == 0)
		return request_refuse(q, BOOK_NOT_FOUND,
		    "no such source address: %s", address);
	return found < 0 ? -1 : 0;
}

static int
ip_show_read(struct request *q, struct db_txn *t)
{
	struct ip_list *l = q->state;
	struct source	s;
	json_t	       *snds;

	if (ip_find(q, t, &s) != 0)
		return -1;
	json_object_update_new(q->result, ip_json(q, &s));
	json_array_append(l->rows, q->result);
	snds = json_array();
	request_set(q, "Snds", snds);
	if (control_show_snds(q, t, s.address, snds) != 0)
		return -1;
	return ip_add_lists(q, t, q->result);
}

static void
ip_show(struct request *q)
{
	(void)ip_list_new(q);
	if (request_look(q, ip_show_read) != 0)
		request_end(q);
	else
		request_work(q, ip_count_work, request_end);
}

/* -- changes --------------------------------------------------------------- */

/* Can mail leave from it?  Only an address of this host can be bound. */
bool
control_ip_is_ours(const char *address)
{
	struct conf_addr a = { .family = 0 };
	int		 fd, rc;

	if (!conf_addr_parse_ip(bytes_of(address), 0, &a))
		return false;
	fd = socket(a.family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	rc = bind(fd, &a.u.sa, a.length);
	close(fd);
	return rc == 0;
}

int
control_ip_settle(struct request *q, struct db_txn *t, int rc)
{
	if (rc < 0 || listing_settle(t,
	    q->conf->dnsbl.action == CONF_DNSBL_DISABLE, &q->err) < 0)
		return -1;
	return 0;
}

static int
ip_take_account(struct request *q, struct db_txn *t, struct source *s)
{
	const char    *name = arg_text(q, "account");
	struct account a;
	int	       found;

	if (name == NULL)
		return 0;
	found = account_find(t, name, &a, &q->err);
	if (found == 0)
		return request_refuse(q, BOOK_NOT_FOUND,
		    "no such account: %s", name);
	if (found < 0)
		return -1;
	memcpy(s->account, a.id, sizeof(s->account));
	return 0;
}

/* Of the account that it belongs to, or built in. */
static int
ip_put(struct request *q, struct db_txn *t, struct source *s)
{
	const char *name = arg_text(q, "pool");
	struct pool p;
	int	    found;

	if (name != NULL && pool_is_builtin(name) &&
	    strcmp(name, source_pool(s)) != 0)
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "pool %s is for the other kind", name);
	if (name == NULL || pool_is_builtin(name))
		return source_put(t, s, &q->err);
	if (s->account[0] == '\0')
		return request_refuse(q, BOOK_BAD_REQUEST, "pool %.64s: of "
		    "which account? (--account, or pool add-ip)", name);
	found = pool_get(t, s->account, name, &p, &q->err);
	if (found < 0)
		return -1;
	if (found == 0)
		return request_refuse(q, BOOK_NOT_FOUND, "no such pool: %.64s",
		    name);
	return pool_add_source(t, &p, s, &q->err);
}

static int
ip_add_write(struct request *q, struct db_txn *t)
{
	static const char *const kinds[] = { "shared", "dedicated", NULL };
	struct source s;
	int	      kind = 0, found;

	memset(&s, 0, sizeof(s));
	if (ip_name(q, s.address, &s.family) != 0)
		return -1;
	found = source_get(t, s.address, &s, &q->err);
	if (found == 1)
		return request_refuse(q, BOOK_EXISTS, "%s exists already",
		    s.address);
	if (found < 0)
		return -1;
	memset(&s, 0, sizeof(s));
	(void)ip_name(q, s.address, &s.family);
	if (!source_address_is_possible(s.address) ||
	    !control_ip_is_ours(s.address))
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "%s is no address of this host", s.address);
	if (arg_copy(q, "ehlo", s.ehlo, sizeof(s.ehlo)) < 0 ||
	    arg_word(q, "kind", kinds, &kind) < 0 ||
	    ip_take_account(q, t, &s) != 0)
		return -1;
	if (s.ehlo[0] != '\0' && !domain_is_valid(bytes_of(s.ehlo), 0))
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "not a host name: %s", s.ehlo);
	s.dedicated = kind == 1;
	if (s.account[0] != '\0' && !s.dedicated)
		return request_refuse(q, BOOK_BAD_REQUEST, "%s is shared: "
		    "only a dedicated address can belong to an account",
		    s.address);
	s.enabled = true;
	s.created = q->now;
	request_would(q, "add source address %s", s.address);
	return control_ip_settle(q, t, ip_put(q, t, &s));
}

static void
ip_add(struct request *q)
{
	request_write(q, ip_add_write, ip_changed);
}

static int
ip_switch_write(struct request *q, struct db_txn *t)
{
	struct source s;
	bool	      on = strcmp(q->command->verb, "ip enable") == 0;

	if (ip_find(q, t, &s) != 0)
		return -1;
	s.enabled = on;
	request_would(q, "%s source address %s", on ? "enable" : "disable",
	    s.address);
	return control_ip_settle(q, t, source_put(t, &s, &q->err));
}

static void
ip_switch(struct request *q)
{
	request_write(q, ip_switch_write, ip_changed);
}

static int
ip_remove_write(struct request *q, struct db_txn *t)
{
	struct source s;

	if (ip_find(q, t, &s) != 0)
		return -1;
	request_would(q, "remove source address %s", s.address);
	return control_ip_settle(q, t, source_delete(t, s.address, &q->err));
}

static void
ip_remove(struct request *q)
{
	request_write(q, ip_remove_write, ip_changed);
}

/* Nothing is sent: connecting a datagram socket chooses the address. */
bool
control_ip_of_system(int family, char out[64])
{
	struct conf_addr to, own;
	socklen_t	 n = sizeof(own.u);
	const char	*far = family == AF_INET ? "192.0.2.1" :
		 "2001:db8::1";
	char		 text[STREAM_ADDR_MAX + 48];
	bool		 found;
	int		 fd;

	if (!conf_addr_parse(bytes_of(far), 53, &to))
		return false;
	fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	found = connect(fd, &to.u.sa, to.length) == 0 &&
	    getsockname(fd, &own.u.sa, &n) == 0;
	if (found)
		snprintf(out, 64, "%s", sockaddr_text(&own.u.sa, false, text));
	close(fd);
	return found;
}

/* -- spf print ------------------------------------------------------------- */

struct spf {
	json_t *terms;
};

static bool
spf_on_source(void *arg, const struct source *s)
{
	struct spf *spf = arg;
	char	    term[80];

	snprintf(term, sizeof(term), "%s:%s",
	    s->family == AF_INET ? "ip4" : "ip6", s->address);
	json_array_append_new(spf->terms, json_string(term));
	return json_array_size(spf->terms) < IP_LIST_MAX;
}

/* One record, or several that the first one includes. */
static json_t *
spf_records(const char *name, json_t *terms)
{
	json_t	  *rows = json_array(), *v;
	struct buf line, first;
	char	   part[600];
	size_t	   i;
	unsigned   parts = 0;

	buf_init(&line, 65536);
	buf_init(&first, 65536);
	buf_add_text(&line, "v=spf1");
	json_array_foreach(terms, i, v) {
		if (line.n + json_string_length(v) + 6 > SPF_LINE_MAX) {
			snprintf(part, sizeof(part), "_spf%u.%s", ++parts,
			    name);
			buf_printf(&first, " include:%s", part);
			buf_add_text(&line, " -all");
			json_array_append_new(rows, json_pack(
			    "{s:s, s:s, s:o}", "Type", "TXT", "Name", part,
			    "Value", json_of_bytes(buf_bytes(&line))));
			buf_clear(&line);
			buf_add_text(&line, "v=spf1");
		}
		buf_printf(&line, " %s", json_string_value(v));
	}
	/* what is left stands in the first record itself */
	buf_drop(&line, strlen("v=spf1"));
	buf_printf(&first, "%.*s -all", (int)line.n, line.p);
	buf_clear(&line);
	buf_printf(&line, "v=spf1%.*s", (int)first.n, first.p);
	json_array_insert_new(rows, 0, json_pack("{s:s, s:s, s:o}", "Type",
	    "TXT", "Name", name, "Value", json_of_bytes(buf_bytes(&line))));
	buf_wipe(&line);
	buf_wipe(&first);
	return rows;
}

json_t *
control_spf_rows(struct request *q, struct db_txn *t)
{
	struct spf  spf = { json_array() };
	json_t	   *rows = NULL;
	char	    term[300], usual[300];
	const char *name = q->conf->mail_from.spf_include;

	if (source_each(t, spf_on_source, &spf, &q->err) < 0)
		goto out;
	/* without one the system chooses among the addresses of this host */
	if (json_array_size(spf.terms) == 0) {
		snprintf(term, sizeof(term), "a:%s", q->conf->server.name);
		json_array_append_new(spf.terms, json_string(term));
	}
	if (name == NULL) {
		snprintf(usual, sizeof(usual), "spf.%s",
		    q->conf->server.domain);
		name = usual;
	}
	rows = spf_records(name, spf.terms);
out:
	json_decref(spf.terms);
	return rows;
}

static int
spf_print_read(struct request *q, struct db_txn *t)
{
	json_t *rows = control_spf_rows(q, t);

	if (rows == NULL)
		return -1;
	request_set(q, "Records", rows);
	return 0;
}

static void
spf_print(struct request *q)
{
	request_read(q, spf_print_read);
}

const struct command control_ip_commands[] = {
	{ "ip add", NEED_OPERATOR, SCOPE_NONE, "IpAdd", "ip", ip_add },
	{ "ip list", NEED_OPERATOR, SCOPE_NONE, NULL, NULL, ip_list },
	{ "ip show", NEED_OPERATOR, SCOPE_NONE, NULL, NULL, ip_show },
	{ "ip enable", NEED_OPERATOR, SCOPE_NONE, "IpEnable", "ip",
	    ip_switch },
	{ "ip disable", NEED_OPERATOR, SCOPE_NONE, "IpDisable", "ip",
	    ip_switch },
	{ "ip remove", NEED_OPERATOR, SCOPE_NONE, "IpRemove", "ip",
	    ip_remove },
	{ "spf print", NEED_READ, SCOPE_ANY, NULL, NULL, spf_print },
	{ NULL, NEED_ANY, SCOPE_ANY, NULL, NULL, NULL }
};
