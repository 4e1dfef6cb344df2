# SPDX-License-Identifier: ISC
"""The manual pages and README are true: every display of an example is taken from the page, typed, and compared.

A display is a sequence of commands, a transcript ("$ " and what comes), a configuration file, a JSON record, or lines
of the log.  A display that is none of these fails the test: nobody would notice when it became wrong.
"""
import base64
import hashlib
import hmac
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import jsonschema

from harness import schema as schemas
from harness.dns import Dns
from harness.relay import BUILD, Relay
from harness.sink import Sink
from harness.waiting import free_port, wait_for

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
COMMANDS = ("posthornctl", "posthornd", "systemctl", "$EDITOR", "printf", "grep")
MAIL = "From: {0}\nTo: {1}\nSubject: test\nMessage-ID: <order-17@app.example.com>\n\nhello\n"

VIRUS = """X-SES-CONFIGURATION-SET: main
From: sender@example.com
To: recipient@example.org
Subject: test
MIME-Version: 1.0
Content-Type: text/plain
Content-Transfer-Encoding: base64

WDVPIVAlQEFQWzRcUFpYNTQoUF4pN0NDKTd9JEVJQ0FSLVNUQU5EQVJELUFOVElWSVJVUy1U
RVNULUZJTEUhJEgrSCo=
"""


def displays(page):
    """The literal displays of a page, as they are read."""
    with open(os.path.join(TOP, "man", page)) as f:
        text = f.read()
    found = re.findall(r"^\.Bd -literal[^\n]*\n(.*?)^\.Ed$", text, re.S | re.M)
    for mdoc, plain in ((r"\(dq", '"'), ("\\-", "-"), ("\\&", ""), ("\\e", "\\")):
        found = [d.replace(mdoc, plain) for d in found]
    return found


def readme(heading):
    with open(os.path.join(TOP, "README.md")) as f:
        section = re.search(rf"^## {heading}\n(.*?)^## ", f.read(), re.S | re.M).group(1)
    return re.findall(r"^```\n(.*?)^```$", section, re.S | re.M)


def statements(display):
    """A display of commands, cut into what a shell takes as one."""
    out, text = [], ""
    for line in display.splitlines():
        text += line + "\n"
        whole = not re.sub(r"\s*#.*", "", line).endswith(("\\", "|")) and \
            subprocess.run(["sh", "-n", "-c", text], capture_output=True).returncode == 0
        if whole:
            if re.sub(r"(?m)^\s*#.*$", "", text).strip():
                out.append(text.strip())
            text = ""
    assert not text, "does not end: " + text
    return out


def kind(display):
    first = display.split()[0]
    if display.startswith("$ "):
        return "transcript"
    if first in COMMANDS:
        return "commands"
    if first[0] in '{"':
        return "json"
    if re.match(r"\d{4}-\d\d-\d\dT|auth-failure ", display):
        return "log"
    return "configuration" if re.match(r"[a-z_]+(\.[a-z_]+)*(\s|\.\")", display) else "unknown"


def log_keys(line):
    """Names of the keys of a line, in order; what stands in quotes is no key."""
    return re.findall(r"(?:^|\s)([a-z-]+)=", re.sub(r'"(?:\\.|[^"\\])*"', '""', line))


