# SPDX-License-Identifier: ISC
"""Delivery to receiving servers found through DNS (delivery.md section 16)."""
import re
import threading
import unittest

from harness.dns import Dns
from harness.relay import Relay, certificate, expired_certificate
from harness.sink import Sink
from harness.waiting import wait_for

BODY = "From: bob@example.com\nTo: x\nSubject: test\n\nHello, world.\n"
ID = r"250 Ok [0-9a-f]{16}-[0-9a-f-]{36}-000000"


class World(unittest.TestCase):
    """A relay, knot, and sinks at 127.0.0.2 ... of one port."""
    extra = "delivery {\n    allow_private yes\n    retry_jitter 0\n    retry_schedule 1s\n    reuse_idle 200ms\n}\n"
    hosts = 3
    tls = False
    certificate = staticmethod(certificate)

    @classmethod
    def setUpClass(cls):
        cls.relay = Relay(extra=cls.extra)
        cls.addClassCleanup(cls.relay.cleanup)
        pair = cls.certificate(cls.relay.folder, "mx.sink.example") if cls.tls else None
        first = Sink("127.0.0.2", tls=pair)
        cls.sinks = [first] + [Sink(f"127.0.0.{i + 3}", first.port, tls=pair) for i in range(cls.hosts - 1)]
        for s in cls.sinks:
            s.start()
            cls.addClassCleanup(s.stop)
        cls.dns = Dns(cls.relay.folder)
        cls.zones()
        cls.dns.start()
        cls.addClassCleanup(cls.dns.stop)
        cls.relay.dns, cls.relay.sink_port = cls.asked(), first.port
        cls.relay.write_conf()
        cls.relay.start()
        cls.account, cls.key, cls.password = cls.relay.sender(config_set="main")

    @classmethod
    def zones(cls):
        cls.dns.zone("sink.example", "@ MX 10 a\na A 127.0.0.2\nb A 127.0.0.3\nc A 127.0.0.4\n")

    @classmethod
    def asked(cls):
        """Whom the relay asks."""
        return cls.dns

    def setUp(self):
        # connections kept from another test know other capabilities
        wait_for(lambda: all(s.open == 0 for s in self.sinks), "idle connections to close")
        for s in self.sinks:
            with s.lock:
                s.rules.__init__()
                s.messages.clear()
                s.sessions.clear()
                s.most_open = 0

    def send(self, to, data=BODY, sender="bob@example.com"):
        w = self.relay.session(self.key, self.password)
        answer = w.message(sender, to, data)
        self.assertRegex(answer, ID)
        w.cmd("QUIT")
        w.close()
        return answer.split()[2]

    def of(self, mid, kind=None):
        return [e for e in self.relay.events("--message-id", mid)
                if kind is None or e["eventType"] == kind]

    def wait_for_event(self, mid, kind, count=1, timeout=30):
        return wait_for(lambda: (lambda f: f if len(f) >= count else None)(self.of(mid, kind)),
                        f"{count} {kind} of {mid}", timeout)


