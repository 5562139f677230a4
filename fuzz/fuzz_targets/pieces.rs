//! How an input says where it is to be cut.

/// The lengths of the pieces of something of `total` bytes. Each of `sizes`, in turn and over
/// again, is the length of a piece less one, so that no piece is empty.
pub fn piece_lengths(total: usize, sizes: &[u8; 4]) -> impl Iterator<Item = usize> {
    let mut left = total;
    sizes.iter().cycle().map_while(move |&size| {
        let length = left.min(usize::from(size) + 1);
        left -= length;
        (length > 0).then_some(length)
    })
}
