//! Checks that a request is for this server, and comes from a page that may connect to it.

use std::net::SocketAddr;

use crate::protocol::{Authority, Host, Origin, Refusal, Request, Site};
use crate::server::client_id::ClientId;
use crate::server::hub::forwarded;
use crate::server::hub::state::Hub;
use crate::server::shown::{Flag, Shown};

/// The ports that browsers omit.
const IMPLIED_PORTS: [u16; 2] = [80, 443];

/// How a request names the server. A client without an address key is a trusted proxy here, because it
/// is counted under its forwarded address only later.
fn site<'h>(hub: &Hub, id: ClientId, request: &Request<'h>) -> Site<'h> {
    let local = local_address(hub, id);
    let is_proxy = hub.clients.get(id).is_some_and(|client| client.address_key.is_none());
    let is_forwarded = is_proxy && forwarded::is_forwarded(request);
    let own = request.authority().unwrap_or_default();
    let forwarded = is_forwarded.then(|| forwarded::authority(request)).flatten();
    let authority = forwarded.unwrap_or(own);
    // A browser names any other port. If there is none, a proxy has removed it. A Unix socket has no
    // port; whichever it is, it is the proxy's.
    let is_port_implied = local.is_some_and(|local| IMPLIED_PORTS.contains(&local.port()));
    Site {
        authority,
        port_may_be_missing: is_forwarded || is_proxy && !is_port_implied,
        loopback_only: !is_forwarded && !is_called(hub, authority) && is_loopback(hub, id),
    }
}

/// The address that the client connected to, unless it is a Unix socket.
fn local_address(hub: &Hub, id: ClientId) -> Option<SocketAddr> {
    hub.clients.get(id)?.transport.local_address()
}

/// Whether only this machine can connect to the address that the client connected to. A connection to a
/// listener on all addresses may have a loopback address too, but then no listener is on exactly that
/// address. The listeners of a proxy are not known.
fn is_loopback(hub: &Hub, id: ClientId) -> bool {
    let Some(client) = hub.clients.get(id) else { return false };
    let Some(local) = client.transport.local_address() else { return false };
    let is_proxied = client.transport.endpoints().is_some();
    local.ip().to_canonical().is_loopback() && (is_proxied || hub.listening.contains(&local))
}

/// Whether the configuration lists the host of this authority.
fn is_called(hub: &Hub, authority: &str) -> bool {
    host(authority).is_some_and(|host| hub.config.hosts.contains(&host))
}

fn host(authority: &str) -> Option<Host> {
    authority.parse().ok().map(|Authority { host, .. }| host)
}

/// Checks that the scheme of a target, if it has one, is that of the connection (RFC 9110, section 7.4). A
/// trusted proxy may have ended TLS.
///
/// # Errors
/// [`Refusal::Scheme`] if it is not.
pub(crate) fn check_scheme(hub: &Hub, id: ClientId, request: &Request<'_>) -> Result<(), Refusal> {
    let client = hub.clients.get(id);
    let Some((scheme, client)) = request.scheme().zip(client) else { return Ok(()) };
    let is_proxied = client.address_key.is_none() || client.transport.endpoints().is_some();
    let is_secure = matches!(scheme, "https" | "wss");
    if is_proxied || is_secure == client.transport.is_tls() { Ok(()) } else { Err(Refusal::Scheme) }
}

/// Checks that a request is for one of the server's own hosts.
///
/// # Errors
/// [`Refusal::Misdirected`] if it is for another host. A request that names no host is accepted.
pub(crate) fn check_host(
    hub: &mut Hub,
    id: ClientId,
    request: &Request<'_>,
) -> Result<(), Refusal> {
    if hub.config.hosts.is_empty() {
        return Ok(());
    }
    let authority = site(hub, id, request).authority;
    let local = local_address(hub, id);
    let is_local = |host: Host| local.is_some_and(|local| host.is_address(local.ip()));
    if authority.is_empty() || is_called(hub, authority) || host(authority).is_some_and(is_local) {
        return Ok(());
    }
    let asked = Shown(authority.as_bytes());
    match host(authority) {
        Some(host) => {
            let host = host.to_string();
            let flag = Flag("host", &host);
            hub.log_refusal(format_args!(
                "{id} requested host {asked}; start with {flag} to serve it"
            ));
        }
        None => hub.log_refusal(format_args!("{id} requested {asked}, which is not a valid host")),
    }
    Err(Refusal::Misdirected)
}

