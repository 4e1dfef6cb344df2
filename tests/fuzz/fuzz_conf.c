/* SPDX-License-Identifier: ISC */
/*
 * A configuration file from somebody else: no crash, bounded messages, and
 * what loads is shown as a file that loads and shows the same.  What stands
 * behind a line "#----" is the file other.conf, which it may include.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "registry/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct bytes other; /* .p NULL: there is no such file */

static int
open_other(void *arg, const char *path)
{
	int fd;

	(void)arg;
	if (other.p == NULL || strcmp(path, "other.conf") != 0) {
		errno = ENOENT;
		return -1;
	}
	fd = memfd_create("conf", MFD_CLOEXEC);
	must(fd >= 0 && fchmod(fd, 0600) == 0);
	must(write(fd, other.p, other.n) == (ssize_t)other.n);
	must(lseek(fd, 0, SEEK_SET) == 0);
	return fd;
}

static bool
no_id(void *arg, bool is_group, const char *name, uint32_t *id)
{
	(void)arg;
	(void)is_group;
	(void)name;
	(void)id;
	return false;
}

static const char *const no_paths[] = { "other.conf" };
static const struct conf_opener closed = {
	.open = open_other,
	.paths = no_paths,
	.path_count = 1,
	.find_id = no_id,
};

/* "name value  # place" without the place */
static void
show(const struct conf *c, struct buf *out)
{
	struct buf all;
	size_t	   i;

	buf_init(&all, 8 << 20);
	must(conf_show(c, NULL, CONF_SHOW_ALL, &all));
	for (i = 0; i < all.n; i++) {
		if (all.n - i > 4 && memcmp(all.p + i, "  # ", 4) == 0)
			while (i < all.n && all.p[i] != '\n')
				i++;
		if (i < all.n)
			buf_add_char(out, all.p[i]);
	}
	buf_wipe(&all);
}

static struct conf *
load(const char *name, struct bytes text)
{
	struct conf_errors e;
	struct conf	  *c;
	size_t		   i;

	conf_errors_init(&e);
	c = conf_load_text(name, text, &closed, &e);
	must((c == NULL) == (e.error_count > 0));
	must(e.n <= CONF_ERRORS_MAX);
	for (i = 0; i < e.n; i++)
		must(strpbrk(e.v[i].text, "\r\n\033") == NULL);
	conf_errors_wipe(&e);
	return c;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char  line[] = "#----\n";
	const struct bytes mark = BYTES(line);
	struct bytes	   text = { (const char *)data, size };
	struct conf	  *first, *second;
	struct buf	   x, y;
	ptrdiff_t	   at = bytes_find_nocase(text, mark);

	other.p = NULL;
	if (at >= 0) {
		other = bytes_from(text, (size_t)at + mark.n);
		text = bytes_head(text, (size_t)at);
	}
	first = load("fuzz.conf", text);
	if (first == NULL)
		return 0;
	buf_init(&x, 8 << 20);
	buf_init(&y, 8 << 20);
	show(first, &x);
	second = load("shown.conf", buf_bytes(&x));
	must(second != NULL);
	show(second, &y);
	must(bytes_eq(buf_bytes(&x), buf_bytes(&y)));
	must(!conf_needs_restart(first, second, &y) || y.n > x.n);
	conf_keep(second, first);
	conf_unref(first);
	conf_unref(second);
	buf_wipe(&x);
	buf_wipe(&y);
	return 0;
}
