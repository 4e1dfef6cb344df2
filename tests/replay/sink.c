/* SPDX-License-Identifier: ISC */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/conf.h"
#include "sink_private.h"
#include "world.h"

static struct sinks_figures the_figures;

static const char *const stage_names[SINK_STAGES] = { "connect", "greeting",
	"ehlo", "helo", "starttls", "tls", "mail", "rcpt", "data", "chunk",
	"dot", "rset", "noop", "quit" };

const struct sinks_figures *
sinks_figures(void)
{
	return &the_figures;
}

/* -- rules -------------------------------------------------------------------- */

static const struct {
	const char   *word;
	enum sink_act act;
} sink_acts[] = { { "drop", ACT_DROP }, { "reset", ACT_RESET },
	{ "hang", ACT_HANG }, { "deaf", ACT_DEAF }, { "raw", ACT_RAW },
	{ "refuse", ACT_REFUSE }, { "unreachable", ACT_UNREACHABLE },
	{ "short", ACT_SHORT }, { "broken", ACT_BROKEN }, { "untrusted", ACT_UNTRUSTED } };

/* "3", "1-2", "4+" */
static void
rule_range(struct play *p, const char *s, unsigned *from, unsigned *to)
{
	char *end;

	*from = *to = (unsigned)strtoul(s, &end, 10);
	if (*end == '-')
		*to = (unsigned)strtoul(end + 1, &end, 10);
	else if (*end == '+')
		*to = 0xffffffff, end++;
	if (*from == 0 || *to < *from ||
	    (*end != '\0' && *end != '@' && *end != ':'))
		play_fail(p, "bad range %s", s);
}

/* STAGE[=ADDRESS][:TIMES][@CONNECTIONS] */
static void
rule_read_stage(struct play *p, struct sink_rule *r, char *word)
{
	char *times, *conn, *address;
	int   i;

	conn = strrchr(word, '@');
	address = strchr(word, '=');
	if (conn != NULL && conn[1] >= '1' && conn[1] <= '9') {
		rule_range(p, conn + 1, &r->conn_from, &r->conn_to);
		*conn = '\0';
	}
	times = strrchr(word, ':');
	if (times != NULL) {
		rule_range(p, times + 1, &r->from, &r->to);
		*times = '\0';
	}
	if (address != NULL) {
		r->address = mem_dup(address + 1);
		*address = '\0';
	}
	for (i = 0; i < SINK_STAGES; i++)
		if (strcmp(stage_names[i], word) == 0)
			break;
	if (i == SINK_STAGES)
		play_fail(p, "no such stage: %s", word);
	r->stage = (enum sink_stage)i;
}

/* Words from the given one on: [after TIME] ACTION */
static void
rule_read_act(struct play *p, struct sink_rule *r, const struct words *w,
    unsigned at)
{
	struct buf text;
	size_t	   i;

	if (at + 1 < w->n && strcmp(w->v[at], "after") == 0) {
		r->after_ms = play_duration(p, w->v[at + 1]);
		at += 2;
	}
	if (at >= w->n)
		play_fail(p, "what does the server do?");
	r->act = ACT_REPLY;
	for (i = 0; i < sizeof(sink_acts) / sizeof(sink_acts[0]); i++)
		if (strcmp(sink_acts[i].word, w->v[at]) == 0)
			r->act = sink_acts[i].act;
	buf_init(&text, 1 << 20);
	text_unescape(words_rest(w, r->act == ACT_REPLY ? at : at + 1), &text);
	buf_add_char(&text, '\0');
	r->text = text.p;
	r->octets = text.n - 1;
	r->hangs_up = r->act == ACT_REPLY && strncmp(r->text, "421", 3) == 0;
}

static void
sink_add_rule(struct play *p, struct sink *s, const struct words *w,
    unsigned at)
{
	struct sink_rule *r = mem_alloc(sizeof(*r));

	rule_read_stage(p, r, w->v[at]);
	rule_read_act(p, r, w, at + 1);
	r->next = s->rules;
	s->rules = r;
}

const struct sink_rule *
sink_rule_for(struct sink *s, enum sink_stage stage, unsigned connection,
    const char *address)
{
	const struct sink_rule *r;
	unsigned		n = ++s->reached[stage];

	for (r = s->rules; r != NULL; r = r->next)
		if (r->stage == stage &&
		    (r->from == 0 || (n >= r->from && n <= r->to)) &&
		    (r->conn_from == 0 || (connection >= r->conn_from &&
			connection <= r->conn_to)) &&
		    (r->address == NULL ||
			text_is_glob_match(r->address, address)))
			return r;
	return NULL;
}

/* -- servers ---------------------------------------------------------------------- */

struct sink *
sink_find(struct play *p, const char *name)
{
	struct sink *s;

	for (s = p->sinks; s != NULL; s = s->next)
		if (strcmp(s->name, name) == 0)
			return s;
	play_fail(p, "there is no receiver %s", name);
}

static void
sink_set(char **place, const char *value)
{
	mem_free(*place);
	*place = mem_dup(value);
}

