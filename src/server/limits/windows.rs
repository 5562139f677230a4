//! The memory that is reserved for clients that keep their compression context.

use crate::protocol::DeflateTerms;
use crate::server::limits::total::{Share, Total};

/// The number of bytes that are reserved for windows, and the limit.
///
/// The window of a client takes memory only as the client sends data. It is reserved when it is
/// negotiated, so that the limit holds whatever clients send later, and no client is closed because of
/// it.
#[derive(Debug)]
pub(crate) struct Windows {
    reserved: Total,
    max: usize,
}

impl Windows {
    pub(crate) fn new(max: usize) -> Self {
        Self { reserved: Total::default(), max }
    }

    /// How many bytes are reserved.
    pub(crate) fn reserved(&self) -> usize {
        self.reserved.get()
    }

    /// Reserves the window of a client with these terms, as its share. If there is not enough memory,
    /// the terms change to those of a client that keeps no context. Returns whether they are unchanged.
    pub(crate) fn reserve(&mut self, share: &mut Share, terms: &mut Option<DeflateTerms>) -> bool {
        let Some(kept) = terms.filter(|terms| terms.client_context_takeover) else { return true };
        let window = 1 << kept.client_window_bits();
        let fits = self.reserved.get().saturating_add(window) <= self.max;
        if fits {
            self.reserved.set(share, window);
        } else {
            *terms = Some(kept.without_client_context());
        }
        fits
    }

    /// Gives a client's share back.
    pub(crate) fn release(&mut self, share: &mut Share) {
        self.reserved.set(share, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Deflate;

    /// Whether a client with this offer may keep its context, and the size that is reserved for it.
    fn reserve(windows: &mut Windows, offer: &str) -> (bool, Share) {
        let offers = [offer.as_bytes()].into_iter();
        let mut terms = DeflateTerms::negotiate(offers, &Deflate::default()).unwrap();
        let mut share = Share::default();
        let before = terms;
        assert_eq!(windows.reserve(&mut share, &mut terms), terms == before);
        (terms.is_some_and(|terms| terms.client_context_takeover), share)
    }

    #[test]
    fn clients_keep_their_context_while_there_is_memory_for_their_windows() {
        let mut windows = Windows::new(40 << 10);
        let (kept, mut large) = reserve(&mut windows, "permessage-deflate");
        assert!(kept);
        assert!(!reserve(&mut windows, "permessage-deflate").0);
        let offer = "permessage-deflate; client_max_window_bits";
        let small = [(); 3].map(|()| reserve(&mut windows, offer));
        assert_eq!(small.each_ref().map(|(kept, _)| *kept), [true, true, false]);
        windows.release(&mut large);
        assert_eq!(windows.reserved.get(), 8 << 10);
        for (_, mut share) in small {
            windows.release(&mut share);
        }
        assert_eq!(windows.reserved.get(), 0);
    }

    #[test]
    fn nothing_is_reserved_for_clients_that_keep_no_context() {
        let mut windows = Windows::new(usize::MAX);
        for offer in ["x", "permessage-deflate; client_no_context_takeover"] {
            assert!(!reserve(&mut windows, offer).0);
        }
        assert_eq!(windows.reserved.get(), 0);
    }
}
