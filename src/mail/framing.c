/* SPDX-License-Identifier: ISC */
#include "mail/framing.h"

#include <string.h>

#include "base/err.h"

/*
 * Content is given on in runs as long as possible: [start, i) is what was
 * looked at, needs no change, and was not given on yet.
 */
struct run {
	struct framing *f;
	framing_sink   *sink;
	void	       *arg;
	size_t		lf, cr; /* next of each in the input; SIZE_MAX: unknown */
};

static void
give(const struct run *r, const char *p, size_t n)
{
	struct framing *f = r->f;

	if (n == 0)
		return;
	f->size += n;
	if (!f->has_eight_bit)
		f->has_eight_bit = bytes_has_eight_bit(
		    (struct bytes){ p, n });
	f->at_line_start = p[n - 1] == '\n';
	r->sink(r->arg, (struct bytes){ p, n });
}

static void
end_line(struct framing *f)
{
	if (f->line > f->longest)
		f->longest = f->line;
	f->line = 0;
}

void
framing_init(struct framing *f, enum framing_kind kind)
{
	memset(f, 0, sizeof(*f));
	f->kind = kind;
	f->state = FRAMING_LINE;
	f->at_line_start = true;
}

/* A CR that was held back and is followed by something else than LF. */
static void
bare_cr(const struct run *r)
{
	r->f->has_bare_cr = true;
	r->f->line++;
	give(r, " ", 1);
	r->f->state = FRAMING_TEXT;
}

/*
 * Octets that depend on what came before: one step of the state machine.
 * Returns whether the octet was used; if not, the state has become TEXT.
 */
static bool
step(const struct run *r, char c)
{
	struct framing *f = r->f;

	switch (f->state) {
	case FRAMING_LINE:
		if (f->kind == FRAMING_DATA && c == '.') {
			f->state = FRAMING_DOT;
			return true;
		}
		f->state = FRAMING_TEXT;
		return false;
	case FRAMING_DOT:
		/* the dot is deleted here: it is either the end or stuffed */
		if (c == '\r') {
			f->state = FRAMING_DOT_CR;
			return true;
		}
		f->state = FRAMING_TEXT;
		return false;
	case FRAMING_DOT_CR:
		if (c == '\n') {
			f->state = FRAMING_OVER;
			f->ended = true;
			return true;
		}
		bare_cr(r);
		return false;
	case FRAMING_CR:
		if (c != '\n') {
			bare_cr(r);
			return false;
		}
		give(r, "\r\n", 2);
		end_line(f);
		f->state = FRAMING_LINE;
		return true;
	default:
		return false;
	}
}

/* Index of the next c at or after i, in.n when there is none; *known is
 * where it was found last, so that each octet is looked at once. */
static size_t
next_of(struct bytes in, size_t i, char c, size_t *known)
{
	ptrdiff_t at;

	if (*known < i || *known == SIZE_MAX) {
		at = bytes_find(in, i, c);
		*known = at < 0 ? in.n : (size_t)at;
	}
	return *known;
}

/*
 * Text from i on, up to the end of input or to a place where the state
 * matters.  Whole lines that need no change stay in the run.
 */
static size_t
take_text(struct run *r, struct bytes in, size_t i)
{
	struct framing *f = r->f;
	size_t		start = i;

	while (i < in.n) {
		size_t lf = next_of(in, i, '\n', &r->lf);
		size_t cr = next_of(in, i, '\r', &r->cr);

		if (cr < lf && cr + 1 != lf) {
			/* bare; one at the very end comes below */
			f->line += cr - i;
			give(r, in.p + start, cr - start);
			f->state = FRAMING_CR;
			return cr + 1;
		}
		if (lf == in.n) {
			bool held = cr + 1 == in.n;

			f->line += in.n - i - (held ? 1 : 0);
			give(r, in.p + start, in.n - start - (held ? 1 : 0));
			if (held)
				f->state = FRAMING_CR;
			return in.n;
		}
		f->line += (cr < lf ? cr : lf) - i;
		end_line(f);
		i = lf + 1;
		if (cr > lf) {
			f->has_bare_lf = true;
			give(r, in.p + start, lf - start);
			give(r, "\r\n", 2);
			start = i;
			continue; /* a dot behind a bare LF is content */
		}
		if (i == in.n || (f->kind == FRAMING_DATA && in.p[i] == '.')) {
			f->state = FRAMING_LINE;
			break;
		}
	}
	give(r, in.p + start, i - start);
	return i;
}

size_t
framing_feed(struct framing *f, struct bytes in, framing_sink *sink,
    void *arg)
{
	struct run r = { f, sink, arg, SIZE_MAX, SIZE_MAX };
	size_t	   i = 0;

	while (i < in.n && f->state != FRAMING_OVER) {
		if (f->state == FRAMING_TEXT)
			i = take_text(&r, in, i);
		else if (step(&r, in.p[i]))
			i++;
	}
	if (i > 0 && !f->has_nul && memchr(in.p, '\0', i) != NULL)
		f->has_nul = true;
	return i;
}

void
framing_end(struct framing *f, framing_sink *sink, void *arg)
{
	struct run r = { f, sink, arg, SIZE_MAX, SIZE_MAX };

	must(f->kind == FRAMING_CHUNK);
	if (f->state == FRAMING_CR)
		bare_cr(&r);
	if (!f->at_line_start)
		give(&r, "\r\n", 2);
	end_line(f);
	f->state = FRAMING_OVER;
	f->ended = true;
}

/* -- outgoing ------------------------------------------------------------- */

void
stuffing_init(struct stuffing *s)
{
	s->at_line_start = true;
}

void
stuffing_feed(struct stuffing *s, struct bytes in, framing_sink *sink,
    void *arg)
{
	size_t	  start = 0, i = 0;
	ptrdiff_t lf;

	if (in.n == 0)
		return;
	for (;;) {
		if (s->at_line_start && i < in.n && in.p[i] == '.') {
			/* the run up to here takes the dot along, and the
			 * next run begins with it once more */
			sink(arg, (struct bytes){ in.p + start,
			    i + 1 - start });
			start = i;
		}
		s->at_line_start = false;
		lf = bytes_find(in, i, '\n');
		if (lf < 0)
			break;
		i = (size_t)lf + 1;
		s->at_line_start = true;
		if (i == in.n)
			break;
	}
	sink(arg, bytes_from(in, start));
}

void
stuffing_end(struct stuffing *s, framing_sink *sink, void *arg)
{
	if (!s->at_line_start)
		sink(arg, BYTES("\r\n"));
	sink(arg, BYTES(".\r\n"));
	s->at_line_start = true;
}
