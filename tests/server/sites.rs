//! Host names and origins, directly and through proxies.

use std::io::Write;
use std::net::SocketAddr;

use townhall::{ClientId, Event, Hub, Origins, Response};

use crate::support::{Running, config, counting_chat, get, read_all, read_head, request};

/// The status of the answer to a request for an upgrade with these fields, which bars separate, in
/// place of its Host. UPSTREAM in them stands for the server's own address.
fn status(server: &Running, fields: &str) -> String {
    let mut stream = server.stream();
    let fields = fields.replace(" | ", "\r\n").replace("UPSTREAM", &server.address.to_string());
    let request = request("/").replace("Host: localhost", &fields);
    stream.write_all(request.as_bytes()).unwrap();
    read_head(&mut stream)[9..12].to_owned()
}

/// Requests through nginx on port 8081 to a server on a loopback address.
#[test]
fn behind_a_proxy_a_page_of_the_forwarded_host_may_connect() {
    let server = Running::start(config(), counting_chat);
    for (case, fields) in [
        (
            "$http_host",
            "Host: chat.example:8081 | X-Forwarded-For: 192.0.2.1 | Origin: http://chat.example:8081",
        ),
        (
            "$host leaves the port out",
            "Host: chat.example | X-Forwarded-For: 192.0.2.1 | Origin: http://chat.example:8081",
        ),
        ("$host alone, on this machine", "Host: localhost | Origin: http://localhost:8081"),
        (
            "no Host",
            "Host: UPSTREAM | X-Forwarded-Host: chat.example:8081 | Origin: http://chat.example:8081",
        ),
        (
            "no Host, and the port is left out",
            "Host: UPSTREAM | X-Forwarded-Host: chat.example | Origin: https://chat.example:8081",
        ),
        (
            "Forwarded",
            "Host: UPSTREAM | Forwarded: for=a;host=\"chat.example:8081\" \
             | Origin: http://chat.example:8081",
        ),
        (
            "Forwarded without a host",
            "Host: chat.example:8081 | Forwarded: for=192.0.2.1 | Origin: http://chat.example:8081",
        ),
        (
            "any field of a proxy",
            "Host: chat.example | x-forwarded-proto: https | Origin: https://chat.example",
        ),
        (
            "two proxies",
            "Host: inner.example | X-Forwarded-Host: chat.example, inner.example \
             | Origin: https://chat.example",
        ),
    ] {
        assert_eq!(status(&server, fields), "101", "{case}");
    }
}

#[test]
fn behind_a_proxy_pages_of_other_hosts_may_not_connect() {
    let server = Running::start(config(), counting_chat);
    for (case, fields) in [
        (
            "another host",
            "Host: chat.example | X-Forwarded-For: 192.0.2.1 | Origin: http://evil.example",
        ),
        (
            "another port, where the port is there",
            "Host: chat.example:8081 | X-Forwarded-For: 192.0.2.1 | Origin: http://chat.example:8082",
        ),
        (
            "the host of the proxy's own request, which no visitor sees",
            "Host: UPSTREAM | X-Forwarded-Host: chat.example | Origin: http://UPSTREAM",
        ),
        (
            "no Host and nothing instead",
            "Host: UPSTREAM | X-Forwarded-For: 192.0.2.1 | Origin: http://chat.example:8081",
        ),
        (
            "nothing that distinguishes a proxy from DNS rebinding",
            "Host: chat.example | Origin: http://chat.example:8081",
        ),
        (
            "a field that proxies do not have",
            "Host: chat.example | X-Real-IP: 192.0.2.1 | Origin: http://chat.example",
        ),
    ] {
        assert_eq!(status(&server, fields), "403", "{case}");
    }
}

