//! Units of the extension: whether something starts them, and whether what they ask for exists.
//!
//! Specification: systemd.unit(5).

use std::collections::BTreeSet;

use super::finding::item;
use super::merged::{Found, Merged, Origin, readable_text};
use super::{Error, Finding};
use crate::extension::{ExtensionKind, OsRelease, Severity};
use crate::tree::{EntryKind, TreePath};

/// Where units of the system are, the first before the others.
const DIRECTORIES: [&str; 4] = [
    "/etc/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];
/// What can be started; the others are made of what exists on a running system.
const STARTED: [&str; 6] = [
    ".service",
    ".socket",
    ".timer",
    ".path",
    ".target",
    ".automount",
];
/// Directories of links by which a unit pulls others in.
const PULLING: [&str; 3] = [".wants", ".requires", ".upholds"];
/// What pulls others in, and whether it fails without them.
const ASKING: [(&str, bool); 5] = [
    ("Requires", true),
    ("Requisite", true),
    ("BindsTo", true),
    ("Wants", false),
    ("Upholds", false),
];

/// A unit's settings, in their order.
#[derive(Debug, Default)]
pub(super) struct Settings(Vec<(String, String, String)>);

impl Settings {
    /// Reads the text of a unit. A backslash at its end joins a line with the next.
    pub(super) fn parse(text: &str) -> Self {
        let mut settings = Vec::new();
        let mut section = String::new();
        let mut joined = String::new();
        for line in text.lines().map(str::trim) {
            if line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(start) = line.strip_suffix('\\') {
                joined.push_str(start);
                joined.push(' ');
                continue;
            }
            joined.push_str(line);
            let line = std::mem::take(&mut joined);
            if let Some(name) = line.strip_prefix('[') {
                section = name.trim_end_matches(']').to_owned();
            } else if let Some((key, value)) = line.split_once('=') {
                let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
                settings.push((section.clone(), key, value));
            }
        }
        Self(settings)
    }

    /// Returns the values of a setting; an empty one takes those before it back.
    pub(super) fn values(&self, section: &str, key: &str) -> Vec<&str> {
        let mut values = Vec::new();
        let found = self
            .0
            .iter()
            .filter(|(in_section, name, _)| in_section == section && name == key);
        for (_, _, value) in found {
            match value.is_empty() {
                true => values.clear(),
                false => values.push(value.as_str()),
            }
        }
        values
    }

    /// As [`Settings::values`], divided at spaces.
    pub(super) fn words(&self, section: &str, key: &str) -> Vec<&str> {
        let values = self.values(section, key).into_iter();
        values.flat_map(str::split_whitespace).collect()
    }

    fn has_section(&self, section: &str) -> bool {
        self.0.iter().any(|(found, _, _)| found == section)
    }
}

/// A unit of the extension.
pub(super) struct Unit {
    pub(super) name: String,
    pub(super) path: TreePath,
    pub(super) settings: Settings,
}

/// Returns the units that the extension ships, without links.
pub(super) fn shipped(merged: &Merged<'_>) -> Result<Vec<Unit>, Error> {
    let mut units = Vec::new();
    let own = match merged.kind {
        ExtensionKind::Sysext => "/usr/lib/systemd/system",
        ExtensionKind::Confext => "/etc/systemd/system",
    };
    for (name, found) in merged.children(own) {
        let name = String::from_utf8_lossy(&name).into_owned();
        let is_unit = suffix(&name).is_some() && found.is_regular();
        if found.origin == Origin::Payload
            && is_unit
            && let Some(text) = readable_text(found.entry)?
        {
            units.push(Unit {
                name,
                path: found.path,
                settings: Settings::parse(&text),
            });
        }
    }
    Ok(units)
}

pub(super) fn check(merged: &Merged<'_>, release: &OsRelease) -> Result<Vec<Finding>, Error> {
    let units = shipped(merged)?;
    let mut findings = Vec::new();
    let pulled = pulled_in(merged);
    for unit in &units {
        findings.extend(not_started(merged, unit, &units, &pulled));
        findings.extend(required_by(unit));
        findings.extend(overridden(merged, unit));
        if merged.base.is_some() {
            findings.extend(missing(merged, unit));
        }
    }
    findings.extend(links(merged));
    let reloads = release
        .get("EXTENSION_RELOAD_MANAGER")
        .is_some_and(|value| {
            ["1", "yes", "true", "on"].contains(&value.to_ascii_lowercase().as_str())
        });
    if !units.is_empty() && !reloads {
        let reason = "it has units, and systemd knows them only when it reads all units again: at boot, or where the \
                      extension asks for it";
        let remedy =
            "set `EXTENSION_RELOAD_MANAGER=1` in the extension-release file (`ReloadManager=yes`)";
        let items = units.iter().map(|unit| item(&unit.path, None));
        findings.push(
            Finding::new("manager-not-reloaded", reason)
                .remedy(remedy)
                .items(items),
        );
    }
    Ok(findings)
}

fn suffix(name: &str) -> Option<&'static str> {
    STARTED.into_iter().find(|suffix| name.ends_with(suffix))
}

