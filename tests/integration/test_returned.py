# SPDX-License-Identifier: ISC
"""Reports that real mail servers write: each takes a message, fails to pass
it on, and tells the return address, which is read to the right message and
recipient (bounces-and-feedback.md 7)."""
import os
import re
import shutil
import tempfile
import unittest

from harness.dns import Dns
from harness.peers import NOT_ROOT, Exim, OpenSMTPD, Postfix, Sendmail, unpack
from harness.relay import Relay, certificate
from harness.sink import Sink
from harness.waiting import free_port, wait_for

EXTRA = "delivery {\n    allow_private yes\n    retry_jitter 0\n    retry_schedule 1s\n}\n"
TEXT = "From: Bob <bob@example.com>\nTo: Jane <jane@sink.example>\nSubject: hello\n\nHello.\n"


@unittest.skipUnless(os.geteuid() == 0, NOT_ROOT)
class Returned(unittest.TestCase):
    """posthorn > mail server > a host that refuses; the report > posthorn."""

    @classmethod
    def setUpClass(cls):
        unpack()
        cls.folder = tempfile.mkdtemp(prefix="posthorn-returned-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.pair = certificate(cls.folder, "mx.sink.example")
        cls.port = free_port(host="")
        cls.sink = Sink("127.0.0.1")
        cls.sink.rules.rcpt = lambda session, address: \
            f"550 5.1.1 <{address}>... User unknown" if address.startswith("bad") else None
        cls.sink.start()
        cls.addClassCleanup(cls.sink.stop)
        cls.relay = Relay(extra=EXTRA, sink_port=cls.port)
        cls.addClassCleanup(cls.relay.cleanup)
        cls.dns = Dns(cls.relay.folder)
        cls.dns.zone("example.com", "@ MX 10 mx\nmx A 127.0.0.9\n")
        for name, address in (("postfix", 2), ("exim", 3), ("opensmtpd", 6), ("sendmail", 7)):
            cls.dns.zone(name + ".example", f"@ MX 10 mx\nmx A 127.0.0.{address}\n")
        cls.dns.start()
        cls.addClassCleanup(cls.dns.stop)
        cls.relay.dns = cls.dns
        cls.relay.write_conf()
        cls.relay.start()
        cls.account, cls.key, cls.password = cls.relay.sender()
        cls.intake = cls.relay.ports["smtp"]

    def send(self, to):
        w = self.relay.session(self.key, self.password)
        try:
            answer = w.message("bob@example.com", to, TEXT)
        finally:
            w.close()
        self.assertRegex(answer, "^250 Ok [0-9a-f-]{60}$")
        return answer.split()[2]

    def events(self, mid, kind):
        return [e for e in self.relay.events("--message-id", mid) if e["eventType"] == kind]

    def ports(self, name):
        return {name + ".example": self.sink.port, "bounces.relay.example": self.intake}

    def check(self, peer, status, says):
        """Of two recipients the second fails; it is told of as such, once.  says: whether the report has
        the reply as a diagnostic code."""
        good, bad = f"good@{peer.name}.example", f"bad@{peer.name}.example"
        mid = self.send([good, bad])
        try:
            event = wait_for(lambda: self.events(mid, "Bounce"), f"the bounce of {peer.name}", 60)[0]
        except AssertionError as e:
            raise AssertionError(f"{e}\n{peer.log_text()[-3000:]}") from None
        bounce = event["bounce"]
        self.assertEqual(len(self.events(mid, "Delivery")), 2)
        self.assertEqual((bounce["bounceType"], bounce["bounceSubType"]), ("Permanent", "General"))
        self.assertEqual([r["emailAddress"] for r in bounce["bouncedRecipients"]], [bad])
        self.assertEqual(bounce["bouncedRecipients"][0]["action"], "failed")
        self.assertEqual(bounce["bouncedRecipients"][0]["status"], status)
        self.assertEqual("User unknown" in bounce["bouncedRecipients"][0].get("diagnosticCode", ""), says)
        self.assertRegex(bounce["reportingMTA"], rf"^dns; ?mx\.{peer.name}\.example$")
        self.assertNotIn("remoteMtaIp", bounce)
        self.assertEqual(event["mail"]["messageId"], mid)
        self.assertEqual(len(self.events(mid, "Bounce")), 1)
        self.assertTrue(re.search(r'(?m)^posthorn_intake_messages_total{kind="dsn",result="event"} [1-9]',
                                  self.relay.ctl("metrics")))

    def start(self, peer, status="5.1.1", says=True):
        self.addCleanup(peer.stop)
        peer.start()
        self.check(peer, status, says)

    def test_postfix(self):
        self.start(Postfix("mx.postfix.example", self.folder).receive("127.0.0.2", self.port, self.pair)
                   .forward(self.ports("postfix")))

    def test_exim(self):
        self.start(Exim("mx.exim.example", self.folder).forward(self.ports("exim"))
                   .receive("127.0.0.3", self.port, self.pair), status="5.0.0")

    def test_opensmtpd(self):
        """its reports have the reply in their text only"""
        self.start(OpenSMTPD("mx.opensmtpd.example", self.folder).forward(self.ports("opensmtpd"))
                   .receive("127.0.0.6", self.port, self.pair), status="5.0.0", says=False)

    def test_sendmail(self):
        self.start(Sendmail("mx.sendmail.example", self.folder).receive("127.0.0.7", self.port, self.pair)
                   .forward(self.ports("sendmail")))


if __name__ == "__main__":
    unittest.main()
