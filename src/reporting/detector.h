/* SPDX-License-Identifier: ISC */
/*
 * detector.h - findings that nobody has to report: what the figures of an
 * account show by themselves (reputation.md 5).
 *
 * Use:    n = detector_look(spool, account, now, found, &e); each of found[]
 *         becomes a finding, unless one of its type is open.
 * Owner:  plain data, the caller's.
 * Thread: any; reads the quarters of an hour of seven days.
 * Fails:  -1 and *e: the store.
 *
 * sending-pattern: the hour that ended last had more than DETECTOR_VOLUME
 * sends, and more than DETECTOR_TIMES those of the highest hour of the seven
 * days before it.  authentication: DETECTOR_REFUSALS bounces by policies of
 * DMARC, SPF or DKIM (rule P1) within an hour; counted are this quarter of an
 * hour and the four before it, so that a whole hour is always among them.
 */
#ifndef REPORTING_DETECTOR_H
#define REPORTING_DETECTOR_H

#include "registry/finding.h"
#include "store/spool.h"

enum {
	DETECTOR_VOLUME = 1000,
	DETECTOR_TIMES = 5,
	DETECTOR_REFUSALS = 20,
	DETECTOR_FOUND_MAX = 2
};
struct detector_found {
	enum finding_type type;
	char		  note[FINDING_NOTE_SIZE];
};
int detector_look(struct spool *s, const char *account, struct wall now,
    struct detector_found found[DETECTOR_FOUND_MAX], struct err *e);

#endif
