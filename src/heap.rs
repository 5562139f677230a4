//! Makes glibc return freed memory to the system.
//!
//! glibc maps each large block separately, and unmaps it when it is freed. Smaller blocks share one heap
//! that only shrinks from its end, so a few bytes in use at the end keep all free memory before them. The
//! threshold for large blocks is not fixed: glibc raises it to the size of each block that is freed, up
//! to 32 MiB. A server that was busy once would therefore keep most of the memory that it needed then. A
//! threshold that was set explicitly does not change. Without unsafe code, it can only be set in the
//! environment before the program starts, so the program executes itself again in the same process, which
//! takes about a millisecond.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The variable from which glibc reads its settings.
const TUNABLES: &str = "GLIBC_TUNABLES";

/// Blocks from 64 KiB are mapped separately. This is the size of a log segment, the smallest block of
/// which there may be many. glibc would still place a segment in a gap of the heap that is large enough,
/// so the heap grows by only 16 KiB at a time, and shrinks when 64 KiB are free at its end.
const SETTINGS: &str = "glibc.malloc.mmap_threshold=65536:glibc.malloc.trim_threshold=65536:\
                        glibc.malloc.top_pad=16384";

/// Marks the second start. A program with elevated privileges does not see `GLIBC_TUNABLES`, and would
/// otherwise restart forever.
const STARTED: &str = "TOWNHALL_STARTED";

/// Starts the program again with the settings, unless the environment already has some. If that fails, the
/// program continues, and returns less memory to the system.
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
