/* SPDX-License-Identifier: ISC */
/*
 * A mail from anybody is read; what was found is put into a DSN of our own,
 * which must be readable again.  The same as mail that came back: what it is,
 * the ids in it, and its copy for the sender.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "mail/header.h"
#include "mail/report.h"
#include "mail/returned.h"
#include "reporting/forwarder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
size_is_odd(struct bytes b)
{
	return b.n % 2 == 1;
}

/* Lines end in CRLF and are no longer than 998 octets. */
static void
check_lines(struct bytes mail, size_t until)
{
	size_t i, n = 0;

	for (i = 0; i < until; i++) {
		n = mail.p[i] == '\n' ? 0 : n + 1;
		must(n <= 999);
		must((mail.p[i] == '\n') == (i > 0 && mail.p[i - 1] == '\r'));
	}
}

static void
write_again(const struct report *r, struct arena *a)
{
	struct report_failure f = { .cause = REPORT_REPLY };
	struct report_dsn     d = { .token = BYTES("0a1b"),
		    .failures = &f, .failure_count = 1 };
	struct report	      again;
	struct buf	      out;

	if (r->recipient_count > 0) {
		f.recipient = r->recipients[0].final;
		f.diagnostic = r->recipients[0].diagnostic;
		f.status = r->recipients[0].status;
		f.remote_mta = r->recipients[0].remote_mta;
	}
	f.cause = (enum report_cause)(f.diagnostic.n % 3);
	d.client_id = r->user_agent;
	d.reporting_mta = r->reporting_mta;
	buf_init(&out, 1 << 20);
	must(report_write_dsn(&d, &out));
	check_lines(buf_bytes(&out), out.n);
	must(report_read(buf_bytes(&out), a, &again));
	must(again.kind == REPORT_DSN && again.recipient_count == 1);
	buf_wipe(&out);
}

enum { IDS_MAX = 100000 };

static void
look_at_returned(struct bytes in, struct arena *a)
{
	struct returned r;
	struct msgid	id;
	size_t		at = 0, before;
	unsigned	n, i;

	returned_read(in, size_is_odd(in) ? BYTES("") : BYTES("a@b.example"),
	    a, &r);
	must(r.line.n <= RETURNED_LINE_MAX && r.body.n <= in.n);
	must(r.line.n == 0 || r.kind == RETURNED_BOUNCE ||
	    r.kind == RETURNED_DSN);
	must(r.has_attached == (r.report.original.n > 0));
	for (i = 0; i < IDS_MAX; i++) {
		before = at;
		if (!returned_next_id(r.report.original, a, &at, &id, &n))
			break;
		must(at > before && n <= MSGID_RECIPIENT_MAX);
	}
	must(i < IDS_MAX);
	(void)returned_names(&r, BYTES("jane@sink.example"));
}

/* Of those in our name the first alone is left. */
static void
look_at_results(const struct header *h)
{
	const struct field *f = header_find(h, "Authentication-Results");

	for (; f != NULL; f = header_next(h, f, "Authentication-Results"))
		must(f == header_find(h, "Authentication-Results") ||
		    !bytes_starts_nocase(bytes_trim(f->value),
			BYTES("mx.example;")));
}

/* The copy has a From, no NUL, and no other sender than ours. */
static void
look_at_copy(struct bytes in, enum intake_from from)
{
	static const struct header_rules rules = { SIZE_MAX, true };
	struct arena *a = arena_new(16 << 20);
	struct header h;
	struct buf    out;

	buf_init(&out, 4 << 20);
	if (forwarder_write(in, from, "bounces.example", "mx.example",
		&out)) {
		must(bytes_find(buf_bytes(&out), 0, '\0') < 0);
		must(header_parse(buf_bytes(&out), &rules, a, &h) ==
		    HEADER_OK);
		must(header_find(&h, "From") != NULL);
		must(header_find(&h, "Return-Path") == NULL);
		must(header_find(&h, "Auto-Submitted") != NULL);
		look_at_results(&h);
		if (from != INTAKE_FROM_KEPT)
			must(bytes_find_nocase(header_find(&h, "From")->value,
				BYTES("@bounces.example>")) >= 0);
	}
	buf_wipe(&out);
	arena_free(a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes  in = { (const char *)data, size };
	struct arena *a = arena_new(1 << 20), *b = arena_new(1 << 20);
	struct report r;

	if (report_read(in, a, &r)) {
		must(r.recipient_count <= REPORT_RECIPIENTS_MAX);
		must(r.reporting_mta.n <= REPORT_FIELD_MAX);
		write_again(&r, b);
	}
	arena_free(a);
	arena_free(b);
	a = arena_new(4 << 20);
	look_at_returned(in, a);
	arena_free(a);
	look_at_copy(in, (enum intake_from)(size % 3));
	return 0;
}
