/* SPDX-License-Identifier: ISC */
/*
 * sns.h - a record inside the envelope that consumers of SNS expect
 * (events.md 10.3).
 *
 * Use:    sns_names(&d, region, &id, &n); sns_write(&n, subject, at, record,
 *         &buf); the names stand in the header fields as well.
 * Owner:  plain data, the caller's.
 * Thread: pure.
 * Fails:  false: no room.
 *
 * A subscription names its topic.  A webhook of a set has none:
 * ConfigurationSet-Destination takes the place of its name.  The id of a
 * message is that of its event in the form of a UUID, the same on every retry.
 * It is not signed in this version.
 */
#ifndef REPORTING_SNS_H
#define REPORTING_SNS_H

#include "base/clock.h"
#include "base/mem.h"
#include "mail/event.h"
#include "registry/destination.h"

enum { SNS_ARN_SIZE = TOPIC_ARN_SIZE + UUID_SIZE };
struct sns_names {
	char message_id[UUID_SIZE];
	char topic[TOPIC_ARN_SIZE], subscription[SNS_ARN_SIZE];
};
void sns_names(const struct destination *d, const char *region,
    const struct event_id *id, struct sns_names *out);
/* Of events by a set; notifications of identities have none (NULL). */
#define SNS_SUBJECT "Amazon SES Email Event Notification"
bool sns_write(const struct sns_names *n, const char *subject,
    struct wall at, struct bytes record, struct buf *out);

#endif
