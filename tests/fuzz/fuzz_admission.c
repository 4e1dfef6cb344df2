/* SPDX-License-Identifier: ISC */
/*
 * May this one send this: the first octet chooses who asks and by which
 * rules, then come a line with the sender, a line with the recipients, and a
 * header section.
 *
 * The books can be read, so there is a verdict.  A refusal is one clean line.
 * Who is let in has a From address; each address is covered, by a second
 * reading, by an identity that is verified, of its account, or of one that
 * an ARN in the message names and whose policy lets it; and with a credential
 * that is bound to a domain all are of this domain but the Return-Path.  Tags are such as may be,
 * each once, and one of the credential has no other value.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "book_rows.h"
#include "mail/address.h"
#include "registry/book.h"
#include "registry/permission.h"
#include "submission/admission.h"
#include "temp_folder.h"

#define FRIEND "888888888888"   /* lets us send as friend.example */
#define STRANGER "777777777777" /* does not */
#define SECRET "nobody-else-knows"

enum {
	WHO_ROOT, /* of the account */
	WHO_BOUND, /* to example.com, with a tag */
	WHO_FREE,
	WHO_COUNT,
	RCPTS_MAX = 50,
	TAGS_MAX = 200
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
	struct book	   *book;
	struct conf	   *conf;
	struct permissions *permissions;
	struct account	    account;
	struct credential   bound, freed;
} the_books;

/* -- the books -------------------------------------------------------------- */

static void
add_identity(struct db_txn *t, const char *owner, const char *name)
{
	static struct identity i;

	identity_init(&i, owner, name, rows_now);
	i.method = METHOD_OVERRIDE;
	i.link.status = IDENTITY_SUCCESS;
	i.link.since = i.link.last_success = rows_now;
	rows_good(identity_put(t, &i, &rows_err));
}

static void
add_account(struct db_txn *t, const char *id)
{
	struct account a = { .use_case = SECRET, .production = true,
		.sending_enabled = true, .created = rows_now,
		.updated = rows_now, .max_24h = 1, .rate = 1 };

	bytes_text(bytes_of(id), a.id, sizeof(a.id));
	snprintf(a.name, sizeof(a.name), "a-%s", id);
	rows_good(account_create(t, &a, &rows_err));
}

static void
add_friend_policy(struct db_txn *t)
{
	static struct identity_policy p = { .account = FRIEND,
		.identity = "friend.example", .name = "p",
		.text = "{\"Version\":\"2012-10-17\",\"Statement\":[{"
		"\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"" ROWS_ACCOUNT
		"\"},\"Action\":\"ses:SendRawEmail\",\"Resource\":\"arn:aws:ses:us-east-1:"
		FRIEND ":identity/friend.example\"}]}" };

	rows_good(identity_policy_put(t, &p, &rows_err));
}

static int
fill(struct book_job *job, struct db_txn *t)
{
	(void)job;
	rows_put(t);
	add_account(t, FRIEND);
	add_account(t, STRANGER);
	add_identity(t, ROWS_ACCOUNT, "example.com");
	add_identity(t, ROWS_ACCOUNT, "sender.example");
	add_identity(t, ROWS_ACCOUNT, "mary@person.example");
	add_identity(t, FRIEND, "friend.example");
	add_identity(t, STRANGER, "stranger.example");
	add_friend_policy(t);
	rows_good(account_get(t, ROWS_ACCOUNT, &the_books.account,
	    &rows_err));
	rows_good(credential_get(t, ROWS_ACCOUNT, "app1", &the_books.bound,
	    &rows_err));
	return 0;
}

static void
books_open(void)
{
	struct book_job job = { .run = fill };
	struct err	e;
	char		dir[TEMP_FOLDER_SIZE];

	temp_folder_make(dir, "fuzz");
	the_books.book = book_open(dir, 16 << 20, &e);
	temp_folder_remove(dir);
	must(the_books.book != NULL);
	rows_good(book_write_now(the_books.book, &job));
	the_books.permissions = permissions_new();
	credential_init(&the_books.freed);
	strcpy(the_books.freed.account, ROWS_ACCOUNT);
	strcpy(the_books.freed.name, "app2");
}

