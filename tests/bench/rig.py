# SPDX-License-Identifier: ISC
"""What the benchmarks share: their programs, a sink, a daemon that may send.

    rig.begin(build); rig.build_tools()
    with rig.Bench(sink.port, dkim=True) as b: b.load("clear", size=10240, ...)

What would void a figure is said aloud by rig.trouble() and kept in
rig.troubles.
"""
import glob
import json
import os
import socket
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "integration"))
TOOLS = None
SETTINGS = """smtp.max_messages_per_connection 0
smtp.max_preauth_per_ip 5000
smtp.max_connect_rate_per_ip 1000000
"""
troubles = []


def begin(build):
    """The build folder; before anything of the harness is imported."""
    global TOOLS
    os.environ["POSTHORN_BUILD"] = os.path.abspath(build)
    TOOLS = os.path.join(os.path.abspath(build), "bench")


def trouble(text):
    troubles.append(text)
    print("  VOID: " + text, flush=True)


def is_older(out, sources):
    return not os.path.exists(out) or os.path.getmtime(out) < max(map(os.path.getmtime, sources))


def build_tools():
    os.makedirs(TOOLS, exist_ok=True)
    for name in ("load", "sink"):
        out = os.path.join(TOOLS, name)
        sources = [os.path.join(HERE, name + ".c"), os.path.join(HERE, "sum.h"), os.path.join(HERE, "text.h")]
        if is_older(out, sources):
            subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-pthread", "-o", out, sources[0], "-lssl", "-lcrypto"],
                           check=True)


def certificate():
    """A pair for P-256, made once."""
    from harness import relay
    folder = os.path.join(TOOLS, "tls")
    if not os.path.isdir(folder):
        os.mkdir(folder)
        relay.certificate(folder, "mx.bench.example")
    return [os.path.join(folder, "mx.bench.example" + end) for end in (".crt", ".key")]


def slow_disk(milliseconds):
    """A preload with which each flush takes that much longer (slowdisk.c)."""
    microseconds = int(milliseconds * 1000)
    out = os.path.join(TOOLS, f"slowdisk-{microseconds}.so")
    source = os.path.join(HERE, "slowdisk.c")
    if is_older(out, [source]):
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", f"-DSLOWDISK_US={microseconds}", "-o", out, source, "-ldl"],
                       check=True)
    return out


class Sink:
    def __init__(self, keep=None, every=1):
        extra = ["--keep", keep, "--every", str(every)] if keep else []
        self.process = subprocess.Popen([os.path.join(TOOLS, "sink"), *extra], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1)
        self.port = int(self.process.stdout.readline())

    def counts(self):
        """Messages taken, good, repeated, others."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return [int(x) for x in self.process.stdout.readline().split()]

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


class Hole:
    """A host that never greets: what is routed there stays in the queue."""

    def __init__(self):
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(64)
        self.port = self.socket.getsockname()[1]

    def stop(self):
        self.socket.close()


def cpu_seconds(relay):
    """Of all threads of all processes, as the scheduler counts it."""
    nanoseconds = 0
    for pid in [relay.process.pid, *relay.children()]:
        for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
            with open(path) as f:
                nanoseconds += int(f.read().split()[0])
    return nanoseconds / 1e9


def load(port, **arguments):
    """What the generator says; arguments are its options."""
    command = [os.path.join(TOOLS, "load"), "--port", str(port)]
    for name, value in arguments.items():
        if value is not None:
            command += ["--" + name.replace("_", "-"), str(value)]
    out = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    found = json.loads(out.stdout)
    if found["failed"]:
        trouble(f"{found['failed']} messages were not accepted")
    return found


class Bench:
    """A daemon with an account that may send without limit; as a context it always cleans up.  With names, a Dns,
    it finds the way to that port by MX."""

    def __init__(self, port, dkim=False, slow_ms=0, extra="", names=None):
        from harness.relay import Relay
        way = "delivery.allow_private yes\n" if names else f"delivery.route * 127.0.0.1:{port}\n"
        self.relay = Relay(extra=SETTINGS + way + extra, dns=names, sink_port=port if names else None)
        self.dkim = dkim
        if slow_ms:
            self.relay.env["LD_PRELOAD"] = slow_disk(slow_ms)

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self):
        from harness.dns import Dns
        relay = self.relay
        if self.dkim:
            relay.dns = Dns(relay.folder)
            relay.dns.zone("example.com", "@ A 127.0.0.1\n")
            relay.dns.start()
            relay.write_conf()
        with open(relay.conf) as f:
            text = f.read().replace("level debug", "level info").replace("map_size 1g", "map_size 64g")
        with open(relay.conf, "w") as f:
            f.write(text)
        relay.start()
        relay.account()
        if self.dkim:
            relay.ctl("identity", "add", "example.com")
            relay.dns.set_zone("example.com", "@ A 127.0.0.1\n" +
                               relay.ctl("identity", "dns-records", "example.com", "--format", "zone"))
            relay.ctl("identity", "verify", "example.com")
            relay.ctl("identity", "wait", "example.com", "--timeout", "60s")
        else:
            relay.ctl("identity", "add", "example.com", "--verified", "--dkim", "none")
        self.key, self.password = relay.credential()

    def __exit__(self, *unused):
        try:
            if self.dkim and self.relay.dns:
                self.relay.dns.stop()
        finally:
            self.relay.kill()
            self.relay.cleanup()

    def load(self, listener, **arguments):
        return load(self.relay.ports[listener], user=self.key, **{"pass": self.password}, **arguments)

    def queued(self):
        text = self.relay.ctl("metrics", "posthorn_queue_messages")
        return int(float(text.split()[-1])) if text.split() else -1
