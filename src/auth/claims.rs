//! What a token claims (RFC 7519, section 4).

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::denial::Denial;
use super::info::Info;
use super::patterns::Patterns;

/// How far the clock of whoever makes tokens may differ from ours: a token counts for this much longer.
pub const LEEWAY: Duration = Duration::from_secs(5);

/// A duration that never passes.
const FOREVER: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);

/// The claims of a token that is valid.
#[derive(Debug, Clone, PartialEq)]
pub struct Claims {
    /// The user.
    pub subject: Option<Box<str>>,
    /// The id of the token itself.
    pub token_id: Option<Box<str>>,
    /// When the token was made, in seconds since the epoch.
    pub issued_at: Option<f64>,
    /// When the token ends, in seconds since the epoch.
    pub expires_at: f64,
    pub join: Patterns,
    pub publish: Patterns,
    /// What those who watch a room are shown of the user.
    pub info: Option<Info>,
}

/// The claims as they are in the token. Others do not count.
#[derive(Debug, Deserialize)]
pub struct RawClaims {
    sub: Option<Box<str>>,
    jti: Option<Box<str>>,
    iat: Option<f64>,
    exp: Option<f64>,
    townhall: Option<RawRights>,
}

#[derive(Debug, Default, Deserialize)]
struct RawRights {
    #[serde(default)]
    join: Vec<String>,
    #[serde(default)]
    publish: Vec<String>,
    info: Option<Box<RawValue>>,
}

impl Claims {
    /// # Errors
    /// A pattern or the info is not valid, or the token does not end.
    pub fn of(raw: RawClaims) -> Result<Self, Denial> {
        let rights = raw.townhall.unwrap_or_default();
        let patterns = |texts: &[String]| {
            Patterns::of_token(texts).ok_or(Denial::invalid("the token has an invalid pattern"))
        };
        Ok(Self {
            subject: raw.sub,
            token_id: raw.jti,
            issued_at: raw.iat,
            expires_at: raw.exp.ok_or(Denial::invalid("the token has no valid exp"))?,
            join: patterns(&rights.join)?,
            publish: patterns(&rights.publish)?,
            info: rights.info.map(Info::new).transpose()?,
        })
    }

    /// How long the token counts from `now`, in seconds since the epoch.
    pub fn remaining(&self, now: f64) -> Duration {
        let seconds = self.expires_at - now + LEEWAY.as_secs_f64();
        Duration::try_from_secs_f64(seconds.max(0.0)).map_or(FOREVER, |rest| rest.min(FOREVER))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(json: &str) -> Option<Claims> {
        Claims::of(serde_json::from_str(json).ok()?).ok()
    }

    #[test]
    fn unknown_claims_do_not_count_and_missing_rights_are_none() {
        let json =
            r#"{"sub":"42","exp":1.5,"scope":"x","townhall":{"join":["/a"],"info":{"a":1}}}"#;
        let claims = claims(json).unwrap();
        assert_eq!(claims.subject.as_deref(), Some("42"));
        assert!(claims.join.allow("/a") && !claims.publish.allow("/a"));
        assert_eq!(claims.info, Info::parse(r#"{"a":1}"#).ok());
        let bare = self::claims(r#"{"exp":1,"townhall":{"info":null}}"#).unwrap();
        assert!(bare.subject.is_none() && bare.info.is_none() && !bare.join.allow("/"));
    }

    #[test]
    fn claims_of_another_type_are_an_error() {
        for json in [
            r#"{"sub":42,"exp":1}"#,
            r#"{"exp":"1"}"#,
            r#"{"sub":"42"}"#,
            r#"{"exp":1,"townhall":["/a"]}"#,
            r#"{"exp":1,"townhall":{"join":"/a"}}"#,
            r#"{"exp":1,"townhall":{"join":["/a/../b"]}}"#,
            r#"{"exp":1,"townhall":{"publish":["a"]}}"#,
            r#"{"exp":1,"townhall":{"info":"Ann"}}"#,
            r#"{"exp":1e400}"#,
            "[]",
        ] {
            assert_eq!(claims(json), None, "{json}");
        }
    }

    #[test]
    fn the_rest_of_a_token_is_neither_negative_nor_endless() {
        let remaining = |exp: &str| claims(&format!(r#"{{"exp":{exp}}}"#)).unwrap().remaining(1e9);
        assert_eq!(remaining("1000000010"), Duration::from_secs(15));
        assert_eq!(remaining("999999990"), Duration::ZERO);
        assert_eq!(remaining("-1e300"), Duration::ZERO);
        assert_eq!(remaining("1e300"), FOREVER);
    }
}
