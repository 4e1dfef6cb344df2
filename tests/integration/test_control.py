# SPDX-License-Identifier: ISC
"""The control socket and posthornctl: arguments, forms of output, statuses, rights, audit log, configuration,
credentials, what works without the daemon (admin-cli.md, credentials.md)."""
import base64
import json
import os
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import unittest
import urllib.error
import urllib.request

from harness.relay import BUILD, CtlError, Relay, certificate
from harness.waiting import free_port, wait_for

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
VECTORS = {
    "us-east-1": "BLBM/9hSUELfq8Gw+rU1YcBjkOxGbhT2XG763xVLGWL9",
    "us-west-2": "BF2PynzbSCAjX08zhZZnP/kW+T9P5zs/1Er0pi5vTEmd",
    "eu-west-1": "BMW5RDrXmmVs0lV7GpI4oLkHXpZ4stDsk6q91z1g38Pk",
    "ap-northeast-2": "BFrwSu3BsGr8nvY2bDCyObUpnNCGFtmAY0j+5nSYn0ZQ",
    "local": "BCPiDCcWtEfrAGeLF/0lxxX3gmO5OES+V3bZFxmF2VE9",
    "site-1": "BL5QmNSlQBRFZ1708+feyVDLRhTU6aUyJ2NOUV0K5BWh",
}
PASSWORD = VECTORS["us-east-1"]
MAIL = "From: a@example.com\nTo: x@sink.example\nSubject: test\n\nhello\n"


def offline(*args, input=None, cwd=None, env=None):
    """posthornctl without a daemon and without a configuration of its own."""
    return subprocess.run([os.path.join(BUILD, "posthornctl"), *args], input=input, capture_output=True, text=True,
                          timeout=60, cwd=cwd, env=env)


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="posthorn-ctl-")
        self.addCleanup(shutil.rmtree, self.folder, True)

    def conf(self, text, name="posthorn.conf"):
        path = os.path.join(self.folder, name)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, 0o644)
        return name