class Routing(World):
    @classmethod
    def zones(cls):
        super().zones()
        cls.dns.zone("order.example", "@ MX 20 b\n@ MX 10 a\na A 127.0.0.9\nb A 127.0.0.3\n")
        cls.dns.zone("equal.example", "@ MX 10 a\n@ MX 10 b\na A 127.0.0.2\nb A 127.0.0.3\n")
        cls.dns.zone("nomail.example", "@ MX 0 .\n")
        cls.dns.zone("implicit.example", "@ A 127.0.0.2\n")
        cls.dns.zone("dead.example", "@ MX 10 a\n@ A 127.0.0.2\na A 127.0.0.9\n")
        cls.dns.zone("refused.example", "@ MX 10 a\na A 127.0.0.9\n")     # a site that no other test wears out
        cls.dns.zone("loop.example", "@ MX 10 mail.relay.example.\n")
        cls.dns.zone("alias.example", "@ MX 10 mx\nmx CNAME real\nreal A 127.0.0.2\n")
        cls.dns.zone("noaddr.example", "@ MX 10 nowhere\n")
        cls.dns.zone("broken.example", None)

    def test_immediate(self):
        """delivery#1: at once, with the sink's reply"""
        mid = self.send("jane@sink.example")
        self.sinks[0].wait(1)
        event = self.wait_for_event(mid, "Delivery")[0]
        self.assertEqual(event["delivery"]["smtpResponse"], "250 2.6.0 Message received")
        self.assertEqual(event["delivery"]["remoteMtaIp"], "127.0.0.2")
        self.assertLess(event["delivery"]["processingTimeMillis"], 1000)
        message = self.sinks[0].messages[0]
        self.assertRegex(message.mail_from, r"^[0-9a-f]{16}-[0-9a-f-]{36}-000001@bounces\.relay\.example$")
        self.assertEqual(message.mail_from[:53], mid[:53])

    def test_mx_order(self):
        """delivery#2: the next host in the same attempt; equal ones share"""
        mid = self.send("x@order.example")
        self.sinks[1].wait(1)
        self.wait_for_event(mid, "Delivery")
        self.assertEqual(self.of(mid, "DeliveryDelay"), [])

    def test_mx_equal(self):
        """delivery#2, second half: 200 messages over two equal hosts"""
        for s in self.sinks:
            s.rules.drop = None
        w = self.relay.session(self.key, self.password)
        for i in range(200):
            # a connection each: what is chosen anew is the order of hosts
            self.assertRegex(w.message("bob@example.com", f"u{i}@equal.example", BODY), ID)
        wait_for(lambda: len(self.sinks[0].messages) + len(self.sinks[1].messages) >= 200, "200 messages", 60)
        w.close()
        with self.sinks[0].lock, self.sinks[1].lock:
            self.assertEqual(len(self.sinks[0].messages) + len(self.sinks[1].messages), 200)

    def test_null_mx(self):
        """delivery#3"""
        mid = self.send("x@nomail.example")
        bounce = self.wait_for_event(mid, "Bounce")[0]["bounce"]
        self.assertEqual((bounce["bounceType"], bounce["bounceSubType"]), ("Permanent", "General"))
        self.assertEqual(bounce["bouncedRecipients"][0]["status"], "5.1.10")
        self.assertEqual(bounce["bouncedRecipients"][0]["diagnosticCode"],
                         "smtp; 556 5.1.10 recipient domain does not accept mail")

    def test_implicit_mx(self):
        """delivery#4: no MX, an A record; an MX that refuses is no reason for the A record"""
        self.send("x@implicit.example")
        self.sinks[0].wait(1)
        mid = self.send("x@dead.example")
        self.wait_for_event(mid, "DeliveryDelay")
        self.assertEqual(len(self.sinks[0].messages), 1)

    def test_cname_target(self):
        """delivery.md 4.2: an MX target that is a CNAME is followed"""
        self.send("x@alias.example")
        self.sinks[0].wait(1)

    def test_refused(self):
        """delivery#10, events#7: nobody listens"""
        mid = self.send("x@refused.example")
        delay = self.wait_for_event(mid, "DeliveryDelay")[0]["deliveryDelay"]
        self.assertEqual(delay["delayType"], "TransientCommunicationFailure")
        self.assertEqual(delay["delayedRecipients"][0]["status"], "4.4.1")
        self.assertEqual(delay["delayedRecipients"][0]["diagnosticCode"],
                         "smtp; 421 4.4.1 Unable to connect to remote host")
        self.assertNotIn("reportingMTA", delay)

    def test_dns_failures(self):
        """delivery#5,6 (first attempt): NXDOMAIN and SERVFAIL are tried again"""
        missing = self.send("x@missing.sink.example")
        broken = self.send("x@broken.example")
        noaddr = self.send("x@noaddr.example")
        for mid in (missing, broken, noaddr):
            self.assertEqual(self.wait_for_event(mid, "DeliveryDelay")[0]["deliveryDelay"]["delayType"],
                             "TransientCommunicationFailure")
        delays = self.of(missing, "DeliveryDelay")[0]
        self.assertEqual(hours(delays["mail"]["timestamp"], delays["deliveryDelay"]["expirationTime"]), 12)
        delays = self.of(broken, "DeliveryDelay")[0]
        self.assertEqual(hours(delays["mail"]["timestamp"], delays["deliveryDelay"]["expirationTime"]), 72)

    def test_loop(self):
        """delivery#19: MX is this host"""
        mid = self.send("x@loop.example")
        bounce = self.wait_for_event(mid, "Bounce")[0]["bounce"]
        self.assertEqual(bounce["bouncedRecipients"][0]["status"], "5.4.6")


def hours(a, b):
    import datetime
    form = "%Y-%m-%dT%H:%M:%S.%fZ"
    return (datetime.datetime.strptime(b, form) - datetime.datetime.strptime(a, form)).total_seconds() / 3600


