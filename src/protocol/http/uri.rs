//! The parts of a URI that are compared: its authority, and its path in normal form (RFC 3986).

use std::fmt::Write;
use std::net::Ipv6Addr;

/// Whether this is `uri-host [ ":" port ]` with a host (RFC 9110, section 7.2). Some clients also send
/// the zone of an IPv6 address, as in `[fe80::1%eth0]`.
pub(crate) fn is_authority(text: &str) -> bool {
    // The colons of an IPv6 address are inside its brackets.
    let end_of_host = match text.rfind(']') {
        Some(bracket) => bracket + 1,
        None => text.find(':').unwrap_or(text.len()),
    };
    let (host, port) = text.split_at(end_of_host);
    is_host(host) && is_port(port)
}

fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(literal) => {
            let (address, zone) = literal.split_once('%').unwrap_or((literal, "none"));
            address.parse::<Ipv6Addr>().is_ok() && is_reg_name(zone)
        }
        None => is_reg_name(host),
    }
}

/// Whether this is a `reg-name` that is not empty. An IPv4 address is one too (RFC 3986, section 3.2.2).
fn is_reg_name(name: &str) -> bool {
    let mut rest = name.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = match percent_encoded(rest) {
            Some(_) => &rest[3..],
            None if is_unreserved(byte) || is_sub_delim(byte) => tail,
            None => return false,
        };
    }
    !name.is_empty()
}

/// Whether this is empty, or a colon and a port, which may be omitted (RFC 3986, section 3.2.3).
fn is_port(port: &str) -> bool {
    match port.strip_prefix(':') {
        None => port.is_empty(),
        Some("") => true,
        Some(digits) => {
            digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok()
        }
    }
}

/// The normal form of an absolute path, which equivalent paths share (RFC 3986, section 6.2.2):
/// percent-encoding has upper-case digits and is used only where it is needed, and there are no
/// dot segments. `%2F` is data, and stays apart from `/`.
///
/// Characters that no URI may contain are percent-encoded, as in browsers: a `%` that encodes nothing
/// becomes `%25`, and `é` becomes `%C3%A9` (RFC 3987, section 3.1).
///
/// ```
/// assert_eq!(townhall::protocol::normal_path("/a/../café"), "/caf%C3%A9");
/// ```
pub fn normal_path(path: &str) -> String {
    if has_nothing_to_normalize(path) {
        return path.to_owned();
    }
    remove_dot_segments(&normal_encoding(path))
}

/// Whether a path has neither percent-encoding nor dot segments, like nearly all.
fn has_nothing_to_normalize(path: &str) -> bool {
    let bytes = path.as_bytes();
    bytes.first() == Some(&b'/')
        && bytes.iter().all(|&byte| is_path_byte(byte))
        && !bytes.windows(2).any(|pair| pair == b"/.")
}

/// RFC 3986, sections 6.2.2.1 and 6.2.2.2.
fn normal_encoding(path: &str) -> String {
    let mut normal = String::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&sent, tail)) = rest.split_first() {
        let encoded = percent_encoded(rest);
        rest = if encoded.is_some() { &rest[3..] } else { tail };
        let literal = encoded.map_or(is_path_byte(sent), is_unreserved);
        let byte = encoded.unwrap_or(sent);
        if literal {
            normal.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(normal, "%{byte:02X}");
        }
    }
    normal
}

