/* SPDX-License-Identifier: ISC */
#include "mail/classify.h"

#include <regex.h>
#include <stdint.h>
#include <string.h>

#include "base/ascii.h"
#include "mail/smtp.h"

/* The expressions of bounces-and-feedback.md 3.3. */
enum expression {
	E_NONE,
	E_S1,
	E_R1,
	E_B1,
	E_B2,
	E_B3,
	E_B4,
	E_P1,
	E_F2,
	E_L2,
	E_A1,
	E_C2,
	E_N2,
	EXPRESSIONS
};

struct classify {
	regex_t re[EXPRESSIONS];
};

/* One input while rules look at it. */
struct look {
	const struct classify	    *rules;
	const struct classify_input *in;
	struct bytes		     status; /* as given or found, or empty */
	struct bytes subject_detail; /* "1.1" of it */
	struct bytes raw;	     /* text without status */
	char	     text[CLASSIFY_TEXT_MAX + 3]; /* normal form of raw */
	size_t	     text_n;
	uint32_t     tried, hit; /* a bit per expression */
};

struct rule {
	const char	   *id;
	enum expression	    expression; /* one of these three is enough ... */
	const char	   *statuses;	/* subject.detail, blank between */
	unsigned	    codes[2];
	bool (*holds)(struct look *l);	/* ... unless this decides alone */
	enum bounce_type    type;
	enum bounce_subtype subtype;
};

static bool holds_b1(struct look *l);
static bool holds_c3(struct look *l);
static bool holds_n3(struct look *l);
static bool holds_always(struct look *l);

static const char *const expressions[EXPRESSIONS] = {
	[E_NONE] = "",
	[E_S1] = "sender (address )?(rejected|denied|blocked|verify failed"
		 "|verification failed)|sender verify"
		 "|mail from.*(rejected|denied)|sender domain",
	[E_R1] = "receiving (e?mail|messages) (at a rate|too quickly)"
		 "|rate that prevents",
	[E_B1] = "block|black ?list|banned|denied|listed|reputation"
		 "|unusual rate|rate limit|throttl|deferred|unsolicited",
	[E_B2] = "blocked using|dnsbl|[^a-z]rbl[^a-z]|spamhaus|spamcop"
		 "|barracudacentral|sorbs|uceprotect|senderbase|ivmsip"
		 "|block ?list|black ?list|poor reputation",
	[E_B3] = "reverse (dns|hostname|lookup)|ptr record|no ptr"
		 "|cannot find your (reverse )?hostname|fcrdns|rdns",
	[E_B4] = "\\((s3140|s3150|s775)\\)|\\[(tss?0[0-9])\\]",
	[E_P1] = "dmarc|not authenticated|unauthenticated"
		 "|authentication (checks? )?(failed|required by)"
		 "|spf (check|validation) (failed|error)|dkim",
	[E_F2] = "(mailbox|inbox|account|user|recipient)[^.]*[^a-z]"
		 "(full([^a-z]|$)|out of (storage|space))|over ?quota"
		 "|quota (is )?(exceeded|full)"
		 "|exceed(s|ed)? (its |their |the )?(storage|mailbox|disk)",
	[E_L2] = "(message|mail|size)[^.]*(too (large|big|long)"
		 "|exceeds?[^.]*(limit|maximum|size))|size limit|too large",
	[E_A1] = "attach|file ?type|file extension"
		 "|(blocked|prohibited|banned|forbidden) file|executable",
	[E_C2] = "spam|junk|unsolicited|bulk mail|content|virus|malware"
		 "|infected|phish|surbl|uribl|policy (reasons|violation)"
		 "|blocked by policy",
	[E_N2] = "user unknown|unknown (user|recipient|mailbox|local|address)"
		 "|no such (user|mailbox|recipient|address|person|account)"
		 "|(user|mailbox|recipient|account|address|addressee)"
		 " (is |was )?(unknown|unavailable|not found|disabled|inactive"
		 "|suspended|deactivated|closed|invalid|does not exist"
		 "|doesn't exist|not available)|(does not|doesn't) exist"
		 "|invalid (recipient|mailbox|address|user)"
		 "|not a valid (mailbox|recipient|user)"
		 "|(recipient|address) rejected"
		 "|doesn't have an? [^ ]* ?account|no mailbox"
		 "|not our customer"
		 "|relay(ing)? (access )?(denied|not permitted|prohibited)"
		 "|not permitted to relay|mailbox unavailable",
};