class WithoutDaemon(Folder):
    def test_derive(self):
        """admin-cli#2, credentials#1: all rows of section 3"""
        for region, password in VECTORS.items():
            r = offline("-c", "/nonexistent", "credential", "derive", SECRET, region)
            self.assertEqual((r.returncode, r.stdout), (0, password + "\n"))
            self.assertEqual(r.stderr, "")
        r = offline("-c", "/nonexistent", "credential", "derive", "0123456789abcdefghijklmnopqrstuvwxyzABCD",
                    "us-east-1")
        self.assertEqual(r.stdout, "BEaa/bz6u2XkwlTrFWs1+8u0BW9cCx0mjlSm14HKJw5P\n")
        r = offline("-c", "/nonexistent", "credential", "derive", "-", "us-east-1", input=SECRET + "\n")
        self.assertEqual(r.stdout, PASSWORD + "\n")

    def test_derive_other_region(self):
        """credentials#2: a region other than the configured one"""
        self.conf("server {\n    name mail.relay.example\n    region us-east-1\n}\n")
        text = "The us-west-2 Region doesn't have an SMTP endpoint."
        r = offline("-c", "posthorn.conf", "credential", "derive", SECRET, "us-west-2", "--strict", cwd=self.folder)
        self.assertEqual((r.returncode, r.stdout), (1, ""))
        self.assertIn(text, r.stderr)
        r = offline("-c", "posthorn.conf", "credential", "derive", SECRET, "us-west-2", cwd=self.folder)
        self.assertEqual((r.returncode, r.stdout), (0, VECTORS["us-west-2"] + "\n"))
        self.assertIn(f"warning: {text}", r.stderr)

    def test_unreachable(self):
        """admin-cli#3"""
        path = os.path.join(self.folder, "control.sock")
        r = offline("-s", path, "status")
        self.assertEqual((r.returncode, r.stdout), (3, ""))
        self.assertEqual(r.stderr, f"error: cannot connect to {path}: No such file or directory; is posthornd running?\n")
        r = offline("status", env={"POSTHORN_SOCKET": path})
        self.assertIn(path, r.stderr)
        if not os.path.exists("/run/posthorn"):
            r = offline("status", env={})
            self.assertEqual(r.returncode, 3)
            self.assertIn("error: cannot connect to /run/posthorn/control.sock: ", r.stderr)

    def test_usage(self):
        """admin-cli#5: unknown noun, verb, option, missing argument"""
        for args in (["identty", "list"], ["identity", "lst"], ["identity"], [], ["identity", "list", "--nope"],
                     ["identity", "show"], ["identity", "show", "a", "b"], ["queue", "list", "--older-than", "x"],
                     ["quota", "set", "--rate", "fast"], ["event", "tail", "--since", "yesterday"]):
            r = offline(*args)
            self.assertEqual(r.returncode, 2, args)
            self.assertEqual(r.stdout, "")
            self.assertRegex(r.stderr, r"(?m)^(usage: )?posthornctl ", args)

    def test_what_was_meant(self):
        """A mistyped command names the one that is meant; one JSON document with --json."""
        for typed, meant in (("identty list", "identity list"), ("identity lst", "identity list"),
                             ("statu", "status"), ("credental", "credential"), ("queue lits", "queue list")):
            r = offline(*typed.split())
            self.assertEqual(r.returncode, 2)
            self.assertIn(f"error: unknown command: {typed}; did you mean {meant}?\n", r.stderr)
        self.assertNotIn("did you mean", offline("xyzzy", "plugh").stderr)
        self.assertIn("posthornctl queue list", offline("queue", "frobnicate").stderr)
        for args in (["identty", "list"], ["identity", "list", "--nope"], ["identity", "show"], ["queue", "list",
                     "--older-than", "x"], ["--timeout", "x", "status"], ["quota", "set", "--rate"]):
            r = offline("--json", *args)
            self.assertEqual(r.returncode, 2)
            self.assertEqual(json.loads(r.stderr)["Error"]["Code"], "BadRequestException", args)
        r = offline("identity", "show", "-z")
        self.assertIn("error: unknown option -z; arguments that begin with - stand behind --\n", r.stderr)

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_owner_of_the_stores(self):
        """Root makes, checks, compacts and restores; the relay's user must be able to open what came of it."""
        conf, store = os.path.join(self.folder, "posthorn.conf"), f"{self.folder}/store"
        self.conf(f"server {{\n    name mail.relay.example\n    user nobody\n    group nogroup\n    keys_user root\n"
                  f"    verifier_user root\n}}\nstore {{\n    dir {store}\n    map_size 1g\n}}\n")
        nobody = pwd.getpwnam("nobody").pw_uid

        def look(what):
            seen = set()
            for folder, _, files in os.walk(store):
                for path in [folder] + [os.path.join(folder, f) for f in files]:
                    st = os.stat(path)
                    self.assertEqual(st.st_uid, nobody, f"{path} after {what}")
                    self.assertEqual(st.st_mode & 0o077, 0, f"{path} after {what}")
                    seen.add(os.path.relpath(path, store))
            return seen

        def run(*args):
            r = offline("-c", conf, *args)
            self.assertEqual(r.returncode, 0, r.stderr)
        run("init")
        self.assertIn("state/data.mdb", look("init"))
        run("store", "check")
        self.assertIn("spool/data.mdb", look("check"))
        run("store", "compact")
        look("compact")
        run("store", "check")
        look("check after compact")
        copy = f"{self.folder}/copy"
        shutil.copytree(store, copy)
        run("store", "restore", copy, "--yes")
        look("restore")

    def test_init_without_configuration(self):
        """It writes one, but nothing at all when it could not go on; a dry run only tells."""
        conf = os.path.join(self.folder, "new", "posthorn.conf")
        r = offline("-c", conf, "init", "--hostname", "mail.relay.example", "--dry-run")
        if os.geteuid() == 0 and "no such user: posthorn" in r.stderr:
            self.assertEqual(r.returncode, 1)
            self.assertIn("posthornd(8)", r.stderr)
        else:
            self.assertEqual(r.returncode, 0, r.stderr)
            self.assertIn(f"would write {conf}\n", r.stdout)
        self.assertFalse(os.path.exists(os.path.dirname(conf)))
        r = offline("-c", conf, "init", "--hostname", "bad name")
        self.assertEqual((r.returncode, r.stderr), (2, 'error: --hostname: "bad name" is not one word\n'))

    def test_config_check_files(self):
        """A certificate that is not there is told before the daemon starts; the file is well all the same."""
        self.conf("tls.cert /nonexistent/a.pem\ntls.key /nonexistent/k.pem\n")
        r = offline("config", "check", "posthorn.conf", cwd=self.folder)
        self.assertEqual((r.returncode, r.stdout), (0, "posthorn.conf: ok\n"))
        self.assertIn("warning: tls.cert: /nonexistent/a.pem: No such file or directory\n", r.stderr)

    def test_help(self):
        r = offline("help", "queue", "list")
        self.assertEqual(r.returncode, 0)
        self.assertIn("--older-than", r.stdout)
        self.assertEqual(offline("queue", "list", "--help").stdout, r.stdout)
        self.assertEqual(offline("help", "nonsense").returncode, 2)
        r = offline("version")
        self.assertRegex(r.stdout, r"^posthorn \d+\.\d+\.\d+\n")
        self.assertIn("LMDB", r.stdout)
        self.assertEqual(offline("--version").stdout, r.stdout)

    def test_config_forms(self):
        """admin-cli#12,13: one setting in three forms"""
        forms = ("delivery.max_lifetime 72h\n", "delivery {\n    max_lifetime 72h\n}\n",
                 "delivery.max_lifetime = 3d\n")
        shown = set()
        for form in forms:
            self.conf(form)
            r = offline("-c", "posthorn.conf", "config", "show", "delivery", cwd=self.folder)
            self.assertEqual(r.returncode, 0, r.stderr)
            shown.add(re.sub(r"(?m)  # .*$", "", r.stdout))
        self.assertEqual(len(shown), 1, shown)
        self.assertRegex(shown.pop(), r"(?m)^delivery\.max_lifetime (72h|3d)$")
        r = offline("-c", "posthorn.conf", "config", "show", "delivery", "--changed", cwd=self.folder)
        self.assertRegex(r.stdout, r"^delivery\.max_lifetime \S+  # posthorn\.conf:1\n$")

    def test_config_errors(self):
        """admin-cli#14,15: all errors, each with its place"""
        self.conf("delivery.max_liftime 72h\n")
        r = offline("config", "check", "posthorn.conf", cwd=self.folder)
        self.assertEqual((r.returncode, r.stdout),
                         (1, "posthorn.conf:1: unknown setting delivery.max_liftime\n"))
        self.conf("delivery.max_liftime 72h\nsmtp.max_errors many\nlog.level loud\n")
        r = offline("config", "check", "posthorn.conf", cwd=self.folder)
        self.assertEqual(r.returncode, 1)
        self.assertEqual([l.split(":")[1] for l in r.stdout.splitlines()], ["1", "2", "3"])

    def test_init(self):
        """The first steps: configuration, key, store, account, login, records."""
        conf = os.path.join(self.folder, "etc", "posthorn.conf")
        os.mkdir(os.path.join(self.folder, "etc"))
        with open(conf, "w") as f:
            f.write(f"server.name mail.relay.example\nstore {{\n    dir {self.folder}/store\n    map_size 1g\n"
                    f"    master_key {self.folder}/etc/master.key\n}}\n")
            if os.geteuid() == 0:
                f.write('server.user "root"\nserver.group "root"\nserver.keys_user "root"\n'
                        'server.verifier_user "root"\n')
        os.chmod(conf, 0o644)
        key, store = f"{self.folder}/etc/master.key", f"{self.folder}/store"
        r = offline("-c", conf, "init", "--account-name", "first", "--dry-run")
        self.assertEqual((r.returncode, r.stdout),
                         (0, f"would make the master key {key}\n"
                             f"would make the store {store} with account first and credential app1\n"))
        self.assertFalse(os.path.exists(key) or os.path.exists(store))
        r = offline("-c", conf, "init", "--account-name", "first", "--hostname", "other.example")
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertIn(f"warning: {conf} is there already and stays as it is: --hostname has no effect\n", r.stderr)
        self.assertRegex(r.stdout, r"(?m)^access key id   AKIA[A-Z2-7]{16}$")
        self.assertRegex(r.stdout, r"(?m)^smtp password   B[A-P][A-Za-z0-9+/]{42}$")
        self.assertRegex(r.stdout, r"bounces\.relay\.example\. .*MX 10 feedback-smtp\.us-east-1\.relay\.example\.")
        self.assertRegex(r.stdout, r'bounces\.relay\.example\. .*TXT "v=spf1 ')
        key = os.stat(f"{self.folder}/etc/master.key")
        self.assertEqual((key.st_mode & 0o7777, key.st_size), (0o400, 32))
        self.assertEqual(os.stat(f"{self.folder}/store").st_mode & 0o7777, 0o700)
        r = offline("-c", conf, "init")
        self.assertEqual(r.returncode, 1)
        self.assertIn("exists", r.stderr)
        r = offline("-c", conf, "store", "check")
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertIn("accounts 1, credentials 1", r.stdout)


