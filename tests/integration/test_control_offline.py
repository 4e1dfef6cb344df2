# SPDX-License-Identifier: ISC
"""posthornctl without the daemon: derived passwords, usage, checks of a configuration, init (admin-cli.md 1 to 4,
credentials.md 3)."""
import json
import os
import pwd
import re
import shutil
import subprocess
import tempfile
import unittest

from harness.control_world import PASSWORD, SECRET, VECTORS
from harness.relay import BUILD


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
        elif os.path.exists("/var/lib/posthorn/state"):      # of an installation on this machine
            self.assertEqual((r.returncode, r.stderr), (1, "error: a store exists in /var/lib/posthorn\n"))
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


if __name__ == "__main__":
    unittest.main()
