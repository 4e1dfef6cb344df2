/* SPDX-License-Identifier: ISC */
/* The keys process and its client together: loss, delay, nonsense; the process
 * itself. */
#include "keys_world.h"

/* -- trouble -------------------------------------------------------------- */

/* Takes the place of a keys process that has just died. */
static void
test_replaced(void **state)
{
	struct keys_setup s = { .master_key_fd = -1,
		.operator_key_fd = -1,
		.control_fd = -1 };
	struct world	  w;
	struct made	  m;
	struct keys_sign  r;
	int		  dead[2], fds[2];

	(void)state;
	world_open(&w);
	make(&w, &m, "example.com", "s1", 1024);
	keys_end(&w);
	/* asked of one that reads nothing and goes */
	pair(dead);
	keys_client_replace(w.client, dead[1]);
	r = to_sign(&m, 7);
	keys_client_sign(w.client, &r, on_answer, &w);
	close(dead[0]);
	pair(fds);
	s.master_key_fd = master_file('m');
	s.peers = fds;
	s.peer_count = 1;
	w.keys_loop = loop_new("keys", 16384, &e);
	w.keys = keys_open(w.keys_loop, &s, &e);
	assert_non_null(w.keys);
	assert_int_equal(loop_start(w.keys_loop, &e), 0);
	keys_client_replace(w.client, fds[1]);
	assert_int_equal(wait_for(&w, 1)->result, KEYS_OK);
	assert_true(verifies(m.public_key, m.public_n, 7, &w.last));
	world_close(&w);
}

static unsigned
messages_in(int fd)
{
	char	 raw[KEYS_MESSAGE_MAX];
	unsigned n = 0;

	while (recv(fd, raw, sizeof(raw), MSG_DONTWAIT) > 0)
		n++;
	return n;
}

/* Sent once more, not a third time; a request may be what kills. */
static void
test_sent_once_more_only(void **state)
{
	struct world	 w = { .answers = 0 };
	struct made	 m = { .domain = "example.com", .selector = "s" };
	struct keys_sign r = to_sign(&m, 7);
	int		 a[2], b[2], c[2];

	(void)state;
	w.loop = loop_new("asker", 64, &e);
	w.client = keys_client_new(w.loop, -1, &e); /* it comes later */
	assert_non_null(w.client);
	keys_client_sign(w.client, &r, on_answer, &w);
	pair(a);
	pair(b);
	pair(c);
	keys_client_replace(w.client, a[1]);
	assert_int_equal(messages_in(a[0]), 1);
	keys_client_replace(w.client, b[1]);
	assert_int_equal(messages_in(b[0]), 1);
	keys_client_replace(w.client, c[1]);
	assert_int_equal(messages_in(c[0]), 0);
	assert_int_equal(w.answers, 0);
	keys_client_free(w.client);
	assert_int_equal(w.failed, 1);
	assert_string_equal(w.last.reason, "shutting down");
	loop_free(w.loop);
	close(a[0]);
	close(b[0]);
	close(c[0]);
}

/* Says DONE to the one request that waits at fd. */
static void
say_done(int fd, struct keys_reply *r)
{
	struct keys_request q;
	struct buf	    out;
	char		    raw[KEYS_MESSAGE_MAX];
	ssize_t		    n = recv(fd, raw, sizeof(raw), 0);

	assert_true(n > 0);
	assert_true(keys_request_decode((struct bytes){ raw, (size_t)n },
	    &q));
	r->say = KEYS_SAY_DONE;
	r->ticket = q.ticket;
	buf_init(&out, KEYS_MESSAGE_MAX);
	assert_true(keys_reply_encode(r, &out));
	assert_int_equal(send(fd, out.p, out.n, 0), out.n);
	buf_wipe(&out);
}

/* dkim.md 5.5: DONE without a signature, or with one that is longer than any,
 * would make an unsigned message of a signed one. */
