//! What services need that merging does not bring: programs, accounts, files and directories.
//!
//! Specification: systemd.exec(5), sysusers.d(5), tmpfiles.d(5).

use std::collections::{BTreeMap, BTreeSet};

use super::finding::item;
use super::merged::{Merged, readable_text, walked};
use super::units::{Unit, shipped};
use super::{Error, Finding, scripts};
use crate::extension::{AccountKind, Declared, ExtensionKind, FindingItem, Severity};
use crate::tree::TreePath;

const EXEC: [&str; 7] = [
    "ExecCondition",
    "ExecStartPre",
    "ExecStart",
    "ExecStartPost",
    "ExecReload",
    "ExecStop",
    "ExecStopPost",
];
/// Without them the service does not start, unless a hyphen is before the path.
const PATHS: [&str; 6] = [
    "WorkingDirectory",
    "EnvironmentFile",
    "ReadWritePaths",
    "ReadOnlyPaths",
    "InaccessiblePaths",
    "RootDirectory",
];
/// What every system makes at boot.
const RUNTIME: [&str; 6] = ["/run", "/var/run", "/tmp", "/proc", "/sys", "/dev"];
/// Accounts that every system has, and those that systemd knows itself (nss-systemd(8)).
const ACCOUNTS: [&str; 4] = ["root", "nobody", "nogroup", "0"];
const MADE: [(&str, &str); 2] = [
    ("sysusers.d", "accounts"),
    ("tmpfiles.d", "files and directories"),
];

pub(super) fn check(merged: &Merged<'_>) -> Result<Vec<Finding>, Error> {
    let describe = |source| Error::Describe { source };
    let declared = Declared::read(merged.payload, merged.base, merged.kind).map_err(describe)?;
    let mut findings: Vec<Finding> = made_at_boot(merged).into_iter().collect();
    if merged.base.is_none() {
        return Ok(findings);
    }
    let accounts = Accounts::read(merged, &declared)?;
    let units = shipped(merged)?;
    let services: Vec<&Unit> = units
        .iter()
        .filter(|unit| unit.name.ends_with(".service"))
        .collect();
    for unit in &services {
        findings.extend(programs(merged, unit));
        findings.extend(paths(merged, &declared, unit));
    }
    findings.extend(accounts.missing(merged, &services)?);
    Ok(findings)
}

/// Tells what takes effect at boot only.
fn made_at_boot(merged: &Merged<'_>) -> Option<Finding> {
    let own = match merged.kind {
        ExtensionKind::Sysext => "usr/lib",
        ExtensionKind::Confext => "etc",
    };
    let mut items: Vec<FindingItem> = Vec::new();
    let mut what = Vec::new();
    for (directory, name) in MADE {
        let directory =
            TreePath::new(format!("{own}/{directory}")).expect("a constant path is valid");
        let files = merged.payload.children(&directory);
        let files: Vec<_> = files
            .into_iter()
            .filter(|(path, _)| path.file_name().ends_with(b".conf"))
            .collect();
        if !files.is_empty() {
            what.push(name);
        }
        items.extend(files.iter().map(|(path, _)| item(path, None)));
    }
    if items.is_empty() {
        return None;
    }
    let reason = format!(
        "{} are made at boot, and not by merging on a running system",
        what.join(", ")
    );
    let remedy =
        "after merging on a running system, run `systemd-sysusers` and `systemd-tmpfiles --create`";
    Some(
        Finding::new("made-at-boot", reason)
            .remedy(remedy)
            .items(items),
    )
}

fn programs(merged: &Merged<'_>, unit: &Unit) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    // A service with a root of its own finds its programs there.
    if !unit.settings.values("Service", "RootDirectory").is_empty()
        || !unit.settings.values("Service", "RootImage").is_empty()
    {
        return findings;
    }
    for key in EXEC {
        for line in unit.settings.values("Service", key) {
            let command = line.trim_start_matches(['@', '-', ':', '+', '!', '|']);
            let prefix = &line[..line.len() - command.len()];
            let command = command.split_whitespace().next().unwrap_or_default();
            let command = command.trim_matches(['"', '\'']);
            let is_unknown = command.is_empty() || command.contains(['%', '$']);
            if is_unknown || scripts::is_command(merged, command) || !seen.insert(command) {
                continue;
            }
            let reason = format!(
                "`{}` starts `{command}` (`{key}=`), which does not exist",
                unit.name
            );
            let remedy = "add the package that has it to the extension, or to the base";
            let finding = Finding::new("program-missing", reason)
                .remedy(remedy)
                .at(&unit.path);
            findings.push(match prefix.contains('-') {
                true => finding.severity(Severity::Note),
                false => finding,
            });
        }
    }
    findings
}

