# SPDX-License-Identifier: ISC
"""What an operator sees of the queue and does with it: posthornctl queue, a paused account (admin-cli.md 9,
delivery.md 13)."""
import datetime
import json
import os
import re
import subprocess
import threading
import time
import unittest

from harness.queue_world import BODY, columns, ID, SPAN, STAMP, table, World
from harness.relay import BUILD
from harness.waiting import wait_for


class Listing(World):
    def test_list_columns(self):
        mid = self.deferred()
        text = self.relay.ctl("queue", "list", "--to", "sink.example")
        self.assertEqual(columns(text.splitlines()[0]),
                         ["id", "rcpt", "state", "attempts", "next-attempt", "age", "last-reply"])
        row = table(text)[0]
        self.assertEqual((row["id"], row["rcpt"], row["state"], row["attempts"], row["last-reply"]),
                         (mid, "rcpt@sink.example", "DEFERRED", "1", "451 4.3.0 try later"))
        self.assertRegex(row["next-attempt"], f"^{STAMP}Z$")
        self.assertRegex(row["age"], f"^{SPAN}$")
        due = datetime.datetime.strptime(row["next-attempt"], "%Y-%m-%dT%H:%M:%SZ")
        wait = (due - datetime.datetime.utcnow()).total_seconds()
        self.assertTrue(200 < wait <= 300, wait)

    def test_list_json(self):
        mid = self.deferred()
        jobs = self.relay.json("queue", "list")["Jobs"]
        self.assertEqual([(j["MessageId"], j["Recipient"], j["State"], j["Attempts"]) for j in jobs],
                         [(mid, "rcpt@sink.example", "DEFERRED", 1)])

    def test_filters(self):
        here = self.deferred("a@sink.example")
        there = self.deferred("b@other.example", sender="ann@example.com")
        self.relay.ctl("queue", "hold", there)

        def ids(*args):
            return {r["id"] for r in self.listed(*args)}
        self.assertEqual(ids(), {here, there})
        self.assertEqual(ids("--to", "other.example"), {there})
        self.assertEqual(ids("--to", "a@sink.example"), {here})
        self.assertEqual(ids("--from", "ann@example.com"), {there})
        self.assertEqual(ids("--state", "HELD"), {there})
        self.assertEqual(ids("--state", "deferred"), {here})
        self.assertEqual(ids("--credential", "app1"), {here, there})
        self.assertEqual(ids("--credential", self.key), {here, there})
        self.assertEqual(ids("--credential", "app2"), set())
        self.assertEqual(ids("--older-than", "1h"), set())
        self.refused("queue", "list", "--state", "sleeping")

    def test_pages(self):
        mids = [self.deferred(f"r{i}@sink.example") for i in range(5)]
        seen, token = [], None
        for _ in range(10):
            page = self.relay.json("queue", "list", "--limit", "2",
                                   *(["--next-token", token] if token else []))
            self.assertLessEqual(len(page["Jobs"]), 2)
            seen += [j["MessageId"] for j in page["Jobs"]]
            token = page.get("NextToken")
            if not token:
                break
        self.assertEqual(seen, sorted(mids))
        self.refused("queue", "list", "--next-token", "nonsense")

    def test_long(self):
        """More rows than the columns are measured by, and windows of the daemon: each once, in every form."""
        wanted = [f"u{i}@nowhere.example" for i in range(1100)] + [f"{'long' * 12}{i}@nowhere.example" for i in range(300)]
        w = self.relay.session(self.key, self.password)
        for at in range(0, len(wanted), 50):
            self.assertRegex(w.message("bob@example.com", wanted[at:at + 50], BODY), "^250 Ok ")
        w.close()
        wait_for(lambda: all(r["attempts"] == "1" for r in self.listed()), "all to be put off", 60)
        lines = self.relay.ctl("queue", "list").splitlines()
        self.assertEqual([l.split()[1] for l in lines[1:]], wanted)
        state = lines[0].index("state")
        self.assertEqual({l[state - 2:state + 8] for l in lines[1:1001]}, {"  DEFERRED"})
        self.assertRegex(lines[-1], f"^{ID}  {wanted[-1]}  DEFERRED  ")
        jobs = self.relay.json("queue", "list")["Jobs"]
        self.assertEqual([j["Recipient"] for j in jobs], wanted)
        again = self.relay.json("queue", "list", "--state", "deferred")["Jobs"]
        self.assertEqual([j["MessageId"] for j in again], [j["MessageId"] for j in jobs])
        self.assertEqual([l.split(",")[1] for l in self.relay.ctl("--csv", "queue", "list").splitlines()[1:]], wanted)
        paged, token = [], []
        while token is not None:
            page = self.relay.json("queue", "list", "--limit", "600", *token)
            paged += [j["Recipient"] for j in page["Jobs"]]
            token = ["--next-token", page["NextToken"]] if "NextToken" in page else None
        self.assertEqual(paged, wanted)

    def test_active(self):
        go = threading.Event()
        self.sink.rules.hold["rcpt"] = go
        self.addCleanup(go.set)
        mid = self.send()
        self.sink.wait_sessions(1)
        row = self.wait_state(mid, "ACTIVE")
        self.assertEqual(row["attempts"], "0")
        summary = self.relay.json("queue", "summary")
        self.assertEqual({s["State"]: s["Recipients"] for s in summary["States"]}["ACTIVE"], 1)
        go.set()
        self.sink.wait(1)

    def test_show(self):
        mid = self.deferred(data="From: bob@example.com\nTo: x\nSubject: shown\nX-Mine: yes\n\nThe body.\n")
        shown = self.relay.json("queue", "show", mid)
        self.assertEqual(shown["MessageId"], mid)
        self.assertEqual(shown["Sender"], "bob@example.com")
        self.assertEqual([j["State"] for j in shown["Jobs"]], ["DEFERRED"])
        self.assertEqual([e["Type"] for e in shown["History"]][:1] and
                         sorted({e["Type"] for e in shown["History"]}), ["DELIVERY_DELAY", "SEND"])
        text = self.relay.ctl("queue", "show", mid, "--headers")
        self.assertIn("X-Mine: yes", text)
        self.assertNotIn("The body.", text)
        self.assertIn("The body.", self.relay.ctl("queue", "show", mid, "--body"))
        whole = self.relay.json("queue", "show", mid, "--headers", "--body")
        self.assertIn("Feedback-ID", whole["Headers"])
        self.assertEqual(whole["Body"].strip(), "The body.")
        self.refused("queue", "show", "0100019cae0bba4b-3f1d2c4e-8a77-4d1b-9c55-0e6f7a8b9c0d-000000")
        self.refused("queue", "show", "nonsense")


