//! What the table decides, by running its programs.

use libc::{
    SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO, SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_USER_NOTIF,
};

use super::calls::{self, Known};
use super::interpreter::interpret;
use super::numbers::{FIRST_UNJUDGED, GAPS};
use super::numbers::{NATIVE_ARCHITECTURE, SYS_getxattrat, SYS_removexattrat, SYS_setxattrat};
use super::{Policy, Scope, allowed, assemble, assemble_seal, rows};
use crate::spec::OwnershipRecording;

const ANSWERING: Policy = Policy {
    ownership: OwnershipRecording::RecordAndAnswer,
    suppress_sync: true,
    network_scoped: false,
};
const RECORDING: Policy = Policy {
    ownership: OwnershipRecording::Record,
    suppress_sync: true,
    network_scoped: false,
};
const PLAIN: Policy = Policy {
    ownership: OwnershipRecording::Off,
    suppress_sync: false,
    network_scoped: false,
};
const SCOPED: Policy = Policy {
    ownership: OwnershipRecording::Off,
    suppress_sync: true,
    network_scoped: true,
};
/// `AUDIT_ARCH_I386`.
const I386: u32 = 0x4000_0003;
const GARBAGE: u64 = 0xdead_beef_0000_0000;

fn errno(value: i32) -> u32 {
    SECCOMP_RET_ERRNO | u32::try_from(value).unwrap()
}

fn decide(policy: &Policy, architecture: u32, number: u32, arguments: [u64; 6]) -> u32 {
    interpret(&assemble(policy), architecture, number, arguments)
}

fn number(constant: libc::c_long) -> u32 {
    u32::try_from(constant).unwrap()
}

fn native(policy: &Policy, constant: libc::c_long, arguments: [u64; 6]) -> u32 {
    decide(policy, NATIVE_ARCHITECTURE, number(constant), arguments)
}

#[test]
fn calls_that_no_row_names_are_allowed() {
    for call in [
        libc::SYS_read,
        libc::SYS_ptrace,
        libc::SYS_execve,
        libc::SYS_chroot,
        libc::SYS_fchmodat,
    ] {
        assert_eq!(native(&RECORDING, call, [0; 6]), SECCOMP_RET_ALLOW);
    }
}

#[test]
fn every_row_without_tests_decides_its_call() {
    for row in rows().filter(|row| row.tests.is_empty()) {
        let expected = match row.action {
            super::Action::Allow => SECCOMP_RET_ALLOW,
            super::Action::Errno(value) => errno(value),
            super::Action::Notify => SECCOMP_RET_USER_NOTIF,
        };
        let policy = match row.scope {
            Scope::ScopedNetwork => &SCOPED,
            _ => &ANSWERING,
        };
        let found = decide(policy, NATIVE_ARCHITECTURE, row.call.number, [GARBAGE; 6]);
        assert_eq!(found, expected, "{}", row.call.name());
    }
}

