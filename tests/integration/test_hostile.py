# SPDX-License-Identifier: ISC
"""Peers that do not keep to the protocol: receivers that answer out of turn,
clients that split, stop, vanish and smuggle.  Nothing may end a process, and
what was acknowledged is delivered once."""
import os
import random
import re
import socket
import struct
import subprocess
import sys
import threading
import unittest

from harness.dns import Dns
from harness.relay import Relay
from harness.sink import Sink, stop_listening
from harness.waiting import wait_for

BODY = "From: bob@example.com\nTo: x\nSubject: test\n\nHello, world.\n"
ID = r"250 Ok [0-9a-f]{16}-[0-9a-f-]{36}-000000"
GREETING, EHLO = b"220 mx\r\n", b"250-mx\r\n250 PIPELINING\r\n"
CHUNKING = b"250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n"
LINE, DOT, END = "line", "dot", "end"


class Peer(threading.Thread):
    """A receiver with one part to play: bytes are said, LINE, DOT and END are
    waited for; then the connection is closed."""

    def __init__(self, host, port, part):
        super().__init__(daemon=True)
        self.part = part
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((host, port))
        self.listener.listen(64)
        self.port = self.listener.getsockname()[1]

    def run(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.play, args=(s,), daemon=True).start()

    def play(self, s):
        s.settimeout(30)
        try:
            with s, s.makefile("rb") as f:
                for step in self.part:
                    if isinstance(step, bytes):
                        s.sendall(step)
                    elif step == LINE:
                        f.readline()
                    elif step == DOT:
                        while f.readline() not in (b".\r\n", b""):
                            pass
                    else:
                        while f.read1(65536):
                            pass
        except OSError:
            return

    def stop(self):
        stop_listening(self, self.listener)


# name of the domain: part, what becomes of the message (delivery.md 6, 7)
PARTS = {
    # one reply more than commands, of a message too large for the peer
    "too-large": ([GREETING, LINE, b"250-mx\r\n250 SIZE 10\r\n250 more\r\n", END], r"result=deferred kind=protocol"),
    "too-large-split": ([GREETING, LINE, b"250-mx\r\n250 SIZE 10\r\n25", END],
                        r"result=(deferred|bounced) kind=(protocol|too-large)"),
    # "yes" to something else than the content
    "rcpt-220": ([GREETING, LINE, EHLO, LINE, b"250 a\r\n", LINE, b"220 b\r\n", LINE, b"554 c\r\n", END],
                 r"result=bounced kind=reply stage=data code=554"),
    "rcpt-354": ([GREETING, LINE, EHLO, LINE, b"250 a\r\n", LINE, b"354 b\r\n", END], r"result=deferred kind=protocol"),
    "mail-354": ([GREETING, LINE, EHLO, LINE, b"354 a\r\n", END], r"result=deferred kind=protocol"),
    "data-250": ([GREETING, LINE, EHLO, LINE, b"250 a\r\n", LINE, b"250 b\r\n", LINE, b"250 c\r\n", END],
                 r"result=deferred kind=protocol"),
    "starttls-250": ([GREETING, LINE, b"250-mx\r\n250 STARTTLS\r\n", LINE, b"250 a\r\n", END],
                     r"result=deferred kind=protocol"),
    "dot-354": ([GREETING, LINE, EHLO, LINE, b"250 a\r\n", LINE, b"250 b\r\n", LINE, b"354 c\r\n", DOT, b"354 d\r\n",
                 END], r"result=deferred kind=unsure"),
    "refused-354": ([GREETING, LINE, EHLO, LINE, b"250 a\r\n", LINE, b"550 b\r\n", LINE, b"354 c\r\n", END],
                    r"result=bounced kind=reply stage=rcpt code=550"),
    "refused-bdat": ([GREETING, LINE, CHUNKING, LINE, b"250 a\r\n", LINE, b"550 b\r\n", LINE, b"250 c\r\n", END],
                     r"result=bounced kind=reply stage=rcpt code=550"),
    # replies before commands
    "before": ([GREETING + EHLO + b"250 a\r\n250 b\r\n354 c\r\n250 d\r\n", END], r"result=deferred kind=protocol"),
    "before-bdat": ([GREETING, LINE, CHUNKING + b"250 a\r\n250 b\r\n250 c\r\n", END], r"result=deferred kind=protocol"),
    "behind": ([GREETING, LINE, EHLO, LINE, b"250 a\r\n", LINE, b"250 b\r\n", LINE, b"354 c\r\n", DOT,
                b"250 d\r\n250 e\r\n550 f\r\n", END], r"result=delivered kind=reply stage=dot code=250"),
    # floods and rubbish
    "lines": ([b"220-more\r\n" * 50000, END], r"result=deferred kind=protocol"),
    "long": ([b"220 " + b"a" * 200000, END], r"result=deferred kind=protocol"),
    "rubbish": ([bytes(range(256)) * 8, END], r"result=deferred kind=protocol"),
    "code-999": ([b"999 a\r\n", END], r"result=deferred kind=protocol"),
    "code-100": ([GREETING, LINE, EHLO, LINE, b"100 a\r\n", END], r"result=deferred kind=protocol"),
    "limits": ([GREETING, LINE, b"250-mx\r\n250-LIMITS RCPTMAX=99999999999999999999999 MAILMAX=0\r\n"
                b"250-SIZE 99999999999999999999999\r\n250 PIPELINING\r\n", LINE, b"250 a\r\n", LINE, b"250 b\r\n", LINE,
                b"354 c\r\n", DOT, b"250 d\r\n", END], r"result=delivered kind=reply stage=dot code=250"),
    # ends at each stage
    "end-0": ([], r"result=deferred kind=lost"),
    "end-1": ([GREETING], r"result=deferred kind=lost"),
    "end-2": ([GREETING, LINE], r"result=deferred kind=lost"),
    "end-3": ([GREETING, LINE, EHLO], r"result=deferred kind=lost"),
    "end-4": ([GREETING, LINE, EHLO, LINE], r"result=deferred kind=lost"),
    "end-5": ([GREETING, LINE, EHLO, LINE, b"250 a\r\n", LINE, b"250 b\r\n", LINE], r"result=deferred kind=lost"),
    "end-6": ([GREETING, LINE, EHLO, LINE, b"250 a\r\n", LINE, b"250 b\r\n", LINE, b"354 c\r\n", DOT],
              r"result=deferred kind=unsure"),
}


