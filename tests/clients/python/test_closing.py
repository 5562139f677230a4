"""How connections end: by the client, by the server, and by a fault."""

import os
import unittest

from townhall import TownhallTest, within
from websockets.exceptions import ConnectionClosed


class ByTheClient(TownhallTest):
    """The client closes, or vanishes."""

    async def test_the_server_answers_with_the_same_code_and_reason(self):
        """The library keeps the code and reason of the server's close frame."""
        server = await self.serve()
        closes = ((1000, ""), (1000, "done"), (1001, "leaving"), (3000, "bis später"),
                  (4999, "x" * 123))
        for code, reason in closes:
            client = await self.join(server.url)
            await within(client.close(code, reason))
            received = client.protocol.close_rcvd
            self.assertEqual((received.code, received.reason), (code, reason))

    async def test_what_was_sent_before_is_still_heard_by_the_others(self):
        """A close does not overtake messages."""
        server = await self.serve()
        listener = await self.join(server.url)
        sender = await self.join(server.url)
        messages = [str(number) for number in range(100)]
        for message in messages:
            await sender.send(message)
        await within(sender.close())
        await self.assert_receives(listener, *messages)

    async def test_a_client_that_vanishes_does_not_disturb_the_others(self):
        """A lost network sends no close frame, and leaves messages incomplete."""
        server = await self.serve()
        listener = await self.join(server.url)
        lost = await self.join(server.url)

        async def unfinished():
            yield "half a mess"
            await within(await lost.ping("arrived"))
            lost.transport.abort()
            yield "age"

        with self.assertRaises(ConnectionClosed):
            await within(lost.send(unfinished()))
        await listener.send("still here")
        await self.assert_receives(listener, "still here")


class ByTheServer(TownhallTest):
    """The server ends."""

    async def test_sigterm_closes_every_connection_with_1001(self):
        """And the server ends with status 0, as `stop` checks."""
        server = await self.serve()
        clients = [await self.join(server.url + path) for path in ("/", "/", "/elsewhere")]
        await server.stop()
        for client in clients:
            self.assertEqual((await self.closing(client))[0], 1001)


class ByAFault(TownhallTest):
    """The client breaks a rule."""

    async def refused(self, client, message, **options):
        """Return the code with which the server closes on `message`."""
        try:
            await within(client.send(message, **options))
        except ConnectionClosed:
            pass  # The server may refuse the beginning before the end is sent.
        closing = await self.closing(client)
        self.assertIsNotNone(closing, "the connection was lost without a close frame")
        return closing[0]

    async def test_a_message_larger_than_allowed(self):
        """The largest size itself is allowed."""
        server = await self.serve("--max-message-size", "1024")
        client = await self.join(server.url, compression=None)
        await client.send(b"x" * 1024)
        await self.assert_receives(client, b"x" * 1024)
        self.assertEqual(await self.refused(client, b"x" * 1025), 1009)

    async def test_fragments_that_together_are_too_large(self):
        """Refused before the last fragment, as there might be none."""
        server = await self.serve("--max-message-size", "1024")
        client = await self.join(server.url, compression=None)

        async def fragments():
            yield b"x" * 1024
            yield b"x"
            await within(client.wait_closed())

        self.assertEqual(await self.refused(client, fragments()), 1009)

    async def test_a_message_still_on_its_way_when_it_is_refused(self):
        """Closing a socket with unread data would reset it, and lose the close frame."""
        server = await self.serve("--max-message-size", "1024")
        client = await self.join(server.url, compression=None)
        self.assertEqual(await self.refused(client, os.urandom(8 * 1024 * 1024)), 1009)

    async def test_a_compressed_message_counts_by_its_size_when_decompressed(self):
        """A few bytes can decompress to a thousand times as many."""
        server = await self.serve("--max-message-size", "4096")
        client = await self.join(server.url, compression="deflate")
        self.assertEqual(await self.refused(client, "x" * 4097), 1009)

    async def test_text_that_is_not_utf8(self):
        """Refused, and received by nobody."""
        server = await self.serve()
        listener = await self.join(server.url)
        client = await self.join(server.url, compression=None)
        self.assertEqual(await self.refused(client, b"\xc3\x28", text=True), 1007)
        await listener.send("marker")
        await self.assert_receives(listener, "marker")

    async def test_a_new_message_inside_an_unfinished_one(self):
        """Written by hand, as the library would not do it."""
        server = await self.serve()
        client = await self.join(server.url, compression=None)

        async def fragments():
            yield "unfinished"
            client.transport.write(b"\x81\x80\x00\x00\x00\x00")
            await within(client.wait_closed())

        self.assertEqual(await self.refused(client, fragments()), 1002)

    async def test_a_frame_without_a_mask(self):
        """Likewise written by hand: an empty text frame."""
        server = await self.serve()
        client = await self.join(server.url, compression=None)
        client.transport.write(b"\x81\x00")
        self.assertEqual((await self.closing(client))[0], 1002)


if __name__ == "__main__":
    unittest.main()
