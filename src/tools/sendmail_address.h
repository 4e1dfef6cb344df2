/* SPDX-License-Identifier: ISC */
/*
 * sendmail_address.h - address lists as people write them: addresses without
 * domain get one, and each address is handed on.
 *
 * mail/address.h reads lists that are complete; here "root (Cron Daemon)"
 * becomes "root@host (Cron Daemon)" first, all else staying as it stands.
 *
 * Use:    sendmail_list_complete(value, host, &text, on_address, arg);
 * Owner:  what is handed on is borrowed for the call.
 * Thread: any; pure.
 * Fails:  false = text is full.  Addresses are not checked: what has
 *         address_parse() say no is the caller's.
 */
#ifndef TOOLS_SENDMAIL_ADDRESS_H
#define TOOLS_SENDMAIL_ADDRESS_H

#include <stdbool.h>

#include "base/mem.h"

typedef void sendmail_on_address(void *arg, struct bytes address);

/* host "" = nothing is completed; on_address may be NULL */
bool sendmail_list_complete(struct bytes value, struct bytes host,
    struct buf *out, sendmail_on_address *on_address, void *arg);

/*
 * What stands before an address: "Name ", quoted or as encoded words where
 * needed (RFC 2047), folded.  Nothing is added for a name that is no UTF-8.
 */
bool sendmail_add_display_name(struct bytes name, struct buf *out);
/* The full name of a GECOS field: up to the comma, "&" is the login. */
bool sendmail_gecos_name(const char *gecos, const char *login,
    struct buf *out);

#endif