static void
test_done_without_what_was_asked(void **state)
{
	static const char long_one[KEYS_SIGNATURE_MAX + 1];
	struct world	  w = { .answers = 0 };
	struct made	  m = { .domain = "example.com", .selector = "s" };
	struct keys_sign  r = to_sign(&m, 7);
	struct keys_reply replies[] = { { .bits = 2048 },
		{ .signature = { long_one, sizeof(long_one) } },
		{ .public_key = BYTES("public"), .sealed = BYTES("sealed") } };
	struct keys_reply sealed_only = { .sealed = BYTES("sealed") };
	int		  fds[2];
	size_t		  i;

	(void)state;
	pair(fds);
	w.loop = loop_new("asker", 64, &e);
	w.client = keys_client_new(w.loop, fds[1], &e);
	for (i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		keys_client_sign(w.client, &r, on_answer, &w);
		say_done(fds[0], &replies[i]);
		assert_int_equal(wait_for(&w, 1)->result, KEYS_FAILED);
		assert_string_equal(w.last.reason, "the keys process gave an "
		    "answer that is not whole");
		assert_int_equal(w.last.signature_n, 0);
	}
	keys_client_sign_operator(w.client, &r, on_answer, &w);
	say_done(fds[0], &replies[0]);
	assert_int_equal(wait_for(&w, 1)->result, KEYS_FAILED);
	keys_client_operator(w.client, on_answer, &w);
	say_done(fds[0], &replies[0]);
	assert_int_equal(wait_for(&w, 1)->result, KEYS_FAILED);
	keys_client_make(w.client, "example.com", "s", 2048, on_answer, &w);
	say_done(fds[0], &sealed_only);
	assert_int_equal(wait_for(&w, 1)->result, KEYS_FAILED);
	say_done(fds[0], &sealed_only); /* the question beside it */
	keys_client_check(w.client, &r, on_answer, &w);
	say_done(fds[0], &replies[0]);
	assert_int_equal(wait_for(&w, 1)->result, KEYS_OK);
	keys_client_free(w.client);
	loop_free(w.loop);
	close(fds[0]);
}

static void
test_no_answer_in_time(void **state)
{
	struct world	 w = { .answers = 0 };
	struct made	 m = { .domain = "example.com", .selector = "s" };
	struct keys_sign r = to_sign(&m, 7);
	struct mono	 begun;
	int		 fds[2];
	unsigned	 i;

	(void)state;
	pair(fds);
	w.loop = loop_new("asker", 64, &e);
	w.client = keys_client_new(w.loop, fds[1], &e);
	keys_client_set_limits(w.client, 50, 600000);
	begun = clock_mono();
	for (i = 0; i < 3; i++)
		keys_client_sign(w.client, &r, on_answer, &w);
	/* it may take long, but not be silent */
	keys_client_make(w.client, "example.com", "s", 2048, on_answer, &w);
	wait_for(&w, 4);
	assert_true(clock_mono().ms - begun.ms >= 49);
	assert_string_equal(w.last.reason, "the keys process does not answer");
	assert_int_equal(w.down, 4);
	keys_client_free(w.client);
	loop_free(w.loop);
	close(fds[0]);
}

static void
on_readable(void *loop, int fd, int what)
{
	(void)fd;
	(void)what;
	loop_stop(loop);
}

/*
 * A key is being made: the keys process is asked again and again whether it
 * is there, and the limit is that of making as long as it says so.
 */
static void
test_slow_but_there(void **state)
{
	struct world	  w = { .answers = 0 };
	struct keys_reply yes = { .public_key = BYTES("public") };
	struct watch	 *watch;
	char		  make[KEYS_MESSAGE_MAX];
	int		  fds[2];
	unsigned	  i;

	(void)state;
	pair(fds);
	w.loop = loop_new("asker", 64, &e);
	w.client = keys_client_new(w.loop, fds[1], &e);
	keys_client_set_limits(w.client, 100, 600000);
	keys_client_make(w.client, "example.com", "s", 2048, on_answer, &w);
	assert_true(recv(fds[0], make, sizeof(make), 0) > 0);
	watch = watch_open(w.loop, fds[0], WATCH_READ, on_readable, w.loop);
	for (i = 0; i < 4; i++) {
		loop_run(w.loop);
		assert_int_equal(w.answers, 0);
		say_done(fds[0], &yes);
	}
	watch_close(watch);
	/* and hangs */
	assert_int_equal(wait_for(&w, 1)->result, KEYS_DOWN);
	keys_client_free(w.client);
	loop_free(w.loop);
	close(fds[0]);
}

