/* SPDX-License-Identifier: ISC */
/*
 * How much more mail there is room for: in the map, and on the disk.
 */
#include "store/spool_private.h"

enum { DISK_LOOK_MS = 1000, MAP_LOOK_MS = 250 };
static const uint64_t reserve_min = 64 << 20;

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
	uint64_t free_bytes = s->disk_free;

	if (is_near && s->map_free > s->used_since)
		free_bytes += s->map_free - s->used_since;
	return free_bytes > min_free ? free_bytes - min_free : 0;
}

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
}
