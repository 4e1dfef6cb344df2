/* SPDX-License-Identifier: ISC */
#include "tools/sendmail_body.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void
sendmail_body_init(struct sendmail_body *b)
{
	memset(b, 0, sizeof(*b));
	buf_init(&b->memory, SENDMAIL_BODY_MEMORY);
	b->fd = -1;
}

void
sendmail_body_wipe(struct sendmail_body *b)
{
	buf_wipe(&b->memory);
	if (b->fd >= 0)
		close(b->fd);
	b->fd = -1;
}

/* A file without a name; in memory where no folder can be written. */
static int
body_open_file(struct err *e)
{
	const char *const folders[] = { getenv("TMPDIR"), "/var/tmp", "/tmp" };
	size_t		  i;
	int		  fd;

	for (i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		if (folders[i] == NULL || folders[i][0] != '/')
			continue;
		fd = open(folders[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		if (fd >= 0)
			return fd;
	}
	fd = memfd_create("sendmail", MFD_CLOEXEC);
	return fd >= 0 ? fd : err_sys(e, "temporary file");
}

static bool
body_write(struct sendmail_body *b, struct bytes s)
{
	ssize_t n;

	while (s.n > 0) {
		n = write(b->fd, s.p, s.n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			err_sys(&b->error, "temporary file");
			return false;
		}
		s = bytes_from(s, (size_t)n);
	}
	return true;
}

void
sendmail_body_add(void *body, struct bytes s)
{
	struct sendmail_body *b = body;
	size_t		      i, room = b->memory.max - b->memory.n;

	if (b->failed)
		return;
	for (i = 0; i < s.n && !b->has_eight_bit; i++)
		b->has_eight_bit = (unsigned char)s.p[i] > 0x7f;
	b->size += s.n;
	if (b->size > SENDMAIL_BODY_MAX) {
		b->failed = b->too_large = true;
		return;
	}
	if (room > s.n)
		room = s.n;
	if (room > 0 && !buf_add(&b->memory, s.p, room)) {
		err_set(&b->error, "no memory");
		b->failed = true;
		return;
	}
	s = bytes_from(s, room);
	if (s.n == 0)
		return;
	if (b->fd < 0)
		b->fd = body_open_file(&b->error);
	b->failed = b->fd < 0 || !body_write(b, s);
}

void
sendmail_body_rewind(struct sendmail_body *b)
{
	b->at = 0;
}

int
sendmail_body_read(struct sendmail_body *b, char *out, size_t size,
    struct err *e)
{
	struct bytes s = buf_bytes(&b->memory);
	ssize_t	     n;

	if (size > 1 << 20)
		size = 1 << 20;
	if (b->at < s.n) {
		s = bytes_head(bytes_from(s, (size_t)b->at), size);
		memcpy(out, s.p, s.n);
		b->at += s.n;
		return (int)s.n;
	}
	if (b->fd < 0)
		return 0;
	do
		n = pread(b->fd, out, size, (off_t)(b->at - s.n));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(e, "temporary file");
	b->at += (uint64_t)n;
	return (int)n;
}
