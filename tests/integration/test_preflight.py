# SPDX-License-Identifier: ISC
"""MAIL FROM domains and the preflight report, with knot and the real verifier (mail-from-spf-dmarc.md).

What the states do in 72 hours and every finding of the report is in the plays mail-from, mail-from-choice,
preflight and preflight-dmarc.
"""
import json
import os
import shlex
import signal
import unittest

from harness.waiting import wait_for
from test_identity import World

FEEDBACK = "feedback-smtp.us-east-1.relay.example"
SOURCE, EHLO = "127.0.0.3", "a0-3.smtp-out.relay.example"
RELAY = (f"bounces MX 10 {FEEDBACK}.\nbounces TXT \"v=spf1 include:spf.relay.example ~all\"\n"
         f"feedback-smtp.us-east-1 A 127.0.0.1\nspf TXT \"v=spf1 ip4:{SOURCE} -all\"\n"
         f"a0-3.smtp-out A {SOURCE}\na0-3.smtp-out TXT \"v=spf1 a -all\"\n")
GOOD = (f"mail MX 10 {FEEDBACK}.\nmail TXT \"v=spf1 include:spf.relay.example ~all\"\n"
        "_dmarc TXT \"v=DMARC1;p=quarantine;rua=mailto:d@example.com\"\n")
STATUS = {"PASS": 0, "WARN": 1, "FAIL": 2, "UNKNOWN": 3}