class Installation:
    """A host of its own: name server, receivers, daemon, and the programs in the PATH."""

    def __init__(self, test):
        self.folder = tempfile.mkdtemp(prefix="posthorn-manual-")
        test.addCleanup(shutil.rmtree, self.folder, True)
        self.dns = Dns(self.folder)
        self.sink = Sink()
        self.sink.start()
        test.addCleanup(self.sink.stop)
        self.zones = {"example.com": "@ A 127.0.0.1\n", "example.org": "@ MX 10 mx\nmx A 127.0.0.1\n",
                      "relay.example": "@ MX 10 mail\nmail A 127.0.0.1\n"}
        for name, text in self.zones.items():
            self.dns.zone(name, text)
        self.dns.start()
        test.addCleanup(self.dns.stop)
        self.relay = Relay(dns=self.dns, sink_port=self.sink.port, extra="delivery.allow_private yes\n"
                           "dkim.min_visible 0\nlocal everybody {\n    match *\n"
                           "    credential 123456789012/app1\n    sender sender@example.com\n}\n")
        test.addCleanup(self.relay.cleanup)
        self.env = dict(os.environ, PATH=f"{self.folder}:/usr/bin:/bin", EDITOR="ed")
        self.script("posthornctl", f"'{BUILD}/posthornctl' -s '{self.relay.socket}' -c '{self.relay.conf}' \"$@\"")
        self.script("posthornd", f"'{BUILD}/posthornd' \"$@\"")
        self.script("sendmail", f"'{BUILD}/sendmail' -C '{self.relay.sendmail_conf()}' \"$@\"")

    def script(self, name, line):
        path = os.path.join(self.folder, name)
        with open(path, "w") as f:
            f.write(f"#!/bin/sh\nexec {line}\n")
        os.chmod(path, 0o755)

    def shell(self, statement, **more):
        return subprocess.run(["sh", "-c", statement], env=self.env, cwd=self.folder, capture_output=True, text=True,
                              timeout=120, **more)

    def publish(self, domain):
        """What the reader does with the records that identity add prints; without the minute to the next look."""
        records = self.relay.ctl("identity", "dns-records", domain, "--format", "zone")
        self.dns.set_zone(domain, self.zones[domain] + records)
        self.relay.ctl("dkim", "verify", domain)


class Example(unittest.TestCase):
    def type(self, host, statement):
        """Types one statement, doing what its reader would do around it."""
        with self.subTest(statement=statement):
            if statement.startswith("systemctl enable --now posthorn"):
                host.relay.start()
                return
            if statement.startswith("$EDITOR"):
                with open(host.relay.conf) as f:      # the harness has set both
                    self.assertRegex(f.read(), r"(?m)^    cert .*\n    key ")
                return
            if "--follow" in statement:
                self.follow(host, statement)
                return
            r = host.shell(statement)
            allowed = (0, 1, 2, 3) if "doctor" in statement else (0,)
            self.assertIn(r.returncode, allowed, r.stdout + r.stderr)
            if "doctor" not in statement:
                self.assertNotIn("error", r.stderr)
            if statement.startswith("posthornctl identity add"):
                host.publish(statement.split()[3])
            return r

    def follow(self, host, statement):
        tail = subprocess.Popen(["sh", "-c", "exec " + statement.split("#")[0]], env=host.env, stdout=subprocess.PIPE,
                                text=True)
        try:
            host.relay.ctl("send", "--from", "a@example.com", "--to", "bounce@simulator.relay.example", "--subject",
                           "x", "--text", "/dev/null")
            line = tail.stdout.readline()
            self.assertRegex(line, r"BOUNCE|\"eventType\"|SEND|DELIVERY")
        finally:
            tail.terminate()
            tail.wait()
            tail.stdout.close()

    def transcript(self, host, display):
        command, _, wanted = display.partition("\n")
        r = host.shell(command[2:])
        pattern = re.escape(wanted)
        for example, form in (("AKIAQ3ZK5TNW2MRL7CYA", "AKIA[A-Z2-7]{16}"),
                              ("BLBM/9hSUELfq8Gw+rU1YcBjkOxGbhT2XG763xVLGWL9", "B[A-P][A-Za-z0-9+/]{42}")):
            pattern = pattern.replace(re.escape(example), form)
        self.assertRegex(r.stdout, rf"\A{pattern}\Z")


class FirstSteps(Example):
    """From nothing to the first mail, as each document tells it."""

    def steps(self, display):
        host = Installation(self)
        for s in statements(display):
            self.type(host, s)
        shown = host.relay.json("identity", "show", "example.com")
        self.assertTrue(shown["VerifiedForSendingStatus"])
        self.assertTrue(host.relay.json("account", "show")["ProductionAccessEnabled"])
        return host

    def test_readme(self):
        first, watch = readme("First steps")
        host = self.steps(first)
        for s in statements(watch):
            self.type(host, s)

    def test_posthorn_7(self):
        self.steps(displays("posthorn.7")[0])

    def test_posthornctl_8(self):
        self.steps(displays("posthornctl.8")[0])


