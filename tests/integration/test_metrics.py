# SPDX-License-Identifier: ISC
"""The page of figures: its form, strictly as a collector reads it; names and types (events.md)."""
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest
import urllib.error
import urllib.parse
import urllib.request

from harness.relay import Relay
from harness.sink import Sink
from harness.waiting import free_port, wait_for

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
# name: type, labels it may have
FAMILIES = {
    "posthorn_build_info": ("gauge", {"version"}),
    "posthorn_start_time_seconds": ("gauge", set()),
    "posthorn_smtp_connections": ("gauge", {"listener"}),
    "posthorn_smtp_connections_total": ("counter", {"listener", "result"}),
    "posthorn_smtp_tls_handshakes_total": ("counter", {"listener", "version", "result"}),
    "posthorn_smtp_replies_total": ("counter", {"command", "code"}),
    "posthorn_smtp_auth_total": ("counter", {"mechanism", "result", "reason"}),
    "posthorn_smtp_blocked_addresses": ("gauge", set()),
    "posthorn_smtp_counts_full": ("gauge", set()),
    "posthorn_submissions_total": ("counter", {"account", "interface", "result"}),
    "posthorn_submitted_bytes_total": ("counter", {"account"}),
    "posthorn_throttled_total": ("counter", {"account", "limit"}),
    "posthorn_tags_dropped_total": ("counter", {"account"}),
    "posthorn_events_total": ("counter", {"account", "event"}),
    "posthorn_queue_recipients": ("gauge", {"state"}),
    "posthorn_queue_messages": ("gauge", set()),
    "posthorn_queue_bytes": ("gauge", set()),
    "posthorn_queue_oldest_seconds": ("gauge", set()),
    "posthorn_delivery_attempts_total": ("counter", {"result"}),
    "posthorn_delivery_seconds": ("histogram", set()),
    "posthorn_outbound_connections": ("gauge", set()),
    "posthorn_outbound_connections_total": ("counter", {"result"}),
    "posthorn_outbound_gave_way_total": ("counter", set()),
    "posthorn_outbound_tls_total": ("counter", {"version", "verified", "policy"}),
    "posthorn_event_publish_success_total": ("counter", {"account", "configuration_set", "destination"}),
    "posthorn_event_publish_failure_total": ("counter", {"account", "configuration_set", "destination"}),
    "posthorn_event_publish_expired_total": ("counter", {"account", "configuration_set", "destination"}),
    "posthorn_event_dropped_total": ("counter", {"account", "destination", "reason"}),
    "posthorn_event_dim_total": ("counter", {"account", "configuration_set", "destination", "event"}),
    "posthorn_event_outbox_entries": ("gauge", {"account", "destination"}),
    "posthorn_event_outbox_oldest_seconds": ("gauge", {"account", "destination"}),
    "posthorn_webhook_seconds": ("histogram", {"account", "destination"}),
    "posthorn_intake_messages_total": ("counter", {"kind", "result"}),
    "posthorn_ip_sent_total": ("counter", {"ip", "pool"}),
    "posthorn_ip_warmup_percent": ("gauge", {"ip"}),
    "posthorn_ip_blocklisted": ("gauge", {"ip", "list"}),
    "posthorn_dns_queries_total": ("counter", {"type", "result"}),
    "posthorn_dkim_signatures_total": ("counter", {"algorithm", "result"}),
    "posthorn_dkim_sign_seconds": ("histogram", set()),
    "posthorn_dkim_operator_checks_total": ("counter", {"outcome"}),
    "posthorn_bounces_total": ("counter", {"account", "bounce_type", "bounce_subtype"}),
    "posthorn_classification_total": ("counter", {"rule"}),
    "posthorn_delays_total": ("counter", {"account", "delay_type"}),
    "posthorn_suppressed_total": ("counter", {"account", "list", "reason"}),
    "posthorn_complaints_total": ("counter", {"account", "feedback_type"}),
    "posthorn_reputation_bounce_rate": ("gauge", {"account", "configuration_set"}),
    "posthorn_reputation_complaint_rate": ("gauge", {"account", "configuration_set"}),
    "posthorn_sending_enabled": ("gauge", {"account", "configuration_set"}),
    "posthorn_quota_max_24h": ("gauge", {"account"}),
    "posthorn_quota_sent_24h": ("gauge", {"account"}),
    "posthorn_quota_max_rate": ("gauge", {"account"}),
    "posthorn_identities": ("gauge", {"account", "status"}),
    "posthorn_store_used_bytes": ("gauge", {"store"}),
    "posthorn_store_map_bytes": ("gauge", {"store"}),
    "posthorn_store_commit_seconds": ("histogram", set()),
    "posthorn_store_commit_items": ("histogram", set()),
    "posthorn_log_dropped_total": ("counter", set()),
}
DELIVERY_BUCKETS = "0.1 0.3 1 3 10 30 60 300 1800 7200 43200 172800 +Inf".split()
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"'
SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(' + LABEL + r'(?:,' + LABEL + r')*)\})? '
                    r'([+-]?(?:\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|Inf)|NaN)')


