//! Objects with a buffer that are kept for reuse, because they are needed often and only briefly.

/// An object that is kept for reuse because it has a buffer.
pub(crate) trait Buffer {
    /// The number of bytes that the buffer can hold without growing.
    fn capacity(&self) -> usize;
}

/// Objects that are not in use. The last one is used first.
#[derive(Debug)]
pub(crate) struct Spares<T> {
    objects: Vec<T>,
    /// The number of bytes that the objects can hold.
    bytes: usize,
    /// The number of objects, from the first, that have not been needed since [`trim`](Self::trim).
    idle: usize,
}

impl<T> Default for Spares<T> {
    fn default() -> Self {
        Self { objects: Vec::new(), bytes: 0, idle: 0 }
    }
}

impl<T: Buffer> Spares<T> {
    pub(crate) fn take(&mut self) -> Option<T> {
        let object = self.objects.pop()?;
        self.idle = self.idle.min(self.objects.len());
        self.bytes -= object.capacity();
        Some(object)
    }

    /// Takes an object that holds at least `size` bytes, and at most twice that.
    pub(crate) fn take_fitting(&mut self, size: usize) -> Option<T> {
        let fits = |object: &T| (size..=2 * size).contains(&object.capacity());
        let at = self.objects.iter().rposition(fits)?;
        self.idle = self.idle.min(at);
        let object = self.objects.remove(at);
        self.bytes -= object.capacity();
        Some(object)
    }

    /// Keeps one more object, unless there would be more than `count`, or they would hold more than
    /// `bytes`.
    pub(crate) fn put(&mut self, object: T, count: usize, bytes: usize) {
        let sum = self.bytes + object.capacity();
        if self.objects.len() < count && sum <= bytes {
            self.bytes = sum;
            self.objects.push(object);
        }
    }

    /// Frees the objects that have not been needed since the last call.
    pub(crate) fn trim(&mut self) {
        let idle = self.objects.drain(..self.idle);
        self.bytes -= idle.map(|object| object.capacity()).sum::<usize>();
        self.idle = self.objects.len();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// The number of objects, and of the bytes that they can hold.
    #[cfg(test)]
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.objects.len(), self.bytes)
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
    fn an_object_that_fits_is_not_much_too_long() {
        let mut spares = Spares::default();
        for size in [100, 40] {
            spares.put(Vec::<u8>::with_capacity(size), 9, 900);
        }
        let mut take = |size| spares.take_fitting(size).map(|object| object.capacity());
        assert_eq!([take(101), take(49), take(50), take(40)], [None, None, Some(100), Some(40)]);
    }
}
