/* SPDX-License-Identifier: ISC */
/* Command lines: what is refused gets a reply line that is clean and fits. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "mail/smtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes   in = { (const char *)data, size };
	struct command c;
	struct reply   re;
	struct buf     b;
	size_t	       i;

	if (size == 0)
		return 0;
	smtp_command_parse(bytes_from(in, 1), data[0] & 7u, &c);
	must(verb_to_text(c.verb) != NULL);
	if (c.syntax == COMMAND_OK) {
		must(c.mailbox.n <= c.path.n);
		must(c.address.domain.n == 0 || c.address.local.n > 0);
		return 0;
	}
	smtp_command_refuse(&c, &re);
	must(re.code == 501 || re.code == 553 || re.code == 555);
	buf_init(&b, 4096);
	must(reply_write(&re, (data[0] & 8) != 0, &b));
	must(b.n <= REPLY_LINE_MAX && b.n > 6);
	for (i = 0; i < b.n - 2; i++)
		must(b.p[i] >= 0x20 && b.p[i] <= 0x7e);
	must(memcmp(b.p + b.n - 2, "\r\n", 2) == 0);
	buf_wipe(&b);
	return 0;
}
