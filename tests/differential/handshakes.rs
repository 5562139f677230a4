//! The same requests to townhall and to other servers: they accept the same ones, with the same keys.

use townhall::protocol::{Buffers, Connection, Deflate, Limits, Received, Refusal, Request, Terms};

use crate::by_tungstenite::Arrived;

pub const REQUEST: &str = "GET /chat HTTP/1.1\r\n\
    Host: server.example.com\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\
    User-Agent: example\r\n\r\n";

/// A way to change a request or a response.
pub struct Variant {
    /// The part that it changes.
    pub part: Part,
    /// What it replaces, and by what.
    pub edit: (&'static str, &'static str),
    /// Whether townhall, tungstenite and websockets accept the result.
    pub accepted: [bool; 3],
    /// The sentence that decides if they disagree.
    pub sentence: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub enum Part {
    Line,
    Host,
    Upgrade,
    Connection,
    Key,
    Version,
    Others,
    Syntax,
}

/// Where the answer of a library stands in [`Variant::accepted`].
pub const OURS: usize = 0;
pub const TUNGSTENITE: usize = 1;
pub const WEBSOCKETS: usize = 2;

pub const ALL: [bool; 3] = [true; 3];
pub const NONE: [bool; 3] = [false; 3];

pub const fn agreed(
    part: Part,
    from: &'static str,
    to: &'static str,
    accepted: [bool; 3],
) -> Variant {
    Variant { part, edit: (from, to), accepted, sentence: "" }
}

pub const fn disputed(
    part: Part,
    from: &'static str,
    to: &'static str,
    accepted: [bool; 3],
    sentence: &'static str,
) -> Variant {
    Variant { part, edit: (from, to), accepted, sentence }
}

const HIGHER_VERSION: &str = "An HTTP/1.1 or higher GET request";
const ORIGIN_FORM: &str =
    "a client MUST send only the absolute path and query components of the target URI";
const ASTERISK_FORM: &str =
    "The \"asterisk-form\" of request-target is only used for a server-wide OPTIONS request";
const FRAGMENT: &str = "Fragment identifiers are meaningless in the context of WebSocket URIs and \
    MUST NOT be used on these URIs";
const INVALID_TARGET: &str = "Recipients of an invalid request-line SHOULD respond with either a \
    400 (Bad Request) error or a 301 (Moved Permanently) redirect with the request-target \
    properly encoded";
const USER_INFORMATION: &str =
    "a recipient SHOULD parse for userinfo and treat its presence as an error";
const ONE_HOST: &str = "A server MUST respond with a 400 (Bad Request) status code to any \
    HTTP/1.1 request message that lacks a Host header field and to any request message that \
    contains more than one Host header field line or a Host header field with an invalid field \
    value";
const UPGRADE_LIST: &str = "A client MAY send a list of protocol names in the Upgrade header field";
const FIELD_LINES: &str = "A recipient MAY combine multiple field lines within a field section \
    that have the same field name into one field line, without changing the semantics of the \
    message";
const CONNECTION_LIST: &str = "Connection = #connection-option";
const KEY: &str = "value that, when decoded, is 16 bytes in length";
const ONE_KEY: &str = "The |Sec-WebSocket-Key| header field MUST NOT appear more than once in an \
    HTTP request";
const ONE_VERSION: &str = "The |Sec-WebSocket-Version| header field MUST NOT appear more than \
    once in an HTTP request";
const EXTENSION_LIST: &str = "the recipient of such malformed data MUST immediately _Fail the \
    WebSocket Connection_";
const GRAMMAR: &str = "any violations of the ABNF grammar specified for the components of the \
    handshake";
const NO_CONTENT: &str = "content received in a GET request has no generally defined semantics";
const ONE_ORIGIN: &str = "The user agent MUST NOT include more than one Origin header field in \
    any HTTP request";
const LINE_FEED: &str = "a recipient MAY recognize a single LF as a line terminator";
const EMPTY_LINE: &str = "SHOULD ignore at least one empty line (CRLF) received prior to the \
    request-line";

use Part::{Connection as Con, Host, Key, Line, Others, Syntax, Upgrade, Version};

pub const VARIANTS: &[Variant] = &[
    agreed(Line, "GET", "POST", NONE),
    agreed(Line, "GET", "get", NONE),
    agreed(Line, "1.1", "1.0", NONE),
    agreed(Line, "1.1", "2.0", NONE),
    agreed(Line, "HTTP/1.1", "http/1.1", NONE),
    agreed(Line, "GET ", "GET  ", NONE),
    agreed(Line, " HTTP/1.1", "", NONE),
    disputed(Line, "1.1", "1.7", [true, false, false], HIGHER_VERSION),
    agreed(Line, "/chat", "http://server.example.com/chat?a=b", ALL),
    disputed(Line, "/chat", "chat", [false, true, true], ORIGIN_FORM),
    disputed(Line, "/chat", "*", [false, true, true], ASTERISK_FORM),
    disputed(Line, "/chat", "/chat#there", [false, true, true], FRAGMENT),
    disputed(Line, "/chat", "/caf\u{e9}", [true, true, false], INVALID_TARGET),
    disputed(Line, "/chat", "/a\"<>", [true, false, true], INVALID_TARGET),
    disputed(Host, "Host: server.example.com\r\n", "", [false, true, true], ONE_HOST),
    disputed(Host, "Host:", "Host: a\r\nHost:", [false, true, true], ONE_HOST),
    disputed(Host, "Host: server.example.com", "Host: a b", [false, true, true], ONE_HOST),
    disputed(Host, "Host: server.example.com", "Host: user@server", [false, true, true], ONE_HOST),
    agreed(Host, "Host: server.example.com", "Host:", ALL),
    agreed(Upgrade, "Upgrade: websocket\r\n", "", NONE),
    agreed(Upgrade, "websocket", "websockets", NONE),
    agreed(Upgrade, "websocket", "WebSocket", ALL),
    disputed(Upgrade, "websocket", "h2c, websocket", [true, false, false], UPGRADE_LIST),
    disputed(Upgrade, "websocket", "h2c\r\nUpgrade: websocket", [true, false, false], UPGRADE_LIST),
    disputed(Upgrade, "websocket", "websocket\r\nUpgrade: h2c", [true, true, false], UPGRADE_LIST),
    agreed(Con, "Connection: Upgrade\r\n", "", NONE),
    agreed(Con, "Connection: Upgrade", "Connection: close", NONE),
    agreed(Con, "Connection: Upgrade", "Connection: keep-alive, upgrade", ALL),
    agreed(Con, "Connection: Upgrade", "Connection: , ,Upgrade", ALL),
    disputed(
        Con,
        "Connection: Upgrade",
        "Connection: keep-alive\r\nConnection: Upgrade",
        [true, false, true],
        FIELD_LINES,
    ),
    disputed(
        Con,
        "Connection: Upgrade",
        "Connection: keep-alive Upgrade",
        [false, true, false],
        CONNECTION_LIST,
    ),
    agreed(Key, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", NONE),
    agreed(Key, "dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j", NONE),
    agreed(Key, "dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ", NONE),
    agreed(Key, "dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j-Q==", NONE),
    agreed(Key, "dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbX sZSBub25jZQ==", NONE),
    disputed(Key, "dGhlIHNhbXBsZSBub25jZQ==", "AQIDBAUGBwgJCgsMDQ4PEC==", [true, false, true], KEY),
    disputed(
        Key,
        "Sec-WebSocket-Key:",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key:",
        [false, true, false],
        ONE_KEY,
    ),
    agreed(Version, "Sec-WebSocket-Version: 13\r\n", "", NONE),
    agreed(Version, "Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8", NONE),
    agreed(Version, "Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 013", NONE),
    agreed(Version, "Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 13, 8", NONE),
    disputed(
        Version,
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 13",
        [false, true, false],
        ONE_VERSION,
    ),
    agreed(
        Others,
        "User-Agent: example",
        "Sec-WebSocket-Extensions: permessage-deflate; unknown, x",
        ALL,
    ),
    disputed(
        Others,
        "User-Agent: example",
        "Sec-WebSocket-Extensions: permessage-deflate; =1",
        [false, true, false],
        EXTENSION_LIST,
    ),
    disputed(
        Others,
        "User-Agent: example",
        "Sec-WebSocket-Protocol: a b",
        [false, true, false],
        GRAMMAR,
    ),
    agreed(Others, "User-Agent: example", "Sec-WebSocket-Protocol: superchat, chat", ALL),
    agreed(Others, "User-Agent: example", "Content-Length: 0", ALL),
    disputed(Others, "User-Agent: example", "Content-Length: 5", [false, true, false], NO_CONTENT),
    disputed(
        Others,
        "User-Agent: example",
        "Transfer-Encoding: chunked",
        [false, true, false],
        NO_CONTENT,
    ),
    disputed(
        Others,
        "User-Agent: example",
        "Origin: http://a\r\nOrigin: http://b",
        [true, true, false],
        ONE_ORIGIN,
    ),
    agreed(Others, "User-Agent: example", "User-Agent: caf\u{e9}\t", ALL),
    agreed(Others, "User-Agent: example", "User-Agent:", ALL),
    agreed(Syntax, "User-Agent: example", "User Agent: example", NONE),
    agreed(Syntax, "User-Agent: example", "User-Agent : example", NONE),
    agreed(Syntax, "User-Agent: example", ": example", NONE),
    agreed(Syntax, "User-Agent: example", "example", NONE),
    agreed(Syntax, "User-Agent: example", "User-Agent: a\0b", NONE),
    agreed(Syntax, "User-Agent: example", "User-Agent: a\rb", NONE),
    agreed(Syntax, "User-Agent: example", "User-Agent: a\r\n b", NONE),
    agreed(Syntax, "User-Agent: example", "User-Agent: a\x7fb", NONE),
    disputed(Syntax, "\r\n", "\n", [true, true, false], LINE_FEED),
    disputed(Syntax, "GET", "\r\nGET", [true, true, false], EMPTY_LINE),
];

/// The seeds of the fuzz target `handshake` that servers answer differently: who accepts them, and the
/// sentence that decides.
pub const DISPUTED_SEEDS: &[(&str, [bool; 3], &str)] = &[
    ("http-1.7.bin", [true, false, false], HIGHER_VERSION),
    ("absolute-broken.bin", [false, false, true], USER_INFORMATION),
    ("spellings.bin", [true, true, false], INVALID_TARGET),
    ("two-hosts.bin", [false, true, true], ONE_HOST),
    ("key-with-spare-bits.bin", [true, false, true], KEY),
    ("bare-line-feeds.bin", [true, true, false], LINE_FEED),
    ("empty-lines.bin", [true, true, false], EMPTY_LINE),
    ("too-many-empty-lines.bin", [false, true, false], EMPTY_LINE),
];

/// The head of a request or a response, changed; `None` if a variant finds nothing to change.
pub fn changed(head: &str, variants: &[&Variant]) -> Option<String> {
    variants.iter().try_fold(head.to_owned(), |head, variant| {
        let (from, to) = variant.edit;
        head.contains(from).then(|| head.replacen(from, to, 1))
    })
}

/// Each variant, and each pair of two that change different parts.
pub fn combinations(variants: &[Variant]) -> impl Iterator<Item = Vec<&Variant>> {
    let pairs = variants.iter().flat_map(|a| variants.iter().map(move |b| [a, b]));
    let pairs = pairs.filter(|[a, b]| a.part < b.part).map(|pair| pair.to_vec());
    variants.iter().map(|variant| vec![variant]).chain(pairs)
}

/// The key with which townhall accepts a request.
pub fn by_townhall(head: &[u8]) -> Option<String> {
    let mut connection = Connection::new(Limits::default());
    let mut head = head.to_vec();
    let received = connection.receive(&mut &mut head[..], &mut Buffers::default());
    let Ok(Some(Received::Head(head))) = received else { return None };
    let terms = negotiate(&head).ok()?;
    let mut out = Vec::new();
    connection.accept(&terms, &mut out);
    Some(accept_key(&out))
}

fn negotiate(head: &[u8]) -> Result<Terms, Refusal> {
    let request = Request::parse(head, Limits::default().max_headers)?;
    Terms::negotiate(&request, &["chat".to_owned()], Some(&Deflate::default()))
}

/// The key with which tungstenite accepts a request.
pub fn by_tungstenite(head: &[u8]) -> Option<String> {
    let socket = tungstenite::accept(Arrived::new(head)).ok()?;
    Some(accept_key(&socket.get_ref().sent))
}

fn accept_key(response: &[u8]) -> String {
    let response = std::str::from_utf8(response).unwrap();
    let mut fields = response.lines().filter_map(|line| line.split_once(": "));
    let key = fields.find(|(name, _)| name.eq_ignore_ascii_case("Sec-WebSocket-Accept"));
    key.expect("an upgrade has a key").1.to_owned()
}
