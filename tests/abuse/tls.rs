//! Attacks on TLS.

mod records;

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ContentType;
use rustls::pki_types::CertificateDer;

use crate::peer::{Peer, frame, request};
use crate::support::{Bounds, KIB, MIB, Siege};
use records::{NEW, OLD, Records, connect};

const BOUNDS: Bounds = Bounds { memory: 8 * MIB, cpu: 5, time: 60 };

/// A program with an address for TLS as well.
struct Target {
    siege: Siege,
    address: String,
    certificate: CertificateDer<'static>,
}

impl Target {
    /// Starts it with these flags. Each test has a `name`, for its files.
    fn start(name: &str, flags: &[&str]) -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let [chain, key] = ["cert", "key"].map(|what| folder.join(format!("{name}-{what}.pem")));
        fs::write(&chain, cert.pem()).unwrap();
        fs::write(&key, signing_key.serialize_pem()).unwrap();
        let tls = ["--listen", "https://127.0.0.1:0", "--tls-cert", chain.to_str().unwrap()];
        let flags = [&tls[..], &["--tls-key", key.to_str().unwrap()], flags].concat();
        let mut siege = Siege::begin(&flags);
        let address = siege.program.next_address();
        Self { siege, address, certificate: cert.der().clone() }
    }

    /// A connection without TLS.
    fn plain(&self) -> Peer {
        Peer::connect(&self.address)
    }

    /// A member of a room over TLS 1.3.
    fn join(&self, path: &str) -> Records {
        let mut peer = Records::connect(&self.address, &self.certificate, NEW);
        peer.send(request(path).as_bytes(), 16 * KIB);
        peer.receive_until(b"\r\n\r\n");
        peer
    }

    /// A connection that goes on after an attack.
    fn still_serves(&self) {
        let mut member = self.join("/");
        member.send(&frame(0x81, b"hello"), 16 * KIB);
        assert_eq!(member.receive_until(b"hello"), b"\x81\x05hello");
    }
}

/// A ClientHello, as a handshake message, that declares this length and has as many zeros.
fn hello(length: usize) -> Vec<u8> {
    let [_, high, middle, low] = (length as u32).to_be_bytes();
    [&[1, high, middle, low][..], &vec![0; length]].concat()
}

/// A ClientHello (RFC 5246, section 7.4.1.2) with one cipher and one extension, `signature_algorithms`.
fn valid_hello() -> Vec<u8> {
    let version_and_random = [&[3, 3][..], &[7; 32]].concat();
    let rest = [0, 0, 2, 0xc0, 0x2b, 1, 0, 0, 8, 0, 13, 0, 4, 0, 2, 4, 3];
    let length = (version_and_random.len() + rest.len()) as u8;
    [&[1, 0, 0, length][..], &version_and_random, &rest].concat()
}

/// A message in unencrypted handshake records of at most this size.
fn handshake_records(message: &[u8], size: usize) -> Vec<u8> {
    let record = |part: &[u8]| {
        let length = (part.len() as u16).to_be_bytes();
        [&[22, 3, 1][..], &length, part].concat()
    };
    message.chunks(size).flat_map(record).collect()
}

#[test]
fn handshakes_that_trickle_end_at_their_deadline() {
    let target = Target::start("trickle", &["--handshake-timeout", "1s"]);
    let records = handshake_records(&hello(1_000), 1_000);
    let trickle = |mut peer: Peer| {
        let received = peer.trickle(records.clone(), Duration::from_millis(20));
        assert_eq!(received, b"");
    };
    let peers = [(); 20].map(|()| target.plain());
    thread::scope(|scope| peers.map(|peer| scope.spawn(|| trickle(peer))).map(drop));
    target.siege.program.log_line("failed the TLS handshake (timeout)");
    target.still_serves();
    target.siege.end(BOUNDS);
}

#[test]
fn long_hellos_take_no_more_memory_than_was_sent() {
    let target = Target::start("hello", &["--handshake-timeout", "2s"]);
    // A message of 64 KiB is the longest that is read at all. It is incomplete.
    let records = handshake_records(&hello(65_535), 16 * KIB);
    let peers = [(); 50].map(|()| target.plain());
    peers.iter().for_each(|peer| peer.send(&records[..64_000]));
    peers.into_iter().for_each(|mut peer| assert_eq!(peer.receive_end(), b""));
    // Complete, but nonsense.
    let mut peer = target.plain();
    peer.send(&handshake_records(&hello(60_000), 16 * KIB));
    assert_eq!(peer.receive_end()[0], 21);
    // Longer, and longer than what has arrived.
    for length in [70_000, 0xff_ffff] {
        let mut peer = target.plain();
        // It ends before everything has been sent.
        let _ = peer.try_send(&handshake_records(&hello(length), 16 * KIB));
        let answer = peer.receive_end();
        assert!(answer.is_empty() || answer[0] == 21, "{answer:?}");
    }
    // In records of one byte, which need six.
    let mut peer = target.plain();
    let _ = peer.try_send(&handshake_records(&hello(60_000), 1));
    let answer = peer.receive_end();
    assert!(answer.is_empty() || answer[0] == 21, "{answer:?}");
    target.still_serves();
    target.siege.end(Bounds { memory: 16 * MIB, ..BOUNDS });
}

