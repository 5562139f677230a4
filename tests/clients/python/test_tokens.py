"""Tokens made by PyJWT: good ones of each kind of key, and bad ones."""

import base64
import hashlib
import hmac
import json
import tempfile
import time
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from townhall import TownhallTest, within
from websockets.exceptions import InvalidStatus

SECRET = "a secret of these tests that has enough bytes"
ALGORITHMS = ("EdDSA", "ES256", "RS256")


def pem(key):
    """Return the public key in PEM."""
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def new_keys():
    """Make a private key for each algorithm."""
    keys = (
        ed25519.Ed25519PrivateKey.generate(),
        ec.generate_private_key(ec.SECP256R1()),
        rsa.generate_private_key(65537, 2048),
    )
    return dict(zip(ALGORITHMS, keys, strict=True))


def claims(**others):
    """Claims of a good token, with some others."""
    now = int(time.time())
    rights = {"join": ["/game/7", "/user/42/*"], "publish": ["/game/7"], "info": {"name": "Ada"}}
    return {"sub": "42", "aud": "us", "iss": "them", "iat": now, "exp": now + 60,
            "townhall": rights, **others}


def encoded(data):
    """Encode bytes as a part of a token."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def by_hand(header, payload, sign):
    """Make a token that PyJWT would refuse to make."""
    message = f"{encoded(header)}.{encoded(payload)}"
    return f"{message}.{encoded(sign(message.encode()))}"


def hmac_with(key):
    """Return a function that signs with HMAC."""
    return lambda message: hmac.new(key, message, hashlib.sha256).digest()


class TokensTest(TownhallTest):
    """Servers that require tokens."""

    async def asyncSetUp(self):
        """Write the keys into files."""
        await super().asyncSetUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.keys = new_keys()
        self.files = []
        for name, key in self.keys.items():
            file = Path(folder.name) / name
            file.write_bytes(pem(key))
            self.files.append(file)

    async def serve_with(self, *options):
        """Start a server with the public keys."""
        files = [option for file in self.files for option in ("--auth-key-file", file)]
        return await self.serve(*files, *options)

    async def refusal(self, url, token):
        """Return the status and the challenge of the answer to a token."""
        with self.assertRaises(InvalidStatus) as caught:
            await self.join(url, additional_headers={"Authorization": f"Bearer {token}"})
        response = caught.exception.response
        return response.status_code, response.headers.get("WWW-Authenticate", "")


class GoodTokens(TokensTest):
    """Each kind of key, and each way to send a token."""

    async def test_each_algorithm_opens_the_rooms_of_its_tokens(self):
        """And only these."""
        server = await self.serve_with()
        for algorithm, key in self.keys.items():
            token = jwt.encode(claims(), key, algorithm)
            with_token = {"additional_headers": {"Authorization": f"Bearer {token}"}}
            member = await self.join(f"{server.url}/game/7", **with_token)
            await member.send(algorithm)
            await self.assert_receives(member, algorithm)
            await self.join(f"{server.url}/user/42/inbox", **with_token)
            for room in ("game/8", "user/42", "user/43/inbox", "user/42/../43/inbox",
                         "user/42/%2e%2e/43/inbox", "user/42%2finbox"):
                status, challenge = await self.refusal(f"{server.url}/{room}", token)
                self.assertEqual(status, 403, room)
                self.assertIn('error="insufficient_scope"', challenge)

    async def test_a_subprotocol_carries_a_token_and_the_answer_names_the_other(self):
        """As pages do it."""
        server = await self.serve_with()
        token = jwt.encode(claims(), self.keys["ES256"], "ES256")
        offered = ["townhall.v1", f"bearer.{token}"]
        member = await self.join(f"{server.url}/game/7", subprotocols=offered)
        self.assertEqual(member.subprotocol, "townhall.v1")
        await member.send("hello")
        await self.assert_receives(member, "hello")
        for room, code in (("game/8", 4403), ("user/42", 4403)):
            client = await self.join(f"{server.url}/{room}", subprotocols=offered)
            self.assertEqual((await self.closing(client))[0], code)
        client = await self.join(f"{server.url}/game/7", subprotocols=["townhall.v1"])
        self.assertEqual(await self.closing(client), (4401, "a token is needed"))

    async def test_publishing_needs_a_right_of_its_own(self):
        """A listener that speaks is closed with 1008."""
        server = await self.serve_with()
        token = jwt.encode(claims(), self.keys["EdDSA"], "EdDSA")
        headers = {"Authorization": f"Bearer {token}"}
        member = await self.join(f"{server.url}/user/42/inbox", additional_headers=headers)
        await member.send("hello")
        self.assertEqual((await self.closing(member))[0], 1008)

    async def test_a_connection_ends_with_its_token(self):
        """At the latest five seconds later."""
        server = await self.serve_with()
        token = jwt.encode(claims(exp=int(time.time()) + 1), self.keys["EdDSA"], "EdDSA")
        headers = {"Authorization": f"Bearer {token}"}
        member = await self.join(f"{server.url}/game/7", additional_headers=headers)
        self.assertEqual(await within(self.closing(member)), (4401, "the token has ended"))


class BadTokens(TokensTest):
    """Each is refused with 401 and a reason, and the server goes on."""

    def bad_tokens(self):
        """Return the tokens by what is wrong with them."""
        return {**self.badly_signed(), **self.with_bad_headers(), **self.with_bad_claims()}

    def badly_signed(self):
        """Return tokens whose signature is not that of a key of the server."""
        good, public, key = claims(), pem(self.keys["EdDSA"]), self.keys["EdDSA"]
        body = json.dumps(good).encode()
        header, payload, signature = jwt.encode(good, key, "EdDSA").split(".")
        hs256, none = b'{"alg":"HS256","typ":"JWT"}', encoded(b'{"alg":"NONE"}')
        other = encoded(body.replace(b'"42"', b'"43"'))
        return {
            "the algorithm none": jwt.encode(good, None, "none"),
            "none in capitals": f"{none}.{payload}.",
            "no signature": f"{header}.{payload}.",
            "the signature of another token": f"{header}.{other}.{signature}",
            "RS512 with the key for RS256": jwt.encode(good, self.keys["RS256"], "RS512"),
            "PS256 with the key for RS256": jwt.encode(good, self.keys["RS256"], "PS256"),
            "another RSA key": jwt.encode(good, rsa.generate_private_key(65537, 2048), "RS256"),
            "another curve": jwt.encode(good, ec.generate_private_key(ec.SECP384R1()), "ES384"),
            "HMAC with another secret": jwt.encode(good, SECRET, "HS256"),
            "HMAC with the text of the public key": by_hand(hs256, body, hmac_with(public)),
            "the same without a line feed": by_hand(hs256, body, hmac_with(public.rstrip())),
            "the same, as EdDSA": by_hand(b'{"alg":"EdDSA"}', body, hmac_with(public)),
        }

    def with_bad_headers(self):
        """Return tokens with bad headers, or that are no tokens at all."""
        good, key, far = claims(), self.keys["EdDSA"], ed25519.Ed25519PrivateKey.generate()
        token = jwt.encode(good, key, "EdDSA")
        _, payload, signature = token.split(".")

        def far_with(**fields):
            return jwt.encode(good, far, "EdDSA", headers=fields)

        own = {"kty": "OKP", "crv": "Ed25519", "x": encoded(far.public_key().public_bytes_raw())}
        return {
            "a key id that is a path": far_with(kid="../../../../dev/null"),
            "a key id that is SQL": far_with(kid="' UNION SELECT 'key"),
            "a key of its own": far_with(jwk=own),
            "a key somewhere else": far_with(jku="http://127.0.0.1:1/keys"),
            "an unknown critical field": by_hand(
                b'{"alg":"EdDSA","crit":["x"],"x":1}', json.dumps(good).encode(), key.sign
            ),
            "a header that is not JSON": by_hand(b"{alg}", json.dumps(good).encode(), key.sign),
            "a header that is not base64": f"!!!.{payload}.{signature}",
            "one part": "confidential",
            "four parts": f"{token}.{signature}",
        }

    def with_bad_claims(self):
        """Return tokens with valid signatures."""
        key, now = self.keys["EdDSA"], int(time.time())

        def signed(payload):
            return by_hand(b'{"alg":"EdDSA"}', payload, key.sign)

        def changed(**others):
            return signed(json.dumps(claims(**others)).encode())

        def rights(**others):
            return changed(townhall={"join": ["/*"], **others})

        return {
            "it has ended": changed(exp=now - 60),
            "it has not begun": changed(nbf=now + 60),
            "it never ends": changed(exp=None),
            "an end that is no number": changed(exp="soon"),
            "an end in the past of the past": changed(exp=-1),
            "an endless end": signed(json.dumps(claims()).encode()[:-1] + b',"exp":1e999}'),
            "another audience": changed(aud=["them", "nobody"]),
            "no audience": changed(aud=None),
            "another issuer": changed(iss="me"),
            "no issuer": changed(iss=None),
            "a user that is no text": changed(sub=42),
            "a pattern that leaves its folder": rights(join=["/user/../*"]),
            "the same with percent-encoding": rights(join=["/user/%2e%2E/*"]),
            "a pattern that is no path": rights(join=["*"]),
            "a pattern with a query": rights(publish=["/game/7?x"]),
            "rights that are no list": rights(join="/game/7"),
            "info that is no object": rights(info="Ada"),
            "info of more than 512 bytes": rights(info={"name": "x" * 502}),
            "8 KiB": changed(info="x" * 6000),
            "claims that are not JSON": signed(b"{sub}"),
            "claims that are not UTF-8": signed(b'{"sub":"\xff","exp":9999999999}'),
            "deep JSON": signed(b"[" * 2000),
        }

    async def test_each_is_refused_and_explained(self):
        """Without any part of the token in the answer or in the log."""
        rules = ("--auth-audience", "us", "--auth-issuer", "them")
        server = await self.serve_with(*rules, "--log-level", "trace")
        tokens = self.bad_tokens()
        for wrong, token in tokens.items():
            with self.subTest(wrong):
                status, challenge = await self.refusal(f"{server.url}/game/7", token)
                self.assertEqual(status, 401)
                self.assertIn('error="invalid_token"', challenge)
        good = jwt.encode(claims(aud=["x", "us"]), self.keys["EdDSA"], "EdDSA")
        headers = {"Authorization": f"Bearer {good}"}
        await self.join(f"{server.url}/game/7", additional_headers=headers)
        await server.stop()
        log = (await within(server.log)).decode()
        self.assertIn("refused with 401: ", log)
        for token in tokens.values():
            for part in filter(lambda part: len(part) > 8, token.split(".")):
                self.assertNotIn(part, log)

    async def test_percent_encoding_does_not_leave_a_folder(self):
        """%2F is data, in a pattern as in a path."""
        server = await self.serve_with()
        rights = {"join": ["/user/42%2f..%2f..%2f*"]}
        token = jwt.encode(claims(townhall=rights), self.keys["EdDSA"], "EdDSA")
        for room in ("user/43", "", "user/42/x", "admin"):
            self.assertEqual((await self.refusal(f"{server.url}/{room}", token))[0], 403, room)
