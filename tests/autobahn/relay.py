"""Lets a client without TLS test a server that speaks it.

The suite's own TLS is that of Python 2.7. This relay takes plain connections,
makes one over TLS to the server for each, and passes bytes on in both
directions.
"""

import asyncio
import ssl
import subprocess
import threading
from contextlib import contextmanager

CHUNK = 64 << 10


def make_certificate(folder):
    """Write a certificate for localhost and its key, and return their paths."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
               "-nodes", "-days", "2", "-subj", "/CN=localhost",
               "-addext", "subjectAltName=DNS:localhost", "-out", certificate, "-keyout", key]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


def tls_context(certificate):
    """Return what connects to the server, and trusts only its certificate."""
    context = ssl.create_default_context(cafile=certificate)
    context.set_alpn_protocols(["http/1.1"])
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
    except (ConnectionError, ssl.SSLError):
        writer.close()


async def serve(port, context, ready):
    """Relay connections to the server on this port."""

    async def relay(reader, writer):
        try:
            tls_reader, tls_writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=context, server_hostname="localhost")
        except OSError:
            writer.close()
            return
        await asyncio.gather(pass_on(reader, tls_writer), pass_on(tls_reader, writer))
        writer.close()
        tls_writer.close()

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    ready(server.sockets[0].getsockname()[1])
    await server.serve_forever()


@contextmanager
def relaying(url, certificate):
    """Relay to the server at this wss URL, and give the block a ws URL for it."""
    port = int(url.rstrip("/").rsplit(":", 1)[1])
    loop = asyncio.new_event_loop()
    started = loop.create_future()
    task = loop.create_task(serve(port, tls_context(certificate), started.set_result))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        waiting = asyncio.run_coroutine_threadsafe(asyncio.wait_for(started, 10), loop)
        yield f"ws://127.0.0.1:{waiting.result()}/"
    finally:
        task.add_done_callback(lambda _: loop.stop())
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
