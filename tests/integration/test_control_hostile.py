# SPDX-License-Identifier: ISC
"""The control socket against callers who mean no good, or nothing at all: bounded, answered, alive."""
import array
import json
import os
import random
import re
import socket
import unittest

from harness.relay import Relay
from harness.waiting import wait_for

ROUNDS = 1500
SEED = int(os.environ.get("POSTHORN_SEED", random.SystemRandom().randrange(1 << 32)))
# what ends the daemon, waits for more, or writes where it is told to
LEFT_OUT = {"stop", "store backup", "doctor", "audit tail"}
NAMES = ("name id reason from to cc bcc subject tag header limit next-token rate max-24h burst force verified dkim "
         "bits selector key-file policy role allow-cidr listener min-tls rcpt max-recipients max-size max-sessions "
         "expires description keep access-key-id smtp-password secret production sandbox contact mail-type website "
         "use-case language suppress-reasons auto-warmup date message-id received attachments enforce type status "
         "format token state config-set credential older-than all headers body private types since text "
         "ehlo kind account address pattern actor event changed-since nsupdate content hold-queue now no-probe").split()
VALUES = [None, True, False, 0, 1, -1, 3, 0.5, -1.0, 1e308, 2 ** 63 - 1, -2 ** 63, "", " ", "-", "x", "*", "a" * 4096,
          "a" * 5000, "example.com", "EXAMPLE.com.", "www.example.com", "a@example.com", "@", "a@", "ä@exämple.com",
          "\u202e", "123456789012", "000000000000", "app1", "AKIAIOSFODNN7EXAMPLE", "127.0.0.1", "::1", "1.2.3.4/33",
          "0100019cae0bba4b-3f1d2c4e-8a77-4d1b-9c55-0e6f7a8b9c0d-000000", "HELD", "held", "BOUNCE", "%s%n", "../../x",
          "a\x00b", "a\nb", "{", '{"Version":"2012-10-17","Statement":[]}', [], ["x"], ["a@example.com"], ["x"] * 3000,
          [["x"]], [1], {}, {"a": 1}, "managed", "none", "zone", "full"]


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.relay = Relay()
        cls.addClassCleanup(cls.relay.cleanup)
        cls.relay.start()
        cls.relay.account()
        cls.relay.ctl("identity", "add", "example.com", "--verified", "--dkim", "none")
        cls.relay.credential("app1")
        # begun here, looked at by the last test: they take 30 s to end
        cls.half = [cls.open(b'{"verb":"status"') for _ in range(5)]

    @classmethod
    def open(cls, text=b""):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(60)
        s.connect(cls.relay.socket)
        s.sendall(text)
        return s

    def ask(self, text, fds=()):
        """The last line of the answer; None when the connection just ended."""
        with self.open() as s:
            try:
                if fds:
                    s.sendmsg([text], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
                else:
                    s.sendall(text)
            except (BrokenPipeError, ConnectionResetError):
                pass
            data = b""
            try:
                while piece := s.recv(1 << 16):
                    data += piece
            except ConnectionResetError:
                pass
        lines = data.split(b"\n")
        self.assertEqual(lines[-1], b"", "an answer ends with its line")
        return json.loads(lines[-2]) if len(lines) > 1 else None

    def request(self, verb, args=None, **more):
        return self.ask(json.dumps({"verb": verb, "args": args or {}, **more}).encode() + b"\n")

    def assert_alive(self):
        self.assertEqual(self.request("status").get("status", 0), 0)
        log = self.relay.log_text()
        self.assertNotRegex(log, r"child-ended child=(relay|keys)")
        self.assertNotIn("audit-failed", log)
        self.assertNotRegex(log, r"runtime error|AddressSanitizer")

    def files(self):
        return len(os.listdir(f"/proc/{self.relay.child('relay')}/fd"))

    def test_random_requests(self):
        """Every command with arguments it does not want: an answer in its form each time, and a daemon that lives."""
        verbs = set()
        for line in self.relay.run_ctl("help").stdout.splitlines():
            found = re.match(r"posthornctl ([a-z-]+(?: [a-z][a-z-]+)?)\b", line)
            if found:
                verbs.add(found.group(1))
        verbs = sorted(verbs - LEFT_OUT)
        self.assertGreater(len(verbs), 60)
        dice = random.Random(SEED)
        answered = {0: 0, 1: 0, 2: 0, 4: 0}
        for n in range(ROUNDS):
            verb = verbs[n % len(verbs)]
            args = {dice.choice(NAMES): dice.choice(VALUES) for _ in range(dice.randrange(6))}
            if dice.random() < 0.7:
                args["name"] = dice.choice(VALUES)
            more = {}
            if dice.random() < 0.3:
                more["account"] = dice.choice(VALUES)
            if dice.random() < 0.3:
                more["dry_run"] = dice.choice([True, True, False, None, "yes", 1])
            with self.subTest(seed=SEED, n=n, verb=verb, args=str(args)[:300], more=str(more)[:200]):
                answer = self.request(verb, args, **more)
                self.assertIsInstance(answer, dict)
                status = answer.get("status", 0)
                self.assertIn(status, answered)
                if "error" in answer:
                    self.assertNotEqual(status, 0)
                    self.assertTrue(answer["error"]["Code"] and answer["error"]["Message"], answer)
                answered[status] += 1
        self.assertGreater(min(answered[0], answered[1], answered[2]), ROUNDS // 50, answered)
        self.assert_alive()

    def test_octet_by_octet(self):
        with self.open() as s:
            for c in b'{"verb":"version"}\n':
                s.sendall(bytes([c]))
            self.assertIn("Version", json.loads(s.makefile().readline())["result"])

    def test_too_long(self):
        """A request of more than 1 MB is refused as soon as that is known, with a reason."""
        answer = self.ask(b'{"verb":"' + b"x" * (3 << 20))
        self.assertEqual((answer["status"], answer["error"]["Message"]), (1, "a request is at most 1 MB long"))
        line = json.dumps({"verb": "credential set", "args": {"name": "app1", "policy": ["x" * 1000000]}}).encode()
        self.assertIn("error", self.ask(line + b"\n"))
        self.assert_alive()

    def test_more_behind_a_request(self):
        """One request a connection: what follows is not read as another."""
        before = len(self.relay.json("account", "list")["Accounts"])
        self.ask(b'{"verb":"queue summary"}\n{"verb":"account create","args":{"name":"second"}}\n')
        self.assertEqual(len(self.relay.json("account", "list")["Accounts"]), before)

    def test_many_callers(self):
        """64 at a time; the next one is told so, and comes in when one has gone."""
        idle = [self.open() for _ in range(64)]  # whether the half lines are there still or not
        try:
            answer = wait_for(lambda: self.request("version").get("error"), "the refusal")
            self.assertEqual(answer["Code"], "TooManyRequestsException")
            r = self.relay.run_ctl("status")
            self.assertEqual((r.returncode, r.stderr), (1, "error: too many callers of the control socket\n"))
        finally:
            for s in idle:
                s.close()
        wait_for(lambda: self.relay.run_ctl("status").returncode == 0, "room again")

    def test_descriptors(self):
        """Descriptors nobody asked for are closed, also a crowd of them, and behind a request."""
        with open(os.devnull) as null:
            before = self.files()
            for _ in range(20):
                self.assertEqual(self.ask(b'{"verb":"version"}\n', [null.fileno()] * 4).get("status", 0), 0)
                self.ask(b"nonsense\n", [null.fileno()] * 200)
            s = self.open()
            for _ in range(50):
                s.sendmsg([b" "], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [null.fileno()] * 4))])
            s.close()
            wait_for(lambda: self.files() <= before, "the descriptors to be closed")
        self.assert_alive()

    def test_long_arguments_are_audited(self):
        """What is too long for the audit log is cut there, and the command is still told."""
        self.request("credential set", {"name": "app1", "policy": ["big=" + "\n" * 500000], "description": "d"})
        self.request("queue hold", {"id": ["x" * 100] * 8000})
        with open(f"{self.relay.folder}/audit.jsonl") as f:
            lines = [json.loads(l) for l in f]
        found = [l["requestParameters"] for l in lines if l["eventName"] == "CredentialSet"
                 and l["requestParameters"].get("policy", [""])[0].startswith("big=")]
        self.assertTrue(found and found[-1]["policy"][0].endswith("..."), "cut")
        self.assertEqual((found[-1]["userName"], found[-1]["description"]), ("app1", "d"))
        held = [l["requestParameters"]["id"] for l in lines if l["eventName"] == "QueueHold"][-1]
        self.assertRegex(held[-1], r"^and \d+ more$")
        self.assertLess(len(held), 1000)
        self.assert_alive()

    def test_files_that_are_none(self):
        """A pipe where a file is wanted holds nobody up."""
        r, w = os.pipe()
        try:
            line = b'{"verb":"send","args":{"from":"a@example.com","to":["b@sink.example"],"content":0}}\n'
            answer = self.ask(line, [r])
            self.assertEqual((answer["status"], answer["error"]["Message"]), (2, "no message"))
            for index in (-1, 4, 99, 2 ** 40):
                answer = self.ask(line.replace(b'"content":0', b'"content":%d' % index), [r])
                self.assertNotEqual(answer["status"], 0)
        finally:
            os.close(r)
            os.close(w)
        self.assert_alive()

    def test_files_that_cannot_be_read(self):
        """A descriptor that is open for writing alone: the caller's mistake, and no trouble of the daemon's."""
        path = f"{self.relay.folder}/unread"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        self.addCleanup(os.close, fd)
        for verb, args in (("snds import", {}), ("suppression import", {}),
                           ("send", {"from": "a@example.com", "to": ["b@sink.example"]})):
            name = "message" if verb == "send" else "file"
            answer = self.ask(json.dumps({"verb": verb, "args": {**args, name: 0}}).encode() + b"\n", [fd])
            self.assertEqual(answer["status"], 1, answer)
            self.assertIn("cannot be read: Bad file descriptor", answer["error"]["Message"])
        self.assertNotRegex(self.relay.log_text(), r"(control|import)-failed .*Bad file descriptor")
        job = self.request("import-job list")["result"]["ImportJobs"][-1]
        self.assertEqual(job["JobStatus"], "FAILED")
        self.assertEqual(job["FailureInfo"], {"FailedRecordsS3Url": None, "ErrorMessage":
                                              "the file cannot be read: Bad file descriptor"})
        self.assert_alive()

    def test_hang_up(self):
        """Callers who go away while their request runs."""
        for verb in ("queue list", "account list", "event tail", "ip list", "queue summary", "metrics", "status"):
            for follow in (False, True):
                s = self.open(json.dumps({"verb": verb, "args": {"follow": True} if follow else {}}).encode() + b"\n")
                s.close()
        self.assert_alive()

    def test_z_half_lines_end(self):
        """A line that does not end is given up after 30 seconds, without a word."""
        for s in self.half:
            self.assertEqual(s.recv(100), b"")
            s.close()
        self.assert_alive()


if __name__ == "__main__":
    unittest.main()