class Pages(Example):
    """All other displays, on a host where there is something to see."""

    @classmethod
    def setUpClass(cls):
        cls.addCleanup = cls.addClassCleanup
        cls.host = Installation(cls)
        relay = cls.relay = cls.host.relay
        relay.start()
        relay.ctl("account", "create", "test", "--id", "123456789012", "--production")
        relay.ctl("quota", "set", "--max-24h", "unlimited", "--rate", "unlimited")
        relay.ctl("identity", "add", "example.com")
        cls.host.publish("example.com")
        relay.ctl("identity", "wait", "example.com", "--timeout", "60s")
        cls.key, cls.password = relay.credential("app1")
        cls.host.sink.rules.rcpt = lambda session, address: \
            "450 4.7.1 greylisted" if "late" in address else "550 5.1.1 user unknown" if "gone" in address else None
        cls.ids = {}
        for to in ("recipient@example.org", "late@example.org", "gone@example.org"):
            s = relay.session(cls.key, cls.password)
            cls.ids[to] = s.message("sender@example.com", [to], MAIL.format("Mary <sender@example.com>", to)).split()[2]
            s.close()
        for event in ("Delivery", "DeliveryDelay", "Bounce"):
            relay.wait_event(event)
        cls.records = cls.make_records()

    @classmethod
    def make_records(cls):
        """One of each kind that posthorn-events(7) shows: events of a set, notifications of an identity, as they are
        and in envelopes of SNS."""
        relay = cls.relay
        relay.ctl("config-set", "create", "main")
        relay.ctl("config-set", "dest", "add", "main", "all", "--types", "all", "--file", "all.jsonl", "--extensions")
        relay.ctl("topic", "create", "feedback", "--file", "feedback.jsonl", "--format", "record")
        relay.ctl("topic", "subscribe", "feedback", "--file", "sns.jsonl", "--format", "sns")
        relay.ctl("identity", "notify", "example.com", "--bounce-topic", "feedback", "--complaint-topic", "feedback",
                  "--delivery-topic", "feedback", "--headers", "bounce")
        relay.ctl("suppression", "add", "listed@example.org", "--reason", "complaint")
        simulated = ("complaint", "ooto", "asyncbounce", "accountlist", "unsubscribed", "suppressionlist")
        s = relay.session(cls.key, cls.password)
        for to in ["recipient@example.org", "gone2@example.org", "late@example.org", "listed@example.org"] + \
                [f"{name}@simulator.relay.example" for name in simulated]:
            s.message("sender@example.com", [to],
                      "X-SES-CONFIGURATION-SET: main\n" + MAIL.format("Mary <sender@example.com>", to))
        s.message("sender@example.com", ["recipient@example.org"], VIRUS)
        s.close()
        folder = os.path.join(relay.folder, "events", "123456789012")

        def read():
            found = []
            for name in ("all.jsonl", "feedback.jsonl", "sns.jsonl"):
                with open(os.path.join(folder, name)) as f:
                    found += map(json.loads, f)
            return found
        wanted = {"Send": 11, "Delivery": 4, "DeliveryDelay": 1, "Bounce": 6, "Complaint": 2, "Reject": 1}
        wait_for(lambda: all(sum(r.get("eventType") == t for r in read()) == n for t, n in wanted.items()) and
                 sum("notificationType" in r for r in read()) == 12 and sum("Type" in r for r in read()) == 12,
                 "a record of each kind", 60)
        return read()

    def prepared(self, statement):
        """Stand-ins for what only the reader knows."""
        mid = self.ids["recipient@example.org"]
        for example, real in (("queue delete ID", "queue delete " + self.ids["late@example.org"]),
                              ("mid=0100019cae0bba4b-3f1d2c4e", "mid=" + mid[:25]),
                              ("/var/log/mail.log", self.relay.log)):
            statement = statement.replace(example, real)
        return statement

    def run_commands(self, display):
        for s in statements(display):
            if s.startswith("posthornd -c"):
                self.run_daemon(s)
            elif not s.startswith("systemctl"):
                self.type(self.host, self.prepared(s))

    def run_daemon(self, statement):
        """As somebody without root would try it: a folder, high ports."""
        other = Relay(folder=tempfile.mkdtemp(dir=self.host.folder))
        shutil.copy(other.conf, os.path.join(self.host.folder, "posthorn.conf"))
        p = subprocess.Popen(["sh", "-c", "exec " + statement], env=self.host.env, cwd=self.host.folder,
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            other.wait_log(r"\bready\b version=")
        finally:
            p.terminate()
            self.assertEqual(p.wait(60), 0, p.stderr.read())
            p.stderr.close()

    def run_configuration(self, page, display):
        path = os.path.join(self.host.folder, "page.conf")
        with open(path, "w") as f:
            f.write(display)
        os.chmod(path, 0o644)
        if page == "sendmail.1" and not display.startswith("local"):
            self.run_client_configuration(path, display)
            return
        r = self.host.shell(f"'{BUILD}/posthornctl' config check page.conf")
        self.assertEqual((r.returncode, r.stdout), (0, "page.conf: ok\n"), r.stderr)

    def run_client_configuration(self, path, display):
        """It is read without a word; only nobody listens there."""
        if display.startswith("sendmail_path"):
            command = re.search(r'"/usr/sbin/(.*)"', display).group(1)
            r = self.host.shell(command, input="To: recipient@example.org\nFrom: sender@example.com\n\nx\n")
            self.assertEqual((r.returncode, r.stderr), (0, ""))
            return
        secret = os.path.join(self.host.folder, "sendmail.password")
        with open(secret, "w") as f:
            f.write(self.password + "\n")
        os.chmod(secret, 0o600)
        with open(path, "w") as f:
            f.write(display.replace("mail.relay.example:587", f"localhost:{free_port()}")
                    .replace("/etc/posthorn/sendmail.password", secret))
        r = self.host.shell(f"'{BUILD}/sendmail' -C page.conf recipient@example.org", input="x\n")
        self.assertEqual(r.returncode, 75, r.stderr)
        self.assertIn("refused", r.stderr)

    def run_json(self, display):
        """The members of a record, as the page shows it and as it is."""
        real = {}
        for e in self.relay.events():
            real.setdefault(e["eventType"], e)
        for text in display.split("\n\n"):
            shown = json.loads(text if text.startswith("{") else "{" + text + "}")
            kind_ = shown.get("eventType")
            if kind_ is None:
                (member, shown), = shown.items()
                found = real[member[0].upper() + member[1:]][member]
            else:
                found = real[kind_]
            self.assertEqual(self.shape(shown), self.shape(found))

    def run_record(self, display):
        """Records, or members of some: as the schema says, and as one of their kind that was written."""
        with open(os.path.join(TOP, "schemas", "event.json")) as f:
            whole = json.load(f)
        for text in display.split("\n\n"):
            # lines are broken for reading, also inside a string
            text = re.sub(r"\n *", "", re.sub(r"(?<=\w)\n *(?=\w)", " ", text))
            shown = json.loads(text if text.startswith("{") else "{" + text + "}")
            schema, found = whole, self.records
            if "Type" in shown:
                inner = json.loads(shown["Message"])
                schemas.check([json.dumps(shown, separators=(",", ":"))], "the envelope")
                self.assertIn(self.kind(inner), [self.kind(json.loads(r["Message"])) for r in found if "Type" in r])
                self.assertIn(self.kind(shown), list(map(self.kind, found)))
                continue
            if "mail" not in shown:
                (member, shown), = shown.items()
                schema = {**whole["properties"][member], "$defs": whole["$defs"]}
                found = [r[member] for r in found if member in r]
            elif "posthorn" not in shown:
                found = [{k: v for k, v in r.items() if k != "posthorn"} for r in found]
            jsonschema.Draft202012Validator(schema).validate(shown)
            self.assertIn(self.kind(shown), list(map(self.kind, found)))

    @classmethod
    def kind(cls, record):
        """What tells records apart: names of members in their order, type and sub-type, and the tags but those of TLS,
        which nobody speaks here."""
        own = record.get("bounce", record.get("complaint", record))
        words = [record.get(n) for n in ("eventType", "notificationType", "Type")] + \
            [own.get(n) for n in ("bounceType", "bounceSubType", "complaintSubType")]
        tags = [t for t in record.get("mail", {}).get("tags", []) if not t.endswith("-tls-version")]
        return json.dumps([words, tags, cls.shape(record)])

    def run_system(self, display):
        """A system event is as one of its kind that was written."""
        shown = json.loads(display)
        schemas.check([display], "the system event")
        with open(os.path.join(self.relay.folder, "events", "system.jsonl")) as f:
            real = next(r for r in map(json.loads, f) if r["detail-type"] == shown["detail-type"])
        self.assertEqual(list(real.items()), list({**shown, "id": real["id"], "time": real["time"]}.items()))

    def run_python(self, display):
        """What checks the signature of a webhook."""
        key = b"0123456789abcdef0123456789abcdef"
        names = {"secret": "whsec_" + base64.b64encode(key).decode(), "id": "msg_1", "timestamp": "1767225600",
                 "body": b'{"eventType":"Send"}'}
        mine = hmac.new(key, b'msg_1.1767225600.{"eventType":"Send"}', hashlib.sha256).digest()
        names["signature"] = "v1,AAAA v1," + base64.b64encode(mine).decode()
        exec(display, names)
        self.assertTrue(names["ok"])
        names["signature"] = "v1,AAAA"
        exec(display, names)
        self.assertFalse(names["ok"])

    @classmethod
    def shape(cls, v):
        """Names of members, at every depth; of headers and tags any."""
        if isinstance(v, dict):
            return {k: cls.shape(x) for k, x in v.items() if k not in ("tags", "headers", "commonHeaders")}
        return [cls.shape(v[0])] if isinstance(v, list) and v else type(v).__name__

    def run_log(self, display):
        log = self.relay.log_text()
        for line in re.sub(r"\n +", " ", display).splitlines():
            event = re.match(r"(?:\S+ \S+ \S+ )?([a-z-]+) ", line).group(1)
            found = re.findall(rf" relay {event} (.*)", log)
            self.assertTrue(found, event)
            if not line.endswith("..."):
                self.assertIn(log_keys(line), [log_keys(" " + f) for f in found])

    def test_displays(self):
        """Every display of every page but the first steps"""
        done = {}
        wire = self.relay.wire("submission")
        wire.reply()
        wire.hello()
        wire.starttls()
        wire.hello()
        self.assertTrue(wire.auth(self.key, "B" * 44).startswith("535"))
        wire.close()
        self.relay.wait_log("auth-failure")
        for page in sorted(os.listdir(os.path.join(TOP, "man"))):
            for n, display in enumerate(displays(page)):
                if n == 0 and page in ("posthorn.7", "posthornctl.8"):
                    continue
                with self.subTest(page=page, display=display):
                    what = kind(display)
                    done[what] = done.get(what, 0) + 1
                    if page == "posthorn.conf.5" and what == "transcript":
                        with open(os.path.join(self.host.folder, "posthorn.conf"), "w") as f:
                            f.write("delivery.max_liftime 72h\n")
                        os.chmod(f.name, 0o644)
                    if what == "commands" and page == "posthornd.8":
                        shutil.copy(self.relay.conf, os.path.join(self.host.folder, "posthorn.conf"))
                    if display.startswith("import "):
                        self.run_python(display)
                    elif "detail-type" in display:
                        self.run_system(display)
                    elif page == "posthorn-events.7" and what == "json":
                        self.run_record(display)
                    elif what == "commands":
                        self.run_commands(display)
                    elif what == "transcript":
                        self.transcript(self.host, display)
                    elif what == "configuration":
                        self.run_configuration(page, display)
                    elif what == "json":
                        self.run_json(display)
                    elif what == "log":
                        self.run_log(display)
                    else:
                        self.fail("nobody runs this")
        self.assertEqual(set(done), {"commands", "transcript", "configuration", "json", "log"})


class Configurations(unittest.TestCase):
    """conf/posthorn.conf: what stands behind # is the default, or an example where there is none."""

    def ctl(self, *args):
        r = subprocess.run([os.path.join(BUILD, "posthornctl"), *args], capture_output=True, text=True)
        self.assertEqual(r.returncode, 0, r.stdout + r.stderr)
        return r.stdout

    def test_comments(self):
        with open(os.path.join(TOP, "conf", "posthorn.conf")) as f:
            lines = f.read().splitlines()
        # of blocks that are repeated by name, and of what the host decides
        free = re.compile(r"^(admin|listener|local|tls\.certificate|delivery\.(dest\.[^ .]+\.|route|tls\b|provider))|"
                          r"^server\.(name|domain|threads)|^dns\.psl")
        opened, own, block, said = [], set(), [], False
        for line in lines:
            text = line.strip()
            bare = re.sub(r"^#", "", text)
            is_setting = re.match(r"#?[a-z_.]+ +\S", text) and not text.startswith("# ")
            if bare.endswith("{") and re.match(r"[a-z]", bare):
                block.append(bare.split()[0])
                opened.append(bare)
            elif bare == "}":
                block.pop()
                opened.append(bare)
            elif is_setting:
                name = ".".join(block + [bare.split()[0]])
                if not said:
                    own.add(name)
                opened.append(bare)
            said = text.startswith("# default:") or (said and text.startswith("# ") and not is_setting)
        folder = tempfile.mkdtemp(prefix="posthorn-conf-")
        self.addCleanup(shutil.rmtree, folder, True)
        path = os.path.join(folder, "posthorn.conf")
        with open(path, "w") as f:
            f.write("\n".join(opened) + "\n")
        os.chmod(path, 0o644)
        self.assertEqual(self.ctl("config", "check", path), f"{path}: ok\n")

        def shown(*args):
            return dict(l.split(None, 1) for l in re.sub(r"(?m)  # .*$", "", self.ctl(*args)).splitlines() if " " in l)
        empty = os.path.join(folder, "empty.conf")
        with open(empty, "w") as f:
            f.write("# nothing\n")
        os.chmod(empty, 0o644)
        defaults, values = shown("-c", empty, "config", "show"), shown("-c", path, "config", "show")
        checked = [n for n in sorted(own) if n in values and not free.search(n)]
        self.assertGreater(len(checked), 100)
        for name in checked:
            self.assertEqual(values[name], defaults.get(name), name)
        settings = [l.split()[0] for l in self.ctl("help", "settings").splitlines()]
        text = "\n".join(opened)
        for name in settings:
            word = name.rsplit(".", 1)[-1]
            self.assertRegex(text, rf"(?m)^(\S+\.)?{word}\b|^{name.split('.')[0]} ", name)

    def test_commands_in_examples(self):
        """What the comments tell to type is a command."""
        known = {" ".join(l.split()[1:3]) for l in self.ctl("help").splitlines()}
        for name in os.listdir(os.path.join(TOP, "conf")):
            with open(os.path.join(TOP, "conf", name)) as f:
                for command in re.findall(r"posthornctl ([a-z]+ [a-z]+)", f.read()):
                    self.assertIn(command, known | {"reload"}, name)


class LogKeys(unittest.TestCase):
    def test_keys_are_in_the_source(self):
        """posthorn-log(5): each key of its list is written somewhere, and the keys of an event are those it has."""
        with open(os.path.join(TOP, "man", "posthorn-log.5")) as f:
            page = f.read().replace("\\\n", "").replace("\\-", "-")
        source = ""
        for folder, _, files in os.walk(os.path.join(TOP, "src")):
            for name in files:
                if name.endswith(".c"):
                    with open(os.path.join(folder, name)) as f:
                        source += re.sub(r'"\s*\n\s*"', "", f.read())
        listed = re.search(r"^\.Ss Keys\n(.*?)^\.Sh", page, re.S | re.M).group(1)
        names = [n for line in re.findall(r"^\.It Cm (.*)$", listed, re.M) for n in line.split(" , ")]
        self.assertGreater(len(names), 25)
        for name in names:
            self.assertRegex(source, rf'["\s]{name}=', name)
        for item in re.split(r"(?m)^\.It Sy ", page)[1:]:
            for keys in re.findall(r"^\.Cm ([a-z][a-z ]*[a-z])(?: [.,;:])?$", item, re.M):
                for key in keys.split():
                    self.assertRegex(source, rf'["\s]{key}=', f"{item.splitlines()[0]}: {key}")


if __name__ == "__main__":
    unittest.main()
