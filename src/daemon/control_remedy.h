/* SPDX-License-Identifier: ISC */
/*
 * control_remedy.h - what mends a finding of "identity check" or "doctor".
 *
 * Use:    remedy_publish(), remedy_publish_txt(), remedy_run() or
 *         remedy_set() gives the finding its members "Hint", what is to be
 *         typed, and "Action", where: PUBLISH a record in a zone, RUN a
 *         command, SET a line of posthorn.conf.  remedy_note() adds "Note",
 *         what one has to know to do so, remedy_then() "Then", a command for
 *         afterwards; remedy_reason() says in "Detail.Reason" what is wrong.
 *         Every finding but one that passed has a remedy; what only the
 *         reader can know stands in it in capitals: HOST.
 * Owner:  the finding is the caller's.
 * Thread: any.
 * Fails:  never; a text that is too long is cut.
 *
 * Names come from strangers, too: one that is part of a command goes through
 * remedy_word(), so that a shell sees nothing in it but a name.
 */
#ifndef DAEMON_CONTROL_REMEDY_H
#define DAEMON_CONTROL_REMEDY_H

#include "daemon/control_private.h"

enum { REMEDY_WORD_SIZE = 1536 };

void remedy_reason(json_t *finding, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* NAME TYPE VALUE */
void remedy_publish(json_t *finding, const char *name, const char *type,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* As a zone has it: in quotes, in strings of at most 255 octets. */
void remedy_publish_txt(json_t *finding, const char *name,
    struct bytes value);
void remedy_run(json_t *finding, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void remedy_set(json_t *finding, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void remedy_note(json_t *finding, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void remedy_then(json_t *finding, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* DNS did not answer: ask it by hand. */
void remedy_ask(json_t *finding, const char *type, const char *name);
/* One word of a shell. */
const char *remedy_word(const char *text, char out[REMEDY_WORD_SIZE]);

/* -- of both reports ------------------------------------------------------- */
/* The SPF record of a MAIL FROM domain: with an include, or the addresses. */
void remedy_publish_spf(json_t *finding, struct request *q,
    const char *domain);
/* rows: what "spf print" shows; the domain, when there is no include. */
void remedy_publish_sources(json_t *finding, struct request *q,
    const json_t *rows, const char *domain);
/* What that record includes has to be there as well. */
void remedy_then_print_spf(json_t *finding, const char *name);
/* The address of mail_from.mx_host: that of the listener that takes
 * bounces. */
void remedy_publish_feedback(json_t *finding, const struct conf *c);
/* No listener has the role intake. */
void remedy_set_intake(json_t *finding, const struct conf *c);

#endif
