/* SPDX-License-Identifier: ISC */
/*
 * The command line of sendmail(1), words divided by zero octets, the name of
 * the program among them.  What it means is compared with getopt(3), which
 * programs and scripts expect.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/mem.h"
#include "tools/sendmail_options.h"

enum { WORDS_MAX = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* -- the other reading ------------------------------------------------------ */

static bool
their_mode(struct sendmail_options *o, const char *value)
{
	static const char letters[] = "mspiv"; /* in the order of the enum */
	const char	 *at = strchr(letters, value[0]);

	if (value[0] == '\0' || value[1] != '\0' || at == NULL)
		return false;
	o->mode = (enum sendmail_mode)(at - letters);
	return true;
}

static bool
their_option(struct sendmail_options *o, int letter, const char *value)
{
	switch (letter) {
	case '?':
		return false;
	case 'b':
		return their_mode(o, value);
	case 'B':
		o->body_type = strcasecmp(value, "7bit") == 0 ?
		    SENDMAIL_BODY_7BIT : SENDMAIL_BODY_8BIT;
		return o->body_type == SENDMAIL_BODY_7BIT ||
		    strcasecmp(value, "8bitmime") == 0;
	case 'C':
		o->conf_path = value;
		return true;
	case 'f':
	case 'r':
		o->sender = value;
		return true;
	case 'F':
		o->full_name = value;
		return true;
	case 'i':
	case 'o':
		o->keeps_dots |= letter == 'i' || strcmp(value, "i") == 0;
		return true;
	case 'q':
		if (o->mode == SENDMAIL_SUBMIT)
			o->mode = SENDMAIL_NOTHING;
		return true;
	default:
		o->reads_recipients |= letter == 't';
		o->verbose |= letter == 'v';
		return true;
	}
}

/* argv is put into another order. */
static bool
their_reading(int argc, char **argv, struct sendmail_options *o)
{
	const char *slash = strrchr(argv[0], '/');
	const char *name = slash != NULL ? slash + 1 : argv[0];
	int	    letter;

	memset(o, 0, sizeof(*o));
	if (strcmp(name, "mailq") == 0 || strcmp(name, "posthorn-mailq") == 0)
		o->mode = SENDMAIL_QUEUE;
	if (strcmp(name, "newaliases") == 0 ||
	    strcmp(name, "posthorn-newaliases") == 0)
		o->mode = SENDMAIL_NOTHING;
	optind = 0; /* begin anew */
	opterr = 0;
	while ((letter = getopt(argc, argv, "A:B:C:EF:GIL:N:O:R:UV:X:b:d::e::"
	    "f:h:imno:p:q::r:tv")) != -1)
		if (!their_option(o, letter, optarg))
			return false;
	o->addresses = (const char **)(uintptr_t)(argv + optind);
	o->address_count = (size_t)(argc - optind);
	return true;
}

/* -- both ------------------------------------------------------------------- */

static void
must_be_text(const char *a, const char *b)
{
	must((a == NULL) == (b == NULL));
	must(a == NULL || strcmp(a, b) == 0);
}

static void
compare(int argc, char **argv)
{
	struct sendmail_options mine, theirs;
	struct err		e = { .text = "" };
	size_t			i;
	bool			good;

	good = sendmail_options_parse(argc, argv, &mine, &e) == 0;
	must(good == (e.text[0] == '\0'));
	must(mine.address_count < (size_t)argc);
	must(good == their_reading(argc, argv, &theirs));
	if (good) {
		must(mine.mode == theirs.mode);
		must(mine.body_type == theirs.body_type);
		must(mine.reads_recipients == theirs.reads_recipients);
		must(mine.keeps_dots == theirs.keeps_dots);
		must(mine.verbose == theirs.verbose);
		must_be_text(mine.full_name, theirs.full_name);
		must_be_text(mine.conf_path, theirs.conf_path);
		if (theirs.sender != NULL && strcmp(theirs.sender, "<>") == 0)
			theirs.sender = "";
		must_be_text(mine.sender, theirs.sender);
		must(mine.address_count == theirs.address_count);
		for (i = 0; i < mine.address_count; i++)
			must_be_text(mine.addresses[i], theirs.addresses[i]);
	}
	sendmail_options_wipe(&mine);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes rest = { (const char *)data, size };
	char	    *argv[WORDS_MAX + 1];
	ptrdiff_t    end;
	int	     argc = 0, i;

	if (size > 65536)
		return 0;
	unsetenv("POSIXLY_CORRECT"); /* addresses may stand before options */
	do {
		end = bytes_find(rest, 0, '\0');
		argv[argc++] = mem_dup_bytes(end < 0 ? rest :
		    bytes_head(rest, (size_t)end));
		rest = bytes_from(rest, (size_t)(end + 1));
	} while (end >= 0 && argc < WORDS_MAX);
	argv[argc] = NULL;
	compare(argc, argv);
	for (i = 0; i < argc; i++)
		mem_free(argv[i]);
	return 0;
}