#[test]
fn a_scoped_network_has_tcp_and_udp_and_no_way_past_the_supervisor() {
    use libc::{EACCES, EAFNOSUPPORT, EOPNOTSUPP, EPERM, EPROTONOSUPPORT, ESOCKTNOSUPPORT};
    let flags = 0x8_0800;
    for (call, arguments, expected) in [
        (libc::SYS_socket, [2, 1, 0, 0, 0, 0], SECCOMP_RET_ALLOW),
        (
            libc::SYS_socket,
            [10, 1 | flags, 6, 0, 0, 0],
            SECCOMP_RET_ALLOW,
        ),
        (
            libc::SYS_socket,
            [2, 2 | 0x800, 17, 0, 0, 0],
            SECCOMP_RET_ALLOW,
        ),
        (libc::SYS_socket, [1, 1, 0, 0, 0, 0], errno(EAFNOSUPPORT)),
        (libc::SYS_socket, [16, 3, 0, 0, 0, 0], errno(EAFNOSUPPORT)),
        (
            libc::SYS_socket,
            [2, 3 | flags, 6, 0, 0, 0],
            errno(ESOCKTNOSUPPORT),
        ),
        (libc::SYS_socket, [2, 2, 1, 0, 0, 0], errno(EPROTONOSUPPORT)),
        (
            libc::SYS_connect,
            [3, 1, 16, 0, 0, 0],
            SECCOMP_RET_USER_NOTIF,
        ),
        (libc::SYS_bind, [3, 1, 16, 0, 0, 0], errno(EACCES)),
        (libc::SYS_sendto, [3, 1, 5, 0, 0, 0], SECCOMP_RET_ALLOW),
        // An address of which the pointer's low half is nothing.
        (libc::SYS_sendto, [3, 1, 5, 0, GARBAGE, 16], errno(EACCES)),
        (
            libc::SYS_sendto,
            [3, 1, 5, 0x2000_0000, 0, 0],
            errno(EOPNOTSUPP),
        ),
        (
            libc::SYS_sendmsg,
            [3, 1, 0x4000, 0, 0, 0],
            SECCOMP_RET_USER_NOTIF,
        ),
        (
            libc::SYS_sendmsg,
            [3, 1, 0x2000_0000, 0, 0, 0],
            errno(EOPNOTSUPP),
        ),
        (libc::SYS_sendmsg, [3, 1, 0x10, 0, 0, 0], SECCOMP_RET_ALLOW),
        (
            libc::SYS_sendmmsg,
            [3, 1, 2, 0x4000, 0, 0],
            SECCOMP_RET_USER_NOTIF,
        ),
        (
            libc::SYS_sendmmsg,
            [3, 1, 2, 0x2000_0010, 0, 0],
            errno(EOPNOTSUPP),
        ),
        (libc::SYS_setsockopt, [3, 0, 4, 0, 0, 0], errno(EPERM)),
        (libc::SYS_setsockopt, [3, 41, 57, 0, 0, 0], errno(EPERM)),
        (libc::SYS_setsockopt, [3, 6, 4, 0, 0, 0], SECCOMP_RET_ALLOW),
    ] {
        for high in [0, GARBAGE] {
            let arguments = arguments.map(|argument: u64| argument | high);
            assert_eq!(
                native(&SCOPED, call, arguments),
                expected,
                "{call} {arguments:x?}"
            );
        }
    }
    // The second filter leaves all else as it is.
    let seal = |call, flags| {
        let arguments = [3, 1, flags | GARBAGE, 0, 0, 0];
        interpret(
            &assemble_seal(),
            NATIVE_ARCHITECTURE,
            number(call),
            arguments,
        )
    };
    assert_eq!(seal(libc::SYS_sendmsg, 0x10), errno(EOPNOTSUPP));
    assert_eq!(seal(libc::SYS_sendmsg, 0x4000), SECCOMP_RET_ALLOW);
    assert_eq!(seal(libc::SYS_connect, 0x10), SECCOMP_RET_ALLOW);
}

#[test]
fn foreign_architectures_kill_the_process() {
    for architecture in [I386, 0, 0x4000_0028] {
        for call in [0, 1, 20, number(libc::SYS_read), 0xffff_ffff] {
            assert_eq!(
                decide(&PLAIN, architecture, call, [0; 6]),
                SECCOMP_RET_KILL_PROCESS
            );
        }
    }
}

#[test]
fn unjudged_and_x32_numbers_do_not_exist() {
    for call in [
        GAPS[0].0,
        GAPS[0].1,
        423,
        470,
        512,
        514,
        547,
        0x4000_0000,
        0x4000_0010,
        0x4000_0000 + number(libc::SYS_fchown),
        u32::MAX,
    ] {
        assert_eq!(
            decide(&PLAIN, NATIVE_ARCHITECTURE, call, [0; 6]),
            errno(libc::ENOSYS)
        );
    }
    assert_eq!(
        decide(&PLAIN, NATIVE_ARCHITECTURE, 469, [0; 6]),
        SECCOMP_RET_ALLOW
    );
}

#[test]
fn arguments_decide_on_their_low_half() {
    use libc::{
        EAFNOSUPPORT, EOPNOTSUPP, EPERM, SYS_clone, SYS_ioctl, SYS_personality, SYS_prctl,
        SYS_socket, SYS_socketpair, SYS_unshare,
    };
    let allow = SECCOMP_RET_ALLOW;
    let at = |position: usize, value: u64| {
        let mut arguments = [GARBAGE; 6];
        arguments[position] = value;
        arguments
    };
    for (call, position, value, expected) in [
        (SYS_ioctl, 1, 0x5412, errno(EPERM)),
        (SYS_ioctl, 1, 0x541c, errno(EPERM)),
        (SYS_ioctl, 1, 0x5423, errno(EPERM)),
        (SYS_ioctl, 1, 0x5413, allow),
        (SYS_socket, 0, 1, allow),
        (SYS_socket, 0, 17, errno(EAFNOSUPPORT)),
        (SYS_socket, 0, 38, errno(EAFNOSUPPORT)),
        (SYS_socket, 0, 40, errno(EAFNOSUPPORT)),
        (SYS_unshare, 0, 0x1000_0000, errno(EPERM)),
        (SYS_unshare, 0, 0x80, errno(EPERM)),
        // A namespace of a kernel to come.
        (SYS_unshare, 0, 0x0010_0000, errno(EPERM)),
        (SYS_unshare, 0, 0x200, allow),
        (SYS_unshare, 0, 0x0005_0f00, allow),
        (SYS_prctl, 0, 35, errno(EPERM)),
        (SYS_prctl, 0, 15, allow),
        (SYS_socketpair, 0, 1, allow),
        (SYS_socketpair, 0, 2, errno(EOPNOTSUPP)),
        (SYS_socketpair, 0, 38, errno(EOPNOTSUPP)),
        (SYS_clone, 0, 0x1000_0011, errno(EPERM)),
        (SYS_clone, 0, 0x4000_0011, errno(EPERM)),
        (SYS_clone, 0, 0x003d_0f00, allow),
        (SYS_clone, 0, 0x91, allow),
        (SYS_personality, 0, 0xffff_ffff, allow),
        (SYS_personality, 0, 0x4_0000, allow),
        (SYS_personality, 0, 0x8, allow),
        (SYS_personality, 0, 0x40_0000, errno(EPERM)),
    ] {
        for high in [0, 0x1_0000_0000, GARBAGE] {
            let found = native(&PLAIN, call, at(position, value | high));
            assert_eq!(found, expected, "call {call}, argument {value:#x}");
        }
    }
}

