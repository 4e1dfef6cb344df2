/* SPDX-License-Identifier: ISC */
#include "registry/alarm.h"

#include <stdio.h>
#include <string.h>

#include "registry/account.h"
#include "store/pack.h"

enum {
	ALARM_RECORD = 1,
	RECORD_MAX = 2048,
	HISTORY_MAX = ALARM_HISTORY * (ALARM_REASON_SIZE + 16) + 16
};

struct transition {
	struct wall	 at;
	enum alarm_state to;
	char		 reason[ALARM_REASON_SIZE];
};

const char *
alarm_state_to_text(enum alarm_state s)
{
	return s == ALARM_OK ? "OK" : "ALARM";
}

const char *
alarm_metric_to_text(enum alarm_metric m)
{
	return m == ALARM_BOUNCE_RATE ? "Reputation.BounceRate"
				      : "Reputation.ComplaintRate";
}

bool
alarm_name_is_valid(struct bytes name)
{
	return bytes_is_word(name, "-_") && name.n < ALARM_NAME_SIZE;
}

/* -- the record ------------------------------------------------------------ */

bool
alarm_write_record(const struct alarm *a, struct buf *out)
{
	pack_u64(out, ALARM_RECORD);
	pack_text(out, a->account);
	pack_text(out, a->name);
	pack_text(out, a->description);
	pack_u64(out, (uint64_t)a->metric);
	pack_text(out, a->set);
	pack_double(out, a->threshold);
	pack_bool(out, a->notifies);
	pack_bool(out, a->pauses);
	pack_u64(out, (uint64_t)a->state);
	pack_text(out, a->reason);
	pack_i64(out, a->updated.ms);
	return !out->failed;
}

bool
alarm_read_record(struct bytes in, struct alarm *out)
{
	struct unpack u = unpack_of(in);
	uint64_t      metric, state;

	memset(out, 0, sizeof(*out));
	u.failed |= unpack_u64(&u) != ALARM_RECORD;
	unpack_text(&u, out->account, sizeof(out->account));
	unpack_text(&u, out->name, sizeof(out->name));
	unpack_text(&u, out->description, sizeof(out->description));
	metric = unpack_u64(&u);
	unpack_text(&u, out->set, sizeof(out->set));
	out->threshold = unpack_double(&u);
	out->notifies = unpack_bool(&u);
	out->pauses = unpack_bool(&u);
	state = unpack_u64(&u);
	u.failed |= metric > ALARM_COMPLAINT_RATE || state > ALARM_ALARM;
	out->metric = u.failed ? 0 : (enum alarm_metric)metric;
	out->state = u.failed ? 0 : (enum alarm_state)state;
	unpack_text(&u, out->reason, sizeof(out->reason));
	out->updated = unpack_wall(&u);
	return unpack_done(&u);
}

/* A row that stands where another belongs is damaged: what is done to it
 * would be done to the other. */
static bool
alarm_read_row(struct bytes key, struct bytes value, struct alarm *out)
{
	struct book_key room;

	return alarm_read_record(value, out) &&
	    bytes_eq(book_key(&room, out->account, bytes_of(out->name)), key);
}

/* -- the register ---------------------------------------------------------- */

static int
alarm_store(struct db_txn *t, const struct alarm *a, struct err *e)
{
	struct book_key key;
	struct buf	b;

	buf_init(&b, RECORD_MAX);
	alarm_write_record(a, &b);
	return book_put(t, BOOK_ALARM, book_key(&key, a->account,
	    bytes_of(a->name)), &b, e);
}

/* Those apply to the whole account: a set's pause needs figures of its own. */
static int
alarm_check(struct db_txn *t, const struct alarm *a, struct err *e)
{
	struct config_set s;
	int		  rc;

	if (!alarm_name_is_valid(bytes_of(a->name)))
		return book_refuse(e, BOOK_BAD_REQUEST, "the name of an "
		    "alarm has 1 to %d of A-Z a-z 0-9 - _",
		    ALARM_NAME_SIZE - 1);
	if (!(a->threshold > 0))
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "the threshold of an alarm is a fraction above 0");
	if (a->set[0] == '\0')
		return 0;
	rc = config_set_get(t, a->account, bytes_of(a->set), &s, e);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return book_refuse(e, BOOK_NOT_FOUND,
		    "Configuration set does not exist: %s", a->set);
	if (a->pauses && !s.reputation)
		return book_refuse(e, BOOK_BAD_REQUEST, "configuration set "
		    "%s has no reputation metrics: config-set set %s "
		    "--reputation on", a->set, a->set);
	return 0;
}

