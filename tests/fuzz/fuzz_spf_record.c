/* SPDX-License-Identifier: ISC */
/* TXT records of a domain, a zero octet between two. */
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "mail/spf_record.h"
#include "net/spf_macro.h"
#include "net/spf_term.h"

static const struct spf_macro_values values = { "2001:db8::10", "a b%/",
	"sender.example", "helo.example", "domain.example", "name.example" };

/* What is read is of the text, and its names are names. */
static void
read_terms(struct bytes text)
{
	struct spf_reader r;
	struct spf_term	  t;
	unsigned char	  ip[16] = { 0x20, 1, 0x0d, 0xb8 };
	char		  name[SPF_DOMAIN_SIZE];
	size_t		  before = text.n;

	spf_reader_init(&r, text);
	while (spf_reader_next(&r, &t)) {
		must(r.wrong == NULL && r.rest.n < before);
		before = r.rest.n;
		must(t.bits4 <= 32 && t.bits6 <= 128);
		(void)spf_term_has(&t, AF_INET, ip);
		(void)spf_term_has(&t, AF_INET6, ip);
		if (t.domain.n == 0 || t.kind == SPF_TERM_OTHER)
			continue;
		must(t.domain.p >= text.p &&
		    t.domain.p + t.domain.n <= text.p + text.n);
		(void)spf_macro_asks_client(t.domain);
		spf_macro_expand(t.domain, &values, name);
		must(name[0] != '\0' && strlen(name) < sizeof(name));
	}
	must(r.wrong != NULL || r.rest.n == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct spf_record r;
	struct bytes	  texts[8], rest, text;
	ptrdiff_t	  end;
	size_t		  n = 0, found;

	rest = (struct bytes){ (const char *)data, size };
	while (size > 0 && n < 8) {
		end = bytes_find(rest, 0, '\0');
		texts[n++] = end < 0 ? rest : bytes_head(rest, (size_t)end);
		if (end < 0)
			break;
		rest = bytes_from(rest, (size_t)end + 1);
	}
	found = spf_find(texts, n, &text);
	must(found <= n && (found == 0) == (text.n == 0));
	if (found == 0)
		return 0;
	read_terms(text);
	spf_record_read(text, &r);
	must(r.all == 0 || strchr("+-~?", r.all) != NULL);
	must(r.is_long == (text.n > SPF_RECORD_OCTETS));
	(void)spf_record_includes(text, BYTES("spf.relay.example"));
	(void)spf_record_lists(text, "203.0.113.10");
	(void)spf_record_lists(text, "2001:db8::10");
	must(!spf_record_lists(text, "nonsense"));
	return 0;
}
