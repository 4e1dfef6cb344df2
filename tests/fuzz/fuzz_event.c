/* SPDX-License-Identifier: ISC */
/*
 * A header section of anybody, up to a NUL, then a reply: the record is JSON,
 * one line, and as long as it may be.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <jansson.h>

#include "base/err.h"
#include "mail/event.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(const struct event *ev, const struct event_mail *m)
{
	json_t	  *j;
	struct buf out;

	buf_init(&out, EVENT_RECORD_MAX);
	must(event_write_json(ev, m, &out));
	must(memchr(out.p, '\n', out.n) == NULL);
	j = json_loadb(out.p, out.n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL,
	    NULL);
	must(j != NULL);
	json_decref(j);
	buf_clear(&out);
	must(event_write_text(ev, m, &out));
	must(memchr(out.p, '\n', out.n) == NULL);
	buf_wipe(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes	       in = { (const char *)data, size };
	ptrdiff_t	       nul = bytes_find(in, 0, '\0');
	struct bytes	       section = in, rest = { NULL, 0 };
	struct event_recipient r = { .address = BYTES("a@b.example") };
	struct event	       ev = { .recipients = &r, .recipient_count = 1 };
	struct message_tag     tags[2];
	struct event_mail      m = { .tags = tags, .tag_count = 2 };
	struct buf	       snapshot;

	if (nul >= 0) {
		section = bytes_head(in, (size_t)nul);
		rest = bytes_from(in, (size_t)nul + 1);
	}
	buf_init(&snapshot, EVENT_SNAPSHOT_MAX);
	if (event_snapshot_headers(section, &snapshot)) {
		must(snapshot.n <= EVENT_SNAPSHOT_MAX);
		m.snapshot = buf_bytes(&snapshot);
		tags[0] = (struct message_tag){ BYTES("ses:a"), rest };
		tags[1] = (struct message_tag){ BYTES("b"), section };
		r.diagnostic = rest;
		ev.type = EVENT_BOUNCE;
		check(&ev, &m);
		/* any octets may stand in the store */
		m.snapshot = rest;
		ev.type = EVENT_DELIVERY;
		ev.reply = section;
		check(&ev, &m);
	}
	buf_wipe(&snapshot);
	return 0;
}
