/* SPDX-License-Identifier: ISC */
/* The keys process and its client together: what is asked. */
#include "keys_world.h"

/* -- signing -------------------------------------------------------------- */

static void
test_sign(void **state)
{
	struct world	    w;
	struct made	    m;
	struct keys_figures f;
	unsigned char	    i;

	(void)state;
	world_open(&w);
	make(&w, &m, "example.com", "s1", 1024);
	for (i = 0; i < 10; i++)
		sign(&w, &m, i);
	f = figures_at_end(&w);
	assert_int_equal(f.kept, 1);
	assert_int_equal(f.unsealed, 1); /* once, then from the table */
	assert_int_equal(f.signatures, 10);
	world_close(&w);
}

/* A slot that got another key (dkim 10.1) signs with the new one. */
static void
test_selector_gets_another_key(void **state)
{
	struct world	    w;
	struct made	    one, two;
	struct keys_figures f;

	(void)state;
	world_open(&w);
	make(&w, &one, "example.com", "slot", 1024);
	make(&w, &two, "example.com", "slot", 1024);
	sign(&w, &one, 1);
	sign(&w, &two, 2);
	sign(&w, &two, 3);
	f = figures_at_end(&w);
	assert_int_equal(f.kept, 1);
	assert_int_equal(f.unsealed, 2);
	world_close(&w);
}

/* Many at once; each answer finds its asker. */
static void
test_many_in_flight(void **state)
{
	enum { KEYS = 4, ALL = 400 };
	static struct one_of_many o[ALL];
	struct world		  w;
	struct made		  m[KEYS];
	struct keys_sign	  r;
	char			  selector[8];
	unsigned		  i;

	(void)state;
	world_open(&w);
	for (i = 0; i < KEYS; i++) {
		snprintf(selector, sizeof(selector), "s%u", i);
		make(&w, &m[i], "example.com", selector, 1024);
	}
	for (i = 0; i < ALL; i++) {
		o[i] = (struct one_of_many){ &w, &m[i % KEYS],
			(unsigned char)i };
		r = to_sign(o[i].m, o[i].n);
		keys_client_sign(w.client, &r, on_one_of_many, &o[i]);
	}
	wait_for(&w, ALL);
	assert_int_equal(w.ok, ALL + KEYS);
	assert_int_equal(figures_at_end(&w).kept, KEYS);
	world_close(&w);
}

static void
on_made(void *arg, const struct keys_answer *a)
{
	struct world *w = arg;

	assert_int_equal(a->result, KEYS_OK);
	strcat(w->order, "m");
	on_answer(w, a);
}

static void
on_signed(void *arg, const struct keys_answer *a)
{
	struct world *w = arg;

	assert_int_equal(a->result, KEYS_OK);
	strcat(w->order, "s");
	on_answer(w, a);
}

/* Keys are made beside: eight of them do not hold up a signature. */
static void
test_signing_does_not_wait_for_making(void **state)
{
	struct world	 w;
	struct made	 m;
	struct keys_sign r;
	unsigned	 i;

	(void)state;
	world_open(&w);
	make(&w, &m, "example.com", "s1", 1024);
	r = to_sign(&m, 1);
	for (i = 0; i < 8; i++)
		keys_client_make(w.client, "example.com", "x", 2048, on_made,
		    &w);
	keys_client_sign(w.client, &r, on_signed, &w);
	wait_for(&w, 9);
	assert_int_equal(w.ok, 10);
	assert_true(strchr(w.order, 's') - w.order < 4);
	world_close(&w);
}

