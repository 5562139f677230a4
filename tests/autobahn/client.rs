//! The client that the Autobahn TestSuite's `fuzzingserver` tests: it runs every case of the server, and
//! echoes its messages.
//!
//! ```sh
//! autobahn_client ws://127.0.0.1:PORT AGENT
//! ```

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use townhall::protocol::{
    Buffers, ClientConnection, ClientReceived, DeflateOffer, Incoming, Limits, UpgradeRequest,
};

/// The time without any input after which a case is given up.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(agent)) = (arguments.next(), arguments.next()) else {
        return Err("usage: autobahn_client URL AGENT".into());
    };
    let count: usize = run(&format!("{url}/getCaseCount"))?.ok_or("no count came")?.parse()?;
    for case in 1..=count {
        run(&format!("{url}/runCase?case={case}&agent={agent}"))?;
    }
    run(&format!("{url}/updateReports?agent={agent}"))?;
    Ok(())
}

/// Echoes messages until the connection closes, and returns the first text.
fn run(url: &str) -> Result<Option<String>, Box<dyn Error>> {
    let request = UpgradeRequest::new(url.parse()?).deflate(DeflateOffer::default());
    let mut stream = TcpStream::connect((request.uri().host(), request.uri().port()))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let mut out = Vec::new();
    let mut connection = ClientConnection::new(request, Limits::default(), &mut out)?;
    let mut buffers = Buffers::default();
    let mut bytes = vec![0; 64 << 10];
    let mut first = None;
    stream.write_all(&out)?;
    loop {
        let read = match stream.read(&mut bytes) {
            Ok(0) => return Ok(first),
            Ok(read) => read,
            // Some cases end with a reset.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(first),
            Err(error) => return Err(format!("{url}: {error}").into()),
        };
        out.clear();
        receive(&mut connection, &mut bytes[..read], &mut buffers, &mut out, &mut first)?;
        let written = stream.write_all(&out);
        // A server that has broken the protocol on purpose may have gone. One that has not closes the
        // transport, because that is its part (RFC 6455, section 7.1.1).
        if written.is_err() || connection.is_closed() && !connection.was_clean() {
            let _ = stream.shutdown(Shutdown::Both);
            return Ok(first);
        }
    }
}

fn receive(
    connection: &mut ClientConnection,
    mut input: &mut [u8],
    buffers: &mut Buffers,
    out: &mut Vec<u8>,
    first: &mut Option<String>,
) -> Result<(), Box<dyn Error>> {
    loop {
        match connection.receive(&mut input, buffers) {
            Ok(None) => return Ok(()),
            Ok(Some(ClientReceived::Refused(response))) => {
                return Err(format!("refused with {}", response.status()).into());
            }
            Ok(Some(ClientReceived::Frames(incoming))) => {
                match &incoming {
                    Incoming::Message(message) => {
                        let payload = message.as_message().payload();
                        first.get_or_insert_with(|| String::from_utf8_lossy(payload).into_owned());
                        connection.send(message, out);
                    }
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
