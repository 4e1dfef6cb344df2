/* SPDX-License-Identifier: ISC */
/*
 * How much more mail there is room for, in the map and on the disk; and the
 * file is made longer before the writer gets to its end.
 */
#include "store/spool_private.h"

#include "base/log.h"

enum {
	DISK_LOOK_MS = 1000,
	MAP_LOOK_MS = 250,
	AHEAD_SHARE = 512, /* of the map */
	AHEAD_FAILED_MS = 60000
};
static const uint64_t reserve_min = 64 << 20;
static const uint64_t ahead_max = 128 << 20, ahead_portion = 1 << 20;

static uint64_t
spool_map_limit(const struct spool *s, uint64_t min_free)
{
	uint64_t reserve = s->map_bytes / 20;

	if (reserve < reserve_min)
		reserve = reserve_min;
	if (reserve < min_free)
		reserve = min_free;
	if (reserve > s->map_bytes / 4)
		reserve = s->map_bytes / 4;
	return s->map_bytes - reserve;
}

/* The list of free pages is walked only when that matters, and seldom. */
static void
spool_look_at_pages(struct spool *s, uint64_t much, struct mono now)
{
	struct db_figures f;
	struct err	  e;

	if (s->map_looked.ms != 0 && now.ms - s->map_looked.ms < MAP_LOOK_MS &&
	    s->used_since <= much && s->freed_since <= much)
		return;
	s->map_looked = now;
	s->used_since = s->freed_since = 0;
	s->map_used = db_reach_bytes(s->db);
	s->map_free = 0;
	if (db_figures(s->db, &f, &e) == 0) {
		s->map_used = f.used_bytes;
		s->map_free = f.free_page_bytes;
	}
}

/*
 * The file never gets smaller: after a crowded day its free pages are room
 * that needs no disk, else mail would be refused until somebody compacts.
 */
static uint64_t
spool_disk_room(const struct spool *s, uint64_t min_free, bool is_near)
{
	uint64_t free_bytes = s->disk_free, reach = db_reach_bytes(s->db);

	if (s->ahead.laid > reach)
		free_bytes += s->ahead.laid - reach;
	if (is_near && s->map_free > s->used_since)
		free_bytes += s->map_free - s->used_since;
	return free_bytes > min_free ? free_bytes - min_free : 0;
}

/* -- ahead of the writer --------------------------------------------------- */

/* In portions: the writer's next sync takes what of one is not written yet. */
static void
ahead_run(struct job *j)
{
	struct ahead *a = (struct ahead *)(void *)j;
	struct db    *db = a->spool->db;
	uint64_t      n;

	while (a->rc == 0 && !atomic_load(&a->spool->is_closed)) {
		n = db_file_bytes(db);
		if (n >= a->to)
			break;
		n = a->to - n;
		a->rc = db_append_zeros(db,
		    n < ahead_portion ? n : ahead_portion, &a->err);
	}
}

static void
ahead_done(void *job, void *unused)
{
	struct ahead *a = job;
	char	      quoted[LOG_QUOTE_SIZE];

	(void)unused;
	a->is_under_way = false;
	a->laid = db_file_bytes(a->spool->db);
	a->failed.ms = 0;
	if (a->rc == 0)
		return;
	a->failed = loop_now(a->spool->loop);
	log_warn("store-ahead", "store=spool error=%s",
	    log_quote(bytes_of(a->err.text), quoted));
}

void
spool_use_workers(struct spool *s, struct workers *w)
{
	must(!s->is_started);
	s->ahead.spool = s;
	s->ahead.workers = w;
	s->ahead.job.asker = s->loop;
	s->ahead.job.run = ahead_run;
	s->ahead.job.done = ahead_done;
	s->ahead.laid = db_file_bytes(s->db);
}

/*
 * Between a quarter and all of a share of the map lies ahead.  Not where the
 * disk is short: there a commit asks for no more than it needs.
 */
static void
spool_keep_ahead(struct spool *s, uint64_t min_free, struct mono now)
{
	struct ahead *a = &s->ahead;
	uint64_t      share = s->map_bytes / AHEAD_SHARE;
	uint64_t      reach = db_reach_bytes(s->db);

	if (share > ahead_max)
		share = ahead_max;
	if (a->workers == NULL || a->is_under_way ||
	    reach + share / 4 <= a->laid ||
	    s->disk_free / 2 < min_free + share ||
	    (a->failed.ms != 0 && now.ms - a->failed.ms < AHEAD_FAILED_MS))
		return;
	a->to = reach + share;
	if (a->to > s->map_bytes)
		a->to = s->map_bytes;
	a->rc = 0;
	a->is_under_way = workers_post(a->workers, &a->job);
}

/* -- a look ---------------------------------------------------------------- */

void
spool_look_for_room(struct spool *s)
{
	struct mono now = loop_now(s->loop);
	uint64_t    min_free = atomic_load(&s->min_free);
	uint64_t    limit = spool_map_limit(s, min_free), used, disk;
	uint64_t    much = (s->map_bytes - limit) / 4;
	bool	    is_disk_near, is_map_near;

	if (s->disk_looked.ms == 0 ||
	    now.ms - s->disk_looked.ms >= DISK_LOOK_MS) {
		s->disk_looked = now;
		s->disk_free = db_disk_free_bytes(s->db);
	}
	used = db_reach_bytes(s->db);
	is_map_near = used + much > limit;
	is_disk_near = s->disk_free / 2 < min_free;
	if (is_map_near || is_disk_near)
		spool_look_at_pages(s, much, now);
	else
		s->map_looked.ms = 0;
	if (is_map_near)
		used = s->map_used + s->used_since;
	disk = spool_disk_room(s, min_free, is_disk_near);
	s->room = used < limit ? limit - used : 0;
	if (s->room > disk)
		s->room = disk;
	atomic_store(&s->room_seen, s->room);
	atomic_store(&s->messages_seen, s->state.messages);
	spool_keep_ahead(s, min_free, now);
}
