//! What the application does and sees, and what its clients must therefore receive.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::config::Config;
use crate::protocol::{CloseCode, Message, Position, Response, Start};
use crate::server::client_id::ClientId;
use crate::server::departure::Departure;
use crate::server::event::{Deferred, Event, Exchange};
use crate::server::hub::Hub;
use crate::server::system;

use super::elsewhere::Newcomer;
use super::plan::ROOMS;

/// The field of a request that names its connection.
pub(super) const CONNECTION: &str = "X-Connection";

/// How late a timer may fire: as late as the poll, and one turn later.
const TIMER_LATE: Duration = Duration::from_millis(20);

/// What a client must receive next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expected {
    /// The greeting of a room with history, which ends here. Nothing up to the number `floor` may be replayed.
    Greeting { start: Start, end: Position, floor: u64, replay_bytes: usize },
    /// A message, with the epoch and the number of the place after it if it was said in a room that has history.
    Message(Option<(u64, u64)>, Vec<u8>),
}

/// The size of a message in a log.
pub(super) fn length_in_log(message: &[u8]) -> usize {
    message.len() + 4
}

/// A client that has opened.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) connection: usize,
    pub(super) expected: VecDeque<Expected>,
    pub(super) room: Option<String>,
    pub(super) hears_words: bool,
    pub(super) departure: Option<(Departure, Duration)>,
    /// The size of what its room has said behind its place in the log, and what it does not receive: its own
    /// messages, and all since it was closed.
    pub(super) size_for_others: usize,
    /// The number of messages that it misses and has not been told of: its greeting has come before them.
    pub(super) untold: usize,
    /// Whether the application has closed it.
    pub(super) is_dismissed: bool,
    /// When its timer is due.
    pub(super) timer: Option<Instant>,
}

impl Member {
    fn new(connection: usize, hears_words: bool) -> Self {
        Self {
            connection,
            expected: VecDeque::new(),
            room: None,
            hears_words,
            departure: None,
            size_for_others: 0,
            untold: 0,
            is_dismissed: false,
            timer: None,
        }
    }

    /// Whether it is told what it misses: it hears words, and its room has history.
    pub(super) fn is_told(&self) -> bool {
        self.hears_words && self.room.as_deref() != Some(ROOMS[2])
    }

    /// The size of the messages that it has not received.
    pub(super) fn expected_bytes(&self) -> usize {
        let size = |next: &Expected| match next {
            Expected::Message(_, message) => length_in_log(message),
            Expected::Greeting { replay_bytes, .. } => 100 + replay_bytes,
        };
        self.expected.iter().map(size).sum()
    }

    /// The size of its backlog, as the log counts it.
    pub(super) fn backlog(&self) -> usize {
        self.expected_bytes() + self.size_for_others
    }
}

/// Messages by the epoch and the number of the place after them.
pub(super) type Said = BTreeMap<(u64, u64), Vec<u8>>;

/// Everything that the application has done and seen.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) members: BTreeMap<ClientId, Member>,
    /// The addresses that connections have named, or come from.
    pub(super) addresses: BTreeMap<usize, IpAddr>,
    /// The clients of the connections.
    pub(super) clients: BTreeMap<usize, ClientId>,
    /// The messages of the rooms that have history, by the place after them.
    pub(super) said: Said,
    /// For each epoch that was restored, the number up to which nothing is kept.
    pub(super) floors: BTreeMap<u64, u64>,
    /// Whether clients wait for their rooms, and those that do.
    pub(super) are_rooms_elsewhere: bool,
    pub(super) newcomers: Vec<Newcomer>,
    /// What peers have said, and the application has not heard.
    pub(super) sent: BTreeMap<usize, VecDeque<Vec<u8>>>,
    /// The bodies of requests that peers have sent, and the application has not seen.
    pub(super) posts: BTreeMap<usize, VecDeque<Vec<u8>>>,
    /// The bodies of requests that the application has seen, and whose answers were not written.
    pub(super) answers: BTreeMap<usize, VecDeque<Vec<u8>>>,
    /// The requests that wait for an answer.
    pub(super) deferred: Vec<(Deferred, Vec<u8>)>,
    /// When something was said last.
    pub(super) said_at: Duration,
    /// The number of closures that have run.
    pub(super) run: usize,
    /// Whether the application has paused the reading at any time.
    pub(super) was_paused: bool,
    /// Those whose departure has not been checked.
    pub(super) departed: Vec<ClientId>,
    pub(super) asked_to_stop: Option<Duration>,
    pub(super) shut_down: Option<Duration>,
}

