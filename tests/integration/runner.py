# SPDX-License-Identifier: ISC
"""Runs test_*.py of this folder, several files at a time, and counts."""
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
PARALLEL = 3
LIMIT_S = 600


def run(name):
    try:
        r = subprocess.run([sys.executable, "-W", "ignore", "-m", "unittest", "-v", name], cwd=HERE, timeout=LIMIT_S,
                           capture_output=True, text=True)
        text, status = r.stderr + r.stdout, r.returncode
    except subprocess.TimeoutExpired as e:
        text, status = f"{e.stdout or ''}{e.stderr or ''}\ntimed out", 1
    ran = int((re.findall(r"^Ran (\d+) test", text, re.M) or ["0"])[-1])
    failed = sum(int(n) for n in re.findall(r"(?:failures|errors)=(\d+)", text.splitlines()[-1] if text else ""))
    skipped = sum(int(n) for n in re.findall(r"skipped=(\d+)", text.splitlines()[-1] if text else ""))
    if status != 0 and failed == 0:
        failed, ran = 1, max(ran, 1)
    # a test may fail in several subtests
    return name, text, max(ran - failed - skipped, 0), failed, skipped


def main():
    names = sys.argv[1:] or sorted(f[:-3] for f in os.listdir(HERE) if f.startswith("test_") and f.endswith(".py"))
    passed = failed = skipped = 0
    with ThreadPoolExecutor(PARALLEL) as pool:
        for name, text, p, f, s in pool.map(run, names):
            passed, failed, skipped = passed + p, failed + f, skipped + s
            print(f"{name}: {p} passed, {f} failed, {s} skipped", flush=True)
            if f:
                print(text[-12000:], flush=True)
    print(f"integration: {passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
