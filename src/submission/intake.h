/* SPDX-License-Identifier: ISC */
/*
 * intake.h - whose mail comes in without login, and how it is laid down
 * (receiving.md 2).
 *
 * Use:    intake_judge(desk, conf, address, &why) for each RCPT;
 *         intake_write_trace() puts the fields on top that say how it came.
 * Owner:  nothing is kept.
 * Thread: the desk's loop.
 * Fails:  a store that cannot be read is INTAKE_TROUBLE: the client tries
 *         again.
 *
 * There is no other recipient: nothing of a stranger is ever relayed.
 */
#ifndef SUBMISSION_INTAKE_H
#define SUBMISSION_INTAKE_H

#include <stdbool.h>

#include "mail/address.h"
#include "mail/message.h"
#include "registry/conf.h"

struct desk;

enum { INTAKE_RECIPIENTS_MAX = 100, INTAKE_HOPS_MAX = 50 };

enum intake_answer {
	INTAKE_TAKEN,
	INTAKE_UNKNOWN_HERE, /* of a domain that is served */
	INTAKE_FOREIGN,
	INTAKE_TROUBLE
};
enum intake_answer intake_judge(struct desk *d, const struct conf *c,
    const struct address *a);
/*
 * Asks whether the client may send for the sender's domain (receiving.md 3),
 * then calls done(arg), perhaps from inside the call: m->spf is set.  m has to
 * live until then.
 */
void intake_check_sender(struct desk *d, struct message *m,
    void (*done)(void *arg), void *arg);
/* Return-Path, Authentication-Results, Received; false = no room. */
bool intake_write_trace(const struct conf *c, const struct message *m,
    struct buf *out);

#endif
