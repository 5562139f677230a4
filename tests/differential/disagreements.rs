//! Where receivers disagree, and what decides.

use townhall::protocol::Violation;

use crate::answer::{
    End, Event, Library, MAX_MESSAGE_BYTES, OurAnswer, Question, Receiver, Role, Setting,
    TheirAnswer,
};
use crate::by_townhall;
use crate::compressed;
use crate::frames::{
    BINARY, CLOSE, FIN, LengthForm, PING, TEXT, close, frame, frame_in_form, header, mirrored,
    missing_bytes,
};
use crate::streams::PLAIN;

use End::{Closed, Failed, Open};
use Library::{Tungstenite, Websockets};

/// A kind of streams that receivers answer differently.
pub struct Disagreement {
    /// What is special about the streams.
    pub about: &'static str,
    /// The sentence that decides; README.md names its section.
    pub sentence: &'static str,
    pub setting: Setting,
    /// A short one.
    pub example: fn() -> Vec<u8>,
    pub ours: End,
    /// The answers of those that disagree.
    pub theirs: &'static [(Library, End)],
    /// Whether a difference is of this kind.
    pub is_met: fn(&OurAnswer, &TheirAnswer) -> bool,
    /// Another question, which the receiver must then answer as we have answered this one.
    pub again: Option<fn(&Question, &OurAnswer) -> Question>,
}

