//! The townhall binary: flags, the chat page, and an application that broadcasts messages.

mod admin;
mod app;
mod auth;
#[cfg(feature = "redis")]
mod cluster;
#[cfg(not(feature = "redis"))]
#[path = "without_redis.rs"]
mod cluster;
mod connect;
mod cors;
mod denied;
mod flags;
mod health;
mod heap;
mod key;
mod logger;
mod output;
mod page;
mod presence;
mod publish;
mod state;
mod systemd;

use std::error::Error;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;

use admin::{Admin, Shown};
use app::{App, Delivery, Pages};
use auth::Auth;
use cluster::Cluster;
use flags::{CommandLine, ConnectFlags, Flags, Mode, Task, TokenFlags};
use key::Key;
use log::{info, warn};
use presence::{Audience, Counter, MemberRooms, Presence};
use publish::Publisher;
use state::State;
use townhall::protocol::SUBPROTOCOL;
use townhall::{Config, Handle, Listen, Server, Slow};

fn main() -> ExitCode {
    let line = CommandLine::read();
    if line.task == Task::Check {
        return check(&line);
    }
    if line.task == Task::Token {
        return token(&line.own_flags());
    }
    if line.task == Task::Connect {
        return connect(&line.own_flags());
    }
    let flags = line.flags().unwrap_or_else(|error| error.exit());
    if line.task == Task::Health {
        return ask_for_health(&flags);
    }
    serve(&flags)
}

fn serve(flags: &Flags) -> ExitCode {
    heap::fix_threshold();
    output::report_panics();
    match run(flags) {
        Ok(()) => {
            logger::flush();
            ExitCode::SUCCESS
        }
        Err(error) => {
            output::print_last(error);
            ExitCode::FAILURE
        }
    }
}

/// Prints what the flags mean, or what is wrong with them.
fn check(line: &CommandLine) -> ExitCode {
    match flags::report(line, file_faults) {
        Ok(report) => output::print_report(&report),
        Err(faults) => {
            output::print_last(faults.join("\ntownhall: "));
            ExitCode::FAILURE
        }
    }
}

/// What is wrong with the files that the flags name.
fn file_faults(flags: &Flags, config: &Config) -> Vec<io::Error> {
    let needs_certificates = config.listen.iter().any(|listen| listen.tls);
    let certificates = if needs_certificates { config.tls.faults() } else { Vec::new() };
    let keys = [admin_key(flags).err(), publish_key(flags).err()].into_iter().flatten();
    let state = flags.state.as_deref().and_then(state::fault);
    certificates.into_iter().chain(keys).chain(Auth::faults(&flags.auth)).chain(state).collect()
}

/// Prints a token, or explains one.
fn token(flags: &TokenFlags) -> ExitCode {
    let made = || auth::make(flags).map(|token| (token + "\n", true));
    let printed = flags.check.as_deref().map_or_else(made, |token| auth::explain(flags, token));
    match printed {
        Ok((text, true)) => output::print_report(&text),
        Ok((text, false)) => {
            output::print_report(&text);
            ExitCode::FAILURE
        }
        Err(error) => {
            output::print_last(error);
            ExitCode::FAILURE
        }
    }
}

fn connect(flags: &ConnectFlags) -> ExitCode {
    connect::run(flags).unwrap_or_else(|error| {
        output::print_last(format_args!("cannot connect: {error}"));
        ExitCode::from(connect::UNREACHABLE)
    })
}

fn ask_for_health(flags: &Flags) -> ExitCode {
    match flags.addresses().and_then(|listen| health::ask(&listen)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::print_last(error);
            ExitCode::FAILURE
        }
    }
}

