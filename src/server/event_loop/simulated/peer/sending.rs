//! What a peer sends, and how much of it at a time.

use super::super::frames::masked;
use super::super::link::Link;
use super::super::log;
use super::super::plan::MAX_MESSAGE_BYTES;
use super::Peer;
use crate::server::system;

impl Peer {
    /// Queues bytes that show no activity.
    pub(super) fn append(&mut self, link: &mut Link, bytes: &[u8]) {
        self.out.extend(bytes);
        link.queued += bytes.len() as u64;
    }

    /// Queues a request or a frame.
    pub(super) fn queue(&mut self, link: &mut Link, bytes: &[u8]) {
        self.append(link, bytes);
        link.ends.push_back(link.queued);
    }

    pub(super) fn queue_frame(&mut self, link: &mut Link, first: u8, payload: &[u8]) {
        let frame = masked(&mut self.random, first, payload);
        self.queue(link, &frame);
    }

    /// Queues a part of a message, which shows no activity.
    pub(super) fn queue_part(&mut self, link: &mut Link, first: u8, payload: &[u8]) {
        let frame = masked(&mut self.random, first, payload);
        self.append(link, &frame);
    }

    /// Begins a message, once.
    pub(super) fn hoard(&mut self, link: &mut Link) {
        if self.said == 0 {
            self.said = 1;
            self.queue_part(link, 0x02, &[0; MAX_MESSAGE_BYTES]);
        }
    }

    pub(super) fn send(&mut self, connection: usize, link: &mut Link) {
        self.send_some(connection, link, self.manner.chunk);
    }

    pub(super) fn send_some(&mut self, connection: usize, link: &mut Link, most: usize) {
        let chunk = most.min(self.out.len());
        if chunk == 0 || self.has_ended {
            return;
        }
        let bytes = self.out.make_contiguous()[..chunk].to_vec();
        match system::with(|kernel| kernel.send(connection, &bytes)) {
            Some(size) => {
                log(format_args!("{connection} peer sends {size}"));
                if size > 0 {
                    link.sent_at = system::with(|kernel| kernel.elapsed());
                    link.unread_since.get_or_insert(link.sent_at);
                }
                link.sent += size as u64;
                self.out.drain(..size);
            }
            None => {
                // The connection has ended; what the server has written may still be read.
                link.has_ended = true;
                self.has_ended = true;
                self.out.clear();
            }
        }
    }
}
