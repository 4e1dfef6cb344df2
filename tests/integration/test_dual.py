# SPDX-License-Identifier: ISC
"""Ed25519 beside RSA (dkim.md 6.1), as other implementations see it.

Everything is real: knot, the verifier process, the keys process.  python3-dkim verifies both kinds of
signature, with python3-nacl; Mail::DKIM knows only RSA.
"""
import base64
import os
import subprocess
import unittest

from harness.oracle import VERIFIERS, knows_ed25519, verify
from harness.waiting import wait_for
from test_identity import MAIL, World

ALONE = "warning: receivers without RFC 8463 support will treat this mail as unsigned"


@unittest.skipUnless(knows_ed25519(), "python3-dkim with python3-nacl is not installed")
class Dual(World):
    extra = World.extra + "dkim.dual_sign yes\n"

    def expect(self, data, expected):
        """python3-dkim sees exactly these (d, s), all of which pass; Mail::DKIM those of RSA."""
        kinds = {s["s"]: s["a"] for s in self.signatures(data)}
        found = verify(data, self.records, without=("Mail::DKIM",))["python3-dkim"]
        self.assertEqual(sorted(found), sorted((d, s, True) for d, s, _ in expected))
        self.assertEqual(kinds, {s: a for _, s, a in expected})
        if "Mail::DKIM" in VERIFIERS:
            passed = {(d, s) for d, s, ok in verify(data, self.records, without=("python3-dkim",))["Mail::DKIM"] if ok}
            self.assertEqual(passed, {(d, s) for d, s, a in expected if a == "rsa-sha256"})

    def of_kind(self, name, algorithm, role):
        return next(s for s, k in self.keys(name).items()
                    if k["Algorithm"] == algorithm and k["Role"] == role and not k["Previous"])

    def seen(self, name, selector):
        self.relay.ctl("dkim", "verify", name)
        self.wait_outcome(name, selector, "MATCH")

    def own(self, name, *openssl):
        path = os.path.join(self.relay.folder, name)
        subprocess.run(["openssl", *openssl, "-out", path], check=True, capture_output=True)
        return path

    def warnings(self, *args):
        r = self.relay.run_ctl(*args)
        self.assertEqual(r.returncode, 0, r.stderr)
        return r.stderr.splitlines()

    def test_managed(self):
        """dkim#20"""
        self.relay.ctl("identity", "add", "example.com")
        wanted = self.wanted("example.com")
        needed = [r for r in wanted if not r.get("Optional")]
        self.assertEqual(len(needed), 2)
        self.assertEqual(len(wanted), 4)
        for r in wanted[2:]:
            self.assertRegex(r["Value"], r"^v=DKIM1; k=ed25519; p=[A-Za-z0-9+/]{43}=$")
        table = self.relay.ctl("identity", "dns-records", "example.com").splitlines()
        self.assertEqual([line.rstrip().endswith("publish, optional") for line in table[1:]], [False, False, True, True])
        zone = self.relay.ctl("identity", "dns-records", "example.com", "--format", "zone").splitlines()
        self.assertEqual([line.endswith(" ; optional") for line in zone], [False, False, True, True])
        rsa = self.of_kind("example.com", "rsa", "ACTIVE")
        ed = self.of_kind("example.com", "ed25519", "ACTIVE")
        # the Ed25519 record is missing: only RSA
        self.publish("example.com", needed)
        self.relay.ctl("dkim", "verify", "example.com")
        self.wait_status("example.com", "SUCCESS")
        self.wait_outcome("example.com", ed, "ABSENT")
        self.expect(self.sent(), [("example.com", rsa, "rsa-sha256")])
        self.assertIn(f"warning: Ed25519 selector {ed} is not published; only RSA signs",
                      self.warnings("dkim", "show", "example.com"))
        report = self.relay.run_ctl("--json", "identity", "check", "example.com", "--no-probe").stdout
        self.assertIn("Ed25519 DKIM record was not found.", report)
        # both records seen
        self.publish("example.com", wanted)
        self.seen("example.com", ed)
        both = [("example.com", rsa, "rsa-sha256"), ("example.com", ed, "ed25519-sha256")]
        self.expect(self.sent(), both)
        self.expect(self.sent(MAIL + "line\n" * 200000), both)
        report = self.relay.run_ctl("--json", "identity", "check", "example.com", "--no-probe").stdout
        self.assertIn(f"{ed}._domainkey.example.com matches, Ed25519", report)
        self.assertEqual(self.show("example.com")["SignedBy"],
                         {"Domain": "example.com", "Selector": rsa, "Ed25519Selector": ed})
        metric = 'posthorn_dkim_signatures_total{algorithm="ed25519-sha256",result="ok"}'
        self.assertEqual(self.relay.ctl("metrics", metric), metric + " 2\n")
        # what is changed on the way breaks both
        data = self.sent().replace(b"Hello, world.", b"Hello, World.")
        self.assertEqual([ok for _, _, ok in verify(data, self.records, without=("Mail::DKIM",))["python3-dkim"]],
                         [False, False])

    def test_own_keys(self):
        """dkim 3, 6.1: own Ed25519 keys, RFC 8410: beside RSA, and alone"""
        mail, sender = MAIL.replace("example.com", "own.example"), "bob@own.example"
        key = self.own("ed.key", "genpkey", "-algorithm", "ed25519")
        lines = self.warnings("identity", "add", "own.example", "--selector", "ed1", "--key-file", key)
        self.assertIn(ALONE, lines)
        self.publish("own.example", self.wanted("own.example"))
        self.seen("own.example", "ed1")
        self.wait_status("own.example", "SUCCESS")
        self.expect(self.sent(mail, sender), [("own.example", "ed1", "ed25519-sha256")])
        self.assertIn(ALONE, self.warnings("dkim", "show", "own.example"))
        rsa = self.own("rsa.key", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
        self.relay.ctl("dkim", "set-key", "own.example", "--selector", "rsa1", "--key-file", rsa)
        self.publish("own.example", self.wanted("own.example"))
        self.relay.ctl("dkim", "verify", "own.example")
        wait_for(lambda: self.keys("own.example")["rsa1"]["Role"] == "ACTIVE", "the RSA key")
        self.expect(self.sent(mail, sender), [("own.example", "rsa1", "rsa-sha256"), ("own.example", "ed1", "ed25519-sha256")])
        self.assertNotIn(ALONE, self.warnings("dkim", "show", "own.example"))
        # the private half comes back as PKCS#8; the public one is as openssl has it
        public = subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"],
                                check=True, capture_output=True).stdout[-32:]
        record = next(r for r in self.wanted("own.example") if r["Name"].startswith("ed1."))
        self.assertEqual(record["Value"], "v=DKIM1; k=ed25519; p=" + base64.b64encode(public).decode())
        with open(key) as f:
            self.assertEqual(self.relay.ctl("dkim", "export", "own.example", "--private", "--selector", "ed1"), f.read())
        self.relay.ctl("dkim", "dual", "own.example", "off")
        self.expect(self.sent(mail, sender), [("own.example", "rsa1", "rsa-sha256")])

    def test_operator_key_is_rsa(self):
        """dkim 6.1, 6.2: on mail without an identity's signature Ed25519 would be the only one"""
        key = self.own("operator.key", "genpkey", "-algorithm", "ed25519")
        os.chmod(key, 0o400)
        before = self.relay.extra
        self.relay.extra += f"dkim {{\n    operator_domain relay.example\n    operator_selector op1\n" \
                            f"    operator_key {key}\n}}\n"
        try:
            self.relay.write_conf()
            offset = len(self.relay.log_text())
            self.relay.run_ctl("reload")
            self.relay.wait_log(r"dkim\.operator_key: the private key must be RSA", offset=offset)
        finally:
            self.relay.extra = before
            self.relay.reload()


if __name__ == "__main__":
    unittest.main()
