# SPDX-License-Identifier: ISC
"""Figures as posthornctl prints them (statistics.md), and those of the reputation."""
import json
import re
import unittest

from harness.relay import CtlError, Relay
from harness.sink import Sink
from harness.waiting import wait_for


class Figures(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        sink = Sink()
        sink.start()
        cls.addClassCleanup(sink.stop)
        sink.rules.rcpt = lambda session, address: "550 5.1.1 unknown" if "gone" in address else None
        cls.relay = Relay(extra=f"delivery.route * 127.0.0.1:{sink.port}\n")
        cls.addClassCleanup(cls.relay.cleanup)
        cls.relay.start()
        cls.account, cls.key, cls.password = cls.relay.sender()
        cls.relay.ctl("quota", "set", "--max-24h", "200", "--rate", "unlimited")
        w = cls.relay.session(cls.key, cls.password)
        for i in range(9):
            w.message("a@example.com", f"r{i}@sink.example", "From: a@example.com\nSubject: Hello\n\nx\n")
        w.message("a@example.com", "gone@sink.example", "From: a@example.com\nSubject: Goodbye\n\nx\n")
        w.close()
        wait_for(lambda: cls.relay.json("stats")["Counts"]["Bounces"] == 1 and
                 cls.relay.json("stats")["Counts"]["Deliveries"] == 9, "the figures")
        cls.quiet = cls.relay.ctl("account", "create", "quiet").strip()

    def ctl(self, *arguments, account=None):
        return self.relay.ctl("-a", account or self.account, *arguments)

    def test_nothing(self):
        """statistics#18, statistics#19"""
        self.assertEqual(json.loads(self.ctl("stats", "datapoints", "--json", account=self.quiet)),
                         {"SendDataPoints": []})
        text = self.ctl("stats", account=self.quiet)
        self.assertRegex(text, r"(?m)^deliveries +0 +-  of sends$")
        self.assertRegex(text, r"(?m)^complaints +0 +-  of deliveries$")
        self.assertRegex(text, r"(?m)^reputation +bounce -  Healthy +complaint -  Healthy$")
        self.assertNotIn("BounceRate", self.relay.json("-a", self.quiet, "stats")["Reputation"])
        self.assertRegex(self.ctl("queue", "summary", account=self.quiet), r"(?m)^total +0 +0 +0 +-$")

    def test_dashboard(self):
        """statistics#7 in part"""
        text = self.ctl("stats")
        self.assertRegex(text, rf"^account {self.account} \(\w+\)   region us-east-1   20\S+Z\n")
        self.assertRegex(text, r"(?m)^sent last 24 h +10 +remaining +190 +used +5\.0 %$")
        self.assertRegex(text, r"(?m)^sends +10$")
        self.assertRegex(text, r"(?m)^deliveries +9 +90\.0 %  of sends$")
        self.assertRegex(text, r"(?m)^permanent bounces +1 +10\.0 %  of sends$")
        self.assertRegex(text, r"(?m)^opens / clicks +-  /  -$")
        self.assertRegex(text, r"(?m)^reputation +bounce 10\.00 %  Healthy +complaint 0\.000 %  Healthy$")
        figures = self.relay.json("-a", self.account, "stats")
        self.assertEqual(figures["SendQuota"], {"Max24HourSend": 200.0, "SentLast24Hours": 10.0, "MaxSendRate": -1.0})
        self.assertNotIn("Opens", figures["Counts"])
        self.assertEqual(figures["Rates"]["Deliveries"], 0.9)
        self.assertNotIn("Complaints", self.relay.json("-a", self.quiet, "stats")["Rates"])
        everyone = self.relay.ctl("stats", "--all-accounts")
        self.assertRegex(everyone, rf"(?m)^{self.account} +\S+ +HEALTHY +yes +10 +9 +1 +0 ")
        self.assertRegex(everyone, rf"(?m)^{self.quiet} +quiet +HEALTHY +yes +0 +0 +0 +0 +- +-$")

    def test_datapoints(self):
        points = json.loads(self.ctl("stats", "datapoints", "--json"))["SendDataPoints"]
        self.assertEqual(sum(p["DeliveryAttempts"] for p in points), 10)
        for p in points:
            self.assertEqual(list(p), ["Timestamp", "DeliveryAttempts", "Bounces", "Complaints", "Rejects"])
            self.assertRegex(p["Timestamp"], r"T\d\d:(00|15|30|45):00Z$")
        self.assertRegex(self.ctl("stats", "datapoints", "--csv"),
                         r"^timestamp,delivery-attempts,bounces,complaints,rejects\r?\n20")
        all_points = json.loads(self.ctl("stats", "datapoints", "--since=-1d", "--all", "--json"))["SendDataPoints"]
        self.assertIn(len(all_points), (96, 97, 98))

    def test_search(self):
        text = self.ctl("trace", "search", "--subject", "Hello*", "--limit", "3")
        self.assertIn("showing 3 of 9", text)
        found = self.relay.json("-a", self.account, "trace", "search", "--delivery-event", "PERMANENT_BOUNCE",
                                "--exclude-to", "listed@*")
        self.assertEqual([m["Destination"] for m in found["Messages"]], ["gone@sink.example"])
        shown = self.ctl("trace", "show", found["Messages"][0]["MessageId"])
        self.assertIn("BOUNCE", shown)

    def test_reputation(self):
        text = self.ctl("reputation", "show")
        self.assertRegex(text, rf"^account {self.account}   Healthy     sending enabled\n"
                         r"bounce rate +0\.1000   Healthy +note 0\.02  review 0\.05  pause 0\.10 +base 10 sends since 20\S+Z\n"
                         r"complaint rate +0\.0000   Healthy +review 0\.001  pause 0\.005 +base 9 deliveries\n"
                         r"fresh start +-\nfindings +none open\n$")
        self.assertRegex(self.ctl("reputation", "show", "--by", "provider"), r"(?m)^sink\.example ")
        with self.assertRaises(CtlError) as refused:
            self.ctl("account", "resume", self.account)
        self.assertEqual(refused.exception.status, 2)

    def test_listing(self):
        """suppression.md 8: the trace tells what stopped it."""
        self.ctl("suppression", "settings", "--reasons=bounce")
        self.ctl("suppression", "add", "listed@sink.example", "--reason", "bounce")
        w = self.relay.session(self.key, self.password)
        said = w.message("a@example.com", "listed@sink.example", "From: a@example.com\n\nx\n")
        w.close()
        mid = re.search(r"250 Ok (\S+)", said).group(1)
        wait_for(lambda: "listed: account" in self.ctl("trace", "show", mid), "the listing")
        self.assertRegex(self.ctl("trace", "show", mid), r"  listed: account, BOUNCE since 20\S+, manual\n")
        self.ctl("suppression", "remove", "listed@sink.example")
        self.assertIn("  listed: account, not any more\n", self.ctl("trace", "show", mid))


if __name__ == "__main__":
    unittest.main()
