//! Where the body of a request ends (RFC 9112, section 6.3).

use super::field::is_length;
use super::refusal::Refusal;
use super::request::Request;

const UNCERTAIN: Refusal = Refusal::Malformed("the length of the request's body is not certain");

/// Where the body of a request ends, for [`Connection::read_body`](crate::protocol::Connection::read_body),
/// which has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Framing {
    pub(super) end: End,
    awaits_continue: bool,
}

/// The end of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// After this many bytes. Without a length, a request has no body.
    Length(usize),
    /// After the last chunk (RFC 9112, section 7.1).
    Chunked,
}

impl Framing {
    /// The framing of the request with this head, whose body may have `max_bytes`. Where two programs
    /// could disagree about the end of the body, one of them would take a part of it for the next request
    /// (RFC 9112, section 11.2), so such a request is refused, and the connection must be closed.
    ///
    /// # Errors
    /// [`Refusal::BodyTooLong`]; [`Refusal::TransferCoding`]; [`Refusal::Expectation`];
    /// [`Refusal::Malformed`] if the end of the body is not certain.
    pub fn of(request: &Request<'_>, head: &[u8], max_bytes: usize) -> Result<Self, Refusal> {
        let end = End::of(request, max_bytes)?;
        let framing = Self { end, awaits_continue: awaits_continue(request)? };
        // A program that does not take a bare line feed for the end of a line sees other fields.
        if !framing.is_empty() && has_bare_line_feed(head) {
            return Err(UNCERTAIN);
        }
        Ok(framing)
    }

    /// The framing of a response's body: of this length, or chunked.
    #[cfg(feature = "client")]
    pub(crate) fn of_response(length: Option<usize>) -> Self {
        Self { end: length.map_or(End::Chunked, End::Length), awaits_continue: false }
    }

    #[cfg(test)]
    pub(super) fn without_expectation(end: End) -> Self {
        Self { end, awaits_continue: false }
    }

    /// Whether the request has no body.
    pub fn is_empty(&self) -> bool {
        self.end == End::Length(0)
    }

    /// Whether the client waits for 100 (Continue) before it sends the body.
    pub(crate) fn awaits_continue(&self) -> bool {
        self.awaits_continue && !self.is_empty()
    }
}

impl End {
    fn of(request: &Request<'_>, max_bytes: usize) -> Result<Self, Refusal> {
        let mut lengths = request.header_values("Content-Length");
        let is_coded = request.header_values("Transfer-Encoding").next().is_some();
        match (lengths.next(), lengths.next()) {
            (None, _) if is_coded => Self::coded(request),
            (None, _) => Ok(Self::Length(0)),
            (Some(length), None) if !is_coded => parse_length(length, max_bytes).map(Self::Length),
            _ => Err(UNCERTAIN),
        }
    }

    /// RFC 9112, section 6.3: if "the chunked transfer coding is not the final encoding, the message body
    /// length cannot be determined reliably; the server MUST respond with the 400 (Bad Request) status
    /// code and then close the connection." Section 6.1: in HTTP/1.0, the field is a sign of faulty
    /// framing.
    fn coded(request: &Request<'_>) -> Result<Self, Refusal> {
        let is_chunked = |coding: &&str| coding.eq_ignore_ascii_case("chunked");
        let codings: Vec<_> = request.list("Transfer-Encoding").collect();
        let is_last = codings.last().is_some_and(is_chunked);
        let count = codings.iter().filter(|coding| is_chunked(coding)).count();
        match codings.len() {
            _ if !is_last || count > 1 || request.is_http_1_0() => Err(UNCERTAIN),
            1 => Ok(Self::Chunked),
            _ => Err(Refusal::TransferCoding),
        }
    }
}

/// RFC 9110, section 10.1.1: the only expectation is `100-continue`, and HTTP/1.0 has none.
fn awaits_continue(request: &Request<'_>) -> Result<bool, Refusal> {
    let mut expectations = request.header_values("Expect");
    match (expectations.next(), expectations.next()) {
        _ if request.is_http_1_0() => Ok(false),
        (None, _) => Ok(false),
        (Some(one), None) if one.eq_ignore_ascii_case(b"100-continue") => Ok(true),
        _ => Err(Refusal::Expectation),
    }
}

