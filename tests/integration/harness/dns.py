# SPDX-License-Identifier: ISC
"""Knot with the zones of a test, on a free loopback port.

    dns = Dns(folder); dns.zone("sink.example", "@ MX 10 mx\nmx A 127.0.0.2\n")
    dns.start(); ...; dns.set_zone(name, text); dns.stop()

A zone whose text is None is configured without a file: SERVFAIL.
"""
import os
import shutil
import subprocess
import time

from .waiting import free_port_both, wait_for

SOA = "$TTL 60\n@ SOA ns.invalid. hostmaster.invalid. {serial} 60 60 600 30\n@ NS ns.invalid.\n"


class Dns:
    def __init__(self, folder, host="127.0.0.1", port=None):
        self.folder = os.path.join(folder, "dns")
        os.makedirs(self.folder)
        self.host, self.port = host, port or free_port_both()
        self.zones = {}
        self.serial = int(time.time())
        self.process = None
        self.knotd = shutil.which("knotd", path="/usr/sbin:/usr/bin")
        self.knotc = shutil.which("knotc", path="/usr/sbin:/usr/bin")

    def zone(self, name, text):
        self.zones[name] = text

    def write(self, name):
        text = self.zones[name]
        path = os.path.join(self.folder, name + ".zone")
        if text is None:
            return
        self.serial += 1
        with open(path, "w") as f:
            f.write(f"$ORIGIN {name}.\n" + SOA.format(serial=self.serial) + text)

    def config(self):
        lines = [f"server:\n    rundir: {self.folder}\n    listen: {self.host}@{self.port}\n    user: root\n"
                 if os.geteuid() == 0 else
                 f"server:\n    rundir: {self.folder}\n    listen: {self.host}@{self.port}\n",
                 f"log:\n  - target: {self.folder}/log\n    any: info\n",
                 f"database:\n    storage: {self.folder}\n",
                 f"template:\n  - id: default\n    storage: {self.folder}\n    file: %s.zone\n    journal-content: none\n    zonefile-load: whole\n",
                 "zone:\n"]
        for name in self.zones:
            lines.append(f"  - domain: {name}.\n")
        with open(os.path.join(self.folder, "knot.conf"), "w") as f:
            f.write("".join(lines))
        for name in self.zones:
            self.write(name)

    def start(self):
        self.config()
        self.process = subprocess.Popen(
            [self.knotd, "-c", os.path.join(self.folder, "knot.conf")],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: self.control("status") == 0, "knotd to start")
        for name, text in self.zones.items():
            if text is not None:
                wait_for(lambda: self.loaded(name), f"zone {name}")

    def control(self, *args):
        return subprocess.run([self.knotc, "-c", os.path.join(self.folder, "knot.conf"), *args],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode

    def loaded(self, name):
        out = subprocess.run([self.knotc, "-c", os.path.join(self.folder, "knot.conf"),
                              "zone-status", name], capture_output=True, text=True).stdout
        return f"serial: {self.serial_of(name)}" in out

    def serial_of(self, name):
        with open(os.path.join(self.folder, name + ".zone")) as f:
            for line in f:
                if " SOA " in line:
                    return line.split()[4]
        return None

    def set_zone(self, name, text):
        """Replaces a zone's content, or adds a zone, and waits for it."""
        fresh = name not in self.zones
        self.zones[name] = text
        if fresh:
            self.config()
            self.control("reload")
        else:
            self.write(name)
            self.control("-b", "zone-reload", name)
        if text is not None:
            wait_for(lambda: self.loaded(name), f"zone {name}")

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(20)
            self.process = None
