//! Whose pages may connect (RFC 6455, section 10.2; RFC 6454).
//!
//! Browsers let any page open a WebSocket to any server, with the visitor's cookies, and send the
//! page's origin. A server that does not look at it can be used by every page that its users visit.

use core::fmt;
use core::str::FromStr;

use super::host::{Authority, Host};
use super::request::Request;
use super::site::Site;
use super::violation::Refusal;

/// An origin as browsers send it: `https://example.com`, `http://localhost:3000`, `null`.
///
/// It is kept in the one form that can be compared, without a port that the scheme implies.
///
/// ```
/// use townhall::protocol::Origin;
///
/// let origin: Origin = "HTTPS://Chat.Example:443/".parse()?;
/// assert_eq!(origin.to_string(), "https://chat.example");
/// # Ok::<(), townhall::protocol::InvalidOrigin>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// Of a page that has none: a local file, a sandboxed frame.
    Null,
    Web {
        scheme: Scheme,
        host: Host,
        port: u16,
    },
    /// With a scheme of its own, in lower case: of an extension, or of an app that shows pages.
    Other(String),
}

/// The schemes of the web.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl FromStr for Origin {
    type Err = InvalidOrigin;

    /// Reads `scheme://host[:port]` (RFC 6454, section 7), or `null`. White space around it and a
    /// slash at its end are left out.
    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let text = text.trim_ascii();
        let invalid = |problem| InvalidOrigin { text: text.to_owned(), problem };
        if text.eq_ignore_ascii_case("null") {
            return Ok(Self(Kind::Null));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(invalid(Problem::NoScheme));
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let scheme = match &*scheme.to_ascii_lowercase() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "ws" | "wss" => return Err(invalid(Problem::WebSocketScheme)),
            other => return Self::other(other, rest).ok_or(invalid(Problem::Scheme)),
        };
        if rest.contains(['/', '?', '#']) {
            return Err(invalid(Problem::Path));
        }
        if rest.contains('*') {
            return Err(invalid(Problem::Wildcard));
        }
        let authority = Authority::parse(rest).ok_or(invalid(Problem::Host))?;
        Ok(Self(Kind::web(scheme, authority)))
    }
}

impl Kind {
    fn web(scheme: Scheme, Authority { host, port }: Authority) -> Self {
        Self::Web { scheme, host, port: port.unwrap_or(scheme.default_port()) }
    }
}

impl Origin {
    /// One with a scheme that is not the web's, `scheme` in lower case (RFC 3986, section 3.1).
    fn other(scheme: &str, rest: &str) -> Option<Self> {
        let is_scheme_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        let is_rest_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:[]%".contains(&byte);
        let begins = scheme.starts_with(|first: char| first.is_ascii_alphabetic());
        let valid = begins && scheme.bytes().all(is_scheme_byte) && rest.bytes().all(is_rest_byte);
        let origin = || Self(Kind::Other(format!("{scheme}://{}", rest.to_ascii_lowercase())));
        valid.then(origin)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Null => f.write_str("null"),
            Kind::Other(origin) => f.write_str(origin),
            Kind::Web { scheme, host, port } => {
                write!(f, "{}://{host}", scheme.name())?;
                if *port == scheme.default_port() { Ok(()) } else { write!(f, ":{port}") }
            }
        }
    }
}

/// A text that is not an [`Origin`], and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidOrigin {
    text: String,
    problem: Problem,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Problem {
    NoScheme,
    WebSocketScheme,
    Scheme,
    Path,
    Wildcard,
    Host,
}

impl InvalidOrigin {
    /// What is wrong, without the text.
    pub fn reason(&self) -> &'static str {
        match self.problem {
            Problem::NoScheme => "it has no scheme, as in https://chat.example",
            Problem::WebSocketScheme => {
                "the scheme is that of the page that connects: http or https"
            }
            Problem::Scheme => "it is not of the form scheme://host or scheme://host:port",
            Problem::Path => "an origin ends after the host and port, without a path",
            Problem::Wildcard => "a * cannot be a part of an origin",
            Problem::Host => {
                "what follows the scheme is not a host, or a host and a port; a name that is not \
                 ASCII is written in Punycode, xn--..."
            }
        }
    }
}

impl fmt::Display for InvalidOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not an origin: {}", self.text, self.reason())
    }
}

impl core::error::Error for InvalidOrigin {}

/// The origins from which a browser's page may connect: the server's own, and those that are
/// named. Clients that send no Origin, which browsers always do, are not asked for one.
///
/// ```
/// use townhall::Origins;
///
/// let origins = Origins::of(["https://app.example", "http://localhost:3000"])?;
/// assert!(Origins::of(["app.example"]).is_err());
/// # Ok::<(), townhall::protocol::InvalidOrigin>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origins(Allowed);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Allowed {
    Any,
    Listed(Vec<Origin>),
}

