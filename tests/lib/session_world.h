/* SPDX-License-Identifier: ISC */
/*
 * session_world.h - a desk on the fake net with a spool that keeps nothing:
 * whole sessions inside one thread, for fuzz targets.  Include it in one file.
 *
 * Use:    w = session_world(); talk_open(&t, w, listener); talk_write(...);
 *         talk_close(&t); what has to hold is checked on the way.
 *         Listeners by their index: enum session_listener.  Account
 *         123456789012 is in production; SESSION_USER and SESSION_PASSWORD
 *         log in; example.com is verified and signs.
 * Owner:  the world is made once and lives as long as the program; its book
 *         has no name in the file system any more.
 * Thread: one.
 * Fails:  by must(): a finding.
 * Stands in the place of store/spool*.c; linked with tests/lib/fake_*.c.
 */
#ifndef TESTS_SESSION_WORLD_H
#define TESTS_SESSION_WORLD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake_clock.h"
#include "fake_stream.h"
#include "fake_thread.h"
#include "keys_double.h"
#include "registry/credential.h"
#include "registry/identity.h"
#include "submission/desk_private.h"
#include "temp_folder.h"

#define SESSION_USER "AKIAIOSFODNN7EXAMPLE"
#define SESSION_PASSWORD "BLBM/9hSUELfq8Gw+rU1YcBjkOxGbhT2XG763xVLGWL9"
#define SESSION_AUTH \
	"AUTH PLAIN AEFLSUFJT1NGT0ROTjdFWEFNUExFAEJMQk0vOWhTVUVMZnE4R3crcl" \
	"UxWWNCamtPeEdiaFQyWEc3NjN4VkxHV0w5\r\n"
#define SESSION_ACCOUNT "123456789012"

enum session_listener {
	SESSION_PLAIN, /* no TLS is needed */
	SESSION_STARTTLS,
	SESSION_WRAPPER,
	SESSION_SHARED, /* submission and intake */
	SESSION_INTAKE_ONLY,
	SESSION_LOCAL,
	SESSION_LISTENERS
};
enum { SESSION_FD = 1000, TALK_MAX = 4 << 20 };

/* What the spool was asked for, and what it answers. */
struct spool_double {
	enum receipt_result room, staged, submitted;
	unsigned	    submissions; /* answered OK */
	unsigned	    stages, discards;
	char		    last; /* octet that was laid down */
	bool		    has_nul; /* among them: refused at the end */
};
static struct spool_double the_spool;

struct session_world {
	struct conf	   *conf;
	struct desk_tls	   *tls;
	struct desk_meters  meters;
	struct ledger	   *ledger;
	struct loop	   *loop, *net;
	struct keys_client  keys;
	struct tally	   *tally;
	struct book	   *book;
	struct desk	   *desk;
};

/* One client. */
struct talk {
	struct session_world *world;
	struct fake_link     *link;
	enum session_listener listener;
	struct buf	      line; /* of a reply */
	struct buf	      said; /* all of them */
	struct buf	      sent;
	bool		      has_ended, expects_tls, has_tls, has_login;
	bool		      was_paused; /* replies may be missing */
	unsigned	      accepted; /* "250 Ok ID" */
};
static struct talk *the_talk; /* the one whose messages come */

/* -- the spool ------------------------------------------------------------ */

/* What is stored has clean line ends. */
static inline void
must_be_clean(struct bytes b, char *last)
{
	size_t i;

	for (i = 0; i < b.n; i++) {
		the_spool.has_nul |= b.p[i] == '\0';
		must((b.p[i] == '\n') == (*last == '\r'));
		*last = b.p[i];
	}
}

static inline void
must_be_whole(const struct message *m)
{
	struct chunk *c;
	char	      last = ' ';

	if (m->body_staged == 0)
		the_spool.has_nul = false;
	must(strcmp(m->account, SESSION_ACCOUNT) == 0);
	must(m->credential.n > 0 && m->envelope_count > 0);
	must(m->head.n > 4);
	must_be_clean(m->head, &last);
	must(last == '\n');
	last = m->body_staged > 0 ? the_spool.last : ' ';
	for (c = m->body_first; c != NULL; c = c->next)
		must_be_clean((struct bytes){ c->data, c->n }, &last);
	must(m->body_octets == 0 || last == '\n');
	must(!the_spool.has_nul);
}

