/* SPDX-License-Identifier: ISC */
/* What the master hands down: messages, files, options, descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/thread.h"
#include "daemon/child.h"

/* A file in memory; the offset stands at its end. */
static int
file_of(const char *text)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, 0644), 0);
	return fd;
}

static struct child_message
message(enum child_kind kind, uint32_t index, const char *text)
{
	return (struct child_message){ kind, index, bytes_of(text) };
}

static void
add(struct child_files *f, enum child_kind kind, uint32_t index,
    const char *text, int fd)
{
	struct child_message m = message(kind, index, text);

	assert_true(child_files_add(f, &m, fd));
}

/* -- messages --------------------------------------------------------------- */

struct end {
	struct loop	    *loop;
	struct child_message last;
	char		     text[CHANNEL_MESSAGE_MAX];
	int		     fd, count;
};

static void
on_message(void *arg, struct bytes raw, int fd)
{
	struct end *x = arg;

	assert_true(child_read(raw, &x->last));
	memcpy(x->text, x->last.text.p, x->last.text.n);
	x->fd = fd;
	x->count++;
	loop_stop(x->loop);
}

static void
on_close(void *arg)
{
	(void)arg;
	fail();
}

static void
child_messages_arrive_as_they_were_sent(void **state)
{
	static const struct channel_events ev = { on_message, on_close };
	static char	long_text[CHANNEL_MESSAGE_MAX];
	static struct end x;
	struct err	e;
	struct channel *a, *b;
	int		fds[2];

	(void)state;
	x.loop = loop_new("test", 16, &e);
	assert_int_equal(channel_pair(fds, &e), 0);
	a = channel_open(x.loop, fds[0], &ev, &x, &e);
	b = channel_open(x.loop, fds[1], &ev, &x, &e);
	assert_true(child_send(a, CHILD_FILE, 0xdeadbeef, BYTES("/etc/x"),
	    file_of("y")));
	loop_run(x.loop);
	assert_int_equal(x.last.kind, CHILD_FILE);
	assert_int_equal(x.last.index, 0xdeadbeef);
	assert_int_equal(x.last.text.n, 6);
	assert_memory_equal(x.text, "/etc/x", 6);
	assert_true(x.fd >= 0);
	close(x.fd);
	/* what is too long is cut, not lost */
	memset(long_text, 'e', sizeof(long_text));
	assert_true(child_send(b, CHILD_FATAL, 0,
	    (struct bytes){ long_text, sizeof(long_text) }, -1));
	loop_run(x.loop);
	assert_int_equal(x.last.kind, CHILD_FATAL);
	assert_int_equal(x.last.text.n, CHANNEL_MESSAGE_MAX - 5);
	assert_int_equal(x.fd, -1);
	channel_close(a);
	channel_close(b);
	loop_free(x.loop);
}

static void
child_read_refuses_what_is_none(void **state)
{
	static const struct {
		const char *raw;
		size_t	    n;
	} bad[] = { { "", 0 }, { "\1\0\0\0", 4 }, { "\0\0\0\0\0", 5 },
		{ "\177\0\0\0\0", 5 }, { "\377\0\0\0\0x", 6 } };
	struct child_message m;
	char		     last[5] = { CHILD_PONG };
	size_t		     i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(child_read((struct bytes){ bad[i].raw, bad[i].n },
		    &m));
	assert_true(child_read((struct bytes){ last, 5 }, &m));
	last[0]++;
	assert_false(child_read((struct bytes){ last, 5 }, &m));
}

static void
child_listen_index_goes_both_ways(void **state)
{
	static const unsigned cases[][3] = { { 0, 0, 0 }, { 1, 2, 3 },
		{ 1023, 1023, 4095 }, { 0, 1023, 0 } };
	unsigned	      l, a, p;
	size_t		      i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		child_listen_split(child_listen_index(cases[i][0], cases[i][1],
		    cases[i][2]), &l, &a, &p);
		assert_int_equal(l, cases[i][0]);
		assert_int_equal(a, cases[i][1]);
		assert_int_equal(p, cases[i][2]);
	}
}

/* -- files ------------------------------------------------------------------ */

static void
child_files_are_found_by_name(void **state)
{
	struct child_files f;
	struct buf	   text;
	struct err	   e;
	char		   piece[8];
	int		   fd, again;

	(void)state;
	child_files_init(&f);
	add(&f, CHILD_OPTION, 0, "user=1000:1000", -1);
	add(&f, CHILD_OPTION, 0, "conf=/etc/p.conf", -1);
	add(&f, CHILD_FILE, 0, "/etc/p.conf", file_of("first"));
	add(&f, CHILD_FILE, 0, "/etc/key", file_of("secret"));
	assert_string_equal(child_files_option(&f, "user"), "1000:1000");
	assert_string_equal(child_files_option(&f, "conf"), "/etc/p.conf");
	assert_null(child_files_option(&f, "con"));
	/* from its beginning, as often as it is wanted */
	fd = child_files_open(&f, "/etc/key");
	assert_int_equal(read(fd, piece, sizeof(piece)), 6);
	again = child_files_open(&f, "/etc/key");
	assert_int_equal(read(again, piece, sizeof(piece)), 6);
	close(fd);
	close(again);
	assert_int_equal(child_files_open(&f, "/etc/other"), -1);
	assert_int_equal(errno, ENOENT);
	assert_true(child_files_read(&f, "/etc/p.conf", 5, &text, &e));
	assert_true(bytes_eq_text(buf_bytes(&text), "first"));
	buf_wipe(&text);
	assert_false(child_files_read(&f, "/etc/p.conf", 4, &text, &e));
	assert_string_equal(e.text, "/etc/p.conf is too large");
	assert_false(child_files_read(&f, "/etc/other", 4, &text, &e));
	child_files_wipe(&f);
	assert_int_equal(f.file_count, 0);
}

