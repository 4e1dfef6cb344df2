/* SPDX-License-Identifier: ISC */
/*
 * AUTH over a session: who may come in is compared with a reading of the same
 * octets that was written for this test alone.  The first octet chooses the
 * mechanism, whether the first response comes with the command, and whether
 * the responses, divided by line feeds, are encoded here or sent as they are.
 */
#include "session_world.h"

enum { RESPONSES = 2, DECODED_MAX = 16384, MAX_LINE = 12288 };

enum auth_flags {
	AUTH_LOGIN = 1,	 /* else PLAIN */
	AUTH_INITIAL = 2,
	AUTH_ENCODES = 4, /* the input is what is behind the base64 */
	AUTH_RAW = 8,	  /* all of it stands behind "AUTH " */
	AUTH_LOWER = 16
};

/* One response: as it is sent, and what that means. */
struct response {
	struct buf text;
	char	   octets[DECODED_MAX];
	size_t	   n;
	bool	   is_good; /* base64 */
};

static int
sextet(char c)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c == '\0' ? NULL : strchr(letters, c);

	return at == NULL ? -1 : (int)(at - letters);
}

/* Groups of four; "=" only at the very end. */
static void
decode(struct response *r, struct bytes s)
{
	size_t i, k, pads = 0;
	int    v[4];

	r->n = 0;
	r->is_good = false;
	if (s.n % 4 != 0 || s.n / 4 * 3 > sizeof(r->octets))
		return;
	while (pads < 2 && pads < s.n && s.p[s.n - 1 - pads] == '=')
		pads++;
	for (i = 0; i < s.n; i += 4) {
		for (k = 0; k < 4; k++) {
			bool pad = i + k >= s.n - pads;

			v[k] = pad ? 0 : sextet(s.p[i + k]);
			if (v[k] < 0)
				return;
		}
		r->octets[r->n++] = (char)(v[0] << 2 | v[1] >> 4);
		r->octets[r->n++] = (char)(v[1] << 4 | v[2] >> 2);
		r->octets[r->n++] = (char)(v[2] << 6 | v[3]);
	}
	r->n -= pads;
	r->is_good = true;
}

static void
prepare(struct response *r, struct bytes in, unsigned flags)
{
	char text[DECODED_MAX];

	buf_init(&r->text, 65536);
	if ((flags & AUTH_ENCODES) != 0 && in.n < sizeof(text) / 4 * 3 - 3) {
		base64_encode(in.p, in.n, text);
		buf_add_text(&r->text, text);
	} else {
		buf_add_bytes(&r->text, in);
	}
	decode(r, buf_bytes(&r->text));
}

static bool
is_text(struct bytes b, const char *text)
{
	return b.n == strlen(text) && memcmp(b.p, text, b.n) == 0;
}

/* [authzid] NUL authcid NUL password */
static bool
plain_is_right(const struct response *r)
{
	struct bytes part[3] = { { NULL, 0 } };
	size_t	     i, n = 0, from = 0;

	if (!r->is_good)
		return false;
	for (i = 0; i <= r->n; i++) {
		if (i < r->n && r->octets[i] != '\0')
			continue;
		if (n == 3)
			return false;
		part[n++] = (struct bytes){ r->octets + from, i - from };
		from = i + 1;
	}
	return n == 3 && (part[0].n == 0 || is_text(part[0], SESSION_USER)) &&
	    is_text(part[1], SESSION_USER) && is_text(part[2],
		SESSION_PASSWORD);
}

static bool
login_is_right(const struct response *r)
{
	return r[0].is_good && r[1].is_good &&
	    is_text((struct bytes){ r[0].octets, r[0].n }, SESSION_USER) &&
	    is_text((struct bytes){ r[1].octets, r[1].n }, SESSION_PASSWORD);
}

/* The last reply. */
static unsigned
code_of(const struct talk *t)
{
	struct bytes said = buf_bytes(&t->said);
	size_t	     i = said.n - 1;

	must(said.n > 5);
	while (i > 0 && said.p[i - 1] != '\n')
		i--;
	return (unsigned)strtoul(said.p + i, NULL, 10);
}

static void
say(struct talk *t, struct bytes line)
{
	struct buf b;

	buf_init(&b, 65536);
	buf_add_bytes(&b, line);
	buf_add_text(&b, "\r\n");
	talk_write(t, buf_bytes(&b));
	buf_wipe(&b);
}

static void
exchange(struct talk *t, struct response *r, unsigned flags)
{
	struct buf line;
	size_t	   i = 0;
	bool	   initial = (flags & AUTH_INITIAL) != 0 && r[0].text.n > 0;

	buf_init(&line, 65536);
	buf_add_text(&line, flags & AUTH_LOWER ? "auth " : "AUTH ");
	buf_add_text(&line, flags & AUTH_LOGIN ? "LOGIN" : "plain");
	if (initial) {
		buf_add_text(&line, " ");
		buf_add_bytes(&line, buf_bytes(&r[i++].text));
	}
	say(t, buf_bytes(&line));
	buf_wipe(&line);
	while (i < RESPONSES && !t->has_ended && code_of(t) == 334)
		say(t, buf_bytes(&r[i++].text));
}

static bool
is_line(const struct response *r)
{
	struct bytes b = buf_bytes(&r->text);

	return bytes_find(b, 0, '\r') < 0 && bytes_find(b, 0, '\n') < 0 &&
	    bytes_find(b, 0, ' ') < 0 && bytes_find(b, 0, '\t') < 0 &&
	    b.n < MAX_LINE - 20 && b.n > 0;
}

static void
try_exchange(struct session_world *w, struct bytes in, unsigned flags)
{
	static struct response r[RESPONSES];
	struct talk	       t;
	ptrdiff_t	       lf = bytes_find(in, 0, '\n');
	bool		       plain = (flags & AUTH_LOGIN) == 0, right;

	prepare(&r[0], lf < 0 ? in : bytes_head(in, (size_t)lf), flags);
	prepare(&r[1], lf < 0 ? BYTES("") : bytes_from(in, (size_t)lf + 1),
	    flags);
	talk_open(&t, w, SESSION_PLAIN);
	say(&t, BYTES("EHLO x"));
	exchange(&t, r, flags);
	right = plain ? plain_is_right(&r[0]) : login_is_right(r);
	/* what holds a line end or blank is cut up by the protocol */
	if (is_line(&r[0]) && (plain || is_line(&r[1])))
		must(t.has_login == right);
	buf_wipe(&r[0].text);
	buf_wipe(&r[1].text);
	talk_close(&t, false);
}

static void
try_raw(struct session_world *w, struct bytes in)
{
	struct talk t;
	struct buf  line;

	buf_init(&line, 65536);
	buf_add_text(&line, "AUTH ");
	buf_add_bytes(&line, in);
	talk_open(&t, w, SESSION_PLAIN);
	say(&t, BYTES("EHLO x"));
	say(&t, buf_bytes(&line));
	buf_wipe(&line);
	talk_close(&t, false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct session_world *w = session_world();
	struct bytes	      in;

	if (size == 0)
		return 0;
	w->conf->auth.fail_delay_ms = 0;
	memset(&the_spool, 0, sizeof(the_spool));
	in = (struct bytes){ (const char *)data + 1, size - 1 };
	if (data[0] & AUTH_RAW)
		try_raw(w, in);
	else
		try_exchange(w, in, data[0]);
	return 0;
}