/* What comes in without login: of nobody, for a domain of this host only. */
static inline void
must_stay_here(const struct message *m)
{
	unsigned i;

	must(m->account[0] == '\0' && m->credential.n == 0);
	must(m->envelope_count > 0);
	for (i = 0; i < m->envelope_count; i++)
		must(domain_is_within(m->envelopes[i].domain,
		    bytes_of("relay.example")));
}

bool
spool_submit(struct spool *sp, struct submission *s)
{
	(void)sp;
	if (s->message->class == MESSAGE_INTAKE)
		must_stay_here(s->message);
	else
		must_be_whole(s->message);
	must(s->message->class == MESSAGE_INTAKE || (the_talk != NULL &&
	    tally_get(the_talk->world->tally,
		BYTES("login/123456789012/app1")) == 1));
	s->result = the_spool.submitted;
	/* mail that came in has no id in its answer: it is not counted */
	the_spool.submissions += s->result == RECEIPT_OK &&
	    s->message->class != MESSAGE_INTAKE;
	return loop_post(s->from, s->on_receipt, s->ctx, s);
}

enum receipt_result
spool_has_room(struct spool *sp, uint64_t octets)
{
	(void)sp;
	(void)octets;
	return the_spool.room;
}

bool
spool_stage(struct spool *sp, struct stage *st)
{
	const struct chunk *c;

	(void)sp;
	st->result = the_spool.staged;
	if (st->content == 0) {
		st->content = ++the_spool.stages;
		the_spool.last = ' ';
		the_spool.has_nul = false;
	}
	for (c = st->chunks; c != NULL; c = c->next)
		must_be_clean((struct bytes){ c->data, c->n },
		    &the_spool.last);
	if (!loop_post(st->from, st->on_receipt, st->ctx, st))
		return false;
	chunk_free_all(st->chunks);
	st->chunks = NULL;
	return true;
}

void
spool_discard(struct spool *sp, uint64_t content)
{
	(void)sp;
	must(content != 0);
	the_spool.discards++;
}

int
spool_counter_add(struct spool_txn *t, struct bytes scope, int64_t minute,
    int64_t d, struct err *e)
{
	(void)t;
	(void)scope;
	(void)minute;
	(void)d;
	return err_set(e, "nothing is counted");
}

int
spool_counter_sum(struct spool_txn *t, struct bytes scope, int64_t from,
    int64_t to, int64_t *sum, struct err *e)
{
	(void)t;
	(void)scope;
	(void)from;
	(void)to;
	(void)sum;
	return err_set(e, "nothing is counted");
}

int
spool_counter_newest(struct spool_txn *t, struct bytes scope, int64_t *minute,
    struct err *e)
{
	(void)t;
	(void)scope;
	(void)minute;
	return err_set(e, "nothing is counted");
}

int
spool_counter_window(struct spool *s, struct bytes scope, int64_t now,
    int64_t width, int64_t *sum, struct err *e)
{
	(void)s;
	(void)scope;
	(void)now;
	(void)width;
	(void)e;
	*sum = 0;
	return 0;
}

/* -- the book ------------------------------------------------------------- */

static inline void
session_add_domain(struct db_txn *t, struct err *e)
{
	struct identity i;
	struct dkim_key k;

	identity_init(&i, SESSION_ACCOUNT, "example.com",
	    (struct wall){ 1714564800000 });
	i.method = METHOD_OVERRIDE;
	i.link.status = IDENTITY_SUCCESS;
	i.dkim.status = IDENTITY_SUCCESS;
	i.signing = DKIM_ON;
	must(identity_put(t, &i, e) >= 0);
	memset(&k, 0, sizeof(k));
	strcpy(k.account, SESSION_ACCOUNT);
	strcpy(k.domain, "example.com");
	strcpy(k.selector, "s");
	k.bits = 1024;
	k.role = DKIM_ACTIVE;
	k.public_n = keys_double_public(k.public_key, sizeof(k.public_key));
	memcpy(k.sealed, "sealed", 6);
	k.sealed_n = 6;
	must(dkim_key_put(t, &k, e) >= 0);
}

