/* SPDX-License-Identifier: ISC */
/* Microsoft's data of source addresses (reputation.md 7.3). */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/control_stats.h"
#include "registry/finding.h"
#include "registry/snds.h"
#include "registry/source.h"

enum {
	SNDS_FILE_MAX = 4 * 1024 * 1024,
	SNDS_ROWS_MAX = 20000,
	SNDS_COMPLAINTS_MAX = 10 /* lines that are named */
};

struct snds_import {
	int		 fd;
	struct db_txn	*t; /* while the file is read */
	bool		 has_sources;
	struct snds_row *v;
	size_t		 n, cap, lines, refused;
	json_t		*rows;
	/* accounts whose state is to be judged; "" = none */
	char		 account[ACCOUNT_ID_SIZE];
};

static void
import_wipe(void *state)
{
	struct snds_import *m = state;

	if (m->fd >= 0)
		close(m->fd);
	mem_free(m->v);
}

/* -- shown ----------------------------------------------------------------- */

static json_t *
snds_json(const struct snds_row *r)
{
	struct wall day = { r->day * (int64_t)STATISTIC_DAY_MS };
	char	    at[CLOCK_TEXT_MAX], shown[SNDS_SHOWN_SIZE];

	return json_pack("{s:s, s:s%, s:I, s:I, s:I, s:f, s:f, s:s, s:I}",
	    "Ip", r->address, "Day", wall_iso_seconds(day, at), (size_t)10,
	    "RCPTCommands", (json_int_t)r->rcpts, "DATACommands",
	    (json_int_t)r->datas, "MessageRecipients",
	    (json_int_t)r->recipients, "SpamRate", snds_spam_rate(r->filter),
	    "ComplaintRate", (double)r->complaints / 1e6,
	    "ComplaintRateShown",
	    snds_complaints_to_text(r->complaints, shown), "TrapHits",
	    (json_int_t)r->traps);
}

/* What we counted ourselves towards all receivers on that day. */
static int
snds_add_own(struct request *q, const struct snds_row *r, json_t *o)
{
	struct statistic_question x;
	struct statistic	  v;

	memset(&x, 0, sizeof(x));
	x.key.series = STATISTIC_COMMANDS;
	x.key.scope = STATISTIC_SOURCE;
	x.key.name = bytes_of(r->address);
	x.from.ms = r->day * (int64_t)STATISTIC_DAY_MS;
	x.until.ms = x.from.ms + STATISTIC_DAY_MS;
	if (statistic_read(q->relay->spool, &x, &v, &q->err) < 0)
		return -1;
	json_object_set_new(o, "OwnRCPTCommands",
	    json_integer((json_int_t)statistic_get(&v, COUNT_RCPTS)));
	json_object_set_new(o, "OwnDATACommands",
	    json_integer((json_int_t)statistic_get(&v, COUNT_DATAS)));
	return 0;
}

struct showing {
	struct request *q;
	json_t	       *rows;
	bool		failed;
};

static bool
showing_on_row(void *arg, const struct snds_row *r)
{
	struct showing *x = arg;
	json_t	       *o = snds_json(r);

	x->failed = snds_add_own(x->q, r, o) < 0;
	json_array_append_new(x->rows, o);
	return !x->failed;
}

int
control_show_snds(struct request *q, struct db_txn *t, const char *address,
    json_t *rows)
{
	struct showing x = { q, rows, false };

	if (snds_each(t, address, showing_on_row, &x, &q->err) < 0)
		return -1;
	return x.failed ? -1 : 0;
}

/* -- the file -------------------------------------------------------------- */

