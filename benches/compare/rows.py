"""The rows of the table: which load meets which servers."""

import resource
from dataclasses import replace

from row import ALGORITHMS, Row, server_of

RUST = ("tungstenite", "tokio-websockets", "fastwebsockets")
PEERS = ("bun", "ws", *RUST)
FLOORS = ("floor-message", "floor-round")
BROADCAST = ("townhall", *PEERS, "wsbroad", *FLOORS)
# Servers with rooms.
ROOMS = ("townhall", "bun", "ws", "wsbroad")
# Servers that are compiled ahead, so that instructions can be counted.
NATIVE = ("townhall", "townhall-history", *RUST, "wsbroad", *FLOORS)
DEFLATE = ("townhall:takeover", "townhall:none", "bun:takeover", "ws:takeover", "ws:none")

# Servers in which a back end publishes with HTTP.
PUBLISHING = ("townhall", "nchan", "ws")
# Servers that keep messages for members that come back.
RESUMING = ("townhall:words", "townhall", "nchan", "ws")
# townhall with history, which nobody uses, and without.
HISTORY = ("townhall", "townhall-history")

# Servers whose processes share rooms through Redis.
SHARED = ("townhall-redis:1", "townhall-redis:2", "townhall-redis:4", "socket.io:2", "nchan-redis:2")

# Over TLS: Bun and nginx use C libraries of their own, ws what Node has.
TLS = ("townhall", "bun", "ws", "nginx")
TLS_FLOORS = ("floor-round", "floor-plain")


def everyone(members, rounds):
    """Each member sends, and waits until it has received a message from everybody."""
    return Row(
        name="everyone",
        title=f"everyone talks: {members:,} members, 20 B",
        flags={"members": members, "bytes": 20},
        work=("rounds", rounds),
        # A round of 2,000 members takes the slowest half a minute.
        contestants=tuple(name for name in BROADCAST
                          if members < 2_000 or name not in ("ws", "wsbroad")),
        connections=members,
    )


