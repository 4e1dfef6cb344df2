/* SPDX-License-Identifier: ISC */
#include "daemon/relay.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "daemon/audit.h"
#include "daemon/control.h"
#include "daemon/metrics.h"
#include "reporting/series.h"

enum {
	MAIN_FEED = 8192,
	DESK_FEED = 16384,
	DELIVERY_FEED = 65536,
	RELAY_PASS_US = 1000, /* of descriptors, timers and the feed each */
	REPORTING_FEED = 16384,
	TALLY_ENTRIES = 200000,
	WORKERS = 2,
	WORKERS_QUEUE = 1024,
	RESOLVER_CACHE = 20000,
	MINUTE_MS = 60000,
	FIRST_SWEEP_MS = 5000
};

static void relay_stop(struct relay *r, int64_t grace_ms);

/* -- set-up --------------------------------------------------------------- */

/* It would be made anew, as if no mail had waited. */
static void
relay_miss_spool(const struct conf *c)
{
	char	    state[PATH_MAX], spool[PATH_MAX];
	struct stat st;

	snprintf(state, sizeof(state), "%s/state/data.mdb", c->store.dir);
	snprintf(spool, sizeof(spool), "%s/spool/data.mdb", c->store.dir);
	if (stat(state, &st) == 0 && st.st_size > 0 &&
	    (stat(spool, &st) != 0 || st.st_size == 0))
		log_error("spool-missing", "path=%s "
		    "reason=\"the queue begins empty\"", spool);
}

static int
relay_open_stores(struct relay *r, const struct child_files *f, struct err *e)
{
	const struct conf *c = r->conf;
	struct spool_setup s;

	relay_miss_spool(c);
	failpoint("start.stores");
	r->book = book_open(c->store.dir, c->store.map_size_bytes / 16, e);
	failpoint("start.book");
	if (r->book == NULL)
		return err_wrap(e, "state store");
	if (relay_check_region(r,
		child_files_option(f, "accept-region-change") != NULL, e) != 0)
		return -1;
	s = relay_spool_setup(c);
	r->spool = spool_open(&s, e);
	if (r->spool == NULL)
		return err_wrap(e, "spool");
	spool_keep_raw(r->spool, c->intake.keep_raw_ms);
	return 0;
}

static struct keys_client *
relay_keys_client(struct relay *r, struct child_files *f, struct loop *l,
    uint32_t wanted, struct err *e)
{
	size_t i;
	int    fd = -1;

	(void)r;
	for (i = 0; i < f->fd_count && fd < 0; i++)
		if (f->fd[i].kind == CHILD_PEER_KEYS && f->fd[i].fd >= 0 &&
		    f->fd[i].index == wanted) {
			fd = f->fd[i].fd;
			f->fd[i].fd = -1;
		}
	return keys_client_new(l, fd, e); /* -1: it comes later */
}

static int
relay_open_desk(struct relay *r, struct child_files *f, unsigned i,
    struct err *e)
{
	struct relay_desk *d = &r->desks[i];
	struct desk_setup  s;
	char		   name[32];

	snprintf(name, sizeof(name), "submission-%u", i + 1);
	d->relay = r;
	d->loop = loop_new(name, DESK_FEED, e);
	if (d->loop == NULL)
		return -1;
	loop_limit_pass(d->loop, RELAY_PASS_US);
	d->keys = relay_keys_client(r, f, d->loop, i, e);
	if (d->keys == NULL)
		return -1;
	memset(&s, 0, sizeof(s));
	s.loop = d->loop;
	s.spool = r->spool;
	s.book = r->book;
	s.tally = r->tally;
	s.keys = d->keys;
	s.conf = r->conf;
	s.tls = r->tls;
	s.meters = &r->desk_meters;
	s.ledger = r->ledger;
	relay_wire_desk(r, &s);
	d->desk = desk_new(&s, e);
	if (d->desk == NULL)
		return -1;
	r->desk_count = i + 1;
	return 0;
}

static int
relay_open_delivery(struct relay *r, struct err *e)
{
	struct sockaddr_storage servers[RESOLVER_SERVERS_MAX];
	struct resolver_setup	rs;
	struct carrier_setup	s;

	r->delivery = loop_new("delivery-1", DELIVERY_FEED, e);
	if (r->delivery == NULL)
		return -1;
	loop_limit_pass(r->delivery, RELAY_PASS_US);
	conf_resolver_setup(r->conf, servers, &rs);
	rs.cache_max = RESOLVER_CACHE;
	r->resolver = resolver_new(r->delivery, &rs, e);
	if (r->resolver == NULL)
		return err_wrap(e, "resolver");
	memset(&s, 0, sizeof(s));
	s.loop = r->delivery;
	s.spool = r->spool;
	s.book = r->book;
	s.resolver = r->resolver;
	s.tls = r->tls_client;
	s.classify = r->classify;
	s.conf = r->conf;
	s.workers = r->workers;
	s.meters = &r->carrier_meters;
	s.ledger = r->ledger;
	r->carrier = carrier_new(&s, e);
	return r->carrier == NULL ? err_wrap(e, "delivery") : 0;
}

