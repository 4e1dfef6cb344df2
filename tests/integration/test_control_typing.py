# SPDX-License-Identifier: ISC
"""posthornctl as somebody types it who does not know it yet: what is wrong is said, a dry run changes nothing
(admin-cli.md 1 to 3)."""
import json
import os
import re
import subprocess
import unittest

from harness.control_world import PASSWORD, Running
from harness.relay import BUILD
from harness.waiting import wait_for


class Messages(Running):
    """What is typed wrongly is answered by what is wrong, where, and what would be right."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.relay.account()
        cls.key, _ = cls.relay.credential("app1")

    def test_wrong_values(self):
        for line, text in (
                ("account set --date sometimes", "date: sometimes is not one of default, rewrite, preserve"),
                ("account set --mail-type spam", "mail-type: spam is not one of transactional, marketing, promotional"),
                ("identity list --status good", "status: good is not one of NOT_STARTED, PENDING, SUCCESS, "
                                                "TEMPORARY_FAILURE, FAILED"),
                ("identity add x.example --dkim maybe", "dkim: maybe is not one of managed, none"),
                ("identity add x.example --bits 512", "bits: not a number from 1024 to 2048"),
                ("identity add example", "not a domain name of at least two labels: example"),
                ("queue list --state waiting", "state: waiting is not one of any, ready, active, deferred, held, scheduled"),
                ("credential create x --min-tls 1.1", "min-tls: 1.1 is not one of "),
                ("credential create x --role king", "no such role: king"),
                ("credential create x --policy /nonexistent", "/nonexistent: No such file or directory"),
                (f"credential set {self.key} --rate 5", "a key has no options but --expires"),
                ("account create shop --id 12", "an account id is 12 digits"),
                ("config show server.nope", "no such section or setting: server.nope")):
            self.refused(text, *line.split())

    def test_usage(self):
        for line, text in (
                ("account set", "nothing to set"), ("credential set app1", "nothing to set"),
                ("queue retry", "which messages? give ids, --to, or --all"),
                ("queue hold", "which messages? give ids, --to, --from, or --credential"),
                ("queue list --older-than soon", "--older-than: soon is no duration (10s, 5m, 6h, 14d)"),
                ("queue list --limit many", "--limit: many is no number (0, 1, 2 ...)"),
                ("event tail --since yesterday", "--since: yesterday is no time (2026-03-02T10:15:30Z, 2026-03-02, "
                                                 "-15m, now)"),
                ("quota set --rate fast", "--rate: fast is no amount (a number, or unlimited)"),
                ("credential create x --max-size 40q", "--max-size: 40q is no size (1024, 64k, 40m, 1g)"),
                ("credential create x --expires tomorrow", "--expires: tomorrow is no time (2026-03-02, +90d, never)"),
                ("queue list --limit 1 --limit 2", "--limit is given twice"),
                ("status --json=1", "unknown option --json")):
            self.refused(text, *line.split(), status=2)

    def test_programs(self):
        r = subprocess.run([os.path.join(BUILD, "posthornd"), "start"], capture_output=True, text=True)
        self.assertEqual(r.returncode, 2)
        self.assertIn("posthornd: unexpected argument start\nusage: ", r.stderr)
        r = subprocess.run([os.path.join(BUILD, "posthornd"), "-c", self.relay.conf, "--allow-volatile"],
                           capture_output=True, text=True)
        self.assertEqual(r.returncode, 1)
        self.assertIn(f"posthornd is running (pid {self.relay.process.pid}, {self.relay.folder}/store/lock is locked)", r.stderr)


class DryRun(Running):
    """--dry-run of every changing command: checked, told, and nothing is changed."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.account = cls.relay.account()
        cls.key, _ = cls.relay.credential("app1")
        cls.ctl("identity", "add", "example.com", "--verified")
        cls.ctl("identity", "add", "bare.example", "--verified", "--dkim", "none")
        cls.ctl("ip", "add", "127.0.0.4", "--ehlo", "a.relay.example")
        cls.message = cls.ctl("send", "--from", "a@example.com", "--to", "b@sink.example", "--subject", "x", "--text",
                              "-", input="x\n").strip()
        wait_for(lambda: [j["State"] for j in cls.json("queue", "list")["Jobs"]] == ["DEFERRED"], "the attempt")

    def everything(self):
        """All that the commands show, without what only time changes."""
        shown = {}
        for line in ("account show", "credential list", "credential show app1", "identity list", "quota show",
                     "identity show example.com", "dkim show example.com", "identity show bare.example", "ip list",
                     "queue list", "event tail", "auth blocks", "account list"):
            text = self.ctl("--json", *line.split())
            shown[line] = re.sub(r'"(Age|AgeSeconds|LastChecked|LastOutcome|Hint|LastReply|NextAttempt|Attempts|'
                                 r'LastUpdatedTimestamp)": [^\n]*', "", text)
        shown["audit"] = [l for l in self.ctl("audit", "list").splitlines()]
        return shown

    def test_nothing_changes(self):
        commands = [c.replace("MID", self.message).replace("KEY", self.key) for c in (
            "account create other", "account set --name other", "account pause", "account resume --reason x",
            "account delete " + self.account, "credential create app2",
            "credential import app3 --access-key-id AKIAIOSFODNN7EXAMPLE --smtp-password-stdin",
            "credential set app1 --rate 5", "credential disable app1 --hold-queue", "credential enable app1",
            "credential delete app1", "credential rotate app1", "credential delete KEY", "quota set --rate 3",
            "identity add other.example", "identity add someone@sink.example", "identity delete bare.example",
            "identity delete example.com --force", "dkim disable example.com", "dkim enable example.com",
            "dkim managed example.com --bits 1024", "dkim new-key example.com", "dkim rotate example.com --force",
            "dkim export example.com --private", "queue retry MID", "queue hold MID", "queue bounce MID",
            "queue delete MID", "queue hold --from a@example.com", "ip add 127.0.0.5", "ip disable 127.0.0.4",
            "ip remove 127.0.0.4", "ip enable 127.0.0.4", "store backup copy-of-stores", "reload", "stop",
            "send --from a@example.com --to c@sink.example --subject x --text -")]
        before = self.everything()
        for line in commands:
            with self.subTest(line=line):
                r = self.run_ctl("--dry-run", *line.split(), input=PASSWORD + "\n")
                self.assertIn(r.returncode, (0, 1), r.stderr)
                self.assertEqual([l for l in r.stdout.splitlines() if not l.startswith("would ")], [], r.stdout)
                if r.returncode == 0:
                    self.assertTrue(r.stdout.startswith("would "), "it says what it would do")
                j = self.run_ctl("--dry-run", "--json", *line.split(), input=PASSWORD + "\n")
                self.assertEqual(j.returncode, r.returncode)
                if r.returncode == 0:
                    self.assertEqual(json.loads(j.stdout),
                                     {"Would": [l[len("would "):] for l in r.stdout.splitlines()]})
                after = self.everything()
                self.assertEqual(after, before)
        self.assertFalse(os.path.exists("copy-of-stores"))
        self.assertEqual(self.run_ctl("status").returncode, 0)

    def dry(self, *line, status=0, **more):
        r = self.run_ctl("--dry-run", *line, **more)
        self.assertEqual(r.returncode, status, r.stdout + r.stderr)
        return r.stdout + r.stderr

    def refusals(self):
        return sum(int(n) for n in re.findall(r'^posthorn_submissions_total\{.*"refused".* (\d+)$',
                                              self.ctl("metrics", "posthorn_submissions_total"), re.M))

    def test_no_more_than_is_true(self):
        """What the command itself would refuse, its dry run refuses with the same words."""
        send = ("send", "--to", "b@sink.example", "--subject", "x", "--text", "-", "--from")
        before = self.everything()
        refused = self.refusals()
        for sender in ("a@stranger.example", "a b@example.com"):
            told = self.dry(*send, sender, status=1, input="x\n")
            self.assertEqual(told, self.run_ctl(*send, sender, input="x\n").stderr)
            self.assertNotIn("would", told)
        self.assertRegex(self.dry(*send, "a@example.com", "--to", "b@sink.example", input="x\n"),
                         r"^would send a message of \d+ octets to 1 recipients\n$")
        self.assertEqual(self.dry("suppression", "add", "b@sink.example", "not-one", "nor@", "--reason", "bounce",
                                  status=4),
                         "would suppress b@sink.example\nerror: not an address: not-one\nerror: not an address: nor@\n")
        self.assertEqual(self.dry("suppression", "global", "add", "not-one", "c@sink.example", status=4),
                         "would suppress c@sink.example for all accounts\nerror: not an address: not-one\n")
        self.assertEqual(self.dry("dkim", "dual", "example.com", "off"),
                         "would leave Ed25519 for example.com as it is: off\n")
        told = self.run_ctl("--dry-run", "dkim", "dual", "example.com", "on")
        if told.returncode == 0:         # else the library has no Ed25519
            self.assertEqual(told.stdout, "would sign for example.com with Ed25519 as well, once a new key is seen in DNS\n")
            self.assertEqual(self.dry("dkim", "dual", "bare.example", "on"),
                             "would sign for bare.example with Ed25519 as well, once it has such a key\n")
        self.assertEqual(self.everything(), before)
        # the one that was a submission in earnest was counted, its dry run was not
        self.assertEqual(self.refusals(), refused + 1)


if __name__ == "__main__":
    unittest.main()
