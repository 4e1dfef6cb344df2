# SPDX-License-Identifier: ISC
"""Identities, their checks in DNS, their keys and what they sign (identities-and-policies.md 4, dkim.md).

The 72 hours and the 15 minutes of the machines pass in tests/unit/test_verification; here everything
runs for real: knot, the verifier process, the keys process, two independent DKIM verifiers.
"""
import base64
import email
import email.policy
import os
import pwd
import re
import subprocess
import tempfile
import threading
import unittest

from harness.dns import Dns
from harness.oracle import verify
from harness.relay import BUILD, CtlError, Relay
from harness.sink import Sink
from harness.waiting import wait_for

ID = r"250 Ok [0-9a-f]{16}-[0-9a-f-]{36}-000000"
MAIL = "From: Bob <bob@example.com>\nTo: rcpt@sink.example\nSubject: test\n\nHello, world.\n"
SENDERS = ("example.com", "rotate.example", "switch.example", "late.example", "wrong.example", "doubled.example",
           "token.example", "example.net", "own.example", "length.example")


def tags(value):
    """A DKIM-Signature or key record as a dictionary."""
    return {k.strip(): re.sub(r"\s+", "", v) for k, v in
            (t.split("=", 1) for t in value.replace("\r\n", "").split(";") if "=" in t)}


class World(unittest.TestCase):
    extra = "delivery {\n    allow_private yes\n    retry_jitter 0\n    retry_schedule 1s\n}\n" \
            "dkim.min_visible 0\ndns.timeout 1s\ndns.tries 1\nintake.postmaster operator@sink.example\n"

    @classmethod
    def setUpClass(cls):
        cls.relay = Relay(extra=cls.extra)
        cls.addClassCleanup(cls.relay.cleanup)
        cls.prepare()
        cls.sink = Sink("127.0.0.2")
        cls.sink.start()
        cls.addClassCleanup(cls.sink.stop)
        cls.dns = Dns(cls.relay.folder)
        cls.dns.zone("sink.example", "@ MX 10 mx\nmx A 127.0.0.2\n")
        for zone in SENDERS:
            cls.dns.zone(zone, "@ MX 10 mx.sink.example.\n")
        cls.dns.start()
        cls.addClassCleanup(cls.dns.stop)
        cls.relay.dns, cls.relay.sink_port = cls.dns, cls.sink.port
        cls.relay.write_conf()
        cls.relay.start()
        cls.account = cls.relay.account()
        cls.key, cls.password = cls.relay.credential("app1")
        cls.records = {}    # what is published, for the other verifiers

    @classmethod
    def prepare(cls):
        """Before the relay starts."""

    def setUp(self):
        with self.sink.lock:
            self.sink.rules.__init__()
            self.sink.messages.clear()

    # -- DNS and identities ---------------------------------------------------
    def wanted(self, name):
        return self.relay.json("identity", "dns-records", name)["Records"]

    @classmethod
    def publish(cls, zone, records, more="", change=lambda value: value):
        """Puts TXT records into a zone; change() may spoil the values."""
        text = "@ MX 10 mx.sink.example.\n" + more
        for r in records:
            value = change(r["Value"])
            cls.records[r["Name"]] = value
            parts = " ".join(f'"{value[i:i + 250]}"' for i in range(0, len(value), 250))
            text += f"{r['Name']}. TXT {parts}\n"
        cls.dns.set_zone(zone, text)

    def show(self, name):
        return self.relay.json("identity", "show", name)

    def status(self, name):
        return self.show(name)["VerificationStatus"]

    def wait_status(self, name, status, timeout=30):
        wait_for(lambda: self.status(name) == status, f"{name} to be {status}", timeout)

    def keys(self, name):
        return {k["Selector"]: k for k in self.relay.json("dkim", "show", name)["Keys"]}

    def role(self, name, role):
        return [s for s, k in self.keys(name).items() if k["Role"] == role and not k["Previous"]]

    def wait_outcome(self, name, selector, outcome):
        return wait_for(lambda: (lambda k: k if k["LastOutcome"] == outcome else None)(self.keys(name)[selector]),
                        f"{selector} to be {outcome}")

    def verified(self, name):
        """Adds a domain and publishes what it asks for."""
        if not any(i["IdentityName"] == name for i in self.relay.json("identity", "list")["EmailIdentities"]):
            self.relay.ctl("identity", "add", name)
            self.publish(name, self.wanted(name))
            self.relay.ctl("dkim", "verify", name)
            self.wait_status(name, "SUCCESS")
        return self.role(name, "ACTIVE")[0]

    # -- mail -------------------------------------------------------------------
    def submit(self, data, sender="bob@example.com", to="rcpt@sink.example", listener="submission"):
        w = self.relay.session(self.key, self.password, listener)
        try:
            answer = w.message(sender, to, data)
        finally:
            w.close()
        return answer

    def sent(self, data=MAIL, sender="bob@example.com", to="rcpt@sink.example", listener="submission"):
        """The copy at the sink."""
        answer = self.submit(data, sender, to, listener)
        self.assertRegex(answer, ID)
        uuid = answer.split()[2][:52]
        return wait_for(lambda: next((m.data for m in list(self.sink.messages) if (m.mail_from or "")[:52] == uuid), None),
                        "the copy at the sink")

    def signatures(self, data):
        m = email.message_from_bytes(data, policy=email.policy.compat32)
        return [tags(v) for v in m.get_all("DKIM-Signature", [])]

    def check(self, data, expected):
        """Both verifiers see exactly these (d, s), and all pass."""
        for name, found in verify(data, self.records).items():
            self.assertEqual(sorted(found), sorted((d, s, True) for d, s in expected), name)

    def refused(self, *args):
        with self.assertRaises(CtlError) as caught:
            self.relay.ctl(*args)
        self.assertNotEqual(caught.exception.status, 0)
        return caught.exception.stderr.strip()


