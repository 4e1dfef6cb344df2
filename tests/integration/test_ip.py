# SPDX-License-Identifier: ISC
"""posthornctl ip, and which source address mail leaves from (delivery.md 11)."""
import datetime
import unittest

from harness.queue_world import table, World


class Sources(World):
    def tearDown(self):
        super().tearDown()
        for row in table(self.relay.ctl("ip", "list")):
            self.relay.ctl("ip", "remove", row["address"], "--yes")

    def test_address_and_name(self):
        self.relay.ctl("ip", "add", "127.0.0.51", "--ehlo", "out51.relay.example")
        rows = table(self.relay.ctl("ip", "list"))
        self.assertEqual(list(rows[0]), ["address", "ehlo", "kind", "pool", "status", "warm-up", "sent-24h",
                                         "blocklists"])
        self.assertEqual([rows[0][k] for k in ("address", "ehlo", "kind", "pool", "status", "warm-up")],
                         ["127.0.0.51", "out51.relay.example", "shared", "ses-shared-pool", "enabled", "Complete"])
        mid = self.send("one@sink.example")
        m = self.sink.wait(1)[0]
        self.assertEqual((m.peer, m.ehlo), ("127.0.0.51", "out51.relay.example"))
        tags = self.wait_of(mid, "Delivery")[0]["mail"]["tags"]
        self.assertEqual(tags["ses:outgoing-ip"], ["127.0.0.51"])
        self.assertEqual(self.relay.json("ip", "show", "127.0.0.51")["EhloName"], "out51.relay.example")

    def test_what_is_refused(self):
        self.assertIn("203.0.113.9", self.refused("ip", "add", "203.0.113.9"))
        self.refused("ip", "add", "nonsense")
        self.refused("ip", "add", "127.0.0.52", "--ehlo", "not a name")
        self.relay.ctl("ip", "add", "127.0.0.52")
        self.refused("ip", "add", "127.0.0.52")
        self.refused("ip", "disable", "127.0.0.53")
        self.assertTrue(self.audit("IpAdd")[-1]["requestParameters"])

    def test_of_an_account(self):
        """--account is the owner here, not the account to act on; a shared address has none"""
        self.relay.ctl("ip", "add", "127.0.0.57", "--kind", "dedicated", "--account", self.account)
        self.assertEqual(self.relay.json("ip", "show", "127.0.0.57")["Account"], self.account)
        self.assertIn("no such account", self.refused("ip", "add", "127.0.0.58", "--kind", "dedicated",
                                                      "--account=999999999999"))
        self.assertIn("only a dedicated", self.refused("ip", "add", "127.0.0.58", "--account", self.account))
        self.relay.ctl("--account", self.account, "ip", "add", "127.0.0.58")
        self.assertIsNone(self.relay.json("ip", "show", "127.0.0.58")["Account"])

    def test_disabled_is_not_used(self):
        self.relay.ctl("ip", "add", "127.0.0.54")
        self.relay.ctl("ip", "add", "127.0.0.55")
        self.relay.ctl("ip", "disable", "127.0.0.54")
        for i in range(4):
            self.send(f"d{i}@sink.example")
        self.assertEqual({m.peer for m in self.sink.wait(4)}, {"127.0.0.55"})
        self.relay.ctl("ip", "enable", "127.0.0.54")
        self.relay.ctl("ip", "disable", "127.0.0.55")
        self.send("last@sink.example")
        self.assertEqual(self.sink.wait(5)[4].peer, "127.0.0.54")

    def test_no_usable_address(self):
        """The only one is disabled: mail waits, there is no other way (delivery.md 11.4)."""
        self.relay.ctl("ip", "add", "127.0.0.56")
        self.relay.ctl("ip", "disable", "127.0.0.56")
        mid = self.send()
        delay = self.wait_of(mid, "DeliveryDelay")[0]
        self.assertEqual(delay["deliveryDelay"]["delayType"], "SendingDeferral")
        self.assertEqual(self.row(mid)["state"], "READY")
        self.assertEqual(self.sink.messages, [])

    def test_sticky_source(self):
        """delivery#8: greylisted, tried again from the same address with the same envelope sender."""
        for last in (61, 62, 63):
            self.relay.ctl("ip", "add", f"127.0.0.{last}")
        for n in range(4):
            with self.sink.lock:
                self.sink.messages.clear()
            tries, mails = [], []

            def greylist(session, address):
                tries.append(session.peer[0])
                return "450 4.7.1 greylisted"
            self.sink.rules.mail = lambda session, text: mails.append(text)
            self.sink.rules.rcpt = greylist
            mid = self.send(f"grey{n}@sink.example")
            self.wait_state(mid, "DEFERRED")
            self.sink.rules.rcpt = None
            self.relay.ctl("queue", "retry", mid)
            m = self.sink.wait(1)[0]
            self.assertEqual(len(tries), 1)
            self.assertEqual(m.peer, tries[0])
            self.assertEqual(len({text.split()[1] for text in mails}), 1, mails)
            self.assertIn(m.mail_from, mails[0])

    def test_ip_block(self):
        """delivery#25: the first attempt and what is planned after it."""
        for last in (71, 72):
            self.relay.ctl("ip", "add", f"127.0.0.{last}")
        peers = []

        def block(session, address):
            peers.append(session.peer[0])
            return ("554 5.7.1 Service unavailable; Client host [%s] blocked using zen.example; "
                    "See: http://www.example.com/query/ip/%s" % (session.peer[0], session.peer[0]))
        self.sink.rules.rcpt = block
        mid = self.send()
        delay = self.wait_of(mid, "DeliveryDelay")[0]["deliveryDelay"]
        self.assertEqual(delay["delayType"], "IPFailure")
        self.assertIn("zen.example", delay["delayedRecipients"][0]["diagnosticCode"])
        row = self.wait_state(mid, "DEFERRED")
        due = datetime.datetime.strptime(row["next-attempt"], "%Y-%m-%dT%H:%M:%SZ")
        wait = (due - datetime.datetime.utcnow()).total_seconds()
        self.assertTrue(840 < wait <= 900, wait)
        self.sink.rules.rcpt = None
        self.relay.ctl("queue", "retry", mid)
        m = self.sink.wait(1)[0]
        self.assertEqual({m.peer, peers[0]}, {"127.0.0.71", "127.0.0.72"})
        self.wait_of(mid, "Delivery")
        self.assertEqual(self.of(mid, "Bounce"), [])


if __name__ == "__main__":
    unittest.main()
