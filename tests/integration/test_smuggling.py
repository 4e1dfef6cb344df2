# SPDX-License-Identifier: ISC
"""SMTP smuggling: one message handed in is one message, at posthorn and at
whoever gets it from there (smtp-interface.md 7.1, delivery.md 5.1).

SEQUENCES holds what somewhere was once taken for the end of data.  Behind each
stands a second transaction, SMUGGLED, in the content.  Posthorn is to say of
each what the table says, and to send nothing on in which any receiver could
find an end.

The tables are printed.  POSTHORN_SMUGGLING=full hands each sequence in by
every way to every receiver; without it the servers get what came by DATA, and
the sinks, whose octets are looked at, get all.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from collections import Counter

from harness.dns import Dns
from harness.peers import NOT_ROOT, Exim, OpenSMTPD, Postfix, Sendmail, unpack
from harness.relay import BUILD, Relay, certificate
from harness.sink import Session, Sink
from harness.waiting import free_port, wait_for
from harness.wire import Wire

FULL = os.environ.get("POSTHORN_SMUGGLING") == "full"
ID = r"250 Ok [0-9a-f]{16}-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}-000000"
ANSWERS = r"^(250 Ok|(5\d\d |sendmail: 5\d\d |error: )(Transaction failed: |Message contains ))"
LF, CR, NUL = "a bare line feed", "a bare carriage return", "a NUL octet"
SMUGGLED = (b"MAIL FROM:<x@example.com>\r\nRCPT TO:<smuggled@victim.example>\r\nDATA\r\n"
            b"From: x@example.com\r\nSubject: smuggled\r\n\r\nsmuggled\r\n")

# octets: what they become by DATA and by BDAT (bare LF: CR LF; bare CR: a
# blank; by DATA a dot behind CR LF goes); what is wrong with them, in the
# order in which it is said.  With a NUL nothing is ever kept.
SEQUENCES = {
    b"\n.\n": (b"\r\n.\r\n", b"\r\n.\r\n", [LF]),
    b"\r\n.\n": (b"\r\n\r\n", b"\r\n.\r\n", [LF]),
    b"\n.\r\n": (b"\r\n.\r\n", b"\r\n.\r\n", [LF]),
    b"\n\n.\n\n": (b"\r\n\r\n.\r\n\r\n", b"\r\n\r\n.\r\n\r\n", [LF]),
    b"\r.\r": (b" . ", b" . ", [CR]),
    b"\r.\r\n": (b" .\r\n", b" .\r\n", [CR]),
    b"\r\n.\r": (b"\r\n ", b"\r\n. ", [CR]),
    b"\r\r.\r\r": (b"  .  ", b"  .  ", [CR]),
    b"\r.\n": (b" .\r\n", b" .\r\n", [LF, CR]),
    b"\n.\r": (b"\r\n. ", b"\r\n. ", [LF, CR]),
    b"\n\r.\n\r": (b"\r\n .\r\n ", b"\r\n .\r\n ", [LF, CR]),
    b"\r\n.\r\r\n": (b"\r\n \r\n", b"\r\n. \r\n", [CR]),
    b"\r\n\r.\r\n": (b"\r\n .\r\n", b"\r\n .\r\n", [CR]),
    b"\r\n..\r\n": (b"\r\n.\r\n", b"\r\n..\r\n", []),
    b"\r\n...\r\n": (b"\r\n..\r\n", b"\r\n...\r\n", []),
    b"\r\n.\n.\r\n": (b"\r\n\r\n.\r\n", b"\r\n.\r\n.\r\n", [LF]),
    b"\r\n. \r\n": (b"\r\n \r\n", b"\r\n. \r\n", []),
    b"\r\n.\t\r\n": (b"\r\n\t\r\n", b"\r\n.\t\r\n", []),
    b"\r\n .\r\n": (b"\r\n .\r\n", b"\r\n .\r\n", []),
    b"\r\n\0.\r\n": (None, None, [NUL]),
    b"\r\n.\0\r\n": (None, None, [NUL]),
    b"\r\n.\r\0\n": (None, None, [LF, CR, NUL]),
    b"\0\n.\n\0": (None, None, [LF, NUL]),
    # eight bits: CR LF . CR LF with the high bit, C1 NEL, U+2028, and more
    # than one octet for LF, which is no UTF-8
    b"\x8d\x8a.\x8d\x8a": (b"\x8d\x8a.\x8d\x8a", b"\x8d\x8a.\x8d\x8a", []),
    b"\x85.\x85": (b"\x85.\x85", b"\x85.\x85", []),
    b"\xe2\x80\xa8.\xe2\x80\xa8": (b"\xe2\x80\xa8.\xe2\x80\xa8", b"\xe2\x80\xa8.\xe2\x80\xa8", []),
    b"\xc0\x8a.\xc0\x8a": (b"\xc0\x8a.\xc0\x8a", b"\xc0\x8a.\xc0\x8a", []),
    b"\x0b.\x0b": (b"\x0b.\x0b", b"\x0b.\x0b", []),
    b"\x0c.\x0c": (b"\x0c.\x0c", b"\x0c.\x0c", []),
}
# settings of 7.1: what is refused of the list of faults
SETTINGS = {
    "default": ("", {CR, NUL}),
    "bare_lf reject": ("smtp.bare_lf reject\n", {LF, CR, NUL}),
    "bare_cr space": ("smtp.bare_cr space\n", {NUL}),
}
SUMMIT = b"summit"                  # stands before each sequence
FIELDS = b"From: sender@example.com\r\nTo: x@sink.example\r\n"
# where in a message the sequence is, when it is to be sent on
PLACES = {
    "body": FIELDS + b"Subject: one\r\n\r\n" + SUMMIT + b"SEQ" + SMUGGLED,
    "end": FIELDS + b"Subject: one\r\n\r\n" + SUMMIT + b"SEQ\r\n",
    "subject": FIELDS + b"Subject: " + SUMMIT + b"SEQ" + SMUGGLED,
    "only": SUMMIT + b"SEQ" + SMUGGLED,          # no field: From is made
}
HEAD = b"From: sender@example.com\r\nTo: x@sink.example\r\nSubject: one\r\n\r\n"
DELIVERY = "delivery {\n    allow_private yes\n    retry_jitter 0\n    retry_schedule 1s\n    reuse_idle 5s\n}\n"


NAMES = {0: "NUL", 9: "TAB", 10: "LF", 11: "VT", 12: "FF", 13: "CR", 32: "SP"}


def show(octets):
    """As it stands in the tables."""
    return " ".join(NAMES.get(c) or (chr(c) if c <= 126 else f"{c:02X}") for c in octets)


def table(title, columns, rows):
    """Printed whole, with the run: what is to be seen is seen."""
    width = max(len(r) for r in rows) + 2
    lines = [title, " " * width + "  ".join(columns)]
    for name, cells in rows.items():
        lines.append(name.ljust(width) + "  ".join(c.ljust(len(k)) for c, k in zip(cells, columns)).rstrip())
    sys.stderr.write("\n" + "\n".join(lines) + "\n")


class Recorder(Session):
    """A sink that keeps all octets of a connection, as they came."""

    def __init__(self, *args):
        super().__init__(*args)
        self.octets = b""

    def more(self):
        before = len(self.input)
        super().more()
        self.octets += self.input[before:]


class RecordingSink(Sink):
    conversation = Recorder


class Smuggling(unittest.TestCase):
    """A relay with one thread, a login, and names for its receivers."""
    extra = DELIVERY
    receivers = {"sink": "127.0.2.9"}    # name: address
    port = 0

    def begin(self, extra=""):
        self.relay = Relay(extra=self.extra + extra, sink_port=self.port, threads=1)
        self.addCleanup(self.relay.cleanup)
        self.dns = Dns(self.relay.folder)
        for name, address in self.receivers.items():
            self.dns.zone(name + ".example", f"@ MX 10 mx\nmx A {address}\n")
        self.dns.start()
        self.addCleanup(self.dns.stop)
        self.relay.dns = self.dns
        self.relay.write_conf()
        self.relay.start()
        self.account, self.key, self.password = self.relay.sender()

    def sink(self, name, *capabilities):
        s = RecordingSink(self.receivers[name], self.port)
        s.rules.capabilities = list(capabilities)
        s.start()
        self.addCleanup(s.stop)
        type(self).port = s.port
        return s

    def envelope(self, w, rcpts, params=""):
        w.send(f"MAIL FROM:<sender@example.com>{params}\r\n" + "".join(f"RCPT TO:<{r}>\r\n" for r in rcpts))
        self.assertEqual([w.reply()[0] for _ in range(len(rcpts) + 1)], ["250 Ok"] * (len(rcpts) + 1))

    def only_one(self, w, reply):
        """Nothing more is said before the answer to the next command."""
        self.assertEqual(w.cmd("VRFY x"), "252 Cannot verify, but will accept message and attempt delivery")
        return reply[0]

    def by_data(self, w, rcpts, content, params="", cut=None):
        """One reply behind 354; cut: what is before it has been read alone."""
        self.envelope(w, rcpts, params)
        self.assertRegex(w.cmd("DATA"), "^354")
        content += b".\r\n"
        if cut:
            w.send(content[:cut])
            self.assertEqual(self.other.cmd("NOOP"), "250 Ok")
            content = content[cut:]
        w.send(content)
        return self.only_one(w, w.reply())

    def by_bdat(self, w, rcpts, content, params="", cut=None):
        self.envelope(w, rcpts, params)
        if cut:
            w.send(b"BDAT %d\r\n" % cut + content[:cut])
            self.assertEqual(w.reply(), [f"250 Ok {cut} octets received"])
            content = content[cut:]
        w.send(b"BDAT %d LAST\r\n" % len(content) + content)
        return self.only_one(w, w.reply())


    # -- as the sender ------------------------------------------------------
    def open_local(self):
        """The caller on the Unix socket writes as the credential app1."""
        self.relay.extra += f"local all {{\n    match *\n    credential {self.account}/app1\n}}\n"
        self.relay.reload()

    def by_socket(self, w, rcpts, content):
        if not hasattr(self, "local"):
            self.local = self.relay.wire("local")
            self.local.reply()
            self.local.hello()
        return self.by_data(self.local, rcpts, content)

    def by_bdat_cut(self, w, rcpts, content):
        """In chunks of 7 octets from the place of the sequence on."""
        start = content.index(SUMMIT) + len(SUMMIT)
        self.envelope(w, rcpts)
        pieces = [content[:start]] + [content[i:i + 7] for i in range(start, len(content), 7)]
        w.send(b"".join(b"BDAT %d%s\r\n" % (len(p), b" LAST" if p is pieces[-1] else b"") + p for p in pieces))
        replies = [w.reply() for _ in pieces]
        self.assertEqual([r[0][:6] for r in replies[:-1]], ["250 Ok"] * (len(pieces) - 1))
        return self.only_one(w, replies[-1])

    def by_sendmail(self, w, rcpts, content):
        r = subprocess.run([os.path.join(BUILD, "sendmail"), "-C", self.relay.sendmail_conf(), "-i", "-f",
                            "sender@example.com", *rcpts], input=content, capture_output=True, timeout=60)
        return "250 Ok" if r.returncode == 0 else r.stderr.decode()

    def by_ctl(self, w, rcpts, content):
        path = os.path.join(self.relay.folder, "raw")
        with open(path, "wb") as f:
            f.write(content)
        r = self.relay.run_ctl("-a", self.account, "send", "--from", "sender@example.com", "--raw", path,
                               *(a for to in rcpts for a in ("--to", to)))
        return "250 Ok" if r.returncode == 0 else r.stderr

    def hand_in(self, ways, places):
        """Every sequence by each way at each place, to all receivers: the
        recipients whose message was taken, by sequence."""
        taken = {}
        w = self.relay.session(self.key, self.password)
        for number, seq in enumerate(SEQUENCES):
            taken[seq] = []
            for way in ways:
                for place, content in places.items():
                    local = f"{way}.{place}.{number}"
                    reply = getattr(self, "by_" + way)(w, [f"{local}@{r}.example" for r in self.receivers],
                                                       content.replace(b"SEQ", seq))
                    self.assertRegex(reply, ANSWERS, (way, place, show(seq)))
                    if reply.startswith("250 Ok"):
                        taken[seq].append(local)
        w.close()
        return taken

    def cells(self, taken, found):
        """found: recipients at each receiver.  One message each, and nothing else."""
        rows = {}
        for seq, locals_ in taken.items():
            counts = [sorted({n[f"{l}@{r}.example"] for l in locals_}) for r, n in found.items()]
            rows[show(seq)] = [" ".join(map(str, c)) or "refused" for c in counts]
            self.assertTrue(all(c in ([], [1]) for c in counts), (show(seq), rows[show(seq)]))
        for name, counter in found.items():
            self.assertEqual(sum(counter.values()), sum(map(len, taken.values())), (name, counter))
        return rows


class Receiver(Smuggling):
    """Posthorn as the receiver: each sequence in DATA and in BDAT, whole and
    (but where all of them are refused anyway) cut at each octet, declared as
    7 and as 8 bits."""

    def judge(self, name, refused, faults):
        found = [f for f in faults if f in refused]
        return f"550 Message contains {found[0]}" if found else ID

    def walk(self, name, refused):
        rows, want = {}, {}
        w = self.relay.session(self.key, self.password)
        self.other = self.relay.wire("clear")
        self.other.login(self.key, self.password)
        for number, (seq, (data, bdat, faults)) in enumerate(SEQUENCES.items()):
            reply = self.judge(name, refused, faults)
            content = HEAD + b"a" + seq + SMUGGLED
            start = len(HEAD) + 1
            cuts = [None, *(range(start, start + len(seq) + 2) if LF not in refused else ())]
            for i, cut in enumerate(cuts):
                for way, stored in ((self.by_data, data), (self.by_bdat, bdat)):
                    with self.subTest(settings=name, sequence=show(seq), cut=cut, way=way.__name__):
                        rcpt = f"{way.__name__}.{number}.{i}@sink.example"
                        params = (" BODY=7BIT", " BODY=8BITMIME", "")[i % 3]
                        self.assertRegex(way(w, [rcpt], content, params, cut), f"^{reply}$")
                        if reply == ID:
                            want[rcpt] = b"a" + stored + SMUGGLED
            rows[show(seq)] = ["one" if reply == ID else "550 " + reply.split("contains ")[1]]
        w.close()
        self.other.close()
        return rows, want

    def check(self, name):
        extra, refused = SETTINGS[name]
        sink = self.sink("sink", "PIPELINING", "8BITMIME", "CHUNKING")
        self.begin(extra)
        rows, want = self.walk(name, refused)
        sink.wait(len(want), 60)
        got = {m.rcpts[0]: m.data.split(b"\r\n\r\n", 1)[1] for m in sink.messages}
        self.assertEqual(len(sink.messages), len(got))
        self.assertEqual(got, want)
        self.assertEqual(self.relay.stop(), 0)
        table(f"posthorn, {name}: what becomes of a message", ["result"], rows)

    def test_default(self):
        """smtp-interface#12: only CR LF . CR LF ends; bare CR and NUL are refused at the true end"""
        self.check("default")

    def test_bare_lf_reject(self):
        """smtp-interface#12"""
        self.check("bare_lf reject")

    def test_bare_cr_space(self):
        """smtp-interface.md 7.1"""
        self.check("bare_cr space")

    def test_true_end(self):
        """smtp-interface.md 7.1: what is behind the five octets is the next command, whatever is before them"""
        sink = self.sink("sink", "PIPELINING")
        self.begin("smtp.bare_cr space\n")
        w = self.relay.session(self.key, self.password)
        for before in (b"", b"\r", b"\n", b"\r\n", b".", b"\r\n..", b"\n."):
            with self.subTest(show(before)):
                self.envelope(w, ["one@sink.example"])
                w.cmd("DATA")
                w.send(HEAD + b"a" + before + b"\r\n.\r\n" + SMUGGLED.replace(b"victim", b"sink") + b".\r\n")
                replies = [w.reply()[0] for _ in range(5)]
                self.assertEqual(replies[1:4], ["250 Ok", "250 Ok", "354 End data with <CR><LF>.<CR><LF>"])
                self.assertRegex(replies[0] + replies[4], f"^({ID}){{2}}$")
        w.close()
        self.assertEqual(Counter(m.rcpts[0] for m in sink.wait(14)),
                         {"one@sink.example": 7, "smuggled@sink.example": 7})


