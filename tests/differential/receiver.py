"""websockets as a receiver: answers each line of standard input with a line of standard output, both JSON."""

import json
import logging
import sys

from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from websockets.frames import Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.uri import parse_uri
from websockets.utils import accept_key

NAMES = {
    Opcode.TEXT: "text", Opcode.BINARY: "binary", Opcode.PING: "ping", Opcode.PONG: "pong",
}
URI = parse_uri("ws://server.example.com/chat")
NO_STATUS_RECEIVED = 1005
INVALID_PAYLOAD = 1007


def extensions(deflate):
    """Return permessage-deflate with these terms, if there are any."""
    if deflate is None:
        return []
    return [PerMessageDeflate(not deflate["context_takeover"], False, deflate["window_bits"], 15)]


def receive(protocol, request):
    """Return what the protocol makes of a stream of frames."""
    protocol.max_message_size = request["max_size"]
    protocol.extensions = extensions(request.get("deflate"))
    protocol.receive_data(bytes.fromhex(request["bytes"]))
    received, kind, fragments = [], None, []
    for frame in protocol.events_received():
        if frame.opcode in (Opcode.PING, Opcode.PONG):
            received.append((NAMES[frame.opcode], bytes(frame.data).hex()))
        elif frame.opcode is not Opcode.CLOSE:
            kind = kind or frame.opcode
            fragments.append(bytes(frame.data))
            if frame.fin:
                message = b"".join(fragments)
                # The layer above the protocol decodes a text when the application asks for it.
                if kind is Opcode.TEXT and not is_utf8(message):
                    return failed(received, INVALID_PAYLOAD, "invalid UTF-8")
                received.append((NAMES[kind], message.hex()))
                kind, fragments = None, []
    if protocol.parser_exc is not None:
        return failed(received, protocol.close_sent.code, str(protocol.parser_exc))
    if protocol.close_rcvd is None:
        return {"received": received, "end": "open"}
    code = protocol.close_rcvd.code
    return {
        "received": received, "end": "closed", "code": None if code == NO_STATUS_RECEIVED else code,
    }


def is_utf8(message):
    """Return whether this is a text."""
    try:
        message.decode()
    except UnicodeDecodeError:
        return False
    return True


def failed(received, code, reason):
    """Return the answer of a connection that has failed."""
    return {"received": received, "end": "failed", "code": code, "reason": reason}


def negotiate(request):
    """Return the status with which a request is answered, and the key of an upgrade."""
    protocol = ServerProtocol(
        subprotocols=["chat"],
        # By default, a client must offer one of these.
        select_subprotocol=lambda _, offered: "chat" if "chat" in offered else None,
        extensions=[ServerPerMessageDeflateFactory()],
    )
    protocol.receive_data(bytes.fromhex(request["bytes"]))
    for event in protocol.events_received():
        response = protocol.accept(event)
        return {
            "status": response.status_code,
            "accept": response.headers.get("Sec-WebSocket-Accept"),
        }
    return {"status": None if protocol.handshake_exc is None else 400, "accept": None}


def accept(request):
    """Return whether a response is accepted, in which `{key}` stands for the accept key."""
    protocol = ClientProtocol(
        URI, subprotocols=["chat"], extensions=[ClientPerMessageDeflateFactory()]
    )
    protocol.send_request(protocol.connect())
    key = accept_key(protocol.key).encode()
    protocol.receive_data(bytes.fromhex(request["bytes"]).replace(b"{key}", key))
    return {"accepted": protocol.state is OPEN}


TASKS = {
    "receive as a server": lambda request: receive(ServerProtocol(state=OPEN), request),
    "receive as a client": lambda request: receive(ClientProtocol(URI, state=OPEN), request),
    "negotiate as a server": negotiate,
    "negotiate as a client": accept,
}

logging.disable()
for line in sys.stdin:
    question = json.loads(line)
    print(json.dumps(TASKS[question["to"]](question)), flush=True)
