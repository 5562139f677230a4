//! The date of a response.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The beginning of the year 10000, which a date with a four-digit year cannot show (RFC 9110, section
/// 5.6.7).
const END: Duration = Duration::from_secs(253_402_300_800);

/// The value of a response's Date field (RFC 9110, section 6.6.1), which changes once a second.
#[derive(Debug, Default)]
pub(crate) struct HttpDate {
    /// The time that `text` shows, in seconds since 1970.
    second: u64,
    text: String,
}

impl HttpDate {
    /// The value at a time. There is none before 1970 and after 9999, because the clock cannot be right
    /// then: "An origin server without a clock MUST NOT generate a Date header field."
    pub(crate) fn at(&mut self, now: SystemTime) -> Option<&str> {
        let age = now.duration_since(UNIX_EPOCH).ok().filter(|&age| age < END)?;
        if self.text.is_empty() || self.second != age.as_secs() {
            self.second = age.as_secs();
            self.text = httpdate::fmt_http_date(now);
        }
        Some(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_gives_a_date() {
        let mut date = HttpDate::default();
        for (milliseconds, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777_000, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (784_111_777_999, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (784_111_778_000, "Sun, 06 Nov 1994 08:49:38 GMT"),
            (784_111_777_000, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (END.as_millis() as u64 - 1, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            let now = UNIX_EPOCH + Duration::from_millis(milliseconds);
            assert_eq!(date.at(now), Some(text));
        }
    }

    #[test]
    fn a_clock_that_is_not_set_gives_no_date() {
        let mut date = HttpDate::default();
        assert_eq!(date.at(UNIX_EPOCH - Duration::from_nanos(1)), None);
        assert_eq!(date.at(UNIX_EPOCH + END), None);
    }
}
