/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/heap.h"
#include "base/log.h"
#include "daemon/control_private.h"

enum { CONTROL_DRY_RUN = 10201 };

static const struct command *const command_lists[] = {
	control_account_commands,
	control_credential_commands,
	control_quota_commands,
	control_identity_commands,
	control_level_commands,
	control_policy_commands,
	control_config_set_commands,
	control_destination_commands, control_outbox_commands,
	control_topic_commands, control_notification_commands,
	control_pool_commands,
	control_dkim_commands,
	control_mail_from_commands,
	control_check_commands,
	control_ip_commands,
	control_blocklist_commands,
	control_snds_commands,
	control_ip_filter_commands,
	control_queue_commands,
	control_feedback_commands,
	control_event_commands,
	control_suppression_commands,
	control_import_commands,
	control_stats_commands,
	control_reputation_commands,
	control_alarm_commands,
	control_audit_commands,
	control_system_commands,
	control_send_commands,
	control_doctor_commands,
};

/* -- life ------------------------------------------------------------------ */

static struct request *
request_new(struct caller *c)
{
	struct request *q = mem_alloc(sizeof(*q));
	struct control *k = c->control;

	q->control = k;
	q->relay = k->relay;
	q->caller = c;
	q->conf = conf_ref(k->relay->conf);
	q->now = loop_wall(k->relay->main);
	q->uid = c->uid;
	memcpy(q->user, c->name, sizeof(q->user));
	q->right = c->right;
	q->operator = q->right.role == CONTROL_FULL &&
	    q->right.account[0] == '\0';
	memcpy(q->fds, c->fds, sizeof(q->fds));
	q->fd_count = c->fd_count;
	c->fd_count = 0;
	q->result = json_object();
	q->next = k->requests;
	if (q->next != NULL)
		q->next->prev = q;
	k->requests = q;
	c->request = q;
	return q;
}

/* Strings of answers may hold a password. */
static void
request_wipe_json(json_t *j)
{
	const char *key;
	json_t	   *v;
	size_t	    i;

	if (json_is_string(j))
		mem_wipe((char *)(uintptr_t)json_string_value(j),
		    json_string_length(j));
	json_array_foreach(j, i, v)
		request_wipe_json(v);
	json_object_foreach(j, key, v)
		request_wipe_json(v);
}

void
request_free(struct request *q)
{
	unsigned i;

	if (q->prev != NULL)
		q->prev->next = q->next;
	else
		q->control->requests = q->next;
	if (q->next != NULL)
		q->next->prev = q->prev;
	if (q->caller != NULL)
		q->caller->request = NULL;
	for (i = 0; i < q->fd_count; i++)
		if (q->fds[i] >= 0)
			close(q->fds[i]);
	if (q->state != NULL && q->state_free != NULL)
		q->state_free(q->state);
	mem_free(q->state);
	mem_free(q->held);
	request_wipe_json(q->root);
	request_wipe_json(q->result);
	json_decref(q->root);
	json_decref(q->result);
	json_decref(q->warnings);
	json_decref(q->would);
	json_decref(q->errors);
	conf_unref(q->conf);
	mem_free(q);
}

void
request_forget_caller(struct request *q)
{
	q->caller = NULL;
	if (q->on_gone != NULL)
		q->on_gone(q);
}

void *
request_state(struct request *q, size_t size, void (*state_free)(void *state))
{
	must(q->state == NULL);
	q->state = mem_alloc(size);
	q->state_free = state_free;
	return q->state;
}

int
request_take_fd(struct request *q, json_int_t index)
{
	int fd;

	if (index < 0 || index >= (json_int_t)q->fd_count)
		return -1;
	fd = q->fds[index];
	q->fds[index] = -1;
	return fd;
}

/* -- what is said ---------------------------------------------------------- */

static int
request_refuse_va(struct request *q, enum book_refusal code, const char *fmt,
    va_list ap) __attribute__((format(printf, 3, 0)));
static int
request_refuse_va(struct request *q, enum book_refusal code, const char *fmt,
    va_list ap)
{
	char text[ERR_TEXT_MAX];

	vsnprintf(text, sizeof(text), fmt, ap);
	return book_refuse(&q->err, code, "%s", text);
}

int
request_refuse(struct request *q, enum book_refusal code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	request_refuse_va(q, code, fmt, ap);
	va_end(ap);
	return -1;
}

int
request_misuse(struct request *q, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	request_refuse_va(q, BOOK_BAD_REQUEST, fmt, ap);
	va_end(ap);
	q->status = CONTROL_STATUS_USAGE;
	return -1;
}

