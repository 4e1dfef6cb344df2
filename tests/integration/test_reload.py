# SPDX-License-Identifier: ISC
"""Reload: what is taken over while mail flows, and what is refused (architecture.md 2)."""
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import unittest

from harness.dns import Dns
from harness.process_world import BODY, Edited, ID, refused, started, World
from harness.relay import certificate
from harness.waiting import wait_for


class Reload(World):
    """Tests add to the configuration; tearDown takes it back."""

    def tearDown(self):
        self.relay.extra, self.relay.edit = self.extra, None
        self.relay.reload()

    def hup(self, line=""):
        """SIGHUP with one more line in the file; returns the log from then on."""
        self.relay.extra = self.extra + line
        self.relay.write_conf()
        offset = os.path.getsize(self.relay.log)
        self.relay.process.send_signal(signal.SIGHUP)
        wait_for(lambda: re.search(r" reload(ed|-refused) ", self.relay.log_text(offset)), "the reload")
        return offset

    def served(self, listener="submissions"):
        """The certificate of a new session (DER)."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", self.relay.ports[listener]), 30) as s:
            with context.wrap_socket(s) as t:
                return t.getpeercert(True)

    def kill_relay(self):
        pid = started(self.relay, "relay")
        ready = self.relay.log_text().count("ready version=")
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: self.relay.log_text().count("ready version=") > ready, "the next relay", 60)

    def test_sessions_live_on(self):
        """SIGHUP: a session goes on under what it began with, a new one has the new configuration"""
        before = self.pids()
        idle, busy = self.session(), self.session()
        self.assertEqual(busy.cmd("MAIL FROM:<bob@example.com>"), "250 Ok")
        self.assertEqual(busy.cmd("RCPT TO:<jane@sink.example>"), "250 Ok")
        self.hup("message.max_size 1m\n")
        self.assertIn("SIZE 1048576", self.session().hello())
        self.assertNotIn("SIZE 1048576", idle.hello())
        self.assertTrue(busy.cmd("DATA").startswith("354"))
        busy.send(BODY.replace("\n", "\r\n") + ".\r\n")
        answer = busy.reply()[0]
        self.assertRegex(answer, ID)
        self.signed_copy(answer.split()[2])
        after = self.pids()
        self.assertEqual((after["relay"], after["keys"]), (before["relay"], before["keys"]))

    def test_broken_file(self):
        """admin-cli#14, #15: all errors are told, the old configuration stays, also for a relay that starts later"""
        self.hup("message.max_size 2m\n")
        self.relay.extra = self.extra + ("delivery.max_liftime 72h\nqueue.max_messages much\n"
                                         "message.max_size 1m\nserver.threads many\nnosuch.thing 1\n")
        self.relay.write_conf()
        r = self.relay.run_ctl("reload")
        self.assertEqual(r.returncode, 1)
        for what in ("unknown setting delivery.max_liftime", "server.threads", "unknown setting nosuch.thing"):
            self.assertRegex(r.stderr, rf"{re.escape(self.relay.conf)}:\d+: .*{re.escape(what)}")
        offset = os.path.getsize(self.relay.log)
        self.relay.process.send_signal(signal.SIGHUP)
        self.relay.wait_log(r'error master reload-refused errors="(?:[^"\\]|\\.)*max_liftime\\x0a(?:[^"\\]|\\.)*"', offset=offset)
        self.assertRegex(self.relay.log_text(offset), r'reload-refused errors="(?:[^"\\]|\\.)*\\"much\\"')
        self.assertIn("SIZE 2097152", self.session().hello())
        self.kill_relay()
        wait_for(lambda: "SIZE 2097152" in self.session().hello(), "the configuration in force")
        self.assertRegex(self.message(self.session()), ID)

    def test_empty_file(self):
        """an empty file, as one that is about to be written, is refused and changes nothing"""
        self.hup("message.max_size 2m\n")
        for text in ("", " \n\n"):
            with open(self.relay.conf, "w") as f:
                f.write(text)
            r = self.relay.run_ctl("reload")
            self.assertEqual(r.returncode, 1)
            self.assertIn(f"{self.relay.conf}: the file is empty", r.stderr)
            self.assertIn("SIZE 2097152", self.session("submission").hello())
            self.assertEqual(refused(self.relay.conf, "--allow-volatile"),
                             (1, f"{self.relay.conf}: the file is empty\n"))

    def test_broken_certificate(self):
        """a pair that does not fit: refused with status 1, the old certificate is served, by the next relay, too"""
        old = self.served()
        good = open(self.relay.cert).read()
        folder = tempfile.mkdtemp(dir=self.relay.folder)
        try:
            shutil.copyfile(certificate(folder)[0], self.relay.cert)
            r = self.relay.run_ctl("reload")
            self.assertEqual(r.returncode, 1, r.stdout + r.stderr)
            self.assertIn(self.relay.cert, r.stderr)
            self.assertEqual(self.served(), old)
            self.kill_relay()
            self.assertEqual(self.served(), old)
        finally:
            with open(self.relay.cert, "w") as f:
                f.write(good)

    def test_new_certificate(self):
        """smtp-interface.md 3: read again; a session that has begun keeps its own"""
        old, session = self.served(), self.session("submissions")
        folder = tempfile.mkdtemp(dir=self.relay.folder)
        for source, target in zip(certificate(folder), (self.relay.cert, self.relay.key)):
            shutil.copyfile(source, target)
        self.hup()
        new = self.served()
        self.assertNotEqual(new, old)
        self.assertEqual(session.sock.getpeercert(True), old)
        self.assertRegex(self.message(session), ID)
        self.kill_relay()
        self.assertEqual(self.served(), new)

    def test_needs_restart(self):
        """what needs a restart is told, and waits for one, also when a relay starts in between"""
        self.relay.threads = 1
        try:
            self.relay.extra = self.extra + "message.max_size 3m\n"
            self.relay.write_conf()
            r = self.relay.run_ctl("reload")
            self.assertEqual(r.returncode, 0, r.stderr)
            self.assertIn("restart needed for: server.threads", r.stdout + r.stderr)
            self.kill_relay()
            wait_for(lambda: "SIZE 3145728" in self.session().hello(), "the configuration in force")
            for _ in range(8):
                self.assertRegex(self.message(self.session()), ID)
        finally:
            self.relay.threads = 2

    def test_verifier(self):
        """checks follow a change of dns.servers"""
        silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(silent.close)
        silent.bind(("127.0.0.1", 0))
        pid = started(self.relay, "verifier")
        self.relay.edit = lambda text: re.sub(r"dns.servers .*", f"dns.servers 127.0.0.1:{silent.getsockname()[1]}", text)
        self.hup()
        self.wait_other("verifier", pid)
        self.relay.ctl("dkim", "verify", "example.com")
        silent.settimeout(30)
        while b"_domainkey" not in silent.recv(4096):
            pass                             # delivery asks there, too

    def test_resolver(self):
        """delivery follows a change of dns.servers, and forgets what the former ones said"""
        other = Dns(tempfile.mkdtemp(dir=self.relay.folder))
        other.zone("moved.example", "@ MX 10 mx.sink.example.\n")
        other.zone("sink.example", "mx A 127.0.0.2\n")
        other.start()
        self.addCleanup(other.stop)
        answer = self.message(self.session(), "jane@moved.example")
        self.assertRegex(answer, ID)
        self.relay.wait_event("DeliveryDelay")          # who does not know the name says REFUSED
        self.assertEqual(self.sink.messages, [])
        self.relay.edit = lambda text: re.sub(r"dns.servers .*", f"dns.servers 127.0.0.1:{other.port}", text)
        self.hup()
        self.signed_copy(answer.split()[2])

    def test_suffixes(self):
        """dns.psl_file is read again; one that is none is refused, and nothing changes"""
        path = os.path.join(self.relay.folder, "suffixes")
        with open(path, "w") as f:
            f.write("example\nowned.example\n")
        self.relay.ctl("identity", "add", "owned.example")
        self.relay.ctl("identity", "delete", "owned.example", "--yes")
        self.hup(f"dns.psl_file {path}\n")
        r = self.relay.run_ctl("identity", "add", "owned.example")
        self.assertEqual(r.returncode, 1)
        self.assertIn("owned.example is a public suffix", r.stderr)
        with open(path, "w"):
            pass
        r = self.relay.run_ctl("reload")
        self.assertEqual(r.returncode, 1)
        self.assertIn(f"dns.psl_file {path}: not a list of public suffixes", r.stderr)
        self.assertEqual(self.relay.run_ctl("identity", "add", "owned.example").returncode, 1)

    def test_store_limits(self):
        """spool.min_free and queue.max_messages hold for the next message"""
        for line, answer in ((r"spool.min_free 65536g", "452 Insufficient system storage"),
                             (r"spool.min_free 16m", None),
                             ("spool.min_free 16m\nqueue.max_messages 1", "454 Throttling failure: System capacity exceeded"),
                             (r"spool.min_free 16m", None)):
            self.relay.edit = lambda text: text.replace("spool.min_free 16m", line)
            self.hup()
            w = self.session()
            if answer is not None:
                wait_for(lambda: w.cmd("MAIL FROM:<bob@example.com>") == answer or w.cmd("RSET") == "", answer)
            else:
                wait_for(lambda: w.cmd("MAIL FROM:<bob@example.com>") == "250 Ok", "room")
                w.cmd("RSET")
                self.assertRegex(self.message(w, "later@unknown.invalid"), ID)

    def test_operator_key(self):
        """dkim.operator_*: the keys process signs with it from the reload on"""
        key = os.path.join(self.relay.folder, "operator.key")
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        os.chmod(key, 0o400)
        keys = started(self.relay, "keys")
        self.hup(f"dkim.operator_domain relay.example\ndkim.operator_selector op\ndkim.operator_key {key}\n")
        answer = self.message(self.session())
        self.assertRegex(answer, ID)
        self.assertIn(b"d=relay.example", self.signed_copy(answer.split()[2]).data)
        self.assertEqual(started(self.relay, "keys"), keys)

    def test_log_level(self):
        """log.level holds for every process that goes on"""
        self.relay.edit = lambda text: text.replace("level debug", "level info")
        self.hup()
        self.message(self.session())
        self.assertEqual(re.findall(r"^\S+ debug (?:relay|keys) .*$",
                                    self.relay.log_text().rpartition(" reloaded ")[2], re.M), [])

    def test_log_rotation(self):
        """log.target is opened again by every process"""
        rotated = self.relay.log + ".1"
        os.rename(self.relay.log, rotated)
        pid = started_in(rotated, "verifier")
        self.relay.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "reloaded" in self.relay.log_text(), "the new log")
        self.relay.log_offset = 0
        wait_for(lambda: "child-started child=verifier" in self.relay.log_text(), "lines of the master")
        self.assertNotEqual(started(self.relay, "verifier"), pid)
        self.relay.ctl("reload")
        with open(rotated, "a") as f, open(self.relay.log) as new:
            f.write(new.read())
        os.rename(rotated, self.relay.log)
        self.relay.log_offset = 0
        self.relay.process.send_signal(signal.SIGHUP)


def started_in(log, name):
    with open(log) as f:
        return int(re.findall(rf"child-started child={name} pid=(\d+)", f.read())[-1])


class AuditKeep(unittest.TestCase):
    def test_audit_keep_at_reload(self):
        """audit.keep is in force from the reload on; the relay writes on, into the shortened file"""
        r = Edited()
        self.addCleanup(r.cleanup)
        path = f"{r.folder}/audit.jsonl"
        with open(path, "w") as f:
            f.write('{"eventTime":"%s","eventName":"Old"}\n' % time.strftime(
                "%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3 * 86400)))
        r.start()
        r.ctl("account", "create", "first")
        names = lambda: re.findall(r'"eventName":"(\w+)"', open(path).read())
        self.assertEqual(names(), ["Old", "AccountCreate"])
        with open(r.conf, "a") as f:
            f.write("audit.keep 2d\n")
        r.ctl("reload")
        r.ctl("account", "create", "second")
        self.assertEqual([n for n in names() if n != "Reload"], ["AccountCreate", "AccountCreate"])
        self.assertIn("second", r.ctl("audit", "list"))
        self.assertEqual([f for f in os.listdir(r.folder) if f.startswith("audit")], ["audit.jsonl"])


if __name__ == "__main__":
    unittest.main()
