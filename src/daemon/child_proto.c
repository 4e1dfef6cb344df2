/* SPDX-License-Identifier: ISC */
#include "daemon/child_proto.h"

#include <string.h>

#include "base/err.h"

bool
child_send(struct channel *c, enum child_kind kind, uint32_t index,
    struct bytes text, int fd)
{
	char   raw[CHANNEL_MESSAGE_MAX];
	size_t n = text.n;

	if (n > sizeof(raw) - 5)
		n = sizeof(raw) - 5;
	raw[0] = (char)kind;
	memcpy(raw + 1, &index, sizeof(index));
	if (n > 0)
		memcpy(raw + 5, text.p, n);
	return channel_send(c, (struct bytes){ raw, n + 5 }, fd);
}

bool
child_read(struct bytes message, struct child_message *out)
{
	if (message.n < 5 || message.p[0] < CHILD_OPTION ||
	    message.p[0] > CHILD_PONG)
		return false;
	out->kind = (enum child_kind)message.p[0];
	memcpy(&out->index, message.p + 1, sizeof(out->index));
	out->text = bytes_from(message, 5);
	return true;
}

uint32_t
child_listen_index(unsigned listener, unsigned address, unsigned loop)
{
	must(listener < 1024 && address < 1024 && loop < 4096);
	return listener << 22 | address << 12 | loop;
}

void
child_listen_split(uint32_t index, unsigned *listener, unsigned *address,
    unsigned *loop)
{
	*listener = index >> 22;
	*address = index >> 12 & 1023;
	*loop = index & 4095;
}