class Running(unittest.TestCase):
    """One daemon for what does not change its accounts."""

    @classmethod
    def setUpClass(cls):
        cls.relay = Relay(extra=cls.extra() if hasattr(cls, "extra") else "")
        cls.addClassCleanup(cls.relay.cleanup)
        cls.relay.start()
        cls.ctl, cls.json, cls.run_ctl = cls.relay.ctl, cls.relay.json, cls.relay.run_ctl

    def refused(self, text, *args, status=1, input=None):
        r = self.run_ctl(*args, input=input)
        self.assertEqual(r.returncode, status, r.stdout + r.stderr)
        self.assertIn(f"error: {text}", r.stderr)
        return r

    def audit(self, name):
        return [json.loads(l) for l in self.ctl("audit", "list", "--event", name).splitlines()]


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
        lines = self.audit("PutAccountSendingAttributes")
        self.assertEqual([l["requestParameters"]["reason"] for l in lines if "errorCode" not in l],
                         ["list is old", "list is clean"])
        self.ctl("account", "pause", "--enforce")
        shown = self.json("account", "show")
        self.assertEqual((shown["Status"], shown["EnforcementStatus"]), ("SENDING_PAUSED", "SHUTDOWN"))
        self.ctl("account", "resume", account, "--reason", "done")
        # reputation.md: what was paused goes on under review
        self.assertEqual(self.json("account", "show")["EnforcementStatus"], "PROBATION")

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
        for form in ([], ["--json"], ["--csv"]):
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


