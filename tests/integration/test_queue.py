# SPDX-License-Identifier: ISC
"""What an operator sees of the queue and does with it: posthornctl queue, event tail, trace, ip, send
(admin-cli.md 9, delivery.md 11 and 13, statistics.md 6.1 and 7)."""
import datetime
import json
import os
import queue
import re
import subprocess
import threading
import time
import unittest

from harness.dns import Dns
from harness.relay import BUILD, Relay
from harness.sink import Sink
from harness.waiting import wait_for

BODY = "From: bob@example.com\nTo: x\nSubject: test\n\nHello, world.\n"
ID = r"[0-9a-f]{16}-[0-9a-f-]{36}-000000"
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"
SPAN = r"(?:\d\d:\d\d:\d\d|\d+d \d\d:\d\d)"


def columns(line):
    return re.split(r"\s{2,}", line.strip())


def table(text):
    lines = text.splitlines()
    heading = columns(lines[0])
    return [dict(zip(heading, columns(l))) for l in lines[1:]]


class World(unittest.TestCase):
    """A relay with knot and two sinks, the second one for mail to the sender; a failed recipient waits for
    minutes."""
    extra = "delivery {\n    allow_private yes\n    retry_jitter 0\n    retry_schedule 5m\n}\n"

    @classmethod
    def setUpClass(cls):
        cls.relay = Relay(extra=cls.extra)
        cls.addClassCleanup(cls.relay.cleanup)
        first = Sink("127.0.0.2")
        cls.sinks = [first, Sink("127.0.0.3", first.port)]
        for s in cls.sinks:
            s.start()
            cls.addClassCleanup(s.stop)
        cls.sink = first
        cls.dns = Dns(cls.relay.folder)
        cls.dns.zone("sink.example", "@ MX 10 a\na A 127.0.0.2\n")
        cls.dns.zone("other.example", "@ MX 10 a.sink.example.\n")
        cls.dns.zone("example.com", "@ MX 10 b\nb A 127.0.0.3\n")
        cls.dns.start()
        cls.addClassCleanup(cls.dns.stop)
        cls.relay.dns, cls.relay.sink_port = cls.dns, first.port
        cls.relay.write_conf()
        cls.relay.start()
        cls.account, cls.key, cls.password = cls.relay.sender(config_set="main")

    def setUp(self):
        for s in self.sinks:
            with s.lock:
                s.rules.__init__()
                s.messages.clear()
                s.sessions.clear()

    def tearDown(self):
        wait_for(self.is_emptied, "the queue to be empty")

    def is_emptied(self):
        ids = {r["id"] for r in self.listed()}
        if ids:
            self.relay.run_ctl("queue", "delete", *ids, "--yes")
        return not ids

    def send(self, to="rcpt@sink.example", data=BODY, sender="bob@example.com"):
        w = self.relay.session(self.key, self.password)
        answer = w.message(sender, to, data)
        self.assertRegex(answer, "^250 Ok " + ID)
        w.cmd("QUIT")
        w.close()
        return answer.split()[2]

    def listed(self, *args):
        return table(self.relay.ctl("queue", "list", *args))

    def row(self, mid):
        return next((r for r in self.listed() if r["id"] == mid), None)

    def wait_state(self, mid, state):
        return wait_for(lambda: (lambda r: r if r and r["state"] == state else None)(self.row(mid)),
                        f"{mid} to be {state}")

    def of(self, mid, kind=None):
        return [e for e in self.relay.events("--message-id", mid) if kind is None or e["eventType"] == kind]

    def wait_of(self, mid, kind, count=1):
        return wait_for(lambda: (lambda f: f if len(f) >= count else None)(self.of(mid, kind)),
                        f"{count} {kind} of {mid}")

    def deferred(self, to="rcpt@sink.example", reply="451 4.3.0 try later", **more):
        """A message that was refused for now and waits."""
        self.sink.rules.rcpt = reply
        mid = self.send(to, **more)
        self.wait_state(mid, "DEFERRED")
        self.sink.rules.rcpt = None
        return mid

    def audit(self, name):
        with open(os.path.join(self.relay.folder, "audit.jsonl")) as f:
            return [r for r in map(json.loads, f) if r["eventName"] == name]

    def refused(self, *args, status=1):
        r = self.relay.run_ctl(*args)
        self.assertEqual(r.returncode, status, r.stdout + r.stderr)
        self.assertRegex(r.stderr, "^error: ")
        return r.stderr


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
        self.relay.ctl("queue", "release", "--credential", "app1")
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
        """delivery#24"""
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
        self.relay.ctl("account", "resume", "--reason", "test is over")
        self.sink.wait(10)
        for mid in mids:
            self.wait_of(mid, "Delivery")

    def test_two_holds(self):
        mid = self.deferred()
        self.relay.ctl("queue", "hold", mid)
        self.relay.ctl("account", "pause", "--reason", "test")
        self.relay.ctl("account", "resume", "--reason", "test is over")
        self.assertEqual(self.row(mid)["state"], "HELD")
        self.relay.ctl("queue", "release", mid)
        self.sink.wait(1)


