/* SPDX-License-Identifier: ISC */
/*
 * conf_world.h - configurations from texts, in a world without files and
 * users.
 * Use:    load(), load_good(), assert_bad(), show().
 * Owner:  the test.
 * Thread: one.
 * Fails:  by the test's assertions.
 */
#ifndef TESTS_CONF_WORLD_H
#define TESTS_CONF_WORLD_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "mail/mime.h"
#include "registry/conf.h"

/* -- a world without files and users --------------------------------------- */

static inline bool
world_find_id(void *arg, bool is_group, const char *name, uint32_t *id)
{
	(void)arg;
	if (is_group && strcmp(name, "www-data") == 0)
		*id = 33;
	else if (is_group && strcmp(name, "posthorn-admin") == 0)
		*id = 990;
	else if (!is_group && strcmp(name, "root") == 0)
		*id = 0;
	else if (!is_group && strcmp(name, "deploy") == 0)
		*id = 1000;
	else
		return false;
	return true;
}

/* Files of tests/conf, through memory: the modes of a checkout differ. */
static inline int
world_open(void *arg, const char *path)
{
	char   name[512], block[4096];
	size_t n;
	FILE  *f;
	int    fd;

	snprintf(name, sizeof(name), "%s/%s", (const char *)arg, path);
	f = fopen(name, "r");
	if (f == NULL) {
		errno = ENOENT;
		return -1;
	}
	fd = memfd_create("conf", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, 0600), 0);
	while ((n = fread(block, 1, sizeof(block), f)) > 0)
		assert_int_equal(write(fd, block, n), n);
	fclose(f);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static const char *const world_paths[] = { "included/b.conf",
	"included/a.conf", "included/delivery.inc" };
static const struct conf_opener world = {
	.open = world_open,
	.arg = (void *)(uintptr_t)"tests/conf",
	.paths = world_paths,
	.path_count = 3,
	.find_id = world_find_id,
};

static inline struct conf *
load(const char *text, struct conf_errors *e)
{
	conf_errors_init(e);
	return conf_load_text("posthorn.conf", bytes_of(text), &world, e);
}

/* Loads, or fails the test with the first complaint. */
static inline struct conf *
load_good(const char *text)
{
	struct conf_errors e;
	struct conf	  *c = load(text, &e);

	if (c == NULL)
		fail_msg("%s", e.v[0].text);
	conf_errors_wipe(&e);
	return c;
}

static inline void
assert_lines(const struct conf_errors *e, bool warnings, const char *expected)
{
	struct buf all;
	size_t	   i;

	buf_init(&all, 1 << 16);
	for (i = 0; i < e->n; i++)
		if (e->v[i].is_warning == warnings)
			buf_printf(&all, "%s\n", e->v[i].text);
	buf_add_char(&all, '\0');
	assert_string_equal(all.p, expected);
	buf_wipe(&all);
}

static inline void
assert_bad(const char *text, const char *expected)
{
	struct conf_errors e;
	struct conf	  *c = load(text, &e);

	assert_null(c);
	assert_lines(&e, false, expected);
	conf_errors_wipe(&e);
}

static inline char *
show(const struct conf *c, const char *section, enum conf_show_mode mode)
{
	struct buf out;

	buf_init(&out, 1 << 20);
	assert_true(conf_show(c, section, mode, &out));
	assert_true(buf_add_char(&out, '\0'));
	return out.p;
}

static inline void
strip_places(char *text)
{
	char *from = text, *to = text;

	while (*from != '\0') {
		if (strncmp(from, "  # ", 4) == 0)
			from += strcspn(from, "\n");
		else
			*to++ = *from++;
	}
	*to = '\0';
}

static inline char *
read_all(const char *path)
{
	char *text = calloc(1, 1 << 16);
	FILE *f = fopen(path, "r");

	assert_non_null(text);
	if (f == NULL)
		fail_msg("cannot open %s: run in the top folder", path);
	assert_true(fread(text, 1, (1 << 16) - 1, f) < (1 << 16) - 1);
	fclose(f);
	return text;
}

/* Takes the # away where it stands before a setting. */
static inline char *
uncomment(const char *text)
{
	char *out = calloc(1, strlen(text) + 1), *to = out;
	bool  start = true;

	assert_non_null(out);
	for (; *text != '\0'; text++) {
		if (start && *text == '#' &&
		    ((text[1] >= 'a' && text[1] <= 'z') || text[1] == '}')) {
			start = false;
			continue;
		}
		if (*text == '\n')
			start = true;
		else if (*text != ' ')
			start = false;
		*to++ = *text;
	}
	return out;
}

#endif
