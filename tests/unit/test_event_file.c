/* SPDX-License-Identifier: ISC */
/* events.md 10.2: lines, rotation, what is left of a broken one. */
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "reporting/event_file.h"
#include "temp_folder.h"

static const struct wall noon = { 1714564800000 }; /* 2024-05-01T12:00Z */
static const char account[] = "123456789012";

struct bed {
	char dir[TEMP_FOLDER_SIZE], sub[96];
	struct destination_file how;
};

static int
make(void **state)
{
	struct bed *b = calloc(1, sizeof(*b));

	temp_folder_make(b->dir, "file");
	snprintf(b->sub, sizeof(b->sub), "%s/%s", b->dir, account);
	strcpy(b->how.name, "a.jsonl");
	b->how.sync = SYNC_EACH;
	*state = b;
	return 0;
}

static int
unmake(void **state)
{
	struct bed *b = *state;

	temp_folder_remove(b->dir);
	free(b);
	return 0;
}

static struct event_file *
open_at(struct bed *b, struct wall now)
{
	struct err	   e;
	struct event_file *f = event_file_open(b->dir, account, &b->how, now,
	    &e);

	if (f == NULL)
		fail_msg("%s", e.text);
	return f;
}

/* Lines of n octets, each with its number. */
static void
write_lines(struct event_file *f, unsigned first, unsigned count, size_t n)
{
	struct err e;
	char	   line[1024];
	unsigned   i;

	for (i = first; i < first + count; i++) {
		memset(line, 'x', sizeof(line));
		snprintf(line, sizeof(line), "%04u", i);
		line[4] = 'x';
		line[n - 1] = '\n';
		if (event_file_write(f, (struct bytes){ line, n }, &e) != 0)
			fail_msg("%s", e.text);
	}
}

static void
path_of(const struct bed *b, const char *name, char out[256])
{
	snprintf(out, 256, "%s/%s", b->sub, name);
}

static size_t
read_file(const struct bed *b, const char *name, char *out, size_t size)
{
	char   path[256];
	size_t n;
	FILE  *f;

	path_of(b, name, path);
	f = fopen(path, "r");
	if (f == NULL)
		fail_msg("no %s", path);
	n = fread(out, 1, size - 1, f);
	out[n] = '\0';
	fclose(f);
	return n;
}

/* Names of the folder in order. */
static void
names(const struct bed *b, char out[1024])
{
	struct dirent **v;
	int		n = scandir(b->sub, &v, NULL, alphasort), i;

	out[0] = '\0';
	for (i = 0; i < n; i++) {
		if (v[i]->d_name[0] != '.') {
			strcat(out, v[i]->d_name);
			strcat(out, " ");
		}
		free(v[i]);
	}
	free(v);
}

/* events#21 */
static void
rotation_by_size_splits_nothing(void **state)
{
	struct bed	  *b = *state;
	struct event_file *f;
	char		   all[1024], text[8192], *p;
	unsigned	   seen[10] = { 0 }, i;
	char		  *save, *name;
	size_t		   n;

	b->how.rotate_octets = 1000;
	f = open_at(b, noon);
	write_lines(f, 0, 10, 400);
	event_file_close(f);
	names(b, all);
	assert_string_equal(all, "a.jsonl a.jsonl.20240501T120000Z "
	    "a.jsonl.20240501T120000Z-1 a.jsonl.20240501T120000Z-2 "
	    "a.jsonl.20240501T120000Z-3 ");
	for (name = strtok_r(all, " ", &save); name != NULL;
	     name = strtok_r(NULL, " ", &save)) {
		n = read_file(b, name, text, sizeof(text));
		assert_true(n <= 1000 && n % 400 == 0);
		for (p = text; p < text + n; p += 400) {
			assert_int_equal(p[399], '\n');
			seen[atoi(p)]++;
		}
	}
	for (i = 0; i < 10; i++)
		assert_int_equal(seen[i], 1);
}

