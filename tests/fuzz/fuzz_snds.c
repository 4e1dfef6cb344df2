/* SPDX-License-Identifier: ISC */
/* A line of SNDS data, and its stored row. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "registry/snds.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was taken is whole, and is the same when it was written and read. */
static void
check(const struct snds_row *r)
{
	struct snds_row back;
	struct buf	b;
	char		shown[SNDS_SHOWN_SIZE];

	must(memchr(r->address, '\0', sizeof(r->address)) != NULL);
	must(r->address[0] != '\0');
	must(r->filter <= SNDS_RED && r->complaints <= 1000000);
	must(r->day >= 10957 && r->day < 3000000); /* 2000 to 9999 */
	must(snds_complaints_to_text(r->complaints, shown)[0] != '\0');
	buf_init(&b, 1024);
	must(snds_write_record(r, &b));
	must(snds_read_record(buf_bytes(&b), &back));
	must(memcmp(r, &back, sizeof(back)) == 0);
	buf_wipe(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes	in = { (const char *)data, size };
	struct snds_row r;

	(void)snds_is_heading(in);
	/* the last of its lines are past, the first were kept then */
	if (snds_parse(in, (struct wall){ 19792 * (int64_t)86400000 }, &r) ==
	    NULL)
		check(&r);
	(void)snds_read_record(in, &r);
	return 0;
}
