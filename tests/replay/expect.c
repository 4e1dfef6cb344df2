/* SPDX-License-Identifier: ISC */
/* "expect ...": what must hold when everything is at rest. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "expect_json.h"
#include "fake_http.h"
#include "fake_resolver.h"
#include "fake_stream.h"
#include "registry/quota.h"
#include "sink.h"
#include "world.h"

static void
expect_text(struct play *p, const char *what, const char *wanted,
    const char *got)
{
	if (!text_matches(wanted, got))
		play_fail(p, "%s is %s, expected: %s", what, got, wanted);
}

static void
expect_number(struct play *p, const char *what, const char *wanted,
    uint64_t got)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)got);
	expect_text(p, what, wanted, text);
}

/* NAME=... of a word; NULL = this is another one. */
static const char *
word_value(const char *word, const char *name)
{
	size_t n = strlen(name);

	return strncmp(word, name, n) == 0 && word[n] == '=' ? word + n + 1 :
	    NULL;
}

/* Times since the mark: the words from the given one on, exactly. */
struct times {
	struct wall *v;
	size_t	     n;
};

static void
expect_times(struct play *p, const char *what, const struct words *w,
    unsigned from, const struct times *t)
{
	size_t	i;
	int64_t wanted, got;

	for (i = 0; i < t->n && from + i < w->n; i++) {
		wanted = play_duration(p, w->v[from + i]);
		got = t->v[i].ms - p->mark.ms;
		if (got != wanted)
			play_fail(p, "%s %zu was after %lld.%03lld s, "
			    "expected: %s", what, i + 1,
			    (long long)(got / 1000),
			    (long long)(got % 1000), w->v[from + i]);
	}
	if (t->n != w->n - from)
		play_fail(p, "%s: %zu, expected: %u", what, t->n,
		    w->n - from);
}

/* -- events ---------------------------------------------------------------------- */

static enum event_type
expect_event_type(struct play *p, const char *word)
{
	enum event_type t;

	if (!event_type_from_text(bytes_of(word), &t))
		play_fail(p, "no such type of event: %s", word);
	return t;
}

static void
expect_event(struct play *p, const struct words *w)
{
	enum event_type t;
	char	       *json;
	unsigned	i;

	if (w->n < 3)
		play_fail(p, "expect event TYPE ...");
	t = expect_event_type(p, w->v[2]);
	json = event_next_json(p, t, &p->event_seen[t]);
	if (json == NULL)
		play_fail(p, "no further event %s", w->v[2]);
	for (i = 3; i < w->n; i++)
		json_expect(p, json, w->v[i]);
	free(json);
}

/* Octet for octet; <ANY> stands for one string that is not known before. */
static bool
expect_same(const char *want, const char *got)
{
	while (*want != '\0') {
		if (strncmp(want, "<ANY>", 5) == 0) {
			want += 5;
			got += strcspn(got, "\"");
		} else if (*want++ != *got++) {
			return false;
		}
	}
	return *got == '\0';
}

/* The whole record in lines of its own, which are put together. */
static void
expect_record(struct play *p, const struct words *w)
{
	enum event_type t;
	struct buf	want;
	char	       *json;

	if (w->n != 4 || strcmp(w->v[3], "{") != 0)
		play_fail(p, "expect record TYPE {");
	t = expect_event_type(p, w->v[2]);
	buf_init(&want, 1 << 20);
	play_read_block(p, "", &want);
	buf_add_char(&want, '\0');
	json = event_next_json(p, t, &p->event_seen[t]);
	if (json == NULL)
		play_fail(p, "no further event %s", w->v[2]);
	if (!expect_same(want.p, json))
		play_fail(p, "expected:\n%s\nthe record is:\n%s", want.p,
		    json);
	free(json);
	buf_wipe(&want);
}

static void
expect_no_event(struct play *p, const struct words *w)
{
	unsigned from = 0, to = EVENT_TYPES, t;
	uint64_t seen;
	char	*json;

	if (w->n > 2) {
		from = expect_event_type(p, w->v[2]);
		to = from + 1;
	}
	for (t = from; t < to; t++) {
		seen = p->event_seen[t];
		json = t == EVENT_SEND && w->n == 2 ? NULL :
		    event_next_json(p, (enum event_type)t, &seen);
		if (json != NULL)
			play_fail(p, "unexpected event: %s", json);
	}
}

