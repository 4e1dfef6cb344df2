# SPDX-License-Identifier: ISC
"""Postfix, Exim, Sendmail and OpenSMTPD: as senders with posthorn as their
smart host (smtp-interface.md 17.2 to 17.4) and as receivers of what posthorn
delivers (delivery.md 5)."""
import os
import re
import shutil
import tempfile
import unittest

from harness.dns import Dns
from harness.oracle import verify
from harness.peers import NOT_ROOT, Exim, Greylist, OpenSMTPD, Postfix, Sendmail, unpack
from harness.relay import Relay, certificate
from harness.waiting import free_port, wait_for

ID = r"[0-9a-f]{16}-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}-000000"
VERP = r"[0-9a-f]{16}-[0-9a-f-]{36}-%06d@bounces\.relay\.example"
EXTRA = "delivery {\n    allow_private yes\n    retry_jitter 0\n    retry_schedule 1s\n    reuse_idle 1s\n%s}\n%s"
TEXT = "From: Sender <sender@example.com>\nTo: Jane <jane@sink.example>\nSubject: hello\n\nHello.\n"
# what dots, lines of 998 octets, 8-bit text and blanks at line ends become
HARD = (b".\r\n..\r\n.x\r\n" + b"l" * 998 + b"\r\n" + "Ünïcödé\r\n".encode() + b"blank at the end \t\r\n\r\n" +
        b"From the beginning\r\nBDAT 5 LAST\r\nQUIT\r\n\r\n\r\n")


class Receivers:
    """One of each for all classes of this file; one port."""
    postfix = exim = sendmail = opensmtpd = greylist = None
    port = 0


def setUpModule():
    if os.geteuid() != 0:
        return
    unpack()
    folder = tempfile.mkdtemp(prefix="posthorn-peers-")
    unittest.addModuleCleanup(shutil.rmtree, folder, ignore_errors=True)
    pair = certificate(folder, "mx.sink.example")
    r = Receivers
    r.port = free_port(host="")
    r.greylist = Greylist()
    unittest.addModuleCleanup(r.greylist.stop)
    r.postfix = Postfix("mx.postfix.example", folder)
    unittest.addModuleCleanup(r.postfix.stop)
    r.postfix.receive("127.0.0.2", r.port, pair)
    r.postfix.receive("127.0.0.4", r.port, pair, "smtpd_recipient_limit=3")
    r.postfix.receive("127.0.0.5", r.port, pair,
                      f"smtpd_recipient_restrictions=check_policy_service,inet:127.0.0.1:{r.greylist.port}")
    r.postfix.start()
    r.exim = Exim("mx.exim.example", folder)
    unittest.addModuleCleanup(r.exim.stop)
    r.exim.receive("127.0.0.3", r.port, pair, "recipients_max = 3").start()
    r.opensmtpd = OpenSMTPD("mx.opensmtpd.example", folder)
    unittest.addModuleCleanup(r.opensmtpd.stop)
    r.opensmtpd.receive("127.0.0.6", r.port, pair).start()
    r.sendmail = Sendmail("mx.sendmail.example", folder)
    unittest.addModuleCleanup(r.sendmail.stop)
    r.sendmail.receive("127.0.0.7", r.port, pair).start()


