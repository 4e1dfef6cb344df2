# SPDX-License-Identifier: ISC
"""Injection: octets that somebody might take for a line, a command or a field
of their own (smtp-interface.md 3.1, 5.3, 7.1, 7.3, 9; delivery.md 6).

Each row of the tables says all that comes back; a NOOP behind it shows that
nothing more was to come.
"""
import os
import socket
import subprocess
import threading
import unittest
from collections import Counter

from harness.dns import Dns
from harness.relay import BUILD, Relay
from harness.sink import Sink, stop_listening
from harness.waiting import wait_for

ID = r"250 Ok [0-9a-f]{16}-[0-9a-f-]{36}-000000"
EXTRA = "delivery {\n    allow_private yes\n    retry_jitter 0\n    retry_schedule 1h\n    reuse_idle 200ms\n}\n"
EVIL = "MAIL FROM:<x@example.com>"
SYNTAX = "501 Syntax error in parameters"
UNKNOWN, LONG = "500 Unrecognized command", "500 Line too long"
NEED_MAIL, NO_SENDER = "503 Bad sequence of commands: need MAIL", "553 <%s> Invalid email address"
CLOSED = None

# what a client that has logged in sends: all replies; CLOSED: nothing follows
COMMANDS = {
    # xtext: what it stands for is never looked at, and goes nowhere
    "AUTH= with CR LF as xtext": ("MAIL FROM:<sender@example.com> AUTH=a+0D+0ARCPT+20TO:<y@x.example>\r\n", ["250 Ok"]),
    "AUTH= with CR LF as in URLs": ("MAIL FROM:<sender@example.com> AUTH=a%0d%0aRCPT@x.example\r\n", ["250 Ok"]),
    "AUTH= with NUL as xtext": ("MAIL FROM:<sender@example.com> AUTH=a+00b\r\n", ["250 Ok"]),
    "AUTH= cut": ("MAIL FROM:<sender@example.com> AUTH=a+0\r\n", [SYNTAX]),
    "AUTH= with TAB": ("MAIL FROM:<sender@example.com> AUTH=a\tRCPT=b\r\n", ["555 Unsupported parameter: RCPT"]),
    "AUTH= with bare CR": ("MAIL FROM:<sender@example.com> AUTH=a\rb\r\n", [SYNTAX]),
    "ENVID=": ("MAIL FROM:<sender@example.com> ENVID=a+0D+0AX-Injected:+201\r\n",
               [SYNTAX]),
    "ORCPT=": ("MAIL FROM:<sender@example.com>\r\nRCPT TO:<y@sink.example> ORCPT=rfc822;y+0D+0ADATA\r\n",
               ["250 Ok", SYNTAX]),
    "a parameter with control characters": ("MAIL FROM:<sender@example.com> X\x1b[2J=1\r\n", [SYNTAX]),
    # bare CR
    "CR in NOOP": (f"NOOP\r{EVIL}\r\n", [UNKNOWN]),
    "CR behind a blank": (f"NOOP \r{EVIL}\r\n", [SYNTAX]),
    "CR in front": (f"\r{EVIL}\r\n", [UNKNOWN]),
    "CR CR LF": ("RSET\r\r\n", [UNKNOWN]),
    "CR in a path": ("MAIL FROM:<sender@example.com>\rRCPT TO:<y@sink.example>\r\n", [SYNTAX]),
    "CR in a quoted string": ('MAIL FROM:<>\r\nRCPT TO:<"a\r"@sink.example>\r\n', ["250 Ok", SYNTAX]),
    "LF in a quoted string": ('MAIL FROM:<"a\r\nRCPT TO:<y@sink.example>\r\n', [NO_SENDER % '"a', NEED_MAIL]),
    "quoted CR": ('MAIL FROM:<"a\\\r"@example.com>\r\n', [SYNTAX]),
    # NUL
    "NUL": ("NOOP\0\r\n", [UNKNOWN]),
    "NUL before the line end": (f"NOOP \0\r\n{EVIL}\0\r\n", [UNKNOWN, UNKNOWN]),
    "NUL in a path": ("MAIL FROM:<sender@example.com\0>\r\n", [UNKNOWN]),
    # characters that some take for a line end
    "NEL, U+2028, VT, FF": (f"NOOP\x85{EVIL}\x0bRSET\x0c\u2028\r\n", [UNKNOWN]),
    "VT in a path": ("MAIL FROM:<sender@example.com\x0b>\r\n", [NO_SENDER % "sender@example.com?"]),
    # lines that are too long: the rest of them is no line
    "long": ("NOOP " + "a" * 3000 + "\r\n", [LONG]),
    "a command at octet 2048": ("NOOP " + "a" * 2043 + EVIL + "\r\n", [LONG]),
    "a command at octet 2048, behind CR": ("NOOP " + "a" * 2042 + "\r" + EVIL + "\r\n", [LONG]),
    "a command at octet 4096": ("NOOP " + "a" * 4091 + EVIL + "\r\n", [LONG]),
    "a command at octet 65536": ("NOOP " + "a" * 65531 + EVIL + "\r\n", [LONG]),
    "long AUTH": ("AUTH PLAIN " + "a" * 12277 + EVIL + "\r\n", ["500 Authentication exchange line is too long"]),
    "exactly as long as may be": ("NOOP " + "a" * 2041 + f"\r\n{EVIL[:-1]}\r\n",
                                  ["250 Ok", NO_SENDER % "x@example.com"]),
    # content behind what was refused (RFC 2920 3.1)
    "DATA without MAIL": (f"DATA\r\n{EVIL}\r\n", [NEED_MAIL, "421 Protocol error", CLOSED]),
    "DATA without recipients": (f"MAIL FROM:<sender@example.com>\r\nRCPT TO:<a@>\r\nDATA\r\n{EVIL}\r\n.\r\n",
                                ["250 Ok", "553 <a@> address unknown", "554 No valid recipients",
                                 "421 Protocol error", CLOSED]),
    "DATA with an argument": (f"MAIL FROM:<>\r\nRCPT TO:<y@sink.example>\r\nDATA x\r\n{EVIL}\r\n",
                             ["250 Ok", "250 Ok", SYNTAX, "421 Protocol error", CLOSED]),
    "BDAT without MAIL": (f"BDAT {len(EVIL) + 2}\r\n{EVIL}\r\n", [NEED_MAIL]),
    "BDAT of a dead transaction": ("MAIL FROM:<sender@example.com>\r\nRCPT TO:<y@sink.example>\r\n"
                                   f"BDAT 3\r\nabcDATA\r\nBDAT {len(EVIL) + 2} LAST\r\n{EVIL}\r\n",
                                   ["250 Ok", "250 Ok", "250 Ok 3 octets received",
                                    "503 Bad sequence of commands: BDAT in progress", "421 Protocol error", CLOSED]),
    # a size that is none: nobody knows where the next command begins
    "BDAT 5x": (f"BDAT 5x\r\n{EVIL}\r\n", [SYNTAX, CLOSED]),
    "BDAT -1": (f"BDAT -1\r\n{EVIL}\r\n", [SYNTAX, CLOSED]),
    "BDAT +5": (f"BDAT +5 LAST\r\n{EVIL}\r\n", [SYNTAX, CLOSED]),
    "BDAT 0x5": (f"BDAT 0x5 LAST\r\n{EVIL}\r\n", [SYNTAX, CLOSED]),
    "BDAT of 2^32": (f"BDAT 4294967296\r\n{EVIL}\r\n", [SYNTAX, CLOSED]),
    "BDAT of 2^64 + 3": (f"BDAT 18446744073709551619 LAST\r\nabc{EVIL}\r\n", [SYNTAX, CLOSED]),
    "BDAT LAST with CR": (f"BDAT 3 LAST\rx\r\nabc{EVIL}\r\n", [SYNTAX, CLOSED]),
    "BDAT twice LAST": (f"BDAT 3 LAST LAST\r\nabc{EVIL}\r\n", [SYNTAX, CLOSED]),
}

