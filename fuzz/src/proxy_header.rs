//! Property: a PROXY header is recognized, or refused, as soon as what has arrived decides it, and never asks
//! for a byte that follows it.
//!
//! Input: the beginning of a connection.

use townhall::protocol::{ProxyHeader, ProxyStatus};

pub fn check(data: &[u8]) {
    let whole = ProxyHeader::parse(data);
    for size in 0..data.len().min(ProxyHeader::MAX_BYTES) {
        match ProxyHeader::parse(&data[..size]) {
            Ok(ProxyStatus::Partial { missing }) => {
                assert!(missing > 0);
                if let Ok(ProxyStatus::Complete(header)) = whole {
                    assert!(size + missing <= header.size && header.size <= ProxyHeader::MAX_BYTES);
                }
            }
            early => {
                assert_eq!(early, whole);
                return;
            }
        }
    }
}
