//! Property: an answer to a request for an upgrade is accepted exactly if it has the fields that RFC 6455,
//! section 4.1, demands, and one with another status is a refusal with that status, unless its Content-Length
//! is not valid. It makes no difference whether the answer arrives byte by byte.
//!
//! Input: whether compression is offered, and how (one byte), then the head of an answer. In it, the accept
//! key of RFC 6455, section 1.3, stands for the one that belongs to the request, wherever it is.

use townhall::protocol::{
    Buffers, ClientConnection, ClientFailure, ClientReceived, InvalidResponse, Limits,
};

use super::client::{EXAMPLE_KEY, connect, replace_key};

const MAX_HEADERS: usize = 24;

/// What a client makes of an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Verdict {
    Accepted,
    /// With this status.
    Refused(u16),
    Invalid(InvalidResponse),
    /// The answer is not complete.
    Waiting,
}

pub fn check(data: &[u8]) {
    let Some((&choice, answer)) = data.split_first() else { return };
    let verdict = judge(choice, answer, answer.len());
    assert_eq!(judge(choice, answer, 1), verdict, "byte by byte");
    match deserved(answer) {
        Deserved::Upgrade(has_extensions) => {
            // Their grammar is the matter of the target `deflate`.
            let is_accepted = verdict == Verdict::Accepted;
            let is_refused = verdict == Verdict::Invalid(InvalidResponse::Extensions);
            assert!(is_accepted || has_extensions && is_refused, "{verdict:?}");
        }
        Deserved::Refusal(status) => assert_eq!(verdict, Verdict::Refused(status)),
        Deserved::Neither => {
            assert!(matches!(verdict, Verdict::Invalid(_) | Verdict::Waiting), "{verdict:?}");
        }
    }
}

/// What our client makes of an answer that arrives in pieces of this size.
fn judge(choice: u8, answer: &[u8], size: usize) -> Verdict {
    let mut limits = Limits::default();
    limits.max_head_bytes = usize::MAX;
    limits.max_headers = MAX_HEADERS;
    let (mut connection, key) = connect(choice, limits);
    let mut answer = answer.to_vec();
    while answer.windows(EXAMPLE_KEY.len()).any(|window| window == EXAMPLE_KEY) {
        answer = replace_key(&answer, EXAMPLE_KEY, key.as_bytes());
    }
    for mut piece in answer.chunks_mut(size.max(1)) {
        if let Some(verdict) = receive(&mut connection, &mut piece) {
            return verdict;
        }
    }
    connection.end().map_or(Verdict::Waiting, |refused| Verdict::Refused(refused.status()))
}

fn receive(connection: &mut ClientConnection, piece: &mut &mut [u8]) -> Option<Verdict> {
    match connection.receive(piece, &mut Buffers::default()) {
        Ok(None) => None,
        Ok(Some(ClientReceived::Accepted(_))) => Some(Verdict::Accepted),
        Ok(Some(ClientReceived::Refused(response))) => Some(Verdict::Refused(response.status())),
        Err(ClientFailure::Handshake(invalid)) => Some(Verdict::Invalid(invalid)),
        other => panic!("{other:?}"),
    }
}

/// What an answer deserves by the fields that a parser finds in it.
enum Deserved {
    /// An upgrade, perhaps with extensions.
    Upgrade(bool),
    Refusal(u16),
    Neither,
}

fn deserved(mut answer: &[u8]) -> Deserved {
    loop {
        let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut fields);
        let mut parser = httparse::ParserConfig::default();
        parser.allow_obsolete_multiline_headers_in_responses(true);
        let parsed = parser.parse_response(&mut response, answer);
        let Ok(httparse::Status::Complete(size)) = parsed else {
            return Deserved::Neither;
        };
        // Only requests may come after empty lines (RFC 9112, section 2.2), but this parser skips them.
        if answer.starts_with(b"\r") || answer.starts_with(b"\n") {
            return Deserved::Neither;
        }
        match response.code {
            Some(101) if response.version == Some(1) => return upgrade(response.headers),
            Some(101) | None => return Deserved::Neither,
            Some(100..200) => answer = &answer[size..],
            Some(status) if has_length(status, response.headers) => {
                return Deserved::Refusal(status);
            }
            Some(_) => return Deserved::Neither,
        }
    }
}

/// Whether a refusal has a valid length, a transfer coding, or neither, so that it ends with the connection.
fn has_length(status: u16, fields: &[httparse::Header<'_>]) -> bool {
    let lengths = values(fields, "Content-Length");
    let is_there = !lengths.is_empty();
    let lengths = lengths.join(&b',');
    let mut lengths = lengths.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    let first = lengths.next().unwrap_or_default();
    let is_number = !first.is_empty() && first.iter().all(u8::is_ascii_digit);
    matches!(status, 204 | 304)
        || !values(fields, "Transfer-Encoding").is_empty()
        || !is_there
        || is_number && lengths.all(|length| length == first)
}

/// The values of all fields with this name.
fn values<'h>(fields: &[httparse::Header<'h>], name: &str) -> Vec<&'h [u8]> {
    let named = fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
    named.map(|field| field.value).collect()
}

fn upgrade(fields: &[httparse::Header<'_>]) -> Deserved {
    let values = |name: &str| values(fields, name);
    let is_upgrade = |one: &&[u8]| one.eq_ignore_ascii_case(b"websocket");
    let lists_upgrade = |value: &&[u8]| {
        let mut tokens = value.split(|&byte| byte == b',');
        tokens.any(|token| token.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
    };
    let is_one = |name: &str, allowed: &dyn Fn(&&[u8]) -> bool| {
        let values = values(name);
        values.len() == 1 && values.iter().all(allowed)
    };
    let is_offered = |name: &&[u8]| [&b"chat"[..], b"superchat"].contains(name);
    let subprotocol = "Sec-WebSocket-Protocol";
    let is_valid = is_one("Upgrade", &is_upgrade)
        && values("Connection").iter().any(lists_upgrade)
        && is_one("Sec-WebSocket-Accept", &|key| *key == EXAMPLE_KEY)
        && (values(subprotocol).is_empty() || is_one(subprotocol, &is_offered));
    match is_valid {
        true => Deserved::Upgrade(!values("Sec-WebSocket-Extensions").is_empty()),
        false => Deserved::Neither,
    }
}
