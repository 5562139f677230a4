"""What one client sends comes back unchanged."""

import os
import unittest

from townhall import TownhallTest, within

MEBIBYTE = 1024 * 1024


class Messages(TownhallTest):
    """One client, in either mode."""

    async def alone(self):
        """Yield a client for each of the modes, in both of which it receives its own messages."""
        for mode in ("echo", "broadcast"):
            with self.subTest(mode=mode):
                server = await self.serve("--mode", mode)
                yield await self.join(server.url)

    async def test_text_binary_and_empty_messages(self):
        """Each comes back as it was, and of the type it was."""
        async for client in self.alone():
            for message in ("hello", "grüß dich, 世界 😀", b"\x00\xff\x80", "", b""):
                await client.send(message)
                await self.assert_receives(client, message)

    async def test_messages_of_1_mib(self):
        """Larger than any one read from a socket."""
        async for client in self.alone():
            for message in (os.urandom(MEBIBYTE), os.urandom(MEBIBYTE // 2).hex()):
                await client.send(message)
                await self.assert_receives(client, message)

    async def test_many_messages_without_waiting_for_any(self):
        """None is lost, and the order is kept."""
        async for client in self.alone():
            messages = [f"message {number}" for number in range(1000)]
            for message in messages:
                await client.send(message)
            await self.assert_receives(client, *messages)

    async def test_fragments_become_one_message(self):
        """This library ends a message with an empty fragment."""
        async for client in self.alone():
            await client.send(["one ", "", "two ", "three"])
            await client.send([b"\x01", b"\x02"])
            await self.assert_receives(client, "one two three", b"\x01\x02")

    async def test_a_character_split_between_fragments(self):
        """Only the whole message has to be UTF-8."""
        async for client in self.alone():
            await client.send([bytes([byte]) for byte in "a😀z".encode()], text=True)
            await self.assert_receives(client, "a😀z")

    async def test_pings_are_answered_in_the_middle_of_a_message(self):
        """The library recognises the pong by its payload."""
        async for client in self.alone():

            async def fragments(client=client):
                yield "begun, "
                await within(await client.ping("first"))
                yield "continued, "
                await within(await client.ping(""))
                await within(await client.ping("x" * 125))
                yield "ended"

            await client.send(fragments())
            await self.assert_receives(client, "begun, continued, ended")

    async def test_an_unasked_pong_is_ignored(self):
        """The standard allows it as a heartbeat."""
        async for client in self.alone():
            await client.pong("nobody asked")
            await client.send("still here")
            await self.assert_receives(client, "still here")


class Compression(TownhallTest):
    """Whether permessage-deflate is used is up to the server; that it works is not."""

    async def exchange(self, sender, listener):
        """Send what compresses well and what does not, whole and in fragments."""
        for message in ("abc" * 5000, os.urandom(5000), "short", "", "abc" * 5000):
            await sender.send(message)
            await self.assert_receives(listener, message)
        await sender.send(["first " * 1000, "second " * 1000])
        await self.assert_receives(listener, "first " * 1000 + "second " * 1000)

    async def test_an_offer_does_no_harm(self):
        """Every message arrives, whether the offer is taken or not."""
        server = await self.serve()
        client = await self.join(server.url, compression="deflate")
        await self.exchange(client, client)

    async def test_is_not_used_without_an_offer(self):
        """The library would refuse an extension that it did not ask for."""
        server = await self.serve()
        client = await self.join(server.url, compression=None)
        self.assertNotIn("Sec-WebSocket-Extensions", client.response.headers)
        await self.exchange(client, client)

    async def test_clients_with_and_without_it_understand_each_other(self):
        """Each gets messages in the form agreed with it, not with the sender."""
        server = await self.serve("--no-reflect")
        plain = await self.join(server.url, compression=None)
        offering = await self.join(server.url, compression="deflate")
        await self.exchange(plain, offering)
        await self.exchange(offering, plain)


if __name__ == "__main__":
    unittest.main()
