/* SPDX-License-Identifier: ISC */
/*
 * The verifier's channel, both sides: what relay says and what comes back.
 * What is read is written the same way, and texts that reach logs and notices
 * have printable octets only.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "registry/verify_job.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_text(const char *text, size_t size)
{
	must(memchr(text, '\0', size) != NULL);
	for (; *text != '\0'; text++)
		must(*text >= 0x20 && *text <= 0x7e);
}

static void
check_job(struct bytes message, struct buf *out)
{
	struct verify_job j;

	if (!verify_job_decode(message, &j))
		return;
	check_text(j.domain, sizeof(j.domain));
	check_text(j.selector, sizeof(j.selector));
	check_text(j.public_key, sizeof(j.public_key));
	check_text(j.cname_target, sizeof(j.cname_target));
	check_text(j.token, sizeof(j.token));
	check_text(j.mx_host, sizeof(j.mx_host));
	must(j.domain[0] != '\0');
	must(strcmp(verify_kind_to_text(j.kind), "unknown") != 0);
	buf_clear(out);
	must(verify_job_encode(&j, out));
	must(bytes_eq(buf_bytes(out), message));
}

static void
check_result(struct bytes message, struct buf *out)
{
	struct verify_result r;

	if (!verify_result_decode(message, &r))
		return;
	check_text(r.hint, sizeof(r.hint));
	check_text(r.warning, sizeof(r.warning));
	must(r.outcome > DKIM_UNCHECKED && r.outcome <= DKIM_DNS_ERROR);
	must(strcmp(verify_kind_to_text(r.kind), "unknown") != 0);
	buf_clear(out);
	must(verify_result_encode(&r, out));
	must(bytes_eq(buf_bytes(out), message));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes message = { (const char *)data, size };
	struct buf   out;

	buf_init(&out, VERIFY_MESSAGE_MAX);
	check_job(message, &out);
	check_result(message, &out);
	buf_wipe(&out);
	return 0;
}
