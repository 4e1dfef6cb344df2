/* SPDX-License-Identifier: ISC */
/* master_private.h - shared by master.c and master_setup.c alone. */
#ifndef DAEMON_MASTER_PRIVATE_H
#define DAEMON_MASTER_PRIVATE_H

#include "base/process.h"
#include "base/thread.h"
#include "daemon/child_proto.h"
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
	bool		ready;
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

struct master {
	const struct master_options *options;
	struct loop    *loop;
	struct conf    *conf;
	struct child	children[CHILDREN];
	struct process_user users[CHILDREN];
	bool		root;
	bool		stopping;
	bool		failed; /* the relay said why it cannot start */
	bool		was_ready;
	struct timer	give_up; /* while stopping */
	int		lock_fd, control_fd, metrics_fd;
	char		control_path[108]; /* "" = not bound by us */
	struct bound	bound[BOUND_MAX];
	unsigned	bound_count;
	struct named_id ids[NAMED_IDS_MAX];
	unsigned	id_count;
};

/* master_setup.c */
int master_find_users(struct master *m, struct err *e);
int master_lock_store(struct master *m, struct err *e);
int master_bind(struct master *m, struct err *e);
void master_unbind(struct master *m);
/* Loads the file; NULL and the errors as lines in *text. */
struct conf *master_load(struct master *m, struct buf *text);
/* All that the child needs but its sockets and peers. */
void master_send_files(struct master *m, struct child *c);
void master_send_sockets(struct master *m, struct child *c);
const char *child_name_to_text(enum child_name n);

#endif
