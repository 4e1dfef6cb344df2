# SPDX-License-Identifier: ISC
"""Configuration sets: the commands (admin-cli.md 7, configuration-sets.md 1 and 5), and what they do to mail."""
import json
import os
import unittest

from harness.dns import Dns
from harness.relay import Relay
from harness.sink import Sink
from harness.waiting import wait_for

BODY = "From: bob@example.com\nTo: x\nSubject: test\n\nHello, world.\n"
FULL = {
    "ConfigurationSetName": "full",
    "TrackingOptions": {"CustomRedirectDomain": "click.example.com", "HttpsPolicy": "REQUIRE"},
    "DeliveryOptions": {"TlsPolicy": "Require", "SendingPoolName": "ses-shared-pool", "MaxDeliverySeconds": 3600},
    "ReputationOptions": {"ReputationMetricsEnabled": True, "LastFreshStart": None},
    "SendingOptions": {"SendingEnabled": True},
    "Tags": [{"Key": "team", "Value": "billing"}, {"Key": "büro", "Value": ""}],
    "SuppressionOptions": {"SuppressedReasons": ["BOUNCE", "COMPLAINT"]},
    "VdmOptions": {"DashboardOptions": {"EngagementMetrics": "ENABLED"},
                   "GuardianOptions": {"OptimizedSharedDelivery": "DISABLED"}},
}


class World(unittest.TestCase):
    """A relay with knot and a sink; a failed recipient waits for an hour."""

    @classmethod
    def setUpClass(cls):
        cls.relay = Relay(extra="delivery {\n    allow_private yes\n    retry_jitter 0\n    retry_schedule 1h\n}\n")
        cls.addClassCleanup(cls.relay.cleanup)
        cls.sink = Sink("127.0.0.2")
        cls.sink.start()
        cls.addClassCleanup(cls.sink.stop)
        cls.dns = Dns(cls.relay.folder)
        cls.dns.zone("sink.example", "@ MX 10 a\na A 127.0.0.2\n")
        cls.dns.start()
        cls.addClassCleanup(cls.dns.stop)
        cls.relay.dns, cls.relay.sink_port = cls.dns, cls.sink.port
        cls.relay.write_conf()
        cls.relay.start()
        cls.account, cls.key, cls.password = cls.relay.sender()

    def setUp(self):
        with self.sink.lock:
            self.sink.rules.__init__()
            self.sink.messages.clear()

    def ctl(self, *args, **more):
        return self.relay.ctl(*args, **more)

    def refused(self, text, *args, status=1, input=None):
        r = self.relay.run_ctl(*args, input=input)
        self.assertEqual(r.returncode, status, r.stdout + r.stderr)
        self.assertIn(text, r.stderr)
        return r.stderr

    def show(self, name):
        return self.relay.json("config-set", "show", name)

    def audit(self, name):
        with open(os.path.join(self.relay.folder, "audit.jsonl")) as f:
            return [r for r in map(json.loads, f) if r["eventName"] == name]

    def answer(self, *fields, to="rcpt@sink.example", sender="bob@example.com"):
        w = self.relay.session(self.key, self.password)
        answer = w.message(sender, to, "".join(f + "\n" for f in fields) + BODY)
        w.cmd("QUIT")
        w.close()
        return answer

    def send(self, *fields, **more):
        answer = self.answer(*fields, **more)
        self.assertTrue(answer.startswith("250 Ok "), answer)
        return answer.split()[2]

    def held(self):
        return next(s["Recipients"] for s in self.relay.json("queue", "summary")["States"]
                    if s.get("HeldBy") == "config-set")


