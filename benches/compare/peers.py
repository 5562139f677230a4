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


@dataclass(frozen=True)
class Setting:
    """What a server is to do in a run."""

    mode: str
    deflate: str
    connections: int
    # The length of a message, where there is one.
    size: int


@dataclass(frozen=True)
class Server:
    """A server under test."""

    title: str
    install: Callable[[], None]
    command: Callable[[Setting], list]
    # The program takes an address as its last argument, and does not tell its port.
    is_told_its_port: bool = False
    # What the load generator must know.
    load_flags: tuple = ()


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
    return [binary, "--listen", "127.0.0.1:0", "--mode", setting.mode, "--log-level", "off",
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
                "--deflate", setting.deflate]
    return command


def crate(name, title):
    """Return a peer that is a crate beside this file."""
    return Server(
        title=title,
        install=lambda: build(HERE / "peers" / name / "Cargo.toml"),
        command=lambda setting: [CARGO_TARGET / "release" / f"townhall-compare-{name}",
                                 setting.mode],
    )


def floor(form, title):
    """Return the program that moves the same bytes without a protocol, in one of its forms."""
    return Server(
        title=title,
        install=lambda: build(HERE / "peers" / "floor" / "Cargo.toml"),
        command=lambda setting: [CARGO_TARGET / "release" / "townhall-compare-floor",
                                 setting.mode, form, setting.size],
        load_flags=("--zero-mask",),
    )


WSBROAD = "0.3.0"


def install_wsbroad():
    """Install the published program, unless it is there."""
    show("cargo", "install", "wsbroad", "--quiet", "--locked", "--version", WSBROAD,
         "--root", str(HOME / "wsbroad"), "--target-dir", str(CARGO_TARGET))


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
        command=lambda _setting: [HOME / "wsbroad" / "bin" / "wsbroad", "--reflexive", "--nodelay",
                                  "--backpressure", "--max-urls", 15_000],
        is_told_its_port=True,
    ),
    "floor-message": floor("message", "*floor, a send per message*"),
    "floor-round": floor("round", "*floor, a send per round*"),
}
