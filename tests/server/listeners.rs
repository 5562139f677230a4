//! The addresses that a server listens on.

use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};

use townhall::{Listen, Server};

use crate::support::{PATIENCE, Running, chat, config, read_head, request};

fn assert_serves(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request("/").as_bytes()).unwrap();
    assert!(read_head(&mut stream).starts_with("HTTP/1.1 101 "), "{address}");
}

#[test]
fn the_ipv6_wildcard_accepts_ipv4_too() {
    let mut config = config();
    config.listen = vec![SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)).into()];
    let server = Running::start(config, chat);
    let port = server.address.port();
    assert_serves((Ipv6Addr::LOCALHOST, port).into());
    assert_serves((Ipv4Addr::LOCALHOST, port).into());
}

/// A server on `addresses`, on a port that is free on all of them.
fn bind_on_one_port(addresses: impl Fn(u16) -> Vec<SocketAddr>) -> Server {
    // Another process may take the port in between, so this tries again.
    for _ in 0..20 {
        let port = Server::bind(config()).unwrap().addresses()[0].port();
        let mut config = config();
        config.listen = addresses(port).into_iter().map(Listen::from).collect();
        match Server::bind(config) {
            Ok(server) => return server,
            Err(error) => assert_eq!(error.kind(), ErrorKind::AddrInUse),
        }
    }
    panic!("no port is free on all addresses");
}

#[test]
fn the_wildcards_of_both_families_share_a_port() {
    for v4 in [Ipv4Addr::UNSPECIFIED, Ipv4Addr::LOCALHOST] {
        for v6_first in [true, false] {
            let server = bind_on_one_port(|port| {
                let mut both = vec![(Ipv6Addr::UNSPECIFIED, port).into(), (v4, port).into()];
                both.rotate_left(usize::from(!v6_first));
                both
            });
            let server = Running::start_bound(server, chat);
            let port = server.address.port();
            assert_serves((Ipv6Addr::LOCALHOST, port).into());
            assert_serves((Ipv4Addr::LOCALHOST, port).into());
        }
    }
}

#[test]
fn listeners_that_are_bound_already_are_served() {
    let listeners: Vec<_> =
        ["127.0.0.1:0", "[::1]:0"].map(|address| TcpListener::bind(address).unwrap()).into();
    let addresses: Vec<_> =
        listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
    let server = Server::from_listeners(config(), listeners).unwrap();
    assert_eq!(server.addresses(), addresses);
    let _running = Running::start_bound(server, chat);
    addresses.into_iter().for_each(assert_serves);
}

#[test]
fn a_server_without_a_listener_is_refused() {
    let error = Server::from_listeners(config(), Vec::new()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}
