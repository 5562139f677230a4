"""Shows what a relay passes on, with TLS on either side; needs neither the suite nor townhall."""

import asyncio
import errno
import socket
import ssl
import tempfile
import threading
import unittest
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest import mock

from clients import command_for
from relay import NAME, make_certificate, pass_on, presenting, relaying, trusting

PATIENCE = 10
LONG = bytes(range(256)) * 4096


def read_to_end(connection):
    """Return everything that arrives."""
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def connect(port):
    """Connect to a port of this machine."""
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


def answer_once(listener):
    """Take one connection, and send back what has come once there is as much as `LONG`."""
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(PATIENCE)
        data = b""
        while len(data) < len(LONG) and (more := connection.recv(1 << 16)):
            data += more
        connection.sendall(data)


@contextmanager
def answering():
    """Run a server for one connection, and give the block its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        thread = threading.Thread(target=answer_once, args=[listener], daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(PATIENCE)


class Relay(unittest.TestCase):
    """What goes through."""

    def setUp(self):
        """Make a certificate for this test alone."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.identity = make_certificate(Path(folder.name))
        self.stack = ExitStack()
        self.addCleanup(self.stack.close)

    def relay(self, *arguments, **contexts):
        """Relay to the end of the test."""
        return self.stack.enter_context(relaying(*arguments, **contexts))

    def test_bytes_and_the_end_go_through_two_relays_with_tls_between_them(self):
        """One is in front of the server, the other in front of the client."""
        port = self.stack.enter_context(answering())
        tls_port = self.relay(port, to_client=presenting(*self.identity))
        plain_port = self.relay(tls_port, to_server=trusting(self.identity[0]))
        with connect(plain_port) as client:
            client.sendall(LONG)
            self.assertEqual(read_to_end(client), LONG)

    def test_a_client_agrees_to_http_1_1(self):
        """The relay is what the client's TLS speaks to."""
        port = self.stack.enter_context(answering())
        tls_port = self.relay(port, to_client=presenting(*self.identity))
        context = trusting(self.identity[0])
        with context.wrap_socket(connect(tls_port), server_hostname=NAME) as client:
            self.assertEqual(client.selected_alpn_protocol(), "http/1.1")
            client.sendall(LONG)
            self.assertEqual(read_to_end(client), LONG)

    def test_a_client_without_tls_gets_nothing(self):
        """Otherwise a client that does not speak TLS would pass."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(0.2)
            port = listener.getsockname()[1]
            with connect(self.relay(port, to_client=presenting(*self.identity))) as client:
                client.sendall(b"GET / HTTP/1.1\r\n\r\n")
                self.assertNotIn(b"HTTP", read_to_end(client))
            self.assertRaises(TimeoutError, listener.accept)

    def test_another_certificate_is_not_trusted(self):
        """Each run trusts only the certificate that it has made."""
        with tempfile.TemporaryDirectory() as folder:
            other, _ = make_certificate(Path(folder))
            context = trusting(other)
        tls_port = self.relay(1, to_client=presenting(*self.identity))
        with connect(tls_port) as client, client.dup() as rest:
            with self.assertRaises(ssl.SSLCertVerificationError):
                context.wrap_socket(client, server_hostname=NAME)
            # The relay ends the connection, and nothing is left of it.
            read_to_end(rest)


class PassOn(unittest.IsolatedAsyncioTestCase):
    """One direction of a connection."""

    async def test_a_side_that_is_gone_is_closed(self):
        """A socket whose peer has reset it cannot be half-closed."""
        reader, writer = asyncio.StreamReader(), mock.Mock()
        reader.feed_eof()
        writer.write_eof.side_effect = OSError(errno.ENOTCONN, "not connected")
        await pass_on(reader, writer)
        writer.close.assert_called_once_with()


class Command(unittest.TestCase):
    """How the client is started."""

    def test_with_tls_the_url_keeps_the_port_of_the_suite(self):
        """The suite compares it with the Host field."""
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            certificate, key = make_certificate(Path(folder))
            command = command_for(stack, "client", 7, (certificate, key))
            self.assertEqual(command[:-1], ["client", "wss://localhost:7", "townhall", certificate])
            self.assertRegex(command[-1], r"^127\.0\.0\.1:[1-9][0-9]+$")

    def test_without_tls_there_is_no_relay(self):
        """The client connects to the suite itself."""
        with ExitStack() as stack:
            command = command_for(stack, "client", 7, None)
        self.assertEqual(command, ["client", "ws://127.0.0.1:7", "townhall"])


if __name__ == "__main__":
    unittest.main()
