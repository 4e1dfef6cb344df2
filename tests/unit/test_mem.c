/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "base/ascii.h"
#include "base/mem.h"
#include "base/reserve.h"

static const struct bytes none = { NULL, 0 };

static void
mem_bytes_compare(void **state)
{
	(void)state;
	assert_true(bytes_eq(none, BYTES("")));
	assert_true(bytes_eq(BYTES("a\0b"), BYTES("a\0b")));
	assert_false(bytes_eq(BYTES("a\0b"), BYTES("a\0c")));
	assert_true(bytes_eq_nocase(BYTES("MaIl[{"), BYTES("mAiL[{")));
	assert_false(bytes_eq_nocase(BYTES("["), BYTES("{")));
	assert_false(bytes_eq_nocase(BYTES("\xc4"), BYTES("\xe4")));
	assert_true(bytes_eq_text(BYTES("x"), "x"));
	assert_true(bytes_eq_text(none, NULL));
	assert_true(bytes_cmp(BYTES("a"), BYTES("b")) < 0);
	assert_true(bytes_cmp(BYTES("ab"), BYTES("a")) > 0);
	assert_true(bytes_cmp(BYTES("a"), BYTES("\xff")) < 0);
	assert_int_equal(bytes_cmp(none, BYTES("")), 0);
	assert_true(bytes_starts(BYTES("RCPT TO"), BYTES("RCPT")));
	assert_false(bytes_starts(BYTES("RC"), BYTES("RCPT")));
	assert_true(bytes_starts(none, none));
	assert_true(bytes_starts_nocase(BYTES("rcpt to"), BYTES("RCPT")));
	assert_true(bytes_ends_nocase(BYTES("a.EXAMPLE"), BYTES(".example")));
	assert_false(bytes_ends_nocase(BYTES("le"), BYTES(".example")));
}

static void
mem_bytes_cut_and_find(void **state)
{
	char small[4];

	(void)state;
	assert_true(bytes_eq_text(bytes_trim(BYTES(" \t a b\r\n")), "a b"));
	assert_int_equal(bytes_trim(BYTES(" \r\n")).n, 0);
	assert_int_equal(bytes_trim(none).n, 0);
	assert_true(bytes_eq_text(bytes_from(BYTES("abc"), 1), "bc"));
	assert_int_equal(bytes_from(BYTES("abc"), 9).n, 0);
	assert_int_equal(bytes_from(none, 3).n, 0);
	assert_true(bytes_eq_text(bytes_head(BYTES("abc"), 2), "ab"));
	assert_int_equal(bytes_head(BYTES("abc"), 9).n, 3);
	assert_int_equal(bytes_find(BYTES("a@b@"), 0, '@'), 1);
	assert_int_equal(bytes_find(BYTES("a@b@"), 2, '@'), 3);
	assert_int_equal(bytes_find(BYTES("a@b@"), 4, '@'), -1);
	assert_int_equal(bytes_find(none, 0, '@'), -1);
	assert_int_equal(bytes_find(BYTES("a\xff"), 0, (char)0xff), 1);
	assert_int_equal(
	    bytes_find_nocase(BYTES("xxBounDary"), BYTES("boundary")), 2);
	assert_int_equal(bytes_find_nocase(BYTES("ab"), BYTES("abc")), -1);
	assert_int_equal(bytes_find_nocase(BYTES("ab"), none), 0);
	assert_string_equal(bytes_text(BYTES("abcdef"), small, 4), "abc");
	assert_string_equal(bytes_text(none, small, 4), "");
}

static void
mem_bytes_to_number(void **state)
{
	static const struct {
		const char *text;
		bool	    ok;
		uint64_t    value;
	} cases[] = {
		{ "0", true, 0 },
		{ "007", true, 7 },
		{ "18446744073709551615", true, UINT64_MAX },
		{ "18446744073709551616", false, 0 },
		{ "99999999999999999999", false, 0 },
		{ "", false, 0 },
		{ "-1", false, 0 },
		{ " 1", false, 0 },
		{ "1x", false, 0 },
	};
	uint64_t v;
	size_t	 i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		v = 0;
		assert_int_equal(bytes_to_u64(bytes_of(cases[i].text), &v),
		    cases[i].ok);
		assert_true(v == cases[i].value);
	}
}