static void
modes_and_append(void **state)
{
	struct bed	  *b = *state;
	struct event_file *f;
	struct stat	   st;
	char		   path[256], text[256];
	mode_t		   mask = umask(022);

	f = open_at(b, noon);
	write_lines(f, 1, 1, 10);
	event_file_close(f);
	f = open_at(b, noon);
	write_lines(f, 2, 1, 10);
	event_file_close(f);
	umask(mask);
	assert_int_equal(read_file(b, "a.jsonl", text, sizeof(text)), 20);
	assert_string_equal(text, "0001xxxxx\n0002xxxxx\n");
	path_of(b, "a.jsonl", path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(stat(b->sub, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0750);
}

/* By the time of the last record: an empty file is not rotated. */
static void
rotation_by_day_and_hour(void **state)
{
	static const struct {
		enum rotate_interval rotate;
		int64_t		     later_ms;
		bool		     rotates;
	} rows[] = {
		{ ROTATE_NONE, 86400000, false },
		{ ROTATE_DAILY, 12 * 3600000 - 1, false },
		{ ROTATE_DAILY, 12 * 3600000, true },
		{ ROTATE_HOURLY, 3600000 - 1, false },
		{ ROTATE_HOURLY, 3600000, true },
	};
	struct bed	  *b = *state;
	struct timespec	   at[2] = { { .tv_sec = noon.ms / 1000 },
			   { .tv_sec = noon.ms / 1000 } };
	struct event_file *f;
	char		   path[256], text[256];
	size_t		   i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		b->how.rotate = rows[i].rotate;
		path_of(b, "a.jsonl", path);
		(void)unlink(path);
		f = open_at(b, noon);
		write_lines(f, 1, 1, 10);
		event_file_close(f);
		assert_int_equal(utimensat(AT_FDCWD, path, at, 0), 0);
		f = open_at(b, (struct wall){ noon.ms + rows[i].later_ms });
		write_lines(f, 2, 2, 10);
		event_file_close(f);
		if (read_file(b, "a.jsonl", text, sizeof(text)) !=
		    (rows[i].rotates ? 20 : 30))
			fail_msg("row %zu: %s", i, text);
	}
}

static void
the_oldest_go(void **state)
{
	struct bed	  *b = *state;
	struct event_file *f;
	char		   all[1024], path[256];
	int		   fd;

	b->how.keep = 2;
	b->how.rotate_octets = 10;
	f = open_at(b, noon);
	path_of(b, "a.jsonl.mine", path); /* not one of ours */
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	write_lines(f, 0, 14, 10);
	event_file_close(f);
	names(b, all);
	/* 13 were rotated: -12 and -11 are the newest, not -9 */
	assert_string_equal(all, "a.jsonl a.jsonl.20240501T120000Z-11 "
	    "a.jsonl.20240501T120000Z-12 a.jsonl.mine ");
}

static void
unzip(const struct bed *b, const char *name, char *out, int size)
{
	char   path[256];
	gzFile f;
	int    n;

	path_of(b, name, path);
	f = gzopen(path, "rb");
	assert_non_null(f);
	n = gzread(f, out, (unsigned)size - 1);
	assert_in_range(n, 0, size - 1);
	out[n] = '\0';
	assert_int_equal(gzclose(f), Z_OK);
}

/* Whole files under a name of their own, which count as the others do. */
static void
renamed_ones_are_compressed(void **state)
{
	struct bed	  *b = *state;
	struct event_file *f;
	struct err	   e;
	char		   all[1024], text[256], path[256];
	int		   fd;

	b->how.keep = 3;
	b->how.rotate_octets = 20;
	f = open_at(b, noon);
	write_lines(f, 1, 2, 10);
	assert_false(event_file_has_rotated(f));
	write_lines(f, 3, 1, 10);
	assert_true(event_file_has_rotated(f));
	event_file_close(f);
	/* what a crash has left of an earlier try is no hindrance */
	path_of(b, ".a.jsonl.20240501T120000Z.gz", path);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "half", 4), 4);
	close(fd);
	assert_int_equal(event_file_compress(b->dir, account, &b->how, &e),
	    0);
	names(b, all);
	assert_string_equal(all, "a.jsonl a.jsonl.20240501T120000Z.gz ");
	unzip(b, "a.jsonl.20240501T120000Z.gz", text, sizeof(text));
	assert_string_equal(text, "0001xxxxx\n0002xxxxx\n");
	assert_int_equal(access(path, F_OK), -1);
	/* a name that is taken, compressed, is not given again */
	f = open_at(b, noon);
	write_lines(f, 4, 7, 10);
	event_file_close(f);
	names(b, all);
	assert_string_equal(all, "a.jsonl a.jsonl.20240501T120000Z-1 "
	    "a.jsonl.20240501T120000Z-2 a.jsonl.20240501T120000Z-3 ");
	assert_int_equal(event_file_compress(b->dir, account, &b->how, &e),
	    0);
	names(b, all);
	assert_string_equal(all, "a.jsonl a.jsonl.20240501T120000Z-1.gz "
	    "a.jsonl.20240501T120000Z-2.gz a.jsonl.20240501T120000Z-3.gz ");
	unzip(b, "a.jsonl.20240501T120000Z-1.gz", text, sizeof(text));
	assert_string_equal(text, "0003xxxxx\n0004xxxxx\n");
}

