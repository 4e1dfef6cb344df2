# SPDX-License-Identifier: ISC
"""What the tests of the processes share: a relay whose configuration a test may change, and one that signs, with
knot and a sink."""
import os
import re
import subprocess
import unittest

from harness.dns import Dns
from harness.relay import BUILD, Relay
from harness.sink import Sink
from harness.waiting import wait_for

BODY = "From: bob@example.com\nTo: x\nSubject: test\n\nHello, world.\n"
ID = r"250 Ok [0-9a-f]{16}-[0-9a-f-]{36}-000000"
ROOT = os.geteuid() == 0
EXTRA = "delivery {\n    allow_private yes\n    retry_jitter 0\n    retry_schedule 1s\n}\n" \
        "dkim.min_visible 0\ndns.timeout 1s\ndns.tries 1\n"


def started(relay, name):
    return int(re.findall(rf"child-started child={name} pid=(\d+)", relay.log_text(relay.log_offset))[-1])


class Edited(Relay):
    """A relay whose configuration a test may change: edit() gets its text."""

    def __init__(self, *args, edit=None, **kwargs):
        self.edit = edit
        super().__init__(*args, **kwargs)

    def write_conf(self):
        super().write_conf()
        if self.edit:
            with open(self.conf) as f:
                text = self.edit(f.read())
            with open(self.conf, "w") as f:
                f.write(text)

    def launch(self, *command, env=None):
        """Starts COMMAND posthornd -c CONF, and waits until it is ready."""
        self.log_offset = os.path.getsize(self.log) if os.path.exists(self.log) else 0
        self.process = subprocess.Popen([*command, "-c", self.conf, "--allow-volatile"], env=dict(os.environ, **(env or {})),
                                        stdout=subprocess.DEVNULL, stderr=open(os.path.join(self.folder, "stderr"), "ab"))
        wait_for(self._is_ready, "posthornd to be ready", 60)
        self._read_ports()
        return self


def refused(conf, *options, timeout=60):
    """posthornd ends by itself: its status and what it said."""
    r = subprocess.run([os.path.join(BUILD, "posthornd"), "-c", conf, *options], stdin=subprocess.DEVNULL,
                       capture_output=True, text=True, timeout=timeout)
    return r.returncode, r.stderr


class World(unittest.TestCase):
    """A relay that signs for example.com, knot, a sink."""
    extra = EXTRA

    @classmethod
    def setUpClass(cls):
        cls.relay = Edited(extra=cls.extra)
        cls.addClassCleanup(cls.relay.cleanup)
        cls.sink = Sink("127.0.0.2")
        cls.sink.start()
        cls.addClassCleanup(cls.sink.stop)
        cls.dns = Dns(cls.relay.folder)
        cls.dns.zone("sink.example", "@ MX 10 mx\nmx A 127.0.0.2\n")
        for zone in ("example.com", "second.example", "third.example"):
            cls.dns.zone(zone, "@ MX 10 mx.sink.example.\n")
        cls.dns.start()
        cls.addClassCleanup(cls.dns.stop)
        cls.relay.dns, cls.relay.sink_port = cls.dns, cls.sink.port
        cls.relay.write_conf()
        cls.relay.start()
        cls.account = cls.relay.account()
        cls.key, cls.password = cls.relay.credential("app1")
        cls.publish("example.com")
        cls.wait_verified("example.com")

    def setUp(self):
        with self.sink.lock:
            self.sink.messages.clear()

    @classmethod
    def publish(cls, name):
        cls.relay.ctl("identity", "add", name)
        text = "@ MX 10 mx.sink.example.\n"
        for r in cls.relay.json("identity", "dns-records", name)["Records"]:
            value = r["Value"]
            text += f"{r['Name']}. TXT " + " ".join(f'"{value[i:i + 250]}"' for i in range(0, len(value), 250)) + "\n"
        cls.dns.set_zone(name, text)
        cls.relay.ctl("dkim", "verify", name)

    @classmethod
    def wait_verified(cls, name, timeout=30):
        wait_for(lambda: cls.relay.json("identity", "show", name)["VerificationStatus"] == "SUCCESS",
                 f"{name} to be verified", timeout)

    def session(self, listener="clear"):
        w = self.relay.session(self.key, self.password, listener)
        self.addCleanup(w.close)
        return w

    def message(self, w, to="jane@sink.example"):
        return w.message("bob@example.com", to, BODY)

    def signed_copy(self, mid):
        found = wait_for(lambda: next((m for m in list(self.sink.messages) if mid.encode() in m.data), None), "the copy")
        self.assertIn(b"d=example.com", found.data)
        return found

    def pids(self):
        return {name: started(self.relay, name) for name in ("keys", "verifier", "relay")}

    def wait_other(self, name, pid):
        wait_for(lambda: started(self.relay, name) != pid, f"another {name}")

    def assert_only(self, name, before):
        """Nobody else was started anew."""
        after = self.pids()
        self.assertNotEqual(after.pop(name), before[name])
        self.assertEqual(after, {k: v for k, v in before.items() if k != name})
