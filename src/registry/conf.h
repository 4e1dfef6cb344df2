/* SPDX-License-Identifier: ISC */
/*
 * conf.h - the configuration: one immutable, counted snapshot.
 *
 * Members are named as the directives of posthorn.conf(5), nested by section,
 * with the unit behind the name (_ms, _bytes).  A setting that was not given
 * has its default, those that depend on others too (server.domain and all
 * that is made from it).  Text that is not set is NULL, an address that is
 * not set has family AF_UNSPEC, a list that is not set has n == 0.
 *
 * Use:    struct conf *c = conf_load(path, NULL, &errors);
 *         if (c == NULL) print errors.v[]; conf_ref(c) ... conf_unref(c).
 * Owner:  counted; everything a member points to belongs to the snapshot.
 *         Nobody changes a snapshot that another thread has seen (tests may
 *         set members of their own conf_defaults()).
 * Thread: loading on one thread; reading, conf_ref and conf_unref on any.
 * Fails:  conf_load() NULL = at least one error in errors; all errors of the
 *         files are collected, up to CONF_ERRORS_MAX lines.
 */
#ifndef REGISTRY_CONF_H
#define REGISTRY_CONF_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/sandbox.h"
#include "registry/cidr.h"
#include "store/redo.h"

/* -- values ---------------------------------------------------------------- */

struct conf_list {
	const char *const *v; /* each ends with NUL */
	size_t		   n;
};

/* addr: IP, IP:port, [IPv6]:port, unix:/path, or not set (AF_UNSPEC) */
struct conf_addr {
	sa_family_t family;
	socklen_t   length; /* of the struct sockaddr_* in use */
	union {
		struct sockaddr	    sa;
		struct sockaddr_in  in;
		struct sockaddr_in6 in6;
		struct sockaddr_un  un;
	} u;
};
struct conf_addrs {
	const struct conf_addr *v;
	size_t			n;
};
enum { CONF_ADDR_TEXT_MAX = 128 };
/* 192.0.2.1:25, [2001:db8::1]:25, unix:/path; "none" when not set */
char *conf_addr_to_text(const struct conf_addr *a,
    char out[CONF_ADDR_TEXT_MAX]);
/* an IP address alone */
bool conf_addr_parse_ip(struct bytes host, uint16_t port,
    struct conf_addr *out);
bool conf_addr_parse(struct bytes text, uint16_t port_default,
    struct conf_addr *out);
bool conf_addr_is_loopback(const struct conf_addr *a); /* unix counts too */

enum conf_tls_version { CONF_TLS_1_2, CONF_TLS_1_3 };
enum conf_tls_mode { CONF_TLS_STARTTLS, CONF_TLS_WRAPPER, CONF_TLS_CLEAR };
enum conf_role_bits {
	CONF_ROLE_SUBMISSION = 1,
	CONF_ROLE_INTAKE = 2,
	CONF_ROLE_LOCAL = 4
};
enum conf_report_bits { CONF_REPORT_ARF = 1, CONF_REPORT_DSN = 2 };
/* ascending strictness */
enum conf_tls_policy {
	CONF_POLICY_NONE,
	CONF_POLICY_OPTIONAL,
	CONF_POLICY_REQUIRE,
	CONF_POLICY_VERIFY
};
enum conf_limit_mode { CONF_LIMIT_DEFER, CONF_LIMIT_REJECT };
enum conf_bare_lf { CONF_BARE_LF_NORMALIZE, CONF_BARE_LF_REJECT };
enum conf_bare_cr { CONF_BARE_CR_REJECT, CONF_BARE_CR_SPACE };
enum conf_rewrite { CONF_REWRITE, CONF_PRESERVE };
enum conf_received {
	CONF_RECEIVED_ANONYMOUS,
	CONF_RECEIVED_FULL,
	CONF_RECEIVED_NONE
};
enum conf_missing_from { CONF_MISSING_FROM_ADD, CONF_MISSING_FROM_REJECT };
enum conf_header_8bit { CONF_HEADER_8BIT_PASS, CONF_HEADER_8BIT_REJECT };
enum conf_unique_headers { CONF_UNIQUE_SES, CONF_UNIQUE_RFC5322 };
enum conf_long_lines { CONF_LONG_LINES_REJECT, CONF_LONG_LINES_PASS };
enum conf_prefer { CONF_PREFER_IPV4, CONF_PREFER_IPV6, CONF_PREFER_ANY };
enum conf_eightbit { CONF_EIGHTBIT_SEND, CONF_EIGHTBIT_BOUNCE };
enum conf_bdat { CONF_BDAT_AUTO, CONF_BDAT_NEVER };
enum conf_canonicalization { CONF_RELAXED_SIMPLE, CONF_RELAXED_RELAXED };
enum conf_verp { CONF_VERP_RECIPIENT, CONF_VERP_MESSAGE };
enum conf_global_mode { CONF_GLOBAL_SES, CONF_GLOBAL_ALWAYS };
enum conf_global_policy { CONF_GLOBAL_ESCALATE, CONF_GLOBAL_FIXED };
enum conf_dnsbl { CONF_DNSBL_NOTIFY, CONF_DNSBL_DISABLE };
enum conf_candidates { CONF_CANDIDATES_ONE, CONF_CANDIDATES_ALL };
enum conf_admin_role {
	CONF_ADMIN_FULL,
	CONF_ADMIN_READ_ONLY,
	CONF_ADMIN_SEND
};