@unittest.skipUnless(os.geteuid() == 0, NOT_ROOT)
class World(unittest.TestCase):
    """A relay whose domain example.com is verified and signs; knot."""
    delivery = other = ""

    @classmethod
    def setUpClass(cls):
        cls.postfix, cls.exim = Receivers.postfix, Receivers.exim
        cls.opensmtpd, cls.sendmail = Receivers.opensmtpd, Receivers.sendmail
        cls.relay = Relay(extra=EXTRA % (cls.delivery, cls.other), sink_port=Receivers.port)
        cls.addClassCleanup(cls.relay.cleanup)
        cls.dns = Dns(cls.relay.folder)
        cls.dns.zone("example.com", "")
        for name, address in (("postfix", 2), ("exim", 3), ("few", 4), ("grey", 5), ("opensmtpd", 6), ("sendmail", 7)):
            cls.dns.zone(name + ".example", f"@ MX 10 mx\nmx A 127.0.0.{address}\n")
        cls.dns.start()
        cls.addClassCleanup(cls.dns.stop)
        cls.relay.dns = cls.dns
        cls.relay.write_conf()
        cls.relay.start()
        cls.account = cls.relay.account()
        cls.relay.ctl("config-set", "create", "main")
        cls.relay.ctl("identity", "add", "example.com", "--config-set", "main")
        cls.records = {r["Name"]: r["Value"] for r in
                       cls.relay.json("identity", "dns-records", "example.com")["Records"]}
        cls.dns.set_zone("example.com", cls.relay.ctl("identity", "dns-records", "example.com", "--format", "zone"))
        cls.relay.ctl("identity", "verify", "example.com")
        cls.relay.ctl("identity", "wait", "example.com", "--timeout", "60s")
        cls.key, cls.password = cls.relay.credential()

    def send(self, to, data=TEXT):
        w = self.relay.session(self.key, self.password)
        answer = w.message("sender@example.com", to, data)
        self.assertRegex(answer, "^250 Ok " + ID + "$")
        w.cmd("QUIT")
        w.close()
        return answer.split()[2]

    def of(self, mid, kind, count=1, timeout=30):
        return wait_for(lambda: (lambda f: f if len(f) >= count else None)(
            [e for e in self.relay.events("--message-id", mid) if e["eventType"] == kind]),
            f"{count} {kind} of {mid}", timeout)

    def assert_signed(self, mail):
        """Both of the other implementations say so."""
        found = verify(mail.data, self.records)
        self.assertEqual(set(found), {"python3-dkim", "Mail::DKIM"})
        for name, signatures in found.items():
            self.assertEqual([(d, ok) for d, _, ok in signatures], [("example.com", True)], name)


