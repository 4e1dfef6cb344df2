/* SPDX-License-Identifier: ISC */
/*
 * doctor: what the daemon knows by itself: certificates, listeners, room on
 * the disk, contact, clock.  What is looked at is judged by functions that look
 * at nothing.
 */
#include <string.h>
#include <sys/timex.h>

#include "daemon/control_doctor.h"
#include "net/tls.h"

enum { CERTIFICATE_DAYS = 14, DAY_MS = 86400000, CLOCK_US = 60000000 };

/* -- certificates and listeners -------------------------------------------- */

void
doctor_judge_certificate(struct request *q, const struct conf_listener *l,
    struct wall end)
{
	int64_t	    left = (end.ms - q->now.ms) / DAY_MS;
	const char *file = l->cert != NULL ? l->cert : "FILE";
	char	    day[CLOCK_TEXT_MAX];
	json_t	   *c;

	wall_iso_seconds(end, day);
	if (end.ms <= q->now.ms)
		c = doctor_add(q, "CERTIFICATE", FINDING_FAIL,
		    "listener %s: the certificate ended at %s", l->name, day);
	else
		c = doctor_add(q, "CERTIFICATE", left < CERTIFICATE_DAYS ?
			FINDING_WARN : FINDING_PASS,
		    "listener %s: valid until %s", l->name, day);
	if (end.ms > q->now.ms && left >= CERTIFICATE_DAYS)
		return;
	remedy_note(c, "renew %s first: it is read at reload", file);
	remedy_run(c, "posthornctl reload");
}

/* It has none (l->cert NULL: none is named), or one for other names. */
void
doctor_judge_certificate_name(struct request *q,
    const struct conf_listener *l, bool is_there)
{
	const char *own = q->conf->tls.cert;
	bool	    shared = l->cert == NULL ||
	    (own != NULL && strcmp(own, l->cert) == 0);
	char	    word[REMEDY_WORD_SIZE];
	json_t	   *c;

	if (is_there)
		c = doctor_add(q, "CERTIFICATE_NAME", FINDING_FAIL,
		    "listener %s: the certificate does not cover %s",
		    l->name, q->conf->server.name);
	else
		c = doctor_add(q, "CERTIFICATE", FINDING_FAIL,
		    "listener %s has no certificate", l->name);
	if (is_there && l->cert != NULL)
		remedy_note(c, "FILE: one for %s; openssl x509 -in %s "
		    "-noout -ext subjectAltName shows the names of this one",
		    q->conf->server.name, remedy_word(l->cert, word));
	else
		remedy_note(c, "FILE: one for %s, with its chain; its key "
		    "is named by tls.key", q->conf->server.name);
	if (shared) {
		remedy_set(c, "tls.cert FILE");
		remedy_then(c, "posthornctl reload");
	} else {
		remedy_set(c, "listener.%s.cert FILE", l->name);
		remedy_then(c, "systemctl restart posthorn");
	}
}

static void
doctor_certificate(struct request *q, size_t i)
{
	const struct conf_listener *l = &q->conf->listeners[i];
	const struct desk_tls	   *all = q->relay->tls;
	const struct tls_server	   *t;

	if (!l->enabled || l->tls == CONF_TLS_CLEAR)
		return;
	t = i < all->count ? all->v[i] : NULL;
	if (t == NULL) {
		doctor_judge_certificate_name(q, l, false);
		return;
	}
	doctor_judge_certificate(q, l, tls_server_not_after(t));
	if (!tls_server_covers(t, q->conf->server.name))
		doctor_judge_certificate_name(q, l, true);
}

void
doctor_judge_listeners(struct request *q)
{
	const struct conf *conf = q->conf;
	size_t		   i;
	unsigned	   open = 0;
	json_t		  *c;

	for (i = 0; i < conf->listener_count; i++)
		open += conf->listeners[i].enabled &&
		    (conf->listeners[i].roles & CONF_ROLE_SUBMISSION) != 0;
	c = doctor_add(q, "LISTENERS", open > 0 ? FINDING_PASS : FINDING_FAIL,
	    "%u listeners take mail in", open);
	if (open > 0)
		return;
	remedy_set(c, "listener.submission.enabled yes");
	remedy_then(c, "systemctl restart posthorn");
}

/* -- stores, contact, clock ------------------------------------------------ */

