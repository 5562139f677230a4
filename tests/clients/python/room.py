"""A room full of members, each of which has to hear exactly what the others hear.

What really came over the wire is read off each connection beside the library.
"""

import asyncio
import hashlib
from collections import Counter
from dataclasses import dataclass

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from townhall import within

RSV1 = 0x40
CONTROL = 0x08


def offer(**parameters):
    """Offer permessage-deflate with these parameters."""
    return [ClientPerMessageDeflateFactory(**parameters)]


SHARED = offer()
ALONE = offer(server_no_context_takeover=True)
PLAIN = []


@dataclass
class Wire:
    """How a message came over the wire."""

    compressed: bool
    size: int


class Tapped(ClientConnection):
    """A connection that notes how each message came."""

    def __init__(self, *args, **options):
        """Begin at the answer to the handshake."""
        super().__init__(*args, **options)
        self.unread = bytearray()
        self.in_head = True
        self.wires = []

    def data_received(self, data):
        """Read along."""
        self.unread += data
        if self.in_head and (end := self.unread.find(b"\r\n\r\n")) >= 0:
            self.in_head = False
            del self.unread[: end + 4]
        while not self.in_head and self.read_frame():
            pass
        super().data_received(data)

    def read_frame(self):
        """Take a frame out of what is not read, if there is a whole one."""
        if len(self.unread) < 2:
            return False
        first, short = self.unread[0], self.unread[1] & 0x7F
        header = 2 + {126: 2, 127: 8}.get(short, 0)
        length = int.from_bytes(self.unread[2:header]) if short > 125 else short
        size = header + length
        if len(self.unread) < max(header, size):
            return False
        del self.unread[:size]
        if not first & CONTROL:
            self.note(first, size)
        return True

    def note(self, first, size):
        """Note a frame of a message."""
        if first & 0x0F:
            self.wires.append(Wire(bool(first & RSV1), size))
        else:
            self.wires[-1].size += size


def fingerprint(message):
    """What a message is compared by."""
    data = message.encode() if isinstance(message, str) else message
    return type(message).__name__, hashlib.sha1(data).digest()


@dataclass
class Note:
    """What is known of a message that was said."""

    member: "Member"
    size: int
    line: bool


@dataclass
class Whisper:
    """What one member alone was told, and how much it had heard before."""

    text: str
    place: int


class Member:
    """A member of a room, from its handshake to its end."""

    def __init__(self, room, connection, terms, name):
        """Listen from now on."""
        self.room, self.connection, self.terms, self.name = room, connection, terms, name
        self.heard, self.said, self.whispers, self.pongs = [], [], [], []
        self.heard_before = self.start = None
        self.left = None
        self.listening = asyncio.create_task(self.listen())

    async def listen(self):
        """Note everything until the end, and return the code of the close."""
        try:
            while True:
                self.hear(await self.connection.recv())
        except ConnectionClosed as closed:
            if self.left is None:
                self.room.lost.append((self.name, closed))
            return closed.rcvd and closed.rcvd.code
        finally:
            self.room.news.set()

    def hear(self, message):
        """Note a message."""
        if isinstance(message, str) and message.startswith(self.room.whispers):
            self.whispers.append(Whisper(message, len(self.heard)))
        else:
            self.heard.append(fingerprint(message))
        self.room.news.set()

    async def say(self, message, line=False):
        """Say something to the room. Chat is a `line`, and is expected to compress."""
        said = fingerprint(message)
        size = len(message.encode() if isinstance(message, str) else message)
        self.room.note(said, Note(self, size, line))
        self.said.append(said)
        await within(self.connection.send(message))
        return said

    async def ping(self):
        """Ping, without waiting for the pong."""
        self.pongs.append(await within(self.connection.ping()))

    async def catch_up(self):
        """Wait until all has arrived that the server sent before it reads a ping sent now."""
        await self.ping()
        await within(self.pongs[-1])

    async def close(self, words):
        """Leave after some last words."""
        await self.say(words)
        self.left = "closed"
        await within(self.connection.close())

    def vanish(self):
        """Leave without a word."""
        self.left = "vanished"
        self.connection.transport.abort()

    @property
    def is_shared(self):
        """Whether its terms let it share the room's context."""
        extensions = self.connection.protocol.extensions
        return bool(extensions) and not extensions[0].remote_no_context_takeover

    @property
    def has_hopped(self):
        """Whether it came to the shared context later than it came."""
        compressed = [wire.compressed for wire in self.connection.wires]
        return self.is_shared and any(compressed) and not compressed[0]

    def wire(self):
        """Return the messages that it heard, each with its note and how it came over the wire."""
        places = Counter(whisper.place for whisper in self.whispers)
        wires, told = [], 0
        for index, said in enumerate(self.heard):
            told += places[index]
            wires.append((self.room.notes[said], self.connection.wires[index + told]))
        return wires


