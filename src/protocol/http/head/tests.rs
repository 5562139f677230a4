use super::*;

const HEAD: &[u8] = b"GET /a?b HTTP/1.1\r\nHost: a\r\nX:\r\n\r\n";
const MAX_BYTES: usize = 100;

/// The result of these bytes, which arrive one at a time, and the number of bytes that were taken.
fn receive(bytes: &[u8]) -> (usize, Result<Option<Vec<u8>>, Refusal>) {
    let mut head = Head::default();
    for (at, &byte) in bytes.iter().enumerate() {
        match head.receive(&mut &mut [byte][..], MAX_BYTES) {
            Ok(None) => {}
            outcome => return (at + 1, outcome),
        }
    }
    (bytes.len(), Ok(None))
}

fn refused(bytes: &[u8]) -> (usize, u16) {
    let (taken, outcome) = receive(bytes);
    (taken, outcome.expect_err("it is refused").status())
}

#[test]
fn a_head_is_complete_at_its_empty_line_and_the_bytes_after_it_stay() {
    assert_eq!(receive(HEAD), (HEAD.len(), Ok(Some(HEAD.to_vec()))));
    let mut bytes = [b"\r\n\n", HEAD, b"more"].concat();
    let mut input = &mut bytes[..];
    let received = Head::default().receive(&mut input, MAX_BYTES);
    assert_eq!(received, Ok(Some(HEAD.to_vec())));
    assert_eq!(input, b"more");
    assert_eq!(check(HEAD), Ok(()));
}

#[test]
fn lines_may_end_in_a_bare_line_feed() {
    let head = b"GET / HTTP/1.0\nHost: a\n\n";
    assert_eq!(receive(head).1, Ok(Some(head.to_vec())));
}

/// RFC 9112, section 2.2, and the `obs-text` of RFC 9110, section 5.5.
#[test]
fn a_field_value_may_have_bytes_beyond_ascii() {
    let head = b"GET / HTTP/1.1\r\nHost: a\r\nX: \x80\xff caf\xc3\xa9\r\n\r\n";
    assert_eq!(receive(head).1, Ok(Some(head.to_vec())));
    assert_eq!(check(head), Ok(()));
}

/// Each of these is refused at its last byte.
#[test]
fn the_first_invalid_byte_is_refused() {
    for bytes in [
        &b"\0"[..],
        b" ",
        b"\x80",
        b"\x05",
        b"GET\r",
        b"GET\n",
        b"GE\"",
        b"GET  ",
        b"GET /\r",
        b"GET /\n",
        b"GET /\x7f",
        b"GET /\0",
        b"GET / \r",
        b"GET / h",
        b"GET /a b",
        b"GET / HTTP/1.1 ",
        b"GET / HTTP/1.10",
        b"GET / HTTP/1.x",
        b"GET / HTTP/x",
        b"GET / HTTP/1.1\rH",
        b"GET / HTTP/1.1\r\n ",
        b"GET / HTTP/1.1\r\n:",
        b"GET / HTTP/1.1\r\nHost ",
        b"GET / HTTP/1.1\r\nHost\r",
        b"GET / HTTP/1.1\r\nHost: a\0",
        b"GET / HTTP/1.1\r\nHost: a\r\r",
        b"GET / HTTP/1.1\r\nHost: a\r\n\t",
        b"GET / HTTP/1.1\r\nHost: a\r\n\rx",
        b"SSH-2.0-OpenSSH_9.2\r",
        b"PROXY TCP4 1",
        b"\r\n\r\n\0",
        b"\r\r",
        b"\rG",
    ] {
        let shown = bytes.escape_ascii();
        assert_eq!(refused(bytes), (bytes.len(), 400), "{shown}");
    }
}

#[test]
fn an_invalid_byte_is_found_anywhere_in_a_long_run() {
    for (before, run, after) in [
        ("GET /", "a", " HTTP/1.1\r\n\r\n"),
        ("GET / HTTP/1.1\r\n", "a", ": b\r\n\r\n"),
        ("GET / HTTP/1.1\r\nA: ", "b", "\r\n\r\n"),
    ] {
        for at in 0..3 * BLOCK_BYTES {
            let mut head = [before, &run.repeat(3 * BLOCK_BYTES), after].concat().into_bytes();
            assert_eq!(check(&head), Ok(()));
            head[before.len() + at] = 0x7f;
            assert!(check(&head).is_err(), "{}", head.escape_ascii());
        }
    }
}

