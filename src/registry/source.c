/* SPDX-License-Identifier: ISC */
#include "registry/source.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "mail/address.h"
#include "net/resolver.h"
#include "store/pack.h"

enum {
	SOURCE_RECORD = 2, /* 1: without pools */
	SOURCE_RECORD_MAX = 1024
};

bool
source_address_normal(const char *text, char out[64], int *family)
{
	struct dns_address a;

	if (!dns_address_parse(bytes_of(text), &a))
		return false;
	*family = a.family;
	dns_address_text(&a, out);
	return true;
}

bool
source_address_is_possible(const char *address)
{
	struct dns_address a;

	if (!dns_address_parse(bytes_of(address), &a))
		return false;
	if (a.family == AF_INET)
		return a.ip.v4.s_addr != htonl(INADDR_ANY) &&
		    a.ip.v4.s_addr != htonl(INADDR_BROADCAST) &&
		    !IN_MULTICAST(ntohl(a.ip.v4.s_addr));
	return !IN6_IS_ADDR_UNSPECIFIED(&a.ip.v6) &&
	    !IN6_IS_ADDR_MULTICAST(&a.ip.v6) &&
	    !IN6_IS_ADDR_V4MAPPED(&a.ip.v6);
}

static int
source_unpack(struct bytes key, struct bytes value, struct source *s,
    struct err *e)
{
	struct unpack u = unpack_of(value);
	uint64_t      version = unpack_u64(&u);

	memset(s, 0, sizeof(*s));
	bytes_text(key, s->address, sizeof(s->address));
	if (version < 1 || version > SOURCE_RECORD)
		u.failed = true;
	s->family = (int)unpack_u64(&u);
	unpack_text(&u, s->ehlo, sizeof(s->ehlo));
	s->dedicated = unpack_bool(&u);
	unpack_text(&u, s->account, sizeof(s->account));
	s->enabled = unpack_bool(&u);
	unpack_text(&u, s->blocked_by, sizeof(s->blocked_by));
	s->created = unpack_wall(&u);
	if (version > 1) {
		unpack_text(&u, s->pool, sizeof(s->pool));
		unpack_text(&u, s->pool_account, sizeof(s->pool_account));
	}
	if (!unpack_done(&u) || !bytes_eq_text(key, s->address) ||
	    (s->family != AF_INET && s->family != AF_INET6))
		return err_set(e, "source %s: the record is damaged",
		    s->address);
	return 1;
}

const char *
source_pool(const struct source *s)
{
	return s->pool[0] != '\0' ? s->pool :
		s->dedicated ? SOURCE_POOL_DEDICATED : SOURCE_POOL_SHARED;
}

bool
source_is_in_pool(const struct source *s, const char *account,
    const char *pool)
{
	return (s->account[0] == '\0' || strcmp(s->account, account) == 0) &&
	    strcmp(source_pool(s), pool) == 0 &&
	    (s->pool[0] == '\0' || strcmp(s->pool_account, account) == 0);
}

int
source_get(struct db_txn *t, const char *address, struct source *out,
    struct err *e)
{
	char	     key[64];
	struct bytes value;
	int	     found, family;

	if (!source_address_normal(address, key, &family))
		return 0;
	found = db_get(t, BOOK_SOURCE, bytes_of(key), &value, e);
	if (found != 1)
		return found;
	return source_unpack(bytes_of(key), value, out, e);
}

static int
source_check(const struct source *s, char key[64], struct err *e)
{
	int family;

	if (!source_address_normal(s->address, key, &family) ||
	    family != s->family)
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "not an IP address: %s", s->address);
	if (s->ehlo[0] != '\0' && !domain_is_valid(bytes_of(s->ehlo), 0))
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "not a host name: %s", s->ehlo);
	if (s->account[0] != '\0' && !s->dedicated)
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "only a dedicated address can belong to an account");
	if ((s->pool[0] != '\0') != (s->pool_account[0] != '\0') ||
	    (s->pool[0] != '\0' && !s->dedicated))
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "only a dedicated address can be in a pool");
	return 0;
}

int
source_put(struct db_txn *t, const struct source *s, struct err *e)
{
	char	   key[64];
	struct buf b;

	if (source_check(s, key, e) < 0)
		return -1;
	buf_init(&b, SOURCE_RECORD_MAX);
	pack_u64(&b, SOURCE_RECORD);
	pack_u64(&b, (uint64_t)s->family);
	pack_text(&b, s->ehlo);
	pack_bool(&b, s->dedicated);
	pack_text(&b, s->account);
	pack_bool(&b, s->enabled);
	pack_text(&b, s->blocked_by);
	pack_i64(&b, s->created.ms);
	pack_text(&b, s->pool);
	pack_text(&b, s->pool_account);
	return book_put(t, BOOK_SOURCE, bytes_of(key), &b, e);
}

int
source_delete(struct db_txn *t, const char *address, struct err *e)
{
	char key[64];
	int  family;

	if (!source_address_normal(address, key, &family))
		return 0;
	return db_delete(t, BOOK_SOURCE, bytes_of(key), e);
}

int
source_each(struct db_txn *t, bool (*fn)(void *arg, const struct source *s),
    void *arg, struct err *e)
{
	struct book_rows r;
	struct source s;

	book_rows_open(&r, t, BOOK_SOURCE, BYTES(""), e);
	while (book_rows_next(&r)) {
		r.status = source_unpack(r.key, r.value, &s, e);
		if (r.status < 0 || !fn(arg, &s))
			break;
	}
	return book_rows_close(&r);
}
