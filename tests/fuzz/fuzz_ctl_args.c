/* SPDX-License-Identifier: ISC */
/*
 * The command line of posthornctl: words divided by zero octets up to a line
 * end, standard input behind it.  What is refused says why; what passes can be
 * sent as it was typed, with a skeleton that is JSON.  Paths to other folders
 * are left out: nothing of the machine is opened.
 */
#include <errno.h>
#include <sys/mman.h>

#include "fuzz_terminal.h"

/* All of the program but its beginning and the daemon's side of it. */
int posthornctl_main(int argc, char **argv);
#define main posthornctl_main
#include "tools/posthornctl.c"
#undef main

enum { WORDS_MAX = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* -- the world -------------------------------------------------------------- */

static int input_fd = -1;

/* An empty folder; standard input is memory. */
static void
world_open(void)
{
	char folder[] = "/tmp/fuzz-ctl-args.XXXXXX";

	must(mkdtemp(folder) != NULL && chdir(folder) == 0);
	must(rmdir(folder) == 0);
	input_fd = memfd_create("input", 0);
	must(input_fd >= 0 && dup2(input_fd, 0) == 0);
	terminal_open();
}

static void
world_set_input(struct bytes text)
{
	must(ftruncate(input_fd, 0) == 0);
	must(pwrite(input_fd, text.p, text.n, 0) == (ssize_t)text.n);
	must(lseek(input_fd, 0, SEEK_SET) == 0);
}

/* Would it be opened, should it be a file? */
static bool
is_elsewhere(const char *word)
{
	return word[0] == '/' || strstr(word, "=/") != NULL ||
	    strstr(word, "..") != NULL;
}

static bool
is_utf8(struct bytes text)
{
	json_t *v = json_stringn(text.n > 0 ? text.p : "", text.n);
	bool	good = v != NULL;

	json_decref(v);
	return good;
}

/* -- what passed ------------------------------------------------------------ */

/* Is the option one of whole numbers? */
static bool
is_number(const struct ctl_command *k, const char *name)
{
	char   form[80];
	size_t n = (size_t)snprintf(form, sizeof(form), "%s:int", name);
	const char *at = k->options == NULL ? NULL : strstr(k->options, form);

	return at != NULL && (at == k->options || at[-1] == ' ') &&
	    (at[n] == '\0' || at[n] == ' ');
}

/* --NAME=NUMBER, unless it is the value of what stands before it: what goes
 * out is what was typed. */
static void
must_be_typed(const struct ctl *c, const char *before, const char *word)
{
	const char *equals = strchr(word, '=');
	char	    name[64];
	json_t	   *v;

	if (strncmp(word, "--", 2) != 0 || equals == NULL ||
	    strncmp(before, "--", 2) == 0)
		return;
	bytes_text((struct bytes){ word + 2, (size_t)(equals - word) - 2 },
	    name, sizeof(name));
	v = json_object_get(c->args, name);
	if (!is_number(c->command, name) || !json_is_integer(v))
		return;
	errno = 0;
	must(json_integer_value(v) == strtoll(equals + 1, NULL, 10));
	must(errno == 0);
}

/* Everything has a name of the table; JSON has its own words for it. */
static void
must_be_known(const struct ctl *c)
{
	const char *name, *at;
	json_t	   *v;

	json_object_foreach(c->args, name, v) {
		at = strstr(c->command->options != NULL ? c->command->options
			: "", name);
		if (at == NULL && c->command->arguments != NULL)
			at = strstr(c->command->arguments, name);
		must(at != NULL || (c->command->document != NULL &&
		    strcmp(name, c->command->document) == 0));
	}
}

static void
must_be_sent(struct ctl *c, bool is_text)
{
	char *text = json_dumps(c->args, JSON_COMPACT);

	must(text != NULL || !is_text);
	must(text == NULL || strchr(text, '\n') == NULL);
	free(text);
}

/* -- one command line ------------------------------------------------------- */

static void
skeleton(struct ctl *c)
{
	json_t *v;

	ctl_print_skeleton(c);
	fflush(stdout);
	v = json_loadb(shown.p, shown.n, 0, NULL);
	must(json_is_object(v));
	json_decref(v);
}

static void
command(struct ctl *c, int argc, char **argv, bool is_text)
{
	int used, i;

	c->command = ctl_find(argc, argv, &used);
	if (c->command == NULL) {
		must(ctl_unknown(c, argv[0], argc > 1 ? argv[1] : NULL) ==
		    CTL_USAGE);
		must(shown.n > 0);
		return;
	}
	must(used > 0 && used <= argc);
	c->args = json_object();
	if (!ctl_read_arguments(c, argc, argv, &used)) {
		must(shown.n > 0);
	} else if (c->skeleton) {
		skeleton(c);
	} else {
		must(used == argc && shown.n == 0);
		must_be_sent(c, is_text);
		must_be_known(c);
		for (i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
			must_be_typed(c, i > 0 ? argv[i - 1] : "", argv[i]);
	}
	json_decref(c->args);
	while (c->fd_count > 0)
		close(c->fds[--c->fd_count]);
}

static void
program(int argc, char **argv, bool is_text)
{
	struct ctl c = { .program = "posthornctl", .timeout_ms = 30000 };

	argc = ctl_take_globals(&c, argc, argv);
	if (argc < 0)
		must(shown.n > 0);
	else if (c.help)
		(void)ctl_help(&c, argc > 2 ? 2 : argc, argv);
	else if (argc > 0)
		command(&c, argc, argv, is_text);
	must(c.timeout_ms >= 0 && c.timeout_ms <= INT32_MAX);
	terminal_check();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = { (const char *)data, size }, rest;
	char	    *argv[WORDS_MAX + 1], *own[WORDS_MAX];
	ptrdiff_t    end = bytes_find(in, 0, '\n');
	int	     argc = 0, i;
	bool	     stays = true;

	if (size > 65536)
		return 0;
	if (input_fd < 0)
		world_open();
	rest = end < 0 ? in : bytes_head(in, (size_t)end);
	world_set_input(bytes_from(in, end < 0 ? in.n : (size_t)end + 1));
	do {
		end = bytes_find(rest, 0, '\0');
		own[argc] = argv[argc] = mem_dup_bytes(end < 0 ? rest :
		    bytes_head(rest, (size_t)end));
		stays &= !is_elsewhere(argv[argc++]);
		rest = bytes_from(rest, (size_t)(end + 1));
	} while (end >= 0 && argc < WORDS_MAX);
	argv[argc] = NULL;
	if (stays)
		program(argc, argv, is_utf8(in));
	for (i = 0; i < argc; i++)
		mem_free(own[i]);
	return 0;
}
