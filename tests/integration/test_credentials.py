# SPDX-License-Identifier: ISC
"""What the store keeps of a login, and an installation without a master key (credentials.md 6, 11)."""
import base64
import os
import unittest

from harness.relay import Relay

KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
PASSWORD = "BLBM/9hSUELfq8Gw+rU1YcBjkOxGbhT2XG763xVLGWL9"
WEST = "BF2PynzbSCAjX08zhZZnP/kW+T9P5zs/1Er0pi5vTEmd"
DIGEST = "c888ef9b7f02e7348de013ce620f42abf200f127498355d20f5096bf5c0ea26e"


def encodings(name, value):
    """Every form in which it could lie about: raw, hex, base64 from each of the three places in a group."""
    out = {name: value, name + " in hex": value.hex().encode(), name + " in HEX": value.hex().upper().encode()}
    for shift in range(3):
        text = base64.b64encode(b"\0" * shift + value)
        # octets that share a group with what stands before or behind are left out
        out[f"{name} in base64, {shift}"] = text[4 if shift else 0:(len(value) + shift) // 3 * 4]
    return out


class Store(unittest.TestCase):
    def test_no_secret_in_the_store(self):
        """credentials#10: after the logins of credentials#5 the digest is there, and nothing that logs in"""
        relay = Relay()
        self.addCleanup(relay.cleanup)
        relay.start()
        relay.account()
        relay.ctl("credential", "import", "old", "--access-key-id", KEY, "--secret-stdin", input=SECRET + "\n")
        for password, answer in ((SECRET, "535 Authentication Credentials Invalid"),
                                 (WEST, "535 Authentication Credentials Invalid"),
                                 (PASSWORD, "235 Authentication successful")):
            w = relay.wire("clear")
            w.reply()
            w.hello()
            self.assertEqual(w.auth(KEY, password), answer)
            w.close()
        self.assertEqual(relay.stop(), 0)
        needles = {**encodings("secret", SECRET.encode()), **encodings("password", PASSWORD.encode()),
                   **encodings("octets of the password", base64.b64decode(PASSWORD)),
                   **encodings("signature of the password", base64.b64decode(PASSWORD)[1:])}
        digests = 0
        for top, _, names in os.walk(relay.folder):
            for name in names:
                path = os.path.join(top, name)
                if not os.path.isfile(path):
                    continue
                with open(path, "rb") as f:
                    text = f.read()
                self.assertEqual([n for n, value in needles.items() if value in text], [], path)
                digests += text.count(bytes.fromhex(DIGEST))
        self.assertGreater(digests, 0)


class Keyless(Relay):
    def write_conf(self):
        super().write_conf()
        with open(self.conf) as f:
            text = f.read()
        with open(self.conf, "w") as f:
            f.write("".join(l for l in text.splitlines(True) if "master_key" not in l))


class NoMasterKey(unittest.TestCase):
    def test_no_key_can_be_made(self):
        """credentials#25: no identity with a DKIM key, logins all the same"""
        relay = Keyless()
        self.addCleanup(relay.cleanup)
        relay.start()
        relay.account()
        r = relay.run_ctl("identity", "add", "example.com")
        self.assertEqual((r.returncode, r.stdout, r.stderr),
                         (1, "", "error: no master key configured (store.master_key)\n"))
        self.assertEqual(relay.json("identity", "list")["EmailIdentities"], [])
        key, password = relay.credential("x")
        relay.session(key, password).close()


if __name__ == "__main__":
    unittest.main()
