/* SPDX-License-Identifier: ISC */
/*
 * doctor: what the daemon knows by itself: certificates, listeners, room on
 * the disk, contact, clock; and the order of all.  Files and their modes are
 * looked at by posthornctl, which judges the whole.
 */
#include "daemon/control_doctor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timex.h>
#include <unistd.h>

#include "net/tls.h"

enum { CERTIFICATE_DAYS = 14, DAY_MS = 86400000 };

static json_t *
doctor_text(const char *fmt, va_list ap)
{
	char text[2048];

	vsnprintf(text, sizeof(text), fmt, ap);
	return json_of_bytes(bytes_of(text));
}

void
doctor_add(struct request *q, const char *id, enum finding f,
    const char *fmt, ...)
{
	static const char *const results[] = { "PASS", "WARN", "FAIL",
		"UNKNOWN" };
	va_list ap;

	va_start(ap, fmt);
	json_array_append_new(json_object_get(q->result, "Checks"), json_pack(
	    "{s:s, s:s, s:s, s:o}", "Id", id, "Result", results[f], "Impact",
	    f == FINDING_FAIL ? "HIGH" : "LOW", "Description",
	    doctor_text(fmt, ap)));
	va_end(ap);
}

void
doctor_hint(struct request *q, const char *fmt, ...)
{
	json_t *checks = json_object_get(q->result, "Checks");
	va_list ap;

	va_start(ap, fmt);
	json_object_set_new(json_array_get(checks,
	    json_array_size(checks) - 1), "Hint", doctor_text(fmt, ap));
	va_end(ap);
}

/* -- certificates and listeners -------------------------------------------- */

static void
doctor_certificate(struct request *q, size_t i)
{
	const struct conf_listener *l = &q->conf->listeners[i];
	struct tls_server	   *t;
	char			    day[CLOCK_TEXT_MAX];
	struct wall		    end;
	int64_t			    left;

	if (!l->enabled || l->tls == CONF_TLS_CLEAR)
		return;
	t = i < q->relay->tls->count ? q->relay->tls->v[i] : NULL;
	if (t == NULL) {
		doctor_add(q, "CERTIFICATE", FINDING_FAIL,
		    "listener %s has no certificate", l->name);
		return;
	}
	end = tls_server_not_after(t);
	left = (end.ms - q->now.ms) / DAY_MS;
	wall_iso_seconds(end, day);
	if (end.ms <= q->now.ms)
		doctor_add(q, "CERTIFICATE", FINDING_FAIL,
		    "listener %s: the certificate ended at %s", l->name, day);
	else
		doctor_add(q, "CERTIFICATE", left < CERTIFICATE_DAYS ?
			FINDING_WARN : FINDING_PASS,
		    "listener %s: valid until %s", l->name, day);
	if (!tls_server_covers(t, q->conf->server.name))
		doctor_add(q, "CERTIFICATE_NAME", FINDING_FAIL,
		    "listener %s: the certificate does not cover %s",
		    l->name, q->conf->server.name);
}

static void
doctor_listeners(struct request *q)
{
	size_t	 i;
	unsigned open = 0;

	for (i = 0; i < q->conf->listener_count; i++) {
		open += q->conf->listeners[i].enabled &&
		    (q->conf->listeners[i].roles & CONF_ROLE_SUBMISSION) != 0;
		doctor_certificate(q, i);
	}
	doctor_add(q, "LISTENERS", open > 0 ? FINDING_PASS : FINDING_FAIL,
	    "%u listeners take mail in", open);
}

/* -- stores, contact, clock ------------------------------------------------ */

static void
doctor_disk(struct request *q)
{
	struct spool_figures f;
	struct err	     e;
	uint64_t	     least = q->conf->spool.min_free_bytes;

	if (spool_figures(q->relay->spool, &f, &e) != 0) {
		doctor_add(q, "DISK", FINDING_UNKNOWN, "%s", e.text);
		return;
	}
	doctor_add(q, "DISK", f.disk_free_bytes < least ? FINDING_FAIL :
		f.disk_free_bytes / 2 < least ? FINDING_WARN : FINDING_PASS,
	    "%llu MB free on the disk, mail is refused below %llu MB",
	    (unsigned long long)(f.disk_free_bytes >> 20),
	    (unsigned long long)(least >> 20));
	if (f.map_bytes > f.used_bytes)
		doctor_add(q, "MAP", f.map_bytes - f.used_bytes < least ?
			FINDING_FAIL : FINDING_PASS,
		    "%llu MB free in the spool",
		    (unsigned long long)((f.map_bytes - f.used_bytes) >> 20));
}

