//! Completes and cleans the tree of an image. Nothing on disk changes.

use super::{Error, extra};
use crate::beneath::Inode;
use crate::extension;
use crate::recipe::{Format, Recipe};
use crate::tree::{Content, Entry, EntryKind, FileTree, Timestamp, TreePath};

/// What /etc/machine-id says until the first boot gives the machine an id (machine-id(5)).
const UNINITIALIZED: &str = "uninitialized\n";

/// The machine id while packages are installed. A valid one keeps systemd's maintainer scripts from making up another,
/// which would differ from build to build wherever it ends up.
pub(super) const BUILD_MACHINE_ID: &str = "6f766572636f61746f766572636f6174";

/// What installing packages leaves behind and no system wants to share: identities, seeds, logs of the build, and a
/// cache that holds inode numbers.
const LEFTOVERS: [&str; 10] = [
    "etc/machine-info",
    "var/cache/ldconfig/aux-cache",
    "var/lib/dbus/machine-id",
    "var/lib/systemd/credential.secret",
    "var/lib/systemd/random-seed",
    "var/log/alternatives.log",
    "var/log/apt",
    "var/log/bootstrap.log",
    "var/log/dpkg.log",
    "var/log/journal/6f766572636f61746f766572636f6174",
];

/// Directories whose contents belong to the running system.
const VOLATILE: [&str; 5] = ["dev", "proc", "run", "sys", "tmp"];

/// A file larger than this is no release file, and no certificate.
const RELEASE_LIMIT_BYTES: u64 = 1 << 20;

const SYSTEMD: &str = "usr/lib/systemd/systemd";

pub(super) fn path(text: &str) -> TreePath {
    TreePath::new(text).expect("a constant path is valid")
}

/// Takes from the tree of a freshly installed system what belongs to one machine, one boot or one build.
pub(super) fn clean_system(tree: FileTree, time: Timestamp) -> Result<FileTree, Error> {
    let volatile = VOLATILE.map(path);
    let mut tree = remove_leftovers(tree, None).retain(|candidate, _| {
        let parent = candidate.parent();
        !parent.is_some_and(|parent| volatile.contains(&parent))
    });
    if tree.get(&path("etc")).is_some_and(Entry::is_directory) {
        let content = Content::from_bytes(UNINITIALIZED.as_bytes());
        tree.insert(
            path("etc/machine-id"),
            Entry::new(EntryKind::Regular(content), 0o444, time),
        )?;
    }
    Ok(tree)
}

/// Gives the tree of a whole system what every image has: links for the initrd, its name, the certificate.
pub(super) fn complete_system(
    tree: &mut FileTree,
    recipe: &Recipe,
    time: Timestamp,
) -> Result<(), Error> {
    add_release_fields(tree, recipe, time)?;
    // A portable service has neither an entry point of its own nor a say in which extensions are trusted.
    if recipe.format == Format::Portable {
        return Ok(());
    }
    if tree.get(&path(SYSTEMD)).is_some() && tree.get(&path("init")).is_none() {
        tree.insert(path("init"), link(&format!("/{SYSTEMD}"), time))?;
    }
    if recipe.make_initrd
        && tree.get(&path("etc/initrd-release")).is_none()
        && tree.get(&path("etc")).is_some()
    {
        tree.insert(path("etc/initrd-release"), link("/etc/os-release", time))?;
    }
    add_certificate(tree, recipe, time)
}

/// Removes what a step of packages leaves behind, but what was there `before` it: the recipe may have put it there.
pub(super) fn remove_leftovers(tree: FileTree, before: Option<&FileTree>) -> FileTree {
    let leftovers = LEFTOVERS.map(path);
    let was_there =
        |candidate: &TreePath| before.is_some_and(|before| before.get(candidate).is_some());
    tree.retain(|candidate, _| !leftovers.contains(candidate) || was_there(candidate))
}

fn link(target: &str, time: Timestamp) -> Entry {
    Entry::new(EntryKind::Symlink(target.as_bytes().to_vec()), 0o777, time)
}

/// Sets `IMAGE_ID=`, `IMAGE_VERSION=`, `DEFAULT_HOSTNAME=` and `PORTABLE_PREFIXES=` in os-release (os-release(5)).
fn add_release_fields(tree: &mut FileTree, recipe: &Recipe, time: Timestamp) -> Result<(), Error> {
    const PREFIXES: &str = "PORTABLE_PREFIXES";
    let prefixes = recipe.environment.get(PREFIXES);
    let fields = [
        ("IMAGE_ID", recipe.image_id.clone()),
        ("IMAGE_VERSION", recipe.image_version.clone()),
        (
            "DEFAULT_HOSTNAME",
            recipe.system.hostname.as_deref().map(extension::quoted),
        ),
        (PREFIXES, prefixes.map(|value| extension::quoted(value))),
    ];
    let fields: Vec<_> = fields
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect();
    for file in [
        "usr/lib/os-release",
        "usr/lib/initrd-release",
        "etc/os-release",
    ]
    .map(path)
    {
        let Some(entry) = tree.get_mut(&file) else {
            continue;
        };
        let EntryKind::Regular(content) = &entry.kind else {
            continue;
        };
        if fields.is_empty() {
            continue;
        }
        // A release file is a few hundred bytes; what an untrusted package puts in its place may be anything.
        if content.size_bytes() > RELEASE_LIMIT_BYTES {
            continue;
        }
        let text = String::from_utf8_lossy(&content.read_all()?).into_owned();
        let kept = text.lines().filter(|line| {
            !fields
                .iter()
                .any(|(key, _)| line.starts_with(&format!("{key}=")))
        });
        let mut text: String = kept.map(|line| format!("{line}\n")).collect();
        for (key, value) in &fields {
            text += &format!("{key}={value}\n");
        }
        entry.kind = EntryKind::Regular(Content::from_bytes(text.into_bytes()));
        entry.modified = time;
        // Its other names keep the text they had.
        entry.hard_link = None;
    }
    Ok(())
}

/// Lets the system trust extensions that are signed with the recipe's key, as mkosi does (verity.d, systemd v256).
fn add_certificate(tree: &mut FileTree, recipe: &Recipe, time: Timestamp) -> Result<(), Error> {
    let Some(certificate) = &recipe.verity_certificate else {
        return Ok(());
    };
    if !tree.get(&path("usr/lib")).is_some_and(Entry::is_directory) {
        return Ok(());
    }
    let bytes = Inode::open(certificate).and_then(|file| file.read(RELEASE_LIMIT_BYTES));
    let bytes = bytes.map_err(|error| Error::Prepare {
        path: certificate.clone(),
        source: error.into(),
    })?;
    let name = certificate
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let directory = extra::make_directory(tree, None, &path("usr/lib/verity.d"), time)?;
    let file = directory.join(format!("{name}.crt").as_bytes());
    let file = file.map_err(|source| Error::CertificateName {
        path: certificate.clone(),
        source,
    })?;
    tree.insert(
        file,
        Entry::new(EntryKind::Regular(Content::from_bytes(bytes)), 0o644, time),
    )?;
    Ok(())
}

#[cfg(test)]
mod tests;
