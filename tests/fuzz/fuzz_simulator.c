/* SPDX-License-Identifier: ISC */
/*
 * Addresses of test recipients: the first octets are the attempts made, the
 * age and whether TLS is demanded, the rest is the address.  Each has an
 * answer that a receiver might give; letter case does not matter to it, nor
 * a label, but for delay+N and success+size; and after five attempts whoever
 * only delays has taken it.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/ascii.h"
#include "delivery/simulator.h"

enum { INPUT_MAX = 512, DELAYS_MAX = 5, WAIT_MAX_MS = 30000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must_be_an_answer(const struct simulator_answer *a)
{
	const struct result *r = &a->result;
	const char	    *p;

	must(a->wait_ms >= 0 && a->wait_ms <= WAIT_MAX_MS);
	must(a->retry_ms > 0 && a->lifetime_ms >= 0);
	if (r->kind == RESULT_TLS_MISSING)
		return;
	must(r->kind == RESULT_REPLY);
	must(r->code == 250 || (r->code >= 400 && r->code < 600));
	must(strlen(r->enhanced) == 5 && r->enhanced[0] == r->text[0]);
	must((unsigned)(r->text[0] - '0') == r->code / 100);
	for (p = r->text; *p != '\0'; p++)
		must(*p >= 0x20 && *p < 0x7f);
}

static void
must_be_the_same(const struct simulator_ask *ask,
    const struct simulator_answer *a)
{
	struct simulator_answer b;

	simulator_answer(ask, &b);
	must(a->list == b.list && a->wait_ms == b.wait_ms &&
	    a->retry_ms == b.retry_ms && a->lifetime_ms == b.lifetime_ms);
	must(a->result.kind == b.result.kind &&
	    a->result.stage == b.result.stage &&
	    a->result.code == b.result.code &&
	    strcmp(a->result.text, b.result.text) == 0);
}

static bool
has_telling_label(struct bytes address)
{
	return bytes_find_nocase(address, BYTES("delay+")) == 0 ||
	    bytes_find_nocase(address, BYTES("success+size")) == 0;
}

static void
run(struct simulator_ask *ask, char *text, size_t n)
{
	struct simulator_answer a;
	struct bytes		address = { text, n };
	ptrdiff_t		at, plus;
	size_t			i;

	ask->address = address;
	simulator_answer(ask, &a);
	must_be_an_answer(&a);
	if (ask->attempts >= DELAYS_MAX &&
	    bytes_find_nocase(address, BYTES("delay+")) == 0)
		must(a.result.code == 250);
	for (i = 0; i < n; i++)
		text[i] = ascii_lower(text[i]);
	must_be_the_same(ask, &a);
	at = bytes_find(address, 0, '@');
	plus = bytes_find(address, 0, '+');
	if (has_telling_label(address) || plus < 0 || (at >= 0 && plus > at))
		return;
	ask->address = bytes_head(address, (size_t)plus);
	must_be_the_same(ask, &a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct simulator_ask ask = { .octets = size };
	char		     text[INPUT_MAX];
	size_t		     n;

	if (size < 3)
		return 0;
	ask.attempts = data[0] % 8;
	ask.age_ms = (int64_t)data[1] * 200;
	ask.needs_tls = (data[2] & 1) != 0;
	n = size - 3 < sizeof(text) ? size - 3 : sizeof(text);
	memcpy(text, data + 3, n);
	run(&ask, text, n);
	return 0;
}
