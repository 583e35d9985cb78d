//! Files of a system that take no tool to make.

use openssl::sha::Sha256;

use super::account;
use crate::build::finish::path;
use crate::build::{Error, extra};
use crate::recipe::{Format, MachineId, Recipe};
use crate::tree::{Content, ContentError, Entry, EntryKind, FileTree, Timestamp, TreePath};

/// A system that boots sets its clock at least to the time of this file (systemd(1)).
const CLOCK: &str = "usr/lib/clock-epoch";
/// Made where another one was asked for, which would hide it.
const HARDWARE_DATABASE: &str = "etc/udev/hwdb.bin";
const UNITS: &str = "usr/lib/systemd/system";

/// The consoles that log root in, with what agetty(8) is told of each besides.
const CONSOLES: [(&str, &str); 3] = [
    (
        "console-getty.service",
        "--noclear --keep-baud console 115200,38400,9600",
    ),
    ("getty@tty1.service", "--noclear -"),
    (
        "serial-getty@hvc0.service",
        "--keep-baud 115200,57600,38400,9600 -",
    ),
];

/// Gives a new system its machine id, and one that stands on no other the directories that it boots from.
pub(in crate::build) fn begin(
    tree: &mut FileTree,
    recipe: &Recipe,
    time: Timestamp,
) -> Result<(), Error> {
    let has_etc = tree.get(&path("etc")).is_some_and(Entry::is_directory);
    if let (Some(id), true) = (&recipe.system.machine_id, has_etc) {
        let id = match id {
            MachineId::Given(digits) => digits.clone(),
            MachineId::OfRecipe => machine_id(recipe),
        };
        add(tree, "etc/machine-id", format!("{id}\n"), 0o444, time)?;
    }
    if !recipe.base_trees.is_empty() {
        return Ok(());
    }
    // Only ever something to mount on, which nothing is to be written to.
    for (directory, mode) in [("efi", 0o500), ("boot", 0o500), ("boot/loader", 0o700)] {
        let directory = path(directory);
        if tree.get(&directory).is_none() {
            tree.insert(directory, Entry::new(EntryKind::Directory, mode, time))?;
        }
    }
    // kernel-install(8) takes it for a wish for entries of the boot loader specification.
    let loader = tree.get(&path("boot/loader"));
    if loader.is_some_and(Entry::is_directory) {
        add(tree, "boot/loader/entries.srel", "type1\n", 0o600, time)?;
    }
    Ok(())
}

/// Returns a machine id for this recipe alone, which is a UUID (machine-id(5)).
fn machine_id(recipe: &Recipe) -> String {
    let digest = digest_of(recipe, "machine id");
    let mut bytes: [u8; 16] = std::array::from_fn(|index| digest[index]);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    uuid::Uuid::from_bytes(bytes).simple().to_string()
}

/// Returns bytes for one purpose, which are the same whenever the recipe's names and seed are.
pub(super) fn digest_of(recipe: &Recipe, purpose: &str) -> [u8; 32] {
    let seed = recipe.seed.map(|seed| seed.to_string());
    let mut digest = Sha256::new();
    for part in [
        purpose,
        seed.as_deref().unwrap_or_default(),
        recipe.image_id.as_deref().unwrap_or_default(),
        recipe.image_version.as_deref().unwrap_or_default(),
        &recipe.name,
        &recipe.release,
    ] {
        digest.update(&(part.len() as u64).to_le_bytes());
        digest.update(part.as_bytes());
    }
    digest.finish()
}

/// Adds what a system has before its tools see it.
pub(super) fn complete(tree: &mut FileTree, recipe: &Recipe, time: Timestamp) -> Result<(), Error> {
    if tree.get(&path("usr/lib/systemd/systemd")).is_some() && recipe.format != Format::Portable {
        add(tree, CLOCK, "", 0o644, time)?;
    }
    if recipe.system.autologin {
        for (unit, options) in CONSOLES {
            let directory = path(&format!("{UNITS}/{unit}.d"));
            extra::make_directory(tree, None, &directory, time)?;
            // agetty puts the name where `\u` is.
            let text = format!(
                "[Service]\nExecStart=\n\
                 ExecStart=-agetty -o '-f -p -- \\\\u' --autologin root {options} $TERM\n\
                 StandardInput=tty\nStandardOutput=tty\n"
            );
            let name = format!("{directory}/autologin.conf");
            add(tree, &name, text, 0o644, time)?;
        }
    }
    Ok(())
}

/// Takes away what the tools left that no system shares, and the day on which they ran.
pub(super) fn clean(mut tree: FileTree, time: Timestamp) -> Result<FileTree, ContentError> {
    tree.remove(&path(HARDWARE_DATABASE));
    account::clamp_days(&mut tree, time)?;
    Ok(tree)
}

/// Puts a file into the tree, in whose directory is made where it is missing.
pub(super) fn add(
    tree: &mut FileTree,
    name: &str,
    text: impl Into<String>,
    mode: u16,
    time: Timestamp,
) -> Result<(), Error> {
    let name = path(name);
    let parent = name.parent().expect("a file is not the root");
    let parent = extra::make_directory(tree, None, &parent, time)?;
    let file: TreePath = parent
        .join(name.file_name())
        .expect("the last component of a path is a name");
    let content = Content::from_bytes(text.into().into_bytes());
    tree.insert(file, Entry::new(EntryKind::Regular(content), mode, time))?;
    Ok(())
}

#[cfg(test)]
mod tests;
