/* SPDX-License-Identifier: ISC */
/*
 * relay.h - the relay process: all SMTP, both stores, one struct that wires
 * them.
 *
 * Use:    relay_main(files, fd) of the child; the control socket's commands
 *         (control_*.c) and the metrics page read struct relay.
 * Owner:  relay.c; it lives as long as the process.
 * Thread: main, but for what its members' own headers allow to others.
 * Fails:  at start with CHILD_FATAL to the master.
 * Start:  libraries read what they read, privileges go, stores open,
 *         sandbox, threads.  End: listeners, sessions (421), deliveries,
 *         reporting, writers, stores.
 */
#ifndef DAEMON_RELAY_H
#define DAEMON_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/meter.h"
#include "base/process.h"
#include "base/tally.h"
#include "base/thread.h"
#include "daemon/child.h"
#include "delivery/carrier.h"
#include "mail/classify.h"
#include "net/resolver.h"
#include "net/tls.h"
#include "registry/book.h"
#include "registry/conf.h"
#include "registry/credential.h"
#include "registry/identity.h"
#include "registry/ledger.h"
#include "reporting/reporter.h"
#include "store/spool.h"
#include "submission/desk.h"
#include "submission/keys_client.h"

enum { RELAY_DESKS_MAX = 64, RELAY_DNS_TYPES = 7, RELAY_DNS_RESULTS = 6 };
struct audit;
struct control;
struct metrics;

struct relay_desk {
	struct loop	   *loop;
	struct keys_client *keys;
	struct desk	   *desk;
	struct relay	   *relay;
	struct relay_socket {
		uint32_t index; /* child_listen_index() */
		int	 fd;	/* ours; lent to the desk */
	}		   *sockets;
	unsigned	    socket_count;
	bool		    shut; /* its sessions have gone; desk's loop */
};

/* Has a loop been heard of since the master asked?  main's, but for loop */
struct relay_pulse {
	struct relay *relay;
	struct loop  *loop;
	bool	      is_out, came;
};

struct relay {
	struct loop    *main;
	struct channel *master;
	struct conf    *conf; /* of the main thread */
	struct desk_tls *tls;
	struct wall	started;
	int		lock_fd; /* of the store; -1 = none came */
	bool		stopping, down;

	struct book  *book;
	struct spool *spool;
	struct tally *tally;
	struct workers *workers;
	struct classify *classify;
	struct tls_client *tls_client;
	struct tls_trust *trust; /* of webhooks; NULL = none can be read */

	struct relay_desk desks[RELAY_DESKS_MAX];
	unsigned	  desk_count, desks_shut;
	_Atomic unsigned  next_notice, senders_asked;
	struct loop	*delivery;
	struct resolver *resolver; /* of the delivery loop */
	struct carrier	*carrier;
	struct loop	*reporting;
	struct reporter *reporter;
	struct keys_client *keys; /* of the main loop */

	struct ledger	     *ledger;
	struct desk_meters    desk_meters;
	struct carrier_meters carrier_meters;
	/* resolver_figures.asked, copied by the delivery loop */
	struct meter	      dns_asked[RELAY_DNS_TYPES][RELAY_DNS_RESULTS];

	struct control *control;
	struct metrics *metrics;
	struct audit   *audit;
	struct timer	every_minute;
	struct timer	operator_time; /* relay_operator.c */
	struct relay_default *default_domain; /* relay_mail_from.c */
	struct timer	purge_time;    /* relay_purge.c */
	struct timer	reserve_time;  /* relay_reserve.c */
	bool		was_short;
	struct operator_meters operator_meters;
	struct outbox_meters   outbox_meters;
	struct series	      *series;
	struct inbox_meters    inbox_meters;
	struct child_files *reload; /* being received */
	uint32_t	reload_request; /* number of the last one asked */
	struct relay_pulse pulses[RELAY_DESKS_MAX + 2];
	unsigned	pulse_count, pulse_missing;
};

/*
 * All of relay_main() but the running of the main loop: what the replay tests
 * step by themselves.  f stays the caller's; channel_fd is taken over.  NULL:
 * the master was told why.  relay_free() after the main loop has ended.
 */
struct relay *relay_new(struct child_files *f, int channel_fd, struct err *e);
void relay_free(struct relay *r); /* NULL is allowed */

/*
 * Has the keys process make a key with a fresh selector; done() on main, once:
 * k is NULL when it failed.  What is made is not written yet: the caller puts
 * it into the book.
 */
typedef void relay_key_fn(void *ctx, const struct dkim_key *k,
    const char *reason);
void relay_make_key(struct relay *r, const struct dkim_key *wanted,
    relay_key_fn *done, void *ctx);

/* relay_wiring.c: what the rooms call back. */
void relay_wire_desk(struct relay *r, struct desk_setup *s);
void relay_wire_sender(struct relay *r, struct desk_setup *s);
void relay_wire_reporter(struct relay *r, struct reporter_setup *s);
/* Says READY, after the master key has opened a key of the store; else
 * FATAL (credentials.md 6). */
void relay_announce(struct relay *r);
/* relay_listen.c: what the master has bound, at the start and later: a file
 * that had vanished is there again */
int relay_listen(struct relay *r, struct child_files *f, struct err *e);
void relay_close_listeners(struct relay_desk *d);
void relay_on_socket(struct relay *r, const struct child_message *m, int fd);
/* relay_operator.c: the record of the operator's own key */
void relay_begin_operator(struct relay *r);
void relay_reload_operator(struct relay *r);
/* relay_mail_from.c: the MX of the default MAIL FROM domain */
void relay_begin_default(struct relay *r);
void relay_reload_default(struct relay *r);
void relay_end_default(struct relay *r);
/* relay_pulse.c: PING of the master; PONG when all loops have run */
void relay_on_ping(struct relay *r);
/* relay_purge.c: accounts that were closed long ago */
void relay_begin_purge(struct relay *r);
/*
 * relay_reload.c: the configuration that has come, all of it or nothing;
 * number: the master waits for the result, 0 = it does not.  A new channel to
 * the keys or the verifier process: fd is taken over.
 */
void relay_on_reload(struct relay *r, uint32_t number);
void relay_on_peer(struct relay *r, const struct child_message *m, int fd);
/* relay_reserve.c: memory for the time when there is none */
void relay_begin_reserve(struct relay *r);
/* relay_setup.c */
struct spool_setup relay_spool_setup(const struct conf *c);
struct desk_tls *relay_load_tls(const struct conf *c,
    const struct child_files *f, struct err *e);
int relay_load_trust(const struct conf *c, const struct child_files *f,
    struct tls_trust **trust, struct err *e);
int relay_load_suffixes(const struct conf *c, const struct child_files *f,
    struct err *e);
int relay_enclose(const struct conf *c, struct err *e);
/* Of the reload at hand: what the audit log goes to from now on. */
void relay_take_audit(struct relay *r, bool accepted);
/* Its oldest lines have gone by day: CHILD_AUDIT_CUT. */
void relay_reopen_audit(struct relay *r, int fd, struct bytes copied);
int relay_check_region(struct relay *r, bool accept_change, struct err *e);

/* Asks the master; the answer comes to control_on_reload(). */
bool relay_ask_reload(struct relay *r, uint32_t request);
bool relay_ask_stop(struct relay *r, bool now);
/* Notices go round the desks. */
bool relay_post_notice(struct relay *r, struct notice *n);

#endif
