//! Sends every message back to its sender.
//!
//! `cargo run --example echo`, then connect any WebSocket client to ws://127.0.0.1:8080.

use townhall::{Config, Event, Server};

fn main() -> std::io::Result<()> {
    let server = Server::bind(Config::default())?;
    println!("listening on ws://{}", server.addresses()[0]);
    server.run(|hub, client, event| {
        if let Event::Message(message) = event {
            hub.send(client, message);
        }
    })
}
