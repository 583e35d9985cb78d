//! Capabilities, ids, limits and what the kernel is asked through proc.

use overcoat_sandbox::PosixRlimitType;

use crate::harness::{require, tests};
use crate::support::{assert_errno, host_directory, plant, probe, refused_write, run, shell};

tests![
    the_capability_sets_are_exact,
    capabilities_are_reported,
    no_new_privileges_and_a_filter_are_set,
    one_id_is_mapped_and_groups_are_denied,
    namespaces_cannot_be_nested,
    nothing_can_be_mounted,
    a_root_can_be_changed,
    the_kernel_cannot_be_configured,
    host_memory_and_keys_are_hidden,
    limits_are_set,
    terminal_input_cannot_be_forged,
    rare_protocols_are_refused_before_they_are_loaded,
    real_time_scheduling_is_refused,
    a_setuid_program_gains_nothing,
];

fn status_lines(names: &[&str]) -> String {
    let ran = run(&probe(["print", "/proc/self/status"]));
    ran.stdout
        .lines()
        .filter(|line| {
            names
                .iter()
                .any(|name| line.starts_with(&format!("{name}:")))
        })
        .map(|line| line.replace('\t', " "))
        .collect::<Vec<_>>()
        .join("\n")
}

fn the_capability_sets_are_exact() {
    assert_eq!(
        status_lines(&["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]),
        "CapInh: 0000000000000000\n\
         CapPrm: 00000000800404ff\n\
         CapEff: 00000000800404ff\n\
         CapBnd: 00000000800404ff\n\
         CapAmb: 0000000000000000"
    );
}

fn capabilities_are_reported() {
    let enforcement = run(&probe(["exit", "0"])).outcome.enforcement;
    assert_eq!(
        enforcement.capabilities,
        [
            "CAP_CHOWN",
            "CAP_DAC_OVERRIDE",
            "CAP_DAC_READ_SEARCH",
            "CAP_FOWNER",
            "CAP_FSETID",
            "CAP_KILL",
            "CAP_NET_BIND_SERVICE",
            "CAP_SETFCAP",
            "CAP_SETGID",
            "CAP_SETUID",
            "CAP_SYS_CHROOT",
        ]
    );
    assert!(enforcement.seccomp);
    assert!(enforcement.landlock_abi >= 2);
}

fn no_new_privileges_and_a_filter_are_set() {
    assert_eq!(
        status_lines(&["NoNewPrivs", "Seccomp"]),
        "NoNewPrivs: 1\nSeccomp: 2"
    );
}

fn one_id_is_mapped_and_groups_are_denied() {
    for (file, id) in [
        ("uid_map", nix::unistd::geteuid().as_raw()),
        ("gid_map", nix::unistd::getegid().as_raw()),
    ] {
        let ran = run(&probe(["print", &format!("/proc/self/{file}")]));
        let numbers: Vec<&str> = ran.stdout.split_whitespace().collect();
        assert_eq!(numbers, ["0", id.to_string().as_str(), "1"]);
    }
    let ran = run(&probe(["print", "/proc/self/setgroups"]));
    assert_eq!(ran.stdout, "deny\n");
}

fn namespaces_cannot_be_nested() {
    assert_errno(&probe(["unshare", "user"]), libc::EPERM);
    assert_errno(&probe(["unshare", "files"]), 0);
}

fn nothing_can_be_mounted() {
    let spec = probe(["mount", "/tmp"]).tmpfs("/tmp", 0o1777);
    assert_errno(&spec, libc::EPERM);
    // The twin: the sandbox itself mounts there.
    assert_errno(&probe(["create", "/tmp/file"]).tmpfs("/tmp", 0o1777), 0);
}

fn a_root_can_be_changed() {
    assert_errno(&probe(["chroot", "/usr"]), 0);
}

fn the_kernel_cannot_be_configured() {
    for name in ["core_pattern", "modprobe", "hotplug"] {
        let path = format!("/proc/sys/kernel/{name}");
        if std::path::Path::new(&path).exists() {
            assert_errno(&probe(["write", &path]), refused_write());
            assert_errno(&probe(["read", &path]), 0);
        }
    }
    assert_errno(&probe(["write", "/proc/self/comm"]), 0);
}

fn host_memory_and_keys_are_hidden() {
    for name in ["keys", "kpageflags", "slabinfo"] {
        let path = format!("/proc/{name}");
        if std::path::Path::new(&path).exists() {
            let ran = run(&shell(&format!("cat {path} | wc -c")));
            assert_eq!(ran.stdout, "0\n", "{path}");
        }
    }
    let ran = run(&shell("cat /proc/meminfo | wc -c"));
    assert_ne!(ran.stdout, "0\n");
}

fn limits_are_set() {
    assert_eq!(run(&probe(["limit", "core"])).stdout, "(0, 0)");
    let (_, hard) =
        nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
    let files = hard.min(65536);
    assert_eq!(
        run(&probe(["limit", "files"])).stdout,
        format!("({files}, {files})")
    );
    let spec = probe(["limit", "file-size"]).resource_limit(PosixRlimitType::RlimitFsize, 4096);
    assert_eq!(run(&spec).stdout, "(4096, 4096)");
    assert_eq!(run(&probe(["umask"])).stdout, "022");
}

fn terminal_input_cannot_be_forged() {
    require!(
        std::path::Path::new("/usr/bin/perl").exists(),
        "perl, to make an ioctl with any number"
    );
    // On a terminal of its own, which `script` opens: TIOCSTI (0x5412) with and without bits that the kernel ignores,
    // TIOCLINUX (0x541c), TIOCSETD (0x5423), which loads line disciplines, and as the twin TIOCGWINSZ (0x5413).
    let ioctl = |number: &str| {
        format!("syscall(16, 0, {number}, my $byte = \"x\" x 8) == 0 or print $! + 0, \" \";")
    };
    let script: String = ["0x5412", "0x5412 + (1 << 32)", "0x541c", "0x5423", "0x5413"]
        .map(ioctl)
        .concat();
    let spec = shell(&format!(
        "script -qec \"perl -e '{}'\" /dev/null",
        script.replace('"', "\\\"").replace('$', "\\$")
    ));
    require!(
        cfg!(target_arch = "x86_64"),
        "the number of ioctl on x86-64"
    );
    let ran = run(&spec);
    assert_eq!(ran.stdout, "1 1 1 1 ", "{}", ran.stderr);
}

fn rare_protocols_are_refused_before_they_are_loaded() {
    for (domain, kind, protocol, expected) in [
        // SCTP and MPTCP, netfilter and the generic family of netlink, and kernel cryptography.
        ("2", "1", "132", libc::EPROTONOSUPPORT),
        ("2", "5", "0", libc::ESOCKTNOSUPPORT),
        ("10", "1", "262", libc::EPROTONOSUPPORT),
        ("16", "3", "12", libc::EPROTONOSUPPORT),
        ("16", "3", "16", libc::EPROTONOSUPPORT),
        ("38", "5", "0", libc::EAFNOSUPPORT),
        ("2", "1", "6", 0),
        ("2", "2", "17", 0),
        ("16", "3", "0", 0),
        // The kernel's own verdict, on raw sockets.
        ("2", "3", "1", libc::EPERM),
    ] {
        assert_errno(&probe(["socket", domain, kind, protocol]), expected);
    }
    assert_errno(&probe(["socket-pair", "1"]), 0);
    assert_errno(&probe(["socket-pair", "2"]), libc::EOPNOTSUPP);
}

fn real_time_scheduling_is_refused() {
    // SCHED_FIFO, and its twins SCHED_BATCH and SCHED_OTHER.
    assert_errno(&probe(["schedule", "1", "1"]), libc::EPERM);
    assert_errno(&probe(["schedule", "3", "0"]), 0);
    assert_errno(&probe(["schedule", "0", "0"]), 0);
}

fn a_setuid_program_gains_nothing() {
    let host = host_directory();
    let program = plant(
        host.path(),
        "program",
        "#!/bin/sh\ngrep CapEff /proc/self/status\n",
    );
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o6755)).unwrap();
    let ran = run(&shell("/tree/program").bind(host.path(), "/tree"));
    assert_eq!(ran.stdout, "CapEff:\t00000000800404ff\n", "{}", ran.stderr);
}
