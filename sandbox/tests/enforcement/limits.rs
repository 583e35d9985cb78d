//! Programs that take all they can get: each is ended with the name of the limit, and its twin that keeps within is not.
//!
//! All of them have small limits of every kind, so that one that is not held does no harm.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use overcoat_sandbox::{
    EnforcedLimit, Limit, LimitMechanism, Limits, OwnershipRecording, ProgramStatus, Spec,
    delegated_control_group,
};

use crate::harness::{optional, require, tests};
use crate::lifecycle::{assert_nothing_is_left, start_chain};
use crate::support::{Ran, assert_errno, contents, host_directory, probe, run, shell};

tests![
    a_fork_bomb_is_ended,
    processes_that_are_left_explain_a_failure,
    threads_count_as_processes,
    memory_of_one_process_is_bounded,
    memory_of_all_processes_is_bounded_together,
    memory_that_processes_share_counts_once,
    temporary_files_are_memory,
    temporary_file_systems_are_bounded_together,
    an_inode_bomb_in_a_temporary_file_system_is_stopped,
    a_sparse_file_has_a_size_too,
    open_files_are_bounded,
    what_holds_the_program_is_reported,
    a_control_group_holds_processes_and_memory,
    a_control_group_is_gone_afterwards,
    a_control_group_that_a_killed_launcher_leaves_is_removed,
    a_control_group_that_is_refused_is_done_without,
    without_limits_nothing_is_looked_at,
];

const MIB: u64 = 1 << 20;

fn small() -> Limits {
    Limits {
        processes: Some(40),
        memory_bytes: Some(256 * MIB),
        open_files: Some(100),
        file_size_bytes: Some(512 * MIB),
        // Long enough for an emulated machine that is busy with other things.
        wall_clock: Some(Duration::from_secs(120)),
    }
}

fn limited(spec: Spec) -> Spec {
    spec.tmpfs("/tmp", 0o1777)
        .tmpfs("/var", 0o755)
        .limits(&small())
}

#[track_caller]
fn assert_status(ran: &Ran, expected: ProgramStatus) {
    assert_eq!(ran.outcome.status, expected, "{}", ran.stderr);
}

/// Asserts that the program failed by itself after it had reached a limit.
#[track_caller]
fn assert_reached(ran: &Ran, limit: Limit) {
    assert!(
        matches!(
            ran.outcome.status,
            ProgramStatus::Exited(1..) | ProgramStatus::Signaled(_)
        ),
        "{:?}",
        ran.outcome.status
    );
    assert_eq!(ran.outcome.limits_reached, [limit], "{}", ran.stderr);
}

#[track_caller]
fn assert_well(spec: Spec) {
    let ran = run(&limited(spec));
    assert_status(&ran, ProgramStatus::Exited(0));
    assert_eq!(ran.outcome.limits_reached, []);
}

fn a_fork_bomb_is_ended() {
    for recording in [OwnershipRecording::Off, OwnershipRecording::RecordAndAnswer] {
        let started = Instant::now();
        // One that stays when it cannot fork any more, and one that goes on trying.
        for bomb in [
            "while :; do sleep 60 & done 2> /dev/null; wait",
            "bomb() { while :; do (bomb) & sleep 1; done; }; trap '' TERM; bomb",
        ] {
            let script = format!("({bomb}) 2> /dev/null; sleep 60");
            let ran = run(&limited(shell(&script)).ownership(recording));
            assert_status(&ran, ProgramStatus::LimitExceeded(Limit::Processes));
        }
        assert!(started.elapsed() < Duration::from_secs(100));
    }
    assert_well(shell("for number in $(seq 30); do sleep 0.3 & done; wait"));
}

fn processes_that_are_left_explain_a_failure() {
    // Before the first look.
    let script = "perl -e 'for (1 .. 45) { fork or do { sleep 60; exit } } exit 3'";
    require!(Path::new("/usr/bin/perl").exists(), "perl, to fork quickly");
    let ran = run(&limited(shell(script)));
    match ran.outcome.status {
        ProgramStatus::Exited(3) => assert_reached(&ran, Limit::Processes),
        status => assert_eq!(status, ProgramStatus::LimitExceeded(Limit::Processes)),
    }
}

fn threads_count_as_processes() {
    let threads = |count| {
        let script = format!(
            "import threading, time\nfor _ in range({count}): threading.Thread(target=time.sleep, args=(1,)).start()"
        );
        limited(shell("exec python3 -c \"$SCRIPT\"").environment("SCRIPT", script))
    };
    require!(
        Path::new("/usr/bin/python3").exists(),
        "python3, to start threads"
    );
    let ran = run(&threads(60));
    assert_status(&ran, ProgramStatus::LimitExceeded(Limit::Processes));
    assert_status(&run(&threads(20)), ProgramStatus::Exited(0));
}

