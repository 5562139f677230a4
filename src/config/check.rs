//! Checks of a configuration: each value by itself, and all of them together.

use std::time::Duration;

use super::Config;
use super::error::ConfigError;
use crate::protocol::{Limits, is_token_byte};

/// The fields of a request that RFC 6455, section 4.1, requires: Host, Upgrade, Connection,
/// Sec-WebSocket-Key and Sec-WebSocket-Version.
const MIN_HEADERS: u64 = 5;

/// The size in bytes of a request with little more than these fields.
const MIN_HEAD_BYTES: u64 = 200;

/// The largest allowed message limit in bytes: the memory of one client is counted in 32 bits, and a
/// buffer may be twice as long as its contents.
const MAX_MESSAGE_BYTES: u64 = 1 << 30;

/// The outcome of a check.
type Check = Result<(), ConfigError>;

impl Config {
    /// Checks that a server can work with this configuration, as
    /// [`Server::bind`](crate::Server::bind) does.
    ///
    /// # Errors
    /// The first field with a wrong value, and what is allowed.
    ///
    /// ```
    /// use townhall::Config;
    ///
    /// let mut config = Config::default();
    /// config.rooms.max = 0;
    /// let error = config.check().unwrap_err();
    /// assert_eq!(error.field(), "rooms.max");
    /// assert_eq!(error.to_string(), "rooms.max is 0, but must be at least 1");
    /// ```
    pub fn check(&self) -> Result<(), ConfigError> {
        self.faults().into_iter().next().map_or(Ok(()), Err)
    }

    /// Everything that [`check`](Self::check) would find wrong, for a program that reports all of it at
    /// once.
    ///
    /// ```
    /// use townhall::Config;
    ///
    /// let mut config = Config::default();
    /// config.rooms.max = 0;
    /// config.connections.max = 0;
    /// let fields: Vec<_> = config.faults().iter().map(|fault| fault.field()).collect();
    /// assert_eq!(fields, ["connections.max", "rooms.max"]);
    /// ```
    pub fn faults(&self) -> Vec<ConfigError> {
        let checks = [
            self.check_lists(),
            self.check_input(),
            self.check_connections(),
            self.check_rooms(),
            self.check_durations(),
            self.check_memory(),
            self.check_history(),
            self.check_deflate(),
        ];
        checks.into_iter().flatten().filter_map(Result::err).collect()
    }

    fn check_lists(&self) -> Vec<Check> {
        let field = "listen";
        let listen =
            if self.listen.is_empty() { Err(ConfigError::Empty { field }) } else { Ok(()) };
        let subprotocol = |name: &String| match is_token(name) {
            true => Ok(()),
            false => Err(ConfigError::NoToken { field: "subprotocols", value: name.clone() }),
        };
        [listen, self.check_tls()]
            .into_iter()
            .chain(self.subprotocols.iter().map(subprotocol))
            .collect()
    }

    fn check_tls(&self) -> Check {
        let mut tls = self.listen.iter().filter(|listen| listen.tls).peekable();
        if tls.peek().is_none() {
            Ok(())
        } else if cfg!(not(feature = "tls")) {
            Err(ConfigError::NeedsFeature { field: "listen", feature: "tls" })
        } else if self.tls.certificates.is_empty() {
            Err(ConfigError::Empty { field: "tls.certificates" })
        } else if let Some(unix) = tls.find(|listen| listen.address.is_unix()) {
            Err(ConfigError::PlainOnly { field: "listen", value: unix.address.to_string() })
        } else {
            Ok(())
        }
    }

    /// Checks that a client may send a request and a message.
    fn check_input(&self) -> Vec<Check> {
        let limits = &self.limits;
        let max_message_bytes = limits.max_message_bytes as u64;
        vec![
            at_least("limits.max_headers", limits.max_headers as u64, MIN_HEADERS),
            at_least("limits.max_head_bytes", limits.max_head_bytes as u64, MIN_HEAD_BYTES),
            at_least("limits.max_fragments", limits.max_fragments.into(), 1),
            at_least("limits.max_message_bytes", max_message_bytes, 1),
            at_most("limits.max_message_bytes", max_message_bytes, MAX_MESSAGE_BYTES),
            at_most("limits.max_body_bytes", self.body_bytes() as u64, MAX_MESSAGE_BYTES),
        ]
    }

    /// The maximum size of a body, if bodies are read and may be longer than messages.
    fn body_bytes(&self) -> usize {
        let Limits { max_body_bytes, max_message_bytes, .. } = self.limits;
        if self.request_bodies && max_body_bytes > max_message_bytes { max_body_bytes } else { 0 }
    }

    /// Checks that connections may be opened, and may send.
    fn check_connections(&self) -> Vec<Check> {
        let connections = &self.connections;
        let max_new = connections.max_new_per_address_per_second;
        let rates = &self.rates;
        vec![
            at_least("connections.max", connections.max as u64, 1),
            at_least("connections.max_per_address", connections.max_per_address.into(), 1),
            at_least("connections.max_new_per_address_per_second", max_new.into(), 1),
            at_least("rates.max_messages_per_second", rates.max_messages_per_second.into(), 1),
            at_least("rates.max_bytes_per_second", rates.max_bytes_per_second.into(), 1),
        ]
    }

