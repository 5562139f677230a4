"""Publishing with http.client, which keeps its connection."""

import asyncio
import http.client
import json
from urllib.parse import urlsplit

from townhall import DEADLINE, TownhallTest


class Publishing(TownhallTest):
    """One member of a room, and a program that publishes there."""

    async def publish(self, server, bodies):
        """Publish over one connection, and return what the answers say."""

        def post_all():
            connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=DEADLINE)
            answers = []
            for body, fields in bodies:
                connection.request("POST", "/lobby", body, fields)
                with connection.getresponse() as answer:
                    answers.append((answer.status, answer.read()))
            connection.close()
            return answers

        return await asyncio.to_thread(post_all)

    async def test_bodies_of_all_kinds_are_messages(self):
        """Text, bytes, and an iterable that is sent in chunks."""
        server = await self.serve()
        member = await self.join(f"{server.url}/lobby")
        binary = {"Content-Type": "application/octet-stream"}
        bodies = [
            ("grüße".encode(), {}),
            (b"\xff\x00", binary),
            (iter([b"in ", b"chunks"]), {}),
            (b"waited", {"Expect": "100-continue"}),
        ]
        answers = await self.publish(server, bodies)
        self.assertEqual([json.loads(text) for _, text in answers], [{"members": 1}] * 4)
        await self.assert_receives(member, "grüße", b"\xff\x00", "in chunks", "waited")

    async def test_one_connection_publishes_in_order(self):
        """A stream of messages, as of a back end."""
        server = await self.serve()
        member = await self.join(f"{server.url}/lobby")
        answers = await self.publish(server, [(str(number), {}) for number in range(500)])
        self.assertEqual({status for status, _ in answers}, {200})
        await self.assert_receives(member, *(str(number) for number in range(500)))

    async def test_a_repeated_request_publishes_once(self):
        """The first answer may be lost."""
        server = await self.serve()
        member = await self.join(f"{server.url}/lobby")
        key = {"Idempotency-Key": '"1"'}
        answers = await self.publish(server, [("a", key), ("a", key), ("b", key), ("end", {})])
        self.assertEqual([status for status, _ in answers], [200, 200, 422, 200])
        self.assertEqual(answers[0], answers[1])
        await self.assert_receives(member, "a", "end")
