/* SPDX-License-Identifier: ISC */
#include "play.h"

#include <ctype.h>
#include <stdarg.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "client.h"
#include "expect_json.h"
#include "fake_clock.h"
#include "fake_http.h"
#include "fake_resolver.h"
#include "fake_thread.h"
#include "sink.h"
#include "world.h"

enum { PLAY_MAX = 1 << 24, PLAY_TTL = 300 };

/* -- failing and telling --------------------------------------------------------- */

void
play_fail(struct play *p, const char *fmt, ...)
{
	char	text[4096];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fprintf(stderr, "%s:%u: %s\n", p->path, p->line, text);
	fflush(stderr);
	_exit(1);
}

void
play_note(struct play *p, const char *who, struct bytes text)
{
	char show[400];

	if (p->verbose)
		printf("%8lld.%03lld %s: %s\n",
		    (long long)(clock_wall().ms - p->mark.ms) / 1000,
		    (long long)(clock_wall().ms - p->mark.ms) % 1000, who,
		    text_show(text, show, sizeof(show)));
}

static void
play_on_log(void *play, const char *line)
{
	struct play *p = play;

	if (p->log_count == p->log_cap) {
		p->log_cap = p->log_cap * 2 + 64;
		p->log = mem_realloc(p->log, p->log_cap * sizeof(*p->log));
	}
	p->log[p->log_count++] = mem_dup(line);
	if (p->verbose)
		printf("  %s\n", line);
}

void
play_settle(struct play *p)
{
	if (!p->is_holding && !fake_threads_settle())
		play_fail(p, "the loops do not come to rest");
}

/* -- what a play is made of ------------------------------------------------------- */

void
play_set_var(struct play *p, const char *name, const char *value)
{
	mem_free(table_take(p->vars, bytes_of(name)));
	must(table_put(p->vars, bytes_of(name), mem_dup(value)));
}

const char *
play_var(struct play *p, const char *name)
{
	const char *v = table_get(p->vars, bytes_of(name));

	if (v == NULL)
		play_fail(p, "${%s} is not set", name);
	return v;
}

int64_t
play_duration(struct play *p, const char *text)
{
	int64_t ms;

	if (!text_to_duration(text, &ms))
		play_fail(p, "not a duration: %s", text);
	return ms;
}

double
play_number(struct play *p, const char *text)
{
	double v;

	if (!text_to_number(text, &v))
		play_fail(p, "not a number: %s", text);
	return v;
}

/* The line with its ${NAME} filled in; mem_free(). */
static char *
play_expand(struct play *p, const char *line)
{
	struct buf  out;
	const char *end;
	char	   *name;

	buf_init(&out, PLAY_MAX);
	for (; *line != '\0'; line++) {
		end = line[0] == '$' && line[1] == '{' ? strchr(line, '}') :
		    NULL;
		if (end == NULL) {
			buf_add_char(&out, *line);
			continue;
		}
		name = mem_dup_bytes((struct bytes){ line + 2,
		    (size_t)(end - line - 2) });
		buf_add_text(&out, play_var(p, name));
		mem_free(name);
		line = end;
	}
	buf_add_char(&out, '\0');
	return out.p;
}

void
play_read_block(struct play *p, const char *end, struct buf *out)
{
	unsigned from = p->line;
	char	*line;

	for (;;) {
		if (p->line == p->line_count) {
			p->line = from;
			play_fail(p, "the block has no end");
		}
		line = p->lines[p->line++];
		if (strcmp(line, "}") == 0)
			return;
		line = play_expand(p, line);
		must(buf_add_text(out, line) && buf_add_text(out, end));
		mem_free(line);
	}
}

/* -- commands -------------------------------------------------------------------------- */

static void
do_config(struct play *p, const struct words *w)
{
	struct buf text;

	(void)w;
	buf_init(&text, PLAY_MAX);
	play_read_block(p, "\n", &text);
	world_add_conf(p->world, buf_bytes(&text));
	buf_wipe(&text);
}

static void
do_replace_config(struct play *p, const struct words *w)
{
	buf_clear(&p->world->conf_text);
	do_config(p, w);
}

static void
do_order(struct play *p, const struct words *w)
{
	struct order *o = mem_alloc(sizeof(*o));

	if (!p->world->is_new)
		play_fail(p, "%s: only before the first start", w->v[0]);
	must(words_split(w->line, &o->words));
	o->line = p->line;
	*p->orders_last = o;
	p->orders_last = &o->next;
}