class Queue(Running):
    """DNS does not answer: what is accepted waits."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.account, cls.key, cls.password = cls.relay.sender(config_set="main")

    def send(self, to="b@sink.example"):
        return self.ctl("send", "--from", "a@example.com", "--to", to, "--subject", "Grüße", "--text", "-",
                        input="hello\n").strip()

    def job(self, message, *args):
        return [j for j in self.json("queue", "list", *args)["Jobs"] if j["MessageId"] == message]

    def test_hold_and_release(self):
        """admin-cli#17"""
        message = self.send()
        self.assertEqual(self.ctl("queue", "hold", message), "")
        job, = self.job(message, "--state", "held")
        self.assertEqual((job["State"], job["HeldBy"]), ("HELD", ["operator"]))
        self.ctl("queue", "release", message)
        self.assertEqual(self.job(message, "--state", "held"), [])
        self.assertEqual(len(self.job(message)), 1)
        for name in ("QueueHold", "QueueRelease"):
            lines = [l for l in self.audit(name) if l["requestParameters"]["id"] == [message]]
            self.assertEqual(len(lines), 1)
            self.assertEqual(lines[0]["recipientAccountId"], self.account)

    def test_bounce_is_followed(self):
        """admin-cli#25"""
        message = self.waiting("late@sink.example")
        tail = subprocess.Popen([os.path.join(BUILD, "posthornctl"), "-s", self.relay.socket, "event", "tail",
                                 "--json", "--types", "BOUNCE", "--follow", "--message-id", message],
                                stdout=subprocess.PIPE, text=True)
        self.addCleanup(tail.stdout.close)
        self.addCleanup(tail.wait)
        self.addCleanup(tail.terminate)
        lines = []
        reader = threading.Thread(target=lambda: lines.append(tail.stdout.readline()))
        reader.start()
        self.ctl("queue", "bounce", message, "--reason", "by hand")
        reader.join(5)
        event = json.loads(lines[0])
        self.assertEqual(event["eventType"], "Bounce")
        self.assertEqual((event["bounce"]["bounceType"], event["bounce"]["bounceSubType"]),
                         ("Undetermined", "Undetermined"))
        recipient, = event["bounce"]["bouncedRecipients"]
        self.assertEqual((recipient["emailAddress"], recipient["status"]), ("late@sink.example", "5.3.0"))
        self.assertIn("by hand", recipient["diagnosticCode"])
        self.assertEqual(event["mail"]["tags"]["ses:caller-identity"], ["root"])
        self.assertEqual(self.job(message), [])

    def waiting(self, to="b@sink.example"):
        """A message whose attempt is over: what is under way cannot be taken out."""
        message = self.send(to)
        wait_for(lambda: [j["State"] for j in self.job(message)] == ["DEFERRED"], "the attempt to end")
        return message

    def test_delete(self):
        message = self.waiting()
        self.refused("this cannot be undone; give --yes", "queue", "delete", message, status=2)
        self.ctl("queue", "delete", message, "--yes")
        self.assertEqual(self.job(message), [])
        kinds = [e["eventType"] for e in self.relay.events("--message-id", message)]
        self.assertNotIn("Bounce", kinds)
        self.assertEqual(kinds[0], "Send")
        self.assertEqual([l["requestParameters"]["id"] for l in self.audit("QueueDelete")][-1], [message])
        r = self.refused("no such message", "queue", "delete", message, "--yes")
        self.assertIn(message, r.stderr)

    def test_show(self):
        message = self.send("shown@sink.example")
        shown = self.json("queue", "show", message, "--headers", "--body")
        self.assertEqual([j["Recipient"] for j in shown["Jobs"]], ["shown@sink.example"])
        self.assertIn("Subject: ", shown["Headers"])
        self.assertIn("From: a@example.com\r\n", shown["Headers"])
        self.assertEqual(shown["Body"], "hello\r\n")
        text = self.ctl("queue", "show", message, "--body")
        self.assertTrue(text.endswith("\nhello\n") or text.endswith("\nhello\r\n"), text[-80:])
        trace = self.json("trace", "show", message)
        self.assertEqual((trace["MessageId"], trace["FromEmailAddress"]), (message, "a@example.com"))
        self.assertEqual(trace["Insights"][0]["Events"][-1]["Type"], "SEND")

    def test_send_is_checked(self):
        r = self.run_ctl("--json", "send", "--from", "a@unverified.example", "--to", "b@sink.example", "--text", "-",
                         input="x\n")
        self.assertEqual(r.returncode, 1)
        error = json.loads(r.stderr)["Error"]
        self.assertEqual(error["Code"], "MessageRejected")
        self.assertIn("Email address is not verified", error["Message"])
        path = os.path.join(self.relay.folder, "raw.eml")
        with open(path, "wb") as f:
            f.write(MAIL.encode().replace(b"\n", b"\r\n") + b"\xff\xfe\r\n")
        self.ctl("send", "--from", "a@example.com", "--to", "b@sink.example", "--raw", path)
        self.refused("at most 20 recipients", "send", "--from", "a@example.com", "--text", "/dev/null", "--to",
                     ",".join(f"{i}@sink.example" for i in range(21)))

    def test_many_callers(self):
        """Sockets that say nothing do not keep others out for long, and a caller who hangs up does no harm."""
        idle = []
        for _ in range(40):
            s = socket.socket(socket.AF_UNIX)
            s.connect(self.relay.socket)
            idle.append(s)
        self.assertEqual(self.run_ctl("status").returncode, 0)
        for s in idle:
            s.close()
        for junk in (b"\n", b"{}\n", b"[1]\n", b'{"verb":1}\n', b'{"verb":"queue list","args":[]}\n', b"\xff\xfe\n",
                     b'{"verb":"account show","args":{"x":{}}}\n', b"{" * 3000 + b"\n"):
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(20)
                s.connect(self.relay.socket)
                s.sendall(junk)
                answer = json.loads(s.makefile().readline())
                self.assertEqual(answer["status"], 2, junk[:40])
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.relay.socket)
            s.sendall(b'{"verb":"queue list"}\n')
        self.assertEqual(self.run_ctl("status").returncode, 0)


