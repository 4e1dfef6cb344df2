/* SPDX-License-Identifier: ISC */
/*
 * sendmail_conf.h - the client configuration of sendmail(1): eight settings,
 * lines as in posthorn.conf(5), without blocks and includes.
 *
 * registry/conf_parse.c is not used: it fills the daemon's snapshot through
 * the daemon's option table, and takes no other.
 *
 * Use:    sendmail_conf_load(path, must_exist, &c, &errors) or _parse();
 *         sendmail_conf_wipe(&c).
 * Owner:  the struct owns its texts.
 * Thread: any; _parse is pure.
 * Fails:  false; errors has a line "FILE:LINE: TEXT" for each, with LF.
 */
#ifndef TOOLS_SENDMAIL_CONF_H
#define TOOLS_SENDMAIL_CONF_H

#include <stdbool.h>

#include "base/mem.h"

#define SENDMAIL_CONF_PATH "/etc/posthorn/sendmail.conf"

struct sendmail_conf {
	char *socket;	   /* never NULL after loading */
	char *server_host; /* NULL = the socket is used */
	char *server_port; /* decimal, with server_host */
	bool  wrapper;	   /* tls wrapper; else STARTTLS */
	char *ca;	   /* NULL = the system's trust store */
	char *user;
	char *password_file;
	char *configuration_set;
	char *sender;
};

/* A file that is not there gives the defaults unless it must exist. */
bool sendmail_conf_load(const char *path, bool must_exist,
    struct sendmail_conf *out, struct buf *errors);
bool sendmail_conf_parse(const char *name, struct bytes text,
    struct sendmail_conf *out, struct buf *errors);
void sendmail_conf_wipe(struct sendmail_conf *c);

#endif
