/* SPDX-License-Identifier: ISC */
/*
 * conf_private.h - what the files of the configuration share.
 *
 * A file's way: conf_parse.c reads lines into a path and words and calls
 * conf_apply() (conf_apply.c), which finds the row of the option table
 * (conf_table.c) and has the words turned into the member (conf_value.c).
 * When all files are read, conf_derive() fills what depends on other
 * settings and conf_check() looks at the whole (conf_check.c).
 *
 * Use:    only by conf*.c, the unit test and the fuzz target.
 * Owner:  struct conf_build lives on the stack of conf_load().
 * Thread: that of conf_load().
 * Fails:  by conf_error(): the message is kept, work goes on.
 */
#ifndef REGISTRY_CONF_PRIVATE_H
#define REGISTRY_CONF_PRIVATE_H

#include <stdatomic.h>

#include "base/table.h"
#include "registry/conf.h"

enum {
	CONF_PATH_MAX = 8,	     /* elements of a setting's name */
	CONF_LABEL_MAX = 255,	     /* octets of a label */
	CONF_ITEMS_MAX = 4096,	     /* blocks of a kind, values of a list */
	CONF_FILE_BYTES_MAX = 1 << 20,
	CONF_FILES_MAX = 256,
	CONF_INCLUDE_DEPTH_MAX = 10,
	CONF_ARENA_BYTES_MAX = 64 << 20
};

enum conf_type {
	CONF_BOOL,
	CONF_INT,	 /* uint32_t */
	CONF_PORT,	 /* uint16_t */
	CONF_FLOAT,	 /* double */
	CONF_DURATION,	 /* int64_t ms */
	CONF_SIZE,	 /* uint64_t octets */
	CONF_STRING,	 /* const char * from here to CONF_ADDRESS */
	CONF_LABEL,	 /* letters, digits, . _ - */
	CONF_HOST,
	CONF_PATH,
	CONF_SOCKET_PATH,
	CONF_ADDRESS,	 /* mail address */
	CONF_ACCOUNT_ID,
	CONF_LOGIN,	 /* two const char *: ACCOUNT/CREDENTIAL */
	CONF_ADDR,	 /* struct conf_addr */
	CONF_IP,	 /* the same without port */
	CONF_TARGET,	 /* struct conf_route from .host on */
	CONF_ENUM,	 /* one of words, as int */
	CONF_WORDS_SET,	 /* some of words, as bits */
	/* lists: a pointer and a size_t */
	CONF_STRINGS,
	CONF_HOSTS,
	CONF_CIDRS,
	CONF_ADDRS,
	CONF_SERVERS,	 /* addr list, port 53 unless given */
	CONF_DURATIONS,
	CONF_PRINCIPALS
};

enum conf_option_flag {
	CONF_R = 1,	     /* a change needs a restart */
	CONF_LATER = 2,	     /* known, but not in this release */
	CONF_OPTIONAL = 4,   /* "none" = not set */
	CONF_COMPUTED = 8,   /* default_text tells, conf_derive() sets */
	CONF_REQUIRED = 16   /* of a block: has no default */
};

/* Which struct an option's offset counts in. */
enum conf_kind {
	CONF_KIND_ROOT,
	CONF_KIND_LISTENER,
	CONF_KIND_LOCAL,
	CONF_KIND_ADMIN,
	CONF_KIND_CERTIFICATE,
	CONF_KIND_ROUTE,
	CONF_KIND_TLS_RULE,
	CONF_KIND_DEST,
	CONF_KIND_PROVIDER,
	CONF_KIND_LATER /* a block of which nothing is kept */
};
enum { CONF_KIND_COUNT = CONF_KIND_LATER + 1 };

struct conf_option {
	const char	  *name; /* upper case element = any label */
	enum conf_type	   type;
	enum conf_kind	   kind;
	unsigned	   flags;
	size_t		   offset;
	const char	  *default_text; /* NULL: only with CONF_REQUIRED */
	double		   min, max;	 /* 0, 0 = no bounds */
	const char *const *words;
	const char	  *help;
};
extern const struct conf_option conf_options[];
extern const size_t conf_option_count;

/* The repeatable blocks: where their array is, how large an item is. */
struct conf_kind_info {
	const char *name;	/* "listener", "delivery.dest" */
	size_t	    item_size;
	size_t	    array_offset; /* of the pointer in struct conf */
	size_t	    count_offset;
};
extern const struct conf_kind_info conf_kinds[CONF_KIND_COUNT];

struct conf_place {
	const char *file; /* NULL = no place */
	unsigned    line;
};
struct conf_word {
	struct bytes text;
	bool	     quoted;
	unsigned     line;
};
struct conf_path {
	struct conf_word v[CONF_PATH_MAX];
	size_t		 n;
};

/* One setting as it stands in a file. */
struct conf_ask {
	const struct conf_option *o;
	const char		 *name; /* with its label, for messages */
	struct conf_place	  at;
	const struct conf_word	 *values;
	size_t			  count;
};

