/* SPDX-License-Identifier: ISC */
/* The installation: status, reload, stop, stores, blocks, figures. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "daemon/control_private.h"
#include "daemon/control_queue.h"
#include "daemon/metrics.h"
#include "reporting/feedback.h"

enum { METRICS_TEXT_MAX = 16 * 1024 * 1024, BLOCKS_SHOWN = 1000 };

/* -- status ---------------------------------------------------------------- */

static json_t *
status_listeners(struct relay *r)
{
	const struct conf_listener *l;
	json_t			   *list = json_array(), *addresses;
	char			    text[CONF_ADDR_TEXT_MAX];
	size_t			    i, j;

	for (i = 0; i < r->conf->listener_count; i++) {
		l = &r->conf->listeners[i];
		if (!l->enabled)
			continue;
		addresses = json_array();
		for (j = 0; j < l->addresses.n; j++)
			json_array_append_new(addresses, json_string(
			    conf_addr_to_text(&l->addresses.v[j], text)));
		json_array_append_new(list, json_pack("{s:s, s:o, s:I, s:I}",
		    "Listener", l->name, "Addresses", addresses,
		    "Connections", i >= DESK_LISTENERS_MAX ? (json_int_t)0 :
			(json_int_t)meter_get(&r->desk_meters.connections[i]),
		    "Accepted", i >= DESK_LISTENERS_MAX ? (json_int_t)0 :
			(json_int_t)meter_get(
			    &r->desk_meters.connections_total[i])));
	}
	return list;
}

static json_t *
store_json(const char *name, uint64_t used, uint64_t map, uint64_t free_pages,
    uint64_t disk)
{
	return json_pack("{s:s, s:I, s:I, s:I, s:I}", "Store", name,
	    "UsedBytes", (json_int_t)used, "MapBytes", (json_int_t)map,
	    "FreePageBytes", (json_int_t)free_pages, "DiskFreeBytes",
	    (json_int_t)disk);
}

static json_t *
stores_json(struct request *q, const struct spool_figures *f)
{
	struct db_figures book;
	json_t		 *list = json_array();

	if (book_figures(q->relay->book, &book, &q->err) != 0) {
		json_decref(list);
		return NULL;
	}
	json_array_append_new(list, store_json("state", book.used_bytes,
	    book.map_bytes, book.free_page_bytes, book.disk_free_bytes));
	json_array_append_new(list, store_json("spool", f->used_bytes,
	    f->map_bytes, f->free_page_bytes, f->disk_free_bytes));
	return list;
}

static bool
status_on_account(void *arg, const struct account *a)
{
	*(json_int_t *)arg += a->closed.ms == 0;
	return true;
}

static int
status_read(struct request *q, struct db_txn *t)
{
	json_int_t n = 0;
	int	   rc = account_each(t, status_on_account, &n, &q->err);

	request_set(q, "Accounts", json_integer(n));
	return rc;
}

/* What waits for event destinations. */
static json_t *
status_destinations(const struct request *q)
{
	struct outbox_sum s = outbox_meters_sum(&q->relay->outbox_meters);

	return json_pack("{s:I, s:i, s:i, s:o}", "Records",
	    (json_int_t)s.records, "Destinations", (int)s.destinations,
	    "Failing", (int)s.failing, "OldestSeconds",
	    s.oldest.ms == 0 ? json_null() :
		json_integer((q->now.ms - s.oldest.ms) / 1000));
}

/* Events that no mail to the sender has been made from yet. */
static json_int_t
status_outbox(struct relay *r)
{
	uint64_t next = spool_first_event_since(r->spool,
	    (struct wall){ INT64_MAX });
	uint64_t done = spool_cursor(r->spool, FEEDBACK_CURSOR);

	return next > done + 1 ? (json_int_t)(next - done - 1) : 0;
}