@unittest.skipUnless(os.geteuid() == 0, "needs root")
class Rights(Running):
    @staticmethod
    def extra():
        return "admin nobody {\n    role read-only\n}\n"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.account = cls.relay.account()
        # others need not be able to read what was built
        folder = tempfile.mkdtemp(prefix="posthorn-")
        cls.addClassCleanup(shutil.rmtree, folder)
        os.chmod(folder, 0o755)
        cls.program = shutil.copy(os.path.join(BUILD, "posthornctl"), folder)

    def as_user(self, user, *args):
        u = pwd.getpwnam(user)
        return subprocess.run([self.program, "-s", self.relay.socket, *args],
                              user=u.pw_uid, group=u.pw_gid, extra_groups=[], capture_output=True, text=True,
                              timeout=60, cwd="/")

    def test_nobody(self):
        """admin-cli#9"""
        r = self.as_user("daemon", "identity", "list")
        self.assertEqual((r.returncode, r.stdout, r.stderr), (1, "", "error: permission denied\n"))
        r = self.as_user("daemon", "--json", "status")
        self.assertEqual(json.loads(r.stderr)["Error"]["Code"], "AccessDeniedException")

    def test_read_only(self):
        """admin-cli#10"""
        self.assertEqual(self.as_user("nobody", "identity", "list").returncode, 0)
        for args in (["identity", "add", "x.example"], ["stop"], ["account", "list"], ["credential", "create"],
                     ["send", "--from", "a@example.com", "--to", "b@example.org", "--text", "/dev/null"]):
            r = self.as_user("nobody", *args)
            self.assertEqual((r.returncode, r.stderr), (1, "error: permission denied\n"), args)
        line = self.audit("CreateEmailIdentity")[-1]
        self.assertEqual((line["errorCode"], line["userIdentity"]["userName"]), ("AccessDeniedException", "nobody"))


