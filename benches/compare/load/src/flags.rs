//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::Failure;
use crate::chatter::Draw;
use crate::frame::Mask;
use crate::process::Process;
use crate::speech::SHORTEST;
use crate::tls::Tls;

/// Loads a WebSocket server, verifies its answers, and prints the cost as JSON.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Flags {
    /// The server's address
    #[arg(long)]
    server: SocketAddr,
    /// The server's process, whose CPU time and memory are measured. May be repeated: what several use is
    /// added up
    #[arg(long, required = true)]
    pid: Vec<u32>,
    /// Connect with TLS 1.3, and trust the certificate in this PEM file, which is for localhost
    #[arg(long, value_name = "FILE")]
    tls: Option<PathBuf>,
    /// Fail when the run takes longer
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    deadline: u64,
    /// Mask with zeros, for a server that does not unmask
    #[arg(long)]
    zero_mask: bool,
    #[command(subcommand)]
    pub load: Load,
}

/// What to do to the server.
#[derive(Debug, Subcommand)]
pub enum Load {
    /// Every member sends a message, waits until it has received one from each, and starts again
    Everyone(Everyone),
    /// A few members send, each with some messages in flight, and all receive
    Broadcast(Broadcast),
    /// Like broadcast, with compressed JSON
    Deflate(Deflate),
    /// Every client receives its own messages
    Echo(Echo),
    /// A member of a quiet room while another room is flooded
    Neighbour(Neighbour),
    /// Members of rooms that several processes share
    Cluster(Cluster),
    /// A back end publishes with POST, and the members of a room receive
    Publish(Publish),
    /// Members come back all at once, and receive what they have missed
    Resume(Resume),
    /// New connections, each closed as soon as it is open
    Handshakes(Handshakes),
    /// Idle connections
    Idle(Idle),
}

#[derive(Debug, Args)]
pub struct Everyone {
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=15_000))]
    pub members: u32,
    /// The length of a message
    #[arg(long, value_parser = message_bytes, default_value = "20")]
    pub bytes: usize,
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rounds: u32,
    /// Rounds that are not measured, before those that are
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=1_000_000), default_value_t = 0)]
    pub warm_up: u32,
}

#[derive(Debug, Args)]
pub struct Broadcast {
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=15_000))]
    pub members: u32,
    /// How many rooms the members are divided among
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=15_000), default_value_t = 1)]
    pub rooms: u32,
    /// How many of a room's members send
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=15_000), default_value_t = 4)]
    pub senders: u32,
    /// How many of its own messages a sender may still have to receive
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_024), default_value_t = 1)]
    pub in_flight: u32,
    /// Send this many messages per second, over all senders, instead of a number in flight
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    #[arg(conflicts_with = "rooms")]
    pub rate: Option<u32>,
    /// The length of a message
    #[arg(long, value_parser = message_bytes, default_value = "50")]
    pub bytes: usize,
    /// The messages of all senders
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub messages: u32,
    /// Messages that are not measured, before those that are
    #[arg(long, value_parser = clap::value_parser!(u32).range(..=100_000_000), default_value_t = 0)]
    pub warm_up: u32,
}

#[derive(Debug, Args)]
pub struct Deflate {
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=15_000))]
    pub members: u32,
    /// How many of the members send
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000), default_value_t = 4)]
    pub senders: u32,
    /// How many of its own messages a sender may still have to receive
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_024), default_value_t = 1)]
    pub in_flight: u32,
    /// The length of a message
    #[arg(long, value_parser = clap::value_parser!(u32).range(100..=100_000), default_value_t = 150)]
    pub bytes: u32,
    /// The messages of all senders
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=200_000))]
    pub messages: u32,
    /// Messages that are not measured, before those that are; a member joins in the middle of them
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=200_000), default_value_t = 100)]
    pub warm_up: u32,
    /// What the members offer
    #[arg(long, value_enum, default_value_t = Context::Takeover)]
    pub context: Context,
    /// Compress what is sent too
    #[arg(long)]
    pub send_deflate: bool,
    /// How often each word is used
    #[arg(long, value_enum, default_value_t = Draw::Zipf)]
    pub draw: Draw,
    /// The seed of the messages
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// What happens to the window between messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Context {
    /// It may be kept, as browsers offer
    Takeover,
    /// It is not kept in either direction
    None,
    /// Nothing is compressed: the same messages, to compare with
    Off,
}

#[derive(Debug, Args)]
pub struct Echo {
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=15_000))]
    pub connections: u32,
    /// How many messages a client may still have to receive
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_024), default_value_t = 1)]
    pub in_flight: u32,
    /// The length of a message
    #[arg(long, value_parser = message_bytes, default_value = "20")]
    pub bytes: usize,
    /// The messages of all clients
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub messages: u32,
    /// Messages that are not measured, before those that are
    #[arg(long, value_parser = clap::value_parser!(u32).range(..=100_000_000), default_value_t = 0)]
    pub warm_up: u32,
    /// Binary messages instead of text
    #[arg(long)]
    pub binary: bool,
    /// The number of frames per message
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_024), default_value_t = 1)]
    pub fragments: u32,
}

#[derive(Debug, Args)]
pub struct Neighbour {
    /// How many members receive the flood
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=15_000))]
    pub members: u32,
    /// How many messages of the flood a member may still have to receive
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_024), default_value_t = 32)]
    pub in_flight: u32,
    /// The length of a message of the flood
    #[arg(long, value_parser = message_bytes, default_value = "65536")]
    pub bytes: usize,
    /// The messages of the flood
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub messages: u32,
    /// Messages that are not measured, before those that are
    #[arg(long, value_parser = clap::value_parser!(u32).range(..=1_000_000), default_value_t = 0)]
    pub warm_up: u32,
    /// How many messages the quiet member sends without the flood
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000), default_value_t = 500)]
    pub samples: u32,
}

