# SPDX-License-Identifier: ISC
"""posthornctl account and quota (admin-cli.md 5, quotas.md)."""
import json
import os
import unittest

from harness.control_world import Running
from harness.waiting import wait_for


def open_lines(path, last):
    """Lines of a file that is written to, when the last one names that."""
    lines = lambda: open(path).read().splitlines()
    return wait_for(lambda: last in lines()[-1] and lines(), f"{last} in {path}")


class Accounts(Running):
    def test_1_defaults(self):
        """quotas#1; members of GetAccount"""
        self.refused("there is no account", "identity", "list")
        account = self.ctl("account", "create", "shop").strip()
        self.assertRegex(account, r"^\d{12}$")
        self.assertEqual(self.ctl("quota", "show"),
                         '{"Max24HourSend":200.0,"SentLast24Hours":0.0,"MaxSendRate":1.0}\n')
        self.assertEqual(self.ctl("stats", "quota"), self.ctl("quota", "show"))
        self.assertEqual(list(self.json("quota", "show")), ["Max24HourSend", "SentLast24Hours", "MaxSendRate"])
        shown = self.json("account", "show")
        self.assertEqual((shown["AccountId"], shown["AccountName"]), (account, "shop"))
        self.assertFalse(shown["ProductionAccessEnabled"])
        self.assertTrue(shown["SendingEnabled"])
        self.assertEqual(shown["EnforcementStatus"], "HEALTHY")
        self.assertEqual(self.json("account", "show", "SHOP"), shown)
        r = self.refused("an account named Shop exists", "account", "create", "Shop")
        r = self.run_ctl("--json", "account", "create", "Shop")
        self.assertEqual(json.loads(r.stderr)["Error"]["Code"], "AlreadyExistsException")

    def test_2_set(self):
        """admin-cli#7: an empty set"""
        self.assertEqual(self.ctl("account", "set", "--suppress-reasons="), "")
        self.assertIn('"SuppressedReasons": []', self.ctl("account", "show", "--json"))
        self.ctl("account", "set", "--suppress-reasons", "complaint,bounce", "--contact", "a@example.com",
                 "--contact", "b@example.com", "--mail-type", "PROMOTIONAL", "--language", "jp", "--website",
                 "https://example.com/", "--date", "preserve")
        shown = self.json("account", "show")
        self.assertEqual(shown["SuppressionAttributes"]["SuppressedReasons"], ["BOUNCE", "COMPLAINT"])
        self.assertEqual(shown["Details"]["AdditionalContactEmailAddresses"], ["a@example.com", "b@example.com"])
        self.assertEqual((shown["Details"]["MailType"], shown["Details"]["ContactLanguage"]), ("MARKETING", "JA"))
        self.assertEqual(shown["Overrides"]["Date"], "preserve")
        self.refused("an account has at most 4 contacts", "account", "set", *sum((["--contact", f"{i}@example.com"]
                                                                                 for i in range(5)), []))
        self.refused("not an address: nobody", "account", "set", "--contact", "nobody")
        self.refused("suppress-reasons: not bounce or complaint: spam", "account", "set", "--suppress-reasons=spam")

    def test_3_dry_run(self):
        """admin-cli#11 on the commands of this release: nothing changes, the text says what would"""
        before = self.json("account", "show")
        self.assertEqual(self.ctl("account", "pause", "--reason", "test", "--dry-run"),
                         f"would pause account {before['AccountId']}\n")
        self.assertEqual(self.json("account", "show"), before)
        audits = len(self.audit("PutAccountSendingAttributes"))
        self.assertIn("would ", self.ctl("identity", "add", "dry.example", "--dry-run"))
        self.refused("no such identity: dry.example", "identity", "show", "dry.example")
        self.assertIn("would ", self.ctl("credential", "create", "dry", "--dry-run"))
        self.refused("no such credential: dry", "credential", "show", "dry")
        # what would be refused is refused with its reason
        self.refused("no such identity: dry.example", "identity", "delete", "dry.example", "--dry-run")
        self.refused("0.0.0.0 is no address of this host", "ip", "add", "0.0.0.0", "--dry-run")
        r = self.relay.run_ctl("store", "backup", "")
        self.assertEqual((r.returncode, r.stderr.splitlines()[0]), (2, "error: the name of the folder is empty"))
        self.assertEqual(len(self.audit("PutAccountSendingAttributes")), audits)

    def test_4_pause(self):
        account = self.json("account", "show")["AccountId"]
        self.ctl("account", "pause", "--reason", "list is old")
        self.assertFalse(self.json("account", "show")["SendingEnabled"])
        self.refused("--reason is needed", "account", "resume", status=2)
        self.ctl("account", "resume", "--reason", "list is clean")
        self.assertTrue(self.json("account", "show")["SendingEnabled"])
        # both are system events (events.md 12)
        path = f"{self.relay.folder}/events/system.jsonl"
        lines = lambda: open(path).read().splitlines() if os.path.exists(path) else []
        told = [json.loads(l) for l in wait_for(lambda: len(lines()) >= 2 and lines(), "two system events")]
        self.assertEqual([(n["detail-type"], n["account"], n["resources"]) for n in told[-2:]],
                         [("Sending Status Disabled", account, []), ("Sending Status Enabled", account, [])])
        self.assertIn("list is old", told[-2]["detail"]["data"])
        lines = self.audit("PutAccountSendingAttributes")
        self.assertEqual([l["requestParameters"]["reason"] for l in lines if "errorCode" not in l],
                         ["list is old", "list is clean"])
        # what is paused already is not told once more: the next event is that of the set
        self.ctl("account", "pause", "--reason", "once")
        self.ctl("account", "pause", "--reason", "twice")
        self.ctl("account", "resume", "--reason", "both over")
        self.ctl("config-set", "create", "Told", "--reputation", "on")
        self.ctl("config-set", "pause", "Told", "--reason", "bad list")
        self.ctl("config-set", "pause", "Told", "--reason", "still bad")
        self.ctl("config-set", "resume", "Told", "--reason", "cleaned")
        self.ctl("alarm", "create", "OnTold", "--metric", "bounce-rate", "--threshold", "0.05", "--action", "pause",
                 "--config-set", "Told")
        self.ctl("alarm", "set-state", "OnTold", "ALARM", "--reason", "Testing")
        told = [json.loads(l) for l in open_lines(path, "alarm:OnTold")]
        self.assertEqual([(n["detail-type"].split()[-1], n["detail"]["data"].split(": ")[-1]) for n in told
                          if n["detail-type"].startswith("Sending Status")][2:],
                         [("Disabled", "once"), ("Enabled", "both over"), ("Disabled", "set Told, bad list"),
                          ("Enabled", "set Told, cleaned"), ("Disabled", "set Told, alarm:OnTold, Testing")])
        # and what the alarm did is no command
        self.assertEqual([(l["recipientAccountId"], l["requestParameters"]) for l in
                          self.audit("PutConfigurationSetSendingOptions") if l["eventType"] == "Automatic"],
                         [(account, {"configurationSetName": "Told", "sendingEnabled": False, "alarm": "OnTold",
                                     "reason": "Testing"})])
        self.assertEqual([l for l in self.audit("PutAccountSendingAttributes") if l["eventType"] == "Automatic"], [])
        self.ctl("account", "pause", "--enforce")
        shown = self.json("account", "show")
        self.assertEqual((shown["Status"], shown["EnforcementStatus"]), ("SENDING_PAUSED", "SHUTDOWN"))
        self.ctl("account", "resume", account, "--reason", "done")
        # reputation.md: what was paused goes on under review
        self.assertEqual(self.json("account", "show")["EnforcementStatus"], "PROBATION")
        # what an operator ends is one line, his: posthorn decided nothing
        self.ctl("account", "review", "end", "--result", "healthy", "--reason", "clean for a month")
        self.assertEqual(self.json("account", "show")["EnforcementStatus"], "HEALTHY")
        self.assertEqual([l["eventType"] for l in self.audit("ReviewEnd")], ["PosthornctlCall"])
        self.assertEqual([l for l in self.audit("PutAccountSendingAttributes") if l["eventType"] == "Automatic"], [])

    def test_5_quota(self):
        self.ctl("quota", "set", "--max-24h", "unlimited", "--rate", "unlimited")
        self.assertEqual(self.json("quota", "show"),
                         {"Max24HourSend": -1.0, "SentLast24Hours": 0.0, "MaxSendRate": -1.0})
        self.assertIn("Burst", self.json("-v", "quota", "show"))
        self.refused("nothing to set", "quota", "set", status=2)

    def test_6_several(self):
        """admin-cli#6"""
        other = self.ctl("account", "create", "other", "--id", "888888888888", "--production", "--rate", "5",
                         "--max-24h", "1000").strip()
        self.assertEqual(other, "888888888888")
        self.refused("several accounts, use --account", "identity", "list", status=2)
        self.assertEqual(self.run_ctl("-a", "other", "identity", "list").returncode, 0)
        self.assertEqual(self.run_ctl("identity", "list", "--account=888888888888").returncode, 0)
        self.refused("no such account: nobody", "-a", "nobody", "identity", "list")
        table = self.ctl("account", "list").splitlines()
        self.assertEqual(table[0].split(), ["id", "name", "status", "production", "sending", "max-24h", "sent-24h",
                                            "rate"])
        row = [l.split() for l in table if l.startswith("888888888888")][0]
        self.assertEqual(row, ["888888888888", "other", "HEALTHY", "yes", "yes", "1000", "0", "5"])
        csv = self.ctl("--csv", "account", "list").splitlines()
        self.assertEqual(csv[0], "id,name,status,production,sending,max-24h,sent-24h,rate")
        self.assertEqual(len(self.ctl("--no-header", "account", "list").splitlines()), 2)

    def test_7_close(self):
        self.refused("this cannot be undone; give --yes", "account", "delete", "other", status=2)
        self.ctl("account", "delete", "other", "--yes")
        self.refused("account 888888888888 is closed", "-a", "other", "credential", "create")
        self.assertIn("CLOSED", self.ctl("account", "list"))
        self.ctl("account", "undelete", "other")
        self.refused("account 888888888888 is not closed", "account", "undelete", "other")


if __name__ == "__main__":
    unittest.main()
