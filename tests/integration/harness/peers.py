# SPDX-License-Identifier: ISC
"""Postfix, Exim, Sendmail and OpenSMTPD, each in a folder of its own.

    unpack()                                 # once
    mx = Postfix("mx.postfix.example").receive("127.0.0.2", port, (cert, key)).start()
    mx.wait_mails("x@sink.example")[0].data; mx.wait_log(r"bdat=1"); mx.stop()

    c = Exim("app1.example.com").smarthost(relay, relay.ports["submission"], key, password).start()
    c.submit("sender@example.com", ["x@sink.example"], text); c.wait_log(r'C="250 Ok')

contrib/dev/peers unpacks Debian's packages once; a server runs, with chroot,
in a copy of that folder below the test's own.  Nothing of the machine's
configuration is read or written.  stop() ends what was started, by pid.
"""
import os
import pathlib
import re
import shutil
import signal
import smtplib
import socket
import socketserver
import subprocess
import tempfile
import threading
import time

from .readme import HOST, Recipe
from .waiting import free_port, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
SCRIPT = os.path.join(HERE, "..", "..", "..", "contrib", "dev", "peers")
BASE = os.environ.get("POSTHORN_PEERS", "/var/cache/posthorn-peers")
APP = 1000                       # the user of the mailboxes, in the copy
NOT_ROOT = "these mail servers run with chroot, as several users: root only"


def unpack():
    """Makes sure of the folders below BASE; root only."""
    r = subprocess.run([SCRIPT, "-q"], capture_output=True, text=True)
    if r.returncode != 0:
        raise AssertionError("contrib/dev/peers: " + r.stderr[-2000:])


class Mail:
    """One file of a mailbox: what the server put in front, what came in."""

    def __init__(self, raw):
        self.data = raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        self.head, _, self.body = self.data.partition(b"\r\n\r\n")

    def field(self, name):
        """The first field of that name, unfolded; None without one."""
        m = re.search(rb"(?im)^" + name.encode() + rb":[ \t]*(.*(?:\r\n[ \t].*)*)", self.head)
        return re.sub(r"\s+", " ", m[1].decode("ascii", "replace")).strip() if m else None

    @property
    def sender(self):
        return self.field("Return-Path").strip("<>")

    @property
    def rcpt(self):
        return self.field("Delivered-To") or self.field("Envelope-To")