class Summary(World):
    def test_summary_layout(self):
        """statistics.md section 7, column for column."""
        mid = self.deferred()
        held = self.deferred("other@sink.example")
        self.relay.ctl("queue", "hold", held)
        lines = self.relay.ctl("queue", "summary").splitlines()
        self.assertEqual(lines[0], "state                 recipients  messages     bytes   oldest")
        names = ["active", "ready", "deferred", "held: operator", "held: config-set paused",
                 "held: account paused", "scheduled", "total"]
        figures = {}
        for line, name in zip(lines[1:9], names):
            self.assertTrue(line.startswith(name + " "), line)
            self.assertRegex(line[32:42].rjust(10), r"^ *\d+$", line)
            figures[name] = (int(line[len(name):32]), int(line[32:42]), line[42:52].strip(), line[52:])
        self.assertEqual({n: f[:2] for n, f in figures.items()},
                         {"active": (0, 0), "ready": (0, 0), "deferred": (1, 1), "held: operator": (1, 1),
                          "held: config-set paused": (0, 0), "held: account paused": (0, 0),
                          "scheduled": (0, 0), "total": (2, 2)})
        self.assertEqual(figures["ready"][2:], ("0", "   -"))
        self.assertRegex(figures["deferred"][2], r"^\d+(\.\d)? k?B$")
        self.assertRegex(figures["deferred"][3], rf"^   {SPAN}$")
        self.assertEqual(lines[9], "")
        self.assertRegex(lines[10], rf"^next retry in {SPAN}    attempts last 5 min \d+ "
                                    r"\(delivered \d+, deferred \d+, failed \d+\)$")
        self.assertEqual(lines[11], "")
        self.assertEqual(lines[12], "site (top 10 by deferred)    deferred  active  connections  "
                                    "backoff until          last reply")
        site = lines[13]
        self.assertTrue(site.startswith("sink.example "), site)
        self.assertEqual(site[:37].split()[1:], ["1"], site)
        self.assertEqual(site[37:45].strip(), "0")
        self.assertRegex(site[45:58].strip(), r"^\d+/\d+$")
        self.assertRegex(site[60:83], rf"^(-|{STAMP}Z) *$")
        self.assertEqual(site[83:], "451 4.3.0 try later")
        self.relay.ctl("queue", "delete", mid, held, "--yes")
        self.assertEqual(self.relay.ctl("queue", "summary").splitlines()[11:], [])

    def test_summary_json(self):
        self.deferred()
        s = self.relay.json("queue", "summary")
        states = {(r["State"], r.get("HeldBy")): r for r in s["States"]}
        row = states[("DEFERRED", None)]
        self.assertEqual((row["Recipients"], row["Messages"]), (1, 1))
        self.assertGreater(row["Bytes"], len(BODY))
        self.assertGreaterEqual(row["OldestSeconds"], 0)
        self.assertIsNone(states[("READY", None)]["OldestSeconds"])
        self.assertTrue(0 < s["NextRetrySeconds"] <= 300)
        self.assertEqual(s["Sites"][0]["LastReply"], "451 4.3.0 try later")
        other = self.relay.account("elsewhere")
        mine = self.relay.json("-a", other, "queue", "summary")
        self.assertEqual([r["Recipients"] for r in mine["States"]], [0] * len(mine["States"]))
        self.relay.ctl("account", "delete", other, "--yes")


