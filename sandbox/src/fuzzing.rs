//! What must hold of any bytes that come to this crate from outside: the bodies of the fuzz targets in
//! `integration/fuzz`, which the tests run over the kept corpus as well.
//!
//! It is compiled for fuzzers and tests only, and is no part of the crate's interface.

use std::io::Cursor;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::idrange::{RANGE_LENGTH, find_subordinate_ids, range_of};
use crate::init::Said;
use crate::kernel::version_in;
use crate::ownership::fuzzing::find_field;
pub use crate::ownership::fuzzing::{calls, records};
use crate::report::{Answer, LONGEST_MESSAGE, Request, read_framed, write_framed};

/// A property of any input: it panics where that does not hold.
pub type Target = fn(&[u8]);

/// Every target of this crate with the name of its file and corpus in `integration/fuzz`.
pub const TARGETS: &[(&str, Target)] = &[
    ("calls", calls),
    ("host_texts", host_texts),
    ("messages", messages),
    ("records", records),
];

/// The launcher's wire format: a message is read to its own length and no further, is bounded, and survives.
pub fn messages(bytes: &[u8]) {
    let mut stream = Cursor::new(bytes);
    let read: std::io::Result<Option<Answer>> = read_framed(&mut stream);
    if let Ok(Some(_)) = read {
        let length = u32::from_le_bytes(*bytes.first_chunk().expect("the length was read"));
        assert_eq!(stream.position(), u64::from(length) + 4);
        assert!(usize::try_from(length).is_ok_and(|length| length <= LONGEST_MESSAGE));
    }
    survives::<Answer>(bytes);
    survives::<Request>(bytes);
    for line in bytes.split(|byte| *byte == b'\n') {
        let _: Result<Answer, _> = serde_json::from_slice(line);
    }
    if let Ok(said) = serde_json::from_slice::<Said>(bytes) {
        let again = serde_json::to_vec(&said).expect("what was read can be written");
        assert_eq!(
            said,
            serde_json::from_slice(&again).expect("what was written can be read")
        );
    }
}

/// Writes what `json` says, and reads it again.
fn survives<T: DeserializeOwned + Serialize>(json: &[u8]) {
    let Ok(message) = serde_json::from_slice::<T>(json) else {
        return;
    };
    let mut frame = Vec::new();
    write_framed(&mut frame, &message).expect("what was read can be written");
    let again: Option<T> = read_framed(frame.as_slice()).expect("what was written can be read");
    let mut frame_again = Vec::new();
    let again = again.expect("a message was written");
    write_framed(&mut frame_again, &again).expect("what was read can be written");
    // Sets come in any order.
    assert_eq!(frame.len(), frame_again.len());
}

/// subuid(5), the kernel's id maps, and `/proc/PID/status`, whose first line a program writes.
pub fn host_texts(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let names = ["builder".to_owned(), "1000".to_owned()];
    if let Some(first) = find_subordinate_ids(&text, &names) {
        assert!(first.checked_add(RANGE_LENGTH - 1).is_some());
    }
    if let Some(extents) = range_of(&text) {
        let end = extents.iter().fold(0, |end, (first, count)| {
            assert_eq!(*first, end);
            end + count
        });
        assert_eq!(end, RANGE_LENGTH);
    }
    let _ = version_in(&text);
    let mask = find_field(bytes, "Umask:", |value| {
        u32::from_str_radix(value.trim(), 8).ok()
    });
    assert!(mask.is_none() || bytes.windows(6).any(|part| part == b"Umask:"));
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::TARGETS;

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "this crate has no fs_err; a test's panic names the path"
    )]
    fn every_kept_input_of_the_fuzzers_is_survived() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../integration/fuzz/corpus");
        for (name, target) in TARGETS {
            let inputs = std::fs::read_dir(corpus.join(name)).unwrap_or_else(|error| {
                panic!("the target {name} has no corpus: {error}");
            });
            for input in inputs {
                let path = input.unwrap().path();
                println!("{}", path.display());
                target(&std::fs::read(&path).unwrap());
            }
        }
    }
}
