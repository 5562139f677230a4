//! The listener for operators.

use std::path::PathBuf;

use clap::Args;
use clap::error::ErrorKind;
use townhall::{Listen, ListenAddress};

/// Metrics, the state of the server, and changes to it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Administration")]
pub struct AdminFlags {
    /// Serve /metrics, /live, /ready, /rooms, /connections, /publish, /revoke, /events and /log-level on this
    /// address, such as 127.0.0.1:9090, for operators and their tools. An address that other machines can reach needs
    /// --admin-key-file. unix:/run/townhall/admin.sock is a Unix socket, for the user of the server and
    /// root alone. By default, this is off
    #[arg(long, value_name = "ADDRESS", env = "TOWNHALL_ADMIN_LISTEN")]
    #[arg(value_parser = address)]
    pub admin_listen: Option<ListenAddress>,

    /// Require the content of this file, one word, as a Bearer token in requests to --admin-listen
    #[arg(long, value_name = "FILE", env = "TOWNHALL_ADMIN_KEY_FILE")]
    #[arg(requires = "admin_listen")]
    pub admin_key_file: Option<PathBuf>,
}

fn address(text: &str) -> Result<ListenAddress, &'static str> {
    let is_plain = |listen: &Listen| *listen == Listen::from(listen.address.clone());
    let listen = text.parse().ok().filter(is_plain).map(|listen| listen.address);
    listen.ok_or("it must be an IP address and a port, such as 127.0.0.1:9090, or unix: and a path")
}

impl AdminFlags {
    /// Checks that only this machine can connect without a key. `name` returns the name under which
    /// the user set a flag.
    ///
    /// # Errors
    /// The flag that is missing.
    pub fn check(&self, name: impl Fn(&str) -> String) -> Result<(), (ErrorKind, String)> {
        let is_public = match &self.admin_listen {
            Some(ListenAddress::Tcp(address)) => !address.ip().to_canonical().is_loopback(),
            _ => false,
        };
        if is_public && self.admin_key_file.is_none() {
            let listen = name("admin_listen");
            let reason =
                format!("{listen} is not a loopback address, so --admin-key-file is needed");
            return Err((ErrorKind::MissingRequiredArgument, reason));
        }
        Ok(())
    }
}
