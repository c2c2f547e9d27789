"""The upstream: nginx with a certificate of this run's own authority, which answers only those who
show the token."""

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .processes import Failed, Server, free_port

TOKEN = "bench-access-token-of-the-usual-length-0123456789abcdef"
# 1.5 KB of JSON, as a page of ten contacts has.
SMALL = "/crm/v3/objects/contacts?limit=10"
SMALL_SIZE = 1536
MEDIUM = "/files/medium"
MEDIUM_SIZE = 64 * 1024
BULK = "/files/bulk"
UPLOAD = "/uploads"


@dataclass
class Upstream:
    """Where it listens, and what it serves."""

    folder: Path
    tls_port: int
    plain_port: int
    bulk_size: int

    @property
    def ca_file(self):
        return self.folder / "ca.pem"

    @property
    def bulk_file(self):
        return self.folder / "files" / "bulk"


def start(group, folder, bulk_size, workers=1):
    """Makes the certificates and files, and starts nginx over them."""
    make_certificates(folder)
    files = folder / "files"
    files.mkdir()
    (files / "medium").write_bytes(os.urandom(MEDIUM_SIZE))
    with (files / "bulk").open("wb") as bulk:
        block = os.urandom(1 << 20)
        for _ in range(bulk_size >> 20):
            bulk.write(block)
    upstream = Upstream(folder, free_port(), free_port(), bulk_size)
    group.add(start_nginx("upstream", folder, workers, config(upstream), upstream.tls_port))
    return upstream


def make_certificates(folder):
    """An authority, and a certificate for localhost that it signed."""

    def openssl(*args):
        done = subprocess.run(["openssl", *args], cwd=folder, capture_output=True, text=True, timeout=30)
        if done.returncode != 0:
            raise Failed(f"openssl {args[0]}: {done.stderr}")

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
            "-subj", "/CN=bench authority")  # fmt: skip
    openssl("req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", "2", "-extfile", "names", "-out", "server.pem")  # fmt: skip


def nginx_version():
    said = subprocess.run(["nginx", "-v"], capture_output=True, text=True, timeout=10).stderr
    return tuple(int(part) for part in re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", said).groups())


def start_nginx(name, folder, workers, http_block, port):
    """One nginx with folders of its own, not yet waited for."""
    folder = folder / f"nginx-{name}"
    folder.mkdir()
    user = "user root;" if os.geteuid() == 0 else ""
    temp = "\n".join(
        f"    {kind}_temp_path {folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file = folder / "nginx.conf"
    file.write_text(
        f"""{user}
daemon off;
worker_processes {workers};
worker_rlimit_nofile 65536;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 20000; }}
http {{
    access_log off;
    default_type application/json;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    client_max_body_size 0;
{temp}
{http_block}
}}
"""
    )
    return Server(name, ["nginx", "-p", str(folder), "-c", str(file)], folder, port)


def listen(port, *options):
    """The directives for a loopback address; `http2` was a parameter before it became a directive."""
    directive = "http2" in options and nginx_version() >= (1, 25, 1)
    parameters = [option for option in options if not (directive and option == "http2")]
    line = " ".join(["listen", f"127.0.0.1:{port}", *parameters]) + ";"
    return line + (" http2 on;" if directive else "")


def config(upstream):
    folder = upstream.folder
    body = json.dumps({"results": [], "padding": ""})
    body = body.replace('""', '"' + "x" * (SMALL_SIZE - len(body)) + '"')
    # An upload is read to its end before it is answered: what nginx answers by itself it would
    # answer at once, and the rest of the body would be nobody's.
    return f"""
    server {{
        {listen(upstream.tls_port, "ssl", "http2")}
        listen 127.0.0.1:{upstream.plain_port};
        ssl_certificate {folder}/server.pem;
        ssl_certificate_key {folder}/server.key;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_session_cache shared:tls:10m;
        if ($http_authorization != "Bearer {TOKEN}") {{ return 401; }}
        location / {{ return 200 '{body}'; }}
        location /files/ {{ root {folder}; }}
        location {UPLOAD} {{
            client_body_buffer_size {upstream.bulk_size + (1 << 20)};
            proxy_pass http://unix:{folder}/sink;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
        }}
    }}
    server {{
        listen unix:{folder}/sink;
        return 204;
    }}
"""
