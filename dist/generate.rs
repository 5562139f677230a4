//! Writes the man page and the shell completions of the binary, which are made from its flags, into a
//! directory: `cargo run --example generate -- DIRECTORY`.

#[allow(dead_code, unused_imports, reason = "only the command is used")]
#[path = "../src/flags/mod.rs"]
mod flags;

use std::env;
use std::io;

use clap_complete::{Shell, generate_to};
use flags::CommandLine;

fn main() -> io::Result<()> {
    let directory = env::args_os().nth(1).ok_or_else(|| io::Error::other("name a directory"))?;
    let mut command = CommandLine::all();
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        generate_to(shell, &mut command, "townhall", &directory)?;
    }
    clap_mangen::generate_to(command, directory)
}
