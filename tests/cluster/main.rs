//! Several processes that share their rooms through Redis. Every test starts servers of its own.

mod nodes;
mod redis;
mod relay;
mod sentinels;
mod support;
mod tools;