class Commands(World):
    def test_names(self):
        """configuration-sets#21"""
        for name in ("a b", "größe", "", "x" * 65):
            self.refused("1 to 64 of A-Z a-z 0-9 - _", "config-set", "create", name)
        error = self.refused("", "--json", "config-set", "create", "a b")
        self.assertEqual(json.loads(error)["Error"]["Code"], "BadRequestException")
        self.assertEqual(self.ctl("config-set", "create", "x" * 64), "")
        self.assertEqual(self.show("x" * 64)["ConfigurationSetName"], "x" * 64)
        error = self.refused("", "--json", "config-set", "create", "x" * 64)
        self.assertEqual(json.loads(error)["Error"]["Code"], "AlreadyExistsException")
        self.ctl("config-set", "delete", "x" * 64)
        error = self.refused("", "--json", "config-set", "show", "x" * 64)
        self.assertEqual(json.loads(error)["Error"]["Code"], "NotFoundException")

    def test_json(self):
        """configuration-sets#24: the form of section 1, in and out"""
        self.assertEqual(self.ctl("config-set", "create", "--json-file", "-", input=json.dumps(FULL)), "")
        shown = self.show("full")
        expected = json.loads(json.dumps(FULL))
        expected["DeliveryOptions"]["TlsPolicy"] = "REQUIRE"
        self.assertEqual({k: shown[k] for k in FULL}, expected)
        self.assertLess(shown["CreatedTimestamp"], shown["LastUpdatedTimestamp"] + "x")
        # what was shown makes the same again
        shown["ConfigurationSetName"] = "again"
        self.ctl("config-set", "create", "again", "--json-file", "-", input=json.dumps(shown))
        self.assertEqual({k: self.show("again")[k] for k in FULL if k != "ConfigurationSetName"},
                         {k: v for k, v in expected.items() if k != "ConfigurationSetName"})
        self.refused("ConfigurationSetName: is not other", "config-set", "create", "other", "--json-file", "-",
                     input=json.dumps(FULL))
        error = self.refused("DeliveryOptions.TlsPolcy: unknown member", "--json", "config-set", "create", "typo",
                             "--json-file", "-", input='{"DeliveryOptions":{"TlsPolcy":"REQUIRE"}}')
        self.assertEqual(json.loads(error)["Error"]["Code"], "BadRequestException")
        self.refused("line 1, column", "config-set", "create", "typo", "--json-file", "-", input="{")
        self.refused("no such configuration set: typo", "config-set", "show", "typo")
        # the groups that are given are replaced, and no others
        self.ctl("config-set", "set", "full", "--json-file", "-", input='{"DeliveryOptions":{"TlsPolicy":"optional"}}')
        self.assertEqual(self.show("full")["DeliveryOptions"], {"TlsPolicy": "OPTIONAL"})
        self.assertEqual(self.show("full")["TrackingOptions"], FULL["TrackingOptions"])

    def test_skeleton(self):
        skeleton = json.loads(self.ctl("config-set", "create", "--skeleton"))
        self.assertEqual(list(skeleton), list(FULL))
        self.assertEqual(list(skeleton["DeliveryOptions"]), list(FULL["DeliveryOptions"]))
        # unfilled it changes nothing but the name that is typed
        self.ctl("config-set", "create", "bare", "--json-file", "-", input=json.dumps(skeleton))
        self.ctl("config-set", "create", "plain")
        bare, plain = self.show("bare"), self.show("plain")
        for shown in (bare, plain):
            for member in ("ConfigurationSetName", "CreatedTimestamp", "LastUpdatedTimestamp"):
                shown.pop(member)
        self.assertEqual(bare, plain)
        self.assertEqual(plain, {"DeliveryOptions": {"TlsPolicy": "OPTIONAL"}, "ReputationOptions": {
            "ReputationMetricsEnabled": False, "LastFreshStart": None},
            "SendingOptions": {"SendingEnabled": True}, "Tags": []})

    def test_options(self):
        """set changes what is given; an empty value removes"""
        self.ctl("config-set", "create", "opts", "--tls", "require", "--pool", "ses-default-dedicated-pool",
                 "--max-delivery", "10m", "--reputation", "on", "--suppress", "complaint", "--redirect-domain",
                 "Click.Example.com", "--https-policy", "require", "--engagement", "disabled", "--tag", "a=b", "--tag", "c")
        shown = self.show("opts")
        self.assertEqual(shown["DeliveryOptions"], {"TlsPolicy": "REQUIRE", "MaxDeliverySeconds": 600,
                                                    "SendingPoolName": "ses-default-dedicated-pool"})
        self.assertTrue(shown["ReputationOptions"]["ReputationMetricsEnabled"])
        self.assertEqual(shown["SuppressionOptions"], {"SuppressedReasons": ["COMPLAINT"]})
        self.assertEqual(shown["TrackingOptions"], {"CustomRedirectDomain": "click.example.com", "HttpsPolicy": "REQUIRE"})
        self.assertEqual(shown["VdmOptions"], {"DashboardOptions": {"EngagementMetrics": "DISABLED"}})
        self.assertEqual(shown["Tags"], [{"Key": "a", "Value": "b"}, {"Key": "c", "Value": ""}])
        self.assertEqual(self.ctl("config-set", "set", "opts", "--pool="), "")
        self.assertEqual(self.show("opts")["DeliveryOptions"], {"TlsPolicy": "REQUIRE", "MaxDeliverySeconds": 600})
        self.ctl("config-set", "set", "opts", "--tls=", "--max-delivery=", "--reputation", "off", "--suppress", "account",
                 "--redirect-domain=", "--https-policy=", "--engagement=", "--tag=")
        shown = self.show("opts")
        self.assertEqual(shown["DeliveryOptions"], {"TlsPolicy": "OPTIONAL"})
        for member in ("TrackingOptions", "SuppressionOptions", "VdmOptions"):
            self.assertNotIn(member, shown)
        self.assertEqual(shown["Tags"], [])
        for word, reasons in (("none", []), ("bounce,complaint", ["BOUNCE", "COMPLAINT"]), ("", [])):
            self.ctl("config-set", "set", "opts", "--suppress=" + word)
            self.assertEqual(self.show("opts")["SuppressionOptions"], {"SuppressedReasons": reasons})
        error = self.refused("", "--json", "config-set", "set", "opts", "--pool", "transactional")
        self.assertEqual(json.loads(error)["Error"]["Code"], "NotFoundException")
        for option, text in (("--max-delivery=4m", "from 300 to 50400"), ("--max-delivery=15h", "from 300 to 50400"),
                             ("--tls=never", "tls"), ("--suppress=none,bounce", "suppress"), ("--suppress=spam", "suppress"),
                             ("--redirect-domain=click.other.example", "neither a verified domain"),
                             ("--https-policy=no", "https-policy"), ("--tag=aws:x=y", "aws:")):
            self.refused(text, "config-set", "set", "opts", option)
        self.refused("no duration", "config-set", "set", "opts", "--max-delivery", "soon", status=2)
        self.refused("nothing to set", "config-set", "set", "opts", status=2)

    def test_list(self):
        """names in ascending order, in pages; whose default it is"""
        for name in ("l-b", "l-a", "l-_"):
            self.ctl("config-set", "create", name)
        self.ctl("identity", "add", "l.example", "--verified", "--config-set", "l-a")
        answer = self.relay.json("config-set", "list")
        self.assertEqual(answer["ConfigurationSets"], sorted(answer["ConfigurationSets"]))
        self.assertLess({"l-_", "l-a", "l-b"}, set(answer["ConfigurationSets"]) | {""})
        found, token = [], ""
        while token is not None:
            page = self.relay.json("config-set", "list", "--limit", "2", *(["--next-token", token] if token else []))
            found += page["ConfigurationSets"]
            self.assertLessEqual(len(page["ConfigurationSets"]), 2)
            token = page.get("NextToken")
        self.assertEqual(found, answer["ConfigurationSets"])
        lines = self.ctl("config-set", "list").splitlines()
        self.assertEqual(lines[0].split(), ["name", "sending", "tls", "pool", "reputation", "suppression",
                                            "destinations", "default-of"])
        self.assertEqual(next(l.split() for l in lines if l.startswith("l-a ")),
                         ["l-a", "yes", "OPTIONAL", "-", "no", "account", "0", "l.example"])

    def test_default(self):
        """configuration-sets#7; identity set-config-set"""
        self.ctl("config-set", "create", "D")
        self.ctl("identity", "add", "d.example", "--verified")
        self.assertEqual(self.ctl("identity", "set-config-set", "d.example", "D"), "")
        self.assertEqual(self.relay.json("identity", "show", "d.example")["ConfigurationSetName"], "D")
        self.refused("no such configuration set: Nope", "identity", "set-config-set", "d.example", "Nope")
        self.refused("no such identity: e.example", "identity", "set-config-set", "e.example", "D")
        error = self.refused("d.example", "--json", "config-set", "delete", "D")
        self.assertEqual(json.loads(error)["Error"]["Code"], "ConflictException")
        self.ctl("config-set", "delete", "D", "--force")
        text = "554 Message rejected: Configuration set does not exist: D"
        w = self.relay.session(self.key, self.password)
        self.assertEqual(w.message("ann@d.example", "rcpt@sink.example",
                                   BODY.replace("bob@example.com", "ann@d.example")), text)
        w.close()
        self.ctl("identity", "set-config-set", "d.example")
        self.assertNotIn("ConfigurationSetName", self.relay.json("identity", "show", "d.example"))
        self.ctl("identity", "delete", "d.example", "--yes")
        self.refused("no such configuration set: D", "identity", "add", "d.example", "--verified", "--config-set", "D")
        self.refused("no such identity: d.example", "identity", "show", "d.example")

    def test_dry_run(self):
        """admin-cli#11"""
        self.ctl("config-set", "create", "dry")
        self.assertIn("delete configuration set dry", self.ctl("--dry-run", "config-set", "delete", "dry"))
        self.assertIn("pause configuration set dry", self.ctl("--dry-run", "config-set", "pause", "dry"))
        self.assertTrue(self.show("dry")["SendingOptions"]["SendingEnabled"])

    def test_audit(self):
        self.ctl("config-set", "create", "audited", "--tls", "require")
        self.ctl("config-set", "pause", "audited", "--reason", "bad list")
        self.refused("--reason is needed", "config-set", "resume", "audited", status=2)
        shown = self.show("audited")
        self.assertEqual(shown["PauseReason"], "manual")
        self.assertTrue(shown["PausedBy"])
        self.ctl("config-set", "resume", "audited", "--reason", "cleaned")
        self.ctl("config-set", "delete", "audited")
        made = [r for r in self.audit("CreateConfigurationSet")
                if r["requestParameters"].get("configurationSetName") == "audited"]
        self.assertEqual([r["requestParameters"]["tls"] for r in made], ["require"])
        switched = [r["requestParameters"]["reason"] for r in self.audit("PutConfigurationSetSendingOptions")
                    if r["requestParameters"]["configurationSetName"] == "audited" and "errorCode" not in r]
        self.assertEqual(switched, ["bad list", "cleaned"])
        self.assertEqual(len([r for r in self.audit("DeleteConfigurationSet")
                              if r["requestParameters"]["configurationSetName"] == "audited"]), 1)

    def test_credential(self):
        """credentials.md 9.2; credentials#20"""
        for name in ("prod", "test"):
            self.ctl("config-set", "create", name)
        self.refused("no such configuration set: Nope", "credential", "create", "shop", "--config-set", "Nope")
        self.refused("--force-config-set needs", "credential", "create", "shop", "--force-config-set", status=2)
        self.refused("NAME=VALUE", "credential", "create", "shop", "--tag", "no value")
        key, password = self.relay.credential("shop", "--config-set", "prod", "--force-config-set",
                                              "--tag", "app=shop", "--tag", "a=b")
        shown = self.relay.json("credential", "show", "shop")["Restrictions"]
        self.assertEqual(shown, {"ConfigurationSet": "prod", "ForceConfigurationSet": True,
                                 "Tags": {"app": "shop", "a": "b"}})
        w = self.relay.session(key, password)
        mid = w.message("bob@example.com", "rcpt@sink.example", "X-SES-CONFIGURATION-SET: test\n" + BODY).split()[2]
        w.close()
        tags = self.relay.events("--message-id", mid)[0]["mail"]["tags"]
        self.assertEqual((tags["ses:configuration-set"], tags["app"]), (["prod"], ["shop"]))
        self.assertEqual(self.relay.events("--message-id", mid, "--config-set", "test"), [])
        # as it was shown
        self.ctl("credential", "create", "--json-file", "-", input=json.dumps(
            {"UserName": "twin", "Restrictions": shown}))
        self.assertEqual(self.relay.json("credential", "show", "twin")["Restrictions"], shown)
        self.ctl("credential", "set", "shop", "--config-set=", "--tag=")
        self.assertEqual(self.relay.json("credential", "show", "shop")["Restrictions"], {})