class Peer:
    name = None                  # folder below BASE
    log_path = None
    users = {}                   # folder in the copy: (uid, gid, mode)

    def __init__(self, hostname, folder=None):
        self.hostname = hostname
        self.folder = tempfile.mkdtemp(prefix=f"posthorn-{self.name}-", dir=folder)
        os.chmod(self.folder, 0o755)
        self.root = os.path.join(self.folder, "root")
        self.process = None
        self.hosts = {"localhost": "127.0.0.1"}
        self.copy()

    # -- the copy -------------------------------------------------------------
    def copy(self):
        source = os.path.join(BASE, self.name)
        os.mkdir(self.root)
        for entry in os.listdir(source):
            # programs are never written to: links, where the disk allows it
            kinds = ("-al", "-a") if entry in ("usr", "lib", "lib64") else ("-a",)
            for kind in kinds:
                r = subprocess.run(["cp", kind, os.path.join(source, entry), self.root],
                                   capture_output=True, text=True)
                if r.returncode == 0:
                    break
                shutil.rmtree(os.path.join(self.root, entry), ignore_errors=True)
            else:
                raise AssertionError(r.stderr)
        for device, minor in (("null", 3), ("zero", 5), ("random", 8), ("urandom", 9)):
            path = self.path("dev", device)
            if os.path.exists(path):
                continue          # a folder that was not made by contrib/dev/peers
            os.mknod(path, 0o20666, os.makedev(1, minor))
            os.chmod(path, 0o666)
        for path, (uid, gid, mode) in self.users.items():
            os.makedirs(self.path(path), exist_ok=True)
            os.chown(self.path(path), uid, gid)
            os.chmod(self.path(path), mode)

    def path(self, *parts):
        return os.path.join(self.root, *(p.lstrip("/") for p in parts))

    def put(self, path, text, mode=0o644, owner=(0, 0)):
        with open(self.path(path), "w") as f:
            f.write(text)
        os.chown(self.path(path), *owner)
        os.chmod(self.path(path), mode)
        return path

    def put_pair(self, pair, owner=(0, 0)):
        for source, name, mode in ((pair[0], "mx.crt", 0o644), (pair[1], "mx.key", 0o600)):
            with open(source) as f:
                self.put("etc/" + name, f.read(), mode, owner)

    def trust(self, cert):
        """What the recipes call the system's certificates."""
        os.makedirs(self.path("etc/ssl/certs"), exist_ok=True)
        with open(cert) as f:
            self.put("etc/ssl/certs/ca-certificates.crt", f.read())

    def inside(self, *command, input=None, check=True):
        r = subprocess.run(["chroot", self.root, *command], input=input, capture_output=True, text=True,
                           timeout=60, env={"PATH": "/usr/sbin:/usr/bin", "LC_ALL": "C"})
        if check and r.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: status {r.returncode}: {r.stdout}{r.stderr}")
        return r

    # -- life -----------------------------------------------------------------
    def start(self):
        self.put("etc/hosts", "".join(f"{a} {n}\n" for n, a in self.hosts.items()))
        self.put("etc/mailname", self.hostname + "\n")
        self.configure()
        command = self.command()
        if command:
            with open(os.path.join(self.folder, "stderr"), "ab") as err:
                self.process = subprocess.Popen(["chroot", self.root, *command], stdin=subprocess.DEVNULL,
                                                stdout=err, stderr=err, start_new_session=True,
                                                env={"PATH": "/usr/sbin:/usr/bin", "LC_ALL": "C"})
            wait_for(self.ready, f"{self.name} to be ready")
        return self

    def ready(self):
        if self.process.poll() is not None:
            with open(os.path.join(self.folder, "stderr"), errors="replace") as f:
                raise AssertionError(f"{self.name} ended: {f.read()}{self.log_text()}")
        return re.search(self.started, self.log_text())

    def running(self):
        """Pids of what runs in this copy, started by us or by those."""
        out = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                where = os.readlink(f"/proc/{pid}/root")
            except OSError:
                continue
            if (where + "/").startswith(self.root + "/"):
                out.append(int(pid))
        return out

    def stop(self):
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None
        for kind in (signal.SIGTERM, signal.SIGKILL):
            for pid in self.running():
                try:
                    os.kill(pid, kind)
                except ProcessLookupError:
                    pass
            try:
                wait_for(lambda: not self.running(), f"processes of {self.name} to end", 5)
                break
            except AssertionError:
                if kind == signal.SIGKILL:
                    raise
        if not os.environ.get("POSTHORN_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)

    # -- what it says -----------------------------------------------------------
    def log_text(self, offset=0):
        try:
            with open(self.path(self.log_path), errors="replace") as f:
                f.seek(offset)
                return f.read()
        except FileNotFoundError:
            return ""

    def log_end(self):
        return len(self.log_text().encode("utf-8", "replace"))

    def wait_log(self, pattern, timeout=30, offset=0):
        try:
            return wait_for(lambda: re.search(pattern, self.log_text(offset)), f"{self.name}: {pattern}", timeout)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.log_text(offset)[-4000:]}") from None

    # -- the mailbox ------------------------------------------------------------
    def mails(self):
        folder = self.path("var/mail/all/new")
        if not os.path.isdir(folder):
            return []
        names = sorted(os.listdir(folder), key=lambda n: os.stat(os.path.join(folder, n)).st_mtime_ns)
        return [Mail(pathlib.Path(folder, n).read_bytes()) for n in names]

    def mails_to(self, rcpt):
        return [m for m in self.mails() if m.rcpt == rcpt]

    def wait_mails(self, rcpt, count=1, timeout=30):
        try:
            return wait_for(lambda: (lambda f: f if len(f) >= count else None)(self.mails_to(rcpt)),
                            f"{count} mails to {rcpt} at {self.name}", timeout)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.log_text()[-4000:]}") from None


