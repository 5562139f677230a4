//! The rooms that a token names.

use townhall::RoomPattern;

/// Rooms that a token names: exact paths, or beginnings of paths followed by `*`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patterns(Vec<RoomPattern>);

impl Patterns {
    pub fn new(patterns: Vec<RoomPattern>) -> Self {
        Self(patterns)
    }

    /// The patterns of a token. One with a dot segment, as in `/user/../*`, is refused: it most likely
    /// comes from a name that someone chose, and means more rooms than its author believes. `%2F` is
    /// data, as it is in the names of rooms, so it cannot leave its segment.
    pub fn of_token(texts: &[String]) -> Option<Self> {
        texts.iter().map(|text| pattern(text)).collect::<Option<_>>().map(Self)
    }

    /// Whether one of the patterns matches a room's name, which is a path in normal form.
    pub fn allow(&self, room: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(room))
    }

    /// The patterns in normal form, with commas.
    pub fn show(&self) -> String {
        let texts: Vec<_> = self.0.iter().map(RoomPattern::to_string).collect();
        if texts.is_empty() { "nothing".to_owned() } else { texts.join(", ") }
    }
}

fn pattern(text: &str) -> Option<RoomPattern> {
    let mut segments: Vec<_> = text.split('/').collect();
    if text.ends_with('*') {
        // The last segment is the beginning of a name, which may begin with dots.
        segments.pop();
    }
    if segments.into_iter().any(is_dot_segment) { None } else { text.parse().ok() }
}

/// RFC 3986, section 3.3. A dot may be percent-encoded.
fn is_dot_segment(segment: &str) -> bool {
    let plain = segment.replace("%2e", ".").replace("%2E", ".");
    matches!(&*plain, "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(texts: &[&str]) -> Option<Patterns> {
        let texts: Vec<_> = texts.iter().map(|&text| text.to_owned()).collect();
        Patterns::of_token(&texts)
    }

    #[test]
    fn exact_paths_and_beginnings_are_compared_in_normal_form() {
        let patterns = patterns(&["/game/7", "/user/42/*", "/caf%c3%a9"]).unwrap();
        for room in ["/game/7", "/user/42/", "/user/42/a/b", "/caf%C3%A9"] {
            assert!(patterns.allow(room), "{room}");
        }
        for room in ["/game/77", "/game/7/", "/game", "/user/42", "/user/421", "/user/42%2Fa", "/"]
        {
            assert!(!patterns.allow(room), "{room}");
        }
        assert_eq!(patterns.show(), "/game/7, /user/42/*, /caf%C3%A9");
    }

    #[test]
    fn a_pattern_cannot_leave_its_folder() {
        for text in ["/user/../*", "/user/%2e%2E/*", "/a/./*", "/a/..", "/..", "/user/.%2e/x"] {
            assert_eq!(patterns(&[text]), None, "{text}");
        }
        let encoded = patterns(&["/user/42%2f..%2f..%2f*"]).unwrap();
        assert!(!encoded.allow("/") && !encoded.allow("/user/43") && !encoded.allow("/admin"));
        let dots = patterns(&["/user/..*", "/.hidden"]).unwrap();
        assert!(dots.allow("/user/..a") && dots.allow("/.hidden") && !dots.allow("/user/a"));
    }

    #[test]
    fn what_no_room_can_be_called_is_no_pattern() {
        for text in ["", "*", "lobby", "/a*b", "/a?b"] {
            assert_eq!(patterns(&["/lobby", text]), None, "{text}");
        }
        assert_eq!(patterns(&[]).unwrap().show(), "nothing");
    }
}
