//! Users and groups.

use std::io;
use std::str::FromStr;

use uzers::{get_group_by_name, get_user_by_name};

/// A user, a group, or both, as `chown` takes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    user: Option<String>,
    group: Option<String>,
}

impl FromStr for Owner {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let (user, group) = text.split_once(':').unwrap_or((text, ""));
        let given = |name: &str| Some(name.to_owned()).filter(|name| !name.is_empty());
        let owner = Self { user: given(user), group: given(group) };
        let is_name =
            |name: &str| !name.contains(|letter: char| letter == ':' || letter.is_whitespace());
        match owner {
            Self { user: None, group: None } => Err("it needs a user or a group"),
            owner if is_name(user) && is_name(group) => Ok(owner),
            _ => Err("it must be USER, USER:GROUP or :GROUP"),
        }
    }
}

impl Owner {
    /// The numbers of the user and the group.
    ///
    /// # Errors
    /// The system does not know them.
    pub fn resolve(&self) -> io::Result<(Option<u32>, Option<u32>)> {
        let user = |name: &str| get_user_by_name(name).map(|user| user.uid());
        let group = |name: &str| get_group_by_name(name).map(|group| group.gid());
        Ok((
            resolve(self.user.as_deref(), "user", user)?,
            resolve(self.group.as_deref(), "group", group)?,
        ))
    }
}

/// The number that a name is or has.
fn resolve(
    name: Option<&str>,
    what: &str,
    find: impl Fn(&str) -> Option<u32>,
) -> io::Result<Option<u32>> {
    let Some(name) = name else { return Ok(None) };
    let number = name.parse().ok().or_else(|| find(name));
    let unknown =
        || io::Error::new(io::ErrorKind::NotFound, format!("there is no {what} {name:?}"));
    number.ok_or_else(unknown).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_a_user_a_group_or_both() {
        let resolve = |text: &str| text.parse::<Owner>().unwrap().resolve();
        assert_eq!(resolve("root").unwrap(), (Some(0), None));
        assert_eq!(resolve("1000").unwrap(), (Some(1000), None));
        assert_eq!(resolve(":root").unwrap(), (None, Some(0)));
        assert_eq!(resolve("root:7").unwrap(), (Some(0), Some(7)));
        assert_eq!(resolve("root:").unwrap(), (Some(0), None));
        let error = resolve("no-such-user").unwrap_err().to_string();
        assert_eq!(error, "there is no user \"no-such-user\"");
        for wrong in ["", ":", "a:b:c", "a b"] {
            assert!(wrong.parse::<Owner>().is_err(), "{wrong:?}");
        }
    }
}
