//! Unix sockets: their files, and the peers behind them.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::IpAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;

use townhall::{Config, Event, ListenAddress, Server};
use tungstenite::Message;

use crate::support::{PATIENCE, Running, chat, config, request, settle};

/// A directory for sockets.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("townhall-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // The directory for temporary files is cleaned anyway.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A configuration with a Unix socket beside the TCP address.
fn config_on(path: &Path) -> Config {
    let mut config = config();
    config.listen.push(ListenAddress::Unix(path.to_owned()).into());
    config
}

fn stream(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// The status of the answer to an upgrade with these header fields.
fn status(path: &Path, fields: &str) -> String {
    let mut stream = stream(path);
    let request = request("/").replacen("Host: localhost\r\n", fields, 1);
    stream.write_all(request.as_bytes()).unwrap();
    let mut line = [0; 12];
    stream.read_exact(&mut line).unwrap();
    String::from_utf8_lossy(&line[9..]).into_owned()
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

#[test]
fn clients_chat_over_a_unix_socket_with_those_on_tcp() {
    let directory = Directory::new("chat");
    let path = directory.path("socket");
    let server = Running::start(config_on(&path), chat);
    let mut over_tcp = server.connect("/room");
    let (mut over_unix, _) = tungstenite::client("ws://any/room", stream(&path)).unwrap();
    (0..2).for_each(|_| _ = server.opened());
    let long = "x".repeat(1_000_000);
    for text in ["short", &long] {
        over_unix.send(Message::text(text)).unwrap();
        assert_eq!(over_tcp.receive(), text);
        assert_eq!(over_unix.read().unwrap().into_text().unwrap().as_str(), text);
    }
    over_unix.close(None).unwrap();
    while over_unix.read().is_ok() {}
    drop(over_tcp);
    server.handle.stop();
    server.join();
    assert!(!path.exists(), "the file is removed at the end");
}

/// HAProxy with `server one unix@/path send-proxy-v2`.
#[test]
fn a_proxy_on_a_unix_socket_may_name_its_client_in_a_header() {
    let directory = Directory::new("proxied");
    let path = directory.path("socket");
    let mut config = config_on(&path);
    config.listen[1].proxy_protocol = true;
    config.trusted_proxies.clear();
    let (sender, addresses) = channel();
    let server = Running::start(config, move |_, _, event| {
        if let Event::Open { address, .. } = event {
            sender.send(address).unwrap();
        }
    });
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    let text = b"PROXY TCP4 192.0.2.7 198.51.100.1 50123 80\r\n";
    for (header, field, address) in [
        (&text[..], "X: a", Some("192.0.2.7")),
        (text, "X-Forwarded-For: 203.0.113.9", Some("192.0.2.7")),
        (local, "X-Forwarded-For: 203.0.113.9", Some("203.0.113.9")),
        (local, "X: a", None),
    ] {
        let request = request("/").replace("Host", &format!("{field}\r\nHost"));
        let mut stream = stream(&path);
        for part in [&header[..5], &header[5..], request.as_bytes()] {
            stream.write_all(part).unwrap();
            settle(&server);
        }
        let mut line = [0; 12];
        stream.read_exact(&mut line).unwrap();
        assert_eq!(&line[9..], b"101");
        assert_eq!(addresses.recv().unwrap(), address.map(|address| address.parse().unwrap()));
    }
}

#[test]
fn a_socket_has_its_mode() {
    let directory = Directory::new("mode");
    let [usual, strict] = ["usual", "strict"].map(|name| directory.path(name));
    let server = Server::bind(config_on(&usual)).unwrap();
    let mut config = config_on(&strict);
    config.sockets.unix_mode = 0o606;
    let other = Server::bind(config).unwrap();
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!([mode(&usual), mode(&strict)], [0o660, 0o606]);
    drop((server, other));
    assert!(!usual.exists() && !strict.exists());
}

#[test]
fn a_dead_socket_is_replaced_and_a_live_one_is_not() {
    let directory = Directory::new("dead");
    let path = directory.path("socket");
    drop(UnixListener::bind(&path).unwrap());
    assert!(is_socket(&path), "the socket is dead");
    let server = Running::start(config_on(&path), chat);
    assert_eq!(status(&path, "Host: a\r\n"), "101");
    let error = Server::bind(config_on(&path)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    let expected = format!("cannot listen on unix:{}: it is in use", path.display());
    assert_eq!(error.to_string(), expected);
    assert_eq!(status(&path, "Host: a\r\n"), "101", "the live one still serves");
    drop(server);
}

#[test]
fn a_file_that_is_not_a_socket_is_left_alone() {
    let directory = Directory::new("file");
    let path = directory.path("file");
    fs::write(&path, "precious").unwrap();
    let error = Server::bind(config_on(&path)).unwrap_err().to_string();
    assert!(error.ends_with(": a file there is not a socket"), "{error}");
    let link = directory.path("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(Server::bind(config_on(&link)).is_err());
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    assert!(Server::bind(config_on(&directory.path("no/directory"))).is_err());
    let long = directory.path(&"x".repeat(200));
    let error = Server::bind(config_on(&long)).unwrap_err().to_string();
    assert!(error.contains("path must be shorter than SUN_LEN; the path has"), "{error}");
}

#[test]
fn the_file_of_another_process_is_left_alone() {
    let directory = Directory::new("replaced");
    let path = directory.path("socket");
    let server = Server::bind(config_on(&path)).unwrap();
    fs::remove_file(&path).unwrap();
    // A file on the first one's inode would pass for it.
    let _other = File::create(directory.path("other")).unwrap();
    let _listener = UnixListener::bind(&path).unwrap();
    drop(server);
    assert!(is_socket(&path));
}

/// What a TCP client would need a trusted address for.
#[test]
fn a_peer_is_a_trusted_proxy() {
    let directory = Directory::new("proxy");
    let path = directory.path("socket");
    let mut config = config_on(&path);
    config.trusted_proxies = Vec::new();
    config.connections.max_per_address = 2;
    config.hosts = vec!["chat.example".parse().unwrap()];
    let (sender, addresses) = std::sync::mpsc::channel();
    let server = Running::start(config, move |_, _, event| {
        if let Event::Open { address, .. } = event {
            sender.send(address).unwrap();
        }
    });
    let mut kept = Vec::new();
    let mut join = |field: &str| {
        let mut stream = stream(&path);
        let fields = format!("Host: chat.example\r\n{field}");
        let request = request("/").replacen("Host: localhost\r\n", &fields, 1);
        stream.write_all(request.as_bytes()).unwrap();
        let mut line = [0; 12];
        stream.read_exact(&mut line).unwrap();
        kept.push(stream);
        String::from_utf8_lossy(&line[9..]).into_owned()
    };
    for _ in 0..2 {
        assert_eq!(join("X-Forwarded-For: 203.0.113.7, 192.0.2.1\r\n"), "101");
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        assert_eq!(addresses.recv_timeout(PATIENCE).unwrap(), Some(address));
    }
    assert_eq!(join("Forwarded: for=192.0.2.1\r\n"), "429");
    // Without an address, nothing is limited.
    for _ in 0..20 {
        assert_eq!(join(""), "101");
        assert_eq!(addresses.recv_timeout(PATIENCE).unwrap(), None);
    }
    assert_eq!(status(&path, "Host: evil.example\r\n"), "421");
    assert_eq!(status(&path, "Host: inner\r\nX-Forwarded-Host: chat.example\r\n"), "101");
    // The proxy may remove the port, as nginx does with `Host $host`.
    let page = "Host: chat.example\r\nOrigin: https://chat.example:8443\r\n";
    assert_eq!(status(&path, page), "101");
    let other = "Host: chat.example\r\nOrigin: https://evil.example\r\n";
    assert_eq!(status(&path, other), "403");
    // It may have ended TLS.
    let mut stream = stream(&path);
    stream.write_all(request("wss://chat.example/").as_bytes()).unwrap();
    let mut line = [0; 12];
    stream.read_exact(&mut line).unwrap();
    assert_eq!(line, *b"HTTP/1.1 101");
    drop(server);
}
