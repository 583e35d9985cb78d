//! From what an image adds to its base to the tree of an extension, with what there is to know about it.

use super::Error;
use crate::distribution;
use crate::extension::{self, Accounts, ExtensionKind, Finding, Lint, OsRelease, Release};
use crate::recipe::{Format, Recipe};
use crate::tree::{FileTree, Timestamp, TreePath};

/// What an image adds to its base.
pub(super) struct Payload {
    pub(super) tree: FileTree,
    pub(super) findings: Vec<Finding>,
}

/// An extension, as it is packed.
pub(super) struct Extension {
    pub(super) tree: FileTree,
    pub(super) release: OsRelease,
    pub(super) findings: Vec<Finding>,
}

impl ExtensionKind {
    /// Returns the kind of extension that an image of this format is.
    pub(super) fn of(format: Format) -> Self {
        match format {
            Format::Confext => Self::Confext,
            _ => Self::Sysext,
        }
    }
}

/// Returns what `image` adds to `base`, which becomes an extension of `kind`.
pub(super) fn payload(
    base: &FileTree,
    image: &FileTree,
    kind: ExtensionKind,
) -> Result<Payload, Error> {
    let difference = extension::difference(base, image)?;
    let deleted = difference.deleted.into_iter();
    let deleted: Vec<TreePath> = deleted.filter(|path| kind.holds(path)).collect();
    let lint = (!deleted.is_empty()).then_some(Lint::Deleted(deleted));
    Ok(Payload {
        tree: difference.tree,
        findings: lint.iter().map(Lint::finding).collect(),
    })
}

/// Makes the extension of what an image adds to `base`.
pub(super) fn extension(
    recipe: &Recipe,
    base: Option<&FileTree>,
    payload: FileTree,
    modified: Timestamp,
) -> Result<Extension, Error> {
    let kind = ExtensionKind::of(recipe.format);
    // 1. What is not merged is told, and left out.
    let accounts = Accounts::read(&payload, base, kind)?;
    let left_out = extension::left_out(&payload, base, kind)?;
    let selection = extension::select(payload, kind);
    let (tree, caches) = extension::settle_caches(selection.tree, base, kind);
    // 2. What is merged is looked at.
    let static_ids = distribution::static_ids(recipe.distribution);
    let owners = extension::allocated_owners(&tree, &accounts, static_ids);
    let shadowing = match base {
        Some(base) => extension::shadowing(base, &tree)?,
        None => Vec::new(),
    };
    let mut lints = selection.lints;
    lints.extend(owners);
    lints.extend(shadowing);
    lints.extend(caches);
    lints.extend(left_out.into_iter().map(Lint::LeftOut));
    lints.sort_by_key(|lint| std::cmp::Reverse(lint.severity()));
    // 3. It says which systems it fits.
    let base = base.map(extension::read_os_release).transpose()?;
    let shipped = extension::read_shipped_release(&tree, kind, &recipe.output)?;
    let text = extension::extension_release(&Release {
        kind,
        base: base.as_ref(),
        shipped: shipped.as_ref(),
        image_id: recipe.image_id.as_deref(),
        image_version: recipe.image_version.as_deref(),
        scope: recipe
            .environment
            .get(kind.scope_variable())
            .map(String::as_str),
        architecture: recipe.architecture.systemd_name(),
        settings: &recipe.extension,
    })?;
    Ok(Extension {
        tree: extension::file_tree_with_release(tree, kind, &recipe.output, &text, modified)?,
        release: extension::parse_os_release(&text),
        findings: lints.iter().map(Lint::finding).collect(),
    })
}