class Signing(World):
    def test_signed_by_the_domain(self):
        """dkim#1: the session of the specification, tag by tag"""
        selector = self.verified("example.com")
        w = self.relay.wire("submission")
        w.reply()
        w.hello()
        w.starttls()
        w.hello()
        self.assertEqual(w.auth(self.key, self.password), "235 Authentication successful")
        self.assertEqual(w.cmd("MAIL FROM:<bob@example.com>"), "250 Ok")
        self.assertEqual(w.cmd("RCPT TO:<rcpt@sink.example>"), "250 Ok")
        self.assertEqual(w.cmd("DATA"), "354 End data with <CR><LF>.<CR><LF>")
        w.send("From: Bob <bob@example.com>\r\nTo: rcpt@sink.example\r\nSubject: test\r\n\r\nHello, world.\r\n.\r\n")
        self.assertRegex(w.reply()[0], ID)
        w.close()
        data = self.sink.wait(1)[0].data
        one, = self.signatures(data)
        self.assertEqual((one["d"], one["s"], one["a"], one["c"]),
                         ("example.com", selector, "rsa-sha256", "relaxed/simple"))
        self.assertEqual(set(one) & {"i", "l", "x", "z"}, set())
        self.assertEqual(one["bh"], "cYt+oiQVrRxPZobI0aHq9G01XoWfS96s0wd+I/mdOgU=")
        self.check(data, [("example.com", selector)])

    def test_oversigning(self):
        """dkim#2: a second Subject breaks the signature"""
        selector = self.verified("example.com")
        data = self.sent()
        one, = self.signatures(data)
        names = one["h"].lower().split(":")
        self.assertEqual((names.count("from"), names.count("cc")), (2, 1))
        for name, found in verify(b"Subject: another\r\n" + data, self.records).items():
            self.assertEqual(found, [("example.com", selector, False)], name)

    def test_empty_body(self):
        """dkim#3"""
        selector = self.verified("example.com")
        data = self.sent("From: bob@example.com\nTo: rcpt@sink.example\nSubject: empty\n\n")
        self.assertEqual(self.signatures(data)[0]["bh"], "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=")
        self.check(data, [("example.com", selector)])

    def test_inheritance(self):
        """dkim#4,5: a sub-domain, and an address that is verified by itself"""
        selector = self.verified("example.com")
        data = self.sent(MAIL.replace("bob@", "bob@a."), sender="bob@a.example.com")
        self.check(data, [("example.com", selector)])
        self.relay.ctl("identity", "add", "mary@example.com", "--verified")
        data = self.sent(MAIL.replace("bob@", "mary@"), sender="mary@example.com")
        self.check(data, [("example.com", selector)])

    def test_address_switched_off(self):
        """dkim#6,7"""
        selector = self.verified("example.com")
        self.relay.ctl("identity", "add", "marketing@example.com", "--verified")

        def shown():
            return self.relay.json("dkim", "show", "marketing@example.com")["SigningEnabled"]
        # dkim.md 2.1: what is inherited is shown as what results
        self.assertTrue(shown())
        self.relay.ctl("dkim", "disable", "example.com")
        self.assertFalse(shown())
        self.relay.ctl("dkim", "enable", "example.com")
        self.relay.ctl("dkim", "disable", "marketing@example.com")
        self.assertFalse(shown())
        for local in ("marketing", "marketing+spring"):
            data = self.sent(MAIL.replace("bob@", local + "@"), sender=f"{local}@example.com")
            self.assertEqual(self.signatures(data), [])
        self.check(self.sent(), [("example.com", selector)])
        self.relay.ctl("dkim", "enable", "marketing@example.com")
        data = self.sent(MAIL.replace("bob@", "marketing@"), sender="marketing@example.com")
        self.check(data, [("example.com", selector)])
        self.assertEqual(self.refused("dkim", "disable", "someone@gmail.com"),
                         "error: DKIM signing cannot be changed for someone@gmail.com: "
                         "gmail.com is not an identity of this account")

    def test_client_signature(self):
        """dkim#18: what the client signed stays whole"""
        selector = self.verified("example.com")
        key = os.path.join(self.relay.folder, "client.key")
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        public = subprocess.run(["openssl", "rsa", "-in", key, "-pubout", "-outform", "DER"], check=True,
                                capture_output=True).stdout
        self.records["c1._domainkey.client.example"] = "v=DKIM1; k=rsa; p=" + base64.b64encode(public).decode()
        body = b"From: Bob <bob@example.com>\r\nTo: rcpt@sink.example\r\nSubject: test\r\n\r\nHello,  world. \r\n\r\n\r\n"
        signed = self.client_sign(body, key)
        data = self.sent(signed)
        self.assertEqual(data.split(b"\r\n\r\n", 1)[1], body.split(b"\r\n\r\n", 1)[1])
        self.check(data, [("client.example", "c1"), ("example.com", selector)])

    def client_sign(self, message, key):
        code = ("import dkim, sys\nm = sys.stdin.buffer.read()\n"
                "s = dkim.sign(m, b'c1', b'client.example', open(sys.argv[1], 'rb').read(),"
                " include_headers=[b'from', b'to', b'subject'])\nsys.stdout.buffer.write(s + m)\n")
        r = subprocess.run(["/usr/bin/python3", "-c", code, key], input=message, capture_output=True)
        if r.returncode != 0:
            self.skipTest("python3-dkim is not there to sign as a client")
        return r.stdout

    def test_sendmail(self):
        """dkim#19: bare LF and no final newline"""
        selector = self.verified("example.com")
        me = pwd.getpwuid(os.geteuid()).pw_name
        self.relay.extra += f"local web {{\n    match {me}\n    credential {self.account}/app1\n}}\n"
        self.relay.reload()
        r = self.relay.sendmail("-f", "bob@example.com", "rcpt@sink.example",
                                input="From: bob@example.com\nTo: rcpt@sink.example\nSubject: local\n\nline one\nline two")
        self.assertEqual(r.returncode, 0, r.stderr)
        data = self.sink.wait(1)[0].data
        self.assertTrue(data.endswith(b"line one\r\nline two\r\n"))
        self.check(data, [("example.com", selector)])


