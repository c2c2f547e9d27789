"""What a run found, as RESULTS.md, as the record of `bench/check`, and for the terminal."""

import json
import os
import platform
import re
from pathlib import Path

from . import subjects, table
from .processes import CORES, Failed
from .ratios import Figure, compared, ratio
from .subjects import NGINX, OURS

FOLDER = Path(__file__).resolve().parent.parent
RESULTS = FOLDER / "RESULTS.md"
RECORD = FOLDER / "recorded.json"
METHOD, NOTES = FOLDER / "method.md", FOLDER / "notes.md"

HEAD = """# Results

Written by `bench/run --write`, with the words of [method.md](method.md) and [notes.md](notes.md)."""

TABLE = "Each figure beside what it must reach and what is aimed at."

PEERS = "CPU, requests and latency as ratios to nginx (nginx = 1), with their spread."

SCALING = "CPU per request of 64 active clients."

STAGES = """\
Micro-benchmarks of what runs for each request (`cargo bench --bench stages`), and how often the data plane
asks for memory on the whole way of a GET of 1.5 KB, connections open (`cargo bench --bench allocations`)."""


def machine(bench, revision):
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    versions = ", ".join(f"{k} {v}" for k, v in subjects.versions(bench.programs).items())
    size = bench.size
    return (
        f"Revision {revision}. {cpu.group(1) if cpu else platform.machine()}, {CORES} cores for the"
        f" proxy, the upstream and the clients together, {memory} GiB;"
        f" {platform.system()} {platform.release()}.\n"
        f"{versions}.\n{size.rounds} rounds of {size.seconds} s for each subject and number of"
        f" clients, {size.idle_clients} idle clients, {size.starts} starts,"
        f" {bench.upstream.bulk_size >> 20} MiB a transfer."
    )


def cost_table(found):
    lines = ["| figure | must | aim | measured | spread | verdict |", "|---|---|---|---|---|---|"]
    return "\n".join(lines + [row.line() for row in table.rows(found)])


def peers(bench, found):
    """Every subject beside nginx."""
    measured = [(f"CPU per request, c{c}", f["cpu"]) for c, f in found["speed"].items()]
    measured += [(f"requests/s, c{c}", f["rate"]) for c, f in found["speed"].items()]
    measured += [
        ("CPU per request, plain", found["plain"]),
        ("p50 at a fixed rate", found["latency"]["p50"]),
        ("p99 at a fixed rate", found["latency"]["p99"]),
        ("CPU of 64 KB answers", found["medium"]),
        ("CPU per request, HTTP/2 clients", found["http2"]),
        ("CPU per GiB down", found["transfers"]["download"]),
        ("CPU per GiB up", found["transfers"]["upload"]),
    ]
    others = [name for name in bench.names if name != NGINX]
    lines = ["| of nginx | " + " | ".join(others) + " |", "|---" * (len(others) + 1) + "|"]
    for what, values in measured:
        cells = [beside_nginx(values, name) for name in others]
        lines.append(f"| {what} | " + " | ".join(cells) + " |")
    lines += ["", absolute(bench, found)]
    return "\n".join(lines)


def beside_nginx(values, name):
    if name not in values:
        return ""
    figure = ratio(values[name], values[NGINX])
    equal = ", equal" if compared(figure) == "equal" else ""
    return f"{figure.text()} ({figure.spread()}{equal})"


def absolute(bench, found):
    """What is no ratio, for orientation."""
    memory, transfers = found["memory"], found["transfers"]
    names = [name for name in bench.names if name in memory["fresh"]]
    lines = ["| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]

    def line(what, values, form="{:.1f}", by=1):
        cells = [form.format(values[name] / by) for name in names]
        lines.append(f"| {what} | " + " | ".join(cells) + " |")

    for clients, rounds in found["speed"].items():
        middles = {name: Figure.of(of).middle for name, of in rounds["cpu"].items()}
        line(f"CPU per request, c{clients} (us)", middles)
    line("resident memory, fresh (MiB)", memory["fresh"], by=1024)
    line("of that its own, no file's (MiB)", memory["own"], by=1024)
    line("for each idle client (KiB)", memory["idle client"])
    line("peak in a download (MiB)", transfers["download peak"], by=1024)
    line("peak in an upload (MiB)", transfers["upload peak"], by=1024)
    line("CPU when idle (ms in a second)", memory["idle cpu"])
    return "\n".join(lines)


def scaling(scaled):
    lines = []
    for kind, rows in scaled.items():
        lines += [f"| {kind} | CPU per request (us) | of the first row | spread | |", "|---" * 5 + "|"]
        for name, values, figure in rows:
            middle = Figure.of(values).text("{:.1f}")
            cells = [name, middle, figure.text(), figure.spread(), compared(figure)]
            lines.append("| " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines).strip()


def document(bench, found, scaled, stages, revision):
    """All of RESULTS.md. What people have to say about it is in notes.md, and stands at its end."""
    parts = [
        HEAD,
        "## Machine",
        machine(bench, revision),
        "## Method",
        METHOD.read_text(),
        "## What it is to cost, and what it does",
        TABLE,
        cost_table(found),
        "## Beside the others",
        PEERS,
        peers(bench, found),
        "## However much there is beside a request",
        SCALING,
        scaling(scaled),
        "## One request in detail",
        STAGES,
        stages,
        NOTES.read_text().strip(),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def write(text):
    RESULTS.write_text(text)


def recordable(found):
    """The figures that `bench/check` compares: ratios, and what hardly depends on the machine."""
    return {row.key: round(row.figure.middle, 4) for row in table.rows(found) if comparable(row.key)}


def comparable(key):
    return key.startswith(("cpu-", "floor-", "rate-", "memory-"))


def record(found):
    RECORD.write_text(json.dumps(recordable(found), indent=2) + "\n")


def recorded():
    if not RECORD.exists():
        raise Failed(f"{RECORD} is missing: `bench/run --record` writes it")
    return json.loads(RECORD.read_text())


def say(bench, found, scaled, stages):
    """The tables on standard output."""
    print(cost_table(found))
    print()
    print(peers(bench, found))
    if scaled:
        print()
        print(scaling(scaled))
    if stages:
        print()
        print(stages)
    shown = [name for name in bench.names if name != OURS]
    print(f"\nmeasured beside {', '.join(shown)}")
