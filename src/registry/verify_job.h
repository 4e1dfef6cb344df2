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
#include "mail/dmarc.h"
#include "mail/spf_record.h"
#include "net/spf_result.h"
#include "registry/identity.h"

enum verify_kind {
	VERIFY_DKIM = 1,  /* dkim.md 8: one selector */
	VERIFY_TOKEN = 2, /* identities-and-policies.md 4.2: TXT token */
	VERIFY_MX = 3,	  /* mail-from-spf-dmarc.md 5.2: MX of MAIL FROM */
	/* the preflight report */
	VERIFY_SPF = 4,	  /* 6: may ip send for domain?  And the intake */
	VERIFY_DMARC = 5, /* 7.2: the record of a From domain */
	VERIFY_HOST = 6,  /* the addresses of a host */
	VERIFY_REPLY = 7  /* has the domain MX, or an address? */
};
const char *verify_kind_to_text(enum verify_kind k);

enum {
	VERIFY_NAME_SIZE = 256,
	VERIFY_SELECTOR_SIZE = 64,
	VERIFY_KEY_SIZE = 1024,
	VERIFY_TOKEN_SIZE = 128,
	VERIFY_HINT_SIZE = 512,
	VERIFY_IP_SIZE = 64,
	VERIFY_LOCAL_SIZE = 65,
	VERIFY_RECORD_SIZE = 1024, /* a longer text of a record is cut */
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
	/* VERIFY_SPF: domain "" = of the EHLO name */
	char ip[VERIFY_IP_SIZE];
	char helo[VERIFY_NAME_SIZE];
	char local[VERIFY_LOCAL_SIZE]; /* of the sender; "" = postmaster */
	bool cached; /* what the resolver knows will do */
	char include[VERIFY_NAME_SIZE]; /* "" = is not looked for */
	/* VERIFY_DMARC: the domain above it that has a record, too; or "" */
	char organisation[VERIFY_NAME_SIZE];
};

/* Of VERIFY_SPF. */
struct verify_spf {
	enum spf_result result;
	unsigned lookups, records; /* TXT records that begin with v=spf1 */
	bool	 names_us; /* by the include, or the address */
	struct spf_record record;
};
/* Of VERIFY_DMARC. */
struct verify_dmarc {
	bool		    inherited; /* found at the organisation */
	struct dmarc_record record;    /* without its text */
};

/*
 * outcome: DKIM: all but UNCHECKED; TOKEN: MATCH, ABSENT, MISMATCH,
 * DNS_ERROR; MX: MATCH, ABSENT, MISMATCH (the WRONG of 5.2), MULTIPLE,
 * DNS_ERROR; SPF: MATCH (pass), ABSENT (none), MISMATCH, MALFORMED (permerror,
 * hint: the cause), DNS_ERROR (temperror); DMARC: MATCH, ABSENT, MALFORMED,
 * DNS_ERROR; HOST, REPLY: MATCH, ABSENT, DNS_ERROR, REPLY also MISMATCH: null
 * MX.
 * text: the record of SPF and DMARC, the addresses of HOST; else "".
 */
struct verify_result {
	uint64_t	  ticket;
	enum verify_kind  kind;
	enum dkim_outcome outcome;
	bool host_found;    /* false: NXDOMAIN (ErrorType HOST_NOT_FOUND) */
	bool authoritative; /* the zone's own servers gave the answer */
	char hint[VERIFY_HINT_SIZE];	/* "" = none; one line */
	char warning[VERIFY_HINT_SIZE]; /* also with MATCH; "" = none */
	char text[VERIFY_RECORD_SIZE];
	struct verify_spf   spf;
	struct verify_dmarc dmarc;
};
enum dkim_outcome verify_outcome_of_record(enum dkim_record_outcome o);

bool verify_job_encode(const struct verify_job *j, struct buf *out);
bool verify_job_decode(struct bytes message, struct verify_job *out);
bool verify_result_encode(const struct verify_result *r, struct buf *out);
bool verify_result_decode(struct bytes message, struct verify_result *out);
/* For text: cut, what is not printable becomes "?". */
void verify_result_set_text(struct verify_result *r, struct bytes text);

#endif
