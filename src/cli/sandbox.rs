//! `overcoat sandbox`: one command, confined; and what each kind of step may do.
//!
//! The command's streams are pipes. Its output is copied byte for byte, but what goes to a terminal is made inert, and
//! a terminal is never its input: so nothing inside can drive or type into the terminal of the person outside.

mod clean;
mod options;
#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;

use nix::sys::signal::Signal;
use nix::sys::stat::{SFlag, fstat};
use overcoat_sandbox::{Attached, Output, ProgramStatus, Spec, StandardInput, Streams};

use self::clean::Cleaner;
use self::options::{Invoked, PrintSpec};
use super::failure::Failure;
use super::output::{self, Style};
use super::{exit, host, limits, profile, render};
use crate::build::policy::{self, Host, Places, StepKind};
use crate::build::{Limits, ReachedLimit};

/// What asks the command to end: the keyboard, whoever stops services, and a terminal that closes.
const ENDING: [Signal; 4] = [
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGHUP,
];

/// Runs the verb with the program's arguments, and returns its exit status.
pub(super) fn main(style: Style) -> ExitCode {
    let arguments = std::env::args_os().skip(2);
    let done = options::parse(arguments)
        .map_err(|error| Failure::new(error, exit::SANDBOX_SETUP))
        .and_then(|invoked| run(&invoked, style));
    ExitCode::from(match done {
        Ok(status) => status,
        Err(failure) => failure.report(style),
    })
}

fn run(invoked: &Invoked, style: Style) -> Result<u8, Failure> {
    match &invoked.print {
        PrintSpec::Help => {
            output::data(format_args!("{}", options::command().render_help()));
            return Ok(exit::SUCCESS);
        }
        PrintSpec::Kinds => {
            output::data(format_args!("{}", kinds()));
            return Ok(exit::SUCCESS);
        }
        PrintSpec::Kind(kind) => {
            let command = match invoked.command.as_slice() {
                [] => vec!["COMMAND".to_owned()],
                command => command.to_vec(),
            };
            let spec = step(*kind, command, Path::new("/"), invoked)?;
            print(&tightened(spec, invoked, style)?, Some(*kind))?;
            return Ok(exit::SUCCESS);
        }
        PrintSpec::Command | PrintSpec::Nothing => {}
    }
    let spec = match &invoked.step {
        Some((kind, places)) => step(*kind, invoked.command.clone(), places, invoked)?,
        None => {
            let spec = invoked.spec(&Host::here());
            let wall_clock = spec.wall_clock_limit;
            let limits = limits(invoked)?.step;
            // The option `--time` has it.
            spec.limits(&overcoat_sandbox::Limits {
                wall_clock,
                ..limits
            })
        }
    };
    let spec = tightened(spec, invoked, style)?;
    if invoked.print == PrintSpec::Command {
        print(&spec, None)?;
        return Ok(exit::SUCCESS);
    }
    if invoked.has_range() {
        overcoat_sandbox::enter_range_namespace().map_err(set_up)?;
    }
    attach(spec, invoked, style)
}

/// Returns the specification of a step of a kind.
fn step(
    kind: StepKind,
    command: Vec<String>,
    places: &Path,
    invoked: &Invoked,
) -> Result<Spec, Failure> {
    let (host, places) = (Host::here(), Places::below(places));
    let (policy, limits) = (policy::policy(kind), limits(invoked)?);
    Ok(policy::spec(
        policy,
        command,
        &host,
        &places,
        invoked.ids,
        &limits,
    ))
}

/// Adds the person's own filter of system calls.
fn tightened(spec: Spec, invoked: &Invoked, style: Style) -> Result<Spec, Failure> {
    Ok(match &invoked.seccomp_profile {
        Some(path) => spec.tighten(profile::load(path, style)?),
        None => spec,
    })
}

