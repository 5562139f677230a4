//! A chat on fastwebsockets, after the library's examples `echo_server` and `echo_server_split`:
//! hyper answers the upgrade, and every client has a task that reads and one that writes.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use fastwebsockets::upgrade::{UpgradeFut, upgrade};
use fastwebsockets::{
    FragmentCollector, FragmentCollectorRead, Frame, OpCode, Payload, WebSocketError,
};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

type Message = (OpCode, Bytes);

#[derive(Default)]
struct Room {
    peers: HashMap<u64, UnboundedSender<Message>>,
    joined: u64,
}

/// The room. Without one, each client receives only its own messages.
type Chat = Option<Arc<Mutex<Room>>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), std::io::Error> {
    let echoes = std::env::args().nth(1).as_deref() == Some("echo");
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on {}", listener.local_addr()?.port());
    let chat: Chat = (!echoes).then(Arc::default);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(answer(stream, chat.clone()));
    }
}

async fn answer(stream: TcpStream, chat: Chat) {
    let service = service_fn(move |request| open(request, chat.clone()));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // The failure of one client does not affect the others.
    let _ = connection.with_upgrades().await;
}

async fn open(
    mut request: Request<Incoming>,
    chat: Chat,
) -> Result<Response<Empty<Bytes>>, WebSocketError> {
    let (response, client) = upgrade(&mut request)?;
    tokio::spawn(async move {
        match chat {
            Some(room) => serve(client, &room).await,
            None => echo(client).await,
        }
    });
    Ok(response)
}

async fn echo(client: UpgradeFut) -> Result<(), WebSocketError> {
    let mut client = FragmentCollector::new(client.await?);
    loop {
        let frame = client.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => client.write_frame(frame).await?,
            _ => {}
        }
    }
}

async fn serve(client: UpgradeFut, room: &Mutex<Room>) -> Result<(), WebSocketError> {
    let (reader, mut writer) = client.await?.split(tokio::io::split);
    let (sender, mut receiver) = unbounded_channel::<Message>();
    let number = {
        let mut room = room.lock().expect("no task panics");
        room.joined += 1;
        let number = room.joined;
        room.peers.insert(number, sender.clone());
        number
    };
    let send = tokio::spawn(async move {
        while let Some((opcode, payload)) = receiver.recv().await {
            let frame = Frame::new(true, opcode, None, Payload::Borrowed(&payload));
            writer.write_frame(frame).await?;
        }
        Ok::<(), WebSocketError>(())
    });
    let result = receive(FragmentCollectorRead::new(reader), &sender, room).await;
    room.lock().expect("no task panics").peers.remove(&number);
    send.abort();
    result
}

/// Forwards the client's messages to all members, and its control answers to the client itself.
async fn receive<R: tokio::io::AsyncRead + Unpin>(
    mut reader: FragmentCollectorRead<R>,
    own: &UnboundedSender<Message>,
    room: &Mutex<Room>,
) -> Result<(), WebSocketError> {
    loop {
        let mut answer = |frame: Frame<'_>| {
            // This fails only when the client has disconnected.
            let _ = own.send((frame.opcode, Bytes::copy_from_slice(&frame.payload)));
            std::future::ready(Ok::<(), Infallible>(()))
        };
        let frame = reader.read_frame(&mut answer).await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => {
                let payload = Bytes::copy_from_slice(&frame.payload);
                for peer in room.lock().expect("no task panics").peers.values() {
                    let _ = peer.send((frame.opcode, payload.clone()));
                }
            }
            _ => {}
        }
    }
}
