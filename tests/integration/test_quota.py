# SPDX-License-Identifier: ISC
"""Quotas of the real daemon: every way in counts, and a kill forgets nothing (quotas.md)."""
import os
import re
import signal
import unittest
from concurrent.futures import ThreadPoolExecutor

from harness.relay import CtlError, Relay
from harness.waiting import wait_for
from harness.wire import Wire

BODY = "From: bob@example.com\nTo: x\nSubject: test\n\nHello, world.\n"
ID = r"250 Ok [0-9a-f]{16}-[0-9a-f-]{36}-000000"
FULL = "454 Throttling failure: Daily message quota exceeded"
# nothing leaves: the receivers' names are unknown to everybody
EXTRA = "dns.timeout 1s\ndns.tries 1\nsmtp.max_messages_per_connection 0\n"


class World(unittest.TestCase):
    def setUp(self):
        self.relay = Relay(extra=EXTRA)
        self.addCleanup(self.relay.cleanup)
        self.relay.start()
        self.account = self.relay.account()
        self.relay.ctl("identity", "add", "example.com", "--verified")
        self.key, self.password = self.relay.credential("app1")

    def session(self, listener="clear"):
        w = self.relay.session(self.key, self.password, listener)
        self.addCleanup(w.close)
        return w

    def sent(self):
        return self.relay.json("quota", "show")["SentLast24Hours"]

    def pipelined(self, w, count, rcpts=1):
        """COUNT messages at one go; the replies to their ends of data."""
        for i in range(count):
            text = "MAIL FROM:<bob@example.com>\r\n" + "".join(
                f"RCPT TO:<r{i}-{k}@sink.example>\r\n" for k in range(rcpts)) + "DATA\r\n"
            w.send(text)
            answers = [w.reply()[0] for _ in range(2 + rcpts)]
            self.assertTrue(answers[-1].startswith("354"), answers)
            w.send(BODY.replace("\n", "\r\n") + ".\r\n")
            self.assertRegex(w.reply()[0], ID)


class Kill(World):
    def test_restart(self):
        """quotas#7: 150 sent, kill -9 and start: 150.0; of the relay alone, too, and of a credential"""
        self.relay.ctl("credential", "set", "app1", "--max-24h", "151")
        self.pipelined(self.session(), 50, rcpts=3)
        self.assertEqual(self.sent(), 150.0)
        ready = self.relay.log_text().count(" ready version=")
        os.kill(self.relay.child("relay"), signal.SIGKILL)
        wait_for(lambda: self.relay.log_text().count(" ready version=") > ready, "the next relay", 60)
        self.assertEqual(self.sent(), 150.0)
        self.relay.kill()
        self.relay.start()
        self.assertEqual(self.sent(), 150.0)
        w = self.session()
        self.assertRegex(w.message("bob@example.com", "last@sink.example", BODY), ID)
        self.assertEqual(w.message("bob@example.com", "more@sink.example", BODY), FULL)
        self.relay.wait_log(r"quota-refused .*limit=credential-24h max=151 sent=151 rcpts=1")


class Unlimited(World):
    def test_ten_thousand(self):
        """quotas#17: -1.0 twice, and 10,000 messages pass; by sessions side by side, which share commits"""
        self.relay.ctl("quota", "set", "--max-24h", "unlimited", "--rate", "unlimited")
        shown = self.relay.json("quota", "show")
        self.assertEqual((shown["Max24HourSend"], shown["MaxSendRate"]), (-1.0, -1.0))
        sessions = [self.session() for _ in range(20)]
        with ThreadPoolExecutor(len(sessions)) as pool:
            list(pool.map(lambda w: self.pipelined(w, 500), sessions))
        self.assertEqual(self.sent(), 10000.0)