class Forms(unittest.TestCase):
    def test_forms(self):
        """dkim.md 5: header sections and bodies of many forms, both c=, signed by tests/unit/test_signer_forms"""
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([os.path.join(BUILD, "tests", "test_signer_forms")], env=dict(os.environ, POSTHORN_DKIM_DIR=folder),
                           check=True, capture_output=True)
            with open(os.path.join(folder, "key.txt")) as f:
                records = {"azfm6qz3v2dkc5yhobh4fjaxzzdo25tr._domainkey.example.com": f.read()}
            names = sorted(n for n in os.listdir(folder) if n.endswith(".eml"))
            self.assertGreater(len(names), 30)
            for name in names:
                with open(os.path.join(folder, name), "rb") as f:
                    message = f.read()
                # python3-dkim reads no blank before the colon
                without = ("python3-dkim",) if name.startswith("obsolete") else ()
                for verifier, found in verify(message, records, without).items():
                    ours = [ok for d, _, ok in found if d == "example.com"]
                    self.assertEqual(ours, [True], f"{verifier}: {name}")


class Checks(World):
    def test_record_appears(self):
        """dkim#9, identities-and-policies#11 (its end): p= alone is enough"""
        self.relay.ctl("identity", "add", "late.example")
        selector = self.role("late.example", "ACTIVE")[0]
        self.wait_outcome("late.example", selector, "ABSENT")
        shown = self.show("late.example")
        self.assertEqual((shown["VerificationStatus"], shown["VerificationInfo"]["ErrorType"]), ("PENDING", "HOST_NOT_FOUND"))
        self.assertEqual(self.submit(MAIL.replace("example.com", "late.example"), "bob@late.example"),
                         "554 Message rejected: Email address is not verified. The following identities failed the "
                         "check in region US-EAST-1: bob@late.example")
        active = [r for r in self.wanted("late.example") if selector in r["Name"]]
        self.publish("late.example", active, change=lambda v: v[v.index("p="):])
        self.relay.ctl("dkim", "verify", "late.example")
        self.wait_status("late.example", "SUCCESS")
        self.assertEqual(self.keys("late.example")[selector]["LastOutcome"], "MATCH")
        self.assertNotIn("ErrorType", self.show("late.example")["VerificationInfo"])
        # dkim.md 7.1: the standby selector is not needed, its absence is told
        standby = self.role("late.example", "STANDBY")[0]
        self.wait_outcome("late.example", standby, "ABSENT")
        self.assertIn(f"warning: standby selector {standby} is not published; rotation is not possible",
                      self.relay.run_ctl("dkim", "show", "late.example").stderr)
        data = self.sent(MAIL.replace("example.com", "late.example"), "bob@late.example")
        self.check(data, [("late.example", selector)])

    def test_lower_case(self):
        """dkim#10"""
        self.relay.ctl("identity", "add", "wrong.example")
        selector = self.role("wrong.example", "ACTIVE")[0]
        self.publish("wrong.example", self.wanted("wrong.example"), change=lambda v: v[:v.index("p=")] + v[v.index("p="):].lower())
        self.relay.ctl("dkim", "verify", "wrong.example")
        key = self.wait_outcome("wrong.example", selector, "MISMATCH")
        self.assertIn("case", key["Hint"])
        self.assertEqual(self.show("wrong.example")["VerificationInfo"]["ErrorType"], "INVALID_VALUE")
        self.assertEqual(self.status("wrong.example"), "PENDING")

    def test_doubled_name(self):
        """dkim#22"""
        self.relay.ctl("identity", "add", "doubled.example")
        selector = self.role("doubled.example", "ACTIVE")[0]
        doubled = [dict(r, Name=r["Name"] + ".doubled.example") for r in self.wanted("doubled.example")]
        self.publish("doubled.example", doubled)
        self.relay.ctl("dkim", "verify", "doubled.example")
        wait_for(lambda: "doubled" in (self.keys("doubled.example")[selector]["Hint"] or ""), "the hint")
        self.assertEqual(self.keys("doubled.example")[selector]["LastOutcome"], "ABSENT")

    def test_token(self):
        """identities-and-policies#15: the second of two values at the other name"""
        self.relay.ctl("identity", "add", "token.example", "--dkim", "none")
        token = self.relay.ctl("identity", "verify", "token.example", "--token").strip().splitlines()[-1]
        self.assertRegex(token, r"^[a-z2-7]{52}$")
        self.assertEqual(self.status("token.example"), "PENDING")
        self.publish("token.example", [], more=f'_amazonses TXT "something else"\n_amazonses TXT "{token}"\n')
        self.relay.ctl("identity", "verify", "token.example")
        self.wait_status("token.example", "SUCCESS")
        data = self.sent(MAIL.replace("example.com", "token.example"), "bob@token.example")
        self.assertEqual(self.signatures(data), [])    # verified by other means: no identity signature

    def test_no_answer(self):
        """identities-and-policies#13, dkim#12 on this level: SERVFAIL is neither found nor missed"""
        self.relay.ctl("identity", "add", "silent.example")
        self.dns.set_zone("silent.example", None)
        selector = self.role("silent.example", "ACTIVE")[0]
        self.relay.ctl("dkim", "verify", "silent.example")
        self.wait_outcome("silent.example", selector, "DNS_ERROR")
        self.assertEqual(self.show("silent.example")["VerificationInfo"]["ErrorType"], "DNS_SERVER_ERROR")
        self.assertEqual(self.status("silent.example"), "PENDING")

    def test_verifier_is_killed(self):
        """architecture.md 2: a verifier may die on any answer; the next one goes on"""
        self.relay.ctl("identity", "add", "example.net")
        before = self.relay.child("verifier")
        os.kill(before, 9)
        self.publish("example.net", self.wanted("example.net"))
        wait_for(lambda: self.relay.child("verifier") != before, "another verifier")
        self.relay.ctl("dkim", "verify", "example.net")
        self.wait_status("example.net", "SUCCESS")

    def test_own_key_pending(self):
        """dkim#8 (its first half): mail of a domain the operator vouches for goes unsigned meanwhile"""
        key = os.path.join(self.relay.folder, "own.key")
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        self.relay.ctl("identity", "add", "own.example", "--verified")
        self.relay.ctl("dkim", "set-key", "own.example", "--selector", "s2024a", "--key-file", key)
        shown = self.show("own.example")
        self.assertEqual(shown["VerificationStatus"], "SUCCESS")
        self.assertEqual(shown["DkimAttributes"]["Status"], "PENDING")
        self.assertEqual(shown["DkimAttributes"]["SigningAttributesOrigin"], "EXTERNAL")
        data = self.sent(MAIL.replace("example.com", "own.example"), "bob@own.example")
        self.assertNotIn("own.example", [s["d"] for s in self.signatures(data)])


