//! What the command line reads of the host: its distribution, its mirrors, its directories.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::packages::apt::{Stanza, parse_sources};
use crate::recipe::HostFacts;

/// The variable with a list of grants.
pub(super) const GRANTS: &str = "OVERCOAT_ALLOW";

/// Returns the host's distribution, release and architecture, and its version of systemd.
pub(super) fn facts() -> HostFacts {
    let text = ["/etc/os-release", "/usr/lib/os-release"]
        .iter()
        .find_map(|path| fs::read_to_string(path).ok());
    let machine =
        nix::sys::utsname::uname().map(|name| name.machine().to_string_lossy().into_owned());
    let machine = machine.unwrap_or_default();
    let facts = HostFacts::from_os_release(&text.unwrap_or_default(), &machine);
    let libraries = [
        PathBuf::from("/usr/lib/systemd"),
        PathBuf::from("/usr/lib64/systemd"),
        PathBuf::from(format!("/usr/lib/{machine}-linux-gnu/systemd")),
    ];
    let entries = libraries.iter().filter_map(|path| fs::read_dir(path).ok());
    entries.flatten().flatten().fold(facts, |facts, entry| {
        facts.with_systemd_library(&entry.file_name().to_string_lossy())
    })
}

/// Returns the repositories in the host's own lists, to find the mirror that is near it.
pub(super) fn repositories() -> Vec<Stanza> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    let listed = fs::read_dir("/etc/apt/sources.list.d")
        .into_iter()
        .flatten()
        .flatten();
    let mut listed: Vec<PathBuf> = listed.map(|entry| entry.path()).collect();
    listed.sort();
    files.extend(listed.into_iter().filter(|path| has_list_extension(path)));
    // A list that cannot be read names no mirror; apt on the host complains about it itself.
    files
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .flat_map(|text| parse_sources(&text))
        .collect()
}

fn has_list_extension(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "list" || extension == "sources")
}

/// Returns the variables of the environment, from which a recipe gets only what was granted.
pub(super) fn environment() -> BTreeMap<String, String> {
    let text = |(name, value): (OsString, OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).collect()
}

/// Returns the environment for what signs in the person's name; it asks for a passphrase where messages go.
pub(super) fn signing_environment() -> BTreeMap<String, String> {
    let mut environment = environment();
    if let Ok(terminal) = nix::unistd::ttyname(std::io::stderr()) {
        environment
            .entry("GPG_TTY".to_owned())
            .or_insert_with(|| terminal.to_string_lossy().into_owned());
    }
    environment
}

/// Returns the list of grants in the environment; what is not UTF-8 in it is no grant.
pub(super) fn grants() -> Option<String> {
    std::env::var_os(GRANTS).map(|list| list.to_string_lossy().into_owned())
}

/// Returns the limits that the person's environment sets.
pub(super) fn limits() -> Option<std::ffi::OsString> {
    std::env::var_os(super::limits::VARIABLE)
}

/// A variable of the environment has a value that means nothing.
#[derive(Debug, thiserror::Error)]
#[error("`OVERCOAT_UNTRUSTED` is `{}`, neither `1` nor `0`", .value.display())]
pub(super) struct NeitherYesNorNo {
    value: OsString,
}

/// Tells whether the environment asks for a build that is not trusted.
pub(super) fn is_untrusted() -> Result<bool, NeitherYesNorNo> {
    match std::env::var_os("OVERCOAT_UNTRUSTED") {
        None => Ok(false),
        Some(value) if value.is_empty() || value == "0" => Ok(false),
        Some(value) if value == "1" => Ok(true),
        Some(value) => Err(NeitherYesNorNo { value }),
    }
}

/// Returns the user's directory for caches, `None` when the environment names none (XDG Base Directory 0.8).
pub(super) fn cache_directory() -> Option<PathBuf> {
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(base.join("overcoat"))
}
