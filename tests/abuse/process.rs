//! The program in its own process: its address, its log, and its use of memory and CPU time.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{PATIENCE, eventually};

/// A started program. It is killed when it is dropped.
pub struct Program {
    /// The first address, as `IP:PORT`.
    pub address: String,
    child: Child,
    log: Receiver<String>,
    stdout: BufReader<ChildStdout>,
}

impl Drop for Program {
    fn drop(&mut self) {
        // This fails if the program has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    /// Starts the program with these flags on a free port, with all log levels.
    pub fn start(flags: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_townhall"));
        command.args(["--listen", "127.0.0.1:0", "--log-level", "debug"]).args(flags);
        Self::spawn(command)
    }

    /// Starts the program after a line of shell, such as `ulimit`.
    pub fn start_after(script: &str) -> Self {
        let program = env!("CARGO_BIN_EXE_townhall");
        let script = format!("{script}; exec {program} --listen 127.0.0.1:0 --log-level debug");
        let mut command = Command::new("sh");
        command.args(["-c", &script]);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let log = read_lines(child.stderr.take().unwrap());
        let mut program = Self { address: String::new(), child, log, stdout };
        program.address = program.next_address();
        program
    }

    /// The address in the next line of the output.
    pub fn next_address(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        let url = line.strip_prefix("townhall is listening on ");
        let url = url.and_then(|rest| rest.strip_suffix("/\n")).expect(&line);
        url.split_once("://").expect(url).1.to_owned()
    }

    /// Sets the file descriptor limit, whatever is already in use.
    pub fn limit_descriptors(&self, limit: usize) {
        let pid = self.child.id().to_string();
        let mut command = Command::new("prlimit");
        command.args(["--pid", &pid, &format!("--nofile={limit}:")]);
        assert!(command.status().unwrap().success());
    }

    /// Waits for a log line that contains `part`, and skips the lines before it.
    pub fn log_line(&self, part: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.log.recv_timeout(left);
            let line = line.unwrap_or_else(|error| panic!("{error}: no line with {part:?}"));
            if line.contains(part) {
                return line;
            }
        }
    }

    /// The log lines that were not read yet.
    pub fn log_so_far(&self) -> impl Iterator<Item = String> {
        self.log.try_iter()
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Does something while the program is suspended, so that it sees everything at once.
    pub fn at_once<T>(&self, act: impl FnOnce() -> T) -> T {
        self.signal("STOP");
        eventually("the program stands still", || self.stat()[0] == "T");
        let done = act();
        self.signal("CONT");
        done
    }

    /// Waits for the end of the program, and returns its exit status.
    pub fn wait(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.log.recv_timeout(left) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return self.child.wait().unwrap().code(),
                Err(RecvTimeoutError::Timeout) => panic!("it does not end"),
            }
        }
    }

    /// The CPU time of the program in steps of 10 ms (proc(5), utime and stime).
    pub fn cpu(&self) -> Duration {
        cpu(&self.stat())
    }

    /// The resident memory in bytes.
    pub fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The peak of the resident memory in bytes.
    pub fn peak_memory(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// The number of open sockets, including the program's internal ones.
    pub fn sockets(&self) -> usize {
        let entries = fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap();
        let targets = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
    }

    /// Waits until the program has this many sockets.
    pub fn wait_for_sockets(&self, count: usize) {
        eventually(&format!("{count} sockets"), || self.sockets() == count);
    }

    fn status(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let value = status.lines().find_map(|line| line.strip_prefix(field)).expect(field);
        value.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
    }

    fn stat(&self) -> Vec<String> {
        stat(&format!("/proc/{}/stat", self.child.id()))
    }
}

/// The CPU time of this thread.
pub fn own_cpu() -> Duration {
    cpu(&stat("/proc/thread-self/stat"))
}

/// The fields after the name, beginning with the state. The name may contain any character.
fn stat(path: &str) -> Vec<String> {
    let stat = fs::read_to_string(path).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    fields.split(' ').map(str::to_owned).collect()
}

fn cpu(stat: &[String]) -> Duration {
    let ticks: u64 = stat[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(10 * ticks)
}

/// Reads lines as they arrive, because the program drops lines that nobody reads.
fn read_lines(source: impl std::io::Read + Send + 'static) -> Receiver<String> {
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