class Hostile(unittest.TestCase):
    extra = "delivery {\n    allow_private yes\n    retry_jitter 0\n    retry_schedule 1h\n    reuse_idle 200ms\n}\n"

    def start(self):
        self.relay.dns, self.relay.sink_port = self.dns, self.port
        self.relay.write_conf()
        self.dns.start()
        self.addCleanup(self.dns.stop)
        self.relay.start()
        _, self.key, self.password = self.relay.sender()

    def setUp(self):
        self.relay = Relay(extra=self.extra)
        self.addCleanup(self.relay.cleanup)
        self.dns = Dns(self.relay.folder)

    def check_whole(self):
        """Every process lives until it is told to end."""
        self.assertEqual(self.relay.stop(), 0)
        self.assertNotIn("child-ended", self.relay.log_text())
        self.assertNotIn(self.password, self.relay.log_text())


class Receivers(Hostile):
    def test_parts(self):
        """delivery.md 7: whatever a receiver says, no message is lost by it"""
        self.port = 0
        for i, (name, (part, _)) in enumerate(PARTS.items()):
            peer = Peer(f"127.0.3.{i + 1}", self.port, part)
            peer.start()
            self.addCleanup(peer.stop)
            self.port = peer.port
            self.dns.zone(f"{name}.example", f"@ MX 10 mx\nmx A 127.0.3.{i + 1}\n")
        self.start()
        w = self.relay.session(self.key, self.password)
        mids = {}
        for name in PARTS:
            answer = w.message("bob@example.com", f"x@{name}.example", BODY)
            self.assertRegex(answer, ID)
            mids[name] = answer.split()[2]
        w.close()
        for name, (_, result) in PARTS.items():
            with self.subTest(name):
                line = self.relay.wait_log(rf"settled mid={mids[name]} .*")[0]
                self.assertRegex(line, result)
        self.check_whole()


