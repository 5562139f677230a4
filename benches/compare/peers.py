"""How each server that is compared is installed and started."""

import os
import shutil
import subprocess
from dataclasses import dataclass, replace
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
TOKENS = HOME / "tokens"


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
    # The algorithm of the tokens that it is to require, if any.
    algorithm: str = ""
    # How many messages of each room it is to keep for members that come back.
    history: int = 0
    # The port of the server behind it, if it is a proxy.
    upstream: int = 0
    # The port of Redis, if its processes share rooms through that, and which of them it is, from 0.
    redis: int = 0
    index: int = 0


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
    # Its processes share rooms through Redis, and what the load generator must know about them.
    is_shared: bool = False
    # It listens before it is ready: where the Unix socket is that answers /ready.
    operators: Callable[[Setting], Path] | None = None
    shared_flags: tuple = ()
    # It is a proxy, and ends TLS before this server, which is plain.
    before: str = ""
    # The process that is started has another one that does the work.
    has_worker: bool = False
    # It stays plain where the others speak TLS.
    is_plain: bool = False


def show(*command, cwd=REPOSITORY):
    """Show a command, then run it."""
    print("+", *command, flush=True)
    subprocess.run(command, cwd=cwd, check=True)


def as_root():
    """Return what precedes a command that only root may run."""
    return [] if os.geteuid() == 0 else ["sudo"]


def install_program(name):
    """Install Debian's package with a program of the same name, unless the program is there."""
    if shutil.which(name) is None:
        show(*as_root(), "apt-get", "update", "-qq")
        show(*as_root(), "apt-get", "install", "-y", "-qq", "--no-install-recommends", name)


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


TOWNHALL = REPOSITORY / os.environ.get("TOWNHALL", "target/release/townhall")


def install_townhall():
    """Build townhall, unless TOWNHALL names a binary."""
    if "TOWNHALL" not in os.environ:
        show("cargo", "build", "--release", "--quiet")


# What openssl makes a key of, for each algorithm with two keys.
KEY_PAIRS = {
    "EdDSA": ["-algorithm", "ed25519"],
    "ES256": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "RS256": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
}


def make_token(algorithm):
    """Make a key for tokens, and a token for all rooms."""
    TOKENS.mkdir(parents=True, exist_ok=True)
    public, private = token_file(algorithm, "public"), token_file(algorithm, "private")
    if algorithm in KEY_PAIRS:
        show("openssl", "genpkey", "-quiet", *KEY_PAIRS[algorithm], "-out", private)
        show("openssl", "pkey", "-in", private, "-pubout", "-out", public)
    else:
        # A secret is both.
        show("openssl", "rand", "-hex", "-out", private, "32")
        shutil.copy(private, public)
    command = [TOWNHALL, "token", "--key-file", private, "--sub", "42", "--join", "/*", "--ttl", "1day"]
    token = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    token_file(algorithm, "token").write_text(token)


def token_file(algorithm, kind):
    """Return the file with a key or a token."""
    return TOKENS / f"{algorithm}-{kind}"


def token_of(algorithm):
    """Return the token of an algorithm."""
    return token_file(algorithm, "token").read_text().strip()


# The peers have no such limits. Those of an address do not count on the loopback interface.
NO_LIMITS = ("--max-messages-per-second", 1_000_000_000, "--max-bytes-per-second", 1_000_000_000,
             "--max-incomplete-size", 1 << 32, "--max-total-backlog-size", 1 << 32,
             "--max-rooms", 15_000)
# Longer than any load lasts: the generator does not answer pings.
NO_PINGS = ("--ping-interval", "600s")


def townhall(setting):
    """Return townhall's command line."""
    tls = ["--tls-cert", CERTIFICATE, "--tls-key", KEY] if setting.tls else []
    address = "https://127.0.0.1:0" if setting.tls else "127.0.0.1:0"
    key = ["--auth-key-file", token_file(setting.algorithm, "public")] if setting.algorithm else []
    history = ["--history-messages", setting.history] if setting.history else []
    return [TOWNHALL, "--listen", address, *tls, *key, *history, "--mode", setting.mode, "--log-level", "off",
            "--max-connections", setting.connections, *NO_LIMITS, *NO_PINGS,
            "--deflate", "off" if setting.deflate == "off" else "on"]


def townhall_history(setting):
    """Return the command line of townhall with history, which rows for both name."""
    return townhall(replace(setting, history=1_000))


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
                "--deflate", setting.deflate, *certificate_flags(setting),
                *(["--history", setting.history] if setting.history else [])]
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


DEBIAN = HOME / "debian"
NGINX = DEBIAN / "usr" / "sbin" / "nginx"
NCHAN = DEBIAN / "usr" / "lib" / "nginx" / "modules" / "ngx_nchan_module.so"

# What nginx needs to run from a directory, and nothing else that costs or saves time.
NGINX_CONFIGURATION = """
{main}
daemon off;
pid {home}/pid;
error_log stderr {level};
worker_rlimit_nofile {files};
events {{ worker_connections {files}; }}
http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    {http}
    server {{
        {server}
    }}
}}
"""

# What its documentation says about WebSocket.
PROXY = """
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
"""

# A back end keeps its connection.
PUBLISHING = """
        listen 127.0.0.1:{port} backlog=4096;
        keepalive_requests 1000000000;
        location / {{
            nchan_publisher http;
            nchan_subscriber websocket;
            nchan_channel_id $uri;
            {history}
        }}
"""

# A member names the last message that it has, as it is named in the answer to a publish.
HISTORY = """nchan_message_buffer_length {length};
            nchan_subscriber_last_message_id $arg_after;"""

# The module's directory for bodies, wherever the configuration puts them.
NCHAN_BODIES = Path("/var/lib/nginx/body")


def install_debian():
    """Unpack Debian's packages."""
    show(REPOSITORY / "tests" / "clients" / "debian", DEBIAN, "nginx", "libnginx-mod-nchan")


def install_nginx():
    """Install nginx, and build the server behind it."""
    install_townhall()
    install_debian()


def install_nchan():
    """Install nginx with nchan."""
    install_debian()
    if not NCHAN_BODIES.is_dir():
        show(*as_root(), "mkdir", "-p", NCHAN_BODIES)


def nginx(setting, port):
    """Return nginx's command line, after writing what it serves."""
    server = PROXY.format(port=port, upstream=setting.upstream, certificate=CERTIFICATE, key=KEY)
    return configured("nginx", "master_process off;", server, setting)


def nchan(setting, port):
    """Return the command line of nginx with nchan. Without a master, it fails when it ends."""
    main = f"load_module {NCHAN};\nworker_processes 1;"
    history = HISTORY.format(length=setting.history) if setting.history else "nchan_store_messages off;"
    return configured("nchan", main, PUBLISHING.format(port=port, history=history), setting)


def configured(name, main, server, setting, http="", level="error"):
    """Return nginx's command line, after writing its configuration."""
    home = HOME / name
    home.mkdir(parents=True, exist_ok=True)
    (home / "nginx.conf").write_text(NGINX_CONFIGURATION.format(
        home=home, main=main, http=http, level=level, server=server, files=2 * setting.connections + 100))
    return [NGINX, "-e", "stderr", "-c", home / "nginx.conf"]
