# SPDX-License-Identifier: ISC
"""The recipes of README.md, word for word, for the tests to use: what stands
there works.

    recipe = Recipe("Postfix", port, user, password)
    recipe.blocks[0]         # the first fenced block of "### Postfix"
    recipe.inline            # what stands between backquotes outside of them

Replaced are the login, the host, and the ports 587 and 465.
"""
import os
import re

README = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "README.md")
HOST = "mail.relay.example"
USER = "AKIAIOSFODNN7EXAMPLE"
PASSWORD = "BLBM/9hSUELfq8Gw+rU1YcBjkOxGbhT2XG763xVLGWL9"


def section(title):
    """The text below a heading, to the next one."""
    with open(README) as f:
        text = f.read()
    # a "#" at the beginning of a line of a block is no heading
    parts = re.split(r"(?m)^###? (.*)\n", text)
    return dict(zip(parts[1::2], parts[2::2]))[title]


class Recipe:
    def __init__(self, title, port, user, password, host=HOST):
        text = section(title)
        fence = re.compile(r"(?ms)^```\w*\n(.*?)^```$")
        self.port = port
        self.values = ((USER, user), (PASSWORD, password), (HOST, host))
        self.blocks = [self.fill(b) for b in fence.findall(text)]
        self.inline = [self.fill(i) for i in re.findall(r"`([^`]+)`", re.sub(r"\s*\n\s*", " ", fence.sub("", text)))]

    def fill(self, text):
        for old, new in self.values:
            text = text.replace(old, new)
        return re.sub(r"\b(587|465)\b", str(self.port), text)

    def one(self, pattern):
        """The inline piece that the pattern fits; there must be one."""
        found = [i for i in self.inline if re.fullmatch(pattern, i)]
        if len(found) != 1:
            raise AssertionError(f"README.md has {found} for {pattern}")
        return found[0]
