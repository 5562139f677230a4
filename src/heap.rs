//! Keeps glibc from holding on to memory that was freed.
//!
//! glibc maps a large block by itself, and returns it to the system when it is freed. Smaller blocks
//! share one heap, which shrinks only from its end, so that a few bytes in use there hold on to
//! everything that is free before them. What counts as large is not fixed: glibc raises the threshold
//! to the size of what was freed, up to 32 MiB, and a server that was busy once would hold on to most
//! of the memory that it needed then. A threshold that was set stays where it is. Without unsafe code,
//! it can only be set in the environment, before the program starts. So the program starts anew in the
//! same process, which takes about a millisecond.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Where glibc looks for settings. Whoever has made some keeps them.
const TUNABLES: &str = "GLIBC_TUNABLES";

/// The size in bytes from which a block is large: that of a segment of a room's log, the smallest of
/// which there may be many.
const THRESHOLD: &str = "glibc.malloc.mmap_threshold=65536";

/// Set for the second start. A program that has privileges of its own does not see `GLIBC_TUNABLES`,
/// and would start for ever.
const STARTED: &str = "TOWNHALL_STARTED";

/// Starts the program anew with a fixed threshold, unless the environment has settings already. If
/// that fails, the program goes on, and gives back less.
pub fn fix_threshold() {
    let glibc = cfg!(all(target_os = "linux", target_env = "gnu"));
    if !glibc || [TUNABLES, STARTED].into_iter().any(|name| env::var_os(name).is_some()) {
        return;
    }
    let mut arguments = env::args_os();
    if let (Ok(program), Some(name)) = (env::current_exe(), arguments.next()) {
        let mut command = Command::new(program);
        command.arg0(name).args(arguments).env(TUNABLES, THRESHOLD).env(STARTED, "1");
        // It returns only where it fails.
        let _ = command.exec();
    }
}
