//! The table: which call, under which conditions, gets which answer, and why. Its rows are in `denied` and `recorded`;
//! why the other calls are allowed is in `allowed`.

use libc::c_long;

use super::denied::DENIED;
use super::network;
use super::numbers::FIRST_UNJUDGED;
use super::recorded::RECORDED;

/// One rule about one system call.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub call: SystemCall,
    /// What must all hold for the row to match; none means that the row always matches.
    pub tests: &'static [Test],
    pub action: Action,
    pub scope: Scope,
    /// Why the rule exists, for people who audit it.
    pub reason: &'static str,
}

/// A system call of the native architecture.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SystemCall {
    constant: &'static str,
    /// The number in the native table.
    pub number: u32,
}

/// A condition on one argument.
///
/// Only the low 32 bits are looked at: every argument tested here is an `int` or `unsigned int` (or a flag word whose
/// flags are there) that the kernel truncates, so that a comparison of all 64 bits could be beaten by setting a bit
/// that the kernel ignores (CVE-2019-10063).
#[derive(Clone, Copy, Debug)]
pub enum Test {
    /// `argument & mask == value`.
    Masked { argument: u8, mask: u32, value: u32 },
    /// `argument & mask != 0`.
    AnyBit { argument: u8, mask: u32 },
    /// The argument is none of the values.
    OtherThan {
        argument: u8,
        values: &'static [u32],
    },
}

/// The answer to a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    Allow,
    /// The call is not made and returns this error, or success when it is 0.
    Errno(i32),
    /// The supervisor answers: the ownership recorder makes the call, or one that a single mapped id permits; with a scoped
    /// network a call is made when the scope permits it.
    Notify,
}

/// The policies under which a row is in force.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    Always,
    /// Whenever ownership is recorded.
    Recording,
    /// With [`OwnershipRecording::RecordAndAnswer`](crate::OwnershipRecording::RecordAndAnswer).
    Answering,
    /// With [`OwnershipRecording::Devices`](crate::OwnershipRecording::Devices) as well.
    RecordingDevices,
    /// With [`Policy::suppress_sync`](super::Policy::suppress_sync).
    SuppressSync,
    /// With [`Policy::network_scoped`](super::Policy::network_scoped).
    ScopedNetwork,
}

impl SystemCall {
    pub(super) const fn new(constant: &'static str, number: c_long) -> Self {
        assert!(number >= 0 && number < FIRST_UNJUDGED as c_long);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the range was asserted, at compile time"
        )]
        let number = number as u32;
        Self { constant, number }
    }

    /// Returns the name as in syscalls(2).
    pub fn name(self) -> &'static str {
        self.constant.strip_prefix("SYS_").unwrap_or(self.constant)
    }
}

/// Rows that differ only in their system call.
pub(super) struct Group {
    pub(super) calls: &'static [SystemCall],
    pub(super) tests: &'static [Test],
    pub(super) action: Action,
    pub(super) scope: Scope,
    pub(super) reason: &'static str,
}

macro_rules! calls {
    ($($constant:ident)*) => {
        &[$($crate::seccomp::table::SystemCall::new(stringify!($constant), $crate::seccomp::numbers::$constant)),*]
    };
}
pub(super) use calls;

/// Returns every row, in the order in which they are tried.
pub fn rows() -> impl Iterator<Item = Row> {
    let tables = [DENIED, RECORDED, network::TABLE];
    tables.into_iter().flatten().flat_map(|group| {
        group.calls.iter().map(|&call| Row {
            call,
            tests: group.tests,
            action: group.action,
            scope: group.scope,
            reason: group.reason,
        })
    })
}

pub(super) const EPERM: Action = Action::Errno(libc::EPERM);
pub(super) const ENOSYS: Action = Action::Errno(libc::ENOSYS);
pub(super) const SUCCEED: Action = Action::Errno(0);

/// Returns a group in force under every policy.
pub(super) const fn always(
    calls: &'static [SystemCall],
    tests: &'static [Test],
    action: Action,
    reason: &'static str,
) -> Group {
    Group {
        calls,
        tests,
        action,
        scope: Scope::Always,
        reason,
    }
}

/// Returns a group in force while owners are recorded.
pub(super) const fn recording(
    calls: &'static [SystemCall],
    tests: &'static [Test],
    action: Action,
    reason: &'static str,
) -> Group {
    Group {
        scope: Scope::Recording,
        ..always(calls, tests, action, reason)
    }
}

/// Returns a group in force while programs are shown what was recorded.
pub(super) const fn answering(calls: &'static [SystemCall], reason: &'static str) -> Group {
    Group {
        scope: Scope::Answering,
        ..always(calls, &[], Action::Notify, reason)
    }
}

/// Returns a group in force while devices are recorded, with or without owners.
pub(super) const fn recording_devices(
    calls: &'static [SystemCall],
    tests: &'static [Test],
    action: Action,
    reason: &'static str,
) -> Group {
    Group {
        scope: Scope::RecordingDevices,
        ..always(calls, tests, action, reason)
    }
}

/// Returns the test that an argument is exactly `value`.
pub(super) const fn equal(argument: u8, value: u32) -> Test {
    Test::Masked {
        argument,
        mask: u32::MAX,
        value,
    }
}

/// Returns the test that a `mode` argument is of the file type `kind`.
pub(super) const fn of_type(argument: u8, kind: u32) -> Test {
    Test::Masked {
        argument,
        mask: libc::S_IFMT,
        value: kind,
    }
}

/// Returns the test that the flags of open(2) may make a file.
pub(super) const fn creates(argument: u8) -> Test {
    Test::AnyBit {
        argument,
        // Of O_TMPFILE, the bit that O_DIRECTORY has not.
        mask: (libc::O_CREAT | libc::O_TMPFILE & !libc::O_DIRECTORY).cast_unsigned(),
    }
}
