//! Pages of other sites, and names that look like the server's (RFC 6455, section 10.2).

use crate::peer::{Peer, request};
use crate::support::{Bounds, MIB, Siege};

/// The server's host names, so that only the origin matters.
const NAMES: [&str; 4] =
    ["--host", "chat.example,localhost,[::1],null", "--trusted-proxy", "10.0.0.1"];

/// The status of a page's upgrade with these Host and Origin fields.
fn status(peer: &mut Peer, host: &str, origin: &[u8]) -> String {
    let request = request("/").replace("townhall.example", host);
    let head = request.strip_suffix("\r\n").unwrap().as_bytes();
    peer.send(&[head, b"Origin: ", origin, b"\r\n\r\n"].concat());
    peer.receive_head()[9..12].to_owned()
}

/// Origins, each with a host that it does not match.
const STRANGERS: &[(&str, &str)] = &[
    ("http://evil.example", "chat.example"),
    ("null", "chat.example"),
    ("null", "null"),
    ("", "chat.example"),
    ("file://", "chat.example"),
    ("chrome-extension://chat.example", "chat.example"),
    // Addresses, including forms that only some parsers accept.
    ("http://192.0.2.1", "chat.example"),
    ("http://127.0.0.1:8080", "localhost:8080"),
    ("http://[::1]:8080", "127.0.0.1:8080"),
    ("http://[::ffff:127.0.0.1]:8080", "127.0.0.1:8080"),
    ("http://2130706433", "127.0.0.1"),
    ("http://0x7f.1", "127.0.0.1"),
    ("http://127.1", "127.0.0.1"),
    // Ports.
    ("http://chat.example:8081", "chat.example:8080"),
    ("http://chat.example", "chat.example:8080"),
    ("https://chat.example", "chat.example:80"),
    ("http://chat.example:65616", "chat.example:80"),
    ("http://chat.example:80:80", "chat.example:80"),
    // The part before an @ is a user, not a host.
    ("http://chat.example@evil.example", "chat.example"),
    ("http://chat.example:80@evil.example", "chat.example"),
    ("http://evil.example@chat.example", "chat.example"),
    // Prefixes and suffixes.
    ("http://chat.example.evil.example", "chat.example"),
    ("http://evilchat.example", "chat.example"),
    ("http://evil.example/chat.example", "chat.example"),
    ("http://evil.example?chat.example", "chat.example"),
    ("http://evil.example#chat.example", "chat.example"),
    ("http://evil.example\\chat.example", "chat.example"),
    ("http://evil.example http://chat.example", "chat.example"),
    ("http://chat.example..", "chat.example"),
    ("http://.chat.example", "chat.example"),
    ("http://chat\u{ff0e}example", "chat.example"),
];

/// CVE-2025-30360: an address is an origin like any other.
#[test]
fn a_similar_origin_is_refused_and_logged_as_sent() {
    // A few at a time, because the log rate is limited.
    for strangers in STRANGERS.chunks(8) {
        let siege = Siege::begin(&NAMES);
        for (origin, host) in strangers {
            let mut peer = siege.connect();
            assert_eq!(status(&mut peer, host, origin.as_bytes()), "403", "{origin} at {host}");
            let line = siege.program.log_line("has origin");
            let sent = format!("has origin {origin:?} and requested host {host:?}");
            assert!(line.contains(&sent), "{origin} at {host}: {line}");
        }
        siege.end(Bounds { memory: 4 * MIB, cpu: 2, time: 30 });
    }
}

#[test]
fn an_equal_origin_in_another_spelling_may_connect() {
    let siege = Siege::begin(&NAMES);
    for (origin, host) in [
        ("http://chat.example", "chat.example"),
        ("HTTP://CHAT.example", "chat.Example"),
        ("http://chat.example.", "chat.example"),
        ("http://chat.example", "chat.example."),
        ("http://chat.example:80", "chat.example"),
        ("https://chat.example", "chat.example:443"),
        ("http://chat.example:", "chat.example"),
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
        ("http://[0:0::1]:8080", "[::1]:8080"),
    ] {
        let mut peer = siege.connect();
        assert_eq!(status(&mut peer, host, origin.as_bytes()), "101", "{origin} at {host}");
    }
    siege.end(Bounds { memory: 4 * MIB, cpu: 2, time: 30 });
}

