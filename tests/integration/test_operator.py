# SPDX-License-Identifier: ISC
"""What an operator does by mistake: files that are none, stores that are half there, commands that are cut short.
Each is told with its place, and nothing is lost by it."""
import os
import re
import shutil
import signal
import subprocess
import unittest

from harness.relay import BUILD, Relay
from harness.waiting import wait_for

BODY = "From: bob@example.com\nTo: x\nSubject: test\n\nHello, world.\n"
ID = r"250 Ok [0-9a-f]{16}-[0-9a-f-]{36}-000000"


class NoFiles(unittest.TestCase):
    """A FIFO, a directory or a device where a file should be: the reload is refused, the old settings stay, and the
    master goes on watching its children."""

    @classmethod
    def setUpClass(cls):
        cls.relay = Relay()
        cls.addClassCleanup(cls.relay.cleanup)
        cls.relay.start()
        _, cls.key, cls.password = cls.relay.sender()

    def put(self, path, make):
        """Something else stands at path, to the end of the test."""
        os.rename(path, path + ".kept")
        self.addCleanup(os.rename, path + ".kept", path)
        make(path)
        self.addCleanup(lambda: os.rmdir(path) if os.path.isdir(path) else os.unlink(path))

    def refused(self, path, reason):
        r = self.relay.run_ctl("reload", timeout=20)
        self.assertEqual(r.returncode, 1, r.stdout + r.stderr)
        self.assertRegex(r.stderr, rf"{re.escape(path)}.*{reason}")
        # who watches its children starts them again
        pid = self.relay.child("verifier")
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: self.relay.child("verifier") != pid, "another verifier")
        w = self.relay.session(self.key, self.password, "submissions")
        self.assertRegex(w.message("bob@example.com", "x@sink.example", BODY), ID)
        w.close()

    def test_conf_is_a_fifo(self):
        self.put(self.relay.conf, os.mkfifo)
        self.refused(self.relay.conf, "no regular file")

    def test_conf_is_a_directory(self):
        self.put(self.relay.conf, os.mkdir)
        self.refused(self.relay.conf, "Is a directory")

    def test_conf_is_a_device(self):
        self.put(self.relay.conf, lambda path: os.symlink("/dev/zero", path))
        self.refused(self.relay.conf, "no regular file")

    def test_key_is_a_fifo(self):
        self.put(self.relay.key, os.mkfifo)
        self.refused(self.relay.key, "")

    def test_expired(self):
        """A certificate that has ended is served, but not in silence."""
        with open(self.relay.cert) as f:
            self.addCleanup(lambda text=f.read(): open(self.relay.cert, "w").write(text))
        ca = os.path.join(self.relay.folder, "ca.conf")
        for name, text in (("ca.conf", f"""[ca]
default_ca = d
[d]
database = {ca}.index
new_certs_dir = {self.relay.folder}
serial = {ca}.serial
default_md = sha256
policy = p
[p]
commonName = supplied
"""), ("ca.conf.index", ""), ("ca.conf.serial", "01\n")):
            with open(os.path.join(self.relay.folder, name), "w") as f:
                f.write(text)
        subprocess.run(["openssl", "req", "-new", "-key", self.relay.key, "-subj", "/CN=mail.relay.example", "-out",
                        ca + ".csr"], check=True, capture_output=True)
        subprocess.run(["openssl", "ca", "-batch", "-config", ca, "-selfsign", "-keyfile", self.relay.key, "-in",
                        ca + ".csr", "-out", self.relay.cert, "-startdate", "20200101000000Z", "-enddate",
                        "20210101000000Z", "-notext"], check=True, capture_output=True)
        offset = os.path.getsize(self.relay.log)
        self.relay.ctl("reload")
        self.relay.wait_log(r"warn relay certificate-expired listener=submissions path=\S+ end=2021-01-01T00:00:00Z",
                            offset=offset)

    def test_config_check(self):
        self.put(self.relay.conf, os.mkfifo)
        r = self.relay.run_ctl("config", "check", timeout=20)
        self.assertEqual((r.returncode, r.stdout), (1, f"{self.relay.conf}: cannot read: it is no regular file\n"))


