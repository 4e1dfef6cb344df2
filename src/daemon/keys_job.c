/* SPDX-License-Identifier: ISC */
/* The workers' half of daemon/keys.h: what takes time. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "daemon/keys_private.h"

enum {
	KEYS_FILE_WAIT_MS = 4000, /* for whoever holds the other end */
	KEYS_PIPE_STEP = 512	  /* a pipe that is ready takes so much */
};

/* -- descriptors of operators --------------------------------------------- */

static int64_t
keys_now_ms(void)
{
	return clock_mono().ms;
}

/* The other end may be a pipe whose holder does nothing. */
static bool
keys_wait(int fd, short what, int64_t until_ms)
{
	struct pollfd p = { fd, what, 0 };
	int64_t	      left = until_ms - keys_now_ms();

	return left > 0 && poll(&p, 1, (int)left) == 1;
}

static int
keys_read_file(int fd, struct buf *out, struct err *e)
{
	struct stat st;
	int64_t	    until = keys_now_ms() + KEYS_FILE_WAIT_MS;
	char	   *room;
	ssize_t	    n;

	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(e, "read the key");
	for (;;) {
		if (!keys_wait(fd, POLLIN, until))
			return err_set(e, "the key file does not end");
		room = buf_room(out, 4096);
		if (room == NULL)
			return err_set(e, "the key file is too large");
		n = read(fd, room, 4096);
		if (n == 0)
			return 0;
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return err_sys(e, "read the key");
		if (n > 0)
			buf_commit(out, (size_t)n);
	}
}

static int
keys_write_file(int fd, struct bytes text, struct err *e)
{
	int64_t until = keys_now_ms() + KEYS_FILE_WAIT_MS;
	ssize_t n;

	while (text.n > 0) {
		if (!keys_wait(fd, POLLOUT, until))
			return err_set(e, "nobody takes the key");
		n = write(fd, text.p,
		    text.n < KEYS_PIPE_STEP ? text.n : KEYS_PIPE_STEP);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return err_sys(e, "write the key");
		if (n > 0)
			text = bytes_from(text, (size_t)n);
	}
	return 0;
}

struct signing_key *
keys_read_key(int fd, unsigned min_bits, unsigned max_bits, struct err *e)
{
	struct signing_key *key = NULL;
	struct buf	    text;

	buf_init(&text, SIGNING_FILE_MAX + 4096);
	/* at once: growing would leave copies behind */
	if (buf_room(&text, SIGNING_FILE_MAX + 4096) == NULL)
		err_set(e, "out of memory");
	else if (keys_read_file(fd, &text, e) == 0)
		key = signing_key_read(buf_bytes(&text), min_bits, max_bits,
		    e);
	if (text.p != NULL)
		mem_wipe(text.p, text.cap);
	buf_wipe(&text);
	return key;
}

/* -- on the workers ------------------------------------------------------- */

static struct bytes
job_name(const struct keys_job *j)
{
	return (struct bytes){ j->name, j->name_n };
}

static int
job_run_sign(struct keys_job *j)
{
	const struct signing_key *key;
	int			  n;

	if (j->ask == KEYS_ASK_SIGN_SEALED)
		j->opened = sealer_unseal(j->sealer, job_name(j),
		    (struct bytes){ (char *)j->sealed, j->sealed_n },
		    &j->err);
	key = j->kept != NULL ? j->kept->key : j->opened;
	j->sealed_n = 0;
	if (key == NULL)
		return -1;
	n = signing_key_sign(key, j->digest, j->signature,
	    sizeof(j->signature), &j->err);
	j->signature_n = n > 0 ? (size_t)n : 0;
	return n > 0 ? 0 : -1;
}

/* What relay stores of a key. */
static int
job_give_key(struct keys_job *j, const struct signing_key *key)
{
	int n = sealer_seal(j->sealer, job_name(j), key, j->sealed,
	    sizeof(j->sealed), &j->err);

	if (n < 0)
		return -1;
	j->sealed_n = (size_t)n;
	j->public_n = signing_key_public(key, j->public_key,
	    sizeof(j->public_key));
	j->bits = signing_key_bits(key);
	return j->public_n > 0 ? 0 :
	    err_set(&j->err, "the public key is too long");
}

static int
job_run_export(struct keys_job *j, const struct signing_key *key)
{
	struct buf pem;
	int	   rc;

	buf_init(&pem, 8192);
	if (buf_room(&pem, 8192) == NULL)
		return err_set(&j->err, "out of memory");
	rc = signing_key_to_pem(key, &pem, &j->err);
	if (rc == 0)
		rc = keys_write_file(j->fd, buf_bytes(&pem), &j->err);
	mem_wipe(pem.p, pem.cap);
	buf_wipe(&pem);
	return rc;
}

static int
job_run_slow(struct keys_job *j)
{
	struct signing_key *key;
	int		    rc = 0;

	if (j->ask == KEYS_ASK_MAKE)
		key = signing_key_make(j->bits, &j->err);
	else if (j->ask == KEYS_ASK_IMPORT)
		key = keys_read_key(j->fd, j->min_bits, j->max_bits, &j->err);
	else
		key = sealer_unseal(j->sealer, job_name(j),
		    (struct bytes){ (char *)j->sealed, j->sealed_n },
		    &j->err);
	j->sealed_n = 0;
	if (key == NULL)
		return -1;
	if (j->ask == KEYS_ASK_EXPORT)
		rc = job_run_export(j, key);
	else if (j->ask != KEYS_ASK_CHECK)
		rc = job_give_key(j, key);
	signing_key_free(key);
	return rc;
}

void
keys_job_run(struct job *job)
{
	struct keys_job *j = (struct keys_job *)(void *)job;
	bool signs = j->ask == KEYS_ASK_SIGN ||
	    j->ask == KEYS_ASK_SIGN_SEALED || j->ask == KEYS_ASK_SIGN_OPERATOR;

	j->failed = (signs ? job_run_sign(j) : job_run_slow(j)) < 0;
}
