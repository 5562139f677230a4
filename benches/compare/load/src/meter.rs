//! What a stretch of a run cost.

use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::process::Process;

/// How long a server may finish what it is at, before its CPU time is read: a thread's time is
/// exact only once it has left the CPU.
const SETTLE: Duration = Duration::from_millis(20);

/// A moment, and what both processes had used until then.
#[derive(Debug)]
pub struct Meter {
    start: Instant,
    server: Duration,
    generator: Duration,
    switches: u64,
}

impl Meter {
    /// Starts when the server is at rest.
    pub fn start(server: &Process) -> io::Result<Self> {
        sleep(SETTLE);
        Ok(Self {
            switches: server.voluntary_switches()?,
            server: server.cpu()?,
            generator: Process::own().cpu()?,
            start: Instant::now(),
        })
    }

    /// What was used since then for `units` of work, as an object.
    pub fn stop(&self, server: &Process, units: u64) -> io::Result<Value> {
        let wall = self.start.elapsed().as_secs_f64();
        let end = Self::start(server)?;
        let server = end.server - self.server;
        let generator = end.generator - self.generator;
        Ok(json!({
            "units": units,
            "server_cpu_ns": server.as_nanos() as u64,
            "server_cpu_ns_per_unit": server.as_nanos() as f64 / units as f64,
            "units_per_server_cpu_second": units as f64 / server.as_secs_f64(),
            "wall_seconds": wall,
            "units_per_second": units as f64 / wall,
            "server_cpu_share": server.as_secs_f64() / wall,
            "generator_cpu_share": generator.as_secs_f64() / wall,
            "server_voluntary_switches": end.switches - self.switches,
        }))
    }
}
