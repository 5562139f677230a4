//! What a service manager learns.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use super::{PATIENCE, Program, connect, receive, send, townhall};

/// The socket of a service manager.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Drop for Manager {
    fn drop(&mut self) {
        // The directory for temporary files is cleaned anyway.
        let _ = fs::remove_file(&self.path);
    }
}

impl Manager {
    fn new(name: &str) -> Self {
        let file = format!("townhall-notify-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(file);
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, path }
    }

    fn start(&self, watchdog: &str) -> Program {
        let mut command = townhall(&["--listen", "127.0.0.1:0", "--shutdown-delay", "1s"]);
        command.env("NOTIFY_SOCKET", &self.path).env("WATCHDOG_USEC", watchdog);
        Program::start_with(command).0
    }

    /// The lines of the next report.
    fn report(&self) -> Vec<String> {
        let mut bytes = [0; 1024];
        let size = self.socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..size]).lines().map(str::to_owned).collect()
    }
}

#[test]
fn a_service_manager_learns_of_start_reload_and_stop() {
    let manager = Manager::new("states");
    let mut program = manager.start("0");
    assert_eq!(manager.report(), ["READY=1"]);
    program.signal("HUP");
    let reloading = manager.report();
    assert_eq!(reloading[0], "RELOADING=1");
    let since_boot = reloading[1].strip_prefix("MONOTONIC_USEC=").unwrap();
    assert!(since_boot.parse::<u64>().unwrap() > 0, "{since_boot}");
    assert_eq!(manager.report(), ["READY=1"]);
    program.signal("TERM");
    // A delay of one second, a timeout of five, and a margin of five.
    assert_eq!(manager.report(), ["STOPPING=1", "EXTEND_TIMEOUT_USEC=11000000"]);
    assert_eq!(program.wait().0, Some(0));
}

#[test]
fn the_event_loop_feeds_the_watchdog() {
    let manager = Manager::new("watchdog");
    let mut program = manager.start("100000");
    let reports: Vec<_> = (0..5).flat_map(|_| manager.report()).collect();
    assert_eq!(reports.iter().filter(|report| *report == "READY=1").count(), 1, "{reports:?}");
    assert_eq!(reports.iter().filter(|report| *report == "WATCHDOG=1").count(), 4, "{reports:?}");
    program.signal("TERM");
    while manager.report()[0] != "STOPPING=1" {}
    assert_eq!(manager.report(), ["WATCHDOG=1"], "the watchdog is fed until the end");
    // Nobody reads the socket any more, and a full one would block the program.
    drop(manager);
    assert_eq!(program.wait().0, Some(0));
}

#[test]
fn a_manager_that_is_gone_stops_nothing() {
    let manager = Manager::new("gone");
    let path = manager.path.clone();
    drop(manager);
    let mut command = townhall(&["--listen", "127.0.0.1:0"]);
    command.env("NOTIFY_SOCKET", &path);
    let (mut program, address) = Program::start_with(command);
    let mut client = connect(&address, "/");
    send(&mut client, "hello");
    assert_eq!(receive(&mut client), "hello");
    drop(client);
    program.signal("TERM");
    let (status, log) = program.wait();
    assert_eq!(status, Some(0));
    assert!(log.contains("WARN  [townhall::systemd] cannot notify systemd: "), "{log}");
}