/* -- repeatable blocks ----------------------------------------------------- */

struct conf_listener {
	const char	  *name;
	struct conf_addrs  addresses; /* port 0 = the system's choice */
	enum conf_tls_mode tls;
	unsigned	   roles; /* enum conf_role_bits */
	struct conf_cidrs  allow; /* empty = everybody */
	struct conf_cidrs  deny;  /* judged first */
	const char	  *cert;  /* tls.cert unless given; NULL = none */
	const char	  *key;
	uint32_t	   max_connections;
	int64_t		   preauth_idle_ms;
	bool		   allow_cleartext;
	bool		   enabled; /* no = not opened, all else holds */
};

/* A user of this host, as local and admin blocks name it. */
enum conf_principal_kind {
	CONF_PRINCIPAL_ANY,   /* * */
	CONF_PRINCIPAL_USER,  /* name or number */
	CONF_PRINCIPAL_GROUP  /* @name */
};
struct conf_principal {
	enum conf_principal_kind kind;
	const char		*name; /* without @ */
	bool			 known; /* false = the system has no such */
	uint32_t		 id;	/* uid or gid when known */
};

struct conf_local {
	const char		    *name;
	const struct conf_principal *match;
	size_t			     match_count;
	const char		    *account;	 /* 12 digits */
	const char		    *credential; /* its user name */
	const char		    *sender;	 /* NULL = USER@server.name */
};
struct conf_admin {
	struct conf_principal user;
	enum conf_admin_role  role;
	const char	     *account; /* NULL = all accounts */
};
struct conf_certificate {
	const char *name, *cert, *key;
};
/* pattern: "example.net", ".example.net" (sub-domains), "*" */
struct conf_route {
	const char	*pattern;
	const char	*host; /* name, or the address as text */
	uint16_t	 port; /* delivery.port unless given */
	bool		 is_address;
	struct conf_addr address; /* when is_address, with port */
};
struct conf_tls_rule {
	const char	    *pattern;
	enum conf_tls_policy policy;
};
/* What is not given in the block has the value of delivery.dest.* */
struct conf_dest {
	const char *name; /* group, or a recipient domain */
	uint32_t    max_connections;
	double	    rate;
	uint32_t    reuse_max;
};
struct conf_provider {
	const char	*name, *title;
	struct conf_list mx;	  /* suffixes of MX host names */
	struct conf_list domains; /* recipient domains */
};

/* -- the snapshot ---------------------------------------------------------- */

struct conf_impl; /* private */
struct mime_blocked;