    /// Checks that rooms may exist.
    fn check_rooms(&self) -> Vec<Check> {
        let rooms = &self.rooms;
        vec![
            at_least("rooms.max", rooms.max as u64, 1),
            at_least("rooms.max_per_address", rooms.max_per_address as u64, 1),
            at_least("rooms.max_name_bytes", rooms.max_name_bytes as u64, 1),
        ]
    }

    /// Checks that no timeout is zero.
    fn check_durations(&self) -> Vec<Check> {
        vec![
            not_zero("connections.max_age", self.connections.max_age),
            not_zero("timeouts.handshake", Some(self.timeouts.handshake)),
            not_zero("timeouts.keep_alive", Some(self.timeouts.keep_alive)),
            not_zero("timeouts.answer", Some(self.timeouts.answer)),
            not_zero("timeouts.ping_interval", self.timeouts.ping_interval),
            not_zero("timeouts.pong", self.timeouts.pong),
            not_zero("timeouts.write", self.timeouts.write),
            not_zero("rates.throttle_timeout", self.rates.throttle_timeout),
            not_zero("timeouts.close", Some(self.timeouts.close)),
        ]
    }

    /// Checks that the system accepts `socket_unsent_bytes`, and that each of the other limits is large
    /// enough for what it must hold. Input is collected in buffers of up to twice its size.
    fn check_memory(&self) -> Vec<Check> {
        let memory = &self.memory;
        let unsent = memory.socket_unsent_bytes;
        let message = ("limits.max_message_bytes", self.limits.max_message_bytes);
        let head = ("limits.max_head_bytes", self.limits.max_head_bytes);
        let backlog = ("memory.max_backlog_bytes", memory.max_backlog_bytes);
        let total_backlog = ("memory.max_total_backlog_bytes", memory.max_total_backlog_bytes);
        let incomplete = ("memory.max_incomplete_bytes", memory.max_incomplete_bytes);
        vec![
            at_most("memory.socket_unsent_bytes", unsent.into(), i32::MAX as u64),
            holds(backlog, 1, message),
            holds(total_backlog, 1, backlog),
            holds(incomplete, 2, message),
            holds(incomplete, 2, head),
            holds(incomplete, 2, ("limits.max_body_bytes", self.body_bytes())),
        ]
    }

    fn check_history(&self) -> Vec<Check> {
        let Some(history) = &self.history else { return Vec::new() };
        let backlog = ("memory.max_backlog_bytes", self.memory.max_backlog_bytes);
        let total = ("history.max_total_bytes", history.max_total_bytes);
        let bytes = ("history.max_bytes", history.max_bytes);
        vec![
            at_least("history.max_messages", history.max_messages as u64, 1),
            at_least(bytes.0, bytes.1 as u64, 1),
            not_zero("history.max_age", Some(history.max_age)),
            holds(backlog, 2, bytes),
            holds(total, 1, bytes),
        ]
    }

    /// Checks that zlib supports the compression settings.
    fn check_deflate(&self) -> Vec<Check> {
        let Some(deflate) = &self.deflate else { return Vec::new() };
        let numbers = [
            ("deflate.level", deflate.level, 1, 9),
            ("deflate.window_bits", deflate.window_bits.into(), 9, 15),
            ("deflate.client_window_bits", deflate.client_window_bits.into(), 9, 15),
        ];
        let check = |(field, value, least, most): (_, u32, _, _)| {
            [at_least(field, value.into(), least), at_most(field, value.into(), most)]
        };
        numbers.into_iter().flat_map(check).collect()
    }
}

fn at_least(field: &'static str, value: u64, least: u64) -> Check {
    if value < least {
        return Err(ConfigError::TooSmall { field, value, least });
    }
    Ok(())
}

fn at_most(field: &'static str, value: u64, most: u64) -> Check {
    if value > most {
        return Err(ConfigError::TooLarge { field, value, most });
    }
    Ok(())
}

fn not_zero(field: &'static str, duration: Option<Duration>) -> Check {
    match duration {
        Some(Duration::ZERO) => Err(ConfigError::NoTime { field }),
        _ => Ok(()),
    }
}

