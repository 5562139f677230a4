//! The same answers to requests for an upgrade, to townhall and to other clients: they accept the same ones.

use townhall::protocol::{
    Buffers, ClientConnection, ClientReceived, DeflateOffer, Limits, Request, UpgradeRequest,
    accept_key,
};
use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;

use crate::by_tungstenite::Arrived;
use crate::handshakes::{ALL, NONE, Part, Variant, agreed, disputed};

const URI: &str = "ws://server.example.com/chat";

/// What an answer has in place of the key that belongs to the request. The requests offer the subprotocol
/// `chat`, and compression if the client knows it.
pub const KEY: &str = "{key}";

pub const RESPONSE: &str = "HTTP/1.1 101 Switching Protocols\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Accept: {key}\r\n\
    Sec-WebSocket-Protocol: chat\r\n\
    Server: example\r\n\r\n";

const REASON: &str = "A server MUST send the space that separates the status-code from the \
    reason-phrase even when the reason-phrase is absent";
const INTERIM: &str = "A client MUST be able to parse one or more 1xx responses received prior to \
    a final response, even if the client does not expect one";
const UPGRADE: &str = "the |Upgrade| header field contains a value that is not an ASCII \
    case-insensitive match for the value \"websocket\"";
const CONNECTION: &str = "the |Connection| header field doesn't contain a token that is an ASCII \
    case-insensitive match for the value \"Upgrade\"";
const ONE_KEY: &str =
    "The |Sec-WebSocket-Accept| header MUST NOT appear more than once in an HTTP response";
const NO_SUBPROTOCOL: &str = "The absence of such a field is equivalent to the null value";
const ONE_SUBPROTOCOL: &str = "MUST NOT appear more than once in an HTTP response";
const EXTENSIONS: &str = "this header field indicates the use of an extension that was not \
    present in the client's handshake";
const TERMS: &str = "A client MUST _Fail the WebSocket Connection_ if the peer server accepted an \
    extension negotiation offer for this extension with an extension negotiation response meeting \
    any of the following conditions";
const FOLDED: &str = "MUST replace each received obs-fold with one or more SP octets prior to interpreting the field value";
const LINE_FEED: &str = "a recipient MAY recognize a single LF as a line terminator";

use Part::{Connection as Con, Key, Line, Others, Syntax, Upgrade};

pub const VARIANTS: &[Variant] = &[
    agreed(Line, "101", "200", NONE),
    agreed(Line, "101", "1010", NONE),
    agreed(Line, "1.1", "1.0", NONE),
    agreed(Line, "1.1", "1.2", NONE),
    agreed(Line, "HTTP", "http", NONE),
    agreed(Line, "Switching Protocols", "", ALL),
    disputed(Line, " Switching Protocols", "", [true, true, false], REASON),
    disputed(
        Line,
        "HTTP/1.1 101",
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 101",
        [true, false, false],
        INTERIM,
    ),
    agreed(Upgrade, "Upgrade: websocket\r\n", "", NONE),
    agreed(Upgrade, "websocket", "WebSocket", ALL),
    agreed(Upgrade, "websocket", "websocket, h2c", NONE),
    disputed(Upgrade, "websocket", "websocket\r\nUpgrade: h2c", [false, true, false], UPGRADE),
    agreed(Con, "Connection: Upgrade\r\n", "", NONE),
    agreed(Con, "Connection: Upgrade", "Connection: close", NONE),
    agreed(Con, "Connection: Upgrade", "Connection: upgrade", ALL),
    disputed(
        Con,
        "Connection: Upgrade",
        "Connection: keep-alive, Upgrade",
        [true, false, true],
        CONNECTION,
    ),
    agreed(Key, "Sec-WebSocket-Accept: {key}\r\n", "", NONE),
    agreed(Key, "{key}", "{key}x", NONE),
    agreed(Key, "{key}", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", NONE),
    agreed(Key, " {key}", "{key} \t", ALL),
    disputed(Key, "{key}", "{key}\r\nSec-WebSocket-Accept: {key}", [false, true, false], ONE_KEY),
    disputed(Others, "Sec-WebSocket-Protocol: chat\r\n", "", [true, false, true], NO_SUBPROTOCOL),
    agreed(Others, "Protocol: chat", "Protocol: superchat", NONE),
    agreed(Others, "Protocol: chat", "Protocol: Chat", NONE),
    agreed(Others, "Protocol: chat", "Protocol: chat, superchat", NONE),
    disputed(
        Others,
        "Sec-WebSocket-Protocol: chat",
        "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: chat",
        [false, true, false],
        ONE_SUBPROTOCOL,
    ),
    agreed(Others, "Server: example", "Sec-WebSocket-Extensions: permessage-deflate", ALL),
    disputed(
        Others,
        "Server: example",
        "Sec-WebSocket-Extensions: x-y",
        [false, true, false],
        EXTENSIONS,
    ),
    disputed(
        Others,
        "Server: example",
        "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=16",
        [false, true, false],
        TERMS,
    ),
    agreed(Others, "Server: example", "Content-Length: 5", ALL),
    agreed(Others, "Server: example", "Server:", ALL),
    agreed(Syntax, "Server: example", "Ser ver: example", NONE),
    agreed(Syntax, "Server: example", ": example", NONE),
    agreed(Syntax, "Server: example", "Server: a\0b", NONE),
    disputed(Syntax, "Server: example", "Server: a\r\n b", [true, false, false], FOLDED),
    disputed(Syntax, "\r\n", "\n", [true, true, false], LINE_FEED),
];

/// Whether townhall accepts this answer.
pub fn by_townhall(response: &str) -> bool {
    let request = UpgradeRequest::new(URI.parse().expect("a URI")).subprotocol("chat");
    let request = request.expect("a token").deflate(DeflateOffer::default());
    let mut sent = Vec::new();
    let mut connection =
        ClientConnection::new(request, Limits::default(), &mut sent).expect("random numbers");
    let request = Request::parse(&sent, 100).expect("a request");
    let key = accept_key(request.header("Sec-WebSocket-Key").expect("a key"));
    let mut bytes = response.replace(KEY, &key).into_bytes();
    let received = connection.receive(&mut &mut bytes[..], &mut Buffers::default());
    matches!(received, Ok(Some(ClientReceived::Accepted(_))))
}

/// Whether tungstenite accepts this answer.
pub fn by_tungstenite(response: &str) -> bool {
    let mut request = URI.into_client_request().expect("a URI");
    let key = accept_key(request.headers()["Sec-WebSocket-Key"].to_str().expect("ASCII"));
    request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("chat"));
    let response = response.replace(KEY, &key);
    tungstenite::client(request, Arrived::new(response.as_bytes())).is_ok()
}
