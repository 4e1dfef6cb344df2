# SPDX-License-Identifier: ISC
"""Every record that a test makes is as the schemas say.  Needs python3-jsonschema, at the first one."""
import functools
import importlib.machinery
import importlib.util
import json
import os

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "schemas", "validate")

STARTS = (b'{"eventType"', b'{"notificationType"', b'{"Type":"Notification"', b'{"version"')


@functools.cache
def _schema():
    loader = importlib.machinery.SourceFileLoader("posthorn_schemas", PATH)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("posthorn_schemas", loader))
    loader.exec_module(module)
    return module.Schema()


def unwrap(line):
    """The record in an envelope of SNS."""
    return json.loads(line)["Message"] if line.startswith('{"Type":"Notification"') else line


def check(lines, where):
    """lines: records as text, perhaps in envelopes of SNS, or system events; those of "dest test" are none of mail."""
    for line in lines:
        if line and '"eventType":"Test"' not in unwrap(line):
            faults = _schema().faults(line)
            if faults:
                raise AssertionError(f"{where}: {'; '.join(faults)} in {line[:1000]}")


def check_files(folder):
    for top, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(top, name), "rb") as f:
                text = f.read()
            if text.endswith(b"\n") and text.startswith(STARTS):
                check(text.decode().split("\n"), name)