POSTFIX_SERVICES = """
pickup    unix  n       -       n       60      1       pickup
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
tlsmgr    unix  -       -       n       1000?   1       tlsmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
defer     unix  -       -       n       -       0       bounce
trace     unix  -       -       n       -       0       bounce
verify    unix  -       -       n       -       1       verify
flush     unix  n       -       n       1000?   0       flush
proxymap  unix  -       -       n       -       -       proxymap
smtp      unix  -       -       n       -       -       smtp
relay     unix  -       -       n       -       -       smtp
showq     unix  n       -       n       -       -       showq
error     unix  -       -       n       -       -       error
retry     unix  -       -       n       -       -       error
discard   unix  -       -       n       -       -       discard
virtual   unix  -       n       n       -       -       virtual
anvil     unix  -       -       n       -       1       anvil
scache    unix  -       -       n       -       1       scache
postlog   unix-dgram n  -       n       -       1       postlogd
"""


class Postfix(Peer):
    name = "postfix"
    log_path = "var/log/mail.log"
    started = r"postfix/master\[\d+\]: daemon started"
    QUEUE = "var/spool/postfix"
    USER, DROP = 101, 103
    users = {QUEUE: (0, 0, 0o755), QUEUE + "/pid": (0, 0, 0o755), "var/lib/postfix": (USER, USER, 0o700),
             QUEUE + "/public": (USER, DROP, 0o710), QUEUE + "/maildrop": (USER, DROP, 0o730),
             **{f"var/spool/postfix/{q}": (101, 0, 0o700) for q in (
                 "incoming", "active", "deferred", "defer", "bounce", "corrupt", "flush", "hold", "saved",
                 "trace", "private")},
             "var/mail/all": (APP, APP, 0o700)}

    def __init__(self, hostname, folder=None):
        self.main, self.services = [], []
        super().__init__(hostname, folder)

    def receive(self, address, port, pair, *options):
        """Takes mail for any domain; options are for this address only
        ("smtpd_recipient_limit=3").  May be called once more."""
        self.services.append(f"{address}:{port} inet n - n - - smtpd" +
                             "".join(f"\n  -o {o.replace(' ', '')}" for o in options))
        if len(self.services) > 1:
            return self
        self.put_pair(pair)
        self.put("etc/postfix/mailboxes", "!/^unknown@/ all/\n")
        self.main.append(f"""
smtpd_tls_security_level = may
smtpd_tls_chain_files = /etc/mx.key, /etc/mx.crt
smtpd_tls_loglevel = 1
smtpd_tls_received_header = yes
smtpd_forbid_bare_newline = yes
smtpd_data_restrictions = reject_unauth_pipelining
smtpd_forbid_unauth_pipelining = yes
smtpd_relay_restrictions = reject_unauth_destination
smtpd_delay_reject = no
local_header_rewrite_clients =
virtual_transport = virtual
virtual_mailbox_domains = regexp:/etc/postfix/domains
virtual_mailbox_maps = regexp:/etc/postfix/mailboxes
virtual_mailbox_base = /var/mail
virtual_mailbox_limit = 0
virtual_minimum_uid = {APP}
virtual_uid_maps = static:{APP}
virtual_gid_maps = static:{APP}
virtual_destination_recipient_limit = 1
""")
        self.put("etc/postfix/domains", "/./ any\n")
        return self

    def forward(self, ports):
        """Passes mail for these domains on to a port of this machine: {domain: port}."""
        self.main.append("transport_maps = inline:{%s}\n" % ", ".join(
            "{ %s = smtp:[127.0.0.1]:%d }" % pair for pair in ports.items()))
        return self

    def smarthost(self, relay, port, user, password, wrapper=False, more=()):
        """As README.md has it (smtp-interface.md 17.2); more: further lines of main.cf."""
        recipe = Recipe("Postfix", port, user, password)
        main, login, generic = recipe.blocks
        self.hosts[HOST] = "127.0.0.1"
        self.trust(relay.cert)
        if wrapper:
            main = re.sub(r"(?m)^relayhost = .*", recipe.one("relayhost = .*"), main)
            main += recipe.one("smtp_tls_wrappermode = yes") + "\n"
        # names come from the file of hosts, and the log names TLS and the login
        main += "smtp_host_lookup = native\nsmtp_tls_loglevel = 1\n"
        self.main.append(main + "".join(line + "\n" for line in more))
        self.put("etc/postfix/sasl_passwd", login, 0o600)
        self.put("etc/postfix/generic", generic)
        return self

    def configure(self):
        self.put("etc/postfix/main.cf", f"""compatibility_level = 3.6
myhostname = {self.hostname}
mydestination =
mynetworks = 127.0.0.9/32
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps =
maillog_file = /{self.log_path}
message_size_limit = 52428800
smtpd_peername_lookup = no
smtputf8_enable = no
""" + "".join(self.main))
        # Postfix waits for a file that was written this second to be complete
        os.utime(self.path("etc/postfix/main.cf"), (time.time() - 60,) * 2)
        self.put("etc/postfix/master.cf", "\n".join(self.services) + POSTFIX_SERVICES)
        if os.path.exists(self.path("etc/postfix/sasl_passwd")):
            self.inside("postmap", "/etc/postfix/sasl_passwd")

    def command(self):
        return ["/usr/lib/postfix/sbin/master", "-d", "-c", "/etc/postfix"]

    def submit(self, sender, rcpts, text):
        self.inside("sendmail", "-i", "-f", sender, *rcpts, input=text)

    def flush(self):
        self.inside("postqueue", "-f")

    def queue(self):
        """Queue ids of what waits."""
        text = self.inside("postqueue", "-p").stdout
        return re.findall(r"(?m)^([0-9A-Za-z]+)[*!]?\s", text) if "is empty" not in text else []