static int
relay_open_reporting(struct relay *r, struct child_files *f, struct err *e)
{
	struct reporter_setup s;

	r->reporting = loop_new("reporting", REPORTING_FEED, e);
	if (r->reporting == NULL)
		return -1;
	memset(&s, 0, sizeof(s));
	s.loop = r->reporting;
	s.spool = r->spool;
	s.book = r->book;
	s.conf = r->conf;
	s.verifier_fd = child_files_take(f, CHILD_PEER_VERIFIER, NULL);
	relay_wire_reporter(r, &s);
	r->reporter = reporter_new(&s, e);
	return r->reporter == NULL ? err_wrap(e, "reporting") : 0;
}

static int
relay_open_rooms(struct relay *r, struct child_files *f, struct err *e)
{
	unsigned i;

	r->tally = tally_new(TALLY_ENTRIES);
	r->workers = workers_new(WORKERS, WORKERS_QUEUE, e);
	if (r->workers == NULL)
		return -1;
	spool_use_workers(r->spool, r->workers);
	r->ledger = ledger_new();
	r->series = series_new();
	desk_meters_init(&r->desk_meters);
	carrier_meters_init(&r->carrier_meters);
	for (i = 0; i < r->conf->server.threads && i < RELAY_DESKS_MAX; i++)
		if (relay_open_desk(r, f, i, e) != 0)
			return -1;
	r->keys = relay_keys_client(r, f, r->main, r->desk_count, e);
	if (r->keys == NULL || relay_open_delivery(r, e) != 0 ||
	    relay_open_reporting(r, f, e) != 0)
		return -1;
	return relay_listen(r, f, e);
}

static int
relay_open_main(struct relay *r, struct child_files *f, struct err *e)
{
	int fd;

	r->audit = audit_open(f->audit_fd >= 0 ? dup(f->audit_fd) : -1,
	    r->conf->server.region);
	fd = child_files_take(f, CHILD_CONTROL, NULL);
	if (fd < 0)
		return err_set(e, "no control socket");
	r->control = control_new(r, fd, e);
	if (r->control == NULL)
		return -1;
	fd = child_files_take(f, CHILD_METRICS, NULL);
	if (fd < 0)
		return 0;
	r->metrics = metrics_new(r, fd, e);
	return r->metrics == NULL ? -1 : 0;
}

/* -- running -------------------------------------------------------------- */

static void
relay_on_minute(void *relay, void *unused)
{
	struct relay *r = relay;

	(void)unused;
	spool_sweep(r->spool);
	book_check_readers(r->book);
	timer_set(&r->every_minute, MINUTE_MS);
}

/* The store gives no promise any more: end, and begin anew from the disk. */
static void
relay_on_down(void *relay, void *unused)
{
	struct relay *r = relay;

	(void)unused;
	if (r->down)
		return;
	r->down = true;
	log_error("store-down", "action=restart");
	relay_stop(r, 0);
}

static int
relay_start_loops(struct relay *r, struct err *e)
{
	unsigned i;

	spool_on_arrivals(r->spool, r->delivery, carrier_on_arrivals,
	    r->carrier);
	spool_on_events(r->spool, r->reporting, reporter_on_events,
	    r->reporter);
	spool_on_events(r->spool, r->main, control_on_events, r->control);
	spool_on_down(r->spool, r->main, relay_on_down, r);
	book_on_down(r->book, r->main, relay_on_down, r);
	carrier_begin(r->carrier);
	reporter_begin(r->reporter);
	relay_begin_reserve(r); /* before the threads: until then it is short */
	if (book_start(r->book, e) != 0 || spool_start(r->spool, e) != 0 ||
	    loop_start(r->delivery, e) != 0 ||
	    loop_start(r->reporting, e) != 0)
		return -1;
	for (i = 0; i < r->desk_count; i++)
		if (loop_start(r->desks[i].loop, e) != 0)
			return -1;
	timer_init(&r->every_minute, r->main, relay_on_minute, r);
	/* soon: one that is started again and again sweeps as well */
	timer_set(&r->every_minute, FIRST_SWEEP_MS);
	relay_begin_operator(r);
	relay_begin_default(r);
	relay_begin_purge(r);
	return 0;
}

