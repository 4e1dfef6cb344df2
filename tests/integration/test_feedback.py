# SPDX-License-Identifier: ISC
"""What senders are told, and the simulator's part in it (bounces-and-feedback.md 5, simulator.md)."""
import email
import email.policy
import re
import unittest
from datetime import datetime

from harness.dns import Dns
from harness.relay import Relay
from harness.sink import Sink
from harness.waiting import wait_for

BODY = "From: Bob <bob@example.com>\nTo: x@sink.example\nSubject: test\n\nHello, world.\nA second line.\n"
ID = r"250 Ok [0-9a-f]{16}-[0-9a-f-]{36}-000000"
UNKNOWN = "550 5.1.1 <jane@sink.example>... User unknown"


def parse(message):
    return email.message_from_bytes(message.data, policy=email.policy.default)


class World(unittest.TestCase):
    """A relay and one sink, which is the MX of the senders and of the recipients."""
    extra = "delivery {\n    allow_private yes\n    retry_jitter 0\n    retry_schedule 1s\n}\n" \
            "intake.postmaster operator@example.com\n"

    @classmethod
    def setUpClass(cls):
        cls.relay = Relay(extra=cls.extra)
        cls.addClassCleanup(cls.relay.cleanup)
        cls.sink = Sink("127.0.0.2")
        cls.sink.start()
        cls.addClassCleanup(cls.sink.stop)
        cls.dns = Dns(cls.relay.folder)
        for zone in ("sink.example", "example.com"):
            cls.dns.zone(zone, "@ MX 10 mx.sink.example.\nmx A 127.0.0.2\n")
        cls.dns.start()
        cls.addClassCleanup(cls.dns.stop)
        cls.relay.dns, cls.relay.sink_port = cls.dns, cls.sink.port
        cls.relay.write_conf()
        cls.relay.start()
        cls.account, cls.key, cls.password = cls.relay.sender()

    def setUp(self):
        """A sender of its own for each test: what is told to it is told to nobody else."""
        self.me = self._testMethodName.replace("test_", "") + "@example.com"
        self.tried = []
        with self.sink.lock:
            self.sink.rules.__init__()
            self.sink.messages.clear()
            self.sink.sessions.clear()

    def refuse(self, *addresses):
        def rule(session, address):
            if address in addresses:
                self.tried.append(address)
                return f"550 5.1.1 <{address}>... User unknown"
        self.sink.rules.rcpt = rule

    def send(self, to, data=BODY, sender=None, key=None, password=None):
        w = self.relay.session(key or self.key, password or self.password)
        try:
            answer = w.message(self.me if sender is None else sender, to, data.replace("bob@example.com", self.me))
        finally:
            w.close()
        return answer

    def accepted(self, *args, **kw):
        answer = self.send(*args, **kw)
        self.assertRegex(answer, ID)
        return answer.split()[2]

    def of(self, mid, kind=None):
        return [e for e in self.relay.events("--message-id", mid)
                if kind is None or e["eventType"] == kind]

    def wait_for_event(self, mid, kind, count=1):
        return wait_for(lambda: (lambda f: f if len(f) >= count else None)(self.of(mid, kind)),
                        f"{count} {kind} of {mid}")

    def to(self, address, count=1):
        """Messages that the sink has for an address, when there are that many."""
        return wait_for(lambda: (lambda f: f if len(f) >= count else None)(
            [m for m in list(self.sink.messages) if address in m.rcpts]), f"{count} mails to {address}")

    def quiet(self):
        """Everything that was to be told is told, and delivered: notices go in the order of their events."""
        before, mark = self.sink.rules.rcpt, f"mark.{self.me}"
        self.sink.rules.rcpt = lambda s, a: "550 5.1.1 no" if a == "mark@sink.example" else before and before(s, a)
        self.accepted("mark@sink.example", BODY.replace("bob@example.com", mark), sender=mark)
        self.to(mark)
        wait_for(lambda: all(state["Recipients"] == 0 for state in self.relay.json("queue", "summary")["States"]),
                 "the queue to be empty")


