/* SPDX-License-Identifier: ISC */
/* events.md 11.2: what metrics destinations count, and how far that grows. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "registry/config_set.h"
#include "reporting/series.h"

struct bed {
	struct series	  *s;
	struct destination d;
	struct event	   ev;
	struct event_mail  mail;
	struct buf	   snapshot;
	/* of the last look */
	const char *wanted;
	uint64_t    found, sum;
	unsigned    count;
};

static void
dimension(struct destination *d, const char *name,
    enum dimension_source source, const char *value)
{
	const struct dimension x = { bytes_of(name), bytes_of(value),
		source };

	assert_null(dimension_add(d->metrics.dimensions, &x));
}

static int
make(void **state)
{
	struct bed	 *b = mem_alloc(sizeof(*b));
	struct config_set set;

	config_set_init(&set, "111122223333", "S",
	    (struct wall){ INT64_C(1714564800000) });
	destination_init(&b->d, &set, "m", set.created);
	b->d.kind = DESTINATION_METRICS;
	b->ev.type = EVENT_SEND;
	buf_init(&b->snapshot, EVENT_SNAPSHOT_MAX);
	b->s = series_new();
	*state = b;
	return 0;
}

static int
unmake(void **state)
{
	struct bed *b = *state;

	series_free(b->s);
	buf_wipe(&b->snapshot);
	mem_free(b);
	return 0;
}

static void
see(void *bed, struct bytes labels, uint64_t n)
{
	struct bed *b = bed;

	b->count++;
	b->sum += n;
	if (bytes_eq_text(labels, b->wanted))
		b->found = n;
}

/* How often these labels were counted. */
static uint64_t
count_of(struct bed *b, const char *labels)
{
	b->wanted = labels;
	b->found = b->sum = b->count = 0;
	series_each(b->s, see, b);
	return b->found;
}

static void
count(struct bed *b, const struct message_tag *tags, size_t n)
{
	b->mail.tags = tags;
	b->mail.tag_count = n;
	assert_int_equal(series_count(b->s, &b->d, &b->ev, &b->mail),
	    SERIES_COUNTED);
}

#define WHO "account=\"111122223333\",configuration_set=\"S\"," \
	    "destination=\"m\","

/* events#24 on this level; a tag with several values counts with its first */
static void
tags_and_defaults(void **state)
{
	static const struct message_tag tags[] = {
		{ BYTES("ses:source-ip"), BYTES("2001:db8::1") },
		{ BYTES("campaign"), BYTES("book") },
		{ BYTES("campaign"), BYTES("film") } };
	struct bed *b = *state;

	dimension(&b->d, "campaign", DIMENSION_TAG, "none");
	dimension(&b->d, "ses:source-ip", DIMENSION_TAG, "nowhere");
	count(b, NULL, 0);
	count(b, tags, 3);
	count(b, tags, 3);
	b->ev.type = EVENT_RENDERING_FAILURE;
	count(b, tags, 3);
	assert_int_equal(count_of(b, WHO "event=\"Send\","
	    "dim_campaign=\"none\",dim_ses_source_ip=\"nowhere\""), 1);
	assert_int_equal(count_of(b, WHO "event=\"Send\","
	    "dim_campaign=\"book\",dim_ses_source_ip=\"2001:db8::1\""), 2);
	assert_int_equal(count_of(b, WHO "event=\"RenderingFailure\","
	    "dim_campaign=\"book\",dim_ses_source_ip=\"2001:db8::1\""), 1);
	assert_int_equal(b->count, 3);
}

/* What belongs to the event, and what is of the link that was followed. */
static void
tags_of_the_event(void **state)
{
	static const struct message_tag link = { BYTES("genre"),
		BYTES("sf") };
	struct event_tracking tracking = { .link_tags = &link,
		.link_tag_count = 1 };
	struct bed *b = *state;

	dimension(&b->d, "ses:outgoing-ip", DIMENSION_TAG, "none");
	dimension(&b->d, "genre", DIMENSION_LINK, "none");
	b->ev.type = EVENT_DELIVERY;
	b->ev.outgoing_ip = BYTES("203.0.113.10");
	b->ev.tracking = &tracking;
	count(b, &link, 1);
	b->ev.type = EVENT_CLICK;
	count(b, NULL, 0);
	assert_int_equal(count_of(b, WHO "event=\"Delivery\",dim_ses_outgoing"
	    "_ip=\"203.0.113.10\",dim_genre=\"none\""), 1);
	assert_int_equal(count_of(b, WHO "event=\"Click\",dim_ses_outgoing"
	    "_ip=\"203.0.113.10\",dim_genre=\"sf\""), 1);
}

