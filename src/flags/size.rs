//! Sizes in bytes, with or without a unit: `65536`, `64KiB`.

use bytesize::ByteSize;

use super::number::{Number, number};

/// The units for formatting a size.
const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];

/// Formats a size in the largest unit that divides it.
pub fn show(bytes: u64) -> String {
    let is_multiple = |(unit, _): &(u64, &str)| bytes > 0 && bytes.is_multiple_of(*unit);
    match UNITS.into_iter().find(is_multiple) {
        Some((unit, name)) => format!("{}{name}", bytes / unit),
        None => bytes.to_string(),
    }
}

/// Parses a size.
///
/// # Errors
/// The form that a size must have, or the largest size.
pub fn size<T: Number>(text: &str) -> Result<T, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return number(text);
    }
    let wanted = "it must be a size, such as 65536, 64KiB or 16MB";
    let size: ByteSize = text.parse().map_err(|_| wanted)?;
    T::try_from(size.as_u64()).map_err(|_| format!("it must be at most {}", T::MAX))
}

/// Parses a size; `off` means 0.
///
/// # Errors
/// The form that a size must have, or the largest size.
pub fn size_or_off<T: Number>(text: &str) -> Result<T, String> {
    size(if text.eq_ignore_ascii_case("off") { "0" } else { text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_number_of_bytes_or_has_a_unit() {
        let cases = [
            ("0", 0),
            ("65536", 65_536),
            ("64KiB", 65_536),
            ("64 kib", 65_536),
            ("1.5MiB", 1_572_864),
            ("16MB", 16_000_000),
            ("16M", 16_000_000),
            ("200B", 200),
        ];
        for (text, bytes) in cases {
            assert_eq!(size(text), Ok(bytes as u32), "{text}");
        }
    }

    #[test]
    fn an_error_shows_the_form_of_a_size_or_the_largest_one() {
        for text in ["", "30s", "1.5", "1_000", "abc", "-1", "KiB"] {
            let error = size::<usize>(text).unwrap_err();
            assert_eq!(error, "it must be a size, such as 65536, 64KiB or 16MB", "{text}");
        }
        for text in ["4294967296", "4GiB", "99999999999999999999", "99999999999999999999GiB"] {
            assert_eq!(size::<u32>(text), Err("it must be at most 4294967295".into()), "{text}");
        }
    }

    #[test]
    fn a_size_is_shown_as_it_can_be_typed() {
        let shown = [(0, "0"), (255, "255"), (1 << 16, "64KiB"), (1 << 30, "1GiB"), (1500, "1500")];
        for (bytes, text) in shown {
            assert_eq!(show(bytes), text);
            assert_eq!(size(text), Ok(bytes as usize));
        }
    }
}