static void
expect_event_count(struct play *p, const struct words *w)
{
	enum event_type t;
	uint64_t	seen = 0, n = 0;
	char	       *json;

	if (w->n < 4)
		play_fail(p, "expect event-count TYPE N");
	t = expect_event_type(p, w->v[2]);
	while ((json = event_next_json(p, t, &seen)) != NULL) {
		free(json);
		n++;
	}
	expect_number(p, "number of events", w->v[3], n);
}

/* -- log ---------------------------------------------------------------------------- */

static void
expect_log(struct play *p, const struct words *w)
{
	size_t i;

	for (i = p->log_seen; i < p->log_count; i++)
		if (w->n > 2 && text_matches(w->v[2], p->log[i])) {
			p->log_seen = i + 1;
			return;
		}
	play_fail(p, "not in the log: %s", w->n > 2 ? w->v[2] : "");
}

static void
expect_no_log(struct play *p, const struct words *w)
{
	size_t i;

	for (i = 0; i < p->log_count; i++)
		if (w->n > 2 && text_matches(w->v[2], p->log[i]))
			play_fail(p, "in the log: %s", p->log[i]);
}

/* -- the stores ------------------------------------------------------------------------ */

static void
expect_running(struct play *p)
{
	if (p->world->relay == NULL)
		play_fail(p, "the relay does not run");
}

static void
expect_spool(struct play *p, const struct words *w)
{
	struct spool_figures f;
	const char	    *v;
	struct err	     e;
	unsigned	     i;

	expect_running(p);
	if (spool_figures(p->world->relay->spool, &f, &e) != 0)
		play_fail(p, "spool: %s", e.text);
	for (i = 2; i < w->n; i++) {
		if ((v = word_value(w->v[i], "messages")) != NULL)
			expect_number(p, "spool: messages", v, f.messages);
		else if ((v = word_value(w->v[i], "recipients")) != NULL)
			expect_number(p, "spool: recipients", v, f.recipients);
		else if ((v = word_value(w->v[i], "held")) != NULL)
			expect_number(p, "spool: held", v, f.held);
		else if ((v = word_value(w->v[i], "deferred")) != NULL)
			expect_number(p, "spool: deferred", v, f.deferred);
		else
			play_fail(p, "unknown figure: %s", w->v[i]);
	}
}

static void
expect_wall(struct play *p, const char *what, const char *wanted,
    struct wall got)
{
	int64_t ms = play_duration(p, wanted);

	if (got.ms - p->mark.ms != ms)
		play_fail(p, "%s is after %lld.%03lld s, expected: %s", what,
		    (long long)(got.ms - p->mark.ms) / 1000,
		    (long long)(got.ms - p->mark.ms) % 1000, wanted);
}

static void
expect_row(struct play *p, const char *word, const struct recipient_row *r)
{
	static const char *const states[] = { "ready", "deferred", "held" };
	const char *v;
	char	    reply[600];

	if ((v = word_value(word, "state")) != NULL)
		expect_text(p, "state", v, states[r->state]);
	else if ((v = word_value(word, "attempts")) != NULL)
		expect_number(p, "attempts", v, r->attempts);
	else if ((v = word_value(word, "next")) != NULL)
		expect_wall(p, "next attempt", v, r->next);
	else if ((v = word_value(word, "expires")) != NULL)
		expect_wall(p, "expiry", v, r->expires);
	else if ((v = word_value(word, "reply")) != NULL)
		expect_text(p, "last reply", v,
		    text_show(r->last_reply, reply, sizeof(reply)));
	else
		play_fail(p, "unknown member: %s", word);
}

/* expect recipient ID N state= attempts= next= expires= | gone */
static void
expect_recipient(struct play *p, const struct words *w)
{
	struct recipient_row r;
	struct msgid	     id;
	struct arena	    *a;
	struct err	     e;
	unsigned	     i;
	int		     found;

	expect_running(p);
	if (w->n < 5 || !msgid_from_text(bytes_of(w->v[2]), &id, NULL))
		play_fail(p, "expect recipient ID N ...");
	a = arena_new(1 << 20);
	found = spool_read_recipient(p->world->relay->spool, &id,
	    (unsigned)play_number(p, w->v[3]), a, &r, &e);
	if (strcmp(w->v[4], "gone") == 0 && found != 0)
		play_fail(p, "recipient %s is still there", w->v[3]);
	if (strcmp(w->v[4], "gone") != 0) {
		if (found != 1)
			play_fail(p, "recipient %s is not there", w->v[3]);
		for (i = 4; i < w->n; i++)
			expect_row(p, w->v[i], &r);
	}
	arena_free(a);
}

