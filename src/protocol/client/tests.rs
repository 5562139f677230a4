//! The client's side beside the server's, and beside answers that no server should give.

mod opening;

use super::*;
use crate::protocol::{
    Buffers, CloseCode, CloseFrame, Connection, Deflate, DeflateOffer, Incoming, Limits, Message,
    Received, Refusal, Request, Response, Terms, Violation, accept_key,
};

fn request() -> UpgradeRequest {
    UpgradeRequest::new("ws://localhost/lobby".parse().unwrap())
}

/// A client whose request has been sent, and the key of the request.
fn client_of(request: UpgradeRequest, limits: Limits) -> (ClientConnection, String) {
    let mut out = Vec::new();
    let client = ClientConnection::new(request, limits, &mut out).unwrap();
    let request = Request::parse(&out, 16).unwrap();
    let key = request.header("Sec-WebSocket-Key").unwrap().to_owned();
    (client, key)
}

type Outcome = Result<Option<ClientReceived<'static>>, ClientFailure>;

/// What a client receives in a piece of input.
fn receive(client: &mut ClientConnection, bytes: &[u8]) -> Outcome {
    let mut bytes = bytes.to_vec();
    let received = client.receive(&mut &mut bytes[..], &mut Buffers::default());
    received.map(|received| {
        received.map(|received| match received {
            ClientReceived::Accepted(accepted) => ClientReceived::Accepted(accepted),
            ClientReceived::Refused(response) => ClientReceived::Refused(response),
            ClientReceived::Frames(incoming) => ClientReceived::Frames(incoming.into_owned()),
        })
    })
}

/// A 101 response to a key, with further fields.
fn answer(key: &str, fields: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\n\
        Connection: keep-alive, Upgrade\r\nSec-WebSocket-Accept: {}\r\n{fields}\r\n",
        accept_key(key)
    )
}

fn open_client() -> ClientConnection {
    let (mut client, key) = client_of(request(), Limits::default());
    let received = receive(&mut client, answer(&key, "").as_bytes());
    assert!(matches!(received, Ok(Some(ClientReceived::Accepted(_)))) && client.is_open());
    assert!(!client.is_handshaking());
    client
}

/// A client and a server that are connected.
struct Pair {
    client: ClientConnection,
    server: Connection,
    buffers: Buffers,
}

impl Pair {
    fn connect(request: UpgradeRequest, deflate: Option<&Deflate>) -> (Self, Accepted) {
        let mut bytes = Vec::new();
        let client = ClientConnection::new(request, Limits::default(), &mut bytes).unwrap();
        let server = Connection::new(Limits::default());
        let mut pair = Self { client, server, buffers: Buffers::default() };
        let head = pair.server.receive(&mut &mut bytes[..], &mut pair.buffers);
        let Ok(Some(Received::Head(head))) = head else { panic!("{head:?}") };
        let request = Request::parse(&head, 16).unwrap();
        let terms = Terms::negotiate(&request, &["townhall.v1".to_owned()], deflate).unwrap();
        let mut out = Vec::new();
        pair.server.accept(&terms, &mut out);
        match receive(&mut pair.client, &out) {
            Ok(Some(ClientReceived::Accepted(accepted))) => {
                assert_eq!(accepted.deflate, terms.deflate);
                (pair, *accepted)
            }
            other => panic!("{other:?}"),
        }
    }

    /// What the server receives of these bytes, in two pieces.
    fn receive_at_server(&mut self, mut bytes: Vec<u8>, split: usize) -> Incoming<'static> {
        let (mut first, mut second) = bytes.split_at_mut(split);
        let received = self.server.receive(&mut first, &mut self.buffers).unwrap();
        assert!(received.is_none() && first.is_empty());
        match self.server.receive(&mut second, &mut self.buffers) {
            Ok(Some(Received::Frames(incoming))) => incoming.into_owned(),
            other => panic!("{other:?}"),
        }
    }
}

fn assert_is(incoming: &Incoming<'_>, expected: Message<'_>) {
    assert_eq!(incoming.message(), Some(expected));
}