/// Returns the name of the template that `name@instance.service` is made of.
fn template(name: &str) -> Option<String> {
    let (stem, rest) = name.split_once('@')?;
    let suffix = rest.rfind('.').map(|dot| &rest[dot..])?;
    Some(format!("{stem}@{suffix}"))
}

fn exists(merged: &Merged<'_>, name: &str) -> bool {
    let names = std::iter::once(name.to_owned()).chain(template(name));
    let mut paths = names.flat_map(|name| {
        DIRECTORIES
            .into_iter()
            .map(move |directory| format!("{directory}/{name}"))
    });
    // A link to a unit outside of what is merged counts too: whether it leads somewhere is told elsewhere.
    paths.any(|path| merged.find_text(&path).is_some())
}

/// A link in a directory such as `multi-user.target.wants`.
struct Pulling<'a> {
    /// The unit that pulls, and how.
    unit: String,
    how: &'static str,
    name: String,
    found: Found<'a>,
}

fn pulled_in<'a>(merged: &Merged<'a>) -> Vec<Pulling<'a>> {
    let mut all = Vec::new();
    for directory in DIRECTORIES {
        for (name, found) in merged.children(directory) {
            let name = String::from_utf8_lossy(&name).into_owned();
            let Some((unit, how)) = PULLING
                .into_iter()
                .find_map(|how| Some((name.strip_suffix(how)?.to_owned(), how)))
            else {
                continue;
            };
            if !found.entry.is_directory() {
                continue;
            }
            let links = merged.children(&format!("/{}", found.path));
            all.extend(links.into_iter().map(|(name, found)| Pulling {
                unit: unit.clone(),
                how,
                name: String::from_utf8_lossy(&name).into_owned(),
                found,
            }));
        }
    }
    all
}

