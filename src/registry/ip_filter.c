/* SPDX-License-Identifier: ISC */
#include "registry/ip_filter.h"

#include <string.h>

#include "store/pack.h"

enum { RECORD_MAX = 1024, LIST_MAX = 10000 };

bool
ip_filter_name_is_valid(const char *name)
{
	static const char letters[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	size_t n = strlen(name);

	return n >= 1 && n < IP_FILTER_NAME_SIZE &&
	    strchr(letters, name[0]) != NULL &&
	    strchr(letters, name[n - 1]) != NULL &&
	    strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
			 "0123456789_-.") == n;
}

/* -- records --------------------------------------------------------------- */

static int
filter_unpack(struct bytes key, struct bytes value, struct ip_filter *f,
    struct err *e)
{
	struct unpack u = unpack_of(value);
	char	      cidr[CIDR_TEXT_MAX];

	memset(f, 0, sizeof(*f));
	bytes_text(key, f->name, sizeof(f->name));
	unpack_text(&u, cidr, sizeof(cidr));
	f->allow = unpack_bool(&u);
	unpack_text(&u, f->listener, sizeof(f->listener));
	f->created = unpack_wall(&u);
	if (!unpack_done(&u) || !bytes_eq_text(key, f->name) ||
	    !conf_cidr_parse(bytes_of(cidr), &f->cidr))
		return err_set(e, "ip-filter %s: the record is damaged",
		    f->name);
	return 1;
}

int
ip_filter_get(struct db_txn *t, const char *name, struct ip_filter *out,
    struct err *e)
{
	struct bytes value;
	int	     rc = 0;

	if (ip_filter_name_is_valid(name))
		rc = db_get(t, BOOK_IP_FILTER, bytes_of(name), &value, e);
	return rc <= 0 ? rc : filter_unpack(bytes_of(name), value, out, e);
}

struct filter_count {
	const struct ip_filter *of;
	unsigned		n;
};

static bool
filter_on_count(void *arg, const struct ip_filter *f)
{
	struct filter_count *c = arg;

	c->n += strcmp(f->listener, c->of->listener) == 0 &&
	    strcmp(f->name, c->of->name) != 0;
	return true;
}

int
ip_filter_put(struct db_txn *t, const struct ip_filter *f, struct err *e)
{
	struct filter_count c = { f, 0 };
	struct buf	    b;
	char		    cidr[CIDR_TEXT_MAX];

	if (!ip_filter_name_is_valid(f->name))
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "not a filter name: %s", f->name);
	if (ip_filter_each(t, filter_on_count, &c, e) < 0)
		return -1;
	if (c.n >= IP_FILTERS_MAX)
		return book_refuse(e, BOOK_LIMIT,
		    "there are %d filters already", IP_FILTERS_MAX);
	buf_init(&b, RECORD_MAX);
	pack_text(&b, conf_cidr_to_text(&f->cidr, cidr));
	pack_bool(&b, f->allow);
	pack_text(&b, f->listener);
	pack_i64(&b, f->created.ms);
	return book_put(t, BOOK_IP_FILTER, bytes_of(f->name), &b, e);
}

int
ip_filter_delete(struct db_txn *t, const char *name, struct err *e)
{
	return ip_filter_name_is_valid(name) ? db_delete(t, BOOK_IP_FILTER,
	    bytes_of(name), e) : 0;
}

int
ip_filter_each(struct db_txn *t,
    bool (*fn)(void *arg, const struct ip_filter *f), void *arg,
    struct err *e)
{
	struct book_rows r;
	struct ip_filter f;

	book_rows_open(&r, t, BOOK_IP_FILTER, BYTES(""), e);
	while (book_rows_next(&r)) {
		r.status = filter_unpack(r.key, r.value, &f, e);
		if (r.status < 0 || !fn(arg, &f))
			break;
	}
	return book_rows_close(&r);
}

/* -- judging --------------------------------------------------------------- */

struct ip_filter_list {
	struct ip_filter *v;
	size_t		  n;
};

static bool
list_on_filter(void *arg, const struct ip_filter *f)
{
	struct ip_filter_list *l = arg;

	l->v = mem_realloc(l->v, (l->n + 1) * sizeof(*l->v));
	l->v[l->n++] = *f;
	return l->n < LIST_MAX;
}

struct ip_filter_list *
ip_filter_list_new(struct db_txn *t, struct err *e)
{
	struct ip_filter_list *l = mem_alloc(sizeof(*l));

	if (ip_filter_each(t, list_on_filter, l, e) == 0)
		return l;
	ip_filter_list_free(l);
	return NULL;
}

void
ip_filter_list_free(struct ip_filter_list *l)
{
	if (l == NULL)
		return;
	mem_free(l->v);
	mem_free(l);
}

const struct ip_filter *
ip_filter_judge(const struct ip_filter_list *l, const char *listener,
    const struct sockaddr *client)
{
	const struct ip_filter *best = NULL, *f;
	size_t			i;

	for (i = 0; i < l->n; i++) {
		f = &l->v[i];
		if ((f->listener[0] != '\0' &&
			strcmp(f->listener, listener) != 0) ||
		    !conf_cidr_contains(&f->cidr, client))
			continue;
		if (best == NULL || f->cidr.prefix > best->cidr.prefix ||
		    (f->cidr.prefix == best->cidr.prefix && f->allow))
			best = f;
	}
	return best != NULL && !best->allow ? best : NULL;
}
