//! What is kept of the messages of rooms.

use std::time::Duration;

use clap::Args;
use townhall::{Config, HistoryLimits};

use super::duration::duration;
use super::number::number;
use super::size::{show, size};

/// The flags for history, which is on if one of the first three is set, or --redis.
#[derive(Debug, Args)]
#[command(next_help_heading = "History")]
pub struct HistoryFlags {
    /// Keep this number of messages of each room for clients that come back, which ask for what they have
    /// missed with ?after=POSITION, or with ?last=N for the newest messages. Rooms without members are kept
    /// too, until --history-age. --history-messages, --history-bytes, --history-age and --redis each turn
    /// history on. With history on, the default is 1000, and texts that begin with U+0000 close their senders with
    /// 1008, because the server's own words begin with it
    #[arg(long, value_name = "N", env = "TOWNHALL_HISTORY_MESSAGES")]
    #[arg(value_parser = number::<usize>)]
    history_messages: Option<usize>,

    /// Keep the newest messages of each room in up to this much memory. With history on, the default is
    /// 1MiB. It must be at most half of --max-backlog-size
    #[arg(long, value_name = "SIZE", env = "TOWNHALL_HISTORY_BYTES")]
    #[arg(value_parser = size::<usize>)]
    history_bytes: Option<usize>,

    /// Keep messages for this long. With history on, the default is 5min
    #[arg(long, value_name = "DURATION", env = "TOWNHALL_HISTORY_AGE")]
    #[arg(value_parser = duration)]
    history_age: Option<Duration>,

    /// The maximum memory for the history of all rooms. Above it, the oldest messages are dropped
    #[arg(long, value_name = "SIZE", env = "TOWNHALL_MAX_HISTORY_BYTES")]
    #[arg(default_value = show(HistoryLimits::default().max_total_bytes as u64))]
    #[arg(value_parser = size::<usize>)]
    max_history_bytes: usize,
}

impl HistoryFlags {
    /// The first of the flags that turn history on.
    pub fn first(&self) -> Option<&'static str> {
        let flags = [
            ("history_messages", self.history_messages.is_some()),
            ("history_bytes", self.history_bytes.is_some()),
            ("history_age", self.history_age.is_some()),
        ];
        flags.into_iter().find(|(_, is_set)| *is_set).map(|(name, _)| name)
    }

    /// Applies the flags to a configuration. Rooms that processes share have history too.
    pub fn set(&self, config: &mut Config, shares_rooms: bool) {
        if self.first().is_some() || shares_rooms {
            let mut history = HistoryLimits::default();
            history.max_messages = self.history_messages.unwrap_or(history.max_messages);
            history.max_bytes = self.history_bytes.unwrap_or(history.max_bytes);
            history.max_age = self.history_age.unwrap_or(history.max_age);
            history.max_total_bytes = self.max_history_bytes;
            config.history = Some(history);
        }
    }
}