/* RFC 5321 4.5.1: postmaster@ the server's name reaches somebody. */
static void
doctor_postmaster(struct request *q)
{
	const struct conf *c = q->conf;
	size_t		   i;
	unsigned	   open = 0;

	for (i = 0; i < c->listener_count; i++)
		open += c->listeners[i].enabled &&
		    (c->listeners[i].roles & CONF_ROLE_INTAKE) != 0;
	if (c->intake.postmaster == NULL) {
		doctor_add(q, "POSTMASTER", FINDING_WARN,
		    "intake.postmaster is not set: mail to postmaster@%s, and "
		    "notices of accounts without contact, reach nobody",
		    c->server.name);
		doctor_hint(q, "set intake.postmaster to a mailbox that "
		    "somebody reads");
	} else if (open == 0)
		doctor_add(q, "POSTMASTER", FINDING_WARN,
		    "no listener has the role intake: postmaster@%s cannot be "
		    "written to", c->server.name);
	else
		doctor_add(q, "POSTMASTER", FINDING_PASS, "notices go to %s",
		    q->conf->intake.postmaster);
}

/* Does the kernel know of a source that keeps its clock right? */
static void
doctor_clock(struct request *q)
{
	struct timex t;
	int	     state;

	memset(&t, 0, sizeof(t));
	state = adjtimex(&t);
	if (state < 0)
		doctor_add(q, "CLOCK", FINDING_UNKNOWN,
		    "the state of the clock cannot be read");
	else if (state == TIME_ERROR)
		doctor_add(q, "CLOCK", FINDING_WARN,
		    "the clock is not kept right by NTP");
	else
		doctor_add(q, "CLOCK", t.maxerror > 60000000 ? FINDING_FAIL
							     : FINDING_PASS,
		    "the clock is at most %.1f s wrong",
		    (double)t.maxerror / 1e6);
}

/* -- source addresses ------------------------------------------------------ */

static struct doctor_source *
doctor_source_new(struct doctor *d, const char *address, int family,
    const char *ehlo)
{
	struct doctor_source *s;

	if (d->source_count == DOCTOR_SOURCES_MAX) {
		d->sources_left_out++;
		return NULL;
	}
	s = &d->sources[d->source_count++];
	snprintf(s->address, sizeof(s->address), "%s", address);
	snprintf(s->ehlo, sizeof(s->ehlo), "%s",
	    ehlo[0] != '\0' ? ehlo : d->q->conf->server.name);
	s->family = family;
	return s;
}

static bool
doctor_on_source(void *arg, const struct source *stored)
{
	struct doctor	     *d = arg;
	struct doctor_source *s;

	if (!stored->enabled)
		return true;
	s = doctor_source_new(d, stored->address, stored->family,
	    stored->ehlo);
	if (s != NULL)
		s->is_stored = true;
	return true;
}

static int
doctor_read_sources(struct request *q, struct db_txn *t)
{
	return source_each(t, doctor_on_source, q->state, &q->err);
}

/* The address that the system would take. */
static void
doctor_ask_system(struct doctor *d, int family)
{
	char text[64];

	if (control_ip_of_system(family, text))
		(void)doctor_source_new(d, text, family, "");
}

/* -- the order ------------------------------------------------------------- */

static void
doctor_on_operator_key(void *request, const struct keys_answer *a)
{
	struct request *q = request;
	struct doctor  *d = q->state;

	if (a->result == KEYS_OK)
		base64_encode(a->public_key, a->public_n, d->operator_key);
	else
		snprintf(d->operator_said, sizeof(d->operator_said), "%s",
		    a->reason);
	doctor_begin(d);
}

static void
doctor_free(void *doctor)
{
	struct doctor *d = doctor;
	size_t	       i;

	doctor_ports_close(d);
	doctor_spf_free(d);
	for (i = 0; i < d->count; i++)
		dns_answer_unref(d->questions[i].answer);
	mem_free(d->questions);
}

static void
doctor_run(struct request *q)
{
	struct doctor *d = request_state(q, sizeof(*d), doctor_free);

	d->q = q;
	/* a name that no other route can have */
	d->smart_host = conf_route_find(q->conf, BYTES("doctor.invalid"));
	d->is_probing = !arg_is_true(q, "no-probe");
	request_set(q, "CheckedAt", json_of_wall(q->now));
	request_set(q, "Checks", json_array());
	if (request_look(q, doctor_read_sources) != 0) {
		request_end(q);
		return;
	}
	if (d->source_count == 0) {
		doctor_ask_system(d, AF_INET);
		doctor_ask_system(d, AF_INET6);
	}
	doctor_add(q, "CONFIGURATION", FINDING_PASS, "loaded, %zu listeners",
	    q->conf->listener_count);
	doctor_listeners(q);
	doctor_disk(q);
	doctor_postmaster(q);
	doctor_clock(q);
	if (q->conf->dkim.operator_key != NULL)
		(void)keys_client_operator(q->relay->keys,
		    doctor_on_operator_key, q);
	else
		doctor_begin(d);
}

const struct command control_doctor_commands[] = {
	{ "doctor", NEED_OPERATOR, SCOPE_NONE, NULL, NULL, doctor_run },
	{ NULL, NEED_ANY, SCOPE_ANY, NULL, NULL, NULL }
};
