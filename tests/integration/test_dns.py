# SPDX-License-Identifier: ISC
"""Names looked up from a real name server: answers that are late or lost, and aliases of a recipient's domain."""
import unittest

import test_delivery
from harness.gate import Gate

LINE = "@ MX 10 a\na A 127.0.0.2\n"


class World(test_delivery.World):
    """The relay asks a gate, which asks knot."""
    @classmethod
    def zones(cls):
        super().zones()
        for name in ("slow", "host", "twice", "late", "silent"):
            cls.dns.zone(f"{name}.example", LINE)

    @classmethod
    def asked(cls):
        cls.gate = Gate(cls.dns.port)
        cls.gate.start()
        cls.addClassCleanup(cls.gate.stop)
        return cls.gate

    def recipients(self):
        with self.sinks[0].lock:
            return [r for m in self.sinks[0].messages for r in m.rcpts]

    def delivered_at_once(self, mid):
        self.wait_for_event(mid, "Delivery")
        self.assertEqual(self.of(mid, "DeliveryDelay"), [])


class Slow(World):
    """However long an answer takes, within dns.timeout it is no failure, and others do not wait for it."""
    extra = World.extra + "dns.timeout 60s\ndns.tries 1\n"

    def test_answer_about_the_domain(self):
        self.gate.hold("slow.example")
        mid = self.send("x@slow.example")
        self.gate.wait_asked("slow.example", "MX")
        for i in range(5):
            self.delivered_at_once(self.send(f"u{i}@sink.example"))
        self.assertEqual(self.of(mid, "Delivery") + self.of(mid, "DeliveryDelay"), [])
        self.assertNotIn("x@slow.example", self.recipients())
        self.gate.open("slow.example")
        self.delivered_at_once(mid)
        self.assertIn("x@slow.example", self.recipients())
        self.assertEqual(self.gate.count("slow.example", "MX"), 1)

    def test_answer_about_the_host(self):
        self.gate.hold("a.host.example")
        first = self.send("x@host.example")
        self.gate.wait_asked("a.host.example", "A")
        # one more for the same host asks nothing of its own
        second = self.send("y@host.example")
        self.delivered_at_once(self.send("z@sink.example"))
        self.assertEqual(self.gate.count("a.host.example", "A"), 1)
        self.gate.open("a.host.example")
        self.delivered_at_once(first)
        self.delivered_at_once(second)
        self.assertEqual(self.gate.count("a.host.example", "A"), 1)

    def test_stop_does_not_wait(self):
        """A question that is out holds up no shut-down; the mail goes on its way after the start."""
        self.gate.hold("late.example")
        mid = self.send("x@late.example")
        self.gate.wait_asked("late.example", "MX")
        self.relay.stop()
        self.gate.open("late.example")
        self.relay.start()
        self.delivered_at_once(mid)
        self.assertEqual(self.recipients().count("x@late.example"), 1)


class Lost(World):
    """delivery.md 4.3: dns.timeout for a try, dns.tries of them."""
    extra = World.extra + "dns.timeout 500ms\ndns.tries 3\n"

    def test_the_next_try(self):
        self.gate.lose("twice.example", 2)
        mid = self.send("x@twice.example")
        self.delivered_at_once(mid)
        self.assertEqual(self.gate.count("twice.example", "MX"), 3)

    def test_answers_to_earlier_tries(self):
        """They come when a later try has its answer: the mail is delivered once."""
        self.gate.hold("late.example")
        mid = self.send("x@late.example")
        self.gate.wait_asked("late.example", "MX", 2)
        self.gate.open("late.example")
        self.delivered_at_once(mid)
        self.delivered_at_once(self.send("y@late.example"))
        self.assertEqual(self.recipients().count("x@late.example"), 1)

    def test_no_answer(self):
        """No answer to any try: tried again like SERVFAIL; delivered when there are answers."""
        self.gate.lose("silent.example")
        mid = self.send("x@silent.example")
        delay = self.wait_for_event(mid, "DeliveryDelay")[0]
        self.assertEqual(delay["deliveryDelay"]["delayType"], "TransientCommunicationFailure")
        self.assertEqual(delay["deliveryDelay"]["delayedRecipients"][0]["status"], "4.4.3")
        self.assertEqual(test_delivery.hours(delay["mail"]["timestamp"], delay["deliveryDelay"]["expirationTime"]), 72)
        self.assertEqual(self.gate.count("silent.example", "MX"), 3)
        self.gate.keep("silent.example")
        self.wait_for_event(mid, "Delivery")


class Aliases(test_delivery.World):
    """delivery.md 4.2: a CNAME at the recipient's domain is followed, at most 8 steps; the recipient stays."""
    @classmethod
    def zones(cls):
        super().zones()
        chain = "".join(f"c{i} CNAME c{i + 1}\n" for i in range(9))
        cls.dns.zone("alias.example", "one CNAME real\nreal MX 10 mx\nmx A 127.0.0.3\n"
                     "far CNAME mail.other.example.\nplain CNAME host\nhost A 127.0.0.4\n"
                     "null CNAME closed\nclosed MX 0 .\nnowhere CNAME missing\n"
                     "loop CNAME pool\npool CNAME loop\n" + chain + "c9 MX 10 mx\n")
        cls.dns.zone("other.example", "mail MX 10 mx\nmx A 127.0.0.4\n")

    def arrives(self, to, sink):
        mid = self.send(to)
        self.wait_for_event(mid, "Delivery")
        self.assertEqual(self.of(mid, "DeliveryDelay"), [])
        self.assertEqual([m.rcpts for m in self.sinks[sink].messages], [[to]])

    def delayed(self, to):
        event = self.wait_for_event(self.send(to), "DeliveryDelay")[0]
        return (event["deliveryDelay"]["delayedRecipients"][0]["status"],
                test_delivery.hours(event["mail"]["timestamp"], event["deliveryDelay"]["expirationTime"]))

    def test_to_the_mx_of_the_canonical_name(self):
        self.arrives("x@one.alias.example", 1)

    def test_into_another_zone(self):
        """The server gives the alias only: posthorn asks for what it stands for."""
        self.arrives("x@far.alias.example", 2)

    def test_to_the_address_of_the_canonical_name(self):
        """No MX behind the alias: implicit MX"""
        self.arrives("x@plain.alias.example", 2)

    def test_eight_steps(self):
        self.arrives("x@c1.alias.example", 1)

    def test_nine_steps(self):
        self.assertEqual(self.delayed("x@c0.alias.example"), ("4.4.3", 72))

    def test_in_a_circle(self):
        self.assertEqual(self.delayed("x@loop.alias.example"), ("4.4.3", 72))

    def test_to_a_name_that_is_missing(self):
        """as NXDOMAIN of the domain itself"""
        self.assertEqual(self.delayed("x@nowhere.alias.example"), ("4.4.1", 12))

    def test_to_a_null_mx(self):
        bounce = self.wait_for_event(self.send("x@null.alias.example"), "Bounce")[0]["bounce"]
        self.assertEqual((bounce["bounceType"], bounce["bouncedRecipients"][0]["status"]), ("Permanent", "5.1.10"))


if __name__ == "__main__":
    unittest.main()