static void
status_finish(struct request *q, struct carrier_query *c)
{
	struct relay	    *r = q->relay;
	struct spool_figures f;
	json_t		    *stores;

	if (spool_figures(r->spool, &f, &q->err) != 0 ||
	    (stores = stores_json(q, &f)) == NULL) {
		request_end(q);
		return;
	}
	request_set(q, "Version", json_string(PACKAGE_VERSION));
	request_set(q, "ServerName", json_string(q->conf->server.name));
	request_set(q, "Region", json_string(q->conf->server.region));
	request_set(q, "Started", json_of_wall(r->started));
	request_set(q, "UptimeSeconds",
	    json_integer((q->now.ms - r->started.ms) / 1000));
	request_set(q, "Listeners", status_listeners(r));
	request_set(q, "Queue", json_pack(
	    "{s:I, s:I, s:I, s:I, s:I, s:I}", "Messages",
	    (json_int_t)f.messages, "Recipients", (json_int_t)f.recipients,
	    "Active", (json_int_t)c->active, "Deferred",
	    (json_int_t)f.deferred, "Held", (json_int_t)f.held, "Bytes",
	    (json_int_t)f.bytes));
	request_set(q, "Stores", stores);
	request_set(q, "Outbox", status_destinations(q));
	request_set(q, "OutboxEvents", json_integer(status_outbox(r)));
	(void)request_look(q, status_read);
	request_end(q);
}

static void
status_run(struct request *q)
{
	queue_look(q, status_finish);
}

static void
version_run(struct request *q)
{
	request_set(q, "Version", json_string(PACKAGE_VERSION));
	request_end(q);
}

/* -- smtp-settings --------------------------------------------------------- */

static int
settings_port(const struct conf_addr *a)
{
	if (a->family == AF_INET)
		return ntohs(a->u.in.sin_port);
	return a->family == AF_INET6 ? ntohs(a->u.in6.sin6_port) : 0;
}

static json_t *
settings_ports(const struct conf *c, enum conf_tls_mode mode)
{
	const struct conf_listener *l;
	json_t *list = json_array();
	size_t	i, j, k;
	int	port;

	for (i = 0; i < c->listener_count; i++) {
		l = &c->listeners[i];
		if (!l->enabled || l->tls != mode ||
		    (l->roles & CONF_ROLE_SUBMISSION) == 0)
			continue;
		for (j = 0; j < l->addresses.n; j++) {
			port = settings_port(&l->addresses.v[j]);
			for (k = 0; k < json_array_size(list); k++)
				if (json_integer_value(json_array_get(list,
					k)) == port)
					break;
			if (port > 0 && k == json_array_size(list))
				json_array_append_new(list,
				    json_integer(port));
		}
	}
	return list;
}

static void
settings_run(struct request *q)
{
	const struct conf *c = q->conf;

	request_set(q, "SmtpEndpoint", json_string(c->server.name));
	request_set(q, "StarttlsPorts", settings_ports(c, CONF_TLS_STARTTLS));
	request_set(q, "TlsWrapperPorts",
	    settings_ports(c, CONF_TLS_WRAPPER));
	request_set(q, "MinTlsVersion", json_string(
	    c->tls.min_version == CONF_TLS_1_3 ? "1.3" : "1.2"));
	request_set(q, "Region", json_string(c->server.region));
	request_end(q);
}

/* -- reload, stop ---------------------------------------------------------- */

static void
reload_run(struct request *q)
{
	uint32_t number = ++q->control->reload_number;

	if (number == 0) /* 0 is the signal's */
		number = ++q->control->reload_number;
	if (q->dry_run) {
		request_would(q, "load the configuration anew");
		request_end(q);
		return;
	}
	q->reload = number;
	if (!relay_ask_reload(q->relay, number))
		request_end_refused(q, BOOK_TOO_MANY,
		    "the master does not answer");
}

