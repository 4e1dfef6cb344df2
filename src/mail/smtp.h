/* SPDX-License-Identifier: ISC */
/*
 * smtp.h - the words of SMTP: command lines, replies, both directions.
 * Use:    server: smtp_command_parse(line, flags, &cmd);
 *                 if (cmd.syntax != COMMAND_OK) smtp_command_refuse(&cmd, &re);
 *                 reply_set(&re, 250, "2.0.0", "Ok"); reply_write(&re, on, &b);
 *         client: reply_reader_feed() until it says something else than
 *                 READER_MORE; then .code, .enhanced, reply_reader_text().
 * Owner:  a command is slices of its line; a reader owns its buffer
 *         (reply_reader_init/_wipe); a reply is a plain value.
 * Thread: any; pure.
 * Fails:  trouble of the peer is a value: command.syntax, READER_BROKEN.
 */
#ifndef MAIL_SMTP_H
#define MAIL_SMTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "mail/address.h"

/* -- server side: commands ------------------------------------------------ */

enum verb {
	VERB_UNKNOWN, /* 500; also any line with a NUL octet */
	VERB_EHLO,
	VERB_HELO,
	VERB_STARTTLS,
	VERB_AUTH,
	VERB_MAIL,
	VERB_RCPT,
	VERB_DATA,
	VERB_BDAT,
	VERB_RSET,
	VERB_NOOP,
	VERB_VRFY,
	VERB_HELP,
	VERB_QUIT,
	VERB_KNOWN, /* EXPN ETRN TURN ATRN SEND SOML SAML BURL: 502 */
	VERB_HTTP,  /* "GET " and its kind: 421 as the first line, else 500 */
	VERB_COUNT
};
const char *verb_to_text(enum verb v); /* "EHLO"; for log and table */

enum command_syntax {
	COMMAND_OK,
	COMMAND_BAD_PATH,    /* 553, MAIL and RCPT */
	COMMAND_BAD_PARAMS,  /* 501; after BDAT the connection is lost */
	COMMAND_UNSUPPORTED  /* 555, .unsupported */
};

enum command_body { BODY_7BIT, BODY_8BITMIME };

/* What a client wants to hear of its mail (RFC 3461 4). */
enum dsn_return { DSN_RETURN_NONE, DSN_RETURN_FULL, DSN_RETURN_HEADERS };
enum dsn_notify {
	DSN_NEVER = 1,
	DSN_SUCCESS = 2,
	DSN_FAILURE = 4,
	DSN_DELAY = 8
};
enum { DSN_ENVID_MAX = 100, DSN_ORCPT_MAX = 500 };
/* "SUCCESS,FAILURE"; out has room for DSN_NOTIFY_SIZE. */
enum { DSN_NOTIFY_SIZE = 32 };
char *dsn_notify_to_text(unsigned notify, char out[DSN_NOTIFY_SIZE]);
/* RFC 3461 4; false = it is none, or holds what may not stand in a field. */
bool smtp_xtext_decode(struct bytes xtext, struct buf *out);

/* Flags: those of address.h (LITERAL, SINGLE_LABEL) hold for both paths;
 * UNDERSCORE is implied for RCPT. */
struct command {
	enum verb	    verb;
	enum command_syntax syntax;
	struct bytes	    argument; /* behind the verb, trimmed */
	/* MAIL, RCPT */
	struct bytes	    path; /* as given, without its brackets */
	struct bytes	    mailbox; /* .path without source route */
	struct address	    address; /* empty when .null */
	bool		    null; /* MAIL FROM:<> */
	bool		    postmaster; /* RCPT TO:<postmaster>, no domain */
	/* MAIL parameters */
	bool		    has_size;
	uint64_t	    size; /* UINT64_MAX when it does not fit */
	enum command_body   body;
	bool		    has_auth; /* AUTH=, checked and ignored */
	/* RFC 3461; xtext as given, decoded by smtp_xtext_decode() */
	enum dsn_return	    ret;
	struct bytes	    envid; /* MAIL; "" = none */
	unsigned	    notify; /* RCPT; enum dsn_notify, or-ed; 0 = none */
	struct bytes	    orcpt; /* RCPT, with its type; "" = none */
	struct bytes	    unsupported; /* "SMTPUTF8", "BODY=BINARYMIME" */
	/* BDAT */
	uint64_t	    chunk;
	bool		    last;
	/* AUTH */
	struct bytes	    mechanism;
	struct bytes	    initial; /* "=" stands as given */
	bool		    has_initial;
};

