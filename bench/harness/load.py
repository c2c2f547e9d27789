"""What drives a server: many clients at full speed, one rate, one large transfer, idle clients."""

import os
import re
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass

from .processes import Failed
from .upstream import BULK, SMALL, TOKEN, UPLOAD


@dataclass
class Round:
    """What one round of `wrk` came to."""

    cpu_us: float  # of the server's processes, for each request
    per_second: float
    requests: int


@dataclass
class Paced:
    """Latency at a fixed rate."""

    p50_us: float
    p99_us: float


def check(server, target, size):
    """One request, to see that the answer is the upstream's whole one."""
    try:
        with urllib.request.urlopen(server.url + target, timeout=10) as answer:
            body = answer.read()
    except (urllib.error.URLError, OSError) as error:
        raise Failed(f"{server.name} at {server.url}: {error}\n{server.said()}") from error
    if len(body) != size:
        raise Failed(f"{server.name}: {len(body)} bytes where {size} were expected")


def full_speed(server, connections, seconds, target=SMALL):
    """Keep-alive clients that each send a request as soon as they have the last answer."""
    command = ["wrk", f"-t{min(2, connections)}", f"-c{connections}", f"-d{seconds}s",
               "--timeout", "10s", server.url + target]  # fmt: skip
    before = server.cpu_seconds()
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30)
    cpu = server.cpu_seconds() - before
    said = done.stdout + done.stderr
    requests = re.search(r"(\d+) requests in", said)
    trouble = re.search(r"Non-2xx or 3xx responses: .*|Socket errors: .*", said)
    if done.returncode != 0 or trouble or not requests or int(requests.group(1)) == 0:
        raise Failed(f"{server.name}: {trouble.group(0) if trouble else said}\n{server.said()}")
    count = int(requests.group(1))
    per_second = float(re.search(r"Requests/sec:\s+([\d.]+)", said).group(1))
    return Round(cpu / count * 1e6, per_second, count)


def over_http2(server, connections, streams, seconds, target=SMALL):
    """HTTP/2 clients, each with so many requests under way."""
    command = ["h2load", f"-t{min(2, connections)}", f"-c{connections}", f"-m{streams}", f"-D{seconds}",
               server.url + target]  # fmt: skip
    before = server.cpu_seconds()
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30)
    cpu = server.cpu_seconds() - before
    said = done.stdout + done.stderr
    counts = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored", said)
    if done.returncode != 0 or not counts or counts.groups()[1:] != ("0", "0"):
        raise Failed(f"{server.name}: {said[-800:]}\n{server.said()}")
    count = int(counts.group(1))
    if count == 0 or int(re.search(r"status codes: (\d+) 2xx", said).group(1)) < count:
        raise Failed(f"{server.name}: {said[-800:]}\n{server.said()}")
    per_second = float(re.search(r", ([\d.]+) req/s", said).group(1))
    return Round(cpu / count * 1e6, per_second, count)


def at_a_rate(program, port, rate, seconds, connections, ca_file=None):
    """`paced` against a server on loopback; with `ca_file` over TLS, and with the token."""
    command = [str(program), f"127.0.0.1:{port}", SMALL, str(rate), str(seconds), str(connections)]
    env = {}
    if ca_file:
        command.append(str(ca_file))
        env["PACED_TOKEN"] = TOKEN
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=seconds + 60)
    if done.returncode != 0:
        raise Failed(f"port {port}: {done.stderr}")
    found = dict(line.split() for line in done.stdout.splitlines())
    return Paced(float(found["p50_us"]), float(found["p99_us"]))


def download(server, upstream):
    """CPU seconds of the server for each GiB of one large answer."""
    return transfer(server, upstream, ["-o", "/dev/null", server.url + BULK], "size_download")


def upload(server, upstream):
    """CPU seconds of the server for each GiB of one large request."""
    # Without `Expect`, which would measure a wait.
    sent = ["-X", "POST", "-T", str(upstream.bulk_file), "-H", "Expect:", server.url + UPLOAD]
    return transfer(server, upstream, sent, "size_upload")


def transfer(server, upstream, arguments, counted):
    before = server.cpu_seconds()
    command = ["curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", "120",
               "-w", f"%{{http_code}} %{{{counted}}}", *arguments]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=130)
    cpu = server.cpu_seconds() - before
    status, _, size = done.stdout.partition(" ")
    if done.returncode != 0 or not status.startswith("2") or int(size) != upstream.bulk_size:
        raise Failed(f"{server.name}: {done.stdout} {done.stderr}\n{server.said()}")
    return cpu / (upstream.bulk_size / (1 << 30))


class IdleClients:
    """Keep-alive connections that have had an answer and ask no more."""

    def __init__(self, server, count, target=SMALL):
        request = f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode()
        self.sockets = []
        for _ in range(count):
            client = socket.create_connection(("127.0.0.1", server.port), timeout=10)
            self.sockets.append(client)
            client.sendall(request)
            read_answer(client, server)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for client in self.sockets:
            client.close()


def read_answer(client, server):
    received = b""
    while True:
        head, end, body = received.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if end and not head.startswith(b"HTTP/1.1 200 "):
            raise Failed(f"{server.name}: {head[:80]!r}")
        if end and length and int(length.group(1)) <= len(body):
            return
        # An answer in chunks ends in an empty one.
        if end and not length and received.endswith(b"0\r\n\r\n"):
            return
        more = client.recv(1 << 16)
        if not more:
            raise Failed(f"{server.name} closed a connection in mid-answer")
        received += more


def first_answer(command, env, folder, port):
    """Seconds from the start of a program until the first byte of its first answer."""
    request = f"GET {SMALL} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    with open(folder / "start.log", "wb") as log:
        redirect = [(os.POSIX_SPAWN_DUP2, log.fileno(), 1), (os.POSIX_SPAWN_DUP2, log.fileno(), 2)]
        began = time.perf_counter()
        pid = os.posix_spawn(command[0], command, env, file_actions=redirect)
        try:
            while True:
                with socket.socket() as client:
                    client.settimeout(10)
                    if client.connect_ex(("127.0.0.1", port)) == 0:
                        client.sendall(request)
                        answer = client.recv(64)
                        taken = time.perf_counter() - began
                        break
                if time.perf_counter() - began > 10:
                    raise Failed(f"{command[0]} does not listen within 10 s")
                time.sleep(0.0002)
        finally:
            os.kill(pid, 15)
            os.waitpid(pid, 0)
    if not answer.startswith(b"HTTP/1.1 200"):
        raise Failed(f"{command[0]}: {answer!r}")
    return taken


def handshake(upstream):
    """Seconds for a TCP connection and a TLS handshake straight with the upstream."""
    context = ssl.create_default_context(cafile=str(upstream.ca_file))
    began = time.perf_counter()
    with (
        socket.create_connection(("127.0.0.1", upstream.tls_port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost"),
    ):
        return time.perf_counter() - began