/// Checks that one limit is at least `times` another. Each is given as its name and value.
fn holds(
    (field, value): (&'static str, usize),
    times: usize,
    (held, size): (&'static str, usize),
) -> Check {
    let least = size.saturating_mul(times) as u64;
    if (value as u64) < least {
        let times = times as u64;
        return Err(ConfigError::CannotHold { field, value: value as u64, held, times, least });
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

    type Change = fn(&mut Config);

    /// The error of the default configuration after a change.
    fn complaint(change: Change) -> String {
        let mut config = Config::default();
        change(&mut config);
        config.check().unwrap_err().to_string()
    }

    #[test]
    fn the_default_is_valid() {
        assert_eq!(Config::default().check(), Ok(()));
    }

    #[test]
    fn the_default_for_any_message_size_is_valid() {
        for size in [1, 1 << 10, 16 << 20, 1 << 30] {
            assert_eq!(Config::with_max_message_bytes(size).check(), Ok(()), "{size}");
        }
        assert_eq!(Config::with_max_message_bytes(16 << 20), Config::default());
    }

    #[test]
    fn an_error_can_use_the_names_of_a_program() {
        let mut config = Config::default();
        config.memory.max_backlog_bytes = 1;
        let error = config.check().unwrap_err();
        let flag = |field: &str| format!("--{}", field.rsplit('.').next().unwrap());
        let line =
            "--max_backlog_bytes is 1, but must be at least --max_message_bytes, which is 16777216";
        assert_eq!(error.describe(flag), line);
    }

    #[test]
    fn limits_that_contradict_each_other_are_named() {
        let cases: [(Change, &str); 7] = [
            (|config| config.memory.max_backlog_bytes = 1, "memory.max_backlog_bytes is 1, "),
            (
                |config| config.memory.max_total_backlog_bytes = 1 << 20,
                "least memory.max_backlog_bytes, ",
            ),
            (
                |config| config.memory.max_incomplete_bytes = 1 << 20,
                "2 times limits.max_message_bytes, ",
            ),
            (|config| config.limits.max_head_bytes = usize::MAX, "2 times limits.max_head_bytes, "),
            (|config| config.listen.clear(), "listen is empty"),
            (
                |config| config.listen[0].tls = true,
                if cfg!(feature = "tls") {
                    "tls.certificates is empty"
                } else {
                    "listen needs the feature `tls`"
                },
            ),
            (
                |config| config.subprotocols.push("a\r\nb".into()),
                "subprotocols: \"a\\r\\nb\" is not a token",
            ),
        ];
        for (change, words) in cases {
            let complaint = complaint(change);
            assert!(complaint.contains(words), "{complaint}");
        }
    }

    #[test]
    fn a_limit_that_allows_nothing_is_named() {
        let cases: [(Change, &str); 12] = [
            (|config| config.limits.max_head_bytes = 199, "limits.max_head_bytes is 199"),
            (|config| config.limits.max_headers = 4, "limits.max_headers is 4"),
            (|config| config.limits.max_message_bytes = 0, "limits.max_message_bytes is 0"),
            (|config| config.limits.max_fragments = 0, "limits.max_fragments is 0"),
            (|config| config.connections.max = 0, "connections.max is 0"),
            (|config| config.connections.max_per_address = 0, "connections.max_per_address is 0"),
            (
                |config| config.connections.max_new_per_address_per_second = 0,
                "connections.max_new_per_address_per_second is 0",
            ),
            (
                |config| config.rates.max_messages_per_second = 0,
                "rates.max_messages_per_second is 0",
            ),
            (|config| config.rates.max_bytes_per_second = 0, "rates.max_bytes_per_second is 0"),
            (|config| config.rooms.max = 0, "rooms.max is 0"),
            (|config| config.rooms.max_per_address = 0, "rooms.max_per_address is 0"),
            (|config| config.rooms.max_name_bytes = 0, "rooms.max_name_bytes is 0"),
        ];
        for (change, words) in cases {
            let complaint = complaint(change);
            let begin = format!("{words}, but must be at least ");
            assert!(complaint.starts_with(&begin), "{complaint}");
        }
        let unsent = complaint(|config| config.memory.socket_unsent_bytes = u32::MAX);
        assert!(unsent.ends_with("must be at most 2147483647"), "{unsent}");
        let endless = complaint(|config| config.limits.max_message_bytes = usize::MAX);
        assert!(endless.ends_with("must be at most 1073741824"), "{endless}");
    }

    #[test]
    fn a_timeout_of_zero_is_an_error() {
        let cases: [(Change, &str); 7] = [
            (|config| config.connections.max_age = Some(Duration::ZERO), "connections.max_age"),
            (|config| config.timeouts.handshake = Duration::ZERO, "timeouts.handshake"),
            (
                |config| config.timeouts.ping_interval = Some(Duration::ZERO),
                "timeouts.ping_interval",
            ),
            (|config| config.timeouts.pong = Some(Duration::ZERO), "timeouts.pong"),
            (|config| config.timeouts.write = Some(Duration::ZERO), "timeouts.write"),
            (|config| config.timeouts.close = Duration::ZERO, "timeouts.close"),
            (
                |config| config.rates.throttle_timeout = Some(Duration::ZERO),
                "rates.throttle_timeout",
            ),
        ];
        for (change, field) in cases {
            assert_eq!(complaint(change), format!("{field} must be longer than zero"));
        }
        let mut hasty = Config::default();
        hasty.shutdown.timeout = Duration::ZERO;
        assert_eq!(hasty.check(), Ok(()));
    }

    #[test]
    fn compression_settings_that_zlib_does_not_support_are_errors() {
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
            let error = deflate(level, window_bits, client).unwrap_err();
            assert!(error.field().starts_with("deflate."), "{error}");
        }
    }
}
