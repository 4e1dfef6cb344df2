/* SPDX-License-Identifier: ISC */
/*
 * client.h - clients that hand in mail, as a play says.
 * Use:    client_connect(p, words); then lines that begin with the client's
 *         name: client_line().  client_login() and client_send() do what
 *         most plays begin with.
 * Owner:  the play.
 * Thread: the loop of the net.
 * Fails:  by play_fail().
 */
#ifndef REPLAY_CLIENT_H
#define REPLAY_CLIENT_H

#include "play.h"

/* connect NAME LISTENER [from=ADDRESS] [loop=N] [uid=N] [gid=N] */
void client_connect(struct play *p, const struct words *w);
/* login NAME LISTENER [key=ID] ... as connect */
void client_login(struct play *p, const struct words *w);
/* send NAME from= to=A,B [header="X: y"] [body=] [size=] [as=] [reply=] */
void client_send(struct play *p, const struct words *w);
/* "c> ...", "c< ...", "c tls": true = it was one. */
bool client_line(struct play *p, const char *line);
void clients_close(struct play *p);

#endif