void
request_end_refused(struct request *q, enum book_refusal code,
    const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	request_refuse_va(q, code, fmt, ap);
	va_end(ap);
	request_end(q);
}

static void
request_add_text(json_t **list, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));
static void
request_add_text(json_t **list, const char *fmt, va_list ap)
{
	char text[1024];

	vsnprintf(text, sizeof(text), fmt, ap);
	if (*list == NULL)
		*list = json_array();
	json_array_append_new(*list, json_of_bytes(bytes_of(text)));
}

void
request_warn(struct request *q, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	request_add_text(&q->warnings, fmt, ap);
	va_end(ap);
}

void
request_would(struct request *q, const char *fmt, ...)
{
	va_list ap;

	if (!q->dry_run)
		return;
	va_start(ap, fmt);
	request_add_text(&q->would, fmt, ap);
	va_end(ap);
}

void
request_item_failed(struct request *q, const struct err *e)
{
	q->item_err = *e;
	if (q->errors == NULL)
		q->errors = json_array();
	json_array_append_new(q->errors,
	    json_pack("{s:s, s:o}", "Code", book_refusal_to_text(e),
		"Message", json_of_bytes(bytes_of(e->text))));
}

void
request_settle_items(struct request *q, size_t items)
{
	size_t failed = json_array_size(q->errors);

	if (items == 1 && failed == 1) {
		q->err = q->item_err;
		json_decref(q->errors);
		q->errors = NULL;
	} else if (failed > 0)
		q->status = failed < items ? CONTROL_STATUS_IN_PART :
		    CONTROL_STATUS_REFUSED;
}

void
request_set(struct request *q, const char *name, json_t *value)
{
	json_object_set_new(q->result, name, value);
}

/* -- the end --------------------------------------------------------------- */

static const char *
request_code(const struct request *q)
{
	return q->error_code != NULL ? q->error_code
				     : book_refusal_to_text(&q->err);
}

struct only {
	struct account *out;
	unsigned	open, all;
};

static bool
request_on_account(void *arg, const struct account *a)
{
	struct only *o = arg;

	o->all++;
	if (a->closed.ms != 0 && o->all > 1)
		return true;
	if (a->closed.ms == 0)
		o->open++;
	if (o->open <= 1)
		*o->out = *a;
	return o->open <= 1;
}

/* A command over all accounts of an installation that has one concerns it. */
static int
request_audit_account(struct request *q, struct db_txn *t)
{
	struct only o = { &q->account, 0, 0 };

	if (account_each(t, request_on_account, &o, &q->item_err) == 0 &&
	    o.open == 1)
		q->has_account = true;
	return 0;
}

static void
request_audit(struct request *q)
{
	struct audit_record r = { .at = q->now };
	json_t		   *parameters, *first;
	char		   *text;

	if (q->command == NULL || q->command->event == NULL || q->dry_run)
		return;
	if (q->command->scope == SCOPE_OPTIONAL && !q->has_account &&
	    q->right.account[0] == '\0')
		(void)request_look(q, request_audit_account);
	parameters = args_for_audit(q);
	text = json_dumps(parameters, CONTROL_JSON_FLAGS);
	json_decref(parameters);
	r.event_name = q->command->event;
	r.account = q->has_account ? q->account.id : q->right.account;
	r.uid = q->uid;
	r.user_name = q->user[0] != '\0' ? q->user : NULL;
	r.parameters = bytes_of(text);
	first = json_array_get(q->errors, 0);
	if (q->err.text[0] != '\0') {
		r.error_code = request_code(q);
		r.error_message = q->err.text;
	} else if (first != NULL) {
		r.error_code =
		    json_string_value(json_object_get(first, "Code"));
		r.error_message =
		    json_string_value(json_object_get(first, "Message"));
	}
	audit_write(q->relay->audit, &r);
	free(text);
}

static json_t *
request_answer(struct request *q)
{
	json_t *answer = json_object();

	if (q->err.text[0] != '\0') {
		if (q->status == 0)
			q->status = CONTROL_STATUS_REFUSED;
		json_object_set_new(answer, "error",
		    json_pack("{s:s, s:o}", "Code", request_code(q),
			"Message", json_of_bytes(bytes_of(q->err.text))));
	} else {
		json_object_set(answer, "result", q->result);
	}
	json_object_set_new(answer, "status", json_integer(q->status));
	if (q->warnings != NULL)
		json_object_set(answer, "warnings", q->warnings);
	if (q->would != NULL)
		json_object_set(answer, "would", q->would);
	if (q->errors != NULL)
		json_object_set(answer, "errors", q->errors);
	return answer;
}

