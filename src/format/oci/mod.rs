//! OCI images: a stack of layers with a description, as container tools take them.
//!
//! The output is an image layout, a directory with blobs named by their digests, or a tar archive of one. It holds one
//! image. Built on another OCI image it reuses that one's layers as they are and adds one with the difference.
//!
//! Formats: the OCI image specification 1.1 (image-layout.md, manifest.md, config.md, layer.md).

mod digesting;
mod error;
mod layer;
mod layout;
mod writer;

pub use self::error::Error;
pub use self::layout::is_output;
pub use self::writer::{BaseImage, BaseLayer, Image, Lost, write_archive, write_at};

#[cfg(test)]
mod tests;