/// Checks that the page that sent a request may connect, if a page sent it.
///
/// # Errors
/// [`Refusal::Origin`] if it may not.
pub(crate) fn check_origin(
    hub: &mut Hub,
    id: ClientId,
    request: &Request<'_>,
) -> Result<(), Refusal> {
    let origins: Vec<_> = request.header_values("Origin").collect();
    if origins.is_empty() {
        return Ok(());
    }
    let site = site(hub, id, request);
    hub.config.origins.check(request, &site).inspect_err(|_| {
        let origin = origins.join(&b", "[..]);
        let asked = Shown(site.authority.as_bytes());
        let sent = Shown(&origin);
        let line = format_args!("{id} has origin {sent} and requested host {asked}");
        match single(&origins) {
            Some(origin) if origin.to_string() == "null" => hub.log_refusal(format_args!(
                "{line}; pages from files and sandboxed frames of any site have this origin; \
                 --origin null allows all of them"
            )),
            Some(origin) => {
                let doubt = doubt(&site);
                let origin = origin.to_string();
                let flag = Flag("origin", &origin);
                hub.log_refusal(format_args!("{line}{doubt}; start with {flag} to allow it"));
            }
            None => hub.log_refusal(format_args!("{line}; no page has this origin")),
        }
    })
}

/// Checks that the page that sent a plain request may send it, if a page sent it.
///
/// # Errors
/// [`Refusal::Origin`] if it may not.
pub(crate) fn check_page(
    hub: &mut Hub,
    id: ClientId,
    request: &Request<'_>,
) -> Result<(), Refusal> {
    check_origin(hub, id, request)?;
    if !may_be_rebound(hub, id, request) {
        return Ok(());
    }
    let own = request.authority().unwrap_or_default();
    let asked = Shown(own.as_bytes());
    let host = host(own).map(|host| host.to_string()).unwrap_or_default();
    let flag = Flag("host", &host);
    hub.log_refusal(format_args!(
        "{id} requested host {asked}, which may not be this machine's name; start with {flag} to serve it"
    ));
    Err(Refusal::Origin)
}

/// Whether a plain request may come from a page whose owner has made its name resolve to this machine (DNS
/// rebinding). Such a page connects to our own port. It may add any field of a proxy, which a page that
/// opens a WebSocket cannot, and with GET its browser sends no origin.
fn may_be_rebound(hub: &Hub, id: ClientId, request: &Request<'_>) -> bool {
    let own = request.authority().unwrap_or_default();
    let Ok(authority) = own.parse::<Authority>() else { return false };
    let Some(client) = hub.clients.get(id) else { return false };
    let port = authority.port.unwrap_or(80);
    let is_direct = local_address(hub, id).is_some_and(|local| local.port() == port);
    // Nobody but the owner of a name has a certificate for it.
    if client.transport.is_tls() || !is_direct || !is_loopback(hub, id) || is_called(hub, own) {
        return false;
    }
    let page = format!("http://{own}");
    let site = Site { loopback_only: true, ..Site::named(own) };
    let may_be_its_own = match request.header("Origin") {
        Some(origin) => origin.parse::<Origin>().ok() == page.parse().ok(),
        None => matches!(request.method(), "GET" | "HEAD"),
    };
    may_be_its_own && !hub.config.origins.allow(&page, &site)
}

/// The origin, if there is exactly one.
fn single(origins: &[&[u8]]) -> Option<Origin> {
    let [origin] = origins else { return None };
    str::from_utf8(origin).ok()?.parse().ok()
}

/// A hint about what may be wrong with the requested host.
fn doubt(site: &Site<'_>) -> &'static str {
    match host(site.authority) {
        Some(host) if host.is_loopback() => " (a proxy must pass Host on)",
        _ if site.loopback_only => {
            ", which may not be this machine's name (a proxy has to send X-Forwarded-Host)"
        }
        _ => "",
    }
}
