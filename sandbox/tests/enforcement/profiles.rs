//! A person's own profile beside our filter.

use overcoat_sandbox::seccomp::{Profile, allowed};
use overcoat_sandbox::{Error, OwnershipRecording, ProgramStatus, Spec};

use crate::harness::tests;
use crate::support::{assert_errno, errno_of, host_directory, plant, probe, run, shell};

tests![
    a_profile_refuses_what_the_table_allows,
    a_profile_does_not_allow_what_the_table_refuses,
    a_profile_holds_for_children,
    a_profile_may_refuse_what_the_launcher_needs,
    a_profile_goes_before_the_recorder,
    a_profile_goes_before_what_succeeds_without_effect,
    arguments_are_compared,
    a_long_list_as_containers_have_it_lets_programs_work,
    a_missing_program_is_found_missing_before_the_profile,
    a_profile_is_printed,
];

fn profile(default: &str, entries: &str) -> Profile {
    Profile::parse(&format!(
        r#"{{"defaultAction": "SCMP_ACT_{default}", "syscalls": [{entries}]}}"#
    ))
    .unwrap()
}

/// Returns a profile that refuses `names` with `errno` and allows the rest.
fn refusing(names: &str, errno: i32) -> Profile {
    profile(
        "ALLOW",
        &format!(r#"{{"names": [{names}], "action": "SCMP_ACT_ERRNO", "errnoRet": {errno}}}"#),
    )
}

fn a_profile_refuses_what_the_table_allows() {
    let refused = refusing("\"ptrace\"", libc::EACCES);
    assert_errno(&probe(["trace-me"]).tighten(refused.clone()), libc::EACCES);
    assert_errno(&probe(["trace-me"]), 0);
    // Nothing else changes.
    assert_errno(&probe(["call", "getppid"]).tighten(refused), 0);
}

fn a_profile_does_not_allow_what_the_table_refuses() {
    let all = profile(
        "ALLOW",
        r#"{"names": ["bpf", "keyctl", "mount"], "action": "SCMP_ACT_ALLOW"}"#,
    );
    for spec in [
        probe(["call", "bpf"]),
        probe(["call", "keyctl"]),
        probe(["mount", "/tmp"]).tmpfs("/tmp", 0o1777),
    ] {
        assert_errno(&spec.tighten(all.clone()), libc::EPERM);
    }
    // Of two errors the profile's counts, which is the one that was asked for last.
    let other = refusing("\"bpf\"", libc::ENOSYS);
    assert_errno(&probe(["call", "bpf"]).tighten(other), libc::ENOSYS);
}

fn a_profile_holds_for_children() {
    let script = shell("sh -c 'ln -s target /tmp/link' || echo refused").tmpfs("/tmp", 0o1777);
    let refused = refusing("\"symlink\", \"symlinkat\"", libc::EPERM);
    assert_eq!(run(&script.clone().tighten(refused)).stdout, "refused\n");
    assert_eq!(run(&script).stdout, "");
}

fn a_profile_may_refuse_what_the_launcher_needs() {
    let killing = profile(
        "ALLOW",
        r#"{"names": ["seccomp", "prctl", "write", "writev", "sendmsg", "sendto", "fcntl", "close_range", "dup3",
            "capset", "chdir", "setsid", "clone", "fork", "vfork", "execveat"], "action": "SCMP_ACT_KILL_PROCESS"}"#,
    );
    for recording in [OwnershipRecording::Off, OwnershipRecording::RecordAndAnswer] {
        let spec = |script| shell(script).tighten(killing.clone()).ownership(recording);
        let status = |script| run(&spec(script)).outcome.status;
        assert_eq!(status("exit 7"), ProgramStatus::Exited(7));
        assert_eq!(status("echo said"), ProgramStatus::Signaled(libc::SIGSYS));
    }
}

fn a_profile_goes_before_the_recorder() {
    let host = host_directory();
    plant(host.path(), "file", "");
    let spec = || {
        probe(["change-owner", "/tree/file", "42"])
            .bind(host.path(), "/tree")
            .ownership(OwnershipRecording::RecordAndAnswer)
    };
    let refused = refusing("\"lchown\", \"fchownat\"", libc::EDOM);
    assert_errno(&spec().tighten(refused), libc::EDOM);
    // The recorder is still there for what the profile allows.
    assert_errno(&spec().tighten(refusing("\"ptrace\"", libc::EDOM)), 0);
}

