//! What `tests/autobahn/run` has written about its last runs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The runs of `tests/all`: their files in `tests/autobahn/results`, and what they test.
const RUNS: [(&str, &str); 4] = [
    ("echo-tls", "server, `--mode echo`, over TLS"),
    ("broadcast", "server, `--mode broadcast`"),
    ("client", "client role"),
    ("client-tls", "client role, over TLS"),
];

/// The groups of the suite, and their subjects.
const GROUPS: [(u32, &str); 11] = [
    (1, "framing"),
    (2, "pings and pongs"),
    (3, "reserved bits"),
    (4, "opcodes"),
    (5, "fragmentation"),
    (6, "UTF-8"),
    (7, "closing"),
    (9, "limits and performance"),
    (10, "automatic fragmentation"),
    (12, "compression, by message"),
    (13, "compression, by parameters"),
];

/// How many cases of a group there were, were OK, and were informational.
type Counts = [u32; 3];

pub struct Run {
    pub title: &'static str,
    groups: BTreeMap<u32, Counts>,
}

impl Run {
    pub fn read_all(root: &Path) -> Vec<Self> {
        let read = |(name, title)| {
            let path = root.join(format!("tests/autobahn/results/{name}.txt"));
            let text =
                fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
            Self { title, groups: text.lines().map(parse).collect() }
        };
        RUNS.into_iter().map(read).collect()
    }

    /// The result of one group, or of all.
    fn shown(&self, group: Option<u32>) -> String {
        let chosen =
            self.groups.iter().filter(|(number, _)| group.is_none_or(|one| one == **number));
        let sum = chosen.fold([0; 3], |sum, (_, counts)| [0, 1, 2].map(|at| sum[at] + counts[at]));
        match sum {
            [0, ..] => "not run".to_owned(),
            [cases, ok, 0] => format!("{ok} of {cases} OK"),
            [cases, ok, informational] => {
                format!("{ok} of {cases} OK, {informational} informational")
            }
        }
    }
}

fn parse(line: &str) -> (u32, Counts) {
    let numbers: Vec<u32> = line.split(' ').map(|number| number.parse().expect(line)).collect();
    let [group, counts @ ..] = <[u32; 4]>::try_from(numbers).expect(line);
    assert!(GROUPS.iter().any(|(known, _)| *known == group), "{line}");
    (group, counts)
}

/// Whether there are such cases, as far as the groups say: `5.3`, `5.*` or `7.9.*`.
pub fn are_cases(pattern: &str) -> bool {
    let numbers = pattern.strip_suffix(".*").unwrap_or(pattern);
    let group = numbers.split('.').next();
    let is_group = GROUPS.iter().any(|(known, _)| group == Some(&known.to_string()));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    is_group && pattern.contains('.') && numbers.split('.').all(is_number)
}

/// A table of all runs.
pub fn table(runs: &[Run]) -> String {
    let row = |first: &str, cell: &dyn Fn(&Run) -> String| {
        let cells: Vec<_> = runs.iter().map(cell).collect();
        format!("| {first} | {} |\n", cells.join(" | "))
    };
    let mut table = row("group", &|run| run.title.to_owned());
    table += &row("---", &|_| "---".to_owned());
    for (group, subject) in GROUPS {
        table += &row(&format!("{group}: {subject}"), &|run| run.shown(Some(group)));
    }
    table + &row("all", &|run| run.shown(None))
}

#[test]
fn a_pattern_names_cases_of_a_group_that_there_is() {
    assert!(["1.1.1", "5.*", "7.9.*", "13.7.18"].into_iter().all(are_cases));
    assert!(!["8.*", "5", "5.", "5.x", "*", "5.*.1"].into_iter().any(are_cases));
}
