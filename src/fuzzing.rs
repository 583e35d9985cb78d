//! What must hold of any bytes that come from outside: the bodies of the fuzz targets in `integration/fuzz`, which the
//! tests run over the kept corpus as well.
//!
//! Each stage has its own next to what it reads. They are compiled for fuzzers and tests only, and are no part of the
//! crate's interface.

pub use crate::build::fuzzing::{apt_output, kernel_module};
pub use crate::capture::fuzzing::layer_attributes;
pub use crate::check::fuzzing::checked_extension;
pub use crate::cli::fuzzing::{limits, terminal};
pub use crate::ddi::read::fuzzing::{image_protection, image_table};
pub use crate::extension::fuzzing::{base_tree, release_files};
pub use crate::format::elf::fuzzing::elf_object;
pub use crate::format::erofs::fuzzing::{erofs_damaged, erofs_image};
pub use crate::format::erofs::reader::fuzzing::erofs_compressed;
pub use crate::format::squashfs::fuzzing::{squashfs_damaged, squashfs_image};
pub use crate::format::tar::fuzzing::tar_archive;
pub use crate::packages::apt::fuzzing::{apt_files, apt_sources};
pub use crate::packages::deb::fuzzing::package_file;
pub use crate::recipe::fuzzing::{
    grants, recipe_conditions, recipe_files, recipe_syntax, recipe_values,
};
pub use crate::recipe::repart::fuzzing::partition_definitions;
pub use crate::signing::fuzzing::keys;
pub use crate::store::fuzzing::store_metadata;

/// A property of any input: it panics where that does not hold.
pub type Target = fn(&[u8]);

/// Every target of this crate with the name of its file and corpus in `integration/fuzz`.
pub const TARGETS: &[(&str, Target)] = &[
    ("apt_files", apt_files),
    ("apt_output", apt_output),
    ("apt_sources", apt_sources),
    ("base_tree", base_tree),
    ("checked_extension", checked_extension),
    ("elf_object", elf_object),
    ("erofs_compressed", erofs_compressed),
    ("erofs_damaged", erofs_damaged),
    ("erofs_image", erofs_image),
    ("grants", grants),
    ("image_protection", image_protection),
    ("image_table", image_table),
    ("kernel_module", kernel_module),
    ("keys", keys),
    ("layer_attributes", layer_attributes),
    ("limits", limits),
    ("package_file", package_file),
    ("partition_definitions", partition_definitions),
    ("recipe_conditions", recipe_conditions),
    ("recipe_files", recipe_files),
    ("recipe_syntax", recipe_syntax),
    ("recipe_values", recipe_values),
    ("release_files", release_files),
    ("squashfs_damaged", squashfs_damaged),
    ("squashfs_image", squashfs_image),
    ("store_metadata", store_metadata),
    ("tar_archive", tar_archive),
    ("terminal", terminal),
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use fs_err as fs;

    use super::TARGETS;

    #[test]
    fn every_property_is_a_fuzz_target() {
        let targets = Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/fuzz/fuzz_targets");
        let mut files = Vec::new();
        for file in fs::read_dir(targets).unwrap() {
            let path = file.unwrap().path();
            if fs::read_to_string(&path)
                .unwrap()
                .contains("overcoat::fuzzing::")
            {
                files.push(path.file_stem().unwrap().to_string_lossy().into_owned());
            }
        }
        files.sort();
        assert_eq!(
            TARGETS.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
            files
        );
    }

    #[test]
    fn every_kept_input_of_the_fuzzers_is_survived() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/fuzz/corpus");
        for (name, target) in TARGETS {
            for input in fs::read_dir(corpus.join(name)).unwrap() {
                let path = input.unwrap().path();
                println!("{}", path.display());
                target(&fs::read(&path).unwrap());
            }
        }
    }
}