/* line without its line end, any length up to the caller's limit. */
void smtp_command_parse(struct bytes line, unsigned flags,
    struct command *out);
/* The reply to what .syntax says: 553, 501 (with its hint) or 555. */
struct reply;
void smtp_command_refuse(const struct command *c, struct reply *re);

/* "<path>", path cut to 256 octets, what is not 0x20-0x7e as '?'. */
enum { SMTP_QUOTED_MAX = 256 + 3 };
char *smtp_quote_path(struct bytes path, char *dst /* SMTP_QUOTED_MAX */);

/* -- server side: replies ------------------------------------------------- */

enum {
	REPLY_LINE_MAX = 512,	/* with CRLF, RFC 5321 4.5.3.1.5 */
	REPLY_TEXT_MAX = REPLY_LINE_MAX - 6, /* behind the code and blank */
	REPLY_TEXT_FIT = REPLY_TEXT_MAX - 8, /* fits with enhanced code too */
	REPLY_ENHANCED_MAX = 12
};

struct reply {
	unsigned code; /* 0 = none */
	char	 enhanced[REPLY_ENHANCED_MAX]; /* "" = has none */
	char	 text[REPLY_TEXT_MAX + 1]; /* printable ASCII */
};

/* enhanced may be NULL.  What is not printable becomes '?', what is too
 * long is cut. */
void reply_set(struct reply *re, unsigned code, const char *enhanced,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* The same, and returns false: return reply_refuse(re, 452, ...); */
bool reply_refuse(struct reply *re, unsigned code, const char *enhanced,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* One line with CRLF; enhanced_codes: smtp-interface 4.4 is switched on. */
bool reply_write(const struct reply *re, bool enhanced_codes,
    struct buf *out);
/* A line of a multi-line reply (EHLO): "250-text" or, last, "250 text". */
bool reply_write_line(unsigned code, bool last, const char *text,
    struct buf *out);

/*
 * Octets of an enhanced code, class 2, 4 or 5 ("5.1.1"), at the beginning of
 * text when a blank or the end follows; 0 = none is there.  Its numbers have
 * no leading zeros (RFC 3463 2), so that the status of a notice has none.
 */
size_t smtp_status_length(struct bytes text);

/* -- client side ---------------------------------------------------------- */

enum {
	READER_LINE_MAX = 2048, /* with its line end */
	READER_LINES_MAX = 128,
	READER_TEXT_MAX = 65536
};

enum reader_result {
	READER_MORE,  /* all input used, the reply is not complete */
	READER_DONE,  /* one whole reply; *used may be less than given */
	READER_BROKEN /* protocol error; reply_reader_error() */
};

struct reply_reader {
	unsigned code; /* of the last line; 0 before */
	char	 enhanced[REPLY_ENHANCED_MAX]; /* x.y.z of the text or "" */
	size_t	 line_count;
	/* inner */
	struct buf text; /* texts of the lines, no codes, no line ends */
	size_t	   ends[READER_LINES_MAX]; /* where line i ends in text */
	struct buf line; /* a line that is not complete */
	const char *error;
	bool	   done;
};
void reply_reader_init(struct reply_reader *r);
void reply_reader_wipe(struct reply_reader *r);
/* Begins with the next reply by itself when the last one was done. */
enum reader_result reply_reader_feed(struct reply_reader *r, struct bytes in,
    size_t *used);
/* Text of line i behind code and separator; enhanced code still in it. */
struct bytes reply_reader_line(const struct reply_reader *r, size_t i);
/*
 * The reply in one line as events show it: "250 2.6.0 Message received";
 * later lines joined by one blank, without their reply code and without an
 * enhanced code that only repeats the first; inner blanks are kept.
 */
bool reply_reader_text(const struct reply_reader *r, struct buf *out);
const char *reply_reader_error(const struct reply_reader *r);

enum auth_mechanism { AUTH_MECHANISM_PLAIN = 1, AUTH_MECHANISM_LOGIN = 2 };

/* What the peer offers in its reply to EHLO. */
struct capabilities {
	bool	 pipelining, eightbit, starttls, chunking, dsn, smtputf8;
	bool	 requiretls, enhanced_codes;
	bool	 has_size; /* SIZE was offered */
	uint64_t size;	   /* 0 = without a limit */
	uint64_t rcpt_max, mail_max; /* LIMITS; 0 = not given */
	unsigned auth; /* enum auth_mechanism, or-ed */
};
void capabilities_parse(const struct reply_reader *r,
    struct capabilities *out);

#endif
