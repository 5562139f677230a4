//! Which pages may connect, under which host names, and to which rooms, and who may publish.

use std::path::PathBuf;

use clap::Args;
use townhall::{Config, Host, Origin, Origins, RoomPattern};

use super::list::{List, list};

/// Pages, hosts and rooms.
#[derive(Debug, Args)]
#[command(next_help_heading = "Access")]
pub struct AccessFlags {
    /// Allow connections from web pages of this origin, such as https://example.com, or of every
    /// origin with *. The origin null allows files, and sandboxed frames of any site. By default, only
    /// pages of the server's own host may connect. May be repeated
    #[arg(long, value_name = "ORIGIN", env = "TOWNHALL_ORIGIN")]
    #[arg(value_parser = list(page, "allow only pages of the server's own host"))]
    origin: Vec<List<Page>>,

    /// A host name of this server, such as chat.example. Requests for other hosts get 421, unless they
    /// are for the IP address that the client connected to. This protects a server that clients reach
    /// directly over a network from DNS rebinding. By default, every host is served. May be repeated
    #[arg(long, value_name = "HOST", env = "TOWNHALL_HOST")]
    #[arg(value_parser = list(str::parse::<Host>, "serve every host"))]
    host: Vec<List<Host>>,

    /// Allow this path as a room, such as /lobby. A * at the end, as in /team/*, allows all paths that
    /// begin this way. Other paths get 404. By default, every path is a room. May be repeated
    #[arg(long, value_name = "PATTERN", env = "TOWNHALL_ROOM")]
    #[arg(value_parser = list(str::parse::<RoomPattern>, "allow every path"))]
    room: Vec<List<RoomPattern>>,

    /// Require the content of this file, one word, as a Bearer token in requests that publish a message
    /// with POST. With --auth-key-file, a token that may publish is enough too. By default, whoever may
    /// connect may publish
    #[arg(long, value_name = "FILE", env = "TOWNHALL_PUBLISH_KEY_FILE")]
    pub publish_key_file: Option<PathBuf>,
}

/// The pages that a flag allows.
#[derive(Debug, Clone)]
enum Page {
    Any,
    Of(Origin),
}

fn page(text: &str) -> Result<Page, String> {
    if text == "*" {
        return Ok(Page::Any);
    }
    text.parse().map(Page::Of).map_err(|error: townhall::InvalidOrigin| error.reason().to_owned())
}

impl AccessFlags {
    /// Applies the flags to a configuration.
    pub fn set(&self, config: &mut Config) {
        config.origins = self.origins();
        config.hosts = List::concat(&self.host);
        config.rooms.patterns = List::concat(&self.room);
    }

    fn origins(&self) -> Origins {
        let named = |page| match page {
            Page::Any => None,
            Page::Of(origin) => Some(origin),
        };
        let named: Option<Origins> = List::concat(&self.origin).into_iter().map(named).collect();
        named.unwrap_or(Origins::any())
    }
}