#[test]
fn messages_go_both_ways() {
    let (mut pair, accepted) = Pair::connect(request().subprotocol("townhall.v1").unwrap(), None);
    assert_eq!(accepted.subprotocol.as_deref(), Some("townhall.v1"));
    assert_eq!(accepted.response.status(), 101);
    assert_eq!(accepted.response.reason(), "Switching Protocols");
    for length in [0, 1, 125, 126, 0xffff, 0x1_0000] {
        let bytes = vec![b'x'; length];
        let mut out = Vec::new();
        pair.client.send(&bytes, &mut out);
        for split in [0, 1, 5, out.len() - 1] {
            assert_is(&pair.receive_at_server(out.clone(), split), Message::Binary(&bytes));
        }
        out.clear();
        pair.server.send("hello", &mut out);
        let received = receive(&mut pair.client, &out).unwrap().unwrap();
        let ClientReceived::Frames(incoming) = received else { panic!("{received:?}") };
        assert_is(&incoming, Message::Text("hello"));
    }
}

#[test]
fn fragments_arrive_in_pieces_with_a_ping_between_them() {
    let mut client = open_client();
    let bytes =
        [b"\x01\x02gr", &b"\x89\x01!"[..], b"\x00\x03\xc3\xbc\xc3", b"\x80\x02\x9fe"].concat();
    let mut received = Vec::new();
    for byte in bytes {
        if let Some(ClientReceived::Frames(incoming)) = receive(&mut client, &[byte]).unwrap() {
            received.push(incoming);
        }
    }
    assert_eq!(received[0], Incoming::Ping(b"!".into()));
    assert_is(&received[1], Message::Text("gr\u{fc}\u{df}e"));
}

#[test]
fn each_frame_has_a_mask_of_its_own() {
    let mut client = open_client();
    let masks: std::collections::BTreeSet<_> = (0..100)
        .map(|_| {
            let mut out = Vec::new();
            client.send("", &mut out);
            client.ping(b"", &mut out);
            assert_eq!((out[1], out[7]), (0x80, 0x80));
            (out[2..6].to_vec(), out[8..].to_vec())
        })
        .collect();
    assert!(masks.len() > 95 && masks.iter().all(|(first, second)| first != second));
}

#[test]
fn compressed_messages_go_both_ways_under_all_terms() {
    let text = "a text that is repeated, a text that is repeated, and repeated again ".repeat(3);
    for bits in
        [(true, true, 15, 15), (false, true, 9, 15), (true, false, 15, 9), (false, false, 10, 11)]
    {
        let mut offer = DeflateOffer::default();
        (offer.server_context_takeover, offer.client_context_takeover) = (bits.0, bits.1);
        (offer.server_window_bits, offer.client_window_bits) = (bits.2, bits.3);
        let (mut pair, accepted) =
            Pair::connect(request().deflate(offer), Some(&Deflate::default()));
        let terms = accepted.deflate.unwrap();
        let mut deflater = crate::protocol::Deflater::new(6, terms.server_window_bits());
        let mut sizes = Vec::new();
        for _ in 0..3 {
            let mut out = Vec::new();
            pair.client.send(&text, &mut out);
            assert_eq!(out[0], 0xc1, "compressed");
            sizes.push(out.len());
            assert_is(&pair.receive_at_server(out, 3), Message::Text(&text));
            let mut out = Vec::new();
            if !terms.server_context_takeover {
                deflater.reset();
            }
            Message::Text(&text).encode_compressed(&mut deflater, &mut out);
            let received = receive(&mut pair.client, &out).unwrap().unwrap();
            let ClientReceived::Frames(incoming) = received else { panic!("{received:?}") };
            assert_is(&incoming, Message::Text(&text));
        }
        assert_eq!(sizes[1] < sizes[0], terms.client_context_takeover, "{terms:?}");
        let mut out = Vec::new();
        pair.client.send("short", &mut out);
        assert_eq!(out[0], 0x81, "not worth compressing");
        out.clear();
        pair.client.send(&"x".repeat(64), &mut out);
        assert_eq!(out[0], 0xc1, "as long as the threshold");
    }
}

#[test]
fn a_window_that_zlib_cannot_compress_for_leaves_messages_uncompressed() {
    let (mut client, key) =
        client_of(request().deflate(DeflateOffer::default()), Limits::default());
    let fields = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=8\r\n";
    receive(&mut client, answer(&key, fields).as_bytes()).unwrap().unwrap();
    let mut out = Vec::new();
    client.send(&"a".repeat(1_000), &mut out);
    assert_eq!(out[0], 0x81);
}

