/* SPDX-License-Identifier: ISC */
/* The rows of mail that came back. */
#include "store/record.h"

#include <arpa/inet.h>
#include <string.h>

#include "net/spf_result.h"
#include "store/db.h"
#include "store/record_private.h"

enum { TEXTS = 6, STEP_KEY_SIZE = 1 + KEY_RECIPIENT_SIZE };

/* -- keys ------------------------------------------------------------------ */

struct bytes
record_key_step(struct record_key *k, enum intake_step step,
    const struct msgid *id, uint32_t n)
{
	k->p[0] = (char)step;
	memcpy(k->p + 1, id->b, KEY_ID_SIZE);
	db_put_be32(k->p + 1 + KEY_ID_SIZE, n);
	k->n = STEP_KEY_SIZE;
	return (struct bytes){ k->p, k->n };
}

bool
record_split_step(struct bytes key, enum intake_step *step, struct msgid *id,
    uint32_t *n)
{
	if (key.n != STEP_KEY_SIZE || key.p[0] < INTAKE_JUDGE ||
	    key.p[0] > INTAKE_FORWARD)
		return false;
	*step = (enum intake_step)key.p[0];
	memcpy(id->b, key.p + 1, KEY_ID_SIZE);
	*n = db_get_be32(key.p + 1 + KEY_ID_SIZE);
	return true;
}

/* -- the raw message ------------------------------------------------------- */

static void
intake_texts(struct intake_row *r, struct bytes *v[TEXTS])
{
	v[0] = &r->sid;
	v[1] = &r->client_ip;
	v[2] = &r->ehlo;
	v[3] = &r->listener;
	v[4] = &r->tls_version;
	v[5] = &r->sender;
}

bool
record_write_intake(const struct intake_row *r, struct buf *out)
{
	struct intake_row row = *r;
	struct bytes	 *texts[TEXTS];
	unsigned	  i;

	/* these two are written over when it was judged */
	pack_u64(out, r->kind);
	pack_u64(out, r->result);
	record_put_time(out, r->received);
	pack_u64(out, r->spf);
	pack_u64(out, r->content);
	pack_u64(out, r->head_octets);
	pack_u64(out, r->body_octets);
	intake_texts(&row, texts);
	for (i = 0; i < TEXTS; i++)
		pack_bytes(out, *texts[i]);
	pack_u64(out, r->recipient_count);
	for (i = 0; i < r->recipient_count; i++)
		pack_bytes(out, r->recipients[i]);
	return !out->failed;
}

bool
record_read_intake(struct bytes in, struct arena *a, struct intake_row *out)
{
	struct unpack r = unpack_of(in);
	struct bytes *texts[TEXTS];
	unsigned      i;

	out->kind = (enum intake_kind)record_get_small(&r, INTAKE_KINDS - 1);
	out->result = (enum intake_result)record_get_small(&r, INTAKE_WAITS);
	out->received = record_get_time(&r);
	out->spf = (uint8_t)record_get_small(&r, SPF_OUTCOME_PERMERROR + 1);
	out->content = unpack_u64(&r);
	out->head_octets = unpack_u64(&r);
	out->body_octets = unpack_u64(&r);
	intake_texts(out, texts);
	for (i = 0; i < TEXTS; i++)
		*texts[i] = unpack_bytes(&r);
	out->recipients = record_get_array(&r, a, sizeof(*out->recipients),
	    &out->recipient_count);
	for (i = 0; i < out->recipient_count; i++)
		out->recipients[i] = unpack_bytes(&r);
	return unpack_done(&r);
}

/* -- errands and marks ----------------------------------------------------- */

bool
record_write_errand(const struct intake_errand *x, struct buf *out)
{
	pack_u64(out, x->from);
	record_put_time(out, x->since);
	pack_bytes(out, x->account);
	pack_bytes(out, x->to);
	return !out->failed;
}

bool
record_read_errand(struct bytes in, struct intake_errand *out)
{
	struct unpack r = unpack_of(in);

	out->from = (enum intake_from)record_get_small(&r,
	    INTAKE_FROM_COMPLAINTS);
	out->since = record_get_time(&r);
	out->account = unpack_bytes(&r);
	out->to = unpack_bytes(&r);
	return unpack_done(&r);
}

bool
record_write_mark(const struct mark_row *r, struct buf *out)
{
	pack_u64(out, r->count);
	record_put_time(out, r->last);
	return !out->failed;
}

bool
record_read_mark(struct bytes in, struct mark_row *out)
{
	struct unpack r = unpack_of(in);

	out->count = record_get_small(&r, UINT32_MAX);
	out->last = record_get_time(&r);
	return unpack_done(&r);
}

/* -- departures ------------------------------------------------------------ */

/* Beside the numbers of intake_mark_recipient() and intake_mark_report(). */
static const uint32_t departure_bit = UINT32_C(1) << 30;

/* In the store: never reorder.  "" = in clear. */
static const char *const departure_tls[] = { "", "TLSv1.2", "TLSv1.3" };
enum { DEPARTURE_TLS = sizeof(departure_tls) / sizeof(departure_tls[0]) };

struct bytes
record_key_departure(struct record_key *k, const struct msgid *id, unsigned n)
{
	must(n <= MSGID_RECIPIENT_MAX);
	return record_key_numbered(k, id, n | departure_bit);
}

/* There is one for each recipient: no more octets than it needs. */
bool
record_write_departure(const struct departure *d, struct buf *out)
{
	unsigned char a[sizeof(struct in6_addr)];
	bool	      is_v4 = inet_pton(AF_INET, d->ip, a) == 1;
	unsigned      tls = 0;

	if (!is_v4 && inet_pton(AF_INET6, d->ip, a) != 1)
		return false;
	while (tls < DEPARTURE_TLS && strcmp(departure_tls[tls], d->tls) != 0)
		tls++;
	pack_u64(out, tls < DEPARTURE_TLS ? tls : 0);
	buf_add(out, a, is_v4 ? sizeof(struct in_addr) : sizeof(a));
	return !out->failed;
}

bool
record_read_departure(struct bytes in, struct departure *out)
{
	struct unpack r = unpack_of(in);
	unsigned      tls = record_get_small(&r, DEPARTURE_TLS - 1);
	bool	      is_v4 = r.rest.n == sizeof(struct in_addr);

	if (r.failed || (!is_v4 && r.rest.n != sizeof(struct in6_addr)))
		return false;
	strcpy(out->tls, departure_tls[tls]);
	return inet_ntop(is_v4 ? AF_INET : AF_INET6, r.rest.p, out->ip,
	    sizeof(out->ip)) != NULL;
}
