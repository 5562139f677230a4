//! The test from beginning to end.

use std::time::{Duration, Instant};

use crate::Failure;
use crate::crowd::{Crowd, hostile_count};
use crate::flags::Flags;
use crate::memory::Memory;
use crate::server::{Server, own_cpu};
use crate::world::{PATIENCE, Phase, World};

/// File descriptors other than those of clients.
const SPARE_DESCRIPTORS: usize = 100;

/// How often memory is sampled.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);

struct Soak {
    server: Server,
    crowd: Crowd,
    started: Instant,
    /// The server's memory.
    samples: Vec<u64>,
}

/// Runs the test, and returns its summary.
pub fn run(flags: &Flags) -> Result<String, Failure> {
    let mut soak = Soak::new(flags)?;
    soak.run(flags.duration()).map_err(|failure| match soak.server.exit_status() {
        Ok(Some(status)) if !status.success() => {
            format!("{failure}; the server has ended: {status}").into()
        }
        _ => failure,
    })
}

impl Soak {
    fn new(flags: &Flags) -> Result<Self, Failure> {
        let members = flags.members();
        let clients = members + hostile_count(members);
        let descriptors = (clients + SPARE_DESCRIPTORS) as u64;
        let limit = rlimit::increase_nofile_limit(u64::MAX)?;
        if limit < descriptors {
            return Err(format!("{descriptors} descriptors are needed, {limit} allowed").into());
        }
        let server = Server::start(&flags.server, clients)?;
        let world = World::new(server.address, members, flags.seed)?;
        let crowd = Crowd::new(world, members);
        Ok(Self { server, crowd, started: Instant::now(), samples: Vec::new() })
    }

    fn run(&mut self, duration: Duration) -> Result<String, Failure> {
        self.gather()?;
        self.run_load(duration)?;
        self.settle()?;
        let server = self.server.cpu()?;
        self.end()?;
        let memory = Memory::of(&self.samples)?;
        memory.check()?;
        Ok(format!(
            "{}\nmemory      {memory}\nCPU         server {:.1} s, soak {:.1} s, in {:.1} s",
            self.crowd.summary(),
            server.as_secs_f64(),
            own_cpu()?.as_secs_f64(),
            self.started.elapsed().as_secs_f64()
        ))
    }

    /// Makes all members join.
    fn gather(&mut self) -> Result<(), Failure> {
        self.crowd.join();
        let deadline = self.now() + 2 * PATIENCE;
        while !self.crowd.are_all_open() {
            self.crowd.step()?;
            if self.now() > deadline {
                return Err("not all members could join in time".into());
            }
        }
        Ok(())
    }

    /// Lets the members send, leave and return for this long, and until every kind of hostile client is done.
    fn run_load(&mut self, duration: Duration) -> Result<(), Failure> {
        self.crowd.world.phase = Phase::Running;
        self.crowd.unleash()?;
        let end = self.now() + duration;
        let mut next_sample = self.now() + SAMPLE_INTERVAL;
        while self.now() < end || !self.crowd.world.tally.has_seen_all() {
            self.crowd.step()?;
            self.crowd.send_due()?;
            if self.now() >= next_sample {
                next_sample += SAMPLE_INTERVAL;
                self.samples.push(self.server.memory()?);
            }
            if self.now() > end + 2 * PATIENCE {
                let summary = self.crowd.summary();
                return Err(format!("not every hostile thing has happened:\n{summary}").into());
            }
        }
        Ok(())
    }

    /// Waits until every member has received everything, and the server has dropped everybody else.
    fn settle(&mut self) -> Result<(), Failure> {
        self.crowd.world.phase = Phase::Settling;
        self.crowd.dismiss_hostile();
        let deadline = self.now() + PATIENCE;
        while let Err(failure) = self.check_settled() {
            if self.now() > deadline {
                return Err(failure);
            }
            self.crowd.step()?;
        }
        Ok(())
    }

    fn check_settled(&self) -> Result<(), Failure> {
        self.crowd.check_settled()?;
        let held = self.server.connections()?;
        let open = self.crowd.open_count();
        if held == open {
            return Ok(());
        }
        Err(format!("the server holds {held} connections, though {open} are open").into())
    }

    /// Tells the server to stop, and waits until it has closed every connection and has ended well.
    fn end(&mut self) -> Result<(), Failure> {
        self.crowd.world.phase = Phase::Ending;
        let open = self.crowd.open_count() as u64;
        self.server.terminate()?;
        let deadline = self.now() + 2 * PATIENCE;
        while !self.crowd.are_all_away() || self.server.exit_status()?.is_none() {
            self.crowd.step()?;
            if self.now() > deadline {
                return Err("the server has not shut down in time".into());
            }
        }
        let dismissed = self.crowd.world.tally.dismissed;
        match self.server.exit_status()? {
            Some(status) if status.success() && dismissed == open => Ok(()),
            status => {
                let text = format!("{dismissed} of {open} were closed with 1001, then {status:?}");
                Err(text.into())
            }
        }
    }

    fn now(&self) -> Instant {
        self.crowd.world.now
    }
}
