# SPDX-License-Identifier: ISC
"""The watch over the source addresses, against real peers: block lists by DNS, data of SNDS (reputation.md 7)."""
import datetime
import json
import os
import shutil
import tempfile
import unittest

from harness.dns import Dns
from harness.relay import CtlError, Relay
from harness.sink import Sink

SOURCE, OTHER = "127.0.0.3", "127.0.0.4"


class Sources(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="posthorn-sources-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.dns = Dns(self.folder)
        self.dns.zone("list.example", "3.0.0.127 A 127.0.0.2\n4.0.0.127 A 127.255.255.254\n")
        self.dns.zone("sink.example", "@ MX 10 mx\nmx A 127.0.0.1\n")
        self.dns.start()
        self.addCleanup(self.dns.stop)
        self.sink = Sink()
        self.sink.start()
        self.addCleanup(self.sink.stop)
        self.relay = Relay(dns=self.dns, sink_port=self.sink.port, extra="dnsbl.zones list.example\n"
                           "dnsbl.action disable\ndns.timeout 1s\ndelivery.allow_private yes\n")
        self.addCleanup(self.relay.cleanup)
        self.relay.start()

    def test_block_list(self):
        """reputation#23: c-ares asks a name server; what it says is told, shown and counted, and the other address
        is used."""
        self.relay.ctl("ip", "add", SOURCE)
        self.relay.ctl("ip", "add", OTHER)
        rows = {r["Ip"]: r for r in self.relay.json("blocklist", "check")["Listings"]}
        self.assertEqual((rows[SOURCE]["Status"], rows[SOURCE]["Answer"]), ("LISTED", "127.0.0.2"))
        self.assertEqual((rows[OTHER]["Status"], rows[OTHER]["Answer"]), ("REFUSED", "127.255.255.254"))
        self.relay.wait_log(rf"ip-blocklisted .*source={SOURCE} list=\"?list.example")
        self.relay.wait_log(r"dnsbl-refused .*list=list.example answer=127.255.255.254")
        self.assertNotIn(f"ip-blocklisted source={OTHER}", self.relay.log_text())
        shown = {i["Ip"]: i for i in self.relay.json("ip", "list")["DedicatedIps"]}
        self.assertEqual((shown[SOURCE]["BlockedBy"], shown[SOURCE]["Blocklists"]), ("list.example", ["list.example"]))
        self.assertEqual((shown[OTHER]["BlockedBy"], shown[OTHER]["Blocklists"]), (None, []))
        text = self.relay.ctl("metrics")
        self.assertIn(f'posthorn_ip_blocklisted{{ip="{SOURCE}",list="list.example"}} 1\n', text)
        self.assertIn(f'posthorn_ip_blocklisted{{ip="{OTHER}",list="list.example"}} 0\n', text)
        table = self.relay.ctl("blocklist", "list")
        self.assertRegex(table, rf"(?m)^{SOURCE} +list.example +dns +LISTED +127.0.0.2 ")

    def test_snds(self):
        """reputation#25: a rate of 0 is shown as less than 0.1 %; traps open a finding; our own counts stand beside."""
        self.relay.ctl("ip", "add", OTHER)
        today = datetime.datetime.now(datetime.timezone.utc).date()
        date = f"{today.month}/{today.day}/{today.year}"
        path = os.path.join(self.folder, "snds.csv")
        self.relay.ctl("ip", "add", "127.0.0.9")
        with open(path, "w") as f:
            f.write("IP Address,Activity period start,Activity period end\r\n"
                    f"{OTHER},{date} 1:00 AM,{date} 9:00 PM,100,90,100,GREEN,< 0.1%,,,0,helo,from,\r\n"
                    f"127.0.0.9,{date} 1:00 AM,{date} 9:00 PM,5,5,5,RED,0.3%,{date} 2:00 AM,{date} 3:00 AM,2,h,f,\r\n"
                    "nonsense\r\n"
                    f"203.0.113.9,{date},{date},5,5,5,RED,0.3%,,,9,h,f,\r\n")
        _, key, password = self.relay.sender()
        session = self.relay.session(key, password)
        session.message("a@example.com", ["r@sink.example"], "From: a@example.com\nSubject: x\n\nx\n")
        self.sink.wait(1)
        self.relay.wait_log(r" settled ")
        r = self.relay.run_ctl("--json", "snds", "import", path)
        self.assertEqual(r.returncode, 4, "taken in part")
        self.assertEqual(r.stderr, "warning: line 4: not a line of SNDS data\n"
                                   "warning: line 5: it is none of the source addresses\n")
        answer = json.loads(r.stdout)
        self.assertEqual((answer["Imported"], answer["Refused"]), (2, 2))
        green, red = answer["Snds"]
        self.assertEqual((green["ComplaintRate"], green["ComplaintRateShown"], green["SpamRate"]), (0, "< 0.1 %", 0))
        self.assertEqual((red["ComplaintRateShown"], red["SpamRate"], red["TrapHits"]), ("0.3 %", 1, 2))
        self.assertEqual(green["Day"], today.isoformat())
        found = self.relay.json("reputation", "finding", "list")["Findings"]
        self.assertEqual([(f["Type"], f["Scope"], f["Source"]) for f in found],
                         [("spam-trap", "ip 127.0.0.9", "import")])
        # the same file once more opens no second one
        self.assertIn("< 0.1 %", self.relay.run_ctl("snds", "import", path).stdout)
        with open(path) as f:
            self.assertIn("< 0.1 %", self.relay.run_ctl("snds", "import", "-", input=f.read()).stdout)
        self.assertEqual(len(self.relay.json("reputation", "finding", "list")["Findings"]), 1)
        self.relay.ctl("stats")  # what has happened is counted
        day = self.relay.json("ip", "show", OTHER)["Snds"][0]
        self.assertEqual((day["RCPTCommands"], day["OwnRCPTCommands"], day["OwnDATACommands"]), (100, 1, 1))
        # the mark that some editors put in front takes nothing from the first line
        with open(path, "w", encoding="utf-8-sig") as f:
            f.write(f"{OTHER},{date},,7,7,7,GREEN,0\n")
        self.assertEqual(self.relay.json("snds", "import", path)["Snds"][0]["RCPTCommands"], 7)
        with open(path, "w") as f:
            f.write("nonsense\n")
        with self.assertRaises(CtlError):
            self.relay.ctl("snds", "import", path)


if __name__ == "__main__":
    unittest.main()
