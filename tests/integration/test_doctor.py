# SPDX-License-Identifier: ISC
"""posthornctl doctor: the check of the installation (mail-from-spf-dmarc.md 9.5)."""
import ipaddress
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import unittest

from harness.dns import Dns
from harness.relay import Relay
from harness.sink import Sink
from harness.waiting import free_port

HOST = "mail.relay.example"
FEEDBACK = "feedback-smtp.us-east-1.relay.example"
SOURCE, EHLO = "127.0.0.3", "a0-3.smtp-out.relay.example"
ZONES = {
    "relay.example": f"@ MX 10 mx\n@ MX 20 mx2\nmx A 127.0.0.1\nmx2 A 127.0.0.9\nmail A 127.0.0.1\n"
                     f"a0-3.smtp-out A {SOURCE}\nfeedback-smtp.us-east-1 A 127.0.0.1\n"
                     f"bounces MX 10 {FEEDBACK}.\nbounces TXT \"v=spf1 include:spf.relay.example ~all\"\n"
                     f"spf TXT \"v=spf1 ip4:{SOURCE} -all\"\n",
    "0.127.in-addr.arpa": f"3.0 PTR {EHLO}.\n",
    "list.example": "99.0.0.127 A 127.0.0.2\n",
}


class Doctor(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="posthorn-doctor-")
        self.addCleanup(shutil.rmtree, self.folder, True)

    def start(self, zones=None, extra="", source=SOURCE, sink=True):
        self.dns = Dns(self.folder)
        for name, text in {**ZONES, **(zones or {})}.items():
            self.dns.zone(name, text)
        self.dns.start()
        self.addCleanup(self.dns.stop)
        self.sink = Sink()
        port = free_port()
        if sink:
            self.sink.start()
            self.addCleanup(self.sink.stop)
            port = self.sink.port
        self.relay = Relay(dns=self.dns, sink_port=port, extra="dnsbl.zones list.example\ndns.timeout 1s\n"
                           "dns.tries 2\nintake.postmaster operator@sink.example\n" + extra)
        self.addCleanup(self.relay.cleanup)
        self.relay.start()
        if source:
            self.relay.ctl("ip", "add", source, "--ehlo", EHLO)

    def report(self, *args):
        r = self.relay.run_ctl("--json", "doctor", *args)
        report = json.loads(r.stdout)
        self.assertEqual(r.returncode, {"PASS": 0, "WARN": 1, "FAIL": 2, "UNKNOWN": 3}[report["Result"]])
        found = {}
        for c in report["Checks"]:
            self.assertIn(c["Result"], ("PASS", "WARN", "FAIL", "UNKNOWN"))
            self.assertEqual(c["Impact"], "HIGH" if c["Result"] == "FAIL" else "LOW")
            # what did not pass says what mends it
            self.assertEqual("Hint" in c, c["Result"] != "PASS", c)
            self.assertIn(c.get("Action"), (None, "PUBLISH", "RUN", "SET"))
            found.setdefault(c["Id"], []).append(c)
        return found

    def finding(self, found, name, result, text=""):
        self.assertIn(name, found)
        c = found[name][0]
        self.assertEqual(c["Result"], result, c)
        self.assertIn(text, c["Description"])
        return c

    def test_all_is_well(self):
        self.start()
        found = self.report()
        self.finding(found, "DNS", "PASS")
        self.finding(found, "SOURCE_PTR", "PASS", f"{SOURCE} is {EHLO}, both ways")
        self.finding(found, "DNSBL", "PASS", f"{SOURCE} is on no block list (1 asked)")
        self.finding(found, "PORT25", "PASS", f"mx.relay.example greets {SOURCE}: 220 ")
        self.finding(found, "MAILFROM_MX", "PASS", f"bounces.relay.example MX 10 {FEEDBACK}")
        self.finding(found, "SPF_FOUND", "PASS", "v=spf1 include:spf.relay.example ~all")
        self.finding(found, "SPF_INCLUDES", "PASS", f"{SOURCE} may send for bounces.relay.example")
        self.finding(found, "FEEDBACK_HOST", "PASS", FEEDBACK)
        self.finding(found, "POSTMASTER", "PASS", "operator@sink.example")
        self.finding(found, "CERTIFICATE", "PASS")
        self.assertNotIn("CERTIFICATE_NAME", found)
        self.assertFalse([c for cs in found.values() for c in cs if c["Result"] == "FAIL"])
        text = self.relay.run_ctl("doctor", "--no-probe")
        self.assertIn(text.returncode, (0, 1, 3))
        self.assertRegex(text.stdout, rf"(?m)^ok      SOURCE_PTR        {SOURCE} is {EHLO}, both ways$")
        self.assertRegex(text.stdout, r"(?m)^result: (PASS|WARN|UNKNOWN)$")
        self.assertNotIn("PORT25", text.stdout)
        self.assertEqual(len(self.sink.sessions), 1)

    def test_source_address(self):
        """No name; a name that leads elsewhere; a name that EHLO does not say; an address that is listed."""
        self.start(zones={"0.127.in-addr.arpa": "4.0 PTR elsewhere.relay.example.\n5.0 PTR other.relay.example.\n",
                          "relay.example": ZONES["relay.example"] + "elsewhere A 127.0.0.77\nother A 127.0.0.5\n",
                          "list.example": "3.0.0.127 A 127.0.0.2\n4.0.0.127 A 127.255.255.254\n"})
        self.relay.ctl("ip", "add", "127.0.0.4", "--ehlo", "elsewhere.relay.example")
        self.relay.ctl("ip", "add", "127.0.0.5", "--ehlo", EHLO)
        self.relay.ctl("ip", "add", "127.0.0.6", "--ehlo", EHLO)
        self.relay.ctl("ip", "disable", "127.0.0.6")
        found = self.report("--no-probe")
        by = {c["Description"].split()[0].rstrip(":"): c for c in found["SOURCE_PTR"]}
        self.assertEqual(set(by), {SOURCE, "127.0.0.4", "127.0.0.5"})
        self.assertEqual(by[SOURCE]["Result"], "FAIL")
        self.assertIn("has no PTR record", by[SOURCE]["Description"])
        self.assertEqual(by[SOURCE]["Hint"], f"3.0.0.127.in-addr.arpa PTR {EHLO}")
        self.assertEqual(by["127.0.0.4"]["Result"], "FAIL")
        self.assertEqual(by["127.0.0.4"]["Hint"], "elsewhere.relay.example A 127.0.0.4")
        self.assertEqual(by["127.0.0.5"]["Result"], "WARN")
        self.assertIn(f"is other.relay.example, but EHLO says {EHLO}", by["127.0.0.5"]["Description"])
        self.assertEqual((by["127.0.0.5"]["Action"], by["127.0.0.5"]["Hint"]),
                         ("PUBLISH", f"5.0.0.127.in-addr.arpa PTR {EHLO}"))
        lists = [(c["Result"], c["Description"]) for c in found["DNSBL"]]
        self.assertEqual(lists, [("FAIL", f"{SOURCE} is listed by list.example (127.0.0.2)"),
                                 ("UNKNOWN", "list.example does not answer our questions (127.255.255.254)"),
                                 ("PASS", "127.0.0.5 is on no block list (1 asked)")])

    def test_return_addresses(self):
        """Two MX, no SPF; then two SPF records; then one without its end; a feedback host elsewhere, or nowhere."""
        base = "mx A 127.0.0.1\n@ MX 10 mx\n"
        self.start(zones={"relay.example": base + f"bounces MX 10 {FEEDBACK}.\nbounces MX 20 mx\n"})
        found = self.report("--no-probe")
        self.finding(found, "MAILFROM_MX", "FAIL", "MAIL FROM MX record is not correct.")
        self.assertEqual(found["MAILFROM_MX"][0]["Hint"], f"bounces.relay.example MX 10 {FEEDBACK}")
        c = self.finding(found, "SPF_FOUND", "FAIL", "SPF record was not found.")
        self.assertEqual((c["Hint"], c["Then"]), ('bounces.relay.example TXT "v=spf1 include:spf.relay.example ~all"',
                                                  "posthornctl spf print"))
        c = self.finding(found, "FEEDBACK_HOST", "FAIL", f"{FEEDBACK} has no address")
        self.assertRegex(c["Hint"], rf"^{FEEDBACK} (A|AAAA) [0-9a-f.:]+$|^{FEEDBACK} A ADDRESS$")
        self.dns.set_zone("relay.example", base + 'bounces TXT "v=spf1 -all"\nbounces TXT "v=spf1 ~all"\n'
                          'bounces TXT "v=spf10 x"\nfeedback-smtp.us-east-1 A 192.0.2.9\n')
        found = self.report("--no-probe")
        c = self.finding(found, "SPF_ISSUE", "FAIL", "An SPF configuration issue was found.")
        self.assertEqual(c["Hint"], 'bounces.relay.example TXT "v=spf1 include:spf.relay.example ~all"')
        self.assertIn("and no other", c["Note"])
        # two findings, one record: in the text it stands once
        text = self.relay.run_ctl("doctor", "--no-probe").stdout
        self.assertEqual(text.count(f"publish: {c['Hint']}\n"), 1, text)
        self.finding(found, "MAILFROM_MX", "FAIL")
        self.finding(found, "FEEDBACK_HOST", "WARN", "leads to no listener")
        self.dns.set_zone("relay.example", base + 'bounces TXT "v=spf1 ip4:192.0.2.1"\n')
        found = self.report("--no-probe")
        c = self.finding(found, "SPF_ALL", "WARN", "SPF all qualifier is missing.")
        self.assertEqual(c["Hint"], 'bounces.relay.example TXT "v=spf1 ip4:192.0.2.1 ~all"')
        self.finding(found, "SPF_INCLUDES", "FAIL",
                     f"SPF record for posthorn was not found. {SOURCE}: neutral for bounces.relay.example")
        # it is included, and does not know the address
        self.dns.set_zone("relay.example", base + 'bounces TXT "v=spf1 include:spf.relay.example ~all"\n'
                          'spf TXT "v=spf1 ip4:192.0.2.1 -all"\n')
        c = self.finding(self.report("--no-probe"), "SPF_INCLUDES", "FAIL",
                         f"An SPF configuration issue was found. {SOURCE}: softfail for bounces.relay.example")
        self.assertEqual(c["Hint"], f'spf.relay.example TXT "v=spf1 ip4:{SOURCE} -all"')

    def test_port(self):
        """Nobody listens; a receiver that refuses; one that says nothing is no receiver; a host of the operator's."""
        self.start(sink=False)
        c = self.finding(self.report(), "PORT25", "FAIL", f"no connection from {SOURCE} to port")
        self.assertIn("mx.relay.example", c["Description"])
        with socket.socket() as refusing:
            refusing.bind(("127.0.0.9", self.relay.sink_port))
            refusing.listen(4)

            def refuse():
                s, _ = refusing.accept()
                s.sendall(b"554 5.7.1 \x1b[31mgo away\r\n")
                s.recv(100)
                s.close()
            threading.Thread(target=refuse, daemon=True).start()
            self.relay.extra += "doctor.probe_host mx2.relay.example\n"
            self.relay.reload()
            text = self.relay.run_ctl("doctor").stdout
            self.assertIn(f"mx2.relay.example greets {SOURCE}: 554 5.7.1 ?[31mgo away\n", text)
            self.assertRegex(text, r"(?m)^warn    PORT25 ")

            def silent():
                s, _ = refusing.accept()
                s.close()
            threading.Thread(target=silent, daemon=True).start()
            self.finding(self.report(), "PORT25", "WARN", "but no greeting came")
        self.relay.extra = self.relay.extra.replace("mx2.relay.example", "nowhere.relay.example")
        self.relay.reload()
        c = self.finding(self.report(), "PORT25", "UNKNOWN", "nowhere.relay.example has no address")
        self.assertIn("doctor.probe_host", c["Hint"])

    def test_smart_host(self):
        """Where all mail leaves by another server, that one is tried, and names and lists are its own affair."""
        port = free_port()
        sink = Sink(port=port)
        sink.start()
        self.addCleanup(sink.stop)
        self.start(extra=f"delivery.route * 127.0.0.1:{port}\n")
        found = self.report()
        self.finding(found, "SOURCE_PTR", "PASS", "all mail leaves by 127.0.0.1")
        self.finding(found, "PORT25", "PASS", f"127.0.0.1 greets {SOURCE}: 220 ")
        self.assertNotIn("DNSBL", found)
        self.assertEqual(len(sink.sessions), 1)
        self.relay.extra = self.relay.extra.replace(f"127.0.0.1:{port}", f"mx.relay.example:{port}")
        self.relay.reload()
        self.finding(self.report(), "PORT25", "PASS", f"mx.relay.example greets {SOURCE}: 220 ")

    def test_operator_key(self):
        key = os.path.join(self.folder, "operator.pem")
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        public = "".join(subprocess.run(["openssl", "rsa", "-in", key, "-pubout"], check=True, capture_output=True,
                                        text=True).stdout.splitlines()[1:-1])
        self.start(extra=f"dkim {{\n    operator_domain relay.example\n    operator_selector op\n"
                         f"    operator_key {key}\n}}\n")
        c = self.finding(self.report("--no-probe"), "OPERATOR_DKIM", "FAIL", "op._domainkey.relay.example: ABSENT")
        name, kind, value = c["Hint"].split(" ", 2)
        self.assertEqual((name, kind, value.replace('" "', "")),
                         ("op._domainkey.relay.example", "TXT", f'"v=DKIM1; k=rsa; p={public}"'))
        self.dns.set_zone("relay.example", ZONES["relay.example"] + f'op._domainkey TXT "v=DKIM1; k=rsa; "'
                          f' "p={public[:200]}" "{public[200:]}"\n')
        self.finding(self.report("--no-probe"), "OPERATOR_DKIM", "PASS", "op._domainkey.relay.example matches")

    def test_files(self):
        """Files with secrets, and a line of the configuration that nobody understands."""
        self.start()
        store = os.path.join(self.relay.folder, "store")
        os.chmod(store, 0o755)
        wrong = [c for c in self.report("--no-probe")["FILE_MODE"] if c["Result"] != "PASS"]
        self.assertEqual([(c["Action"], c["Hint"]) for c in wrong], [("RUN", f"chmod go= {store}")])
        subprocess.run(["sh", "-c", wrong[0]["Hint"]], check=True)
        self.assertFalse([c for c in self.report("--no-probe")["FILE_MODE"] if c["Result"] == "FAIL"])
        with open(self.relay.conf, "a") as f:
            f.write("delivery.max_liftime 72h\n")
        c = self.report("--no-probe")["CONFIGURATION"]
        self.assertIn(("FAIL", f"posthornctl config check {self.relay.conf}"),
                      [(one["Result"], one.get("Hint")) for one in c])

    def test_no_name_server(self):
        """Without answers nothing is judged but the name servers."""
        self.start()
        self.dns.stop()
        found = self.report()
        self.finding(found, "DNS", "FAIL", "no name server answers")
        for name in ("SOURCE_PTR", "DNSBL", "MAILFROM_MX", "SPF_FOUND", "FEEDBACK_HOST", "PORT25"):
            self.finding(found, name, "UNKNOWN")

    def test_without_source_addresses(self):
        """Mail leaves from what the system chooses; a private address cannot be judged from here."""
        self.start(source=None)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            try:
                s.connect(("192.0.2.1", 53))
                own = s.getsockname()[0]
            except OSError:
                own = None
        c = self.report("--no-probe")["SOURCE_PTR"][0]
        if own is None:
            self.assertEqual(c["Result"], "UNKNOWN")
        elif ipaddress.ip_address(own).is_private:
            self.assertEqual((c["Result"], c["Description"].split(":")[0]),
                             ("UNKNOWN", f"mail leaves from {own}, an address of a private network"))
        else:
            self.assertIn(own, c["Description"])


if __name__ == "__main__":
    unittest.main()
