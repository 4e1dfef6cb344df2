# SPDX-License-Identifier: ISC
"""The memory of other processes: what is searched in it, and where it was found.

    found = search(pid, {"master key": b"..."})     # names of needles that are there; PermissionError without root

Every readable mapping of the program is looked at: heap, stacks, the store's pages, libraries.
"""
import re

CHUNK = 4 << 20
# above it: the shadow of a sanitizer, terabytes that hold no data of the program
REGION_MAX = 16 << 30
LINE = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) (....) \S+ \S+ \d+\s*(.*)$")


def _regions(pid):
    with open(f"/proc/{pid}/maps") as f:
        for line in f:
            begin, end, rights, name = LINE.match(line).groups()
            begin, end = int(begin, 16), int(end, 16)
            if rights[0] == "r" and name not in ("[vvar]", "[vsyscall]") and end - begin <= REGION_MAX:
                yield begin, end


def search(pid, needles):
    longest = max(len(n) for n in needles.values())
    found, read = set(), 0
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as f:
        for begin, end in _regions(pid):
            at, tail = begin, b""
            while at < end:
                try:
                    f.seek(at)
                    piece = f.read(min(CHUNK, end - at))
                except OSError:
                    break       # a mapping beyond the end of its file, or one that went meanwhile
                if not piece:
                    break
                read += len(piece)
                text = tail + piece
                found.update(name for name, n in needles.items() if n in text)
                tail, at = text[-longest:], at + len(piece)
    if read < 1 << 20:
        raise AssertionError(f"only {read} octets of process {pid} could be read")
    return found
