/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/utf8.h"
#include "tools/ctl/ctl.h"

enum { COLUMNS_MAX = CTL_COLUMNS_MAX, MEMBER_MAX = CTL_MEMBER_MAX };

/* -- control characters ---------------------------------------------------- */

static bool
output_is_control(const unsigned char *u, size_t left)
{
	if (u[0] == '\n' || u[0] == '\t' ||
	    (u[0] == '\r' && left > 1 && u[1] == '\n'))
		return false;
	return u[0] < 0x20 || u[0] == 0x7f ||
	    (u[0] == 0xc2 && left > 1 && u[1] >= 0x80 && u[1] < 0xa0);
}

/* How many characters at the front are of those that are seen. */
static size_t
output_plain(const unsigned char *u, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if ((u[i] < 0x20 || u[i] == 0x7f || u[i] == 0xc2) &&
		    output_is_control(u + i, n - i))
			break;
	return i;
}

void
ctl_clean_text(char *text, size_t n)
{
	unsigned char *u = (unsigned char *)text;
	size_t	       i;

	for (i = output_plain(u, n); i < n;
	     i += output_plain(u + i, n - i)) {
		if (u[i] == 0xc2)
			u[i++] = '?';
		u[i++] = '?';
	}
}

void
ctl_clean(json_t *v)
{
	const char *name;
	json_t	   *item;
	size_t	    i;

	if (json_is_string(v))
		ctl_clean_text((char *)(uintptr_t)json_string_value(v),
		    json_string_length(v));
	json_array_foreach(v, i, item)
		ctl_clean(item);
	json_object_foreach(v, name, item)
		ctl_clean(item);
}

/* jansson writes DEL and C1 as they are. */
int
ctl_write_json(const char *text, size_t n, void *to)
{
	const unsigned char *u = (const unsigned char *)text;
	size_t		     i, plain;

	for (i = 0; i < n; i++) {
		plain = output_plain(u + i, n - i);
		fwrite(u + i, 1, plain, to);
		i += plain;
		if (i == n)
			break;
		if (u[i] == 0xc2)
			i++;
		fprintf(to, "\\u%04X", u[i]);
	}
	return 0;
}

void
ctl_dump_json(json_t *v, FILE *to, size_t flags)
{
	json_dump_callback(v, ctl_write_json, to, flags |
	    JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
	putc('\n', to);
}

static void
output_keep_ascii(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text > 126)
			*text = '?';
}

static void
output_error(struct ctl *c, const char *code, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));
static void
output_error(struct ctl *c, const char *code, const char *fmt, va_list ap)
{
	json_t *e;
	char	text[4096];

	vsnprintf(text, sizeof(text), fmt, ap);
	if (c->form != CTL_JSON) {
		ctl_clean_text(text, strlen(text));
		fprintf(stderr, "error: %s\n", text);
		return;
	}
	e = json_string(text);
	if (e == NULL) /* not UTF-8, or cut inside a character */
		output_keep_ascii(text);
	json_decref(e);
	e = json_pack("{s:{s:s, s:s}}", "Error", "Code",
	    code != NULL ? code : "InternalServiceErrorException", "Message",
	    text);
	ctl_dump_json(e, stderr, JSON_INDENT(4));
	json_decref(e);
}

void
ctl_say_error(struct ctl *c, const char *code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	output_error(c, code, fmt, ap);
	va_end(ap);
}

void
ctl_say_misuse(struct ctl *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	output_error(c, "BadRequestException", fmt, ap);
	va_end(ap);
}

void
ctl_print_json(json_t *v)
{
	ctl_dump_json(v, stdout, JSON_INDENT(4));
}

