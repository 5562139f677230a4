//! The server under test.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::Failure;

/// Shorter than the defaults where limits must be reached within the test, longer where a busy machine needs
/// time.
const FLAGS: [[&str; 2]; 10] = [
    ["--listen", "127.0.0.1:0"],
    ["--log-level", "warn"],
    ["--max-message-size", "65536"],
    ["--max-backlog-size", "1048576"],
    ["--handshake-timeout", "10s"],
    ["--ping-interval", "5s"],
    ["--pong-timeout", "15s"],
    ["--write-timeout", "20s"],
    ["--close-timeout", "10s"],
    ["--shutdown-timeout", "60s"],
];

/// Linux counts utime and stime in ticks of this length for every program (`USER_HZ`).
const USER_TICK: Duration = Duration::from_millis(10);

/// A started server. It is killed when it is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    directory: PathBuf,
    /// The number of file descriptors before any client connected.
    descriptors: usize,
}

impl Drop for Server {
    fn drop(&mut self) {
        // This fails if the server has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts the server and waits until it prints its address.
    pub fn start(program: &Path, max_connections: usize) -> Result<Self, Failure> {
        let mut command = Command::new(program);
        command
            .args(FLAGS.as_flattened())
            .arg("--max-connections")
            .arg(max_connections.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let explain = |error| format!("{} cannot be started: {error}", program.display());
        let mut child = command.spawn().map_err(explain)?;
        let stdout = child.stdout.take().ok_or("the server has no standard output")?;
        let directory = PathBuf::from("/proc").join(child.id().to_string());
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Self { child, address, directory, descriptors: 0 };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        server.address = parse_address(&line)?;
        server.descriptors = server.count_descriptors()?;
        Ok(server)
    }

    /// The resident memory that is not mapped from files, in bytes.
    pub fn memory(&self) -> Result<u64, Failure> {
        let status = fs::read_to_string(self.directory.join("status"))?;
        let field = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kibibytes = field.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        Ok(kibibytes.ok_or("there is no RssAnon in the server's status")? << 10)
    }

    /// The number of open connections.
    pub fn connections(&self) -> Result<usize, Failure> {
        Ok(self.count_descriptors()?.saturating_sub(self.descriptors))
    }

    fn count_descriptors(&self) -> Result<usize, Failure> {
        Ok(fs::read_dir(self.directory.join("fd"))?.count())
    }

    /// The CPU time of the server.
    pub fn cpu(&self) -> Result<Duration, Failure> {
        cpu(&self.directory)
    }

    /// Stops the server with SIGTERM.
    pub fn terminate(&self) -> Result<(), Failure> {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", "TERM", &pid]).status()?;
        if status.success() { Ok(()) } else { Err("the server cannot be stopped".into()) }
    }

    /// The exit status, if the server has ended.
    pub fn exit_status(&mut self) -> Result<Option<ExitStatus>, Failure> {
        Ok(self.child.try_wait()?)
    }
}

/// The CPU time of this process.
pub fn own_cpu() -> Result<Duration, Failure> {
    cpu(Path::new("/proc/self"))
}

fn cpu(directory: &Path) -> Result<Duration, Failure> {
    let text = fs::read_to_string(directory.join("stat"))?;
    // The name of the program, in parentheses, may contain any character.
    let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = |index| fields.split_whitespace().nth(index)?.parse::<u32>().ok();
    let (user, system) = ticks(11).zip(ticks(12)).ok_or("/proc has no CPU time")?;
    Ok(USER_TICK * (user + system))
}

fn parse_address(line: &str) -> Result<SocketAddr, Failure> {
    let address = line.trim_end().strip_prefix("townhall is listening on http://");
    let address = address.and_then(|rest| rest.strip_suffix('/')?.parse().ok());
    address.ok_or_else(|| format!("the server says {line:?} instead of its address").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_from_the_servers_line() {
        let address = parse_address("townhall is listening on http://127.0.0.1:4711/\n").unwrap();
        assert_eq!(address, SocketAddr::from(([127, 0, 0, 1], 4711)));
        assert!(parse_address("").is_err());
    }
}
