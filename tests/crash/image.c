/* SPDX-License-Identifier: ISC */
/*
 * image - what a start would find in a spool as it lay on the disk.
 * Use:    image ACCOUNT DIR...; each DIR holds spool/ with a data.mdb that
 *         was copied while the relay stood still, and is opened as the relay
 *         does it: a crash at that instant.
 * Prints: for each "image DIR counted=N", N = SentLast24Hours of the account,
 *         then a line "MESSAGE-ID RECIPIENTS" for each message kept for it.
 * Fails:  status 1 and why on standard error.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mail/message.h"
#include "registry/quota.h"
#include "store/spool.h"

enum { WINDOW = 1000 };

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

static int
show(const char *account, const char *dir)
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
out:
	if (rc < 0)
		fprintf(stderr, "%s: %s\n", dir, e.text);
	spool_close(spool);
	return rc < 0 ? 1 : 0;
}

int
main(int argc, char **argv)
{
	int i;

	if (argc < 3) {
		fprintf(stderr, "usage: image ACCOUNT DIR...\n");
		return 2;
	}
	for (i = 2; i < argc; i++)
		if (show(argv[1], argv[i]) != 0)
			return 1;
	return 0;
}
