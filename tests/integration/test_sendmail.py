# SPDX-License-Identifier: ISC
"""The sendmail binary: against a scripted server, and against posthornd
(admin-cli.md section 17, credentials.md section 8)."""
import os
import pwd
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import unittest

from harness.dns import Dns
from harness.relay import BUILD, Relay, certificate
from harness.sink import Sink, stop_listening
from harness.waiting import wait_for

SENDMAIL = os.path.join(BUILD, "sendmail")


class Scripted(threading.Thread):
    """An SMTP server that takes one message a session; replies by verb."""

    def __init__(self, address, family=socket.AF_UNIX, tls=None, wrapper=False, keywords=("SIZE 1000000", "8BITMIME")):
        super().__init__(daemon=True)
        self.replies = {}
        self.keywords, self.wrapper = list(keywords), wrapper
        self.context = None
        if tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*tls)
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.bind(address)
        self.listener.listen(8)
        self.commands, self.data, self.behind_starttls = [], None, b""
        self.start()

    def port(self):
        return self.listener.getsockname()[1]

    def run(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.settimeout(30)
            try:
                self.talk(sock)
            except (OSError, EOFError):
                pass
            finally:
                self.file.close()
                self.sock.close()

    def talk(self, sock):
        self.sock, self.commands, self.data = sock, [], None
        self.file = sock.makefile("rb")
        if self.wrapper:
            self.file.close()
            self.sock = self.context.wrap_socket(self.sock, server_side=True)
            self.file = self.sock.makefile("rb")
        self.say(self.replies.get("greeting", "220 mail.relay.example ESMTP posthorn-n1 x"))
        while True:
            line = self.file.readline()
            if not line:
                raise EOFError
            text = line.decode().rstrip("\r\n")
            assert line.endswith(b"\r\n"), line
            self.commands.append(text)
            verb = text.split(":")[0].split(" ")[0].upper()
            if verb == "EHLO" and "EHLO" not in self.replies:
                for k in ["mail.relay.example", *self.keywords]:
                    self.say("250-" + k)
                if self.context and not self.wrapper and not isinstance(self.sock, ssl.SSLSocket):
                    self.say("250-STARTTLS")
                self.say("250 Ok")
            elif verb == "STARTTLS":
                self.sock.sendall(b"220 Ready\r\n" + self.behind_starttls)
                self.file.close()
                self.sock = self.context.wrap_socket(self.sock, server_side=True)
                self.file = self.sock.makefile("rb")
            elif verb == "DATA" and "DATA" not in self.replies:
                self.say("354 go")
                lines = []
                while (line := self.file.readline()) not in (b".\r\n", b""):
                    lines.append(line)
                self.data = b"".join(lines)
                self.say(self.replies.get("dot", "250 Ok 1"))
            else:
                rule = self.replies.get(verb, "235 yes" if verb == "AUTH" else "250 Ok")
                self.say(rule(text) if callable(rule) else rule)
                if verb == "QUIT":
                    return

    def say(self, text):
        self.sock.sendall(text.encode() + b"\r\n")

    def named(self, verb):
        return [c for c in self.commands if c.upper().startswith(verb)]

    def stop(self):
        stop_listening(self, self.listener)


class Client(unittest.TestCase):
    """What the program says to any server, and its exit statuses."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="posthorn-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.server = None

    def serve(self, **options):
        path = os.path.join(self.folder, "submit.sock")
        self.server = Scripted(path, **options)
        self.addCleanup(self.server.stop)
        self.configure(f"socket {path}\n")
        return self.server

    def configure(self, text):
        self.conf = os.path.join(self.folder, "sendmail.conf")
        with open(self.conf, "w") as f:
            f.write(text)

    def sendmail(self, *args, input=b"", status=0, **options):
        r = subprocess.run([SENDMAIL, "-C", self.conf, *args], input=input, capture_output=True, timeout=60, **options)
        self.assertEqual(r.returncode, status, r.stderr)
        return r.stderr.decode()

    def test_envelope(self):
        """size and body type are told, each recipient once; nothing is printed"""
        s = self.serve()
        said = self.sendmail("-f", "s@example.com", "a@x.example", "b", "a@x.example",
                             input="Subject: x\n\nh\u00e4\n".encode())
        self.assertEqual(said, "")
        head = b"Subject: x\r\nFrom: "
        self.assertTrue(s.data.startswith(head), s.data)
        self.assertTrue(s.data.endswith("<s@example.com>\r\n\r\nh\u00e4\r\n".encode()), s.data)
        self.assertEqual(s.named("MAIL"), [f"MAIL FROM:<s@example.com> SIZE={len(s.data)} BODY=8BITMIME"])
        self.assertEqual(s.named("RCPT"), ["RCPT TO:<a@x.example>", "RCPT TO:<b@mail.relay.example>"])

    def test_null_sender(self):
        """-f '' and -f '<>' are the null sender; no From is made up"""
        s = self.serve()
        for given in ("", "<>"):
            self.sendmail("-f", given, "a@x.example", input=b"Subject: x\n\ny\n")
            self.assertTrue(s.named("MAIL")[0].startswith("MAIL FROM:<> "))
            self.assertNotIn(b"From:", s.data)

    def test_default_sender(self):
        """without -f: the configured sender, else the caller at the server's name"""
        s = self.serve()
        self.sendmail("a@x.example", input=b"\ny\n")
        me = subprocess.run(["id", "-un"], capture_output=True, text=True).stdout.strip()
        self.assertTrue(s.named("MAIL")[0].startswith(f"MAIL FROM:<{me}@mail.relay.example> "))
        with open(self.conf, "a") as f:
            f.write("sender alerts@example.com\nconfiguration_set prod\n")
        self.sendmail("-F", "Al Erts", "a@x.example", input=b"\ny\n")
        self.assertTrue(s.named("MAIL")[0].startswith("MAIL FROM:<alerts@example.com> "))
        self.assertIn(b"From: Al Erts <alerts@example.com>\r\n", s.data)
        self.assertIn(b"X-SES-CONFIGURATION-SET: prod\r\n", s.data)

    def test_pipelining(self):
        """many recipients, in windows; all replies are read"""
        s = self.serve(keywords=("PIPELINING", "SIZE 1000000"))
        self.sendmail("-t", input=b"To: " + b",\n ".join(b"r%d@x.example" % i for i in range(300)) + b"\n\ny\n")
        self.assertEqual(len(s.named("RCPT")), 300)
        self.assertIn(b"r299@x.example", s.data)

    def test_all_or_nothing(self):
        """one refused recipient: the message is sent to nobody"""
        s = self.serve(keywords=("PIPELINING", "SIZE 1000000"))
        s.replies["RCPT"] = lambda text: "553 <b> address unknown" if "<b@" in text else "250 Ok"
        said = self.sendmail("a@x.example", "b@x.example", "c@x.example", input=b"\ny\n", status=67)
        self.assertEqual(said, "sendmail: 553 <b> address unknown\n")
        self.assertEqual(s.named("DATA"), [])

    def test_statuses(self):
        """replies of each stage"""
        s = self.serve()
        for stage, reply, status in (
                ("greeting", "421 Too many concurrent SMTP connections", 75),
                ("greeting", "554 5.7.1 Access denied", 77),
                ("EHLO", "421 Credentials revoked", 75),
                ("MAIL", "530 Authentication required", 77),
                ("MAIL", "452 Insufficient system storage", 75),
                ("MAIL", "552 Message is too long.", 65),
                ("DATA", "454 Throttling failure: Daily message quota exceeded", 75),
                ("dot", "554 Transaction failed: Duplicate header 'Subject'.", 65),
                ("dot", "554 Message rejected: Sending paused for this account.", 69),
                ("dot", "554 Message rejected: Email address is not verified. The following", 77),
                ("dot", "451 Temporary service failure", 75)):
            with self.subTest(reply=reply):
                s.replies = {stage: reply}
                said = self.sendmail("a@x.example", input=b"\ny\n", status=status)
                self.assertEqual(said, f"sendmail: {reply}\n")

    def test_no_smtp(self):
        """a peer that speaks something else, and one that hangs up"""
        s = self.serve()
        s.replies["greeting"] = "hello there"
        self.sendmail("a@x.example", input=b"\ny\n", status=75)
        s.replies = {"DATA": "354 go"}  # ends the session by closing
        s.replies["MAIL"] = lambda text: (_ for _ in ()).throw(EOFError())
        said = self.sendmail("a@x.example", input=b"\ny\n", status=75)
        self.assertTrue(said.startswith("sendmail: "), said)

    def test_usage(self):
        """admin-cli#24; no recipient; bad addresses never reach the server"""
        self.serve()
        self.assertEqual(self.sendmail("-bd", status=64), "sendmail: option -bd is not supported\n")
        self.assertEqual(self.sendmail(status=64), "sendmail: no recipients found\n")
        self.assertEqual(self.sendmail("-t", input=b"Subject: x\n\ny\n", status=64),
                         "sendmail: no recipients found\n")
        self.assertEqual(self.sendmail("a b@x.example", input=b"\ny\n", status=67),
                         "sendmail: 553 <a b@x.example> address unknown\n")
        self.assertEqual(self.sendmail("-f", "a@b@c", "a@x.example", input=b"\ny\n", status=67),
                         "sendmail: 553 <a@b@c> Invalid email address\n")
        self.assertEqual(self.sendmail("a@x.example\r\nDATA", input=b"\ny\n", status=67),
                         "sendmail: 553 <a@x.example??DATA> address unknown\n")

    def test_conf(self):
        """status 78, every error told; a file named must be there"""
        self.configure("sockt /x\ntls maybe\n")
        self.assertEqual(self.sendmail("a@b.example", status=78),
                         f"sendmail: {self.conf}:1: unknown setting sockt\n"
                         f"sendmail: {self.conf}:2: tls is starttls or wrapper\n")
        os.unlink(self.conf)
        self.assertEqual(self.sendmail("a@b.example", status=78),
                         f"sendmail: {self.conf}: No such file or directory\n")

    def test_no_server(self):
        self.configure(f"socket {self.folder}/none\n")
        self.assertEqual(self.sendmail("a@b.example", input=b"\ny\n", status=75),
                         f"sendmail: {self.folder}/none: connect: No such file or directory\n")

    def test_nothing_to_do(self):
        """-q, -bi, newaliases"""
        self.configure("")
        for args in (["-q"], ["-q30m"], ["-bi"]):
            self.assertEqual(self.sendmail(*args), "")
        link = os.path.join(self.folder, "newaliases")
        os.symlink(SENDMAIL, link)
        self.assertEqual(subprocess.run([link], capture_output=True).returncode, 0)

    def test_verify(self):
        r = subprocess.run([SENDMAIL, "-bv", "a@x.example", "Bob <b@y.example>"], capture_output=True, text=True)
        self.assertEqual((r.returncode, r.stdout), (0, "a@x.example... deliverable\nb@y.example... deliverable\n"))
        r = subprocess.run([SENDMAIL, "-bv", "a@x.example", "b@"], capture_output=True, text=True)
        self.assertEqual((r.returncode, r.stdout, r.stderr),
                         (67, "a@x.example... deliverable\n", "sendmail: 553 <b@> address unknown\n"))

    def test_read_error(self):
        self.serve()
        r = subprocess.run([SENDMAIL, "-C", self.conf, "a@x.example"], stdin=os.open(self.folder, os.O_RDONLY),
                           capture_output=True, text=True)
        self.assertEqual((r.returncode, r.stderr), (74, "sendmail: standard input: Is a directory\n"))

    def test_verbose(self):
        """-v prints the dialogue, without the password"""
        self.serve()
        said = self.sendmail("-v", "a@x.example", input=b"\ny\n")
        for line in ("<<< 220 mail.relay.example ESMTP posthorn-n1 x", ">>> RCPT TO:<a@x.example>", ">>> DATA",
                     "<<< 354 go", "<<< 250 Ok 1", ">>> QUIT"):
            self.assertIn(line, said.splitlines())

    def test_dots(self):
        """credentials#22, admin-cli#21"""
        s = self.serve()
        self.sendmail("-i", "a@x.example", input=b"A: b\n\na\n.\nb\n")
        self.assertTrue(s.data.endswith(b"\r\n\r\na\r\n..\r\nb\r\n"), s.data)
        self.sendmail("a@x.example", input=b"A: b\n\na\n.\nb\n")
        self.assertTrue(s.data.endswith(b"\r\n\r\na\r\n"), s.data)

    def test_large(self):
        """40 MB in little memory, octet by octet as it was"""
        s = self.serve(keywords=("SIZE 100000000",))
        line = b"x" * 70 + b"\n"
        count = 40 * 1024 * 1024 // len(line)
        program = f"""
import resource, subprocess
subprocess.run({[SENDMAIL, '-C', self.conf, 'a@x.example']!r}, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
        r = subprocess.run(["python3", "-c", program], input=b"From: a@b.example\nSubject: x\n\n" + line * count, capture_output=True,
                           timeout=120)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertLess(int(r.stdout), 32 * 1024)  # KB
        self.assertEqual(s.data, b"From: a@b.example\r\nSubject: x\r\n\r\n" + (b"x" * 70 + b"\r\n") * count)

    def tls_server(self, wrapper=False, name="localhost"):
        cert = certificate(self.folder, name)
        self.server = Scripted(("127.0.0.1", 0), socket.AF_INET, cert, wrapper)
        self.addCleanup(self.server.stop)
        return self.server, cert[0]

    def password(self, mode=0o600):
        path = os.path.join(self.folder, "password")
        with open(path, "w") as f:
            f.write("secret\n")
        os.chmod(path, mode)
        return path

    def test_tls(self):
        """a remote server: STARTTLS and wrapper, login, certificate verified"""
        for mode in ("starttls", "wrapper"):
            s, ca = self.tls_server(mode == "wrapper")
            self.configure(f"server localhost:{s.port()}\ntls {mode}\nca {ca}\nuser AKIAIOSFODNN7EXAMPLE\n"
                           f"password_file {self.password()}\n")
            said = self.sendmail("-v", "-f", "s@example.com", "a@x.example", input=b"\ny\n")
            self.assertEqual(s.named("AUTH"), ["AUTH PLAIN AEFLSUFJT1NGT0ROTjdFWEFNUExFAHNlY3JldA=="])
            self.assertIn(">>> AUTH PLAIN [hidden]", said)
            self.assertNotIn("AEFLSUF", said)
            self.assertTrue(s.data.endswith(b"\r\ny\r\n"))

    def test_tls_not_trusted(self):
        """unknown issuer, and another name: no message, no login"""
        s, ca = self.tls_server(True)
        self.configure(f"server localhost:{s.port()}\ntls wrapper\n")
        said = self.sendmail("a@x.example", input=b"\ny\n", status=75)
        self.assertIn("self-signed certificate", said)
        self.assertEqual(s.commands, [])
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", f"{self.folder}/o.key", "-out", f"{self.folder}/o.crt", "-subj", "/CN=other.example",
                        "-addext", "subjectAltName=DNS:other.example"], check=True, capture_output=True)
        s = Scripted(("127.0.0.1", 0), socket.AF_INET, (f"{self.folder}/o.crt", f"{self.folder}/o.key"), True)
        self.addCleanup(s.stop)
        self.configure(f"server localhost:{s.port()}\ntls wrapper\nca {self.folder}/o.crt\n")
        self.assertIn("hostname mismatch", self.sendmail("a@x.example", input=b"\ny\n", status=75))

    def test_tls_injection(self):
        """what stands behind the reply to STARTTLS ends the conversation"""
        s, ca = self.tls_server()
        s.behind_starttls = b"250-mail.relay.example\r\n"
        self.configure(f"server localhost:{s.port()}\nca {ca}\n")
        self.assertEqual(self.sendmail("a@x.example", input=b"\ny\n", status=75),
                         "sendmail: data behind the reply to STARTTLS\n")

    def test_starttls_stripped(self):
        """a server without STARTTLS gets nothing"""
        s = Scripted(("127.0.0.1", 0), socket.AF_INET)
        self.addCleanup(s.stop)
        self.configure(f"server localhost:{s.port()}\n")
        self.assertEqual(self.sendmail("a@x.example", input=b"\ny\n", status=75),
                         "sendmail: localhost does not offer STARTTLS\n")
        self.assertEqual(s.named("MAIL"), [])

    def test_password_readable(self):
        """a password file that others can read is not used"""
        s, ca = self.tls_server()
        s.replies["MAIL"] = "530 Authentication required"
        path = self.password(0o644)
        self.configure(f"server localhost:{s.port()}\nca {ca}\nuser AKIAIOSFODNN7EXAMPLE\npassword_file {path}\n")
        said = self.sendmail("a@x.example", input=b"\ny\n", status=77)
        self.assertEqual(said, f"sendmail: warning: {path} can be read by others and is ignored\n"
                               "sendmail: 530 Authentication required\n")
        self.assertEqual(s.named("AUTH"), [])

    def dialogue(self, text):
        r = subprocess.run([SENDMAIL, "-C", self.conf, "-bs"], input=text, capture_output=True, timeout=60)
        self.assertEqual(r.returncode, 0, r.stderr)
        return r.stdout.decode().replace("\r\n", "\n").splitlines()

    def test_dialogue(self):
        """-bs: over the socket, and over TLS with the login done"""
        text = b"EHLO me\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n\r\nhi\r\n.\r\nQUIT\r\n"
        s = self.serve()
        lines = self.dialogue(text)
        self.assertTrue(lines[0].startswith("220 mail.relay.example"))
        self.assertEqual(lines[-4:], ["250 Ok", "354 go", "250 Ok 1", "250 Ok"])
        s, ca = self.tls_server()
        self.configure(f"server localhost:{s.port()}\nca {ca}\nuser AKIAIOSFODNN7EXAMPLE\n"
                       f"password_file {self.password()}\n")
        lines = self.dialogue(text)
        self.assertEqual(lines[0], "220 mail.relay.example ESMTP")
        self.assertEqual(lines[-2:], ["250 Ok 1", "250 Ok"])
        self.assertEqual(len(s.named("AUTH")), 1)

    def test_mailq(self):
        """-bp and mailq run posthornctl beside the program; 77 without rights"""
        for script, status in (("echo table", 0), ("echo 'error: permission denied' >&2; exit 1", 77),
                               ("echo 'error: cannot connect' >&2; exit 3", 75)):
            copy = os.path.join(self.folder, "mailq")
            shutil.copy(SENDMAIL, copy)
            ctl = os.path.join(self.folder, "posthornctl")
            with open(ctl, "w") as f:
                f.write(f"#!/bin/sh\n[ \"$*\" = 'queue list' ] || exit 2\n{script}\n")
            os.chmod(ctl, 0o755)
            r = subprocess.run([copy], capture_output=True, text=True)
            self.assertEqual(r.returncode, status, r.stderr)
            self.assertEqual(r.stdout, "table\n" if status == 0 else "")
            if status:
                self.assertTrue(r.stderr.startswith("error: "))


class Local(unittest.TestCase):
    """With posthornd: who may send as what, and what arrives."""

    @classmethod
    def setUpClass(cls):
        cls.sink = Sink("127.0.0.2")
        cls.sink.start()
        cls.addClassCleanup(cls.sink.stop)
        cls.relay = Relay(extra="delivery.allow_private yes\n", sink_port=cls.sink.port)
        cls.addClassCleanup(cls.relay.cleanup)
        cls.dns = Dns(cls.relay.folder)
        for name in ("example.org", "x.example", "sink.example"):
            cls.dns.zone(name, "@ MX 10 mx\nmx A 127.0.0.2\n")
        cls.dns.start()
        cls.addClassCleanup(cls.dns.stop)
        cls.relay.dns = cls.dns
        cls.relay.write_conf()
        cls.relay.start()
        cls.account, *_ = cls.relay.sender(user="webapp")
        cls.sign()
        cls.program = os.path.join(cls.relay.folder, "sendmail")
        shutil.copy(SENDMAIL, cls.program)
        cls.map("match *")

    @classmethod
    def sign(cls):
        """Publishes the keys of example.com and waits until they are seen."""
        zone = cls.relay.ctl("identity", "dns-records", "example.com", "--format", "zone")
        cls.dns.set_zone("example.com", zone)
        cls.relay.ctl("dkim", "verify", "example.com")
        wait_for(lambda: cls.relay.json("dkim", "show", "example.com").get("Status") == "SUCCESS", "DKIM to be verified")

    @classmethod
    def map(cls, *lines):
        """The one local block; sender of this host's addresses: example.com"""
        keys = "\n".join(lines)
        cls.relay.extra = (f"delivery.allow_private yes\nlocal web {{\n{keys}\n"
                           f"credential {cls.account}/webapp\n}}\n")
        cls.relay.reload()

    def setUp(self):
        with self.sink.lock:
            self.sink.messages.clear()

    def sendmail(self, *args, input="", status=0, user=None):
        options = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if user else {}
        r = subprocess.run([self.program, "-C", self.relay.sendmail_conf(), *args],
                           input=input.encode(), capture_output=True, timeout=60, **options)
        self.assertEqual(r.returncode, status, r.stderr)
        return r.stderr.decode()

    def arrived(self, count=1):
        m = self.sink.wait(count)[-1]
        head, _, body = m.data.partition(b"\r\n\r\n")
        return m, head.decode(), body

    def test_plain(self):
        """admin-cli#19: CRLF, From, Date and Message-ID"""
        self.sendmail("-f", "sender@example.com", "rcpt@example.org", input="Subject: x\n\nhello\n")
        m, head, body = self.arrived()
        self.assertNotRegex(m.data.replace(b"\r\n", b""), b"[\r\n]")
        for field in ("From", "Date", "Message-ID"):
            self.assertEqual(len(re.findall(rf"(?m)^{field}:", head)), 1, head)
        self.assertIn("<sender@example.com>", head)
        self.assertEqual(body, b"hello\r\n")

    def test_t(self):
        """admin-cli#20, credentials#23: -t, arguments, Bcc"""
        self.sendmail("-t", "-f", "sender@example.com",
                      input="To: a@x.example\nBcc: b@x.example\nSubject: x\n\nhi\n")
        with self.sink.lock:
            self.sink.changed.wait_for(lambda: sum(len(m.rcpts) for m in self.sink.messages) >= 2, 30)
            messages = list(self.sink.messages)
        self.assertEqual(sorted(r for m in messages for r in m.rcpts), ["a@x.example", "b@x.example"])
        for m in messages:
            self.assertNotIn(b"Bcc", m.data)
        with self.sink.lock:
            self.sink.messages.clear()
        self.sendmail("-t", "-f", "sender@example.com", "b@example.org",
                      input="To: a@example.org\nBcc: c@example.org\n\nhi\n")
        with self.sink.lock:
            self.sink.changed.wait_for(lambda: sum(len(m.rcpts) for m in self.sink.messages) >= 3, 30)
            self.assertEqual(sorted(r for m in self.sink.messages for r in m.rcpts),
                             ["a@example.org", "b@example.org", "c@example.org"])
            for m in self.sink.messages:
                self.assertNotIn(b"bcc", m.data.lower())

    def test_dots(self):
        """credentials#22, admin-cli#21 at the sink"""
        text = "Subject: x\n\na\n.\nb\n"
        self.sendmail("-i", "-f", "sender@example.com", "r@example.org", input=text)
        self.assertEqual(self.arrived(1)[2], b"a\r\n.\r\nb\r\n")
        self.sendmail("-f", "sender@example.com", "r@example.org", input=text)
        self.assertEqual(self.arrived(2)[2], b"a\r\n")

    def test_refused(self):
        """admin-cli#22, credentials#24: an unverified sender"""
        said = self.sendmail("-f", "who@unknown.example", "r@example.org", input="Subject: x\n\nhi\n", status=77)
        self.assertTrue(said.startswith("sendmail: 554 Message rejected: Email address is not verified. "), said)

    def test_mapping(self):
        """credentials#21: by group; a caller without mapping gets 77"""
        if os.geteuid() != 0:
            self.skipTest("another user's process needs root")
        self.addCleanup(self.map, "match *")
        self.map("match @www-data", "sender alerts@example.com")
        self.relay.ctl("config-set", "create", "mapped")  # tags are shown of its mail
        text = "X-SES-CONFIGURATION-SET: mapped\nTo: r@example.org\nFrom: sender@example.com\nSubject: x\n\nhi\n"
        before = len(self.relay.log_text())
        self.sendmail("-t", "-i", input=text, user="www-data")
        self.arrived()
        mid = re.search(r"accepted .* mid=(\S+) ", self.relay.log_text()[before:]).group(1)
        event = [e for e in self.relay.wait_event("Send") if e["mail"]["messageId"] == mid][0]
        self.assertEqual(event["mail"]["tags"]["ses:caller-identity"], ["webapp"])
        self.assertEqual(event["mail"]["tags"]["ses:operation"], ["SendSmtpEmail"])
        self.assertEqual(event["mail"]["tags"]["ses:source-ip"], ["127.0.0.1"])
        said = self.sendmail("-t", "-i", input=text, user="nobody", status=77)
        self.assertIn("530 Authentication required", said)
        self.relay.wait_log(r'accepted .* user=webapp from="alerts@example\.com" ', offset=before)

    def test_local_sender(self):
        """credentials#26: the block's sender in envelope and added From"""
        self.addCleanup(self.map, "match *")
        self.map("match *", "sender alerts@example.com")
        self.sendmail("-t", input="To: r@example.org\nSubject: x\n\nhi\n",
                      user="www-data" if os.geteuid() == 0 else None)
        m, head, _ = self.arrived()
        self.assertEqual(m.mail_from.rsplit("@")[-1], "bounces.relay.example")
        self.assertRegex(head, r"(?m)^From: .*<?alerts@example\.com>?")
        self.relay.wait_log(r'accepted .* from="alerts@example\.com" ')
        # as cron writes: a name alone, whoever runs the job
        with self.sink.lock:
            self.sink.messages.clear()
        self.sendmail("-i", "-FCronDaemon", "-oem", "r@example.org",
                      input="From: root (Cron Daemon)\nTo: www-data\nSubject: Cron\n\nhi\n")
        m, head, _ = self.arrived()
        self.assertRegex(head, r"(?m)^From: alerts@example\.com \(Cron Daemon\)\r?$")
        self.assertRegex(head, r"(?m)^To: www-data@\S+\r?$")

    def verify(self, data):
        """The DKIM signature of example.com, with the record to be published."""
        zone = self.relay.ctl("identity", "dns-records", "example.com", "--format", "zone")
        found = re.search(r"(?m)^(\S+\._domainkey\S*)\s.*?\bTXT\s+(.*)$", zone)
        self.assertIsNotNone(found, zone)
        record = "".join(re.findall(r'"([^"]*)"', found.group(2)))
        # python3-dkim is there for the system's interpreter
        r = subprocess.run(["/usr/bin/python3", "-c", "import dkim, sys; record = sys.argv[1].encode()\n"
                            "sys.exit(0 if dkim.verify(sys.stdin.buffer.read(), dnsfunc=lambda *a, **k: record) else 1)",
                            record], input=data, capture_output=True)
        return r.returncode == 0

    def test_signature(self):
        """dkim#19: bare LF and no final line end"""
        self.sendmail("-f", "sender@example.com", "r@example.org",
                      input="From: sender@example.com\nTo: r@example.org\nSubject: x\n\nno line end")
        m, head, body = self.arrived()
        self.assertEqual(body, b"no line end\r\n")
        self.assertIn("DKIM-Signature:", head)
        self.assertTrue(self.verify(m.data), m.data)

    def test_loose_mime(self):
        """smtp-interface#28"""
        text = ("From: sender@example.com\nTo: r@example.org\nSubject: loose\nMIME-Version: 1.0\n"
                "Content-type: Multipart/Mixed; boundary=\"NextPart\"\n\n"
                "--NextPart\nContent-Type: text/plain;\n\nThis is the message body.\n\n--NextPart--")
        self.sendmail("-t", "-f", "sender@example.com", input=text)
        m, head, body = self.arrived()
        self.assertEqual(body, text.partition("\n\n")[2].replace("\n", "\r\n").encode() + b"\r\n")
        self.assertRegex(head, r"(?m)^Date: ")
        self.assertRegex(head, r"(?m)^Message-ID: ")
        self.assertTrue(self.verify(m.data), m.data)

    def test_dialogue(self):
        """-bs: the caller's own SMTP, ended by the end of its input"""
        r = subprocess.run([self.program, "-C", self.relay.sendmail_conf(), "-bs"], capture_output=True, timeout=60,
                           input=b"EHLO me\r\nMAIL FROM:<sender@example.com>\r\nRCPT TO:<r@example.org>\r\nDATA\r\n")
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertEqual(r.stdout.splitlines()[-3:], [b"250 Ok", b"250 Ok", b"354 End data with <CR><LF>.<CR><LF>"])

    def test_mailq(self):
        """-bp with the daemon: the queue as posthornctl shows it"""
        link = os.path.join(self.relay.folder, "mailq")
        shutil.copy(SENDMAIL, link)
        shutil.copy(os.path.join(BUILD, "posthornctl"), self.relay.folder)
        r = subprocess.run([link], capture_output=True, text=True, env={**os.environ,
                           "POSTHORN_SOCKET": self.relay.socket})
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertRegex(r.stdout, r"^id +rcpt +state +attempts")
        if os.geteuid() == 0:
            r = subprocess.run([link], capture_output=True, text=True, user="www-data", group="www-data",
                               extra_groups=[], env={**os.environ, "POSTHORN_SOCKET": self.relay.socket})
            self.assertEqual((r.returncode, r.stdout, r.stderr), (77, "", "error: permission denied\n"))

    def test_stopped(self):
        """admin-cli#23, credentials#24: the daemon stopped"""
        other = Relay()
        self.addCleanup(other.cleanup)
        r = other.sendmail("-f", "sender@example.com", "r@example.org", input="Subject: x\n\nhi\n")
        self.assertEqual(r.returncode, 75, r.stderr)
        self.assertTrue(r.stderr.startswith(f"sendmail: {other.submit}: connect: "))


if __name__ == "__main__":
    unittest.main()