/* text NAME {: lines with CRLF, as a client hands them in */
static void
do_text(struct play *p, const struct words *w)
{
	struct buf *b = mem_alloc(sizeof(*b));

	if (w->n < 2)
		play_fail(p, "text NAME {");
	buf_init(b, PLAY_MAX);
	play_read_block(p, "\r\n", b);
	must(table_get(p->texts, bytes_of(w->v[1])) == NULL);
	must(table_put(p->texts, bytes_of(w->v[1]), b));
}

/* dns NAME TYPE VALUE [ttl=N]; dns NAME [TYPE] gone */
static void
do_dns(struct play *p, const struct words *w)
{
	const char *ttl = words_value(w, 4, "ttl");

	if (w->n == 3 && strcmp(w->v[2], "gone") == 0)
		fake_dns_remove(w->v[1], NULL);
	else if (w->n >= 4 && strcmp(w->v[3], "gone") == 0)
		fake_dns_remove(w->v[1], w->v[2]);
	else if (w->n < 4 || !fake_dns_add(w->v[1], w->v[2], w->v[3],
		     ttl != NULL ? (uint32_t)play_number(p, ttl) : PLAY_TTL))
		play_fail(p, "dns NAME TYPE VALUE [ttl=N]");
}

static void
do_dns_slow(struct play *p, const struct words *w)
{
	if (w->n != 2)
		play_fail(p, "dns-slow DURATION");
	fake_dns_slow(play_duration(p, w->v[1]));
}

/* web HOST ANSWER...: see fake_http.h */
static void
do_web(struct play *p, const struct words *w)
{
	if (w->n < 3)
		play_fail(p, "web HOST ANSWER...");
	fake_http_answers(w->v[1], words_rest(w, 2));
}

static void
do_clock(struct play *p, const struct words *w)
{
	struct wall at;

	if (w->n != 2 || !text_to_wall(w->v[1], &at))
		play_fail(p, "clock TIME");
	fake_clock_set(at);
	p->mark = at;
}

static void
do_clock_jump(struct play *p, const struct words *w)
{
	bool back = w->n == 2 && w->v[1][0] == '-';

	if (w->n != 2)
		play_fail(p, "clock-jump [-]DURATION");
	fake_clock_jump(back ? -play_duration(p, w->v[1] + 1) :
	    play_duration(p, w->v[1]));
}

static void
do_start(struct play *p, const struct words *w)
{
	(void)w;
	world_start(p);
}

/* stop [now] */
static void
do_stop(struct play *p, const struct words *w)
{
	world_stop(p, w->n > 1);
}

static void
do_restart(struct play *p, const struct words *w)
{
	(void)w;
	world_stop(p, false);
	world_end(p);
	world_start(p);
}

static void
do_kill(struct play *p, const struct words *w)
{
	(void)w;
	world_kill(p);
}

static void
do_reload(struct play *p, const struct words *w)
{
	(void)w;
	world_reload(p);
}

static void
do_advance(struct play *p, const struct words *w)
{
	if (w->n != 2)
		play_fail(p, "advance DURATION");
	if (!fake_threads_advance(play_duration(p, w->v[1])))
		play_fail(p, "the loops do not come to rest");
	play_settle(p);
}

static void
do_skip(struct play *p, const struct words *w)
{
	if (w->n != 2)
		play_fail(p, "skip DURATION");
	if (!fake_threads_skip(play_duration(p, w->v[1])))
		play_fail(p, "the loops do not come to rest");
	play_settle(p);
}

/* until DURATION after the mark, or TIME */
static void
do_until(struct play *p, const struct words *w)
{
	struct wall at;
	int64_t	    ms;

	if (w->n != 2)
		play_fail(p, "until TIME");
	if (text_to_duration(w->v[1], &ms))
		at.ms = p->mark.ms + ms;
	else if (!text_to_wall(w->v[1], &at))
		play_fail(p, "not a time: %s", w->v[1]);
	if (at.ms < clock_wall().ms)
		play_fail(p, "that time is over");
	if (!fake_threads_advance(at.ms - clock_wall().ms))
		play_fail(p, "the loops do not come to rest");
	play_settle(p);
}

static void
do_mark(struct play *p, const struct words *w)
{
	(void)w;
	p->mark = clock_wall();
}

static void
do_hold(struct play *p, const struct words *w)
{
	(void)w;
	p->is_holding = true;
}

static void
do_go(struct play *p, const struct words *w)
{
	(void)w;
	p->is_holding = false;
	play_settle(p);
}

