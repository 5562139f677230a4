//! Frames (RFC 6455, section 5): their headers, their masks, and close frames.

mod close;
mod closing;
mod encode;
mod header;
mod mask;
mod opcode;

pub use close::{CloseFrame, encode_close};
pub(crate) use closing::Closing;
pub use encode::{
    decode_frame, encode_compressed_frame, encode_frame, encode_header, frame_size, header_size,
    is_control,
};
pub use header::{ClientHeader, MAX_CLIENT_HEADER_BYTES};
pub(crate) use mask::{SHORT_BYTES, append_unmasked};
pub use mask::{apply_mask, rotate_mask};
pub(crate) use opcode::MAX_CONTROL_BYTES;
pub use opcode::Opcode;
