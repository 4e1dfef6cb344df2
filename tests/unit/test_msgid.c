/* SPDX-License-Identifier: ISC */
/* msgid: the form of smtp-interface.md 9.6 and mail-from-spf-dmarc.md 3. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <string.h>

#include "mail/address.h"
#include "mail/msgid.h"

static const char example[] =
    "0100018f34069e00-7cb9f704-7531-4e53-89a1-5fa9744f5eb6-000000";

static void
test_time_of_the_example(void **state)
{
	struct msgid id;
	unsigned     recipient = 7;

	(void)state;
	assert_true(msgid_from_text(bytes_of(example), &id, &recipient));
	assert_int_equal(recipient, 0);
	/* 2024-05-01T12:00:00.000Z */
	assert_int_equal(msgid_time(&id).ms, 1714564800000);
}

static void
test_text_and_back(void **state)
{
	struct msgid id, back;
	char	     text[MSGID_TEXT + 1];
	unsigned     recipient;

	(void)state;
	assert_true(msgid_from_text(bytes_of(example), &id, NULL));
	assert_string_equal(msgid_to_text(&id, "0100", 0, text), example);
	msgid_to_text(&id, "beef", 2, text);
	assert_string_equal(text,
	    "beef018f34069e00-7cb9f704-7531-4e53-89a1-5fa9744f5eb6-000002");
	assert_true(msgid_from_text(bytes_of(text), &back, &recipient));
	assert_int_equal(msgid_cmp(&id, &back), 0);
	assert_int_equal(recipient, 2);
	msgid_to_text(&id, "0100", 999999, text);
	assert_true(msgid_from_text(bytes_of(text), &back, &recipient));
	assert_int_equal(recipient, 999999);
	assert_int_equal(strlen(text), MSGID_TEXT);
}

static void
test_any_letter_case(void **state)
{
	struct msgid id, upper;
	char	     text[MSGID_TEXT + 1];
	size_t	     i;

	(void)state;
	for (i = 0; i <= MSGID_TEXT; i++)
		text[i] = (char)toupper((unsigned char)example[i]);
	assert_true(msgid_from_text(bytes_of(example), &id, NULL));
	assert_true(msgid_from_text(bytes_of(text), &upper, NULL));
	assert_int_equal(msgid_cmp(&id, &upper), 0);
}

/* mail-from-spf-dmarc#22 as far as it is read: whether a message of that id is
 * known is asked by the intake */
static void
test_return_address(void **state)
{
	static const char given[] =
	    "0100018F34069E00-7CB9F704-7531-4E53-89A1-5FA9744F5EB6-000001@"
	    "BOUNCES.RELAY.EXAMPLE";
	char	       text[ADDRESS_TEXT_MAX], other[MSGID_TEXT + 1];
	struct bytes   normal;
	struct address a;
	struct msgid   id, sent;
	unsigned       recipient = 0;

	(void)state;
	assert_true(address_normal_text(bytes_of(given), 0, text, &normal));
	assert_true(address_split(normal, &a));
	assert_true(bytes_eq_text(a.domain, "bounces.relay.example"));
	assert_true(msgid_from_text(bytes_head(normal, MSGID_TEXT), &id,
	    &recipient));
	assert_int_equal(recipient, 1);
	assert_true(msgid_from_text(bytes_of(example), &sent, NULL));
	assert_int_equal(msgid_cmp(&id, &sent), 0);
	/* one digit of the UUID changed: another message */
	memcpy(other, given, MSGID_TEXT);
	other[MSGID_TEXT] = '\0';
	other[20] = '5';
	assert_true(msgid_from_text(bytes_of(other), &id, &recipient));
	assert_int_not_equal(msgid_cmp(&id, &sent), 0);
}

static void
test_not_of_this_form(void **state)
{
	static const char *const bad[] = {
		"",
		"0100018f34069e00-7cb9f704-7531-4e53-89a1-5fa9744f5eb6-00000",
		"0100018f34069e00-7cb9f704-7531-4e53-89a1-5fa9744f5eb6-0000000",
		"0100018f34069e00-7cb9f704-7531-4e53-89a1-5fa9744f5eb6-00000a",
		"0100018f34069e00-7cb9f704-7531-4e53-89a1-5fa9744f5eb6-+00001",
		"0100018f34069e00-7cb9f704-7531-4e53-89a1-5fa9744f5eb6_000000",
		"0100018f34069e0-07cb9f704-7531-4e53-89a1-5fa9744f5eb6-000000",
		"010g018f34069e00-7cb9f704-7531-4e53-89a1-5fa9744f5eb6-000000",
		"0100018f34069e00-7cb9f704-7531-4e53-89a1-5fa9744f5ebx-000000",
		"0100018f34069e00--cb9f704-7531-4e53-89a1-5fa9744f5eb6-000000",
	};
	struct msgid id, before;
	unsigned     recipient = 5;
	size_t	     i;

	(void)state;
	memset(&id, 0x5a, sizeof(id));
	before = id;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(
		    msgid_from_text(bytes_of(bad[i]), &id, &recipient));
		assert_memory_equal(&id, &before, sizeof(id));
		assert_int_equal(recipient, 5);
	}
}

static void
test_made_ids_differ_and_order_by_time(void **state)
{
	struct msgid a, b, later;
	char	     text[MSGID_TEXT + 1];
	struct wall  now = { 1714564800000 };

	(void)state;
	msgid_make(now, &a);
	msgid_make(now, &b);
	msgid_make((struct wall){ now.ms + 1 }, &later);
	assert_int_not_equal(msgid_cmp(&a, &b), 0);
	assert_true(msgid_cmp(&a, &later) < 0);
	assert_true(msgid_cmp(&later, &b) > 0);
	assert_int_equal(msgid_time(&a).ms, now.ms);
	msgid_to_text(&a, "0100", 0, text);
	assert_memory_equal(text, "0100018f34069e00-", 17);
	assert_int_equal(text[31], '4'); /* version */
	assert_non_null(strchr("89ab", text[36]));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_time_of_the_example),
		cmocka_unit_test(test_text_and_back),
		cmocka_unit_test(test_any_letter_case),
		cmocka_unit_test(test_return_address),
		cmocka_unit_test(test_not_of_this_form),
		cmocka_unit_test(test_made_ids_differ_and_order_by_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
