//! What happened, counted.

use std::fmt;

use crate::hostile::Kind;

#[derive(Debug, Default)]
pub struct Tally {
    /// How often a member joined.
    pub joined: u64,
    /// How often one left with a close handshake of its own.
    pub left: u64,
    /// How many were closed by the server when it stopped.
    pub dismissed: u64,
    pub said: u64,
    /// How many messages members heard and checked.
    pub heard: u64,
    /// How many of these were compressed.
    pub inflated: u64,
    /// How many of the members' messages were sent byte by byte.
    pub trickled: u64,
    /// How often a hostile client of each kind met the end that it should.
    hostile: [u64; Kind::ALL.len()],
}

impl Tally {
    pub fn count_hostile(&mut self, kind: Kind) {
        self.hostile[kind as usize] += 1;
    }

    /// Whether all hostile things have happened.
    pub fn has_seen_all(&self) -> bool {
        self.trickled > 0 && self.hostile.iter().all(|&count| count > 0)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { joined, left, dismissed, said, heard, inflated, trickled, .. } = self;
        writeln!(formatter, "joined      {joined}; {left} left, {dismissed} were dismissed")?;
        writeln!(
            formatter,
            "messages    {said} said, {heard} deliveries checked, {inflated} inflated"
        )?;
        write!(formatter, "hostile     ")?;
        for kind in Kind::ALL {
            write!(formatter, "{} {}, ", self.hostile[kind as usize], kind.name())?;
        }
        write!(formatter, "{trickled} trickled")
    }
}