class Delivery(World):
    """What the receivers log and keep."""

    def test_postfix(self):
        """TLS when offered, one group of commands, BDAT; signed as it arrives"""
        mid = self.send("one@postfix.example")
        event = self.of(mid, "Delivery")[0]
        queued = re.fullmatch(r"250 2\.0\.0 Ok: \d+ bytes queued as (\w+)", event["delivery"]["smtpResponse"])[1]
        self.assertEqual(event["delivery"]["remoteMtaIp"], "127.0.0.2")
        self.assertEqual(event["mail"]["tags"]["ses:outgoing-tls-version"], ["TLSv1.3"])
        pid = self.postfix.wait_log(rf"smtpd\[(\d+)\]: {queued}: client=")[1]
        self.postfix.wait_log(rf"smtpd\[{pid}\]: Anonymous TLS connection established from \S+: TLSv1\.3 ")
        self.postfix.wait_log(rf"smtpd\[{pid}\]: disconnect from \S+ ehlo=2 starttls=1 mail=(\d+) "
                              r"rcpt=\d+ bdat=\1 ")
        mail = self.postfix.wait_mails("one@postfix.example")[0]
        self.assertRegex(mail.sender, "^" + VERP % 1 + "$")
        self.assertEqual(mail.sender[:54], mid[:54])
        self.assertEqual(mail.body, b"Hello.\r\n")
        self.assert_signed(mail)

    def test_exim(self):
        """as before; Exim's log has L for pipelining, K for BDAT, X for TLS"""
        mid = self.send("one@exim.example")
        event = self.of(mid, "Delivery")[0]
        taken = re.fullmatch(r"250  \d+ byte chunk, total \d+ OK id=(\S+)", event["delivery"]["smtpResponse"])[1]
        self.assertEqual(event["mail"]["tags"]["ses:outgoing-tls-version"], ["TLSv1.3"])
        line = self.exim.wait_log(rf"(?m)^.* {taken} <= .*$")[0]
        self.assertRegex(line, r" <= " + VERP % 1 + r" H=\(mail\.relay\.example\) \[127\.0\.0\.1\] ")
        self.assertRegex(line, r" P=esmtps L\.? X=TLS1\.3:\S+ .*\bK S=\d+ ")
        mail = self.exim.wait_mails("one@exim.example")[0]
        self.assertEqual(mail.body, b"Hello.\r\n")
        self.assert_signed(mail)

    def test_opensmtpd(self):
        """neither TLS nor PIPELINING nor CHUNKING: in clear, command by command, DATA"""
        mid = self.send("one@opensmtpd.example")
        event = self.of(mid, "Delivery")[0]
        self.assertRegex(event["delivery"]["smtpResponse"], r"^250 2\.0\.0 \w{8} Message accepted for delivery$")
        self.assertNotIn("ses:outgoing-tls-version", event["mail"]["tags"])
        mail = self.opensmtpd.wait_mails("one@opensmtpd.example")[0]
        self.assertRegex(mail.sender, "^" + VERP % 1 + "$")
        self.assertEqual(mail.body, b"Hello.\r\n")
        self.assert_signed(mail)

    def test_sendmail(self):
        """TLS, PIPELINING, DATA"""
        mid = self.send("one@sendmail.example")
        event = self.of(mid, "Delivery")[0]
        self.assertRegex(event["delivery"]["smtpResponse"], r"^250 2\.0\.0 \w+ Message accepted for delivery$")
        self.assertEqual(event["mail"]["tags"]["ses:outgoing-tls-version"], ["TLSv1.3"])
        mail = self.sendmail.wait_mails("one@sendmail.example")[0]
        self.assertRegex(mail.sender, "^" + VERP % 1 + "$")
        self.assertEqual(mail.body, b"Hello.\r\n")
        self.assert_signed(mail)

    def content(self):
        """The receivers keep what was submitted, octet by octet."""
        head = TEXT.replace("\n", "\r\n").encode().rsplit(b"Hello", 1)[0]
        big = head + (b"0123456789" * 7 + b"\r\n") * 12000
        for peer in (self.postfix, self.exim, self.opensmtpd, self.sendmail):
            domain = peer.name + ".example"
            for name, data in (("hard", head + b".begins\r\n" + HARD), ("big", big)):
                with self.subTest(peer=peer.name, content=name):
                    rcpt = f"{name}.{type(self).__name__.lower()}@{domain}"
                    w = self.relay.session(self.key, self.password)
                    stuffed = re.sub(rb"(?m)^\.", b"..", data)
                    self.assertRegex(w.message("sender@example.com", rcpt, stuffed), "^250 Ok " + ID + "$")
                    w.close()
                    mail = peer.wait_mails(rcpt)[0]
                    self.assertEqual(mail.body, data[len(head):])
                    self.assert_signed(mail)

    def test_content(self):
        """delivery.md 5.1: content over BDAT is what was submitted"""
        self.content()

    def test_unknown_user(self):
        """bounces-and-feedback#1: each one's own words, in the event"""
        for domain, text, status in (
                ("postfix.example", "550 5.1.1 <unknown@postfix.example>: Recipient address rejected: "
                                    "User unknown in virtual mailbox table", "5.1.1"),
                ("exim.example", "550 Unrouteable address", "5.0.0"),
                ("opensmtpd.example", "550 Invalid recipient: <unknown@opensmtpd.example>", "5.0.0")):
            with self.subTest(domain=domain):
                mid = self.send("unknown@" + domain)
                bounce = self.of(mid, "Bounce")[0]["bounce"]
                self.assertEqual((bounce["bounceType"], bounce["bounceSubType"]), ("Permanent", "General"))
                self.assertEqual(bounce["bouncedRecipients"][0]["diagnosticCode"], "smtp; " + text)
                self.assertEqual(bounce["bouncedRecipients"][0]["status"], status)

    def test_recipients_apart(self):
        """mail-from-spf-dmarc.md 3: each recipient has its own envelope sender; a refused one hinders nobody"""
        mid = self.send(["a@exim.example", "unknown@exim.example", "b@exim.example"])
        self.of(mid, "Delivery", 2)
        self.of(mid, "Bounce")
        for index, rcpt in ((1, "a@exim.example"), (3, "b@exim.example")):
            self.assertRegex(self.exim.wait_mails(rcpt)[0].sender, "^" + VERP % index + "$")

    def test_greylisting(self):
        """delivery#8: Postfix refuses the first time; the second try has the same sender"""
        mid = self.send("grey@grey.example")
        self.of(mid, "Delivery", timeout=60)
        delay = self.of(mid, "DeliveryDelay")
        self.assertEqual(len(delay), 1)
        self.assertRegex(delay[0]["deliveryDelay"]["delayedRecipients"][0]["diagnosticCode"],
                         r"^smtp; 451 4\.7\.1 <grey@grey\.example>: Recipient address rejected: "
                         r"Greylisted, please try again later$")
        asked = [a for a in Receivers.greylist.asked if a[2] == "grey@grey.example"]
        self.assertEqual(len(asked), 2)
        self.assertEqual(len(set(asked)), 1)
        self.assert_signed(self.postfix.wait_mails("grey@grey.example")[0])


