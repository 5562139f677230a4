//! Servers of Redis.

use std::fs;
use std::process::{Child, Command, Stdio};

use crate::support::{Folder, eventually, free_port};

const MISSING: &str = "the tests of --redis need redis-server and redis-cli, version 7 or newer \
    (on Debian: apt-get install redis-server)";

/// A server of Redis in a folder of its own. It is killed when it is dropped.
pub struct Redis {
    /// Its TCP port, or 0 if it has only a Unix socket.
    pub port: u16,
    folder: Folder,
    mode: &'static [&'static str],
    child: Child,
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Redis {
    /// A server on a Unix socket, which forgets everything when it is killed.
    pub fn start() -> Self {
        Self::launch(0, &[], "")
    }

    /// A server on a Unix socket, which remembers everything when it is killed.
    pub fn start_durable() -> Self {
        Self::launch(0, &[], "appendonly yes\nappendfsync always\n")
    }

    /// A server on a Unix socket and a TCP port, with these lines of configuration.
    pub fn start_on_port(lines: &str) -> Self {
        Self::launch(free_port(), &[], lines)
    }

    /// A Sentinel, with these lines of configuration.
    pub fn start_sentinel(lines: &str) -> Self {
        Self::launch(free_port(), &["--sentinel"], lines)
    }

    fn launch(port: u16, mode: &'static [&str], lines: &str) -> Self {
        let folder = Folder::new();
        let configuration = format!(
            "bind 127.0.0.1\nport {port}\nunixsocket {}\ndir {}\nlogfile redis.log\nsave \"\"\n\
             repl-diskless-sync-delay 0\n{lines}",
            folder.path("redis.sock"),
            folder.path(""),
        );
        fs::write(folder.path("redis.conf"), configuration).unwrap();
        let child = spawn(&folder, mode);
        let redis = Self { port, folder, mode, child };
        redis.wait_until_ready();
        redis
    }

    fn wait_until_ready(&self) {
        eventually("Redis answers", || self.try_cli(&["ping"]) == Ok("PONG".to_owned()));
    }

    /// The URL for `--redis`.
    pub fn url(&self) -> String {
        match self.port {
            0 => format!("redis+unix://{}", self.socket()),
            port => format!("redis://127.0.0.1:{port}"),
        }
    }

    /// The path of its Unix socket.
    pub fn socket(&self) -> String {
        self.folder.path("redis.sock")
    }

    /// The output of redis-cli with these arguments, which must succeed.
    pub fn cli(&self, arguments: &[&str]) -> String {
        self.try_cli(arguments).unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
    }

    /// The output of redis-cli with these arguments, or the error.
    pub fn try_cli(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new("redis-cli");
        let connection = ["-e", "-s", &self.socket()];
        let output = command.args(connection).args(arguments).output().expect(MISSING);
        let text = |bytes| String::from_utf8(bytes).unwrap().trim_end().to_owned();
        match output.status.success() {
            true => Ok(text(output.stdout)),
            false => Err(text([output.stdout, output.stderr].concat())),
        }
    }

    /// A field of INFO, such as `role`.
    pub fn info(&self, field: &str) -> Option<String> {
        let info = self.try_cli(&["info", "everything"]).ok()?;
        let prefix = format!("{field}:");
        info.lines().find_map(|line| Some(line.trim_end().strip_prefix(&prefix)?.to_owned()))
    }

    pub fn kill(&mut self) {
        // This fails if it has already been killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again after `kill`, in the same folder and on the same socket and port.
    pub fn restart(&mut self) {
        self.child = spawn(&self.folder, self.mode);
        self.wait_until_ready();
    }

    /// Suspends it (`STOP`), or lets it continue (`CONT`).
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Makes this a replica of the server at a TCP port, and waits until it has the same data.
    pub fn follow(&self, port: u16) {
        self.cli(&["replicaof", "127.0.0.1", &port.to_string()]);
        let up = Some("up".to_owned());
        eventually("the replica has the data", || self.info("master_link_status") == up);
    }
}

fn spawn(folder: &Folder, mode: &[&str]) -> Child {
    let mut command = Command::new("redis-server");
    command.arg(folder.path("redis.conf")).args(mode);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect(MISSING)
}
