//! What `townhall check` prints.

use std::fmt::Write;
use std::io;

use clap::{Arg, ArgMatches, Command, FromArgMatches};
use townhall::Config;

use super::size::show;
use super::{CommandLine, Flags, environment};

/// The memory in bytes of an open connection without a backlog. It takes half of that, and the tables that
/// it is in may be half empty.
const CONNECTION_BYTES: usize = 512;

/// The memory in bytes of a room without messages and without its name.
const ROOM_BYTES: usize = 1 << 10;

/// The memory in bytes of a compressor, and how many there may be.
const COMPRESSOR_BYTES: usize = 300 << 10;
const MAX_COMPRESSORS: usize = 64;

/// What the program takes by itself, with its buffers.
const PROGRAM_BYTES: usize = 16 << 20;

/// The values of all flags, and the memory that they allow. `file_faults` returns what is wrong with the files
/// that the flags name.
///
/// # Errors
/// One line for each reason for which the server would not start.
pub fn report(
    CommandLine { command, arguments, .. }: &CommandLine,
    file_faults: impl Fn(&Flags, &Config) -> Vec<io::Error>,
) -> Result<String, Vec<String>> {
    environment::help(command, arguments);
    let faults = environment::faults(command, arguments);
    if !faults.is_empty() {
        return Err(faults);
    }
    let one = |fault: String| vec![fault];
    let matches = environment::parse(command, arguments).map_err(|error| one(error.to_string()))?;
    let flags = Flags::from_arg_matches(&matches).map_err(|error| one(error.to_string()))?;
    let name = |id: &str| environment::given_name(command, &matches, id);
    let faults = flags.faults(name).into_iter().map(|(_, reason)| reason);
    let config = flags.settings();
    let owner = flags.sockets.set(&mut Config::default());
    let failures = [flags.addresses().err(), owner.err()].into_iter().flatten();
    let failures = failures.chain(file_faults(&flags, &config));
    let faults: Vec<_> = faults.chain(failures.map(|error| error.to_string())).collect();
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(values(command, &matches, &config) + &memory(&config))
}

fn values(command: &Command, matches: &ArgMatches, config: &Config) -> String {
    let mut lines = String::new();
    for arg in command.get_arguments().filter(|arg| arg.get_env().is_some()) {
        let name = arg.get_long().unwrap_or_default();
        let value = value(arg, matches, config);
        // Writing to a string does not fail.
        let _ = writeln!(lines, "--{name:<32} {value}");
    }
    lines
}

fn value(arg: &Arg, matches: &ArgMatches, config: &Config) -> String {
    let memory = &config.memory;
    match arg.get_id().as_str() {
        "max_incomplete_size" => show(memory.max_incomplete_bytes as u64),
        "max_backlog_size" => show(memory.max_backlog_bytes as u64),
        "max_total_backlog_size" => show(memory.max_total_backlog_bytes as u64),
        // It may contain a password.
        "redis" if matches.get_raw("redis").is_some() => "set".to_owned(),
        id => match matches.get_raw(id) {
            Some(values) => {
                let values: Vec<_> = values.map(|value| value.to_string_lossy()).collect();
                values.join(",")
            }
            None => "not set".to_owned(),
        },
    }
}

/// The most memory that the configuration allows, by its use and in total.
fn memory(config: &Config) -> String {
    let memory = &config.memory;
    let (windows, compressors) = match config.deflate {
        Some(_) => (memory.max_deflate_context_bytes, MAX_COMPRESSORS * COMPRESSOR_BYTES),
        None => (0, 0),
    };
    // The name is kept twice: in the room, and as its key.
    let room = config.rooms.max_name_bytes.saturating_mul(2).saturating_add(ROOM_BYTES);
    let uses = [
        ("messages that members have not received", memory.max_total_backlog_bytes),
        ("history of rooms", config.history.as_ref().map_or(0, |history| history.max_total_bytes)),
        ("incomplete messages and request heads", memory.max_incomplete_bytes),
        ("compression windows of clients", windows),
        ("compressors of rooms", compressors),
        ("connections", config.connections.max.saturating_mul(CONNECTION_BYTES)),
        ("rooms", config.rooms.max.saturating_mul(room)),
        ("the program itself", PROGRAM_BYTES),
    ];
    let total = uses.iter().fold(0_usize, |total, (_, bytes)| total.saturating_add(*bytes));
    let mut lines = String::from("\nmemory at most, without the buffers of the system:\n");
    for (what, bytes) in uses.into_iter().chain([("total", total)]) {
        let _ = writeln!(lines, "{what:<41} {:>10} MiB", bytes.div_ceil(1 << 20));
    }
    lines
}
