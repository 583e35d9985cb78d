//! The ownership recorder and the suppressed syncs, wired into a sandbox. What the recorder does with each call is
//! tested by `ownership`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;

use overcoat_sandbox::{
    Error, Overlay, OwnerRecord, OwnershipRecording, ProgramStatus, Spec, Step,
};

use crate::harness::{require, tests};
use crate::support::{assert_errno, host_directory, make_directories, plant, probe, run, shell};

tests![
    owners_are_recorded_only_when_asked_for,
    owners_of_links_are_returned,
    owners_of_links_with_any_name_are_returned,
    owners_of_links_from_before_are_known,
    device_nodes_are_recorded_below_a_writable_mount,
    a_daemon_that_records_does_not_hold_the_sandbox,
    a_read_only_mount_holds_for_the_recorder,
    a_recorder_that_gives_up_fails_the_step,
    syncs_are_suppressed_only_when_asked_for,
];

fn owners_are_recorded_only_when_asked_for() {
    let host = host_directory();
    let file = plant(host.path(), "file", "x");
    let spec = probe(["change-owner", "/tree/file", "7"]).bind(host.path(), "/tree");
    assert_errno(&spec, libc::EINVAL);
    let ran = run(&spec.ownership(OwnershipRecording::RecordAndAnswer));
    assert_eq!(
        ran.outcome.status,
        ProgramStatus::Exited(0),
        "{}",
        ran.stderr
    );
    assert!(ran.outcome.enforcement.ownership_recorded);
    assert_eq!(ran.outcome.records, []);
    let owner = file.metadata().unwrap().uid();
    assert_eq!(owner, nix::unistd::geteuid().as_raw());
}

fn owners_of_links_are_returned() {
    let host = host_directory();
    plant(host.path(), "file", "x");
    let script = "ln -s file /tree/link && chown -h 7:8 /tree/link && mv /tree/link /tree/moved";
    let ran = run(&recording_shell(script).bind(host.path(), "/tree"));
    assert_eq!(
        ran.outcome.status,
        ProgramStatus::Exited(0),
        "{}",
        ran.stderr
    );
    let expected = OwnerRecord {
        path: PathBuf::from("/tree/moved"),
        uid: 7,
        gid: 8,
    };
    assert_eq!(ran.outcome.records, [expected]);
}

fn owners_of_links_with_any_name_are_returned() {
    let host = host_directory();
    let script = "link=$(printf '/tree/\\377') && ln -s file \"$link\" && chown -h 7:8 \"$link\"";
    let ran = run(&recording_shell(script).bind(host.path(), "/tree"));
    assert_eq!(
        ran.outcome.status,
        ProgramStatus::Exited(0),
        "{}",
        ran.stderr
    );
    let expected = OwnerRecord {
        path: PathBuf::from(OsStr::from_bytes(b"/tree/\xff")),
        uid: 7,
        gid: 8,
    };
    assert_eq!(ran.outcome.records, [expected]);
}

fn owners_of_links_from_before_are_known() {
    let host = host_directory();
    let [lower, upper, work] = ["lower", "upper", "work"].map(|name| {
        let path = host.path().join(name);
        make_directories(&path);
        path
    });
    for name in ["kept", "moved", "deleted", "made-anew", "changed"] {
        std::os::unix::fs::symlink("x", lower.join(name)).unwrap();
    }
    plant(&lower, "file", "x");
    let record = |name: &str, uid| OwnerRecord {
        path: PathBuf::from("/tree").join(name),
        uid,
        gid: uid,
    };
    let script = "set -e; cd /tree
        test \"$(stat -c '%u %g' kept)\" = '1 1'
        mv moved elsewhere; rm deleted made-anew; ln -s x made-anew; chown -h 6 changed";
    let known = vec![
        record("kept", 1),
        record("moved", 2),
        record("deleted", 3),
        record("made-anew", 4),
        record("changed", 5),
        record("file", 7),
        record("absent", 8),
    ];
    let overlay = Overlay {
        lowers: vec![lower.clone()],
        upper: Some(upper),
        work: Some(work),
    };
    let changed = OwnerRecord {
        gid: 5,
        ..record("changed", 6)
    };
    let expected = [changed, record("elsewhere", 2), record("kept", 1)];
    let spec = recording_shell(script).entry_owners(known);
    // A lower directory first, since the other way changes it.
    for spec in [
        spec.clone().overlay("/tree", &overlay),
        spec.bind(lower, "/tree"),
    ] {
        let ran = run(&spec);
        assert_eq!(
            ran.outcome.status,
            ProgramStatus::Exited(0),
            "{}",
            ran.stderr
        );
        assert_eq!(ran.outcome.records, expected);
    }
}

fn device_nodes_are_recorded_below_a_writable_mount() {
    let host = host_directory();
    let ran = run(&recording_shell("mknod /tree/null c 1 3").bind(host.path(), "/tree"));
    assert_eq!(
        ran.outcome.status,
        ProgramStatus::Exited(0),
        "{}",
        ran.stderr
    );
    let kind = host
        .path()
        .join("null")
        .symlink_metadata()
        .unwrap()
        .file_type();
    assert!(!kind.is_char_device());
}

fn a_daemon_that_records_does_not_hold_the_sandbox() {
    let ran = run(&recording_shell(
        "setsid sleep 600 > /dev/null 2>&1 & exit 3",
    ));
    assert_eq!(ran.outcome.status, ProgramStatus::Exited(3));
}

fn a_read_only_mount_holds_for_the_recorder() {
    let host = host_directory();
    plant(host.path(), "file", "x");
    let spec =
        probe(["change-owner", "/tree/file", "7"]).ownership(OwnershipRecording::RecordAndAnswer);
    assert_errno(
        &spec.clone().bind_read_only(host.path(), "/tree"),
        libc::EROFS,
    );
    assert_errno(&spec.bind(host.path(), "/tree"), 0);
}

fn a_recorder_that_gives_up_fails_the_step() {
    require!(
        std::path::Path::new("/usr/bin/perl").exists(),
        "perl, to make many links quickly"
    );
    let host = host_directory();
    let script = "cd /tree && perl -e 'symlink(\"x\", $_) for 1..4097' && chown -h 7:8 * ; exit 0";
    let spec = recording_shell(script).bind(host.path(), "/tree");
    match spec.spawn().unwrap().wait() {
        Err(Error::SetUp { step, detail, .. }) => {
            assert_eq!(step, Step::Supervise);
            assert_eq!(
                detail.as_deref(),
                Some(
                    "more than 4096 symbolic links, FIFOs or sockets were given to ids other than 0"
                )
            );
        }
        other => panic!("{other:?}"),
    }
}

fn syncs_are_suppressed_only_when_asked_for() {
    // A pipe cannot be synced, so a success did not come from the kernel.
    assert_errno(&probe(["sync-a-pipe"]), libc::EINVAL);
    assert_errno(&probe(["sync-a-pipe"]).suppress_sync(), 0);
}

fn recording_shell(script: &str) -> Spec {
    shell(script).ownership(OwnershipRecording::RecordAndAnswer)
}
