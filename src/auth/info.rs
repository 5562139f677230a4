//! What a token says about its user to those who watch a room: the claim `info`.

use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::denial::Denial;

/// The maximum size in bytes, as it is in the token.
const MAX_BYTES: usize = 512;

/// An object in JSON, which watchers get as it is in the token.
#[derive(Debug, Clone)]
pub struct Info(Arc<RawValue>);

impl Info {
    /// # Errors
    /// It is too large, or is not an object.
    pub fn new(json: Box<RawValue>) -> Result<Self, Denial> {
        if json.get().len() > MAX_BYTES {
            return Err(Denial::invalid("the info of the token is larger than 512 bytes"));
        }
        // This also finds what a raw value may contain, but readers cannot parse.
        match serde_json::from_str::<Map<String, Value>>(json.get()) {
            Ok(_) => Ok(Self(json.into())),
            Err(_) => Err(Denial::invalid("the info of the token is not an object")),
        }
    }

    /// An object that is to be put into a token.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let json = RawValue::from_string(text.to_owned()).map_err(|_| "it is not JSON")?;
        Self::new(json).map_err(|denial| denial.reason)
    }
}

impl PartialEq for Info {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Serialize for Info {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (*self.0).serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_an_object_of_a_limited_size() {
        let largest = format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_BYTES - 8));
        let text = r#"{"id": 12345678901234567890123, "name":"\u00e9"}"#;
        for good in ["{}", text, &largest] {
            let info = Info::parse(good).unwrap();
            assert_eq!(serde_json::to_string(&info).unwrap(), good);
        }
        let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_BYTES - 7));
        assert_eq!(Info::parse(&large), Err("the info of the token is larger than 512 bytes"));
        let deep = "[".repeat(200) + &"]".repeat(200);
        let deep = format!(r#"{{"a":{deep}}}"#);
        for wrong in ["[]", "1", "null", "\"Ann\"", r#"{"a":"\ud800"}"#, r#"{"a":1e999}"#, &deep] {
            let reason = Err("the info of the token is not an object");
            assert_eq!(Info::parse(wrong), reason, "{wrong}");
        }
        for wrong in ["", "{", "{} {}", "{a:1}"] {
            assert_eq!(Info::parse(wrong), Err("it is not JSON"), "{wrong}");
        }
    }
}
