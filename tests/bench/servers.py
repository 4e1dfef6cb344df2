# SPDX-License-Identifier: ISC
"""Other mail servers for tests/bench/compare, on the peers of the harness.

    s = Exim(folder, How(slow_ms=2)); s.relay_to(None); s.start(); s.port; s.stop()

A folder is one of contrib/dev/peers, or any Debian tree with that server in
it: users are looked up there.  It is copied for each run, spool and all; no
port and no file of the machine's own is used.
"""
import dataclasses
import os
import shutil
import socket
import subprocess

import rig
from harness import peers
from harness.waiting import wait_for

DOMAIN, SELECTOR = "example.com", "bench"
NAME_SERVER = "127.0.0.53", 53           # where resolv.conf looks
USER, PASSWORD = "app", "a-secret-of-the-bench"


@dataclasses.dataclass
class How:
    slow_ms: float = 0                   # each flush takes that much longer
    key: str = None                      # file: mail is signed
    login: tuple = None                  # certificate, key: only after STARTTLS and AUTH as USER


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """To be mixed in before a Peer; what is common to the three."""
    flushes = True
    can_resolve = True                   # and then deliver to a port that is not 25
    sessions_max = 100

    def __init__(self, folder, how):
        self.source, self.slow_ms, self.key = folder, how.slow_ms, how.key
        self.port, self.sink_port, self.names = free_port(), None, None
        super().__init__("mx.bench.example")
        self.login = {}
        if how.login:
            self.login = {"user": USER, "pass": PASSWORD}
            self.put_pair(how.login)

    @staticmethod
    def can_sign(_folder):
        return True

    @staticmethod
    def can_login(_folder):
        return True

    def relay_to(self, port, names=None):
        """None: what is accepted waits in the queue.  With names, a Dns, MX records lead to that port."""
        self.sink_port, self.names = port, names
        if names:
            self.put("etc/resolv.conf", f"nameserver {names.host}\n")
        return self

    def ids(self, name):
        """uid and gid in the folder."""
        with open(os.path.join(self.source, "etc/passwd")) as f:
            for line in f:
                fields = line.split(":")
                if fields[0] == name:
                    return int(fields[2]), int(fields[3])
        raise AssertionError(f"{self.source}: no user {name}")

    def own(self, path, name, mode):
        os.makedirs(self.path(path), exist_ok=True)
        os.chown(self.path(path), *self.ids(name))
        os.chmod(self.path(path), mode)

    def copy(self):
        base, peers.BASE, name, self.name = peers.BASE, os.path.dirname(self.source), self.name, \
            os.path.basename(self.source)
        try:
            super().copy()
        finally:
            peers.BASE, self.name = base, name
        if self.slow_ms:
            os.makedirs(self.path("usr/lib/bench"), exist_ok=True)
            shutil.copy(rig.slow_disk(self.slow_ms), self.path("usr/lib/bench/slowdisk.so"))
            self.put("etc/ld.so.preload", "/usr/lib/bench/slowdisk.so\n")

    def put_key(self, name):
        with open(self.key) as f:
            self.put("etc/dkim.key", f.read(), 0o600, self.ids(name))

    def ready(self):
        """A greeting."""
        if self.process and self.process.poll() is not None:
            with open(os.path.join(self.folder, "stderr"), errors="replace") as f:
                raise AssertionError(f"{self.name} ended: {f.read()}{self.log_text()}")
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as s:
                return s.recv(512).startswith(b"220")
        except OSError:
            return False

    def cpu_seconds(self):
        """Of what runs, and of what has ended and was waited for."""
        ticks = 0
        for pid in self.running():
            try:
                with open(f"/proc/{pid}/stat") as f:
                    ticks += sum(map(int, f.read().rsplit(")", 1)[1].split()[11:15]))
            except OSError:
                pass
        return ticks / os.sysconf("SC_CLK_TCK")

    def count(self, folder, end=""):
        """Files below a folder of the copy."""
        return sum(f.endswith(end) for _, _, files in os.walk(self.path(folder)) for f in files)


