//! Processes of townhall that share their rooms.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

use crate::support::{PATIENCE, eventually};

/// A process of townhall. It is killed when it is dropped.
pub struct Process {
    /// `IP:PORT` of its listener.
    pub address: String,
    /// `IP:PORT` of its admin listener.
    pub admin: String,
    child: Child,
    log: Receiver<String>,
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Process {
    /// A process with these URLs of Redis, separated by commas, once it is ready.
    pub fn start(redis: &str) -> Self {
        Self::start_with(redis, &[])
    }

    pub fn start_with(redis: &str, flags: &[&str]) -> Self {
        let mut command = Self::command(redis);
        command.args(flags);
        let process = Self::spawn(command);
        eventually("the process is ready", || process.is_ready());
        process
    }

    /// A process that may not be able to use Redis.
    pub fn launch(redis: &str) -> Self {
        Self::spawn(Self::command(redis))
    }

    pub fn command(redis: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_townhall"));
        command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        command.args(["--redis", redis, "--max-new-connections-per-second", "10000"]);
        command
    }

    pub fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = read_lines(child.stderr.take().unwrap());
        let output = read_lines(child.stdout.take().unwrap());
        let next = |prefix: &str, suffix: &str| {
            let line = output.recv_timeout(PATIENCE).unwrap_or_else(|_| {
                panic!("no line with {prefix:?}, but {:?}", log.try_iter().collect::<Vec<_>>())
            });
            let rest = line.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(suffix));
            rest.expect(&line).to_owned()
        };
        let address = next("townhall is listening on http://", "/");
        let admin = next("townhall serves metrics on http://", "/metrics");
        Self { address, admin, child, log }
    }

    pub fn kill(&mut self) {
        // This fails if it has already been killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Waits for a log line that contains `part`, and returns it and the lines before it.
    pub fn log_until(&self, part: &str) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        let mut lines: Vec<String> = Vec::new();
        while !lines.last().is_some_and(|line| line.contains(part)) {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.log.recv_timeout(left);
            lines.push(line.unwrap_or_else(|_| panic!("no line with {part:?}, but {lines:?}")));
        }
        lines
    }

    /// The log lines that were not read yet.
    pub fn log_so_far(&self) -> Vec<String> {
        self.log.try_iter().collect()
    }

    /// Whether a load balancer may send clients here.
    pub fn is_ready(&self) -> bool {
        let answer = ask(&self.admin, "GET", "/ready", "", "");
        assert!(answer.status == 200 || answer.body.contains("Redis"), "{answer:?}");
        answer.status == 200
    }

    /// Publishes a text with a POST.
    pub fn post(&self, room: &str, text: &str) -> Answer {
        ask(&self.address, "POST", room, "", text)
    }

    /// The answer to the question for the number of members of a room, with a token unless it is empty.
    pub fn count(&self, room: &str, token: &str) -> Answer {
        let fields = format!("Accept: application/json\r\nAuthorization: Bearer {token}\r\n");
        ask(&self.address, "GET", room, &fields, "")
    }

    /// The number of members of a room, as this process knows it.
    pub fn members(&self, room: &str) -> u64 {
        let answer = self.count(room, "");
        let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        body["members"].as_u64().unwrap()
    }

    /// The value of a metric.
    pub fn metric(&self, name: &str) -> f64 {
        let body = ask(&self.admin, "GET", "/metrics", "", "").body;
        let mut lines = body.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        lines.next().unwrap_or_else(|| panic!("no {name}:\n{body}")).parse().unwrap()
    }
}

/// The answer to a request.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// The position in the answer to a POST that has succeeded.
    pub fn position(&self) -> String {
        assert_eq!(self.status, 200, "{self:?}");
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        body["position"].as_str().unwrap().to_owned()
    }

    /// The number in the position.
    pub fn number(&self) -> u64 {
        self.position().split_once('.').unwrap().1.parse().unwrap()
    }
}

/// Asks on a connection of its own.
pub fn ask(address: &str, method: &str, path: &str, fields: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Length: {length}\r\n{fields}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    let status = head[9..12].parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// Reads lines as they arrive, because the program drops lines that nobody reads.
fn read_lines(source: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(source).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}
