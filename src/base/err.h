/* SPDX-License-Identifier: ISC */
/*
 * err.h - the world's trouble, and our own.
 * Use:    a function that can fail for reasons outside the program takes
 *         struct err *e last, returns 0 or -1, and fills *e where the cause
 *         is known: return err_sys(e, "open %s", path);
 * Owner:  the caller owns *e (a plain struct on the stack); e is never NULL.
 * Thread: any.
 * Fails:  never; text is cut to fit.
 * must(c) is for our own bugs: file, line, text on stderr, then abort.  It is
 * on in every build; the spool makes stopping safe.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

enum { ERR_TEXT_MAX = 512 };

struct err {
	char text[ERR_TEXT_MAX]; /* printable, no line end; "" = no error */
	int	code;		 /* errno of the cause, 0 = none */
};

/* Both return -1, so that "return err_set(...)" reads well. */
int err_set(struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* As err_set(), with ": strerror(errno)" behind the text. */
int err_sys(struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Puts a prefix before the text that is there: "prefix: old text". */
int err_wrap(struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

_Noreturn void must_fail(const char *file, int line, const char *what);
#define must(c) ((c) ? (void)0 : must_fail(__FILE__, __LINE__, #c))

#endif
