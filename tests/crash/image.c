/* SPDX-License-Identifier: ISC */
/*
 * image - what a start would find in a spool as it lay on the disk.
 * Use:    image [-w] ACCOUNT DIR...; each DIR holds spool/ with a data.mdb as
 *         a crash left it, and is opened as the relay does it.
 * Prints: for each "image DIR counted=N", N = SentLast24Hours of the account,
 *         then a line "MESSAGE-ID RECIPIENTS" for each message kept for it.
 *         With -w the whole: state/ lies beside spool/ and is opened and read
 *         as well ("state ACCOUNTS KEYS"), and more lines follow:
 *         "open MESSAGE-ID N" for each envelope that is in the queue,
 *         "body MESSAGE-ID SHA-256" for each message in it,
 *         "ended MESSAGE-ID N" for each event that tells N final ends.
 * Fails:  status 1 and why on standard error.
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mail/message.h"
#include "registry/book.h"
#include "registry/quota.h"
#include "store/spool.h"

enum { WINDOW = 1000, SLICE = 65536, ARENA = 1 << 20 };

struct walk {
	const char  *account;
	struct msgid last;
	size_t	     seen;
	bool	     has_last;
};

static bool
on_mail(void *arg, const struct mail_row *m)
{
	struct walk *w = arg;
	char	     text[MSGID_TEXT + 1];

	w->last = m->id;
	w->has_last = true;
	w->seen++;
	if (m->system || strcmp(m->account, w->account) != 0)
		return true;
	msgid_to_text(&m->id, "0100", 0, text);
	printf("%s %u\n", text, m->recipient_count);
	return true;
}

static void
show_id(const char *word, const struct msgid *id)
{
	char text[MSGID_TEXT + 1];

	msgid_to_text(id, "0100", 0, text);
	printf("%s %s ", word, text);
}

/* -- the whole ------------------------------------------------------------- */

struct envelopes {
	struct spool *spool;
	struct msgid  last;
	unsigned      last_n;
	size_t	      seen;
	bool	      has_last, is_damaged;
};

/* Every octet of the content is read; of the body the sum is told. */
static int
show_body(struct spool *spool, const struct msgid *id)
{
	EVP_MD_CTX	  *md = EVP_MD_CTX_new();
	struct arena	  *a = arena_new(ARENA);
	struct message_row m;
	unsigned char	   sum[EVP_MAX_MD_SIZE];
	unsigned	   n, i;
	uint64_t	   at;
	ptrdiff_t	   k = -1;
	static char	   buf[SLICE];
	struct err	   e;

	if (spool_read_message(spool, id, a, &m, &e) != 1)
		goto out;
	EVP_DigestInit_ex(md, EVP_sha256(), NULL);
	for (at = 0; (k = spool_read_content(spool, &m, at, buf,
	    at < m.head_octets && m.head_octets - at < SLICE ?
		m.head_octets - at : SLICE, &e)) > 0; at += (uint64_t)k)
		if (at >= m.head_octets)
			EVP_DigestUpdate(md, buf, (size_t)k);
	if (k == 0 && at != m.head_octets + m.body_octets)
		k = -1;
	EVP_DigestFinal_ex(md, sum, &n);
	if (k == 0) {
		show_id("body", id);
		for (i = 0; i < n; i++)
			printf("%02x", sum[i]);
		printf("\n");
	}
out:
	arena_free(a);
	EVP_MD_CTX_free(md);
	return k == 0 ? 0 : -1;
}

static bool
on_recipient(void *arg, const struct recipient_row *r)
{
	struct envelopes *w = arg;

	if (w->has_last && msgid_cmp(&w->last, &r->id) == 0 &&
	    w->last_n == r->n)
		return true; /* where the window before ended */
	if ((!w->has_last || msgid_cmp(&w->last, &r->id) != 0) &&
	    show_body(w->spool, &r->id) < 0) {
		show_id("damaged", &r->id);
		w->is_damaged = true;
		return false;
	}
	show_id("open", &r->id);
	printf("%u\n", r->n);
	w->last = r->id;
	w->last_n = r->n;
	w->has_last = true;
	w->seen++;
	return true;
}

