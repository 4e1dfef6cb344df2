/* SPDX-License-Identifier: ISC */
/*
 * sendmail_body.h - the body between standard input and the server.
 *
 * It is read to its end before the connection is made: a program that writes
 * slowly must not run into the server's time-outs.  The first piece is kept
 * in memory, the rest in a file without a name.
 *
 * Use:    sendmail_body_init(&b); sendmail_body_add() as framing_sink;
 *         sendmail_body_rewind(), then sendmail_body_read() until 0.
 * Owner:  the struct owns memory and descriptor; _wipe.
 * Thread: one.
 * Fails:  .failed with .error (no temporary file, disk full, too large).
 */
#ifndef TOOLS_SENDMAIL_BODY_H
#define TOOLS_SENDMAIL_BODY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

enum { SENDMAIL_BODY_MEMORY = 256 * 1024 };
#define SENDMAIL_BODY_MAX (UINT64_C(1) << 30)

struct sendmail_body {
	struct buf memory;
	int	   fd; /* -1 = all is in memory */
	uint64_t   size;
	uint64_t   at; /* of reading */
	bool	   has_eight_bit;
	bool	   failed, too_large;
	struct err error;
};

void sendmail_body_init(struct sendmail_body *b);
void sendmail_body_wipe(struct sendmail_body *b);
void sendmail_body_add(void *body, struct bytes s);
void sendmail_body_rewind(struct sendmail_body *b);
/* Octets into out; 0 at the end, -1 with *e. */
int sendmail_body_read(struct sendmail_body *b, char *out, size_t size,
    struct err *e);

#endif
