//! What one process tells others about the people in one of its rooms.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::auth::Info;

/// How many names a process tells of one room. It only counts those who are left.
pub const MAX_TOLD: usize = 1000;

/// The maximum length of a name in bytes. It is part of a token, which is no longer.
const MAX_NAME_BYTES: usize = 4 << 10;

/// People with names, and what is known about them.
type Names = BTreeMap<Arc<str>, Option<Info>>;

/// The people that one process has in one room. The default is nobody.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct People {
    #[serde(rename = "c")]
    connections: usize,
    #[serde(rename = "n", serialize_with = "as_map", skip_serializing_if = "BTreeMap::is_empty")]
    names: Names,
    #[serde(rename = "a")]
    nameless: usize,
}

/// [`People`] that have not been checked.
#[derive(Debug, Deserialize)]
struct Unchecked {
    c: u32,
    #[serde(default)]
    n: BTreeMap<Box<str>, Option<Box<RawValue>>>,
    a: u32,
}

impl People {
    /// The people with these names, and so many more without one, with this number of connections. Of more
    /// than [`MAX_TOLD`] names, the first are told, and the others are counted.
    pub fn new(
        connections: usize,
        names: impl ExactSizeIterator<Item = (Arc<str>, Option<Info>)>,
        nameless: usize,
    ) -> Self {
        let untold = names.len().saturating_sub(MAX_TOLD);
        Self { connections, names: names.take(MAX_TOLD).collect(), nameless: nameless + untold }
    }

    pub fn is_empty(&self) -> bool {
        self.connections == 0
    }

    /// How many connections they have.
    pub fn connections(&self) -> usize {
        self.connections
    }

    /// Those whose names are known.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// How many others there are.
    pub fn nameless(&self) -> usize {
        self.nameless
    }

    /// Whether there may be people with names that are only counted.
    pub fn is_cut(&self) -> bool {
        self.names.len() == MAX_TOLD
    }

    /// The text for other processes, in JSON.
    pub fn encode(&self) -> String {
        serde_json::to_string(self).expect("strings and numbers are JSON")
    }

    /// Reads what another process has [encoded](Self::encode).
    ///
    /// # Errors
    /// What is wrong with the text: it has another form, numbers that do not fit together, more names than
    /// a process tells, a name that is too long for a token, or an info that no token may have.
    pub fn decode(text: &[u8]) -> Result<Self, String> {
        let Unchecked { c, n, a } =
            serde_json::from_slice(text).map_err(|error| error.to_string())?;
        let (connections, nameless) = (c as usize, a as usize);
        if n.len() > MAX_TOLD {
            return Err(format!("there are {} names", n.len()));
        }
        if n.keys().any(|name| name.len() > MAX_NAME_BYTES) {
            return Err("a name is too long".into());
        }
        let people = n.len() + nameless;
        if people > connections || (people == 0) != (connections == 0) {
            return Err(format!("{people} people have {connections} connections"));
        }
        let parse = |info: Box<RawValue>| Info::parse(info.get());
        let check =
            |(name, info): (Box<str>, Option<_>)| Ok((name.into(), info.map(parse).transpose()?));
        let names = n.into_iter().map(check).collect::<Result<_, &str>>()?;
        Ok(Self { connections, names, nameless })
    }
}

fn as_map<S: Serializer>(names: &Names, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(names.iter().map(|(name, info)| (&**name, info)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nameless(count: usize) -> People {
        People::new(count, [].into_iter(), count)
    }

    fn named(count: usize) -> impl ExactSizeIterator<Item = (Arc<str>, Option<Info>)> {
        (0..count).map(|number| (number.to_string().into(), None))
    }

    #[test]
    fn the_text_of_a_process_is_read_by_another() {
        let ann = Info::parse(r#"{"name":"Ann"}"#).unwrap();
        let names = [("7".into(), Some(ann)), ("8\"".into(), None)];
        let people = People::new(4, names.into_iter(), 1);
        let text = r#"{"c":4,"n":{"7":{"name":"Ann"},"8\"":null},"a":1}"#;
        assert_eq!(people.encode(), text);
        assert_eq!(People::decode(text.as_bytes()), Ok(people));
        for (people, text) in
            [(People::default(), r#"{"c":0,"a":0}"#), (nameless(2), r#"{"c":2,"a":2}"#)]
        {
            assert_eq!(people.encode(), text);
            assert_eq!(People::decode(text.as_bytes()), Ok(people));
        }
        let newer = br#"{"c":2,"a":2,"z":[]}"#;
        assert_eq!(People::decode(newer), Ok(nameless(2)), "a newer process may add to it");
    }

    #[test]
    fn of_many_names_the_first_are_told() {
        let all = People::new(MAX_TOLD, named(MAX_TOLD), 0);
        assert_eq!((all.names().len(), all.nameless(), all.is_cut()), (MAX_TOLD, 0, true));
        let more = People::new(2000, named(MAX_TOLD + 2), 5);
        assert_eq!((more.names().len(), more.nameless(), more.is_cut()), (MAX_TOLD, 7, true));
        assert_eq!(People::decode(more.encode().as_bytes()), Ok(more));
        assert!(!People::new(999, named(MAX_TOLD - 1), 0).is_cut());
    }

    #[test]
    fn nonsense_is_refused_with_a_reason() {
        let names: Vec<_> = (0..=MAX_TOLD).map(|number| format!("\"{number}\":null")).collect();
        let many = format!(r#"{{"c":2000,"n":{{{}}},"a":0}}"#, names.join(","));
        let long = format!(r#"{{"c":1,"n":{{"{}":null}},"a":0}}"#, "x".repeat(MAX_NAME_BYTES + 1));
        let large = format!(r#"{{"c":1,"n":{{"7":{{"a":"{}"}}}},"a":0}}"#, "x".repeat(512));
        for (text, reason) in [
            ("", "EOF"),
            ("{}", "missing"),
            ("[1,2", "invalid type"),
            (r#"{"c":1}"#, "missing"),
            (r#"{"c":-1,"a":1}"#, "invalid value"),
            (r#"{"c":4294967296,"a":1}"#, "invalid value"),
            (r#"{"c":1.5,"a":1}"#, "invalid type"),
            (r#"{"c":1,"a":1} x"#, "trailing"),
            (r#"{"c":1,"n":["7"],"a":0}"#, "invalid type"),
            (r#"{"c":1,"n":{"7":1},"a":0}"#, "not an object"),
            (r#"{"c":1,"a":2}"#, "2 people have 1 connections"),
            (r#"{"c":1,"n":{"7":null},"a":1}"#, "2 people have 1 connections"),
            (r#"{"c":1,"a":0}"#, "0 people have 1 connections"),
            (&many, "there are 1001 names"),
            (&long, "too long"),
            (&large, "larger than 512 bytes"),
        ] {
            let error = People::decode(text.as_bytes()).unwrap_err();
            assert!(error.contains(reason), "{text:.80}: {error}");
        }
        assert!(People::decode(b"{\"c\":1,\"n\":{\"\xff\":null},\"a\":0}").is_err());
    }
}
