//! The examples, run as their headers describe.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tungstenite::WebSocket;
use tungstenite::protocol::Message;

const PATIENCE: Duration = Duration::from_secs(20);

/// A started example. It is killed when it is dropped.
struct Example {
    child: Child,
    address: String,
}

impl Example {
    fn start(name: &str) -> Self {
        let mut cargo = Command::new(env!("CARGO"));
        // On Unix, the example replaces the process of cargo.
        cargo.args(["run", "--quiet", "--example", name, "127.0.0.1:0"]);
        let mut child = cargo.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.strip_prefix("townhall is listening on http://");
        let address = address.and_then(|rest| rest.strip_suffix("/\n")).expect(&line).to_owned();
        Self { child, address }
    }

    fn stream(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn connect(&self, target: &str) -> Client {
        let url = format!("ws://{}{target}", self.address);
        Client(tungstenite::client(url, self.stream()).unwrap().0)
    }

    /// The complete answer to a plain request.
    fn get(&self, path: &str) -> String {
        let mut stream = self.stream();
        let mut answer = String::new();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // This fails if the example has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Client(WebSocket<TcpStream>);

impl Client {
    fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).unwrap();
    }

    fn receive(&mut self) -> String {
        self.0.read().unwrap().into_text().unwrap().to_string()
    }
}

#[test]
fn whisper_sends_to_one_client_or_to_all() {
    let example = Example::start("whisper");
    let mut clients = [1, 2].map(|number| {
        let mut client = example.connect("/");
        assert_eq!(client.receive(), format!("you are number {number}"));
        client
    });
    clients[0].send("@2 psst");
    clients[0].send("hello");
    assert_eq!(clients[0].receive(), "hello");
    assert_eq!([clients[1].receive(), clients[1].receive()], ["psst", "hello"]);
}

#[test]
fn publish_sends_from_another_thread() {
    let example = Example::start("publish");
    let mut clock = example.connect("/clock");
    let first: u64 = clock.receive().parse().unwrap();
    assert_eq!(clock.receive(), (first + 1).to_string());
    let mut talker = example.connect("/talk");
    talker.send("hello");
    assert_eq!(talker.receive(), "hello");
}

#[test]
fn http_serves_plain_requests_beside_rooms() {
    let example = Example::start("http");
    let page = example.get("/");
    assert!(page.starts_with("HTTP/1.1 200 ") && page.contains("<!doctype html>"), "{page}");
    assert!(example.get("/lobby").starts_with("HTTP/1.1 426 "));
    let url = format!("ws://{}/lobby?token=wrong", example.address);
    let refused = tungstenite::client(url, example.stream()).unwrap_err().to_string();
    assert!(refused.contains("401"), "{refused}");
    let mut member = example.connect("/lobby?token=secret");
    member.send("hello");
    assert_eq!(member.receive(), "hello");
    assert!(example.get("/rooms").ends_with("\r\n\r\n1 in /lobby\n"));
}

/// A started example of a client, with its output.
#[cfg(feature = "client")]
fn start_client(name: &str, address: &str) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut cargo = Command::new(env!("CARGO"));
    let url = format!("ws://{address}/lobby");
    cargo.args(["run", "--quiet", "--example", name, "--", &url, "hello", "g\u{fc}nther"]);
    let mut child = cargo.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    (child, stdout)
}

#[test]
#[cfg(feature = "client")]
fn the_clients_talk_to_the_server_on_tokio() {
    let example = Example::start("tokio_server");
    let mut client = example.connect("/");
    client.send("hello");
    assert_eq!(client.receive(), "hello");
    assert!(example.get("/").starts_with("HTTP/1.1 426 "));

    for name in ["client", "tokio_client"] {
        let (mut child, mut stdout) = start_client(name, &example.address);
        for expected in ["hello\n", "g\u{fc}nther\n"] {
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            assert_eq!(line, expected, "{name}");
        }
        if name == "client" {
            assert!(child.wait().unwrap().success(), "it has closed");
        }
        // This fails if the client has already ended.
        let _ = child.kill();
        child.wait().unwrap();
    }
}

#[test]
#[cfg(feature = "cli")]
fn the_man_page_and_the_completions_name_the_flags() {
    let directory = std::env::temp_dir().join(format!("townhall-generate-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["run", "--quiet", "--example", "generate", "--"]).arg(&directory);
    assert!(cargo.status().unwrap().success());
    for file in ["townhall.1", "townhall.bash", "townhall.fish", "_townhall"] {
        let text = std::fs::read_to_string(directory.join(file)).expect(file);
        // A man page escapes hyphens.
        let text = text.replace("\\-", "-");
        for flag in ["listen", "max-connections", "shutdown-delay", "check"] {
            assert!(text.contains(flag), "{file}: {flag}");
        }
    }
    std::fs::remove_dir_all(directory).unwrap();
}
