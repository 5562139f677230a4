//! A chat on tungstenite and tokio, after tokio-tungstenite's examples `server` and `echo-server`: every
//! client has a task, and a channel for the messages to it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use futures_channel::mpsc::{UnboundedSender, unbounded};
use futures_util::stream::TryStreamExt;
use futures_util::{StreamExt, future, pin_mut};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_async};

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
    let client = accept_async(stream).await?;
    if echoes { echo(client).await } else { chat(client, address, peers).await }
}

async fn echo(client: WebSocketStream<TcpStream>) -> Result<(), Error> {
    let (sink, stream) = client.split();
    stream.try_filter(|message| future::ready(is_data(message))).forward(sink).await
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
