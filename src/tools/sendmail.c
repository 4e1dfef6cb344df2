/* SPDX-License-Identifier: ISC */
/*
 * sendmail - the sendmail(1) interface: hands a message on standard input to
 * posthorn, over the local socket or to a remote server.  Not set-uid, and
 * without a queue: what cannot be handed over is the caller's to repeat.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/mem.h"
#include "tools/sendmail_address.h"
#include "tools/sendmail_body.h"
#include "tools/sendmail_conf.h"
#include "tools/sendmail_link.h"
#include "tools/sendmail_message.h"
#include "tools/sendmail_options.h"
#include "tools/sendmail_smtp.h"

enum {
	SENDMAIL_SLICE = 65536,
	SENDMAIL_ADDRESS_FLAGS = ADDRESS_ALLOW_LITERAL |
	    ADDRESS_ALLOW_SINGLE_LABEL | ADDRESS_ALLOW_UNDERSCORE,
	CTL_OUTPUT_MAX = 65536
};

static int
sendmail_fail(int status, const char *text)
{
	fprintf(stderr, "sendmail: %s\n", text);
	return status;
}

static bool
address_is_good(const char *text)
{
	struct address a;

	return address_parse(bytes_of(text), SENDMAIL_ADDRESS_FLAGS, &a);
}

/* The server's words for an address that is none; it never sees it. */
static int
address_refuse(const char *text, const char *what)
{
	char quoted[SMTP_QUOTED_MAX];

	fprintf(stderr, "sendmail: 553 %s %s\n",
	    smtp_quote_path(bytes_of(text), quoted), what);
	return EX_NOUSER;
}

/* -- the caller ------------------------------------------------------------ */

struct caller {
	char	   login[64];
	struct buf full_name;
};

static void
caller_init(struct caller *c, const char *full_name)
{
	struct passwd *pw = getpwuid(getuid());

	buf_init(&c->full_name, 512);
	if (pw != NULL)
		snprintf(c->login, sizeof(c->login), "%s", pw->pw_name);
	else
		snprintf(c->login, sizeof(c->login), "%lu",
		    (unsigned long)getuid());
	if (full_name != NULL)
		buf_add_text(&c->full_name, full_name);
	else if (pw != NULL && pw->pw_gecos != NULL)
		sendmail_gecos_name(pw->pw_gecos, pw->pw_name, &c->full_name);
}

/* -- submission ------------------------------------------------------------ */

struct submission_task {
	const struct sendmail_options *o;
	const struct sendmail_conf    *conf;
	struct sendmail_input	       input;
	struct sendmail_body	       body;
	struct sendmail_list	       recipients;
	struct sendmail_list	       sender; /* one, or none = null */
	struct buf		       head;
	struct caller		       caller;
	struct sendmail_dialog	       dialog;
};

/* Standard input to its end, or to a single dot. */
static int
task_read(struct submission_task *t)
{
	char	slice[SENDMAIL_SLICE];
	ssize_t n;

	while (!t->input.ended && !t->input.too_long && !t->body.failed) {
		n = read(STDIN_FILENO, slice, sizeof(slice));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			fprintf(stderr, "sendmail: standard input: %s\n",
			    strerror(errno));
			return EX_IOERR;
		}
		if (n == 0)
			break;
		sendmail_input_feed(&t->input,
		    (struct bytes){ slice, (size_t)n });
	}
	sendmail_input_end(&t->input);
	if (t->input.too_long)
		return sendmail_fail(EX_DATAERR,
		    "the header section is too long");
	if (t->body.too_large)
		return sendmail_fail(EX_DATAERR, "the message is too long");
	if (t->body.failed)
		return sendmail_fail(EX_OSERR, t->body.error.text);
	return 0;
}

/* -f, else the configured one, else the caller at the server. */
static int
task_choose_sender(struct submission_task *t)
{
	const char  *given = t->o->sender;
	struct bytes host = bytes_of(t->dialog.host);
	struct buf   text;
	bool	     good;

	if (given == NULL)
		given = t->conf->sender;
	if (given == NULL)
		given = t->caller.login;
	if (given[0] == '\0')
		return 0;
	buf_init(&text, 4096);
	good = sendmail_list_complete(bytes_of(given), host, &text,
	    sendmail_list_add, &t->sender);
	buf_wipe(&text);
	if (!good || t->sender.n != 1 || !address_is_good(t->sender.v[0]))
		return address_refuse(given, "Invalid email address");
	return 0;
}

