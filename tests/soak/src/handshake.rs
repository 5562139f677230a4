//! The opening handshake (RFC 6455, section 4.1).

use std::net::SocketAddr;

use crate::Failure;

/// The key and the answer to it of the RFC's example.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The request for an upgrade; `fields` are whole lines.
pub fn request(host: SocketAddr, path: &str, fields: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{fields}\r\n"
    )
}

/// A complete answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub extensions: Option<String>,
    /// The length of its head.
    pub size: usize,
}

impl Answer {
    /// The answer that `bytes` begin with, once its head is complete.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, Failure> {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut answer = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(size) = answer.parse(bytes)? else { return Ok(None) };
        let value = |name: &str| {
            let header =
                answer.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
            header.map(|header| String::from_utf8_lossy(header.value).into_owned())
        };
        let status = answer.code.unwrap_or(0);
        if status == 101 && value("sec-websocket-accept").as_deref() != Some(ACCEPT) {
            return Err("the server's Sec-WebSocket-Accept is wrong".into());
        }
        Ok(Some(Self { status, extensions: value("sec-websocket-extensions"), size }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_parsed_once_it_is_complete() {
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: {ACCEPT}\r\n\
             Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
        );
        let parsed = Answer::parse(answer.as_bytes()).unwrap().unwrap();
        assert_eq!((parsed.status, parsed.size), (101, answer.len()));
        assert_eq!(parsed.extensions.as_deref(), Some("permessage-deflate"));
        assert_eq!(Answer::parse(&answer.as_bytes()[..answer.len() - 1]).unwrap(), None);
    }

    #[test]
    fn a_wrong_accept_is_a_failure_and_another_status_is_not() {
        assert!(Answer::parse(b"HTTP/1.1 101 X\r\nSec-WebSocket-Accept: x\r\n\r\n").is_err());
        let refusal = Answer::parse(b"HTTP/1.1 403 Forbidden\r\n\r\n").unwrap().unwrap();
        assert_eq!(refusal.status, 403);
    }
}
