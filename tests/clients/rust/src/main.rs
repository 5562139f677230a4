//! A line client on soketto: `soketto URL [deflate]`.

use soketto::connection::Error;
use soketto::extension::deflate::Deflate;
use soketto::handshake::{Client, ServerResponse};
use soketto::{BoxedError, Mode};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio_util::compat::TokioAsyncReadCompatExt;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxedError> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("the URL is missing")?;
    let host_and_path = url.strip_prefix("ws://").ok_or("not a ws URL")?;
    let (host, path) = host_and_path.split_at(host_and_path.find('/').ok_or("no path")?);

    let socket = TcpStream::connect(host).await?;
    let mut client = Client::new(socket.compat(), host, path);
    if arguments.next().as_deref() == Some("deflate") {
        client.add_extension(Box::new(Deflate::new(Mode::Client)));
    }
    let ServerResponse::Accepted { .. } = client.handshake().await? else {
        return Err("the handshake failed".into());
    };
    println!("open");
    let (mut sender, mut receiver) = client.into_builder().finish();

    let send = async {
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        while let Some(line) = lines.next_line().await? {
            sender.send_text(line).await?;
            sender.flush().await?;
        }
        sender.close().await?;
        // What ends the program is the end of the connection.
        std::future::pending::<Result<(), BoxedError>>().await
    };
    let receive = async {
        let mut message = Vec::new();
        loop {
            message.clear();
            match receiver.receive_data(&mut message).await {
                Ok(_) => println!("message {}", std::str::from_utf8(&message)?),
                Err(Error::Closed) => {
                    println!("closed");
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
    };
    tokio::select! {
        ended = send => ended,
        ended = receive => ended,
    }
}
