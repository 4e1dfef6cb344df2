# SPDX-License-Identifier: ISC
"""Mail that came back, as the operator sees it: posthornctl feedback list, show, replay (admin-cli.md 8,
bounces-and-feedback.md 6.3)."""
import contextlib
import json
import os
import re
import subprocess
import unittest

from harness.dns import Dns
from harness.relay import Relay
from harness.sink import Sink
from harness.waiting import wait_for

DELIVERY = "delivery {\n    allow_private yes\n    retry_jitter 0\n    retry_schedule 1s\n}\n" \
    "smtp.max_recipients 1000\n"
TEXT = "From: bob@example.com\nTo: jane@sink.example\nSubject: test\n\nHello.\n"
ID = r"[0-9a-f]{16}-[0-9a-f-]{36}-000000"
DSN = """From: MAILER-DAEMON@sink.example
Subject: Undelivered Mail Returned to Sender
Message-ID: <dsn-{n}@sink.example>
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.sink.example

Final-Recipient: rfc822; jane@sink.example
Action: failed
Status: 5.1.1

--b--
"""


class Feedback(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.relay = Relay(extra=DELIVERY)
        cls.addClassCleanup(cls.relay.cleanup)
        cls.sink = Sink("127.0.0.2")
        cls.sink.start()
        cls.addClassCleanup(cls.sink.stop)
        cls.dns = Dns(cls.relay.folder)
        for name in ("sink.example", "example.com", "operator.example"):
            cls.dns.zone(name, "@ MX 10 mx\nmx A 127.0.0.2\n")
        cls.dns.start()
        cls.addClassCleanup(cls.dns.stop)
        cls.relay.dns, cls.relay.sink_port = cls.dns, cls.sink.port
        cls.relay.write_conf()
        cls.relay.start()
        cls.account, cls.key, cls.password = cls.relay.sender()

    def send(self, to="jane@sink.example"):
        w = self.relay.session(self.key, self.password)
        answer = w.message("bob@example.com", to, TEXT)
        w.close()
        return re.match(f"250 Ok ({ID})$", answer).group(1)

    def come_back(self, sender, to, text):
        """As a stranger sends it; its row of the list when it was read."""
        known = {r["Id"] for r in self.rows()}
        w = self.relay.wire("smtp")
        w.reply()
        w.hello("mx.sink.example")
        self.assertEqual(w.message(sender, to, text), "250 Ok")
        w.close()
        return wait_for(lambda: next((r for r in self.rows() if r["Id"] not in known and
                                      r["Result"] != "waiting"), None), "the raw mail to be read")

    def rows(self, *options):
        return self.relay.json("feedback", "list", *options)["Feedback"]

    def row(self, rid):
        return next(r for r in self.rows() if r["Id"] == rid)

    def test_list_and_show(self):
        mid = self.send()
        back = mid[:-1] + "1@bounces.relay.example"
        raw = DSN.format(n="list") + "caf\xe9\n"
        row = self.come_back("", back, raw)
        self.assertRegex(row.pop("Id"), f"^{ID}$")
        self.assertRegex(row.pop("Received"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertGreater(row.pop("Size"), len(raw))
        self.assertEqual(row, {"Kind": "dsn", "Result": "event", "Sender": "", "Recipients": [back],
                               "RecipientCount": 1,
                               "ClientIp": "127.0.0.1", "Ehlo": "mx.sink.example", "Listener": "smtp",
                               "TlsVersion": None, "Spf": "none", "Authenticated": False})
        second = self.come_back("jane@sink.example", "postmaster", "Subject: a letter\n\nHello, operator.\n")
        lines = self.relay.ctl("feedback", "list").splitlines()
        self.assertEqual(lines[0].split(), ["id", "received", "kind", "result", "spf", "size", "sender", "rcpt"])
        last = re.split(r"\s{2,}", lines[-1].strip())
        self.assertEqual((last[0], last[2], last[3], last[6], last[7]),
                         (second["Id"], "unknown", "ignored", "jane@sink.example", "postmaster@relay.example"))

        shown = self.relay.json("feedback", "show", second["Id"])
        self.assertEqual({k: v for k, v in shown.items() if k in second}, second)
        self.assertIn("\r\nSubject: a letter\r\n", shown["Headers"])
        self.assertRegex(shown["Headers"], r"^Return-Path: <jane@sink\.example>\r\n"
                         r"Authentication-Results: mail\.relay\.example;\r\n spf=none smtp\.mailfrom=sink\.example\r\n"
                         r"Received: from mx\.sink\.example ")
        self.assertEqual(shown["Body"], "Hello, operator.\r\n")
        text = self.relay.ctl("feedback", "show", second["Id"])
        self.assertRegex(text, r"(?m)^Sender +jane@sink\.example$")
        self.assertTrue(text.replace("\r", "").endswith("\n\nHello, operator.\n"), text)
        text = self.relay.ctl("feedback", "show", second["Id"], "--headers")
        self.assertIn("Subject: a letter", text)
        self.assertNotIn("Hello, operator.", text)

    def test_terminal(self):
        """What a stranger wrote drives no terminal; a pipe gets it as it came."""
        letter = self.come_back("jane@sink.example", "postmaster", "Subject: \x1b[2Jx\n\nbell \x07\n")
        ours, theirs = os.openpty()
        with subprocess.Popen([*self.relay.ctl_words(), "feedback", "show", letter["Id"]], stdout=theirs) as p:
            os.close(theirs)
            shown = b""
            with contextlib.suppress(OSError):  # EIO: the other end is closed
                while piece := os.read(ours, 65536):
                    shown += piece
        os.close(ours)
        self.assertEqual(p.returncode, 0)
        self.assertIn(b"Subject: ?[2Jx", shown)
        self.assertIn(b"bell ?", shown)
        self.assertIn("Subject: \x1b[2Jx", self.relay.ctl("feedback", "show", letter["Id"]))

    def test_pages(self):
        for n in range(3):
            self.come_back("", "postmaster", f"Subject: page {n}\n\nx\n")
        every = [r["Id"] for r in self.rows()]
        paged, token = [], []
        while True:
            page = self.relay.json("feedback", "list", "--limit", "2", *token)
            self.assertLessEqual(len(page["Feedback"]), 2)
            paged += [r["Id"] for r in page["Feedback"]]
            if "NextToken" not in page:
                break
            token = ["--next-token", page["NextToken"]]
        self.assertEqual(paged, every)
        self.assertEqual(paged, sorted(paged))

    def test_replay(self):
        """What could not be forwarded goes on when it can; what was counted is not counted again."""
        letter = self.come_back("jane@sink.example", "postmaster", "Subject: kept\n\nFor the operator.\n")
        self.assertTrue(self.relay.wait_log("returned-kept"))
        self.relay.extra = DELIVERY + "intake.postmaster operator@operator.example\n"
        self.relay.reload()
        self.assertEqual(self.relay.ctl("feedback", "replay", letter["Id"]), "")
        got = wait_for(lambda: next((m for m in self.sink.messages if b"Subject: kept" in m.data), None),
                       "the operator's copy")
        self.assertEqual(got.rcpts, ["operator@operator.example"])
        self.assertEqual(self.row(letter["Id"])["Result"], "ignored")

        mid = self.send()
        report = self.come_back("", mid[:-1] + "1@bounces.relay.example", DSN.format(n="replay"))
        self.assertEqual(report["Result"], "event")
        wait_for(lambda: any(b"dsn-replay@" in m.data for m in self.sink.messages), "the sender's copy")
        self.assertEqual(self.relay.json("feedback", "replay", report["Id"]), {})
        wait_for(lambda: self.row(report["Id"])["Result"] == "duplicate", "the second reading")
        self.assertEqual(sum(e["eventType"] == "Bounce" for e in self.relay.events("--message-id", mid)), 1)
        # without a Message-ID it is known by itself
        nameless = self.come_back("", mid[:-1] + "1@bounces.relay.example",
                                  re.sub(r"(?mi)^Message-ID:.*\n", "", DSN.format(n="nameless")))
        self.assertEqual(nameless["Result"], "event")
        told = sum(e["eventType"] == "Bounce" for e in self.relay.events("--message-id", mid))
        self.assertEqual(self.relay.json("feedback", "replay", nameless["Id"]), {})
        wait_for(lambda: self.row(nameless["Id"])["Result"] == "duplicate", "the second reading of it")
        self.assertEqual(sum(e["eventType"] == "Bounce" for e in self.relay.events("--message-id", mid)), told)
        with open(self.relay.folder + "/audit.jsonl") as f:
            entries = [json.loads(line) for line in f]
        self.assertEqual([e["requestParameters"] for e in entries
                          if e["eventName"] == "FeedbackReplay" and "errorCode" not in e],
                         [{"id": letter["Id"]}, {"id": report["Id"]}, {"id": nameless["Id"]}])

    def test_delayed(self):
        """A delay stands in the trace, and in no tail of events (bounces-and-feedback#9)."""
        mid = self.send()
        wait_for(lambda: [e for e in self.relay.events("--message-id", mid) if e["eventType"] == "Delivery"],
                 "the delivery")
        row = self.come_back("", mid[:-1] + "1@bounces.relay.example",
                             DSN.format(n="late").replace("failed", "delayed").replace("5.1.1", "4.0.0"))
        self.assertEqual((row["Kind"], row["Result"]), ("dsn", "ignored"))
        self.assertEqual([e["eventType"] for e in self.relay.events("--message-id", mid)], ["Send", "Delivery"])
        shown = self.relay.json("trace", "show", mid)["Insights"][0]["Events"]
        self.assertEqual([e["Type"] for e in shown], ["DELIVERY_DELAY", "DELIVERY", "SEND"])

    def test_too_much(self):
        """A report that would take more memory than any honest one is given up, and holds nobody up."""
        mid = self.send([f"{n:060d}@sink.example" for n in range(1000)])
        back = [f"{mid[:-6]}{n:06d}@bounces.relay.example" for n in range(1, 101)]
        row = self.come_back("", back, DSN.format(n="much"))
        self.assertEqual((row["Kind"], row["Result"], row["RecipientCount"]), ("unknown", "error", 100))
        self.assertEqual(row["Recipients"], back[:8])
        self.assertEqual(self.relay.json("feedback", "show", row["Id"])["Recipients"], back)
        self.assertEqual([e for e in self.relay.events("--message-id", mid) if e["eventType"] == "Bounce"], [])
        self.assertTrue(self.relay.wait_log("returned-too-much"))
        self.assertEqual(self.come_back("", back[:2], DSN.format(n="less"))["Result"], "event")

    def test_refused(self):
        unknown = "0100018f34069e00-7cb9f704-7531-4e53-89a1-5fa9744f5eb6-00000"
        for verb in ("show", "replay"):
            for rid, code in ((unknown + "0", "NotFoundException"), (unknown + "1", "BadRequestException"),
                              ("x", "BadRequestException")):
                r = self.relay.run_ctl("--json", "feedback", verb, rid)
                self.assertEqual((r.returncode, json.loads(r.stderr or r.stdout)["Error"]["Code"]), (1, code),
                                 (verb, rid))
        self.assertEqual(self.relay.run_ctl("feedback", "list", "--next-token", "x").returncode, 1)
        self.assertEqual(self.relay.run_ctl("feedback", "show").returncode, 2)


if __name__ == "__main__":
    unittest.main()
