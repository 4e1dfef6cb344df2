# SPDX-License-Identifier: ISC
"""The control socket and the installation as a whole: who may what, reload, stores, status, figures, addresses, the
audit log (admin-cli.md)."""
import json
import os
import pwd
import shutil
import subprocess
import tempfile
import threading
import unittest
import urllib.error
import urllib.request

from harness.control_world import Running
from harness.relay import BUILD, Relay
from harness.waiting import free_port, wait_for


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


    def test_sandbox(self):
        """suppression 6: in the sandbox only the operator adds to a list"""
        young = self.ctl("account", "create", "young").strip()
        self.relay.extra += f"admin bin {{\n    role full\n    account {young}\n}}\n"
        self.relay.write_conf()
        self.ctl("reload")
        add = ("-a", young, "suppression", "add", "a@sink.example", "--reason", "bounce")
        r = self.as_user("bin", *add)
        self.assertEqual((r.returncode, r.stderr), (1, "error: Account is in the sandbox\n"))
        self.assertEqual(self.as_user("bin", "suppression", "import", "/dev/null").returncode, 1)
        self.ctl(*add)
        self.ctl("account", "set", young, "--production")
        self.assertEqual(self.as_user("bin", *add[2:]).returncode, 0)
        self.ctl("account", "delete", young, "--yes")


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
        self.assertEqual(status["Outbox"], {"Records": 0, "Destinations": 0, "Failing": 0, "OldestSeconds": None})
        text = self.ctl("status")
        self.assertIn("region us-east-1", text)
        self.assertRegex(text, r"(?m)^outbox +no record waits(; \d+ events not mailed yet)?$")
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
