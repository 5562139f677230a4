//! Connections that begin with a PROXY header, as HAProxy and others send it.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use townhall::{Config, Event, ProxyRefusal};

use crate::support::{PATIENCE, Running, chat, config, read_all, read_head, request, settle};

/// The header of version 1 for a client from 192.0.2.7.
const TEXT: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 50123 80\r\n";

/// The header of version 2 for the same client, with a field (PP2_TYPE_AUTHORITY) behind the addresses.
const BINARY: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x16\xc0\0\x02\x07\xc6\x33\x64\x01\xc3\xcb\0\x50\
    \x02\0\x07example";

/// The header of version 2 for a health check.
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

fn proxied() -> Config {
    let mut config = config();
    config.listen[0].proxy_protocol = true;
    config
}

/// A client's address, as its event has it and as the hub does.
type Addresses = (Option<IpAddr>, Option<SocketAddr>);

/// A server, and the addresses of the clients that open.
fn start(config: Config) -> (Running, Receiver<Addresses>) {
    let (sender, addresses) = channel();
    let server = Running::start(config, move |hub, client, event| {
        if let Event::Open { address, .. } = &event {
            // Not every test receives them.
            let _ = sender.send((*address, hub.peer_address(client)));
        }
        chat(hub, client, event);
    });
    (server, addresses)
}

/// A connection on which the server has got these bytes.
fn begin(server: &Running, bytes: &[u8]) -> TcpStream {
    let mut stream = server.stream();
    stream.set_nodelay(true).unwrap();
    stream.write_all(bytes).unwrap();
    stream
}

/// The status of the answer to a request for an upgrade, with these fields in place of its Host.
fn status(server: &Running, header: &[u8], fields: &str) -> String {
    let fields = fields.replace(" | ", "\r\n");
    let request = request("/").replace("Host: localhost", &fields);
    let mut stream = begin(server, &[header, request.as_bytes()].concat());
    let head = read_head(&mut stream);
    head.get(9..12).unwrap_or_default().to_owned()
}

fn text(source: &str, destination: &str) -> Vec<u8> {
    format!("PROXY TCP4 {source} {destination} 50123 80\r\n").into_bytes()
}

#[test]
fn the_client_is_the_one_that_the_header_names() {
    let (server, addresses) = start(proxied());
    for header in [TEXT, BINARY] {
        assert_eq!(status(&server, header, "Host: localhost"), "101");
        let source: SocketAddr = "192.0.2.7:50123".parse().unwrap();
        assert_eq!(addresses.recv().unwrap(), (Some(source.ip()), Some(source)));
    }
    let v6 = b"PROXY TCP6 2001:db8::7 2001:db8::1 50123 80\r\n";
    assert_eq!(status(&server, v6, "Host: localhost"), "101");
    assert_eq!(addresses.recv().unwrap().0, Some("2001:db8::7".parse().unwrap()));
}

#[test]
fn a_header_may_arrive_in_two_parts_with_the_request_in_the_second() {
    let (server, addresses) = start(proxied());
    for header in [TEXT, BINARY] {
        let bytes = [header, request("/room").as_bytes()].concat();
        for split in 1..=header.len() + 1 {
            let mut stream = begin(&server, &bytes[..split]);
            settle(&server);
            stream.write_all(&bytes[split..]).unwrap();
            let head = read_head(&mut stream);
            assert!(head.starts_with("HTTP/1.1 101 "), "after {split} bytes: {head}");
            assert_eq!(addresses.recv().unwrap().0, Some("192.0.2.7".parse().unwrap()));
        }
    }
}

#[test]
fn a_header_may_arrive_byte_by_byte() {
    let (server, addresses) = start(proxied());
    for header in [TEXT, BINARY] {
        let mut stream = begin(&server, b"");
        for byte in [header, request("/room").as_bytes()].concat() {
            stream.write_all(&[byte]).unwrap();
            settle(&server);
        }
        assert!(read_head(&mut stream).starts_with("HTTP/1.1 101 "));
        assert_eq!(addresses.recv().unwrap().0, Some("192.0.2.7".parse().unwrap()));
    }
}

#[test]
fn a_connection_that_a_proxy_makes_for_itself_counts_as_its_own() {
    let mut config = proxied();
    config.connections.max_per_address = 1;
    let (server, addresses) = start(config);
    let unix = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x31\0\xd8"[..], &[b'x'; 216]].concat();
    let mut streams = Vec::new();
    for header in [LOCAL, b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN 192.0.2.7 ::1 1 2\r\n", &unix] {
        let mut stream = begin(&server, header);
        stream.write_all(request("/").as_bytes()).unwrap();
        assert!(read_head(&mut stream).starts_with("HTTP/1.1 101 "));
        let (address, peer) = addresses.recv().unwrap();
        assert_eq!((address, peer), (Some([127, 0, 0, 1].into()), stream.local_addr().ok()));
        streams.push(stream);
    }
}

