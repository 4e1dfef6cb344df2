/* SPDX-License-Identifier: ISC */
/*
 * sockaddr.h - what an address of a socket says of itself; for net/ only
 * (sockaddr_text() is in stream.h, for everybody).
 * Owner:  nothing is kept.
 * Thread: any.
 * Fails:  never; a family without ports has port 0.
 */
#ifndef NET_SOCKADDR_H
#define NET_SOCKADDR_H

#include <stdint.h>
#include <sys/socket.h>

socklen_t sockaddr_len(const struct sockaddr *sa);
uint16_t sockaddr_port(const struct sockaddr_storage *ss);

#endif
