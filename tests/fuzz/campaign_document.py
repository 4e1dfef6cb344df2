# SPDX-License-Identifier: ISC
"""Line coverage of the corpus, and docs/fuzzing.md from the records of a campaign."""
import concurrent.futures
import json
import os
import shutil
import subprocess
import textwrap

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))

HEAD = """# Fuzzing

What the fuzz targets of `tests/fuzz` have been through. Made by `tests/fuzz/campaign` from its results; changed there,
in `tests/fuzz/targets` and in `tests/fuzz/findings.md`. To see it again, or to go on: `contrib/packages -i build fuzz`,
`./configure`, `make fuzz-campaign`, which takes {hours} hours of one core; `CAMPAIGN="--jobs 4"` runs four targets at once, and
`CAMPAIGN="--only smtp,reply"` some of them. An interrupted campaign goes on where it ended.

The targets are built with clang, libFuzzer, AddressSanitizer, LeakSanitizer and UBSan. An input has at most 4,096 octets,
{input_seconds} seconds and {memory:,} MB of memory. Many targets hold the code against a second reading of the same octets
written for the test alone, or against itself (cut anywhere, written and read again), so that a wrong answer is a
finding as well as a crash. `tests/fuzz/corpus` holds the seeds and what a campaign has found to reach new edges;
`make check` runs all of it, and the inputs that once failed (`tests/fuzz/regress`), with whatever compiler.

"""
GOT = """## What each target got

*Seconds* are those of the clock, *CPU* those of the processor ({machine}).

{had}

Edges and features are libFuzzer's, over the whole program of the target. *Lines*: of the sources that the target is
about, those that the corpus in the tree reaches (clang's source-based coverage). *Findings*: of this campaign; those of
earlier runs stand below, too.

"""
SOURCES = """
## Lines by source

What the corpora of all targets reach together, for each source that a target is about. What is left is mostly the answer to
a lack of memory, of room in a buffer or of a library, and the parts of a file that do not read what comes from outside.

| source | lines | reached | |
|---|---:|---:|---:|
"""


def tool(name):
    for version in ("", "-14", "-15", "-16"):
        path = shutil.which(name + version)
        if path:
            return path
    return None


def coverage_program(t):
    return os.path.join(t.options.build, "fuzz-coverage", "fuzz_" + t.name)


def profile(t):
    """Runs the corpus in the build with coverage; the merged profile, or None."""
    program, raw, merged = coverage_program(t), os.path.join(t.folder, "raw"), os.path.join(t.folder, "profile")
    if not os.path.exists(program) or tool("llvm-profdata") is None:
        return None
    subprocess.run([program] + t.seeds, check=True, env=dict(os.environ, LLVM_PROFILE_FILE=raw),
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    subprocess.run([tool("llvm-profdata"), "merge", "-sparse", "-o", merged, raw], check=True)
    os.unlink(raw)
    return merged


def reached(program, merged, sources):
    """source -> the numbers of its lines that have code, each with whether it was reached."""
    out = subprocess.run([tool("llvm-cov"), "export", "-format=lcov", "-instr-profile", merged, program] +
                         [os.path.join(TOP, s) for s in sources], check=True, capture_output=True, text=True).stdout
    lines, name = {}, None
    for line in out.splitlines():
        if line.startswith("SF:"):
            name = os.path.relpath(line[3:], TOP)
        elif line.startswith("DA:"):
            number, count = line[3:].split(",")[:2]
            lines.setdefault(name, {})[int(number)] = int(count) > 0
    return {s: lines[s] for s in sources if s in lines}


def measure(targets, options):
    """t.lines of each target, and the union by source."""
    union = {}
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for t, merged in zip(targets, pool.map(profile, targets)):
            t.lines = {} if merged is None else reached(coverage_program(t), merged, t.sources)
            for source, lines in t.lines.items():
                known = union.setdefault(source, {})
                for number, hit in lines.items():
                    known[number] = known.get(number, False) or hit
    return union


def percent(part, whole):
    return "%.0f %%" % (100 * part / whole) if whole else "-"


def row(t):
    r = t.record
    count = sum(len(lines) for lines in t.lines.values())
    hit = sum(sum(lines.values()) for lines in t.lines.values())
    seen = len(os.listdir(os.path.join(HERE, "corpus", t.name)))
    still = sum(f["now"] is not None for f in r["findings"])
    return "| %s | %s | %s | %s | %s | %s | %s | %d | %s | %s |" % (
        t.name, t.what, "{:,.0f}".format(r["seconds"]), "{:,.0f}".format(r["cpu"]), "{:,}".format(r["executions"]),
        "{:,}".format(r["edges"]), "{:,}".format(r["features"]), seen, percent(hit, count),
        "%d" % len(r["findings"]) + (", %d open" % still if still else ""))


def machine():
    return "%d of them" % os.cpu_count() if os.cpu_count() > 1 else "one"


def had(targets, options):
    """What has to be known to read the figures: who had less than was asked for, and of what."""
    key = "cpu" if options.cpu else "seconds"
    less = ["%s (%.0f)" % (t.name, t.record[key]) for t in targets if t.record[key] < options.seconds]
    seconds, cpu = (sum(t.record[k] for t in targets) for k in ("seconds", "cpu"))
    text = "Asked for were {:,} seconds of the {} for each; ".format(
        options.seconds, "processor" if options.cpu else "clock")
    text += "all had them." if not less else "less than that had " + ", ".join(less) + "."
    if cpu < seconds / 2:
        text += (" The machine was busy with other work and the campaign had the lowest priority: in {:,.0f} seconds the"
                 " targets had {:,.0f} of a processor together, {:.0f} in a hundred. It is the processor time that"
                 " counts, and it is little: an hour of a machine of one's own does more.").format(
                     seconds, cpu, 100 * cpu / seconds)
    return textwrap.fill(text, 119)


def contracts(f, targets):
    """Told by contrib/dev/docs-check to be as tests/fuzz/targets is."""
    f.write("## What each target reads\n\nNone may crash, leak, read what it did not get or do what C does not "
            "define, and of each input\nmust hold what stands here.\n\n| target | input | must hold |\n|---|---|---|\n")
    for t in targets:
        f.write("| %s | %s | %s |\n" % (t.name, t.what, t.holds))
    f.write("\n")


def write(targets, options):
    union = measure(targets, options)
    total = [sum(t.record[k] for t in targets) for k in ("seconds", "cpu", "executions")]
    with open(os.path.join(TOP, "docs", "fuzzing.md"), "w") as f:
        f.write(HEAD.format(hours=round(len(targets) * options.seconds / 3600), memory=options.memory,
                            input_seconds=options.input_seconds))
        contracts(f, targets)
        f.write(GOT.format(machine=machine(), had=had(targets, options)))
        f.write("| target | input | seconds | CPU | executions | edges | features | corpus | lines | findings |\n")
        f.write("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|\n")
        for t in targets:
            f.write(row(t) + "\n")
        f.write("| | all | {:,.0f} | {:,.0f} | {:,} | | | | | {} |\n\n".format(
            *total, sum(len(t.record["findings"]) for t in targets)))
        with open(os.path.join(HERE, "findings.md")) as g:
            f.write(g.read())
        if union:
            f.write(SOURCES)
        for source in sorted(union):
            lines = union[source]
            f.write("| %s | %d | %d | %s |\n" % (source, len(lines), sum(lines.values()),
                                                 percent(sum(lines.values()), len(lines))))
