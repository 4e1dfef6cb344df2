/* SPDX-License-Identifier: ISC */
/*
 * The beginning of the keys process: settings, the master key, privileges;
 * and what the master says later: new peers, reload, stop.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "daemon/child.h"
#include "daemon/keys.h"
#include "registry/conf.h"

enum { KEYS_PEERS_MAX = 256 };

struct keys_main {
	struct child_files *reload; /* being received */
};

static void
keys_reload(struct keys_main *x, struct keys *k)
{
	struct conf *c;
	struct err   e;
	int	     fd = -1;

	c = child_read_conf(x->reload, &e);
	if (c == NULL) {
		log_error("reload-refused", "reason=\"%s\"", e.text);
		return;
	}
	if (c->dkim.operator_key != NULL)
		fd = child_files_open(x->reload, c->dkim.operator_key);
	if (keys_set_operator(k, fd, c->dkim.operator_domain,
		c->dkim.operator_selector, &e) != 0)
		log_error("operator-key", "reason=\"%s\"", e.text);
	if (child_open_log(x->reload, c, &e) != 0)
		log_error("log-failed", "reason=\"%s\"", e.text);
	conf_unref(c);
}

static void
keys_on_master(void *arg, struct keys *k, const struct child_message *m,
    int fd)
{
	struct keys_main *x = arg;

	if (m->kind != CHILD_RELOAD) {
		child_news_add(&x->reload, m, fd);
		return;
	}
	if (x->reload != NULL)
		keys_reload(x, k);
	child_news_end(&x->reload);
}

/* The sandbox comes later, in keys_run(): OpenSSL has to read first. */
static int
keys_prepare(struct child_files *f, const struct conf *c, struct err *e)
{
	if (child_open_log(f, c, e) != 0)
		return -1;
	return child_drop(f, e);
}

static unsigned
keys_relay_uid(const struct child_files *f)
{
	const char *text = child_files_option(f, "relay-user");

	return text == NULL ? 0 : (unsigned)strtoul(text, NULL, 10);
}

int
keys_main(struct child_files *f, int channel_fd)
{
	struct keys_setup s;
	struct keys_main  x = { NULL };
	struct conf	 *c;
	struct err	  e;
	int		  peers[KEYS_PEERS_MAX], fd, status = 1;

	memset(&s, 0, sizeof(s));
	c = child_read_conf(f, &e);
	if (c == NULL || keys_prepare(f, c, &e) != 0) {
		log_error("start-failed", "reason=\"%s\"", e.text);
		goto out;
	}
	while (s.peer_count < KEYS_PEERS_MAX &&
	    (fd = child_files_take(f, CHILD_PEER_KEYS, NULL)) >= 0)
		peers[s.peer_count++] = fd;
	s.peers = peers;
	s.sandbox = c->server.sandbox;
	s.master_key_fd = c->store.master_key != NULL
	    ? child_files_open(f, c->store.master_key) : -1;
	s.operator_key_fd = c->dkim.operator_key != NULL
	    ? child_files_open(f, c->dkim.operator_key) : -1;
	s.operator_domain = c->dkim.operator_domain;
	s.operator_selector = c->dkim.operator_selector;
	s.relay_uid = keys_relay_uid(f);
	s.control_fd = channel_fd;
	s.on_control = keys_on_master;
	s.on_control_arg = &x;
	status = keys_run(&s);
out:
	child_news_end(&x.reload);
	conf_unref(c);
	return status;
}
