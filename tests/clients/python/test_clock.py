"""Steps of the wall clock: libfaketime shows the server another one."""

import os
import tempfile
import time
from pathlib import Path

import jwt
from townhall import BINARY, REPOSITORY, TownhallTest, within
from websockets.exceptions import InvalidStatus

LIBRARY = "target/clients/debian/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
SECRET = "a secret of these tests that has enough bytes"
DAY = 24 * 60 * 60
# A token counts for up to five seconds longer than it says.
LEEWAY = 5


class Clock:
    """The wall clock of a server. What measures the time that passes is not affected."""

    def __init__(self, folder):
        """Begin with the real time."""
        self.folder = Path(folder)
        self.file = self.folder / "clock"
        self.step(0)

    def step(self, seconds):
        """Let the clock differ from the real time by so much, at once."""
        new = self.folder / "new"
        new.write_text(f"{seconds:+d}\n")
        new.replace(self.file)

    def environment(self):
        """Return the variables for a program that is to have this clock."""
        return {
            "LD_PRELOAD": str(REPOSITORY / LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }


class Steps(TownhallTest):
    """A server whose clock is set while clients are connected."""

    async def asyncSetUp(self):
        """Start a server that requires tokens."""
        await super().asyncSetUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        key = Path(folder.name) / "key"
        key.write_text(SECRET)
        self.clock = Clock(folder.name)
        variables = [f"{name}={value}" for name, value in self.clock.environment().items()]
        server = await self.run_server(
            0, "env", *variables, BINARY, "--listen", "127.0.0.1:0", "--auth-key-file", key,
            "--ping-interval", "100ms",
        )
        self.url = f"{server.url}/room"

    async def enter(self, exp):
        """Join with a token that ends at this time."""
        rights = {"join": ["/room"], "publish": ["/room"]}
        token = jwt.encode({"exp": exp, "townhall": rights}, SECRET, "HS256")
        return await self.join(self.url, additional_headers={"Authorization": f"Bearer {token}"})

    async def assert_refused(self, exp):
        """Check that a token that ends at this time has ended by the server's clock."""
        with self.assertRaises(InvalidStatus) as caught:
            await self.enter(exp)
        challenge = caught.exception.response.headers["WWW-Authenticate"]
        self.assertIn("the token has ended", challenge)

    async def check_step(self, seconds, assert_stepped):
        """Check that a step ends no connection, and that a token ends by the time that passes."""
        staying = await self.enter(int(time.time()) + DAY // 2)
        end = int(time.time()) + 3
        leaving = await self.enter(end)
        entered, left = time.monotonic(), end - time.time()
        self.clock.step(seconds)
        await assert_stepped()
        await staying.send("still here")
        await self.assert_receives(staying, "still here")
        code = await within(self.closing(leaving), left + LEEWAY + 30)
        self.assertEqual(code, (4401, "the token has ended"))
        self.assertGreaterEqual(time.monotonic() - entered, left)
        # Meanwhile, the other one has answered pings, and nothing else has happened to it.
        await staying.send("and still here")
        await self.assert_receives(staying, "and still here")

    async def test_a_step_forward(self):
        """By a day, after which tokens of today have ended."""
        async def assert_stepped():
            await self.assert_refused(int(time.time()) + DAY // 2)
        await self.check_step(DAY, assert_stepped)

    async def test_a_step_back(self):
        """By a day, after which tokens of yesterday are valid again."""
        yesterday = int(time.time()) - DAY // 2
        await self.assert_refused(yesterday)
        async def assert_stepped():
            await self.enter(yesterday)
        await self.check_step(-DAY, assert_stepped)
