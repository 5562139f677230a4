//! Attacks on the program. Each test checks the answer, a limit on the cost, and that other members are not
//! affected.

mod bodies;
mod bombs;
mod closing;
mod control;
mod crowds;
mod descriptors;
mod floods;
mod frames;
mod freezes;
mod heads;
mod history;
mod neighbours;
mod origins;
mod outputs;
mod peer;
mod process;
mod proxied;
mod signals;
mod slow;
mod storms;
mod support;
mod tls;
