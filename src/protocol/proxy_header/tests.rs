//! Headers as proxies send them, and as they do not.

use proptest::prelude::*;

use super::*;

/// A header of version 2 with this command, family and rest.
fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let size = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &size, rest].concat()
}

/// The number of bytes that are missing at least.
fn missing(begin: &[u8]) -> usize {
    match ProxyHeader::parse(begin) {
        Ok(ProxyStatus::Partial { missing }) => missing,
        outcome => panic!("{}: {outcome:?}", begin.escape_ascii()),
    }
}

/// The endpoints in a header that is complete.
fn named(header: &[u8]) -> Option<(String, String)> {
    let outcome = ProxyHeader::parse(header);
    let Ok(ProxyStatus::Complete(parsed)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(parsed.size, header.len(), "{}", header.escape_ascii());
    parsed.endpoints.map(|ends| (ends.source.to_string(), ends.destination.to_string()))
}

fn ends(source: &str, destination: &str) -> Option<(String, String)> {
    Some((source.to_owned(), destination.to_owned()))
}

fn refusal(header: impl AsRef<[u8]>) -> ProxyRefusal {
    ProxyHeader::parse(header.as_ref()).unwrap_err()
}

#[test]
fn lines_name_the_addresses_of_the_client_and_the_proxy() {
    for (line, endpoints) in [
        ("TCP4 192.0.2.1 192.0.2.2 1 65535", ends("192.0.2.1:1", "192.0.2.2:65535")),
        ("TCP4 0.0.0.0 255.255.255.255 0 80", ends("0.0.0.0:0", "255.255.255.255:80")),
        ("TCP6 2001:DB8::1 ::1 80 443", ends("[2001:db8::1]:80", "[::1]:443")),
        ("TCP6 ::ffff:192.0.2.1 :: 1 2", ends("[::ffff:192.0.2.1]:1", "[::]:2")),
        ("UNKNOWN", None),
        ("UNKNOWN ", None),
        ("UNKNOWN TCP4 192.0.2.1 192.0.2.2 1 2", None),
    ] {
        assert_eq!(named(format!("PROXY {line}\r\n").as_bytes()), endpoints, "{line}");
    }
    assert_eq!(named(b"PROXY UNKNOWN \xff \n \r \0\r\n"), None);
}

#[test]
fn lines_that_are_almost_headers_are_malformed() {
    for line in [
        "",
        "TCP4",
        "TCP5 192.0.2.1 192.0.2.2 1 2",
        "tcp4 192.0.2.1 192.0.2.2 1 2",
        "TCP4 192.0.2.1 192.0.2.2 1",
        "TCP4 192.0.2.1 192.0.2.2 1 2 ",
        "TCP4  192.0.2.1 192.0.2.2 1 2",
        "TCP4 192.0.2.1\t192.0.2.2 1 2",
        "TCP4 192.0.2.01 192.0.2.2 1 2",
        "TCP4 192.0.2.1 192.0.2.256 1 2",
        "TCP4 ::1 ::1 1 2",
        "TCP6 192.0.2.1 192.0.2.2 1 2",
        "TCP6 [::1] ::1 1 2",
        "TCP6 fe80::1%1 ::1 1 2",
        "TCP4 192.0.2.1 192.0.2.2 +1 2",
        "TCP4 192.0.2.1 192.0.2.2 01 2",
        "TCP4 192.0.2.1 192.0.2.2 1 65536",
        "TCP4 192.0.2.1 192.0.2.2 1 ",
        "TCP4 192.0.2.1 192.0.2.2 1 2\n",
        "UNKNOWNS",
        "unknown",
    ] {
        assert_eq!(refusal(format!("PROXY {line}\r\n")), ProxyRefusal::Malformed, "{line}");
    }
    assert_eq!(refusal(b"PROXY TCP4 \xff 192.0.2.2 1 2\r\n"), ProxyRefusal::Malformed);
}

#[test]
fn a_line_ends_within_107_bytes() {
    let longest = format!("PROXY UNKNOWN {}\r\n", "f".repeat(91));
    assert_eq!(longest.len(), MAX_TEXT_BYTES);
    assert_eq!(named(longest.as_bytes()), None);
    let longer = longest.replace("\r\n", "f\r\n");
    assert_eq!(missing(&longer.as_bytes()[..106]), 1);
    for size in 107..=108 {
        assert_eq!(refusal(&longer[..size]), ProxyRefusal::TooLong);
    }
}

#[test]
fn binary_headers_name_addresses_and_their_fields_are_skipped() {
    let v4 = b"\xc0\x00\x02\x01\xc0\x00\x02\x02\x00\x50\x01\xbb";
    let named_v4 = ends("192.0.2.1:80", "192.0.2.2:443");
    assert_eq!(named(&binary(0x21, 0x11, v4)), named_v4);
    assert_eq!(named(&binary(0x21, 0x12, v4)), named_v4);
    let with_fields = [&v4[..], b"\x04\x00\x02xx", &[0xff; 100]].concat();
    assert_eq!(named(&binary(0x21, 0x11, &with_fields)), named_v4);
    let mut v6 = [0; 36];
    (v6[15], v6[32], v6[33]) = (1, 0xff, 0xff);
    assert_eq!(named(&binary(0x21, 0x21, &v6)), ends("[::1]:65535", "[::]:0"));
}

#[test]
fn binary_headers_without_addresses_are_accepted() {
    for family in [0x00, 0x01, 0x10, 0x20, 0x30, 0x31, 0x32] {
        assert_eq!(named(&binary(0x21, family, &[1; 216])), None, "{family:#x}");
    }
    for (family, rest) in [(0x00, 0), (0x11, 0), (0x11, 12), (0xff, 3)] {
        assert_eq!(named(&binary(0x20, family, &vec![1; rest])), None, "LOCAL {family:#x}");
    }
}

#[test]
fn binary_headers_with_unknown_values_or_too_few_bytes_are_malformed() {
    for (command, family, rest) in [
        (0x22, 0x11, 12),
        (0x11, 0x11, 12),
        (0x31, 0x11, 12),
        (0x21, 0x13, 12),
        (0x21, 0x41, 12),
        (0x21, 0xff, 12),
        (0x21, 0x11, 11),
        (0x21, 0x21, 35),
    ] {
        let header = binary(command, family, &vec![0; rest]);
        assert_eq!(refusal(&header), ProxyRefusal::Malformed, "{command:#x} {family:#x}");
        assert_eq!(refusal(&header[..FIXED_BYTES]), ProxyRefusal::Malformed, "at once");
    }
}

#[test]
fn a_binary_header_has_at_most_4_kib() {
    let longest = binary(0x20, 0, &[0; ProxyHeader::MAX_BYTES - FIXED_BYTES]);
    assert_eq!(named(&longest), None);
    for rest in [ProxyHeader::MAX_BYTES - FIXED_BYTES + 1, 0xffff] {
        let header = binary(0x21, 0x11, &vec![0; rest]);
        assert_eq!(refusal(&header[..FIXED_BYTES]), ProxyRefusal::TooLong);
    }
}

/// So it takes few reads, none of which takes what follows.
#[test]
fn as_much_as_possible_is_asked_for_at_once() {
    let line = b"PROXY TCP4 192.0.2.1 198.51.100.1 54321 443\r\nGET /";
    let (mut size, mut reads) = (0, 0);
    while let Ok(ProxyStatus::Partial { missing }) = ProxyHeader::parse(&line[..size]) {
        (size, reads) = (size + missing, reads + 1);
    }
    assert_eq!((size, reads), (45, 7));
    let header = binary(0x21, 0x11, &[0; 200]);
    let missing_after = |size| missing(&header[..size]);
    assert_eq!([0, 13, 15, 16, 20, 27].map(missing_after), [15, 3, 1, 12, 8, 1]);
}

#[test]
fn anything_else_is_no_header_from_its_first_wrong_byte() {
    for (bytes, size) in [
        (&b"GET / HTTP/1.1\r\n"[..], 1),
        (b"\x16\x03\x01", 1),
        (b"PROXYTCP4 192.0.2.1", 6),
        (b"proxy UNKNOWN\r\n", 1),
        (b"\r\n\r\nGET / HTTP/1.1", 5),
        (b"\r\n\r\n\0\r\nQUIT\r", 12),
    ] {
        assert!(missing(&bytes[..size - 1]) > 0);
        assert_eq!(refusal(&bytes[..size]), ProxyRefusal::Missing, "{bytes:?}");
    }
}

/// Bytes that begin like a header, and perhaps are one.
fn almost_header() -> impl Strategy<Value = Vec<u8>> {
    let line = "PROXY (TCP4|TCP6|UNKNOWN)?( [0-9a-f.:]{0,9}){0,5}(\r\n|\r|)[ -~]{0,9}";
    let text = line.prop_map(String::into_bytes);
    let valid = any::<(bool, u128, u128, u16, u16)>().prop_map(|(long, from, to, port, other)| {
        let address = |bits: u128| match long {
            true => IpAddr::from(Ipv6Addr::from_bits(bits & (u128::MAX >> (bits % 128)))),
            false => IpAddr::from(Ipv4Addr::from_bits(bits as u32 >> (bits % 32))),
        };
        let family = if long { "TCP6" } else { "TCP4" };
        let (from, to) = (address(from), address(to));
        format!("PROXY {family} {from} {to} {} {}\r\nGET", port >> 9, other).into_bytes()
    });
    let fixed = (prop_oneof![0x20..0x23_u8, any::<u8>()], prop_oneof![0..0x33_u8, any::<u8>()]);
    let rest = prop::collection::vec(any::<u8>(), 0..300);
    let binary = (fixed, rest).prop_map(|((command, family), rest)| {
        [binary(command, family, &rest), b"GET /".to_vec()].concat()
    });
    prop_oneof![text, valid, binary, prop::collection::vec(any::<u8>(), 0..200)]
}

proptest! {
    #[test]
    fn what_has_arrived_decides_only_what_more_bytes_cannot_change(bytes in almost_header()) {
        let whole = ProxyHeader::parse(&bytes);
        for size in 0..bytes.len() {
            match ProxyHeader::parse(&bytes[..size]) {
                Ok(ProxyStatus::Partial { missing }) => {
                    prop_assert!(missing > 0);
                    if let Ok(ProxyStatus::Complete(header)) = whole {
                        prop_assert!(size + missing <= header.size, "after {} bytes", size);
                    }
                }
                early => prop_assert_eq!(early, whole, "after {} bytes", size),
            }
        }
    }
}