class Exim(Peer):
    name = "exim"
    log_path = "var/log/exim4/mainlog"
    started = r"exim \S+ daemon started"
    USER = 102
    users = {"var/log/exim4": (USER, USER, 0o750), "var/spool/exim4": (USER, USER, 0o750),
             "var/mail/all": (APP, APP, 0o700)}

    def __init__(self, hostname, folder=None):
        self.main, self.acls, self.routers = [], [], []
        self.transports, self.authenticators = [], []
        self.daemon = False
        super().__init__(hostname, folder)

    def receive(self, address, port, pair, *options, chunking="*"):
        """Takes mail for any domain; options are lines of the main part;
        chunking: to whom CHUNKING is offered.  May be called once."""
        self.daemon = True
        self.put_pair(pair, (0, self.USER))
        os.chmod(self.path("etc/mx.key"), 0o640)
        self.main.append(f"local_interfaces = {address}\ndaemon_smtp_ports = {port}\n"
                         "tls_advertise_hosts = *\ntls_certificate = /etc/mx.crt\ntls_privatekey = /etc/mx.key\n"
                         f"chunking_advertise_hosts = {chunking}\npipelining_advertise_hosts = *\n"
                         "acl_smtp_rcpt = acl_rcpt\nacl_smtp_data = acl_data\n" + "".join(o + "\n" for o in options))
        # keys would be asked for in DNS
        self.acls.append("acl_rcpt:\n  warn control = dkim_disable_verify\n"
                         "  deny local_parts = unknown\n       message = Unrouteable address\n"
                         "  accept\nacl_data:\n  accept\n")
        self.routers.append("all:\n  driver = accept\n  transport = mailbox\n")
        self.transports.append(f"""mailbox:
  driver = appendfile
  directory = /var/mail/all
  maildir_format
  delivery_date_add
  envelope_to_add
  return_path_add
  user = {APP}
  group = {APP}
""")
        return self

    def forward(self, ports):
        """As that of Postfix; before receive()."""
        for n, (domain, port) in enumerate(ports.items()):
            self.routers.append(f"forward{n}:\n  driver = manualroute\n  domains = {domain}\n"
                                f"  transport = forward{n}\n  route_list = * 127.0.0.1 byname\n  self = send\n")
            self.transports.append(f"forward{n}:\n  driver = smtp\n  port = {port}\n  allow_localhost\n"
                                   "  hosts_avoid_tls = *\n")
        return self

    def smarthost(self, relay, port, user, password, wrapper=False, login=False):
        """As README.md has it (smtp-interface.md 17.3)."""
        recipe = Recipe("Exim", port, user, password)
        router, transport, plain = re.split(r"(?m)^# .*\n", recipe.blocks[0])[1:]
        self.hosts[HOST] = "127.0.0.1"
        self.trust(relay.cert)
        if wrapper:
            router = re.sub(r"(?m)^  route_list = .*", "  " + recipe.one("route_list = .*"), router)
            transport += "  " + recipe.one("protocol = smtps") + "\n"
        # posthorn is on this machine here
        self.routers.append(router + "  self = send\n")
        self.transports.append(transport + "  allow_localhost\n")
        self.authenticators.append(plain if not login else
                                   "posthorn_login:\n  driver = plaintext\n  public_name = LOGIN\n"
                                   f"  client_send = : {user} : {password}\n")
        return self

    def configure(self):
        self.put("etc/exim4/exim4.conf", f"""primary_hostname = {self.hostname}
domainlist local_domains = localhost
log_file_path = /var/log/exim4/%slog
log_selector = +pipelining +smtp_confirmation +outgoing_port +received_recipients
never_users =
trusted_users = root
host_lookup =
rfc1413_query_timeout = 0s
disable_ipv6
notifier_socket =
keep_environment =
smtp_accept_max = 100
smtp_accept_queue_per_connection = 0
timeout_frozen_after = 1d
""" + "".join(self.main) + "begin acl\n" + "".join(self.acls) +
                 "begin routers\n" + "".join(self.routers) + "begin transports\n" + "".join(self.transports) +
                 "begin retry\n* * F,1h,1s\nbegin authenticators\n" + "".join(self.authenticators),
                 0o640, (0, self.USER))
        self.inside("exim4", "-bV")

    def command(self):
        return ["/usr/sbin/exim4", "-bdf"] if self.daemon else None

    def submit(self, sender, rcpts, text):
        """Delivers before it returns."""
        self.inside("exim4", "-i", "-odf", "-f", sender, *rcpts, input=text)

    def flush(self):
        self.inside("exim4", "-qff")

    def queue(self):
        return re.findall(r"(?m)\s(\w{6}-\w{6}-\w{2})\s", self.inside("exim4", "-bp").stdout)


