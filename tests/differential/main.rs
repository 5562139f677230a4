//! The same bytes to townhall and to other receivers: they accept the same messages, and fail or close with
//! the same codes. README.md has the disagreements, and what decides each of them.

mod answer;
mod by_townhall;
mod by_tungstenite;
mod by_websockets;
mod compressed;
mod disagreements;
mod frames;
mod handshakes;
mod responses;
mod streams;

use proptest::prelude::*;

use answer::{Library, Question, Receiver};
use by_tungstenite::Tungstenite;
use by_websockets::Websockets;
use disagreements::{DISAGREEMENTS, unknown_difference};
use handshakes::{DISPUTED_SEEDS, OURS, REQUEST, TUNGSTENITE, VARIANTS, WEBSOCKETS};
use responses::RESPONSE;
use streams::{PLAIN, Stream};

/// Checks that a receiver answers these streams as we do, on the side of the server and on that of the
/// client.
fn assert_agree(receiver: &mut impl Receiver, streams: Vec<Stream>) {
    assert!(streams.len() >= 6, "there are streams");
    let both = |Stream { name, question }: Stream| {
        let to_client = question.to_client();
        [(name.clone(), question), (name + ", to the client", to_client)]
    };
    let streams: Vec<_> = streams.into_iter().flat_map(both).collect();
    let differences: Vec<_> = streams
        .iter()
        .filter_map(|(name, question)| {
            let difference = unknown_difference(question, receiver)?;
            Some(format!("{name} ({} bytes)\n{difference}\n", question.bytes.len()))
        })
        .collect();
    let shown = differences[..differences.len().min(20)].join("\n");
    let (found, total) = (differences.len(), streams.len());
    assert!(found == 0, "{found} of {total} streams are answered differently, such as\n{shown}");
}

fn assert_streams_agree(receiver: &mut impl Receiver) {
    for streams in [
        streams::headers(),
        streams::closes(),
        streams::text_messages(),
        streams::sizes(),
        streams::recorded(),
    ] {
        assert_agree(receiver, streams);
    }
}

#[test]
fn headers_of_every_kind() {
    assert_agree(&mut Tungstenite, streams::headers());
}

#[test]
fn close_frames_of_every_kind() {
    assert_agree(&mut Tungstenite, streams::closes());
}

#[test]
fn texts_at_the_edges_of_utf8() {
    assert_agree(&mut Tungstenite, streams::text_messages());
}

#[test]
fn messages_about_as_long_as_the_limit() {
    assert_agree(&mut Tungstenite, streams::sizes());
}

#[test]
fn streams_cut_short() {
    assert_agree(&mut Tungstenite, streams::cut(streams::text_messages()));
}

#[test]
fn recorded_streams() {
    assert_agree(&mut Tungstenite, streams::recorded());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3_000) })]

    #[test]
    fn random_streams(question in streams::random()) {
        for question in [question.to_client(), question] {
            let difference = unknown_difference(&question, &mut Tungstenite);
            prop_assert!(difference.is_none(), "{}", difference.unwrap_or_default());
        }
    }
}

/// So that the table has none that are no more.
fn assert_known_disagreements_exist(receiver: &mut impl Receiver) {
    for known in DISAGREEMENTS {
        // tungstenite knows no compression.
        if known.setting != PLAIN && receiver.library() == Library::Tungstenite {
            continue;
        }
        let question = Question { setting: known.setting, bytes: (known.example)() };
        let theirs = known.theirs.iter().find(|(library, _)| *library == receiver.library());
        let theirs = theirs.map_or(known.ours, |(_, end)| *end);
        for question in [question.to_client(), question] {
            assert_eq!(by_townhall::receive(&question).answer.end, known.ours, "{}", known.about);
            assert_eq!(receiver.receive(&question).answer.end, theirs, "{}", known.about);
            assert_eq!(unknown_difference(&question, receiver), None, "{}", known.about);
        }
    }
}

#[test]
fn known_disagreements_still_exist() {
    assert_known_disagreements_exist(&mut Tungstenite);
}

#[test]
fn the_readme_has_every_disagreement() {
    let readme = include_str!("README.md");
    for known in DISAGREEMENTS {
        assert!(readme.contains(known.about), "{}", known.about);
        assert!(readme.contains(known.sentence), "{}", known.sentence);
    }
    let variants = || VARIANTS.iter().chain(responses::VARIANTS);
    let sentences = variants().map(|variant| variant.sentence);
    for sentence in sentences.chain(DISPUTED_SEEDS.iter().map(|(.., sentence)| *sentence)) {
        assert!(readme.contains(sentence), "{sentence}");
    }
    let is_disputed = |accepted: [bool; 3]| accepted != [accepted[OURS]; 3];
    for variant in variants() {
        assert_eq!(
            is_disputed(variant.accepted),
            !variant.sentence.is_empty(),
            "{:?}",
            variant.edit
        );
    }
}

