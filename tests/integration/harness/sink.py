#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""A receiving SMTP server under the test's control.

    sink = Sink(host="127.0.0.1", tls=(cert, key))
    sink.rules.rcpt = lambda session, address: "550 5.1.1 user unknown"
    sink.rules.drop = "dot"            # close the connection at that stage
    sink.start(); ...; sink.messages[0].data; sink.stop()

A rule is None (accept), a reply text, or a function (session, argument) that
gives one of these.  Stages: greeting, ehlo, mail, rcpt, data, dot.  Runs by
itself, too:  sink.py --port 2525 --dir FOLDER  writes each message there.
"""
import argparse
import os
import re
import socket
import ssl
import sys
import threading
import time


class Rules:
    def __init__(self):
        self.greeting = None
        self.ehlo = None
        self.mail = None
        self.rcpt = None
        self.data = None
        self.dot = None
        self.drop = None          # stage, or function (session, stage) -> bool
        self.hold = {}            # stage -> threading.Event to wait for
        self.capabilities = ["PIPELINING", "8BITMIME", "SIZE 52428800"]
        self.starttls = "offer"   # offer, none, refuse, alert
        self.reply = "250 2.6.0 Message received"
        self.max_parallel = None  # above it: 421 at the greeting
        self.helo_only = False    # EHLO is answered 500


class Message:
    def __init__(self):
        self.mail_from = None
        self.mail_params = ""
        self.rcpts = []
        self.data = b""           # after unstuffing
        self.raw = b""            # as it came over the wire (DATA), or chunks
        self.bdat = False
        self.tls = None
        self.ehlo = None
        self.peer = None
        self.session = None
        self.at = 0.0


class Session(threading.Thread):
    def __init__(self, sink, sock, peer, number):
        super().__init__(daemon=True)
        self.sink, self.sock, self.peer, self.number = sink, sock, peer, number
        self.rules = sink.rules
        self.input = b""
        self.commands = []        # every line the client sent
        self.tls = None
        self.ehlo = None
        self.transactions = 0
        self.reason = None

    # -- bytes ----------------------------------------------------------
    def more(self):
        more = self.sock.recv(65536)
        if not more:
            raise EOFError
        self.input += more

    def line(self):
        while b"\n" not in self.input:
            self.more()
        line, self.input = self.input.split(b"\n", 1)
        return line + b"\n"

    def exactly(self, n):
        while len(self.input) < n:
            self.more()
        out, self.input = self.input[:n], self.input[n:]
        return out

    def say(self, text):
        self.sock.sendall(text.encode() + b"\r\n")

    def rule(self, stage, argument=None):
        event = self.rules.hold.get(stage)
        if event is not None:
            event.wait(60)
        drop = self.rules.drop
        if drop is not None and (drop(self, stage) if callable(drop) else drop == stage):
            raise EOFError
        rule = getattr(self.rules, stage)
        if callable(rule):
            rule = rule(self, argument)
        return rule

    # -- the conversation -------------------------------------------------
    def run(self):
        try:
            self.sock.settimeout(self.sink.timeout)
            self.talk()
            self.reason = "quit"
        except EOFError:
            self.reason = "eof"
        except (OSError, ssl.SSLError) as e:
            self.reason = str(e)
        finally:
            try:
                self.sock.close()
            except OSError:
                pass
            with self.sink.lock:
                self.sink.open -= 1
                self.sink.changed.notify_all()

    def talk(self):
        limit = self.rules.max_parallel
        if limit is not None and self.sink.open > limit:
            self.say("421 4.7.0 too many connections")
            return
        reply = self.rule("greeting")
        self.say(reply or "220 mx.sink.example ESMTP")
        message = Message()
        while True:
            line = self.line()
            text = line.decode("utf-8", "surrogateescape").rstrip("\r\n")
            with self.sink.lock:
                self.commands.append(text)
                self.sink.changed.notify_all()
            verb = text.split(" ", 1)[0].upper()
            if verb in ("EHLO", "HELO"):
                self.greet(verb, text)
            elif verb == "STARTTLS":
                if not self.starttls():
                    return
            elif verb == "MAIL":
                reply = self.rule("mail", text)
                message = Message()
                m = re.match(r"MAIL FROM:\s*<([^>]*)>\s*(.*)", text, re.I)
                message.mail_from, message.mail_params = m[1], m[2]
                self.say(reply or "250 2.1.0 ok")
                if reply and reply.startswith("421"):
                    return
            elif verb == "RCPT":
                address = re.match(r"RCPT TO:\s*<([^>]*)>", text, re.I)[1]
                reply = self.rule("rcpt", address)
                if reply is None or reply.startswith("25"):
                    message.rcpts.append(address)
                self.say(reply or "250 2.1.5 ok")
                if reply and reply.startswith("421"):
                    return
            elif verb == "DATA":
                self.data(message)
            elif verb == "BDAT":
                self.bdat(message, text)
            elif verb == "RSET":
                message = Message()
                self.say("250 2.0.0 ok")
            elif verb == "NOOP":
                self.say("250 2.0.0 ok")
            elif verb == "QUIT":
                self.say("221 2.0.0 bye")
                return
            else:
                self.say("500 5.5.2 unknown command")

    def greet(self, verb, text):
        self.ehlo = text.split(" ", 1)[1] if " " in text else ""
        if verb == "EHLO" and self.rules.helo_only:
            self.say("500 5.5.1 unknown command")
            return
        reply = self.rule("ehlo", text)
        if reply:
            self.say(reply)
            return
        if verb == "HELO":
            self.say("250 mx.sink.example")
            return
        caps = list(self.rules.capabilities)
        if self.sink.context and self.tls is None and self.rules.starttls != "none":
            caps.append("STARTTLS")
        lines = ["mx.sink.example"] + caps
        self.sock.sendall("".join(
            f"250{'-' if i < len(lines) - 1 else ' '}{l}\r\n"
            for i, l in enumerate(lines)).encode())

    def starttls(self):
        if self.rules.starttls == "refuse":
            self.say("454 4.7.0 TLS not available")
            return True
        self.say("220 2.0.0 go ahead")
        if self.rules.starttls == "alert":
            self.sock.recv(4096)
            self.sock.sendall(b"\x15\x03\x01\x00\x02\x02\x28")  # handshake_failure
            return False
        self.sock = self.sink.context.wrap_socket(self.sock, server_side=True)
        self.tls = self.sock.version()
        self.input = b""
        return True

    def done(self, message):
        message.tls, message.ehlo = self.tls, self.ehlo
        message.peer, message.at = self.peer[0], time.time()
        message.session = self
        reply = self.rule("dot", message) or self.rules.reply
        if reply.startswith("2"):
            self.sink.keep(message)
        self.transactions += 1
        self.say(reply)
        if reply.startswith("421"):
            raise EOFError

    def data(self, message):
        reply = self.rule("data")
        if reply:
            self.say(reply)
            return
        if not message.rcpts:
            self.say("554 5.5.1 no valid recipients")
            return
        self.say("354 go")
        raw = []
        while True:
            line = self.line()
            if line == b".\r\n":
                break
            raw.append(line)
        message.raw = b"".join(raw)
        message.data = b"".join(l[1:] if l.startswith(b".") else l for l in raw)
        self.done(message)

    def bdat(self, message, text):
        words = text.split()
        message.raw += self.exactly(int(words[1]))
        message.data = message.raw
        message.bdat = True
        last = len(words) > 2 and words[2].upper() == "LAST"
        reply = self.rule("data") if not last else None
        if last and message.rcpts:
            self.done(message)
        else:
            self.say(reply or (f"250 2.0.0 {words[1]} octets" if message.rcpts
                               else "554 5.5.1 no valid recipients"))


def stop_listening(thread, listener):
    """Ends a thread that accepts.  Only then is the descriptor closed: the
    next server might get its number while accept() is about to use it."""
    try:
        listener.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    if thread.ident is not None:
        thread.join(30)
    listener.close()


class Sink(threading.Thread):
    conversation = Session

    def __init__(self, host="127.0.0.1", port=0, tls=None, folder=None):
        super().__init__(daemon=True)
        self.rules = Rules()
        self.timeout = 120
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.messages, self.sessions = [], []
        self.open = 0
        self.most_open = 0
        self.folder = folder
        self.context = None
        if tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*tls)
        self.listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((host, port))
        self.listener.listen(512)
        self.host, self.port = self.listener.getsockname()
        self.stopping = False

    def keep(self, message):
        with self.lock:
            self.messages.append(message)
            if self.folder:
                path = os.path.join(self.folder, f"{len(self.messages):06d}.eml")
                with open(path + ".tmp", "wb") as f:
                    f.write(message.data)
                with open(path + ".env", "w") as f:
                    f.write(f"{message.mail_from}\n{' '.join(message.rcpts)}\n{message.tls or 'clear'}\n")
                os.rename(path + ".tmp", path)
            self.changed.notify_all()

    def run(self):
        while not self.stopping:
            try:
                sock, peer = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.open += 1
                self.most_open = max(self.most_open, self.open)
                session = self.conversation(self, sock, peer, len(self.sessions))
                self.sessions.append(session)
            session.start()

    def stop(self):
        self.stopping = True
        stop_listening(self, self.listener)

    def wait(self, count=1, timeout=30.0):
        """Waits for that many messages; returns them."""
        with self.lock:
            if not self.changed.wait_for(lambda: len(self.messages) >= count, timeout):
                raise AssertionError(f"sink has {len(self.messages)} of {count} messages")
            return list(self.messages)

    def wait_sessions(self, count, timeout=30.0):
        with self.lock:
            if not self.changed.wait_for(lambda: len(self.sessions) >= count, timeout):
                raise AssertionError(f"sink has {len(self.sessions)} of {count} connections")
            return list(self.sessions)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--host", default="127.0.0.1")
    p.add_argument("--port", type=int, default=0)
    p.add_argument("--dir", required=True)
    p.add_argument("--cert")
    p.add_argument("--key")
    a = p.parse_args()
    sink = Sink(a.host, a.port, (a.cert, a.key) if a.cert else None, a.dir)
    sink.timeout = 600
    print(sink.port, flush=True)
    sink.run()


if __name__ == "__main__":
    sys.exit(main())
