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

/* Whatever the lists hold, it looks at them within their bounds. */
static void
pass_filter(const struct destination_filter *f)
{
	static const struct message_tag tags[] = { { BYTES("a"), BYTES("b") },
		{ BYTES("a"), BYTES("") } };
	static const struct bytes to[] = { BYTES("x@sink.example"),
		BYTES("") };
	struct destination_message m = { BYTES("example.com"), to, 2, tags, 2,
		false };
	struct event ev = { .type = EVENT_SEND };

	(void)destination_filter_passes(f, &ev, &m);
	ev.type = EVENT_BOUNCE;
	(void)destination_filter_passes(f, &ev, &m);
}

static void
pass_record(struct bytes in, struct buf *out)
{
	struct destination d, again;

	if (!destination_read_record(in, &d))
		return;
	must(strchr(d.file.name, '/') == NULL && d.file.name[0] != '.');
	must(destination_headers_are_valid(d.webhook.headers));
	must(d.kind != DESTINATION_METRICS ||
	    dimensions_are_valid(d.metrics.dimensions));
	pass_filter(&d.filter);
	must(destination_write_json(&d, "us-east-1", out));
	buf_clear(out);
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
	pass_filter(&d.filter);
	must(d.kind != DESTINATION_METRICS ||
	    dimensions_are_valid(d.metrics.dimensions));
	must(destination_headers_are_valid(d.webhook.headers));
	must(destination_write_json(&d, "us-east-1", out));
	/* values of headers are not shown: it keeps those it has */
	memcpy(again.webhook.headers, d.webhook.headers,
	    sizeof(again.webhook.headers));
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
