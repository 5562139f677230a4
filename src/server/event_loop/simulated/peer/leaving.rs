//! How a peer leaves.

use std::io::ErrorKind;

use super::super::frames::masked;
use super::super::link::Link;
use super::super::log;
use super::super::manner::Exit;
use super::super::plan::MAX_MESSAGE_BYTES;
use super::Peer;
use crate::protocol::CloseCode;
use crate::server::system;

impl Peer {
    pub(super) fn leave(&mut self, connection: usize, link: &mut Link, exit: Exit) {
        log(format_args!("{connection} peer leaves: {exit:?}"));
        match exit {
            Exit::Stays => {}
            Exit::Closes => {
                let code = self.random.pick(&[1000, 1001, 4000, 1005]);
                self.close(link, code);
            }
            Exit::EndsItsSide | Exit::ClosesSocket => {
                // What it has to say may be lost.
                self.has_ended = true;
                self.out.clear();
                link.note_end();
                if exit == Exit::EndsItsSide {
                    system::with(|kernel| kernel.end_sending(connection));
                } else {
                    system::with(|kernel| kernel.close_peer(connection));
                    self.is_gone = true;
                }
            }
            Exit::Resets => {
                let error = self.random.pick(&[
                    ErrorKind::ConnectionReset,
                    ErrorKind::TimedOut,
                    ErrorKind::BrokenPipe,
                ]);
                link.note_end();
                self.is_gone = true;
                system::with(|kernel| kernel.reset(connection, error));
            }
            Exit::Vanishes => {
                link.has_vanished = true;
                self.is_gone = true;
            }
            Exit::Breaks => self.violate(link),
        }
    }

    /// Breaks the protocol.
    pub(super) fn violate(&mut self, link: &mut Link) {
        link.violation = Some(link.queued);
        let first = self.random.pick(&[0x83, 0xf2, 0x80, 0x09, 0x82, 0xc2, 0xc2]);
        let payload = match first {
            0xc2 => self.undue(link),
            _ => b"a violation".to_vec(),
        };
        let mut frame = masked(&mut self.random, first, &payload);
        if first == 0x82 {
            // It is not masked.
            frame[1] &= 0x7f;
        }
        self.queue(link, &frame);
        self.is_closing = true;
    }

    /// The payload of a compressed message that cannot be inflated, or to more than is allowed. If
    /// compression was not agreed on, any is a violation.
    fn undue(&mut self, link: &mut Link) -> Vec<u8> {
        let compression = link.tap.compression.as_mut().filter(|_| self.random.happens(500));
        let bomb =
            compression.and_then(|compression| compression.deflate(&[0; 2 * MAX_MESSAGE_BYTES]));
        // A block of the type that is reserved.
        bomb.unwrap_or_else(|| vec![0x06])
    }

    pub(super) fn close(&mut self, link: &mut Link, code: u16) {
        self.is_closing = true;
        // 1005 stands for a frame without a code.
        let code = CloseCode::new(code).map(CloseCode::get);
        let payload = code.map(|code| code.to_be_bytes().to_vec()).unwrap_or_default();
        self.queue_frame(link, 0x88, &payload);
        link.close = Some((link.queued, code.unwrap_or(1005)));
    }
}