class Exim(Server, peers.Exim):
    def configure(self):
        for folder, mode in (("var/log/exim4", 0o750), ("var/spool/exim4", 0o750)):
            self.own(folder, "Debian-exim", mode)
        queue = "queue_only" if self.sink_port is None else "smtp_accept_queue_per_connection = 0"
        sign = ""
        if self.key:
            self.put_key("Debian-exim")
            sign = f"  dkim_domain = {DOMAIN}\n  dkim_selector = {SELECTOR}\n  dkim_private_key = /etc/dkim.key\n" \
                   "  dkim_canon = relaxed\n"
        acl_rcpt = login = ""
        tls = "tls_advertise_hosts =\n"
        if self.login:
            os.chown(self.path("etc/mx.key"), *self.ids("Debian-exim"))
            tls = "tls_advertise_hosts = *\ntls_certificate = /etc/mx.crt\ntls_privatekey = /etc/mx.key\n"
            acl_rcpt = "  require authenticated = *\n"
            login = f"""plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{{USER}}}}}{{eq{{$auth3}}{{{PASSWORD}}}}}}}}}
  server_set_id = $auth2
"""
        router = "  driver = dnslookup\n" if self.names else "  driver = manualroute\n  route_list = * 127.0.0.1 byname\n"
        self.put("etc/exim4/exim4.conf", f"""primary_hostname = {self.hostname}
domainlist local_domains =
log_file_path = /var/log/exim4/%slog
never_users =
host_lookup =
rfc1413_query_timeout = 0s
disable_ipv6
notifier_socket =
keep_environment =
local_interfaces = 127.0.0.1
daemon_smtp_ports = {self.port}
{tls}smtp_accept_max = 4000
smtp_accept_max_per_connection = 0
smtp_connect_backlog = 1024
smtp_accept_max_nonmail = 100000
message_size_limit = 50M
split_spool_directory
{queue}
acl_smtp_mail = acl_mail
acl_smtp_rcpt = acl_rcpt
acl_smtp_data = acl_all
begin acl
acl_mail:
  accept control = dkim_disable_verify
acl_rcpt:
{acl_rcpt}  accept
acl_all:
  accept
begin routers
sink:
{router}  transport = sink
  self = send
begin transports
sink:
  driver = smtp
  port = {self.sink_port or 9}
  allow_localhost
{sign}begin retry
* * F,1h,1m
begin authenticators
{login}""", 0o640, (0, self.ids("Debian-exim")[1]))

    def command(self):
        return ["/usr/sbin/exim4", "-bdf"] + (["-q30m"] if self.sink_port else [])

    def queued(self):
        return self.count("var/spool/exim4/input", "-H")


