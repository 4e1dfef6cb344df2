/* SPDX-License-Identifier: ISC */
/*
 * temp_folder.h - a folder of a test's own, below $TMPDIR or /tmp.
 * Use:    char dir[TEMP_FOLDER_SIZE]; temp_folder_make(dir, "spool");
 *         temp_folder_remove(dir) takes away what is in it, too.
 * Owner:  the test.
 * Thread: any.
 * Fails:  by must().
 */
#ifndef TESTS_TEMP_FOLDER_H
#define TESTS_TEMP_FOLDER_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"

enum { TEMP_FOLDER_SIZE = 64 };

static inline void
temp_folder_make(char dir[TEMP_FOLDER_SIZE], const char *name)
{
	const char *tmp = getenv("TMPDIR");

	must(snprintf(dir, TEMP_FOLDER_SIZE, "%.30s/posthorn-%s-XXXXXX",
		 tmp != NULL ? tmp : "/tmp", name) < TEMP_FOLDER_SIZE);
	must(mkdtemp(dir) != NULL);
}

static inline int
temp_folder_remove_one(const char *path, const struct stat *st, int what,
    struct FTW *place)
{
	(void)st;
	(void)what;
	(void)place;
	return remove(path);
}

static inline void
temp_folder_remove(const char *dir)
{
	must(nftw(dir, temp_folder_remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0);
}

#endif