class Changing(World):
    # the second message to slow.example waits for its turn: READY
    extra = World.extra + "delivery.dest slow.example {\n    rate 0.001\n}\n"

    def setUp(self):
        super().setUp()
        if "slow.example" not in self.dns.zones:
            self.dns.set_zone("slow.example", "@ MX 10 a.sink.example.\n")

    def ready(self):
        self.send("first@slow.example")
        mid = self.send("second@slow.example")
        self.wait_state(mid, "READY")
        return mid

    def test_hold_and_release(self):
        """admin-cli#17"""
        mid = self.ready()
        before = [len(self.audit(n)) for n in ("QueueHold", "QueueRelease")]
        self.assertEqual(self.relay.ctl("queue", "hold", mid), "")
        self.assertEqual(self.row(mid)["state"], "HELD")
        self.assertEqual(self.relay.ctl("queue", "release", mid), "")
        self.assertEqual(self.row(mid)["state"], "READY")
        found = [self.audit(n) for n in ("QueueHold", "QueueRelease")]
        self.assertEqual([len(f) for f in found], [n + 1 for n in before])
        self.assertIn(mid, json.dumps(found[0][-1]["requestParameters"]))

    def test_hold_by_choice(self):
        a = self.deferred("a@sink.example")
        b = self.deferred("b@other.example")
        self.relay.ctl("queue", "hold", "--to", "other.example")
        self.assertEqual((self.row(a)["state"], self.row(b)["state"]), ("DEFERRED", "HELD"))
        self.relay.ctl("queue", "hold", "--from", "bob@example.com")
        self.assertEqual(self.row(a)["state"], "HELD")
        for choice in (("hold", "--credential", "nosuch"), ("release", "--to", "nowhere.example")):
            r = self.relay.run_ctl("queue", *choice)
            self.assertEqual((r.returncode, r.stderr), (0, "warning: 0 recipients were changed\n"))
        r = self.relay.run_ctl("queue", "release", "--credential", "app1")
        self.assertEqual((r.returncode, r.stderr), (0, ""))
        self.sink.wait(2)
        wait_for(lambda: not self.listed(), "the queue to be empty")

    def test_hold_with_its_credential(self):
        key, password = self.relay.credential("app9")
        self.sink.rules.rcpt = "451 4.3.0 try later"
        w = self.relay.session(key, password)
        mid = w.message("bob@example.com", "rcpt@sink.example", BODY).split()[2]
        w.close()
        other = self.deferred("other@sink.example")
        self.wait_state(mid, "DEFERRED")
        self.relay.ctl("credential", "disable", key, "--hold-queue")
        self.assertEqual((self.row(mid)["state"], self.row(other)["state"]), ("HELD", "DEFERRED"))
        self.relay.ctl("queue", "release", mid)
        self.sink.wait(1)

    def test_held_is_not_tried(self):
        mid = self.deferred()
        self.relay.ctl("queue", "hold", mid)
        self.refused("queue", "hold", status=2)
        with self.sink.lock:
            connections = len(self.sink.sessions)
        self.relay.run_ctl("queue", "retry", mid)
        self.assertEqual(self.row(mid)["state"], "HELD")
        with self.sink.lock:
            self.assertEqual(len(self.sink.sessions), connections)
        self.relay.ctl("queue", "release", mid)
        self.sink.wait(1)

    def test_retry(self):
        mid = self.deferred()
        began = time.monotonic()
        self.assertEqual(self.relay.ctl("queue", "retry", mid), "")
        self.sink.wait(1)
        self.assertLess(time.monotonic() - began, 5)
        self.wait_of(mid, "Delivery")
        self.assertEqual(len(self.audit("QueueRetry")) > 0, True)

    def test_retry_by_domain_and_all(self):
        a, b = self.deferred("a@sink.example"), self.deferred("b@other.example")
        self.relay.ctl("queue", "retry", "--to", "other.example")
        self.wait_of(b, "Delivery")
        self.assertEqual(self.row(a)["state"], "DEFERRED")
        self.relay.ctl("queue", "retry", "--all")
        self.wait_of(a, "Delivery")

    def test_retry_keeps_the_lifetime(self):
        mid = self.deferred()
        before = self.relay.json("queue", "show", mid)["Jobs"][0]["ExpiresAt"]
        self.sink.rules.rcpt = "451 4.3.0 try later"
        self.relay.ctl("queue", "retry", mid)
        wait_for(lambda: self.row(mid)["attempts"] == "2", "a second attempt")
        job = self.relay.json("queue", "show", mid)["Jobs"][0]
        self.assertEqual(job["ExpiresAt"], before)
        self.assertEqual(len(self.of(mid, "DeliveryDelay")), 2)

    def test_bounce(self):
        mid = self.deferred()
        self.assertEqual(self.relay.ctl("queue", "bounce", mid, "--reason", "Not wanted any more"), "")
        event = self.wait_of(mid, "Bounce")[0]["bounce"]
        self.assertEqual((event["bounceType"], event["bounceSubType"]), ("Undetermined", "Undetermined"))
        rcpt = event["bouncedRecipients"][0]
        self.assertEqual((rcpt["emailAddress"], rcpt["action"], rcpt["status"]),
                         ("rcpt@sink.example", "failed", "5.3.0"))
        self.assertIn("Not wanted any more", rcpt["diagnosticCode"])
        self.assertIsNone(self.row(mid))
        self.assertEqual(self.audit("QueueBounce")[-1]["requestParameters"]["reason"], "Not wanted any more")

    def test_bounce_of_one_recipient(self):
        self.sink.rules.rcpt = "451 4.3.0 try later"
        mid = self.send(["a@sink.example", "b@sink.example"])
        wait_for(lambda: [r["state"] for r in self.listed()] == ["DEFERRED"] * 2, "both to wait")
        self.relay.ctl("queue", "bounce", mid, "--rcpt", "b@sink.example")
        bounced = self.wait_of(mid, "Bounce")
        self.assertEqual([r["emailAddress"] for e in bounced for r in e["bounce"]["bouncedRecipients"]],
                         ["b@sink.example"])
        self.assertEqual([r["rcpt"] for r in self.listed() if r["id"] == mid], ["a@sink.example"])
        self.refused("queue", "bounce", mid, "--rcpt", "nobody@sink.example")

    def test_delete(self):
        mid = self.deferred()
        before = len(self.of(mid))
        r = subprocess.run([os.path.join(BUILD, "posthornctl"), "-s", self.relay.socket, "queue", "delete", mid],
                           stdin=subprocess.DEVNULL, capture_output=True, text=True)
        self.assertEqual(r.returncode, 2, r.stderr)
        self.assertIsNotNone(self.row(mid))
        self.relay.ctl("queue", "delete", mid, "--yes")
        self.assertIsNone(self.row(mid))
        self.assertEqual(len(self.of(mid)), before)
        self.assertIn(mid, json.dumps(self.audit("QueueDelete")[-1]))

    def test_not_in_the_queue(self):
        gone = "0100019cae0bba4b-3f1d2c4e-8a77-4d1b-9c55-0e6f7a8b9c0d-000000"
        for verb in ("hold", "release", "retry", "bounce"):
            self.assertIn(gone, self.refused("queue", verb, gone))
        mid = self.deferred()
        self.assertIn(gone, self.refused("queue", "hold", mid, gone, status=4))
        self.assertEqual(self.row(mid)["state"], "HELD")

    def test_other_account(self):
        mid = self.deferred()
        other = self.relay.account("stranger")
        self.refused("-a", other, "queue", "hold", mid)
        self.refused("-a", other, "queue", "show", mid)
        self.assertEqual(self.row(mid)["state"], "DEFERRED")
        self.relay.ctl("account", "delete", other, "--yes")

    def test_dry_run(self):
        mid = self.deferred()
        audited = len(self.audit("QueueHold"))
        self.assertIn("hold", self.relay.ctl("--dry-run", "queue", "hold", mid))
        self.assertEqual(self.row(mid)["state"], "DEFERRED")
        self.assertEqual(len(self.audit("QueueHold")), audited)

    def test_an_attempt_is_not_cut(self):
        go = threading.Event()
        self.sink.rules.hold["rcpt"] = go
        self.addCleanup(go.set)
        mid = self.send()
        self.wait_state(mid, "ACTIVE")
        self.refused("queue", "delete", mid, "--yes")
        go.set()
        self.wait_of(mid, "Delivery")


