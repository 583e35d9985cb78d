//! How programs start and end, and that no process is left, whoever is killed.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use overcoat_sandbox::{
    Error, Network, NetworkScope, OwnershipRecording, ProgramStatus, Running, Spec,
};

use crate::harness::tests;
use crate::support::{finish, probe, run, shell};

tests![
    exit_codes_pass_through,
    signals_pass_through,
    a_missing_program_is_an_error_of_its_own,
    a_program_that_cannot_be_executed_is_named,
    a_program_is_found_on_the_path,
    a_missing_working_directory_is_an_error,
    a_daemon_does_not_outlive_the_program,
    the_wall_clock_limit_kills,
    a_killer_kills_from_another_thread,
    a_killer_after_the_end_changes_nothing,
    dropping_kills,
    unread_output_does_not_block,
    nothing_is_left_when_the_launcher_is_killed,
    nothing_is_left_when_the_supervisor_is_killed,
    nothing_is_left_when_init_is_killed,
    nothing_is_left_when_the_caller_is_killed,
    many_sandboxes_run_at_once,
    a_sandbox_has_no_process_that_it_does_not_need,
];

fn exit_codes_pass_through() {
    for code in [0, 1, 125, 255] {
        let status = run(&probe(["exit", &code.to_string()])).outcome.status;
        assert_eq!(status, ProgramStatus::Exited(code));
        assert_eq!(status.success(), code == 0);
    }
}

fn signals_pass_through() {
    for signal in [Signal::SIGTERM, Signal::SIGKILL, Signal::SIGABRT] {
        let number = signal as i32;
        let status = run(&probe(["raise", &number.to_string()])).outcome.status;
        assert_eq!(status, ProgramStatus::Signaled(number));
    }
}

