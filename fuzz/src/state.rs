//! Property: a state with a valid checksum is read without a panic, whatever it contains. What was read of
//! it is written and read again as the same.
//!
//! Input: the content of a state between its version and its checksum: a time, then records.

use sha2::{Digest, Sha256};

#[path = "../../src/state/record.rs"]
mod record;

use record::{Reader, Writer};

const BEGIN: &[u8] = b"townhall state 1\n";

pub fn check(content: &[u8]) {
    let state = [BEGIN, content].concat();
    // A fuzzer that sees comparisons finds the checksum of its own.
    check_state(&state);
    check_state(&[&state[..], &Sha256::digest(&state)].concat());
}

fn check_state(state: &[u8]) {
    let Ok(reader) = Reader::open(state) else { return };
    let written = write(reader);
    // Numbers can be written in more than one way, and two that are none are never equal.
    let reader = Reader::open(&written).expect("it was written");
    assert_eq!(write(reader), written);
}

fn write(reader: Reader<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::begin(&mut out, reader.written).expect("memory takes everything");
    for record in reader {
        writer.write(&record).expect("memory takes everything");
    }
    writer.end().expect("memory takes everything");
    out
}
