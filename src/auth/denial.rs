//! Why a client is denied access, and how it learns of that.

use townhall::{CloseCode, Response};

use crate::denied::Denied;

/// Why a client is denied access. The reason never contains any part of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Denial {
    /// The HTTP status.
    pub status: u16,
    /// The error code of RFC 6750, section 3.1.
    error: Option<&'static str>,
    pub reason: &'static str,
    /// How it is counted.
    pub denied: Denied,
}

impl Denial {
    /// RFC 6750, section 3.1: without a token, there is no error code.
    pub const MISSING: Self =
        Self { status: 401, error: None, reason: "a token is needed", denied: Denied::NoToken };

    pub const AMBIGUOUS: Self = Self {
        status: 400,
        error: Some("invalid_request"),
        reason: "the request has two different tokens",
        denied: Denied::SeveralTokens,
    };

    pub const JOIN: Self =
        Self::forbidden("the token does not allow joining this room", Denied::NoRightToJoin);

    pub const PUBLISH: Self = Self::forbidden(
        "the token does not allow publishing in this room",
        Denied::NoRightToPublish,
    );

    pub const REVOKED: Self = Self {
        status: 403,
        error: Some("invalid_token"),
        reason: "the token was revoked",
        denied: Denied::RevokedToken,
    };

    pub const ENDED: Self =
        Self { denied: Denied::EndedToken, ..Self::invalid("the token has ended") };

    /// The token is not valid.
    pub const fn invalid(reason: &'static str) -> Self {
        Self { status: 401, error: Some("invalid_token"), reason, denied: Denied::InvalidToken }
    }

    /// The token is valid, but does not allow this.
    const fn forbidden(reason: &'static str, denied: Denied) -> Self {
        Self { status: 403, error: Some("insufficient_scope"), reason, denied }
    }

    /// The response to a request that is denied (RFC 6750, section 3).
    pub fn response(self) -> Response {
        let reason = self.reason;
        let challenge = match self.error {
            Some(error) => {
                format!(
                    "Bearer realm=\"townhall\", error=\"{error}\", error_description=\"{reason}\""
                )
            }
            None => "Bearer realm=\"townhall\"".to_owned(),
        };
        let response = Response::text(self.status, reason);
        response.header("WWW-Authenticate", challenge).expect("a valid field")
    }

    /// The close code for a client that was let in to learn the reason, because a page cannot see an
    /// HTTP status: 4401 for 401.
    pub fn close_code(self) -> CloseCode {
        CloseCode::new(4000 + self.status).unwrap_or(CloseCode::POLICY_VIOLATION)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(denial: Denial) -> String {
        let mut out = Vec::new();
        denial.response().encode(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_challenge_has_the_reason_unless_there_was_no_token() {
        let missing = head(Denial::MISSING);
        assert!(missing.starts_with("HTTP/1.1 401 "), "{missing}");
        assert!(
            missing.contains("\r\nWWW-Authenticate: Bearer realm=\"townhall\"\r\n"),
            "{missing}"
        );
        let invalid = head(Denial::invalid("it has ended"));
        let challenge = "Bearer realm=\"townhall\", error=\"invalid_token\", \
                         error_description=\"it has ended\"\r\n";
        assert!(invalid.contains(challenge), "{invalid}");
        assert!(head(Denial::JOIN).contains("error=\"insufficient_scope\""));
    }

    #[test]
    fn a_page_sees_the_status_in_the_close_code() {
        for (denial, code) in [
            (Denial::AMBIGUOUS, 4400),
            (Denial::MISSING, 4401),
            (Denial::JOIN, 4403),
            (Denial::REVOKED, 4403),
        ] {
            assert_eq!(denial.close_code().get(), code);
        }
    }
}
