/* SPDX-License-Identifier: ISC */
/*
 * feedback_world.h - a relay's reporting side, and the mail it writes.
 * Use:    rw_make, rw_unmake around each test; rw_begin(), a message by
 *         rw_spec, rw_pass(); then look into the mails: has(), count(),
 *         third_part().
 * Owner:  the test; one struct rw.
 * Thread: one.
 * Fails:  by the test's assertions.
 */
#ifndef TESTS_FEEDBACK_WORLD_H
#define TESTS_FEEDBACK_WORLD_H

#include "fake_clock.c"
#include "fake_thread.c"
#include "reporting_world.h"

#include "mail/report.h"
#include "registry/credential.h"
#include "reporting/feedback.h"

static const char header[] = "From: Bob <bob@example.com>\r\n"
			     "To: jane@sink.example\r\n"
			     "Subject: test\r\n"
			     "Message-ID: <order-17@app.example.com>\r\n";
static const struct rw_spec to_jane = { .header = header,
	.forward = "bounces@example.com", .rcpts = { "jane@sink.example" } };

static inline bool
has(const struct rw_mail *m, const char *text)
{
	return strstr(m->text, text) != NULL;
}

/* Occurrences of a text in a mail. */
static inline unsigned
count(const struct rw_mail *m, const char *text)
{
	const char *p = m->text;
	unsigned    n = 0;

	while ((p = strstr(p, text)) != NULL) {
		n++;
		p++;
	}
	return n;
}

static inline char *
id_text(const struct msgid *id, char out[MSGID_TEXT + 1])
{
	return msgid_to_text(id, "0100", 0, out);
}

/* The third part, up to its boundary. */
static inline char *
third_part(const struct rw_mail *m)
{
	char *p = strstr(m->text, "Content-Type: text/rfc822-headers\r\n");
	char *end, *out;

	assert_non_null(p);
	p = strstr(p, "\r\n\r\n");
	assert_non_null(p);
	p += 4;
	end = strstr(p, "\r\n--=_posthorn_");
	assert_non_null(end);
	out = mem_dup_bytes((struct bytes){ p, (size_t)(end - p) });
	return out;
}

#endif
