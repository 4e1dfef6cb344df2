/* SPDX-License-Identifier: ISC */
/*
 * rotated_name.h - what a file of events is called when it has been rotated:
 * NAME.20260302T101531Z, NAME.20260302T101531Z-1 for the next of that second,
 * and .gz behind (events.md 10.2).
 *
 * Use:    rotated_name_read(bytes_of(entry->d_name), &r) says whether a name
 *         found in a folder is one, and of which file; rotated_name_write(&r,
 *         out) makes one.
 * Owner:  r.of lies within the name that was read.
 * Thread: any; pure functions.
 * Fails:  false: any other name.  What is read is written as the same name,
 *         and what is written is read: files are removed by their names.
 */
#ifndef REGISTRY_ROTATED_NAME_H
#define REGISTRY_ROTATED_NAME_H

#include <stdbool.h>

#include "base/clock.h"
#include "base/mem.h"
#include "registry/destination.h"

enum {
	ROTATED_NUMBER_MAX = 999999999, /* of those of one second */
	/* .20260302T101531Z-999999999.gz */
	ROTATED_NAME_SIZE = DESTINATION_FILE_SIZE + 30
};

struct rotated_name {
	struct bytes of; /* the file that was renamed */
	struct wall  at; /* a whole second */
	unsigned     number; /* 0 = the first of that second: not written */
	bool	     is_compressed;
};

bool rotated_name_read(struct bytes name, struct rotated_name *out);
void rotated_name_write(const struct rotated_name *r,
    char out[ROTATED_NAME_SIZE]);
/* In the order in which they were renamed. */
int rotated_name_cmp(const struct rotated_name *a,
    const struct rotated_name *b);

#endif
