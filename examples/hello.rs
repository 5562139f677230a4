//! Answers "My name is John" with "Hello from server, John!", then closes the connection.
//!
//! `cargo run --example hello`, then connect any WebSocket client to ws://127.0.0.1:8080.

use townhall::{CloseCode, Config, Event, Message, Server};

fn main() -> std::io::Result<()> {
    let server = Server::bind(Config::default())?;
    println!("listening on ws://{}", server.addresses()[0]);
    server.run(|hub, client, event| {
        if let Event::Message(Message::Text(text)) = event
            && let Some(name) = text.strip_prefix("My name is ")
        {
            hub.send(client, &format!("Hello from server, {name}!"));
            hub.close(client, CloseCode::NORMAL, "Bye!");
        }
    })
}
