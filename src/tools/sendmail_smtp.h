/* SPDX-License-Identifier: ISC */
/*
 * sendmail_smtp.h - the conversation of sendmail(1) with posthorn, and what
 * each reply means for its exit status (admin-cli.md 17).
 *
 * Use:    status = sendmail_dialog_open(&d, &conf, verbose);
 *         d.host is server.name now; status = sendmail_dialog_send(...);
 *         sendmail_dialog_close(&d).
 * Owner:  the dialog owns its connection.
 * Thread: one; every call blocks.
 * Fails:  an exit status other than 0, and d.error has the text behind
 *         "sendmail: ".
 */
#ifndef TOOLS_SENDMAIL_SMTP_H
#define TOOLS_SENDMAIL_SMTP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "mail/address.h"
#include "mail/smtp.h"
#include "tools/sendmail_options.h"

struct sendmail_body;
struct sendmail_conf;
struct sendmail_link;
struct sendmail_list;

enum sendmail_stage {
	SENDMAIL_AT_GREETING,
	SENDMAIL_AT_HELLO, /* and STARTTLS */
	SENDMAIL_AT_AUTH,
	SENDMAIL_AT_MAIL,
	SENDMAIL_AT_RCPT,
	SENDMAIL_AT_DATA,
	SENDMAIL_AT_END /* of data */
};

/* Pure.  text: the reply's without its code. */
int sendmail_exit_status(unsigned code, struct bytes text,
    enum sendmail_stage stage);

struct sendmail_dialog {
	struct err	      error;
	char		      host[DOMAIN_TEXT_MAX]; /* server.name */
	struct sendmail_link *link;
	/* inner */
	bool		      verbose;
	struct reply_reader   reader;
	struct buf	      in; /* read, not yet looked at */
	struct capabilities   peer;
};

struct sendmail_letter {
	const char		   *sender; /* "" = null */
	const struct sendmail_list *recipients;
	enum sendmail_body_type	    body_type;
	struct bytes		    head; /* with its empty line */
	struct sendmail_body	   *body;
};

int sendmail_dialog_open(struct sendmail_dialog *d,
    const struct sendmail_conf *c, bool verbose);
int sendmail_dialog_send(struct sendmail_dialog *d,
    const struct sendmail_letter *letter);
void sendmail_dialog_close(struct sendmail_dialog *d);

#endif
