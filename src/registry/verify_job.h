/* SPDX-License-Identifier: ISC */
/*
 * verify_job.h - what relay and the verifier process say to each other: one
 * DNS check and its result, as messages of a channel (base/process.h).
 *
 * Use:    verify_job_encode(&job, &buf); channel_send(c, buf_bytes(&buf), -1)
 *         and on the other side verify_job_decode(message, &job); results
 *         likewise.
 * Owner:  the structs are plain values; texts stand in them with a NUL.
 * Thread: any, pure.
 * Fails:  encode: false when a text does not fit or *out has no room;
 *         decode: false for anything but a whole, valid message, and *out is
 *         then not to be used.
 */
#ifndef REGISTRY_VERIFY_JOB_H
#define REGISTRY_VERIFY_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "mail/dkim_record.h"
#include "registry/identity.h"

enum verify_kind {
	VERIFY_DKIM = 1,  /* dkim.md 8: one selector */
	VERIFY_TOKEN = 2, /* identities-and-policies.md 4.2: TXT token */
	VERIFY_MX = 3	  /* mail-from-spf-dmarc.md 5.2: MX of MAIL FROM */
};
const char *verify_kind_to_text(enum verify_kind k);

enum {
	VERIFY_NAME_SIZE = 256,
	VERIFY_SELECTOR_SIZE = 64,
	VERIFY_KEY_SIZE = 1024,
	VERIFY_TOKEN_SIZE = 128,
	VERIFY_HINT_SIZE = 512,
	VERIFY_MESSAGE_MAX = 4096 /* most octets of an encoded message */
};

struct verify_job {
	uint64_t	 ticket; /* the asker's; comes back in the result */
	enum verify_kind kind;
	bool authoritative; /* ask the zone's own servers first */
	char domain[VERIFY_NAME_SIZE]; /* A-labels; VERIFY_MX: MAIL FROM name */
	/* VERIFY_DKIM */
	char		   selector[VERIFY_SELECTOR_SIZE];
	enum dkim_key_kind key_kind;
	char public_key[VERIFY_KEY_SIZE];    /* base64, the p= value */
	char cname_target[VERIFY_NAME_SIZE]; /* "" = TXT publication */
	/* VERIFY_TOKEN */
	char token[VERIFY_TOKEN_SIZE];
	/* VERIFY_MX */
	char mx_host[VERIFY_NAME_SIZE];
};

/*
 * outcome: DKIM: all but UNCHECKED; TOKEN: MATCH, ABSENT, MISMATCH,
 * DNS_ERROR; MX: MATCH, ABSENT, MISMATCH (the WRONG of 5.2), MULTIPLE,
 * DNS_ERROR.
 */
struct verify_result {
	uint64_t	  ticket;
	enum verify_kind  kind;
	enum dkim_outcome outcome;
	bool host_found;    /* false: NXDOMAIN (ErrorType HOST_NOT_FOUND) */
	bool authoritative; /* the zone's own servers gave the answer */
	char hint[VERIFY_HINT_SIZE];	/* "" = none; one line */
	char warning[VERIFY_HINT_SIZE]; /* also with MATCH; "" = none */
};
enum dkim_outcome verify_outcome_of_record(enum dkim_record_outcome o);

bool verify_job_encode(const struct verify_job *j, struct buf *out);
bool verify_job_decode(struct bytes message, struct verify_job *out);
bool verify_result_encode(const struct verify_result *r, struct buf *out);
bool verify_result_decode(struct bytes message, struct verify_result *out);

#endif
