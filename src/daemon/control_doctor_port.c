/* SPDX-License-Identifier: ISC */
/*
 * doctor: does anybody answer at port 25, or at that of the smart host?  One
 * connection for each source address, all at once.  It waits for the greeting
 * before it says QUIT: who talks first is taken for a spammer.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "daemon/control_doctor.h"
#include "net/stream.h"

enum { QUIT_MS = 2000 };

static void
port_done(struct doctor_source *s)
{
	struct doctor *d = s->doctor;

	s->stream = NULL;
	if (--d->connecting == 0)
		doctor_end(d);
}

static void
port_on_ready(void *source)
{
	struct doctor_source *s = source;

	s->is_connected = true;
}

static void
port_on_input(void *source)
{
	struct doctor_source *s = source;
	struct bytes	      in = stream_peek(s->stream);
	ptrdiff_t	      end = bytes_find(in, 0, '\n');

	if (end < 0 && in.n < sizeof(s->said))
		return;
	bytes_text(bytes_trim(bytes_head(in, end < 0 ? in.n : (size_t)end)),
	    s->said, sizeof(s->said));
	s->is_greeted = true;
	(void)stream_write(s->stream, BYTES("QUIT\r\n"));
	stream_finish(s->stream, QUIT_MS);
	port_done(s);
}

static void
port_on_end(void *source, enum stream_end why)
{
	struct doctor_source *s = source;
	const char	     *text = stream_error_text(s->stream);

	snprintf(s->said, sizeof(s->said), "%s", text[0] != '\0' ? text
		: stream_end_to_text(why));
	stream_close(s->stream);
	port_done(s);
}

static const struct stream_events port_events = { port_on_ready,
	port_on_input, NULL, port_on_end };

/* The first address of the family; false = there is none. */
static bool
port_target(const struct doctor *d, int family, struct conf_addr *out)
{
	const struct doctor_question *a;
	size_t			      from = 0;
	char			      text[64];

	if (d->smart_host != NULL && d->smart_host->is_address) {
		*out = d->smart_host->address;
		return out->family == family;
	}
	while ((a = doctor_next(d, DOCTOR_PROBE_HOST, &from)) != NULL)
		if (doctor_is_answered(a) && a->answer->count > 0 &&
		    a->answer->addresses[0].family == family)
			return conf_addr_parse(bytes_of(dns_address_text(
			    &a->answer->addresses[0], text)),
			    (uint16_t)d->probe_port, out);
	return false;
}

static void
port_open(struct doctor *d, struct doctor_source *s)
{
	struct conf_addr to, from;

	s->doctor = d;
	if (!port_target(d, s->family, &to))
		return;
	s->is_tried = true;
	s->stream = stream_connect(d->q->relay->main, &to.u.sa,
	    s->is_stored && conf_addr_parse(bytes_of(s->address), 0, &from)
		? &from.u.sa : NULL, &port_events, s);
	stream_deadline(s->stream, DOCTOR_PORT_MS);
	d->connecting++;
}

void
doctor_ports_open(struct doctor *d)
{
	size_t i;

	/* callbacks come later, never from inside the calls */
	if (d->is_probing)
		for (i = 0; i < d->source_count; i++)
			port_open(d, &d->sources[i]);
	if (d->connecting == 0)
		doctor_end(d);
}

void
doctor_ports_close(struct doctor *d)
{
	size_t i;

	for (i = 0; i < d->source_count; i++)
		stream_close(d->sources[i].stream);
}
