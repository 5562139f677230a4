//! Attacks on a listener whose connections begin with a PROXY header.

use std::time::Instant;

use crate::peer::{Peer, request};
use crate::support::{Bounds, MIB, Siege};

/// A header of version 2 for a client from 192.0.2.7, with additional fields of this size.
fn header(fields: usize) -> Vec<u8> {
    let size = u16::try_from(12 + fields).unwrap().to_be_bytes();
    let addresses = b"\xc0\0\x02\x07\xc6\x33\x64\x01\xc3\xcb\0\x50";
    let begin = b"\r\n\r\n\0\r\nQUIT\n\x21\x11";
    [&begin[..], &size, addresses, &vec![0xea; fields]].concat()
}

/// A program with such a listener, and its address.
fn begin(flags: &[&str]) -> (Siege, String) {
    let mut siege = Siege::begin(&[&["--listen", "proxy+http://127.0.0.1:0"], flags].concat());
    let address = siege.program.next_address();
    (siege, address)
}

fn refused(siege: &Siege, reason: &str) {
    let line = siege.program.log_line("PROXY header");
    assert!(line.ends_with(&format!(" dropped: {reason}")), "{line}");
}

#[test]
fn headers_that_trickle_cost_no_memory_and_end_at_the_deadline() {
    const CROWD: usize = 300;
    let (siege, address) = begin(&["--handshake-timeout", "3s"]);
    let mut crowd: Vec<_> = (0..CROWD).map(|_| Peer::connect(&address)).collect();
    for byte in &header(4_000)[..200] {
        // The time may be over.
        crowd.iter().for_each(|peer| _ = peer.try_send(&[*byte]));
    }
    crowd.iter_mut().for_each(|peer| assert_eq!(peer.receive_end(), b""));
    refused(&siege, "incomplete PROXY header");
    siege.end(Bounds { memory: MIB, cpu: 10, time: 40 });
}

#[test]
fn a_header_that_never_ends_is_dropped_at_its_beginning() {
    let (siege, address) = begin(&[]);
    let longest = 4096 - 28;
    for fields in [longest + 1, 0xffff - 12] {
        let mut peer = Peer::connect(&address);
        // The connection may be gone before the end.
        let _ = peer.try_send(&header(fields));
        assert_eq!(peer.receive_end(), b"");
        refused(&siege, "PROXY header too long");
    }
    let mut peer = Peer::connect(&address);
    let _ = peer.try_send(&[&b"PROXY UNKNOWN "[..], &vec![b'f'; MIB]].concat());
    assert_eq!(peer.receive_end(), b"");
    refused(&siege, "PROXY header too long");
    let mut peer = Peer::connect(&address);
    peer.send(&[header(longest), request("/").into_bytes()].concat());
    peer.receive_upgrade();
    siege.end(Bounds { memory: MIB, cpu: 5, time: 20 });
}

#[test]
fn connections_without_a_header_are_dropped_without_an_answer() {
    let (siege, address) = begin(&["--handshake-timeout", "1s"]);
    let mut silent = Peer::connect(&address);
    let mut asking = Peer::ask(&address, "/");
    assert_eq!(asking.receive_end(), b"");
    refused(&siege, "no PROXY header");
    assert_eq!(silent.receive_end(), b"");
    siege.end(Bounds { memory: MIB, cpu: 5, time: 20 });
}

#[test]
fn garbage_in_place_of_headers_fills_neither_the_log_nor_the_memory() {
    const CROWD: usize = 2_000;
    let (siege, address) = begin(&[]);
    let begin = Instant::now();
    for number in 0..CROWD {
        let mut garbage = header(20);
        // One bit is wrong in the signature or the version.
        garbage[number % 13] ^= 0x80 >> (number / 13 % 4);
        let mut peer = Peer::connect(&address);
        let _ = peer.try_send(&garbage);
        assert_eq!(peer.receive_end(), b"");
    }
    let shown = siege.program.log_so_far().filter(|line| line.contains("PROXY header")).count();
    let seconds = begin.elapsed().as_secs() as usize + 2;
    assert!((1..=20 * seconds).contains(&shown), "{shown} lines in {seconds} s");
    siege.end(Bounds { memory: MIB, cpu: 10, time: 60 });
}

#[test]
fn peers_that_are_not_trusted_are_dropped_whatever_they_send() {
    const CROWD: usize = 1_000;
    let (siege, address) = begin(&["--trusted-proxy", "127.0.0.1/32"]);
    let sockets = siege.program.sockets();
    for _ in 0..CROWD {
        let mut peer = Peer::connect_from("127.0.0.2", &address);
        let _ = peer.try_send(&[header(0), request("/").into_bytes()].concat());
        assert_eq!(peer.receive_end(), b"");
    }
    let line = siege.program.log_line("not a trusted proxy");
    assert!(line.contains("start with --trusted-proxy '127.0.0.2' to trust it"), "{line}");
    siege.program.wait_for_sockets(sockets);
    let mut trusted = Peer::connect(&address);
    trusted.send(&[header(0), request("/").into_bytes()].concat());
    trusted.receive_upgrade();
    siege.end(Bounds { memory: MIB, cpu: 10, time: 60 });
}
