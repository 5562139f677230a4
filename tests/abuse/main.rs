//! Attacks on the program, each with its answer, what it may cost, and neighbours who must not
//! notice.

mod bombs;
mod closing;
mod control;
mod crowds;
mod descriptors;
mod floods;
mod frames;
mod freezes;
mod heads;
mod neighbours;
mod origins;
mod outputs;
mod peer;
mod process;
mod signals;
mod slow;
mod storms;
mod support;
