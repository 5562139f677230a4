//! Frames (RFC 6455, section 5): their headers, their masks, and close frames.

mod close;
mod closing;
mod encode;
mod header;
mod mask;
mod opcode;
mod roles;

pub use close::CloseFrame;
pub(crate) use close::close_payload;
pub(crate) use closing::Closing;
#[cfg(feature = "client")]
pub(crate) use encode::encode_masked_frame;
pub use encode::{
    decode_frame, encode_compressed_frame, encode_frame, encode_header, frame_size, header_size,
    is_control,
};
pub use header::{FrameHeader, MAX_HEADER_BYTES, Sender};
pub(crate) use mask::{SHORT_BYTES, append_unmasked};
pub use mask::{apply_mask, rotate_mask};
pub(crate) use opcode::MAX_CONTROL_BYTES;
pub use opcode::Opcode;
pub use roles::FromClient;
#[cfg(feature = "client")]
pub use roles::FromServer;
