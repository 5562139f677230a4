//! What trusted proxies report about their clients.
//!
//! Anyone can send these fields, so the caller makes sure that the peer is a trusted proxy.
//! `X-Forwarded-*` takes precedence over `Forwarded`, because nearly every proxy sets it, and many pass
//! on a `Forwarded` field that the client sent.

use std::net::{IpAddr, SocketAddr};

use crate::config::Config;
use crate::protocol::{Forwarded, Request};
use crate::server::limits::address::is_trusted_proxy;

/// Whether the request has a field that a proxy adds. Pages cannot make a browser send such a field with
/// a WebSocket request.
pub(crate) fn is_forwarded(request: &Request<'_>) -> bool {
    const PREFIX: &str = "X-Forwarded-";
    let is_prefixed = |name: &str| {
        name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
    };
    request.header_names().any(|name| name.eq_ignore_ascii_case("Forwarded") || is_prefixed(name))
}

/// The host, and the port if there is one, that the client requested from the first proxy.
pub(crate) fn authority<'h>(request: &Request<'h>) -> Option<&'h str> {
    let mut hosts = hops(request, "X-Forwarded-Host").filter(|host| !host.is_empty());
    match hosts.next() {
        Some(host) => str::from_utf8(host).ok(),
        None => elements(request).flatten().filter_map(|element| element.host).last(),
    }
}

/// The client's address: the last one that is not that of a trusted proxy. The client may have written
/// any addresses before it.
pub(crate) fn address(request: &Request<'_>, config: &Config) -> Option<IpAddr> {
    let is_client = |address: &IpAddr| !is_trusted_proxy(*address, config);
    let hops: Vec<_> = hops(request, "X-Forwarded-For").collect();
    if hops.is_empty() {
        let nodes = elements(request).map_while(|element| parse(element?.node?.as_bytes()));
        return { nodes }.find(is_client);
    }
    hops.into_iter().rev().map_while(parse).find(is_client)
}

/// The elements of an `X-Forwarded-*` field, from the furthest to the nearest proxy.
fn hops<'h>(request: &Request<'h>, name: &str) -> impl Iterator<Item = &'h [u8]> {
    let lines = request.header_values(name);
    lines.flat_map(|line| line.split(|&byte| byte == b',')).map(<[u8]>::trim_ascii)
}

/// The elements of `Forwarded`, from the nearest to the furthest proxy.
fn elements<'h>(request: &Request<'h>) -> impl Iterator<Item = Option<Forwarded<'h>>> {
    let lines: Vec<_> = request.header_values("Forwarded").collect();
    lines.into_iter().rev().flat_map(Forwarded::elements)
}

/// Parses an address. Some proxies write it with brackets, and some with a port.
fn parse(hop: &[u8]) -> Option<IpAddr> {
    let hop = str::from_utf8(hop).ok()?;
    let bare = hop.trim_start_matches('[').trim_end_matches(']');
    let with_port = || hop.parse::<SocketAddr>().map(|address| address.ip());
    bare.parse().or_else(|_| with_port()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: impl AsRef<[u8]>) -> Vec<u8> {
        [b"GET / HTTP/1.1\r\nHost: a\r\n", fields.as_ref(), b"\r\n\r\n"].concat()
    }

    fn address_in(fields: impl AsRef<[u8]>) -> Option<String> {
        let head = head(fields);
        let trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
        let request = Request::parse(&head, 10).unwrap();
        let config = Config { trusted_proxies, ..Config::default() };
        address(&request, &config).map(|address| address.to_string())
    }

    fn client(address: &str) -> Option<String> {
        Some(address.to_owned())
    }

    #[test]
    fn only_what_a_trusted_proxy_added_counts() {
        let forwarded_for = |value: &[u8]| address_in([b"X-Forwarded-For: ", value].concat());
        assert_eq!(forwarded_for(b"192.0.2.1"), client("192.0.2.1"));
        assert_eq!(forwarded_for(b"198.51.100.7, 192.0.2.1, 10.1.1.1"), client("192.0.2.1"));
        assert_eq!(forwarded_for(b"\xff, 192.0.2.1"), client("192.0.2.1"));
        assert_eq!(forwarded_for(b"forged\", 192.0.2.1:4711"), client("192.0.2.1"));
        assert_eq!(forwarded_for(b"[2001:db8::1]:80, 10.0.0.1"), client("2001:db8::1"));
        assert_eq!(forwarded_for(b"[2001:db8::1]"), client("2001:db8::1"));
        assert_eq!(forwarded_for(b"192.0.2.1, unknown"), None);
        assert_eq!(forwarded_for(b"10.0.0.1"), None);
        assert_eq!(forwarded_for(b"9.9.9.9\r\nX-Forwarded-For: 192.0.2.1"), client("192.0.2.1"));
    }

    #[test]
    fn forwarded_is_used_like_x_forwarded_for() {
        let forwarded = |value: &[u8]| address_in([b"Forwarded: ", value].concat());
        assert_eq!(forwarded(b"for=192.0.2.1"), client("192.0.2.1"));
        assert_eq!(forwarded(b"for=9.9.9.9, for=192.0.2.1, For=10.1.1.1"), client("192.0.2.1"));
        assert_eq!(forwarded(b"for=\"[2001:db8::1]:80\";proto=https"), client("2001:db8::1"));
        assert_eq!(forwarded(b"for=\", for=\"192.0.2.1:4711\""), client("192.0.2.1"));
        assert_eq!(forwarded(b"for=9.9.9.9\r\nForwarded: for=192.0.2.1"), client("192.0.2.1"));
        assert_eq!(forwarded(b"for=192.0.2.1, for=unknown"), None);
        assert_eq!(forwarded(b"for=192.0.2.1, proto=https"), None);
        let both = "Forwarded: for=9.9.9.9\r\nX-Forwarded-For: 192.0.2.1";
        assert_eq!(address_in(both), client("192.0.2.1"));
    }

    #[test]
    fn the_host_is_the_one_that_the_client_requested() {
        for (fields, host) in [
            ("X-Forwarded-Host: chat.example, inner.example", Some("chat.example")),
            ("Forwarded: for=a;host=\"chat.example:81\", host=b", Some("chat.example:81")),
            ("Forwarded: host=b\r\nX-Forwarded-Host: chat.example", Some("chat.example")),
            ("Forwarded: for=192.0.2.1", None),
            ("X-Forwarded-Host:", None),
        ] {
            let head = head(fields);
            assert_eq!(authority(&Request::parse(&head, 10).unwrap()), host, "{fields}");
        }
    }

    #[test]
    fn a_request_with_a_field_of_proxies_came_through_one() {
        for (field, expected) in [
            ("forwarded: for=a", true),
            ("X-FORWARDED-Proto: https", true),
            ("X-Forwarded-For:", true),
            ("X-Forward: a", false),
            ("X-Real-IP: 192.0.2.1", false),
        ] {
            let head = head(field);
            assert_eq!(is_forwarded(&Request::parse(&head, 10).unwrap()), expected, "{field}");
        }
    }
}
