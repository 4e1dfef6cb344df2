/* SPDX-License-Identifier: ISC */
/*
 * outlet.h - one destination of the outbox, or one subscription of a topic,
 * and how far it is: what was read for it and not told yet, and what is still
 * to be read.
 *
 * Use:    outlet_hear(x, &hit, limit) for each event that its set has, in
 *         order of their sequences; outlet_take(x, &hit) for those it reads
 *         for itself; outlet_drop() what was told.
 * Owner:  the outbox.
 * Thread: the loop's; nothing here asks a clock or a store.
 * Fails:  never: what has no room is left to be read later (it lags), or is
 *         not taken at all (events.outbox_max).
 *
 * As long as it keeps pace, events come from the walk that all destinations
 * share.  One with more than OUTLET_ENTRIES waiting lags: its entries end at
 * read, and what follows is counted only, until it has read that for itself.
 *
 * A subscription may have one event by several ways: by destinations of the
 * set that name its topic, and as a notification of the identity.  Each is an
 * entry of its own; those of one event come one after the other, and all of
 * them are taken or left.
 */
#ifndef REPORTING_OUTLET_H
#define REPORTING_OUTLET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/meter.h"
#include "registry/destination.h"

enum {
	OUTLET_ENTRIES = 256, /* waiting in memory */
	OUTLET_LEVELS = 32
};

/* By which way an event comes, and so which form its record has. */
struct record_way {
	struct destination_id via; /* that names the topic; all 0 = none */
	struct event_form     form;
};
bool record_way_is_direct(const struct record_way *w); /* no topic is in it */

/* An event that a destination wants. */
struct hit {
	struct destination_id id;
	struct record_way way;
	uint64_t	sequence;
	struct event_id event;
	enum event_type type;
	uint32_t	octets; /* about */
};
/* Which entry: no other of its outlet is the same. */
struct entry_key {
	uint64_t	  sequence;
	bool		  is_replay; /* behind its cursor */
	struct record_way way;
};
struct entry {
	struct entry   *next;
	struct entry_key key;
	struct event_id event;
	enum event_type type;
	uint32_t	octets;
	unsigned	attempts; /* that failed */
	unsigned	status;	  /* of a webhook's last answer; 0 = none */
	struct mono	again;	  /* not before */
	bool		is_out;	  /* being told */
};

enum { OUTLET_NAME_SIZE = TOPIC_NAME_SIZE + DESTINATION_NAME_SIZE };
struct outlet_meter {
	char	     account[ACCOUNT_ID_SIZE];
	char	     set_name[CONFIG_SET_NAME_SIZE]; /* "" = of a topic */
	char	     name[OUTLET_NAME_SIZE]; /* outlet_name() */
	struct meter success, failure, expired, dropped; /* records */
	struct meter bad, full; /* of metrics: values, no room */
	struct meter failing; /* 1 = the last attempt failed */
	struct meter entries; /* that wait */
	struct meter oldest_ms; /* wall time of the oldest; 0 = none waits */
	struct meter status; /* of the last answer of a webhook; 0 = none */
	struct meter_histogram seconds; /* webhook */
};

struct outlet {
	struct outlet	  *next, *next_busy;
	struct destination d;
	char		   cursor[DESTINATION_CURSOR_SIZE];
	bool		   found, has_begun, is_busy;
	bool		   is_uncompressed; /* a renamed file waits for it */
	struct outlet_meter *meter; /* NULL: it has had no event */

	struct entry  *first, **end; /* in the order they came */
	unsigned       count, out;
	uint64_t       octets;

	uint64_t read;	/* up to it events are entries, or done */
	uint64_t latest; /* event taken last: it may have more ways */
	bool	 lags;
	bool	 is_counted; /* what is behind read is known */
	uint64_t counted;    /* up to it, while it is not */
	uint64_t backlog, backlog_octets;
	struct outlet_level {
		uint64_t from;
		unsigned level; /* 1: ordinary types are dropped, 2: all */
	} levels[OUTLET_LEVELS];
	unsigned level_count;

	uint64_t saved;	   /* its row in the spool; 0 = none */
	uint64_t unsynced; /* first record that no sync has covered; 0 */
	struct mono since; /* when it was written */

	unsigned    failures; /* in a row */
	struct mono again;    /* not before: a file */
	unsigned    refused;  /* in a row */
	struct mono refused_since;

	uint64_t replay, replay_end; /* first and last to be told again; 0 */
	unsigned replay_types;
	struct destination_id replay_via; /* all 0 = by all ways */
};

/* Of a set's destination its name, of a subscription TOPIC:ID. */
char *outlet_name(const struct destination *d, char out[OUTLET_NAME_SIZE]);
void outlet_init(struct outlet *x, const struct destination *d);
void outlet_wipe(struct outlet *x);

enum outlet_answer { OUTLET_TAKEN, OUTLET_LATER, OUTLET_DROPPED, OUTLET_OLD };
/* From the shared walk; limit: events.outbox_max in octets. */
enum outlet_answer outlet_hear(struct outlet *x, const struct hit *h,
    uint64_t limit);
/* Read for itself: TAKEN, or OLD when it was dropped before. */
enum outlet_answer outlet_take(struct outlet *x, const struct hit *h);
/* An event of the past, once more. */
void outlet_repeat(struct outlet *x, const struct hit *h);
/* Counted only, of a time before this life. */
void outlet_count(struct outlet *x, const struct hit *h);
/* It has read up to there; with walked, it keeps pace from here on. */
void outlet_caught_up(struct outlet *x, uint64_t to, uint64_t walked);
size_t outlet_room(const struct outlet *x);
struct entry *outlet_find(struct outlet *x, const struct entry_key *k);
void outlet_drop(struct outlet *x, struct entry *e);
/* Drops all that waits, up to walked; returns how many. */
uint64_t outlet_purge(struct outlet *x, uint64_t walked);
/* Everything up to it is done, when the walk is at walked. */
uint64_t outlet_done(const struct outlet *x, uint64_t walked);
/* Holds the common cursor back no longer: it needs a row of its own. */
bool outlet_is_slow(const struct outlet *x);
bool outlet_is_idle(const struct outlet *x);
/* Its gauges. */
void outlet_show(struct outlet *x);

#endif
