//! Plain requests with bodies, persistent connections, and answers that come later.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use townhall::{Config, Event, Exchange, Response, Server};

use crate::support::{PATIENCE, Running, config, read_all, read_head, request};

fn reading_bodies() -> Config {
    let mut config = config();
    config.request_bodies = true;
    config
}

/// Answers with the method and the body.
fn repeat(exchange: Exchange<'_>) {
    let body = String::from_utf8_lossy(exchange.body());
    let line = format!("{} {body}", exchange.request().method());
    exchange.respond(Response::text(200, line));
}

/// A server that answers with what it gets.
fn repeating(config: Config) -> Running {
    Running::start(config, |_, _, event| match event {
        Event::Request(exchange) => repeat(exchange),
        Event::Head(head) if head.request().path() == "/secret" => {
            head.refuse(Response::text(401, "a token is needed"));
        }
        _ => {}
    })
}

/// A response: its head, and the body that the head announces.
fn read_response(stream: &mut TcpStream) -> (String, String) {
    let head = read_head(stream);
    let length = head.split("Content-Length: ").nth(1).and_then(|rest| rest.lines().next());
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).unwrap();
    (head, String::from_utf8(body).unwrap())
}

fn answer(server: &Running, request: &str) -> String {
    let mut stream = server.stream();
    stream.write_all(request.as_bytes()).unwrap();
    String::from_utf8(read_all(&mut stream)).unwrap()
}

fn post(fields: &str, rest: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n{rest}")
}

#[test]
fn the_application_gets_a_body_once_it_is_whole_however_it_arrives() {
    let server = repeating(reading_bodies());
    let sized = post("Content-Length: 5\r\n", "hello");
    let chunked = post(
        "Transfer-Encoding: chunked\r\n",
        "2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\nX-Trailer: yes\r\n\r\n",
    );
    for request in [&sized, &chunked] {
        for size in [1, 7, usize::MAX] {
            let mut stream = server.stream();
            stream.set_nodelay(true).unwrap();
            for piece in request.as_bytes().chunks(size) {
                stream.write_all(piece).unwrap();
            }
            let (head, body) = read_response(&mut stream);
            assert!(head.starts_with("HTTP/1.1 200 ") && !head.contains("Connection"), "{head}");
            assert_eq!(body, "POST hello\n");
        }
    }
    // Other methods, and no body.
    let mut stream = server.stream();
    for (method, fields, body) in [
        ("PUT", "Content-Length: 2\r\n\r\nhi", "PUT hi\n"),
        ("DELETE", "\r\n", "DELETE \n"),
        ("POST", "Content-Length: 0\r\n\r\n", "POST \n"),
        ("OPTIONS", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "OPTIONS \n"),
    ] {
        write!(stream, "{method} / HTTP/1.1\r\nHost: a\r\n{fields}").unwrap();
        assert_eq!(read_response(&mut stream).1, body);
    }
}

#[test]
fn a_body_is_not_read_where_the_application_does_not_ask_for_it() {
    let mut config = config();
    config.any_method = true;
    let server = repeating(config);
    assert!(answer(&server, &post("Content-Length: 5\r\n", "hello")).starts_with("HTTP/1.1 413 "));
    let empty = answer(&server, &post("", ""));
    assert!(empty.starts_with("HTTP/1.1 200 ") && empty.contains("Connection: close"), "{empty}");
}

#[test]
fn a_client_that_waits_gets_100_before_it_sends_the_body_unless_it_is_refused() {
    let mut config = reading_bodies();
    config.limits.max_body_bytes = 10;
    let server = repeating(config);
    let mut stream = server.stream();
    stream.write_all(post("Expect: 100-continue\r\nContent-Length: 5\r\n", "").as_bytes()).unwrap();
    assert_eq!(read_head(&mut stream), "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hello").unwrap();
    assert_eq!(read_response(&mut stream).1, "POST hello\n");

    let expect = "Expect: 100-continue\r\nContent-Length: ";
    let too_long = answer(&server, &post(&format!("{expect}11\r\n"), ""));
    assert!(too_long.starts_with("HTTP/1.1 413 "), "{too_long}");
    let secret = answer(&server, &post(&format!("{expect}5\r\n"), "").replace(" / ", " /secret "));
    assert!(secret.starts_with("HTTP/1.1 401 "), "{secret}");
    let other = answer(&server, &post("Expect: more\r\nContent-Length: 5\r\n", ""));
    assert!(other.starts_with("HTTP/1.1 417 "), "{other}");
}

