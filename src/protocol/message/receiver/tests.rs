//! What a receiver holds between two pieces of input, and how long.

use super::*;
use crate::protocol::deflate::{Deflate, DeflateTerms};
use crate::protocol::frame::FromClient;

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CONTINUATION: u8 = 0;
const PING: u8 = 9;

/// A frame that is masked with zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, 0x80 | payload.len() as u8, 0, 0, 0, 0], payload].concat()
}

fn receiver(deflate: Option<DeflateTerms>) -> Receiver<FromClient> {
    Receiver::new(Arc::new(Limits::default()), Inflation::of_client(deflate))
}

/// What is received in a piece of input, all of which is used up.
fn receive(receiver: &mut Receiver<FromClient>, bytes: &[u8]) -> Option<Incoming<'static>> {
    let mut bytes = bytes.to_vec();
    let mut input = &mut bytes[..];
    let received = receiver.receive_any(&mut input, &mut Buffers::default()).unwrap();
    assert!(input.is_empty());
    received.map(Incoming::into_owned)
}

fn binary(payload: &[u8]) -> Option<Incoming<'static>> {
    Some(IncomingMessage::binary(payload.to_vec()).into())
}

#[test]
fn a_payload_that_looks_like_a_fragment_is_none() {
    let mut receiver = receiver(None);
    assert_eq!(receive(&mut receiver, &frame(BINARY, b"a")), None);
    let payload = [b"b", &frame(CONTINUATION, b"cd")[..]].concat();
    let last = frame(FIN, &payload);
    assert_eq!(receive(&mut receiver, &last[..7]), None);
    assert_eq!(receive(&mut receiver, &last[7..]), binary(&[b"a", &payload[..]].concat()));
}

#[test]
fn a_fragment_in_the_middle_may_arrive_in_pieces() {
    let mut receiver = receiver(None);
    let middle = frame(CONTINUATION, b"bcd");
    assert_eq!(receive(&mut receiver, &[&frame(BINARY, b"a"), &middle[..8]].concat()), None);
    assert_eq!(receive(&mut receiver, &middle[8..]), None);
    assert_eq!(
        receive(&mut receiver, &[&middle[..], &frame(FIN, b"")].concat()),
        binary(b"abcdbcd")
    );
}

#[test]
fn a_fragment_of_another_message_is_a_violation() {
    for kind in [TEXT, BINARY] {
        let mut receiver = receiver(None);
        assert_eq!(receive(&mut receiver, &frame(kind, b"a")), None);
        let mut bytes = frame(kind, b"bc");
        let received = receiver.receive_any(&mut &mut bytes[..], &mut Buffers::default());
        assert_eq!(received, Err(Violation::InterruptedMessage));
    }
}

/// The pieces of input, and the least number of bytes that are held after each.
fn check_memory(pieces: &[(&[u8], usize)]) {
    let mut receiver = receiver(None);
    for &(piece, bytes) in pieces {
        assert_eq!(receive(&mut receiver, piece).is_some(), bytes == 0);
        let least = if bytes == 0 { 0 } else { size_of::<Progress>() + bytes };
        let most = if bytes == 0 { 0 } else { least + 500 };
        let held = receiver.held_bytes();
        assert!((least..=most).contains(&held), "{held} instead of {least} to {most}");
    }
}

#[test]
fn memory_is_held_for_what_is_incomplete_and_for_nothing_else() {
    for kind in [TEXT, BINARY] {
        let whole = frame(FIN | kind, &[b'a'; 100]);
        check_memory(&[(&whole[..5], 5), (&whole[5..80], 74), (&whole[80..], 0)]);
        let fragment = frame(kind, &[b'a'; 100]);
        check_memory(&[(&fragment, 100), (&frame(FIN, b""), 0)]);
    }
    let ping = frame(FIN | PING, &[b'a'; 100]);
    check_memory(&[(&ping[..80], 74), (&ping[80..], 0)]);
}

#[test]
fn a_compressed_message_is_known_as_one() {
    let offer = [&b"permessage-deflate"[..]];
    let mut receiver = receiver(DeflateTerms::negotiate(offer, &Deflate::default()).unwrap());
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    for (first, payload, is_compressed) in
        [(FIN | RSV1 | TEXT, &hello[..], true), (FIN | TEXT, b"Hello", false)]
    {
        let received = receive(&mut receiver, &frame(first, payload));
        let Some(Incoming::Message(message)) = received else { panic!("{received:?}") };
        assert_eq!(message.was_compressed(), is_compressed);
    }
}
