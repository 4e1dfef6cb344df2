# SPDX-License-Identifier: ISC
"""posthornd in a folder of its own, and posthornctl beside it."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

from . import schema
from .waiting import wait_for
from .wire import Wire

BUILD = os.environ.get("POSTHORN_BUILD", os.path.join(os.path.dirname(__file__), "..", "..", "..", "build"))


class CtlError(AssertionError):
    def __init__(self, status, stdout, stderr):
        super().__init__(f"status {status}: {stderr.strip()} {stdout.strip()}")
        self.status, self.stdout, self.stderr = status, stdout, stderr


def certificate(folder, name="mail.relay.example", days=30, key="ec"):
    """A self-signed pair; returns (cert, key)."""
    cert, private = os.path.join(folder, name + ".crt"), os.path.join(folder, name + ".key")
    kind = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if key == "ec" else ["rsa:2048"]
    subprocess.run(["openssl", "req", "-x509", "-newkey", *kind, "-nodes", "-keyout", private,
                    "-out", cert, "-days", str(days), "-subj", f"/CN={name}",
                    "-addext", f"subjectAltName=DNS:{name},DNS:localhost,IP:127.0.0.1"],
                   check=True, capture_output=True)
    return cert, private


def expired_certificate(folder, name):
    """A self-signed pair whose time is over."""
    cert, private = certificate(folder, name)
    request, conf = os.path.join(folder, name + ".csr"), os.path.join(folder, name + ".ca")
    subprocess.run(["openssl", "x509", "-x509toreq", "-in", cert, "-signkey", private, "-out", request],
                   check=True, capture_output=True)
    open(conf + ".index", "w").close()
    with open(conf, "w") as f:
        f.write(f"[ca]\ndefault_ca = here\n[here]\ndatabase = {conf}.index\nserial = {conf}.serial\n"
                f"new_certs_dir = {folder}\ndefault_md = sha256\npolicy = any\n[any]\ncommonName = supplied\n")
    subprocess.run(["openssl", "ca", "-batch", "-selfsign", "-config", conf, "-keyfile", private, "-in", request,
                    "-out", cert, "-notext", "-create_serial", "-startdate", "20200101000000Z",
                    "-enddate", "20200201000000Z"], check=True, capture_output=True)
    return cert, private


def has_ended(pid):
    """Gone, or a zombie without threads: as long as one of them ends, the sockets are still bound."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            state = f.read().rsplit(")", 1)[1].split()[0]
        return state in "ZX" and len(os.listdir(f"/proc/{pid}/task")) <= 1
    except (FileNotFoundError, ProcessLookupError):
        return True