#[test]
fn the_host_that_an_untrusted_peer_forwards_is_ignored() {
    let mut config = config();
    config.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
    let server = Running::start(config, counting_chat);
    for field in ["X-Forwarded-For: 192.0.2.1", "Forwarded: host=evil.example"] {
        let forged = format!("Host: evil.example | {field} | Origin: http://evil.example");
        assert_eq!(status(&server, &forged), "403", "{field}");
    }
    let forged = "Host: localhost | X-Forwarded-Host: a | Origin: http://a";
    assert_eq!(status(&server, forged), "403");
    let ported = "Host: localhost | Origin: http://localhost:8081";
    assert_eq!(status(&server, ported), "403", "nobody left the port out");
}

#[test]
fn an_allowed_origin_or_none_may_connect_to_any_host() {
    let mut config = config();
    config.origins = Origins::of(["http://evil.example/"]).unwrap();
    let server = Running::start(config, counting_chat);
    let named = "Host: evil.example | Origin: http://evil.example";
    assert_eq!(status(&server, named), "101");
    assert_eq!(status(&server, "Host: chat.example"), "101", "no Origin, no page");
    for origin in ["http://chat.example/", "ws://chat.example", "chat.example"] {
        let program = format!("Host: chat.example:8080 | Origin: {origin}");
        assert_eq!(status(&server, &program), "101", "{origin}");
    }
}

/// Only the owner of the network knows its names.
#[test]
fn a_listener_on_the_network_serves_every_host_unless_hosts_are_configured() {
    let page = "Host: chat.example:8080 | Origin: http://chat.example:8080";
    let mut config = config();
    config.listen = vec![SocketAddr::from(([0, 0, 0, 0], 0)).into()];
    let server = Running::start(config.clone(), counting_chat);
    assert_eq!(status(&server, page), "101");
    config.hosts = vec!["other.example".parse().unwrap()];
    let server = Running::start(config, counting_chat);
    assert_eq!(status(&server, page), "421");
}

#[test]
fn a_request_for_another_host_is_misdirected() {
    let mut config = config();
    config.hosts = vec!["Chat.Example".parse().unwrap()];
    let server = Running::start(config, counting_chat);
    assert_eq!(status(&server, "Host: chat.example"), "101");
    assert_eq!(status(&server, "Host: CHAT.example.:8443"), "101");
    let page = "Host: chat.example:8080 | Origin: http://chat.example:8080";
    assert_eq!(status(&server, page), "101", "it is called that, on loopback too");
    for host in ["evil.example", "chat.example.evil.example", "localhost", "192.0.2.1"] {
        assert_eq!(status(&server, &format!("Host: {host}")), "421", "{host}");
    }
    let through_a_proxy = "Host: chat.example | X-Forwarded-Host: evil.example";
    assert_eq!(status(&server, through_a_proxy), "421");
    let without_host = "Host: 192.0.2.1 | X-Forwarded-Host: chat.example";
    assert_eq!(status(&server, without_host), "101");
    assert!(get(&server, "/counts").starts_with("HTTP/1.1 421 Misdirected Request\r\n"));
}

/// RFC 9110, section 7.4: "a request for an "https" resource MUST be rejected unless it has been received over
/// a connection that has been secured". Only a trusted proxy may have ended TLS.
#[test]
fn a_target_that_needs_tls_is_misdirected_without_it() {
    let mut config = config();
    let through_a_proxy = Running::start(config.clone(), counting_chat);
    config.trusted_proxies.clear();
    let direct = Running::start(config, counting_chat);
    let answer = |server: &Running, scheme: &str| {
        let mut stream = server.stream();
        let target = format!("{scheme}://localhost/lobby");
        let fields = "Host: localhost\r\nX-Forwarded-Proto: https";
        let request = request(&target).replace("Host: localhost", fields);
        stream.write_all(request.as_bytes()).unwrap();
        read_head(&mut stream)
    };
    for (scheme, status) in [("ws", 101), ("HTTP", 101), ("wss", 421), ("https", 421), ("WsS", 421)]
    {
        let head = answer(&direct, scheme);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{scheme}: {head}");
        let head = answer(&through_a_proxy, scheme);
        assert!(head.starts_with("HTTP/1.1 101 "), "{scheme}: {head}");
    }
}

