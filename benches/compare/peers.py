"""The servers that are compared: how each is installed and started."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Callable

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
HOME = REPOSITORY / "target" / "compare"
CARGO_TARGET = HOME / "build"
GENERATOR = CARGO_TARGET / "release" / "townhall-load"
CERTIFICATE = HOME / "tls" / "cert.pem"
KEY = HOME / "tls" / "key.pem"


@dataclass(frozen=True)
class Setting:
    """What a server is to do in a run."""

    mode: str
    deflate: str
    connections: int
    # The length of a message, where there is one.
    size: int
    # Whether it is to speak TLS, with the certificate above.
    tls: bool = False
    # The port of the server behind it, if it is a proxy.
    upstream: int = 0


@dataclass(frozen=True)
class Server:
    """A server under test."""

    title: str
    install: Callable[[], None]
    command: Callable[..., list]
    # The program does not tell its port: its command is made for a free one.
    is_told_its_port: bool = False
    # What the load generator must know.
    load_flags: tuple = ()
    # It is a proxy, and ends TLS before this server, which is plain.
    before: str = ""
    # It stays plain where the others speak TLS.
    is_plain: bool = False


def show(*command, cwd=REPOSITORY):
    """Show a command, then run it."""
    print("+", *command, flush=True)
    subprocess.run(command, cwd=cwd, check=True)


@cache
def build(manifest):
    """Build a crate of the comparison."""
    show("cargo", "build", "--release", "--quiet", "--manifest-path", str(manifest),
         "--target-dir", str(CARGO_TARGET))


def build_generator():
    """Build the load generator."""
    build(HERE / "load" / "Cargo.toml")


def make_certificate():
    """Make a certificate for localhost and its key, with ECDSA on P-256."""
    CERTIFICATE.parent.mkdir(parents=True, exist_ok=True)
    show("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "30", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", KEY, "-out", CERTIFICATE)


def certificate_flags(setting):
    """Return the flags with which most servers of the comparison are given the certificate."""
    return ["--cert", CERTIFICATE, "--key", KEY] if setting.tls else []


def install_townhall():
    """Build townhall, unless TOWNHALL names a binary."""
    if "TOWNHALL" not in os.environ:
        show("cargo", "build", "--release", "--quiet")


# The peers have no such limits. Those of an address do not count on the loopback interface.
NO_LIMITS = ("--max-messages-per-second", 1_000_000_000, "--max-bytes-per-second", 1_000_000_000,
             "--max-incomplete-size", 1 << 32, "--max-total-backlog-size", 1 << 32,
             "--max-rooms", 15_000)
# Longer than any load lasts: the generator does not answer pings.
NO_PINGS = ("--ping-interval", "600s")


def townhall(setting):
    """Return townhall's command line."""
    binary = REPOSITORY / os.environ.get("TOWNHALL", "target/release/townhall")
    tls = ["--tls-cert", CERTIFICATE, "--tls-key", KEY] if setting.tls else []
    address = "https://127.0.0.1:0" if setting.tls else "127.0.0.1:0"
    return [binary, "--listen", address, *tls, "--mode", setting.mode, "--log-level", "off",
            "--max-connections", setting.connections, *NO_LIMITS, *NO_PINGS,
            "--deflate", "off" if setting.deflate == "off" else "on"]


def npm(name):
    """Return what installs a peer from npm, in a copy that git does not see."""
    def install():
        copy = HOME / name
        wanted = (HERE / "peers" / name / "package.json").read_text()
        stamp = copy / "installed"
        shutil.copytree(HERE / "peers" / name, copy, dirs_exist_ok=True)
        # Written last, so that an installation cut short is done again.
        if not stamp.exists() or stamp.read_text() != wanted:
            show("npm", "install", "--no-package-lock", "--no-audit", "--no-fund", cwd=copy)
            stamp.write_text(wanted)
    return install