class Sendmail(Peer):
    """As a client it delivers before submit() returns; as a receiver it
    leaves what it takes in its queue, and that is its mailbox."""
    name = "sendmail"
    log_path = "var/log/mail.log"
    started = r"starting daemon \(.*\): SMTP"
    users = {"var/spool/mqueue": (0, 0, 0o700), "var/lib/sendmail/host_status": (0, 0, 0o700)}
    PROGRAM = "/usr/libexec/sendmail/sendmail"
    daemon = False
    maps = ("authinfo",)

    def receive(self, address, port, pair, *options):
        """Takes mail for any domain; options are lines of sendmail.mc."""
        self.daemon = True
        self.put_pair(pair)
        self.mc = f"""DAEMON_OPTIONS(`Name=MTA, Addr={address}, Port={port}')dnl
FEATURE(`no_default_msa')dnl
FEATURE(`promiscuous_relay')dnl
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`nocanonify')dnl
define(`confDELIVERY_MODE', `queueonly')dnl
define(`confTO_IDENT', `0')dnl
define(`confCACERT_PATH', `/etc/mail')dnl
define(`confCACERT', `/etc/mx.crt')dnl
define(`confSERVER_CERT', `/etc/mx.crt')dnl
define(`confSERVER_KEY', `/etc/mx.key')dnl
""" + "".join(o + "\n" for o in options)
        self.put("etc/mail/authinfo", "")
        return self

    def forward(self, ports):
        """As that of Postfix, for two domains; after receive().  Delivers at once then."""
        mailers = ("esmtp", "relay")
        self.mc = self.mc.replace("`queueonly'", "`background'") + \
            "FEATURE(`mailertable', `hash -o /etc/mail/mailertable')dnl\n"
        for mailer, port in zip(mailers, ports.values()):
            self.mc += f"define(`{mailer.upper()}_MAILER_ARGS', `TCP $h {port}')dnl\n"
        self.put("etc/mail/mailertable", "".join(
            f"{domain}\t{mailer}:[127.0.0.1]\n" for domain, mailer in zip(ports, mailers)))
        self.maps += ("mailertable",)
        return self

    def smarthost(self, relay, port, user, password, wrapper=False):
        """As README.md has it."""
        recipe = Recipe("Sendmail", port, user, password)
        login, self.mc = recipe.blocks
        self.hosts[HOST] = "127.0.0.1"
        self.trust(relay.cert)
        self.put("etc/mail/authinfo", login, 0o600)
        return self

    def configure(self):
        # the machine's own syslog is not in here; names come from the file of hosts
        self.syslog = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.syslog.bind(self.path("dev/log"))
        self.put(self.log_path, "")
        self.keeper = threading.Thread(target=self.keep_syslog, daemon=True)
        self.keeper.start()
        self.put("etc/mail/sendmail.mc", f"""define(`_USE_ETC_MAIL_')dnl
include(`/usr/share/sendmail/cf/m4/cf.m4')dnl
OSTYPE(`debian')dnl
define(`confDOMAIN_NAME', `{self.hostname}')dnl
define(`confSERVICE_SWITCH_FILE', `/etc/mail/service.switch-nodns')dnl
define(`confLOG_LEVEL', `14')dnl
{self.mc}MAILER(`local')dnl
MAILER(`smtp')dnl
""")
        self.put("etc/mail/service.switch-nodns", "hosts files\naliases files\n")
        self.put("etc/mail/sendmail.cf", self.inside("m4", "/etc/mail/sendmail.mc").stdout)
        for name in self.maps:
            self.inside("/usr/libexec/sendmail/makemap", "hash", "/etc/mail/" + name,
                        input=pathlib.Path(self.path("etc/mail", name)).read_text())

    def command(self):
        return [self.PROGRAM, "-bD"] if self.daemon else None

    def mails(self):
        """The queue's messages: a file of the envelope and the fields, one of the body."""
        folder = pathlib.Path(self.path("var/spool/mqueue"))
        found = []
        for path in sorted(folder.glob("qf*"), key=lambda p: p.stat().st_mtime_ns):
            lines = re.split(r"\n(?![ \t])", path.read_text("latin-1"))
            if "." not in lines:
                continue         # is being written
            of = {kind: [l[1:] for l in lines if l[:1] == kind] for kind in "SRH"}
            body = (folder / ("df" + path.name[2:])).read_bytes()
            head = [f"Return-Path: {of['S'][0]}", *(f"Delivered-To: {r.split(':', 1)[1].strip('<>')}" for r in of["R"]),
                    *(h.split("?", 2)[2] for h in of["H"] if not h.startswith("?P?"))]
            found.append(Mail("\n".join(head).encode("latin-1") + b"\n\n" + body))
        return found

    def keep_syslog(self):
        with open(self.path(self.log_path), "ab", buffering=0) as f:
            while line := self.syslog.recv(65536):
                f.write(line + b"\n")

    def stop(self):
        self.syslog.shutdown(socket.SHUT_RD)
        self.keeper.join()
        self.syslog.close()
        super().stop()

    def submit(self, sender, rcpts, text):
        # status 75: it waits in the queue
        r = self.inside(self.PROGRAM, "-Am", "-i", "-O", "DeliveryMode=interactive", "-f", sender, *rcpts,
                        input=text, check=False)
        if r.returncode not in (0, 75):
            raise AssertionError(f"sendmail: status {r.returncode}: {r.stdout}{r.stderr}{self.log_text()}")

    def flush(self):
        self.inside(self.PROGRAM, "-Am", "-q")

    def queue(self):
        return [n for n in os.listdir(self.path("var/spool/mqueue")) if n.startswith("qf")]


