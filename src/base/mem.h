/* SPDX-License-Identifier: ISC */
/*
 * mem.h - memory: counted strings, arenas with a budget, growable buffers.
 * Use:    struct arena *a = arena_new(1 << 20); p = arena_alloc(a, n);
 *         arena_free(a) frees all of it.
 * Owner:  who makes it frees it; struct bytes never owns, it is lent.
 * Thread: a buffer or an arena belongs to one thread at a time.
 * Fails:  arena_* and buf_* say NULL/false when the budget (or malloc) is
 *         used up: memory on behalf of a peer ends as 452 or "later".
 *         mem_* is for start-up and small fixed things: it takes the reserve
 *         (base/reserve.h), and aborts when that is gone, too.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A counted string, borrowed; p may be NULL only when n is 0. */
struct bytes {
	const char *p;
	size_t	    n;
};

#define BYTES(lit) ((struct bytes){ (lit), sizeof(lit) - 1 })
struct bytes bytes_of(const char *cstr); /* NULL gives the empty string */
bool bytes_eq(struct bytes a, struct bytes b);
bool bytes_eq_nocase(struct bytes a, struct bytes b); /* ASCII only */
bool bytes_eq_text(struct bytes a, const char *cstr);
int bytes_cmp(struct bytes a, struct bytes b); /* memcmp order */
bool bytes_starts(struct bytes a, struct bytes prefix);
bool bytes_starts_nocase(struct bytes a, struct bytes prefix);
bool bytes_ends_nocase(struct bytes a, struct bytes suffix);
/* Without the mark of UTF-8 that some editors put in front of a file. */
struct bytes bytes_without_bom(struct bytes text);
struct bytes bytes_trim(struct bytes a); /* blank, tab, CR, LF at both ends */
struct bytes bytes_from(struct bytes a, size_t skip); /* rest after skip */
struct bytes bytes_head(struct bytes a, size_t n);
/* Index of the first c at or after from; -1 when there is none. */
ptrdiff_t bytes_find(struct bytes a, size_t from, char c);
/* Index of the first needle, without regard to ASCII case; -1 = none. */
ptrdiff_t bytes_find_nocase(struct bytes a, struct bytes needle);
bool bytes_has_eight_bit(struct bytes a); /* an octet above 127 */
/* Letters and digits of ASCII and these marks alone, at least one of them. */
bool bytes_is_word(struct bytes a, const char *marks);
/* Decimal digits only, at least one, all of a; false on overflow. */
bool bytes_to_u64(struct bytes a, uint64_t *out);
/* Copies into dst with a NUL, cut to size; returns dst. */
char *bytes_text(struct bytes a, char *dst, size_t size);

/*
 * Arena: many small pieces, one free.  budget = most octets of pieces, each
 * rounded up to 16; what lies unused between them is at most a third more.
 */
struct arena;
struct arena *arena_new(size_t budget); /* as mem_alloc() */
void arena_free(struct arena *a);	/* NULL is allowed */
void *arena_alloc(struct arena *a, size_t n); /* aligned, zeroed; or NULL */
/* A copy with a NUL behind it (not counted); .p == NULL when out of budget */
struct bytes arena_bytes(struct arena *a, struct bytes b);
char *arena_text(struct arena *a, struct bytes b);
char *arena_printf(struct arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
size_t arena_used(const struct arena *a);

/*
 * Buffer: grows up to max octets.  After a failed add .failed stays set, so
 * that a chain of adds is checked once at its end.
 */
struct buf {
	char  *p;
	size_t n, cap, max;
	bool   failed;
};
void buf_init(struct buf *b, size_t max);
void buf_wipe(struct buf *b); /* frees; the struct may be used again */
void buf_clear(struct buf *b);	 /* n = 0, keeps the memory, failed off */
bool buf_add(struct buf *b, const void *p, size_t n);
bool buf_add_bytes(struct buf *b, struct bytes s);
bool buf_add_text(struct buf *b, const char *s);
bool buf_add_char(struct buf *b, char c);
bool buf_printf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Room for n more octets, not counted until buf_commit(); NULL = no room. */
char *buf_room(struct buf *b, size_t n);
void buf_commit(struct buf *b, size_t n);
void buf_drop(struct buf *b, size_t n); /* takes n octets off the front */
struct bytes buf_bytes(const struct buf *b);

/* These abort when there is no memory, not even that laid aside. */
void *mem_alloc(size_t n); /* zeroed */
void *mem_realloc(void *p, size_t n);
char *mem_dup(const char *cstr);
char *mem_dup_bytes(struct bytes b);
void mem_free(void *p);
/* Overwrites in a way the compiler may not leave out. */
void mem_wipe(void *p, size_t n);
/* Equal without telling by time where they differ. */
bool mem_same_secret(const void *a, const void *b, size_t n);
/* n octets of the system's random source (getrandom); aborts on failure. */
void mem_random(void *p, size_t n);
/*
 * Keyed hash (SipHash-2-4): who does not know the key cannot choose
 * collisions.
 */
struct mem_hash_key {
	uint64_t k[2];
};
void mem_hash_key_init(struct mem_hash_key *k); /* random */
uint64_t mem_hash(const struct mem_hash_key *k, struct bytes b);

/* Text forms used in several places; out has a NUL. */
void hex_encode(const void *p, size_t n, char *out /* 2n + 1 */);
bool hex_decode(struct bytes s, void *out, size_t n); /* exactly 2n digits */
enum { UUID_SIZE = 37 };
char *uuid_encode(const void *p /* 16 octets */, char out[UUID_SIZE]);
char *mem_uuid(char out[UUID_SIZE]); /* a random one: version 4 of RFC 9562 */
size_t base64_encode(const void *p, size_t n, char *out /* 4*((n+2)/3)+1 */);
int base64_value(char c); /* of one digit, 0 to 63; -1 */
/* Strict: whole groups, padding at the end only. false = not base64. */
bool base64_decode(struct bytes s, void *out, size_t max, size_t *n);
/* 32 octets -> 52 characters, 20 octets -> 32: lower case a-z2-7, unpadded */
void base32_lower(const void *p, size_t n, char *out);

#endif
