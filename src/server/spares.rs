//! Things with a buffer that are kept for reuse, because they are needed briefly, again and again.

/// A thing that is kept for reuse because it has a buffer.
pub(crate) trait Buffer {
    /// How many bytes the buffer can hold without growing.
    fn capacity(&self) -> usize;
}

/// Things that nobody needs at the moment. The last one is used first.
#[derive(Debug)]
pub(crate) struct Spares<T> {
    things: Vec<T>,
    /// The bytes that the kept things can hold.
    bytes: usize,
    /// How many of them, counted from the first, have not been needed since [`trim`](Self::trim).
    idle: usize,
}

impl<T> Default for Spares<T> {
    fn default() -> Self {
        Self { things: Vec::new(), bytes: 0, idle: 0 }
    }
}

impl<T: Buffer> Spares<T> {
    pub(crate) fn take(&mut self) -> Option<T> {
        let thing = self.things.pop()?;
        self.idle = self.idle.min(self.things.len());
        self.bytes -= thing.capacity();
        Some(thing)
    }

    /// Takes a thing that holds `size` bytes, and not more than twice as many.
    pub(crate) fn take_fitting(&mut self, size: usize) -> Option<T> {
        let fits = |thing: &T| (size..=2 * size).contains(&thing.capacity());
        let at = self.things.iter().rposition(fits)?;
        self.idle = self.idle.min(at);
        let thing = self.things.remove(at);
        self.bytes -= thing.capacity();
        Some(thing)
    }

    /// Keeps one more thing, if there are then no more than `count`, and they hold no more than
    /// `bytes`.
    pub(crate) fn put(&mut self, thing: T, count: usize, bytes: usize) {
        let sum = self.bytes + thing.capacity();
        if self.things.len() < count && sum <= bytes {
            self.bytes = sum;
            self.things.push(thing);
        }
    }

    /// Gives back the things that have not been needed since the last call.
    pub(crate) fn trim(&mut self) {
        let idle = self.things.drain(..self.idle);
        self.bytes -= idle.map(|thing| thing.capacity()).sum::<usize>();
        self.idle = self.things.len();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.things.is_empty()
    }

    /// How many things are kept, and the bytes that they can hold.
    #[cfg(test)]
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.things.len(), self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Buffer for Vec<u8> {
        fn capacity(&self) -> usize {
            Vec::capacity(self)
        }
    }

    #[test]
    fn what_was_not_needed_between_two_trims_is_given_back() {
        let mut spares = Spares::default();
        for size in [10, 20, 30] {
            spares.put(Vec::with_capacity(size), 3, 60);
        }
        spares.trim();
        assert_eq!(spares.size(), (3, 60));
        let last: Vec<u8> = spares.take().unwrap();
        spares.put(last, 3, 60);
        spares.trim();
        assert_eq!(spares.size(), (1, 30));
        spares.trim();
        assert!(spares.is_empty());
    }

    #[test]
    fn no_more_is_kept_than_may_be() {
        let mut spares = Spares::default();
        for size in [50, 60, 40, 10] {
            spares.put(Vec::<u8>::with_capacity(size), 2, 100);
        }
        assert_eq!(spares.size(), (2, 90));
    }

    #[test]
    fn a_thing_that_fits_is_not_much_too_long() {
        let mut spares = Spares::default();
        for size in [100, 40] {
            spares.put(Vec::<u8>::with_capacity(size), 9, 900);
        }
        let mut take = |size| spares.take_fitting(size).map(|thing| thing.capacity());
        assert_eq!([take(101), take(49), take(50), take(40)], [None, None, Some(100), Some(40)]);
    }
}
