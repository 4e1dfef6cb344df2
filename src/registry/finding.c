/* SPDX-License-Identifier: ISC */
#include "registry/finding.h"

#include <stdio.h>
#include <string.h>

#include "store/pack.h"

enum { FINDING_RECORD = 1, KEY_SIZE = ACCOUNT_ID_SIZE - 1 + 16 };
static const int64_t day_ms = 24 * 60 * 60 * 1000;

static const struct {
	const char	   *name;
	enum finding_action action;
	const char	   *remedy;
} types[FINDING_TYPES] = {
	[FINDING_BOUNCE_RATE] = { "bounce-rate", FINDING_REVIEW,
	    "remove addresses that bounce at once; confirm new ones" },
	[FINDING_COMPLAINT_RATE] = { "complaint-rate", FINDING_REVIEW,
	    "mail only who has asked for it; make it easy to unsubscribe" },
	[FINDING_ANTI_SPAM] = { "anti-spam-organization", FINDING_REVIEW,
	    "use no bought or rented lists; confirm new addresses" },
	[FINDING_LISTBOMBING] = { "listbombing", FINDING_NOTE,
	    "confirmed opt-in; CAPTCHA and a rate limit on forms" },
	[FINDING_DIRECT_FEEDBACK] = { "direct-feedback", FINDING_NOTE,
	    "look for the cause: more people than those who write mind it" },
	[FINDING_DOMAIN_BLOCKLIST] = { "domain-blocklist", FINDING_NOTE,
	    "check links and sender against the Spamhaus DBL" },
	[FINDING_INTERNAL_REVIEW] = { "internal-review", FINDING_REVIEW,
	    "consistent branding; say who sends and why" },
	[FINDING_MAILBOX_PROVIDER] = { "mailbox-provider", FINDING_REVIEW,
	    "permission pass; drop who has not opened for 90 days" },
	[FINDING_RECIPIENT_FEEDBACK] = { "recipient-feedback",
	    FINDING_REVIEW, "permission pass; easy unsubscribe" },
	[FINDING_RELATED_ACCOUNT] = { "related-account", FINDING_REVIEW,
	    "solve the problem of the other account" },
	[FINDING_SPAM_TRAP] = { "spam-trap", FINDING_REVIEW,
	    "remove hard bounces early; drop who has not opened for 90 days" },
	[FINDING_VULNERABLE_SITE] = { "vulnerable-site", FINDING_REVIEW,
	    "CAPTCHA, rate limit, login and no free text on forms" },
	[FINDING_COMPROMISED] = { "compromised-credentials", FINDING_NOTE,
	    "rotate leaked secrets; remove unknown users" },
	[FINDING_PATTERN] = { "sending-pattern", FINDING_NOTE,
	    "raise the volume slowly" },
	[FINDING_AUTHENTICATION] = { "authentication", FINDING_NOTE,
	    "identity check NAME shows what SPF, DKIM and DMARC lack" },
	[FINDING_IP_BLOCKED] = { "ip-blocked", FINDING_NOTE,
	    "remove the cause, then ask the list" },
	[FINDING_OTHER] = { "other", FINDING_NOTE, "" },
};

/* -- names ----------------------------------------------------------------- */

const char *
finding_type_to_text(enum finding_type t)
{
	return types[t].name;
}

bool
finding_type_from_text(struct bytes s, enum finding_type *out)
{
	unsigned i;

	for (i = 0; i < FINDING_TYPES; i++)
		if (bytes_eq_nocase(s, bytes_of(types[i].name))) {
			*out = (enum finding_type)i;
			return true;
		}
	return false;
}

enum finding_action
finding_default_action(enum finding_type t)
{
	return types[t].action;
}

const char *
finding_remedy(enum finding_type t)
{
	return types[t].remedy;
}

const char *
finding_action_to_text(enum finding_action a)
{
	static const char *const names[] = { "note", "review", "pause" };

	return names[a];
}

const char *
finding_source_to_text(enum finding_source s)
{
	static const char *const names[] = { "operator", "import", "dnsbl",
		"detector", "threshold" };

	return names[s];
}

const char *
finding_state_to_text(enum finding_state s)
{
	static const char *const names[] = { "OPEN", "CLOSED", "COUNTING" };

	return names[s];
}

/* -- the record ------------------------------------------------------------ */

