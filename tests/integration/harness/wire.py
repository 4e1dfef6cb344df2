# SPDX-License-Identifier: ISC
"""A line-by-line SMTP client: what is sent is what the test wrote."""
import base64
import socket
import ssl


class Wire:
    def __init__(self, host, port, wrapper=False, timeout=30, unix=None):
        if unix:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(timeout)
            self.sock.connect(unix)
        else:
            self.sock = socket.create_connection((host, port), timeout)
        self.input = b""
        if wrapper:
            self.tls()

    def tls(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.sock = context.wrap_socket(self.sock)
        self.input = b""

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode())

    def line(self):
        while b"\r\n" not in self.input:
            more = self.sock.recv(65536)
            if not more:
                return None
            self.input += more
        line, self.input = self.input.split(b"\r\n", 1)
        return line.decode("ascii")

    def reply(self):
        """All lines of one reply; None at the end of the stream."""
        lines = []
        while True:
            line = self.line()
            if line is None:
                return None
            lines.append(line)
            if len(line) < 4 or line[3] != "-":
                return lines

    def cmd(self, text):
        """Sends a line, gives the reply as one string (lines joined by LF)."""
        self.send(text + "\r\n")
        r = self.reply()
        return None if r is None else "\n".join(r)

    def at_end(self):
        try:
            return self.input == b"" and self.sock.recv(1) == b""
        except (ConnectionResetError, ssl.SSLError):
            return True

    def hello(self, name="app1.example.com"):
        return self.cmd(f"EHLO {name}")

    def starttls(self):
        answer = self.cmd("STARTTLS")
        assert answer.startswith("220"), answer
        self.tls()

    def auth(self, user, password):
        token = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        return self.cmd(f"AUTH PLAIN {token}")

    def login(self, user, password):
        """From the greeting to a session that may send."""
        greeting = "\n".join(self.reply())
        ehlo = self.hello()
        if "STARTTLS" in ehlo:
            self.starttls()
            self.hello()
        answer = self.auth(user, password)
        assert answer == "235 Authentication successful", answer
        return greeting

    def message(self, sender, rcpts, data):
        """One transaction; gives the reply to the end of data."""
        answer = self.cmd(f"MAIL FROM:<{sender}>")
        assert answer == "250 Ok", answer
        for r in [rcpts] if isinstance(rcpts, str) else rcpts:
            answer = self.cmd(f"RCPT TO:<{r}>")
            assert answer == "250 Ok", answer
        answer = self.cmd("DATA")
        if not answer.startswith("354"):
            return answer
        if isinstance(data, str):
            data = data.replace("\n", "\r\n").encode()
        self.send(data + b".\r\n")
        r = self.reply()
        return None if r is None else "\n".join(r)

    def close(self):
        self.sock.close()