class Loss(World):
    def test_one_miss_and_no_answer(self):
        """dkim#11 (its beginning), dkim#12: one miss is none, and no answer is no miss; mail is still signed"""
        selector = self.verified("example.com")
        mail = self.records.copy()
        self.dns.set_zone("example.com", "@ MX 10 mx.sink.example.\n")
        self.relay.ctl("dkim", "verify", "example.com")
        self.wait_outcome("example.com", selector, "ABSENT")
        self.assertEqual(self.status("example.com"), "SUCCESS")
        self.check(self.sent(), [("example.com", selector)])
        self.publish("example.com", [{"Name": n, "Value": v} for n, v in mail.items()])
        self.relay.ctl("dkim", "verify", "example.com")
        self.wait_outcome("example.com", selector, "MATCH")
        self.dns.stop()
        self.relay.ctl("dkim", "verify", "example.com")
        self.wait_outcome("example.com", selector, "DNS_ERROR")
        self.assertEqual(self.status("example.com"), "SUCCESS")
        self.assertTrue(self.show("example.com")["VerifiedForSendingStatus"])
        self.dns.start()
        self.relay.ctl("dkim", "verify", "example.com")
        self.wait_outcome("example.com", selector, "MATCH")

    def test_slots(self):
        """dkim#23: what is missing in the operator's zone is not the owner's miss"""
        self.relay.extra += "dkim.cname_base dkim.relay.example\n"
        self.relay.reload()
        self.relay.ctl("identity", "add", "slots.example")
        records = self.wanted("slots.example")
        self.assertEqual([r["Type"] for r in records], ["CNAME"] * 3)
        self.dns.set_zone("slots.example", "".join(f"{r['Name']}. CNAME {r['Value']}.\n" for r in records))
        zone = self.relay.json("dkim", "zone")["Records"]
        self.assertEqual(len(zone), 3)

        def operator(records):
            return "".join(f"{r['Name']}. TXT " + " ".join(
                f'"{r["Value"][i:i + 250]}"' for i in range(0, len(r["Value"]), 250)) + "\n" for r in records)
        self.dns.set_zone("dkim.relay.example", operator(zone))
        self.relay.ctl("dkim", "verify", "slots.example")
        self.wait_status("slots.example", "SUCCESS")
        token = zone[1]["Name"].split(".")[0]
        # the record of another key, as before a rotation; then none at all
        for stale in ([zone[0], dict(zone[1], Value=zone[0]["Value"]), zone[2]], [zone[0], zone[2]]):
            offset = os.path.getsize(self.relay.log)
            self.dns.set_zone("dkim.relay.example", operator(stale))
            self.relay.ctl("dkim", "verify", "slots.example")
            self.relay.wait_log(f"error relay dkim-zone-stale .*selector={token}", offset=offset)
            self.wait_outcome("slots.example", token, "OPERATOR_ZONE")
            self.assertEqual(self.status("slots.example"), "SUCCESS")