static void
reload_end(struct request *q, struct bytes text)
{
	struct bytes line;
	ptrdiff_t    end;
	bool	     ok = false;
	json_t	    *lines = json_array();

	while (text.n > 0) {
		end = bytes_find(text, 0, '\n');
		line = bytes_head(text, end < 0 ? text.n : (size_t)end);
		text = end < 0 ? BYTES("") : bytes_from(text, (size_t)end + 1);
		if (bytes_eq_text(line, "ok"))
			ok = true;
		else if (bytes_starts(line, BYTES("warning: ")))
			request_warn(q, "%.*s", (int)(line.n - 9), line.p + 9);
		else if (line.n > 0 && !bytes_eq_text(line, "error"))
			json_array_append_new(lines, json_of_bytes(line));
	}
	if (ok) {
		request_set(q, "Notes", lines);
		request_end(q);
		return;
	}
	q->errors = lines;
	request_end_refused(q, BOOK_BAD_REQUEST,
	    "the configuration was not loaded; the old one stays");
}

void
control_on_reload(struct control *k, uint32_t number, struct bytes text)
{
	struct request *q;

	for (q = k->requests; q != NULL; q = q->next)
		if (q->reload == number && number != 0) {
			q->reload = 0;
			reload_end(q, text);
			return;
		}
}

/* The answer leaves before the relay ends. */
static void
stop_run(struct request *q)
{
	struct relay *r = q->relay;
	bool	      now = arg_is_true(q, "now"), dry_run = q->dry_run;

	request_would(q, "stop posthornd");
	request_end(q);
	if (!dry_run)
		(void)relay_ask_stop(r, now);
}

/* -- stores ---------------------------------------------------------------- */

static void
store_stat(struct request *q)
{
	struct spool_figures f;
	json_t		    *stores = NULL;

	if (spool_figures(q->relay->spool, &f, &q->err) == 0)
		stores = stores_json(q, &f);
	if (stores != NULL) {
		request_set(q, "Stores", stores);
		request_set(q, "Messages", json_integer(
		    (json_int_t)f.messages));
		request_set(q, "Recipients", json_integer(
		    (json_int_t)f.recipients));
		request_set(q, "Commits", json_integer(
		    (json_int_t)f.commits));
		request_set(q, "CommittedItems", json_integer(
		    (json_int_t)f.committed_items));
	}
	request_end(q);
}

/* The files are the caller's: what may be written is for him to decide. */
struct backup_files {
	int state, spool;
};

static void
backup_files_free(void *files)
{
	struct backup_files *f = files;

	if (f->state >= 0)
		close(f->state);
	if (f->spool >= 0)
		close(f->spool);
}

static int
store_backup_work(struct request *q)
{
	const struct backup_files *f = q->state;

	if (book_backup(q->relay->book, f->state, &q->err) != 0)
		return -1;
	return spool_backup(q->relay->spool, f->spool, &q->err);
}

static void
store_backup(struct request *q)
{
	const char	    *dir = arg_text(q, "dir"); /* for the audit log */
	struct backup_files *f = request_state(q, sizeof(*f),
		   backup_files_free);

	f->state = f->spool = -1;
	if (dir == NULL || dir[0] != '/') {
		(void)request_misuse(q, "an absolute path is wanted");
		request_end(q);
	} else if (q->dry_run) {
		request_would(q, "copy both stores to %s", dir);
		request_end(q);
	} else if (arg_file(q, "state", &f->state) < 0 ||
	    arg_file(q, "spool", &f->spool) < 0) {
		request_end(q);
	} else if (f->state < 0 || f->spool < 0) {
		(void)request_misuse(q, "two files are wanted");
		request_end(q);
	} else
		request_work(q, store_backup_work, request_end);
}

/* -- blocks of addresses --------------------------------------------------- */

struct blocks {
	struct request *q;
	json_t	       *rows;
};

