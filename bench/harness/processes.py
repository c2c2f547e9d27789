"""Processes that a run starts, what they cost, and their end."""

import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
CORES = len(os.sched_getaffinity(0))


class Failed(Exception):
    """Something that makes the figures worthless; the message says what."""


class Server:
    """A process that this run started, with its descendants."""

    def __init__(self, name, command, folder, port, env=None):
        self.name = name
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / f"{name}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self):
        """Until it listens."""
        deadline = time.monotonic() + 15
        while not self.listens():
            if self.process.poll() is not None:
                raise Failed(f"{self.name} ended:\n{self.said()}")
            if time.monotonic() > deadline:
                raise Failed(f"{self.name} does not listen:\n{self.said()}")
            time.sleep(0.02)
        return self

    def listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def said(self):
        return self.log.read_text(errors="replace")[-3000:]

    def pids(self):
        """Its process and all below it."""
        parents = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    parents[int(entry.name)] = int(stat_fields(entry.name)[1])
                except (FileNotFoundError, ProcessLookupError):
                    continue  # ended while we looked
        tree = [self.process.pid]
        for pid in tree:
            tree += [child for child, parent in parents.items() if parent == pid]
        return tree

    def cpu_seconds(self):
        """User and system time so far, of all threads that live."""
        return sum(cpu_seconds_of(pid) for pid in self.pids())

    def memory_kib(self, field="VmRSS"):
        """Sum over the processes: pages that they share are counted in each."""
        total = 0
        for pid in self.pids():
            status = Path(f"/proc/{pid}/status").read_text()
            total += int(re.search(rf"^{field}:\s+(\d+)", status, re.M).group(1))
        return total

    def stop(self):
        # The group is this server's own: it was started as the leader of a new session.
        for sig, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
            try:
                os.killpg(self.process.pid, sig)
                self.process.wait(patience)
                return
            except ProcessLookupError:
                return
            except subprocess.TimeoutExpired:
                continue


def cpu_seconds_of(pid):
    """The scheduler's own count has nanoseconds; that in `stat` has the length of a tick."""
    tasks = Path(f"/proc/{pid}/task")
    try:
        counts = [(task / "schedstat").read_text().split()[0] for task in tasks.iterdir()]
        return sum(map(int, counts)) / 1e9
    except FileNotFoundError:
        fields = stat_fields(pid)
        return (int(fields[11]) + int(fields[12])) / TICKS


def stat_fields(pid):
    """/proc/PID/stat from the state on; the name before it may hold spaces."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Group:
    """Servers that end together, the last started first."""

    def __init__(self):
        self.servers = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in reversed(self.servers):
            server.stop()

    def add(self, server):
        self.servers.append(server)
        return server.wait()
