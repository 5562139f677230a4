//! Answers to plain requests and to upgrades.

use std::io::{Read, Write};
use std::time::Duration;

use townhall::{Event, Response};

use crate::support::{Running, Seen, chat, config, frame, read_all, read_head, request};

pub fn answer(server: &Running, request: &str) -> String {
    let mut stream = server.stream();
    stream.write_all(request.as_bytes()).unwrap();
    String::from_utf8(read_all(&mut stream)).unwrap()
}

pub fn assert_status(server: &Running, request: &str, status: &str) {
    let answer = answer(server, request);
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
    assert!(answer.contains("\r\nConnection: close"), "{answer}");
    assert!(!answer.ends_with("\r\n\r\n"), "there is a reason: {answer}");
}

#[test]
fn each_kind_of_invalid_request_gets_its_status() {
    let server = Running::start(config(), chat);
    assert_status(&server, "nonsense\r\n\r\n", "400");
    assert_status(&server, "GET / HTTP/1.1\r\n\r\n", "400");
    assert_status(&server, "POST / HTTP/1.1\r\nHost: a\r\n\r\n", "405");
    assert_status(&server, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "426");
    assert_status(&server, "GET / HTTP/1.0\r\nHost: a\r\n\r\n", "426");
    assert_status(&server, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505");
    assert_status(&server, "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "400");
    assert_status(&server, "GET / HTTP/1.1\r\nHost: a:b:c\r\n\r\n", "400");
    assert_status(&server, "GET * HTTP/1.1\r\nHost: a\r\n\r\n", "400");
    assert_status(&server, "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", "501");
    assert_status(&server, &request("/").replace("13", "12"), "426");
    assert_status(&server, &request("/").replace("Key: ", "Key: x"), "400");
    let many = "A: b\r\n".repeat(100);
    assert_status(&server, &format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"), "431");
    let long = "a".repeat(20_000);
    assert_status(&server, &format!("GET /{long} HTTP/1.1\r\n"), "414");
    assert_status(&server, &format!("GET / HTTP/1.1\r\nCookie: {long}\r\n"), "431");
}

/// RFC 9110, section 9.3.2: "the server MUST NOT send content in the response".
#[test]
fn the_answer_to_head_has_no_content_whatever_is_wrong_with_the_request() {
    let server = Running::start(config(), chat);
    for rest in [" / HTTP/1.1\r\nHost: a", " / HTTP/1.1", " / HTTP/1.1\r\nHost: a b", " * HTTP/1.1"]
    {
        let answer = answer(&server, &format!("HEAD{rest}\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.1 4") && answer.ends_with("\r\n\r\n"), "{answer}");
    }
}

/// RFC 9112, section 3.2.2: a server "MUST ignore the received Host header field (if any) and instead
/// use the host information of the request-target".
#[test]
fn the_host_in_an_absolute_form_counts_instead_of_the_host_field() {
    let server = Running::start(config(), chat);
    let own = server.address;
    let status = |target: &str, host: &str, origin: &str| {
        let host = format!("Host: {host}\r\nOrigin: {origin}");
        let request = request(target).replace("Host: localhost", &host);
        let mut stream = server.stream();
        stream.write_all(request.as_bytes()).unwrap();
        read_head(&mut stream)[9..12].to_owned()
    };
    let own_page = format!("http://{own}");
    let other_page = "http://other.example";
    for scheme in ["ws", "WS", "wss", "http", "HTTPS"] {
        let target = format!("{scheme}://{own}/lobby");
        assert_eq!(status(&target, "other.example", &own_page), "101", "{target}");
        assert!(matches!(server.seen(), Seen::Open(_, room) if room == "/lobby"));
        server.departed();
        assert_eq!(status(&target, "other.example", other_page), "403", "{target}");
    }
    assert_eq!(status("ftp://a/lobby", "a", "http://a"), "400");
    assert_eq!(status("ws:///lobby", "a", "http://a"), "400");
}

/// RFC 9112, section 3, recommends accepting request lines of 8,000 bytes. The rest are a browser's fields,
/// with cookies.
#[test]
fn a_long_request_line_fits_with_a_browsers_fields() {
    let server = Running::start(config(), chat);
    let target = format!("/?token={}", "a".repeat(8_000 - "GET /?token= HTTP/1.1".len()));
    let cookies = format!("Cookie: {}\r\n", "c".repeat(4_000));
    let fields = cookies + &"X-From-A-Proxy: yes\r\n".repeat(90);
    let mut stream = server.stream();
    let request = request(&target).replace("\r\n\r\n", &format!("\r\n{fields}\r\n"));
    stream.write_all(request.as_bytes()).unwrap();
    assert!(read_head(&mut stream).starts_with("HTTP/1.1 101 "));
}

/// HTTP/1.0 has no upgrade (RFC 9110, section 7.8), and needs no Host.
#[test]
fn requests_of_any_http_1_are_served() {
    let server = Running::start(config(), |_, _, event| {
        if let Event::Request(exchange) = event
            && exchange.request().path() == "/page"
        {
            exchange.respond(Response::text(200, "the page"));
        }
    });
    for (head, status) in [
        ("GET /page HTTP/1.0\r\n\r\n", "200"),
        ("GET /page HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", "200"),
        ("GET http://a/page HTTP/1.0\r\n\r\n", "200"),
        ("GET /page HTTP/1.2\r\nHost: a\r\n\r\n", "200"),
        ("GET /page HTTP/1.9\r\n\r\n", "400"),
        ("GET /page HTTP/1.0\r\nHost: a:b:c\r\n\r\n", "400"),
        ("GET /page HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", "400"),
        ("GET /page HTTP/2.0\r\nHost: a\r\n\r\n", "505"),
        ("POST /page HTTP/1.0\r\n\r\n", "405"),
    ] {
        assert_status(&server, head, status);
    }
    let upgrade = request("/page").replace("HTTP/1.1", "HTTP/1.0");
    assert!(answer(&server, &upgrade).ends_with("\r\n\r\nthe page\n"));
    let room = answer(&server, &upgrade.replace("/page", "/lobby"));
    assert!(room.starts_with("HTTP/1.1 426 ") && room.contains("needs HTTP/1.1"), "{room}");
    let head = answer(&server, &request("/lobby").replace("GET", "HEAD"));
    assert!(head.starts_with("HTTP/1.1 426 ") && head.ends_with("\r\n\r\n"), "{head}");
    let later = request("/lobby").replace("HTTP/1.1", "HTTP/1.2");
    let mut stream = server.stream();
    stream.write_all(later.as_bytes()).unwrap();
    assert!(read_head(&mut stream).starts_with("HTTP/1.1 101 "));
}

/// RFC 9110, section 6.6.1.
#[test]
fn every_final_response_has_a_date() {
    let server = Running::start(config(), |_, _, event| {
        if let Event::Request(exchange) = event
            && exchange.request().path() != "/"
        {
            let status = exchange.request().path()[1..].parse().unwrap();
            exchange.respond(Response::new(status));
        }
    });
    for (head, status) in [
        ("GET /200 HTTP/1.1\r\nHost: a\r\n\r\n", "200"),
        ("HEAD /304 HTTP/1.1\r\nHost: a\r\n\r\n", "304"),
        ("OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n", "204"),
        ("nonsense\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\nHost: a\r\n\r\n", "405"),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "426"),
    ] {
        let answer = answer(&server, head);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{head}: {answer}");
        assert_eq!(answer.matches("\r\nDate: ").count(), 1, "{head}: {answer}");
    }
}

#[test]
fn a_head_that_does_not_arrive_times_out() {
    let mut config = config();
    config.timeouts.handshake = Duration::from_millis(300);
    let server = Running::start(config, chat);
    assert_status(&server, "GET / HTTP/1.1\r\n", "408");
}

#[test]
fn a_full_server_answers_503_until_a_client_leaves() {
    let mut config = config();
    config.connections.max = 1;
    let server = Running::start(config, chat);
    let first = server.connect("/");
    server.opened();
    let full = answer(&server, &request("/"));
    assert!(full.starts_with("HTTP/1.1 503 "), "{full}");
    assert!(full.contains("\r\nRetry-After: "), "{full}");
    drop(first);
    server.departed();
    server.connect("/");
}

#[test]
fn frames_right_after_the_head_are_not_lost() {
    let server = Running::start(config(), chat);
    let mut stream = server.stream();
    let bytes = [request("/").as_bytes(), &frame(0x81, b"early"), &frame(0x88, b"")].concat();
    stream.write_all(&bytes).unwrap();
    assert!(read_head(&mut stream).starts_with("HTTP/1.1 101 "));
    assert_eq!(read_all(&mut stream), b"\x81\x05early\x88\x00");
}

#[test]
fn a_head_may_arrive_in_single_bytes() {
    let server = Running::start(config(), chat);
    let mut stream = server.stream();
    stream.set_nodelay(true).unwrap();
    for byte in request("/slow").bytes() {
        stream.write_all(&[byte]).unwrap();
    }
    assert!(read_head(&mut stream).starts_with("HTTP/1.1 101 "));
    assert!(matches!(server.seen(), Seen::Open(_, room) if room == "/slow"));
}

#[test]
fn a_subprotocol_is_negotiated() {
    let mut config = config();
    config.subprotocols = vec!["chat".to_owned(), "superchat".to_owned()];
    let server = Running::start(config, chat);
    let offer = |names: &str| {
        let field = format!("Host: localhost\r\nSec-WebSocket-Protocol: {names}");
        let mut stream = server.stream();
        stream.write_all(request("/").replace("Host: localhost", &field).as_bytes()).unwrap();
        read_head(&mut stream)
    };
    assert!(offer("x, superchat, chat").contains("\r\nSec-WebSocket-Protocol: superchat\r\n"));
    let none = offer("x");
    assert!(none.starts_with("HTTP/1.1 101 ") && !none.contains("Protocol:"), "{none}");
}

#[test]
fn the_application_answers_requests_refuses_upgrades_and_chooses_rooms() {
    let server = Running::start(config(), |hub, client, event| match event {
        Event::Request(exchange) if exchange.request().path() == "/about" => {
            let agent = exchange.request().header("User-Agent").unwrap_or("nobody");
            exchange.respond(Response::text(200, format!("for {agent}")));
        }
        Event::Upgrade(mut upgrade) => match upgrade.request().query() {
            Some("secret") => upgrade.set_room("/vault"),
            _ => upgrade.refuse(Response::text(403, "members only")),
        },
        Event::Open { room, .. } => _ = hub.join(client, room),
        _ => {}
    });
    let about = "GET /about HTTP/1.1\r\nHost: a\r\nUser-Agent: curl\r\n\r\n";
    assert!(answer(&server, about).ends_with("\r\n\r\nfor curl\n"));
    let head = answer(&server, &about.replace("GET", "HEAD"));
    assert!(head.contains("\r\nDate: ") && head.contains("Content-Length: 9\r\n"), "{head}");
    assert!(head.ends_with("\r\n\r\n"), "{head}");
    let nothing = answer(&server, "HEAD /nothing HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(nothing.starts_with("HTTP/1.1 426 ") && nothing.ends_with("\r\n\r\n"), "{nothing}");
    assert_status(&server, &request("/"), "403");
    server.raw("/?secret");
    assert!(matches!(server.seen(), Seen::Open(_, room) if room == "/vault"));
}

#[test]
fn a_long_answer_arrives_whole() {
    let server = Running::start(config(), |_, _, event| {
        if let Event::Request(exchange) = event {
            exchange.respond(Response::new(200).body(vec![b'x'; 20_000_000]));
        }
    });
    assert!(answer(&server, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").len() > 20_000_000);
}

#[test]
fn the_limits_of_the_head_are_the_configured_ones() {
    let mut config = config();
    config.limits.max_head_bytes = 200;
    config.limits.max_headers = 5;
    let server = Running::start(config, chat);
    assert_status(&server, &format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(200)), "414");
    assert_status(
        &server,
        "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nC: d\r\nE: f\r\nG: h\r\nI: j\r\n\r\n",
        "431",
    );
    assert_status(
        &server,
        "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nC: d\r\nE: f\r\nG: h\r\n\r\n",
        "426",
    );
}

#[test]
fn an_answer_that_is_read_slowly_is_not_parsed_as_frames() {
    // Lengths that would overflow if the body were parsed as frames.
    let body = b"\x7f\xff\xff\xff\xff\xff\xff\xff\xf4".repeat(2 << 20);
    let served = body.clone();
    let server = Running::start(config(), move |_, _, event| {
        if let Event::Request(exchange) = event {
            exchange.respond(Response::new(200).body(served.clone()));
        }
    });
    let mut stream = server.stream();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    read_head(&mut stream);
    let mut piece = vec![0; 100_000];
    stream.read_exact(&mut piece).unwrap();
    let rest = read_all(&mut stream);
    assert!([piece, rest].concat() == body);
}
