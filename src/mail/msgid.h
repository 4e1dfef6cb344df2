/* SPDX-License-Identifier: ISC */
/*
 * msgid.h - the id of a message: when it was accepted, and a random part.
 * Use:    msgid_make(wall, &id); msgid_to_text(&id, "0100", 0, text);
 *         The same text with a recipient's number (1-based, in the order of
 *         RCPT) is the local part of the envelope sender (VERP).
 * Form:   0100018f34069e00-7cb9f704-7531-4e53-89a1-5fa9744f5eb6-000000:
 *         prefix and 48 bits of milliseconds, UUID version 4, number.
 *         The octets order by time, so that b is a key of the store as it is.
 * Owner:  a plain value.
 * Thread: any.
 * Fails:  msgid_from_text() false = not of this form; *out is not touched.
 */
#ifndef MAIL_MSGID_H
#define MAIL_MSGID_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/mem.h"

struct msgid {
	uint8_t b[22]; /* 6 of milliseconds since 1970, 16 of the UUID */
};

enum { MSGID_TEXT = 60, MSGID_RECIPIENT_MAX = 999999 };

void msgid_make(struct wall now, struct msgid *out);
/* prefix: 4 hex digits; recipient 0 = the message as a whole; returns out */
char *msgid_to_text(const struct msgid *id, const char prefix[5],
    unsigned recipient, char out[MSGID_TEXT + 1]);
/* Any letter case and any prefix; recipient may be NULL. */
bool msgid_from_text(struct bytes text, struct msgid *out,
    unsigned *recipient);
int msgid_cmp(const struct msgid *a, const struct msgid *b);
struct wall msgid_time(const struct msgid *id);

#endif
