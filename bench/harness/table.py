"""The table of what the proxy is to cost: each figure beside what it must reach and what is aimed at."""

from dataclasses import dataclass

from .ratios import Figure, difference, ratio, verdict
from .subjects import FLOOR, NGINX, OURS

MIB = 1024  # KiB


@dataclass
class Row:
    """One figure. `key` names it in the record of `bench/check`."""

    key: str
    what: str
    must: float
    aim: float
    figure: Figure
    form: str = "{:.2f}"
    more_is_better: bool = False

    def line(self):
        said = verdict(self.figure, self.must, self.aim, self.more_is_better)
        cells = [self.what, self.form.format(self.must), self.form.format(self.aim),
                 f"**{self.figure.text(self.form)}**", self.figure.spread(self.form), said]  # fmt: skip
        return "| " + " | ".join(cells) + " |"


# Clients: must and aim of the CPU beside nginx, and of the requests per second.
CPU = {1: (0.90, 0.75), 16: (0.68, 0.58), 64: (0.64, 0.55), 256: (0.55, 0.48)}
PER_SECOND = {64: (1.4, 1.6), 256: (1.7, 1.9)}
OF_FLOOR = (1.10, 0.95)


def rows(found):
    """Of what `measures.everything` found."""
    listed = speed(found["speed"]) + [
        of_nginx("cpu-plain", "CPU per request, plain upstream, of nginx", 1.00, 0.85, found["plain"])
    ]
    listed += latency(found["latency"])
    transfers = found["transfers"]
    listed += [
        of_nginx("cpu-64k", "CPU of answers of 64 KB, of nginx", 0.55, 0.42, found["medium"]),
        of_nginx("cpu-download", "CPU of a 256 MiB download, of nginx", 0.72, 0.52,
                 transfers["download"]),
        of_nginx("cpu-upload", "CPU of a 256 MiB upload, of nginx", 0.40, 0.32,
                 transfers["upload"]),
    ]  # fmt: skip
    return listed + memory(found) + start(found["starts"])


def of_nginx(key, what, must, aim, values):
    return Row(key, what, must, aim, ratio(values[OURS], values[NGINX]))


def speed(found):
    listed = []
    for clients, (must, aim) in CPU.items():
        if clients in found:
            what = f"CPU per request over TLS, c{clients}, of nginx"
            listed.append(of_nginx(f"cpu-c{clients}", what, must, aim, found[clients]["cpu"]))
    for clients in CPU:
        if clients in found and clients != 1:
            cpu = found[clients]["cpu"]
            what = f"the same, c{clients}, of the floor"
            figure = ratio(cpu[OURS], cpu[FLOOR])
            listed.append(Row(f"floor-c{clients}", what, *OF_FLOOR, figure))
    for clients, (must, aim) in PER_SECOND.items():
        if clients in found:
            rate = found[clients]["rate"]
            figure = ratio(rate[OURS], rate[NGINX])
            what = f"requests per second, c{clients}, of nginx"
            listed.append(Row(f"rate-c{clients}", what, must, aim, figure, more_is_better=True))
    return listed


def latency(found):
    p50, p99 = found["p50"], found["p99"]
    added = difference(p50[OURS], p50["direct"])
    return [
        Row("added-p50", "latency added at the median at 2,000 requests/s (us)", 45, 30, added,
            "{:.0f}"),
        of_nginx("p99", "p99 at 2,000 requests/s, of nginx", 0.85, 0.65, p99),
    ]  # fmt: skip


def memory(found):
    transfers, kept = found["transfers"], found["memory"]
    peak = max(transfers["download peak"][OURS], transfers["upload peak"][OURS])

    def row(key, what, must, aim, value):
        return Row(key, what, must, aim, Figure.of([value]), "{:.1f}")

    return [
        row("memory-fresh", "resident memory, fresh (MiB)", 8, 6, kept["fresh"][OURS] / MIB),
        row("memory-idle", "for each idle client (KiB)", 6, 3, kept["idle client"][OURS]),
        row("memory-peak", "peak in a 256 MiB transfer (MiB)", 24, 14, peak / MIB),
        row("idle-cpu", "CPU when idle (ms in a second)", 0, 0, round(kept["idle cpu"][OURS], 1)),
    ]


def start(found):
    handshake = Figure.of(found["handshake"]).middle
    figures = {
        "start-tls": ("start to first answer, less the TLS handshake (ms)", handshake, "tls"),
        "start-plain": ("the same, plain upstream (ms)", 0, "plain"),
    }
    return [
        Row(key, what, 10, 7, Figure.of(value - less for value in found[kind]), "{:.1f}")
        for key, (what, less, kind) in figures.items()
    ]
