# SPDX-License-Identifier: ISC
"""Suppression lists by posthornctl (suppression.md 6 and 7): entries, pages, imports, exports."""
import json
import os
import signal
import subprocess
import unittest

from harness.relay import Relay
from harness.waiting import wait_for


class World(unittest.TestCase):
    def setUp(self):
        self.relay = Relay(extra="suppression.global.enabled yes\n")
        self.addCleanup(self.relay.cleanup)
        self.relay.start()
        self.account = self.relay.account(lists=True)

    def file(self, text, name="list"):
        path = f"{self.relay.folder}/{name}"
        with open(path, "w") as f:
            f.write(text)
        return path

    def listed(self, *options):
        """Every address of the list, by its pages."""
        found, token = [], []
        while True:
            page = self.relay.json("suppression", "list", *options, *token)
            found += [e["EmailAddress"] for e in page["SuppressedDestinationSummaries"]]
            if "NextToken" not in page:
                return found
            token = ["--next-token", page["NextToken"]]

    def show(self, address):
        return self.relay.json("suppression", "show", address)


class Entries(World):
    def test_add_show_remove(self):
        """suppression#10, 11: what is the same address, reasons unite; several at once, one of them wrong"""
        self.relay.ctl("suppression", "add", "John.Doe@Example.com", "--reason", "bounce")
        entry = self.show("john.doe@example.com")
        self.assertEqual((entry["EmailAddress"], entry["Reason"], entry["Source"], entry["Attributes"]),
                         ("John.Doe@Example.com", "BOUNCE", "manual", {}))
        self.relay.ctl("suppression", "add", "JOHN.DOE@example.com", "--reason", "Complaint")
        entry = self.show("john.doe@example.com")
        self.assertEqual((entry["Reason"], entry["Reasons"]), ("COMPLAINT", ["BOUNCE", "COMPLAINT"]))
        r = self.relay.run_ctl("suppression", "add", "a@x.example", "no address", "b@x.example", "--reason", "bounce")
        self.assertEqual(r.returncode, 4, r)
        self.assertIn("not an address: no address", r.stderr)
        self.assertEqual(sorted(self.listed()), ["John.Doe@Example.com", "a@x.example", "b@x.example"])
        r = self.relay.run_ctl("suppression", "remove", "a@x.example", "recipient@example.com")
        self.assertEqual(r.returncode, 4, r)
        self.assertIn("recipient@example.com is not on the suppression list", r.stderr)
        self.relay.ctl("suppression", "remove", "-", input="b@x.example,\n John.Doe@Example.com\n")
        self.assertEqual(self.listed(), [])

    def test_refused(self):
        for words, status, text in (
                (("add", "a@x.example", "--reason", "spam"), 1, "not bounce or complaint: spam"),
                (("add", "a@x.example"), 1, "--reason: bounce or complaint"),
                (("add", "@", "--reason", "bounce"), 1, "not an address: @"),
                (("show", "a@x.example"), 1, "a@x.example is not on the suppression list"),
                (("remove", "a@x.example"), 1, "a@x.example is not on the suppression list"),
                (("list", "--next-token", "x"), 1, "--next-token"),
                (("check", "nobody"), 1, "not an address: nobody"),
                (("global", "clear"), 2, "--yes")):
            with self.subTest(words=words):
                r = self.relay.run_ctl("suppression", *words)
                self.assertEqual(r.returncode, status, r)
                self.assertIn(text, r.stderr)
        self.assertEqual(self.listed(), [])

    def test_settings(self):
        """suppression#4 in part: the empty set shows as such"""
        self.assertEqual(self.relay.json("suppression", "settings")["SuppressedReasons"], ["BOUNCE", "COMPLAINT"])
        self.relay.ctl("suppression", "settings", "--reasons=")
        self.assertEqual(self.relay.json("suppression", "settings")["SuppressedReasons"], [])
        self.assertEqual(self.relay.json("account", "show")["SuppressionAttributes"], {"SuppressedReasons": []})
        self.relay.ctl("suppression", "settings", "--reasons", "complaint")
        self.assertEqual(self.relay.json("suppression", "settings")["SuppressedReasons"], ["COMPLAINT"])

    def test_check(self):
        self.relay.ctl("suppression", "add", "a@x.example", "--reason", "bounce")
        self.relay.ctl("suppression", "global", "add", "g@x.example")
        for reasons, address, result, rule in (
                ("bounce", "a@x.example", "SUPPRESSED", "on the account list for a bounce"),
                ("complaint", "a@x.example", "SEND",
                 "on the account list, for a reason that does not count here"),
                ("complaint", "g@x.example", "SEND", "on the installation's list, which is not for accounts with a list of "
                 "their own (suppression.global.mode)"),
                ("", "a@x.example", "SEND", "on the account list, for a reason that does not count here"),
                ("", "success@simulator.amazonses.com", "SIMULATOR",
                 "an address of the simulator: the lists are not asked"),
                ("", "g@x.example", "SUPPRESSED", "on the installation's list")):
            with self.subTest(reasons=reasons, address=address):
                self.relay.ctl("suppression", "settings", f"--reasons={reasons}")
                said = self.relay.json("suppression", "check", address)
                self.assertEqual((said["Result"], said["Rule"]), (result, rule))

    def test_recipe(self):
        """the list is JSON without --json: grep -A2 finds an entry; a table on demand"""
        self.relay.ctl("suppression", "add", "recipient1@example.com", "--reason", "bounce")
        text = self.relay.ctl("suppression", "list").splitlines()
        at = next(i for i, line in enumerate(text) if "example.com" in line)
        self.assertRegex(text[at], r'^ +"EmailAddress": "recipient1@example.com",$')
        self.assertRegex(text[at + 1], r'^ +"Reason": "BOUNCE",$')
        self.assertRegex(text[at + 2], r'^ +"LastUpdateTime": "\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d')
        table = self.relay.ctl("suppression", "list", "--table").splitlines()
        self.assertRegex(table[0], "^address +reason +since +source$")
        self.assertRegex(table[1], r"^recipient1@example.com +BOUNCE +\S+Z +manual$")