class Sender(Smuggling):
    """What posthorn sends on, octet by octet, whoever handed it in and how."""
    receivers = {"data": "127.0.2.9", "chunking": "127.0.2.10", "old": "127.0.2.11"}
    # what could have been refused is let in
    settings = "smtp.bare_cr space\nmessage.lenient_headers yes\n"

    def check_octets(self, sink):
        """No bare CR or LF, dots doubled; and who takes any CR or LF for a
        line end finds one end for each message."""
        messages = 0
        for session in sink.sessions:
            octets = session.octets
            self.assertNotRegex(octets, rb"(?<!\r)\n|\r(?!\n)|\0")
            for m in (m for m in sink.messages if not m.bdat and m.session is session):
                for line in m.raw.split(b"\r\n"):
                    self.assertRegex(line, rb"^(\.\.|[^.]|$)")
                messages += 1
            if not any(m.bdat for m in sink.messages):
                self.assertEqual(len(re.findall(rb"[\r\n]\.[\r\n]", octets)), session.transactions)
        return messages

    def test_sinks(self):
        """smtp-interface#13, 7.1; delivery.md 5.1"""
        sinks = {"data": self.sink("data", "PIPELINING", "8BITMIME"),
                 "chunking": self.sink("chunking", "PIPELINING", "8BITMIME", "CHUNKING"),
                 "old": self.sink("old")}
        self.begin(self.settings)
        self.open_local()
        # smtp-interface.md 9.1 holds for posthornctl send, too
        self.assertEqual(self.by_ctl(None, ["x@nowhere.example"], b"no field\r\n"), "250 Ok")
        ways = ("data", "bdat", "bdat_cut", "socket")
        taken = self.hand_in(ways, PLACES)
        for seq, more in self.hand_in(("sendmail", "ctl"), PLACES if FULL else {"body": PLACES["body"]}).items():
            taken[seq] += more
        count = sum(map(len, taken.values()))
        self.assertGreater(count, 300)
        found = {name: Counter(m.rcpts[0] for m in s.wait(count, 120)) for name, s in sinks.items()}
        rows = self.cells(taken, found)
        self.assertEqual(self.relay.stop(), 0)
        for name, s in sinks.items():
            self.assertEqual({m.bdat for m in s.messages}, {name == "chunking"})
            self.assertEqual(self.check_octets(s), 0 if name == "chunking" else count)
        # the sequence reached them: it was not the message that was lost
        self.assertEqual({b"smuggled\r\n" in m.data for m in sinks["data"].messages if ".end." not in m.rcpts[0]},
                         {True})
        table("sent on by posthorn: messages at each sink, of one that was handed in", list(sinks), rows)