class Dialogue(World):
    extra = World.extra + "delivery {\n    dest one.example {\n        max_connections 1\n    }\n}\n"

    @classmethod
    def zones(cls):
        cls.dns.zone("sink.example", "@ MX 10 a\n@ MX 20 b\na A 127.0.0.2\nb A 127.0.0.3\n")
        cls.dns.zone("one.example", "@ MX 10 a\na A 127.0.0.4\n")

    def test_permanent(self):
        """bounces-and-feedback#1 (event)"""
        self.sinks[0].rules.rcpt = "550 5.1.1 <jane@sink.example>... User unknown"
        mid = self.send("jane@sink.example")
        bounce = self.wait_for_event(mid, "Bounce")[0]["bounce"]
        self.assertEqual((bounce["bounceType"], bounce["bounceSubType"]), ("Permanent", "General"))
        self.assertEqual(bounce["bouncedRecipients"], [{
            "emailAddress": "jane@sink.example", "action": "failed", "status": "5.1.1",
            "diagnosticCode": "smtp; 550 5.1.1 <jane@sink.example>... User unknown"}])
        self.assertEqual(bounce["reportingMTA"], "dns; mail.relay.example")
        self.assertEqual(bounce["remoteMtaIp"], "127.0.0.2")

    def test_no_next_host_after_4xx(self):
        """delivery#11"""
        self.sinks[0].rules.rcpt = "450 4.7.1 greylisted"
        mid = self.send("jane@sink.example")
        delay = self.wait_for_event(mid, "DeliveryDelay")[0]["deliveryDelay"]
        self.assertEqual(delay["delayType"], "General")
        self.assertEqual(delay["reportingMTA"], "127.0.0.2")
        self.assertEqual(self.sinks[1].sessions, [])

    def test_greylisting(self):
        """delivery#8, events#6: the same envelope sender each time, no bounce"""
        tries = []

        def grey(session, command):
            tries.append(command)
            return "450 4.2.0 greylisted" if len(tries) <= 3 else None
        self.sinks[0].rules.mail = grey
        mid = self.send("jane@sink.example")
        self.wait_for_event(mid, "Delivery", timeout=60)
        self.assertEqual(len(set(tries)), 1)
        delays = self.of(mid, "DeliveryDelay")
        self.assertEqual(len(delays), 3)
        self.assertEqual(len({d["deliveryDelay"]["expirationTime"] for d in delays}), 1)
        self.assertEqual(len(self.of(mid, "Delivery")), 1)
        self.assertEqual(self.of(mid, "Bounce"), [])

    def test_lost_after_dot(self):
        """delivery#12: a second copy with the same Message-ID"""
        copies = []

        def lose(session, message):
            copies.append(message.data)
            if len(copies) == 1:
                raise EOFError
            return None
        self.sinks[0].rules.dot = lose
        mid = self.send("jane@sink.example")
        self.wait_for_event(mid, "Delivery", timeout=60)
        ids = [re.search(rb"(?im)^Message-ID: (\S+)", c)[1] for c in copies]
        self.assertEqual(len(ids), 2)
        self.assertEqual(ids[0], ids[1])
        self.assertEqual(self.of(mid, "DeliveryDelay")[0]["deliveryDelay"]["delayedRecipients"][0]["status"], "4.4.2")

    def test_size(self):
        """delivery#13"""
        self.sinks[0].rules.capabilities = ["SIZE 1000", "PIPELINING"]
        mid = self.send("jane@sink.example", BODY + "x" * 70 + "\n" + ("y" * 70 + "\n") * 70)
        bounce = self.wait_for_event(mid, "Bounce")[0]["bounce"]
        self.assertEqual((bounce["bounceType"], bounce["bounceSubType"]), ("Transient", "MessageTooLarge"))
        self.assertEqual(bounce["bouncedRecipients"][0]["status"], "5.3.4")
        for s in self.sinks[0].sessions:
            self.assertFalse([c for c in s.commands if c.startswith(("MAIL", "DATA"))])

    def test_helo(self):
        """delivery.md 5: EHLO refused with 500, HELO is tried"""
        self.sinks[0].rules.helo_only = True
        self.send("jane@sink.example")
        self.sinks[0].wait(1)
        self.assertIn("HELO mail.relay.example", self.sinks[0].sessions[0].commands)

    def test_without_pipelining(self):
        """lock-step: each command waits for its reply"""
        self.sinks[0].rules.capabilities = []
        self.send("jane@sink.example")
        self.sinks[0].wait(1)
        self.assertEqual([c.split()[0] for c in self.sinks[0].sessions[0].commands[:4]],
                         ["EHLO", "MAIL", "RCPT", "DATA"])

    def test_bdat(self):
        """delivery.md 5.1: BDAT when CHUNKING is offered, small and big"""
        self.sinks[0].rules.capabilities = ["PIPELINING", "CHUNKING", "SIZE 50000000"]
        self.send("jane@sink.example")
        self.send("jane@sink.example", BODY + "..dots\n.\n..\n".replace(".\n", "..\n") + ("z" * 70 + "\n") * 5000)
        small, big = self.sinks[0].wait(2)
        self.assertTrue(small.bdat and big.bdat)
        self.assertIn(b"Hello, world.\r\n", small.data)
        self.assertGreater(len(big.data), 350000)

    def test_dots(self):
        """smtp-interface#13"""
        w = self.relay.session(self.key, self.password)
        answer = w.message("bob@example.com", "jane@sink.example",
                           BODY.replace("\n", "\r\n").encode() + b"..x\r\na\n.b\r\n")
        self.assertRegex(answer, ID)
        w.close()
        m = self.sinks[0].wait(1)[0]
        self.assertIn(b"\r\n..x\r\n", m.raw)
        self.assertIn(b"\r\n.x\r\n", m.data)
        self.assertIn(b"a\r\n.b\r\n", m.data)

    def test_reuse(self):
        """delivery#17: one connection at a time, at most 100 transactions on each"""
        w = self.relay.session(self.key, self.password)
        for i in range(250):
            self.assertRegex(w.message("bob@example.com", f"u{i}@one.example", BODY), ID)
        w.close()
        self.sinks[2].wait(250, 120)
        self.assertGreaterEqual(len(self.sinks[2].sessions), 3)
        self.assertTrue(all(s.transactions <= 100 for s in self.sinks[2].sessions))
        # the next connection may begin while the last one says goodbye
        self.assertLessEqual(self.sinks[2].most_open, 2)

    def test_classify_at_dot(self):
        """events#8"""
        self.sinks[0].rules.dot = "552 5.3.4 message too big"
        mid = self.send("jane@sink.example")
        bounce = self.wait_for_event(mid, "Bounce")[0]["bounce"]
        self.assertEqual((bounce["bounceType"], bounce["bounceSubType"]), ("Transient", "MessageTooLarge"))

    def test_verbatim_reply(self):
        """events#2"""
        self.sinks[0].rules.reply = "250 ok:  Message 64111812 accepted"
        mid = self.send("jane@sink.example")
        event = self.wait_for_event(mid, "Delivery")[0]
        self.assertEqual(event["delivery"]["smtpResponse"], "250 ok:  Message 64111812 accepted")
        took = (hours(event["mail"]["timestamp"], event["delivery"]["timestamp"])) * 3600000
        self.assertEqual(round(took), event["delivery"]["processingTimeMillis"])

    def test_pause(self):
        """quotas#21 in part: refused while paused, accepted and delivered after the resume"""
        gate = threading.Event()
        self.sinks[0].rules.hold["greeting"] = gate
        self.relay.ctl("account", "pause", "--reason", "test")
        try:
            w = self.relay.session(self.key, self.password)
            answer = w.message("bob@example.com", "jane@sink.example", BODY)
            self.assertEqual(answer, "554 Message rejected: Sending paused for this account.")
            w.close()
        finally:
            self.relay.ctl("account", "resume", "--reason", "done")
            gate.set()
        self.send("jane@sink.example")
        self.sinks[0].wait(1)