/// Load balancers send requests for the address.
#[test]
fn a_request_for_the_servers_own_address_is_never_misdirected() {
    let mut config = config();
    config.hosts = vec!["chat.example".parse().unwrap()];
    let server = Running::start(config, counting_chat);
    assert_eq!(status(&server, &format!("Host: {}", server.address)), "101");
    for (method, host, status) in [
        ("GET", &*server.address.to_string(), "HTTP/1.1 200 OK"),
        ("GET", "", "HTTP/1.1 200 OK"),
        ("HEAD", "localhost", "HTTP/1.1 421 Misdirected Request"),
    ] {
        let mut stream = server.stream();
        write!(stream, "{method} /health HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
        let answer = String::from_utf8(read_all(&mut stream)).unwrap();
        assert!(answer.starts_with(status), "{host}: {answer}");
        assert!(method == "GET" || answer.ends_with("\r\n\r\n"), "HEAD has no body: {answer}");
    }
}

/// The status of the answer to a plain request with these fields, which bars separate, from an application
/// that asks whether a page may send it.
fn plain_status(server: &Running, method: &str, fields: &str) -> String {
    let mut stream = server.stream();
    let fields = fields.replace(" | ", "\r\n").replace("PORT", &server.address.port().to_string());
    write!(stream, "{method} /lobby HTTP/1.1\r\n{fields}\r\nContent-Length: 0\r\n\r\n").unwrap();
    read_head(&mut stream)[9..12].to_owned()
}

fn asking(hub: &mut Hub, client: ClientId, event: Event<'_>) {
    if let Event::Request(exchange) = event {
        let allowed = hub.allows_page(client, exchange.request());
        exchange.respond(Response::new(if allowed { 200 } else { 403 }));
    }
}

/// Unlike a request for a WebSocket, it may contain any field of a proxy, and GET no origin.
#[test]
fn a_plain_request_of_a_page_whose_name_has_been_rebound_is_not_allowed() {
    let mut config = config();
    config.request_bodies = true;
    config.origins = Origins::of(["http://good.example"]).unwrap();
    let server = Running::start(config.clone(), asking);
    let rebound = "Host: evil.example:PORT";
    for (method, fields) in [
        ("GET", ""),
        ("HEAD", " | X-Forwarded-For: 192.0.2.1"),
        ("GET", " | X-Forwarded-Host: localhost"),
        ("POST", " | Origin: http://evil.example:PORT"),
        ("POST", " | Origin: http://evil.example:PORT | X-Forwarded-For: 192.0.2.1"),
        ("POST", " | Origin: http://evil.example:PORT | Forwarded: host=\"evil.example:PORT\""),
    ] {
        assert_eq!(plain_status(&server, method, &format!("{rebound}{fields}")), "403", "{fields}");
    }
    for (method, fields) in [
        ("GET", "Host: localhost:PORT"),
        ("GET", "Host: 127.0.0.1:PORT | X-Forwarded-For: 192.0.2.1"),
        ("GET", "Host: chat.example | X-Forwarded-For: 192.0.2.1"),
        ("POST", "Host: localhost:PORT | Origin: http://localhost:PORT"),
        ("POST", "Host: chat.example | Origin: http://chat.example | X-Forwarded-For: 192.0.2.1"),
        (
            "POST",
            "Host: chat.example:PORT | Origin: https://chat.example:PORT | X-Forwarded-For: 192.0.2.1",
        ),
        ("POST", "Host: chat.example:PORT"),
        ("POST", "Host: evil.example:PORT | Origin: http://good.example"),
    ] {
        assert_eq!(plain_status(&server, method, fields), "200", "{method} {fields}");
    }
    config.hosts = vec!["chat.example".parse().unwrap()];
    let server = Running::start(config.clone(), asking);
    assert_eq!(plain_status(&server, "GET", "Host: chat.example:PORT"), "200");
    config.hosts.clear();
    config.listen = vec![SocketAddr::from(([0, 0, 0, 0], 0)).into()];
    let server = Running::start(config, asking);
    assert_eq!(plain_status(&server, "GET", "Host: chat.example:PORT"), "200");
}
