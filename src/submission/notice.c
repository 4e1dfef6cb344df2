/* SPDX-License-Identifier: ISC */
/* The door for mail without session: what posthorn writes itself, and what
 * the operator hands in with posthornctl send. */
#include <stdio.h>
#include <string.h>

#include "mail/address.h"
#include "registry/identity.h"
#include "store/spool_intake.h"
#include "submission/admission.h"
#include "submission/desk_private.h"
#include "submission/posting.h"
#include "submission/receive.h"

enum { NOTICE_ROOM = 512 * 1024 /* arena, besides the header block */ };

static void notice_on_post(void *desk, void *notice);
static void notice_on_reply(void *arg, const struct reply *re,
    const struct msgid *id);
static void injection_on_post(void *desk, void *injection);
static void injection_on_reply(void *arg, const struct reply *re,
    const struct msgid *id);

/* The asker's place for the answer is reserved before the loan begins. */
static bool
notice_hand_in(struct desk *d, struct loop *asker, loop_fn *fn, void *load)
{
	if (!loop_reserve(asker))
		return false;
	if (loop_post(d->setup.loop, fn, d, load))
		return true;
	loop_unreserve(asker);
	return false;
}

/* Content that is there as a whole. */
static struct receive *
notice_receive(struct desk *d, struct message *m, struct bytes text,
    struct err *e)
{
	struct receive_setup rs = { .desk = d, .conf = d->rules->conf,
		.message = m, .kind = FRAMING_CHUNK,
		.size_max = d->rules->conf->message.max_size_bytes,
		.lenient = d->rules->conf->message.lenient_headers,
		.blocked = "" };
	struct receive *r = receive_new(&rs, e);

	if (r == NULL)
		return NULL;
	receive_feed(r, text);
	receive_end(r);
	return r;
}

static struct message *
notice_message(struct desk *d, const char *account)
{
	struct message *m = message_new(
	    d->rules->conf->message.max_header_size_bytes + NOTICE_ROOM);

	bytes_text(bytes_of(account), m->account, sizeof(m->account));
	return m;
}

/* false = no address, or no room */
static bool
notice_add_recipient(struct desk *d, struct message *m, const char *to)
{
	char		 text[ADDRESS_TEXT_MAX];
	struct bytes	 normal;
	struct envelope *env;

	if (!address_normal_text(bytes_of(to), ADDRESS_ALLOW_UNDERSCORE |
		ADDRESS_ALLOW_SINGLE_LABEL | ADDRESS_ALLOW_LITERAL, text,
		&normal))
		return false;
	if (message_find_envelope(m, normal) != NULL)
		return true;
	env = message_add_envelope(m, normal);
	if (env == NULL)
		return false;
	env->simulator = conf_is_simulator(d->rules->conf, env->domain);
	return true;
}

/* -- notices -------------------------------------------------------------- */

struct notice_search {
	struct db_txn	*t;
	struct bytes	 from;
	bool		 dual_sign;
	struct signing_choice *out;
	struct err	*e;
	int		 found; /* 1, 0, -1 = no answer */
};

static void
notice_try_account(struct notice_search *s, const char *account)
{
	const struct signing_question q = { s->t, account, s->from,
		s->dual_sign };

	if (identity_signing(&q, s->out, s->e) < 0)
		s->found = -1;
	else
		s->found = s->out->result == SIGNING_KEY;
}

static bool
notice_on_selector(void *arg, struct bytes key, struct bytes value)
{
	struct notice_search *s = arg;
	char		      account[ACCOUNT_ID_SIZE];

	(void)key;
	bytes_text(value, account, sizeof(account));
	notice_try_account(s, account);
	return s->found == 0;
}

/* The key of whichever account has proved that the domain is its own. */
static void
notice_try_domains(struct notice_search *s, struct bytes domain)
{
	char prefix[DOMAIN_TEXT_MAX];

	while (s->found == 0 && domain.n < sizeof(prefix)) {
		bytes_text(domain, prefix, sizeof(prefix));
		/* the NUL behind the name belongs to the key */
		if (book_walk(s->t, BOOK_SELECTOR,
			(struct bytes){ prefix, domain.n + 1 },
			notice_on_selector, s, s->e) < 0)
			s->found = -1;
		if (!domain_parent(domain, &domain))
			return;
	}
}

