//! The page that the tables make.

use crate::results::{Run, table};
use crate::sources::Sources;
use crate::table::{Document, Gap, GapKind, Requirement, Section};

const HEADING: &str = "\
# Compliance

What the standards require of a WebSocket server and client, and the tests that show that townhall does it.
`tests/compliance` makes this page of its tables. It fails if a test that they name does not exist, if a MUST, SHOULD,
SHALL, REQUIRED or RECOMMENDED of RFC 6455 or RFC 7692 is missing, or if the page is not the one that the tables make.
After a change of the tables, `TOWNHALL_WRITE=1 cargo test --test compliance` writes it.

*Server* is the server, and `townhall::protocol` in that role. *Client* is `townhall::protocol` in the role of a
client, and `townhall connect`; where a requirement concerns programs that reconnect, also `/townhall.js`.

";

const AUTOBAHN: &str = "\
## Autobahn TestSuite

The results of [`tests/autobahn/run`](../tests/autobahn/README.md), which writes them. The cases 7.1.6, 7.13.1 and
7.13.2 are informational, whatever the outcome is. There is no group 8 or 11.

";

const HTTP_2: &str = "\
## RFC 8441: WebSocket with HTTP/2

townhall speaks HTTP/1.1 only. A client that begins with the preface of HTTP/2 gets 505 (HTTP Version Not
Supported) at its first line, and over TLS, HTTP/2 is not among the protocols that the server agrees to:
";

/// The tests that show what happens to HTTP/2.
pub const HTTP_2_TESTS: [&str; 3] = [
    "another_major_version_is_refused_as_unsupported",
    "each_kind_of_invalid_request_gets_its_status",
    "handshakes_are_counted_by_outcome",
];

pub fn page(documents: &[Document], runs: &[Run], sources: &Sources) -> String {
    let mut page = HEADING.to_owned() + &summary(documents) + AUTOBAHN + &table(runs) + "\n";
    for document in documents {
        page += &format!("## {}: {}\n\n", document.name, document.title);
        page += &match document.is_complete {
            true => format!(
                "Every MUST, SHALL, REQUIRED, SHOULD and RECOMMENDED of [{}]({}), except where these words \
                are defined.\n",
                document.name, document.url
            ),
            false => format!(
                "The requirements of [{}]({}) that concern townhall. Their number is not checked.\n",
                document.name, document.url
            ),
        };
        for section in &document.sections {
            page += &shown(section, document, sources);
        }
        page.push('\n');
    }
    let tests: Vec<_> = HTTP_2_TESTS.iter().map(|name| link(name, sources)).collect();
    page + HTTP_2 + &tests.join(", ") + ".\n"
}

/// The number of requirements of each document, by what is shown of them.
fn summary(documents: &[Document]) -> String {
    let mut rows = "\
| | requirements | shown by tests | in part | not met | do not apply |\n\
| --- | ---: | ---: | ---: | ---: | ---: |\n"
        .to_owned();
    for document in documents {
        let count = |is: &dyn Fn(&Requirement) -> bool| {
            document.requirements().filter(|(_, one)| is(one)).count()
        };
        rows += &format!(
            "| {} | {} | {} | {} | {} | {} |\n",
            document.name,
            count(&|_| true),
            count(&|one| one.gap.is_none()),
            count(&|one| one.is(GapKind::Untested)),
            count(&|one| one.is(GapKind::Unmet)),
            count(&|one| one.is(GapKind::NotApplicable)),
        );
    }
    rows + "\n"
}

fn shown(section: &Section, document: &Document, sources: &Sources) -> String {
    let Section { number, title, .. } = section;
    let mut rows = format!(
        "\n### [Section {number}]({}#section-{number}): {title}\n\n\
        | to | requirement | shown by |\n| --- | --- | --- |\n",
        document.url
    );
    for one in &section.requirements {
        let quotation = quoted(&one.quotation);
        rows += &format!("| {} | {quotation} | {} |\n", one.to, evidence(one, sources));
    }
    rows
}

/// A quotation in Markdown. RFC 6455 marks the names of fields as `|Host|`.
fn quoted(text: &str) -> String {
    let parts = text.split('|').map(|part| part.replace('*', "\\*").replace('<', "&lt;"));
    let parts: Vec<_> = parts.collect();
    assert!(parts.len() % 2 == 1, "{text}");
    parts.join("`")
}

fn evidence(requirement: &Requirement, sources: &Sources) -> String {
    let mut parts: Vec<_> = requirement.tests.iter().map(|name| link(name, sources)).collect();
    if !requirement.cases.is_empty() {
        let cases = requirement.cases.join(", ").replace('*', "\\*");
        parts.push(format!("[Autobahn](#autobahn-testsuite) {cases}"));
    }
    let shown = parts.join(", ");
    match (&requirement.gap, shown.is_empty()) {
        (None, _) => shown,
        (Some(gap), true) => explained(gap),
        (Some(gap), false) => format!("{}<br>{shown}", explained(gap)),
    }
}

fn explained(gap: &Gap) -> String {
    let kind = match gap.kind {
        GapKind::NotApplicable => "*Does not apply.*",
        GapKind::Unmet => "**Not met.**",
        GapKind::Untested => "*In part.*",
    };
    format!("{kind} {}", gap.reason)
}

fn link(named: &str, sources: &Sources) -> String {
    let (file, name) = sources.find(named).unwrap_or_else(|error| panic!("{error}"));
    format!("[{name}](../{file})")
}
