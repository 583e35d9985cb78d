//! The ownership recorder against a real kernel, without the launcher.
//!
//! Each scenario runs in three processes, none of which forks while it has threads: this one starts a supervisor, which
//! enters a user and mount namespace with one mapped id and starts the program, which installs the filter, sends the
//! listener to the supervisor and makes the calls. The supervisor then looks at the disk and at the returned records.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test program without a harness, which reports by panics and its own output"
)]

mod answers;
mod attacks;
mod calls;
mod copies;
mod creations;
mod errors;
mod foreign;
mod hostile;
mod identities;
mod lives;
mod owners;
mod raw;

use std::fs::File;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg,
    sendmsg, socketpair,
};
use overcoat_sandbox::OwnershipRecording;
use overcoat_sandbox::ownership::{OwnerRecord, Supervisor};
use overcoat_sandbox::seccomp::{self, Policy};

/// What happens in a directory of the test's own.
pub(crate) struct Scenario {
    name: &'static str,
    /// In the namespaces, before the filter exists.
    prepare: fn(&Path),
    /// Under the filter.
    program: fn(&Path),
    check: Check,
}

/// What the supervisor's process looks at after the program's end.
pub(crate) enum Check {
    /// The disk, and the records that were returned.
    Records(fn(&Path, &[OwnerRecord])),
    /// The message with which recording failed.
    Error(&'static str),
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["supervise", name, directory] => supervise(find(name), Path::new(directory)),
        ["program", name, directory] => {
            send_listener(name);
            (find(name).program)(Path::new(directory));
            ExitCode::SUCCESS
        }
        ["under-filter", name, directory] => {
            attacks::helper(name, Path::new(directory));
            ExitCode::SUCCESS
        }
        _ => run_all(&arguments),
    }
}

/// Understands as much of the harness's command line as cargo and nextest use.
fn run_all(arguments: &[&str]) -> ExitCode {
    let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
    let chosen =
        scenarios().filter(|scenario| filter.is_none_or(|filter| scenario.name.contains(filter)));
    if arguments.contains(&"--list") {
        if !arguments.contains(&"--ignored") {
            chosen.for_each(|scenario| println!("{}: test", scenario.name));
        }
        return ExitCode::SUCCESS;
    }
    if let Some(reason) = missing_feature() {
        println!("SKIP: {reason}");
        let required = std::env::var_os("OVERCOAT_TEST_REQUIRE").is_some_and(|value| value == "1");
        return if required {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        };
    }
    let (mut passed, mut failed) = (0, 0);
    for scenario in chosen {
        let directory = tempfile::tempdir().unwrap();
        let status = Command::new("/proc/self/exe")
            .args(["supervise", scenario.name])
            .arg(directory.path())
            .status()
            .unwrap();
        println!(
            "test {} ... {}",
            scenario.name,
            if status.success() { "ok" } else { "FAILED" }
        );
        passed += u8::from(status.success());
        failed += u8::from(!status.success());
    }
    println!("{passed} passed, {failed} failed");
    ExitCode::from(failed)
}

fn missing_feature() -> Option<String> {
    let status = Command::new("unshare")
        .args(["--user", "--mount", "true"])
        .stderr(Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => None,
        other => Some(format!("no user namespaces: {other:?}")),
    }
}

fn scenarios() -> impl Iterator<Item = &'static Scenario> {
    calls::ALL
        .iter()
        .chain(answers::ALL)
        .chain(copies::ALL)
        .chain(copies::WITHOUT_ANSWERS)
        .chain(creations::ALL)
        .chain(errors::ALL)
        .chain(foreign::ALL)
        .chain(hostile::ALL)
        .chain(identities::ALL)
        .chain(lives::ALL)
        .chain(attacks::ALL)
}

fn find(name: &str) -> &'static Scenario {
    scenarios().find(|scenario| scenario.name == name).unwrap()
}

fn supervise(scenario: &Scenario, directory: &Path) -> ExitCode {
    enter_namespaces();
    let directory = PathBuf::from(directory);
    (scenario.prepare)(&directory);
    let host_proc = OwnedFd::from(raw::open_path(Path::new("/proc")));
    let (ours, theirs) = socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC,
    )
    .unwrap();
    let mut child = Command::new("/proc/self/exe")
        .args(["program", scenario.name])
        .arg(&directory)
        .current_dir(&directory)
        .stdin(Stdio::from(theirs))
        .spawn()
        .unwrap();
    let listener = receive_listener(&ours);
    let outcome = Supervisor::new(listener, host_proc).run(&[]);
    if !child.wait().unwrap().success() {
        return ExitCode::FAILURE;
    }
    match scenario.check {
        Check::Records(check) => check(&directory, &outcome.unwrap()),
        Check::Error(message) => assert_eq!(outcome.unwrap_err().to_string(), message),
    }
    ExitCode::SUCCESS
}

/// Maps the caller's id, and no other, to 0.
fn enter_namespaces() {
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID)
        .unwrap();
    std::fs::write("/proc/self/setgroups", "deny").unwrap();
    std::fs::write("/proc/self/uid_map", format!("0 {uid} 1")).unwrap();
    std::fs::write("/proc/self/gid_map", format!("0 {gid} 1")).unwrap();
    let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).unwrap();
}

fn send_listener(name: &str) {
    let named = |scenario: &Scenario| scenario.name == name;
    let program = seccomp::assemble(&Policy {
        ownership: if copies::WITHOUT_ANSWERS.iter().any(named) {
            OwnershipRecording::Record
        } else {
            OwnershipRecording::RecordAndAnswer
        },
        suppress_sync: true,
        network_scoped: false,
    });
    nix::sys::prctl::set_no_new_privs().unwrap();
    let listener = seccomp::install(&program, true).unwrap().unwrap();
    let descriptors = [listener.as_raw_fd()];
    let message = [ControlMessage::ScmRights(&descriptors)];
    let data = [IoSlice::new(b"l")];
    sendmsg::<()>(0, &data, &message, MsgFlags::empty(), None).unwrap();
}

fn receive_listener(socket: &OwnedFd) -> OwnedFd {
    let mut byte = [0];
    let mut data = [IoSliceMut::new(&mut byte)];
    let mut space = nix::cmsg_space!([RawFd; 1]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut data, Some(&mut space), flags).unwrap();
    let Some(ControlMessageOwned::ScmRights(descriptors)) = message.cmsgs().unwrap().next() else {
        panic!("the program sent no listener");
    };
    // SAFETY: the kernel has just installed the descriptor for this message, and nothing else knows of it.
    OwnedFd::from(unsafe { File::from_raw_fd(descriptors[0]) })
}
