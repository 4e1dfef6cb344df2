# SPDX-License-Identifier: ISC
"""Crash images: the relay is stopped for an instant, its spool copied, and
the copy opened as the next start would.

A kill shows what is on the disk at the moment of the kill; a few dozen of
them miss what is wrong between two commits now and then.  An image is the
same without the restart, so a run looks at hundreds.  In each one

  - SentLast24Hours is the number of recipients kept, to the recipient;
  - all that was answered 250 before is there, with all its recipients.
"""
import os
import re
import shutil
import signal
import subprocess
import threading

from harness.waiting import wait_for

AT_ONCE = 8


def has_stopped(pid):
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/stat") as f:
            if f.read().rsplit(")", 1)[1].split()[0] not in "Tt":
                return False
    return True


class Camera(threading.Thread):
    """Camera(build, account, folder, store, relay_pid, ledger); start(), then finish()."""

    def __init__(self, build, account, folder, store, relay_pid, ledger):
        super().__init__(daemon=True)
        self.program = os.path.join(build, "tests", "crash-image")
        self.account, self.store = account, store
        self.folder = os.path.join(folder, "images")
        self.relay_pid, self.ledger = relay_pid, ledger
        self.ending = threading.Event()
        self.taken = self.checked = self.states = 0
        self.last = None
        self.film = []               # (folder, {mid: recipients} acknowledged before)
        self.bad, self.trouble = [], None

    def run(self):
        try:
            while not self.ending.wait(0.01):
                self.take()
                if len(self.film) == AT_ONCE:
                    self.develop()
            self.develop()
        except Exception as e:       # told at the end
            self.trouble = repr(e)
            raise

    def finish(self):
        self.ending.set()
        self.join(120)
        if self.is_alive() or self.trouble:
            raise AssertionError(f"the camera: {self.trouble}")

    def take(self):
        pid = self.relay_pid()
        if pid is None:
            return
        acked = self.ledger.acknowledged()
        folder = os.path.join(self.folder, str(self.taken))
        os.makedirs(os.path.join(folder, "spool"))
        try:
            os.kill(pid, signal.SIGSTOP)
            try:
                wait_for(lambda: has_stopped(pid), "the relay to stand still")
                for name in ("data.mdb", "redo"):
                    shutil.copyfile(os.path.join(self.store, name), os.path.join(folder, "spool", name))
                whole = has_stopped(pid)
            finally:
                os.kill(pid, signal.SIGCONT)
        except (FileNotFoundError, ProcessLookupError):
            whole = False            # it was killed meanwhile
        if not whole:
            shutil.rmtree(folder)
            return
        self.taken += 1
        self.film.append((folder, acked))

    def develop(self):
        if not self.film:
            return
        r = subprocess.run([self.program, self.account, *(folder for folder, _ in self.film)], capture_output=True, text=True)
        if r.returncode != 0:
            raise AssertionError(r.stderr)
        parts = re.split(r"(?m)^image (\S+) counted=(\d+)\n", r.stdout)[1:]
        images = {parts[i]: (int(parts[i + 1]), parts[i + 2]) for i in range(0, len(parts), 3)}
        for folder, acked in self.film:
            self.look(folder, acked, *images[folder])
            shutil.rmtree(folder)
        self.film.clear()

    def look(self, folder, acked, counted, text):
        kept = {mid: int(n) for mid, n in (line.split() for line in text.splitlines())}
        self.checked += 1
        self.states += kept != self.last
        self.last = kept
        if counted != sum(kept.values()):
            self.bad.append(f"{folder}: counted are {counted}, kept {sum(kept.values())}")
        for mid, n in acked.items():
            if kept.get(mid) != n:
                self.bad.append(f"{folder}: {mid} has {kept.get(mid)} of {n} recipients")