/* More than the channel takes is given up at once, but not from inside. */
static void
test_more_than_fits(void **state)
{
	enum { ALL = 20000 };
	struct world	 w = { .answers = 0 };
	struct made	 m = { .domain = "example.com", .selector = "s" };
	struct keys_sign r = to_sign(&m, 7);
	int		 fds[2];
	unsigned	 i, at_once;

	(void)state;
	pair(fds);
	w.loop = loop_new("asker", 64, &e);
	w.client = keys_client_new(w.loop, fds[1], &e);
	for (i = 0; i < ALL; i++)
		keys_client_sign(w.client, &r, on_answer, &w);
	assert_int_equal(w.answers, 0);
	wait_for(&w, 1000);
	assert_int_equal(w.down, w.answers);
	assert_string_equal(w.last.reason,
	    "the keys process does not keep up");
	at_once = w.answers;
	assert_true(at_once < ALL);
	keys_client_free(w.client);
	assert_int_equal(w.answers, ALL);
	assert_int_equal(w.failed, ALL - at_once);
	loop_free(w.loop);
	close(fds[0]);
}

static void
never(void *arg, const struct keys_answer *a)
{
	(void)arg;
	(void)a;
	fail_msg("a cancelled request was answered");
}

/* The slot is used again; the late answer does not find it. */
static void
test_cancel(void **state)
{
	enum { SLOTS = 64 };
	static struct one_of_many o[SLOTS];
	struct world		  w;
	struct made		  m;
	struct keys_sign	  r;
	uint64_t		  ticket;
	unsigned		  i;

	(void)state;
	world_open(&w);
	make(&w, &m, "example.com", "s1", 1024);
	r = to_sign(&m, 1);
	ticket = keys_client_sign(w.client, &r, never, NULL);
	keys_client_cancel(w.client, ticket);
	keys_client_cancel(w.client, ticket);
	keys_client_cancel(w.client, 12345);
	for (i = 0; i < SLOTS; i++) {
		o[i] = (struct one_of_many){ &w, &m, (unsigned char)(i + 2) };
		r = to_sign(&m, o[i].n);
		keys_client_sign(w.client, &r, on_one_of_many, &o[i]);
	}
	wait_for(&w, SLOTS);
	assert_int_equal(w.ok, SLOTS + 1);
	world_close(&w);
}

/* A peer that says nonsense harms nobody. */
static void
test_nonsense(void **state)
{
	static const char *const words[] = { "x", "\1", "\4\1\1d\1s",
		"hello there", "\5\1\1d\1s\1\1" /* import without a file */ };
	struct world w;
	struct made  m;
	char	     raw[KEYS_MESSAGE_MAX];
	int	     fds[2], file[2];
	struct pollfd p;
	struct keys_reply reply;
	ssize_t	     n;
	size_t	     i;

	(void)state;
	memset(&w, 0, sizeof(w));
	pair(fds);
	{
		int		  both[2];
		int		  mine[2];
		struct keys_setup s = { .master_key_fd = master_file('m'),
			.operator_key_fd = -1, .control_fd = -1 };

		pair(mine);
		both[0] = fds[0];
		both[1] = mine[0];
		s.peers = both;
		s.peer_count = 2;
		w.keys_loop = loop_new("keys", 16384, &e);
		w.loop = loop_new("asker", 64, &e);
		w.keys = keys_open(w.keys_loop, &s, &e);
		w.client = keys_client_new(w.loop, mine[1], &e);
		assert_int_equal(loop_start(w.keys_loop, &e), 0);
	}
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		assert_true(send(fds[1], words[i], strlen(words[i]), 0) > 0);
	p.fd = fds[1];
	p.events = POLLIN;
	assert_int_equal(poll(&p, 1, 5000), 1);
	n = recv(fds[1], raw, sizeof(raw), MSG_DONTWAIT);
	assert_true(n > 0);
	assert_true(keys_reply_decode((struct bytes){ raw, (size_t)n },
	    &reply));
	assert_int_equal(reply.say, KEYS_SAY_FAILED);
	assert_true(bytes_eq_text(reply.reason,
	    "no file came with the request"));
	/* it goes while its request is under way */
	assert_int_equal(pipe(file), 0);
	assert_true(send(fds[1], "\4\1\1d\1s\200\10", 8, 0) == 8);
	close(fds[1]);
	close(file[0]);
	close(file[1]);
	make(&w, &m, "example.com", "s1", 1024);
	sign(&w, &m, 1);
	world_close(&w);
}

