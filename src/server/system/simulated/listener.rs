//! Listeners: the system's, or simulated ones.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use mio::event::Source as MioSource;
use mio::{Interest, Registry, Token};

use super::connection::End;
use super::state::{self, Kernel, Listening, Source};
use super::stream::TcpStream;

#[derive(Debug)]
pub(crate) enum TcpListener {
    System(mio::net::TcpListener),
    Simulated(usize),
}

impl TcpListener {
    pub(crate) fn from_std(listener: std::net::TcpListener) -> Self {
        Self::System(mio::net::TcpListener::from_std(listener))
    }

    /// Listens on an address of the simulated system, if there is one.
    pub(crate) fn simulated(address: SocketAddr) -> Option<Self> {
        state::is_installed().then(|| {
            state::with(|kernel| {
                kernel.take_first_descriptor();
                kernel.listeners.push(Listening {
                    address,
                    token: None,
                    backlog: Default::default(),
                    is_listed: false,
                    is_open: true,
                });
                Self::Simulated(kernel.listeners.len() - 1)
            })
        })
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::System(listener) => listener.local_addr(),
            Self::Simulated(id) => Ok(state::with(|kernel| kernel.listeners[*id].address)),
        }
    }

    pub(crate) fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let id = match self {
            Self::System(listener) => {
                let (stream, address) = listener.accept()?;
                return Ok((TcpStream::System(stream), address));
            }
            Self::Simulated(id) => *id,
        };
        state::pass();
        let accepted = state::with(|kernel| kernel.accept(id));
        match &accepted {
            Ok((connection, _)) => state::tell(|outside| outside.accepted(*connection)),
            Err(error) => state::tell(|outside| outside.accept_failed(error)),
        }
        accepted.map(|(id, address)| (TcpStream::Simulated(id), address))
    }
}

impl Kernel {
    fn accept(&mut self, listener: usize) -> io::Result<(usize, SocketAddr)> {
        self.interrupts()?;
        // The system takes the descriptor first.
        self.take_descriptor()?;
        let accepted = self.take_from_backlog(listener);
        if accepted.is_err() {
            self.free_descriptor();
        }
        accepted
    }

    fn take_from_backlog(&mut self, listener: usize) -> io::Result<(usize, SocketAddr)> {
        let id = self.listeners[listener].backlog.pop_front();
        let id = id.ok_or_else(|| io::Error::from(ErrorKind::WouldBlock))?;
        if self.random.happens(self.faults.aborted) {
            self.connections[id].reset(ErrorKind::ConnectionAborted);
            self.connections[id].end = End::Closed;
            return Err(ErrorKind::ConnectionAborted.into());
        }
        self.connections[id].end = End::Open;
        self.note(id as u64);
        Ok((id, self.connections[id].peer))
    }
}

impl Drop for TcpListener {
    /// What waits to be accepted is reset.
    fn drop(&mut self) {
        if let Self::Simulated(id) = *self
            && state::is_in_use()
        {
            state::with(|kernel| {
                kernel.free_descriptor();
                let listening = &mut kernel.listeners[id];
                listening.is_open = false;
                for waiting in std::mem::take(&mut listening.backlog) {
                    kernel.connections[waiting].reset(ErrorKind::ConnectionReset);
                    kernel.connections[waiting].end = End::Closed;
                }
            });
        }
    }
}

impl MioSource for TcpListener {
    fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        match self {
            Self::System(listener) => listener.register(registry, token, interests),
            Self::Simulated(id) => {
                state::with(|kernel| kernel.listeners[*id].token = Some(token));
                Ok(())
            }
        }
    }

    fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        match self {
            Self::System(listener) => listener.reregister(registry, token, interests),
            Self::Simulated(_) => self.register(registry, token, interests),
        }
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match self {
            Self::System(listener) => listener.deregister(registry),
            Self::Simulated(id) => {
                state::with(|kernel| {
                    kernel.listeners[*id].token = None;
                    kernel.list.retain(|source| *source != Source::Listener(*id));
                });
                Ok(())
            }
        }
    }
}
