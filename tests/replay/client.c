/* SPDX-License-Identifier: ISC */
#include "client.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "fake_stream.h"
#include "registry/conf.h"
#include "world.h"

enum { CLIENT_MAX = 256 * 1024 * 1024, VERP_VARIABLES = 4 };

struct client {
	struct client	 *next;
	struct play	 *play;
	char		 *name;
	struct fake_link *net; /* NULL after our close */
	struct buf	  in;
	bool		  ended; /* the daemon has closed */
	bool		  tls_answered, tls_ok;
	unsigned	  sent; /* messages of client_send() */
};

static const char client_key[] = "AKIAIOSFODNN7EXAMPLE";
/* credentials.md section 3: of the secret in setup.c and us-east-1 */
static const char client_password[] =
    "BLBM/9hSUELfq8Gw+rU1YcBjkOxGbhT2XG763xVLGWL9";

/* -- the net ------------------------------------------------------------------- */

static void
client_on_data(void *client, struct bytes data)
{
	struct client *c = client;

	must(buf_add_bytes(&c->in, data));
}

static void
client_on_tls(void *client, bool ok, const char *name, bool verify)
{
	struct client *c = client;

	(void)name;
	(void)verify;
	c->tls_answered = true;
	c->tls_ok = ok;
}

static void
client_on_end(void *client)
{
	((struct client *)client)->ended = true;
}

static const struct fake_peer_events client_events = { client_on_data,
	client_on_tls, client_on_end };

static struct client *
client_find(struct play *p, const char *name)
{
	struct client *c = p->clients;

	while (c != NULL && strcmp(c->name, name) != 0)
		c = c->next;
	return c;
}

static struct client *
client_new(struct play *p, const char *name)
{
	struct client *c = client_find(p, name);

	if (c == NULL) {
		c = mem_alloc(sizeof(*c));
		c->name = mem_dup(name);
		c->play = p;
		c->next = p->clients;
		p->clients = c;
	} else {
		buf_wipe(&c->in);
		if (c->net != NULL)
			fake_link_close(c->net);
	}
	buf_init(&c->in, CLIENT_MAX);
	c->net = NULL;
	c->ended = c->tls_answered = c->tls_ok = false;
	return c;
}

void
clients_close(struct play *p)
{
	struct client *c;

	while ((c = p->clients) != NULL) {
		p->clients = c->next;
		buf_wipe(&c->in);
		mem_free(c->name);
		mem_free(c);
	}
}

static void
client_who(struct play *p, const struct words *w, struct fake_client *out)
{
	const char	  *from = words_value(w, 3, "from");
	struct conf_addr   a;
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	if (out->to.ss_family == AF_UNIX) {
		memcpy(&out->from, &un, sizeof(un));
		out->cred.uid = out->cred.gid = 1000;
		if (words_value(w, 3, "uid") != NULL)
			out->cred.uid = (uint32_t)play_number(p,
			    words_value(w, 3, "uid"));
		if (words_value(w, 3, "gid") != NULL)
			out->cred.gid = (uint32_t)play_number(p,
			    words_value(w, 3, "gid"));
		return;
	}
	if (!conf_addr_parse(bytes_of(from != NULL ? from : "192.0.2.10"),
		40000, &a))
		play_fail(p, "bad address %s", from);
	memcpy(&out->from, &a.u, a.length);
}

void
client_connect(struct play *p, const struct words *w)
{
	const struct world_listener *l;
	const char		    *loop = words_value(w, 3, "loop");
	struct fake_client	     who;
	struct client		    *c;

	if (w->n < 3)
		play_fail(p, "connect NAME LISTENER");
	l = world_find_listener(p, w->v[2],
	    loop != NULL ? (unsigned)play_number(p, loop) : 0);
	c = client_new(p, w->v[1]);
	memset(&who, 0, sizeof(who));
	who.to = l->addr;
	client_who(p, w, &who);
	c->net = fake_link_dial(l->fd, &who, &client_events, c);
	if (c->net == NULL)
		c->ended = true;
	play_settle(p);
}

/* -- talking -------------------------------------------------------------------- */