class Keys(World):
    def test_rotation(self):
        """dkim#13,14"""
        old = self.verified("rotate.example")
        standby = self.role("rotate.example", "STANDBY")[0]
        mail = MAIL.replace("example.com", "rotate.example")
        before = self.sent(mail, "bob@rotate.example")
        self.wait_outcome("rotate.example", standby, "MATCH")
        self.relay.ctl("dkim", "rotate", "rotate.example")
        after = self.sent(mail, "bob@rotate.example")
        self.check(before, [("rotate.example", old)])
        self.check(after, [("rotate.example", standby)])
        self.assertEqual(self.role("rotate.example", "RETIRING"), [old])
        kept = [r for r in self.wanted("rotate.example") if old in r["Name"]]
        self.assertEqual(len(kept), 1)
        self.assertRegex(kept[0]["Status"], r"^keep until \d{4}-\d\d-\d\d$")
        fresh = wait_for(lambda: self.role("rotate.example", "STANDBY"), "the next standby key")[0]
        self.assertNotIn(fresh, (old, standby))
        self.wait_outcome("rotate.example", fresh, "ABSENT")
        self.assertEqual(self.refused("dkim", "rotate", "rotate.example"),
                         f"error: standby selector {fresh} is not visible in DNS; publish it first or use --force")
        self.assertEqual(self.role("rotate.example", "ACTIVE"), [standby])

    def test_no_gap(self):
        """dkim#17: the managed key signs until the own one is seen"""
        managed = self.verified("switch.example")
        mail = MAIL.replace("example.com", "switch.example")
        key = os.path.join(self.relay.folder, "switch.key")
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        self.check(self.sent(mail, "bob@switch.example"), [("switch.example", managed)])
        zone = [{"Name": n, "Value": v} for n, v in self.records.items() if n.endswith(".switch.example")]
        self.relay.ctl("dkim", "set-key", "switch.example", "--selector", "own1", "--key-file", key)
        self.assertEqual(self.show("switch.example")["DkimAttributes"]["Status"], "PENDING")
        self.check(self.sent(mail, "bob@switch.example"), [("switch.example", managed)])
        own = [r for r in self.wanted("switch.example") if r["Name"].startswith("own1.")]
        self.publish("switch.example", zone + own)
        self.relay.ctl("dkim", "verify", "switch.example")
        wait_for(lambda: self.show("switch.example")["DkimAttributes"]["Status"] == "SUCCESS", "the own key")
        self.check(self.sent(mail, "bob@switch.example"), [("switch.example", "own1")])

    def test_private_keys_stay_inside(self):
        """dkim.md 11: neither log nor store holds a key that could be read"""
        self.verified("example.com")
        self.sent()
        pattern = re.compile(rb"BEGIN (RSA )?PRIVATE KEY|\x02\x01\x00\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01")
        for top, _, names in os.walk(os.path.join(self.relay.folder, "store")):
            for name in names:
                with open(os.path.join(top, name), "rb") as f:
                    self.assertIsNone(pattern.search(f.read()), name)
        self.assertNotIn("PRIVATE KEY", self.relay.log_text())

    def test_length(self):
        """dkim#15, its first refusal"""
        self.verified("length.example")
        self.assertEqual(self.refused("dkim", "managed", "length.example", "--bits", "2048"),
                         "error: the input you provided is invalid: the DKIM signing key length is already RSA_2048_BIT")


