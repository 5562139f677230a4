//! Sockets that another process has bound, as a service manager passes them.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use tungstenite::protocol::Message;

use super::tls::{self, Folder};
use super::{PATIENCE, Program, connect, receive, send};

/// The program with these flags and one or two descriptors from 3 on (sd_listen_fds(3)). They come as its
/// standard input and output, because a child inherits no others. The shell moves them, and the output
/// goes to standard error if there are two.
fn activated(flags: &[&str], names: &str, first: OwnedFd, second: Option<OwnedFd>) -> Command {
    let count = if second.is_some() { "2" } else { "1" };
    let moved = if second.is_some() { "3<&0 4<&1 0</dev/null 1>&2" } else { "3<&0 0</dev/null" };
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("export LISTEN_PID=$$; exec \"$0\" \"$@\" {moved}"));
    shell.arg(env!("CARGO_BIN_EXE_townhall")).args(flags);
    shell.env("LISTEN_FDS", count).env("LISTEN_FDNAMES", names);
    shell.stdin(first).stdout(second.map_or_else(Stdio::piped, Stdio::from)).stderr(Stdio::piped());
    shell
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn clone(listener: &TcpListener) -> OwnedFd {
    listener.try_clone().unwrap().into()
}

/// A program that serves this socket.
pub fn start_on(listener: &TcpListener, flags: &[&str]) -> Program {
    let flags = [&["--listen", "systemd"], flags].concat();
    Program::start_with(activated(&flags, "web", clone(listener), None)).0
}

#[test]
fn it_serves_a_socket_that_was_passed_beside_its_own() {
    let (listener, address) = listener();
    let flags = ["--listen", "127.0.0.1:0,systemd"];
    let (mut program, own) =
        Program::start_with(activated(&flags, "unknown", clone(&listener), None));
    assert_eq!(program.address(), address.to_string());
    let mut clients = [own, address.to_string()].map(|address| connect(&address, "/"));
    send(&mut clients[0], "hello");
    clients.iter_mut().for_each(|client| assert_eq!(receive(client), "hello"));
}

#[test]
fn sockets_are_chosen_by_name_and_their_files_stay() {
    let (listener, address) = listener();
    let path = std::env::temp_dir().join(format!("townhall-passed-{}", std::process::id()));
    let unix = UnixListener::bind(&path).unwrap();
    let flags = ["--listen", "systemd:proxy", "--listen", "systemd"];
    let mut command = activated(&flags, "web:proxy", clone(&listener), Some(unix.into()));
    let mut child = command.spawn().unwrap();
    let mut over_tcp = connect(&address.to_string(), "/room");
    let stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut over_unix, _) = tungstenite::client("ws://any/room", stream).unwrap();
    over_unix.send(Message::text("hello")).unwrap();
    assert_eq!(receive(&mut over_tcp), "hello");
    drop((over_tcp, over_unix));
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut output = String::new();
    // It serves clients before it prints this, in the order of the flags.
    let last = format!("townhall is listening on http://{address}/\n");
    while !output.ends_with(&last) && stderr.read_line(&mut output).unwrap() > 0 {}
    let pid = child.id().to_string();
    assert!(Command::new("kill").arg(&pid).status().unwrap().success());
    stderr.read_to_string(&mut output).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{output}");
    let lines = format!("townhall is listening on unix:{}\n{last}", path.display());
    assert!(output.contains(&lines), "{output}");
    assert!(path.exists(), "the file belongs to whoever bound the socket");
    fs::remove_file(path).unwrap();
}

#[test]
fn a_socket_that_was_passed_speaks_tls_if_its_flag_says_so() {
    let (listener, address) = listener();
    let folder = Folder::new("passed-tls");
    let certificate = folder.write_certificate();
    let tls = ["--tls-cert", &folder.path("cert.pem"), "--tls-key", &folder.path("key.pem")];
    let flags = [&["--listen", "https://systemd:web"], &tls[..]].concat();
    let command = activated(&flags, "web", clone(&listener), None);
    let (_program, same) = Program::start_with(command);
    assert_eq!(same, address.to_string());
    let mut client = tls::connect(&same, &certificate);
    client.send(Message::text("hello")).unwrap();
    assert_eq!(client.read().unwrap().into_text().unwrap().as_str(), "hello");
}

#[test]
fn a_socket_that_was_passed_expects_proxy_headers_if_its_flag_says_so() {
    let (listener, address) = listener();
    let flags = ["--listen", "127.0.0.1:0,proxy+systemd"];
    let command = activated(&flags, "web", clone(&listener), None);
    let (mut program, _) = Program::start_with(command);
    let same = program.text_between("townhall is listening on proxy+http://", "/\n");
    assert_eq!(same, address.to_string());
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"PROXY TCP4 192.0.2.7 198.51.100.1 50123 80\r\n").unwrap();
    let (mut client, _) = tungstenite::client("ws://localhost/", stream).unwrap();
    send(&mut client, "hello");
    assert_eq!(receive(&mut client), "hello");
}