static void
client_write(struct client *c, struct bytes b, const char *end)
{
	struct buf all;

	if (c->net == NULL)
		play_fail(c->play, "%s is not connected", c->name);
	play_note(c->play, c->name, b);
	buf_init(&all, CLIENT_MAX);
	must(buf_add_bytes(&all, b) && buf_add_text(&all, end));
	fake_link_write(c->net, buf_bytes(&all));
	buf_wipe(&all);
	play_settle(c->play);
}

static void
client_say(struct client *c, const char *line)
{
	client_write(c, bytes_of(line), "\r\n");
}

/* The next line, without its end; NULL = there is none. */
static char *
client_take_line(struct client *c)
{
	char  *line;
	size_t n;
	char  *lf = c->in.n == 0 ? NULL : memchr(c->in.p, '\n', c->in.n);

	if (lf == NULL)
		return NULL;
	n = (size_t)(lf - c->in.p);
	line = mem_dup_bytes((struct bytes){ c->in.p,
	    n > 0 && lf[-1] == '\r' ? n - 1 : n });
	if (n == 0 || lf[-1] != '\r')
		play_fail(c->play, "%s got a line without CR: %s", c->name,
		    line);
	buf_drop(&c->in, n + 1);
	play_note(c->play, c->name, bytes_of(line));
	return line;
}

static char *
client_must_take_line(struct client *c, const char *wanted)
{
	char *line = client_take_line(c);

	if (line == NULL)
		play_fail(c->play, "%s got %s, expected: %s", c->name,
		    c->ended ? "the end" : "nothing", wanted);
	return line;
}

static void
client_expect(struct client *c, const char *wanted)
{
	char *line = client_must_take_line(c, wanted);

	if (!text_matches(wanted, line))
		play_fail(c->play, "%s got: %s, expected: %s", c->name, line,
		    wanted);
	mem_free(line);
}

/* A whole reply; its last line matches. */
static void
client_expect_reply(struct client *c, const char *wanted)
{
	char *line = client_must_take_line(c, wanted);

	while (strlen(line) > 3 && line[3] == '-') {
		mem_free(line);
		line = client_must_take_line(c, wanted);
	}
	if (strncmp(line, wanted, strlen(wanted)) != 0 &&
	    !text_matches(wanted, line))
		play_fail(c->play, "%s got: %s, expected: %s", c->name, line,
		    wanted);
	mem_free(line);
}

static void
client_tls(struct client *c, const char *version)
{
	if (strcmp(version, "broken") == 0)
		fake_link_tls(c->net, NULL, "tlsv1 alert protocol version",
		    true);
	else
		fake_link_tls(c->net, version, "TLS_AES_256_GCM_SHA384", true);
	play_settle(c->play);
}

static void
client_handshake(struct client *c)
{
	client_tls(c, "TLSv1.3");
	if (!c->tls_ok)
		play_fail(c->play, "%s: no TLS", c->name);
}

/* -- what most plays begin with --------------------------------------------------- */

static void
client_auth(struct client *c, const char *key)
{
	char plain[200], line[400] = "AUTH PLAIN ";
	int  n = snprintf(plain, sizeof(plain), "%c%s%c%s", '\0', key, '\0',
	    client_password);

	base64_encode(plain, (size_t)n, line + strlen(line));
	client_say(c, line);
}

void
client_login(struct play *p, const struct words *w)
{
	const char	     *key = words_value(w, 3, "key");
	const char	     *reply = words_value(w, 3, "reply");
	enum conf_tls_mode    tls;
	struct client	     *c;

	client_connect(p, w);
	c = client_find(p, w->v[1]);
	tls = p->world->conf->listeners[world_find_listener(p, w->v[2], 0)
	    ->listener].tls;
	if (tls == CONF_TLS_WRAPPER)
		client_handshake(c);
	client_expect_reply(c, "220 ");
	if (tls == CONF_TLS_STARTTLS) {
		client_say(c, "EHLO client.example");
		client_expect_reply(c, "250 Ok");
		client_say(c, "STARTTLS");
		client_expect_reply(c, "220 Ready to start TLS");
		client_handshake(c);
	}
	client_say(c, "EHLO client.example");
	client_expect_reply(c, "250 Ok");
	client_auth(c, key != NULL ? key : client_key);
	client_expect(c, reply != NULL ? reply :
	    "235 Authentication successful");
}