fn a_missing_program_is_an_error_of_its_own() {
    for program in ["/nowhere/program", "nowhere"] {
        match Spec::new([program]).spawn() {
            Err(Error::ProgramMissing { program: found }) => assert_eq!(found, program),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(Spec::new([""; 0]).spawn(), Err(Error::NoProgram)));
}

fn a_program_that_cannot_be_executed_is_named() {
    let spec = Spec::new(["/etc/text"]).file("/etc/text", "no program");
    match spec.spawn() {
        Err(Error::Execute { program, source }) => {
            assert_eq!(program, "/etc/text");
            assert_eq!(source.raw_os_error(), Some(libc::EACCES));
        }
        other => panic!("{other:?}"),
    }
}

fn a_program_is_found_on_the_path() {
    let spec = crate::support::with_host_system(Spec::new(["true"]));
    assert!(run(&spec).outcome.status.success());
    assert!(matches!(
        spec.environment("PATH", "/nowhere").spawn(),
        Err(Error::ProgramMissing { .. })
    ));
}

fn a_missing_working_directory_is_an_error() {
    match probe(["exit", "0"]).working_directory("/nowhere").spawn() {
        Err(Error::SetUp { object, source, .. }) => {
            assert_eq!(object.as_deref(), Some("/nowhere"));
            assert_eq!(source.raw_os_error(), Some(libc::ENOENT));
        }
        other => panic!("{other:?}"),
    }
}

fn a_daemon_does_not_outlive_the_program() {
    let before = sandbox_processes();
    assert!(run(&probe(["leave-a-daemon"])).outcome.status.success());
    assert_eq!(sandbox_processes(), before);
}

fn the_wall_clock_limit_kills() {
    let limit = Duration::from_millis(300);
    let started = Instant::now();
    let status = run(&probe(["sleep-in-children"]).wall_clock_limit(limit))
        .outcome
        .status;
    assert_eq!(status, ProgramStatus::TimedOut);
    assert!(started.elapsed() >= limit);
    assert!(started.elapsed() < Duration::from_secs(30));
    let twin = probe(["exit", "0"]).wall_clock_limit(Duration::from_secs(60));
    assert!(run(&twin).outcome.status.success());
}

fn a_killer_kills_from_another_thread() {
    let running = probe(["sleep"]).spawn().unwrap();
    let killer = running.killer();
    let thread = std::thread::spawn(move || {
        sleep(Duration::from_millis(50));
        killer.clone().kill();
        killer.kill();
    });
    assert_eq!(finish(running).outcome.status, ProgramStatus::Killed);
    thread.join().unwrap();
}

fn a_killer_after_the_end_changes_nothing() {
    let mut running = probe(["exit", "7"]).spawn().unwrap();
    let killer = running.killer();
    // Both are at their end when the launcher has gone.
    let mut output = running.take_stdout().unwrap();
    std::io::copy(&mut output, &mut std::io::sink()).unwrap();
    killer.kill();
    assert_eq!(running.wait().unwrap().status, ProgramStatus::Exited(7));
}

fn dropping_kills() {
    let before = sandbox_processes();
    drop(probe(["sleep-in-children"]).spawn().unwrap());
    assert_eq!(sandbox_processes(), before);
}

fn unread_output_does_not_block() {
    let running = shell("head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2").spawn();
    assert!(running.unwrap().wait().unwrap().status.success());
}

/// A sandbox in which daemons run, and the ids of its launcher and of the first process, which is init or the supervisor.
pub(crate) struct Chain {
    pub(crate) running: Running,
    pub(crate) launcher: Pid,
    first: Pid,
}

pub(crate) fn start_chain(spec: &Spec) -> Chain {
    let own = nix::unistd::getpid();
    let mut running = spec.spawn().unwrap();
    wait_for_line(running.take_stdout().unwrap());
    let launcher = only_child(own);
    let first = only_child(launcher);
    Chain {
        running,
        launcher,
        first,
    }
}

fn nothing_is_left_when_the_launcher_is_killed() {
    let chain = start_chain(&probe(["sleep-in-children"]));
    kill(chain.launcher, Signal::SIGKILL).unwrap();
    match chain.running.wait() {
        Err(Error::LauncherEnded { status }) => {
            use std::os::unix::process::ExitStatusExt;
            assert_eq!(status.signal(), Some(libc::SIGKILL));
        }
        other => panic!("{other:?}"),
    }
    assert_nothing_is_left();
}

fn nothing_is_left_when_the_supervisor_is_killed() {
    let spec = probe(["sleep-in-children"]);
    let chain = start_chain(&spec.ownership(OwnershipRecording::RecordAndAnswer));
    kill(chain.first, Signal::SIGKILL).unwrap();
    assert!(matches!(chain.running.wait(), Err(Error::Lost)));
    assert_nothing_is_left();
}

fn nothing_is_left_when_init_is_killed() {
    let spec = probe(["sleep-in-children"]);
    for recording in [OwnershipRecording::Off, OwnershipRecording::RecordAndAnswer] {
        let chain = start_chain(&spec.clone().ownership(recording));
        let init = match recording {
            OwnershipRecording::Off => chain.first,
            _ => only_child(chain.first),
        };
        kill(init, Signal::SIGKILL).unwrap();
        assert!(matches!(chain.running.wait(), Err(Error::Lost)));
        assert_nothing_is_left();
    }
}

fn nothing_is_left_when_the_caller_is_killed() {
    let mut caller = Command::new(crate::support::this_program())
        .arg("caller")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(caller.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "started");
    caller.kill().unwrap();
    caller.wait().unwrap();
    assert_nothing_is_left();
}

/// Starts a sandbox and waits to be killed.
pub(crate) fn run_caller(_arguments: &[String]) -> ExitCode {
    let mut running = probe(["sleep-in-children"]).spawn().unwrap();
    wait_for_line(running.take_stdout().unwrap());
    println!("started");
    sleep(Duration::from_secs(600));
    drop(running);
    ExitCode::SUCCESS
}

fn many_sandboxes_run_at_once() {
    let threads: Vec<_> = (0..8)
        .map(|code| {
            std::thread::spawn(move || run(&probe(["exit", &code.to_string()])).outcome.status)
        })
        .collect();
    for (code, thread) in threads.into_iter().enumerate() {
        let code = i32::try_from(code).unwrap();
        assert_eq!(thread.join().unwrap(), ProgramStatus::Exited(code));
    }
}

fn a_sandbox_has_no_process_that_it_does_not_need() {
    let spec = shell("echo started; exec sleep 600");
    let recorded = spec.clone().ownership(OwnershipRecording::Record);
    let scoped = spec
        .clone()
        .network(Network::Scoped(NetworkScope::default()));
    // The launcher, init and the program; the supervisor only where it has something to answer.
    for (spec, processes) in [(spec, 3), (recorded, 4), (scoped, 4)] {
        let mut running = spec.spawn().unwrap();
        wait_for_line(running.take_stdout().unwrap());
        assert_eq!(sandbox_processes().len(), processes);
    }
}

pub(crate) fn wait_for_line(output: std::fs::File) {
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line).unwrap();
    assert_eq!(line, "started\n");
}

pub(crate) fn assert_nothing_is_left() {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !sandbox_processes().is_empty() {
        assert!(Instant::now() < deadline, "left: {:?}", sandbox_processes());
        sleep(Duration::from_millis(5));
    }
}

/// Returns the processes that this one has started, directly or not, and none of another test run beside it: those whose
/// parents are gone have become its own children.
fn sandbox_processes() -> BTreeSet<i32> {
    let all: Vec<(i32, i32)> = processes().collect();
    let own = nix::unistd::getpid().as_raw();
    let mut found = BTreeSet::new();
    let mut parents = vec![own];
    while let Some(parent) = parents.pop() {
        for (pid, _) in all.iter().filter(|(_, of)| *of == parent) {
            if found.insert(*pid) {
                parents.push(*pid);
            }
        }
    }
    found
}

fn only_child(parent: Pid) -> Pid {
    let children: Vec<i32> = processes()
        .filter(|(_, of)| *of == parent.as_raw())
        .map(|(pid, _)| pid)
        .collect();
    assert_eq!(children.len(), 1, "{parent} has {children:?}");
    Pid::from_raw(children[0])
}

/// Returns the id and the parent's id of each process that is alive.
#[expect(
    clippy::disallowed_methods,
    reason = "processes vanish while they are listed"
)]
fn processes() -> impl Iterator<Item = (i32, i32)> {
    let directory = std::fs::read_dir("/proc").unwrap();
    directory.flatten().filter_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        // The name in parentheses may hold anything, so what follows is counted from its end.
        let (_, fields) = stat.rsplit_once(')')?;
        let mut fields = fields.split_whitespace();
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        (state != "Z").then_some((pid, parent))
    })
}
