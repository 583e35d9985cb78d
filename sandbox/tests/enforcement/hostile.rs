//! What a program gets from the recorder that its own confinement would not give it: nothing.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use overcoat_sandbox::{Overlay, OwnershipRecording, ProgramStatus, Spec};

use crate::harness::{require, tests};
use crate::support::{
    contents, errno_of, host_directory, make_directories, plant, run, shell, this_program,
    with_host_system,
};

tests![
    devices_of_the_host_keep_their_mode_owner_and_times,
    files_of_the_kernel_keep_their_mode_and_owner,
    standard_input_is_nothing_of_the_host,
    nothing_is_made_for_a_user_where_nothing_may_be_written,
    other_ways_into_the_kernel_reach_no_recorded_call,
    a_32_bit_call_kills_the_program,
    a_flood_of_calls_stops_neither_others_nor_the_clock,
];

fn recording(script: &str) -> Spec {
    shell(script).ownership(OwnershipRecording::RecordAndAnswer)
}

#[track_caller]
fn output(spec: &Spec) -> String {
    let ran = run(spec);
    assert_eq!(
        ran.outcome.status,
        ProgramStatus::Exited(0),
        "{}",
        ran.stderr
    );
    ran.stdout
}

fn devices_of_the_host_keep_their_mode_owner_and_times() {
    let device = Path::new("/dev/full");
    let state = || {
        let status = device.metadata().unwrap();
        (
            status.mode(),
            status.mtime(),
            status.ctime(),
            status.ctime_nsec(),
        )
    };
    let before = state();
    let script =
        "for change in 'chmod 600' 'chown 7:7' 'touch -d 2000-01-01' 'setfacl -m u:7:r'; do
        $change /dev/full 2> /dev/null && echo \"$change\"
    done
    echo lost > /dev/null && echo written";
    assert_eq!(output(&recording(script)), "written\n");
    assert_eq!(state(), before);
}

fn files_of_the_kernel_keep_their_mode_and_owner() {
    // To the mode that they have, so that it harms nobody if it succeeds. What concerns one process refuses itself.
    let script = "for file in /proc/[a-z]*; do
        [ -L $file ] && continue
        chmod $(stat -c %a $file) $file 2> /dev/null && echo \"$file changed\"
        chown 0:0 $file 2> /dev/null && echo \"$file given\"
    done
    chmod 400 /proc/$$/stat 2> /dev/null && echo process
    head -c 3 /proc/cpuinfo && echo 500 > /proc/self/oom_score_adj && cat /proc/self/oom_score_adj";
    assert_eq!(output(&recording(script)), "pro500\n");
}

fn standard_input_is_nothing_of_the_host() {
    let script = "stat -L -c %F /proc/self/fd/0; cat";
    let with_devices = output(&shell(script));
    assert_eq!(with_devices, "character special file\n");
    let spec = Spec::new(["/bin/sh", "-c", script]).proc("/proc");
    assert_eq!(output(&with_host_system(spec)), "fifo\n");
}

/// Runs an operation of the probe program as a user that is not root, as far as the recorder makes it believe so.
fn as_user<const N: usize>(operation: [&str; N]) -> Spec {
    let switch = [
        "setpriv",
        "--reuid",
        "33",
        "--regid",
        "33",
        "--clear-groups",
    ];
    let arguments = switch
        .into_iter()
        .chain(["/probe", "probe"])
        .chain(operation);
    with_host_system(Spec::new(arguments))
        .environment("PATH", "/usr/bin:/bin")
        .bind_read_only(this_program(), "/probe")
        .proc("/proc")
        .devices("/dev")
        .ownership(OwnershipRecording::RecordAndAnswer)
}