static void
mem_arena_keeps_its_budget(void **state)
{
	struct arena *a = arena_new(4096);
	char	     *p, *q;
	size_t	      total = 0;

	(void)state;
	p = arena_alloc(a, 1);
	q = arena_alloc(a, 3000);
	assert_non_null(p);
	assert_non_null(q);
	assert_int_equal((uintptr_t)p % 16, 0);
	assert_int_equal((uintptr_t)q % 16, 0);
	assert_int_equal(q[2999], 0);
	assert_null(arena_alloc(a, 3000));
	assert_null(arena_alloc(a, SIZE_MAX));
	assert_null(arena_alloc(a, SIZE_MAX - 20));
	assert_null(arena_text(a, (struct bytes){ p, SIZE_MAX }));
	while ((p = arena_alloc(a, 16)) != NULL) {
		memset(p, 0xff, 16);
		total += 16;
	}
	assert_int_equal(total, 4096 - 16 - 3008);
	assert_int_equal(arena_used(a), 4096);
	assert_null(arena_alloc(a, 0));
	arena_free(a);
	arena_free(NULL);
}

static void
mem_arena_makes_texts(void **state)
{
	struct arena *a = arena_new(1 << 20);
	struct bytes  b;
	char	     *first, *p;
	int	      i;

	(void)state;
	first = arena_text(a, BYTES("first"));
	b = arena_bytes(a, BYTES("x\0y"));
	assert_int_equal(b.n, 3);
	assert_memory_equal(b.p, "x\0y", 4);
	b = arena_bytes(a, none);
	assert_non_null(b.p);
	assert_int_equal(b.n, 0);
	for (i = 0; i < 2000; i++) {
		p = arena_printf(a, "%d-%s", i, "line");
		assert_non_null(p);
		assert_int_equal(atoi(p), i);
	}
	assert_string_equal(first, "first");
	arena_free(a);
	a = arena_new(8);
	assert_null(arena_bytes(a, BYTES("too long for it")).p);
	assert_null(arena_printf(a, "%s", "x"));
	arena_free(a);
}

static void
mem_buf_grows_to_its_bound(void **state)
{
	struct buf b;
	int	   i;

	(void)state;
	buf_init(&b, 1000);
	assert_true(buf_add_text(&b, "abc"));
	assert_true(buf_add_bytes(&b, none));
	assert_true(buf_add_char(&b, 'd'));
	assert_true(buf_printf(&b, "%03d", 7));
	assert_true(bytes_eq_text(buf_bytes(&b), "abcd007"));
	buf_drop(&b, 4);
	assert_true(bytes_eq_text(buf_bytes(&b), "007"));
	for (i = 0; i < 997; i++)
		assert_true(buf_add_char(&b, 'x'));
	assert_int_equal(b.n, 1000);
	assert_false(b.failed);
	assert_false(buf_printf(&b, "y"));
	assert_true(b.failed);
	buf_drop(&b, 1000);
	assert_false(buf_add_text(&b, "stays failed"));
	buf_clear(&b);
	assert_true(buf_printf(&b, "%*d", 1000, 1));
	assert_int_equal(b.n, 1000);
	assert_false(buf_add(&b, "", SIZE_MAX));
	buf_wipe(&b);
	assert_true(buf_add_text(&b, "again"));
	buf_wipe(&b);
}

static void
mem_buf_room_is_counted_by_commit(void **state)
{
	struct buf b;
	char	  *p;

	(void)state;
	buf_init(&b, 10);
	p = buf_room(&b, 10);
	assert_non_null(p);
	memcpy(p, "0123456789", 10);
	assert_int_equal(b.n, 0);
	buf_commit(&b, 4);
	assert_true(bytes_eq_text(buf_bytes(&b), "0123"));
	assert_null(buf_room(&b, 7));
	assert_true(b.failed);
	buf_wipe(&b);
	buf_init(&b, SIZE_MAX);
	assert_null(buf_room(&b, SIZE_MAX));
	buf_clear(&b);
	assert_non_null(buf_room(&b, 100000));
	buf_wipe(&b);
}

