# SPDX-License-Identifier: ISC
"""Private keys and the master key live in the keys process alone (architecture.md 1, dkim.md 11 item 4)."""
import base64
import hashlib
import hmac
import os
import re
import subprocess
import unittest

from harness.dns import Dns
from harness.memory import search
from harness.relay import Relay
from harness.sink import Sink
from harness.waiting import wait_for

MAIL = "From: bob@own.example\nTo: rcpt@sink.example\nSubject: x\n\nHello.\n"


def numbers(key):
    """The secret numbers of an RSA key file, as big-endian octets."""
    text = subprocess.run(["openssl", "rsa", "-in", key, "-noout", "-text"], check=True, capture_output=True,
                          text=True).stdout
    out = {}
    for name in ("privateExponent", "prime1", "prime2", "exponent1", "exponent2", "coefficient"):
        digits = re.search(rf"^{name}:\n((?: +[0-9a-f:]+\n)+)", text, re.M)[1]
        out[name] = bytes.fromhex(re.sub(r"[\s:]", "", digits)).lstrip(b"\0")
    return out


def needles(key, master):
    """Every form in which a secret could lie about: DER, numbers of OpenSSL (little-endian), lines of PEM."""
    out = {"master key": master, "master key in hex": master.hex().encode(), "sealing key": sealing(master)}
    for name, value in numbers(key).items():
        out[name + " (DER)"] = value[:48]
        out[name + " (number)"] = value[::-1][:48]
    with open(key) as f:
        lines = [l.strip() for l in f if not l.startswith("-")]
    # the first lines are the modulus, which is public
    for i in (len(lines) // 2, len(lines) - 6, len(lines) - 3):
        out[f"line {i} of the file"] = lines[i].encode()
    return out


def sealing(master):
    """credentials.md 6: HKDF-SHA256 without salt, one block."""
    pseudo = hmac.new(b"\0" * 32, master, hashlib.sha256).digest()
    return hmac.new(pseudo, b"posthorn dkim private key v1\x01", hashlib.sha256).digest()


class Secrets(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.relay = Relay(extra="delivery.allow_private yes\ndns.timeout 1s\ndns.tries 1\n")
        cls.addClassCleanup(cls.relay.cleanup)
        with open(cls.relay.master_key, "rb") as f:
            cls.master = f.read()
        cls.key = os.path.join(cls.relay.folder, "own.key")
        subprocess.run(["openssl", "genrsa", "-traditional", "-out", cls.key, "2048"], check=True,
                       capture_output=True)
        cls.sink = Sink("127.0.0.2")
        cls.sink.start()
        cls.addClassCleanup(cls.sink.stop)
        cls.dns = Dns(cls.relay.folder)
        cls.dns.zone("sink.example", "@ MX 10 mx\nmx A 127.0.0.2\n")
        cls.dns.zone("own.example", "@ MX 10 mx.sink.example.\n")
        cls.dns.start()
        cls.addClassCleanup(cls.dns.stop)
        cls.relay.dns, cls.relay.sink_port = cls.dns, cls.sink.port
        cls.relay.write_conf()
        cls.relay.start()
        cls.relay.account()
        cls.login = cls.relay.credential("app1")

    def import_and_use(self):
        """The key is imported, signs, is exported, and imported in its other forms."""
        self.relay.ctl("identity", "add", "own.example", "--selector", "own1", "--key-file", self.key)
        record = self.relay.json("identity", "dns-records", "own.example")["Records"][0]
        value = record["Value"]
        parts = " ".join(f'"{value[i:i + 250]}"' for i in range(0, len(value), 250))
        self.dns.set_zone("own.example", f"@ MX 10 mx.sink.example.\n{record['Name']}. TXT {parts}\n")
        self.relay.ctl("dkim", "verify", "own.example")
        wait_for(lambda: self.relay.json("identity", "show", "own.example")["VerificationStatus"] == "SUCCESS",
                 "the key to be seen")
        w = self.relay.session(*self.login)
        for _ in range(20):
            self.assertRegex(w.message("bob@own.example", "rcpt@sink.example", MAIL), "^250 Ok ")
        w.close()
        self.assertIn(b"s=own1;", self.sink.wait(20)[0].data)
        pem = self.relay.ctl("dkim", "export", "own.example", "--private")
        self.assertIn("PRIVATE KEY", pem)
        bare = os.path.join(self.relay.folder, "bare")
        with open(self.key) as f, open(bare, "w") as out:
            out.write("".join(l.strip() for l in f if not l.startswith("-")))
        for i, path in enumerate((bare, self.key)):
            self.relay.ctl("identity", "add", f"other{i}.example", "--selector", "own1", "--key-file", path)
        # refused ones are read as well
        self.assertNotEqual(self.relay.run_ctl("dkim", "set-key", "own.example", "--selector", "a.b", "--key-file",
                                               self.key).returncode, 0)

    def processes(self):
        return dict({name: self.relay.child(name) for name in ("relay", "verifier", "keys")},
                    master=self.relay.process.pid)

    def test_memory(self):
        """relay, verifier and master hold no private key and no master key, before, and after imports and exports"""
        wanted = needles(self.key, self.master)
        if os.geteuid() != 0:
            for name, pid in self.processes().items():
                if name != "master":
                    with self.assertRaises(PermissionError, msg=name):
                        search(pid, wanted)
            return
        self.import_and_use()
        for name, pid in self.processes().items():
            found = search(pid, wanted)
            if name == "keys":
                # the search finds what is there; the master key and what was read have been wiped
                self.assertIn("prime1 (number)", found)
                self.assertIn("sealing key", found)
                self.assertEqual({n for n in found if not n.endswith("(number)")}, {"sealing key"})
            else:
                self.assertEqual(found, set(), name)

    def test_other_places(self):
        """neither log, audit log nor store"""
        wanted = needles(self.key, self.master)
        wanted.update({name + " in base64": base64.b64encode(value)[:40] for name, value in numbers(self.key).items()})
        for top, _, names in os.walk(self.relay.folder):
            for name in names:
                path = os.path.join(top, name)
                if path in (self.key, self.relay.master_key, os.path.join(self.relay.folder, "bare")) or \
                        not os.path.isfile(path):
                    continue
                with open(path, "rb") as f:
                    text = f.read()
                self.assertEqual([n for n, value in wanted.items() if value in text], [], path)


if __name__ == "__main__":
    unittest.main()