static void
put_text(const struct bed *b, const char *text)
{
	char path[256];
	int  fd;

	path_of(b, "a.jsonl", path);
	fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void
a_broken_line_goes(void **state)
{
	static const char *const rows[][2] = {
		{ "{}\n{\"eve", "{}\n0001xxxxx\n" },
		{ "{\"eve", "0001xxxxx\n" },
		{ "{}\n", "{}\n0001xxxxx\n" },
		{ "", "0001xxxxx\n" },
	};
	struct bed	  *b = *state;
	struct event_file *f;
	char		   text[256];
	size_t		   i;

	event_file_close(open_at(b, noon)); /* the folder is there */
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		put_text(b, rows[i][0]);
		f = open_at(b, noon);
		write_lines(f, 1, 1, 10);
		event_file_close(f);
		read_file(b, "a.jsonl", text, sizeof(text));
		assert_string_equal(text, rows[i][1]);
	}
}

/* Neither a link out of the folder nor something else is written to. */
static void
only_files_of_the_folder(void **state)
{
	struct bed *b = *state;
	struct err  e;
	char	    path[256];

	event_file_close(open_at(b, noon));
	path_of(b, "a.jsonl", path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/dev/null", path), 0);
	assert_null(event_file_open(b->dir, account, &b->how, noon, &e));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_null(event_file_open(b->dir, account, &b->how, noon, &e));
	assert_non_null(strstr(e.text, "is not a file"));
	assert_null(event_file_open("/nonexistent", account, &b->how, noon,
	    &e));
	assert_non_null(strstr(e.text, "/nonexistent"));
}

/* A full disk leaves no part of a record. */
static void
what_does_not_fit_is_taken_back(void **state)
{
	struct bed	  *b = *state;
	struct event_file *f;
	struct err	   e;
	char		   text[256];
	struct rlimit	   old, few;

	f = open_at(b, noon);
	write_lines(f, 1, 1, 10);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	signal(SIGXFSZ, SIG_IGN);
	few = old;
	few.rlim_cur = 15;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &few), 0);
	assert_int_equal(event_file_write(f, BYTES("0002xxxxx\n"), &e), -1);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(read_file(b, "a.jsonl", text, sizeof(text)), 10);
	write_lines(f, 3, 1, 10);
	event_file_close(f);
	read_file(b, "a.jsonl", text, sizeof(text));
	assert_string_equal(text, "0001xxxxx\n0003xxxxx\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    rotation_by_size_splits_nothing, make, unmake),
		cmocka_unit_test_setup_teardown(modes_and_append, make,
		    unmake),
		cmocka_unit_test_setup_teardown(rotation_by_day_and_hour,
		    make, unmake),
		cmocka_unit_test_setup_teardown(the_oldest_go, make, unmake),
		cmocka_unit_test_setup_teardown(renamed_ones_are_compressed, make, unmake),
		cmocka_unit_test_setup_teardown(a_broken_line_goes, make,
		    unmake),
		cmocka_unit_test_setup_teardown(only_files_of_the_folder,
		    make, unmake),
		cmocka_unit_test_setup_teardown(
		    what_does_not_fit_is_taken_back, make, unmake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