/* In the order of section 3.2; the first that holds counts. */
static const struct rule rules[CLASSIFY_RULES] = {
	{ "S1", E_S1, "1.7 1.8", { 0 }, NULL, BOUNCE_UNDETERMINED,
	    BOUNCE_SUB_UNDETERMINED },
	{ "R1", E_R1, "", { 0 }, NULL, BOUNCE_TRANSIENT, BOUNCE_SUB_GENERAL },
	{ "B3", E_B3, "7.25", { 0 }, NULL, BOUNCE_TRANSIENT,
	    BOUNCE_SUB_GENERAL },
	{ "B1", E_NONE, "", { 0 }, holds_b1, BOUNCE_TRANSIENT,
	    BOUNCE_SUB_GENERAL },
	{ "B2", E_B2, "", { 0 }, NULL, BOUNCE_TRANSIENT, BOUNCE_SUB_GENERAL },
	{ "B4", E_B4, "", { 0 }, NULL, BOUNCE_TRANSIENT, BOUNCE_SUB_GENERAL },
	{ "P1", E_P1, "7.20 7.21 7.22 7.23 7.24 7.26", { 0 }, NULL,
	    BOUNCE_TRANSIENT, BOUNCE_SUB_CONTENT_REJECTED },
	{ "F1", E_NONE, "2.2", { 0 }, NULL, BOUNCE_TRANSIENT,
	    BOUNCE_SUB_MAILBOX_FULL },
	{ "F2", E_F2, "", { 0 }, NULL, BOUNCE_TRANSIENT,
	    BOUNCE_SUB_MAILBOX_FULL },
	{ "L1", E_NONE, "3.4 2.3", { 0 }, NULL, BOUNCE_TRANSIENT,
	    BOUNCE_SUB_MESSAGE_TOO_LARGE },
	{ "L2", E_L2, "", { 0 }, NULL, BOUNCE_TRANSIENT,
	    BOUNCE_SUB_MESSAGE_TOO_LARGE },
	{ "A1", E_A1, "", { 0 }, NULL, BOUNCE_TRANSIENT,
	    BOUNCE_SUB_ATTACHMENT_REJECTED },
	{ "N1", E_NONE, "1.0 1.1 1.2 1.3 1.6 1.10 2.1", { 521, 556 }, NULL,
	    BOUNCE_PERMANENT, BOUNCE_SUB_GENERAL },
	{ "C1", E_NONE, "6.*", { 0 }, NULL, BOUNCE_TRANSIENT,
	    BOUNCE_SUB_CONTENT_REJECTED },
	{ "C2", E_C2, "", { 0 }, NULL, BOUNCE_TRANSIENT,
	    BOUNCE_SUB_CONTENT_REJECTED },
	{ "N2", E_N2, "", { 0 }, NULL, BOUNCE_PERMANENT, BOUNCE_SUB_GENERAL },
	{ "L3", E_NONE, "", { 552 }, NULL, BOUNCE_TRANSIENT,
	    BOUNCE_SUB_MESSAGE_TOO_LARGE },
	{ "C3", E_NONE, "", { 0 }, holds_c3, BOUNCE_TRANSIENT,
	    BOUNCE_SUB_CONTENT_REJECTED },
	{ "X1", E_NONE, "4.4", { 0 }, NULL, BOUNCE_PERMANENT,
	    BOUNCE_SUB_GENERAL },
	{ "X2", E_NONE, "4.* 3.*", { 0 }, NULL, BOUNCE_TRANSIENT,
	    BOUNCE_SUB_GENERAL },
	{ "N3", E_NONE, "", { 0 }, holds_n3, BOUNCE_PERMANENT,
	    BOUNCE_SUB_GENERAL },
	{ "X3", E_NONE, "", { 0 }, holds_always, BOUNCE_UNDETERMINED,
	    BOUNCE_SUB_UNDETERMINED },
};

