//! Handshakes that fail, and what they cost.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use townhall::{TlsCounts, TlsFailure};

use super::{Certificate, client_config, connect, connect_with, join, tls_config};
use crate::support::{PATIENCE, Running, chat};

/// The alert before a handshake (RFC 8446, section 6).
const INTERNAL_ERROR: [u8; 7] = [21, 3, 3, 0, 2, 2, 80];

/// The beginning of a handshake record that promises more.
const BEGINNING: [u8; 9] = [22, 3, 1, 0, 200, 1, 0, 0, 196];

/// The counts, once a condition holds for them.
fn counts(server: &Running, is_so: impl Fn(&TlsCounts) -> bool) -> TlsCounts {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let counts = server.ask(|hub| hub.counts().tls.clone());
        if is_so(&counts) {
            return counts;
        }
        assert!(Instant::now() < deadline, "{counts:?}");
    }
}

/// The reasons of all handshakes that failed, once there are as many.
pub fn failures(server: &Running, count: u64) -> Vec<(TlsFailure, u64)> {
    let all = |counts: &TlsCounts| counts.failed.values().sum::<u64>() >= count;
    counts(server, all).failed.into_iter().collect()
}

/// A ClientHello (RFC 5246, section 7.4.1.2) with one cipher, and one extension: ECDSA with SHA-256 and
/// P-256 as the only signature algorithm.
fn hello(version: [u8; 2], cipher: [u8; 2]) -> Vec<u8> {
    let extensions = [0, 13, 0, 4, 0, 2, 4, 3];
    let body = [
        &version[..],
        &[7; 32],
        &[0, 0, 2],
        &cipher,
        &[1, 0, 0, extensions.len() as u8],
        &extensions,
    ]
    .concat();
    let message = [&[1, 0, 0, body.len() as u8], &body[..]].concat();
    [&[22, 3, 1, 0, message.len() as u8], &message[..]].concat()
}

/// Everything that the server sends.
fn answer(mut stream: TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    // The connection may end with a reset behind the answer.
    let _ = stream.read_to_end(&mut answer);
    answer
}

#[test]
fn handshakes_are_counted_by_outcome() {
    let certificate = Certificate::new("localhost");
    let other = Certificate::new("localhost");
    let server = Running::start(tls_config(&[&certificate]), chat);
    let mut failed = BTreeMap::new();
    let mut expect = |failure: TlsFailure| {
        *failed.entry(failure).or_default() += 1;
        let count = failed.values().sum();
        let failed: Vec<_> = failed.clone().into_iter().collect();
        assert_eq!(failures(&server, count), failed);
    };
    for (bytes, failure) in [
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), TlsFailure::Plaintext),
        (vec![0; 100], TlsFailure::Plaintext),
        (hello([3, 2], [0, 47]), TlsFailure::Version),
        (hello([3, 3], [0, 47]), TlsFailure::Algorithms),
        (vec![22; 600], TlsFailure::Malformed),
        (vec![22, 3, 1, 0xff, 0xff], TlsFailure::Malformed),
    ] {
        let mut stream = server.stream();
        stream.write_all(&bytes).unwrap();
        answer(stream);
        expect(failure);
    }

    let mut stream = server.stream();
    stream.write_all(&BEGINNING).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    answer(stream);
    expect(TlsFailure::Ended);

    for versions in [&[&TLS12], &[&TLS13]] {
        let mut stream = connect(&server, &other, "localhost", versions);
        stream.write_all(b"hello").unwrap_err();
        expect(TlsFailure::Alert);
        let mut config = client_config(&certificate, versions).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let mut stream = connect_with(&server, Arc::new(config), "localhost");
        stream.write_all(b"hello").unwrap_err();
        expect(TlsFailure::ApplicationProtocol);
    }

    // Browsers open connections in advance.
    drop(server.stream());
    for versions in [&[&TLS12], &[&TLS13]] {
        let config = Arc::new(client_config(&certificate, versions).with_no_client_auth());
        let before = counts(&server, |_| true);
        for _ in 0..2 {
            let mut client = join(connect_with(&server, config.clone(), "localhost"), "/");
            // The ticket has arrived before the answer.
            client.send("hello".into()).unwrap();
            client.read().unwrap();
        }
        let now = counts(&server, |_| true);
        assert_eq!((now.full - before.full, now.resumed - before.resumed), (1, 1));
    }
    let failed: Vec<_> = failed.into_iter().collect();
    assert_eq!(failures(&server, 0), failed);
}

#[test]
fn a_request_without_tls_gets_a_readable_answer() {
    let certificate = Certificate::new("localhost");
    let server = Running::start(tls_config(&[&certificate]), chat);
    let mut stream = server.stream();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    // The connection may end with a reset behind the answer.
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.ends_with("this port speaks TLS: use https:// or wss:// here"), "{answer}");
    let length = answer.split_once("\r\n\r\n").unwrap().1.len();
    assert!(answer.contains(&format!("Content-Length: {length}\r\n")), "{answer}");
}

#[test]
fn a_handshake_that_trickles_ends_at_its_deadline() {
    let certificate = Certificate::new("localhost");
    let mut config = tls_config(&[&certificate]);
    config.timeouts.handshake = Duration::from_millis(300);
    let server = Running::start(config, chat);
    let mut stream = server.stream();
    stream.write_all(&BEGINNING).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    assert_eq!(failures(&server, 1), [(TlsFailure::Timeout, 1)]);
}