def parse(test, text, is_open):
    """{family: (type, [(sample name, labels, value)])}; fails on anything a strict reader would refuse."""
    families, name, samples = {}, None, None
    test.assertTrue(text.endswith("# EOF\n" if is_open else "\n"))
    lines = text[:-1].split("\n")
    if is_open:
        lines.pop()
    helped = None
    for line in lines:
        if line.startswith("# HELP "):
            helped = re.fullmatch(r"# HELP ([a-z_0-9]+) ((?:[^\\\n]|\\\\|\\n)+)", line).group(1)
            test.assertNotIn(helped, families, "a family stands in one piece")
        elif line.startswith("# TYPE "):
            name, kind = re.fullmatch(r"# TYPE ([a-z_0-9]+) (counter|gauge|histogram|unknown)", line).groups()
            test.assertTrue(is_open or kind != "unknown", line)
            test.assertEqual(name, helped, "HELP stands before TYPE")
            test.assertFalse(is_open and kind == "counter" and name.endswith("_total"), line)
            samples = []
            families[name] = (kind, samples)
        else:
            found = SAMPLE.fullmatch(line)
            test.assertIsNotNone(found, line)
            labels = re.findall(LABEL, found.group(2) or "")
            test.assertEqual(len(labels), len(dict(labels)), line)
            kind = families[name][0]
            base = name + ("_total" if is_open and kind == "counter" else "")
            allowed = [f"{name}_{s}" for s in ("bucket", "sum", "count")] if kind == "histogram" else [base]
            test.assertIn(found.group(1), allowed, "a sample stands under its family")
            samples.append((found.group(1), dict(labels), float(found.group(7).replace("Inf", "inf"))))
    for name, (kind, samples) in families.items():
        keys = [(s, tuple(sorted(l.items()))) for s, l, _ in samples]
        test.assertEqual(len(keys), len(set(keys)), f"{name}: a series twice")
        if kind == "counter":
            test.assertTrue(all(v >= 0 for _, _, v in samples), name)
        if kind == "histogram":
            histogram(test, name, samples)
    return families


def histogram(test, name, samples):
    series = {}
    for sample, labels, value in samples:
        of = tuple(sorted((k, v) for k, v in labels.items() if k != "le"))
        series.setdefault(of, []).append((sample, labels, value))
    for one in series.values():
        buckets = [(float(l["le"].replace("Inf", "inf")), v) for s, l, v in one if s.endswith("_bucket")]
        test.assertEqual(buckets, sorted(buckets), name)
        test.assertEqual([v for _, v in buckets], sorted(v for _, v in buckets), f"{name}: buckets are cumulative")
        test.assertEqual(buckets[-1][0], float("inf"))
        values = {s: v for s, l, v in one if "le" not in l}
        test.assertEqual(values[name + "_count"], buckets[-1][1])
        test.assertGreaterEqual(values[name + "_sum"], 0)


