//! Durations with their units: `500ms`, `30s`, `2min`.

use std::fmt;
use std::time::Duration;

use humantime::{format_duration, parse_duration};

/// A timeout, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeout(pub Option<Duration>);

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(duration) => f.write_str(&show(duration)),
            None => f.write_str("off"),
        }
    }
}

/// Formats a duration in the form that a flag accepts.
pub fn show(duration: Duration) -> String {
    format_duration(duration).to_string()
}

/// Parses a duration with its unit, or 0.
///
/// # Errors
/// The form that a duration must have.
pub fn duration(text: &str) -> Result<Duration, &'static str> {
    parse_duration(text)
        .map_err(|_| "it must be a duration with its unit, such as 500ms, 30s or 2min")
}

/// Parses a timeout; 0 and `off` mean none.
///
/// # Errors
/// The form that a duration must have.
pub fn timeout(text: &str) -> Result<Timeout, &'static str> {
    if text.eq_ignore_ascii_case("off") {
        return Ok(Timeout(None));
    }
    let duration = duration(text)?;
    Ok(Timeout(if duration.is_zero() { None } else { Some(duration) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_unit_unless_it_is_0() {
        let cases = [
            ("0", Duration::ZERO),
            ("0s", Duration::ZERO),
            ("500ms", Duration::from_millis(500)),
            ("30s", Duration::from_secs(30)),
            ("30 seconds", Duration::from_secs(30)),
            ("1.5s", Duration::from_millis(1500)),
            ("2min", Duration::from_secs(120)),
            ("1h 30m", Duration::from_secs(5400)),
        ];
        for (text, expected) in cases {
            assert_eq!(duration(text), Ok(expected), "{text}");
        }
        for text in ["", "30", "s", "-1s", "30x", "99999999999999999999s"] {
            let error = duration(text).unwrap_err();
            assert!(error.starts_with("it must be a duration with its unit"), "{text}: {error}");
        }
    }

    #[test]
    fn a_timeout_of_0_is_off() {
        for text in ["0", "0s", "off", "Off"] {
            assert_eq!(timeout(text), Ok(Timeout(None)), "{text}");
        }
        assert_eq!(timeout("30s"), Ok(Timeout(Some(Duration::from_secs(30)))));
        assert!(timeout("never").is_err());
    }

    #[test]
    fn a_timeout_is_shown_as_it_can_be_typed() {
        for text in ["off", "20s", "1m 30s", "500ms"] {
            assert_eq!(timeout(text).unwrap().to_string(), text);
        }
    }
}
