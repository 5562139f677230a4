//! Sockets that a service manager passes (sd_listen_fds(3)).

use std::env;
use std::io;

use listenfd::ListenFd;
use townhall::BoundSocket;

/// The name that systemd gives to a socket without one.
const UNNAMED: &str = "unknown";

/// The sockets that were passed, with their names.
#[derive(Debug)]
pub struct Inherited(Vec<(String, BoundSocket)>);

impl Inherited {
    /// Takes the sockets that the environment announces.
    ///
    /// # Errors
    /// There are none, or one of them is of a kind that the server cannot use.
    pub fn take() -> io::Result<Self> {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let names: Vec<_> = names.split(':').collect();
        let mut descriptors = ListenFd::from_env();
        let mut sockets = Vec::new();
        for index in 0..descriptors.len() {
            let name = names.get(index).filter(|_| names.len() == descriptors.len());
            let name = name.map_or(UNNAMED, |name| *name);
            sockets.push((name.to_owned(), take(&mut descriptors, index, name)?));
        }
        if sockets.is_empty() {
            let reason = "no sockets were passed to this process: LISTEN_FDS and LISTEN_PID are not set for it";
            return Err(io::Error::new(io::ErrorKind::NotFound, reason));
        }
        Ok(Self(sockets))
    }

    /// The sockets of a name, or those with none of the `other` names.
    ///
    /// # Errors
    /// There are none.
    pub fn find(&self, name: Option<&str>, other: &[String]) -> io::Result<Vec<BoundSocket>> {
        let is_meant =
            |own: &str| name.map_or(!other.iter().any(|other| other == own), |name| name == own);
        let found = self.0.iter().filter(|(own, _)| is_meant(own));
        let found: Vec<_> = found.map(|(_, socket)| socket.clone()).collect();
        if found.is_empty() {
            let names: Vec<_> = self.0.iter().map(|(name, _)| name.as_str()).collect();
            let named = |name| format!("a socket named {name:?}");
            let wanted = name.map_or("another socket".to_owned(), named);
            let reason = format!("{wanted} was not passed, only {}", names.join(", "));
            return Err(io::Error::new(io::ErrorKind::NotFound, reason));
        }
        Ok(found)
    }

    /// Checks that every socket is one of `used`. Clients would wait at another one without an answer.
    ///
    /// # Errors
    /// One is not.
    pub fn check_use(&self, used: &[BoundSocket]) -> io::Result<()> {
        match self.0.iter().find(|(_, socket)| !used.contains(socket)) {
            None => Ok(()),
            Some((name, _)) => {
                let reason = format!("the socket {name:?} was passed, but nothing listens on it");
                Err(io::Error::new(io::ErrorKind::InvalidInput, reason))
            }
        }
    }
}

fn take(descriptors: &mut ListenFd, index: usize, name: &str) -> io::Result<BoundSocket> {
    if let Ok(Some(socket)) = descriptors.take_tcp_listener(index) {
        return Ok(socket.into());
    }
    if let Ok(Some(socket)) = descriptors.take_unix_listener(index) {
        return Ok(socket.into());
    }
    let reason = format!(
        "the descriptor {name:?} that was passed is neither a TCP nor a Unix stream socket"
    );
    Err(io::Error::new(io::ErrorKind::InvalidInput, reason))
}