static void
mem_plain(void **state)
{
	unsigned char a[64] = { 0 }, b[64] = { 0 };
	char	     *p = mem_dup("text"), *q = mem_dup_bytes(none);

	(void)state;
	assert_string_equal(p, "text");
	assert_string_equal(q, "");
	p = mem_realloc(p, 1000);
	assert_string_equal(p, "text");
	mem_free(p);
	mem_free(q);
	assert_true(mem_same_secret(a, b, sizeof(a)));
	b[63] = 1;
	assert_false(mem_same_secret(a, b, sizeof(a)));
	assert_true(mem_same_secret(a, b, 63));
	mem_random(a, sizeof(a));
	mem_random(b, sizeof(b));
	assert_false(mem_same_secret(a, b, sizeof(a)));
	mem_wipe(a, sizeof(a));
	memset(b, 0, sizeof(b));
	assert_memory_equal(a, b, sizeof(a));
	mem_wipe(NULL, 0);
}

/* The first and two later vectors of the SipHash-2-4 reference. */
static void
mem_hash_follows_the_reference(void **state)
{
	struct mem_hash_key k = { { 0x0706050403020100, 0x0f0e0d0c0b0a0908 } };
	char		    in[16];
	char		    i;

	(void)state;
	for (i = 0; i < 16; i++)
		in[(int)i] = i;
	assert_true(mem_hash(&k, none) == 0x726fdb47dd0e0e31);
	assert_true(mem_hash(&k, (struct bytes){ in, 8 }) ==
	    0x93f5f5799a932462);
	assert_true(mem_hash(&k, (struct bytes){ in, 15 }) ==
	    0xa129ca6149be45e5);
}

static void
mem_hex(void **state)
{
	unsigned char v[3] = { 0x00, 0xaf, 0x19 }, out[3];
	char	      text[7];

	(void)state;
	hex_encode(v, 3, text);
	assert_string_equal(text, "00af19");
	assert_true(hex_decode(BYTES("00aF19"), out, 3));
	assert_memory_equal(out, v, 3);
	assert_false(hex_decode(BYTES("00af1"), out, 3));
	assert_false(hex_decode(BYTES("00af"), out, 3));
	assert_false(hex_decode(BYTES("00ag19"), out, 3));
	assert_true(hex_decode(none, out, 0));
}

static void
mem_base64(void **state)
{
	/* RFC 4648 section 10 */
	static const char *const cases[][2] = { { "", "" }, { "f", "Zg==" },
		{ "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" } };
	static const char *const bad[] = { "Zg", "Zg=", "Zg===", "=", "====",
		"Z===", "Zm=v", "Zm9v Zm9v", "Zm9v\n", "Zm9\xff", "Zg==Zg==" };
	char			 text[16];
	unsigned char		 out[8];
	size_t			 i, n;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		n = base64_encode(cases[i][0], strlen(cases[i][0]), text);
		assert_string_equal(text, cases[i][1]);
		assert_int_equal(n, strlen(text));
		assert_true(base64_decode(bytes_of(text), out, 8, &n));
		assert_int_equal(n, strlen(cases[i][0]));
		assert_memory_equal(out, cases[i][0], n);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(base64_decode(bytes_of(bad[i]), out, 8, &n));
	assert_true(base64_decode(BYTES("+/+/"), out, 3, &n));
	assert_false(base64_decode(BYTES("+/+/"), out, 2, &n));
}

static void
mem_base32(void **state)
{
	unsigned char v[32];
	char	      text[53];

	(void)state;
	memset(v, 0xff, sizeof(v));
	base32_lower(v, 20, text);
	assert_string_equal(text, "77777777777777777777777777777777");
	base32_lower(v, 32, text);
	assert_int_equal(strlen(text), 52);
	assert_int_equal(text[51], 'q');
	base32_lower("foobar", 6, text);
	assert_string_equal(text, "mzxw6ytboi");
}

/* -- without memory -------------------------------------------------------- */

enum { RESERVE = 8 << 20, PIECE = 64 << 10, PIECES = 64 };

/* What may be written to, and is the process's own (RLIMIT_DATA). */
static rlim_t
data_in_use(void)
{
	FILE	     *f = fopen("/proc/self/status", "r");
	char	      line[200];
	unsigned long kb = 0;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "VmData: %lu kB", &kb) == 1)
			break;
	if (f != NULL)
		fclose(f);
	assert_true(kb > 0);
	return (rlim_t)kb * 1024;
}

