//! Unix sockets, and their files.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown};
use std::os::unix::net::SocketAddr;
use std::path::{Path, PathBuf};

use log::warn;
use mio::net::UnixListener;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::config::SocketConfig;

/// The file of a Unix socket that the server listens on. It is removed when this is dropped, unless
/// another process has replaced it.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: Identity,
}

/// The device and the inode of a file.
type Identity = (u64, u64);

impl SocketFile {
    /// The file of a socket that has just been bound.
    fn new(path: &Path) -> io::Result<Self> {
        // The working directory may change.
        let path = std::path::absolute(path)?;
        let identity = identity(&path)?;
        Ok(Self { path, identity })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.path, self.identity) {
            warn!("cannot remove {}: {error}", self.path.display());
        }
    }
}

/// Listens on a Unix socket. Nobody can connect before its file has the configured mode and owner.
///
/// # Errors
/// The system's; [`ErrorKind::AddrInUse`] if somebody listens there.
pub(super) fn bind(
    path: &Path,
    config: &SocketConfig,
    backlog: i32,
) -> io::Result<(UnixListener, SocketFile)> {
    // The error of the system does not show which limit is exceeded.
    SocketAddr::from_pathname(path).map_err(|error| {
        let length = path.as_os_str().len();
        io::Error::new(error.kind(), format!("{error}; the path has {length} bytes"))
    })?;
    let address = SockAddr::unix(path)?;
    make_room(path, &address)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address)?;
    let file = SocketFile::new(path)?;
    let explain = |what: &str, error: io::Error| {
        io::Error::new(error.kind(), format!("cannot change the {what} of the socket: {error}"))
    };
    let mode = Permissions::from_mode(config.unix_mode);
    fs::set_permissions(path, mode).map_err(|error| explain("mode", error))?;
    lchown(path, config.unix_owner, config.unix_group).map_err(|error| explain("owner", error))?;
    // Before this, the system refuses every connection.
    socket.listen(backlog)?;
    Ok((UnixListener::from_std(socket.into()), file))
}

/// Removes a socket on which nobody listens.
///
/// # Errors
/// Somebody listens there, or may do so, or the file is not a socket.
fn make_room(path: &Path, address: &SockAddr) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        outcome => outcome?,
    };
    if !metadata.file_type().is_socket() {
        return Err(io::Error::new(ErrorKind::AlreadyExists, "a file there is not a socket"));
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A blocking socket would wait for room in the accept queue.
    socket.set_nonblocking(true)?;
    match socket.connect(address) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            remove(path, (metadata.dev(), metadata.ino()))
        }
        Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
        _ => Err(io::Error::new(ErrorKind::AddrInUse, "it is in use")),
    }
}

/// Removes a file if it is still the same one.
fn remove(path: &Path, expected: Identity) -> io::Result<()> {
    match identity(path) {
        Ok(found) if found == expected => fs::remove_file(path),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn identity(path: &Path) -> io::Result<Identity> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}
