//! Property: splitting a conversation differently changes neither what is received, nor the failure that
//! ends it, nor the bytes that answer it, whatever was inflated before for other connections. After an
//! upgrade, the answers are complete frames, and nothing follows a close frame. An invalid head is refused
//! with the piece that contains its first invalid byte.
//!
//! Input: four sizes of pieces (see `pieces.rs`), then the bytes of a client, beginning with its request.

use townhall::protocol::internals::frame_size;
use townhall::protocol::{
    Buffers, CloseCode, Connection, Deflate, Failure, Incoming, Limits, Opcode, Received, Refusal,
    Request, Terms,
};

use super::pieces::piece_lengths;

/// Small, so that inputs reach them.
pub(super) fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_head_bytes = 1024;
    limits.max_headers = 20;
    limits.max_message_bytes = 600;
    limits.max_fragments = 10;
    limits
}

/// What a conversation came to.
#[derive(Debug, Default, PartialEq)]
struct Outcome<'a> {
    received: Vec<Received<'a>>,
    failure: Option<Failure>,
    sent: Vec<u8>,
}

pub fn check(data: &[u8]) {
    let Some((sizes, conversation)) = data.split_first_chunk::<4>() else { return };
    let mut whole = conversation.to_vec();
    let mut pieces = conversation.to_vec();
    let mut buffers = Buffers::default();
    let outcome = converse(std::iter::once(&mut whole[..]), &mut buffers);
    assert_eq!(converse(split(&mut pieces, sizes), &mut buffers), outcome);
    check_sent(&outcome.sent);
    if let Some(Failure::Handshake(_)) = outcome.failure {
        check_first_impossible_byte(conversation, sizes);
    }
}

/// The piece that fails is the one with the byte that fails where each is a piece.
fn check_first_impossible_byte(conversation: &[u8], sizes: &[u8; 4]) {
    let failed = |sizes| {
        let mut bytes = conversation.to_vec();
        let mut connection = Connection::new(limits());
        let mut buffers = Buffers::default();
        let mut end = 0;
        for mut piece in split(&mut bytes, sizes) {
            let begin = end;
            end += piece.len();
            // A complete head ends the search: it fails because of its content.
            if !matches!(connection.receive(&mut piece, &mut buffers), Ok(None)) {
                return begin..end;
            }
        }
        unreachable!("it fails");
    };
    let byte = failed(&[0; 4]).start;
    assert!(failed(sizes).contains(&byte));
}

fn split<'a>(mut bytes: &'a mut [u8], sizes: &[u8; 4]) -> impl Iterator<Item = &'a mut [u8]> {
    piece_lengths(bytes.len(), sizes).map(move |length| {
        let (piece, rest) = std::mem::take(&mut bytes).split_at_mut(length);
        bytes = rest;
        piece
    })
}

/// Plays the server, to which the pieces arrive one by one.
fn converse<'a>(pieces: impl Iterator<Item = &'a mut [u8]>, buffers: &mut Buffers) -> Outcome<'a> {
    let mut connection = Connection::new(limits());
    let mut outcome = Outcome::default();
    for mut piece in pieces {
        // Once it has failed, a connection passes over whatever comes but the peer's close frame.
        while let Some(result) = connection.receive(&mut piece, buffers).transpose() {
            match result {
                Ok(received) => {
                    answer(&mut connection, &received, &mut outcome.sent);
                    outcome.received.push(received);
                }
                Err(failure) => {
                    answer_failure(&mut connection, failure, &mut outcome.sent);
                    assert_eq!(outcome.failure.replace(failure), None, "failed twice");
                }
            }
        }
        assert!(piece.is_empty(), "receive stopped before the end");
    }
    outcome
}

fn answer(connection: &mut Connection, received: &Received<'_>, out: &mut Vec<u8>) {
    match received {
        Received::Head(head) => match negotiate(head) {
            Ok(terms) => connection.accept(&terms, out),
            Err(refusal) => connection.fail(refusal, out),
        },
        Received::Frames(Incoming::Ping(payload)) => connection.pong(payload, out),
        Received::Frames(Incoming::Close(frame)) => connection.answer_close(frame.as_ref(), out),
        Received::Frames(incoming) => match incoming.message() {
            // An empty message makes the server close.
            Some(message) if message.payload().is_empty() => {
                connection.close(CloseCode::GOING_AWAY, "empty", out);
            }
            // Any other message is echoed.
            Some(message) => message.encode(out),
            None => {}
        },
        received => panic!("{received:?}"),
    }
}

/// The client decides whether it keeps its context, so that both ways of inflating are met.
fn negotiate(head: &[u8]) -> Result<Terms, Refusal> {
    let mut deflate = Deflate::default();
    deflate.client_context_takeover = true;
    let request = Request::parse(head, limits().max_headers)?;
    Terms::negotiate(&request, &["chat".to_owned()], Some(&deflate))
}

fn answer_failure(connection: &mut Connection, failure: Failure, out: &mut Vec<u8>) {
    connection.fail(failure, out);
    assert!(!connection.is_open() && !connection.is_handshaking());
}

/// RFC 6455, section 5.5.1: "The application MUST NOT send any more data frames after sending a
/// Close frame."
fn check_sent(sent: &[u8]) {
    if !sent.starts_with(b"HTTP/1.1 101 ") {
        return;
    }
    let head = sent.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("an empty line");
    let mut frames = &sent[head + 4..];
    while !frames.is_empty() {
        let size = frame_size(frames).expect("a whole header");
        let (frame, rest) = frames.split_at(size);
        let is_close = frame[0] & 0x0f == Opcode::Close as u8;
        assert!(!is_close || rest.is_empty(), "something follows the close frame");
        frames = rest;
    }
}
