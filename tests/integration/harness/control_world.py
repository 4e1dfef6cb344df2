# SPDX-License-Identifier: ISC
"""What the tests of the control socket share: one daemon, and posthornctl with it."""
import json
import unittest

from harness.relay import Relay

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