/* A line of the block, or of a later change; words from the given one on. */
static void
sink_take_line(struct play *p, struct sink *s, const struct words *w,
    unsigned at)
{
	struct sink_rule *r;

	if (strcmp(w->v[at], "capabilities") == 0) {
		sink_set(&s->capabilities, words_rest(w, at + 1));
	} else if (strcmp(w->v[at], "limit") == 0 && at + 2 < w->n) {
		s->limit = (unsigned)play_number(p, w->v[at + 1]);
		sink_set(&s->limit_reply, words_rest(w, at + 2));
	} else if (strcmp(w->v[at], "limit") == 0) {
		s->limit = 0;
	} else if (strcmp(w->v[at], "friendly") == 0) {
		while ((r = s->rules) != NULL) {
			s->rules = r->next;
			mem_free(r->address);
			mem_free(r->text);
			mem_free(r);
		}
	} else {
		sink_add_rule(p, s, w, at);
	}
}

static void
sink_read_block(struct play *p, struct sink *s)
{
	struct words w;
	struct buf   text;
	char	    *line, *end;

	buf_init(&text, 1 << 20);
	play_read_block(p, "\n", &text);
	buf_add_char(&text, '\0');
	for (line = text.p; *line != '\0'; line = end + 1) {
		end = strchr(line, '\n');
		*end = '\0';
		if (!words_split(line, &w))
			play_fail(p, "bad line in a receiver: %s", line);
		if (w.n > 0)
			sink_take_line(p, s, &w, 0);
		words_wipe(&w);
	}
	buf_wipe(&text);
}

void
sink_read(struct play *p, const struct words *w)
{
	struct sink	*s = mem_alloc(sizeof(*s)), **last = &p->sinks;
	struct conf_addr a;

	if (w->n < 3 || !conf_addr_parse(bytes_of(w->v[2]), 25, &a))
		play_fail(p, "receiver NAME ADDRESS[:PORT] [{]");
	s->play = p;
	s->name = mem_dup(w->v[1]);
	memcpy(&s->addr, &a.u, a.length);
	s->capabilities = mem_dup("PIPELINING, 8BITMIME");
	while (*last != NULL)
		last = &(*last)->next;
	*last = s;
	if (w->n > 3 && strcmp(w->v[3], "{") == 0)
		sink_read_block(p, s);
}

void
sink_change(struct play *p, const struct words *w)
{
	struct sink *s = sink_find(p, w->v[1]);

	if (w->n < 3)
		play_fail(p, "change NAME RULE");
	sink_take_line(p, s, w, 2);
}

/* -- the net --------------------------------------------------------------------------- */

static bool
address_is_same(const struct sockaddr *a, const struct sockaddr_storage *b)
{
	char one[STREAM_ADDR_MAX + 48], other[STREAM_ADDR_MAX + 48];

	return strcmp(sockaddr_text(a, true, one),
		   sockaddr_text((const struct sockaddr *)b, true, other)) == 0;
}

static void
sinks_on_connect(void *play, struct fake_link *l, const struct sockaddr *to,
    const struct sockaddr *from)
{
	struct play	       *p = play;
	struct sink	       *s = p->sinks;
	const struct sink_rule *r;
	char			text[STREAM_ADDR_MAX + 48];

	the_figures.tried++;
	sockaddr_text(to, true, the_figures.last);
	play_note(p, "connect", bytes_of(the_figures.last));
	while (s != NULL && !address_is_same(to, &s->addr))
		s = s->next;
	if (s == NULL) {
		fake_link_refuse(l, EHOSTUNREACH);
		return;
	}
	s->connected_at = mem_realloc(s->connected_at,
	    (s->connections + 1) * sizeof(*s->connected_at));
	s->connected_from = mem_realloc(s->connected_from,
	    (s->connections + 1) * sizeof(*s->connected_from));
	s->connected_at[s->connections] = loop_wall(p->world->net);
	sockaddr_text(from, false, text);
	snprintf(s->connected_from[s->connections], 64, "%.60s", text);
	s->connections++;
	r = sink_rule_for(s, SINK_CONNECT, s->connections, "");
	if (r != NULL && r->act == ACT_REFUSE)
		fake_link_refuse(l, ECONNREFUSED);
	else if (r != NULL && r->act == ACT_UNREACHABLE)
		fake_link_refuse(l, ENETUNREACH);
	else if (r != NULL && r->act == ACT_SHORT)
		fake_link_refuse(l, EMFILE);
	else if (r == NULL || r->act != ACT_HANG)
		sink_talk_begin(s, l, text);
}

void
sinks_open(struct play *p)
{
	fake_net_open(p->world->net, sinks_on_connect, p);
}

static void
sink_free(struct sink *s)
{
	struct sink_rule *r;
	size_t		  i;

	while (s->talks != NULL)
		sink_talk_free(s->talks);
	while ((r = s->rules) != NULL) {
		s->rules = r->next;
		mem_free(r->address);
		mem_free(r->text);
		mem_free(r);
	}
	for (i = 0; i < s->copy_count; i++) {
		mem_free(s->copies[i].sender);
		mem_free(s->copies[i].rcpts);
		buf_wipe(&s->copies[i].content);
	}
	for (i = 0; i < s->said_count; i++)
		mem_free(s->said[i].text);
	mem_free(s->copies);
	mem_free(s->said);
	mem_free(s->connected_at);
	mem_free(s->connected_from);
	mem_free(s->name);
	mem_free(s->capabilities);
	mem_free(s->limit_reply);
	mem_free(s);
}

void
sinks_close(struct play *p)
{
	struct sink *s;

	while ((s = p->sinks) != NULL) {
		p->sinks = s->next;
		sink_free(s);
	}
}