/*
 * The system gives no more: mem_alloc() goes on with what was laid aside and
 * says that it is short, a buffer fails, and when there is memory again all
 * is as before.
 */
static void
mem_reserve_is_there_when_nothing_else_is(void **state)
{
	struct rlimit before, now;
	struct buf    b;
	void	     *held[PIECES];
	size_t	      n = 0;

	(void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip(); /* its allocator needs memory of its own, too */
#endif
	reserve_keep(RESERVE);
	assert_false(reserve_is_short());
	assert_int_equal(getrlimit(RLIMIT_DATA, &before), 0);
	now = before;
	now.rlim_cur = data_in_use() + 65536;
	assert_int_equal(setrlimit(RLIMIT_DATA, &now), 0);
	while (n < PIECES && !reserve_is_short())
		held[n++] = mem_alloc(PIECE);
	assert_true(reserve_is_short());
	assert_true(n < PIECES);
	/* for a peer it is not */
	buf_init(&b, 2 * RESERVE);
	assert_null(buf_room(&b, 2 * RESERVE - 1));
	assert_true(b.failed);
	assert_false(reserve_refill()); /* too early */
	assert_int_equal(setrlimit(RLIMIT_DATA, &before), 0);
	while (n > 0)
		mem_free(held[--n]);
	buf_wipe(&b);
	assert_true(reserve_refill());
	assert_false(reserve_is_short());
	reserve_keep(0);
	assert_false(reserve_spend());
}

/* Every octet, against the lists of its class. */
static void
mem_classes_of_characters(void **state)
{
	static const char digits[] = "0123456789", lower[] = "abcdefghij"
	    "klmnopqrstuvwxyz", upper[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	int i;

	(void)state;
	for (i = -128; i < 256; i++) {
		char c = (char)i;
		bool is_digit = i > 0 && strchr(digits, i) != NULL;
		bool is_lower = i > 0 && strchr(lower, i) != NULL;
		bool is_upper = i > 0 && strchr(upper, i) != NULL;

		assert_int_equal(ascii_is_digit(i), is_digit);
		assert_int_equal(ascii_is_letter(i), is_lower || is_upper);
		assert_int_equal(ascii_is_alnum(i),
		    is_digit || is_lower || is_upper);
		assert_int_equal(ascii_is_blank(i), i == ' ' || i == '\t');
		assert_int_equal(ascii_is_white(i), i == ' ' || i == '\t' ||
		    i == '\r' || i == '\n');
		assert_int_equal(ascii_is_hex(i), is_digit ||
		    (i > 0 && strchr("abcdefABCDEF", i) != NULL));
		assert_true(ascii_lower(c) == (is_upper ? c + 32 : c));
		assert_true(ascii_upper(c) == (is_lower ? c - 32 : c));
	}
	assert_int_equal(ascii_hex_value('9'), 9);
	assert_int_equal(ascii_hex_value('a'), 10);
	assert_int_equal(ascii_hex_value('F'), 15);
	assert_int_equal(ascii_hex_value('g'), -1);
}

static void
mem_words(void **state)
{
	(void)state;
	assert_true(bytes_is_word(BYTES("a-Z_9"), "-_"));
	assert_false(bytes_is_word(BYTES(""), "-_"));
	assert_false(bytes_is_word(BYTES("a.b"), "-_"));
	assert_false(bytes_is_word(BYTES("a\0b"), "-_"));
	assert_false(bytes_is_word(BYTES("\xc3\xbc"), ""));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mem_bytes_compare),
		cmocka_unit_test(mem_bytes_cut_and_find),
		cmocka_unit_test(mem_bytes_to_number),
		cmocka_unit_test(mem_arena_keeps_its_budget),
		cmocka_unit_test(mem_arena_makes_texts),
		cmocka_unit_test(mem_buf_grows_to_its_bound),
		cmocka_unit_test(mem_buf_room_is_counted_by_commit),
		cmocka_unit_test(mem_plain),
		cmocka_unit_test(mem_hash_follows_the_reference),
		cmocka_unit_test(mem_hex),
		cmocka_unit_test(mem_classes_of_characters),
		cmocka_unit_test(mem_words),
		cmocka_unit_test(mem_base64),
		cmocka_unit_test(mem_base32),
		cmocka_unit_test(mem_reserve_is_there_when_nothing_else_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
