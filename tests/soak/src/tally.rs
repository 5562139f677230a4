//! Counts of what happened.

use std::fmt;

use crate::hostile::Kind;

#[derive(Debug, Default)]
pub struct Tally {
    /// How often a member joined.
    pub joined: u64,
    /// How often a member left with a close handshake.
    pub left: u64,
    /// How many members the server closed when it shut down.
    pub dismissed: u64,
    pub sent: u64,
    /// How many messages members received and checked.
    pub received: u64,
    /// How many of these were compressed.
    pub inflated: u64,
    /// How many of the members' messages were sent byte by byte.
    pub trickled: u64,
    /// How many hostile clients of each kind ended as they must.
    hostile: [u64; Kind::ALL.len()],
}

impl Tally {
    pub fn count_hostile(&mut self, kind: Kind) {
        self.hostile[kind as usize] += 1;
    }

    /// Whether every kind of hostile client has ended as it must.
    pub fn has_seen_all(&self) -> bool {
        self.trickled > 0 && self.hostile.iter().all(|&count| count > 0)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { joined, left, dismissed, sent, received, inflated, trickled, .. } = self;
        writeln!(formatter, "joined      {joined}; {left} left, {dismissed} were dismissed")?;
        writeln!(
            formatter,
            "messages    {sent} sent, {received} deliveries checked, {inflated} inflated"
        )?;
        write!(formatter, "hostile     ")?;
        for kind in Kind::ALL {
            write!(formatter, "{} {}, ", self.hostile[kind as usize], kind.name())?;
        }
        write!(formatter, "{trickled} trickled")
    }
}