struct conf {
	struct {
		const char *name, *domain, *region, *node;
		const char *id_prefix; /* 4 hex digits, lower case */
		const char *user, *group, *verifier_user, *keys_user;
		const char *admin_group;
		uint32_t    admin_gid;
		bool	    admin_group_known;
		const char *control_socket;
		uint32_t    threads, max_files;
		enum sandbox_mode sandbox;
		int64_t	    watchdog_ms; /* 0 = nobody is watched */
	} server;
	struct {
		const char *dir;
		uint64_t    map_size_bytes;
		const char *master_key; /* path; NULL = none */
	} store;
	struct {
		uint64_t min_free_bytes;
		enum redo_mode redo_log;
	} spool;
	struct {
		uint32_t max_messages;
	} queue;
	struct {
		const char     *target; /* syslog, stderr or a path */
		enum log_level	level;
		enum log_format format;
		const char     *facility;
	} log;
	struct {
		const char *file;
		int64_t	    keep_ms;
	} audit;
	struct {
		const char	     *cert, *key; /* NULL = none */
		enum conf_tls_version min_version;
		const char	     *ciphers, *ciphersuites;
	} tls;
	struct {
		uint32_t	     max_connections;
		uint64_t	     max_memory_bytes;
		uint32_t	     max_connections_per_ip;
		uint32_t	     max_preauth_per_ip;
		uint32_t	     max_connect_rate_per_ip; /* a minute */
		uint32_t	     max_handshake_rate_per_ip; /* a minute */
		uint32_t	     max_connections_per_credential;
		struct conf_cidrs    trusted_networks;
		uint32_t	     max_messages_per_connection; /* 0 = any */
		int64_t		     max_connection_age_ms; /* 0 = any */
		uint32_t	     max_recipients;
		enum conf_limit_mode recipient_limit_mode;
		uint32_t	     max_errors, max_rcpt_errors;
		uint32_t	     preauth_max_commands;
		uint64_t	     preauth_max_octets;
		int64_t		     timeout_tls_ms;
		int64_t		     timeout_preauth_total_ms;
		int64_t		     timeout_command_ms;
		int64_t		     timeout_data_ms;
		int64_t		     timeout_data_total_ms;
		int64_t		     timeout_write_ms;
		int64_t		     shutdown_grace_ms;
		bool		     enhanced_status_codes;
		enum conf_bare_lf    bare_lf;
		enum conf_bare_cr    bare_cr;
		bool		     allow_null_sender;
		bool		     allow_address_literals;
		bool		     allow_single_label;
	} smtp;
	struct {
		int64_t	 fail_delay_ms;
		uint32_t max_failures_per_session;
		uint32_t block_threshold;
		int64_t	 block_window_ms, block_time_ms;
	} auth;
	struct {
		uint64_t		 max_size_bytes;
		uint64_t		 large_threshold_bytes;
		uint64_t		 large_bandwidth_bytes; /* a second */
		uint64_t		 max_header_size_bytes;
		uint32_t		 max_hops, max_mime_parts;
		enum conf_rewrite	 date, message_id;
		const char		*id_domain;
		enum conf_received	 received;
		enum conf_missing_from	 missing_from;
		enum conf_header_8bit	 header_8bit;
		bool			 lenient_headers;
		bool			 allow_multiple_dkim;
		enum conf_unique_headers unique_headers;
		enum conf_long_lines	 long_lines;
	} message;
	struct {
		struct conf_list blocked_words; /* as given */
		struct mime_blocked *blocked;	/* mail/mime.h; const */
	} attachments;
	struct {
		struct conf_addrs servers; /* n == 0: the system's */
		int64_t		  timeout_ms;
		uint32_t	  tries;
		const char	 *psl_file; /* NULL: the system's */
	} dns;
	struct {
		int64_t		     max_lifetime_ms, nxdomain_lifetime_ms;
		const int64_t	    *retry_schedule_ms;
		size_t		     retry_schedule_count; /* >= 1 */
		uint32_t	     retry_jitter_percent;
		uint16_t	     port;
		enum conf_prefer     prefer;
		uint32_t	     max_connections;
		struct {
			uint32_t max_connections, initial_connections;
			double	 rate; /* a second; 0 = off */
		} dest;
		uint32_t	     reuse_max;
		int64_t		     reuse_idle_ms, reuse_age_ms;
		enum conf_tls_policy tls_default;
		enum conf_eightbit   eightbit;
		enum conf_bdat	     bdat;
		bool		     allow_private, x_ses_outgoing;
		const char	    *feedback_sender_id;
	} delivery;
	struct {
		const char		  *cname_base; /* NULL = TXT records */
		uint32_t		   default_bits;
		uint32_t		   min_rsa_bits, max_rsa_bits;
		enum conf_canonicalization canonicalization;
		struct conf_list	   headers, oversign;
		const char *operator_domain, *operator_selector;
		const char *operator_key; /* path; all three or none */
		int64_t	    retire_after_ms, min_visible_ms;
		int64_t	    recheck_interval_ms;
		int64_t	    rotate_every_ms; /* 0 = off */
		bool	    dual_sign, require_signature;
	} dkim;
	struct {
		const char    *default_domain, *mx_host;
		const char    *spf_include; /* NULL = print ip4: terms */
		enum conf_verp verp;
		int64_t	       recheck_interval_ms;
	} mail_from;
	struct {
		const char *probe_host; /* NULL = MX of server.domain */
	} doctor;
	struct {
		const char	*postmaster; /* address; NULL = none */
		uint64_t	 max_message_size_bytes;
		int64_t		 keep_raw_ms;
		struct conf_list fbl_addresses; /* local parts */
		unsigned	 require_spf; /* enum conf_report_bits */
	} intake;
	struct {
		uint32_t index_days;
		bool	 autoreply_events;
	} feedback;
	struct {
		double default_max_24h, default_rate;
		bool   default_production;
	} account;
	struct {
		const char *domain;
		bool	    ses_domain;
		int64_t	    feedback_delay_ms;
		bool	    discard_body;
	} simulator;
	struct {
		bool eicar_test;
	} filter;
	struct {
		uint32_t min_volume;
		struct {
			double note, review, pause;
		} bounce;
		struct {
			double review, pause;
		} complaint;
		int64_t evaluate_interval_ms;
		int64_t review_period_ms, review_extension_ms;
		bool	auto_pause;
		struct conf_list fbl_providers;
		bool levels;
	} reputation;
	struct {
		struct conf_list zones;
		enum conf_dnsbl	 action;
	} dnsbl;
	struct {
		uint32_t credentials; /* an account */
	} limits;
	struct {
		struct {
			bool			enabled;
			enum conf_global_mode	mode;
			enum conf_global_policy policy;
		} global;
		uint32_t	     purge_paused_days; /* 0 = never */
		enum conf_candidates complaint_candidates;
	} suppression;
	struct {
		const char	*dir;
		uint64_t	 outbox_max_bytes; /* a destination */
		int64_t		 retry_for_ms;
		bool		 webhook_allow_http, webhook_allow_private;
		const char	*webhook_ca;	 /* NULL = the system's */
		struct conf_addr webhook_source; /* AF_UNSPEC = any */
		int64_t		 tail_keep_ms;
		const char	*system_file; /* NULL = none is written */
	} events;
	struct {
		struct conf_addr  listen; /* AF_UNSPEC = off */
		struct conf_cidrs allow;
	} metrics;