#[test]
fn sockets_have_the_protocols_that_builds_use() {
    let (family, kind) = (errno(libc::EPROTONOSUPPORT), errno(libc::ESOCKTNOSUPPORT));
    let allow = SECCOMP_RET_ALLOW;
    for (domain, socket_type, protocol, expected) in [
        (2, 1, 0, allow),
        (2, 0x8_0801, 6, allow),
        (10, 0x8_0002, 17, allow),
        (10, 2, 58, allow),
        (2, 3, 1, allow),
        // SCTP, by its protocol and as what a sequenced socket is, MPTCP, SMC, UDP-Lite and DCCP.
        (2, 1, 132, family),
        (2, 5, 0, kind),
        (10, 0x8_0005, 0, kind),
        (10, 1, 262, family),
        (2, 1, 256, family),
        (2, 2, 136, family),
        (2, 6, 33, kind),
        (16, 3, 0, allow),
        (16, 0x8_0003, 9, allow),
        // Netfilter, xfrm, the generic family, crypto.
        (16, 3, 12, family),
        (16, 3, 6, family),
        (16, 2, 16, family),
        (16, 3, 21, family),
        (1, 5, 0, allow),
    ] {
        for high in [0, GARBAGE] {
            let arguments = [
                domain | high,
                socket_type | high,
                protocol | high,
                GARBAGE,
                GARBAGE,
                GARBAGE,
            ];
            let found = native(&PLAIN, libc::SYS_socket, arguments);
            assert_eq!(found, expected, "{domain} {socket_type:#x} {protocol}");
        }
    }
}

#[test]
fn devices_are_recorded_and_whiteouts_are_not() {
    let ask = |mode: u64, device: u64| {
        native(
            &RECORDING,
            libc::SYS_mknodat,
            [0, 0, mode | GARBAGE, device | GARBAGE, 0, 0],
        )
    };
    assert_eq!(ask(0o020_000, 0), SECCOMP_RET_ALLOW);
    assert_eq!(ask(0o020_666, 0x103), SECCOMP_RET_USER_NOTIF);
    assert_eq!(ask(0o060_660, 0x800), SECCOMP_RET_USER_NOTIF);
    assert_eq!(ask(0o060_660, 0), SECCOMP_RET_USER_NOTIF);
    // Their owner is the process's.
    assert_eq!(ask(0o010_644, 0), SECCOMP_RET_USER_NOTIF);
    assert_eq!(ask(0o100_644, 0x103), SECCOMP_RET_USER_NOTIF);
}

#[test]
fn opening_is_recorded_when_it_may_make_a_file() {
    let (create, unnamed) = (libc::O_CREAT, libc::O_TMPFILE);
    for (flags, expected) in [
        (libc::O_RDONLY, SECCOMP_RET_ALLOW),
        (libc::O_RDWR | libc::O_TRUNC, SECCOMP_RET_ALLOW),
        (libc::O_DIRECTORY | libc::O_CLOEXEC, SECCOMP_RET_ALLOW),
        (create, SECCOMP_RET_USER_NOTIF),
        (
            create | libc::O_EXCL | libc::O_WRONLY,
            SECCOMP_RET_USER_NOTIF,
        ),
        (unnamed | libc::O_RDWR, SECCOMP_RET_USER_NOTIF),
    ] {
        let flags = u64::from(flags.cast_unsigned());
        for high in [0, GARBAGE] {
            let arguments = [7, 7, flags | high, 7, 7, 7];
            assert_eq!(native(&RECORDING, libc::SYS_openat, arguments), expected);
            assert_eq!(
                native(&PLAIN, libc::SYS_openat, arguments),
                SECCOMP_RET_ALLOW
            );
        }
    }
}

