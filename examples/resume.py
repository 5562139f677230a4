"""Follow a room without missing anything: count the messages, and resume after the last one.

It needs `pip install websockets`, and a server with history: `townhall --history-messages 1000`.

    python examples/resume.py ws://127.0.0.1:8080/lobby
"""

import asyncio
import json
import random
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

FINAL = {1008, 4403}  # The server would close the next connection as well.


def word_in(message):
    """Return what the server says itself, or None for a message of the room."""
    return json.loads(message[1:]) if message[:1] == "\0" else None


async def follow(url, position=None, last=20):
    """Yield each message with its position, and None for those that are missing.

    Begin after `position`, or with the `last` messages.
    """
    failures = 0
    while True:
        query = f"after={position}" if position else f"last={last}"
        try:
            async with connect(f"{url}?{query}", subprotocols=["townhall.v1"]) as socket:
                greeting = word_in(await socket.recv())
                failures = 0
                recovered = greeting.get("recovered", True)
                position = greeting["position"]
                if not recovered:
                    yield position, None
                silence = 2 * greeting["beat"] if "beat" in greeting else None
                while True:
                    message = await asyncio.wait_for(socket.recv(), silence)
                    word = word_in(message)
                    if word is None:
                        epoch, number = position.split(".")
                        position = f"{epoch}.{int(number) + 1}"
                        yield position, message
                    else:
                        position = word.get("position") or word.get("published") or position
                        if "skipped" in word or not word.get("recovered", True):
                            yield position, None
        except ConnectionClosed as closed:
            if closed.rcvd and closed.rcvd.code in FINAL:
                raise
        except (OSError, TimeoutError, InvalidHandshake):
            pass  # There is no server now, or it is silent.
        await asyncio.sleep(random.uniform(0, min(30, 0.5 * 2**failures)))
        failures += 1


async def main(url):
    """Print what is said in a room."""
    async for position, message in follow(url):
        print(position, "(some messages are missing)" if message is None else message, flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