static inline int
session_on_populate(struct book_job *j, struct db_txn *t)
{
	static struct credential c;
	struct account		 a;

	memset(&a, 0, sizeof(a));
	strcpy(a.id, SESSION_ACCOUNT);
	strcpy(a.name, "main");
	a.production = a.sending_enabled = true;
	a.max_24h = a.rate = -1;
	must(account_create(t, &a, &j->err) >= 0);
	session_add_domain(t, &j->err);
	credential_init(&c);
	strcpy(c.account, SESSION_ACCOUNT);
	strcpy(c.name, "app1");
	c.key_count = 1;
	strcpy(c.keys[0].id, SESSION_USER);
	must(credential_import_password(&c.keys[0], "us-east-1",
		 BYTES(SESSION_PASSWORD), &j->err) == 0);
	must(credential_create(t, &c, 0, &j->err) >= 0);
	must(book_set_region(t, "us-east-1", &j->err) >= 0);
	return 0;
}

static inline struct book *
session_open_book(void)
{
	struct book_job j = { .run = session_on_populate };
	struct book    *b;
	struct err	e;
	char		dir[TEMP_FOLDER_SIZE];

	temp_folder_make(dir, "fuzz");
	b = book_open(dir, 16 << 20, &e);
	must(b != NULL);
	must(book_write_now(b, &j) == 0);
	temp_folder_remove(dir);
	return b;
}

/* -- the world ------------------------------------------------------------ */

static inline struct conf *
session_load_conf(void)
{
	static const char text[] =
	    "server.name mail.relay.example\n"
	    "tls.cert /c\ntls.key /k\n"
	    "listener smtp {\n enabled no\n}\n"
	    "listener submission {\n enabled no\n}\n"
	    "listener submission-alt {\n enabled no\n}\n"
	    "listener submissions {\n enabled no\n}\n"
	    "listener submissions-alt {\n enabled no\n}\n"
	    "listener local {\n enabled no\n}\n"
	    "listener a {\n address 127.0.0.1:1\n tls none\n"
	    " role submission\n}\n"
	    "listener b {\n address 127.0.0.1:2\n tls starttls\n"
	    " role submission\n}\n"
	    "listener c {\n address 127.0.0.1:3\n tls wrapper\n"
	    " role submission\n}\n"
	    "listener d {\n address 127.0.0.1:4\n tls starttls\n"
	    " role submission, intake\n}\n"
	    "listener e {\n address 127.0.0.1:5\n tls starttls\n"
	    " role intake\n}\n"
	    "listener f {\n address unix:/f\n tls none\n role local\n}\n"
	    "local all {\n match *\n credential 123456789012/app1\n"
	    " sender alerts@example.com\n}\n";
	struct conf_errors errors;
	struct conf	  *c;

	conf_errors_init(&errors);
	c = conf_load_text("fuzz", BYTES(text), NULL, &errors);
	if (c == NULL)
		fprintf(stderr, "%s\n", errors.v[0].text);
	must(c != NULL);
	conf_errors_wipe(&errors);
	return c;
}

static inline const struct conf_listener *
session_conf_of(const struct session_world *w, enum session_listener l)
{
	const char name[] = { "abcdef"[l], '\0' };
	const struct conf_listener *c = conf_listener_find(w->conf,
	    bytes_of(name));

	must(c != NULL);
	return c;
}