/* ctl VERB WORDS... [{"json":"args"}] [account=ID]; ctl! when it must fail */
static void
do_control(struct play *p, const struct words *w)
{
	struct buf  q;
	const char *account = words_value(w, 1, "account"), *args = "{}";
	unsigned    i;
	bool	    failed, wanted = strcmp(w->v[0], "ctl!") == 0;

	buf_init(&q, 1 << 20);
	buf_add_text(&q, "{\"verb\":\"");
	for (i = 1; i < w->n; i++) {
		if (words_rest(w, i)[0] == '{') {
			args = words_rest(w, i);
			break;
		}
		if (strchr(w->v[i], '=') == NULL)
			buf_printf(&q, "%s%s", i > 1 ? " " : "", w->v[i]);
	}
	buf_add_text(&q, "\",\"account\":");
	if (account != NULL)
		buf_printf(&q, "\"%s\"", account);
	else
		buf_add_text(&q, "null");
	buf_printf(&q, ",\"args\":%s,\"dry_run\":false}\n", args);
	buf_add_char(&q, '\0');
	mem_free(p->answer);
	play_note(p, "ctl", bytes_of(q.p));
	p->answer = world_control(p, q.p);
	play_note(p, "ctl", bytes_of(p->answer));
	buf_wipe(&q);
	failed = strstr(p->answer, "\"error\"") != NULL;
	if (failed != wanted || p->answer[0] == '\0')
		play_fail(p, "answer: %s", p->answer);
}

/* set NAME VALUE */
static void
do_set(struct play *p, const struct words *w)
{
	if (w->n != 3)
		play_fail(p, "set NAME VALUE");
	play_set_var(p, w->v[1], w->v[2]);
}

static void
take_member(struct play *p, const struct words *w)
{
	char *value;

	if (p->answer == NULL)
		play_fail(p, "there is no answer");
	value = json_member(p, p->answer, w->v[2]);
	if (strcmp(value, "absent") == 0)
		play_fail(p, "no %s in %s", w->v[2], p->answer);
	play_set_var(p, w->v[1], value);
	mem_free(value);
}

static void
take_from_copy(struct play *p, const struct words *w)
{
	struct sink *s = sink_find(p, w->v[3]);
	size_t	     n = (size_t)play_number(p, w->v[4]);
	regmatch_t   m[2];
	regex_t	     re;
	char	    *text, *value;

	if (n == 0 || n > s->copy_count)
		play_fail(p, "%s has %zu copies", s->name, s->copy_count);
	if (regcomp(&re, w->v[5], REG_EXTENDED) != 0 || re.re_nsub < 1)
		play_fail(p, "no expression with a group: %s", w->v[5]);
	text = mem_dup_bytes(buf_bytes(&s->copies[n - 1].content));
	if (regexec(&re, text, 2, m, 0) != 0)
		play_fail(p, "not in the copy: %s", w->v[5]);
	value = mem_dup_bytes((struct bytes){ text + m[1].rm_so,
	    (size_t)(m[1].rm_eo - m[1].rm_so) });
	play_set_var(p, w->v[1], value);
	mem_free(value);
	mem_free(text);
	regfree(&re);
}

/* take NAME PATH | take NAME copy RECEIVER N EXPRESSION */
static void
do_take(struct play *p, const struct words *w)
{
	if (w->n == 3)
		take_member(p, w);
	else if (w->n == 6 && strcmp(w->v[2], "copy") == 0)
		take_from_copy(p, w);
	else
		play_fail(p, "take NAME PATH | copy RECEIVER N EXPRESSION");
}

/* repeat N COMMAND...: ${i} counts from 1 */
static void play_obey(struct play *p, const char *line);

static void
do_repeat(struct play *p, const struct words *w)
{
	unsigned i, n;
	char	 text[16], *raw, *line, *at;

	if (w->n < 3)
		play_fail(p, "repeat N COMMAND");
	n = (unsigned)play_number(p, w->v[1]);
	for (i = 1; i <= n; i++) {
		snprintf(text, sizeof(text), "%u", i);
		raw = mem_dup(words_rest(w, 2));
		/* %i in place of ${i}, which is filled in before */
		while ((at = strstr(raw, "%i")) != NULL) {
			line = mem_alloc(strlen(raw) + sizeof(text));
			sprintf(line, "%.*s%s%s", (int)(at - raw), raw, text,
			    at + 2);
			mem_free(raw);
			raw = line;
		}
		play_obey(p, raw);
		mem_free(raw);
	}
}

