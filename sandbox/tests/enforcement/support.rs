//! A scene for each test: a temporary directory of the host, and a specification that runs the probe program.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use overcoat_sandbox::{Network, Outcome, ProgramStatus, Running, Spec, Strictness};
use tempfile::TempDir;

/// What a program did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) outcome: Outcome,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A directory of the host, removed when this is dropped.
#[derive(Debug)]
pub(crate) struct HostDirectory(TempDir);

/// Returns an empty directory of the host.
pub(crate) fn host_directory() -> HostDirectory {
    HostDirectory(TempDir::with_prefix("overcoat-sandbox-").unwrap())
}

impl HostDirectory {
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for HostDirectory {
    fn drop(&mut self) {
        open_directories(self.path());
    }
}

/// Lets their owner read the directories below `path`: the kernel makes `work/work` of an overlay with mode 0.
#[expect(
    clippy::disallowed_methods,
    reason = "what is gone already needs nothing"
)]
fn open_directories(path: &Path) {
    let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700));
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_directories(&entry.path());
        }
    }
}

/// Makes a file below a directory of the host, and the directories above it.
pub(crate) fn plant(directory: &Path, name: &str, contents: &str) -> PathBuf {
    let path = directory.join(name);
    make_directories(path.parent().unwrap());
    write(&path, contents);
    path
}

#[expect(clippy::disallowed_methods, reason = "tests panic with the path")]
pub(crate) fn make_directories(path: &Path) {
    std::fs::create_dir_all(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

#[expect(clippy::disallowed_methods, reason = "tests panic with the path")]
fn write(path: &Path, contents: &str) {
    std::fs::write(path, contents).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Sets the mode of a file or directory, and returns its path.
pub(crate) fn with_mode(path: &Path, mode: u32) -> PathBuf {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    path.to_owned()
}

#[expect(clippy::disallowed_methods, reason = "tests panic with the path")]
pub(crate) fn contents(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Adds what a dynamically linked program needs: `/usr` and the links or directories beside it.
pub(crate) fn with_host_system(spec: Spec) -> Spec {
    let mut spec = spec.bind_read_only("/usr", "/usr");
    for directory in ["/bin", "/lib", "/lib64"] {
        let host = Path::new(directory);
        if let Ok(target) = host.read_link() {
            spec = spec.symlink(target, directory);
        } else if host.is_dir() {
            spec = spec.bind_read_only(directory, directory);
        }
    }
    spec
}

/// Returns a specification that runs an operation of the probe program, with a proc and devices.
pub(crate) fn probe<const N: usize>(operation: [&str; N]) -> Spec {
    let arguments = ["/probe", "probe"].into_iter().chain(operation);
    with_host_system(Spec::new(arguments))
        .bind_read_only(this_program(), "/probe")
        .proc("/proc")
        .devices("/dev")
}

/// Returns a specification that runs a shell script.
pub(crate) fn shell(script: &str) -> Spec {
    with_host_system(Spec::new(["/bin/sh", "-c", script]))
        .environment("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .proc("/proc")
        .devices("/dev")
}

/// Gives a program the host's network for a twin of what is denied, also where it takes best effort: before Landlock
/// ABI 6.
pub(crate) fn with_network_of_host(spec: Spec) -> Spec {
    spec.network(Network::Host)
        .strictness(Strictness::BestEffort)
}

pub(crate) fn this_program() -> PathBuf {
    std::env::current_exe().unwrap()
}

pub(crate) fn run(spec: &Spec) -> Ran {
    let running = spec
        .spawn()
        .unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(&error)));
    finish(running)
}

pub(crate) fn finish(mut running: Running) -> Ran {
    // The probe prints less than a pipe holds, so one after the other does not block it.
    let stdout = read(running.take_stdout());
    let stderr = read(running.take_stderr());
    let outcome = running.wait().unwrap();
    Ran {
        outcome,
        stdout,
        stderr,
    }
}

fn read(output: Option<File>) -> String {
    let mut text = String::new();
    output.unwrap().read_to_string(&mut text).unwrap();
    text
}

/// Runs an operation of the probe program, and returns the errno it failed with, or 0.
pub(crate) fn errno_of(spec: &Spec) -> i32 {
    let ran = run(spec);
    match ran.outcome.status {
        ProgramStatus::Exited(code) => code,
        other => panic!("{other:?}: {}", ran.stderr),
    }
}

/// Asserts the errno of an operation; 0 is success.
#[track_caller]
pub(crate) fn assert_errno(spec: &Spec, expected: i32) {
    let found = errno_of(spec);
    let name = |errno| nix::errno::Errno::from_raw(errno);
    assert_eq!(
        found,
        expected,
        "found {}, not {}",
        name(found),
        name(expected)
    );
}

/// The errno of writing a file of the host's root on a read-only mount: the mode is looked at first, and protects it
/// from everybody but root.
pub(crate) fn refused_write() -> i32 {
    if nix::unistd::geteuid().is_root() {
        libc::EROFS
    } else {
        libc::EACCES
    }
}
