//! Unix sockets, and ports that processes share.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use super::{PATIENCE, Program, connect, run, townhall};

/// A path for a socket, which is removed at the end.
struct SocketPath(PathBuf);

impl SocketPath {
    fn new(name: &str) -> Self {
        let file = format!("townhall-{name}-{}.sock", std::process::id());
        Self(std::env::temp_dir().join(file))
    }

    /// The value of `--listen`.
    fn address(&self) -> String {
        format!("unix:{}", self.0.display())
    }

    /// A program that listens there.
    fn start(&self, flags: &[&str]) -> Program {
        let mut child =
            townhall(&[&["--listen", &self.address()], flags].concat()).spawn().unwrap();
        let mut program = Program { stdout: BufReader::new(child.stdout.take().unwrap()), child };
        let mut line = String::new();
        program.stdout.read_line(&mut line).unwrap();
        assert_eq!(line, format!("townhall is listening on {}\n", self.address()));
        program
    }

    fn health(&self) -> (Option<i32>, String) {
        let output = run(&["health", "--listen", &self.address()]);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        // It fails if the program has removed it.
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn a_unix_socket_is_there_as_long_as_the_program() {
    let socket = SocketPath::new("life");
    let mut program = socket.start(&[]);
    let metadata = fs::metadata(&socket.0).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o660, "whatever the umask is");
    assert_eq!(metadata.uid(), fs::metadata("/proc/self").unwrap().uid());
    let stream = UnixStream::connect(&socket.0).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut client, _) = tungstenite::client("ws://localhost/", stream).unwrap();
    assert_eq!(socket.health(), (Some(0), String::new()));
    let second = run(&["--listen", &socket.address()]);
    assert_eq!(second.status.code(), Some(1));
    let expected = format!("townhall: cannot listen on {}: it is in use\n", socket.address());
    assert_eq!(String::from_utf8_lossy(&second.stderr), expected);
    program.signal("TERM");
    assert!(client.read().unwrap().is_close());
    assert!(!socket.0.exists(), "nobody else can connect once clients are closed");
    while client.read().is_ok() {}
    assert_eq!(program.wait().0, Some(0));
}

#[test]
fn a_socket_of_a_program_that_was_killed_is_replaced() {
    let socket = SocketPath::new("killed");
    let mut killed = socket.start(&[]);
    killed.signal("KILL");
    killed.wait();
    assert!(socket.0.exists());
    let (status, reason) = socket.health();
    let expected = format!("townhall: cannot ask the server on {}: ", socket.address());
    assert!(status == Some(1) && reason.starts_with(&expected), "{reason}");
    let _next = socket.start(&[]);
    assert_eq!(socket.health().0, Some(0));
}

#[test]
fn the_flags_choose_the_mode_and_the_owner_of_a_unix_socket() {
    let socket = SocketPath::new("owner");
    let own = fs::metadata("/proc/self").unwrap();
    // Only root can give a file away.
    let (user, group) = if own.uid() == 0 { (65534, 65533) } else { (own.uid(), own.gid()) };
    let owner = format!("{user}:{group}");
    let _program = socket.start(&["--unix-mode", "606", "--unix-owner", &owner]);
    let metadata = fs::metadata(&socket.0).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o606);
    assert_eq!((metadata.uid(), metadata.gid()), (user, group));
}

#[test]
fn the_admin_listener_may_be_a_unix_socket_for_its_own_user() {
    let socket = SocketPath::new("admin");
    // Several times, because the program might also end just before its file is removed.
    for host in ["localhost", "any.example"].repeat(5) {
        let flags = ["--admin-listen", &socket.address(), "--host", "chat.example"];
        let (mut program, _) = Program::start(&flags);
        assert_eq!(program.text_between("townhall serves metrics on ", "\n"), socket.address());
        assert_eq!(fs::metadata(&socket.0).unwrap().permissions().mode() & 0o7777, 0o600);
        let mut stream = UnixStream::connect(&socket.0).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET /ready HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200 ") && answer.contains("\r\n\r\nready"),
            "{answer}"
        );
        program.signal("TERM");
        assert_eq!(program.wait().0, Some(0));
        assert!(!socket.0.exists());
    }
    let wrong = ["https://127.0.0.1:0", "unix:", "systemd"];
    for address in wrong {
        let line =
            format!("error: invalid value '{address}' for '--admin-listen <ADDRESS>': it must");
        super::assert_fails(&["--admin-listen", address], 2, &line);
    }
}

#[test]
fn flags_for_sockets_that_cannot_work_are_refused() {
    let listen = ["--listen", "unix:/tmp/townhall-never.sock"];
    let cases: [(&[&str], i32, &str); 6] = [
        (
            &["--unix-mode", "660"],
            2,
            "error: --unix-mode needs a Unix socket, such as --listen unix:",
        ),
        (&["--unix-owner", "root"], 2, "error: --unix-owner needs a Unix socket, such as"),
        (
            &[listen[0], listen[1], "--reuse-port"],
            2,
            "error: --reuse-port needs a port, such as --listen 127.0.0.1:8080",
        ),
        (
            &[listen[0], listen[1], "--unix-owner", "no such"],
            2,
            "error: invalid value 'no such' for '--unix-owner <USER[:GROUP]>': it must be USER,",
        ),
        (
            &[listen[0], listen[1], "--unix-owner", ":nosuch"],
            1,
            "townhall: there is no group \"nosuch\"",
        ),
        (
            &["check", listen[0], listen[1], "--unix-owner", "nosuch"],
            1,
            "townhall: there is no user \"nosuch\"",
        ),
    ];
    for (flags, status, line) in cases {
        super::assert_fails(flags, status, line);
    }
}

#[test]
fn processes_share_a_port_if_they_all_have_the_flag() {
    let (_first, address) = Program::start(&["--reuse-port"]);
    let start = |flags: &[&str]| townhall(&[&["--listen", &address], flags].concat());
    let refused = start(&[]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let (second, same) = Program::start_with(start(&["--reuse-port"]));
    assert_eq!(same, address);
    connect(&address, "/");
    drop(second);
    connect(&address, "/");
}