class Mail(World):
    def test_unknown(self):
        """configuration-sets#2: refused, and free"""
        before = self.relay.json("quota", "show")["SentLast24Hours"]
        self.assertEqual(self.answer("X-SES-CONFIGURATION-SET: Nope"),
                         "554 Message rejected: Configuration set does not exist: Nope")
        self.assertEqual(self.relay.json("quota", "show")["SentLast24Hours"], before)
        self.assertEqual(self.relay.json("queue", "list")["Jobs"], [])
        self.assertEqual([e for e in self.relay.events() if "Nope" in json.dumps(e)], [])
        r = self.relay.run_ctl("--json", "send", "--from", "bob@example.com", "--to", "rcpt@sink.example",
                               "--config-set", "Nope", "--text", "-", input="hello\n")
        self.assertEqual(json.loads(r.stderr)["Error"]["Code"], "NotFoundException")

    def test_pause(self):
        """configuration-sets#14,15: what waits is held, also over the death of the relay; a resume releases it"""
        self.ctl("config-set", "create", "S")
        self.sink.rules.rcpt = "451 4.3.0 try later"
        mids = [self.send("X-SES-CONFIGURATION-SET: S", to=f"r{n}@sink.example") for n in range(5)]
        wait_for(lambda: all(j["State"] == "DEFERRED" for j in self.relay.json("queue", "list")["Jobs"]),
                 "the first attempts")
        self.sink.rules.rcpt = None
        self.ctl("config-set", "pause", "S", "--reason", "bad list")
        self.assertEqual(self.answer("X-SES-CONFIGURATION-SET: S"),
                         "554 Message rejected: Sending paused for this configuration set: S")
        r = self.relay.run_ctl("--json", "send", "--from", "bob@example.com", "--to", "rcpt@sink.example",
                               "--config-set", "S", "--text", "-", input="hello\n")
        self.assertEqual(json.loads(r.stderr)["Error"]["Code"], "SendingPausedException")
        self.assertEqual(self.held(), 5)
        self.assertRegex(self.ctl("queue", "summary"), r"(?m)^held: config-set paused +5 +5 ")
        self.assertEqual({j["State"] for j in self.relay.json("queue", "list", "--state", "held")["Jobs"]}, {"HELD"})
        # due now, and met by the scheduler: half of them before the death, half of them after
        self.ctl("queue", "retry", *mids[:3])
        wait_for(lambda: "error: held: " + mids[2] in self.relay.run_ctl("queue", "retry", mids[2]).stderr,
                 "the scheduler to meet them")
        self.relay.kill()
        self.relay.start()
        self.assertEqual(self.held(), 5)
        self.ctl("queue", "retry", *mids[3:])
        self.assertEqual(self.held(), 5)
        # the rest goes: the sink is open, and only the hold keeps these
        self.send()
        self.sink.wait(1)
        self.assertEqual(len(self.sink.messages), 1)
        self.assertIsNone(self.show("S")["ReputationOptions"]["LastFreshStart"])
        self.ctl("config-set", "resume", "S", "--reason", "list cleaned")
        self.sink.wait(6)
        shown = self.show("S")
        self.assertEqual(shown["ReputationOptions"]["LastFreshStart"], shown["LastUpdatedTimestamp"])
        self.assertTrue(shown["SendingOptions"]["SendingEnabled"])
        wait_for(lambda: not self.relay.json("queue", "list")["Jobs"], "the queue to be empty")

    def test_resume_dies(self):
        """The relay dies between the resume and its releases: the next one goes on with them."""
        self.ctl("config-set", "create", "R")
        self.sink.rules.rcpt = "451 4.3.0 try later"
        mids = [self.send("X-SES-CONFIGURATION-SET: R", to=f"d{n}@sink.example") for n in range(5)]
        wait_for(lambda: all(j["State"] == "DEFERRED" for j in self.relay.json("queue", "list")["Jobs"]),
                 "the first attempts")
        self.sink.rules.rcpt = None
        self.ctl("config-set", "pause", "R")
        self.ctl("queue", "retry", *mids)
        wait_for(lambda: "error: held: " + mids[4] in self.relay.run_ctl("queue", "retry", mids[4]).stderr,
                 "the scheduler to meet them")
        order = os.path.join(self.relay.folder, "order")
        with open(order, "w") as f:
            f.write("defer.recipient 3\n")
        self.relay.stop()
        self.relay.env["POSTHORN_FAILPOINT"] = order
        self.addCleanup(self.relay.env.pop, "POSTHORN_FAILPOINT", None)
        self.relay.start()
        self.relay.run_ctl("config-set", "resume", "R", "--reason", "list cleaned")
        wait_for(lambda: "failpoint defer.recipient" in self.relay.stderr(), "the relay to die")
        self.sink.wait(5)
        wait_for(lambda: self.relay.run_ctl("queue", "list").returncode == 0, "the next relay")
        wait_for(lambda: not self.relay.json("queue", "list")["Jobs"], "the queue to be empty")


if __name__ == "__main__":
    unittest.main()