/// Fields that two parsers may read differently match no origin.
#[test]
fn several_origins_or_an_invalid_one_are_refused() {
    let flags = [&NAMES[..], &["--origin", "http://friend.example"]].concat();
    let siege = Siege::begin(&flags);
    let status = |origin: &[u8]| status(&mut siege.connect(), "chat.example", origin);
    assert_eq!(status(b"http://friend.example"), "101");
    assert_eq!(status(b"http://chat.example"), "101");
    assert_eq!(status(b"http://chat.example\r\nOrigin: http://evil.example"), "403");
    assert_eq!(status(b"http://chat.example\r\nORIGIN: http://chat.example"), "403");
    assert_eq!(status(b"http://chat.example, http://friend.example"), "403");
    assert_eq!(status(b"http://friend.example@evil.example"), "403");
    assert_eq!(status(b"http://friend.example.evil.example"), "403");
    assert_eq!(status(b"http://chat.example\xff"), "403");
    // A folded line, or one with another line ending, is not a field.
    assert_eq!(status(b"http://evil.example\r\n http://chat.example"), "400");
    assert_eq!(status(b"http://evil.example\rhttp://chat.example"), "400");
    assert_eq!(status(b"http://chat.example\0"), "400");
    siege.end(Bounds { memory: 4 * MIB, cpu: 2, time: 30 });
}

/// A log line stays one line, and cannot be forged.
#[test]
fn an_origin_cannot_forge_a_log_line() {
    let siege = Siege::begin(&[]);
    let mut peer = siege.connect();
    let origin = "\"; everything is fine \u{2028}\u{85}\u{1b}[2J";
    assert_eq!(status(&mut peer, "chat.example", origin.replace('\u{1b}', "").as_bytes()), "403");
    let line = siege.program.log_line("has origin");
    assert!(line.contains(r#""\"; everything is fine \u{2028}\u{85}[2J""#), "{line}");
    siege.end(Bounds { memory: 4 * MIB, cpu: 2, time: 30 });
}

/// A lossy conversion to UTF-8 would triple its length.
#[test]
fn a_long_origin_and_a_long_host_get_a_short_log_line() {
    let siege = Siege::begin(&[]);
    let mut peer = siege.connect();
    let (host, origin) = ("h".repeat(3_000), [0xff; 4_000]);
    assert_eq!(status(&mut peer, &host, &origin), "403");
    let line = siege.program.log_line("has origin");
    assert!(line.contains(r#"\xff"... (4000 bytes) and requested host "hhhh"#), "{line}");
    assert!(line.len() < 500, "{} bytes: {line}", line.len());
    siege.end(Bounds { memory: 4 * MIB, cpu: 2, time: 30 });
}

/// DNS rebinding: evil.example resolves to this machine.
#[test]
fn a_rebound_name_cannot_connect() {
    let siege = Siege::begin(&[]);
    for host in ["evil.example:8080", "evil.example", "localhost.evil.example", "192.0.2.1:8080"] {
        let origin = format!("http://{host}");
        assert_eq!(status(&mut siege.connect(), host, origin.as_bytes()), "403", "{host}");
        let line = siege.program.log_line("has origin");
        let end = format!("; start with --origin '{origin}' to allow it");
        assert!(line.contains("may not be this machine's name") && line.ends_with(&end), "{line}");
    }
    for host in ["localhost:8080", "127.0.0.1:8080", "127.9.9.9", "[::1]:8080", "chat.localhost"] {
        let origin = format!("http://{host}");
        assert_eq!(status(&mut siege.connect(), host, origin.as_bytes()), "101", "{host}");
    }
    siege.end(Bounds { memory: 4 * MIB, cpu: 2, time: 30 });
}

/// A page cannot choose text that is pasted from the log into a shell.
#[test]
fn the_log_suggests_only_an_origin_in_its_canonical_form() {
    let siege = Siege::begin(&[]);
    for (origin, end) in [
        ("HTTPS://App.Example:443", "start with --origin 'https://app.example' to allow it"),
        ("null", "--origin null allows all of them"),
        ("app://-", "start with --origin 'app://-' to allow it"),
        ("http://a' --host 'b", "no page has this origin"),
        ("app://$(reboot)", "no page has this origin"),
        ("https://app.example, https://b.example", "no page has this origin"),
    ] {
        assert_eq!(status(&mut siege.connect(), "localhost", origin.as_bytes()), "403");
        let line = siege.program.log_line("has origin");
        assert!(line.ends_with(end), "{line}");
    }
    let long = format!("http://{}example", "a.".repeat(60));
    assert_eq!(status(&mut siege.connect(), "localhost", long.as_bytes()), "403");
    let line = siege.program.log_line("has origin");
    assert!(line.ends_with("start with --origin and the full value to allow it"), "{line}");
    siege.end(Bounds { memory: 4 * MIB, cpu: 2, time: 30 });
}
