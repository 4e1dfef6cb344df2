# SPDX-License-Identifier: ISC
"""Processes: what dies is started again, reload, shutdown, refused starts, users (architecture.md 2)."""
import contextlib
import ctypes
import fcntl
import grp
import os
import pwd
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

from harness.dns import Dns
from harness.relay import BUILD, certificate, CtlError, has_ended, Relay
from harness.sink import Sink
from harness.waiting import wait_for
from harness.wire import Wire

BODY = "From: bob@example.com\nTo: x\nSubject: test\n\nHello, world.\n"
ID = r"250 Ok [0-9a-f]{16}-[0-9a-f-]{36}-000000"
ROOT = os.geteuid() == 0
PTRACE_SEIZE, PTRACE_INTERRUPT, WALL = 0x4206, 0x4207, 0x40000000
EXTRA = "delivery {\n    allow_private yes\n    retry_jitter 0\n    retry_schedule 1s\n}\n" \
        "dkim.min_visible 0\ndns.timeout 1s\ndns.tries 1\n"


def status_of(pid):
    """/proc/PID/status as a dictionary."""
    with open(f"/proc/{pid}/status") as f:
        return dict(l.rstrip("\n").split(":\t", 1) for l in f if ":\t" in l)


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


class Children(World):
    def test_keys(self):
        """keys dies: the session, relay and verifier live on, the next message is signed"""
        w, before = self.session(), self.pids()
        os.kill(before["keys"], signal.SIGKILL)
        answer = self.message(w)
        self.assertRegex(answer, ID)
        self.signed_copy(answer.split()[2])
        self.assert_only("keys", before)

    def test_keys_with_requests_out(self):
        """what was asked of the dead one is asked of its successor"""
        w, before = self.session(), self.pids()
        os.kill(before["keys"], signal.SIGSTOP)
        answer = []
        t = threading.Thread(target=lambda: answer.append(self.message(w)))
        t.start()
        wait_for(lambda: "from=data to=settle" in self.relay.log_text(self.relay.log_offset), "the end of data")
        os.kill(before["keys"], signal.SIGKILL)
        t.join(30)
        self.assertRegex(answer[0], ID)
        self.signed_copy(answer[0].split()[2])
        self.assert_only("keys", before)

    def test_keys_silent(self):
        """dkim.md: 451 after 5 s, nothing queued, nothing unsigned; then it goes on"""
        w, pid = self.session(), started(self.relay, "keys")
        quota = self.relay.json("quota", "show")["SentLast24Hours"]
        os.kill(pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            answer = self.message(w)
            took = time.monotonic() - began
        finally:
            os.kill(pid, signal.SIGCONT)
        self.assertEqual(answer, "451 Temporary service failure")
        self.assertGreater(took, 4.5)
        self.assertLess(took, 8)
        self.assertEqual(self.relay.json("status")["Queue"]["Messages"], 0)
        self.assertEqual(self.relay.json("quota", "show")["SentLast24Hours"], quota)
        answer = self.message(w)
        self.assertRegex(answer, ID)
        self.signed_copy(answer.split()[2])
        self.assertEqual(len(self.sink.messages), 1)

    def test_keys_silent_to_the_operator(self):
        """a key that is to be made while keys does not answer: an error that says so, soon; nothing half done"""
        pid = started(self.relay, "keys")
        os.kill(pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            r = self.relay.run_ctl("identity", "add", "fourth.example")
            took = time.monotonic() - began
        finally:
            os.kill(pid, signal.SIGCONT)
        self.assertEqual(r.returncode, 1)
        self.assertIn("the keys process does not answer", r.stderr)
        self.assertLess(took, 12)
        self.assertNotEqual(self.relay.run_ctl("identity", "show", "fourth.example").returncode, 0)
        self.relay.ctl("identity", "add", "fourth.example")
        self.relay.ctl("identity", "delete", "fourth.example", "--yes")

    def test_verifier(self):
        """verifier dies: checks go on with another one"""
        before = self.pids()
        os.kill(before["verifier"], signal.SIGKILL)
        self.wait_other("verifier", before["verifier"])
        self.publish("second.example")
        self.wait_verified("second.example")
        self.assert_only("verifier", before)

    def test_verifier_with_a_check_out(self):
        """a check that dies with it ends as one without an answer from DNS; the next one goes to the next verifier"""
        before = self.pids()
        os.kill(before["verifier"], signal.SIGSTOP)
        self.publish("third.example")
        os.kill(before["verifier"], signal.SIGKILL)
        self.wait_other("verifier", before["verifier"])
        wait_for(lambda: self.relay.json("dkim", "show", "third.example")["Keys"][0]["LastOutcome"] == "DNS_ERROR",
                 "the check to end")
        self.assertEqual(self.relay.json("identity", "show", "third.example")["VerificationStatus"], "PENDING")
        self.relay.ctl("dkim", "verify", "third.example")
        self.wait_verified("third.example")
        self.assert_only("verifier", before)

    def test_relay(self):
        """relay dies: whoever connects waits in the listening socket, and is greeted by the next one"""
        before, sessions = self.pids(), self.relay.log_text().count("ready version=")
        os.kill(before["relay"], signal.SIGKILL)
        wait_for(lambda: has_ended(before["relay"]), "the relay to die")
        waiting = [Wire("127.0.0.1", self.relay.ports["clear"]) for _ in range(5)]
        self.assertEqual(started(self.relay, "relay"), before["relay"])
        self.assertEqual(self.relay.log_text().count("ready version="), sessions)
        for w in waiting:
            self.addCleanup(w.close)
            w.login(self.key, self.password)
            answer = self.message(w)
            self.assertRegex(answer, ID)
            self.signed_copy(answer.split()[2])
        self.assert_only("relay", before)
        self.assertEqual(self.relay.run_ctl("status").returncode, 0)

    def test_back_off(self):
        """each death soon after the last one is answered later"""
        pause = []
        for _ in range(3):
            pid = started(self.relay, "verifier")
            began = time.monotonic()
            os.kill(pid, signal.SIGKILL)
            self.wait_other("verifier", pid)
            pause.append(time.monotonic() - began)
        self.assertLess(pause[0], pause[2])
        self.assertGreater(pause[2], 0.4)

    def test_socket_files_deleted(self):
        """they are there again: after a while, and at once at a reload; who is connected stays so"""
        before, offset = self.pids(), os.path.getsize(self.relay.log)
        local = self.relay.wire("local")
        self.addCleanup(local.close)
        os.unlink(self.relay.socket)
        os.unlink(self.relay.submit)
        self.relay.process.send_signal(signal.SIGHUP)
        for path in (self.relay.socket, self.relay.submit):
            self.relay.wait_log(rf"warn master socket-remade path={re.escape(path)}", offset=offset)
        wait_for(lambda: self.relay.run_ctl("status").returncode == 0, "the control socket")
        self.assertRegex(local.reply()[0], "^220 ")
        self.assertRegex(wait_for(lambda: self.relay.wire("local"), "the local socket").reply()[0], "^220 ")
        os.unlink(self.relay.socket)
        wait_for(lambda: os.path.exists(self.relay.socket), "the control socket to be there by itself")
        wait_for(lambda: self.relay.run_ctl("status").returncode == 0, "the control socket")
        self.assertEqual(os.stat(self.relay.socket).st_mode & 0o777, 0o666)
        self.assertEqual(self.pids(), {**before, "verifier": self.pids()["verifier"]})

    def test_zz_master(self):
        """the children end with the master, and nothing stands in the way of the next one"""
        children = self.relay.children()
        self.assertEqual(len(children), 3)
        self.relay.process.kill()
        self.relay.process.wait()
        for pid in children:
            wait_for(lambda: has_ended(pid), f"child {pid} to end")
        self.relay.start()
        answer = self.message(self.session())
        self.assertRegex(answer, ID)
        self.signed_copy(answer.split()[2])


class Hung(World):
    """server.watchdog: who is there but does nothing is killed, and another one is started."""
    extra = EXTRA + "server.watchdog 2s\nserver.sandbox off\n"      # it hides the names of threads

    def stop_one(self, name, beside=lambda: None):
        """Stops it; beside() meanwhile; it is killed, and another one is there."""
        before = self.pids()
        offset = os.path.getsize(self.relay.log)
        os.kill(before[name], signal.SIGSTOP)
        beside()
        self.relay.wait_log(rf"error master child-hung child={name} pid={before[name]} after_ms=2000", offset=offset)
        self.relay.wait_log(rf"child-ended child={name} pid={before[name]} signal=9", offset=offset)
        self.wait_other(name, before[name])
        self.assert_only(name, before)

    @contextlib.contextmanager
    def held(self, pid, name):
        """One thread of the process is stopped by ptrace, as no signal could."""
        tid = next(int(t) for t in os.listdir(f"/proc/{pid}/task")
                   if open(f"/proc/{pid}/task/{t}/comm").read().strip() == name)
        libc = ctypes.CDLL(None, use_errno=True)
        libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        libc.ptrace.restype = ctypes.c_long
        if libc.ptrace(PTRACE_SEIZE, tid, None, None) != 0:
            self.skipTest("ptrace: " + os.strerror(ctypes.get_errno()))
        self.assertEqual(libc.ptrace(PTRACE_INTERRUPT, tid, None, None), 0)
        _, status = os.waitpid(tid, WALL)
        self.assertTrue(os.WIFSTOPPED(status))
        yield
        while not (os.WIFSIGNALED(status) or os.WIFEXITED(status)):      # it ends when its tracer has seen it
            _, status = os.waitpid(tid, WALL)

    def test_keys(self):
        """a message that comes meanwhile waits, and is signed by the next one"""
        w, answer = self.session(), []
        t = threading.Thread(target=lambda: answer.append(self.message(w)))
        self.stop_one("keys", t.start)
        t.join(30)
        self.assertRegex(answer[0], ID)
        self.signed_copy(answer[0].split()[2])
        self.assertEqual(len(self.sink.messages), 1)

    def test_verifier(self):
        self.stop_one("verifier")
        self.publish("second.example")
        self.wait_verified("second.example")

    def test_relay(self):
        """what it had acknowledged is there, and the next one serves"""
        self.assertRegex(self.message(self.session()), ID)
        ready = self.relay.log_text().count("ready version=")
        self.stop_one("relay")
        wait_for(lambda: self.relay.log_text().count("ready version=") > ready, "the next relay", 60)
        answer = self.message(self.session())
        self.assertRegex(answer, ID)
        self.signed_copy(answer.split()[2])
        wait_for(lambda: self.relay.json("status")["Queue"]["Messages"] == 0, "the queue to drain")

    def test_one_loop_of_relay(self):
        """main is there, a loop that serves clients is not"""
        pid = started(self.relay, "relay")
        offset = os.path.getsize(self.relay.log)
        ready = self.relay.log_text().count("ready version=")
        with self.held(pid, "submission-1"):
            self.relay.wait_log(rf"error master child-hung child=relay pid={pid} ", offset=offset)
        wait_for(lambda: self.relay.log_text().count("ready version=") > ready, "the next relay", 60)
        self.assertRegex(self.message(self.session()), ID)


class Reload(World):
    """Tests add to the configuration; tearDown takes it back."""

    def tearDown(self):
        self.relay.extra, self.relay.edit = self.extra, None
        self.relay.reload()

    def hup(self, line=""):
        """SIGHUP with one more line in the file; returns the log from then on."""
        self.relay.extra = self.extra + line
        self.relay.write_conf()
        offset = os.path.getsize(self.relay.log)
        self.relay.process.send_signal(signal.SIGHUP)
        wait_for(lambda: re.search(r" reload(ed|-refused) ", self.relay.log_text(offset)), "the reload")
        return offset

    def served(self, listener="submissions"):
        """The certificate of a new session (DER)."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", self.relay.ports[listener]), 30) as s:
            with context.wrap_socket(s) as t:
                return t.getpeercert(True)

    def kill_relay(self):
        pid = started(self.relay, "relay")
        ready = self.relay.log_text().count("ready version=")
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: self.relay.log_text().count("ready version=") > ready, "the next relay", 60)

    def test_sessions_live_on(self):
        """SIGHUP: a session goes on under what it began with, a new one has the new configuration"""
        before = self.pids()
        idle, busy = self.session(), self.session()
        self.assertEqual(busy.cmd("MAIL FROM:<bob@example.com>"), "250 Ok")
        self.assertEqual(busy.cmd("RCPT TO:<jane@sink.example>"), "250 Ok")
        self.hup("message.max_size 1m\n")
        self.assertIn("SIZE 1048576", self.session().hello())
        self.assertNotIn("SIZE 1048576", idle.hello())
        self.assertTrue(busy.cmd("DATA").startswith("354"))
        busy.send(BODY.replace("\n", "\r\n") + ".\r\n")
        answer = busy.reply()[0]
        self.assertRegex(answer, ID)
        self.signed_copy(answer.split()[2])
        after = self.pids()
        self.assertEqual((after["relay"], after["keys"]), (before["relay"], before["keys"]))

    def test_broken_file(self):
        """admin-cli#14, #15: all errors are told, the old configuration stays, also for a relay that starts later"""
        self.hup("message.max_size 2m\n")
        self.relay.extra = self.extra + "delivery.max_liftime 72h\nmessage.max_size 1m\nserver.threads many\nnosuch.thing 1\n"
        self.relay.write_conf()
        r = self.relay.run_ctl("reload")
        self.assertEqual(r.returncode, 1)
        for what in ("unknown setting delivery.max_liftime", "server.threads", "unknown setting nosuch.thing"):
            self.assertRegex(r.stderr, rf"{re.escape(self.relay.conf)}:\d+: .*{re.escape(what)}")
        offset = os.path.getsize(self.relay.log)
        self.relay.process.send_signal(signal.SIGHUP)
        self.relay.wait_log(r"error master reload-refused .*max_liftime", offset=offset)
        self.assertIn("SIZE 2097152", self.session().hello())
        self.kill_relay()
        wait_for(lambda: "SIZE 2097152" in self.session().hello(), "the configuration in force")
        self.assertRegex(self.message(self.session()), ID)

    def test_empty_file(self):
        """an empty file, as one that is about to be written, is refused and changes nothing"""
        self.hup("message.max_size 2m\n")
        for text in ("", " \n\n"):
            with open(self.relay.conf, "w") as f:
                f.write(text)
            r = self.relay.run_ctl("reload")
            self.assertEqual(r.returncode, 1)
            self.assertIn(f"{self.relay.conf}: the file is empty", r.stderr)
            self.assertIn("SIZE 2097152", self.session("submission").hello())
            self.assertEqual(refused(self.relay.conf, "--allow-volatile"),
                             (1, f"{self.relay.conf}: the file is empty\n"))

    def test_broken_certificate(self):
        """a pair that does not fit: refused with status 1, the old certificate is served, by the next relay, too"""
        old = self.served()
        good = open(self.relay.cert).read()
        folder = tempfile.mkdtemp(dir=self.relay.folder)
        try:
            shutil.copyfile(certificate(folder)[0], self.relay.cert)
            r = self.relay.run_ctl("reload")
            self.assertEqual(r.returncode, 1, r.stdout + r.stderr)
            self.assertIn(self.relay.cert, r.stderr)
            self.assertEqual(self.served(), old)
            self.kill_relay()
            self.assertEqual(self.served(), old)
        finally:
            with open(self.relay.cert, "w") as f:
                f.write(good)

    def test_new_certificate(self):
        """smtp-interface.md 3: read again; a session that has begun keeps its own"""
        old, session = self.served(), self.session("submissions")
        folder = tempfile.mkdtemp(dir=self.relay.folder)
        for source, target in zip(certificate(folder), (self.relay.cert, self.relay.key)):
            shutil.copyfile(source, target)
        self.hup()
        new = self.served()
        self.assertNotEqual(new, old)
        self.assertEqual(session.sock.getpeercert(True), old)
        self.assertRegex(self.message(session), ID)
        self.kill_relay()
        self.assertEqual(self.served(), new)

    def test_needs_restart(self):
        """what needs a restart is told, and waits for one, also when a relay starts in between"""
        self.relay.threads = 1
        try:
            self.relay.extra = self.extra + "message.max_size 3m\n"
            self.relay.write_conf()
            r = self.relay.run_ctl("reload")
            self.assertEqual(r.returncode, 0, r.stderr)
            self.assertIn("restart needed for: server.threads", r.stdout + r.stderr)
            self.kill_relay()
            wait_for(lambda: "SIZE 3145728" in self.session().hello(), "the configuration in force")
            for _ in range(8):
                self.assertRegex(self.message(self.session()), ID)
        finally:
            self.relay.threads = 2

    def test_verifier(self):
        """checks follow a change of dns.servers"""
        silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(silent.close)
        silent.bind(("127.0.0.1", 0))
        pid = started(self.relay, "verifier")
        self.relay.edit = lambda text: re.sub(r"dns.servers .*", f"dns.servers 127.0.0.1:{silent.getsockname()[1]}", text)
        self.hup()
        self.wait_other("verifier", pid)
        self.relay.ctl("dkim", "verify", "example.com")
        silent.settimeout(30)
        while b"_domainkey" not in silent.recv(4096):
            pass                             # delivery asks there, too

    def test_resolver(self):
        """delivery follows a change of dns.servers, and forgets what the former ones said"""
        other = Dns(tempfile.mkdtemp(dir=self.relay.folder))
        other.zone("moved.example", "@ MX 10 mx.sink.example.\n")
        other.zone("sink.example", "mx A 127.0.0.2\n")
        other.start()
        self.addCleanup(other.stop)
        answer = self.message(self.session(), "jane@moved.example")
        self.assertRegex(answer, ID)
        self.relay.wait_event("DeliveryDelay")          # who does not know the name says REFUSED
        self.assertEqual(self.sink.messages, [])
        self.relay.edit = lambda text: re.sub(r"dns.servers .*", f"dns.servers 127.0.0.1:{other.port}", text)
        self.hup()
        self.signed_copy(answer.split()[2])

    def test_suffixes(self):
        """dns.psl_file is read again; one that is none is refused, and nothing changes"""
        path = os.path.join(self.relay.folder, "suffixes")
        with open(path, "w") as f:
            f.write("example\nowned.example\n")
        self.relay.ctl("identity", "add", "owned.example")
        self.relay.ctl("identity", "delete", "owned.example", "--yes")
        self.hup(f"dns.psl_file {path}\n")
        r = self.relay.run_ctl("identity", "add", "owned.example")
        self.assertEqual(r.returncode, 1)
        self.assertIn("owned.example is a public suffix", r.stderr)
        with open(path, "w"):
            pass
        r = self.relay.run_ctl("reload")
        self.assertEqual(r.returncode, 1)
        self.assertIn(f"dns.psl_file {path}: not a list of public suffixes", r.stderr)
        self.assertEqual(self.relay.run_ctl("identity", "add", "owned.example").returncode, 1)

    def test_store_limits(self):
        """spool.min_free and queue.max_messages hold for the next message"""
        for line, answer in ((r"spool.min_free 65536g", "452 Insufficient system storage"),
                             (r"spool.min_free 16m", None),
                             ("spool.min_free 16m\nqueue.max_messages 1", "454 Throttling failure: System capacity exceeded"),
                             (r"spool.min_free 16m", None)):
            self.relay.edit = lambda text: text.replace("spool.min_free 16m", line)
            self.hup()
            w = self.session()
            if answer is not None:
                wait_for(lambda: w.cmd("MAIL FROM:<bob@example.com>") == answer or w.cmd("RSET") == "", answer)
            else:
                wait_for(lambda: w.cmd("MAIL FROM:<bob@example.com>") == "250 Ok", "room")
                w.cmd("RSET")
                self.assertRegex(self.message(w, "later@unknown.invalid"), ID)

    def test_operator_key(self):
        """dkim.operator_*: the keys process signs with it from the reload on"""
        key = os.path.join(self.relay.folder, "operator.key")
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        os.chmod(key, 0o400)
        keys = started(self.relay, "keys")
        self.hup(f"dkim.operator_domain relay.example\ndkim.operator_selector op\ndkim.operator_key {key}\n")
        answer = self.message(self.session())
        self.assertRegex(answer, ID)
        self.assertIn(b"d=relay.example", self.signed_copy(answer.split()[2]).data)
        self.assertEqual(started(self.relay, "keys"), keys)

    def test_log_level(self):
        """log.level holds for every process that goes on"""
        self.relay.edit = lambda text: text.replace("level debug", "level info")
        self.hup()
        self.message(self.session())
        self.assertEqual(re.findall(r"^\S+ debug (?:relay|keys) .*$",
                                    self.relay.log_text().rpartition(" reloaded ")[2], re.M), [])

    def test_log_rotation(self):
        """log.target is opened again by every process"""
        rotated = self.relay.log + ".1"
        os.rename(self.relay.log, rotated)
        pid = started_in(rotated, "verifier")
        self.relay.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "reloaded" in self.relay.log_text(), "the new log")
        self.relay.log_offset = 0
        wait_for(lambda: "child-started child=verifier" in self.relay.log_text(), "lines of the master")
        self.assertNotEqual(started(self.relay, "verifier"), pid)
        self.relay.ctl("reload")
        with open(rotated, "a") as f, open(self.relay.log) as new:
            f.write(new.read())
        os.rename(rotated, self.relay.log)
        self.relay.log_offset = 0
        self.relay.process.send_signal(signal.SIGHUP)


def started_in(log, name):
    with open(log) as f:
        return int(re.findall(rf"child-started child={name} pid=(\d+)", f.read())[-1])


class Shutdown(unittest.TestCase):
    """smtp-interface.md 16"""
    extra = EXTRA

    def setUp(self):
        self.relay = Relay(extra=self.extra)
        self.addCleanup(self.relay.cleanup)
        self.relay.start()
        _, self.key, self.password = self.relay.sender()

    def session(self, listener="clear"):
        w = self.relay.session(self.key, self.password, listener)
        self.addCleanup(w.close)
        return w

    def open_transaction(self, *more):
        w = self.session()
        for line in ("MAIL FROM:<bob@example.com>", "RCPT TO:<jane@sink.example>", *more):
            self.assertIn(w.cmd(line)[0], "23")
        return w

    @staticmethod
    def is_closed(port):
        try:
            socket.create_connection(("127.0.0.1", port), 5).close()
        except OSError:
            return True
        return False

    def assert_gone(self, w):
        self.assertEqual(w.reply(), ["421 Service shutting down"])
        self.assertTrue(w.at_end())


class Graceful(Shutdown):
    def test_sigterm(self):
        """listeners close at once, idle sessions get 421, a transaction is finished first; status 0"""
        idle, secure = self.session(), self.session("submissions")
        fresh = self.relay.wire("clear")
        self.addCleanup(fresh.close)
        self.assertTrue(fresh.reply()[0].startswith("220"))
        begun, in_data = self.open_transaction(), self.open_transaction("DATA")
        in_data.send("From: bob@example.com\r\nSubject: half\r\n")
        ports = dict(self.relay.ports)
        self.relay.process.send_signal(signal.SIGTERM)
        for w in (idle, secure, fresh):
            self.assert_gone(w)
        for name in ("clear", "submission", "submissions", "smtp"):
            wait_for(lambda: self.is_closed(ports[name]), f"{name} to be closed", 5)
        self.assertFalse(os.path.exists(self.relay.submit))
        self.assertIsNone(self.relay.process.poll())
        self.assertTrue(begun.cmd("DATA").startswith("354"))
        begun.send(BODY.replace("\n", "\r\n") + ".\r\n")
        self.assertRegex(begun.reply()[0], ID)
        self.assert_gone(begun)
        self.assertIsNone(self.relay.process.poll())
        in_data.send("\r\nand the rest\r\n.\r\n")
        self.assertRegex(in_data.reply()[0], ID)
        self.assert_gone(in_data)
        children = self.relay.children()
        self.assertEqual(self.relay.process.wait(30), 0)
        for pid in children:
            self.assertTrue(has_ended(pid))
        self.relay.start()
        self.assertEqual(self.relay.json("quota", "show")["SentLast24Hours"], 2.0)

    def test_twice(self):
        """a second SIGTERM waits for nobody"""
        w = self.open_transaction()
        self.relay.process.send_signal(signal.SIGTERM)
        self.relay.wait_log("shutting-down", offset=self.relay.log_offset)
        self.relay.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.relay.process.wait(20), 0)
        self.assert_gone(w)

    def test_stop_command(self):
        """posthornctl stop is SIGTERM, stop --now does not wait"""
        w = self.session()
        self.relay.ctl("stop")
        self.assert_gone(w)
        self.assertEqual(self.relay.process.wait(30), 0)
        self.relay.start()
        w = self.open_transaction()
        self.relay.ctl("stop", "--now")
        self.assertEqual(self.relay.process.wait(20), 0)
        self.assert_gone(w)


