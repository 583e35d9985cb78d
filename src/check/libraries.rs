//! Whether programs and libraries of the extension find what they are linked with, in versions that have it.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::finding::item;
use super::merged::{Found, Merged, Origin};
use super::objects::{self, Lookup, Object, Objects};
use super::{Error, Finding, scripts};
use crate::extension::{FindingItem, Severity};
use crate::format::elf::Linkage;
use crate::tree::TreePath;

/// Files for debuggers have the headers of the programs that they are of, and nothing that these point to.
const DEBUG: &str = "usr/lib/debug";

/// What was found, by what is wrong.
#[derive(Default)]
struct Trouble {
    missing: BTreeMap<String, Vec<FindingItem>>,
    elsewhere: BTreeMap<(String, TreePath), Vec<FindingItem>>,
    cache: BTreeMap<(String, TreePath), Vec<FindingItem>>,
    /// By library, and whose it is.
    versions: BTreeMap<(TreePath, &'static str), Vec<FindingItem>>,
    loaders: BTreeMap<String, Vec<FindingItem>>,
    machines: BTreeMap<String, Vec<FindingItem>>,
    damaged: Vec<FindingItem>,
    /// What a base must have: libraries with the newest of their versions.
    needed: BTreeMap<String, Option<String>>,
    older: Vec<Finding>,
}

pub(super) fn check(
    merged: &Merged<'_>,
    architecture: Option<&str>,
) -> Result<Vec<Finding>, Error> {
    let debug = TreePath::new(DEBUG).expect("a constant path is valid");
    let mut objects = Objects::new(*merged)?;
    let mut trouble = Trouble::default();
    let mut findings = Vec::new();
    for (path, entry) in merged.shipped() {
        if path.starts_with(&debug) {
            continue;
        }
        match objects.read(path, entry)? {
            Object::Linked(linkage) => {
                trouble.object(&mut objects, path, &linkage, architecture)?;
            }
            Object::Damaged(error) => {
                let reason = Some(error.reason.to_owned());
                trouble.damaged.push(item(path, reason));
            }
            Object::Script(line) if entry.mode & 0o111 != 0 => {
                findings.extend(scripts::check(merged, path, &line));
            }
            Object::Script(_) | Object::Other => {}
        }
    }
    findings = scripts::grouped(findings);
    findings.extend(trouble.findings(merged.base.is_some()));
    Ok(findings)
}

impl Trouble {
    fn object(
        &mut self,
        objects: &mut Objects<'_>,
        path: &TreePath,
        linkage: &Linkage,
        architecture: Option<&str>,
    ) -> Result<(), Error> {
        let is_dynamic = linkage.interpreter.is_some() || !linkage.needed.is_empty();
        let own = linkage.machine.architecture().unwrap_or("unknown");
        // Programs of 32 bits run on such machines where the base has their libraries.
        let is_compatible = matches!(
            (architecture, own),
            (Some("x86-64"), "x86") | (Some("arm64"), "arm")
        );
        if is_dynamic && architecture.is_some_and(|wanted| wanted != own) && !is_compatible {
            let machines = self.machines.entry(own.to_owned()).or_default();
            machines.push(item(path, None));
            return Ok(());
        }
        if let Some(loader) = &linkage.interpreter
            && objects.merged.base.is_some()
            && objects.merged.find_text(loader).is_none()
        {
            let loaders = self.loaders.entry(loader.clone()).or_default();
            loaders.push(item(path, None));
        }
        for name in &linkage.needed {
            self.library(objects, path, linkage, name)?;
        }
        self.older(objects, path, linkage)
    }

    fn library(
        &mut self,
        objects: &mut Objects<'_>,
        path: &TreePath,
        linkage: &Linkage,
        name: &str,
    ) -> Result<(), Error> {
        let required = linkage
            .required
            .iter()
            .filter(|required| required.library == name);
        match objects.find(path, linkage, name)? {
            Lookup::Found(library, origin, found) => {
                let missing: Vec<&str> = required
                    .filter(|required| {
                        !required.is_weak && !found.defined.contains(&required.version)
                    })
                    .map(|required| required.version.as_str())
                    .collect();
                // Of a library without versions the loader only says that it has none.
                if !missing.is_empty() && !found.defined.is_empty() {
                    let whose = match origin {
                        Origin::Base => "the base",
                        Origin::Payload => "the extension",
                    };
                    let versions = self.versions.entry((library, whose)).or_default();
                    versions.push(item(path, Some(format!("needs {}", missing.join(", ")))));
                }
            }
            Lookup::NeedsCache(found) => {
                let cache = self.cache.entry((name.to_owned(), found)).or_default();
                cache.push(item(path, None));
            }
            Lookup::Elsewhere(found) => {
                let elsewhere = self.elsewhere.entry((name.to_owned(), found)).or_default();
                elsewhere.push(item(path, None));
            }
            Lookup::Missing => {
                self.missing
                    .entry(name.to_owned())
                    .or_default()
                    .push(item(path, None));
                let newest = required
                    .map(|required| required.version.clone())
                    .max_by(|one, other| by_number(one, other));
                let needed = self.needed.entry(name.to_owned()).or_default();
                let is_newer = match (&newest, &needed) {
                    (Some(newest), Some(needed)) => by_number(newest, needed) == Ordering::Greater,
                    (newest, _) => newest.is_some(),
                };
                if is_newer {
                    *needed = newest;
                }
            }
        }
        Ok(())
    }