#[test]
fn another_major_version_is_refused_as_unsupported() {
    assert_eq!(refused(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), (12, 505));
    assert_eq!(refused(b"GET / HTTP/0.9\r\n"), (12, 505));
}

#[test]
fn a_tls_hello_is_recognized_by_its_first_byte() {
    assert_eq!(receive(b"\x16\x03\x01\x02\0\x01"), (1, Err(Refusal::Tls)));
    assert_eq!(refused(b"\r\n\x16"), (3, 400));
    assert_ne!(receive(b"\r\n\x16").1, Err(Refusal::Tls));
}

/// Of all first bytes of a connection, only those of a method and of an empty line are accepted.
#[test]
fn a_connection_begins_with_a_token_or_an_empty_line() {
    for byte in 0..=u8::MAX {
        let possible = is_token_byte(byte) || b"\r\n".contains(&byte);
        assert_eq!(receive(&[byte]).1.is_ok(), possible, "{byte}");
    }
}

#[test]
fn only_a_few_empty_lines_may_come_before_a_request() {
    let few = [&b"\r\n".repeat(4), HEAD].concat();
    assert_eq!(receive(&few).1, Ok(Some(HEAD.to_vec())));
    assert_eq!(refused(&b"\r\n".repeat(100)), (10, 400));
    assert_eq!(refused(&b"\n".repeat(100)), (5, 400));
}

#[test]
fn empty_lines_alone_do_not_begin_a_request() {
    let mut head = Head::default();
    for byte in *b"\r\n\r\n\r" {
        head.receive(&mut &mut [byte][..], MAX_BYTES).unwrap();
        assert!(!head.has_begun() && head.held_bytes() == 0);
    }
    head.receive(&mut &mut b"\nG".to_owned()[..], MAX_BYTES).unwrap();
    assert!(head.has_begun());
}

#[test]
fn a_head_may_be_as_long_as_the_limit() {
    let padded = |length: usize| {
        let rest = length - b"GET / HTTP/1.1\r\nA: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "b".repeat(rest)).into_bytes()
    };
    assert!(matches!(receive(&padded(MAX_BYTES)), (MAX_BYTES, Ok(Some(_)))));
    assert_eq!(refused(&padded(MAX_BYTES + 1)), (MAX_BYTES, 431));
    assert_eq!(refused(&[b'G'; 200]), (MAX_BYTES, 501));
    assert_eq!(refused(&[&[b'G'; MAX_BYTES - 1], &b" /"[..]].concat()), (MAX_BYTES, 501));
    assert_eq!(refused(&[&b"GET /"[..], &[b'a'; 200]].concat()), (MAX_BYTES, 414));
    let nothing = Head::default().receive(&mut &mut b"\r\nGET".to_owned()[..], 0);
    assert_eq!(nothing, Err(Refusal::HeadTooLong));
}

#[test]
fn part_of_a_head_is_not_a_head_and_nor_is_a_head_with_more() {
    for end in 0..HEAD.len() {
        assert_eq!(check(&HEAD[..end]), Err(Refusal::Malformed("the head is cut short")));
    }
    let more = check(&[HEAD, b"x"].concat());
    assert_eq!(more, Err(Refusal::Malformed("something follows the head")));
}

#[test]
fn a_refusal_names_what_is_malformed() {
    for (bytes, reason) in [
        (&b" "[..], "no request begins with this byte"),
        (b"GET /\0", "the request line is malformed"),
        (b"GET / HTTP/1.1\r\n ", "a header field's name is malformed"),
        (b"GET / HTTP/1.1\r\nHost\r", "a header field's name is malformed"),
        (b"GET / HTTP/1.1\r\nHost: a\0", "a header field's value is malformed"),
        (b"\rG", "a line of the head has a carriage return without a line feed"),
        (b"GET / HTTP/1.1\rH", "a line of the head has a carriage return without a line feed"),
        (b"GET / HTTP/1.1\r\n\rx", "a line of the head has a carriage return without a line feed"),
    ] {
        assert_eq!(receive(bytes).1, Err(Refusal::Malformed(reason)), "{}", bytes.escape_ascii());
    }
}
