//! OCI images, as directories or archives.

use super::{Made, WriteError, archive, compressed};
use crate::beneath::{Directory, Place};
use crate::format::compression::Codec;
use crate::format::oci::{self, BaseImage, Image};
use crate::recipe::{OciLayout, Recipe};
use crate::tree::{FileTree, Timestamp};

/// The name of the layout in the staging directory until it is in its archive.
const SCRATCH: &str = ".layout";

/// Writes the image of `tree`.
pub(super) fn write(
    place: &Place<'_>,
    recipe: &Recipe,
    tree: &FileTree,
    base: Option<&BaseImage>,
    build_time: Timestamp,
) -> Result<Made, WriteError> {
    let (architecture, variant) = recipe
        .architecture
        .oci_name()
        .expect("the recipe was refused if there is none");
    let image = Image {
        architecture,
        variant,
        created: build_time,
        version: recipe.image_version.as_deref(),
        reference: recipe.image_id.as_deref(),
        labels: &recipe.outputs.oci.labels,
        annotations: &recipe.outputs.oci.annotations,
        codec: recipe.compress_output.codec(recipe.compress_level),
        base,
    };
    let lost = match recipe.outputs.oci.layout {
        OciLayout::Directory => oci::write_at(tree, &image, place)?,
        OciLayout::Archive => write_archive(place.directory(), place, tree, &image)?,
    };
    Ok(Made {
        warnings: archive::describe_lost("tar", &[(&lost.sockets, "sockets")]),
        artifacts: Vec::new(),
    })
}

fn write_archive(
    directory: &Directory,
    place: &Place<'_>,
    tree: &FileTree,
    image: &Image<'_>,
) -> Result<oci::Lost, WriteError> {
    let scratch = Place::new(directory, SCRATCH.as_ref());
    let lost = compressed::write(place, Codec::None, |out| {
        oci::write_archive(tree, image, &scratch, out).map_err(WriteError::from)
    })?;
    directory
        .remove(SCRATCH)
        .map_err(|error| error.into_cause())?;
    Ok(lost)
}