def script(name, runtime):
    """Return the command line of a peer in JavaScript."""
    def command(setting):
        return [runtime, HOME / name / "server.js", "--mode", setting.mode,
                "--deflate", setting.deflate, *certificate_flags(setting)]
    return command


def crate(name, title):
    """Return a peer that is a crate beside this file."""
    return Server(
        title=title,
        install=lambda: build(HERE / "peers" / name / "Cargo.toml"),
        command=lambda setting: [CARGO_TARGET / "release" / f"townhall-compare-{name}",
                                 setting.mode],
    )


def floor(form, title, is_plain=False):
    """Return the program that moves the same bytes without a protocol, in one of its forms."""
    return Server(
        title=title,
        install=lambda: build(HERE / "peers" / "floor" / "Cargo.toml"),
        command=lambda setting: [CARGO_TARGET / "release" / "townhall-compare-floor",
                                 setting.mode, form, setting.size, *certificate_flags(setting)],
        load_flags=("--zero-mask",),
        is_plain=is_plain,
    )


WSBROAD = "0.3.0"


def install_wsbroad():
    """Install the published program, unless it is there."""
    show("cargo", "install", "wsbroad", "--quiet", "--locked", "--version", WSBROAD,
         "--root", str(HOME / "wsbroad"), "--target-dir", str(CARGO_TARGET))


NGINX = HOME / "debian" / "usr" / "sbin" / "nginx"

# With what its documentation says about WebSocket, and nothing else that costs or saves time.
NGINX_CONFIGURATION = """
daemon off;
master_process off;
pid {home}/pid;
error_log stderr;
worker_rlimit_nofile {files};
events {{ worker_connections {files}; }}
http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl backlog=4096;
        ssl_protocols TLSv1.3;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        location / {{
            proxy_pass http://127.0.0.1:{upstream};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
            proxy_set_header Host $http_host;
            proxy_read_timeout 1h;
        }}
    }}
}}
"""


def install_nginx():
    """Unpack Debian's package, and build the server behind it."""
    install_townhall()
    show(REPOSITORY / "tests" / "clients" / "debian", HOME / "debian", "nginx")


def nginx(setting, port):
    """Return nginx's command line, after writing what it serves."""
    home = HOME / "nginx"
    home.mkdir(parents=True, exist_ok=True)
    (home / "nginx.conf").write_text(NGINX_CONFIGURATION.format(
        home=home, port=port, upstream=setting.upstream, certificate=CERTIFICATE, key=KEY,
        files=2 * setting.connections + 100))
    return [NGINX, "-e", "stderr", "-c", home / "nginx.conf"]


BUN = HOME / "bun" / "node_modules" / "@oven" / "bun-linux-x64" / "bin" / "bun"

SERVERS = {
    "townhall": Server("townhall", install_townhall, townhall),
    "bun": Server("Bun", npm("bun"), script("bun", BUN)),
    "ws": Server("Node ws", npm("ws"), script("ws", "node")),
    "tungstenite": crate("tungstenite", "tungstenite"),
    "tokio-websockets": crate("tokio-websockets", "tokio-websockets"),
    "fastwebsockets": crate("fastwebsockets", "fastwebsockets"),
    "wsbroad": Server(
        title="wsbroad",
        install=install_wsbroad,
        # Without backpressure a message may stay in its buffers until the next one comes.
        command=lambda _setting, port: [HOME / "wsbroad" / "bin" / "wsbroad", "--reflexive", "--nodelay",
                                  "--backpressure", "--max-urls", 15_000,
                                  f"127.0.0.1:{port}"],
        is_told_its_port=True,
    ),
    "nginx": Server("nginx, townhall behind it", install_nginx, nginx, is_told_its_port=True,
                    before="townhall"),
    "floor-message": floor("message", "*floor, a send per message*"),
    "floor-round": floor("round", "*floor, a send per round*"),
    "floor-plain": floor("round", "*floor, without TLS*", is_plain=True),
}