static int
show_envelopes(struct spool *spool, struct err *e)
{
	struct envelopes w = { .spool = spool };
	int		 rc;

	do {
		w.seen = 0;
		rc = spool_scan_recipients(spool, w.has_last ? &w.last : NULL,
		    w.last_n, WINDOW, on_recipient, &w, e);
	} while (rc >= 0 && w.seen > 0 && !w.is_damaged);
	return w.is_damaged ? err_set(e, "content is not whole") : rc;
}

static bool
on_event(void *arg, uint64_t sequence, const struct event *ev)
{
	*(uint64_t *)arg = sequence;
	if (ev->type != EVENT_DELIVERY && ev->type != EVENT_BOUNCE)
		return true;
	show_id("ended", &ev->message);
	printf("%zu\n", ev->recipient_count);
	return true;
}

static bool
on_row(void *arg, struct bytes key, struct bytes value)
{
	(void)key;
	(void)value;
	++*(unsigned *)arg;
	return true;
}

static int
show_state(const char *dir, struct err *e)
{
	struct book   *book = book_open(dir, 1 << 26, e);
	struct db_txn *t = book == NULL ? NULL : book_read(book, e);
	unsigned       accounts = 0, keys = 0;
	int	       rc = -1;

	if (t != NULL)
		rc = book_walk(t, BOOK_ACCOUNT, BYTES(""), on_row, &accounts,
		    e);
	if (rc == 0)
		rc = book_walk(t, BOOK_KEY, BYTES(""), on_row, &keys, e);
	if (rc == 0)
		printf("state %u %u\n", accounts, keys);
	if (t != NULL)
		book_end(t);
	book_close(book);
	return rc;
}

static int
show_whole(struct spool *spool, const char *dir, struct err *e)
{
	uint64_t sequence = 0;
	int	 rc;

	if (show_state(dir, e) < 0 || show_envelopes(spool, e) < 0)
		return -1;
	do {
		rc = spool_scan_events(spool, sequence, WINDOW, on_event,
		    &sequence, e);
	} while (rc > 0);
	return rc;
}

static int
show(const char *account, const char *dir, bool whole)
{
	struct spool_setup s = { .dir = dir, .map_bytes = 1 << 30,
		.messages_max = 1000000, .index_keep_ms = INT64_MAX / 2,
		.tail_keep_ms = INT64_MAX / 2 };
	struct walk	   w = { .account = account };
	struct spool	  *spool;
	struct err	   e;
	double		   counted;
	int		   rc = -1;

	spool = spool_open(&s, &e);
	if (spool == NULL ||
	    quota_sent_24h(spool, account, clock_wall(), &counted, &e) < 0)
		goto out;
	printf("image %s counted=%.0f\n", dir, counted);
	do {
		w.seen = 0;
		rc = spool_scan_mail(spool, w.has_last ? &w.last : NULL,
		    WINDOW, on_mail, &w, &e);
	} while (rc >= 0 && w.seen == WINDOW);
	if (rc >= 0 && whole)
		rc = show_whole(spool, dir, &e);
out:
	if (rc < 0)
		fprintf(stderr, "%s: %s\n", dir, e.text);
	spool_close(spool);
	return rc < 0 ? 1 : 0;
}

int
main(int argc, char **argv)
{
	bool whole = argc > 1 && strcmp(argv[1], "-w") == 0;
	int  i;

	if (argc < 3 + whole) {
		fprintf(stderr, "usage: image [-w] ACCOUNT DIR...\n");
		return 2;
	}
	for (i = 2 + whole; i < argc; i++)
		if (show(argv[1 + whole], argv[i], whole) != 0)
			return 1;
	return 0;
}