/// RFC 9110, sections 10.1.1 and 15.2.
#[test]
fn an_expectation_in_http_1_0_is_ignored() {
    let server = repeating(reading_bodies());
    for expectation in ["100-continue", "more"] {
        let fields = format!("Expect: {expectation}\r\nContent-Length: 2\r\n");
        let request = post(&fields, "hi").replace("HTTP/1.1", "HTTP/1.0");
        let answer = answer(&server, &request);
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("POST hi\n"), "{answer}");
    }
}

#[test]
fn the_head_can_be_refused_before_the_body_has_arrived() {
    let server = repeating(reading_bodies());
    let request = post("Content-Length: 1000000\r\n", "").replace(" / ", " /secret ");
    let refused = answer(&server, &request);
    assert!(refused.starts_with("HTTP/1.1 401 ") && refused.contains("Connection: close"));
}

/// RFC 9112, section 11.2.
#[test]
fn a_request_whose_end_is_not_certain_is_refused_and_nothing_after_it_is_answered() {
    let server = repeating(reading_bodies());
    let next = "POST /next HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n";
    let chunks = |rest: &'static str| (chunked, rest, "400");
    for (fields, rest, status) in [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n", "400"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n", "400"),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", "hello", "400"),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", "hello", "400"),
        ("Content-Length: 5, 5\r\n", "hello", "400"),
        ("Content-Length: +5\r\n", "hello", "400"),
        ("Content-Length: 0x5\r\n", "hello", "400"),
        ("Content-Length : 5\r\n", "hello", "400"),
        ("Content-Length:\r\n 5\r\n", "hello", "400"),
        ("X: y\nContent-Length: 5\r\n", "hello", "400"),
        ("Content-Length: 99999999999999999999999\r\n", "hello", "413"),
        ("Transfer-Encoding: identity\r\n", "hello", "400"),
        ("Transfer-Encoding: chunked, identity\r\n", "hello", "400"),
        ("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n", "501"),
        ("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n", "400"),
        chunks("5\nhello\r\n0\r\n\r\n"),
        chunks("5\r\nhello0\r\n\r\n"),
        chunks("\r\n"),
        chunks("1;a\nb\r\nx\r\n0\r\n\r\n"),
        chunks("11111111111111111\r\n"),
        (chunked, "ffffffffffffffff\r\n", "413"),
    ] {
        let answer = answer(&server, &format!("{}{next}", post(fields, rest)));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{fields} {rest:?}: {answer}");
        assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{fields} {rest:?}: {answer}");
    }
    for (head, status) in [
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "413"),
        ("HEAD / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "413"),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"),
        (&request("/").replace("Host:", "Content-Length: 5\r\nHost:"), "400"),
        (&request("/").replace("Host:", "Transfer-Encoding: chunked\r\nHost:"), "400"),
    ] {
        let answer = answer(&server, &format!("{head}{next}"));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{head}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{head}: {answer}");
    }
}