/* -- the rules -------------------------------------------------------- */

struct classify *
classify_new(struct err *e)
{
	struct classify *c = mem_alloc(sizeof(*c));
	int		 i, r;

	for (i = E_NONE + 1; i < EXPRESSIONS; i++) {
		r = regcomp(&c->re[i], expressions[i],
		    REG_EXTENDED | REG_NOSUB);
		if (r == 0)
			continue;
		must(r == REG_ESPACE); /* the expressions are constant */
		while (--i > E_NONE)
			regfree(&c->re[i]);
		mem_free(c);
		err_set(e, "classification rules: out of memory");
		return NULL;
	}
	return c;
}

void
classify_free(struct classify *c)
{
	int i;

	if (c == NULL)
		return;
	for (i = E_NONE + 1; i < EXPRESSIONS; i++)
		regfree(&c->re[i]);
	mem_free(c);
}

/* -- normal form of a text (3.1) -------------------------------------- */

/*
 * One octet of normal form: lower case, blank for controls.  Octets over 126
 * match no letter of any expression; one sign for them keeps the matcher
 * independent of the locale.
 */
static char
normal_char(char c)
{
	unsigned char u = (unsigned char)c;

	if (u <= ' ' || u == 0x7f)
		return ' ';
	if (u > 0x7f)
		return '?';
	return ascii_lower(c);
}

/* Appends c unless that would be a second blank in a row. */
static size_t
add_collapsed(char *out, size_t n, char c)
{
	if (c != ' ' || n == 0 || out[n - 1] != ' ')
		out[n++] = c;
	return n;
}

/*
 * Octets of the address at t[at], 0 = it is not there as a whole: neither
 * "xjane@sink.example" nor "jane@sink.example.org" is the recipient
 * jane@sink.example.
 */
static size_t
address_at(struct bytes t, size_t at, struct bytes address)
{
	struct bytes rest = bytes_from(t, at);
	size_t	     end = address.n;

	if (address.n == 0 || !bytes_starts_nocase(rest, address))
		return 0;
	if (at > 0 && (ascii_is_alnum(t.p[at - 1]) || t.p[at - 1] == '.' ||
			  t.p[at - 1] == '_' || t.p[at - 1] == '+' ||
			  t.p[at - 1] == '-'))
		return 0;
	if (end < rest.n && (ascii_is_alnum(rest.p[end]) || rest.p[end] == '-'))
		return 0;
	if (end + 1 < rest.n && rest.p[end] == '.' &&
	    ascii_is_alnum(rest.p[end + 1]))
		return 0;
	return end;
}

/* out has one blank at each end; returns its length. */
static size_t
normalize(struct bytes raw, struct bytes recipient,
    char out[CLASSIFY_TEXT_MAX + 3])
{
	char	     flat[CLASSIFY_TEXT_MAX];
	struct bytes t = { flat, 0 };
	size_t	     i, n, skip;

	for (i = 0; i < raw.n && t.n < sizeof(flat); i++)
		t.n = add_collapsed(flat, t.n, normal_char(raw.p[i]));
	out[0] = ' ';
	n = 1;
	for (i = 0; i < t.n; i += skip > 0 ? skip : 1) {
		skip = address_at(t, i, recipient);
		if (skip == 0)
			n = add_collapsed(out, n, t.p[i]);
	}
	n = add_collapsed(out, n, ' ');
	out[n] = '\0';
	return n;
}

/* -- looking ---------------------------------------------------------- */

static void
look_open(struct look *l, const struct classify *c,
    const struct classify_input *in)
{
	size_t n;

	l->rules = c;
	l->in = in;
	l->tried = l->hit = 0;
	l->raw = bytes_trim(in->text);
	l->status = (struct bytes){ NULL, 0 };
	n = smtp_status_length(l->raw);
	if (n > 0) {
		l->status = bytes_head(l->raw, n);
		l->raw = bytes_trim(bytes_from(l->raw, n));
	}
	n = smtp_status_length(in->enh);
	if (n > 0)
		l->status = bytes_head(in->enh, n);
	/* the class is that of the code: only the rest is ever compared */
	l->subject_detail = bytes_from(l->status, 2);
	l->text_n = normalize(l->raw, in->recipient, l->text);
}

