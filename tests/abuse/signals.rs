//! Shutdowns under load.

use std::net::TcpStream;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tungstenite::WebSocket;
use tungstenite::protocol::Message;

use crate::peer::{Peer, frame, request};
use crate::process::Program;
use crate::support::{PATIENCE, eventually};

/// Sends messages until the server closes, and returns what was received.
fn talk(address: &str, name: usize, all: &Barrier, sent: &AtomicU32) -> Vec<String> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut member = tungstenite::client(format!("ws://{address}/"), stream).unwrap().0;
    all.wait();
    let mut received = Vec::new();
    for number in 0.. {
        let text = format!("{name}: {number}");
        member.send(Message::text(&*text)).unwrap();
        sent.fetch_add(1, Ordering::Relaxed);
        while received.last() != Some(&text) {
            match member.read().unwrap() {
                Message::Text(text) => received.push(text.to_string()),
                Message::Close(Some(frame)) => {
                    assert_eq!((frame.code.into(), &*frame.reason), (1001, "server shutting down"));
                    end(member);
                    return received;
                }
                other => panic!("{other:?}"),
            }
        }
    }
    unreachable!("there are numbers enough")
}

/// Answers the close frame, after which only the end of the connection may follow.
fn end(mut member: WebSocket<TcpStream>) {
    let error = member.read().unwrap_err();
    assert!(matches!(error, tungstenite::Error::ConnectionClosed), "{error}");
}

/// All members have received the same sequence without gaps before 1001.
#[test]
fn a_stop_under_load_follows_complete_sequences() {
    const MEMBERS: usize = 20;
    let mut program = Program::start(&[]);
    let all = Barrier::new(MEMBERS);
    let sent = AtomicU32::new(0);
    let talk = &|name| talk(&program.address, name, &all, &sent);
    let received = thread::scope(|scope| {
        let members = (0..MEMBERS).map(|name| scope.spawn(move || talk(name)));
        let members: Vec<_> = members.collect();
        eventually("they talk", || sent.load(Ordering::Relaxed) > 2_000);
        program.signal("TERM");
        members.into_iter().map(|member| member.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(received[0].len() > 1_000);
    assert!(received.iter().all(|one| *one == received[0]), "all have received the same");
    for name in 0..MEMBERS {
        let of_one = received[0].iter().filter_map(|text| text.strip_prefix(&format!("{name}: ")));
        assert!(of_one.enumerate().all(|(n, number)| number == n.to_string()), "without a gap");
    }
    assert_eq!(program.wait(), Some(0));
}

/// Peers that try to keep the server from ending, in every way.
fn nuisances(program: &Program) -> Vec<Peer> {
    let address = &program.address;
    let mut peers = Vec::new();
    for _ in 0..20 {
        peers.push(Peer::connect(address));
        let unfinished = Peer::connect(address);
        unfinished.send(&request("/").as_bytes()[..50]);
        let answered = Peer::connect(address);
        answered.send(b"GET / HTTP/1.0\r\n\r\n");
        let in_frame = Peer::join(address, "/in-frame");
        in_frame.send(&frame(0x82, &[0; 1_000])[..100]);
        let failed = Peer::join(address, "/failed");
        failed.send(b"\x81\x01a");
        let silent = Peer::join(address, "/silent");
        peers.extend([unfinished, answered, in_frame, failed, silent]);
    }
    peers
}

#[test]
fn peers_that_do_not_answer_keep_the_server_no_longer_than_its_shutdown_timeout() {
    let flags = ["--shutdown-timeout", "1s", "--close-timeout", "60s"];
    let mut program = Program::start(&flags);
    let _peers = nuisances(&program);
    let loud = Peer::join(&program.address, "/loud");
    thread::scope(|scope| {
        // It sends without end, and does not read.
        scope.spawn(|| while loud.try_send(&frame(0x82, &[0; 10_000])).is_ok() {});
        let begin = Instant::now();
        program.signal("TERM");
        assert_eq!(program.wait(), Some(0));
        let took = begin.elapsed();
        assert!(took >= Duration::from_secs(1), "they had their second: {took:?}");
        assert!(took < Duration::from_secs(10), "{took:?}");
    });
}

#[test]
fn peers_that_do_not_answer_are_dropped_after_the_close_timeout() {
    let flags = ["--shutdown-timeout", "60s", "--close-timeout", "1s"];
    let mut program = Program::start(&flags);
    let _peers = nuisances(&program);
    let begin = Instant::now();
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let flags = ["--shutdown-timeout", "60s", "--close-timeout", "60s"];
    let mut program = Program::start(&flags);
    let _peers = nuisances(&program);
    program.signal("TERM");
    program.log_line("shutting down, 60 connections open");
    program.signal("INT");
    let begin = Instant::now();
    assert_eq!(program.wait(), Some(0));
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}

/// A client that connects during the shutdown is turned away, by the system or by a close frame.
#[test]
fn a_stop_during_a_flood_of_connections_ends() {
    let mut program = Program::start(&[]);
    let address = program.address.clone();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Ok(stream) = TcpStream::connect(&address) {
                    let mut stream = std::io::BufReader::new(stream);
                    // The server may close it at any time.
                    let asked = request("/");
                    let _ = std::io::Write::write_all(stream.get_mut(), asked.as_bytes());
                    let _ = std::io::BufRead::read_until(&mut stream, b'\n', &mut Vec::new());
                }
            });
        }
        (0..500).for_each(|_| _ = program.log_line("connected from"));
        program.signal("TERM");
        assert_eq!(program.wait(), Some(0));
    });
}