class Preflight(World):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.dns.set_zone("relay.example", RELAY)
        cls.relay.ctl("ip", "add", SOURCE, "--ehlo", EHLO)

    def report(self, name, *args):
        r = self.relay.run_ctl("--json", "identity", "check", name, "--no-probe", *args)
        report = json.loads(r.stdout)
        self.assertEqual(r.returncode, STATUS[report["Result"]], r.stdout)
        for c in report["Checks"]:
            self.assertIn(c["Result"], STATUS)
            self.assertIn(c["Impact"], ("HIGH", "LOW"))
            # what did not pass says what mends it
            self.assertEqual("Hint" in c, c["Result"] != "PASS", c)
            self.assertIn(c.get("Action"), (None, "PUBLISH", "RUN", "SET"))
        return report, {c["Id"]: c for c in report["Checks"]}

    def mail_from(self, name):
        return self.relay.json("identity", "mail-from", "show", name)

    def envelope(self):
        with self.sink.lock:
            self.sink.messages.clear()
        self.sent()
        return next(m.mail_from for m in list(self.sink.messages) if m.mail_from)  # notices have none

    def test_from_set_up_to_passing(self):
        """mail-from-spf-dmarc#5,6,11,14,15,19 in one session, as an operator has it"""
        self.verified("example.com")
        for wrong in ("example.com", "mail.example.net"):
            self.assertEqual(self.refused("identity", "mail-from", "set", "example.com", wrong),
                             "error: MAIL FROM domain must be a subdomain of example.com")
        # the records that are printed, in the forms of dns-records
        out = self.relay.ctl("identity", "mail-from", "set", "example.com", "mail.example.com")
        self.assertRegex(out, rf"(?m)^MX +mail\.example\.com +10 {FEEDBACK} +publish$")
        self.assertRegex(out, r"(?m)^TXT +mail\.example\.com +v=spf1 include:spf\.relay\.example ~all +publish$")
        zone = self.relay.ctl("identity", "dns-records", "example.com", "--format", "zone")
        self.assertIn(f"mail.example.com. 1800 IN MX 10 {FEEDBACK}.\n", zone)
        self.assertRegex(self.envelope(), r"-000001@bounces\.relay\.example$")
        self.assertEqual(self.mail_from("example.com")["MailFromDomainStatus"], "PENDING")

        self.publish("example.com", self.keys_wanted("example.com"), GOOD)
        self.relay.ctl("identity", "mail-from", "verify", "example.com")
        wait_for(lambda: self.mail_from("example.com")["MailFromDomainStatus"] == "SUCCESS", "SUCCESS")
        self.assertRegex(self.envelope(), r"-000001@mail\.example\.com$")
        self.assertRegex(self.relay.ctl("identity", "list"), r"(?m)^example\.com .* mail\.example\.com ")

        report, found = self.report("example.com")
        self.assertEqual(report["SourceIps"], [SOURCE])
        self.assertEqual(report["Result"], "PASS", [c for c in report["Checks"] if c["Result"] != "PASS"])
        self.assertEqual(found["SPF_INCLUDES"]["Detail"]["Results"], {SOURCE: "pass"})
        self.assertEqual(found["DMARC_VERDICT"]["Description"],
                         "pass (DKIM aligned relaxed; SPF aligned relaxed), p=quarantine")

        # a low finding alone: status 1
        self.publish("example.com", self.keys_wanted("example.com"), GOOD.replace("p=quarantine", "p=quarantine;aspf=s"))
        report, found = self.report("example.com")
        self.assertEqual(report["Result"], "WARN")
        self.assertEqual(found["MAILFROM_ALIGNED"]["Description"], "MAIL FROM record is not aligned.")
        self.assertEqual(found["DMARC_VERDICT"]["Result"], "PASS")

        # a second address: status 2, as text
        self.relay.ctl("ip", "add", "127.0.0.4", "--ehlo", EHLO)
        self.addCleanup(self.relay.ctl, "ip", "remove", "127.0.0.4")
        r = self.relay.run_ctl("identity", "check", "example.com", "--no-probe")
        self.assertEqual(r.returncode, 2)
        self.assertRegex(r.stdout, r"^identity check example\.com  \(From: postmaster@example\.com, 2 source IPs\)  "
                                   r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\n")
        self.assertRegex(r.stdout, r"(?m)^FAIL  SPF_INCLUDES     An SPF configuration issue was found\.\n"
                                   rf" {{23}}{SOURCE} pass   127\.0\.0\.4 softfail   look-ups used: 1 of 10\n"
                                   rf" {{23}}publish: spf\.relay\.example TXT \"v=spf1 ip4:{SOURCE} "
                                   r"ip4:127\.0\.0\.4 -all\"\n")
        self.assertRegex(r.stdout, r"(?m)^ok    DMARC_VERDICT    pass \(DKIM aligned relaxed; SPF does not pass\)")
        self.assertTrue(r.stdout.endswith("result: FAIL\n"))

    def test_nothing_is_published(self):
        """Several findings have one cause: it is said with the first, and where it stands with the others."""
        self.dns.set_zone("bare.example", "@ MX 10 mx.sink.example.\n")
        self.relay.ctl("identity", "add", "bare.example")
        self.addCleanup(self.relay.ctl, "--yes", "identity", "delete", "bare.example")
        report, found = self.report("bare.example")
        record = found["DKIM_RECORD"]["Hint"]
        key = self.keys_wanted("bare.example")[0]
        name, kind, value = record.split(" ", 2)
        self.assertEqual((name, kind, value.replace('" "', "")), (key["Name"], "TXT", f'"{key["Value"]}"'))
        self.assertTrue(all(len(part) <= 255 for part in value[1:-1].split('" "')))
        for one in ("IDENTITY", "DKIM_STATUS", "DMARC_VERDICT"):
            self.assertEqual((found[one]["Action"], found[one]["Hint"]), ("PUBLISH", record))
        text = self.relay.run_ctl("identity", "check", "bare.example", "--no-probe").stdout
        self.assertEqual(text.count(f"publish: {record}\n"), 1)
        self.assertEqual(text.count("publish: as for IDENTITY above\n"), 4)
        self.assertRegex(text, r"(?m)^warn  MAILFROM_ALIGNED MAIL FROM record is not aligned\.\n"
                               r" {23}mail goes out with bounces\.relay\.example; once the identity is verified: "
                               r"posthornctl identity mail-from set bare\.example mail\.bare\.example\n")

    def test_what_it_says_can_be_typed(self):
        def run(finding):
            self.assertEqual(finding["Action"], "RUN")
            self.relay.ctl(*shlex.split(finding["Hint"])[1:])

        found = self.report("typed.example")[1]
        self.assertEqual(found["IDENTITY"]["Hint"], "posthornctl identity add typed.example")
        self.relay.ctl("identity", "add", "typed.example", "--verified", "--dkim", "none")
        self.addCleanup(self.relay.ctl, "--yes", "identity", "delete", "typed.example")
        found = self.report("typed.example")[1]
        run(found["DKIM_STATUS"])                     # has keys from now on
        run(found["MAILFROM_ALIGNED"])
        self.assertEqual(self.mail_from("typed.example")["MailFromDomain"], "mail.typed.example")
        self.relay.ctl("dkim", "disable", "typed.example")
        run(self.report("typed.example")[1]["DKIM_ENABLED"])
        self.assertEqual(self.report("typed.example")[1]["DKIM_ENABLED"]["Result"], "PASS")
        self.relay.ctl("identity", "add", "www.typed.example")
        self.addCleanup(self.relay.ctl, "--yes", "identity", "delete", "www.typed.example")
        self.assertEqual(self.report("www.typed.example")[1]["WWW"]["Hint"],
                         "posthornctl identity add typed.example")

    def keys_wanted(self, name):
        return [r for r in self.wanted(name) if "_domainkey" in r["Name"]]

    def test_nobody_answers(self):
        """A zone that fails is "not known", status 3, and so is a verifier that dies."""
        self.dns.set_zone("late.example", "@ MX 10 mx.sink.example.\n_dmarc NS nowhere.invalid.\n")
        self.relay.ctl("identity", "add", "late.example", "--verified", "--dkim", "none")
        self.addCleanup(self.relay.ctl, "--yes", "identity", "delete", "late.example")
        self.dns.stop()
        self.addCleanup(self.dns.start)
        report, found = self.report("late.example")
        self.assertEqual(found["MAILFROM_MX"]["Result"], "UNKNOWN")
        self.assertEqual(found["SPF_FOUND"]["Result"], "UNKNOWN")
        self.assertEqual(found["DMARC_FOUND"]["Result"], "UNKNOWN")

    def test_verifier_dies(self):
        """The next verifier answers; a check meanwhile ends."""
        old = self.relay.child("verifier")
        os.kill(old, signal.SIGKILL)
        self.report("other.example")
        wait_for(lambda: self.relay.child("verifier") not in (None, old), "the next verifier")

        def answers():
            found = self.report("nobody.example")[1]
            return found["FROM_DOMAIN_MX"]["Result"] != "UNKNOWN" or found["MAILFROM_MX"]["Result"] == "PASS"
        wait_for(answers, "the next verifier to answer")


if __name__ == "__main__":
    unittest.main()
