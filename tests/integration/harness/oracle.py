# SPDX-License-Identifier: ISC
"""DKIM as other implementations see it: python3-dkim and Mail::DKIM (Perl).

    for name, found in verify(message, {"sel._domainkey.example.com": "v=DKIM1; p=..."}).items():
        found == [("example.com", "sel", True), ...]     # in the order of the fields

Whichever of the two is installed answers; none at all skips the test.
"""
import base64
import json
import os
import shutil
import subprocess
import unittest

PYTHON = r"""
import base64, json, re, sys
import dkim
q = json.load(sys.stdin)
message = base64.b64decode(q["message"])
records = {k.rstrip(".").lower(): v.encode() for k, v in q["records"].items()}
def txt(name, timeout=5):
    name = name.decode() if isinstance(name, bytes) else name
    return records.get(name.rstrip(".").lower())
m = dkim.DKIM(message, minkey=1024)
fields = [v for n, v in m.headers if n.lower() == b"dkim-signature"]
out = []
for i, f in enumerate(fields):
    tags = dkim.util.parse_tag_value(f)
    try:
        ok = bool(dkim.DKIM(message, minkey=1024).verify(idx=i, dnsfunc=txt))
    except dkim.DKIMException:
        ok = False
    out.append([tags[b"d"].decode(), tags[b"s"].decode(), ok])
print(json.dumps(out))
"""

PERL = r"""
use strict; use warnings;
use JSON::PP; use MIME::Base64; use Mail::DKIM::Verifier; use Mail::DKIM::PublicKey;
local $/; my $q = decode_json(<STDIN>);
my %records = map { my $k = lc $_; $k =~ s/\.$//; $k => $q->{records}{$_} } keys %{$q->{records}};
no warnings 'redefine';
sub found { my %p = @_; my $r = $records{lc "$p{Selector}._domainkey.$p{Domain}"};
    return undef unless defined $r; my $k = Mail::DKIM::PublicKey->parse($r); return bless $k, 'Mail::DKIM::PublicKey'; }
*Mail::DKIM::PublicKey::fetch = sub { my ($c, %p) = @_; return found(%p); };
*Mail::DKIM::PublicKey::fetch_async = sub { my ($c, %p) = @_; my $ok = $p{Callbacks}{Success};
    my $k = found(%p); return sub { $ok ? $ok->($k) : $k }; };
my $v = Mail::DKIM::Verifier->new; $v->PRINT(decode_base64($q->{message})); $v->CLOSE;
print encode_json([map { [$_->domain, $_->selector, $_->result eq 'pass' ? JSON::PP::true : JSON::PP::false] } $v->signatures]);
"""


def _python():
    for path in ("/usr/bin/python3", shutil.which("python3")):
        if path and os.path.exists(path) and subprocess.run(
                [path, "-c", "import dkim"], capture_output=True).returncode == 0:
            return [path, "-c", PYTHON]
    return None


def _perl():
    path = shutil.which("perl")
    if path and subprocess.run([path, "-MMail::DKIM", "-MJSON::PP", "-e", "1"], capture_output=True).returncode == 0:
        return [path, "-e", PERL]
    return None


VERIFIERS = {name: command for name, command in (("python3-dkim", _python()), ("Mail::DKIM", _perl())) if command}


def knows_ed25519():
    """Is there a verifier of RFC 8463?"""
    command = VERIFIERS.get("python3-dkim")
    return command is not None and subprocess.run([command[0], "-c", "import nacl"], capture_output=True).returncode == 0


def verify(message, records, without=()):
    """What each verifier says: {verifier: [(d, s, passes), ...]}; those named are not asked."""
    if not VERIFIERS:
        raise unittest.SkipTest("neither python3-dkim nor Mail::DKIM is installed")
    question = json.dumps({"message": base64.b64encode(message).decode(), "records": records})
    out = {}
    for name, command in VERIFIERS.items():
        if name in without:
            continue
        r = subprocess.run(command, input=question, capture_output=True, text=True, timeout=60)
        if r.returncode != 0:
            raise AssertionError(f"{name}: {r.stderr}")
        out[name] = [tuple(x) for x in json.loads(r.stdout)]
    return out