/* Where a setting or a block was given first. */
struct conf_given {
	struct conf_place place;
};

struct conf_impl {
	_Atomic unsigned    refs;
	struct conf	   *self;
	struct conf	   *usual; /* as without a file, what follows aside */
	struct arena	   *arena;
	struct table	   *given; /* name LF label -> struct conf_given */
	struct table	   *items; /* kind LF label -> index + 1 */
	const char	   *file;  /* the main file's name */
	const char	  **sources;
	size_t		    source_count;
	const struct conf  *base; /* lends the R settings after conf_keep() */
};

struct conf_build {
	struct conf		 *c;
	struct conf_impl	 *impl;
	struct arena		 *arena;
	const struct conf_opener *opener; /* never NULL */
	struct conf_errors	 *errors;
	unsigned		  depth; /* of includes */
	bool			  full;	 /* no more room: said once */
};

/* conf.c */
__attribute__((format(printf, 3, 4))) void conf_error(struct conf_build *b,
    struct conf_place at, const char *fmt, ...);
__attribute__((format(printf, 3, 4))) void conf_warn(struct conf_build *b,
    struct conf_place at, const char *fmt, ...);
/* Never NULL: when there is no room, it is said and "" comes back. */
const char *conf_text(struct conf_build *b, struct bytes s);
void *conf_alloc(struct conf_build *b, size_t n); /* NULL = no room, said */
/* Items by kind; CONF_KIND_ROOT has one, the snapshot itself. */
void *conf_item_at(const struct conf *c, enum conf_kind kind, size_t i);
size_t conf_item_count(const struct conf *c, enum conf_kind kind);
const char *conf_item_name(enum conf_kind kind, const void *item);
/* what: an option's or a kind's name; label NULL = none */
const struct conf_given *conf_given_find(const struct conf *c,
    const char *what, const char *label);
bool conf_given_put(struct conf_build *b, const char *what,
    const char *label, struct conf_place at);
const struct conf_option *conf_option_find(const char *name);
/* name with its label in place of the upper case element, quoted if need be */
void conf_option_name(const struct conf_option *o, const char *label,
    struct buf *out);

/* conf_parse.c */
void conf_parse_file(struct conf_build *b, const char *path,
    const struct conf_path *prefix, struct conf_place from);
void conf_parse_text(struct conf_build *b, const char *file,
    struct bytes text, const struct conf_path *prefix);

/* conf_apply.c */
void conf_apply(struct conf_build *b, const struct conf_path *path,
    const struct conf_word *values, size_t count, struct conf_place at);
/* false = no setting begins so; said, and the block is to be skipped. */
bool conf_apply_block(struct conf_build *b, const struct conf_path *path,
    struct conf_place at);
/* Values of the table and the built-in blocks, before the file. */
void conf_apply_defaults(struct conf_build *b);
/* The listeners that are there without being named, after the file. */
void conf_apply_listeners(struct conf_build *b);

/* conf_value.c: words into *member */
bool conf_value_parse(struct conf_build *b, const struct conf_ask *ask,
    void *member);
/* From text without a file, such as a default; false = not of that type. */
bool conf_value_from_text(struct conf_build *b, const struct conf_option *o,
    const char *text, void *member);
bool conf_principal_parse(struct conf_build *b, struct bytes s,
    struct conf_principal *out);
bool conf_is_printable(struct bytes s);

/* conf_addr.c: as conf_addr_parse(), port needed; route target */
bool conf_addr_parse_full(struct bytes text, struct conf_addr *out);
/* The port is 0 when none is written; conf_derive() fills it in. */
bool conf_target_parse(struct conf_build *b, struct bytes s,
    struct conf_route *r);

/* conf_render.c: types, and *member into text that reads back the same */
struct conf_any_list { /* what all lists of struct conf look like */
	void  *v;
	size_t n;
};
struct conf_type_info {
	size_t	    size;    /* of the member */
	size_t	    element; /* of a list's element, 0 = no list */
	const char *name;    /* in the manual; NULL = made of the words */
	const char *wanted;  /* behind "is not"; NULL = the same */
};
extern const struct conf_type_info conf_types[];
struct conf_unit {
	const char *name;
	uint64_t    factor;
};
extern const struct conf_unit conf_duration_units[], conf_size_units[];
bool conf_is_list(enum conf_type type);
void conf_add_quoted(struct buf *out, struct bytes s, bool in_list);
void conf_add_units(struct buf *out, uint64_t v,
    const struct conf_unit *units);
void conf_value_render(const struct conf_option *o, const void *member,
    struct buf *out);
void conf_type_text(const struct conf_option *o, struct buf *out);

/* conf_check.c */
void conf_derive(struct conf_build *b);
/* After conf_keep(): names and listeners; given: whose listeners they are. */
void conf_derive_again(struct conf_build *b, const struct conf *given);
void conf_check(struct conf_build *b);

#endif
