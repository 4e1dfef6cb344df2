/* SPDX-License-Identifier: ISC */
/*
 * Commands of the control socket with their arguments, against a whole relay
 * that has a row of everything, mail that waits and mail that came back.  The
 * first octet chooses who asks, then comes the line; what stands behind the
 * line is in the file of descriptor 0.  Descriptors 1 and 2 are empty files
 * to be written, 3 is a pipe.  @0@ to @3@ in a line are the ids of the
 * messages.
 *
 * All are dry runs.  Whatever is asked, one answer comes that is JSON, with a
 * code and a text when it is a refusal, and before it only lines of JSON; it
 * comes without time passing, but for those that follow, which end with their
 * caller.  Nothing is changed, no descriptor is lost, and who has one account
 * hears nothing of the other.
 *
 * All commands are here.  What a dry run does not do is not: keys are not
 * made, nothing is sent to an event destination, no import takes a line in
 * (fuzz_import has those), no store is copied.  The processes of keys and
 * verifier are here as loops; the net is not: names are known that
 * world_open() says, and nobody answers a connection.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "book_rows.h"
#include "daemon/control_private.h"
#include "fake_resolver.h"
#include "fuzz_input.h"
#include "relay_world.h"
#include "store/spool_intake.h"

#define OTHER "888888888888"
#define OTHER_SECRET "nobody-else-knows"

enum {
	ANSWER_MAX = 64 << 20,
	MESSAGES = 4, /* of rows, held; of the other; came back, twice */
	FILES = 4
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* -- a caller --------------------------------------------------------------- */

struct calling {
	int	   fd;
	struct buf answer;
	bool	   has_ended; /* by the relay */
};

static void
calling_take(struct calling *x)
{
	char	piece[65536];
	ssize_t n;

	while ((n = recv(x->fd, piece, sizeof(piece), MSG_DONTWAIT)) > 0)
		must(buf_add(&x->answer, piece, (size_t)n));
	x->has_ended = n == 0;
}

static void
calling_send(const struct calling *x, struct bytes line, const int fds[FILES])
{
	union {
		struct cmsghdr align;
		char	       space[CMSG_SPACE(FILES * sizeof(int))];
	} control = { .space = { 0 } };
	struct iovec  iov = { (char *)(uintptr_t)line.p, line.n };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fds != NULL) {
		h.msg_control = control.space;
		h.msg_controllen = sizeof(control.space);
		CMSG_FIRSTHDR(&h)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&h)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&h)->cmsg_len = CMSG_LEN(FILES * sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&h)), fds,
		    FILES * sizeof(int));
	}
	must(sendmsg(x->fd, &h, MSG_NOSIGNAL) == (ssize_t)line.n);
}

