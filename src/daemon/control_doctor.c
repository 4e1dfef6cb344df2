/* SPDX-License-Identifier: ISC */
/*
 * doctor: the findings, the source addresses, the order of all.  Files and
 * their modes are looked at by posthornctl, which judges the whole.
 */
#include "daemon/control_doctor.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* -- findings -------------------------------------------------------------- */

static json_t *
doctor_text(const char *fmt, va_list ap)
    __attribute__((format(printf, 1, 0)));
static json_t *
doctor_text(const char *fmt, va_list ap)
{
	char text[2048];

	vsnprintf(text, sizeof(text), fmt, ap);
	return json_of_bytes(bytes_of(text));
}

json_t *
doctor_add(struct request *q, const char *id, enum finding f,
    const char *fmt, ...)
{
	static const char *const results[] = { "PASS", "WARN", "FAIL",
		"UNKNOWN" };
	json_t *c;
	va_list ap;

	va_start(ap, fmt);
	c = json_pack("{s:s, s:s, s:s, s:o}", "Id", id, "Result", results[f],
	    "Impact", f == FINDING_FAIL ? "HIGH" : "LOW", "Description",
	    doctor_text(fmt, ap));
	va_end(ap);
	json_array_append_new(json_object_get(q->result, "Checks"), c);
	return c;
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
	struct doctor *d = q->state;

	d->spf_rows = control_spf_rows(q, t);
	if (d->spf_rows == NULL)
		return -1;
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
	json_decref(d->spf_rows);
	for (i = 0; i < d->count; i++)
		dns_answer_unref(d->questions[i].answer);
	mem_free(d->questions);
}

void
doctor_end(struct doctor *d)
{
	doctor_judge(d);
	request_end(d->q);
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
	doctor_look_at_host(q);
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
