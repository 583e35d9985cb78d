//! What must hold of what a layer says of itself.

use super::capability::Capability;
use super::owners::IdRanges;

/// File capabilities, and the map by which owners are read.
pub fn layer_attributes(bytes: &[u8]) {
    if let Ok(capability) = Capability::decode(bytes) {
        // An image has one that is bound to no user namespace, which stays as it is.
        let again = Capability::decode(&capability.value);
        let unbound = Capability {
            root_id: None,
            ..capability
        };
        assert_eq!(again, Ok(unbound));
    }
    let ranges = IdRanges::parse(&String::from_utf8_lossy(bytes));
    assert!(ranges.names(0));
    let _ = ranges.is_single();
}
