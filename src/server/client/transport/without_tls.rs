//! What takes the place of TLS without the feature `tls`: a stream of which there is none.

use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::sync::Arc;

use super::arrival::Arrival;
use crate::server::limits::total::Total;
use crate::server::system::TcpStream;
use crate::server::tls_counts::TlsFailure;

/// No buffers.
#[derive(Debug, Default)]
pub(crate) struct Scratch;

impl Scratch {
    pub(crate) fn trim(&mut self) {}

    pub(crate) fn holds_memory(&self) -> bool {
        false
    }
}

/// A type without values.
#[derive(Debug)]
pub(crate) struct TlsStream(Infallible);

impl TlsStream {
    pub(crate) fn begin(config: Arc<Infallible>) -> io::Result<Infallible> {
        match *config {}
    }

    pub(crate) fn new(_socket: TcpStream, tls: Infallible) -> Self {
        match tls {}
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        match self.0 {}
    }

    pub(crate) fn received_bytes(&self) -> usize {
        match self.0 {}
    }

    pub(crate) fn abandon(&mut self) {
        match self.0 {}
    }

    pub(crate) fn count_unsent(&mut self, _total: &mut Total) {
        match self.0 {}
    }

    pub(crate) fn release_unsent(&mut self, _total: &mut Total) {
        match self.0 {}
    }

    pub(crate) fn has_unsent(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn is_in_handshake(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn was_resumed(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn handshake_failure(&self, _error: &io::Error) -> Option<TlsFailure> {
        match self.0 {}
    }

    pub(crate) fn read(&mut self, _plain: &mut [u8], _: &mut Scratch) -> io::Result<Arrival> {
        match self.0 {}
    }

    pub(crate) fn write(&mut self, _: &[IoSlice<'_>], _: &mut Scratch) -> io::Result<usize> {
        match self.0 {}
    }

    pub(crate) fn send_unsent(&mut self) -> io::Result<bool> {
        match self.0 {}
    }

    pub(crate) fn shutdown(&mut self) -> io::Result<()> {
        match self.0 {}
    }
}
