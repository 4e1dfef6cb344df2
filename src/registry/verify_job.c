/* SPDX-License-Identifier: ISC */
#include "registry/verify_job.h"

#include <string.h>

/*
 * A message: 'J' or 'R', the version, then numbers (big endian) and texts (a
 * length of two octets before each), in the order of the functions below,
 * which write and read with the same list of fields.
 */
enum { VERIFY_VERSION = 1, VERIFY_HEAD = 2 };

struct field_writer {
	struct buf *out;
	bool	    good;
};
struct field_reader {
	struct bytes rest;
	bool	     good;
};

const char *
verify_kind_to_text(enum verify_kind k)
{
	switch (k) {
	case VERIFY_DKIM:
		return "dkim";
	case VERIFY_TOKEN:
		return "token";
	case VERIFY_MX:
		return "mx";
	case VERIFY_SPF:
		return "spf";
	case VERIFY_DMARC:
		return "dmarc";
	case VERIFY_HOST:
		return "host";
	case VERIFY_REPLY:
		return "reply";
	}
	return "unknown";
}

enum dkim_outcome
verify_outcome_of_record(enum dkim_record_outcome o)
{
	switch (o) {
	case DKIM_RECORD_MATCH:
		return DKIM_MATCH;
	case DKIM_RECORD_ABSENT:
		return DKIM_ABSENT;
	case DKIM_RECORD_MISMATCH:
		return DKIM_MISMATCH;
	case DKIM_RECORD_REVOKED:
		return DKIM_REVOKED;
	case DKIM_RECORD_MULTIPLE:
		return DKIM_MULTIPLE;
	case DKIM_RECORD_MALFORMED:
		break;
	}
	return DKIM_MALFORMED;
}

/* -- fields --------------------------------------------------------------- */

static void
write_head(struct field_writer *w, struct buf *out, char letter)
{
	char head[VERIFY_HEAD] = { letter, VERIFY_VERSION };

	w->out = out;
	w->good = buf_add(out, head, sizeof(head));
}

static void
write_number(struct field_writer *w, uint64_t v, size_t octets)
{
	char   raw[8];
	size_t i;

	for (i = 0; i < octets; i++)
		raw[i] = (char)(v >> 8 * (octets - 1 - i));
	w->good = w->good && buf_add(w->out, raw, octets);
}

static void
write_text(struct field_writer *w, const char *text, size_t size)
{
	size_t n = strnlen(text, size);

	w->good = w->good && n < size;
	write_number(w, n, 2);
	w->good = w->good && buf_add(w->out, text, n);
}

static void
read_head(struct field_reader *r, struct bytes message, char letter)
{
	r->good = message.n >= VERIFY_HEAD &&
	    message.n <= VERIFY_MESSAGE_MAX && message.p[0] == letter &&
	    message.p[1] == VERIFY_VERSION;
	r->rest = bytes_from(message, VERIFY_HEAD);
}

static uint64_t
read_number(struct field_reader *r, size_t octets, uint64_t max)
{
	uint64_t v = 0;
	size_t	 i;

	if (!r->good || r->rest.n < octets) {
		r->good = false;
		return 0;
	}
	for (i = 0; i < octets; i++)
		v = v << 8 | (unsigned char)r->rest.p[i];
	r->rest = bytes_from(r->rest, octets);
	if (v > max)
		r->good = false;
	return v;
}

/* Printable octets only: these texts reach logs and notices. */
static void
read_text(struct field_reader *r, char *out, size_t size)
{
	size_t n = (size_t)read_number(r, 2, size - 1), i;

	out[0] = '\0';
	if (!r->good || r->rest.n < n) {
		r->good = false;
		return;
	}
	for (i = 0; i < n; i++)
		if (r->rest.p[i] < 0x20 || r->rest.p[i] > 0x7e)
			r->good = false;
	bytes_text(bytes_head(r->rest, n), out, size);
	r->rest = bytes_from(r->rest, n);
}

/* -- messages ------------------------------------------------------------- */

bool
verify_job_encode(const struct verify_job *j, struct buf *out)
{
	struct field_writer w;

	write_head(&w, out, 'J');
	write_number(&w, j->ticket, 8);
	write_number(&w, (uint64_t)j->kind, 1);
	write_number(&w, j->authoritative, 1);
	write_number(&w, (uint64_t)j->key_kind, 1);
	write_text(&w, j->domain, sizeof(j->domain));
	write_text(&w, j->selector, sizeof(j->selector));
	write_text(&w, j->public_key, sizeof(j->public_key));
	write_text(&w, j->cname_target, sizeof(j->cname_target));
	write_text(&w, j->token, sizeof(j->token));
	write_text(&w, j->mx_host, sizeof(j->mx_host));
	write_text(&w, j->ip, sizeof(j->ip));
	write_text(&w, j->helo, sizeof(j->helo));
	write_text(&w, j->local, sizeof(j->local));
	write_number(&w, j->cached, 1);
	write_text(&w, j->include, sizeof(j->include));
	write_text(&w, j->organisation, sizeof(j->organisation));
	return w.good;
}

/* What the kind of check cannot do without. */
static bool
job_is_whole(const struct verify_job *j)
{
	if (j->kind == VERIFY_SPF)
		return j->ip[0] != '\0' && j->helo[0] != '\0';
	if (j->domain[0] == '\0')
		return false;
	switch (j->kind) {
	case VERIFY_DKIM:
		return j->selector[0] != '\0' && j->public_key[0] != '\0';
	case VERIFY_TOKEN:
		return j->token[0] != '\0';
	case VERIFY_MX:
		return j->mx_host[0] != '\0';
	case VERIFY_DMARC:
	case VERIFY_HOST:
	case VERIFY_REPLY:
		return true;
	case VERIFY_SPF:
		break;
	}
	return false;
}

