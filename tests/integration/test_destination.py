# SPDX-License-Identifier: ISC
"""Event destinations (events.md 8 and 10, admin-cli.md 7): commands, and what comes to the files."""
import datetime
import gzip
import json
import os
import signal
import unittest

from harness.dns import Dns
from harness.relay import Relay
from harness.sink import Sink
from harness.waiting import wait_for


class World(unittest.TestCase):
    def setUp(self):
        self.relay = Relay()
        self.addCleanup(self.relay.cleanup)
        self.events = f"{self.relay.folder}/events"
        self.relay.extra = "delivery.allow_private yes\n"
        self.sink = Sink("127.0.0.2")
        self.sink.start()
        self.addCleanup(self.sink.stop)
        self.dns = Dns(self.relay.folder)
        self.dns.zone("sink.example", "@ MX 10 a\na A 127.0.0.2\n")
        self.dns.start()
        self.addCleanup(self.dns.stop)
        self.relay.dns, self.relay.sink_port = self.dns, self.sink.port
        self.relay.write_conf()
        self.relay.start()
        self.account, self.key, self.password = self.relay.sender()
        self.relay.ctl("config-set", "create", "ConfigSet")

    def records(self, name="all.jsonl"):
        path = f"{self.events}/{self.account}/{name}"
        if not os.path.exists(path):
            return []
        with open(path) as f:
            text = f.read()
        self.assertTrue(text == "" or text.endswith("\n"), text)
        return [json.loads(line) for line in text.split("\n")[:-1]]

    def add(self, name, *options):
        self.relay.ctl("config-set", "dest", "add", "ConfigSet", name, "--file", f"{name}.jsonl", *options)

    def send(self):
        w = self.relay.session(self.key, self.password)
        answer = w.message("bob@example.com", "x@sink.example", "X-SES-CONFIGURATION-SET: ConfigSet\n"
                           "From: bob@example.com\nTo: x\nSubject: test\n\nHello, world.\n")
        w.close()
        self.assertTrue(answer.startswith("250"), answer)

    def refused(self, text, *args, status=1):
        r = self.relay.run_ctl("config-set", "dest", *args)
        self.assertEqual(r.returncode, status, r.stdout + r.stderr)
        self.assertIn(text, r.stderr)


