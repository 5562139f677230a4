//! Outputs that accept nothing: a stuck log shipper, a full disk, a parent process that has ended.

use std::fs::File;
use std::io::{BufRead, BufReader, PipeReader, Write, pipe};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use crate::peer::{Peer, frame, request_with};
use crate::support::eventually;

/// An output of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Output {
    /// An output that discards everything.
    Sink,
    /// A pipe that the test reads.
    Read,
    /// A closed file descriptor.
    Closed,
    /// A full disk.
    Full,
    /// A full pipe that nobody reads.
    Stuck,
    /// A pipe whose reader has closed it.
    Abandoned,
}

impl Output {
    /// The program's end, and the other end if it must stay open.
    fn open(self) -> (Stdio, Option<PipeReader>) {
        match self {
            Self::Sink | Self::Closed => (Stdio::null(), None),
            Self::Full => (File::create("/dev/full").unwrap().into(), None),
            Self::Read => {
                let (reader, writer) = pipe().unwrap();
                (writer.into(), Some(reader))
            }
            Self::Stuck => {
                let (reader, mut writer) = pipe().unwrap();
                // The capacity of a pipe (pipe(7)).
                writer.write_all(&[b'\n'; 65_536]).unwrap();
                (writer.into(), Some(reader))
            }
            Self::Abandoned => (pipe().unwrap().1.into(), None),
        }
    }
}

/// A program with these outputs. It is killed when it is dropped.
struct Program {
    child: Child,
    address: String,
    stderr: Option<PipeReader>,
    _stdout: Option<PipeReader>,
}

impl Drop for Program {
    fn drop(&mut self) {
        // The program may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    /// Starts the program on an address that only this call uses: all of 127.0.0.0/8 is this machine.
    fn start(stdout: Output, stderr: Output) -> Self {
        static PORT: AtomicU16 = AtomicU16::new(10_000);
        let [_, a, b, c] = std::process::id().to_be_bytes();
        let port = PORT.fetch_add(1, Ordering::Relaxed);
        Self::start_at(format!("127.{a}.{b}.{c}:{port}"), stdout, stderr)
    }

    fn start_at(address: String, stdout: Output, stderr: Output) -> Self {
        let close = |output, redirection| if output == Output::Closed { redirection } else { "" };
        let one = close(stdout, ">&-");
        let two = close(stderr, "2>&-");
        let program = env!("CARGO_BIN_EXE_townhall");
        let script = format!("exec {program} --listen {address} --log-level debug {one} {two}");
        let ((stdout, _stdout), (into_stderr, stderr)) = (stdout.open(), stderr.open());
        let mut command = Command::new("sh");
        command.args(["-c", &script]).stdin(Stdio::null()).stdout(stdout).stderr(into_stderr);
        Self { child: command.spawn().unwrap(), address, stderr, _stdout }
    }

    fn wait_until_it_listens(&self) {
        eventually("it listens", || TcpStream::connect(&self.address).is_ok());
    }

    /// Sends a request that is refused and logged.
    fn ask_in_vain(&self) {
        let mut peer = Peer::connect(&self.address);
        peer.send(b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n");
        assert_eq!(peer.receive_refusal().0, 501);
    }

    /// The lines on the program's standard error.
    fn log(&mut self) -> impl Iterator<Item = String> + use<> {
        BufReader::new(self.stderr.take().unwrap()).lines().map(Result::unwrap)
    }

    fn stop(&mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(&pid).status().unwrap().success());
        self.wait()
    }

    fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("it ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

fn echo(member: &mut Peer, text: &str) {
    member.send(&frame(0x81, text.as_bytes()));
    assert_eq!(member.receive_text(), text);
}

/// The program serves members, however much it has to log.
fn assert_serves(stdout: Output, stderr: Output) {
    let mut program = Program::start(stdout, stderr);
    program.wait_until_it_listens();
    let mut member = Peer::join(&program.address, "/");
    for round in 0..8 {
        echo(&mut member, &format!("round {round}"));
        (0..100).for_each(|_| program.ask_in_vain());
    }
    let origin = format!("Origin: {}\r\n", "\u{ff}".repeat(4_096));
    for _ in 0..4 {
        let mut page = Peer::connect(&program.address);
        page.send(request_with("/", &origin).as_bytes());
        assert_eq!(page.receive_refusal().0, 403);
    }
    echo(&mut member, "still there");
    echo(&mut Peer::join(&program.address, "/new"), "newly there");
    drop(member);
    let begin = Instant::now();
    assert_eq!(program.stop().code(), Some(0), "{stdout:?} {stderr:?}");
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}

/// Runs the program with this standard output, standard error, or both.
fn assert_serves_with(output: Output) {
    assert_serves(output, Output::Sink);
    assert_serves(Output::Sink, output);
    assert_serves(output, output);
}

#[test]
fn closed_outputs_stop_nothing() {
    assert_serves_with(Output::Closed);
}

#[test]
fn full_disks_stop_nothing() {
    assert_serves_with(Output::Full);
}

#[test]
fn pipes_that_nobody_reads_stop_nothing() {
    assert_serves_with(Output::Stuck);
}

#[test]
fn pipes_whose_readers_have_gone_stop_nothing() {
    assert_serves_with(Output::Abandoned);
}

#[test]
fn the_log_names_an_address_that_cannot_be_printed() {
    for (output, reason) in [(Output::Full, "No space left"), (Output::Abandoned, "Broken pipe")] {
        let mut program = Program::start(output, Output::Read);
        let address = &program.address;
        let begin = format!("townhall is listening on http://{address}/ (cannot print this");
        let line = program.log().find(|line| line.contains(&begin)).unwrap();
        assert!(line.contains("WARN") && line.contains(reason), "{line}");
    }
}

#[test]
fn a_failed_start_has_its_status_even_if_the_reason_cannot_be_printed() {
    let first = Program::start(Output::Sink, Output::Sink);
    first.wait_until_it_listens();
    for output in [Output::Closed, Output::Full, Output::Stuck, Output::Abandoned] {
        let mut second = Program::start_at(first.address.clone(), output, output);
        assert_eq!(second.wait().code(), Some(1), "{output:?}");
    }
}

#[test]
fn when_a_stuck_pipe_is_read_again_the_log_reports_dropped_lines() {
    let mut program = Program::start(Output::Sink, Output::Stuck);
    program.wait_until_it_listens();
    (0..3_000).for_each(|_| program.ask_in_vain());
    let mut lines = program.log();
    let before = lines.by_ref().take_while(|line| !line.contains(" log lines dropped: "));
    let written = before.filter(|line| line.contains("answered with 501")).count();
    assert!((1_000..3_000).contains(&written), "{written} of 3000");
    let mut member = Peer::join(&program.address, "/");
    let mut connected = lines.filter(|line| line.contains("connected from"));
    assert!(connected.next().unwrap().ends_with(&member.address()));
    echo(&mut member, "all is well");
}