fn has_bare_line_feed(head: &[u8]) -> bool {
    head.split_inclusive(|&byte| byte == b'\n').any(|line| !line.ends_with(b"\r\n"))
}

fn parse_length(length: &[u8], max_bytes: usize) -> Result<usize, Refusal> {
    if !is_length(length) {
        return Err(UNCERTAIN);
    }
    // A length that is too long for the type is too long for any limit.
    let length = str::from_utf8(length).ok().and_then(|length| length.parse().ok());
    length.filter(|&length| length <= max_bytes).ok_or(Refusal::BodyTooLong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(fields: &str) -> Result<Framing, Refusal> {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        Framing::of(&Request::parse(head.as_bytes(), 16)?, head.as_bytes(), 100)
    }

    fn end(fields: &str) -> Result<End, Refusal> {
        framing(fields).map(|framing| framing.end)
    }

    #[test]
    fn a_body_ends_by_its_length_or_its_last_chunk() {
        assert_eq!(end(""), Ok(End::Length(0)));
        assert_eq!(end("Content-Length: 100\r\n"), Ok(End::Length(100)));
        assert_eq!(end("Content-Length:  007 \r\n"), Ok(End::Length(7)));
        assert_eq!(end("Transfer-Encoding: Chunked\r\n"), Ok(End::Chunked));
        assert_eq!(end("Transfer-Encoding: , chunked\r\n"), Ok(End::Chunked));
    }

    #[test]
    fn a_body_whose_end_is_not_certain_is_refused() {
        for fields in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: 5 5\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: -5\r\n",
            "Content-Length: 0x5\r\n",
            "Content-Length: 5.0\r\n",
            "Content-Length: a\r\n",
            "Content-Length: \u{665}\r\n",
            "Content-Length:\r\n",
            "Transfer-Encoding:\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding: gzip\r\n",
            "Transfer-Encoding: chunked, gzip\r\n",
            "Transfer-Encoding: chunked, chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: \"chunked\"\r\n",
            "Transfer-Encoding: chunked;q=1\r\n",
        ] {
            assert_eq!(end(fields), Err(UNCERTAIN), "{fields}");
        }
    }

    #[test]
    fn other_codings_and_long_bodies_have_their_own_statuses() {
        assert_eq!(end("Transfer-Encoding: gzip, chunked\r\n"), Err(Refusal::TransferCoding));
        for length in ["101", "18446744073709551616", "99999999999999999999999999999999"] {
            let refusal = end(&format!("Content-Length: {length}\r\n"));
            assert_eq!(refusal, Err(Refusal::BodyTooLong), "{length}");
        }
    }

    #[test]
    fn http_1_0_has_no_transfer_codings() {
        let head = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
        let request = Request::parse(head.as_bytes(), 16).unwrap();
        assert_eq!(Framing::of(&request, head.as_bytes(), 100), Err(UNCERTAIN));
    }

    #[test]
    fn a_bare_line_feed_makes_the_fields_uncertain() {
        assert_eq!(end("A: b\nContent-Length: 1\r\n"), Err(UNCERTAIN));
        assert_eq!(end("Content-Length: 1\n"), Err(UNCERTAIN));
        assert_eq!(end("A: b\n"), Ok(End::Length(0)));
    }

    #[test]
    fn the_only_expectation_is_100_continue() {
        let awaits = |fields: &str| framing(fields).map(|framing| framing.awaits_continue());
        assert_eq!(awaits("Content-Length: 1\r\nExpect: 100-Continue\r\n"), Ok(true));
        assert_eq!(awaits("Content-Length: 0\r\nExpect: 100-continue\r\n"), Ok(false));
        assert_eq!(awaits("Content-Length: 1\r\n"), Ok(false));
        let head = "POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n";
        let request = Request::parse(head.as_bytes(), 16).unwrap();
        let framing = Framing::of(&request, head.as_bytes(), 100).unwrap();
        assert!(!framing.awaits_continue(), "HTTP/1.0 has no expectations");
        for fields in ["Expect: 200-ok\r\n", "Expect: 100-continue\r\nExpect: 100-continue\r\n"] {
            assert_eq!(awaits(fields), Err(Refusal::Expectation));
        }
    }
}
