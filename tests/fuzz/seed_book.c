/* SPDX-License-Identifier: ISC */
/*
 * Seeds of fuzz_book: a row of each table of state/, made by the registers,
 * as it is ("TABLE") and damaged ("TABLE-damaged").  They are the same each
 * time; "make fuzz-seeds" runs it when a record has changed.
 * usage: seed_book FOLDER
 */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "book_rows.h"

static const char *const names[BOOK_TABLES] = {
	[BOOK_ACCOUNT] = "account",
	[BOOK_CREDENTIAL] = "credential",
	[BOOK_KEY] = "key",
	[BOOK_IDENTITY] = "identity",
	[BOOK_POLICY] = "policy",
	[BOOK_DKIM_KEY] = "dkim-key",
	[BOOK_SELECTOR] = "selector",
	[BOOK_TOKEN] = "token",
	[BOOK_SOURCE] = "source",
	[BOOK_CHECK] = "check",
	[BOOK_CONFIG_SET] = "config-set",
	[BOOK_SET_ID] = "set-id",
	[BOOK_SET_TAGS] = "set-tags",
	[BOOK_DESTINATION] = "destination",
	[BOOK_SUPPRESSED] = "suppressed",
	[BOOK_SUPPRESSED_TIME] = "suppressed-time",
	[BOOK_SUPPRESSED_ALL] = "suppressed-all",
	[BOOK_IMPORT] = "import",
	[BOOK_MAIL_FROM] = "mail-from",
	[BOOK_IP_FILTER] = "ip-filter",
	[BOOK_ALARM] = "alarm",
	[BOOK_ALARM_PAST] = "alarm-past",
	[BOOK_FINDING] = "finding",
	[BOOK_POOL] = "pool",
	[BOOK_LEVEL] = "level",
	[BOOK_LISTING] = "listing",
	[BOOK_SNDS] = "snds",
	[BOOK_IDENTITY_TAGS] = "identity-tags",
	[BOOK_SPF] = "spf",
	[BOOK_TOPIC] = "topic",
	[BOOK_NOTIFICATION] = "notification",
};

/* -- files ------------------------------------------------------------------ */

static void
write_seed(const char *folder, enum book_table table, const char *what,
    struct bytes key, struct bytes value)
{
	char  path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%.400s/%s%s", folder, names[table],
	    what);
	f = fopen(path, "wb");
	if (f == NULL || fprintf(f, "%c%c%c", (char)table, '\0',
		(char)(unsigned char)key.n) != 3 ||
	    fwrite(key.p, 1, key.n, f) != key.n ||
	    fwrite(value.p, 1, value.n, f) != value.n || fclose(f) != 0) {
		perror(path);
		exit(1);
	}
}

/*
 * One octet too many, which is never a whole number.  What has no record is
 * damaged in its key, and a list, of which the rest is forgotten, is cut.
 */
static void
write_damaged(const char *folder, enum book_table table, struct bytes key,
    struct bytes value)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	if (table == BOOK_ALARM_PAST) {
		value = bytes_head(value, 3);
	} else if (table == BOOK_POLICY || value.n == 0) {
		key = bytes_head(key, key.n / 3);
	} else {
		must(buf_add_bytes(&b, value) && buf_add_char(&b, '\x80'));
		value = buf_bytes(&b);
	}
	write_seed(folder, table, "-damaged", key, value);
	buf_wipe(&b);
}

struct seeding {
	struct book_job job; /* first */
	const char     *folder;
};

static int
run(struct book_job *job, struct db_txn *t)
{
	const char	 *folder = ((struct seeding *)(void *)job)->folder;
	struct db_cursor *c;
	struct bytes	  key, value;
	unsigned	  i;

	rows_put(t);
	for (i = 0; i < BOOK_TABLES; i++) {
		c = db_cursor(t, i, &rows_err);
		must(c != NULL && names[i] != NULL);
		/* 0 = there is no row of it: put one above */
		must(db_seek(c, BYTES(""), &key, &value, &rows_err) == 1);
		must(key.n <= 255);
		write_seed(folder, (enum book_table)i, "", key, value);
		write_damaged(folder, (enum book_table)i, key, value);
		db_cursor_close(c);
	}
	return 0;
}

static int
on_file(const char *path, const struct stat *st, int kind, struct FTW *f)
{
	(void)st;
	(void)kind;
	(void)f;
	return remove(path);
}

int
main(int argc, char **argv)
{
	struct seeding s = { .job.run = run };
	char	       dir[] = "/tmp/posthorn-seeds-XXXXXX";
	struct book   *b;

	if (argc != 2) {
		fprintf(stderr, "usage: seed_book FOLDER\n");
		return 2;
	}
	s.folder = argv[1];
	must(mkdtemp(dir) != NULL);
	b = book_open(dir, 16 << 20, &rows_err);
	must(b != NULL);
	must(nftw(dir, on_file, 8, FTW_DEPTH | FTW_PHYS) == 0);
	rows_good(book_write_now(b, &s.job));
	book_close(b);
	return 0;
}