/* -- the question ----------------------------------------------------------- */

struct question {
	struct admission_question q;
	struct message *message;
	struct header	header;
	struct bytes	whole, section; /* what the client says */
	unsigned	who;
};

static struct bytes
take_line(struct bytes *rest)
{
	ptrdiff_t    end = bytes_find(*rest, 0, '\n');
	struct bytes line = bytes_head(*rest, end < 0 ? rest->n : (size_t)end);

	*rest = end < 0 ? BYTES("") : bytes_from(*rest, (size_t)end + 1);
	return line;
}

/* As RCPT does it. */
static bool
add_recipients(struct message *m, struct bytes line, unsigned flags)
{
	char	     text[ADDRESS_TEXT_MAX];
	struct bytes word, normal;
	ptrdiff_t    blank;

	while (line.n > 0 && m->envelope_count < RCPTS_MAX) {
		blank = bytes_find(line, 0, ' ');
		word = bytes_head(line, blank < 0 ? line.n : (size_t)blank);
		line = blank < 0 ? BYTES("") :
		    bytes_from(line, (size_t)blank + 1);
		if (!address_normal_text(word, flags, text, &normal) ||
		    message_add_envelope(m, normal) == NULL)
			return false;
	}
	return m->envelope_count > 0;
}

/* false: no session would come that far */
static bool
question_begin(struct question *x, unsigned flags, struct bytes in)
{
	struct header_rules rules = { .section_max = 65536 };
	struct arena	   *a = arena_new(4 << 20);
	struct message	   *m = message_new(1 << 20);
	struct conf	   *c = conf_defaults();
	struct bytes	    whole = in, sender = take_line(&in);
	struct bytes	    rcpts = take_line(&in);
	unsigned	    address_flags = conf_address_flags(c);
	char		    text[ADDRESS_TEXT_MAX];
	struct bytes	    normal = BYTES("");

	memset(x, 0, sizeof(*x));
	c->server.name = "relay.example";
	c->mail_from.default_domain = "bounces.relay.example";
	c->dkim.require_signature = (flags & 8) != 0;
	c->reputation.levels = (flags & 16) != 0;
	x->who = flags % 4 % WHO_COUNT;
	x->message = m;
	x->whole = whole;
	x->section = in;
	m->client_ip = BYTES("192.0.2.10");
	m->tls_version = BYTES("TLSv1.3");
	x->q = (struct admission_question){ .conf = c, .message = m,
		.header = &x->header, .account = &the_books.account,
		.credential = x->who == WHO_ROOT ? NULL :
		    x->who == WHO_BOUND ? &the_books.bound :
		    &the_books.freed,
		.is_local = (flags & 4) != 0, .now = rows_now, .arena = a,
		.permissions = the_books.permissions };
	return (sender.n == 0 ||
		   address_normal_text(sender, address_flags, text,
		       &normal)) &&
	    message_set(m, &m->sender, normal) &&
	    add_recipients(m, rcpts, address_flags) &&
	    header_parse(in, &rules, a, &x->header) == HEADER_OK;
}

static void
question_end(struct question *x)
{
	message_free(x->message);
	arena_free(x->q.arena);
	conf_unref((struct conf *)(uintptr_t)x->q.conf);
}

/* -- the verdict ------------------------------------------------------------ */

static void
must_be_clean(const struct question *x, const struct reply *re)
{
	const char *p;

	must(re->code >= 400 && re->code < 600);
	must(strlen(re->text) > 0 && strlen(re->text) <= REPLY_TEXT_MAX);
	for (p = re->text; *p != '\0'; p++)
		must(*p >= 0x20 && *p < 0x7f);
	if (bytes_find_nocase(x->whole, BYTES("nobody")) < 0)
		must(strstr(re->text, SECRET) == NULL);
}

