/* SPDX-License-Identifier: ISC */
/* A normal form parses, is its own normal form, and is the same address. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "mail/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_one(struct bytes in, unsigned flags)
{
	struct address a, b;
	struct bytes   first, second, base;
	char	       x[ADDRESS_TEXT_MAX], y[ADDRESS_TEXT_MAX];

	if (!address_parse(in, flags, &a))
		return;
	first = address_normal(&a, x);
	must(first.n <= in.n && strlen(x) == first.n);
	must(address_normal_text(first, flags, y, &second));
	must(bytes_eq(first, second));
	must(address_split(first, &b));
	if (address_base(&b, &base))
		must(base.n > 0 && base.n < b.local.n);
}

static void
check_list(struct bytes in, unsigned flags)
{
	struct arena	   *a = arena_new(1 << 18);
	struct mailbox_list l;
	size_t		    i;

	if (mailbox_list_parse(in, flags, a, &l) == MAILBOX_OK)
		for (i = 0; i < l.n; i++) {
			must(l.v[i].text.n > 0);
			must(l.v[i].raw.p >= in.p &&
			    l.v[i].raw.p + l.v[i].raw.n <= in.p + in.n);
			check_one(l.v[i].text, flags);
		}
	arena_free(a);
}

/* What stays is as it was; the domain is gone. */
static void
check_replace(struct bytes in)
{
	struct arena *a = arena_new(1 << 18);
	struct buf    once, twice;
	size_t	      n;

	buf_init(&once, 1 << 20);
	buf_init(&twice, 1 << 20);
	n = mailbox_list_replace(in, BYTES("x.example"), BYTES("a@b.example"),
	    a, &once);
	must((n == 0) == (once.n == 0));
	if (n > 0)
		must(mailbox_list_replace(buf_bytes(&once),
		    BYTES("x.example"), BYTES("c@d.example"), a, &twice) == 0);
	buf_wipe(&once);
	buf_wipe(&twice);
	arena_free(a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = { (const char *)data, size };
	struct bytes d, up;
	unsigned     flags;
	char	     x[DOMAIN_TEXT_MAX];

	if (size == 0)
		return 0;
	flags = data[0] & 31u;
	in = bytes_from(in, 1);
	check_one(in, flags);
	check_list(in, flags);
	check_replace(in);
	if (domain_normal(in, flags, x, &d)) {
		must(domain_is_valid(d, flags));
		while (domain_parent(d, &up)) {
			must(domain_is_within(d, up));
			must(up.n < d.n);
			d = up;
		}
	}
	return 0;
}
