/* SPDX-License-Identifier: ISC */
/*
 * child_proto.h - what the master and its children say to each other.
 *
 * The master starts each child by executing posthornd anew; descriptor 3 is
 * a channel to it.  Over it come the options, the configuration files and
 * all that an unprivileged process may not open, as descriptors with a name;
 * then GO.  A reload is the same again without the sockets, ended by RELOAD.
 * A child that is started after a reload gets the files of the beginning,
 * BEGUN, and the files in force: settings that need a restart are of the
 * former, as with its brothers.
 *
 * Use:    child_send(channel, CHILD_FILE, index, path, fd) on the master;
 *         child_read(message, &m) on the child.
 * Owner:  descriptors as process.h says; struct child_message borrows the
 *         text from the message.
 * Thread: the channel's.
 * Fails:  false: the message is not of this form (our own bug, or a damaged
 *         channel: close it).
 */
#ifndef DAEMON_CHILD_PROTO_H
#define DAEMON_CHILD_PROTO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/process.h"

enum child_kind {
	/* master to child */
	CHILD_OPTION = 1, /* text NAME=VALUE */
	CHILD_FILE,	  /* text path, fd: a file opened for reading */
	CHILD_LOG,	  /* fd, opened for appending */
	CHILD_AUDIT,	  /* fd, opened for appending */
	CHILD_LISTEN,	  /* index: a listener, see child_listen_index(); fd */
	CHILD_CONTROL,	  /* fd of the listening control socket */
	CHILD_METRICS,	  /* fd of the listening metrics socket */
	CHILD_LOCK,	  /* fd of the lock on the store: held as long as one of
			     master and relay lives */
	CHILD_PEER_KEYS,  /* index: which loop; fd */
	CHILD_PEER_VERIFIER, /* fd */
	CHILD_BEGUN, /* so far what all began with; what is in force follows */
	CHILD_GO,
	CHILD_RELOAD, /* index: number of the reload, 0 = no result wanted */
	CHILD_STOP, /* index 1: at once */
	CHILD_AUDIT_CUT, /* fd, opened for appending: the audit log without
			    its oldest lines; text: so much of the old one
			    is in it */
	CHILD_PING, /* is it alive?  see daemon/master_watch.c */
	/* child to master */
	CHILD_READY,
	CHILD_FATAL,	      /* text: why the child cannot start */
	CHILD_RELOAD_REQUEST, /* index: number of the request */
	CHILD_RELOAD_RESULT,  /* to master: index of RELOAD; text: errors, none
				 = done; to relay: index of the request; text
				 as posthornctl shows it */
	CHILD_STOP_REQUEST,   /* index 1: at once */
	CHILD_PONG	      /* to PING, as soon as its loops run */
};

struct child_message {
	enum child_kind kind;
	uint32_t	index;
	struct bytes	text;
};
bool child_send(struct channel *c, enum child_kind kind, uint32_t index,
    struct bytes text, int fd);
bool child_read(struct bytes message, struct child_message *out);

/* listener, address and loop in one number */
uint32_t child_listen_index(unsigned listener, unsigned address,
    unsigned loop);
void child_listen_split(uint32_t index, unsigned *listener, unsigned *address,
    unsigned *loop);

#endif
