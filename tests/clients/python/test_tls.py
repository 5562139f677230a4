"""TLS with the library `websockets`."""

import ssl
import subprocess
import tempfile
from pathlib import Path

from talk import Talker
from townhall import BINARY, TownhallTest


def make_certificate(directory):
    """Make a certificate for 127.0.0.1, and its key."""
    certificate, key = (Path(directory) / name for name in ("certificate.pem", "key.pem"))
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1"
    names = ["-subj", "/CN=townhall", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", key, "-out", certificate]
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)
    return certificate, key


class Tls(TownhallTest):
    """Members of a room over both versions of TLS."""

    async def serve_tls(self):
        """Start the server with TLS, and return it and the certificate."""
        directory = tempfile.TemporaryDirectory(prefix="townhall-tls-")
        self.addCleanup(directory.cleanup)
        certificate, key = make_certificate(directory.name)
        files = ["--tls-cert", certificate, "--tls-key", key]
        command = [BINARY, "--listen", "https://127.0.0.1:0", *files]
        return await self.run_server(0, *command), certificate

    async def test_compressed_messages_and_a_clean_close(self):
        """Both members inflate what one of them sends, over either version."""
        server, certificate = await self.serve_tls()
        members = []
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = ssl.create_default_context(cafile=certificate)
            context.minimum_version = context.maximum_version = version
            member = await self.join(f"{server.url}/room", ssl=context)
            self.assertEqual([type(one).__name__ for one in member.protocol.extensions],
                             ["PerMessageDeflate"])
            members.append(member)
        talker = Talker("Ann", 1)
        messages = [*(talker.line() for _ in range(100)), "", "x" * 1_000_000, bytes(range(256))]
        for sender in members:
            for message in messages:
                await sender.send(message)
            for member in members:
                await self.assert_receives(member, *messages)
        for member in members:
            await member.close(4001, "off to lunch")
            self.assertEqual(await self.closing(member), (4001, "off to lunch"))

    async def test_a_certificate_that_is_not_trusted(self):
        """The library ends the handshake, and the server goes on."""
        server, certificate = await self.serve_tls()
        with self.assertRaises(ssl.SSLCertVerificationError):
            await self.join(f"{server.url}/room", ssl=ssl.create_default_context())
        context = ssl.create_default_context(cafile=certificate)
        await self.join(f"{server.url}/room", ssl=context)