static int
task_check_recipients(const struct submission_task *t)
{
	size_t i;

	if (t->recipients.too_many)
		return sendmail_fail(EX_DATAERR, "too many recipients");
	if (t->recipients.n == 0)
		return sendmail_fail(EX_USAGE, "no recipients found");
	for (i = 0; i < t->recipients.n; i++)
		if (!address_is_good(t->recipients.v[i]))
			return address_refuse(t->recipients.v[i],
			    "address unknown");
	return 0;
}

/* Blanks divide nothing in a list, and a name before ":" is dropped: behind
 * a line end would stand a recipient that the caller has not looked at. */
static int
task_check_arguments(const struct sendmail_options *o)
{
	size_t i;

	for (i = 0; i < o->address_count; i++)
		if (strpbrk(o->addresses[i], "\r\n") != NULL)
			return address_refuse(o->addresses[i],
			    "address unknown");
	return 0;
}

/* With the server's name known: addresses, header section, envelope. */
static int
task_build(struct submission_task *t)
{
	struct sendmail_plan plan = { .host = bytes_of(t->dialog.host) };
	struct buf	     text;
	bool		     good = true;
	size_t		     i;
	int		     status = task_choose_sender(t);

	buf_init(&text, SENDMAIL_HEAD_MAX);
	for (i = 0; good && i < t->o->address_count; i++)
		good = sendmail_list_complete(bytes_of(t->o->addresses[i]),
		    plan.host, &text, sendmail_list_add, &t->recipients);
	buf_wipe(&text);
	if (status != 0)
		return status;
	plan.reads_recipients = t->o->reads_recipients;
	plan.configuration_set = bytes_of(t->conf->configuration_set);
	/* of who writes as himself a local block may make another sender */
	if (t->sender.n == 1)
		plan.from = bytes_of(t->sender.v[0]);
	plan.full_name = buf_bytes(&t->caller.full_name);
	switch (sendmail_head_build(buf_bytes(&t->input.head), &plan,
	    &t->head, &t->recipients)) {
	case SENDMAIL_HEAD_TOO_LONG:
		return sendmail_fail(EX_DATAERR,
		    "the header section is too long");
	case SENDMAIL_HEAD_NO_MEMORY:
		return sendmail_fail(EX_OSERR, "no memory");
	default:
		return good ? task_check_recipients(t)
			    : sendmail_fail(EX_USAGE, "address too long");
	}
}

static int
task_hand_over(struct submission_task *t)
{
	struct sendmail_letter letter = { .recipients = &t->recipients };
	int		       status;

	status = sendmail_dialog_open(&t->dialog, t->conf, t->o->verbose);
	if (status != 0) {
		sendmail_fail(status, t->dialog.error.text);
	} else {
		status = task_build(t);
		letter.sender = t->sender.n == 1 ? t->sender.v[0] : "";
		letter.body_type = t->o->body_type;
		letter.head = buf_bytes(&t->head);
		letter.body = &t->body;
		if (status == 0) {
			status = sendmail_dialog_send(&t->dialog, &letter);
			if (status != 0)
				sendmail_fail(status, t->dialog.error.text);
		}
	}
	sendmail_dialog_close(&t->dialog);
	return status;
}

static int
sendmail_submit(const struct sendmail_options *o,
    const struct sendmail_conf *conf)
{
	struct submission_task *t;
	int			status;

	if (o->address_count == 0 && !o->reads_recipients)
		return sendmail_fail(EX_USAGE, "no recipients found");
	status = task_check_arguments(o);
	if (status != 0)
		return status;
	t = mem_alloc(sizeof(*t));
	t->o = o;
	t->conf = conf;
	sendmail_body_init(&t->body);
	sendmail_input_init(&t->input, o->keeps_dots, sendmail_body_add,
	    &t->body);
	sendmail_list_init(&t->recipients);
	sendmail_list_init(&t->sender);
	buf_init(&t->head, 4 * SENDMAIL_HEAD_MAX);
	caller_init(&t->caller, o->full_name);
	status = task_read(t);
	if (status == 0)
		status = task_hand_over(t);
	buf_wipe(&t->caller.full_name);
	buf_wipe(&t->head);
	sendmail_list_wipe(&t->sender);
	sendmail_list_wipe(&t->recipients);
	sendmail_input_wipe(&t->input);
	sendmail_body_wipe(&t->body);
	mem_free(t);
	return status;
}

/* -- -bs: the caller speaks SMTP itself ------------------------------------ */