pub const DISAGREEMENTS: &[Disagreement] = &[
    Disagreement {
        about: "a length that is not in its shortest form",
        sentence: "Note that in all cases, the minimal number of bytes MUST be used to encode the length",
        setting: PLAIN,
        example: || frame_in_form(FIN | TEXT, LengthForm::Bits16, b"hi"),
        ours: Failed(1002),
        theirs: &[(Tungstenite, Open), (Websockets, Open)],
        is_met: |ours, theirs| {
            // The longer forms of a length are too long for a control frame, whatever they say.
            is_because(ours, |violation| {
                matches!(violation, Violation::NonMinimalLength | Violation::LongControl)
            }) && theirs.answer.received.starts_with(&ours.answer.received)
        },
        again: None,
    },
    Disagreement {
        about: "a length of 64 bits with its top bit set",
        sentence: "the following 8 bytes interpreted as a 64-bit unsigned integer (the most \
            significant bit MUST be 0)",
        setting: PLAIN,
        example: || header(FIN | BINARY, LengthForm::Bits64, 1 << 63),
        ours: Failed(1002),
        theirs: &[(Tungstenite, Failed(1009)), (Websockets, Failed(1009))],
        is_met: |ours, theirs| {
            is_because(ours, |violation| violation == Violation::LengthTopBit)
                && fails_at_once(ours, theirs, 1009)
        },
        again: None,
    },
    Disagreement {
        about: "a frame that is too big and breaks another rule",
        sentence: "1009 indicates that an endpoint is terminating the connection because it has \
            received a message that is too big for it to process",
        setting: PLAIN,
        example: || header(FIN | PING, LengthForm::Bits64, 1 << 20),
        ours: Failed(1002),
        theirs: &[(Tungstenite, Failed(1009)), (Websockets, Failed(1009))],
        is_met: |ours, theirs| {
            is_because(ours, |violation| violation.close_code().get() == 1002)
                && fails_at_once(ours, theirs, 1009)
        },
        again: None,
    },
    Disagreement {
        about: "a close frame whose code must not be sent, and whose reason is not UTF-8",
        sentence: "1007 indicates that an endpoint is terminating the connection because it has \
            received data within a message that was not consistent with the type of the \
            message",
        setting: PLAIN,
        example: || close(1005, b"\xff"),
        ours: Failed(1002),
        theirs: &[(Tungstenite, Failed(1007)), (Websockets, Failed(1007))],
        is_met: |ours, theirs| {
            is_because(ours, |violation| matches!(violation, Violation::InvalidCloseCode(_)))
                && fails_at_once(ours, theirs, 1007)
        },
        again: None,
    },
    Disagreement {
        about: "the close code 1014",
        sentence: "Status codes in the range 1000-2999 are reserved for definition by this \
            protocol, its future revisions, and extensions specified in a permanent and \
            readily available public specification",
        setting: PLAIN,
        example: || close(1014, b""),
        ours: Closed(Some(1014)),
        theirs: &[(Tungstenite, Failed(1002))],
        is_met: |ours, theirs| {
            ours.answer.end == Closed(Some(1014)) && fails_at_once(ours, theirs, 1002)
        },
        again: None,
    },
    Disagreement {
        about: "a close frame in the middle of a message",
        sentence: "Control frames (see Section 5.5) MAY be injected in the middle of a fragmented message",
        setting: PLAIN,
        example: || [frame(TEXT, b"begun"), frame(FIN | CLOSE, b"")].concat(),
        ours: Closed(None),
        theirs: &[(Websockets, Failed(1002))],
        is_met: |ours, theirs| {
            matches!(ours.answer.end, Closed(_))
                && theirs.reason == "incomplete fragmented message"
                && fails_at_once(ours, theirs, 1002)
        },
        again: None,
    },
    Disagreement {
        about: "a text that is not UTF-8, before its last fragment",
        sentence: "When an endpoint is to interpret a byte stream as UTF-8 but finds that the \
            byte stream is not, in fact, a valid UTF-8 stream, that endpoint MUST _Fail \
            the WebSocket Connection_",
        setting: PLAIN,
        example: || [frame(TEXT, b"\xff"), frame(FIN | PING, b"")].concat(),
        ours: Failed(1007),
        theirs: &[(Websockets, Open)],
        is_met: |ours, theirs| {
            let others = theirs.answer.received.strip_prefix(&ours.answer.received[..]);
            let is_control = |event: &Event| matches!(event, Event::Ping(_) | Event::Pong(_));
            is_because(ours, |violation| violation == Violation::InvalidUtf8)
                && others.is_some_and(|others| others.iter().all(is_control))
                && matches!(theirs.answer.end, Open | Failed(_))
        },
        again: None,
    },
    Disagreement {
        about: "the code for compressed data that cannot be inflated",
        sentence: "1007 indicates that an endpoint is terminating the connection because it has \
            received data within a message that was not consistent with the type of the \
            message",
        setting: compressed::ALONE,
        example: || compressed::text(compressed::AGAIN),
        ours: Failed(1007),
        theirs: &[(Websockets, Failed(1002))],
        is_met: |ours, theirs| {
            // They may fail with an earlier message, which refers beyond the window within itself.
            let before = &theirs.answer.received;
            let is_outside = is_because(ours, |violation| violation == Violation::OutsideWindow)
                && ours.answer.received.starts_with(before);
            is_because(ours, is_of_deflate)
                && theirs.answer.end == Failed(1002)
                && theirs.reason == "decompression failed"
                && (*before == ours.answer.received || is_outside)
        },
        again: None,
    },
    Disagreement {
        about: "a compressed message that ends inside a block",
        sentence: "append an empty DEFLATE block with no compression to the tail end",
        setting: compressed::ALONE,
        example: || compressed::text(b"\xf2\x48\xcd\xc9\xc9"),
        ours: Failed(1007),
        theirs: &[(Websockets, Open)],
        is_met: |ours, theirs| {
            is_because(ours, |violation| violation == Violation::InvalidDeflate)
                && goes_on(ours, theirs)
        },
        again: None,
    },
    Disagreement {
        about: "a compressed message after a block with BFINAL",
        sentence: "The next DEFLATE block follows the padded data if any",
        setting: compressed::SHARED,
        example: || {
            let broken = compressed::text(b"\xff");
            [compressed::text(compressed::LAST_BLOCK), broken].concat()
        },
        ours: Failed(1007),
        theirs: &[(Websockets, Open)],
        is_met: |ours, theirs| loses_data(&ours.answer.received, &theirs.answer.received),
        again: None,
    },
    Disagreement {
        about: "a message after an empty one that is compressed to no bytes",
        sentence: "an empty uncompressed DEFLATE block can be built and used for this purpose",
        setting: compressed::SHARED,
        example: || [compressed::text(b""), compressed::text(compressed::HELLO)].concat(),
        ours: Open,
        theirs: &[(Websockets, Failed(1002))],
        is_met: |ours, theirs| {
            // They take the bytes that follow for the length of a block, and then for its contents.
            let [ours, received] = [&ours.answer.received, &theirs.answer.received];
            let same = ours.iter().zip(received).take_while(|(ours, theirs)| ours == theirs);
            let (same, rest) = received.split_at(same.count());
            let is_misread = match rest.first() {
                Some(misread) => payload(misread).ends_with(b"\xff\xff"),
                None => theirs.reason == "decompression failed",
            };
            is_misread && same.iter().any(|event| payload(event).is_empty())
        },
        again: None,
    },
    Disagreement {
        about: "a reference beyond the agreed window, within a message of several frames",
        sentence: "the client MUST NOT use an LZ77 sliding window longer than the w-th power of 2 \
            bytes to compress messages to send",
        setting: compressed::SMALL,
        example: compressed::far_reference,
        ours: Open,
        theirs: &[(Websockets, Failed(1002))],
        is_met: |ours, theirs| {
            theirs.answer.end == Failed(1002)
                && theirs.reason == "decompression failed"
                && ours.answer.received.starts_with(&theirs.answer.received)
        },
        again: Some(with_largest_window),
    },
    Disagreement {
        about: "a violation that is certain before the end of its frame",
        sentence: "If a nonzero value is received and none of the negotiated extensions defines \
            the meaning of such a nonzero value, the receiving endpoint MUST _Fail the \
            WebSocket Connection_",
        setting: PLAIN,
        example: || header(FIN | PING | 0x40, LengthForm::Bits7, 5),
        ours: Failed(1002),
        theirs: &[(Tungstenite, Open), (Websockets, Open)],
        is_met: |ours, theirs| {
            matches!(ours.answer.end, Failed(_))
                && theirs.answer.end == Open
                && theirs.answer.received == ours.answer.received
        },
        again: Some(completed),
    },
];

