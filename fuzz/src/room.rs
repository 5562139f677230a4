//! Property: whatever members do (join, leave, send, read or not), every member receives exactly the messages
//! for it, in order, and can inflate them with the context that it negotiated. A member that is closed
//! receives a close frame and nothing after it. A slow member that drops messages drops complete ones. A
//! member that counts knows its position at every moment, and when it comes back, it receives each message
//! once, or is told that it does not.
//!
//! Input: one byte for the policy for slow members, the total backlog and the history, then steps of three
//! bytes: what happens, to which member, and how much.

use townhall::Slow;
use townhall::simulation::{Action, From, Kept, SCARCE_BYTES, Simulation, Step};

/// Each step costs memory and time; more of them show nothing new.
const MAX_STEPS: usize = 200;

pub fn check(data: &[u8]) {
    let Some((policy, data)) = data.split_first() else { return };
    let slow = [Slow::Close, Slow::Drop, Slow::Pause][usize::from(policy % 3)];
    let max_total_backlog_bytes = if policy / 3 % 2 == 0 { usize::MAX } else { SCARCE_BYTES };
    let kept = [Kept::Nothing, Kept::Little, Kept::Everything][usize::from(policy / 6 % 3)];
    let mut simulation = Simulation::new(slow, max_total_backlog_bytes, kept);
    for &[what, whom, amount] in data.as_chunks::<3>().0.iter().take(MAX_STEPS) {
        simulation.step(&step(what, whom.into(), amount.into()));
    }
    simulation.finish();
}

fn step(what: u8, whom: usize, amount: usize) -> Step {
    let length = amount * 24;
    let action = match what % 24 {
        0 => return Step::Connect { offer: whom, room: amount },
        1 | 2 => return Step::Flush,
        3 => Action::Join(amount),
        4 => Action::Leave,
        5 => Action::Close,
        6 => Action::Break,
        7 => Action::Send(length),
        8 | 9 => Action::PublishToOthers(length),
        10 => Action::Read(1_000_000),
        11 => Action::Read(length),
        15 => return Step::Replace { room: whom, count: amount },
        16 => return Step::Broadcast { room: whom, length },
        17 => return Step::FlushEarly,
        18 => return Step::Rest,
        19 => Action::PeerClose,
        20 => Action::Beat,
        21 => return Step::Return { offer: whom, place: amount, from: From::Place },
        22 => return Step::Return { offer: whom, place: amount, from: from(amount) },
        23 => Action::Move(amount, from(amount / 8)),
        _ => Action::Publish(length),
    };
    Step::Peer(whom, action)
}

fn from(number: usize) -> From {
    let count = number / 7;
    match number % 7 {
        0 => From::Now,
        1 => From::Newest(count),
        2 => From::Before(count),
        3 => From::After(count),
        4 => From::OtherEpoch,
        5 => From::OtherRoom,
        _ => From::Place,
    }
}
