# SPDX-License-Identifier: ISC
"""SPF records as a name server gives them, and what the preflight report makes of them: RFC 7208, section by section.

One domain of the zone cases.example for each case.  The relay's addresses are 127.0.0.3 and ::1; a case is asked for
the first unless it says otherwise.
"""
import json
import os
import re
import signal
import unittest

from harness.dns import Dns
from harness.relay import Relay

FOUR, SIX, EHLO = "127.0.0.3", "::1", "mx.relay.example"
ISSUE = "An SPF configuration issue was found."
NOT_OURS = "SPF record for posthorn was not found."


class Found(dict):
    """What the report must say: the results of its SPF checks, and what else is to be seen."""


def passes(lookups=0, issue=None):
    """issue: what is wrong with it all the same."""
    return Found(result="pass", lookups=lookups, issue=issue)


def result(word, lookups=0, finding=NOT_OURS):
    """fail, softfail, neutral: nobody may send from there; ISSUE: though the record names the address."""
    return Found(result=word, lookups=lookups, finding=finding)


def permerror(cause):
    return Found(result="permerror", cause=cause)


def temperror(name, cause):
    return Found(result="temperror", cause=f"DNS does not answer for {name} ({cause})")


NONE = Found(result="none")


def strings(record):
    """A TXT record may have many strings of 255 octets, which are joined (3.3)."""
    return " ".join(f'"{record[i:i + 250]}"' for i in range(0, len(record), 250))


def include(*names):
    return " ".join(f"include:{n}.cases.example" for n in names)


def hosts(count, kind, good=None):
    """MX records of a case, with their hosts; good: the one that is the relay."""
    return "".join(f"{{n}} MX {i} h{i}.{{n}}\nh{i}.{{n}} {kind} {FOUR if i == good else '192.0.2.9'}\n"
                   for i in range(count))


LONG_LABEL = "l" * 60
MANY_FOUR = " ".join(f"ip4:192.0.2.{i}" for i in range(100))
FEW_SIX = " ".join(f"ip6:2001:db8:5f::{i:x}" for i in range(18))
MANY_SIX = " ".join(f"ip6:2001:db8:5f::{i:x}" for i in range(40))
LONG = "the record is longer than 450 bytes"
PTR = "ptr should not be used (RFC 7208 5.5)"

# What cases refer to.
COMMON = f"""
pass TXT "v=spf1 ip4:{FOUR} ip6:{SIX} -all"
fail TXT "v=spf1 -all"
softfail TXT "v=spf1 ~all"
neutral TXT "v=spf1 ?all"
permerror TXT "v=spf1 foo -all"
none TXT "no policy"
host A 192.0.2.9
host A {FOUR}
host AAAA {SIX}
four A {FOUR}
near A 127.0.0.77
near AAAA ::77
alias CNAME host
both A 127.0.0.77
both AAAA ::77
mail MX 10 four
mail MX 20 host
null MX 0 .
_under TXT "v=spf1 a:_host.cases.example -all"
_host A {FOUR}
xn--mnchen-3ya TXT "v=spf1 a:xn--mnchen-3ya.cases.example -all"
xn--mnchen-3ya A {FOUR}
3.0.0.127.in-addr.list A 127.0.0.2
127.0.0.3.list A 127.0.0.2
1{".0" * 31}.ip6.list A 127.0.0.2
postmaster.list A 127.0.0.2
{EHLO}.list A 127.0.0.2
three.relay.example.list A 127.0.0.2
relay.example.list A 127.0.0.2
cases.example.list A 127.0.0.2
cases.list A 127.0.0.2
d-inner.cases.example.list A 127.0.0.2
d-inner TXT "v=spf1 exists:%{{d}}.list.cases.example -all"
o-inner TXT "v=spf1 exists:%{{o}}.list.cases.example -all"
*.wild A 127.0.0.2
""" + "".join(f"ten{i} A 192.0.2.{i}\n" for i in range(12))

LIST = "list.cases.example"
TEN = " ".join(f"a:ten{i}.cases.example" for i in range(10))

