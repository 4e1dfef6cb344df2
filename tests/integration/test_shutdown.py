# SPDX-License-Identifier: ISC
"""The end of a relay: who is still served, and for how long (smtp-interface.md 16)."""
import os
import signal
import socket
import unittest

from harness.process_world import BODY, EXTRA, ID
from harness.relay import has_ended, Relay
from harness.waiting import wait_for


class Shutdown(unittest.TestCase):
    """smtp-interface.md 16"""
    extra = EXTRA

    def setUp(self):
        self.relay = Relay(extra=self.extra)
        self.addCleanup(self.relay.cleanup)
        self.relay.start()
        _, self.key, self.password = self.relay.sender()

    def session(self, listener="clear"):
        w = self.relay.session(self.key, self.password, listener)
        self.addCleanup(w.close)
        return w

    def open_transaction(self, *more):
        w = self.session()
        for line in ("MAIL FROM:<bob@example.com>", "RCPT TO:<jane@sink.example>", *more):
            self.assertIn(w.cmd(line)[0], "23")
        return w

    @staticmethod
    def is_closed(port):
        try:
            socket.create_connection(("127.0.0.1", port), 5).close()
        except OSError:
            return True
        return False

    def assert_gone(self, w):
        self.assertEqual(w.reply(), ["421 Service shutting down"])
        self.assertTrue(w.at_end())


class Graceful(Shutdown):
    def test_sigterm(self):
        """listeners close at once, idle sessions get 421, a transaction is finished first; status 0"""
        idle, secure = self.session(), self.session("submissions")
        fresh = self.relay.wire("clear")
        self.addCleanup(fresh.close)
        self.assertTrue(fresh.reply()[0].startswith("220"))
        begun, in_data = self.open_transaction(), self.open_transaction("DATA")
        in_data.send("From: bob@example.com\r\nSubject: half\r\n")
        ports = dict(self.relay.ports)
        self.relay.process.send_signal(signal.SIGTERM)
        for w in (idle, secure, fresh):
            self.assert_gone(w)
        for name in ("clear", "submission", "submissions", "smtp"):
            wait_for(lambda: self.is_closed(ports[name]), f"{name} to be closed", 5)
        self.assertFalse(os.path.exists(self.relay.submit))
        self.assertIsNone(self.relay.process.poll())
        self.assertTrue(begun.cmd("DATA").startswith("354"))
        begun.send(BODY.replace("\n", "\r\n") + ".\r\n")
        self.assertRegex(begun.reply()[0], ID)
        self.assert_gone(begun)
        self.assertIsNone(self.relay.process.poll())
        in_data.send("\r\nand the rest\r\n.\r\n")
        self.assertRegex(in_data.reply()[0], ID)
        self.assert_gone(in_data)
        children = self.relay.children()
        self.assertEqual(self.relay.process.wait(30), 0)
        for pid in children:
            self.assertTrue(has_ended(pid))
        self.relay.start()
        self.assertEqual(self.relay.json("quota", "show")["SentLast24Hours"], 2.0)

    def test_twice(self):
        """a second SIGTERM waits for nobody"""
        w = self.open_transaction()
        self.relay.process.send_signal(signal.SIGTERM)
        self.relay.wait_log("shutting-down", offset=self.relay.log_offset)
        self.relay.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.relay.process.wait(20), 0)
        self.assert_gone(w)

    def test_stop_command(self):
        """posthornctl stop is SIGTERM, stop --now does not wait"""
        w = self.session()
        self.relay.ctl("stop")
        self.assert_gone(w)
        self.assertEqual(self.relay.process.wait(30), 0)
        self.relay.start()
        w = self.open_transaction()
        self.relay.ctl("stop", "--now")
        self.assertEqual(self.relay.process.wait(20), 0)
        self.assert_gone(w)


class GraceIsOver(Shutdown):
    extra = EXTRA + "smtp.shutdown_grace 1s\n"

    def test_transaction(self):
        """after smtp.shutdown_grace 421; inside data never: that connection just ends, and nothing is kept"""
        begun, in_data = self.open_transaction(), self.open_transaction("DATA")
        in_data.send("From: bob@example.com\r\nSubject: half\r\n")
        self.relay.process.send_signal(signal.SIGTERM)
        self.assert_gone(begun)
        self.assertTrue(in_data.at_end())
        self.assertEqual(self.relay.process.wait(30), 0)
        self.relay.start()
        self.assertEqual(self.relay.json("status")["Queue"]["Messages"], 0)


if __name__ == "__main__":
    unittest.main()