/// RFC 3986, sections 5.2.4 and 6.2.2.3.
fn remove_dot_segments(path: &str) -> String {
    let mut kept = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            segment => {
                kept.push(segment);
                continue;
            }
        }
        if segments.peek().is_none() {
            // The rest is a folder, whose path ends with a slash.
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

/// The octet that the first three bytes encode (RFC 3986, section 2.1).
fn percent_encoded(bytes: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = *bytes else { return None };
    let digit = |byte| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

/// RFC 3986, section 2.3.
pub(crate) fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// RFC 3986, section 2.2.
fn is_sub_delim(byte: u8) -> bool {
    b"!$&'()*+,;=".contains(&byte)
}

/// Whether a byte may be in a path as it is (RFC 3986, section 3.3).
fn is_path_byte(byte: u8) -> bool {
    is_unreserved(byte) || is_sub_delim(byte) || b":@/".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_a_host_with_or_without_a_port() {
        for authority in [
            "localhost",
            "example.com:8080",
            "example.com:",
            "my_host",
            "127.0.0.1:80",
            "[::1]",
            "[::1]:65535",
            "[fe80::1%eth0]:8080",
            "[fe80::1%25eth0]",
            "b%C3%BCcher.example",
            "a,b",
        ] {
            assert!(is_authority(authority), "{authority}");
        }
    }

    #[test]
    fn an_invalid_authority_is_refused() {
        for text in [
            "",
            ":80",
            "a:b:c",
            "a:b",
            "a:65536",
            "a:+80",
            "a: 80",
            "a b",
            "user@a",
            "a/b",
            "a?b",
            "a%zz",
            "a%2",
            "::1",
            "[::1",
            "::1]",
            "[::1]a",
            "[::1]:a",
            "[a]",
            "[]",
            "[::1%]",
            "a]",
            "[1.2.3.4]",
            "bücher",
        ] {
            assert!(!is_authority(text), "{text}");
        }
    }

    #[test]
    fn equivalent_paths_have_one_normal_form() {
        for (paths, normal) in [
            (&["/", "/.", "/..", "/a/..", "/%2e", "/a/%2E%2e"][..], "/"),
            (&["/caf%C3%A9", "/caf%c3%a9", "/caf%c3%A9", "/café", "/%63af%C3%A9"], "/caf%C3%A9"),
            (&["/lobby", "/%6Cobby", "/%6c%6F%62%62%79", "/./lobby", "/../lobby"], "/lobby"),
            (&["/a-b.c_d~e", "/a%2Db%2ec%5fd%7E%65"], "/a-b.c_d~e"),
            (&["/a/b", "/a/./b", "/a/c/../b", "/a/c/d/../../b"], "/a/b"),
            (&["/a/", "/a/.", "/a/b/.."], "/a/"),
            (&["/a|b", "/a%7cb"], "/a%7Cb"),
            (&["/a%2Fb", "/a%2fb"], "/a%2Fb"),
            (&["/100%", "/100%25"], "/100%25"),
            (&["/%zz", "/%25zz"], "/%25zz"),
            (&["/%4", "/%254"], "/%254"),
            (&["/...", "/..."], "/..."),
        ] {
            for path in paths {
                assert_eq!(normal_path(path), normal, "{path}");
            }
        }
    }

    #[test]
    fn a_path_with_nothing_to_normalize_is_its_own_normal_form() {
        for path in ["/", "/lobby", "//a//b/", "/a-b.c_d~e:@!$&'()*+,;=", "/a./b.."] {
            assert!(has_nothing_to_normalize(path), "{path}");
            assert_eq!(remove_dot_segments(&normal_encoding(path)), path);
        }
        for path in ["", "*", "lobby", "/.", "/a/../b", "/a/.b", "/%61", "/caf\u{e9}", "/a b"] {
            assert!(!has_nothing_to_normalize(path), "{path}");
        }
    }

    #[test]
    fn different_paths_have_different_normal_forms() {
        let paths =
            ["/a/b", "/a%2Fb", "//a/b", "/a//b", "/a/b/", "/A/b", "/a+b", "/a%2Bb", "/a%20b"];
        for (at, path) in paths.iter().enumerate() {
            for other in &paths[at + 1..] {
                assert_ne!(normal_path(path), normal_path(other));
            }
        }
    }

    #[test]
    fn the_normal_form_is_its_own_normal_form() {
        for path in ["/%%34%31", "/%252e%252E/a", "/%2%35", "/é%é", "/a/%2E./b", "/%2e%2e%2f"] {
            let normal = normal_path(path);
            assert_eq!(normal_path(&normal), normal, "{path}");
        }
        assert_eq!(normal_path("/%%34%31"), "/%2541");
    }
}
