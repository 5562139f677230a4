//! Two processes that share their rooms.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use townhall::{Config, Event, ListenAddress, RoomLimits, Server};
use tungstenite::WebSocket;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// The token of the timer that passes on what has changed.
const EXCHANGE: u64 = 100;

/// What one process tells another. Its end is told without anything.
type News = Option<(Arc<str>, String)>;

fn bind() -> (Server, SocketAddr) {
    let mut config = Config::default();
    config.listen = vec!["127.0.0.1:0".parse().unwrap()];
    let server = Server::bind(config).unwrap();
    let ListenAddress::Tcp(address) = server.listening()[0].address else { panic!("no port") };
    (server, address)
}

/// Serves until the server is stopped, and then tells the other process that it has ended.
fn serve(server: Server, to: Sender<News>, from: Receiver<News>) -> JoinHandle<()> {
    let run = move || {
        let rooms = MemberRooms::new(vec!["/*".parse().unwrap()], RoomLimits::default());
        let counter = Counter::new(RoomLimits::default(), rooms.clone(), None);
        let mut presence = Presence::new(rooms, Audience { names: true, may_miss: false });
        presence.share();
        let app = |hub: &mut Hub, client, event: Event<'_>| match event {
            Event::Begin => _ = hub.set_timer(ClientId::SERVER, EXCHANGE, Duration::ZERO),
            Event::Open { room, .. } => {
                hub.join(client, room);
                presence.join(hub, client, room);
            }
            Event::Close(_) => presence.leave(hub, client),
            Event::Request(exchange) => {
                let response = counter.answer(&presence, hub, client, exchange.request());
                exchange.respond(response);
            }
            Event::Timer { token: EXCHANGE, .. } => {
                for (room, people) in presence.changes() {
                    let all = presence.all();
                    assert!(people.is_empty() || all.contains(&(room.clone(), people.clone())));
                    // This fails if the other process has ended.
                    let _ = to.send(Some((room, people.encode())));
                }
                for news in from.try_iter() {
                    hear(&mut presence, hub, news);
                }
                hub.set_timer(ClientId::SERVER, EXCHANGE, Duration::from_millis(5));
            }
            Event::Timer { token, .. } => presence.expire(hub, token),
            _ => {}
        };
        server.run(app).unwrap();
        let _ = to.send(None);
    };
    thread::spawn(run)
}

fn hear(presence: &mut Presence, hub: &mut Hub, news: News) {
    match news {
        Some((room, text)) => {
            let people = People::decode(text.as_bytes()).unwrap();
            presence.set_remote(hub, "other", &room, people);
        }
        None => presence.forget_process(hub, "other"),
    }
}

fn connect(address: SocketAddr, path: &str) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    tungstenite::client(format!("ws://{address}{path}"), stream).unwrap().0
}

fn receive(client: &mut WebSocket<TcpStream>) -> String {
    client.read().unwrap().into_text().unwrap().to_string()
}

/// The number of members of a room, according to a process.
fn ask(address: SocketAddr, room: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!("GET {room} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response.split_once("\"members\":").unwrap().1.trim_end_matches("}\n").to_owned()
}

/// Asks both processes until they agree on the number.
fn wait_for(addresses: &[SocketAddr], room: &str, members: &str) {
    let deadline = Instant::now() + PATIENCE;
    for &address in addresses {
        while ask(address, room) != members {
            assert!(Instant::now() < deadline, "{room} has {}", ask(address, room));
        }
    }
}

#[test]
fn members_add_up_over_processes() {
    let ((first, one), (second, two)) = (bind(), bind());
    let handles = [first.handle(), second.handle()];
    let ((to_first, by_second), (to_second, by_first)) = (channel(), channel());
    let threads = [serve(first, to_second, by_second), serve(second, to_first, by_first)];
    let mut watcher = connect(two, "/a/@members");
    assert_eq!(receive(&mut watcher), r#"{"members":[],"count":0}"#);
    let mut member = connect(one, "/a");
    assert_eq!(receive(&mut watcher), r#"{"joined":[],"left":[],"count":1}"#);
    let _second_member = connect(two, "/a");
    assert_eq!(receive(&mut watcher), r#"{"joined":[],"left":[],"count":2}"#);
    wait_for(&[one, two], "/a", "2");
    wait_for(&[one, two], "/a/@members", "1");
    // One who begins to watch gets the people of both.
    let mut watcher = connect(one, "/a/@members");
    assert_eq!(receive(&mut watcher), r#"{"members":[],"count":2}"#);
    member.close(None).unwrap();
    wait_for(&[one, two], "/a", "1");
    handles[1].stop_now();
    wait_for(&[one], "/a", "0");
    handles[0].stop_now();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}