/// The record, which the application, peers and closures on the server's thread share.
pub(super) type Shared = Arc<Mutex<Record>>;

fn now() -> Duration {
    system::with(|kernel| kernel.elapsed())
}

/// The application. It does not hold the record while it calls the hub, which may write, during which
/// peers act.
#[derive(Debug, Clone, Default)]
pub(super) struct App(pub(super) Shared);

impl App {
    pub(super) fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock().expect("nobody has panicked")
    }

    pub(super) fn handle(&self, hub: &mut Hub, client: ClientId, event: Event<'_>) {
        match event {
            Event::Open { room, request, start, address, .. } => {
                let connection = request.header(CONNECTION).and_then(|id| id.parse().ok());
                let connection = connection.expect("the number of the connection");
                let hears_words = hub.hears_words(client);
                let mut record = self.record();
                record.open(client, Member::new(connection, hears_words));
                record.check_address(connection, address, &hub.config);
                if record.are_rooms_elsewhere {
                    let room = room.to_owned();
                    return record.newcomers.push(Newcomer { client, room, start });
                }
                drop(record);
                self.join(hub, client, room, start);
            }
            Event::Message(message) => self.receive(hub, client, message),
            Event::Request(exchange) => self.answer(hub, exchange),
            Event::Close(departure) => self.record().close(client, departure),
            Event::Timer { token } => {
                assert_eq!(token, 1);
                self.record().fire(client, hub.time.now);
                self.send(hub, client, b"dring");
            }
            Event::Stop => self.record().asked_to_stop = Some(now()),
            Event::Shutdown => self.record().shut_down = Some(now()),
            _ => {}
        }
    }

    /// Checks that no timer is late: all fire that were due at the end of the last wait but one.
    pub(super) fn check_timers(&self, hub: &Hub) {
        let record = self.record();
        let members = record.members.values().filter(|member| member.departure.is_none());
        let due = members.filter_map(|member| member.timer).min();
        assert!(due.is_none_or(|due| due > hub.time.read_until), "a timer has not fired");
    }

    pub(super) fn join(&self, hub: &mut Hub, client: ClientId, room: &str, start: Start) {
        if hub.join_from(client, room, start) {
            let end = hub.position(room);
            self.record().join(client, room, start, end);
        }
    }

    /// Does what the first byte of a message says.
    fn receive(&self, hub: &mut Hub, client: ClientId, message: Message<'_>) {
        let payload = message.payload();
        assert!(hub.is_open(client), "{client} is heard although it is closed");
        let hears_words = self.record().hear(client, payload);
        super::log(format_args!("{client} in {:?} says {payload:?}", hub.room_of(client)));
        match payload[0] {
            b'd' => self.send(hub, client, payload),
            b'j' if !hears_words => {
                let room = ROOMS[usize::from(payload[1]) % ROOMS.len()];
                self.join(hub, client, room, Start::Now);
            }
            b'c' => {
                self.record().member(client).is_dismissed = true;
                hub.close(client, CloseCode::NORMAL, "as you wish");
            }
            b't' => {
                let delay = Duration::from_millis(u64::from(payload[1]) * 10);
                self.record().member(client).timer = Some(hub.time.now + delay);
                hub.set_timer(client, 1, delay);
            }
            b'o' if !hears_words => {
                self.say_in_room_of(hub, client, payload, Some(client));
                hub.publish_to_others(client, payload);
            }
            _ => {
                self.say_in_room_of(hub, client, payload, None);
                hub.publish(client, payload);
            }
        }
    }

    /// Publishes the body of a request, and answers with it, at once or later.
    fn answer(&self, hub: &mut Hub, exchange: Exchange<'_>) {
        let connection = exchange.request().header(CONNECTION).and_then(|id| id.parse().ok());
        let Some(connection) = connection.filter(|_| exchange.request().method() == "POST") else {
            return;
        };
        let body = exchange.body();
        let room = exchange.request().normal_path();
        self.record().see(connection, body);
        self.record().say(hub, &room, body, None);
        hub.broadcast(&room, body);
        if body[1].is_multiple_of(2) {
            exchange.respond(Response::new(200).body(body.to_vec()));
        } else {
            self.record().deferred.push((exchange.defer(), body.to_vec()));
        }
    }

    fn say_in_room_of(
        &self,
        hub: &Hub,
        client: ClientId,
        payload: &[u8],
        except: Option<ClientId>,
    ) {
        let room = self.record().member(client).room.clone();
        if let Some(room) = room {
            self.record().say(hub, &room, payload, except);
        }
    }

    fn send(&self, hub: &mut Hub, client: ClientId, payload: &[u8]) {
        if hub.is_open(client) {
            let message = Expected::Message(None, payload.to_vec());
            self.record().member(client).expected.push_back(message);
        }
        hub.send(client, payload);
    }

    /// Sends a message to a room from outside.
    pub(super) fn broadcast(&self, hub: &mut Hub, room: &str, payload: &[u8]) {
        self.record().say(hub, room, payload, None);
        hub.broadcast(room, payload);
    }
}