static bool
look_matches(struct look *l, enum expression x)
{
	uint32_t bit = (uint32_t)1 << x;

	if ((l->tried & bit) == 0) {
		l->tried |= bit;
		if (regexec(&l->rules->re[x], l->text, 0, NULL, 0) == 0)
			l->hit |= bit;
	}
	return (l->hit & bit) != 0;
}

/* Is the status one of the list?  "6.*" stands for all of a subject. */
static bool
look_has_status(const struct look *l, const char *list)
{
	struct bytes rest = bytes_of(list), item;
	ptrdiff_t    blank;

	while (l->subject_detail.n > 0 && rest.n > 0) {
		blank = bytes_find(rest, 0, ' ');
		item = blank < 0 ? rest : bytes_head(rest, (size_t)blank);
		rest = bytes_from(rest, item.n + 1);
		if (item.p[item.n - 1] == '*') {
			item.n--;
			if (bytes_starts(l->subject_detail, item))
				return true;
		} else if (bytes_eq(l->subject_detail, item))
			return true;
	}
	return false;
}

static bool
look_is_content(const struct look *l)
{
	return l->in->stage == CLASSIFY_DATA || l->in->stage == CLASSIFY_DOT ||
	    l->in->stage == CLASSIFY_ASYNC;
}

/*
 * Is our address in the text, not merely as part of a longer one?  A point
 * or colon may follow as punctuation.
 */
static bool
look_names_source(const struct look *l)
{
	struct bytes t = { l->text, l->text_n }, ip = l->in->source_ip;
	bool	     v6 = bytes_find(ip, 0, ':') >= 0;
	char	     mark = v6 ? ':' : '.', before, after, next;
	size_t	     at;

	if (ip.n == 0)
		return false;
	for (at = 1; at + ip.n < t.n; at++) {
		if (!bytes_starts_nocase(bytes_from(t, at), ip))
			continue;
		before = t.p[at - 1];
		after = t.p[at + ip.n];
		next = at + ip.n + 1 < t.n ? t.p[at + ip.n + 1] : ' ';
		if (v6 ? ascii_is_hex(before) || ascii_is_hex(after)
		       : ascii_is_digit(before) || before == '.' ||
			ascii_is_digit(after))
			continue;
		if (after == mark &&
		    (v6 ? ascii_is_hex(next) : ascii_is_digit(next)))
			continue;
		return true;
	}
	return false;
}

static bool
holds_b1(struct look *l)
{
	if (!look_names_source(l) || !look_matches(l, E_B1))
		return false;
	return !(look_is_content(l) && look_matches(l, E_C2));
}

static bool
holds_c3(struct look *l)
{
	return look_is_content(l) && look_has_status(l, "7.0 7.1");
}

static bool
holds_n3(struct look *l)
{
	unsigned code = l->in->code;

	return l->in->stage == CLASSIFY_RCPT &&
	    (code == 550 || code == 551 || code == 553) &&
	    (l->status.n == 0 || look_has_status(l, "0.0 1.* 2.*"));
}

static bool
holds_always(struct look *l)
{
	(void)l;
	return true;
}

static bool
rule_holds(const struct rule *r, struct look *l)
{
	unsigned code = l->in->code;

	if (r->holds != NULL)
		return r->holds(l);
	if (code != 0 && (code == r->codes[0] || code == r->codes[1]))
		return true;
	if (look_has_status(l, r->statuses))
		return true;
	return r->expression != E_NONE && look_matches(l, r->expression);
}

/* -- what is recorded of a block -------------------------------------- */

static bool
is_name_char(char c)
{
	return ascii_is_alnum(c) || c == '.' || c == '-' || c == '_';
}