# what stands behind STARTTLS in clear, in the same write
CLEAR = ("STARTTLS\r\nEHLO x\r\n", f"starttls \r\n{EVIL}\r\n", f"STARTTLS\n{EVIL}\n", "STARTTLS\r\n\0", "STARTTLS\r\n\n",
         "NOOP\r\nSTARTTLS\r\nQUIT\r\n", "STARTTLS\r\n\x16\x03\x01", "STARTTLS\r\nSTARTTLS\r\n")

# what a receiver says behind 220 to STARTTLS, in the same segment
EARLY = {"reply": b"250 mx\r\n", "ehlo": b"250-mx\r\n250-AUTH PLAIN\r\n250 CHUNKING\r\n", "half": b"2", "nul": b"\0",
         "lf": b"\n", "all": b"250 mx\r\n250 ok\r\n250 ok\r\n354 go\r\n250 kept\r\n"}


class World(unittest.TestCase):
    """A relay and a sink for all tests of a class."""
    extra = ""

    @classmethod
    def setUpClass(cls):
        cls.sink = Sink("127.0.2.20")
        cls.sink.start()
        cls.addClassCleanup(cls.sink.stop)
        cls.relay = Relay(extra=EXTRA + cls.extra, sink_port=cls.sink.port)
        cls.addClassCleanup(cls.relay.cleanup)
        cls.dns = Dns(cls.relay.folder)
        cls.zones()
        cls.dns.start()
        cls.addClassCleanup(cls.dns.stop)
        cls.relay.dns = cls.dns
        cls.relay.write_conf()
        cls.relay.start()
        cls.account, cls.key, cls.password = cls.relay.sender()

    @classmethod
    def zones(cls):
        for name in ("sink.example", "example.com"):
            cls.dns.zone(name, "@ MX 10 mx\nmx A 127.0.2.20\n")

    def to_nobody(self):
        """No mail for those who are named only where no command is."""
        with self.sink.lock:
            rcpts = [r for m in self.sink.messages for r in m.rcpts]
            said = [c for s in self.sink.sessions for c in s.commands]
        self.assertFalse([r for r in rcpts + said if "victim" in r or "y@" in r])
        self.assertFalse([e for e in self.relay.events() if "y@" in "".join(e["mail"]["destination"])])

    def send(self, to, data):
        w = self.relay.session(self.key, self.password)
        answer = w.message("sender@example.com", to, data)
        w.close()
        self.assertRegex(answer, f"^{ID}$")
        return answer.split()[2]

    def copy_of(self, rcpt):
        """The copy at the sink: field lines, body."""
        m = wait_for(lambda: [m for m in self.sink.messages if m.rcpts == [rcpt]], f"mail to {rcpt}")[0]
        self.assertNotRegex(m.raw, rb"(?<!\r)\n|\r(?!\n)|\0")
        head, _, body = m.data.partition(b"\r\n\r\n")
        return head.decode("latin-1").split("\r\n"), body


