//! The server role on tokio: an echo server, with a task for each connection.
//!
//! ```sh
//! cargo run --example tokio_server --no-default-features
//! ```

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use townhall::protocol::{
    Buffers, Connection, Incoming, Limits, Received, Refusal, Request, Terms,
};

/// The longest silence before a client is asked for a sign of life, and before it counts as lost.
const SILENCE: Duration = Duration::from_secs(30);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("townhall is listening on http://{}/", listener.local_addr()?);
    let limits = Arc::new(Limits::default());
    loop {
        let (stream, _) = listener.accept().await?;
        let connection = Connection::new(limits.clone());
        // What goes wrong with one client is no matter to the others.
        tokio::spawn(async move { serve(connection, stream).await.unwrap_or_default() });
    }
}

async fn serve(mut connection: Connection, mut stream: TcpStream) -> io::Result<()> {
    let mut buffers = Buffers::default();
    let mut bytes = vec![0; 64 << 10];
    let mut out = Vec::new();
    let mut has_asked = false;
    while !connection.is_closed() {
        match timeout(SILENCE, stream.read(&mut bytes)).await {
            Ok(Ok(0)) => return Ok(()),
            Ok(size) => {
                has_asked = false;
                receive(&mut connection, &mut bytes[..size?], &mut buffers, &mut out);
            }
            Err(_) if connection.is_open() && !has_asked => {
                has_asked = true;
                connection.ping(b"", &mut out);
            }
            Err(_) if connection.is_handshaking() => connection.fail(Refusal::Timeout, &mut out),
            Err(_) => return Ok(()),
        }
        stream.write_all(&out).await?;
        out.clear();
    }
    // The client may still be sending: without this, the system could discard what was written.
    stream.shutdown().await
}

/// Takes bytes from a client, and appends the bytes for it to `out`.
fn receive(
    connection: &mut Connection,
    mut input: &mut [u8],
    buffers: &mut Buffers,
    out: &mut Vec<u8>,
) {
    loop {
        match connection.receive(&mut input, buffers) {
            Ok(None) => return,
            Ok(Some(Received::Head(head))) => match negotiate(&head) {
                Ok(terms) => connection.accept(&terms, out),
                Err(refusal) => connection.fail(refusal, out),
            },
            Ok(Some(Received::Frames(incoming))) => {
                match &incoming {
                    Incoming::Message(message) => connection.send(message, out),
                    Incoming::Ping(payload) => connection.pong(payload, out),
                    Incoming::Close(frame) => connection.answer_close(frame.as_ref(), out),
                    _ => {}
                }
                buffers.recycle(incoming);
            }
            Ok(Some(_)) => {}
            Err(failure) => connection.fail(failure, out),
        }
    }
}

fn negotiate(head: &[u8]) -> Result<Terms, Refusal> {
    let request = Request::parse(head, Limits::default().max_headers)?;
    Terms::negotiate(&request, &[], None)
}
