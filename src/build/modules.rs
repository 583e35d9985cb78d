//! Which kernel modules and firmware of an image stay: those that a recipe names, and what they need.
//!
//! mkosi asks modinfo(8) of the image for what a module needs; here it is read from the modules, of which nothing is
//! trusted.

#[cfg(any(fuzzing, test))]
pub(in crate::build) mod fuzzing;
mod needs;

use std::collections::{BTreeMap, BTreeSet};

pub use self::needs::ModuleError;
use self::needs::Needs;

use super::Error;
use super::finish::path;
use crate::recipe::{FileChoice, System, glob};
use crate::tree::{Entry, EntryKind, FileTree, TreePath};

const MODULES: &str = "usr/lib/modules";
const FIRMWARE: &str = "usr/lib/firmware";
const COMPRESSED: [&str; 3] = [".gz", ".xz", ".zst"];
/// Processors get their microcode before modules are loaded, so that none names it.
const MICROCODE: [&str; 2] = ["amd-ucode/", "intel-ucode/"];
/// As many symbolic links as the kernel follows in one path (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// Tells whether this is the name of a kernel module.
pub(super) fn is_module(path: &TreePath) -> bool {
    stem(&String::from_utf8_lossy(path.file_name())).is_some()
}

/// Returns the directories of kernels that have modules, or what describes them.
pub(super) fn kernels(tree: &FileTree) -> Vec<TreePath> {
    let modules = path(MODULES);
    let is_kernel = |found: &TreePath, entry: &Entry| {
        // What only administrators put there is no kernel.
        let updates = found.join(b"updates").expect("a constant name is valid");
        found.parent().as_ref() == Some(&modules)
            && entry.is_directory()
            && tree
                .descendants(found)
                .any(|(below, _)| !below.starts_with(&updates))
    };
    let entries = tree.descendants(&modules);
    let kernels = entries.filter(|(found, entry)| is_kernel(found, entry));
    kernels.map(|(found, _)| found.clone()).collect()
}

/// Removes the modules and the firmware that `system` does not choose and nothing that it chooses needs; returns the
/// directories of the kernels that have lost modules.
pub(super) fn choose(tree: &mut FileTree, system: &System) -> Result<BTreeSet<TreePath>, Error> {
    let mut changed = BTreeSet::new();
    if system.kernel_modules.is_empty() && system.firmware.is_empty() {
        return Ok(changed);
    }
    let kernels = kernels(tree);
    let firmware = firmware(tree);
    let mut kept_firmware = BTreeSet::new();
    for kernel in &kernels {
        let modules = Modules::of(tree, kernel)?;
        let closed = modules.closed(tree, &system.kernel_modules)?;
        kept_firmware.extend(matching(&firmware, &closed.firmware));
        let dropped: Vec<_> = modules
            .files
            .iter()
            .filter(|(name, _)| !closed.modules.contains(*name))
            .flat_map(|(_, files)| files)
            .collect();
        if !dropped.is_empty() {
            changed.insert(kernel.clone());
        }
        for file in dropped {
            remove_with_directories(tree, file, kernel);
        }
    }
    if !kernels.is_empty() {
        choose_firmware(tree, &firmware, kept_firmware, &system.firmware);
    }
    Ok(changed)
}

/// The modules of one kernel.
struct Modules {
    /// Where they are, by their names with hyphens.
    files: BTreeMap<String, Vec<TreePath>>,
    /// Those that patterns are matched with: the path below the directory of the kernel, without what comes after the
    /// name.
    relative: Vec<(String, String)>,
    /// What is in the kernel itself.
    builtin: BTreeMap<String, Needs>,
}

/// What is chosen, and what that needs.
#[derive(Default)]
struct Closed {
    modules: BTreeSet<String>,
    firmware: BTreeSet<String>,
}

impl Modules {
    fn of(tree: &FileTree, kernel: &TreePath) -> Result<Self, Error> {
        let mut files: BTreeMap<String, Vec<TreePath>> = BTreeMap::new();
        let mut relative = Vec::new();
        for (file, entry) in tree.descendants(kernel) {
            if entry.is_directory() || !is_module(file) {
                continue;
            }
            let below = &file.as_bytes()[kernel.as_bytes().len() + 1..];
            let below = String::from_utf8_lossy(below).replace('_', "-");
            let below = stem(&below).expect("it is a module").to_owned();
            let name = name_of(&below);
            relative.push((below, name.clone()));
            files.entry(name).or_default().push(file.clone());
        }
        Ok(Self {
            files,
            relative,
            builtin: needs::of_builtin(tree, kernel)?,
        })
    }

    /// Returns what `choice` chooses, with everything that it needs.
    fn closed(&self, tree: &FileTree, choice: &FileChoice) -> Result<Closed, Error> {
        let is_chosen = |below: &str| choice.is_empty() || choice.keeps(below) == Some(true);
        let chosen = self.relative.iter().filter(|(below, _)| is_chosen(below));
        let mut pending: Vec<&str> = chosen.map(|(_, name)| name.as_str()).collect();
        pending.extend(self.builtin.keys().map(String::as_str));
        let mut closed = Closed::default();
        let mut needs = Vec::new();
        while let Some(name) = pending.pop() {
            if !closed.modules.insert(name.to_owned()) {
                continue;
            }
            needs.extend(self.builtin.get(name).cloned());
            for file in self.files.get(name).into_iter().flatten() {
                needs.push(needs::of_module(tree, file)?);
            }
            for needed in needs.drain(..) {
                closed.firmware.extend(needed.firmware);
                let modules = needed.modules.iter();
                let there = modules.filter_map(|name| self.files.get_key_value(name.as_str()));
                pending.extend(there.map(|(name, _)| name.as_str()));
            }
        }
        Ok(closed)
    }
}