/* -- the process ---------------------------------------------------------- */

static pid_t
start(struct keys_setup *s, int *control)
{
	int   fds[2], status;
	pid_t pid;

	pair(fds);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(fds[1]);
		s->control_fd = fds[0];
		status = keys_run(s);
		_exit(status);
	}
	close(fds[0]);
	if (s->master_key_fd >= 0)
		close(s->master_key_fd);
	*control = fds[1];
	return pid;
}

static int
ends_with(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

struct master {
	struct loop    *loop;
	struct channel *channel;
	bool		ready;
	char		fatal[200];
};

static void
master_on_message(void *arg, struct bytes message, int fd)
{
	struct master	    *m = arg;
	struct child_message c;

	assert_int_equal(fd, -1);
	assert_true(child_read(message, &c));
	m->ready = c.kind == CHILD_READY;
	if (c.kind == CHILD_FATAL)
		bytes_text(c.text, m->fatal, sizeof(m->fatal));
	loop_stop(m->loop);
}

static void
master_on_close(void *arg)
{
	struct master *m = arg;

	channel_close(m->channel);
	m->channel = NULL;
	loop_stop(m->loop);
}

static void
master_open(struct master *m, int control)
{
	static const struct channel_events ev = { master_on_message,
		master_on_close };

	memset(m, 0, sizeof(*m));
	m->loop = loop_new("master", 64, &e);
	m->channel = channel_open(m->loop, control, &ev, m, &e);
	assert_non_null(m->channel);
	loop_run(m->loop);
}

static void
test_process(void **state)
{
	struct keys_setup s = { .master_key_fd = master_file('m'),
		.operator_key_fd = -1 };
	struct master	  master;
	struct world	  w = { .answers = 0 };
	struct made	  m;
	int		  control, fds[2];
	pid_t		  pid = start(&s, &control);

	(void)state;
	master_open(&master, control);
	assert_true(master.ready);
	pair(fds);
	assert_true(child_send(master.channel, CHILD_PEER_KEYS, 0, BYTES(""),
	    fds[0]));
	w.loop = loop_new("asker", 64, &e);
	w.client = keys_client_new(w.loop, fds[1], &e);
	make(&w, &m, "example.com", "s1", 1024);
	sign(&w, &m, 4);
	assert_true(child_send(master.channel, CHILD_STOP, 0, BYTES(""), -1));
	assert_int_equal(ends_with(pid), 0);
	keys_client_free(w.client);
	loop_free(w.loop);
	channel_close(master.channel);
	loop_free(master.loop);
}

/* The master has gone: so does it. */
static void
test_process_ends_with_the_master(void **state)
{
	struct keys_setup s = { .master_key_fd = -1, .operator_key_fd = -1 };
	int		  control;
	pid_t		  pid = start(&s, &control);

	(void)state;
	close(control);
	assert_int_equal(ends_with(pid), 0);
}

/* credentials#25: a master key that others may read */
static void
test_process_refuses_an_open_master_key(void **state)
{
	char		  raw[32] = { 1 };
	struct keys_setup s = { .master_key_fd = temporary_file(0644, raw, 32),
		.operator_key_fd = -1 };
	struct master	  master;
	int		  control;
	pid_t		  pid = start(&s, &control);

	(void)state;
	master_open(&master, control);
	assert_string_equal(master.fatal, "store.master_key: the file must "
	    "not be open to group or others (mode 0644)");
	assert_int_equal(ends_with(pid), KEYS_EXIT_SETUP);
	channel_close(master.channel);
	loop_free(master.loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_process),
		cmocka_unit_test(test_process_ends_with_the_master),
		cmocka_unit_test(test_process_refuses_an_open_master_key),
		cmocka_unit_test(test_replaced),
		cmocka_unit_test(test_sent_once_more_only),
		cmocka_unit_test(test_done_without_what_was_asked),
		cmocka_unit_test(test_no_answer_in_time),
		cmocka_unit_test(test_slow_but_there),
		cmocka_unit_test(test_more_than_fits),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_nonsense),
	};

	return cmocka_run_group_tests_name("keys_trouble", tests, NULL, NULL);
}