class Feedback(World):
    def test_hard_bounce(self):
        """bounces-and-feedback#1, #6 (second half), #7"""
        self.refuse("jane@sink.example")
        mid = self.accepted("jane@sink.example", BODY.replace("Subject: test", "Subject: test\nMessage-ID: <order-17@app.example.com>"))
        event = self.wait_for_event(mid, "Bounce")[0]["bounce"]
        self.assertEqual((event["bounceType"], event["bounceSubType"]), ("Permanent", "General"))
        self.assertEqual(event["bouncedRecipients"], [{
            "emailAddress": "jane@sink.example", "action": "failed", "status": "5.1.1",
            "diagnosticCode": "smtp; " + UNKNOWN}])
        self.assertEqual(event["reportingMTA"], "dns; mail.relay.example")
        self.assertEqual(event["remoteMtaIp"], "127.0.0.2")
        mail = self.to(self.me)[0]
        self.check_form(mail, mid)
        self.quiet()
        self.assertEqual(len(self.of(mid, "Bounce")), 1)
        self.assertEqual(len(self.to(self.me)), 1)
        self.assertEqual(self.tried, ["jane@sink.example"])

    def test_figures(self):
        """bounces-and-feedback.md 11"""
        def figure(name):
            """Of all accounts together."""
            family, labels = name.split("{")
            found = re.findall(rf"(?m)^{family}{{(?:account=[^,]*,)?{re.escape(labels)} (\d+)$", self.relay.ctl("metrics"))
            return sum(map(int, found))
        names = ('posthorn_classification_total{rule="N1"}', 'posthorn_classification_total{rule="X2"}',
                 'posthorn_bounces_total{bounce_type="Permanent",bounce_subtype="General"}',
                 'posthorn_delays_total{delay_type="RecipientServerError"}')
        before = [figure(n) for n in names]
        later = ["451 4.3.0 later"]
        self.sink.rules.rcpt = lambda s, a: {"jane@sink.example": "550 5.1.1 no", "joe@sink.example":
                                             later.pop() if a.startswith("joe@") and later else None}.get(a)
        self.accepted(["jane@sink.example", "joe@sink.example"])
        self.quiet()
        # one more by the mark of quiet()
        self.assertEqual([figure(n) for n in names], [n + d for n, d in zip(before, (2, 1, 2, 1))])

    def test_remote_mta(self):
        """5.4: the server that answered is named"""
        self.refuse("jane@sink.example")
        self.accepted("jane@sink.example")
        text, status, _ = parse(self.to(self.me)[0]).get_payload()
        self.assertEqual(status.get_payload()[1]["Remote-MTA"], "dns; mx.sink.example")
        self.assertIn("The server mx.sink.example (127.0.0.2) answered:", text.get_content())

    def check_form(self, mail, mid):
        """5.4, field by field"""
        self.assertEqual(mail.mail_from, "")
        self.assertEqual(mail.rcpts, [self.me])
        m = parse(mail)
        self.assertEqual(m["From"], "Mail Delivery Subsystem <MAILER-DAEMON@bounces.relay.example>")
        self.assertEqual(m["To"], self.me)
        self.assertEqual(m["Subject"], "Delivery Status Notification (Failure)")
        self.assertEqual(m["Auto-Submitted"], "auto-replied")
        self.assertRegex(m["Message-ID"], r"^<0100[0-9a-f-]+-000000@relay\.example>$")
        self.assertRegex(m["Date"], r"^\w{3}, \d\d \w{3} \d{4} [\d:]{8} \+0000$")
        self.assertEqual(m["References"].split(), ["<order-17@app.example.com>", f"<{mid}@relay.example>"])
        self.assertEqual(m.get_content_type(), "multipart/report")
        self.assertEqual(m.get_param("report-type"), "delivery-status")
        text, status, headers = m.get_payload()
        self.assertEqual(text.get_content_type(), "text/plain")
        self.assertIn(UNKNOWN, text.get_content())
        self.assertIn(f"Message id: {mid}", text.get_content())
        self.assertEqual(status.get_content_type(), "message/delivery-status")
        whole, one = status.get_payload()
        self.assertEqual(whole["Reporting-MTA"], "dns; mail.relay.example")
        self.assertIsNotNone(whole["Arrival-Date"])
        self.assertEqual(one["Final-Recipient"], "rfc822; jane@sink.example")
        self.assertEqual(one["Action"], "failed")
        self.assertEqual(one["Status"], "5.1.1")
        self.assertEqual(one["Diagnostic-Code"], "smtp; " + UNKNOWN)
        self.assertIsNotNone(one["Last-Attempt-Date"])
        self.assertEqual(headers.get_content_type(), "text/rfc822-headers")
        section = headers.get_payload()
        self.assertRegex(section, rf"(?m)^From: Bob <{self.me}>\r?$")
        self.assertRegex(section, rf"(?m)^Message-ID: <{mid}@relay\.example>\r?$")
        self.assertNotIn("Hello, world", mail.data.decode())
        self.assertNotIn("A second line", mail.data.decode())

    def test_return_path(self):
        """bounces-and-feedback#6: Return-Path before MAIL FROM, never Reply-To; hidden fields stay hidden"""
        self.refuse("jane@sink.example")
        self.accepted("jane@sink.example", "Return-Path: <fb@example.com>\nReply-To: reply@example.com\n"
                      "Bcc: secret@sink.example\nX-SES-MESSAGE-TAGS: a=b\n" + BODY)
        mail = self.to("fb@example.com")[0]
        self.quiet()
        others = {r for m in self.sink.messages for r in m.rcpts} - {"fb@example.com", "mark." + self.me}
        self.assertEqual(others, set())
        section = parse(mail).get_payload()[2].get_payload()
        self.assertIn("Reply-To: reply@example.com", section)
        for hidden in ("Return-Path", "Bcc", "secret@", "X-SES-"):
            self.assertNotIn(hidden, section)

    def test_forwarding_off(self):
        """events#13 and bounces-and-feedback#18 (what there is without configuration sets): never lost"""
        name = "quiet.example"
        self.relay.ctl("identity", "add", name, "--verified", "--dkim", "none")
        self.assertIs(self.relay.json("identity", "notify", name)["ForwardingEnabled"], True)
        done = self.relay.run_ctl("identity", "notify", name, "--forwarding", "off")
        self.assertEqual(done.returncode, 0)
        self.assertIn("no channel left, feedback is mailed to the Return-Path", done.stdout + done.stderr)
        self.assertIs(self.relay.json("identity", "notify", name)["ForwardingEnabled"], False)
        self.assertIs(self.relay.json("identity", "show", name)["FeedbackForwardingStatus"], False)
        self.refuse("jane@sink.example")
        self.accepted("jane@sink.example", f"Return-Path: <{self.me}>\n" + BODY.replace("bob@example.com", "bob@" + name),
                      sender="bob@" + name)
        self.to(self.me)
        self.relay.ctl("identity", "notify", name, "--forwarding", "on")
        self.assertIs(self.relay.json("identity", "notify", name)["ForwardingEnabled"], True)
        self.assertNotEqual(self.relay.run_ctl("identity", "notify", name, "--forwarding", "maybe").returncode, 0)
        self.assertNotEqual(self.relay.run_ctl("identity", "notify", "nobody.example").returncode, 0)

    def test_null_sender(self):
        """bounces-and-feedback.md 5.2: a null MAIL FROM without Return-Path means events only"""
        self.refuse("jane@sink.example")
        mid = self.accepted("jane@sink.example", BODY.replace("bob@", "mailer-daemon@"), sender="")
        self.wait_for_event(mid, "Bounce")
        self.quiet()
        self.assertEqual({r for m in self.sink.messages for r in m.rcpts}, {"mark." + self.me})

    def test_several_recipients(self):
        """5.3: notices of several recipients are not merged; the third part while the message is still queued"""
        self.refuse("a@sink.example", "b@sink.example")
        mid = self.accepted(["a@sink.example", "b@sink.example", "c@sink.example"])
        mails = self.to(self.me, 2)
        self.wait_for_event(mid, "Delivery")
        self.quiet()
        self.assertEqual(len(self.to(self.me)), 2)
        finals = sorted(str(parse(m).get_payload()[1].get_payload()[1]["Final-Recipient"]) for m in mails)
        self.assertEqual(finals, ["rfc822; a@sink.example", "rfc822; b@sink.example"])

    def test_local_failure(self):
        """5.4: no server answered, none is named"""
        self.dns.set_zone("nomail.example", "@ MX 0 .\n")
        self.accepted("x@nomail.example")
        mail = parse(self.to(self.me)[0])
        self.assertIn("556 5.1.10 recipient domain does not accept mail", mail.get_payload()[0].get_content())
        one = mail.get_payload()[1].get_payload()[1]
        self.assertEqual(one["Status"], "5.1.10")
        self.assertIsNone(one["Remote-MTA"])

    def test_notice_bounces(self):
        """bounces-and-feedback#25 on this level: no notice about a notice, no event"""
        self.refuse("jane@sink.example", self.me)
        mid = self.accepted("jane@sink.example")
        wait_for(lambda: self.me in self.tried, "the notice to be tried")
        self.quiet()
        self.assertEqual(self.tried, ["jane@sink.example", self.me])
        self.assertEqual({r for m in self.sink.messages for r in m.rcpts}, {"mark." + self.me})
        self.assertEqual([e["eventType"] for e in self.of(mid)], ["Send", "Bounce"])
        self.assertEqual([e for e in self.relay.events() if e["mail"]["destination"] == [self.me]], [])

    def test_once_across_kills(self):
        """architecture.md 4: one notice for each event, also across a crash"""
        self.refuse(*[f"gone{i}@sink.example" for i in range(30)])
        mids = [self.accepted(f"gone{i}@sink.example")
                for i in range(10)]
        self.relay.kill()
        self.relay.start()
        mids += [self.accepted(f"gone{i}@sink.example")
                 for i in range(10, 30)]
        self.to(self.me, 3)
        self.relay.kill()
        self.relay.start()

        def told():
            found = {}
            for m in list(self.sink.messages):
                if self.me in m.rcpts:
                    notice = parse(m)
                    of = re.search(r"Message id: (\S+)", notice.get_payload()[0].get_content())[1]
                    found.setdefault(of, set()).add(notice["Message-ID"])
            return found
        wait_for(lambda: len(told()) == 30, "a notice for each bounce", 60)
        self.quiet()
        found = told()
        self.assertEqual(sorted(found), sorted(mids))
        # what the sink took in the moment of a kill may be delivered twice, but never as two notices
        bounces = {m: len(self.of(m, "Bounce")) for m in mids}
        self.assertEqual({m: len(v) for m, v in found.items()}, bounces)