#[test]
fn sockets_that_it_cannot_use_are_refused_in_one_line() {
    let tcp = || OwnedFd::from(listener().0);
    let deaf = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    deaf.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let file = File::open("/dev/null").unwrap();
    let kind = "the descriptor \"web\" that was passed is neither a TCP nor a Unix stream socket";
    let path = std::env::temp_dir().join(format!("townhall-plain-{}", std::process::id()));
    let unix = UnixListener::bind(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let folder = Folder::new("passed");
    folder.write_certificate();
    let cases: [(OwnedFd, &str, &str); 6] = [
        (udp.into(), "systemd", kind),
        (file.into(), "systemd", kind),
        (deaf.into(), "systemd", "cannot listen on 127.0.0.1:"),
        (tcp(), "systemd:tls", "a socket named \"tls\" was not passed, only web"),
        (tcp(), "systemd:web,systemd", "another socket was not passed, only web"),
        (unix.into(), "https://systemd", "listen: unix:"),
    ];
    for (socket, listen, line) in cases {
        let tls = ["--tls-cert", &folder.path("cert.pem"), "--tls-key", &folder.path("key.pem")];
        let tls = if listen.starts_with("https") { &tls[..] } else { &[] };
        let flags = [&["--listen", listen], tls].concat();
        let output = activated(&flags, "web", socket, None).output().unwrap();
        assert_fault(&output, line);
    }
    let two = activated(&["--listen", "systemd:web"], "web:tls", tcp(), Some(tcp()));
    assert_fault(&{ two }.output().unwrap(), "the socket \"tls\" was passed, but nothing listens");
    let none = "no sockets were passed to this process: ";
    assert_fault(&super::run(&["--listen", "systemd"]), none);
    let mut other = super::townhall(&["--listen", "systemd"]);
    assert_fault(&other.env("LISTEN_FDS", "1").env("LISTEN_PID", "1").output().unwrap(), none);
}

fn assert_fault(output: &Output, line: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let expected = format!("townhall: {line}");
    assert!(stderr.starts_with(&expected) && stderr.lines().count() == 1, "{line}: {stderr}");
    assert_eq!(output.status.code(), Some(1), "{stderr}");
}

/// The number of clients that connect at the same time.
const CLIENTS: usize = 4;

/// The most attempts of each client.
const MAX_ATTEMPTS: usize = 20_000;

/// How many times the program is started again.
const RESTARTS: usize = 6;

/// Connects, and sends the request after `pause`, when the socket may have been accepted by a program
/// that is told to stop. Returns what went wrong.
fn attempt(address: SocketAddr, pause: Duration) -> Result<(), String> {
    let mut stream = TcpStream::connect(address).map_err(|error| format!("connect: {error}"))?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    thread::sleep(pause);
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
                   Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                   Sec-WebSocket-Version: 13\r\n\r\n";
    stream.write_all(request.as_bytes()).map_err(|error| format!("write: {error}"))?;
    let mut status = [0; 12];
    stream.read_exact(&mut status).map_err(|error| format!("read: {error}"))?;
    let status = String::from_utf8_lossy(&status).into_owned();
    if status == "HTTP/1.1 101" { Ok(()) } else { Err(status) }
}

#[test]
fn a_restart_refuses_nobody() {
    let (listener, address) = listener();
    let attempts = AtomicUsize::new(0);
    let done = AtomicUsize::new(0);
    let connect_until_done = |client: usize| {
        // Some clients send their request at once, and others let the program wait for it.
        let pause = Duration::from_millis((client % 2 * 5) as u64);
        for _ in 0..MAX_ATTEMPTS {
            if done.load(Ordering::Relaxed) > 0 {
                break;
            }
            attempt(address, pause)?;
            attempts.fetch_add(1, Ordering::Relaxed);
        }
        Ok::<_, String>(())
    };
    thread::scope(|scope| {
        let clients: Vec<_> =
            (0..CLIENTS).map(|client| scope.spawn(move || connect_until_done(client))).collect();
        let mut program = start_on(&listener, &[]);
        for restart in 0..RESTARTS {
            wait_for(&attempts, 100);
            program.signal("TERM");
            // As an orchestrator does it, or as systemd does.
            let overlapping = (restart % 2 == 0).then(|| start_on(&listener, &[]));
            assert_eq!(program.wait().0, Some(0));
            program = overlapping.unwrap_or_else(|| start_on(&listener, &[]));
        }
        wait_for(&attempts, 100);
        done.store(1, Ordering::Relaxed);
        for client in clients {
            assert_eq!(client.join().unwrap(), Ok(()));
        }
    });
}

/// Waits until there have been this many more attempts.
fn wait_for(attempts: &AtomicUsize, more: usize) {
    let wanted = attempts.load(Ordering::Relaxed) + more;
    let deadline = Instant::now() + PATIENCE;
    while attempts.load(Ordering::Relaxed) < wanted {
        assert!(Instant::now() < deadline, "no client connects");
        thread::sleep(Duration::from_millis(1));
    }
}

/// A client that the program has accepted, and that has not sent its request when the program is told to
/// stop, is served by a program whose socket was passed, and refused by another one.
#[test]
fn a_late_request_is_answered_and_the_client_is_sent_away() {
    let (listener, address) = listener();
    let flags = ["--shutdown-code", "1012", "--log-level", "debug"];
    let mut program = start_on(&listener, &flags);
    // Keeps the program from ending at once.
    let mut first = connect(&address.to_string(), "/");
    let late = TcpStream::connect(address).unwrap();
    late.set_read_timeout(Some(PATIENCE)).unwrap();
    // Connections are accepted in order.
    let mut last = connect(&address.to_string(), "/");
    program.signal("TERM");
    let Message::Close(Some(_)) = first.read().unwrap() else { panic!("no close") };
    let (mut late, _) = tungstenite::client("ws://localhost/", late).unwrap();
    let Message::Close(Some(frame)) = late.read().unwrap() else { panic!("no close") };
    assert_eq!(u16::from(frame.code), 1012);
    for client in [&mut first, &mut late, &mut last] {
        while client.read().is_ok() {}
    }
    assert_eq!(program.wait().0, Some(0));
    // What waits is left to the next program.
    let mut waiting = TcpStream::connect(address).unwrap();
    waiting.set_nonblocking(true).unwrap();
    let error = waiting.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}