/* base+label@domain is base@domain's, too */
static bool
covers(struct bytes identity, struct bytes address)
{
	ptrdiff_t    at = bytes_find(address, 0, '@'), plus;
	struct bytes domain;

	must(at > 0);
	while (bytes_find(address, (size_t)at + 1, '@') >= 0)
		at = bytes_find(address, (size_t)at + 1, '@');
	domain = bytes_from(address, (size_t)at + 1);
	if (bytes_find(identity, 0, '@') < 0)
		return bytes_eq(domain, identity) || (domain.n > identity.n &&
		    bytes_eq(bytes_from(domain, domain.n - identity.n),
			identity) &&
		    domain.p[domain.n - identity.n - 1] == '.');
	if (bytes_eq(address, identity))
		return true;
	plus = bytes_find(address, 0, '+');
	return plus > 0 && plus < at &&
	    bytes_starts(identity, bytes_head(address, (size_t)plus)) &&
	    bytes_eq(bytes_from(identity, (size_t)plus),
		bytes_from(address, (size_t)at));
}

static void
must_be_permitted(const struct question *x, const struct admission_role *role)
{
	must(role->address.n > 0 && role->identity.n > 0);
	must(covers(role->identity, role->address));
	must(strcmp(role->owner, ROWS_ACCOUNT) == 0 ||
	    (strcmp(role->owner, FRIEND) == 0 && bytes_eq_text(role->identity,
		"friend.example") && bytes_find_nocase(x->section,
		BYTES(FRIEND)) >= 0));
	if (x->who == WHO_BOUND && role->part != PART_RETURN_PATH)
		must(role->address.n > 12 && bytes_eq_nocase(bytes_from(
		    role->address, role->address.n - 12),
		    BYTES("@example.com")));
}

static bool
tag_eq(const struct message_tag *a, const struct message_tag *b)
{
	return bytes_eq(a->name, b->name) && bytes_eq(a->value, b->value);
}

static void
must_be_tags(const struct question *x)
{
	const struct message *m = x->message;
	unsigned	      i, j;

	must(m->tag_count <= TAGS_MAX);
	for (i = 0; i < m->tag_count; i++) {
		must(message_tag_is_valid(m->tags[i].name));
		must(message_tag_is_valid(m->tags[i].value));
		if (x->who == WHO_BOUND &&
		    bytes_eq_text(m->tags[i].name, "team"))
			must(bytes_eq_text(m->tags[i].value, "a"));
		for (j = 0; j < i; j++)
			must(!tag_eq(&m->tags[i], &m->tags[j]));
	}
	must(x->who != WHO_BOUND || m->tag_count > 0);
}

static void
must_be_let_in(struct question *x, const struct admission *a)
{
	struct quota_domain domain;
	unsigned	    dropped;
	struct err	    e;
	size_t		    i, from = 0;

	for (i = 0; i < a->role_count; i++) {
		must_be_permitted(x, &a->roles[i]);
		from += a->roles[i].part == PART_FROM;
	}
	must(from > 0 && a->from.n > 0);
	if (!admission_apply(&x->q, a, x->message) ||
	    !admission_read_tags(&x->q, x->message, &dropped))
		return; /* over the budget */
	must_be_tags(x);
	must(bytes_eq_text(x->message->identity, a->identity.name));
	must(!a->has_set || bytes_eq_text(x->message->config_set, "s"));
	must(admission_level(&x->q, a, &domain, &e) == 0);
}

static void
run(unsigned flags, struct bytes in)
{
	static struct admission a;
	struct question		x;
	struct err		e;

	if (question_begin(&x, flags, in)) {
		x.q.version = book_version(the_books.book);
		x.q.txn = book_read(the_books.book, &e);
		must(x.q.txn != NULL);
		if (admission_ask(&x.q, &a, &e) != 0)
			must(strstr(e.text, "more memory") != NULL);
		else if (a.reply.code != 0)
			must_be_clean(&x, &a.reply);
		else
			must_be_let_in(&x, &a);
		book_end(x.q.txn);
	}
	question_end(&x);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > 65536)
		return 0;
	if (the_books.book == NULL)
		books_open();
	run(data[0], (struct bytes){ (const char *)data + 1, size - 1 });
	return 0;
}