int
alarm_put(struct db_txn *t, const struct alarm *a, struct err *e)
{
	return alarm_check(t, a, e) < 0 ? -1 : alarm_store(t, a, e);
}

int
alarm_create(struct db_txn *t, const struct alarm *a, struct err *e)
{
	struct alarm there;
	int	     rc = alarm_get(t, a->account, a->name, &there, e);
	int n = book_count(t, BOOK_ALARM, bytes_of(a->account), e);

	if (rc < 0 || n < 0)
		return -1;
	if (rc == 1)
		return book_refuse(e, BOOK_EXISTS, "alarm %s exists",
		    a->name);
	if (n >= ALARMS_MAX)
		return book_refuse(e, BOOK_LIMIT,
		    "an account has at most %d alarms", ALARMS_MAX);
	return alarm_put(t, a, e);
}

int
alarm_get(struct db_txn *t, const char *account, const char *name,
    struct alarm *out, struct err *e)
{
	struct book_key room;
	struct bytes	key = book_key(&room, account, bytes_of(name)), value;
	int		rc = db_get(t, BOOK_ALARM, key, &value, e);

	if (rc == 1 && !alarm_read_row(key, value, out))
		return err_set(e, "alarm %s: the record is damaged", name);
	return rc;
}

int
alarm_delete(struct db_txn *t, const char *account, const char *name,
    struct err *e)
{
	struct book_key room;
	struct bytes	key = book_key(&room, account, bytes_of(name));

	if (db_delete(t, BOOK_ALARM_PAST, key, e) < 0)
		return -1;
	return db_delete(t, BOOK_ALARM, key, e);
}

int
alarm_each(struct db_txn *t, const char *account,
    bool (*fn)(void *arg, const struct alarm *a), void *arg, struct err *e)
{
	struct book_rows r;
	struct alarm	 a;

	book_rows_open(&r, t, BOOK_ALARM, bytes_of(account), e);
	while (book_rows_next(&r))
		if (!alarm_read_row(r.key, r.value, &a))
			r.status = err_set(e, "an alarm is damaged");
		else if (!fn(arg, &a))
			break;
	return book_rows_close(&r);
}

int
alarm_purge(struct db_txn *t, const char *account, unsigned max,
    struct err *e)
{
	/* there are as many alarms as there are pasts, or more */
	if (book_purge(t, BOOK_ALARM_PAST, bytes_of(account), max, e) < 0)
		return -1;
	return book_purge(t, BOOK_ALARM, bytes_of(account), max, e);
}

/* -- transitions ----------------------------------------------------------- */

/* The newest last; a damaged one is forgotten. */
static unsigned
history_read(struct bytes value, struct transition *v)
{
	struct unpack u = unpack_of(value);
	unsigned      n = 0;

	while (unpack_more(&u) && n < ALARM_HISTORY) {
		v[n].at = unpack_wall(&u);
		v[n].to = unpack_bool(&u) ? ALARM_ALARM : ALARM_OK;
		unpack_text(&u, v[n].reason, sizeof(v[n].reason));
		n += !u.failed;
	}
	return n;
}