static void
expect_quota(struct play *p, const struct words *w)
{
	const char *account = words_value(w, 3, "account");
	double	    sent;
	struct err  e;

	expect_running(p);
	if (w->n < 3 || quota_sent_24h(p->world->relay->spool,
		account != NULL ? account : "123456789012", clock_wall(),
		&sent, &e) != 0)
		play_fail(p, "expect quota N");
	expect_number(p, "SentLast24Hours", w->v[2], (uint64_t)sent);
}

/* -- receivers --------------------------------------------------------------------------- */

static void
expect_receiver(struct play *p, const struct words *w)
{
	struct sink *s;
	const char  *v;
	unsigned     i;

	if (w->n < 4)
		play_fail(p, "expect receiver NAME ...");
	s = sink_find(p, w->v[2]);
	for (i = 3; i < w->n; i++) {
		if ((v = word_value(w->v[i], "messages")) != NULL)
			expect_number(p, "messages", v, s->copy_count);
		else if ((v = word_value(w->v[i], "connections")) != NULL)
			expect_number(p, "connections", v, s->connections);
		else if ((v = word_value(w->v[i], "open")) != NULL)
			expect_number(p, "open connections", v, s->open);
		else if ((v = word_value(w->v[i], "peak")) != NULL)
			expect_number(p, "parallel connections", v, s->peak);
		else
			play_fail(p, "unknown figure: %s", w->v[i]);
	}
}

static void
expect_connected(struct play *p, const struct words *w)
{
	struct sink *s = sink_find(p, w->n > 2 ? w->v[2] : "");
	struct times t = { s->connected_at, s->connections };

	expect_times(p, "connection", w, 3, &t);
}

/* NAME or NAME#2: the last connection, or the second one. */
static struct sink *
expect_sink_of(struct play *p, const char *word, unsigned *connection)
{
	char	     name[64];
	const char  *hash = strchr(word, '#');
	struct sink *s;

	snprintf(name, sizeof(name), "%.*s",
	    (int)(hash != NULL ? (size_t)(hash - word) : strlen(word)), word);
	s = sink_find(p, name);
	*connection = hash != NULL ? (unsigned)atoi(hash + 1) : s->connections;
	return s;
}

static void
expect_commands(struct play *p, const struct words *w)
{
	struct buf   got, wanted;
	struct sink *s;
	unsigned     connection, i;
	size_t	     k;

	if (w->n < 3)
		play_fail(p, "expect commands NAME[#N] VERB...");
	s = expect_sink_of(p, w->v[2], &connection);
	buf_init(&got, 1 << 20);
	buf_init(&wanted, 1 << 20);
	for (k = 0; k < s->said_count; k++)
		if (s->said[k].connection == connection)
			buf_printf(&got, "%.*s ",
			    (int)strcspn(s->said[k].text, " "),
			    s->said[k].text);
	for (i = 3; i < w->n; i++)
		buf_printf(&wanted, "%s ", w->v[i]);
	if (!bytes_eq(buf_bytes(&got), buf_bytes(&wanted)))
		play_fail(p, "commands were: %.*s, expected: %.*s",
		    (int)got.n, got.n > 0 ? got.p : "", (int)wanted.n,
		    wanted.n > 0 ? wanted.p : "");
	buf_wipe(&got);
	buf_wipe(&wanted);
}

static bool
sink_has_said(const struct sink *s, const char *pattern)
{
	size_t i;

	for (i = 0; i < s->said_count; i++)
		if (text_matches(pattern, s->said[i].text))
			return true;
	return false;
}

static void
expect_said(struct play *p, const struct words *w)
{
	bool wanted = strcmp(w->v[1], "said") == 0;

	if (w->n < 4)
		play_fail(p, "expect said NAME PATTERN");
	if (sink_has_said(sink_find(p, w->v[2]), w->v[3]) != wanted)
		play_fail(p, "%s: %s", wanted ? "nobody said" : "was said",
		    w->v[3]);
}

