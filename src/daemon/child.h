/* SPDX-License-Identifier: ISC */
/*
 * child.h - the beginning of every child process: what the master hands
 * down, until GO; and again for each reload.
 *
 * Use:    child_run("relay") from main(); it receives the set-up on
 *         descriptor 3 and enters relay_main(), keys_main() or verifier_main().
 *         struct child_files is what came: conf_load() reads it through
 *         child_files_opener().
 * Owner:  the files own their descriptors until child_files_wipe(); sockets
 *         and peers are taken over by whoever uses them.
 * Thread: the main one.
 * Fails:  a set-up that does not come whole within 30 s: exit status 1.
 */
#ifndef DAEMON_CHILD_H
#define DAEMON_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/sandbox.h"
#include "daemon/child_proto.h"
#include "net/resolver.h"
#include "registry/conf.h"

enum { CHILD_FILES_MAX = 256, CHILD_OPTIONS_MAX = 600, CHILD_FDS_MAX = 2048 };

struct child_file {
	char *path;
	int   fd;
};
struct child_fd {
	enum child_kind kind; /* LISTEN, PEER_KEYS ... of CHILD_* */
	uint32_t	index;
	int		fd; /* -1 once taken */
};
struct child_files {
	struct child_file file[CHILD_FILES_MAX];
	size_t		  file_count;
	char		 *option[CHILD_OPTIONS_MAX]; /* NAME=VALUE */
	size_t		  option_count;
	struct child_fd	  fd[CHILD_FDS_MAX];
	size_t		  fd_count;
	int		  log_fd, audit_fd; /* -1 = none came */
	struct conf	 *begun; /* NULL, or what needs a restart */
	const char	 *paths[CHILD_FILES_MAX]; /* of the opener */
};
void child_files_init(struct child_files *f);
void child_files_wipe(struct child_files *f);
/* Takes in one message; false = not a part of a set-up (fd stays the
 * caller's then). */
bool child_files_add(struct child_files *f, const struct child_message *m,
    int fd);
const char *child_files_option(const struct child_files *f, const char *name);
/* A fresh descriptor at the start of the file; -1 with errno. */
int child_files_open(const struct child_files *f, const char *path);
/* The whole file, at most max octets, mem_free(); false and *e. */
bool child_files_read(const struct child_files *f, const char *path,
    size_t max, struct buf *out, struct err *e);
void child_files_opener(struct child_files *f, struct conf_opener *out);
/* The next descriptor of that kind, which now belongs to the caller; -1. */
int child_files_take(struct child_files *f, enum child_kind kind,
    uint32_t *index);
/* Loads the configuration the set-up names; text gets the errors. */
struct conf *child_files_conf(struct child_files *f, struct buf *text);
/* The same, with the errors in *e. */
struct conf *child_read_conf(struct child_files *f, struct err *e);
/* log.*, with what the master opened for it; at start and at reload. */
int child_open_log(const struct child_files *f, const struct conf *c,
    struct err *e);
/* "user=UID:GID" of the set-up: drops to it. */
int child_drop(const struct child_files *f, struct err *e);
/* Not dumpable, and in its sandbox; warns when that is not in force. */
int child_enclose(const struct conf *c, const struct sandbox *s,
    struct err *e);

/*
 * After GO, for what a child does not know itself: the parts of a reload
 * gather in *news, which is made for the first of them.  At CHILD_RELOAD the
 * child reads it and calls child_news_end(), which frees it.
 */
void child_news_add(struct child_files **news, const struct child_message *m,
    int fd);
void child_news_end(struct child_files **news); /* *news NULL is allowed */

int child_run(const char *name);

/* The mains; f and the channel's descriptor are the callee's. */
int relay_main(struct child_files *f, int channel_fd);
int keys_main(struct child_files *f, int channel_fd);
int verifier_main(struct child_files *f, int channel_fd);

#endif