/* The table is bounded; what was used least goes. */
static void
test_table_is_bounded(void **state)
{
	enum { KEPT = 32 };
	struct keys_setup   setup = { .master_key_fd = master_file('m'),
		.operator_key_fd = -1, .control_fd = -1, .threads = 2,
		.keep_max = KEPT };
	struct world	    w;
	struct keys_figures f;
	struct sealer	   *s;
	struct signing_key *k = signing_key_make(1024, &e);
	struct made	    m, first;
	char		    name[128];
	int		    fd = master_file('m'), n, len;
	unsigned	    i;

	(void)state;
	s = sealer_open(fd, &e);
	close(fd);
	memset(&m, 0, sizeof(m));
	m.public_n = signing_key_public(k, m.public_key,
	    sizeof(m.public_key));
	strcpy(m.domain, "example.com");
	world_open_setup(&w, &setup);
	for (i = 0; i < KEPT + 5; i++) {
		snprintf(m.selector, sizeof(m.selector), "s%u", i);
		n = snprintf(name, sizeof(name), "%s%c%s", m.domain, 0,
		    m.selector);
		len = sealer_seal(s, (struct bytes){ name, (size_t)n }, k,
		    m.sealed, sizeof(m.sealed), &e);
		assert_true(len > 0);
		m.sealed_n = (size_t)len;
		if (i == 0)
			first = m;
		sign(&w, &m, (unsigned char)i);
		if (i == KEPT)
			sign(&w, &first, 9); /* was thrown out */
	}
	f = figures_at_end(&w);
	assert_int_equal(w.failed + w.down, 0);
	assert_int_equal(f.kept, KEPT);
	assert_int_equal(f.unsealed, KEPT + 5 + 1);
	world_close(&w);
	signing_key_free(k);
	sealer_free(s);
}

/* What nobody uses is wiped, and unsealed anew when it is wanted again. */
static void
test_idle_keys_go(void **state)
{
	struct keys_setup s = { .master_key_fd = master_file('m'),
		.operator_key_fd = -1, .control_fd = -1, .threads = 2,
		.keep_ms = 100 };
	struct keys_figures f;
	struct world	    w;
	struct made	    m, busy;
	struct mono	    begun;

	(void)state;
	world_open_setup(&w, &s);
	make(&w, &m, "example.com", "s1", 1024);
	make(&w, &busy, "example.com", "busy", 1024);
	sign(&w, &m, 1);
	begun = clock_mono();
	while (clock_mono().ms - begun.ms < 300)
		sign(&w, &busy, 2);
	sign(&w, &m, 3);
	f = figures_at_end(&w);
	/* m twice; the busy one at most for each time the machine slept */
	assert_in_range(f.kept, 1, 2);
	assert_in_range(f.unsealed, 3, 6);
	world_close(&w);
}

/* -- import, export, check ------------------------------------------------ */

static const struct keys_answer *
import(struct world *w, int fd, unsigned min_bits, unsigned max_bits)
{
	struct keys_import r = { "example.com", "own", min_bits, max_bits,
		fd };

	keys_client_import(w->client, &r, on_answer, w);
	return wait_for(w, 1);
}

/* dkim#16 */
static void
test_import(void **state)
{
	struct world		  w;
	EVP_PKEY		 *k = EVP_RSA_gen(2048);
	const struct keys_answer *a;
	unsigned char		 *der = NULL;
	struct made		  m = { "example.com", "own", { 0 }, { 0 },
				   0, 0 };
	int			  n = i2d_PUBKEY(k, &der), i;

	(void)state;
	world_open(&w);
	for (i = 0; i < 2; i++) {
		a = import(&w, key_file(k, i == 0), 1024, 2048);
		assert_int_equal(a->result, KEYS_OK);
		assert_int_equal(a->bits, 2048);
		assert_int_equal(a->public_n, n);
		assert_memory_equal(a->public_key, der, (size_t)n);
	}
	m.public_n = a->public_n;
	memcpy(m.public_key, a->public_key, a->public_n);
	m.sealed_n = a->sealed_n;
	memcpy(m.sealed, a->sealed, a->sealed_n);
	sign(&w, &m, 5);
	a = import(&w, key_file(k, true), 1024, 1536);
	assert_int_equal(a->result, KEYS_FAILED);
	assert_string_equal(a->reason, "private key must be PKCS#1 or PKCS#8, "
				       "RSA, 1024 to 1536 bits");
	a = import(&w, temporary_file(0600, "x", 1), 1024, 2048);
	assert_int_equal(a->result, KEYS_FAILED);
	world_close(&w);
	OPENSSL_free(der);
	EVP_PKEY_free(k);
}

/* A file that is too large; a directory. */
static void
test_import_is_bounded(void **state)
{
	struct world		  w;
	char			 *large = calloc(1, 100000);
	const struct keys_answer *a;

	(void)state;
	world_open(&w);
	memset(large, 'A', 100000);
	a = import(&w, temporary_file(0600, large, 100000), 1024, 2048);
	assert_int_equal(a->result, KEYS_FAILED);
	assert_string_equal(a->reason, "the key file is too large");
	a = import(&w, open("/", O_RDONLY | O_CLOEXEC), 1024, 2048);
	assert_int_equal(a->result, KEYS_FAILED);
	assert_string_equal(a->reason, "read the key: Is a directory");
	world_close(&w);
	free(large);
}

