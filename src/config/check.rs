//! Checks that a configuration makes sense: each value by itself, and all of them together.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::Config;
use crate::protocol::is_token_byte;

/// The fields of a request that RFC 6455, section 4.1, requires: Host, Upgrade, Connection,
/// Sec-WebSocket-Key and Sec-WebSocket-Version.
const MIN_HEADERS: u64 = 5;

/// The size in bytes of a request that holds little more than these fields.
const MIN_HEAD_BYTES: u64 = 200;

/// The largest limit in bytes of a message: what one client holds is counted in 32 bits, and a
/// buffer may be twice as long as what it holds.
const MAX_MESSAGE_BYTES: u64 = 1 << 30;

impl Config {
    /// Checks that the server can work with this configuration.
    ///
    /// # Errors
    /// One line that names what is wrong.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.listen.is_empty() {
            return Err("there is no address to listen on".into());
        }
        self.check_numbers()?;
        self.check_times()?;
        self.check_sizes()?;
        self.check_deflate()?;
        match self.subprotocols.iter().find(|name| !is_token(name)) {
            Some(name) => Err(format!("{name:?} cannot be the name of a subprotocol")),
            None => Ok(()),
        }
    }

    /// Checks that each limit leaves the server something to do.
    fn check_numbers(&self) -> Result<(), String> {
        let limits = &self.limits;
        let at_least_1 = [
            ("max_fragments", u64::from(limits.max_fragments)),
            ("max_connections", self.max_connections as u64),
            ("max_connections_per_address", u64::from(self.max_connections_per_address)),
            ("max_new_connections_per_second", u64::from(self.max_new_connections_per_second)),
            ("max_messages_per_second", u64::from(self.max_messages_per_second)),
            ("max_bytes_per_second", u64::from(self.max_bytes_per_second)),
            ("max_rooms", self.max_rooms as u64),
            ("max_rooms_per_address", self.max_rooms_per_address as u64),
            ("max_room_name_bytes", self.max_room_name_bytes as u64),
        ];
        for (name, value) in at_least_1 {
            check_range(name, value, 1..=u64::MAX)?;
        }
        let (headers, head) = (limits.max_headers as u64, limits.max_head_bytes as u64);
        check_range("max_headers", headers, MIN_HEADERS..=u64::MAX)?;
        check_range("max_head_bytes", head, MIN_HEAD_BYTES..=u64::MAX)?;
        let unsent = self.socket_unsent_bytes.into();
        check_range("socket_unsent_bytes", unsent, 0..=i32::MAX as u64)?;
        let message = limits.max_message_bytes as u64;
        check_range("max_message_bytes", message, 1..=MAX_MESSAGE_BYTES)
    }

    /// Checks that each deadline leaves some time.
    fn check_times(&self) -> Result<(), String> {
        let mut times = [
            ("handshake_timeout", Some(self.handshake_timeout)),
            ("ping_interval", self.ping_interval),
            ("pong_timeout", self.pong_timeout),
            ("write_timeout", self.write_timeout),
            ("throttle_timeout", self.throttle_timeout),
            ("close_timeout", Some(self.close_timeout)),
        ]
        .into_iter();
        match times.find(|(_, time)| *time == Some(Duration::ZERO)) {
            Some((name, _)) => Err(format!("{name} must be longer than zero")),
            None => Ok(()),
        }
    }

    /// Checks that each limit is large enough for what it must hold.
    fn check_sizes(&self) -> Result<(), String> {
        let (message, head) = (self.limits.max_message_bytes, self.limits.max_head_bytes);
        let (backlog, incomplete) = (self.max_backlog_bytes, self.max_incomplete_bytes);
        // Input is collected in memory of up to twice its size.
        let (messages, heads) = (message.saturating_mul(2), head.saturating_mul(2));
        let mut held = [
            ("max_backlog_bytes", backlog, "max_message_bytes", message),
            ("max_total_backlog_bytes", self.max_total_backlog_bytes, "max_backlog_bytes", backlog),
            ("max_incomplete_bytes", incomplete, "twice max_message_bytes", messages),
            ("max_incomplete_bytes", incomplete, "twice max_head_bytes", heads),
        ]
        .into_iter();
        match held.find(|(_, holder, _, least)| holder < least) {
            Some((name, value, what, least)) => {
                Err(format!("{name} is {value}, and must be at least {what}, {least}"))
            }
            None => Ok(()),
        }
    }

    /// Checks that zlib supports the settings of compression.
    fn check_deflate(&self) -> Result<(), String> {
        let Some(deflate) = &self.deflate else { return Ok(()) };
        check_range("deflate.level", deflate.level.into(), 1..=9)?;
        check_range("deflate.window_bits", deflate.window_bits.into(), 9..=15)?;
        check_range("deflate.client_window_bits", deflate.client_window_bits.into(), 9..=15)
    }
}

