//! A program under attack, and what the attack may cost.

use std::thread;
use std::time::{Duration, Instant};

use crate::neighbours::Neighbours;
use crate::peer::Peer;
use crate::process::Program;

/// How long anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub const KIB: usize = 1 << 10;
pub const MIB: usize = 1 << 20;

/// A program with neighbours in it, watched from before the attack until after it.
pub struct Siege {
    /// They go before the program does.
    neighbours: Neighbours,
    pub program: Program,
    begin: Instant,
    cpu: Duration,
    memory: u64,
}

/// The most that an attack may cost. The bounds are far above what it takes on a machine that is
/// busy with other tests, and far below what the attack would take from a server that falls for it.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// What the program's memory may grow by, in bytes, be it for a moment.
    pub memory: usize,
    /// What the program may spend on CPUs, in seconds.
    pub cpu: u64,
    /// What may pass until the attack is over, in seconds.
    pub time: u64,
}

impl Siege {
    pub fn begin(flags: &[&str]) -> Self {
        Self::of(Program::start(flags))
    }

    pub fn of(program: Program) -> Self {
        let neighbours = Neighbours::move_in(&program.address);
        let (cpu, memory) = (program.cpu(), program.memory());
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

    /// The attack is over: the neighbours heard everything, and it cost no more than it may.
    pub fn end(self, bounds: Bounds) -> Program {
        let (time, program) = (self.begin.elapsed(), self.program);
        let cpu = program.cpu() - self.cpu;
        let wait = self.neighbours.move_out();
        let memory = program.peak_memory().saturating_sub(self.memory);
        // --nocapture shows it.
        println!("{} KiB, {cpu:?} on CPUs, {time:?}; neighbours waited {wait:?}", memory >> 10);
        assert!(memory <= bounds.memory as u64, "{} KiB of memory", memory >> 10);
        assert!(cpu <= Duration::from_secs(bounds.cpu), "{cpu:?} on CPUs");
        assert!(time <= Duration::from_secs(bounds.time), "{time:?}");
        program
    }
}

/// Waits until something is so.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}
