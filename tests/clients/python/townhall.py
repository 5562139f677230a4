"""Starts the server for a test, and connects clients that fail rather than hang."""

import asyncio
import atexit
import os
import re
import signal
import sys
import unittest
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import suppress
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

REPOSITORY = Path(__file__).resolve().parents[3]
BINARY = REPOSITORY / (os.environ.get("TOWNHALL") or "target/release/townhall")
WHISPER = REPOSITORY / (os.environ.get("WHISPER") or "target/release/examples/whisper")
LISTENING = re.compile(r"townhall is listening on http(s?:\S+)/\n")
DEADLINE = 10
# The first start of a program reads all that it needs from the disk.
START_DEADLINE = 60

running = set()


@atexit.register
def kill_leftovers():
    """Kill the servers of interrupted tests, whose own clean-up does not happen."""
    for pid in running:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


# So that SIGTERM, too, ends the tests with that.
signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(143))


def within(awaitable, deadline=DEADLINE):
    """Wait with a deadline: what does not come fails its test instead of hanging it."""
    return asyncio.wait_for(awaitable, deadline)


class Townhall:
    """A running server."""

    def __init__(self, process, expected):
        """Take charge of the process, whose log is read lest it blocks on a full pipe."""
        self.process = process
        self.expected = expected
        running.add(process.pid)
        self.log = asyncio.create_task(process.stderr.read())
        self.url = None
        self.stopped = False

    async def listen(self):
        """Wait for the line in which the server names its port."""
        line = (await within(self.process.stdout.readline(), START_DEADLINE)).decode()
        found = LISTENING.fullmatch(line)
        if not found:
            raise AssertionError(f"the server's first line of output was {line!r}")
        self.url = f"ws{found.group(1)}"

    async def stop(self):
        """End the server as a service manager would, and insist that it obeys."""
        if self.stopped:
            return
        self.stopped = True
        alive = self.process.returncode is None
        try:
            if alive:
                self.process.send_signal(signal.SIGTERM)
            status = await within(self.process.wait())
        finally:
            if self.process.returncode is None:
                self.process.kill()
                await self.process.wait()
            running.discard(self.process.pid)
        if status != self.expected or not alive:
            log = (await within(self.log)).decode(errors="replace")
            how = "after SIGTERM" if alive else "by itself"
            raise AssertionError(f"the server ended {how}: {status}\n{log}")


class TownhallTest(unittest.IsolatedAsyncioTestCase):
    """A test that starts servers and clients, and ends them when it is over."""

    async def asyncSetUp(self):
        """Turn off the loop's debug mode: its complaints about slow steps mean nothing here."""
        asyncio.get_running_loop().set_debug(False)

    async def serve(self, *options):
        """Start the server with `options`."""
        return await self.run_server(0, BINARY, "--listen", "127.0.0.1:0", *options)

    async def serve_whisper(self):
        """Start the example `whisper`, which sends direct messages. SIGTERM kills it."""
        return await self.run_server(-signal.SIGTERM, WHISPER, "127.0.0.1:0")

    async def run_server(self, expected, *command):
        """Start a server that ends with the `expected` status after SIGTERM."""
        process = await asyncio.create_subprocess_exec(
            *command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE
        )
        server = Townhall(process, expected)
        self.addAsyncCleanup(server.stop)
        await server.listen()
        return server

    async def join(self, url, **options):
        """Connect a client.

        Its queue has no bound, for a client with a full one stops reading, and
        would miss the server's close frame too. It uses no proxy, as a proxy
        of the user's is not for loopback.
        """
        defaults = {"max_size": None, "max_queue": None, "ping_interval": None, "proxy": None}
        client = await within(connect(url, **{**defaults, **options}))
        self.addAsyncCleanup(self.leave, client)
        return client

    async def leave(self, client):
        """Close the connection unless it has ended, when the library's `close` may fail."""
        if client.state is not State.CLOSED:
            await within(client.close())

    async def assert_receives(self, client, *expected):
        """Check that the next messages are the `expected`, in type too."""
        for message in expected:
            received = await within(client.recv())
            self.assertIs(type(received), type(message))
            if len(message) < 1000:
                self.assertEqual(received, message)
            else:  # Not to be shown in full.
                self.assertTrue(received == message, f"{len(received)} of {len(message)} differ")

    async def closing(self, client):
        """Return the code and the reason with which the server closes, None if it vanishes."""
        with self.assertRaises(ConnectionClosed) as caught:
            while True:
                await within(client.recv())
        received = caught.exception.rcvd
        return received and (received.code, received.reason)
