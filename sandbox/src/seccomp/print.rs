//! The table for people and other tools: in the words of the OCI runtime specification, and row by row with reasons.
//!
//! The OCI form cannot say everything: which of two rows decides (the first), that only the low half of an argument is
//! looked at, and what becomes of calls that are newer than the table. The rows say the first, and `unjudged` the last.

use oci_spec::runtime as oci;
use serde_json::{Value, json};

use super::assemble::Policy;
use super::numbers::FIRST_UNJUDGED;
use super::table::{Action, Row, Test, rows};

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: oci::Arch = oci::Arch::ScmpArchX86_64;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: oci::Arch = oci::Arch::ScmpArchAarch64;

/// Returns the rows in force as OCI has them.
pub(crate) fn oci_form(policy: &Policy) -> oci::LinuxSeccomp {
    let rules = in_force(policy)
        .iter()
        .flat_map(|(names, row)| {
            alternatives(row.tests)
                .into_iter()
                .map(|arguments| rule(names, row.action, arguments))
        })
        .collect();
    let mut seccomp = oci::LinuxSeccomp::default();
    seccomp
        .set_default_action(oci::LinuxSeccompAction::ScmpActAllow)
        .set_architectures(Some(vec![ARCHITECTURE]))
        .set_syscalls(Some(rules));
    seccomp
}

/// Returns the rows in force with their reasons, the first of which that matches a call decides.
pub(crate) fn rows_with_reasons(policy: &Policy) -> Value {
    let rows: Vec<Value> = in_force(policy)
        .iter()
        .map(|(names, row)| {
            let tests: Vec<String> = row.tests.iter().map(test).collect();
            let action = match row.action {
                Action::Allow => "allowed".to_owned(),
                Action::Errno(0) => "succeeds without effect".to_owned(),
                Action::Errno(errno) => {
                    format!("fails with {:?}", nix::errno::Errno::from_raw(errno))
                }
                Action::Notify => "answered by the supervisor".to_owned(),
            };
            json!({ "calls": names, "if": tests, "then": action, "reason": row.reason })
        })
        .collect();
    json!({
        "rows": rows,
        "unjudged": {
            "from": FIRST_UNJUDGED,
            "then": "fails with ENOSYS",
            "reason": "nobody has judged calls that are newer than the table",
        },
    })
}

/// Returns the rows in force; neighbours that differ in their call alone are one.
fn in_force(policy: &Policy) -> Vec<(Vec<String>, Row)> {
    let mut found: Vec<(Vec<String>, Row)> = Vec::new();
    for row in rows().filter(|row| policy.enforces(row.scope)) {
        let name = row.call.name().to_owned();
        match found.last_mut() {
            Some((names, last))
                if std::ptr::eq(last.tests, row.tests)
                    && last.action == row.action
                    && last.reason == row.reason =>
            {
                names.push(name);
            }
            _ => found.push((vec![name], row)),
        }
    }
    found
}

fn rule(
    names: &[String],
    action: Action,
    arguments: Vec<oci::LinuxSeccompArg>,
) -> oci::LinuxSyscall {
    let (action, errno) = match action {
        Action::Allow => (oci::LinuxSeccompAction::ScmpActAllow, None),
        Action::Errno(errno) => (
            oci::LinuxSeccompAction::ScmpActErrno,
            Some(errno.unsigned_abs()),
        ),
        Action::Notify => (oci::LinuxSeccompAction::ScmpActNotify, None),
    };
    let mut rule = oci::LinuxSyscall::default();
    rule.set_names(names.to_vec())
        .set_action(action)
        .set_errno_ret(errno)
        .set_args((!arguments.is_empty()).then_some(arguments));
    rule
}

/// Returns the lists of arguments of which one must match: OCI's operators know no "any of these bits".
fn alternatives(tests: &[Test]) -> Vec<Vec<oci::LinuxSeccompArg>> {
    use oci::LinuxSeccompOperator::{ScmpCmpMaskedEq, ScmpCmpNe};
    let mut alternatives = vec![Vec::new()];
    for test in tests {
        let choices: Vec<Vec<oci::LinuxSeccompArg>> = match *test {
            Test::Masked {
                argument,
                mask,
                value,
            } => vec![vec![compare(argument, ScmpCmpMaskedEq, mask, Some(value))]],
            Test::AnyBit {
                argument,
                mask: u32::MAX,
            } => vec![vec![compare(argument, ScmpCmpNe, 0, None)]],
            Test::AnyBit { argument, mask } => (0..u32::BITS)
                .map(|bit| 1 << bit)
                .filter(|bit| mask & bit != 0)
                .map(|bit| vec![compare(argument, ScmpCmpMaskedEq, bit, Some(bit))])
                .collect(),
            Test::OtherThan { argument, values } => vec![
                values
                    .iter()
                    .map(|value| compare(argument, ScmpCmpNe, *value, None))
                    .collect(),
            ],
        };
        alternatives = alternatives
            .iter()
            .flat_map(|before| {
                choices
                    .iter()
                    .map(move |choice| [before.as_slice(), choice].concat())
            })
            .collect();
    }
    alternatives
}

fn compare(
    argument: u8,
    operator: oci::LinuxSeccompOperator,
    value: u32,
    second: Option<u32>,
) -> oci::LinuxSeccompArg {
    oci::LinuxSeccompArgBuilder::default()
        .index(usize::from(argument))
        .op(operator)
        .value(u64::from(value))
        .value_two(u64::from(second.unwrap_or(0)))
        .build()
        .expect("every field has a value")
}

fn test(test: &Test) -> String {
    match *test {
        Test::Masked {
            argument,
            mask: u32::MAX,
            value,
        } => format!("argument {argument} is {value:#x}"),
        Test::Masked {
            argument,
            mask,
            value,
        } => format!("argument {argument} has {value:#x} of the bits {mask:#x}"),
        Test::AnyBit { argument, mask } => {
            format!("argument {argument} has one of the bits {mask:#x}")
        }
        Test::OtherThan { argument, values } => {
            format!("argument {argument} is none of {values:x?}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::OwnershipRecording;

    const RECORDING: Policy = Policy {
        ownership: OwnershipRecording::RecordAndAnswer,
        suppress_sync: true,
        network_scoped: true,
    };

    #[test]
    fn the_oci_form_names_every_call_in_force() {
        let printed: Vec<String> = oci_form(&RECORDING)
            .syscalls()
            .iter()
            .flatten()
            .flat_map(|rule| rule.names().clone())
            .collect();
        for row in rows() {
            let name = row.call.name();
            assert!(printed.iter().any(|printed| printed == name), "{name}");
        }
    }

    #[test]
    fn any_of_some_bits_becomes_a_rule_for_each() {
        let test = Test::AnyBit {
            argument: 1,
            mask: 0x11,
        };
        let found: Vec<Vec<(usize, u64, Option<u64>)>> = alternatives(&[test])
            .iter()
            .map(|arguments| {
                arguments
                    .iter()
                    .map(|argument| (argument.index(), argument.value(), argument.value_two()))
                    .collect()
            })
            .collect();
        assert_eq!(
            found,
            [vec![(1, 0x1, Some(0x1))], vec![(1, 0x10, Some(0x10))]]
        );
    }

    #[test]
    fn rows_out_of_force_are_not_printed() {
        let nothing = Policy {
            ownership: OwnershipRecording::Off,
            suppress_sync: false,
            network_scoped: false,
        };
        let text = rows_with_reasons(&nothing).to_string();
        assert!(!text.contains("answered by the supervisor"));
        assert!(text.contains("\"add_key\""));
    }
}