void
request_end(struct request *q)
{
	struct caller *c = q->caller;
	json_t	      *answer;
	char	      *text;

	if (q->err.text[0] != '\0' && q->error_code == NULL &&
	    !book_is_refusal(&q->err))
		log_error("control-failed", "verb=\"%s\" reason=\"%s\"",
		    q->command != NULL ? q->command->verb : "", q->err.text);
	request_audit(q);
	if (c != NULL) {
		answer = request_answer(q);
		text = json_dumps(answer, CONTROL_JSON_FLAGS);
		json_decref(answer);
		if (text != NULL) {
			caller_send(c, bytes_of(text));
			caller_send(c, BYTES("\n"));
			mem_wipe(text, strlen(text));
		}
		free(text);
	}
	c = q->caller; /* sending may have closed it */
	q->caller = NULL;
	request_free(q);
	if (c != NULL)
		caller_finish(c);
}

/* -- steps ----------------------------------------------------------------- */

int
request_look(struct request *q, request_txn_fn *fn)
{
	struct db_txn *t = book_read(q->relay->book, &q->err);
	int	       rc;

	if (t == NULL)
		return -1;
	rc = fn(q, t);
	book_end(t);
	return rc;
}

void
request_read(struct request *q, request_txn_fn *fn)
{
	(void)request_look(q, fn);
	request_end(q);
}

static int
request_on_txn(struct book_job *j, struct db_txn *t)
{
	struct request *q = (struct request *)(void *)j;

	if (q->on_txn(q, t) != 0) {
		j->err = q->err;
		return -1;
	}
	if (!q->dry_run)
		return 0;
	j->err.code = CONTROL_DRY_RUN;
	return err_set(&j->err, "dry run");
}

static void
request_on_written(void *job, void *unused)
{
	struct request *q = job;

	(void)unused;
	if (q->job.failed && q->dry_run &&
	    strcmp(q->job.err.text, "dry run") == 0) {
		request_end(q); /* with what an item has in q->err, if any */
		return;
	}
	if (q->job.failed) {
		q->err = q->job.err;
		request_end(q);
		return;
	}
	if (q->on_next != NULL)
		q->on_next(q);
	else
		request_end(q);
}

void
request_write(struct request *q, request_txn_fn *fn, request_fn *next)
{
	memset(&q->job, 0, sizeof(q->job));
	q->job.asker = q->relay->main;
	q->job.run = request_on_txn;
	q->job.done = request_on_written;
	q->on_txn = fn;
	q->on_next = next;
	if (!book_write(q->relay->book, &q->job))
		request_end_refused(q, BOOK_TOO_MANY, "the store is busy");
}

static void
request_on_work(struct job *j)
{
	struct request *q = heap_entry(j, struct request, work);

	if (q->on_work(q) != 0 && q->err.text[0] == '\0')
		err_set(&q->err, "internal failure");
}

static void
request_on_worked(void *job, void *unused)
{
	struct job     *j = job;
	struct request *q = heap_entry(j, struct request, work);

	(void)unused;
	if (q->err.text[0] != '\0')
		request_end(q);
	else
		q->on_next(q);
}

void
request_work(struct request *q, int (*fn)(struct request *q),
    request_fn *next)
{
	memset(&q->work, 0, sizeof(q->work));
	q->work.asker = q->relay->main;
	q->work.run = request_on_work;
	q->work.done = request_on_worked;
	q->on_work = fn;
	q->on_next = next;
	if (!workers_post(q->relay->workers, &q->work))
		request_end_refused(q, BOOK_TOO_MANY, "too much to do");
}

static void
request_on_synced(void *request, void *unused)
{
	struct request *q = request;

	(void)unused;
	q->on_next(q);
}

void
request_sync(struct request *q, request_fn *next)
{
	q->on_next = next;
	/* too busy: then the last second may be missing */
	if (!reporter_post_sync(q->relay->reporter, q->relay->main,
		request_on_synced, q))
		next(q);
}

/* -- streams --------------------------------------------------------------- */

bool
request_has_room(const struct request *q)
{
	return q->caller == NULL || !q->caller->full;
}

bool
request_line(struct request *q, struct bytes json)
{
	struct caller *c = q->caller;

	if (c == NULL)
		return true;
	caller_send(c, BYTES("{\"line\":"));
	caller_send(c, json);
	caller_send(c, BYTES("}\n"));
	return request_has_room(q);
}

bool
request_lines(struct request *q, struct bytes lines)
{
	if (q->caller != NULL && lines.n > 0)
		caller_send(q->caller, lines);
	return request_has_room(q);
}