/* Unfolded; NULL = there is none.  mem_free() */
static char *
copy_header(const struct sink_copy *c, const char *name, size_t n)
{
	const char *at = c->content.p, *end = at + c->content.n, *lf;
	struct buf  out;

	for (; at < end && *at != '\r'; at = lf + 1) {
		lf = memchr(at, '\n', (size_t)(end - at));
		if (lf == NULL)
			return NULL;
		if ((size_t)(end - at) <= n || at[n] != ':' ||
		    strncasecmp(at, name, n) != 0)
			continue;
		buf_init(&out, 1 << 20);
		for (at += n + 1; *at == ' '; at++)
			;
		for (;;) {
			buf_add_bytes(&out, bytes_trim((struct bytes){ at,
			    (size_t)(lf - at) }));
			if (lf + 1 >= end || (lf[1] != ' ' && lf[1] != '\t'))
				break;
			buf_add_char(&out, ' ');
			at = lf + 1;
			lf = memchr(at, '\n', (size_t)(end - at));
			if (lf == NULL)
				break;
		}
		buf_add_char(&out, '\0');
		return out.p;
	}
	return NULL;
}

static void
expect_copy_header(struct play *p, const struct sink_copy *c,
    const char *word)
{
	const char *eq = strchr(word, '=');
	char	   *value;

	if (eq == NULL)
		play_fail(p, "header:NAME=PATTERN");
	value = copy_header(c, word, (size_t)(eq - word));
	expect_text(p, word, eq + 1, value != NULL ? value : "absent");
	mem_free(value);
}

static void
expect_copy_part(struct play *p, const struct sink_copy *c, const char *word)
{
	struct bytes content = buf_bytes(&c->content);
	const char  *v;

	if ((v = word_value(word, "sender")) != NULL)
		expect_text(p, "sender", v, c->sender);
	else if ((v = word_value(word, "rcpt")) != NULL)
		expect_text(p, "recipients", v, c->rcpts);
	else if ((v = word_value(word, "source")) != NULL)
		expect_text(p, "source address", v, c->source);
	else if ((v = word_value(word, "tls")) != NULL)
		expect_text(p, "tls", v, c->tls ? "yes" : "no");
	else if ((v = word_value(word, "connection")) != NULL)
		expect_number(p, "connection", v, c->connection);
	else if ((v = word_value(word, "at")) != NULL)
		expect_wall(p, "copy", v, c->at);
	else if (strncmp(word, "header:", 7) == 0)
		expect_copy_header(p, c, word + 7);
	else if ((v = word_value(word, "has")) != NULL) {
		if (memmem(content.p, content.n, v, strlen(v)) == NULL)
			play_fail(p, "not in the copy: %s", v);
	} else if ((v = word_value(word, "lacks")) != NULL) {
		if (memmem(content.p, content.n, v, strlen(v)) != NULL)
			play_fail(p, "in the copy: %s", v);
	} else if ((v = word_value(word, "ends")) != NULL) {
		if (content.n < strlen(v) || memcmp(content.p + content.n -
			strlen(v), v, strlen(v)) != 0)
			play_fail(p, "the copy does not end in: %s", v);
	} else
		play_fail(p, "unknown part: %s", word);
}

/* expect copy NAME N sender= rcpt= header:X= has= lacks= at= ... */
static void
expect_copy(struct play *p, const struct words *w)
{
	struct sink *s;
	size_t	     n;
	unsigned     i;

	if (w->n < 5)
		play_fail(p, "expect copy NAME N ...");
	s = sink_find(p, w->v[2]);
	n = (size_t)play_number(p, w->v[3]);
	if (n == 0 || n > s->copy_count)
		play_fail(p, "%s has %zu copies", s->name, s->copy_count);
	for (i = 4; i < w->n; i++)
		expect_copy_part(p, &s->copies[n - 1], w->v[i]);
}

static void
expect_no_connection(struct play *p, const struct words *w)
{
	(void)w;
	if (sinks_figures()->tried > 0)
		play_fail(p, "%u connections were tried, the last one to %s",
		    sinks_figures()->tried, sinks_figures()->last);
}

/* -- DNS, control, life ---------------------------------------------------------------------- */

/* expect asked NAME TYPE TIME...; without times: at least once */
static void
expect_asked(struct play *p, const struct words *w)
{
	const struct fake_question *q;
	struct times		    t = { NULL, 0 };
	size_t			    i;

	if (w->n < 4)
		play_fail(p, "expect asked NAME TYPE [TIME...]");
	for (i = 0; i < fake_dns_question_count(); i++) {
		q = fake_dns_question(i);
		if (strcmp(q->name, w->v[2]) != 0 ||
		    strcmp(q->type, w->v[3]) != 0)
			continue;
		t.v = mem_realloc(t.v, (t.n + 1) * sizeof(*t.v));
		t.v[t.n++] = q->at;
	}
	if (w->n == 4 && t.n == 0)
		play_fail(p, "nobody asked for %s %s", w->v[2], w->v[3]);
	if (w->n > 4)
		expect_times(p, "question", w, 4, &t);
	mem_free(t.v);
}

