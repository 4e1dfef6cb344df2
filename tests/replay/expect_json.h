/* SPDX-License-Identifier: ISC */
/*
 * expect_json.h - events as JSON, and members of JSON by path.
 * Use:    json = event_next_json(p, EVENT_BOUNCE, &seen); json_expect(p,
 *         json, "bounce.bouncedRecipients.0.status=5.1.1"); free(json).
 *         PATH=absent: there is no such member.  PATH=/x/: an expression.
 *         json_member(p, json, "result.Records.0.Name") gives one as text.
 * Owner:  the caller frees the text.
 * Thread: one.
 * Fails:  by play_fail(); NULL = no further event of this type.
 */
#ifndef REPLAY_EXPECT_JSON_H
#define REPLAY_EXPECT_JSON_H

#include "mail/event.h"
#include "play.h"

/* All that came since the last call go as lines to the file that
 * REPLAY_EVENTS names, with their extensions; without it nothing is done. */
void event_gather(struct play *p);
char *event_next_json(struct play *p, enum event_type t, uint64_t *seen);
void json_expect(struct play *p, const char *json, const char *word);
char *json_member(struct play *p, const char *json, const char *path);

#endif
