/* SPDX-License-Identifier: ISC */
/*
 * One octet for the stage, one for the kind of question, one for the code,
 * then the text of a reply or a diagnostic.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "mail/classify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(const struct classification *out)
{
	must(out->rule != NULL);
	must(out->ip_block == (out->rule[0] == 'B'));
	must(memchr(out->list, 0, sizeof(out->list)) != NULL);
	must(memchr(out->url, 0, sizeof(out->url)) != NULL);
	bounce_type_to_text(out->type);
	bounce_subtype_to_text(out->subtype);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct classify *rules;
	static const unsigned	codes[] = { 0, 421, 450, 452, 521, 550, 551,
		  552, 553, 554 };
	struct classify_input	in = { .recipient = BYTES("spam@b.example"),
		  .source_ip = BYTES("192.0.2.1") };
	struct classification	out;
	struct err		e;

	if (rules == NULL)
		rules = classify_new(&e);
	must(rules != NULL);
	if (size < 3)
		return 0;
	in.stage = (enum classify_stage)(data[0] % (CLASSIFY_ASYNC + 1));
	in.code = codes[data[2] % (sizeof(codes) / sizeof(codes[0]))];
	in.text = (struct bytes){ (const char *)data + 3, size - 3 };
	if (data[1] & 1) {
		in.recipient = bytes_head(in.text, 8);
		in.source_ip = bytes_head(in.text, 4);
	}
	switch (data[1] / 2 % 3) {
	case 0:
		classify_final(rules, &in, &out);
		break;
	case 1:
		delay_type_to_text(classify_delay(rules, &in, &out));
		must(out.type == BOUNCE_TRANSIENT);
		break;
	default:
		classify_report(rules, in.text, bytes_head(in.text, 5),
		    in.recipient, &out);
		break;
	}
	check(&out);
	return 0;
}
