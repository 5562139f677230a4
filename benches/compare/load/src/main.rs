//! The load generator: many clients of one WebSocket server in one thread, cheap enough that the
//! server is what is measured, and suspicious of every byte that it receives.

#![forbid(unsafe_code)]

mod chat;
mod chatter;
mod cluster;
mod connect;
mod deflate;
mod echo;
mod flags;
mod frame;
mod handshakes;
mod idle;
mod latency;
mod line;
mod member;
mod meter;
mod neighbour;
mod process;
mod publish;
mod reference;
mod resume;
mod room;
mod socket_io;
mod speech;
mod stream;
mod tls;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use serde_json::Value;

use flags::{Flags, Load};

/// Why a run failed: a sentence for whoever reads the log.
type Failure = Box<dyn Error>;

fn main() -> ExitCode {
    match run(&Flags::parse()) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("townhall-load: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: &Flags) -> Result<Value, Failure> {
    let target = flags.target()?;
    match &flags.load {
        Load::Everyone(load) => room::everyone(&target, load),
        Load::Broadcast(load) => room::broadcast(&target, load),
        Load::Deflate(load) => chat::deflate(&target, load),
        Load::Echo(load) => echo::echo(&target, load),
        Load::Neighbour(load) => neighbour::neighbour(&target, load),
        Load::Cluster(load) => cluster::cluster(&target, load),
        Load::Publish(load) => publish::publish(&target, load),
        Load::Resume(load) => resume::resume(&target, load),
        Load::Handshakes(load) => handshakes::handshakes(&target, load),
        Load::Idle(load) => idle::idle(&target, load),
    }
}
