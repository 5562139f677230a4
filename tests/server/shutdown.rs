//! Graceful shutdown.

use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use townhall::{ClientId, CloseCode, Event, Hub};

use crate::support::{
    Client, PATIENCE, Running, chat, config, counting_chat, read_all, read_head, request,
};

/// Connects `size` clients, and waits until they have opened.
fn crowd(server: &Running, size: usize) -> Vec<Client> {
    let crowd: Vec<_> = (0..size).map(|_| server.connect("/")).collect();
    crowd.iter().for_each(|_| _ = server.opened());
    crowd
}

#[test]
fn a_shutdown_closes_many_clients_over_time() {
    let spread = Duration::from_secs(2);
    let mut config = config();
    config.shutdown.spread = spread;
    config.shutdown.timeout = 2 * spread;
    config.shutdown.code = CloseCode::SERVICE_RESTART;
    let server = Running::start(config, chat);
    let mut clients = crowd(&server, 200);
    let begin = Instant::now();
    server.handle.stop();
    for client in &mut clients {
        assert_eq!(client.receive_close(), (1012, "server shutting down".into()));
    }
    assert!(begin.elapsed() > spread * 3 / 4, "{:?}", begin.elapsed());
    clients.into_iter().for_each(Client::end);
    assert_eq!(server.join().len(), 200);
}

#[test]
fn the_application_learns_of_a_shutdown_before_anyone_is_closed() {
    let app = |hub: &mut Hub, client: ClientId, event: Event<'_>| match event {
        Event::Shutdown if client == ClientId::SERVER => hub.broadcast("/", "goodbye"),
        event => chat(hub, client, event),
    };
    let server = Running::start(config(), app);
    let mut client = crowd(&server, 1).remove(0);
    server.handle.stop();
    assert_eq!(client.receive(), "goodbye");
    assert_eq!(client.receive_close().0, 1001);
    client.end();
    server.join();
}

/// The answer to a plain request on a stream, without the head.
fn ask(stream: &mut TcpStream, path: &str) -> String {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let answer = String::from_utf8(read_all(stream)).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[test]
fn after_the_delay_requests_are_answered_and_upgrades_refused() {
    let mut config = config();
    config.shutdown.timeout = Duration::from_secs(60);
    let server = Running::start(config, counting_chat);
    let mut early = server.stream();
    let mut late = server.stream();
    // It connects after the others, so they have been accepted when it has opened.
    let mut last = crowd(&server, 1).remove(0);
    server.handle.stop();
    assert_eq!(last.receive_close().0, 1001);
    assert_eq!(ask(&mut early, "/stopping"), "true\n");
    late.write_all(request("/").as_bytes()).unwrap();
    let head = read_head(&mut late);
    assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("\r\nRetry-After: "), "{head}");
    last.end();
    assert_eq!(server.join().len(), 1);
}

#[test]
fn during_the_delay_clients_are_served_as_before() {
    let mut config = config();
    config.shutdown.delay = Duration::from_secs(600);
    let server = Running::start(config, counting_chat);
    assert_eq!(ask(&mut server.stream(), "/stopping"), "false\n");
    server.handle.stop();
    let deadline = Instant::now() + PATIENCE;
    while ask(&mut server.stream(), "/stopping") != "true\n" {
        assert!(Instant::now() < deadline);
    }
    let mut client = server.connect("/");
    client.send("hello");
    assert_eq!(client.receive(), "hello");
    server.handle.stop_now();
    assert_eq!(client.receive_close().0, 1001);
}

#[test]
fn after_the_delay_the_address_is_free_though_clients_are_still_there() {
    let delay = Duration::from_millis(300);
    let mut config = config();
    config.shutdown.delay = delay;
    config.shutdown.timeout = Duration::from_secs(60);
    config.timeouts.close = Duration::from_secs(60);
    let server = Running::start(config.clone(), chat);
    let mut client = server.connect("/");
    let begin = Instant::now();
    server.handle.stop();
    assert_eq!(client.receive_close().0, 1001);
    assert!(begin.elapsed() >= delay, "{:?}", begin.elapsed());
    config.listen = vec![server.address.into()];
    let next = Running::start(config, chat);
    assert_eq!(next.address, server.address);
    drop(next.connect("/"));
    client.end();
}

#[test]
fn a_connection_that_waits_when_the_server_stops_is_answered() {
    let mut config = config();
    config.shutdown.timeout = Duration::from_secs(60);
    let server = Running::start(config, counting_chat);
    let mut member = crowd(&server, 1).remove(0);
    let ((connected, wait), (reached, begun)) = (channel(), channel());
    let block = move |_: &mut Hub| {
        reached.send(()).unwrap();
        wait.recv_timeout(PATIENCE).unwrap();
    };
    server.handle.run(block).unwrap();
    begun.recv_timeout(PATIENCE).unwrap();
    server.handle.stop();
    let mut waiting = server.stream();
    connected.send(()).unwrap();
    assert_eq!(ask(&mut waiting, "/stopping"), "true\n");
    assert_eq!(member.receive_close().0, 1001);
    member.end();
}

#[test]
fn the_application_learns_once_that_the_server_stops() {
    let mut config = config();
    config.shutdown.delay = Duration::from_millis(200);
    let (sender, stops) = channel();
    let app = move |hub: &mut Hub, client: ClientId, event: Event<'_>| {
        if let Event::Stop = event {
            sender.send((client, hub.is_stopping())).unwrap();
        }
    };
    let server = Running::start(config, app);
    server.handle.stop();
    server.join();
    assert_eq!(stops.iter().collect::<Vec<_>>(), [(ClientId::SERVER, true)]);
}
