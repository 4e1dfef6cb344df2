/* SPDX-License-Identifier: ISC */
/*
 * control_private.h - what the files of the control socket share.
 *
 *	control.c		callers: sockets, lines, descriptors
 *	control_request.c	one command: account, steps, answer, audit
 *	control_args.c		who may what; the arguments of a command
 *	control_json.c		values as JSON
 *	control_NOUN.c		the commands
 *
 * A command runs in steps, each on the thread of what it touches:
 *
 *	run()  on main: looks at the arguments, then either answers with
 *	       request_end(), or goes on with one of
 *	request_read()	 now, in a read transaction of the book
 *	request_write()	 in a write transaction, on the book's writer; a dry
 *			 run is aborted there, after all checks
 *	request_work()	 on a worker: long walks over the spool
 *	and callbacks of keys, carrier, spool, desk
 *
 * While a step is under way elsewhere nobody else touches the request; when
 * it is over, its next() runs on main.  A step that failed (q->err is set)
 * ends the request.
 *
 * Owner:  the control owns requests and callers; a caller that hangs up
 *         leaves its request, which ends unseen.
 */
#ifndef DAEMON_CONTROL_PRIVATE_H
#define DAEMON_CONTROL_PRIVATE_H

#include <jansson.h>

#include "daemon/audit.h"
#include "daemon/control.h"
#include "daemon/relay.h"

enum {
	CONTROL_CALLERS_MAX = 64,
	CONTROL_FDS_MAX = 4,
	CONTROL_REQUEST_MAX = 1024 * 1024,
	CONTROL_ANSWER_MAX = 256 * 1024 * 1024,
	CONTROL_ROOM = 1024 * 1024, /* a stream pauses above it */
	CONTROL_GROUPS_MAX = 1024,
	CONTROL_STATUS_REFUSED = 1, /* admin-cli.md 2 */
	CONTROL_STATUS_USAGE = 2,
	CONTROL_STATUS_IN_PART = 4
};

/* -- rights (admin-cli.md 1) ----------------------------------------------- */
enum control_role { CONTROL_NOBODY, CONTROL_SEND, CONTROL_READ, CONTROL_FULL };
struct control_right {
	enum control_role role;
	char		  account[ACCOUNT_ID_SIZE]; /* "" = all */
	const char	 *name; /* of an admin block; lives with the conf */
};
struct control_peer {
	uint32_t  uid;
	uint32_t *gids;
	size_t	  gid_count;
};
/* own_uid: the relay's */
void control_right_of(const struct conf *c, const struct control_peer *p,
    uint32_t own_uid, struct control_right *out);

enum command_right {
	NEED_ANY,     /* every role */
	NEED_READ,    /* read-only or full */
	NEED_SEND,    /* send or full */
	NEED_FULL,
	NEED_OPERATOR /* full, for all accounts */
};
enum command_scope {
	SCOPE_NONE,    /* the installation: not for callers of one account */
	SCOPE_ANY,     /* the installation, nothing of accounts in it */
	SCOPE_ACCOUNT, /* one account: the one named, or the only one */
	SCOPE_OPTIONAL /* all accounts, or the one named */
};
struct request;
struct command {
	const char	  *verb; /* "identity add" */
	enum command_right need;
	enum command_scope scope;
	const char	  *event; /* in the audit log; NULL = changes nothing */
	const char	  *object; /* member of "name" in the audit log */
	void (*run)(struct request *q);
};
bool control_may(const struct control_right *r, const struct command *c);

/* -- callers --------------------------------------------------------------- */
struct caller {
	struct caller *next, *prev;
	struct control *control;
	int	       fd;
	struct watch  *watch;
	struct timer   deadline;
	uint32_t       uid;
	struct control_right right;
	char	       name[256]; /* of the user; "" = not known */
	struct buf     in, out;
	int	       fds[CONTROL_FDS_MAX];
	unsigned       fd_count;
	struct request *request; /* NULL: not read yet, or answered */
	bool	       full; /* out passed CONTROL_ROOM, until half is gone */
	bool	       answered, closed;
};
void caller_send(struct caller *c, struct bytes text);
void caller_finish(struct caller *c); /* closes when all is sent */

/* -- requests -------------------------------------------------------------- */
typedef void request_fn(struct request *q);
typedef int request_txn_fn(struct request *q, struct db_txn *t);

struct request {
	struct book_job job; /* first: cast back from it */
	struct job	work;
	struct request *next, *prev;
	struct control *control;
	struct relay   *relay;
	struct caller  *caller; /* NULL: has hung up */
	const struct command *command;
	struct conf    *conf; /* a reference */
	json_t	       *root, *args; /* args belong to root */
	struct wall	now;

