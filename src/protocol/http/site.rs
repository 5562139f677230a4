//! The name of the server in a request.

/// How a request names the server, and how far that name can be trusted.
///
/// An application with its own transport knows which proxies are between it and its clients. Without
/// proxies, [`named`](Self::named) is enough.
///
/// ```
/// use townhall::protocol::{Origins, Site};
///
/// // On a loopback address, without a proxy.
/// let mut site = Site::named("evil.example");
/// site.loopback_only = true;
/// assert!(!Origins::default().allow("http://evil.example", &site));
///
/// // Behind an nginx that forwards `$host`.
/// let mut site = Site::named("chat.example");
/// site.port_may_be_missing = true;
/// assert!(Origins::default().allow("https://chat.example:8443", &site));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Site<'h> {
    /// The host, and the port if there is one, as the user of the client sees them (RFC 9110, section
    /// 7.2): [`Request::authority`](super::Request::authority), or the host that a trusted proxy has
    /// forwarded instead.
    pub authority: &'h str,
    /// Whether a proxy may have omitted the port, as nginx does with `$host`. A missing port is then
    /// not compared.
    pub port_may_be_missing: bool,
    /// Whether a page may connect only if the host is a [loopback](super::Host::is_loopback) host. The
    /// owner of `evil.example` can make that name resolve to 127.0.0.1 once the page has been loaded
    /// (DNS rebinding). The browser then sends requests for `evil.example` to the server that listens
    /// there.
    pub loopback_only: bool,
}

impl<'h> Site<'h> {
    /// A site to which clients connect directly, with the authority that they use.
    pub fn named(authority: &'h str) -> Self {
        Self { authority, port_may_be_missing: false, loopback_only: false }
    }
}
