"""A row of the table: one load, and the servers that meet it."""

from dataclasses import dataclass, replace

# A contestant is a server, or a server and how it compresses, "ws:takeover", or which tokens it
# requires, "townhall:EdDSA", or whether members ask for the server's own words, "townhall:words", or
# how many processes share rooms, "townhall-redis:2".

# The algorithms of tokens.
ALGORITHMS = ("HS256", "EdDSA", "ES256", "RS256")

# How much less work slower servers get, so that a run takes seconds and not minutes: where others
# gather messages, and where nobody can. All figures are per unit of work, and a warm-up comes first.
LESS_WORK = {"ws": 30, "nchan": 30, "wsbroad": 20, "fastwebsockets": 10, "floor-message": 10,
             "socket.io": 10, "nchan-redis": 10, "tungstenite": 3, "tokio-websockets": 3}
LESS_WORK_ALONE = {"ws": 4, "socket.io": 4, "nchan-redis": 4}


@dataclass(frozen=True)
class Row:
    """One load, and who meets it."""

    # What --rows selects, and the load generator's subcommand where that has no other name.
    name: str
    title: str
    # The generator's flags, and the one that is the amount of work.
    flags: dict
    work: tuple
    contestants: tuple
    # The unit of work.
    unit: str = "delivery"
    load: str = ""
    mode: str = "broadcast"
    connections: int = 0
    # Whether the servers speak TLS.
    tls: bool = False
    # How many messages of each room the servers keep for members that come back.
    history: int = 0
    # Whether there are messages to be gathered.
    gathers: bool = True
    # The least work that shows something, for slow servers and for a quick run.
    least: int = 1
    # The tool that counts what the server does, where that is what is measured.
    tool: str = ""
    # The share of what the peer can carry, if messages are sent at a rate.
    share: float = 0
    # How many times the work is done.
    factor: int = 1
    # The server, or the contestant, beside which the others are shown.
    base: str = "townhall"

    def only(self, servers):
        """Return the row for the contestants that are one of these servers."""
        chosen = (name for name in self.contestants if server_of(name) in servers)
        return replace(self, contestants=tuple(chosen))

    def quick(self):
        """Return the row with as few clients and as little work as show that it works."""
        few = {flag: min(self.flags[flag], 20) for flag in ("members", "rooms", "connections")
               if flag in self.flags}
        return replace(self, title=f"{self.title} (quick: at most 20 clients)",
                       flags={**self.flags, **few}, work=self.work and (self.work[0], self.least))

    def at(self, rate):
        """Return the row at a rate, in messages a second, for some seconds."""
        return replace(self, title=f"{self.title}, {rate:,} a second",
                       flags={**self.flags, "rate": rate},
                       work=self.work and (self.work[0], min(self.work[1], 5 * rate)))

    def times(self, factor):
        """Return the row with so many times the work."""
        return replace(self, factor=factor)

    def arguments(self, contestant):
        """Return the load generator's arguments for a contestant."""
        words = [self.load or self.name]
        for flag, value in {**self.flags, **self.amounts(contestant)}.items():
            words += [f"--{flag}"] if value is True else [f"--{flag}", str(value)]
        if words[0] == "deflate":
            words += ["--context", deflate_of(contestant)]
        if variant_of(contestant) == "words":
            words += ["--words"]
        # It only broadcasts: alone in its room, a connection receives its own messages.
        if "spoken" in self.flags and contestant == "wsbroad":
            words += ["--own-rooms"]
        return words

    def amounts(self, contestant):
        """Return the flags for the amount of work and of warm-up: a tenth, or more of less work."""
        if not self.work:
            return {}
        flag, amount = self.work
        less_work = LESS_WORK if self.gathers else LESS_WORK_ALONE
        # Slow servers take no longer where messages are sent at a rate.
        less = 1 if self.tool or "rate" in self.flags else less_work.get(server_of(contestant), 1)
        amount = max(amount // less, self.least)
        warm_up = max(amount // max(10 // less, 2), self.least)
        return {flag: amount * self.factor, "warm-up": warm_up}


def server_of(contestant):
    """Return the name of a contestant's server."""
    return contestant.partition(":")[0]


def variant_of(contestant):
    """Return what distinguishes a contestant from others with the same server."""
    return contestant.partition(":")[2]


def deflate_of(contestant):
    """Return how a contestant compresses."""
    variant = variant_of(contestant)
    return variant if variant in ("takeover", "none") else "off"


def processes_of(contestant):
    """Return how many processes of a contestant's server share rooms."""
    variant = variant_of(contestant)
    return int(variant) if variant.isdigit() else 1


def algorithm_of(contestant):
    """Return the algorithm of the tokens that a contestant requires, if it does."""
    variant = variant_of(contestant)
    return variant if variant in ALGORITHMS else ""
