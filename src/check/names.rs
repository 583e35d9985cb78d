//! Links that lead nowhere, and names that are mistaken for others.

use std::collections::BTreeMap;

use super::Finding;
use super::finding::item;
use super::merged::{Merged, Origin};
use super::scripts::PATH;
use crate::extension::FindingItem;
use crate::tree::{Entry, EntryKind, TreePath};

/// Where a link may lead although nothing is there: what a running system has, and the file that masks.
const RUNTIME: [&[u8]; 5] = [b"/run/", b"/proc/", b"/sys/", b"/dev/", b"/tmp/"];
const ALTERNATIVES: &str = "etc/alternatives";

pub(super) fn check(merged: &Merged<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let [mut broken, mut alternatives, mut leaving]: [Vec<FindingItem>; 3] = Default::default();
    let directory = TreePath::new(ALTERNATIVES).expect("a constant path is valid");
    for (path, entry) in merged.shipped() {
        let EntryKind::Symlink(target) = &entry.kind else {
            continue;
        };
        let is_runtime = RUNTIME.iter().any(|start| target.starts_with(start));
        if is_runtime || target.starts_with(b"/var/run/") {
            continue;
        }
        let text = format!("-> {}", String::from_utf8_lossy(target));
        let is_there = merged.find(path).is_some();
        let leads_to = led_to(path, target);
        let is_inside = leads_to
            .as_ref()
            .is_some_and(|path| merged.kind.holds(path) || is_of_usr(path));
        if !is_there
            && leads_to
                .as_ref()
                .is_some_and(|path| path.starts_with(&directory))
        {
            alternatives.push(item(path, Some(text)));
        } else if !is_there
            && (merged.base.is_some() || is_inside_payload(merged, leads_to.as_ref()))
        {
            broken.push(item(path, Some(text)));
        } else if !is_inside {
            leaving.push(item(path, Some(text)));
        }
    }
    let mut add = |name, reason: &str, remedy: &str, items: Vec<FindingItem>| {
        if !items.is_empty() {
            findings.push(Finding::new(name, reason).remedy(remedy).items(items));
        }
    };
    add(
        "broken-link",
        "these links lead to what neither the extension nor its base has",
        "ship what they lead to (what is in `/etc` with a confext, or with `C` or `L` lines of `tmpfiles.d`), or leave \
         them out",
        broken,
    );
    add(
        "broken-link",
        "these links lead to `/etc/alternatives`, where the host has nothing for them",
        "ship links to the programs themselves, or have those in `/etc/alternatives` made at boot with `L` lines of \
         `tmpfiles.d`",
        alternatives,
    );
    add(
        "absolute-link",
        "these links lead out of what is merged, so that they depend on what the host has there",
        "see to it that every host has it",
        leaving,
    );
    findings.extend(cases(merged));
    findings.extend(commands(merged));
    findings.extend(odd(merged));
    findings
}

/// Tells whether a path lies in a directory that is a link into `/usr` on every system of today.
fn is_of_usr(path: &TreePath) -> bool {
    let first = path.components().next().unwrap_or_default();
    first.starts_with(b"lib") || matches!(first, b"bin" | b"sbin")
}

/// Returns where a link leads, without following others.
fn led_to(path: &TreePath, target: &[u8]) -> Option<TreePath> {
    let mut reached = match target.starts_with(b"/") {
        true => TreePath::root(),
        false => path.parent()?,
    };
    for name in target.split(|byte| *byte == b'/') {
        reached = match name {
            b"" | b"." => reached,
            b".." => reached.parent().unwrap_or(reached),
            name => reached.join(name).ok()?,
        };
    }
    Some(reached)
}

/// Tells whether a link that leads nowhere leads into a directory that only the extension has: no base mends that.
fn is_inside_payload(merged: &Merged<'_>, path: Option<&TreePath>) -> bool {
    let directory = path.and_then(TreePath::parent);
    // Directories such as `/usr/lib` are everywhere.
    let is_deep = |path: &TreePath| path.components().count() > 3;
    directory.is_some_and(|path| is_deep(&path) && merged.payload.get(&path).is_some())
}