class Simulator(World):
    def test_success(self):
        """simulator#1, #2: delivered, without a connection (that nothing is looked up: simulator-success.play)"""
        for domain in ("simulator.amazonses.com", "simulator.relay.example"):
            mid = self.accepted(f"success@{domain}")
            event = self.wait_for_event(mid, "Delivery")[0]
            self.assertEqual(event["delivery"]["smtpResponse"], "250 2.6.0 Message received")
            self.assertEqual(event["delivery"]["recipients"], [f"success@{domain}"])
            self.assertEqual(len(self.of(mid, "Send")), 1)
        self.assertEqual(self.sink.sessions, [])

    def test_bounce(self):
        """simulator#3, #13: event and one mail to the client MAIL FROM; a second message alike"""
        for i, local in enumerate(("bounce", "bounce", "nosuch")):
            mid = self.accepted(f"{local}@simulator.amazonses.com")
            event = self.wait_for_event(mid, "Bounce")[0]["bounce"]
            self.assertEqual((event["bounceType"], event["bounceSubType"]), ("Permanent", "General"))
            self.assertEqual(event["bouncedRecipients"][0]["status"], "5.1.1")
            self.assertEqual(event["bouncedRecipients"][0]["diagnosticCode"], "smtp; 550 5.1.1 user unknown")
            mails = self.to(self.me, i + 1)
            self.assertEqual(len(mails), i + 1)
            m = parse(mails[-1])
            self.assertEqual(m.get_param("report-type"), "delivery-status")
            self.assertEqual(m.get_payload()[1].get_payload()[1]["Final-Recipient"],
                             f"rfc822; {local}@simulator.amazonses.com")
        self.quiet()
        self.assertEqual(len(self.to(self.me)), 3)

    def limited(self, name, **limits):
        """Another account with a sender identity and limits of its own."""
        account = self.relay.account(name, **limits)
        self.relay.ctl("-a", account, "identity", "add", f"{name}.example", "--verified")
        made = self.relay.json("-a", account, "credential", "create", "app1")
        return account, {"key": made["AccessKeyId"], "password": made["SmtpPassword"],
                         "sender": f"bob@{name}.example", "data": BODY.replace("example.com", f"{name}.example")}

    def sent(self, account):
        return self.relay.json("-a", account, "quota", "show")["SentLast24Hours"]

    def test_quota(self):
        """simulator#5, #16: the simulator's mail is not counted, and passes when the day is used up"""
        account, who = self.limited("day", max_24h="3")
        self.accepted(["success@simulator.amazonses.com", "jane@sink.example"], **who)
        self.assertEqual(self.sent(account), 1.0)
        self.accepted(["a@sink.example", "b@sink.example"], **who)
        self.assertEqual(self.sent(account), 3.0)
        self.assertEqual(self.send("c@sink.example", **who), "454 Throttling failure: Daily message quota exceeded")
        self.accepted("success@simulator.amazonses.com", **who)
        self.assertEqual(self.sent(account), 3.0)

    def test_rate(self):
        """simulator#6: the rate is counted"""
        _, who = self.limited("rate", rate="1")
        answers = [self.send("success@simulator.amazonses.com", **who) for _ in range(12)]
        self.assertRegex(answers[0], ID)
        self.assertIn("454 Throttling failure: Maximum sending rate exceeded", answers)

    def test_sandbox(self):
        """simulator#7: usable, where a real unverified recipient is not"""
        account, who = self.limited("sandbox", production=False)
        self.accepted("complaint@simulator.amazonses.com", **who)
        self.assertEqual(self.send("jane@sink.example", **who),
                         "554 Message rejected: Email address is not verified. The following identities failed the "
                         "check in region US-EAST-1: jane@sink.example")

    def test_labels(self):
        """simulator#8: kept in the records"""
        for label in ("label1", "label2"):
            mid = self.accepted(f"bounce+{label}@simulator.amazonses.com")
            event = self.wait_for_event(mid, "Bounce")[0]["bounce"]
            self.assertEqual([r["emailAddress"] for r in event["bouncedRecipients"]],
                             [f"bounce+{label}@simulator.amazonses.com"])

    def test_merge(self):
        """simulator#9: one Bounce, one Delivery, one Send, one mail"""
        to = [f"{x}@simulator.amazonses.com" for x in ("bounce+a", "bounce+b", "success")]
        mid = self.accepted(to)
        self.wait_for_event(mid, "Delivery")
        bounce = self.wait_for_event(mid, "Bounce")[0]["bounce"]
        self.assertEqual([r["emailAddress"] for r in bounce["bouncedRecipients"]], to[:2])
        self.quiet()
        self.assertEqual(sorted(e["eventType"] for e in self.of(mid)), ["Bounce", "Delivery", "Send"])
        self.assertEqual(self.of(mid, "Send")[0]["mail"]["destination"], to)
        self.assertEqual(self.of(mid, "Delivery")[0]["delivery"]["recipients"], to[2:])
        mails = self.to(self.me)
        self.assertEqual(len(mails), 1)
        groups = parse(mails[0]).get_payload()[1].get_payload()[1:]
        self.assertEqual([str(g["Final-Recipient"]) for g in groups], ["rfc822; " + a for a in to[:2]])

    def test_case(self):
        """simulator#17"""
        mid = self.accepted("Bounce@SIMULATOR.amazonses.com")
        self.wait_for_event(mid, "Bounce")

    def test_paused(self):
        """simulator#22"""
        account, who = self.limited("paused")
        self.relay.ctl("-a", account, "account", "pause", "--reason", "test")
        self.assertEqual(self.send("success@simulator.amazonses.com", **who),
                         "554 Message rejected: Sending paused for this account.")
        self.relay.ctl("-a", account, "account", "resume", "--reason", "done")
        self.accepted("success@simulator.amazonses.com", **who)

    def test_dialogue(self):
        """simulator#23: the whole of it"""
        w = self.relay.session(self.key, self.password)
        self.assertEqual(w.cmd("MAIL FROM:<bob@example.com>"), "250 Ok")
        self.assertEqual(w.cmd("RCPT TO:<bounce@simulator.amazonses.com>"), "250 Ok")
        self.assertEqual(w.cmd("DATA"), "354 End data with <CR><LF>.<CR><LF>")
        w.send("From: bob@example.com\r\nTo: bounce@simulator.amazonses.com\r\nSubject: simulator\r\n\r\ntest\r\n.\r\n")
        answer = w.reply()[0]
        w.close()
        self.assertRegex(answer, ID)
        mid = answer.split()[2]
        event = self.wait_for_event(mid, "Bounce")[0]
        bounce = event["bounce"]
        accepted, at = (datetime.fromisoformat(t.rstrip("Z")) for t in (event["mail"]["timestamp"], bounce["timestamp"]))
        self.assertLess((at - accepted).total_seconds(), 1)
        self.assertEqual(bounce["reportingMTA"], "dns; mail.relay.example")
        self.assertEqual(bounce["remoteMtaIp"], "127.0.0.1")
        self.assertEqual(bounce["bouncedRecipients"], [{
            "emailAddress": "bounce@simulator.amazonses.com", "action": "failed", "status": "5.1.1",
            "diagnosticCode": "smtp; 550 5.1.1 user unknown"}])


