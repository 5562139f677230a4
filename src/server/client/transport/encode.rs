//! Buffers for records of TLS.

use std::io::{self, ErrorKind};
use std::iter::Peekable;

use rustls::server::ServerConnectionData;
use rustls::unbuffered::{EncodeError, EncodeTlsData, EncryptError};

/// The most plaintext in a record (RFC 8446, section 5.1).
pub(super) const MAX_RECORD: usize = 16 << 10;

/// The most bytes that a record adds to its plaintext: its header, an explicit nonce, the type and the
/// tag.
pub(super) const RECORD_OVERHEAD: usize = 64;

/// A buffer of this size, made if there is none.
pub(super) fn buffer(bytes: &mut Vec<u8>, size: usize) -> &mut [u8] {
    if bytes.len() < size {
        bytes.resize(size, 0);
    }
    &mut bytes[..size]
}

/// Short pieces in one record: the first one, and as many of the next as fit.
pub(super) fn gather<'a, 'b: 'a>(
    first: &'b [u8],
    next: &mut Peekable<impl Iterator<Item = &'b [u8]>>,
    gathered: &'a mut Vec<u8>,
) -> &'a [u8] {
    gathered.clear();
    gathered.extend_from_slice(first);
    while let Some(piece) = next.next_if(|piece| gathered.len() + piece.len() <= MAX_RECORD) {
        gathered.extend_from_slice(piece);
    }
    gathered
}

pub(super) fn encode(
    mut data: EncodeTlsData<'_, ServerConnectionData>,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    append(out, |out| data.encode(out).map_err(encode_size))
}

/// Appends what `encode` writes, which returns the size that it needs if it gets too little.
pub(super) fn append(
    out: &mut Vec<u8>,
    mut encode: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>,
) -> io::Result<()> {
    let before = out.len();
    let mut size = RECORD_OVERHEAD;
    loop {
        out.resize(before + size, 0);
        match encode(&mut out[before..]) {
            Ok(written) => {
                out.truncate(before + written);
                return Ok(());
            }
            Err(Some(required)) if required > size => size = required,
            Err(_) => {
                out.truncate(before);
                return Err(io::Error::other("TLS cannot be encoded"));
            }
        }
    }
}

fn encode_size(error: EncodeError) -> Option<usize> {
    match error {
        EncodeError::InsufficientSize(error) => Some(error.required_size),
        EncodeError::AlreadyEncoded => None,
    }
}

pub(super) fn encrypt_size(error: EncryptError) -> Option<usize> {
    match error {
        EncryptError::InsufficientSize(error) => Some(error.required_size),
        EncryptError::EncryptExhausted => None,
    }
}

pub(super) fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}
