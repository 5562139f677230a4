//! HTTP/1.1 as far as a WebSocket server needs it (RFC 9110, RFC 9112): requests, responses, and the
//! origins whose pages may connect.

mod body;
mod field;
mod forwarded;
mod framing;
mod head;
mod host;
mod origin;
mod origins;
mod refusal;
mod request;
mod response;
mod site;
mod target;
mod token;
mod uri;

pub(crate) use body::Body;
pub use field::InvalidHeader;
pub(crate) use field::check_upgrade as check_upgrade_field;
pub(crate) use field::elements;
#[cfg(feature = "client")]
pub(crate) use field::{is_length, single};
pub use forwarded::Forwarded;
pub use framing::Framing;
pub(crate) use head::Head;
pub use host::{Authority, Host, InvalidAuthority, InvalidHost};
pub use origin::{InvalidOrigin, Origin};
pub use origins::Origins;
pub use refusal::Refusal;
pub use request::Request;
pub use response::Response;
pub use site::Site;
pub(crate) use token::is_token_byte;
pub use uri::normal_path;
#[cfg(feature = "client")]
pub(crate) use uri::{is_authority, is_unreserved};