class Paused(World):
    def test_pause(self):
        """delivery#24, quotas#21: what waits is held, new mail refused; afterwards all of it goes out"""
        self.sink.rules.rcpt = "451 4.3.0 try later"
        mids = [self.send(f"r{i}@sink.example") for i in range(10)]
        wait_for(lambda: [r["state"] for r in self.listed()] == ["DEFERRED"] * 10, "ten to wait")
        self.sink.rules.rcpt = None
        with self.sink.lock:
            connections = len(self.sink.sessions)
        self.relay.ctl("account", "pause", "--reason", "test")
        held = wait_for(lambda: next((l for l in self.relay.ctl("queue", "summary").splitlines()
                                      if re.match(r"held: account paused +10 +10 ", l)), None), "ten held")
        self.assertTrue(held)
        self.assertEqual({r["state"] for r in self.listed()}, {"HELD"})
        self.relay.ctl("queue", "retry", "--all")
        self.assertEqual({r["state"] for r in self.listed()}, {"HELD"})
        with self.sink.lock:
            self.assertEqual(len(self.sink.sessions), connections)
        w = self.relay.session(self.key, self.password)
        self.assertEqual(w.message("bob@example.com", "b@sink.example", "Subject: x\n\nx\n"),
                         "554 Message rejected: Sending paused for this account.")
        w.close()
        self.relay.ctl("account", "resume", "--reason", "test is over")
        self.sink.wait(10)
        for mid in mids:
            self.wait_of(mid, "Delivery")
        self.wait_of(self.send(), "Delivery")

    def test_two_holds(self):
        mid = self.deferred()
        self.relay.ctl("queue", "hold", mid)
        self.relay.ctl("account", "pause", "--reason", "test")
        self.relay.ctl("account", "resume", "--reason", "test is over")
        self.assertEqual(self.row(mid)["state"], "HELD")
        self.relay.ctl("queue", "release", mid)
        self.sink.wait(1)


if __name__ == "__main__":
    unittest.main()
