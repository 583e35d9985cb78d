//! `overcoat doctor`: tells whether this host can build, and for each thing in the way its cause, the evidence and the
//! remedy.
//!
//! Facts are gathered first ([`Host::gather`]), judged as pure data ([`checks`]) and rendered last ([`Report`]).

mod host;

use std::fmt::Write;
use std::path::PathBuf;

use overcoat_sandbox::probe::LANDLOCK;
use serde::Serialize;

pub(super) use self::host::{FreeSpace, Host, HostRelease, Tool};
use super::exit;
use super::output::Style;
use super::render::{GREEN, RED, indented};
use super::table::size;
use crate::packages::apt::PROGRAM_DIRECTORIES;

/// The check whose finding the line of a ready host names.
const HOST: &str = "host";

/// A build of a base image and an extension needs about this much for packages, layers and outputs.
const FREE_BYTES_WANTED: u64 = 2 * 1024 * 1024 * 1024;

/// The directories whose free space matters, with the settings that move them.
#[derive(Clone, Debug)]
pub(super) struct Places {
    pub cache_directory: PathBuf,
    pub output_directory: PathBuf,
}

/// One thing the host must have, and whether it has it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Check {
    pub name: String,
    #[serde(flatten)]
    pub status: Status,
}

/// The answer to a [`Check`].
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub(super) enum Status {
    /// The thing is there; `detail` says which.
    Available { detail: String },
    /// A build would fail.
    Missing {
        /// What is wrong.
        cause: String,
        /// What was seen.
        evidence: String,
        /// What to do about it, with commands in backticks.
        remedy: String,
    },
}

impl Check {
    /// Returns a check that found what it looked for.
    pub(super) fn available(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            status: Status::Available {
                detail: detail.into(),
            },
        }
    }

    /// Returns a check that did not.
    pub(super) fn missing(
        name: impl Into<String>,
        cause: impl Into<String>,
        evidence: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            status: Status::Missing {
                cause: cause.into(),
                evidence: evidence.into(),
                remedy: remedy.into(),
            },
        }
    }
}

/// Judges what was found on the host.
pub(super) fn checks(host: &Host) -> Vec<Check> {
    let mut checks = vec![release_check(host)];
    checks.extend(host.tools.iter().map(|tool| tool_check(tool, host)));
    checks.extend(keyring_check(host));
    checks.extend(host.free_space.iter().map(space_check));
    checks
}

fn release_check(host: &Host) -> Check {
    let HostRelease { id, version_id, .. } = &host.release;
    Check::available(HOST, format!("{id} {version_id}").trim_end())
}

fn tool_check(tool: &Tool, host: &Host) -> Check {
    match &tool.found {
        Some((path, version)) => {
            Check::available(tool.name, format!("{} ({version})", path.display()))
        }
        None => Check::missing(
            tool.name,
            format!("`{}` is not installed", tool.name),
            format!("looked in {}", PROGRAM_DIRECTORIES.join(", ")),
            host.release.install_command(tool.package),
        ),
    }
}

/// The keyring of the host's own distribution is needed, because recipes build that distribution by default.
fn keyring_check(host: &Host) -> Option<Check> {
    let (path, package) = host.release.keyring()?;
    let name = "archive keyring";
    Some(if host.keyrings.iter().any(|keyring| keyring == path) {
        Check::available(name, path.display().to_string())
    } else {
        Check::missing(
            name,
            "packages cannot be verified",
            format!("`{}` does not exist", path.display()),
            host.release.install_command(package),
        )
    })
}

fn space_check(space: &FreeSpace) -> Check {
    let name = format!("free space for {}", space.purpose);
    let seen = format!(
        "{} free at `{}`",
        size(space.available_bytes),
        space.path.display()
    );
    if space.available_bytes >= FREE_BYTES_WANTED {
        return Check::available(name, seen);
    }
    Check::missing(
        name,
        format!("less than {} are free", size(FREE_BYTES_WANTED)),
        seen,
        format!(
            "free some space, or choose another directory with `{}=`",
            space.setting
        ),
    )
}