class Data(Delivery):
    """delivery.bdat never: DATA, with dots doubled"""
    delivery = "    bdat never\n"

    def test_postfix(self):
        mid = self.send("data@postfix.example")
        queued = self.of(mid, "Delivery")[0]["delivery"]["smtpResponse"].split()[-1]
        pid = self.postfix.wait_log(rf"smtpd\[(\d+)\]: {queued}: client=")[1]
        self.postfix.wait_log(rf"smtpd\[{pid}\]: disconnect from \S+ ehlo=2 starttls=1 mail=(\d+) "
                              r"rcpt=\d+ data=\1 ")

    def test_exim(self):
        mid = self.send("data@exim.example")
        taken = self.of(mid, "Delivery")[0]["delivery"]["smtpResponse"].split("=")[1]
        line = self.exim.wait_log(rf"(?m)^.* {taken} <= .*$")[0]
        self.assertRegex(line, r" P=esmtps L\.? X=")
        self.assertNotRegex(line, r" K S=")

    # the rest does not depend on the way of the content
    test_unknown_user = test_recipients_apart = test_greylisting = None
    test_opensmtpd = test_sendmail = None      # offer no CHUNKING


class Shared(World):
    """mail_from.verp message: recipients of one site share a transaction"""
    other = "mail_from.verp message\n"

    def shared(self, peer, domain):
        rcpts = [f"r{i}@{domain}" for i in range(8)]
        mark = peer.log_end()
        mid = self.send(rcpts)
        self.of(mid, "Delivery", 8)
        senders = {peer.wait_mails(r)[0].sender for r in rcpts}
        self.assertEqual(senders, {mid + "@bounces.relay.example"})
        self.assertFalse([e for e in self.relay.events("--message-id", mid)
                          if e["eventType"] in ("DeliveryDelay", "Bounce")])
        for r in rcpts:
            self.assertEqual(len(peer.mails_to(r)), 1)
        return mark

    def test_postfix_452(self):
        """RFC 5321 4.5.3.1.10: after 452 the rest goes in further transactions; Postfix takes three"""
        mark = self.shared(self.postfix, "few.example")
        log = wait_for(lambda: (lambda t: t if len(re.findall(r"size=\d+, nrcpt=\d", t)) >= 3 else None)(
            self.postfix.log_text(mark)), "three transactions")
        self.assertEqual(sorted(re.findall(r"size=\d+, nrcpt=(\d)", log)), ["2", "3", "3"])

    def test_exim_452(self):
        """the same with Exim's recipients_max"""
        mark = self.shared(self.exim, "exim.example")
        lines = re.findall(r" <= \S+ .* for (r\d@.*)", self.exim.log_text(mark))
        self.assertEqual(sorted(len(l.split()) for l in lines), [2, 3, 3])