fn nothing_is_made_for_a_user_where_nothing_may_be_written() {
    let host = host_directory();
    let file = plant(host.path(), "file", "before");
    let (lower, other) = (host.path().join("lower"), host.path().join("other"));
    plant(&lower, "file", "before");
    make_directories(&other);
    let overlay = Overlay {
        lowers: vec![lower, other],
        upper: None,
        work: None,
    };
    for (below, made_file, made_directory) in [
        ("/tree", libc::EROFS, libc::EROFS),
        ("/merged", libc::EROFS, libc::EROFS),
        ("/usr", libc::EROFS, libc::EROFS),
        ("", libc::EROFS, libc::EROFS),
        ("/sys", libc::EROFS, libc::EROFS),
        ("/proc", libc::ENOENT, libc::ENOENT),
        ("/proc/sys", libc::ENOENT, libc::ENOENT),
        ("/proc/1", libc::ENOENT, libc::ENOENT),
        ("/proc/self/fd", libc::ENOENT, libc::ENOENT),
        ("/proc/self/root", libc::EROFS, libc::EROFS),
        ("/proc/1/root", libc::EACCES, libc::EACCES),
        ("/dev/pts", libc::EACCES, libc::EPERM),
        ("/file", libc::ENOTDIR, libc::ENOTDIR),
        ("/writable", 0, 0),
        ("/dev/shm", 0, 0),
        // Landlock refuses it to root. It is the sandbox's own, and executes nothing.
        ("/dev", 0, 0),
    ] {
        let path = format!("{below}/new");
        for (operation, expected) in [
            (["create", &path], made_file),
            (["make-directory", &path], made_directory),
        ] {
            let spec = as_user(operation)
                .bind_read_only(host.path(), "/tree")
                .overlay("/merged", &overlay)
                .bind(&file, "/file")
                .tmpfs("/writable", 0o755)
                .sysfs("/sys");
            let found = errno_of(&spec);
            assert_eq!(found, expected, "{operation:?}");
        }
    }
    assert_eq!(contents(&file), "before");
}

fn other_ways_into_the_kernel_reach_no_recorded_call() {
    require!(
        Path::new("/usr/bin/perl").exists(),
        "perl, to make calls by number"
    );
    require!(cfg!(target_arch = "x86_64"), "the numbers of x86-64");
    // io_uring_setup, chown and setuid of the x32 table, and an allowed twin: getpid.
    let script = "for (425, 0x40000000 + 92, 0x40000000 + 105, 39) {
        print syscall($_, 0, 0, 0) < 0 ? $!{ENOSYS} ? \"missing\\n\" : \"$!\\n\" : \"made\\n\";
    }";
    let spec = recording("perl -MErrno -e \"$SCRIPT\"").environment("SCRIPT", script);
    assert_eq!(output(&spec), "missing\nmissing\nmissing\nmade\n");
}

/// The call by which 32-bit programs enter the kernel, whose numbers mean other calls.
#[cfg(target_arch = "x86_64")]
fn a_32_bit_call_kills_the_program() {
    let spec =
        crate::support::probe(["call-32-bit"]).ownership(OwnershipRecording::RecordAndAnswer);
    // Where the kernel has no such calls, the instruction faults.
    let found = run(&spec).outcome.status;
    let killed = [libc::SIGSYS, libc::SIGSEGV].map(ProgramStatus::Signaled);
    assert!(killed.contains(&found), "{found:?}");
}

#[cfg(not(target_arch = "x86_64"))]
fn a_32_bit_call_kills_the_program() {}

fn a_flood_of_calls_stops_neither_others_nor_the_clock() {
    let host = host_directory();
    let flood = "cd /tree; for number in $(seq 64); do
        while :; do : > made-$number; [ -e made-$number ]; rm made-$number; done &
    done";
    let others =
        "for number in $(seq 20); do touch mine; chown $number mine; stat -c %u mine; done";
    let spec = recording(&format!("{flood} 2> /dev/null; {others}")).bind(host.path(), "/tree");
    let expected: String = (1..=20).map(|number| format!("{number}\n")).collect();
    assert_eq!(output(&spec), expected);
    let started = Instant::now();
    let limited = recording(&format!("{flood} 2> /dev/null; wait"))
        .bind(host.path(), "/tree")
        .wall_clock_limit(Duration::from_secs(2));
    assert_eq!(run(&limited).outcome.status, ProgramStatus::TimedOut);
    assert!(started.elapsed() < Duration::from_secs(30));
}
