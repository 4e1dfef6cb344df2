# SPDX-License-Identifier: ISC
"""Users: each process its own, none of them root; the sandbox (architecture.md 2)."""
import grp
import os
import pwd
import re
import shutil
import signal
import socket
import ssl
import subprocess
import unittest

from harness.process_world import BODY, Edited, EXTRA, ID, ROOT, started
from harness.relay import BUILD, certificate, has_ended
from harness.sink import Sink
from harness.waiting import wait_for


def status_of(pid):
    """/proc/PID/status as a dictionary."""
    with open(f"/proc/{pid}/status") as f:
        return dict(l.rstrip("\n").split(":\t", 1) for l in f if ":\t" in l)


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