/* -- beginning ------------------------------------------------------------- */

static const struct command *
command_find(const char *verb)
{
	const struct command *c;
	size_t		      i;

	for (i = 0; i < sizeof(command_lists) / sizeof(command_lists[0]); i++)
		for (c = command_lists[i]; c->verb != NULL; c++)
			if (strcmp(c->verb, verb) == 0)
				return c;
	return NULL;
}

/* Without a name: the only account there is. */
static int
request_only_account(struct request *q, struct db_txn *t)
{
	struct only o = { &q->account, 0, 0 };

	if (account_each(t, request_on_account, &o, &q->err) != 0)
		return -1;
	if (o.open > 1)
		return request_misuse(q, "several accounts, use --account");
	if (o.all == 0)
		return request_refuse(q, BOOK_NOT_FOUND, "there is no account");
	q->has_account = true;
	return 0;
}

static int
request_find_account(struct request *q, struct db_txn *t)
{
	const char *name =
	    json_string_value(json_object_get(q->root, "account"));
	int	    found;

	if (name == NULL && q->right.account[0] != '\0')
		name = q->right.account;
	if (name == NULL)
		return q->command->scope == SCOPE_ACCOUNT ?
			request_only_account(q, t) : 0;
	found = account_find(t, name, &q->account, &q->err);
	if (found < 0)
		return -1;
	if (found == 0)
		return request_refuse(q, BOOK_NOT_FOUND, "no such account: %s",
		    name);
	if (q->right.account[0] != '\0' &&
	    strcmp(q->right.account, q->account.id) != 0) {
		q->error_code = "AccessDeniedException";
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "permission denied");
	}
	q->has_account = true;
	return 0;
}

/* A closed account is looked at, or opened again, and nothing else. */
static int
request_check_account(struct request *q)
{
	static const char *const allowed[] = { "account undelete",
		"queue delete", "queue bounce" };
	size_t i;

	if (!q->has_account || q->account.closed.ms == 0 ||
	    q->command->event == NULL)
		return 0;
	for (i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
		if (strcmp(q->command->verb, allowed[i]) == 0)
			return 0;
	return request_refuse(q, BOOK_BAD_REQUEST, "account %s is closed",
	    q->account.id);
}

/* A dry run that is not understood must not become a real one. */
static bool
request_is_well_formed(const struct request *q)
{
	const json_t *account = json_object_get(q->root, "account");
	const json_t *dry_run = json_object_get(q->root, "dry_run");

	return (account == NULL || json_is_null(account) ||
		   json_is_string(account)) &&
	    (dry_run == NULL || json_is_boolean(dry_run));
}

int
request_parse(struct request *q, struct bytes line)
{
	const char  *verb;
	json_error_t e;

	q->root = json_loadb(line.p, line.n, JSON_REJECT_DUPLICATES, &e);
	if (!json_is_object(q->root))
		return request_misuse(q, "not a request: %s",
		    q->root != NULL ? "not an object" : e.text);
	verb = json_string_value(json_object_get(q->root, "verb"));
	if (verb == NULL)
		return request_misuse(q, "a request without verb");
	if (!request_is_well_formed(q))
		return request_misuse(q, "malformed account or dry_run");
	q->command = command_find(verb);
	if (q->command == NULL)
		return request_misuse(q, "unknown command: %.60s", verb);
	if (!control_may(&q->right, q->command)) {
		q->error_code = "AccessDeniedException";
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "permission denied");
	}
	q->args = json_object_get(q->root, "args");
	if (q->args == NULL) {
		q->args = json_object();
		json_object_set_new(q->root, "args", q->args);
	}
	q->dry_run = json_is_true(json_object_get(q->root, "dry_run"));
	return args_check(q);
}

static int
request_read_line(struct request *q, struct bytes line)
{
	if (request_parse(q, line) != 0)
		return -1;
	if (q->command->scope == SCOPE_ACCOUNT ||
	    q->command->scope == SCOPE_OPTIONAL)
		return request_look(q, request_find_account) != 0 ?
			-1 : request_check_account(q);
	return 0;
}

void
request_begin(struct caller *c, struct bytes line)
{
	struct request *q = request_new(c);

	if (request_read_line(q, line) != 0) {
		request_end(q);
		return;
	}
	log_debug("control", "verb=\"%s\" uid=%u account=%s dry-run=%s",
	    q->command->verb, (unsigned)q->uid,
	    q->has_account ? q->account.id : "-", q->dry_run ? "yes" : "no");
	spool_catch_up(q->relay->spool);
	q->command->run(q);
}