static void
blocks_on_one(void *arg, struct bytes key, int64_t failures, int64_t left_ms)
{
	struct blocks *b = arg;
	ptrdiff_t      slash = bytes_find(key, 0, '/');
	struct wall    until = { b->q->now.ms + left_ms };

	if (!bytes_starts(key, BYTES("block/")))
		return;
	json_array_append_new(b->rows, json_pack("{s:o, s:I, s:o}", "Address",
	    json_of_bytes(bytes_from(key, (size_t)slash + 1)), "Failures",
	    (json_int_t)failures, "BlockedUntil", json_of_wall(until)));
}

static void
auth_blocks(struct request *q)
{
	struct blocks b = { q, json_array() };

	tally_each_block(q->relay->tally, loop_now(q->relay->main),
	    blocks_on_one, &b);
	request_set(q, "Blocks", b.rows);
	request_end(q);
}

/* An address, or the network that is shown for one. */
static void
auth_unblock(struct request *q)
{
	const char	*name = arg_text(q, "address");
	char		 key[DESK_BLOCK_KEY_SIZE];
	struct conf_addr a;

	if (name == NULL) {
		(void)request_misuse(q, "which address?");
		request_end(q);
		return;
	}
	if (strchr(name, '/') == NULL &&
	    conf_addr_parse(bytes_of(name), 1, &a) && a.family != AF_UNIX)
		desk_block_key(&a.u.sa, key);
	else
		snprintf(key, sizeof(key), "block/%.57s", name);
	request_would(q, "unblock %s", name);
	if (!q->dry_run &&
	    !tally_unblock(q->relay->tally, bytes_of(key))) {
		request_end_refused(q, BOOK_NOT_FOUND, "%.60s is not blocked",
		    name);
		return;
	}
	request_end(q);
}

/* -- metrics --------------------------------------------------------------- */

/* Lines of families whose name has the pattern in it. */
static void
metrics_run(struct request *q)
{
	const char  *pattern = arg_text(q, "pattern");
	struct buf   page, out;
	struct bytes rest, line;
	ptrdiff_t    end;

	buf_init(&page, METRICS_TEXT_MAX);
	buf_init(&out, METRICS_TEXT_MAX);
	metrics_write(q->relay, &page);
	rest = buf_bytes(&page);
	while ((end = bytes_find(rest, 0, '\n')) >= 0) {
		line = bytes_head(rest, (size_t)end + 1);
		rest = bytes_from(rest, line.n);
		if (pattern == NULL || (line.p[0] != '#' &&
		    bytes_find_nocase(line, bytes_of(pattern)) >= 0))
			buf_add_bytes(&out, line);
	}
	request_set(q, "Text", json_of_bytes(buf_bytes(&out)));
	buf_wipe(&page);
	buf_wipe(&out);
	request_end(q);
}

const struct command control_system_commands[] = {
	{ "status", NEED_READ, SCOPE_ANY, NULL, NULL, status_run },
	{ "version", NEED_ANY, SCOPE_ANY, NULL, NULL, version_run },
	{ "smtp-settings", NEED_ANY, SCOPE_ANY, NULL, NULL, settings_run },
	{ "reload", NEED_OPERATOR, SCOPE_NONE, "Reload", NULL, reload_run },
	{ "stop", NEED_OPERATOR, SCOPE_NONE, "Stop", NULL, stop_run },
	{ "store stat", NEED_READ, SCOPE_NONE, NULL, NULL, store_stat },
	{ "store backup", NEED_OPERATOR, SCOPE_NONE, "StoreBackup", NULL,
	    store_backup },
	{ "auth blocks", NEED_READ, SCOPE_NONE, NULL, NULL, auth_blocks },
	{ "auth unblock", NEED_OPERATOR, SCOPE_NONE, "AuthUnblock", NULL,
	    auth_unblock },
	{ "metrics", NEED_READ, SCOPE_NONE, NULL, NULL, metrics_run },
	{ NULL, NEED_ANY, SCOPE_ANY, NULL, NULL, NULL }
};
