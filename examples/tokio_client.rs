//! The client role on tokio: sends its arguments as messages, and prints what it receives.
//!
//! ```sh
//! cargo run --example tokio_client --features client -- ws://127.0.0.1:8080/lobby hello
//! ```

use std::error::Error;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use townhall::protocol::{
    Buffers, ClientConnection, ClientReceived, DeflateOffer, Incoming, Limits, Message,
    UpgradeRequest,
};

/// The longest silence before the server is asked for a sign of life, and before it counts as lost.
const SILENCE: Duration = Duration::from_secs(30);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("usage: tokio_client URL [MESSAGE...]")?;
    let request = UpgradeRequest::new(url.parse()?).deflate(DeflateOffer::default());
    let mut stream = TcpStream::connect((request.uri().host(), request.uri().port())).await?;

    let mut out = Vec::new();
    let mut connection = ClientConnection::new(request, Limits::default(), &mut out)?;
    let messages: Vec<String> = arguments.collect();
    let mut buffers = Buffers::default();
    let mut bytes = vec![0; 64 << 10];
    let mut has_asked = false;
    loop {
        stream.write_all(&out).await?;
        out.clear();
        if connection.is_closed() {
            return Ok(());
        }
        match timeout(SILENCE, stream.read(&mut bytes)).await {
            Ok(Ok(0)) => return Err("the connection was lost".into()),
            Ok(size) => {
                has_asked = false;
                let input = &mut bytes[..size?];
                receive(&mut connection, input, &messages, &mut buffers, &mut out);
            }
            Err(_) if has_asked || !connection.is_open() => {
                return Err("the server is silent".into());
            }
            Err(_) => {
                has_asked = true;
                connection.ping(b"", &mut out);
            }
        }
    }
}

/// Takes bytes from the server, and appends the bytes for it to `out`.
fn receive(
    connection: &mut ClientConnection,
    mut input: &mut [u8],
    messages: &[String],
    buffers: &mut Buffers,
    out: &mut Vec<u8>,
) {
    loop {
        match connection.receive(&mut input, buffers) {
            Ok(None) => return,
            Ok(Some(ClientReceived::Accepted(_))) => {
                messages.iter().for_each(|message| connection.send(message, out));
            }
            Ok(Some(ClientReceived::Refused(answer))) => eprintln!("refused: {}", answer.status()),
            Ok(Some(ClientReceived::Frames(incoming))) => match &incoming {
                Incoming::Message(message) => match message.as_message() {
                    Message::Text(text) => println!("{text}"),
                    Message::Binary(bytes) => println!("{} bytes", bytes.len()),
                },
                Incoming::Ping(payload) => connection.pong(payload, out),
                Incoming::Close(frame) => connection.answer_close(frame.as_ref(), out),
                _ => {}
            },
            Ok(Some(_)) => {}
            Err(failure) => connection.fail(failure, out),
        }
    }
}
