# SPDX-License-Identifier: ISC
"""posthornctl identity and dkim (admin-cli.md 6, dkim.md)."""
import json
import os
import re
import subprocess
import unittest

from harness.control_world import Running


class Identities(Running):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.account = cls.relay.account()
        cls.keys = {}
        for name, args in (("rsa2048", ["-pkeyopt", "rsa_keygen_bits:2048"]),
                           ("rsa512", ["-pkeyopt", "rsa_keygen_bits:512"])):
            path = cls.keys[name] = os.path.join(cls.relay.folder, name + ".pem")
            subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", *args, "-out", path], check=True,
                           capture_output=True)
        cls.keys["pkcs1"] = os.path.join(cls.relay.folder, "pkcs1.pem")
        subprocess.run(["openssl", "rsa", "-in", cls.keys["rsa2048"], "-traditional", "-out", cls.keys["pkcs1"]],
                       check=True, capture_output=True)
        cls.keys["bare"] = os.path.join(cls.relay.folder, "bare")
        with open(cls.keys["rsa2048"]) as f, open(cls.keys["bare"], "w") as out:
            out.write("".join(l.strip() for l in f if not l.startswith("-")))
        cls.keys["sealed"] = os.path.join(cls.relay.folder, "sealed.pem")
        subprocess.run(["openssl", "pkey", "-in", cls.keys["rsa2048"], "-aes128", "-passout", "pass:x", "-out",
                        cls.keys["sealed"]], check=True, capture_output=True)

    def test_not_there(self):
        """admin-cli#4"""
        self.refused("no such identity: nope.example", "identity", "show", "nope.example")
        r = self.run_ctl("--json", "identity", "show", "nope.example")
        self.assertEqual(r.stdout, "")
        self.assertEqual(json.loads(r.stderr)["Error"]["Code"], "NotFoundException")

    def test_override(self):
        """identities-and-policies#16"""
        self.ctl("identity", "add", "intern.corp", "--verified", "--dkim", "none")
        shown = self.json("identity", "show", "intern.corp")
        self.assertEqual((shown["VerificationStatus"], shown["Method"]), ("SUCCESS", "OVERRIDE"))
        self.assertTrue(shown["VerifiedForSendingStatus"])
        line = [l for l in self.audit("CreateEmailIdentity")
                if l["requestParameters"]["emailIdentity"] == "intern.corp"][-1]
        self.assertTrue(line["requestParameters"]["verified"])
        self.assertEqual((line["userIdentity"]["type"], line["userIdentity"]["principalId"]),
                         ("Operator", f"uid:{os.geteuid()}"))
        self.assertEqual(line["recipientAccountId"], self.account)
        self.assertEqual((line["eventType"], line["awsRegion"]), ("PosthornctlCall", "us-east-1"))
        self.assertEqual(self.ctl("identity", "show", "a@intern.corp"),
                         "not verified itself; may send as part of intern.corp\n")
        self.refused("intern.corp exists already", "identity", "add", "INTERN.corp")

    def test_managed(self):
        rows = self.json("identity", "add", "two.example")["Records"]
        self.assertEqual([(r["Type"], r["Role"], r["Status"]) for r in rows],
                         [("TXT", "ACTIVE", "publish"), ("TXT", "STANDBY", "publish")])
        for r in rows:
            self.assertRegex(r["Name"], r"^[a-z2-7]{32}\._domainkey\.two\.example$")
            self.assertTrue(r["Value"].startswith("v=DKIM1; k=rsa; p=MIIBIjAN"))
        self.assertEqual(self.json("identity", "dns-records", "two.example")["Records"][0]["Value"],
                         rows[0]["Value"])
        csv = self.ctl("identity", "dns-records", "two.example", "--format", "csv").splitlines()
        self.assertEqual(csv[0], "Type,Name,Value")
        self.assertEqual(csv[1], f'TXT,{rows[0]["Name"]},"{rows[0]["Value"]}"')
        zone = self.ctl("identity", "dns-records", "two.example", "--format", "zone").splitlines()[0]
        name, ttl, kind, rest = re.match(r"(\S+) (\d+) IN (\S+) (.*)$", zone).groups()
        self.assertEqual((name, ttl, kind), (rows[0]["Name"] + ".", "1800", "TXT"))
        strings = re.findall(r'"([^"]*)"', rest)
        self.assertEqual("".join(strings), rows[0]["Value"])
        self.assertTrue(all(len(s) <= 255 for s in strings))
        nsupdate = self.ctl("identity", "dns-records", "two.example", "--format", "nsupdate").splitlines()
        self.assertTrue(nsupdate[0].startswith(f'update add {rows[0]["Name"]}. 1800 TXT '), nsupdate[0])
        r = self.run_ctl("identity", "add", "www.two.example", "--dkim", "none")
        self.assertEqual(r.returncode, 0)
        self.assertIn("warning: www.two.example: mail is usually sent from two.example", r.stderr)
        self.assertIn("_posthorn.www.two.example", r.stdout)

    def test_toggle_refused(self):
        """dkim#7"""
        self.refused("DKIM signing cannot be changed for someone@gmail.com: gmail.com is not an identity of this "
                     "account", "dkim", "disable", "someone@gmail.com")

    def test_rotation_refused(self):
        """dkim#14"""
        self.ctl("identity", "add", "turn.example")
        before = self.json("dkim", "show", "turn.example")["Keys"]
        standby = [k["Selector"] for k in before if k["Role"] == "STANDBY"][0]
        self.refused(f"standby selector {standby} is not visible in DNS; publish it first or use --force", "dkim",
                     "rotate", "turn.example")
        active = [k["Selector"] for k in before if k["Role"] == "ACTIVE"]
        self.assertEqual([k["Selector"] for k in self.json("dkim", "show", "turn.example")["Keys"]
                          if k["Role"] == "ACTIVE"], active)
        rows = self.json("dkim", "rotate", "turn.example", "--force")["Records"]
        self.assertEqual([(r["Role"], r["Name"].split(".")[0]) for r in rows][0], ("ACTIVE", standby))
        self.assertIn(("STANDBY", "publish"), [(r["Role"], r["Status"]) for r in rows])

    def test_length(self):
        """dkim#15"""
        self.ctl("identity", "add", "long.example", "--bits", "2048")
        self.refused("the input you provided is invalid: the DKIM signing key length is already RSA_2048_BIT",
                     "dkim", "managed", "long.example", "--bits", "2048")
        self.ctl("dkim", "managed", "long.example", "--bits", "1024")
        shown = self.json("dkim", "show", "long.example")
        self.assertEqual((shown["CurrentSigningKeyLength"], shown["NextSigningKeyLength"]),
                         ("RSA_2048_BIT", "RSA_1024_BIT"))
        self.refused("the input you provided is invalid: the DKIM signing key length can be changed only once in 24 "
                     "hours", "dkim", "managed", "long.example", "--bits", "2048")

    def test_own_key(self):
        """dkim#16, admin-cli#18"""
        values = set()
        for i, form in enumerate(("rsa2048", "pkcs1", "bare")):
            made = self.json("identity", "add", f"own{i}.example", "--selector", "mail-2024", "--key-file",
                             self.keys[form])
            self.assertEqual(made["DkimAttributes"]["SigningAttributesOrigin"], "EXTERNAL")
            self.assertEqual(made["Records"][0]["Name"], f"mail-2024._domainkey.own{i}.example")
            values.add(made["Records"][0]["Value"])
        with open(self.keys["rsa2048"]) as f:
            made = self.json("identity", "add", "pipe.example", "--selector", "mail-2024", "--key-file", "-",
                             input=f.read())
        values.add(made["Records"][0]["Value"])
        self.assertEqual(len(values), 1)
        self.ctl("identity", "add", "set.example")
        for form in ("rsa512", "sealed"):
            self.refused("private key must be PKCS#1 or PKCS#8, RSA, 1024 to 2048 bits", "dkim", "set-key",
                         "set.example", "--selector", "s1", "--key-file", self.keys[form])
        self.refused("selector must be 1 to 63 letters, digits or inner hyphens", "dkim", "set-key", "set.example",
                     "--selector", "a.b", "--key-file", self.keys["pkcs1"])
        self.ctl("dkim", "set-key", "set.example", "--selector", "Mail-2024", "--key-file", self.keys["pkcs1"])
        lines = self.audit("PutEmailIdentityDkimSigningAttributes")
        self.assertEqual({l["requestParameters"].get("domainSigningPrivateKey", "***") for l in lines}, {"***"})
        self.assertEqual(lines[-1]["requestParameters"]["selector"], "Mail-2024")
        self.assertEqual(lines[-1]["requestParameters"]["domainSigningPrivateKey"], "***")
        with open(self.keys["bare"]) as f, open(f"{self.relay.folder}/audit.jsonl") as log:
            self.assertNotIn(f.read()[:60], log.read())
        pem = self.ctl("dkim", "export", "own0.example", "--private")
        again = subprocess.run(["openssl", "rsa", "-pubout"], input=pem, capture_output=True, text=True)
        public = "".join(l for l in again.stdout.splitlines() if not l.startswith("-"))
        self.assertEqual({f"v=DKIM1; k=rsa; p={public}"}, values)
        self.assertEqual(len(self.audit("DkimExport")), 1)
        self.assertEqual(self.run_ctl("dkim", "export", "own0.example").returncode, 2)
        # any other key of the domain, by its selector
        self.assertEqual(self.ctl("dkim", "export", "own0.example", "--private", "--selector", "mail-2024"), pem)
        self.ctl("identity", "add", "pair.example")
        keys = {self.ctl("dkim", "export", "pair.example", "--private", "--selector", k["Selector"])
                for k in self.json("dkim", "show", "pair.example")["Keys"]}
        self.assertEqual(len(keys), 2)
        self.assertIn(self.ctl("dkim", "export", "pair.example", "--private"), keys)
        self.refused("pair.example has no DKIM key of selector mail-2024", "dkim", "export", "pair.example", "--private",
                     "--selector", "mail-2024")

    def test_delete(self):
        self.ctl("identity", "add", "gone.example", "--dkim", "none")
        self.ctl("identity", "add", "gone2.example", "--dkim", "none")
        self.refused("this cannot be undone; give --yes", "identity", "delete", "gone.example", status=2)
        r = self.run_ctl("identity", "delete", "gone.example", "never.example", "--yes")
        self.assertEqual(r.returncode, 4, r.stderr)
        self.assertEqual(r.stderr, "error: no such identity: never.example\n")
        self.refused("no such identity: gone.example", "identity", "delete", "gone.example", "--yes")
        self.ctl("identity", "delete", "gone2.example", "--yes")

    def test_list(self):
        self.ctl("identity", "add", "list.example", "--verified", "--dkim", "none")
        table = self.ctl("identity", "list", "--type", "domain", "--status", "SUCCESS").splitlines()
        self.assertEqual(table[0].split(), ["identity", "type", "status", "dkim", "mail-from", "config-set"])
        self.assertEqual([l.split()[:3] for l in table if l.startswith("list.example")],
                         [["list.example", "DOMAIN", "SUCCESS"]])
        rows = self.json("identity", "list")["EmailIdentities"]
        self.assertEqual([r["IdentityName"] for r in rows], sorted(r["IdentityName"] for r in rows))
        self.assertEqual(list(rows[0])[:4], ["IdentityType", "IdentityName", "SendingEnabled", "VerificationStatus"])


if __name__ == "__main__":
    unittest.main()
