/* SPDX-License-Identifier: ISC */
/* One connection to a receiver: the server's side of SMTP. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sink_private.h"
#include "world.h"

enum { TALK_MAX = 128 * 1024 * 1024 };

static void sink_talk_turn(struct sink_talk *t);

/* -- notes ------------------------------------------------------------------------ */

static void
talk_note(struct sink_talk *t, char way, const char *text)
{
	char who[80];

	snprintf(who, sizeof(who), "%.60s#%u%c", t->sink->name, t->number,
	    way);
	play_note(t->sink->play, who, bytes_of(text));
}

static void
talk_note_said(struct sink_talk *t, const char *text)
{
	struct sink	 *s = t->sink;
	struct sink_line *l;

	s->said = mem_realloc(s->said, (s->said_count + 1) * sizeof(*s->said));
	l = &s->said[s->said_count++];
	l->at = loop_wall(s->play->world->net);
	l->connection = t->number;
	l->text = mem_dup(text);
	talk_note(t, '>', text);
}

/* -- answers ---------------------------------------------------------------------- */

static void
talk_hang_up(struct sink_talk *t, bool reset)
{
	if (t->gone)
		return;
	t->gone = true;
	t->sink->open--;
	timer_clear(&t->later);
	if (reset)
		fake_link_reset(t->net);
	else
		fake_link_close(t->net);
}

/* Lines divided by '|'. */
static void
talk_reply(struct sink_talk *t, const char *text)
{
	const char *bar;
	struct buf  out;

	buf_init(&out, 1 << 20);
	for (; (bar = strchr(text, '|')) != NULL; text = bar + 1) {
		buf_add(&out, text, (size_t)(bar - text));
		buf_add_text(&out, "\r\n");
	}
	buf_add_text(&out, text);
	buf_add_char(&out, '\0');
	talk_note(t, '<', out.p);
	out.n--;
	buf_add_text(&out, "\r\n");
	fake_link_write(t->net, buf_bytes(&out));
	buf_wipe(&out);
}

static void
talk_forget_mail(struct sink_talk *t)
{
	mem_free(t->sender);
	mem_free(t->rcpts);
	mem_free(t->path);
	t->sender = t->rcpts = t->path = NULL;
	buf_clear(&t->content);
	t->has_mail = t->chunk_refused = false;
}

static void
talk_keep_copy(struct sink_talk *t)
{
	struct sink	 *s = t->sink;
	struct sink_copy *c;

	s->copies = mem_realloc(s->copies,
	    (s->copy_count + 1) * sizeof(*s->copies));
	c = &s->copies[s->copy_count++];
	memset(c, 0, sizeof(*c));
	c->at = loop_wall(s->play->world->net);
	c->sender = mem_dup(t->sender != NULL ? t->sender : "");
	c->rcpts = mem_dup(t->rcpts != NULL ? t->rcpts : "");
	c->content = t->content;
	buf_init(&t->content, TALK_MAX);
	c->tls = t->tls;
	c->connection = t->number;
	snprintf(c->source, sizeof(c->source), "%s", t->source);
}

/* "PIPELINING, SIZE 1000": without STARTTLS once TLS is there. */
static void
talk_say_capabilities(struct sink_talk *t)
{
	struct buf  out;
	const char *p = t->sink->capabilities, *end;
	size_t	    n;

	buf_init(&out, 1 << 16);
	buf_printf(&out, "250-%s.example", t->sink->name);
	while (*p != '\0') {
		p += strspn(p, ", ");
		end = strchr(p, ',');
		n = end != NULL ? (size_t)(end - p) : strlen(p);
		if (n > 0 && !(t->tls && n == 8 &&
			strncasecmp(p, "STARTTLS", n) == 0))
			buf_printf(&out, "|250-%.*s", (int)n, p);
		p += n;
	}
	buf_add_text(&out, "|250 HELP");
	buf_add_char(&out, '\0');
	talk_reply(t, out.p);
	buf_wipe(&out);
}

