//! The command line: what the program is asked to do, and the flags for it.

use std::env;
use std::ffi::{OsStr, OsString};

use clap::{Command, CommandFactory, FromArgMatches};

use super::{ConnectFlags, Flags, TokenFlags, environment};

/// What the program is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Serve clients.
    Serve,
    /// Check the flags.
    Check,
    /// Ask a running server for its health.
    Health,
    /// Make a token, or explain one.
    Token,
    /// Talk to a server.
    Connect,
}

impl Task {
    /// The tasks other than to serve.
    const NAMED: [(Self, &str); 4] = [
        (Self::Check, "check"),
        (Self::Health, "health"),
        (Self::Token, "token"),
        (Self::Connect, "connect"),
    ];

    /// The task's command. Those that are about a server have its flags, so that one command line serves
    /// for all of them.
    fn command(self) -> Command {
        let command = Flags::command();
        match self {
            Self::Serve => command,
            Self::Check => command
                .name("check")
                .display_name("townhall")
                .bin_name("townhall check")
                .about("Print the limits that hold and the memory that they allow, or what is wrong")
                .long_about(
                    "Check the flags, their variables and the files that they name, without starting a \
                     server: print the limits that hold and the memory that they allow, or one line for \
                     each fault. The exit status is 0, or 1 if there are faults",
                ),
            Self::Health => command
                .name("health")
                .display_name("townhall")
                .bin_name("townhall health")
                .about("Ask the running server for its health")
                .long_about(
                    "Ask the server that listens on the first address of --listen without TLS for its \
                     /health, for service managers and containers. If all addresses have TLS, ask on the \
                     first one, without checking its certificate; this is not possible with \
                     --tls-client-ca. The exit status is 0 if it serves, otherwise 1",
                ),
            Self::Token => TokenFlags::command(),
            Self::Connect => ConnectFlags::command(),
        }
    }
}

/// The task, and the arguments for it.
#[derive(Debug)]
pub struct CommandLine {
    pub task: Task,
    /// The task's command.
    pub command: Command,
    /// The name of the command, and its arguments.
    pub arguments: Vec<OsString>,
}

impl CommandLine {
    /// Splits the program's arguments, without checking them.
    pub fn read() -> Self {
        let mut arguments: Vec<_> = env::args_os().collect();
        let named = arguments.get(1).and_then(|word| {
            Task::NAMED.into_iter().find(|(_, name)| word.as_os_str() == OsStr::new(name))
        });
        match named {
            Some((task, _)) => {
                arguments.remove(1);
                Self { task, command: task.command(), arguments }
            }
            None => Self { task: Task::Serve, command: Self::all(), arguments },
        }
    }

    /// The flags from the arguments and the environment.
    ///
    /// # Errors
    /// A flag is not valid, or contradicts another.
    pub fn flags(&self) -> Result<Flags, clap::Error> {
        let Self { command, arguments, .. } = self;
        let matches = environment::parse(command, arguments)?;
        let flags = Flags::from_arg_matches(&matches)?;
        let name = |id: &str| environment::given_name(command, &matches, id);
        match flags.faults(name).into_iter().next() {
            None => Ok(flags),
            Some((kind, reason)) => Err(command.clone().error(kind, reason)),
        }
    }

    /// The flags of [`Task::Token`] or [`Task::Connect`], or the end of the program with the error.
    pub fn own_flags<F: FromArgMatches>(&self) -> F {
        let matches = self.command.clone().get_matches_from(&self.arguments);
        F::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    /// The program's command, with those of all tasks.
    pub fn all() -> Command {
        let tasks = Task::NAMED.into_iter().map(|(task, _)| task.command());
        let command = Task::Serve.command().subcommands(tasks).disable_help_subcommand(true);
        // Flags follow the task, because the task decides how they are read.
        command.args_conflicts_with_subcommands(true)
    }
}