fn memory_of_one_process_is_bounded() {
    let hold = |bytes: u64| probe(["hold-memory", &bytes.to_string(), "1"]);
    let ran = run(&limited(hold(400 * MIB)));
    assert_status(&ran, ProgramStatus::LimitExceeded(Limit::Memory));
    assert_well(hold(100 * MIB));
}

fn memory_of_all_processes_is_bounded_together() {
    let script = |each: u64| {
        let hold = format!("/probe probe hold-memory {} 1 &", each * MIB);
        let spec = shell(&format!("{hold} {hold} {hold} wait"));
        spec.bind_read_only(crate::support::this_program(), "/probe")
    };
    let ran = run(&limited(script(150)));
    assert_status(&ran, ProgramStatus::LimitExceeded(Limit::Memory));
    assert_well(script(30));
}

fn memory_that_processes_share_counts_once() {
    require!(
        Path::new("/usr/bin/perl").exists(),
        "perl, to fork with memory"
    );
    // As a compiler's or an interpreter's workers do.
    let script =
        "my $x = 'x' x (80 << 20); for (1 .. 8) { fork or do { sleep 1; exit } } 1 while wait > 0";
    let spec = shell("exec perl -e \"$SCRIPT\"").environment("SCRIPT", script);
    assert_well(spec);
}

fn temporary_files_are_memory() {
    let fill = |mib: u64| shell(&format!("head -c {mib}M /dev/zero > /tmp/file"));
    assert_reached(&run(&limited(fill(200))), Limit::TemporaryFiles);
    assert_well(fill(100));
    // Less than the bound of either, but not together.
    let both = "head -c 100M /dev/zero > /tmp/file && exec /probe probe hold-memory 200000000 1";
    let both = shell(both).bind_read_only(crate::support::this_program(), "/probe");
    let ran = run(&limited(both));
    assert_status(&ran, ProgramStatus::LimitExceeded(Limit::Memory));
}

fn temporary_file_systems_are_bounded_together() {
    let fill = |mib: u64| {
        shell(&format!(
            "for place in /tmp /var /dev/shm; do head -c {mib}M /dev/zero > $place/file || exit; done"
        ))
    };
    assert_reached(&run(&limited(fill(50))), Limit::TemporaryFiles);
    assert_well(fill(30));
}

fn an_inode_bomb_in_a_temporary_file_system_is_stopped() {
    // 256 MiB of memory are 128 MiB of temporary files, which are 8192 of 16 KiB.
    let make = |count: u64| {
        shell(&format!(
            "for number in $(seq {count}); do : > /tmp/$number || exit; done"
        ))
    };
    assert_reached(&run(&limited(make(9000))), Limit::TemporaryFiles);
    assert_well(make(7000));
}

fn a_sparse_file_has_a_size_too() {
    let host = host_directory();
    for (place, how) in [
        ("/tmp", "truncate -s 1T"),
        ("/host", "truncate -s 1T"),
        (
            "/host",
            "dd if=/dev/zero bs=1 count=1 seek=1T status=none of=",
        ),
    ] {
        let gap = if how.ends_with('=') { "" } else { " " };
        let spec = shell(&format!("{how}{gap}{place}/sparse")).bind(host.path(), "/host");
        assert_reached(&run(&limited(spec)), Limit::FileSize);
    }
    assert_well(shell("truncate -s 100M /tmp/sparse"));
}

fn open_files_are_bounded() {
    let open = |count| limited(probe(["open-often", "/dev/null", count]));
    assert_errno(&open("100"), libc::EMFILE);
    assert_errno(&open("90"), 0);
}

fn what_holds_the_program_is_reported() {
    let found = run(&limited(probe(["exit", "0"])))
        .outcome
        .enforcement
        .limits;
    let by = |limit| found.iter().find(|row| row.limit == limit).unwrap().by;
    assert_eq!(found.len(), 6);
    assert!(
        matches!(
            by(Limit::Processes),
            LimitMechanism::PidNamespace | LimitMechanism::Watch | LimitMechanism::ControlGroup
        ),
        "{found:?}"
    );
    for (limit, mechanism) in [
        (Limit::TemporaryFiles, LimitMechanism::FileSystem),
        (Limit::OpenFiles, LimitMechanism::ResourceLimit),
        (Limit::FileSize, LimitMechanism::ResourceLimit),
        (Limit::WallClock, LimitMechanism::Watch),
    ] {
        assert_eq!(by(limit), mechanism);
    }
}

fn mechanism(ran: &Ran, limit: Limit) -> Option<LimitMechanism> {
    let rows = &ran.outcome.enforcement.limits;
    rows.iter().find(|row| row.limit == limit).map(|row| row.by)
}

