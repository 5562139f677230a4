//! The state of a connection for compressed messages from its peer.

use super::inflater::Inflater;
use super::terms::DeflateTerms;
use super::window::SlidingWindow;
use crate::protocol::violation::Violation;

/// How compressed messages are inflated.
#[derive(Debug)]
pub(crate) enum Inflation {
    /// There are no compressed messages: permessage-deflate was not negotiated.
    Off,
    /// Each message is inflated on its own.
    Independent,
    /// Each message may refer to those before it.
    Context {
        /// The window in bits, 8 to 15.
        window_bits: u8,
        /// The sender's window, once it has sent a compressed message.
        window: Option<Box<SlidingWindow>>,
    },
}

impl Inflation {
    /// The state for messages from the client, for the terms of permessage-deflate, if it was negotiated.
    pub(crate) fn of_client(terms: Option<DeflateTerms>) -> Self {
        terms.map_or(Self::Off, |terms| {
            Self::on(terms.client_context_takeover, terms.client_window_bits())
        })
    }

    /// The state for messages from the server.
    #[cfg(feature = "client")]
    pub(crate) fn of_server(terms: Option<DeflateTerms>) -> Self {
        terms.map_or(Self::Off, |terms| {
            Self::on(terms.server_context_takeover, terms.server_window_bits())
        })
    }

    fn on(context_takeover: bool, window_bits: u8) -> Self {
        if context_takeover {
            Self::Context { window_bits, window: None }
        } else {
            Self::Independent
        }
    }

    /// Whether permessage-deflate was negotiated.
    pub(crate) fn is_on(&self) -> bool {
        !matches!(self, Self::Off)
    }

    /// Inflates the next compressed message.
    ///
    /// # Errors
    /// The errors of [`Inflater`]. Nothing may be inflated after an error.
    pub(crate) fn inflate(
        &mut self,
        message: &[u8],
        inflater: &mut Inflater,
        max_bytes: usize,
    ) -> Result<Vec<u8>, Violation> {
        match self {
            Self::Context { window_bits, window } => {
                let window = window.get_or_insert_with(|| SlidingWindow::new(*window_bits).into());
                inflater.inflate_in_context(message, window, max_bytes)
            }
            Self::Off | Self::Independent => inflater.inflate(message, max_bytes),
        }
    }
}
