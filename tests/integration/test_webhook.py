# SPDX-License-Identifier: ISC
"""Webhooks (events.md 10.3 to 10.5) against a real HTTPS server, with the sandbox of the real daemon."""
import json
import os
import re
import unittest
import urllib.request

from harness.dns import Dns
from harness.relay import Relay
from harness.sink import Sink
from harness.waiting import free_port, wait_for
from harness.web import Web, authority, sign


class World(unittest.TestCase):
    private = "yes"

    def setUp(self):
        self.relay = Relay()
        self.addCleanup(self.relay.cleanup)
        self.ca = authority(self.relay.folder)
        self.relay.extra = (f"delivery.allow_private yes\nevents.webhook_ca {self.ca}\n"
                            f"events.webhook_allow_private {self.private}\nevents.webhook_source 127.0.0.9\n")
        self.sink = Sink("127.0.0.2")
        self.sink.start()
        self.addCleanup(self.sink.stop)
        self.dns = Dns(self.relay.folder)
        self.dns.zone("sink.example", "@ MX 10 a\na A 127.0.0.2\n")
        self.dns.zone("hooks.example", "@ A 127.0.0.3\nother A 127.0.0.4\n")
        self.dns.start()
        self.addCleanup(self.dns.stop)
        self.relay.dns, self.relay.sink_port = self.dns, self.sink.port
        self.relay.write_conf()
        self.metrics = free_port()
        with open(self.relay.conf) as f:
            text = f.read()
        with open(self.relay.conf, "w") as f:
            f.write(text.replace("metrics.listen 127.0.0.1:0", f"metrics.listen 127.0.0.1:{self.metrics}"))
        self.relay.start()
        self.account, self.key, self.password = self.relay.sender()
        self.relay.ctl("config-set", "create", "ConfigSet")

    def web(self, *answers, address="127.0.0.3", name="hooks.example"):
        web = Web(address, sign(self.relay.folder, name), *answers)
        self.addCleanup(web.stop)
        return web

    def add(self, web, name="hooks", *options, host="hooks.example", types="all"):
        return self.relay.json("config-set", "dest", "add", "ConfigSet", name, "--types", types, "--webhook",
                               f"https://{host}:{web.port}/ses?x=1", *options)["Secret"]

    def send(self):
        w = self.relay.session(self.key, self.password)
        answer = w.message("bob@example.com", "x@sink.example", "X-SES-CONFIGURATION-SET: ConfigSet\n"
                           "From: bob@example.com\nTo: x\nSubject: test\n\nHello, world.\n")
        w.close()
        self.assertTrue(answer.startswith("250"), answer)

    def metric(self, name):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics") as f:
            text = f.read().decode()
        found = re.search(rf'^{name}{{[^}}]*destination="(?:ConfigSet/)?hooks"[^}}]*}} (\S+)$', text, re.M)
        return float(found[1]) if found else 0


