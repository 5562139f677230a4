//! The tables of requirements: one text file for each RFC.
//!
//! ```text
//! # RFC 6455 | The WebSocket Protocol | https://… | every
//! ## 5.1 | Overview | 4
//!
//! server: A server MUST NOT mask any frames that it sends to the client.
//! + a_ping_is_answered_with_its_payload
//! ~ 1.* 2.1
//! - unmet: …
//! ```
//!
//! A section has the number of its key words in the RFC. A requirement has the quotation, and to whom it applies. Lines
//! with `+` name tests, those with `~` cases of the Autobahn TestSuite, and one with `-` says what is not shown.

/// The key words of RFC 2119 that require something. `MUST NOT` contains one of them.
const KEY_WORDS: [&str; 5] = ["MUST", "SHALL", "REQUIRED", "SHOULD", "RECOMMENDED"];

pub struct Document {
    pub name: String,
    pub title: String,
    pub url: String,
    /// Whether it has every requirement of the RFC, or a choice.
    pub is_complete: bool,
    pub sections: Vec<Section>,
}

pub struct Section {
    pub number: String,
    pub title: String,
    /// The number of key words in the RFC, if the document is complete.
    pub key_words: Option<usize>,
    pub requirements: Vec<Requirement>,
}

pub struct Requirement {
    pub to: String,
    pub quotation: String,
    pub tests: Vec<String>,
    pub cases: Vec<String>,
    pub gap: Option<Gap>,
}

/// What no test shows, and why.
pub struct Gap {
    pub kind: GapKind,
    pub reason: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum GapKind {
    /// The requirement does not apply to townhall.
    NotApplicable,
    /// townhall does not do it.
    Unmet,
    /// townhall does it, but no test can show that.
    Untested,
}

impl Document {
    pub fn parse(text: &str) -> Self {
        let mut lines = text.lines().filter(|line| !line.is_empty());
        let heading = lines.next().and_then(|line| line.strip_prefix("# ")).expect("a heading");
        let [name, title, url, extent] = fields(heading);
        let mut document =
            Self { name, title, url, is_complete: extent == "every", sections: Vec::new() };
        assert!(document.is_complete || extent == "some", "{heading}");
        lines.for_each(|line| document.add(line));
        document
    }

    fn add(&mut self, line: &str) {
        if let Some(heading) = line.strip_prefix("## ") {
            self.sections.push(Section::parse(heading, self.is_complete));
            return;
        }
        let requirements =
            &mut self.sections.last_mut().expect("a section comes first").requirements;
        match (line.split_once(' '), requirements.last_mut()) {
            (Some(("+", name)), Some(last)) => last.tests.push(name.to_owned()),
            (Some(("~", cases)), Some(last)) => {
                last.cases.extend(cases.split(' ').map(str::to_owned));
            }
            (Some(("-", gap)), Some(last)) => {
                assert!(last.gap.replace(Gap::parse(gap)).is_none(), "a second gap: {line}");
            }
            _ => requirements.push(Requirement::parse(line)),
        }
    }

    pub fn requirements(&self) -> impl Iterator<Item = (&Section, &Requirement)> {
        let sections = self.sections.iter();
        sections.flat_map(|section| section.requirements.iter().map(move |one| (section, one)))
    }
}

impl Section {
    fn parse(heading: &str, is_complete: bool) -> Self {
        let (number, title, key_words) = if is_complete {
            let [number, title, key_words] = fields(heading);
            (number, title, Some(key_words.parse().expect(heading)))
        } else {
            let [number, title] = fields(heading);
            (number, title, None)
        };
        Self { number, title, key_words, requirements: Vec::new() }
    }
}

fn fields<const N: usize>(line: &str) -> [String; N] {
    let fields: Vec<_> = line.split(" | ").map(str::to_owned).collect();
    fields.try_into().unwrap_or_else(|_| panic!("{N} fields in {line:?}"))
}

impl Requirement {
    fn parse(line: &str) -> Self {
        let (to, quotation) = line.split_once(": ").unwrap_or_else(|| panic!("to whom: {line}"));
        assert!(["client", "server", "both", "other"].contains(&to), "{line}");
        let (to, quotation) = (to.to_owned(), quotation.to_owned());
        Self { to, quotation, tests: Vec::new(), cases: Vec::new(), gap: None }
    }

    pub fn key_words(&self) -> usize {
        let words = self.quotation.split(|letter: char| !letter.is_ascii_alphabetic());
        words.filter(|word| KEY_WORDS.contains(word)).count()
    }

    pub fn is_shown(&self) -> bool {
        !self.tests.is_empty() || !self.cases.is_empty()
    }

    pub fn is(&self, kind: GapKind) -> bool {
        self.gap.as_ref().is_some_and(|gap| gap.kind == kind)
    }
}

impl Gap {
    fn parse(text: &str) -> Self {
        let (kind, reason) = text.split_once(": ").expect(text);
        let kind = match kind {
            "n/a" => GapKind::NotApplicable,
            "unmet" => GapKind::Unmet,
            "untested" => GapKind::Untested,
            _ => panic!("{text}"),
        };
        Self { kind, reason: reason.to_owned() }
    }
}
