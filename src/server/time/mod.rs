//! The clock, the wheel of deadlines, and dates in answers.

pub(crate) mod date;
pub(crate) mod timers;
pub(crate) mod wheel;
