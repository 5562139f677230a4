//! `townhall connect`, against the program itself.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpListener;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::protocol::Message;

use super::tls::Folder;
use super::tokens::{made, secret};
use super::{PATIENCE, Program, connect, receive, send, townhall};

/// The command with these flags, connected to a path of a server.
fn command(address: &str, path: &str, flags: &[&str]) -> Command {
    let url = format!("ws://{address}{path}");
    townhall(&[&["connect", &url], flags].concat())
}

/// A started client, whose input is a pipe. It is killed when it is dropped.
struct Terminal {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<std::process::ChildStdout>,
    stderr: BufReader<std::process::ChildStderr>,
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // This fails if the client has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Terminal {
    /// A client that has connected.
    fn connected(command: &mut Command) -> Self {
        let mut terminal = Self::start(command);
        assert_eq!(terminal.note(), "townhall: connected");
        terminal
    }

    fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stdin, stdout, stderr }
    }

    fn type_line(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// The next line of the output.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end_matches('\n').to_owned()
    }

    /// The next line of standard error.
    fn note(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn json(&mut self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }

    /// The exit status, and the rest of standard error.
    fn end(mut self) -> (Option<i32>, String) {
        let mut notes = String::new();
        self.stderr.read_to_string(&mut notes).unwrap();
        (self.child.wait().unwrap().code(), notes)
    }
}

#[test]
fn lines_are_sent_and_what_comes_is_printed() {
    let (_server, address) = Program::start(&[]);
    let mut terminal = Terminal::connected(&mut command(&address, "/lobby", &["--pings"]));
    let mut member = connect(&address, "/lobby");
    terminal.type_line("hello, w\u{f6}rld");
    assert_eq!(
        (terminal.line(), receive(&mut member)),
        ("hello, w\u{f6}rld".into(), "hello, w\u{f6}rld".into())
    );
    send(&mut member, "two\nlines");
    assert_eq!((terminal.line(), terminal.line()), ("two".into(), "lines".into()));
    member.send(Message::binary(vec![0; 7])).unwrap();
    assert_eq!(terminal.note(), "townhall: 7 bytes came, which --binary or --json shows");

    drop(terminal.stdin.take());
    send(&mut member, "the input has ended");
    assert_eq!(terminal.line(), "the input has ended");
}

#[test]
fn a_pipe_that_only_sends_closes_once_everything_is_sent() {
    let (_server, address) = Program::start(&[]);
    let mut member = connect(&address, "/log");
    let mut terminal = Terminal::connected(&mut command(&address, "/log", &["--send-only"]));
    let lines: Vec<_> = (0..2_000).map(|number| format!("line {number}")).collect();
    terminal.type_line(&lines.join("\n"));
    drop(terminal.stdin.take());
    for line in &lines {
        assert_eq!(&receive(&mut member), line);
    }
    assert_eq!(terminal.line(), "");
    assert_eq!(terminal.end(), (Some(0), "townhall: closed\n".to_owned()));
}

#[test]
fn binary_messages_go_both_ways_as_they_are() {
    let (_server, address) = Program::start(&["--no-reflect"]);
    let mut terminal = Terminal::connected(&mut command(&address, "/", &["--binary"]));
    let mut member = connect(&address, "/");
    let bytes = [0, 10, 13, 255];
    terminal.stdin.as_mut().unwrap().write_all(&bytes).unwrap();
    assert_eq!(member.read().unwrap(), Message::binary(bytes.to_vec()));
    member.send(Message::binary(vec![1, 0, 2])).unwrap();
    send(&mut member, "!");
    let mut output = [0; 4];
    terminal.stdout.read_exact(&mut output).unwrap();
    assert_eq!(output, [1, 0, 2, b'!']);
}

#[test]
fn json_shows_everything_and_positions_lead_back() {
    let (_server, address) = Program::start(&["--history-messages", "10"]);
    let mut terminal =
        Terminal::start(&mut command(&address, "/lobby", &["--json", "--last", "5"]));
    assert_eq!(terminal.json()["subprotocol"], "townhall.v1");
    assert_eq!(terminal.json()["data"]["replay"], 0);
    ["a", "b", "c"].iter().for_each(|line| terminal.type_line(line));
    let first = terminal.json();
    let position = first["position"].as_str().unwrap().to_owned();
    assert_eq!(first, json!({"type": "text", "data": "a", "position": position}));
    assert!(position.ends_with(".1"));
    assert_eq!(
        (terminal.json()["data"].as_str(), terminal.json()["data"].as_str()),
        (Some("b"), Some("c"))
    );

    let flags = ["--json", "--after", &position];
    let mut terminal = Terminal::start(&mut command(&address, "/lobby", &flags));
    assert_eq!(terminal.json()["type"], "open");
    assert_eq!(terminal.json()["data"]["recovered"], true);
    assert_eq!(
        (terminal.json()["data"].as_str(), terminal.json()["data"].as_str()),
        (Some("b"), Some("c"))
    );
}