class Clients(Hostile):
    extra = Hostile.extra + "smtp.timeout_data 2s\n"

    def setUp(self):
        super().setUp()
        self.sink = Sink("127.0.0.2")
        self.sink.start()
        self.addCleanup(self.sink.stop)
        self.port = self.sink.port
        self.dns.zone("sink.example", "@ MX 10 a\na A 127.0.0.2\n")
        self.start()

    def delivered(self, to):
        with self.sink.lock:
            return [m for m in self.sink.messages if m.rcpts == [to]]

    def is_empty(self):
        return all(x["Messages"] == 0 for x in self.relay.json("queue", "summary")["States"])

    def test_splits(self):
        """Two transactions, DATA and BDAT, cut in two at every octet."""
        tail = (b"From: bob@example.com\r\n\r\n..x\r\n.\r\nMAIL FROM:<bob@example.com>\r\n"
                b"RCPT TO:<cut@sink.example>\r\nBDAT 25\r\nFrom: bob@example.com\r\n\r\nBDAT 4 LAST\r\nabc\nRSET\r\n")
        w = self.relay.session(self.key, self.password)
        w.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for cut in range(1, len(tail)):
            w.send("MAIL FROM:<bob@example.com>\r\nRCPT TO:<cut@sink.example>\r\nDATA\r\n")
            self.assertTrue([w.reply() for _ in range(3)][2][0].startswith("354"))
            w.send(tail[:cut])
            # the first half has been read when another session is answered
            self.relay.wire("clear").reply()
            w.send(tail[cut:])
            got = [w.reply()[0] for _ in range(6)]
            self.assertRegex(got[0], ID)
            self.assertRegex(got[4], ID)
            self.assertEqual(got[1:4] + got[5:], ["250 Ok", "250 Ok", "250 Ok 25 octets received", "250 Ok"], cut)
        w.close()
        count = 2 * (len(tail) - 1)
        wait_for(lambda: len(self.delivered("cut@sink.example")) >= count, f"{count} messages")
        bodies = [m.data.split(b"\r\n\r\n", 1)[1] for m in self.delivered("cut@sink.example")]
        self.assertEqual((bodies.count(b".x\r\n"), bodies.count(b"abc\r\n")), (count // 2, count // 2))
        self.check_whole()

    def test_smuggling(self):
        """smtp-interface#12, over the wire up to the receiver"""
        w = self.relay.session(self.key, self.password)
        for seq, reply in (("\n.\n", ID), ("\n.\r\n", ID), ("\r\n.\n", ID),
                           ("\r.\r", "550 Message contains a bare carriage return"),
                           ("\r\n.\r", "550 Message contains a bare carriage return"),
                           ("\r.\r\n", "550 Message contains a bare carriage return"),
                           ("\0", "550 Message contains a NUL octet")):
            with self.subTest(repr(seq)):
                w.cmd("MAIL FROM:<bob@example.com>")
                w.cmd("RCPT TO:<x@sink.example>")
                w.cmd("DATA")
                w.send(f"From: bob@example.com\r\n\r\na{seq}MAIL FROM:<x@example.com>\r\n\r\n.\r\n")
                self.assertRegex(w.reply()[0], reply)
                self.assertEqual(w.cmd("RCPT TO:<x@sink.example>"), "503 Bad sequence of commands: need MAIL")
        w.close()
        for m in self.sink.wait(3):
            self.assertIn(b"MAIL FROM:<x@example.com>", m.data)
            self.assertNotRegex(m.raw, rb"[^\r]\n|\r[^\n]|\0")
        self.check_whole()

    def test_vanishing(self):
        """smtp-interface 16: what was acknowledged is delivered, once; the
        rest leaves nothing behind"""
        acked, lock = set(), threading.Lock()

        def client(number):
            chance = random.Random(number)
            for k in range(12):
                to, stage = f"v{number}-{k}@sink.example", chance.randrange(6)
                data = "From: bob@example.com\r\n\r\n" + ("x" * 70 + "\r\n") * chance.choice((1, 1000, 40000))
                w = self.relay.session(self.key, self.password)
                if stage >= 1:
                    w.send(f"MAIL FROM:<bob@example.com>\r\nRCPT TO:<{to}>\r\nDATA\r\n")
                if stage >= 2:
                    w.send(data + ".\r\n" if stage == 5 else data[:chance.randrange(len(data))])
                if stage == 5:
                    replies = [w.reply()[0] for _ in range(4)]
                    if re.fullmatch(ID, replies[3]):
                        with lock:
                            acked.add(to)
                elif chance.random() < 0.5:
                    w.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                w.close()

        threads = [threading.Thread(target=client, args=(i,)) for i in range(6)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertTrue(acked)
        self.sink.wait(len(acked))
        wait_for(self.is_empty, "the queue to be empty")
        with self.sink.lock:
            self.assertEqual(sorted(m.rcpts[0] for m in self.sink.messages), sorted(acked))
        self.check_whole()

    def test_storm(self):
        """Many commands at once, many connections, a client that stops."""
        w = self.relay.session(self.key, self.password)
        sender = threading.Thread(target=lambda: w.send("RSET\r\n" * 20000))
        sender.start()
        self.assertEqual({w.reply()[0] for _ in range(20000)}, {"250 Ok"})
        sender.join()
        many = [self.relay.wire("clear") for _ in range(500)]
        for m in many:
            m.send("EHLO x\r\nRSET\r\nQUIT\r\n")
        for m in many:
            self.assertEqual([m.reply()[-1] for _ in range(4)][1:], ["250 Ok", "250 Ok", "221 Bye"])
            self.assertIsNone(m.reply())
            m.close()
        w.cmd("MAIL FROM:<bob@example.com>")
        w.cmd("RCPT TO:<x@sink.example>")
        w.cmd("DATA")
        w.send("From: bob@example.com\r\n\r\nabc")
        self.assertEqual(w.reply(), ["451 Timeout waiting for data from client"])
        self.assertIsNone(w.reply())
        w.close()
        self.check_whole()

    def test_crowd(self):
        """smtp-interface.md 14: above the limit everybody is told 421, however many come at once; a session that is
        there goes on, and a place that is left is taken"""
        self.relay.extra = self.extra + "smtp.max_connections 50\n"
        self.relay.reload()
        w = self.relay.session(self.key, self.password)
        there = [self.relay.wire("submission") for _ in range(49)]
        for t in there:
            self.assertRegex(t.reply()[0], "^220 ")
        many = [self.relay.wire("clear") for _ in range(1500)]
        self.assertRegex(w.message("bob@example.com", "x@sink.example", BODY), ID)
        self.assertEqual([m.reply() for m in many], [["421 Too many concurrent SMTP connections"]] * len(many))
        for m in many + there:
            m.close()
        wait_for(lambda: self.relay.wire("clear").reply()[0].startswith("220 "), "a place")
        w.close()
        self.sink.wait(1)
        self.check_whole()

    @unittest.skipIf(os.geteuid() != 0, "becomes another user: root only")
    def test_stranger(self):
        """admin-cli.md: a user without rights learns nothing and does not
        fill the log; malformed requests are refused one by one"""
        knock = ("import os, socket, sys\n"
                 "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
                 "for i in range(300):\n"
                 "    c = socket.socket(socket.AF_UNIX); c.connect(sys.argv[1]); print(c.recv(1000)); c.close()\n")
        r = subprocess.run([sys.executable, "-c", knock, self.relay.socket], capture_output=True, text=True)
        self.assertEqual(r.stdout.count("permission denied"), 300, r.stderr)
        self.assertEqual(self.relay.log_text().count("control-denied uid=65534"), 1)
        for request in (b"\n", b"[]\n", b"null\n", b"\xff\n", b"\0\n", b"{" * 60000 + b"\n", b'{"verb":1}\n',
                        b'{"verb":"status","args":1}\n', b'{"verb":"queue list","account":{}}\n',
                        b'{"verb":"queue hold","args":{"all":true},"dry_run":"yes"}\n',
                        b'{"verb":"queue list","args":{"limit":[]}}\n'):
            with self.subTest(request[:20]), socket.socket(socket.AF_UNIX) as c:
                c.connect(self.relay.socket)
                c.sendall(request)
                self.assertRegex(c.makefile("rb").readline(), rb'^\{"error":\{"Code":".*"status":[12]\}')
        self.check_whole()


if __name__ == "__main__":
    unittest.main()
