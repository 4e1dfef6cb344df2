/* SPDX-License-Identifier: ISC */
/*
 * Commands of the control socket with their arguments, against a store that
 * has a row of everything: the first octet chooses who asks, the rest is the
 * line.  All are dry runs.  Whatever is asked, one answer comes that is JSON,
 * with a code and a text when it is a refusal; nothing is changed; and who has
 * one account hears nothing of the other.
 */
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "book_rows.h"
#include "daemon/control_private.h"
#include "fake_clock.h"
#include "fake_thread.h"
#include "reporting/series.h"

#define OTHER "888888888888"
#define OTHER_SECRET "nobody-else-knows"

enum { ANSWER_MAX = 1 << 20, SOCKET_ROOM = 4 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* -- the world -------------------------------------------------------------- */

static struct {
	struct relay   *relay;
	struct control	control;
} the_world;

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
	rows_good(identity_create(t, &i, &rows_err));
}

static int
fill(struct book_job *job, struct db_txn *t)
{
	(void)job;
	rows_put(t);
	add_other(t);
	return 0;
}

static int
on_file(const char *path, const struct stat *st, int kind, struct FTW *f)
{
	(void)st;
	(void)kind;
	(void)f;
	return remove(path);
}

static struct conf *
load_conf(void)
{
	static const char  text[] = "server.name relay.example\n"
	    "tls.cert /c\ntls.key /k\n"
	    "listener smtp {\n enabled no\n}\n"
	    "listener submission {\n enabled no\n}\n"
	    "listener submission-alt {\n enabled no\n}\n"
	    "listener submissions {\n enabled no\n}\n"
	    "listener submissions-alt {\n enabled no\n}\n";
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

static void
on_log(void *unused, const char *line)
{
	(void)unused;
	must(strchr(line, '\n') == NULL);
}

static void
open_stores(struct relay *r)
{
	char		   dir[] = "/tmp/posthorn-fuzz-XXXXXX";
	struct spool_setup s = { .dir = dir, .map_bytes = 16 << 20,
		.messages_max = 1000, .index_keep_ms = 86400000,
		.tail_keep_ms = 86400000, .redo_log = REDO_NEVER };
	struct book_job	   job = { .run = fill };
	struct err	   e;

	must(mkdtemp(dir) != NULL);
	r->book = book_open(dir, 16 << 20, &e);
	r->spool = spool_open(&s, &e);
	must(r->book != NULL && r->spool != NULL);
	must(nftw(dir, on_file, 8, FTW_DEPTH | FTW_PHYS) == 0);
	rows_good(book_write_now(r->book, &job));
	must(book_start(r->book, &e) == 0 && spool_start(r->spool, &e) == 0);
}

static void
world_open(void)
{
	struct relay *r = mem_alloc(sizeof(*r));
	struct err    e;

	log_capture(on_log, NULL);
	fake_clock_set(rows_now);
	r->conf = load_conf();
	r->main = loop_new("main", 4096, &e);
	must(r->main != NULL && loop_start(r->main, &e) == 0);
	r->started = rows_now;
	r->ledger = ledger_new();
	r->tally = tally_new(100);
	r->series = series_new();
	r->audit = audit_open(memfd_create("audit", MFD_CLOEXEC),
	    "us-east-1");
	open_stores(r);
	the_world.relay = r;
	the_world.control.relay = r;
	the_world.control.listen_fd = -1;
}

/* -- a caller --------------------------------------------------------------- */

static void
on_nothing(void *caller, int fd, int what)
{
	(void)caller;
	(void)fd;
	(void)what;
}

static void
on_late(void *caller, void *unused)
{
	(void)caller;
	(void)unused;
}

struct calling {
	struct caller *caller;
	struct bytes   line;
	int	       other_end;
	char	       answer[ANSWER_MAX];
	size_t	       n;
};

/* On main. */
static void
call_on_main(void *calling, void *unused)
{
	struct calling *x = calling;

	(void)unused;
	request_begin(x->caller, x->line);
}

static void
call(struct calling *x, const struct control_right *right)
{
	struct loop   *main = the_world.relay->main;
	struct caller *c = x->caller = mem_alloc(sizeof(*c));
	int	       fds[2], room = SOCKET_ROOM;
	ssize_t	       n;

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	c->control = &the_world.control;
	c->fd = fds[0];
	c->right = *right;
	buf_init(&c->in, 1);
	buf_init(&c->out, ANSWER_MAX);
	timer_init(&c->deadline, main, on_late, c);
	c->watch = watch_open(main, c->fd, WATCH_READ, on_nothing, c);
	the_world.control.callers = c;
	the_world.control.caller_count = 1;
	must(loop_post(main, call_on_main, x, NULL));
	must(fake_threads_settle());
	x->other_end = fds[1];
	x->n = 0;
	while ((n = recv(fds[1], x->answer + x->n, sizeof(x->answer) - x->n,
		MSG_DONTWAIT)) > 0)
		x->n += (size_t)n;
	/* answered and closed: nobody waits for anything */
	must(n == 0 && the_world.control.caller_count == 0);
	must(the_world.control.requests == NULL);
	close(fds[1]);
}

/* -- what is asked ---------------------------------------------------------- */

/* Those that need more of the relay than its stores, or the net. */
static bool
is_for_others(const char *verb)
{
	static const char *const words[] = { "queue ", "feedback ", "event ",
		"trace ", "audit ", "doctor", "send", "status", "reload",
		"stop", "store ", "metrics", "auth ", "snds import",
		"suppression import", "dkim set-key", "dkim new-key",
		"dkim rotate", "dkim export", "dkim managed", "dkim dual",
		"identity check", "blocklist check", "identity add",
		"complaint add", "stats",
		"reputation show",
		"identity mail-from set", "ip add" };
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strncmp(verb, words[i], strlen(words[i])) == 0)
			return true;
	return false;
}

