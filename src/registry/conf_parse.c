/* SPDX-License-Identifier: ISC */
/*
 * The grammar of posthorn.conf: lines into a path and words, blocks into a
 * prefix of the path, includes in place.  After an error the rest of the line
 * is skipped, so that all errors of a file are found.
 */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/ascii.h"
#include "base/err.h"
#include "registry/conf_private.h"

enum { PARSE_WORDS_MAX = CONF_ITEMS_MAX };

struct parse_block {
	size_t	 prefix; /* elements before it */
	unsigned line;
	bool	 skip; /* unknown: what is in it is not looked at */
};

struct parse {
	struct conf_build *b;
	const char	  *file;
	struct bytes	   text;
	size_t		   at;
	unsigned	   line;
	struct conf_path   prefix;
	struct parse_block blocks[CONF_PATH_MAX + 1];
	size_t		   block_count;
	size_t		   skipped; /* blocks too deep to be kept */
	struct conf_word  *words; /* of this line */
	size_t		   word_count;
};

static struct conf_place
parse_place(const struct parse *p)
{
	return (struct conf_place){ p->file, p->line };
}

static bool
parse_is_skipping(const struct parse *p)
{
	return p->skipped > 0 ||
	    (p->block_count > 0 && p->blocks[p->block_count - 1].skip);
}

/* -- characters ------------------------------------------------------------ */

/* -1 at the end of the text */
static int
parse_peek(const struct parse *p)
{
	return p->at < p->text.n ? (unsigned char)p->text.p[p->at] : -1;
}

/* Length of a line end here: LF, CR LF; 0 = none. */
static size_t
parse_line_end(const struct parse *p, size_t at)
{
	if (at < p->text.n && p->text.p[at] == '\n')
		return 1;
	if (at + 1 < p->text.n && p->text.p[at] == '\r' &&
	    p->text.p[at + 1] == '\n')
		return 2;
	return 0;
}

static bool
parse_at_end(const struct parse *p)
{
	return p->at >= p->text.n || parse_line_end(p, p->at) > 0;
}

/* Blanks and continued lines. */
static void
parse_blanks(struct parse *p)
{
	int    c;
	size_t n;

	for (;;) {
		c = parse_peek(p);
		if (ascii_is_blank(c)) {
			p->at++;
		} else if (c == '\\' &&
		    (n = parse_line_end(p, p->at + 1)) > 0) {
			p->at += 1 + n;
			p->line++;
		} else {
			return;
		}
	}
}

static bool
parse_is_bare(const struct parse *p, bool in_path)
{
	int c = parse_peek(p);

	if (c <= ' ' || c == 0x7f || strchr("{}#\"'", c) != NULL)
		return false;
	if (in_path && (c == '.' || c == '='))
		return false;
	return c != '\\' || parse_line_end(p, p->at + 1) == 0;
}

/* The last character before a comment: "{" means that a block begins. */
static int
parse_skip_line(struct parse *p)
{
	int  c, last = 0;
	bool comment = false;

	while (!parse_at_end(p)) {
		c = parse_peek(p);
		if (!comment && c == '\\' &&
		    parse_line_end(p, p->at + 1) > 0) {
			parse_blanks(p);
			continue;
		}
		if (c == '#')
			comment = true;
		if (!comment && c != ' ' && c != '\t')
			last = c;
		p->at++;
	}
	return last;
}

/* -- words ----------------------------------------------------------------- */

static bool
parse_fail(struct parse *p, const char *what)
{
	if (!parse_is_skipping(p))
		conf_error(p->b, parse_place(p), "%s", what);
	return false;
}

static bool
parse_escape(struct parse *p, struct buf *out)
{
	int c;

	p->at++;
	c = parse_peek(p);
	if (c == 'n')
		c = '\n';
	else if (c == 't')
		c = '\t';
	else if (c != '"' && c != '\\')
		return parse_fail(p,
		    "only \\\", \\\\, \\n and \\t are known in quotes");
	p->at++;
	return buf_add_char(out, (char)c);
}

static bool
parse_quoted(struct parse *p, struct conf_word *out)
{
	struct buf s;
	bool	   good = true;
	int	   c;

	buf_init(&s, CONF_FILE_BYTES_MAX);
	p->at++;
	while (good && !parse_at_end(p) && (c = parse_peek(p)) != '"') {
		if (c == '\\') {
			good = parse_escape(p, &s);
		} else {
			good = buf_add_char(&s, (char)c);
			p->at++;
		}
	}
	if (good && parse_peek(p) != '"')
		good = parse_fail(p, "the quote is not closed");
	if (good) {
		p->at++;
		out->quoted = true;
		out->line = p->line;
		out->text = buf_bytes(&s);
		out->text = bytes_of(conf_text(p->b, out->text));
		/* NUL cannot be meant, and would cut the text short */
		if (out->text.n != s.n)
			good = p->b->full ||
			    parse_fail(p, "a NUL in the file");
	}
	buf_wipe(&s);
	return good;
}