static void
expect_not_asked(struct play *p, const struct words *w)
{
	size_t i;

	for (i = 0; i < fake_dns_question_count(); i++)
		if (w->n < 3 ||
		    strcmp(fake_dns_question(i)->name, w->v[2]) == 0)
			play_fail(p, "%s was asked for",
			    fake_dns_question(i)->name);
}

static void
expect_answer(struct play *p, const struct words *w)
{
	unsigned i;

	if (p->answer == NULL)
		play_fail(p, "there is no answer");
	for (i = 2; i < w->n; i++)
		json_expect(p, p->answer, w->v[i]);
}

/* A request as JSON: {"headers":{...},"body":...} */
static void
posted_json(const struct fake_posted *x, struct buf *out)
{
	const char  *line = x->headers, *end;
	struct bytes name;

	buf_add_text(out, "{\"headers\":{");
	for (; (end = strchr(line, '\n')) != NULL; line = end + 1) {
		name = (struct bytes){ line, strcspn(line, ":") };
		if (line != x->headers)
			buf_add_char(out, ',');
		event_write_string(name, out);
		buf_add_char(out, ':');
		event_write_string(bytes_trim((struct bytes){
		    line + name.n + 1, (size_t)(end - line) - name.n - 1 }),
		    out);
	}
	buf_printf(out, "},\"body\":%s}", x->body);
	buf_add_char(out, '\0');
}

/* expect posted HOST count=N | N PATH=PATTERN... */
static void
expect_posted(struct play *p, const struct words *w)
{
	const char *count = words_value(w, 3, "count");
	struct buf  json;
	size_t	    i, n = 0, k;

	if (w->n < 4)
		play_fail(p, "expect posted HOST count=N | N PATH=PATTERN...");
	buf_init(&json, 1 << 20);
	for (i = 0; i < fake_http_count(); i++) {
		if (strcmp(fake_http_posted(i)->host, w->v[2]) != 0)
			continue;
		n++;
		if (count != NULL || n != (size_t)play_number(p, w->v[3]))
			continue;
		posted_json(fake_http_posted(i), &json);
		for (k = 4; k < w->n; k++)
			json_expect(p, json.p, w->v[k]);
	}
	if (count != NULL ? n != (size_t)play_number(p, count) :
		json.n == 0)
		play_fail(p, "%zu requests came to %s", n, w->v[2]);
	buf_wipe(&json);
}

static void
expect_stopped(struct play *p, const struct words *w)
{
	(void)w;
	if (p->world->relay == NULL || world_is_running(p->world))
		play_fail(p, "the relay has not ended");
}

static void
expect_still_running(struct play *p, const struct words *w)
{
	(void)w;
	if (!world_is_running(p->world))
		play_fail(p, "the relay has ended");
}

static void
expect_listening(struct play *p, const struct words *w)
{
	bool wanted = strcmp(w->v[1], "listening") == 0;

	if (w->n < 3)
		play_fail(p, "expect listening NAME");
	if (fake_net_listens(world_find_listener(p, w->v[2], 0)->fd) != wanted)
		play_fail(p, "listener %s is %s", w->v[2],
		    wanted ? "closed" : "open");
}

void
expect(struct play *p, const struct words *w)
{
	static const struct {
		const char *what;
		void (*fn)(struct play *p, const struct words *w);
	} all[] = { { "event", expect_event },
		{ "record", expect_record },
		{ "no-event", expect_no_event },
		{ "event-count", expect_event_count },
		{ "log", expect_log },
		{ "no-log", expect_no_log },
		{ "spool", expect_spool },
		{ "recipient", expect_recipient },
		{ "quota", expect_quota },
		{ "receiver", expect_receiver },
		{ "connected", expect_connected },
		{ "commands", expect_commands },
		{ "said", expect_said },
		{ "not-said", expect_said },
		{ "copy", expect_copy },
		{ "no-connection", expect_no_connection },
		{ "asked", expect_asked },
		{ "not-asked", expect_not_asked },
		{ "answer", expect_answer },
		{ "posted", expect_posted },
		{ "stopped", expect_stopped },
		{ "running", expect_still_running },
		{ "listening", expect_listening },
		{ "not-listening", expect_listening } };
	size_t i;

	play_settle(p);
	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (w->n > 1 && strcmp(all[i].what, w->v[1]) == 0) {
			all[i].fn(p, w);
			return;
		}
	play_fail(p, "expect what?");
}