/* Who knocks is made another by what he may. */
static void
calling_open(struct calling *x, const struct control_right *right)
{
	struct control *k = the_relay_world.relay->control;
	int		room = 4 << 20;

	memset(x, 0, sizeof(*x));
	buf_init(&x->answer, ANSWER_MAX);
	x->fd = relay_world_dial();
	(void)setsockopt(x->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	must(fake_threads_settle());
	must(k->caller_count == 1);
	k->callers->right = *right;
	k->callers->name[0] = '\0';
}

/* Until it is answered; what follows for ever is left. */
static void
calling_wait(struct calling *x)
{
	size_t n;

	do {
		n = x->answer.n;
		must(fake_threads_settle()); /* there is room again */
		calling_take(x);
	} while (!x->has_ended && x->answer.n > n);
}

static void
calling_close(struct calling *x)
{
	struct control *k = the_relay_world.relay->control;

	close(x->fd);
	must(fake_threads_settle());
	must(k->caller_count == 0 && k->requests == NULL);
	buf_wipe(&x->answer);
}

/* -- the world -------------------------------------------------------------- */

static char the_ids[MESSAGES][MSGID_TEXT + 1];

/* By the operator; does not sign. */
static void
be_verified(struct identity *i)
{
	i->method = METHOD_OVERRIDE;
	i->link.status = IDENTITY_SUCCESS;
	i->link.since = i->link.last_success = rows_now;
	i->signing = DKIM_OFF;
}

static void
add_other(struct db_txn *t)
{
	struct account a = { .id = OTHER, .name = "other",
		.production = true, .sending_enabled = true,
		.created = rows_now, .updated = rows_now, .max_24h = 1,
		.rate = 1, .use_case = OTHER_SECRET };
	static struct identity i;

	rows_good(account_create(t, &a, &rows_err));
	identity_init(&i, OTHER, OTHER_SECRET ".example", rows_now);
	be_verified(&i);
	rows_good(identity_create(t, &i, &rows_err));
}

/* One that mail can be sent from: the key of the other is none. */
static void
add_sender(struct db_txn *t)
{
	static struct identity i;

	identity_init(&i, ROWS_ACCOUNT, "sender.example", rows_now);
	be_verified(&i);
	rows_good(identity_create(t, &i, &rows_err));
}

static int
fill(struct book_job *job, struct db_txn *t)
{
	(void)job;
	rows_put(t);
	add_sender(t);
	add_other(t);
	return 0;
}

/* On main, and its receipt. */
static void
on_filled(void *job, void *unused)
{
	struct book_job *j = job;

	(void)unused;
	relay_world_must(!j->failed, j->err.text);
}

static void
fill_on_main(void *job, void *unused)
{
	(void)unused;
	must(book_write(the_relay_world.relay->book, job));
}

/* What is no dry run: the answer's MessageId goes to id. */
static void
order(const char *line, const char *text, char id[MSGID_TEXT + 1])
{
	static const struct control_right full = { .role = CONTROL_FULL };
	struct calling x;
	json_t	      *v;
	int	       fds[FILES], i;

	calling_open(&x, &full);
	for (i = 0; i < FILES; i++)
		fds[i] = relay_world_file("order", bytes_of(text));
	calling_send(&x, bytes_of(line), fds);
	for (i = 0; i < FILES; i++)
		close(fds[i]);
	calling_wait(&x);
	v = json_loadb(x.answer.p, x.answer.n, 0, NULL);
	buf_add_char(&x.answer, '\0');
	relay_world_must(json_integer_value(json_object_get(v,
	    "status")) == 0, x.answer.p);
	if (id != NULL)
		snprintf(id, MSGID_TEXT + 1, "%s", json_string_value(
		    json_object_get(json_object_get(v, "result"),
			"MessageId")));
	json_decref(v);
	calling_close(&x);
}

/* -- mail that came back ---------------------------------------------------- */

struct coming {
	struct submission submission;
	const char	 *text;
	char		 *id;
};

static void
on_come(void *coming, void *unused)
{
	struct coming *c = coming;

	(void)unused;
	must(c->submission.result == RECEIPT_OK);
	message_free(c->submission.message);
}

static void
come_on_main(void *coming, void *unused)
{
	struct coming  *c = coming;
	struct relay   *r = the_relay_world.relay;
	struct message *m = message_new(1 << 20);

	(void)unused;
	m->class = MESSAGE_INTAKE;
	m->accepted = rows_now;
	msgid_make(m->accepted, &m->id);
	msgid_to_text(&m->id, r->conf->server.id_prefix, 0, c->id);
	must(message_set(m, &m->head, BYTES("Subject: back\r\n\r\n")) &&
	    message_set(m, &m->sender, BYTES("a@back.example")) &&
	    message_set(m, &m->ehlo, BYTES("mx.back.example")) &&
	    message_add_envelope(m, BYTES("x@relay.example")) != NULL &&
	    message_add_body(m, bytes_of(c->text)));
	c->submission = (struct submission){ .from = r->main,
		.on_receipt = on_come, .ctx = c, .message = m };
	must(spool_submit(r->spool, &c->submission));
}

static void
come_back(const char *text, char *id)
{
	struct coming c = { .text = text, .id = id };

	must(loop_post(the_relay_world.relay->main, come_on_main, &c, NULL));
	must(fake_threads_settle());
}

static void
world_open(void)
{
	struct relay   *r = relay_world_open(rows_now,
	      "delivery.allow_private yes\n"
	      "dnsbl.zones list.example\n");
	struct book_job job = { .asker = r->main, .run = fill,
		.done = on_filled };

	must(fake_dns_add("sink.example", "MX", "10 mx.sink.example", 300) &&
	    fake_dns_add("mx.sink.example", "A", "192.0.2.25", 300) &&
	    fake_dns_add("example.com", "TXT", "v=spf1 ip4:192.0.2.1 -all",
		300));
	must(loop_post(r->main, fill_on_main, &job, NULL));
	must(fake_threads_settle());
	order("{\"verb\":\"send\",\"account\":\"" ROWS_ACCOUNT "\","
	    "\"args\":{\"from\":\"a@sender.example\",\"to\":[\"b@sink.example\","
	    "\"c@none.example\"],\"message\":0}}\n",
	    "From: a@sender.example\nTo: b@sink.example\nSubject: one\n"
	    "X-SES-CONFIGURATION-SET: s\n\ntext\n", the_ids[0]);
	order("{\"verb\":\"send\",\"account\":\"" OTHER "\","
	    "\"args\":{\"from\":\"a@" OTHER_SECRET ".example\","
	    "\"to\":[\"" OTHER_SECRET "@sink.example\"],\"message\":0}}\n",
	    "From: a@" OTHER_SECRET ".example\nTo: b@sink.example\n"
	    "Subject: " OTHER_SECRET "\n\n" OTHER_SECRET "\n", the_ids[1]);
	come_back("not a report\r\n", the_ids[2]);
	come_back("nor this\r\n", the_ids[3]);
	order("{\"verb\":\"queue hold\",\"args\":"
	    "{\"to\":\"c@none.example\"}}\n", "", NULL);
}

/* -- what is asked ---------------------------------------------------------- */

/* @N@ becomes an id. */
static void
add_with_ids(struct buf *out, const char *line)
{
	for (; *line != '\0'; line++) {
		if (line[0] == '@' && line[1] >= '0' &&
		    line[1] < '0' + MESSAGES && line[2] == '@') {
			buf_add_text(out, the_ids[line[1] - '0']);
			line += 2;
		} else {
			buf_add_char(out, *line);
		}
	}
}

/* The line as a dry run; what is no object goes as it is. */
static void
dry_line(struct bytes in, struct buf *out)
{
	json_t *v = json_loadb(in.n > 0 ? in.p : "", in.n, 0, NULL);
	char   *line;

	if (!json_is_object(v)) {
		buf_add_bytes(out, in);
	} else {
		json_object_set_new(v, "dry_run", json_true());
		line = json_dumps(v, JSON_COMPACT);
		add_with_ids(out, line);
		free(line);
	}
	buf_add_char(out, '\n');
	json_decref(v);
	must(!out->failed);
}

static void
ask(struct calling *x, struct bytes line, struct bytes file)
{
	int fds[FILES], ends[2], i;

	fds[0] = relay_world_file("in", file);
	fds[1] = relay_world_file("out", BYTES(""));
	fds[2] = relay_world_file("more", BYTES(""));
	must(pipe2(ends, O_CLOEXEC) == 0);
	close(ends[1]);
	fds[3] = ends[0];
	calling_send(x, line, fds);
	for (i = 0; i < FILES; i++)
		close(fds[i]);
	calling_wait(x);
}

/* -- the answer ------------------------------------------------------------- */

static void
must_be_an_end(json_t *v)
{
	json_t *error = json_object_get(v, "error");
	json_t *status = json_object_get(v, "status");

	must(json_is_integer(status));
	must((error == NULL) == json_is_object(json_object_get(v, "result")));
	if (error == NULL)
		return;
	must(json_integer_value(status) != 0);
	must(json_string_length(json_object_get(error, "Code")) > 0);
	must(json_string_length(json_object_get(error, "Message")) > 0);
	/* the store is well */
	must(strcmp(json_string_value(json_object_get(error, "Code")),
	    "InternalServiceErrorException") != 0);
}

static bool
is_verb(const json_t *v, const char *verb)
{
	const char *is = json_string_value(json_object_get(v, "verb"));

	return is != NULL && strcmp(is, verb) == 0;
}

static bool
is_followed(struct bytes line)
{
	json_t *v = json_loadb(line.p, line.n, 0, NULL);
	bool	is = is_verb(v, "audit tail") || (is_verb(v, "event tail") &&
	    json_is_true(json_object_get(json_object_get(v, "args"),
		"follow")));

	json_decref(v);
	return is;
}

/* It asks the lists, and notes what they say: a dry run is all the same. */
static bool
is_noting(struct bytes line)
{
	json_t *v = json_loadb(line.p, line.n, 0, NULL);
	bool	is = is_verb(v, "blocklist check");

	json_decref(v);
	return is;
}

static void
must_be_an_answer(const struct calling *x, struct bytes line)
{
	struct bytes rest = buf_bytes(&x->answer), one;
	ptrdiff_t    end;
	json_t	    *v;
	bool	     has_end = false;

	while ((end = bytes_find(rest, 0, '\n')) >= 0) {
		must(!has_end);
		one = bytes_head(rest, (size_t)end);
		rest = bytes_from(rest, one.n + 1);
		v = json_loadb(one.p, one.n, JSON_ALLOW_NUL, NULL);
		must(json_is_object(v));
		has_end = json_object_get(v, "line") == NULL;
		if (has_end)
			must_be_an_end(v);
		json_decref(v);
	}
	must(rest.n == 0);
	must(x->has_ended == has_end);
	must(has_end || is_followed(line));
}

/* -- what must not change --------------------------------------------------- */

struct standing {
	uint64_t	     book, events;
	struct spool_figures spool;
	unsigned	     fds;
};

static void
standing_take(struct standing *s)
{
	struct relay *r = the_relay_world.relay;
	struct err    e;

	s->book = book_version(r->book);
	s->events = spool_first_event_since(r->spool,
	    (struct wall){ INT64_MAX });
	must(spool_figures(r->spool, &s->spool, &e) == 0);
	s->fds = count_fds();
}

static void
must_stand(const struct standing *was, bool may_note)
{
	struct standing s;

	standing_take(&s);
	must(s.book == was->book || may_note);
	must(s.events == was->events && s.fds == was->fds);
	must(s.spool.messages == was->spool.messages &&
	    s.spool.recipients == was->spool.recipients &&
	    s.spool.held == was->spool.held &&
	    s.spool.deferred == was->spool.deferred);
}

static void
run(const struct control_right *right, struct bytes line, struct bytes file)
{
	struct calling	x;
	struct standing was;

	standing_take(&was);
	calling_open(&x, right);
	ask(&x, line, file);
	must_be_an_answer(&x, line);
	/* he may have said the word himself */
	if (right->account[0] != '\0' &&
	    bytes_find_nocase(line, BYTES("nobody")) < 0 &&
	    bytes_find_nocase(file, BYTES("nobody")) < 0)
		must(bytes_find_nocase(buf_bytes(&x.answer),
		    BYTES(OTHER_SECRET)) < 0);
	calling_close(&x);
	must_stand(&was, is_noting(line));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct control_right rights[] = {
		{ CONTROL_FULL, "", NULL },
		{ CONTROL_FULL, ROWS_ACCOUNT, NULL },
		{ CONTROL_READ, ROWS_ACCOUNT, NULL },
		{ CONTROL_READ, "", NULL },
		{ CONTROL_SEND, ROWS_ACCOUNT, NULL },
	};
	struct bytes in, file = BYTES("");
	struct buf   line;
	ptrdiff_t    end;

	if (size < 1 || size > 65536)
		return 0;
	if (the_relay_world.relay == NULL)
		world_open();
	in = (struct bytes){ (const char *)data + 1, size - 1 };
	end = bytes_find(in, 0, '\n');
	if (end >= 0) {
		file = bytes_from(in, (size_t)end + 1);
		in = bytes_head(in, (size_t)end);
	}
	buf_init(&line, 1 << 20);
	dry_line(in, &line);
	run(&rights[data[0] % (sizeof(rights) / sizeof(rights[0]))],
	    buf_bytes(&line), file);
	buf_wipe(&line);
	return 0;
}
