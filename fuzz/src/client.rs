//! Property: splitting what a server sends differently changes neither what its client receives, nor the
//! failure that ends the connection, nor the frames that answer it. These are complete, and nothing follows
//! a close frame.
//!
//! Input: whether compression is offered, and how (one byte); four sizes of pieces (see `pieces.rs`); then
//! the bytes of a server, beginning with its answer. The first accept key of RFC 6455, section 1.3, in them
//! stands for the one that belongs to the request.

use townhall::protocol::internals::{FrameHeader, FromClient, apply_mask};
use townhall::protocol::{
    Buffers, ClientConnection, ClientFailure, ClientReceived, CloseCode, DeflateOffer, Incoming,
    Limits, Opcode, UpgradeRequest, accept_key,
};

use super::connection;
use super::pieces::piece_lengths;

/// The example of RFC 6455, section 1.3.
pub const EXAMPLE_KEY: &[u8] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Those of a server's connection, and one for the body of a refusal.
fn limits() -> Limits {
    let mut limits = connection::limits();
    limits.max_body_bytes = 300;
    limits
}

/// What a conversation came to, without what depends on the random key.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    received: Vec<String>,
    failure: Option<ClientFailure>,
    sent: Vec<u8>,
}

pub fn check(data: &[u8]) {
    let Some((&choice, data)) = data.split_first() else { return };
    let Some((sizes, answer)) = data.split_first_chunk::<4>() else { return };
    let mut buffers = Buffers::default();
    let outcome = converse(choice, answer, std::iter::once(answer.len()), &mut buffers);
    let lengths = piece_lengths(answer.len(), sizes);
    assert_eq!(converse(choice, answer, lengths, &mut buffers), outcome);
}

/// The request, and a connection that has sent it.
pub fn connect(choice: u8, limits: Limits) -> (ClientConnection, String) {
    let uri = "ws://server.example.com/chat".parse().expect("a URI");
    let request = UpgradeRequest::new(uri).subprotocol("chat").expect("a token");
    let request = request.subprotocol("superchat").expect("a token");
    let mut offer = DeflateOffer::default();
    offer.threshold_bytes = 0;
    offer.server_context_takeover = choice & 2 == 0;
    offer.client_context_takeover = choice & 4 == 0;
    offer.server_window_bits = 15 - (choice >> 3 & 3);
    offer.client_window_bits = 15 - (choice >> 5);
    let request = if choice & 1 == 0 { request } else { request.deflate(offer) };
    let mut out = Vec::new();
    let connection = ClientConnection::new(request, limits, &mut out).expect("random numbers");
    let head = String::from_utf8(out).expect("a request is ASCII");
    let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
    (connection, accept_key(key.expect("a request has a key")))
}

/// The same bytes with another key where the first one is.
pub fn replace_key(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut replaced = bytes.to_vec();
    if let Some(at) = bytes.windows(from.len()).position(|window| window == from) {
        replaced[at..at + to.len()].copy_from_slice(to);
    }
    replaced
}

/// Plays the client, to which the pieces arrive one by one.
fn converse(
    choice: u8,
    answer: &[u8],
    lengths: impl Iterator<Item = usize>,
    buffers: &mut Buffers,
) -> Outcome {
    let (mut connection, key) = connect(choice, limits());
    let mut bytes = replace_key(answer, EXAMPLE_KEY, key.as_bytes());
    let mut rest = &mut bytes[..];
    let mut outcome = Outcome::default();
    let mut sent = Vec::new();
    for length in lengths {
        let (mut piece, behind) = rest.split_at_mut(length);
        rest = behind;
        while let Some(result) = connection.receive(&mut piece, buffers).transpose() {
            match result {
                Ok(received) => {
                    outcome.received.push(show(&received));
                    reply(&mut connection, &received, &mut sent);
                }
                Err(failure) => {
                    connection.fail(failure, &mut sent);
                    assert!(!connection.is_open() && !connection.is_handshaking());
                    assert_eq!(outcome.failure.replace(failure), None, "failed twice");
                    // Nothing more is read of a server that does not speak the protocol.
                    if connection.is_closed() {
                        piece = &mut [];
                    }
                }
            }
        }
    }
    outcome
        .received
        .extend(connection.end().map(|refused| show(&ClientReceived::Refused(Box::new(refused)))));
    outcome.sent = unmasked(&sent);
    outcome
}

fn show(received: &ClientReceived<'_>) -> String {
    match received {
        ClientReceived::Accepted(accepted) => {
            format!("{:?} {:?}", accepted.subprotocol, accepted.deflate)
        }
        // It may have any part of the key.
        ClientReceived::Refused(response) => {
            let lengths = [response.reason().len(), response.body().len()];
            format!("{} {lengths:?}", response.status())
        }
        received => format!("{received:?}"),
    }
}

fn reply(connection: &mut ClientConnection, received: &ClientReceived<'_>, out: &mut Vec<u8>) {
    match received {
        ClientReceived::Frames(Incoming::Ping(payload)) => connection.pong(payload, out),
        ClientReceived::Frames(Incoming::Close(frame)) => {
            connection.answer_close(frame.as_ref(), out);
        }
        ClientReceived::Frames(incoming) => match incoming.message() {
            // An empty message makes the client close.
            Some(message) if message.payload().is_empty() => {
                connection.close(CloseCode::GOING_AWAY, "empty", out);
            }
            // Any other message is echoed.
            Some(message) => connection.send(message, out),
            None => {}
        },
        _ => {}
    }
}

/// The frames with masks of zeros. RFC 6455, section 5.5.1: "The application MUST NOT send any more data
/// frames after sending a Close frame."
fn unmasked(mut sent: &[u8]) -> Vec<u8> {
    let mut frames = Vec::new();
    while !sent.is_empty() {
        let parsed = FrameHeader::parse::<FromClient>(sent, true).expect("a valid header");
        let (header, size) = parsed.expect("a whole header");
        let (frame, rest) = sent.split_at(size + header.length as usize);
        assert!(header.opcode != Opcode::Close || rest.is_empty(), "something follows it");
        frames.extend_from_slice(&frame[..size - header.mask.len()]);
        let begin = frames.len();
        frames.extend_from_slice(&frame[size..]);
        apply_mask(&mut frames[begin..], header.mask);
        sent = rest;
    }
    frames
}
