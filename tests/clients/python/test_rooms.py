"""Which members receive which messages, and subprotocols.

Tests show without waiting that nothing is received: the next thing received is
a marker that was sent later.
"""

import asyncio
import unittest

from townhall import TownhallTest, within

CUT = (
    ("a" * 60, "a" * 50),
    ("é" * 60, "é" * 50),
    ("世" * 60, "世" * 50),
    ("😀" * 60, "😀" * 50),
    ("a" * 49 + "😀b", "a" * 49 + "😀"),
    ("é" * 50, "é" * 50),
    ("short", "short"),
    ("", ""),
    (b"\xff" * 60, b"\xff" * 50),
    ("é".encode() * 60, "é".encode() * 25),
    (b"\x01" * 50, b"\x01" * 50),
)


class Rooms(TownhallTest):
    """Several clients."""

    async def pair(self, *options):
        """Connect two clients to one room."""
        server = await self.serve(*options)
        return [await self.join(server.url), await self.join(server.url)]

    async def test_everybody_hears_everything_in_the_same_order(self):
        """Both the own messages and the other's, however they interleave."""
        clients = await self.pair()

        async def send_all(name, client):
            for number in range(200):
                await client.send(f"{name} {number}")
                await asyncio.sleep(0)  # Not to wait, but to let the other one send.

        async def listen(client):
            return [await within(client.recv()) for _ in range(400)]

        senders = [send_all(name, client) for name, client in enumerate(clients)]
        *_, first, second = await asyncio.gather(*senders, *map(listen, clients))
        self.assertEqual(first, second)
        for name in range(2):
            own = [message for message in first if message.startswith(f"{name} ")]
            self.assertEqual(own, [f"{name} {number}" for number in range(200)])

    async def test_who_has_joined_hears_what_is_sent_from_then_on(self):
        """Being accepted means being in the room."""
        server = await self.serve()
        sender = await self.join(server.url)
        for number in range(50):
            listener = await self.join(server.url)
            await sender.send(str(number))
            await self.assert_receives(listener, str(number))

    async def test_fragments_of_two_senders_do_not_mix(self):
        """A message counts as sent when it is complete."""
        first, second = await self.pair()

        async def fragments():
            yield "one "
            await within(await first.ping("arrived"))
            await second.send([b"\x01", b"\x02"])
            await self.assert_receives(second, b"\x01\x02")
            yield "two"

        await first.send(fragments())
        await self.assert_receives(first, b"\x01\x02", "one two")
        await self.assert_receives(second, "one two")

    async def test_rooms_are_apart(self):
        """The path is the room, exactly."""
        server = await self.serve()
        paths = ("/", "/one", "/two", "/one/two", "/One")
        rooms = [(path, await self.join(server.url + path)) for path in paths]
        for _ in range(2):
            for path, client in rooms:
                await client.send(f"to {path}")
            for path, client in rooms:
                await self.assert_receives(client, f"to {path}")

    async def test_no_reflect(self):
        """The sender does not receive its own messages."""
        first, second = await self.pair("--no-reflect")
        await first.send("from first")
        await self.assert_receives(second, "from first")
        await second.send("from second")
        await self.assert_receives(first, "from second")

    async def test_mode_echo(self):
        """Only the sender receives its messages."""
        for client, word in zip(await self.pair("--mode", "echo"), ("first", "second")):
            await client.send(word)
            await self.assert_receives(client, word)

    async def test_truncate(self):
        """50 characters of a text, 50 bytes of a binary."""
        for mode in ("echo", "broadcast"):
            with self.subTest(mode=mode):
                client, _ = await self.pair("--mode", mode, "--truncate", "50")
                for sent, expected in CUT:
                    await client.send(sent)
                    await self.assert_receives(client, expected)

    async def test_truncate_for_the_others_and_across_fragments(self):
        """The cut is made in the message, not in its fragments."""
        clients = await self.pair("--truncate", "50")
        await clients[0].send(["é" * 40, "世" * 40])
        for client in clients:
            await self.assert_receives(client, "é" * 40 + "世" * 10)


class Subprotocols(TownhallTest):
    """The server takes the first subprotocol in the client's list that it knows."""

    KNOWN = ("--subprotocol", "chat", "--subprotocol", "superchat")

    async def check(self, options, offered, expected):
        """Offer subprotocols, and check the choice and that the connection works."""
        server = await self.serve(*options)
        client = await self.join(server.url, subprotocols=offered)
        self.assertEqual(client.subprotocol, expected)
        await client.send("works")
        await self.assert_receives(client, "works")

    async def test_the_clients_order_decides(self):
        """Names are compared exactly."""
        for offered, expected in (
            (["superchat"], "superchat"),
            (["chat", "superchat"], "chat"),
            (["superchat", "chat"], "superchat"),
            (["unknown", "superchat", "chat"], "superchat"),
            (["Chat", "chat"], "chat"),
        ):
            with self.subTest(offered=offered):
                await self.check(self.KNOWN, offered, expected)

    async def test_none_that_fits(self):
        """The connection is accepted without one; the client may then leave."""
        await self.check(self.KNOWN, ["unknown"], None)
        await self.check((), ["unknown"], None)

    async def test_none_offered(self):
        """Nothing is forced on a client."""
        await self.check(self.KNOWN, None, None)


if __name__ == "__main__":
    unittest.main()
