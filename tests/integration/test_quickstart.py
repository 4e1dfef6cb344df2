# SPDX-License-Identifier: ISC
"""contrib/quickstart: what it shows, that what it says to type works, and
that nothing of it stays behind, whatever ends it.  It runs from a clone whose
path has blanks."""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

from harness.relay import BUILD
from harness.waiting import wait_for

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
DIALOGUE = r"""S: 220 mail\.relay\.example ESMTP \S+ \S+
C: EHLO \S+
(?:S: 250-.*\n)*S: 250-STARTTLS
(?:S: 250-.*\n)*S: 250 Ok
C: STARTTLS
S: 220 Ready to start TLS
   \(Protocol version: TLSv1\.3\)
   \(Ciphersuite: \S+\)
   \(Verification: OK\)
C: EHLO app1\.example\.com
(?:S: 250-.*\n)*S: 250-AUTH PLAIN LOGIN
(?:S: 250-.*\n)*S: 250 Ok
C: AUTH PLAIN \S+
S: 235 Authentication successful
C: MAIL FROM:<bob@example\.com>
S: 250 Ok
C: RCPT TO:<jane@sink\.example>
S: 250 Ok
C: DATA
S: 354 .*
C: From: Bob <bob@example\.com>
(?:C: .*\n)*C: \.
S: 250 Ok [0-9a-f-]+
C: QUIT
S: 221 Bye
"""


def heed_signals():
    """For a child: who started the tests with nohup or in the background has them ignored."""
    for s in SIGNALS:
        signal.signal(s, signal.SIG_DFL)


class Quickstart(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="posthorn-quickstart-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.addCleanup(self.stop_all)
        self.clone = os.path.join(self.folder, "a clone")
        self.tmp = os.path.join(self.folder, "tmp")
        os.mkdir(self.tmp)
        shutil.copytree(os.path.join(TOP, "contrib"), os.path.join(self.clone, "contrib"))
        shutil.copytree(os.path.join(TOP, "tests/integration/harness"),
                        os.path.join(self.clone, "tests/integration/harness"))
        os.symlink(os.path.abspath(BUILD), os.path.join(self.clone, "built"))

    def stop_all(self):
        """What a test that failed has left."""
        for name in os.listdir(self.tmp):
            subprocess.run([os.path.join(self.tmp, name, "stop")], capture_output=True, timeout=60)

    def begin(self, *options, **more):
        env = dict(os.environ, TMPDIR=self.tmp, **more)
        return subprocess.Popen(["contrib/quickstart", "--no-install", "--build", "built", *options], cwd=self.clone,
                                env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, preexec_fn=heed_signals)

    def run_one(self, *options, **more):
        p = self.begin(*options, **more)
        text, _ = p.communicate(timeout=170)
        return p.returncode, text

    def running(self):
        """Command lines of all that names a folder of ours."""
        out = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline") as f:
                    line = f.read()
            except OSError:
                continue
            if self.tmp in line:
                out.append(line.replace("\0", " "))
        return out

    def assert_nothing_left(self):
        wait_for(lambda: not self.running(), f"the end of {self.running()}")
        self.assertEqual(os.listdir(self.tmp), [])

    def assert_shown(self, status, text):
        self.assertEqual(status, 0, text)
        self.assertRegex(text, DIALOGUE)
        self.assertIn("\n\nHello Jane.\n", text)
        self.assertIn("000001.eml DKIM pass\n000002.eml DKIM pass\n", text)
        self.assertEqual(len(re.findall(r"(?m)^\S+ DELIVERY \S+ jane@sink\.example 127\.0\.0\.1 \"250 ", text)), 2)

    def test_two_at_once(self):
        """each has ports and a folder of its own"""
        both = [self.begin(), self.begin()]
        for p in both:
            text, _ = p.communicate(timeout=170)
            self.assert_shown(p.returncode, text)
        self.assert_nothing_left()

    def test_keep(self):
        """what it says to type works as it stands there; so does what ends it"""
        status, text = self.run_one("--keep")
        self.assert_shown(status, text)
        self.assertTrue(self.running())
        commands = re.findall(r"(?m)^  (.*)$", text.split("to type here and now:\n")[1])
        *commands, stop = commands
        self.addCleanup(subprocess.run, ["bash", "-c", stop], capture_output=True)
        # what each of them shows, in the order in which it is proposed
        expected = [r"(?i)queued|waiting|messages", r" DELIVERY .* jane@sink\.example ", " SEND ", "^$", "^$",
                    "(?m)^000001\\.eml$"]
        if shutil.which("swaks"):
            expected.append("(?m)^<~  250 Ok [0-9a-f]")
        self.assertEqual(len(commands), len(expected), commands)
        for command, shown in zip(commands, expected):
            with self.subTest(command=command):
                # one that goes on until Ctrl-C is ended once it has shown what it should
                p = subprocess.Popen(["bash", "-c", "exec 2>&1; " + command], stdout=subprocess.PIPE, text=True,
                                     start_new_session=True, preexec_fn=heed_signals)
                if "--follow" in command:
                    self.assertRegex(p.stdout.readline(), shown)
                    os.killpg(p.pid, signal.SIGINT)
                    p.communicate(timeout=30)
                else:
                    out, _ = p.communicate(timeout=60)
                    self.assertEqual(p.returncode, 0, out)
                    self.assertRegex(out, shown)
        inbox = commands[5].split(" ", 1)[1]
        events = commands[1]

        def told(what):
            return subprocess.run(["bash", "-c", f"{events} | grep -c '{what}'"], capture_output=True,
                                  text=True).stdout.strip()
        wait_for(lambda: "000003.eml" in subprocess.run(["bash", "-c", "ls " + inbox], capture_output=True,
                                                        text=True).stdout, "the third message")
        wait_for(lambda: told(" BOUNCE .*simulator") == "1", "the bounce of the simulator")
        r = subprocess.run(["bash", "-c", stop], capture_output=True, text=True, timeout=60)
        self.assertEqual((r.returncode, r.stderr), (0, ""))
        self.assert_nothing_left()

    def test_signals(self):
        """Ctrl-C, kill and a closed terminal, early and late"""
        for number, at in ((signal.SIGINT, "== posthornd"), (signal.SIGTERM, "== a message by openssl"),
                           (signal.SIGHUP, "C: EHLO app1"), (signal.SIGTERM, "== a receiving server")):
            with self.subTest(signal=number.name, at=at):
                p = self.begin("--keep")
                for line in p.stdout:
                    if line.startswith(at):
                        p.send_signal(number)
                        break
                # as long as a busy machine needs to end what was begun
                text, _ = p.communicate(timeout=200)
                self.assertEqual(p.returncode, 128 + number, text)
                self.assert_nothing_left()

    def test_failure(self):
        """an answer that does not come: said, with the log; nothing left"""
        programs = os.path.join(self.folder, "bin")
        os.mkdir(programs)
        with open(os.path.join(programs, "openssl"), "w") as f:
            f.write("#!/bin/sh\nPATH=${PATH#*:}\n[ \"$1\" != s_client ] || { echo Verification: OK >&2; exit 1; }\n"
                    "exec openssl \"$@\"\n")
        os.chmod(os.path.join(programs, "openssl"), 0o755)
        status, text = self.run_one("--keep", PATH=programs + ":" + os.environ["PATH"])
        self.assertNotEqual(status, 0)
        self.assertIn("quickstart failed", text)
        self.assertIn("ready version=", text)
        self.assert_nothing_left()


if __name__ == "__main__":
    unittest.main()
