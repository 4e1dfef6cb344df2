/* SPDX-License-Identifier: ISC */
/* The final header block: what smtp-interface 9.4 removes, replaces, adds. */
#include <stdio.h>
#include <string.h>

#include "base/ascii.h"
#include "submission/desk_private.h"
#include "submission/receive_private.h"

enum { TRACE_MAX = 1024 };

struct closing {
	struct header	*h;
	const struct message *m;
	bool		 rewrite_date, rewrite_id;
	enum conf_received received;
	char		 id[MSGID_TEXT + 1];
	char		 date[CLOCK_TEXT_MAX];
};

/* -- which rule holds: credential before account before installation ------ */

static enum conf_received
closing_received(enum received_rule of_credential,
    enum received_rule of_account, enum conf_received of_conf)
{
	enum received_rule rule = of_credential != RECEIVED_DEFAULT ?
	    of_credential : of_account;

	switch (rule) {
	case RECEIVED_ANONYMOUS:
		return CONF_RECEIVED_ANONYMOUS;
	case RECEIVED_FULL:
		return CONF_RECEIVED_FULL;
	case RECEIVED_NONE:
		return CONF_RECEIVED_NONE;
	case RECEIVED_DEFAULT:
		break;
	}
	return of_conf;
}

static void
closing_init(struct closing *k, struct receive *r,
    const struct receive_close *c)
{
	static const struct account_overrides none;
	const struct account_overrides *cred = c->of_credential, *acct;

	acct = c->of_account != NULL ? c->of_account : &none;
	if (cred == NULL)
		cred = &none;
	k->h = &r->header;
	k->m = r->setup.message;
	k->rewrite_date = !c->as_it_is && account_rewrites(cred->date,
	    acct->date, c->conf->message.date);
	k->rewrite_id = !c->as_it_is && account_rewrites(cred->message_id,
	    acct->message_id, c->conf->message.message_id);
	k->received = c->with == NULL ? CONF_RECEIVED_NONE :
	    closing_received(cred->received, acct->received,
		c->conf->message.received);
	msgid_to_text(&k->m->id, c->conf->server.id_prefix, 0, k->id);
	wall_rfc5322(k->m->accepted, k->date);
}

/* -- fields --------------------------------------------------------------- */

/*
 * A field that a client's signature names stays as it is, and absent when it
 * is absent: adding it would break the signature as well.
 */
static bool
closing_put(struct closing *k, const char *name, struct bytes value,
    bool rewrite)
{
	struct field *f = header_find(k->h, name);

	if (header_is_signed(k->h, name))
		return true;
	if (f == NULL)
		return header_append(k->h, name, value);
	return !rewrite || header_replace(k->h, f, name, value);
}

static bool
closing_put_message_id(struct closing *k, const struct conf *c,
    struct message *m)
{
	char text[MSGID_TEXT + 300];
	int  n;

	n = snprintf(text, sizeof(text), "<%s@%s>", k->id,
	    c->message.id_domain);
	must(n > 0 && (size_t)n < sizeof(text));
	m->keeps_id = header_find(k->h, "Message-ID") != NULL &&
	    (!k->rewrite_id || header_is_signed(k->h, "Message-ID"));
	return closing_put(k, "Message-ID", (struct bytes){ text, (size_t)n },
	    k->rewrite_id);
}

static bool
closing_put_from(struct closing *k)
{
	char text[ADDRESS_TEXT_MAX + 2];
	int  n;

	if (header_find(k->h, "From") != NULL)
		return true;
	n = snprintf(text, sizeof(text), "<%.*s>", (int)k->m->sender.n,
	    k->m->sender.p);
	must(n > 2 && (size_t)n < sizeof(text));
	return header_append(k->h, "From", (struct bytes){ text, (size_t)n });
}

void
receive_clean_ehlo(struct bytes ehlo, char out[RECEIVE_EHLO_SIZE])
{
	static const char more[] = ".:_-[]";
	size_t		  i;
	char		  c;

	for (i = 0; i < ehlo.n && i < RECEIVE_EHLO_SIZE - 1; i++) {
		c = ehlo.p[i];
		if (ascii_is_alnum(c) ||
		    (c != '\0' && strchr(more, c) != NULL))
			out[i] = c;
		else
			out[i] = '?';
	}
	out[i] = '\0';
}

static bool
closing_put_received(struct closing *k, const struct conf *c, const char *with)
{
	char   text[TRACE_MAX], ehlo[RECEIVE_EHLO_SIZE];
	size_t n = 0;

	if (k->received == CONF_RECEIVED_NONE)
		return true;
	if (k->received == CONF_RECEIVED_FULL) {
		receive_clean_ehlo(k->m->ehlo, ehlo);
		n = (size_t)snprintf(text, sizeof(text),
		    "from %s ([%s%.*s])\r\n ", ehlo,
		    bytes_find(k->m->client_ip, 0, ':') >= 0 ? "IPv6:" : "",
		    (int)k->m->client_ip.n, k->m->client_ip.p);
	}
	n += (size_t)snprintf(text + n, sizeof(text) - n,
	    "by %s with %s\r\n id %s;\r\n %s", c->server.name, with, k->id,
	    k->date);
	must(n < sizeof(text));
	return header_put_on_top(k->h, "Received", (struct bytes){ text, n });
}

bool
receive_close(struct receive *r, const struct receive_close *c,
    struct buf *head)
{
	struct closing k;

	closing_init(&k, r, c);
	r->setup.message->client_signed =
	    header_find(&r->header, "DKIM-Signature") != NULL;
	header_remove(&r->header, "Return-Path");
	header_remove(&r->header, "Bounces-To");
	header_remove(&r->header, "Bcc");
	header_remove(&r->header, "Resent-Bcc");
	header_remove_prefix(&r->header, "X-SES-");
	return closing_put(&k, "Date", bytes_of(k.date), k.rewrite_date) &&
	    closing_put_message_id(&k, c->conf, r->setup.message) && closing_put_from(&k) &&
	    (c->feedback_id.n == 0 ||
		closing_put(&k, "Feedback-ID", c->feedback_id, false)) &&
	    closing_put_received(&k, c->conf, c->with) &&
	    header_write(&r->header, head);
}