/* The word around the place at, points at its ends left off. */
static struct bytes
word_around(struct bytes t, size_t at)
{
	size_t from = at, to = at;

	while (from > 0 && is_name_char(t.p[from - 1]))
		from--;
	while (to < t.n && is_name_char(t.p[to]))
		to++;
	while (to > from && t.p[to - 1] == '.')
		to--;
	return bytes_head(bytes_from(t, from), to - from);
}

static struct bytes
find_list(struct bytes t)
{
	static const char *const known[] = { "spamhaus", "spamcop",
		"barracudacentral", "sorbs", "uceprotect", "senderbase",
		"ivmsip" };
	static const struct bytes using = { "blocked using ", 14 };
	struct bytes		  word;
	ptrdiff_t		  at;
	size_t			  i;

	at = bytes_find_nocase(t, using);
	if (at >= 0) {
		word = word_around(t, (size_t)at + using.n);
		if (word.n > 0)
			return word;
	}
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		at = bytes_find_nocase(t, bytes_of(known[i]));
		if (at >= 0)
			return word_around(t, (size_t)at);
	}
	return (struct bytes){ NULL, 0 };
}

static struct bytes
find_url(struct bytes t)
{
	static const struct bytes colon = { "://", 3 };
	struct bytes		  scheme, url;
	ptrdiff_t		  at = bytes_find_nocase(t, colon);
	size_t			  n;

	if (at < 4)
		return (struct bytes){ NULL, 0 };
	n = at >= 5 && (t.p[at - 1] == 's' || t.p[at - 1] == 'S') ? 5 : 4;
	scheme = bytes_from(t, (size_t)at - n);
	if (!bytes_starts_nocase(scheme, BYTES("http")))
		return (struct bytes){ NULL, 0 };
	url = scheme;
	for (n = 0; n < url.n; n++)
		if (url.p[n] <= ' ' || url.p[n] > '~' ||
		    strchr("<>\"'()[]", url.p[n]) != NULL)
			break;
	while (n > 0 && strchr(".,;:!", url.p[n - 1]) != NULL)
		n--;
	return bytes_head(url, n);
}

void
classify_find_block(struct bytes text, char list[CLASSIFY_LIST_MAX],
    char url[CLASSIFY_URL_MAX])
{
	struct bytes raw = bytes_head(text, CLASSIFY_TEXT_MAX);

	bytes_text(find_list(raw), list, CLASSIFY_LIST_MAX);
	bytes_text(find_url(raw), url, CLASSIFY_URL_MAX);
}

static void
note_block(const struct look *l, const struct rule *r,
    struct classification *out)
{
	if (r->id[0] != 'B')
		return;
	out->ip_block = true;
	out->spam = true;
	classify_find_block(l->raw, out->list, out->url);
}

static bool
look_says(const struct look *l, const char *words)
{
	struct bytes t = { l->text, l->text_n };

	return bytes_find_nocase(t, bytes_of(words)) >= 0;
}

static void
look_settle(struct look *l, const struct rule *r, struct classification *out)
{
	memset(out, 0, sizeof(*out));
	out->type = r->type;
	out->subtype = r->subtype;
	out->rule = r->id;
	out->auth_alert = strcmp(r->id, "P1") == 0;
	out->spam = strcmp(r->id, "C2") == 0 &&
	    (look_says(l, "spam") || look_says(l, "junk") ||
		look_says(l, "unsolicited") || look_says(l, "bulk mail"));
	note_block(l, r, out);
}

static const struct rule *
rule_first(struct look *l)
{
	int i = 0;

	while (!rule_holds(&rules[i], l))
		i++; /* the last one always holds */
	return &rules[i];
}

const char *
classify_rule_id(unsigned i)
{
	must(i < CLASSIFY_RULES);
	return rules[i].id;
}

unsigned
classify_rule_find(const char *id)
{
	unsigned i = 0;

	while (strcmp(rules[i].id, id) != 0) {
		i++;
		must(i < CLASSIFY_RULES);
	}
	return i;
}

static void
soften(struct classification *out)
{
	if (out->type == BOUNCE_TRANSIENT)
		return;
	out->type = BOUNCE_TRANSIENT;
	out->subtype = BOUNCE_SUB_GENERAL;
}

/* -- the questions ---------------------------------------------------- */