	/* repeatable blocks, in the order of the file */
	struct conf_listener	*listeners;
	size_t			 listener_count;
	struct conf_local	*locals;
	size_t			 local_count;
	struct conf_admin	*admins;
	size_t			 admin_count;
	struct conf_certificate *certificates;
	size_t			 certificate_count;
	struct conf_route	*routes;
	size_t			 route_count;
	struct conf_tls_rule	*tls_policies;
	size_t			 tls_policy_count;
	struct conf_dest	*dests;
	size_t			 dest_count;
	struct conf_provider	*providers; /* built-in ones included */
	size_t			 provider_count;

	struct conf_impl *impl;
};

/* -- loading --------------------------------------------------------------- */

enum { CONF_ERRORS_MAX = 100, CONF_ERROR_TEXT_MAX = 480 };
struct conf_error {
	bool	 is_warning; /* text has no "warning: " in front */
	unsigned source, line; /* errors stand in the order of the files */
	char	 text[CONF_ERROR_TEXT_MAX]; /* FILE:LINE: TEXT */
};
struct conf_errors {
	struct conf_error *v;
	size_t		   n;		/* lines in v, both kinds */
	size_t		   error_count; /* all, also those not kept */
	size_t		   warning_count;
};
void conf_errors_init(struct conf_errors *e);
void conf_errors_wipe(struct conf_errors *e);

/*
 * How files are opened.  A process that may not open them itself gets
 * descriptors from the master and answers from these.  NULL members: open(2),
 * glob(3), the system's user and group lists.
 */
struct conf_opener {
	/* a descriptor that conf closes; -1 with errno, or CONF_NOT_A_FILE */
	int (*open)(void *arg, const char *path);
	void *arg;
	/* when paths != NULL, include patterns match among these only */
	const char *const *paths;
	size_t		   path_count;
	/* id of a user or group name; false = there is none */
	bool (*find_id)(void *arg, bool is_group, const char *name,
	    uint32_t *id);
};

