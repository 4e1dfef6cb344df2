# SPDX-License-Identifier: ISC
"""Runs test_*.py of this folder, several files at a time, and counts.

    runner.py [test_file[.Class[.test]] ...]

A file is a process of its own, in a session of its own, which is ended as a
whole if it takes longer than LIMIT_S.  What a user has to skip for want of
root ("root" in the reason) is run once more through sudo, where that asks no
password.  Of a file that fails the failures are shown, not the rest.
"""
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed

HERE = os.path.dirname(os.path.abspath(__file__))
PARALLEL = int(os.environ.get("POSTHORN_PARALLEL", "0")) or 2 + (os.cpu_count() or 1)
LIMIT_S = 600
SHOWN = 30000
UNITTEST = [sys.executable, "-W", "ignore", "-m", "unittest", "-v"]
# the variables that such a run needs
SUDO = ["sudo", "-n", "--preserve-env=POSTHORN_BUILD,ASAN_OPTIONS,UBSAN_OPTIONS,PYTHONDONTWRITEBYTECODE,LC_ALL"]


class Result:
    """What unittest printed, counted."""

    def __init__(self, text, status):
        last = text.splitlines()[-1] if text else ""
        self.text = text
        self.ran = int((re.findall(r"^Ran (\d+) test", text, re.M) or ["0"])[-1])
        self.failed = sum(int(n) for n in re.findall(r"(?:failures|errors)=(\d+)", last))
        # "test_x (file.Class.test_x)", perhaps a line of its docstring, "... skipped 'reason'"
        self.skips = re.findall(r"^\w+ \((\S+)\)(?:\n.*)? \.\.\. skipped ['\"](.*)['\"]$", text, re.M)
        self.skipped = sum(int(n) for n in re.findall(r"skipped=(\d+)", last))
        if status != 0 and self.failed == 0:
            self.failed, self.ran = 1, max(self.ran, 1)
        # a test may fail in several subtests
        self.passed = max(self.ran - self.failed - self.skipped, 0)

    def failures(self):
        """The tracebacks, without the list of tests before them."""
        start = self.text.find("\n" + "=" * 70)
        return self.text[start + 1:][:SHOWN] if start >= 0 else self.text[-SHOWN:]


def execute(command):
    with subprocess.Popen(command, cwd=HERE, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, start_new_session=True) as p:
        try:
            text, _ = p.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, signal.SIGKILL)
            text, _ = p.communicate()
            text += f"\ntimed out after {LIMIT_S} s"
        return Result(text, p.returncode)


def run(name):
    begun = time.monotonic()
    results = [execute(UNITTEST + [name])]
    rooted = [test for test, reason in results[0].skips if "root" in reason]
    if rooted and MAY_SUDO:
        again = execute(SUDO + UNITTEST + rooted)
        results[0].skipped -= len(rooted)
        results.append(again)
    return name, results, time.monotonic() - begun


MAY_SUDO = os.geteuid() != 0 and subprocess.run(["sh", "-c", "sudo -n true"], stdout=subprocess.DEVNULL,
                                                stderr=subprocess.DEVNULL).returncode == 0


def main():
    names = sys.argv[1:] or [f[:-3] for f in os.listdir(HERE) if f.startswith("test_") and f.endswith(".py")]
    # the big ones first, so that none of them is alone at the end
    names.sort(key=lambda n: -os.path.getsize(os.path.join(HERE, n.split(".")[0] + ".py")))
    passed = failed = skipped = 0
    reasons = {}
    with ThreadPoolExecutor(PARALLEL) as pool:
        for done in as_completed([pool.submit(run, name) for name in names]):
            name, results, seconds = done.result()
            p, f, s = (sum(getattr(r, k) for r in results) for k in ("passed", "failed", "skipped"))
            passed, failed, skipped = passed + p, failed + f, skipped + s
            print(f"  {name:24} {seconds:6.1f} s  {p} passed, {f} failed" + (f", {s} skipped" if s else ""), flush=True)
            for r in results:
                if r.failed:
                    print(r.failures(), flush=True)
            again = len(results) > 1
            for test, reason in (skip for r in results for skip in r.skips):
                if not (again and "root" in reason):
                    reasons.setdefault(reason, []).append(test)
    for reason, tests in reasons.items():
        print(f"  skipped, {reason}: {len(tests)}")
    print(f"integration: {passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
