/* SPDX-License-Identifier: ISC */
#include "registry/glob.h"

#include "base/ascii.h"
#include "base/utf8.h"

/* Behind one character, all octets of it in UTF-8. */
static size_t
glob_step(struct bytes text, size_t at)
{
	at++;
	while (at < text.n && utf8_is_inner(text.p[at]))
		at++;
	return at;
}

/* Goes back to the last star only.  Where the text stands decides whether
 * case counts. */
bool
glob_matches(struct bytes pattern, struct bytes text, size_t fold)
{
	size_t g = 0, a = 0, star = SIZE_MAX, star_at = 0;
	char   want, have;

	while (a < text.n) {
		want = g < pattern.n ? pattern.p[g] : '\0';
		have = text.p[a];
		if (g < pattern.n && want == '*') {
			star = g++;
			star_at = a;
		} else if (g < pattern.n && want == '?') {
			g++;
			a = glob_step(text, a);
		} else if (g < pattern.n && (want == have ||
		    (a >= fold && ascii_lower(want) == ascii_lower(have)))) {
			g++;
			a++;
		} else if (star != SIZE_MAX) {
			g = star + 1;
			a = star_at = glob_step(text, star_at);
		} else {
			return false;
		}
	}
	while (g < pattern.n && pattern.p[g] == '*')
		g++;
	return g == pattern.n;
}

bool
glob_matches_address(struct bytes pattern, struct bytes address)
{
	size_t domain = 0, i;

	for (i = 0; i < address.n; i++) {
		if (address.p[i] == '@')
			domain = i + 1;
	}
	return glob_matches(pattern, address, domain);
}
