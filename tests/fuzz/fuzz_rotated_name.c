/* SPDX-License-Identifier: ISC */
/*
 * Names found in the folder of an account's event files.  What is read as the
 * name of a rotated file is written as the same, and its parts lie within
 * their ranges; the octets taken as parts make a name that is read again.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "registry/rotated_name.h"

enum { NAME_SIZE = 512 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must_be_written_the_same(struct bytes name)
{
	struct rotated_name r;
	char		    again[ROTATED_NAME_SIZE];

	if (!rotated_name_read(name, &r))
		return;
	must(r.of.p == name.p && r.of.n > 0 &&
	    r.of.n < DESTINATION_FILE_SIZE);
	must(r.at.ms % 1000 == 0 && r.number <= ROTATED_NUMBER_MAX);
	rotated_name_write(&r, again);
	must(bytes_eq(bytes_of(again), name));
}

/* Eight octets for the time, four for the number, the rest is the file. */
static void
must_be_read_the_same(const uint8_t *data, size_t size)
{
	struct rotated_name r, again;
	uint64_t	    at;
	uint32_t	    number;
	char		    of[DESTINATION_FILE_SIZE], name[ROTATED_NAME_SIZE];

	if (size < 13)
		return;
	memcpy(&at, data, 8);
	memcpy(&number, data + 8, 4);
	bytes_text((struct bytes){ (const char *)data + 12, size - 12 }, of,
	    sizeof(of));
	r.of = bytes_of(of);
	if (r.of.n == 0)
		return;
	/* 1970 to 9999 */
	r.at.ms = (int64_t)(at % UINT64_C(253402300800)) * 1000;
	r.number = number % (ROTATED_NUMBER_MAX + 1);
	r.is_compressed = (number & 0x80000000u) != 0;
	rotated_name_write(&r, name);
	must(rotated_name_read(bytes_of(name), &again));
	must(bytes_eq(again.of, r.of) &&
	    again.is_compressed == r.is_compressed);
	must(rotated_name_cmp(&again, &r) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char name[NAME_SIZE];

	/* no name in a folder has a NUL */
	bytes_text((struct bytes){ (const char *)data, size }, name,
	    sizeof(name));
	must_be_written_the_same(bytes_of(name));
	must_be_read_the_same(data, size);
	return 0;
}
