//! What a process has used so far, from /proc.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Linux counts utime and stime in ticks of this length for every program (`USER_HZ`), whatever
/// the kernel's own clock is.
const USER_TICK: Duration = Duration::from_millis(10);

/// A process, or several that are one server.
#[derive(Debug, Clone)]
pub struct Process {
    directories: Vec<PathBuf>,
}

/// The memory that a process has for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Resident memory that is not from a file: heap and stacks.
    pub rss_anon: u64,
    /// Resident memory, where shared with other processes divided by their number, if the kernel
    /// tells.
    pub pss: Option<u64>,
}

impl Process {
    /// The processes with these identifiers.
    pub fn new(pids: impl IntoIterator<Item = String>) -> Self {
        let directory = |pid| PathBuf::from("/proc").join(pid);
        Self { directories: pids.into_iter().map(directory).collect() }
    }

    /// This process.
    pub fn own() -> Self {
        Self::new(["self".to_owned()])
    }

    /// The CPU time of all threads.
    ///
    /// The first number of a thread's schedstat is the time that it was on a CPU, in nanoseconds,
    /// as the scheduler measured it at every switch; utime and stime are the same time in ticks
    /// of ten milliseconds, which is coarse beside a run of some hundred. A running thread's
    /// number is brought up to date at the kernel's clock tick, so it is read when the server is
    /// at rest. Threads that have ended are not in it; none of the servers ends any while it is
    /// measured. Where the kernel keeps no such numbers, utime and stime have to do.
    pub fn cpu(&self) -> io::Result<Duration> {
        self.sum_over_threads("schedstat", |text| number(text, 0))
            .map(Duration::from_nanos)
            .or_else(|_| self.user_and_system_time())
    }

    fn user_and_system_time(&self) -> io::Result<Duration> {
        let mut ticks = 0;
        for directory in &self.directories {
            let text = fs::read_to_string(directory.join("stat"))?;
            // The name of the program, in parentheses, may hold anything, spaces too.
            let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields);
            let both =
                number(fields, 11).zip(number(fields, 12)).map(|(user, system)| user + system);
            ticks += both.ok_or_else(|| malformed("stat"))?;
        }
        Ok(USER_TICK * u32::try_from(ticks).unwrap_or(u32::MAX))
    }

    /// How often a thread gave the CPU away because it had nothing to do.
    pub fn voluntary_switches(&self) -> io::Result<u64> {
        self.sum_over_threads("status", |text| field(text, "voluntary_ctxt_switches:"))
    }

    /// The memory in use, in bytes.
    pub fn memory(&self) -> io::Result<Memory> {
        let mut memory = Memory { rss_anon: 0, pss: Some(0) };
        for directory in &self.directories {
            let status = fs::read_to_string(directory.join("status"))?;
            let rss_anon = field(&status, "RssAnon:").ok_or_else(|| malformed("status"))?;
            let rollup = fs::read_to_string(directory.join("smaps_rollup")).unwrap_or_default();
            let pss = field(&rollup, "Pss:");
            memory.rss_anon += rss_anon << 10;
            memory.pss = memory.pss.zip(pss).map(|(sum, kibibytes)| sum + (kibibytes << 10));
        }
        Ok(memory)
    }

    /// Begins to measure the peak of the memory anew.
    pub fn reset_peak(&self) -> io::Result<()> {
        let reset = |directory: &PathBuf| fs::write(directory.join("clear_refs"), "5");
        self.directories.iter().try_for_each(reset)
    }

    /// The most memory that was resident since [`reset_peak`](Self::reset_peak), in bytes.
    pub fn peak(&self) -> io::Result<u64> {
        let mut sum = 0;
        for directory in &self.directories {
            let status = fs::read_to_string(directory.join("status"))?;
            sum += field(&status, "VmHWM:").ok_or_else(|| malformed("status"))? << 10;
        }
        Ok(sum)
    }

    fn sum_over_threads(&self, file: &str, value: fn(&str) -> Option<u64>) -> io::Result<u64> {
        let mut sum = 0;
        for directory in &self.directories {
            for thread in fs::read_dir(directory.join("task"))? {
                let text = fs::read_to_string(thread?.path().join(file))?;
                sum += value(&text).ok_or_else(|| malformed(file))?;
            }
        }
        Ok(sum)
    }
}

fn number(text: &str, index: usize) -> Option<u64> {
    text.split_whitespace().nth(index)?.parse().ok()
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| number(line.strip_prefix(name)?, 0))
}

fn malformed(file: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{file} of the server is not as expected"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_works_uses_time() {
        let own = Process::own();
        let before = own.cpu().unwrap();
        let mut sum = 0u64;
        while own.cpu().unwrap() < before + Duration::from_millis(20) {
            sum = (0..100_000).fold(sum, |sum, number| std::hint::black_box(sum ^ number));
        }
        let ticks = own.user_and_system_time().unwrap();
        assert!(ticks + 2 * USER_TICK >= Duration::from_millis(20), "{ticks:?}");
    }

    #[test]
    fn the_peak_of_the_memory_is_above_what_is_left() {
        let own = Process::own();
        own.reset_peak().unwrap();
        let before = own.peak().unwrap();
        drop(std::hint::black_box(vec![1u8; 32 << 20]));
        assert!(own.peak().unwrap() >= before + (24 << 20));
        own.reset_peak().unwrap();
        assert!(own.peak().unwrap() < before + (24 << 20));
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let status = "Name:\tx\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t9\n";
        assert_eq!(field(status, "voluntary_ctxt_switches:"), Some(7));
        assert_eq!(field(status, "RssAnon:"), None);
    }
}
