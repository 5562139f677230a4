//! The flags of `townhall connect`.

use std::path::PathBuf;

use clap::Parser;
use townhall::Position;
use townhall::protocol::WebSocketUri;

use super::number::number;

/// Talk to a WebSocket server from a terminal or a pipe
///
/// Send the lines of standard input as messages, and print what comes. A refused handshake is shown with its
/// status and body.
///
/// The exit status is 0 after the close code 1000 and after an end of our own, the last two digits of another
/// close code from 1001 to 1015, 6 for a connection that was lost (1006), and 100 plus the last two digits of a
/// code from 3000 on: 101 for 4001. It is 16 if there was no connection, and 17 if the handshake was refused.
#[derive(Debug, Parser)]
#[command(name = "connect", display_name = "townhall-connect", bin_name = "townhall connect")]
#[command(version, max_term_width = 100)]
pub struct ConnectFlags {
    /// Where to connect, such as wss://chat.example/lobby
    #[arg(value_name = "URL")]
    pub url: WebSocketUri,

    /// Send lines as text, and print a line for each text that comes. This is the default
    #[arg(long, group = "form")]
    text: bool,

    /// Send what can be read at once as a binary message, and write out payloads as they are
    #[arg(long, group = "form")]
    binary: bool,

    /// Send lines as text, and print a JSON object in a line for each message and event
    #[arg(long, group = "form")]
    json: bool,

    /// A token, which is sent as a bearer token
    #[arg(long, value_name = "TOKEN", env = "TOWNHALL_TOKEN", hide_env_values = true)]
    pub token: Option<String>,

    /// Begin after this position, such as k3v9q2.1042, in a room with history
    #[arg(long, value_name = "POSITION")]
    pub after: Option<Position>,

    /// Begin with up to this number of messages from before, in a room with history
    #[arg(long, value_name = "N", value_parser = number::<u32>, conflicts_with = "after")]
    pub last: Option<u32>,

    /// Print no messages, and close at the end of the input. Otherwise, only the end of a terminal's input closes
    #[arg(long)]
    pub send_only: bool,

    /// Show pings and pongs
    #[arg(long)]
    pub pings: bool,

    /// Come back when the connection is lost, and resume where it was if the room has history
    #[arg(long)]
    pub reconnect: bool,

    /// Trust the certificates in this file of PEM instead of the system's
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
}

/// What messages look like in the input and in the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Text,
    Binary,
    Json,
}

impl ConnectFlags {
    pub fn form(&self) -> Form {
        match (self.binary, self.json) {
            (true, _) => Form::Binary,
            (_, true) => Form::Json,
            _ => Form::Text,
        }
    }

    /// Whether positions matter, which only clients with the server's own subprotocol know.
    pub fn follows_positions(&self) -> bool {
        self.after.is_some() || self.last.is_some() || self.reconnect
    }
}