bool
finding_write_record(const struct finding *f, struct buf *out)
{
	pack_u64(out, FINDING_RECORD);
	pack_text(out, f->account);
	pack_text(out, f->id);
	pack_u64(out, (uint64_t)f->type);
	pack_u64(out, (uint64_t)f->action);
	pack_u64(out, (uint64_t)f->source);
	pack_u64(out, (uint64_t)f->state);
	pack_text(out, f->scope);
	pack_text(out, f->note);
	pack_text(out, f->private_note);
	pack_i64(out, f->opened.ms);
	pack_i64(out, f->closed.ms);
	pack_text(out, f->close_reason);
	pack_u64(out, f->count);
	return !out->failed;
}

static unsigned
unpack_below(struct unpack *u, unsigned end)
{
	uint64_t n = unpack_u64(u);

	u->failed |= n >= end;
	return u->failed ? 0 : (unsigned)n;
}

bool
finding_read_record(struct bytes in, struct finding *out)
{
	struct unpack u = unpack_of(in);

	memset(out, 0, sizeof(*out));
	u.failed |= unpack_u64(&u) != FINDING_RECORD;
	unpack_text(&u, out->account, sizeof(out->account));
	unpack_text(&u, out->id, sizeof(out->id));
	out->type = (enum finding_type)unpack_below(&u, FINDING_TYPES);
	out->action = (enum finding_action)unpack_below(&u,
	    FINDING_PAUSE + 1);
	out->source = (enum finding_source)unpack_below(&u,
	    FINDING_BY_THRESHOLD + 1);
	out->state = (enum finding_state)unpack_below(&u,
	    FINDING_COUNTING + 1);
	unpack_text(&u, out->scope, sizeof(out->scope));
	unpack_text(&u, out->note, sizeof(out->note));
	unpack_text(&u, out->private_note, sizeof(out->private_note));
	out->opened = unpack_wall(&u);
	out->closed = unpack_wall(&u);
	unpack_text(&u, out->close_reason, sizeof(out->close_reason));
	out->count = (unsigned)unpack_u64(&u);
	return unpack_done(&u);
}

/* -- the register ---------------------------------------------------------- */

/* account, id; those of the installation come first */
static struct bytes
finding_key(const char *account, const char *id, char out[KEY_SIZE])
{
	memset(out, '0', KEY_SIZE);
	if (account[0] != '\0')
		memcpy(out, account, ACCOUNT_ID_SIZE - 1);
	memcpy(out + ACCOUNT_ID_SIZE - 1, id, strnlen(id, 16));
	return (struct bytes){ out, KEY_SIZE };
}

/* A row that stands where another belongs is damaged: what is done to it
 * would be done to the other. */
static bool
finding_read_row(struct bytes key, struct bytes value, struct finding *out)
{
	char room[KEY_SIZE];

	return finding_read_record(value, out) &&
	    bytes_eq(finding_key(out->account, out->id, room), key);
}

int
finding_put(struct db_txn *t, const struct finding *f, struct err *e)
{
	struct buf b;
	char	   key[KEY_SIZE];

	buf_init(&b, 8192);
	finding_write_record(f, &b);
	return book_put(t, BOOK_FINDING, finding_key(f->account, f->id, key),
	    &b, e);
}

int
finding_open(struct db_txn *t, struct finding *f, struct err *e)
{
	unsigned char random[2];

	mem_random(random, sizeof(random));
	snprintf(f->id, sizeof(f->id), "%012llx%02x%02x",
	    (unsigned long long)f->opened.ms, random[0], random[1]);
	return finding_put(t, f, e);
}

int
finding_get(struct db_txn *t, const char *account, const char *id,
    struct finding *out, struct err *e)
{
	struct bytes key, value;
	char	     room[KEY_SIZE];
	int	     rc;

	if (strlen(id) != FINDING_ID_SIZE - 1)
		return 0;
	key = finding_key(account, id, room);
	rc = db_get(t, BOOK_FINDING, key, &value, e);
	if (rc == 1 && !finding_read_row(key, value, out))
		return err_set(e, "finding %s: the record is damaged", id);
	return rc;
}

/* Those of an account, NULL: of all. */
static struct bytes
finding_prefix(const char *account, char out[KEY_SIZE])
{
	return account == NULL ? BYTES("")
	    : bytes_head(finding_key(account, "", out), ACCOUNT_ID_SIZE - 1);
}

