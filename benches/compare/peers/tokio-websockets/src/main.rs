//! A chat on tokio-websockets, in the form of tokio's own `chat` example and the library's
//! `echo_server`: every client has a task, and a channel for the messages to it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use futures_channel::mpsc::{UnboundedSender, unbounded};
use futures_util::stream::TryStreamExt;
use futures_util::{SinkExt, StreamExt, future, pin_mut};
use tokio::net::{TcpListener, TcpStream};
use tokio_websockets::{Error, Message, ServerBuilder, WebSocketStream};

type Peers = Arc<Mutex<HashMap<SocketAddr, UnboundedSender<Message>>>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), std::io::Error> {
    let echoes = std::env::args().nth(1).as_deref() == Some("echo");
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on {}", listener.local_addr()?.port());
    let peers = Peers::default();
    loop {
        let (stream, address) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let peers = peers.clone();
        tokio::spawn(async move {
            // The failure of one client does not affect the others.
            let _ = serve(stream, address, &peers, echoes).await;
            peers.lock().expect("no task panics").remove(&address);
        });
    }
}

async fn serve(
    stream: TcpStream,
    address: SocketAddr,
    peers: &Peers,
    echoes: bool,
) -> Result<(), Error> {
    let (_request, client) = ServerBuilder::new().accept(stream).await?;
    if echoes { echo(client).await } else { chat(client, address, peers).await }
}

async fn echo(mut client: WebSocketStream<TcpStream>) -> Result<(), Error> {
    while let Some(message) = client.try_next().await? {
        if is_data(&message) {
            client.send(message).await?;
        }
    }
    Ok(())
}

async fn chat(
    client: WebSocketStream<TcpStream>,
    address: SocketAddr,
    peers: &Peers,
) -> Result<(), Error> {
    let (sender, receiver) = unbounded();
    peers.lock().expect("no task panics").insert(address, sender);
    let (sink, stream) = client.split();
    let messages = stream.try_filter(|message| future::ready(is_data(message)));
    let receive = messages.try_for_each(|message| {
        for peer in peers.lock().expect("no task panics").values() {
            // This fails for a peer that is disconnecting.
            let _ = peer.unbounded_send(message.clone());
        }
        future::ok(())
    });
    let send = receiver.map(Ok).forward(sink);
    pin_mut!(receive, send);
    future::select(receive, send).await.factor_first().0
}

fn is_data(message: &Message) -> bool {
    message.is_text() || message.is_binary()
}
