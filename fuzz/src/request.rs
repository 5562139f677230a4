//! Property: splitting requests differently changes neither what is received, nor the refusal that ends the
//! connection, nor the answers. A body is no longer than the limit, and no longer than the input. Memory is
//! held only for bytes that have arrived. A request whose head has both a length and a transfer coding, or two
//! lengths, is never received with a body.
//!
//! Input: four sizes of pieces (see `pieces.rs`), then the bytes of a client.

use townhall::protocol::{
    Buffers, Connection, Failure, Framing, Limits, Received, Request, Response,
};

use super::pieces::piece_lengths;

const MAX_BODY_BYTES: usize = 300;

/// Small, so that inputs reach them.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_head_bytes = 1024;
    limits.max_headers = 20;
    limits.max_body_bytes = MAX_BODY_BYTES;
    limits
}

/// What a conversation came to.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    requests: Vec<(Vec<u8>, Vec<u8>)>,
    failure: Option<Failure>,
    sent: Vec<u8>,
}

pub fn check(data: &[u8]) {
    let Some((sizes, bytes)) = data.split_first_chunk::<4>() else { return };
    let outcome = converse(std::iter::once(bytes.len()), bytes);
    assert_eq!(converse(piece_lengths(bytes.len(), sizes), bytes), outcome);
    for (head, body) in &outcome.requests {
        assert!(body.len() <= MAX_BODY_BYTES && body.len() <= bytes.len());
        let request = Request::parse(head, 20).expect("it was parsed before");
        let lengths = request.header_values("Content-Length").count();
        let codings = request.header_values("Transfer-Encoding").count();
        assert!(body.is_empty() || lengths + codings == 1);
    }
}

/// Receives requests, and answers them, until one is refused or all bytes have been received.
fn converse(lengths: impl Iterator<Item = usize>, bytes: &[u8]) -> Outcome {
    let mut connection = Connection::new(limits());
    let mut buffers = Buffers::default();
    let mut outcome = Outcome::default();
    let mut bytes = bytes.to_vec();
    let mut rest = &mut bytes[..];
    for length in lengths {
        let (mut piece, behind) = rest.split_at_mut(length);
        rest = behind;
        while let Some(received) = receive(&mut connection, &mut piece, &mut buffers, &mut outcome)
        {
            answer(&mut connection, received, &mut outcome);
        }
        // A head, a body and a line of it, in buffers that are at most twice as long or have a minimum.
        assert!(connection.held_bytes() <= 2 * (2 * 1024 + MAX_BODY_BYTES) + 64);
    }
    outcome
}

fn receive(
    connection: &mut Connection,
    piece: &mut &mut [u8],
    buffers: &mut Buffers,
    outcome: &mut Outcome,
) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    match connection.receive(piece, buffers) {
        Ok(None) => None,
        Ok(Some(Received::Head(head))) => Some((head, None)),
        Ok(Some(Received::Request { head, body })) => Some((head, Some(body))),
        Ok(received) => panic!("{received:?}"),
        Err(failure) => {
            connection.fail(failure, &mut outcome.sent);
            outcome.failure = Some(failure);
            None
        }
    }
}

fn answer(
    connection: &mut Connection,
    (head, body): (Vec<u8>, Option<Vec<u8>>),
    outcome: &mut Outcome,
) {
    let checked = Request::parse(&head, 20).and_then(|request| {
        Ok((request.is_persistent(), Framing::of(&request, &head, MAX_BODY_BYTES)?))
    });
    match (checked, body) {
        (Err(refusal), _) => {
            connection.fail(refusal, &mut outcome.sent);
            outcome.failure = Some(refusal.into());
        }
        (Ok((_, framing)), None) if !framing.is_empty() => {
            connection.read_body(head, framing, &mut outcome.sent);
        }
        (Ok((is_persistent, _)), body) => {
            outcome.requests.push((head, body.unwrap_or_default()));
            if is_persistent {
                connection.respond_and_persist(&Response::new(204), &mut outcome.sent);
            } else {
                connection.respond(&Response::new(204), &mut outcome.sent);
            }
        }
    }
}