static bool
parse_bare(struct parse *p, bool in_path, struct conf_word *out)
{
	size_t start = p->at;

	while (parse_is_bare(p, in_path))
		p->at++;
	out->text = bytes_head(bytes_from(p->text, start), p->at - start);
	out->quoted = false;
	out->line = p->line;
	return out->text.n > 0;
}

static bool
parse_is_name(struct bytes s)
{
	return bytes_is_word(s, "_-") && ascii_is_letter(s.p[0]);
}

static bool
parse_push(struct parse *p, const struct conf_word *w)
{
	if (p->prefix.n >= CONF_PATH_MAX)
		return parse_fail(p, "too many parts in a name");
	if (w->text.n == 0 || w->text.n > CONF_LABEL_MAX)
		return parse_fail(p, "a part of a name is empty or too long");
	p->prefix.v[p->prefix.n++] = *w;
	return true;
}

/* name *( "." ( name / label ) ), pushed behind the prefix of the block. */
static bool
parse_path(struct parse *p)
{
	struct conf_word w;

	if (!parse_bare(p, true, &w) || !parse_is_name(w.text))
		return parse_fail(p, "a line begins with a setting's name");
	if (!parse_push(p, &w))
		return false;
	while (parse_peek(p) == '.') {
		p->at++;
		if (parse_peek(p) == '"') {
			if (!parse_quoted(p, &w))
				return false;
		} else if (!parse_bare(p, true, &w)) {
			return parse_fail(p, "a name is missing after a dot");
		}
		if (!parse_push(p, &w))
			return false;
	}
	parse_blanks(p);
	if (parse_peek(p) == '=')
		p->at++;
	return true;
}

static bool
parse_add_word(struct parse *p, const struct conf_word *w)
{
	size_t n = p->word_count;

	if (n >= PARSE_WORDS_MAX)
		return parse_fail(p, "too many values");
	/* room is doubled when a power of two is full */
	if (n == 0)
		p->words = mem_realloc(p->words, 8 * sizeof(*p->words));
	else if (n >= 8 && (n & (n - 1)) == 0)
		p->words = mem_realloc(p->words, 2 * n * sizeof(*p->words));
	p->words[p->word_count++] = *w;
	return true;
}

/* Values up to the end of the line or to "{". */
static bool
parse_words(struct parse *p, bool *opens)
{
	struct conf_word w;
	int		 c;

	*opens = false;
	for (;;) {
		parse_blanks(p);
		c = parse_peek(p);
		if (parse_at_end(p))
			return true;
		if (c == '#') {
			parse_skip_line(p);
			return true;
		}
		if (c == '{') {
			p->at++;
			*opens = true;
			return true;
		}
		if (c == '}')
			return parse_fail(p,
			    "} stands on a line of its own");
		if (c == '\'')
			return parse_fail(p, "quotes are written \"");
		if (c == '"') {
			if (!parse_quoted(p, &w))
				return false;
			c = parse_peek(p);
			if (!parse_at_end(p) && c != '\\' &&
			    strchr(" \t{#", c) == NULL)
				return parse_fail(p,
				    "a blank is missing after a quote");
		} else if (!parse_bare(p, false, &w)) {
			return parse_fail(p, "a character that is not text");
		}
		if (!parse_add_word(p, &w))
			return false;
	}
}

/* Only a comment may follow; false = something else does. */
static bool
parse_rest_is_empty(struct parse *p)
{
	parse_blanks(p);
	if (parse_at_end(p))
		return true;
	if (parse_peek(p) != '#')
		return false;
	parse_skip_line(p);
	return true;
}

/* -- blocks ---------------------------------------------------------------- */

static void
parse_enter(struct parse *p, size_t prefix, unsigned line, bool skip)
{
	struct parse_block *block;

	if (p->block_count > CONF_PATH_MAX || p->skipped > 0) {
		p->skipped++;
		p->prefix.n = prefix;
		return;
	}
	block = &p->blocks[p->block_count++];
	block->prefix = prefix;
	block->line = line;
	block->skip = skip;
}

static void
parse_leave(struct parse *p)
{
	p->at++;
	if (p->skipped > 0) {
		p->skipped--;
	} else if (p->block_count > 0) {
		p->prefix.n = p->blocks[--p->block_count].prefix;
	} else {
		conf_error(p->b, parse_place(p), "unexpected }");
	}
	if (!parse_rest_is_empty(p)) {
		parse_fail(p, "nothing may stand after }");
		if (parse_skip_line(p) == '{')
			parse_enter(p, p->prefix.n, p->line, true);
	}
}

