//! What must hold of the descriptions in a store that others may have filled.

use super::LayerMetadata;
use crate::packages::apt::ResolvedPackage;

/// Descriptions of layers and chosen packages: written again they are the same, and no owner is of anything outside.
pub fn store_metadata(bytes: &[u8]) {
    if let Ok(metadata) = serde_json::from_slice::<LayerMetadata>(bytes) {
        for owner in &metadata.entry_owners {
            let mut parts = owner.path.components();
            assert!(parts.all(|part| !matches!(part, b"" | b"." | b"..")));
        }
        let text = serde_json::to_vec(&metadata).expect("what was read can be written");
        let again = serde_json::from_slice(&text);
        assert_eq!(metadata, again.expect("what was written can be read"));
    }
    if let Ok(packages) = serde_json::from_slice::<Vec<ResolvedPackage>>(bytes) {
        let text = serde_json::to_vec(&packages).expect("what was read can be written");
        let again: Vec<ResolvedPackage> =
            serde_json::from_slice(&text).expect("what was written can be read");
        assert_eq!(packages, again);
    }
}
