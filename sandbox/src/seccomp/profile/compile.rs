//! Translates a profile to a classic BPF program.
//!
//! Neighbouring calls of one verdict share a segment, and the segments are tried from the highest number down, so that a
//! long list of allowed calls costs a comparison for each gap in it. Segments that decide on arguments may be longer than
//! a conditional jump reaches; these are jumped over by the long one.

use libc::{
    BPF_ABS, BPF_ALU, BPF_AND, BPF_JA, BPF_JEQ, BPF_JGE, BPF_JGT, BPF_JMP, BPF_K, BPF_LD, BPF_RET,
    BPF_W, SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO, SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_THREAD,
    SECCOMP_RET_LOG, SECCOMP_RET_TRAP, sock_filter,
};

use super::{Comparison, Condition, Profile, Rule, Verdict};
use crate::seccomp::assemble::{
    ARCHITECTURE_OFFSET, ARGUMENTS_OFFSET, NUMBER_OFFSET, jump, statement,
};
use crate::seccomp::calls::{self, Known};
use crate::seccomp::numbers::{FIRST_UNJUDGED, NATIVE_ARCHITECTURE};

const LOAD: u32 = BPF_LD | BPF_W | BPF_ABS;
const MASK: u32 = BPF_ALU | BPF_AND | BPF_K;
const JUMP: u32 = BPF_JMP | BPF_JA | BPF_K;
const JUMP_EQUAL: u32 = BPF_JMP | BPF_JEQ | BPF_K;
const JUMP_NOT_BELOW: u32 = BPF_JMP | BPF_JGE | BPF_K;
const JUMP_ABOVE: u32 = BPF_JMP | BPF_JGT | BPF_K;
const RETURN: u32 = BPF_RET | BPF_K;

pub(super) fn compile(profile: &Profile) -> Vec<sock_filter> {
    let mut program = vec![
        statement(LOAD, ARCHITECTURE_OFFSET),
        jump(JUMP_EQUAL, NATIVE_ARCHITECTURE, 1, 0),
        statement(RETURN, SECCOMP_RET_KILL_PROCESS),
        statement(LOAD, NUMBER_OFFSET),
    ];
    for (start, answer) in segments(profile).into_iter().rev() {
        let body = match answer {
            Answer::Always(verdict) => vec![statement(RETURN, encode(verdict))],
            Answer::ByRules(rules) => decide(rules, profile.default),
        };
        // The lowest segment is what is left.
        if start > 0 {
            match u8::try_from(body.len()) {
                Ok(length) => program.push(jump(JUMP_NOT_BELOW, start, 0, length)),
                Err(_) => {
                    let length = u32::try_from(body.len()).expect("programs are short");
                    program.push(jump(JUMP_NOT_BELOW, start, 1, 0));
                    program.push(statement(JUMP, length));
                }
            }
        }
        program.extend(body);
    }
    program
}

/// How the calls of a segment are answered.
#[derive(Clone, Copy, PartialEq)]
enum Answer<'a> {
    Always(Verdict),
    ByRules(&'a [Rule]),
}

