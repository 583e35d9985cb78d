//! The mapping of a range of ids: what becomes real, and what stays refused.
//!
//! An ordinary caller enters a namespace of the range, which changes what all its files seem to belong to. So each case
//! runs in a process of its own, which is this program executed again.

use std::os::unix::fs::{FileTypeExt, MetadataExt, chown};
use std::path::Path;
use std::process::{Command, ExitCode};

use overcoat_sandbox::probe::{self, FeatureStatus};
use overcoat_sandbox::{
    Error, OwnershipRecording, ProgramStatus, RangeRefusal, Spec, enter_range_namespace,
};

use crate::harness::tests;
use crate::support::{
    assert_errno, host_directory, plant, probe, run, shell, this_program, with_mode,
};

tests![
    owners_are_real,
    users_and_groups_can_be_changed,
    ids_above_the_range_are_refused,
    files_of_unmapped_ids_are_out_of_reach,
    devices_are_recorded_for_root_alone,
    a_user_of_the_range_is_held_by_modes,
    a_range_that_was_not_entered_is_refused,
];

/// A case, run in a process that has the range.
type Case = (&'static str, fn());

const CASES: &[Case] = &[
    ("owners", owners),
    ("changes", changes),
    ("above", above),
    ("unmapped", unmapped),
    ("devices", devices),
    ("modes", modes),
];

/// Set where the ordinary user that runs the tests has subordinate ids. Root always has the range.
const PROMISE: &str = "OVERCOAT_TEST_RANGE";

fn owners_are_real() {
    in_range("owners");
}

fn users_and_groups_can_be_changed() {
    in_range("changes");
}

fn ids_above_the_range_are_refused() {
    in_range("above");
}

fn files_of_unmapped_ids_are_out_of_reach() {
    in_range("unmapped");
}

fn devices_are_recorded_for_root_alone() {
    in_range("devices");
}

fn a_user_of_the_range_is_held_by_modes() {
    in_range("modes");
}

fn a_range_that_was_not_entered_is_refused() {
    let spawned = probe(["exit", "0"]).map_range().spawn();
    if nix::unistd::geteuid().is_root() {
        assert!(spawned.is_ok());
    } else {
        let refused = matches!(
            spawned,
            Err(Error::RangeRefused {
                refusal: RangeRefusal::NotEntered
            })
        );
        assert!(refused, "{spawned:?}");
    }
}

#[track_caller]
fn in_range(case: &str) {
    if let FeatureStatus::Missing { cause, .. } = probe::id_range().status {
        let promised = nix::unistd::geteuid().is_root()
            || std::env::var_os(PROMISE).is_some_and(|value| value == "1");
        assert!(!promised, "the host lacks what this test needs: {cause}");
        println!("SKIP: {cause}");
        return;
    }
    let output = Command::new(this_program())
        .args(["in-range", case])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Enters the namespace, and runs one of the cases.
pub(crate) fn run_case(name: &str) -> ExitCode {
    enter_range_namespace().unwrap();
    let (_, case) = CASES.iter().find(|(known, _)| *known == name).unwrap();
    case();
    ExitCode::SUCCESS
}

/// Runs a script with the range, and returns what it prints.
#[track_caller]
fn printed(spec: Spec) -> String {
    let ran = run(&spec.map_range());
    assert_eq!(
        ran.outcome.status,
        ProgramStatus::Exited(0),
        "{}",
        ran.stderr
    );
    ran.stdout
}

fn owners() {
    let host = host_directory();
    let file = plant(host.path(), "file", "x");
    let script = "cat /proc/self/uid_map /proc/self/gid_map
        chown 33:44 /tree/file && ln -s file /tree/link && chown -h 65535:65535 /tree/link
        stat -c %u:%g /tree/file /tree/link";
    let text = printed(shell(script).bind(host.path(), "/tree"));
    let words: Vec<&str> = text.split_whitespace().collect();
    // A map has one line for each of the caller's namespace.
    let map = match words.len() {
        8 => &["0", "0", "65536"][..],
        _ => &["0", "0", "1", "1", "1", "65535"],
    };
    assert_eq!(words, [map, map, &["33:44", "65535:65535"]].concat());
    let found = file.metadata().unwrap();
    assert_eq!((found.uid(), found.gid()), (33, 44));
    chown(&file, Some(0), Some(0)).unwrap();
    std::os::unix::fs::lchown(host.path().join("link"), Some(0), Some(0)).unwrap();
}

fn changes() {
    // The caller's own groups have not come along.
    let script = "id -G; setpriv --reuid 33 --regid 44 --groups 45,46 sh -c 'id -u; id -g; id -G'";
    assert_eq!(printed(shell(script)), "0\n33\n44\n44 45 46\n");
}

fn above() {
    let host = host_directory();
    plant(host.path(), "file", "x");
    let change = |id| {
        probe(["change-owner", "/tree/file", id])
            .bind(host.path(), "/tree")
            .map_range()
    };
    assert_errno(&change("65536"), libc::EINVAL);
    assert_errno(&change("65535"), 0);
    assert_errno(&change("0"), 0);
    let script = "setpriv --reuid 65536 --clear-groups true || echo $?";
    assert_eq!(printed(shell(script)), "127\n");
}

fn unmapped() {
    let host = host_directory();
    let mine = with_mode(&plant(host.path(), "mine", "x"), 0o600);
    // Root's sandbox has no ids above the range, an ordinary user's none of the host's root.
    let foreign = with_mode(&plant(host.path(), "foreign", "x"), 0o600);
    let foreign = match chown(&foreign, Some(65536), Some(65536)) {
        Ok(()) => foreign,
        Err(_) => Path::new("/etc/shadow").to_owned(),
    };
    for (path, read, change) in [(&foreign, libc::EACCES, libc::EPERM), (&mine, 0, 0)] {
        let on_file = |operation: &[&str]| {
            let arguments: Vec<&str> = ["/probe", "probe"]
                .iter()
                .chain(operation)
                .copied()
                .collect();
            crate::support::with_host_system(Spec::new(arguments))
                .bind_read_only(this_program(), "/probe")
                .bind(path, "/file")
                .map_range()
        };
        assert_errno(&on_file(&["read", "/file"]), read);
        assert_errno(&on_file(&["change-owner", "/file", "0"]), change);
    }
}

fn devices() {
    let host = host_directory();
    let make = || {
        probe(["make-device", "/tree/null"])
            .bind(host.path(), "/tree")
            .map_range()
    };
    // Landlock looks first.
    assert_errno(&make(), libc::EACCES);
    let script =
        "setpriv --reuid 33 --clear-groups mknod /tree/other c 1 3 2> /dev/null || echo $?";
    let as_user = shell(script)
        .bind(host.path(), "/tree")
        .ownership(OwnershipRecording::Devices);
    assert_eq!(printed(as_user), "1\n");
    assert!(host.path().join("other").symlink_metadata().is_err());
    assert_errno(&make().ownership(OwnershipRecording::Devices), 0);
    let made = host.path().join("null").symlink_metadata().unwrap();
    assert!(made.file_type().is_file() && !made.file_type().is_char_device());
    // Owners are not recorded beside it, but are real.
    let script = "chown 7:8 /tree/null && stat -c %u:%g /tree/null && chown 0:0 /tree/null";
    let owner = shell(script)
        .bind(host.path(), "/tree")
        .ownership(OwnershipRecording::Devices);
    assert_eq!(printed(owner), "7:8\n");
}

fn modes() {
    let host = host_directory();
    with_mode(&plant(host.path(), "mine", "x"), 0o600);
    let script = "setpriv --reuid 33 --clear-groups cat /tree/mine 2> /dev/null || echo $?
        chown 33 /tree/mine && setpriv --reuid 33 --clear-groups cat /tree/mine && chown 0 /tree/mine";
    let spec = shell(script).bind(with_mode(host.path(), 0o755), "/tree");
    assert_eq!(printed(spec), "1\nx");
}