static const struct {
	const char *name;
	void (*fn)(struct play *p, const struct words *w);
} play_commands[] = { { "config", do_config },
	{ "replace-config", do_replace_config },
	{ "account", do_order },
	{ "credential", do_order },
	{ "identity", do_order },
	{ "config-set", do_order },
	{ "source", do_order },
	{ "text", do_text },
	{ "dns", do_dns }, { "dns-slow", do_dns_slow },
	{ "web", do_web },
	{ "receiver", sink_read },
	{ "change", sink_change },
	{ "clock", do_clock },
	{ "clock-jump", do_clock_jump },
	{ "start", do_start },
	{ "stop", do_stop },
	{ "restart", do_restart },
	{ "kill", do_kill },
	{ "reload", do_reload },
	{ "advance", do_advance },
	{ "skip", do_skip },
	{ "until", do_until },
	{ "mark", do_mark },
	{ "hold", do_hold },
	{ "go", do_go },
	{ "connect", client_connect },
	{ "login", client_login },
	{ "send", client_send },
	{ "ctl", do_control },
	{ "ctl!", do_control },
	{ "set", do_set },
	{ "take", do_take },
	{ "repeat", do_repeat },
	{ "expect", expect } };

static void
play_obey(struct play *p, const char *line)
{
	struct words w;
	size_t	     i;

	if (client_line(p, line))
		return;
	if (!words_split(line, &w))
		play_fail(p, "a quote is not closed");
	for (i = 0; w.n > 0 &&
	     i < sizeof(play_commands) / sizeof(play_commands[0]); i++)
		if (strcmp(play_commands[i].name, w.v[0]) == 0)
			break;
	if (i == sizeof(play_commands) / sizeof(play_commands[0]))
		play_fail(p, "unknown command: %s", line);
	if (w.n > 0)
		play_commands[i].fn(p, &w);
	words_wipe(&w);
}

void
play_run(struct play *p)
{
	char *line;

	while (p->line < p->line_count) {
		line = p->lines[p->line++];
		while (isblank((unsigned char)*line))
			line++;
		if (*line == '\0' || *line == '#')
			continue;
		line = play_expand(p, line);
		play_obey(p, line);
		mem_free(line);
		event_gather(p);
	}
	if (p->world->relay != NULL && world_is_running(p->world))
		world_stop(p, true);
	world_end(p);
}

/* -- life ---------------------------------------------------------------------------------- */

static void
play_read(struct play *p, const char *path)
{
	FILE   *f = fopen(path, "r");
	char   *line = NULL;
	size_t	cap = 0;
	ssize_t n;

	if (f == NULL)
		play_fail(p, "cannot be opened");
	while ((n = getline(&line, &cap, f)) > 0) {
		if (line[n - 1] == '\n')
			line[n - 1] = '\0';
		p->lines = mem_realloc(p->lines,
		    (p->line_count + 1) * sizeof(*p->lines));
		p->lines[p->line_count++] = mem_dup(line);
	}
	free(line);
	fclose(f);
}

struct play *
play_open(const char *path, const char *dir, bool verbose)
{
	struct play *p = mem_alloc(sizeof(*p));

	p->path = path;
	p->verbose = verbose;
	p->orders_last = &p->orders;
	p->vars = table_new(0);
	p->texts = table_new(0);
	play_read(p, path);
	log_capture(play_on_log, p);
	log_process("relay");
	p->world = world_open(dir);
	p->mark = clock_wall();
	sinks_open(p);
	play_set_var(p, "dir", dir);
	return p;
}

static void
play_free_var(void *arg, struct bytes key, void *value)
{
	(void)arg;
	(void)key;
	mem_free(value);
}

static void
play_free_text(void *arg, struct bytes key, void *value)
{
	(void)arg;
	(void)key;
	buf_wipe(value);
	mem_free(value);
}

void
play_close(struct play *p)
{
	struct order *o;
	size_t	      i;

	clients_close(p);
	sinks_close(p);
	world_close(p->world);
	fake_dns_remove(NULL, NULL);
	log_capture(NULL, NULL);
	while ((o = p->orders) != NULL) {
		p->orders = o->next;
		words_wipe(&o->words);
		mem_free(o);
	}
	for (i = 0; i < p->line_count; i++)
		mem_free(p->lines[i]);
	for (i = 0; i < p->log_count; i++)
		mem_free(p->log[i]);
	mem_free(p->lines);
	mem_free(p->log);
	mem_free(p->answer);
	table_each(p->vars, play_free_var, NULL);
	table_free(p->vars);
	table_each(p->texts, play_free_text, NULL);
	table_free(p->texts);
	mem_free(p);
}
