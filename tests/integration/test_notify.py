# SPDX-License-Identifier: ISC
"""What the service manager is told by sd_notify(3): ready, reloading, stopping (architecture.md 2)."""
import os
import shutil
import signal
import socket
import tempfile
import time
import unittest

from harness.process_world import Edited
from harness.relay import BUILD


class Notify(unittest.TestCase):
    def receive(self, s):
        s.settimeout(60)
        return s.recv(4096).decode()

    def check(self, address, name):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(s.close)
        s.bind(address)
        relay = Edited()
        self.addCleanup(relay.cleanup)
        os.environ["NOTIFY_SOCKET"] = name
        try:
            relay.start(wait=False)
        finally:
            del os.environ["NOTIFY_SOCKET"]
        self.assertEqual(self.receive(s), "READY=1")
        relay._read_ports()
        self.assertTrue(relay.wire("clear").reply()[0].startswith("220"))    # ready means that it answers
        relay.process.send_signal(signal.SIGHUP)
        self.assertEqual([self.receive(s), self.receive(s)], ["RELOADING=1", "READY=1"])
        relay.extra = "nosuch.thing 1\n"
        relay.write_conf()
        relay.process.send_signal(signal.SIGHUP)
        self.assertEqual([self.receive(s), self.receive(s)], ["RELOADING=1", "READY=1"])
        relay.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.receive(s), "STOPPING=1")
        self.assertEqual(relay.process.wait(30), 0)

    def test_path(self):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        self.check(folder + "/notify", folder + "/notify")

    def test_abstract(self):
        name = f"posthorn-{os.getpid()}-{time.monotonic_ns()}"
        self.check("\0" + name, "@" + name)

    def test_nobody_there(self):
        """a socket that is gone holds nothing up"""
        relay = Edited()
        self.addCleanup(relay.cleanup)
        relay.launch(os.path.join(BUILD, "posthornd"), env={"NOTIFY_SOCKET": relay.folder + "/none"})
        self.assertEqual(relay.run_ctl("status").returncode, 0)


if __name__ == "__main__":
    unittest.main()