static int
dialogue_out(struct bytes s)
{
	ssize_t n;

	while (s.n > 0) {
		n = write(STDOUT_FILENO, s.p, s.n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return EX_IOERR;
		s = bytes_from(s, (size_t)n);
	}
	return 0;
}

/* One direction; *open becomes false at its end. */
static int
dialogue_from_caller(struct sendmail_link *l, bool *open, struct err *e)
{
	char	slice[SENDMAIL_SLICE];
	ssize_t n = read(STDIN_FILENO, slice, sizeof(slice));

	if (n < 0 && errno == EINTR)
		return 0;
	if (n < 0) {
		err_sys(e, "standard input");
		return EX_IOERR;
	}
	if (n == 0) {
		*open = false;
		sendmail_link_finish(l);
		return 0;
	}
	return sendmail_link_write(l, (struct bytes){ slice, (size_t)n },
	    e) == 0 ? 0 : EX_TEMPFAIL;
}

static int
dialogue_from_server(struct sendmail_link *l, bool *open, struct err *e)
{
	char slice[SENDMAIL_SLICE];
	int  n = sendmail_link_read(l, slice, sizeof(slice), e);

	if (n < 0)
		return EX_TEMPFAIL;
	*open = n > 0;
	if (dialogue_out((struct bytes){ slice, (size_t)n }) == 0)
		return 0;
	err_sys(e, "standard output");
	return EX_IOERR;
}

static int
dialogue_run(struct sendmail_link *l, struct err *e)
{
	struct pollfd p[2];
	bool	      caller = true, server = true;
	int	      status = 0;

	while (status == 0 && server) {
		p[0] = (struct pollfd){ .fd = caller ? STDIN_FILENO : -1,
			.events = POLLIN };
		p[1] = (struct pollfd){ .fd = sendmail_link_fd(l),
			.events = POLLIN };
		if (sendmail_link_pending(l) > 0) {
			p[0].revents = 0;
			p[1].revents = POLLIN;
		} else if (poll(p, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			err_sys(e, "poll");
			return EX_OSERR;
		}
		if (p[1].revents != 0)
			status = dialogue_from_server(l, &server, e);
		if (status == 0 && server && p[0].revents != 0)
			status = dialogue_from_caller(l, &caller, e);
	}
	return status;
}

static int
sendmail_dialogue(const struct sendmail_options *o,
    const struct sendmail_conf *conf)
{
	struct sendmail_dialog d;
	struct err	       e = { .code = 0 };
	char		       greeting[DOMAIN_TEXT_MAX + 32];
	int		       status = 0;

	if (conf->server_host == NULL) {
		struct sendmail_link *l = sendmail_link_unix(conf->socket, &e);

		status = l == NULL ? EX_TEMPFAIL : dialogue_run(l, &e);
		sendmail_link_close(l);
		return status == 0 ? 0 : sendmail_fail(status, e.text);
	}
	/* TLS and login are done here: the caller knows neither */
	status = sendmail_dialog_open(&d, conf, o->verbose);
	if (status != 0) {
		sendmail_fail(status, d.error.text);
	} else {
		snprintf(greeting, sizeof(greeting), "220 %s ESMTP\r\n",
		    d.host);
		status = dialogue_out(bytes_of(greeting));
		if (status == 0)
			status = dialogue_run(d.link, &e);
		if (status != 0)
			sendmail_fail(status, e.text);
		sendmail_link_close(d.link);
		d.link = NULL;
	}
	sendmail_dialog_close(&d);
	return status;
}

/* -- -bv ------------------------------------------------------------------- */

static void
verify_address(void *arg, struct bytes address)
{
	int *status = arg;
	char text[ADDRESS_TEXT_MAX];

	bytes_text(address, text, sizeof(text));
	if (address.n >= sizeof(text) || !address_is_good(text))
		*status = address_refuse(text, "address unknown");
	else
		printf("%s... deliverable\n", text);
}

/* By syntax: without a server an address keeps the host of the caller. */
static int
sendmail_verify(const struct sendmail_options *o)
{
	struct buf text;
	char	   host[DOMAIN_TEXT_MAX];
	size_t	   i;
	int	   status = 0;

	if (o->address_count == 0)
		return sendmail_fail(EX_USAGE, "no recipients found");
	if (gethostname(host, sizeof(host)) != 0 ||
	    memchr(host, '\0', sizeof(host)) == NULL)
		strcpy(host, "localhost");
	buf_init(&text, SENDMAIL_HEAD_MAX);
	for (i = 0; i < o->address_count; i++)
		sendmail_list_complete(bytes_of(o->addresses[i]),
		    bytes_of(host), &text, verify_address, &status);
	buf_wipe(&text);
	return status;
}

/* -- -bp ------------------------------------------------------------------- */

/* posthornctl beside this program, else by the PATH. */
static void
ctl_exec(void)
{
	static const char *const places[] = { "posthornctl",
		"../bin/posthornctl" };
	char			 path[PATH_MAX], *slash;
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 32);
	size_t	i;

	path[n < 0 ? 0 : n] = '\0';
	slash = strrchr(path, '/');
	for (i = 0; slash != NULL && i < 2; i++) {
		strcpy(slash + 1, places[i]);
		execl(path, "posthornctl", "queue", "list", (char *)NULL);
	}
	execlp("posthornctl", "posthornctl", "queue", "list", (char *)NULL);
	fprintf(stderr, "error: cannot run posthornctl: %s\n",
	    strerror(errno));
	_exit(127);
}

/* Its complaints go on to standard error, and tell about rights. */
static bool
ctl_watch(int fd)
{
	struct buf seen;
	char	  *room;
	ssize_t	   n = 1;
	bool	   denied;

	buf_init(&seen, CTL_OUTPUT_MAX);
	while (n != 0) {
		room = buf_room(&seen, 4096);
		if (room == NULL)
			break;
		n = read(fd, room, 4096);
		if (n < 0 && errno != EINTR)
			break;
		if (n > 0) {
			fwrite(room, 1, (size_t)n, stderr);
			buf_commit(&seen, (size_t)n);
		}
	}
	denied = bytes_find_nocase(buf_bytes(&seen),
		     BYTES("permission denied")) >= 0;
	buf_wipe(&seen);
	return denied;
}

static int
sendmail_queue(void)
{
	int   fds[2], status = -1;
	bool  denied;
	pid_t pid;

	if (pipe(fds) != 0 || (pid = fork()) < 0)
		return sendmail_fail(EX_OSERR, strerror(errno));
	if (pid == 0) {
		signal(SIGPIPE, SIG_DFL);
		dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		close(fds[1]);
		ctl_exec();
	}
	close(fds[1]);
	denied = ctl_watch(fds[0]);
	close(fds[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	if (status == -1 || !WIFEXITED(status))
		return EX_SOFTWARE;
	switch (WEXITSTATUS(status)) {
	case 0:
		return 0;
	case 1:
		return denied ? EX_NOPERM : EX_SOFTWARE;
	case 2:
		return EX_USAGE;
	case 3:
		return EX_TEMPFAIL;
	default:
		return EX_OSERR;
	}
}

/* -- the program ----------------------------------------------------------- */

/* The configuration is read by the modes that connect. */
static int
sendmail_connected(const struct sendmail_options *o)
{
	struct sendmail_conf conf;
	struct buf	     errors;
	struct bytes	     line;
	size_t		     at = 0;
	ptrdiff_t	     lf;
	int		     status = EX_CONFIG;

	buf_init(&errors, CTL_OUTPUT_MAX);
	if (sendmail_conf_load(o->conf_path == NULL ? SENDMAIL_CONF_PATH
						    : o->conf_path,
		o->conf_path != NULL, &conf, &errors))
		status = o->mode == SENDMAIL_DIALOGUE
		    ? sendmail_dialogue(o, &conf) : sendmail_submit(o, &conf);
	while ((lf = bytes_find(buf_bytes(&errors), at, '\n')) >= 0) {
		line = bytes_from(bytes_head(buf_bytes(&errors), (size_t)lf),
		    at);
		fprintf(stderr, "sendmail: %.*s\n", (int)line.n, line.p);
		at = (size_t)lf + 1;
	}
	sendmail_conf_wipe(&conf);
	buf_wipe(&errors);
	return status;
}

int
main(int argc, char **argv)
{
	struct sendmail_options o;
	struct err		e;
	int			status;

	signal(SIGPIPE, SIG_IGN);
	if (sendmail_options_parse(argc, argv, &o, &e) != 0) {
		status = sendmail_fail(EX_USAGE, e.text);
	} else {
		switch (o.mode) {
		case SENDMAIL_NOTHING:
			status = 0;
			break;
		case SENDMAIL_VERIFY:
			status = sendmail_verify(&o);
			break;
		case SENDMAIL_QUEUE:
			status = sendmail_queue();
			break;
		default:
			status = sendmail_connected(&o);
			break;
		}
	}
	sendmail_options_wipe(&o);
	return status;
}