class Configuration(unittest.TestCase):
    def test_reload(self):
        """admin-cli#14: errors keep the old configuration"""
        relay = Relay()
        self.addCleanup(relay.cleanup)
        relay.start()
        relay.account()
        relay.extra = "delivery.max_liftime 72h\naccount.default_rate x\n"
        relay.write_conf()
        r = relay.run_ctl("reload")
        self.assertEqual(r.returncode, 1)
        self.assertRegex(r.stderr, r"posthorn\.conf:\d+: unknown setting delivery\.max_liftime")
        self.assertRegex(r.stderr, r"posthorn\.conf:\d+: .*account\.default_rate")
        self.assertEqual(relay.run_ctl("status").returncode, 0)
        relay.extra = "account.default_rate 7\nserver.node n2\n"
        relay.write_conf()
        self.assertEqual(relay.ctl("reload"), "restart needed for: server.node\n")
        relay.ctl("account", "create", "later")
        self.assertEqual(relay.json("-a", "later", "quota", "show")["MaxSendRate"], 7.0)

    def test_region(self):
        """admin-cli#16"""
        relay = Relay()
        self.addCleanup(relay.cleanup)
        relay.start()
        relay.stop()
        with open(relay.conf) as f:
            text = f.read()
        with open(relay.conf, "w") as f:
            f.write(text.replace("region us-east-1", "region eu-west-1"))
        relay.start(wait=False)
        self.assertEqual(relay.process.wait(60), 1)
        self.assertIn("--accept-region-change", relay.stderr())
        relay.start("--accept-region-change")
        self.assertEqual(relay.json("status")["Region"], "eu-west-1")

    def test_stores(self):
        """A backup of the running stores can be put back; the offline commands know the daemon."""
        relay = Relay()
        self.addCleanup(relay.cleanup)
        relay.start()
        account = relay.account()
        relay.ctl("identity", "add", "example.com", "--verified", "--dkim", "none")
        copy = os.path.join(relay.folder, "copy")
        relay.ctl("store", "backup", os.path.relpath(copy))
        r = relay.run_ctl("store", "backup", "/nonexistent/copy")
        self.assertEqual(r.returncode, 1)
        self.assertRegex(r.stderr, r"^error: make /nonexistent/copy: No such file or directory\n$")
        r = relay.run_ctl("store", "backup", copy)
        self.assertEqual((r.returncode, r.stderr), (1, f"error: {copy}/state/data.mdb: File exists\n"))
        relay.ctl("account", "create", "afterwards")
        for verb in (["check"], ["compact"], ["restore", copy, "--yes"]):
            r = relay.run_ctl("store", *verb)
            self.assertEqual((r.returncode, r.stderr), (1, "error: posthornd is running\n"), verb)
        self.assertEqual(relay.run_ctl("stop").returncode, 0)
        self.assertEqual(relay.process.wait(60), 0)
        relay.process = None
        self.assertEqual(relay.run_ctl("store", "check").returncode, 0)
        def look():
            st = os.stat(f"{relay.folder}/store/state/data.mdb")
            return st.st_ino, st.st_size, st.st_mtime_ns
        before = look()
        self.assertEqual(relay.ctl("store", "compact", "--dry-run"),
                         f"would write the stores in {relay.folder}/store anew\n")
        self.assertEqual(relay.ctl("store", "restore", copy, "--dry-run"),
                         f"would replace the stores in {relay.folder}/store by those of {copy}\n")
        self.assertEqual(relay.run_ctl("store", "restore", relay.folder, "--dry-run").returncode, 1)
        self.assertEqual(look(), before)
        self.assertEqual(relay.run_ctl("store", "compact").returncode, 0)
        self.assertEqual(relay.run_ctl("store", "restore", copy).returncode, 2)
        self.assertEqual(relay.run_ctl("store", "restore", copy, "--yes").returncode, 0)
        relay.start()
        self.assertEqual([a["AccountId"] for a in relay.json("account", "list")["Accounts"]], [account])
        self.assertEqual(relay.json("identity", "show", "example.com")["VerificationStatus"], "SUCCESS")


