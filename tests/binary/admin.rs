//! The admin listener.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Instant;

use super::{PATIENCE, Program, assert_fails, connect, receive, send, status, status_of, townhall};

impl Program {
    /// The address of the admin listener in the next line of the output.
    pub fn admin_address(&mut self) -> String {
        self.text_between("townhall serves metrics on http://", "/metrics\n")
    }
}

/// A server, its address, and that of its admin listener.
pub fn start(flags: &[&str]) -> (Program, String, String) {
    let flags = [&["--admin-listen", "127.0.0.1:0"], flags].concat();
    let (mut program, address) = Program::start(&flags);
    let admin = program.admin_address();
    (program, address, admin)
}

/// The head and the body of the answer to a request for this path.
fn get(address: &str, path: &str) -> (String, String) {
    ask(address, "GET", path, "")
}

/// The head and the body of the answer to a request with this method and these additional fields.
pub fn ask(address: &str, method: &str, path: &str, fields: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{fields}\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

pub fn metrics(admin: &str) -> String {
    let (head, body) = get(admin, "/metrics");
    assert!(
        head.contains("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"),
        "{head}"
    );
    body
}

#[test]
fn the_metrics_show_what_there_is_and_what_has_happened() {
    let (_program, address, admin) = start(&["--max-rooms", "2"]);
    let mut clients = ["/lobby", "/lobby", "/hall"].map(|room| connect(&address, room));
    assert_eq!(status(&address, "/nothing"), "426");
    send(&mut clients[0], "hello");
    assert_eq!(receive(&mut clients[1]), "hello");
    let body = metrics(&admin);
    let lines = [
        "# TYPE townhall_connections gauge",
        "townhall_connections 3",
        "townhall_connections_limit 10000",
        "townhall_rooms 2",
        "townhall_rooms_limit 2",
        "townhall_members 3",
        "# TYPE townhall_upgrades_total counter",
        "townhall_upgrades_total 3",
        "townhall_accepted_connections_total 4",
        "townhall_refused_requests_total{status=\"426\"} 1",
        "townhall_refused_requests_total{status=\"503\"} 0",
        "townhall_departures_total{cause=\"too_slow\"} 0",
        "townhall_departures_total{cause=\"too_old\"} 0",
        "townhall_tls_handshakes_total{session=\"resumed\"} 0",
        "townhall_tls_handshake_failures_total{reason=\"client_certificate\"} 0",
        "townhall_tls_certificate_reloads_total{result=\"failed\"} 0",
        "townhall_lost_log_lines_total 0",
        "townhall_received_messages_total 1",
        "townhall_deliveries_total 2",
        "townhall_incomplete_bytes 0",
        "townhall_incomplete_limit_bytes 268435456",
        "townhall_backlog_bytes 0",
        "# TYPE townhall_event_loop_turn_seconds histogram",
        "# TYPE townhall_delivery_wait_seconds histogram",
        "townhall_delivery_wait_seconds_count 1",
        "# TYPE process_open_fds gauge",
    ];
    for line in lines {
        assert!(body.lines().any(|found| found == line), "{line} is missing:\n{body}");
    }
    clients[0].close(None).unwrap();
    while clients[0].read().is_ok() {}
    let left = "townhall_departures_total{cause=\"peer\"} 1";
    let deadline = Instant::now() + PATIENCE;
    while !metrics(&admin).contains(left) {
        assert!(Instant::now() < deadline);
    }
}

#[test]
fn the_metrics_show_why_connections_of_proxies_were_dropped() {
    let flags = ["--listen", "127.0.0.1:0", "--listen", "proxy+http://127.0.0.1:0"];
    let (mut program, _) =
        Program::start_with(townhall(&[&flags[..], &["--admin-listen", "127.0.0.1:0"]].concat()));
    let proxied = program.text_between("townhall is listening on proxy+http://", "/\n");
    let admin = program.admin_address();
    for bytes in ["GET / HTTP/1.1\r\n", "PROXY TCP4 a b c d\r\n", "PROXY TCP4 b\r\n"] {
        let mut stream = TcpStream::connect(&proxied).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(bytes.as_bytes()).unwrap();
        // It ends with a reset if the server has not read everything.
        assert_eq!(stream.read(&mut [0]).unwrap_or_default(), 0);
    }
    let body = metrics(&admin);
    let counts = ["untrusted", "missing", "malformed", "too_long", "incomplete"].map(|reason| {
        let name = format!("townhall_refused_proxy_headers_total{{reason=\"{reason}\"}} ");
        body.lines().find_map(|line| line.strip_prefix(&*name)).expect(&body).to_owned()
    });
    assert_eq!(counts, ["0", "1", "2", "0", "0"]);
}

#[test]
fn it_is_live_until_a_shutdown_begins_and_ready_until_it_was_asked_for() {
    let (mut program, address, admin) = start(&["--shutdown-delay", "15min"]);
    let mut client = connect(&address, "/");
    assert_eq!([status(&admin, "/live"), status(&admin, "/ready")], ["200", "200"]);
    program.signal("TERM");
    let deadline = Instant::now() + PATIENCE;
    while status(&admin, "/ready") != "503" {
        assert!(Instant::now() < deadline);
    }
    assert_eq!(get(&admin, "/ready").1, "stopping\n");
    assert_eq!(status(&admin, "/live"), "200");
    program.signal("TERM");
    while client.read().is_ok() {}
    assert_eq!(program.wait().0, Some(0));
}

#[test]
fn its_address_is_free_for_the_next_program_while_the_last_one_still_has_clients() {
    let (mut last, address, admin) = start(&["--shutdown-timeout", "15min"]);
    let mut client = connect(&address, "/");
    last.signal("TERM");
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(&admin).is_ok() {
        assert!(Instant::now() < deadline);
    }
    let (mut next, _) = Program::start(&["--admin-listen", &admin]);
    next.admin_address();
    assert_eq!(status(&admin, "/ready"), "200");
    assert!(last.child.try_wait().unwrap().is_none(), "the last program still waits");
    while client.read().is_ok() {}
    assert_eq!(last.wait().0, Some(0));
}

#[test]
fn it_serves_nothing_else() {
    let (_program, address, admin) = start(&[]);
    for path in ["/", "/metrics/", "/health", "/connections", "/roomservice"] {
        assert_eq!(status(&admin, path), "404", "{path}");
    }
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {admin}\r\n{upgrade}");
    assert_eq!(status_of(&admin, &request), "404");
    assert_eq!(status(&address, "/metrics"), "426", "the public listener has no metrics");
}

#[test]
fn a_page_that_resolves_to_a_loopback_address_learns_nothing() {
    let (_program, _, admin) = start(&[]);
    let port = admin.rsplit(':').next().unwrap();
    let with = |fields: &str| status_of(&admin, &format!("GET /live HTTP/1.1\r\n{fields}\r\n\r\n"));
    assert_eq!(with(&format!("Host: localhost:{port}")), "200");
    assert_eq!(with(&format!("Host: evil.example:{port}")), "421");
    assert_eq!(with(&format!("Host: evil.example\r\nX-Forwarded-Host: localhost:{port}")), "421");
}

#[test]
fn with_a_key_file_only_requests_with_the_key_are_answered() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("admin-key");
    fs::write(&file, "s3cret\n").unwrap();
    let (_program, _, admin) = start(&["--admin-key-file", file.to_str().unwrap()]);
    let with = |fields: &str| {
        let request = format!("GET /metrics HTTP/1.1\r\nHost: metrics.example\r\n{fields}\r\n");
        status_of(&admin, &request)
    };
    assert_eq!(with("Authorization: Bearer s3cret\r\n"), "200");
    assert_eq!(with("Authorization: Bearer s3cre\r\n"), "401");
    assert_eq!(with(""), "401");
    assert!(get(&admin, "/ready").0.contains("\r\nWWW-Authenticate: Bearer\r\n"));
}

#[test]
fn an_address_or_a_key_that_is_no_good_is_one_clear_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let with = |flags: &[&str], status, line: &str| {
        assert_fails(&[&["--listen", "127.0.0.1:0"], flags].concat(), status, line);
    };
    let line = format!("townhall: cannot listen on {taken}: Address already in use");
    with(&["--admin-listen", &taken], 1, &line);
    let line =
        "error: invalid value '9090' for '--admin-listen <ADDRESS>': it must be an IP address";
    with(&["--admin-listen", "9090"], 2, line);
    let line = "error: --admin-listen is not a loopback address, so --admin-key-file is needed\n";
    with(&["--admin-listen", "0.0.0.0:0"], 2, line);
    let line = "townhall: cannot use the key in /dev/null: it must be one word of printable ASCII";
    with(&["--admin-listen", "[::]:0", "--admin-key-file", "/dev/null"], 1, line);
    let line = "townhall: cannot use the key in /nowhere: No such file";
    with(&["--admin-listen", "[::]:0", "--admin-key-file", "/nowhere"], 1, line);
    let line = "error: the following required arguments were not provided:\n  --admin-listen";
    with(&["--admin-key-file", "/dev/null"], 2, line);
}
