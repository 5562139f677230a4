"""A room of members, each of which must receive exactly what the others receive.

Each connection is also read directly, to see what came over the wire.
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
    """A connection that records how each message came over the wire."""

    def __init__(self, *args, **options):
        """Begin at the answer to the handshake."""
        super().__init__(*args, **options)
        self.unread = bytearray()
        self.in_head = True
        self.wires = []

    def data_received(self, data):
        """Record the data, and pass it on."""
        self.unread += data
        if self.in_head and (end := self.unread.find(b"\r\n\r\n")) >= 0:
            self.in_head = False
            del self.unread[: end + 4]
        while not self.in_head and self.read_frame():
            pass
        super().data_received(data)

    def read_frame(self):
        """Take a frame out of the unread data, if there is a complete one."""
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
    """Return a hash to compare messages by."""
    data = message.encode() if isinstance(message, str) else message
    return type(message).__name__, hashlib.sha1(data).digest()


@dataclass
class Note:
    """What is known about a message that was sent."""

    member: "Member"
    size: int
    line: bool


@dataclass
class Whisper:
    """A direct message, and how many messages its receiver had received before."""

    text: str
    position: int


class Member:
    """A member of a room, from its handshake to its end."""

    def __init__(self, room, connection, terms, name):
        """Start to receive."""
        self.room, self.connection, self.terms, self.name = room, connection, terms, name
        self.received, self.sent, self.whispers, self.pongs = [], [], [], []
        self.received_before = self.start = None
        self.left = None
        self.listening = asyncio.create_task(self.listen())

    async def listen(self):
        """Note everything until the end, and return the code of the close."""
        try:
            while True:
                self.receive(await self.connection.recv())
        except ConnectionClosed as closed:
            if self.left is None:
                self.room.lost.append((self.name, closed))
            return closed.rcvd and closed.rcvd.code
        finally:
            self.room.news.set()

    def receive(self, message):
        """Note a message."""
        if isinstance(message, str) and message.startswith(self.room.whispers):
            self.whispers.append(Whisper(message, len(self.received)))
        else:
            self.received.append(fingerprint(message))
        self.room.news.set()

    async def send(self, message, line=False):
        """Send a message to the room. Chat is a `line`, and is expected to compress."""
        sent = fingerprint(message)
        size = len(message.encode() if isinstance(message, str) else message)
        self.room.note(sent, Note(self, size, line))
        self.sent.append(sent)
        await within(self.connection.send(message))
        return sent

    async def ping(self):
        """Ping, without waiting for the pong."""
        self.pongs.append(await within(self.connection.ping()))

    async def catch_up(self):
        """Wait until all has arrived that the server sent before it reads a ping sent now."""
        await self.ping()
        await within(self.pongs[-1])

    async def close(self, words):
        """Leave after a last message."""
        await self.send(words)
        self.left = "closed"
        await within(self.connection.close())

    def vanish(self):
        """Leave without a close frame."""
        self.left = "vanished"
        self.connection.transport.abort()

    @property
    def is_shared(self):
        """Whether its terms let it share the room's context."""
        extensions = self.connection.protocol.extensions
        return bool(extensions) and not extensions[0].remote_no_context_takeover

    @property
    def has_hopped(self):
        """Whether it joined the shared context later than the room."""
        compressed = [wire.compressed for wire in self.connection.wires]
        return self.is_shared and any(compressed) and not compressed[0]

    def wire(self):
        """Return the messages that it received, each with its note and how it came over the wire."""
        positions = Counter(whisper.position for whisper in self.whispers)
        wires, passed = [], 0
        for index, sent in enumerate(self.received):
            passed += positions[index]
            wires.append((self.room.notes[sent], self.connection.wires[index + passed]))
        return wires