static const char *
send_value(const struct words *w, const char *name, const char *otherwise)
{
	const char *v = words_value(w, 2, name);

	return v != NULL ? v : otherwise;
}

/* MAIL and RCPT; false = one of them got the reply that was wanted. */
static void
send_envelope(struct client *c, const struct words *w)
{
	char	    line[1200];
	const char *to = send_value(w, "to", "jane@sink.example"), *end;

	snprintf(line, sizeof(line), "MAIL FROM:<%.1000s>",
	    send_value(w, "from", "sender@example.com"));
	client_say(c, line);
	client_expect(c, "250 Ok");
	for (; *to != '\0'; to = *end == ',' ? end + 1 : end) {
		end = to + strcspn(to, ",");
		snprintf(line, sizeof(line), "RCPT TO:<%.*s>",
		    (int)(end - to), to);
		client_say(c, line);
		client_expect(c, "250 Ok");
	}
}

static void
send_content(struct client *c, const struct words *w)
{
	const char *text = words_value(w, 2, "text");
	const char *header = words_value(w, 2, "header");
	const char *size = words_value(w, 2, "size");
	struct buf *given, all;
	size_t	    wanted = 0;

	buf_init(&all, CLIENT_MAX);
	if (text != NULL) {
		given = table_get(c->play->texts, bytes_of(text));
		if (given == NULL)
			play_fail(c->play, "no text %s", text);
		buf_add_bytes(&all, buf_bytes(given));
	} else {
		buf_printf(&all, "From: %s\r\n",
		    send_value(w, "header-from",
			send_value(w, "from", "sender@example.com")));
		if (header != NULL)
			buf_printf(&all, "%s\r\n", header);
		buf_printf(&all, "Subject: %s\r\n\r\n%s\r\n",
		    send_value(w, "subject", "test"),
		    send_value(w, "body", "Hello."));
	}
	if (size != NULL)
		wanted = (size_t)play_number(c->play, size);
	while (all.n + 2 < wanted)
		buf_printf(&all, "%.*s\r\n",
		    (int)(wanted - all.n - 2 > 70 ? 70 : wanted - all.n - 2),
		    "0123456789012345678901234567890123456789"
		    "0123456789012345678901234567890123456789");
	buf_add_text(&all, ".\r\n");
	must(!all.failed);
	client_write(c, buf_bytes(&all), "");
	buf_wipe(&all);
}

/* ${NAME}, and with a recipient's number, as it stands in the return address:
 * ${NAME/1} ... */
static void
send_remember(struct play *p, const char *as, const char *id)
{
	char	 name[64], text[MSGID_TEXT + 1];
	unsigned n;

	play_set_var(p, as, id);
	if (strlen(id) != MSGID_TEXT)
		return;
	for (n = 0; n <= VERP_VARIABLES; n++) {
		snprintf(name, sizeof(name), "%.50s/%u", as, n);
		snprintf(text, sizeof(text), "%.*s%06u", MSGID_TEXT - 6, id,
		    n);
		play_set_var(p, name, text);
	}
}

void
client_send(struct play *p, const struct words *w)
{
	struct client *c = w->n > 1 ? client_find(p, w->v[1]) : NULL;
	const char    *reply = words_value(w, 2, "reply");
	const char    *as = words_value(w, 2, "as");
	char	      *line;

	if (c == NULL)
		play_fail(p, "send CLIENT ...");
	send_envelope(c, w);
	client_say(c, "DATA");
	line = client_must_take_line(c, "354");
	if (strncmp(line, "354 ", 4) == 0) {
		mem_free(line);
		send_content(c, w);
		line = client_must_take_line(c, "250 Ok");
	} else {
		client_say(c, "RSET");
		client_expect(c, "250 Ok");
	}
	if (!text_matches(reply != NULL ? reply : "/^250 Ok [0-9a-f-]{60}$/",
		line))
		play_fail(p, "%s got: %s, expected: %s", c->name, line,
		    reply != NULL ? reply : "250 Ok <id>");
	if (as != NULL && strncmp(line, "250 Ok ", 7) == 0)
		send_remember(p, as, line + 7);
	mem_free(line);
}

/* -- lines of a play ----------------------------------------------------------------- */

