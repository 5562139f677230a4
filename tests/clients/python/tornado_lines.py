"""A line client on Tornado."""

import asyncio
import sys
import threading

from tornado.websocket import websocket_connect


def send_lines(connection, loop):
    """Send each line of standard input, and close at its end."""
    for line in sys.stdin:
        loop.call_soon_threadsafe(connection.write_message, line.rstrip("\n"))
    loop.call_soon_threadsafe(connection.close, 1000, "bye")


async def main(url):
    """Join the room of `url`."""
    connection = await websocket_connect(url, compression_options={})
    print("open", flush=True)
    loop = asyncio.get_running_loop()
    threading.Thread(target=send_lines, args=(connection, loop), daemon=True).start()
    while (message := await connection.read_message()) is not None:
        print("message", message, flush=True)
    print("closed", connection.close_code, flush=True)


asyncio.run(main(sys.argv[1]))