fn run(flags: &Flags) -> Result<(), Box<dyn Error>> {
    let mut config = flags.config()?;
    // A browser drops a connection on which none of the subprotocols that it offers is chosen.
    config.subprotocols.push(SUBPROTOCOL.to_owned());
    logger::init(flags.log_level)?;
    let auth = Auth::read(&flags.auth)?.map(Rc::new);
    let shutdown = config.shutdown.clone();
    let mut limits = config.clone();
    // Inherited sockets stay open as long as a configuration has them.
    limits.listen.clear();
    let rooms = member_rooms(flags, &mut config);
    let mut presence = Presence::new(rooms.clone(), audience(&config, auth.as_deref()));
    let counter = Counter::new(config.rooms.clone(), rooms.clone(), auth.clone());
    let publisher = publisher(flags, &config, rooms.clone(), auth.clone())?;
    let mut server = Server::bind(config)?;
    let admin = bind_admin(flags)?;
    let sessions = auth.as_deref().map(Auth::sessions);
    let take = |path: &Path| State::take(path, limits.clone(), sessions.clone());
    let state = flags.state.as_deref().map(take).transpose()?;
    raise_descriptor_limit(limits.connections.max);
    server.listen_to_signals()?;
    let admin_listening = admin.as_ref().map_or(&[][..], Admin::listening);
    output::announce(served(server.listening(), admin_listening))?;
    let cluster = cluster(flags, &limits, server.handle())?;
    let shown = Shown {
        handle: server.handle(),
        limits,
        member_rooms: rooms.clone(),
        truncate: flags.truncate,
        sessions,
        link: cluster.as_ref().map(|cluster| cluster.link().clone()),
    };
    let admin = admin
        .map(|admin| {
            let requests = presence.follow_rooms(server.handle(), admin.handle());
            admin.start(shown, requests)
        })
        .transpose()?;
    systemd::ready(&server.handle());
    let app = App {
        delivery: Delivery::new(flags),
        pages: Pages::new(),
        auth,
        rooms,
        presence,
        counter,
        publisher,
        cluster,
        state,
        admin,
        shutdown,
    };
    Ok(app.run(server)?)
}

/// The rooms that show the members of others, which have no history.
fn member_rooms(flags: &Flags, config: &mut Config) -> MemberRooms {
    let rooms = MemberRooms::new(flags.access.presence(), config.rooms.clone());
    if let Some(history) = &mut config.history {
        history.live_only = rooms.live_only();
    }
    rooms
}

/// What those who watch rooms receive.
fn audience(config: &Config, auth: Option<&Auth>) -> Audience {
    Audience { names: auth.is_some(), may_miss: config.slow == Slow::Drop }
}

/// Shares the rooms with other processes, if the flags ask for that.
fn cluster(flags: &Flags, config: &Config, handle: Handle) -> io::Result<Option<Cluster>> {
    let urls = flags.redis.urls();
    let history = config.history.as_ref().filter(|_| !urls.is_empty());
    let start = |history| Cluster::start(&urls, history, flags.no_reflect, handle);
    history.map(start).transpose()
}

/// Answers requests that publish messages, if there are rooms.
fn publisher(
    flags: &Flags,
    config: &Config,
    rooms: MemberRooms,
    auth: Option<Rc<Auth>>,
) -> io::Result<Option<Publisher>> {
    let key = publish_key(flags)?;
    let new = || Publisher::new(config.rooms.clone(), rooms, key, auth, flags.truncate);
    Ok((flags.mode == Mode::Broadcast).then(new))
}

/// Binds the admin listener, if the flags ask for one.
fn bind_admin(flags: &Flags) -> io::Result<Option<Admin>> {
    let Some(address) = flags.admin.admin_listen.clone() else { return Ok(None) };
    Admin::bind(address, admin_key(flags)?).map(Some)
}

fn admin_key(flags: &Flags) -> io::Result<Option<Key>> {
    flags.admin.admin_key_file.as_deref().map(Key::read).transpose()
}

fn publish_key(flags: &Flags) -> io::Result<Option<Key>> {
    flags.access.publish_key_file.as_deref().map(Key::read).transpose()
}

/// What to tell the user about each address.
fn served(listening: &[Listen], admin_listening: &[Listen]) -> Vec<String> {
    let line = |what: &str, listen: &Listen, path: &str| {
        let path = if listen.address.is_unix() { "" } else { path };
        format!("townhall {what} on {listen}{path}")
    };
    let lines = listening.iter().map(|listen| line("is listening", listen, "/"));
    let admin_line = |listen| line("serves metrics", listen, "/metrics");
    lines.chain(admin_listening.iter().map(admin_line)).collect()
}

/// Raises the soft limit on file descriptors to the hard limit, because each connection takes one, and
/// logs it.
fn raise_descriptor_limit(max_connections: usize) {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) if limit > max_connections as u64 => info!("file descriptor limit: {limit}"),
        Ok(limit) => {
            warn!("file descriptor limit of {limit} is too low for {max_connections} connections")
        }
        Err(error) => warn!("cannot raise the file descriptor limit: {error}"),
    }
}
