/* SPDX-License-Identifier: ISC */
/* Part of registry/identity.h: names, selectors, tokens, words. */
#include <libpsl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "mail/address.h"
#include "registry/identity.h"

/*
 * Lists that were loaded, the one in force first.  A former one stays, since
 * another thread may be looking into it; there is one for each change of the
 * list, a few in a year.
 */
struct suffix_list {
	const psl_ctx_t	   *psl;
	char		   *key; /* equal for equal lists */
	struct suffix_list *former;
};
static _Atomic(struct suffix_list *) suffixes;

/* Which file the system has, and of when. */
static char *
suffix_key_of_system(void)
{
	const char *path = psl_dist_filename();
	struct stat st;
	char	    key[600];

	if (path == NULL || stat(path, &st) != 0)
		return mem_dup("built in");
	snprintf(key, sizeof(key), "%.500s %lld %lld", path,
	    (long long)st.st_mtime, (long long)st.st_size);
	return mem_dup(key);
}

static const psl_ctx_t *
suffix_parse(struct bytes text)
{
	psl_ctx_t *psl;
	FILE	  *f;

	f = fmemopen((void *)(uintptr_t)text.p, text.n, "r");
	if (f == NULL)
		return NULL;
	psl = psl_load_fp(f);
	fclose(f);
	return psl;
}

int
identity_load_suffixes(struct bytes text, struct err *e)
{
	struct suffix_list *now = atomic_load(&suffixes), *fresh;
	char		   *key;

	key = text.n > 0 ? mem_dup_bytes(text) : suffix_key_of_system();
	if (now != NULL && strcmp(now->key, key) == 0) {
		mem_free(key);
		return 0;
	}
	fresh = mem_alloc(sizeof(*fresh));
	fresh->key = key;
	fresh->former = now;
	fresh->psl = text.n > 0 ? suffix_parse(text) : psl_latest(NULL);
	if (fresh->psl == NULL && text.n == 0)
		fresh->psl = psl_builtin();
	if (fresh->psl != NULL) {
		atomic_store(&suffixes, fresh);
		return 0;
	}
	mem_free(key);
	mem_free(fresh);
	return text.n > 0 ? err_set(e, "not a list of public suffixes") :
	    err_set(e, "no list of public suffixes: set dns.psl_file");
}

void
identity_forget_suffixes(void)
{
	struct suffix_list *s = atomic_exchange(&suffixes, NULL), *former;

	for (; s != NULL; s = former) {
		former = s->former;
		if (s->psl != psl_builtin())
			psl_free((psl_ctx_t *)(uintptr_t)s->psl);
		mem_free(s->key);
		mem_free(s);
	}
}

bool
identity_is_public_suffix(const char *domain)
{
	const struct suffix_list *now = atomic_load(&suffixes);
	const psl_ctx_t *list = now != NULL ? now->psl : psl_builtin();
	char		 small[DOMAIN_TEXT_MAX];
	size_t		 i;

	/* the list is in lower case, a receiver's MX need not be */
	for (i = 0; domain[i] != '\0' && i + 1 < sizeof(small); i++)
		small[i] = domain[i] >= 'A' && domain[i] <= 'Z' ?
		    (char)(domain[i] - 'A' + 'a') : domain[i];
	small[i] = '\0';
	return list != NULL && psl_is_public_suffix(list, small) != 0;
}

struct bytes
identity_registrable(struct bytes host)
{
	struct bytes best = host, rest = host;
	ptrdiff_t    dot;
	char	     text[DOMAIN_TEXT_MAX];

	for (;;) {
		bytes_text(rest, text, sizeof(text));
		if (identity_is_public_suffix(text))
			return best;
		best = rest;
		dot = bytes_find(rest, 0, '.');
		if (dot < 0)
			return host;
		rest = bytes_from(rest, (size_t)dot + 1);
	}
}

bool
identity_has_suffixes(void)
{
	return atomic_load(&suffixes) != NULL || psl_builtin() != NULL;
}

struct bytes
identity_organisation(struct bytes domain)
{
	size_t n = domain.n;
	int    dots = 0;

	if (identity_has_suffixes())
		return identity_registrable(domain);
	while (n > 0 && (domain.p[n - 1] != '.' || ++dots < 2))
		n--;
	return bytes_from(domain, n);
}

static bool
identity_normalize_address(const char *given, char *out, struct err *e)
{
	char	     room[ADDRESS_TEXT_MAX];
	struct bytes normal;

	if (!address_normal_text(bytes_of(given), 0, room, &normal)) {
		book_refuse(e, BOOK_BAD_REQUEST, "not an address: %.254s",
		    given);
		return false;
	}
	bytes_text(normal, out, IDENTITY_NAME_SIZE);
	return true;
}

static bool
has_octet_above_127(const char *s)
{
	for (; *s != '\0'; s++) {
		if ((unsigned char)*s > 127)
			return true;
	}
	return false;
}