impl Record {
    pub(super) fn member(&mut self, client: ClientId) -> &mut Member {
        self.members.get_mut(&client).expect("it has opened")
    }

    fn open(&mut self, client: ClientId, member: Member) {
        let connection = member.connection;
        assert!(self.members.insert(client, member).is_none(), "{client} opens twice");
        assert!(self.clients.insert(connection, client).is_none(), "{connection} opens twice");
    }

    /// Checks the address of a client that has just opened, and how many have the same.
    fn check_address(&self, connection: usize, address: Option<IpAddr>, config: &Config) {
        let expected = self.addresses[&connection];
        assert_eq!(address, Some(expected), "{connection} has another address");
        let is_proxy = config.trusted_proxies.iter().any(|proxies| proxies.contains(&expected));
        let open = self.members.values().filter(|member| member.departure.is_none());
        let same = open.filter(|member| self.addresses[&member.connection] == expected).count();
        let max = config.connections.max_per_address as usize;
        assert!(is_proxy || same <= max, "{same} clients from {expected}");
    }

    fn join(&mut self, client: ClientId, room: &str, start: Start, end: Option<Position>) {
        let greeting = end.map(|end| {
            let (floor, replay_bytes) = self.replayable(start, end);
            Expected::Greeting { start, end, floor, replay_bytes }
        });
        let member = self.member(client);
        member.room = Some(room.to_owned());
        member.expected.extend(greeting.filter(|_| member.hears_words));
    }

    /// Notes what a client says, and returns whether it hears words.
    fn hear(&mut self, client: ClientId, payload: &[u8]) -> bool {
        let member = self.member(client);
        assert!(member.departure.is_none(), "{client} says something after its departure");
        let Member { connection, hears_words, .. } = *member;
        let sent = self.sent.get_mut(&connection).and_then(VecDeque::pop_front);
        assert_eq!(sent.as_deref(), Some(payload), "{client} has said something else");
        hears_words
    }

    /// Notes that all members of a room but one must receive a message.
    fn say(&mut self, hub: &Hub, room: &str, payload: &[u8], except: Option<ClientId>) {
        self.said_at = now();
        let place = hub.position(room).map(|end| (end.epoch(), end.sequence() + 1));
        self.said.extend(place.map(|place| (place, payload.to_vec())));
        let in_room = |member: &Member| member.room.as_deref() == Some(room);
        for (id, member) in &mut self.members {
            if !in_room(member) {
                continue;
            }
            if Some(*id) != except && hub.is_open(*id) {
                member.expected.push_back(Expected::Message(place, payload.to_vec()));
            } else {
                member.size_for_others += length_in_log(payload);
            }
        }
    }

    /// Notes the body of a request, which must be the next one.
    fn see(&mut self, connection: usize, body: &[u8]) {
        let sent = self.posts.get_mut(&connection).and_then(VecDeque::pop_front);
        assert_eq!(sent.as_deref(), Some(body), "{connection} has sent another body");
        self.answers.entry(connection).or_default().push_back(body.to_vec());
    }

    fn close(&mut self, client: ClientId, departure: &Departure) {
        let member = self.members.get_mut(&client).expect("only those leave who have come");
        assert!(member.departure.is_none(), "{client} leaves twice: {departure}");
        assert_eq!(departure.room.as_deref(), member.room.as_deref(), "{client}: {departure}");
        member.departure = Some((departure.clone(), now()));
        super::log(format_args!("{} leaves: {departure}", self.members[&client].connection));
        self.departed.push(client);
    }

    fn fire(&mut self, client: ClientId, now: Instant) {
        let member = self.member(client);
        assert!(member.departure.is_none(), "a timer of {client} fires after its departure");
        let due = member.timer.take().expect("a timer that was set");
        assert!(due <= now, "a timer fires too early");
        let (last_stop, elapsed) = system::with(|kernel| (kernel.last_stop, kernel.elapsed()));
        let is_late = now > due + TIMER_LATE && elapsed > last_stop + 10 * TIMER_LATE;
        assert!(!is_late, "a timer fires {:?} late", now - due);
    }
}