# (name, record, or lines of the zone with {n} for the name, what is to be found[, from which address])
CASES = {
    "3.1 the record": [
        ("one", f"v=spf1 ip4:{FOUR} -all", passes()),
        ("type-spf", f'{{n}} SPF "v=spf1 ip4:{FOUR} -all"\n', NONE),
        ("type-both", f'{{n}} SPF "v=spf1 ip4:{FOUR} -all"\n{{n}} TXT "v=spf1 -all"\n', result("fail")),
    ],
    "3.2, 4.5 one among many": [
        ("two", f'{{n}} TXT "v=spf1 ip4:{FOUR} -all"\n{{n}} TXT "v=spf1 ~all"\n', permerror("2 records")),
        ("two-cases", '{n} TXT "v=spf1 -all"\n{n} TXT "V=SPF1 +all"\n', permerror("2 records")),
        ("three", '{n} TXT "v=spf1"\n{n} TXT "v=spf1 -all"\n{n} TXT "v=spf1 a"\n', permerror("3 records")),
        ("among", f'{{n}} TXT "google-site-verification=x"\n{{n}} TXT "v=spf1 ip4:{FOUR} -all"\n'
                  '{n} TXT "\\150\\151 v=spf1"\n', passes()),
        ("among-versions", f'{{n}} TXT "v=spf10"\n{{n}} TXT "v=spf2.0/pra -all"\n{{n}} TXT "v=spf1 ip4:{FOUR} -all"\n',
         passes()),
        ("include-two", '{n} TXT "v=spf1 include:in.{n}.cases.example -all"\nin.{n} TXT "v=spf1 -all"\n'
                        'in.{n} TXT "v=spf1 +all"\n', permerror("in.include-two.cases.example has 2 SPF records")),
    ],
    "3.3 strings": [
        ("strings", f'{{n}} TXT "v=spf1 ip4:127." "0.0.3" " -all"\n', passes()),
        ("strings-version", f'{{n}} TXT "v=sp" "f1 ip4:{FOUR} -all"\n', passes()),
        ("strings-no-blank", f'{{n}} TXT "v=spf1" "ip4:{FOUR} -all"\n', NONE),
    ],
    "3.4 size": [
        ("long", f"{{n}} TXT {strings(f'v=spf1 {FEW_SIX} ip4:{FOUR} -all')}\n", passes()),
        ("longer", f"{{n}} TXT {strings(f'v=spf1 {MANY_SIX} ip4:{FOUR} -all')}\n", passes(issue=LONG)),
        ("by-tcp", f"{{n}} TXT {strings(f'v=spf1 {MANY_FOUR} {MANY_FOUR} ip4:{FOUR} -all')}\n", passes(issue=LONG)),
        ("by-tcp-fail", f"{{n}} TXT {strings(f'v=spf1 {MANY_FOUR} {MANY_SIX} -all')}\n",
         Found(result("fail"), issue=LONG)),
        ("too-long", f"{{n}} TXT {strings(f'v=spf1 {MANY_FOUR} {MANY_FOUR} {MANY_FOUR} ip4:{FOUR} -all')}\n",
         permerror("the record of too-long.cases.example is longer than 4096 octets")),
    ],
    "4.3, 4.4 the look-up": [
        ("absent", "", NONE),
        ("other-type", "{n} MX 10 host\n", NONE),
        ("alias-of-record", "{n} CNAME pass\n", passes()),
        ("alias-to-nothing", "{n} CNAME nowhere\n", NONE),
        (LONG_LABEL + "lll", f"v=spf1 ip4:{FOUR} -all", passes()),
        ("down.broken.example", "", temperror("down.broken.example", "servfail")),
    ],
    "4.5 the version": [
        ("v-only", "v=spf1", result("neutral")),
        ("v-blank", "v=spf1 ", result("neutral")),
        ("v-ten", "v=spf10 +all", NONE),
        ("v-none", "spf1 +all", NONE),
        ("v-upper", f"V=SpF1 ip4:{FOUR} -all", passes()),
        ("v-tab", f"v=spf1\\009ip4:{FOUR} -all", NONE),
        ("v-before", f" v=spf1 ip4:{FOUR} -all", NONE),
    ],
    "4.6.1 terms": [
        ("blanks", f"v=spf1  ip4:{FOUR}   -all  ", passes()),
        ("upper", f"v=spf1 IP4:{FOUR} -ALL", passes()),
        ("qualifiers", f"v=spf1 -ip4:192.0.2.1 ~a:near.cases.example ?mx:mail.cases.example -all",
         result("neutral", 2)),
        ("q-plus", f"v=spf1 +ip4:{FOUR} -all", passes()),
        ("q-minus", f"v=spf1 -ip4:{FOUR} ~all", result("fail", 0, ISSUE)),
        ("q-tilde", f"v=spf1 ~ip4:{FOUR} -all", result("softfail", 0, ISSUE)),
        ("q-mark", f"v=spf1 ?ip4:{FOUR} -all", result("neutral", 0, ISSUE)),
        ("q-two", f"v=spf1 --ip4:{FOUR} -all", permerror(f'"--ip4:{FOUR}": unknown mechanism')),
        ("unknown", f"v=spf1 ip4:{FOUR} ipv4:192.0.2.1 -all", permerror('"ipv4:192.0.2.1": unknown mechanism')),
        ("behind-all", f"v=spf1 ip4:{FOUR} -all foo", permerror('"foo": unknown mechanism')),
        ("tab", f"v=spf1 a:host.cases.example\\009ip4:{FOUR} -all",
         permerror(f'"a:host.cases.example?ip4:{FOUR}": an octet that is not printable ASCII')),
        ("eight-bit", "v=spf1 a:m\\195\\188nchen.cases.example -all",
         permerror('"a:m??nchen.cases.example": an octet that is not printable ASCII')),
        ("comma", f"v=spf1 ip4:{FOUR}, -all", permerror(f'"ip4:{FOUR},": bad IPv4 address')),
    ],
    "4.6.4 limits": [
        ("ten", f"v=spf1 {TEN} ip4:{FOUR} -all", passes(10)),
        ("eleven", f"v=spf1 {TEN} a:host.cases.example -all", permerror("more than 10 DNS look-ups")),
        ("eleven-includes", "v=spf1 " + " ".join("include:fail.cases.example" for _ in range(11)) + f" ip4:{FOUR} -all",
         permerror("more than 10 DNS look-ups")),
        ("eleven-nested", f'{{n}} TXT "v=spf1 include:in.{{n}}.cases.example a:host.cases.example -all"\n'
                          f"in.{{n}} TXT {strings(f'v=spf1 {TEN} -all')}\n", permerror("more than 10 DNS look-ups")),
        ("ten-nested", f'{{n}} TXT "v=spf1 include:in.{{n}}.cases.example ip4:{FOUR} -all"\n'
                       f"in.{{n}} TXT {strings(f'v=spf1 {TEN[:TEN.rindex(chr(32))]} -all')}\n", passes(10)),
        ("eleven-redirect", f'{{n}} TXT {strings(f"v=spf1 {TEN} redirect=pass.cases.example")}\n',
         permerror("more than 10 DNS look-ups")),
        ("eleven-unused", f"v=spf1 ip4:{FOUR} {TEN} a:ten11.cases.example -all", passes()),
        ("circle", '{n} TXT "v=spf1 include:in.{n}.cases.example -all"\n'
                   'in.{n} TXT "v=spf1 include:{n}.cases.example -all"\n', permerror("more than 10 DNS look-ups")),
        ("void-two", f"v=spf1 a:v1.cases.example mx:v2.cases.example ip4:{FOUR} -all", passes(2)),
        ("void-three", f"v=spf1 a:v1.cases.example mx:v2.cases.example exists:v3.cases.example ip4:{FOUR} -all",
         permerror("more than 2 void look-ups")),
        ("void-no-data", f"v=spf1 mx:four.cases.example mx:host.cases.example mx:near.cases.example ip4:{FOUR} -all",
         permerror("more than 2 void look-ups")),
        ("void-before", f"v=spf1 ip4:{FOUR} a:v1.cases.example a:v2.cases.example a:v3.cases.example -all", passes()),
        ("mx-ten", '{n} TXT "v=spf1 mx -all"\n' + hosts(10, "A", 9), passes(1)),
        ("mx-eleven", '{n} TXT "v=spf1 mx -all"\n' + hosts(11, "A", 0),
         permerror("mx-eleven.cases.example has more than 10 MX records")),
        ("mx-and-host", f"v=spf1 mx:mail.cases.example {TEN} -all", passes(1)),
    ],
    "5.1 all": [
        ("all-fail", "v=spf1 -all", result("fail")),
        ("all-softfail", "v=spf1 ~all", result("softfail")),
        ("all-neutral", "v=spf1 ?all", Found(result("neutral"), issue="?all permits everybody")),
        ("all-pass", "v=spf1 all", passes(issue="+all permits everybody")),
        ("all-before", f"v=spf1 -all ip4:{FOUR}", result("fail", 0, ISSUE)),
        ("all-missing", "v=spf1 ip4:192.0.2.1", result("neutral")),
        ("all-value", "v=spf1 -all:x", permerror('"-all:x": nothing may follow the name')),
        ("all-dot", "v=spf1 -all.", permerror('"-all.": unknown mechanism')),
    ],
    "5.2 include": [
        ("i-pass", f"v=spf1 {include('pass')} -all", passes(1)),
        ("i-fail", f"v=spf1 {include('fail')} ip4:{FOUR} -all", passes(1)),
        ("i-softfail", f"v=spf1 {include('softfail')} ip4:{FOUR} -all", passes(1)),
        ("i-neutral", f"v=spf1 {include('neutral')} -all", result("fail", 1)),
        ("i-temperror", f"v=spf1 include:down.broken.example ip4:{FOUR} -all",
         temperror("down.broken.example", "servfail")),
        ("i-permerror", f"v=spf1 {include('permerror')} ip4:{FOUR} -all",
         permerror('"foo" of permerror.cases.example: unknown mechanism')),
        ("i-none", f"v=spf1 {include('none')} ip4:{FOUR} -all", permerror("none.cases.example has no SPF record")),
        ("i-absent", f"v=spf1 {include('nowhere')} ip4:{FOUR} -all",
         permerror("nowhere.cases.example has no SPF record")),
        ("i-minus", f"v=spf1 -{include('pass')} ~all", result("fail", 1)),
        ("i-tilde", f"v=spf1 ~{include('pass')} -all", result("softfail", 1)),
        ("i-all-inside", f"v=spf1 {include('fail', 'softfail', 'pass')} -all", passes(3)),
        ("i-ours", "v=spf1 include:spf.relay.example ~all", result("softfail", 1, ISSUE)),
        ("i-empty", "v=spf1 include: -all", permerror('"include:": the domain is missing')),
        ("i-bare", "v=spf1 include -all", permerror('"include": the value is missing')),
        ("i-prefix", "v=spf1 include:pass.cases.example/24 -all",
         permerror('"include:pass.cases.example/24": not a domain')),
    ],
    "5.3 a": [
        ("a-own", f'{{n}} TXT "v=spf1 a -all"\n{{n}} A {FOUR}\n', passes(1)),
        ("a-named", "v=spf1 a:host.cases.example -all", passes(1)),
        ("a-named-six", "v=spf1 a:host.cases.example -all", passes(1), SIX),
        ("a-other", "v=spf1 a:near.cases.example -all", result("fail", 1)),
        ("a-alias", "v=spf1 a:alias.cases.example -all", passes(1)),
        ("a-prefix", "v=spf1 a:near.cases.example/24 -all", passes(1)),
        ("a-prefix-own", '{n} TXT "v=spf1 a/24 -all"\n{n} A 127.0.0.99\n', passes(1)),
        ("a-prefix-narrow", "v=spf1 a:near.cases.example/26 -all", result("fail", 1)),
        ("a-prefix-six", "v=spf1 a:near.cases.example//64 -all", passes(1), SIX),
        ("a-prefix-six-narrow", "v=spf1 a:near.cases.example//122 -all", result("fail", 1), SIX),
        ("a-dual", "v=spf1 a:both.cases.example/24//128 -all", passes(1)),
        ("a-dual-six", "v=spf1 a:both.cases.example/24//128 -all", result("fail", 1), SIX),
        ("a-prefix-four-of-six", "v=spf1 a:both.cases.example/24 -all", result("fail", 1), SIX),
        ("a-zero", "v=spf1 a:near.cases.example/0 -all", passes(1)),
        ("a-zero-absent", "v=spf1 a:nowhere.cases.example/0 -all", result("fail", 1)),
        ("a-no-such-type", "v=spf1 a:four.cases.example -all", result("fail", 1), SIX),
        ("a-servfail", "v=spf1 a:down.broken.example -all", temperror("down.broken.example", "servfail")),
        ("a-prefix-big", "v=spf1 a/33 -all", permerror('"a/33": bad IPv4 prefix length')),
        ("a-prefix-six-big", "v=spf1 a//129 -all", permerror('"a//129": bad IPv6 prefix length')),
        ("a-empty", "v=spf1 a: -all", permerror('"a:": the domain is missing')),
        ("a-address", f"v=spf1 a:{FOUR} -all", permerror(f'"a:{FOUR}": not a domain')),
        ("a-one-label", "v=spf1 a:localhost -all", permerror('"a:localhost": not a domain')),
        ("a-final-dot", "v=spf1 a:host.cases.example. -all", passes(1)),
        ("a-upper", "v=spf1 A:HOST.Cases.Example -all", passes(1)),
    ],
    "5.4 mx": [
        ("mx-own", '{n} TXT "v=spf1 mx -all"\n{n} MX 10 four\n', passes(1)),
        ("mx-named", "v=spf1 mx:mail.cases.example -all", passes(1)),
        ("mx-six", "v=spf1 mx:mail.cases.example -all", passes(1), SIX),
        ("mx-prefix", '{n} TXT "v=spf1 mx/24 -all"\n{n} MX 10 near\n', passes(1)),
        ("mx-other", '{n} TXT "v=spf1 mx ~all"\n{n} MX 10 near\n', result("softfail", 1)),
        ("mx-implicit", '{n} TXT "v=spf1 mx -all"\n{n} A 127.0.0.3\n', result("fail", 1)),
        ("mx-null", "v=spf1 mx:null.cases.example -all", result("fail", 1)),
        ("mx-servfail", '{n} TXT "v=spf1 mx -all"\n{n} MX 10 down.broken.example.\n',
         temperror("down.broken.example", "servfail")),
    ],
    "5.5 ptr": [
        ("ptr-match", "v=spf1 ptr:relay.example -all", passes(1, PTR)),
        ("ptr-match-six", "v=spf1 ptr:relay.example -all", passes(1, PTR), SIX),
        ("ptr-other", "v=spf1 ptr:ay.example -all", Found(result("fail", 1), issue=PTR)),
        ("ptr-false", "v=spf1 ptr:liar.cases.example -all", Found(result("fail", 1), issue=PTR)),
        ("ptr-prefix", "v=spf1 ptr/24 -all", permerror('"ptr/24": bad prefix length')),
    ],
    "5.6 ip4 and ip6": [
        ("ip4-net", "v=spf1 ip4:127.0.0.0/29 -all", passes()),
        ("ip4-outside", "v=spf1 ip4:127.0.0.4/30 -all", result("fail")),
        ("ip4-zero", "v=spf1 ip4:0.0.0.0/0 -all", passes()),
        ("ip4-for-six", "v=spf1 ip4:0.0.0.0/0 -all", result("fail"), SIX),
        ("ip6", f"v=spf1 ip6:{SIX} -all", passes(), SIX),
        ("ip6-net", "v=spf1 ip6:::/64 -all", passes(), SIX),
        ("ip6-outside", "v=spf1 ip6:::2/127 -all", result("fail"), SIX),
        ("ip6-for-four", "v=spf1 ip6:::/0 -all", result("fail")),
        ("ip4-octet", "v=spf1 ip4:127.0.0.300 -all", permerror('"ip4:127.0.0.300": bad IPv4 address')),
        ("ip4-short", "v=spf1 ip4:127.0.0 -all", permerror('"ip4:127.0.0": bad IPv4 address')),
        ("ip4-prefix", "v=spf1 ip4:127.0.0.0/33 -all", permerror('"ip4:127.0.0.0/33": bad IPv4 prefix length')),
        ("ip4-zeros", "v=spf1 ip4:127.0.0.0/08 -all", permerror('"ip4:127.0.0.0/08": bad IPv4 prefix length')),
        ("ip4-bare", "v=spf1 ip4 -all", permerror('"ip4": the value is missing')),
        ("ip4-of-six", f"v=spf1 ip4:{SIX} -all", permerror(f'"ip4:{SIX}": bad IPv4 address')),
        ("ip6-of-four", f"v=spf1 ip6:{FOUR} -all", permerror(f'"ip6:{FOUR}": bad IPv6 address')),
        ("ip6-prefix", "v=spf1 ip6:::/129 -all", permerror('"ip6:::/129": bad IPv6 prefix length')),
    ],
    "5.7 exists": [
        ("exists", f"v=spf1 exists:%{{ir}}.%{{v}}.{LIST} -all", passes(1)),
        ("exists-not", "v=spf1 exists:%{ir}.cases.example -all", result("fail", 1)),
        ("exists-six", f"v=spf1 exists:%{{ir}}.%{{v}}.{LIST} -all", passes(1), SIX),
        ("exists-a-only", f'{{n}} TXT "v=spf1 exists:in.{{n}}.cases.example -all"\nin.{{n}} AAAA {SIX}\n',
         result("fail", 1), SIX),
        ("exists-bare", "v=spf1 exists -all", permerror('"exists": the value is missing')),
    ],
    "6 modifiers": [
        ("m-unknown", f"v=spf1 moo.cow-far_out=man:dog/cat ip4:{FOUR} -all", passes()),
        ("m-empty", f"v=spf1 x= ip4:{FOUR} -all", passes()),
        ("m-mechanism", f"v=spf1 ip4=192.0.2.1 ip4:{FOUR} -all", passes()),
        ("m-qualified", "v=spf1 -x=y -all", permerror('"-x=y": unknown mechanism')),
        ("m-name", "v=spf1 1x=y -all", permerror('"1x=y": unknown mechanism')),
        ("m-percent", "v=spf1 x=% -all", permerror('"x=%": a % that begins no macro')),
    ],
    "6.1 redirect": [
        ("r-pass", "v=spf1 redirect=pass.cases.example", passes(1)),
        ("r-softfail", "v=spf1 redirect=softfail.cases.example", result("softfail", 1)),
        ("r-none", "v=spf1 redirect=none.cases.example", permerror("none.cases.example has no SPF record")),
        ("r-absent", "v=spf1 redirect=nowhere.cases.example", permerror("nowhere.cases.example has no SPF record")),
        ("r-permerror", "v=spf1 redirect=permerror.cases.example",
         permerror('"foo" of permerror.cases.example: unknown mechanism')),
        ("r-temperror", "v=spf1 redirect=down.broken.example", temperror("down.broken.example", "servfail")),
        ("r-with-all", "v=spf1 redirect=pass.cases.example -all", result("fail")),
        ("r-with-all-none", f"v=spf1 redirect=none.cases.example ip4:{FOUR} ~all", passes()),
        ("r-first", f"v=spf1 redirect=fail.cases.example ip4:{FOUR}", passes()),
        ("r-after", "v=spf1 redirect=pass.cases.example a:near.cases.example", passes(2)),
        ("r-twice", "v=spf1 redirect=pass.cases.example redirect=fail.cases.example",
         permerror('"redirect=fail.cases.example": given twice')),
        ("r-empty", "v=spf1 redirect=", permerror('"redirect=": the domain is missing')),
        ("r-colon", "v=spf1 redirect:pass.cases.example",
         permerror('"redirect:pass.cases.example": unknown mechanism')),
        ("r-macro", "v=spf1 redirect=pass.%{d2}", passes(1)),
        ("r-to-redirect", "v=spf1 redirect=r-pass.cases.example", passes(2)),
    ],
    "6.2 exp": [
        ("e-absent", f"v=spf1 ip4:{FOUR} -all exp=nowhere.cases.example", passes()),
        ("e-fail", "v=spf1 exp=host.cases.example -all", result("fail")),
        ("e-servfail", "v=spf1 -all exp=down.broken.example", result("fail")),
        ("e-twice", "v=spf1 exp=a.cases.example exp=a.cases.example -all",
         permerror('"exp=a.cases.example": given twice')),
        ("e-empty", "v=spf1 exp= -all", permerror('"exp=": the domain is missing')),
    ],
    "7 macros": [
        ("m-i", f"v=spf1 exists:%{{i}}.{LIST} -all", passes(1)),
        ("m-l", f"v=spf1 exists:%{{l}}.{LIST} -all", passes(1)),
        ("m-h", f"v=spf1 exists:%{{h}}.{LIST} -all", passes(1)),
        ("m-d2", f"v=spf1 exists:%{{d2}}.{LIST} -all", passes(1)),
        ("m-reversed", '{n} TXT "v=spf1 exists:%{d3r}.list.cases.example -all"\n'
                       "example.cases.m-reversed.list A 127.0.0.2\n", passes(1)),
        ("m-delimiter", '{n} TXT "v=spf1 exists:%{l1r-}.x.%{o1r-}.list.cases.example -all"\n'
                        "postmaster.x.m.list A 127.0.0.2\n", passes(1)),
        ("m-labels", '{n} TXT "v=spf1 exists:%{d9}.list.cases.example -all"\n'
                     "{n}.cases.example.list A 127.0.0.2\n", passes(1)),
        ("m-upper", f"v=spf1 exists:%{{IR}}.%{{V}}.{LIST} -all", passes(1)),
        ("m-p", f"v=spf1 exists:%{{p}}.{LIST} -all", passes(2)),
        ("m-p2", f"v=spf1 exists:%{{p2}}.{LIST} -all", passes(2)),
        ("m-inner-domain", "v=spf1 include:d-inner.cases.example -all", passes(2)),
        ("m-inner-sender", '{n} TXT "v=spf1 include:o-inner.cases.example -all"\n'
                           "{n}.cases.example.list A 127.0.0.2\n", passes(2)),
        ("m-long." + LONG_LABEL, "v=spf1 exists:%{d}.%{d}.%{d}.%{d}.%{d}.wild.cases.example -all", passes(1)),
        ("m-none", "v=spf1 exists:%{x}.cases.example -all",
         permerror('"exists:%{x}.cases.example": unknown macro')),
        ("m-explanation", "v=spf1 exists:%{c}.cases.example -all",
         permerror('"exists:%{c}.cases.example": a macro for explanations only')),
        ("m-open", "v=spf1 exists:%{ir.cases.example -all", permerror('"exists:%{ir.cases.example": bad macro')),
        ("m-order", f"v=spf1 exists:%{{dr2}}.{LIST} -all", permerror(f'"exists:%{{dr2}}.{LIST}": bad macro')),
        ("m-no-brace", "v=spf1 exists:%ir.cases.example -all",
         permerror('"exists:%ir.cases.example": a % that begins no macro')),
        ("m-zero", "v=spf1 exists:%{d0}.cases.example -all",
         permerror('"exists:%{d0}.cases.example": a macro that leaves no label')),
    ],
    # Other than RFC 7208: a name is not asked for, and does not exist, if it has characters that no name of a host has.
    "7.3 other characters": [
        ("m-sender", '{n} TXT "v=spf1 exists:%{s}.list.cases.example -all"\n'
                     "postmaster\\@{n}.cases.example.list A 127.0.0.2\n", result("fail", 1)),
        ("m-escapes", '{n} TXT "v=spf1 exists:%{S}.list.cases.example -all"\n'
                      "postmaster\\03740{n}.cases.example.list A 127.0.0.2\n", result("fail", 1)),
    ],
    "names": [
        ("underscore", "v=spf1 include:_under.cases.example -all", passes(2)),
        ("xn--mnchen-3ya", "", passes(1)),
        ("idn", "v=spf1 include:xn--mnchen-3ya.cases.example -all", passes(2)),
        ("empty-label", f"v=spf1 a:x..cases.example ip4:{FOUR} -all", passes(1)),
        ("long-label", f"v=spf1 a:{'x' * 64}.cases.example ip4:{FOUR} -all", passes(1)),
    ],
}


