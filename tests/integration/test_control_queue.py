# SPDX-License-Identifier: ISC
"""The control socket with mail in the queue: hold, bounce, delete, show, send, many callers (admin-cli.md 9)."""
import json
import os
import socket
import subprocess
import threading
import unittest

from harness.control_world import Running
from harness.relay import BUILD
from harness.waiting import wait_for

MAIL = "From: a@example.com\nTo: x@sink.example\nSubject: test\n\nhello\n"


class Queue(Running):
    """DNS does not answer: what is accepted waits."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.account, cls.key, cls.password = cls.relay.sender(config_set="main")

    def send(self, to="b@sink.example"):
        return self.ctl("send", "--from", "a@example.com", "--to", to, "--subject", "Grüße", "--text", "-",
                        input="hello\n").strip()

    def job(self, message, *args):
        return [j for j in self.json("queue", "list", *args)["Jobs"] if j["MessageId"] == message]

    def test_hold_and_release(self):
        """admin-cli#17"""
        message = self.send()
        self.assertEqual(self.ctl("queue", "hold", message), "")
        job, = self.job(message, "--state", "held")
        self.assertEqual((job["State"], job["HeldBy"]), ("HELD", ["operator"]))
        self.ctl("queue", "release", message)
        self.assertEqual(self.job(message, "--state", "held"), [])
        self.assertEqual(len(self.job(message)), 1)
        for name in ("QueueHold", "QueueRelease"):
            lines = [l for l in self.audit(name) if l["requestParameters"]["id"] == [message]]
            self.assertEqual(len(lines), 1)
            self.assertEqual(lines[0]["recipientAccountId"], self.account)

    def test_bounce_is_followed(self):
        """admin-cli#25"""
        message = self.waiting("late@sink.example")
        tail = subprocess.Popen([os.path.join(BUILD, "posthornctl"), "-s", self.relay.socket, "event", "tail",
                                 "--json", "--types", "BOUNCE", "--follow", "--message-id", message],
                                stdout=subprocess.PIPE, text=True)
        self.addCleanup(tail.stdout.close)
        self.addCleanup(tail.wait)
        self.addCleanup(tail.terminate)
        lines = []
        reader = threading.Thread(target=lambda: lines.append(tail.stdout.readline()))
        reader.start()
        self.ctl("queue", "bounce", message, "--reason", "by hand")
        reader.join(5)
        event = json.loads(lines[0])
        self.assertEqual(event["eventType"], "Bounce")
        self.assertEqual((event["bounce"]["bounceType"], event["bounce"]["bounceSubType"]),
                         ("Undetermined", "Undetermined"))
        recipient, = event["bounce"]["bouncedRecipients"]
        self.assertEqual((recipient["emailAddress"], recipient["status"]), ("late@sink.example", "5.3.0"))
        self.assertIn("by hand", recipient["diagnosticCode"])
        self.assertEqual(event["mail"]["tags"]["ses:caller-identity"], ["root"])
        self.assertEqual(self.job(message), [])

    def waiting(self, to="b@sink.example"):
        """A message whose attempt is over: what is under way cannot be taken out."""
        message = self.send(to)
        wait_for(lambda: [j["State"] for j in self.job(message)] == ["DEFERRED"], "the attempt to end")
        return message

    def test_delete(self):
        message = self.waiting()
        self.refused("this cannot be undone; give --yes", "queue", "delete", message, status=2)
        self.ctl("queue", "delete", message, "--yes")
        self.assertEqual(self.job(message), [])
        kinds = [e["eventType"] for e in self.relay.events("--message-id", message)]
        self.assertNotIn("Bounce", kinds)
        self.assertEqual(kinds[0], "Send")
        self.assertEqual([l["requestParameters"]["id"] for l in self.audit("QueueDelete")][-1], [message])
        r = self.refused("no such message", "queue", "delete", message, "--yes")
        self.assertIn(message, r.stderr)

    def test_show(self):
        message = self.send("shown@sink.example")
        shown = self.json("queue", "show", message, "--headers", "--body")
        self.assertEqual([j["Recipient"] for j in shown["Jobs"]], ["shown@sink.example"])
        self.assertIn("Subject: ", shown["Headers"])
        self.assertIn("From: a@example.com\r\n", shown["Headers"])
        self.assertEqual(shown["Body"], "hello\r\n")
        text = self.ctl("queue", "show", message, "--body")
        self.assertTrue(text.endswith("\nhello\n") or text.endswith("\nhello\r\n"), text[-80:])
        trace = self.json("trace", "show", message)
        self.assertEqual((trace["MessageId"], trace["FromEmailAddress"]), (message, "a@example.com"))
        self.assertEqual(trace["Insights"][0]["Events"][-1]["Type"], "SEND")

    def test_send_is_checked(self):
        r = self.run_ctl("--json", "send", "--from", "a@unverified.example", "--to", "b@sink.example", "--text", "-",
                         input="x\n")
        self.assertEqual(r.returncode, 1)
        error = json.loads(r.stderr)["Error"]
        self.assertEqual(error["Code"], "MessageRejected")
        self.assertIn("Email address is not verified", error["Message"])
        path = os.path.join(self.relay.folder, "raw.eml")
        with open(path, "wb") as f:
            f.write(MAIL.encode().replace(b"\n", b"\r\n") + b"\xff\xfe\r\n")
        self.ctl("send", "--from", "a@example.com", "--to", "b@sink.example", "--raw", path)
        self.refused("at most 20 recipients", "send", "--from", "a@example.com", "--text", "/dev/null", "--to",
                     ",".join(f"{i}@sink.example" for i in range(21)))

    def test_many_callers(self):
        """Sockets that say nothing do not keep others out for long, and a caller who hangs up does no harm."""
        idle = []
        for _ in range(40):
            s = socket.socket(socket.AF_UNIX)
            s.connect(self.relay.socket)
            idle.append(s)
        self.assertEqual(self.run_ctl("status").returncode, 0)
        for s in idle:
            s.close()
        for junk in (b"\n", b"{}\n", b"[1]\n", b'{"verb":1}\n', b'{"verb":"queue list","args":[]}\n', b"\xff\xfe\n",
                     b'{"verb":"account show","args":{"x":{}}}\n', b"{" * 3000 + b"\n"):
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(20)
                s.connect(self.relay.socket)
                s.sendall(junk)
                answer = json.loads(s.makefile().readline())
                self.assertEqual(answer["status"], 2, junk[:40])
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.relay.socket)
            s.sendall(b'{"verb":"queue list"}\n')
        self.assertEqual(self.run_ctl("status").returncode, 0)


if __name__ == "__main__":
    unittest.main()
