# SPDX-License-Identifier: ISC
"""What posthornd refuses at its start, and what it finds left behind."""
import fcntl
import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest

from harness.process_world import Edited, refused, ROOT
from harness.relay import Relay


class Start(unittest.TestCase):
    """A start that is refused says why on standard error, status 1, and changes nothing."""

    def relay(self, **kwargs):
        r = Edited(**kwargs)
        self.addCleanup(r.cleanup)
        return r

    def assert_refused(self, conf, *options, text):
        status, said = refused(conf, *options)
        self.assertEqual(status, 1, said)
        self.assertRegex(said, text)

    def test_store_in_use(self):
        """a second daemon with the same store"""
        first = self.relay().start()
        second = self.relay(edit=lambda text: text.replace(f"dir {{}}", "").replace(
            re.search(r"dir (\S+/store)", text)[1], f"{first.folder}/store"))
        self.assert_refused(second.conf, "--allow-volatile",
                            text=rf"posthornd is running \(pid {first.process.pid}, \S+/store/lock is locked\)")
        self.assertEqual(first.run_ctl("status").returncode, 0)
        self.assertEqual(first.stop(), 0)
        second.start()                       # the lock goes with the process
        self.assertEqual(second.run_ctl("status").returncode, 0)

    def test_after_a_kill(self):
        """a master that was killed: its relay is waited for, and what it listened on"""
        r = self.relay().start()
        for _ in range(3):
            with open(r.conf) as f:
                text = f.read()
            for name, port in r.ports.items():  # the same ones again
                text = re.sub(rf"(listener {name} \{{\s+address) \S+", rf"\1 127.0.0.1:{port}", text)
            with open(r.conf, "w") as f:
                f.write(text)
            r.process.kill()
            r.process.wait()
            r.start()
        self.assertEqual(r.run_ctl("status").returncode, 0)
        self.assertEqual(r.stop(), 0)
        with open(f"{r.folder}/store/lock") as f:
            self.assertEqual(f.read(), "")   # it has ended in order

    def test_lock_outlives_master(self):
        """a lock that stays although its master is gone: the start says so, after a bounded time"""
        r = self.relay()
        gone = subprocess.run(["sh", "-c", "echo $$"], capture_output=True, text=True).stdout
        os.mkdir(f"{r.folder}/store")
        with open(f"{r.folder}/store/lock", "w") as f:
            f.write(gone)
            f.flush()
            fcntl.flock(f, fcntl.LOCK_EX)
            began = time.monotonic()
            self.assert_refused(r.conf, "--allow-volatile",
                                text=r"\S+/store/lock is locked; its master has ended, its relay has not")
            self.assertGreater(time.monotonic() - began, 2.5)
        r.start()
        self.assertEqual(r.run_ctl("status").returncode, 0)

    def test_ports_in_use(self):
        """a second daemon on the same ports, although sockets are shared between loops"""
        first = self.relay().start()
        for name in ("clear", "metrics"):
            port = first.ports[name]
            if name == "metrics":
                change = lambda text: text.replace("metrics.listen 127.0.0.1:0", f"metrics.listen 127.0.0.1:{port}")
            else:
                change = lambda text: re.sub(r"(listener clear \{\s+address) \S+", rf"\1 127.0.0.1:{port}", text)
            second = self.relay(edit=change)
            self.assert_refused(second.conf, "--allow-volatile", text=f"{name}.*[Aa]ddress already in use")
        for path in (first.socket, first.submit):
            second = self.relay(edit=lambda text: re.sub(r"/\S+/" + os.path.basename(path), path, text))
            self.assert_refused(second.conf, "--allow-volatile", text="[Aa]ddress already in use|in use|running")
            self.assertTrue(os.path.exists(path))
        self.assertEqual(first.run_ctl("status").returncode, 0)
        self.assertTrue(first.wire("clear").reply()[0].startswith("220"))

    @unittest.skipUnless(os.path.isdir("/dev/shm") and os.access("/dev/shm", os.W_OK) and
                         "tmpfs" in subprocess.run(["stat", "-f", "-c", "%T", "/dev/shm"], capture_output=True,
                                                   text=True).stdout, "/dev/shm is no tmpfs")
    def test_tmpfs(self):
        """admin-cli.md 16.1: store.dir in memory needs --allow-volatile"""
        folder = tempfile.mkdtemp(dir="/dev/shm")
        self.addCleanup(shutil.rmtree, folder, True)
        r = self.relay(edit=lambda text: re.sub(r"map_size \S+", "map_size 64m",
                                                re.sub(r"dir \S+/store", f"dir {folder}/store", text)))
        self.assert_refused(r.conf, text="tmpfs.*--allow-volatile")
        r.start()
        self.assertEqual(r.run_ctl("status").returncode, 0)

    def test_region(self):
        """admin-cli#16: another server.region is refused, --accept-region-change takes it"""
        r = self.relay().start()
        _, key, password = r.sender()
        self.assertEqual(r.stop(), 0)
        r.edit = lambda text: text.replace("region us-east-1", "region eu-west-1")
        r.write_conf()
        self.assert_refused(r.conf, "--allow-volatile", text="us-east-1.*--accept-region-change")
        r.start("--accept-region-change")
        w = r.wire("clear")
        self.addCleanup(w.close)
        w.reply()
        w.hello()
        self.assertEqual(w.auth(key, password), "535 Authentication Credentials Invalid")
        self.assertEqual(r.stop(), 0)
        r.start()                            # from now on it is the store's region

    def test_master_key(self):
        """credentials#25: open to others, of another size, no file at all"""
        r = self.relay()
        for mode in (0o644, 0o440, 0o404):
            os.chmod(r.master_key, mode)
            self.assert_refused(r.conf, "--allow-volatile",
                                text=r"store.master_key: .*open to group or others \(mode 0%o\)" % mode)
        os.chmod(r.master_key, 0o600)
        with open(r.master_key, "wb") as f:
            f.write(b"x" * 31)
        self.assert_refused(r.conf, "--allow-volatile", text="store.master_key: .*31 octets instead of 32")
        with open(r.master_key, "wb") as f:
            f.write(os.urandom(32))
        r.start()
        self.assertEqual(r.run_ctl("status").returncode, 0)

    def test_no_such_master_key(self):
        """a configured key that is not there is no reason to go on without"""
        r = self.relay()
        os.unlink(r.master_key)
        self.assert_refused(r.conf, "--allow-volatile", text=f"store.master_key: cannot open {r.master_key}: No such file")

    def test_broken_file(self):
        """all errors of the file, then the end"""
        r = self.relay(edit=lambda text: text + "nosuch.thing 1\nserver.region EU\n")
        self.assert_refused(r.conf, "--allow-volatile", text=r"(?s):\d+: unknown setting nosuch.thing.*:\d+: .*server.region")
        self.assertFalse(os.path.exists(r.folder + "/store"))

    def test_unknown_user(self):
        if not ROOT:
            self.skipTest("root only")
        r = self.relay(edit=lambda text: text.replace('keys_user "root"', 'keys_user "no-such-user"'))
        self.assert_refused(r.conf, "--allow-volatile", text="no such user: no-such-user")