def has_ipv6():
    try:
        with open("/proc/net/if_inet6") as f:
            return any(line.startswith("0" * 31 + "1 ") for line in f)
    except FileNotFoundError:
        return False


def lines(name, text):
    """Of the zone: a record alone is the TXT record of the name."""
    if text == "" or text.startswith("{n}"):
        return text.replace("{n}", name)
    return f"{name} TXT {strings(text)}\n"


class Records(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.relay = Relay(extra="dns.timeout 10s\ndns.tries 1\n")
        cls.addClassCleanup(cls.relay.cleanup)
        cls.dns = Dns(cls.relay.folder)
        cls.dns.zone("cases.example", COMMON + "".join(lines(c[0], c[1]) for part in CASES.values() for c in part))
        cls.dns.zone("broken.example", None)
        cls.zone_of_relay("v=spf1 -all")
        cls.dns.zone("0.0.127.in-addr.arpa", "3 PTR three.relay.example.\n3 PTR liar.cases.example.\n")
        cls.dns.zone("ip6.arpa", "1" + ".0" * 31 + " PTR six.relay.example.\n")
        cls.dns.start()
        cls.addClassCleanup(cls.dns.stop)
        cls.relay.dns = cls.dns
        cls.relay.write_conf()
        cls.relay.start()
        cls.relay.account()
        for name in ("cases.example", "broken.example"):
            cls.relay.ctl("identity", "add", name, "--verified", "--dkim", "none")
        cls.addresses = (FOUR, SIX) if has_ipv6() else (FOUR,)
        for address in cls.addresses:
            cls.relay.ctl("ip", "add", address, "--ehlo", EHLO, "--kind", "dedicated")
            cls.relay.ctl("pool", "create", cls.pool(address))
            cls.relay.ctl("pool", "add-ip", cls.pool(address), address)

    @classmethod
    def zone_of_relay(cls, record):
        cls.dns.zone("relay.example", f"bounces TXT {strings(record)}\nspf TXT \"v=spf1 ip4:192.0.2.1 -all\"\n"
                     f"three A {FOUR}\nsix AAAA {SIX}\n")

    @staticmethod
    def pool(address):
        return "four" if address == FOUR else "six"

    def checks(self, domain, address):
        """Those of SPF in the report on an identity whose MAIL FROM domain that is."""
        identity = ".".join(domain.split(".")[-2:])
        self.relay.control("identity mail-from set", name=identity, domain=domain)
        report = self.relay.control("identity check", name=identity, pool=self.pool(address), **{"no-probe": True})
        return {c["Id"]: c for c in report["Checks"] if c["Type"] == "SPF" and c["Id"] != "SPF_HELO"}

    def results(self, found):
        return {i: c["Result"] for i, c in found.items()}

    def judge(self, domain, want, address):
        found = self.checks(domain, address)
        for c in found.values():
            if c["Id"] in ("SPF_INCLUDES", "SPF_ISSUE") and "Results" in c["Detail"]:
                self.assertEqual(c["Detail"]["Results"], {address: want["result"]}, c)
                self.assertEqual(c["Detail"]["Domain"], domain)
        if want["result"] == "none":
            self.assertEqual(self.results(found), {"SPF_FOUND": "FAIL"})
            self.assertEqual(found["SPF_FOUND"]["Description"], "SPF record was not found.")
        elif want["result"] == "temperror":
            self.assertEqual(self.results(found), {"SPF_FOUND": "UNKNOWN"})
            self.assertEqual(found["SPF_FOUND"]["Description"], f"{domain}: {want['cause']}")
        elif want["result"] == "permerror":
            self.assertEqual(self.results(found), {"SPF_ISSUE": "FAIL"})
            self.assertEqual(found["SPF_ISSUE"]["Description"], ISSUE)
            self.assertEqual(found["SPF_ISSUE"]["Detail"]["Reason"], want["cause"])
            self.assertIn("Results", found["SPF_ISSUE"]["Detail"])
        else:
            self.judge_evaluated(found, want)

    def judge_evaluated(self, found, want):
        passed = want["result"] == "pass"
        self.assertEqual(found["SPF_FOUND"]["Result"], "PASS")
        self.assertEqual(found["SPF_INCLUDES"]["Result"], "PASS" if passed else "FAIL")
        self.assertIn("Results", found["SPF_INCLUDES"]["Detail"])
        self.assertEqual(found["SPF_INCLUDES"]["Detail"]["Lookups"], want["lookups"])
        if not passed:
            self.assertEqual(found["SPF_INCLUDES"]["Description"], want["finding"])
        record = found["SPF_INCLUDES"]["Detail"]["Record"].lower()
        terms = record.split()
        self.assertEqual(found["SPF_ALL"]["Result"], "PASS" if any(t.lstrip("+-~?") == "all" for t in terms)
                         or "redirect=" in record or len(record) > 1000 else "WARN")
        issue = want.get("issue")
        self.assertEqual(found["SPF_ISSUE"]["Detail"].get("Reason"), issue)
        self.assertEqual(found["SPF_ISSUE"]["Result"], "PASS" if issue is None else
                         "FAIL" if "everybody" in issue else "WARN")

    def section(self, title):
        for name, text, want, *address in CASES[title]:
            with self.subTest(name, record=text[:120]):
                address = address[0] if address else FOUR
                if address not in self.addresses:
                    self.skipTest("no IPv6 here")
                self.judge(name if name.endswith(".broken.example") else f"{name}.cases.example", want, address)


    def test_nobody_answers(self):
        """4.4: a time-out is temperror, "not known": of the record, and of one that it includes."""
        self.relay.extra = "dns.timeout 100ms\ndns.tries 1\n"
        self.relay.reload()
        os.kill(self.dns.process.pid, signal.SIGSTOP)
        self.addCleanup(os.kill, self.dns.process.pid, signal.SIGCONT)
        self.judge("one.cases.example", temperror("one.cases.example", "timeout"), FOUR)

    def test_doctor(self):
        """The default MAIL FROM domain is judged the same way."""
        for record, text in (
                (f"v=spf1 ip4:{FOUR} ip6:{SIX} mx/33 -all",
                 ISSUE + ' {ip}: permerror for bounces.relay.example, "mx/33": bad IPv4 prefix length'),
                ("v=spf1 include:permerror.cases.example -all", ISSUE + " {ip}: permerror for bounces.relay.example, "
                 '"foo" of permerror.cases.example: unknown mechanism'),
                ("v=spf1 include:down.broken.example -all",
                 "bounces.relay.example: DNS does not answer for down.broken.example (servfail)"),
                ("v=spf1 include:softfail.cases.example -all", NOT_OURS + " {ip}: fail for bounces.relay.example"),
                ("v=spf1 redirect=pass.cases.example", "{ip} may send for bounces.relay.example")):
            with self.subTest(record):
                self.zone_of_relay(record)
                self.dns.set_zone("relay.example", self.dns.zones["relay.example"])
                r = self.relay.run_ctl("--json", "doctor", "--no-probe")
                said = [c["Description"] for c in json.loads(r.stdout)["Checks"] if c["Id"] == "SPF_INCLUDES"]
                self.assertEqual(sorted(said), sorted(text.replace("{ip}", a) for a in self.addresses))


def make(title):
    def test(self):
        self.section(title)
    test.__doc__ = f"RFC 7208 {title}"
    return test


for _title in CASES:
    setattr(Records, "test_" + re.sub(r"\W+", "_", _title), make(_title))


if __name__ == "__main__":
    unittest.main()
