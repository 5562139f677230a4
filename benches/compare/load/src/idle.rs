//! Connections on which nothing happens, and the memory that they take.

use std::io::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Failure;
use crate::connect::{self, Opened};
use crate::deflate::{Deflater, Inflater, OFFER_TAKEOVER, Terms};
use crate::flags::{Idle, Target};
use crate::frame::{self, Mask};
use crate::process::{Memory, Process};
use crate::speech;

/// A server is at rest when it has used at most this much of such a stretch of time ...
const REST: Duration = Duration::from_millis(2);
const STRETCH: Duration = Duration::from_millis(100);
/// ... so many times in a row; it is not waited for longer than this.
const STRETCHES: u32 = 5;
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// The length of the message that a connection sends and receives.
const BYTES: usize = 100;

/// Opens connections, and reports what memory the server takes for them.
pub fn idle(target: &Target, load: &Idle) -> Result<Value, Failure> {
    // What a server makes at its first connection and keeps is not a matter of their number.
    drop(open(target, load, u32::MAX)?);
    wait_until_at_rest(&target.process)?;
    let before = target.process.memory()?;
    let connections = (0..load.connections)
        .map(|number| open(target, load, number))
        .collect::<Result<Vec<_>, _>>()?;
    let at_rest = wait_until_at_rest(&target.process)?;
    let after = target.process.memory()?;
    let mut report = growth(&before, &after, connections.len());
    report["at_rest"] = json!(at_rest);
    report["load"] = json!({
        "name": "idle", "connections": load.connections, "deflate": load.deflate,
        "spoken": load.spoken, "own_rooms": load.own_rooms,
    });
    Ok(report)
}

fn growth(before: &Memory, after: &Memory, connections: usize) -> Value {
    let each = |before: u64, after: u64| (after as f64 - before as f64) / connections as f64;
    let pss = before.pss.zip(after.pss);
    json!({
        "units": connections,
        "rss_anon_bytes_before": before.rss_anon,
        "rss_anon_bytes_after": after.rss_anon,
        "bytes_per_unit": each(before.rss_anon, after.rss_anon),
        "pss_bytes_before": before.pss,
        "pss_bytes_after": after.pss,
        "pss_bytes_per_unit": pss.map(|(before, after)| each(before, after)),
    })
}

/// Opens a connection that may send one message and receive it.
fn open(target: &Target, load: &Idle, number: u32) -> Result<Opened, Failure> {
    let own = format!("/room-{number}");
    let room = if load.own_rooms { &own } else { connect::ROOM };
    let mut opened = connect::open(target, room, load.deflate.then_some(OFFER_TAKEOVER))?;
    let terms = Terms::parse(opened.extensions.as_deref())?;
    if load.deflate && terms.is_none() {
        return Err("the server does not compress".into());
    }
    if load.spoken {
        converse(&mut opened, terms, number)?;
    }
    Ok(opened)
}

/// Sends one message, compressed if negotiated, and receives it.
fn converse(opened: &mut Opened, terms: Option<Terms>, number: u32) -> Result<(), Failure> {
    let message = speech::message(0, number, BYTES);
    let sent = match &terms {
        Some(terms) => {
            let payload = Deflater::new(terms)?.deflate(&message)?;
            frame::from_client(Mask::SOME, frame::TEXT | frame::RSV1, &payload)
        }
        None => frame::from_client(Mask::SOME, frame::TEXT, &message),
    };
    opened.stream.write_all(&sent)?;
    let (first, payload) = opened.receive_frame()?;
    let received = match (&terms, first & frame::RSV1) {
        (_, 0) => payload,
        (Some(terms), _) => Inflater::new(terms).inflate(&payload)?,
        (None, _) => return Err("received a compressed message without agreement".into()),
    };
    if received == message {
        Ok(())
    } else {
        Err("a connection received what it did not send".into())
    }
}

/// Waits until the server has nothing more to do; returns whether it came to that.
pub fn wait_until_at_rest(server: &Process) -> Result<bool, Failure> {
    let start = Instant::now();
    let mut calm = 0;
    let mut before = server.cpu()?;
    while calm < STRETCHES && start.elapsed() < LONGEST_WAIT {
        sleep(STRETCH);
        let now = server.cpu()?;
        calm = if now - before <= REST { calm + 1 } else { 0 };
        before = now;
    }
    Ok(calm == STRETCHES)
}
