/* SPDX-License-Identifier: ISC */
#include "tools/sendmail_options.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"

enum option_takes {
	TAKES_NOTHING,
	TAKES_VALUE, /* the rest of the word, or the next word */
	TAKES_REST   /* the rest of the word, which may be empty */
};

/* The letters of admin-cli 17; those without a meaning here are ignored. */
static const struct option {
	char		  letter;
	enum option_takes takes;
} options[] = {
	{ 'A', TAKES_VALUE }, { 'B', TAKES_VALUE }, { 'C', TAKES_VALUE },
	{ 'E', TAKES_NOTHING }, { 'F', TAKES_VALUE }, { 'G', TAKES_NOTHING },
	{ 'I', TAKES_NOTHING }, { 'L', TAKES_VALUE }, { 'N', TAKES_VALUE },
	{ 'O', TAKES_VALUE }, { 'R', TAKES_VALUE }, { 'U', TAKES_NOTHING },
	{ 'V', TAKES_VALUE }, { 'X', TAKES_VALUE }, { 'b', TAKES_VALUE },
	{ 'd', TAKES_REST }, { 'e', TAKES_REST }, { 'f', TAKES_VALUE },
	{ 'h', TAKES_VALUE }, { 'i', TAKES_NOTHING }, { 'm', TAKES_NOTHING },
	{ 'n', TAKES_NOTHING }, { 'o', TAKES_VALUE }, { 'p', TAKES_VALUE },
	{ 'q', TAKES_REST }, { 'r', TAKES_VALUE }, { 't', TAKES_NOTHING },
	{ 'v', TAKES_NOTHING },
};

static const struct option *
option_find(char letter)
{
	size_t i;

	for (i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (options[i].letter == letter)
			return &options[i];
	return NULL;
}

static int
option_set_mode(struct sendmail_options *o, const char *value, struct err *e)
{
	switch (strlen(value) == 1 ? value[0] : '\0') {
	case 'm':
		o->mode = SENDMAIL_SUBMIT;
		return 0;
	case 's':
		o->mode = SENDMAIL_DIALOGUE;
		return 0;
	case 'p':
		o->mode = SENDMAIL_QUEUE;
		return 0;
	case 'i':
		o->mode = SENDMAIL_NOTHING;
		return 0;
	case 'v':
		o->mode = SENDMAIL_VERIFY;
		return 0;
	default:
		return err_set(e, "option -b%s is not supported", value);
	}
}

static int
option_set_body(struct sendmail_options *o, const char *value, struct err *e)
{
	if (strcasecmp(value, "7BIT") == 0)
		o->body_type = SENDMAIL_BODY_7BIT;
	else if (strcasecmp(value, "8BITMIME") == 0)
		o->body_type = SENDMAIL_BODY_8BIT;
	else
		return err_set(e, "option -B takes 7BIT or 8BITMIME");
	return 0;
}

static int
option_act(struct sendmail_options *o, char letter, const char *value,
    struct err *e)
{
	switch (letter) {
	case 'b':
		return option_set_mode(o, value, e);
	case 'B':
		return option_set_body(o, value, e);
	case 'C':
		o->conf_path = value;
		return 0;
	case 'f':
	case 'r':
		o->sender = strcmp(value, "<>") == 0 ? "" : value;
		return 0;
	case 'F':
		o->full_name = value;
		return 0;
	case 'i':
		o->keeps_dots = true;
		return 0;
	case 'o':
		if (strcmp(value, "i") == 0)
			o->keeps_dots = true;
		return 0;
	case 'q':
		if (o->mode == SENDMAIL_SUBMIT)
			o->mode = SENDMAIL_NOTHING;
		return 0;
	case 't':
		o->reads_recipients = true;
		return 0;
	case 'v':
		o->verbose = true;
		return 0;
	default:
		return 0;
	}
}

/* One word "-xyz"; *next is the word behind it, NULL = there is none, and
 * *used says whether it was taken. */
static int
option_word(struct sendmail_options *o, const char *word, const char *next,
    bool *used, struct err *e)
{
	const struct option *row;
	const char	    *value;

	for (word++; *word != '\0'; word++) {
		row = option_find(*word);
		if (row == NULL)
			return err_set(e, "option -%c is not known", *word);
		if (row->takes == TAKES_NOTHING) {
			if (option_act(o, *word, NULL, e) != 0)
				return -1;
			continue;
		}
		value = word + 1;
		if (*value == '\0' && row->takes == TAKES_VALUE) {
			if (next == NULL)
				return err_set(e, "option -%c needs a value",
				    *word);
			value = next;
			*used = true;
		}
		return option_act(o, *word, value, e);
	}
	return 0;
}

static void
options_by_name(struct sendmail_options *o, const char *program)
{
	const char *slash = strrchr(program, '/');
	const char *name = slash == NULL ? program : slash + 1;

	/* as it is installed */
	if (strncmp(name, "posthorn-", 9) == 0)
		name += 9;
	if (strcmp(name, "mailq") == 0)
		o->mode = SENDMAIL_QUEUE;
	else if (strcmp(name, "newaliases") == 0)
		o->mode = SENDMAIL_NOTHING;
}

int
sendmail_options_parse(int argc, char **argv, struct sendmail_options *out,
    struct err *e)
{
	bool ended = false, used;
	int  i;

	memset(out, 0, sizeof(*out));
	out->addresses = mem_alloc(((size_t)argc + 1) *
	    sizeof(*out->addresses));
	if (argc > 0)
		options_by_name(out, argv[0]);
	for (i = 1; i < argc; i++) {
		if (!ended && strcmp(argv[i], "--") == 0) {
			ended = true;
		} else if (ended || argv[i][0] != '-' || argv[i][1] == '\0') {
			out->addresses[out->address_count++] = argv[i];
		} else {
			used = false;
			if (option_word(out, argv[i], argv[i + 1], &used,
				e) != 0)
				return -1;
			if (used)
				i++;
		}
	}
	return 0;
}

void
sendmail_options_wipe(struct sendmail_options *o)
{
	mem_free(o->addresses);
	o->addresses = NULL;
	o->address_count = 0;
}