class Clients(World):
    extra = "message.received full\nmessage.message_id preserve\n"

    def test_commands(self):
        """smtp-interface.md 5.2, 5.3, 7.1, 7.3, 14; smtp-interface#27"""
        for name, (octets, want) in COMMANDS.items():
            with self.subTest(name):
                w = self.relay.session(self.key, self.password)
                w.send(octets.encode("latin-1", "replace") + (b"VRFY x\r\n" if want[-1] is not CLOSED else b""))
                got = []
                while len(got) <= len(want) and (reply := w.reply()) is not None:
                    got.append("\n".join(reply))
                if want[-1] is CLOSED:
                    self.assertEqual(got + [CLOSED], want)
                    self.assertTrue(w.at_end())
                else:
                    self.assertEqual(got, want + ["252 Cannot verify, but will accept message and attempt delivery"])
                w.close()
        self.to_nobody()

    def test_xtext_goes_nowhere(self):
        """5.3: AUTH= is checked and ignored"""
        w = self.relay.session(self.key, self.password)
        w.send("MAIL FROM:<sender@example.com> AUTH=a+0D+0AX-Injected:+20yes\r\nRCPT TO:<x@sink.example>\r\nDATA\r\n")
        for want in ("250 Ok", "250 Ok", "354"):
            self.assertTrue(w.reply()[0].startswith(want))
        w.send("Subject: x\r\n\r\nhello\r\n.\r\n")
        self.assertRegex(w.reply()[0], ID)
        w.close()
        fields, _ = self.copy_of("x@sink.example")
        said = [c for s in self.sink.sessions for c in s.commands]
        self.assertFalse([l for l in fields + said if "Injected: yes" in l or "AUTH" in l])

    def test_starttls(self):
        """smtp-interface#5, 3.1: on every listener that has it, whatever it is"""
        for listener in ("submission", "smtp"):
            for octets in CLEAR:
                with self.subTest(listener=listener, octets=octets):
                    w = self.relay.wire(listener)
                    w.reply()
                    w.hello()
                    w.send(octets.encode("latin-1"))
                    got = [w.reply()[0]]
                    while (reply := w.reply()) is not None:
                        got += reply
                    self.assertEqual([g for g in got if g != "250 Ok"], ["554 Command data after STARTTLS"])
                    w.close()

    def test_clear_in_place_of_the_handshake(self):
        """3.1: behind 220 there is no SMTP without TLS; nothing said in clear outlives the handshake"""
        for octets in (f"EHLO x\r\n{EVIL}\r\n", f"{EVIL}\r\n", "\r\n"):
            with self.subTest(octets=octets):
                w = self.relay.wire("submission")
                w.reply()
                w.hello()
                self.assertEqual(w.cmd("STARTTLS"), "220 Ready to start TLS")
                w.send(octets)
                w.sock.shutdown(socket.SHUT_WR)
                rest = b""
                try:
                    while more := w.sock.recv(65536):
                        rest += more
                except ConnectionResetError:
                    pass
                self.assertNotRegex(rest, rb"\d\d\d[ -]")
                w.close()
        # the name given in clear, and a transaction begun on an intake listener, are gone
        w = self.relay.wire("smtp")
        w.reply()
        w.hello()
        self.assertEqual(w.cmd("MAIL FROM:<>"), "250 Ok")
        w.starttls()
        for line in ("RCPT TO:<postmaster>", "DATA", "MAIL FROM:<>"):
            self.assertEqual(w.cmd(line), "503 Bad sequence of commands: send EHLO first")
        w.close()

    def test_fields(self):
        """smtp-interface.md 9.4, 9.5: what comes from a client stays where it belongs"""
        self.relay.ctl("config-set", "create", "tagged")  # tags are shown of its mail
        self.relay.ctl("identity", "set-config-set", "example.com", "tagged")
        self.addCleanup(self.relay.ctl, "identity", "set-config-set", "example.com")
        w = self.relay.wire("clear")
        w.reply()
        self.assertRegex(w.hello("a;by=evil(x)\"\\<y>"), "^250-")
        w.auth(self.key, self.password)
        tail = "Subject: =?utf-8?Q?a=0D=0AX-Injected:_1?=\r\n\r\nhello\r\n"
        cases = {
            "id": ("sender@example.com", "Message-ID: <a\r\n X-Injected: 1\r\n @x>\r\nFrom: sender@example.com\r\n"),
            "tags": ("sender@example.com", "X-SES-MESSAGE-TAGS: a=b\r\n X-Injected: 1,\r\n c=d\r\n"
                     "X-SES-MESSAGE-TAGS : e=f%0d%0aX-Injected:1\r\nFrom: sender@example.com\r\n"),
            "from": ('"a> X-Injected: 1"@example.com', ""),
        }
        for name, (sender, fields) in cases.items():
            self.assertRegex(w.message(sender, name + "@sink.example", (fields + tail).encode()), f"^{ID}$")
        w.close()
        for name, (sender, _) in cases.items():
            lines, body = self.copy_of(name + "@sink.example")
            self.assertEqual(body, b"hello\r\n")
            names = [l.split(":")[0] for l in lines if l[:1] not in " \t"]
            self.assertTrue(set(names) <= {"X-SES-Outgoing", "Received", "Message-ID", "From", "Subject", "Date",
                                           "Feedback-ID"}, names)
            self.assertEqual(len(names), len(set(names)))
            self.assertIn("Received: from a?by?evil?x????y? ([127.0.0.1])", lines)
        lines, _ = self.copy_of("from@sink.example")
        self.assertIn('From: <"a> X-Injected: 1"@example.com>', lines)
        tags = [e["mail"]["tags"] for name in cases for e in self.relay.events()
                if e["eventType"] == "Send" and e["mail"]["destination"] == [name + "@sink.example"]]
        self.assertEqual([{k for k in t if not k.startswith("ses:")} for t in tags], [set(), {"c"}, set()])


