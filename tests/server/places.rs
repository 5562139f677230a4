//! Everything that an application can do, in every callback, to the client that it is called for
//! and to another.

use std::io::Write;
use std::sync::{Arc, Mutex};

use townhall::{ClientId, CloseCode, Event, Hub};

use crate::support::{Running, Told, config, frame, read_all};

/// The callbacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Request,
    Upgrade,
    Open,
    Message,
    Close,
}

const PLACES: [Place; 5] =
    [Place::Request, Place::Upgrade, Place::Open, Place::Message, Place::Close];

/// What is done to a client of this room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Send,
    Say,
    SayToOthers,
    Broadcast,
    Join,
    Leave,
    Close,
}

const DEEDS: [Deed; 7] = [
    Deed::Send,
    Deed::Say,
    Deed::SayToOthers,
    Deed::Broadcast,
    Deed::Join,
    Deed::Leave,
    Deed::Close,
];

impl Deed {
    fn apply(self, hub: &mut Hub, client: ClientId, room: &str) {
        match self {
            Self::Send => hub.send(client, "done"),
            Self::Say => hub.publish(client, "done"),
            Self::SayToOthers => hub.publish_to_others(client, "done"),
            Self::Broadcast => hub.broadcast(room, "done"),
            Self::Join => _ = hub.join(client, "/new"),
            Self::Leave => _ = hub.leave(client),
            Self::Close => hub.close(client, CloseCode::GOING_AWAY, ""),
        }
    }
}

/// What is to be done in a callback for the actor: to itself, or to the other.
#[derive(Debug, Clone, Copy)]
struct Task {
    place: Place,
    deed: Deed,
    other: Option<ClientId>,
}

/// Everyone hears everyone; then the task is done.
fn act(task: Task, hub: &mut Hub, client: ClientId, event: Event<'_>) {
    let (place, path) = match event {
        Event::Request(exchange) => (Place::Request, exchange.request().path().to_owned()),
        Event::Upgrade(upgrade) => (Place::Upgrade, upgrade.request().path().to_owned()),
        Event::Open { room, .. } => {
            hub.join(client, room);
            (Place::Open, room.to_owned())
        }
        Event::Message(message) => {
            let room = hub.room_of(client).unwrap_or_default().to_owned();
            hub.publish(client, message);
            (Place::Message, room)
        }
        Event::Close(departure) => {
            (Place::Close, departure.room.clone().unwrap_or_default().into())
        }
        _ => return,
    };
    if place == task.place && path == "/actor" {
        let (client, room) = task.other.map_or((client, "/actor"), |other| (other, "/other"));
        task.deed.apply(hub, client, room);
    }
}

/// The texts and the code of the close frame among short frames.
fn heard(mut bytes: &[u8]) -> Vec<String> {
    let mut heard = Vec::new();
    while let [first, length, rest @ ..] = bytes {
        let (payload, rest) = rest.split_at(usize::from(*length));
        heard.push(match first {
            0x81 => String::from_utf8(payload.to_vec()).unwrap(),
            0x88 => u16::from_be_bytes(*payload.first_chunk().unwrap()).to_string(),
            other => panic!("{other:#x}"),
        });
        bytes = rest;
    }
    heard
}

/// A text and a close frame with 1000.
fn last_words(text: &str) -> Vec<u8> {
    [frame(0x81, text.as_bytes()), frame(0x88, b"\x03\xe8")].concat()
}

/// The server departs from so many.
fn wait_for_departures(server: &Running, count: usize) {
    let told = std::iter::repeat_with(|| server.told());
    assert_eq!(told.filter(|told| matches!(told, Told::Close(..))).take(count).count(), count);
}

/// A request and a client, for which the task is done; another client, and a witness in its room.
/// Tells what the three heard.
fn play(place: Place, deed: Deed, to_itself: bool) -> [Vec<String>; 3] {
    let task = Arc::new(Mutex::new(Task { place, deed, other: None }));
    let known = task.clone();
    let server = Running::start(config(), move |hub, client, event| {
        let task = *known.lock().unwrap();
        act(task, hub, client, event);
    });
    let (mut other, mut witness) = (server.raw("/other"), server.raw("/other"));
    let id = server.opened();
    task.lock().unwrap().other = (!to_itself).then_some(id);
    let mut visitor = server.stream();
    visitor.write_all(b"GET /actor HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert!(read_all(&mut visitor).starts_with(b"HTTP/1.1 426 "));
    let mut actor = server.raw("/actor");
    actor.write_all(&last_words("hello")).unwrap();
    let by_actor = heard(&read_all(&mut actor));
    wait_for_departures(&server, 1);
    other.write_all(&last_words("where am I?")).unwrap();
    let by_other = heard(&read_all(&mut other));
    witness.write_all(&frame(0x88, b"\x03\xe8")).unwrap();
    let by_witness = heard(&read_all(&mut witness));
    wait_for_departures(&server, 2);
    [by_actor, by_other, by_witness]
}

#[test]
fn what_is_done_to_another_is_the_same_in_every_callback() {
    let where_am_i = "where am I?";
    for (place, deed) in PLACES.iter().flat_map(|place| DEEDS.map(|deed| (*place, deed))) {
        let (other, witness): (&[&str], &[&str]) = match deed {
            Deed::Send => (&["done", where_am_i, "1000"], &[where_am_i, "1000"]),
            Deed::Say | Deed::Broadcast => {
                (&["done", where_am_i, "1000"], &["done", where_am_i, "1000"])
            }
            Deed::SayToOthers => (&[where_am_i, "1000"], &["done", where_am_i, "1000"]),
            Deed::Join => (&[where_am_i, "1000"], &["1000"]),
            Deed::Leave => (&["1000"], &["1000"]),
            Deed::Close => (&["1001"], &["1000"]),
        };
        let heard = play(place, deed, false);
        assert_eq!(heard, [&["hello", "1000"], other, witness], "{place:?}, {deed:?}");
    }
}

#[test]
fn what_is_done_to_a_client_itself_counts_while_it_is_open() {
    for (place, deed) in PLACES.iter().flat_map(|place| DEEDS.map(|deed| (*place, deed))) {
        let actor: &[&str] = match (place, deed) {
            (Place::Open, Deed::Send | Deed::Say | Deed::Broadcast) => &["done", "hello", "1000"],
            (Place::Open, Deed::Leave) => &["1000"],
            (Place::Open, Deed::Close) => &["1001"],
            (Place::Message, Deed::Send | Deed::Say | Deed::Broadcast) => {
                &["hello", "done", "1000"]
            }
            (Place::Message, Deed::Close) => &["hello", "1001"],
            _ => &["hello", "1000"],
        };
        let others: &[&str] = &["where am I?", "1000"];
        let heard = play(place, deed, true);
        assert_eq!(heard, [actor, others, others], "{place:?}, {deed:?}");
    }
}