static inline void
session_open_desk(struct session_world *w)
{
	struct tls_pem pem = { BYTES("c"), BYTES("k"), "/c" };
	struct tls_server_setup ts = { .pems = &pem, .pem_count = 1 };
	struct desk_setup s = { .loop = w->loop, .book = w->book,
		.tally = w->tally, .keys = &w->keys, .conf = w->conf,
		.meters = &w->meters, .ledger = w->ledger };
	struct err e;
	size_t	   i;

	w->tls = desk_tls_new(w->conf->listener_count);
	for (i = 0; i < w->tls->count; i++)
		w->tls->v[i] = tls_server_new(&ts, &e);
	s.tls = w->tls;
	w->desk = desk_new(&s, &e);
	must(w->desk != NULL);
	for (i = 0; i < SESSION_LISTENERS; i++)
		must(desk_listen(w->desk, (size_t)(session_conf_of(w,
		    (enum session_listener)i) - w->conf->listeners),
		    SESSION_FD + (int)i, &e) == 0);
}

static inline void
session_on_log(void *arg, const char *line)
{
	const char *event = strstr(line, "auth-failure sid=");
	const char *quote = strchr(line, '"');
	const char *user = strstr(line, " user=");

	(void)arg;
	/* the name of the event, not what a client wrote */
	if (event == NULL || (quote != NULL && quote < event))
		return;
	/* people type passwords into the wrong field */
	must(user != NULL);
	user += 6;
	if (strncmp(user, "- ", 2) != 0)
		must(user[strspn(user, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")]
		    == ' ');
}

static inline struct session_world *
session_world(void)
{
	static struct session_world *w;
	struct err		     e;

	if (w != NULL)
		return w;
	w = mem_alloc(sizeof(*w));
	log_capture(session_on_log, NULL);
	fake_clock_set((struct wall){ 1714564800000 });
	keys_double_make();
	w->book = session_open_book();
	w->conf = session_load_conf();
	w->conf->smtp.trusted_networks.n = 0;
	w->tally = tally_new(1000);
	desk_meters_init(&w->meters);
	w->ledger = ledger_new();
	w->net = loop_new("net", 4096, &e);
	w->loop = loop_new("desk", 256, &e);
	w->keys.loop = w->loop;
	fake_net_open(w->net, NULL, NULL);
	session_open_desk(w);
	must(loop_start(w->net, &e) == 0 && loop_start(w->loop, &e) == 0);
	return w;
}

/* Nothing is left of a client who has gone. */
static inline void
session_world_is_empty(const struct session_world *w)
{
	must(w->desk->session_count == 0 && w->desk->posting_count == 0 &&
	    w->desk->stage_count == 0);
	must(tally_get(w->tally, BYTES("smtp")) == 0);
	must(tally_get(w->tally, BYTES("ip/192.0.2.10")) == 0);
	must(tally_get(w->tally, BYTES("preauth/192.0.2.10")) == 0);
	must(tally_get(w->tally, BYTES("login/123456789012/app1")) == 0);
	must(tally_get(w->tally, BYTES("memory")) == 0);
	tally_unblock(w->tally, BYTES("block/192.0.2.10"));
}

/* -- a client ------------------------------------------------------------- */

static inline bool
talk_has_id(struct bytes text)
{
	return bytes_starts(text, BYTES("250 Ok 0100")) ||
	    bytes_starts(text, BYTES("250 2.0.0 Ok 0100"));
}

/* A whole line, with its CR LF. */
static inline void
talk_take_line(struct talk *t, struct bytes line)
{
	size_t i;

	must(line.n >= 6 && line.n <= 512 && line.p[line.n - 2] == '\r');
	for (i = 0; i < 3; i++)
		must(line.p[i] >= '0' && line.p[i] <= '9');
	must(line.p[0] >= '2' && line.p[0] <= '5');
	must(line.p[3] == ' ' || line.p[3] == '-');
	for (i = 0; i < line.n - 2; i++)
		must(line.p[i] >= 0x20 && line.p[i] <= 0x7e);
	if (bytes_starts(line, BYTES("235 ")))
		t->has_login = true;
	if (bytes_find(line, 0, 'R') >= 0 &&
	    bytes_find_nocase(line, BYTES("Ready to start TLS")) >= 0)
		t->expects_tls = true;
	t->accepted += talk_has_id(line);
}

static inline void
talk_on_data(void *arg, struct bytes data)
{
	struct talk *t = arg;
	ptrdiff_t    lf;

	must(!t->expects_tls); /* clear text behind "go ahead" */
	buf_add_bytes(&t->said, data);
	buf_add_bytes(&t->line, data);
	while ((lf = bytes_find(buf_bytes(&t->line), 0, '\n')) >= 0) {
		talk_take_line(t, bytes_head(buf_bytes(&t->line),
		    (size_t)lf + 1));
		buf_drop(&t->line, (size_t)lf + 1);
	}
}

static inline void
talk_on_tls(void *arg, bool ok, const char *name, bool verify)
{
	struct talk *t = arg;

	(void)name;
	(void)verify;
	t->has_tls = ok;
}

static inline void
talk_on_end(void *arg)
{
	struct talk *t = arg;

	must(t->line.n == 0); /* no half reply */
	t->has_ended = true;
}

static inline void
talk_settle(void)
{
	must(fake_threads_settle());
}

static inline void
talk_open(struct talk *t, struct session_world *w, enum session_listener l)
{
	static const struct fake_peer_events ev = { .on_data = talk_on_data,
		.on_tls = talk_on_tls, .on_end = talk_on_end };
	const struct conf_addr *to;
	struct fake_client	who;
	struct conf_addr	a;

	memset(t, 0, sizeof(*t));
	memset(&who, 0, sizeof(who));
	t->world = w;
	t->listener = l;
	t->has_login = l == SESSION_LOCAL;
	t->expects_tls = l == SESSION_WRAPPER;
	buf_init(&t->line, 65536);
	buf_init(&t->said, TALK_MAX);
	buf_init(&t->sent, TALK_MAX);
	to = &session_conf_of(w, l)->addresses.v[0];
	memcpy(&who.to, &to->u, to->length);
	if (l == SESSION_LOCAL) {
		who.from.ss_family = AF_UNIX;
	} else {
		must(conf_addr_parse(BYTES("192.0.2.10"), 40000, &a));
		memcpy(&who.from, &a.u, a.length);
	}
	the_talk = t;
	t->link = fake_link_dial(SESSION_FD + (int)l, &who, &ev, t);
	must(t->link != NULL);
	talk_settle();
}

/* Octets of the client; while TLS is waited for there is no way for them. */
static inline void
talk_write(struct talk *t, struct bytes b)
{
	if (t->has_ended || t->expects_tls || b.n == 0)
		return;
	buf_add_bytes(&t->sent, b);
	fake_link_write(t->link, b);
	talk_settle();
}

static inline void
talk_tls(struct talk *t, const char *version)
{
	if (t->has_ended || !t->expects_tls)
		return;
	t->expects_tls = false;
	fake_link_tls(t->link, version, "CIPHER", true);
	talk_settle();
}

static inline size_t
talk_count(struct bytes in, struct bytes what)
{
	ptrdiff_t at;
	size_t	  n = 0;

	while ((at = bytes_find_nocase(in, what)) >= 0) {
		n++;
		in = bytes_from(in, (size_t)at + 1);
	}
	return n;
}

/* Goes, in order or not; what has to hold of the whole is checked. */
static inline void
talk_close(struct talk *t, bool reset)
{
	struct bytes sent = buf_bytes(&t->sent);
	unsigned     stored = the_spool.submissions;

	if (reset)
		fake_link_reset(t->link);
	else
		fake_link_close(t->link);
	talk_settle();
	/* a late answer, a handshake that does not come, replies that nobody
	 * takes: all end by themselves */
	must(fake_threads_advance(70000));
	session_world_is_empty(t->world);
	/* nothing else ends a message */
	must(!t->sent.failed);
	if (the_spool.submissions > 0)
		must(the_spool.submissions <= talk_count(sent,
		    BYTES("\r\n.\r\n")) + talk_count(sent, BYTES("last")));
	must(t->accepted <= the_spool.submissions);
	/* what it sent ahead while a login was checked may come to its end
	 * when nobody listens any more */
	if (!reset && !t->was_paused && stored > 0)
		must(t->has_login && t->accepted == stored);
	buf_wipe(&t->line);
	buf_wipe(&t->said);
	buf_wipe(&t->sent);
	the_talk = NULL;
}

#endif