class Files(World):
    def test_send_then_delivery(self):
        """events#1: two lines, with #2 (the times); and configuration-sets#23: no eleventh"""
        self.add("all", "--types", "all", "--sync", "each")
        self.add("sends", "--types", "Send", "--extensions")
        self.send()
        wait_for(lambda: len(self.records()) == 2, "two records")
        send, delivery = self.records()
        self.assertEqual((send["eventType"], delivery["eventType"]), ("Send", "Delivery"))
        self.assertEqual(send["mail"]["tags"]["ses:configuration-set"], ["ConfigSet"])
        self.assertNotIn("posthorn", send)
        at = [datetime.datetime.fromisoformat(x["timestamp"][:-1]) for x in (delivery["mail"], delivery["delivery"])]
        self.assertEqual(delivery["delivery"]["processingTimeMillis"], (at[1] - at[0]) // datetime.timedelta(milliseconds=1))
        self.assertRegex(delivery["delivery"]["smtpResponse"], "^250 ")
        wait_for(lambda: len(self.records("sends.jsonl")) == 1, "the record of the other one")
        self.assertIn("eventId", self.records("sends.jsonl")[0]["posthorn"])
        rows = self.relay.json("config-set", "dest", "list", "ConfigSet")["EventDestinations"]
        self.assertEqual([(r["Name"], r["Enabled"], r["Kind"], r["Target"], r["MatchingEventTypes"], r["LastResult"])
                          for r in rows], [("all", True, "file", "all.jsonl", ["all"], "ok"),
                                           ("sends", True, "file", "sends.jsonl", ["SEND"], "ok")])
        for i in range(8):
            self.add(f"d{i}", "--types", "bounce")
        self.refused("at most 10 event destinations", "add", "ConfigSet", "d8", "--types", "bounce", "--file", "x")

    def test_compressed(self):
        """Renamed files are compressed, and nothing is lost."""
        self.add("all", "--types", "all", "--rotate-size", "2k", "--compress", "--keep", "0")
        for _ in range(6):
            self.send()
        folder = f"{self.events}/{self.account}"
        wait_for(lambda: len([n for n in os.listdir(folder) if n.endswith(".gz")]) >= 3, "compressed files")

        def all_records():
            found = self.records()
            for name in [n for n in os.listdir(folder) if n.startswith("all.jsonl.")]:
                if not name.endswith(".gz"):
                    return []  # it is being compressed
                with gzip.open(f"{folder}/{name}", "rt") as f:
                    found += [json.loads(line) for line in f]
            return found
        wait_for(lambda: len({(r["mail"]["messageId"], r["eventType"]) for r in all_records()}) == 12, "all records")

    def test_renamed_by_others(self):
        """events.md 10.2: logrotate, with a signal or the command or neither, to the master or to all"""
        self.add("all", "--types", "send")
        folder, processes = f"{self.events}/{self.account}", [self.relay.process.pid, *self.relay.children()]

        def signal_all():
            for pid in processes:
                os.kill(pid, signal.SIGUSR1)
        for number, tell in enumerate((lambda: self.relay.ctl("event", "reopen"), signal_all, lambda: None)):
            self.send()
            wait_for(lambda: len(self.records()) == 1, "the record")
            os.rename(f"{folder}/all.jsonl", f"{folder}/all.jsonl.{number}")
            tell()
        self.send()
        wait_for(lambda: len(self.records()) == 1, "the record of the new file")
        self.assertEqual(sorted([self.relay.process.pid, *self.relay.children()]), sorted(processes))
        self.assertEqual(sum(len(self.records(f"all.jsonl.{n}")) for n in range(3)), 3)

    def test_killed(self):
        """events#20: what was not told when it was killed is told by the next life"""
        self.add("all", "--types", "all")
        self.relay.ctl("config-set", "dest", "test", "ConfigSet", "all")
        self.assertEqual(self.records(), [{"eventType": "Test", "account": self.account}])
        os.remove(f"{self.events}/{self.account}/all.jsonl")
        os.mkdir(f"{self.events}/{self.account}/all.jsonl")
        self.send()
        self.relay.wait_log("event-publish-failed")
        self.relay.kill()
        os.rmdir(f"{self.events}/{self.account}/all.jsonl")
        self.relay.start()
        wait_for(lambda: {r["eventType"] for r in self.records()} == {"Send", "Delivery"}, "both records")

    def test_changes(self):
        self.add("all", "--types", "send,bounce", "--keep", "3", "--rotate", "hourly", "--rotate-size", "1k")
        self.relay.ctl("config-set", "dest", "set", "ConfigSet", "all", "--keep", "5", "--extensions", "on")
        shown = self.relay.json("config-set", "dest", "show", "ConfigSet", "all")
        self.assertEqual(shown["FileDestination"], {"FileName": "all.jsonl", "RotateSize": 1024, "Keep": 5,
                                                    "RotateInterval": "HOURLY", "Compress": False,
                                                    "Sync": "INTERVAL"})
        self.assertEqual((shown["MatchingEventTypes"], shown["Extensions"]), (["SEND", "BOUNCE"], True))
        self.relay.ctl("config-set", "dest", "disable", "ConfigSet", "all")
        self.assertFalse(self.relay.json("config-set", "dest", "show", "ConfigSet", "all")["Enabled"])
        self.relay.ctl("config-set", "dest", "enable", "ConfigSet", "all")
        self.assertTrue(self.relay.json("config-set", "dest", "show", "ConfigSet", "all")["Enabled"])
        self.refused("exists already", "add", "ConfigSet", "all", "--types", "all", "--file", "x")
        self.refused("name of a file", "add", "ConfigSet", "y", "--types", "all", "--file", "../x")
        self.refused("no such event type", "add", "ConfigSet", "y", "--types", "sent", "--file", "x")
        self.refused("no such event destination: y", "show", "ConfigSet", "y")
        self.refused("no such configuration set: none", "list", "none")
        shown["FileDestination"]["Keep"] = 7
        del shown["Extensions"]
        self.relay.ctl("config-set", "dest", "set", "ConfigSet", "all", "--json-file", "-", input=json.dumps(shown))
        changed = self.relay.json("config-set", "dest", "show", "ConfigSet", "all")
        self.assertEqual((changed["FileDestination"]["Keep"], changed["Extensions"]), (7, False))
        self.refused("nothing to set", "set", "ConfigSet", "all", status=2)
        # its own --timeout, not that of posthornctl
        web = ("config-set", "dest", "add", "ConfigSet", "web", "--types", "send", "--webhook", "https://hooks.example/")
        timeout = lambda: self.relay.json("config-set", "dest", "show", "ConfigSet",
                                          "web")["WebhookDestination"]["TimeoutSeconds"]
        self.relay.ctl("--timeout", "50s", *web, "--timeout", "7")
        self.assertEqual(timeout(), 7)
        self.relay.ctl("config-set", "dest", "set", "ConfigSet", "web", "--timeout=9")
        self.assertEqual(timeout(), 9)
        # what waits, and a secret, cannot be made again
        for line in (("event", "purge", "--dest", "ConfigSet/all"),
                     ("config-set", "dest", "delete", "ConfigSet", "all")):
            r = self.relay.run_ctl(*line, input="")
            self.assertEqual((r.returncode, r.stderr), (2, "error: this cannot be undone; give --yes\n"))
            self.relay.ctl(*line, "--yes")
        self.refused("no such event destination: all", "show", "ConfigSet", "all")


if __name__ == "__main__":
    unittest.main()