static void
test_export(void **state)
{
	struct world		  w;
	struct made		  m;
	struct keys_sign	  r;
	const struct keys_answer *a;
	struct signing_key	 *k;
	unsigned char		  der[600];
	char			  pem[4096];
	ssize_t			  n;
	int			  fds[2];

	(void)state;
	world_open(&w);
	make(&w, &m, "example.com", "s1", 1024);
	r = to_sign(&m, 0);
	assert_int_equal(pipe(fds), 0);
	keys_client_export(w.client, &r, fds[1], on_answer, &w);
	a = wait_for(&w, 1);
	assert_int_equal(a->result, KEYS_OK);
	assert_int_equal(a->sealed_n, 0);
	n = read(fds[0], pem, sizeof(pem));
	assert_true(n > 0);
	k = signing_key_read((struct bytes){ pem, (size_t)n }, 1024, 1024,
	    &e);
	assert_non_null(k);
	assert_int_equal(signing_key_public(k, der, sizeof(der)), m.public_n);
	assert_memory_equal(der, m.public_key, m.public_n);
	signing_key_free(k);
	close(fds[0]);
	/* nobody at the other end */
	assert_int_equal(pipe(fds), 0);
	close(fds[0]);
	keys_client_export(w.client, &r, fds[1], on_answer, &w);
	a = wait_for(&w, 1);
	assert_int_equal(a->result, KEYS_FAILED);
	world_close(&w);
}

/* Whatever relay has of its own to read from: no private key comes there. */
static void
test_export_to_relay(void **state)
{
	struct keys_setup s = { .master_key_fd = master_file('m'),
		.operator_key_fd = -1,
		.control_fd = -1,
		.relay_uid = geteuid() == 0 ? 4711 : geteuid(),
		.threads = 1 };
	struct world	  w;
	struct made	  m;
	struct keys_sign  r;
	const struct keys_answer *a;
	int		  fds[2], pair_fds[2], i;
	char		  c;

	(void)state;
	world_open_setup(&w, &s);
	make(&w, &m, "example.com", "s1", 1024);
	r = to_sign(&m, 0);
	assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
	if (geteuid() == 0)
		assert_int_equal(fchown(fds[1], s.relay_uid, (gid_t)-1), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    pair_fds), 0);
	for (i = 0; i < 3; i++) {
		keys_client_export(w.client, &r, i == 0 ? fds[1] :
		    i == 1 ? temporary_file(0600, "", 0) : pair_fds[1],
		    on_answer, &w);
		a = wait_for(&w, 1);
		assert_int_equal(a->result, KEYS_FAILED);
		assert_non_null(strstr(a->reason, "not server.user"));
	}
	assert_int_equal(read(fds[0], &c, 1), 0);
	assert_int_equal(read(pair_fds[0], &c, 1), 0);
	close(fds[0]);
	close(pair_fds[0]);
	/* another's */
	if (geteuid() == 0) {
		assert_int_equal(pipe(fds), 0);
		keys_client_export(w.client, &r, fds[1], on_answer, &w);
		assert_int_equal(wait_for(&w, 1)->result, KEYS_OK);
		close(fds[0]);
	}
	world_close(&w);
}

/* At start: does the master key open what the store has? */
static void
test_check(void **state)
{
	struct keys_setup s = { .master_key_fd = -1,
		.operator_key_fd = -1,
		.control_fd = -1 };
	struct world	  w, other;
	struct made	  m;
	struct keys_sign  r;

	(void)state;
	world_open(&w);
	make(&w, &m, "example.com", "s1", 1024);
	r = to_sign(&m, 0);
	keys_client_check(w.client, &r, on_answer, &w);
	assert_int_equal(wait_for(&w, 1)->result, KEYS_OK);
	assert_int_equal(w.last.sealed_n + w.last.public_n +
		w.last.signature_n, 0);
	r.selector = "s2";
	keys_client_check(w.client, &r, on_answer, &w);
	assert_int_equal(wait_for(&w, 1)->result, KEYS_FAILED);
	keys_client_sign(w.client, &r, on_answer, &w);
	assert_int_equal(wait_for(&w, 1)->result, KEYS_FAILED);
	r.selector = "s1";
	s.master_key_fd = master_file('x');
	world_open_setup(&other, &s);
	keys_client_check(other.client, &r, on_answer, &other);
	assert_int_equal(wait_for(&other, 1)->result, KEYS_FAILED);
	assert_string_equal(other.last.reason,
	    "the master key does not open this key");
	world_close(&other);
	world_close(&w);
}

