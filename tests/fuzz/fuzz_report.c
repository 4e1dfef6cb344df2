/* SPDX-License-Identifier: ISC */
/*
 * A mail from anybody is read; what was found is put into a DSN of our own,
 * which must be readable again.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "mail/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
	return 0;
}