class Programs(World):
    """What scripts hand to the programs as arguments."""

    def test_posthornctl(self):
        """admin-cli.md, send: an argument is not more than one line"""
        text = os.path.join(self.relay.folder, "text")
        with open(text, "w") as f:
            f.write("hello\n")
        good = {"--from": "sender@example.com", "--to": "x@sink.example", "--cc": "y@sink.example", "--subject": "one",
                "--tag": "a=b", "--header": "X-Fine: yes"}

        def send(**changed):
            args = {**good, **{"--" + k.replace("_", "-"): v for k, v in changed.items()}}
            return self.relay.run_ctl("-a", self.account, "send", "--text", text, *(a for p in args.items() for a in p))

        for name in ("from", "to", "cc", "subject", "tag", "header", "config_set"):
            for end in ("\nX-Injected: 1", "\r\nX-Injected: 1", "\rX-Injected: 1", "\r\n\r\nbody"):
                with self.subTest(name=name, end=end):
                    r = send(**{name: good.get("--" + name, "prod") + end})
                    self.assertEqual((r.returncode, r.stdout), (2, ""), r.stderr)
        self.assertEqual(send().returncode, 0)
        lines, body = self.copy_of("x@sink.example")
        self.assertEqual(body, b"hello\r\n")
        self.assertIn("X-Fine: yes", lines)
        self.copy_of("y@sink.example")
        with self.sink.lock:
            self.sink.messages.clear()
            self.sink.sessions.clear()

    def sendmail(self, *args, input=b"Subject: x\n\nhello\n"):
        return subprocess.run([os.path.join(BUILD, "sendmail"), "-C", self.relay.sendmail_conf(), "-i", *args],
                              input=input, capture_output=True, timeout=60)

    def test_sendmail(self):
        """admin-cli.md 17: addresses and names with line ends make neither commands nor fields"""
        self.relay.extra += f"local all {{\n    match *\n    credential {self.account}/app1\n}}\n"
        self.relay.reload()
        for end in ("\nRCPT TO:<y@victim.example>", "\r\nRCPT TO:<y@victim.example>", "\r\nDATA\r\n", "\rDATA", "\nX: y",
                    ",\ny@victim.example", ">\r\nRCPT TO:<y@victim.example"):
            with self.subTest(end=end):
                self.assertNotEqual(self.sendmail("-f", "sender@example.com" + end, "x@sink.example").returncode, 0)
                self.assertNotEqual(self.sendmail("-f", "sender@example.com", "x@sink.example" + end).returncode, 0)
        self.assertNotEqual(self.sendmail("-f", "sender@example.com> AUTH=<y", "x@sink.example").returncode, 0)
        for i, name in enumerate(("A\nX-Injected: 1", "A\r\nX-Injected: 1\r\n\r\nbody", "A\rX-Injected: 1", 'A" <y@z>',
                                  "A\\")):
            with self.subTest(name=name):
                r = self.sendmail("-f", "sender@example.com", "-F", name, f"name{i}@sink.example")
                self.assertEqual(r.returncode, 0, r.stderr)
                lines, body = self.copy_of(f"name{i}@sink.example")
                self.assertEqual(body, b"hello\r\n")
                names = Counter(l.split(":")[0] for l in lines if l[:1] not in " \t")
                self.assertEqual((names["From"], names["X-Injected"]), (1, 0), lines)
        # recipients of -t: folded, in a group, commented, and what is none
        r = self.sendmail("-t", "-f", "sender@example.com",
                          input=b"To: g: a@sink.example,\n b@sink.example (\n c@victim.example);\nSubject: x\n\nhello\n")
        self.assertEqual(r.returncode, 0, r.stderr)
        self.copy_of("a@sink.example")
        self.copy_of("b@sink.example")
        self.assertFalse([c for s in self.sink.sessions for c in s.commands if "victim" in c])


