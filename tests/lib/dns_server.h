/* SPDX-License-Identifier: ISC */
/*
 * dns_server.h - a small DNS server on a loopback port, for tests.
 * Use:    dns_server_open(&d, loop, records); records ends with a NULL name;
 *         d.addr is what a resolver is told; d.records may be exchanged.
 *         dns_server_close(&d).
 * A value is text: "192.0.2.1", "10 mx.example", "target.example"; TXT is the
 * text itself, '|' divides its strings; SOA is the minimum, at any name.
 * An action stands in place of a value: "!servfail", "!refused", "!drop",
 * "!nxdomain", "!truncate" (UDP only; the next record of the name answers
 * over TCP), "!garbage", "!lame", "!other" (an answer for another name),
 * "!many" (as many addresses as a message takes).
 * '*' as the name stands for all others.
 */
#ifndef TESTS_DNS_SERVER_H
#define TESTS_DNS_SERVER_H

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/thread.h"

struct dns_record {
	const char *name;
	int	    type;
	uint32_t    ttl;
	const char *value;
};

struct dns_server {
	struct loop		*loop;
	const struct dns_record *records;
	bool			 follows;	 /* CNAMEs, as resolvers do */
	bool			 is_authority;	 /* sets AA */
	/* lies: before each answer one with another id; the question of
	 * somebody else; addresses that nobody has asked for; over TCP
	 * nothing but an end */
	bool			 lies_id, lies_question, lies_more, lies_tcp;
	struct sockaddr_storage	 addr;
	int			 udp, tcp, client;
	struct watch		*udp_watch, *tcp_watch, *client_watch;
	int			 asked, asked_tcp;
	char			 last[256]; /* name of the last question */
};

struct dns_reply {
	unsigned char p[65536];
	size_t	      n;
	int	      answers, authorities, additional;
	bool	      is_tcp, is_aa;
};

static inline void
dns_put16(struct dns_reply *r, int v)
{
	r->p[r->n++] = (unsigned char)(v >> 8);
	r->p[r->n++] = (unsigned char)v;
}

static inline void
dns_put_name(struct dns_reply *r, const char *name)
{
	const char *dot;
	size_t	    n;

	while (*name != '\0') {
		dot = strchr(name, '.');
		n = dot == NULL ? strlen(name) : (size_t)(dot - name);
		r->p[r->n++] = (unsigned char)n;
		memcpy(r->p + r->n, name, n);
		r->n += n;
		name += n + (dot != NULL);
	}
	r->p[r->n++] = 0;
}

static inline void
dns_put_strings(struct dns_reply *r, const char *text)
{
	const char *bar;
	size_t	    n;

	do {
		bar = strchr(text, '|');
		n = bar == NULL ? strlen(text) : (size_t)(bar - text);
		if (n > 255) {
			n = 255;
			bar = NULL;
		}
		r->p[r->n++] = (unsigned char)n;
		memcpy(r->p + r->n, text, n);
		r->n += n;
		text += n + (bar != NULL);
	} while (*text != '\0');
}

static inline void
dns_put_record(struct dns_reply *r, const char *owner,
    const struct dns_record *rec)
{
	size_t at;

	dns_put_name(r, owner);
	dns_put16(r, rec->type);
	dns_put16(r, ns_c_in);
	dns_put16(r, (int)(rec->ttl >> 16));
	dns_put16(r, (int)(rec->ttl & 0xffff));
	at = r->n;
	dns_put16(r, 0);
	switch (rec->type) {
	case ns_t_a:
		must(inet_pton(AF_INET, rec->value, r->p + r->n) == 1);
		r->n += 4;
		break;
	case ns_t_aaaa:
		must(inet_pton(AF_INET6, rec->value, r->p + r->n) == 1);
		r->n += 16;
		break;
	case ns_t_mx:
		dns_put16(r, atoi(rec->value));
		dns_put_name(r, strchr(rec->value, ' ') + 1);
		break;
	case ns_t_txt:
		dns_put_strings(r, rec->value);
		break;
	case ns_t_soa:
		dns_put_name(r, "ns.example");
		dns_put_name(r, "hostmaster.example");
		memset(r->p + r->n, 0, 16);
		r->n += 16;
		dns_put16(r, atoi(rec->value) >> 16);
		dns_put16(r, atoi(rec->value) & 0xffff);
		break;
	default:
		dns_put_name(r, rec->value);
		break;
	}
	r->p[at] = (unsigned char)((r->n - at - 2) >> 8);
	r->p[at + 1] = (unsigned char)(r->n - at - 2);
}