/// Returns what the person lets a command use.
fn limits(invoked: &Invoked) -> Result<Limits, Failure> {
    limits::limits(host::limits(), &invoked.limits)
        .map_err(|error| Failure::new(error, exit::SANDBOX_SETUP))
}

/// Lists the kinds of steps, a line each.
fn kinds() -> String {
    StepKind::ALL
        .map(policy::policy)
        .map(|row| format!("{:<14} {}\n", row.name, row.purpose))
        .concat()
}

/// Prints a specification as JSON; that of a kind of step with its row of the table.
fn print(spec: &Spec, kind: Option<StepKind>) -> Result<(), Failure> {
    let mut json = spec.to_json().map_err(set_up)?;
    if let Some(kind) = kind {
        let row = policy::policy(kind);
        let cells: Vec<_> = row
            .cells()
            .map(|cell| {
                serde_json::json!({
                    "what": cell.column.name(),
                    "holds": cell.holds,
                    "reason": cell.reason,
                })
            })
            .collect();
        json["step"] =
            serde_json::json!({ "name": row.name, "purpose": row.purpose, "row": cells });
    }
    output::data(format_args!("{json:#}\n"));
    Ok(())
}

fn attach(mut spec: Spec, invoked: &Invoked, style: Style) -> Result<u8, Failure> {
    let limits = spec.own_limits();
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    if reads(&stdin) {
        spec = spec.standard_input(StandardInput::Pipe);
    }
    let attached = spec
        .run_attached(Streams {
            input: stdin.as_fd(),
            output: copied(&stdout, stdout.is_terminal() || invoked.clean, style),
            errors: copied(
                &stderr,
                stderr.is_terminal() || invoked.clean || style.github_actions,
                style,
            ),
            ending: &ENDING,
        })
        .map_err(set_up)?;
    let reached = ReachedLimit::find(&limits, &attached.outcome).map(|limit| limit.to_string());
    if let Some(reached) = &reached {
        let label = style.paint(render::RED, "error");
        output::people(format_args!("{label}: the command {reached}\n"));
    }
    if invoked.json {
        // The last line, after all that the command wrote.
        let json = serde_json::json!({
            "status": attached.outcome.status,
            "limit": reached,
            "signal": attached.signal.map(Signal::as_str),
            "enforcement": attached.outcome.enforcement,
        });
        output::people(format_args!("{json}\n"));
    }
    Ok(status(&attached))
}

/// Tells whether there is something to read that is no terminal.
fn reads(input: &impl AsFd) -> bool {
    let Ok(status) = fstat(input) else {
        return false;
    };
    // Of the devices, terminals are not passed on, and null has nothing to say.
    SFlag::from_bits_truncate(status.st_mode & SFlag::S_IFMT.bits()) != SFlag::S_IFCHR
}

fn copied<'a>(to: &'a impl AsFd, is_cleaned: bool, style: Style) -> Output<'a> {
    let mut cleaner = Cleaner::new(style);
    Output {
        to: to.as_fd(),
        filter: match is_cleaned {
            true => Some(Box::new(move |bytes| cleaner.clean(bytes))),
            false => None,
        },
    }
}

/// Returns the exit status as a shell would.
fn status(attached: &Attached) -> u8 {
    let of_signal = |signal: i32| u8::try_from(128 + signal).unwrap_or(u8::MAX);
    match (attached.outcome.status, attached.signal) {
        (ProgramStatus::Exited(code), _) => u8::try_from(code).unwrap_or(u8::MAX),
        (ProgramStatus::Signaled(signal), _) => of_signal(signal),
        (ProgramStatus::TimedOut, _) => exit::TIMED_OUT,
        (_, Some(signal)) => of_signal(signal as i32),
        (_, None) => of_signal(Signal::SIGKILL as i32),
    }
}

/// Whatever the reason, no command ran.
fn set_up(error: overcoat_sandbox::Error) -> Failure {
    Failure::new(error, exit::SANDBOX_SETUP)
}