static int
import_read_file(struct request *q, struct snds_import *m, struct buf *text)
{
	char	piece[65536];
	ssize_t n;

	while ((n = read(m->fd, piece, sizeof(piece))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return request_refuse(q, BOOK_BAD_REQUEST,
			    "the file cannot be read: %s", strerror(errno));
		if (!buf_add(text, piece, (size_t)n))
			return request_refuse(q, BOOK_LIMIT,
			    "the file is larger than %d octets",
			    SNDS_FILE_MAX);
	}
	return 0;
}

/* Without sources of its own, posthorn does not know what it is called by
 * others, and takes all. */
static int
import_check_address(struct request *q, const struct snds_import *m,
    const struct snds_row *row, const char **why)
{
	struct source s;
	int	      rc;

	if (!m->has_sources)
		return 0;
	rc = source_get(m->t, row->address, &s, &q->err);
	if (rc == 0)
		*why = "it is none of the source addresses";
	return rc < 0 ? -1 : 0;
}

static int
import_take_line(struct request *q, struct snds_import *m, struct bytes line)
{
	struct snds_row row;
	const char     *why;

	m->lines++;
	line = bytes_trim(line);
	if (line.n == 0 || (m->lines == 1 && snds_is_heading(line)))
		return 0;
	why = snds_parse(line, q->now, &row);
	if (why == NULL && import_check_address(q, m, &row, &why) < 0)
		return -1;
	if (why != NULL) {
		if (m->refused++ < SNDS_COMPLAINTS_MAX)
			request_warn(q, "line %zu: %s", m->lines, why);
		return 0;
	}
	if (m->n >= SNDS_ROWS_MAX)
		return request_refuse(q, BOOK_LIMIT,
		    "the file has more than %d rows", SNDS_ROWS_MAX);
	if (m->n == m->cap) {
		m->cap = m->cap * 2 + 64;
		m->v = mem_realloc(m->v, m->cap * sizeof(*m->v));
	}
	m->v[m->n++] = row;
	return 0;
}

static bool
import_on_source(void *arg, const struct source *s)
{
	(void)s;
	*(bool *)arg = true;
	return false;
}

static int
import_take_lines(struct request *q, struct snds_import *m, struct bytes text)
{
	struct bytes rest;
	ptrdiff_t    end;
	int rc = source_each(m->t, import_on_source, &m->has_sources, &q->err);

	for (rest = bytes_without_bom(text); rc == 0 && rest.n > 0;
	    rest = bytes_from(rest, end < 0 ? rest.n : (size_t)end + 1)) {
		end = bytes_find(rest, 0, '\n');
		rc = import_take_line(q, m, bytes_head(rest,
		    end < 0 ? rest.n : (size_t)end));
	}
	return rc;
}

static int
import_work(struct request *q)
{
	struct snds_import *m = q->state;
	struct buf	    text;
	int		    rc;

	buf_init(&text, SNDS_FILE_MAX);
	rc = import_read_file(q, m, &text);
	if (rc == 0) {
		m->t = book_read(q->relay->book, &q->err);
		rc = m->t == NULL ? -1 :
		    import_take_lines(q, m, buf_bytes(&text));
		if (m->t != NULL)
			book_end(m->t);
		m->t = NULL;
	}
	buf_wipe(&text);
	if (rc == 0 && m->n == 0)
		rc = request_refuse(q, BOOK_BAD_REQUEST,
		    "there is no line of SNDS data in the file");
	return rc;
}

/* -- written --------------------------------------------------------------- */

/* A few hits already harm (reputation.md 5): one finding as long as it is
 * open. */
static int
import_open_finding(struct request *q, struct db_txn *t,
    const struct snds_row *r)
{
	struct snds_import *m = q->state;
	struct source	    s;
	struct finding	    f;
	int		    rc = source_get(t, r->address, &s, &q->err);

	if (rc < 0)
		return -1;
	memset(&f, 0, sizeof(f));
	if (rc == 1)
		memcpy(f.account, s.account, sizeof(f.account));
	f.type = FINDING_SPAM_TRAP;
	f.action = finding_default_action(f.type);
	f.source = FINDING_BY_IMPORT;
	f.opened = q->now;
	snprintf(f.scope, sizeof(f.scope), "ip %s", r->address);
	snprintf(f.note, sizeof(f.note), "Microsoft reports %llu messages "
	    "from %s to trap accounts", (unsigned long long)r->traps,
	    r->address);
	rc = finding_is_open(t, f.account, f.type, f.scope, &q->err);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	memcpy(m->account, f.account, sizeof(m->account));
	return finding_open(t, &f, &q->err);
}

static int
import_write(struct request *q, struct db_txn *t)
{
	struct snds_import *m = q->state;
	bool		    has_traps;
	size_t		    i;

	request_would(q, "import %zu rows", m->n);
	for (i = 0; i < m->n; i++)
		if (snds_put(t, &m->v[i], q->now, &has_traps, &q->err) < 0 ||
		    (has_traps && import_open_finding(q, t, &m->v[i]) < 0))
			return -1;
	if (m->refused > 0)
		q->status = CONTROL_STATUS_IN_PART;
	return 0;
}

static int
import_show(struct request *q)
{
	struct snds_import *m = q->state;
	json_t		   *o;
	size_t		    i;

	for (i = 0; i < m->n; i++) {
		o = snds_json(&m->v[i]);
		json_array_append_new(m->rows, o);
		if (snds_add_own(q, &m->v[i], o) < 0)
			return -1;
	}
	request_set(q, "Imported", json_integer((json_int_t)m->n));
	request_set(q, "Refused", json_integer((json_int_t)m->refused));
	return 0;
}

static void
import_after(struct request *q)
{
	struct snds_import *m = q->state;

	if (m->account[0] != '\0')
		(void)reporter_post_judge(q->relay->reporter, m->account);
	m->rows = json_array();
	request_set(q, "Snds", m->rows);
	request_work(q, import_show, request_end);
}

static void
import_begin(struct request *q)
{
	request_write(q, import_write, import_after);
}

static void
snds_import(struct request *q)
{
	struct snds_import *m = request_state(q, sizeof(*m), import_wipe);

	m->fd = -1;
	if (arg_file(q, "file", &m->fd) < 0)
		request_end(q);
	else if (m->fd < 0)
		request_end_refused(q, BOOK_BAD_REQUEST,
		    "file: is missing");
	else
		request_work(q, import_work, import_begin);
}

const struct command control_snds_commands[] = {
	{ "snds import", NEED_OPERATOR, SCOPE_NONE, "SndsImport", "snds",
	    snds_import },
	{ NULL, NEED_ANY, SCOPE_ANY, NULL, NULL, NULL }
};
