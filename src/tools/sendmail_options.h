/* SPDX-License-Identifier: ISC */
/*
 * sendmail_options.h - the command line of sendmail(1).
 * Use:    if (sendmail_options_parse(argc, argv, &o, &e) != 0) EX_USAGE;
 *         sendmail_options_wipe(&o).
 * Owner:  texts are those of argv; the list of addresses is allocated.
 * Thread: any; pure.
 * Fails:  -1 with *e; options may stand before and behind addresses, and
 *         letters that take no value may stand together (-ti).
 */
#ifndef TOOLS_SENDMAIL_OPTIONS_H
#define TOOLS_SENDMAIL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum sendmail_mode {
	SENDMAIL_SUBMIT,   /* -bm */
	SENDMAIL_DIALOGUE, /* -bs */
	SENDMAIL_QUEUE,	   /* -bp, mailq */
	SENDMAIL_NOTHING,  /* -bi, newaliases, -q */
	SENDMAIL_VERIFY	   /* -bv */
};

enum sendmail_body_type {
	SENDMAIL_BODY_AUTO, /* as the content is */
	SENDMAIL_BODY_7BIT,
	SENDMAIL_BODY_8BIT
};

struct sendmail_options {
	enum sendmail_mode	mode;
	enum sendmail_body_type body_type;
	bool			reads_recipients; /* -t */
	bool			keeps_dots;	  /* -i */
	bool			verbose;
	const char	       *sender;	   /* -f, "" = null; NULL: not given */
	const char	       *full_name; /* -F, NULL: not given */
	const char	       *conf_path; /* -C, NULL: not given */
	const char	      **addresses;
	size_t			address_count;
};

int sendmail_options_parse(int argc, char **argv,
    struct sendmail_options *out, struct err *e);
void sendmail_options_wipe(struct sendmail_options *o);

#endif
