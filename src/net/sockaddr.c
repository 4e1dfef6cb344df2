/* SPDX-License-Identifier: ISC */
/* Addresses of sockets as text and numbers; pure. */
#include "net/sockaddr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "net/stream.h"

static const char *
sockaddr_un_text(const struct sockaddr *sa, char *out, size_t size)
{
	struct sockaddr_un un;

	memcpy(&un, sa, sizeof(un));
	un.sun_path[sizeof(un.sun_path) - 1] = '\0';
	if (un.sun_path[0] == '\0')
		return bytes_text(BYTES("unix"), out, size);
	return bytes_text(bytes_of(un.sun_path), out, size);
}

const char *
sockaddr_text(const struct sockaddr *sa, bool with_port,
    char out[STREAM_ADDR_MAX + 48])
{
	const size_t		size = STREAM_ADDR_MAX + 48;
	struct sockaddr_storage ss;
	char			ip[INET6_ADDRSTRLEN] = "?";

	memset(&ss, 0, sizeof(ss));
	switch (sa->sa_family) {
	case AF_INET:
		memcpy(&ss, sa, sizeof(struct sockaddr_in));
		inet_ntop(AF_INET, &((struct sockaddr_in *)&ss)->sin_addr,
		    ip, sizeof(ip));
		break;
	case AF_INET6:
		memcpy(&ss, sa, sizeof(struct sockaddr_in6));
		inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&ss)->sin6_addr,
		    ip, sizeof(ip));
		break;
	case AF_UNIX:
		return sockaddr_un_text(sa, out, size);
	default:
		return bytes_text(BYTES("?"), out, size);
	}
	if (!with_port)
		snprintf(out, size, "%s", ip);
	else
		snprintf(out, size,
		    sa->sa_family == AF_INET6 ? "[%s]:%u" : "%s:%u", ip,
		    (unsigned)sockaddr_port(&ss));
	return out;
}

socklen_t
sockaddr_len(const struct sockaddr *sa)
{
	switch (sa->sa_family) {
	case AF_INET:
		return sizeof(struct sockaddr_in);
	case AF_INET6:
		return sizeof(struct sockaddr_in6);
	default:
		return sizeof(struct sockaddr_un);
	}
}

uint16_t
sockaddr_port(const struct sockaddr_storage *ss)
{
	if (ss->ss_family == AF_INET)
		return ntohs(((const struct sockaddr_in *)ss)->sin_port);
	if (ss->ss_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)ss)->sin6_port);
	return 0;
}
