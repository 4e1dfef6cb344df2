# SPDX-License-Identifier: ISC
"""posthornctl event tail (admin-cli.md 9, events.md)."""
import json
import os
import queue
import subprocess
import threading
import time
import unittest

from harness.queue_world import BODY, STAMP, World
from harness.relay import BUILD
from harness.waiting import wait_for


class Follower:
    """posthornctl event tail --follow, read by a thread."""

    def __init__(self, relay, *args):
        self.process = subprocess.Popen(
            [os.path.join(BUILD, "posthornctl"), "-s", relay.socket, *args],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put((time.time(), line.rstrip("\n")))

    def next(self, timeout=20):
        return self.lines.get(timeout=timeout)

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        self.process.stdout.close()
        self.process.stderr.close()


class Events(World):
    def test_follow(self):
        """admin-cli#25"""
        f = Follower(self.relay, "event", "tail", "--json", "--types", "BOUNCE", "--follow", "--since", "now")
        self.addCleanup(f.stop)
        for n in range(3):
            mid = self.deferred(f"r{n}@sink.example")
            began = time.time()
            self.relay.ctl("queue", "bounce", mid)
            at, line = f.next()
            self.assertLess(at - began, 1.0)
            event = json.loads(line)
            self.assertEqual((event["eventType"], event["mail"]["messageId"]), ("Bounce", mid))
        self.assertTrue(f.lines.empty())

    def test_follow_shows_what_was_before(self):
        self.sink.rules.rcpt = None
        first = self.send()
        self.wait_of(first, "Delivery")
        f = Follower(self.relay, "event", "tail", "--follow", "--message-id", first)
        self.addCleanup(f.stop)
        self.assertEqual([json.loads(f.next()[1])["eventType"] for _ in range(2)], ["Send", "Delivery"])

    def test_filters(self):
        a = self.deferred("a@sink.example")
        b = self.send("b@other.example")
        self.wait_of(b, "Delivery")

        def ids(*args):
            return [(e["mail"]["messageId"], e["eventType"]) for e in self.relay.events(*args)
                    if e["mail"]["messageId"] in (a, b)]
        self.assertEqual(ids(), [(a, "Send"), (a, "DeliveryDelay"), (b, "Send"), (b, "Delivery")])
        self.assertEqual(ids("--types", "DELIVERY,DELIVERY_DELAY"), [(a, "DeliveryDelay"), (b, "Delivery")])
        self.assertEqual(ids("--types", "deliverydelay"), [(a, "DeliveryDelay")])
        self.assertEqual(ids("--to", "b@other.example"), [(b, "Send"), (b, "Delivery")])
        self.assertEqual(ids("--message-id", a), [(a, "Send"), (a, "DeliveryDelay")])
        self.assertEqual(ids("--since", "now"), [])
        self.assertEqual(len(ids("--since", "-1h")), 4)
        self.refused("event", "tail", "--types", "NOISE")

    def test_automatic_tags(self):
        mid = self.send()
        tags = self.wait_of(mid, "Delivery")[0]["mail"]["tags"]
        self.assertEqual(tags["ses:configuration-set"], ["main"])
        self.assertEqual(tags["ses:caller-identity"], ["app1"])
        self.assertEqual(tags["ses:from-domain"], ["example.com"])
        self.assertEqual(tags["ses:source-ip"], ["127.0.0.1"])
        self.assertEqual(tags["ses:operation"], ["SendSmtpEmail"])

    def header_record(self, size):
        """What a record shows of fields that take that many octets, each 1,024 with its name, ": " and CRLF."""
        fixed = "From: bob@example.com\nTo: x\n"
        left = size - len("Frombob@example.com") - len("Tox") - 8
        fields, n = [], 0
        while left > 0:
            cost = min(left, 1024) if left - 1024 > 20 or left <= 1024 else left - 30
            # a line holds 998 octets: the value is folded, and deleting CRLF leaves the blank
            value = ("v" * (cost - 4 - len(f"X-{n:02}")))
            value = value[:500] + (" " + value[501:] if len(value) > 501 else "")
            fields.append(f"X-{n:02}: {value[:500]}" + (f"\n{value[500:]}" if len(value) > 500 else ""))
            left -= cost
            n += 1
        mid = self.send(data=fixed + "\n".join(fields) + "\n\nHello\n")
        mail = self.wait_of(mid, "Send")[0]["mail"]
        return mail, sum(len(f["name"]) + len(f["value"]) + 4 for f in mail["headers"]), n + 2

    def test_headers_are_cut(self):
        """events#3: 12 KB of header fields"""
        mail, size, _ = self.header_record(12 * 1024)
        self.assertIs(mail["headersTruncated"], True)
        self.assertLessEqual(size, 10240)
        self.assertGreater(size, 10240 - 1024)
        self.assertEqual(mail["commonHeaders"]["from"], ["bob@example.com"])

    def test_headers_just_fit(self):
        """events#4: 10,240 octets exactly"""
        mail, size, fields = self.header_record(10240)
        self.assertIs(mail["headersTruncated"], False)
        self.assertEqual((size, len(mail["headers"])), (10240, fields))
        mail, size, fields = self.header_record(10241)
        self.assertIs(mail["headersTruncated"], True)

    def test_text(self):
        mid = self.send()
        self.wait_of(mid, "Delivery")
        lines = self.relay.ctl("event", "tail", "--text", "--message-id", mid, "--types", "DELIVERY").splitlines()
        self.assertRegex(lines[0], rf'^{STAMP}\.\d\d\dZ DELIVERY {mid} rcpt@sink\.example 127\.0\.0\.2 '
                                   r'"250 2\.6\.0 Message received"$')
        self.assertEqual(len(lines), 1)

    def test_accounts_are_apart(self):
        mid = self.send()
        self.wait_of(mid, "Delivery")
        other = self.relay.account("quiet")
        self.assertEqual(self.relay.ctl("-a", other, "event", "tail"), "")
        self.relay.ctl("account", "delete", other, "--yes")

    def test_many_events(self):
        """More than one window of the reader and of the socket."""
        w = self.relay.session(self.key, self.password)
        count = 400
        for i in range(count):
            self.assertRegex(w.message("bob@example.com", f"success+{i}@simulator.relay.example", BODY), "^250 ")
        w.close()
        events = self.relay.wait_events(
            lambda es: sum(e["eventType"] == "Delivery" and "simulator" in e["mail"]["destination"][0]
                           for e in es) >= count, "all deliveries", 60)
        self.assertEqual(len({e["mail"]["messageId"] for e in events
                              if "simulator" in e["mail"]["destination"][0]}), count)

    def test_slow_reader(self):
        """A follower that does not read costs a bounded buffer, and misses nothing."""
        mark = os.path.getsize(self.relay.log)
        f = subprocess.Popen([os.path.join(BUILD, "posthornctl"), "-s", self.relay.socket, "event", "tail", "--follow",
                              "--types", "SEND", "--since", "now"], stdout=subprocess.PIPE)
        self.addCleanup(f.stdout.close)
        self.addCleanup(f.wait)
        self.addCleanup(f.terminate)
        # "now" is when it asks
        self.relay.wait_log('control verb="event tail"', offset=mark)
        w = self.relay.session(self.key, self.password)
        filler = "".join(f"X-Filler-{i}: {'v' * 900}\n" for i in range(10))
        mids = []
        for i in range(600):
            answer = w.message("bob@example.com", f"success+{i}@simulator.relay.example", filler + BODY)
            self.assertRegex(answer, "^250 ")
            mids.append(answer.split()[2])
        w.close()
        seen = [json.loads(f.stdout.readline())["mail"]["messageId"] for _ in mids]
        self.assertEqual(seen, mids)


class ShortTail(World):
    """Events leave the tail after a moment."""
    extra = World.extra + "events.tail_keep 1s\n"

    def test_keep(self):
        """admin-cli.md: event tail looks back events.tail_keep, an explicit --since further"""
        mid = self.send("success@simulator.relay.example")
        wait_for(lambda: not self.of(mid), "the events to leave the tail")
        self.assertEqual([e["Type"] for e in self.relay.json("trace", "show", mid)["Insights"][0]["Events"]],
                         ["DELIVERY", "SEND"])


if __name__ == "__main__":
    unittest.main()