/* -- without a master key; the operator's key ----------------------------- */

/* credentials#25 */
static void
test_no_master_key(void **state)
{
	struct keys_setup s = { .master_key_fd = -1,
		.operator_key_fd = -1,
		.control_fd = -1 };
	struct made	   m = { .domain = "example.com", .selector = "s" };
	struct keys_sign   r = to_sign(&m, 1);
	struct keys_import i = { "example.com", "s", 1024, 2048, -1 };
	struct world	   w;

	(void)state;
	world_open_setup(&w, &s);
	keys_client_make(w.client, "example.com", "s1", 2048, on_answer, &w);
	assert_int_equal(wait_for(&w, 1)->result, KEYS_FAILED);
	assert_string_equal(w.last.reason, NO_MASTER);
	i.fd = temporary_file(0600, "x", 1);
	keys_client_import(w.client, &i, on_answer, &w);
	assert_int_equal(wait_for(&w, 1)->result, KEYS_FAILED);
	assert_string_equal(w.last.reason, NO_MASTER);
	keys_client_sign(w.client, &r, on_answer, &w);
	assert_int_equal(wait_for(&w, 1)->result, KEYS_FAILED);
	assert_string_equal(w.last.reason, NO_MASTER);
	/* it may come with a reload: within the limit */
	keys_client_set_limits(w.client, 250, 250);
	keys_client_sign_operator(w.client, &r, on_answer, &w);
	assert_int_equal(wait_for(&w, 1)->result, KEYS_DOWN);
	assert_string_equal(w.last.reason,
	    "the keys process has another operator key");
	keys_client_operator(w.client, on_answer, &w);
	assert_int_equal(wait_for(&w, 1)->result, KEYS_FAILED);
	world_close(&w);
}

/* dkim 6.2 */
static void
test_operator_key(void **state)
{
	EVP_PKEY	 *k = EVP_RSA_gen(2048), *small = EVP_RSA_gen(512);
	struct keys_setup s = { .master_key_fd = -1,
		.operator_key_fd = key_file(k, false),
		.operator_domain = "relay.example",
		.operator_selector = "op",
		.control_fd = -1 };
	struct made	  op = { .domain = "relay.example", .selector = "op" };
	struct keys_sign  r = to_sign(&op, 3);
	unsigned char	  der[600];
	struct world	  w;
	struct loop	 *l;
	size_t		  n;

	(void)state;
	world_open_setup(&w, &s);
	keys_client_operator(w.client, on_answer, &w);
	assert_int_equal(wait_for(&w, 1)->result, KEYS_OK);
	assert_int_equal(w.last.bits, 2048);
	n = w.last.public_n;
	memcpy(der, w.last.public_key, n);
	keys_client_sign_operator(w.client, &r, on_answer, &w);
	assert_int_equal(wait_for(&w, 1)->result, KEYS_OK);
	assert_true(verifies(der, n, 3, &w.last));
	world_close(&w);
	/* one that may not sign stops the start */
	l = loop_new("keys", 64, &e);
	s.peer_count = 0;
	s.operator_key_fd = key_file(small, false);
	assert_null(keys_open(l, &s, &e));
	assert_string_equal(e.text, "dkim.operator_key: private key must be "
	    "PKCS#1 or PKCS#8, RSA, 1024 to 4096 bits");
	loop_free(l);
	EVP_PKEY_free(k);
	EVP_PKEY_free(small);
}

struct operator_change {
	struct keys *keys;
	int	     fd;
	const char  *selector;
};

static void
change_operator(void *change, void *unused)
{
	struct operator_change *c = change;
	struct err		why;

	(void)unused;
	assert_int_equal(keys_set_operator(c->keys, c->fd, "relay.example",
	    c->selector, &why), 0);
}

static void
sign_as_operator(struct world *w, const char *selector, EVP_PKEY *k)
{
	struct made	 op = { .domain = "relay.example" };
	struct keys_sign r;
	unsigned char	*der = NULL;
	int		 n = i2d_PUBKEY(k, &der);

	snprintf(op.selector, sizeof(op.selector), "%s", selector);
	r = to_sign(&op, 4);
	keys_client_sign_operator(w->client, &r, on_answer, w);
	assert_int_equal(wait_for(w, 1)->result, KEYS_OK);
	assert_true(verifies(der, (size_t)n, 4, &w->last));
	OPENSSL_free(der);
}

