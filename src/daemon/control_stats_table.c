/* SPDX-License-Identifier: ISC */
/* Deliverability by group, identity, set; the funnel (statistics.md 5). */
#include "daemon/control_stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	RANGE_DAYS = 60,     /* at most */
	DIFFERENCE_DAYS = 30 /* of longer ranges none is shown */
};

/* A name, in the range asked for and in the one before it. */
struct table_row {
	char		 name[STATISTIC_NAME_MAX + 1];
	struct statistic now, before;
	/* deliveries to groups that send reports */
	uint64_t	 reached, reached_before;
};
struct stats_table {
	struct request	 *q;
	struct wall	  from, until, before;
	bool		  has_before; /* differences are shown */
	enum statistic_scope scope;
	const char	 *within; /* identity or set; NULL = all */
	struct loops	 *loops;
	struct table_row *row;
	size_t		  n, cap;
};

static void
stats_table_wipe(void *table)
{
	struct stats_table *t = table;

	loops_free(t->loops);
	mem_free(t->row);
}

/* -- the range ------------------------------------------------------------- */

/* "7d", "8w", "2m" */
static int
range_days(struct request *q, const char *text, int64_t *days)
{
	char	*end;
	long	 n = strtol(text, &end, 10);
	static const struct {
		char unit;
		int  days, most;
	} units[] = { { 'd', 1, 60 }, { 'w', 7, 8 }, { 'm', 30, 2 } };
	size_t	 i;

	for (i = 0; i < 3; i++)
		if (end != text && end[0] == units[i].unit &&
		    end[1] == '\0' && n > 0 && n <= units[i].most) {
			*days = n * units[i].days;
			return 0;
		}
	return request_refuse(q, BOOK_BAD_REQUEST,
	    "--range: %.40s is not one of 1d to 60d, 1w to 8w, 1m, 2m", text);
}

/* Whole days of UTC; a relative range ends with yesterday. */
static int
table_take_range(struct stats_table *t)
{
	struct request *q = t->q;
	const char     *text = arg_text(q, "range");
	struct wall	midnight = statistic_floor(STATISTIC_DAY, q->now);
	int64_t		days = 7;
	int		from, to;

	if (text != NULL && range_days(q, text, &days) != 0)
		return -1;
	t->until = midnight;
	t->from.ms = midnight.ms - days * STATISTIC_DAY_MS;
	from = arg_time(q, "from", &t->from);
	to = arg_time(q, "to", &t->until);
	if (from < 0 || to < 0)
		return -1;
	if ((from | to) != 0 && (text != NULL || (from & to) == 0))
		return request_misuse(q,
		    "--from and --to, or --range");
	if (from != 0) {
		t->from = statistic_floor(STATISTIC_DAY, t->from);
		/* the last day is included */
		t->until = statistic_floor(STATISTIC_DAY, t->until);
		t->until.ms += STATISTIC_DAY_MS;
		days = (t->until.ms - t->from.ms) / STATISTIC_DAY_MS;
	}
	if (days < 1 || days > RANGE_DAYS)
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "a range has 1 to %d days", RANGE_DAYS);
	t->has_before = days <= DIFFERENCE_DAYS;
	t->before.ms = t->from.ms - days * STATISTIC_DAY_MS;
	return 0;
}

/* -- rows ------------------------------------------------------------------ */

static struct table_row *
table_find(struct stats_table *t, struct bytes name)
{
	struct table_row *r;
	size_t		  i;

	for (i = 0; i < t->n; i++)
		if (bytes_eq_text(name, t->row[i].name))
			return &t->row[i];
	if (t->n == t->cap) {
		t->cap = t->cap * 2 + 32;
		t->row = mem_realloc(t->row, t->cap * sizeof(*t->row));
	}
	r = &t->row[t->n++];
	memset(r, 0, sizeof(*r));
	bytes_text(name, r->name, sizeof(r->name));
	return r;
}

static void
row_take(const struct stats_table *t, struct table_row *r, struct wall at,
    const struct statistic *v)
{
	statistic_sum(at.ms >= t->from.ms ? &r->now : &r->before, v);
}

/* Rows of groups, which tell what a complaint could come from. */
static void
row_take_reach(const struct stats_table *t, struct table_row *r,
    struct bytes provider, struct wall at, const struct statistic *v)
{
	uint64_t n = statistic_get(v, COUNT_DELIVERIES);

	if (loops_count(t->loops) > 0 && !loops_has(t->loops, provider))
		return;
	if (at.ms >= t->from.ms)
		r->reached += n;
	else
		r->reached_before += n;
}

