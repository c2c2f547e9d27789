"""What `bench/run` and `bench/check` share: building the programs, and the upstream of a run."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

from . import upstream
from .measures import Bench
from .processes import Failed, Group
from .subjects import Programs

ROOT = Path(__file__).resolve().parent.parent.parent
TOOLS = ("cargo", "nginx", "wrk", "h2load", "openssl", "curl")


def build(proxy=None):
    """The proxy's release, unless `proxy` is one already, and the floor program."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
    if proxy is None:
        cargo("build", "--locked", "--release", cwd=ROOT)
        proxy = target / "release" / "hubspot-proxy"
    folder = target / "floor"
    cargo("build", "--locked", "--release", "--target-dir", str(folder), cwd=ROOT / "bench/floor")
    built = Programs(Path(proxy).resolve(), folder / "release/floor", folder / "release/paced")
    if not os.access(built.proxy, os.X_OK):
        raise Failed(f"{built.proxy} is no program")
    return built


def cargo(*arguments, cwd):
    if subprocess.run(["cargo", *arguments, "--quiet"], cwd=cwd).returncode != 0:
        raise Failed(f"cargo {' '.join(arguments)} failed in {cwd}")


@contextmanager
def session(programs, size, names):
    """A folder and an upstream for the time of a run; nothing of either is left."""
    # Files of 256 MiB are served from memory, where there is a file system there.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="bench.", dir=memory) as folder, Group() as group:
        folder = Path(folder)
        os.chmod(folder, 0o755)
        served = upstream.start(group, folder, size.bulk_size)
        yield Bench(programs, folder, served, size, names, say)


def say(what):
    print(f"  {what}", file=sys.stderr, flush=True)


def guarded(name, main):
    """Runs a program's `main`: one sentence for what failed, and an end that ends the servers too."""
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if missing:
        sys.exit(f"{name} needs {', '.join(missing)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        main()
    except Failed as failed:
        sys.exit(f"{name}: {failed}")


def revision():
    """Of the working tree, as git names it."""
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"