class Global(World):
    def test_operator(self):
        self.relay.ctl("suppression", "global", "add", "b@dead.example", "a@dead.example")
        rows = self.relay.json("suppression", "global", "list")["Suppressed"]
        self.assertEqual([(r["EmailAddress"], r["Count"], r["Active"]) for r in rows],
                         [("a@dead.example", 1, True), ("b@dead.example", 1, True)])
        page = self.relay.json("suppression", "global", "list", "--limit", "1")
        self.assertEqual(page["NextToken"], "a@dead.example")
        self.relay.ctl("suppression", "global", "remove", "A@DEAD.example")
        r = self.relay.run_ctl("suppression", "global", "show", "a@dead.example")
        self.assertEqual(r.returncode, 1, r)
        self.assertEqual(self.relay.json("suppression", "global", "show", "b@dead.example")["Count"], 1)
        self.relay.ctl("suppression", "global", "clear", "--yes")
        self.assertEqual(self.relay.json("suppression", "global", "list")["Suppressed"], [])


class Imports(World):
    def test_pages(self):
        """suppression#18: 2,500 entries come in pages of 1,000, 1,000 and 500"""
        text = "".join(f"r{i}@x.example,BOUNCE\n" for i in range(2500))
        said = self.relay.json("suppression", "import", self.file(text))
        self.assertEqual((said["ProcessedRecordsCount"], said["FailedRecordsCount"]), (2500, 0))
        sizes, token = [], []
        while True:
            page = self.relay.json("suppression", "list", *token)
            sizes.append(len(page["SuppressedDestinationSummaries"]))
            if "NextToken" not in page:
                break
            token = ["--next-token", page["NextToken"]]
        self.assertEqual(sizes, [1000, 1000, 500])
        self.assertEqual(len(set(self.listed())), 2500)
        self.assertEqual(self.listed("--address", "r24?9@*"), [f"r24{i}9@x.example" for i in range(10)])

    def test_import_by_a_pipe(self):
        """The daemon reads files alone: what comes by a pipe is made one."""
        said = self.relay.json("suppression", "import", "-", input="p@x.example,BOUNCE\n")
        self.assertEqual((said["ProcessedRecordsCount"], said["FailedRecordsCount"]), (1, 0))
        self.assertEqual(self.listed(), ["p@x.example"])

    def test_import(self):
        """suppression#20, admin-cli#8: a bad record is counted and set aside, and stops nothing"""
        path = self.file("\ufeffrecipient1@example.com,BOUNCE\r\n\nbad line\n \"recipient2@example.com\" , complaint\n")
        rejects = f"{self.relay.folder}/rejects"
        r = self.relay.run_ctl("suppression", "import", path, "--rejects", rejects)
        self.assertEqual(r.returncode, 4, r)
        job, said = r.stdout.splitlines()
        self.assertEqual(said, f"processed 3, failed 1, rejects in {rejects}")
        with open(rejects) as f:
            self.assertEqual(json.loads(f.read()), {"line": 3, "record": "bad line", "error": "not an address"})
        self.assertEqual(sorted(self.listed()), ["recipient1@example.com", "recipient2@example.com"])
        self.assertEqual(self.show("recipient2@example.com")["Reason"], "COMPLAINT")
        self.assertEqual(self.show("recipient2@example.com")["Source"], "import")
        shown = self.relay.json("import-job", "show", job)
        self.assertEqual((shown["JobStatus"], shown["ProcessedRecordsCount"], shown["FailedRecordsCount"]),
                         ("COMPLETED", 3, 1))
        self.assertRegex(shown["FailureInfo"]["FailedRecordsS3Url"], rf"/store/import/{job}\.rejects$")
        self.assertIsNone(shown["FailureInfo"]["ErrorMessage"])
        heading, row = [line.split() for line in self.relay.ctl("import-job", "list").splitlines()]
        self.assertEqual(heading[:5], ["job", "destination", "status", "processed", "failed"])
        self.assertEqual(row[:5], [job, "PUT", "COMPLETED", "3", "1"])
        self.assertEqual([j["JobId"] for j in self.relay.json("import-job", "list")["ImportJobs"]], [job])
        # without --rejects they stay with the daemon
        r = self.relay.run_ctl("suppression", "import", path)
        self.assertRegex(r.stdout, r"rejects in \S+/store/import/[0-9a-f-]{36}\.rejects")

    def test_json(self):
        text = ('{"emailAddress":"a@x.example","reason":"bounce"}\n{"emailAddress":"b@x.example","reason":"X"}\n'
                '{"emailAddress":"c@x.example","reason":"BOUNCE","more":1}\n[]\n')
        r = self.relay.run_ctl("suppression", "import", self.file(text), "--format", "json")
        self.assertEqual(r.returncode, 4, r)
        self.assertIn("processed 4, failed 3", r.stdout)
        self.assertEqual(self.listed(), ["a@x.example"])

    def test_array(self):
        """suppression#22: a JSON array is refused, the job FAILED, nothing changed"""
        path = self.file('[{"emailAddress":"a@x.example","reason":"BOUNCE"}]\n')
        r = self.relay.run_ctl("suppression", "import", path, "--format", "json")
        self.assertEqual(r.returncode, 1, r)
        self.assertRegex(r.stderr, r"a JSON array: .* \(import job [0-9a-f-]{36}\)")
        self.assertEqual([j["JobStatus"] for j in self.relay.json("import-job", "list")["ImportJobs"]], ["FAILED"])
        self.assertEqual(self.listed(), [])

    def test_limits(self):
        """suppression#21: a record too many and nothing is changed; --chunk takes the file in parts"""
        self.relay.ctl("suppression", "add", "r1@x.example", "--reason", "bounce")
        many = self.file("".join(f"r{i}@x.example,BOUNCE\n" for i in range(100001)))
        r = self.relay.run_ctl("suppression", "import", many)
        self.assertEqual(r.returncode, 1, r)
        self.assertIn("100001 records; at most 100000 per import", r.stderr)
        gone = self.file("".join(f"r{i}@x.example\n" for i in range(10001)), "gone")
        r = self.relay.run_ctl("suppression", "import", gone, "--action", "delete")
        self.assertEqual(r.returncode, 1, r)
        self.assertIn("10001 records; at most 10000 per import", r.stderr)
        self.assertEqual({(j["JobStatus"], j["ImportDestination"]["SuppressionListDestination"]
                           ["SuppressionListImportAction"], j["ProcessedRecordsCount"], j["FailureInfo"]["ErrorMessage"])
                          for j in self.relay.json("import-job", "list")["ImportJobs"]},
                         {("FAILED", "PUT", 0, "100001 records; at most 100000 per import"),
                          ("FAILED", "DELETE", 0, "10001 records; at most 10000 per import")})
        self.assertEqual(self.listed(), ["r1@x.example"])
        self.assertEqual(os.listdir(f"{self.relay.folder}/store/import"), [])
        r = self.relay.run_ctl("suppression", "import", gone, "--action", "delete", "--chunk")
        self.assertEqual(r.returncode, 0, r)
        self.assertEqual([line for line in r.stdout.splitlines() if line.startswith("processed")],
                         ["processed 10000, failed 0", "processed 1, failed 0"])
        self.assertEqual(self.listed(), [])
        self.relay.ctl("suppression", "import", "-", "--chunk", input="r1@x.example,BOUNCE\n")
        self.assertEqual(self.listed(), ["r1@x.example"])
        r = self.relay.run_ctl("suppression", "import", self.relay.folder, "--chunk")
        self.assertEqual((r.returncode, r.stderr), (2, f"error: {self.relay.folder}: cannot be read\n"))

    def test_round_trip(self):
        """suppression#23: what was exported and is imported again is the same list"""
        self.relay.ctl("suppression", "add", "a@x.example", "b@x.example", "--reason", "bounce")
        self.relay.ctl("suppression", "add", "b@x.example", "--reason", "complaint")
        self.relay.ctl("suppression", "add", '"c, d"@x.example', "--reason", "complaint")
        listed = ['"""c, d""@x.example",COMPLAINT', "a@x.example,BOUNCE", "b@x.example,BOUNCE", "b@x.example,COMPLAINT"]
        for form in ("csv", "json"):
            out = self.relay.ctl("suppression", "export", "--format", form)
            self.relay.ctl("suppression", "remove", "a@x.example", "b@x.example", '"c, d"@x.example')
            self.assertEqual(self.relay.ctl("suppression", "export"), "")
            self.relay.ctl("suppression", "import", self.file(out), "--format", form)
            self.assertEqual(sorted(self.relay.ctl("suppression", "export").splitlines()), listed)
        self.assertTrue(self.relay.ctl("suppression", "export", "--full").startswith(
            "emailAddress,reason,lastUpdateTime,source,messageId,feedbackId\n"))
        rows = [json.loads(line) for line in self.relay.ctl("suppression", "export", "--format", "json").splitlines()]
        self.assertEqual(sorted(r["emailAddress"] for r in rows),
                         ['"c, d"@x.example', "a@x.example", "b@x.example", "b@x.example"])

    def test_kill(self):
        """7.3: a job that a kill -9 interrupts goes on by itself at the next start, behind the last batch"""
        path = self.file("".join(f"r{i}@x.example,BOUNCE\n" if i % 1000 else f"bad{i}\n" for i in range(20000)))
        ready = self.relay.log_text().count(" ready version=")
        job = subprocess.Popen([*self.relay.ctl_words(), "suppression", "import", path],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(job.wait)
        wait_for(lambda: any(j["ProcessedRecordsCount"] >= 2000
                             for j in self.relay.json("import-job", "list")["ImportJobs"]), "some batches", 60)
        os.kill(self.relay.child("relay"), signal.SIGKILL)
        wait_for(lambda: self.relay.log_text().count(" ready version=") > ready, "the next relay", 60)
        wait_for(lambda: [j["JobStatus"] for j in self.relay.json("import-job", "list")["ImportJobs"]] == ["COMPLETED"],
                 "the end of the job", 60)
        shown = self.relay.json("import-job", "list")["ImportJobs"][0]
        self.assertEqual((shown["ProcessedRecordsCount"], shown["FailedRecordsCount"]), (20000, 20))
        self.assertEqual(len(set(self.listed())), 19980)
        with open(f"{self.relay.folder}/store/import/{shown['JobId']}.rejects") as f:
            self.assertEqual([json.loads(line)["line"] for line in f], [1000 * i + 1 for i in range(20)])

    def interrupted(self):
        """A job whose daemon was killed while it ran; the path of its copy."""
        path = self.file("".join(f"r{i}@x.example,BOUNCE\n" if i % 1000 else f"bad{i}\n" for i in range(40000)))
        job = subprocess.Popen([*self.relay.ctl_words(), "suppression", "import", path],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(job.wait)
        wait_for(lambda: any(j["ProcessedRecordsCount"] >= 1000
                             for j in self.relay.json("import-job", "list")["ImportJobs"]), "a batch", 60)
        self.relay.kill()
        folder = f"{self.relay.folder}/store/import"
        return next(f"{folder}/{n}" for n in os.listdir(folder) if not n.endswith(".rejects"))

    def fails(self, why):
        jobs = lambda: self.relay.json("import-job", "list")["ImportJobs"]
        self.relay.start()
        wait_for(lambda: jobs()[0]["JobStatus"] == "FAILED", "the end of the job", 60)
        shown = jobs()[0]
        self.assertEqual(len(self.listed()), shown["ProcessedRecordsCount"] - shown["FailedRecordsCount"])
        self.assertIn(why, shown["FailureInfo"]["ErrorMessage"])
        self.assertTrue(os.path.exists(shown["FailureInfo"]["FailedRecordsS3Url"]))

    def test_copy_is_gone(self):
        """7.3: a job that cannot go on has FAILED, with what was done and why"""
        os.unlink(self.interrupted())
        self.fails("No such file")

    def test_copy_is_no_file(self):
        """The same where a batch finds it out."""
        copy = self.interrupted()
        os.unlink(copy)
        os.mkfifo(copy, 0o600)
        self.fails("Illegal seek")


if __name__ == "__main__":
    unittest.main()
