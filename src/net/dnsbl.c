/* SPDX-License-Identifier: ISC */
#include "net/dnsbl.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

const char *
dnsbl_verdict_to_text(enum dnsbl_verdict v)
{
	static const char *const names[] = { "CLEAN", "LISTED", "REFUSED",
		"UNANSWERED" };

	return names[v];
}

bool
dnsbl_name(const char *address, const char *zone, char out[DNSBL_NAME_SIZE])
{
	struct dns_address a;
	char		   reverse[80];
	int		   n;

	if (!dns_address_parse(bytes_of(address), &a))
		return false;
	dns_reverse_name(&a, reverse);
	/* up to the dot before "in-addr.arpa", "ip6.arpa" */
	n = (int)(strlen(reverse) - strlen(a.family == AF_INET
		? "in-addr.arpa" : "ip6.arpa"));
	n = snprintf(out, DNSBL_NAME_SIZE, "%.*s%s", n, reverse, zone);
	return n > 0 && n < DNSBL_NAME_SIZE;
}

enum dnsbl_verdict
dnsbl_judge(const struct dns_answer *a, char text[DNSBL_TEXT_SIZE])
{
	uint32_t ip;

	text[0] = '\0';
	if (a == NULL || a->status >= DNS_SERVFAIL) {
		snprintf(text, DNSBL_TEXT_SIZE, "%s", a == NULL
			? "not asked" : dns_status_to_text(a->status));
		return DNSBL_UNANSWERED;
	}
	if (a->count == 0)
		return DNSBL_CLEAN;
	(void)dns_address_text(&a->addresses[0], text);
	/* A questions have A answers; a server may say anything */
	if (a->addresses[0].family != AF_INET)
		return DNSBL_UNANSWERED;
	ip = ntohl(a->addresses[0].ip.v4.s_addr);
	if (ip >> 24 != 127)
		return DNSBL_UNANSWERED;
	return ip >> 8 == 0x7fffff ? DNSBL_REFUSED : DNSBL_LISTED;
}
