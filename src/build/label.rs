//! Labels the tree of an image for SELinux. Nothing on disk changes.

use super::Error;
use crate::recipe::{Feature, Recipe};
use crate::selinux;
use crate::tree::FileTree;

/// Returns the tree with the labels that the recipe asks for, `tree` as it is when there is no policy to take them from.
pub(super) fn label(
    recipe: &Recipe,
    base: Option<&FileTree>,
    tree: FileTree,
) -> Result<FileTree, Error> {
    let labels = &recipe.labels;
    if labels.wanted == Feature::Disabled {
        return Ok(tree);
    }
    let contexts = match &labels.file_contexts {
        Some(path) => Some(selinux::read_file(path)?),
        None => selinux::read_policy(&tree, base)?,
    };
    match contexts {
        Some(contexts) => Ok(selinux::label(tree, &contexts)),
        None if labels.wanted == Feature::Enabled => Err(Error::NoSelinuxPolicy {
            image: recipe.name.clone(),
        }),
        None => Ok(tree),
    }
}
