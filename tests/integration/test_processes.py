# SPDX-License-Identifier: ISC
"""Processes: one that dies or hangs is started again, the others live on (architecture.md 2)."""
import contextlib
import ctypes
import os
import re
import signal
import threading
import time
import unittest

from harness.process_world import EXTRA, ID, started, World
from harness.relay import has_ended
from harness.waiting import wait_for
from harness.wire import Wire

PTRACE_SEIZE, PTRACE_INTERRUPT, WALL = 0x4206, 0x4207, 0x40000000


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


if __name__ == "__main__":
    unittest.main()
