/* SPDX-License-Identifier: ISC */
/*
 * snds.h - Microsoft's daily data of source addresses (reputation.md 7.3):
 * lines of the file that SNDS offers, and what is kept of them.
 *
 * Use:    reason = snds_parse(line, now, &row); NULL = it was read;
 *         snds_put(t, &row, now, &has_traps, &e).
 * Owner:  plain data, the caller's.
 * Thread: snds_parse() any; the rest that of the transaction.
 * Fails:  -1 and *e (store).
 *
 * A line is, divided by commas, perhaps quoted: address; begin and end of the
 * activity (M/D/YYYY and a time of day); RCPT commands; DATA commands; message
 * recipients; GREEN, YELLOW or RED; complaint rate ("< 0.1%"); begin and end
 * of the hits of traps; their number; then samples and comments, which are not
 * kept.  A value stands for the 24 hours of the day on which it begins; below
 * a minimum volume there is none.  Rows are kept SNDS_DAYS.  Microsoft's days
 * end after ours: none of them lies ahead of the day by UTC.
 */
#ifndef REGISTRY_SNDS_H
#define REGISTRY_SNDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/mem.h"
#include "registry/book.h"

enum {
	SNDS_DAYS = 90,
	SNDS_LINE_MAX = 4096,
	SNDS_SHOWN_SIZE = 24
};
/* In the store: never reorder. */
enum snds_filter { SNDS_GREEN, SNDS_YELLOW, SNDS_RED };

struct snds_row {
	char	 address[64]; /* canonical */
	int64_t	 day;	      /* since 1970 */
	uint64_t rcpts, datas, recipients, traps;
	enum snds_filter filter;
	unsigned complaints; /* a millionth each; 0 = below 0.1 %, not none */
};
/* SNDS.SpamRate: 0 = below 10 % spam, 0.5 = 10 to 90 %, 1 = above. */
double snds_spam_rate(enum snds_filter f);
/* "< 0.1 %", "0.3 %" */
const char *snds_complaints_to_text(unsigned complaints,
    char out[SNDS_SHOWN_SIZE]);

/* NULL, or why not.  The line has no end. */
const char *snds_parse(struct bytes line, struct wall now,
    struct snds_row *out);
bool snds_is_heading(struct bytes line);

/* In place of what was known of the day; old days of the address go.
 * *has_traps: it has hits of traps that were not known.  0 / -1 */
int snds_put(struct db_txn *t, const struct snds_row *r, struct wall now,
    bool *has_traps, struct err *e);
/* Of one address, the oldest day first.  0 / -1 */
int snds_each(struct db_txn *t, const char *address,
    bool (*fn)(void *arg, const struct snds_row *r), void *arg,
    struct err *e);

/* The stored form; read: false = damaged. */
bool snds_write_record(const struct snds_row *r, struct buf *out);
bool snds_read_record(struct bytes in, struct snds_row *out);

#endif