/// Returns the path of a module without what comes after its name, `None` when it is none.
fn stem(file: &str) -> Option<&str> {
    let compression = COMPRESSED.iter().find(|end| file.ends_with(*end));
    let uncompressed = &file[..file.len() - compression.map_or(0, |end| end.len())];
    uncompressed.strip_suffix(".ko")
}

/// Returns the name of a module, with hyphens as its file has.
fn name_of(path: &str) -> String {
    let last = path.rsplit('/').next().unwrap_or(path);
    let name = last.split('.').next().unwrap_or(last);
    name.replace('_', "-")
}

/// Returns the files and links of the firmware, relative to its directory.
fn firmware(tree: &FileTree) -> Vec<String> {
    let directory = path(FIRMWARE);
    let files = tree
        .descendants(&directory)
        .filter(|(_, entry)| !entry.is_directory());
    let name = |file: &TreePath| String::from_utf8(file.as_bytes()[FIRMWARE.len() + 1..].to_vec());
    files.filter_map(|(file, _)| name(file).ok()).collect()
}

/// Returns the firmware that modules name, as it is or compressed.
fn matching(firmware: &[String], wanted: &BTreeSet<String>) -> BTreeSet<String> {
    let (patterns, plain): (Vec<&String>, Vec<&String>) = wanted
        .iter()
        .partition(|name| name.contains(['*', '?', '[']));
    let plain: BTreeSet<&str> = plain.into_iter().map(String::as_str).collect();
    let is_wanted = |file: &&String| {
        let uncompressed = uncompressed(file);
        plain.contains(file.as_str())
            || plain.contains(uncompressed)
            || patterns
                .iter()
                .any(|pattern| matches_parts(pattern, file) || matches_parts(pattern, uncompressed))
    };
    firmware.iter().filter(is_wanted).cloned().collect()
}

fn uncompressed(file: &str) -> &str {
    let ends = COMPRESSED.iter();
    ends.filter_map(|end| file.strip_suffix(end))
        .next()
        .unwrap_or(file)
}

/// Matches a pattern whose `*` stands for no slash.
fn matches_parts(pattern: &str, file: &str) -> bool {
    pattern.split('/').count() == file.split('/').count()
        && pattern
            .split('/')
            .zip(file.split('/'))
            .all(|(pattern, part)| glob(pattern, part))
}

fn choose_firmware(
    tree: &mut FileTree,
    firmware: &[String],
    mut kept: BTreeSet<String>,
    choice: &FileChoice,
) {
    kept.retain(|file| choice.keeps(uncompressed(file)).unwrap_or(true));
    let chosen = firmware
        .iter()
        .filter(|file| choice.keeps(uncompressed(file)) == Some(true));
    kept.extend(chosen.cloned());
    let top = path(FIRMWARE);
    let place = |file: &str| path(&format!("{FIRMWARE}/{file}"));
    let mut needed = BTreeSet::new();
    for file in &kept {
        follow(tree, &place(file), &mut needed);
    }
    for file in firmware {
        let is_microcode = MICROCODE
            .iter()
            .any(|directory| file.starts_with(directory));
        if !is_microcode && !needed.contains(&place(file)) {
            remove_with_directories(tree, &place(file), &top);
        }
    }
}

/// Adds the links that `path` leads through, and where it ends.
fn follow(tree: &FileTree, path: &TreePath, needed: &mut BTreeSet<TreePath>) {
    let reversed = |bytes: &[u8]| -> Vec<Vec<u8>> {
        let parts = bytes.split(|byte| *byte == b'/');
        let named = parts.filter(|part| !matches!(*part, b"" | b"."));
        named.rev().map(<[u8]>::to_vec).collect()
    };
    let mut reached = TreePath::root();
    let mut pending = reversed(path.as_bytes());
    let mut links = 0;
    while let Some(name) = pending.pop() {
        if name == b".." {
            reached = reached.parent().unwrap_or(reached);
            continue;
        }
        let Ok(next) = reached.join(&name) else {
            return;
        };
        match tree.get(&next).map(|entry| &entry.kind) {
            Some(EntryKind::Symlink(target)) => {
                links += 1;
                if links > MAX_LINKS {
                    return;
                }
                needed.insert(next);
                if target.starts_with(b"/") {
                    reached = TreePath::root();
                }
                pending.extend(reversed(target));
            }
            Some(_) => reached = next,
            None => return,
        }
    }
    needed.insert(reached);
}

/// Removes a file, and the directories up to `top` that are empty without it.
fn remove_with_directories(tree: &mut FileTree, file: &TreePath, top: &TreePath) {
    tree.remove(file);
    let mut directory = file.parent();
    while let Some(empty) = directory.filter(|directory| directory != top) {
        if tree.has_children(&empty) {
            return;
        }
        tree.remove(&empty);
        directory = empty.parent();
    }
}

#[cfg(test)]
mod tests;
