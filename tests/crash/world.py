# SPDX-License-Identifier: ISC
"""What the crash runners share: a relay under load, the ledger of what was
said to its clients and of what came to the sinks, and the balance of both.

A runner sets POSTHORN_BUILD, makes a World(seed), begins it, lets load() run
beside what it does to the relay, ends with settle(), and asks judge().
"""
import collections
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
from harness.dns import Dns                          # noqa: E402
from harness.oracle import VERIFIERS, verify         # noqa: E402
from harness.relay import BUILD, Relay, certificate  # noqa: E402
from harness.sink import Sink                        # noqa: E402
from harness.waiting import wait_for                 # noqa: E402
from harness.wire import Wire                        # noqa: E402

CHANCE_IN_RESTART = 0.2
SENDER = "bob@example.com"
MID = re.compile(r"^250 Ok ([0-9a-f]{16}-[0-9a-f-]{36}-000000)$")
FINAL_RECIPIENT = re.compile(rb"(?im)^Final-Recipient: rfc822; ?(\S+)\r?$")
SUBJECT = re.compile(rb"(?m)^Subject: entry (\d+)\r\n")


class Gone(Exception):
    """The other side has gone."""


def checksum(data):
    return hashlib.sha256(data).hexdigest()


# -- the ledger: what was said to clients, what came to the sinks -------------

class Entry:
    """One message as its client saw it."""

    def __init__(self, number, rcpts):
        self.number, self.rcpts = number, rcpts
        self.sum = None
        self.state = "open"      # open, ended (dot sent), acked, refused
        self.mid = None
        self.reply = None


class Ledger:
    def __init__(self):
        self.lock = threading.Lock()
        self.entries = []
        self.copies = collections.defaultdict(list)    # recipient -> [(time, sum, entry, signed)]
        self.notices = collections.Counter()           # recipient -> notices to the sender
        self.sample = []                               # whole messages, for the verifiers

    def new(self, rng):
        """An entry with one to three recipients, one in thirty of them unknown there."""
        with self.lock:
            number = len(self.entries)
            kind = rng.choices(("r", "later", "bounce"), (26, 3, 1))[0]
            entry = Entry(number, [f"{kind}-{number}-{i}@d{rng.randrange(4)}.{rng.choice(('plain', 'tls'))}.example"
                                   for i in range(rng.choice((1, 1, 1, 2, 3)))])
            self.entries.append(entry)
            return entry

    def count(self, state):
        with self.lock:
            return sum(e.state == state for e in self.entries)

    def acknowledged(self):
        """mid -> number of recipients"""
        with self.lock:
            return {e.mid: len(e.rcpts) for e in self.entries if e.state == "acked"}

    def take(self, message):
        """A copy at a sink."""
        body = message.data.partition(b"\r\n\r\n")[2]
        found = SUBJECT.search(message.data)
        with self.lock:
            for rcpt in message.rcpts:
                if rcpt == SENDER:
                    for of in FINAL_RECIPIENT.findall(message.data):
                        self.notices[of.decode()] += 1
                else:
                    self.copies[rcpt].append((message.at, checksum(body), int(found[1]) if found else -1,
                                              b"d=example.com" in message.data))
            # a notice quotes the header, and is signed by another
            if len(self.sample) < 10 and found and SENDER not in message.rcpts:
                self.sample.append(message.data)


