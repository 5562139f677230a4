//! What the fuzz targets check. Each module has a function `check`, which panics if an input shows that its
//! property does not hold. The tests of the crate `townhall` contain this file too, and call these functions
//! with the corpus.

pub mod client;
pub mod connection;
pub mod deflate;
pub mod frame;
pub mod handshake;
pub mod mask;
mod pieces;
pub mod proxy_header;
pub mod request;
pub mod response;
pub mod room;
pub mod state;
pub mod utf8;
