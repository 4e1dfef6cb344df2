/* SPDX-License-Identifier: ISC */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "temp_folder.h"

enum { TIME_LENGTH = 24, LINE_MAX_ = 4096 };

static int
pipe_log(enum log_level level, enum log_format format)
{
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	log_open_fd(fds[1], level, format);
	assert_int_equal(log_fd(), fds[1]);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	return fds[0];
}

/* What is there to read, with a NUL. */
static char *
drain(int fd, char *out, size_t size)
{
	size_t	n = 0;
	ssize_t got;

	while (n < size - 1 && (got = read(fd, out + n, size - 1 - n)) > 0)
		n += (size_t)got;
	out[n] = '\0';
	return out;
}

static void
log_writes_text_lines(void **state)
{
	char out[LINE_MAX_];
	int  fd = pipe_log(LOG_INFO_, LOG_TEXT);

	(void)state;
	log_process("relay");
	assert_false(log_wants(LOG_DEBUG_));
	log_debug("line", "never=%d", 1);
	log_info("accepted", "sid=%s rcpts=%u", "s1", 3u);
	drain(fd, out, sizeof(out));
	assert_int_equal(out[4], '-');
	assert_int_equal(out[10], 'T');
	assert_int_equal(out[TIME_LENGTH - 1], 'Z');
	assert_string_equal(out + TIME_LENGTH,
	    " info relay accepted sid=s1 rcpts=3\n");
	log_error("store-down", "%s", "");
	drain(fd, out, sizeof(out));
	assert_string_equal(out + TIME_LENGTH, " error relay store-down\n");
	log_warn("odd", "text=%s",
	    "a\r\nb\x1b[1m\x7f\t \xc3\xa4 \xc2\x9b \xff \xe2\x82");
	drain(fd, out, sizeof(out));
	assert_string_equal(out + TIME_LENGTH,
	    " warn relay odd text=a??b?[1m?? \xc3\xa4 ?? ? ??\n");
	/* overlong, surrogate, past the end; and the last that is right */
	log_warn("odd", "%s", "\xc0\x80 \xe0\x80\x80 \xed\xa0\x80 "
	    "\xf0\x80\x80\x80 \xf4\x90\x80\x80 \xf4\x8f\xbf\xbf");
	drain(fd, out, sizeof(out));
	assert_string_equal(out + TIME_LENGTH,
	    " warn relay odd ?? ??? ??? ???? ???? \xf4\x8f\xbf\xbf\n");
	log_close();
	assert_int_equal(log_fd(), STDERR_FILENO);
	assert_int_equal(read(fd, out, 1), 0); /* its end was closed */
	close(fd);
}