#[test]
fn a_connection_over_the_limit_of_its_address_ends_with_an_alert() {
    let certificate = Certificate::new("localhost");
    let mut config = tls_config(&[&certificate]);
    config.trusted_proxies.clear();
    config.connections.max_per_address = 1;
    let server = Running::start(config, chat);
    let mut member = join(connect(&server, &certificate, "localhost", &[&TLS13]), "/");
    for _ in 0..20 {
        assert_eq!(answer(server.stream()), INTERNAL_ERROR);
    }
    // The client learns of it as soon as it speaks, too.
    let error = connect(&server, &certificate, "localhost", &[&TLS13]).write_all(b"x").unwrap_err();
    assert!(error.to_string().contains("InternalError"), "{error}");
    member.send("hello".into()).unwrap();
    assert_eq!(member.read().unwrap(), "hello".into());
    assert_eq!(failures(&server, 0), []);
}

#[test]
fn an_address_whose_handshakes_fail_gets_fewer_connections() {
    let certificate = Certificate::new("localhost");
    let mut config = tls_config(&[&certificate]);
    config.trusted_proxies.clear();
    config.connections.max_new_per_address_per_second = 20;
    let server = Running::start(config, chat);
    let mut member = join(connect(&server, &certificate, "localhost", &[&TLS13]), "/");
    let streams = [(); 15].map(|()| server.stream());
    for mut stream in streams {
        stream.write_all(&[22; 600]).unwrap();
        assert_eq!(answer(stream)[0], 21);
    }
    assert_eq!(failures(&server, 15), [(TlsFailure::Malformed, 15)]);
    // They count as 150 connections, which takes 7.5 seconds.
    assert_eq!(answer(server.stream()), INTERNAL_ERROR);
    member.send("hello".into()).unwrap();
    assert_eq!(member.read().unwrap(), "hello".into());
}

#[test]
fn a_connection_beyond_the_capacity_ends_with_an_alert() {
    let certificate = Certificate::new("localhost");
    let mut config = tls_config(&[&certificate]);
    config.connections.max = 1;
    let server = Running::start(config, chat);
    // The server has 256 connections to spare.
    let _streams: Vec<_> = (0..257).map(|_| server.stream()).collect();
    assert_eq!(answer(server.stream()), INTERNAL_ERROR);
}

#[test]
fn a_chain_that_does_not_fit_into_the_socket_is_sent_bit_by_bit() {
    const COPIES: usize = 10_000;
    let certificate = Certificate::new("localhost");
    let chain = certificate.folder.join("cert.pem");
    fs::write(&chain, fs::read_to_string(&chain).unwrap().repeat(COPIES)).unwrap();
    let size = certificate.der.len() * COPIES;
    let server = Running::start(tls_config(&[&certificate]), chat);
    for versions in [&[&TLS12], &[&TLS13]] {
        let config = client_config(&certificate, versions).with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let mut hello = Vec::new();
        ClientConnection::new(Arc::new(config), name).unwrap().write_tls(&mut hello).unwrap();
        let mut stream = server.stream();
        stream.write_all(&hello).unwrap();
        // rustls as the client would not accept as much.
        stream.read_exact(&mut vec![0; size]).unwrap();
    }
}

#[test]
fn handshakes_that_take_too_much_memory_end() {
    check_overload(false);
}

#[test]
fn handshakes_behind_a_proxy_that_take_too_much_memory_end() {
    check_overload(true);
}

fn check_overload(proxy_protocol: bool) {
    const LIMIT: usize = 1 << 20;
    let certificate = Certificate::new("localhost");
    let mut config = tls_config(&[&certificate]);
    config.listen[0].proxy_protocol = proxy_protocol;
    config.limits.max_message_bytes = LIMIT / 4;
    config.memory.max_incomplete_bytes = LIMIT;
    let header = if proxy_protocol { "PROXY UNKNOWN\r\n" } else { "" };
    let server = Running::start(config, chat);
    let mut stream = connect(&server, &certificate, "localhost", &[&TLS13]);
    stream.sock.write_all(header.as_bytes()).unwrap();
    let mut member = join(stream, "/");
    // A message of 60,000 bytes in records of 16 KiB, the last of which is not complete.
    let message = [&[1, 0, 0xea, 0x60][..], &[0; 60_000]].concat();
    let seal = |part| [&[22, 3, 1, 0x40, 0][..], part].concat();
    let records = message.chunks(16 << 10).flat_map(seal);
    let bytes: Vec<_> = header.bytes().chain(records).collect();
    let streams: Vec<_> = (0..60)
        .map(|_| {
            let mut stream = server.stream();
            // The server may have ended the connection.
            let _ = stream.write_all(&bytes);
            stream
        })
        .collect();
    // At most 17 of them fit.
    let most = |counts: &TlsCounts| counts.failed.get(&TlsFailure::Overload) >= Some(&43);
    let counts = counts(&server, most);
    assert_eq!(counts.failed.len(), 1, "{counts:?}");
    let held = server.ask(|hub| hub.memory_usage().incomplete_bytes);
    assert!(held > LIMIT / 4 && held <= LIMIT + (128 << 10), "{held}");
    member.send("hello".into()).unwrap();
    assert_eq!(member.read().unwrap(), "hello".into());
    drop(streams);
}