#[test]
fn a_connection_without_a_valid_header_gets_no_answer_and_is_counted() {
    let (server, _) = start(proxied());
    let long = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff"[..], &[0; 1000]].concat();
    for (refusal, bytes) in [
        (ProxyRefusal::Missing, &b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..]),
        (ProxyRefusal::Missing, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        (ProxyRefusal::Malformed, b"PROXY TCP4 192.0.2.7 ::1 1 2\r\nGET / HTTP/1.1\r\n\r\n"),
        (ProxyRefusal::Malformed, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0b12345678901"),
        (ProxyRefusal::TooLong, &[&b"PROXY UNKNOWN "[..], &[b'x'; 200]].concat()),
        (ProxyRefusal::TooLong, &long),
        (ProxyRefusal::Incomplete, &TEXT[..30]),
        (ProxyRefusal::Incomplete, &BINARY[..BINARY.len() - 1]),
    ] {
        let before = settle(&server).refused_headers.get(&refusal).copied().unwrap_or_default();
        let mut stream = begin(&server, bytes);
        if refusal == ProxyRefusal::Incomplete {
            stream.shutdown(Shutdown::Write).unwrap();
        }
        // The end may be a reset, because the server leaves bytes unread.
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert_eq!(answer, b"", "{refusal}");
        let after = settle(&server);
        assert_eq!(after.refused_headers[&refusal], before + 1, "{}", bytes.escape_ascii());
        assert_eq!(after.refused, [].into(), "{after}");
    }
}

#[test]
fn a_header_that_does_not_come_in_time_is_counted_if_it_has_begun() {
    let mut config = proxied();
    config.timeouts.handshake = Duration::from_millis(200);
    let (server, _) = start(config);
    for (bytes, refused) in [(&b""[..], 0), (&TEXT[..10], 1), (&BINARY[..13], 2)] {
        assert_eq!(read_all(&mut begin(&server, bytes)), b"");
        let counts = settle(&server);
        let incomplete = counts.refused_headers.get(&ProxyRefusal::Incomplete).copied();
        assert_eq!(incomplete.unwrap_or_default(), refused, "{counts}");
    }
    let mut stream = begin(&server, TEXT);
    assert_eq!(read_all(&mut stream), b"", "no request follows");
    assert_eq!(settle(&server).refused_headers[&ProxyRefusal::Incomplete], 2);
}

#[test]
fn nobody_but_a_trusted_proxy_may_send_a_header() {
    let mut config = proxied();
    config.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
    let (server, _) = start(config);
    for count in 1..=2 {
        let mut stream = begin(&server, b"");
        let mut answer = Vec::new();
        let _ = stream.write_all(&[TEXT, request("/").as_bytes()].concat());
        let _ = stream.read_to_end(&mut answer);
        assert_eq!(answer, b"");
        let counts = settle(&server);
        assert_eq!(counts.refused_headers, [(ProxyRefusal::Untrusted, count)].into());
        assert_eq!((counts.accepted, counts.dropped), (count, count));
    }
}

#[test]
fn a_header_on_a_listener_that_does_not_ask_for_it_is_no_request() {
    let (server, _) = start(config());
    for header in [TEXT, BINARY] {
        assert_eq!(status(&server, header, "Host: localhost"), "400");
    }
}

#[test]
fn listeners_with_and_without_headers_are_served_side_by_side() {
    let mut config = proxied();
    config.listen.insert(0, config.listen[0].clone());
    config.listen[0].proxy_protocol = false;
    let (server, addresses) = start(config);
    assert_eq!(status(&server, b"", "Host: localhost"), "101");
    assert_eq!(addresses.recv().unwrap().0, Some([127, 0, 0, 1].into()));
    let mut stream = TcpStream::connect(server.addresses[1]).unwrap();
    stream.write_all(&[BINARY, request("/").as_bytes()].concat()).unwrap();
    assert!(read_head(&mut stream).starts_with("HTTP/1.1 101 "));
    assert_eq!(addresses.recv().unwrap().0, Some([192, 0, 2, 7].into()));
}

#[test]
fn the_limits_per_address_apply_to_the_client() {
    let mut config = proxied();
    config.connections.max_per_address = 2;
    config.timeouts.close = Duration::from_secs(60);
    let (server, _) = start(config);
    let join = |header: &[u8]| {
        let mut stream = begin(&server, &[header, request("/").as_bytes()].concat());
        (read_head(&mut stream), stream)
    };
    let here = [join(TEXT), join(BINARY)];
    assert!(here.iter().all(|(head, _)| head.starts_with("HTTP/1.1 101 ")));
    let over = join(TEXT);
    assert!(over.0.starts_with("HTTP/1.1 429 "), "{}", over.0);
    let other = text("192.0.2.8", "198.51.100.1");
    assert!(join(&other).0.starts_with("HTTP/1.1 101 "));
    // Connections with refusals count until they have ended. Too many of them get no answer.
    let refused: Vec<_> = (0..15).map(|_| join(TEXT)).collect();
    assert!(refused.iter().all(|(head, _)| head.starts_with("HTTP/1.1 429 ")));
    assert_eq!(join(TEXT).0, "");
    assert_eq!(settle(&server).dropped, 1);
    drop((here, refused, over));
    let deadline = Instant::now() + PATIENCE;
    while !join(TEXT).0.starts_with("HTTP/1.1 101 ") {
        assert!(Instant::now() < deadline, "they count although they have left");
    }
}

#[test]
fn new_connections_of_a_client_are_limited_when_their_header_is_there() {
    let mut config = proxied();
    config.connections.max_new_per_address_per_second = 2;
    let (server, _) = start(config);
    // They send no request.
    let _streams: Vec<_> = (0..2).map(|_| begin(&server, TEXT)).collect();
    settle(&server);
    let mut stream = begin(&server, BINARY);
    assert!(read_head(&mut stream).starts_with("HTTP/1.1 429 "), "without a request");
}

#[test]
fn fields_of_the_request_name_the_client_only_behind_a_second_proxy() {
    let mut config = proxied();
    config.trusted_proxies.push("10.0.0.0/8".parse().unwrap());
    let (server, addresses) = start(config);
    let [client, inner] = ["192.0.2.7", "10.1.1.1"].map(|source| text(source, "198.51.100.1"));
    for (header, field, address) in [
        (&client, "X-Forwarded-For: 203.0.113.9", "192.0.2.7"),
        (&client, "Forwarded: for=203.0.113.9", "192.0.2.7"),
        (&inner, "X-Forwarded-For: 203.0.113.9", "203.0.113.9"),
        (&inner, "Forwarded: for=203.0.113.9", "203.0.113.9"),
        (&inner, "X-Other: 203.0.113.9", "10.1.1.1"),
        (&LOCAL.to_vec(), "X-Forwarded-For: 203.0.113.9", "203.0.113.9"),
    ] {
        assert_eq!(status(&server, header, &format!("Host: localhost | {field}")), "101");
        assert_eq!(addresses.recv().unwrap().0, Some(address.parse().unwrap()), "{field}");
    }
}

/// The proxy may listen on a loopback address as well, which any name can be made to resolve to.
#[test]
fn pages_are_checked_against_the_address_that_they_connected_to() {
    let mut config = proxied();
    config.trusted_proxies.push("10.0.0.0/8".parse().unwrap());
    let (server, _) = start(config);
    let public = text("192.0.2.7", "198.51.100.1");
    let page = "Host: chat.example | Origin: http://chat.example";
    let forwarded = "Host: a | X-Forwarded-Host: chat.example | Origin: http://chat.example";
    for (case, header, fields, expected) in [
        ("a public address", &public, page, "101"),
        ("another page", &public, "Host: chat.example | Origin: http://evil.example", "403"),
        ("a host that a client forwards", &public, forwarded, "403"),
        ("the proxy's loopback", &text("127.0.0.1", "127.0.0.1"), page, "403"),
        ("its loopback in IPv6", &b"PROXY TCP6 ::1 ::1 1 80\r\n"[..].to_vec(), page, "403"),
        (
            "its loopback, mapped",
            &b"PROXY TCP6 ::1 ::ffff:127.0.0.1 1 80\r\n".to_vec(),
            page,
            "403",
        ),
        ("its loopback and no client", &LOCAL.to_vec(), page, "403"),
        ("no addresses", &b"PROXY UNKNOWN\r\n".to_vec(), page, "403"),
        ("a second proxy", &text("10.1.1.1", "127.0.0.1"), forwarded, "101"),
    ] {
        assert_eq!(status(&server, header, fields), expected, "{case}");
    }
}

#[test]
fn a_proxy_that_sends_a_header_may_have_ended_tls() {
    let (server, _) = start(proxied());
    for header in [TEXT, LOCAL] {
        let mut stream = begin(&server, &[header, request("wss://a/").as_bytes()].concat());
        assert!(read_head(&mut stream).starts_with("HTTP/1.1 101 "));
    }
}

#[test]
fn the_address_that_the_client_connected_to_is_one_of_the_servers_hosts() {
    let mut config = proxied();
    config.hosts = vec!["chat.example".parse().unwrap()];
    let (server, _) = start(config);
    for (host, expected) in
        [("chat.example", "101"), ("198.51.100.1", "101"), ("127.0.0.1", "421"), ("a", "421")]
    {
        assert_eq!(status(&server, TEXT, &format!("Host: {host}")), expected, "{host}");
    }
    assert_eq!(status(&server, LOCAL, &format!("Host: {}", server.address)), "101");
}
