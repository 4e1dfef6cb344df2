/* SPDX-License-Identifier: ISC */
/* Words for how a stream ended; the fake stream of the tests has them, too. */
#include "net/stream.h"

const char *
stream_end_to_text(enum stream_end e)
{
	switch (e) {
	case STREAM_EOF:
		return "eof";
	case STREAM_LOST:
		return "lost";
	case STREAM_TIMEOUT:
		return "timeout";
	case STREAM_STUCK:
		return "stuck";
	case STREAM_TLS_FAILED:
		return "tls-failed";
	case STREAM_SHORT:
		return "short";
	}
	return "unknown";
}
