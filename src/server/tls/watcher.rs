//! A thread that reads certificates again, so that the event loop never waits for a disk.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, RwLock};
use std::thread;
use std::time::Duration;

use log::{info, warn};
use rustls::ServerConfig;

use super::files::Loader;

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_secs(60);

/// The way to the thread, which ends with it.
#[derive(Debug)]
pub(super) struct Watcher(SyncSender<()>);

impl Watcher {
    pub(super) fn start(
        loader: Loader,
        current: Arc<RwLock<Arc<ServerConfig>>>,
    ) -> io::Result<Self> {
        let (sender, requests) = sync_channel(1);
        let watch = move || watch(&loader, &current, &requests);
        thread::Builder::new().name("certificates".to_owned()).spawn(watch)?;
        Ok(Self(sender))
    }

    /// Has the files read again, whether they have changed or not.
    pub(super) fn reload(&self) {
        // A request that waits already will do.
        let _ = self.0.try_send(());
    }
}

fn watch(loader: &Loader, current: &RwLock<Arc<ServerConfig>>, requests: &Receiver<()>) {
    let mut modified = loader.modified();
    loop {
        let asked = match requests.recv_timeout(INTERVAL) {
            Ok(()) => true,
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let now = loader.modified();
        if asked || now != modified {
            modified = now;
            replace(loader, current);
        }
    }
}

fn replace(loader: &Loader, current: &RwLock<Arc<ServerConfig>>) {
    match loader.load() {
        Ok(config) => {
            *current.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = Arc::new(config);
            info!("the certificates were loaded again");
        }
        Err(error) => warn!("the certificates stay as they were: {error}"),
    }
}