class Room:
    """A room, and what was said in it, in the order in which a plain member heard it."""

    def __init__(self, test, url, whispers=()):
        """Whispers are known by how they begin."""
        self.test, self.url, self.whispers = test, url, whispers
        self.members, self.lost = [], []
        self.notes, self.repeated = {}, set()
        self.news = asyncio.Event()
        self.reference = None

    @classmethod
    async def open(cls, *args):
        """Open a room with its reference."""
        room = cls(*args)
        room.reference = await room.join(PLAIN, "reference")
        return room

    async def join(self, terms, name):
        """Let somebody in, who begins with a hello unless it is the reference."""
        heard_before = len(self.reference.heard) if self.reference else 0
        connection = await self.test.join(
            self.url, compression=None, extensions=terms, create_connection=Tapped
        )
        self.test.assertEqual(len(connection.protocol.extensions), len(terms), name)
        member = Member(self, connection, terms, name)
        member.heard_before = heard_before
        self.members.append(member)
        if self.reference:
            await member.say(f"hello, I am {name}")
        return member

    def note(self, said, note):
        """Note what is about to be said; only one member may repeat a message."""
        if said in self.notes:
            self.test.assertIs(self.notes[said].member, note.member)
            self.repeated.add(said)
        self.notes[said] = note

    async def hears(self, said):
        """Wait until the reference has heard this."""
        heard, at = self.reference.heard, 0
        while said not in heard[at:]:
            at = len(heard)
            self.test.assertEqual(self.lost, [])
            self.news.clear()
            await within(self.news.wait())

    async def settle(self):
        """Wait until everything is said, and heard by those who are still there."""
        for _ in range(2):  # After the first, what they said is with the server.
            self.test.assertEqual(self.lost, [])
            await asyncio.gather(
                *(
                    within(asyncio.shield(member.listening)) if member.left else member.catch_up()
                    for member in self.members
                )
            )

    def check(self):
        """Check everything that each member heard."""
        test, heard = self.test, self.reference.heard
        for said in heard:
            test.assertIn(said, self.notes)
        by_member = {}
        for said in heard:
            by_member.setdefault(self.notes[said].member, []).append(said)
        for member in self.members:
            with test.subTest(member=member.name):
                self.check_was_heard(member, by_member.get(member, []))
                self.check_heard(member)
                self.check_compression(member)
                if member.left == "closed":
                    test.assertEqual(member.listening.result(), 1000)

    def check_was_heard(self, member, heard):
        """Check that what a member said was heard once, in its order."""
        said = member.said[: len(heard)] if member.left == "vanished" else member.said
        self.compare(heard, said)

    def check_heard(self, member):
        """Check that a member heard everything from its hello at least to its end.

        A close is answered before what is still queued (RFC 6455, section 5.5.1).
        """
        test, heard = self.test, self.reference.heard
        unique = (at for at, said in enumerate(member.heard) if said not in self.repeated)
        anchor = next(unique, None)
        if anchor is None:
            test.assertIsNotNone(member.left)
            return
        member.start = heard.index(member.heard[anchor]) - anchor
        end = member.start + len(member.heard)
        test.assertGreaterEqual(member.start, member.heard_before)
        self.compare(member.heard, heard[member.start : end])
        if member.said and member.said[0] in heard:
            test.assertLessEqual(member.start, heard.index(member.said[0]))
        if member.left is None:
            test.assertEqual(end, len(heard))
        seen = len(member.heard) + len(member.whispers)
        if member.left == "vanished":  # Some of it may be in the library's queue.
            test.assertGreaterEqual(len(member.connection.wires), seen)
        else:
            test.assertEqual(len(member.connection.wires), seen)

    def compare(self, actual, expected):
        """Compare without showing all of it."""
        pairs = enumerate(zip(actual, expected))
        wrong = next((at for at, (one, other) in pairs if one != other), None)
        self.test.assertIsNone(wrong, "the index of the first difference")
        self.test.assertEqual(len(actual), len(expected))

    def check_compression(self, member):
        """Check that messages came compressed as agreed.

        Between those of a shared context whispers are not compressed.
        """
        test = self.test
        wires = member.connection.wires
        whispers = {one.place + index: one.text for index, one in enumerate(member.whispers)}
        shared = (at for at, wire in enumerate(wires) if wire.compressed and at not in whispers)
        first = next(shared, len(wires))
        for at, text in whispers.items():
            if member.is_shared and at > first:
                test.assertFalse(wires[at].compressed)
            elif not member.is_shared and text.startswith("psst "):
                test.assertEqual(wires[at].compressed, bool(member.terms))
        lines = [(note, wire) for note, wire in member.wire() if note.line]
        compressed = [wire.compressed for _, wire in lines]
        if not member.terms:
            test.assertFalse(any(wire.compressed for wire in member.connection.wires))
        elif member.is_shared:  # A newcomer waits, and is then compressed for good.
            test.assertEqual(compressed, sorted(compressed))
        else:
            test.assertTrue(all(compressed))


def sizes(messages):
    """Return the bytes on the wire, and those of the payloads."""
    return sum(wire.size for _, wire in messages), sum(note.size for note, _ in messages)
