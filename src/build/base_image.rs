//! The OCI image that another one is built on, of which that one has the layers as they are.

use super::{Builder, Error, bases};
use crate::format::oci::{BaseImage, BaseLayer};
use crate::recipe::{Format, Recipe};
use crate::source::OciImage;
use crate::tree::FileTree;

/// Tells whether the image of `recipe` is to have the layers of its base.
pub(super) fn is_kept(builder: &Builder<'_>, recipe: &Recipe) -> Result<bool, Error> {
    Ok(find(builder, recipe)?.is_some())
}

/// Returns the OCI image that the image of `recipe` is built on, whose layers make `tree`.
pub(super) fn of(
    builder: &Builder<'_>,
    recipe: &Recipe,
    tree: Option<FileTree>,
) -> Result<Option<BaseImage>, Error> {
    let (Some(image), Some(tree)) = (find(builder, recipe)?, tree) else {
        return Ok(None);
    };
    let layers = image.layers.into_iter().map(|layer| BaseLayer {
        descriptor: layer.descriptor,
        blob: layer.blob,
    });
    Ok(Some(BaseImage {
        digest: image.digest,
        layers: layers.collect(),
        configuration: serde_json::from_slice(&image.configuration_text)
            .expect("it was understood when the image was found"),
        tree,
    }))
}

/// Several bases make one tree together, which none of their layers is.
fn find(builder: &Builder<'_>, recipe: &Recipe) -> Result<Option<OciImage>, Error> {
    match recipe.base_trees.as_slice() {
        [path] if recipe.format == Format::Oci => bases::oci_image(builder, recipe, path),
        _ => Ok(None),
    }
}