static void
log_writes_json_lines(void **state)
{
	char big[5000], out[LINE_MAX_ + 100], *text;
	int  fd = pipe_log(LOG_DEBUG_, LOG_JSON);

	(void)state;
	log_process("relay");
	log_debug("auth", "user=%s x=%s", "\"a\\b\"", "\n\xc3\xa4\xff");
	drain(fd, out, sizeof(out));
	assert_memory_equal(out, "{\"time\":\"", 9);
	assert_string_equal(out + 9 + TIME_LENGTH,
	    "\",\"level\":\"debug\",\"process\":\"relay\",\"event\":\"auth\","
	    "\"text\":\"user=\\\"a\\\\b\\\" x=?\xc3\xa4?\"}\n");
	/* the longest line is still whole */
	memset(big, '"', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	log_info("big", "%s", big);
	drain(fd, out, sizeof(out));
	assert_in_range(strlen(out), LINE_MAX_ - 4, LINE_MAX_);
	text = strstr(out, "\"text\":\"");
	assert_non_null(text);
	text += 8;
	assert_int_equal(strspn(text, "\\\"") % 2, 1); /* pairs and the end */
	assert_string_equal(text + strspn(text, "\\\""), "}\n");
	log_close();
	close(fd);
}

static void
log_cuts_long_text(void **state)
{
	char big[5000], out[LINE_MAX_ + 100];
	int  fd = pipe_log(LOG_INFO_, LOG_TEXT);

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	log_info("big", "%s", big);
	drain(fd, out, sizeof(out));
	assert_in_range(strlen(out), 3000, LINE_MAX_);
	assert_int_equal(out[strlen(out) - 1], '\n');
	log_close();
	close(fd);
}

/* A reader that has stopped: nobody waits, and the gap is told. */
static void
log_drops_when_full(int fds[2])
{
	uint64_t before = log_dropped_count();
	char	*out = malloc(1 << 22), *last;
	int	 i, lines = 0;

	assert_non_null(out);
	log_open_fd(fds[1], LOG_INFO_, LOG_TEXT);
	for (i = 0; i < 20000; i++)
		log_info("fill", "number=%d", i);
	assert_true(log_dropped_count() > before);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	drain(fds[0], out, 1 << 22);
	for (last = out; *last != '\0'; last++)
		lines += *last == '\n';
	assert_int_equal(lines, 20000 - (log_dropped_count() - before));
	log_info("after", "%s", "");
	drain(fds[0], out, 1 << 22);
	last = strchr(out, '\n');
	assert_non_null(last);
	*last = '\0';
	assert_non_null(strstr(out, " warn t log-dropped count="));
	assert_int_equal(atoi(strstr(out, "count=") + 6), 20000 - lines);
	assert_non_null(strstr(last + 1, " info t after\n"));
	log_close();
	close(fds[0]);
	free(out);
}

static void
log_never_waits_for_a_reader(void **state)
{
	int fds[2];

	(void)state;
	log_process("t");
	assert_int_equal(pipe(fds), 0);
	log_drops_when_full(fds);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	log_drops_when_full(fds);
}

static void
log_opens_targets(void **state)
{
	char		 dir[TEMP_FOLDER_SIZE], path[80], out[256];
	struct log_setup s = { path, NULL, LOG_WARN_, LOG_TEXT };
	struct err	 e;
	int		 fd;

	(void)state;
	temp_folder_make(dir, "log");
	snprintf(path, sizeof(path), "%s/none/log", dir);
	assert_int_equal(log_open(&s, &e), -1);
	assert_non_null(strstr(e.text, "No such file"));
	assert_int_equal(log_fd(), STDERR_FILENO);
	snprintf(path, sizeof(path), "%s/log", dir);
	log_process("p");
	assert_int_equal(log_open(&s, &e), 0);
	log_info("not", "wanted=%d", 1);
	log_warn("one", "n=%d", 1);
	assert_int_equal(log_open(&s, &e), 0); /* reopened: appended to */
	log_warn("two", "n=%d", 2);
	s.target = "syslog";
	s.facility = "nonsense";
	assert_int_equal(log_open(&s, &e), -1);
	assert_string_equal(e.text, "no such log facility: nonsense");
	assert_int_not_equal(log_fd(), -1);
	s.facility = "local7";
	assert_int_equal(log_open(&s, &e), 0);
	assert_int_equal(log_fd(), -1);
	s.target = "stderr";
	assert_int_equal(log_open(&s, &e), 0);
	assert_int_equal(log_fd(), STDERR_FILENO);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	drain(fd, out, sizeof(out));
	assert_non_null(strstr(out, "Z warn p one n=1\n"));
	assert_non_null(strstr(out, "Z warn p two n=2\n"));
	assert_null(strstr(out, "wanted"));
	close(fd);
	temp_folder_remove(dir);
	log_close();
}

static void
log_quotes_peer_text(void **state)
{
	char  long_text[400], out[LOG_QUOTE_SIZE];
	size_t i;

	(void)state;
	assert_string_equal(log_quote(BYTES(""), out), "\"\"");
	assert_string_equal(log_quote(BYTES("a \"b\" \\"), out),
	    "\"a \\\"b\\\" \\\\\"");
	assert_string_equal(log_quote(BYTES("\r\n\0\x7f\xff"), out),
	    "\"\\x0d\\x0a\\x00\\x7f\\xff\"");
	memset(long_text, 'x', sizeof(long_text));
	log_quote((struct bytes){ long_text, LOG_QUOTE_MAX }, out);
	assert_int_equal(strlen(out), LOG_QUOTE_MAX + 2);
	log_quote((struct bytes){ long_text, sizeof(long_text) }, out);
	assert_int_equal(strlen(out), LOG_QUOTE_MAX + 5);
	assert_string_equal(out + LOG_QUOTE_MAX, "x\"...");
	/* an escape is whole or not there */
	for (i = 0; i < 4; i++) {
		memset(long_text, '\n', sizeof(long_text));
		memset(long_text, 'x', i);
		log_quote((struct bytes){ long_text, 400 }, out);
		assert_true(strlen(out) <= LOG_QUOTE_MAX + 5);
		assert_string_equal(strchr(out + 1, '"') - 4, "\\x0a\"...");
	}
}

enum { WRITERS = 4, LINES = 500 };
struct tap {
	int count, bad;
};

static void
catch_line(void *arg, const char *line)
{
	struct tap *t = arg;

	t->count++;
	t->bad += strstr(line, " info t line n=") == NULL;
}

static void *
write_lines(void *arg)
{
	int i;

	for (i = 0; i < LINES; i++) {
		log_info("line", "n=%d", i);
		if (i % 100 == 0 && arg != NULL)
			log_process("t");
	}
	return NULL;
}

static void
log_takes_many_threads(void **state)
{
	pthread_t  threads[WRITERS];
	struct tap tap = { 0, 0 };
	int	   i;

	(void)state;
	log_open_fd(STDERR_FILENO, LOG_INFO_, LOG_TEXT);
	log_process("t");
	log_capture(catch_line, &tap);
	for (i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
				     write_lines, i == 0 ? &tap : NULL), 0);
	for (i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	log_capture(NULL, NULL);
	assert_int_equal(tap.count, WRITERS * LINES);
	assert_int_equal(tap.bad, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(log_writes_text_lines),
		cmocka_unit_test(log_writes_json_lines),
		cmocka_unit_test(log_cuts_long_text),
		cmocka_unit_test(log_never_waits_for_a_reader),
		cmocka_unit_test(log_opens_targets),
		cmocka_unit_test(log_quotes_peer_text),
		cmocka_unit_test(log_takes_many_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
