//! The townhall binary: flags, the chat page, and an application that broadcasts messages.

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
            output::print_last(error);
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
        Event::Message(message) => forward(flags, hub, client, message),
        _ => {}
    })?;
    Ok(())
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

/// Responds with the chat page, or tells load balancers whether the server accepts new clients.
fn answer(page: &Page, hub: &Hub, exchange: Exchange<'_>) {
    match exchange.request().normal_path().as_str() {
        "/" => exchange.respond(page.response()),
        "/health" if hub.is_stopping() => exchange.respond(Response::text(503, "stopping")),
        "/health" => exchange.respond(Response::text(200, "ok")),
        _ => {}
    }
}

/// Forwards a message to the clients that the flags choose.
fn forward(flags: &Flags, hub: &mut Hub, client: ClientId, message: Message<'_>) {
    let message = flags.truncate.map_or(message, |length| message.truncate(length));
    match flags.mode {
        Mode::Echo => hub.send(client, message),
        Mode::Broadcast if flags.no_reflect => hub.publish_to_others(client, message),
        Mode::Broadcast => hub.publish(client, message),
    }
}
