//! Descriptors, environment and other processes.

use std::os::fd::AsFd;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::harness::{require, tests};
use crate::support::{assert_errno, host_directory, plant, probe, run, shell};

tests![
    only_three_descriptors_reach_the_program,
    the_environment_is_empty,
    variables_that_are_given_arrive,
    standard_input_is_empty,
    processes_of_the_host_are_invisible,
    control_groups_of_the_host_are_not_named,
    processes_of_the_host_cannot_be_signalled,
    init_cannot_be_opened_or_signalled,
    the_program_leads_its_session,
    the_host_name_is_the_given_one,
    the_working_directory_is_the_given_one,
    signals_have_their_default_disposition,
];

fn only_three_descriptors_reach_the_program() {
    let host = host_directory();
    let secret = plant(host.path(), "secret", "x");
    // A descriptor that the caller forgot to mark close-on-exec.
    let leaked = std::fs::OpenOptions::new().read(true).open(secret).unwrap();
    fcntl(leaked.as_fd(), FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let ran = run(&shell(
        "ls /proc/self/fd; ls -l /proc/*/fd/ | grep -c secret",
    ));
    // The third is the directory that `ls` reads.
    assert_eq!(ran.stdout, "0\n1\n2\n3\n0\n");
}

fn the_environment_is_empty() {
    assert!(std::env::var_os("PATH").is_some());
    assert_eq!(run(&probe(["environment"])).stdout, "");
}

fn variables_that_are_given_arrive() {
    let spec = probe(["environment"])
        .environment("NAME", "first")
        .environment("NAME", "last")
        .environment("NAME_2", "a=b");
    assert_eq!(run(&spec).stdout, "NAME=last\nNAME_2=a=b\n");
}

fn standard_input_is_empty() {
    assert_eq!(run(&shell("cat | wc -c")).stdout, "0\n");
    let ran = run(&shell("cat /dev/stdin && echo x > /dev/stderr"));
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", "x\n"));
}

fn processes_of_the_host_are_invisible() {
    let ran = run(&shell(
        "set -- /proc/[0-9]*; echo $#; cat /proc/1/comm; echo $$",
    ));
    let lines: Vec<&str> = ran.stdout.lines().collect();
    // Init and the shell.
    assert_eq!(lines[0], "2", "{}", ran.stdout);
    assert_eq!(lines[2], "2");
}

fn control_groups_of_the_host_are_not_named() {
    let ran = run(&probe(["print", "/proc/self/cgroup"]));
    for line in ran.stdout.lines() {
        assert!(line.ends_with(":/"), "{line}");
    }
}

fn processes_of_the_host_cannot_be_signalled() {
    let host = std::process::id().to_string();
    require!(
        host != "1" && host != "2",
        "a process id that the sandbox does not have"
    );
    assert_errno(&probe(["signal", &host]), libc::ESRCH);
    assert_errno(&probe(["signal-own-child"]), 0);
    // To all processes: only those inside get it.
    assert_eq!(run(&shell("kill -TERM -1; echo alive")).stdout, "alive\n");
}

fn init_cannot_be_opened_or_signalled() {
    for path in ["/proc/1/exe", "/proc/1/root", "/proc/1/cwd", "/proc/1/fd/0"] {
        assert_errno(&probe(["read-link", path]), libc::EACCES);
    }
    assert_errno(&probe(["read", "/proc/1/mem"]), libc::EACCES);
    assert_errno(&probe(["read-link", "/proc/self/exe"]), 0);
    let scoped = run(&probe(["exit", "0"]))
        .outcome
        .enforcement
        .landlock_scopes;
    require!(scoped, "Landlock ABI 6, which scopes signals");
    assert_errno(&probe(["signal", "1"]), libc::EPERM);
}

fn the_program_leads_its_session() {
    assert_eq!(run(&probe(["session"])).stdout, "true");
}

fn the_host_name_is_the_given_one() {
    assert_eq!(run(&probe(["hostname"])).stdout, "overcoat");
    assert_eq!(run(&probe(["hostname"]).hostname("other")).stdout, "other");
}

fn the_working_directory_is_the_given_one() {
    assert_eq!(run(&probe(["working-directory"])).stdout, "/");
    let spec = probe(["working-directory"]).working_directory("/usr/bin");
    assert_eq!(run(&spec).stdout, "/usr/bin");
}

fn signals_have_their_default_disposition() {
    // The runtime of Rust ignores SIGPIPE, which an executed program would inherit.
    let ran = run(&probe(["print", "/proc/self/status"]));
    let line = |name: &str| {
        let line = ran.stdout.lines().find(|line| line.starts_with(name));
        line.unwrap().split('\t').nth(1).unwrap().to_owned()
    };
    assert_eq!(line("SigBlk:"), "0000000000000000");
    let ran = run(&shell("grep SigIgn /proc/self/status"));
    assert_eq!(ran.stdout, "SigIgn:\t0000000000000000\n");
}
