//! Which web pages may send requests to the admin listener: only its own.

use townhall::protocol::Site;
use townhall::{Origins, Request, Response};

/// Refuses requests of pages from other sites. A browser asks with OPTIONS before it lets such a page send
/// DELETE or PUT, and gets no permission, but it sends POST at once. This lock holds for every method.
///
/// # Errors
/// The response to such a request.
pub fn check(request: &Request<'_>) -> Result<(), Response> {
    let site = Site::named(request.authority().unwrap_or_default());
    let is_own = Origins::default().check(request, &site).is_ok();
    if is_own && !request.header_values("Sec-Fetch-Site").any(|site| site == b"cross-site") {
        Ok(())
    } else {
        Err(Response::text(403, "pages of other sites may not send requests to this listener"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(fields: &str) -> bool {
        let head = format!("DELETE / HTTP/1.1\r\nHost: localhost:9090\r\n{fields}\r\n");
        check(&Request::parse(head.as_bytes(), 10).unwrap()).is_ok()
    }

    #[test]
    fn programs_and_own_pages_are_admitted() {
        for fields in [
            "",
            "Origin: http://localhost:9090\r\nSec-Fetch-Site: same-origin\r\n",
            "Sec-Fetch-Site: none\r\n",
        ] {
            assert!(admits(fields), "{fields}");
        }
    }

    #[test]
    fn pages_of_other_sites_are_not() {
        for fields in [
            "Origin: http://evil.example\r\n",
            "Origin: http://localhost:3000\r\n",
            "Origin: https://localhost\r\n",
            "Origin: null\r\n",
            "Origin: http://localhost:9090\r\nOrigin: http://localhost:9090\r\n",
            "Sec-Fetch-Site: cross-site\r\n",
            "Sec-Fetch-Site: none\r\nSec-Fetch-Site: cross-site\r\n",
        ] {
            assert!(!admits(fields), "{fields}");
        }
    }
}