class Relay:
    """Relay(extra="delivery { ... }", dns=Dns or None)"""

    def __init__(self, extra="", dns=None, folder=None, listeners=None, sink_port=None, threads=2):
        self.folder = folder or tempfile.mkdtemp(prefix="posthorn-")
        self.own_folder = folder is None
        os.chmod(self.folder, 0o755)
        self.process = None
        self.env = {}                    # beside that of the test
        self.ports = {}
        self.extra, self.dns, self.listeners = extra, dns, listeners
        self.sink_port, self.threads = sink_port, threads
        self.cert, self.key = certificate(self.folder)
        self.conf = os.path.join(self.folder, "posthorn.conf")
        self.log = os.path.join(self.folder, "log")
        self.socket = os.path.join(self.folder, "control.sock")
        self.submit = os.path.join(self.folder, "submit.sock")
        self.master_key = os.path.join(self.folder, "master.key")
        with open(self.master_key, "wb") as f:
            f.write(os.urandom(32))
        os.chmod(self.master_key, 0o400)
        self.write_conf()

    def write_conf(self):
        user = f'    user "{_me()}"\n    group "{_my_group()}"\n    keys_user "{_me()}"\n    verifier_user "{_me()}"\n' \
            if os.geteuid() == 0 else ""
        listeners = self.listeners if self.listeners is not None else """
listener smtp { 
    address 127.0.0.1:0
    tls starttls
    role submission, intake
}
listener submission {
    address 127.0.0.1:0
    tls starttls
}
listener submissions {
    address 127.0.0.1:0
    tls wrapper
}
listener clear {
    address 127.0.0.1:0
    tls none
    role submission
}
"""
        dns = f"dns.servers {self.dns.host}:{self.dns.port}\n" if self.dns else "dns.servers 127.0.0.1:9\n"
        port = f"delivery.port {self.sink_port}\n" if self.sink_port else ""
        lists = "" if "suppression.global" in self.extra else "suppression.global.enabled no\n"
        with open(self.conf, "w") as f:
            f.write(f"""# made by the tests
server {{
    name mail.relay.example
    domain relay.example
    region us-east-1
    threads {self.threads}
    max_files 4096
    control_socket {self.socket}
{user}}}
store {{
    dir {self.folder}/store
    map_size 1g
    master_key {self.master_key}
}}
spool.min_free 16m
log {{
    target {self.log}
    level debug
}}
audit.file {self.folder}/audit.jsonl
events.dir {self.folder}/events
tls {{
    cert {self.cert}
    key {self.key}
}}
metrics.listen 127.0.0.1:0
{dns}{port}{lists}{listeners}
listener local {{
    address unix:{self.submit}
    tls none
    role local
}}
{self.extra}
""")
        os.chmod(self.conf, 0o644)

    # -- life ---------------------------------------------------------------
    def start(self, *options, wait=True):
        env = {**os.environ, **self.env}
        self.log_offset = os.path.getsize(self.log) if os.path.exists(self.log) else 0
        self.process = subprocess.Popen(
            [os.path.join(BUILD, "posthornd"), "-c", self.conf, "--allow-volatile", *options],
            env=env, stdout=subprocess.DEVNULL, stderr=open(os.path.join(self.folder, "stderr"), "ab"))
        if wait:
            wait_for(self._is_ready, "posthornd to be ready", 60)
            self._read_ports()
        return self

    def _is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError("posthornd ended: " + self.stderr()[-2000:] + self.log_text()[-3000:])
        return re.search(r"\bready\b version=", self.log_text(self.log_offset))

    def _read_ports(self):
        for name, port in re.findall(r"listening listener=(\S+) address=127\.0\.0\.1:(\d+)",
                                     self.log_text(self.log_offset)):
            self.ports[name] = int(port)

    def stderr(self):
        try:
            with open(os.path.join(self.folder, "stderr"), errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def log_text(self, offset=0):
        try:
            with open(self.log, errors="replace") as f:
                f.seek(offset)
                return f.read()
        except FileNotFoundError:
            return ""

    def wait_log(self, pattern, timeout=30, offset=0):
        return wait_for(lambda: re.search(pattern, self.log_text(offset)), f"log line {pattern}", timeout)

    def check_events(self):
        """The records of the last day, and those of file destinations."""
        r = self.run_ctl("event", "tail")
        if r.returncode == 0:
            schema.check(r.stdout.split("\n"), "event tail")
        schema.check_files(os.path.join(self.folder, "events"))

    def stop(self, timeout=60):
        if self.process and self.process.poll() is None:
            self.check_events()
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError("posthornd did not stop: " + self.log_text()[-3000:])
        status = self.process.returncode if self.process else None
        self.process = None
        return status

    def kill(self):
        """kill -9 of the master; the children die with it."""
        if self.process:
            children = self.children()
            self.process.kill()
            self.process.wait()
            for pid in children:
                wait_for(lambda: has_ended(pid), f"child {pid} to end")
            self.process = None

    def children(self):
        out = []
        for pid in os.listdir("/proc"):
            if pid.isdigit():
                try:
                    with open(f"/proc/{pid}/stat") as f:
                        if int(f.read().rsplit(")", 1)[1].split()[1]) == self.process.pid:
                            out.append(int(pid))
                except (OSError, IndexError):
                    continue
        return out

    def child(self, name):
        """The pid of "keys", "relay" or "verifier"."""
        found = re.findall(rf"child-started child={name} pid=(\d+)", self.log_text(self.log_offset))
        return int(found[-1])

    def cleanup(self):
        try:
            self.stop()
        finally:
            if self.own_folder and not os.environ.get("POSTHORN_KEEP"):
                shutil.rmtree(self.folder, ignore_errors=True)

    def reload(self):
        self.write_conf()
        self.ctl("reload")

    # -- commands ---------------------------------------------------------------
    def ctl_words(self):
        return [os.path.join(BUILD, "posthornctl"), "-s", self.socket, "-c", self.conf]

    def run_ctl(self, *args, input=None, timeout=60):
        return subprocess.run([*self.ctl_words(), *args],
                              input=input, capture_output=True, text=True, timeout=timeout)

    def ctl(self, *args, input=None):
        """Text of a command that must succeed."""
        r = self.run_ctl(*args, input=input)
        if r.returncode != 0:
            raise CtlError(r.returncode, r.stdout, r.stderr)
        return r.stdout

    def control(self, verb, **args):
        """The result of a command, without a process of posthornctl: for hundreds of them."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(60)
            s.connect(self.socket)
            s.sendall(json.dumps({"verb": verb, "account": None, "args": args}).encode() + b"\n")
            answer = json.loads(b"".join(iter(lambda: s.recv(1 << 16), b"")))
        if "error" in answer:
            raise CtlError(answer["status"], "", answer["error"]["Message"])
        return answer["result"]

    def json(self, *args, input=None):
        return json.loads(self.ctl("--json", *args, input=input))

    def sendmail(self, *args, input="", env=None):
        return subprocess.run([os.path.join(BUILD, "sendmail"), "-C", self.sendmail_conf(), *args],
                              input=input, capture_output=True, text=True, timeout=60, env=env)

    def sendmail_conf(self):
        path = os.path.join(self.folder, "sendmail.conf")
        if not os.path.exists(path):
            with open(path, "w") as f:
                f.write(f"socket {self.submit}\n")
        return path

    def account(self, name="test", production=True, max_24h="unlimited", rate="unlimited", lists=False):
        """lists: with suppression lists, which would stop the next mail to an address that has bounced."""
        args = ["account", "create", name]
        if production:
            args.append("--production")
        account = self.ctl(*args).strip()
        if not lists:
            self.ctl("-a", account, "suppression", "settings", "--reasons=")
        self.ctl("-a", account, "quota", "set", "--max-24h", max_24h, "--rate", rate)
        return account

    def credential(self, user="app1", *options):
        made = self.json("credential", "create", user, *options)
        return made["AccessKeyId"], made["SmtpPassword"]

    def sender(self, domain="example.com", user="app1", config_set=None):
        """An account in production with a verified domain and a login; with a set, records have tags."""
        account = self.account()
        options = []
        if config_set:
            self.ctl("config-set", "create", config_set)
            options = ["--config-set", config_set]
        self.ctl("identity", "add", domain, "--verified", *options)
        return (account, *self.credential(user))

    def events(self, *args):
        return [json.loads(l) for l in self.ctl("--json", "event", "tail", *args).splitlines() if l]

    def wait_events(self, condition, what, timeout=30):
        def look():
            found = self.events()
            return found if condition(found) else None
        return wait_for(look, what, timeout)

    def wait_event(self, kind, count=1, timeout=30):
        return [e for e in self.wait_events(
            lambda es: sum(e["eventType"] == kind for e in es) >= count, f"{count} {kind}", timeout)
            if e["eventType"] == kind]

    def wire(self, listener="submission"):
        if listener == "local":
            return Wire(None, None, unix=self.submit)
        return Wire("127.0.0.1", self.ports[listener], wrapper=listener == "submissions")

    def session(self, key, password, listener="clear"):
        w = self.wire(listener)
        w.login(key, password)
        return w


def _me():
    import pwd
    return pwd.getpwuid(os.geteuid()).pw_name


def _my_group():
    import grp
    return grp.getgrgid(os.getegid()).gr_name