fn a_profile_goes_before_what_succeeds_without_effect() {
    let spec = || probe(["sync-a-pipe"]).suppress_sync();
    let refused = refusing("\"fsync\"", libc::EIO);
    assert_errno(&spec().tighten(refused), libc::EIO);
    assert_errno(&spec(), 0);
}

fn arguments_are_compared() {
    let no_ipv6 = profile(
        "ALLOW",
        r#"{"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13,
            "args": [{"index": 0, "value": 10, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 15, "valueTwo": 1,
                      "op": "SCMP_CMP_MASKED_EQ"}]}"#,
    );
    let spec = |domain, kind| probe(["socket", domain, kind, "0"]).tighten(no_ipv6.clone());
    assert_errno(&spec("10", "1"), libc::EACCES);
    assert_errno(&spec("10", "2"), 0);
    assert_errno(&spec("2", "1"), 0);
}

fn a_long_list_as_containers_have_it_lets_programs_work() {
    let names: Vec<String> = allowed()
        .iter()
        .flat_map(overcoat_sandbox::seccomp::Allowed::names)
        .filter(|name| !["ptrace", "chroot", "personality"].contains(name))
        .chain(["chown32", "a_call_to_come"])
        .map(|name| format!("\"{name}\""))
        .collect();
    let listed = Profile::parse(&format!(
        r#"{{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
            "archMap": [{{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}}],
            "syscalls": [
                {{"names": [{}], "action": "SCMP_ACT_ALLOW"}},
                {{"names": ["chroot"], "action": "SCMP_ACT_ALLOW", "includes": {{"caps": ["CAP_SYS_CHROOT"]}}}},
                {{"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {{"minKernel": "99.0"}}}},
                {{"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}},
                {{"names": ["personality"], "action": "SCMP_ACT_ALLOW",
                  "args": [{{"index": 0, "value": 4294967295, "op": "SCMP_CMP_EQ"}}]}}]}}"#,
        names.join(",")
    ))
    .unwrap();
    assert_eq!(listed.skipped(), ["a_call_to_come"]);
    let script = "ls / | grep -c usr; sort -u /etc/nothing 2>/dev/null; (echo a; echo b) | tee /tmp/f | wc -l; \
                  cp -a /tmp/f /tmp/g && cmp /tmp/f /tmp/g && find /tmp -name g; setarch -R true || echo refused";
    let ran = run(&shell(script).tmpfs("/tmp", 0o1777).tighten(listed.clone()));
    assert_eq!(ran.stdout, "1\n2\n/tmp/g\nrefused\n", "{}", ran.stderr);
    assert_errno(&probe(["trace-me"]).tighten(listed.clone()), libc::EPERM);
    assert_errno(&probe(["chroot", "/usr"]).tighten(listed), 0);
}

fn a_missing_program_is_found_missing_before_the_profile() {
    let quiet = refusing("\"write\"", libc::EPERM);
    let missing = Spec::new(["/no/such/program"]).tighten(quiet).spawn();
    match missing {
        Ok(running) => panic!("{:?}", running.wait()),
        Err(Error::ProgramMissing { program }) => assert_eq!(program, "/no/such/program"),
        Err(other) => panic!("{other}"),
    }
    let spec = |names| {
        let name = "sh";
        crate::support::with_host_system(Spec::new([name, "-c", "exit 3"]))
            .tighten(refusing(names, libc::EPERM))
    };
    // Found by the search path, with which access is asked for before.
    assert_eq!(
        errno_of(&spec("\"access\", \"faccessat\", \"faccessat2\"")),
        3
    );
}

fn a_profile_is_printed() {
    let printed = probe(["exit", "0"])
        .tighten(refusing("\"ptrace\"", 13))
        .to_json()
        .unwrap();
    assert_eq!(
        printed.get("seccomp_profile").unwrap().to_string(),
        r#"{"calls":{"ptrace":[{"verdict":{"errno":13}}]},"default":"allow","skipped":[]}"#
    );
    let plain = probe(["exit", "0"]).to_json().unwrap();
    assert_eq!(plain.get("seccomp_profile"), None);
}
