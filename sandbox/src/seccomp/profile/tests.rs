//! What profiles decide, by running the programs that are made of them.

use libc::{
    SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO, SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_THREAD,
    SECCOMP_RET_LOG, SECCOMP_RET_TRAP,
};

use super::resolve::Host;
use super::{Profile, ProfileError};
use crate::seccomp::calls::{self, Known};
use crate::seccomp::interpreter::interpret;
use crate::seccomp::numbers::{GAPS, NATIVE_ARCHITECTURE};

fn host() -> Host {
    Host {
        kernel: (6, 1),
        architecture: if cfg!(target_arch = "x86_64") {
            "amd64"
        } else {
            "arm64"
        },
        capabilities: vec!["CAP_CHOWN".to_owned(), "CAP_SYS_CHROOT".to_owned()],
    }
}

fn parsed(text: &str) -> Result<Profile, ProfileError> {
    let document = serde_json::from_str(text).map_err(|source| ProfileError::Form { source })?;
    Profile::from_document(&document, &host())
}

/// Returns a profile with these entries that allows everything else.
fn entries(entries: &str) -> Profile {
    parsed(&format!(
        r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{entries}]}}"#
    ))
    .unwrap()
}

fn number(name: &str) -> u32 {
    match calls::find(name) {
        Some(Known::Native(number)) => number,
        other => panic!("{name}: {other:?}"),
    }
}

fn ask(profile: &Profile, name: &str, arguments: [u64; 6]) -> u32 {
    interpret(
        &profile.compile(),
        NATIVE_ARCHITECTURE,
        number(name),
        arguments,
    )
}

fn errno(value: i32) -> u32 {
    SECCOMP_RET_ERRNO | value.cast_unsigned()
}

#[test]
fn operators_compare_all_64_bits() {
    const HIGH: u64 = 1 << 32;
    let value = 5 * HIGH + 7;
    let arguments = [
        0,
        6,
        7,
        8,
        4 * HIGH + 7,
        4 * HIGH + 9,
        5 * HIGH,
        value - 1,
        value,
        value + 1,
        6 * HIGH,
        6 * HIGH + 7,
        u64::MAX,
    ];
    type Holds = fn(u64, u64) -> bool;
    let operators: [(&str, Holds); 6] = [
        ("NE", |argument, value| argument != value),
        ("LT", |argument, value| argument < value),
        ("LE", |argument, value| argument <= value),
        ("EQ", |argument, value| argument == value),
        ("GE", |argument, value| argument >= value),
        ("GT", |argument, value| argument > value),
    ];
    for value in [value, 0, 7, 5 * HIGH, u64::MAX] {
        for (operator, holds) in operators {
            for index in 0..6 {
                let profile = entries(&format!(
                    r#"{{"names": ["ioctl"], "action": "SCMP_ACT_ERRNO",
                        "args": [{{"index": {index}, "value": {value}, "op": "SCMP_CMP_{operator}"}}]}}"#
                ));
                for argument in arguments {
                    let mut given = [0xdead_beef_dead_beef; 6];
                    given[index] = argument;
                    let expected = match holds(argument, value) {
                        true => errno(libc::EPERM),
                        false => SECCOMP_RET_ALLOW,
                    };
                    let found = ask(&profile, "ioctl", given);
                    assert_eq!(found, expected, "{argument:#x} {operator} {value:#x}");
                }
            }
        }
    }
}

#[test]
fn masks_reach_both_halves() {
    let profile = entries(
        r#"{"names": ["clone"], "action": "SCMP_ACT_ERRNO", "args": [
            {"index": 0, "value": 64424509455, "valueTwo": 8589934595, "op": "SCMP_CMP_MASKED_EQ"}]}"#,
    );
    let high = 1_u64 << 32;
    for (argument, refused) in [
        (2 * high + 3, true),
        (2 * high + 0x13, true),
        (0x12 * high + 3, true),
        (3, false),
        (2 * high, false),
        (3 * high + 3, false),
        (2 * high + 7, false),
    ] {
        let found = ask(&profile, "clone", [argument, 9, 9, 9, 9, 9]);
        assert_eq!(found == errno(libc::EPERM), refused, "{argument:#x}");
    }
}

#[test]
fn conditions_on_different_arguments_must_all_hold() {
    let profile = entries(
        r#"{"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 97, "args": [
            {"index": 0, "value": 16, "op": "SCMP_CMP_EQ"}, {"index": 2, "value": 9, "op": "SCMP_CMP_EQ"}]}"#,
    );
    assert_eq!(ask(&profile, "socket", [16, 3, 9, 0, 0, 0]), errno(97));
    for arguments in [[16, 3, 0, 0, 0, 0], [1, 3, 9, 0, 0, 0]] {
        assert_eq!(ask(&profile, "socket", arguments), SECCOMP_RET_ALLOW);
    }
}

