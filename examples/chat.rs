//! A minimal chat: every client joins the same room, and every message goes to everyone in it. A client
//! that disconnects leaves the room automatically.
//!
//! `cargo run --example chat`, then connect any two WebSocket clients to ws://127.0.0.1:8080.

use townhall::{Config, Event, Server};

fn main() -> std::io::Result<()> {
    let server = Server::bind(Config::default())?;
    println!("listening on ws://{}", server.addresses()[0]);
    server.run(|hub, client, event| match event {
        Event::Open { .. } => _ = hub.join(client, "everyone"),
        Event::Message(message) => hub.broadcast("everyone", message.truncate(50)),
        _ => {}
    })
}
