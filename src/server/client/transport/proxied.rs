//! A connection that begins with a PROXY header.
//!
//! A read takes no more than what surely belongs to the header, so TLS and the first request find their
//! own first byte in the socket.

use std::io::{self, ErrorKind};

use super::arrival::Arrival;
use crate::protocol::{Endpoints, ProxyHeader, ProxyRefusal, ProxyStatus};

/// The size of the longest header of version 1. The addresses of version 2 take less.
const MAX_KEPT_BYTES: usize = 107;

/// A connection from a proxy, over a transport of the type `T`.
#[derive(Debug)]
pub(crate) struct ProxiedStream<T> {
    /// What the client's bytes go through.
    pub(super) inner: T,
    header: Header,
    /// What became of the header, until somebody has asked.
    outcome: Option<Result<(), ProxyRefusal>>,
}

#[derive(Debug)]
enum Header {
    Arriving(Box<Arriving>),
    Complete(Option<Endpoints>),
    Refused,
}

/// The part of a header that has arrived. It takes the same memory however slowly it comes.
#[derive(Debug)]
struct Arriving {
    bytes: [u8; MAX_KEPT_BYTES],
    size: usize,
    /// The number of bytes after these that have been read and are not needed.
    skipped: usize,
}

impl<T> ProxiedStream<T> {
    pub(super) fn new(inner: T) -> Self {
        let arriving = Arriving { bytes: [0; MAX_KEPT_BYTES], size: 0, skipped: 0 };
        Self { inner, header: Header::Arriving(Box::new(arriving)), outcome: None }
    }

    /// The addresses of the client's connection to the proxy, if it has named them.
    pub(super) fn endpoints(&self) -> Option<&Endpoints> {
        match &self.header {
            Header::Complete(endpoints) => endpoints.as_ref(),
            Header::Arriving(_) | Header::Refused => None,
        }
    }

    /// Whether a part of the header is missing, and another has arrived.
    pub(super) fn has_partial_header(&self) -> bool {
        matches!(&self.header, Header::Arriving(arriving) if arriving.size > 0)
    }

    /// What became of the header, once.
    pub(super) fn take_header(&mut self) -> Option<Result<(), ProxyRefusal>> {
        self.outcome.take()
    }

    /// Reads the header until it is complete, with `read`, which reads from the socket. What is not needed
    /// of it goes to `unneeded`. Returns `None` if the header is complete already.
    ///
    /// # Errors
    /// The socket's.
    pub(super) fn read_header(
        &mut self,
        mut read: impl FnMut(&mut T, &mut [u8]) -> io::Result<usize>,
        unneeded: &mut [u8],
    ) -> io::Result<Option<Arrival>> {
        let arriving = match &mut self.header {
            Header::Complete(_) => return Ok(None),
            Header::Refused => return Err(ErrorKind::WouldBlock.into()),
            Header::Arriving(arriving) => arriving,
        };
        let outcome = arriving.read(|bytes| read(&mut self.inner, bytes), unneeded)?;
        let taken = arriving.size + arriving.skipped;
        // A client that disconnects before it has sent anything does nothing wrong.
        if taken > 0 {
            self.outcome = Some(outcome.map(|_| ()));
            self.header = outcome.map_or(Header::Refused, Header::Complete);
        }
        Ok(Some(Arrival { size: 0, taken, cost: taken, more: true, handshake: true }))
    }
}

impl Arriving {
    /// Reads until the header is complete. What is not needed of it goes to `unneeded`, which may be shorter.
    ///
    /// # Errors
    /// The socket's.
    fn read(
        &mut self,
        mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
        unneeded: &mut [u8],
    ) -> io::Result<Result<Option<Endpoints>, ProxyRefusal>> {
        loop {
            let size = match ProxyHeader::parse(&self.bytes[..self.size]) {
                Err(refusal) => return Ok(Err(refusal)),
                Ok(ProxyStatus::Partial { missing }) => {
                    let size = read(&mut self.bytes[self.size..self.size + missing])?;
                    self.size += size;
                    size
                }
                Ok(ProxyStatus::Complete(header)) => {
                    let rest = header.size - self.size - self.skipped;
                    if rest == 0 {
                        return Ok(Ok(header.endpoints));
                    }
                    let most = rest.min(unneeded.len());
                    let size = read(&mut unneeded[..most])?;
                    self.skipped += size;
                    size
                }
            };
            if size == 0 {
                return Ok(Err(ProxyRefusal::Incomplete));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn the_end_of_a_header_is_skipped_in_steps_if_the_buffer_is_short() {
        let rest = [&[127, 0, 0, 1, 127, 0, 0, 2, 0, 1, 0, 2][..], &[0; 1_000]].concat();
        let size = u16::try_from(rest.len()).unwrap().to_be_bytes();
        let begin = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11"[..], &size].concat();
        let bytes = [&begin, &rest, &b"GET"[..]].concat();
        let mut stream = ProxiedStream::new(&bytes[..]);
        let arrival = stream.read_header(|bytes, buffer| bytes.read(buffer), &mut [0; 300]);
        assert_eq!(arrival.unwrap().map(|arrival| arrival.taken), Some(bytes.len() - 3));
        assert_eq!(stream.take_header(), Some(Ok(())));
        assert_eq!(stream.inner, b"GET");
    }
}
