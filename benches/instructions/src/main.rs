//! Walks several times on one path through townhall, for callgrind to count the instructions of each walk.
//! Without an argument, it lists the paths, and which of them have a server. See README.md in the folder above.

mod protocol;
mod server;

use std::hint::black_box;
use std::process::ExitCode;

/// The number of walks that are counted.
const WALKS: usize = 16;

/// A path: its name, and what prepares it and returns one walk on it.
type Path = (&'static str, fn() -> Box<dyn FnMut()>);

fn main() -> ExitCode {
    let Some(name) = std::env::args().nth(1) else {
        protocol::PATHS.iter().for_each(|(name, _)| println!("{name}"));
        server::PATHS.iter().for_each(|(name, _)| println!("{name} server"));
        return ExitCode::SUCCESS;
    };
    let mut paths = protocol::PATHS.iter().chain(server::PATHS);
    let Some((_, prepare)) = paths.find(|(known, _)| *known == name) else {
        eprintln!("there is no path {name}");
        return ExitCode::FAILURE;
    };
    let mut walk = prepare();
    // Buffers grow, and lazy statics are set.
    (0..3).for_each(|_| walk());
    (0..WALKS).for_each(|_| counted(&mut walk));
    ExitCode::SUCCESS
}

/// callgrind counts what happens between one end of this function and the next.
#[inline(never)]
fn counted(walk: &mut Box<dyn FnMut()>) {
    black_box(walk)();
}
