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

/* The same octets in the members of every type. */
static void
check_types(struct bytes a, struct bytes b, struct event ev,
    const struct event_mail *m)
{
	struct message_tag	  tag = { a, b };
	struct event_tracking	  tracking = { b, a, b, &tag, 1 };
	struct event_failure	  failure = { a, b };
	struct event_topic	  topic = { a, true };
	struct event_preferences  p = { true, &topic, 1, &topic, 1 };
	struct event_subscription subscription = { a, b, p, p };
	unsigned		  type;

	ev.feedback_type = b;
	ev.user_agent = a;
	ev.feedback_id = b;
	ev.rule = b;
	ev.remote_host = a;
	ev.reporting_mta = BYTES("192.0.2.1");
	ev.attempts = 1;
	ev.tracking = &tracking;
	ev.failure = &failure;
	ev.subscription = &subscription;
	for (type = 0; type < EVENT_TYPES; type++) {
		ev.type = (enum event_type)type;
		check(&ev, m);
	}
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
		check_types(section, rest, ev, &m);
	}
	buf_wipe(&snapshot);
	return 0;
}
