"""What one request costs inside: the micro-benchmarks, and the allocations on its whole way."""

import subprocess

from .processes import Failed
from .session import ROOT


def measure(say):
    """Their own words, as Markdown."""
    say("stages and allocations of one request")
    stages = bench("stages")
    allocations = bench("allocations")
    return f"```text\n{stages}\n```\n\n{allocations}"


def bench(name):
    command = ["cargo", "bench", "--locked", "--quiet", "--bench", name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"cargo bench --bench {name}: {done.stderr[-2000:]}")
    lines = [line.rstrip() for line in done.stdout.strip().splitlines()]
    return "\n".join(line for line in lines if not line.startswith("Timer precision"))
