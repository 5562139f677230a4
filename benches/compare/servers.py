"""The servers that are compared."""

from peers import (HOME, Server, crate, floor, install_nchan, install_nginx, install_townhall, install_wsbroad,
                   nchan, nginx, npm, script, townhall, townhall_history)
from shared import nchan_shared, operators, socket_io, townhall_shared

BUN = HOME / "bun" / "node_modules" / "@oven" / "bun-linux-x64" / "bin" / "bun"

SERVERS = {
    "townhall": Server("townhall", install_townhall, townhall),
    "townhall-history": Server("townhall, history", install_townhall, townhall_history),
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
    "nchan": Server("nchan", install_nchan, nchan, is_told_its_port=True, has_worker=True),
    "townhall-redis": Server("townhall on Redis", install_townhall, townhall_shared, is_shared=True, operators=operators,
                             shared_flags=("--above", "words")),
    "socket.io": Server("Socket.IO on Redis", npm("socket.io"), socket_io, is_shared=True,
                        shared_flags=("--above", "socket-io", "--any-order")),
    "nchan-redis": Server("nchan on Redis", install_nchan, nchan_shared, is_told_its_port=True,
                          has_worker=True, is_shared=True),
    "floor-message": floor("message", "*floor, a send per message*"),
    "floor-round": floor("round", "*floor, a send per round*"),
    "floor-plain": floor("round", "*floor, without TLS*", is_plain=True),
}
