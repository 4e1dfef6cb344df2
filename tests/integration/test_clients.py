# SPDX-License-Identifier: ISC
"""Real clients against the listeners: openssl, swaks, msmtp, curl, smtplib
(smtp-interface.md sections 17 and 18)."""
import os
import smtplib
import ssl
import subprocess
import time
import unittest

from harness.dns import Dns
from harness.relay import Relay
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

    def test_swaks(self):
        """section 17.7: swaks with STARTTLS and with TLS on connect"""
        for listener, option, auth in (("submission", "--tls", "PLAIN"), ("submissions", "--tls-on-connect", "LOGIN")):
            with self.sink.lock:
                self.sink.messages.clear()
            r = subprocess.run(["swaks", "--server", "127.0.0.1", "--port", str(self.relay.ports[listener]), option,
                                "--auth", auth, "--auth-user", self.key, "--auth-password", self.password,
                                "--from", "sender@example.com", "--to", "recipient@sink.example",
                                "--data", MESSAGE.replace("\n", "\\n")], capture_output=True, text=True, timeout=60)
            self.assertEqual(r.returncode, 0, r.stdout + r.stderr)
            self.assertRegex(r.stdout, r"<~  250 Ok " + ID)
            self.assertIn("<~  221 Bye", r.stdout)
            self.sink.wait(1)

    def test_msmtp(self):
        """section 17.7: msmtp"""
        conf = os.path.join(self.relay.folder, "msmtprc")
        log = os.path.join(self.relay.folder, "msmtp.log")
        with open(conf, "w") as f:
            f.write(f"defaults\nauth on\ntls on\ntls_starttls on\ntls_trust_file {self.relay.cert}\n"
                    f"logfile {log}\naccount default\nhost localhost\nport {self.relay.ports['submission']}\n"
                    f"from sender@example.com\nuser {self.key}\npassword {self.password}\n")
        os.chmod(conf, 0o600)
        r = subprocess.run(["msmtp", "-C", conf, "recipient@sink.example"], input=MESSAGE, capture_output=True,
                           text=True, timeout=60)
        self.assertEqual(r.returncode, 0, r.stderr)
        with open(log) as f:
            self.assertRegex(f.read(), r"smtpstatus=250 smtpmsg='250 Ok " + ID + "' .*exitcode=EX_OK")
        self.arrived()

    def test_curl(self):
        """section 17.7: curl, credentials in the option"""
        r = subprocess.run(["curl", "-sS", "--ssl-reqd", "--cacert", self.relay.cert, "--url",
                            f"smtp://localhost:{self.relay.ports['submission']}", "--user",
                            f"{self.key}:{self.password}", "--mail-from", "sender@example.com", "--mail-rcpt",
                            "recipient@sink.example", "--upload-file", self.file()],
                           capture_output=True, text=True, timeout=60)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.arrived()

    def test_smtplib(self):
        """section 17.8: Python, both kinds of TLS"""
        context = ssl.create_default_context(cafile=self.relay.cert)
        with smtplib.SMTP("localhost", self.relay.ports["submission"]) as s:
            s.starttls(context=context)
            s.login(self.key, self.password)
            s.sendmail("sender@example.com", ["recipient@sink.example"], MESSAGE)
        self.arrived()
        with self.sink.lock:
            self.sink.messages.clear()
        with smtplib.SMTP_SSL("localhost", self.relay.ports["submissions"], context=context) as s:
            s.login(self.key, self.password)
            s.sendmail("sender@example.com", ["recipient@sink.example"], MESSAGE)
        self.arrived()

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
