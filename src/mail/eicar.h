/* SPDX-License-Identifier: ISC */
/*
 * eicar.h - is the content of a part the test virus of EICAR?
 *
 * Use:    eicar_init(&x, eicar_encoding(value)); eicar_feed(&x, octets) ...;
 *         eicar_is_found(&x) at the end of the part.
 * Owner:  plain data, the caller's; copied, it goes on as two.
 * Thread: pure.
 * Fails:  never; what is not well encoded is decoded as far as it goes.
 *
 * simulator.md 6, EICAR: the string stands at the start, and the part has at
 * most 128 octets without the white space at its end.  An answer that is no
 * is known after the first octets: feeding costs nothing from then on.
 */
#ifndef MAIL_EICAR_H
#define MAIL_EICAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

enum eicar_encoding { EICAR_PLAIN, EICAR_BASE64, EICAR_QUOTED };
struct eicar {
	enum eicar_encoding encoding;
	bool		    is_out; /* it is not */
	size_t		    octets, last; /* without white space: up to last */
	/* what is half decoded */
	uint32_t bits;
	unsigned bit_count;
	bool	 is_closed; /* base64: "=" was there */
	char	 quoted[2]; /* behind "=" */
	unsigned quoted_count;
	bool	 is_quoted;
};

/* Of a Content-Transfer-Encoding. */
enum eicar_encoding eicar_encoding(struct bytes value);
void eicar_init(struct eicar *x, enum eicar_encoding encoding);
void eicar_feed(struct eicar *x, struct bytes octets);
bool eicar_is_found(const struct eicar *x);

#endif