/*
 * A key for the From domain: of the notice's account, else of another one.
 * 1, 0 = none signs, -1 and *e.
 */
static int
notice_find_key(struct desk *d, const struct notice *n, struct bytes from,
    struct signing_choice *out, struct err *e)
{
	struct notice_search s = { .from = from, .out = out, .e = e,
		.dual_sign = d->rules->conf->dkim.dual_sign };
	struct address	     a;

	if (!address_split(from, &a))
		return 0;
	s.t = book_read(d->setup.book, e);
	if (s.t == NULL)
		return -1;
	if (n->account[0] != '\0')
		notice_try_account(&s, n->account);
	notice_try_domains(&s, a.domain);
	book_end(s.t);
	return s.found;
}

static struct bytes
notice_from(const struct receive *r, struct arena *a, char *text)
{
	struct field	   *f = header_find(receive_header(r), "From");
	struct mailbox_list list;

	if (f == NULL || mailbox_list_parse(f->value,
		ADDRESS_ALLOW_SINGLE_LABEL, a, &list) != MAILBOX_OK)
		return BYTES("");
	return address_normal(&list.v[0].address, text);
}

static void
notice_end(struct notice *n, enum receipt_result result)
{
	n->result = result;
	loop_post_reserved(n->asker, n->done, n, NULL);
}

/* A notice that cannot be a message at all is not tried again. */
static void
notice_refuse(struct notice *n, struct message *m, const char *why)
{
	log_error("notice-refused", "account=%s reason=\"%s\"", n->account,
	    why);
	message_free(m);
	notice_end(n, RECEIPT_REFUSED);
}

/* What would sign it cannot be read: it is handed in again, not sent so. */
static void
notice_delay(struct notice *n, struct message *m, struct receive *r,
    const struct err *e)
{
	log_error("notice-delayed", "account=%s reason=\"%s\"", n->account,
	    e->text);
	receive_free(r);
	message_free(m);
	notice_end(n, RECEIPT_DOWN);
}

static void
notice_post(struct desk *d, struct notice *n, struct message *m,
    struct receive *r)
{
	struct signing_choice *keys = mem_alloc(sizeof(*keys));
	char		     text[ADDRESS_TEXT_MAX];
	struct bytes	     from = notice_from(r, m->arena, text);
	struct address	     a;
	struct posting_setup p = { .desk = d, .rules = d->rules,
		.kind = POSTING_NOTICE, .receive = r, .message = m,
		.account = n->account, .credential = "", .key_id = "",
		.cursor = n->cursor, .cursor_to = n->cursor_to,
		.errand = n->errand, .on_reply = notice_on_reply, .arg = n };
	struct err e;
	int	   found = 0;

	if (address_split(from, &a))
		message_set(m, &m->from_domain, a.domain);
	/* who wrote what came back is anybody's guess */
	if (n->errand == NULL || n->errand->from != INTAKE_FROM_KEPT)
		found = notice_find_key(d, n, from, keys, &e);
	if (found < 0) {
		notice_delay(n, m, r, &e);
	} else {
		p.keys = found == 1 ? &keys->keys : NULL;
		posting_begin(posting_new(&p));
	}
	mem_free(keys);
}

static void
notice_on_post(void *desk, void *notice)
{
	struct desk    *d = desk;
	struct notice  *n = notice;
	struct message *m = notice_message(d, n->account);
	struct receive *r;
	struct err	e;

	m->class = MESSAGE_SYSTEM;
	if (!notice_add_recipient(d, m, n->to)) {
		notice_refuse(n, m, "no address to send to");
		return;
	}
	r = notice_receive(d, m, buf_bytes(&n->text), &e);
	if (r == NULL)
		notice_refuse(n, m, e.text);
	else
		notice_post(d, n, m, r);
}

