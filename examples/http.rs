//! Plain HTTP and WebSocket on the same port: a page, a list of the rooms, and rooms that need a token.
//!
//! `cargo run --example http 127.0.0.1:8080`, then open http://127.0.0.1:8080/, or connect any WebSocket
//! client to ws://127.0.0.1:8080/lobby?token=secret.

use townhall::{Config, Event, Exchange, Hub, Response, Server, Upgrade};

const PAGE: &[u8] = b"<!doctype html><title>townhall</title><p>See <a href=/rooms>the rooms</a>.";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    let mut config = Config::default();
    config.listen = vec![address.parse()?];
    let page = Response::new(200).header("Content-Type", "text/html; charset=utf-8")?.body(PAGE);
    let server = Server::bind(config)?;
    println!("townhall is listening on http://{}/", server.addresses()[0]);
    server.run(|hub, client, event| match event {
        Event::Request(exchange) => answer(hub, exchange, &page),
        Event::Upgrade(upgrade) => admit(upgrade),
        Event::Open { room, .. } => _ = hub.join(client, room),
        Event::Message(message) => hub.publish(client, message),
        _ => {}
    })?;
    Ok(())
}

/// Answers a plain request. Any other path gets 426 from the server, because it is a room.
fn answer(hub: &Hub, exchange: Exchange<'_>, page: &Response) {
    match exchange.request().normal_path().as_str() {
        "/" => exchange.respond(page.clone()),
        "/rooms" => {
            let rooms =
                hub.rooms().map(|room| format!("{} in {}", room.member_count(), room.name()));
            exchange.respond(Response::text(200, rooms.collect::<Vec<_>>().join("\n")));
        }
        _ => {}
    }
}

/// Refuses an upgrade that has no token.
fn admit(upgrade: Upgrade<'_>) {
    let query = upgrade.request().query().unwrap_or_default();
    if !query.split('&').any(|field| field == "token=secret") {
        upgrade.refuse(Response::text(401, "a token is needed"));
    }
}
