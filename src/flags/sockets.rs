//! Options of the listening sockets.

use std::io;

use clap::Args;
use clap::error::ErrorKind;
use townhall::Config;

use super::listen::ListenFlag;
use super::owner::Owner;

/// Options of the listening sockets.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sockets")]
pub struct SocketFlags {
    /// The permissions of the Unix sockets of --listen, as an octal number. Whoever may write to a socket
    /// may connect. Nobody can connect before they hold. The default is 660: the owner and the group
    #[arg(long, value_name = "MODE", env = "TOWNHALL_UNIX_MODE", value_parser = mode)]
    unix_mode: Option<u32>,

    /// The owner of the Unix sockets of --listen, such as www-data, :www-data or 33:33: a user, a group, or
    /// both, by name or by number. The default is the user and the group of the process, which may give
    /// them to others only with the right to do so
    #[arg(long, value_name = "USER[:GROUP]", env = "TOWNHALL_UNIX_OWNER")]
    unix_owner: Option<Owner>,

    /// Let other processes of the same user listen on the same ports, if they have this flag too. The
    /// system distributes connections over them. This is for starting the next process before the last
    /// one stops, and for --mode echo. It does not spread a room over processes: each has its own rooms,
    /// and members in different processes do not see each other
    #[arg(long, env = "TOWNHALL_REUSE_PORT", value_parser = super::yes_or_no)]
    reuse_port: bool,
}

fn mode(text: &str) -> Result<u32, &'static str> {
    let octal = text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    let mode = if octal { u32::from_str_radix(text, 8).ok() } else { None };
    mode.filter(|mode| *mode <= 0o777).ok_or("it must be an octal number up to 777, such as 660")
}

impl SocketFlags {
    /// Checks that there are sockets that the flags apply to. `name` returns the name under which the
    /// user set a flag.
    ///
    /// # Errors
    /// A flag without a use.
    pub fn check(
        &self,
        listen: &[ListenFlag],
        name: impl Fn(&str) -> String,
    ) -> Result<(), (ErrorKind, String)> {
        let has_unix = listen.iter().any(ListenFlag::is_unix);
        let has_tcp = listen.iter().any(ListenFlag::is_tcp);
        let unix = "a Unix socket, such as --listen unix:/run/townhall.sock";
        let uses = [
            ("unix_mode", self.unix_mode.is_some(), has_unix, unix),
            ("unix_owner", self.unix_owner.is_some(), has_unix, unix),
            ("reuse_port", self.reuse_port, has_tcp, "a port, such as --listen 127.0.0.1:8080"),
        ];
        let unused = uses.into_iter().find(|(_, given, has_use, _)| *given && !has_use);
        unused.map_or(Ok(()), |(flag, _, _, needed)| {
            let flag = name(flag);
            Err((ErrorKind::MissingRequiredArgument, format!("{flag} needs {needed}")))
        })
    }

    /// Applies the flags to a configuration.
    ///
    /// # Errors
    /// There is no such user or group.
    pub fn set(&self, config: &mut Config) -> io::Result<()> {
        config.sockets.reuse_port = self.reuse_port;
        if let Some(mode) = self.unix_mode {
            config.sockets.unix_mode = mode;
        }
        if let Some(owner) = &self.unix_owner {
            (config.sockets.unix_owner, config.sockets.unix_group) = owner.resolve()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_an_octal_number() {
        assert_eq!([mode("660"), mode("0600"), mode("0")], [Ok(0o660), Ok(0o600), Ok(0)]);
        for wrong in ["", "1000", "668", "+660", "rw-rw----", "0o660", "4294967296777"] {
            assert!(mode(wrong).is_err(), "{wrong}");
        }
    }
}