	/* who, and for whom */
	uint32_t uid;
	char	 user[256];
	struct control_right right; /* name is not to be used here */
	bool	 operator;
	struct account account; /* SCOPE_ACCOUNT, SCOPE_OPTIONAL when named */
	bool	 has_account;
	bool	 dry_run;
	int	 fds[CONTROL_FDS_MAX];
	unsigned fd_count;

	/* the step at hand */
	request_txn_fn *on_txn;
	int (*on_work)(struct request *q);
	request_fn *on_next;

	uint32_t reload; /* number of the reload it waits for; 0 = none */

	/* a stream */
	request_fn *on_room; /* what was sent has gone; may be NULL */
	request_fn *on_gone; /* the caller has hung up; may be NULL */

	/* the answer */
	json_t	  *result; /* an object */
	json_t	  *warnings, *would, *errors; /* arrays, NULL = none */
	int	   status;
	struct err err; /* text "" = well */
	struct err item_err; /* of the last item that failed */
	const char *error_code; /* NULL = from err.code */

	void *held; /* lent to another loop; freed with the request */
	void *state; /* of the command */
	void (*state_free)(void *state);
};

struct control {
	struct relay  *relay;
	struct watch  *listener;
	int	       listen_fd;
	struct caller *callers;
	unsigned       caller_count;
	unsigned       denied;	    /* since the last line about it */
	struct mono    denied_next; /* when there may be a line again */
	struct request *requests;
	uint32_t       reload_number;
	struct sweep  *sweeps; /* of no request */
	struct import *imports; /* of no request: since an earlier life */
	struct timer   begin;  /* what is to be done after the start */
	struct timer   rest;   /* without descriptors; callers wait */
};

