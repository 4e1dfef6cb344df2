# SPDX-License-Identifier: ISC
"""posthornctl trace: the way of a message (statistics.md 6.1 and 7)."""
import re
import unittest

from harness.queue_world import STAMP, World


class Traces(World):
    extra = World.extra + "delivery.provider mine {\n    title \"My Mail\"\n    domains other.example\n}\n"

    def test_trace(self):
        """statistics#15"""
        mid = self.send(data="Message-ID: <order-17@app.example.com>\nFrom: Mary <mary@example.com>\nTo: x\n"
                             "Subject: =?utf-8?B?R3LDvMOfZQ==?=\n\nHello\n")
        self.wait_of(mid, "Delivery")
        for name in ("order-17@app.example.com", "<order-17@app.example.com>", mid):
            trace = self.relay.json("trace", "show", name)
            self.assertEqual(trace["MessageId"], mid)
            self.assertEqual(trace["FromEmailAddress"], "mary@example.com")
            self.assertEqual(trace["Subject"], "Grüße")
            self.assertEqual([i["Destination"] for i in trace["Insights"]], ["rcpt@sink.example"])
            self.assertEqual([e["Type"] for e in trace["Insights"][0]["Events"]], ["DELIVERY", "SEND"])
        text = self.relay.ctl("trace", "show", mid).splitlines()
        self.assertEqual(text[0], f"message   {mid}")
        self.assertRegex(text[1], rf"^client id <order-17@app\.example\.com> +accepted {STAMP}\.\d+Z from 127\.0\.0\.1 "
                                  r"\(app1, SMTP.*\)$")
        self.assertRegex(text[2], r"^from      mary@example\.com   envelope bob@example\.com   subject Grüße   size \d+$")
        self.assertRegex(text[3], r"^set       main +tags - +pool default ")
        self.assertEqual(text[4], "rcpt@sink.example  (sink.example)")
        self.assertRegex(text[5], rf"^  {STAMP}\.\d+Z  DELIVERY        127\.0\.0\.2 from 127\.0\.0\.\d+  "
                                  r".*250 2\.6\.0 Message received$")
        self.assertRegex(text[6], rf"^  {STAMP}\.\d+Z  SEND$")
        self.refused("trace", "show", "nobody@nowhere.example")

    def test_by_the_receivers_queue_id(self):
        self.sink.rules.reply = "250 2.0.0 Ok: queued as 4XyZ9Abc12"
        mid = self.send()
        self.wait_of(mid, "Delivery")
        self.assertEqual(self.relay.json("trace", "show", "4XyZ9Abc12")["MessageId"], mid)

    def test_provider(self):
        mid = self.send("someone@other.example")
        self.wait_of(mid, "Delivery")
        self.assertEqual(self.relay.json("trace", "show", mid)["Insights"][0]["Isp"], "My Mail")
        self.assertIn("someone@other.example  (My Mail)", self.relay.ctl("trace", "show", mid).splitlines())

    def test_several(self):
        """One client Message-ID twice, and a message that still waits."""
        data = "Message-ID: <twice@app.example.com>\nFrom: bob@example.com\nTo: x\nSubject: s\n\nHello\n"
        first = self.send(data=data)
        self.wait_of(first, "Delivery")
        second = self.deferred(data=data)
        found = self.relay.json("trace", "show", "twice@app.example.com")["Messages"]
        self.assertEqual([m["MessageId"] for m in found], [first, second])
        self.assertEqual(found[1]["Insights"][0]["Waiting"]["State"], "DEFERRED")
        self.assertEqual([e["Type"] for e in found[1]["Insights"][0]["Events"]], ["DELIVERY_DELAY", "SEND"])
        text = self.relay.ctl("trace", "show", "twice@app.example.com")
        self.assertEqual(re.findall(r"^message   (\S+)$", text, re.M), [first, second])
        other = self.relay.account("blind")
        self.refused("-a", other, "trace", "show", first)
        self.refused("-a", other, "trace", "show", "twice@app.example.com")
        self.relay.ctl("account", "delete", other, "--yes")


if __name__ == "__main__":
    unittest.main()