static bool
table_on_row(void *arg, const struct statistic_key *k,
    const struct statistic *v)
{
	struct stats_table *t = arg;
	struct table_row   *r;
	struct bytes	    name = k->name, provider = k->name;
	bool		    is_pair = k->scope ==
		    STATISTIC_IDENTITY_PROVIDER ||
		k->scope == STATISTIC_SET_PROVIDER;

	if (is_pair && !statistic_name_split(k->name, &name, &provider))
		return true;
	if (t->within != NULL) { /* its groups are the rows */
		if (!bytes_eq_text(name, t->within))
			return true;
		name = provider;
	}
	r = table_find(t, name);
	if (!is_pair || t->within != NULL)
		row_take(t, r, k->time, v);
	if (is_pair || k->scope == STATISTIC_PROVIDER)
		row_take_reach(t, r, provider, k->time, v);
	return true;
}

static int
table_read(struct stats_table *t, enum statistic_scope scope)
{
	struct statistic_question x;

	stats_question(t->q, STATISTIC_DAY, scope, "", &x);
	x.any_name = true;
	x.from = t->has_before ? t->before : t->from;
	x.until = t->until;
	return statistic_each(t->q->relay->spool, &x, table_on_row, t,
	    &t->q->err);
}

/* -- as JSON --------------------------------------------------------------- */

static double
count_of(const struct statistic *v, enum statistic_counter c)
{
	return (double)statistic_get(v, c);
}

/* A volume with its rate, and how that differs from before. */
struct figure {
	const char *name;
	double	    n, part, whole, part_before, whole_before;
};

static void
figure_write(const struct stats_table *t, json_t *o, const struct figure *f)
{
	char name[64];

	json_object_set_new(o, f->name, json_integer((json_int_t)f->n));
	snprintf(name, sizeof(name), "%sRate", f->name);
	json_object_set_new(o, name, json_of_ratio(f->part, f->whole));
	snprintf(name, sizeof(name), "%sDifference", f->name);
	json_object_set_new(o, name, !t->has_before || f->whole <= 0 ||
		f->whole_before <= 0 ? json_null() : json_real(
	    f->part / f->whole - f->part_before / f->whole_before));
}

static void
row_write_bounces(const struct stats_table *t, const struct table_row *r,
    json_t *o)
{
	const struct statistic *a = &r->now, *b = &r->before;
	double sends = count_of(a, COUNT_SENDS) - count_of(a,
	    COUNT_SUPPRESSED);
	double before = count_of(b, COUNT_SENDS) - count_of(b,
	    COUNT_SUPPRESSED);

	figure_write(t, o, &(struct figure){ "TransientBounces",
	    count_of(a, COUNT_TRANSIENT), count_of(a, COUNT_TRANSIENT), sends,
	    count_of(b, COUNT_TRANSIENT), before });
	figure_write(t, o, &(struct figure){ "PermanentBounces",
	    count_of(a, COUNT_BOUNCES), count_of(a, COUNT_BOUNCES), sends,
	    count_of(b, COUNT_BOUNCES), before });
}

static json_t *
row_json(const struct stats_table *t, const struct table_row *r)
{
	const struct statistic *a = &r->now, *b = &r->before;
	double	sends = count_of(a, COUNT_SENDS);
	double	before = count_of(b, COUNT_SENDS);
	json_t *o = json_pack("{s:o, s:I, s:o}", "Name",
	    json_of_bytes(bytes_of(r->name)), "Volume", (json_int_t)sends,
	    "VolumeDifference", !t->has_before || before <= 0 ? json_null()
		: json_real((sends - before) / before));

	figure_write(t, o, &(struct figure){ "Delivered",
	    count_of(a, COUNT_DELIVERIES), count_of(a, COUNT_DELIVERIES),
	    sends, count_of(b, COUNT_DELIVERIES), before });
	figure_write(t, o, &(struct figure){ "Complaints",
	    count_of(a, COUNT_COMPLAINTS), count_of(a, COUNT_COMPLAINTS),
	    (double)r->reached, count_of(b, COUNT_COMPLAINTS),
	    (double)r->reached_before });
	row_write_bounces(t, r, o);
	/* a message that was opened twice counts once in the rate */
	figure_write(t, o, &(struct figure){ "Opens",
	    count_of(a, COUNT_OPENS), count_of(a, COUNT_OPENED),
	    count_of(a, COUNT_TRACKED), count_of(b, COUNT_OPENED),
	    count_of(b, COUNT_TRACKED) });
	figure_write(t, o, &(struct figure){ "Clicks",
	    count_of(a, COUNT_CLICKS), count_of(a, COUNT_CLICKED),
	    count_of(a, COUNT_TRACKED), count_of(b, COUNT_CLICKED),
	    count_of(b, COUNT_TRACKED) });
	return o;
}

static int
row_order(const void *a, const void *b)
{
	const struct table_row *x = a, *y = b;
	uint64_t		n = statistic_get(&x->now, COUNT_SENDS);
	uint64_t		m = statistic_get(&y->now, COUNT_SENDS);

	if (n != m)
		return n > m ? -1 : 1;
	return strcmp(x->name, y->name);
}