/* The friendly answer. */
static void
talk_be_friendly(struct sink_talk *t, enum sink_stage stage)
{
	static const char *const texts[SINK_STAGES] = {
		[SINK_HELO] = "250 hello",
		[SINK_STARTTLS] = "220 go ahead",
		[SINK_MAIL] = "250 2.1.0 ok",
		[SINK_RCPT] = "250 2.1.5 ok",
		[SINK_DATA] = "354 go",
		[SINK_CHUNK] = "250 2.0.0 ok",
		[SINK_DOT] = "250 2.6.0 Message received",
		[SINK_RSET] = "250 2.0.0 ok",
		[SINK_NOOP] = "250 2.0.0 ok",
		[SINK_QUIT] = "221 2.0.0 bye"
	};
	char text[200];

	if (stage == SINK_GREETING) {
		snprintf(text, sizeof(text), "220 %.100s.example ESMTP",
		    t->sink->name);
		talk_reply(t, text);
	} else if (stage == SINK_EHLO) {
		talk_say_capabilities(t);
	} else {
		talk_reply(t, texts[stage]);
	}
}

static void
talk_keep_rcpt(struct sink_talk *t)
{
	struct buf all;

	buf_init(&all, 1 << 20);
	if (t->rcpts != NULL)
		buf_printf(&all, "%s,", t->rcpts);
	buf_add_text(&all, t->path);
	buf_add_char(&all, '\0');
	mem_free(t->rcpts);
	t->rcpts = all.p;
}

/* What an answer leads to, whoever gave it. */
static void
talk_answered(struct sink_talk *t, enum sink_stage stage, int code)
{
	if (stage == SINK_MAIL)
		t->has_mail = code / 100 == 2;
	if (stage == SINK_RCPT && code / 100 == 2)
		talk_keep_rcpt(t);
	if (stage == SINK_DATA && code == 354)
		t->in_data = true;
	if (stage == SINK_DOT && code / 100 == 2)
		talk_keep_copy(t);
	if (stage == SINK_DOT || stage == SINK_RSET)
		talk_forget_mail(t);
	if (stage == SINK_CHUNK && code / 100 != 2)
		t->chunk_refused = true;
	if (stage == SINK_QUIT)
		talk_hang_up(t, false);
}

static void
talk_act(struct sink_talk *t, enum sink_stage stage,
    const struct sink_rule *r)
{
	struct bytes raw;

	if (r == NULL && stage == SINK_RCPT && !t->has_mail) {
		talk_reply(t, "503 5.5.1 MAIL first");
		return;
	}
	if (r == NULL && (stage == SINK_DATA || stage == SINK_CHUNK ||
	    stage == SINK_DOT) && t->rcpts == NULL) {
		talk_reply(t, "554 5.5.1 no valid recipients");
		talk_answered(t, stage, 554);
		return;
	}
	if (r == NULL) {
		talk_be_friendly(t, stage);
		talk_answered(t, stage, stage == SINK_DATA ? 354 : 250);
		return;
	}
	raw = (struct bytes){ r->text, r->octets };
	switch (r->act) {
	case ACT_REPLY:
		talk_reply(t, r->text);
		talk_answered(t, stage, atoi(r->text));
		if (r->hangs_up)
			talk_hang_up(t, false);
		break;
	case ACT_RAW:
		fake_link_write(t->net, raw);
		break;
	case ACT_DROP:
	case ACT_RESET:
		/* a message that was taken all the same, perhaps */
		if (stage == SINK_DOT && strcmp(r->text, "taken") == 0)
			talk_keep_copy(t);
		talk_hang_up(t, r->act == ACT_RESET);
		break;
	case ACT_DEAF:
		t->deaf = true;
		fake_link_pause(t->net, true);
		talk_be_friendly(t, stage);
		talk_answered(t, stage, stage == SINK_DATA ? 354 : 250);
		break;
	default: /* ACT_HANG */
		t->deaf = true;
		break;
	}
}

