/* SPDX-License-Identifier: ISC */
/*
 * What a child takes in from the master: messages of child_proto.h, each with
 * or without a descriptor, put together by child.c.  The input is a row of
 * messages: an octet whose lowest bit says "with a descriptor", two octets of
 * length, the message.  No descriptor may be lost or closed twice.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "daemon/child.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD = 3, FILE_MAX = 64 };

static const enum child_kind kept_kinds[] = { CHILD_LISTEN, CHILD_CONTROL,
	CHILD_METRICS, CHILD_PEER_KEYS, CHILD_PEER_VERIFIER };
static struct child_files files;

/* A file with a few octets; the descriptors of the input stand for it. */
static int
source_fd(void)
{
	static int fd = -1;

	if (fd < 0) {
		fd = memfd_create("child", MFD_CLOEXEC);
		must(fd >= 0 && write(fd, "threads 2\n", 10) == 10);
	}
	return fd;
}

static void
take_message(struct bytes message, bool with_fd)
{
	struct child_message m;
	unsigned	     listener, address, loop;
	int		     fd = with_fd ? dup(source_fd()) : -1;

	if (!child_read(message, &m)) {
		if (fd >= 0)
			close(fd);
		return;
	}
	must(m.kind >= CHILD_OPTION && m.kind <= CHILD_STOP_REQUEST &&
	    m.text.n == message.n - 5);
	child_listen_split(m.index, &listener, &address, &loop);
	must(child_listen_index(listener, address, loop) == m.index);
	if (!child_files_add(&files, &m, fd) && fd >= 0)
		close(fd);
}

/* What the children look for in what has come. */
static void
use_files(void)
{
	struct conf_opener opener;
	struct buf	   text;
	struct err	   e;
	uint32_t	   id;
	size_t		   i;

	for (i = 0; i < files.file_count; i++)
		if (child_files_read(&files, files.file[i].path, FILE_MAX,
			&text, &e)) {
			must(bytes_eq(buf_bytes(&text), BYTES("threads 2\n")));
			buf_wipe(&text);
		}
	child_files_opener(&files, &opener);
	must(opener.path_count == files.file_count);
	(void)opener.find_id(opener.arg, false, "posthorn", &id);
	(void)child_files_option(&files, "conf");
}

static void
take_descriptors(void)
{
	uint32_t index;
	size_t	 i;
	int	 fd;

	for (i = 0; i < sizeof(kept_kinds) / sizeof(kept_kinds[0]); i++)
		while ((fd = child_files_take(&files, kept_kinds[i],
			    &index)) >= 0)
			must(close(fd) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes rest = { (const char *)data, size }, message;
	int	     before, after;
	size_t	     n;

	(void)source_fd();
	before = dup(source_fd());
	close(before);
	child_files_init(&files);
	while (rest.n > HEAD) {
		n = (size_t)(unsigned char)rest.p[1] << 8 |
		    (unsigned char)rest.p[2];
		message = bytes_head(bytes_from(rest, HEAD), n);
		take_message(message, (rest.p[0] & 1) != 0);
		rest = bytes_from(rest, HEAD + message.n);
	}
	use_files();
	if (size % 2 == 0)
		take_descriptors();
	child_files_wipe(&files);
	/* the lowest free number is the same: all are closed */
	after = dup(source_fd());
	must(after == before);
	close(after);
	return 0;
}