/// Tells of names that differ in case alone, of which one at least is the extension's.
fn cases(merged: &Merged<'_>) -> Option<Finding> {
    let mut names: BTreeMap<String, Vec<&TreePath>> = BTreeMap::new();
    for (path, _) in merged.shipped() {
        let folded = String::from_utf8_lossy(path.as_bytes()).to_lowercase();
        names.entry(folded).or_default().push(path);
    }
    if let Some(base) = merged.base {
        for (path, _) in base.iter().filter(|(path, _)| merged.kind.holds(path)) {
            let folded = String::from_utf8_lossy(path.as_bytes()).to_lowercase();
            if let Some(same) = names.get_mut(&folded)
                && !same.contains(&path)
            {
                same.push(path);
            }
        }
    }
    let collisions = names.into_values().filter(|same| {
        // Below directories that collide, everything does.
        let name = |path: &TreePath| path.file_name().to_vec();
        same.len() > 1 && same.iter().any(|path| name(path) != name(same[0]))
    });
    let collision = |same: Vec<&TreePath>| {
        let others: Vec<String> = same[1..].iter().map(|path| format!("`/{path}`")).collect();
        item(same[0], Some(format!("and {}", others.join(", "))))
    };
    let items: Vec<_> = collisions.map(collision).collect();
    if items.is_empty() {
        return None;
    }
    let reason =
        "these names differ in case alone, and are one where file systems do not tell them apart";
    let remedy = "rename one, unless every host tells them apart";
    Some(
        Finding::new("case-collision", reason)
            .remedy(remedy)
            .items(items),
    )
}

/// Tells of commands that the base has too, in another directory.
fn commands(merged: &Merged<'_>) -> Option<Finding> {
    merged.base?;
    let mut found: BTreeMap<Vec<u8>, Vec<(Origin, TreePath)>> = BTreeMap::new();
    for directory in PATH {
        for (name, child) in merged.children(directory) {
            if child.entry.is_directory() {
                continue;
            }
            // On most systems several of these directories are one.
            let places = found.entry(name).or_default();
            if places.iter().all(|(_, path)| *path != child.path) {
                places.push((child.origin, child.path));
            }
        }
    }
    let is_mixed = |places: &Vec<(Origin, TreePath)>| {
        let [mut payload, mut base] = [false; 2];
        for (origin, path) in places {
            // A link to the other is the same command.
            let is_link = matches!(
                merged.get(path),
                Some((
                    _,
                    Entry {
                        kind: EntryKind::Symlink(_),
                        ..
                    }
                ))
            );
            payload |= *origin == Origin::Payload && !is_link;
            base |= *origin == Origin::Base && !is_link;
        }
        payload && base
    };
    let items: Vec<_> = found
        .into_values()
        .filter(is_mixed)
        .map(|places| {
            let [first, rest @ ..] = places.as_slice() else {
                return item(&TreePath::root(), None);
            };
            let hidden: Vec<String> = rest.iter().map(|(_, path)| format!("`/{path}`")).collect();
            item(
                &first.1,
                Some(format!("is found before {}", hidden.join(", "))),
            )
        })
        .collect();
    if items.is_empty() {
        return None;
    }
    let reason = "both the extension and its base have these commands, in other directories: which is meant depends on `PATH`";
    let remedy = "leave the extension's out, or put it where the base's is";
    Some(
        Finding::new("command-collision", reason)
            .remedy(remedy)
            .items(items),
    )
}

fn odd(merged: &Merged<'_>) -> Option<Finding> {
    let is_odd = |path: &TreePath| {
        let name = std::str::from_utf8(path.file_name());
        name.map_or(true, |name| name.chars().any(char::is_control))
    };
    let names = merged.shipped().filter(|(path, _)| is_odd(path));
    let items: Vec<_> = names.map(|(path, _)| item(path, None)).collect();
    if items.is_empty() {
        return None;
    }
    let reason =
        "these names are no text, or hold control characters, with which many programs cannot deal";
    Some(
        Finding::new("odd-name", reason)
            .remedy("rename them")
            .items(items),
    )
}
