//! Publishes from another thread: members of /clock receive the seconds that have passed. Other rooms are
//! chats.
//!
//! `cargo run --example publish 127.0.0.1:8080`, then connect any WebSocket client to
//! ws://127.0.0.1:8080/clock.

use std::thread;
use std::time::Duration;

use townhall::{Config, Event, Handle, HandleError, Server};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    let mut config = Config::default();
    config.listen = vec![address.parse()?];
    let server = Server::bind(config)?;
    println!("townhall is listening on http://{}/", server.addresses()[0]);
    let handle = server.handle();
    thread::spawn(move || publish(&handle));
    server.run(|hub, client, event| match event {
        Event::Open { room, .. } => _ = hub.join(client, room),
        Event::Message(message) if hub.room_of(client) != Some("/clock") => {
            hub.publish(client, message);
        }
        _ => {}
    })?;
    Ok(())
}

/// Stands in for a source of events, such as a database, a queue or a sensor.
fn publish(handle: &Handle) {
    for seconds in 0_u64.. {
        match handle.broadcast("/clock", &seconds.to_string()) {
            // If the queue is full, this message is dropped: the next one replaces it.
            Ok(()) | Err(HandleError::Full) => thread::sleep(Duration::from_secs(1)),
            Err(_) => return,
        }
    }
}