/*
 * A reload reaches relay first: what it asks of the next key waits for it,
 * and what was under way is still signed with the one of before.  A signature
 * by the wrong key would be worse than none.
 */
static void
test_operator_key_changes(void **state)
{
	EVP_PKEY	      *one = EVP_RSA_gen(1024), *two = EVP_RSA_gen(1024);
	struct keys_setup      s = { .master_key_fd = -1,
		.operator_key_fd = key_file(one, false),
		.operator_domain = "relay.example",
		.operator_selector = "one", .control_fd = -1 };
	struct made	       op = { .domain = "relay.example",
		.selector = "two" };
	struct keys_sign       r = to_sign(&op, 5);
	struct operator_change c = { .fd = key_file(two, false),
		.selector = "two" }, none = { .fd = -1, .selector = NULL };
	struct world	       w;

	(void)state;
	world_open_setup(&w, &s);
	sign_as_operator(&w, "one", one);
	c.keys = none.keys = w.keys;
	keys_client_sign_operator(w.client, &r, on_answer, &w);
	sign_as_operator(&w, "one", one); /* the other one waits */
	assert_true(loop_post(w.keys_loop, change_operator, &c, NULL));
	assert_int_equal(wait_for(&w, 1)->result, KEYS_OK);
	sign_as_operator(&w, "two", two);
	sign_as_operator(&w, "one", one);
	/* switched off: the last one for what is under way, no older ones */
	assert_true(loop_post(w.keys_loop, change_operator, &none, NULL));
	keys_client_set_limits(w.client, 250, 250);
	r.selector = "one";
	keys_client_sign_operator(w.client, &r, on_answer, &w);
	assert_int_equal(wait_for(&w, 1)->result, KEYS_DOWN);
	sign_as_operator(&w, "two", two);
	world_close(&w);
	EVP_PKEY_free(one);
	EVP_PKEY_free(two);
}

/* dkim.md 3: any length between the limits, never below 1024 (RFC 8301) */
static void
test_lengths_of_own_keys(void **state)
{
	static const struct {
		unsigned bits, min_bits, max_bits;
		bool	 ok;
	} rows[] = { { 1024, 1024, 2048, true }, { 1536, 1024, 2048, true },
		{ 1100, 1024, 2048, true }, { 2048, 1024, 2048, true },
		{ 3072, 1024, 2048, false }, { 3072, 1024, 4096, true },
		{ 4096, 1024, 4096, true }, { 1016, 512, 2048, false },
		{ 1024, 2048, 4096, false } };
	struct world		  w;
	const struct keys_answer *a;
	EVP_PKEY		 *k;
	struct made		  m = { .domain = "example.com",
				  .selector = "own" };
	size_t			  i;

	(void)state;
	world_open(&w);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		k = EVP_RSA_gen(rows[i].bits);
		a = import(&w, key_file(k, i % 2 == 0), rows[i].min_bits,
		    rows[i].max_bits);
		EVP_PKEY_free(k);
		assert_int_equal(a->result,
		    rows[i].ok ? KEYS_OK : KEYS_FAILED);
		if (!rows[i].ok)
			continue;
		assert_int_equal(a->bits, rows[i].bits);
		m.public_n = a->public_n;
		memcpy(m.public_key, a->public_key, a->public_n);
		m.sealed_n = a->sealed_n;
		memcpy(m.sealed, a->sealed, a->sealed_n);
		sign(&w, &m, (unsigned char)i);
	}
	world_close(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sign),
		cmocka_unit_test(test_selector_gets_another_key),
		cmocka_unit_test(test_many_in_flight),
		cmocka_unit_test(test_signing_does_not_wait_for_making),
		cmocka_unit_test(test_table_is_bounded),
		cmocka_unit_test(test_idle_keys_go),
		cmocka_unit_test(test_import),
		cmocka_unit_test(test_import_is_bounded),
		cmocka_unit_test(test_export),
		cmocka_unit_test(test_export_to_relay),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_no_master_key),
		cmocka_unit_test(test_operator_key),
		cmocka_unit_test(test_operator_key_changes),
		cmocka_unit_test(test_lengths_of_own_keys),
	};

	return cmocka_run_group_tests_name("keys", tests, NULL, NULL);
}
