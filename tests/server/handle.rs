//! A running server, controlled from other threads.

use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use townhall::{CloseCode, Handle, HandleError, Server};

use crate::support::{Client, PATIENCE, Running, chat, config};

/// The maximum number of queued commands.
const MAX_COMMANDS: usize = 4096;

fn start() -> Running {
    Running::start(config(), chat)
}

/// Blocks the event loop until something is sent to the channel.
fn block(handle: &Handle) -> Sender<()> {
    let ((release, released), (reached, begun)) = (channel(), channel());
    let wait = move |_: &mut _| {
        reached.send(()).unwrap();
        released.recv_timeout(PATIENCE).unwrap();
    };
    handle.run(wait).unwrap();
    begun.recv_timeout(PATIENCE).unwrap();
    release
}

/// Returns once all commands that were queued before have taken effect.
fn settle(handle: &Handle) {
    let (sender, receiver) = channel();
    handle.run(move |_| sender.send(()).unwrap()).unwrap();
    receiver.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn commands_of_one_handle_take_effect_in_order() {
    let server = start();
    let mut member = server.connect("/a");
    let mut other = server.connect("/b");
    let id = server.opened();
    let _ = server.opened();
    let handle = server.handle.clone();
    let publisher = thread::spawn(move || {
        for number in 0..1_000 {
            handle.broadcast("/a", number.to_string().as_str()).unwrap();
            handle.send(id, "for you").unwrap();
        }
        handle.broadcast("/nowhere", "for nobody").unwrap();
        handle.broadcast("/b", &[0xff, 0xfe][..]).unwrap();
        handle.close(id, CloseCode::NORMAL, "enough").unwrap();
        handle.broadcast("/a", "too late").unwrap();
    });
    for number in 0..1_000 {
        assert_eq!(member.receive(), number.to_string());
        assert_eq!(member.receive(), "for you");
    }
    assert_eq!(member.receive_close(), (1000, "enough".into()));
    assert_eq!(*other.0.read().unwrap().into_data(), [0xff, 0xfe]);
    publisher.join().unwrap();
}

#[test]
fn a_closure_does_what_the_application_can_and_returns_what_it_found() {
    let server = start();
    let mut members = [server.connect("/a"), server.connect("/a")];
    members.iter().for_each(|_| _ = server.opened());
    let (sender, receiver) = channel();
    server
        .handle
        .run(move |hub| {
            let ids: Vec<_> = hub.members("/a").collect();
            ids.iter().for_each(|&id| hub.send(id, "hello"));
            sender.send((ids.len(), hub.room_count(), thread::current().id())).unwrap();
        })
        .unwrap();
    let (count, rooms, thread) = receiver.recv_timeout(PATIENCE).unwrap();
    assert_eq!((count, rooms), (2, 1));
    assert_ne!(thread, thread::current().id());
    members.iter_mut().for_each(|member| assert_eq!(member.receive(), "hello"));
}

#[test]
fn commands_of_many_threads_all_take_effect() {
    let server = start();
    let mut member = server.connect("/a");
    server.opened();
    thread::scope(|scope| {
        for _ in 0..8 {
            let handle = server.handle.clone();
            scope.spawn(move || {
                for _ in 0..500 {
                    // 4,000 commands fit into the queue, even if none has run yet.
                    handle.broadcast("/a", "news").unwrap();
                }
            });
        }
    });
    (0..4_000).for_each(|_| assert_eq!(member.receive(), "news"));
}

#[test]
fn a_full_queue_refuses_commands_until_some_have_been_run() {
    let server = start();
    let mut member = server.connect("/a");
    server.opened();
    let release = block(&server.handle);
    for _ in 0..MAX_COMMANDS {
        server.handle.broadcast("/a", "news").unwrap();
    }
    assert_eq!(server.handle.broadcast("/a", "one too many"), Err(HandleError::Full));
    let refused = server.handle.run(|_| panic!("it was not queued"));
    assert_eq!(refused, Err(HandleError::Full));
    release.send(()).unwrap();
    (0..MAX_COMMANDS).for_each(|_| assert_eq!(member.receive(), "news"));
    server.handle.broadcast("/a", "more").unwrap();
    assert_eq!(member.receive(), "more");
}

#[test]
fn the_bytes_of_the_queue_are_limited_but_one_long_message_always_fits() {
    let server = start();
    let release = block(&server.handle);
    let long = vec![0; 80 << 20];
    server.handle.broadcast("/nowhere", &long[..]).unwrap();
    assert_eq!(server.handle.broadcast("/nowhere", "short"), Err(HandleError::Full));
    release.send(()).unwrap();
    settle_when_possible(&server.handle);
    let release = block(&server.handle);
    let part = vec![0; 30 << 20];
    (0..2).for_each(|_| server.handle.broadcast("/nowhere", &part[..]).unwrap());
    assert_eq!(server.handle.broadcast("/nowhere", &part[..]), Err(HandleError::Full));
    server.handle.broadcast("/nowhere", "short").unwrap();
    release.send(()).unwrap();
}

/// Waits until the queue has accepted a command and it has run.
fn settle_when_possible(handle: &Handle) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while handle.run(|_| {}) == Err(HandleError::Full) {
        assert!(std::time::Instant::now() < deadline, "the queue stays full");
        thread::yield_now();
    }
    settle(handle);
}

