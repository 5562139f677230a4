//! The file for the state: taken over at the start, and written at the end.

use std::fmt;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process;

use log::{info, warn};
use uzers::get_effective_uid;

/// The mode of the file: messages and names of users are nobody else's business.
const MODE: u32 = 0o600;

/// A state file that this process has taken over.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    /// The empty file that this process has put there. Its inode cannot be another file's while it is
    /// open.
    claim: File,
}

impl fmt::Display for StateFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the state file {}", self.path.display())
    }
}

/// What is wrong with the place of a state file.
pub fn fault(path: &Path) -> Option<io::Error> {
    let made = create(path).and_then(|(temporary, _)| fs::remove_file(temporary));
    made.err().map(|error| explain(path, error))
}

impl StateFile {
    /// Puts an empty file of this process in the place of the one that the last process has left, and
    /// returns what was in it. An empty file is what a process leaves that was killed, or still runs.
    ///
    /// # Errors
    /// The file cannot be replaced.
    pub fn take(path: &Path) -> io::Result<(Self, Option<Vec<u8>>)> {
        let left = read(path);
        let claim = claim(path).map_err(|error| explain(path, error))?;
        let left = left.unwrap_or_else(|reason| {
            warn!("the state file {} is ignored: {reason}", path.display());
            None
        });
        Ok((Self { path: path.to_owned(), claim }, left))
    }

    /// Writes the file with `write`, completely or not at all.
    ///
    /// # Errors
    /// The system's, or another process has taken the file over: the state would be that of the time
    /// before it, and must not be used after it.
    pub fn write(&self, write: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
        let (temporary, file) = create(&self.path)?;
        let written = write(&file)
            .and_then(|()| file.sync_all())
            .and_then(|()| self.check_claim())
            .and_then(|()| fs::rename(&temporary, &self.path));
        if written.is_err() {
            // The error is about what made this necessary.
            let _ = fs::remove_file(&temporary);
        }
        written.and_then(|()| sync_directory(&self.path))
    }

    fn check_claim(&self) -> io::Result<()> {
        let identity = |metadata: &Metadata| (metadata.dev(), metadata.ino());
        match fs::symlink_metadata(&self.path) {
            Ok(there) if identity(&there) == identity(&self.claim.metadata()?) => Ok(()),
            Ok(_) => Err(io::Error::other("another process has taken it over")),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// What is in the file, if anything is.
///
/// # Errors
/// The file cannot be used, because of this.
fn read(path: &Path) -> Result<Option<Vec<u8>>, String> {
    let text = |error: io::Error| error.to_string();
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        // Opening something else might block.
        Ok(metadata) if !metadata.is_file() => return Err("it is not a regular file".to_owned()),
        metadata => metadata.map_err(text)?,
    };
    let mut file = File::open(path).map_err(text)?;
    let metadata = file.metadata().map_err(text)?;
    if metadata.uid() != get_effective_uid() {
        return Err(format!("it belongs to the user {}", metadata.uid()));
    }
    if metadata.mode() & 0o7777 != MODE {
        return Err(format!("its mode is {:o}, not {MODE:o}", metadata.mode() & 0o7777));
    }
    if metadata.len() == 0 {
        let path = path.display();
        info!("nothing is in the state file {path}: the last process was killed, or still runs");
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(text)?;
    Ok(Some(bytes))
}

/// Puts an empty file in the place of whatever is there.
fn claim(path: &Path) -> io::Result<File> {
    let (temporary, file) = create(path)?;
    let claimed = fs::rename(&temporary, path).and_then(|()| sync_directory(path));
    if claimed.is_err() {
        // The error is about what made this necessary.
        let _ = fs::remove_file(&temporary);
    }
    claimed.map(|()| file)
}

/// Creates a temporary file beside the path.
fn create(path: &Path) -> io::Result<(PathBuf, File)> {
    let name = path.file_name().filter(|_| !path.is_dir());
    let name = name.ok_or_else(|| io::Error::from(ErrorKind::IsADirectory))?;
    let temporary = path.with_file_name(format!(".{}.{}", name.display(), process::id()));
    // A process of the same number may have been killed.
    if let Err(error) = fs::remove_file(&temporary)
        && error.kind() != ErrorKind::NotFound
    {
        return Err(error);
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&temporary)?;
    Ok((temporary, file))
}

/// Waits until the disk knows what is in the directory of the file.
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

fn explain(path: &Path, error: io::Error) -> io::Error {
    let path = path.display();
    io::Error::new(error.kind(), format!("cannot use the state file {path}: {error}"))
}
