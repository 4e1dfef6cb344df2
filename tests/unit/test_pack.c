/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "store/pack.h"

static const uint64_t numbers[] = { 0, 1, 127, 128, 300, 16383, 16384,
	UINT32_MAX, (uint64_t)1 << 62, (uint64_t)1 << 63, UINT64_MAX };
static const int64_t signed_numbers[] = { 0, 1, -1, 63, -64, 64, INT32_MIN,
	INT64_MAX, INT64_MIN };
static const double doubles[] = { 0, -0.5, 1, 200, 14.25, 1e12, -1 };

static void
test_both_ways(void **state)
{
	struct buf    b;
	struct unpack u;
	size_t	      i;

	(void)state;
	buf_init(&b, 4096);
	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		pack_u64(&b, numbers[i]);
	for (i = 0; i < sizeof(signed_numbers) / sizeof(signed_numbers[0]);
	     i++)
		pack_i64(&b, signed_numbers[i]);
	for (i = 0; i < sizeof(doubles) / sizeof(doubles[0]); i++)
		pack_double(&b, doubles[i]);
	pack_bool(&b, true);
	pack_bool(&b, false);
	u = unpack_of(buf_bytes(&b));
	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		assert_true(unpack_u64(&u) == numbers[i]);
	for (i = 0; i < sizeof(signed_numbers) / sizeof(signed_numbers[0]);
	     i++)
		assert_true(unpack_i64(&u) == signed_numbers[i]);
	for (i = 0; i < sizeof(doubles) / sizeof(doubles[0]); i++)
		assert_true(unpack_double(&u) == doubles[i]);
	assert_true(unpack_bool(&u));
	assert_true(unpack_more(&u));
	assert_false(unpack_bool(&u));
	assert_false(unpack_more(&u));
	assert_true(unpack_done(&u));
	buf_wipe(&b);
}

/* Times that were read can be subtracted from each other. */
static void
test_times(void **state)
{
	static const struct {
		int64_t ms;
		bool	good;
	} cases[] = { { 0, true }, { 1714564800000, true }, { -1, true },
		{ 253402300799999, true }, { 253402300800000, false },
		{ -253402300800000, false }, { INT64_MAX, false },
		{ INT64_MIN, false } };
	struct buf    b;
	struct unpack u;
	size_t	      i;

	(void)state;
	buf_init(&b, 4096);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_clear(&b);
		pack_i64(&b, cases[i].ms);
		u = unpack_of(buf_bytes(&b));
		assert_true(unpack_wall(&u).ms ==
		    (cases[i].good ? cases[i].ms : 0));
		assert_int_equal(unpack_done(&u), cases[i].good);
	}
	buf_wipe(&b);
}

static void
test_texts(void **state)
{
	struct buf    b;
	struct unpack u;
	char	      text[6], raw[3];

	(void)state;
	buf_init(&b, 4096);
	pack_text(&b, "hello");
	pack_text(&b, NULL);
	pack_bytes(&b, BYTES("a\0b"));
	pack_raw(&b, "xyz", 3);
	pack_text(&b, "toolong");
	u = unpack_of(buf_bytes(&b));
	unpack_text(&u, text, sizeof(text));
	assert_string_equal(text, "hello");
	unpack_text(&u, text, sizeof(text));
	assert_string_equal(text, "");
	assert_true(bytes_eq(unpack_bytes(&u), BYTES("a\0b")));
	unpack_raw(&u, raw, 3);
	assert_memory_equal(raw, "xyz", 3);
	assert_false(u.failed);
	unpack_text(&u, text, sizeof(text));
	assert_true(u.failed);
	assert_string_equal(text, "");
	buf_wipe(&b);
}

/* A slice with a NUL inside is no text. */
static void
test_text_with_nul(void **state)
{
	struct unpack u = unpack_of(BYTES("\3a\0b"));
	char	      text[8];

	(void)state;
	unpack_text(&u, text, sizeof(text));
	assert_true(u.failed);
	assert_string_equal(text, "");
}

static void
test_damage(void **state)
{
	static const struct {
		struct bytes value;
		int	     what; /* u i b d s */
	} rows[] = {
		{ { "", 0 }, 'u' },
		{ { "\x80", 1 }, 'u' }, /* goes on, but ends */
		{ { "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02", 10 }, 'u' },
		{ { "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11 },
		    'u' },
		{ { "", 0 }, 'i' },
		{ { "\x02", 1 }, 'b' },
		{ { "", 0 }, 'b' },
		{ { "1234567", 7 }, 'd' },
		{ { "\x05" "abcd", 5 }, 's' },
		{ { "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01z", 11 }, 's' },
	};
	struct unpack u;
	size_t	      i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		u = unpack_of(rows[i].value);
		switch (rows[i].what) {
		case 'u':
			assert_true(unpack_u64(&u) == 0);
			break;
		case 'i':
			assert_true(unpack_i64(&u) == 0);
			break;
		case 'b':
			assert_false(unpack_bool(&u));
			break;
		case 'd':
			assert_true(unpack_double(&u) == 0);
			break;
		default:
			assert_true(unpack_bytes(&u).n == 0);
			break;
		}
		assert_true(u.failed);
		assert_false(unpack_done(&u));
		/* sticky */
		assert_true(unpack_u64(&u) == 0);
		assert_false(unpack_more(&u));
	}
}

static void
test_unread_rest_is_damage(void **state)
{
	struct unpack u = unpack_of(BYTES("\1\2"));

	(void)state;
	assert_true(unpack_u64(&u) == 1);
	assert_false(unpack_done(&u));
	assert_true(unpack_u64(&u) == 2);
	assert_true(unpack_done(&u));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_ways),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_text_with_nul),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_unread_rest_is_damage),
	};

	return cmocka_run_group_tests_name("pack", tests, NULL, NULL);
}