/// The judged checks of one host.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Report {
    ready: bool,
    checks: Vec<Check>,
    /// What `--userns=` can be on this host. A host that cannot do both is ready all the same.
    id_mappings: Vec<Check>,
}

impl Report {
    /// Sums the checks up.
    pub(super) fn new(checks: Vec<Check>) -> Self {
        let ready = checks
            .iter()
            .all(|check| matches!(check.status, Status::Available { .. }));
        Self {
            ready,
            checks,
            id_mappings: Vec::new(),
        }
    }

    /// Adds the values of `--userns=`, and whether they are possible.
    pub(super) fn with_id_mappings(self, id_mappings: Vec<Check>) -> Self {
        Self {
            id_mappings,
            ..self
        }
    }

    /// Returns the exit status: a host that lacks something is told apart from a failed build.
    pub(super) fn exit_code(&self) -> u8 {
        if self.ready {
            exit::SUCCESS
        } else {
            exit::HOST_LACKS_FEATURE
        }
    }

    /// Renders the report for people: one line when all is well, else a paragraph a problem; and a line for Landlock,
    /// which is not the same on every host that is ready, and for each id mapping.
    pub(super) fn text(&self, style: Style) -> String {
        let mut text = self.checks_text(style);
        if let Some(detail) = self.detail(LANDLOCK) {
            let _ = writeln!(text, "{LANDLOCK}: {}", indented(detail, "  ", style));
        }
        for mapping in &self.id_mappings {
            let lines = |text: &str| indented(text, "  ", style);
            let _ = match &mapping.status {
                Status::Available { detail } => {
                    writeln!(text, "--userns={}: {}", mapping.name, lines(detail))
                }
                Status::Missing { cause, remedy, .. } => writeln!(
                    text,
                    "--userns={}: not possible: {}\n  remedy: {}",
                    mapping.name,
                    lines(cause),
                    lines(remedy)
                ),
            };
        }
        text
    }

    fn checks_text(&self, style: Style) -> String {
        let mut text = String::new();
        if self.ready {
            let ready = style.paint(GREEN, "ready");
            let host = self.detail(HOST).map(|host| indented(host, "", style));
            let _ = writeln!(
                text,
                "{ready}: {} ({} checks passed)",
                host.unwrap_or_default(),
                self.checks.len()
            );
            return text;
        }
        let is_missing = |check: &&Check| matches!(check.status, Status::Missing { .. });
        let missing: Vec<&Check> = self.checks.iter().filter(is_missing).collect();
        for (index, check) in missing.iter().enumerate() {
            let Status::Missing {
                cause,
                evidence,
                remedy,
            } = &check.status
            else {
                continue;
            };
            let same = |other: &&&Check| other.status == check.status;
            if missing[..index].iter().any(|other| same(&other)) {
                continue;
            }
            // What fails for one reason is told once: without user namespaces nothing else in them works either.
            let names: Vec<&str> = missing
                .iter()
                .filter(same)
                .map(|check| check.name.as_str())
                .collect();
            let label = style.paint(RED, "missing");
            let lines = |text: &str| indented(text, "  ", style);
            let _ = writeln!(
                text,
                "{label}: {}: {}\n  seen: {}\n  remedy: {}\n",
                lines(&names.join("; ")),
                lines(cause),
                lines(evidence),
                lines(remedy)
            );
        }
        let _ = writeln!(
            text,
            "not ready: {} of {} checks found a problem",
            missing.len(),
            self.checks.len()
        );
        text
    }

    fn detail(&self, name: &str) -> Option<&str> {
        let check = self.checks.iter().find(|check| check.name == name)?;
        match &check.status {
            Status::Available { detail } => Some(detail),
            Status::Missing { .. } => None,
        }
    }

    /// Renders the whole report as JSON, with what was found where nothing is wrong.
    pub(super) fn json(&self) -> String {
        let mut json =
            serde_json::to_string_pretty(self).expect("a report has only strings and a boolean");
        json.push('\n');
        json
    }
}

#[cfg(test)]
mod tests;
