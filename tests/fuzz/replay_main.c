/* SPDX-License-Identifier: ISC */
/*
 * Runs a fuzz target over files: each argument is a file, or a folder whose
 * files are all run.  With any compiler, in place of libFuzzer's main.  Prints
 * nothing on success; what cannot be read is an error, and so is having had
 * nothing to do.  A target may say behind a folder what its inputs lack.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"

enum { REPLAY_FILE_MAX = 16 << 20, REPLAY_PATH_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* 0, or 1: the seeds do not show what they have to, said. */
int fuzz_replay_end(void) __attribute__((weak));

static unsigned long replay_count;

static int
replay_file(const char *path)
{
	struct buf text;
	uint8_t	  *exact;
	FILE	  *f;
	char	  *room;
	size_t	   n = 0;

	f = fopen(path, "rb");
	if (f == NULL) {
		perror(path);
		return 1;
	}
	buf_init(&text, REPLAY_FILE_MAX);
	while ((room = buf_room(&text, 65536)) != NULL &&
	    (n = fread(room, 1, 65536, f)) > 0)
		buf_commit(&text, n);
	if (room == NULL || ferror(f)) {
		fprintf(stderr, "%s: cannot be read, or is too large\n", path);
		fclose(f);
		buf_wipe(&text);
		return 1;
	}
	fclose(f);
	/* as large as the input: a sanitizer sees the first octet too many */
	exact = malloc(text.n > 0 ? text.n : 1);
	if (exact == NULL)
		abort();
	if (text.n > 0)
		memcpy(exact, text.p, text.n);
	LLVMFuzzerTestOneInput(exact, text.n);
	replay_count++;
	free(exact);
	buf_wipe(&text);
	return 0;
}

static int
replay_folder(const char *path)
{
	struct dirent **found;
	char		name[REPLAY_PATH_MAX];
	int		count, i, status = 0;

	count = scandir(path, &found, NULL, alphasort);
	if (count < 0) {
		perror(path);
		return 1;
	}
	for (i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "%s/%s", path, found[i]->d_name);
		if (found[i]->d_name[0] != '.')
			status |= replay_file(name);
		free(found[i]);
	}
	free(found);
	return status;
}

int
main(int argc, char **argv)
{
	struct stat st;
	int	    i, status = 0;
	bool	    is_whole = false;

	for (i = 1; i < argc; i++) {
		if (stat(argv[i], &st) != 0) {
			perror(argv[i]);
			status = 1;
		} else if (S_ISDIR(st.st_mode)) {
			status |= replay_folder(argv[i]);
			is_whole = true;
		} else {
			status |= replay_file(argv[i]);
		}
	}
	if (is_whole && fuzz_replay_end != NULL)
		status |= fuzz_replay_end();
	if (replay_count == 0) {
		fprintf(stderr, "%s: no input\n", argv[0]);
		status = 1;
	}
	return status;
}