#[test]
fn conditions_on_one_argument_are_alternatives() {
    let profile = entries(
        r#"{"names": ["personality"], "action": "SCMP_ACT_ERRNO", "args": [
            {"index": 0, "value": 3, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 5, "op": "SCMP_CMP_EQ"}]}"#,
    );
    for (persona, expected) in [(3, errno(1)), (5, errno(1)), (4, SECCOMP_RET_ALLOW)] {
        let found = ask(&profile, "personality", [persona, 0, 0, 0, 0, 0]);
        assert_eq!(found, expected, "{persona}");
    }
}

#[test]
fn the_strictest_rule_that_matches_counts() {
    let refuse = r#"{"names": ["ioctl"], "action": "SCMP_ACT_ERRNO",
        "args": [{"index": 1, "value": 21522, "op": "SCMP_CMP_EQ"}]}"#;
    let allow = r#"{"names": ["ioctl", "read"], "action": "SCMP_ACT_ALLOW"}"#;
    let log = r#"{"name": "ioctl", "action": "SCMP_ACT_LOG",
        "args": [{"index": 1, "value": 4, "op": "SCMP_CMP_LT"}]}"#;
    for order in [
        [refuse, allow, log],
        [allow, refuse, log],
        [log, allow, refuse],
    ] {
        let profile = entries(&order.join(","));
        for (request, expected) in [
            (0x5412, errno(libc::EPERM)),
            (3, SECCOMP_RET_LOG),
            (0x5413, SECCOMP_RET_ALLOW),
        ] {
            let found = ask(&profile, "ioctl", [0, request, 0, 0, 0, 0]);
            assert_eq!(found, expected, "{request:#x}");
        }
    }
}

