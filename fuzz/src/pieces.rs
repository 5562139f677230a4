//! Splits an input into pieces.

/// The lengths of the pieces of `total` bytes. Each of `sizes`, in turn and repeatedly, is the length of a
/// piece minus one, so that no piece is empty.
pub fn piece_lengths(total: usize, sizes: &[u8; 4]) -> impl Iterator<Item = usize> {
    let mut left = total;
    sizes.iter().cycle().map_while(move |&size| {
        let length = left.min(usize::from(size) + 1);
        left -= length;
        (length > 0).then_some(length)
    })
}