#[test]
fn commands_queued_before_the_server_runs_take_effect() {
    let server = Server::bind(config()).unwrap();
    let (sender, receiver) = channel();
    let handle = server.handle();
    handle.run(move |hub| sender.send(hub.client_count()).unwrap()).unwrap();
    let _running = Running::start_bound(server, chat);
    assert_eq!(receiver.recv_timeout(PATIENCE), Ok(0));
}

#[test]
fn stopping_is_graceful_however_often_it_is_asked_for() {
    let mut config = config();
    config.shutdown.timeout = Duration::from_secs(60);
    let server = Running::start(config, chat);
    let mut clients: Vec<_> = (0..3).map(|_| server.connect("/a")).collect();
    clients.iter().for_each(|_| _ = server.opened());
    server.handle.broadcast("/a", "goodbye").unwrap();
    (0..10).for_each(|_| server.handle.clone().stop());
    for client in &mut clients {
        assert_eq!(client.receive(), "goodbye", "it was sent before");
        assert_eq!(client.receive_close().0, 1001);
    }
    settle(&server.handle);
    clients.into_iter().for_each(Client::end);
    let handle = server.handle.clone();
    assert_eq!(server.join().len(), 3);
    handle.stop();
    handle.stop_now();
}

#[test]
fn a_server_whose_queue_is_full_can_be_stopped() {
    let server = start();
    let release = block(&server.handle);
    while server.handle.run(|_| {}).is_ok() {}
    server.handle.stop();
    release.send(()).unwrap();
    server.join();
}

#[test]
fn stop_now_waits_for_nobody_and_drops_the_queue() {
    let mut config = config();
    config.shutdown.timeout = Duration::from_secs(60);
    let server = Running::start(config, chat);
    let _stalled = server.raw("/a");
    server.opened();
    let release = block(&server.handle);
    let (kept, dropped) = channel::<()>();
    let closure = move |_: &mut _| kept.send(()).unwrap();
    server.handle.run(closure).unwrap();
    let handle = server.handle.clone();
    handle.stop_now();
    release.send(()).unwrap();
    assert_eq!(server.join().len(), 1);
    assert!(dropped.recv_timeout(PATIENCE).is_err(), "it was run");
    assert_eq!(handle.broadcast("/a", "news"), Err(HandleError::Closed));
    assert_eq!(handle.run(|_| {}), Err(HandleError::Closed));
}

#[test]
fn a_dropped_server_takes_no_commands() {
    let server = Server::bind(config()).unwrap();
    let handle = server.handle();
    handle.broadcast("/a", "news").unwrap();
    drop(server);
    assert_eq!(handle.broadcast("/a", "news"), Err(HandleError::Closed));
    handle.stop();
}

#[test]
fn a_server_can_be_sent_to_its_thread_and_a_handle_be_shared() {
    fn is_send<T: Send>() {}
    fn is_shared<T: Send + Sync + Clone + std::fmt::Debug + 'static>() {}
    is_send::<Server>();
    is_shared::<Handle>();
    is_shared::<HandleError>();
}
