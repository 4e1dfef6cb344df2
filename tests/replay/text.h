/* SPDX-License-Identifier: ISC */
/*
 * text.h - the words of a play: blanks, quotes, escapes, patterns, times.
 * Use:    words_split(line, &w); w.v[0] ...; words_rest(&w, 2) is the raw
 *         text from the third word on.
 * Owner:  struct words holds copies, words_wipe() frees them.
 * Thread: one.
 * Fails:  false: a quote that is not closed, too many words, a bad number.
 */
#ifndef REPLAY_TEXT_H
#define REPLAY_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/mem.h"

enum { WORDS_MAX = 256 };
struct words {
	unsigned n;
	char	*v[WORDS_MAX];
	char	*line;		  /* a copy */
	char	*from[WORDS_MAX]; /* where each word begins in it */
};
bool words_split(const char *line, struct words *out);
void words_wipe(struct words *w);
const char *words_rest(const struct words *w, unsigned from); /* "" = none */
/* The value of NAME=value among the words from the given one on; or NULL. */
const char *words_value(const struct words *w, unsigned from,
    const char *name);

/* \r \n \t \0 \\ \" \xNN; other backslashes stay. */
void text_unescape(const char *s, struct buf *out);
/* "/.../" is a POSIX extended expression, "*" is anything. */
bool text_matches(const char *pattern, const char *text);
bool text_is_glob_match(const char *glob, const char *text);
bool text_to_duration(const char *s, int64_t *ms); /* 1h30m, 250ms, 5s, 2d */
bool text_to_wall(const char *s, struct wall *out); /* 2024-05-01T12:00:00Z */
bool text_to_number(const char *s, double *out); /* or "unlimited" = -1 */
/* Printable, for messages. */
const char *text_show(struct bytes b, char *out, size_t size);

#endif
