//! The protocol by the sections of RFC 6455 and RFC 7692, without sockets.

mod peer;
mod rfc7692;
mod section_4_2_handshake;
mod section_5_4_fragmentation;
mod section_5_5_control;
mod section_7_close;
mod section_8_utf8;
mod split;
