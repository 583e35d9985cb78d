//! Outputs that are one stream: archives, with a compression around them.

use std::io::Write;

use super::{Made, WriteError, compressed};
use crate::beneath::Place;
use crate::format::{cpio, tar};
use crate::recipe::{Format, Recipe};
use crate::tree::{FileTree, TreePath};

/// Writes the archive of `tree`.
pub(super) fn write(
    place: &Place<'_>,
    recipe: &Recipe,
    tree: &FileTree,
) -> Result<Made, WriteError> {
    let codec = recipe.outer_compression().codec(recipe.compress_level);
    let warnings = compressed::write(place, codec, |out| write_members(out, recipe, tree))?;
    Ok(Made {
        warnings,
        artifacts: Vec::new(),
    })
}

/// Writes the archive itself, and tells what it leaves out of the tree.
fn write_members(
    out: &mut dyn Write,
    recipe: &Recipe,
    tree: &FileTree,
) -> Result<Vec<String>, WriteError> {
    if recipe.format == Format::Tar {
        let lost = tar::write(tree, out)?;
        return Ok(describe_lost("tar", &[(&lost.sockets, "sockets")]));
    }
    let lost = cpio::write(tree, out)?;
    let kinds = [
        (&lost.capabilities, "file capabilities"),
        (&lost.acls, "access control lists"),
        (&lost.attributes, "extended attributes"),
        (
            &lost.symlink_hard_links,
            "hard links between symbolic links",
        ),
    ];
    Ok(describe_lost("cpio", &kinds))
}

/// Tells what an archive leaves out of the tree, a line for each kind.
pub(super) fn describe_lost(format: &str, kinds: &[(&Vec<TreePath>, &str)]) -> Vec<String> {
    let describe = |(paths, what): &(&Vec<TreePath>, &str)| {
        let first = paths.first()?;
        let others = match paths.len() - 1 {
            0 => String::new(),
            count => format!(" and {count} more"),
        };
        Some(format!(
            "a {format} archive has no {what}: those of `/{first}`{others} are left out"
        ))
    };
    kinds.iter().filter_map(describe).collect()
}
