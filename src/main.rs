//! The townhall program: flags, a page, and a chat.

mod flags;
mod heap;
mod logger;
mod output;
mod page;

use std::error::Error;
use std::process::ExitCode;

use flags::{Flags, Mode};
use log::{info, warn};
use page::Page;
use townhall::{ClientId, Event, Exchange, Hub, Message, Response, Server};

fn main() -> ExitCode {
    let flags = Flags::read().unwrap_or_else(|error| error.exit());
    heap::fix_threshold();
    output::report_panics();
    match run(&flags) {
        Ok(()) => {
            logger::flush();
            ExitCode::SUCCESS
        }
        Err(error) => {
            output::say_last(error);
            ExitCode::FAILURE
        }
    }
}

fn run(flags: &Flags) -> Result<(), Box<dyn Error>> {
    logger::init(flags.log_level)?;
    let config = flags.config()?;
    let max_connections = config.connections.max;
    let mut server = Server::bind(config)?;
    raise_descriptor_limit(max_connections);
    server.listen_to_signals()?;
    output::announce(server.addresses().to_vec())?;
    let page = Page::new();
    server.run(|hub, client, event| match event {
        Event::Request(exchange) => answer(&page, hub, exchange),
        Event::Open { room, .. } => {
            hub.join(client, room);
        }
        Event::Message(message) => say(flags, hub, client, message),
        _ => {}
    })?;
    Ok(())
}

/// Raises the soft limit of file descriptors to the hard one, since each connection takes one, and
/// logs the new limit.
fn raise_descriptor_limit(max_connections: usize) {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) if limit > max_connections as u64 => info!("up to {limit} file descriptors"),
        Ok(limit) => {
            warn!("{limit} file descriptors are too few for {max_connections} connections")
        }
        Err(error) => warn!("the limit of file descriptors stays as it is: {error}"),
    }
}

/// Answers with the page, or, for load balancers, with whether new connections are welcome.
fn answer(page: &Page, hub: &Hub, exchange: Exchange<'_>) {
    match exchange.request().normal_path().as_str() {
        "/" => exchange.respond(page.response()),
        "/health" if hub.is_stopping() => exchange.respond(Response::text(503, "stopping")),
        "/health" => exchange.respond(Response::text(200, "ok")),
        _ => {}
    }
}

/// Passes a member's message on to the room, or to those that the flags choose.
fn say(flags: &Flags, hub: &mut Hub, client: ClientId, message: Message<'_>) {
    let message = flags.truncate.map_or(message, |length| message.truncate(length));
    match flags.mode {
        Mode::Echo => hub.send(client, message),
        Mode::Broadcast if flags.no_reflect => hub.publish_to_others(client, message),
        Mode::Broadcast => hub.publish(client, message),
    }
}
