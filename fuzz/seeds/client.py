"""One conversation of the Python client `websockets`, with the server at the URL given."""

import sys

from websockets.sync.client import connect

with connect(sys.argv[1], subprotocols=["superchat", "chat"]) as client:
    client.send("Hello from Python \N{SNAKE}")
    client.recv()
    client.send(["in ", "three ", "pieces: \N{EURO SIGN}"])
    client.recv()
    client.send(bytes(range(256)))
    client.recv()
    client.ping(b"are you there?").wait(10)
    client.close(1001, "going away")