/* NAME LABEL ... { : labels become part of the prefix. */
static void
parse_open(struct parse *p, size_t prefix, struct conf_place at)
{
	bool   skip = parse_is_skipping(p), good = true;
	size_t i;

	for (i = 0; i < p->word_count && good; i++)
		good = parse_push(p, &p->words[i]);
	if (good && !parse_rest_is_empty(p)) {
		good = parse_fail(p, "nothing may stand after {: "
		    "a block is written over several lines");
		if (parse_skip_line(p) == '}') {
			p->prefix.n = prefix;
			return;
		}
	}
	if (!good)
		p->prefix.n = prefix;
	if (good && !skip)
		good = conf_apply_block(p->b, &p->prefix, at);
	parse_enter(p, prefix, at.line, skip || !good);
}

/* -- lines ----------------------------------------------------------------- */

static void
parse_include(struct parse *p, const struct conf_path *prefix,
    struct conf_place at);

static void
parse_directive(struct parse *p)
{
	struct conf_place at = parse_place(p);
	struct conf_path  outer = p->prefix;
	bool		  opens, good;

	p->word_count = 0;
	good = parse_path(p) && parse_words(p, &opens);
	if (!good) {
		p->prefix.n = outer.n;
		if (parse_skip_line(p) == '{')
			parse_enter(p, outer.n, at.line, true);
		return;
	}
	if (opens) {
		parse_open(p, outer.n, at);
		return;
	}
	if (!parse_is_skipping(p)) {
		if (p->prefix.n == outer.n + 1 &&
		    bytes_eq_text(p->prefix.v[outer.n].text, "include"))
			parse_include(p, &outer, at);
		else
			conf_apply(p->b, &p->prefix, p->words, p->word_count,
			    at);
	}
	p->prefix.n = outer.n;
}

static void
parse_run(struct parse *p)
{
	while (p->at < p->text.n) {
		parse_blanks(p);
		if (parse_peek(p) == '}')
			parse_leave(p);
		else if (parse_peek(p) == '#')
			parse_skip_line(p);
		else if (!parse_at_end(p))
			parse_directive(p);
		if (!parse_at_end(p))
			parse_skip_line(p);
		p->at += parse_line_end(p, p->at);
		p->line++;
	}
	if (p->block_count > 0) {
		p->line = p->blocks[p->block_count - 1].line;
		conf_error(p->b, parse_place(p), "the block is not closed");
	}
}

void
conf_parse_text(struct conf_build *b, const char *file, struct bytes text,
    const struct conf_path *prefix)
{
	struct parse *p = mem_alloc(sizeof(*p));

	p->b = b;
	p->file = file;
	p->text = text;
	p->line = 1;
	if (prefix != NULL)
		p->prefix = *prefix;
	parse_run(p);
	mem_free(p->words);
	mem_free(p);
}

/* -- files ----------------------------------------------------------------- */

const char *
conf_file_error(int code)
{
	return code == CONF_NOT_A_FILE ? "no regular file" : strerror(code);
}

/*
 * Whoever can write the file decides what runs as root.  Started without
 * root everything runs as the caller, and its own files are as good.
 */
static bool
file_is_safe(struct conf_build *b, int fd, struct conf_place at)
{
	struct stat st;

	if (fstat(fd, &st) != 0) {
		conf_error(b, at, "cannot read: %s", strerror(errno));
		return false;
	}
	if (!S_ISREG(st.st_mode)) {
		conf_error(b, at, "cannot read: it is %s",
		    S_ISDIR(st.st_mode) ? "a directory"
					: conf_file_error(CONF_NOT_A_FILE));
		return false;
	}
	if ((st.st_uid != 0 && st.st_uid != geteuid()) ||
	    (st.st_mode & S_IWOTH) != 0 ||
	    ((st.st_mode & S_IWGRP) != 0 && st.st_gid != 0 &&
		(geteuid() == 0 || st.st_gid != getegid()))) {
		conf_error(b, at, "can be written by others than root");
		return false;
	}
	return true;
}

static bool
file_read(struct conf_build *b, int fd, struct conf_place at,
    struct buf *out)
{
	char   *room;
	ssize_t n;

	do {
		room = buf_room(out, 4096);
		if (room == NULL) {
			conf_error(b, at, "larger than %d octets",
			    CONF_FILE_BYTES_MAX);
			return false;
		}
		n = read(fd, room, 4096);
		if (n < 0 && errno != EINTR) {
			conf_error(b, at, "cannot read: %s",
			    strerror(errno));
			return false;
		}
		if (n > 0)
			buf_commit(out, (size_t)n);
	} while (n != 0);
	return true;
}

