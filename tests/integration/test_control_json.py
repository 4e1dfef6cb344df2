# SPDX-License-Identifier: ISC
"""Arguments as JSON (admin-cli.md 1): --json-file, --skeleton, --http-json."""
import json
import subprocess
import time
import unittest

from harness.relay import Relay

COMMANDS = ["account create", "account set", "credential create", "credential import", "credential set",
            "identity add", "dkim set-key", "quota set", "ip add"]


class Json(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.relay = Relay().start()
        cls.addClassCleanup(cls.relay.cleanup)
        cls.account = cls.relay.ctl("account", "create", "--json-file", "-", input=json.dumps(
            {"AccountName": "from json", "AccountId": "111122223333", "ProductionAccessEnabled": True,
             "Max24HourSend": -1, "MaxSendRate": 2.5})).strip()

    def put(self, members, *command):
        return self.relay.run_ctl(*command, "--json-file", "-", input=json.dumps(members))

    def done(self, members, *command):
        r = self.put(members, *command)
        self.assertEqual(r.returncode, 0, r.stderr)
        return r.stdout

    def test_account(self):
        self.assertEqual(self.account, "111122223333")
        shown = self.relay.json("account", "show")
        self.assertEqual((shown["AccountName"], shown["ProductionAccessEnabled"], shown["SendQuota"]["Max24HourSend"],
                          shown["SendQuota"]["MaxSendRate"]), ("from json", True, -1.0, 2.5))
        self.done({"MailType": "MARKETING", "WebsiteURL": "https://example.com", "ContactLanguage": "JA",
                   "UseCaseDescription": None, "AdditionalContactEmailAddresses": ["ops@example.com"],
                   "SuppressedReasons": ["BOUNCE"], "Overrides": {"Date": "preserve"}}, "account", "set")
        shown = self.relay.json("account", "show")
        self.assertEqual(shown["SuppressionAttributes"]["SuppressedReasons"], ["BOUNCE"])
        self.assertEqual(shown["Overrides"]["Date"], "preserve")
        self.assertIn("ops@example.com", json.dumps(shown))
        self.done({"ProductionAccessEnabled": False}, "account", "set")
        self.assertFalse(self.relay.json("account", "show")["ProductionAccessEnabled"])
        self.done({"ProductionAccessEnabled": True, "SuppressedReasons": []}, "account", "set")
        shown = self.relay.json("account", "show")
        self.assertEqual((shown["ProductionAccessEnabled"], shown["SuppressionAttributes"]["SuppressedReasons"]), (True, []))

    def test_credential(self):
        made = json.loads(self.done({"UserName": "app1", "Role": "smtp", "Restrictions": {
            "SourceCidrs": ["192.0.2.0/24"], "MaxRecipients": 7, "Max24HourSend": 100, "MaxMessageSize": "1m",
            "ExpiresAt": "2090-01-02T03:04:05Z"}}, "--json", "credential", "create"))
        self.assertEqual(made["UserName"], "app1")
        shown = self.relay.json("credential", "show", "app1")
        self.assertEqual(shown["Restrictions"], {"SourceCidrs": ["192.0.2.0/24"], "MaxRecipients": 7,
                                                 "MaxMessageSize": 1048576, "Max24HourSend": 100.0,
                                                 "ExpiresAt": "2090-01-02T03:04:05.000Z"})
        self.done({"Restrictions": {"MaxRecipients": 9}}, "credential", "set", "app1")
        self.assertEqual(self.relay.json("credential", "show", "app1")["Restrictions"]["MaxRecipients"], 9)

    def test_identity_and_the_rest(self):
        """An own key comes as text, like the member of CreateEmailIdentity."""
        key = subprocess.run(["openssl", "genrsa", "-traditional", "2048"], capture_output=True, text=True).stdout
        self.done({"EmailIdentity": "own.example", "DkimSigningAttributes": {
            "DomainSigningSelector": "mine", "DomainSigningPrivateKey": key}}, "identity", "add")
        self.assertIn("mine", json.dumps(self.relay.json("dkim", "show", "own.example")))
        self.done({"EmailIdentity": "managed.example", "DkimSigningAttributes": {
            "NextSigningKeyLength": "RSA_1024_BIT"}, "Verified": True}, "identity", "add")
        self.assertIn("RSA_1024_BIT", json.dumps(self.relay.json("identity", "show", "managed.example")))
        self.done({"Max24HourSend": 500, "MaxSendRate": 5, "Burst": 20}, "quota", "set")
        self.assertEqual(self.relay.json("quota", "show")["Max24HourSend"], 500.0)
        self.done({"Ip": "127.0.0.7", "EhloName": "out.relay.example", "Kind": "shared"}, "ip", "add")
        self.assertEqual(self.relay.json("ip", "show", "127.0.0.7")["EhloName"], "out.relay.example")

    def test_refused(self):
        """Nothing is done when one member is wrong."""
        for members, text in (
                ({"UserName": "x", "Colour": "red"}, "unknown member Colour"),
                ({"UserName": "x", "Restrictions": {"Colour": "red"}}, "unknown member Restrictions.Colour"),
                ({"UserName": "x", "Restrictions": ["a"]}, "unknown member Restrictions"),
                ({"UserName": ["x"]}, "UserName: is neither text nor number"),
                ({"UserName": "x", "Restrictions": {"SourceCidrs": "a"}},
                 "Restrictions.SourceCidrs: is not a list of texts"),
                ({"UserName": "x", "Restrictions": {"MaxRecipients": "many"}}, "many is no number")):
            r = self.put(members, "credential", "create")
            self.assertEqual((r.returncode, text in r.stderr), (2, True), r.stderr)
        r = self.put({"Verified": 1, "EmailIdentity": "x.example"}, "identity", "add")
        self.assertEqual((r.returncode, "Verified: is not true or false" in r.stderr), (2, True), r.stderr)
        r = self.put({"UserName": "x", "Role": "smtp"}, "credential", "create", "--role", "full")
        self.assertEqual((r.returncode, "Role: is given twice" in r.stderr), (2, True), r.stderr)
        for text, why in (("[]", "not an object"), ("{", "-: "), ('{"Role":"a","Role":"b"}', "-: ")):
            r = self.relay.run_ctl("credential", "create", "--json-file", "-", input=text)
            self.assertEqual((r.returncode, why in r.stderr), (2, True), r.stderr)
        r = self.relay.run_ctl("credential", "list", "--json-file", "-", input="{}")
        self.assertEqual((r.returncode, "unknown option --json-file" in r.stderr), (2, True), r.stderr)
        self.assertNotIn("x", [c.get("UserName") for c in self.relay.json("credential", "list")["Credentials"]])

    def test_skeleton(self):
        """What it prints can be handed back: what is null is not given."""
        for command in COMMANDS:
            r = subprocess.run([*self.relay.run_ctl("version").args[:1], *command.split(), "--skeleton"],
                               capture_output=True, text=True)
            self.assertEqual(r.returncode, 0, r.stderr)
            self.assertTrue(json.loads(r.stdout), command)
        empty = json.loads(self.relay.ctl("credential", "create", "--skeleton"))
        empty["UserName"] = "skeleton"
        self.done(empty, "credential", "create")
        self.assertEqual(self.relay.json("credential", "show", "skeleton")["UserName"], "skeleton")

    def test_offline(self):
        """One JSON document from the commands without the daemon, too."""
        shown = self.relay.json("-c", self.relay.conf, "config", "show", "spool")["Settings"]
        self.assertEqual([(s["Name"], s["Value"]) for s in shown], [("spool.min_free", "16m"), ("spool.redo_log", "auto")])
        self.assertRegex(shown[0]["Source"], r"posthorn.conf:\d+$")
        self.assertEqual(self.relay.json("config", "check", self.relay.conf)["Valid"], True)
        with open(f"{self.relay.folder}/bad.conf", "w") as f:
            f.write("delivery.port x\ncolour red\n")
        r = self.relay.run_ctl("--json", "config", "check", f"{self.relay.folder}/bad.conf")
        found = json.loads(r.stdout)
        self.assertEqual((r.returncode, found["Valid"], len(found["Errors"])), (1, False, 2))
        self.assertEqual(self.relay.json("credential", "derive", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1"),
                         {"SmtpPassword": "BLBM/9hSUELfq8Gw+rU1YcBjkOxGbhT2XG763xVLGWL9", "Region": "us-east-1"})

    def test_http_json(self):
        """Times are numbers, as over HTTP."""
        self.done({"UserName": "timed", "Restrictions": {"ExpiresAt": 3786912245}}, "credential", "create")
        shown = json.loads(self.relay.ctl("credential", "show", "timed", "--http-json"))
        self.assertEqual(shown["Restrictions"]["ExpiresAt"], 3786912245)
        self.assertLess(abs(shown["Created"] - time.time()), 60)
        self.assertIsInstance(shown["UserName"], str)
        rows = json.loads(self.relay.ctl("credential", "list", "--http-json"))["Credentials"]
        self.assertTrue(all(isinstance(r["Created"], (int, float)) for r in rows if "Created" in r), rows)


if __name__ == "__main__":
    unittest.main()
