//! A program under attack, and the limits on what the attack may cost.

use std::thread;
use std::time::{Duration, Instant};

use crate::neighbours::Neighbours;
use crate::peer::Peer;
use crate::process::Program;

/// How long anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub const KIB: usize = 1 << 10;
pub const MIB: usize = 1 << 20;

/// A program with two uninvolved members, measured from before the attack until after it.
pub struct Siege {
    /// Dropped before the program.
    neighbours: Neighbours,
    pub program: Program,
    begin: Instant,
    cpu: Duration,
    memory: u64,
}

/// The limits on the cost of an attack. They are far above the actual cost on a busy machine, and far below
/// the cost for a server that is vulnerable.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The maximum growth of the program's peak memory, in bytes.
    pub memory: usize,
    /// The maximum CPU time of the program, in seconds.
    pub cpu: u64,
    /// The maximum duration of the attack, in seconds.
    pub time: u64,
}

impl Siege {
    pub fn begin(flags: &[&str]) -> Self {
        Self::of(Program::start(flags))
    }

    pub fn of(program: Program) -> Self {
        let neighbours = Neighbours::move_in(&program.address);
        let cpu = program.cpu();
        let memory = program.memory();
        Self { neighbours, program, begin: Instant::now(), cpu, memory }
    }

    pub fn connect(&self) -> Peer {
        Peer::connect(&self.program.address)
    }

    pub fn ask(&self, path: &str) -> Peer {
        Peer::ask(&self.program.address, path)
    }

    pub fn join(&self, path: &str) -> Peer {
        Peer::join(&self.program.address, path)
    }

    /// Ends the attack. Checks that the neighbours received everything, and that the cost is within bounds.
    pub fn end(self, bounds: Bounds) -> Program {
        let time = self.begin.elapsed();
        let program = self.program;
        let cpu = program.cpu() - self.cpu;
        let wait = self.neighbours.move_out();
        let memory = program.peak_memory().saturating_sub(self.memory);
        // Shown with --nocapture.
        println!("{} KiB, {cpu:?} on CPUs, {time:?}; neighbours waited {wait:?}", memory >> 10);
        assert!(memory <= bounds.memory as u64, "{} KiB of memory", memory >> 10);
        assert!(cpu <= Duration::from_secs(bounds.cpu), "{cpu:?} on CPUs");
        assert!(time <= Duration::from_secs(bounds.time), "{time:?}");
        program
    }
}

/// Waits until a condition holds. It polls, because another process does not report the conditions that
/// tests wait for, such as its memory or its number of sockets.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}