#[test]
fn the_close_code_is_the_exit_status() {
    let (server, address) = Program::start(&[]);
    let terminal = Terminal::connected(&mut command(&address, "/", &[]));
    server.signal("TERM");
    let (status, notes) = terminal.end();
    assert_eq!((status, &*notes), (Some(1), "townhall: closed with 1001: server shutting down\n"));

    let (_server, address) = Program::start(&["--max-message-size", "10"]);
    let mut terminal = Terminal::connected(&mut command(&address, "/", &[]));
    terminal.type_line("more than ten bytes");
    assert_eq!(
        terminal.end(),
        (Some(9), "townhall: closed with 1009: message too big\n".to_owned())
    );
}

#[test]
fn a_refusal_is_shown_with_its_status_and_body() {
    let (_server, address) = Program::start(&["--room", "/lobby"]);
    let (status, notes) = Terminal::start(&mut command(&address, "/other", &[])).end();
    assert_eq!((status, &*notes), (Some(17), "townhall: refused: 404 Not Found\nno such room\n"));

    let mut terminal = Terminal::start(&mut command(&address, "/other", &["--json"]));
    let shown =
        json!({"type": "refused", "status": 404, "reason": "Not Found", "body": "no such room\n"});
    assert_eq!(terminal.json(), shown);
}

#[test]
fn without_a_server_there_is_one_clear_line() {
    let (server, address) = Program::start(&[]);
    drop(server);
    let (status, notes) = Terminal::start(&mut command(&address, "/", &[])).end();
    assert_eq!(status, Some(16));
    assert!(notes.starts_with(&format!("townhall: cannot connect: {address}: ")), "{notes}");
    assert_eq!(notes.lines().count(), 1);

    let output = townhall(&["connect", "localhost:80"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("must begin with ws:// or wss://"));
}

#[test]
fn a_token_opens_the_door() {
    let (folder, flag) = secret("connect");
    let (_server, address) = Program::start(&flag.each_ref().map(|flag| &**flag));
    let token = made(&folder.path("secret"), &["--sub", "42", "--join", "/lobby"]);
    let (status, _) = Terminal::start(&mut command(&address, "/lobby", &[])).end();
    assert_eq!(status, Some(17));
    drop(Terminal::connected(&mut command(&address, "/lobby", &["--token", &token])));
    let mut from_variable = command(&address, "/lobby", &[]);
    drop(Terminal::connected(from_variable.env("TOWNHALL_TOKEN", &token)));
}

#[test]
fn it_comes_back_and_resumes_where_it_was() {
    let folder = Folder::new("connect-again");
    let state = folder.path("state");
    let flags = ["--history-messages", "10", "--state", &state];
    let (mut server, address) = Program::start(&flags);
    let mut terminal =
        Terminal::start(&mut command(&address, "/lobby", &["--json", "--reconnect"]));
    assert_eq!(
        (terminal.json()["type"].as_str(), terminal.json()["type"].as_str()),
        (Some("open"), Some("word"))
    );
    terminal.type_line("before");
    assert_eq!(terminal.json()["data"], "before");
    server.signal("TERM");
    assert_eq!(server.wait().0, Some(0));
    assert_eq!(terminal.json()["code"], 1001);
    assert_eq!(terminal.json()["type"], "reconnecting");

    let (_server, _) =
        Program::start_with(townhall(&[&["--listen", &address], &flags[..]].concat()));
    send(&mut connect(&address, "/lobby"), "meanwhile");
    terminal.type_line("after");
    // An attempt may fail while there is no server.
    let greeting = loop {
        let shown = terminal.json();
        if shown["type"] == "word" {
            break shown;
        }
    };
    assert_eq!(greeting["data"]["recovered"], true);
    let mut came = [terminal.json()["data"].clone(), terminal.json()["data"].clone()];
    came.sort_by_key(|data| data.to_string());
    assert_eq!(came, ["after", "meanwhile"]);
}

#[test]
fn tls_needs_a_certificate_that_is_trusted() {
    let folder = Folder::new("connect-tls");
    folder.write_certificate();
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| folder.path(name));
    let flags = ["--listen", "https://127.0.0.1:0", "--tls-cert", &certificate, "--tls-key", &key];
    let (_server, address) = Program::start_with(townhall(&flags));
    let url = format!("wss://localhost:{}/lobby", address.rsplit_once(':').unwrap().1);
    let mut trusting = townhall(&["connect", &url, "--tls-ca", &certificate]);
    let mut terminal = Terminal::connected(&mut trusting);
    terminal.type_line(&"x".repeat(200_000));
    assert_eq!(terminal.line().len(), 200_000);

    let other = Folder::new("connect-tls-other");
    other.write_certificate();
    let mut distrusting = townhall(&["connect", &url, "--tls-ca", &other.path("cert.pem")]);
    let (status, notes) = Terminal::start(&mut distrusting).end();
    assert_eq!(status, Some(16));
    assert!(notes.contains("cannot connect: invalid peer certificate"), "{notes}");

    let (status, notes) =
        Terminal::start(&mut townhall(&["connect", &url, "--tls-ca", &key])).end();
    assert_eq!(status, Some(16));
    assert!(notes.contains("no certificates"), "{notes}");
}