/// Tells of files and directories that a service needs, and that are neither there nor made.
fn paths(merged: &Merged<'_>, declared: &Declared, unit: &Unit) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    for key in PATHS {
        for word in unit.settings.words("Service", key) {
            // A hyphen lets it be missing; `+` and `~` are of no interest here, and patterns match nothing else.
            let is_known =
                !word.trim_start_matches('+').starts_with('/') || word.contains(['%', '*', '$']);
            let word = word.trim_start_matches('+');
            let is_runtime = RUNTIME.iter().any(|start| {
                word.strip_prefix(start)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            });
            let Some(path) = walked(word).filter(|_| !is_known && !is_runtime) else {
                continue;
            };
            if merged.find(&path).is_some() || declared.makes(&path) || !seen.insert(path.clone()) {
                continue;
            }
            let reason = format!(
                "`{}` needs `/{path}` (`{key}=`), which neither exists nor is made",
                unit.name
            );
            let remedy = match path.as_bytes().starts_with(b"etc/") {
                true => {
                    "ship it in a confext or have it made with `tmpfiles.d`, or let it be missing, with a hyphen before the path"
                }
                false => "have it made with `StateDirectory=` or its kin, or with `tmpfiles.d`",
            };
            findings.push(
                Finding::new("path-missing", reason)
                    .remedy(remedy)
                    .at(&unit.path),
            );
        }
    }
    findings
}

/// The names of the accounts that are there when the extension is merged.
struct Accounts(BTreeSet<(AccountKind, String)>);

impl Accounts {
    fn read(merged: &Merged<'_>, declared: &Declared) -> Result<Self, Error> {
        let mut names = declared.accounts().clone();
        for (kind, file) in [
            (AccountKind::User, "/etc/passwd"),
            (AccountKind::Group, "/etc/group"),
        ] {
            let Some(found) = merged.find_text(file) else {
                continue;
            };
            let text = readable_text(found.entry)?.unwrap_or_default();
            let found = text.lines().filter_map(|line| line.split(':').next());
            names.extend(found.map(|name| (kind, name.to_owned())));
        }
        Ok(Self(names))
    }

    fn has(&self, kind: AccountKind, name: &str) -> bool {
        // A number needs no account, and a specifier is what only the running system knows.
        ACCOUNTS.contains(&name)
            || name.parse::<u32>().is_ok()
            || name.contains('%')
            || self.0.contains(&(kind, name.to_owned()))
    }

    /// Tells of accounts that services and files of `tmpfiles.d` name and nothing makes.
    fn missing(&self, merged: &Merged<'_>, services: &[&Unit]) -> Result<Vec<Finding>, Error> {
        let mut missing: BTreeMap<(AccountKind, String), Vec<FindingItem>> = BTreeMap::new();
        let mut look = |kind, name: &str, path: &TreePath, how: String| {
            if !self.has(kind, name) {
                let items = missing.entry((kind, name.to_owned())).or_default();
                items.push(item(path, Some(how)));
            }
        };
        for unit in services {
            let value = |key| unit.settings.values("Service", key).last().copied();
            let is_dynamic = value("DynamicUser").is_some_and(|value| {
                ["yes", "true", "on", "1"].contains(&value.to_ascii_lowercase().as_str())
            });
            if is_dynamic {
                continue;
            }
            for (key, kind) in [("User", AccountKind::User), ("Group", AccountKind::Group)] {
                if let Some(name) = value(key) {
                    look(kind, name, &unit.path, format!("{key}={name}"));
                }
            }
            for name in unit.settings.words("Service", "SupplementaryGroups") {
                let how = format!("SupplementaryGroups={name}");
                look(AccountKind::Group, name, &unit.path, how);
            }
        }
        for directory in ["usr/lib/tmpfiles.d", "etc/tmpfiles.d"] {
            let directory = TreePath::new(directory).expect("a constant path is valid");
            if !merged.kind.holds(&directory) {
                continue;
            }
            for (path, entry) in merged.payload.children(&directory) {
                let is_list = path.file_name().ends_with(b".conf");
                let text = readable_text(entry)?
                    .filter(|_| is_list)
                    .unwrap_or_default();
                for line in text
                    .lines()
                    .filter(|line| !line.trim_start().starts_with('#'))
                {
                    let fields: Vec<&str> = line.split_whitespace().collect();
                    let at =
                        |index: usize| fields.get(index).map(|field| field.trim_start_matches(':'));
                    for (index, kind) in [(3, AccountKind::User), (4, AccountKind::Group)] {
                        if let Some(name) = at(index).filter(|name| !matches!(*name, "-" | "")) {
                            look(kind, name, path, line.trim().to_owned());
                        }
                    }
                }
            }
        }
        let finding = |((kind, name), items): ((AccountKind, String), Vec<FindingItem>)| {
            let reason =
                format!("the {kind} `{name}` is neither the base's nor made by the extension");
            let letter = match kind {
                AccountKind::User => "u",
                AccountKind::Group => "g",
            };
            let remedy = format!(
                "have it made at boot, with `{letter} {name} -` in a file of `/usr/lib/sysusers.d`"
            );
            Finding::new("account-missing", reason)
                .remedy(remedy)
                .items(items)
        };
        Ok(missing.into_iter().map(finding).collect())
    }
}
