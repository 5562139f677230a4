//! Access with tokens.

use std::path::PathBuf;

use clap::Args;
use townhall::RoomPattern;

use super::list::{List, list};

/// Access with tokens.
#[derive(Debug, Args)]
#[command(next_help_heading = "Tokens")]
pub struct AuthFlags {
    /// Require a JSON Web Token that a key in this file verifies: a public key in PEM (Ed25519, P-256 or
    /// RSA), or an HMAC secret of at least 32 bytes. The key fixes the algorithm: EdDSA, ES256, RS256 or
    /// HS256. A token has exp, and says which rooms its bearer may use, as in
    /// "townhall": {"join": ["/game/7", "/user/42/*"], "publish": ["/game/7"]}. It is sent as
    /// Authorization: Bearer TOKEN, or by pages as a subprotocol bearer.TOKEN beside townhall.v1. The
    /// files are read again on SIGHUP. By default, everyone may use every room. May be repeated
    #[arg(long, value_name = "FILE", env = "TOWNHALL_AUTH_KEY_FILE", value_delimiter = ',')]
    pub auth_key_file: Vec<PathBuf>,

    /// Accept a token in the cookie of this name too
    #[arg(long, value_name = "NAME", env = "TOWNHALL_AUTH_COOKIE", requires = "auth_key_file")]
    #[arg(value_parser = name)]
    pub auth_cookie: Option<String>,

    /// Accept a token in the parameter of this name in the query too, as in ws://host/lobby?NAME=TOKEN.
    /// This is off by default, because proxies log URLs, and browsers keep them
    #[arg(long, value_name = "NAME", env = "TOWNHALL_AUTH_QUERY", requires = "auth_key_file")]
    #[arg(value_parser = name)]
    pub auth_query: Option<String>,

    /// Require that a token is for this audience: its claim aud
    #[arg(long, value_name = "TEXT", env = "TOWNHALL_AUTH_AUDIENCE", requires = "auth_key_file")]
    pub auth_audience: Option<String>,

    /// Require that a token is from this issuer: its claim iss
    #[arg(long, value_name = "TEXT", env = "TOWNHALL_AUTH_ISSUER", requires = "auth_key_file")]
    pub auth_issuer: Option<String>,

    /// Let everyone join these rooms without a token: a path such as /lobby, or all paths that begin this
    /// way, as in /open/*. May be repeated
    #[arg(long, value_name = "PATTERN", env = "TOWNHALL_PUBLIC_JOIN", requires = "auth_key_file")]
    #[arg(value_parser = list(str::parse::<RoomPattern>, "require a token for every room"))]
    public_join: Vec<List<RoomPattern>>,

    /// Let everyone who is in one of these rooms publish in it. May be repeated
    #[arg(
        long,
        value_name = "PATTERN",
        env = "TOWNHALL_PUBLIC_PUBLISH",
        requires = "auth_key_file"
    )]
    #[arg(value_parser = list(str::parse::<RoomPattern>, "require a token to publish"))]
    public_publish: Vec<List<RoomPattern>>,
}

impl AuthFlags {
    /// The rooms that everyone may join.
    pub fn public_join(&self) -> Vec<RoomPattern> {
        List::concat(&self.public_join)
    }

    /// The rooms in which everyone may publish.
    pub fn public_publish(&self) -> Vec<RoomPattern> {
        List::concat(&self.public_publish)
    }
}

/// The name of a cookie or a parameter.
fn name(text: &str) -> Result<String, &'static str> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if text.is_empty() || !text.bytes().all(is_name) {
        return Err("it must have only letters, digits and -_.");
    }
    Ok(text.to_owned())
}