    /// Tells of a library that takes the place of a newer one, for whatever the base has that needs it.
    fn older(
        &mut self,
        objects: &mut Objects<'_>,
        path: &TreePath,
        linkage: &Linkage,
    ) -> Result<(), Error> {
        let (Some(soname), Some(base)) = (&linkage.soname, objects.merged.base) else {
            return Ok(());
        };
        let name = path
            .parent()
            .and_then(|parent| parent.join(soname.as_bytes()).ok());
        let Some(name) = name else {
            return Ok(());
        };
        let is_own = |found: Found<'_>| found.origin == Origin::Payload && found.path == *path;
        let hidden = base
            .resolve(&name)
            .filter(|_| objects.merged.find(&name).is_some_and(is_own));
        let Some((hidden, entry)) = hidden.and_then(|path| Some((path.clone(), base.get(&path)?)))
        else {
            return Ok(());
        };
        let other = objects::read(entry)?;
        let Object::Linked(other) = other else {
            return Ok(());
        };
        let lost: BTreeSet<&str> = other
            .defined
            .difference(&linkage.defined)
            .map(String::as_str)
            .collect();
        let is_older = is_older(path.file_name(), hidden.file_name());
        if other.machine != linkage.machine || (lost.is_empty() && !is_older) {
            return Ok(());
        }
        let remedy = "leave the library out, so that the base's is used, or build on this base";
        let finding = match lost.is_empty() {
            true => Finding::new(
                "library-older",
                format!("it hides the base's `/{hidden}`, which is newer"),
            )
            .severity(Severity::Warning),
            false => {
                let lost: Vec<&str> = lost.into_iter().collect();
                let reason = format!(
                    "it hides the base's `/{hidden}`, and lacks {}: what needs that no longer starts",
                    listed(&lost)
                );
                Finding::new("library-older", reason)
            }
        };
        self.older.push(finding.remedy(remedy).at(path));
        Ok(())
    }

    fn findings(self, has_base: bool) -> Vec<Finding> {
        let mut findings = self.older;
        if !has_base && !self.needed.is_empty() {
            let needed = self.needed.iter().map(|(name, version)| match version {
                Some(version) => format!("`{name}` with {version}"),
                None => format!("`{name}`"),
            });
            let needed: Vec<String> = needed.collect();
            let reason = format!("its base must have {}", needed.join(", "));
            let remedy = "name the host's tree or image with `--against` to see whether it has";
            findings.push(Finding::new("base-needed", reason).remedy(remedy));
        }
        for (name, items) in self.missing.into_iter().filter(|_| has_base) {
            let reason =
                format!("`{name}` is needed, and neither the extension nor its base has it");
            let remedy = "add the package that has it to the extension, or to the base";
            findings.push(
                Finding::new("library-missing", reason)
                    .remedy(remedy)
                    .items(items),
            );
        }
        for ((library, whose), items) in self.versions {
            let reason = format!(
                "`/{library}` of {whose} lacks versions that are needed, so that these do not start"
            );
            let remedy = "build the extension on the base that it is merged on, or on an older one";
            findings.push(
                Finding::new("library-version", reason)
                    .remedy(remedy)
                    .items(items),
            );
        }
        for ((name, found), items) in self.elsewhere {
            let reason = format!(
                "`{name}` is only at `/{found}`, where the loader finds it if something else has loaded it or tells where it is"
            );
            findings.push(Finding::new("library-elsewhere", reason).items(items));
        }
        for ((name, found), items) in self.cache {
            let reason = format!(
                "`{name}` is at `/{found}`, which the loader finds through the host's cache alone, and merging does not \
                 make that again"
            );
            let remedy = "put it in a directory in which the loader looks anyway, or run `ldconfig` on the host";
            findings.push(
                Finding::new("library-needs-cache", reason)
                    .remedy(remedy)
                    .items(items),
            );
        }
        for (loader, items) in self.loaders {
            let reason = format!(
                "the loader `{loader}` is neither in the extension nor in its base, so that these do not start"
            );
            let remedy = "build for the base's C library, or link statically";
            findings.push(
                Finding::new("loader-missing", reason)
                    .remedy(remedy)
                    .items(items),
            );
        }
        for (machine, items) in self.machines {
            let reason = format!("these are for `{machine}`, which the extension is not for");
            let remedy = "leave them out, unless an emulator runs them";
            findings.push(
                Finding::new("machine-differs", reason)
                    .remedy(remedy)
                    .items(items),
            );
        }
        if !self.damaged.is_empty() {
            let reason = "these start as programs or libraries do, and cannot be read";
            findings.push(Finding::new("object-damaged", reason).items(self.damaged));
        }
        findings
    }
}

fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 5;
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names[..SHOWN].join(", ")),
    }
}

/// Tells whether a file `libx.so.1.2` is of an older version than another of that name.
fn is_older(mine: &[u8], other: &[u8]) -> bool {
    let split = |name: &[u8]| {
        let name = String::from_utf8_lossy(name).into_owned();
        let (stem, version) = name.split_once(".so.")?;
        Some((stem.to_owned(), version.to_owned()))
    };
    match (split(mine), split(other)) {
        (Some((stem, mine)), Some((other_stem, other))) => {
            stem == other_stem && by_number(&mine, &other) == Ordering::Less
        }
        _ => false,
    }
}

/// Compares texts in which runs of digits count as numbers.
fn by_number(one: &str, other: &str) -> Ordering {
    fn parts(text: &str) -> impl Iterator<Item = (u64, &str)> {
        text.split(['.', '_', '-'])
            .map(|part| part.parse().map_or((0, part), |number| (number, "")))
    }
    parts(one).cmp(parts(other))
}
