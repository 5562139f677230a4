#!/usr/bin/env python3
"""Makes the seeds of the targets for which no client can be recorded."""

import random
import struct
import zlib
from pathlib import Path

CORPUS = Path(__file__).resolve().parents[1] / "corpus"

NEGOTIATE, INFLATE, DEFLATE, IN_CONTEXT = 0, 1, 2, 3
CLOSED, DROPPING, PAUSING = 0, 1, 2
NO_HISTORY, LITTLE, EVERYTHING = 0, 6, 12
CONNECT, FLUSH, JOIN, LEAVE, CLOSE, BREAK, SEND, SAY_TO_OTHERS, READ, READ_SOME, SAY = (
    0, 1, 3, 4, 5, 6, 7, 8, 10, 11, 12)
BROADCAST, FLUSH_EARLY, REST, PEER_CLOSE, BEAT, RETURN, RETURN_FROM, MOVE = (
    16, 17, 18, 19, 20, 21, 22, 23)

OFFERS = {
    "chromium": "permessage-deflate; client_max_window_bits",
    "list": 'permessage-deflate; server_max_window_bits=10; client_max_window_bits="12", '
            "permessage-deflate; server_no_context_takeover, permessage-deflate",
    "eight": "permessage-deflate; server_max_window_bits=8",
    "quoted": 'x; a="b\\"c, d", permessage-deflate; client_no_context_takeover',
    "twice": "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
}


def compressed(message):
    """Return the message as RFC 7692, section 7.2.1, has it."""
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (stream.compress(message) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]


def deflate_seeds():
    """Yield names and inputs of `deflate`."""
    for number, (name, offer) in enumerate(OFFERS.items()):
        yield f"offer-{name}", bytes([NEGOTIATE, 6 + number]) + offer.encode()
    # The examples of RFC 7692, section 7.2.3.
    yield "hello", bytes([INFLATE, 5]) + bytes.fromhex("f248cdc9c90700")
    yield "stored", bytes([INFLATE, 5]) + bytes.fromhex("000500faff48656c6c6f00")
    yield "last-block", bytes([INFLATE, 5]) + bytes.fromhex("f348cdc9c9070000")
    yield "cut-short", bytes([INFLATE, 5]) + bytes.fromhex("f248cdc9c9")
    yield "no-bytes", bytes([INFLATE, 5])
    yield "bomb", bytes([INFLATE, 255]) + compressed(b"\0" * 1_000_000)
    hello, again = bytes.fromhex("f248cdc9c90700"), bytes.fromhex("f200110000")
    hall = bytes.fromhex("cbc854c848ccc90100")
    yield "end-of-stream", bytes([INFLATE, 5]) + hall
    yield "end-without-its-octets", bytes([INFLATE, 5, 1])
    yield "reference", bytes([INFLATE, 5]) + again
    for name, messages in {
        "context": [hello, again, again],
        "context-after-the-end": [b"\xf3" + hello[1:], again, hall, again],
        "context-before-the-first": [again],
        "context-broken": [hello, b"\xff\xff\xff"],
        "context-last-block-cut-short": [bytes.fromhex("733d3169")],
    }.items():
        yield name, bytes([IN_CONTEXT, 5]) + b"".join(
            bytes([len(message)]) + message for message in messages)
    chat = b'{"user":"ann","text":"hello, everyone"}{"user":"bob","text":"hello, ann"}'
    yield "json", bytes([DEFLATE, 100]) + chat * 4
    yield "noise", bytes([DEFLATE, 200]) + random.Random(1).randbytes(600)


def come(*offers):
    """Return the steps of members with these offers, who come to one room and read at once."""
    connects = [(CONNECT, offer, 0) for offer in offers]
    return connects + [(READ, member, 0) for member in range(len(offers))]


def room_seeds():
    """Yield names and steps of `room`."""
    talk = [(SAY, number % 5, 5 + number % 7) for number in range(60)]
    yield "lobby", come(1, 1, 2, 3, 0) + [step for sent in talk for step in (sent, (FLUSH, 0, 0))]
    yield "one-turn", come(1, 1) + talk + [(FLUSH, 0, 0)]
    yield "deaf", come(1, 1) + [(SAY, 0, 200), (FLUSH, 0, 0)] * 180
    yield "late", come(1) + [step for member in range(12) for step in (
        (SAY, 0, 90), (FLUSH, 0, 0), (CONNECT, 1, 0), (READ, member, 0))]
    yield "movers", come(1, 2, 3) + [step for turn in range(20) for step in (
        (SAY, turn, 40), (JOIN, turn, turn), (SAY_TO_OTHERS, turn + 1, 30), (SEND, turn, 9),
        (FLUSH, 0, 0), (READ_SOME, turn, 2))]
    yield "leavers", come(1, 1, 1) + [
        (SAY, 0, 9), (LEAVE, 1, 0), (CLOSE, 2, 0), (SAY, 0, 9), (BREAK, 0, 0), (FLUSH, 0, 0)]
    yield "crossing", come(0, 1) + [(BROADCAST, 0, 200), (FLUSH, 0, 0)] * 20 + [
        (CLOSE, 0, 0), (PEER_CLOSE, 0, 0), (PEER_CLOSE, 1, 0), (FLUSH_EARLY, 0, 0), (REST, 0, 0)]


