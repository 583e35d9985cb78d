//! What must hold of any bytes that come to this crate from outside: the bodies of the fuzz targets in
//! `integration/fuzz`, which the tests run over the kept corpus as well.
//!
//! It is compiled for fuzzers and tests only, and is no part of the crate's interface.

use std::io::Cursor;
use std::path::Component;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::idrange::{RANGE_LENGTH, find_subordinate_ids, range_of};
use crate::init::Said;
use crate::kernel::version_in;
use crate::limits::cgroup::{event, own_group};
use crate::limits::usage::{of_rollup, of_status};
use crate::ownership::fuzzing::find_field;
pub use crate::ownership::fuzzing::{calls, records};
use crate::report::{Answer, LONGEST_MESSAGE, Request, read_framed, write_framed};
use crate::seccomp::Profile;

/// A property of any input: it panics where that does not hold.
pub type Target = fn(&[u8]);

/// Every target of this crate with the name of its file and corpus in `integration/fuzz`.
pub const TARGETS: &[(&str, Target)] = &[
    ("calls", calls),
    ("host_texts", host_texts),
    ("messages", messages),
    ("records", records),
    ("seccomp_profile", seccomp_profile),
    ("used", used),
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

/// A person's seccomp profile: what is understood is a program that the kernel takes, and survives the way to the launcher.
pub fn seccomp_profile(bytes: &[u8]) {
    let Ok(profile) = Profile::parse(&String::from_utf8_lossy(bytes)) else {
        return;
    };
    let program = profile.compile();
    let last = program.last().expect("a program answers");
    assert_eq!(u32::from(last.code), libc::BPF_RET | libc::BPF_K);
    assert!(program.len() <= 4096);
    for (place, instruction) in program.iter().enumerate() {
        let operation = u32::from(instruction.code);
        if operation & 7 == libc::BPF_JMP {
            let longest = match operation {
                always if always == libc::BPF_JMP | libc::BPF_JA => instruction.k,
                _ => instruction.jt.max(instruction.jf).into(),
            };
            assert!(place + 1 + usize::try_from(longest).expect("64 bits") < program.len());
        }
    }
    let json = serde_json::to_vec(&profile).expect("names and numbers can be written");
    let again: Profile = serde_json::from_slice(&json).expect("what was written can be read");
    assert_eq!(profile, again);
}

/// What the kernel says of control groups and of what processes use: `/proc/self/mountinfo` and `/proc/self/cgroup` with a
/// NUL between, `memory.events`, and of processes `status` and `smaps_rollup`.
pub fn used(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (mounts, groups) = text.split_once('\0').unwrap_or(("", &text));
    if let Some(own) = own_group(mounts, groups) {
        let leads_up = own
            .directory
            .components()
            .any(|part| part == Component::ParentDir);
        assert!(!leads_up || mounts.contains(".."), "{own:?}");
    }
    assert!(event(&text, "max") == 0 || text.contains("max "));
    // Neither a number that is no number nor one that is too large ends the watch.
    let (usage, rollup) = (of_status(&text), of_rollup(&text));
    let has = |name: &str| text.contains(name);
    assert!(usage.tasks == 0 || has("Threads:"));
    assert!(usage.memory_bytes == 0 || has("Rss") || has("VmSwap:"));
    assert!(rollup == 0 || has("Pss"));
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
