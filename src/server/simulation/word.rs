//! The words of the server, as peers read them.

use crate::protocol::{Position, WORD_MARK};

/// A word of the server. Those that the simulation does not cause are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    Greeting { position: Position, recovered: Option<bool>, replay: u64 },
    Skipped { count: u64, position: Position },
    Published(Position),
    Beat(Position),
}

impl Heard {
    /// The word in the payload of a text frame.
    pub(crate) fn of(payload: &[u8]) -> Option<Self> {
        let text = str::from_utf8(payload).ok()?;
        let fields = text.strip_prefix(WORD_MARK)?.strip_prefix('{')?.strip_suffix('}')?;
        let value = |name: &str| {
            let fields = fields.split(',').filter_map(|field| field.split_once(':'));
            let mut named = fields.filter(|(key, _)| key.trim_matches('"') == name);
            named.next().map(|(_, value)| value.trim_matches('"'))
        };
        let number = |name| value(name)?.parse().ok();
        let position = |name| value(name)?.parse().ok();
        let recovered = value("recovered").and_then(|value| value.parse().ok());
        if let Some(published) = position("published") {
            return Some(Self::Published(published));
        }
        let position = position("position")?;
        Some(match (number("skipped"), number("replay")) {
            (Some(count), _) => Self::Skipped { count, position },
            (None, Some(replay)) => Self::Greeting { position, recovered, replay },
            (None, None) => Self::Beat(position),
        })
    }
}
