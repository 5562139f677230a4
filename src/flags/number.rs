//! Whole numbers.

use std::fmt::Display;
use std::num::{IntErrorKind, ParseIntError};
use std::str::FromStr;

/// An unsigned integer type.
pub trait Number: FromStr<Err = ParseIntError> + TryFrom<u64> + Display + Copy {
    /// The largest number of this type.
    const MAX: Self;
}

impl Number for u8 {
    const MAX: Self = Self::MAX;
}

impl Number for u32 {
    const MAX: Self = Self::MAX;
}

impl Number for usize {
    const MAX: Self = Self::MAX;
}

/// Parses a number. The library checks whether its value is allowed.
///
/// # Errors
/// The form that a number must have, or the largest number.
pub fn number<T: Number>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: ParseIntError| match error.kind() {
        IntErrorKind::PosOverflow => format!("it must be at most {}", T::MAX),
        _ => "it must be a whole number, such as 100".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_shows_the_form_of_a_number_or_the_largest_one() {
        assert_eq!(number("255"), Ok(255_u8));
        assert_eq!(number::<u8>("256"), Err("it must be at most 255".into()));
        for text in ["", "30s", "1.5", "1MB", "1_000", "abc", "-1"] {
            let error = number::<u32>(text).unwrap_err();
            assert_eq!(error, "it must be a whole number, such as 100", "{text}");
        }
    }
}