# of a real server: does it end a message that is sent to it as it is?
RAW = ("postfix", "postfix-no", "exim", "opensmtpd", "sendmail")


@unittest.skipUnless(os.geteuid() == 0, NOT_ROOT)
class Servers(Smuggling):
    """Postfix with smtpd_forbid_bare_newline and without, Exim, OpenSMTPD
    and Sendmail as the next hop: none of them finds a second message."""
    receivers = {"postfix": "127.0.2.1", "postfix-no": "127.0.2.2", "postfix-bdat": "127.0.2.3", "exim": "127.0.2.4",
                 "exim-bdat": "127.0.2.5", "opensmtpd": "127.0.2.6", "sendmail": "127.0.2.7"}
    settings = Sender.settings

    @classmethod
    def setUpClass(cls):
        unpack()
        folder = tempfile.mkdtemp(prefix="posthorn-smuggling-")
        cls.addClassCleanup(shutil.rmtree, folder, ignore_errors=True)
        os.chmod(folder, 0o755)
        pair = certificate(folder, "mx.sink.example")
        cls.port = port = free_port(host="")
        at = cls.receivers
        postfix = Postfix("mx.postfix.example", folder)
        postfix.receive(at["postfix"], port, pair, "smtpd_discard_ehlo_keywords=chunking")
        postfix.receive(at["postfix-no"], port, pair, "smtpd_discard_ehlo_keywords=chunking",
                        "smtpd_forbid_bare_newline=no", "smtpd_forbid_unauth_pipelining=no", "smtpd_data_restrictions=")
        postfix.receive(at["postfix-bdat"], port, pair, "smtpd_forbid_bare_newline=no")
        exim = Exim("mx.exim.example", folder)
        exim.receive(f"{at['exim']} : {at['exim-bdat']}", port, pair,
                     chunking="${if eq{$received_ip_address}{%s}{*}{}}" % at["exim-bdat"])
        opensmtpd = OpenSMTPD("mx.opensmtpd.example", folder).receive(at["opensmtpd"], port, pair)
        sendmail = Sendmail("mx.sendmail.example", folder).receive(at["sendmail"], port, pair)
        cls.servers = (postfix, exim, opensmtpd, sendmail)
        for server in cls.servers:
            cls.addClassCleanup(server.stop)
            server.start()

    def server(self, receiver):
        return next(s for s in self.servers if receiver.startswith(s.name))

    def found(self):
        """Recipients at each receiver; none of them was smuggled."""
        rcpts = {s: [m.rcpt for m in s.mails()] for s in self.servers}
        self.assertEqual([r for l in rcpts.values() for r in l if r.startswith("smuggled@")], [])
        return {name: Counter(r for r in rcpts[self.server(name)] if r.endswith(f"@{name}.example") and
                              not r.startswith("raw@")) for name in self.receivers}

    def test_servers(self):
        """delivery.md 5.1"""
        self.begin(self.settings)
        self.open_local()
        taken = self.hand_in(("data", "bdat", "bdat_cut", "socket", "sendmail", "ctl") if FULL else ("data",),
                             PLACES if FULL else {"body": PLACES["body"]})
        count = sum(map(len, taken.values())) * len(self.receivers)
        self.assertGreater(count, 100)
        wait_for(lambda: len(re.findall("result=delivered", self.relay.log_text())) >= count, f"{count} deliveries",
                 1200 if FULL else 120)
        self.assertNotRegex(self.relay.log_text(), "result=(deferred|bounced)")
        wait_for(lambda: sum(sum(c.values()) for c in self.found().values()) >= count, f"{count} mails")
        rows = self.cells(taken, self.found())
        table("sent on by posthorn: messages at each server, of one that was handed in", list(self.receivers), rows)

    def raw(self, receiver, seq):
        """Without posthorn: "two" if what is behind the sequence is obeyed,
        "end" if only an end is found there, "no" if all is refused."""
        w = Wire(self.receivers[receiver], self.port)
        w.reply()
        w.hello()
        for line in ("MAIL FROM:<a@example.com>", f"RCPT TO:<raw@{receiver}.example>"):
            self.assertRegex(w.cmd(line), "^250")
        self.assertRegex(w.cmd("DATA"), "^354")
        w.send(FIELDS + b"\r\na" + seq + SMUGGLED.replace(b"DATA", b"NOOP") + b".\r\n")
        first = w.reply()[0]
        replies = []
        try:
            w.send("QUIT\r\n")
            while (reply := w.reply()) is not None:
                replies.append(reply[-1][:3])
        except ConnectionError:
            pass                 # closed while there was input
        w.close()
        if "250" in replies:
            return "two"
        if "Pipelining not supported" in first or len(replies) > 1:
            return "end"
        return "one" if first.startswith("250") else "no"

    def test_raw(self):
        """That they can be fooled at all: Postfix without its protection"""
        self.assertEqual(self.raw("postfix", b"\n.\n"), "one")
        self.assertEqual(self.raw("postfix-no", b"\n.\n"), "two")
        if FULL:
            table("sent to the servers as it is, without posthorn", RAW,
                  {show(seq): [self.raw(r, seq) for r in RAW] for seq in SEQUENCES})


if __name__ == "__main__":
    unittest.main()