static void
talk_on_later(void *talk, void *unused)
{
	struct sink_talk *t = talk;

	(void)unused;
	talk_act(t, t->later_stage, t->later_rule);
	sink_talk_turn(t);
}

static void
talk_reach(struct sink_talk *t, enum sink_stage stage, const char *address)
{
	const struct sink_rule *r = sink_rule_for(t->sink, stage, t->number,
	    address);

	if (r == NULL || r->after_ms == 0) {
		talk_act(t, stage, r);
		return;
	}
	t->later_stage = stage;
	t->later_rule = r;
	timer_set(&t->later, r->after_ms);
}

/* -- commands ----------------------------------------------------------------------- */

/* What stands between < and >. */
static char *
talk_path(const char *line)
{
	const char *from = strchr(line, '<'), *to;

	to = from != NULL ? strchr(from, '>') : NULL;
	if (to == NULL)
		return mem_dup("");
	return mem_dup_bytes((struct bytes){ from + 1,
	    (size_t)(to - from - 1) });
}

static void
talk_take_mail(struct sink_talk *t, const char *line)
{
	talk_forget_mail(t);
	t->sender = talk_path(line);
	talk_reach(t, SINK_MAIL, t->sender);
}

static void
talk_take_rcpt(struct sink_talk *t, const char *line)
{
	mem_free(t->path);
	t->path = talk_path(line);
	talk_reach(t, SINK_RCPT, t->path);
}

static void
talk_take_bdat(struct sink_talk *t, const char *line)
{
	char *end;

	t->chunk_left = strtoul(line + 4, &end, 10);
	t->chunk_is_last = strcasestr(end, "LAST") != NULL;
	t->in_chunk = true;
}