def broadcast(members, senders, in_flight, size, deliveries):
    """A few members send, and all receive."""
    who = "1 sender" if senders == 1 else f"{senders} senders"
    return Row(
        name="broadcast",
        title=f"broadcast: {members:,} members, {who}, {in_flight} in flight, {size} B",
        flags={"members": members, "senders": senders, "in-flight": in_flight, "bytes": size},
        work=("messages", deliveries // members),
        # With several messages in flight, members of wsbroad sometimes receive different ones.
        contestants=tuple(name for name in BROADCAST
                          if name != "wsbroad" or senders == in_flight == 1),
        connections=members,
        gathers=in_flight > 1,
        least=2 * senders * in_flight,
    )


# The peer with the highest capacity, which is measured first if messages are sent at a rate.
BEST_PEER = "bun"
CAPACITY = broadcast(100, 4, 32, 50, 4_000_000).only([BEST_PEER])


def latency(share):
    """As broadcast, but at a share of the rate that the best peer can keep."""
    return Row(
        name="latency",
        load="broadcast",
        title=f"latency: 100 members, 4 senders, 50 B, at {share:.0%} of what Bun carries",
        flags={"members": 100, "senders": 4, "bytes": 50},
        work=("messages", 1_000_000),
        contestants=("townhall", "bun", "floor-round"),
        connections=100,
        least=8,
        share=share,
    )


def neighbour(members, size, messages):
    """A member of another room waits for its own messages while one room is flooded."""
    return Row(
        name="neighbour",
        title=f"a quiet room beside a flooded one: {members:,} members, {amount(size)}",
        flags={"members": members, "bytes": size},
        work=("messages", messages),
        contestants=("townhall", "bun", "ws"),
        connections=members + 1,
        gathers=False,
        least=40,
    )


def growth(members, rooms, deliveries):
    """One member of each room sends, and all its members receive: the cost of more members and rooms."""
    each = members // rooms
    known = ROOMS if rooms > 1 else (*ROOMS, *FLOORS)
    who = "1 member" if each == 1 else f"{each:,} members"
    return Row(
        name="growth",
        load="broadcast",
        title=f"growth: {rooms:,} {'room' if rooms == 1 else 'rooms'} of {who}, 1 sender, 50 B",
        flags={"members": members, "rooms": rooms, "senders": 1, "bytes": 50},
        work=("messages", deliveries // each),
        contestants=known,
        connections=members,
        gathers=False,
        least=2 * rooms,
    )


def deflate(members, size, in_flight, messages, senders=4):
    """The same in compressed JSON. The warm-up fills a window of 32 KiB, and is so long that the member that
    joins in the middle of it does not come after the last message."""
    who = "1 sender" if senders == 1 else f"{senders} senders"
    return Row(
        name="deflate",
        title=f"broadcast, compressed: {members:,} members, {who}, {in_flight} in flight, "
              f"{size} B of JSON",
        flags={"members": members, "senders": senders, "in-flight": in_flight, "bytes": size},
        work=("messages", messages),
        contestants=DEFLATE,
        connections=members + 1,
        least=max(300, 16 * senders * in_flight),
    )


def echo(connections, in_flight, size, messages, **flags):
    """Each client receives its own messages."""
    kind = "binary" if flags.get("binary") else "text"
    if "fragments" in flags:
        kind += f" in {flags['fragments']} fragments"
    plural = "connection" if connections == 1 else "connections"
    return Row(
        name="echo",
        title=f"echo: {connections:,} {plural}, {in_flight} in flight, {amount(size)}, {kind}",
        flags={"connections": connections, "in-flight": in_flight, "bytes": size, **flags},
        work=("messages", messages),
        contestants=("townhall", *PEERS, *(() if "fragments" in flags else FLOORS)),
        unit="message",
        mode="echo",
        connections=connections,
        gathers=in_flight > 1,
        least=2 * connections * in_flight,
    )


def idle(connections, *, compressed=False, spoken=False):
    """Connections on which nothing happens."""
    details = (", deflate" if compressed else "") + (", after a message each" if spoken else "")
    suffix = ":takeover" if compressed else ""
    names = ("townhall", "bun", "ws") if compressed else ("townhall", *PEERS, "wsbroad")
    flags = {"deflate": True} if compressed else {}
    return Row(
        name="idle",
        title=f"idle: {connections:,} connections{details}",
        flags={"connections": connections, **flags, **({"spoken": True} if spoken else {})},
        work=(),
        contestants=tuple(name + suffix for name in names),
        unit="connection",
        mode="echo" if spoken else "broadcast",
        connections=connections,
    )


def handshakes(count, *, resumed=False):
    """New connections, each ended as soon as it is open."""
    return Row(
        name="handshakes",
        title=f"handshakes: {'resumed, ' if resumed else ''}16 at a time",
        flags={"in-flight": 16, **({"resume": True} if resumed else {})},
        work=("count", count),
        contestants=("townhall", *PEERS),
        unit="handshake",
        connections=1_000,
        gathers=False,
        least=50,
    )


def tokens(count):
    """The same with tokens and without."""
    return replace(
        handshakes(count),
        name="tokens",
        title="tokens: handshakes, 16 at a time",
        load="handshakes",
        contestants=("townhall", *(f"townhall:{algorithm}" for algorithm in ALGORITHMS)),
    )


def publish(members, in_flight, messages):
    """A back end publishes with POST on one connection, and all members receive."""
    who = "1 member" if members == 1 else f"{members:,} members"
    return Row(
        name="publish",
        title=f"publish: {who}, {in_flight} in flight, 50 B",
        flags={"members": members, "in-flight": in_flight, "bytes": 50},
        work=("messages", messages),
        contestants=PUBLISHING,
        unit="publish",
        connections=members,
        gathers=in_flight > 1,
        least=2 * in_flight,
    )


def resume(members, behind, size):
    """Members come back all at once, each so many messages behind."""
    # The generator and the server have a descriptor for each member.
    members = min(members, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 200)
    return Row(
        name="resume",
        title=f"resume: {members:,} members at once, {behind} messages of {size} B behind",
        flags={"members": members, "behind": behind, "bytes": size},
        work=(),
        contestants=RESUMING,
        unit="member",
        connections=members + 100,
        history=1_000,
    )


def with_history(row):
    """Return the row for townhall without history, and with history that nobody uses."""
    suffix = ":takeover" if row.name == "deflate" else ""
    return replace(row, name="history", load=row.load or row.name, title=f"history, {row.title}",
                   contestants=tuple(name + suffix for name in HISTORY))


def redis(rooms, members, in_flight, messages):
    """Two members of each room send, and all receive, at several processes that share the rooms."""
    return Row(
        name="redis",
        load="cluster",
        title=f"Redis: {rooms:,} rooms of {members:,} members, 2 senders, {in_flight} in flight, 50 B",
        flags={"rooms": rooms, "members": members, "in-flight": in_flight, "bytes": 50},
        work=("messages", messages),
        contestants=("townhall", *SHARED),
        connections=rooms * members,
        history=1_000,
        gathers=in_flight > 1 or rooms > 100,
        least=4 * rooms * in_flight,
        base="townhall-redis:2",
    )


def redis_latency(rooms, members, rate):
    """The same at a rate that no server is busy with, beside one process without Redis."""
    return Row(
        name="redis-latency",
        load="cluster",
        title=f"Redis: latency, {rooms:,} rooms of {members:,} members, 2 senders, 50 B, {rate:,} a second",
        flags={"rooms": rooms, "members": members, "rate": rate, "bytes": 50},
        work=("messages", 10 * rate),
        contestants=("townhall", *SHARED),
        connections=rooms * members,
        history=1_000,
        least=4 * rooms,
    )


def over_tls(row, contestants):
    """Return the row over TLS."""
    return replace(row, name=f"tls-{row.name}", load=row.load or row.name, title=f"TLS, {row.title}",
                   contestants=contestants, tls=True)


def counted(tool, counts, row, work):
    """What a tool counts under a row's load; instructions only of what is compiled ahead."""
    able = NATIVE if tool == "valgrind" else tuple(map(server_of, row.contestants))
    return replace(
        row,
        name=counts.replace(" ", "-"),
        load=row.load or row.name,
        title=f"{counts}: {row.title}",
        work=(row.work[0], work),
        contestants=tuple(name for name in row.contestants if server_of(name) in able),
        tool=tool,
    )


def amount(size):
    """Return a number of bytes in a unit that fits it."""
    for shift, unit in ((20, "MiB"), (10, "KiB")):
        if size >= 1 << shift:
            return f"{size >> shift} {unit}"
    return f"{size} B"


ROWS = [
    everyone(10, 10_000),
    everyone(100, 1_000),
    everyone(500, 60),
    everyone(2_000, 8),
    *(broadcast(members, 4, in_flight, 50, deliveries)
      for members in (10, 100, 1_000)
      for in_flight, deliveries in ((1, 600_000), (4, 1_500_000), (32, 4_000_000))),
    broadcast(1_000, 1, 1, 100, 600_000),
    broadcast(10_000, 1, 1, 100, 600_000),
    *(latency(share) for share in (0.5, 0.8)),
    neighbour(450, 64 << 10, 400),
    *(growth(members, 1, 600_000) for members in (10, 100, 1_000, 10_000)),
    *(growth(10_000, rooms, 600_000) for rooms in (100, 10_000)),
    *(deflate(members, size, 4, messages)
      for members, messages in ((100, 6_000), (500, 2_000))
      for size in (150, 600)),
    deflate(100, 150, 1, 3_000),
    *(echo(connections, 1, size, messages)
      for size, messages in ((20, 100_000), (1 << 10, 100_000), (16 << 10, 40_000))
      for connections in (1, 64, 1_000)),
    *(echo(connections, 1, 1 << 20, 1_000) for connections in (1, 64, 1_000)),
    *(echo(64, in_flight, size, messages, **({"binary": True} if binary else {}))
      for in_flight, size, messages in ((16, 20, 1_000_000), (64, 20, 3_000_000),
                                        (16, 1 << 10, 500_000), (64, 1 << 10, 500_000))
      for binary in (False, True)),
    *(echo(connections, 4, 16 << 10, 40_000) for connections in (1, 64)),
    echo(64, 4, 1 << 10, 100_000, fragments=64),
    handshakes(10_000),
    tokens(10_000),
    *(publish(members, in_flight, messages)
      for members, alone, together in ((1, 60_000, 300_000), (100, 8_000, 60_000), (1_000, 1_600, 10_000))
      for in_flight, messages in ((1, alone), (32, together))),
    resume(5_000, 200, 150),
    *(with_history(broadcast(100, 4, in_flight, 50, deliveries))
      for in_flight, deliveries in ((1, 600_000), (32, 4_000_000))),
    *(with_history(deflate(100, 150, in_flight, messages))
      for in_flight, messages in ((1, 3_000), (32, 24_000))),
    with_history(idle(2_000)),
    *(redis(rooms, members, in_flight, messages)
      for rooms, members, in_flight, messages in ((10, 100, 1, 8_000), (10, 100, 16, 60_000),
                                                  (1_000, 4, 1, 40_000))),
    redis_latency(10, 10, 500),
    *(idle(connections, compressed=compressed)
      for connections in (2_000, 15_000) for compressed in (False, True)),
    *(idle(connections, compressed=compressed, spoken=True)
      for connections in (2_000, 15_000) for compressed in (False, True)),
    *(over_tls(broadcast(members, 4, in_flight, 50, deliveries), (*TLS, *TLS_FLOORS))
      for members in (100, 1_000) for in_flight, deliveries in ((1, 400_000), (32, 3_000_000))),
    *(over_tls(echo(64, 1, size, messages), (*TLS, *TLS_FLOORS))
      for size, messages in ((20, 60_000), (16 << 10, 20_000))),
    *(over_tls(handshakes(5_000, resumed=resumed), TLS) for resumed in (False, True)),
    over_tls(idle(2_000), TLS),
    # nginx would need two descriptors for each connection, which is more than many machines allow.
    over_tls(idle(10_000), tuple(name for name in TLS if name != "nginx")),
    # One sender, so that what a turn gathers does not depend on chance.
    *(counted(tool, counts, row, work)
      for tool, counts in (("valgrind", "instructions"), ("strace", "system calls"))
      for row, work in ((echo(1, 1, 20, 0), 5_000), (echo(1, 16, 20, 0), 20_000),
                        (broadcast(100, 1, 1, 50, 0), 500), (broadcast(100, 1, 32, 50, 0), 6_400))),
    *(counted("valgrind", "instructions", with_history(row), work)
      for row, work in ((broadcast(100, 1, 1, 50, 0), 500), (broadcast(100, 1, 32, 50, 0), 6_400),
                        (deflate(100, 150, 1, 0, senders=1), 500),
                        (deflate(100, 150, 32, 0, senders=1), 3_200))),
]