/* A field that no label can have is not counted; one without value is. */
static void
headers(void **state)
{
	static const struct {
		const char *section, *value;
	} rows[] = { { "X-Kind: news\r\n", "news" },
		{ "x-kind: a@b.c_d-E\r\nX-Kind: other\r\n", "a@b.c_d-E" },
		{ "Subject: x\r\n", "none" }, { "X-Kind:\r\n", "none" },
		{ "X-Kind: two words\r\n", NULL },
		{ "X-Kind: =?UTF-8?Q?=C3=A4?=\r\n", NULL },
		{ "X-Kind: a\"b\r\n", NULL } };
	struct bed *b = *state;
	char	    labels[200];
	size_t	    i;

	dimension(&b->d, "X-Kind", DIMENSION_HEADER, "none");
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		buf_clear(&b->snapshot);
		assert_true(event_snapshot_headers(bytes_of(rows[i].section),
		    &b->snapshot));
		b->mail.snapshot = buf_bytes(&b->snapshot);
		series_forget(b->s, &b->d);
		assert_int_equal(series_count(b->s, &b->d, &b->ev, &b->mail),
		    rows[i].value == NULL ? SERIES_BAD : SERIES_COUNTED);
		snprintf(labels, sizeof(labels), WHO
		    "event=\"Send\",dim_X_Kind=\"%s\"", rows[i].value == NULL ?
			"" : rows[i].value);
		assert_int_equal(count_of(b, labels), rows[i].value != NULL);
		assert_int_equal(b->count, rows[i].value != NULL);
	}
}

/* More than 1,000 combinations are one: those that are known go on. */
static void
combinations_have_a_bound(void **state)
{
	struct bed	  *b = *state;
	struct message_tag tag = { BYTES("campaign"), { NULL, 0 } };
	char		   value[16];
	unsigned	   i;

	dimension(&b->d, "campaign", DIMENSION_TAG, "none");
	for (i = 0; i < SERIES_COMBINATIONS + 5; i++) {
		snprintf(value, sizeof(value), "c%u", i);
		tag.value = bytes_of(value);
		b->ev.type = EVENT_SEND;
		count(b, &tag, 1);
		b->ev.type = EVENT_DELIVERY; /* the same combination */
		count(b, &tag, 1);
	}
	tag.value = BYTES("c7");
	count(b, &tag, 1);
	assert_int_equal(count_of(b, WHO "event=\"Send\","
	    "dim_campaign=\"_other_\""), 5);
	assert_int_equal(b->count, 2 * SERIES_COMBINATIONS + 2);
	assert_int_equal(b->sum, 2 * SERIES_COMBINATIONS + 11);
	assert_int_equal(count_of(b, WHO "event=\"Delivery\","
	    "dim_campaign=\"c7\""), 2);
	/* gone with its destination, and what it took is free again */
	series_forget(b->s, &b->d);
	(void)count_of(b, "");
	assert_int_equal(b->count, 0);
	count(b, &tag, 1);
	assert_int_equal(count_of(b, WHO "event=\"Delivery\","
	    "dim_campaign=\"c7\""), 1);
}

static uint64_t
octets_of(struct bed *b)
{
	(void)count_of(b, "");
	return b->count;
}

/* One account does not take the room of the others. */
static void
octets_have_a_bound(void **state)
{
	struct bed	  *b = *state;
	struct message_tag tag = { BYTES("campaign"), { NULL, 0 } };
	char		   value[DIMENSION_TEXT_MAX + 1], name[16];
	unsigned	   i, k;
	uint64_t	   own;

	dimension(&b->d, "campaign", DIMENSION_TAG, "none");
	memset(value, 'x', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	for (k = 0; k < 6; k++) {
		snprintf(name, sizeof(name), "m%u", k);
		memcpy(b->d.name, name, sizeof(name));
		for (i = 0; i < SERIES_COMBINATIONS; i++) {
			memcpy(value, name, 2);
			snprintf(value + 2, 6, "%05u", i);
			value[7] = 'x';
			tag.value = (struct bytes){ value, sizeof(value) - 1 };
			count(b, &tag, 1);
		}
	}
	own = octets_of(b);
	/* each series and its combination take some 350 octets */
	assert_in_range(own, SERIES_ACCOUNT_OCTETS / 2 / 400,
	    SERIES_ACCOUNT_OCTETS / 2 / 250);
	assert_int_equal(b->sum, 6 * SERIES_COMBINATIONS);
	/* another account has its own */
	memcpy(b->d.account, "444455556666", ACCOUNT_ID_SIZE);
	count(b, &tag, 1);
	count(b, &tag, 1);
	(void)count_of(b, "");
	assert_int_equal(b->count, own + 1);
}

/* A test has no message: all at their defaults. */
static void
a_test(void **state)
{
	struct bed *b = *state;

	dimension(&b->d, "campaign", DIMENSION_TAG, "none");
	dimension(&b->d, "X-Kind", DIMENSION_HEADER, "some");
	assert_int_equal(series_count(b->s, &b->d, NULL, NULL),
	    SERIES_COUNTED);
	assert_int_equal(count_of(b, WHO "event=\"Test\","
	    "dim_campaign=\"none\",dim_X_Kind=\"some\""), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(tags_and_defaults, make,
		    unmake),
		cmocka_unit_test_setup_teardown(tags_of_the_event, make,
		    unmake),
		cmocka_unit_test_setup_teardown(headers, make, unmake),
		cmocka_unit_test_setup_teardown(combinations_have_a_bound,
		    make, unmake),
		cmocka_unit_test_setup_teardown(octets_have_a_bound, make,
		    unmake),
		cmocka_unit_test_setup_teardown(a_test, make, unmake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