fn check_range(name: &str, value: u64, range: RangeInclusive<u64>) -> Result<(), String> {
    let (least, most) = (range.start(), range.end());
    if value < *least {
        return Err(format!("{name} is {value}, and must be at least {least}"));
    }
    if value > *most {
        return Err(format!("{name} is {value}, and must be at most {most}"));
    }
    Ok(())
}

/// Whether `name` is a token (RFC 9110, section 5.6.2), as a subprotocol's name must be
/// (RFC 6455, section 4.1).
fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(is_token_byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Deflate;

    /// The error that the default configuration gives after a change to it.
    fn complaint(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config::default();
        change(&mut config);
        config.check().unwrap_err()
    }

    #[test]
    fn the_default_goes_together() {
        assert_eq!(Config::default().check(), Ok(()));
    }

    #[test]
    fn what_does_not_go_together_is_named() {
        let complaints = [
            (complaint(|config| config.max_backlog_bytes = 1), "max_backlog_bytes is 1, "),
            (
                complaint(|config| config.max_total_backlog_bytes = 1 << 20),
                "least max_backlog_bytes, ",
            ),
            (
                complaint(|config| config.max_incomplete_bytes = 1 << 20),
                "twice max_message_bytes, ",
            ),
            (
                complaint(|config| config.limits.max_head_bytes = usize::MAX),
                "twice max_head_bytes, ",
            ),
            (complaint(|config| config.listen.clear()), "address"),
            (complaint(|config| config.subprotocols.push("a\r\nb".into())), "subprotocol"),
        ];
        for (complaint, word) in complaints {
            assert!(complaint.contains(word), "{complaint}");
        }
    }

    #[test]
    fn a_limit_that_leaves_nothing_is_named() {
        let complaints = [
            (complaint(|config| config.limits.max_head_bytes = 199), "max_head_bytes is 199"),
            (complaint(|config| config.limits.max_headers = 4), "max_headers is 4"),
            (complaint(|config| config.limits.max_message_bytes = 0), "max_message_bytes is 0"),
            (complaint(|config| config.limits.max_fragments = 0), "max_fragments is 0"),
            (complaint(|config| config.max_connections = 0), "max_connections is 0"),
            (complaint(|config| config.max_connections_per_address = 0), "per_address is 0"),
            (complaint(|config| config.max_new_connections_per_second = 0), "per_second is 0"),
            (complaint(|config| config.max_messages_per_second = 0), "per_second is 0"),
            (complaint(|config| config.max_bytes_per_second = 0), "per_second is 0"),
            (complaint(|config| config.max_rooms = 0), "max_rooms is 0"),
            (complaint(|config| config.max_rooms_per_address = 0), "rooms_per_address is 0"),
            (complaint(|config| config.max_room_name_bytes = 0), "max_room_name_bytes is 0"),
        ];
        for (complaint, words) in complaints {
            assert!(complaint.contains(words), "{complaint}");
            assert!(complaint.contains(", and must be at least "), "{complaint}");
        }
        let unsent = complaint(|config| config.socket_unsent_bytes = u32::MAX);
        assert!(unsent.ends_with("must be at most 2147483647"), "{unsent}");
        let endless = complaint(|config| config.limits.max_message_bytes = usize::MAX);
        assert!(endless.ends_with("must be at most 1073741824"), "{endless}");
    }

    #[test]
    fn a_time_of_zero_is_no_time() {
        let complaints = [
            (complaint(|config| config.handshake_timeout = Duration::ZERO), "handshake_timeout"),
            (complaint(|config| config.close_timeout = Duration::ZERO), "close_timeout"),
            (complaint(|config| config.ping_interval = Some(Duration::ZERO)), "ping_interval"),
            (complaint(|config| config.pong_timeout = Some(Duration::ZERO)), "pong_timeout"),
            (complaint(|config| config.write_timeout = Some(Duration::ZERO)), "write_timeout"),
            (
                complaint(|config| config.throttle_timeout = Some(Duration::ZERO)),
                "throttle_timeout",
            ),
        ];
        for (complaint, name) in complaints {
            assert_eq!(complaint, format!("{name} must be longer than zero"));
        }
        let hasty = Config { drain_timeout: Duration::ZERO, ..Config::default() };
        assert_eq!(hasty.check(), Ok(()));
    }

    #[test]
    fn compression_is_what_zlib_can_do() {
        let deflate = |level, window_bits, client_window_bits| {
            let deflate = Deflate { level, window_bits, client_window_bits, ..Deflate::default() };
            Config { deflate: Some(deflate), ..Config::default() }.check()
        };
        for (level, window_bits, client) in [(1, 9, 15), (9, 15, 9)] {
            assert_eq!(deflate(level, window_bits, client), Ok(()));
        }
        for (level, window_bits, client) in
            [(0, 15, 15), (10, 15, 15), (6, 8, 15), (6, 16, 15), (6, 15, 8), (6, 15, 16)]
        {
            assert!(deflate(level, window_bits, client).unwrap_err().contains("must be at"));
        }
    }
}