class LedgerSink(Sink):
    def __init__(self, ledger, seed, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.ledger, self.delayed = ledger, set()
        self.rules.rcpt = self.on_rcpt
        self.slow = random.Random(seed)
        self.rules.dot = self.on_dot
        self.never = threading.Event()

    def on_rcpt(self, session, address):
        with self.lock:
            if address.startswith("bounce-"):
                return "550 5.1.1 no such user"
            if address.startswith("later-") and address not in self.delayed:
                self.delayed.add(address)
                return "451 4.3.0 try again"
        return None

    def on_dot(self, session, message):
        """Some have much to do: so there is always something in flight."""
        self.never.wait(self.slow.choice((0, 0, 0, 0.02, 0.1)))

    def keep(self, message):
        self.ledger.take(message)


# -- clients ------------------------------------------------------------------

class Client(threading.Thread):
    def __init__(self, world, number):
        super().__init__(daemon=True)
        self.world, self.ledger = world, world.ledger
        self.rng = random.Random(world.seed * 1000 + number)
        self.listener = world.listeners[number % len(world.listeners)]
        self.trouble = None

    def run(self):
        try:
            while not self.world.ending.is_set():
                if self.world.up.wait(0.1):
                    self.connection()
        except Exception as e:             # told at the end: a test that does not send proves nothing
            self.trouble = repr(e)
            raise

    def connection(self):
        try:
            w = Wire("127.0.0.1", self.world.relay.ports[self.listener], timeout=20,
                     wrapper=self.listener == "submissions")
        except (OSError, KeyError):
            self.world.ending.wait(0.02)
            return
        try:
            self.login(w)
            for _ in range(self.rng.randrange(1, 30)):
                if self.world.ending.is_set():
                    break
                self.transaction(w)
        except (Gone, OSError):
            pass
        finally:
            w.close()

    @staticmethod
    def ask(w, line):
        answer = w.cmd(line)
        if answer is None:
            raise Gone
        return answer

    def login(self, w):
        if w.reply() is None:
            raise Gone
        if "STARTTLS" in self.ask(w, "EHLO app1.example.com"):
            if not self.ask(w, "STARTTLS").startswith("220"):
                raise Gone
            w.tls()
            self.ask(w, "EHLO app1.example.com")
        answer = w.auth(self.world.key, self.world.password)
        if answer is None or not answer.startswith("235"):
            raise Gone

    def content(self, entry, sender, size=None):
        if size is None:
            size = self.rng.randrange(300000, 700000) if self.rng.random() < 0.03 else self.rng.randrange(100, 8000)
        line = b"." * self.rng.randrange(0, 3) + b"entry %d, and its lines are as long as lines are\r\n" % entry.number
        body = (line * (size // len(line) + 1)) + self.rng.randbytes(20).hex().encode() + b"\r\n"
        entry.sum = checksum(body)
        head = (f"From: {sender}\r\nTo: undisclosed\r\nSubject: entry {entry.number}\r\n"
                "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n").encode()
        return head + b"".join(b"." + l if l.startswith(b".") else l for l in body.splitlines(True))

    def transaction(self, w):
        entry = self.ledger.new(self.rng)
        what = self.rng.choices(("whole", "foreign", "cut", "unread"), (88, 5, 4, 3))[0]
        sender = "mallory@foreign.example" if what == "foreign" else SENDER
        content = self.content(entry, sender)
        for line in (f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{r}>" for r in entry.rcpts), "DATA"):
            answer = self.ask(w, line)
            if answer[0] not in "23":
                entry.state, entry.reply = "refused", answer
                raise Gone
        if what == "cut":
            w.send(content)
            raise Gone                     # stays open: no dot was sent
        entry.state = "ended"
        w.send(content + b".\r\n")
        if what == "unread":
            raise Gone
        self.hear(w, entry)

    @staticmethod
    def hear(w, entry):
        """The answer to the end of data."""
        answer = w.reply()
        if answer is None:
            raise Gone
        answer = "\n".join(answer)
        found = MID.match(answer)
        entry.reply = answer
        if found:
            entry.mid = found[1]
        entry.state = "acked" if found else "refused"


# -- the processes ----------------------------------------------------------------

class World:
    """World(seed, extra="lines of posthorn.conf"); its relay is not started yet.

    With an even seed receipts may rest on the redo log, as on a slow disk.
    """

    def __init__(self, seed, extra="", listeners=("clear", "submission", "submissions"),
                 redo_log=None):
        self.seed, self.ledger, self.listeners = seed, Ledger(), listeners
        self.rng = random.Random(seed)
        self.clients = []
        self.accepted_report = None      # what may stand on standard error
        self.ending, self.up = threading.Event(), threading.Event()
        self.kills = []                  # times at which a relay was ended
        self.killed = set()              # pids
        self.dead = collections.Counter()
        self.log_read, self.log_part = 0, ""
        self.ready = 0                   # lines of the log
        self.ended, self.errors = [], collections.Counter()
        self.relay = Relay(extra="")
        pair = certificate(self.relay.folder, "mx.sink.example")
        self.sinks = [LedgerSink(self.ledger, seed, "127.0.0.2"), LedgerSink(self.ledger, seed, "127.0.0.3", tls=pair)]
        self.sinks[1].rules.capabilities = ["PIPELINING", "8BITMIME", "CHUNKING", "SIZE 52428800"]
        self.dns = Dns(self.relay.folder)
        self.dns.zone("example.com", "@ MX 10 mx\n")
        self.relay.dns = self.dns
        self.relay.extra = f"""
delivery {{
    allow_private yes
    retry_jitter 0
    retry_schedule 1s
    route .plain.example 127.0.0.2:{self.sinks[0].port}
    route .tls.example 127.0.0.3:{self.sinks[1].port}
    route example.com 127.0.0.2:{self.sinks[0].port}
}}
dkim.min_visible 0
dns.timeout 1s
smtp.max_messages_per_connection 0
smtp.max_connect_rate_per_ip 1000000
spool.redo_log {redo_log or ('never' if seed % 2 else 'always')}
{extra}"""
        self.write_conf()

    def write_conf(self):
        self.relay.write_conf()
        with open(self.relay.conf) as f:
            text = f.read().replace("level debug", "level info")
        with open(self.relay.conf, "w") as f:
            f.write(text)

    def begin(self):
        for s in self.sinks:
            s.start()
        self.dns.start()
        self.relay.start()
        self.up.set()
        self.account = self.relay.account()
        self.records = {}
        self.verify_identity("example.com")
        self.key, self.password = self.relay.credential()

    def verify_identity(self, name):
        """The verifier sees the records, and from then on keys signs."""
        self.relay.ctl("identity", "add", name)
        text = "@ MX 10 mx\n"
        for r in self.relay.json("identity", "dns-records", name)["Records"]:
            value = r["Value"]
            self.records[r["Name"]] = value
            text += f"{r['Name']}. TXT " + " ".join(f'"{value[i:i + 250]}"' for i in range(0, len(value), 250)) + "\n"
        self.dns.set_zone(name, text)
        self.relay.ctl("dkim", "verify", name)
        wait_for(lambda: self.relay.json("identity", "show", name)["VerificationStatus"] == "SUCCESS",
                 f"{name} to be verified", 60)

    def end(self, keep):
        """keep: the folder is left behind."""
        if keep:
            os.environ["POSTHORN_KEEP"] = "1"
            print("left behind: " + self.relay.folder)
        self.relay.kill()
        self.relay.cleanup()
        self.dns.stop()
        for s in self.sinks:
            s.stop()

    # -- the load --------------------------------------------------------------
    def load(self, clients):
        self.clients = [Client(self, i) for i in range(clients)]
        for c in self.clients:
            c.start()
        wait_for(lambda: self.ledger.count("acked") > 20, "the load to begin", 120)

    def settle(self):
        """The clients end, the queue drains."""
        self.ending.set()
        for c in self.clients:
            c.join(120)
        if any(c.trouble or c.is_alive() for c in self.clients):
            raise AssertionError(f"clients in trouble: {[c.trouble for c in self.clients]}")
        wait_for(self.is_drained, "the queue to drain", 300)

    # -- the log ---------------------------------------------------------------
    def read_log(self):
        with open(self.relay.log, errors="replace") as f:
            f.seek(self.log_read)
            text = self.log_part + f.read()
            self.log_read = f.tell()
        lines = text.split("\n")
        self.log_part = lines.pop()
        for line in lines:
            word = line.split(" ", 4)
            if len(word) < 4:
                continue
            if word[2] == "master" and word[3] == "ready":
                self.ready += 1
            elif word[3] == "child-ended":
                self.ended.append(line)
            if word[1] == "error":
                self.errors[" ".join(word[2:4])] += 1

    def relay_pid(self):
        return self.child_pids().get("relay") if self.relay.process else None

    def child_pids(self):
        """name -> pid of the children that run now"""
        out = {}
        for pid in self.relay.children():
            try:
                with open(f"/proc/{pid}/cmdline") as f:
                    found = re.search(r"--child=(\w+)", f.read())
                with open(f"/proc/{pid}/stat") as f:
                    gone = f.read().rsplit(")", 1)[1].split()[0] == "Z"
            except OSError:
                continue
            if found and not gone:
                out[found[1]] = pid
        return out

    # -- killing -----------------------------------------------------------------
    def kill(self, pid):
        self.killed.add(pid)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def kill_child(self, name):
        """True when there was one; then it is another one that runs now."""
        pid = self.child_pids().get(name)
        if pid is None:
            return False
        self.read_log()
        ready = self.ready
        if name == "relay":
            self.kills.append(time.time())
        self.kill(pid)
        if self.rng.random() < CHANCE_IN_RESTART:
            return True                     # the next one comes at once
        if name == "relay":
            self.wait_alive(lambda: self.ready > ready, "the relay to be back")
        else:
            self.wait_alive(lambda: self.child_pids().get(name, pid) != pid, f"{name} to be back")
        return True

    def kill_master(self, everybody, wait=None):
        """wait: for the next one to be ready; None = as it falls."""
        children = self.child_pids()
        self.up.clear()
        self.kills.append(time.time())
        self.kill(self.relay.process.pid)
        for pid in children.values() if everybody else ():
            self.kill(pid)
        self.relay.process.wait()
        for pid in children.values():
            self.killed.add(pid)            # they die with their master
            wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "children to end with the master")
        self.restart(self.rng.random() >= CHANCE_IN_RESTART if wait is None else wait)

    def restart(self, wait=True):
        self.up.clear()
        self.read_log()
        self.relay.start(wait=False)
        if wait:
            self.wait_alive(lambda: self.relay._is_ready(), "posthornd to be ready")

    def wait_alive(self, condition, what):
        """Whatever was killed, the master is not ended by it."""
        def look():
            status = self.relay.process.poll()
            if status is not None:
                raise AssertionError(f"the master ended with status {status}: {self.relay.stderr()[-2000:]}")
            self.read_log()
            return condition()
        wait_for(look, what, 120)
        self.open_up()

    def open_up(self):
        self.relay.ports.clear()
        self.relay._read_ports()
        self.up.set()

    def one(self, what):
        self.dead[what] += 1
        self.ending.wait(self.rng.choice((0.02, 0.1, 0.3, 0.6)) * self.rng.random())
        if what in ("master", "all"):
            self.kill_master(what == "all")
        else:
            while not self.kill_child(what):
                self.wait_alive(lambda: what in self.child_pids(), f"{what} to run")

    # -- the end --------------------------------------------------------------------
    def is_drained(self):
        r = self.relay.run_ctl("--json", "status")
        if r.returncode != 0:
            return False
        status = json.loads(r.stdout)
        return status["OutboxEvents"] == 0 and status["Queue"]["Messages"] == 0

    def sent(self):
        """quota show, to the recipient"""
        value = self.relay.json("-a", self.account, "quota", "show")["SentLast24Hours"]
        assert value == int(value), value
        return int(value)

    def final_events(self):
        """(message, recipient) -> times of final events; message -> Send events"""
        final, sends = collections.defaultdict(list), collections.Counter()
        tail = subprocess.Popen([os.path.join(BUILD, "posthornctl"), "-s", self.relay.socket, "--json",
                                 "event", "tail"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for line in tail.stdout:
            e = json.loads(line)
            mid = e["mail"]["messageId"]
            if e["eventType"] == "Send":
                sends[mid] += 1
            elif e["eventType"] == "Delivery":
                for r in e["delivery"]["recipients"]:
                    final[r].append(seconds(e["delivery"]["timestamp"]))
            elif e["eventType"] == "Bounce":
                for r in e["bounce"]["bouncedRecipients"]:
                    final[r["emailAddress"]].append(seconds(e["bounce"]["timestamp"]))
        trouble = tail.stderr.read()
        if tail.wait() != 0:
            raise AssertionError("event tail: " + trouble)
        return final, sends


def seconds(stamp):
    whole, part = stamp.rstrip("Z").split(".")
    return time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) - time.timezone + float("0." + part)


# -- the balance ------------------------------------------------------------------------

class Balance:
    def __init__(self, world):
        self.world, self.ledger = world, world.ledger
        self.found = collections.Counter()
        self.examples = collections.defaultdict(list)
        self.kept = self.duplicates = self.unread_kept = 0

    def bad(self, kind, text):
        self.found[kind] += 1
        if len(self.examples[kind]) < 5:
            self.examples[kind].append(text)

    def arrived(self, rcpt):
        return self.ledger.notices[rcpt] > 0 if rcpt.startswith("bounce-") else len(self.ledger.copies[rcpt]) > 0

    def entry(self, e, final, sends):
        arrived = [self.arrived(r) for r in e.rcpts]
        if e.state in ("refused", "open") and any(arrived):
            self.bad("refused", f"{e.rcpts} was answered {e.reply}")
        if any(arrived) != all(arrived):
            self.bad("halves" if e.state != "acked" else "lost", f"{e.rcpts}: {arrived}")
        elif e.state == "acked" and not any(arrived):
            self.bad("lost", f"{e.rcpts} {e.mid}")
        if not any(arrived):
            return
        self.kept += len(e.rcpts)
        self.unread_kept += e.state == "ended"
        if e.mid and sends[e.mid] != 1:
            self.bad("events", f"{e.mid}: {sends[e.mid]} Send events")
        for rcpt in e.rcpts:
            self.recipient(e, rcpt, final[rcpt])

    def recipient(self, e, rcpt, final):
        copies = self.ledger.copies[rcpt]
        if rcpt.startswith("bounce-") and copies:
            self.bad("refused", f"{rcpt} was refused by the sink")
        if len(final) != 1:
            self.bad("events", f"{rcpt}: {len(final)} final events")
        for at, found, number, signed in copies:
            if found != e.sum or number != e.number:
                self.bad("altered", f"{rcpt} at {at}")
            if not signed:
                self.bad("unsigned", rcpt)
        self.duplicates += max(len(copies) - 1, 0)
        times = sorted(c[0] for c in copies)
        for before, after in zip(times, times[1:]):
            # what was on its way when the relay died may be read by the sink a moment later
            between = [k for k in self.world.kills if before - 1 <= k <= after]
            if not between or (final and final[0] < between[-1]):
                self.bad("doubtful", f"{rcpt} at {times}, settled at {final}")

    def strangers(self):
        known = {r for e in self.ledger.entries for r in e.rcpts}
        for rcpt in self.ledger.copies:
            if rcpt not in known:
                self.bad("altered", f"a copy for {rcpt}")
        for rcpt in self.ledger.notices:
            if rcpt not in known or not rcpt.startswith("bounce-"):
                self.bad("altered", f"a notice about {rcpt}")

    def run(self, final, sends):
        for e in self.ledger.entries:
            self.entry(e, final, sends)
        self.strangers()


def unexpected(world):
    """Ends that are not of our making, and what sanitizers have to say."""
    said = world.relay.stderr()
    # the leak check cannot look into a process that is sandboxed
    blind = {int(p) for p in re.findall(r"==(\d+)==LeakSanitizer has encountered a fatal error", said)}
    out = [l for l in world.ended if int(re.search(r"pid=(\d+)", l)[1]) not in world.killed | blind]
    said = re.findall(r"(?m)^.*(?:AddressSanitizer|runtime error|detected memory leaks|must hold).*$", said)
    return out + [l for l in said if not (world.accepted_report and re.search(world.accepted_report, l))]


def judge(world, final=None, sends=None):
    """The balance, SentLast24Hours, and what is wrong, as texts; the relay is stopped."""
    balance = Balance(world)
    if final is None:
        final, sends = world.final_events()
    balance.run(final, sends)
    sent = world.sent()
    world.kill_master(False)             # quotas#7, once more with nothing else going on
    world.wait_alive(lambda: world.relay.run_ctl("status").returncode == 0, "posthornd")
    again = world.sent()
    signatures = sum(("example.com", True) in [(d, ok) for d, _, ok in found]
                     for m in world.ledger.sample for found in verify(m, world.records).values()) if VERIFIERS else 0
    status = world.relay.stop()
    check = subprocess.run([os.path.join(BUILD, "posthornctl"), "-c", world.relay.conf, "store", "check"],
                           capture_output=True, text=True)
    world.read_log()
    odd = unexpected(world)
    troubles = []
    for kind in ("lost", "altered", "refused", "halves", "unsigned", "doubtful", "events"):
        if balance.found[kind]:
            troubles.append(f"{balance.found[kind]} {kind}: " + "; ".join(balance.examples[kind]))
    if not sent == again == balance.kept:
        troubles.append(f"SentLast24Hours is {sent}, after another kill {again}, kept were {balance.kept}")
    if signatures != len(world.ledger.sample) * len(VERIFIERS):
        troubles.append(f"{signatures} good signatures of {len(world.ledger.sample)} messages by {list(VERIFIERS)}")
    if status != 0:
        troubles.append(f"the end was status {status}")
    if check.returncode != 0:
        troubles.append(f"store check: {check.stdout}{check.stderr}")
    if odd:
        troubles.append(f"{len(odd)} ends and reports nobody asked for: " + "\n".join(odd[:20]))
    return balance, sent, troubles


def figures(world, balance, sent):
    ledger = world.ledger
    return (f"messages={len(ledger.entries)} acknowledged={ledger.count('acked')} refused={ledger.count('refused')} "
            f"cut={ledger.count('open')} unread={ledger.count('ended')} unread-kept={balance.unread_kept} "
            f"recipients={balance.kept} quota={sent} lost={balance.found['lost']} altered={balance.found['altered']} "
            f"duplicates={balance.duplicates} notices={sum(ledger.notices.values())}")


def conclude(world, troubles):
    """Prints them; True when there are none."""
    for t in troubles:
        print(t)
    print("errors logged: " + (", ".join(f"{n} {w}" for w, n in sorted(world.errors.items())) or "none"))
    print(f"{int(not troubles)} passed, {int(bool(troubles))} failed, 0 skipped")
    return not troubles


def tell_end(world):
    print(f"seed {world.seed}; the end of the log:\n{world.relay.log_text()[-3000:]}{world.relay.stderr()[-3000:]}")