class GraceIsOver(Shutdown):
    extra = EXTRA + "smtp.shutdown_grace 1s\n"

    def test_transaction(self):
        """after smtp.shutdown_grace 421; inside data never: that connection just ends, and nothing is kept"""
        begun, in_data = self.open_transaction(), self.open_transaction("DATA")
        in_data.send("From: bob@example.com\r\nSubject: half\r\n")
        self.relay.process.send_signal(signal.SIGTERM)
        self.assert_gone(begun)
        self.assertTrue(in_data.at_end())
        self.assertEqual(self.relay.process.wait(30), 0)
        self.relay.start()
        self.assertEqual(self.relay.json("status")["Queue"]["Messages"], 0)


class Start(unittest.TestCase):
    """A start that is refused says why on standard error, status 1, and changes nothing."""

    def relay(self, **kwargs):
        r = Edited(**kwargs)
        self.addCleanup(r.cleanup)
        return r

    def assert_refused(self, conf, *options, text):
        status, said = refused(conf, *options)
        self.assertEqual(status, 1, said)
        self.assertRegex(said, text)

    def test_store_in_use(self):
        """a second daemon with the same store"""
        first = self.relay().start()
        second = self.relay(edit=lambda text: text.replace(f"dir {{}}", "").replace(
            re.search(r"dir (\S+/store)", text)[1], f"{first.folder}/store"))
        self.assert_refused(second.conf, "--allow-volatile",
                            text=rf"posthornd is running \(pid {first.process.pid}, \S+/store/lock is locked\)")
        self.assertEqual(first.run_ctl("status").returncode, 0)
        self.assertEqual(first.stop(), 0)
        second.start()                       # the lock goes with the process
        self.assertEqual(second.run_ctl("status").returncode, 0)

    def test_audit_keep_at_reload(self):
        """audit.keep is in force from the reload on; the relay writes on, into the shortened file"""
        r = self.relay()
        path = f"{r.folder}/audit.jsonl"
        with open(path, "w") as f:
            f.write('{"eventTime":"%s","eventName":"Old"}\n' % time.strftime(
                "%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3 * 86400)))
        r.start()
        r.ctl("account", "create", "first")
        names = lambda: re.findall(r'"eventName":"(\w+)"', open(path).read())
        self.assertEqual(names(), ["Old", "AccountCreate"])
        with open(r.conf, "a") as f:
            f.write("audit.keep 2d\n")
        r.ctl("reload")
        r.ctl("account", "create", "second")
        self.assertEqual([n for n in names() if n != "Reload"], ["AccountCreate", "AccountCreate"])
        self.assertIn("second", r.ctl("audit", "list"))
        self.assertEqual([f for f in os.listdir(r.folder) if f.startswith("audit")], ["audit.jsonl"])

    def test_after_a_kill(self):
        """a master that was killed: its relay is waited for, and what it listened on"""
        r = self.relay().start()
        for _ in range(3):
            with open(r.conf) as f:
                text = f.read()
            for name, port in r.ports.items():  # the same ones again
                text = re.sub(rf"(listener {name} \{{\s+address) \S+", rf"\1 127.0.0.1:{port}", text)
            with open(r.conf, "w") as f:
                f.write(text)
            r.process.kill()
            r.process.wait()
            r.start()
        self.assertEqual(r.run_ctl("status").returncode, 0)
        self.assertEqual(r.stop(), 0)
        with open(f"{r.folder}/store/lock") as f:
            self.assertEqual(f.read(), "")   # it has ended in order

    def test_lock_outlives_master(self):
        """a lock that stays although its master is gone: the start says so, after a bounded time"""
        r = self.relay()
        gone = subprocess.run(["sh", "-c", "echo $$"], capture_output=True, text=True).stdout
        os.mkdir(f"{r.folder}/store")
        with open(f"{r.folder}/store/lock", "w") as f:
            f.write(gone)
            f.flush()
            fcntl.flock(f, fcntl.LOCK_EX)
            began = time.monotonic()
            self.assert_refused(r.conf, "--allow-volatile",
                                text=r"\S+/store/lock is locked; its master has ended, its relay has not")
            self.assertGreater(time.monotonic() - began, 2.5)
        r.start()
        self.assertEqual(r.run_ctl("status").returncode, 0)

    def test_ports_in_use(self):
        """a second daemon on the same ports, although sockets are shared between loops"""
        first = self.relay().start()
        for name in ("clear", "metrics"):
            port = first.ports[name]
            if name == "metrics":
                change = lambda text: text.replace("metrics.listen 127.0.0.1:0", f"metrics.listen 127.0.0.1:{port}")
            else:
                change = lambda text: re.sub(r"(listener clear \{\s+address) \S+", rf"\1 127.0.0.1:{port}", text)
            second = self.relay(edit=change)
            self.assert_refused(second.conf, "--allow-volatile", text=f"{name}.*[Aa]ddress already in use")
        for path in (first.socket, first.submit):
            second = self.relay(edit=lambda text: re.sub(r"/\S+/" + os.path.basename(path), path, text))
            self.assert_refused(second.conf, "--allow-volatile", text="[Aa]ddress already in use|in use|running")
            self.assertTrue(os.path.exists(path))
        self.assertEqual(first.run_ctl("status").returncode, 0)
        self.assertTrue(first.wire("clear").reply()[0].startswith("220"))

    @unittest.skipUnless(os.path.isdir("/dev/shm") and os.access("/dev/shm", os.W_OK) and
                         "tmpfs" in subprocess.run(["stat", "-f", "-c", "%T", "/dev/shm"], capture_output=True,
                                                   text=True).stdout, "/dev/shm is no tmpfs")
    def test_tmpfs(self):
        """admin-cli.md 16.1: store.dir in memory needs --allow-volatile"""
        folder = tempfile.mkdtemp(dir="/dev/shm")
        self.addCleanup(shutil.rmtree, folder, True)
        r = self.relay(edit=lambda text: re.sub(r"map_size \S+", "map_size 64m",
                                                re.sub(r"dir \S+/store", f"dir {folder}/store", text)))
        self.assert_refused(r.conf, text="tmpfs.*--allow-volatile")
        r.start()
        self.assertEqual(r.run_ctl("status").returncode, 0)

    def test_region(self):
        """admin-cli#16: another server.region is refused, --accept-region-change takes it"""
        r = self.relay().start()
        _, key, password = r.sender()
        self.assertEqual(r.stop(), 0)
        r.edit = lambda text: text.replace("region us-east-1", "region eu-west-1")
        r.write_conf()
        self.assert_refused(r.conf, "--allow-volatile", text="us-east-1.*--accept-region-change")
        r.start("--accept-region-change")
        w = r.wire("clear")
        self.addCleanup(w.close)
        w.reply()
        w.hello()
        self.assertEqual(w.auth(key, password), "535 Authentication Credentials Invalid")
        self.assertEqual(r.stop(), 0)
        r.start()                            # from now on it is the store's region

    def test_master_key(self):
        """credentials#25: open to others, of another size, no file at all"""
        r = self.relay()
        for mode in (0o644, 0o440, 0o404):
            os.chmod(r.master_key, mode)
            self.assert_refused(r.conf, "--allow-volatile",
                                text=r"store.master_key: .*open to group or others \(mode 0%o\)" % mode)
        os.chmod(r.master_key, 0o600)
        with open(r.master_key, "wb") as f:
            f.write(b"x" * 31)
        self.assert_refused(r.conf, "--allow-volatile", text="store.master_key: .*31 octets instead of 32")
        with open(r.master_key, "wb") as f:
            f.write(os.urandom(32))
        r.start()
        self.assertEqual(r.run_ctl("status").returncode, 0)

    def test_no_such_master_key(self):
        """a configured key that is not there is no reason to go on without"""
        r = self.relay()
        os.unlink(r.master_key)
        self.assert_refused(r.conf, "--allow-volatile", text=f"store.master_key: cannot open {r.master_key}: No such file")

    def test_broken_file(self):
        """all errors of the file, then the end"""
        r = self.relay(edit=lambda text: text + "nosuch.thing 1\nserver.region EU\n")
        self.assert_refused(r.conf, "--allow-volatile", text=r"(?s):\d+: unknown setting nosuch.thing.*:\d+: .*server.region")
        self.assertFalse(os.path.exists(r.folder + "/store"))

    def test_unknown_user(self):
        if not ROOT:
            self.skipTest("root only")
        r = self.relay(edit=lambda text: text.replace('keys_user "root"', 'keys_user "no-such-user"'))
        self.assert_refused(r.conf, "--allow-volatile", text="no such user: no-such-user")


class Notify(unittest.TestCase):
    def receive(self, s):
        s.settimeout(60)
        return s.recv(4096).decode()

    def check(self, address, name):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(s.close)
        s.bind(address)
        relay = Edited()
        self.addCleanup(relay.cleanup)
        os.environ["NOTIFY_SOCKET"] = name
        try:
            relay.start(wait=False)
        finally:
            del os.environ["NOTIFY_SOCKET"]
        self.assertEqual(self.receive(s), "READY=1")
        relay._read_ports()
        self.assertTrue(relay.wire("clear").reply()[0].startswith("220"))    # ready means that it answers
        relay.process.send_signal(signal.SIGHUP)
        self.assertEqual([self.receive(s), self.receive(s)], ["RELOADING=1", "READY=1"])
        relay.extra = "nosuch.thing 1\n"
        relay.write_conf()
        relay.process.send_signal(signal.SIGHUP)
        self.assertEqual([self.receive(s), self.receive(s)], ["RELOADING=1", "READY=1"])
        relay.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.receive(s), "STOPPING=1")
        self.assertEqual(relay.process.wait(30), 0)

    def test_path(self):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        self.check(folder + "/notify", folder + "/notify")

    def test_abstract(self):
        name = f"posthorn-{os.getpid()}-{time.monotonic_ns()}"
        self.check("\0" + name, "@" + name)

    def test_nobody_there(self):
        """a socket that is gone holds nothing up"""
        relay = Edited()
        self.addCleanup(relay.cleanup)
        relay.launch(os.path.join(BUILD, "posthornd"), env={"NOTIFY_SOCKET": relay.folder + "/none"})
        self.assertEqual(relay.run_ctl("status").returncode, 0)


def give(path, user, group=None):
    u = pwd.getpwnam(user)
    os.chown(path, u.pw_uid, grp.getgrnam(group).gr_gid if group else u.pw_gid)


def own_users(text, user="daemon", keys="games", verifier="nobody"):
    text = re.sub(r'    user "\w+"', f'    user "{user}"', text)
    text = re.sub(r'    group "\w+"', f'    group "{grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name}"', text)
    text = re.sub(r'keys_user "\w+"', f'keys_user "{keys}"', text)
    return re.sub(r'verifier_user "\w+"', f'verifier_user "{verifier}"', text)


@unittest.skipUnless(ROOT, "changes users: root only")
class Users(unittest.TestCase):
    extra = EXTRA

    def world(self, **kwargs):
        sink = Sink("127.0.0.2")
        sink.start()
        self.addCleanup(sink.stop)
        relay = Edited(extra=self.extra + f"delivery.route * 127.0.0.2:{sink.port}\n", **kwargs)
        self.addCleanup(relay.cleanup)
        return relay, sink

    def send(self, relay, sink, listener):
        w = relay.session(self.key, self.password, listener)
        self.assertRegex(w.message("bob@example.com", "jane@sink.example", BODY), ID)
        w.close()

    def test_without_root(self):
        """architecture.md 2: high ports, everything as the caller, no root needed"""
        relay, sink = self.world(edit=lambda text: re.sub(r'    (user|group|keys_user|verifier_user) "\w+"\n', "", text))
        program = os.path.join(relay.folder, "posthornd")
        shutil.copy(os.path.join(BUILD, "posthornd"), program)
        for path in (relay.folder, relay.master_key, relay.key, relay.cert, relay.conf):
            give(path, "nobody")
        relay.launch("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", program)
        nobody = str(pwd.getpwnam("nobody").pw_uid)
        for pid in (relay.process.pid, *relay.children()):
            self.assertEqual(set(status_of(pid)["Uid"].split()), {nobody})
            self.assertEqual(status_of(pid)["NoNewPrivs"], "1")
        _, self.key, self.password = relay.sender()
        self.send(relay, sink, "submissions")
        sink.wait(1)
        relay.ctl("reload")
        os.kill(started(relay, "relay"), signal.SIGKILL)
        self.send(relay, sink, "clear")
        sink.wait(2)
        self.assertEqual(os.stat(relay.folder + "/store/spool/data.mdb").st_uid, int(nobody))

    def test_own_users(self):
        """each process has a user of its own and no way back; nothing of it can be read by the others"""
        relay, sink = self.world(edit=own_users)
        give(relay.master_key, "games")
        relay.start()
        users = {"relay": "daemon", "keys": "games", "verifier": "nobody"}
        children = {name: started(relay, name) for name in users}
        for name, user in users.items():
            s, u = status_of(children[name]), pwd.getpwnam(user)
            self.assertEqual(s["Uid"].split(), [str(u.pw_uid)] * 4, name)
            self.assertEqual(s["Gid"].split(), [str(u.pw_gid)] * 4, name)
            self.assertEqual(s["Groups"].split(), [], name)
            self.assertEqual((int(s["CapEff"], 16), int(s["CapPrm"], 16)), (0, 0), name)
            self.assertEqual(s["NoNewPrivs"], "1", name)
            self.assertEqual(s["Seccomp"], "2", name)
            self.assertEqual(os.stat(f"/proc/{children[name]}/mem").st_uid, 0, "dumpable: " + name)
        for path in (relay.folder + "/store", relay.folder + "/store/spool/data.mdb", relay.folder + "/store/state/data.mdb"):
            self.assertEqual(os.stat(path).st_uid, pwd.getpwnam("daemon").pw_uid)
            self.assertEqual(os.stat(path).st_mode & 0o077, 0, path)
        _, self.key, self.password = relay.sender()
        for listener in ("clear", "submission", "submissions"):
            self.send(relay, sink, listener)
        sink.wait(3)
        self.assertGreater(relay.json("dkim", "show", "example.com")["Keys"][0]["Bits"]
                           if "Bits" in relay.json("dkim", "show", "example.com")["Keys"][0] else 2048, 1023)
        for name, pid in children.items():   # replaced ones have the same rights
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: started(relay, name) != pid, f"another {name}")
        wait_for(lambda: relay.run_ctl("status").returncode == 0, "the next relay")
        for name, user in users.items():
            u = str(pwd.getpwnam(user).pw_uid)
            wait_for(lambda: status_of(started(relay, name))["Uid"].split() == [u] * 4, f"{name} to be {user}")
        self.send(relay, sink, "submissions")
        sink.wait(4)
        children = relay.children()
        relay.process.kill()
        relay.process.wait()
        for pid in children:                 # the change of user has not cut the tie
            wait_for(lambda: has_ended(pid), f"child {pid} to end")

    def test_sandbox_modes(self):
        """server.sandbox: enforced when nothing is said, off only when that is said, and then it is logged"""
        for mode, seccomp in (("enforce", "2"), ("log", "2"), ("off", "0")):
            relay, sink = self.world(edit=lambda text: text.replace("server {", f"server {{\n    sandbox {mode}", 1))
            relay.start()
            for name in ("relay", "keys", "verifier"):
                self.assertEqual(status_of(started(relay, name))["Seccomp"], seccomp, (mode, name))
            _, self.key, self.password = relay.sender()
            self.send(relay, sink, "submissions")
            sink.wait(1)
            lines = re.findall(r'no-sandbox .*reason="(.*)"', relay.log_text())
            self.assertEqual(set(lines), {"server.sandbox is off"} if mode == "off" else set(), mode)
            relay.stop()

    def test_key_only_root_may_read(self):
        """a new TLS key below a folder of root's alone is taken over at reload"""
        relay, _ = self.world(edit=own_users)
        give(relay.master_key, "games")
        private = os.path.join(relay.folder, "private")
        os.mkdir(private, 0o700)
        relay.cert, relay.key = certificate(private, "first")
        relay.write_conf()
        relay.start()
        old = self.served(relay)
        relay.cert, relay.key = certificate(private, "second")
        os.chmod(relay.key, 0o400)
        relay.reload()
        new = self.served(relay)
        self.assertNotEqual(new, old)
        os.kill(started(relay, "relay"), signal.SIGKILL)
        self.assertEqual(self.served(relay), new)
        r = subprocess.run(["setpriv", "--reuid=daemon", "--regid=daemon", "--clear-groups", "cat", relay.key],
                           capture_output=True)
        self.assertNotEqual(r.returncode, 0)

    def served(self, relay):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", relay.ports["submissions"]), 30) as s:
            with context.wrap_socket(s) as t:
                return t.getpeercert(True)


if __name__ == "__main__":
    unittest.main()
