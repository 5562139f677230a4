//! Bytes, with the offsets at which frames begin in them.

use std::ops::Range;

use crate::protocol::frame;

/// Opaque bytes, such as an HTTP response or the remainder of a frame whose beginning was written,
/// followed by complete frames.
#[derive(Debug, Default)]
pub(crate) struct FramedBytes {
    bytes: Vec<u8>,
    /// The number of opaque bytes at the beginning.
    opaque: usize,
    /// The offset of each frame, in order.
    starts: Vec<usize>,
}

impl FramedBytes {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The memory in bytes, including spare capacity.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.capacity() + self.starts.capacity() * size_of::<usize>()
    }

    /// Appends opaque bytes, which `encode` writes to the end of the buffer. No frame may be before
    /// them.
    pub(crate) fn push_opaque(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        debug_assert!(self.starts.is_empty(), "opaque bytes after a frame");
        encode(&mut self.bytes);
        self.opaque = self.bytes.len();
    }

    /// Appends one frame, which `encode` writes to the end of the buffer, or nothing if it writes
    /// nothing.
    pub(crate) fn push_frame(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        encode(&mut self.bytes);
        if self.bytes.len() > start {
            self.starts.push(start);
        }
    }

    /// Appends complete frames, which begin at `starts` in `pieces`.
    pub(crate) fn push_frames<'a>(
        &mut self,
        pieces: impl IntoIterator<Item = &'a [u8]>,
        starts: impl Iterator<Item = usize>,
    ) {
        let before = self.bytes.len();
        self.starts.extend(starts.map(|start| before + start));
        for piece in pieces {
            self.bytes.extend_from_slice(piece);
        }
    }

    /// The end of the frame or the opaque bytes that contain `offset`, or `offset` itself if it lies
    /// between frames.
    pub(crate) fn boundary(&self, offset: usize) -> usize {
        if offset <= self.opaque {
            return self.opaque;
        }
        self.start_of(self.count_before(offset))
    }

    /// The offsets of the frames in `range`, which begins and ends between frames.
    pub(crate) fn starts(&self, range: &Range<usize>) -> &[usize] {
        &self.starts[self.count_before(range.start)..self.count_before(range.end)]
    }

    /// The frames in `range`, which begins and ends between frames.
    pub(crate) fn frames(&self, range: &Range<usize>) -> impl Iterator<Item = &[u8]> {
        let within = self.count_before(range.start)..self.count_before(range.end);
        within.map(|index| &self.bytes[self.starts[index]..self.start_of(index + 1)])
    }

    /// The start of the longest run of frames at the end of `range` that has at most `max_bytes`, or at
    /// least one message if `one` is set. The range begins and ends between frames.
    pub(crate) fn newest_from(&self, range: &Range<usize>, max_bytes: usize, one: bool) -> usize {
        if range.len() <= max_bytes {
            return range.start;
        }
        let newest = self.boundary(range.end - max_bytes).min(range.end);
        let is_message = |start: &&usize| !frame::is_control(&self.bytes[**start..]);
        match self.starts(range).iter().rfind(is_message) {
            Some(&last) if one => newest.min(last),
            _ => newest,
        }
    }

    /// Drops everything after `end`, which lies between frames.
    pub(crate) fn truncate(&mut self, end: usize) {
        self.bytes.truncate(end);
        self.starts.truncate(self.count_before(end));
    }

    /// Replaces everything before `end` with `front`. If `end` lies in a frame, the remainder of that
    /// frame becomes opaque, and `front` must not contain a frame.
    pub(crate) fn replace_front(&mut self, end: usize, front: Self) {
        let remainder = self.boundary(end) - end;
        let passed = self.count_before(end);
        debug_assert!(remainder == 0 || front.starts.is_empty(), "opaque bytes after a frame");
        self.opaque = if remainder == 0 { front.opaque } else { front.len() + remainder };
        for start in &mut self.starts[passed..] {
            *start = *start - end + front.len();
        }
        self.starts.splice(..passed, front.starts);
        self.bytes.splice(..end, front.bytes);
    }

    /// Gives back memory if most of it is unused, except for about `kept` bytes.
    pub(crate) fn shrink(&mut self, kept: usize) {
        if self.bytes.capacity() > 4 * self.bytes.len() {
            self.bytes.shrink_to(kept.max(2 * self.bytes.len()));
            self.starts.shrink_to(2 * self.starts.len());
        }
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.opaque = 0;
        self.starts.clear();
    }

    /// The offset of a frame; the end for the frame after the last one.
    fn start_of(&self, index: usize) -> usize {
        self.starts.get(index).map_or(self.bytes.len(), |&start| start)
    }

    /// The number of frames that begin before `offset`.
    fn count_before(&self, offset: usize) -> usize {
        self.starts.partition_point(|&start| start < offset)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::frame::{Opcode, encode_frame, frame_size};

    /// The offsets of the frames after `opaque` bytes, as a parser finds them, and their end.
    fn parse(bytes: &[u8], opaque: usize) -> Vec<usize> {
        let mut offsets = vec![opaque];
        let mut rest = &bytes[opaque..];
        while !rest.is_empty() {
            rest = &rest[frame_size(rest).unwrap()..];
            offsets.push(bytes.len() - rest.len());
        }
        offsets
    }

    /// Opaque bytes, messages, and control frames. The control frames are those of odd length.
    fn framed(opaque: usize, lengths: &[usize]) -> FramedBytes {
        let mut framed = FramedBytes::default();
        framed.push_opaque(|out| out.resize(opaque, b'h'));
        for &length in lengths {
            let control = length < 126 && length % 2 == 1;
            let opcode = if control { Opcode::Ping } else { Opcode::Binary };
            framed.push_frame(|out| encode_frame(opcode, &vec![b'x'; length], out));
        }
        framed
    }

    fn check(framed: &FramedBytes) {
        let boundaries = parse(framed.bytes(), framed.opaque);
        assert_eq!(boundaries[..boundaries.len() - 1], framed.starts);
        for offset in 0..=framed.len() {
            let next = boundaries.iter().find(|&&boundary| boundary >= offset);
            assert_eq!(Some(&framed.boundary(offset)), next);
        }
    }

    fn lengths() -> impl Strategy<Value = Vec<usize>> {
        vec(prop_oneof![9 => 0..20usize, 1 => 0..300usize], 0..20)
    }

    proptest! {
        #[test]
        fn the_offsets_of_frames_are_those_that_a_parser_finds(
            opaque in 0..30usize,
            lengths in lengths(),
        ) {
            check(&framed(opaque, &lengths));
        }

        #[test]
        fn the_offsets_are_right_after_a_new_front_and_before_a_new_end(
            (opaque, lengths) in (0..3usize, lengths()),
            (new_opaque, new_lengths) in (0..3usize, lengths()),
            (end, at) in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        ) {
            let mut framed_bytes = framed(opaque, &lengths);
            let end = framed_bytes.boundary(end.index(framed_bytes.len() + 1));
            framed_bytes.truncate(end);
            check(&framed_bytes);
            let at = at.index(end + 1);
            let between = framed_bytes.boundary(at) == at;
            let front = framed(new_opaque, if between { &new_lengths } else { &[] });
            let expected = [front.bytes(), &framed_bytes.bytes()[at..]].concat();
            framed_bytes.replace_front(at, front);
            prop_assert_eq!(framed_bytes.bytes(), expected);
            check(&framed_bytes);
        }

        #[test]
        fn the_newest_frames_are_those_that_fit_or_one_message(
            lengths in lengths(),
            max_bytes in 0..300usize,
        ) {
            let framed = framed(0, &lengths);
            let boundaries = parse(framed.bytes(), 0);
            let all = 0..framed.len();
            let end = framed.len();
            let fits = boundaries.iter().copied().find(|start| end - start <= max_bytes);
            prop_assert_eq!(Some(framed.newest_from(&all, max_bytes, false)), fits);
            let newest = framed.newest_from(&all, max_bytes, true);
            let begins_with_message = boundaries.iter().copied().rfind(|&start| {
                framed.bytes().get(start).is_some_and(|_| !frame::is_control(&framed.bytes()[start..]))
            });
            prop_assert_eq!(Some(newest), fits.min(begins_with_message.or(fits)));
        }
    }
}
