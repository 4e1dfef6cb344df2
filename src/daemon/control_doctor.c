/* SPDX-License-Identifier: ISC */
/*
 * doctor: the part of the installation's check that the daemon can answer:
 * name servers, certificates, listeners, room on the disk, contact, clock.
 * Files and their modes are looked at by posthornctl itself.
 */
#include <stdio.h>
#include <string.h>
#include <sys/timex.h>

#include "daemon/control_private.h"
#include "net/tls.h"

enum { CERTIFICATE_DAYS = 14, DAY_MS = 86400000 };

enum finding { FINDING_PASS, FINDING_WARN, FINDING_FAIL, FINDING_UNKNOWN };

struct doctor {
	struct request *q;
	char		name[256]; /* that is asked for */
	enum dns_status status;
	bool		is_asked;
};

static void
doctor_add(struct request *q, const char *id, enum finding f,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
static void
doctor_add(struct request *q, const char *id, enum finding f,
    const char *fmt, ...)
{
	static const char *const results[] = { "PASS", "WARN", "FAIL",
		"UNKNOWN" };
	char	text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_array_append_new(json_object_get(q->result, "Checks"), json_pack(
	    "{s:s, s:s, s:s, s:o}", "Id", id, "Result", results[f], "Impact",
	    f == FINDING_FAIL ? "HIGH" : "LOW", "Description",
	    json_of_bytes(bytes_of(text))));
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

static void
doctor_postmaster(struct request *q)
{
	if (q->conf->intake.postmaster == NULL)
		doctor_add(q, "POSTMASTER", FINDING_WARN,
		    "intake.postmaster is not set: notices of accounts "
		    "without contact reach nobody");
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

/* -- name servers ---------------------------------------------------------- */

static void
doctor_finish(struct request *q)
{
	static const int statuses[] = { [FINDING_PASS] = 0,
		[FINDING_WARN] = 1, [FINDING_FAIL] = 2,
		[FINDING_UNKNOWN] = 3 };
	struct doctor *d = q->state;
	json_t	      *v;
	const char    *text;
	int	       worst = 0, s;
	size_t	       i;

	if (!d->is_asked)
		doctor_add(q, "DNS", FINDING_UNKNOWN,
		    "the resolver is too busy");
	else
		doctor_add(q, "DNS", d->status >= DNS_SERVFAIL ? FINDING_FAIL
							       : FINDING_PASS,
		    "%s MX: %s", d->name, dns_status_to_text(d->status));
	json_array_foreach(json_object_get(q->result, "Checks"), i, v) {
		text = json_string_value(json_object_get(v, "Result"));
		s = statuses[strcmp(text, "PASS") == 0 ? FINDING_PASS :
		    strcmp(text, "WARN") == 0 ? FINDING_WARN :
		    strcmp(text, "FAIL") == 0 ? FINDING_FAIL
					      : FINDING_UNKNOWN];
		if (s == 2 || worst == 2)
			worst = 2;
		else
			worst = s > worst ? s : worst;
	}
	q->status = worst;
	request_set(q, "Result", json_string(worst == 0 ? "PASS" :
		worst == 1 ? "WARN" : worst == 2 ? "FAIL" : "UNKNOWN"));
	request_end(q);
}

static void
doctor_on_main(void *request, void *unused)
{
	(void)unused;
	doctor_finish(request);
}

/* The resolver's loop: nothing but the doctor itself is touched here. */
static void
doctor_on_answer(void *request, const struct dns_answer *a)
{
	struct request *q = request;
	struct doctor  *d = q->state;

	d->status = a->status;
	d->is_asked = true;
	loop_post_reserved(q->relay->main, doctor_on_main, q, NULL);
}

static void
doctor_on_delivery(void *request, void *unused)
{
	struct request *q = request;
	struct doctor  *d = q->state;

	(void)unused;
	if (resolver_ask_fresh(q->relay->resolver, RESOLVER_MX, d->name,
		doctor_on_answer, q) == 0)
		loop_post_reserved(q->relay->main, doctor_on_main, q, NULL);
}

static void
doctor_run(struct request *q)
{
	struct doctor *d = request_state(q, sizeof(*d), NULL);

	d->q = q;
	snprintf(d->name, sizeof(d->name), "%s",
	    q->conf->doctor.probe_host != NULL ? q->conf->doctor.probe_host
					       : q->conf->server.domain);
	request_set(q, "CheckedAt", json_of_wall(q->now));
	request_set(q, "Checks", json_array());
	doctor_add(q, "CONFIGURATION", FINDING_PASS, "loaded, %zu listeners",
	    q->conf->listener_count);
	doctor_listeners(q);
	doctor_disk(q);
	doctor_postmaster(q);
	doctor_clock(q);
	if (!loop_reserve(q->relay->main)) {
		doctor_finish(q);
		return;
	}
	if (!loop_post(q->relay->delivery, doctor_on_delivery, q, NULL)) {
		loop_unreserve(q->relay->main);
		doctor_finish(q);
	}
}

const struct command control_doctor_commands[] = {
	{ "doctor", NEED_OPERATOR, SCOPE_NONE, NULL, NULL, doctor_run },
	{ NULL, NEED_ANY, SCOPE_ANY, NULL, NULL, NULL }
};