#[test]
fn renegotiation_is_refused() {
    let target = Target::start("renegotiation", &[]);
    let mut member = Records::connect(&target.address, &target.certificate, OLD);
    member.send(request("/").as_bytes(), 16 * KIB);
    member.receive_until(b"\r\n\r\n");
    let hello = valid_hello();
    let again = member.seal(ContentType::Handshake, &hello);
    member.send_raw(&again).unwrap();
    // The alert no_renegotiation is a warning (RFC 5246, section 7.2.2).
    assert_eq!(member.receive(), Some((ContentType::Alert, vec![1, 100])));
    member.send(&frame(0x81, b"hello"), 16 * KIB);
    assert_eq!(member.receive_until(b"hello"), b"\x81\x05hello");
    let flood: Vec<_> =
        (0..1_000).flat_map(|_| member.seal(ContentType::Handshake, &hello)).collect();
    let _ = member.send_raw(&flood);
    member.receive_end();
    target.still_serves();
    target.siege.end(BOUNDS);
}

#[test]
fn records_of_one_byte_are_read() {
    let target = Target::start("bytes", &[]);
    for with in [OLD, NEW] {
        let mut member = Records::connect(&target.address, &target.certificate, with);
        member.send(request("/").as_bytes(), 1);
        member.receive_until(b"\r\n\r\n");
        let text = "x".repeat(2_000);
        member.send(&frame(0x81, text.as_bytes()), 1);
        assert!(member.receive_until(b"x").ends_with(b"xxx"));
    }
    target.siege.end(BOUNDS);
}

#[test]
fn records_without_data_end_the_connection() {
    let target = Target::start("empty", &[]);
    for with in [OLD, NEW] {
        let mut peer = Records::connect(&target.address, &target.certificate, with);
        let seal = |_| peer.seal(ContentType::ApplicationData, b"");
        let flood: Vec<_> = (0..50_000).flat_map(seal).collect();
        let _ = peer.send_raw(&flood);
        peer.receive_end();
    }
    target.still_serves();
    target.siege.end(BOUNDS);
}

#[test]
fn half_closed_connections_end() {
    let target = Target::start("half", &[]);
    for records in [&b""[..], &handshake_records(&hello(1_000), 1_000)[..500]] {
        let mut peer = target.plain();
        peer.send(records);
        peer.end_writing();
        assert_eq!(peer.receive_end(), b"");
    }
    for with in [OLD, NEW] {
        // The end of TCP without the alert close_notify, and with it.
        let mut peer = Records::connect(&target.address, &target.certificate, with);
        peer.end_writing();
        peer.receive_end();
        let mut peer = Records::connect(&target.address, &target.certificate, with);
        let alert = peer.seal(ContentType::Alert, &[1, 0]);
        peer.send_raw(&alert).unwrap();
        peer.receive_end();
    }
    target.still_serves();
    target.siege.end(BOUNDS);
}

#[test]
fn garbage_after_the_handshake_ends_the_connection() {
    let target = Target::start("garbage", &[]);
    for with in [OLD, NEW] {
        // bad_record_mac, and decode_error or record_overflow (RFC 8446, section 6.2).
        for (garbage, alerts) in [
            (&[23, 3, 3, 0, 40, 7, 7][..], &[20][..]),
            (&[0xff; 40], &[50]),
            (&[23, 3, 3, 0xff, 0xff], &[22, 50]),
        ] {
            let mut peer = Records::connect(&target.address, &target.certificate, with);
            peer.send_raw(&[garbage, &[7; 38]].concat()).unwrap();
            let alert = peer.receive_end();
            assert!(alert.is_some_and(|alert| alerts.contains(&alert)), "{garbage:?}: {alert:?}");
        }
    }
    target.still_serves();
    target.siege.end(BOUNDS);
}

#[test]
fn a_flood_of_key_updates_ends_the_connection() {
    let target = Target::start("keys", &[]);
    let mut peer = connect(&target.address, &target.certificate, NEW);
    peer.conn.complete_io(&mut peer.sock).unwrap();
    let mut updates = 0;
    let end = loop {
        peer.conn.refresh_traffic_keys().unwrap();
        updates += 1;
        assert!(updates < 100_000, "the connection goes on");
        if let Err(error) = peer.conn.write_tls(&mut peer.sock) {
            break error;
        }
    };
    println!("{updates} key updates: {end}");
    target.still_serves();
    target.siege.end(BOUNDS);
}

#[test]
fn connections_that_never_begin_end_at_the_deadline() {
    let target = Target::start("silent", &["--handshake-timeout", "1s"]);
    let peers: Vec<_> = (0..500).map(|_| target.plain()).collect();
    peers.into_iter().for_each(|mut peer| assert_eq!(peer.receive_end(), b""));
    target.still_serves();
    target.siege.end(BOUNDS);
}

#[test]
fn half_a_handshake_message_does_not_disturb_what_is_sent() {
    let target = Target::start("fragment", &[]);
    let mut member = target.join("/");
    // The beginning of a KeyUpdate (RFC 8446, section 4.6.3).
    let beginning = member.seal(ContentType::Handshake, &[24, 0]);
    member.send_raw(&beginning).unwrap();
    // It has arrived long before another handshake is complete.
    let mut sender = target.join("/");
    for number in 0..10 {
        let text = number.to_string();
        sender.send(&frame(0x81, text.as_bytes()), 16 * KIB);
        assert!(member.receive_until(text.as_bytes()).starts_with(&[0x81, 1]));
    }
    // A message of 64 KiB, one byte at a time.
    let header = member.seal(ContentType::Handshake, &[0, 0xff]);
    let seal = |_| member.seal(ContentType::Handshake, &[0]);
    let flood: Vec<_> = (0..50_000).flat_map(seal).collect();
    let _ = member.send_raw(&[header, flood].concat());
    member.receive_end();
    target.still_serves();
    target.siege.end(BOUNDS);
}