class Ways(World):
    def test_all_ways(self):
        """quotas.md 2: the local socket, sendmail and posthornctl send count as any other; sendmail 75 when it is full"""
        self.relay.extra = EXTRA + f"local web {{\n    match *\n    credential {self.account}/app1\n}}\n"
        self.relay.reload()
        self.relay.ctl("quota", "set", "--max-24h", "4")
        w = self.session("submission")
        self.assertRegex(w.message("bob@example.com", "a@sink.example", BODY), ID)
        self.assertEqual(self.sent(), 1.0)
        local = Wire(None, None, unix=self.relay.submit)
        self.addCleanup(local.close)
        local.reply()
        local.hello()
        self.assertRegex(local.message("bob@example.com", "b@sink.example", BODY), ID)
        self.assertEqual(self.sent(), 2.0)
        r = self.relay.sendmail("-f", "bob@example.com", "c@sink.example", input=BODY)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertEqual(self.sent(), 3.0)
        self.relay.ctl("send", "--from", "bob@example.com", "--to", "d@sink.example", "--subject", "x", "--text", "-",
                       input="x\n")
        self.assertEqual(self.sent(), 4.0)
        r = self.relay.sendmail("-f", "bob@example.com", "c@sink.example", input=BODY)
        self.assertEqual(r.returncode, 75)
        self.assertIn("Throttling failure: Daily message quota exceeded", r.stderr)
        with self.assertRaises(CtlError) as e:
            self.relay.ctl("send", "--from", "bob@example.com", "--to", "d@sink.example", "--subject", "x", "--text",
                           "-", input="x\n")
        self.assertIn("Daily message quota exceeded", e.exception.stderr + e.exception.stdout)
        self.assertEqual(self.sent(), 4.0)


class Shown(World):
    def test_figures(self):
        """quotas.md 8: what is left, limits of credentials, gauges, refusals by limit"""
        self.relay.ctl("quota", "set", "--max-24h", "5", "--rate", "0.5")
        self.relay.ctl("credential", "set", "app1", "--max-24h", "4")
        w = self.session()
        for i in range(2):
            self.assertRegex(w.message("bob@example.com", f"r{i}@sink.example", BODY), ID)
        shown = self.relay.json("-v", "quota", "show")
        self.assertEqual((shown["Max24HourSend"], shown["SentLast24Hours"], shown["MaxSendRate"]), (5.0, 2.0, 0.5))
        self.assertEqual((shown["Burst"], shown["Remaining"]), (3.0, 3.0))
        self.assertEqual([(c["UserName"], c["Max24HourSend"], c["SentLast24Hours"]) for c in shown["Credentials"]],
                         [("app1", 4.0, 2.0)])
        self.relay.ctl("quota", "set", "--max-24h", "2", "--rate", "unlimited")
        self.assertEqual(w.message("bob@example.com", "x@sink.example", BODY), FULL)
        page = self.relay.ctl("metrics")
        for name, value in (("max_24h", 2), ("sent_24h", 2), ("max_rate", -1)):
            self.assertRegex(page, rf'(?m)^posthorn_quota_{name}{{account="{self.account}"}} {value}(\.0)?$')
        self.assertRegex(page, r'(?m)^posthorn_throttled_total{[^}]*limit="daily"[^}]*} 1$')

    def test_input(self):
        """quotas.md 1: numbers from 0 to 10^12, or unlimited"""
        for good, shown in (("0", 0.0), ("0.5", 0.5), ("1000000000000", 1e12), ("unlimited", -1.0)):
            self.relay.ctl("quota", "set", "--max-24h", good, "--rate", good)
            r = self.relay.json("quota", "show")
            self.assertEqual((r["Max24HourSend"], r["MaxSendRate"]), (shown, shown))
        for bad in ("-2", "-0.5", "1000000000001", "1e13", "many", "", "nan", "inf"):
            for option in ("--max-24h", "--rate"):
                self.assertNotEqual(self.relay.run_ctl("quota", "set", f"{option}={bad}").returncode, 0, bad)
        r = self.relay.json("quota", "show")
        self.assertEqual((r["Max24HourSend"], r["MaxSendRate"]), (-1.0, -1.0))


if __name__ == "__main__":
    unittest.main()