def promtool(test, text):
    """What the collector's own reader says of the page: nothing."""
    said = subprocess.run(["promtool", "check", "metrics"], input=text, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=60)
    test.assertEqual((said.returncode, said.stdout), (0, ""))


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        sink = Sink()
        sink.start()
        cls.addClassCleanup(sink.stop)
        sink.rules.rcpt = lambda session, address: \
            "450 4.7.1 later" if "late" in address else "550 5.1.1 unknown" if "gone" in address else None
        cls.relay = Relay(extra=f"delivery.route * 127.0.0.1:{sink.port}\n")
        cls.addClassCleanup(cls.relay.cleanup)
        cls.port = free_port()
        with open(cls.relay.conf) as f:
            text = f.read()
        with open(cls.relay.conf, "w") as f:
            f.write(text.replace("metrics.listen 127.0.0.1:0", f"metrics.listen 127.0.0.1:{cls.port}"))
        cls.relay.start()
        cls.account, cls.key, cls.password = cls.relay.sender()
        for to in ("r", "late", "gone"):
            w = cls.relay.session(cls.key, cls.password)
            w.message("a@example.com", f"{to}@sink.example", "From: a@example.com\n\nx\n")
            w.close()
        for event in ("Delivery", "DeliveryDelay", "Bounce"):
            cls.relay.wait_event(event)

    def tearDown(self):
        """After whatever was counted the page can still be read."""
        promtool(self, self.get())

    def get(self, accept="text/plain"):
        ask = urllib.request.Request(f"http://127.0.0.1:{self.port}/metrics", headers={"Accept": accept})
        with urllib.request.urlopen(ask, timeout=20) as r:
            return r.read().decode()

    def test_forms(self):
        """Both forms are what a strict reader takes, and say the same."""
        text = parse(self, self.get(), False)
        opened = parse(self, self.get("application/openmetrics-text"), True)
        self.assertEqual({n + ("_total" if k == "counter" else "") for n, (k, _) in opened.items()}, set(text))
        self.assertEqual(set(parse(self, self.relay.ctl("metrics"), False)), set(text))

    def test_names_and_types(self):
        families = parse(self, self.get(), False)
        self.assertEqual({n: k for n, (k, _) in families.items()}, {n: k for n, (k, _) in FAMILIES.items()})
        for name, (_, samples) in families.items():
            for _, labels, _ in samples:
                own = {n for n in labels if n.startswith("dim_")} if name == "posthorn_event_dim_total" else set()
                self.assertEqual(set(labels) - {"le"} - own, FAMILIES[name][1], name)
        buckets = [l["le"] for s, l, _ in families["posthorn_delivery_seconds"][1] if s.endswith("_bucket")]
        self.assertEqual([float(b.replace("Inf", "inf")) for b in buckets],
                         [float(b.replace("Inf", "inf")) for b in DELIVERY_BUCKETS])

    def value(self, name, **labels):
        found = parse(self, self.get(), False)[name][1]
        return sum(v for _, l, v in found if labels.items() <= l.items())

    def moves(self, by, name, more=False, **labels):
        """The counter, within the with block; more: notices of bounces may move it, too."""
        test, before = self, self.value(name, **labels)

        class Moves:
            def __enter__(self):
                return self

            def __exit__(self, kind, *_):
                if kind is None:
                    wait_for(lambda: test.value(name, **labels) - before >= by, f"{name} {labels} to move by {by}")
                    if not more:
                        test.assertEqual(test.value(name, **labels) - before, by, f"{name} {labels}")
        return Moves()

    def session(self):
        return self.relay.session(self.key, self.password)

    def test_values(self):
        value = self.value
        wait_for(lambda: value("posthorn_delivery_attempts_total", result="failed") >= 1, "the figures")
        self.assertGreaterEqual(value("posthorn_delivery_attempts_total", result="delivered"), 1)
        self.assertGreaterEqual(value("posthorn_delivery_attempts_total", result="deferred"), 1)
        self.assertGreaterEqual(value("posthorn_queue_recipients", state="deferred"), 1)
        states = parse(self, self.get(), False)["posthorn_queue_recipients"][1]
        self.assertEqual([l["state"] for _, l, _ in states], ["ready", "active", "deferred", "held", "scheduled"])
        self.assertGreaterEqual(value("posthorn_quota_sent_24h", account=self.account), 3)
        self.assertEqual(value("posthorn_sending_enabled", account=self.account), 1)
        self.assertEqual(value("posthorn_identities", account=self.account, status="SUCCESS"), 1)

    def test_a_message(self):
        account = self.account
        with self.moves(1, "posthorn_submissions_total", account=account, interface="smtp", result="accepted"), \
                self.moves(2, "posthorn_events_total", account=account, event="Send"), \
                self.moves(2, "posthorn_events_total", account=account, event="Delivery"), \
                self.moves(2, "posthorn_delivery_attempts_total", more=True, result="delivered"), \
                self.moves(2, "posthorn_ip_sent_total", more=True, ip="127.0.0.1", pool="ses-shared-pool"), \
                self.moves(1, "posthorn_smtp_auth_total", result="ok", mechanism="PLAIN"), \
                self.moves(1, "posthorn_smtp_connections_total", listener="clear", result="ok"), \
                self.moves(1, "posthorn_smtp_replies_total", command="CONNECT", code="220"), \
                self.moves(2, "posthorn_smtp_replies_total", command="RCPT", code="250"), \
                self.moves(1, "posthorn_smtp_replies_total", command="DATA", code="354"), \
                self.moves(1, "posthorn_smtp_replies_total", command="DATA", code="250"), \
                self.moves(1, "posthorn_smtp_replies_total", command="OTHER", code="502"), \
                self.moves(1, "posthorn_tags_dropped_total", account=account):
            before = self.value("posthorn_submitted_bytes_total", account=account)
            w = self.session()
            self.assertTrue(w.cmd("EXPN x").startswith("502"))
            w.message("a@example.com", ["one@sink.example", "two@sink.example"],
                      "From: a@example.com\nX-SES-MESSAGE-TAGS: a=b c, d=e\n\nx\n")
            w.close()
        self.assertGreater(self.value("posthorn_submitted_bytes_total", account=account) - before, 40)

    def test_dimensions(self):
        """events#24: own dimensions on the page, with a default; the default value where a message has none"""
        self.relay.ctl("config-set", "create", "dims")
        self.addCleanup(self.relay.ctl, "config-set", "delete", "dims")
        self.relay.ctl("config-set", "dest", "add", "dims", "m", "--types", "send",
                       "--metrics", "campaign=MESSAGE_TAG:campaign:none",
                       "--metrics", "ses:source-ip=MESSAGE_TAG:ses:source-ip:nowhere")
        ours = {"account": self.account, "configuration_set": "dims", "destination": "m", "event": "Send",
                "dim_ses_source_ip": "127.0.0.1"}
        for tags, campaign in (("", "none"), ("X-SES-MESSAGE-TAGS: campaign=book\n", "book")):
            with self.moves(1, "posthorn_event_dim_total", dim_campaign=campaign, **ours):
                w = self.session()
                w.message("a@example.com", "r@sink.example",
                          f"From: a@example.com\nX-SES-CONFIGURATION-SET: dims\n{tags}\nx\n")
                w.close()
        promtool(self, self.get())

    def test_outcomes(self):
        account = self.account
        with self.moves(1, "posthorn_events_total", account=account, event="Bounce"), \
                self.moves(1, "posthorn_bounces_total", account=account, bounce_type="Permanent",
                           bounce_subtype="General"), \
                self.moves(1, "posthorn_classification_total"), \
                self.moves(1, "posthorn_delivery_attempts_total", result="failed"):
            w = self.session()
            w.message("a@example.com", "gone2@sink.example", "From: a@example.com\n\nx\n")
            w.close()
        with self.moves(1, "posthorn_events_total", account=account, event="DeliveryDelay"), \
                self.moves(1, "posthorn_delays_total", account=account, delay_type="General"):
            w = self.session()
            w.message("a@example.com", "late2@sink.example", "From: a@example.com\n\nx\n")
            w.close()
        # the operator's bounce is one, too
        held = [j["MessageId"] for j in self.relay.json("queue", "list", "--to", "late2@sink.example")["Jobs"]]
        with self.moves(1, "posthorn_bounces_total", account=account, bounce_type="Undetermined"):
            self.relay.ctl("queue", "bounce", held[0], "--yes")

    def test_simulator(self):
        """simulator.md 4: events, but no figures of source addresses."""
        account = self.account
        with self.moves(2, "posthorn_events_total", account=account, event="Bounce"), \
                self.moves(0, "posthorn_ip_sent_total", ip=""):
            w = self.session()
            w.message("a@example.com", ["bounce@simulator.amazonses.com", "bounce+2@simulator.amazonses.com"],
                      "From: a@example.com\n\nx\n")
            w.close()

    def test_refusals(self):
        account = self.account
        with self.moves(1, "posthorn_submissions_total", account=account, interface="smtp", result="refused"), \
                self.moves(0, "posthorn_events_total", account=account, event="Send"):
            w = self.session()
            self.assertTrue(w.message("x@unverified.example", "r@sink.example", "From: x@unverified.example\n\nx\n")
                            .startswith("554"))
            w.close()
        with self.moves(1, "posthorn_smtp_auth_total", result="invalid"):
            w = self.relay.wire("clear")
            w.reply()
            w.hello()
            w.auth(self.key, "wrong")
            w.close()

    def test_throttled(self):
        """quotas.md 8; the account that is refused is counted, the finer limit is in the log."""
        poor = self.relay.ctl("account", "create", "poor", "--production", "--max-24h", "1", "--rate", "unlimited").strip()
        self.relay.ctl("-a", poor, "identity", "add", "poor.example", "--verified")
        key = self.relay.json("-a", poor, "credential", "create", "app")
        with self.moves(1, "posthorn_throttled_total", account=poor, limit="daily"), \
                self.moves(1, "posthorn_submissions_total", account=poor, interface="smtp", result="throttled"), \
                self.moves(1, "posthorn_submissions_total", account=poor, interface="smtp", result="accepted"), \
                self.moves(0, "posthorn_throttled_total", account=self.account):
            for code in ("250", "454"):
                w = self.relay.session(key["AccessKeyId"], key["SmtpPassword"])
                self.assertTrue(w.message("a@poor.example", "r@sink.example", "From: a@poor.example\n\nx\n")
                                .startswith(code))
                w.close()

    def test_suppressed(self):
        account = self.account
        self.relay.ctl("-a", account, "suppression", "settings", "--reasons=bounce")
        self.addCleanup(self.relay.ctl, "-a", account, "suppression", "settings", "--reasons=")
        self.relay.ctl("-a", account, "suppression", "add", "listed@sink.example", "--reason", "bounce")
        with self.moves(1, "posthorn_suppressed_total", account=account, list="account", reason="BOUNCE"):
            w = self.session()
            w.message("a@example.com", "listed@sink.example", "From: a@example.com\n\nx\n")
            w.close()

    def test_local(self):
        with self.moves(1, "posthorn_submissions_total", account=self.account, interface="local", result="accepted"):
            self.relay.ctl("-a", self.account, "send", "--from", "a@example.com", "--to", "r@sink.example",
                           "--text", "/dev/null")

    def test_handshakes(self):
        with self.moves(1, "posthorn_smtp_tls_handshakes_total", listener="submission", version="TLSv1.3", result="ok"):
            w = self.relay.wire("submission")
            w.reply()
            w.hello()
            w.starttls()
            w.close()
        with self.moves(1, "posthorn_smtp_tls_handshakes_total", listener="submission", version="", result="failed"):
            w = self.relay.wire("submission")
            w.reply()
            w.hello()
            w.cmd("STARTTLS")
            w.send("no handshake at all, but text in the clear\r\n")
            w.at_end()
        # connections to receivers, which are used again and again
        self.assertGreater(self.value("posthorn_outbound_tls_total", version="none", verified="none",
                                      policy="OPTIONAL"), 0)

    def test_documented(self):
        """posthornd(8) lists the figures that there are."""
        with open(os.path.join(TOP, "man", "posthornd.8")) as f:
            told = re.findall(r"\bposthorn_[a-z_0-9]+", f.read())
        self.assertEqual(sorted(told), sorted(parse(self, self.get(), False)))

    def test_scraped(self):
        """A Prometheus of the distribution reads the page and answers from it."""
        folder = tempfile.mkdtemp(prefix="posthorn-prometheus-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        port = free_port()
        with open(os.path.join(folder, "prometheus.yml"), "w") as f:
            f.write("global:\n  scrape_interval: 1s\nscrape_configs:\n  - job_name: posthorn\n"
                    f"    static_configs:\n      - targets: ['127.0.0.1:{self.port}']\n")
        with open(os.path.join(folder, "log"), "w") as log:
            server = subprocess.Popen(
                ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                 f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)

        def ask(query):
            url = f"http://127.0.0.1:{port}/api/v1/query?query=" + urllib.parse.quote(query)
            try:
                with urllib.request.urlopen(url, timeout=20) as r:
                    found = json.load(r)["data"]["result"]
            except (urllib.error.URLError, ConnectionError):
                return []
            return [(x["metric"], float(x["value"][1])) for x in found]

        wait_for(lambda: ask('up{job="posthorn"} == 1'), "a scrape", 60)
        version = ask("posthorn_build_info")
        self.assertEqual(len(version), 1)
        self.assertIn("version", version[0][0])
        wait_for(lambda: ask(f'posthorn_events_total{{account="{self.account}",event="Send"}} >= 3'), "the counter", 60)
        # buckets make a quantile
        self.assertTrue(ask("histogram_quantile(0.5, posthorn_store_commit_seconds_bucket)"))


if __name__ == "__main__":
    unittest.main()
