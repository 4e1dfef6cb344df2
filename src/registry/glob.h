/* SPDX-License-Identifier: ISC */
/*
 * glob.h - patterns of names and addresses: * any run, ? one character,
 * everything else stands for itself.
 * Use:    glob_matches(pattern, text, text.n) with regard to case;
 *         glob_matches_address(pattern, address) as addresses are compared.
 * Owner:  all is borrowed during the call.
 * Thread: any, pure.
 * Fails:  never.  At most octets of the pattern times those of the text are
 *         looked at.
 */
#ifndef REGISTRY_GLOB_H
#define REGISTRY_GLOB_H

#include <stdbool.h>

#include "base/mem.h"

/* From this octet of the text on the letter case does not matter. */
bool glob_matches(struct bytes pattern, struct bytes text, size_t fold);
/* Without case behind the last @; a text without one, a domain, as a whole. */
bool glob_matches_address(struct bytes pattern, struct bytes address);

#endif
