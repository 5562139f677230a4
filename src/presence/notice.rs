//! A message about the people in a room.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::auth::Info;

/// A message to the watchers of a room.
#[derive(Debug, Serialize)]
pub struct Notice<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    joined: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<Vec<&'a str>>,
    /// What is known about those in `members` or `joined`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    info: BTreeMap<&'a str, &'a Info>,
    count: usize,
}

impl<'a> Notice<'a> {
    /// Only how many there are.
    pub fn count(count: usize) -> Self {
        Self { members: None, joined: None, left: None, info: BTreeMap::new(), count }
    }

    /// Everybody who is there.
    pub fn all(people: BTreeMap<&'a str, Option<&'a Info>>, count: usize) -> Self {
        let info = known(&people);
        Self { members: Some(people.into_keys().collect()), info, ..Self::count(count) }
    }

    /// Those who have come, and those who have gone.
    pub fn change(
        joined: BTreeMap<&'a str, Option<&'a Info>>,
        left: Vec<&'a str>,
        count: usize,
    ) -> Self {
        let info = known(&joined);
        let joined = Some(joined.into_keys().collect());
        Self { joined, left: Some(left), info, ..Self::count(count) }
    }

    /// The number of names in it.
    pub fn name_count(&self) -> usize {
        [&self.members, &self.joined, &self.left].into_iter().flatten().map(Vec::len).sum()
    }

    pub fn encode(&self) -> String {
        serde_json::to_string(self).expect("strings and numbers are JSON")
    }
}

/// The info of those who have it.
fn known<'a>(people: &BTreeMap<&'a str, Option<&'a Info>>) -> BTreeMap<&'a str, &'a Info> {
    people.iter().filter_map(|(name, info)| Some((*name, (*info)?))).collect()
}
