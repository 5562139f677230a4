//! The flags of `townhall token`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use townhall::RoomPattern;

use super::duration::duration;
use super::list::{List, list};

/// Make a JSON Web Token for a trial, or explain one
///
/// Make a token for a server with --auth-key-file and print it, or explain a token with --check: its claims, and
/// whether it is valid. The exit status of --check is 0 if the token is valid, otherwise 1.
#[derive(Debug, Parser)]
#[command(name = "token", display_name = "townhall-token", bin_name = "townhall token")]
#[command(version, max_term_width = 100)]
pub struct TokenFlags {
    /// To make a token: a file with the private key in PEM (Ed25519, P-256 or RSA), or with the HMAC
    /// secret. To check one: a file as in --auth-key-file, which may be repeated
    #[arg(long, value_name = "FILE", required = true, value_delimiter = ',')]
    pub key_file: Vec<PathBuf>,

    /// Explain this token
    #[arg(long, value_name = "TOKEN", conflicts_with_all = ["sub", "jti", "join", "publish", "info", "ttl"])]
    pub check: Option<String>,

    /// The user: the claim sub
    #[arg(long, value_name = "TEXT")]
    pub sub: Option<String>,

    /// The id of the token itself: the claim jti
    #[arg(long, value_name = "TEXT")]
    pub jti: Option<String>,

    /// The rooms that its bearer may join, such as /lobby or /game/*. May be repeated
    #[arg(long, value_name = "PATTERN")]
    #[arg(value_parser = list(str::parse::<RoomPattern>, "allow none"))]
    join: Vec<List<RoomPattern>>,

    /// The rooms in which its bearer may publish. May be repeated
    #[arg(long, value_name = "PATTERN")]
    #[arg(value_parser = list(str::parse::<RoomPattern>, "allow none"))]
    publish: Vec<List<RoomPattern>>,

    /// What to show of the user to those who watch the members of a room: the claim info, an object such as
    /// {"name":"Ann"} of at most 512 bytes
    #[arg(long, value_name = "JSON")]
    pub info: Option<String>,

    /// How long the token is valid
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration)]
    pub ttl: Duration,

    /// The audience: the claim aud. With --check, what --auth-audience requires
    #[arg(long, value_name = "TEXT")]
    pub audience: Option<String>,

    /// The issuer: the claim iss. With --check, what --auth-issuer requires
    #[arg(long, value_name = "TEXT")]
    pub issuer: Option<String>,
}

impl TokenFlags {
    /// The rooms that the token's bearer may join.
    pub fn join(&self) -> Vec<RoomPattern> {
        List::concat(&self.join)
    }

    /// The rooms in which the token's bearer may publish.
    pub fn publish(&self) -> Vec<RoomPattern> {
        List::concat(&self.publish)
    }
}
