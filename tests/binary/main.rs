//! The program as its users start it: flags, output, signals, exit status.

mod activation;
mod admin;
mod client_module;
mod connect;
mod dashboard;
mod denials;
mod events;
mod flags;
mod history;
mod listening;
mod operations;
mod operators;
mod presence;
mod publish;
mod restart;
mod state;
mod systemd;
mod tls;
mod tokens;

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tungstenite::protocol::Message;

const PATIENCE: Duration = Duration::from_secs(20);

fn townhall(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_townhall"));
    command.args(flags).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A started program. It is killed when it is dropped.
struct Program {
    child: Child,
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
    fn start(flags: &[&str]) -> (Self, String) {
        Self::start_with(townhall(&[&["--listen", "127.0.0.1:0"], flags].concat()))
    }

    fn start_with(mut command: Command) -> (Self, String) {
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut program = Self { child, stdout };
        let address = program.address();
        (program, address)
    }

    /// The address in the next line of the output.
    fn address(&mut self) -> String {
        let address = self.text_between("townhall is listening on http", "/\n");
        address.trim_start_matches('s').trim_start_matches("://").to_owned()
    }

    /// The rest of the next line of the output.
    fn text_between(&mut self, prefix: &str, suffix: &str) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        let rest = line.strip_prefix(prefix);
        rest.and_then(|rest| rest.strip_suffix(suffix)).expect(&line).to_owned()
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// The exit status and what was written to standard error.
    fn wait(&mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + PATIENCE;
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        let status = self.child.wait().unwrap();
        assert!(Instant::now() < deadline);
        (status.code(), stderr)
    }
}

type Client = tungstenite::WebSocket<TcpStream>;

fn connect(address: &str, path: &str) -> Client {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    tungstenite::client(format!("ws://{address}{path}"), stream).unwrap().0
}

fn send(client: &mut Client, text: &str) {
    client.send(Message::text(text)).unwrap();
}

fn receive(client: &mut Client) -> String {
    loop {
        match client.read() {
            // Reads with a timeout are interrupted when a stopped machine continues.
            Err(tungstenite::Error::Io(error)) if error.kind() == ErrorKind::Interrupted => {}
            message => return message.unwrap().into_text().unwrap().to_string(),
        }
    }
}

fn run(flags: &[&str]) -> Output {
    townhall(flags).output().unwrap()
}

#[test]
fn it_prints_each_address_that_it_bound() {
    let (mut program, first) = Program::start(&["--listen", "[::1]:0"]);
    let second = program.address();
    assert!(first.starts_with("127.0.0.1:") && second.starts_with("[::1]:"), "{first} {second}");
    connect(&first, "/");
    connect(&second, "/");
}

#[test]
fn a_signal_ends_it_with_1001_and_status_0() {
    for signal in ["INT", "TERM"] {
        let (mut program, address) = Program::start(&[]);
        let mut client = connect(&address, "/");
        send(&mut client, "hello");
        assert_eq!(receive(&mut client), "hello");
        program.signal(signal);
        let Message::Close(Some(frame)) = client.read().unwrap() else { panic!("no close") };
        assert_eq!(u16::from(frame.code), 1001);
        while client.read().is_ok() {}
        assert_eq!(program.wait().0, Some(0), "SIG{signal}");
    }
}

/// The status of the answer to a plain request.
fn status(address: &str, path: &str) -> String {
    status_of(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n"))
}

/// The HTTP status of the answer to these bytes.
fn status_of(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).unwrap();
    String::from_utf8_lossy(&status[9..]).into_owned()
}

#[test]
fn health_is_good_until_a_shutdown_begins() {
    let flags = ["--shutdown-code", "1012", "--shutdown-delay", "15min"];
    let (mut program, address) = Program::start(&flags);
    let mut client = connect(&address, "/");
    // The second is HAProxy's default `option httpchk`, the third is `option httpchk GET /health`.
    let checks = [
        "GET /health HTTP/1.1\r\nHost: a\r\n\r\n",
        "OPTIONS / HTTP/1.0\r\n\r\n",
        "GET /health HTTP/1.0\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /%68ealth?from=here HTTP/1.1\r\nHost: a\r\n\r\n",
    ];
    let all = || checks.map(|check| status_of(&address, check));
    assert_eq!(all(), ["200", "204", "200", "204", "200"]);
    program.signal("TERM");
    let deadline = Instant::now() + PATIENCE;
    while status(&address, "/health") != "503" {
        assert!(Instant::now() < deadline);
    }
    assert_eq!(all(), ["503"; 5]);
    send(&mut connect(&address, "/"), "hello");
    assert_eq!(receive(&mut client), "hello");
    program.signal("TERM");
    let Message::Close(Some(frame)) = client.read().unwrap() else { panic!("no close") };
    assert_eq!(u16::from(frame.code), 1012);
    while client.read().is_ok() {}
    assert_eq!(program.wait().0, Some(0));
}

#[test]
fn sighup_only_logs_the_counts() {
    let (mut program, address) = Program::start(&[]);
    let mut client = connect(&address, "/");
    assert_eq!(status(&address, "/nothing"), "426");
    program.signal("HUP");
    send(&mut client, "still there");
    assert_eq!(receive(&mut client), "still there");
    drop(client);
    program.signal("TERM");
    let (status, log) = program.wait();
    assert_eq!(status, Some(0));
    let line = "1 connections, 1 rooms; 2 accepted, 0 dropped, 1 opened, 1 refused with 426";
    assert!(log.contains(line), "{log}");
}

#[test]
fn everyone_receives_a_message_or_its_beginning() {
    let (_program, address) = Program::start(&["--truncate", "3"]);
    let mut a = connect(&address, "/");
    let mut b = connect(&address, "/");
    send(&mut a, "äöüß");
    assert_eq!(receive(&mut a), "äöü");
    assert_eq!(receive(&mut b), "äöü");
    let family = "\u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F467}";
    let flag = "\u{1F1E9}\u{1F1EA}";
    send(&mut a, &format!("{family}{flag}{family}{flag}"));
    assert_eq!(receive(&mut a), format!("{family}{flag}{family}"));
    assert_eq!(receive(&mut b), format!("{family}{flag}{family}"));
    b.send(Message::binary(vec![1, 2, 3, 4])).unwrap();
    assert_eq!(a.read().unwrap(), Message::binary(vec![1, 2, 3]));
}

#[test]
fn the_sender_receives_its_own_message_unless_no_reflect_is_set() {
    let (_program, address) = Program::start(&["--no-reflect"]);
    let mut a = connect(&address, "/");
    let mut b = connect(&address, "/");
    send(&mut a, "from a");
    assert_eq!(receive(&mut b), "from a");
    send(&mut b, "from b");
    assert_eq!(receive(&mut a), "from b");
}

#[test]
fn echo_answers_only_the_sender() {
    let (_program, address) = Program::start(&["--mode", "echo"]);
    let mut a = connect(&address, "/");
    let mut b = connect(&address, "/");
    send(&mut a, "from a");
    send(&mut b, "from b");
    assert_eq!((receive(&mut a), receive(&mut b)), ("from a".into(), "from b".into()));
}

#[test]
fn a_flag_can_be_an_environment_variable() {
    let mut command = townhall(&[]);
    command.env("TOWNHALL_LISTEN", "127.0.0.1:0").env("TOWNHALL_MAX_MESSAGE_SIZE", "5");
    let (_program, address) = Program::start_with(command);
    let mut client = connect(&address, "/");
    send(&mut client, "123456");
    let Message::Close(Some(frame)) = client.read().unwrap() else { panic!("no close") };
    assert_eq!(u16::from(frame.code), 1009);
}

#[test]
fn compression_is_negotiated_unless_it_is_off() {
    let offer = |address: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        let request = format!(
            "GET / HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let lines = BufReader::new(stream).lines().map(Result::unwrap);
        let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
        assert!(head[0].starts_with("HTTP/1.1 101 "), "{head:?}");
        head.into_iter()
            .find_map(|line| Some(line.strip_prefix("Sec-WebSocket-Extensions: ")?.to_owned()))
    };
    let (_on, address) = Program::start(&[]);
    let answer = "permessage-deflate; client_max_window_bits=12";
    assert_eq!(offer(&address).as_deref(), Some(answer));
    let (_off, address) = Program::start(&["--deflate", "off"]);
    assert_eq!(offer(&address), None);
}

#[test]
fn the_file_descriptor_limit_is_raised_to_the_hard_limit() {
    let log = |limits: &str| {
        let mut command = Command::new("sh");
        let program = env!("CARGO_BIN_EXE_townhall");
        let script = format!("{limits}; exec {program} --listen 127.0.0.1:0 --max-connections 50");
        command.args(["-c", &script]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut program = Program::start_with(command).0;
        program.signal("TERM");
        program.wait().1
    };
    let raised = log("ulimit -Sn 20; ulimit -Hn 100");
    assert!(raised.contains("INFO  [townhall] file descriptor limit: 100"), "{raised}");
    let low = log("ulimit -Sn 20; ulimit -Hn 40");
    assert!(
        low.contains("WARN  [townhall] file descriptor limit of 40 is too low for 50 connections"),
        "{low}"
    );
}

#[test]
fn the_page_is_served_with_a_policy_for_its_parts() {
    let (_program, address) = Program::start(&[]);
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.write_all(b"GET /?room=lobby HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("script-src 'sha256-") && answer.contains("style-src 'sha256-"));
    assert!(answer.contains("new WebSocket(") && !answer.contains("/*js*/"));
}

#[test]
fn pages_of_other_origins_may_connect_only_if_allowed() {
    let handshake = |address: &str, origin: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!(
            "GET / HTTP/1.1\r\nHost: {address}\r\nOrigin: {origin}\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        String::from_utf8_lossy(&status[9..]).into_owned()
    };
    let (mut program, address) = Program::start(&["--origin", "https://app.example"]);
    assert_eq!(handshake(&address, &format!("http://{address}")), "101");
    assert_eq!(handshake(&address, "https://app.example"), "101");
    assert_eq!(handshake(&address, "http://app.example"), "403");
    assert_eq!(handshake(&address, "null"), "403");
    assert_eq!(handshake(&address, "a\r\nOrigin: b"), "403");
    program.signal("TERM");
    let log = program.wait().1;
    let asked = format!("has origin \"http://app.example\" and requested host {address:?}");
    let flag = "; start with --origin 'http://app.example' to allow it\n";
    assert!(log.contains(&asked) && log.contains(flag), "{log}");
    let (_program, address) = Program::start(&["--origin", "*"]);
    assert_eq!(handshake(&address, "http://evil.example"), "101");
}

#[test]
fn an_unsupported_subprotocol_is_logged() {
    let asking = |address: &str, names: &str| {
        let request = format!(
            "GET / HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Protocol: {names}\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 101");
    };
    let (mut program, address) = Program::start(&["--subprotocol", "chat"]);
    asking(&address, "superchat, chat");
    asking(&address, "graphql-ws, mqtt");
    asking(&address, "it's");
    program.signal("TERM");
    let log = program.wait().1;
    let lines: Vec<_> = log.lines().filter(|line| line.contains("subprotocol")).collect();
    let [first, second] = lines[..] else { panic!("two lines are expected: {log}") };
    assert!(first.contains("INFO"), "{first}");
    let asked = "offered only unsupported subprotocols, \"graphql-ws, mqtt\", and may disconnect";
    assert!(first.contains(asked), "{first}");
    assert!(first.ends_with("; start with --subprotocol 'graphql-ws' to support it"), "{first}");
    assert!(second.contains("--subprotocol and the full value"), "{second}");
}

#[test]
fn only_rooms_that_match_a_pattern_exist() {
    let (_program, address) = Program::start(&["--room", "/lobby", "--room", "/team/*"]);
    connect(&address, "/lobby");
    connect(&address, "/team/a");
    assert_eq!(status(&address, "/"), "200", "the page is there");
    assert_eq!(status(&address, "/health"), "200");
    assert_eq!(status(&address, "/hall"), "404");
    assert_eq!(status(&address, "/lobby"), "426");
}

#[test]
fn the_log_shows_reasons_and_no_payloads() {
    let (mut program, address) = Program::start(&["--log-level", "debug"]);
    let mut client = connect(&address, "/");
    send(&mut client, "confidential");
    assert_eq!(receive(&mut client), "confidential");
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.write_all(b"GET / HTTP/2.0\r\n\r\n").unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
    let mut broken = connect(&address, "/");
    broken.get_mut().write_all(b"\x81\x00").unwrap();
    while broken.read().is_ok() {}
    drop((client, stream));
    program.signal("TERM");
    let (status, log) = program.wait();
    assert_eq!(status, Some(0));
    assert!(
        log.contains("INFO") && log.contains("refused with 505: unsupported HTTP version"),
        "{log}"
    );
    assert!(log.contains("closed with 1002: frame not masked"), "{log}");
    assert!(log.contains("DEBUG") && log.contains("connected from 127.0.0.1:"), "{log}");
    assert!(!log.contains("confidential"), "{log}");
}

#[test]
fn the_log_ends_with_the_number_of_omitted_lines() {
    let (mut program, address) = Program::start(&["--max-new-connections-per-second", "1000"]);
    for _ in 0..100 {
        assert_eq!(status_of(&address, "\0"), "400");
    }
    program.signal("TERM");
    let (_, log) = program.wait();
    let shown = log.matches("refused with 400: ").count();
    let counts =
        log.lines().filter_map(|line| line.strip_suffix(" more lines like these were dropped"));
    let counts = counts.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok());
    assert_eq!(shown + counts.sum::<usize>(), 100, "{log}");
}

#[test]
fn a_log_line_begins_with_its_time_in_utc_as_iso_8601() {
    let (mut program, _) = Program::start(&[]);
    program.signal("TERM");
    let (_, log) = program.wait();
    let shape = log[..log.find(' ').unwrap()].replace(|c: char| c.is_ascii_digit(), "0");
    assert_eq!(shape, "0000-00-00T00:00:00.000Z", "{log}");
}

#[test]
fn a_failure_is_one_clear_line_and_a_status() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let cases: &[(&[&str], i32, &str)] = &[
        (&["--listen", &taken], 1, &format!("townhall: cannot listen on {taken}: Address already")),
        (&["--listen", "192.0.2.1:0"], 1, "townhall: cannot listen on 192.0.2.1:0: Cannot assign"),
        (
            &["--max-backlog-size", "1"],
            2,
            "error: --max-backlog-size is 1, but must be at least --max-message-size, which is 16777216\n",
        ),
        (
            &["--max-message-size", "2147483648"],
            2,
            "error: --max-message-size is 2147483648, but must be at most 1073741824\n",
        ),
        (
            &["--max-head-size", "999999999"],
            2,
            "error: --max-incomplete-size is 268435456, but must be at least 2 times --max-head-size",
        ),
        (&["--subprotocol", "a b"], 2, "error: --subprotocol: \"a b\" is not a token"),
        (&["--deflate-level", "10"], 2, "error: --deflate-level is 10, but must be at most 9\n"),
        (&["--deflate-window-bits", "8"], 2, "error: --deflate-window-bits is 8, but must be at"),
        (
            &["--origin", "https://chat.example/app"],
            2,
            "error: invalid value 'https://chat.example/app' for '--origin <ORIGIN>': an origin ends",
        ),
        (
            &["--origin", "chat.example"],
            2,
            "error: invalid value 'chat.example' for '--origin <ORIGIN>': it has no scheme",
        ),
        (
            &["--host", "https://chat.example"],
            2,
            "error: invalid value 'https://chat.example' for '--host <HOST>': a host is a name",
        ),
        (
            &["--room", "lobby"],
            2,
            "error: invalid value 'lobby' for '--room <PATTERN>': it is a path without a query",
        ),
        (
            &["--listen", "a b"],
            2,
            "error: invalid value 'a b' for '--listen <ADDRESS>': \"a b\" is",
        ),
        (
            &["--listen", "nowhere.invalid"],
            1,
            "townhall: cannot resolve the host nowhere.invalid: ",
        ),
        (
            &["--mode", "echo", "--no-reflect"],
            2,
            "error: with --no-reflect and --mode echo, nobody",
        ),
    ];
    for &(flags, status, line) in cases {
        assert_fails(flags, status, line);
    }
}

/// Checks that the program ends with this status, and with a line on standard error that begins so.
fn assert_fails(flags: &[&str], status: i32, line: &str) {
    let output = run(flags);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(status), "{flags:?}: {stderr}");
    assert!(stderr.starts_with(line), "{flags:?}: {stderr}");
}