/* 2024-05-01T12:00:00.000Z, shown in seconds; with --local in local time */
bool
ctl_time_text(struct ctl *c, const char *s, struct buf *out)
{
	struct wall w;
	struct tm   tm;
	char	    text[CLOCK_TEXT_MAX];
	time_t	    t;

	if (strlen(s) < 20 || s[4] != '-' || s[10] != 'T' ||
	    !ctl_parse_time(s, (struct wall){ 0 }, &w))
		return false;
	if (!c->local_time) {
		buf_add_text(out, wall_iso_seconds(w, text));
		return true;
	}
	t = (time_t)(w.ms / 1000);
	localtime_r(&t, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S%z", &tm);
	buf_add_text(out, text);
	return true;
}

void
ctl_value_text(struct ctl *c, json_t *v, struct buf *out)
{
	json_t *item;
	size_t	i;
	double	d;

	if (v == NULL || json_is_null(v))
		buf_add_text(out, "-");
	else if (json_is_boolean(v))
		buf_add_text(out, json_is_true(v) ? "yes" : "no");
	else if (json_is_integer(v))
		buf_printf(out, "%lld", (long long)json_integer_value(v));
	else if (json_is_real(v)) {
		d = json_real_value(v);
		if (d == -1)
			buf_add_text(out, "unlimited");
		else
			buf_printf(out, "%.15g", d);
	} else if (json_is_string(v)) {
		if (json_string_length(v) == 0)
			buf_add_char(out, '-');
		else if (!ctl_time_text(c, json_string_value(v), out))
			buf_add_text(out, json_string_value(v));
	} else if (json_is_array(v)) {
		if (json_array_size(v) == 0)
			buf_add_text(out, "-");
		json_array_foreach(v, i, item) {
			if (i > 0)
				buf_add_char(out, ',');
			ctl_value_text(c, item, out);
		}
	} else {
		buf_add_text(out, "...");
	}
}

/* -- tables ---------------------------------------------------------------- */

size_t
ctl_columns(const char *text, struct ctl_column v[COLUMNS_MAX])
{
	size_t	    n = 0, k;
	const char *equals;

	while (*text != '\0' && n < COLUMNS_MAX) {
		k = strcspn(text, " ");
		equals = memchr(text, '=', k);
		memset(&v[n], 0, sizeof(v[n]));
		bytes_text((struct bytes){ text, (size_t)(equals - text) },
		    v[n].heading, sizeof(v[n].heading));
		bytes_text((struct bytes){ equals + 1,
		    k - (size_t)(equals + 1 - text) }, v[n].member,
		    MEMBER_MAX);
		n++;
		text += k + strspn(text + k, " ");
	}
	return n;
}

/* "LastUsed.Ip" of a row */
static json_t *
output_member(json_t *row, const char *path)
{
	char	    name[MEMBER_MAX];
	const char *dot;

	for (; (dot = strchr(path, '.')) != NULL; path = dot + 1) {
		bytes_text((struct bytes){ path, (size_t)(dot - path) }, name,
		    sizeof(name));
		row = json_object_get(row, name);
	}
	return json_object_get(row, path);
}

void
ctl_print_csv(const char *text, size_t n)
{
	size_t i;
	bool   quoted = n > 0 && (memchr(text, ',', n) != NULL ||
		memchr(text, '"', n) != NULL ||
		memchr(text, '\n', n) != NULL || text[0] == ' ');

	if (!quoted) {
		fwrite(text, 1, n, stdout);
		return;
	}
	putchar('"');
	for (i = 0; i < n; i++) {
		if (text[i] == '"')
			putchar('"');
		putchar(text[i]);
	}
	putchar('"');
}

const char *
ctl_text(json_t *object, const char *name)
{
	const char *s = json_string_value(json_object_get(object, name));

	return s != NULL && *s != '\0' ? s : "-";
}

long long
ctl_number(json_t *object, const char *name)
{
	return (long long)json_integer_value(json_object_get(object, name));
}

size_t
ctl_letters(struct bytes s)
{
	size_t i, n = 0;

	for (i = 0; i < s.n; i++)
		n += !utf8_is_inner(s.p[i]);
	return n;
}

static void
output_pad(size_t n)
{
	while (n-- > 0)
		putchar_unlocked(' ');
}

void
ctl_print_cell(struct ctl *c, const struct ctl_column *col,
    struct bytes text, bool first, bool last)
{
	size_t letters = ctl_letters(text), pad;

	if (c->form == CTL_CSV) {
		if (!first)
			putchar(',');
		ctl_print_csv(text.p, text.n);
		return;
	}
	pad = col->width > letters ? col->width - letters : 0;
	if (!first)
		fputs("  ", stdout);
	if (col->right)
		output_pad(pad);
	fwrite(text.p, 1, text.n, stdout);
	if (!col->right && !last)
		output_pad(pad);
}

void
ctl_print_table(struct ctl *c, json_t *rows, const char *columns)
{
	struct ctl_column col[COLUMNS_MAX];
	struct buf    cell;
	json_t	     *row, *v;
	size_t	      n = ctl_columns(columns, col), i, k, w;

	buf_init(&cell, 1 << 20);
	for (k = 0; k < n; k++) {
		col[k].width = strlen(col[k].heading);
		col[k].right = json_array_size(rows) > 0;
		json_array_foreach(rows, i, row) {
			v = output_member(row, col[k].member);
			if (!json_is_number(v) && !json_is_null(v))
				col[k].right = false;
			buf_clear(&cell);
			ctl_value_text(c, v, &cell);
			w = ctl_letters(buf_bytes(&cell));
			if (w > col[k].width)
				col[k].width = w;
		}
	}
	if (!c->no_header) {
		for (k = 0; k < n; k++)
			ctl_print_cell(c, &col[k], bytes_of(col[k].heading),
			    k == 0, k + 1 == n);
		putchar('\n');
	}
	json_array_foreach(rows, i, row) {
		for (k = 0; k < n; k++) {
			buf_clear(&cell);
			ctl_value_text(c, output_member(row, col[k].member),
			    &cell);
			ctl_print_cell(c, &col[k], buf_bytes(&cell), k == 0,
			    k + 1 == n);
		}
		putchar('\n');
	}
	buf_wipe(&cell);
}

/* -- names and values ------------------------------------------------------ */

static size_t
output_widest(json_t *o, size_t prefix)
{
	const char *name;
	json_t	   *v;
	size_t	    w, widest = 0;

	json_object_foreach(o, name, v) {
		w = prefix + strlen(name);
		if (json_is_object(v))
			w = output_widest(v, w + 1);
		else if (json_is_object(json_array_get(v, 0)))
			w = output_widest(json_array_get(v, 0), w + 4);
		if (w > widest)
			widest = w;
	}
	return widest;
}

static void
output_values(struct ctl *c, json_t *o, const char *prefix, size_t width)
{
	const char *name;
	struct buf  cell;
	char	    full[300];
	json_t	   *v, *item;
	size_t	    i;

	json_object_foreach(o, name, v) {
		snprintf(full, sizeof(full), "%s%s", prefix, name);
		if (json_is_object(v)) {
			snprintf(full, sizeof(full), "%s%s.", prefix, name);
			output_values(c, v, full, width);
			continue;
		}
		if (json_is_array(v) && json_array_size(v) > 0 &&
		    json_is_object(json_array_get(v, 0))) {
			json_array_foreach(v, i, item) {
				snprintf(full, sizeof(full), "%s%s[%zu].",
				    prefix, name, i);
				output_values(c, item, full, width);
			}
			continue;
		}
		buf_init(&cell, 1 << 20);
		ctl_value_text(c, v, &cell);
		ctl_clean_text(full, strlen(full));
		printf("%-*s  %.*s\n", (int)width, full, (int)cell.n, cell.p);
		buf_wipe(&cell);
	}
}

void
ctl_print_texts(json_t *texts)
{
	json_t *v;
	size_t	i;

	json_array_foreach(texts, i, v)
		if (json_is_string(v))
			puts(json_string_value(v));
}

void
ctl_print_values(struct ctl *c, json_t *object)
{
	output_values(c, object, "", output_widest(object, 0));
}

void
ctl_print_nothing(struct ctl *c, json_t *result)
{
	(void)c;
	(void)result;
}

void
ctl_show(struct ctl *c, json_t *result)
{
	json_t *rows;

	if (c->form == CTL_JSON) {
		ctl_print_json(result);
		return;
	}
	ctl_clean(result);
	if (c->command->show != NULL) {
		c->command->show(c, result);
		return;
	}
	rows = c->command->list != NULL
	    ? json_object_get(result, c->command->list) : NULL;
	if (rows != NULL && c->command->columns != NULL)
		ctl_print_table(c, rows, c->command->columns);
	else
		ctl_print_values(c, result);
}

void
ctl_octets_text(uint64_t n, char out[32])
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
	double			 v = (double)n;
	size_t			 i = 0;

	while (v >= 1000 && i < 4) {
		v /= 1000;
		i++;
	}
	snprintf(out, 32, i == 0 || v >= 10 ? "%.0f %s" : "%.1f %s", v,
	    units[i]);
}

void
ctl_span_text(int64_t s, char out[32])
{
	if (s >= 86400)
		snprintf(out, 32, "%lldd %02lld:%02lld",
		    (long long)(s / 86400), (long long)(s % 86400 / 3600),
		    (long long)(s % 3600 / 60));
	else
		snprintf(out, 32, "%02lld:%02lld:%02lld",
		    (long long)(s / 3600), (long long)(s % 3600 / 60),
		    (long long)(s % 60));
}
