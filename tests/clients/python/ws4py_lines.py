"""A line client on ws4py, which knows no compression, and sends an Origin with the scheme `ws`."""

import sys
import threading

from ws4py.client.threadedclient import WebSocketClient


class LineClient(WebSocketClient):
    """Says the lines of standard input, and closes at their end."""

    def opened(self):
        """Begin to send, in a thread of its own."""
        print("open", flush=True)
        threading.Thread(target=self.send_lines, daemon=True).start()

    def send_lines(self):
        """Send each line of standard input, and close at its end."""
        for line in sys.stdin:
            self.send(line.rstrip("\n"))
        self.close(1000, "bye")

    def received_message(self, message):
        """Write what was received."""
        print("message", message, flush=True)

    def closed(self, code, reason=None):
        """Write the code of the end."""
        print("closed", code, flush=True)


client = LineClient(sys.argv[1])
client.connect()
client.run_forever()