class Installation(Running):
    @classmethod
    def setUpClass(cls):
        cls.port = free_port()
        super().setUpClass()

    @classmethod
    def extra(cls):
        return "intake.postmaster operator@sink.example\n"

    def test_status(self):
        status = self.json("status")
        self.assertEqual(status["ServerName"], "mail.relay.example")
        self.assertEqual({l["Listener"] for l in status["Listeners"]},
                         {"smtp", "submission", "submissions", "clear", "local"})
        self.assertEqual({s["Store"] for s in status["Stores"]}, {"state", "spool"})
        text = self.ctl("status")
        self.assertIn("region us-east-1", text)
        self.assertRegex(text, r"(?m)^submissions ")

    def test_settings(self):
        text = self.ctl("smtp-settings")
        self.assertIn("SMTP endpoint      mail.relay.example\n", text)
        self.assertIn("region             us-east-1\n", text)

    def test_doctor(self):
        r = self.run_ctl("--json", "doctor", "--no-probe")
        report = json.loads(r.stdout)
        checks = {c["Id"]: c for c in report["Checks"]}
        self.assertEqual(r.returncode, {"PASS": 0, "WARN": 1, "FAIL": 2, "UNKNOWN": 3}[report["Result"]])
        self.assertEqual(checks["CERTIFICATE"]["Result"], "PASS")
        self.assertEqual(checks["POSTMASTER"]["Result"], "PASS")
        self.assertEqual((checks["DNS"]["Result"], checks["DNS"]["Impact"]), ("FAIL", "HIGH"))
        self.assertEqual(r.returncode, 2)
        modes = [c for c in report["Checks"] if c["Id"] == "FILE_MODE"]
        self.assertTrue(modes and all(c["Result"] == "PASS" for c in modes), modes)
        os.chmod(self.relay.master_key, 0o644)
        self.addCleanup(os.chmod, self.relay.master_key, 0o400)
        self.assertIn("master.key: mode 0644", self.ctl_any("doctor"))

    def ctl_any(self, *args):
        return self.run_ctl(*args).stdout

    def test_metrics(self):
        text = self.ctl("metrics", "build_info")
        self.assertRegex(text, r'^posthorn_build_info\{version="[^"]+"\} 1\n$')
        page = self.ctl("metrics")
        for name in ("posthorn_start_time_seconds", "posthorn_queue_recipients", "posthorn_store_used_bytes",
                     "posthorn_store_commit_seconds_bucket", "posthorn_smtp_blocked_addresses"):
            self.assertRegex(page, rf"(?m)^{name}[ {{]")
        w = self.relay.wire("clear")
        w.reply()
        w.hello()
        w.auth("AKIANOBODY0000000001", "x")
        w.close()
        self.assertRegex(self.ctl("metrics", "smtp_auth"), r'(?m)^posthorn_smtp_auth_total\{mechanism="PLAIN",'
                         r'result="invalid",reason="unknown-key"\} \d+$')
        self.assertRegex(self.ctl("metrics", "smtp_connections_total"),
                         r'(?m)^posthorn_smtp_connections_total\{listener="clear",result="ok"\} \d+$')

    def test_metrics_over_http(self):
        relay = Relay()
        self.addCleanup(relay.cleanup)
        port = free_port()
        with open(relay.conf) as f:
            text = f.read()
        with open(relay.conf, "w") as f:
            f.write(text.replace("metrics.listen 127.0.0.1:0", f"metrics.listen 127.0.0.1:{port}"))
        relay.start()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as r:
            self.assertEqual(r.headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
            self.assertIn(b"posthorn_build_info", r.read())
        ask = urllib.request.Request(f"http://127.0.0.1:{port}/metrics",
                                     headers={"Accept": "application/openmetrics-text"})
        with urllib.request.urlopen(ask, timeout=20) as r:
            self.assertTrue(r.headers["Content-Type"].startswith("application/openmetrics-text"))
            self.assertTrue(r.read().endswith(b"# EOF\n"))
        with self.assertRaises(urllib.error.HTTPError) as e:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20)
        self.assertEqual(e.exception.code, 404)
        e.exception.close()
        with open(relay.conf, "w") as f:
            f.write(text.replace("metrics.listen 127.0.0.1:0", f"metrics.listen 127.0.0.1:{port}") +
                    "metrics.allow 192.0.2.1\n")
        relay.ctl("reload")
        with self.assertRaises(urllib.error.HTTPError) as e:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20)
        self.assertEqual(e.exception.code, 403)
        e.exception.close()

    def test_addresses(self):
        self.ctl("ip", "add", "127.0.0.3", "--ehlo", "a0-3.smtp-out.relay.example", "--kind", "dedicated")
        heading, row = self.ctl("ip", "list").splitlines()
        self.assertEqual(heading.split()[:6], ["address", "ehlo", "kind", "pool", "status", "warm-up"])
        self.assertEqual(row.split()[:6], ["127.0.0.3", "a0-3.smtp-out.relay.example", "dedicated",
                                           "ses-default-dedicated-pool", "enabled", "Complete"])
        self.assertIn('TXT "v=spf1 ip4:127.0.0.3 -all"', self.ctl("spf", "print"))
        self.ctl("ip", "disable", "127.0.0.3")
        self.assertEqual(self.json("ip", "show", "127.0.0.3")["Status"], "disabled")
        self.refused("127.0.0.3 exists already", "ip", "add", "127.0.0.3")
        self.refused("192.0.2.77 is no address of this host", "ip", "add", "192.0.2.77")
        self.refused("not an IP address: x", "ip", "add", "x")
        self.ctl("ip", "remove", "127.0.0.3")
        self.refused("no such source address: 127.0.0.3", "ip", "show", "127.0.0.3")

    def test_audit_tail(self):
        tail = subprocess.Popen([os.path.join(BUILD, "posthornctl"), "-s", self.relay.socket, "audit", "tail",
                                 "--event", "AccountCreate"], stdout=subprocess.PIPE, text=True)
        self.addCleanup(tail.stdout.close)
        self.addCleanup(tail.wait)
        self.addCleanup(tail.terminate)
        lines = []
        reader = threading.Thread(target=lambda: lines.append(tail.stdout.readline()))
        reader.start()
        names = iter(range(1000))

        def create():
            self.ctl("account", "create", f"n{next(names)}")
            return lines
        wait_for(create, "an audit line")
        self.assertEqual(json.loads(lines[0])["eventName"], "AccountCreate")

    def test_blocks(self):
        self.assertEqual(self.ctl("auth", "blocks"), "address  failures  blocked-until\n")
        self.refused("203.0.113.9 is not blocked", "auth", "unblock", "203.0.113.9")


if __name__ == "__main__":
    unittest.main()
