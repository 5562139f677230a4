//! What the public items say and convert to.

use std::collections::BTreeSet;
use std::fmt::Display;

use super::message::TextAssembly;
use super::*;

/// Checks that texts are different, short enough for a close frame, and one line in lower case.
fn check_texts<T: Display>(items: &[T]) {
    let texts: BTreeSet<_> = items.iter().map(T::to_string).collect();
    assert_eq!(texts.len(), items.len(), "{texts:?}");
    for text in texts {
        assert!((10..=123).contains(&text.len()) && !text.contains('\n'), "{text}");
    }
}

#[test]
fn every_violation_has_a_text_of_its_own() {
    check_texts(&[
        Violation::ReservedBits,
        Violation::ReservedOpcode(3),
        Violation::Unmasked,
        Violation::Masked,
        Violation::FragmentedControl,
        Violation::LongControl,
        Violation::NonMinimalLength,
        Violation::LengthTopBit,
        Violation::UnexpectedContinuation,
        Violation::InterruptedMessage,
        Violation::InvalidUtf8,
        Violation::InvalidDeflate,
        Violation::NoContext,
        Violation::OutsideWindow,
        Violation::TooManyDeflateStreams,
        Violation::MessageTooBig,
        Violation::TooManyFragments,
        Violation::TruncatedCloseCode,
        Violation::InvalidCloseCode(1005),
        Violation::InvalidCloseReason,
    ]);
}

#[test]
fn every_refusal_has_a_text_and_its_fields() {
    let refusals = [
        Refusal::Malformed("the request line is malformed"),
        Refusal::TargetTooLong,
        Refusal::HeadTooLong,
        Refusal::TooManyHeaders,
        Refusal::Tls,
        Refusal::HttpVersion,
        Refusal::Method,
        Refusal::MethodNotImplemented,
        Refusal::HasBody,
        Refusal::BodyTooLong,
        Refusal::TransferCoding,
        Refusal::Expectation,
        Refusal::NoUpgrade,
        Refusal::UpgradeInHttp10,
        Refusal::Origin,
        Refusal::Misdirected,
        Refusal::Scheme,
        Refusal::NoSuchRoom,
        Refusal::WebSocketVersion,
        Refusal::Timeout,
        Refusal::Unanswered,
        Refusal::RoomNameTooLong,
        Refusal::TooManyFromAddress,
        Refusal::Full,
        Refusal::TooManyRooms,
        Refusal::TooManyRoomsFromAddress,
        Refusal::Stopping,
    ];
    check_texts(&refusals);
    let statuses: BTreeSet<_> = refusals.iter().map(|refusal| refusal.status()).collect();
    assert!(statuses.iter().eq(Refusal::STATUSES));
    for refusal in refusals {
        let names: Vec<_> = refusal.headers().iter().map(|(name, _)| *name).collect();
        let expected: &[&str] = match refusal {
            Refusal::WebSocketVersion => &["Sec-WebSocket-Version", "Upgrade"],
            _ => match refusal.status() {
                405 => &["Allow"],
                426 => &["Upgrade"],
                429 | 503 => &["Retry-After"],
                _ => &[],
            },
        };
        assert_eq!(names, expected, "{refusal:?}");
    }
}

#[test]
fn the_other_errors_have_texts() {
    check_texts(&[InvalidHeader::Name, InvalidHeader::Value, InvalidHeader::Reserved]);
    check_texts(&[
        ProxyRefusal::Untrusted,
        ProxyRefusal::Missing,
        ProxyRefusal::Malformed,
        ProxyRefusal::TooLong,
        ProxyRefusal::Incomplete,
    ]);
    check_texts(&[InvalidExtensions]);
    check_texts(&["".parse::<Position>().unwrap_err()]);
    check_texts(&["a:b".parse::<Authority>().unwrap_err()]);
    let host = "a:80".parse::<Host>().unwrap_err().to_string();
    assert!(host.contains("without a scheme, a port or a path"), "{host}");
    let failures =
        [Failure::from(Refusal::Full), Failure::from(Violation::Unmasked)].map(|f| f.to_string());
    assert_eq!(failures, ["server full, try again later", "frame not masked"]);
}

#[test]
#[cfg(feature = "client")]
fn the_errors_of_clients_have_texts() {
    check_texts(&[
        InvalidResponse::NotHttp,
        InvalidResponse::TooLong,
        InvalidResponse::Http10,
        InvalidResponse::Upgrade,
        InvalidResponse::Connection,
        InvalidResponse::AcceptKey,
        InvalidResponse::Extensions,
        InvalidResponse::Subprotocol,
        InvalidResponse::ContentLength(404),
    ]);
    check_texts(&[
        InvalidUri::Scheme,
        InvalidUri::Authority,
        InvalidUri::UserInfo,
        InvalidUri::Fragment,
    ]);
    check_texts(&[NoRandomness]);
}