class Follower:
    """posthornctl event tail --follow, read by a thread."""

    def __init__(self, relay, *args):
        self.process = subprocess.Popen(
            [os.path.join(BUILD, "posthornctl"), "-s", relay.socket, *args],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put((time.time(), line.rstrip("\n")))

    def next(self, timeout=20):
        return self.lines.get(timeout=timeout)

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        self.process.stdout.close()
        self.process.stderr.close()


class Events(World):
    def test_follow(self):
        """admin-cli#25"""
        f = Follower(self.relay, "event", "tail", "--json", "--types", "BOUNCE", "--follow", "--since", "now")
        self.addCleanup(f.stop)
        for n in range(3):
            mid = self.deferred(f"r{n}@sink.example")
            began = time.time()
            self.relay.ctl("queue", "bounce", mid)
            at, line = f.next()
            self.assertLess(at - began, 1.0)
            event = json.loads(line)
            self.assertEqual((event["eventType"], event["mail"]["messageId"]), ("Bounce", mid))
        self.assertTrue(f.lines.empty())

    def test_follow_shows_what_was_before(self):
        self.sink.rules.rcpt = None
        first = self.send()
        self.wait_of(first, "Delivery")
        f = Follower(self.relay, "event", "tail", "--follow", "--message-id", first)
        self.addCleanup(f.stop)
        self.assertEqual([json.loads(f.next()[1])["eventType"] for _ in range(2)], ["Send", "Delivery"])

    def test_filters(self):
        a = self.deferred("a@sink.example")
        b = self.send("b@other.example")
        self.wait_of(b, "Delivery")

        def ids(*args):
            return [(e["mail"]["messageId"], e["eventType"]) for e in self.relay.events(*args)
                    if e["mail"]["messageId"] in (a, b)]
        self.assertEqual(ids(), [(a, "Send"), (a, "DeliveryDelay"), (b, "Send"), (b, "Delivery")])
        self.assertEqual(ids("--types", "DELIVERY,DELIVERY_DELAY"), [(a, "DeliveryDelay"), (b, "Delivery")])
        self.assertEqual(ids("--types", "deliverydelay"), [(a, "DeliveryDelay")])
        self.assertEqual(ids("--to", "b@other.example"), [(b, "Send"), (b, "Delivery")])
        self.assertEqual(ids("--message-id", a), [(a, "Send"), (a, "DeliveryDelay")])
        self.assertEqual(ids("--since", "now"), [])
        self.assertEqual(len(ids("--since", "-1h")), 4)
        self.refused("event", "tail", "--types", "NOISE")

    def test_automatic_tags(self):
        mid = self.send()
        tags = self.wait_of(mid, "Delivery")[0]["mail"]["tags"]
        self.assertEqual(tags["ses:configuration-set"], ["main"])
        self.assertEqual(tags["ses:caller-identity"], ["app1"])
        self.assertEqual(tags["ses:from-domain"], ["example.com"])
        self.assertEqual(tags["ses:source-ip"], ["127.0.0.1"])
        self.assertEqual(tags["ses:operation"], ["SendSmtpEmail"])

    def header_record(self, size):
        """What a record shows of fields that take that many octets, each 1,024 with its name, ": " and CRLF."""
        fixed = "From: bob@example.com\nTo: x\n"
        left = size - len("Frombob@example.com") - len("Tox") - 8
        fields, n = [], 0
        while left > 0:
            cost = min(left, 1024) if left - 1024 > 20 or left <= 1024 else left - 30
            # a line holds 998 octets: the value is folded, and deleting CRLF leaves the blank
            value = ("v" * (cost - 4 - len(f"X-{n:02}")))
            value = value[:500] + (" " + value[501:] if len(value) > 501 else "")
            fields.append(f"X-{n:02}: {value[:500]}" + (f"\n{value[500:]}" if len(value) > 500 else ""))
            left -= cost
            n += 1
        mid = self.send(data=fixed + "\n".join(fields) + "\n\nHello\n")
        mail = self.wait_of(mid, "Send")[0]["mail"]
        return mail, sum(len(f["name"]) + len(f["value"]) + 4 for f in mail["headers"]), n + 2

    def test_headers_are_cut(self):
        """events#3: 12 KB of header fields"""
        mail, size, _ = self.header_record(12 * 1024)
        self.assertIs(mail["headersTruncated"], True)
        self.assertLessEqual(size, 10240)
        self.assertGreater(size, 10240 - 1024)
        self.assertEqual(mail["commonHeaders"]["from"], ["bob@example.com"])

    def test_headers_just_fit(self):
        """events#4: 10,240 octets exactly"""
        mail, size, fields = self.header_record(10240)
        self.assertIs(mail["headersTruncated"], False)
        self.assertEqual((size, len(mail["headers"])), (10240, fields))
        mail, size, fields = self.header_record(10241)
        self.assertIs(mail["headersTruncated"], True)

    def test_text(self):
        mid = self.send()
        self.wait_of(mid, "Delivery")
        lines = self.relay.ctl("event", "tail", "--text", "--message-id", mid, "--types", "DELIVERY").splitlines()
        self.assertRegex(lines[0], rf'^{STAMP}\.\d\d\dZ DELIVERY {mid} rcpt@sink\.example 127\.0\.0\.2 '
                                   r'"250 2\.6\.0 Message received"$')
        self.assertEqual(len(lines), 1)

    def test_accounts_are_apart(self):
        mid = self.send()
        self.wait_of(mid, "Delivery")
        other = self.relay.account("quiet")
        self.assertEqual(self.relay.ctl("-a", other, "event", "tail"), "")
        self.relay.ctl("account", "delete", other, "--yes")

    def test_many_events(self):
        """More than one window of the reader and of the socket."""
        w = self.relay.session(self.key, self.password)
        count = 400
        for i in range(count):
            self.assertRegex(w.message("bob@example.com", f"success+{i}@simulator.relay.example", BODY), "^250 ")
        w.close()
        events = self.relay.wait_events(
            lambda es: sum(e["eventType"] == "Delivery" and "simulator" in e["mail"]["destination"][0]
                           for e in es) >= count, "all deliveries", 60)
        self.assertEqual(len({e["mail"]["messageId"] for e in events
                              if "simulator" in e["mail"]["destination"][0]}), count)

    def test_slow_reader(self):
        """A follower that does not read costs a bounded buffer, and misses nothing."""
        mark = os.path.getsize(self.relay.log)
        f = subprocess.Popen([os.path.join(BUILD, "posthornctl"), "-s", self.relay.socket, "event", "tail", "--follow",
                              "--types", "SEND", "--since", "now"], stdout=subprocess.PIPE)
        self.addCleanup(f.stdout.close)
        self.addCleanup(f.wait)
        self.addCleanup(f.terminate)
        # "now" is when it asks
        self.relay.wait_log('control verb="event tail"', offset=mark)
        w = self.relay.session(self.key, self.password)
        filler = "".join(f"X-Filler-{i}: {'v' * 900}\n" for i in range(10))
        mids = []
        for i in range(600):
            answer = w.message("bob@example.com", f"success+{i}@simulator.relay.example", filler + BODY)
            self.assertRegex(answer, "^250 ")
            mids.append(answer.split()[2])
        w.close()
        seen = [json.loads(f.stdout.readline())["mail"]["messageId"] for _ in mids]
        self.assertEqual(seen, mids)


class ShortTail(World):
    """Events leave the tail after a moment."""
    extra = World.extra + "events.tail_keep 1s\n"

    def test_keep(self):
        """admin-cli.md: event tail looks back events.tail_keep, an explicit --since further"""
        mid = self.send("success@simulator.relay.example")
        wait_for(lambda: not self.of(mid), "the events to leave the tail")
        self.assertEqual([e["Type"] for e in self.relay.json("trace", "show", mid)["Insights"][0]["Events"]],
                         ["DELIVERY", "SEND"])


class Traces(World):
    extra = World.extra + "delivery.provider mine {\n    title \"My Mail\"\n    domains other.example\n}\n"

    def test_trace(self):
        """statistics#15"""
        mid = self.send(data="Message-ID: <order-17@app.example.com>\nFrom: Mary <mary@example.com>\nTo: x\n"
                             "Subject: =?utf-8?B?R3LDvMOfZQ==?=\n\nHello\n")
        self.wait_of(mid, "Delivery")
        for name in ("order-17@app.example.com", "<order-17@app.example.com>", mid):
            trace = self.relay.json("trace", "show", name)
            self.assertEqual(trace["MessageId"], mid)
            self.assertEqual(trace["FromEmailAddress"], "mary@example.com")
            self.assertEqual(trace["Subject"], "Grüße")
            self.assertEqual([i["Destination"] for i in trace["Insights"]], ["rcpt@sink.example"])
            self.assertEqual([e["Type"] for e in trace["Insights"][0]["Events"]], ["DELIVERY", "SEND"])
        text = self.relay.ctl("trace", "show", mid).splitlines()
        self.assertEqual(text[0], f"message   {mid}")
        self.assertRegex(text[1], rf"^client id <order-17@app\.example\.com> +accepted {STAMP}\.\d+Z from 127\.0\.0\.1 "
                                  r"\(app1, SMTP.*\)$")
        self.assertRegex(text[2], r"^from      mary@example\.com   envelope bob@example\.com   subject Grüße   size \d+$")
        self.assertRegex(text[3], r"^set       main +tags - +pool default ")
        self.assertEqual(text[4], "rcpt@sink.example  (sink.example)")
        self.assertRegex(text[5], rf"^  {STAMP}\.\d+Z  DELIVERY        127\.0\.0\.2 from 127\.0\.0\.\d+  "
                                  r".*250 2\.6\.0 Message received$")
        self.assertRegex(text[6], rf"^  {STAMP}\.\d+Z  SEND$")
        self.refused("trace", "show", "nobody@nowhere.example")

    def test_by_the_receivers_queue_id(self):
        self.sink.rules.reply = "250 2.0.0 Ok: queued as 4XyZ9Abc12"
        mid = self.send()
        self.wait_of(mid, "Delivery")
        self.assertEqual(self.relay.json("trace", "show", "4XyZ9Abc12")["MessageId"], mid)

    def test_provider(self):
        mid = self.send("someone@other.example")
        self.wait_of(mid, "Delivery")
        self.assertEqual(self.relay.json("trace", "show", mid)["Insights"][0]["Isp"], "My Mail")
        self.assertIn("someone@other.example  (My Mail)", self.relay.ctl("trace", "show", mid).splitlines())

    def test_several(self):
        """One client Message-ID twice, and a message that still waits."""
        data = "Message-ID: <twice@app.example.com>\nFrom: bob@example.com\nTo: x\nSubject: s\n\nHello\n"
        first = self.send(data=data)
        self.wait_of(first, "Delivery")
        second = self.deferred(data=data)
        found = self.relay.json("trace", "show", "twice@app.example.com")["Messages"]
        self.assertEqual([m["MessageId"] for m in found], [first, second])
        self.assertEqual(found[1]["Insights"][0]["Waiting"]["State"], "DEFERRED")
        self.assertEqual([e["Type"] for e in found[1]["Insights"][0]["Events"]], ["DELIVERY_DELAY", "SEND"])
        text = self.relay.ctl("trace", "show", "twice@app.example.com")
        self.assertEqual(re.findall(r"^message   (\S+)$", text, re.M), [first, second])
        other = self.relay.account("blind")
        self.refused("-a", other, "trace", "show", first)
        self.refused("-a", other, "trace", "show", "twice@app.example.com")
        self.relay.ctl("account", "delete", other, "--yes")


class Sources(World):
    def tearDown(self):
        super().tearDown()
        for row in table(self.relay.ctl("ip", "list")):
            self.relay.ctl("ip", "remove", row["address"], "--yes")

    def test_address_and_name(self):
        self.relay.ctl("ip", "add", "127.0.0.51", "--ehlo", "out51.relay.example")
        rows = table(self.relay.ctl("ip", "list"))
        self.assertEqual(list(rows[0]), ["address", "ehlo", "kind", "pool", "status", "warm-up", "sent-24h",
                                         "blocklists"])
        self.assertEqual([rows[0][k] for k in ("address", "ehlo", "kind", "pool", "status", "warm-up")],
                         ["127.0.0.51", "out51.relay.example", "shared", "ses-shared-pool", "enabled", "Complete"])
        mid = self.send("one@sink.example")
        m = self.sink.wait(1)[0]
        self.assertEqual((m.peer, m.ehlo), ("127.0.0.51", "out51.relay.example"))
        tags = self.wait_of(mid, "Delivery")[0]["mail"]["tags"]
        self.assertEqual(tags["ses:outgoing-ip"], ["127.0.0.51"])
        self.assertEqual(self.relay.json("ip", "show", "127.0.0.51")["EhloName"], "out51.relay.example")

    def test_what_is_refused(self):
        self.assertIn("203.0.113.9", self.refused("ip", "add", "203.0.113.9"))
        self.refused("ip", "add", "nonsense")
        self.refused("ip", "add", "127.0.0.52", "--ehlo", "not a name")
        self.relay.ctl("ip", "add", "127.0.0.52")
        self.refused("ip", "add", "127.0.0.52")
        self.refused("ip", "disable", "127.0.0.53")
        self.assertTrue(self.audit("IpAdd")[-1]["requestParameters"])

    def test_disabled_is_not_used(self):
        self.relay.ctl("ip", "add", "127.0.0.54")
        self.relay.ctl("ip", "add", "127.0.0.55")
        self.relay.ctl("ip", "disable", "127.0.0.54")
        for i in range(4):
            self.send(f"d{i}@sink.example")
        self.assertEqual({m.peer for m in self.sink.wait(4)}, {"127.0.0.55"})
        self.relay.ctl("ip", "enable", "127.0.0.54")
        self.relay.ctl("ip", "disable", "127.0.0.55")
        self.send("last@sink.example")
        self.assertEqual(self.sink.wait(5)[4].peer, "127.0.0.54")

    def test_no_usable_address(self):
        """The only one is disabled: mail waits, there is no other way (delivery.md 11.4)."""
        self.relay.ctl("ip", "add", "127.0.0.56")
        self.relay.ctl("ip", "disable", "127.0.0.56")
        mid = self.send()
        delay = self.wait_of(mid, "DeliveryDelay")[0]
        self.assertEqual(delay["deliveryDelay"]["delayType"], "SendingDeferral")
        self.assertEqual(self.row(mid)["state"], "READY")
        self.assertEqual(self.sink.messages, [])

    def test_sticky_source(self):
        """delivery#8: greylisted, tried again from the same address with the same envelope sender."""
        for last in (61, 62, 63):
            self.relay.ctl("ip", "add", f"127.0.0.{last}")
        for n in range(4):
            with self.sink.lock:
                self.sink.messages.clear()
            tries, mails = [], []

            def greylist(session, address):
                tries.append(session.peer[0])
                return "450 4.7.1 greylisted"
            self.sink.rules.mail = lambda session, text: mails.append(text)
            self.sink.rules.rcpt = greylist
            mid = self.send(f"grey{n}@sink.example")
            self.wait_state(mid, "DEFERRED")
            self.sink.rules.rcpt = None
            self.relay.ctl("queue", "retry", mid)
            m = self.sink.wait(1)[0]
            self.assertEqual(len(tries), 1)
            self.assertEqual(m.peer, tries[0])
            self.assertEqual(len({text.split()[1] for text in mails}), 1, mails)
            self.assertIn(m.mail_from, mails[0])

    def test_ip_block(self):
        """delivery#25: the first attempt and what is planned after it."""
        for last in (71, 72):
            self.relay.ctl("ip", "add", f"127.0.0.{last}")
        peers = []

        def block(session, address):
            peers.append(session.peer[0])
            return ("554 5.7.1 Service unavailable; Client host [%s] blocked using zen.example; "
                    "See: http://www.example.com/query/ip/%s" % (session.peer[0], session.peer[0]))
        self.sink.rules.rcpt = block
        mid = self.send()
        delay = self.wait_of(mid, "DeliveryDelay")[0]["deliveryDelay"]
        self.assertEqual(delay["delayType"], "IPFailure")
        self.assertIn("zen.example", delay["delayedRecipients"][0]["diagnosticCode"])
        row = self.wait_state(mid, "DEFERRED")
        due = datetime.datetime.strptime(row["next-attempt"], "%Y-%m-%dT%H:%M:%SZ")
        wait = (due - datetime.datetime.utcnow()).total_seconds()
        self.assertTrue(840 < wait <= 900, wait)
        self.sink.rules.rcpt = None
        self.relay.ctl("queue", "retry", mid)
        m = self.sink.wait(1)[0]
        self.assertEqual({m.peer, peers[0]}, {"127.0.0.71", "127.0.0.72"})
        self.wait_of(mid, "Delivery")
        self.assertEqual(self.of(mid, "Bounce"), [])


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
