/* SPDX-License-Identifier: ISC */
/*
 * The first octet chooses what the rest is: a stored event destination, or
 * the JSON of an operator.  What can be read comes out the same when it is
 * written and read again.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "registry/destination.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
pass_record(struct bytes in, struct buf *out)
{
	struct destination d, again;

	if (!destination_read_record(in, &d))
		return;
	must(strchr(d.file.name, '/') == NULL && d.file.name[0] != '.');
	must(destination_write_record(&d, out));
	must(destination_read_record(buf_bytes(out), &again));
	must(memcmp(&d, &again, sizeof(d)) == 0);
}

static void
pass_json(struct bytes in, struct buf *out)
{
	struct config_set  set = { .account = "123456789012", .name = "s" };
	struct wall	   now = { 1714564800000 };
	struct destination d, again;
	struct err	   e;

	set.id.b[0] = 1;
	destination_init(&d, &set, "", now);
	again = d;
	if (destination_read_json(in, &d, now, &e) < 0) {
		must(book_is_refusal(&e) && strchr(e.text, ':') != NULL);
		must(memcmp(&d, &again, sizeof(d)) == 0);
		return;
	}
	if (d.name[0] == '\0')
		strcpy(d.name, "n"); /* the asker has it, or refuses */
	must(destination_write_json(&d, out));
	must(destination_read_json(buf_bytes(out), &again, now, &e) == 0);
	must(memcmp(&d, &again, sizeof(d)) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = { (const char *)data + 1, size - 1 };
	struct buf   out;

	buf_init(&out, 1 << 20);
	if (size > 0 && size < 65536) {
		if (data[0] == 'r')
			pass_record(in, &out);
		else
			pass_json(in, &out);
	}
	buf_wipe(&out);
	return 0;
}