/// Tells of a unit that is meant to be enabled, and is not: an extension has no `/etc` in which it would be.
fn not_started(
    merged: &Merged<'_>,
    unit: &Unit,
    units: &[Unit],
    pulled: &[Pulling<'_>],
) -> Option<Finding> {
    let settings = &unit.settings;
    let targets = ["WantedBy", "RequiredBy", "UpheldBy"].map(|key| settings.words("Install", key));
    let target = targets.iter().flatten().next()?;
    if !settings.has_section("Install") || unit.name.contains("@.") {
        return None;
    }
    let suffix = suffix(&unit.name)?;
    let stem = unit.name.strip_suffix(suffix)?;
    let is_pulled = pulled.iter().any(|link| link.name == unit.name);
    // What starts a service on demand is what is to be enabled.
    let activators = [".socket", ".timer", ".path"].map(|end| format!("{stem}{end}"));
    let is_activated = suffix == ".service" && activators.iter().any(|name| exists(merged, name));
    let is_asked_for = units.iter().any(|other| {
        let asked = ASKING
            .iter()
            .flat_map(|(key, _)| other.settings.words("Unit", key));
        let services = ["Service", "Unit"].iter().flat_map(|key| {
            let sections = ["Socket", "Timer", "Path"].iter();
            sections.flat_map(|section| other.settings.words(section, key))
        });
        asked.chain(services).any(|name| name == unit.name)
    });
    if is_pulled || is_activated || is_asked_for {
        return None;
    }
    let reason = format!(
        "`{}` is to be enabled for `{target}`, which takes a link in `/etc` that merging does not make: nothing starts it",
        unit.name
    );
    let directory = unit.path.parent().unwrap_or_else(TreePath::root);
    let remedy = format!(
        "ship the link `/{directory}/{target}.upholds/{0}` -> `../{0}`, which also starts what is merged later (`.wants` does \
         so at boot only)",
        unit.name
    );
    Some(
        Finding::new("unit-not-started", reason)
            .remedy(remedy)
            .at(&unit.path),
    )
}

const REQUIRED_REMEDY: &str = "let it want the unit instead (`WantedBy=`, `.wants` or `.upholds`)";

fn required_by(unit: &Unit) -> Option<Finding> {
    let targets = unit.settings.words("Install", "RequiredBy");
    let target = targets.first()?;
    let reason = format!(
        "`{target}` will require `{}`: when that fails, or the extension is gone and the link in `/etc` is not, `{target}` is \
         not reached and the machine may not start",
        unit.name
    );
    Some(
        Finding::new("required-by", reason)
            .remedy(REQUIRED_REMEDY)
            .at(&unit.path),
    )
}

/// Tells of links of the extension that pull in what does not exist, or that the base must not depend on.
fn links(merged: &Merged<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let pulled = pulled_in(merged);
    for link in pulled
        .iter()
        .filter(|link| link.found.origin == Origin::Payload)
    {
        let is_masked =
            matches!(&link.found.entry.kind, EntryKind::Symlink(target) if target == b"/dev/null");
        if merged.base.is_some() && !is_masked && !exists(merged, &link.name) {
            let reason = format!(
                "`{}` is to start `{}`, which does not exist",
                link.unit, link.name
            );
            let remedy = "ship the unit, or leave the link out";
            findings.push(
                Finding::new("unit-missing", reason)
                    .remedy(remedy)
                    .at(&link.found.path),
            );
        }
        let is_of_extension = DIRECTORIES.iter().any(|directory| {
            let found = merged.find_text(&format!("{directory}/{}", link.unit));
            found.is_some_and(|found| found.origin == Origin::Payload)
        });
        if link.how == ".requires" && !is_of_extension {
            let reason = format!(
                "`{}` requires `{}`: when that fails, `{}` is not reached and the machine may not start",
                link.unit, link.name, link.unit
            );
            findings.push(
                Finding::new("required-by", reason)
                    .remedy(REQUIRED_REMEDY)
                    .at(&link.found.path),
            );
        }
    }
    findings
}

fn missing(merged: &Merged<'_>, unit: &Unit) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    for (key, is_required) in ASKING {
        for name in unit.settings.words("Unit", key) {
            let is_known = suffix(name).is_none() || name.contains('%') || exists(merged, name);
            if is_known || !seen.insert(name) {
                continue;
            }
            let reason = format!("`{}` has `{key}={name}`, which does not exist", unit.name);
            let finding = Finding::new("unit-missing", reason)
                .remedy("add the package that has it to the extension, or to the base")
                .at(&unit.path);
            findings.push(match is_required {
                true => finding.severity(Severity::Error),
                false => finding.severity(Severity::Note),
            });
        }
    }
    findings
}

/// Tells of a unit of the host that comes before the extension's.
fn overridden(merged: &Merged<'_>, unit: &Unit) -> Option<Finding> {
    if merged.kind == ExtensionKind::Confext {
        return None;
    }
    let path = TreePath::new(format!("etc/systemd/system/{}", unit.name)).ok()?;
    let (_, entry) = merged.get(&path)?;
    let reason = match &entry.kind {
        EntryKind::Symlink(target) if target == b"/dev/null" => {
            format!(
                "the host masks `{}` in `/etc`, so that it does not start",
                unit.name
            )
        }
        EntryKind::Symlink(_) => return None,
        _ => format!("the host has `/{path}` of its own, which counts in place of the extension's"),
    };
    let remedy = "remove the host's, or put what it changes in a drop-in";
    Some(
        Finding::new("unit-overridden", reason)
            .remedy(remedy)
            .at(&unit.path),
    )
}