/// Checks whether a server accepts what the table says, with our keys, and combinations of that.
fn assert_handshakes_agree(server: usize, mut accept: impl FnMut(&[u8]) -> Option<String>) {
    let mut wrong = Vec::new();
    for variants in handshakes::combinations(VARIANTS) {
        let Some(request) = handshakes::changed(REQUEST, &variants) else { continue };
        let [ours, theirs] =
            [handshakes::by_townhall(request.as_bytes()), accept(request.as_bytes())];
        let expected = |server: usize| variants.iter().all(|variant| variant.accepted[server]);
        let is_expected = ours.is_some() == expected(OURS) && theirs.is_some() == expected(server);
        let same_key = ours.is_none() || theirs.is_none() || ours == theirs;
        if !is_expected || !same_key {
            wrong.push(format!("{ours:?}, {theirs:?}: {}", request.escape_debug()));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} requests, such as\n{}",
        wrong.len(),
        wrong[..wrong.len().min(30)].join("\n")
    );
}

/// Checks whether a client accepts what the table says, and combinations of that.
fn assert_responses_agree(client: usize, mut accept: impl FnMut(&str) -> bool) {
    for variants in handshakes::combinations(responses::VARIANTS) {
        let Some(response) = handshakes::changed(RESPONSE, &variants) else { continue };
        let expected =
            [OURS, client].map(|client| variants.iter().all(|variant| variant.accepted[client]));
        let answers = [responses::by_townhall(&response), accept(&response)];
        assert_eq!(answers, expected, "{}", response.escape_debug());
    }
}

/// Checks that a server accepts the recorded requests that we accept, or what the table says.
fn assert_recorded_agree(server: usize, mut accept: impl FnMut(&[u8]) -> Option<String>) {
    let mut disputed = 0;
    for (path, head) in streams::corpus("handshake") {
        let [ours, theirs] = [handshakes::by_townhall(&head), accept(&head)];
        match DISPUTED_SEEDS.iter().find(|(name, ..)| path.ends_with(&format!("/{name}"))) {
            Some((_, accepted, _)) => {
                let answers = [ours.is_some(), theirs.is_some()];
                assert_eq!(answers, [accepted[OURS], accepted[server]], "{path}");
                disputed += 1;
            }
            None => assert_eq!(ours, theirs, "{path}"),
        }
    }
    assert_eq!(disputed, DISPUTED_SEEDS.len(), "each of these exists");
}

#[test]
fn handshakes() {
    assert_handshakes_agree(TUNGSTENITE, handshakes::by_tungstenite);
    assert_recorded_agree(TUNGSTENITE, handshakes::by_tungstenite);
}

#[test]
fn responses() {
    assert_responses_agree(TUNGSTENITE, responses::by_tungstenite);
}

mod websockets {
    //! Beside websockets, which needs Python: `tests/clients/run`.

    use std::cell::RefCell;

    use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

    use super::*;

    #[test]
    #[ignore = "needs the package websockets: tests/clients/run"]
    fn streams_of_every_kind() {
        assert_streams_agree(&mut Websockets::start());
    }

    #[test]
    #[ignore = "needs the package websockets: tests/clients/run"]
    fn disagreements() {
        assert_known_disagreements_exist(&mut Websockets::start());
    }

    #[test]
    #[ignore = "needs the package websockets: tests/clients/run"]
    fn requests() {
        let mut websockets = Websockets::start();
        assert_handshakes_agree(WEBSOCKETS, |head| websockets.negotiate(head));
        assert_recorded_agree(WEBSOCKETS, |head| websockets.negotiate(head));
    }

    #[test]
    #[ignore = "needs the package websockets: tests/clients/run"]
    fn responses() {
        let mut websockets = Websockets::start();
        assert_responses_agree(WEBSOCKETS, |response| websockets.accepts(response));
    }

    #[test]
    #[ignore = "needs the package websockets: tests/clients/run"]
    fn compressed_streams() {
        let mut websockets = Websockets::start();
        assert_agree(&mut websockets, compressed::by_hand());
        assert_agree(&mut websockets, compressed::recorded());
    }

    #[test]
    #[ignore = "needs the package websockets: tests/clients/run"]
    fn random_streams() {
        assert_random_agree(5_000, streams::random());
    }

    #[test]
    #[ignore = "needs the package websockets: tests/clients/run"]
    fn random_compressed_streams() {
        assert_random_agree(5_000, compressed::random());
    }

    /// From a fixed seed, so that a failure can be repeated.
    fn assert_random_agree(cases: u32, streams: impl Strategy<Value = Question>) {
        let websockets = RefCell::new(Websockets::start());
        let config = Config { failure_persistence: None, ..Config::with_cases(cases) };
        let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        let mut runner = TestRunner::new_with_rng(config, rng);
        runner
            .run(&streams, |question| {
                for question in [question.to_client(), question] {
                    let difference = unknown_difference(&question, &mut *websockets.borrow_mut());
                    prop_assert!(difference.is_none(), "{}", difference.unwrap_or_default());
                }
                Ok(())
            })
            .unwrap();
    }
}
