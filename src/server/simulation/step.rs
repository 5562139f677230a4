//! The steps of a simulation.

/// A step. Peers and rooms are numbers, taken modulo how many there are.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    /// A peer connects with one of the offers, and joins a room.
    Connect {
        /// What the peer offers.
        offer: usize,
        /// The room that the peer joins.
        room: usize,
    },
    /// A peer connects with one of the offers, and goes on in the place of one that has left.
    Return {
        /// What the peer offers.
        offer: usize,
        /// The number of the place among those that peers have left.
        place: usize,
        /// Where the peer begins.
        from: From,
    },
    /// The turn ends.
    Flush,
    /// Queued data is written in the middle of a turn.
    FlushEarly,
    /// Time passes and nothing happens.
    Rest,
    /// The application sends a message to a room.
    Broadcast {
        /// The room that the message is sent to.
        room: usize,
        /// The length of the message in bytes.
        length: usize,
    },
    /// The sequence of a room is replaced by another one, with a few messages that its members have not
    /// received.
    Replace {
        /// The room.
        room: usize,
        /// The number of messages.
        count: usize,
    },
    /// A connected peer does something, or something is done to it.
    Peer(usize, Action),
}

/// Where a peer begins that comes back to a place in a room.
#[derive(Debug, Clone, Copy)]
pub enum From {
    /// At the end.
    Now,
    /// This number of messages before the end.
    Newest(usize),
    /// At the place.
    Place,
    /// This number of messages before the place.
    Before(usize),
    /// This number of messages after the place.
    After(usize),
    /// At the same number in another epoch.
    OtherEpoch,
    /// At the place, but in the next room.
    OtherRoom,
}

/// An action of a peer, or on a peer. Lengths are in bytes.
#[derive(Debug, Clone, Copy)]
pub enum Action {
    /// The peer joins a room.
    Join(usize),
    /// The peer moves to the place that another one has left.
    Move(usize, From),
    /// The peer leaves its room.
    Leave,
    /// The peer sends a message to its room.
    Publish(usize),
    /// The peer sends a message to the others in its room.
    PublishToOthers(usize),
    /// A message is sent to the peer alone.
    Send(usize),
    /// The peer hears where the end of its room's sequence is.
    Beat,
    /// The server closes the peer's connection.
    Close,
    /// The peer closes its connection.
    PeerClose,
    /// The peer's connection breaks.
    Break,
    /// The peer's pipe takes this many more bytes.
    Read(usize),
}