class Postfix(Server, peers.Postfix):
    OPENDKIM = "usr/sbin/opendkim"
    milter = None

    @classmethod
    def can_sign(cls, folder):
        return os.path.exists(os.path.join(folder, cls.OPENDKIM))

    @staticmethod
    def can_login(folder):
        return os.path.exists(os.path.join(folder, "usr/sbin/saslpasswd2"))

    def copy(self):
        # folders of the queue belong to the user of this folder
        self.USER, self.DROP = self.ids("postfix")[0], self.group("postdrop")
        queue = self.QUEUE
        self.users = {queue: (0, 0, 0o755), queue + "/pid": (0, 0, 0o755),
                      "var/lib/postfix": (self.USER, self.USER, 0o700),
                      queue + "/public": (self.USER, self.DROP, 0o710),
                      queue + "/maildrop": (self.USER, self.DROP, 0o730),
                      **{f"{queue}/{q}": (self.USER, 0, 0o700) for q in (
                          "incoming", "active", "deferred", "defer", "bounce", "corrupt", "flush", "hold", "saved",
                          "trace", "private")}}
        super().copy()

    def group(self, name):
        with open(os.path.join(self.source, "etc/group")) as f:
            return next(int(line.split(":")[2]) for line in f if line.startswith(name + ":"))

    def configure(self):
        route = f"smtp_tcp_port = {self.sink_port}" if self.names else \
            f"relayhost = [127.0.0.1]:{self.sink_port}" if self.sink_port else \
            "smtpd_client_restrictions = check_client_access static:HOLD"
        who = self.configure_login() if self.login else "permit_mynetworks"
        self.main += [f"""smtpd_relay_restrictions = {who}, reject
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
smtpd_client_connection_count_limit = 0
local_header_rewrite_clients =
{route}
{"smtpd_milters = unix:/run/opendkim/socket" if self.key else ""}
"""]
        self.services = [f"127.0.0.1:{self.port} inet n - n - - smtpd"]
        super().configure()

    def configure_login(self):
        self.main.append("""smtpd_tls_security_level = may
smtpd_tls_chain_files = /etc/mx.key, /etc/mx.crt
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = cyrus
smtpd_sasl_path = smtpd
cyrus_sasl_config_path = /etc/postfix/sasl
smtpd_sasl_local_domain = mx.bench.example
""")
        os.makedirs(self.path("etc/postfix/sasl"), exist_ok=True)
        self.put("etc/postfix/sasl/smtpd.conf", "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN\n")
        self.inside("saslpasswd2", "-p", "-c", "-u", self.hostname, USER, input=PASSWORD)
        os.chown(self.path("etc/sasldb2"), self.USER, 0)
        return "permit_sasl_authenticated"

    def start(self):
        if self.key:
            self.start_opendkim()
        return super().start()

    def start_opendkim(self):
        self.put_key("opendkim")
        self.own("run/opendkim", "opendkim", 0o755)
        self.put("etc/opendkim.conf", f"""Mode s
Domain {DOMAIN}
Selector {SELECTOR}
KeyFile /etc/dkim.key
Canonicalization relaxed/relaxed
OversignHeaders From
InternalHosts 127.0.0.0/8
Socket local:/run/opendkim/socket
UMask 000
UserID opendkim
""")
        with open(os.path.join(self.folder, "stderr"), "ab") as err:
            self.milter = subprocess.Popen(["chroot", self.root, "/" + self.OPENDKIM, "-f", "-x", "/etc/opendkim.conf"],
                                           stdin=subprocess.DEVNULL, stdout=err, stderr=err)
        wait_for(lambda: os.path.exists(self.path("run/opendkim/socket")) or self.milter.poll() is not None, "opendkim")

    def stop(self):
        super().stop()                   # all that runs in the copy
        if self.milter:
            self.milter.wait()

    def queued(self):
        return sum(self.count(f"{self.QUEUE}/{q}") for q in ("incoming", "active", "deferred", "hold"))


OPENSMTPD_LIMITS = "".join(f"mta limit {x}\n" for x in (
    "max-conn-per-route 100", "max-conn-per-host 100", "max-conn-per-relay 100", "max-conn-per-source 1000",
    "conn-delay-route 0", "session-mail-max 1000", "task-hiwat 1000", "task-lowat 700", "task-release 300"))


class OpenSMTPD(Server, peers.Peer):
    """Answers 250 before anything is on the disk: no measure for acceptance."""
    name = "opensmtpd"
    log_path = "var/log/mail.log"
    flushes = can_resolve = False
    sessions_max = 20                    # of fifty at once some get no greeting, for ever

    @staticmethod
    def can_login(_folder):
        return False                     # of Debian 12: its TLS does not go with OpenSSL 3

    def configure(self):
        sign = use = ""
        if self.key:
            self.put_key("_dkimsign")
            sign = f'filter "dkim" proc-exec "filter-dkimsign -d {DOMAIN} -s {SELECTOR} -k /etc/dkim.key ' \
                   '-a rsa-sha256 -c relaxed/relaxed" user _dkimsign group _dkimsign\n'
            use = ' filter "dkim"'
        # without these it delivers some 16 messages a second to one host
        self.put("etc/smtpd.conf", f"""smtp limit max-mails 1000000
smtp max-message-size 50M
{OPENSMTPD_LIMITS}{sign}listen on 127.0.0.1 port {self.port} hostname {self.hostname}{use}
action "relay" relay host smtp://127.0.0.1:{self.sink_port or 9}
match from any for any action "relay"
""")

    def command(self):
        return ["/usr/sbin/smtpd", "-F"] + ([] if self.sink_port else ["-P", "mta"])

    def queued(self):
        return self.count("var/spool/smtpd/queue", "message")

    def start(self):
        super().start()
        wait_for(self.ready, "a greeting")
        return self


KINDS = {"exim": Exim, "postfix": Postfix, "opensmtpd": OpenSMTPD}