static void
notice_on_reply(void *arg, const struct reply *re, const struct msgid *id)
{
	struct notice *n = arg;

	if (id != NULL) {
		n->id = *id;
		notice_end(n, RECEIPT_OK);
	} else if (re->code == 452) {
		notice_end(n, RECEIPT_FULL);
	} else if (re->code == 454) {
		notice_end(n, RECEIPT_BUSY);
	} else {
		notice_end(n, re->code < 500 ? RECEIPT_DOWN : RECEIPT_REFUSED);
	}
}

bool
desk_post_notice(struct desk *d, struct notice *n)
{
	return notice_hand_in(d, n->asker, notice_on_post, n);
}

/* -- posthornctl send ----------------------------------------------------- */

static void
injection_end(struct desk_injection *i, const struct reply *re)
{
	i->code = re->code;
	snprintf(i->reply, sizeof(i->reply), "%s", re->text);
	loop_post_reserved(i->asker, i->done, i, NULL);
}

/* Envelope, as MAIL and RCPT would have judged it. */
static bool
injection_address(struct desk *d, struct desk_injection *i, struct message *m,
    struct reply *re)
{
	const struct conf *c = d->rules->conf;
	char		   text[ADDRESS_TEXT_MAX], shown[SMTP_QUOTED_MAX];
	struct bytes	   normal;
	unsigned	   n;

	if (!address_normal_text(bytes_of(i->from), 0, text, &normal))
		return reply_refuse(re, 553, "5.1.7",
		    "%s Invalid email address",
		    smtp_quote_path(bytes_of(i->from), shown));
	if (!message_set(m, &m->sender, normal))
		return reply_refuse(re, 452, "4.3.1",
		    "Insufficient system storage");
	for (n = 0; n < i->to_count; n++)
		if (!notice_add_recipient(d, m, i->to[n]))
			return reply_refuse(re, 553, "5.1.3",
			    "%s address unknown",
			    smtp_quote_path(bytes_of(i->to[n]), shown));
	if (m->envelope_count == 0)
		return reply_refuse(re, 554, "5.5.1", "No valid recipients");
	if (m->envelope_count > c->smtp.max_recipients)
		return reply_refuse(re, 554, "5.5.3",
		    "Transaction failed: Recipient count exceeds %u.",
		    c->smtp.max_recipients);
	return true;
}

static bool
injection_describe(struct message *m)
{
	return message_set(m, &m->credential, BYTES("root")) &&
	    message_set(m, &m->client_ip, BYTES("127.0.0.1")) &&
	    message_set(m, &m->listener, BYTES("control"));
}

static void
injection_on_post(void *desk, void *injection)
{
	struct desk	      *d = desk;
	struct desk_injection *i = injection;
	struct message	      *m = notice_message(d, i->account);
	struct posting_setup   p = { .desk = d, .rules = d->rules,
		.kind = POSTING_ROOT, .message = m, .account = i->account,
		.page = ledger_page(d->setup.ledger, i->account),
		.credential = "root", .key_id = "", .with = "local",
		.is_local = true, .check_only = i->check_only,
		.on_reply = injection_on_reply, .arg = i };
	struct reply re;
	struct err   e;

	if (!injection_address(d, i, m, &re)) {
		message_free(m);
		injection_end(i, &re);
		return;
	}
	i->recipients = m->envelope_count;
	if (injection_describe(m))
		p.receive = notice_receive(d, m, buf_bytes(&i->text), &e);
	if (p.receive == NULL) {
		message_free(m);
		reply_set(&re, 451, "4.3.0", "Temporary service failure");
		injection_end(i, &re);
		return;
	}
	posting_begin(posting_new(&p));
}

static void
injection_on_reply(void *arg, const struct reply *re, const struct msgid *id)
{
	(void)id;
	injection_end(arg, re);
}

bool
desk_inject(struct desk *d, struct desk_injection *i)
{
	return notice_hand_in(d, i->asker, injection_on_post, i);
}
