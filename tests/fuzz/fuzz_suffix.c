/* SPDX-License-Identifier: ISC */
/*
 * A list of public suffixes (dns.psl_file), up to a zero octet, and a name
 * that is looked up in it.  The domain that somebody can register is a part of
 * the name, the same whatever the case of letters and however often it is
 * asked for, and the one that libpsl finds; no name of an identity is a public
 * suffix.
 */
#include <libpsl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "mail/address.h"
#include "registry/identity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
lower(const char *from, char to[DOMAIN_TEXT_MAX])
{
	size_t i;

	for (i = 0; from[i] != '\0'; i++)
		to[i] = from[i] >= 'A' && from[i] <= 'Z' ?
		    (char)(from[i] - 'A' + 'a') : from[i];
	to[i] = '\0';
}

/* Whole labels from the end of it. */
static void
must_be_end(struct bytes part, struct bytes name)
{
	must(part.n > 0 || name.n == 0);
	must(part.p + part.n == name.p + name.n);
	must(part.n == name.n || part.p[-1] == '.');
}

static void
check_host(const char *host, struct bytes list)
{
	struct bytes all = bytes_of(host), part = identity_registrable(all);
	char	     text[DOMAIN_TEXT_MAX], small[DOMAIN_TEXT_MAX];
	char	     once[DOMAIN_TEXT_MAX];
	psl_ctx_t   *psl;
	const char  *theirs;
	FILE	    *f;

	must_be_end(part, all);
	must(bytes_eq(identity_registrable(part), part));
	must(bytes_eq(identity_organisation(all), part));
	lower(host, small);
	bytes_text(part, text, sizeof(text));
	lower(text, once);
	must(bytes_eq_text(identity_registrable(bytes_of(small)), once));
	if (!domain_is_valid(all, ADDRESS_ALLOW_UNDERSCORE) || list.n == 0)
		return;
	f = fmemopen((void *)(uintptr_t)list.p, list.n, "r");
	must(f != NULL);
	psl = psl_load_fp(f);
	fclose(f);
	must(psl != NULL);
	theirs = psl_registrable_domain(psl, small);
	must(theirs == NULL || strcmp(theirs, once) == 0);
	psl_free(psl);
}

static void
check_identity(const char *given)
{
	char	   name[IDENTITY_NAME_SIZE], again[IDENTITY_NAME_SIZE];
	char	   warning[600];
	struct err e = { .text = "" };

	if (!identity_normalize(given, name, &e)) {
		must(book_is_refusal(&e) && e.text[0] != '\0');
		return;
	}
	must(identity_normalize(name, again, &e));
	must(strcmp(name, again) == 0);
	must(strchr(name, '@') != NULL || !identity_is_public_suffix(name));
	(void)identity_name_warning(name, warning);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes list = { (const char *)data, size }, rest;
	ptrdiff_t    end = bytes_find(list, 0, '\0');
	char	     host[DOMAIN_TEXT_MAX], *given;
	struct err   e = { .text = "" };

	if (end < 0 || size > 65536)
		return 0;
	rest = bytes_from(list, (size_t)end + 1);
	list = bytes_head(list, (size_t)end);
	if (identity_load_suffixes(list, &e) < 0)
		must(e.text[0] != '\0' && list.n > 0);
	else
		check_host(bytes_text(rest, host, sizeof(host)), list);
	given = mem_dup_bytes(rest);
	check_identity(given);
	mem_free(given);
	identity_forget_suffixes();
	return 0;
}
