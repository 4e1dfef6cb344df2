/* SPDX-License-Identifier: ISC */
/* Findings that the figures show by themselves. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "reporting/detector.h"
#include "reporting/reputation_private.h"

/* Findings that are opened, unless one of their type is open. */
struct detect_job {
	struct book_job	   job; /* first */
	struct reputation *r;
	char		   account[ACCOUNT_ID_SIZE];
	struct wall	   now;
	size_t		   n;
	struct detector_found found[DETECTOR_FOUND_MAX];
	bool		   opened[DETECTOR_FOUND_MAX];
};

static int
detect_write(struct book_job *job, struct db_txn *t)
{
	struct detect_job *j = (struct detect_job *)(void *)job;
	struct finding	   f;
	size_t		   i;
	int		   rc;

	for (i = 0; i < j->n; i++) {
		rc = finding_is_open(t, j->account, j->found[i].type,
		    "account", &job->err);
		j->opened[i] = rc == 0;
		if (rc < 0)
			return -1;
		if (rc == 1)
			continue;
		memset(&f, 0, sizeof(f));
		memcpy(f.account, j->account, sizeof(f.account));
		f.type = j->found[i].type;
		f.action = finding_default_action(f.type);
		f.source = FINDING_BY_DETECTOR;
		f.opened = j->now;
		strcpy(f.scope, "account");
		memcpy(f.note, j->found[i].note, sizeof(f.note));
		if (finding_open(t, &f, &job->err) < 0)
			return -1;
	}
	return 0;
}

static void
detect_on_done(void *job, void *unused)
{
	struct detect_job *j = job;
	struct reputation *r = j->r;
	const char	  *type;
	size_t		   i;

	(void)unused;
	if (j->job.failed)
		log_error("reputation-failed", "account=%s reason=\"%s\"",
		    j->account, j->job.err.text);
	for (i = 0; i < j->n && !j->job.failed; i++) {
		if (!j->opened[i])
			continue;
		type = finding_type_to_text(j->found[i].type);
		log_warn("reputation-finding", "account=%s type=%s "
		    "note=\"%s\"", j->account, type, j->found[i].note);
		notices_warn(r->setup.notices, j->account, type,
		    j->found[i].note);
	}
	mem_free(j);
	reputation_job_done(r);
}

/* What is open already is not written again; an error shows in the job. */
void
reputation_detect(struct reputation *r, const char *account,
    struct wall now)
{
	struct detect_job *j = mem_alloc(sizeof(*j));
	struct db_txn	  *t;
	struct err	   e;
	int n = detector_look(r->setup.spool, account, now, j->found, &e);
	int i, open = 0;

	if (n < 0)
		log_error("reputation-failed", "account=%s reason=\"%s\"",
		    account, e.text);
	must(r->job == NULL);
	t = n <= 0 ? NULL : book_read(r->setup.book, &e);
	for (i = 0; i < n && t != NULL; i++)
		open += finding_is_open(t, account, j->found[i].type,
		    "account", &e) == 1;
	book_end(t);
	if (t == NULL || open == n) {
		mem_free(j);
		return;
	}
	j->r = r;
	snprintf(j->account, sizeof(j->account), "%s", account);
	j->now = now;
	j->n = (size_t)n;
	j->job.asker = r->setup.loop;
	j->job.run = detect_write;
	j->job.done = detect_on_done;
	r->job = &j->job;
	if (book_write(r->setup.book, &j->job))
		return;
	r->job = NULL;
	mem_free(j);
}
