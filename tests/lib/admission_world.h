/* SPDX-License-Identifier: ISC */
/*
 * admission_world.h - questions to admission, against a real book.
 * Use:    populate(t), then expect(t, Q(sender, recipients, header section),
 *         NULL or the reply), or ask_begin() and ask_end() for a closer look;
 *         conf_unref(conf) at the end.
 * Owner:  the test; one book, one body (book_world.h).
 * Thread: one.
 * Fails:  by the test's assertions.
 */
#ifndef TESTS_ADMISSION_WORLD_H
#define TESTS_ADMISSION_WORLD_H

#include "book_world.h"

#include "registry/permission.h"
#include "submission/admission.h"

static struct conf *conf;
static struct account account;
static struct credential credential;

struct question {
	const char *sender; /* "" = null */
	const char *rcpts;  /* separated by blanks */
	const char *head;
	bool	    as_root;
};

/* -- the world ------------------------------------------------------------ */

static inline void
add_identity(struct db_txn *t, const char *owner, const char *name,
    enum identity_status status)
{
	struct identity i;
	struct err	e;

	identity_init(&i, owner, name, (struct wall){ world_time });
	i.method = METHOD_OVERRIDE;
	i.link.status = status;
	i.link.deadline.ms = world_time + 1000;
	if (identity_put(t, &i, &e) < 0)
		fail_msg("%s", e.text);
}

static inline void
add_account(struct db_txn *t, const char *id, bool production)
{
	struct account a;
	struct err     e;

	memset(&a, 0, sizeof(a));
	strcpy(a.id, id);
	snprintf(a.name, sizeof(a.name), "name-%s", id);
	a.production = production;
	a.sending_enabled = true;
	a.max_24h = 200;
	a.rate = 1;
	if (account_create(t, &a, &e) < 0)
		fail_msg("%s", e.text);
	if (strcmp(id, world_account) == 0)
		account = a;
}

/* Production; example.com and two addresses verified, another account. */
static inline void
populate(struct db_txn *t)
{
	add_account(t, world_account, true);
	add_account(t, world_other, true);
	add_identity(t, world_account, "example.com", IDENTITY_SUCCESS);
	add_identity(t, world_account, "sender@example.net", IDENTITY_SUCCESS);
	add_identity(t, world_account, "grace.example",
	    IDENTITY_TEMPORARY_FAILURE);
	add_identity(t, world_account, "failed.example", IDENTITY_FAILED);
	add_identity(t, world_account, "mary@example.com", IDENTITY_PENDING);
	add_identity(t, world_account, "user@a.b.example.com",
	    IDENTITY_SUCCESS);
	add_identity(t, world_account, "b.example.com", IDENTITY_SUCCESS);
	add_identity(t, world_other, "foreign.example", IDENTITY_SUCCESS);
	credential_init(&credential);
	strcpy(credential.account, world_account);
	strcpy(credential.name, "app1");
	conf = conf_defaults();
	conf->simulator.domain = "simulator.relay.example";
	conf->mail_from.default_domain = "bounces.relay.example";
}

/* -- asking --------------------------------------------------------------- */

struct asked {
	struct admission a;
	struct message	*message;
	struct arena	*arena;
	struct permissions *permissions;
	struct header	 header;
	struct admission_question q;
};

static inline void
ask_begin(struct asked *k, struct db_txn *t, const struct question *q)
{
	struct header_rules rules = { .section_max = 1 << 20 };
	char		    text[4096], *word, *rest = text;
	struct envelope	   *env;
	struct err	    e;

	memset(k, 0, sizeof(*k));
	k->arena = arena_new(8 << 20);
	k->message = message_new(1 << 20);
	k->message->client_ip = BYTES("192.0.2.10");
	k->message->tls_version = BYTES("TLSv1.3");
	assert_true(message_set(k->message, &k->message->sender,
	    bytes_of(q->sender)));
	snprintf(text, sizeof(text), "%s",
	    q->rcpts != NULL ? q->rcpts : "r@sink.example");
	while ((word = strtok_r(rest, " ", &rest)) != NULL) {
		env = message_add_envelope(k->message, bytes_of(word));
		assert_non_null(env);
		env->simulator = conf_is_simulator(conf, env->domain);
	}
	assert_int_equal(header_parse(bytes_of(q->head), &rules, k->arena,
	    &k->header), HEADER_OK);
	k->permissions = permissions_new();
	k->q = (struct admission_question){ .txn = t, .conf = conf,
		.message = k->message, .header = &k->header,
		.account = &account,
		.credential = q->as_root ? NULL : &credential,
		.now = { world_time }, .arena = k->arena,
		.permissions = k->permissions, .version = 1 };
	if (admission_ask(&k->q, &k->a, &e) < 0)
		fail_msg("%s", e.text);
}

static inline void
ask_end(struct asked *k)
{
	message_free(k->message);
	arena_free(k->arena);
	permissions_free(k->permissions);
}

/* text NULL = admitted */
static inline void
expect(struct db_txn *t, struct question q, const char *text)
{
	struct asked k;

	ask_begin(&k, t, &q);
	if (text == NULL && k.a.reply.code != 0)
		fail_msg("%s: %s", q.head, k.a.reply.text);
	if (text != NULL) {
		assert_int_equal(k.a.reply.code, 554);
		assert_string_equal(k.a.reply.text, text);
	}
	ask_end(&k);
}

#define NOT_VERIFIED \
	"Message rejected: Email address is not verified. The following " \
	"identities failed the check in region US-EAST-1: "
#define DENIED \
	"Access denied: User arn:aws:iam::123456789012:user/app1 is not " \
	"authorized to perform ses:SendRawEmail on resource " \
	"arn:aws:ses:us-east-1:123456789012:identity/"
#define Q(s, r, h) ((struct question){ .sender = (s), .rcpts = (r), \
	.head = (h) })

#define WORLD(f) \
	static void test_##f(void **state) \
	{ \
		(void)state; \
		world_test(f); \
	}

#endif
