/* SPDX-License-Identifier: ISC */
#include "expect_json.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "reporting/event_mail.h"
#include "world.h"

enum { EVENTS_MAX = 1000000, TAGS_MAX = 128 };

/* -- events ------------------------------------------------------------------- */

struct event_search {
	struct play    *play;
	enum event_type type;
	uint64_t	sequence;
	struct buf	json;
	bool		found;
};

static bool
event_on_row(void *search, uint64_t sequence, const struct event *ev)
{
	struct event_search *s = search;
	struct event_mail    m;
	struct mail_row	     row;
	struct arena	    *a;
	struct err	     e;

	s->sequence = sequence;
	if (ev->type != s->type || event_is_note(ev))
		return true;
	a = arena_new(4 << 20);
	if (event_mail_find(s->play->world->relay->spool,
		s->play->world->conf, &ev->message, a, &row, &m, &e) != 1)
		play_fail(s->play, "an event without its message");
	buf_init(&s->json, 1 << 22);
	must(event_write_json(ev, &m, &s->json));
	buf_add_char(&s->json, '\0');
	arena_free(a);
	s->found = true;
	return false;
}

char *
event_next_json(struct play *p, enum event_type t, uint64_t *seen)
{
	struct event_search s = { .play = p, .type = t };
	struct err	    e;

	if (p->world->relay == NULL)
		play_fail(p, "the relay does not run");
	if (spool_scan_events(p->world->relay->spool, *seen, EVENTS_MAX,
		event_on_row, &s, &e) < 0)
		play_fail(p, "events: %s", e.text);
	if (!s.found)
		return NULL;
	*seen = s.sequence;
	return s.json.p;
}

struct event_gathering {
	struct play *play;
	int	     out;
};

static bool
event_on_gathered(void *gathering, uint64_t sequence, const struct event *ev)
{
	struct event_gathering *g = gathering;
	struct event_form	form = { .extensions = true };
	struct event_mail	m;
	struct mail_row		row;
	struct arena	       *a;
	struct buf		json;
	struct err		e;

	g->play->gathered = sequence;
	if (event_is_note(ev))
		return true;
	a = arena_new(4 << 20);
	buf_init(&json, 1 << 22);
	if (event_mail_find(g->play->world->relay->spool,
		g->play->world->conf, &ev->message, a, &row, &m, &e) == 1 &&
	    !row.system) {
		must(event_write_json_as(ev, &m, &form, &json));
		buf_add_char(&json, '\n');
		/* in one write: other plays append there as well */
		must(write(g->out, json.p, json.n) == (ssize_t)json.n);
	}
	buf_wipe(&json);
	arena_free(a);
	return true;
}

void
event_gather(struct play *p)
{
	const char	      *path = getenv("REPLAY_EVENTS");
	struct event_gathering g = { .play = p };
	struct err	       e;

	if (path == NULL || p->world->relay == NULL ||
	    !world_is_running(p->world))
		return;
	g.out = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	must(g.out >= 0);
	if (spool_scan_events(p->world->relay->spool, p->gathered, EVENTS_MAX,
		event_on_gathered, &g, &e) < 0)
		play_fail(p, "events: %s", e.text);
	close(g.out);
}

/* -- members ------------------------------------------------------------------- */

/* a.0.b; a name in the path may hold no dot but "\." */
static const json_t *
json_find(const json_t *v, const char *path)
{
	char   part[200];
	size_t n;

	while (v != NULL && *path != '\0') {
		for (n = 0; *path != '\0' && *path != '.' &&
		     n + 1 < sizeof(part); path++) {
			if (*path == '\\' && path[1] != '\0')
				path++;
			part[n++] = *path;
		}
		part[n] = '\0';
		if (*path == '.')
			path++;
		if (json_is_array(v))
			v = json_array_get(v, (size_t)atoi(part));
		else
			v = json_object_get(v, part);
	}
	return v;
}

static char *
json_to_text(const json_t *v)
{
	char *dump, *copy;

	if (v == NULL)
		return mem_dup("absent");
	if (json_is_string(v))
		return mem_dup(json_string_value(v));
	dump = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
	copy = mem_dup(dump);
	free(dump);
	return copy;
}

char *
json_member(struct play *p, const char *json, const char *path)
{
	json_error_t e;
	json_t	    *root = json_loads(json, JSON_DECODE_ANY, &e);
	char	    *text;

	if (root == NULL)
		play_fail(p, "not JSON: %s: %s", e.text, json);
	text = json_to_text(json_find(root, path));
	json_decref(root);
	return text;
}

void
json_expect(struct play *p, const char *json, const char *word)
{
	const char *eq = strchr(word, '=');
	char	   *path, *got;

	if (eq == NULL)
		play_fail(p, "PATH=VALUE: %s", word);
	path = mem_dup_bytes((struct bytes){ word, (size_t)(eq - word) });
	got = json_member(p, json, path);
	if (!text_matches(eq + 1, got))
		play_fail(p, "%s is %s, expected: %s in %s", path, got,
		    eq + 1, json);
	mem_free(path);
	mem_free(got);
}