static void
talk_take_line(struct sink_talk *t, const char *line)
{
	static const struct {
		const char     *verb;
		enum sink_stage stage;
	} plain[] = { { "EHLO", SINK_EHLO }, { "HELO", SINK_HELO },
		{ "STARTTLS", SINK_STARTTLS }, { "DATA", SINK_DATA },
		{ "RSET", SINK_RSET }, { "NOOP", SINK_NOOP },
		{ "QUIT", SINK_QUIT } };
	size_t i;

	talk_note_said(t, line);
	if (strncasecmp(line, "MAIL", 4) == 0) {
		talk_take_mail(t, line);
		return;
	}
	if (strncasecmp(line, "RCPT", 4) == 0) {
		talk_take_rcpt(t, line);
		return;
	}
	if (strncasecmp(line, "BDAT", 4) == 0) {
		talk_take_bdat(t, line);
		return;
	}
	for (i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		if (strncasecmp(line, plain[i].verb,
			strlen(plain[i].verb)) == 0) {
			talk_reach(t, plain[i].stage, "");
			return;
		}
	talk_reply(t, "500 5.5.2 what?");
}

/* -- input ---------------------------------------------------------------------------- */

static bool
talk_step_chunk(struct sink_talk *t)
{
	size_t n = t->in.n < t->chunk_left ? t->in.n : t->chunk_left;

	must(buf_add(&t->content, t->in.p, n));
	buf_drop(&t->in, n);
	t->chunk_left -= n;
	if (t->chunk_left > 0)
		return false;
	t->in_chunk = false;
	if (t->chunk_refused)
		talk_reply(t, "503 5.5.1 no");
	else
		talk_reach(t, t->chunk_is_last ? SINK_DOT : SINK_CHUNK, "");
	return true;
}

static bool
talk_line_end(const struct sink_talk *t, size_t from, size_t *n)
{
	const char *lf = t->in.n == from ? NULL
	    : memchr(t->in.p + from, '\n', t->in.n - from);

	if (lf == NULL)
		return false;
	*n = (size_t)(lf - t->in.p) + 1 - from;
	return true;
}

/* All whole lines at once: dropped one by one, a large message took its time
 * squared. */
static bool
talk_step_data(struct sink_talk *t)
{
	size_t	    n, from = 0;
	const char *line;

	while (talk_line_end(t, from, &n)) {
		line = t->in.p + from;
		from += n;
		if (n == 3 && memcmp(line, ".\r\n", 3) == 0) {
			buf_drop(&t->in, from);
			t->in_data = false;
			talk_note_said(t, ".");
			talk_reach(t, SINK_DOT, "");
			return true;
		}
		if (line[0] == '.')
			must(buf_add(&t->content, line + 1, n - 1));
		else
			must(buf_add(&t->content, line, n));
	}
	buf_drop(&t->in, from);
	return false;
}

static bool
talk_step_line(struct sink_talk *t)
{
	size_t n;
	char  *line;

	if (!talk_line_end(t, 0, &n))
		return false;
	line = mem_dup_bytes(bytes_trim(
	    (struct bytes){ t->in.p, n }));
	buf_drop(&t->in, n);
	talk_take_line(t, line);
	mem_free(line);
	return true;
}

static void
sink_talk_turn(struct sink_talk *t)
{
	bool more = true;

	while (more && !t->gone && !t->deaf && !timer_is_set(&t->later)) {
		if (t->in_chunk)
			more = talk_step_chunk(t);
		else if (t->in_data)
			more = talk_step_data(t);
		else
			more = talk_step_line(t);
	}
}

static void
talk_on_data(void *talk, struct bytes data)
{
	struct sink_talk *t = talk;

	must(buf_add_bytes(&t->in, data));
	sink_talk_turn(t);
}

/* The daemon begins TLS. */
static void
talk_on_tls(void *talk, bool ok, const char *name, bool verify)
{
	struct sink_talk       *t = talk;
	const struct sink_rule *r = sink_rule_for(t->sink, SINK_TLS,
	    t->number, "");
	char note[300];

	(void)ok;
	snprintf(note, sizeof(note), "TLS %.250s%s", name,
	    verify ? " verify" : "");
	talk_note_said(t, note);
	if (r != NULL && r->act == ACT_HANG)
		return;
	if (r != NULL && r->act == ACT_BROKEN) {
		fake_link_tls(t->net, NULL, "sslv3 alert handshake failure",
		    false);
		return;
	}
	t->tls = true;
	fake_link_tls(t->net, r != NULL && r->act == ACT_REPLY ? r->text :
	    "TLSv1.3", "TLS_AES_256_GCM_SHA384",
	    r == NULL || r->act != ACT_UNTRUSTED);
}

static void
talk_on_end(void *talk)
{
	struct sink_talk *t = talk;

	talk_note(t, '>', "(closed)");
	talk_hang_up(t, false);
}

static const struct fake_peer_events talk_events = { talk_on_data,
	talk_on_tls, talk_on_end };

void
sink_talk_begin(struct sink *s, struct fake_link *net, const char *source)
{
	struct sink_talk *t = mem_alloc(sizeof(*t));

	t->sink = s;
	t->net = net;
	t->number = s->connections;
	snprintf(t->source, sizeof(t->source), "%.60s", source);
	buf_init(&t->in, TALK_MAX);
	buf_init(&t->content, TALK_MAX);
	timer_init(&t->later, s->play->world->net, talk_on_later, t);
	t->next = s->talks;
	t->link = &s->talks;
	if (t->next != NULL)
		t->next->link = &t->next;
	s->talks = t;
	if (++s->open > s->peak)
		s->peak = s->open;
	fake_link_accept(net, &talk_events, t);
	if (s->limit > 0 && s->open > s->limit) {
		talk_reply(t, s->limit_reply);
		talk_hang_up(t, false);
		return;
	}
	talk_reach(t, SINK_GREETING, "");
}

void
sink_talk_free(struct sink_talk *t)
{
	*t->link = t->next;
	if (t->next != NULL)
		t->next->link = t->link;
	timer_clear(&t->later);
	talk_forget_mail(t);
	buf_wipe(&t->in);
	buf_wipe(&t->content);
	mem_free(t);
}
