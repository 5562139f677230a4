//! The clients that may connect, by which name, and to which rooms.

use clap::Args;
use townhall::{Config, Host, Origin, Origins, RoomPattern};

use super::list::{List, list};

/// Pages, hosts and rooms.
#[derive(Debug, Args)]
#[command(next_help_heading = "Access")]
pub struct AccessFlags {
    /// Accept connections from web pages of this origin too, such as https://example.com; * stands
    /// for every origin. Files and sandboxed frames of any site have the origin null. By default,
    /// only pages of the server's own host may connect. May be given several times
    #[arg(long, value_name = "ORIGIN", env = "TOWNHALL_ORIGIN")]
    #[arg(value_parser = list(page, "let in only pages of the server's own host"))]
    origin: Vec<List<Page>>,

    /// A host name of this server, such as chat.example. Requests for any other host are answered
    /// with 421, unless they are for the IP address that they came to. This protects a server that
    /// a whole network can reach from DNS rebinding. May be given several times
    #[arg(long, value_name = "HOST", env = "TOWNHALL_HOST")]
    #[arg(value_parser = list(str::parse::<Host>, "serve every host"))]
    host: Vec<List<Host>>,

    /// Allow this path as a room, such as /lobby. A * at the end, such as in /team/*, allows all
    /// paths that begin this way. Other paths are answered with 404. By default, every path is a
    /// room. May be given several times
    #[arg(long, value_name = "PATTERN", env = "TOWNHALL_ROOM")]
    #[arg(value_parser = list(str::parse::<RoomPattern>, "allow every path"))]
    room: Vec<List<RoomPattern>>,
}

/// The pages that a flag lets in.
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
    /// Sets in a configuration who may connect.
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
