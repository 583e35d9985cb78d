//! The signature of the checksums, which are staged by then.

use std::io::Write;
use std::time::Instant;

use super::{create, writing};
use crate::build::Error;
use crate::publish::OutputDirectory;
use crate::recipe::Recipe;
use crate::signing::Signers;

/// Checksums that wait for their signature until the last sandbox of the run is gone.
#[derive(Debug)]
pub(in crate::build) struct Unsigned {
    image: String,
    /// The name of the signature's file.
    name: String,
    mode: Option<u32>,
    checksums: String,
    started: Instant,
}

impl Unsigned {
    /// Returns the checksums of an image; `None` when they are not to be signed.
    pub(super) fn new(recipe: &Recipe, checksums: String, started: Instant) -> Option<Self> {
        recipe.outputs.signature.is_some().then(|| Self {
            image: recipe.name.clone(),
            name: recipe.signature_file_name(),
            mode: recipe.output_mode,
            checksums,
            started,
        })
    }
}

/// Writes the signature beside the checksums.
pub(in crate::build) fn sign(
    output: &mut OutputDirectory,
    unsigned: &Unsigned,
    signers: &Signers,
) -> Result<(), Error> {
    let Unsigned { image, name, .. } = unsigned;
    let signer = signers.take(image).ok_or_else(|| Error::SignerMissing {
        image: image.clone(),
    })?;
    let signature = signer
        .sign(unsigned.checksums.as_bytes())
        .map_err(|source| Error::SignChecksums {
            image: image.clone(),
            source,
        })?;
    output.add(image, name, unsigned.mode, unsigned.started, |place| {
        create(place)
            .and_then(|mut file| file.write_all(&signature))
            .map_err(writing(name))
    })
}
