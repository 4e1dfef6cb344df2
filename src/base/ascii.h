/* SPDX-License-Identifier: ISC */
/*
 * ascii.h - classes of characters as the protocols have them: ASCII alone,
 * whatever the locale; an octet above 127 is of no class.
 * Use:    if (ascii_is_digit(s.p[i])) ...; end of input (-1) is of no class.
 * Owner:  nothing is kept.
 * Thread: any.
 */
#ifndef BASE_ASCII_H
#define BASE_ASCII_H

#include <stdbool.h>

static inline bool
ascii_is_digit(int c)
{
	return c >= '0' && c <= '9';
}

static inline bool
ascii_is_letter(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline bool
ascii_is_alnum(int c)
{
	return ascii_is_letter(c) || ascii_is_digit(c);
}

/* Of one digit in either case, 0 to 15; -1. */
static inline int
ascii_hex_value(int c)
{
	if (ascii_is_digit(c))
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static inline bool
ascii_is_hex(int c)
{
	return ascii_hex_value(c) >= 0;
}

/* What stands between words of one line. */
static inline bool
ascii_is_blank(int c)
{
	return c == ' ' || c == '\t';
}

/* ... and of several lines. */
static inline bool
ascii_is_white(int c)
{
	return ascii_is_blank(c) || c == '\r' || c == '\n';
}

static inline char
ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static inline char
ascii_upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

/* In place. */
static inline void
ascii_lower_text(char *s)
{
	for (; *s != '\0'; s++)
		*s = ascii_lower(*s);
}

#endif