class Notices(World):
    def test_quota_warnings(self):
        """quotas#26: at 80 % and 100 %, once each"""
        account = self.relay.account("warned", max_24h="10")
        self.relay.ctl("-a", account, "account", "set", "--contact", "warned@example.com")
        self.relay.ctl("-a", account, "identity", "add", "warned.example", "--verified")
        made = self.relay.json("-a", account, "credential", "create", "app1")
        who = {"key": made["AccessKeyId"], "password": made["SmtpPassword"], "sender": "bob@warned.example",
               "data": BODY.replace("example.com", "warned.example")}
        for i in range(10):
            self.accepted(f"u{i}@sink.example", **who)
        mails = self.to("warned@example.com", 2)
        subjects = [str(parse(m)["Subject"]) for m in mails]
        self.assertEqual(sorted(subjects), ["Quota warning: 100 % of the 24 hour quota used",
                                            "Quota warning: 80 % of the 24 hour quota used"])
        self.assertIn("8 of 10", mails[0].data.decode() + mails[1].data.decode())
        for m in mails:
            self.assertEqual(m.mail_from, "")
            self.assertEqual(parse(m)["From"], "posthorn <no-reply@relay.example>")

    def test_pause_is_told(self):
        """quotas.md 7: the contacts learn of every pause and resume"""
        account = self.relay.account("told")
        self.relay.ctl("-a", account, "account", "set", "--contact", "told@example.com")
        self.relay.ctl("-a", account, "account", "pause", "--reason", "list cleaning")
        self.relay.ctl("-a", account, "account", "resume", "--reason", "done")
        mails = self.to("told@example.com", 2)
        text = "".join(m.data.decode() for m in mails)
        self.assertIn(f"Sending paused for account {account}", text)
        self.assertIn(f"Sending resumed for account {account}", text)
        self.assertIn("list cleaning", text)

    def test_operator_is_told_without_contacts(self):
        """identities-and-policies.md 5: an account without contact"""
        account = self.relay.account("silent")
        self.relay.ctl("-a", account, "account", "pause", "--reason", "nobody home")
        self.assertIn("nobody home", self.to("operator@example.com")[0].data.decode())


if __name__ == "__main__":
    unittest.main()
