//! Graceful shutdown.

use std::io::Write;
use std::time::{Duration, Instant};

use townhall::CloseCode;

use crate::support::{
    Client, PATIENCE, Running, chat, config, counting_chat, get, read_head, request,
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
fn during_a_shutdown_requests_are_answered_and_upgrades_refused() {
    let mut config = config();
    config.shutdown.timeout = Duration::from_secs(60);
    let server = Running::start(config, counting_chat);
    let mut last = crowd(&server, 1).remove(0);
    assert!(get(&server, "/stopping").ends_with("\r\n\r\nfalse\n"));
    server.handle.stop();
    let deadline = Instant::now() + PATIENCE;
    while !get(&server, "/stopping").ends_with("\r\n\r\ntrue\n") {
        assert!(Instant::now() < deadline);
    }
    let mut late = server.stream();
    late.write_all(request("/").as_bytes()).unwrap();
    let head = read_head(&mut late);
    assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("\r\nRetry-After: "), "{head}");
    assert_eq!(last.receive_close().0, 1001);
    last.end();
    assert_eq!(server.join().len(), 1);
}
