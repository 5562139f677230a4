"""examples/resume.py behind a relay that cuts connections anywhere, and with servers that are killed."""

import asyncio
import os
import random
import sys
from contextlib import suppress
from urllib.parse import urlsplit

from townhall import REPOSITORY, TownhallTest, within
from websockets.exceptions import ConnectionClosed

sys.path.insert(0, str(REPOSITORY / "examples"))
import resume  # noqa: E402

HISTORY = ("--history-messages", "100000")
DEADLINE = 60


class Relay:
    """Forwards connections to a server, and cuts each after a random number of bytes."""

    def __init__(self, server, random):
        """Begin with this server."""
        self.server = server
        self.random = random
        self.cuts = 0
        self.cutting = True
        self.tasks = set()

    async def listen(self):
        """Listen on a free port."""
        self.listener = await asyncio.start_server(self.forward, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{self.listener.sockets[0].getsockname()[1]}"

    async def forward(self, reader, writer):
        """Forward one connection."""
        self.tasks.add(asyncio.current_task())
        with suppress(OSError):
            upstream = await asyncio.open_connection("127.0.0.1", urlsplit(self.server.url).port)
            up = asyncio.create_task(self.copy(reader, upstream[1], None))
            # The head of the handshake has about 200 bytes, and a message about ten.
            await self.copy(upstream[0], writer, self.random.randrange(3000))
            up.cancel()
            upstream[1].transport.abort()
        writer.transport.abort()

    async def copy(self, reader, writer, limit):
        """Copy until the end, or the limit."""
        with suppress(OSError):
            while data := await reader.read(4096):
                if self.cutting and limit is not None:
                    data, limit = data[:limit], limit - len(data)
                    if limit < 0:
                        self.cuts += 1
                        writer.write(data)
                        await writer.drain()
                        return
                writer.write(data)
                await writer.drain()

    async def close(self):
        """End everything."""
        self.listener.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


class Resume(TownhallTest):
    """A follower of the lobby, and a member that speaks there."""

    async def relay(self, server):
        """Start a relay, whose decisions SEED repeats."""
        seed = os.environ.get("SEED") or str(random.randrange(2**32))
        print(f"SEED={seed}", file=sys.stderr)
        relay = Relay(server, random.Random(seed))
        await relay.listen()
        self.addAsyncCleanup(relay.close)
        return relay

    async def test_nothing_is_missed_or_doubled_whatever_is_cut(self):
        """Connections are cut in the handshake, the greeting, the past and the present."""
        server = await self.serve(*HISTORY)
        relay = await self.relay(server)
        speaker = await self.join(f"{server.url}/lobby")
        count = 3000

        async def speak():
            for number in range(count):
                await speaker.send(str(number))
                await speaker.recv()

        speaking = asyncio.create_task(speak())
        received, positions = [], []
        async with asyncio.timeout(DEADLINE):
            async for position, message in resume.follow(f"{relay.url}/lobby", last=count):
                received.append(message)
                positions.append(int(position.split(".")[1]))
                if len(received) == count:
                    break
            await speaking
        self.assertEqual(received, [str(number) for number in range(count)])
        self.assertEqual(positions, list(range(1, count + 1)))
        self.assertGreater(relay.cuts, 5)

    async def test_a_killed_server_is_told(self):
        """The next server knows nothing of the messages before."""
        first = await self.serve(*HISTORY)
        relay = await self.relay(first)
        relay.cutting = False
        room = aiter(resume.follow(f"{relay.url}/lobby"))
        await self.say(first, "one")
        self.assertEqual((await within(anext(room)))[1], "one")
        first.process.kill()
        await first.process.wait()
        first.stopped = True
        relay.server = await self.serve(*HISTORY)
        await self.say(relay.server, "unseen")
        position, message = await within(anext(room))
        self.assertIsNone(message)
        self.assertTrue(position.endswith(".1"), position)
        await self.say(relay.server, "two")
        self.assertEqual(await within(anext(room)), (f"{position[:-1]}2", "two"))

    async def test_a_refusal_for_good_ends_it(self):
        """A text that could be a word of the server closes its sender."""
        server = await self.serve(*HISTORY)
        member = await self.join(f"{server.url}/lobby", subprotocols=["townhall.v1"])
        self.assertIn("replay", resume.word_in(await within(member.recv())))
        await member.send("\0{}")
        with self.assertRaises(ConnectionClosed) as caught:
            await within(member.recv())
        self.assertIn(caught.exception.rcvd.code, resume.FINAL)

    async def say(self, server, text):
        """Say something in the lobby, and wait until it has been published."""
        member = await self.join(f"{server.url}/lobby")
        await member.send(text)
        await within(member.recv())
