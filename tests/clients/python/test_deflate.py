"""permessage-deflate, with a context that all members of a room share.

SEED repeats a run, as far as the network does.
"""

import os
import random
import re
import sys
import unittest

from crowd import Crowd
from room import ALONE, SHARED, Room, offer, sizes
from talk import Talker
from townhall import TownhallTest

SEED = int(os.environ.get("SEED") or random.randrange(2**31))
NUMBER = "you are number "


def report(what):
    """Show a figure among the results."""
    print(f"[SEED={SEED}] {what}", file=sys.stderr, flush=True)


class Deflate(TownhallTest):
    """What each member inflates is compared with what was sent."""

    async def test_terms(self):
        """The library checks the answer; here, that it is the best one for the offer."""
        server = await self.serve()
        windows = [
            ({"server_max_window_bits": bits}, (bits < 15, False, bits, 12))
            for bits in range(9, 16)
        ]
        cases = (
            ({}, (False, False, 15, 12)),
            ({"client_max_window_bits": None}, (False, False, 15, 15)),
            ({"client_max_window_bits": 9}, (False, False, 15, 9)),
            ({"client_no_context_takeover": True}, (False, True, 15, 15)),
            ({"server_no_context_takeover": True}, (True, False, 15, 12)),
            *windows,
        )
        for number, (parameters, expected) in enumerate(cases):
            with self.subTest(**parameters):
                room = await Room.open(self, f"{server.url}/{number}")
                member = await room.join(offer(**parameters), "member")
                terms = member.connection.protocol.extensions[0]
                agreed = (
                    terms.remote_no_context_takeover,
                    terms.local_no_context_takeover,
                    terms.remote_max_window_bits,
                    terms.local_max_window_bits,
                )
                self.assertEqual(agreed, expected)
                talker = Talker("Ann", SEED)
                for size in (200, 2_000, 20_000, 100_000):
                    await member.send(talker.line(size), line=True)
                await room.settle()
                room.check()

    async def test_a_window_of_8_bits_is_declined(self):
        """All goes on without compression."""
        server = await self.serve()
        terms = offer(server_max_window_bits=8)
        client = await self.join(server.url, compression=None, extensions=terms)
        self.assertEqual(client.protocol.extensions, [])
        await client.send("not compressed, " * 100)
        await self.assert_receives(client, "not compressed, " * 100)

    async def test_a_shared_context_takes_clearly_fewer_bytes_than_none(self):
        """And the more so than no compression."""
        server = await self.serve()
        room = await Room.open(self, server.url)
        shared = await room.join(SHARED, "shared")
        alone = await room.join(ALONE, "alone")
        talker = Talker("Ann", SEED)
        for turn in range(60):
            for _ in range(7):
                sent = await (shared, alone)[turn % 2].send(talker.line(), line=True)
            await room.until_received(sent)
            if turn % 20 == 10:
                await room.join(SHARED, f"late {turn}")
        await room.settle()
        room.check()
        (own, payload), (others, _) = sizes(shared.wire()), sizes(alone.wire())
        report(f"of the payload: shared {own / payload:.3f}, alone {others / payload:.3f}")
        self.assertLess(own, 0.7 * others)
        self.assertLess(others, 0.9 * payload)
        late = [member for member in room.members if member.name.startswith("late")]
        self.assertTrue(all(member.has_hopped for member in late))

    def check_crowd(self, crowd):
        """Check the size of a crowd, and what it received."""
        room = crowd.room
        room.check()
        there = [member for member in room.members if member.left is None]
        hopped = [member for member in room.members if member.has_hopped]
        _, own, others = (
            sizes([(note, wire) for note, wire in member.wire() if note.line])[0]
            for member in crowd.senders[:3]
        )
        report(
            f"{len(room.members)} connections received parts of "
            f"{len(room.reference.received)} messages, "
            f"{len(there)} the end; {len(hopped)} hopped in the middle; "
            f"shared of alone {own / others:.3f}"
        )
        self.assertGreater(len(there), 30)
        self.assertGreater(len(room.members), len(there))
        self.assertGreater(len(hopped), 10)
        self.assertLess(own, 0.85 * others)

    async def test_members_come_and_go_in_the_middle_of_traffic(self):
        """With pings, and with messages that are empty, tiny, large, or do not compress."""
        server = await self.serve()
        self.check_crowd(await Crowd.meet(await Room.open(self, server.url), SEED))

    async def test_the_same_and_some_are_whispered_to(self):
        """Whispers keep their positions, and are not compressed in a shared context."""
        server = await self.serve_whisper()
        talker = Talker("Ann", SEED)
        expected = {}

        async def whisper(sender, member):
            if not member.whispers:
                return  # It does not know its number.
            number = re.fullmatch(NUMBER + r"(\d+)", member.whispers[0].text).group(1)
            text = "psst " + talker.line(50_000 if len(expected) % 10 == 5 else None)
            expected.setdefault(member, []).append((text, len(sender.sent)))
            await sender.connection.send(f"@{number} {text}")

        whispers = ("psst ", NUMBER, "nobody has that number")
        crowd = await Crowd.meet(await Room.open(self, server.url, whispers), SEED, whisper)
        self.check_crowd(crowd)
        self.check_whispers(crowd, expected)

    def check_whispers(self, crowd, expected):
        """Check each whisper, and its position among the messages of the whisperer to all."""
        whisperer = crowd.senders[0]
        own = set(whisperer.sent)
        positions = [at for at, sent in enumerate(crowd.room.reference.received) if sent in own]
        count = 0
        for member in crowd.room.members:
            with self.subTest(member=member.name):
                received = [one for one in member.whispers if not one.text.startswith("nobody")]
                if received:
                    self.assertEqual(received[0].position, 0)
                    self.assertTrue(received.pop(0).text.startswith(NUMBER))
                wanted = expected.get(member, [])
                if member.left is None:
                    self.assertEqual(len(received), len(wanted))
                for one, (text, after) in zip(received, wanted, strict=False):
                    self.assertTrue(one.text == text)
                    position = member.start + one.position
                    self.assertLess(positions[after - 1], position)
                    self.assertFalse(after < len(positions) and positions[after] < position)
                    count += 1
        self.assertGreater(count, 20)


if __name__ == "__main__":
    unittest.main()