void
doctor_judge_disk(struct request *q, const struct spool_figures *f)
{
	uint64_t least = q->conf->spool.min_free_bytes;
	char	 word[REMEDY_WORD_SIZE];
	json_t	*c;

	c = doctor_add(q, "DISK", f->disk_free_bytes < least ? FINDING_FAIL :
		f->disk_free_bytes / 2 < least ? FINDING_WARN : FINDING_PASS,
	    "%llu MB free on the disk, mail is refused below %llu MB",
	    (unsigned long long)(f->disk_free_bytes >> 20),
	    (unsigned long long)(least >> 20));
	if (f->disk_free_bytes / 2 < least) {
		remedy_note(c, "free room there, or give %s a larger disk; "
		    "the limit is spool.min_free", q->conf->store.dir);
		remedy_run(c, "df -h %s", remedy_word(q->conf->store.dir,
		    word));
	}
	if (f->map_bytes <= f->used_bytes)
		return;
	c = doctor_add(q, "MAP", f->map_bytes - f->used_bytes < least ?
		FINDING_FAIL : FINDING_PASS, "%llu MB free in the spool",
	    (unsigned long long)((f->map_bytes - f->used_bytes) >> 20));
	if (f->map_bytes - f->used_bytes < least) {
		remedy_set(c, "store.map_size %llug",
		    (unsigned long long)((f->map_bytes >> 29) + 1));
		remedy_then(c, "systemctl restart posthorn");
	}
}

static void
doctor_disk(struct request *q)
{
	struct spool_figures f;
	struct err	     e;
	char		     word[REMEDY_WORD_SIZE];
	json_t		    *c;

	if (spool_figures(q->relay->spool, &f, &e) == 0) {
		doctor_judge_disk(q, &f);
		return;
	}
	c = doctor_add(q, "DISK", FINDING_UNKNOWN, "%s", e.text);
	remedy_run(c, "df -h %s", remedy_word(q->conf->store.dir, word));
}

/* RFC 5321 4.5.1: postmaster@ the server's name reaches somebody. */
void
doctor_judge_postmaster(struct request *q)
{
	const struct conf *conf = q->conf;
	size_t		   i;
	unsigned	   open = 0;
	json_t		  *c;

	for (i = 0; i < conf->listener_count; i++)
		open += conf->listeners[i].enabled &&
		    (conf->listeners[i].roles & CONF_ROLE_INTAKE) != 0;
	if (conf->intake.postmaster == NULL) {
		c = doctor_add(q, "POSTMASTER", FINDING_WARN,
		    "intake.postmaster is not set: mail to postmaster@%s, and "
		    "notices of accounts without contact, reach nobody",
		    conf->server.name);
		remedy_note(c, "ADDRESS: a mailbox that somebody reads");
		remedy_set(c, "intake.postmaster ADDRESS");
		remedy_then(c, "posthornctl reload");
	} else if (open == 0) {
		c = doctor_add(q, "POSTMASTER", FINDING_WARN,
		    "no listener has the role intake: postmaster@%s cannot be "
		    "written to", conf->server.name);
		remedy_set_intake(c, conf);
	} else
		doctor_add(q, "POSTMASTER", FINDING_PASS, "notices go to %s",
		    conf->intake.postmaster);
}

/* state: what adjtimex() says, does the kernel know of a source that keeps its
 * clock right? */
void
doctor_judge_clock(struct request *q, int state, int64_t error_us)
{
	json_t *c;

	if (state < 0) {
		c = doctor_add(q, "CLOCK", FINDING_UNKNOWN,
		    "the state of the clock cannot be read");
		remedy_run(c, "timedatectl status");
	} else if (state == TIME_ERROR || error_us > CLOCK_US) {
		c = state == TIME_ERROR ?
		    doctor_add(q, "CLOCK", FINDING_WARN,
			"the clock is not kept right by NTP") :
		    doctor_add(q, "CLOCK", FINDING_FAIL,
			"the clock may be %.1f s wrong",
			(double)error_us / 1e6);
		remedy_run(c, "timedatectl set-ntp true");
	} else
		doctor_add(q, "CLOCK", FINDING_PASS,
		    "the clock is at most %.1f s wrong",
		    (double)error_us / 1e6);
}

static void
doctor_clock(struct request *q)
{
	struct timex t;
	int	     state;

	memset(&t, 0, sizeof(t));
	state = adjtimex(&t);
	doctor_judge_clock(q, state, t.maxerror);
}

void
doctor_look_at_host(struct request *q)
{
	size_t i;

	for (i = 0; i < q->conf->listener_count; i++)
		doctor_certificate(q, i);
	doctor_judge_listeners(q);
	doctor_disk(q);
	doctor_judge_postmaster(q);
	doctor_clock(q);
}