void
classify_final(const struct classify *c, const struct classify_input *in,
    struct classification *out)
{
	struct look l;

	look_open(&l, c, in);
	look_settle(&l, rule_first(&l), out);
}

void
classify_expired(const struct classify *c, const struct classify_input *in,
    struct classification *out)
{
	classify_final(c, in, out);
	soften(out);
}

/* Conditions of the rules named, each for itself: NULL = none holds. */
static const struct rule *
rule_among(struct look *l, const char *const *ids)
{
	const struct rule *r;

	for (; *ids != NULL; ids++) {
		r = &rules[classify_rule_find(*ids)];
		if (rule_holds(r, l))
			return r;
	}
	return NULL;
}

static bool
delay_is_server_error(const struct look *l)
{
	enum classify_stage stage = l->in->stage;

	if (look_has_status(l, "3.*"))
		return true;
	if (l->in->code == 421)
		return stage == CLASSIFY_GREETING || stage == CLASSIFY_EHLO;
	return l->in->code == 452 && l->status.n == 0;
}

enum delay_type
classify_delay(const struct classify *c, const struct classify_input *in,
    struct classification *out)
{
	static const struct {
		const char *ids[4];
		enum delay_type type;
	} rows[] = {
		{ { "B3" }, DELAY_HOST_NAME_LOOKUP },
		{ { "B1", "B2", "B4" }, DELAY_IP_FAILURE },
		{ { "F1", "F2" }, DELAY_MAILBOX_FULL },
		{ { "P1", "C2" }, DELAY_SPAM_DETECTED },
	};
	const struct rule *r;
	struct look	   l;
	size_t		   i;

	look_open(&l, c, in);
	look_settle(&l, rule_first(&l), out);
	soften(out);
	if (look_has_status(&l, "4.*"))
		return DELAY_COMMUNICATION_FAILURE;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		r = rule_among(&l, rows[i].ids);
		if (r == NULL)
			continue;
		/* the record of a block goes with what the event says */
		look_settle(&l, r, out);
		return rows[i].type;
	}
	if (delay_is_server_error(&l))
		return DELAY_RECIPIENT_SERVER_ERROR;
	if (in->code == 0 && l.raw.n == 0 && l.status.n == 0)
		return DELAY_UNDETERMINED;
	return DELAY_GENERAL;
}

/* "smtp; 550-5.1.1 text": code and text; a type prefix is skipped. */
static void
read_diagnostic(struct bytes diagnostic, struct classify_input *in)
{
	ptrdiff_t semicolon = bytes_find(diagnostic, 0, ';');
	struct bytes t = diagnostic;

	if (semicolon >= 0 &&
	    bytes_find(bytes_head(t, (size_t)semicolon), 0, ' ') < 0)
		t = bytes_from(t, (size_t)semicolon + 1);
	t = bytes_trim(t);
	if (t.n >= 3 && t.p[0] >= '2' && t.p[0] <= '5' &&
	    ascii_is_digit(t.p[1]) && ascii_is_digit(t.p[2]) &&
	    (t.n == 3 || t.p[3] == ' ' || t.p[3] == '-' || t.p[3] == '\t')) {
		in->code = (unsigned)(t.p[0] - '0') * 100 +
		    (unsigned)(t.p[1] - '0') * 10 + (unsigned)(t.p[2] - '0');
		t = bytes_trim(bytes_from(t, 4));
	}
	in->text = t;
}

void
classify_report(const struct classify *c, struct bytes diagnostic,
    struct bytes status, struct bytes recipient, struct classification *out)
{
	struct classify_input in = { .stage = CLASSIFY_ASYNC,
		.recipient = recipient };

	read_diagnostic(bytes_trim(diagnostic), &in);
	/* what the server said counts before what the reporter made of it */
	if (smtp_status_length(in.text) == 0)
		in.enh = bytes_trim(status);
	status = bytes_trim(status);
	if ((status.n > 0 && status.p[0] == '4') ||
	    (in.code >= 400 && in.code <= 499))
		classify_expired(c, &in, out);
	else
		classify_final(c, &in, out);
}
