# SPDX-License-Identifier: ISC
"""posthornctl credential: made, imported, rotated, expired, restricted (admin-cli.md 5, credentials.md)."""
import base64
import json
import os
import unittest

from harness.control_world import PASSWORD, Running, SECRET, VECTORS
from harness.waiting import wait_for


class Credentials(Running):
    def test_1_create(self):
        """admin-cli#1, credentials#4: shown once"""
        self.ctl("account", "create", "shop", "--production")
        made = self.json("credential", "create", "app1")
        self.assertEqual(list(made), ["UserName", "AccessKeyId", "SmtpPassword", "Region"])
        self.assertRegex(made["AccessKeyId"], r"^AKIA[A-Z2-7]{16}$")
        self.assertRegex(made["SmtpPassword"], r"^B[A-P][A-Za-z0-9+/]{42}$")
        raw = base64.b64decode(made["SmtpPassword"])
        self.assertEqual((len(raw), raw[0]), (33, 4))
        for form in ([], ["--json"]):
            self.assertNotIn(made["SmtpPassword"], self.ctl(*form, "credential", "show", "app1"))
        w = self.relay.wire("submission")
        w.reply()
        w.hello()
        w.starttls()
        w.hello()
        self.assertEqual(w.auth(made["AccessKeyId"], made["SmtpPassword"]), "235 Authentication successful")
        w.close()
        shown = wait_for(lambda: (s := self.json("credential", "show", "app1"))["Keys"][0]["LastUsed"] and s,
                         "the last use")
        self.assertEqual(shown["Keys"][0]["LastUsed"]["Listener"], "submission")
        self.assertEqual(shown["Keys"][0]["LastUsed"]["Ip"], "127.0.0.1")
        self.assertEqual(shown["Arn"], f"arn:aws:iam::{shown['Account']}:user/app1")
        self.assertNotIn(made["SmtpPassword"], self.relay.log_text())
        with open(f"{self.relay.folder}/audit.jsonl") as f:
            self.assertNotIn(made["SmtpPassword"], f.read())

    def test_2_forms(self):
        text = self.ctl("credential", "create", "app2").splitlines()
        self.assertEqual([l.split("  ")[0] for l in text[:4]], ["user", "access key id", "smtp password", "region"])
        self.assertEqual(text[4], "This password is not shown again.")
        for line in (("status",), ("credential", "show", "app2"), ("config", "show"), ("event", "tail")):
            r = self.run_ctl("--csv", *line)
            self.assertEqual((r.returncode, r.stdout, r.stderr),
                             (2, "", f"error: --csv: {' '.join(line[:2])} prints no table\n"))
        r = self.run_ctl("--csv", "reputation", "show")
        self.assertEqual((r.returncode, r.stderr), (2, "error: --csv: reputation show prints no table without --by\n"))
        self.assertTrue(self.ctl("--csv", "reputation", "show", "--by", "credential").startswith("name,bounce-rate,"))
        self.assertRegex(self.ctl("--csv", "store", "stat"), r"\Astore,used,map,free-pages,disk-free\nstate,")
        csv = self.ctl("--csv", "credential", "create", "app3").splitlines()
        self.assertEqual(csv[0], "User name,SMTP user name,SMTP password")
        self.assertRegex(csv[1], r"^app3,AKIA\w{16},B\S{43}$")
        self.assertRegex(self.json("credential", "create")["UserName"], r"^ses-smtp-user\.\d{8}-\d{6}$")
        heading = self.ctl("credential", "list").splitlines()[0].split()
        self.assertEqual(heading, ["user", "access-key-id", "status", "created", "expires", "last-used", "last-ip"])
        r = self.run_ctl("--json", "credential", "create", "APP2")
        self.assertEqual((r.returncode, json.loads(r.stderr)["Error"]["Code"]), (1, "AlreadyExistsException"))
        page = self.json("credential", "list", "--limit", "2")
        self.assertEqual([c["UserName"] for c in page["Credentials"]], ["app1", "app2"])
        rest = self.json("credential", "list", "--next-token", page["NextToken"])
        self.assertEqual(len(rest["Credentials"]), 2)
        self.assertNotIn("NextToken", rest)

    def test_3_import(self):
        """credentials#5,6: a login made elsewhere"""
        key = "AKIAIOSFODNN7EXAMPLE"
        self.refused("not an SMTP password of derivation version 4; this looks like a secret access key; use "
                     "--secret-stdin", "credential", "import", "old", "--access-key-id", key,
                     "--smtp-password-stdin", input=SECRET + "\n")
        self.ctl("credential", "import", "old", "--access-key-id", key, "--smtp-password-stdin",
                 input=PASSWORD + "\n")
        self.relay.session(key, PASSWORD).close()
        self.ctl("credential", "delete", "old")
        self.ctl("credential", "import", "old", "--access-key-id", key, "--secret-stdin", input=SECRET + "\n")
        for password, reason in ((SECRET, "bad-format"), (VECTORS["us-west-2"], "bad-password")):
            offset = os.path.getsize(self.relay.log)
            w = self.relay.wire("clear")
            w.reply()
            w.hello()
            self.assertEqual(w.auth(key, password), "535 Authentication Credentials Invalid")
            w.close()
            self.relay.wait_log(rf"auth-failure .*reason={reason}\b", offset=offset)
        self.relay.session(key, PASSWORD).close()
        lines = self.audit("CredentialImport")
        self.assertEqual({l["requestParameters"].get("smtpPassword", "***") for l in lines}, {"***"})
        self.assertEqual({l["requestParameters"].get("secretAccessKey", "***") for l in lines}, {"***"})
        self.assertEqual(self.run_ctl("credential", "import", "o2", "--access-key-id", key, "--secret-stdin",
                                      input=SECRET + "\n").returncode, 1)

    def login(self, key, password):
        w = self.relay.wire("clear")
        w.reply()
        w.hello()
        answer = w.auth(key, password)
        w.close()
        return answer

    def test_4_rotation(self):
        """credentials#11"""
        first = self.json("credential", "create", "turn")
        second = self.json("credential", "rotate", "turn", "--keep", "24h")
        for k in (first, second):
            self.assertEqual(self.login(k["AccessKeyId"], k["SmtpPassword"]), "235 Authentication successful")
        self.refused("LimitExceededException: a credential can have at most 2 access keys", "credential", "rotate",
                     "turn")
        self.ctl("credential", "disable", first["AccessKeyId"])
        self.assertEqual(self.login(first["AccessKeyId"], first["SmtpPassword"]),
                         "535 Authentication Credentials Invalid")
        self.assertEqual(self.login(second["AccessKeyId"], second["SmtpPassword"]), "235 Authentication successful")
        third = self.json("credential", "rotate", "turn")
        keys = [k["AccessKeyId"] for k in self.json("credential", "show", "turn")["Keys"]]
        self.assertEqual(keys, [second["AccessKeyId"], third["AccessKeyId"]])

    def test_5_expiry(self):
        """credentials#14"""
        made = self.json("credential", "create", "brief")
        self.assertEqual(self.login(made["AccessKeyId"], made["SmtpPassword"]), "235 Authentication successful")
        self.ctl("credential", "set", made["AccessKeyId"], "--expires", "+1s")
        wait_for(lambda: self.json("credential", "show", "brief")["Keys"][0]["Status"] == "EXPIRED", "the end")
        self.assertEqual(self.login(made["AccessKeyId"], made["SmtpPassword"]),
                         "535 Authentication Credentials Invalid")
        self.ctl("credential", "set", made["AccessKeyId"], "--expires", "never")
        self.assertEqual(self.login(made["AccessKeyId"], made["SmtpPassword"]), "235 Authentication successful")

    def test_6_restrictions(self):
        self.ctl("credential", "create", "tight", "--allow-cidr", "192.0.2.0/24", "--allow-cidr", "::1",
                 "--listener", "submission", "--min-tls", "1.3", "--from", "*@shop.example.com", "--max-recipients",
                 "5", "--max-size", "1m", "--max-24h", "100", "--max-sessions", "3", "--role", "read-only",
                 "--description", "nightly")
        shown = self.json("credential", "show", "tight")
        self.assertEqual(shown["Role"], "read-only")
        self.assertEqual(shown["Restrictions"], {
            "SourceCidrs": ["192.0.2.0/24", "::1"], "Listeners": ["submission"], "MinTls": "1.3",
            "FromAddresses": ["*@shop.example.com"], "MaxRecipients": 5, "MaxMessageSize": 1048576,
            "Max24HourSend": 100.0, "MaxSessions": 3})
        self.ctl("credential", "set", "tight", "--max-24h", "unlimited", "--allow-cidr=")
        shown = self.json("credential", "show", "tight")["Restrictions"]
        self.assertNotIn("Max24HourSend", shown)
        self.assertNotIn("SourceCidrs", shown)
        for args, text in ((["--allow-cidr", "x"], "not an address range: x"),
                           (["--listener", "nope"], "no such listener: nope"),
                           (["--role", "king"], "no such role: king"),
                           (["--max-recipients", "51"], "max-recipients: not a number from 0 to 50")):
            self.refused(text, "credential", "set", "tight", *args)

    def test_7_policy(self):
        path = os.path.join(self.relay.folder, "policy.json")
        document = '{"Version":"2012-10-17",\n "Statement":[{"Effect":"Allow","Action":"ses:SendRawEmail",' \
                   '"Resource":"*"}]}\n'
        with open(path, "w") as f:
            f.write(document)
        self.ctl("credential", "create", "ruled", "--policy", path, "--policy", f"second={path}")
        shown = self.json("credential", "show", "ruled")["Policies"]
        self.assertEqual([(p["PolicyName"], p["PolicyDocument"]) for p in shown],
                         [("inline", document), ("second", document)])
        with open(path, "w") as f:
            f.write("{")
        self.refused("MalformedPolicyDocument", "credential", "set", "ruled", "--policy", path)
        open(path, "w").close()
        self.ctl("credential", "set", "ruled", "--policy", path)
        self.assertEqual([p["PolicyName"] for p in self.json("credential", "show", "ruled")["Policies"]],
                         ["second"])


if __name__ == "__main__":
    unittest.main()
