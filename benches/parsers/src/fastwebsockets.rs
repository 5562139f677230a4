//! `FragmentCollector`, which reads by itself, and gives messages.

use fastwebsockets::{FragmentCollector, Role, WebSocket};
use tokio::runtime::{Builder, Runtime};

use crate::{Parser, Source};

pub struct Fastwebsockets {
    runtime: Runtime,
    socket: FragmentCollector<Source>,
}

impl Fastwebsockets {
    pub fn new(source: Source) -> Self {
        let socket = WebSocket::after_handshake(source, Role::Server);
        Self {
            runtime: Builder::new_current_thread().build().expect("a runtime"),
            socket: FragmentCollector::new(socket),
        }
    }
}

impl Parser for Fastwebsockets {
    fn name(&self) -> &'static str {
        "fastwebsockets"
    }

    fn parse(&mut self, count: usize, each: &mut dyn FnMut(&[u8])) {
        self.runtime.block_on(async {
            for _ in 0..count {
                each(&self.socket.read_frame().await.expect("a message").payload);
            }
        });
    }
}
