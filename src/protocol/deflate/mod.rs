//! permessage-deflate (RFC 7692): its negotiation, and DEFLATE one message at a time.

mod config;
mod deflater;
mod extensions;
mod inflater;
mod inflation;
#[cfg(feature = "client")]
mod offer;
#[cfg(any(test, fuzzing))]
mod reference;
mod terms;
mod window;

pub use config::Deflate;
pub use deflater::Deflater;
#[cfg(test)]
pub(crate) use deflater::noise;
pub use extensions::InvalidExtensions;
pub use inflater::Inflater;
pub(crate) use inflation::Inflation;
#[cfg(feature = "client")]
pub use offer::DeflateOffer;
#[cfg(any(test, fuzzing))]
pub use reference::LongLivedInflater;
pub use terms::DeflateTerms;
pub use window::SlidingWindow;