bool
verify_job_decode(struct bytes message, struct verify_job *out)
{
	struct field_reader r;

	memset(out, 0, sizeof(*out));
	read_head(&r, message, 'J');
	out->ticket = read_number(&r, 8, UINT64_MAX);
	out->kind = (enum verify_kind)read_number(&r, 1, VERIFY_REPLY);
	out->authoritative = read_number(&r, 1, 1) != 0;
	out->key_kind = (enum dkim_key_kind)read_number(&r, 1,
	    DKIM_KEY_ED25519);
	read_text(&r, out->domain, sizeof(out->domain));
	read_text(&r, out->selector, sizeof(out->selector));
	read_text(&r, out->public_key, sizeof(out->public_key));
	read_text(&r, out->cname_target, sizeof(out->cname_target));
	read_text(&r, out->token, sizeof(out->token));
	read_text(&r, out->mx_host, sizeof(out->mx_host));
	read_text(&r, out->ip, sizeof(out->ip));
	read_text(&r, out->helo, sizeof(out->helo));
	read_text(&r, out->local, sizeof(out->local));
	out->cached = read_number(&r, 1, 1) != 0;
	read_text(&r, out->include, sizeof(out->include));
	read_text(&r, out->organisation, sizeof(out->organisation));
	return r.good && r.rest.n == 0 && job_is_whole(out);
}

static void
write_spf(struct field_writer *w, const struct verify_spf *s)
{
	write_number(w, (uint64_t)s->result, 1);
	write_number(w, s->lookups, 2);
	write_number(w, s->records, 2);
	write_number(w, s->names_us, 1);
	write_number(w, (unsigned char)s->record.all, 1);
	write_number(w, s->record.redirect, 1);
	write_number(w, s->record.ptr, 1);
	write_number(w, s->record.is_long, 1);
}

static void
read_spf(struct field_reader *r, struct verify_spf *s)
{
	s->result = (enum spf_result)read_number(r, 1, SPF_OUTCOME_PERMERROR);
	s->lookups = (unsigned)read_number(r, 2, UINT16_MAX);
	s->records = (unsigned)read_number(r, 2, UINT16_MAX);
	s->names_us = read_number(r, 1, 1) != 0;
	s->record.all = (char)read_number(r, 1, 127);
	s->record.redirect = read_number(r, 1, 1) != 0;
	s->record.ptr = read_number(r, 1, 1) != 0;
	s->record.is_long = read_number(r, 1, 1) != 0;
}

static void
write_dmarc(struct field_writer *w, const struct verify_dmarc *d)
{
	write_number(w, d->inherited, 1);
	write_number(w, (uint64_t)d->record.policy, 1);
	write_number(w, d->record.has_sub_policy, 1);
	write_number(w, (uint64_t)d->record.sub_policy, 1);
	write_number(w, d->record.strict_dkim, 1);
	write_number(w, d->record.strict_spf, 1);
	write_number(w, d->record.percent, 1);
}

static void
read_dmarc(struct field_reader *r, struct verify_dmarc *d)
{
	d->inherited = read_number(r, 1, 1) != 0;
	d->record.policy = (enum dmarc_policy)read_number(r, 1, DMARC_REJECT);
	d->record.has_sub_policy = read_number(r, 1, 1) != 0;
	d->record.sub_policy = (enum dmarc_policy)read_number(r, 1,
	    DMARC_REJECT);
	d->record.strict_dkim = read_number(r, 1, 1) != 0;
	d->record.strict_spf = read_number(r, 1, 1) != 0;
	d->record.percent = (unsigned)read_number(r, 1, 100);
}

void
verify_result_set_text(struct verify_result *r, struct bytes text)
{
	char *p;

	bytes_text(text, r->text, sizeof(r->text));
	for (p = r->text; *p != '\0'; p++)
		if (*p < 0x20 || *p > 0x7e)
			*p = '?';
}

bool
verify_result_encode(const struct verify_result *res, struct buf *out)
{
	struct field_writer w;

	write_head(&w, out, 'R');
	write_number(&w, res->ticket, 8);
	write_number(&w, (uint64_t)res->kind, 1);
	write_number(&w, (uint64_t)res->outcome, 1);
	write_number(&w, res->host_found, 1);
	write_number(&w, res->authoritative, 1);
	write_text(&w, res->hint, sizeof(res->hint));
	write_text(&w, res->warning, sizeof(res->warning));
	write_text(&w, res->text, sizeof(res->text));
	write_spf(&w, &res->spf);
	write_dmarc(&w, &res->dmarc);
	return w.good;
}

bool
verify_result_decode(struct bytes message, struct verify_result *out)
{
	struct field_reader r;

	memset(out, 0, sizeof(*out));
	read_head(&r, message, 'R');
	out->ticket = read_number(&r, 8, UINT64_MAX);
	out->kind = (enum verify_kind)read_number(&r, 1, VERIFY_REPLY);
	out->outcome = (enum dkim_outcome)read_number(&r, 1, DKIM_DNS_ERROR);
	out->host_found = read_number(&r, 1, 1) != 0;
	out->authoritative = read_number(&r, 1, 1) != 0;
	read_text(&r, out->hint, sizeof(out->hint));
	read_text(&r, out->warning, sizeof(out->warning));
	read_text(&r, out->text, sizeof(out->text));
	read_spf(&r, &out->spf);
	read_dmarc(&r, &out->dmarc);
	return r.good && r.rest.n == 0 && out->kind >= VERIFY_DKIM &&
	    out->outcome != DKIM_UNCHECKED;
}
