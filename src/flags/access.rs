//! Who may connect, by which name, and to which rooms.

use clap::Args;
use townhall::{Config, Host, Origin, Origins, RoomPattern};

use super::list::{List, list};

/// Pages, hosts and rooms.
#[derive(Debug, Args)]
#[command(next_help_heading = "Access")]
pub struct AccessFlags {
    /// Let pages of this origin connect too, such as https://example.com; * is every origin. By
    /// default only pages of the server's own host may. May be given several times
    #[arg(long, value_name = "ORIGIN", env = "TOWNHALL_ORIGIN", value_parser = list(page))]
    origin: Vec<List<Page>>,

    /// What the server is called, such as chat.example; a request for another host is answered with
    /// 421, unless it is for the IP address that it came to. Protects from DNS rebinding where a
    /// network can connect. May be given several times
    #[arg(long, value_name = "HOST", env = "TOWNHALL_HOST", value_parser = list(str::parse::<Host>))]
    host: Vec<List<Host>>,

    /// Let this path be a room, such as /lobby, or with a * at its end those that begin so, such as
    /// /team/*; any other path is answered with 404. Every path is a room by default. May be given
    /// several times
    #[arg(long, value_name = "PATTERN", env = "TOWNHALL_ROOM")]
    #[arg(value_parser = list(str::parse::<RoomPattern>))]
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
    /// Sets who may connect in a configuration.
    pub fn set(&self, config: &mut Config) {
        config.origins = self.origins();
        config.hosts = List::concat(&self.host);
        config.rooms = List::concat(&self.room);
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
