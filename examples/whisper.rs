//! Everyone hears everyone, and "@2 psst" is for number 2 alone.
//!
//! `cargo run --example whisper 127.0.0.1:8080`, then connect any WebSocket clients to it. Each is
//! told its number when it comes.

use std::collections::HashMap;

use townhall::{ClientId, Config, Event, Hub, Message, Server};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    let mut config = Config::default();
    config.listen = vec![address.parse()?];
    let server = Server::bind(config)?;
    println!("townhall is listening on http://{}/", server.addresses()[0]);
    let (mut numbers, mut last) = (HashMap::new(), 0);
    server.run(|hub, client, event| match event {
        Event::Open { room, .. } => {
            last += 1;
            numbers.insert(last, client);
            hub.send(client, format!("you are number {last}").as_str());
            hub.join(client, room);
        }
        Event::Message(Message::Text(text)) => match whisper(text) {
            Some((number, text)) => pass_on(hub, client, numbers.get(&number), text),
            None => hub.publish(client, text),
        },
        Event::Message(message) => hub.publish(client, message),
        Event::Close(_) => numbers.retain(|_, &mut other| other != client),
        _ => {}
    })?;
    Ok(())
}

/// The number and the words of "@2 psst".
fn whisper(text: &str) -> Option<(u32, &str)> {
    let (number, words) = text.strip_prefix('@')?.split_once(' ')?;
    Some((number.parse().ok()?, words))
}

fn pass_on(hub: &mut Hub, from: ClientId, to: Option<&ClientId>, text: &str) {
    match to {
        Some(&to) => hub.send(to, text),
        None => hub.send(from, "nobody has that number"),
    }
}
