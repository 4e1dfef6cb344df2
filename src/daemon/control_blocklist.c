/* SPDX-License-Identifier: ISC */
/* Block lists and the source addresses (reputation.md 7). */
#include <string.h>

#include "daemon/control_stats.h"
#include "registry/listing.h"
#include "registry/source.h"

/* What the row says: LISTED; CLEAN, REFUSED, UNANSWERED by DNS; NOTED by
 * fewer replies than make a listing. */
static const char *
blocklist_status(const struct listing *l)
{
	if (l->listed)
		return dnsbl_verdict_to_text(DNSBL_LISTED);
	return l->by == LISTING_BY_REPLY ? "NOTED"
					 : dnsbl_verdict_to_text(l->verdict);
}

static bool
blocklist_on_listing(void *arg, const struct listing *l)
{
	json_array_append_new(arg, json_pack(
	    "{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "Ip", l->address,
	    "List", l->list, "Source", listing_source_to_text(l->by),
	    "Status", blocklist_status(l), "Answer", json_of_text(l->answer),
	    "Since", json_of_seconds(l->since), "Last",
	    json_of_seconds(l->last), "Group", json_of_text(l->group), "Url",
	    json_of_text(l->url)));
	return true;
}

/* Nobody asks for the addresses of others: silence would look like praise. */
static int
blocklist_check_ours(struct request *q, struct db_txn *t, const char *address)
{
	struct source s;
	int	      rc = source_get(t, address, &s, &q->err);

	if (rc == 0)
		return request_refuse(q, BOOK_NOT_FOUND,
		    "no such source address: %s", address);
	return rc < 0 ? -1 : 0;
}

static int
blocklist_read(struct request *q, struct db_txn *t)
{
	const char *name = arg_text(q, "name");
	char	    address[64];
	json_t	   *rows = json_array();
	int	    family;

	request_set(q, "Listings", rows);
	if (name != NULL && !source_address_normal(name, address, &family))
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "not an IP address: %.64s", name);
	if (listing_each(t, name != NULL ? address : NULL,
		blocklist_on_listing, rows, &q->err) < 0)
		return -1;
	return name != NULL && json_array_size(rows) == 0 ?
	    blocklist_check_ours(q, t, address) : 0;
}

static void
blocklist_list(struct request *q)
{
	request_read(q, blocklist_read);
}

static void
blocklist_on_checked(void *request, void *unused)
{
	(void)unused;
	request_read(request, blocklist_read);
}

static void
blocklist_check(struct request *q)
{
	if (!reporter_post_blocklist(q->relay->reporter, q->relay->main,
		blocklist_on_checked, q))
		request_end_refused(q, BOOK_TOO_MANY,
		    "too busy to ask: try again later");
}

const struct command control_blocklist_commands[] = {
	{ "blocklist list", NEED_OPERATOR, SCOPE_NONE, NULL, NULL,
	    blocklist_list },
	{ "blocklist check", NEED_OPERATOR, SCOPE_NONE, NULL, NULL,
	    blocklist_check },
	{ NULL, NEED_ANY, SCOPE_ANY, NULL, NULL, NULL }
};