static int
history_add(struct db_txn *t, const struct alarm *a, struct err *e)
{
	struct transition *v = mem_alloc((ALARM_HISTORY + 1) * sizeof(*v));
	struct bytes	   value;
	struct buf	   b;
	struct book_key	   room;
	struct bytes	   key = book_key(&room, a->account,
		  bytes_of(a->name));
	unsigned	   n = 0, i;
	int		   rc = db_get(t, BOOK_ALARM_PAST, key, &value, e);

	if (rc == 1)
		n = history_read(value, v);
	v[n].at = a->updated;
	v[n].to = a->state;
	memcpy(v[n++].reason, a->reason, sizeof(a->reason));
	buf_init(&b, HISTORY_MAX);
	for (i = n > ALARM_HISTORY ? n - ALARM_HISTORY : 0; i < n; i++) {
		pack_i64(&b, v[i].at.ms);
		pack_bool(&b, v[i].to == ALARM_ALARM);
		pack_text(&b, v[i].reason);
	}
	mem_free(v);
	if (rc >= 0)
		return book_put(t, BOOK_ALARM_PAST, key, &b, e);
	buf_wipe(&b);
	return -1;
}

int
alarm_history(struct db_txn *t, const struct alarm *a,
    bool (*fn)(void *arg, struct wall at, enum alarm_state to,
	const char *reason),
    void *arg, struct err *e)
{
	struct transition *v = mem_alloc(ALARM_HISTORY * sizeof(*v));
	struct bytes	   value;
	struct book_key	   key;
	unsigned	   n = 0;
	int rc = db_get(t, BOOK_ALARM_PAST, book_key(&key, a->account,
	    bytes_of(a->name)), &value, e);

	if (rc == 1)
		n = history_read(value, v);
	while (n > 0 && fn(arg, v[n - 1].at, v[n - 1].to, v[n - 1].reason))
		n--;
	mem_free(v);
	return rc < 0 ? -1 : 0;
}

static int
alarm_pause_account(struct db_txn *t, const struct alarm *a,
    const char *reason, struct alarm_effect *out, struct err *e)
{
	struct account acct;
	int	       rc = account_get(t, a->account, &acct, e);

	if (rc != 1 || !acct.sending_enabled)
		return rc < 0 ? -1 : 0;
	account_pause(&acct, reason, false, a->updated);
	out->paused_account = true;
	return account_put(t, &acct, e);
}

static int
alarm_pause_set(struct db_txn *t, const struct alarm *a, const char *reason,
    struct alarm_effect *out, struct err *e)
{
	struct config_set s;
	int rc = config_set_get(t, a->account, bytes_of(a->set), &s, e);

	if (rc != 1 || !config_set_pause(&s, reason, "alarm", a->updated))
		return rc < 0 ? -1 : 0;
	out->paused_set = true;
	out->set = s.id;
	return config_set_put(t, &s, e);
}

int
alarm_move(struct db_txn *t, struct alarm *a, enum alarm_state to,
    const char *reason, struct wall now, struct alarm_effect *out,
    struct err *e)
{
	char why[ALARM_NAME_SIZE + 8];

	memset(out, 0, sizeof(*out));
	if (a->state == to)
		return 0;
	a->state = to;
	a->updated = now;
	bytes_text(bytes_of(reason), a->reason, sizeof(a->reason));
	out->moved = true;
	out->must_notify = to == ALARM_ALARM && a->notifies;
	if (alarm_store(t, a, e) < 0 || history_add(t, a, e) < 0)
		return -1;
	if (to != ALARM_ALARM || !a->pauses)
		return 0;
	snprintf(why, sizeof(why), "alarm:%s", a->name);
	why[CONFIG_SET_REASON_SIZE - 1] = '\0';
	return a->set[0] == '\0' ? alarm_pause_account(t, a, why, out, e)
				 : alarm_pause_set(t, a, why, out, e);
}

const char *
alarm_notice(const struct alarm *a, const struct alarm_effect *effect,
    char out[ALARM_NOTICE_SIZE])
{
	int n = snprintf(out, ALARM_NOTICE_SIZE, "Alarm %s: %s.", a->name,
	    a->reason);

	must(n > 0 && n < ALARM_NOTICE_SIZE);
	if (effect->paused_account)
		snprintf(out + n, ALARM_NOTICE_SIZE - (size_t)n,
		    " Sending of the account is paused.");
	else if (effect->paused_set)
		snprintf(out + n, ALARM_NOTICE_SIZE - (size_t)n,
		    " The configuration set %s is paused.", a->set);
	return out;
}
