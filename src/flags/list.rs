//! Flags that may be repeated, or have several values with commas.

use std::fmt::Display;

/// The items of one list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List<T>(Vec<T>);

impl<T: Clone> List<T> {
    /// The items of all lists, in order.
    pub fn concat(lists: &[Self]) -> Vec<T> {
        lists.iter().flat_map(|list| list.0.iter().cloned()).collect()
    }
}

/// A parser for comma-separated items. It ignores empty items and the blanks around items, because
/// people write `a, b` and leave a comma at the end. A list without items is an error, because it most
/// likely comes from a shell variable that is not set. `unset` is what the server does without the flag.
pub fn list<T, E: Display>(
    parse: impl Fn(&str) -> Result<T, E> + Clone,
    unset: &'static str,
) -> impl Fn(&str) -> Result<List<T>, String> + Clone {
    move |text| {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        let explain = |item: &str, error: E| {
            if item == text.trim() { error.to_string() } else { format!("{item:?}: {error}") }
        };
        let parsed = items.map(|item| parse(item).map_err(|error| explain(item, error)));
        let items: Vec<T> = parsed.collect::<Result<_, _>>()?;
        if items.is_empty() {
            return Err(format!("the list is empty; omit the flag to {unset}"));
        }
        Ok(List(items))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_and_empty_items_are_ignored() {
        let parse = list(str::parse::<u8>, "count nothing");
        for text in ["1,2", " 1 , 2 ", "1,2,", ",1,,2", "1,\n2\n"] {
            assert_eq!(parse(text), Ok(List(vec![1, 2])), "{text:?}");
        }
    }

    #[test]
    fn a_list_without_items_is_an_error() {
        let parse = list(str::parse::<u8>, "count nothing");
        for text in ["", " ", ",", " , ,"] {
            let reason = "the list is empty; omit the flag to count nothing";
            assert_eq!(parse(text), Err(reason.into()), "{text:?}");
        }
    }

    #[test]
    fn the_error_names_the_wrong_item() {
        let parse = list(str::parse::<u8>, "count nothing");
        assert_eq!(parse("x"), Err("invalid digit found in string".into()));
        assert_eq!(parse("1, x"), Err("\"x\": invalid digit found in string".into()));
    }
}