class Clients(World):
    """Postfix, Exim, Sendmail and OpenSMTPD with posthorn as their smart host."""

    def client(self, kind, listener, key=None, password=None, **options):
        c = kind("app1.example.com", self.relay.folder)
        self.addCleanup(c.stop)
        return c.smarthost(self.relay, self.relay.ports[listener], key or self.key,
                           password or self.password, **options).start()

    def unthrottle(self):
        self.relay.ctl("-a", self.account, "quota", "set", "--max-24h", "unlimited")

    # -- Postfix --------------------------------------------------------------
    def test_postfix_587(self):
        """section 17.2: STARTTLS, AUTH PLAIN, verified certificate; status=sent"""
        c = self.client(Postfix, "submission")
        c.submit("sender@example.com", ["p587@exim.example"], TEXT)
        c.wait_log(r"Verified TLS connection established to mail\.relay\.example\[127\.0\.0\.1\]:\d+: TLSv1\.3")
        mid = c.wait_log(rf"to=<p587@exim\.example>, relay=mail\.relay\.example\[127\.0\.0\.1\]:\d+, .*"
                         rf"status=sent \(250 Ok ({ID})\)")[1]
        self.of(mid, "Delivery")
        mail = self.exim.wait_mails("p587@exim.example")[0]
        self.assertEqual(mail.body, b"Hello.\r\n")
        self.assert_signed(mail)
        wait_for(lambda: c.queue() == [], "an empty queue")

    def test_postfix_465(self):
        """section 17.2: smtp_tls_wrappermode"""
        c = self.client(Postfix, "submissions", wrapper=True)
        c.submit("sender@example.com", ["p465@exim.example"], TEXT)
        c.wait_log(rf"to=<p465@exim\.example>, .*status=sent \(250 Ok {ID}\)")
        self.exim.wait_mails("p465@exim.example")

    def with_header(self, field):
        c = Postfix("app1.example.com", self.relay.folder)
        self.addCleanup(c.stop)
        c.put("etc/postfix/header_checks", f"/^Subject:/ PREPEND {field}\n")
        return c.smarthost(self.relay, self.relay.ports["submission"], self.key, self.password,
                           more=["header_checks = regexp:/etc/postfix/header_checks"]).start()

    def test_postfix_recipe(self):
        """section 17.2: generic addresses, a header set by Postfix, 50 recipients a transaction"""
        c = self.with_header("X-SES-MESSAGE-TAGS: app=cron")
        rcpts = [f"list{i}@exim.example" for i in range(60)]
        c.submit("root@app1.example.com", rcpts,
                 "From: root@app1.example.com\nTo: list@exim.example\nSubject: cron\n\nout\n")
        wait_for(lambda: len(re.findall(rf"status=sent \(250 Ok {ID}\)", c.log_text())) >= 60, "60 recipients")
        mids = set(re.findall(rf"status=sent \(250 Ok ({ID})\)", c.log_text()))
        self.assertEqual(len(mids), 2)
        sends = [self.of(mid, "Send")[0]["mail"] for mid in mids]
        self.assertEqual(sorted(len(s["destination"]) for s in sends), [10, 50])
        for s in sends:
            self.assertEqual(s["tags"]["app"], ["cron"])
            self.assertEqual(s["source"], "alerts@example.com")
            self.assertEqual(s["commonHeaders"]["from"], ["alerts@example.com"])
        mail = self.exim.wait_mails("list59@exim.example", timeout=60)[0]
        self.assertIsNone(mail.field("X-SES-MESSAGE-TAGS"))
        self.assertEqual(mail.field("From"), "alerts@example.com")
        self.assert_signed(mail)

    def test_postfix_unknown_set(self):
        """section 17.2: X-SES-CONFIGURATION-SET by header_checks; configuration-sets#2: there is no such set"""
        c = self.with_header("X-SES-CONFIGURATION-SET: prod")
        c.submit("sender@example.com", ["never@exim.example"], TEXT)
        c.wait_log(r"to=<never@exim\.example>, .*status=bounced \(host mail\.relay\.example\[127\.0\.0\.1\] said: "
                   r"554 Message rejected: Configuration set does not exist: prod \(in reply to end of DATA command\)")

    def test_postfix_454(self):
        """quotas.md 8: throttled mail waits in Postfix's queue, and goes when it may"""
        c = self.client(Postfix, "submission")
        self.addCleanup(self.unthrottle)
        self.relay.ctl("-a", self.account, "quota", "set", "--max-24h", "0")
        c.submit("sender@example.com", ["later@exim.example"], TEXT)
        c.wait_log(r"to=<later@exim\.example>, .*status=deferred \(host mail\.relay\.example\[127\.0\.0\.1\] said: "
                   r"454 Throttling failure: Daily message quota exceeded \(in reply to ")
        self.assertEqual(len(c.queue()), 1)
        self.assertEqual(self.exim.mails_to("later@exim.example"), [])
        self.unthrottle()
        c.flush()
        c.wait_log(rf"to=<later@exim\.example>, .*status=sent \(250 Ok {ID}\)")
        self.assertEqual(len(self.exim.wait_mails("later@exim.example")), 1)

    def test_postfix_wrong_password(self):
        """section 17: the secret is no password, 535; the mail waits"""
        c = self.client(Postfix, "submission", password="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
        c.submit("sender@example.com", ["never@exim.example"], TEXT)
        c.wait_log(r"to=<never@exim\.example>, .*status=deferred \(SASL authentication failed; server "
                   r"mail\.relay\.example\[127\.0\.0\.1\] said: 535 Authentication Credentials Invalid\)")
        self.assertEqual(len(c.queue()), 1)

    def test_postfix_refused(self):
        """a sender that is not verified: 554, and Postfix gives up"""
        c = self.client(Postfix, "submission")
        c.submit("mallory@other.example", ["never@exim.example"], TEXT.replace("example.com", "other.example"))
        c.wait_log(r"to=<never@exim\.example>, .*status=bounced \(host mail\.relay\.example\[127\.0\.0\.1\] said: "
                   r"554 Message rejected: Email address is not verified\. The following identities failed the "
                   r"check in region US-EAST-1: .*mallory@other\.example")

    # -- Exim -----------------------------------------------------------------
    def test_exim_587(self):
        """section 17.3: AUTH PLAIN, verified certificate, pipelining (L), BDAT (K); C="250 Ok <id>" """
        c = self.client(Exim, "submission")
        c.submit("sender@example.com", ["e587@postfix.example"], TEXT)
        line = c.wait_log(r"(?m)^.* => e587@postfix\.example .*$")[0]
        self.assertRegex(line, r" R=posthorn_smarthost T=posthorn_smtp H=mail\.relay\.example \[127\.0\.0\.1\]:\d+ ")
        self.assertRegex(line, r" X=TLS1\.3:\S+ CV=yes A=posthorn_plain ")
        self.assertRegex(line, r" A=posthorn_plain L K C=\"250 Ok " + ID + '"$')
        mid = re.search(ID, line)[0]
        self.of(mid, "Delivery")
        mail = self.postfix.wait_mails("e587@postfix.example")[0]
        self.assertEqual(mail.body, b"Hello.\r\n")
        self.assert_signed(mail)
        self.assertEqual(c.queue(), [])

    def test_exim_login(self):
        """section 17.3: LOGIN instead of PLAIN"""
        c = self.client(Exim, "submission", login=True)
        c.submit("sender@example.com", ["login@postfix.example"], TEXT)
        c.wait_log(r" => login@postfix\.example .* A=posthorn_login L K C=\"250 Ok " + ID + '"')

    def test_exim_465(self):
        """section 17.3: protocol = smtps"""
        c = self.client(Exim, "submissions", wrapper=True)
        c.submit("sender@example.com", ["e465@postfix.example"], TEXT)
        c.wait_log(r" => e465@postfix\.example .* CV=yes A=posthorn_plain L K C=\"250 Ok " + ID + '"')
        self.postfix.wait_mails("e465@postfix.example")

    def test_exim_max_rcpt(self):
        """section 17.3: max_rcpt = 50"""
        c = self.client(Exim, "submission")
        c.submit("sender@example.com", [f"e{i}@postfix.example" for i in range(60)], TEXT)
        mids = re.findall(rf'C="250 Ok ({ID})"', c.log_text())
        self.assertEqual((len(mids), len(set(mids))), (60, 2))
        self.assertEqual(sorted(mids.count(m) for m in set(mids)), [10, 50])

    def test_exim_454(self):
        """quotas.md 8: the same with Exim: deferred, then delivered"""
        c = self.client(Exim, "submission")
        self.addCleanup(self.unthrottle)
        self.relay.ctl("-a", self.account, "quota", "set", "--max-24h", "0")
        c.submit("sender@example.com", ["later@postfix.example"], TEXT)
        c.wait_log(r" == later@postfix\.example R=posthorn_smarthost T=posthorn_smtp defer .*: "
                   r"454 Throttling failure: Daily message quota exceeded")
        self.assertEqual(len(c.queue()), 1)
        self.unthrottle()
        c.flush()
        c.wait_log(r" => later@postfix\.example .* C=\"250 Ok " + ID + '"')
        self.assertEqual(len(self.postfix.wait_mails("later@postfix.example")), 1)
        self.assertEqual(c.queue(), [])

    # -- Sendmail ---------------------------------------------------------------
    def test_sendmail(self):
        """README.md, Sendmail: STARTTLS, AUTH PLAIN, the domain put in front of local names"""
        c = self.client(Sendmail, "submission")
        c.submit("root", ["s587@postfix.example"], "From: root\n" + TEXT.split("\n", 1)[1])
        c.wait_log(r"STARTTLS=client, relay=mail\.relay\.example\.?, version=TLSv1\.3, verify=OK")
        mid = c.wait_log(rf"to=s587@postfix\.example, .*mailer=relay, .*stat=Sent \(Ok ({ID})\)")[1]
        self.of(mid, "Delivery")
        mail = self.postfix.wait_mails("s587@postfix.example")[0]
        self.assertEqual(mail.field("From"), "root@example.com")
        self.assert_signed(mail)
        wait_for(lambda: c.queue() == [], "an empty queue")

    def test_sendmail_454(self):
        """quotas.md 8: throttled mail waits in Sendmail's queue, and goes when it may"""
        c = self.client(Sendmail, "submission")
        self.addCleanup(self.unthrottle)
        self.relay.ctl("-a", self.account, "quota", "set", "--max-24h", "0")
        c.submit("sender@example.com", ["slater@postfix.example"], TEXT)
        c.wait_log(r"to=slater@postfix\.example, .*stat=Deferred: 454 Throttling failure: Daily message quota exceeded")
        self.assertEqual(len(c.queue()), 1)
        self.unthrottle()
        c.flush()
        c.wait_log(rf"to=slater@postfix\.example, .*stat=Sent \(Ok {ID}\)")
        wait_for(lambda: c.queue() == [], "an empty queue")

    # -- OpenSMTPD --------------------------------------------------------------
    def test_opensmtpd(self):
        """STARTTLS, verified certificate, AUTH; stat="250 Ok <id>" """
        c = self.client(OpenSMTPD, "submission")
        c.submit("sender@example.com", ["o587@postfix.example"], TEXT)
        c.wait_log(r"mta tls ciphers=TLSv1\.3:")
        c.wait_log(r'mta server-cert-check result="success"')
        mid = c.wait_log(rf'mta delivery .* to=<o587@postfix\.example> .* result="Ok" stat="250 Ok ({ID})"')[1]
        self.of(mid, "Delivery")
        mail = self.postfix.wait_mails("o587@postfix.example")[0]
        self.assertEqual(mail.body, b"Hello.\r\n")
        self.assert_signed(mail)
        wait_for(lambda: c.queue() == [], "an empty queue")

    def test_opensmtpd_465(self):
        """TLS from the first octet"""
        c = self.client(OpenSMTPD, "submissions", wrapper=True)
        c.submit("sender@example.com", ["o465@postfix.example"], TEXT)
        c.wait_log(rf'mta delivery .* to=<o465@postfix\.example> .* result="Ok" stat="250 Ok {ID}"')
        self.postfix.wait_mails("o465@postfix.example")

    def test_opensmtpd_454(self):
        """quotas.md 8: throttled mail waits in OpenSMTPD's queue"""
        c = self.client(OpenSMTPD, "submission")
        self.addCleanup(self.unthrottle)
        self.relay.ctl("-a", self.account, "quota", "set", "--max-24h", "0")
        c.submit("sender@example.com", ["olater@postfix.example"], TEXT)
        c.wait_log(r'mta delivery .* to=<olater@postfix\.example> .* result="TempFail" '
                   r'stat="454 Throttling failure: Daily message quota exceeded"')
        self.assertEqual(len(c.queue()), 1)


if __name__ == "__main__":
    unittest.main()
