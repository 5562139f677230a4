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

    /// Show who is in this room: for /lobby, there is a room /lobby/@members, in which the server says who is
    /// in /lobby, who joins and who leaves. A client that may join /lobby may join it. A * at the end, as in
    /// /team/*, shows the members of all rooms that begin this way. Members are named by the sub of their
    /// tokens; without --auth-key-file, they are only counted. By default, no room is shown. May be repeated
    #[arg(long, value_name = "PATTERN", env = "TOWNHALL_PRESENCE")]
    #[arg(value_parser = list(str::parse::<RoomPattern>, "show no room"))]
    presence: Vec<List<RoomPattern>>,

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
        config.rooms.patterns.extend(self.member_rooms());
    }

    /// The rooms whose members are shown.
    pub fn presence(&self) -> Vec<RoomPattern> {
        List::concat(&self.presence)
    }

    /// The rooms that show the members of single rooms that are named. The beginning of several names is
    /// also that of the rooms that show their members.
    fn member_rooms(&self) -> Vec<RoomPattern> {
        let presence = self.presence();
        let named: Vec<_> = List::concat(&self.room).iter().map(RoomPattern::to_string).collect();
        let shown = named.iter().filter(|room| {
            !room.ends_with('*') && presence.iter().any(|pattern| pattern.matches(room))
        });
        let shown = shown.filter(|room| !room.ends_with("/@members"));
        let above = |room| if room == "/" { "" } else { room };
        shown.filter_map(|room| format!("{}/@members", above(room)).parse().ok()).collect()
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
