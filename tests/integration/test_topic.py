# SPDX-License-Identifier: ISC
"""Topics (events.md 6 and 7) against real HTTPS servers and files, by the commands as an operator types them."""
import json
import os
import subprocess
import unittest

from harness.schema import unwrap
from harness.waiting import wait_for
from test_webhook import World


class Topics(World):
    def setUp(self):
        super().setUp()
        self.arn = f"arn:aws:sns:us-east-1:{self.account}:notes"

    def bounce(self):
        w = self.relay.session(self.key, self.password)
        w.message("bob@example.com", "x@sink.example", "From: bob@example.com\nTo: x\nSubject: test\n"
                  "Message-ID: <a@b>\n\nHello, world.\n")
        w.close()

    def table(self, *args):
        return [line.split() for line in self.relay.ctl("--no-header", *args).splitlines()]

    def test_notifications(self):
        """events#11 and #12 to a webhook and a file in envelopes of SNS; kill -9 keeps the place."""
        self.sink.rules.rcpt = lambda session, address: "550 5.1.1 user unknown"
        web = self.web(None, 200)
        made = self.relay.ctl("topic", "create", "notes", "--webhook", f"https://hooks.example:{web.port}/t",
                              "--file", "notes.jsonl").splitlines()
        self.assertEqual(made[0], self.arn)
        sub, url, secret = made[1].split()
        self.assertEqual((url, made[2].split()[1]), (f"https://hooks.example:{web.port}/t", "notes.jsonl"))
        self.assertIn("not shown again", made[3])
        self.relay.ctl("identity", "notify", "example.com", "--bounce-topic", "notes", "--complaint-topic", self.arn,
                       "--headers", "bounce", "--forwarding", "off")
        self.assertEqual(self.relay.json("identity", "notify", "example.com")["BounceTopic"], self.arn)
        self.bounce()
        wait_for(lambda: len(web.posted) == 1, "the first request, which has no answer")
        self.relay.kill()
        self.relay.start()
        wait_for(lambda: len(web.posted) >= 2, "once more")
        first, again = web.posted[0], web.posted[1]
        self.assertEqual(first.headers["webhook-id"], again.headers["webhook-id"])
        self.assertTrue(again.is_signed_by(secret))
        self.assertEqual((again.headers["x-amz-sns-topic-arn"], again.headers["x-amz-sns-subscription-arn"]),
                         (self.arn, f"{self.arn}:{sub}"))
        record = json.loads(again.record()["Message"])
        self.assertEqual((record["notificationType"], record["mail"]["callerIdentity"],
                          record["mail"]["commonHeaders"]["messageId"]), ("Bounce", "app1", "<a@b>"))
        self.assertNotIn("tags", record["mail"])
        path = f"{self.relay.folder}/events/{self.account}/notes.jsonl"
        wait_for(lambda: os.path.exists(path), "the file")
        with open(path) as f:
            self.assertEqual({json.loads(unwrap(line))["bounce"]["feedbackId"] for line in f},
                             {record["bounce"]["feedbackId"]})
        wait_for(lambda: self.table("topic", "list") == [["notes", "2", "2", "0", "ok"]], "the end of it")
        # a new secret, and what was the secret in no place that others read
        newer = self.relay.ctl("topic", "rotate-secret", "notes", sub).split()[1]
        self.relay.ctl("topic", "test", "notes")
        self.assertTrue(web.posted[-1].is_signed_by(secret) and web.posted[-1].is_signed_by(newer))
        self.assertEqual(unwrap(web.posted[-1].body.decode()),
                         f'{{"eventType":"Test","account":"{self.account}"}}')
        with open(f"{self.relay.folder}/audit.jsonl") as f:
            audit = f.read()
        for text in (audit, self.relay.log_text(), self.relay.ctl("topic", "show", "notes", "--json")):
            for word in (secret, newer):
                self.assertNotIn(word, text)
        self.assertEqual(audit.count('"eventName":"PutEmailIdentityFeedbackAttributes"'), 1)
        for name in ("CreateTopic", "SetSubscriptionAttributes", "PutEmailIdentityFeedbackAttributes"):
            self.assertIn(f'"eventName":"{name}"', audit)

    def test_neighbours(self):
        """An account whose endpoints never answer leaves room for the webhooks of others."""
        silent, web = self.web(None), self.web()
        other = self.relay.account("other")
        of_other = ("-a", other)
        self.relay.ctl(*of_other, "identity", "add", "other.example", "--verified", "--dkim", "none")
        self.relay.ctl(*of_other, "config-set", "create", "Theirs")
        self.relay.ctl(*of_other, "config-set", "dest", "add", "Theirs", "web", "--types", "send", "--webhook",
                       f"https://hooks.example:{web.port}/")
        made = self.relay.json(*of_other, "credential", "create", "other1")
        urls = sum((["--webhook", f"https://hooks.example:{silent.port}/{n}"] for n in range(10)), [])
        for name in ("a", "b", "c", "d"):
            self.relay.ctl("-a", self.account, "topic", "create", name, *urls)
            self.relay.ctl("-a", self.account, "config-set", "dest", "add", "ConfigSet", name, "--types", "send",
                           "--topic", name)
        for _ in range(5):
            self.send()
        wait_for(lambda: silent.connections >= 20, "the requests without an answer")
        w = self.relay.session(made["AccessKeyId"], made["SmtpPassword"])
        w.message("o@other.example", "x@sink.example",
                  "X-SES-CONFIGURATION-SET: Theirs\nFrom: o@other.example\nTo: x\n\nHello.\n")
        w.close()
        wait_for(lambda: web.posted, "the record of the other account")
        self.assertFalse("event-publish-failed" in self.relay.log_text(), "it has waited for the end of another request")

    def test_dead_endpoints(self):
        """topic test asks all at once: ten endpoints that never answer take one time-out."""
        silent = self.web(None)
        urls = sum((["--webhook", f"https://hooks.example:{silent.port}/{n}"] for n in range(10)), [])
        self.relay.ctl("topic", "create", "notes", *urls)
        asking = subprocess.Popen([*self.relay.ctl_words(), "-a", self.account, "topic", "test", "notes"],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.addCleanup(asking.stderr.close)
        self.addCleanup(asking.wait)
        self.addCleanup(asking.kill)
        wait_for(lambda: silent.connections >= 10, "all of them to be asked", 10)
        self.assertEqual(asking.stderr.read().count("error: "), 10)
        self.assertEqual(asking.wait(), 1)

    def test_commands(self):
        """What is refused, in words; the sets that name a topic."""
        def refused(text, *args, status=1):
            r = self.relay.run_ctl(*args)
            self.assertEqual(r.returncode, status, r.stdout)
            self.assertIn(text, r.stderr)
        refused("FIFO", "topic", "create", "a.fifo")
        refused("not https", "topic", "create", "t", "--webhook", "http://hooks.example/")
        refused("name of a file", "topic", "create", "t", "--file", "../x")
        self.relay.ctl("topic", "create", "notes")
        refused("exists already", "topic", "create", "notes")
        refused("no enabled subscription", "topic", "test", "notes")
        refused("what subscribes", "topic", "subscribe", "notes", status=2)
        self.relay.ctl("topic", "subscribe", "notes", "--file", "a.jsonl", "--format", "record")
        self.relay.ctl("topic", "test", self.arn)
        with open(f"{self.relay.folder}/events/{self.account}/a.jsonl") as f:
            self.assertEqual(f.read(), f'{{"eventType":"Test","account":"{self.account}"}}\n')
        sub = self.relay.json("topic", "show", "notes")["Subscriptions"][0]["SubscriptionId"]
        refused("it has no secret", "topic", "rotate-secret", "notes", sub)
        refused("no such subscription", "topic", "unsubscribe", "notes", "x")
        refused("not an account", "topic", "set", "notes", "--publisher", "12")
        self.relay.ctl("config-set", "dest", "add", "ConfigSet", "t", "--types", "send", "--topic", self.arn)
        refused("no topic", "config-set", "dest", "add", "ConfigSet", "u", "--types", "send", "--topic", "none")
        refused("--keep is not for a topic", "config-set", "dest", "set", "ConfigSet", "t", "--keep", "3")
        self.send()
        wait_for(lambda: self.table("config-set", "dest", "list", "ConfigSet") ==
                 [["t", "yes", "topic", "notes", "SEND", "0", "ok"]], "the record")
        refused("ConfigSet/t", "topic", "delete", "notes")
        self.relay.ctl("topic", "delete", "notes", "--dry-run", "--force")
        self.relay.ctl("topic", "delete", "notes", "--force")
        refused("no such topic", "topic", "show", "notes")


if __name__ == "__main__":
    unittest.main()