/* control_request.c */
void request_begin(struct caller *c, struct bytes line);
/* The line alone: command, right to it, arguments; 0 / -1 (q->err). */
int request_parse(struct request *q, struct bytes line);
void request_free(struct request *q);
/* The caller has hung up. */
void request_forget_caller(struct request *q);
void request_end(struct request *q); /* q is gone afterwards */
/* Sets the error, returns -1. */
int request_refuse(struct request *q, enum book_refusal code,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int request_misuse(struct request *q, const char *fmt, ...)
    __attribute__((format(printf, 2, 3))); /* status 2 */
/* The same, and ends the request. */
void request_end_refused(struct request *q, enum book_refusal code,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void request_warn(struct request *q, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* One of several items failed: the status becomes 4, or 1 if none is left. */
void request_item_failed(struct request *q, const struct err *e);
void request_settle_items(struct request *q, size_t items);
/* What a dry run says: "create identity example.com". */
void request_would(struct request *q, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void request_set(struct request *q, const char *name, json_t *value);
/* The members of a register's document; it is wiped.  0 / -1 (q->err). */
int request_set_document(struct request *q, struct buf *document);

void request_read(struct request *q, request_txn_fn *fn); /* then ends */
/* The same without ending: 0, or -1 (q->err). */
int request_look(struct request *q, request_txn_fn *fn);
/* next NULL: request_end().  It does not run for a dry run. */
void request_write(struct request *q, request_txn_fn *fn, request_fn *next);
/* fn: 0 / -1 (q->err); next runs in both cases but an error. */
void request_work(struct request *q, int (*fn)(struct request *q),
    request_fn *next);
/* All that has happened until now is counted; then next, on main. */
void request_sync(struct request *q, request_fn *next);
/* A line of a stream: json without its end.  false = pause until on_room. */
bool request_line(struct request *q, struct bytes json);
/* Many lines of a stream, as they go out: {"line":...} and its end. */
bool request_lines(struct request *q, struct bytes lines);
bool request_has_room(const struct request *q);
/* Takes a descriptor that came along; -1 = there is none. */
int request_take_fd(struct request *q, json_int_t index);
/* A copy that lives as long as the request; for state. */
void *request_state(struct request *q, size_t size,
    void (*state_free)(void *state));

/* -- arguments: 1 = given, 0 = not, -1 = refused (q->err) ------------------ */
bool arg_has(const struct request *q, const char *name);
bool arg_is_true(const struct request *q, const char *name);
const char *arg_text(const struct request *q, const char *name); /* or NULL */
int arg_copy(struct request *q, const char *name, char *out, size_t size);
int arg_int(struct request *q, const char *name, int64_t min, int64_t max,
    int64_t *out);
/* -1 = "unlimited" */
int arg_amount(struct request *q, const char *name, double *out);
/* on, off or true, false */
int arg_switch(struct request *q, const char *name, bool *out);
/* Index of a word of the list. */
int arg_word(struct request *q, const char *name, const char *const *words,
    int *out);
int arg_time(struct request *q, const char *name, struct wall *out);
/* A file of the caller's, never a pipe: a worker must not wait for it.  The
 * descriptor is the command's from then on. */
int arg_file(struct request *q, const char *name, int *fd);
/* An array of texts; NULL = not given. */
json_t *arg_list(const struct request *q, const char *name);
/* "tag": KEY=VALUE or KEY of each; what is given stands for all that were
 * there.  Lent by the request.  0; -1 = refused. */
int arg_tags(const struct request *q, struct resource_tags *tags,
    struct err *e);
/* Everything has the type that commands expect; 0 / -1. */
int args_check(struct request *q);
/* The arguments as the audit log shows them. */
json_t *args_for_audit(const struct request *q);

/* -- values ---------------------------------------------------------------- */
json_t *json_of_bytes(struct bytes b); /* what is not UTF-8 becomes ? */
json_t *json_of_text(const char *s);   /* "" gives null */
json_t *json_of_wall(struct wall w);   /* 0 gives null */
json_t *json_of_amount(double v);
enum { CONTROL_JSON_FLAGS = JSON_COMPACT | JSON_REAL_PRECISION(15) };
/* A page of a list: rows in the order of their keys. */
struct page {
	json_t	   *rows;
	const char *after; /* --next-token; NULL = from the beginning */
	size_t	    limit; /* 0 = all */
	char	    last[700];
	bool	    more;
};
int page_open(struct request *q, struct page *p);
/* true = this row is wanted; then add it to p->rows. */
bool page_wants(struct page *p, const char *key);
bool page_is_full(struct page *p);
void page_close(struct request *q, struct page *p, const char *name);

/* -- what several nouns need ----------------------------------------------- */
/* control_account.c */
json_t *json_of_overrides(const struct account_overrides *o);
int arg_overrides(struct request *q, struct account_overrides *o);
/* control_suppression.c */
json_t *json_of_reasons(unsigned set); /* of suppression.h */
/* The entry that stops mail, with its age: of the account, or of all (whose
 * mail it was that led to that is the operator's to see). */
struct suppression;
struct global_suppression;
json_t *json_of_listing(const struct request *q, const struct suppression *s);
json_t *json_of_global_listing(const struct request *q,
    const struct global_suppression *g);
/* Who adds to the list of an account in the sandbox (suppression.md 6)?  The
 * operator alone.  0 / -1 */
int control_check_production(struct request *q);
/* control_policy.c: member "Policies" of the answer; 0 / -1 */
int json_of_policies(struct request *q, struct db_txn *t,
    const char *identity);
/* The policies of identities that name a user, as the caller may see them;
 * how many, or -1. */
int control_policies_naming(struct request *q, struct db_txn *t,
    const char *user, struct buf *out);
/* control_level.c: members "Level" and "DailyLimit" of a domain, and figures of
 * the day; nothing unless levels are on.  0 / -1 */
int control_show_level(struct request *q, struct db_txn *t,
    const char *domain);
/* control_snds.c: Microsoft's data of an address, each day with our own counts
 * beside it; into an array.  0 / -1 */
int control_show_snds(struct request *q, struct db_txn *t,
    const char *address, json_t *rows);
/* control_import.c: jobs of an earlier life go on */
void control_resume_imports(struct control *k);
void control_free_imports(struct control *k);
/* control_ip.c: can mail leave from this address? */
bool control_ip_is_ours(const char *address);
/* Rows of what "spf print" shows: Type, Name, Value; NULL: q->err. */
json_t *control_spf_rows(struct request *q, struct db_txn *t);
/* An address may now be the last of its pool, or not any more (listing.h); rc
 * of what was done before.  0 / -1 */
int control_ip_settle(struct request *q, struct db_txn *t, int rc);
/* control_event.c: an audit_listen() function, for audit tail. */
void control_on_audit(void *control, struct bytes line);

/* the nouns, each list ended by a row without verb */
extern const struct command control_account_commands[];
extern const struct command control_credential_commands[];
extern const struct command control_quota_commands[];
extern const struct command control_identity_commands[];
extern const struct command control_level_commands[];
extern const struct command control_policy_commands[];
extern const struct command control_config_set_commands[];
extern const struct command control_destination_commands[];
extern const struct command control_outbox_commands[];
extern const struct command control_topic_commands[];
extern const struct command control_notification_commands[];
extern const struct command control_pool_commands[];
extern const struct command control_dkim_commands[];
extern const struct command control_mail_from_commands[];
extern const struct command control_ip_commands[];
extern const struct command control_blocklist_commands[];
extern const struct command control_snds_commands[];
extern const struct command control_ip_filter_commands[];
extern const struct command control_queue_commands[];
extern const struct command control_suppression_commands[];
extern const struct command control_import_commands[];
extern const struct command control_feedback_commands[];
extern const struct command control_event_commands[];
extern const struct command control_audit_commands[];
extern const struct command control_stats_commands[];
extern const struct command control_reputation_commands[];
extern const struct command control_alarm_commands[];
extern const struct command control_system_commands[];
extern const struct command control_send_commands[];
extern const struct command control_doctor_commands[];
extern const struct command control_check_commands[];

#endif
