# SPDX-License-Identifier: ISC
"""What an operator does by mistake: files that are none, stores that are half there, commands that are cut short.
Each is told with its place, and nothing is lost by it."""
import os
import re
import shutil
import signal
import subprocess
import unittest

from harness.relay import BUILD, Relay
from harness.waiting import wait_for

BODY = "From: bob@example.com\nTo: x\nSubject: test\n\nHello, world.\n"
ID = r"250 Ok [0-9a-f]{16}-[0-9a-f-]{36}-000000"


class NoFiles(unittest.TestCase):
    """A FIFO, a directory or a device where a file should be: the reload is refused, the old settings stay, and the
    master goes on watching its children."""

    @classmethod
    def setUpClass(cls):
        cls.relay = Relay()
        cls.addClassCleanup(cls.relay.cleanup)
        cls.relay.start()
        _, cls.key, cls.password = cls.relay.sender()

    def put(self, path, make):
        """Something else stands at path, to the end of the test."""
        os.rename(path, path + ".kept")
        self.addCleanup(os.rename, path + ".kept", path)
        make(path)
        self.addCleanup(lambda: os.rmdir(path) if os.path.isdir(path) else os.unlink(path))

    def refused(self, path, reason):
        r = self.relay.run_ctl("reload", timeout=20)
        self.assertEqual(r.returncode, 1, r.stdout + r.stderr)
        self.assertRegex(r.stderr, rf"{re.escape(path)}.*{reason}")
        # who watches its children starts them again
        pid = self.relay.child("verifier")
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: self.relay.child("verifier") != pid, "another verifier")
        w = self.relay.session(self.key, self.password, "submissions")
        self.assertRegex(w.message("bob@example.com", "x@sink.example", BODY), ID)
        w.close()

    def test_conf_is_a_fifo(self):
        self.put(self.relay.conf, os.mkfifo)
        self.refused(self.relay.conf, "no regular file")

    def test_conf_is_a_directory(self):
        self.put(self.relay.conf, os.mkdir)
        self.refused(self.relay.conf, "Is a directory")

    def test_conf_is_a_device(self):
        self.put(self.relay.conf, lambda path: os.symlink("/dev/zero", path))
        self.refused(self.relay.conf, "no regular file")

    def test_key_is_a_fifo(self):
        self.put(self.relay.key, os.mkfifo)
        self.refused(self.relay.key, "")

    def test_config_check(self):
        self.put(self.relay.conf, os.mkfifo)
        r = self.relay.run_ctl("config", "check", timeout=20)
        self.assertEqual((r.returncode, r.stdout), (1, f"{self.relay.conf}: cannot read: it is no regular file\n"))


if __name__ == "__main__":
    unittest.main()