static void
table_write(struct stats_table *t)
{
	json_t *rows = json_array();
	size_t	i;

	if (t->n > 1)
		qsort(t->row, t->n, sizeof(*t->row), row_order);
	for (i = 0; i < t->n; i++)
		if (!statistic_is_zero(&t->row[i].now))
			json_array_append_new(rows, row_json(t, &t->row[i]));
	request_set(t->q, "Rows", rows);
	request_set(t->q, "Range", json_pack("{s:o, s:o}", "Start",
	    json_of_seconds(t->from), "End", json_of_seconds(t->until)));
}

static int
table_work(struct request *q)
{
	struct stats_table *t = q->state;

	t->loops = loops_read(q->relay->spool, q->conf, q->now, &q->err);
	if (t->loops == NULL || table_read(t, t->scope) < 0)
		return -1;
	/* complaints are over what went to groups that tell of them */
	if (t->scope == STATISTIC_IDENTITY &&
	    table_read(t, STATISTIC_IDENTITY_PROVIDER) < 0)
		return -1;
	if (t->scope == STATISTIC_SET &&
	    table_read(t, STATISTIC_SET_PROVIDER) < 0)
		return -1;
	table_write(t);
	return 0;
}

static void
table_start(struct request *q)
{
	request_work(q, table_work, request_end);
}

static enum statistic_scope
table_scope(const struct request *q, const char **within)
{
	const char *identity = arg_text(q, "identity");
	const char *set = arg_text(q, "config-set");

	*within = identity != NULL ? identity : set;
	if (identity != NULL)
		return STATISTIC_IDENTITY_PROVIDER;
	if (set != NULL)
		return STATISTIC_SET_PROVIDER;
	if (strcmp(q->command->verb, "stats isp") == 0)
		return STATISTIC_PROVIDER;
	return strcmp(q->command->verb, "stats identity") == 0
	    ? STATISTIC_IDENTITY : STATISTIC_SET;
}

void
stats_table(struct request *q)
{
	struct stats_table *t = request_state(q, sizeof(*t),
	    stats_table_wipe);

	t->q = q;
	t->scope = table_scope(q, &t->within);
	if (table_take_range(t) != 0)
		request_end(q);
	else
		request_sync(q, table_start);
}

/* -- the funnel ------------------------------------------------------------ */

static int
funnel_work(struct request *q)
{
	struct stats_table	 *t = q->state;
	struct statistic_question x;
	struct statistic	  v;
	double			  sends, delivered, tracked;

	stats_question(q, STATISTIC_DAY, STATISTIC_ACCOUNT, "", &x);
	x.from = t->from;
	x.until = t->until;
	if (statistic_read(q->relay->spool, &x, &v, &q->err) < 0)
		return -1;
	sends = count_of(&v, COUNT_SENDS);
	delivered = count_of(&v, COUNT_DELIVERIES);
	tracked = count_of(&v, COUNT_TRACKED);
	request_set(q, "Funnel", json_pack(
	    "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "Requested",
	    (json_int_t)sends, "Sent", (json_int_t)count_of(&v, COUNT_ENDED),
	    "Delivered", (json_int_t)delivered, "Opened",
	    (json_int_t)count_of(&v, COUNT_OPENED), "Clicked",
	    (json_int_t)count_of(&v, COUNT_CLICKED), "Unsubscribed",
	    (json_int_t)count_of(&v, COUNT_SUBSCRIPTIONS), "Complained",
	    (json_int_t)count_of(&v, COUNT_COMPLAINTS), "Bounced",
	    (json_int_t)count_of(&v, COUNT_BOUNCES)));
	request_set(q, "Rates", json_pack("{s:o, s:o, s:o, s:o, s:o}",
	    "InvalidAddresses",
	    json_of_ratio(count_of(&v, COUNT_INVALID), sends),
	    "Deliverability", json_of_ratio(delivered, sends), "SpamBounces",
	    json_of_ratio(count_of(&v, COUNT_SPAM), sends), "Complaints",
	    json_of_ratio(count_of(&v, COUNT_COMPLAINTS), delivered),
	    "Opens", json_of_ratio(count_of(&v, COUNT_OPENED), tracked)));
	request_set(q, "Range", json_pack("{s:o, s:o}", "Start",
	    json_of_seconds(t->from), "End", json_of_seconds(t->until)));
	return 0;
}

static void
funnel_start(struct request *q)
{
	request_work(q, funnel_work, request_end);
}

void
stats_funnel(struct request *q)
{
	struct stats_table *t = request_state(q, sizeof(*t),
	    stats_table_wipe);

	t->q = q;
	if (table_take_range(t) != 0)
		request_end(q);
	else
		request_sync(q, funnel_start);
}