class OpenSMTPD(Peer):
    """submit() speaks SMTP to an address that it listens on for that: its
    own sendmail would have to be set-gid.  6.8 offers no PIPELINING and no
    CHUNKING, and with OpenSSL 3 it cannot be a server of TLS."""
    name = "opensmtpd"
    log_path = "../stderr"
    users = {"var/run": (0, 0, 0o755), "var/spool/smtpd": (0, 0, 0o711), "var/lib/opensmtpd/empty": (0, 0, 0o755),
             "var/mail/all": (APP, APP, 0o700)}
    GROUP = 104

    def __init__(self, hostname, folder=None):
        self.lines, self.place = [], None
        super().__init__(hostname, folder)

    def receive(self, address, port, pair, *options):
        """Takes mail for any domain; options stand behind "listen on"."""
        self.place = (address, port)
        self.lines.append(f"""table unknown {{ "unknown@opensmtpd.example" }}
listen on {address} port {port} hostname {self.hostname} {" ".join(options)}
action "all" maildir "/var/mail/all" virtual {{ "@" = app }}
match from any for any rcpt-to <unknown> reject
match from any for any action "all"
""")
        return self

    def forward(self, ports):
        """As that of Postfix; before receive()."""
        for n, (domain, port) in enumerate(ports.items()):
            self.lines.append(f'action "forward{n}" relay host smtp://127.0.0.1:{port}\n'
                              f'match from any for domain "{domain}" action "forward{n}"\n')
        return self

    def smarthost(self, relay, port, user, password, wrapper=False):
        self.place = ("127.0.0.1", free_port())
        self.hosts[HOST] = "127.0.0.1"
        self.trust(relay.cert)
        self.put("etc/creds", f"posthorn {user}:{password}\n", 0o640, (0, self.GROUP))
        scheme = "smtps" if wrapper else "smtp+tls"
        self.lines.append(f"""table creds file:/etc/creds
listen on {self.place[0]} port {self.place[1]} hostname {self.hostname}
action "relay" relay host {scheme}://posthorn@{HOST}:{port} auth <creds>
match from any for any action "relay"
""")
        return self

    def configure(self):
        self.put("etc/smtpd.conf", "".join(self.lines))

    def command(self):
        return ["/usr/sbin/smtpd", "-d"]

    def ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"smtpd ended: {self.log_text()}")
        try:
            with socket.create_connection(self.place, 5) as s:
                return s.recv(512).startswith(b"220 ")
        except OSError:
            return False

    def submit(self, sender, rcpts, text):
        with smtplib.SMTP(*self.place, local_hostname="localhost") as c:
            c.sendmail(sender, rcpts, text.replace("\n", "\r\n"))

    def queue(self):
        """Messages that wait."""
        return list(pathlib.Path(self.path("var/spool/smtpd/queue")).glob("*/*/message"))


class Greylist(socketserver.ThreadingTCPServer):
    """Postfix's policy protocol: a triplet is refused the first time."""
    allow_reuse_address = True
    daemon_threads = True

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            asked = {}
            for line in self.rfile:
                name, _, value = line.decode("ascii", "replace").rstrip("\n").partition("=")
                if name:
                    asked[name] = value
                    continue
                self.wfile.write(b"action=" + self.server.judge(asked).encode() + b"\n\n")
                asked = {}

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.port = self.server_address[1]
        self.lock = threading.Lock()
        self.asked = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def judge(self, asked):
        triplet = (asked["client_address"], asked["sender"], asked["recipient"])
        with self.lock:
            known = triplet in self.asked
            self.asked.append(triplet)
        return "dunno" if known else "451 4.7.1 Greylisted, please try again later"

    def stop(self):
        self.shutdown()
        self.server_close()
