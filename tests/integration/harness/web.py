# SPDX-License-Identifier: ISC
"""An HTTPS server with a CA of its own, which notes what is posted to it and answers as it is told."""
import base64
import hashlib
import hmac
import http.server
import json
import ssl
import subprocess
import threading
import time

from . import schema


def authority(folder):
    """A CA: its certificate; sign() makes others from it."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-subj", "/CN=test authority", "-days", "30", "-keyout", f"{folder}/ca.key", "-out",
                    f"{folder}/ca.pem"], check=True, capture_output=True)
    return f"{folder}/ca.pem"


def sign(folder, name):
    base = f"{folder}/{name}"
    with open(f"{base}.ext", "w") as f:
        f.write(f"subjectAltName=DNS:{name}\n")
    subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-subj", f"/CN={name}", "-keyout", f"{base}.key", "-out", f"{base}.csr"], check=True,
                   capture_output=True)
    subprocess.run(["openssl", "x509", "-req", "-in", f"{base}.csr", "-CA", f"{folder}/ca.pem", "-CAkey",
                    f"{folder}/ca.key", "-CAcreateserial", "-days", "30", "-extfile", f"{base}.ext", "-out",
                    f"{base}.pem"], check=True, capture_output=True)
    return f"{base}.pem", f"{base}.key"


class Posted:
    def __init__(self, path, headers, body, client):
        self.path, self.headers, self.body, self.client = path, headers, body, client
        self.at = time.monotonic()

    def record(self):
        return json.loads(self.body)

    def is_signed_by(self, secret):
        key = base64.b64decode(secret.removeprefix("whsec_"))
        text = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + self.body
        mine = "v1," + base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
        return mine in self.headers["webhook-signature"].split(" ")


class Web:
    """answers: statuses, or (status, {header: value}), or (status, headers, body octets), or all of it as octets; the
    last one stays.
    None: it never answers.  delay: seconds before each answer."""

    def __init__(self, address, pair, *answers):
        self.faults, self.delay = [], 0
        self.posted, self.connections, self.answers = [], 0, list(answers) or [200]
        self.lock, self.ended = threading.Lock(), threading.Event()
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                with web.lock:
                    web.connections += 1

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = web.take(Posted(self.path, self.headers, body, self.client_address[0]))
                if answer is None:
                    web.ended.wait()
                    return
                web.ended.wait(web.delay)
                if isinstance(answer, bytes):
                    self.close_connection = True
                    try:
                        self.wfile.write(answer)
                    except OSError:  # it has read enough
                        pass
                    return
                status, headers, text = answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                try:
                    self.wfile.write(text)
                except OSError:  # it has read enough
                    self.close_connection = True

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass

        self.server = Server((address, 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def take(self, posted):
        try:
            schema.check([posted.body.decode()], "webhook")
        except AssertionError as e:
            self.faults.append(e)
        with self.lock:
            self.posted.append(posted)
            answer = self.answers[0]
            if len(self.answers) > 1:
                self.answers.pop(0)
        if isinstance(answer, bytes):
            return answer
        if answer is None or isinstance(answer, tuple):
            return answer if answer is None or len(answer) == 3 else (*answer, b"")
        return answer, {}, b""

    def types(self):
        with self.lock:
            return [p.record()["eventType"] for p in self.posted]

    def stop(self):
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
        if self.faults:
            raise self.faults[0]
