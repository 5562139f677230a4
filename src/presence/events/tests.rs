//! Two servers: one that is watched, and one for the watchers.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::thread;

use townhall::{Config, Event, ListenAddress, Server};
use tungstenite::{Message, WebSocket};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// The maximum number of commands in the queue of a handle.
const QUEUE: usize = 4096;

fn bind() -> (Server, SocketAddr) {
    let mut config = Config::default();
    config.listen = vec!["127.0.0.1:0".parse().unwrap()];
    let server = Server::bind(config).unwrap();
    let ListenAddress::Tcp(address) = server.listening()[0].address else { panic!("no port") };
    (server, address)
}

fn connect(address: SocketAddr, path: &str) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    tungstenite::client(format!("ws://{address}{path}"), stream).unwrap().0
}

/// The next message.
fn read(client: &mut WebSocket<TcpStream>) -> Message {
    loop {
        match client.read() {
            // Reads with a timeout are interrupted when a stopped machine continues.
            Err(tungstenite::Error::Io(error)) if error.kind() == ErrorKind::Interrupted => {}
            message => return message.unwrap(),
        }
    }
}

fn receive(client: &mut WebSocket<TcpStream>) -> String {
    read(client).into_text().unwrap().to_string()
}

/// Serves members until the server is stopped. Whether anything is kept for watchers is in `keeps`.
fn watched(
    server: Server,
    watchers: Handle,
    keeps: Arc<Mutex<bool>>,
) -> (thread::JoinHandle<()>, Requests) {
    let (sender, requests) = channel();
    let run = move || {
        let (mut events, requests) = Events::new(server.handle(), watchers, false);
        sender.send(requests).unwrap();
        let app = |hub: &mut Hub, client, event: Event<'_>| {
            match event {
                Event::Open { room, .. } => {
                    hub.join(client, room);
                    events.join(hub, client, room);
                }
                Event::Close(_) => events.leave(hub, client),
                Event::Timer { token: EVENTS, .. } => events.send(hub),
                _ => {}
            }
            *keeps.lock().unwrap() = events.watched.is_some();
        };
        server.run(app).unwrap();
    };
    (thread::spawn(run), requests.recv().unwrap())
}

/// Serves watchers of all rooms until the server is stopped.
fn watching(server: Server, requests: Requests) -> thread::JoinHandle<()> {
    let run = move || {
        let app = |hub: &mut Hub, client, event: Event<'_>| match event {
            Event::Open { .. } => {
                let watch = requests.watch(hub, client, Subject::Rooms).unwrap();
                hub.set_data(client, watch);
            }
            Event::Close(_) => requests.leave(hub.take_data(client).unwrap()),
            _ => {}
        };
        server.run(app).unwrap();
    };
    thread::spawn(run)
}

#[test]
fn nothing_is_kept_without_watchers() {
    let ((first, address), (second, admin)) = (bind(), bind());
    let handles = [first.handle(), second.handle()];
    let keeps = Arc::default();
    let (thread, requests) = watched(first, second.handle(), Arc::clone(&keeps));
    let threads = [thread, watching(second, requests)];
    let mut member = connect(address, "/a");
    member.send(Message::text("hello")).unwrap();
    assert!(!*keeps.lock().unwrap());
    for _ in 0..2 {
        let mut watcher = connect(admin, "/");
        assert_eq!(receive(&mut watcher), r#"{"rooms":["/a"],"count":1}"#);
        drop(watcher);
        let deadline = Instant::now() + PATIENCE;
        while *keeps.lock().unwrap() {
            assert!(Instant::now() < deadline);
            thread::yield_now();
        }
    }
    handles.iter().for_each(Handle::stop_now);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// A watcher misses a message if the queue is full, and must learn of it.
#[test]
fn a_message_that_is_lost_closes_the_watchers() {
    let ((first, address), (second, admin)) = (bind(), bind());
    let handles = [first.handle(), second.handle()];
    let (thread, requests) = watched(first, second.handle(), Arc::default());
    let threads = [thread, watching(second, requests)];
    let mut watcher = connect(admin, "/");
    assert_eq!(receive(&mut watcher), r#"{"rooms":[],"count":0}"#);
    // The server of the watchers is held up, and its queue is filled.
    let (release, held) = channel::<()>();
    let (begin, begun) = channel();
    let hold = move |_: &mut Hub| {
        begin.send(()).unwrap();
        let _ = held.recv();
    };
    handles[1].run(hold).unwrap();
    begun.recv_timeout(PATIENCE).unwrap();
    for _ in 0..QUEUE {
        handles[1].run(|_| ()).unwrap();
    }
    assert_eq!(handles[1].run(|_| ()), Err(HandleError::Full));
    let member = connect(address, "/lost");
    // Its room is told a second after the last message, in vain. Then the server still answers.
    thread::sleep(INTERVAL * 2);
    let (done, answered) = channel();
    handles[0].run(move |_| done.send(()).unwrap()).unwrap();
    answered.recv_timeout(PATIENCE).unwrap();
    drop(release);
    let Message::Close(Some(frame)) = read(&mut watcher) else { panic!("no close") };
    assert_eq!(
        (u16::from(frame.code), &*frame.reason),
        (1013, "messages were lost: connect again")
    );
    let mut again = connect(admin, "/");
    assert_eq!(receive(&mut again), r#"{"rooms":["/lost"],"count":1}"#);
    drop(member);
    assert_eq!(receive(&mut again), r#"{"occupied":[],"vacated":["/lost"],"count":0}"#);
    handles.iter().for_each(Handle::stop_now);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}
