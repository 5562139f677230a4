//! Whole numbers, with a least and a largest value.

use std::fmt::Display;
use std::num::{IntErrorKind, ParseIntError};
use std::ops::RangeInclusive;
use std::str::FromStr;

/// A type of whole numbers without a sign.
pub trait Number: FromStr<Err = ParseIntError> + PartialOrd + Display + Copy {
    /// The largest number of this type.
    const MAX: Self;
}

impl Number for u8 {
    const MAX: Self = Self::MAX;
}

impl Number for u32 {
    const MAX: Self = Self::MAX;
}

impl Number for u64 {
    const MAX: Self = Self::MAX;
}

impl Number for usize {
    const MAX: Self = Self::MAX;
}

/// A parser of sizes in bytes that are at least `least`.
pub fn bytes<T: Number>(least: T) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| parse(text, least, "it must be a whole number of bytes, such as 65536")
}

/// A parser of times in seconds that are at least `least`.
pub fn seconds(least: u64) -> impl Fn(&str) -> Result<u64, String> + Clone {
    move |text| parse(text, least, "it must be a whole number of seconds, such as 30")
}

/// A parser of numbers that are at least `least`.
pub fn at_least<T: Number>(least: T) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| parse(text, least, "it must be a whole number, such as 100")
}

/// A parser of numbers in a range.
pub fn within<T: Number>(range: RangeInclusive<T>) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| {
        let (least, most) = (range.start(), range.end());
        let wanted = format!("it must be a whole number from {least} to {most}");
        let number: T = text.parse().map_err(|_| wanted.clone())?;
        if range.contains(&number) { Ok(number) } else { Err(wanted) }
    }
}

fn parse<T: Number>(text: &str, least: T, wanted: &str) -> Result<T, String> {
    let number: T = text.parse().map_err(|error: ParseIntError| match error.kind() {
        IntErrorKind::PosOverflow => format!("it must be at most {}", T::MAX),
        _ => wanted.to_owned(),
    })?;
    if number < least { Err(format!("it must be at least {least}")) } else { Ok(number) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_below_the_least_or_above_the_largest_is_an_error_with_that_number() {
        let parse = at_least(5_u32);
        assert_eq!(parse("5"), Ok(5));
        assert_eq!(parse("4"), Err("it must be at least 5".into()));
        assert_eq!(parse("4294967296"), Err("it must be at most 4294967295".into()));
        let parse = within(9_u8..=15);
        assert_eq!(parse("15"), Ok(15));
        for text in ["8", "16", "256", "x"] {
            assert_eq!(parse(text), Err("it must be a whole number from 9 to 15".into()), "{text}");
        }
    }

    #[test]
    fn what_is_no_whole_number_is_an_error_that_names_the_unit() {
        for text in ["", "30s", "1.5", "1MB", "1_000", "abc", "-1"] {
            assert!(seconds(0)(text).unwrap_err().contains("a whole number of seconds"), "{text}");
            assert!(bytes(0_usize)(text).unwrap_err().contains("a whole number of bytes"));
            assert!(at_least(0_u32)(text).unwrap_err().contains("a whole number, such as"));
        }
    }
}