def history_seeds():
    """Yield names and steps of `room` with members that hear words, leave, and come back."""
    def cut(turn):
        return [(READ_SOME, 0, turn), (BREAK, 0, 0), (SAY, 0, 30), (FLUSH, 0, 0)]
    there = come(7, 8, 6)
    yield "returns", there + [step for turn in range(20) for step in (
        (SAY, 1, 20), (FLUSH, 0, 0), *cut(turn), (RETURN, 5 + turn, turn), (READ, 2, 0))]
    yield "places", there + [step for turn in range(18) for step in (
        (SAY, 1, 9), (SAY_TO_OTHERS, 2, 9), (FLUSH, 0, 0), *cut(turn), (RETURN_FROM, 5 + turn, turn),
        (READ, 2, 0))]
    yield "moves", there + [step for turn in range(20) for step in (
        (SAY, 1, 90), (BEAT, 1, 0), (FLUSH, 0, 0), (MOVE, turn, turn * 8), (SAY_TO_OTHERS, turn, 50),
        (JOIN, turn, turn))] + [(BREAK, 0, 0), (REST, 0, 0)]
    yield "old", there + [step for turn in range(12) for step in (
        *cut(turn), (REST, 0, 0), (REST, 0, 0), (BROADCAST, 0, 99), (RETURN, 6, turn), (FLUSH, 0, 0))]


def request_seeds():
    """Requests with bodies, in pieces of 3, 1, 7 and 40 bytes."""
    def post(fields, rest=""):
        return f"POST /lobby HTTP/1.1\r\nHost: a\r\n{fields}\r\n{rest}"
    chunked = "Transfer-Encoding: chunked\r\n"
    end = "0\r\n\r\n"
    requests = {
        "sized": post("Content-Length: 5\r\n", "hello"),
        "empty": post("Content-Length: 0\r\n"),
        "chunked": post(chunked, "5\r\nhello\r\n1;a=\"b\"\r\n!\r\n0\r\nSum: 1\r\n\r\n"),
        "pipelined": post("Content-Length: 2\r\n", "hi") * 3 + post(chunked, "1\r\nx\r\n" + end) * 2,
        "continue": post("Expect: 100-continue\r\nContent-Length: 2\r\n", "hi"),
        "close": post("Connection: close\r\nContent-Length: 2\r\n", "hi"),
        "long": post("Content-Length: 301\r\n"),
        "long-chunk": post(chunked, "12d\r\n"),
        "both-lengths": post("Content-Length: 5\r\n" + chunked, end),
        "two-lengths": post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"),
        "signed-length": post("Content-Length: +5\r\n", "hello"),
        "identity": post("Transfer-Encoding: identity\r\n", "hello"),
        "gzip": post("Transfer-Encoding: gzip, chunked\r\n", end),
        "overflow": post(chunked, "10000000000000005\r\nhello\r\n" + end),
        "bare-line-feeds": post(chunked, "5\nhello\n0\n\n"),
        "no-size": post(chunked, "\r\n" + end),
        "folded-trailer": post(chunked, "0\r\nA: b\r\n c\r\n\r\n"),
    }
    for name, request in requests.items():
        yield name, bytes([2, 0, 6, 39]) + request.encode()


def number(value):
    """Return a number as postcard writes it: seven bits a byte, the lowest first."""
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + number(value >> 7)


def state_seeds():
    """States: a time, then records, each after the number of its kind."""
    def text(value):
        return number(len(value)) + value
    time, age = number(1_700_000_000) + number(5), number(3) + number(999_999_999)
    room = number(0) + text(b"/lobby") + number(2**64 - 1) + number(300)
    messages = number(1) + text("h\u00e4llo".encode()) + age + number(2) + text(b"\xff") + age
    revocation = number(3) + b"\1" + text(b"42") + struct.pack("<d", 1e9) + age
    answer = number(4) + text(b"/lobby \xff") + b"\7" * 32 + number(3) + b"\1" + number(9) * 2 + age
    yield "nothing", time
    yield "every-kind", time + revocation + answer + room + messages
    yield "not-utf8", time + room + number(1) + text(b"\xff") + age
    yield "cut-short", time + (room + messages)[:-3]
    yield "unknown-kind", time + room + number(5)
    yield "long-number", b"\xff" * 11


ACCEPTING = ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n")
EXTENSION = "Sec-WebSocket-Extensions: permessage-deflate"