#[test]
fn the_help_names_every_flag_and_its_variable() {
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    let flags = "listen mode truncate no-reflect origin host room subprotocol trusted-proxy slow deflate \
        deflate-level deflate-window-bits deflate-threshold max-head-size max-headers \
        max-message-size max-fragments max-incomplete-size max-connections \
        max-connections-per-address max-new-connections-per-second max-messages-per-second \
        max-bytes-per-second max-rooms max-rooms-per-address max-room-name-length max-backlog-size \
        max-total-backlog-size socket-unsent-size min-frame-bytes-per-second handshake-timeout \
        keep-alive-timeout \
        ping-interval pong-timeout write-timeout throttle-timeout close-timeout shutdown-timeout \
        max-connection-age shutdown-delay shutdown-spread shutdown-code log-level admin-listen \
        admin-key-file unix-mode unix-owner reuse-port auth-key-file auth-cookie auth-query auth-audience \
        auth-issuer public-join public-publish state";
    for flag in flags.split_whitespace() {
        let variable = format!("TOWNHALL_{}", flag.replace('-', "_").to_uppercase());
        assert!(help.contains(&format!("--{flag}")) && help.contains(&variable), "{flag}: {help}");
    }
}

/// The environment of a started program.
fn environment(program: &Program) -> Vec<String> {
    let bytes = std::fs::read(format!("/proc/{}/environ", program.child.id())).unwrap();
    bytes.split(|&byte| byte == 0).map(|text| String::from_utf8_lossy(text).into_owned()).collect()
}

/// glibc reads its settings when a program starts. A program with elevated privileges does not see them.
#[test]
fn the_program_sets_a_threshold_for_glibc_unless_there_are_settings() {
    const SET: &str = "GLIBC_TUNABLES=glibc.malloc.mmap_threshold=65536";
    let (program, address) = Program::start(&["--room", "/with an argument"]);
    assert!(environment(&program).contains(&SET.to_owned()));
    connect(&address, "/with%20an%20argument");
    let settings = ["GLIBC_TUNABLES=glibc.malloc.check=0", "TOWNHALL_STARTED=1"];
    for setting in settings {
        let (name, value) = setting.split_once('=').unwrap();
        let mut command = townhall(&["--listen", "127.0.0.1:0"]);
        command.env(name, value);
        let (program, _) = Program::start_with(command);
        let environment = environment(&program);
        assert!(environment.contains(&setting.to_owned()));
        assert!(!environment.contains(&SET.to_owned()));
    }
}
