# SPDX-License-Identifier: ISC
"""Policies of identities: the commands (admin-cli.md 6), whose rules are in tests/replay/policy-*.play and the unit tests."""
import json
import os
import unittest

from harness.relay import Relay

ARN = "arn:aws:ses:us-east-1:%s:identity/%s"
OTHER = "888888888888"


class Policies(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.relay = Relay()
        cls.addClassCleanup(cls.relay.cleanup)
        cls.relay.start()
        cls.account, cls.key, cls.password = cls.relay.sender()

    def document(self, name, identity="example.com", **more):
        """A file with unusual blanks, which have to come back."""
        statement = {"Sid": "One", "Effect": "Allow", "Principal": {"AWS": [OTHER]}, "Action": ["ses:SendRawEmail"],
                     "Resource": ARN % (self.account, identity), **more}
        text = '{ "Version":"2012-10-17",\n\t"Statement" :%s}\r\n\n' % json.dumps([statement], indent=3)
        path = os.path.join(self.relay.folder, name)
        with open(path, "w", newline="") as f:
            f.write(text)
        return path, text

    def run_ctl(self, *args, status=0, input=None):
        r = self.relay.run_ctl("policy", *args, input=input)
        self.assertEqual(r.returncode, status, r.stdout + r.stderr)
        return r

    def test_life_of_a_policy(self):
        path, text = self.document("p.json")
        self.assertEqual(self.run_ctl("put", "example.com", "marketer", path).stdout, "")
        _, second = self.document("q.json", Principal="*")
        r = self.run_ctl("put", "example.com", "everybody", "-", input=second)
        self.assertEqual(r.stderr, "warning: statement 1: everybody may do this, without any condition\n")
        self.assertEqual(self.run_ctl("list", "example.com").stdout, "everybody\nmarketer\n")
        # byte for byte
        r = self.relay.json("policy", "show", "example.com", "marketer")
        self.assertEqual(r, {"Policies": {"marketer": text}})
        shown = self.run_ctl("show", "example.com").stdout.replace("\r\n", "\n")
        self.assertEqual(shown, "everybody\n%s\nmarketer\n%s\n" % (second.replace("\r\n", "\n"), text.replace("\r\n", "\n")))
        self.assertEqual(self.relay.json("identity", "show", "example.com")["Policies"],
                         {"everybody": second, "marketer": text})
        r = self.run_ctl("test", "example.com", "--user", "arn:aws:iam::%s:user/app" % OTHER, "--from", "a@example.com",
                         "--rcpt", "b@sink.example", "--ip", "192.0.2.1", "--time", "2024-05-01T12:00:00Z")
        self.assertEqual(r.stdout, "ALLOW statement One of policy everybody\n")
        self.run_ctl("delete", "example.com", "everybody")
        self.run_ctl("delete", "example.com", "marketer")
        r = self.run_ctl("test", "example.com", "--user", OTHER, "--from", "a@example.com", status=1)
        self.assertEqual(r.stdout, "DENY no statement allows it\n")
        r = self.run_ctl("delete", "example.com", "marketer", status=1)
        self.assertEqual(r.stderr, "error: no such policy of example.com: marketer\n")
        with open(os.path.join(self.relay.folder, "audit.jsonl")) as f:
            names = [json.loads(line)["eventName"] for line in f]
        # the last one was refused
        self.assertEqual([n for n in names if n.endswith("IdentityPolicy")][-5:],
                         ["PutIdentityPolicy"] * 2 + ["DeleteIdentityPolicy"] * 3)

    def test_template(self):
        """admin-cli.md 6: what it prints is taken, and what is not understood is refused at once"""
        r = self.run_ctl("template", "--principal", OTHER, "--action", "ses:SendRawEmail",
                         "--condition", "ForAllValues:StringLike:ses:Recipients=*@example.com",
                         "--condition", "ForAllValues:StringLike:ses:Recipients=*@example.org",
                         "--condition", "Bool:aws:SecureTransport=true")
        self.assertEqual(json.loads(r.stdout), {"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"AWS": OTHER}, "Action": "ses:SendRawEmail",
            "Resource": "arn:aws:ses:REGION:ACCOUNT:identity/IDENTITY",
            "Condition": {"ForAllValues:StringLike": {"ses:Recipients": ["*@example.com", "*@example.org"]},
                          "Bool": {"aws:SecureTransport": ["true"]}}}]})
        text = r.stdout.replace("arn:aws:ses:REGION:ACCOUNT:identity/IDENTITY", ARN % (self.account, "example.com"))
        self.run_ctl("put", "example.com", "made", "-", input=text)
        self.run_ctl("delete", "example.com", "made")
        # without a principal: of a credential
        r = self.run_ctl("template", "--effect", "Deny")
        self.assertEqual(json.loads(r.stdout)["Statement"], [{"Effect": "Deny", "Resource": "*",
                                                             "Action": ["ses:SendEmail", "ses:SendRawEmail"]}])
        r = self.run_ctl("template", "--principal", "*")
        self.assertEqual(r.stderr, "warning: statement 1: everybody may do this, without any condition\n")
        r = self.run_ctl("template", "--principal", OTHER, "--action", "ses:Fly", status=1)
        self.assertRegex(r.stderr, "^error: MalformedPolicyDocument: statement 1: ")
        self.assertEqual(r.stdout, "")
        for bad in ("StringLike", "StringLike:ses:FromAddress", "ses:FromAddress=x", ":ses:FromAddress=x"):
            self.run_ctl("template", "--condition", bad, status=2)

    def test_refused(self):
        path, _ = self.document("x.json", Efect="Allow")
        r = self.run_ctl("put", "example.com", "p", path, status=1)
        self.assertEqual(r.stderr, 'error: MalformedPolicyDocument: statement 1: unknown member "Efect"\n')
        r = self.run_ctl("put", "example.com", "p", "-", status=1, input=" " * 4097)
        self.assertIn("more than 4096 octets", r.stderr)
        self.run_ctl("put", "example.com", "p", os.path.join(self.relay.folder, "nowhere"), status=1)
        self.run_ctl("put", "example.com", status=2)
        self.run_ctl("test", "example.com", "--user", OTHER, status=2)
        self.run_ctl("show", "nobody.example", status=1)
        self.assertEqual(self.run_ctl("list", "example.com").stdout, "")

    def test_credential_that_is_named(self):
        self.relay.ctl("credential", "create", "named")
        user = "arn:aws:iam::%s:user/named" % self.account
        path, _ = self.document("n.json", Principal={"AWS": user}, Effect="Deny")
        self.run_ctl("put", "example.com", "n", path)
        self.addCleanup(self.run_ctl, "delete", "example.com", "n")
        r = self.run_ctl("test", "example.com", "--user", user, "--from", "a@example.com", status=1)
        self.assertEqual(r.stdout, "DENY statement One of policy n\n")
        r = self.relay.run_ctl("credential", "delete", "named")
        self.assertEqual((r.returncode, r.stderr),
                         (1, "error: policies of identities name named: n of example.com; use --yes\n"))
        self.relay.ctl("credential", "delete", "named", "--yes")