static void
child_files_hand_out_each_descriptor_once(void **state)
{
	struct child_files   f;
	struct child_message m = message(CHILD_FILE, 0, "/x");
	uint32_t	     index;
	int		     a = file_of("a"), b = file_of("b"), log;

	(void)state;
	child_files_init(&f);
	add(&f, CHILD_LISTEN, 7, "", a);
	add(&f, CHILD_PEER_KEYS, 1, "", b);
	assert_int_equal(child_files_take(&f, CHILD_PEER_KEYS, &index), b);
	assert_int_equal(index, 1);
	assert_int_equal(child_files_take(&f, CHILD_PEER_KEYS, &index), -1);
	assert_int_equal(child_files_take(&f, CHILD_LISTEN, NULL), a);
	close(a);
	close(b);
	/* a second log takes the place of the first */
	add(&f, CHILD_LOG, 0, "", file_of("old"));
	log = file_of("new");
	add(&f, CHILD_LOG, 0, "", log);
	assert_int_equal(f.log_fd, log);
	/* without the descriptor that belongs to it, or no part of a set-up */
	assert_false(child_files_add(&f, &m, -1));
	m.kind = CHILD_LISTEN;
	assert_false(child_files_add(&f, &m, -1));
	m.kind = CHILD_GO;
	assert_false(child_files_add(&f, &m, -1));
	child_files_wipe(&f);
	assert_int_equal(fcntl(log, F_GETFD), -1); /* closed with it */
}

static void
child_files_are_bounded(void **state)
{
	struct child_files   f;
	struct child_message m = message(CHILD_OPTION, 0, "a=b");
	size_t		     i;

	(void)state;
	child_files_init(&f);
	for (i = 0; i < CHILD_OPTIONS_MAX; i++)
		assert_true(child_files_add(&f, &m, -1));
	assert_false(child_files_add(&f, &m, -1));
	child_files_wipe(&f);
}

static void
child_files_give_the_configuration(void **state)
{
	struct child_files f;
	struct conf	  *c;
	struct buf	   text;
	struct sockaddr_storage room[RESOLVER_SERVERS_MAX];
	struct resolver_setup	rs;

	(void)state;
	child_files_init(&f);
	add(&f, CHILD_OPTION, 0, "conf=/c", -1);
	add(&f, CHILD_FILE, 0, "/c", file_of("server.name a.example\n"
	    "dns.servers 127.0.0.1:5301, 127.0.0.2:5302\ndns.timeout 2s\n"
	    "dns.tries 4\n"));
	buf_init(&text, 4096);
	c = child_files_conf(&f, &text);
	if (c == NULL)
		fail_msg("%.*s", (int)text.n, text.p);
	assert_string_equal(c->server.name, "a.example");
	conf_resolver_setup(c, room, &rs);
	assert_int_equal(rs.server_count, 2);
	assert_int_equal(rs.timeout_ms, 2000);
	assert_int_equal(rs.tries, 4);
	assert_memory_equal(&rs.servers[1], &c->dns.servers.v[1].u,
	    sizeof(struct sockaddr_in));
	conf_unref(c);
	child_files_wipe(&f);
	/* errors come with their place */
	add(&f, CHILD_OPTION, 0, "conf=/c", -1);
	add(&f, CHILD_FILE, 0, "/c", file_of("\nnosuch.thing 1\n"));
	assert_null(child_files_conf(&f, &text));
	assert_non_null(memmem(text.p, text.n, "/c:2: unknown setting", 21));
	buf_wipe(&text);
	child_files_wipe(&f);
}

static void
child_news_gather_until_they_are_read(void **state)
{
	struct child_files  *news = NULL;
	struct child_message m = message(CHILD_FILE, 0, "/a");
	int		     fd = file_of("a"), stray = file_of("b");

	(void)state;
	child_news_end(&news); /* none */
	child_news_add(&news, &m, fd);
	m = message(CHILD_OPTION, 0, "conf=/a");
	child_news_add(&news, &m, -1);
	assert_non_null(news);
	assert_string_equal(child_files_option(news, "conf"), "/a");
	/* what is no part of it does not leave its descriptor behind */
	m = message(CHILD_READY, 0, "");
	child_news_add(&news, &m, stray);
	assert_int_equal(fcntl(stray, F_GETFD), -1);
	child_news_end(&news);
	assert_null(news);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(child_messages_arrive_as_they_were_sent),
		cmocka_unit_test(child_read_refuses_what_is_none),
		cmocka_unit_test(child_listen_index_goes_both_ways),
		cmocka_unit_test(child_files_are_found_by_name),
		cmocka_unit_test(child_files_hand_out_each_descriptor_once),
		cmocka_unit_test(child_files_are_bounded),
		cmocka_unit_test(child_files_give_the_configuration),
		cmocka_unit_test(child_news_gather_until_they_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