/// Returns the first number of each segment, in ascending order, and its answer.
fn segments(profile: &Profile) -> Vec<(u32, Answer<'_>)> {
    let length = usize::try_from(FIRST_UNJUDGED).expect("it fits") + 1;
    // Numbers without a call, and those above all that are known.
    let unknown = match profile.default {
        Verdict::Errno(_) => Verdict::Errno(ENOSYS),
        other => other,
    };
    let mut answers = vec![Answer::Always(unknown); length];
    let newest_named = calls::all()
        .filter(|(name, _)| profile.calls.contains_key(*name))
        .map(|(_, known)| known)
        .filter_map(number)
        .max();
    for (name, known) in calls::all() {
        let Some(number) = number(known) else {
            continue;
        };
        answers[number] = match profile.calls.get(name).map(Vec::as_slice) {
            Some([first, ..]) if first.conditions.is_empty() => Answer::Always(first.verdict),
            Some(rules) => Answer::ByRules(rules),
            None if Some(number) > newest_named => Answer::Always(unknown),
            None => Answer::Always(profile.default),
        };
    }
    let mut segments: Vec<(u32, Answer<'_>)> = Vec::new();
    for (number, answer) in (0..).zip(answers) {
        let same = segments
            .last()
            .is_some_and(|(_, last)| *last == answer && matches!(answer, Answer::Always(_)));
        if !same {
            segments.push((number, answer));
        }
    }
    segments
}

fn number(known: Known) -> Option<usize> {
    match known {
        Known::Native(number) => usize::try_from(number).ok(),
        Known::Foreign => None,
    }
}

const ENOSYS: u16 = 38;

/// Returns what tries the rules in their order.
fn decide(rules: &[Rule], default: Verdict) -> Vec<sock_filter> {
    let mut body = Vec::new();
    for rule in rules {
        body.extend(tests(&rule.conditions));
        body.push(statement(RETURN, encode(rule.verdict)));
        if rule.conditions.is_empty() {
            return body;
        }
    }
    body.push(statement(RETURN, encode(default)));
    body
}

/// Where a jump of a condition goes.
#[derive(Clone, Copy)]
enum Target {
    Ahead,
    /// Behind the condition, which holds.
    Holds,
    /// Behind the rule's answer.
    Fails,
}

/// Returns the conditions of a rule, each of which jumps over the others and the answer when it fails.
fn tests(conditions: &[Condition]) -> Vec<sock_filter> {
    let blocks: Vec<_> = conditions.iter().map(block).collect();
    let total: usize = blocks.iter().map(Vec::len).sum();
    let mut program = Vec::new();
    for block in blocks {
        let end = program.len() + block.len();
        for (operation, operand, if_true, if_false) in block {
            let next = program.len() + 1;
            let distance = |target| {
                let to = match target {
                    Target::Ahead => next,
                    Target::Holds => end,
                    Target::Fails => total + 1,
                };
                u8::try_from(to - next).expect("six conditions of six instructions")
            };
            program.push(jump(
                operation,
                operand,
                distance(if_true),
                distance(if_false),
            ));
        }
    }
    program
}

type Instruction = (u32, u32, Target, Target);

/// Compares an argument, the high half first: the low half counts only when the high halves are equal.
fn block(condition: &Condition) -> Vec<Instruction> {
    use Target::{Ahead, Fails, Holds};
    let low_offset = ARGUMENTS_OFFSET + 8 * u32::from(condition.argument);
    // Both architectures are little-endian.
    let load_high = (LOAD, low_offset + 4, Ahead, Ahead);
    let load_low = (LOAD, low_offset, Ahead, Ahead);
    let order = |value: u64, above: Target, below: Target, last: (u32, Target, Target)| {
        let (high, low) = halves(value);
        let (operation, if_true, if_false) = last;
        vec![
            load_high,
            (JUMP_ABOVE, high, above, Ahead),
            (JUMP_EQUAL, high, Ahead, below),
            load_low,
            (operation, low, if_true, if_false),
        ]
    };
    match condition.comparison {
        Comparison::Equal(value) => {
            let (high, low) = halves(value);
            vec![
                load_high,
                (JUMP_EQUAL, high, Ahead, Fails),
                load_low,
                (JUMP_EQUAL, low, Holds, Fails),
            ]
        }
        Comparison::NotEqual(value) => {
            let (high, low) = halves(value);
            vec![
                load_high,
                (JUMP_EQUAL, high, Ahead, Holds),
                load_low,
                (JUMP_EQUAL, low, Fails, Holds),
            ]
        }
        Comparison::Greater(value) => order(value, Holds, Fails, (JUMP_ABOVE, Holds, Fails)),
        Comparison::GreaterOrEqual(value) => {
            order(value, Holds, Fails, (JUMP_NOT_BELOW, Holds, Fails))
        }
        Comparison::Less(value) => order(value, Fails, Holds, (JUMP_NOT_BELOW, Fails, Holds)),
        Comparison::LessOrEqual(value) => order(value, Fails, Holds, (JUMP_ABOVE, Fails, Holds)),
        Comparison::Masked { mask, value } => {
            let (high_mask, low_mask) = halves(mask);
            let (high, low) = halves(value);
            vec![
                load_high,
                (MASK, high_mask, Ahead, Ahead),
                (JUMP_EQUAL, high, Ahead, Fails),
                load_low,
                (MASK, low_mask, Ahead, Ahead),
                (JUMP_EQUAL, low, Holds, Fails),
            ]
        }
    }
}

fn halves(value: u64) -> (u32, u32) {
    let low = u32::try_from(value & u64::from(u32::MAX)).expect("it is masked");
    let high = u32::try_from(value >> 32).expect("it is shifted");
    (high, low)
}

fn encode(verdict: Verdict) -> u32 {
    match verdict {
        Verdict::KillProcess => SECCOMP_RET_KILL_PROCESS,
        Verdict::KillThread => SECCOMP_RET_KILL_THREAD,
        Verdict::Trap => SECCOMP_RET_TRAP,
        Verdict::Errno(errno) => SECCOMP_RET_ERRNO | u32::from(errno),
        Verdict::Log => SECCOMP_RET_LOG,
        Verdict::Allow => SECCOMP_RET_ALLOW,
    }
}
