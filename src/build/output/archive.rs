//! Outputs that are one stream: archives, with a compression around them.

use std::io::{BufWriter, Write};
use std::num::NonZeroUsize;
use std::thread;

use super::{Made, create, sync, writing};
use crate::beneath::Place;
use crate::build::Error;
use crate::format::{compression, cpio, tar};
use crate::recipe::{Format, Recipe};
use crate::tree::{FileTree, TreePath};

/// Writes the archive of `tree`.
pub(super) fn write(
    place: &Place<'_>,
    name: &str,
    recipe: &Recipe,
    tree: &FileTree,
) -> Result<Made, Error> {
    let file = create(place).map_err(writing(name))?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    let codec = recipe.compress_output.codec(recipe.compress_level);
    let workers = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let warnings = compression::compress(&mut out, codec, workers, |out| {
        write_members(out, name, recipe, tree)
    })
    .map_err(writing(name))??;
    out.flush().map_err(writing(name))?;
    let file = out
        .into_inner()
        .map_err(|error| writing(name)(error.into_error()))?;
    sync(&file).map_err(writing(name))?;
    Ok(Made {
        warnings,
        artifacts: Vec::new(),
    })
}

/// Writes the archive itself, and tells what it leaves out of the tree.
fn write_members(
    out: &mut dyn Write,
    name: &str,
    recipe: &Recipe,
    tree: &FileTree,
) -> Result<Vec<String>, Error> {
    if recipe.format == Format::Tar {
        let lost = tar::write(tree, out).map_err(writing(name))?;
        return Ok(describe_lost("tar", &[(&lost.sockets, "sockets")]));
    }
    let lost = cpio::write(tree, out).map_err(writing(name))?;
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
fn describe_lost(format: &str, kinds: &[(&Vec<TreePath>, &str)]) -> Vec<String> {
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