bool
identity_normalize(const char *given, char out[IDENTITY_NAME_SIZE],
    struct err *e)
{
	char	     room[DOMAIN_TEXT_MAX];
	struct bytes normal;

	if (has_octet_above_127(given)) {
		book_refuse(e, BOOK_BAD_REQUEST, "names with letters beyond "
		    "ASCII have to be given as A-labels (xn--...)");
		return false;
	}
	if (strchr(given, '@') != NULL)
		return identity_normalize_address(given, out, e);
	if (domain_is_dotted_quad(bytes_of(given)) ||
	    !domain_normal(bytes_of(given), 0, room, &normal)) {
		book_refuse(e, BOOK_BAD_REQUEST, "not a domain name of at "
		    "least two labels: %.254s", given);
		return false;
	}
	bytes_text(normal, out, IDENTITY_NAME_SIZE);
	if (identity_is_public_suffix(out)) {
		book_refuse(e, BOOK_BAD_REQUEST,
		    "%s is a public suffix; nobody can own it", out);
		return false;
	}
	return true;
}

const char *
identity_name_warning(const char *name, char out[600])
{
	out[0] = '\0';
	if (strncmp(name, "www.", 4) == 0 && strchr(name, '@') == NULL)
		snprintf(out, 600, "%s: mail is usually sent from %s", name,
		    name + 4);
	return out;
}

bool
selector_is_valid(const char *selector)
{
	size_t n = strlen(selector);

	return n >= 1 && n < SELECTOR_SIZE && selector[0] != '-' &&
	    selector[n - 1] != '-' &&
	    strspn(selector, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			     "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

void
identity_make_token(char out[IDENTITY_TOKEN_SIZE])
{
	unsigned char raw[32];

	mem_random(raw, sizeof(raw));
	base32_lower(raw, sizeof(raw), out);
	mem_wipe(raw, sizeof(raw));
}

void
identity_init(struct identity *i, const char *account, const char *name,
    struct wall now)
{
	memset(i, 0, sizeof(*i));
	bytes_text(bytes_of(account), i->account, sizeof(i->account));
	bytes_text(bytes_of(name), i->name, sizeof(i->name));
	i->is_address = strchr(name, '@') != NULL;
	i->method = i->is_address ? METHOD_LINK : METHOD_DKIM;
	i->signing = i->is_address ? DKIM_INHERIT : DKIM_ON;
	i->created = now;
	i->forwarding = true;
}

/* -- words ---------------------------------------------------------------- */

const char *
identity_status_to_text(enum identity_status s)
{
	switch (s) {
	case IDENTITY_NOT_STARTED:
		return "NOT_STARTED";
	case IDENTITY_PENDING:
		return "PENDING";
	case IDENTITY_SUCCESS:
		return "SUCCESS";
	case IDENTITY_TEMPORARY_FAILURE:
		return "TEMPORARY_FAILURE";
	case IDENTITY_FAILED:
		return "FAILED";
	}
	return "NOT_STARTED";
}

const char *
identity_error_to_text(enum identity_error e)
{
	switch (e) {
	case IDENTITY_NO_ERROR:
		break;
	case IDENTITY_SERVICE_ERROR:
		return "SERVICE_ERROR";
	case IDENTITY_DNS_SERVER_ERROR:
		return "DNS_SERVER_ERROR";
	case IDENTITY_HOST_NOT_FOUND:
		return "HOST_NOT_FOUND";
	case IDENTITY_TYPE_NOT_FOUND:
		return "TYPE_NOT_FOUND";
	case IDENTITY_INVALID_VALUE:
		return "INVALID_VALUE";
	}
	return "";
}

const char *
identity_method_to_text(enum identity_method m)
{
	switch (m) {
	case METHOD_DKIM:
		return "DKIM";
	case METHOD_TOKEN:
		return "TOKEN";
	case METHOD_LINK:
		return "LINK";
	case METHOD_OVERRIDE:
		return "OVERRIDE";
	}
	return "DKIM";
}

const char *
dkim_role_to_text(enum dkim_role r)
{
	switch (r) {
	case DKIM_ACTIVE:
		return "ACTIVE";
	case DKIM_STANDBY:
		return "STANDBY";
	case DKIM_RETIRING:
		return "RETIRING";
	}
	return "ACTIVE";
}

const char *
dkim_outcome_to_text(enum dkim_outcome o)
{
	switch (o) {
	case DKIM_UNCHECKED:
		return "UNCHECKED";
	case DKIM_MATCH:
		return "MATCH";
	case DKIM_ABSENT:
		return "ABSENT";
	case DKIM_MISMATCH:
		return "MISMATCH";
	case DKIM_REVOKED:
		return "REVOKED";
	case DKIM_MULTIPLE:
		return "MULTIPLE";
	case DKIM_MALFORMED:
		return "MALFORMED";
	case DKIM_OPERATOR_ZONE:
		return "OPERATOR_ZONE";
	case DKIM_DNS_ERROR:
		return "DNS_ERROR";
	}
	return "UNCHECKED";
}
