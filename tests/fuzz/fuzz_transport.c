/* SPDX-License-Identifier: ISC */
/*
 * The SMTP client and a receiver that says anything: the first two octets
 * choose what is demanded and offered, then each octet is a turn: words of
 * the receiver (so many octets follow), usual words, an attempt, time, the end
 * of the connection.  Whatever is said, an attempt ends once, in bounded time,
 * with a result for each envelope; "delivered" only if all was sent.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "transport_bed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { WORDS_MAX = 160, LONG_MS = 4 * 3600 * 1000 };

static const char *const usual[] = { "220 hi\r\n", "250 ok\r\n",
	"250-hi\r\n250-PIPELINING\r\n250 SIZE\r\n",
	"250-hi\r\n250-CHUNKING\r\n250 PIPELINING\r\n",
	"250-hi\r\n250-8BITMIME\r\n250-LIMITS RCPTMAX=1\r\n250 STARTTLS\r\n",
	"354 go\r\n", "250 2.6.0 kept\r\n", "450 4.2.0 later\r\n",
	"452 4.5.3 too many\r\n", "550 5.1.1 gone\r\n", "421 bye\r\n",
	"500 what\r\n", "250-", "\n", "\r\n" };
static bool paused; /* once, in this run */
enum { USUAL = sizeof(usual) / sizeof(usual[0]) };

static void
check_attempt(const struct transport_bed *b)
{
	const struct result *r;
	unsigned	     i;

	must(b->done == 1);
	for (i = 0; i < b->a->count; i++) {
		r = &b->a->envelopes[i].result;
		must(r->kind != RESULT_NONE);
		if (r->kind != RESULT_REPLY || r->code >= 400)
			continue;
		must(r->code / 100 == 2 && r->stage == CLASSIFY_DOT);
		/* who does not read cannot know what was sent */
		must(paused ||
		    bytes_find_nocase(buf_bytes(&b->said),
			BYTES("\r\n.\r\n")) >= 0 ||
		    bytes_find_nocase(buf_bytes(&b->said), BYTES(" LAST")) >=
			0);
	}
}

static void
maybe_deliver(struct transport_bed *b, unsigned recipients)
{
	unsigned before = b->ready;

	if (b->t == NULL || b->ready == 0 || b->gone > 0)
		return;
	if (b->a != NULL && b->done == 0)
		return; /* under way */
	b->ready = 0;
	bed_deliver(b, recipients, before % 2 == 0);
}

static size_t
turn(struct transport_bed *b, const uint8_t *data, size_t size)
{
	unsigned op = data[0];
	size_t	 n;

	if (op < WORDS_MAX) {
		n = op + 1 < size ? op + 1 : size - 1;
		bed_say(b, (struct bytes){ (const char *)data + 1, n });
		return n + 1;
	}
	op -= WORDS_MAX;
	if (op < USUAL)
		bed_say(b, bytes_of(usual[op]));
	else if (op < USUAL + 6)
		maybe_deliver(b, 1 + (op - USUAL) % BED_RECIPIENTS_MAX);
	else if (op < USUAL + 10)
		must(fake_threads_advance((op - USUAL - 5) * 61000));
	else if (b->link != NULL && op < USUAL + 12) {
		fake_link_pause(b->link, op % 2 == 0);
		paused = true;
	}
	if (b->link != NULL && op >= USUAL + 12 && op < USUAL + 14)
		(op % 2 == 0 ? fake_link_close : fake_link_reset)(b->link);
	must(fake_threads_settle());
	return 1;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char	     big[300 * 1024];
	struct transport_bed b;
	size_t		     i;

	if (size < 2 || size > 4096)
		return 0;
	paused = false;
	bed_open(&b);
	b.setup.demand = (enum tls_demand)(data[0] & 3);
	b.setup.use_bdat = (data[0] & 4) != 0;
	b.setup.bounce_8bit = (data[0] & 8) != 0;
	b.setup.no_starttls = (data[0] & 16) != 0;
	b.tls_version = (data[1] & 1) != 0 ? "TLSv1.3" : NULL;
	b.tls_trusted = (data[1] & 2) != 0;
	if ((data[1] & 4) != 0) {
		memset(big, '.', sizeof(big));
		bed_content = (struct bytes){ big, sizeof(big) };
	}
	bed_connect(&b);
	for (i = 2; i < size;)
		i += turn(&b, data + i, size - i);
	must(fake_threads_advance(LONG_MS));
	must(b.gone <= 1 && (b.t != NULL) == (b.gone == 0));
	if (b.a != NULL)
		check_attempt(&b);
	else if (b.t != NULL)
		must(b.ready == 1);
	bed_close(&b);
	return 0;
}
