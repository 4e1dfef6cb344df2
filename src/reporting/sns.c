/* SPDX-License-Identifier: ISC */
#include "reporting/sns.h"

#include <stdio.h>
#include <string.h>

void
sns_names(const struct destination *d, const char *region,
    const struct event_id *id, struct sns_names *out)
{
	struct topic_ref topic = d->topic;
	char		 own[UUID_SIZE];

	if (topic.name[0] == '\0') {
		memcpy(topic.account, d->account, sizeof(topic.account));
		snprintf(topic.name, sizeof(topic.name), "%s-%s",
		    d->set_name, d->name);
	}
	(void)uuid_encode(id->b, out->message_id);
	(void)uuid_encode(d->id.b, own);
	(void)topic_ref_arn(&topic, region, out->topic);
	snprintf(out->subscription, sizeof(out->subscription), "%s:%s",
	    out->topic, own);
}

bool
sns_write(const struct sns_names *n, const char *subject, struct wall at,
    struct bytes record, struct buf *out)
{
	char time[CLOCK_TEXT_MAX];

	buf_clear(out);
	wall_iso(at, time);
	buf_printf(out, "{\"Type\":\"Notification\",\"MessageId\":\"%s\","
	    "\"TopicArn\":\"%s\",", n->message_id, n->topic);
	if (subject != NULL)
		buf_printf(out, "\"Subject\":\"%s\",", subject);
	buf_add_text(out, "\"Message\":");
	(void)event_write_string(record, out);
	buf_printf(out, ",\"Timestamp\":\"%s\",\"SignatureVersion\":\"2\"}",
	    time);
	return !out->failed;
}
