//! Every call that an application can make, in every callback, for the client of the event and for another
//! client.

use std::io::Write;
use std::sync::{Arc, Mutex};

use townhall::{ClientId, CloseCode, Event, Hub};

use crate::support::{Running, Seen, config, frame, read_all};

/// The callbacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Callback {
    Request,
    Upgrade,
    Open,
    Message,
    Close,
}

const CALLBACKS: [Callback; 5] =
    [Callback::Request, Callback::Upgrade, Callback::Open, Callback::Message, Callback::Close];

/// What the application does with a client of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Send,
    Publish,
    PublishToOthers,
    Broadcast,
    Join,
    Leave,
    Close,
}

const CALLS: [Call; 7] = [
    Call::Send,
    Call::Publish,
    Call::PublishToOthers,
    Call::Broadcast,
    Call::Join,
    Call::Leave,
    Call::Close,
];

impl Call {
    fn apply(self, hub: &mut Hub, client: ClientId, room: &str) {
        match self {
            Self::Send => hub.send(client, "done"),
            Self::Publish => hub.publish(client, "done"),
            Self::PublishToOthers => hub.publish_to_others(client, "done"),
            Self::Broadcast => hub.broadcast(room, "done"),
            Self::Join => _ = hub.join(client, "/new"),
            Self::Leave => _ = hub.leave(client),
            Self::Close => hub.close(client, CloseCode::GOING_AWAY, ""),
        }
    }
}

/// The call to make in a callback of the actor: for the actor itself, or for the other client.
#[derive(Debug, Clone, Copy)]
struct Task {
    callback: Callback,
    call: Call,
    other: Option<ClientId>,
}

/// The application: a chat that also performs the task.
fn act(task: Task, hub: &mut Hub, client: ClientId, event: Event<'_>) {
    let (callback, path) = match event {
        Event::Request(exchange) => (Callback::Request, exchange.request().path().to_owned()),
        Event::Upgrade(upgrade) => (Callback::Upgrade, upgrade.request().path().to_owned()),
        Event::Open { room, .. } => {
            hub.join(client, room);
            (Callback::Open, room.to_owned())
        }
        Event::Message(message) => {
            let room = hub.room_of(client).unwrap_or_default().to_owned();
            hub.publish(client, message);
            (Callback::Message, room)
        }
        Event::Close(departure) => {
            (Callback::Close, departure.room.clone().unwrap_or_default().into())
        }
        _ => return,
    };
    if callback == task.callback && path == "/actor" {
        let (client, room) = task.other.map_or((client, "/actor"), |other| (other, "/other"));
        task.call.apply(hub, client, room);
    }
}

/// The texts and the close code in a sequence of short frames.
fn received(mut bytes: &[u8]) -> Vec<String> {
    let mut received = Vec::new();
    while let [first, length, rest @ ..] = bytes {
        let (payload, rest) = rest.split_at(usize::from(*length));
        received.push(match first {
            0x81 => String::from_utf8(payload.to_vec()).unwrap(),
            0x88 => u16::from_be_bytes(*payload.first_chunk().unwrap()).to_string(),
            other => panic!("{other:#x}"),
        });
        bytes = rest;
    }
    received
}

/// A text and a close frame with 1000.
fn last_words(text: &str) -> Vec<u8> {
    [frame(0x81, text.as_bytes()), frame(0x88, b"\x03\xe8")].concat()
}

/// Waits until `count` clients have departed.
fn wait_for_departures(server: &Running, count: usize) {
    let seen = std::iter::repeat_with(|| server.seen());
    assert_eq!(seen.filter(|seen| matches!(seen, Seen::Close(..))).take(count).count(), count);
}

/// Performs the task for an actor (a plain request, then a client). Returns what the actor, another client
/// and a witness in the other client's room received.
fn play(callback: Callback, call: Call, to_itself: bool) -> [Vec<String>; 3] {
    let task = Arc::new(Mutex::new(Task { callback, call, other: None }));
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
    let by_actor = received(&read_all(&mut actor));
    wait_for_departures(&server, 1);
    other.write_all(&last_words("where am I?")).unwrap();
    let by_other = received(&read_all(&mut other));
    witness.write_all(&frame(0x88, b"\x03\xe8")).unwrap();
    let by_witness = received(&read_all(&mut witness));
    wait_for_departures(&server, 2);
    [by_actor, by_other, by_witness]
}

#[test]
fn a_call_for_another_client_has_the_same_effect_in_every_callback() {
    let where_am_i = "where am I?";
    for (callback, call) in
        CALLBACKS.iter().flat_map(|callback| CALLS.map(|call| (*callback, call)))
    {
        let (other, witness): (&[&str], &[&str]) = match call {
            Call::Send => (&["done", where_am_i, "1000"], &[where_am_i, "1000"]),
            Call::Publish | Call::Broadcast => {
                (&["done", where_am_i, "1000"], &["done", where_am_i, "1000"])
            }
            Call::PublishToOthers => (&[where_am_i, "1000"], &["done", where_am_i, "1000"]),
            Call::Join => (&[where_am_i, "1000"], &["1000"]),
            Call::Leave => (&["1000"], &["1000"]),
            Call::Close => (&["1001"], &["1000"]),
        };
        let received = play(callback, call, false);
        assert_eq!(received, [&["hello", "1000"], other, witness], "{callback:?}, {call:?}");
    }
}

#[test]
fn a_call_for_the_client_itself_has_an_effect_only_while_it_is_open() {
    for (callback, call) in
        CALLBACKS.iter().flat_map(|callback| CALLS.map(|call| (*callback, call)))
    {
        let actor: &[&str] = match (callback, call) {
            (Callback::Open, Call::Send | Call::Publish | Call::Broadcast) => {
                &["done", "hello", "1000"]
            }
            (Callback::Open, Call::Leave) => &["1000"],
            (Callback::Open, Call::Close) => &["1001"],
            (Callback::Message, Call::Send | Call::Publish | Call::Broadcast) => {
                &["hello", "done", "1000"]
            }
            (Callback::Message, Call::Close) => &["hello", "1001"],
            _ => &["hello", "1000"],
        };
        let others: &[&str] = &["where am I?", "1000"];
        let received = play(callback, call, true);
        assert_eq!(received, [actor, others, others], "{callback:?}, {call:?}");
    }
}