class Operator(World):
    @classmethod
    def prepare(cls):
        cls.operator_key = os.path.join(cls.relay.folder, "operator.key")
        subprocess.run(["openssl", "genrsa", "-out", cls.operator_key, "2048"], check=True, capture_output=True)
        os.chmod(cls.operator_key, 0o400)
        cls.relay.extra += f"dkim {{\n    operator_domain relay.example\n    operator_selector op1\n" \
                           f"    operator_key {cls.operator_key}\n}}\n"

    def setUp(self):
        super().setUp()
        public = subprocess.run(["openssl", "rsa", "-in", self.operator_key, "-pubout", "-outform", "DER"],
                                check=True, capture_output=True).stdout
        self.records["op1._domainkey.relay.example"] = "v=DKIM1; k=rsa; p=" + base64.b64encode(public).decode()

    def test_operator_signature(self):
        """dkim#21: on mail without identity signature, beside one, and on notices"""
        selector = self.verified("example.com")
        self.check(self.sent(), [("example.com", selector), ("relay.example", "op1")])
        self.relay.ctl("dkim", "disable", "example.com")
        try:
            self.check(self.sent(), [("relay.example", "op1")])
        finally:
            self.relay.ctl("dkim", "enable", "example.com")

    def test_record(self):
        """dkim.md 6.2: its record is looked for at the start and after a reload; what is missing is logged and counted"""
        self.relay.wait_log(r"(error|warn) relay operator-record d=relay\.example s=op1 outcome=(ABSENT|DNS_ERROR)")
        value = self.records["op1._domainkey.relay.example"]
        parts = " ".join(f'"{value[i:i + 250]}"' for i in range(0, len(value), 250))
        self.dns.set_zone("relay.example", f"op1._domainkey TXT {parts}\n")
        offset = len(self.relay.log_text())
        self.relay.reload()
        self.relay.wait_log(r"info relay operator-record d=relay\.example s=op1 outcome=MATCH", offset=offset)
        self.assertEqual(self.relay.ctl("metrics", "dkim_operator_checks_total{outcome=\"MATCH\"}"),
                         'posthorn_dkim_operator_checks_total{outcome="MATCH"} 1\n')
        self.verified("example.com")
        self.assertEqual(len(self.signatures(self.sent())), 2)

    def test_notice_is_signed(self):
        """bounces-and-feedback.md 5.3: signed with the operator key"""
        self.verified("example.com")
        self.sink.rules.rcpt = lambda s, a: "550 5.1.1 no such user" if a == "gone@sink.example" else None
        self.assertRegex(self.submit(MAIL, to="gone@sink.example"), ID)
        mail = wait_for(lambda: next((m for m in list(self.sink.messages) if "bob@example.com" in m.rcpts), None),
                        "the notice")
        self.assertEqual(mail.mail_from, "")
        self.check(mail.data, [("relay.example", "op1")])


    def test_zz_another_key(self):
        """a reload with another operator key: every message is signed by one key or the other, also next to the change"""
        selector = self.verified("example.com")
        key = os.path.join(self.relay.folder, "operator2.key")
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        os.chmod(key, 0o400)
        public = subprocess.run(["openssl", "rsa", "-in", key, "-pubout", "-outform", "DER"],
                                check=True, capture_output=True).stdout
        self.records["op2._domainkey.relay.example"] = "v=DKIM1; k=rsa; p=" + base64.b64encode(public).decode()
        stop, answers = threading.Event(), []

        def submit():
            while not stop.is_set():
                answers.append(self.submit(MAIL))
        client = threading.Thread(target=submit)
        client.start()
        try:
            self.sink.wait(10)
            self.relay.extra = self.relay.extra.replace("operator_selector op1", "operator_selector op2") \
                .replace(self.operator_key, key)
            self.relay.reload()
            self.sink.wait(len(self.sink.messages) + 20)
        finally:
            stop.set()
            client.join()
        self.assertEqual([a for a in answers if not re.match(ID, a)], [])
        seen = {}
        for m in self.sink.wait(len(answers)):
            operators = [s["s"] for s in self.signatures(m.data) if s["d"] == "relay.example"]
            self.assertEqual(len(operators), 1)
            seen.setdefault(operators[0], []).append(m.data)
        self.assertEqual(set(seen), {"op1", "op2"})
        for operator, copies in seen.items():
            for data in copies[:3] + copies[-3:]:
                self.check(data, [("example.com", selector), ("relay.example", operator)])


