//! Connections: the system's, or simulated ones.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};

use mio::event::Source as MioSource;
use mio::{Interest, Registry, Token};

use super::state::{self, Kernel};

#[derive(Debug)]
pub(crate) enum TcpStream {
    System(mio::net::TcpStream),
    Simulated(usize),
}

impl TcpStream {
    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::System(stream) => stream.peer_addr(),
            Self::Simulated(id) => Ok(state::with(|kernel| kernel.connections[*id].peer)),
        }
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::System(stream) => stream.local_addr(),
            Self::Simulated(id) => Ok(state::with(|kernel| kernel.connections[*id].local)),
        }
    }

    pub(crate) fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        match self {
            Self::System(stream) => stream.set_nodelay(nodelay),
            Self::Simulated(_) => Ok(()),
        }
    }

    pub(crate) fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::System(stream) => stream.peek(buffer),
            Self::Simulated(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Self::System(stream) => stream.shutdown(how),
            Self::Simulated(id) => {
                state::pass();
                state::tell(|outside| outside.was_ended(*id));
                state::with(|kernel| kernel.connections[*id].end_writing())
            }
        }
    }
}

/// A simulated read.
fn read(id: usize, buffer: &mut [u8]) -> io::Result<usize> {
    state::pass();
    let outcome = state::with(|kernel| {
        kernel.interrupts()?;
        let outcome = kernel.connections[id].read(buffer);
        kernel.note((id as u64) << 32 | outcome.as_ref().map_or(1, |size| *size as u64) << 1);
        outcome
    });
    if let Ok(size) = outcome {
        state::tell(|outside| outside.was_read(id, size));
    }
    outcome
}

/// A simulated write.
fn write(id: usize, bytes: &[u8]) -> io::Result<usize> {
    state::pass();
    let outcome = state::with(|kernel| kernel.write(id, bytes));
    let size = outcome.as_ref().copied().unwrap_or(0);
    let is_interrupted =
        outcome.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::Interrupted);
    let is_full = size < bytes.len() && !is_interrupted;
    state::tell(|outside| outside.was_written(id, &bytes[..size], is_full));
    outcome
}

impl Kernel {
    fn write(&mut self, id: usize, bytes: &[u8]) -> io::Result<usize> {
        self.interrupts()?;
        let lacks_memory = bytes.len() > 1 && self.random.happens(self.faults.short_writes);
        let most = if lacks_memory { self.random.below(bytes.len()) } else { usize::MAX };
        if lacks_memory {
            self.lack_memory(id);
        }
        let outcome = self.connections[id].write(bytes, most);
        self.note((id as u64) << 32 | outcome.as_ref().map_or(1, |size| *size as u64) << 1 | 1);
        if self.connections[id].is_written_to_nobody() {
            self.reset(id, io::ErrorKind::ConnectionReset);
        }
        outcome
    }
}

impl Read for TcpStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }
}

impl Read for &TcpStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            TcpStream::System(stream) => (&*stream).read(buffer),
            TcpStream::Simulated(id) => read(*id, buffer),
        }
    }
}

impl Write for TcpStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::System(stream) => stream.write(bytes),
            Self::Simulated(id) => write(*id, bytes),
        }
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::System(stream) => stream.write_vectored(pieces),
            Self::Simulated(id) => {
                let pieces: Vec<&[u8]> = pieces.iter().map(|piece| &**piece).collect();
                write(*id, &pieces.concat())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        if let Self::Simulated(id) = *self
            && state::is_in_use()
        {
            state::tell(|outside| outside.was_closed(id));
            state::with(|kernel| {
                kernel.free_descriptor();
                kernel.close(id);
            });
        }
    }
}

impl Kernel {
    fn close(&mut self, id: usize) {
        self.note(id as u64);
        let Self { connections, random, .. } = self;
        connections[id].close(random);
    }
}

impl MioSource for TcpStream {
    fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        match self {
            Self::System(stream) => stream.register(registry, token, interests),
            Self::Simulated(id) => {
                state::with(|kernel| {
                    kernel.connections[*id].token = Some(token);
                    kernel.connections[*id].interests = Some(interests);
                    kernel.list_connection(*id);
                });
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
            Self::System(stream) => stream.reregister(registry, token, interests),
            Self::Simulated(_) => self.register(registry, token, interests),
        }
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match self {
            Self::System(stream) => stream.deregister(registry),
            Self::Simulated(id) => {
                state::with(|kernel| kernel.connections[*id].token = None);
                Ok(())
            }
        }
    }
}