class Tls(World):
    tls = True
    certificate = staticmethod(expired_certificate)

    def test_opportunistic(self):
        """delivery#14: a certificate that nobody trusts, and whose time is over, does"""
        mid = self.send("jane@sink.example")
        self.assertTrue(self.sinks[0].wait(1)[0].tls)
        event = self.wait_for_event(mid, "Delivery")[0]
        self.assertEqual(event["mail"]["tags"]["ses:outgoing-tls-version"], ["TLSv1.3"])


class TlsNone(World):
    tls = True

    def setUp(self):
        super().setUp()
        self.sinks[0].rules.starttls = "none"

    def test_clear(self):
        """delivery#14: no STARTTLS, clear text"""
        mid = self.send("jane@sink.example")
        self.assertIsNone(self.sinks[0].wait(1)[0].tls)
        self.assertNotIn("ses:outgoing-tls-version", self.wait_for_event(mid, "Delivery")[0]["mail"]["tags"])


class TlsBroken(World):
    tls = True

    def setUp(self):
        super().setUp()
        self.sinks[0].rules.starttls = "alert"

    def test_clear_in_the_same_attempt(self):
        """delivery#14: an alert, then a second connection without TLS; remembered"""
        mid = self.send("jane@sink.example")
        self.sinks[0].wait(1)
        self.wait_for_event(mid, "Delivery")
        self.assertEqual(self.of(mid, "DeliveryDelay"), [])
        first = len([s for s in self.sinks[0].sessions if "STARTTLS" in s.commands])
        self.assertEqual(first, 1)
        self.send("joe@sink.example")
        self.sinks[0].wait(2)
        self.assertEqual(len([s for s in self.sinks[0].sessions if "STARTTLS" in s.commands]), 1)


