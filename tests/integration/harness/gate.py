# SPDX-License-Identifier: ISC
"""A gate in front of a name server: answers are late, or are lost, as a test says.

    gate = Gate(dns.port); relay.dns = gate          # the relay asks at gate.port
    gate.hold("slow.example"); ...; gate.wait_asked("slow.example", "MX"); gate.open("slow.example")
    gate.lose("lossy.example", 1)                    # the first question for it is never answered

A real UDP socket of its own; what is neither held nor lost passes at once, both ways.  Only datagrams: an answer
that does not fit into one (RFC 1035 4.2.1) would be asked for by TCP, where nobody listens.
"""
import selectors
import socket
import struct
import threading

from .waiting import wait_for

TYPES = {1: "A", 2: "NS", 5: "CNAME", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA"}


def question(packet):
    """Name and type of the first question (RFC 1035 4.1.2)."""
    labels, at = [], 12
    while packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode().lower())
        at += 1 + packet[at]
    number = struct.unpack("!H", packet[at + 1:at + 3])[0]
    return ".".join(labels), TYPES.get(number, str(number))


class Gate(threading.Thread):
    def __init__(self, server_port):
        super().__init__(daemon=True)
        self.server = ("127.0.0.1", server_port)
        self.host = "127.0.0.1"
        self.front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.front.bind(("127.0.0.1", 0))
        self.port = self.front.getsockname()[1]
        self.wake, self.woken = socket.socketpair()
        self.lock = threading.Lock()
        self.asked = []           # (name, type), in the order in which they came
        self.held = {}            # name -> [(packet, asker)]
        self.losses = {}          # name -> how many more are lost, None = all
        self.ways = {}            # socket to the server -> asker
        self.stopping = False

    def hold(self, name):
        with self.lock:
            self.held[name] = []

    def open(self, name):
        """What waits for it passes, and what comes."""
        with self.lock:
            waiting = self.held.pop(name)
        for packet, asker in waiting:
            self.pass_on(packet, asker)

    def lose(self, name, count=None):
        with self.lock:
            self.losses[name] = count

    def keep(self, name):
        """Nothing for it is lost any more."""
        with self.lock:
            del self.losses[name]

    def count(self, name, kind):
        with self.lock:
            return self.asked.count((name, kind))

    def wait_asked(self, name, kind, count=1, timeout=30):
        wait_for(lambda: self.count(name, kind) >= count, f"{count} questions for {name} {kind}", timeout)

    # -- datagrams ---------------------------------------------------------------------
    def pass_on(self, packet, asker):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.connect(self.server)
        with self.lock:
            self.ways[s] = asker
        s.send(packet)
        self.wake.send(b".")

    def is_lost(self, name):
        left = self.losses.get(name, 0)
        if left:
            self.losses[name] = left - 1
        return left is None or left > 0

    def on_question(self, packet, asker):
        name, kind = question(packet)
        with self.lock:
            self.asked.append((name, kind))
            if self.is_lost(name):
                return
            if name in self.held:
                self.held[name].append((packet, asker))
                return
        self.pass_on(packet, asker)

    def on_answer(self, s):
        with self.lock:
            asker = self.ways.pop(s)
        try:
            self.front.sendto(s.recv(65535), asker)
        finally:
            s.close()

    def run(self):
        while not self.stopping:
            with self.lock:
                ways = list(self.ways)
            with selectors.DefaultSelector() as look:
                for s in (self.front, self.woken, *ways):
                    look.register(s, selectors.EVENT_READ)
                ready = [key.fileobj for key, _ in look.select()]
            for s in ready:
                if s is self.front:
                    self.on_question(*self.front.recvfrom(65535))
                elif s is self.woken:
                    self.woken.recv(4096)
                else:
                    self.on_answer(s)

    def stop(self):
        self.stopping = True
        self.wake.send(b".")
        self.join(20)
        for s in (self.front, self.wake, self.woken, *self.ways):
            s.close()