#[test]
fn an_offer_that_was_not_accepted_is_not_used() {
    let offer = DeflateOffer::default();
    let (mut client, key) = client_of(request().deflate(offer), Limits::default());
    receive(&mut client, answer(&key, "").as_bytes()).unwrap().unwrap();
    let mut out = Vec::new();
    client.send(&"a".repeat(1_000), &mut out);
    assert_eq!(out[0], 0x81);
    let failure = receive(&mut client, b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00").unwrap_err();
    assert_eq!(failure, ClientFailure::Protocol(Violation::ReservedBits));
}

/// RFC 6455, section 7.2.1.
#[test]
fn a_transport_that_ends_early_ends_the_connection() {
    let (waiting, _) = client_of(request(), Limits::default());
    for mut client in [waiting, open_client()] {
        assert_eq!(client.end(), None);
        assert!(client.is_closed() && !client.was_clean());
    }
}

#[test]
fn either_side_can_close() {
    let frame = |out: &[u8]| match receive(&mut open_client(), out) {
        Ok(Some(ClientReceived::Frames(Incoming::Close(frame)))) => frame,
        other => panic!("{other:?}"),
    };
    let (mut pair, _) = Pair::connect(request(), None);
    let mut out = Vec::new();
    pair.client.close(CloseCode::NORMAL, "bye", &mut out);
    pair.client.send("too late", &mut out);
    let Incoming::Close(close) = pair.receive_at_server(out, 4) else { panic!("no close frame") };
    assert_eq!(close, Some(CloseFrame { code: CloseCode::NORMAL, reason: "bye".to_owned() }));
    let mut out = Vec::new();
    pair.server.answer_close(close.as_ref(), &mut out);
    assert_eq!(frame(&out), close);
    receive(&mut pair.client, &out).unwrap();
    pair.client.answer_close(close.as_ref(), &mut Vec::new());
    assert!(pair.client.is_closed() && pair.client.was_clean());
    assert_eq!(pair.client.end(), None);
    assert!(pair.client.was_clean(), "the end of the transport is what follows");

    let (mut pair, _) = Pair::connect(request(), None);
    let mut out = Vec::new();
    pair.client.answer_close(None, &mut out);
    assert_eq!(pair.receive_at_server(out, 1), Incoming::Close(None));
    assert!(pair.client.was_clean());
}

#[test]
fn a_frame_that_breaks_a_rule_fails_the_connection() {
    for (bytes, violation) in [
        (&b"\x81\x85\0\0\0\0Hello"[..], Violation::Masked),
        (b"\xc1\x05Hello", Violation::ReservedBits),
        (b"\x80\x00", Violation::UnexpectedContinuation),
        (b"\x81\x01\xff", Violation::InvalidUtf8),
        (b"\x88\x01\x03", Violation::TruncatedCloseCode),
    ] {
        let mut client = open_client();
        let failure = receive(&mut client, bytes).unwrap_err();
        assert_eq!(failure, ClientFailure::Protocol(violation));
        assert_eq!(failure.to_string(), violation.to_string());
        let mut out = Vec::new();
        client.fail(failure, &mut out);
        assert_eq!((out[0], out[1] & 0x80), (0x88, 0x80), "a masked close frame");
        assert!(!client.is_open() && !client.was_clean());
        assert_eq!(client.is_closed(), violation == Violation::TruncatedCloseCode);
    }
}

#[test]
fn pings_and_pongs_are_masked_and_only_while_the_connection_is_open() {
    let mut client = open_client();
    let mut out = Vec::new();
    client.pong(&[b'x'; 200], &mut out);
    assert_eq!((out[0], out[1], out.len()), (0x8a, 0x80 | 125, 131));
    client.abandon();
    out.clear();
    client.ping(b"", &mut out);
    client.send("", &mut out);
    client.close(CloseCode::NORMAL, "", &mut out);
    assert!(out.is_empty() && client.is_closed());
    assert_eq!(receive(&mut client, b"\x81\x00"), Ok(None));
}