/* -- the master ---------------------------------------------------------- */

static void
relay_on_master(void *relay, struct bytes message, int fd)
{
	struct relay	    *r = relay;
	struct child_message m;

	if (!child_read(message, &m)) {
		if (fd >= 0)
			close(fd);
		return;
	}
	switch (m.kind) {
	case CHILD_STOP:
		relay_stop(r, m.index == 1 ? 0 :
			r->conf->smtp.shutdown_grace_ms);
		break;
	case CHILD_PING:
		relay_on_ping(r);
		break;
	case CHILD_LISTEN:
	case CHILD_CONTROL:
		if (fd >= 0)
			relay_on_socket(r, &m, fd);
		break;
	case CHILD_RELOAD_RESULT:
		control_on_reload(r->control, m.index, m.text);
		break;
	case CHILD_RELOAD:
		relay_on_reload(r, m.index);
		break;
	case CHILD_PEER_KEYS:
	case CHILD_PEER_VERIFIER:
		if (fd >= 0)
			relay_on_peer(r, &m, fd);
		break;
	case CHILD_AUDIT_CUT:
		if (fd >= 0)
			relay_reopen_audit(r, fd, m.text);
		break;
	default:
		child_news_add(&r->reload, &m, fd);
		break;
	}
}

static void
relay_on_master_gone(void *relay)
{
	struct relay *r = relay;

	channel_close(r->master);
	r->master = NULL;
	relay_stop(r, 0);
}

bool
relay_ask_reload(struct relay *r, uint32_t request)
{
	return r->master != NULL && child_send(r->master, CHILD_RELOAD_REQUEST,
	    request, BYTES(""), -1);
}

bool
relay_ask_stop(struct relay *r, bool now)
{
	return r->master != NULL && child_send(r->master, CHILD_STOP_REQUEST,
	    now ? 1 : 0, BYTES(""), -1);
}

/* -- the end: against the stream ------------------------------------------ */

struct relay_end {
	struct relay_desk *desk;
	int64_t		   grace_ms;
};

static void
relay_reporter_idle(void *relay, void *unused)
{
	struct relay *r = relay;

	(void)unused;
	loop_stop(r->main);
}

static void
relay_on_reporter_idle(void *relay, void *unused)
{
	struct relay *r = relay;

	(void)unused;
	if (!loop_post(r->main, relay_reporter_idle, r, NULL))
		loop_stop(r->main);
}

static void
relay_shut_reporter(void *relay, void *unused)
{
	struct relay *r = relay;

	(void)unused;
	reporter_shut(r->reporter, relay_on_reporter_idle, r);
}

static void
relay_on_carrier_idle(void *relay, void *unused)
{
	struct relay *r = relay;

	(void)unused;
	if (!loop_post(r->reporting, relay_shut_reporter, r, NULL))
		loop_stop(r->main);
}

static void
relay_shut_carrier(void *relay, void *unused)
{
	struct relay *r = relay;

	(void)unused;
	carrier_shut(r->carrier, relay_on_carrier_idle, r);
}

static void
relay_desk_idle(void *relay, void *unused)
{
	struct relay *r = relay;

	(void)unused;
	if (++r->desks_shut == r->desk_count &&
	    !loop_post(r->delivery, relay_shut_carrier, r, NULL))
		loop_stop(r->main);
}

static void
relay_on_desk_idle(void *desk, void *unused)
{
	struct relay_desk *d = desk;

	(void)unused;
	if (d->shut)
		return; /* said already */
	d->shut = true;
	if (!loop_post(d->relay->main, relay_desk_idle, d->relay, NULL))
		loop_stop(d->relay->main);
}

static void
relay_shut_desk(void *end, void *unused)
{
	struct relay_end *x = end;

	(void)unused;
	desk_shut(x->desk->desk, x->grace_ms, relay_on_desk_idle, x->desk);
	relay_close_listeners(x->desk);
	mem_free(x);
}

static void
relay_stop(struct relay *r, int64_t grace_ms)
{
	struct relay_end *x;
	unsigned	  i;

	/* a second time only to hurry those who may still finish */
	if (r->stopping && grace_ms > 0)
		return;
	r->stopping = true;
	log_info("shutting-down", "grace_ms=%lld", (long long)grace_ms);
	for (i = 0; i < r->desk_count; i++) {
		x = mem_alloc(sizeof(*x));
		x->desk = &r->desks[i];
		x->grace_ms = grace_ms;
		if (!loop_post(r->desks[i].loop, relay_shut_desk, x, NULL)) {
			mem_free(x);
			loop_stop(r->main);
		}
	}
}

