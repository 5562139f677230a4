//! The date of a response.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The beginning of the year 10000, which a date with a four-digit year cannot show (RFC 9110, section
/// 5.6.7).
const END: Duration = Duration::from_secs(253_402_300_800);

/// The value of a response's Date field (RFC 9110, section 6.6.1). There is none before 1970 and after
/// 9999, because the clock cannot be right then: "An origin server without a clock MUST NOT generate a
/// Date header field."
pub(crate) fn http_date(now: SystemTime) -> Option<String> {
    let age = now.duration_since(UNIX_EPOCH).ok()?;
    (age < END).then(|| httpdate::fmt_http_date(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_gives_a_date() {
        let at = |seconds| http_date(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0).as_deref(), Some("Thu, 01 Jan 1970 00:00:00 GMT"));
        assert_eq!(at(784_111_777).as_deref(), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
        let last = END.as_secs() - 1;
        assert_eq!(at(last).as_deref(), Some("Fri, 31 Dec 9999 23:59:59 GMT"));
    }

    #[test]
    fn a_clock_that_is_not_set_gives_no_date() {
        assert_eq!(http_date(UNIX_EPOCH - Duration::from_nanos(1)), None);
        assert_eq!(http_date(UNIX_EPOCH + END), None);
    }
}