#[test]
fn recording_notifies_calls_about_owners_attributes_and_ids() {
    for call in [
        libc::SYS_fchown,
        libc::SYS_fchownat,
        libc::SYS_setxattr,
        libc::SYS_fremovexattr,
        SYS_setxattrat,
        SYS_removexattrat,
        libc::SYS_setresuid,
        libc::SYS_setgroups,
        libc::SYS_getuid,
        libc::SYS_openat2,
        libc::SYS_mkdirat,
    ] {
        assert_eq!(native(&RECORDING, call, [0; 6]), SECCOMP_RET_USER_NOTIF);
        assert_eq!(native(&ANSWERING, call, [0; 6]), SECCOMP_RET_USER_NOTIF);
        assert_eq!(native(&PLAIN, call, [0; 6]), SECCOMP_RET_ALLOW);
    }
}

#[test]
fn answering_notifies_calls_that_read_what_is_recorded() {
    for call in [
        libc::SYS_fstat,
        libc::SYS_newfstatat,
        libc::SYS_statx,
        libc::SYS_lgetxattr,
        libc::SYS_flistxattr,
        SYS_getxattrat,
    ] {
        assert_eq!(native(&ANSWERING, call, [0; 6]), SECCOMP_RET_USER_NOTIF);
        assert_eq!(native(&RECORDING, call, [0; 6]), SECCOMP_RET_ALLOW);
    }
}

#[test]
fn sync_is_suppressed_only_when_asked_for() {
    assert_eq!(native(&RECORDING, libc::SYS_fsync, [0; 6]), errno(0));
    assert_eq!(native(&PLAIN, libc::SYS_fsync, [0; 6]), SECCOMP_RET_ALLOW);
    assert_eq!(
        native(&RECORDING, libc::SYS_msync, [0, 0, 4, 0, 0, 0]),
        errno(0)
    );
    assert_eq!(
        native(&RECORDING, libc::SYS_msync, [0, 0, 1, 0, 0, 0]),
        SECCOMP_RET_ALLOW
    );
}

#[test]
fn programs_fit_the_kernels_limit() {
    // BPF_MAXINSNS of `linux/bpf_common.h`.
    assert!(assemble(&ANSWERING).len() <= 4096);
}

#[test]
fn every_row_says_why() {
    for row in rows() {
        assert!(row.reason.len() > 10, "{}", row.call.name());
    }
}

#[test]
fn every_call_is_refused_or_allowed_for_a_reason() {
    let refused: Vec<&str> = rows()
        .filter(|row| row.scope == Scope::Always && row.tests.is_empty())
        .map(|row| row.call.name())
        .collect();
    let reasons: Vec<&str> = allowed().iter().flat_map(super::Allowed::names).collect();
    for (name, known) in calls::all() {
        let times = reasons.iter().filter(|other| **other == name).count();
        match known {
            Known::Native(_) => {
                let refused = usize::from(refused.contains(&name));
                assert_eq!(times + refused, 1, "verdicts on {name}");
            }
            Known::Foreign => assert!(!refused.contains(&name), "{name}"),
        }
    }
    for name in reasons {
        assert!(calls::find(name).is_some(), "{name} is no call");
    }
    for allowed in allowed() {
        assert!(allowed.reason.len() > 10, "{}", allowed.reason);
    }
}

#[test]
fn the_numbers_below_the_first_unjudged_are_those_of_calls_or_in_gaps() {
    let mut numbers: Vec<u32> = calls::all()
        .filter_map(|(_, known)| match known {
            Known::Native(number) => Some(number),
            Known::Foreign => None,
        })
        .chain(GAPS.iter().flat_map(|&(first, last)| first..=last))
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..FIRST_UNJUDGED).collect::<Vec<_>>());
}

#[test]
fn names_have_the_numbers_of_the_rows() {
    for row in rows() {
        let known = calls::find(row.call.name());
        assert_eq!(
            known,
            Some(Known::Native(row.call.number)),
            "{}",
            row.call.name()
        );
    }
}

/// The headers may be older or newer than the table.
#[test]
#[cfg(target_arch = "x86_64")]
fn names_have_the_numbers_of_the_kernels_headers() {
    let places = [
        "/usr/include/x86_64-linux-gnu/asm/unistd_64.h",
        "/usr/include/asm/unistd_64.h",
    ];
    #[expect(
        clippy::disallowed_methods,
        reason = "a header that is missing is passed over"
    )]
    let Some(header) = places
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok())
    else {
        println!("SKIP: no kernel headers");
        return;
    };
    let mut compared = 0;
    for line in header.lines() {
        let Some((name, value)) = line
            .strip_prefix("#define __NR_")
            .and_then(|rest| rest.split_once(' '))
        else {
            continue;
        };
        let value: u32 = value.trim().parse().unwrap();
        if value < FIRST_UNJUDGED {
            assert_eq!(calls::find(name), Some(Known::Native(value)), "{name}");
            compared += 1;
        }
    }
    assert!(compared > 300);
}
