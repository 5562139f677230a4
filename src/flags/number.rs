//! Numbers that have a least value.

use std::fmt::Display;
use std::num::ParseIntError;
use std::str::FromStr;

/// A parser of numbers that are at least `least`.
pub fn at_least<T>(least: T) -> impl Fn(&str) -> Result<T, String> + Clone
where
    T: FromStr<Err = ParseIntError> + PartialOrd + Display + Copy,
{
    move |text| {
        let number = text.parse().map_err(|error: ParseIntError| error.to_string())?;
        if number < least { Err(format!("it must be at least {least}")) } else { Ok(number) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_below_the_least_is_told_the_least() {
        let parse = at_least(5_u32);
        assert_eq!(parse("5"), Ok(5));
        assert_eq!(parse("4"), Err("it must be at least 5".into()));
        assert!(parse("").is_err() && parse("-1").is_err() && parse("4294967296").is_err());
    }
}
