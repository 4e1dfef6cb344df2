/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mail/message.h"

static void
envelopes_are_numbered_and_found(void **state)
{
	/* smtp-interface 5.3: local part to the letter, domain without case */
	static const struct {
		const char *ask;
		unsigned    index; /* 0 = not there */
	} cases[] = {
		{ "a@example.org", 1 },
		{ "a@EXAMPLE.org", 1 },
		{ "A@example.org", 0 },
		{ "\"x@y\"@example.net", 2 },
		{ "y\"@example.net", 0 },
		{ "b0@example.com", 3 },
		{ "b9@example.com", 12 },
		{ "b9@example.co", 0 },
		{ "", 0 },
	};
	struct message	*m = message_new(100000);
	struct envelope *env;
	char		 text[32] = "b0@example.com";
	size_t		 i;

	(void)state;
	assert_non_null(message_add_envelope(m, BYTES("a@example.org")));
	env = message_add_envelope(m, BYTES("\"x@y\"@example.net"));
	assert_non_null(env);
	env->simulator = true;
	for (i = 0; i < 10; i++, text[1]++)
		assert_non_null(message_add_envelope(m, bytes_of(text)));
	assert_int_equal(m->envelope_count, 12);
	assert_int_equal(message_simulator_count(m), 1);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		env = message_find_envelope(m, bytes_of(cases[i].ask));
		if (cases[i].index == 0) {
			assert_null(env);
			continue;
		}
		assert_non_null(env);
		assert_int_equal(env->index, cases[i].index);
	}
	env = &m->envelopes[1];
	assert_true(bytes_eq_text(env->domain, "example.net"));
	assert_ptr_equal(env->domain.p, env->address.p + 6);
	message_free(m);
}

static void
budget_ends_as_no(void **state)
{
	struct message *m = message_new(4096);
	unsigned	n = 0;
	struct bytes	old;
	char		big[5000];

	(void)state;
	memset(big, 'x', sizeof(big));
	assert_true(message_set(m, &m->sender, BYTES("s@example.com")));
	old = m->sender;
	assert_false(message_set(m, &m->sender,
	    (struct bytes){ big, sizeof(big) }));
	assert_ptr_equal(m->sender.p, old.p);
	while (message_add_envelope(m, BYTES("someone@example.org")) != NULL)
		assert_true(++n < 200);
	assert_true(n >= 8);
	assert_int_equal(m->envelope_count, n);
	assert_true(bytes_eq_text(m->envelopes[n - 1].address,
	    "someone@example.org"));
	message_free(m);
	message_free(NULL);
}

static void
tags_keep_their_order(void **state)
{
	struct message *m = message_new(100000);
	char		name[16];
	unsigned	i;

	(void)state;
	for (i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "tag%u", i);
		assert_true(message_add_tag(m, bytes_of(name), BYTES("v")));
	}
	assert_int_equal(m->tag_count, 50);
	for (i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "tag%u", i);
		assert_true(bytes_eq_text(m->tags[i].name, name));
		assert_true(bytes_eq_text(m->tags[i].value, "v"));
	}
	message_free(m);
}

/* The body as one piece, to compare. */
static char *
body_copy(const struct chunk *c, size_t *n)
{
	char *p = malloc(1 << 20);

	assert_non_null(p);
	*n = 0;
	for (; c != NULL; c = c->next) {
		memcpy(p + *n, c->data, c->n);
		*n += c->n;
	}
	return p;
}

static void
body_survives_any_slicing(void **state)
{
	static const size_t slices[] = { 1, 7, 4080, 4081, 65280, 100000 };
	static const size_t sizes[] = { 0, 1, 4080, 10240, 65280, 65281,
		200000 };
	char		   *data = malloc(200000), *copy;
	size_t		    i, k, at, n, got;
	struct message	   *m;
	const struct chunk *c;

	(void)state;
	for (i = 0; i < 200000; i++)
		data[i] = (char)(i * 7 + i / 251);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (k = 0; k < sizeof(slices) / sizeof(slices[0]); k++) {
			m = message_new(4096);
			for (at = 0; at < sizes[i]; at += n) {
				n = sizes[i] - at;
				if (n > slices[k])
					n = slices[k];
				assert_true(message_add_body(m,
				    (struct bytes){ data + at, n }));
			}
			copy = body_copy(m->body_first, &got);
			assert_int_equal(got, sizes[i]);
			assert_memory_equal(copy, data, got);
			free(copy);
			assert_int_equal(message_octets(m), got);
			/* all but the last are full */
			for (c = m->body_first; c != NULL; c = c->next)
				assert_true(c->n == CHUNK_OCTETS ||
				    c->next == NULL);
			assert_true(message_memory(m) >= got);
			assert_true(message_memory(m) <=
			    got * 4 + CONTENT_PIECE);
			message_free(m);
		}
	}
	free(data);
}

static void
full_chunks_are_taken(void **state)
{
	static const struct {
		size_t octets, taken, left;
	} cases[] = {
		{ 0, 0, 0 },
		{ CHUNK_OCTETS - 1, 0, CHUNK_OCTETS - 1 },
		{ CHUNK_OCTETS, CHUNK_OCTETS, 0 },
		{ 3 * CHUNK_OCTETS + 5, 3 * CHUNK_OCTETS, 5 },
	};
	char	       *data = calloc(1, 4 * CHUNK_OCTETS), *copy;
	struct message *m;
	struct chunk   *taken;
	size_t		i, n;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		m = message_new(4096);
		assert_true(message_add_body(m,
		    (struct bytes){ data, cases[i].octets }));
		taken = message_take_full(m);
		copy = body_copy(taken, &n);
		free(copy);
		assert_int_equal(n, cases[i].taken);
		copy = body_copy(m->body_first, &n);
		free(copy);
		assert_int_equal(n, cases[i].left);
		/* what is left goes on growing, and octets count all */
		assert_true(message_add_body(m, BYTES("more")));
		assert_int_equal(m->body_octets, cases[i].octets + 4);
		copy = body_copy(m->body_first, &n);
		assert_int_equal(n, cases[i].left + 4);
		assert_memory_equal(copy + n - 4, "more", 4);
		free(copy);
		chunk_free_all(taken);
		message_free(m);
	}
	free(data);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(envelopes_are_numbered_and_found),
		cmocka_unit_test(budget_ends_as_no),
		cmocka_unit_test(tags_keep_their_order),
		cmocka_unit_test(body_survives_any_slicing),
		cmocka_unit_test(full_chunks_are_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
