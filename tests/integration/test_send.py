# SPDX-License-Identifier: ISC
"""posthornctl send (admin-cli.md 11)."""
import json
import os
import unittest

from harness.queue_world import ID, World
from harness.waiting import wait_for


class Send(World):
    def test_text(self):
        mid = self.relay.ctl("send", "--from", "bob@example.com", "--to", "a@sink.example", "--cc", "c@sink.example",
                             "--bcc", "b@sink.example", "--subject", "Grüße", "--header", "X-Mine: 1", "--text", "-",
                             input="Hello\n.\nüber\n").strip()
        self.assertRegex(mid, f"^{ID}$")
        found = self.sink.wait(1)
        wait_for(lambda: sum(len(m.rcpts) for m in self.sink.messages) == 3, "three recipients")
        import email
        import email.policy
        m = email.message_from_bytes(found[0].data, policy=email.policy.default)
        self.assertEqual((m["Subject"], m["To"], m["Cc"], m["Bcc"], m["X-Mine"]),
                         ("Grüße", "a@sink.example", "c@sink.example", None, "1"))
        self.assertEqual(m.get_content().replace("\r\n", "\n"), "Hello\n.\nüber\n")
        self.assertIsNotNone(m["Date"])
        self.assertEqual({e["eventType"] for e in self.of(mid)} & {"Send"}, {"Send"})
        self.wait_of(mid, "Delivery", 3)
        tags = self.of(mid, "Send")[0]["mail"]["tags"]
        self.assertEqual(tags["ses:caller-identity"], ["root"])

    def test_raw(self):
        path = os.path.join(self.relay.folder, "raw.eml")
        with open(path, "w") as f:
            f.write("From: bob@example.com\nTo: elsewhere@example.net\nSubject: raw\n\nAs it is.\n")
        mid = self.relay.ctl("send", "--from", "bob@example.com", "--to", "a@sink.example", "--raw", path).strip()
        self.assertRegex(mid, f"^{ID}$")
        m = self.sink.wait(1)[0]
        self.assertEqual(m.rcpts, ["a@sink.example"])
        self.assertIn(b"Subject: raw\r\n", m.data)
        self.assertTrue(m.data.endswith(b"\r\n\r\nAs it is.\r\n"))

    def test_refused(self):
        common = ["send", "--text", "-", "--from"]
        self.assertIn("Email address is not verified",
                      self.refused(*common, "bob@unknown.example", "--to", "a@sink.example"))
        self.refused(*common, "bob@example.com", status=2)
        many = [a for i in range(21) for a in ("--to", f"r{i}@sink.example")]
        self.assertIn("20", self.refused(*common, "bob@example.com", *many))
        self.relay.ctl("account", "pause", "--reason", "test")
        try:
            self.assertIn("Sending paused", self.refused(*common, "bob@example.com", "--to", "a@sink.example"))
            r = self.relay.run_ctl("--json", *common, "bob@example.com", "--to", "a@sink.example", input="x\n")
            self.assertEqual(json.loads(r.stderr)["Error"]["Code"], "SendingPausedException")
        finally:
            self.relay.ctl("account", "resume", "--reason", "test is over")

    def test_simulator_list(self):
        text = self.relay.ctl("send", "--help-simulator")
        for name in ("success@", "bounce@", "ooto@", "complaint@", "suppressionlist@"):
            self.assertIn(name, text)


if __name__ == "__main__":
    unittest.main()
