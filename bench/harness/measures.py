"""The measurements, each over all subjects in alternating rounds. What they give is plain numbers,
by name of the measurement, then of the subject, then by round."""

import time
from dataclasses import dataclass
from pathlib import Path

from . import load, subjects
from .processes import Group, free_port
from .ratios import in_rounds
from .subjects import FLOOR, NGINX, OURS
from .upstream import MEDIUM, MEDIUM_SIZE, SMALL, SMALL_SIZE

RATE = 2000


@dataclass
class Size:
    """How much is measured."""

    rounds: int
    seconds: int
    clients: tuple = (1, 16, 64, 256)
    bulk_size: int = 256 << 20
    idle_clients: int = 4000
    idle_seconds: int = 5
    starts: int = 20
    whole: bool = True  # with scaling, stages and allocations


@dataclass
class Bench:
    """A run: its programs, its folder, its upstream and its size."""

    programs: subjects.Programs
    folder: Path
    upstream: object
    size: Size
    names: list
    say: callable

    def start(self, group, name, **settings):
        server = subjects.start(name, self.programs, self.folder, self.upstream, **settings)
        return group.add(server)


def at_full_speed(bench, names, clients, plain=False, target=SMALL, size=SMALL_SIZE):
    """CPU and requests per second, for each number of clients."""
    found = {}
    with Group() as group:
        servers = {name: bench.start(group, name, plain=plain) for name in names}
        for server in servers.values():
            load.check(server, target, size)
        for count in clients:
            bench.say(f"{count} clients, {'plain' if plain else 'TLS'}, {size} bytes")
            for server in servers.values():
                load.full_speed(server, count, 1, target)  # connections, caches

            def measure(name, count=count):
                return load.full_speed(servers[name], count, bench.size.seconds, target)

            rounds = in_rounds(bench.size.rounds, names, measure)
            found[count] = {
                "cpu": {name: [r.cpu_us for r in of] for name, of in rounds.items()},
                "rate": {name: [r.per_second for r in of] for name, of in rounds.items()},
            }
    return found


def medium_answers(bench, names):
    """CPU of answers of 64 KB."""
    return at_full_speed(bench, names, (16,), target=MEDIUM, size=MEDIUM_SIZE)[16]["cpu"]


def http2_clients(bench, names):
    """CPU of requests of 16 HTTP/2 clients with four streams each."""
    bench.say("HTTP/2 clients")
    with Group() as group:
        servers = {name: bench.start(group, name, http2=True) for name in names}

        def measure(name, seconds=bench.size.seconds):
            return load.over_http2(servers[name], 16, 4, seconds)

        for name in names:
            measure(name, 1)
        rounds = in_rounds(bench.size.rounds, names, measure)
    return {name: [r.cpu_us for r in of] for name, of in rounds.items()}


def latency(bench, names):
    """At a fixed rate; `direct` is the client straight at the upstream, over TLS."""
    bench.say(f"latency at {RATE} requests/s")
    upstream = bench.upstream
    with Group() as group:
        servers = {name: bench.start(group, name) for name in names}

        def measure(name):
            direct = name == "direct"
            port = upstream.tls_port if direct else servers[name].port
            ca_file = upstream.ca_file if direct else None
            seconds = bench.size.seconds
            return load.at_a_rate(bench.programs.paced, port, RATE, seconds, 32, ca_file)

        for name in servers:
            measure(name)
        rounds = in_rounds(bench.size.rounds, ["direct", *names], measure)
    return {
        "p50": {name: [r.p50_us for r in of] for name, of in rounds.items()},
        "p99": {name: [r.p99_us for r in of] for name, of in rounds.items()},
    }


def transfers(bench, names):
    """CPU seconds a GiB, down and up, and the most memory that it took."""
    found, upstream = {}, bench.upstream
    for kind in (load.download, load.upload):
        bench.say(f"{kind.__name__} of {upstream.bulk_size >> 20} MiB")
        with Group() as group:
            servers = {name: bench.start(group, name) for name in names}

            def measure(name, kind=kind, servers=servers):
                return kind(servers[name], upstream)

            found[kind.__name__] = in_rounds(bench.size.rounds, names, measure)
            peak = {name: server.memory_kib("VmHWM") for name, server in servers.items()}
            found[f"{kind.__name__} peak"] = peak
    return found


def memory(bench, names):
    """KiB when nobody has asked anything, and for each idle client; CPU of a while without work."""
    found = {"fresh": {}, "own": {}, "idle client": {}, "idle cpu": {}}
    for name in names:
        bench.say(f"memory of {name}")
        with Group() as group:
            server = bench.start(group, name)
            time.sleep(1)
            found["fresh"][name] = server.memory_kib()
            found["own"][name] = server.memory_kib("RssAnon")
            # Everything that the first requests make is there before clients are counted.
            load.full_speed(server, 64, 1)
            time.sleep(1)
            before = server.memory_kib()
            with load.IdleClients(server, bench.size.idle_clients):
                time.sleep(1)
                grown = server.memory_kib() - before
                found["idle client"][name] = grown / bench.size.idle_clients
                cpu = server.cpu_seconds()
                time.sleep(bench.size.idle_seconds)
                spent = server.cpu_seconds() - cpu
                found["idle cpu"][name] = spent / bench.size.idle_seconds * 1000
    return found


def starts(bench):
    """Milliseconds until the first answer, over TLS and without, and of the handshake in between."""
    bench.say("start to first answer")
    found = {"tls": [], "plain": [], "handshake": []}
    folder = bench.folder / "starts"
    folder.mkdir()
    upstream = bench.upstream
    for _ in range(bench.size.starts):
        for kind in ("tls", "plain"):
            tls = kind == "tls"
            port = upstream.tls_port if tls else upstream.plain_port
            url = f"http{'s' if tls else ''}://localhost:{port}"
            env = subjects.proxy_env(folder, url, upstream.ca_file if tls else None)
            port = free_port()
            command = [str(bench.programs.proxy), "serve", "--listen", f"127.0.0.1:{port}"]
            found[kind].append(load.first_answer(command, env, folder, port) * 1000)
        found["handshake"].append(load.handshake(upstream) * 1000)
    return found


def everything(bench):
    """All that the tables are made of."""
    names, clients = bench.names, bench.size.clients
    middle = 64 if 64 in clients else clients[-1]
    without_floor = [name for name in names if name != FLOOR]
    return {
        "speed": at_full_speed(bench, names, clients),
        "plain": at_full_speed(bench, [OURS, NGINX], (middle,), plain=True)[middle]["cpu"],
        "medium": medium_answers(bench, names),
        "http2": http2_clients(bench, [n for n in names if n in subjects.SPEAK_HTTP2]),
        "latency": latency(bench, names),
        "transfers": transfers(bench, without_floor),
        "memory": memory(bench, without_floor),
        "starts": starts(bench),
    }