#[test]
fn ten_thousand_pipelined_requests_are_answered_in_order() {
    const COUNT: usize = 10_000;
    let mut config = reading_bodies();
    config.rates.max_messages_per_second = 1_000_000;
    let server = repeating(config);
    let mut stream = server.stream();
    let mut writer = stream.try_clone().unwrap();
    let sending = thread::spawn(move || {
        for number in 0..COUNT {
            let body = number.to_string();
            let fields = format!("Content-Length: {}\r\n", body.len());
            writer.write_all(post(&fields, &body).as_bytes()).unwrap();
        }
        // The responses still come after the client's side has ended.
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let answers = String::from_utf8(read_all(&mut stream)).unwrap();
    sending.join().unwrap();
    let bodies = answers.lines().filter_map(|line| line.strip_prefix("POST "));
    assert!(bodies.eq((0..COUNT).map(|number| number.to_string()).collect::<Vec<_>>()));
}

#[test]
fn a_client_that_does_not_read_its_responses_is_not_read_either() {
    const COUNT: usize = 20_000;
    let (handled, seen) = channel();
    let server = Running::start(reading_bodies(), move |_, _, event| {
        if let Event::Request(exchange) = event {
            // This fails once the test is over.
            let _ = handled.send(());
            exchange.respond(Response::new(200).body(vec![b'x'; 8 << 10]));
        }
    });
    let mut stream = server.stream();
    let mut writer = stream.try_clone().unwrap();
    let sending = thread::spawn(move || {
        let request = post("Content-Length: 0\r\n", "");
        (0..COUNT).try_for_each(|_| writer.write_all(request.as_bytes()))
    });
    // Until the server waits for the client. The responses to all requests would take 160 MiB.
    let mut count = 0;
    while seen.recv_timeout(Duration::from_millis(500)).is_ok() {
        count += 1;
    }
    assert!(count < COUNT / 2, "{count} requests were answered unread");
    let held = server.ask(|hub| hub.memory_usage());
    assert!(held.backlog_bytes < 24 << 20, "{held:?}");
    for _ in 0..COUNT {
        assert_eq!(read_response(&mut stream).1.len(), 8 << 10);
    }
    sending.join().unwrap().unwrap();
}

#[test]
fn a_body_that_arrives_too_slowly_gets_408() {
    let mut config = reading_bodies();
    config.timeouts.handshake = Duration::from_millis(300);
    config.rates.min_frame_bytes_per_second = 1_000;
    let server = repeating(config);
    for rest in ["", "hello"] {
        let answer = answer(&server, &post("Content-Length: 10000\r\n", rest));
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
    // A body that takes longer than the time for a head, but arrives fast enough. Time is the subject.
    let mut stream = server.stream();
    stream.write_all(post("Content-Length: 8000\r\n", "").as_bytes()).unwrap();
    for _ in 0..8 {
        thread::sleep(Duration::from_millis(100));
        stream.write_all(&[b'x'; 1_000]).unwrap();
    }
    assert_eq!(read_response(&mut stream).1.len(), "POST \n".len() + 8_000);
}

#[test]
fn a_persistent_connection_ends_when_it_is_not_used_or_not_wanted() {
    let mut config = reading_bodies();
    config.timeouts.keep_alive = Duration::from_millis(300);
    let server = repeating(config);
    let begin = Instant::now();
    let idle = answer(&server, &post("Content-Length: 0\r\n", ""));
    assert!(!idle.contains("Connection") && begin.elapsed() >= Duration::from_millis(200));
    let closed = answer(&server, &post("Connection: close\r\nContent-Length: 0\r\n", ""));
    assert!(closed.contains("\r\nConnection: close\r\n"), "{closed}");
    let old = answer(&server, "POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi");
    assert!(old.contains("\r\nConnection: close\r\n") && old.ends_with("POST hi\n"), "{old}");
    let get = answer(&server, &format!("{}GET / HTTP/1.1\r\nHost: a\r\n\r\n", post("", "")));
    assert!(get.ends_with("GET \n") && get.matches("HTTP/1.1 200").count() == 2, "{get}");
}

#[test]
fn the_head_of_a_later_request_has_as_much_time_as_that_of_the_first() {
    let mut config = reading_bodies();
    config.timeouts.handshake = Duration::from_millis(300);
    let server = repeating(config);
    let begin = Instant::now();
    let answer = answer(&server, &format!("{}POST / HT", post("", "")));
    assert!(answer.contains("HTTP/1.1 408 ") && begin.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_connection_can_be_upgraded_after_requests() {
    let server = Running::start(reading_bodies(), |hub, client, event| match event {
        Event::Request(exchange) => repeat(exchange),
        Event::Open { room, .. } => {
            hub.join(client, room);
            hub.broadcast(room, "welcome");
        }
        _ => {}
    });
    let mut stream = server.stream();
    let requests = format!("{}{}", post("Content-Length: 2\r\n", "hi"), request("/lobby"));
    stream.write_all(requests.as_bytes()).unwrap();
    assert_eq!(read_response(&mut stream).1, "POST hi\n");
    assert!(read_head(&mut stream).starts_with("HTTP/1.1 101 "));
    let mut frame = [0; 9];
    stream.read_exact(&mut frame).unwrap();
    assert_eq!(&frame, b"\x81\x07welcome");
}

#[test]
fn each_request_on_a_connection_carries_its_own_address() {
    let server = Running::start(reading_bodies(), |_, _, event| match event {
        Event::Request(exchange) => {
            let address = exchange.address().expect("a peer on the loopback interface");
            exchange.respond(Response::text(200, address.to_string()));
        }
        Event::Head(head) => assert!(head.address().is_some()),
        _ => {}
    });
    let mut stream = server.stream();
    let forwarded = "Content-Length: 2\r\nX-Forwarded-For: 192.0.2.7\r\n";
    for (fields, address) in [
        (forwarded, "192.0.2.7\n"),
        ("Content-Length: 2\r\n", "127.0.0.1\n"),
        (forwarded, "192.0.2.7\n"),
    ] {
        stream.write_all(post(fields, "hi").as_bytes()).unwrap();
        assert_eq!(read_response(&mut stream).1, address);
    }
}

#[test]
fn answers_that_come_later_keep_the_order_of_the_requests() {
    let bound = Server::bind(reading_bodies()).unwrap();
    let handle = bound.handle();
    let (jobs, queue) = channel();
    let worker = thread::spawn(move || {
        for (body, deferred) in queue {
            handle.answer(deferred, Response::text(200, format!("later {body}"))).unwrap();
        }
    });
    let server = Running::start_bound(bound, move |hub, _, event| {
        let Event::Request(exchange) = event else { return };
        let body = String::from_utf8(exchange.body().to_vec()).unwrap();
        match body.len() {
            1 => jobs.send((body, exchange.defer())).unwrap(),
            2 => {
                let deferred = exchange.defer();
                assert!(hub.answer(deferred, &Response::text(200, format!("same {body}"))));
            }
            _ => exchange.respond(Response::text(200, format!("now {body}"))),
        }
    });
    let mut stream = server.stream();
    let requests: Vec<_> = (8..120)
        .map(|number| {
            post(&format!("Content-Length: {}\r\n", number.to_string().len()), &number.to_string())
        })
        .collect();
    stream.write_all(requests.concat().as_bytes()).unwrap();
    for number in 8..120 {
        let how = ["later", "same", "now"][number.to_string().len() - 1];
        assert_eq!(read_response(&mut stream).1, format!("{how} {number}\n"));
    }
    drop((stream, server));
    worker.join().unwrap();
}

#[test]
fn a_request_that_nobody_answers_gets_503_and_a_client_that_has_left_gets_nothing() {
    let mut config = reading_bodies();
    config.timeouts.answer = Duration::from_millis(300);
    let (kept, deferred) = channel();
    let server = Running::start(config, move |_, _, event| {
        if let Event::Request(exchange) = event {
            kept.send(exchange.defer()).unwrap();
        }
    });
    let next = post("Content-Length: 0\r\n", "");
    let unanswered = answer(&server, &format!("{next}{next}"));
    assert!(unanswered.starts_with("HTTP/1.1 503 "), "{unanswered}");
    assert_eq!(unanswered.matches("HTTP/1.1").count(), 1, "{unanswered}");
    let deferred = deferred.recv_timeout(PATIENCE).unwrap();
    let was_waiting = server.ask(|hub| hub.answer(deferred, &Response::text(200, "late")));
    assert!(!was_waiting);
}

#[test]
fn a_server_that_stops_waits_for_answers() {
    let (kept, deferred) = channel();
    let (stopping, stops) = channel();
    let server = Running::start(reading_bodies(), move |_, _, event| match event {
        Event::Request(exchange) => kept.send(exchange.defer()).unwrap(),
        Event::Shutdown => stopping.send(()).unwrap(),
        _ => {}
    });
    let mut stream = server.stream();
    stream.write_all(post("Content-Length: 0\r\n", "").as_bytes()).unwrap();
    let deferred = deferred.recv_timeout(PATIENCE).unwrap();
    server.handle.stop();
    stops.recv_timeout(PATIENCE).unwrap();
    server.handle.answer(deferred, Response::text(200, "late")).unwrap();
    assert_eq!(read_response(&mut stream).1, "late\n");
    server.join();
}
