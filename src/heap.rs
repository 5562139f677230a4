//! Keeps glibc from holding on to memory that was freed.
//!
//! glibc maps a large block by itself, and returns it to the system when it is freed. Smaller blocks
//! share one heap, which shrinks only from its end, so that a few bytes in use there hold on to
//! everything that is free before them. What counts as large is not fixed: glibc raises the threshold
//! to the size of each block that is freed, up to 32 MiB, so a server that was busy once would hold on
//! to most of the memory that it needed then. A threshold that has been set explicitly stays where it
//! is. Without unsafe code, it can only be set in the environment, before the program starts. So the
//! program executes itself again in the same process, which takes about a millisecond.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The variable in which glibc looks for settings. Existing settings are kept.
const TUNABLES: &str = "GLIBC_TUNABLES";

/// A block counts as large from 64 KiB: the size of a segment of a room's log, the smallest block of
/// which there may be many. A block that is free in the heap would serve for a segment all the same, so
/// the heap grows by no more than 16 KiB at a time, and shrinks when 64 KiB are free at its end.
const SETTINGS: &str = "glibc.malloc.mmap_threshold=65536:glibc.malloc.trim_threshold=65536:\
                        glibc.malloc.top_pad=16384";

/// Set for the second start. A program with elevated privileges does not see `GLIBC_TUNABLES`, and
/// would restart forever.
const STARTED: &str = "TOWNHALL_STARTED";

/// Starts the program again with these settings, unless the environment already has settings. If
/// that fails, the program goes on, and gives back less memory.
pub fn fix_threshold() {
    let glibc = cfg!(all(target_os = "linux", target_env = "gnu"));
    if !glibc || [TUNABLES, STARTED].into_iter().any(|name| env::var_os(name).is_some()) {
        return;
    }
    let mut arguments = env::args_os();
    if let (Ok(program), Some(name)) = (env::current_exe(), arguments.next()) {
        let mut command = Command::new(program);
        command.arg0(name).args(arguments).env(TUNABLES, SETTINGS).env(STARTED, "1");
        // `exec` returns only if it fails.
        let _ = command.exec();
    }
}