#[test]
fn every_action_has_its_answer() {
    for (action, expected) in [
        ("SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS),
        ("SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD),
        ("SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD),
        ("SCMP_ACT_TRAP", SECCOMP_RET_TRAP),
        ("SCMP_ACT_ERRNO", errno(libc::EPERM)),
        ("SCMP_ACT_TRACE", errno(libc::ENOSYS)),
        ("SCMP_ACT_LOG", SECCOMP_RET_LOG),
        ("SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW),
    ] {
        let profile = entries(&format!(
            r#"{{"names": ["chmod", "fchmodat"], "action": "{action}"}}"#
        ));
        assert_eq!(ask(&profile, "fchmodat", [0; 6]), expected, "{action}");
        assert_eq!(ask(&profile, "fchmod", [0; 6]), SECCOMP_RET_ALLOW);
    }
}

#[test]
fn entries_apply_by_architecture_kernel_and_capabilities() {
    let native = host().architecture;
    for (condition, applies) in [
        (format!(r#""includes": {{"arches": ["{native}"]}}"#), true),
        (r#""includes": {"arches": ["s390x"]}"#.to_owned(), false),
        (format!(r#""excludes": {{"arches": ["{native}"]}}"#), false),
        (r#""includes": {"minKernel": "6.1"}"#.to_owned(), true),
        (r#""includes": {"minKernel": "6.2"}"#.to_owned(), false),
        (r#""excludes": {"minKernel": "4.8"}"#.to_owned(), false),
        (r#""includes": {"caps": ["CAP_CHOWN"]}"#.to_owned(), true),
        (
            r#""includes": {"caps": ["CAP_CHOWN", "CAP_SYS_ADMIN"]}"#.to_owned(),
            false,
        ),
        (
            r#""excludes": {"caps": ["CAP_SYS_ADMIN"]}"#.to_owned(),
            true,
        ),
        (
            r#""excludes": {"caps": ["CAP_SYS_ADMIN", "CAP_CHOWN"]}"#.to_owned(),
            false,
        ),
        (r#""includes": {}, "excludes": {}"#.to_owned(), true),
        (r#""includes": null, "args": null"#.to_owned(), true),
    ] {
        let profile = entries(&format!(
            r#"{{"names": ["chroot"], "action": "SCMP_ACT_ERRNO", {condition}}}"#
        ));
        let refused = ask(&profile, "chroot", [0; 6]) == errno(libc::EPERM);
        assert_eq!(refused, applies, "{condition}");
    }
}

/// A profile as Docker's: everything is refused but a long list.
fn long_list(default: &str) -> Profile {
    let refused = ["ptrace", "mount", "bpf", "keyctl", "personality"];
    let names: Vec<String> = calls::all()
        .map(|(name, _)| name)
        .filter(|name| !refused.contains(name))
        .filter(|name| {
            calls::find(name).is_some_and(|known| match known {
                Known::Native(number) => number < 455,
                Known::Foreign => true,
            })
        })
        .map(|name| format!("\"{name}\""))
        .collect();
    parsed(&format!(
        r#"{{"defaultAction": "{default}", "archMap": [{{"architecture": "SCMP_ARCH_X86_64",
            "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]}}], "syscalls": [
            {{"names": [{}], "action": "SCMP_ACT_ALLOW", "comment": "as others"}},
            {{"names": ["personality"], "action": "SCMP_ACT_ALLOW",
              "args": [{{"index": 0, "value": 8, "valueTwo": 0, "op": "SCMP_CMP_EQ"}}]}}]}}"#,
        names.join(",")
    ))
    .unwrap()
}

#[test]
fn a_long_list_is_a_short_program() {
    let profile = long_list("SCMP_ACT_ERRNO");
    assert_eq!(ask(&profile, "read", [0; 6]), SECCOMP_RET_ALLOW);
    assert_eq!(ask(&profile, "ptrace", [0; 6]), errno(libc::EPERM));
    assert_eq!(
        ask(&profile, "personality", [8, 0, 0, 0, 0, 0]),
        SECCOMP_RET_ALLOW
    );
    assert_eq!(
        ask(&profile, "personality", [9, 0, 0, 0, 0, 0]),
        errno(libc::EPERM)
    );
    let length = profile.compile().len();
    assert!(length < 60, "{length}");
}

#[test]
fn calls_newer_than_the_profile_do_not_exist() {
    for (default, expected) in [
        ("SCMP_ACT_ERRNO", errno(libc::ENOSYS)),
        ("SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS),
    ] {
        let profile = long_list(default);
        assert_eq!(ask(&profile, "mseal", [0; 6]), expected);
        for number in [GAPS[0].0, 470, 0x4000_0000, u32::MAX] {
            let found = interpret(&profile.compile(), NATIVE_ARCHITECTURE, number, [0; 6]);
            assert_eq!(found, expected, "{default} {number}");
        }
    }
}

#[test]
fn programs_of_other_architectures_are_killed() {
    // AUDIT_ARCH_I386.
    let found = interpret(&entries("").compile(), 0x4000_0003, 1, [0; 6]);
    assert_eq!(found, SECCOMP_RET_KILL_PROCESS);
}

#[test]
fn many_rules_for_one_call_are_jumped_over() {
    let rules: Vec<String> = (0..200)
        .map(|value| {
            format!(
                r#"{{"names": ["ioctl"], "action": "SCMP_ACT_ERRNO",
                    "args": [{{"index": 1, "value": {value}, "op": "SCMP_CMP_EQ"}}]}}"#
            )
        })
        .collect();
    let profile = entries(&rules.join(","));
    assert!(profile.compile().len() > 1000);
    assert_eq!(ask(&profile, "read", [0; 6]), SECCOMP_RET_ALLOW);
    assert_eq!(ask(&profile, "statx", [0; 6]), SECCOMP_RET_ALLOW);
    assert_eq!(ask(&profile, "ioctl", [0, 199, 0, 0, 0, 0]), errno(1));
    assert_eq!(
        ask(&profile, "ioctl", [0, 200, 0, 0, 0, 0]),
        SECCOMP_RET_ALLOW
    );
}

#[test]
fn unknown_names_are_passed_over_where_that_is_as_strict() {
    let list = |default: &str, action: &str| {
        parsed(&format!(
            r#"{{"defaultAction": "SCMP_ACT_{default}", "syscalls": [
                {{"names": ["execve"], "action": "SCMP_ACT_ALLOW"}},
                {{"names": ["read", "raed", "chown32"], "action": "SCMP_ACT_{action}"}}]}}"#
        ))
    };
    for (default, action) in [("ERRNO", "ALLOW"), ("ERRNO", "LOG"), ("ALLOW", "ALLOW")] {
        assert_eq!(list(default, action).unwrap().skipped(), ["raed"]);
    }
    let error = list("ALLOW", "ERRNO").unwrap_err();
    assert_eq!(
        error.to_string(),
        "`syscalls[1].names[1]` refuses `raed`, which is no known call, so that nothing would be refused"
    );
}

#[test]
fn errors_name_the_place() {
    let entry = |fields: &str| {
        format!(
            r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{{"names": [], "action": "SCMP_ACT_ALLOW"}}, {{{fields}}}]}}"#
        )
    };
    let argument = |fields: &str| {
        entry(&format!(
            r#""names": ["read"], "action": "SCMP_ACT_ERRNO", "args": [{{{fields}}}]"#
        ))
    };
    for (text, message) in [
        (
            r#"{"defaultAction": "ALLOW"}"#.to_owned(),
            "`defaultAction` has the unknown action `ALLOW`",
        ),
        (
            entry(r#""names": ["read"], "action": "SCMP_ACT_NOTIFY""#),
            "`syscalls[1].action` asks for a supervisor (`SCMP_ACT_NOTIFY`, `listenerPath`), and there is none",
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/agent"}"#.to_owned(),
            "`listenerPath` asks for a supervisor (`SCMP_ACT_NOTIFY`, `listenerPath`), and there is none",
        ),
        (
            argument(r#""index": 0, "value": 1, "op": "SCMP_CMP_LIKE""#),
            "`syscalls[1].args[0].op` has the unknown operator `SCMP_CMP_LIKE`",
        ),
        (
            argument(r#""index": 6, "value": 1, "op": "SCMP_CMP_EQ""#),
            "`syscalls[1].args[0].index` is 6, and calls have the arguments 0 to 5",
        ),
        (
            entry(r#""names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 4096"#),
            "`syscalls[1].errnoRet` is 4096, which is no error number: these are at most 4095",
        ),
        (
            entry(r#""names": ["read"], "action": "SCMP_ACT_ALLOW", "errnoRet": 1"#),
            "`syscalls[1].errnoRet` gives an error number to an action that returns none",
        ),
        (
            entry(r#""names": ["read"], "action": "SCMP_ACT_ERRNO", "errno": "EPERM""#),
            "`syscalls[1].errno` gives an error's name without its number",
        ),
        (
            entry(r#""action": "SCMP_ACT_ERRNO""#),
            "`syscalls[1]` has not one of `name` and `names`",
        ),
        (
            entry(
                r#""names": ["read"], "action": "SCMP_ACT_ERRNO", "excludes": {"caps": ["CHOWN"]}"#,
            ),
            "`syscalls[1].excludes.caps[0]` has the unknown capability `CHOWN`",
        ),
        (
            entry(
                r#""names": ["read"], "action": "SCMP_ACT_ERRNO", "includes": {"minKernel": "new"}"#,
            ),
            "`syscalls[1].includes.minKernel` is `new`, not a version of the kernel such as `4.8`",
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_VAX"]}"#.to_owned(),
            "`architectures[0]` has the unknown architecture `SCMP_ARCH_VAX`",
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_NEW_LISTENER"]}"#
                .to_owned(),
            "`flags[0]` has the unknown flag `SECCOMP_FILTER_FLAG_NEW_LISTENER`",
        ),
    ] {
        assert_eq!(parsed(&text).unwrap_err().to_string(), message);
    }
}

#[test]
fn misspelt_fields_are_errors_with_their_line() {
    let text = "{\"defaultAction\": \"SCMP_ACT_ERRNO\",\n\"syscalls\": [{\"names\": [\"read\"],\n\"arg\": []}]}";
    let ProfileError::Form { source } = parsed(text).unwrap_err() else {
        panic!("a form error");
    };
    assert_eq!((source.line(), source.column()), (3, 5));
}

#[test]
fn profiles_that_may_refuse_execve_are_refused() {
    let refused = |default: &str, entry: &str| {
        let text = format!(r#"{{"defaultAction": "SCMP_ACT_{default}", "syscalls": [{entry}]}}"#);
        matches!(parsed(&text), Err(ProfileError::RefusesExecution))
    };
    let conditional = r#"{"names": ["execve"], "action": "SCMP_ACT_ALLOW",
        "args": [{"index": 0, "value": 0, "op": "SCMP_CMP_NE"}]}"#;
    let sometimes = conditional.replace("ALLOW", "ERRNO");
    let allowed = r#"{"names": ["execve"], "action": "SCMP_ACT_LOG"}"#;
    assert!(refused("ERRNO", ""));
    assert!(refused("ERRNO", conditional));
    assert!(refused("ALLOW", &sometimes));
    assert!(refused("ERRNO", &format!("{allowed}, {sometimes}")));
    assert!(!refused("ERRNO", allowed));
    assert!(!refused("ALLOW", conditional));
}

#[test]
fn a_profile_that_is_too_long_is_refused() {
    let rules: Vec<String> = (0..1100)
        .map(|value| {
            format!(
                r#"{{"names": ["ioctl"], "action": "SCMP_ACT_ERRNO",
                    "args": [{{"index": 1, "value": {value}, "op": "SCMP_CMP_EQ"}}]}}"#
            )
        })
        .collect();
    let error = parsed(&format!(
        r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{}]}}"#,
        rules.join(",")
    ));
    assert!(matches!(
        error,
        Err(ProfileError::TooLong { instructions: 5510 })
    ));
}

#[test]
fn a_profile_is_the_same_after_its_way_to_the_launcher() {
    let profile = long_list("SCMP_ACT_ERRNO");
    let text = serde_json::to_string(&profile).unwrap();
    assert_eq!(serde_json::from_str::<Profile>(&text).unwrap(), profile);
}