class TlsRequire(World):
    tls = True
    extra = World.extra + "delivery.tls_default require\n"

    def test_not_offered(self):
        """delivery#15"""
        self.sinks[0].rules.starttls = "none"
        mid = self.send("jane@sink.example")
        bounce = self.wait_for_event(mid, "Bounce")[0]["bounce"]
        self.assertEqual((bounce["bounceType"], bounce["bounceSubType"]), ("Transient", "General"))
        self.assertEqual(bounce["bouncedRecipients"][0]["diagnosticCode"],
                         "smtp; 554 5.7.4 TLS is required but was not offered by a.sink.example")
        for s in self.sinks[0].sessions:
            self.assertTrue(all(c.split()[0] in ("EHLO", "QUIT") for c in s.commands), s.commands)

    def test_broken_handshake(self):
        """delivery#16: nothing in clear; delivered when it is mended"""
        self.sinks[0].rules.starttls = "alert"
        mid = self.send("jane@sink.example")
        delay = self.wait_for_event(mid, "DeliveryDelay")[0]["deliveryDelay"]
        self.assertEqual(delay["delayedRecipients"][0]["status"], "4.7.5")
        for s in self.sinks[0].sessions:
            self.assertFalse([c for c in s.commands if c.startswith("MAIL")])
        self.sinks[0].rules.starttls = "offer"
        self.wait_for_event(mid, "Delivery", timeout=60)
        self.assertTrue(self.sinks[0].messages[0].tls)


class Envelope(World):
    """mail-from-spf-dmarc.md section 3."""

    def test_default_envelope(self):
        """mail-from-spf-dmarc#1: the VERP address at the default domain"""
        mid = self.send("jane@sink.example")
        m = self.sinks[0].wait(1)[0]
        self.assertEqual(m.mail_from, mid[:-6] + "000001@bounces.relay.example")

    def test_retry_keeps_the_envelope(self):
        """mail-from-spf-dmarc#4"""
        commands = []

        def grey(session, command):
            commands.append(command.split()[1])
            return "450 4.7.1 greylisted" if len(commands) == 1 else None
        self.sinks[0].rules.mail = grey
        mid = self.send("jane@sink.example")
        self.wait_for_event(mid, "Delivery")
        self.assertEqual(len(commands), 2)
        self.assertEqual(commands[0], commands[1])

    def test_notice_has_null_sender(self):
        """mail-from-spf-dmarc#12: a DSN leaves with MAIL FROM:<>"""
        self.sinks[0].rules.rcpt = lambda session, address: \
            "550 5.1.1 user unknown" if address == "nobody@sink.example" else None
        self.relay.run_ctl("identity", "add", "sink.example", "--verified")    # perhaps once more
        self.send("nobody@sink.example", BODY.replace("bob@example.com", "bob@sink.example"), "bob@sink.example")
        m = self.sinks[0].wait(1)[0]
        self.assertEqual((m.mail_from, m.rcpts), ("", ["bob@sink.example"]))
        self.assertIn(b"multipart/report; report-type=delivery-status", m.data)

    def test_return_path_is_removed(self):
        """mail-from-spf-dmarc#13: absent from the copy, and the feedback goes there"""
        self.sinks[0].rules.rcpt = lambda session, address: \
            "550 5.1.1 user unknown" if address == "nobody@sink.example" else None
        self.relay.run_ctl("identity", "add", "sink.example", "--verified")
        self.send(["jane@sink.example", "nobody@sink.example"], "Return-Path: <feedback@sink.example>\n" +
                  BODY.replace("bob@example.com", "bob@sink.example"), "bob@sink.example")
        by_rcpt = {m.rcpts[0]: m for m in self.sinks[0].wait(2)}
        self.assertEqual(set(by_rcpt), {"jane@sink.example", "feedback@sink.example"})
        copy = by_rcpt["jane@sink.example"].data
        self.assertNotIn(b"return-path", copy.lower())
        self.assertNotIn(b"feedback@sink.example", copy)
        self.assertIn(b"report-type=delivery-status", by_rcpt["feedback@sink.example"].data)


