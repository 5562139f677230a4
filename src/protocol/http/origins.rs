//! The origins whose pages may connect (RFC 6455, section 10.2).
//!
//! Browsers let any page open a WebSocket to any server, with the visitor's cookies, and send the origin
//! of the page. A server that does not check it can be used by every page that its users visit.

use super::host::Authority;
use super::origin::{InvalidOrigin, Origin, Scheme};
use super::refusal::Refusal;
use super::request::Request;
use super::site::Site;

/// The origins whose pages may connect: the server's own, and those that are listed. Clients that send
/// no Origin may connect, because browsers always send one.
///
/// ```
/// use townhall::Origins;
///
/// let origins = Origins::of(["https://app.example", "http://localhost:3000"])?;
/// assert!(Origins::of(["app.example"]).is_err());
/// # Ok::<(), townhall::protocol::InvalidOrigin>(())
/// ```
///
/// Without the server of this crate:
///
/// ```
/// use townhall::protocol::{Origins, Refusal, Request, Site};
///
/// fn check(request: &Request<'_>, origins: &Origins) -> Result<(), Refusal> {
///     let site = Site::named(request.authority().unwrap_or_default());
///     origins.check(request, &site)
/// }
///
/// let head = b"GET / HTTP/1.1\r\nHost: chat.example\r\nOrigin: https://evil.example\r\n\r\n";
/// let request = Request::parse(head, 100)?;
/// assert_eq!(check(&request, &Origins::default()), Err(Refusal::Origin));
/// assert_eq!(check(&request, &Origins::any()), Ok(()));
///
/// let own = Origins::default();
/// assert!(own.allow("https://chat.example", &Site::named("chat.example")));
/// # Ok::<(), Refusal>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origins(Allowed);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Allowed {
    Any,
    Listed(Vec<Origin>),
}

impl Default for Origins {
    /// Only the server's own origin.
    fn default() -> Self {
        Self(Allowed::Listed(Vec::new()))
    }
}

impl FromIterator<Origin> for Origins {
    /// The server's own origin, and these.
    fn from_iter<I: IntoIterator<Item = Origin>>(origins: I) -> Self {
        Self(Allowed::Listed(origins.into_iter().collect()))
    }
}

impl Origins {
    /// Every origin. Any page that a user visits can then use the server in the name of that user.
    pub fn any() -> Self {
        Self(Allowed::Any)
    }

    /// The server's own origin, and these.
    ///
    /// # Errors
    /// The error of the first text that is not an origin.
    pub fn of<T: AsRef<str>>(origins: impl IntoIterator<Item = T>) -> Result<Self, InvalidOrigin> {
        origins.into_iter().map(|origin| origin.as_ref().parse()).collect()
    }

    /// Checks that the page that sent a request, if a page sent it, may connect to this site.
    ///
    /// # Errors
    /// [`Refusal::Origin`] if it may not, or if there is more than one Origin.
    pub fn check(&self, request: &Request<'_>, site: &Site<'_>) -> Result<(), Refusal> {
        if request.header_values("Origin").next().is_none() {
            return Ok(());
        }
        match request.header("Origin") {
            Some(origin) if self.allow(origin, site) => Ok(()),
            _ => Err(Refusal::Origin),
        }
    }

    /// Whether a client that sends this Origin may connect to this site.
    pub fn allow(&self, origin: &str, site: &Site<'_>) -> bool {
        match &self.0 {
            Allowed::Any => true,
            Allowed::Listed(origins) => {
                let is_listed = |sent| origins.contains(&sent);
                is_own(origin, site) || origin.parse().is_ok_and(is_listed)
            }
        }
    }
}

/// Whether an Origin names the site itself.
fn is_own(origin: &str, site: &Site<'_>) -> bool {
    let Some(asked) = Authority::parse(site.authority) else { return false };
    match Sender::of(origin) {
        Some(Sender::Page(scheme, own)) => {
            let may_differ = site.port_may_be_missing && asked.port.is_none();
            let port = |named: Option<u16>| named.unwrap_or(scheme.default_port());
            own.host == asked.host
                && (may_differ || port(own.port) == port(asked.port))
                && (!site.loopback_only || asked.host.is_loopback())
        }
        Some(Sender::Program(own)) => {
            let is_implied = |port| port == 80 || port == 443;
            let is_asked = |port| asked.port.map_or(is_implied(port), |asked| asked == port);
            own.host == asked.host && own.port.is_none_or(is_asked)
        }
        None => false,
    }
}

/// The kind of client that sends an Origin with an authority.
#[derive(Debug)]
enum Sender {
    /// A browser, for a page.
    Page(Scheme, Authority),
    /// Any other client. Such clients send `http://host/`, `ws://host:port`, or `host`, often without
    /// the port to which they connect. No page can make a browser send these, so it is safe to let these
    /// clients connect.
    Program(Authority),
}

