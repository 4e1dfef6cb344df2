/* SPDX-License-Identifier: ISC */
/* master_private.h - shared by the files of the master alone. */
#ifndef DAEMON_MASTER_PRIVATE_H
#define DAEMON_MASTER_PRIVATE_H

#include "base/process.h"
#include "base/thread.h"
#include "daemon/child.h"
#include "daemon/master.h"
#include "registry/conf.h"

struct master;

enum child_name { CHILD_KEYS, CHILD_VERIFIER, CHILD_RELAY, CHILDREN };

struct child {
	struct master  *master;
	enum child_name name;
	pid_t		pid; /* 0 = not running */
	struct channel *channel;
	struct timer	restart;
	int64_t		back_off_ms;
	struct mono	started;
	unsigned	early_deaths; /* by a signal, before the service was
					 ready for the first time */
	bool		ready;
	bool		is_replaced; /* ended by us, to begin anew at once */
	unsigned	silent; /* turns of the watch without an answer */
};

struct bound {
	uint32_t index; /* child_listen_index() */
	int	 fd;
	char	 path[108]; /* of a Unix socket, removed at the end */
};
enum { BOUND_MAX = 1024, NAMED_IDS_MAX = 256 };

struct named_id {
	bool	 is_group, found;
	char	 name[64];
	uint32_t id;
};

/* Files as they were when they were loaded, in memory. */
struct kept_file {
	char *path;
	int   fd;
	bool  is_source; /* of the configuration itself */
};
struct kept {
	struct kept_file file[CHILD_FILES_MAX];
	size_t		 file_count;
	struct named_id	 ids[NAMED_IDS_MAX];
	unsigned	 id_count;
	struct buf	*text; /* while loading: what is missing */
};

struct settings {
	struct conf *conf;
	struct kept *kept;
};

struct reload {
	bool		is_open; /* the relay is asked */
	bool		again;	 /* a signal came meanwhile */
	uint32_t	number;	 /* of what the relay is asked */
	uint32_t	request; /* who waits for it; 0 = nobody */
	struct settings fresh;
	struct buf	text; /* what will be answered */
};

struct master {
	const struct master_options *options;
	struct loop    *loop;
	/* now.conf: never NULL; now.kept: NULL before the first reload */
	struct settings begun, now;
	struct reload	reload;
	struct child	children[CHILDREN];
	struct process_user users[CHILDREN];
	bool		root;
	bool		stopping;
	bool		failed; /* the relay said why it cannot start */
	bool		was_ready;
	struct timer	give_up; /* while stopping */
	struct timer	audit_due; /* old lines go */
	struct timer	watch;	 /* master_watch.c */
	struct timer	sockets; /* master_sockets.c */
	int		lock_fd, control_fd, metrics_fd;
	bool		has_lock;
	bool		was_killed; /* the master before this one: what it had
				       listened on may be busy for a moment */
	char		control_path[108]; /* "" = not bound by us */
	struct bound	bound[BOUND_MAX];
	unsigned	bound_count;
};

/* master_setup.c */
int master_find_users(struct master *m, struct err *e);
void master_unlock_store(struct master *m);
int master_lock_store(struct master *m, struct err *e);
int master_bind(struct master *m, struct err *e);
int master_bind_unix(struct master *m, const char *path, struct err *e);
void master_close_listeners(struct master *m);
void master_unbind(struct master *m);
void master_send_sockets(struct master *m, struct child *c);
const char *child_name_to_text(enum child_name n);
int master_open_log(struct master *m, struct err *e);
int master_make_parent(struct master *m, const char *path, struct err *e);

/* master_files.c */
struct kept *kept_new(void);
void kept_free(struct kept *k); /* NULL is allowed */
/* Loads the file and keeps all that it names; NULL and the errors as lines
 * in *text. */
struct conf *master_load(const char *path, struct kept *k, struct buf *text);
void master_on_audit_due(void *master, void *unused);
/* A log file, by its whole path: made when absent; -1 with errno. */
int master_open_append(const char *path, int how);
/* All that the child needs but its sockets and peers. */
void master_send_files(struct master *m, struct child *c,
    const struct settings *s);

/* master_watch.c */
void master_watch_begin(struct master *m); /* after the children's start */
void master_watch_retune(struct master *m); /* server.watchdog may be new */

/* master_sockets.c */
void master_sockets_begin(struct master *m);
void master_look_sockets(struct master *m); /* now: a reload */

/* master_reload.c */
void settings_wipe(struct settings *s);
void master_reload(struct master *m, uint32_t request);
/* Once more, when the relay is a new one; nothing when nothing is open. */
void master_ask_reload(struct master *m);
void master_on_reload_result(struct master *m, uint32_t number,
    struct bytes text);

#endif
