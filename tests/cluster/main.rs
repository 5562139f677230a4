//! Several processes that share their rooms through Redis. Every test starts servers of its own.

mod failover;
mod faults;
mod hostile;
mod load;
mod member;
mod network;
mod nodes;
mod order;
mod people;
mod process;
mod redis;
mod refusals;
mod relay;
mod script;
mod sentinels;
mod support;
mod tools;
