# SPDX-License-Identifier: ISC
"""Waiting for a condition, and free ports; whether a process has ended."""
import os
import socket
import threading
import time

TIMEOUT = 30.0


def wait_for(condition, what, timeout=TIMEOUT):
    """Returns the first true value of condition(); fails after timeout s."""
    end = time.monotonic() + timeout
    pause = threading.Event()
    step = 0.002
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"timed out waiting for {what}")
        pause.wait(step)
        step = min(step * 1.5, 0.1)


def free_port(kind=socket.SOCK_STREAM, host="127.0.0.1"):
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind((host, 0))
        return s.getsockname()[1]


def free_port_both(host="127.0.0.1"):
    """A port that is free for TCP and UDP."""
    for _ in range(100):
        port = free_port(socket.SOCK_STREAM, host)
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.bind((host, port))
            return port
        except OSError:
            continue
    raise AssertionError("no free port")


def is_gone(pid):
    """It has ended, with all its threads: before, a zombie may still hold sockets."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            state = f.read().rsplit(")", 1)[1].split()[0]
        return state == "Z" and len(os.listdir(f"/proc/{pid}/task")) <= 1
    except (FileNotFoundError, ProcessLookupError):
        return True
