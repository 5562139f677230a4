//! A chat with direct messages: "@2 psst" goes only to client number 2.
//!
//! `cargo run --example whisper 127.0.0.1:8080`, then connect WebSocket clients to ws://127.0.0.1:8080.
//! Each receives its number first.

use std::collections::HashMap;

use townhall::{ClientId, Config, Event, Hub, Message, Server};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    let mut config = Config::default();
    config.listen = vec![address.parse()?];
    let server = Server::bind(config)?;
    println!("townhall is listening on http://{}/", server.addresses()[0]);
    let mut numbers = HashMap::new();
    let mut last = 0;
    server.run(|hub, client, event| match event {
        Event::Open { room, .. } => {
            last += 1;
            numbers.insert(last, client);
            hub.send(client, &format!("you are number {last}"));
            hub.join(client, room);
        }
        Event::Message(Message::Text(text)) => match whisper(text) {
            Some((number, text)) => send_to(hub, client, numbers.get(&number), text),
            None => hub.publish(client, text),
        },
        Event::Message(message) => hub.publish(client, message),
        Event::Close(_) => numbers.retain(|_, &mut other| other != client),
        _ => {}
    })?;
    Ok(())
}

/// The number and the text of "@2 psst".
fn whisper(text: &str) -> Option<(u32, &str)> {
    let (number, text) = text.strip_prefix('@')?.split_once(' ')?;
    Some((number.parse().ok()?, text))
}

fn send_to(hub: &mut Hub, from: ClientId, to: Option<&ClientId>, text: &str) {
    match to {
        Some(&to) => hub.send(to, text),
        None => hub.send(from, "nobody has that number"),
    }
}
