//! Sockets that exist before the server.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use socket2::{Domain, SockAddr, SockRef};

/// A socket that listens already. Clones are the same socket, which stays open until all of them are
/// dropped.
#[derive(Debug, Clone)]
pub struct BoundSocket(Arc<OwnedFd>);

impl From<TcpListener> for BoundSocket {
    fn from(socket: TcpListener) -> Self {
        Self(Arc::new(socket.into()))
    }
}

impl From<UnixListener> for BoundSocket {
    fn from(socket: UnixListener) -> Self {
        Self(Arc::new(socket.into()))
    }
}

/// Two are equal if they are clones.
impl PartialEq for BoundSocket {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for BoundSocket {}

impl BoundSocket {
    pub(super) fn is_unix(&self) -> bool {
        self.local_address().is_ok_and(|address| address.domain() == Domain::UNIX)
    }

    /// The address that the socket is bound to.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn local_address(&self) -> io::Result<SockAddr> {
        SockRef::from(&self.0).local_addr()
    }

    /// A descriptor of the socket for the server alone.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn descriptor(&self) -> io::Result<OwnedFd> {
        self.0.as_fd().try_clone_to_owned()
    }
}
