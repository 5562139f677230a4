//! `WebSocket`, which reads by itself.

use tungstenite::protocol::{Role, WebSocket};

use crate::{Parser, Source};

pub struct Tungstenite(WebSocket<Source>);

impl Tungstenite {
    pub fn new(source: Source) -> Self {
        Self(WebSocket::from_raw_socket(source, Role::Server, None))
    }
}

impl Parser for Tungstenite {
    fn name(&self) -> &'static str {
        "tungstenite"
    }

    fn parse(&mut self, count: usize, each: &mut dyn FnMut(&[u8])) {
        for _ in 0..count {
            each(&self.0.read().expect("a message").into_data());
        }
    }
}