class MasterKey(unittest.TestCase):
    def setUp(self):
        self.relay = Relay()
        self.addCleanup(self.relay.cleanup)

    def refused(self):
        """Starts; gives what was said on standard error."""
        self.relay.start(wait=False)
        status = self.relay.process.wait(60)
        self.relay.process = None
        self.assertEqual(status, 1)
        return self.relay.stderr() + self.relay.log_text()

    def replace_key(self, octets):
        os.chmod(self.relay.master_key, 0o600)
        with open(self.relay.master_key, "wb") as f:
            f.write(octets)
        os.chmod(self.relay.master_key, 0o400)

    def test_another_key(self):
        """credentials.md 6, credentials#25: it must open what is sealed in the store"""
        self.relay.start()
        self.relay.account()
        self.relay.ctl("identity", "add", "example.com")
        self.assertEqual(self.relay.stop(), 0)
        self.replace_key(os.urandom(32))
        self.assertIn("store.master_key does not open what is sealed in the store", self.refused())

    def test_wrong_length(self):
        """credentials.md 6: 32 octets"""
        self.replace_key(os.urandom(31))
        self.refused()

    def test_readable_by_others(self):
        """credentials.md 6: not readable by group or others"""
        os.chmod(self.relay.master_key, 0o444)
        self.refused()


if __name__ == "__main__":
    unittest.main()
