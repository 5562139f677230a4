//! Methods: those that are served, those that reach the application, and the answers to all others.

use townhall::{Event, Response};

use crate::http::{answer, assert_status};
use crate::support::{Running, chat, config, request};

/// RFC 9110, section 9.1: methods are case-sensitive. One that is implemented, "but not allowed for the target
/// resource", gets 405, and one that is "unrecognized or not implemented" gets 501.
#[test]
fn a_method_that_is_not_implemented_gets_501() {
    let server = Running::start(config(), chat);
    let status = |method: &str| {
        let answer = answer(&server, &format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(answer.contains("\r\nAllow: "), answer.starts_with("HTTP/1.1 405 "), "{answer}");
        answer[9..12].to_owned()
    };
    for method in ["POST", "PUT", "DELETE"] {
        assert_eq!(status(method), "405", "{method}");
    }
    let long = "A".repeat(8_000);
    for method in ["PATCH", "TRACE", "BREW", "GETS", "get", "Post", "options", &long] {
        assert_eq!(status(method), "501", "{method}");
    }
    assert_status(&server, &"A".repeat(20_000), "501");
    assert_status(&server, &request("/").replace("GET", "BREW"), "501");
}

/// HAProxy's checks use OPTIONS by default.
#[test]
fn options_names_the_methods_that_are_served() {
    let server = Running::start(config(), chat);
    let allow = "HTTP/1.1 204 No Content\r\nAllow: GET, HEAD, OPTIONS\r\n";
    for head in [
        "OPTIONS / HTTP/1.0\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n",
        "OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n",
        &request("/lobby").replace("GET", "OPTIONS"),
    ] {
        let answer = answer(&server, head);
        assert!(answer.starts_with(allow) && answer.ends_with("\r\n\r\n"), "{head}: {answer}");
    }
    let not = answer(&server, "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(not.contains("\r\nAllow: GET, HEAD, OPTIONS\r\n"), "{not}");
}

/// A server whose application answers requests for `/page`, and those without a path, with their method.
fn serving_any_method() -> Running {
    let mut config = config();
    config.any_method = true;
    Running::start(config, |_, _, event| {
        if let Event::Request(exchange) = event
            && ["/page", ""].contains(&exchange.request().path())
            && exchange.request().target() != "*"
        {
            let method = exchange.request().method().to_owned();
            exchange.respond(Response::text(200, method));
        }
    })
}

#[test]
fn requests_with_any_method_reach_an_application_that_asks_for_them() {
    let server = serving_any_method();
    for method in ["DELETE", "PUT", "POST", "OPTIONS", "get", "X-ANY", "GET"] {
        for fields in ["", "Content-Length: 0\r\n", "Content-Length: 00\r\n"] {
            let request = format!("{method} /page HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
            let answer = answer(&server, &request);
            assert!(answer.starts_with("HTTP/1.1 200 "), "{request}: {answer}");
            assert!(answer.ends_with(&format!("\r\n\r\n{method}\n")), "{request}: {answer}");
        }
    }
    let head = answer(&server, "HEAD /page HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(head.contains("\r\nContent-Length: 5\r\n") && head.ends_with("\r\n\r\n"), "{head}");
}

#[test]
fn what_the_application_does_not_answer_gets_what_it_gets_without_it() {
    let server = serving_any_method();
    let allow = "\r\nAllow: GET, HEAD, OPTIONS\r\n";
    let delete = answer(&server, "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(delete.starts_with("HTTP/1.1 405 ") && delete.contains(allow), "{delete}");
    let options = answer(&server, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(options.starts_with("HTTP/1.1 204 ") && options.contains(allow), "{options}");
    assert_status(&server, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "426");
    assert_status(&server, "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", "501");
    assert_status(&server, "BREW / HTTP/1.1\r\nHost: a\r\n\r\n", "501");
    assert_status(&server, &request("/").replace("GET", "POST"), "405");
}

/// RFC 9112, section 11.2: request smuggling exploits that two recipients disagree about where a request
/// ends.
#[test]
fn a_request_with_a_body_is_refused_and_nothing_after_a_request_is_taken_for_another() {
    let server = serving_any_method();
    let with = |method: &str, fields: &str, rest: &str| {
        let head = format!("{method} /page HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
        answer(&server, &(head + rest))
    };
    let next = "GET /page HTTP/1.1\r\nHost: a\r\n\r\n";
    for (fields, status) in [
        ("Content-Length: 5", "413"),
        ("Content-Length: 999999999999999999999999", "413"),
        ("Transfer-Encoding: chunked", "413"),
        ("Transfer-Encoding: identity", "413"),
        ("Content-Length: 0\r\nTransfer-Encoding: chunked", "400"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", "400"),
        ("Content-Length: 0\r\nContent-Length: 0", "400"),
        ("Content-Length: 0\r\nContent-Length: 44", "400"),
        ("Content-Length: 0, 0", "400"),
        ("Content-Length: +0", "400"),
        ("Content-Length: -1", "400"),
        ("Content-Length: 0x0", "400"),
        ("Content-Length:", "400"),
        ("Content-Length: 0", "200"),
        ("Content-Length : 5", "400"),
        ("X: y", "200"),
    ] {
        for method in ["DELETE", "OPTIONS"] {
            let answer = with(method, fields, next);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{fields}: {answer}");
            assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{fields}: {answer}");
        }
    }
}