/* false: no answer at all. */
static inline bool
dns_act(struct dns_reply *r, const char *action, int *rcode, bool *is_cut)
{
	static const struct dns_record ns = { "x", ns_t_ns, 60, "ns.else" };
	static const struct dns_record lie = { "x", ns_t_a, 60,
		"192.0.2.66" };

	if (strcmp(action, "!drop") == 0)
		return false;
	if (strcmp(action, "!servfail") == 0)
		*rcode = ns_r_servfail;
	else if (strcmp(action, "!refused") == 0)
		*rcode = ns_r_refused;
	else if (strcmp(action, "!nxdomain") == 0)
		*rcode = ns_r_nxdomain;
	else if (strcmp(action, "!garbage") == 0)
		r->answers += 3; /* that are not there */
	else if (strcmp(action, "!truncate") == 0)
		*is_cut = true;
	else if (strcmp(action, "!other") == 0) {
		dns_put_record(r, "else.example.org", &lie);
		r->answers++;
	} else if (strcmp(action, "!many") == 0) {
		for (; r->n < sizeof(r->p) - 64; r->answers++)
			dns_put_record(r, "many.example.org", &lie);
	} else if (strcmp(action, "!lame") == 0) {
		dns_put_record(r, "else", &ns);
		r->authorities++;
		r->is_aa = false;
	}
	return true;
}

static inline bool
dns_fill(struct dns_server *d, struct dns_reply *r, const char *asked,
    int type, int *rcode, bool *is_cut)
{
	const struct dns_record *rec;
	const char		*name = asked;
	bool			 exists, is_wild = false;
	int			 steps = 0;

again:
	exists = false;
	for (rec = d->records; rec->name != NULL; rec++) {
		if (strcasecmp(rec->name, is_wild ? "*" : name) != 0)
			continue;
		exists = true;
		if (rec->type == type && rec->value[0] == '!') {
			if (strcmp(rec->value, "!truncate") == 0 && r->is_tcp)
				continue;
			return dns_act(r, rec->value, rcode, is_cut);
		}
		if (rec->type == type) {
			dns_put_record(r, name, rec);
			r->answers++;
		} else if (rec->type == ns_t_cname) {
			dns_put_record(r, name, rec);
			r->answers++;
			if (!d->follows || ++steps > 20)
				return true;
			name = rec->value;
			goto again;
		}
	}
	if (!exists && !is_wild) {
		is_wild = true;
		goto again;
	}
	if (r->answers > steps)
		return true;
	if (!exists)
		*rcode = ns_r_nxdomain;
	for (rec = d->records; rec->name != NULL; rec++)
		if (rec->type == ns_t_soa) {
			dns_put_record(r, rec->name, rec);
			r->authorities++;
			break;
		}
	return true;
}

/* The reply to a question; false: none. */
static inline bool
dns_reply_to(struct dns_server *d, const unsigned char *q, size_t n,
    struct dns_reply *r)
{
	char   name[256];
	size_t at = 12, out = 0;
	int    type, rcode = 0;
	bool   is_cut = false;
	static const struct dns_record lie = { "x", ns_t_a, 60,
		"192.0.2.66" };

	if (n < 17)
		return false;
	while (at < n && q[at] != 0 && out + q[at] + 1 < sizeof(name)) {
		memcpy(name + out, q + at + 1, q[at]);
		out += q[at];
		at += (size_t)q[at] + 1;
		name[out++] = '.';
	}
	name[out > 0 ? out - 1 : 0] = '\0';
	type = q[at + 1] * 256 + q[at + 2];
	d->asked++;
	if (r->is_tcp)
		d->asked_tcp++;
	snprintf(d->last, sizeof(d->last), "%s", name);
	r->is_aa = d->is_authority;
	r->n = 12;
	dns_put_name(r, d->lies_question ? "else.example.org" : name);
	dns_put16(r, type);
	dns_put16(r, ns_c_in);
	if (!dns_fill(d, r, name, type, &rcode, &is_cut))
		return false;
	if (d->lies_more) {
		dns_put_record(r, "mx1.example.org", &lie);
		dns_put_record(r, "bank.example", &lie);
		r->additional = 2;
	}
	memset(r->p, 0, 12);
	r->p[0] = q[0];
	r->p[1] = q[1];
	r->p[2] = (unsigned char)(0x81 | (r->is_aa ? 4 : 0) |
	    (is_cut ? 2 : 0));
	r->p[3] = (unsigned char)(0x80 | rcode);
	r->p[5] = 1;
	r->p[6] = (unsigned char)(r->answers >> 8);
	r->p[7] = (unsigned char)r->answers;
	r->p[9] = (unsigned char)r->authorities;
	r->p[11] = (unsigned char)r->additional;
	return true;
}

