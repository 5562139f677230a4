//! A client on the standard library's sockets: sends its arguments as messages, prints what it receives,
//! and closes once it has received as many messages.
//!
//! ```sh
//! cargo run --example client --features client -- ws://127.0.0.1:8080/lobby hello
//! ```

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use townhall::protocol::{
    Buffers, ClientConnection, ClientReceived, CloseCode, Incoming, Limits, UpgradeRequest,
    WebSocketUri,
};

/// The time without any input after which the client gives up.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let uri: WebSocketUri = arguments.next().ok_or("usage: client URL [MESSAGE...]")?.parse()?;
    if uri.is_secure() {
        return Err("this example has no TLS: use a ws:// URL".into());
    }
    let mut stream = TcpStream::connect((uri.host(), uri.port()))?;
    stream.set_read_timeout(Some(PATIENCE))?;

    let mut out = Vec::new();
    let connection = ClientConnection::new(UpgradeRequest::new(uri), Limits::default(), &mut out)?;
    let messages: Vec<String> = arguments.collect();
    let mut client = Client { connection, missing: messages.len(), messages, out };
    let mut buffers = Buffers::default();
    let mut bytes = vec![0; 64 << 10];
    while !client.connection.is_closed() {
        stream.write_all(&client.out)?;
        client.out.clear();
        match stream.read(&mut bytes)? {
            0 => _ = client.connection.end(),
            read => client.receive(&mut bytes[..read], &mut buffers),
        }
    }
    // The answer to the server's close frame.
    stream.write_all(&client.out)?;
    if client.connection.was_clean() { Ok(()) } else { Err("the connection was lost".into()) }
}

struct Client {
    connection: ClientConnection,
    messages: Vec<String>,
    /// The number of messages that have not been received.
    missing: usize,
    out: Vec<u8>,
}

impl Client {
    fn receive(&mut self, mut input: &mut [u8], buffers: &mut Buffers) {
        loop {
            match self.connection.receive(&mut input, buffers) {
                Ok(None) => return,
                Ok(Some(ClientReceived::Accepted(_))) => self.send(),
                Ok(Some(ClientReceived::Refused(response))) => {
                    eprintln!("refused: {} {}", response.status(), response.reason());
                }
                Ok(Some(ClientReceived::Frames(incoming))) => self.handle(&incoming),
                Ok(Some(_)) => {}
                Err(failure) => {
                    eprintln!("{failure}");
                    self.connection.fail(failure, &mut self.out);
                }
            }
        }
    }

    fn send(&mut self) {
        for message in &self.messages {
            self.connection.send(message, &mut self.out);
        }
    }

    fn handle(&mut self, incoming: &Incoming<'_>) {
        match incoming {
            Incoming::Message(message) => {
                // Nobody reads the output if this fails.
                let _ = io::stdout().write_all(message.as_message().payload());
                println!();
                self.missing = self.missing.saturating_sub(1);
                if self.missing == 0 {
                    self.connection.close(CloseCode::NORMAL, "", &mut self.out);
                }
            }
            Incoming::Ping(payload) => self.connection.pong(payload, &mut self.out),
            Incoming::Close(frame) => self.connection.answer_close(frame.as_ref(), &mut self.out),
            _ => {}
        }
    }
}
