"""Relays connections between one side with TLS and one without.

The suite's own TLS is that of Python 2.7. Where the suite connects, a relay speaks
TLS to the server for it; where the suite listens, a relay speaks TLS to the client.
A relay makes a connection of its own for each that it takes, and passes bytes on in
both directions.
"""

import asyncio
import ssl
import subprocess
import threading
from concurrent.futures import Future
from contextlib import contextmanager, suppress

ALPN = ["http/1.1"]
CHUNK = 64 << 10
NAME = "localhost"


def make_certificate(folder):
    """Write a certificate for localhost and its key, and return their paths."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
               "-nodes", "-days", "2", "-subj", f"/CN={NAME}",
               "-addext", f"subjectAltName=DNS:{NAME}", "-addext", "basicConstraints=critical,CA:FALSE",
               "-out", certificate, "-keyout", key]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


def trusting(certificate):
    """Return what speaks TLS to a server, and trusts only its certificate."""
    context = ssl.create_default_context(cafile=certificate)
    context.set_alpn_protocols(ALPN)
    return context


def presenting(certificate, key):
    """Return what speaks TLS to a client, with this certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(ALPN)
    return context


async def pass_on(reader, writer):
    """Pass bytes on until their end, and then end the other side too."""
    try:
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
        else:
            # TLS cannot be half-closed in Python: the end of one side is the end of both.
            writer.close()
    except OSError:
        writer.close()


async def serve(port, to_client, to_server, started):
    """Relay connections to the server on this port, with TLS on the sides that have a context for it.

    `started` becomes the relay's own port, and a function that ends it from another thread.
    """

    async def relay(reader, writer):
        try:
            server_reader, server_writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=to_server, server_hostname=to_server and NAME)
        except OSError:
            writer.close()
            return
        # The end of the relay ends its connections too.
        with suppress(asyncio.CancelledError):
            await asyncio.gather(pass_on(reader, server_writer), pass_on(server_reader, writer))
        writer.close()
        server_writer.close()

    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    server = await asyncio.start_server(relay, "127.0.0.1", 0, ssl=to_client)
    own_port = server.sockets[0].getsockname()[1]
    started.set_result((own_port, lambda: loop.call_soon_threadsafe(ended.set)))
    await ended.wait()
    server.close()


@contextmanager
def relaying(port, to_client=None, to_server=None):
    """Relay to the server on this port, and give the block the port to connect to instead."""
    started = Future()
    serving = serve(port, to_client, to_server, started)
    thread = threading.Thread(target=asyncio.run, args=[serving], daemon=True)
    thread.start()
    own_port, end = started.result(timeout=10)
    try:
        yield own_port
    finally:
        end()
        thread.join()