class Stores(unittest.TestCase):
    """check, compact and restore of stores that are damaged, or after a command that was cut short."""

    def setUp(self):
        self.relay = Relay()
        self.addCleanup(self.relay.cleanup)
        self.relay.start()
        _, key, password = self.relay.sender()
        w = self.relay.session(key, password)
        self.assertRegex(w.message("bob@example.com", "x@sink.example", BODY), ID)
        w.close()
        self.store = os.path.join(self.relay.folder, "store")
        self.copy = os.path.join(self.relay.folder, "copy")
        self.relay.ctl("store", "backup", self.copy)
        self.assertEqual(self.relay.stop(), 0)

    def run_store(self, *args):
        r = self.relay.run_ctl("store", *args)
        return r.returncode, r.stdout + r.stderr

    def check_whole(self):
        status, text = self.run_store("check")
        self.assertEqual(status, 0, text)
        self.assertRegex(text, r"^accounts 1, .*waiting recipients 1, damaged 0$")
        self.assertEqual(sorted(os.listdir(self.store)), ["lock", "spool", "state"])

    def test_missing(self):
        """A store that is not there is not made anew and found well; the daemon says so."""
        for name in ("spool", "state"):
            path = os.path.join(self.store, name, "data.mdb")
            for damage, reason in ((lambda: os.unlink(path), "No such file"), (lambda: open(path, "w"), "it is empty")):
                damage()
                for command in ("check", "compact"):
                    self.assertEqual(self.run_store(command)[0], 1)
                    self.assertRegex(self.run_store(command)[1], rf"^error: no store: {re.escape(path)}: {reason}")
                self.assertEqual(self.run_store("restore", self.copy, "--yes"), (0, ""))
                self.check_whole()
        # on a new machine
        os.rename(self.store, f"{self.store}.old")
        self.assertEqual(self.run_store("check")[0], 1)
        self.assertEqual(self.run_store("restore", self.copy, "--yes"), (0, ""))
        self.assertEqual(os.stat(self.store).st_mode & 0o7777, 0o700)
        self.check_whole()
        os.unlink(os.path.join(self.store, "spool", "data.mdb"))
        self.relay.start()
        self.assertIn("error relay spool-missing", self.relay.log_text(self.relay.log_offset))

    def test_damaged(self):
        """What is cut short or no store at all: told, with status 1, and nothing is replaced by it."""
        path = os.path.join(self.store, "spool", "data.mdb")
        copied = os.path.join(self.copy, "spool", "data.mdb")
        for where, command in ((path, ("check",)), (path, ("compact",)), (copied, ("restore", self.copy, "--yes"))):
            with open(where, "rb") as f:
                whole = f.read()
            for content, reason in ((whole[:8192], "a store cannot be read: its file is cut short"),
                                    (b"\0" * 65536, "MDB_INVALID"), (b"x" * 65536, "MDB_INVALID")):
                with open(where, "wb") as f:
                    f.write(content)
                status, text = self.run_store(*command)
                self.assertEqual(status, 1, text)
                self.assertRegex(text, rf"^error: .*{reason}")
                with open(where, "wb") as f:
                    f.write(whole)
                if where == path:
                    self.assertEqual(self.run_store("compact"), (0, ""))
                self.check_whole() if where == path else None
        self.assertEqual(self.run_store("restore", self.copy, "--yes"), (0, ""))
        self.check_whole()

    def test_cut_short(self):
        """Compact and restore that were killed leave what there was, and the next one works."""
        for command, stage in ((("compact",), "compact"), (("restore", self.copy, "--yes"), "restore")):
            for name in ("state", "spool"):
                os.makedirs(os.path.join(self.store, stage, name))
                with open(os.path.join(self.store, stage, name, "data.mdb"), "wb") as f:
                    f.write(b"half")
            self.assertEqual(self.run_store(*command), (0, ""))
            self.check_whole()
            for _ in range(5):
                p = subprocess.Popen([os.path.join(BUILD, "posthornctl"), "-c", self.relay.conf, "store", *command])
                wait_for(lambda: p.poll() is not None or os.path.exists(os.path.join(self.store, stage)), "the stage")
                p.kill()
                p.wait()
                status, text = self.run_store("check")
                self.assertEqual((status, "waiting recipients 1" in text), (0, True), text)
            self.assertEqual(self.run_store(*command), (0, ""))
            self.check_whole()

    def test_flushed(self):
        """What takes a store's place is on the disk before it does."""
        strace = shutil.which("strace")
        if strace is None:
            self.skipTest("strace is not installed")
        for command in (("compact",), ("restore", self.copy, "--yes")):
            trace = os.path.join(self.relay.folder, "trace")
            subprocess.run([strace, "-f", "-y", "-o", trace, "-e", "trace=fsync,rename", os.path.join(BUILD, "posthornctl"),
                            "-c", self.relay.conf, "store", *command], check=True,
                           env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0"))
            with open(trace) as f:
                calls = re.findall(r"(fsync|rename)\((?:\d+<)?\"?([^>\"]*)", f.read())
            for name in ("state", "spool"):
                staged = os.path.join(self.store, command[0], name, "data.mdb")
                renamed = calls.index(("rename", staged))
                self.assertIn(("fsync", staged), calls[:renamed])
                self.assertIn(("fsync", os.path.join(self.store, name)), calls[renamed:])


@unittest.skipIf(os.geteuid() != 0, "mounts a file system of 48 MB: root only")
class FullDisk(unittest.TestCase):
    """The disk of the stores fills up: 452 and nothing else, no process ends, what waits is settled, and when that
    has made room in the file, mail is taken again though the file has not become smaller."""

    def setUp(self):
        self.relay = Relay(extra="smtp.max_errors 1000\nspool.min_free 1m\n")
        self.addCleanup(self.relay.cleanup)
        # the harness has another value
        with open(self.relay.conf) as f:
            text = f.read().replace("spool.min_free 16m\n", "", 1)
        with open(self.relay.conf, "w") as f:
            f.write(text)
        self.store = os.path.join(self.relay.folder, "store")
        os.mkdir(self.store)
        r = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", self.store], capture_output=True, text=True)
        if r.returncode != 0:
            self.skipTest(r.stderr.strip())
        self.addCleanup(lambda: (self.relay.stop(), subprocess.run(["umount", self.store], check=True)))
        self.relay.start()
        _, key, self.password = self.relay.sender()
        self.w = self.relay.session(key, self.password)
        self.addCleanup(self.w.close)

    def one(self):
        """Reply to MAIL, or to the end of data, and the id."""
        answer = self.w.cmd("MAIL FROM:<bob@example.com>")
        if answer != "250 Ok":
            return answer
        self.w.cmd("RCPT TO:<x@dead.example>")
        self.w.cmd("DATA")
        self.w.send("From: bob@example.com\r\n\r\n" + ("x" * 70 + "\r\n") * 14000 + ".\r\n")
        return self.w.reply()[0]

    def fill(self):
        taken = []
        while len(taken) < 100:
            answer = self.one()
            if not answer.startswith("250 "):
                self.assertEqual(answer, "452 Insufficient system storage")
                return taken
            taken.append(answer.split()[2])
        self.fail("a disk of 48 MB took 100 MB")

    def check_settled(self, taken):
        self.relay.ctl("queue", "delete", *taken[5:], "--yes")
        answer = wait_for(lambda: (a := self.one()).startswith("250 ") and a, "mail to be taken again")
        self.assertRegex(answer, ID)
        self.assertNotIn("child-ended", self.relay.log_text())
        self.w.close()
        self.assertEqual(self.relay.stop(), 0)
        self.assertRegex(self.relay.ctl("store", "check"), r"waiting recipients 6, damaged 0")

    def test_filled_by_mail(self):
        self.check_settled(self.fill())

    def test_filled_by_others(self):
        """Not a page is left: the next commit fails in the midst of a write."""
        taken = [self.one().split()[2] for _ in range(20)]
        with open(os.path.join(self.store, "other"), "wb", buffering=0) as f:
            with self.assertRaises(OSError):
                while True:
                    f.write(b"x" * 4096)
        # the file of the store has some room in advance
        while (answer := self.one()).startswith("250 ") and len(taken) < 25:
            taken.append(answer.split()[2])
        self.assertEqual(answer, "452 Insufficient system storage")
        r = self.relay.run_ctl("identity", "add", "full.example")
        self.assertEqual(r.returncode, 1)
        self.assertIn("No space left on device", r.stderr)
        os.unlink(os.path.join(self.store, "other"))
        self.check_settled(taken)


if __name__ == "__main__":
    unittest.main()