impl Default for Origins {
    /// The server's own alone.
    fn default() -> Self {
        Self(Allowed::Listed(Vec::new()))
    }
}

impl FromIterator<Origin> for Origins {
    /// The server's own, and these.
    fn from_iter<I: IntoIterator<Item = Origin>>(origins: I) -> Self {
        Self(Allowed::Listed(origins.into_iter().collect()))
    }
}

impl Origins {
    /// Every origin: any page that a user visits can use the server in this user's name.
    pub fn any() -> Self {
        Self(Allowed::Any)
    }

    /// The server's own, and these.
    ///
    /// # Errors
    /// The first of them that is not an origin.
    pub fn of<T: AsRef<str>>(origins: impl IntoIterator<Item = T>) -> Result<Self, InvalidOrigin> {
        origins.into_iter().map(|origin| origin.as_ref().parse()).collect()
    }

    /// Whether the page that a request comes from, if it comes from one, may connect to this site.
    ///
    /// # Errors
    /// [`Refusal::Origin`] where it may not, or where there is more than one Origin.
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

/// What sends an Origin that has an authority.
#[derive(Debug)]
enum Sender {
    /// A browser, for a page.
    Page(Scheme, Authority),
    /// Anything else. Clients that are no browsers send `http://host/`, `ws://host:port`, or `host`,
    /// often without the port to which they connect. No page can make a browser send these, so that
    /// they are safe to let in.
    Program(Authority),
}

impl Sender {
    fn of(origin: &str) -> Option<Self> {
        let Some((scheme, rest)) = origin.split_once("://") else {
            let authority = Authority::parse(origin).map(Self::Program);
            return authority.filter(|_| !origin.eq_ignore_ascii_case("null"));
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
    use proptest::prelude::*;

    use super::*;

    fn allowed(origin: &str, authority: &str) -> bool {
        Origins::default().allow(origin, &Site::named(authority))
    }

    #[test]
    fn a_page_of_the_same_host_may() {
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
    fn no_other_page_may() {
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
    fn what_only_programs_send_may_be_the_servers_own_in_any_form() {
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
    fn where_a_proxy_leaves_the_port_out_it_is_not_compared() {
        let allowed = |origin, authority| {
            let site = Site { port_may_be_missing: true, ..Site::named(authority) };
            Origins::default().allow(origin, &site)
        };
        assert!(allowed("http://chat.example:8081", "chat.example"));
        assert!(allowed("https://chat.example", "chat.example"));
        assert!(!allowed("http://evil.example:8081", "chat.example"));
        assert!(!allowed("http://chat.example:8081", "chat.example:8080"), "it is not left out");
    }

    #[test]
    fn where_only_this_machine_connects_a_name_that_is_not_its_own_is_not_trusted() {
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
    fn those_that_are_named_may_and_any_is_everybody() {
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

    #[test]
    fn an_origin_has_one_form() {
        for (text, form) in [
            ("https://Chat.Example/", "https://chat.example"),
            ("HTTP://chat.example.:80", "http://chat.example"),
            ("http://[::0:1]:8080", "http://[::1]:8080"),
            ("NULL", "null"),
            ("file://", "file://"),
            ("moz-extension://AB12/", "moz-extension://ab12"),
        ] {
            assert_eq!(text.parse::<Origin>().unwrap().to_string(), form);
        }
    }

    proptest! {
        #[test]
        fn the_one_form_reads_as_itself_and_can_be_quoted(
            text in "\\PC{0,20}|(https?|app|file)://[a-zA-Z0-9.:_\\[\\]-]{0,12}/?",
        ) {
            if let Ok(origin) = text.parse::<Origin>() {
                let form = origin.to_string();
                prop_assert_eq!(form.parse(), Ok(origin));
                let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\'';
                prop_assert!(form.bytes().all(is_plain), "{}", form);
            }
        }
    }

    #[test]
    fn what_is_no_origin_is_said_to_be_none_and_why() {
        for (text, reason) in [
            ("chat.example", "no scheme"),
            ("", "no scheme"),
            ("*", "no scheme"),
            ("wss://chat.example", "http or https"),
            ("https://chat.example/app", "without a path"),
            ("https://chat.example?a", "without a path"),
            ("https://*.chat.example", "a * cannot"),
            ("https://chat .example", "not a host"),
            ("https://user@chat.example", "not a host"),
            ("https://bücher.example", "Punycode"),
            ("https://chat.example:0x50", "not a host"),
            ("https://", "not a host"),
            ("a b://c", "form scheme://host"),
            ("app://a'b", "form scheme://host"),
            ("app://a/b", "form scheme://host"),
        ] {
            let error = Origins::of([text]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{text:?} is not an origin: ")), "{error}");
            assert!(error.contains(reason), "{error}");
        }
    }
}
