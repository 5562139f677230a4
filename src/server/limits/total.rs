//! Totals over all clients, which are always up to date.

/// A total in bytes, of which each client holds a share.
#[derive(Debug, Default)]
pub(crate) struct Total(usize);

/// One client's part of one [`Total`], in bytes. It can be neither copied nor created from a number, so
/// the total is always the sum of its shares.
#[derive(Debug, Default)]
pub(crate) struct Share(u32);

impl Total {
    pub(crate) fn get(&self) -> usize {
        self.0
    }

    /// Changes a share of this total. A size that does not fit into 32 bits counts as 4 GiB.
    ///
    /// # Panics
    /// If the share belongs to another total.
    #[inline]
    pub(crate) fn set(&mut self, share: &mut Share, bytes: usize) {
        let others = self.0.checked_sub(share.0 as usize).expect("a share of this total");
        share.0 = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.0 = others + share.0 as usize;
    }
}

impl Share {
    pub(crate) fn get(&self) -> usize {
        self.0 as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_is_the_sum_of_its_shares() {
        let mut total = Total::default();
        let mut one = Share::default();
        let mut other = Share::default();
        total.set(&mut one, 10);
        total.set(&mut other, 5);
        total.set(&mut one, 3);
        assert_eq!((total.get(), one.get(), other.get()), (8, 3, 5));
        total.set(&mut one, 0);
        total.set(&mut other, usize::MAX);
        assert_eq!(total.get(), u32::MAX as usize);
        total.set(&mut other, 0);
        assert_eq!(total.get(), 0);
    }
}
