# SPDX-License-Identifier: ISC
"""Real clients against the listeners: openssl, swaks, msmtp, curl, smtplib
(smtp-interface.md sections 17 and 18)."""
import os
import re
import subprocess
import sys
import time
import unittest

from harness.dns import Dns
from harness.readme import Recipe
from harness.relay import BUILD, Relay
from harness.sink import Sink
from harness.waiting import wait_for

ID = r"[0-9a-f]{16}-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}-000000"
MESSAGE = "From: Sender <sender@example.com>\nTo: recipient@sink.example\nSubject: hello\n\nHello.\n"


class Clients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.sink = Sink("127.0.0.2")
        cls.sink.start()
        cls.addClassCleanup(cls.sink.stop)
        cls.relay = Relay(extra="delivery.allow_private yes\n", sink_port=cls.sink.port)
        cls.addClassCleanup(cls.relay.cleanup)
        cls.dns = Dns(cls.relay.folder)
        cls.dns.zone("sink.example", "@ MX 10 mx\nmx A 127.0.0.2\n")
        cls.dns.start()
        cls.addClassCleanup(cls.dns.stop)
        cls.relay.dns = cls.dns
        cls.relay.write_conf()
        cls.relay.start()
        cls.account, cls.key, cls.password = cls.relay.sender()

    def setUp(self):
        with self.sink.lock:
            self.sink.messages.clear()

    def file(self):
        path = os.path.join(self.relay.folder, "message.eml")
        with open(path, "w", newline="") as f:
            f.write(MESSAGE.replace("\n", "\r\n"))
        return path

    def arrived(self):
        m = self.sink.wait(1)[0]
        self.assertIn(b"\r\n\r\nHello.\r\n", m.data)
        return m

    def test_openssl_starttls(self):
        """smtp-interface#1: the last line is 250 Ok; after 10 s the server closes"""
        begun = time.monotonic()
        r = subprocess.Popen(["openssl", "s_client", "-crlf", "-quiet", "-starttls", "smtp", "-connect",
                              f"127.0.0.1:{self.relay.ports['submission']}", "-CAfile", self.relay.cert],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        lines = [line.strip() for line in r.stdout]
        took = time.monotonic() - begun
        r.stdin.close()
        r.wait(10)
        r.stdout.close()
        shown = [line for line in lines if not line.startswith(("depth=", "verify", "Connecting", "Can't use SSL"))]
        self.assertEqual(shown[0], "250 Ok", lines)
        self.assertEqual(shown[1], "451 Timeout waiting for data from client")
        self.assertTrue(8 <= took <= 13, took)

    def test_openssl_wrapper(self):
        """smtp-interface#2: TLS from the first octet"""
        r = subprocess.run(["openssl", "s_client", "-crlf", "-quiet", "-connect",
                            f"127.0.0.1:{self.relay.ports['submissions']}", "-CAfile", self.relay.cert],
                           input="EHLO app1.example.com\nQUIT\n", capture_output=True, text=True, timeout=30)
        lines = r.stdout.replace("\r", "").splitlines()
        self.assertRegex(lines[0], r"^220 mail\.relay\.example ESMTP posthorn-n1 [A-Za-z0-9]{20}$")
        self.assertIn("250-AUTH PLAIN LOGIN", lines)
        self.assertNotIn("250-STARTTLS", lines)
        self.assertEqual(lines[-1], "221 Bye")

    def recipe(self, title, listener="submission"):
        return Recipe(title, self.relay.ports[listener], self.key, self.password, host="localhost")

    def shell(self, command, **env):
        """Types it, where message.eml lies and the certificate is trusted."""
        self.file()
        r = subprocess.run(["bash", "-c", command], cwd=self.relay.folder, capture_output=True, text=True, timeout=60,
                           env=dict(os.environ, SSL_CERT_FILE=self.relay.cert, CURL_CA_BUNDLE=self.relay.cert, **env))
        self.assertEqual(r.returncode, 0, r.stdout + r.stderr)
        return r.stdout

    def by_hand(self, program, listener="submission"):
        """The command of "Trying by hand" that begins so, to a recipient that is ours."""
        commands = self.recipe("Trying by hand", listener).blocks[0].replace("\\\n", "").splitlines()
        found = [c for c in commands if c.startswith(program + " ")]
        self.assertEqual(len(found), 1, commands)
        return re.sub(r"recipient@example\.org", "recipient@sink.example", found[0])

    def test_swaks(self):
        """section 17.7: swaks, as README.md has it"""
        out = self.shell(self.by_hand("swaks"))
        self.assertRegex(out, r"<~  250 Ok " + ID)
        self.assertIn("<~  221 Bye", out)
        self.sink.wait(1)

    def test_swaks_wrapper(self):
        """section 17.7: TLS on connect, LOGIN"""
        command = self.by_hand("swaks", "submissions").replace(" --tls ", " --tls-on-connect ").replace("PLAIN", "LOGIN")
        self.assertRegex(self.shell(command), r"<~  250 Ok " + ID)
        self.sink.wait(1)

    def test_curl(self):
        """section 17.7: curl, as README.md has it"""
        self.shell(self.by_hand("curl").replace("BLBM/…", self.password))
        self.arrived()

    def test_openssl_by_hand(self):
        """section 17.7: s_client, as README.md has it; lines are typed"""
        out = self.shell("printf 'EHLO app1.example.com\\nQUIT\\n' | " + self.by_hand("openssl"))
        self.assertIn("250-AUTH PLAIN LOGIN", out)
        self.assertIn("221 Bye", out)

    def msmtp(self, text):
        conf = os.path.join(self.relay.folder, "msmtprc")
        log = os.path.join(self.relay.folder, "msmtp.log")
        self.assertIn("/etc/ssl/certs/ca-certificates.crt", text)
        with open(conf, "w") as f:
            f.write(text.replace("/etc/ssl/certs/ca-certificates.crt", self.relay.cert)
                    .replace("account default", f"logfile {log}\naccount default"))
        os.chmod(conf, 0o600)
        self.shell(f"msmtp -C {conf} recipient@sink.example <message.eml")
        with open(log) as f:
            self.assertRegex(f.read().splitlines()[-1], r"smtpstatus=250 smtpmsg='250 Ok " + ID + "' .*exitcode=EX_OK")
        self.arrived()

    def test_msmtp(self):
        """section 17.7: msmtp, as README.md has it"""
        self.msmtp(self.recipe("msmtp").blocks[0])

    def test_msmtp_wrapper(self):
        """section 17.7: the same with port 465"""
        recipe = self.recipe("msmtp", "submissions")
        self.msmtp(re.sub(r"(?m)^port .*$", recipe.one(r"port \d+"),
                          re.sub(r"(?m)^tls_starttls .*$", recipe.one("tls_starttls off"), recipe.blocks[0])))

    def test_python(self):
        """section 17.8: smtplib, as README.md has it; both kinds of TLS"""
        for listener in ("submission", "submissions"):
            with self.subTest(listener=listener):
                with self.sink.lock:
                    self.sink.messages.clear()
                code = self.recipe("PHP, Python, Node", listener).blocks[0]
                port = self.relay.ports[listener]
                self.assertIn(f'smtplib.SMTP("localhost", {port})', code)
                if listener == "submissions":
                    code = re.sub(r"(?m)smtplib\.SMTP\(.*\) as s:.*$",
                                  f'smtplib.SMTP_SSL("localhost", {port}, context=ssl.create_default_context()) as s:',
                                  re.sub(r"(?m)^ *s\.starttls.*\n", "", code))
                code = code.replace("recipient@example.org", "recipient@sink.example")
                path = os.path.join(self.relay.folder, "client.py")
                with open(path, "w") as f:
                    f.write(f"message = {MESSAGE!r}\n" + code)
                self.shell(f"{sys.executable} {path}")
                self.arrived()

    def test_php(self):
        """section 17.8: PHP's mail() through the sendmail program, as README.md has it"""
        setting = self.recipe("PHP, Python, Node").one("sendmail_path = .*")
        program = os.path.join(os.path.abspath(BUILD), "sendmail")
        self.assertIn("/usr/local/sbin/posthorn-sendmail -t -i", setting)
        ini = os.path.join(self.relay.folder, "php.ini")
        with open(ini, "w") as f:
            f.write(setting.replace("/usr/local/sbin/posthorn-sendmail", f"{program} -C {self.relay.sendmail_conf()}"))
        self.relay.extra += f"local everybody {{\n    match *\n    credential {self.account}/app1\n" \
                            "    sender sender@example.com\n}\n"
        self.relay.reload()
        out = self.shell(f"php -n -c {ini} -r 'var_dump(mail(\"recipient@sink.example\", \"hello\", \"Hello.\"));'")
        self.assertEqual(out, "bool(true)\n")
        self.assertIn(b"\r\nSubject: hello\r\n", self.arrived().data)

    def test_wrong_secret(self):
        """smtp-interface#7: the secret is no password; 535 after 2 s, 421 after the third"""
        w = self.relay.wire("submission")
        w.reply()
        w.hello()
        w.starttls()
        w.hello()
        for _ in range(3):
            begun = time.monotonic()
            self.assertEqual(w.auth(self.key, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
                             "535 Authentication Credentials Invalid")
            self.assertGreaterEqual(time.monotonic() - begun, 1.99)
        self.assertEqual(w.reply(), ["421 Too many authentication failures"])
        self.assertTrue(w.at_end())
        self.assertTrue(self.relay.wait_log(rf"auth-failure sid=\S+ ip=127\.0\.0\.1 port=\d+ user={self.key} "
                                            "reason=bad-format"))

    def test_acceptance(self):
        """smtp-interface#9: the id holds the time"""
        w = self.relay.session(self.key, self.password, "submission")
        answer = w.message("sender@example.com", "recipient@sink.example", MESSAGE)
        self.assertRegex(answer, "^250 Ok " + ID + "$")
        self.assertLess(abs(int(answer[7 + 4:7 + 16], 16) / 1000 - time.time()), 2)
        w.close()
        m = self.arrived()
        self.assertRegex(m.data.decode(), r"(?s)^X-SES-Outgoing: \d{4}\.\d\d\.\d\d-127\.0\.0\.\d+\r\n"
                         r"Received: by mail\.relay\.example with ESMTPSA\r\n")

    def test_without_tls(self):
        """RFC 3848: no TLS was there, and none is claimed"""
        w = self.relay.session(self.key, self.password, "clear")
        w.message("sender@example.com", "recipient@sink.example", MESSAGE)
        w.close()
        self.assertRegex(self.arrived().data.decode(), r"\r\nReceived: by mail\.relay\.example with ESMTPA\r\n")

    def test_injection(self):
        """smtp-interface#5: plain text behind STARTTLS"""
        w = self.relay.wire("submission")
        w.reply()
        w.hello()
        w.send("STARTTLS\r\nMAIL FROM:<x@example.com>\r\n")
        self.assertEqual(w.reply(), ["554 Command data after STARTTLS"])
        self.assertTrue(w.at_end())

    def test_reload_keeps_sessions(self):
        """a new certificate for new sessions; those that run go on"""
        w = self.relay.session(self.key, self.password, "submission")
        before = w.sock.getpeercert(True)
        from harness.relay import certificate
        certificate(self.relay.folder)
        self.relay.ctl("reload")

        def fresh():
            n = self.relay.session(self.key, self.password, "submission")
            cert = n.sock.getpeercert(True)
            n.close()
            return cert != before
        wait_for(fresh, "the new certificate")
        self.assertRegex(w.message("sender@example.com", "recipient@sink.example", MESSAGE), "^250 Ok " + ID)
        w.close()


if __name__ == "__main__":
    unittest.main()
