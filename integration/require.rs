//! What a test needs of the host, and what becomes of the test without it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use overcoat::format::file_system::KernelVersion;

use crate::harness::World;

/// Takes the value out of a `Result<T, String>`, or ends the test: skipped with the reason, failed when the host
/// claims to have everything (`OVERCOAT_TEST_REQUIRE=1`).
macro_rules! require {
    ($feature:expr) => {
        match $feature {
            Ok(feature) => feature,
            Err(reason) => return $crate::require::lacking(&reason),
        }
    };
}

/// Ends a test whose need is not met.
pub(crate) fn lacking(reason: &str) {
    assert!(
        std::env::var_os("OVERCOAT_TEST_REQUIRE").is_none_or(|value| value != "1"),
        "the host lacks what OVERCOAT_TEST_REQUIRE=1 claims: {reason}"
    );
    say_skipped(reason);
}

/// Says that a test does not run; past the test harness's capture, which hides the output of tests that pass.
pub(crate) fn say_skipped(reason: &str) {
    let test = std::thread::current();
    let name = test.name().unwrap_or("a test");
    let _ = writeln!(std::io::stderr(), "SKIP {name}: {reason}");
}

/// Finds a foreign program.
pub(crate) fn tool(name: &str) -> Result<Tool, String> {
    ["/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        .iter()
        .map(|directory| Path::new(directory).join(name))
        .find(|path| path.is_file())
        .map(Tool)
        .ok_or_else(|| format!("`{name}` is not installed"))
}

/// Returns the release of a program of erofs-utils, which says `fsck.erofs 1.8.6` or `fsck.erofs (erofs-utils) 1.8.6`.
pub(crate) fn erofs_utils(fsck: &Tool) -> (u32, u32) {
    let version = fsck.text(&["-V"]);
    version
        .split_whitespace()
        .find_map(|word| {
            let (major, minor) = word.split_once('.')?;
            let minor = minor.split(|c: char| !c.is_ascii_digit()).next()?;
            Some((major.parse().ok()?, minor.parse().ok()?))
        })
        .unwrap_or_else(|| panic!("no release in `{version}`"))
}

/// Asks the program itself whether builds work here.
pub(crate) fn building() -> Result<(), String> {
    let doctor = World::new().run(&["doctor"]);
    match doctor.status {
        Some(0) => Ok(()),
        _ => Err(format!(
            "`overcoat doctor`:\n{}{}",
            doctor.stdout, doctor.stderr
        )),
    }
}

/// Tells whether a file system type can be mounted from a file by this user's kernel.
pub(crate) fn mountable(file_system: &str) -> Result<(), String> {
    let known = fs_err::read_to_string("/proc/filesystems").unwrap();
    if !known.lines().any(|line| line.trim() == file_system) {
        return Err(format!("the kernel has no {file_system}"));
    }
    if !Path::new("/dev/loop-control").exists() {
        return Err("there are no loop devices".to_owned());
    }
    Ok(())
}

/// Returns the release of the kernel.
pub(crate) fn running_kernel() -> KernelVersion {
    let release = fs_err::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|number| number.parse().unwrap());
    KernelVersion::new(numbers.next().unwrap(), numbers.next().unwrap())
}

/// Tells whether the suite runs as root. It runs once as each, so this is no lack of the host.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Tells whether the caller has a range of ids. An ordinary user has none unless `OVERCOAT_TEST_RANGE=1` says so: the
/// suite runs as one without, as one with, and as root.
pub(crate) fn has_range() -> bool {
    let promised =
        is_root() || std::env::var_os("OVERCOAT_TEST_RANGE").is_some_and(|value| value == "1");
    let doctor = World::new().run(&["doctor", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&doctor.stdout).unwrap();
    let range = &report["id_mappings"][1];
    let possible = range["status"] == "available";
    assert!(possible || !promised, "{range}");
    if !possible {
        say_skipped(&range["cause"].to_string());
    }
    possible
}

/// A foreign program.
#[derive(Debug)]
pub(crate) struct Tool(PathBuf);

impl Tool {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Runs it with an empty environment and returns what it printed; it must succeed.
    pub(crate) fn output<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Vec<u8> {
        let output = Command::new(&self.0)
            .args(arguments)
            .env_clear()
            .env("LC_ALL", "C")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .output()
            .expect("the program starts");
        assert!(
            output.status.success(),
            "{} {}:\n{}{}",
            self.0.display(),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }

    pub(crate) fn text<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> String {
        String::from_utf8(self.output(arguments)).expect("the program prints UTF-8")
    }
}