#[test]
fn every_status_has_a_phrase_of_its_own() {
    let line = |status| {
        let mut out = Vec::new();
        Response::new(status).encode(&mut out);
        let text = String::from_utf8(out).unwrap();
        text.split_once("\r\n").map(|(line, _)| line.to_owned()).unwrap()
    };
    // RFC 9110, section 15, without those that it calls unused or deprecated; RFC 6585; RFC 7725.
    let known: Vec<u16> = (200..=206)
        .chain(300..=304)
        .chain([307, 308])
        .chain(400..=406)
        .chain(408..=417)
        .chain([421, 422, 426, 428, 429, 431, 451])
        .chain(500..=505)
        .collect();
    let lines: BTreeSet<_> = known.iter().map(|status| line(*status)).collect();
    assert_eq!(lines.len(), known.len());
    for status in 200..600 {
        let line = line(status);
        let phrase = line.strip_prefix(&format!("HTTP/1.1 {status} ")).expect(&line);
        assert_eq!(!phrase.is_empty(), known.contains(&status), "{line}");
    }
    assert_eq!(line(404), "HTTP/1.1 404 Not Found");
}

#[test]
fn a_close_code_is_a_number() {
    assert_eq!(
        (u16::from(CloseCode::NORMAL), CloseCode::NORMAL.to_string()),
        (1000, "1000".into())
    );
}

#[test]
fn a_message_is_made_of_what_there_is_and_found_in_its_frame() {
    for message in [
        Message::from("hello"),
        Message::from(&"hello".to_owned()),
        Message::from(&b"hello"[..]),
        Message::from(&b"hello".to_vec()),
        Message::from(b"hello"),
    ] {
        assert_eq!(message.payload(), b"hello");
        let mut frame = Vec::new();
        message.encode(&mut frame);
        assert_eq!((Message::decode(&frame), message.frame_size()), (Some(message), frame.len()));
    }
    for frame in [&b"\x89\x00"[..], b"\x81\x01\xff", b"\x81\x02a", b"\x01\x01a", b"\x81"] {
        assert_eq!(Message::decode(frame), None, "{}", frame.escape_ascii());
    }
    for length in [125, 126, 0xffff, 0x1_0000] {
        let bytes = vec![0; length];
        let mut frame = Vec::new();
        Message::Binary(&bytes).encode(&mut frame);
        assert_eq!(Message::Binary(&bytes).frame_size(), frame.len());
    }
}

#[test]
fn a_word_is_a_frame_of_text() {
    let mut frame = Vec::new();
    Word::Beat(Position::new(10, 5)).encode(&mut frame);
    assert_eq!(Message::decode(&frame), Some(Message::Text("\0{\"position\":\"a.5\"}")));
    let position: Position = "a.5".parse().unwrap();
    assert_eq!((position.epoch(), position.sequence()), (10, 5));
}

#[test]
fn a_control_frame_has_the_top_bit_of_its_opcode() {
    let controls: Vec<_> = (0..16).filter(|opcode| frame::is_control(&[0x80 | opcode])).collect();
    assert_eq!(controls, (8..16).collect::<Vec<_>>());
    assert!(!frame::is_control(&[]));
}

#[test]
fn a_host_is_compared_and_shown() {
    let host = |text: &str| text.parse::<Host>().unwrap();
    assert!(host("127.0.0.1").is_address("::ffff:127.0.0.1".parse().unwrap()));
    assert!(!host("127.0.0.2").is_address("127.0.0.1".parse().unwrap()));
    assert!(!host("localhost").is_address("127.0.0.1".parse().unwrap()));
    for text in ["chat.example", "chat.example:80", "[::1]:8080"] {
        assert_eq!(text.parse::<Authority>().unwrap().to_string(), text);
    }
}

#[test]
fn an_assembly_says_what_it_holds() {
    let mut text = TextAssembly::default();
    assert!(text.is_empty() && text.capacity() == 0);
    text.push(b"a").unwrap();
    assert!(!text.is_empty() && text.capacity() > 0);
}

#[test]
fn a_request_has_names_and_may_be_followed_by_another() {
    let request = |line: &str, fields: &str| {
        let head = format!("GET / {line}\r\nHost: a\r\n{fields}\r\n");
        let request = Request::parse(head.as_bytes(), 16).unwrap();
        (request.header_names().map(str::to_owned).collect::<Vec<_>>(), request.is_persistent())
    };
    assert_eq!(request("HTTP/1.1", "X-Y: z\r\n"), (vec!["Host".into(), "X-Y".into()], true));
    assert!(!request("HTTP/1.1", "Connection: a, Close\r\n").1);
    assert!(!request("HTTP/1.0", "").1);
}