fn a_control_group_holds_processes_and_memory() {
    let group = delegated_control_group();
    optional!(
        group.is_some(),
        "a control group (cgroup v2) that is delegated"
    );
    let group = group.unwrap();
    let limited = |spec: Spec| limited(spec).control_group(&group);
    let ran = run(&limited(probe(["print", "/proc/self/cgroup"])));
    let own = ran.stdout.lines().find(|line| line.starts_with("0::"));
    assert_eq!(own, Some("0::/"));
    optional!(
        mechanism(&ran, Limit::Processes) == Some(LimitMechanism::ControlGroup)
            && mechanism(&ran, Limit::Memory) == Some(LimitMechanism::ControlGroup),
        "the controllers pids and memory in that group"
    );
    let started = Instant::now();
    let ran = run(&limited(shell(
        "(while :; do sleep 60 & done) 2> /dev/null; sleep 60",
    )));
    assert_status(&ran, ProgramStatus::LimitExceeded(Limit::Processes));
    // Pages of a file without a name are of the group too, which no watch sees.
    let unnamed = "import os, time\nfile = os.memfd_create('x')\nfor _ in range(400): os.write(file, bytes(1 << 20))\ntime.sleep(60)";
    let hold = [
        probe(["hold-memory", "400000000", "60"]),
        shell("exec python3 -c \"$SCRIPT\"").environment("SCRIPT", unnamed),
    ];
    for spec in hold {
        for recording in [OwnershipRecording::Off, OwnershipRecording::RecordAndAnswer] {
            let ran = run(&limited(spec.clone()).ownership(recording));
            assert_status(&ran, ProgramStatus::LimitExceeded(Limit::Memory));
        }
    }
    assert!(started.elapsed() < Duration::from_secs(60));
    let fill = limited(shell(
        "head -c 100M /dev/zero > /tmp/file; head -c 200M /dev/zero > /tmp/more",
    ));
    assert_reached(&run(&fill), Limit::TemporaryFiles);
    let twin = limited(probe(["hold-memory", "50000000", "0"]));
    assert_status(&run(&twin), ProgramStatus::Exited(0));
    assert_eq!(groups_of_sandboxes(&group), 0);
}

fn a_control_group_is_gone_afterwards() {
    // One without controllers will do.
    let group = own_hierarchy();
    optional!(group.is_some(), "a control group (cgroup v2) to write in");
    let group = group.unwrap();
    let limited = |spec: Spec| limited(spec).control_group(&group);
    let ran = run(&limited(probe(["print", "/proc/self/cgroup"])));
    let own = ran.stdout.lines().find(|line| line.starts_with("0::"));
    assert_eq!(own, Some("0::/"));
    let ran =
        run(&limited(probe(["sleep-in-children"])).wall_clock_limit(Duration::from_millis(300)));
    assert_status(&ran, ProgramStatus::TimedOut);
    assert_eq!(groups_of_sandboxes(&group), 0);
}

fn a_control_group_that_a_killed_launcher_leaves_is_removed() {
    let group = own_hierarchy();
    optional!(group.is_some(), "a control group (cgroup v2) to write in");
    let group = group.unwrap();
    let spec = limited(probe(["sleep-in-children"])).control_group(&group);
    let chain = start_chain(&spec);
    assert_eq!(groups_of_sandboxes(&group), 1);
    kill(chain.launcher, Signal::SIGKILL).unwrap();
    drop(chain.running);
    assert_nothing_is_left();
    assert_eq!(groups_of_sandboxes(&group), 1);
    // Whether it can be used or not.
    delegated_control_group();
    assert_eq!(groups_of_sandboxes(&group), 0);
}

fn a_control_group_that_is_refused_is_done_without() {
    let ran = run(&limited(probe(["exit", "0"])).control_group("/proc"));
    assert_status(&ran, ProgramStatus::Exited(0));
    assert_eq!(mechanism(&ran, Limit::Memory), Some(LimitMechanism::Watch));
}

/// Returns where cgroup v2 is mounted, if this process is in its topmost group and may make others.
fn own_hierarchy() -> Option<PathBuf> {
    let places = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(PathBuf::from);
    let is_own = contents(Path::new("/proc/self/cgroup")).contains("0::/\n");
    let place = places
        .into_iter()
        .find(|place| is_own && place.join("cgroup.controllers").exists());
    place.filter(|_| nix::unistd::geteuid().is_root())
}

fn groups_of_sandboxes(parent: &Path) -> usize {
    let entries = parent.read_dir().unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("overcoat-")).count()
}

fn without_limits_nothing_is_looked_at() {
    let spec =
        shell("for number in $(seq 50); do sleep 0.3 & done; wait").limits(&Limits::default());
    let ran = run(&spec);
    assert_status(&ran, ProgramStatus::Exited(0));
    assert_eq!(ran.outcome.enforcement.limits, Vec::<EnforcedLimit>::new());
}