static void
relay_join(struct loop *l)
{
	if (l == NULL)
		return;
	loop_stop(l);
	loop_join(l);
}

void
relay_free(struct relay *r)
{
	unsigned i;

	if (r == NULL)
		return;
	child_news_end(&r->reload);
	metrics_free(r->metrics);
	for (i = 0; i < r->desk_count; i++)
		relay_join(r->desks[i].loop);
	relay_join(r->delivery);
	relay_join(r->reporting);
	if (r->spool != NULL)
		spool_stop(r->spool);
	if (r->book != NULL)
		book_stop(r->book);
	workers_free(r->workers);
	for (i = 0; i < r->desk_count; i++) {
		desk_free(r->desks[i].desk);
		relay_close_listeners(&r->desks[i]);
		mem_free(r->desks[i].sockets);
		keys_client_free(r->desks[i].keys);
	}
	keys_client_free(r->keys);
	carrier_free(r->carrier);
	resolver_free(r->resolver);
	reporter_free(r->reporter);
	relay_end_default(r);
	/* its requests may have been lent to any of those above */
	control_free(r->control);
	spool_close(r->spool);
	book_close(r->book);
	for (i = 0; i < r->desk_count; i++)
		loop_free(r->desks[i].loop);
	loop_free(r->delivery);
	loop_free(r->reporting);
	tally_free(r->tally);
	ledger_free(r->ledger);
	series_free(r->series);
	classify_free(r->classify);
	tls_client_unref(r->tls_client);
	tls_trust_unref(r->trust);
	desk_tls_unref(r->tls);
	audit_close(r->audit);
	channel_close(r->master);
	conf_unref(r->conf);
	loop_free(r->main);
	/* from here on another daemon may have the store */
	if (r->lock_fd >= 0)
		close(r->lock_fd);
	mem_free(r);
}

static int
relay_open(struct relay *r, struct child_files *f, struct err *e)
{
	struct buf text;

	buf_init(&text, ERR_TEXT_MAX);
	r->conf = child_files_conf(f, &text);
	if (r->conf == NULL) {
		err_set(e, "%.*s", (int)text.n, text.p);
		buf_wipe(&text);
		return -1;
	}
	buf_wipe(&text);
	if (child_open_log(f, r->conf, e) != 0 ||
	    relay_load_suffixes(r->conf, f, e) != 0 ||
	    relay_load_trust(r->conf, f, &r->trust, e) != 0)
		return -1;
	r->tls = relay_load_tls(r->conf, f, e);
	r->tls_client = tls_client_new(NULL, e);
	r->classify = classify_new(e);
	if (r->tls == NULL || r->tls_client == NULL || r->classify == NULL)
		return -1;
	/* never where privileges are given up */
	if (child_files_option(f, "user") == NULL)
		failpoint_arm();
	if (child_drop(f, e) != 0 || relay_enclose(r->conf, e) != 0 ||
	    relay_open_stores(r, f, e) != 0 || relay_open_rooms(r, f, e) != 0 ||
	    relay_open_main(r, f, e) != 0)
		return -1;
	r->started = clock_wall();
	failpoint("start.rooms");
	return relay_start_loops(r, e);
}

static const struct channel_events relay_master_events = { relay_on_master,
	relay_on_master_gone };

struct relay *
relay_new(struct child_files *f, int channel_fd, struct err *e)
{
	struct relay *r = mem_alloc(sizeof(*r));

	r->lock_fd = child_files_take(f, CHILD_LOCK, NULL);
	r->main = loop_new("main", MAIN_FEED, e);
	if (r->main == NULL)
		goto fail;
	r->master = channel_open(r->main, channel_fd, &relay_master_events, r,
	    e);
	if (r->master == NULL)
		goto fail;
	if (relay_open(r, f, e) != 0) {
		child_send(r->master, CHILD_FATAL, 0, bytes_of(e->text), -1);
		goto fail;
	}
	failpoint("start.before");
	relay_announce(r);
	failpoint("start.after");
	return r;
fail:
	relay_free(r);
	return NULL;
}

int
relay_main(struct child_files *f, int channel_fd)
{
	struct relay *r;
	struct err    e;
	int	      status;

	e.text[0] = '\0';
	r = relay_new(f, channel_fd, &e);
	if (r == NULL) {
		log_error("start-failed", "reason=\"%s\"", e.text);
		return 1;
	}
	loop_run(r->main);
	status = r->down ? 1 : 0;
	log_info("relay-ended", "status=%d", status);
	relay_free(r);
	return status;
}