/* Only regular files are read: nobody waits for the writer of a FIFO. */
enum { CONF_NOT_A_FILE = -1 }; /* beside the values of errno */
const char *conf_file_error(int code);

/* path NULL: nothing but defaults.  errors is initialised by the caller. */
struct conf *conf_load(const char *path, const struct conf_opener *opener,
    struct conf_errors *errors);
/* The same from memory; name stands in the messages. */
struct conf *conf_load_text(const char *name, struct bytes text,
    const struct conf_opener *opener, struct conf_errors *errors);
struct conf *conf_defaults(void);
struct conf *conf_ref(const struct conf *c);
void conf_unref(const struct conf *c); /* NULL is allowed */

/* -- questions ------------------------------------------------------------- */

/* The most specific one that fits domain (lower case); NULL = none. */
const struct conf_route *conf_route_find(const struct conf *c,
    struct bytes domain);
const struct conf_tls_rule *conf_tls_rule_find(const struct conf *c,
    struct bytes domain);
const struct conf_dest *conf_dest_find(const struct conf *c,
    struct bytes name);
const struct conf_provider *conf_provider_find(const struct conf *c,
    struct bytes name);
/* By recipient domain, and by MX host (longest suffix wins). */
const struct conf_provider *conf_provider_of_domain(const struct conf *c,
    struct bytes domain);
const struct conf_provider *conf_provider_of_mx(const struct conf *c,
    struct bytes host);
const struct conf_listener *conf_listener_find(const struct conf *c,
    struct bytes name);
/* What the settings allow in addresses: flags of mail/address.h. */
unsigned conf_address_flags(const struct conf *c);
/* dns.*; the servers stand in room, of RESOLVER_SERVERS_MAX, which has to live
 * as long as *out. */
struct resolver_setup;
void conf_resolver_setup(const struct conf *c, struct sockaddr_storage *room,
    struct resolver_setup *out);
/* simulator.md 1: mail to that domain goes nowhere. */
bool conf_is_simulator(const struct conf *c, struct bytes domain);
bool conf_principal_fits(const struct conf_principal *p, uint32_t uid,
    const uint32_t *gids, size_t gid_count);
/* What a user may send as: the first local block that fits; NULL = none. */
const struct conf_local *conf_local_find(const struct conf *c, uint32_t uid,
    const uint32_t *gids, size_t gid_count);

/* -- files, reload, display ------------------------------------------------ */

/* Files that the master opens (reads) for the others. */
enum conf_file_kind {
	CONF_FILE_CERT,
	CONF_FILE_KEY,
	CONF_FILE_OPERATOR_KEY, /* for the keys process only */
	CONF_FILE_MASTER_KEY,	/* for the keys process only */
	CONF_FILE_CA,
	CONF_FILE_PSL
};
/* setting: the directive that names it; each path once per kind */
typedef void conf_file_fn(void *arg, enum conf_file_kind kind,
    const char *setting, const char *path);
void conf_each_file(const struct conf *c, conf_file_fn *fn, void *arg);
/* The configuration files that were read, included ones too, in order. */
void conf_each_source(const struct conf *c,
    void (*fn)(void *arg, const char *path), void *arg);

/*
 * Reload: names of changed settings that need a restart, "a, b", into out;
 * false = none.  conf_keep() then takes the values of these from old, so that
 * a running process goes on with what it was started with.
 */
bool conf_needs_restart(const struct conf *old, const struct conf *new,
    struct buf *out);
void conf_keep(struct conf *new, const struct conf *old);

enum conf_show_mode {
	CONF_SHOW_ALL,
	CONF_SHOW_DEFAULTS, /* what would hold without a file */
	CONF_SHOW_CHANGED   /* only what is set in a file */
};
/*
 * Lines "section.key value  # default|FILE:LINE".  section: "delivery",
 * "delivery.dest", NULL = all.  false = no such section, or out is full.
 */
bool conf_show(const struct conf *c, const char *section,
    enum conf_show_mode mode, struct buf *out);

/* The option table, for the manual and its check. */
struct conf_setting {
	const char *name; /* listener.NAME.tls, delivery.route.DOMAIN */
	const char *type; /* bool, int, duration, list of addr, a|b|c */
	const char *default_text;
	const char *help;
	bool	    needs_restart;
	bool	    is_later; /* known, but not in this release */
};
void conf_known_settings(void (*fn)(void *arg, const struct conf_setting *s),
    void *arg);

#endif