class Receivers(World):
    """What receivers say."""
    extra = "mail_from.verp recipient\n"

    @classmethod
    def zones(cls):
        super().zones()
        cls.early = {}
        for i, (name, octets) in enumerate(EARLY.items()):
            address = f"127.0.2.{30 + i}"
            cls.dns.zone(name + ".example", f"@ MX 10 mx\nmx A {address}\n")
            cls.early[name] = Early(address, cls.sink.port, octets)
            cls.addClassCleanup(cls.early[name].stop)

    def test_replies_behind_starttls(self):
        """delivery.md 6: what is said in clear behind 220 is not believed, and no mail goes in clear after it"""
        mids = {name: self.send(f"x@{name}.example", "From: sender@example.com\n\nhello\n") for name in EARLY}
        for name, early in self.early.items():
            with self.subTest(name):
                line = self.relay.wait_log(rf"settled mid={mids[name]} .*")[0]
                self.assertRegex(line, "result=deferred kind=tls-failed")
                self.assertEqual([v.split(b" ")[0] for v in early.said], [b"EHLO", b"STARTTLS"])

    def test_replies_in_notices(self):
        """bounces-and-feedback.md 5: what a receiver says is one line of a notice, or folded"""
        evil = "no\rX-Injected: 1\x1b[2J\x0bX-Injected: 2\x00\x7f\x85X-Injected: 3\r\n550 X-Injected: 4"
        self.sink.rules.rcpt = lambda s, a: ("550-" + evil) if a.startswith("gone") else None
        self.send("gone@sink.example", "From: sender@example.com\nSubject: mine\n\nhello\n")
        lines, body = self.copy_of("sender@example.com")
        whole = "\r\n".join(lines) + "\r\n\r\n" + body.decode("latin-1")
        self.assertRegex(whole, "no.X-Injected: 1")
        self.assertNotRegex(whole, r"(?m)^X-Injected")
        self.assertNotRegex(whole.replace("\r\n", ""), r"[\x00-\x08\x0b-\x1f\x7f]")


class Early(threading.Thread):
    """Offers STARTTLS and says more than 220 to it."""

    def __init__(self, host, port, octets):
        super().__init__(daemon=True)
        self.octets, self.said = octets, []
        self.listener = socket.create_server((host, port))
        self.start()

    def run(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            s.settimeout(30)
            with s, s.makefile("rb") as lines:
                try:
                    s.sendall(b"220 mx\r\n")
                    while line := lines.readline():
                        self.said.append(line.rstrip())
                        if line.startswith(b"STARTTLS"):
                            s.sendall(b"220 go\r\n" + self.octets)
                        else:
                            s.sendall(b"250-mx\r\n250 STARTTLS\r\n" if line.startswith(b"EHLO") else b"250 ok\r\n")
                except OSError:
                    pass

    def stop(self):
        stop_listening(self, self.listener)


if __name__ == "__main__":
    unittest.main()