fn is_because(ours: &OurAnswer, expected: fn(Violation) -> bool) -> bool {
    ours.violation.is_some_and(expected)
}

fn is_of_deflate(violation: Violation) -> bool {
    use Violation::{InvalidDeflate, NoContext, OutsideWindow};
    matches!(violation, InvalidDeflate | NoContext | OutsideWindow)
}

/// Whether they receive a message where we fail.
fn goes_on(ours: &OurAnswer, theirs: &TheirAnswer) -> bool {
    let [ours, theirs] = [&ours.answer.received, &theirs.answer.received];
    theirs.len() > ours.len() && theirs.starts_with(ours)
}

/// Whether the first message that differs is a part of ours.
fn loses_data(ours: &[Event], theirs: &[Event]) -> bool {
    let different = ours.iter().zip(theirs).find(|(ours, theirs)| ours != theirs);
    different.is_some_and(|(ours, theirs)| payload(ours).starts_with(payload(theirs)))
}

fn payload(event: &Event) -> &[u8] {
    match event {
        Event::Text(text) => text.as_bytes(),
        Event::Binary(payload) | Event::Ping(payload) | Event::Pong(payload) => payload,
    }
}

/// Whether they fail with this code, after the same messages.
fn fails_at_once(ours: &OurAnswer, theirs: &TheirAnswer, code: u16) -> bool {
    theirs.answer.end == Failed(code) && theirs.answer.received == ours.answer.received
}

/// The difference between the answers to a question, unless it is a known one.
pub fn unknown_difference(question: &Question, receiver: &mut impl Receiver) -> Option<String> {
    let ours = by_townhall::receive(question);
    let theirs = receiver.receive(question);
    let library = receiver.library();
    let is_known = ours.answer == theirs.answer
        || DISAGREEMENTS.iter().filter(|known| is_met(known, &ours, &theirs, library)).any(
            |known| match known.again {
                None => true,
                Some(again) => answers_like_us(&again(question, &ours), &ours, receiver),
            },
        );
    (!is_known).then(|| format!("ours: {ours:?}\ntheirs: {theirs:?}"))
}

fn is_met(known: &Disagreement, ours: &OurAnswer, theirs: &TheirAnswer, library: Library) -> bool {
    known.theirs.iter().any(|(theirs, _)| *theirs == library) && (known.is_met)(ours, theirs)
}

/// Whether a receiver answers this question as we answered another, or differently for a known reason.
fn answers_like_us(question: &Question, ours: &OurAnswer, receiver: &mut impl Receiver) -> bool {
    let theirs = receiver.receive(question);
    let library = receiver.library();
    let mut simple = DISAGREEMENTS.iter().filter(|known| known.again.is_none());
    ours.answer == theirs.answer || simple.any(|known| is_met(known, ours, &theirs, library))
}

/// The same stream under terms with the largest window.
fn with_largest_window(question: &Question, _: &OurAnswer) -> Question {
    let setting = Setting { role: question.setting.role, ..compressed::SHARED };
    Question { setting, bytes: question.bytes.clone() }
}

/// The same stream with the rest of its last frame. A text also gets its end.
fn completed(question: &Question, ours: &OurAnswer) -> Question {
    let mut question = question.clone();
    let bytes = &mut question.bytes;
    while let Some(missing @ 1..) = missing_bytes(bytes, MAX_MESSAGE_BYTES) {
        bytes.resize(bytes.len() + missing, 0);
    }
    if ours.violation == Some(Violation::InvalidUtf8) {
        let end = frame(FIN, b"");
        bytes.extend(match question.setting.role {
            Role::Server => end,
            Role::Client => mirrored(&end),
        });
    }
    question
}