/* The line as a dry run; what is no object goes as it is.  false: none of
 * ours. */
static bool
dry_line(struct bytes in, struct buf *out)
{
	json_t	   *v = json_loadb(in.n > 0 ? in.p : "", in.n, 0, NULL);
	const char *verb = json_string_value(json_object_get(v, "verb"));
	bool	    is_ours = verb == NULL || !is_for_others(verb);
	char	   *line;

	if (!json_is_object(v)) {
		buf_add_bytes(out, in);
	} else if (is_ours) {
		json_object_set_new(v, "dry_run", json_true());
		line = json_dumps(v, JSON_COMPACT);
		buf_add_text(out, line);
		free(line);
	}
	json_decref(v);
	must(!out->failed);
	return is_ours;
}

/* -- the answer ------------------------------------------------------------- */

static void
must_be_an_answer(const struct calling *x)
{
	json_t	   *v, *error, *status;
	const char *end = memchr(x->answer, '\n', x->n);

	must(end == x->answer + x->n - 1);
	v = json_loadb(x->answer, x->n, JSON_ALLOW_NUL, NULL);
	status = json_object_get(v, "status");
	error = json_object_get(v, "error");
	must(json_is_integer(status));
	must((error == NULL) == json_is_object(json_object_get(v, "result")));
	if (error != NULL) {
		must(json_integer_value(status) != 0);
		must(json_string_length(json_object_get(error, "Code")) > 0);
		must(json_string_length(json_object_get(error,
		    "Message")) > 0);
		/* the store is well */
		must(strcmp(json_string_value(json_object_get(error, "Code")),
		    "InternalServiceErrorException") != 0);
	}
	json_decref(v);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct control_right rights[] = {
		{ CONTROL_FULL, "", NULL },
		{ CONTROL_FULL, ROWS_ACCOUNT, NULL },
		{ CONTROL_READ, ROWS_ACCOUNT, NULL },
		{ CONTROL_READ, "", NULL },
	};
	static struct calling x;
	const struct control_right *right;
	struct bytes in;
	struct buf   line;
	uint64_t     version;

	if (size < 1 || size > 65536)
		return 0;
	if (the_world.relay == NULL)
		world_open();
	in = (struct bytes){ (const char *)data + 1, size - 1 };
	right = &rights[data[0] % 4];
	buf_init(&line, 1 << 20);
	if (dry_line(in, &line)) {
		x.line = buf_bytes(&line);
		version = book_version(the_world.relay->book);
		call(&x, right);
		must_be_an_answer(&x);
		must(book_version(the_world.relay->book) == version);
		/* he may have said the word himself */
		if (right->account[0] != '\0' &&
		    bytes_find_nocase(x.line, BYTES("nobody")) < 0)
			must(memmem(x.answer, x.n, OTHER_SECRET,
			    sizeof(OTHER_SECRET) - 1) == NULL);
	}
	buf_wipe(&line);
	return 0;
}