def response_seeds():
    """Answers of servers, to a request that offers compression."""
    answers = {
        "accepted": ACCEPTING,
        "subprotocol": ACCEPTING + "Sec-WebSocket-Protocol: superchat\r\n",
        "other-subprotocol": ACCEPTING + "Sec-WebSocket-Protocol: mqtt\r\n",
        "deflate": f"{ACCEPTING}{EXTENSION}; server_max_window_bits=12; client_no_context_takeover\r\n",
        "other-extension": f"{ACCEPTING}{EXTENSION}, x-y\r\n",
        "lists": ACCEPTING.replace("Connection: ", "connection: keep-alive, "),
        "two-upgrades": ACCEPTING + "Upgrade: h2c\r\n",
        "other-key": ACCEPTING.replace("s3p", "S3p"),
        "http-1.0": ACCEPTING.replace("1.1", "1.0"),
        "interim": "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + ACCEPTING,
        "bare-line-feeds": ACCEPTING.replace("\r\n", "\n"),
        "refused": "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n",
        "two-lengths": "HTTP/1.1 403 Forbidden\r\nContent-Length: 2, 3\r\n",
        "redirect": "HTTP/1.0 301 \r\nLocation: /\r\n",
        "folded": ACCEPTING + "A: b\r\n c\r\n",
        "folded-list": ACCEPTING.replace(": Upgrade", ": a,\r\n\tUpgrade"),
        "not-http": "SSH-2.0-x\r\n",
        "empty-line": "\r\nHTTP/1.1 403 Forbidden\r\n",
    }
    for name, answer in answers.items():
        yield name, b"\1" + answer.encode() + b"\r\n"


def frame(first, payload, mask=0):
    """Return a frame of a server."""
    return bytes([first, len(payload) | mask]) + payload


def client_seeds():
    """What servers send, in pieces of 3, 1, 7 and 40 bytes."""
    plain = ACCEPTING.encode() + b"\r\n"
    deflate = f"{ACCEPTING}{EXTENSION}\r\n\r\n".encode()
    alone = f"{ACCEPTING}{EXTENSION}; server_no_context_takeover\r\n\r\n".encode()
    hello, again = bytes.fromhex("f248cdc9c90700"), bytes.fromhex("f200110000")
    conversations = {
        "messages": plain + frame(0x81, b"hi") + frame(0x82, bytes(range(100))) + frame(0x88, b"\3\xe8bye"),
        "fragments": plain + frame(1, "gr\u00fc".encode()[:-1]) + frame(0x89, b"ping") + frame(0x80, b"\xbc"),
        "long": plain + b"\x82\x7e\1\0" + bytes(256) + b"\x82\x7e\3\0" + bytes(9),
        "masked": plain + frame(0x81, b"\0\0\0\0hi", 0x80) + frame(0x88, b"\3\xe8"),
        "empty-message": plain + frame(0x81, b"") + frame(0x81, b"crossing") + frame(0x88, b""),
        "not-utf8": plain + frame(0x81, b"\xff") + frame(0x88, b"\3\xef"),
        "interrupted": plain + frame(1, b"a") + frame(1, b"b"),
        "close-1005": plain + frame(0x88, b"\3\xed"),
        "deflate": deflate + frame(0xc1, hello) + frame(0xc1, again),
        "deflate-alone": alone + frame(0x41, hello[:3]) + frame(0x80, hello[3:]) + frame(0xc1, again),
        "deflate-bomb": deflate + frame(0xc2, compressed(bytes(10_000))),
        "not-offered": plain + frame(0xc1, hello),
        "refused": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nsorryHTTP",
        "refused-chunked": b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nsorry\r\n0\r\n\r\n",
        "refused-to-the-end": b"HTTP/1.1 401 Unauthorized\r\n\r\nwho are you?",
        "too-long": b"HTTP/1.1 200 OK\r\nA: " + b"b" * 1024,
        "a-long-line": b"SSH-2.0-" + b"x" * 1100,
    }
    for name, conversation in conversations.items():
        yield name, bytes([1, 2, 0, 6, 39]) + conversation


def write(target, seeds):
    """Make the corpus of a target anew."""
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.bin"):
        old.unlink()
    for name, seed in seeds:
        (folder / f"{name}.bin").write_bytes(seed)


if __name__ == "__main__":
    write("client", client_seeds())
    write("deflate", deflate_seeds())
    write("request", request_seeds())
    write("response", response_seeds())
    write("state", state_seeds())
    write("room", (
        (f"{name}-{kept}{policy}", bytes([number + history]) + bytes(sum(steps, ())))
        for seeds, histories in (
            (room_seeds, ((NO_HISTORY, ""),)),
            (history_seeds, ((LITTLE, "little-"), (EVERYTHING, "everything-"))))
        for name, steps in seeds()
        for history, kept in histories
        for number, policy in ((CLOSED, "closed"), (DROPPING, "dropping"), (PAUSING, "pausing"))))
