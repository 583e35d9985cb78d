//! What a program gets from the recorder that its own confinement would not give it: nothing.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use overcoat_sandbox::{OwnershipRecording, ProgramStatus, Spec};

use crate::harness::tests;
use crate::support::{run, shell, with_host_system};

tests![
    devices_of_the_host_keep_their_mode_owner_and_times,
    standard_input_is_nothing_of_the_host,
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

fn standard_input_is_nothing_of_the_host() {
    let script = "stat -L -c %F /proc/self/fd/0; cat";
    let with_devices = output(&shell(script));
    assert_eq!(with_devices, "character special file\n");
    let spec = Spec::new(["/bin/sh", "-c", script]).proc("/proc");
    assert_eq!(output(&with_host_system(spec)), "fifo\n");
}