int
finding_each(struct db_txn *t, const char *account,
    bool (*fn)(void *arg, const struct finding *f), void *arg, struct err *e)
{
	struct book_rows r;
	struct finding	 f;
	char		 key[KEY_SIZE];

	book_rows_open(&r, t, BOOK_FINDING, finding_prefix(account, key), e);
	while (book_rows_next(&r))
		if (!finding_read_row(r.key, r.value, &f))
			r.status = err_set(e, "a finding is damaged");
		else if (!fn(arg, &f))
			break;
	return book_rows_close(&r);
}

struct finding_by_id {
	const char     *id;
	struct finding *out;
	bool		found;
};

static bool
by_id_on_finding(void *arg, const struct finding *f)
{
	struct finding_by_id *x = arg;

	x->found = strcmp(f->id, x->id) == 0;
	if (x->found)
		*x->out = *f;
	return !x->found;
}

int
finding_find(struct db_txn *t, const char *id, struct finding *out,
    struct err *e)
{
	struct finding_by_id x = { id, out, false };

	if (finding_each(t, NULL, by_id_on_finding, &x, e) < 0)
		return -1;
	return x.found;
}

struct finding_search {
	enum finding_type type;
	struct finding	 *out;
	bool		  found;
};

/* The one that complaints of a type are counted in. */
static bool
search_on_finding(void *arg, const struct finding *f)
{
	struct finding_search *s = arg;

	if (f->type == s->type && f->state != FINDING_CLOSED &&
	    f->count > 0) {
		*s->out = *f;
		s->found = true;
	}
	return true;
}

int
finding_count(struct db_txn *t, const char *account, enum finding_type type,
    struct wall now, struct finding *out, struct err *e)
{
	struct finding_search s = { type, out, false };
	bool is_many = type != FINDING_DIRECT_FEEDBACK;

	if (finding_each(t, account, search_on_finding, &s, e) < 0)
		return -1;
	/* too few in a week: they are counted anew */
	if (s.found && out->state == FINDING_COUNTING &&
	    now.ms - out->opened.ms >= FINDING_DIRECT_DAYS * day_ms) {
		out->opened = now;
		out->count = 0;
	}
	if (!s.found) {
		memset(out, 0, sizeof(*out));
		snprintf(out->account, sizeof(out->account), "%s", account);
		strcpy(out->scope, "account");
		out->type = type;
		out->action = finding_default_action(type);
		out->source = FINDING_BY_OPERATOR;
		out->state = FINDING_COUNTING;
		out->opened = now;
	}
	out->count++;
	if (is_many || out->count >= FINDING_DIRECT_FROM)
		out->state = FINDING_OPEN;
	return s.found ? finding_put(t, out, e) : finding_open(t, out, e);
}

struct finding_asking {
	enum finding_type type;
	const char	 *account, *scope;
	struct finding	 *out;
	bool		  found;
};

static bool
asking_on_finding(void *arg, const struct finding *f)
{
	struct finding_asking *a = arg;

	a->found = f->state == FINDING_OPEN && f->type == a->type &&
	    strcmp(f->account, a->account) == 0 &&
	    strcmp(f->scope, a->scope) == 0;
	if (a->found)
		*a->out = *f;
	return !a->found;
}

int
finding_get_open(struct db_txn *t, const char *account,
    enum finding_type type, const char *scope, struct finding *out,
    struct err *e)
{
	struct finding_asking a = { type, account, scope, out, false };

	if (finding_each(t, account, asking_on_finding, &a, e) < 0)
		return -1;
	return a.found;
}

int
finding_is_open(struct db_txn *t, const char *account,
    enum finding_type type, const char *scope, struct err *e)
{
	struct finding unused;

	return finding_get_open(t, account, type, scope, &unused, e);
}

struct finding_look {
	bool *review, *pause;
};

static bool
look_on_finding(void *arg, const struct finding *f)
{
	struct finding_look *l = arg;

	if (f->state != FINDING_OPEN || f->source == FINDING_BY_THRESHOLD)
		return true;
	*l->review |= f->action == FINDING_REVIEW;
	*l->pause |= f->action == FINDING_PAUSE;
	return true;
}

int
finding_look(struct db_txn *t, const char *account, bool *review, bool *pause,
    struct err *e)
{
	struct finding_look l = { review, pause };

	*review = *pause = false;
	return finding_each(t, account, look_on_finding, &l, e);
}

int
finding_purge(struct db_txn *t, const char *account, unsigned max,
    struct err *e)
{
	char key[KEY_SIZE];

	return book_purge(t, BOOK_FINDING, finding_prefix(account, key), max,
	    e);
}
