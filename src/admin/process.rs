//! The metrics of the process, under the names that all Prometheus clients use.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use rlimit::Resource;

use super::encoder::Encoder;

/// What the process uses of the system. Only Linux has the folder `/proc/self` that shows it.
#[derive(Debug)]
pub struct Process {
    open_fds: Option<u64>,
    max_fds: Option<u64>,
    resident_bytes: Option<u64>,
}

impl Process {
    pub fn current() -> Self {
        Self {
            open_fds: open_fds(),
            max_fds: Resource::NOFILE.get_soft().ok(),
            resident_bytes: resident_bytes(),
        }
    }
}

/// The number of open file descriptors, without the one of the folder that lists them.
fn open_fds() -> Option<u64> {
    let listed = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    Some(listed.saturating_sub(1))
}

/// The size of the memory that is not swapped out, from a line such as `VmRSS:     1234 kB`, where the
/// unit is 1024 bytes.
fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let size = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = size.strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

impl Collector for Process {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Encoder(encoder);
        let figures = [
            ("open_fds", "Open file descriptors", self.open_fds),
            ("max_fds", "Maximum of open file descriptors", self.max_fds),
            ("resident_memory_bytes", "Resident memory", self.resident_bytes),
        ];
        for (name, help, value) in figures {
            if let Some(value) = value {
                out.gauge(name, help, value)?;
            }
        }
        Ok(())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn linux_shows_descriptors_and_memory() {
        let _files = [(); 50].map(|()| fs::File::open("/proc/self/status").unwrap());
        let process = Process::current();
        assert!(process.open_fds >= Some(50) && process.open_fds < process.max_fds);
        assert!(process.resident_bytes > Some(1 << 20));
    }
}