/* An answer to another question, with an address that is not true. */
static inline void
dns_send_lie(const struct dns_reply *r, int fd, struct sockaddr_storage *to,
    socklen_t len)
{
	struct dns_reply *lie = mem_alloc(sizeof(*lie));

	*lie = *r;
	lie->p[0] ^= 0x55;
	lie->p[lie->n - 1] = 66;
	must(sendto(fd, lie->p, lie->n, 0, (struct sockaddr *)to, len) > 0);
	mem_free(lie);
}

static inline void
dns_on_udp(void *arg, int fd, int what)
{
	struct dns_server      *d = arg;
	struct dns_reply       *r;
	struct sockaddr_storage from;
	socklen_t		len = sizeof(from);
	unsigned char		q[2048];
	ssize_t			n;

	(void)what;
	r = mem_alloc(sizeof(*r));
	while ((n = recvfrom(fd, q, sizeof(q), 0, (struct sockaddr *)&from,
		    &len)) > 0) {
		r->answers = r->authorities = r->additional = 0;
		if (!dns_reply_to(d, q, (size_t)n, r))
			continue;
		if (d->lies_id)
			dns_send_lie(r, fd, &from, len);
		must(sendto(fd, r->p, r->n, 0,
				 (struct sockaddr *)&from, len) ==
		    (ssize_t)r->n);
		len = sizeof(from);
	}
	mem_free(r);
}

static inline void
dns_close_client(struct dns_server *d)
{
	watch_close(d->client_watch);
	d->client_watch = NULL;
	if (d->client >= 0)
		close(d->client);
	d->client = -1;
}

static inline void
dns_on_client(void *arg, int fd, int what)
{
	struct dns_server *d = arg;
	struct dns_reply  *r;
	unsigned char	   q[2048], head[2];
	ssize_t		   n;

	(void)what;
	n = recv(fd, q, sizeof(q), 0); /* a question comes in one piece */
	if (n <= 2 || d->lies_tcp) {
		dns_close_client(d);
		return;
	}
	r = mem_alloc(sizeof(*r));
	r->is_tcp = true;
	if (dns_reply_to(d, q + 2, (size_t)n - 2, r)) {
		head[0] = (unsigned char)(r->n >> 8);
		head[1] = (unsigned char)r->n;
		must(send(fd, head, 2, MSG_NOSIGNAL) == 2);
		must(send(fd, r->p, r->n, MSG_NOSIGNAL) == (ssize_t)r->n);
	}
	mem_free(r);
}

static inline void
dns_on_tcp(void *arg, int fd, int what)
{
	struct dns_server *d = arg;

	(void)what;
	dns_close_client(d);
	d->client = accept(fd, NULL, NULL);
	if (d->client >= 0)
		d->client_watch = watch_open(d->loop, d->client, WATCH_READ,
		    dns_on_client, d);
}

/* ip: a loopback address; port 0: the kernel's choice. */
static inline void
dns_server_open_at(struct dns_server *d, struct loop *l, const char *ip,
    uint16_t port, const struct dns_record *records)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&d->addr;
	socklen_t	    len = sizeof(*in);
	int		    i, one = 1;

	memset(d, 0, sizeof(*d));
	d->loop = l;
	d->records = records;
	d->client = -1;
	/* the same port free for both: seldom not at the first try */
	for (i = 0; i < 50; i++) {
		memset(in, 0, sizeof(*in));
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		must(inet_pton(AF_INET, ip, &in->sin_addr) == 1);
		d->udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
		d->tcp = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		setsockopt(d->tcp, SOL_SOCKET, SO_REUSEADDR, &one,
		    sizeof(one));
		if (bind(d->udp, (struct sockaddr *)in, len) == 0 &&
		    getsockname(d->udp, (struct sockaddr *)in, &len) == 0 &&
		    bind(d->tcp, (struct sockaddr *)in, len) == 0 &&
		    listen(d->tcp, 16) == 0)
			break;
		close(d->udp);
		close(d->tcp);
		must(i < 49);
	}
	d->udp_watch = watch_open(l, d->udp, WATCH_READ, dns_on_udp, d);
	d->tcp_watch = watch_open(l, d->tcp, WATCH_READ, dns_on_tcp, d);
}

static inline void
dns_server_open(struct dns_server *d, struct loop *l,
    const struct dns_record *records)
{
	dns_server_open_at(d, l, "127.0.0.1", 0, records);
}

static inline void
dns_server_close(struct dns_server *d)
{
	dns_close_client(d);
	watch_close(d->udp_watch);
	watch_close(d->tcp_watch);
	close(d->udp);
	close(d->tcp);
}

#endif