class Addresses(World):
    def token(self, address):
        m = wait_for(lambda: next((m for m in list(self.sink.messages) if address in m.rcpts), None), "the mail")
        return m, re.search(r"posthornctl identity confirm ([a-z2-7]{52})", m.data.decode())[1]

    def test_link(self):
        """identities-and-policies#14: one mail, a token that works once"""
        self.assertIn("verification mail sent to user@example.net", self.relay.ctl("identity", "add", "user@example.net"))
        mail, token = self.token("user@example.net")
        self.assertEqual(mail.mail_from, "")
        m = email.message_from_bytes(mail.data, policy=email.policy.default)
        self.assertEqual(m["Subject"], "Email address verification request in region us-east-1")
        self.assertEqual(m["From"].addresses[0].addr_spec, "no-reply@relay.example")
        self.assertEqual(self.status("user@example.net"), "PENDING")
        self.assertIn("554 Message rejected: Email address is not verified.",
                      self.submit(MAIL.replace("bob@example.com", "user@example.net"), "user@example.net"))
        # a second mail within 60 s is refused, and the token stays
        self.assertIn("error:", self.refused("identity", "resend", "user@example.net"))
        self.relay.ctl("identity", "confirm", token)
        self.assertEqual(self.status("user@example.net"), "SUCCESS")
        self.assertIn("error:", self.refused("identity", "confirm", token))
        self.assertEqual(self.status("user@example.net"), "SUCCESS")
        self.sent(MAIL.replace("bob@example.com", "user@example.net"), "user@example.net")
        self.assertEqual(len([m for m in self.sink.messages if "user@example.net" in m.rcpts]), 1)

    def test_unknown_token(self):
        """identities-and-policies.md 4.3"""
        self.assertIn("error:", self.refused("identity", "confirm", "a" * 52))

    def test_override(self):
        """identities-and-policies#16"""
        self.relay.ctl("identity", "add", "intern.corp", "--verified")
        self.assertEqual(self.status("intern.corp"), "SUCCESS")
        with open(os.path.join(self.relay.folder, "audit.jsonl")) as f:
            self.assertIn("intern.corp", f.read())

    def test_status_notices(self):
        """identities-and-policies.md 4.1: the contact is told of each change, once"""
        account = self.relay.account("noted")
        self.relay.ctl("-a", account, "account", "set", "--contact", "owner@sink.example")
        self.relay.ctl("-a", account, "identity", "add", "own.example")
        records = self.relay.json("-a", account, "identity", "dns-records", "own.example")["Records"]
        self.publish("own.example", records)
        self.relay.ctl("-a", account, "dkim", "verify", "own.example")
        m = wait_for(lambda: next((m for m in list(self.sink.messages) if "owner@sink.example" in m.rcpts), None),
                     "the notice")
        text = m.data.decode()
        self.assertIn("Subject: DKIM status of own.example: SUCCESS", text)
        self.assertIn("DKIM status: PENDING -> SUCCESS", text)
        self.assertEqual(len([m for m in self.sink.messages if "owner@sink.example" in m.rcpts]), 1)


if __name__ == "__main__":
    unittest.main()