static void
client_expect_end(struct client *c)
{
	char show[200];

	if (c->in.n > 0)
		play_fail(c->play, "%s got: %s, expected the end", c->name,
		    text_show(buf_bytes(&c->in), show, sizeof(show)));
	if (!c->ended)
		play_fail(c->play, "%s is still connected", c->name);
}

static void
client_expect_quiet(struct client *c)
{
	char show[200];

	if (c->in.n > 0 || c->ended)
		play_fail(c->play, "%s got: %s, expected nothing", c->name,
		    c->in.n > 0 ? text_show(buf_bytes(&c->in), show,
				      sizeof(show)) : "the end");
}

static void
client_give_text(struct client *c, const char *name)
{
	struct buf *b = table_get(c->play->texts, bytes_of(name));

	if (b == NULL)
		play_fail(c->play, "no text %s", name);
	client_write(c, buf_bytes(b), "");
}

static void
client_leave(struct client *c, bool reset)
{
	if (c->net == NULL)
		return;
	if (reset)
		fake_link_reset(c->net);
	else
		fake_link_close(c->net);
	c->net = NULL;
	play_settle(c->play);
}

/* N octets of one letter, CRLF after each 70. */
static void
client_fill(struct client *c, size_t n)
{
	struct buf all;
	size_t	   i;

	buf_init(&all, CLIENT_MAX);
	for (i = 0; i < n; i++)
		buf_add_char(&all, i % 72 == 70 && i + 1 < n ? '\r' :
		    i % 72 == 71 ? '\n' : 'x');
	client_write(c, buf_bytes(&all), "");
	buf_wipe(&all);
}

static bool
client_verb(struct client *c, const struct words *w)
{
	const char *verb = w->n > 1 ? w->v[1] : "";
	const char *arg = w->n > 2 ? w->v[2] : "";

	if (strcmp(verb, "tls") == 0 && *arg == '\0')
		client_handshake(c);
	else if (strcmp(verb, "tls") == 0)
		client_tls(c, arg);
	else if (strcmp(verb, "auth") == 0)
		client_auth(c, *arg != '\0' ? arg : client_key);
	else if (strcmp(verb, "text") == 0)
		client_give_text(c, arg);
	else if (strcmp(verb, "fill") == 0)
		client_fill(c, (size_t)play_number(c->play, arg));
	else if (strcmp(verb, "close") == 0)
		client_leave(c, false);
	else if (strcmp(verb, "reset") == 0)
		client_leave(c, true);
	else if (strcmp(verb, "pause") == 0)
		fake_link_pause(c->net, true);
	else if (strcmp(verb, "resume") == 0)
		fake_link_pause(c->net, false);
	else if (strcmp(verb, "closed") == 0)
		client_expect_end(c);
	else if (strcmp(verb, "quiet") == 0)
		client_expect_quiet(c);
	else
		return false;
	return true;
}

/* c> line; c>> octets with escapes; c< line; c<< reply */
static void
client_dialogue(struct client *c, const char *way, const char *text)
{
	struct buf octets;

	if (way[0] == '<' && way[1] == '<') {
		client_expect_reply(c, text);
	} else if (way[0] == '<') {
		client_expect(c, text);
	} else if (way[1] == '>') {
		buf_init(&octets, CLIENT_MAX);
		text_unescape(text, &octets);
		client_write(c, buf_bytes(&octets), "");
		buf_wipe(&octets);
	} else {
		client_say(c, text);
	}
}

bool
client_line(struct play *p, const char *line)
{
	char	      name[64];
	size_t	      n = strcspn(line, "<> \t");
	struct client *c;
	struct words  w;
	const char   *text;
	bool	      done;

	if (n == 0 || n >= sizeof(name))
		return false;
	snprintf(name, sizeof(name), "%.*s", (int)n, line);
	c = client_find(p, name);
	if (c == NULL)
		return false;
	if (line[n] == '<' || line[n] == '>') {
		text = line + n + 1 + (line[n + 1] == line[n]);
		if (*text == ' ')
			text++;
		client_dialogue(c, line + n, text);
		return true;
	}
	if (!words_split(line, &w))
		play_fail(p, "a quote is not closed");
	done = client_verb(c, &w);
	words_wipe(&w);
	return done;
}
