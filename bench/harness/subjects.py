"""The proxies that are measured, each set up for the same job: keep-alive to a TLS upstream whose
certificate is verified, and `Authorization` set."""

import os
import re
import resource
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .processes import CORES, Server, free_port
from .upstream import TOKEN, listen, nginx_version, start_nginx

PEERS = Path(__file__).resolve().parent.parent / "peers"
OURS, FLOOR, NGINX = "proxy", "floor", "nginx"
# HAProxy does not start when it could not hold two of them for each client.
OPEN_FILES = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 40_000)


@dataclass
class Programs:
    """What was built for this run."""

    proxy: Path
    floor: Path
    paced: Path


# Those that take HTTP/2 without TLS; Node's would be another program than its HTTP/1.1 one.
SPEAK_HTTP2 = (OURS, NGINX, "haproxy", "caddy")


def installed():
    """Names of the peers that this machine has, in the order of the tables."""
    found = [OURS, FLOOR, NGINX]
    found += [name for name in ("haproxy", "caddy", "node") if shutil.which(name)]
    return found


def start(name, programs, folder, upstream, plain=False, http2=False, **settings):
    """Starts the subject called `name`, towards a plain upstream or a TLS one, for HTTP/2 clients or
    HTTP/1.1 ones; `settings` are for our own proxy."""
    place = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=folder))
    port = free_port()
    port_behind = upstream.plain_port if plain else upstream.tls_port
    job = Job(name, place, port, port_behind, plain, http2, upstream)
    if name == OURS:
        return proxy(programs, job, **settings)
    if name == FLOOR:
        return floor(programs, job)
    return {"nginx": nginx, "haproxy": haproxy, "caddy": caddy, "node": node}[name](job)


@dataclass
class Job:
    name: str
    folder: Path
    port: int
    upstream_port: int
    plain: bool
    http2: bool
    upstream: object

    @property
    def upstream_url(self):
        return f"http{'' if self.plain else 's'}://localhost:{self.upstream_port}"


def proxy_env(folder, upstream_url, ca_file):
    """What the proxy is configured by; nothing of this shell's own."""
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "HUBSPOT_ACCESS_TOKEN": TOKEN,
        "HUBSPOT_PROXY_UPSTREAM__URL": upstream_url,
    }
    if ca_file:
        env["HUBSPOT_PROXY_UPSTREAM__CA_FILE"] = str(ca_file)
    return env


def proxy(programs, job, config=None, label=None):
    """`config` is the text of a configuration file, `label` tells it from others of this kind."""
    env = proxy_env(job.folder, job.upstream_url, None if job.plain else job.upstream.ca_file)
    command = [str(programs.proxy)]
    if config is not None:
        file = job.folder / f"{label}.toml"
        file.write_text(config)
        command += ["--config", str(file)]
        env["BENCH_TOKEN"] = env.pop("HUBSPOT_ACCESS_TOKEN")
    command += ["serve", "--listen", f"127.0.0.1:{job.port}"]
    return Server(label or job.name, command, job.folder, job.port, env)


def floor(programs, job):
    command = [str(programs.floor), f"127.0.0.1:{job.port}", f"127.0.0.1:{job.upstream_port}",
               str(job.upstream.ca_file), str(CORES)]  # fmt: skip
    return Server(job.name, command, job.folder, job.port, {"FLOOR_TOKEN": TOKEN})


def nginx(job):
    tls = f"""
            proxy_ssl_verify on;
            proxy_ssl_trusted_certificate {job.upstream.ca_file};
            proxy_ssl_protocols TLSv1.2 TLSv1.3;
            proxy_ssl_server_name on;
            proxy_ssl_name localhost;
            proxy_ssl_session_reuse on;"""
    block = f"""
    upstream api {{
        server 127.0.0.1:{job.upstream_port};
        keepalive 256;
        keepalive_requests 1000000;
        keepalive_timeout 600s;
    }}
    server {{
        {listen(job.port, "http2") if job.http2 else listen(job.port)}
        location / {{
            proxy_pass http{"" if job.plain else "s"}://api;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host localhost;
            proxy_set_header Authorization "Bearer {TOKEN}";{"" if job.plain else tls}
        }}
    }}
"""
    return start_nginx(job.name, job.folder, CORES, block, job.port)


def haproxy(job):
    tls = f"ssl verify required ca-file {job.upstream.ca_file} sni str(localhost) alpn http/1.1"
    file = job.folder / "haproxy.cfg"
    file.write_text(
        f"""global
    nbthread {CORES}
    maxconn {OPEN_FILES // 2 - 200}
defaults
    mode http
    timeout connect 10s
    timeout client 600s
    timeout server 120s
    timeout http-keep-alive 600s
    option http-keep-alive
    http-reuse always
frontend clients
    bind 127.0.0.1:{job.port}{" proto h2" if job.http2 else ""}
    default_backend api
backend api
    http-request set-header Host localhost
    http-request set-header Authorization "Bearer {TOKEN}"
    server api 127.0.0.1:{job.upstream_port} pool-max-conn 1024 {"" if job.plain else tls}
"""
    )
    return Server(job.name, ["haproxy", "-db", "-f", str(file)], job.folder, job.port)


def caddy(job):
    tls = f"tls_trusted_ca_certs {job.upstream.ca_file}\n            tls_server_name localhost"
    file = job.folder / "Caddyfile"
    file.write_text(
        f"""{{
    admin off
    auto_https off
    servers {{
        protocols h1 h2c
    }}
}}
http://127.0.0.1:{job.port} {{
    reverse_proxy {job.upstream_url} {{
        header_up Host localhost
        header_up Authorization "Bearer {TOKEN}"
        transport http {{
            keepalive_idle_conns 1024
            keepalive_idle_conns_per_host 1024
            {"" if job.plain else tls}
        }}
    }}
}}
"""
    )
    env = {"PATH": os.environ["PATH"], "HOME": str(job.folder)}
    command = ["caddy", "run", "--config", str(file), "--adapter", "caddyfile"]
    return Server(job.name, command, job.folder, job.port, env)


def node(job):
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(job.folder),
        "TOKEN": TOKEN,
        "LISTEN": str(job.port),
        "UPSTREAM": job.upstream_url,
        "CA_FILE": str(job.upstream.ca_file),
        "WORKERS": str(CORES),
    }
    return Server(job.name, ["node", str(PEERS / "node-proxy.mjs")], job.folder, job.port, env)


def versions(programs):
    """Each program's own word."""

    def first_line(*command):
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
        return (done.stdout + done.stderr).strip().splitlines()[0]

    found = {OURS: first_line(str(programs.proxy), "--version")}
    found[NGINX] = ".".join(map(str, nginx_version()))
    for name, command in (("haproxy", "-v"), ("caddy", "version"), ("node", "--version")):
        if shutil.which(name):
            line = first_line(name, command)
            found[name] = re.search(r"v?(\d+\.[\d.]+\S*)", line).group(1)
    return found