static bool
file_note(struct conf_build *b, const char *path, struct conf_place from)
{
	struct conf_impl *impl = b->impl;

	if (impl->source_count >= CONF_FILES_MAX) {
		conf_error(b, from, "more than %d files", CONF_FILES_MAX);
		return false;
	}
	if (impl->sources == NULL)
		impl->sources = conf_alloc(b,
		    CONF_FILES_MAX * sizeof(*impl->sources));
	if (impl->sources == NULL)
		return false;
	impl->sources[impl->source_count++] = path;
	return true;
}

void
conf_parse_file(struct conf_build *b, const char *path,
    const struct conf_path *prefix, struct conf_place from)
{
	struct conf_place at = { conf_text(b, bytes_of(path)), 0 };
	struct buf	  text;
	int		  fd;

	if (!file_note(b, at.file, from))
		return;
	fd = b->opener->open != NULL
	    ? b->opener->open(b->opener->arg, path)
	    : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0) {
		if (from.file == NULL)
			from = at;
		conf_error(b, from, "cannot open %s: %s", path,
		    conf_file_error(errno));
		return;
	}
	buf_init(&text, CONF_FILE_BYTES_MAX + 4096);
	if (!file_is_safe(b, fd, at) || !file_read(b, fd, at, &text))
		;
	else if (b->depth == 0 && bytes_trim(buf_bytes(&text)).n == 0)
		/* cut off, or about to be written: nobody means that */
		conf_error(b, at, "the file is empty");
	else
		conf_parse_text(b, at.file, buf_bytes(&text), prefix);
	buf_wipe(&text);
	close(fd);
}

/* -- include --------------------------------------------------------------- */

static int
include_compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Among the paths that the opener knows; a process without the files. */
static void
include_known(struct parse *p, const char *pattern,
    const struct conf_path *prefix, struct conf_place at)
{
	const struct conf_opener *o = p->b->opener;
	const char		**found;
	size_t			  i, n = 0;

	found = mem_alloc((o->path_count + 1) * sizeof(*found));
	for (i = 0; i < o->path_count; i++)
		if (fnmatch(pattern, o->paths[i],
			FNM_PATHNAME | FNM_PERIOD) == 0)
			found[n++] = o->paths[i];
	qsort(found, n, sizeof(*found), include_compare);
	for (i = 0; i < n; i++)
		if (i == 0 || strcmp(found[i], found[i - 1]) != 0)
			conf_parse_file(p->b, found[i], prefix, at);
	if (n == 0 && strpbrk(pattern, "*?[") == NULL)
		conf_parse_file(p->b, pattern, prefix, at);
	mem_free(found);
}

static void
include_glob(struct parse *p, const char *pattern,
    const struct conf_path *prefix, struct conf_place at)
{
	glob_t g;
	size_t i;
	int    rc;

	memset(&g, 0, sizeof(g));
	rc = glob(pattern, GLOB_ERR, NULL, &g);
	if (rc == 0) {
		for (i = 0; i < g.gl_pathc; i++)
			conf_parse_file(p->b, g.gl_pathv[i], prefix, at);
	} else if (rc != GLOB_NOMATCH) {
		conf_error(p->b, at, "cannot look for %s", pattern);
	} else if (strpbrk(pattern, "*?[") == NULL) {
		/* a file named without pattern has to be there */
		conf_parse_file(p->b, pattern, prefix, at);
	}
	globfree(&g);
}

static void
parse_include(struct parse *p, const struct conf_path *prefix,
    struct conf_place at)
{
	struct conf_build *b = p->b;
	const char	  *slash = strrchr(p->file, '/');
	struct bytes	   folder = bytes_of(p->file), name;
	struct buf	   pattern;

	if (p->word_count != 1 || p->words[0].text.n == 0 ||
	    !conf_is_printable(p->words[0].text)) {
		conf_error(b, at, "include takes one file name or pattern");
		return;
	}
	if (b->depth >= CONF_INCLUDE_DEPTH_MAX) {
		conf_error(b, at, "includes are nested deeper than %d",
		    CONF_INCLUDE_DEPTH_MAX);
		return;
	}
	name = p->words[0].text;
	buf_init(&pattern, 8192);
	if (name.p[0] != '/' && slash != NULL)
		buf_add_bytes(&pattern,
		    bytes_head(folder, (size_t)(slash - p->file) + 1));
	buf_add_bytes(&pattern, name);
	buf_add_char(&pattern, '\0');
	if (pattern.failed) {
		conf_error(b, at, "include: the name is too long");
	} else {
		b->depth++;
		if (b->opener->paths != NULL)
			include_known(p, pattern.p, prefix, at);
		else
			include_glob(p, pattern.p, prefix, at);
		b->depth--;
	}
	buf_wipe(&pattern);
}