#[derive(Debug, Args)]
pub struct Cluster {
    /// The address of another process of the server. May be repeated
    #[arg(long, value_name = "SERVER")]
    pub with: Vec<SocketAddr>,
    /// The process of Redis, one of those that are measured: its part is shown beside the sum
    #[arg(long, value_name = "PID")]
    pub redis_pid: Option<u32>,
    /// What the members speak above WebSocket
    #[arg(long, value_enum, default_value_t = Above::Nothing)]
    pub above: Above,
    /// Let each process have an order of its own for the messages of several senders
    #[arg(long)]
    pub any_order: bool,
    /// How many members each room has, divided among the processes
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=15_000))]
    pub members: u32,
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=15_000))]
    pub rooms: u32,
    /// How many of a room's members send
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=15_000), default_value_t = 2)]
    pub senders: u32,
    /// How many of its own messages a sender may still have to receive
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_024), default_value_t = 1)]
    pub in_flight: u32,
    /// Send this many messages per second, over all senders, instead of a number in flight
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rate: Option<u32>,
    /// The length of a message
    #[arg(long, value_parser = message_bytes, default_value = "50")]
    pub bytes: usize,
    /// The messages of all senders
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub messages: u32,
    /// Messages that are not measured, before those that are
    #[arg(long, value_parser = clap::value_parser!(u32).range(..=100_000_000), default_value_t = 0)]
    pub warm_up: u32,
}

/// A protocol above WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Above {
    /// The messages alone
    Nothing,
    /// townhall.v1, in which the server says when a member has entered the room
    Words,
    /// Socket.IO
    SocketIo,
}

#[derive(Debug, Args)]
pub struct Publish {
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=15_000))]
    pub members: u32,
    /// How many messages may not have been answered, or not have reached every member yet
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_024), default_value_t = 1)]
    pub in_flight: u32,
    /// The length of a message
    #[arg(long, value_parser = message_bytes, default_value = "50")]
    pub bytes: usize,
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub messages: u32,
    /// Messages that are not measured, before those that are
    #[arg(long, value_parser = clap::value_parser!(u32).range(..=100_000_000), default_value_t = 0)]
    pub warm_up: u32,
}

#[derive(Debug, Args)]
pub struct Resume {
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=19_000))]
    pub members: u32,
    /// How many messages each member has missed
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000), default_value_t = 200)]
    pub behind: u32,
    /// The length of a message
    #[arg(long, value_parser = message_bytes, default_value = "150")]
    pub bytes: usize,
    /// Members that are not measured, before those that are
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=19_000), default_value_t = 100)]
    pub warm_up: u32,
    /// Ask for townhall.v1, with which townhall says first where the member begins
    #[arg(long)]
    pub words: bool,
}

#[derive(Debug, Args)]
pub struct Handshakes {
    /// Fewer than there are ports
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub count: u32,
    /// How many at a time
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=256), default_value_t = 16)]
    pub in_flight: u32,
    /// Handshakes that are not measured, before those that are
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=5_000), default_value_t = 0)]
    pub warm_up: u32,
    /// Resume sessions of TLS; each connection that is measured must
    #[arg(long)]
    pub resume: bool,
    /// Send this token with each request
    #[arg(long)]
    pub token: Option<String>,
}

#[derive(Debug, Args)]
pub struct Idle {
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=19_000))]
    pub connections: u32,
    /// Negotiate permessage-deflate
    #[arg(long)]
    pub deflate: bool,
    /// Let each connection send a message and receive it (from a server that echoes)
    #[arg(long)]
    pub spoken: bool,
    /// Give each connection its own room, so that a server that broadcasts echoes
    #[arg(long)]
    pub own_rooms: bool,
}

/// The server, and the time for the run.
#[derive(Debug, Clone)]
pub struct Target {
    pub address: SocketAddr,
    /// What TLS begins with, if the server speaks that.
    pub tls: Option<Tls>,
    pub process: Process,
    pub deadline: Instant,
    /// What to mask frames with.
    pub mask: Mask,
}

impl Flags {
    pub fn target(&self) -> Result<Target, Failure> {
        Ok(Target {
            address: self.server,
            tls: self.tls.as_deref().map(Tls::new).transpose()?,
            process: Process::new(self.pid.iter().map(u32::to_string)),
            deadline: Instant::now() + Duration::from_secs(self.deadline.min(3_600)),
            mask: if self.zero_mask { Mask::ZERO } else { Mask::SOME },
        })
    }
}

impl Target {
    /// Another process of the server, at its own address.
    pub fn at(&self, address: SocketAddr) -> Self {
        Self { address, ..self.clone() }
    }

    /// The time that is left, or an error if there is none.
    pub fn time_left(&self) -> Result<Duration, String> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err("the deadline has passed".into()) } else { Ok(left) }
    }
}

/// A length that holds the numbers of a sender and its message, and that any server accepts.
fn message_bytes(argument: &str) -> Result<usize, String> {
    let bytes: usize = argument.parse().map_err(|error| format!("{error}"))?;
    if (SHORTEST..=1 << 20).contains(&bytes) {
        Ok(bytes)
    } else {
        Err(format!("a message has {SHORTEST} bytes to 1 MiB"))
    }
}
