# SPDX-License-Identifier: ISC
"""What posthornd refuses at its start."""
import os
import unittest

from harness.relay import Relay


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
