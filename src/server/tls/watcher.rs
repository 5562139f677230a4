//! A thread that reads certificates again, so that the event loop never waits for a disk.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, RwLock};
use std::thread;
use std::time::Duration;

use log::{info, warn};
use rustls::ServerConfig;

use super::files::{Loader, Modified};
use crate::server::handle::Handle;
use crate::server::tls_counts::TlsCounts;

/// How often the files are looked at. Tests do not wait for a minute.
const INTERVAL: Duration = Duration::from_millis(if cfg!(test) { 10 } else { 60_000 });

/// The way to the thread, which ends with it.
#[derive(Debug)]
pub(super) struct Watcher(SyncSender<()>);

impl Watcher {
    /// Starts the thread. `modified` is when the files had last been changed before they were read.
    pub(super) fn start(
        loader: Loader,
        modified: Modified,
        current: Arc<RwLock<Arc<ServerConfig>>>,
        handle: Handle,
    ) -> io::Result<Self> {
        let (sender, requests) = sync_channel(1);
        let watch = move || watch(&loader, modified, &current, &handle, &requests);
        thread::Builder::new().name("certificates".to_owned()).spawn(watch)?;
        Ok(Self(sender))
    }

    /// Has the files read again, whether they have changed or not.
    pub(super) fn reload(&self) {
        // A request that waits already will do.
        let _ = self.0.try_send(());
    }
}

fn watch(
    loader: &Loader,
    mut modified: Modified,
    current: &RwLock<Arc<ServerConfig>>,
    handle: &Handle,
    requests: &Receiver<()>,
) {
    loop {
        let asked = match requests.recv_timeout(INTERVAL) {
            Ok(()) => true,
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let now = loader.modified();
        if asked || now != modified {
            modified = now;
            reload(loader, current, handle);
        }
    }
}

/// Reads the files, and replaces what new connections begin with if what they hold can be used.
fn reload(loader: &Loader, current: &RwLock<Arc<ServerConfig>>, handle: &Handle) {
    match loader.load() {
        Ok(config) => {
            *current.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = Arc::new(config);
            count(handle, |counts| counts.reloads += 1);
            info!("the certificates were loaded again");
        }
        Err(error) => {
            count(handle, |counts| counts.failed_reloads += 1);
            warn!("the certificates stay as they were: {error}");
        }
    }
}

fn count(handle: &Handle, add: fn(&mut TlsCounts)) {
    // A server that has ended counts nothing.
    let _ = handle.run(move |hub| add(&mut hub.counts.tls));
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Instant;

    use mio::Token;
    use rcgen::{CertifiedKey, generate_simple_self_signed};

    use super::*;
    use crate::config::{CertificateFiles, TlsConfig};
    use crate::server::handle::Commands;
    use crate::server::system::{Poll, Waker};

    #[test]
    fn files_that_change_before_the_thread_starts_are_read_again() {
        let folder = std::env::temp_dir().join(format!("townhall-{}-watcher", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        let write = || {
            let CertifiedKey { cert: certificate, signing_key } =
                generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            fs::write(&cert, certificate.pem()).unwrap();
            fs::write(&key, signing_key.serialize_pem()).unwrap();
        };
        write();
        let certificates = vec![CertificateFiles::new(&cert, &key)];
        let loader = Loader::new(TlsConfig { certificates, client_ca: None }).unwrap();
        let modified = loader.modified();
        let first = Arc::new(loader.load().unwrap());
        while loader.modified() == modified {
            write();
        }
        let poll = Poll::new().unwrap();
        let commands = Commands::new(Waker::new(poll.registry(), Token(0)).unwrap());
        let current = Arc::new(RwLock::new(first.clone()));
        let _watcher =
            Watcher::start(loader, modified, current.clone(), commands.handle()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while Arc::ptr_eq(&first, &current.read().unwrap()) {
            assert!(Instant::now() < deadline, "the files are not read again");
            thread::yield_now();
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
