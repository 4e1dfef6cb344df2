/* SPDX-License-Identifier: ISC */
/*
 * Reload:
 *
 *	loaded anew --> asked of the relay --> in force, and told to keys
 *	     |                  |
 *	     +-- errors         +-- errors: the old one stays
 *
 * The relay is asked because only it reads certificates.  A relay that ends
 * meanwhile is started with what is in force and then asked again.
 */
#include "daemon/master_private.h"

#include <signal.h>
#include <string.h>

#include "base/log.h"

void
settings_wipe(struct settings *s)
{
	conf_unref(s->conf);
	kept_free(s->kept);
	memset(s, 0, sizeof(*s));
}

static void
reload_answer(struct master *m, uint32_t request, struct bytes text)
{
	struct child *relay = &m->children[CHILD_RELAY];

	if (request != 0 && relay->channel != NULL)
		child_send(relay->channel, CHILD_RELOAD_RESULT, request, text,
		    -1);
}

static void
reload_refuse(struct master *m, uint32_t request, struct buf *text)
{
	char quoted[LOG_QUOTE_SIZE];

	log_error("reload-refused", "errors=%s",
	    log_quote(bytes_trim(buf_bytes(text)), quoted));
	buf_add_text(text, "error\n");
	reload_answer(m, request, buf_bytes(text));
}

static void
reload_send(struct master *m, struct child *c,
    const struct settings *s, uint32_t number)
{
	master_send_files(m, c, s);
	child_send(c->channel, CHILD_RELOAD, number, BYTES(""), -1);
}

/* It keeps nothing: the next one begins with what is in force now. */
static void
reload_verifier(struct child *c)
{
	if (c->pid == 0)
		return;
	c->is_replaced = true;
	kill(c->pid, SIGTERM);
}

static void
reload_end(struct master *m)
{
	struct reload *r = &m->reload;

	settings_wipe(&r->fresh);
	buf_wipe(&r->text);
	r->is_open = false;
	process_notify("READY=1");
	if (r->again) {
		r->again = false;
		master_reload(m, 0);
	}
}

static void
reload_accept(struct master *m)
{
	struct child *keys = &m->children[CHILD_KEYS];
	struct reload *r = &m->reload;
	struct err    e;

	settings_wipe(&m->now);
	m->now = r->fresh;
	memset(&r->fresh, 0, sizeof(r->fresh));
	if (master_open_log(m, &e) != 0)
		log_error("log-failed", "reason=\"%s\"", e.text);
	if (keys->channel != NULL)
		reload_send(m, keys, &m->now, 0);
	reload_verifier(&m->children[CHILD_VERIFIER]);
	master_watch_retune(m);
	buf_add_text(&r->text, "ok\n");
	reload_answer(m, r->request, buf_bytes(&r->text));
	reload_end(m);
}

void
master_ask_reload(struct master *m)
{
	struct child *relay = &m->children[CHILD_RELAY];

	if (m->reload.is_open && relay->channel != NULL)
		reload_send(m, relay, &m->reload.fresh,
		    ++m->reload.number);
}

void
master_on_reload_result(struct master *m, uint32_t number, struct bytes text)
{
	struct reload *r = &m->reload;

	if (!r->is_open || number != r->number)
		return;
	if (text.n == 0) {
		reload_accept(m);
		return;
	}
	buf_add_bytes(&r->text, text);
	buf_add_char(&r->text, '\n');
	reload_refuse(m, r->request, &r->text);
	reload_end(m);
}

static void
reload_open(struct master *m, uint32_t request, struct settings *fresh)
{
	struct reload *r = &m->reload;
	struct buf     restart;

	buf_init(&restart, 4096);
	if (conf_needs_restart(m->now.conf, fresh->conf, &restart)) {
		log_warn("reload-incomplete", "restart-needed-for=\"%.*s\"",
		    (int)restart.n, restart.p);
		buf_printf(&r->text, "restart needed for: %.*s\n",
		    (int)restart.n, restart.p);
	}
	buf_wipe(&restart);
	conf_keep(fresh->conf, m->now.conf);
	r->is_open = true;
	r->request = request;
	r->fresh = *fresh;
	master_ask_reload(m);
}

void
master_reload(struct master *m, uint32_t request)
{
	struct reload  *r = &m->reload;
	struct settings fresh;
	struct buf	busy;

	if (r->is_open && request != 0) {
		buf_init(&busy, 256);
		buf_add_text(&busy, "another reload is under way\n");
		reload_refuse(m, request, &busy);
		buf_wipe(&busy);
	}
	if (r->is_open) {
		r->again = r->again || request == 0;
		return;
	}
	buf_init(&r->text, 32768);
	master_look_sockets(m);
	process_notify("RELOADING=1");
	fresh.kept = kept_new();
	fresh.conf = master_load(m->options->conf_path, fresh.kept, &r->text);
	if (fresh.conf != NULL) {
		reload_open(m, request, &fresh);
		return;
	}
	reload_refuse(m, request, &r->text);
	kept_free(fresh.kept);
	buf_wipe(&r->text);
	process_notify("READY=1");
}
