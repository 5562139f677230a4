//! The parameters in the query of a URI.

use std::str::FromStr;

use form_urlencoded::Parse;
use townhall::Request;

/// The names and values of a request's parameters, without their encoding.
pub fn parameters<'h>(request: &Request<'h>) -> Parse<'h> {
    form_urlencoded::parse(request.query().unwrap_or_default().as_bytes())
}

/// A number of things to list, from the value of `limit`.
///
/// # Errors
/// The value is not a number, or is more than `max`.
pub fn limit(value: &str, max: usize) -> Result<usize, String> {
    let wrong = || format!("limit is {value:?}, but must be a whole number up to {max}");
    number(value).filter(|&limit| limit <= max).ok_or_else(wrong)
}

/// A number without a sign.
pub fn number<T: FromStr>(value: &str) -> Option<T> {
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|_| is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_whole_number_up_to_a_maximum() {
        assert_eq!([limit("0", 10), limit("10", 10)], [Ok(0), Ok(10)]);
        for wrong in ["", "-1", "+1", "1.5", "all", "11", "99999999999999999999"] {
            assert!(limit(wrong, 10).unwrap_err().starts_with("limit is "), "{wrong}");
        }
    }
}
