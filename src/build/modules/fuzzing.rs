//! What must hold of any kernel module.

use super::needs::{modinfo, needs_of};

/// A module that is not packed: what it needs has names, and they are of what it says.
pub fn kernel_module(bytes: &[u8]) {
    let Ok(section) = modinfo(bytes) else {
        return;
    };
    assert!(section.len() <= bytes.len());
    let needs = needs_of(section);
    for name in &needs.modules {
        assert!(!name.contains(['_', '/']));
    }
}