class Webhooks(World):
    def test_records(self):
        """Send and Delivery, signed; rotate-secret; the token is shown nowhere; inside the sandbox."""
        self.assertNotIn("no-sandbox", self.relay.log_text())
        web = self.web()
        secret = self.add(web, "hooks", "--header", "Authorization: Bearer s3cr3t-token", "--extensions")
        self.assertTrue(secret.startswith("whsec_"))
        self.send()
        wait_for(lambda: sorted(web.types()) == ["Delivery", "Send"], "two records")
        for p in web.posted:
            self.assertEqual(p.path, "/ses?x=1")
            self.assertTrue(p.is_signed_by(secret))
            self.assertEqual(p.client, "127.0.0.9")
            self.assertEqual(p.headers["webhook-id"], p.record()["posthorn"]["eventId"])
            self.assertEqual((p.headers["Authorization"], p.headers["Content-Type"], p.headers["X-Posthorn-Attempt"],
                              p.headers["X-Posthorn-Account"], p.headers["X-Posthorn-Configuration-Set"],
                              p.headers["X-Posthorn-Event-Destination"], p.headers["X-Posthorn-Event-Type"]),
                             ("Bearer s3cr3t-token", "application/json", "1", self.account, "ConfigSet", "hooks",
                              p.record()["eventType"]))
            self.assertRegex(p.headers["User-Agent"], "^posthorn/")
        wait_for(lambda: self.metric("posthorn_event_publish_success_total") == 2, "the figures")
        self.assertEqual(self.metric("posthorn_webhook_seconds_count"), 2)
        self.assertEqual(self.metric("posthorn_event_outbox_entries"), 0)
        row = self.relay.json("config-set", "dest", "list", "ConfigSet")["EventDestinations"][0]
        self.assertEqual((row["Kind"], row["LastResult"], row["Backlog"]), ("webhook", "ok", 0))
        newer = self.relay.json("config-set", "dest", "rotate-secret", "ConfigSet", "hooks")["Secret"]
        self.assertNotEqual(newer, secret)
        self.relay.ctl("config-set", "dest", "test", "ConfigSet", "hooks")
        self.assertEqual(web.posted[-1].record(), {"eventType": "Test", "account": self.account})
        self.assertTrue(web.posted[-1].is_signed_by(secret) and web.posted[-1].is_signed_by(newer))
        shown = self.relay.ctl("config-set", "dest", "show", "ConfigSet", "hooks", "--json")
        with open(f"{self.relay.folder}/audit.jsonl") as f:
            audit = f.read()
        for text in (shown, audit, self.relay.log_text()):
            for word in ("s3cr3t-token", secret, newer):
                self.assertNotIn(word, text)

    def test_retries(self):
        """events#16: the first wait of it for real; the plays have all of them.  #17 with a short Retry-After."""
        web = self.web(503, (503, {"Retry-After": "2"}), 200)
        self.add(web, types="send")
        self.send()
        wait_for(lambda: len(web.posted) == 3, "three requests", timeout=40)
        self.assertEqual(len({p.headers["webhook-id"] for p in web.posted}), 1)
        self.assertEqual([p.headers["X-Posthorn-Attempt"] for p in web.posted], ["1", "2", "3"])
        self.assertTrue(4.4 <= web.posted[1].at - web.posted[0].at <= 8)
        self.assertTrue(1.9 <= web.posted[2].at - web.posted[1].at <= 5)
        wait_for(lambda: self.metric("posthorn_event_publish_success_total") == 1, "success")
        self.assertEqual(self.metric("posthorn_event_publish_failure_total"), 2)

    def test_gone(self):
        """events#18"""
        web = self.web(410)
        self.relay.ctl("account", "set", "--contact", "owner@sink.example")
        self.add(web, types="send")
        self.send()
        shown = lambda: self.relay.json("config-set", "dest", "show", "ConfigSet", "hooks")
        wait_for(lambda: not shown()["Enabled"], "the end of it")
        self.assertEqual(shown()["Reason"], "endpoint refused")
        self.relay.wait_log("destination-disabled")
        wait_for(lambda: any("owner@sink.example" in m.rcpts for m in self.sink.messages), "the mail to the contact")
        self.assertEqual(len(web.posted), 1)
        audit = lambda: [r for r in map(json.loads, open(f"{self.relay.folder}/audit.jsonl").read().splitlines())
                         if r["eventType"] == "Automatic"]
        wait_for(audit, "its line in the audit log")
        self.assertEqual([(r["eventName"], r["recipientAccountId"], r["requestParameters"]) for r in audit()],
                         [("UpdateConfigurationSetEventDestination", self.account,
                           {"configurationSetName": "ConfigSet", "eventDestinationName": "hooks", "enabled": False,
                            "reason": "endpoint refused"})])

    def test_redirect(self):
        """events#22: the target is not asked"""
        target = self.web(address="127.0.0.4", name="other.hooks.example")
        web = self.web((302, {"Location": f"https://other.hooks.example:{target.port}/"}))
        self.add(web, types="send")
        self.send()
        wait_for(lambda: self.metric("posthorn_event_publish_failure_total") == 1, "a failure")
        row = self.relay.json("config-set", "dest", "list", "ConfigSet")["EventDestinations"][0]
        self.assertEqual((row["LastResult"], row["Backlog"]), ("302", 1))
        self.assertEqual((len(web.posted), target.connections), (1, 0))

    def test_certificates(self):
        """Another name, another authority: nothing is sent."""
        web = self.web(name="other.hooks.example")
        self.add(web, types="send")
        self.send()
        self.relay.wait_log("event-publish-failed.*(subject|certificate)")
        folder = f"{self.relay.folder}/others"
        os.mkdir(folder)
        authority(folder)
        stranger = Web("127.0.0.3", sign(folder, "hooks.example"))
        self.addCleanup(stranger.stop)
        self.relay.ctl("config-set", "dest", "set", "ConfigSet", "hooks", "--webhook",
                       f"https://hooks.example:{stranger.port}/")
        r = self.relay.run_ctl("config-set", "dest", "test", "ConfigSet", "hooks")
        self.assertEqual(r.returncode, 1)
        self.assertIn("certificate", r.stderr)
        self.assertEqual((web.posted, stranger.posted), ([], []))

    def test_long_answers(self):
        """A body without end and a header without end: the first is read to its bound, the second is no answer."""
        web = self.web((200, {}, b"x" * 8000000))
        self.add(web, types="send")
        self.send()
        wait_for(lambda: self.metric("posthorn_event_publish_success_total") == 1, "success")
        web = self.web((200, {f"X-{i}": "y" * 1000 for i in range(90)}))
        self.relay.ctl("config-set", "dest", "set", "ConfigSet", "hooks", "--webhook",
                       f"https://hooks.example:{web.port}/")
        r = self.relay.run_ctl("config-set", "dest", "test", "ConfigSet", "hooks")
        self.assertEqual(r.returncode, 1, r.stdout)
        self.assertIn("the header of the answer is too long", r.stderr)

    def test_endless_line(self):
        """Neither a status line nor a field that never ends has anything to do with memory."""
        web = self.web(b"HTTP/1.1 200 " + b"x" * 400000, b"HTTP/1.1 200 OK\r\nX: " + b"x" * 400000)
        self.add(web, types="send")
        for _ in range(2):
            r = self.relay.run_ctl("config-set", "dest", "test", "ConfigSet", "hooks")
            self.assertEqual(r.returncode, 1, r.stdout)
            self.assertIn("the header of the answer is too long", r.stderr)

    def test_killed(self):
        """events#20: kill -9 between the event and the answer; the same id comes again"""
        web = self.web(None, None, 200)
        self.add(web)
        self.send()
        wait_for(lambda: len(web.posted) == 2, "two requests")
        ids = {p.headers["webhook-id"] for p in web.posted}
        self.relay.kill()
        self.relay.start()
        wait_for(lambda: {p.headers["webhook-id"] for p in web.posted[2:]} == ids, "both once more")

    def test_a_dead_one_delays_nothing(self):
        """The one hangs, the other has its records, and mail goes out."""
        dead, alive = self.web(None), self.web(address="127.0.0.4", name="other.hooks.example")
        self.add(dead, "dead")
        self.add(alive, "alive", host="other.hooks.example")
        for _ in range(12):
            self.send()
        wait_for(lambda: len(alive.posted) == 24, "all records of the other one")
        wait_for(lambda: len(self.sink.messages) == 12, "all mail")
        wait_for(lambda: re.search(r"(?m)^outbox +24 records \(1 destinations, [01] failing\), the oldest waits for \S",
                                   self.relay.ctl("status")), "what waits to be shown")
        self.assertEqual(len(dead.posted), 4)

    def test_commands(self):
        """events#23 and what is refused"""
        def refused(text, *args):
            r = self.relay.run_ctl("config-set", "dest", "add", "ConfigSet", "x", "--types", "all", *args)
            self.assertEqual(r.returncode, 1, r.stdout)
            self.assertIn(text, r.stderr)
        refused("not https", "--webhook", "http://hooks.example/")
        refused("a user or a password", "--webhook", "https://a:b@hooks.example/")
        refused("exclude each other", "--webhook", "https://hooks.example/", "--file", "x")
        refused("--keep is not for a webhook", "--webhook", "https://hooks.example/", "--keep", "3")
        refused("header:", "--webhook", "https://hooks.example/", "--header", "Host: x")
        refused("in-flight", "--webhook", "https://hooks.example/", "--in-flight", "65")
        self.relay.ctl("config-set", "dest", "add", "ConfigSet", "x", "--types", "all", "--webhook",
                       "https://localhost/")


class Private(World):
    private = "no"

    def test_private(self):
        """events#23: refused when it is made, and when a name turns out to be one"""
        r = self.relay.run_ctl("config-set", "dest", "add", "ConfigSet", "x", "--types", "all", "--webhook",
                               "https://localhost/")
        self.assertEqual(r.returncode, 1)
        self.assertIn("events.webhook_allow_private", r.stderr)
        web = self.web()
        self.add(web, types="send")
        self.send()
        self.relay.wait_log("event-publish-failed.*private address")
        self.assertEqual(web.connections, 0)


if __name__ == "__main__":
    unittest.main()