class Room:
    """A room, with its messages in the order in which a plain member received them."""

    def __init__(self, test, url, whispers=()):
        """Create a room. Whispers are recognized by how they begin."""
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
        """Add a member, which sends a greeting first unless it is the reference."""
        received_before = len(self.reference.received) if self.reference else 0
        connection = await self.test.join(
            self.url, compression=None, extensions=terms, create_connection=Tapped
        )
        self.test.assertEqual(len(connection.protocol.extensions), len(terms), name)
        member = Member(self, connection, terms, name)
        member.received_before = received_before
        self.members.append(member)
        if self.reference:
            await member.send(f"hello, I am {name}")
        return member

    def note(self, sent, note):
        """Note a message that is about to be sent; only one member may repeat a message."""
        if sent in self.notes:
            self.test.assertIs(self.notes[sent].member, note.member)
            self.repeated.add(sent)
        self.notes[sent] = note

    async def until_received(self, sent):
        """Wait until the reference has received this."""
        received, at = self.reference.received, 0
        while sent not in received[at:]:
            at = len(received)
            self.test.assertEqual(self.lost, [])
            self.news.clear()
            await within(self.news.wait())

    async def settle(self):
        """Wait until everything is sent, and received by the members that are still there."""
        for _ in range(2):  # After the first, what they sent is at the server.
            self.test.assertEqual(self.lost, [])
            await asyncio.gather(
                *(
                    within(asyncio.shield(member.listening)) if member.left else member.catch_up()
                    for member in self.members
                )
            )

    def check(self):
        """Check everything that each member received."""
        test, received = self.test, self.reference.received
        for sent in received:
            test.assertIn(sent, self.notes)
        by_member = {}
        for sent in received:
            by_member.setdefault(self.notes[sent].member, []).append(sent)
        for member in self.members:
            with test.subTest(member=member.name):
                self.check_was_received(member, by_member.get(member, []))
                self.check_received(member)
                self.check_compression(member)
                if member.left == "closed":
                    test.assertEqual(member.listening.result(), 1000)

    def check_was_received(self, member, received):
        """Check that each message of a member was received once, in order."""
        sent = member.sent[: len(received)] if member.left == "vanished" else member.sent
        self.compare(received, sent)

    def check_received(self, member):
        """Check that a member received everything at least from its greeting to its end.

        A close is answered before what is still queued (RFC 6455, section 5.5.1).
        """
        test, received = self.test, self.reference.received
        unique = (at for at, sent in enumerate(member.received) if sent not in self.repeated)
        anchor = next(unique, None)
        if anchor is None:
            test.assertIsNotNone(member.left)
            return
        member.start = received.index(member.received[anchor]) - anchor
        end = member.start + len(member.received)
        test.assertGreaterEqual(member.start, member.received_before)
        self.compare(member.received, received[member.start : end])
        if member.sent and member.sent[0] in received:
            test.assertLessEqual(member.start, received.index(member.sent[0]))
        if member.left is None:
            test.assertEqual(end, len(received))
        seen = len(member.received) + len(member.whispers)
        if member.left == "vanished":  # Some of it may be in the library's queue.
            test.assertGreaterEqual(len(member.connection.wires), seen)
        else:
            test.assertEqual(len(member.connection.wires), seen)

    def compare(self, actual, expected):
        """Compare two lists, but show only the first difference."""
        pairs = enumerate(zip(actual, expected))
        wrong = next((at for at, (one, other) in pairs if one != other), None)
        self.test.assertIsNone(wrong, "the index of the first difference")
        self.test.assertEqual(len(actual), len(expected))

    def check_compression(self, member):
        """Check that messages are compressed as negotiated.

        Between messages of a shared context, whispers are not compressed.
        """
        test = self.test
        wires = member.connection.wires
        whispers = {one.position + index: one.text for index, one in enumerate(member.whispers)}
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
        elif member.is_shared:  # A new member first waits, then everything is compressed.
            test.assertEqual(compressed, sorted(compressed))
        else:
            test.assertTrue(all(compressed))


def sizes(messages):
    """Return the bytes on the wire, and those of the payloads."""
    return sum(wire.size for _, wire in messages), sum(note.size for note, _ in messages)
