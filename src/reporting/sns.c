/* SPDX-License-Identifier: ISC */
#include "reporting/sns.h"

#include <stdio.h>

static void
uuid_text(const uint8_t b[16], char out[SNS_UUID_SIZE])
{
	static const char digits[] = "0123456789abcdef";
	size_t		  i, n = 0;

	for (i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			out[n++] = '-';
		out[n++] = digits[b[i] >> 4];
		out[n++] = digits[b[i] & 15];
	}
	out[n] = '\0';
}

void
sns_names(const struct destination *d, const char *region,
    const struct event_id *id, struct sns_names *out)
{
	char own[SNS_UUID_SIZE];

	uuid_text(id->b, out->message_id);
	uuid_text(d->id.b, own);
	snprintf(out->topic, sizeof(out->topic), "arn:aws:sns:%.32s:%s:%s-%s",
	    region, d->account, d->set_name, d->name);
	snprintf(out->subscription, sizeof(out->subscription), "%.270s:%s",
	    out->topic, own);
}

bool
sns_write(const struct sns_names *n, struct wall at, struct bytes record,
    struct buf *out)
{
	char time[CLOCK_TEXT_MAX];

	buf_clear(out);
	wall_iso(at, time);
	buf_printf(out, "{\"Type\":\"Notification\",\"MessageId\":\"%s\","
	    "\"TopicArn\":\"%s\",\"Subject\":\"Amazon SES Email Event "
	    "Notification\",\"Message\":", n->message_id, n->topic);
	(void)event_write_string(record, out);
	buf_printf(out, ",\"Timestamp\":\"%s\",\"SignatureVersion\":\"2\"}",
	    time);
	return !out->failed;
}
