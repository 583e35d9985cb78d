//! Translates the table to a classic BPF program over `struct seccomp_data`.
//!
//! The program is linear. The accumulator holds the system call's number between rows; a row with tests loads
//! arguments over it and loads it again when a test fails. Jump offsets of classic BPF are 8 bits wide and forward
//! only, so each row jumps over its own body and nothing else.

use libc::{
    BPF_ABS, BPF_ALU, BPF_AND, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W,
    SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO, SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_USER_NOTIF,
    sock_filter,
};

use super::network::SEAL;
use super::numbers::{FIRST_UNJUDGED, GAPS, NATIVE_ARCHITECTURE};
use super::table::{Action, Row, Scope, Test, rows};
use crate::spec::{Network, OwnershipRecording, Spec};

/// What decides which rows are in force.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Policy {
    pub ownership: OwnershipRecording,
    pub suppress_sync: bool,
    /// Whether the network is [scoped](crate::Network::Scoped).
    pub network_scoped: bool,
}

/// Offsets in `struct seccomp_data` of `linux/seccomp.h`.
pub(super) const NUMBER_OFFSET: u32 = 0;
pub(super) const ARCHITECTURE_OFFSET: u32 = 4;
pub(super) const ARGUMENTS_OFFSET: u32 = 16;

const LOAD: u32 = BPF_LD | BPF_W | BPF_ABS;
const MASK: u32 = BPF_ALU | BPF_AND | BPF_K;
const JUMP_EQUAL: u32 = BPF_JMP | BPF_JEQ | BPF_K;
const JUMP_NOT_BELOW: u32 = BPF_JMP | BPF_JGE | BPF_K;
const JUMP_ANY_BIT: u32 = BPF_JMP | BPF_JSET | BPF_K;
const RETURN: u32 = BPF_RET | BPF_K;

/// Returns the filter program for a policy.
pub fn assemble(policy: &Policy) -> Vec<sock_filter> {
    let mut program = vec![
        statement(LOAD, ARCHITECTURE_OFFSET),
        jump(JUMP_EQUAL, NATIVE_ARCHITECTURE, 1, 0),
        // The numbers of another architecture mean other calls. An error would be no better than killing: programs
        // whose every call fails have been seen to spin.
        statement(RETURN, SECCOMP_RET_KILL_PROCESS),
        statement(LOAD, NUMBER_OFFSET),
        // Nobody has judged these. Among them are the x32 variants of known calls (bit 30, or 512 to 547 in kernels
        // before 5.4). Programs try new calls and fall back on ENOSYS.
        jump(JUMP_NOT_BELOW, FIRST_UNJUDGED, 0, 1),
        statement(RETURN, encode(Action::Errno(libc::ENOSYS))),
    ];
    for &(first, last) in GAPS {
        program.extend([
            jump(JUMP_NOT_BELOW, first, 0, 2),
            jump(JUMP_NOT_BELOW, last + 1, 1, 0),
            statement(RETURN, encode(Action::Errno(libc::ENOSYS))),
        ]);
    }
    for row in rows().filter(|row| policy.enforces(row.scope)) {
        append(&mut program, &row);
    }
    program.push(statement(RETURN, SECCOMP_RET_ALLOW));
    program
}

/// Returns the filter to install after that of a scoped network, when the listener has been passed. Of the answers of two
/// filters the kernel takes the stricter one.
pub(crate) fn assemble_seal() -> Vec<sock_filter> {
    let mut program = vec![statement(LOAD, NUMBER_OFFSET)];
    append(&mut program, &SEAL);
    program.push(statement(RETURN, SECCOMP_RET_ALLOW));
    program
}

impl Policy {
    /// Returns the policy of a specification.
    pub(crate) fn of(spec: &Spec) -> Self {
        Self {
            ownership: spec.ownership,
            suppress_sync: spec.suppress_sync,
            network_scoped: matches!(spec.network, Network::Scoped(_)),
        }
    }

    pub(super) fn enforces(&self, scope: Scope) -> bool {
        match scope {
            Scope::Always => true,
            Scope::Recording => matches!(
                self.ownership,
                OwnershipRecording::Record | OwnershipRecording::RecordAndAnswer
            ),
            Scope::RecordingDevices => self.ownership != OwnershipRecording::Off,
            Scope::Answering => self.ownership == OwnershipRecording::RecordAndAnswer,
            Scope::SuppressSync => self.suppress_sync,
            Scope::ScopedNetwork => self.network_scoped,
        }
    }
}

fn append(program: &mut Vec<sock_filter>, row: &Row) {
    let body = body(row);
    program.push(jump(JUMP_EQUAL, row.call.number, 0, offset(body.len())));
    program.extend(body);
}

/// Returns what runs when the number is the row's: the tests, the answer, and for a row with tests the number's reload.
fn body(row: &Row) -> Vec<sock_filter> {
    let answer = statement(RETURN, encode(row.action));
    if row.tests.is_empty() {
        return vec![answer];
    }
    // From the last test to the first, so that the distance to the end of the answer is known.
    let mut reversed = vec![statement(LOAD, NUMBER_OFFSET), answer];
    for test in row.tests.iter().rev() {
        // A failed test jumps to the reload, which is the first of `reversed`: over all that is there but that one.
        let distance = |reversed: &[sock_filter]| offset(reversed.len() - 1);
        match *test {
            Test::Masked {
                argument,
                mask,
                value,
            } => {
                reversed.push(jump(JUMP_EQUAL, value, 0, distance(&reversed)));
                if mask != u32::MAX {
                    reversed.push(statement(MASK, mask));
                }
                reversed.push(load_argument(argument));
            }
            Test::AnyBit { argument, mask } => {
                reversed.push(jump(JUMP_ANY_BIT, mask, 0, distance(&reversed)));
                reversed.push(load_argument(argument));
            }
            Test::OtherThan { argument, values } => {
                for &value in values.iter().rev() {
                    reversed.push(jump(JUMP_EQUAL, value, distance(&reversed), 0));
                }
                reversed.push(load_argument(argument));
            }
        }
    }
    reversed.reverse();
    reversed
}

fn encode(action: Action) -> u32 {
    match action {
        Action::Allow => SECCOMP_RET_ALLOW,
        Action::Errno(errno) => {
            SECCOMP_RET_ERRNO
                | u32::from(u16::try_from(errno).expect("the table has errno values, below 4096"))
        }
        Action::Notify => SECCOMP_RET_USER_NOTIF,
    }
}

/// Loads the low half of an argument; both architectures are little-endian.
fn load_argument(argument: u8) -> sock_filter {
    statement(LOAD, ARGUMENTS_OFFSET + 8 * u32::from(argument))
}

pub(super) fn statement(operation: u32, operand: u32) -> sock_filter {
    jump(operation, operand, 0, 0)
}

pub(super) fn jump(operation: u32, operand: u32, if_true: u8, if_false: u8) -> sock_filter {
    sock_filter {
        code: u16::try_from(operation).expect("BPF operations are below 256"),
        jt: if_true,
        jf: if_false,
        k: operand,
    }
}

fn offset(instructions: usize) -> u8 {
    u8::try_from(instructions).expect("a row of the table has few tests, so its body is below 256")
}
