/* SPDX-License-Identifier: ISC */
/*
 * smtp_private.h - words and digits of a line, for commands (smtp.c) and
 * replies (smtp_reply.c).
 * Owner:  what is returned lies within what was given.
 * Thread: any.
 */
#ifndef MAIL_SMTP_PRIVATE_H
#define MAIL_SMTP_PRIVATE_H

#include <stdbool.h>

#include "base/ascii.h"
#include "base/mem.h"

/* Blanks and tabs only: a CR or LF is never trimmed away. */
static inline struct bytes
trim_blanks(struct bytes s)
{
	while (s.n > 0 && ascii_is_blank(s.p[0]))
		s = bytes_from(s, 1);
	while (s.n > 0 && ascii_is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

/* Takes the word up to the next blank off the front of *s. */
static inline struct bytes
take_word(struct bytes *s)
{
	struct bytes word;
	size_t	     n = 0;

	while (n < s->n && !ascii_is_blank(s->p[n]))
		n++;
	word = bytes_head(*s, n);
	*s = trim_blanks(bytes_from(*s, n));
	return word;
}

#endif