/// RFC 6455, section 4.1: "Clients MUST use the Server Name Indication extension".
#[test]
fn the_tls_handshake_names_the_host() {
    let [other, own] = ["other", "own"].map(|name| Folder::new(&format!("connect-sni-{name}")));
    other.write_certificate_for("other.example");
    own.write_certificate();
    let pairs = [&other, &own].map(|folder| ["cert.pem", "key.pem"].map(|name| folder.path(name)));
    let mut server = townhall(&["--listen", "https://127.0.0.1:0"]);
    for [certificate, key] in &pairs {
        server.args(["--tls-cert", certificate, "--tls-key", key]);
    }
    let (_server, address) = Program::start_with(server);
    let port = address.rsplit_once(':').unwrap().1;
    // A client that names no host gets the first certificate.
    let url = format!("wss://localhost:{port}/");
    drop(Terminal::connected(&mut townhall(&["connect", &url, "--tls-ca", &pairs[1][0]])));
}

/// RFC 9112, section 9.8: "Clients MUST send a closure alert before closing the connection."
#[test]
fn the_client_ends_tls_with_an_alert() {
    let folder = Folder::new("connect-alert");
    folder.write_certificate();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("wss://localhost:{}/", listener.local_addr().unwrap().port());
    let mut command = townhall(&["connect", &url, "--tls-ca", &folder.path("cert.pem")]);
    let client = Terminal::start(&mut command);
    let mut stream = folder.accept_tls(&listener);
    let mut request = [0; 4 << 10];
    assert_ne!(stream.read(&mut request).unwrap(), 0);
    stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").unwrap();
    assert_eq!(client.end().0, Some(17));
    // Without the alert, this is an error.
    assert_eq!(stream.read(&mut request).unwrap(), 0);
}

/// RFC 6455, section 7.1.1.
#[test]
fn the_client_leaves_the_end_of_the_connection_to_the_server() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut client = Terminal::start(&mut command(&address, "/", &["--send-only"]));
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        request.push(byte[0].into());
    }
    let key = request.split("Sec-WebSocket-Key: ").nth(1).unwrap().lines().next().unwrap();
    write!(
        stream,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: {}\r\n\r\n",
        townhall::protocol::accept_key(key)
    )
    .unwrap();
    drop(client.stdin.take());
    let mut close = [0; 8];
    stream.read_exact(&mut close).unwrap();
    assert_eq!(close[..2], [0x88, 0x82]);
    stream.write_all(b"\x88\x02\x03\xe8").unwrap();
    // The client does not end its side. Time is the subject.
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let error = stream.read(&mut [0]).expect_err("the connection is still there");
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    let begin = Instant::now();
    drop(stream);
    assert_eq!(client.end().0, Some(0));
    assert!(begin.elapsed() < Duration::from_secs(4), "it notices the end");
}

#[test]
fn a_signal_and_an_output_that_nobody_reads_close_politely() {
    let (_server, address) = Program::start(&[]);
    let terminal = Terminal::connected(&mut command(&address, "/", &[]));
    let id = terminal.child.id().to_string();
    assert!(Command::new("kill").args(["-s", "INT", &id]).status().unwrap().success());
    assert_eq!(terminal.end(), (Some(0), "townhall: closed\n".to_owned()));

    let mut terminal = Terminal::connected(&mut command(&address, "/", &[]));
    terminal.stdout = BufReader::new(spare_output());
    terminal.type_line("hello");
    assert_eq!(terminal.end(), (Some(0), "townhall: closed\n".to_owned()));
}

/// An output to read instead of one that is to be closed.
fn spare_output() -> std::process::ChildStdout {
    let mut child = Command::new("true").stdout(Stdio::piped()).spawn().unwrap();
    child.wait().unwrap();
    child.stdout.take().unwrap()
}