class EnvelopesOfOneConnection(World):
    # with more of them allowed the two go side by side (delivery.md 8)
    extra = World.extra + "delivery.dest.initial_connections 1\ndelivery.dest.max_connections 1\n"

    def test_two_recipients(self):
        """mail-from-spf-dmarc#2: a transaction each, numbered in the order of RCPT"""
        mid = self.send(["a@sink.example", "b@sink.example"])
        seen = {m.rcpts[0]: m.mail_from for m in self.sinks[0].wait(2)}
        self.assertEqual(seen, {"a@sink.example": mid[:-6] + "000001@bounces.relay.example",
                                "b@sink.example": mid[:-6] + "000002@bounces.relay.example"})
        self.assertEqual(len(self.sinks[0].sessions), 1)


class EnvelopeOfMessage(World):
    extra = World.extra + "mail_from.verp message\n"

    def test_one_transaction(self):
        """mail-from-spf-dmarc#3: one transaction, two RCPT, number 000000"""
        mid = self.send(["a@sink.example", "b@sink.example"])
        m = self.sinks[0].wait(1)[0]
        self.assertEqual(sorted(m.rcpts), ["a@sink.example", "b@sink.example"])
        self.assertEqual(m.mail_from, mid + "@bounces.relay.example")
        self.wait_for_event(mid, "Delivery", 2)
        self.assertEqual(len(self.sinks[0].messages), 1)


class Crash(World):
    # as many connections as messages, each of them with its transfer under way
    extra = World.extra + "delivery.dest.initial_connections 100\ndelivery.dest.max_connections 100\n"

    def copies(self):
        """Message-ID: [envelope senders], and no message is in two pieces."""
        found = {}
        with self.sinks[0].lock:
            for m in self.sinks[0].messages:
                ident = re.findall(rb"(?im)^Message-ID: <([^@]+)@", m.data)
                self.assertEqual(len(ident), 1)
                found.setdefault(ident[0].decode(), []).append((m.mail_from, m.rcpts))
        return found

    def test_kill(self):
        """delivery#23, events#20: kill -9 while 100 messages are in transfer"""
        gate, reached = threading.Event(), set()
        self.addCleanup(gate.set)

        def stop(session):
            reached.add(session.number)
            gate.wait(60)
        # half of them before the content, half behind it
        self.sinks[0].rules.data = lambda session, _: stop(session) if session.number % 2 else None
        self.sinks[0].rules.dot = lambda session, _: None if session.number % 2 else stop(session)
        w = self.relay.session(self.key, self.password)
        mids = set()
        for i in range(100):
            answer = w.message("bob@example.com", f"u{i}@sink.example", BODY)
            self.assertRegex(answer, ID)
            mids.add(answer.split()[2])
        wait_for(lambda: len(reached) == 100, "100 transfers")
        self.assertEqual(self.relay.events("--types", "DELIVERY"), [])
        self.relay.kill()
        # fifty were taken, which could not be said any more
        gate.set()
        wait_for(lambda: self.sinks[0].open == 0, "the dead connections to end")
        first = self.copies()
        with self.sinks[0].lock:
            self.sinks[0].messages.clear()
        self.relay.start()
        self.sinks[0].wait(100, 60)
        delivered = self.relay.wait_events(
            lambda es: {e["mail"]["messageId"] for e in es if e["eventType"] == "Delivery"} >= mids,
            "100 delivery events", 60)
        self.assertTrue(delivered)
        second = self.copies()
        self.assertEqual(set(second), mids)
        self.assertTrue(all(len(c) == 1 for c in second.values()), second)
        # what came before came again as the same: Message-ID, sender, recipient
        self.assertEqual(len(first), 50)
        for ident, copies in first.items():
            self.assertEqual(copies, second[ident])


if __name__ == "__main__":
    unittest.main()