impl Sender {
    fn of(origin: &str) -> Option<Self> {
        let Some((scheme, rest)) = origin.split_once("://") else {
            if origin.eq_ignore_ascii_case("null") {
                return None;
            }
            return Authority::parse(origin).map(Self::Program);
        };
        let bare = rest.strip_suffix('/');
        let authority = Authority::parse(bare.unwrap_or(rest))?;
        match (&*scheme.to_ascii_lowercase(), bare) {
            ("http", None) => Some(Self::Page(Scheme::Http, authority)),
            ("https", None) => Some(Self::Page(Scheme::Https, authority)),
            ("http" | "https" | "ws" | "wss", _) => Some(Self::Program(authority)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_without_an_origin_is_not_of_a_page() {
        let head = |fields: &str| format!("GET / HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n");
        let check = |fields: &str| {
            let head = head(fields);
            let request = Request::parse(head.as_bytes(), 16).unwrap();
            let site =
                Site { authority: "a.example", port_may_be_missing: false, loopback_only: false };
            Origins::default().check(&request, &site)
        };
        assert_eq!(check(""), Ok(()));
        assert_eq!(check("Origin: http://a.example\r\n"), Ok(()));
        assert_eq!(check("Origin: http://b.example\r\n"), Err(Refusal::Origin));
        let twice = "Origin: http://a.example\r\nOrigin: http://a.example\r\n";
        assert_eq!(check(twice), Err(Refusal::Origin));
    }

    fn allowed(origin: &str, authority: &str) -> bool {
        Origins::default().allow(origin, &Site::named(authority))
    }

    #[test]
    fn a_page_of_the_same_host_may_connect() {
        for (origin, host) in [
            ("http://example.com", "example.com"),
            ("https://example.com", "example.com"),
            ("http://example.com", "example.com:80"),
            ("https://example.com", "example.com:443"),
            ("https://example.com:443", "example.com"),
            ("http://localhost:8080", "localhost:8080"),
            ("HTTP://Example.COM", "eXample.com."),
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://[::1]:8080", "[::1]:8080"),
            ("http://[0:0:0:0:0:0:0:1]", "[::1]"),
            ("https://xn--bcher-kva.example", "XN--BCHER-KVA.example"),
        ] {
            assert!(allowed(origin, host), "{origin} at {host}");
        }
    }

    #[test]
    fn no_other_page_may_connect() {
        for (origin, host) in [
            ("http://evil.example", "example.com"),
            ("http://example.com.evil.example", "example.com"),
            ("http://evil-example.com", "example.com"),
            ("http://example.com@evil.example", "example.com"),
            ("http://evil.example/example.com", "example.com"),
            ("http://sub.example.com", "example.com"),
            ("null", "example.com"),
            ("null", "null"),
            ("", "example.com"),
            ("file://", ""),
            ("http://", ""),
            ("ftp://example.com", "example.com"),
            ("http://example.com:8080", "example.com"),
            ("http://example.com", "example.com:8080"),
            ("https://example.com", "example.com:80"),
            ("http://example.com:", "example.com:99999"),
            ("http://example.com:+80", "example.com"),
            ("http://127.0.0.1", "localhost"),
            ("http://[::1]", "[::2]"),
            ("http://[::1", "[::1"),
            ("http://bücher.example", "bücher.example"),
        ] {
            assert!(!allowed(origin, host), "{origin} at {host}");
        }
    }

    #[test]
    fn origins_that_only_programs_send_may_name_the_server_in_any_form() {
        for origin in [
            "http://example.com/",
            "https://example.com:8080/",
            "ws://example.com:8080",
            "WSS://example.com/",
            "example.com",
            "example.com:8080",
        ] {
            assert!(allowed(origin, "example.com:8080"), "{origin}");
        }
        assert!(allowed("ws://example.com:80", "example.com"));
        assert!(allowed("ws://example.com:443", "example.com"));
        assert!(!allowed("ws://example.com:8080", "example.com"));
        for origin in [
            "http://evil.example/",
            "ws://evil.example:8080",
            "evil.example",
            "example.com:8081",
            "ws://example.com:80",
            "http://example.com//",
            "http://example.com/chat",
            "user@example.com",
        ] {
            assert!(!allowed(origin, "example.com:8080"), "{origin}");
        }
    }

    #[test]
    fn the_port_is_not_compared_if_a_proxy_may_have_removed_it() {
        let allowed = |origin, authority| {
            let site = Site { port_may_be_missing: true, ..Site::named(authority) };
            Origins::default().allow(origin, &site)
        };
        assert!(allowed("http://chat.example:8081", "chat.example"));
        assert!(allowed("https://chat.example", "chat.example"));
        assert!(!allowed("http://evil.example:8081", "chat.example"));
        assert!(
            !allowed("http://chat.example:8081", "chat.example:8080"),
            "the port is not missing"
        );
    }

    #[test]
    fn on_a_loopback_address_only_loopback_names_are_trusted() {
        let origins = Origins::of(["http://friend.example"]).unwrap();
        let allowed = |origin, authority| {
            origins.allow(origin, &Site { loopback_only: true, ..Site::named(authority) })
        };
        assert!(!allowed("http://evil.example:8080", "evil.example:8080"));
        assert!(!allowed("http://192.0.2.1", "192.0.2.1"));
        assert!(allowed("http://app.localhost:8080", "app.localhost:8080"));
        assert!(allowed("http://127.0.0.1:8080", "127.0.0.1:8080"));
        assert!(allowed("http://friend.example", "evil.example"), "it was named");
        assert!(allowed("ws://chat.example", "chat.example"), "no page sends this");
    }

    #[test]
    fn listed_origins_may_connect_and_any_allows_all() {
        let named = ["https://app.example/", " http://[::1]:3000", "null", "app://-"];
        let origins = Origins::of(named).unwrap();
        let chat = Site::named("chat.example");
        for origin in [
            "https://app.example",
            "https://APP.example:443",
            "null",
            "http://[0::1]:3000",
            "app://-",
        ] {
            assert!(origins.allow(origin, &chat), "{origin}");
        }
        for origin in [
            "http://app.example",
            "https://app.example:8443",
            "app.example",
            "app://-.evil",
            "a, b",
        ] {
            assert!(!origins.allow(origin, &chat), "{origin}");
        }
        assert!(Origins::any().allow("http://evil.example", &chat));
        assert!(Origins::any().allow("nothing that can be read", &chat));
    }
}
